/*
 * l3_admin_impl.h -- what the two databases' administrative connections share; private to src/tier.
 */
#ifndef T3_TIER_L3_ADMIN_IMPL_H
#define T3_TIER_L3_ADMIN_IMPL_H

#include "tier/l3_admin.h"

struct t3_admin_ops {
    void (*close)(struct t3_admin *admin);
    bool (*is_alive)(const struct t3_admin *admin);
    void (*set_deadline)(struct t3_admin *admin, struct t3_deadline deadline);
    tears_status (*run)(struct t3_admin *admin, const struct t3_admin_statement *statement,
                        struct t3_arena *arena, struct t3_result *result_out,
                        struct tears_error *error_out);
    tears_status (*reset)(struct t3_admin *admin, struct tears_error *error_out);
    bool (*in_transaction)(const struct t3_admin *admin);
    /* TEARS_CONFLICT: another has it. */
    tears_status (*try_lock)(struct t3_admin *admin, struct tears_error *error_out);
    void (*unlock)(struct t3_admin *admin);
    struct tears_str begin;
    struct tears_str begin_read;
};

struct t3_admin {
    const struct t3_admin_ops *ops;
    struct t3_arena arena; /* texts of the facts */
    struct t3_admin_facts facts;
    struct t3_deadline deadline;
    uint32_t position;
    bool locked;
};

tears_status t3_admin_pg_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                              struct t3_admin **admin_out, struct tears_error *error_out);
tears_status t3_admin_lite_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                                struct t3_admin **admin_out, struct tears_error *error_out);

#endif
