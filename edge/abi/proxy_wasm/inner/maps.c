#include "maps.h"

static Map maps[6];
static u32 op_words[OPS_LIMIT];
static u8 op_bytes[OPS_BYTES + 64];

u32 *ops_words(void) { return op_words; }
u8 *ops_bytes(void) { return op_bytes; }

static Map *place(u32 type) {
    if (type < 4) return &maps[type];
    return type == CALL_HEADERS ? &maps[4] : type == CALL_TRAILERS ? &maps[5] : 0;
}

u8 *map_arena(u32 type) {
    Map *map = place(type);
    return map ? map->arena : 0;
}

void forget_stream_maps(void) {
    for (u32 i = 0; i < 4; i++) maps[i].state = UNKNOWN;
}

void forget_all_maps(void) {
    for (u32 i = 0; i < 6; i++) maps[i].state = UNKNOWN;
}

static void loaded(Map *map, u32 type, u32 count, u32 length, u32 writable) {
    map->type = type;
    map->count = count;
    map->length = length;
    map->writable = writable;
    map->state = LOADED;
}

/* The map of the phase: already in its arena, and open to edits. */
void set_map(u32 type, u32 count, u32 length) { loaded(place(type), type, count, length, 1); }

/* Of the phase's map, as it is now. */
u32 count_of(u32 type) { return place(type)->count; }

/* Entries are four words in the order of the encoding, so NULs fill them one after another. */
static int cut(Map *map) {
    typedef u8 vector __attribute__((vector_size(16), aligned(1)));
    typedef signed char lanes __attribute__((vector_size(16)));
    u32 *words = (u32 *)map->entries, wanted = map->count * 2, done = 0, start = 0, length = map->length;
    u8 *bytes = map->arena;
    if (map->count > MAP_LIMIT_FIELDS || length > MAP_LIMIT_BYTES) return 0;
    if (!wanted) return length == 0;
    bytes[length] = 0;
    for (u32 at = 0; at <= length; at += 16) {
        vector part = *(vector *)(bytes + at);
        u32 zeros = __builtin_wasm_bitmask_i8x16((lanes)(part == 0));
        for (; zeros; zeros &= zeros - 1) {
            u32 end = at + __builtin_ctz(zeros);
            if (end > length) break;
            if (done == wanted) return 0;
            words[done * 2] = start;
            words[done * 2 + 1] = end - start;
            start = end + 1;
            done++;
        }
    }
    return done == wanted;
}

int is_special(const Map *map, const u8 *name, u32 size) {
    if (map->type != REQUEST && map->type != RESPONSE) return 0;
    return (size && name[0] == ':') || (size == 14 && same(name, (const u8 *)"content-length", 14));
}

static void index_map(Map *map) {
    if (!cut(map)) die(TRAP_MAP_BROKEN, map->type);
    map->used = map->live = map->count ? map->length + 1 : 0;
    u32 special = 0;
    while (special < map->count &&
           is_special(map, map->arena + map->entries[special].name, map->entries[special].name_size))
        special++;
    map->special = special;
    map->state = INDEXED;
}

Map *map_of(u32 type) {
    Map *map = place(type);
    if (!map) return 0;
    if (map->state == UNKNOWN) {
        u32 length = world(WORLD_LOAD, type, 0, 0);
        if (length == NONE)
            map->state = MISSING;
        else
            loaded(map, type, control[CTL_COUNT], length, control[CTL_WRITABLE]);
    }
    if (map->state == LOADED) index_map(map);
    return map->state == MISSING ? 0 : map;
}

i32 find(const Map *map, const u8 *name, u32 size, u32 from) {
    for (u32 i = from; i < map->count; i++)
        if (map->entries[i].name_size == size && same(map->arena + map->entries[i].name, name, size)) return i;
    return -1;
}

/* What the guest after this one could not take as it lies here: changes that may fail, and values
 * that Python shows transcoded. */
static int stands_alone(u32 op, const u8 *value, u32 size) {
    if (op == OP_SPECIAL) return 1;
    for (u32 i = 0; i < size; i++)
        if (value[i] & 0x80) return 1;
    return 0;
}

static void tell(Map *map, u32 op, u32 index, const u8 *name, u32 name_size, const u8 *value, u32 value_size) {
    u32 at = control[CTL_OPS_BYTES];
    if (control[CTL_OPS] == OPS_LIMIT || at + name_size + value_size + 2 > OPS_BYTES) {
        world(WORLD_FLUSH, 0, 0, 0);
        control[CTL_OPS] = control[CTL_OPS_BYTES] = control[CTL_MARK_OPS] = control[CTL_MARK_BYTES] = at = 0;
    }
    if (stands_alone(op, value, value_size)) control[CTL_STOP] = 1;
    if (op != OP_ADD) control[CTL_MIXED] = 1;
    op_words[control[CTL_OPS]++] = op << 28 | map->type << 24 | index;
    memcpy(op_bytes + at, name, name_size);
    at += name_size;
    op_bytes[at++] = 0;
    memcpy(op_bytes + at, value, value_size);
    at += value_size;
    op_bytes[at++] = 0;
    control[CTL_OPS_BYTES] = at;
}

/* Makes room for size more bytes; drops bytes that no entry uses any more. */
int reserve(Map *map, u32 size) {
    if (map->live + size > MAP_LIMIT_BYTES) return 0;
    if (map->used + size <= ARENA_BYTES) return 1;
    u32 at = 0;
    for (u32 i = 0; i < map->count; i++) {
        Entry *entry = &map->entries[i];
        memcpy(scratch + at, map->arena + entry->name, entry->name_size);
        entry->name = at;
        at += entry->name_size;
        memcpy(scratch + at, map->arena + entry->value, entry->value_size);
        entry->value = at;
        at += entry->value_size;
    }
    memcpy(map->arena, scratch, at);
    map->used = at;
    return 1;
}

static Entry stored(Map *map, const u8 *name, u32 name_size, const u8 *value, u32 value_size) {
    Entry entry = {map->used, name_size, map->used + name_size, value_size};
    memcpy(map->arena + entry.name, name, name_size);
    memcpy(map->arena + entry.value, value, value_size);
    map->used += name_size + value_size;
    map->live += name_size + value_size + 2;
    return entry;
}

void edit_add(Map *map, const u8 *name, u32 name_size, const u8 *value, u32 value_size) {
    tell(map, OP_ADD, map->count - map->special, name, name_size, value, value_size);
    Entry entry = stored(map, name, name_size, value, value_size);
    map->entries[map->count++] = entry;
}

void edit_set(Map *map, u32 index, const u8 *name, u32 name_size, const u8 *value, u32 value_size) {
    int special = index < map->special;
    Entry *entry = &map->entries[index];
    tell(map, special ? OP_SPECIAL : OP_SET, special ? 0 : index - map->special, name, name_size, value, value_size);
    map->live -= entry->name_size + entry->value_size + 2;
    *entry = stored(map, name, name_size, value, value_size);
}

void edit_insert(Map *map, u32 index, const u8 *name, u32 name_size, const u8 *value, u32 value_size) {
    tell(map, OP_INSERT, index - map->special, name, name_size, value, value_size);
    Entry entry = stored(map, name, name_size, value, value_size);
    memmove(&map->entries[index + 1], &map->entries[index], (map->count - index) * sizeof(Entry));
    map->entries[index] = entry;
    map->count++;
}

void edit_delete(Map *map, u32 index) {
    int special = index < map->special;
    Entry *entry = &map->entries[index];
    const u8 *name = map->arena + entry->name;
    tell(map, special ? OP_SPECIAL : OP_DELETE, special ? 0 : index - map->special, name, entry->name_size, name, 0);
    map->live -= entry->name_size + entry->value_size + 2;
    map->special -= special;
    map->count--;
    memmove(entry, entry + 1, (map->count - index) * sizeof(Entry));
}
