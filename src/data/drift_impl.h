/*
 * drift_impl.h -- one comparison while it is made; private to src/data.
 */
#ifndef T3_DATA_DRIFT_IMPL_H
#define T3_DATA_DRIFT_IMPL_H

#include "base/fail.h"
#include "data/drift_catalogue.h"
#include "data/drift_finding.h"
#include "data/drift_repair.h"

#define T3_DRIFT_ORIGIN "drift"

struct tears_drift {
    struct tears_client *client;
    struct t3_arena arena;
    struct tears_drift_options options;
    struct t3_catalogue live;
    struct t3_catalogue declared;
    uint64_t fingerprint; /* of the live catalogue */
    struct t3_comparison comparison;
    struct t3_drift_list list;
    struct t3_repair repair;
};

/* Makes what is declared, by a connection that works on the schema made for it. */
struct t3_drift_source {
    tears_status (*declare)(void *owner, struct t3_admin *scratch, struct tears_error *error_out);
    void *owner;
};

/* An empty comparison; ended by tears_drift_free.  TEARS_MISUSE, TEARS_UNSUPPORTED, TEARS_NO_MEMORY. */
tears_status t3_drift_new(tears_client *client, const struct tears_drift_options *options,
                          tears_drift **drift_out, struct tears_error *error_out);

/* Reads the live schema; its version is what the repair insists on. */
tears_status t3_drift_read_live(struct tears_drift *drift, struct t3_admin *admin,
                                struct tears_error *error_out);

/* Has what is declared made and reads it, compares, and plans the repair. */
tears_status t3_drift_conclude(struct tears_drift *drift, const struct t3_drift_source *source,
                               struct tears_error *error_out);

/* All of it, on a connection of its own (tests, tears_drift_of_schemas). */
tears_status t3_drift_open(tears_client *client, const struct tears_drift_options *options,
                           const struct t3_drift_source *source, tears_drift **drift_out,
                           struct tears_error *error_out);

#endif
