/*
 * l1_sqlite.h -- the in-process tier on in-memory SQLite: for programs that want SQL over the rows
 * they have cached.
 *
 * Thirty times slower than l1_memory, with the same contract (l1.h).
 */
#ifndef T3_TIER_L1_SQLITE_H
#define T3_TIER_L1_SQLITE_H

#include "tier/l1.h"
#include "tier/result_lite.h"

/* Whether the tier was made by t3_l1_sqlite_new. */
bool t3_l1_is_sqlite(const struct t3_l1 *l1);

/*
 * Runs one SELECT over the cached rows.  Every table the tier knows is there under its own name
 * with its own columns, and holds the rows that are cached and not expired just now: an answer
 * about the cache, not about the database. Values are stored as in SQLite files (driver/lite.h).
 * Other calls of the tier wait meanwhile, T3_L1_SQL_MS_MAX at most. TEARS_OK, TEARS_INVALID (SQL
 * error), TEARS_DENIED (not a reading statement), TEARS_TIMEOUT, TEARS_NO_MEMORY, TEARS_LIMIT.
 */
enum { T3_L1_SQL_MS_MAX = 5000 };
tears_status t3_l1_sqlite_query(struct t3_l1 *l1, const struct t3_adhoc *adhoc,
                                struct t3_arena *arena, struct t3_result *result_out,
                                struct tears_error *error_out);

#endif
