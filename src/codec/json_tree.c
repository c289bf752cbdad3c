/*
 * json_tree.c -- trees of jansson's: read and written by our rules, edited by JSON Pointer and merge patch.
 *
 * Owns:     nothing that lasts; trees are the caller's.
 * Knows:    base/, codec/json.h and text of numbers, jansson.
 * Must not know: formats, file names.
 * Threads:  one at a time on one tree.
 * Fails:    as tears/format.h says; set and merge leave the tree unchanged then.
 * Begin at: t3_json_tree_parse(), t3_json_tree_set().
 *
 * Text is checked by our own reader first, whose rules (depth, UTF-8) hold for every JSON of the library, and
 * written by our own functions, because jansson writes 0.1 as 0.10000000000000001.  The tree between is jansson's.
 */
#include "codec/json_tree.h"

#include "base/buf.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

#define ORIGIN "format.json"

void t3_json_done(json_t **value)
{
    json_decref(*value);
    *value = NULL;
}

/* ---- reading ------------------------------------------------------------------------------------- */

tears_status t3_json_tree_parse(struct tears_str text, json_t **value_out,
                                struct tears_error *error)
{
    struct t3_json_reader reader = {.text = text};
    struct t3_json_value whole;
    tears_status status = t3_str_is_utf8(text) ? t3_json_value(&reader, &whole) : TEARS_INVALID;
    if (status == TEARS_OK)
        status = t3_json_end(&reader);
    if (status != TEARS_OK)
        return t3_fail(error, status, ORIGIN,
                       status == TEARS_LIMIT ? "JSON deeper than %d levels, at byte %zu"
                                             : "not JSON (at most %d levels), at byte %zu",
                       (int)T3_JSON_DEPTH_MAX, reader.at);
    json_error_t why;
    json_t *value = json_loadb(text.ptr, text.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (value == NULL && json_error_code(&why) == json_error_out_of_memory)
        return t3_fail_memory(error, ORIGIN);
    if (value == NULL)
        return t3_fail(error, TEARS_INVALID, ORIGIN, "JSON at line %d: %s", why.line,
                       json_error_code(&why) == json_error_duplicate_key ? "a member is given twice"
                       : json_error_code(&why) == json_error_numeric_overflow
                           ? "a number does not fit into 64 bits"
                           : "cannot be read");
    *value_out = value;
    return TEARS_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* jansson's iterators take no const, although they change nothing. */
json_t *t3_json_without_const(const json_t *value)
{
    const union {
        const json_t *given;
        json_t *same;
    } both = {.given = value};
    return both.same;
}

struct writer {
    struct t3_buf *out;
    bool pretty;
};

static tears_status write_value(const struct writer *writer, const json_t *value, unsigned depth);

static tears_status write_break(const struct writer *writer, unsigned depth)
{
    if (!writer->pretty)
        return TEARS_OK;
    T3_TRY(t3_buf_put_char(writer->out, '\n'));
    for (unsigned i = 0; i < depth; i++)
        T3_TRY(t3_buf_put(writer->out, TEARS_STR("  ")));
    return TEARS_OK;
}

static tears_status write_object(const struct writer *writer, const json_t *value, unsigned depth)
{
    json_t *object = t3_json_without_const(value);
    bool first = true;
    T3_TRY(t3_buf_put_char(writer->out, '{'));
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        if (!first)
            T3_TRY(t3_buf_put_char(writer->out, ','));
        first = false;
        T3_TRY(write_break(writer, depth + 1));
        T3_TRY(t3_json_put_string_utf8(
            writer->out, tears_str_n(json_object_iter_key(at), json_object_iter_key_len(at))));
        T3_TRY(t3_buf_put(writer->out, writer->pretty ? TEARS_STR(": ") : TEARS_STR(":")));
        T3_TRY(write_value(writer, json_object_iter_value(at), depth + 1));
    }
    if (!first)
        T3_TRY(write_break(writer, depth));
    return t3_buf_put_char(writer->out, '}');
}

static tears_status write_array(const struct writer *writer, const json_t *value, unsigned depth)
{
    T3_TRY(t3_buf_put_char(writer->out, '['));
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i > 0)
            T3_TRY(t3_buf_put_char(writer->out, ','));
        T3_TRY(write_break(writer, depth + 1));
        T3_TRY(write_value(writer, json_array_get(value, i), depth + 1));
    }
    if (json_array_size(value) > 0)
        T3_TRY(write_break(writer, depth));
    return t3_buf_put_char(writer->out, ']');
}

static tears_status write_value(const struct writer *writer, const json_t *value, unsigned depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_object(writer, value, depth);
    case JSON_ARRAY:
        return write_array(writer, value, depth);
    case JSON_STRING:
        return t3_json_put_string_utf8(
            writer->out, tears_str_n(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        return t3_buf_printf(writer->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return t3_json_put_double(writer->out, json_real_value(value));
    case JSON_TRUE:
        return t3_buf_put(writer->out, TEARS_STR("true"));
    case JSON_FALSE:
        return t3_buf_put(writer->out, TEARS_STR("false"));
    case JSON_NULL:
        break;
    }
    return t3_buf_put(writer->out, TEARS_STR("null"));
}

tears_status t3_json_tree_give(const json_t *value, bool pretty, const struct tears_text_sink *sink,
                               struct tears_error *error)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct writer writer = {&text, pretty};
    tears_status status = write_value(&writer, value, 0);
    if (status == TEARS_OK && pretty)
        status = t3_buf_put_char(&text, '\n');
    if (status == TEARS_OK)
        status = sink->put(sink->owner, t3_buf_str(&text));
    if (status != TEARS_OK)
        return t3_fail(error, status, ORIGIN, "the document was not written: %s",
                       tears_status_text(status));
    return TEARS_OK;
}

/* ---- paths --------------------------------------------------------------------------------------- */

/*
 * The next name of a pointer, with ~0 and ~1 resolved, from *at on (where a '/' is).  TEARS_INVALID: a '~'
 * followed by something else.
 */
static tears_status take_name(struct tears_str path, size_t *at, struct t3_buf *name)
{
    t3_buf_clear(name);
    T3_TRY(t3_buf_reserve(name, path.len)); /* so that an empty name has a pointer, too */
    for (++*at; *at < path.len && path.ptr[*at] != '/'; ++*at) {
        char c = path.ptr[*at];
        if (c == '~') {
            ++*at;
            if (*at == path.len || (path.ptr[*at] != '0' && path.ptr[*at] != '1'))
                return TEARS_INVALID;
            c = path.ptr[*at] == '0' ? '~' : '/';
        }
        T3_TRY(t3_buf_put_char(name, c));
    }
    return TEARS_OK;
}

/* The number of an element: digits without a zero in front.  TEARS_NOT_FOUND: it is none. */
static tears_status read_index(struct tears_str name, size_t *index_out)
{
    size_t index = 0;
    if (name.len == 0 || name.len > 18 || (name.ptr[0] == '0' && name.len > 1))
        return TEARS_NOT_FOUND;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            return TEARS_NOT_FOUND;
        index = index * 10 + (size_t)(name.ptr[i] - '0');
    }
    *index_out = index;
    return TEARS_OK;
}

/* NULL: there is no such child. */
static json_t *child_of(const json_t *value, struct tears_str name)
{
    size_t index = 0;
    if (json_is_object(value))
        return json_object_getn(value, name.ptr, name.len);
    if (json_is_array(value) && read_index(name, &index) == TEARS_OK)
        return json_array_get(value, index);
    return NULL;
}

static tears_status fail_path(struct tears_error *error, tears_status status, struct tears_str path)
{
    return t3_fail(error, status, ORIGIN, "path \"" T3_STR_FMT "\" %s", T3_STR_ARG(path),
                   status == TEARS_NOT_FOUND ? "leads nowhere"
                   : status == TEARS_INVALID ? "is not a JSON Pointer"
                                             : tears_status_text(status));
}

/* Goes to the value that has the last name of the path as a child; *name is that name.  The path is not empty. */
static tears_status find_parent(json_t *root, struct tears_str path, struct t3_buf *name,
                                json_t **parent_out)
{
    json_t *parent = root;
    size_t at = 0;
    if (path.ptr[0] != '/')
        return TEARS_INVALID;
    for (;;) {
        T3_TRY(take_name(path, &at, name));
        if (at == path.len)
            break;
        if (parent != NULL)
            parent = child_of(parent, t3_buf_str(name)); /* the rest is still checked */
    }
    if (parent == NULL)
        return TEARS_NOT_FOUND;
    *parent_out = parent;
    return TEARS_OK;
}

tears_status t3_json_tree_get(json_t *root, struct tears_str path,
                              const struct tears_text_sink *sink, struct tears_error *error)
{
    if (path.len == 0)
        return t3_json_tree_give(root, false, sink, error);
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    json_t *parent = NULL;
    tears_status status = find_parent(root, path, &name, &parent);
    const json_t *value = status == TEARS_OK ? child_of(parent, t3_buf_str(&name)) : NULL;
    if (status == TEARS_OK && value == NULL)
        status = TEARS_NOT_FOUND;
    return status == TEARS_OK ? t3_json_tree_give(value, false, sink, error)
                              : fail_path(error, status, path);
}

/* ---- changing ------------------------------------------------------------------------------------ */

static unsigned depth_of(const json_t *value)
{
    unsigned most = 0;
    if (!json_is_object(value) && !json_is_array(value))
        return 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const unsigned depth = depth_of(json_array_get(value, i));
        most = depth > most ? depth : most;
    }
    json_t *object = t3_json_without_const(value);
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const unsigned depth = depth_of(json_object_iter_value(at));
        most = depth > most ? depth : most;
    }
    return most + 1;
}

/* Puts the value (which gains a reference) into its parent. */
static tears_status put_child(json_t *parent, struct tears_str name, json_t *value)
{
    size_t index = 0;
    if (json_is_object(parent))
        return json_object_setn(parent, name.ptr, name.len, value) == 0 ? TEARS_OK
                                                                        : TEARS_NO_MEMORY;
    if (!json_is_array(parent))
        return TEARS_NOT_FOUND;
    if (t3_str_is(name, "-"))
        index = json_array_size(parent);
    else
        T3_TRY(read_index(name, &index));
    if (index > json_array_size(parent))
        return TEARS_NOT_FOUND;
    const int rc = index == json_array_size(parent) ? json_array_append(parent, value)
                                                    : json_array_set(parent, index, value);
    return rc == 0 ? TEARS_OK : TEARS_NO_MEMORY;
}

static unsigned levels_of(struct tears_str path)
{
    unsigned levels = 0;
    for (size_t i = 0; i < path.len; i++)
        levels += path.ptr[i] == '/';
    return levels;
}

tears_status t3_json_tree_set(json_t **root, struct tears_str path, struct tears_str json,
                              struct tears_error *error)
{
    T3_AUTO(t3_json_done) json_t *value = NULL;
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    T3_TRY(t3_json_tree_parse(json, &value, error));
    if (path.len == 0) {
        json_t *before = *root;
        *root = T3_TAKE(value);
        json_decref(before);
        return TEARS_OK;
    }
    json_t *parent = NULL;
    tears_status status = find_parent(*root, path, &name, &parent);
    /* jansson reads no member with such a name, so none may be made */
    if (status == TEARS_OK && (!t3_str_is_utf8(t3_buf_str(&name)) || strlen(name.ptr) != name.len))
        status = TEARS_INVALID;
    if (status == TEARS_OK && levels_of(path) + depth_of(value) > T3_JSON_DEPTH_MAX)
        status = TEARS_LIMIT;
    if (status == TEARS_OK)
        status = put_child(parent, t3_buf_str(&name), value);
    return status == TEARS_OK ? TEARS_OK : fail_path(error, status, path);
}

static tears_status merge_into(json_t *target, const json_t *patch);

/* One member of a patch. */
static tears_status merge_member(json_t *target, void *at)
{
    const char *name = json_object_iter_key(at);
    const size_t len = json_object_iter_key_len(at);
    json_t *patch = json_object_iter_value(at);
    if (json_is_null(patch)) {
        (void)json_object_deln(target, name, len); /* it need not be there */
        return TEARS_OK;
    }
    if (!json_is_object(patch))
        return json_object_setn(target, name, len, patch) == 0 ? TEARS_OK : TEARS_NO_MEMORY;
    json_t *inner = json_object_getn(target, name, len);
    if (!json_is_object(inner)) {
        inner = json_object(); /* a patch for nothing: its nulls remove nothing, and are not kept */
        if (inner == NULL || json_object_setn_new(target, name, len, inner) != 0)
            return TEARS_NO_MEMORY;
    }
    return merge_into(inner, patch);
}

/* Both are objects, at most T3_JSON_DEPTH_MAX deep. */
static tears_status merge_into(json_t *target, const json_t *patch)
{
    json_t *members = t3_json_without_const(patch);
    for (void *at = json_object_iter(members); at != NULL; at = json_object_iter_next(members, at))
        T3_TRY(merge_member(target, at));
    return TEARS_OK;
}

tears_status t3_json_tree_merge(json_t **root, struct tears_str json, struct tears_error *error)
{
    T3_AUTO(t3_json_done) json_t *patch = NULL;
    T3_AUTO(t3_json_done) json_t *merged = NULL;
    T3_TRY(t3_json_tree_parse(json, &patch, error));
    if (!json_is_object(patch)) {
        merged = T3_TAKE(patch);
    } else {
        /* on a copy, so that the document is whole when memory ends half-way */
        merged = json_is_object(*root) ? json_deep_copy(*root) : json_object();
        if (merged == NULL || merge_into(merged, patch) != TEARS_OK)
            return t3_fail_memory(error, ORIGIN);
    }
    json_t *before = *root;
    *root = T3_TAKE(merged);
    json_decref(before);
    return TEARS_OK;
}
