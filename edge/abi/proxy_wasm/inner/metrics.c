#include "inner.h"

/* Metric changes wait here until the driver call ends. An id is index << 2 | type. */

#define SERIES_LIMIT 128u
#define CHANGES_LIMIT 256u

enum metric { COUNTER = 0, GAUGE = 1, HISTOGRAM = 2 };
enum change { CHANGE_ADD = 0, CHANGE_SET = 1, CHANGE_OBSERVE = 2 };

typedef struct { u32 id, change; i64 value; } Change;

static Change changes[CHANGES_LIMIT];
static u8 defined[GUESTS][SERIES_LIMIT]; /* type + 1 */

u32 *metric_changes(void) { return (u32 *)changes; }

static u32 define(u32 type, u32 from, u32 size, u32 at_id) {
    if (type > HISTOGRAM || size > NAME_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments, from, size)) return INVALID_MEMORY;
    u32 index = world(WORLD_METRIC, type, size, 0);
    if (index >= SERIES_LIMIT) return BAD_ARGUMENT;
    defined[control[CTL_GUEST]][index] = type + 1;
    return answer_word(at_id, index << 2 | type);
}

EXPORT(proxy_define_metric) u32 proxy_define_metric(u32 type, u32 from, u32 size, u32 at_id) {
    enter();
    return record(FN_DEFINE_METRIC, define(type, from, size, at_id), type);
}

static int is_defined(u32 id) { return (id >> 2) < SERIES_LIMIT && defined[control[CTL_GUEST]][id >> 2] == (id & 3) + 1; }

static void change(u32 id, u32 kind, i64 value) {
    u32 count = control[CTL_METRICS];
    if (kind == CHANGE_ADD && count && changes[count - 1].id == id && changes[count - 1].change == CHANGE_ADD) {
        changes[count - 1].value += value;
        return;
    }
    if (count == CHANGES_LIMIT) {
        world(WORLD_METRICS, 0, 0, 0);
        count = 0;
    }
    changes[count] = (Change){id, kind, value};
    control[CTL_METRICS] = count + 1;
}

static u32 increment(u32 id, i64 by) {
    if (!is_defined(id)) return NOT_FOUND;
    if ((id & 3) == HISTOGRAM || ((id & 3) == COUNTER && by < 0)) return BAD_ARGUMENT;
    if (by) change(id, CHANGE_ADD, by);
    return OK;
}

EXPORT(proxy_increment_metric) u32 proxy_increment_metric(u32 id, i64 by) {
    enter();
    return record(FN_METRIC, increment(id, by), id);
}

static u32 set_metric(u32 id, i64 value) {
    if (!is_defined(id)) return NOT_FOUND;
    if ((id & 3) == COUNTER && value < 0) return OK; /* a counter never falls; Rust takes no refusal here */
    change(id, (id & 3) == COUNTER ? CHANGE_ADD : (id & 3) == GAUGE ? CHANGE_SET : CHANGE_OBSERVE, value);
    return OK;
}

EXPORT(proxy_record_metric) u32 proxy_record_metric(u32 id, i64 value) {
    enter();
    return record(FN_METRIC, set_metric(id, value), id);
}

EXPORT(proxy_get_metric) u32 proxy_get_metric(u32 id, u32 at) {
    enter();
    if (!is_defined(id)) return record(FN_METRIC, NOT_FOUND, id);
    if ((id & 3) == HISTOGRAM) return record(FN_METRIC, BAD_ARGUMENT, id);
    u32 status = world(WORLD_METRIC_VALUE, id, 0, 0);
    if (!status) status = answer_wide(at, *(u64 *)&control[CTL_RESULT]);
    return record(FN_METRIC, status, id);
}
