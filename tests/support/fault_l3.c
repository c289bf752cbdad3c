/*
 * fault_l3.c -- a durable tier whose N-th call fails.
 */
#include "support/fault_l3.h"

#include "base/fail.h"

static struct fault_l3 *of(struct t3_l3 *l3)
{
    return (struct fault_l3 *)(void *)l3;
}

static bool is_hit(struct fault_l3 *fault)
{
    fault->calls++;
    return fault->fail_at != 0 && fault->calls >= fault->fail_at &&
           fault->calls < fault->fail_at + fault->fail_count;
}

static tears_status fail(const struct fault_l3 *fault, struct t3_l3_call *call)
{
    if (call->error != NULL)
        *call->error = fault->error;
    return fault->error.status;
}

static tears_status is_away(const struct fault_l3 *fault, struct t3_l3_call *call)
{
    if (!fault->is_down)
        return TEARS_OK;
    return t3_fail(call->error, TEARS_UNAVAILABLE, "fault", "the database is away");
}

/* One call: fails, or is done, or is done and fails. */
#define PASS(fault, call, work)             \
    do {                                    \
        T3_TRY(is_away(fault, call));       \
        const bool hit = is_hit(fault);     \
        if (hit && !(fault)->after)         \
            return fail(fault, call);       \
        const tears_status status = (work); \
        if (hit && status == TEARS_OK)      \
            return fail(fault, call);       \
        return status;                      \
    } while (0)

static tears_status fault_fetch(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, const struct t3_key *keys,
                                size_t count, struct t3_row **rows_out)
{
    struct fault_l3 *fault = of(l3);
    PASS(fault, call, fault->inner->ops->fetch(fault->inner, call, schema, keys, count, rows_out));
}

static tears_status fault_write(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tears_schema *schema, enum t3_write_kind kind,
                                struct t3_write *writes, size_t count)
{
    struct fault_l3 *fault = of(l3);
    fault->rows += count;
    PASS(fault, call, fault->inner->ops->write(fault->inner, call, schema, kind, writes, count));
}

static tears_status fault_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                                const struct tears_value *params, size_t param_count,
                                struct t3_result *result_out)
{
    struct fault_l3 *fault = of(l3);
    PASS(fault, call,
         fault->inner->ops->query(fault->inner, call, sql, params, param_count, result_out));
}

static tears_status fault_begin(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx **tx_out)
{
    struct fault_l3 *fault = of(l3);
    void (*before)(void *) = fault->before_begin;
    fault->before_begin = NULL;
    if (before != NULL)
        before(fault->owner);
    T3_TRY(is_away(fault, call));
    if (is_hit(fault))
        return fail(fault, call);
    fault->begins++;
    return fault->inner->ops->begin(fault->inner, call, tx_out);
}

static void fault_rollback(struct t3_l3 *l3, struct t3_l3_tx *tx)
{
    of(l3)->inner->ops->rollback(of(l3)->inner, tx);
}

static tears_status fault_commit(struct t3_l3 *l3, struct t3_l3_call *call, struct t3_l3_tx *tx)
{
    struct fault_l3 *fault = of(l3);
    void (*before)(void *) = fault->before_commit;
    fault->before_commit = NULL;
    if (before != NULL)
        before(fault->owner);
    const bool hit = is_hit(fault) || fault->is_down;
    if (hit && !fault->after) {
        fault->inner->ops->rollback(fault->inner, tx);
        call->outcome_unknown = fault->unknown;
        return fail(fault, call);
    }
    const tears_status status = fault->inner->ops->commit(fault->inner, call, tx);
    if (status != TEARS_OK)
        return status;
    fault->commits++;
    call->outcome_unknown = hit;
    return hit ? fail(fault, call) : TEARS_OK;
}

static tears_status fault_describe(struct t3_l3 *l3, struct t3_l3_call *call,
                                   struct tears_str table, struct tears_str version_column,
                                   uint8_t byte_codec, struct tears_schema **schema_out)
{
    struct t3_l3 *inner = of(l3)->inner;
    return inner->ops->describe(inner, call, table, version_column, byte_codec, schema_out);
}

static void fault_free(struct t3_l3 *l3)
{
    (void)l3;
}

static const struct t3_l3_ops ops = {.name = "fault",
                                     .fetch = fault_fetch,
                                     .write = fault_write,
                                     .query = fault_query,
                                     .begin = fault_begin,
                                     .commit = fault_commit,
                                     .rollback = fault_rollback,
                                     .describe = fault_describe,
                                     .free = fault_free};

void fault_l3_init(struct fault_l3 *fault, struct t3_l3 *inner)
{
    memset(fault, 0, sizeof *fault);
    fault->base.ops = &ops;
    fault->base.parallel = inner->parallel;
    fault->inner = inner;
    fault->fail_count = 1;
}

void fault_l3_arm(struct fault_l3 *fault, uint64_t nth, tears_status status, const char *sqlstate,
                  bool after)
{
    fault->calls = 0;
    fault->fail_at = nth;
    fault->fail_count = 1;
    fault->after = after;
    fault->unknown = false;
    (void)t3_fail_detail(&fault->error, status, "fault", 0, sqlstate, "injected failure (%s)",
                         tears_status_name(status));
}
