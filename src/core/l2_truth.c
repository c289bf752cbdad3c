/*
 * l2_truth.c -- L2 as the durable tier of the tables that live in it.
 *
 * Owns:     nothing; L2 is the client's.
 * Knows:    that a marker and a damaged value are no row.
 * Must not know: how rows change (mutate.c).
 * Threads:  any.
 * Fails:    TEARS_UNAVAILABLE and TEARS_TIMEOUT as L2 does; TEARS_UNSUPPORTED for what L2 cannot do.
 * Begin at: truth_fetch().
 */
#include "core/l2_truth.h"

#include "base/alloc.h"
#include "base/fail.h"

static const char origin[] = "l2";

struct l2_truth {
    struct t3_l3 base;
    struct t3_l2 *l2;
};

static tears_status truth_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, const struct t3_key *keys,
                                size_t count, struct t3_row **rows_out)
{
    const struct l2_truth *truth = (const struct l2_truth *)l3;
    struct t3_l2_entry *entries = t3_arena_array(call->arena, count, sizeof *entries);
    if (entries == NULL)
        return t3_fail_memory(call->error, origin);
    const tears_status status = t3_l2_get(truth->l2, schema, keys, count, call->arena,
                                          call->deadline, entries, call->error);
    if (status != TEARS_OK)
        return call->error->status == status
                   ? status
                   : t3_fail(call->error, status, origin,
                             "table '" T3_STR_FMT "' lives in L2, which could not be asked: %s",
                             T3_STR_ARG(schema->name), tears_status_text(status));
    for (size_t i = 0; i < count; i++)
        rows_out[i] = entries[i].state == T3_L2_ROW ? entries[i].row : NULL;
    return TEARS_OK;
}

static tears_status refuse(struct t3_l3_call *call, const struct tears_schema *schema,
                           const char *what)
{
    return t3_fail(call->error, TEARS_UNSUPPORTED, "core", "table '" T3_STR_FMT "' has no L3: %s",
                   T3_STR_ARG(schema->name), what);
}

static tears_status truth_write(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, enum t3_write_kind kind,
                                struct t3_write *writes, size_t count)
{
    (void)l3;
    (void)kind;
    (void)writes;
    (void)count;
    return refuse(call, schema, "change its rows with tears_l2_mutate");
}

static tears_status truth_scan(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct tears_schema *schema, const struct t3_scan *scan,
                               struct t3_row ***rows_out, size_t *count_out)
{
    (void)l3;
    (void)scan;
    (void)rows_out;
    (void)count_out;
    return refuse(call, schema, "its rows are found by their keys only");
}

static void truth_free(struct t3_l3 *l3)
{
    t3_free(l3);
}

/* Transactions, SQL, the catalogue and findings are asked of the client's own L3, never of a table's. */
static const struct t3_l3_ops truth_ops = {
    .name = "l2",
    .fetch = truth_fetch,
    .write = truth_write,
    .scan = truth_scan,
    .free = truth_free,
};

tears_status t3_l2_truth_open(struct t3_l2 *l2, struct t3_l3 **l3_out,
                              struct tears_error *error_out)
{
    struct l2_truth *truth = t3_alloc_zero(1, sizeof *truth);
    if (truth == NULL)
        return t3_fail_memory(error_out, "core");
    truth->base.ops = &truth_ops;
    truth->l2 = l2;
    *l3_out = &truth->base;
    return TEARS_OK;
}
