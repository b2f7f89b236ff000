// What a filter says to the host, in bytes that are made once and used for every request.

import {
  proxy_add_header_map_value, proxy_get_buffer_bytes, proxy_get_header_map_value, proxy_log,
  proxy_remove_header_map_value, proxy_replace_header_map_value,
} from "./imports";

export type Bytes = ArrayBuffer;

export namespace Map {
  export const REQUEST: u32 = 0;
  export const RESPONSE: u32 = 2;
}

export namespace Level {
  export const INFO: u32 = 2;
  export const WARN: u32 = 3;
  export const ERROR: u32 = 4;
}

const PLUGIN_CONFIGURATION: u32 = 7;

// Where the host writes the address and the size of what it hands over.
const answer: usize = memory.data(8);

/** The bytes of `text` in UTF-8. */
export function bytes(text: string): Bytes {
  return String.UTF8.encode(text);
}

/** The bytes of a field's name, with ASCII letters in lower case. */
export function fieldName(name: string): Bytes {
  const result = bytes(name);
  const start = changetype<usize>(result);
  for (let index = 0; index < result.byteLength; index++) {
    const byte = load<u8>(start + index);
    if (byte >= 0x41 && byte <= 0x5a) store<u8>(start + index, byte | 0x20);
  }
  return result;
}

/** The text of `source`; what is not UTF-8 becomes U+FFFD. */
export function text(source: Bytes): string {
  return String.UTF8.decode(source);
}

export function log(level: u32, message: string): void {
  const line = bytes(message);
  proxy_log(level, changetype<usize>(line), line.byteLength);
}

/** The filter's configuration; empty when there is none. */
export function configuration(size: u32): Bytes {
  if (size == 0) return new ArrayBuffer(0);
  const status = proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, size, answer, answer + 4);
  return status == 0 ? received() : new ArrayBuffer(0);
}

/** The first value of a field, or null. `name` is in lower case. */
export function getField(map: u32, name: Bytes): Bytes | null {
  const status = proxy_get_header_map_value(
    map, changetype<usize>(name), name.byteLength, answer, answer + 4,
  );
  return status == 0 ? received() : null;
}

/** Put `value` in the place of all values of `name`. Whether the host did it. */
export function setField(map: u32, name: Bytes, value: Bytes): bool {
  return proxy_replace_header_map_value(
    map, changetype<usize>(name), name.byteLength, changetype<usize>(value), value.byteLength,
  ) == 0;
}

/** Append one field. Whether the host did it. */
export function addField(map: u32, name: Bytes, value: Bytes): bool {
  return proxy_add_header_map_value(
    map, changetype<usize>(name), name.byteLength, changetype<usize>(value), value.byteLength,
  ) == 0;
}

/** Drop all values of `name`. */
export function removeField(map: u32, name: Bytes): void {
  proxy_remove_header_map_value(map, changetype<usize>(name), name.byteLength);
}

/** Takes over the block the host filled: a copy the collector knows, then the block is freed. */
function received(): Bytes {
  const start = load<u32>(answer);
  const size = load<u32>(answer, 4);
  const copy = new ArrayBuffer(size);
  if (size > 0) {
    memory.copy(changetype<usize>(copy), start, size);
    heap.free(start);
  }
  return copy;
}

/** The host takes memory for what it hands over here; `received` gives it back. */
export function allocate(size: u32): usize {
  return heap.alloc(size);
}

/** Ends the instance after saying where and why; `asc --use abort=…` points at it. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = (file === null ? "?" : file) + ":" + line.toString() + ":" + column.toString();
  log(Level.ERROR, place + ": " + (message === null ? "aborted" : message));
  unreachable();
}
