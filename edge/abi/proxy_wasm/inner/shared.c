#include "inner.h"

/* Shared data by key and compare-and-swap number, and queues by token. */

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

static u32 register_queue(u32 name, u32 size, u32 at_id) {
    if (size > NAME_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments, name, size)) return INVALID_MEMORY;
    u32 token = world(WORLD_QUEUE_REGISTER, size, 0, 0);
    return token ? answer_word(at_id, token) : INTERNAL_FAILURE;
}

EXPORT(proxy_register_shared_queue) u32 proxy_register_shared_queue(u32 name, u32 size, u32 at_id) {
    enter();
    return record(FN_QUEUE, register_queue(name, size, at_id), 0);
}

static u32 resolve_queue(u32 vm, u32 vm_size, u32 name, u32 size, u32 at_id) {
    if (vm_size > NAME_LIMIT_BYTES || size > NAME_LIMIT_BYTES) return NOT_FOUND;
    if (!take(arguments, vm, vm_size) || !take(arguments + vm_size, name, size)) return INVALID_MEMORY;
    u32 token = world(WORLD_QUEUE_RESOLVE, vm_size, size, 0);
    return token ? answer_word(at_id, token) : NOT_FOUND;
}

EXPORT(proxy_resolve_shared_queue) u32 proxy_resolve_shared_queue(u32 vm, u32 vm_size, u32 name, u32 size, u32 at_id) {
    enter();
    return record(FN_QUEUE, resolve_queue(vm, vm_size, name, size, at_id), 1);
}

static u32 enqueue(u32 id, u32 from, u32 size) {
    if (!push(from, size)) return INVALID_MEMORY;
    return world(WORLD_QUEUE_PUT, id, size, 0);
}

EXPORT(proxy_enqueue_shared_queue) u32 proxy_enqueue_shared_queue(u32 id, u32 from, u32 size) {
    enter();
    return record(FN_QUEUE, enqueue(id, from, size), 2);
}

static u32 dequeue(u32 id, u32 at_pointer, u32 at_size) {
    u32 size = world(WORLD_QUEUE_TAKE, id, 0, 0);
    return size == NONE ? control[CTL_RESULT] : give_world(size, at_pointer, at_size);
}

EXPORT(proxy_dequeue_shared_queue) u32 proxy_dequeue_shared_queue(u32 id, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_QUEUE, dequeue(id, at_pointer, at_size), 3);
}
