/*
 * result_lite.h -- ad-hoc SQL on an SQLite connection: shared by the durable tier and the SQL form
 * of L1.
 */
#ifndef T3_TIER_RESULT_LITE_H
#define T3_TIER_RESULT_LITE_H

#include "driver/lite.h"
#include "tier/result.h"

/*
 * Runs the statement to its end; rows and names are copied into the arena, typed by storage class.
 * TEARS_OK, TEARS_NO_MEMORY, and what t3_lite_step gives.
 */
tears_status t3_result_collect(struct t3_lite_stmt *stmt, struct t3_arena *arena,
                               struct t3_result *result_out, struct tears_error *error_out);

/* An ad-hoc statement: the application's text and values. */
struct t3_adhoc {
    struct tears_str sql;
    const struct tears_value *params; /* for $1..$n */
    size_t param_count;
};

/* Prepares it (from the cache when it is known) and binds the values. */
tears_status t3_adhoc_prepare(struct t3_lite_conn *conn, const struct t3_adhoc *adhoc,
                              struct t3_arena *arena, struct t3_lite_stmt **stmt_out,
                              struct tears_error *error_out);

#endif
