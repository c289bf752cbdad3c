/*
 * l3_pg_outbox_impl.h -- what the sources of PostgreSQL's outbox share; private to src/tier.
 */
#ifndef T3_TIER_L3_PG_OUTBOX_IMPL_H
#define T3_TIER_L3_PG_OUTBOX_IMPL_H

#include "tier/l3_pg_impl.h"

/*
 * Advisory locks of two numbers, in the key space of each database; the second number is the object id of the outbox.  Whoever
 * holds TAILER is the tailer; a transaction that holds WAKER is the one that sends the wake-up; INSTALLER keeps two installers apart.
 */
#define T3_OUTBOX_LOCK_TAILER    "1952801138"
#define T3_OUTBOX_LOCK_WAKER     "1952801139"
#define T3_OUTBOX_LOCK_INSTALLER "1952801140"

/* Finds the outbox along search_path: its object id, its quoted name with its database schema, that schema's quoted name. */
#define T3_OUTBOX_FIND_SQL                                                                 \
    "SELECT c.oid::int8,"                                                                  \
    " pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),"      \
    " pg_catalog.quote_ident(n.nspname)"                                                   \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
    " WHERE c.relname = 'tears_outbox' AND c.relkind = 'r'"                                \
    " AND pg_catalog.pg_table_is_visible(c.oid)"

/* Where the outbox is. */
struct t3_outbox_place {
    int64_t id;              /* 0: there is none */
    struct tears_str name;   /* quoted, with its schema */
    struct tears_str schema; /* quoted */
};

/* A trigger function to make. */
struct t3_outbox_function {
    const struct t3_outbox_place *outbox;
    const struct tears_schema *schema; /* of the table */
    bool by_row; /* a partitioned table: its partitions are written to directly as well */
};

/* Appends the body of the function, which is the same for the same table (l3_pg_outbox_sql.c). */
tears_status t3_outbox_put_body(const struct t3_outbox_function *function, struct t3_buf *out);

/* Appends a name in double quotes. */
tears_status t3_outbox_put_name(struct t3_buf *out, struct tears_str name);

/* l3_pg_outbox_tail.c */
tears_status t3_l3_pg_tail_open(struct t3_l3 *l3, struct t3_l3_tail **tail_out,
                                struct tears_error *error_out);
tears_status t3_l3_pg_tail_wait(struct t3_l3_tail *tail, struct t3_deadline deadline, int wake_fd);
tears_status t3_l3_pg_tail_take(struct t3_l3_tail *tail, struct t3_arena *arena, size_t max,
                                const struct t3_l3_note **notes_out, size_t *count_out,
                                struct tears_error *error_out);
tears_status t3_l3_pg_tail_done(struct t3_l3_tail *tail, bool done, struct tears_error *error_out);
void t3_l3_pg_tail_free(struct t3_l3_tail *tail);

#endif
