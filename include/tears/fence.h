/**
 * @file fence.h
 * Fences: a database that refuses the writes of a process whose lease is not its own any more.
 *
 * The table `tears_fences` holds the largest token seen for each name.  A transaction that begins with tears_fence_check either commits
 * before a newer holder's first check, or is refused.  Works in PostgreSQL and SQLite.  Source: spec platform.md section 9.2 (C1, C7).
 *
 *     tears_begin(session);
 *     tears_fence_check(session, TEARS_STR("nightly"), tears_lease_token(lease));
 *     ... tears_save, tears_execute ...
 *     tears_commit(session);
 */
#ifndef TEARS_FENCE_H
#define TEARS_FENCE_H

#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes the table if it is not there.
 * @return as tears_execute.  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_fence_install(tears_session *session);

/**
 * Asserts that nobody has come with a larger token, and leaves this one.  Inside a transaction, before its first write: the fence's row
 * stays locked until the transaction ends.
 *
 * @param name   of the fence, usually the lease's; 1 to 512 bytes.
 * @param token  tears_lease_token.
 * @return TEARS_OK, TEARS_DENIED (fenced off: a larger token was here; roll back), TEARS_MISUSE (no transaction is open), TEARS_INVALID (name or token;
 * or there is no table: tears_fence_install), TEARS_CONFLICT (serialization failure), TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_NO_MEMORY.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_fence_check(tears_session *session,
                                                       struct tears_str name, uint64_t token);

/** A fence, and the token to pass it with. */
struct tears_fence {
    struct tears_str name;
    uint64_t token;
};

/**
 * Runs one statement behind the fence: in the open transaction, or in one of its own.
 * @param rows_out  rows affected; may be NULL.
 * @return as tears_fence_check and tears_execute.  After a failure in a transaction of the caller's, roll it back.
 * @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_fence_execute(tears_session *session,
                                                         const struct tears_fence *fence,
                                                         struct tears_str sql,
                                                         const struct tears_value *params,
                                                         size_t param_count, uint64_t *rows_out);

/**
 * The largest token seen; 0 when the fence has seen none.  For `token_above` of a lease, when everything that knew the tokens was lost but the database.
 * @return TEARS_OK, and as tears_query.  @thread session  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_fence_read(tears_session *session, struct tears_str name,
                                                      uint64_t *token_out);

/**
 * A condition for statements of the program's own, with the numbers of two parameters, the name (text) and the token (bigint): true while no
 * larger token has been seen.  The token must have passed tears_fence_check once, after it was acquired.  In PostgreSQL it
 * locks the fence's row against newer holders until the statement's transaction ends; in SQLite there is one writer at a time anyway.
 *
 *     UPDATE jobs SET state = $1 WHERE id = $2 AND TEARS_FENCE_CONDITION_PG("$3", "$4")
 *
 * No row affected means: no such row, or fenced off.
 */
#define TEARS_FENCE_CONDITION_PG(name_placeholder, token_placeholder)                  \
    "EXISTS (SELECT 1 FROM tears_fences AS fence WHERE fence.name = " name_placeholder \
    " AND fence.token <= " token_placeholder " FOR SHARE)"
#define TEARS_FENCE_CONDITION_SQLITE(name_placeholder, token_placeholder)              \
    "EXISTS (SELECT 1 FROM tears_fences AS fence WHERE fence.name = " name_placeholder \
    " AND fence.token <= " token_placeholder ")"

#ifdef __cplusplus
}
#endif
#endif
