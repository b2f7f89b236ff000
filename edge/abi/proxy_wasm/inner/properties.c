#include "inner.h"

/* Properties: NUL-separated paths. The world knows them; `edge.backend` is among them. */

#define VALUE_LIMIT_BYTES WINDOW_BYTES

static u32 read_path(u32 from, u32 *size) {
    if (*size > NAME_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments, from, *size)) return INVALID_MEMORY;
    if (*size && arguments[*size - 1] == 0) --*size; /* the C++ SDK counts the last NUL */
    return OK;
}

static u32 get_property(u32 from, u32 size, u32 at_pointer, u32 at_size) {
    u32 status = read_path(from, &size);
    if (status) return status == BAD_ARGUMENT ? NOT_FOUND : status;
    u32 length = world(WORLD_PROPERTY, size, 0, 0);
    return length == NONE ? NOT_FOUND : give_world(length, at_pointer, at_size);
}

EXPORT(proxy_get_property) u32 proxy_get_property(u32 from, u32 size, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_GET_PROPERTY, get_property(from, size, at_pointer, at_size), 0);
}

static u32 set_property(u32 from, u32 size, u32 value, u32 value_size) {
    u32 status = read_path(from, &size);
    if (status) return status;
    if (value_size > VALUE_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments + size, value, value_size)) return INVALID_MEMORY;
    return world(WORLD_SET_PROPERTY, size, value_size, 0);
}

EXPORT(proxy_set_property) u32 proxy_set_property(u32 from, u32 size, u32 value, u32 value_size) {
    enter();
    return record(FN_SET_PROPERTY, set_property(from, size, value, value_size), 0);
}
