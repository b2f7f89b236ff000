/* Splits requests between variants: sticky by a cookie, each variant with its own backend. */
#include "choose.h"
#include "contexts.h"

#define PATH "edge\0backend"

EXPORT("proxy_abi_version_0_2_1") void proxy_abi_version_0_2_1(void) {}

EXPORT("proxy_on_context_create") void proxy_on_context_create(u32 id, u32 parent_id) {
    context *parent = parent_id ? context_find(parent_id) : 0;
    config *settings = parent ? parent->settings : 0;
    context *fresh = context_add(id);
    if (fresh) fresh->settings = settings;
}

EXPORT("proxy_on_configure") u32 proxy_on_configure(u32 root_id, u32 size) {
    text source = {0, 0}, problem = TEXT("no memory");
    u8 *bytes = 0;
    scratch_clear();
    if (size && proxy_get_buffer_bytes(BUFFER_PLUGIN_CONFIGURATION, 0, size, &bytes, &source.size) == STATUS_OK)
        source.bytes = bytes;
    config *settings = config_parse(source, &problem);
    context *root = context_find(root_id);
    if (settings && root) {
        root->settings = settings;
        return 1;
    }
    log_line(LOG_ERROR, TEXT("configuration: "), problem);
    return 0;
}

EXPORT("proxy_on_request_headers") u32 proxy_on_request_headers(u32 id, u32 count, u32 is_end) {
    context *stream = context_find(id);
    if (!stream || !stream->settings) __builtin_trap();
    scratch_clear();
    const variant *chosen = choose(stream->settings, &stream->is_new);
    text backend = chosen->backend;
    if (backend.size &&
        proxy_set_property((const u8 *)PATH, sizeof PATH - 1, backend.bytes, backend.size) != STATUS_OK) {
        /* The rule's own backend answers, so nothing may say that this variant did. */
        log_line(LOG_ERROR, TEXT("not allowed as backend: "), backend);
        return ACTION_CONTINUE;
    }
    stream->chosen = chosen;
    text header = TEXT("x-variant");
    proxy_replace_header_map_value(MAP_REQUEST, header.bytes, header.size, chosen->name.bytes, chosen->name.size);
    return ACTION_CONTINUE;
}

EXPORT("proxy_on_response_headers") u32 proxy_on_response_headers(u32 id, u32 count, u32 is_end) {
    context *stream = context_find(id);
    if (!stream || !stream->chosen) return ACTION_CONTINUE;
    scratch_clear();
    text name = TEXT("x-variant"), value = stream->chosen->name;
    proxy_replace_header_map_value(MAP_RESPONSE, name.bytes, name.size, value.bytes, value.size);
    if (!stream->is_new) return ACTION_CONTINUE;
    text parts[] = {
        stream->settings->cookie, TEXT("="), value, TEXT("; Path=/; Max-Age="),
        decimal(stream->settings->max_age_s), TEXT("; HttpOnly; SameSite=Lax"),
    };
    name = TEXT("set-cookie");
    value = join(parts, 6);
    proxy_add_header_map_value(MAP_RESPONSE, name.bytes, name.size, value.bytes, value.size);
    return ACTION_CONTINUE;
}

EXPORT("proxy_on_delete") void proxy_on_delete(u32 id) { context_remove(id); }
