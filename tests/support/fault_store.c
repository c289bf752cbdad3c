/*
 * fault_store.c -- passes every call on to a hook_store, except one.
 */
#include "support/fault_store.h"

#include <stdio.h>
#include <unistd.h>

/* Counts a call; true when it is the one that fails. */
static bool is_faulty(struct fault_store *fault)
{
    if (fault->delay_ms > 0)
        usleep((useconds_t)fault->delay_ms * 1000);
    return ++fault->calls == fault->fail_at;
}

static tears_status fail(const struct fault_store *fault, struct tears_error *error)
{
    error->status = fault->status;
    snprintf(error->message, sizeof error->message, "call %llu of the store was made to fail",
             (unsigned long long)fault->calls);
    return fault->status;
}

static tears_status fault_fetch(void *owner, void *tx, const tears_schema *schema,
                                const struct tears_value *key, size_t key_count,
                                uint64_t deadline_ms, const struct tears_row_sink *sink,
                                struct tears_error *error)
{
    struct fault_store *fault = owner;
    if (is_faulty(fault))
        return fail(fault, error);
    return fault->rows->store.fetch(fault->rows, tx, schema, key, key_count, deadline_ms, sink,
                                    error);
}

static tears_status fault_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                                 const struct tears_field *fields, size_t field_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 const struct tears_row_sink *sink, struct tears_error *error)
{
    struct fault_store *fault = owner;
    const bool faulty = is_faulty(fault);
    if (faulty && !fault->after)
        return fail(fault, error);
    const tears_status status = fault->rows->store.upsert(
        fault->rows, tx, schema, mode, fields, field_count, base, deadline_ms, sink, error);
    return faulty ? fail(fault, error) : status;
}

static tears_status fault_remove(void *owner, void *tx, const tears_schema *schema,
                                 const struct tears_value *key, size_t key_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 struct tears_error *error)
{
    struct fault_store *fault = owner;
    const bool faulty = is_faulty(fault);
    if (faulty && !fault->after)
        return fail(fault, error);
    const tears_status status = fault->rows->store.remove(fault->rows, tx, schema, key, key_count,
                                                          base, deadline_ms, error);
    return faulty ? fail(fault, error) : status;
}

static tears_status fault_scan(void *owner, void *tx, const tears_schema *schema,
                               const struct tears_field *filters, size_t filter_count,
                               const struct tears_value *after_key, size_t row_max,
                               uint64_t deadline_ms, const struct tears_row_sink *rows,
                               struct tears_error *error)
{
    struct fault_store *fault = owner;
    if (is_faulty(fault))
        return fail(fault, error);
    return fault->rows->store.scan(fault->rows, tx, schema, filters, filter_count, after_key,
                                   row_max, deadline_ms, rows, error);
}

void fault_store_init(struct fault_store *fault, struct hook_store *rows)
{
    memset(fault, 0, sizeof *fault);
    fault->rows = rows;
    fault->store.size = sizeof fault->store;
    fault->store.owner = fault;
    fault->store.fetch = fault_fetch;
    fault->store.upsert = fault_upsert;
    fault->store.remove = fault_remove;
    fault->store.scan = fault_scan;
}

void fault_store_arm(struct fault_store *fault, uint64_t nth, tears_status status, bool after)
{
    fault->calls = 0;
    fault->fail_at = nth;
    fault->status = status;
    fault->after = after;
}
