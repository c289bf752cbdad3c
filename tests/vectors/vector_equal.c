/*
 * vector_equal.c -- when two results are the same.
 *
 * Owns:     nothing; parsed JSON is in an arena of each comparison.
 * Threads:  one.
 * Begin at: output_equal().
 *
 * jansson reads the vector files, but not the JSON texts inside them: it refuses integers of more
 * than 64 bits and makes doubles of the rest.  Those are compared with a small tree of their own,
 * over the library's reader, where a number keeps its text.
 */
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"
#include "vectors/vectors.h"

#include <string.h>

/* ---- JSON texts -------------------------------------------------------------------------------
 */

struct node {
    enum t3_json_kind kind;
    struct tears_str text; /* string: resolved; number: as written */
    struct tears_str name; /* of a member */
    struct node *first;    /* elements or members */
    struct node *next;
};

static bool parse_object(struct tears_str text, struct t3_arena *arena, struct node *node);
static bool parse_array(struct tears_str text, struct t3_arena *arena, struct node *node);

static bool resolve(struct tears_str text, struct t3_arena *arena, struct tears_str *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf plain = {0};
    if (t3_json_unescape(text, &plain) != TEARS_OK)
        return false;
    must(t3_arena_str(arena, t3_buf_str(&plain), out), "arena");
    return true;
}

/* Reads the next child; the last of duplicate members counts, so each new child goes to the front.
 */
static bool parse_child(struct t3_json_reader *reader, struct t3_arena *arena, struct node *parent,
                        struct tears_str name)
{
    struct t3_json_value value;
    struct node *child = t3_arena_array(arena, 1, sizeof *child);
    if (child == NULL || t3_json_value(reader, &value) != TEARS_OK)
        return false;
    child->text = value.text;
    if (value.kind == T3_JSON_STRING && !resolve(value.text, arena, &child->text))
        return false;
    if (value.kind == T3_JSON_OBJECT && !parse_object(value.text, arena, child))
        return false;
    if (value.kind == T3_JSON_ARRAY && !parse_array(value.text, arena, child))
        return false;
    child->kind = value.kind;
    child->name = name;
    child->next = parent->first;
    parent->first = child;
    return true;
}

static bool parse_object(struct tears_str text, struct t3_arena *arena, struct node *node)
{
    struct t3_json_reader reader = {.text = text, .allow_nonfinite = true};
    if (t3_json_object_open(&reader) != TEARS_OK)
        return false;
    for (bool first = true;; first = false) {
        struct t3_json_value name;
        bool done = false;
        struct tears_str plain = {NULL, 0};
        if (t3_json_member(&reader, first, &name, &done) != TEARS_OK)
            return false;
        if (done)
            return true;
        if (!resolve(name.text, arena, &plain) || !parse_child(&reader, arena, node, plain))
            return false;
    }
}

static bool parse_array(struct tears_str text, struct t3_arena *arena, struct node *node)
{
    struct t3_json_reader reader = {.text = text, .allow_nonfinite = true};
    if (t3_json_array_open(&reader) != TEARS_OK)
        return false;
    for (bool first = true;; first = false) {
        bool done = false;
        if (t3_json_element(&reader, first, &done) != TEARS_OK)
            return false;
        if (done)
            return true;
        if (!parse_child(&reader, arena, node, tears_str_n("", 0)))
            return false;
    }
}

static bool parse_text(struct tears_str text, struct t3_arena *arena, struct node *node)
{
    struct t3_json_reader reader = {.text = text, .allow_nonfinite = true};
    struct node root = {.first = NULL};
    if (!parse_child(&reader, arena, &root, tears_str_n("", 0)) || t3_json_end(&reader) != TEARS_OK)
        return false;
    *node = *root.first;
    return true;
}

static bool is_integer(struct tears_str number)
{
    for (size_t i = 0; i < number.len; i++)
        if (strchr(".eENI", number.ptr[i]) != NULL)
            return false;
    return true;
}

static bool numbers_equal(struct tears_str a, struct tears_str b)
{
    double left = 0;
    double right = 0;
    if (is_integer(a) != is_integer(b))
        return false;
    if (is_integer(a))
        return t3_str_equal(a, b);
    return t3_double_parse(a, &left) == TEARS_OK && t3_double_parse(b, &right) == TEARS_OK &&
           memcmp(&left, &right, sizeof left) == 0;
}

static bool nodes_equal(const struct node *a, const struct node *b);

static const struct node *find(const struct node *object, struct tears_str name)
{
    for (const struct node *member = object->first; member != NULL; member = member->next)
        if (t3_str_equal(member->name, name))
            return member;
    return NULL;
}

static bool members_within(const struct node *a, const struct node *b)
{
    for (const struct node *member = a->first; member != NULL; member = member->next) {
        const struct node *other = find(b, member->name);
        if (other == NULL || !nodes_equal(find(a, member->name), other))
            return false;
    }
    return true;
}

static bool elements_equal(const struct node *a, const struct node *b)
{
    const struct node *left = a->first;
    const struct node *right = b->first;
    while (left != NULL && right != NULL) {
        if (!nodes_equal(left, right))
            return false;
        left = left->next;
        right = right->next;
    }
    return left == NULL && right == NULL;
}

static bool nodes_equal(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case T3_JSON_NUMBER:
        return numbers_equal(a->text, b->text);
    case T3_JSON_STRING:
        return t3_str_equal(a->text, b->text);
    case T3_JSON_ARRAY:
        return elements_equal(a, b);
    case T3_JSON_OBJECT:
        return members_within(a, b) && members_within(b, a);
    case T3_JSON_NULL:
    case T3_JSON_TRUE:
    case T3_JSON_FALSE:
        return true;
    }
    return false;
}

bool json_text_equal(struct tears_str a, struct tears_str b)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct node left;
    struct node right;
    return parse_text(a, &arena, &left) && parse_text(b, &arena, &right) &&
           nodes_equal(&left, &right);
}

/* ---- typed values -----------------------------------------------------------------------------
 */

static struct tears_str v_of(const json_t *typed)
{
    return text_of(json_object_get(typed, "v"));
}

static bool vectors_equal(struct tears_str a, struct tears_str b)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_doubles left;
    struct tears_doubles right;
    if (t3_vector_parse(&arena, a, &left) != TEARS_OK ||
        t3_vector_parse(&arena, b, &right) != TEARS_OK || left.len != right.len)
        return false;
    return left.len == 0 || memcmp(left.ptr, right.ptr, left.len * sizeof(double)) == 0;
}

static bool number_lists_equal(const json_t *a, const json_t *b)
{
    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        double left = 0;
        double right = 0;
        if (t3_double_parse(text_of(json_array_get(a, i)), &left) != TEARS_OK ||
            t3_double_parse(text_of(json_array_get(b, i)), &right) != TEARS_OK ||
            memcmp(&left, &right, sizeof left) != 0)
            return false;
    }
    return true;
}

static bool instants_equal(struct tears_str a, struct tears_str b)
{
    int64_t left = 0;
    int64_t right = 0;
    return t3_timestamp_parse(a, &left) == TEARS_OK && t3_timestamp_parse(b, &right) == TEARS_OK &&
           left == right;
}

/* The digits of a decimal without sign, point, exponent and outer zeros, and the exponent that then
 * belongs to them. */
struct magnitude {
    char digits[512];
    size_t count;
    int64_t exponent;
    bool negative;
};

static bool read_magnitude(struct tears_str text, struct magnitude *magnitude)
{
    bool after_point = false;
    memset(magnitude, 0, sizeof *magnitude);
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == 'e' || c == 'E') {
            int64_t exponent = 0;
            if (t3_int_parse(t3_str_from(text, i + 1 + (text.ptr[i + 1] == '+')), &exponent) !=
                TEARS_OK)
                return false;
            magnitude->exponent += exponent;
            break;
        }
        magnitude->negative = magnitude->negative || c == '-';
        after_point = after_point || c == '.';
        if (c < '0' || c > '9' || (c == '0' && magnitude->count == 0 && !after_point))
            continue;
        if (magnitude->count == sizeof magnitude->digits)
            return false;
        magnitude->exponent -= after_point;
        if (c != '0' || magnitude->count > 0)
            magnitude->digits[magnitude->count++] = c;
    }
    while (magnitude->count > 0 && magnitude->digits[magnitude->count - 1] == '0') {
        magnitude->count--;
        magnitude->exponent++;
    }
    return true;
}

/* A decimal that was text keeps every digit; one that was a JSON number keeps its value. */
static bool decimals_equal(struct tears_str expected, struct tears_str actual)
{
    struct magnitude left;
    struct magnitude right;
    if (!read_magnitude(expected, &left) || !read_magnitude(actual, &right))
        return false;
    if (left.count == 0 || right.count == 0)
        return left.count == right.count;
    return left.negative == right.negative && left.exponent == right.exponent &&
           left.count == right.count && memcmp(left.digits, right.digits, left.count) == 0;
}

static bool typed_equal(const json_t *expected, const json_t *actual)
{
    const struct tears_str type = text_of(json_object_get(expected, "t"));
    if (!t3_str_equal(type, text_of(json_object_get(actual, "t"))))
        return false;
    if (t3_str_is(type, "datetime") || t3_str_is(type, "naive_datetime"))
        return instants_equal(v_of(expected), v_of(actual));
    if (t3_str_is(type, "json"))
        return json_text_equal(v_of(expected), v_of(actual));
    if (t3_str_is(type, "vector_text"))
        return vectors_equal(v_of(expected), v_of(actual));
    if (t3_str_is(type, "vector"))
        return number_lists_equal(json_object_get(expected, "v"), json_object_get(actual, "v"));
    if (t3_str_is(type, "decimal") && json_is_true(json_object_get(actual, "was_number")))
        return decimals_equal(v_of(expected), v_of(actual));
    return json_equal(expected, actual);
}

/* ---- SQL --------------------------------------------------------------------------------------
 */

static bool is_plain_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* The length of `"name"` at the start of the text when the quotes may be left out, else 0. */
static size_t plain_quoted(struct tears_str text)
{
    size_t at = 1;
    while (at < text.len && is_plain_character(text.ptr[at]))
        at++;
    return at > 1 && at < text.len && text.ptr[at] == '"' ? at + 1 : 0;
}

/* One blank for any run of them; in the loose form without needless quotes. */
static void put_normal_sql(struct t3_buf *out, struct tears_str sql, bool loose)
{
    for (size_t i = 0; i < sql.len; i++) {
        const char c = sql.ptr[i];
        const size_t quoted = loose && c == '"' ? plain_quoted(t3_str_from(sql, i)) : 0;
        if (c == ' ' || c == '\n' || c == '\t') {
            if (out->len > 0 && out->ptr[out->len - 1] != ' ')
                must(t3_buf_put_char(out, ' '), "buffer");
        } else if (quoted > 0) {
            must(t3_buf_put(out, tears_str_n(sql.ptr + i + 1, quoted - 2)), "buffer");
            i += quoted - 1;
        } else {
            must(t3_buf_put_char(out, c), "buffer");
        }
    }
}

static struct tears_str without_returning(struct tears_str sql)
{
    static const char word[] = " RETURNING ";
    for (size_t i = 0; i + sizeof word - 1 <= sql.len; i++)
        if (memcmp(sql.ptr + i, word, sizeof word - 1) == 0)
            return tears_str_n(sql.ptr, i);
    return sql;
}

static bool sql_equal(struct tears_str a, struct tears_str b, bool loose)
{
    T3_AUTO(t3_buf_done) struct t3_buf left = {0};
    T3_AUTO(t3_buf_done) struct t3_buf right = {0};
    put_normal_sql(&left, a, loose);
    put_normal_sql(&right, b, loose);
    if (!loose)
        return t3_str_equal(t3_buf_str(&left), t3_buf_str(&right));
    return t3_str_equal(without_returning(t3_buf_str(&left)),
                        without_returning(t3_buf_str(&right)));
}

/* ---- outputs ----------------------------------------------------------------------------------
 */

static bool ends_in(const char *name, const char *end)
{
    const size_t len = strlen(name);
    return len >= strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

static bool any_equal(const json_t *expected, const json_t *actual);

static bool lists_equal(const json_t *expected, const json_t *actual)
{
    if (!json_is_array(actual) || json_array_size(expected) != json_array_size(actual))
        return false;
    for (size_t i = 0; i < json_array_size(expected); i++)
        if (!any_equal(json_array_get(expected, i), json_array_get(actual, i)))
            return false;
    return true;
}

static bool objects_equal(const json_t *expected, const json_t *actual)
{
    if (!json_is_object(actual) || json_object_size(expected) != json_object_size(actual))
        return false;
    const char *name;
    json_t *value;
    union {
        const json_t *given;
        json_t *iterated; /* jansson's loop takes no const */
    } both = {.given = expected};
    json_object_foreach(both.iterated, name, value)
    {
        if (!any_equal(value, json_object_get(actual, name)))
            return false;
    }
    return true;
}

static bool any_equal(const json_t *expected, const json_t *actual)
{
    if (actual == NULL)
        return false;
    if (json_is_object(expected) && json_object_get(expected, "t") != NULL)
        return typed_equal(expected, actual);
    if (json_is_object(expected))
        return objects_equal(expected, actual);
    if (json_is_array(expected))
        return lists_equal(expected, actual);
    return json_equal(expected, actual);
}

static bool member_equal(const char *name, const json_t *expected, const json_t *actual,
                         bool as_json, bool loose_sql)
{
    const bool are_texts = json_is_string(expected) && json_is_string(actual);
    if (are_texts && strcmp(name, "sql") == 0)
        return sql_equal(text_of(expected), text_of(actual), loose_sql);
    if (are_texts && (ends_in(name, "_json") || (as_json && strcmp(name, "text") == 0)))
        return json_text_equal(text_of(expected), text_of(actual));
    return any_equal(expected, actual);
}

bool output_equal(const json_t *expected, const json_t *actual, bool loose_sql)
{
    const json_t *eq = json_object_get(expected, "eq");
    const bool as_json = json_is_string(eq) && strcmp(json_string_value(eq), "json") == 0;
    const char *name;
    json_t *value;
    union {
        const json_t *given;
        json_t *iterated;
    } both = {.given = expected};
    json_object_foreach(both.iterated, name, value)
    {
        const bool is_informative = strcmp(name, "attempts") == 0; /* of lease.acquire_wait only */
        if (strcmp(name, "eq") != 0 && !is_informative &&
            !member_equal(name, value, json_object_get(actual, name), as_json, loose_sql))
            return false;
    }
    return true;
}
