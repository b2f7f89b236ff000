#include "slots.h"

/* Copies, budgets, and the words and windows shared with Python. */

u32 control[CTL_WORDS] __attribute__((aligned(8)));
u8 window[WINDOW_BYTES] __attribute__((aligned(16)));
u8 arguments[ARENA_BYTES + 16384] __attribute__((aligned(16)));
u8 key[NAME_LIMIT_BYTES] __attribute__((aligned(16)));
u8 scratch[ARENA_BYTES + 64] __attribute__((aligned(16)));
static u32 records[RECORD_LIMIT * 2];
static u32 allocating;
u32 window_used;

typedef u8 vector __attribute__((vector_size(16), aligned(1)));

void *memcpy(void *to, const void *from, unsigned long size) {
    u8 *a = to;
    const u8 *b = from;
    for (; size >= 16; size -= 16, a += 16, b += 16) *(vector *)a = *(const vector *)b;
    while (size--) *a++ = *b++;
    return to;
}

void *memmove(void *to, const void *from, unsigned long size) {
    u8 *a = to;
    const u8 *b = from;
    if (a <= b) return memcpy(to, from, size); /* forward, 16 loaded before 16 stored */
    while (size--) a[size] = b[size];
    return to;
}

int same(const u8 *a, const u8 *b, u32 size) {
    while (size--)
        if (*a++ != *b++) return 0;
    return 1;
}

void die(u32 code, u32 detail) {
    control[CTL_TRAP] = code;
    control[CTL_TRAP_DETAIL] = detail;
    __builtin_trap();
}

/* Every host call starts here: it counts before it acts. */
void enter_any(void) {
    if (!control[CTL_CALLS]) die(TRAP_HOST_CALLS, 0);
    control[CTL_CALLS]--;
}

/* The same for calls an allocator must not make: the guest would be entered a third time. */
void enter(void) {
    enter_any();
    if (allocating) die(TRAP_REENTRANCE, 0);
}

static void spend(u32 size) {
    if (size > control[CTL_BYTES]) die(TRAP_BYTES_COPIED, size);
    control[CTL_BYTES] -= size;
}

int take(void *to, u32 from, u32 size) {
    spend(size);
    return CALL3(SLOT_COPY_IN, (u32)to, from, size) == 0;
}

int put(u32 to, const void *from, u32 size) {
    spend(size);
    return CALL3(SLOT_COPY_OUT, to, (u32)from, size) == 0;
}

u32 answer_pair(u32 at_a, u32 a, u32 at_b, u32 b) {
    return CALL4(SLOT_STORE_PAIR, at_a, a, at_b, b) ? INVALID_MEMORY : OK;
}

u32 answer_word(u32 at, u32 value) { return answer_pair(at, value, at, value); }

u32 answer_wide(u32 at, u64 value) { return CALL_WIDE(SLOT_STORE_WIDE, at, value) ? INVALID_MEMORY : OK; }

static u32 allocate(u32 size) {
    allocating = 1;
    u32 at = CALL1(SLOT_ALLOCATE, size);
    allocating = 0;
    return at;
}

u32 give(const u8 *bytes, u32 size, u32 at_pointer, u32 at_size) {
    u32 at = 0;
    if (size) {
        at = allocate(size);
        if (!at || !put(at, bytes, size)) return INVALID_MEMORY;
    }
    return answer_pair(at_pointer, at, at_size, size);
}

/* As give, for an answer of the world whose first window is filled. An allocator may use WASI
 * functions that need the window themselves: then it is asked for again. */
u32 give_world(u32 size, u32 at_pointer, u32 at_size) {
    u32 at = 0;
    window_used = 0;
    if (size) at = allocate(size);
    if (size && !at) return INVALID_MEMORY;
    for (u32 done = 0; done < size;) {
        u32 part = size - done < WINDOW_BYTES ? size - done : WINDOW_BYTES;
        if (done || window_used) world(WORLD_PULL, done, part, 0);
        if (!put(at + done, window, part)) return INVALID_MEMORY;
        done += part;
    }
    return answer_pair(at_pointer, at, at_size, size);
}

/* Hands guest bytes to the world in windows. */
int push(u32 from, u32 size) {
    if ((u64)from + size > 0xffffffffull) return 0;
    for (u32 done = 0; done < size;) {
        u32 part = size - done < WINDOW_BYTES ? size - done : WINDOW_BYTES;
        if (!take(window, from + done, part)) return 0;
        world(WORLD_PUSH, done, part, 0);
        done += part;
    }
    return 1;
}

u32 record(u32 function, u32 status, u32 detail) {
    if (__builtin_expect(control[CTL_RECORDING], 0) && control[CTL_RECORDS] < RECORD_LIMIT) {
        u32 at = control[CTL_RECORDS]++ * 2;
        records[at] = function | status << 8;
        records[at + 1] = detail;
    }
    return status;
}

void begin(u32 context) {
    u64 *now = (u64 *)&control[CTL_NOW];
    *now -= *now % 1000000; /* guests get no finer clock than milliseconds */
    control[CTL_CONTEXT] = context;
    control[CTL_OPS] = control[CTL_OPS_BYTES] = control[CTL_LOG_BYTES] = control[CTL_RECORDS] = 0;
    control[CTL_LATE_EDITS] = control[CTL_LOGS_DROPPED] = 0;
    allocating = 0;
    control[CTL_MARK_OPS] = control[CTL_MARK_BYTES] = control[CTL_STOP] = control[CTL_MIXED] = 0;
}

u32 *record_words(void) { return records; }
