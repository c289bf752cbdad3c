/*
 * outbox_table.c -- what the outbox's thread knows of tables, and throwing out all rows of one.
 *
 * Owns:     descriptions of tables, some minutes old at most; the list of sweeps to be repeated.
 * Must not know: notes.
 * Threads:  the outbox's.
 * Fails:    as L3 (descriptions) and L2 (sweeps) do.
 * Begin at: t3_outbox_describe().
 *
 * Tables are described here and not by opening collections: the program may want to open them itself, with options of its
 * own, or not at all.
 *
 * Why a sweep is done twice: entries are listed and marked one by one, and a reader that found nothing in L2, and read the
 * database before the change, may still put what it read where the sweep saw nothing.  By the second time such readers have
 * run into their deadline.  It is not done when this process ends in between.
 */
#include "core/outbox_impl.h"

#include "base/alloc.h"
#include "base/jitter.h"
#include "base/str.h"
#include "tier/l2_sweep.h"

enum {
    DESCRIBED_MS = 60000, /* a table's key and version column are asked for again after this */
    DESCRIBE_MS_MAX = 5000,
    SWEEP_MS_MAX = 30000,
    SWEEP_AGAIN_MS = 10000 /* twice what a session's call may take by default */
};

/* ---- descriptions --------------------------------------------------------------------------- */

static void forget(struct t3_outbox_table **link)
{
    struct t3_outbox_table *table = *link;
    *link = table->next;
    tears_schema_free(table->schema);
    t3_free(table);
}

static struct t3_outbox_table **find(struct t3_outbox *outbox, struct tears_str name)
{
    struct t3_outbox_table **link = &outbox->tables;
    while (*link != NULL && !t3_str_equal((*link)->schema->name, name))
        link = &(*link)->next;
    return link;
}

static tears_status describe(struct t3_outbox *outbox, struct tears_str name,
                             struct t3_outbox_table *table)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_l3 *l3 = outbox->client->l3;
    struct tears_error error = {0};
    struct t3_l3_call call = {
        .arena = &arena, .deadline = t3_deadline_in_ms(DESCRIBE_MS_MAX), .error = &error};
    return l3->ops->describe(l3, &call, name, TEARS_STR(""), TEARS_BYTES_BASE64, &table->schema);
}

tears_status t3_outbox_describe(struct t3_outbox *outbox, struct tears_str name, bool anew,
                                const struct tears_schema **schema_out)
{
    struct t3_outbox_table **link = find(outbox, name);
    if (*link != NULL && (anew || t3_now_coarse_ms() >= (*link)->until_ms))
        forget(link);
    else if (*link != NULL) {
        *schema_out = (*link)->schema;
        return TEARS_OK;
    }
    struct t3_outbox_table *table = t3_alloc_zero(1, sizeof *table);
    if (table == NULL)
        return TEARS_NO_MEMORY;
    const tears_status status = describe(outbox, name, table);
    if (status != TEARS_OK) {
        t3_free(table);
        return status;
    }
    table->until_ms = t3_now_coarse_ms() + DESCRIBED_MS;
    table->next = outbox->tables;
    outbox->tables = table;
    *schema_out = table->schema;
    return TEARS_OK;
}

/* ---- sweeps --------------------------------------------------------------------------------- */

static void drop_own(struct t3_outbox *outbox, struct tears_str name)
{
    struct tears_collection *collection = t3_collection_lookup(outbox->client, name);
    if (collection == NULL)
        return;
    if (collection->l1 != NULL)
        collection->l1->ops->clear(collection->l1, collection->space);
    else
        t3_tickets_move_all(&outbox->client->tickets);
}

static void sweep_free(struct t3_outbox_sweep *sweep)
{
    t3_arena_done(&sweep->arena);
    t3_free(sweep);
}

/* Without memory the second time is left out, as when the process ends. */
static void plan_again(struct t3_outbox *outbox, struct tears_str name)
{
    for (struct t3_outbox_sweep *one = outbox->sweeps; one != NULL; one = one->next)
        if (t3_str_equal(one->table, name)) {
            one->due_ms = t3_now_coarse_ms() + SWEEP_AGAIN_MS;
            return;
        }
    struct t3_outbox_sweep *sweep = t3_alloc_zero(1, sizeof *sweep);
    if (sweep == NULL)
        return;
    if (t3_arena_str(&sweep->arena, name, &sweep->table) != TEARS_OK) {
        sweep_free(sweep);
        return;
    }
    sweep->due_ms = t3_now_coarse_ms() + SWEEP_AGAIN_MS;
    sweep->next = outbox->sweeps;
    outbox->sweeps = sweep;
}

static tears_status sweep_once(struct t3_outbox *outbox, struct tears_str name)
{
    struct tears_error error = {0};
    const tears_status status =
        t3_l2_sweep(outbox->client->l2, name, t3_deadline_in_ms(SWEEP_MS_MAX), &error);
    if (status == TEARS_OK)
        drop_own(outbox, name); /* after L2: whoever reads again now finds the markers */
    else
        t3_log(&outbox->client->log, TEARS_LOG_WARN, "outbox", "%s", error.message);
    return status;
}

static tears_status sweep_covered(struct t3_outbox *outbox)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    t3_lock(&outbox->mutex);
    const size_t count = outbox->covered_count;
    struct tears_str *names = t3_arena_array(&arena, count + 1, sizeof *names);
    tears_status status = names != NULL ? TEARS_OK : TEARS_NO_MEMORY;
    for (size_t i = 0; i < count && status == TEARS_OK; i++)
        status = t3_arena_str(&arena, outbox->covered[i], &names[i]);
    t3_unlock(&outbox->mutex);
    for (size_t i = 0; i < count && status == TEARS_OK; i++)
        status = t3_outbox_sweep(outbox, names[i]);
    return status;
}

tears_status t3_outbox_sweep(struct t3_outbox *outbox, struct tears_str name)
{
    if (name.len == 0)
        return sweep_covered(outbox);
    const tears_status status = sweep_once(outbox, name);
    if (status == TEARS_OK)
        plan_again(outbox, name);
    return status;
}

void t3_outbox_sweep_again(struct t3_outbox *outbox)
{
    struct t3_outbox_sweep **link = &outbox->sweeps;
    while (*link != NULL) {
        struct t3_outbox_sweep *sweep = *link;
        const bool is_due = t3_now_coarse_ms() >= sweep->due_ms;
        if (is_due && sweep_once(outbox, sweep->table) == TEARS_OK) {
            *link = sweep->next;
            sweep_free(sweep);
            continue;
        }
        if (is_due) /* L2 is away: no reader fills anything meanwhile */
            sweep->due_ms = t3_now_coarse_ms() + SWEEP_AGAIN_MS + t3_jitter(SWEEP_AGAIN_MS);
        link = &sweep->next;
    }
}

void t3_outbox_tables_done(struct t3_outbox *outbox)
{
    while (outbox->tables != NULL)
        forget(&outbox->tables);
    while (outbox->sweeps != NULL) {
        struct t3_outbox_sweep *sweep = outbox->sweeps;
        outbox->sweeps = sweep->next;
        sweep_free(sweep);
    }
}
