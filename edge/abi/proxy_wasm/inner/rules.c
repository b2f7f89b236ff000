#include "maps.h"

/* What may stand in a field that a guest writes: the rules of the wire (RFC 9110 5, 9112 11). */

#define TEXT(name, size, text) ((size) == sizeof(text) - 1 && same((name), (const u8 *)(text), sizeof(text) - 1))

static int is_token_byte(u8 c) {
    if ((u8)((c | 32) - 'a') < 26 || (u8)(c - '0') < 10) return 1;
    switch (c) {
    case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+':
    case '-': case '.': case '^': case '_': case '`': case '|': case '~':
        return 1;
    }
    return 0;
}

/* Lowers in place; 0 unless it is a token, or a colon and a token. */
int lower_name(u8 *name, u32 size) {
    u32 i = size && name[0] == ':';
    if (i == size) return 0;
    for (; i < size; i++) {
        u8 c = name[i];
        if (!is_token_byte(c)) return 0;
        if ((u8)(c - 'A') < 26) name[i] = c | 32;
    }
    return 1;
}

static int is_blank(u8 c) { return c == ' ' || c == '\t'; }

/* Blanks around a value are no part of it: gives how many lead, and shortens size to the rest. */
u32 trim(const u8 *value, u32 *size) {
    u32 leading = 0;
    while (leading < *size && is_blank(value[leading])) leading++;
    while (*size > leading && is_blank(value[*size - 1])) --*size;
    *size -= leading;
    return leading;
}

int value_is_clean(const u8 *value, u32 size) {
    for (u32 i = 0; i < size; i++)
        if ((value[i] < 32 && value[i] != '\t') || value[i] == 127) return 0;
    return 1;
}

static int frames(const u8 *name, u32 size) {
    return TEXT(name, size, "connection") || TEXT(name, size, "keep-alive") || TEXT(name, size, "proxy-connection") ||
           TEXT(name, size, "transfer-encoding") || TEXT(name, size, "upgrade") || TEXT(name, size, "expect") ||
           TEXT(name, size, "http2-settings");
}

int is_host(u32 type, const u8 *name, u32 size) { return type == REQUEST && TEXT(name, size, "host"); }

/* What a guest may do with a name: framing belongs to edge alone. */
u32 rule_of(u32 type, const u8 *name, u32 size) {
    int head = type == REQUEST || type == RESPONSE;
    if (name[0] == ':') return head ? RULE_PSEUDO : RULE_REFUSED;
    if (TEXT(name, size, "content-length")) return head ? RULE_LENGTH : RULE_REFUSED;
    if (TEXT(name, size, "host")) return RULE_REFUSED; /* of a request: :authority, see is_host */
    return frames(name, size) ? RULE_REFUSED : RULE_FIELD;
}

int is_length(const u8 *value, u32 size) {
    if (!size || size > 18) return 0;
    for (u32 i = 0; i < size; i++)
        if ((u8)(value[i] - '0') > 9) return 0;
    return 1;
}

static int is_visible(const u8 *value, u32 size) {
    for (u32 i = 0; i < size; i++)
        if (value[i] < 33 || value[i] > 126 || value[i] == '#') return 0;
    return size > 0;
}

/* A first check; Python makes paths and authorities canonical and has the last word. */
int pseudo_is_valid(u32 type, const u8 *name, u32 size, const u8 *value, u32 value_size) {
    if (type == RESPONSE) {
        if (!TEXT(name, size, ":status") || value_size != 3 || !is_length(value, 3)) return 0;
        return value[0] >= '2' && value[0] <= '5';
    }
    if (TEXT(name, size, ":path")) return is_visible(value, value_size) && value[0] == '/';
    if (TEXT(name, size, ":authority")) return is_visible(value, value_size);
    if (TEXT(name, size, ":scheme")) return TEXT(value, value_size, "http") || TEXT(value, value_size, "https");
    if (!TEXT(name, size, ":method")) return 0;
    for (u32 i = 0; i < value_size; i++)
        if (!is_token_byte(value[i])) return 0;
    return value_size > 0;
}
