/*
 * store_impl.h -- what the sources of the data store share; private to src/data/store_*.c.
 */
#ifndef T3_DATA_STORE_IMPL_H
#define T3_DATA_STORE_IMPL_H

#include "core/owner.h"
#include "schema/dml.h"

#include <tears/data.h>

#define STORE_ORIGIN "data"

struct tears_data {
    struct tears_client *client;
    struct t3_arena arena;
    struct t3_l3
        *l3; /* the client's, or an SQLite file of the owner's; both live as long as the client */
    enum t3_dialect dialect;
    struct tears_str schema; /* "agent_<hex>"; "": the client's own */
    struct t3_l3_path path;  /* of PostgreSQL; empty texts: none is set */
    bool peer_names;
};

/* The path of this store's statements, NULL when they run on the connection's own. */
static inline const struct t3_l3_path *t3_store_path(const struct tears_data *data)
{
    return data->path.schema.len > 0 ? &data->path : NULL;
}

/* What an L3 call of this store is given; the transaction is the session's if it is one of this store's. */
struct t3_l3_call t3_store_call(const struct tears_data *data, struct tears_session *session);

/*
 * Checks the name of a table: not empty, without a point, at most 63 bytes, usable in L2's keys.  TEARS_INVALID.
 */
tears_status t3_store_check_name(struct tears_str table, struct tears_error *error_out);

/* Where the table is; texts are in the arena.  TEARS_INVALID, TEARS_NO_MEMORY. */
tears_status t3_store_place(const struct tears_data *data, struct tears_str table,
                            struct t3_arena *arena, struct t3_table_place *place_out,
                            struct tears_error *error_out);

/* The schema of an existing table with names as the owner sees them.  As describe of tier/l3.h; ended by tears_schema_free. */
tears_status t3_store_describe(const struct tears_data *data, struct t3_l3_call *call,
                               struct tears_str table, struct tears_schema **schema_out);

/* ---- store_shape.c ---- */

/*
 * The schema that the database would describe if the declaration had just been carried out: defaults and conditions in
 * its own words.  Foreign keys are the declaration's.  `call` is within a transaction, which is as before afterwards.
 */
tears_status t3_store_shape(const struct tears_data *data, struct t3_l3_call *call,
                            const struct tears_schema *declared, struct tears_schema **schema_out);

/* ---- store_compare.c ---- */

struct t3_store_comparison {
    const struct tears_schema *declared; /* as the program gave it */
    const struct tears_schema *shape;    /* the same as the database would describe it */
    const struct tears_schema *found;
    enum t3_dialect dialect;
    struct tears_str own_schema; /* "agent_<hex>": a table in it may be named with it or without */
    bool is_strict;              /* an index that is not declared is a difference too */
};

struct t3_store_differences {
    struct t3_arena *arena;
    struct tears_table_difference *list;
    size_t count;
    size_t capacity;
};

/* TEARS_OK, whatever the differences; TEARS_NO_MEMORY. */
tears_status t3_store_compare(const struct t3_store_comparison *comparison,
                              struct t3_store_differences *differences);

/* Whether a collection of the one schema can go on with a table that is the other: columns, key, version, codec. */
bool t3_store_same_rows(const struct tears_schema *a, const struct tears_schema *b);

/* Fails with the first differences in the message. */
tears_status t3_store_fail_different(struct tears_str table,
                                     const struct t3_store_differences *differences,
                                     struct tears_error *error_out);

/* ---- store_json.c ---- */

/*
 * Appends the definition; `inexact` gets what it cannot say.  TEARS_UNSUPPORTED (a name that is none in a definition),
 * TEARS_NO_MEMORY.
 */
tears_status t3_store_put_definition(const struct tears_schema *schema, struct t3_buf *json,
                                     struct t3_buf *inexact, struct tears_error *error_out);

#endif
