/**
 * @file store.h
 * The durable-store contract: how a program supplies its own L3.
 *
 * A store keeps rows of tables, found by primary key.  It never sees SQL.  Fill in the table of
 * functions, give it to a client or to one collection, and every read and write of the library goes
 * through it; examples/dir_store.c is a complete one that keeps each row as a file.
 * Source: spec data.md section 2.2.
 */
#ifndef TEARS_STORE_H
#define TEARS_STORE_H

#include "schema.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where a store puts a row it read: call once per row, with the fields in any order. */
struct tears_row_sink {
    /** @return TEARS_OK, or a status that the store must return at once. */
    tears_status (*put)(void *owner, const struct tears_field *fields, size_t field_count);
    void *owner;
};

/** Modes of tears_store.upsert. */
enum {
    TEARS_STORE_INSERT = 0, /**< the key must not exist, else TEARS_CONFLICT */
    TEARS_STORE_UPDATE =
        1, /**< the key must exist (and match `base`, when given), else TEARS_CONFLICT */
    TEARS_STORE_UPSERT = 2 /**< write whether or not the key exists */
};

/**
 * A user's store.  All functions may be called from several threads at once; each must return
 * within `deadline_ms` milliseconds.  `tx` is what begin returned, or NULL.  A function that fails
 * fills error->message and returns a status; UNAVAILABLE means "try again later".
 */
struct tears_store {
    size_t size; /**< sizeof(struct tears_store) */
    void *owner; /**< passed to every function */

    /** Reads one row by key (schema's key order) into the sink.  NOT_FOUND when there is none. */
    tears_status (*fetch)(void *owner, void *tx, const tears_schema *schema,
                          const struct tears_value *key, size_t key_count, uint64_t deadline_ms,
                          const struct tears_row_sink *row, struct tears_error *error);

    /**
     * Writes one row.  `fields` holds the columns to write, the key among them.  On an update, the
     * columns not given keep their value.  `base` is the expected value of the version column, or
     * NULL.  The store itself moves the version column forward and gives the row as stored to
     * `row`.
     */
    tears_status (*upsert)(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                           const struct tears_field *fields, size_t field_count,
                           const struct tears_value *base, uint64_t deadline_ms,
                           const struct tears_row_sink *row, struct tears_error *error);

    /** Deletes one row.  TEARS_NOT_FOUND when there was none; CONFLICT when `base` does not match.
     */
    tears_status (*remove)(void *owner, void *tx, const tears_schema *schema,
                           const struct tears_value *key, size_t key_count,
                           const struct tears_value *base, uint64_t deadline_ms,
                           struct tears_error *error);

    /**
     * Gives rows in ascending key order, those after `after_key` (NULL: from the start), whose
     * columns equal `filters`, at most `row_max`.
     */
    tears_status (*scan)(void *owner, void *tx, const tears_schema *schema,
                         const struct tears_field *filters, size_t filter_count,
                         const struct tears_value *after_key, size_t row_max, uint64_t deadline_ms,
                         const struct tears_row_sink *rows, struct tears_error *error);

    /** Optional, all three or none: a transaction. */
    tears_status (*begin)(void *owner, void **tx_out, struct tears_error *error);
    tears_status (*commit)(void *owner, void *tx, struct tears_error *error);
    void (*rollback)(void *owner, void *tx);
};

#ifdef __cplusplus
}
#endif
#endif
