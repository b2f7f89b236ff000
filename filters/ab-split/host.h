/* The part of Proxy-Wasm 0.2.1 this filter uses, and WASI's random bytes. */
#ifndef HOST_H
#define HOST_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))

enum { LOG_INFO = 2, LOG_WARN = 3, LOG_ERROR = 4 };
enum { MAP_REQUEST = 0, MAP_RESPONSE = 2 };
enum { BUFFER_PLUGIN_CONFIGURATION = 7 };
enum { STATUS_OK = 0 };
enum { ACTION_CONTINUE = 0 };

IMPORT("env", "proxy_log") u32 proxy_log(u32 level, const u8 *text, u32 size);
IMPORT("env", "proxy_get_buffer_bytes")
u32 proxy_get_buffer_bytes(u32 buffer, u32 start, u32 most, u8 **bytes, u32 *size);
IMPORT("env", "proxy_get_header_map_value")
u32 proxy_get_header_map_value(u32 map, const u8 *name, u32 name_size, u8 **value, u32 *size);
IMPORT("env", "proxy_add_header_map_value")
u32 proxy_add_header_map_value(u32 map, const u8 *name, u32 name_size, const u8 *value, u32 size);
IMPORT("env", "proxy_replace_header_map_value")
u32 proxy_replace_header_map_value(u32 map, const u8 *name, u32 name_size, const u8 *value, u32 size);
IMPORT("env", "proxy_set_property")
u32 proxy_set_property(const u8 *path, u32 path_size, const u8 *value, u32 size);
IMPORT("wasi_snapshot_preview1", "random_get") u32 random_get(u8 *bytes, u32 size);

#endif
