#include "config.h"
#include "json.h"

#define DEFAULT_MAX_AGE_S 2592000 /* 30 days */
#define MAX_WEIGHT 1000000

static int is_token(text value) {
    for (u32 i = 0; i < value.size; i++) {
        u8 byte = value.bytes[i];
        int is_letter = (byte | 32) >= 'a' && (byte | 32) <= 'z';
        int is_digit = byte >= '0' && byte <= '9';
        if (!is_letter && !is_digit && byte != '-' && byte != '_' && byte != '.') return 0;
    }
    return value.size > 0;
}

static text lowered(text value) {
    u8 *bytes = keep(value.size);
    if (!bytes) return (text){0, 0};
    for (u32 i = 0; i < value.size; i++) {
        u8 byte = value.bytes[i];
        bytes[i] = byte >= 'A' && byte <= 'Z' ? byte | 32 : byte;
    }
    return (text){bytes, value.size};
}

static text read_variant(reader *from, variant *into) {
    text name;
    int is_first = 1;
    into->weight = 0;
    json_object_start(from);
    while (json_next_member(from, &is_first, &name)) {
        if (same(name, TEXT("name"))) {
            into->name = keep_text(json_string(from));
        } else if (same(name, TEXT("backend"))) {
            into->backend = keep_text(json_string(from));
        } else if (same(name, TEXT("weight"))) {
            u64 weight = json_count(from);
            if (weight > MAX_WEIGHT) return TEXT("variants: weight must be at most 1000000");
            into->weight = weight;
        } else {
            return TEXT("variants: unknown field (known: name, weight, backend)");
        }
    }
    if (from->failed) return TEXT("not the JSON expected in variants");
    if (!is_token(into->name)) return TEXT("variants: name must be letters, digits, '-', '_' or '.'");
    return TEXT("");
}

static text read_variants(reader *from, config *into) {
    int is_first = 1;
    json_array_start(from);
    while (json_next_item(from, &is_first)) {
        if (into->count == MAX_VARIANTS) return TEXT("variants: at most 16");
        variant *fresh = &into->variants[into->count];
        text problem = read_variant(from, fresh);
        if (problem.size) return problem;
        for (u32 i = 0; i < into->count; i++)
            if (same(into->variants[i].name, fresh->name)) return TEXT("variants: a name stands twice");
        into->total_weight += fresh->weight;
        into->count++;
    }
    return TEXT("");
}

static text read_member(reader *from, text name, config *into) {
    if (same(name, TEXT("variants"))) return read_variants(from, into);
    if (same(name, TEXT("cookie"))) {
        into->cookie = keep_text(json_string(from));
    } else if (same(name, TEXT("header"))) {
        into->header = lowered(json_string(from));
        if (!from->failed && !is_token(into->header)) return TEXT("header: must be a header name");
    } else if (same(name, TEXT("query"))) {
        into->query = keep_text(json_string(from));
        if (!from->failed && !is_token(into->query)) return TEXT("query: must be a parameter's name");
    } else if (same(name, TEXT("maxAge"))) {
        into->max_age_s = json_count(from);
    } else {
        return TEXT("unknown field (known: cookie, maxAge, header, query, variants)");
    }
    return TEXT("");
}

config *config_parse(text source, text *problem) {
    reader from = {source.bytes, source.bytes + source.size, 0};
    config *result = keep(sizeof(config));
    text name;
    int is_first = 1;
    if (!result) {
        *problem = TEXT("no memory");
        return 0;
    }
    __builtin_memset(result, 0, sizeof(config));
    result->cookie = TEXT("ab");
    result->max_age_s = DEFAULT_MAX_AGE_S;
    json_object_start(&from);
    while (json_next_member(&from, &is_first, &name)) {
        *problem = read_member(&from, name, result);
        if (problem->size) return 0;
    }
    if (!json_end(&from))
        *problem = TEXT("not the JSON expected");
    else if (!is_token(result->cookie))
        *problem = TEXT("cookie: must be letters, digits, '-', '_' or '.'");
    else if (!result->total_weight)
        *problem = TEXT("variants: at least one with a weight above 0 is needed");
    else
        return result;
    return 0;
}
