/*
 * l3_pg_plan.c -- the statements of a table, built once for each shape.
 *
 * Owns:     the plans; each holds its schema.
 * Must not know: connections; what is prepared where is the driver's business.
 * Threads:  any; one mutex, never held while SQL is built.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_pg_plan_find().
 *
 * When the table is full it is emptied: that many shapes mean that a program writes ever different
 * sets of columns, and rebuilding a plan costs microseconds.
 */
#include "base/alloc.h"
#include "base/hash.h"
#include "tier/l3_pg_impl.h"

/* ---- life -------------------------------------------------------------------------------------
 */

void t3_pg_plans_init(struct t3_pg_plans *plans)
{
    memset(plans, 0, sizeof *plans);
    t3_mutex_init(&plans->mutex);
}

static void plan_free(struct t3_pg_plan *plan)
{
    t3_dml_done(&plan->dml);
    t3_free(plan->columns);
    t3_free(plan->types);
    tears_schema_free(plan->schema);
    t3_free(plan);
}

void t3_pg_plan_drop(struct t3_pg_plan *plan)
{
    if (plan != NULL && atomic_fetch_sub_explicit(&plan->references, 1, memory_order_acq_rel) == 1)
        plan_free(plan);
}

void t3_pg_plan_drop_auto(struct t3_pg_plan **plan)
{
    t3_pg_plan_drop(*plan);
    *plan = NULL;
}

/* Unlinks everything; the caller drops the list after unlocking. */
static struct t3_pg_plan *take_all_locked(struct t3_pg_plans *plans) T3_REQUIRES(plans->mutex)
{
    struct t3_pg_plan *all = NULL;
    for (size_t i = 0; i < T3_PG_PLAN_BUCKETS; i++) {
        while (plans->buckets[i] != NULL) {
            struct t3_pg_plan *plan = plans->buckets[i];
            plans->buckets[i] = plan->next;
            plan->next = all;
            all = plan;
        }
    }
    plans->count = 0;
    return all;
}

static void drop_list(struct t3_pg_plan *plan)
{
    while (plan != NULL) {
        struct t3_pg_plan *next = plan->next;
        t3_pg_plan_drop(plan);
        plan = next;
    }
}

void t3_pg_plans_done(struct t3_pg_plans *plans)
{
    drop_list(take_all_locked(plans));
    t3_mutex_done(&plans->mutex);
}

/* ---- finding ----------------------------------------------------------------------------------
 */

static uint64_t shape_hash(const struct tears_schema *schema, const struct t3_pg_shape *shape)
{
    const uint64_t flags = (uint64_t)shape->operation << 3 | (uint64_t)shape->is_brief << 2 |
                           (uint64_t)shape->many << 1 | (uint64_t)shape->has_base;
    uint64_t hash = (uint64_t)(uintptr_t)schema * UINT64_C(0x9E3779B97F4A7C15) + flags;
    for (uint32_t i = 0; i < shape->cell_count; i++)
        hash = (hash ^ shape->cells[i].column) * UINT64_C(0xFF51AFD7ED558CCD) + 1;
    return hash ^ hash >> 32;
}

static bool plan_fits(const struct t3_pg_plan *plan, const struct tears_schema *schema,
                      const struct t3_pg_shape *shape)
{
    if (plan->schema != schema || plan->operation != shape->operation ||
        plan->many != shape->many || plan->has_base != shape->has_base ||
        plan->is_brief != shape->is_brief || plan->column_count != shape->cell_count)
        return false;
    for (uint32_t i = 0; i < shape->cell_count; i++)
        if (plan->columns[i] != shape->cells[i].column)
            return false;
    return true;
}

static struct t3_pg_plan *look_locked(struct t3_pg_plans *plans, const struct tears_schema *schema,
                                      const struct t3_pg_shape *shape, uint64_t hash)
    T3_REQUIRES(plans->mutex)
{
    struct t3_pg_plan *plan = plans->buckets[hash % T3_PG_PLAN_BUCKETS];
    while (plan != NULL && (plan->hash != hash || !plan_fits(plan, schema, shape)))
        plan = plan->next;
    if (plan != NULL)
        atomic_fetch_add_explicit(&plan->references, 1, memory_order_relaxed);
    return plan;
}

/* ---- building ---------------------------------------------------------------------------------
 */

uint32_t t3_pg_type_of_wire(uint8_t wire)
{
    switch ((enum t3_wire)wire) {
    case T3_WIRE_UUID:
        return T3_PG_UUID;
    case T3_WIRE_INT4:
        return T3_PG_INT4;
    case T3_WIRE_INT8:
        return T3_PG_INT8;
    case T3_WIRE_FLOAT8:
        return T3_PG_FLOAT8;
    case T3_WIRE_BOOL:
        return T3_PG_BOOL;
    case T3_WIRE_TIMESTAMPTZ:
        return T3_PG_TIMESTAMPTZ;
    case T3_WIRE_BYTEA:
        return T3_PG_BYTEA;
    case T3_WIRE_TEXT:
    default:
        return T3_PG_TEXT;
    }
}

static tears_status build_sql(const struct tears_schema *schema, const struct t3_pg_shape *shape,
                              struct t3_dml *dml)
{
    const struct t3_shape wanted = {.dialect = T3_DIALECT_POSTGRESQL,
                                    .many = shape->many,
                                    .has_base = shape->has_base,
                                    .is_brief = shape->is_brief,
                                    .on_conflict = schema->on_conflict,
                                    .cells = shape->cells,
                                    .cell_count = shape->cell_count};
    switch (shape->operation) {
    case T3_PG_FETCH:
        return t3_dml_fetch(schema, &wanted, dml);
    case T3_PG_INSERT:
        return t3_dml_insert(schema, &wanted, dml);
    case T3_PG_UPDATE:
        return t3_dml_update(schema, &wanted, dml);
    case T3_PG_UPSERT:
        return t3_dml_upsert(schema, &wanted, dml);
    case T3_PG_DELETE:
    default:
        return t3_dml_delete(schema, &wanted, dml);
    }
}

static tears_status fill(struct t3_pg_plan *plan, const struct t3_pg_shape *shape)
{
    T3_TRY(build_sql(plan->schema, shape, &plan->dml));
    plan->columns = t3_alloc(shape->cell_count * sizeof *plan->columns);
    plan->types = t3_alloc(plan->dml.param_count * sizeof *plan->types);
    if (plan->columns == NULL || plan->types == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < shape->cell_count; i++)
        plan->columns[i] = shape->cells[i].column;
    plan->column_count = shape->cell_count;
    for (uint32_t i = 0; i < plan->dml.param_count; i++) {
        const uint32_t type = t3_pg_type_of_wire(plan->dml.params[i].wire);
        plan->types[i] = shape->many ? t3_pg_array_of(type) : type;
    }
    plan->statement.sql = t3_buf_str(&plan->dml.sql);
    plan->statement.hash = t3_hash(plan->statement.sql.ptr, plan->statement.sql.len, 0);
    plan->statement.types = plan->types;
    plan->statement.type_count = plan->dml.param_count;
    return TEARS_OK;
}

static tears_status build(const struct tears_schema *schema, const struct t3_pg_shape *shape,
                          uint64_t hash, struct t3_pg_plan **plan_out)
{
    T3_AUTO(t3_pg_plan_drop_auto) struct t3_pg_plan *plan = t3_alloc_zero(1, sizeof *plan);
    if (plan == NULL)
        return TEARS_NO_MEMORY;
    atomic_init(&plan->references, 1);
    /* Holding counts references, which is no change of the schema. */
    plan->schema = t3_schema_hold((struct tears_schema *)(uintptr_t)schema);
    plan->hash = hash;
    plan->operation = shape->operation;
    plan->many = shape->many;
    plan->has_base = shape->has_base;
    plan->is_brief = shape->is_brief;
    T3_TRY(fill(plan, shape));
    *plan_out = T3_TAKE(plan);
    return TEARS_OK;
}

tears_status t3_pg_plan_find(struct t3_pg_plans *plans, const struct tears_schema *schema,
                             const struct t3_pg_shape *shape, struct t3_pg_plan **plan_out)
{
    const uint64_t hash = shape_hash(schema, shape);
    t3_lock(&plans->mutex);
    struct t3_pg_plan *plan = look_locked(plans, schema, shape, hash);
    t3_unlock(&plans->mutex);
    if (T3_UNLIKELY(plan == NULL)) {
        T3_TRY(build(schema, shape, hash, &plan));
        /* Another thread may have built the same: then both are found, one after the other;
         * harmless. */
        atomic_fetch_add_explicit(&plan->references, 1, memory_order_relaxed);
        t3_lock(&plans->mutex);
        struct t3_pg_plan *dropped =
            plans->count >= T3_PG_PLANS_MAX ? take_all_locked(plans) : NULL;
        plan->next = plans->buckets[hash % T3_PG_PLAN_BUCKETS];
        plans->buckets[hash % T3_PG_PLAN_BUCKETS] = plan;
        plans->count++;
        t3_unlock(&plans->mutex);
        drop_list(dropped);
    }
    *plan_out = plan;
    return TEARS_OK;
}
