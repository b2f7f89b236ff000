/* Counts in shared data, and passes work through a queue:
 *
 *   /add   one more in `n`            /get  `n` and what was taken from the queue so far
 *   /put   an item into the queue
 */
#include "guest.h"

static u8 heap[65536];
static u32 used, out[2], cas, token, metric;

#define TEXT(text) (u32)(text), sizeof(text) - 1
#define OUT (u32)&out[0], (u32)&out[1]
#define OK 0
#define NOT_FOUND 1

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
EXPORT(proxy_on_memory_allocate) u32 allocate(u32 size) {
    u32 at = used + size > sizeof heap ? 0 : used;
    used = at + ((size + 15) & ~15u);
    return (u32)heap + at;
}

static u32 number(u32 key, u32 size) {
    u32 value = 0;
    cas = 0;
    if (proxy_get_shared_data(key, size, OUT, (u32)&cas)) return 0;
    for (u32 i = 0; i < out[1]; i++) value = value * 10 + ((u8 *)out[0])[i] - '0';
    return value;
}

static u32 decimal(u8 *to, u32 value) {
    u8 digits[10];
    u32 size = 0, n = 0;
    do digits[size++] = '0' + value % 10;
    while (value /= 10);
    while (size) to[n++] = digits[--size];
    return n;
}

/* As often as it takes: every failure means that somebody else has counted. */
static void count(u32 key, u32 size) {
    for (u32 tries = 0; tries < 2000; tries++) {
        u8 text[10];
        u32 digits = decimal(text, number(key, size) + 1);
        used = 0;
        if (proxy_set_shared_data(key, size, (u32)text, digits, cas) == OK) return;
    }
    __builtin_trap();
}

static u32 answer(u32 status, u32 body, u32 size) {
    proxy_send_local_response(status, 0, 0, body, size, 0, 0, 0xffffffff);
    return 1;
}

EXPORT(proxy_on_configure) u32 on_configure(u32 root, u32 size) {
    if (proxy_register_shared_queue(TEXT("jobs"), (u32)&token)) return 0;
    /* There must be a number to compare with: a key that is not there is set whatever it is. */
    if (proxy_get_shared_data(TEXT("n"), OUT, (u32)&cas) == NOT_FOUND)
        proxy_set_shared_data(TEXT("n"), TEXT("0"), 0);
    if (proxy_get_shared_data(TEXT("taken"), OUT, (u32)&cas) == NOT_FOUND)
        proxy_set_shared_data(TEXT("taken"), TEXT("0"), 0);
    return proxy_define_metric(0, TEXT("adds"), (u32)&metric) == OK;
}

EXPORT(proxy_on_queue_ready) void on_queue_ready(u32 root, u32 id) {
    used = 0;
    if (proxy_dequeue_shared_queue(id, OUT) == OK) count(TEXT("taken"));
}

EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 context, u32 fields, u32 end) {
    u8 text[24];
    used = 0;
    if (proxy_get_header_map_value(0, TEXT(":path"), OUT) || out[1] < 4) return 0;
    switch (((u8 *)out[0])[1]) {
    case 'a':
        count(TEXT("n"));
        proxy_increment_metric(metric, 1);
        return answer(200, 0, 0);
    case 'p':
        return answer(proxy_enqueue_shared_queue(token, TEXT("a job")) == OK ? 200 : 503, 0, 0);
    case 'g': {
        u32 size = decimal(text, number(TEXT("n")));
        text[size++] = ' ';
        size += decimal(text + size, number(TEXT("taken")));
        return answer(200, (u32)text, size);
    }
    }
    return 0;
}
