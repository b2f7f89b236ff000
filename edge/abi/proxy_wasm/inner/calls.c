#include "inner.h"

/* HTTP callouts; gRPC and foreign functions are defined and refused. */

static u32 http_call(u32 name, u32 name_size, u32 headers, u32 headers_size, u32 body, u32 body_size, u32 trailers,
                     u32 trailers_size, u32 timeout_ms, u32 at_id) {
    u32 sum = name_size + headers_size + trailers_size;
    if (name_size > NAME_LIMIT_BYTES || headers_size > MAP_LIMIT_BYTES || trailers_size > MAP_LIMIT_BYTES) return BAD_ARGUMENT;
    if (sum > sizeof arguments || (i32)timeout_ms < 0) return BAD_ARGUMENT;
    if (!take(arguments, name, name_size) || !take(arguments + name_size, headers, headers_size) ||
        !take(arguments + name_size + headers_size, trailers, trailers_size) || !push(body, body_size))
        return INTERNAL_FAILURE; /* the statuses that SDKs take here name no memory */
    control[CTL_A0] = body_size;
    control[CTL_A0 + 1] = timeout_ms;
    u32 status = world(WORLD_HTTP_CALL, name_size, headers_size, trailers_size);
    if (status) return status;
    return answer_word(at_id, control[CTL_RESULT]) ? INTERNAL_FAILURE : OK;
}

EXPORT(proxy_http_call) u32 proxy_http_call(u32 name, u32 name_size, u32 headers, u32 headers_size, u32 body, u32 body_size,
                                            u32 trailers, u32 trailers_size, u32 timeout_ms, u32 at_id) {
    enter();
    return record(FN_HTTP_CALL,
                  http_call(name, name_size, headers, headers_size, body, body_size, trailers, trailers_size, timeout_ms, at_id),
                  timeout_ms);
}

EXPORT(proxy_grpc_call) u32 proxy_grpc_call(u32 a, u32 b, u32 c, u32 d, u32 e, u32 f, u32 g, u32 h, u32 i, u32 j, u32 k, u32 l) {
    enter();
    return record(FN_GRPC, INTERNAL_FAILURE, 1);
}

EXPORT(proxy_grpc_stream) u32 proxy_grpc_stream(u32 a, u32 b, u32 c, u32 d, u32 e, u32 f, u32 g, u32 h, u32 i) {
    enter();
    return record(FN_GRPC, INTERNAL_FAILURE, 2);
}

EXPORT(proxy_grpc_send) u32 proxy_grpc_send(u32 id, u32 from, u32 size, u32 end) {
    enter();
    return record(FN_GRPC, NOT_FOUND, 3);
}

EXPORT(proxy_grpc_cancel) u32 proxy_grpc_cancel(u32 id) {
    enter();
    return record(FN_GRPC, NOT_FOUND, 4);
}

EXPORT(proxy_grpc_close) u32 proxy_grpc_close(u32 id) {
    enter();
    return record(FN_GRPC, NOT_FOUND, 5);
}

EXPORT(proxy_get_status) u32 proxy_get_status(u32 at_code, u32 at_pointer, u32 at_size) {
    enter();
    u32 status = answer_word(at_code, 0);
    return record(FN_STATUS, status ? status : answer_pair(at_pointer, 0, at_size, 0), 0);
}

EXPORT(proxy_call_foreign_function) u32 proxy_call_foreign_function(u32 name, u32 name_size, u32 from, u32 size, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_FOREIGN, NOT_FOUND, 0);
}

/* What emscripten's libc asks for. */
EXPORT(pthread_equal) u32 pthread_equal(u32 a, u32 b) { return a == b; }
EXPORT(emscripten_notify_memory_growth) void emscripten_notify_memory_growth(u32 memory) { (void)memory; }
