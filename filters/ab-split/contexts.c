#include "contexts.h"

/* Open addressing, a power of two of places, at most half of them taken. The host numbers
   contexts in sequence, so the low bits spread them well. */
static context *places;
static u32 size, taken;

static context *place_of(u32 id) {
    u32 at = id & (size - 1);
    while (places[at].id && places[at].id != id) at = (at + 1) & (size - 1);
    return &places[at];
}

static int grow(void) {
    context *old = places;
    u32 old_size = size;
    u32 new_size = size ? size * 2 : 256;
    context *fresh = keep(new_size * sizeof(context));
    if (!fresh) return 0;
    __builtin_memset(fresh, 0, new_size * sizeof(context));
    places = fresh;
    size = new_size;
    for (u32 i = 0; i < old_size; i++)
        if (old[i].id) *place_of(old[i].id) = old[i];
    return 1;
}

context *context_add(u32 id) {
    if (taken * 2 >= size && !grow()) return 0;
    context *place = place_of(id);
    if (!place->id) taken++;
    *place = (context){id, 0, 0, 0};
    return place;
}

context *context_find(u32 id) {
    if (!size) return 0;
    context *place = place_of(id);
    return place->id ? place : 0;
}

void context_remove(u32 id) {
    context *hole = context_find(id);
    if (!hole) return;
    hole->id = 0;
    taken--;
    /* Whoever stands behind the hole may have wanted a place before it: put each in anew. */
    u32 at = (hole - places + 1) & (size - 1);
    while (places[at].id) {
        context moved = places[at];
        places[at].id = 0;
        *place_of(moved.id) = moved;
        at = (at + 1) & (size - 1);
    }
}
