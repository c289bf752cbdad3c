/**
 * @file session.h
 * The session: one unit of work on one thread.  It carries the deadline, the transaction, the last
 * error, and the memory of everything read through it.
 */
#ifndef TEARS_SESSION_H
#define TEARS_SESSION_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bits of tears_session_degraded: the work is done, but a cache tier is behind. */
enum {
    TEARS_DEGRADED_L1 = 1,       /**< L1 could not keep the row */
    TEARS_DEGRADED_L2_READ = 2,  /**< L2 could not be asked; L3 answered */
    TEARS_DEGRADED_L2_WRITE = 4, /**< L2 could not be corrected */
    TEARS_DEGRADED_NOTICE = 8,   /**< other processes could not be told */
    TEARS_DEGRADED_L3_READ = 16  /**< L3 could not be asked; a cache answered within its bound */
};

struct tears_session_options {
    size_t size;
    uint64_t timeout_ms;       /**< deadline of each call; 0: the client's */
    uint64_t memory_bytes_max; /**< most memory held for results; 0: 1 GiB */
    uint64_t consistency;      /**< TEARS_READ_* (coherence.h); 0: ANY */
    uint64_t bound_ms;         /**< for BOUNDED */
    uint64_t with_deleted;     /**< 1: rows of soft_delete tables that are marked are given, too */
};

#define TEARS_SESSION_OPTIONS_INIT TEARS_SIZED(struct tears_session_options)

/**
 * Starts a session.
 * @param options  NULL: defaults.
 * @return TEARS_OK, TEARS_MISUSE (a forked child), TEARS_INVALID (consistency or bound, as
 * tears_session_set_consistency), TEARS_UNSUPPORTED, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_session_new(tears_client *client,
                                                       const struct tears_session_options *options,
                                                       tears_session **session_out);

/** Ends a session: rolls back an open transaction and frees all that was read.  NULL is accepted.
 * @thread session @since 0.1 */
TEARS_API void tears_session_free(tears_session *session);

/** Frees everything read so far and forgets the error; the session can be used on.  An open
 * transaction stays. @thread session @since 0.1 */
TEARS_API void tears_session_reset(tears_session *session);

/** The error of the last call; status TEARS_OK after a success.  Lives as long as the session.
 * @thread session @since 0.1 */
TEARS_API const struct tears_error *tears_session_error(const tears_session *session);

/** TEARS_DEGRADED_* bits of the last call.  @thread session  @since 0.1 */
TEARS_API uint32_t tears_session_degraded(const tears_session *session);

/** Sets the deadline of the calls that follow, in milliseconds each; 0: the client's.  @thread
 * session  @since 0.1 */
TEARS_API void tears_session_set_timeout(tears_session *session, uint64_t timeout_ms);

/** Memory of the session, for values handed to its calls; NULL when memory or the limit is
 * exhausted. Freed by reset. @thread session @since 0.1 */
TEARS_API void *tears_session_alloc(tears_session *session, size_t bytes);

/** @name Transactions
 * Inside a transaction reads go to L3 and are not cached, writes join the transaction, and caches
 * and other processes are told only after commit.  Only tables of the client's own L3 take part. */
/** @{ */
/** @return TEARS_OK, TEARS_MISUSE (one is open), TEARS_UNSUPPORTED (the store has none),
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_begin(tears_session *session);
/** @return TEARS_OK, TEARS_MISUSE (none is open), TEARS_CONFLICT (serialization failure or
 * deadlock), TEARS_INVALID (a deferred constraint), TEARS_UNAVAILABLE (the outcome is unknown;
 * caches of the rows were dropped). @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_commit(tears_session *session);
/** @return TEARS_OK, TEARS_MISUSE (none is open).  @thread session  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_rollback(tears_session *session);
/** @} */

/** @name Raw SQL on L3
 * Placeholders are $1..$n in every dialect.  Rows changed this way are not seen by the caches:
 * call tears_invalidate for them. */
/** @{ */
typedef struct tears_cursor tears_cursor;

/**
 * Runs a statement and gives its rows.
 * @param cursor_out  belongs to the session; tears_cursor_free may end it earlier.
 * @return TEARS_OK, TEARS_INVALID (the statement or a value is refused), TEARS_CONFLICT,
 * TEARS_DENIED, TEARS_UNSUPPORTED, TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_LIMIT (result too
 * large), TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_query(tears_session *session, struct tears_str sql,
                                                 const struct tears_value *params,
                                                 size_t param_count, tears_cursor **cursor_out);

/** Runs a statement whose rows do not matter.  @param rows_out rows affected; may be NULL. @return
 * as tears_query. @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_execute(tears_session *session, struct tears_str sql,
                                                   const struct tears_value *params,
                                                   size_t param_count, uint64_t *rows_out);

/**
 * Ad-hoc SQL over the rows now cached in L1; needs an L1 of kind "sqlite".
 * @return as tears_query; TEARS_UNSUPPORTED for another kind of L1.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_query_l1(tears_session *session, struct tears_str sql,
                                                    const struct tears_value *params,
                                                    size_t param_count, tears_cursor **cursor_out);

/** The next row: `column_count` fields, borrowed until the next call.  @return TEARS_OK,
 * TEARS_DONE, TEARS_NO_MEMORY, TEARS_LIMIT (the session's memory). @thread session @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_cursor_next(tears_cursor *cursor,
                                                       const struct tears_field **fields_out,
                                                       size_t *column_count_out);
/** Ends a cursor; NULL is accepted.  @thread session  @since 0.1 */
TEARS_API void tears_cursor_free(tears_cursor *cursor);
/** @} */

#ifdef __cplusplus
}
#endif
#endif
