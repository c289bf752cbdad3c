/*
 * key.h -- a row's primary key: its values, hash, and text for L2.
 */
#ifndef T3_SCHEMA_KEY_H
#define T3_SCHEMA_KEY_H

#include "base/buf.h"
#include "schema/schema.h"

/* A key of a table.  `values` are of the key columns' kinds and are borrowed. */
struct t3_key {
    uint64_t hash; /* of the values, not of the table */
    const struct tears_value *values;
    uint32_t count;
};

/*
 * Checks and converts a caller's key.  `storage` receives the converted values when any had to change; it has room for
 * key_count values.  TEARS_INVALID (wrong number: "arity mismatch", wrong kind, NULL), TEARS_LIMIT, TEARS_NO_MEMORY.
 */
tears_status t3_key_init(const struct tears_schema *schema, const struct tears_value *values,
                         size_t count, struct tears_value *storage, struct t3_arena *arena,
                         struct t3_key *key_out, struct tears_error *error_out);

/* The key of a row; `storage` receives key_count values that point into the row. */
void t3_key_of_row(const struct tears_schema *schema, const struct t3_row *row,
                   struct tears_value *storage, struct t3_key *key_out);

/* Whether the row is the one the key names: compares every key column. */
bool t3_key_matches_row(const struct tears_schema *schema, const struct t3_key *key,
                        const struct t3_row *row);

bool t3_key_equal(const struct t3_key *a, const struct t3_key *b);

/* A copy whose values and bytes are the arena's.  TEARS_NO_MEMORY. */
tears_status t3_key_copy(const struct t3_key *key, struct t3_arena *arena, struct t3_key *copy_out);

/*
 * Appends the L2 key text, `table.body` (spec core.md 2.3): body is the values' Python text joined by "_", or the
 * SHA-256 of it when it is outside [-/_=.a-zA-Z0-9]+ or would give an empty subject token (leading, trailing or
 * double dots are hashed... only where the vectors of keys.jsonl say so).
 */
tears_status t3_key_put_l2(const struct tears_schema *schema, const struct t3_key *key,
                           struct t3_buf *out);

/* The same without a schema, for a table name and values (the vectors). */
tears_status t3_key_text(struct tears_str table, const struct tears_value *values, size_t count,
                         struct t3_buf *out);

/* Appends a short text of the key for messages: values joined by ", ". */
tears_status t3_key_put_display(const struct t3_key *key, struct t3_buf *out);

#endif
