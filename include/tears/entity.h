/**
 * @file entity.h
 * Reading and writing rows through the tiers.
 *
 * An entity is a snapshot of a row plus changes of its own that are not saved yet.  It belongs to
 * the session it was read through.  Nobody else's write changes it, and its changes are seen by
 * nobody before they are saved.
 *
 * A key is given as the values of the primary-key columns, in key order.  Text is accepted for key
 * columns and fields of any type that has a text form (UUID, timestamp, decimal, JSON, enum).
 */
#ifndef TEARS_ENTITY_H
#define TEARS_ENTITY_H

#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tears_entity tears_entity;

/** Which tier answered. */
enum {
    TEARS_TIER_NONE = 0,
    TEARS_TIER_L1 = 1,
    TEARS_TIER_L2 = 2,
    TEARS_TIER_L3 = 3,
    TEARS_TIER_PENDING =
        4 /**< a deferred write of this process, which L3 does not have yet (deferred.h) */
};

/** @name Reading */
/** @{ */

/**
 * Reads one row by primary key.  Looks in L1, then L2, then L3, and fills the tiers it passed on
 * the way back.
 *
 * @param key         key_count values, in the order of the table's primary key.
 * @param entity_out  set on success only; belongs to the session.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_INVALID (a key value has the wrong kind or number),
 *         TEARS_LIMIT (the key is too long), TEARS_TIMEOUT, TEARS_UNAVAILABLE (in no cache, and L3
 *         unreachable; L2 alone being down is not an error), TEARS_CORRUPT (L3 gave what the schema
 *         does not allow), TEARS_MISUSE (a forked child), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_get(tears_session *session, tears_collection *collection,
                                               const struct tears_value *key, size_t key_count,
                                               tears_entity **entity_out);

/**
 * Reads many rows by primary key in as few round trips as possible.
 *
 * @param keys          entity_count keys one after the other, each of tears_schema_key_count
 * values.
 * @param entities_out  an array of entity_count places, in the order of the keys; NULL where there
 * is no row.
 * @return as tears_get, except that rows that do not exist are no failure.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_get_many(tears_session *session,
                                                    tears_collection *collection,
                                                    const struct tears_value *keys,
                                                    size_t entity_count,
                                                    tears_entity **entities_out);

/**
 * Reads one column of one row; cheaper than tears_get when the row is in L1.
 * @param value_out  borrowed from the session.
 * @return as tears_get; TEARS_INVALID also for an unknown column.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_get_field(tears_session *session,
                                                     tears_collection *collection,
                                                     const struct tears_value *key,
                                                     size_t key_count, struct tears_str column,
                                                     struct tears_value *value_out);

/** Whether L1 holds the row now; asks no other tier.  @thread session  @since 0.1 */
TEARS_API bool tears_exists_in_l1(tears_session *session, tears_collection *collection,
                                  const struct tears_value *key, size_t key_count);

/**
 * Brings rows into L1 without giving them out (prewarming).
 * @param found_out  how many of the keys exist; may be NULL.
 * @return as tears_get_many.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_ensure(tears_session *session,
                                                  tears_collection *collection,
                                                  const struct tears_value *keys, size_t key_total,
                                                  size_t *found_out);

/** The tier that answered the session's last tears_get, tears_get_field or write: TEARS_TIER_*.
 * @thread session @since 0.1 */
TEARS_API uint32_t tears_session_tier(const tears_session *session);

/** @} */
/** @name Writing
 * A write goes to L3 first; from there on it cannot fail, only be degraded.  After TEARS_CONFLICT
 * the stale copies are gone from the caches, and the winning row, when there is one, is in
 * *entity_out. */
/** @{ */

/**
 * Inserts a row; it must not exist.  The entity is the row as the database stored it, with
 * defaults.
 * @param entity_out  may be NULL; on TEARS_CONFLICT the existing row.
 * @return TEARS_OK, TEARS_CONFLICT (the key exists, or a unique constraint), TEARS_INVALID (unknown
 * column, wrong kind, missing required column, a constraint of the database), TEARS_LIMIT,
 * TEARS_DENIED, TEARS_TIMEOUT and TEARS_UNAVAILABLE (the outcome is unknown when the connection
 * broke during the call; the caches were dropped), TEARS_NO_MEMORY, TEARS_MISUSE.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_insert(tears_session *session,
                                                  tears_collection *collection,
                                                  const struct tears_field *fields,
                                                  size_t field_count, tears_entity **entity_out);

/**
 * Changes some columns of a row, if it is still as in `base`.  Only the given columns are sent.  In
 * a table without a version column the last writer wins.
 * @param base        an entity read through this session; its own unsaved changes are not sent.
 * @param entity_out  may be NULL or the variable that holds `base`; on TEARS_CONFLICT the winning
 * row, or NULL when the row is gone.
 * @return as tears_insert; TEARS_CONFLICT (changed or deleted since), TEARS_INVALID also for key,
 * immutable and version columns.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_update(tears_session *session, const tears_entity *base,
                                                  const struct tears_field *fields,
                                                  size_t field_count, tears_entity **entity_out);

/**
 * Writes a row whether or not it exists, without a base: the last writer wins.  Columns not given
 * keep their value in an existing row.
 * @return as tears_insert, without TEARS_CONFLICT for the key.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_upsert(tears_session *session,
                                                  tears_collection *collection,
                                                  const struct tears_field *fields,
                                                  size_t field_count, tears_entity **entity_out);

/**
 * Deletes a row by key.
 * @return TEARS_OK, TEARS_NOT_FOUND (there was none; the caches were corrected all the same), else
 * as tears_insert.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_delete(tears_session *session,
                                                  tears_collection *collection,
                                                  const struct tears_value *key, size_t key_count);

/** Deletes a row if it is still as in `base`.  @return as tears_delete; TEARS_CONFLICT. @thread
 * session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_delete_entity(tears_session *session,
                                                         const tears_entity *base);

/** One row of a batch. */
struct tears_row_input {
    const struct tears_field *fields;
    size_t field_count;
    const tears_entity *base; /**< tears_update_many: the entity it is based on; else NULL */
};

/** What became of one row of a batch. */
struct tears_outcome {
    tears_status status;  /**< OK, CONFLICT, NOT_FOUND or INVALID */
    tears_entity *entity; /**< the row as stored; on CONFLICT the winner or NULL */
};

/**
 * The batch forms.  One transaction, set-based SQL, few round trips.  A conflict concerns its own
 * row only: the others are written.  Any other failure writes nothing, and the message names the
 * row.
 * @param outcomes_out  an array of row_count places; may be NULL.
 * @return TEARS_OK, TEARS_CONFLICT (at least one row; see the outcomes), else as the single forms.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_insert_many(tears_session *session,
                                                       tears_collection *collection,
                                                       const struct tears_row_input *rows,
                                                       size_t row_count,
                                                       struct tears_outcome *outcomes_out);
TEARS_API TEARS_CHECKED tears_status tears_update_many(tears_session *session,
                                                       tears_collection *collection,
                                                       const struct tears_row_input *rows,
                                                       size_t row_count,
                                                       struct tears_outcome *outcomes_out);
TEARS_API TEARS_CHECKED tears_status tears_upsert_many(tears_session *session,
                                                       tears_collection *collection,
                                                       const struct tears_row_input *rows,
                                                       size_t row_count,
                                                       struct tears_outcome *outcomes_out);
/** @param deleted_out how many existed; may be NULL.  Rows that do not exist are no failure.
 * @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_delete_many(tears_session *session,
                                                       tears_collection *collection,
                                                       const struct tears_value *keys,
                                                       size_t row_count, size_t *deleted_out);

/** @} */
/** @name Entities */
/** @{ */

/**
 * A new entity that is not in any tier; nobody sees it before it is saved.
 * @return TEARS_OK, TEARS_INVALID (unknown column, wrong kind), TEARS_NO_MEMORY.  @thread session
 * @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_entity_new(tears_session *session,
                                                      tears_collection *collection,
                                                      const struct tears_field *fields,
                                                      size_t field_count,
                                                      tears_entity **entity_out);

/**
 * Reads a column: its unsaved change if there is one, else the snapshot.
 * @param value_out  borrowed from the session; NULL for a column a new entity has no value for.
 * @return TEARS_OK, TEARS_INVALID (no such column).  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_entity_get(const tears_entity *entity,
                                                      struct tears_str column,
                                                      struct tears_value *value_out);

/** Reads the column at an index of the schema.  @return as tears_entity_get. @thread session @since
 * 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_entity_at(const tears_entity *entity, size_t index,
                                                     struct tears_value *value_out);

/**
 * Changes a column of the entity, not of the table.  The value is copied.
 * @return TEARS_OK, TEARS_INVALID (no such column; wrong kind; a key, immutable or version column
 * of an entity that is not new), TEARS_NO_MEMORY.  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_entity_set(tears_entity *entity, struct tears_str column,
                                                      struct tears_value value);

/** The unsaved changes; of a new entity all its fields.  Belongs to the session. @return TEARS_OK,
 * TEARS_NO_MEMORY. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_entity_changes(const tears_entity *entity,
                                                          const struct tears_field **fields_out,
                                                          size_t *count_out);

/** Whether the entity has unsaved changes; a new entity always has.  @thread session  @since 0.1 */
TEARS_API bool tears_entity_is_dirty(const tears_entity *entity);
/** Whether the entity was made by tears_entity_new and not saved yet.  @thread session  @since 0.1
 */
TEARS_API bool tears_entity_is_new(const tears_entity *entity);
/** The collection the entity is a row of.  @thread session  @since 0.1 */
TEARS_API tears_collection *tears_entity_collection(const tears_entity *entity);

/** The version the database gave the row: an integer or microseconds; 0 when the table has none.
 * @thread session @since 0.1 */
TEARS_API int64_t tears_entity_version(const tears_entity *entity);

/** The tier the snapshot came from: TEARS_TIER_*.  @thread session  @since 0.1 */
TEARS_API uint32_t tears_entity_tier(const tears_entity *entity);

/**
 * Saves: inserts a new entity, updates a changed one, does nothing for a clean one.  On success the
 * entity is the row as stored; on TEARS_CONFLICT it keeps its changes: reload and try again.
 * @return as tears_insert and tears_update.  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_entity_save(tears_entity *entity);

/** Reads the row from L3, corrects the caches, and drops the entity's changes. @return as
 * tears_get. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_entity_reload(tears_entity *entity);

/** A copy, with its changes, in another session of the same client.  @return TEARS_OK,
 * TEARS_MISUSE, TEARS_NO_MEMORY. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_entity_copy(const tears_entity *entity,
                                                       tears_session *session,
                                                       tears_entity **entity_out);

/** The row as one JSON object, all columns in schema order (a double that is not finite as a
 * string); belongs to the session. @return TEARS_OK, TEARS_NO_MEMORY. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_entity_json(const tears_entity *entity,
                                                       struct tears_str *json_out);

/** @} */
/** @name Caches */
/** @{ */

/** Drops the row from this process's L1 only.  @return TEARS_OK, TEARS_INVALID.  @thread session
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_evict(tears_session *session,
                                                 tears_collection *collection,
                                                 const struct tears_value *key, size_t key_count);

/** Drops the row from every cache of every process.  @return TEARS_OK (see tears_session_degraded),
 * TEARS_INVALID. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_invalidate(tears_session *session,
                                                      tears_collection *collection,
                                                      const struct tears_value *key,
                                                      size_t key_count);

/** @} */
/** @name Pages
 * Keyset pagination, always from L3, in primary-key order unless other columns are named.  Rows with a
 * NULL in a column of the order come last, in both directions. */
/** @{ */

/**
 * Partitions of a table with a partition column (struct tears_column_def), at least one: what a read across
 * partitions is given, so that nobody reads all of them by leaving something out.
 */
typedef struct tears_partitions tears_partitions;

/**
 * Makes a set of partitions; values that occur twice count once.
 * @param partitions_out  belongs to the session.
 * @return TEARS_OK, TEARS_INVALID (no value at all; NULL; not a value of the partition column; a table without one),
 * TEARS_LIMIT (more than 1000), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_partitions_new(tears_session *session,
                                                          tears_collection *collection,
                                                          const struct tears_value *values,
                                                          size_t value_count,
                                                          const tears_partitions **partitions_out);

struct tears_page_options {
    size_t size;
    const struct tears_field *filters; /**< columns that must equal */
    size_t filter_count;
    const struct tears_str *order_by; /**< columns; the key's columns are appended; none: the key */
    size_t order_by_count;
    uint64_t descending;     /**< 1: all columns descending */
    uint64_t row_max;        /**< rows of a page; 0: 100 */
    struct tears_str cursor; /**< "": the first page; else a page's next_cursor */
    /**
     * A table with a partition column is read with a filter on it, which names one partition, or with this, which names
     * several.  NULL: one.
     */
    const tears_partitions *partitions;
};

#define TEARS_PAGE_OPTIONS_INIT TEARS_SIZED(struct tears_page_options)

struct tears_page {
    tears_entity **entities;
    size_t count;
    struct tears_str next_cursor; /**< "": this was the last page */
};

/**
 * Reads one page of rows.  Rows read this way are put in no cache.
 * @param page_out  belongs to the session.
 * @return TEARS_OK, TEARS_INVALID (unknown column, a cursor that is none or of another order, a table
 * with a partition column and neither a filter on it nor partitions), TEARS_UNSUPPORTED (partitions of a
 * program's own store), TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_page_read(tears_session *session,
                                                     tears_collection *collection,
                                                     const struct tears_page_options *options,
                                                     struct tears_page *page_out);

/** @} */
/** @name Text and JSON */
/** @{ */

/**
 * Reads a value of a column from text, as a person writes it: `true`, `42`, `2026-01-31T12:00:00Z`,
 * JSON, hexadecimal bytes as `\x00ff`, `[1,2.5]`.
 * @param value_out  belongs to the session.
 * @return TEARS_OK, TEARS_INVALID (no such column; the text does not fit its type),
 * TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_value_parse(tears_session *session,
                                                       const tears_schema *schema,
                                                       struct tears_str column,
                                                       struct tears_str text,
                                                       struct tears_value *value_out);

/** A value as JSON text, bytes as base64, a double that is not finite as a string; belongs to the
 * session.  @return TEARS_OK, TEARS_NO_MEMORY. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_value_json(tears_session *session,
                                                      const struct tears_value *value,
                                                      struct tears_str *json_out);

/**
 * Reads the fields of a row from one JSON object (the L2 encoding; bytes as base64 or `\x` hex).
 * @param fields_out  belongs to the session.
 * @return TEARS_OK, TEARS_INVALID (not an object, duplicate members, unknown column, wrong type;
 * the message has the position), TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_fields_from_json(tears_session *session,
                                                            const tears_schema *schema,
                                                            struct tears_str json,
                                                            const struct tears_field **fields_out,
                                                            size_t *count_out);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
