#include "slots.h"

/* Each slot of each guest has a function of its own, so that the linker gives each a place in the table. */
#define NO(name, ...) static u32 name(__VA_ARGS__) { __asm__ volatile("/* " #name " */"); return 1; }
#define ZERO(name, ...) static u32 name(__VA_ARGS__) { __asm__ volatile("/* " #name " */"); return 0; }
#define YES(name, ...) NO(name, __VA_ARGS__)

#define DEFINE(g) \
    NO(no_copy_in##g, u32 a, u32 b, u32 c) \
    NO(no_copy_out##g, u32 a, u32 b, u32 c) \
    NO(no_store_pair##g, u32 a, u32 b, u32 c, u32 d) \
    NO(no_store_wide##g, u32 a, u64 b) \
    ZERO(no_allocate##g, u32 a) \
    ZERO(no_create##g, u32 a, u32 b) \
    YES(no_vm_start##g, u32 a, u32 b) \
    YES(no_validate##g, u32 a, u32 b) \
    YES(no_configure##g, u32 a, u32 b) \
    ZERO(no_tick##g, u32 a) \
    ZERO(no_request_headers##g, u32 a, u32 b, u32 c) \
    ZERO(no_request_body##g, u32 a, u32 b, u32 c) \
    ZERO(no_request_trailers##g, u32 a, u32 b) \
    ZERO(no_response_headers##g, u32 a, u32 b, u32 c) \
    ZERO(no_response_body##g, u32 a, u32 b, u32 c) \
    ZERO(no_response_trailers##g, u32 a, u32 b) \
    ZERO(no_call_response##g, u32 a, u32 b, u32 c, u32 d, u32 e) \
    YES(no_done##g, u32 a) \
    ZERO(no_log##g, u32 a) \
    ZERO(no_delete##g, u32 a) \
    ZERO(no_queue_ready##g, u32 a, u32 b)

#define LIST(g) \
    (any)no_copy_in##g, (any)no_copy_out##g, (any)no_store_pair##g, (any)no_store_wide##g, (any)no_allocate##g, \
        (any)no_create##g, (any)no_vm_start##g, (any)no_validate##g, (any)no_configure##g, (any)no_tick##g, \
        (any)no_request_headers##g, (any)no_request_body##g, (any)no_request_trailers##g, \
        (any)no_response_headers##g, (any)no_response_body##g, (any)no_response_trailers##g, \
        (any)no_call_response##g, (any)no_done##g, (any)no_log##g, (any)no_delete##g, \
        (any)no_queue_ready##g

DEFINE(0)
DEFINE(1)
DEFINE(2)
DEFINE(3)
DEFINE(4)
DEFINE(5)
DEFINE(6)
DEFINE(7)

typedef void (*any)(void);

/* Exported so that `build --check` can prove that slot n is table entry n. */
EXPORT(slot) u32 slot(u32 index) {
    static any volatile const slots[] = {0, LIST(0), LIST(1), LIST(2), LIST(3), LIST(4), LIST(5), LIST(6), LIST(7)};
    return index <= GUESTS * SLOTS ? (u32)slots[index] : NONE;
}

/* The entry that slot 0 of the guest now being put in would have; its bridge asks. */
EXPORT(table_base) u32 table_base(void) { return OF_GUEST(0); }
