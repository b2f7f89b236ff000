// A Proxy-Wasm 0.2.1 filter of three host calls: reads one request header, sets one request and one
// response header. The same .wasm runs in Envoy and in edge.
#include "proxy_wasm.h"

EXPORT(proxy_on_request_headers)
int on_request_headers(int context, int count, int end) {
  const char *value;
  size_t size;
  reset_heap();
  proxy_get_header_map_value(REQUEST, "x-tenant", 8, &value, &size);
  proxy_replace_header_map_value(REQUEST, "x-user", 6, "alice", 5);
  return CONTINUE;
}

EXPORT(proxy_on_response_headers)
int on_response_headers(int context, int count, int end) {
  proxy_replace_header_map_value(RESPONSE, "x-filtered", 10, "yes", 3);
  return CONTINUE;
}
