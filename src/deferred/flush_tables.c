/*
 * flush_tables.c -- tables that the flusher has met, and what their rows refer to.
 *
 * Owns:     the list of known tables and of fences, one for each database; they live as long as the flusher.
 * Must not know: rows under way.
 * Threads:  the pass.
 * Fails:    with what hooks.table says, and TEARS_NO_MEMORY.
 * Begin at: t3_flush_table_find().
 *
 * Only foreign keys to a parent's primary key are followed: pending rows are found by no other.  What refers to other columns is left to the database, which
 * refuses the row until its parent is there.
 */
#include "deferred/flush_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/str.h"

enum { COMPLAIN_MS = 60000 };

/* ---- fences ------------------------------------------------------------------------------------ */

static struct t3_fence *fence_of(struct t3_flush *flush, struct t3_l3 *l3)
{
    for (size_t i = 0; i < flush->fence_count; i++)
        if (flush->fences[i]->l3 == l3)
            return flush->fences[i];
    struct t3_fence *fence = t3_arena_array(&flush->tables, 1, sizeof *fence);
    struct t3_fence **fences =
        t3_arena_array(&flush->tables, flush->fence_count + 1, sizeof(struct t3_fence *));
    if (fence == NULL || fences == NULL)
        return NULL;
    fence->l3 = l3;
    fence->id = tears_str_c(t3_journal_id(flush->options.journal));
    fence->epoch = t3_journal_epoch(flush->options.journal);
    if (flush->fence_count > 0)
        memcpy(fences, flush->fences, flush->fence_count * sizeof(struct t3_fence *));
    fences[flush->fence_count++] = fence;
    flush->fences = fences;
    return fence;
}

/* ---- references --------------------------------------------------------------------------------- */

static bool is_reference(const struct t3_column *column)
{
    return column->references_table.len > 0;
}

/* A catalogue names the reference of one column twice: as the column's, and among the table's. */
static bool is_known(const struct t3_flush_known *known, const struct t3_flush_reference *reference,
                     const uint32_t *columns)
{
    for (uint32_t i = 0; i < known->reference_count; i++) {
        const struct t3_flush_reference *other = &known->references[i];
        if (other->count == reference->count && t3_str_equal(other->table, reference->table) &&
            memcmp(other->columns, columns, other->count * sizeof *columns) == 0)
            return true;
    }
    return false;
}

static tears_status add_reference(struct t3_flush *flush, struct t3_flush_known *known,
                                  const struct t3_flush_reference *reference,
                                  const uint32_t *columns)
{
    if (is_known(known, reference, columns))
        return TEARS_OK;
    uint32_t *copy = t3_arena_alloc(&flush->tables, reference->count * sizeof *copy);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    memcpy(copy, columns, reference->count * sizeof *copy);
    known->references[known->reference_count] = *reference;
    known->references[known->reference_count++].columns = copy;
    return TEARS_OK;
}

static tears_status add_foreign_key(struct t3_flush *flush, struct t3_flush_known *known,
                                    const struct tears_foreign_key_def *def)
{
    uint32_t columns[T3_KEY_COLUMNS_MAX];
    const bool named = def->references_column_count > 0;
    if (def->column_count == 0 || def->column_count > T3_KEY_COLUMNS_MAX ||
        (named && def->references_column_count != def->column_count))
        return TEARS_OK; /* no key has so many columns */
    for (size_t i = 0; i < def->column_count; i++) {
        columns[i] = t3_schema_find(known->schema, def->columns[i]);
        if (columns[i] == T3_NO_COLUMN)
            return TEARS_OK;
    }
    const struct t3_flush_reference reference = {.table = def->references_table,
                                                 .names = named ? def->references_columns : NULL,
                                                 .count = (uint32_t)def->column_count};
    return add_reference(flush, known, &reference, columns);
}

static tears_status list_references(struct t3_flush *flush, struct t3_flush_known *known)
{
    const struct tears_schema *schema = known->schema;
    size_t count = schema->foreign_key_count;
    for (uint32_t i = 0; i < schema->column_count; i++)
        count += is_reference(&schema->columns[i]) ? 1 : 0;
    known->references = t3_arena_array(&flush->tables, count, sizeof *known->references);
    if (known->references == NULL && count > 0)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        const struct t3_flush_reference reference = {
            .table = column->references_table,
            .names = column->references_column.len > 0 ? &column->references_column : NULL,
            .count = 1};
        if (is_reference(column))
            T3_TRY(add_reference(flush, known, &reference, &i));
    }
    for (size_t i = 0; i < schema->foreign_key_count; i++)
        T3_TRY(add_foreign_key(flush, known, &schema->foreign_keys[i]));
    return TEARS_OK;
}

/* Where the column that refers to the parent's key column `place` stands in the reference; count: nowhere. */
static uint32_t place_of(const struct t3_flush_reference *reference,
                         const struct tears_schema *parent, uint32_t place)
{
    if (reference->names == NULL)
        return place;
    uint32_t at = 0;
    while (at < reference->count &&
           !t3_str_equal(reference->names[at], parent->columns[parent->key[place]].name))
        at++;
    return at;
}

/* Puts the child's columns into the order of the parent's key; false: the reference is to something else. */
static bool follow(struct t3_flush *flush, const struct tears_schema *child,
                   struct t3_flush_reference *reference, const struct tears_schema *parent)
{
    if (reference->count != parent->key_count)
        return false;
    uint32_t *columns = t3_arena_alloc(&flush->tables, reference->count * sizeof *columns);
    if (columns == NULL)
        return false;
    for (uint32_t i = 0; i < reference->count; i++) {
        const uint32_t at = place_of(reference, parent, i);
        if (at == reference->count)
            return false;
        columns[i] = reference->columns[at];
        if (child->columns[columns[i]].kind != parent->columns[parent->key[i]].kind)
            return false;
    }
    reference->columns = columns;
    reference->names = NULL;
    return true;
}

/* Parents may become known later than their children: they are looked for once in each pass. */
static tears_status find_parents(struct t3_flush *flush, struct t3_flush_known *known)
{
    if (known->asked_pass == flush->pass_number)
        return TEARS_OK;
    known->asked_pass = flush->pass_number;
    for (uint32_t i = 0; i < known->reference_count; i++) {
        struct t3_flush_reference *reference = &known->references[i];
        struct t3_flush_known *parent = NULL;
        if (reference->parent != NULL)
            continue;
        const tears_status status = t3_flush_table_find(flush, reference->table, &parent, NULL);
        if (status == TEARS_NO_MEMORY)
            return status;
        if (status == TEARS_OK && parent->fence == known->fence &&
            follow(flush, known->schema, reference, parent->schema))
            reference->parent = parent;
    }
    return TEARS_OK;
}

bool t3_flush_parent_key(const struct t3_flush_reference *reference,
                         const struct tears_schema *schema, const struct t3_row *row,
                         struct tears_value *storage, struct t3_key *key_out)
{
    if (reference->parent == NULL)
        return false;
    for (uint32_t i = 0; i < reference->count; i++) {
        if (t3_row_is_null(row, reference->columns[i]))
            return false;
        storage[i] = t3_row_value(row, &schema->layout, reference->columns[i]);
    }
    T3_AUTO(t3_arena_done) struct t3_arena unused = {0}; /* the kinds agree: nothing is converted */
    return t3_key_init(reference->parent->schema, storage, reference->count, storage, &unused,
                       key_out, NULL) == TEARS_OK;
}

/* ---- tables --------------------------------------------------------------------------------------- */

static tears_status learn(struct t3_flush *flush, const struct t3_flush_table *table,
                          struct t3_flush_known **known_out)
{
    struct t3_flush_known *known = t3_arena_array(&flush->tables, 1, sizeof *known);
    if (known == NULL)
        return TEARS_NO_MEMORY;
    known->table = *table;
    known->schema = t3_pending_schema(table->pending);
    known->fence = fence_of(flush, table->l3);
    if (known->fence == NULL)
        return TEARS_NO_MEMORY;
    T3_TRY(list_references(flush, known));
    known->next = flush->known;
    flush->known = known;
    *known_out = known;
    return TEARS_OK;
}

static struct t3_flush_known *known_by_name(const struct t3_flush *flush, struct tears_str name)
{
    struct t3_flush_known *known = flush->known;
    while (known != NULL && !t3_str_equal(known->schema->name, name))
        known = known->next;
    return known;
}

tears_status t3_flush_table_find(struct t3_flush *flush, struct tears_str name,
                                 struct t3_flush_known **known_out, struct tears_error *error_out)
{
    struct t3_flush_known *known = known_by_name(flush, name);
    if (known == NULL) {
        struct t3_flush_table table = {0};
        T3_TRY(flush->options.hooks.table(flush->options.hooks.owner, name, &table, error_out));
        known = known_by_name(flush, t3_pending_schema(table.pending)->name);
        if (known == NULL && learn(flush, &table, &known) != TEARS_OK)
            return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
    }
    if (find_parents(flush, known) != TEARS_OK)
        return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
    *known_out = known;
    return TEARS_OK;
}

tears_status t3_flush_table_of(struct t3_flush *flush, struct t3_pending_table *pending,
                               struct t3_flush_known **known_out, struct tears_error *error_out)
{
    struct t3_flush_known *known = flush->known;
    while (known != NULL && known->table.pending != pending)
        known = known->next;
    if (known == NULL)
        return t3_flush_table_find(flush, t3_pending_schema(pending)->name, known_out, error_out);
    if (find_parents(flush, known) != TEARS_OK)
        return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
    *known_out = known;
    return TEARS_OK;
}

tears_status t3_flush_tables_open(struct t3_flush *flush, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str *names = NULL;
    size_t count = 0;
    if (t3_pending_unopened(flush->options.pending, &arena, &names, &count) != TEARS_OK)
        return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
    const bool may_complain = t3_now_us() >= flush->complain_at_us;
    if (count > 0 && may_complain)
        flush->complain_at_us = t3_deadline_in_ms(COMPLAIN_MS).at_us;
    for (size_t i = 0; i < count; i++) {
        struct t3_flush_known *known = NULL;
        struct tears_error error;
        t3_error_clear(&error);
        const tears_status status = t3_flush_table_find(flush, names[i], &known, &error);
        if (status == TEARS_NO_MEMORY)
            return t3_fail_memory(error_out, T3_FLUSH_ORIGIN);
        if (status != TEARS_OK && may_complain)
            t3_log(flush->options.log, TEARS_LOG_WARN, T3_FLUSH_ORIGIN,
                   "pending rows of table '" T3_STR_FMT "' wait: %s", T3_STR_ARG(names[i]),
                   error.message);
    }
    return TEARS_OK;
}
