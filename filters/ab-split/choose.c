#include "choose.h"

static u64 state;

/* xorshift64*, seeded by the host: fair, which is all that is asked. Nothing secret hangs on it. */
static u32 draw(u32 below) {
    while (!state) {
        if (random_get((u8 *)&state, sizeof state)) state = 0x9e3779b97f4a7c15ull;
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    u32 high = state * 0x2545f4914f6cdd1dull >> 32;
    return (u64)high * below >> 32;
}

static text request_value(text name) {
    u8 *bytes = 0;
    u32 size = 0;
    if (proxy_get_header_map_value(MAP_REQUEST, name.bytes, name.size, &bytes, &size)) size = 0;
    return (text){bytes, size};
}

/* The value of `name` in `name=value` pairs that `separator` parts; empty when there is none. */
static text pair_value(text source, text name, u8 separator) {
    u32 at = 0;
    while (at < source.size) {
        u32 end = at;
        while (end < source.size && source.bytes[end] != separator) end++;
        while (at < end && source.bytes[at] == ' ') at++;
        text key = {source.bytes + at, name.size};
        if (end - at > name.size && source.bytes[at + name.size] == '=' && same(key, name))
            return (text){key.bytes + name.size + 1, end - at - name.size - 1};
        at = end + 1;
    }
    return (text){0, 0};
}

static text query_value(text name) {
    text path = request_value(TEXT(":path"));
    u32 at = 0;
    while (at < path.size && path.bytes[at] != '?') at++;
    if (at == path.size) return (text){0, 0};
    return pair_value((text){path.bytes + at + 1, path.size - at - 1}, name, '&');
}

static const variant *named(const config *settings, text name) {
    for (u32 i = 0; name.size && i < settings->count; i++)
        if (same(settings->variants[i].name, name)) return &settings->variants[i];
    return 0;
}

static const variant *by_weight(const config *settings) {
    u32 ticket = draw(settings->total_weight);
    const variant *candidate = settings->variants;
    while (ticket >= candidate->weight) ticket -= candidate++->weight;
    return candidate;
}

const variant *choose(const config *settings, int *is_new) {
    const variant *held = named(settings, pair_value(request_value(TEXT("cookie")), settings->cookie, ';'));
    const variant *chosen = 0;
    if (settings->header.size) chosen = named(settings, request_value(settings->header));
    if (!chosen && settings->query.size) chosen = named(settings, query_value(settings->query));
    if (!chosen) chosen = held ? held : by_weight(settings);
    *is_new = chosen != held;
    return chosen;
}
