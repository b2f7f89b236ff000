#include "maps.h"
#include "slots.h"

/* One crossing for all guests of a Store: the phase's map is shown to each in turn, edits add up.
 *
 * A driver stops after a guest that did anything but edit fields and continue: answered otherwise,
 * logged, changed metrics, asked the world for what needs its context, or made an edit that the
 * next guest may not see as it is. Bits 16-23 of its word say which guest came last. Python takes
 * the edits, and may go on behind that guest; the map is still here then. With ONE_STEP beside the
 * first guest's number a driver stops after that guest in any case: who measures each needs that.
 *
 * What a driver is told and what it answers lies in the control block, so that Python writes and
 * reads it in one piece each (words CTL_TOLD_*, CTL_CAME_*, CTL_LEFT).
 */

#define ROOT 1u
#define HAS_MIXED (1u << 12)
#define HAS_STOPPED (1u << 13)
#define ONE_STEP (1u << 31)

u64 finish(u32 answer);

static u64 *left(u32 guest) { return (u64 *)&control[CTL_LEFT] + guest; }

static void turn_to(u32 guest, u32 context) {
    control[CTL_GUEST] = guest;
    control[CTL_CONTEXT] = context;
    control[CTL_MARK_OPS] = control[CTL_OPS];
    control[CTL_MARK_BYTES] = control[CTL_OPS_BYTES];
    *(u64 *)control = *left(guest);
}

static int stops(u32 guest, u32 answer) {
    *left(guest) = *(u64 *)control;
    return answer | control[CTL_STOP] | control[CTL_LOG_BYTES] | control[CTL_METRICS] | control[CTL_LATE_EDITS] |
           control[CTL_LOGS_DROPPED];
}

static void came_to(u32 guest, u32 answer) {
    u64 word = finish(answer) | (u64)guest << 16;
    if (control[CTL_MIXED]) word |= HAS_MIXED;
    if (control[CTL_STOP]) word |= HAS_STOPPED;
    control[CTL_CAME_OPS_BYTES] = control[CTL_OPS_BYTES];
    control[CTL_CAME_GUEST] = guest;
    *(u64 *)&control[CTL_CAME_WORD] = word;
}

/* Gives the first guest. `map`: of the phase, NONE for none; it is a new one once. */
static u32 begin_told(u32 context, u32 map) {
    *(u64 *)&control[CTL_NOW] = *(u64 *)&control[CTL_TOLD_NOW];
    begin(context);
    if (control[CTL_TOLD_FRESH]) {
        control[CTL_TOLD_FRESH] = 0;
        forget_all_maps();
        if (map != NONE) set_map(map, control[CTL_TOLD_COUNT], control[CTL_TOLD_LENGTH]);
    }
    return control[CTL_TOLD_FIRST] & ~ONE_STEP;
}

static int is_last(u32 guest, u32 last, u32 answer) {
    return stops(guest, answer) || control[CTL_TOLD_FIRST] & ONE_STEP || guest == last;
}

/* From the first guest on; every context is created here. */
EXPORT(group_request_head) void group_request_head(void) {
    u32 context = control[CTL_TOLD_CONTEXT], end = control[CTL_TOLD_END], last = control[CTL_GUESTS] - 1;
    u32 guest = begin_told(context, REQUEST);
    for (;; guest++) {
        u32 shown = count_of(REQUEST);
        turn_to(guest, context);
        CALL2(SLOT_CREATE, context, ROOT);
        return_to(context);
        u32 answer = CALL3(SLOT_REQUEST_HEADERS, context, shown, end);
        if (is_last(guest, last, answer)) return came_to(guest, answer);
    }
}

/* From the first guest backwards. */
EXPORT(group_response_head) void group_response_head(void) {
    u32 context = control[CTL_TOLD_CONTEXT], end = control[CTL_TOLD_END];
    u32 guest = begin_told(context, RESPONSE);
    for (;; guest--) {
        turn_to(guest, context);
        u32 answer = CALL3(SLOT_RESPONSE_HEADERS, context, count_of(RESPONSE), end);
        if (is_last(guest, 0, answer)) return came_to(guest, answer);
    }
}

/* done, log, delete of one guest after the other, as long as they leave nothing. */
EXPORT(group_end) void group_end(void) {
    u32 context = control[CTL_TOLD_CONTEXT], last = control[CTL_GUESTS] - 1;
    u32 guest = begin_told(context, NONE);
    for (;; guest++) {
        turn_to(guest, context);
        CALL1(SLOT_DONE, context);
        return_to(context);
        CALL1(SLOT_LOG, context);
        return_to(context);
        CALL1(SLOT_DELETE, context);
        if (is_last(guest, last, 0)) return came_to(guest, 0);
    }
}
