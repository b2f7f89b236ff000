#include "inner.h"

/* The WASI functions guests import, without files, sockets or inherited surroundings. */

enum errno { SUCCESS = 0, EBADF = 8, EFAULT = 21, EINVAL = 28, EISDIR_ = 20, ENOENT = 44, ENOSYS = 52, ENOTSUP = 58 };

#define RANDOM_LIMIT_BYTES 65536u
#define VECTORS_LIMIT 1024u
#define WASI(name) __attribute__((export_name("wasi." #name))) u32 wasi_##name
#define REFUSE(name, errno, ...) \
    WASI(name)(__VA_ARGS__) { \
        enter_any(); \
        return record(FN_WASI, errno, 0); \
    }

static u8 strings[GUESTS][STRINGS_BYTES]; /* argv, then environ, NUL-terminated; written by Python before the start */

u8 *string_bytes(void) { return strings[0]; }

static u32 fault(u32 failed) { return failed ? EFAULT : SUCCESS; }

static u32 list(u32 count, u32 bytes, u32 skipped, u32 at_pointers, u32 at_bytes) {
    const u8 *from = strings[control[CTL_GUEST]] + skipped;
    if (bytes && !put(at_bytes, from, bytes)) return EFAULT;
    for (u32 i = 0, at = 0; i < count; i++) {
        if (answer_word(at_pointers + 4 * i, at_bytes + at)) return EFAULT;
        while (from[at++]) {}
    }
    return SUCCESS;
}

WASI(args_get)(u32 at_pointers, u32 at_bytes) {
    enter_any();
    return record(FN_WASI, list(OWN(OWN_ARGC), OWN(OWN_ARGV_BYTES), 0, at_pointers, at_bytes), 1);
}

WASI(args_sizes_get)(u32 at_count, u32 at_bytes) {
    enter_any();
    return record(FN_WASI, fault(answer_pair(at_count, OWN(OWN_ARGC), at_bytes, OWN(OWN_ARGV_BYTES))), 2);
}

WASI(environ_get)(u32 at_pointers, u32 at_bytes) {
    enter_any();
    return record(FN_WASI, list(OWN(OWN_ENVC), OWN(OWN_ENV_BYTES), OWN(OWN_ARGV_BYTES), at_pointers, at_bytes), 3);
}

WASI(environ_sizes_get)(u32 at_count, u32 at_bytes) {
    enter_any();
    return record(FN_WASI, fault(answer_pair(at_count, OWN(OWN_ENVC), at_bytes, OWN(OWN_ENV_BYTES))), 4);
}

static u32 write_lines(u32 fd, u32 vectors, u32 count, u32 at_written) {
    u32 vector[2], line = 0, total = 0;
    window_used = 1;
    if (fd != 1 && fd != 2) return EBADF;
    if (count > VECTORS_LIMIT) return EINVAL;
    for (u32 i = 0; i < count; i++) {
        if (!take(vector, vectors + 8 * i, 8)) return EFAULT;
        u32 part = LOG_LIMIT_BYTES - line < vector[1] ? LOG_LIMIT_BYTES - line : vector[1];
        if (part && !take(window + line, vector[0], part)) return EFAULT;
        line += part;
        total += vector[1];
    }
    if (line && window[line - 1] == '\n') line--;
    log_bytes(fd == 2 ? 4 : 2, window, line);
    return fault(answer_word(at_written, total));
}

WASI(fd_write)(u32 fd, u32 vectors, u32 count, u32 at_written) {
    enter_any();
    return record(FN_WASI, write_lines(fd, vectors, count, at_written), 5);
}

WASI(fd_fdstat_get)(u32 fd, u32 at) {
    static const u8 zeros[24] = {[8] = 64};
    enter_any();
    if (fd != 1 && fd != 2) return record(FN_WASI, EBADF, 6);
    return record(FN_WASI, fault(!put(at, zeros, 24)), 6);
}

WASI(clock_time_get)(u32 clock, u64 precision, u32 at) {
    (void)precision;
    enter_any();
    return record(FN_WASI, clock > 1 ? ENOTSUP : fault(answer_wide(at, (*(u64 *)&control[CTL_NOW])++)), 7);
}

WASI(clock_res_get)(u32 clock, u32 at) {
    enter_any();
    return record(FN_WASI, clock > 1 ? ENOTSUP : fault(answer_wide(at, 1)), 8);
}

WASI(random_get)(u32 at, u32 size) {
    enter_any();
    if (size > RANDOM_LIMIT_BYTES) return record(FN_WASI, EINVAL, 9);
    window_used = 1;
    if (size) world(WORLD_RANDOM, size, 0, 0);
    return record(FN_WASI, fault(size && !put(at, window, size)), 9);
}

/* Success without events: Go's scheduler dies of any error here. */
WASI(poll_oneoff)(u32 in, u32 out, u32 count, u32 at_events) {
    enter_any();
    return record(FN_WASI, fault(answer_word(at_events, 0)), 10);
}

EXPORT(wasi.proc_exit) void wasi_proc_exit(u32 code) {
    enter_any();
    die(TRAP_EXIT, code);
}

REFUSE(sched_yield, SUCCESS, void)
REFUSE(proc_raise, ENOTSUP, u32 a)
REFUSE(fd_prestat_get, EBADF, u32 a, u32 b)
REFUSE(fd_filestat_get, EBADF, u32 a, u32 b)
REFUSE(fd_fdstat_set_flags, ENOSYS, u32 a, u32 b)
REFUSE(fd_fdstat_set_rights, ENOTSUP, u32 a, u64 b, u64 c)
REFUSE(fd_read, ENOSYS, u32 a, u32 b, u32 c, u32 d)
REFUSE(fd_pread, ENOSYS, u32 a, u32 b, u32 c, u64 d, u32 e)
REFUSE(fd_pwrite, ENOTSUP, u32 a, u32 b, u32 c, u64 d, u32 e)
REFUSE(fd_prestat_dir_name, ENOSYS, u32 a, u32 b, u32 c)
REFUSE(fd_readdir, EISDIR_, u32 a, u32 b, u32 c, u64 d, u32 e)
REFUSE(fd_seek, SUCCESS, u32 a, u64 b, u32 c, u32 d)
REFUSE(fd_tell, ENOTSUP, u32 a, u32 b)
REFUSE(fd_close, SUCCESS, u32 a)
REFUSE(fd_advise, SUCCESS, u32 a, u64 b, u64 c, u32 d)
REFUSE(fd_allocate, ENOTSUP, u32 a, u64 b, u64 c)
REFUSE(fd_datasync, ENOTSUP, u32 a)
REFUSE(fd_sync, ENOTSUP, u32 a)
REFUSE(fd_renumber, ENOTSUP, u32 a, u32 b)
REFUSE(fd_filestat_set_size, ENOTSUP, u32 a, u64 b)
REFUSE(fd_filestat_set_times, ENOTSUP, u32 a, u64 b, u64 c, u32 d)
REFUSE(path_open, ENOENT, u32 a, u32 b, u32 c, u32 d, u32 e, u64 f, u64 g, u32 h, u32 i)
REFUSE(path_create_directory, ENOTSUP, u32 a, u32 b, u32 c)
REFUSE(path_remove_directory, ENOTSUP, u32 a, u32 b, u32 c)
REFUSE(path_unlink_file, ENOTSUP, u32 a, u32 b, u32 c)
REFUSE(path_filestat_get, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e)
REFUSE(path_filestat_set_times, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u64 e, u64 f, u32 g)
REFUSE(path_link, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f, u32 g)
REFUSE(path_symlink, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e)
REFUSE(path_readlink, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
REFUSE(path_rename, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
REFUSE(sock_accept, ENOTSUP, u32 a, u32 b, u32 c)
REFUSE(sock_recv, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f)
REFUSE(sock_send, ENOTSUP, u32 a, u32 b, u32 c, u32 d, u32 e)
REFUSE(sock_shutdown, ENOTSUP, u32 a, u32 b)
