/* The inner host: a Proxy-Wasm host that lives in WASM, beside its guests, in one Store.
 *
 * It owns its memory; guests can name neither that memory nor the drivers. Guest memory is
 * reached only through the checked copies that the bridge puts into the table (slots.h). What
 * needs the world goes through one import, `world`. Python's side of this contract is layout.py.
 */
#ifndef EDGE_INNER_H
#define EDGE_INNER_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

#define EXPORT(name) __attribute__((export_name(#name)))
#define NONE 0xffffffffu

enum status { OK = 0, NOT_FOUND = 1, BAD_ARGUMENT = 2, INVALID_MEMORY = 6, EMPTY = 7, INTERNAL_FAILURE = 10 };

/* Words of the control block, shared with Python. */
enum control {
    CTL_CALLS = 0,          /* host calls left; with CTL_BYTES one little-endian u64 */
    CTL_BYTES = 1,          /* bytes that may still be copied between the memories */
    CTL_NOW = 2,            /* u64: wall clock in ns, cut to ms and fixed for a driver call */
    CTL_CONTEXT = 4,        /* effective context id */
    CTL_GUEST = 5,          /* which guest runs, or is to run: 0 .. GUESTS - 1 */
    CTL_LOG_LEVEL = 6,
    CTL_RECORDING = 7,
    CTL_TRAP = 8,           /* enum trap, set before the trap */
    CTL_TRAP_DETAIL = 9,
    CTL_OPS = 10,           /* edits waiting in ops_words, ops_bytes */
    CTL_OPS_BYTES = 11,
    CTL_LOG_BYTES = 12,
    CTL_RECORDS = 13,
    CTL_COUNT = 14,         /* answer of WORLD_LOAD: number of pairs */
    CTL_WRITABLE = 15,      /* answer of WORLD_LOAD: edits count */
    CTL_RESULT = 16,        /* u64: second answer of a world call */
    CTL_GUESTS = 18,        /* how many there are */
    CTL_MARK_OPS = 19,      /* of the edits waiting, how many are of guests before the one that runs */
    CTL_MARK_BYTES = 20,
    CTL_STOP = 21,          /* a group driver goes no further than the guest that runs */
    CTL_METRICS = 22,       /* metric changes waiting */
    CTL_LOGS_DROPPED = 23,
    CTL_LATE_EDITS = 24,    /* edits of a head that has already gone on */
    CTL_MIXED = 25,         /* not all edits waiting are additions */
    CTL_A0 = 26,            /* further arguments of a world call, up to CTL_A0 + 5 */
    CTL_OWN = 32,           /* OWN_WORDS for each guest, see enum own */
    /* What a group driver is told, up to LEFT, in one piece; see group.c. */
    CTL_TOLD_NOW = 96,      /* u64 */
    CTL_TOLD_CONTEXT = 98,
    CTL_TOLD_FIRST = 99,    /* the guest to begin with, perhaps with ONE_STEP */
    CTL_TOLD_LENGTH = 100,
    CTL_TOLD_COUNT = 101,
    CTL_TOLD_END = 102,
    CTL_TOLD_FRESH = 103,   /* the map is a new one; the driver takes it back */
    /* What it answers, LEFT included, in one piece. */
    CTL_CAME_WORD = 104,    /* u64; stays 0 when a guest trapped */
    CTL_CAME_OPS_BYTES = 106,
    CTL_CAME_GUEST = 107,
    CTL_LEFT = 108,         /* u64 for each guest: what this exchange may still use of CALLS and BYTES */
    CTL_WORDS = 124
};

/* Words of one guest's own, from CTL_OWN on. */
enum own {
    OWN_ABI = 0, /* 100 = 0.1.0, 200, 201 */
    OWN_ARGC = 1,
    OWN_ARGV_BYTES = 2,
    OWN_ENVC = 3,
    OWN_ENV_BYTES = 4,
    OWN_WORDS = 8
};

enum trap {
    TRAP_HOST_CALLS = 1,
    TRAP_BYTES_COPIED = 2,
    TRAP_EXIT = 3,
    TRAP_REENTRANCE = 5,
    TRAP_MAP_BROKEN = 6
};

/* What the outside is asked for. */
enum world_call {
    WORLD_LOAD = 1,          /* (map) -> encoded length | NONE; the bytes are in the map's arena */
    WORLD_FLUSH = 2,         /* () take the edits so far */
    WORLD_CONTEXT = 3,       /* (id) -> status; takes the edits of the old context first */
    WORLD_PROPERTY = 4,      /* (path length) -> value length | NONE; first window filled */
    WORLD_SET_PROPERTY = 5,  /* (path length, value length) -> status */
    WORLD_BUFFER = 6,        /* (type, start, max) -> length | NONE; first window filled */
    WORLD_BUFFER_SIZE = 7,   /* (type) -> length | NONE */
    WORLD_SET_BUFFER = 8,    /* (type, start, size), A0 = pushed length -> status */
    WORLD_PULL = 9,          /* (offset, size): the next window of what was answered */
    WORLD_PUSH = 10,         /* (offset, size): a window of an argument */
    WORLD_SHARED_GET = 11,   /* (key length) -> length | NONE; RESULT = cas */
    WORLD_SHARED_SET = 12,   /* (key length, pushed length, cas) -> status */
    WORLD_HTTP_CALL = 13,    /* (name, headers, trailers length), A0 = pushed, A1 = ms; RESULT = id */
    WORLD_TICK = 14,         /* (ms) */
    WORLD_STREAM = 15,       /* (0 continue | 1 close, stream type) -> status */
    WORLD_REPLY = 16,        /* (status, details length, headers length), A0 = pushed, A1 = grpc */
    WORLD_DONE = 17,         /* () -> status */
    WORLD_METRIC = 18,       /* (type, name length) -> index | NONE */
    WORLD_METRIC_VALUE = 19, /* (id) -> status; RESULT = value */
    WORLD_METRICS = 20,      /* () take the metric changes so far */
    WORLD_RANDOM = 21,       /* (size): fill the window */
    WORLD_QUEUE_REGISTER = 22, /* (name length) -> token | 0 */
    WORLD_QUEUE_RESOLVE = 23,  /* (vm id length, name length) -> token | 0 */
    WORLD_QUEUE_PUT = 24,    /* (token, pushed length) -> status */
    WORLD_QUEUE_TAKE = 25    /* (token) -> length | NONE; RESULT = why none; first window filled */
};

__attribute__((import_module("edge"), import_name("world")))
u32 world(u32 call, u32 a, u32 b, u32 c);

/* Numbers of host functions in the call record; layout.py has the names. */
enum function {
    FN_LOG = 1, FN_LOG_LEVEL, FN_TIME, FN_TICK, FN_GET_BUFFER, FN_SET_BUFFER, FN_BUFFER_STATUS,
    FN_MAP_SIZE, FN_GET_PAIRS, FN_SET_PAIRS, FN_GET_VALUE, FN_ADD_VALUE, FN_REPLACE_VALUE, FN_REMOVE_VALUE,
    FN_GET_PROPERTY, FN_SET_PROPERTY, FN_CONTINUE, FN_CLOSE, FN_REPLY, FN_HTTP_CALL, FN_GRPC, FN_STATUS,
    FN_SET_SHARED, FN_GET_SHARED, FN_QUEUE, FN_DEFINE_METRIC, FN_METRIC, FN_FOREIGN, FN_CONTEXT, FN_DONE,
    FN_CONFIGURATION, FN_ROUTE_CACHE, FN_WASI
};

#define GUESTS 8u
#define WINDOW_BYTES 65536u
#define STRINGS_BYTES 16384u
#define MAP_LIMIT_BYTES 122880u /* twice the wire's limit of a head */
#define MAP_LIMIT_FIELDS 1024u
#define NAME_LIMIT_BYTES 4096u
#define ARENA_BYTES 163840u
#define LOG_LIMIT_BYTES 4096u
#define LOG_RING_BYTES 65536u
#define RECORD_LIMIT 1024u

extern u32 control[CTL_WORDS];
#define OWN(word) control[CTL_OWN + control[CTL_GUEST] * OWN_WORDS + (word)]
extern u8 window[WINDOW_BYTES];
extern u32 window_used; /* set by whoever overwrites the window while the guest allocates */
extern u8 arguments[ARENA_BYTES + 16384];
extern u8 key[NAME_LIMIT_BYTES];
extern u8 scratch[ARENA_BYTES + 64];

/* memory.c */
void *memcpy(void *to, const void *from, unsigned long size);
void *memmove(void *to, const void *from, unsigned long size);
int same(const u8 *a, const u8 *b, u32 size);
void die(u32 code, u32 detail) __attribute__((noreturn));
void enter(void);
void enter_any(void);
int take(void *to, u32 from, u32 size);
int put(u32 to, const void *from, u32 size);
u32 answer_pair(u32 at_a, u32 a, u32 at_b, u32 b);
u32 answer_word(u32 at, u32 value);
u32 answer_wide(u32 at, u64 value);
u32 give(const u8 *bytes, u32 size, u32 at_pointer, u32 at_size);
u32 give_world(u32 size, u32 at_pointer, u32 at_size);
int push(u32 from, u32 size);
u32 record(u32 function, u32 status, u32 detail);
void begin(u32 context);

/* stream.c */
void return_to(u32 context);

/* maps.c */
void forget_stream_maps(void);
void forget_all_maps(void);
void set_map(u32 type, u32 count, u32 length);

/* logs.c */
void log_bytes(u32 level, const u8 *bytes, u32 size);
#endif
