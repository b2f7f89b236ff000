#include "json.h"

static int peek(reader *from) {
    while (from->at < from->end &&
           (*from->at == ' ' || *from->at == '\t' || *from->at == '\n' || *from->at == '\r'))
        from->at++;
    return from->failed || from->at == from->end ? -1 : *from->at;
}

static int take(reader *from, u8 wanted) {
    if (peek(from) != wanted) {
        from->failed = 1;
        return 0;
    }
    from->at++;
    return 1;
}

int json_object_start(reader *from) { return take(from, '{'); }

int json_array_start(reader *from) { return take(from, '['); }

/* Steps over the comma or the closing bracket between two elements. */
static int more(reader *from, int *is_first, u8 closing) {
    int next = peek(from);
    if (next == closing) {
        from->at++;
        return 0;
    }
    if (!*is_first) take(from, ',');
    *is_first = 0;
    return !from->failed && next >= 0;
}

int json_next_item(reader *from, int *is_first) { return more(from, is_first, ']'); }

int json_next_member(reader *from, int *is_first, text *name) {
    if (!more(from, is_first, '}')) return 0;
    *name = json_string(from);
    take(from, ':');
    return !from->failed;
}

text json_string(reader *from) {
    text result = {0, 0};
    if (!take(from, '"')) return result;
    u8 *to = scratch(from->end - from->at);
    result.bytes = to;
    while (to && from->at < from->end) {
        u8 byte = *from->at++;
        if (byte == '"') return result;
        if (byte < 0x20) break;
        if (byte == '\\') {
            /* Names and clusters need no other escapes; anything else is refused. */
            if (from->at == from->end) break;
            byte = *from->at++;
            if (byte != '"' && byte != '\\' && byte != '/') break;
        }
        to[result.size++] = byte;
    }
    from->failed = 1;
    return (text){0, 0};
}

u64 json_count(reader *from) {
    int next = peek(from);
    u64 number = 0;
    const u8 *start = from->at;
    while (next >= '0' && next <= '9' && from->at - start < 10) {
        number = number * 10 + (next - '0');
        from->at++;
        next = from->at < from->end ? *from->at : -1;
    }
    int has_leading_zero = from->at - start > 1 && *start == '0';
    int is_longer = (next >= '0' && next <= '9') || next == '.' || next == 'e' || next == 'E';
    if (from->at == start || has_leading_zero || is_longer) from->failed = 1;
    return number;
}

int json_end(reader *from) { return peek(from) < 0 && !from->failed; }
