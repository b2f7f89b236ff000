/* script.c without callbacks for bodies and trailers. */
#define HEADS_ONLY
#include "script.c"
