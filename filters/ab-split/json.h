/* A small strict JSON reader that walks the source once. */
#ifndef JSON_H
#define JSON_H

#include "text.h"

typedef struct {
    const u8 *at;
    const u8 *end;
    int failed;
} reader;

int json_object_start(reader *from);
int json_array_start(reader *from);
/* Whether another member or item follows; a member's name goes to *name. */
int json_next_member(reader *from, int *is_first, text *name);
int json_next_item(reader *from, int *is_first);
text json_string(reader *from);
u64 json_count(reader *from);
/* Whether nothing but white space is left. */
int json_end(reader *from);

#endif
