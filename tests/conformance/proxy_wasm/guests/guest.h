/* Declarations for guests written by hand. */
#ifndef GUEST_H
#define GUEST_H
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

IMPORT(proxy_log) u32 proxy_log(u32, u32, u32);
IMPORT(proxy_get_log_level) u32 proxy_get_log_level(u32);
IMPORT(proxy_get_current_time_nanoseconds) u32 proxy_get_current_time_nanoseconds(u32);
IMPORT(proxy_set_tick_period_milliseconds) u32 proxy_set_tick_period_milliseconds(u32);
IMPORT(proxy_get_buffer_bytes) u32 proxy_get_buffer_bytes(u32, u32, u32, u32, u32);
IMPORT(proxy_set_buffer_bytes) u32 proxy_set_buffer_bytes(u32, u32, u32, u32, u32);
IMPORT(proxy_get_buffer_status) u32 proxy_get_buffer_status(u32, u32, u32);
IMPORT(proxy_get_header_map_size) u32 proxy_get_header_map_size(u32, u32);
IMPORT(proxy_get_header_map_pairs) u32 proxy_get_header_map_pairs(u32, u32, u32);
IMPORT(proxy_set_header_map_pairs) u32 proxy_set_header_map_pairs(u32, u32, u32);
IMPORT(proxy_get_header_map_value) u32 proxy_get_header_map_value(u32, u32, u32, u32, u32);
IMPORT(proxy_add_header_map_value) u32 proxy_add_header_map_value(u32, u32, u32, u32, u32);
IMPORT(proxy_replace_header_map_value) u32 proxy_replace_header_map_value(u32, u32, u32, u32, u32);
IMPORT(proxy_remove_header_map_value) u32 proxy_remove_header_map_value(u32, u32, u32);
IMPORT(proxy_get_property) u32 proxy_get_property(u32, u32, u32, u32);
IMPORT(proxy_set_property) u32 proxy_set_property(u32, u32, u32, u32);
IMPORT(proxy_continue_stream) u32 proxy_continue_stream(u32);
IMPORT(proxy_close_stream) u32 proxy_close_stream(u32);
IMPORT(proxy_send_local_response) u32 proxy_send_local_response(u32, u32, u32, u32, u32, u32, u32, u32);
IMPORT(proxy_http_call) u32 proxy_http_call(u32, u32, u32, u32, u32, u32, u32, u32, u32, u32);
IMPORT(proxy_grpc_call) u32 proxy_grpc_call(u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32);
IMPORT(proxy_grpc_stream) u32 proxy_grpc_stream(u32, u32, u32, u32, u32, u32, u32, u32, u32);
IMPORT(proxy_grpc_send) u32 proxy_grpc_send(u32, u32, u32, u32);
IMPORT(proxy_grpc_cancel) u32 proxy_grpc_cancel(u32);
IMPORT(proxy_grpc_close) u32 proxy_grpc_close(u32);
IMPORT(proxy_get_status) u32 proxy_get_status(u32, u32, u32);
IMPORT(proxy_set_shared_data) u32 proxy_set_shared_data(u32, u32, u32, u32, u32);
IMPORT(proxy_get_shared_data) u32 proxy_get_shared_data(u32, u32, u32, u32, u32);
IMPORT(proxy_register_shared_queue) u32 proxy_register_shared_queue(u32, u32, u32);
IMPORT(proxy_resolve_shared_queue) u32 proxy_resolve_shared_queue(u32, u32, u32, u32, u32);
IMPORT(proxy_enqueue_shared_queue) u32 proxy_enqueue_shared_queue(u32, u32, u32);
IMPORT(proxy_dequeue_shared_queue) u32 proxy_dequeue_shared_queue(u32, u32, u32);
IMPORT(proxy_define_metric) u32 proxy_define_metric(u32, u32, u32, u32);
IMPORT(proxy_record_metric) u32 proxy_record_metric(u32, u64);
IMPORT(proxy_increment_metric) u32 proxy_increment_metric(u32, u64);
IMPORT(proxy_get_metric) u32 proxy_get_metric(u32, u32);
IMPORT(proxy_call_foreign_function) u32 proxy_call_foreign_function(u32, u32, u32, u32, u32, u32);
IMPORT(proxy_set_effective_context) u32 proxy_set_effective_context(u32);
IMPORT(proxy_done) u32 proxy_done(void);

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
WASI(args_get) u32 args_get(u32, u32);
WASI(args_sizes_get) u32 args_sizes_get(u32, u32);
WASI(environ_get) u32 environ_get(u32, u32);
WASI(environ_sizes_get) u32 environ_sizes_get(u32, u32);
WASI(fd_write) u32 fd_write(u32, u32, u32, u32);
WASI(fd_fdstat_get) u32 fd_fdstat_get(u32, u32);
WASI(clock_time_get) u32 clock_time_get(u32, u64, u32);
WASI(random_get) u32 random_get(u32, u32);
WASI(poll_oneoff) u32 poll_oneoff(u32, u32, u32, u32);
WASI(proc_exit) void proc_exit(u32);
WASI(fd_prestat_get) u32 fd_prestat_get(u32, u32);
WASI(path_open) u32 path_open(u32, u32, u32, u32, u32, u64, u64, u32, u32);
#endif
