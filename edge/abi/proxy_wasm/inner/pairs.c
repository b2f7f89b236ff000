#include "maps.h"

/* Whole maps in Proxy-Wasm's serialisation: u32 count, count x (u32 name size, u32 value size),
 * then `name NUL value NUL` each. Writing a whole map gives edits only where it differs.
 */

static u8 pairs[ARENA_BYTES] __attribute__((aligned(8)));
static Entry wanted[MAP_LIMIT_FIELDS];

static u32 serialise(const Map *map) {
    u32 *sizes = (u32 *)pairs, at = 4 + 8 * map->count;
    *sizes++ = map->count;
    for (u32 i = 0; i < map->count; i++) {
        const Entry *entry = &map->entries[i];
        *sizes++ = entry->name_size;
        *sizes++ = entry->value_size;
        memcpy(pairs + at, map->arena + entry->name, entry->name_size);
        at += entry->name_size;
        pairs[at++] = 0;
        memcpy(pairs + at, map->arena + entry->value, entry->value_size);
        at += entry->value_size;
        pairs[at++] = 0;
    }
    return at;
}

EXPORT(proxy_get_header_map_pairs) u32 proxy_get_header_map_pairs(u32 type, u32 at_pointer, u32 at_size) {
    enter();
    if (type >= MAPS) return record(FN_GET_PAIRS, BAD_ARGUMENT, type);
    const Map *map = map_of(type);
    if (!map || !map->count) return record(FN_GET_PAIRS, answer_pair(at_pointer, 0, at_size, 0), type);
    return record(FN_GET_PAIRS, give(pairs, serialise(map), at_pointer, at_size), type);
}

/* Fills `wanted` from `pairs`; NONE unless sizes and NULs fit exactly. */
static u32 parse(u32 size) {
    const u32 *sizes = (const u32 *)pairs;
    if (size == 0 || (size == 1 && pairs[0] == 0)) return 0;
    if (size < 4) return NONE;
    u32 count = *sizes++;
    if (count > MAP_LIMIT_FIELDS || 4 + 8 * count > size) return NONE;
    u32 at = 4 + 8 * count;
    for (u32 i = 0; i < count; i++) {
        u32 name_size = *sizes++, value_size = *sizes++;
        if ((u64)at + name_size + (u64)value_size + 2 > size) return NONE;
        wanted[i] = (Entry){at, name_size, at + name_size + 1, value_size};
        at += name_size + value_size + 2;
        if (pairs[wanted[i].value - 1] || pairs[at - 1]) return NONE;
    }
    return at == size ? count : NONE;
}

/* Lowers and checks every pair, and puts `:authority` in the place of `host`. */
static int check(u32 type, u32 count) {
    u32 live = 0;
    for (u32 i = 0; i < count; i++) {
        Entry *entry = &wanted[i];
        u8 *name = pairs + entry->name;
        if (entry->name_size > NAME_LIMIT_BYTES || !lower_name(name, entry->name_size)) return 0;
        entry->value += trim(pairs + entry->value, &entry->value_size);
        if (!value_is_clean(pairs + entry->value, entry->value_size)) return 0;
        if (is_host(type, name, entry->name_size)) return 0;
        u32 rule = rule_of(type, name, entry->name_size);
        if (rule == RULE_REFUSED) return 0;
        if (rule == RULE_PSEUDO && !pseudo_is_valid(type, name, entry->name_size, pairs + entry->value, entry->value_size))
            return 0;
        if (rule == RULE_LENGTH && !is_length(pairs + entry->value, entry->value_size)) return 0;
        live += entry->name_size + entry->value_size + 2;
    }
    return live <= MAP_LIMIT_BYTES;
}

static int equal(const Map *map, u32 index, const Entry *entry) {
    const Entry *old = &map->entries[index];
    return old->name_size == entry->name_size && old->value_size == entry->value_size &&
           same(map->arena + old->name, pairs + entry->name, entry->name_size) &&
           same(map->arena + old->value, pairs + entry->value, entry->value_size);
}

/* The leading entries: given ones are set, a length that is gone or differs goes; the rest stays. */
static u32 write_special(Map *map, u32 count) {
    int length_kept = 0;
    u32 fields = 0;
    for (u32 i = 0; i < count; i++) {
        Entry entry = wanted[i];
        const u8 *name = pairs + entry.name;
        if (!is_special(map, name, entry.name_size)) {
            wanted[fields++] = entry;
            continue;
        }
        i32 at = find(map, name, entry.name_size, 0);
        if (at < 0) continue;
        if (name[0] != ':')
            length_kept |= equal(map, at, &entry);
        else if (!equal(map, at, &entry) && reserve(map, entry.name_size + entry.value_size + 2))
            edit_set(map, at, name, entry.name_size, pairs + entry.value, entry.value_size);
    }
    if (map->special && !length_kept) {
        const Entry *last = &map->entries[map->special - 1];
        if (map->arena[last->name] != ':') edit_delete(map, map->special - 1);
    }
    return fields;
}

static int write_fields(Map *map, u32 count) {
    u32 first = map->special, same_first = 0, same_last = 0, old = map->count - first;
    while (same_first < count && same_first < old && equal(map, first + same_first, &wanted[same_first])) same_first++;
    while (same_last < count - same_first && same_last < old - same_first &&
           equal(map, map->count - 1 - same_last, &wanted[count - 1 - same_last]))
        same_last++;
    u32 end = count - same_last;
    for (u32 extra = old - same_last; extra > end; extra--) edit_delete(map, first + extra - 1);
    u32 kept = old - same_last < end ? old - same_last : end;
    for (u32 i = same_first; i < end; i++) {
        const Entry *entry = &wanted[i];
        u32 size = entry->name_size + entry->value_size + 2;
        if (i < kept && equal(map, first + i, entry)) continue;
        if (!reserve(map, size) || (i >= kept && map->count == MAP_LIMIT_FIELDS)) return 0;
        if (i < kept)
            edit_set(map, first + i, pairs + entry->name, entry->name_size, pairs + entry->value, entry->value_size);
        else if (first + i == map->count)
            edit_add(map, pairs + entry->name, entry->name_size, pairs + entry->value, entry->value_size);
        else
            edit_insert(map, first + i, pairs + entry->name, entry->name_size, pairs + entry->value, entry->value_size);
    }
    return 1;
}

static u32 set_pairs(u32 type, u32 from, u32 size) {
    if (size > ARENA_BYTES) return BAD_ARGUMENT;
    if (!take(pairs, from, size)) return INVALID_MEMORY;
    if (type > RESPONSE_TRAILERS) return BAD_ARGUMENT;
    u32 count = parse(size);
    if (count == NONE || !check(type, count)) return BAD_ARGUMENT;
    Map *map = map_of(type);
    if (!map) return BAD_ARGUMENT;
    if (!map->writable) {
        control[CTL_LATE_EDITS]++;
        return OK;
    }
    return write_fields(map, write_special(map, count)) ? OK : BAD_ARGUMENT;
}

EXPORT(proxy_set_header_map_pairs) u32 proxy_set_header_map_pairs(u32 type, u32 from, u32 size) {
    enter();
    return record(FN_SET_PAIRS, set_pairs(type, from, size), type);
}
