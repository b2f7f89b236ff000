#include "maps.h"
#include "slots.h"

/* One crossing for all guests of a Store: the phase's map is shown to each in turn, edits add up.
 *
 * A driver stops after a guest that did anything but edit fields and continue: answered otherwise,
 * logged, changed metrics, asked the world for what needs its context, or made an edit that the
 * next guest may not see as it is. Bits 16-23 of its word say which guest came last. Python takes
 * the edits, and may go on behind that guest; the map is still here then. With ONE_STEP beside the
 * first guest's number a driver stops after that guest in any case: who measures each needs that.
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

static u64 came_to(u32 guest, u32 answer) {
    u64 word = finish(answer) | (u64)guest << 16;
    if (control[CTL_MIXED]) word |= HAS_MIXED;
    if (control[CTL_STOP]) word |= HAS_STOPPED;
    return word;
}

/* From guest `first` on; every context is created here. From 0 on, each has the allowance in CALLS and BYTES. */
EXPORT(group_request_head) u64 group_request_head(u32 first, u32 context, u32 length, u32 count, u32 end) {
    u32 guest = first & ~ONE_STEP, answer = 0;
    begin(context);
    if (!guest) {
        for (u32 i = 0; i < control[CTL_GUESTS]; i++) *left(i) = *(u64 *)control;
        forget_all_maps();
        set_map(REQUEST, count, length);
    }
    for (;; guest++) {
        u32 shown = count_of(REQUEST);
        turn_to(guest, context);
        CALL2(SLOT_CREATE, context, ROOT);
        return_to(context);
        answer = CALL3(SLOT_REQUEST_HEADERS, context, shown, end);
        if (stops(guest, answer) || first & ONE_STEP || guest + 1 == control[CTL_GUESTS])
            return came_to(guest, answer);
    }
}

/* From guest `first` backwards; `fresh` when the map is a new one. */
EXPORT(group_response_head) u64 group_response_head(u32 first, u32 context, u32 length, u32 count, u32 end, u32 fresh) {
    u32 guest = first & ~ONE_STEP, answer = 0;
    begin(context);
    if (fresh) {
        forget_all_maps();
        set_map(RESPONSE, count, length);
    }
    for (;; guest--) {
        turn_to(guest, context);
        answer = CALL3(SLOT_RESPONSE_HEADERS, context, count_of(RESPONSE), end);
        if (stops(guest, answer) || first & ONE_STEP || !guest) return came_to(guest, answer);
    }
}

/* done, log, delete of one guest after the other, as long as they leave nothing. */
EXPORT(group_end) u64 group_end(u32 first, u32 context) {
    u32 guest = first & ~ONE_STEP;
    begin(context);
    if (!guest) forget_all_maps();
    for (;; guest++) {
        turn_to(guest, context);
        CALL1(SLOT_DONE, context);
        return_to(context);
        CALL1(SLOT_LOG, context);
        return_to(context);
        CALL1(SLOT_DELETE, context);
        if (stops(guest, 0) || first & ONE_STEP || guest + 1 == control[CTL_GUESTS]) return came_to(guest, 0);
    }
}
