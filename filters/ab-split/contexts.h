/* What is known of each context: a root's configuration, a stream's root and its choice. */
#ifndef CONTEXTS_H
#define CONTEXTS_H

#include "config.h"

typedef struct {
    u32 id; /* 0 = this place is free */
    config *settings;
    const variant *chosen;
    int is_new; /* the client does not hold the cookie yet */
} context;

/* 0 when there is no memory left. */
context *context_add(u32 id);
/* 0 when there is none. Valid until the next context_add. */
context *context_find(u32 id);
void context_remove(u32 id);

#endif
