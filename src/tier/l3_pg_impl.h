/*
 * l3_pg_impl.h -- what the sources of the PostgreSQL tier share; private to src/tier.
 */
#ifndef T3_TIER_L3_PG_IMPL_H
#define T3_TIER_L3_PG_IMPL_H

#include "base/lock.h"
#include "driver/pg.h"
#include "schema/dml.h"
#include "tier/l3.h"

/* ---- plans: statements built once per table and shape (l3_pg_plan.c) ---- */

enum t3_pg_operation { T3_PG_FETCH, T3_PG_INSERT, T3_PG_UPDATE, T3_PG_UPSERT, T3_PG_DELETE };

/* What distinguishes one plan of a schema from another. */
struct t3_pg_shape {
    enum t3_pg_operation operation;
    bool many;
    bool has_base;
    bool is_brief; /* of many: key and version come back, and not the row */
    const struct t3_cell *cells;
    uint32_t cell_count;
};

struct t3_pg_plan {
    struct t3_pg_plan *next; /* in its bucket */
    atomic_uint references;
    struct tears_schema *schema;
    uint64_t hash; /* of schema, operation, flags, columns */
    enum t3_pg_operation operation;
    bool is_brief;
    bool many;
    bool has_base;
    uint32_t *columns; /* of the cells */
    uint32_t column_count;
    struct t3_dml dml;
    uint32_t *types; /* as sent: of arrays when `many` */
    struct t3_pg_statement statement;
};

enum { T3_PG_PLAN_BUCKETS = 256, T3_PG_PLANS_MAX = 1024 };

struct t3_pg_plans {
    struct t3_mutex mutex;
    struct t3_pg_plan *buckets[T3_PG_PLAN_BUCKETS];
    uint32_t count;
};

void t3_pg_plans_init(struct t3_pg_plans *plans);
void t3_pg_plans_done(struct t3_pg_plans *plans);
/* Gives a hold on the plan, building it when it is new.  TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_pg_plan_find(struct t3_pg_plans *plans, const struct tears_schema *schema,
                             const struct t3_pg_shape *shape, struct t3_pg_plan **plan_out);
void t3_pg_plan_drop(struct t3_pg_plan *plan);
void t3_pg_plan_drop_auto(struct t3_pg_plan **plan);

/* The object id a single parameter of this wire type has. */
uint32_t t3_pg_type_of_wire(uint8_t wire);

/* ---- the tier ---- */

struct t3_l3_pg {
    struct t3_l3 base;
    struct t3_pg_pool *pool;
    const struct t3_log *log;
    struct t3_pg_plans plans;
};

struct t3_l3_tx {
    struct t3_pg_conn *conn;
    bool had_path; /* a statement of it ran on a search_path of its own */
};

/* A call under way: the connection it uses, its own or the transaction's. */
struct t3_pg_work {
    struct t3_l3_pg *l3;
    struct t3_l3_call *call;
    const struct tears_schema *schema; /* NULL: of no table */
    struct t3_pg_conn *conn;
    struct t3_pg_call pg;
    bool applied; /* the statement went through, whatever happens to its answer */
};

/* TEARS_UNAVAILABLE also when the transaction's connection is gone. */
tears_status t3_pg_work_begin(struct t3_l3 *l3, struct t3_l3_call *call,
                              const struct tears_schema *schema, struct t3_pg_work *work);
/*
 * Gives the connection back; after a failed write notes whether its outcome is known.  A write that
 * went through but whose answer could not be taken ends its transaction: a call that failed must
 * not be committed unnoticed.
 */
void t3_pg_work_end(struct t3_pg_work *work, tears_status status, bool writes);
/*
 * Sets the connection's search_path for the call (l3_pg_path.c); without one in the call nothing is sent unless another call
 * left one behind.
 */
tears_status t3_pg_settle_path(struct t3_pg_work *work);
/* A statement of anybody's making ran: a ROLLBACK TO in it may have brought an earlier search_path back. */
void t3_pg_doubt_path(struct t3_pg_work *work);
/* The transaction is over, and what was set in it is undone. */
void t3_pg_forget_path(struct t3_l3_tx *tx);

/* Whether a read that failed so may be tried once more on another connection. */
bool t3_pg_work_may_retry(const struct t3_pg_work *work, tears_status status);

/* ---- parameters and rows (l3_pg_rows.c) ---- */

/* A value as it is sent: vectors become text. */
tears_status t3_pg_wire_value(struct t3_arena *arena, const struct tears_value *value,
                              struct tears_value *out);

/* Adds one value for a parameter; a failure names the column. */
tears_status t3_pg_put_param(struct t3_pg_work *work, const struct t3_param *param,
                             const struct tears_value *value, struct t3_pg_params *params);

/* Adds an array of `count` values for a parameter. */
tears_status t3_pg_put_param_array(struct t3_pg_work *work, const struct t3_param *param,
                                   const struct tears_value *const *values, size_t count,
                                   struct t3_pg_params *params);

/* Decodes the rows of one result, whose columns are those of the schema. */
struct t3_pg_reader {
    const struct tears_schema *schema;
    const struct t3_pg_result *result;
    struct t3_arena *arena;
    struct tears_error *error;
    uint8_t *hows; /* enum t3_pg_how of each column */
    struct tears_value *values;
    struct t3_arena scratch; /* of one row */
};

tears_status t3_pg_reader_init(struct t3_pg_reader *reader, struct t3_pg_work *work,
                               const struct t3_pg_result *result);
tears_status t3_pg_reader_row(struct t3_pg_reader *reader, size_t index, struct t3_row **row_out);
void t3_pg_reader_done(struct t3_pg_reader *reader);

/* Whether equal keys are the same bytes, so that rows of a batch can be matched by key. */
bool t3_pg_key_is_exact(const struct tears_schema *schema);

/* ---- operations ---- */

/* l3_pg_read.c */
tears_status t3_l3_pg_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_schema *schema, const struct t3_key *keys,
                            size_t count, struct t3_row **rows_out);
tears_status t3_l3_pg_scan(struct t3_l3 *l3, struct t3_l3_call *call,
                           const struct tears_schema *schema, const struct t3_scan *scan,
                           struct t3_row ***rows_out, size_t *count_out);
tears_status t3_l3_pg_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                            const struct tears_value *params, size_t param_count,
                            struct t3_result *result_out);

/* An ad-hoc statement on the connection of `work`: values go and come as text. */
tears_status t3_pg_work_query(struct t3_pg_work *work, struct tears_str sql,
                              const struct tears_value *params, size_t param_count,
                              struct t3_result *result_out);

/* Parameters of a fetch, one key or many. */
tears_status t3_pg_fetch_params(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                const struct t3_key *const *keys, size_t count,
                                struct t3_pg_params *params);

/* l3_pg_write.c */
tears_status t3_l3_pg_write(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_schema *schema, enum t3_write_kind kind,
                            struct t3_write *writes, size_t count);

/* l3_pg_batch.c */
tears_status t3_pg_write_many(struct t3_pg_work *work, const struct tears_schema *schema,
                              enum t3_write_kind kind, struct t3_write *writes, size_t count);

/* Shared by single and many (l3_pg_write.c). */
struct t3_pg_shape t3_pg_shape_of(enum t3_write_kind kind, const struct t3_write *write, bool many);
tears_status t3_pg_write_params(struct t3_pg_work *work, const struct t3_pg_plan *plan,
                                struct t3_write *const *writes, size_t count,
                                struct t3_pg_params *params);
/* Takes the row of a deletion: its version. */
tears_status t3_pg_take_deleted(struct t3_pg_work *work, const struct t3_pg_result *result,
                                size_t row, struct t3_write *write);
/* The write went through; `row` is what is stored now. */
void t3_pg_write_done(const struct tears_schema *schema, struct t3_write *write,
                      struct t3_row *row);
/* Whether a write that changed nothing needs to know the row that is there. */
bool t3_pg_wants_winner(enum t3_write_kind kind, const struct t3_write *write);
/* The write changed nothing; `winner` is the row that is there, or NULL. */
void t3_pg_write_lost(const struct tears_schema *schema, enum t3_write_kind kind,
                      struct t3_write *write, struct t3_row *winner);

/* l3_pg_catalogue.c */
tears_status t3_l3_pg_describe(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str table,
                               struct tears_str version_column, uint8_t byte_codec,
                               struct tears_schema **schema_out);
tears_status t3_l3_pg_tables(struct t3_l3 *l3, struct t3_l3_call *call,
                             struct tears_str **names_out, size_t *count_out);
/* l3_pg_indexes.c: the indexes and unique constraints of a table, by its object id, in the call's arena. */
tears_status t3_l3_pg_describe_indexes(struct t3_l3 *l3, struct t3_l3_call *call, int64_t table_id,
                                       struct tears_schema_def *def);
/* l3_pg_doctor.c */
tears_status t3_l3_pg_doctor(struct t3_l3 *l3, struct t3_l3_call *call,
                             struct t3_findings *findings);

/* l3_pg_outbox.c */
extern const struct t3_l3_outbox_ops t3_l3_pg_outbox;

#endif
