/* The filter of the bench: three host calls an exchange. */
#include "guest.h"

static u8 heap[65536];
static u32 used, out[2];

#define TEXT(text) (u32)(text), sizeof(text) - 1

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
EXPORT(proxy_on_memory_allocate) u32 allocate(u32 size) {
    u32 at = used + size > sizeof heap ? 0 : used;
    used = at + ((size + 15) & ~15u);
    return (u32)heap + at;
}
EXPORT(proxy_on_context_create) void on_create(u32 context, u32 parent) {}
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
    used = 0;
    proxy_get_header_map_value(0, TEXT("x-api-key"), (u32)&out[0], (u32)&out[1]);
    proxy_replace_header_map_value(0, TEXT("x-user"), TEXT("alice"));
    return 0;
}
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 count, u32 end) {
    proxy_replace_header_map_value(2, TEXT("x-filtered"), TEXT("1"));
    return 0;
}
EXPORT(proxy_on_done) u32 on_done(u32 context) { return 1; }
EXPORT(proxy_on_delete) void on_delete(u32 context) {}
