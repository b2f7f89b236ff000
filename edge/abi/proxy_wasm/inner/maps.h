/* Header maps: the working copy of one context's heads and trailers.
 *
 * Python hands a map over as `name NUL value NUL name NUL value`; entries point into that arena,
 * edits append to it. `special` entries lead: the pseudo headers, then content-length. Every edit
 * of a writable map is told to Python as an op, whose index counts from the first field that is
 * not special; so a list of fields there stays the mirror of the entries here.
 */
#ifndef EDGE_MAPS_H
#define EDGE_MAPS_H
#include "inner.h"

enum map_type { REQUEST = 0, REQUEST_TRAILERS, RESPONSE, RESPONSE_TRAILERS, CALL_HEADERS = 6, CALL_TRAILERS = 7, MAPS = 8 };
enum op { OP_ADD = 0, OP_SET, OP_DELETE, OP_SPECIAL, OP_INSERT };
enum map_state { UNKNOWN = 0, LOADED, INDEXED, MISSING };

#define OPS_LIMIT 256u
#define OPS_BYTES ARENA_BYTES

typedef struct { u32 name, name_size, value, value_size; } Entry;

typedef struct {
    u32 state, count, length, used, live, special, writable, type;
    Entry entries[MAP_LIMIT_FIELDS];
    u8 arena[ARENA_BYTES + 64];
} Map;

Map *map_of(u32 type);
u32 count_of(u32 type);
i32 find(const Map *map, const u8 *name, u32 size, u32 from);
int is_special(const Map *map, const u8 *name, u32 size);
int reserve(Map *map, u32 size);
u8 *append(Map *map, u32 name_size, u32 value_size);
void edit_add(Map *map, const u8 *name, u32 name_size, const u8 *value, u32 value_size);
void edit_set(Map *map, u32 index, const u8 *name, u32 name_size, const u8 *value, u32 value_size);
void edit_insert(Map *map, u32 index, const u8 *name, u32 name_size, const u8 *value, u32 value_size);
void edit_delete(Map *map, u32 index);

/* rules.c */
enum rule { RULE_REFUSED = 0, RULE_FIELD, RULE_PSEUDO, RULE_LENGTH };
int lower_name(u8 *name, u32 size);
u32 trim(const u8 *value, u32 *size);
int value_is_clean(const u8 *value, u32 size);
u32 rule_of(u32 type, const u8 *name, u32 size);
int pseudo_is_valid(u32 type, const u8 *name, u32 size, const u8 *value, u32 value_size);
int is_length(const u8 *value, u32 size);
int is_host(u32 type, const u8 *name, u32 size);
#endif
