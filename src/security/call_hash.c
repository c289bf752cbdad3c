/*
 * call_hash.c -- canonical JSON of a tool call, as Python writes it, and its hash.
 *
 * Owns:     nothing.
 * Must not know: tools.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_LIMIT on arguments that are no JSON object.
 * Begin at: tears_call_canonical().
 *
 * What "as Python writes it" means: json.dumps(sort_keys=True, separators=(",", ":")) of what
 * json.loads made of the text.  So members are sorted by code point (which is the order of UTF-8
 * bytes), the last of members with one name counts, integers keep all their digits, and every other
 * number becomes the shortest text that gives the same double.
 */
#include <tears/call_hash.h>

#include "base/arena.h"
#include "base/fail.h"
#include "base/owned_text.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "security/jose.h"

#include <math.h>
#include <stdlib.h>

static const char origin[] = "call";

struct member {
    struct tears_str name; /* resolved */
    struct t3_json_value value;
    size_t position;
};

struct canon {
    struct t3_buf *out;
    struct t3_arena arena; /* members and their names */
};

static tears_status put_value(struct canon *canon, const struct t3_json_value *value);

/* ---- scalars ------------------------------------------------------------------------------------
 */

static bool is_integer(struct tears_str number)
{
    for (size_t i = 0; i < number.len; i++)
        if (number.ptr[i] != '-' && (number.ptr[i] < '0' || number.ptr[i] > '9'))
            return false;
    return true;
}

static tears_status put_number(struct t3_buf *out, struct tears_str number)
{
    double value = 0;
    if (is_integer(number))
        return t3_buf_put(out, t3_str_is(number, "-0") ? TEARS_STR("0") : number);
    if (t3_double_parse(number, &value) != TEARS_OK) /* well formed, so it is too large */
        value = number.ptr[0] == '-' ? -INFINITY : INFINITY;
    return t3_json_put_double(out, value);
}

/* A JSON string's content with its escapes resolved; the arena's. */
static tears_status resolve(struct canon *canon, struct tears_str json, struct tears_str *text_out)
{
    char *text = t3_arena_alloc(&canon->arena, json.len + 1);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    const size_t len = t3_json_unescape_to(json, text);
    if (len == SIZE_MAX)
        return TEARS_INVALID;
    t3_arena_trim(&canon->arena, text, len);
    *text_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status put_string(struct canon *canon, const struct t3_json_value *value)
{
    struct tears_str text = value->text;
    if (value->escaped)
        T3_TRY(resolve(canon, value->text, &text));
    return t3_json_put_string(canon->out, text);
}

/* ---- objects ------------------------------------------------------------------------------------
 */

static int by_name(const void *left, const void *right)
{
    const struct member *a = left;
    const struct member *b = right;
    const int order = t3_str_compare(a->name, b->name);
    if (order != 0)
        return order;
    return a->position < b->position ? -1 : a->position > b->position;
}

static tears_status count_members(struct tears_str object, size_t *count_out)
{
    struct t3_json_reader reader = {.text = object, .allow_nonfinite = true};
    size_t count = 0;
    T3_TRY(t3_json_object_open(&reader));
    for (bool first = true;; first = false) {
        struct t3_json_value name;
        struct t3_json_value value;
        bool done = false;
        T3_TRY(t3_json_member(&reader, first, &name, &done));
        if (done)
            break;
        T3_TRY(t3_json_value(&reader, &value));
        count++;
    }
    *count_out = count;
    return TEARS_OK;
}

static tears_status read_members(struct canon *canon, struct tears_str object,
                                 struct member *members, size_t count)
{
    struct t3_json_reader reader = {.text = object, .allow_nonfinite = true};
    T3_TRY(t3_json_object_open(&reader));
    for (size_t i = 0; i < count; i++) {
        struct t3_json_value name;
        bool done = false;
        T3_TRY(t3_json_member(&reader, i == 0, &name, &done));
        T3_TRY(t3_json_value(&reader, &members[i].value));
        members[i].name = name.text;
        members[i].position = i;
        if (name.escaped)
            T3_TRY(resolve(canon, name.text, &members[i].name));
    }
    return TEARS_OK;
}

static tears_status put_object(struct canon *canon, struct tears_str object)
{
    size_t count = 0;
    bool is_first = true;
    T3_TRY(count_members(object, &count));
    struct member *members = t3_arena_array(&canon->arena, count, sizeof *members);
    if (members == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(read_members(canon, object, members, count));
    if (count > 0)
        qsort(members, count, sizeof *members, by_name);
    T3_TRY(t3_buf_put_char(canon->out, '{'));
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && t3_str_equal(members[i].name, members[i + 1].name))
            continue; /* a later one counts */
        if (!is_first)
            T3_TRY(t3_buf_put_char(canon->out, ','));
        is_first = false;
        T3_TRY(t3_json_put_string(canon->out, members[i].name));
        T3_TRY(t3_buf_put_char(canon->out, ':'));
        T3_TRY(put_value(canon, &members[i].value));
    }
    return t3_buf_put_char(canon->out, '}');
}

/* ---- arrays and values --------------------------------------------------------------------------
 */

static tears_status put_array(struct canon *canon, struct tears_str array)
{
    struct t3_json_reader reader = {.text = array, .allow_nonfinite = true};
    T3_TRY(t3_json_array_open(&reader));
    T3_TRY(t3_buf_put_char(canon->out, '['));
    for (bool first = true;; first = false) {
        struct t3_json_value element;
        bool done = false;
        T3_TRY(t3_json_element(&reader, first, &done));
        if (done)
            return t3_buf_put_char(canon->out, ']');
        T3_TRY(t3_json_value(&reader, &element));
        if (!first)
            T3_TRY(t3_buf_put_char(canon->out, ','));
        T3_TRY(put_value(canon, &element));
    }
}

/* Recursion ends at T3_JSON_DEPTH_MAX: the whole text was read with that limit first. */
static tears_status put_value(struct canon *canon, const struct t3_json_value *value)
{
    switch (value->kind) {
    case T3_JSON_NULL:
    case T3_JSON_TRUE:
    case T3_JSON_FALSE:
        return t3_buf_put(canon->out, value->text);
    case T3_JSON_NUMBER:
        return put_number(canon->out, value->text);
    case T3_JSON_STRING:
        return put_string(canon, value);
    case T3_JSON_ARRAY:
        return put_array(canon, value->text);
    case T3_JSON_OBJECT:
        return put_object(canon, value->text);
    }
    return TEARS_INTERNAL;
}

/* ---- the call -----------------------------------------------------------------------------------
 */

/* TEARS_INVALID unless the text is one object; its depth is checked here, once. */
static tears_status read_arguments(struct tears_str text, struct t3_json_value *arguments_out)
{
    struct t3_json_reader reader = {.text = text, .allow_nonfinite = true};
    T3_TRY(t3_json_value(&reader, arguments_out));
    T3_TRY(t3_json_end(&reader));
    return arguments_out->kind == T3_JSON_OBJECT ? TEARS_OK : TEARS_INVALID;
}

static tears_status put_call(struct canon *canon, const struct tears_call *call)
{
    struct t3_json_value arguments;
    T3_TRY(read_arguments(call->arguments, &arguments));
    T3_TRY(t3_buf_put(canon->out, TEARS_STR("{\"arguments\":")));
    T3_TRY(put_value(canon, &arguments));
    T3_TRY(t3_buf_put(canon->out, TEARS_STR(",\"correlation_id\":")));
    if (call->correlation_id.ptr == NULL)
        T3_TRY(t3_buf_put(canon->out, TEARS_STR("null")));
    else
        T3_TRY(t3_json_put_string(canon->out, call->correlation_id));
    T3_TRY(t3_buf_put(canon->out, TEARS_STR(",\"tool_name\":")));
    T3_TRY(t3_json_put_string(canon->out, call->tool_name));
    return t3_buf_put_char(canon->out, '}');
}

static tears_status canonical(const struct tears_call *call, struct t3_buf *out,
                              struct tears_error *error_out)
{
    struct canon canon = {.out = out};
    const tears_status status = put_call(&canon, call);
    t3_arena_done(&canon.arena);
    if (status == TEARS_INVALID)
        return t3_fail(error_out, status, origin,
                       "the arguments are no JSON object, or the call is not UTF-8");
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, origin,
                       "the arguments are nested too deeply or too large");
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, origin);
}

tears_status tears_call_canonical(const struct tears_call *call,
                                  struct tears_owned_text *canonical_out,
                                  struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(canonical(call, &text, error_out));
    return t3_owned_text_take(&text, false, canonical_out);
}

tears_status tears_call_hash(const struct tears_call *call, char hash_out[TEARS_CALL_HASH_BYTES],
                             struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(canonical(call, &text, error_out));
    t3_digest_text(t3_buf_str(&text), hash_out);
    return TEARS_OK;
}
