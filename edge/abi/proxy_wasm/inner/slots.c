#include "slots.h"

/* Each slot has a function of its own, so that the linker gives each a place in the table. */
#define NO(name, ...) static u32 name(__VA_ARGS__) { __asm__ volatile("/* " #name " */"); return 1; }
#define ZERO(name, ...) static u32 name(__VA_ARGS__) { __asm__ volatile("/* " #name " */"); return 0; }
#define YES(name, ...) NO(name, __VA_ARGS__)

NO(no_copy_in, u32 a, u32 b, u32 c)
NO(no_copy_out, u32 a, u32 b, u32 c)
NO(no_store_pair, u32 a, u32 b, u32 c, u32 d)
NO(no_store_wide, u32 a, u64 b)
ZERO(no_allocate, u32 a)
ZERO(no_create, u32 a, u32 b)
YES(no_vm_start, u32 a, u32 b)
YES(no_validate, u32 a, u32 b)
YES(no_configure, u32 a, u32 b)
ZERO(no_tick, u32 a)
ZERO(no_request_headers, u32 a, u32 b, u32 c)
ZERO(no_request_body, u32 a, u32 b, u32 c)
ZERO(no_request_trailers, u32 a, u32 b)
ZERO(no_response_headers, u32 a, u32 b, u32 c)
ZERO(no_response_body, u32 a, u32 b, u32 c)
ZERO(no_response_trailers, u32 a, u32 b)
ZERO(no_call_response, u32 a, u32 b, u32 c, u32 d, u32 e)
YES(no_done, u32 a)
ZERO(no_log, u32 a)
ZERO(no_delete, u32 a)

typedef void (*any)(void);

/* Exported so that `build --check` can prove that slot n is table entry n. */
EXPORT(slot) u32 slot(u32 index) {
    static any volatile const slots[] = {
        0, (any)no_copy_in, (any)no_copy_out, (any)no_store_pair, (any)no_store_wide, (any)no_allocate,
        (any)no_create, (any)no_vm_start, (any)no_validate, (any)no_configure, (any)no_tick,
        (any)no_request_headers, (any)no_request_body, (any)no_request_trailers,
        (any)no_response_headers, (any)no_response_body, (any)no_response_trailers,
        (any)no_call_response, (any)no_done, (any)no_log, (any)no_delete,
    };
    return index < SLOT_END ? (u32)slots[index] : NONE;
}
