/* A guest that does what its configuration says: a byte code of host calls, one section a callback.
 *
 * The configuration: u32 sections, then for each u32 callback, u32 words, and the code in words.
 * What calls answered and what was read goes out as log lines in hex, level info.
 * Memory below 2 MiB is the script's own; everything of this program lies above.
 */
#include "guest.h"

enum op { POKE = 1, CALL, PEEK, FOLLOW, ANSWER, LOOP, TRAP, GROW, ALLOCATOR, EMIT, QUIET };
enum callback { CONFIGURE = 1, REQUEST_HEADERS, REQUEST_BODY, REQUEST_TRAILERS, RESPONSE_HEADERS, RESPONSE_BODY,
    RESPONSE_TRAILERS, TICK, CALL_RESPONSE, DONE, LOG, DELETE, CREATE, VM_START, QUEUE_READY };

static u8 heap[4 << 20] __attribute__((aligned(16)));
static u32 heap_used, allocator_mode, answer;
static u32 script[1 << 19], script_words;
static u8 output[65536];
static u32 output_size;
static u32 out[2];
static u32 own; /* the stream context created last */

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}

EXPORT(proxy_on_memory_allocate) u32 allocate(u32 size) {
    switch (allocator_mode) {
    case 1: return 0;
    case 2: return 0xfffffff0u;
    case 3: return (u32)__builtin_wasm_memory_grow(0, (size >> 16) + 1) << 16;
    case 4: proxy_get_log_level((u32)out); break;
    case 5: return 60000;
    case 6: __builtin_trap();
    case 7: return (u32)__builtin_wasm_memory_size(0) * 65536 - 1;
    }
    if (heap_used + size > sizeof heap) heap_used = 0;
    u32 at = (u32)heap + heap_used;
    heap_used += (size + 15) & ~15u;
    return at;
}

static void put(u32 value) {
    if (output_size + 4 > sizeof output) return;
    for (u32 i = 0; i < 4; i++) output[output_size++] = value >> 8 * i;
}

static void put_bytes(u32 at, u32 size) {
    u32 limit = __builtin_wasm_memory_size(0) << 16;
    if (at > limit || size > limit - at) {
        put(0xdeadbeef);
        return;
    }
    if (size > 2048) { /* a digest says enough, and the log has room for it */
        u64 hash = 0xcbf29ce484222325ull;
        for (u32 i = 0; i < size; i++) hash = (hash ^ ((u8 *)at)[i]) * 0x100000001b3ull;
        put(size | 0x80000000u);
        put((u32)hash);
        put((u32)(hash >> 32));
        return;
    }
    put(size);
    for (u32 i = 0; i < size && output_size < sizeof output; i++) output[output_size++] = ((u8 *)at)[i];
}

static void emit(void) {
    static u8 line[4000];
    for (u32 at = 0; at < output_size;) {
        u32 n = 0;
        for (; n < sizeof line && at < output_size; at++) {
            line[n++] = "0123456789abcdef"[output[at] >> 4];
            line[n++] = "0123456789abcdef"[output[at] & 15];
        }
        proxy_log(2, (u32)line, n);
    }
    output_size = 0;
}

#define V(i) a[i]
static u32 call(u32 function, const u32 *a) {
    switch (function) {
    case 1: return proxy_log(V(0), V(1), V(2));
    case 2: return proxy_get_log_level(V(0));
    case 3: return proxy_get_current_time_nanoseconds(V(0));
    case 4: return proxy_set_tick_period_milliseconds(V(0));
    case 5: return proxy_get_buffer_bytes(V(0), V(1), V(2), V(3), V(4));
    case 6: return proxy_set_buffer_bytes(V(0), V(1), V(2), V(3), V(4));
    case 7: return proxy_get_buffer_status(V(0), V(1), V(2));
    case 8: return proxy_get_header_map_size(V(0), V(1));
    case 9: return proxy_get_header_map_pairs(V(0), V(1), V(2));
    case 10: return proxy_set_header_map_pairs(V(0), V(1), V(2));
    case 11: return proxy_get_header_map_value(V(0), V(1), V(2), V(3), V(4));
    case 12: return proxy_add_header_map_value(V(0), V(1), V(2), V(3), V(4));
    case 13: return proxy_replace_header_map_value(V(0), V(1), V(2), V(3), V(4));
    case 14: return proxy_remove_header_map_value(V(0), V(1), V(2));
    case 15: return proxy_get_property(V(0), V(1), V(2), V(3));
    case 16: return proxy_set_property(V(0), V(1), V(2), V(3));
    case 17: return proxy_continue_stream(V(0));
    case 18: return proxy_close_stream(V(0));
    case 19: return proxy_send_local_response(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7));
    case 20: return proxy_http_call(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9));
    case 21: return proxy_grpc_call(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11));
    case 22: return proxy_grpc_stream(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8));
    case 23: return proxy_grpc_send(V(0), V(1), V(2), V(3));
    case 24: return proxy_grpc_cancel(V(0));
    case 25: return proxy_grpc_close(V(0));
    case 26: return proxy_get_status(V(0), V(1), V(2));
    case 27: return proxy_set_shared_data(V(0), V(1), V(2), V(3), V(4));
    case 28: return proxy_get_shared_data(V(0), V(1), V(2), V(3), V(4));
    case 29: return proxy_register_shared_queue(V(0), V(1), V(2));
    case 30: return proxy_resolve_shared_queue(V(0), V(1), V(2), V(3), V(4));
    case 31: return proxy_enqueue_shared_queue(V(0), V(1), V(2));
    case 32: return proxy_dequeue_shared_queue(V(0), V(1), V(2));
    case 33: return proxy_define_metric(V(0), V(1), V(2), V(3));
    case 34: return proxy_record_metric(V(0), (u64)V(2) << 32 | V(1));
    case 35: return proxy_increment_metric(V(0), (u64)V(2) << 32 | V(1));
    case 36: return proxy_get_metric(V(0), V(1));
    case 37: return proxy_call_foreign_function(V(0), V(1), V(2), V(3), V(4), V(5));
    case 38: return proxy_set_effective_context(V(0));
    case 39: return proxy_done();
    case 40: return proxy_set_effective_context(own);
    case 50: return args_get(V(0), V(1));
    case 51: return args_sizes_get(V(0), V(1));
    case 52: return environ_get(V(0), V(1));
    case 53: return environ_sizes_get(V(0), V(1));
    case 54: return fd_write(V(0), V(1), V(2), V(3));
    case 55: return fd_fdstat_get(V(0), V(1));
    case 56: return clock_time_get(V(0), 1, V(1));
    case 57: return random_get(V(0), V(1));
    case 58: return poll_oneoff(V(0), V(1), V(2), V(3));
    case 59: proc_exit(V(0)); return 0;
    case 60: return fd_prestat_get(V(0), V(1));
    case 61: return path_open(V(0), V(1), V(2), V(3), V(4), 0, 0, V(5), V(6));
    }
    return 0xffffffff;
}

static void run(const u32 *code, u32 words) {
    const u32 *end = code + words;
    while (code < end) {
        u32 op = *code++;
        switch (op) {
        case POKE: {
            u32 at = code[0], size = code[1];
            for (u32 i = 0; i < size; i++) ((u8 *)at)[i] = ((const u8 *)(code + 2))[i];
            code += 2 + (size + 3) / 4;
            break;
        }
        case CALL: put(call(code[0], code + 1)); code += 13; break;
        case PEEK: put_bytes(code[0], code[1]); code += 2; break;
        case FOLLOW: put_bytes(*(u32 *)code[0], *(u32 *)code[1]); code += 2; break;
        case ANSWER: answer = *code++; break;
        case LOOP: for (;;) __asm__ volatile("");
        case TRAP: __builtin_trap();
        case GROW: put(__builtin_wasm_memory_grow(0, *code++)); break;
        case ALLOCATOR: allocator_mode = *code++; break;
        case EMIT: emit(); break;
        case QUIET: output_size = 0; break;
        default: __builtin_trap();
        }
    }
    emit();
}

static u32 section(u32 callback, u32 otherwise) {
    answer = otherwise;
    u32 count = script_words ? script[0] : 0;
    for (u32 at = 1; count--; at += 2 + script[at + 1])
        if (script[at] == callback) run(script + at + 2, script[at + 1]);
    return answer;
}

EXPORT(proxy_on_configure) u32 on_configure(u32 root, u32 size) {
    if (size) {
        allocator_mode = 0;
        if (proxy_get_buffer_bytes(7, 0, sizeof script, (u32)&out[0], (u32)&out[1])) return 0;
        for (u32 i = 0; i < out[1]; i++) ((u8 *)script)[i] = ((u8 *)out[0])[i];
        script_words = out[1] / 4;
        heap_used = 0;
    }
    return section(CONFIGURE, 1);
}
EXPORT(proxy_on_context_create) void on_create(u32 context, u32 parent) {
    if (!parent) return;
    own = context;
    section(CREATE, 0);
}
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 c, u32 n, u32 end) { return section(REQUEST_HEADERS, 0); }
#ifndef HEADS_ONLY
EXPORT(proxy_on_request_body) u32 on_request_body(u32 c, u32 n, u32 end) { return section(REQUEST_BODY, end ? 0 : 1); }
EXPORT(proxy_on_request_trailers) u32 on_request_trailers(u32 c, u32 n) { return section(REQUEST_TRAILERS, 0); }
#endif
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 c, u32 n, u32 end) { return section(RESPONSE_HEADERS, 0); }
#ifndef HEADS_ONLY
EXPORT(proxy_on_response_body) u32 on_response_body(u32 c, u32 n, u32 end) { return section(RESPONSE_BODY, end ? 0 : 1); }
EXPORT(proxy_on_response_trailers) u32 on_response_trailers(u32 c, u32 n) { return section(RESPONSE_TRAILERS, 0); }
#endif
EXPORT(proxy_on_tick) void on_tick(u32 root) { section(TICK, 0); }
EXPORT(proxy_on_queue_ready) void on_queue_ready(u32 root, u32 id) {
    put(id);
    section(QUEUE_READY, 0);
    emit();
}
EXPORT(proxy_on_http_call_response) void on_call(u32 root, u32 id, u32 headers, u32 size, u32 trailers) {
    put(id);
    put(headers);
    put(size);
    put(trailers);
    section(CALL_RESPONSE, 0);
    emit();
}
EXPORT(proxy_on_done) u32 on_done(u32 c) { return section(DONE, 1); }
EXPORT(proxy_on_log) void on_log(u32 c) { section(LOG, 0); }
EXPORT(proxy_on_delete) void on_delete(u32 c) { section(DELETE, 0); }
