#include "maps.h"
#include "slots.h"

/* One crossing from Python per phase. The answer is one word: bit 62 says that the call came back
 * (a trap leaves the caller's word), the low 8 bits are the guest's answer, the next tell Python
 * what to read. A context is created on the way when `parent` is given.
 */

#define RETURNED (1ull << 62)
#define HAS_OPS (1u << 8)
#define HAS_LOGS (1u << 9)
#define HAS_METRICS (1u << 10)
#define HAS_NOTES (1u << 11)

u32 *ops_words(void);
u8 *ops_bytes(void);
u8 *map_arena(u32 type);
u8 *log_ring(void);
u32 *record_words(void);
u32 *metric_changes(void);
u8 *string_bytes(void);

EXPORT(address) u32 address(u32 of) {
    switch (of) {
    case 0: return (u32)control;
    case 1: return (u32)ops_words();
    case 2: return (u32)ops_bytes();
    case 3: return (u32)log_ring();
    case 4: return (u32)window;
    case 5: return (u32)arguments;
    case 6: return (u32)record_words();
    case 7: return (u32)metric_changes();
    case 8: return (u32)string_bytes();
    }
    return of >= 16 && of < 24 ? (u32)map_arena(of - 16) : 0;
}

u64 finish(u32 answer) {
    u64 word = RETURNED | (answer > 255 ? 255 : answer);
    if (control[CTL_OPS]) word |= HAS_OPS;
    if (control[CTL_LOG_BYTES]) word |= HAS_LOGS;
    if (control[CTL_METRICS]) word |= HAS_METRICS;
    if (control[CTL_LATE_EDITS] | control[CTL_LOGS_DROPPED]) word |= HAS_NOTES;
    return word;
}

static void create(u32 context, u32 parent) {
    if (!parent) return;
    CALL2(SLOT_CREATE, context, parent);
    return_to(context);
}

static void start(u32 context, u32 parent) {
    begin(context);
    forget_all_maps();
    create(context, parent);
}

EXPORT(enter_context) void enter_context(u32 context) {
    begin(context);
    forget_all_maps();
}

EXPORT(request_head) u64 request_head(u32 context, u32 parent, u32 length, u32 count, u32 end) {
    begin(context);
    forget_all_maps();
    set_map(REQUEST, count, length);
    create(context, parent);
    return finish(CALL3(SLOT_REQUEST_HEADERS, context, count, end));
}

EXPORT(response_head) u64 response_head(u32 context, u32 parent, u32 length, u32 count, u32 end) {
    begin(context);
    forget_all_maps();
    set_map(RESPONSE, count, length);
    create(context, parent);
    return finish(CALL3(SLOT_RESPONSE_HEADERS, context, count, end));
}

EXPORT(request_data) u64 request_data(u32 context, u32 parent, u32 size, u32 end) {
    start(context, parent);
    return finish(CALL3(SLOT_REQUEST_BODY, context, size, end));
}

EXPORT(response_data) u64 response_data(u32 context, u32 parent, u32 size, u32 end) {
    start(context, parent);
    return finish(CALL3(SLOT_RESPONSE_BODY, context, size, end));
}

EXPORT(request_trailers) u64 request_trailers(u32 context, u32 parent, u32 count) {
    start(context, parent);
    return finish(CALL2(SLOT_REQUEST_TRAILERS, context, count));
}

EXPORT(response_trailers) u64 response_trailers(u32 context, u32 parent, u32 count) {
    start(context, parent);
    return finish(CALL2(SLOT_RESPONSE_TRAILERS, context, count));
}

/* done, log, delete of a stream. */
EXPORT(end) u64 end(u32 context) {
    start(context, 0);
    u32 answer = CALL1(SLOT_DONE, context);
    return_to(context);
    CALL1(SLOT_LOG, context);
    return_to(context);
    CALL1(SLOT_DELETE, context);
    return finish(answer != 0);
}

enum root_call { ROOT_CREATE, ROOT_VM_START, ROOT_VALIDATE, ROOT_CONFIGURE, ROOT_TICK, ROOT_DONE, ROOT_DELETE, ROOT_QUEUE };

EXPORT(root_call) u64 root_call(u32 call, u32 root, u32 size) {
    start(root, 0);
    switch (call) {
    case ROOT_CREATE: CALL2(SLOT_CREATE, root, 0); return finish(1);
    case ROOT_VM_START: return finish(CALL2(SLOT_VM_START, root, size) != 0);
    case ROOT_VALIDATE: return finish(CALL2(SLOT_VALIDATE, root, size) != 0);
    case ROOT_CONFIGURE: return finish(CALL2(SLOT_CONFIGURE, root, size) != 0);
    case ROOT_TICK: CALL1(SLOT_TICK, root); return finish(1);
    case ROOT_DONE: return finish(CALL1(SLOT_DONE, root) != 0);
    case ROOT_QUEUE: CALL2(SLOT_QUEUE_READY, root, size); return finish(1);
    }
    CALL1(SLOT_DELETE, root);
    return finish(1);
}

EXPORT(call_response) u64 call_response(u32 root, u32 id, u32 headers, u32 size, u32 trailers) {
    start(root, 0);
    CALL5(SLOT_CALL_RESPONSE, root, id, headers, size, trailers);
    return finish(0);
}
