/*
 * drift_repair_lean.c -- PostgreSQL: what leans on something that the repair makes anew, and must be dropped and made again itself.
 *
 * Owns:     nothing.
 * Knows:    drift_repair.h, sql_scan.h.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    in repair->status.
 * Begin at: t3_repair_leans().
 *
 * PostgreSQL refuses to drop a key that foreign keys need, and to alter the type of a column that a policy, a trigger or a
 * generated column names; and with a column that is dropped go the indexes and constraints on it.  Whether a definition names a
 * column is decided by its words: to take one name for another costs a rebuilt index, and nothing else.
 */
#include "base/str.h"
#include "data/drift_repair.h"
#include "data/sql_scan.h"

enum fate { STAYS, IS_RETYPED, IS_MADE_ANEW };

static bool differs(const struct t3_pair *pair, enum t3_part part)
{
    return (pair->parts & 1u << part) != 0;
}

static bool is_key(const struct t3_item *item)
{
    return item->object == TEARS_DRIFT_OBJECT_PRIMARY_KEY ||
           item->object == TEARS_DRIFT_OBJECT_UNIQUE;
}

/* Whether a definition has the name in it, as a word or quoted. */
static bool mentions(struct t3_repair *repair, struct tears_str definition, struct tears_str name)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_sql_tokens tokens;

    if (repair->status == TEARS_OK)
        repair->status = t3_sql_scan(&arena, definition, T3_SQL_POSTGRES, &tokens);
    if (repair->status != TEARS_OK)
        return false;
    for (size_t i = 0; i < tokens.count; i++)
        if (t3_str_equal(t3_sql_inner(&tokens.items[i]), name))
            return true;
    return false;
}

/* ---- columns ---------------------------------------------------------------------------------- */

/* What happens to a column by its own differences. */
static enum fate own_fate(const struct t3_pair *pair, const char **destroys_out)
{
    if (pair->declared == NULL || pair->live == NULL ||
        pair->declared->object != TEARS_DRIFT_OBJECT_COLUMN)
        return STAYS;
    if (t3_repair_column_anew(pair, destroys_out))
        return IS_MADE_ANEW;
    if (!differs(pair, T3_PART_TYPE))
        return STAYS;
    *destroys_out = t3_repair_retype_destroys(pair);
    return IS_RETYPED;
}

/* A generated column whose expression names a column of another type now. */
static bool is_computed_of_retyped(struct t3_repair *repair, const struct t3_pair *column,
                                   const char **destroys_out)
{
    const struct t3_comparison *comparison = repair->comparison;
    const struct tears_str expression = column->live->parts[T3_PART_GENERATION];

    if (!t3_repair_is_computed(expression))
        return false;
    for (const struct t3_pair *pair = t3_repair_table(repair, column->live->table);
         pair < comparison->pairs + comparison->count; pair++) {
        const struct t3_item *item = t3_pair_item(pair);
        if (!t3_str_equal(item->table, column->live->table))
            return false;
        if (own_fate(pair, destroys_out) == IS_RETYPED && mentions(repair, expression, item->name))
            return true;
    }
    return false;
}

static enum fate fate_of(struct t3_repair *repair, const struct t3_pair *pair,
                         const char **destroys_out)
{
    const enum fate own = own_fate(pair, destroys_out);
    const bool is_column = pair->declared != NULL && pair->live != NULL &&
                           pair->declared->object == TEARS_DRIFT_OBJECT_COLUMN;

    if (own == STAYS && is_column && is_computed_of_retyped(repair, pair, destroys_out))
        return IS_MADE_ANEW;
    return own;
}

/* ---- what leans ------------------------------------------------------------------------------- */

static bool refers_to(const struct t3_item *item, const struct t3_pair *key)
{
    return item->object == TEARS_DRIFT_OBJECT_FOREIGN_KEY && is_key(t3_pair_item(key)) &&
           key->declared != NULL && key->live != NULL && differs(key, T3_PART_DEFINITION) &&
           t3_str_equal(item->reference, key->declared->table);
}

/* A policy may ask another table. */
static bool names_column(struct t3_repair *repair, const struct t3_item *item,
                         const struct t3_item *column)
{
    const struct tears_str definition = item->parts[T3_PART_DEFINITION];
    const bool is_at_home = t3_str_equal(item->table, column->table);

    if (!is_at_home &&
        (item->object != TEARS_DRIFT_OBJECT_POLICY || !mentions(repair, definition, column->table)))
        return false;
    return mentions(repair, definition, column->name);
}

bool t3_repair_leans(struct t3_repair *repair, const struct t3_pair *leaning,
                     const char **destroys_out)
{
    const struct t3_comparison *comparison = repair->comparison;
    const struct t3_item *item = leaning->live;

    *destroys_out = NULL;
    if (leaning->declared == NULL || leaning->live == NULL)
        return false;
    if (item->object == TEARS_DRIFT_OBJECT_COLUMN)
        return fate_of(repair, leaning, destroys_out) == IS_MADE_ANEW;
    for (size_t i = 0; i < comparison->count; i++) {
        const struct t3_pair *pair = &comparison->pairs[i];
        const char *destroys = NULL;
        if (refers_to(item, pair))
            return true;
        const enum fate fate = fate_of(repair, pair, &destroys);
        const bool matters =
            fate == IS_MADE_ANEW || (fate == IS_RETYPED && !t3_object_is_anonymous(item->object));
        if (!matters || !names_column(repair, item, pair->live))
            continue;
        *destroys_out = destroys;
        return true;
    }
    return false;
}

bool t3_repair_moves_something(const struct t3_repair *repair)
{
    const struct t3_comparison *comparison = repair->comparison;

    for (size_t i = 0; i < comparison->count; i++) {
        const struct t3_pair *pair = &comparison->pairs[i];
        const char *destroys = NULL;
        if (own_fate(pair, &destroys) != STAYS ||
            (is_key(t3_pair_item(pair)) && differs(pair, T3_PART_DEFINITION)))
            return true;
    }
    return false;
}
