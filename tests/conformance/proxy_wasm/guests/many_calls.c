/* The fuller filter of the bench: eighteen host calls an exchange, ten, five and three. */
#include "guest.h"

static u8 heap[65536];
static u32 used, out[2];
static u64 now;

#define TEXT(text) (u32)(text), sizeof(text) - 1
#define OUT (u32)&out[0], (u32)&out[1]

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
EXPORT(proxy_on_memory_allocate) u32 allocate(u32 size) {
    u32 at = used + size > sizeof heap ? 0 : used;
    used = at + ((size + 15) & ~15u);
    return (u32)heap + at;
}
EXPORT(proxy_on_context_create) void on_create(u32 context, u32 parent) {}
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 count, u32 end) {
    used = 0;
    proxy_get_header_map_value(0, TEXT(":path"), OUT);
    proxy_get_header_map_value(0, TEXT("authorization"), OUT);
    proxy_get_header_map_value(0, TEXT("x-request-id"), OUT);
    proxy_get_header_map_pairs(0, OUT);
    proxy_get_property(TEXT("source\0address"), OUT);
    proxy_get_current_time_nanoseconds((u32)&now);
    proxy_replace_header_map_value(0, TEXT("x-user"), TEXT("alice"));
    proxy_add_header_map_value(0, TEXT("x-tag"), TEXT("blue"));
    proxy_remove_header_map_value(0, TEXT("x-api-key"));
    proxy_log(1, TEXT("request seen"));
    return 0;
}
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 context, u32 count, u32 end) {
    proxy_get_header_map_value(2, TEXT(":status"), OUT);
    proxy_get_header_map_value(2, TEXT("content-type"), OUT);
    proxy_replace_header_map_value(2, TEXT("x-filtered"), TEXT("1"));
    proxy_add_header_map_value(2, TEXT("x-time"), TEXT("17"));
    proxy_remove_header_map_value(2, TEXT("server"));
    return 0;
}
EXPORT(proxy_on_done) u32 on_done(u32 context) { return 1; }
EXPORT(proxy_on_log) void on_log(u32 context) {
    proxy_get_property(TEXT("source\0address"), OUT);
    proxy_get_current_time_nanoseconds((u32)&now);
    proxy_log(2, TEXT("GET /a 200 17us"));
}
EXPORT(proxy_on_delete) void on_delete(u32 context) {}
