/* Byte strings that know their length, and the memory they live in. */
#ifndef TEXT_H
#define TEXT_H

#include "host.h"

typedef struct {
    const u8 *bytes;
    u32 size;
} text;

#define TEXT(literal) ((text){(const u8 *)(literal), sizeof(literal) - 1})

int same(text left, text right);
text join(const text *parts, u32 count);
text decimal(u64 number);
void log_line(u32 level, text first, text second);

/* Scratch memory: whatever the host hands over and whatever is joined, until the callback ends. */
void *scratch(u32 size);
void scratch_clear(void);
/* Memory that stays. Both give 0 when there is no more. */
void *keep(u32 size);
text keep_text(text source);

#endif
