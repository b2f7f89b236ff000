#include "inner.h"

/* Log lines wait in a ring until the driver call ends: level, size, bytes. */

static u8 ring[LOG_RING_BYTES] __attribute__((aligned(8)));

u8 *log_ring(void) { return ring; }

/* Where a line's bytes go, or 0 when it is not wanted or the ring is full. */
static u8 *room(u32 level, u32 size) {
    u32 at = control[CTL_LOG_BYTES];
    if (level < control[CTL_LOG_LEVEL]) return 0;
    if (at + 8 + size > LOG_RING_BYTES) {
        control[CTL_LOGS_DROPPED]++;
        return 0;
    }
    return ring + at + 8;
}

static void commit(u32 level, u32 size) {
    u8 *at = ring + control[CTL_LOG_BYTES];
    __builtin_memcpy(at, &level, 4);
    __builtin_memcpy(at + 4, &size, 4);
    control[CTL_LOG_BYTES] += 8 + size;
}

void log_bytes(u32 level, const u8 *bytes, u32 size) {
    u8 *to = room(level, size);
    if (!to) return;
    memcpy(to, bytes, size);
    commit(level, size);
}

static u32 log_line(u32 level, u32 from, u32 size) {
    u32 kept = size > LOG_LIMIT_BYTES ? LOG_LIMIT_BYTES : size;
    if (level > 5) return BAD_ARGUMENT;
    u8 *to = room(level, kept);
    if (!to) return OK;
    if (!take(to, from, kept)) return INVALID_MEMORY;
    commit(level, kept);
    return OK;
}

EXPORT(proxy_log) u32 proxy_log(u32 level, u32 from, u32 size) {
    enter_any();
    return record(FN_LOG, log_line(level, from, size), level);
}

EXPORT(proxy_get_log_level) u32 proxy_get_log_level(u32 at) {
    enter();
    return record(FN_LOG_LEVEL, answer_word(at, control[CTL_LOG_LEVEL]), 0);
}
