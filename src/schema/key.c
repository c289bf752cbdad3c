/*
 * key.c -- a row's primary key: checking, hashing, comparing, and its text in L2.
 *
 * Owns:     nothing; keys borrow their values.
 * Knows:    base/, codec/ (rows and Python's text of values), schema.h.
 * Must not know: tiers, SQL.
 * Threads:  any.
 * Fails:    TEARS_INVALID, TEARS_LIMIT, TEARS_NO_MEMORY.
 * Begin at: t3_key_init(), which every read and write passes through.
 *
 * Why the hash mixes words itself: most keys are one integer or one uuid, and for eight or sixteen
 * bytes a multiply and a fold are several times cheaper than a general hash.
 */
#include "schema/key.h"

#include "base/fail.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/str.h"
#include "codec/text.h"

/* ---- hashing and comparing --------------------------------------------------------------------
 */

__extension__ typedef unsigned __int128 wide;

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    const wide product = (wide)(hash ^ word) * 0x9e3779b97f4a7c15u;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_value(uint64_t hash, const struct tears_value *value)
{
    uint64_t words[2];
    switch (value->kind) {
    case TEARS_KIND_NULL:
        return mix(hash, 0x6e756c6c);
    case TEARS_KIND_BOOL:
        return mix(hash, value->as.boolean ? 3 : 5);
    case TEARS_KIND_INT:
    case TEARS_KIND_TIMESTAMP:
    case TEARS_KIND_DOUBLE:
        memcpy(words, &value->as, sizeof words[0]);
        return mix(mix(hash, words[0]), 0xff51afd7ed558ccdu);
    case TEARS_KIND_UUID:
        memcpy(words, value->as.uuid, sizeof words);
        return mix(mix(hash, words[0]), words[1]);
    case TEARS_KIND_VECTOR:
        return t3_hash(value->as.vector.ptr, value->as.vector.len * sizeof(double), hash);
    default:
        return t3_hash(value->as.bytes.ptr, value->as.bytes.len, hash);
    }
}

static inline uint64_t hash_values(const struct tears_value *values, size_t count)
{
    uint64_t hash = 0x8ebc6af09c88c6e3u + count;
    for (size_t i = 0; i < count; i++)
        hash = hash_value(hash, &values[i]);
    return hash;
}

bool t3_key_equal(const struct t3_key *a, const struct t3_key *b)
{
    if (a->hash != b->hash || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!tears_value_equal(&a->values[i], &b->values[i]))
            return false;
    return true;
}

bool t3_key_matches_row(const struct tears_schema *schema, const struct t3_key *key,
                        const struct t3_row *row)
{
    if (key->count != schema->key_count)
        return false;
    for (uint32_t i = 0; i < key->count; i++)
        if (!t3_row_cell_equal(row, &schema->layout, schema->key[i], &key->values[i]))
            return false;
    return true;
}

/* ---- making -----------------------------------------------------------------------------------
 */

/* Whether a value can be used as it is, without a closer look: the case of nearly every call. */
static inline bool is_plain(const struct t3_column *column, const struct tears_value *value)
{
    if (T3_UNLIKELY(value->kind != column->kind))
        return false;
    switch (column->type) {
    case TEARS_TYPE_UUID:
    case TEARS_TYPE_BIGINT:
    case TEARS_TYPE_BOOL:
    case TEARS_TYPE_TIMESTAMPTZ:
        return true;
    case TEARS_TYPE_INT:
        return value->as.integer >= INT32_MIN && value->as.integer <= INT32_MAX;
    case TEARS_TYPE_STRING:
        return value->as.bytes.len <= T3_KEY_BYTES_MAX && t3_str_is_utf8(value->as.bytes);
    default:
        return false;
    }
}

static tears_status check_size(const struct tears_schema *schema, const struct tears_value *value,
                               struct tears_error *error_out)
{
    size_t bytes = 0;
    if (value->kind == TEARS_KIND_VECTOR)
        bytes = value->as.vector.len * sizeof(double);
    else if (value->kind >= TEARS_KIND_TEXT && value->kind != TEARS_KIND_UUID &&
             value->kind != TEARS_KIND_TIMESTAMP)
        bytes = value->as.bytes.len;
    if (bytes > T3_KEY_BYTES_MAX)
        return t3_fail(error_out, TEARS_LIMIT, "key",
                       "table '" T3_STR_FMT "': a key value has %zu bytes; the limit is %d",
                       T3_STR_ARG(schema->name), bytes, T3_KEY_BYTES_MAX);
    return TEARS_OK;
}

static tears_status convert(const struct tears_schema *schema, const struct tears_value *values,
                            struct tears_value *storage, struct t3_arena *arena,
                            struct tears_error *error_out)
{
    for (uint32_t i = 0; i < schema->key_count; i++) {
        T3_TRY(check_size(schema, &values[i], error_out));
        T3_TRY(t3_value_coerce(schema, schema->key[i], &values[i], false, arena, &storage[i],
                               error_out));
        /* the database takes -0.0 and 0.0 for the same key; so must every cache */
        if (storage[i].kind == TEARS_KIND_DOUBLE && storage[i].as.number == 0)
            storage[i].as.number = 0;
    }
    return TEARS_OK;
}

tears_status t3_key_init(const struct tears_schema *schema, const struct tears_value *values,
                         size_t count, struct tears_value *storage, struct t3_arena *arena,
                         struct t3_key *key_out, struct tears_error *error_out)
{
    if (T3_UNLIKELY(count != schema->key_count))
        return t3_fail(error_out, TEARS_INVALID, "key",
                       "table '" T3_STR_FMT "': arity mismatch: %zu key values for %u key columns",
                       T3_STR_ARG(schema->name), count, schema->key_count);
    const struct tears_value *used = values;
    for (uint32_t i = 0; i < schema->key_count; i++) {
        if (T3_LIKELY(is_plain(&schema->columns[schema->key[i]], &values[i])))
            continue;
        T3_TRY(convert(schema, values, storage, arena, error_out));
        used = storage;
        break;
    }
    key_out->values = used;
    key_out->count = schema->key_count;
    key_out->hash = hash_values(used, schema->key_count);
    return TEARS_OK;
}

void t3_key_of_row(const struct tears_schema *schema, const struct t3_row *row,
                   struct tears_value *storage, struct t3_key *key_out)
{
    for (uint32_t i = 0; i < schema->key_count; i++)
        storage[i] = t3_row_value(row, &schema->layout, schema->key[i]);
    key_out->values = storage;
    key_out->count = schema->key_count;
    key_out->hash = hash_values(storage, schema->key_count);
}

static tears_status copy_value(struct t3_arena *arena, const struct tears_value *from,
                               struct tears_value *to)
{
    *to = *from;
    switch (from->kind) {
    case TEARS_KIND_TEXT:
    case TEARS_KIND_DECIMAL:
    case TEARS_KIND_BYTES:
    case TEARS_KIND_JSON:
        return t3_arena_str(arena, from->as.bytes, &to->as.bytes);
    case TEARS_KIND_VECTOR: {
        double *numbers = t3_arena_array(arena, from->as.vector.len, sizeof *numbers);
        if (numbers == NULL)
            return TEARS_NO_MEMORY;
        if (from->as.vector.len > 0)
            memcpy(numbers, from->as.vector.ptr, from->as.vector.len * sizeof *numbers);
        to->as.vector.ptr = numbers;
        return TEARS_OK;
    }
    default:
        return TEARS_OK;
    }
}

tears_status t3_key_copy(const struct t3_key *key, struct t3_arena *arena, struct t3_key *copy_out)
{
    struct tears_value *values = t3_arena_array(arena, key->count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < key->count; i++)
        T3_TRY(copy_value(arena, &key->values[i], &values[i]));
    copy_out->values = values;
    copy_out->count = key->count;
    copy_out->hash = key->hash;
    return TEARS_OK;
}

/* ---- text -------------------------------------------------------------------------------------
 */

static bool is_key_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '/' || c == '_' || c == '=' || c == '.';
}

/*
 * Whether the body may stand in a subject.  Empty tokens (a dot at either end, two in a row) pass
 * the peers' pattern, but no server takes them, so no data exists under the raw form and it is
 * hashed like any other.
 */
static bool body_is_safe(struct tears_str body)
{
    char before = '.';
    for (size_t i = 0; i < body.len; i++) {
        if (!is_key_character(body.ptr[i]) || (before == '.' && body.ptr[i] == '.'))
            return false;
        before = body.ptr[i];
    }
    return before != '.';
}

tears_status t3_key_text(struct tears_str table, const struct tears_value *values, size_t count,
                         struct t3_buf *out)
{
    const size_t start = out->len;
    T3_TRY(t3_buf_put(out, table));
    T3_TRY(t3_buf_put_char(out, '.'));
    const size_t body_at = out->len;
    for (size_t i = 0; i < count; i++) {
        tears_status status = i > 0 ? t3_buf_put_char(out, '_') : TEARS_OK;
        if (status == TEARS_OK)
            status = t3_value_put_python(out, &values[i]);
        if (status != TEARS_OK) {
            out->len = start;
            return status;
        }
    }
    const struct tears_str body = tears_str_n(out->ptr + body_at, out->len - body_at);
    if (T3_LIKELY(body_is_safe(body)))
        return TEARS_OK;
    char hex[65];
    t3_sha256_hex(body, hex);
    out->len = body_at;
    return t3_buf_put(out, tears_str_n(hex, 64));
}

tears_status t3_key_put_l2(const struct tears_schema *schema, const struct t3_key *key,
                           struct t3_buf *out)
{
    return t3_key_text(schema->name, key->values, key->count, out);
}

tears_status t3_key_put_display(const struct t3_key *key, struct t3_buf *out)
{
    for (uint32_t i = 0; i < key->count; i++) {
        if (i > 0)
            T3_TRY(t3_buf_put(out, TEARS_STR(", ")));
        T3_TRY(t3_value_put_python(out, &key->values[i]));
    }
    return TEARS_OK;
}
