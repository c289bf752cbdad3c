/*
 * key_text.c -- from the text of a key in L2 back to the keys it may stand for.
 *
 * Owns:     nothing.
 * Knows:    key.h (how the text is made), codec/ (Python's text of values).
 * Must not know: who asks, what is dropped.
 * Threads:  any.
 * Fails:    TEARS_UNSUPPORTED when the text does not tell; TEARS_INVALID for ids that do not fit; TEARS_NO_MEMORY.
 * Begin at: t3_key_from_text().
 *
 * The text is the values joined by "_", and only text columns can have a "_" of their own.  So of the underscores that
 * are no separators, each belongs to one of the text columns, and the ways to share them out are the keys the text may
 * stand for.  What is read from a piece may be written otherwise ("007" for 7): each key is written again, and given
 * only if it comes out as the text.
 *
 * Decimals.  The same number is "1E-8" to Python, which the text of a key follows, and 0.00000001 to PostgreSQL.  A cached
 * row has all its decimals from one of them, so each key is given both ways when they differ.
 */
#include "schema/key_text.h"

#include "base/limits.h"
#include "base/str.h"
#include "codec/json.h"
#include "codec/text.h"

enum {
    WAYS_MAX = 64,
    HASH_CHARACTERS = 64,
    ZEROS_MAX = T3_KEY_BYTES_MAX /* more than these around a decimal's digits are no key any more */
};

/* ---- what a text tells ---------------------------------------------------------------------- */

static bool may_have_underscore(const struct tears_schema *schema, uint32_t index)
{
    return schema->columns[schema->key[index]].kind == TEARS_KIND_TEXT;
}

static size_t count_underscores(struct tears_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '_';
    return count;
}

static bool looks_hashed(struct tears_str body)
{
    for (size_t i = 0; i < body.len; i++) {
        const char c = body.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return body.len == HASH_CHARACTERS;
}

/* The ways to share out `extra` underscores among `columns` of text; WAYS_MAX + 1: too many. */
static uint64_t ways_to_share(uint64_t extra, uint32_t columns)
{
    if (columns == 0)
        return extra == 0;
    uint64_t ways = 1;
    for (uint32_t i = 1; i < columns; i++) {
        ways = ways * (extra + i) / i; /* a binomial coefficient after each step */
        if (ways > WAYS_MAX)
            return WAYS_MAX + 1;
    }
    return ways;
}

/* The keys that a body may stand for, by its underscores alone; WAYS_MAX + 1 also for what may be a hash. */
static uint64_t ways_to_read(const struct tears_schema *schema, struct tears_str body)
{
    const size_t underscores = count_underscores(body);
    uint32_t texts = 0;
    for (uint32_t i = 0; i < schema->key_count; i++)
        texts += may_have_underscore(schema, i);
    if (looks_hashed(body))
        return WAYS_MAX + 1;
    if (underscores + 1 < schema->key_count)
        return 0;
    return ways_to_share(underscores + 1 - schema->key_count, texts);
}

/* ---- values --------------------------------------------------------------------------------- */

/* digits * 10^-places, without an exponent. */
static tears_status put_plain(struct tears_str digits, int64_t places, struct t3_buf *out)
{
    const int64_t count = (int64_t)digits.len;
    const size_t whole = count > places ? (size_t)(places > 0 ? count - places : count) : 0;
    T3_TRY(t3_buf_put(out, whole > 0 ? tears_str_n(digits.ptr, whole) : TEARS_STR("0")));
    for (int64_t i = places; i < 0; i++)
        T3_TRY(t3_buf_put_char(out, '0'));
    if (places <= 0)
        return TEARS_OK;
    T3_TRY(t3_buf_put_char(out, '.'));
    for (int64_t i = count; i < places; i++)
        T3_TRY(t3_buf_put_char(out, '0'));
    return t3_buf_put(out, t3_str_from(digits, whole));
}

/*
 * A decimal as databases write it.  The text itself when it has no exponent, or one so large that
 * no key could be written without.
 */
static tears_status without_exponent(struct tears_str text, struct t3_arena *arena,
                                     struct tears_str *plain_out)
{
    const char *mark = text.len > 0 ? memchr(text.ptr, 'E', text.len) : NULL;
    int64_t exponent = 0;
    *plain_out = text;
    if (mark == NULL ||
        t3_int_parse(t3_str_from(text, (size_t)(mark - text.ptr) + 1), &exponent) != TEARS_OK ||
        exponent > ZEROS_MAX || exponent < -ZEROS_MAX)
        return TEARS_OK;
    T3_AUTO(t3_buf_done) struct t3_buf digits = {0};
    T3_AUTO(t3_buf_done) struct t3_buf plain = {0};
    int64_t places = -exponent;
    bool is_fraction = false;
    for (const char *at = text.ptr; at < mark; at++) {
        const bool is_digit = *at >= '0' && *at <= '9';
        places += is_digit && is_fraction;
        is_fraction |= *at == '.';
        if (is_digit)
            T3_TRY(t3_buf_put_char(&digits, *at));
    }
    if (text.ptr[0] == '-')
        T3_TRY(t3_buf_put_char(&plain, '-'));
    T3_TRY(put_plain(t3_buf_str(&digits), places, &plain));
    return t3_arena_str(arena, t3_buf_str(&plain), plain_out);
}

/* What a backslash and `c` stand for in Python's text of bytes, but for \xNN; -1: nothing. */
static int unescaped(char c)
{
    switch (c) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case '\\':
    case '\'':
    case '"':
        return c;
    default:
        return -1;
    }
}

/* b'...' as Python writes bytes.  TEARS_INVALID. */
static tears_status bytes_of_python(struct tears_str text, struct t3_arena *arena,
                                    struct tears_value *out)
{
    const bool is_quoted = text.len >= 3 && (text.ptr[1] == '\'' || text.ptr[1] == '"') &&
                           text.ptr[text.len - 1] == text.ptr[1];
    char *bytes = t3_arena_alloc(arena, text.len);
    size_t count = 0;
    if (bytes == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 2; is_quoted && i + 1 < text.len; i++) {
        if (text.ptr[i] != '\\') {
            bytes[count++] = text.ptr[i];
            continue;
        }
        const struct tears_str rest = tears_str_n(text.ptr + i + 1, text.len - i - 2);
        const int c = rest.len > 0 ? unescaped(rest.ptr[0]) : -1;
        const bool is_hex = rest.len >= 3 && rest.ptr[0] == 'x' &&
                            t3_hex_parse_to(tears_str_n(rest.ptr + 1, 2), &bytes[count]) == 1;
        if (c < 0 && !is_hex)
            return TEARS_INVALID;
        if (c >= 0)
            bytes[count] = (char)c;
        count++;
        i += is_hex ? 3 : 1;
    }
    *out = tears_bytes(tears_str_n(bytes, count));
    return is_quoted ? TEARS_OK : TEARS_INVALID;
}

/* The value of a key column from its Python text; it may borrow the text.  TEARS_INVALID: it is none. */
static tears_status value_of(const struct tears_schema *schema, uint32_t index,
                             struct tears_str text, struct t3_arena *arena, struct tears_value *out)
{
    const uint32_t column = schema->key[index];
    if (schema->columns[column].kind == TEARS_KIND_BYTES && t3_str_starts(text, "b"))
        return bytes_of_python(text, arena, out);
    const tears_status status = t3_value_from_text(schema, column, text, arena, out, NULL);
    return status == TEARS_LIMIT ? TEARS_INVALID : status;
}

/* Puts the plain form in the place of decimals that have an exponent; *any_out: there are such. */
static tears_status make_decimals_plain(struct tears_value *values, uint32_t count,
                                        struct t3_arena *arena, bool *any_out)
{
    *any_out = false;
    for (uint32_t i = 0; i < count; i++) {
        struct tears_str plain;
        if (values[i].kind != TEARS_KIND_DECIMAL)
            continue;
        T3_TRY(without_exponent(values[i].as.bytes, arena, &plain));
        *any_out |= !t3_str_equal(plain, values[i].as.bytes);
        values[i].as.bytes = plain;
    }
    return TEARS_OK;
}

/* ---- from the text -------------------------------------------------------------------------- */

/* A text that is being read: the values of the columns so far. */
struct reading {
    const struct tears_schema *schema;
    struct tears_str body;
    t3_key_fn found;
    void *owner;
    struct t3_arena arena;
    struct t3_buf again;
    struct tears_value values[T3_KEY_COLUMNS_MAX];
};

/* Gives the key if the body is its text. */
static tears_status offer(struct reading *reading, const struct tears_value *values)
{
    const struct tears_schema *schema = reading->schema;
    struct tears_value storage[T3_KEY_COLUMNS_MAX];
    struct t3_key key;
    const tears_status status =
        t3_key_init(schema, values, schema->key_count, storage, &reading->arena, &key, NULL);
    if (status != TEARS_OK)
        return status == TEARS_NO_MEMORY ? status : TEARS_OK;
    t3_buf_clear(&reading->again);
    T3_TRY(t3_key_put_l2(schema, &key, &reading->again));
    const struct tears_str body = t3_str_from(t3_buf_str(&reading->again), schema->name.len + 1);
    if (t3_str_equal(body, reading->body))
        reading->found(reading->owner, &key);
    return TEARS_OK;
}

static tears_status offer_all(struct reading *reading)
{
    struct tears_value plain[T3_KEY_COLUMNS_MAX];
    bool differs = false;
    const uint32_t count = reading->schema->key_count;
    T3_TRY(offer(reading, reading->values));
    memcpy(plain, reading->values, count * sizeof plain[0]);
    T3_TRY(make_decimals_plain(plain, count, &reading->arena, &differs));
    return differs ? offer(reading, plain) : TEARS_OK;
}

/* Where the piece that starts at `at` and has `underscores` of its own ends. */
static size_t piece_end(struct tears_str body, size_t at, size_t underscores)
{
    size_t end = at;
    for (; end < body.len; end++)
        if (body.ptr[end] == '_' && underscores-- == 0)
            break;
    return end;
}

/*
 * Reads the columns from `index` on out of the body from `at` on.  `extra` underscores in it are no separators.  Calls
 * itself for the next column, so at most T3_KEY_COLUMNS_MAX deep.
 */
static tears_status read_columns(struct reading *reading, uint32_t index, size_t at, size_t extra)
{
    const struct tears_schema *schema = reading->schema;
    const bool is_last = index + 1 == schema->key_count;
    const size_t most = may_have_underscore(schema, index) ? extra : 0;
    if (is_last && most != extra)
        return TEARS_OK;
    for (size_t own = is_last ? extra : 0; own <= most; own++) {
        const size_t end = piece_end(reading->body, at, own);
        const struct tears_str piece = tears_str_n(reading->body.ptr + at, end - at);
        const tears_status status =
            value_of(schema, index, piece, &reading->arena, &reading->values[index]);
        if (status == TEARS_NO_MEMORY)
            return status;
        if (status != TEARS_OK)
            continue;
        T3_TRY(is_last ? offer_all(reading)
                       : read_columns(reading, index + 1, end + 1, extra - own));
    }
    return TEARS_OK;
}

tears_status t3_key_from_text(const struct tears_schema *schema, struct tears_str body,
                              t3_key_fn found, void *owner)
{
    const uint64_t ways = ways_to_read(schema, body);
    if (ways > WAYS_MAX)
        return TEARS_UNSUPPORTED;
    if (ways == 0)
        return TEARS_OK;
    struct reading reading = {.schema = schema, .body = body, .found = found, .owner = owner};
    const size_t extra = count_underscores(body) + 1 - schema->key_count;
    const tears_status status = read_columns(&reading, 0, 0, extra);
    t3_arena_done(&reading.arena);
    t3_buf_done(&reading.again);
    return status;
}

/* ---- ids ------------------------------------------------------------------------------------ */

/* The text of the next id, in the arena.  *done_out: there is none. */
static tears_status next_id(struct t3_json_reader *reader, bool first, struct t3_arena *arena,
                            struct tears_str *id_out, bool *done_out)
{
    struct t3_json_value element;
    T3_TRY(t3_json_element(reader, first, done_out));
    if (*done_out)
        return TEARS_OK;
    T3_TRY(t3_json_value(reader, &element));
    if (element.kind != T3_JSON_STRING)
        return TEARS_INVALID;
    char *text = t3_arena_alloc(arena, element.text.len + 1);
    if (text == NULL)
        return TEARS_NO_MEMORY;
    const size_t len = t3_json_unescape_to(element.text, text);
    if (len == SIZE_MAX)
        return TEARS_INVALID;
    text[len] = '\0';
    *id_out = tears_str_n(text, len);
    return TEARS_OK;
}

static tears_status read_ids(const struct tears_schema *schema, struct tears_str ids_json,
                             struct t3_arena *arena, struct tears_value *values)
{
    struct t3_json_reader reader = {.text = ids_json};
    struct tears_str id;
    bool done = false;
    T3_TRY(t3_json_array_open(&reader));
    for (uint32_t i = 0; i < schema->key_count; i++) {
        T3_TRY(next_id(&reader, i == 0, arena, &id, &done));
        if (done)
            return TEARS_INVALID;
        T3_TRY(value_of(schema, i, id, arena, &values[i]));
    }
    T3_TRY(t3_json_element(&reader, false, &done));
    return done ? t3_json_end(&reader) : TEARS_INVALID;
}

tears_status t3_key_from_ids(const struct tears_schema *schema, struct tears_str ids_json,
                             struct t3_arena *arena, struct t3_key *key_out)
{
    struct tears_value *values = t3_arena_array(arena, schema->key_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    bool differs;
    tears_status status = read_ids(schema, ids_json, arena, values);
    if (status == TEARS_OK)
        status = make_decimals_plain(values, schema->key_count, arena, &differs);
    if (status == TEARS_OK)
        status = t3_key_init(schema, values, schema->key_count, values, arena, key_out, NULL);
    return status == TEARS_OK || status == TEARS_NO_MEMORY ? status : TEARS_INVALID;
}

static tears_status put_ids(const struct t3_key *key, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf id = {0};
    for (uint32_t i = 0; i < key->count; i++) {
        t3_buf_clear(&id);
        T3_TRY(t3_value_put_python(&id, &key->values[i]));
        T3_TRY(t3_buf_put_char(out, i == 0 ? '[' : ','));
        T3_TRY(t3_json_put_string_utf8(out, t3_buf_str(&id)));
    }
    return t3_buf_put_char(out, ']');
}

tears_status t3_key_put_ids_of_hashed(const struct tears_schema *schema, const struct t3_key *key,
                                      struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_key_put_l2(schema, key, &text));
    const struct tears_str body = t3_str_from(t3_buf_str(&text), schema->name.len + 1);
    return ways_to_read(schema, body) > WAYS_MAX ? put_ids(key, out) : TEARS_OK;
}
