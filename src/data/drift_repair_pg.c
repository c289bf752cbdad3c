/*
 * drift_repair_pg.c -- PostgreSQL: the statement for each difference.
 *
 * Owns:     nothing.
 * Knows:    drift_repair.h.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    in repair->status.
 * Begin at: t3_repair_plan_pg().
 *
 * What leans on something that is dropped and made again (a foreign key on a key, an index on a column) is dropped before it
 * and made again behind it, although it does not differ itself (drift_repair_lean.c).
 */
#include "base/str.h"
#include "data/drift_repair.h"

#define ONLY_HERE "only this database has it"

static bool differs(const struct t3_pair *pair, enum t3_part part)
{
    return (pair->parts & 1u << part) != 0;
}

static bool is_missing_table(const struct t3_repair *repair, struct tears_str table)
{
    const struct t3_pair *pair = t3_repair_table(repair, table);
    return pair != NULL && pair->live == NULL;
}

static bool is_extra_table(const struct t3_repair *repair, struct tears_str table)
{
    const struct t3_pair *pair = t3_repair_table(repair, table);
    return pair != NULL && pair->declared == NULL;
}

/* ---- tables ----------------------------------------------------------------------------------- */

static struct tears_str without_unlogged(struct tears_str definition)
{
    if (!t3_str_starts(definition, "UNLOGGED"))
        return definition;
    return t3_str_trim(t3_str_from(definition, strlen("UNLOGGED")), " ");
}

/* The columns with commas between them; "" when there are none. */
static struct tears_str column_list(struct t3_repair *repair, struct tears_str table)
{
    const struct t3_comparison *comparison = repair->comparison;
    struct tears_str list = TEARS_STR("");

    for (const struct t3_pair *pair = t3_repair_table(repair, table);
         pair < comparison->pairs + comparison->count; pair++) {
        const struct t3_item *item = t3_pair_item(pair);
        if (!t3_str_equal(item->table, table))
            break;
        if (item->object == TEARS_DRIFT_OBJECT_COLUMN)
            list = T3_TEXT(repair, "##\n    #", list, tears_str_c(list.len > 0 ? "," : ""),
                           t3_repair_column(repair, item));
    }
    return list;
}

static void set_row_security(struct t3_repair *repair, const struct t3_item *declared,
                             struct tears_str live_state)
{
    const struct tears_str state = declared->parts[T3_PART_STATE];
    const bool forced = t3_str_is(state, T3_STATE_ROW_SECURITY_FORCED);
    const bool was_forced = t3_str_is(live_state, T3_STATE_ROW_SECURITY_FORCED);

    if (state.len > 0 && live_state.len == 0)
        T3_REPAIR(repair, T3_REPAIR_POLICY, NULL, "ALTER TABLE @ ENABLE ROW LEVEL SECURITY",
                  declared->table);
    if (forced && !was_forced)
        T3_REPAIR(repair, T3_REPAIR_POLICY, NULL, "ALTER TABLE @ FORCE ROW LEVEL SECURITY",
                  declared->table);
    if (!forced && was_forced)
        T3_REPAIR(repair, T3_REPAIR_POLICY, "the table's owner would see all rows",
                  "ALTER TABLE @ NO FORCE ROW LEVEL SECURITY", declared->table);
    if (state.len == 0 && live_state.len > 0)
        T3_REPAIR(repair, T3_REPAIR_POLICY, "everybody who may read the table would see all rows",
                  "ALTER TABLE @ DISABLE ROW LEVEL SECURITY", declared->table);
}

static void create_table(struct t3_repair *repair, const struct t3_item *table)
{
    const struct tears_str definition = table->parts[T3_PART_DEFINITION];
    const struct tears_str rest = without_unlogged(definition);
    const bool is_partition = t3_str_starts(rest, "PARTITION OF ");
    const struct tears_str kind =
        rest.ptr != definition.ptr ? TEARS_STR("UNLOGGED ") : TEARS_STR("");
    const struct tears_str list = column_list(repair, table->table);

    if (is_partition)
        T3_REPAIR(repair, T3_REPAIR_TABLE, NULL, "CREATE #TABLE @ #", kind, table->table, rest);
    else
        T3_REPAIR(repair, T3_REPAIR_TABLE, NULL, "CREATE #TABLE @ (#\n)##", kind, table->table,
                  list, tears_str_c(rest.len > 0 ? " " : ""), rest);
    set_row_security(repair, table, TEARS_STR(""));
}

/* A partition is made after its table. */
static void create_tables(struct t3_repair *repair, bool with_parents)
{
    const struct t3_comparison *comparison = repair->comparison;

    for (size_t i = 0; i < comparison->count; i++) {
        const struct t3_pair *pair = &comparison->pairs[i];
        if (pair->live != NULL || pair->declared->object != TEARS_DRIFT_OBJECT_TABLE)
            continue;
        if ((pair->declared->reference.len > 0) == with_parents)
            create_table(repair, pair->declared);
    }
}

static void change_table(struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct tears_str declared = pair->declared->parts[T3_PART_DEFINITION];
    const struct tears_str live = pair->live->parts[T3_PART_DEFINITION];

    if (differs(pair, T3_PART_STATE))
        set_row_security(repair, pair->declared, pair->live->parts[T3_PART_STATE]);
    if (!differs(pair, T3_PART_DEFINITION))
        return;
    if (t3_str_equal(without_unlogged(declared), without_unlogged(live)))
        T3_REPAIR(repair, T3_REPAIR_COLUMN, NULL, "ALTER TABLE @ SET #", pair->declared->table,
                  t3_str_starts(declared, "UNLOGGED") ? TEARS_STR("UNLOGGED")
                                                      : TEARS_STR("LOGGED"));
    else
        t3_repair_put_none(repair, pair->declared,
                           "how a table is partitioned or inherits cannot be changed in place");
}

static void plan_table(struct t3_repair *repair, const struct t3_pair *pair)
{
    if (pair->declared == NULL)
        T3_REPAIR(repair, T3_REPAIR_DROP_TABLE, "the table and its rows go",
                  "DROP TABLE IF EXISTS @", pair->live->table);
    else if (pair->live != NULL)
        change_table(repair, pair);
}

static void add_column(struct t3_repair *repair, const struct t3_item *column, const char *destroys)
{
    const bool is_computed = t3_repair_is_computed(column->parts[T3_PART_GENERATION]);

    T3_REPAIR(repair, is_computed ? T3_REPAIR_GENERATED : T3_REPAIR_COLUMN, destroys,
              "ALTER TABLE @ ADD COLUMN #", column->table, t3_repair_column(repair, column));
}

static void plan_column(struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);
    const char *destroys = NULL;

    if (pair->declared == NULL) {
        T3_REPAIR(repair, T3_REPAIR_DROP_COLUMN, "the column and what is in it go",
                  "ALTER TABLE @ DROP COLUMN @", item->table, item->name);
    } else if (pair->live == NULL) {
        add_column(repair, item, NULL);
    } else if (t3_repair_leans(repair, pair, &destroys)) {
        T3_REPAIR(repair, T3_REPAIR_DROP_COLUMN, destroys, "ALTER TABLE @ DROP COLUMN @",
                  item->table, item->name);
        add_column(repair, item, destroys);
    } else {
        t3_repair_alter_column(repair, pair);
    }
}

/* ---- constraints and indexes ------------------------------------------------------------------ */

static enum t3_repair_phase drop_phase(uint8_t object)
{
    if (object == TEARS_DRIFT_OBJECT_FOREIGN_KEY)
        return T3_REPAIR_DROP_FOREIGN_KEY;
    if (object == TEARS_DRIFT_OBJECT_INDEX)
        return T3_REPAIR_DROP_INDEX;
    return object == TEARS_DRIFT_OBJECT_PRIMARY_KEY || object == TEARS_DRIFT_OBJECT_UNIQUE
               ? T3_REPAIR_DROP_KEY
               : T3_REPAIR_DROP_CHECK;
}

static enum t3_repair_phase make_phase(uint8_t object)
{
    if (object == TEARS_DRIFT_OBJECT_FOREIGN_KEY)
        return T3_REPAIR_FOREIGN_KEY;
    if (object == TEARS_DRIFT_OBJECT_INDEX)
        return T3_REPAIR_INDEX;
    return object == TEARS_DRIFT_OBJECT_PRIMARY_KEY || object == TEARS_DRIFT_OBJECT_UNIQUE
               ? T3_REPAIR_KEY
               : T3_REPAIR_CHECK;
}

static void drop_rule(struct t3_repair *repair, const struct t3_item *live, const char *destroys)
{
    if (live->object == TEARS_DRIFT_OBJECT_INDEX)
        T3_REPAIR(repair, T3_REPAIR_DROP_INDEX, destroys, "DROP INDEX @", live->name);
    else
        T3_REPAIR(repair, drop_phase(live->object), destroys, "ALTER TABLE @ DROP CONSTRAINT @",
                  live->table, live->name);
}

static void make_index(struct t3_repair *repair, const struct t3_item *declared,
                       const char *destroys)
{
    const struct tears_str definition = declared->parts[T3_PART_DEFINITION];
    const bool unique = t3_str_starts(definition, "UNIQUE ");
    const struct tears_str rest = unique ? t3_str_from(definition, strlen("UNIQUE ")) : definition;
    const struct tears_str name =
        t3_catalogue_is_invented(declared) ? TEARS_STR("") : T3_TEXT(repair, "@ ", declared->name);

    T3_REPAIR(repair, T3_REPAIR_INDEX, destroys, "CREATE #INDEX ##",
              tears_str_c(unique ? "UNIQUE " : ""), name, rest);
}

/* A name that was made up is made up again: it may be taken here. */
static void make_rule(struct t3_repair *repair, const struct t3_item *declared,
                      const char *destroys)
{
    if (declared->object == TEARS_DRIFT_OBJECT_INDEX) {
        make_index(repair, declared, destroys);
        return;
    }
    const struct tears_str name = t3_catalogue_is_invented(declared)
                                      ? TEARS_STR("")
                                      : T3_TEXT(repair, "CONSTRAINT @ ", declared->name);
    const bool unchecked = t3_str_is(declared->parts[T3_PART_STATE], T3_STATE_NOT_VALID);

    T3_REPAIR(repair, make_phase(declared->object), destroys, "ALTER TABLE @ ADD ###",
              declared->table, name, declared->parts[T3_PART_DEFINITION],
              tears_str_c(unchecked ? " NOT VALID" : ""));
}

static void rename_rule(struct t3_repair *repair, const struct t3_pair *pair)
{
    if (pair->live->object == TEARS_DRIFT_OBJECT_INDEX)
        T3_REPAIR(repair, T3_REPAIR_RENAME, NULL, "ALTER INDEX @ RENAME TO @", pair->live->name,
                  pair->declared->name);
    else
        T3_REPAIR(repair, T3_REPAIR_RENAME, NULL, "ALTER TABLE @ RENAME CONSTRAINT @ TO @",
                  pair->live->table, pair->live->name, pair->declared->name);
}

static void plan_rule(struct t3_repair *repair, const struct t3_pair *pair)
{
    const char *destroys = NULL;
    const bool invalid =
        pair->live != NULL && t3_str_is(pair->live->parts[T3_PART_STATE], T3_STATE_INVALID);

    if (pair->declared == NULL) {
        drop_rule(repair, pair->live, ONLY_HERE);
    } else if (pair->live == NULL) {
        make_rule(repair, pair->declared, NULL);
    } else if (differs(pair, T3_PART_DEFINITION) || invalid ||
               t3_repair_leans(repair, pair, &destroys)) {
        drop_rule(repair, pair->live, destroys);
        make_rule(repair, pair->declared, destroys);
    } else {
        if (pair->has_other_name)
            rename_rule(repair, pair);
        if (differs(pair, T3_PART_STATE))
            T3_REPAIR(repair, T3_REPAIR_FOREIGN_KEY, NULL, "ALTER TABLE @ VALIDATE CONSTRAINT @",
                      pair->declared->table,
                      pair->has_other_name ? pair->declared->name : pair->live->name);
    }
}

/* ---- triggers, policies, functions, sequences ------------------------------------------------- */

static void plan_trigger(struct t3_repair *repair, const struct t3_pair *pair)
{
    const char *destroys = pair->declared == NULL ? ONLY_HERE : NULL;
    const bool is_made =
        pair->declared != NULL && (pair->live == NULL || differs(pair, T3_PART_DEFINITION) ||
                                   t3_repair_leans(repair, pair, &destroys));

    if (pair->live != NULL && (is_made || pair->declared == NULL))
        T3_REPAIR(repair, T3_REPAIR_DROP_TRIGGER, destroys, "DROP TRIGGER @ ON @", pair->live->name,
                  pair->live->table);
    if (is_made)
        T3_REPAIR(repair, T3_REPAIR_TRIGGER, destroys, "#",
                  pair->declared->parts[T3_PART_DEFINITION]);
    if (is_made ? !t3_str_is(pair->declared->parts[T3_PART_STATE], "ENABLE")
                : differs(pair, T3_PART_STATE))
        T3_REPAIR(repair, T3_REPAIR_TRIGGER, destroys, "ALTER TABLE @ # TRIGGER @",
                  pair->declared->table, pair->declared->parts[T3_PART_STATE],
                  pair->declared->name);
}

static void plan_policy(struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);
    const char *destroys = NULL;

    if (!t3_pair_differs(pair) && !t3_repair_leans(repair, pair, &destroys))
        return;
    if (pair->declared == NULL)
        destroys = ONLY_HERE;
    if (pair->live != NULL)
        T3_REPAIR(repair, T3_REPAIR_DROP_POLICY, destroys, "DROP POLICY @ ON @", item->name,
                  item->table);
    if (pair->declared != NULL)
        T3_REPAIR(repair, T3_REPAIR_POLICY, destroys, "CREATE POLICY @ ON @ #", item->name,
                  item->table, item->parts[T3_PART_DEFINITION]);
}

static void plan_function(struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);
    const bool is_procedure = t3_str_starts(item->parts[T3_PART_DEFINITION], "PROCEDURE ");

    if (pair->declared != NULL)
        T3_REPAIR(repair, T3_REPAIR_FUNCTION, NULL, "CREATE OR REPLACE #",
                  item->parts[T3_PART_DEFINITION]);
    else
        T3_REPAIR(repair, T3_REPAIR_DROP_REST, ONLY_HERE, "DROP # #",
                  is_procedure ? TEARS_STR("PROCEDURE") : TEARS_STR("FUNCTION"), item->name);
}

static void plan_sequence(struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);

    if (pair->declared == NULL)
        T3_REPAIR(repair, T3_REPAIR_DROP_REST,
                  "only this database has it, and how far it has counted", "DROP SEQUENCE @",
                  item->name);
    else
        T3_REPAIR(repair, T3_REPAIR_SEQUENCE, NULL, "# SEQUENCE @ #",
                  pair->live == NULL ? TEARS_STR("CREATE") : TEARS_STR("ALTER"), item->name,
                  item->parts[T3_PART_DEFINITION]);
}

/* ---- the plan --------------------------------------------------------------------------------- */

/* What is on a table that comes or goes comes or goes with it. */
static bool is_settled_by_table(const struct t3_repair *repair, const struct t3_pair *pair)
{
    const struct t3_item *item = t3_pair_item(pair);

    if (item->object == TEARS_DRIFT_OBJECT_TABLE)
        return false;
    if (is_extra_table(repair, item->table))
        return item->object != TEARS_DRIFT_OBJECT_FOREIGN_KEY;
    return item->object == TEARS_DRIFT_OBJECT_COLUMN && is_missing_table(repair, item->table);
}

static void plan_difference(struct t3_repair *repair, const struct t3_pair *pair)
{
    switch (t3_pair_item(pair)->object) {
    case TEARS_DRIFT_OBJECT_TABLE:
        plan_table(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_COLUMN:
        plan_column(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_TRIGGER:
        plan_trigger(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_POLICY:
        plan_policy(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_ENUM:
        t3_repair_enum(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_FUNCTION:
        plan_function(repair, pair);
        break;
    case TEARS_DRIFT_OBJECT_SEQUENCE:
        plan_sequence(repair, pair);
        break;
    default:
        plan_rule(repair, pair);
        break;
    }
}

/* What need not differ itself to be dropped and made again. */
static bool may_lean(const struct t3_pair *pair)
{
    const uint8_t object = t3_pair_item(pair)->object;

    return t3_object_is_anonymous(object) || object == TEARS_DRIFT_OBJECT_POLICY ||
           object == TEARS_DRIFT_OBJECT_TRIGGER || object == TEARS_DRIFT_OBJECT_COLUMN;
}

void t3_repair_plan_pg(struct t3_repair *repair)
{
    const struct t3_comparison *comparison = repair->comparison;
    const bool moves = t3_repair_moves_something(repair);

    create_tables(repair, false);
    create_tables(repair, true);
    for (size_t i = 0; i < comparison->count; i++) {
        const struct t3_pair *pair = &comparison->pairs[i];
        if (is_settled_by_table(repair, pair))
            continue;
        if (t3_pair_differs(pair) || (moves && may_lean(pair)))
            plan_difference(repair, pair);
    }
}
