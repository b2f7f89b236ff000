/* The filter's configuration, parsed once per root context. */
#ifndef CONFIG_H
#define CONFIG_H

#include "text.h"

#define MAX_VARIANTS 16

typedef struct {
    text name;    /* a token: it goes into the cookie and a header */
    text backend; /* empty = the rule's own backend */
    u32 weight;
} variant;

typedef struct {
    text cookie;
    text header; /* empty = clients cannot choose by a header */
    text query;  /* empty = clients cannot choose by a query parameter */
    u64 max_age_s;
    u32 count;
    u32 total_weight;
    variant variants[MAX_VARIANTS];
} config;

/* 0 and a reason in *problem, or a configuration that stays. */
config *config_parse(text source, text *problem);

#endif
