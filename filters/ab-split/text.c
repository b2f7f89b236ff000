#include "text.h"

#define PAGE 65536u

extern u8 __heap_base;

/* What is kept is never given back (configurations, and a table that doubles). Scratch memory is
   a list of kept blocks, filled from the first one on again after each callback. */
typedef struct block {
    struct block *next;
    u32 size;
    u32 unused[2];
} block;

static u8 *free_from, *free_to;
static block *first, *last, *current;
static u32 used;

void *keep(u32 size) {
    size = (size + 15) & ~15u;
    if (!free_from) {
        free_from = (u8 *)(((u32)&__heap_base + 15) & ~15u);
        free_to = (u8 *)(__builtin_wasm_memory_size(0) * PAGE);
    }
    if (size > (u32)(free_to - free_from)) {
        u32 pages = size / PAGE + 1;
        u32 before = __builtin_wasm_memory_grow(0, pages);
        if (before == (u32)-1) return 0;
        if ((u8 *)(before * PAGE) != free_to) free_from = (u8 *)(before * PAGE);
        free_to = (u8 *)((before + pages) * PAGE);
    }
    void *result = free_from;
    free_from += size;
    return result;
}

void *scratch(u32 size) {
    size = (size + 15) & ~15u;
    while (current && current->size - used < size) {
        current = current->next;
        used = 0;
    }
    if (!current) {
        u32 room = size > 16384 ? size : 16384;
        block *fresh = keep(sizeof(block) + room);
        if (!fresh) return 0;
        fresh->size = room;
        fresh->next = 0;
        if (last) last->next = fresh; else first = fresh;
        last = current = fresh;
        used = 0;
    }
    void *result = (u8 *)(current + 1) + used;
    used += size;
    return result;
}

void scratch_clear(void) {
    current = first;
    used = 0;
}

/* Called by the host for everything it hands over. */
EXPORT("proxy_on_memory_allocate") void *proxy_on_memory_allocate(u32 size) { return scratch(size); }

text keep_text(text source) {
    u8 *bytes = keep(source.size);
    if (!bytes) return (text){0, 0};
    __builtin_memcpy(bytes, source.bytes, source.size);
    return (text){bytes, source.size};
}

int same(text left, text right) {
    if (left.size != right.size) return 0;
    for (u32 i = 0; i < left.size; i++)
        if (left.bytes[i] != right.bytes[i]) return 0;
    return 1;
}

text join(const text *parts, u32 count) {
    u32 size = 0;
    for (u32 i = 0; i < count; i++) size += parts[i].size;
    u8 *bytes = scratch(size);
    if (!bytes) return (text){0, 0};
    u32 at = 0;
    for (u32 i = 0; i < count; i++) {
        __builtin_memcpy(bytes + at, parts[i].bytes, parts[i].size);
        at += parts[i].size;
    }
    return (text){bytes, size};
}

text decimal(u64 number) {
    u8 *end = scratch(20);
    if (!end) return (text){0, 0};
    end += 20;
    u8 *start = end;
    do {
        *--start = '0' + number % 10;
        number /= 10;
    } while (number);
    return (text){start, end - start};
}

void log_line(u32 level, text first_part, text second_part) {
    text parts[] = {TEXT("ab-split: "), first_part, second_part};
    text line = join(parts, 3);
    proxy_log(level, line.bytes, line.size);
}
