/**
 * @file data.h
 * Tables that a program defines while it runs: each owner's in a database schema of its own.
 *
 * A *data store* is what an owner (an agent, a tenant: a UUID) has in the client's database: on PostgreSQL the
 * schema `agent_<32 hexadecimal digits>`, on SQLite a file of that name beside the client's.  Every statement of the
 * store runs there, raw SQL too: names without a schema are found in the owner's, and then where extensions are
 * installed (often `public`); another owner's table of the same name is not found.
 *
 * Its tables are as good as any: their collections go through all three tiers, with versions where the
 * table has a version column.  The caches know them by `agent_<hex>.<table>`, so that rows of two owners never meet.
 *
 * Facts of a declaration that a database has no place for (the partition column, columns that are never updated, a
 * version column by another name, how bytes are written in L2) are kept with the table: on PostgreSQL as its
 * comment, which must then not be changed by hand.
 */
#ifndef TEARS_DATA_H
#define TEARS_DATA_H

#include "entity.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What one owner has in the client's database.  Used by any number of threads; ended before the client. */
typedef struct tears_data tears_data;

/** How to open a data store.  Start from TEARS_DATA_OPTIONS_INIT. */
struct tears_data_options {
    size_t size;
    const uint8_t *owner;   /**< 16 bytes; NULL: no owner, the client's own tables */
    uint64_t create_schema; /**< 1: it is made when it is missing; 0: TEARS_NOT_FOUND */
    /**
     * 1: the caches know the tables by their bare names, as the Python package's do.  For a program that shares
     * its L2 namespace with the Python program of the same owner, and with nobody else: the namespace then
     * has to be that owner's alone.
     */
    uint64_t peer_names;
};

#define TEARS_DATA_OPTIONS_INIT TEARS_SIZED(struct tears_data_options)

/**
 * Opens what an owner has.
 * @param options   NULL: no owner.
 * @param data_out  owned by the caller; end it with tears_data_free, before the client.
 * @return TEARS_OK, TEARS_NOT_FOUND (no such schema, and create_schema was not set), TEARS_DENIED (no right to make
 * it), TEARS_UNSUPPORTED (the client's L3 is a store of the program's own), TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_MISUSE, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_data_open(tears_client *client,
                                                     const struct tears_data_options *options,
                                                     tears_data **data_out,
                                                     struct tears_error *error_out);

/** Ends a data store; its collections stay the client's.  NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_data_free(tears_data *data);

/** The name of the owner's schema, `agent_<hex>`; "" without an owner.  @thread any  @since 0.1 */
TEARS_API struct tears_str tears_data_schema(const tears_data *data);

/** @name Tables */
/** @{ */

/** One thing in which a table is not as it was declared.  Texts belong to the session. */
struct tears_table_difference {
    struct tears_str
        part; /**< "column", "primary key", "index", "unique constraint", "foreign key", "table" */
    struct tears_str name;     /**< of the column, index or constraint; "" for the others */
    struct tears_str aspect;   /**< such as "missing", "extra", "type", "nullable", "default" */
    struct tears_str declared; /**< "" where there is nothing to say */
    struct tears_str found;
};

struct tears_table_options {
    size_t size;
    uint64_t must_create; /**< 1: TEARS_CONFLICT when a table of that name is there already */
    const struct tears_collection_options
        *collection; /**< of its collection; NULL: defaults.  Its schema and store must be NULL. */
};

#define TEARS_TABLE_OPTIONS_INIT TEARS_SIZED(struct tears_table_options)

/** What became of a declaration.  Start from TEARS_TABLE_RESULT_INIT. */
struct tears_table_result {
    size_t size;
    tears_collection *collection; /**< lives as long as the client; NULL when the call failed */
    uint64_t created;             /**< 1: the table was made; 0: it was there */
    const struct tears_table_difference *differences; /**< belongs to the session */
    size_t difference_count;
};

#define TEARS_TABLE_RESULT_INIT TEARS_SIZED(struct tears_table_result)

/**
 * Makes the table with its indexes, in one transaction, unless it is there already; then it is compared with
 * the declaration.  Several processes may do so at once: one makes it.
 *
 * A difference in the columns, the key, a declared index, a unique index or constraint, or a foreign key
 * fails the call; all of them are in the result, and the first ones in the error's text.  Indexes that are not declared and
 * not unique are nobody's business but the administrator's.
 * @param schema      its name is a table's without a schema.
 * @param result_out  may be NULL.
 * @return TEARS_OK, TEARS_INVALID (differences: see the result; a name with a point; a declaration that the
 * database refuses), TEARS_CONFLICT (must_create), TEARS_MISUSE (a transaction is open), TEARS_DENIED,
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_data_create_table(
    tears_session *session, tears_data *data, const tears_schema *schema,
    const struct tears_table_options *options, struct tears_table_result *result_out);

/**
 * Compares an existing table with a declaration, and changes nothing.
 * @param result_out  as of tears_data_create_table; no collection is opened.
 * @return TEARS_OK (also with differences: see the result), TEARS_NOT_FOUND (no such table), else as
 * tears_data_create_table.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_data_compare_table(tears_session *session, tears_data *data, const tears_schema *schema,
                         struct tears_table_result *result_out);

/**
 * Drops a table.  Its rows leave the caches of every process; its collection must not be used any more.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_CONFLICT (deferred writes of it wait), TEARS_INVALID (others depend on it), TEARS_MISUSE (a transaction is open), else as
 * tears_data_create_table.  See tears_session_degraded for L2.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_data_drop_table(tears_session *session, tears_data *data,
                                                           struct tears_str table);

/** Names of the owner's tables, sorted.  @param names_out belongs to the session.  @return as
 * tears_tables.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_data_tables(tears_session *session, tears_data *data,
                                                       const struct tears_str **names_out,
                                                       size_t *count_out);

/**
 * The definition that would make the table anew, as tears_schema_from_json takes it.
 * @param json_out     belongs to the session.
 * @param inexact_out  what a definition has no words for, in one line; "" when it says everything.  May be NULL.
 * @return TEARS_OK, TEARS_NOT_FOUND, TEARS_UNSUPPORTED (a name that a definition may not contain), else as
 * tears_collection_open.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_data_definition(tears_session *session, tears_data *data,
                                                           struct tears_str table,
                                                           struct tears_str *json_out,
                                                           struct tears_str *inexact_out);

/**
 * The collection of one of the owner's tables, whoever made it.
 * @param options  NULL: defaults; as tears_collection_open otherwise, without schema and store.
 * @return as tears_collection_open.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_data_collection(
    tears_data *data, struct tears_str table, const struct tears_collection_options *options,
    tears_collection **collection_out, struct tears_error *error_out);

/** @} */
/** @name Raw SQL and transactions
 * As tears_query, tears_execute and tears_begin, in the owner's schema.  A transaction begun here has
 * the owner's tables; on PostgreSQL the client's own too, on SQLite not, for they are in another file.  It ends with
 * tears_commit or tears_rollback. */
/** @{ */
/** @return as tears_query; TEARS_INVALID when the owner's schema is gone.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_data_query(tears_session *session, tears_data *data,
                                                      struct tears_str sql,
                                                      const struct tears_value *params,
                                                      size_t param_count,
                                                      tears_cursor **cursor_out);
/** @param rows_out rows affected; may be NULL.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_data_execute(tears_session *session, tears_data *data,
                                                        struct tears_str sql,
                                                        const struct tears_value *params,
                                                        size_t param_count, uint64_t *rows_out);
/** @return as tears_begin.  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_data_begin(tears_session *session, tears_data *data);
/** @} */

/** @name Rows that change their owner */
/** @{ */

struct tears_repoint {
    size_t size;
    struct tears_str
        column; /**< the column that says whose a row is; it may be immutable, or part of the key */
    struct tears_value from;
    struct tears_value to;
    struct tears_str touch; /**< a timestamp column that becomes now as well; "" none */
};

#define TEARS_REPOINT_INIT TEARS_SIZED(struct tears_repoint)

/** The rows that moved. */
struct tears_repointed {
    const struct tears_value *keys; /**< as they are now, key after key; belongs to the session */
    size_t row_count;
};

/**
 * Gives all rows whose `column` is `from` to `to`, with a new version each, in one statement.  In the
 * session's transaction, or in one of its own when none is open.  Once that is committed, the rows leave the caches of every
 * process, under the keys that they had and that they have.
 * @param moved_out  may be NULL.
 * @return TEARS_OK, TEARS_CONFLICT (deferred writes of the table wait: tears_flush), TEARS_INVALID (no such column; a value that does not fit; a row of `to` has the key already),
 * TEARS_UNSUPPORTED (a table that is not in a database, or a strict one), TEARS_LIMIT and TEARS_NO_MEMORY (more rows than
 * the session can hold: nothing was changed, and an open transaction is rolled back), else as tears_execute.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_repoint(tears_session *session,
                                                   tears_collection *collection,
                                                   const struct tears_repoint *repoint,
                                                   struct tears_repointed *moved_out);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
