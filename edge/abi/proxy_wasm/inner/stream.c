#include "inner.h"

/* Time, contexts, and what acts on an exchange. Actions take effect after the driver call. */

#define DETAILS_LIMIT_BYTES 4096u

EXPORT(proxy_get_current_time_nanoseconds) u32 proxy_get_current_time_nanoseconds(u32 at) {
    enter();
    return record(FN_TIME, answer_wide(at, *(u64 *)&control[CTL_NOW]), 0);
}

EXPORT(proxy_set_tick_period_milliseconds) u32 proxy_set_tick_period_milliseconds(u32 ms) {
    enter();
    return record(FN_TICK, world(WORLD_TICK, ms, 0, 0), ms);
}

/* Hands over the edits of the old context, then maps are loaded anew on demand. */
static u32 switch_to(u32 id) {
    if (id == control[CTL_CONTEXT]) return OK;
    u32 status = world(WORLD_CONTEXT, id, 0, 0);
    if (status) return status;
    control[CTL_OPS] = control[CTL_OPS_BYTES] = control[CTL_MARK_OPS] = control[CTL_MARK_BYTES] = 0;
    control[CTL_CONTEXT] = id;
    forget_stream_maps();
    return OK;
}

/* Between two callbacks of one driver call: each begins in the context it is for. */
void return_to(u32 context) { switch_to(context); }

EXPORT(proxy_set_effective_context) u32 proxy_set_effective_context(u32 id) {
    enter();
    return record(FN_CONTEXT, switch_to(id), id);
}

EXPORT(proxy_done) u32 proxy_done(void) {
    enter();
    return record(FN_DONE, world(WORLD_DONE, 0, 0, 0), 0);
}

static u32 stream(u32 close, u32 type) { return type > 3 ? BAD_ARGUMENT : world(WORLD_STREAM, close, type, 0); }

EXPORT(proxy_continue_stream) u32 proxy_continue_stream(u32 type) {
    enter();
    return record(FN_CONTINUE, stream(0, type), type);
}

EXPORT(proxy_close_stream) u32 proxy_close_stream(u32 type) {
    enter();
    return record(FN_CLOSE, stream(1, type), type);
}

/* 0.1.0: with and without a result, as guests declare them. */
EXPORT(proxy_continue_request) u32 proxy_continue_request(void) {
    enter();
    return record(FN_CONTINUE, stream(0, 0), 0);
}

EXPORT(proxy_continue_response) u32 proxy_continue_response(void) {
    enter();
    return record(FN_CONTINUE, stream(0, 1), 1);
}

EXPORT(proxy_clear_route_cache) u32 proxy_clear_route_cache(void) {
    enter();
    return record(FN_ROUTE_CACHE, OK, 0);
}

__attribute__((export_name("proxy_continue_request.void"))) void continue_request_void(void) { proxy_continue_request(); }
__attribute__((export_name("proxy_continue_response.void"))) void continue_response_void(void) { proxy_continue_response(); }
__attribute__((export_name("proxy_clear_route_cache.void"))) void clear_route_cache_void(void) { proxy_clear_route_cache(); }

static u32 reply(u32 status, u32 details, u32 details_size, u32 body, u32 body_size, u32 headers, u32 headers_size, u32 grpc) {
    if (status < 200 || status > 599 || headers_size > MAP_LIMIT_BYTES) return BAD_ARGUMENT;
    if (details_size > DETAILS_LIMIT_BYTES) details_size = DETAILS_LIMIT_BYTES;
    if (!take(arguments, details, details_size)) return INVALID_MEMORY;
    if (!take(arguments + details_size, headers, headers_size)) return INVALID_MEMORY;
    if (!push(body, body_size)) return INVALID_MEMORY;
    control[CTL_A0] = body_size;
    control[CTL_A0 + 1] = grpc;
    return world(WORLD_REPLY, status, details_size, headers_size);
}

EXPORT(proxy_send_local_response) u32 proxy_send_local_response(u32 status, u32 details, u32 details_size, u32 body,
                                                                u32 body_size, u32 headers, u32 headers_size, u32 grpc) {
    enter();
    return record(FN_REPLY, reply(status, details, details_size, body, body_size, headers, headers_size, grpc), status);
}
