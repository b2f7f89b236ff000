/* Slots of the table, SLOTS of them for each guest. Its bridge overwrites them with checked copies
 * between the two memories, its allocator and its callbacks; until then, and for callbacks it
 * lacks, the answers of slots.c stand. The numbers are constants of bridge.py as well.
 */
#ifndef EDGE_SLOTS_H
#define EDGE_SLOTS_H
#include "inner.h"

enum slot {
    SLOT_COPY_IN = 1, SLOT_COPY_OUT, SLOT_STORE_PAIR, SLOT_STORE_WIDE, SLOT_ALLOCATE,
    SLOT_CREATE, SLOT_VM_START, SLOT_VALIDATE, SLOT_CONFIGURE, SLOT_TICK,
    SLOT_REQUEST_HEADERS, SLOT_REQUEST_BODY, SLOT_REQUEST_TRAILERS,
    SLOT_RESPONSE_HEADERS, SLOT_RESPONSE_BODY, SLOT_RESPONSE_TRAILERS,
    SLOT_CALL_RESPONSE, SLOT_DONE, SLOT_LOG, SLOT_DELETE, SLOT_QUEUE_READY, SLOT_END
};

#define SLOTS (SLOT_END - 1u)
#define OF_GUEST(slot) (control[CTL_GUEST] * SLOTS + (slot))

#define CALL1(slot, a) ((u32 (*)(u32))OF_GUEST(slot))(a)
#define CALL2(slot, a, b) ((u32 (*)(u32, u32))OF_GUEST(slot))(a, b)
#define CALL3(slot, a, b, c) ((u32 (*)(u32, u32, u32))OF_GUEST(slot))(a, b, c)
#define CALL4(slot, a, b, c, d) ((u32 (*)(u32, u32, u32, u32))OF_GUEST(slot))(a, b, c, d)
#define CALL5(slot, a, b, c, d, e) ((u32 (*)(u32, u32, u32, u32, u32))OF_GUEST(slot))(a, b, c, d, e)
#define CALL_WIDE(slot, a, b) ((u32 (*)(u32, u64))OF_GUEST(slot))(a, b)
#endif
