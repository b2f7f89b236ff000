// What a small Proxy-Wasm 0.2.1 guest without a standard library needs.
#include <stddef.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

enum { REQUEST = 0, RESPONSE = 2, CONTINUE = 0 };

IMPORT(proxy_get_header_map_value)
int proxy_get_header_map_value(int map, const char *name, size_t name_size, const char **value, size_t *size);
IMPORT(proxy_replace_header_map_value)
int proxy_replace_header_map_value(int map, const char *name, size_t name_size, const char *value, size_t size);

// The host asks for room for each value it hands over; the guest drops all of it at its next phase.
static unsigned char heap[1 << 17];
static size_t used;

static inline void reset_heap(void) { used = 0; }

EXPORT(proxy_on_memory_allocate)
void *allocate(size_t size) {
  if (size > sizeof heap - used) return 0;
  void *place = heap + used;
  used += (size + 15) & ~(size_t)15;
  return place;
}

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}
EXPORT(proxy_on_vm_start) int on_vm_start(int context, int size) { return 1; }
EXPORT(proxy_on_configure) int on_configure(int context, int size) {
  reset_heap();
  return 1;
}
EXPORT(proxy_on_context_create) void on_context_create(int context, int parent) {}
EXPORT(proxy_on_done) int on_done(int context) { return 1; }
EXPORT(proxy_on_delete) void on_delete(int context) {}
