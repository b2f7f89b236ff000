// A Proxy-Wasm 0.2.1 filter of eighteen host calls: eight reads and four writes on the request, four
// reads and two writes on the response.
#include "proxy_wasm.h"

static void read_header(int map, const char *name, size_t name_size) {
  const char *value;
  size_t size;
  proxy_get_header_map_value(map, name, name_size, &value, &size);
}

static void write_header(int map, const char *name, size_t name_size) {
  proxy_replace_header_map_value(map, name, name_size, "some-value", 10);
}

#define READ(map, name) read_header(map, name, sizeof name - 1)
#define WRITE(map, name) write_header(map, name, sizeof name - 1)

EXPORT(proxy_on_request_headers)
int on_request_headers(int context, int count, int end) {
  reset_heap();
  READ(REQUEST, "x-tenant");
  READ(REQUEST, "user-agent");
  READ(REQUEST, "accept");
  READ(REQUEST, "cookie");
  READ(REQUEST, "referer");
  READ(REQUEST, ":path");
  READ(REQUEST, ":method");
  READ(REQUEST, "x-absent");
  WRITE(REQUEST, "x-one");
  WRITE(REQUEST, "x-two");
  WRITE(REQUEST, "x-three");
  WRITE(REQUEST, "x-tenant");
  return CONTINUE;
}

EXPORT(proxy_on_response_headers)
int on_response_headers(int context, int count, int end) {
  reset_heap();
  READ(RESPONSE, ":status");
  READ(RESPONSE, "content-type");
  READ(RESPONSE, "etag");
  READ(RESPONSE, "x-absent");
  WRITE(RESPONSE, "x-four");
  WRITE(RESPONSE, "x-five");
  return CONTINUE;
}
