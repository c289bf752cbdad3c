/*
 * owner.h -- what the layer of run-time tables needs of core: durable tiers beside the client's own, and collections,
 * transactions and statements there.
 */
#ifndef T3_CORE_OWNER_H
#define T3_CORE_OWNER_H

#include "core/core.h"
#include "tier/result_lite.h"

/* Where a table is. */
struct t3_table_place {
    struct t3_l3 *l3;
    struct tears_str table; /* as L3 knows it */
    struct tears_str name;  /* as the caches, messages and the client's list know it */
};

/*
 * Opens the collection, or finds it; options->schema is NULL.  As tears_collection_open.
 */
tears_status t3_collection_open_at(struct tears_client *client, const struct t3_table_place *place,
                                   const struct tears_collection_options *options,
                                   struct tears_collection **collection_out,
                                   struct tears_error *error_out);

/* Its table is gone, or another: the collection is not found any more, and its rows leave L1.  It is freed with the client. */
void t3_collection_retire(struct tears_collection *collection);

/* All processes forget all rows of the table.  As t3_l2_sweep; TEARS_OK without L2. */
tears_status t3_table_forget(struct tears_client *client, struct tears_str name,
                             struct t3_deadline deadline, struct tears_error *error_out);

/*
 * An SQLite file of an owner's own, opened on first use, which lives as long as the client.  `name` tells one from another.
 * As t3_l3_lite_open.
 */
tears_status t3_client_owned_l3(struct tears_client *client, struct tears_str name,
                                struct tears_str path, struct t3_l3 **l3_out,
                                struct tears_error *error_out);
void t3_client_free_owned(struct tears_client *client);

/* tears_begin, tears_query and tears_execute elsewhere than on the client's own L3. */
struct t3_raw_place {
    struct t3_l3 *l3;
    const struct t3_l3_path *path; /* NULL: the connection's own */
};
tears_status t3_begin_on(struct tears_session *session, struct t3_l3 *l3);
tears_status t3_query_on(struct tears_session *session, const struct t3_raw_place *place,
                         const struct t3_adhoc *statement, tears_cursor **cursor_out);
/* The same for code that is in a call already, with the plain result. */
tears_status t3_run_on(struct tears_session *session, const struct t3_raw_place *place,
                       const struct t3_adhoc *statement, struct t3_result *result_out);

#endif
