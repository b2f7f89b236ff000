// The host functions of Proxy-Wasm 0.2.1 that the facade uses, word by word.

// @ts-ignore: decorator
@external("env", "proxy_log")
export declare function proxy_log(level: u32, text: usize, size: usize): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(
  buffer: u32, start: u32, most: u32, bytes: usize, size: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_get_header_map_value")
export declare function proxy_get_header_map_value(
  map: u32, name: usize, nameSize: usize, value: usize, size: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_add_header_map_value")
export declare function proxy_add_header_map_value(
  map: u32, name: usize, nameSize: usize, value: usize, size: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_replace_header_map_value")
export declare function proxy_replace_header_map_value(
  map: u32, name: usize, nameSize: usize, value: usize, size: usize,
): u32;

// @ts-ignore: decorator
@external("env", "proxy_remove_header_map_value")
export declare function proxy_remove_header_map_value(map: u32, name: usize, nameSize: usize): u32;
