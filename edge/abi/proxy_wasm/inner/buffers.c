#include "inner.h"

/* Bodies and configurations: the bytes stay in Python and cross in windows when a guest asks. */

#define BUFFERS 9u
#define PLUGIN_CONFIGURATION 7u

static u32 get_bytes(u32 type, u32 start, u32 most, u32 at_pointer, u32 at_size) {
    if (type >= BUFFERS || start + most < start) return BAD_ARGUMENT;
    u32 size = world(WORLD_BUFFER, type, start, most);
    return size == NONE ? NOT_FOUND : give_world(size, at_pointer, at_size);
}

EXPORT(proxy_get_buffer_bytes) u32 proxy_get_buffer_bytes(u32 type, u32 start, u32 most, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_GET_BUFFER, get_bytes(type, start, most, at_pointer, at_size), type);
}

EXPORT(proxy_get_buffer_status) u32 proxy_get_buffer_status(u32 type, u32 at_size, u32 at_flags) {
    enter();
    u32 size = type < BUFFERS ? world(WORLD_BUFFER_SIZE, type, 0, 0) : NONE;
    return record(FN_BUFFER_STATUS, size == NONE ? NOT_FOUND : answer_pair(at_size, size, at_flags, 0), type);
}

static u32 set_bytes(u32 type, u32 start, u32 size, u32 from, u32 length) {
    if (type > 1) return BAD_ARGUMENT;
    if (!push(from, length)) return INVALID_MEMORY;
    control[CTL_A0] = length;
    return world(WORLD_SET_BUFFER, type, start, size);
}

EXPORT(proxy_set_buffer_bytes) u32 proxy_set_buffer_bytes(u32 type, u32 start, u32 size, u32 from, u32 length) {
    enter();
    return record(FN_SET_BUFFER, set_bytes(type, start, size, from, length), type);
}

/* 0.1.0 only. */
EXPORT(proxy_get_configuration) u32 proxy_get_configuration(u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_CONFIGURATION, get_bytes(PLUGIN_CONFIGURATION, 0, 0x7fffffff, at_pointer, at_size), 0);
}
