/*
 * l3_lite_impl.h -- what the sources of the SQLite tier share.
 */
#ifndef T3_TIER_L3_LITE_IMPL_H
#define T3_TIER_L3_LITE_IMPL_H

#include "driver/lite.h"
#include "schema/dml.h"
#include "tier/l3.h"

#define L3_LITE_ORIGIN "l3.sqlite"

struct l3_lite {
    struct t3_l3 base;
    struct t3_lite *lite;
};

/* An open transaction has the writer to itself. */
struct t3_l3_tx {
    struct t3_lite_conn *conn;
    tears_status broken; /* not TEARS_OK: SQLite gave the transaction up with this failure */
};

/* ---- connections (l3_lite.c) ---- */

/* A call's connection: the transaction's, or one of the pool's for as long as the call takes. */
struct t3_l3_lite_lease {
    struct t3_lite_conn *conn;
    struct t3_l3_tx *tx; /* whose connection it is; NULL: the pool's */
};

tears_status t3_l3_lite_lease(struct l3_lite *l3, struct t3_l3_call *call, bool write,
                              struct t3_l3_lite_lease *lease_out);
/* Ends the lease; `status` is how the call went.  Returns it. */
tears_status t3_l3_lite_release(struct t3_l3_lite_lease *lease, tears_status status);

/* ---- statements (l3_lite_plan.c) ---- */

enum t3_l3_lite_operation {
    L3_LITE_FETCH = 1,
    L3_LITE_INSERT,
    L3_LITE_UPDATE,
    L3_LITE_UPSERT,
    L3_LITE_DELETE,
    L3_LITE_SCAN
};

/* Which statement is wanted, and the values for it. */
struct t3_l3_lite_request {
    enum t3_l3_lite_operation operation;
    const struct tears_schema *schema;
    struct t3_lite_conn *conn;
    struct t3_arena *arena;
    struct tears_error *error;
    const struct t3_key *key;     /* fetch, update, delete */
    const struct t3_write *write; /* insert, update, upsert, delete */
    const struct t3_scan *scan;
    bool in_batch; /* whoever asks undoes all of the batch when one row of it fails */
};

/* The statement, with its parameters bound.  It ends with t3_lite_reset. */
tears_status t3_l3_lite_prepare(const struct t3_l3_lite_request *request,
                                struct t3_lite_stmt **stmt_out);

/* The row that the statement is at (all columns, in schema order). */
tears_status t3_l3_lite_row(const struct t3_l3_lite_request *request, struct t3_lite_stmt *stmt,
                            struct t3_row **row_out);

/* ---- the other operations ---- */

tears_status t3_l3_lite_describe(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str table,
                                 struct tears_str version_column, uint8_t byte_codec,
                                 struct tears_schema **schema_out);
tears_status t3_l3_lite_tables(struct t3_l3 *l3, struct t3_l3_call *call,
                               struct tears_str **names_out, size_t *count_out);
tears_status t3_l3_lite_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                              const struct tears_value *params, size_t param_count,
                              struct t3_result *result_out);
tears_status t3_l3_lite_doctor(struct t3_l3 *l3, struct t3_l3_call *call,
                               struct t3_findings *findings);

#endif
