#include "inner.h"

/* Shared data by key and compare-and-swap number; queues are not carried out yet. */

static u32 set_shared(u32 key_at, u32 key_size, u32 value, u32 value_size, u32 cas) {
    if (key_size > NAME_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments, key_at, key_size) || !push(value, value_size)) return INVALID_MEMORY;
    return world(WORLD_SHARED_SET, key_size, value_size, cas);
}

EXPORT(proxy_set_shared_data) u32 proxy_set_shared_data(u32 key_at, u32 key_size, u32 value, u32 value_size, u32 cas) {
    enter();
    return record(FN_SET_SHARED, set_shared(key_at, key_size, value, value_size, cas), 0);
}

static u32 get_shared(u32 key_at, u32 key_size, u32 at_pointer, u32 at_size, u32 at_cas) {
    if (key_size > NAME_LIMIT_BYTES) return NOT_FOUND;
    if (!take(arguments, key_at, key_size)) return INVALID_MEMORY;
    u32 size = world(WORLD_SHARED_GET, key_size, 0, 0);
    if (size == NONE) return NOT_FOUND;
    u32 cas = control[CTL_RESULT];
    u32 status = give_world(size, at_pointer, at_size);
    return status ? status : answer_word(at_cas, cas);
}

EXPORT(proxy_get_shared_data) u32 proxy_get_shared_data(u32 key_at, u32 key_size, u32 at_pointer, u32 at_size, u32 at_cas) {
    enter();
    return record(FN_GET_SHARED, get_shared(key_at, key_size, at_pointer, at_size, at_cas), 0);
}

/* An id that nothing will ever arrive at would be a silent loss: the guest ends here, by name. */
EXPORT(proxy_register_shared_queue) u32 proxy_register_shared_queue(u32 name, u32 size, u32 at_id) {
    enter();
    die(TRAP_SHARED_QUEUE, 0);
}

EXPORT(proxy_resolve_shared_queue) u32 proxy_resolve_shared_queue(u32 vm, u32 vm_size, u32 name, u32 size, u32 at_id) {
    enter();
    return record(FN_QUEUE, NOT_FOUND, 1);
}

EXPORT(proxy_enqueue_shared_queue) u32 proxy_enqueue_shared_queue(u32 id, u32 from, u32 size) {
    enter();
    return record(FN_QUEUE, NOT_FOUND, 2);
}

EXPORT(proxy_dequeue_shared_queue) u32 proxy_dequeue_shared_queue(u32 id, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_QUEUE, NOT_FOUND, 3);
}
