/*
 * drift_repair.c -- the list of a repair's statements: writing them and putting them in order.
 *
 * Owns:     nothing; everything is in the repair's arena.
 * Knows:    base/, drift_catalogue.h.
 * Must not know: what a database needs to have changed.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; the first failure stays in the repair.
 * Begin at: t3_repair_plan().
 */
#include "data/drift_repair.h"

#include "base/limits.h"
#include "base/str.h"
#include "data/drift_finding.h"

#include <stdlib.h>

static tears_status put_name(struct t3_buf *out, struct tears_str name)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            T3_TRY(t3_buf_put_char(out, '"'));
        T3_TRY(t3_buf_put_char(out, name.ptr[i]));
    }
    return t3_buf_put_char(out, '"');
}

static tears_status put_pattern(struct t3_buf *out, const char *pattern,
                                const struct tears_str *words)
{
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '@')
            T3_TRY(put_name(out, *words++));
        else if (*c == '#')
            T3_TRY(t3_buf_put(out, *words++));
        else
            T3_TRY(t3_buf_put_char(out, *c));
    }
    return TEARS_OK;
}

struct tears_str t3_repair_text(struct t3_repair *repair, const char *pattern,
                                const struct tears_str *words)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {.len_max = T3_SQL_BYTES_MAX};
    struct tears_str copy = TEARS_STR("");

    if (repair->status == TEARS_OK)
        repair->status = put_pattern(&text, pattern, words);
    if (repair->status == TEARS_OK)
        repair->status = t3_arena_str(repair->arena, t3_buf_str(&text), &copy);
    return copy;
}

static bool has_room(struct t3_repair *repair)
{
    if (repair->status != TEARS_OK)
        return false;
    if (repair->count < repair->capacity)
        return true;
    const size_t capacity = repair->capacity > 0 ? repair->capacity * 2 : 32;
    struct t3_repair_step *grown = t3_arena_array(repair->arena, capacity, sizeof *grown);
    if (grown == NULL) {
        repair->status = TEARS_NO_MEMORY;
        return false;
    }
    if (repair->count > 0)
        memcpy(grown, repair->steps, repair->count * sizeof *grown);
    repair->steps = grown;
    repair->capacity = capacity;
    return true;
}

void t3_repair_put(struct t3_repair *repair, struct t3_repair_kind kind, const char *pattern,
                   const struct tears_str *words)
{
    const struct tears_str sql = t3_repair_text(repair, pattern, words);
    const bool is_run = kind.destroys == NULL || repair->destructive;

    if (!has_room(repair))
        return;
    repair->steps[repair->count] = (struct t3_repair_step){
        .step = {.sql = sql,
                 .reason = is_run ? TEARS_STR("") : tears_str_c(kind.destroys),
                 .is_destructive = kind.destroys != NULL,
                 .is_run = is_run,
                 .outside_transaction =
                     kind.phase == T3_REPAIR_BEFORE || kind.phase == T3_REPAIR_AFTER},
        .phase = (uint8_t)kind.phase,
        .order = repair->count};
    repair->count++;
}

void t3_repair_put_none(struct t3_repair *repair, const struct t3_item *item, const char *reason)
{
    const struct tears_str why =
        T3_TEXT(repair, "# @#@: #", tears_str_c(t3_drift_object_word(item->object)), item->table,
                TEARS_STR(" "), item->name, tears_str_c(reason));

    if (!has_room(repair))
        return;
    repair->steps[repair->count] =
        (struct t3_repair_step){.step = {.sql = TEARS_STR(""), .reason = why},
                                .phase = T3_REPAIR_TABLE,
                                .order = repair->count};
    repair->count++;
}

const struct t3_pair *t3_repair_table(const struct t3_repair *repair, struct tears_str table)
{
    const struct t3_comparison *comparison = repair->comparison;
    size_t low = 0;
    size_t high = comparison->count;

    while (low <
           high) { /* pairs are in the order of the catalogues, a table before what is on it */
        const size_t middle = low + (high - low) / 2;
        const struct t3_item *item = t3_pair_item(&comparison->pairs[middle]);
        if (t3_str_compare(item->table, table) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == comparison->count || table.len == 0)
        return NULL;
    const struct t3_pair *pair = &comparison->pairs[low];
    const struct t3_item *item = t3_pair_item(pair);
    const bool found = item->object == TEARS_DRIFT_OBJECT_TABLE && t3_str_equal(item->table, table);
    return found ? pair : NULL;
}

/* ---- order ------------------------------------------------------------------------------------ */

static int compare_steps(const void *a_void, const void *b_void)
{
    const struct t3_repair_step *a = a_void;
    const struct t3_repair_step *b = b_void;

    if (a->phase != b->phase)
        return a->phase < b->phase ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

tears_status t3_repair_plan(struct t3_repair *repair, enum t3_dialect dialect)
{
    if (dialect == T3_DIALECT_POSTGRESQL)
        t3_repair_plan_pg(repair);
    else
        t3_repair_plan_lite(repair);
    if (repair->count > 1)
        qsort(repair->steps, repair->count, sizeof *repair->steps, compare_steps);
    return repair->status;
}
