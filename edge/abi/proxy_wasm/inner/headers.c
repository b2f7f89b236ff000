#include "maps.h"

/* The host functions on single fields. Names are lowered on look-up; get gives the first value. */

#define AUTHORITY ((const u8 *)":authority")

typedef struct { const u8 *bytes; u32 size; } Name;

/* Reads and lowers a name into `key`. INVALID_MEMORY, BAD_ARGUMENT (no name at all), or OK. */
static u32 read_name(u32 type, u32 from, u32 size, Name *name) {
    if (size > NAME_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(key, from, size)) return INVALID_MEMORY;
    if (!lower_name(key, size)) return BAD_ARGUMENT;
    name->bytes = key;
    name->size = size;
    if (is_host(type, key, size)) {
        name->bytes = AUTHORITY;
        name->size = 10;
    }
    return OK;
}

static u32 get_value(u32 type, u32 from, u32 size, u32 at_pointer, u32 at_size) {
    Name name;
    if (type >= MAPS) return BAD_ARGUMENT;
    u32 status = read_name(type, from, size, &name);
    if (status == INVALID_MEMORY) return status;
    Map *map = status == OK ? map_of(type) : 0;
    i32 at = map ? find(map, name.bytes, name.size, 0) : -1;
    if (at < 0) return OWN(OWN_ABI) == 100 ? answer_pair(at_pointer, 0, at_size, 0) : NOT_FOUND;
    return give(map->arena + map->entries[at].value, map->entries[at].value_size, at_pointer, at_size);
}

EXPORT(proxy_get_header_map_value) u32 proxy_get_header_map_value(u32 type, u32 from, u32 size, u32 at_pointer, u32 at_size) {
    enter();
    return record(FN_GET_VALUE, get_value(type, from, size, at_pointer, at_size), type);
}

EXPORT(proxy_get_header_map_size) u32 proxy_get_header_map_size(u32 type, u32 at) {
    enter();
    if (type >= MAPS) return record(FN_MAP_SIZE, BAD_ARGUMENT, type);
    Map *map = map_of(type);
    return record(FN_MAP_SIZE, answer_word(at, map ? map->live - 2 * map->count : 0), type);
}

static void drop_others(Map *map, const Name *name, u32 from) {
    for (i32 at = from; (at = find(map, name->bytes, name->size, at)) >= 0;) edit_delete(map, at);
}

static int has_value(const Map *map, u32 index, u32 size) {
    const Entry *entry = &map->entries[index];
    return entry->value_size == size && same(map->arena + entry->value, arguments, size);
}

static u32 write_pseudo(Map *map, u32 type, const Name *name, u32 size, int replace) {
    i32 at = find(map, name->bytes, name->size, 0);
    if (!replace || at < 0 || !pseudo_is_valid(type, name->bytes, name->size, arguments, size)) return BAD_ARGUMENT;
    if (!reserve(map, name->size + size + 2)) return BAD_ARGUMENT;
    if (!has_value(map, at, size)) edit_set(map, at, name->bytes, name->size, arguments, size);
    return OK;
}

/* Framing is edge's: another length than the present one only says that the present one is wrong. */
static u32 write_length(Map *map, const Name *name, u32 size) {
    if (!is_length(arguments, size)) return BAD_ARGUMENT;
    i32 at = find(map, name->bytes, name->size, 0);
    if (at < 0) return OK;
    if (!has_value(map, at, size)) edit_delete(map, at);
    return OK;
}

static u32 write_field(Map *map, const Name *name, u32 size, int replace) {
    if (!reserve(map, name->size + size + 2)) return BAD_ARGUMENT;
    i32 at = replace ? find(map, name->bytes, name->size, 0) : -1;
    if (at < 0) {
        if (map->count == MAP_LIMIT_FIELDS) return BAD_ARGUMENT;
        edit_add(map, name->bytes, name->size, arguments, size);
        return OK;
    }
    if (!has_value(map, at, size)) edit_set(map, at, name->bytes, name->size, arguments, size);
    drop_others(map, name, at + 1);
    return OK;
}

static u32 write_value(u32 type, u32 name_at, u32 name_size, u32 value_at, u32 value_size, int replace) {
    Name name;
    u32 status = read_name(type, name_at, name_size, &name);
    if (status) return status;
    if (value_size > MAP_LIMIT_BYTES) return BAD_ARGUMENT;
    if (!take(arguments, value_at, value_size)) return INVALID_MEMORY;
    u32 leading = trim(arguments, &value_size);
    if (leading) memmove(arguments, arguments + leading, value_size);
    if (type > RESPONSE_TRAILERS || !value_is_clean(arguments, value_size)) return BAD_ARGUMENT;
    u32 rule = rule_of(type, name.bytes, name.size);
    if (rule == RULE_REFUSED) return BAD_ARGUMENT;
    Map *map = map_of(type);
    if (!map) return BAD_ARGUMENT;
    if (!map->writable) {
        control[CTL_LATE_EDITS]++;
        return OK;
    }
    if (rule == RULE_PSEUDO) return write_pseudo(map, type, &name, value_size, replace);
    if (rule == RULE_LENGTH) return write_length(map, &name, value_size);
    return write_field(map, &name, value_size, replace);
}

EXPORT(proxy_add_header_map_value) u32 proxy_add_header_map_value(u32 type, u32 name, u32 name_size, u32 value, u32 value_size) {
    enter();
    return record(FN_ADD_VALUE, write_value(type, name, name_size, value, value_size, 0), type);
}

EXPORT(proxy_replace_header_map_value) u32 proxy_replace_header_map_value(u32 type, u32 name, u32 name_size, u32 value, u32 value_size) {
    enter();
    return record(FN_REPLACE_VALUE, write_value(type, name, name_size, value, value_size, 1), type);
}

static u32 remove_value(u32 type, u32 from, u32 size) {
    Name name;
    u32 status = read_name(type, from, size, &name);
    if (status == INVALID_MEMORY) return status;
    if (type > RESPONSE_TRAILERS) return BAD_ARGUMENT;
    if (status) return OK; /* no name at all: nothing bears it */
    Map *map = map_of(type);
    if (!map) return BAD_ARGUMENT;
    if (!map->writable) {
        control[CTL_LATE_EDITS]++;
        return OK;
    }
    if (name.bytes[0] == ':') return find(map, name.bytes, name.size, 0) < 0 ? OK : BAD_ARGUMENT;
    drop_others(map, &name, 0);
    return OK;
}

EXPORT(proxy_remove_header_map_value) u32 proxy_remove_header_map_value(u32 type, u32 name, u32 name_size) {
    enter();
    return record(FN_REMOVE_VALUE, remove_value(type, name, name_size), type);
}
