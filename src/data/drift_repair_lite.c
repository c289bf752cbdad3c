/*
 * drift_repair_lite.c -- SQLite: columns are added, indexes and triggers made; for anything else a table is made anew.
 *
 * Owns:     nothing.
 * Knows:    drift_repair.h, sql_scan.h.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    in repair->status.
 * Begin at: t3_repair_plan_lite().
 *
 * SQLite can alter little of a table.  Making it anew is the way its manual names: a table of the declared shape under
 * another name, the rows copied, the old one dropped, the new one renamed.  Foreign keys are off meanwhile (dropping a table
 * deletes its rows, and would cascade), and renaming must not follow references: they name the table that will be there.
 */
#include "base/str.h"
#include "data/drift_repair.h"
#include "data/sql_scan.h"

#define NEW_PREFIX "_tears_new_"
#define ONLY_HERE  "only this database has it"

static bool differs(const struct t3_pair *pair, enum t3_part part)
{
    return (pair->parts & 1u << part) != 0;
}

/* The pairs of one table: from `first` up to, not with, `end`. */
struct table {
    const struct t3_pair *first;
    const struct t3_pair *end;
};

static struct table table_at(const struct t3_repair *repair, size_t at)
{
    const struct t3_comparison *comparison = repair->comparison;
    const struct tears_str name = t3_pair_item(&comparison->pairs[at])->table;
    size_t end = at;

    while (end < comparison->count &&
           t3_str_equal(t3_pair_item(&comparison->pairs[end])->table, name))
        end++;
    return (struct table){&comparison->pairs[at], &comparison->pairs[end]};
}

static struct tears_str all_of(const struct t3_sql_tokens *tokens, size_t from)
{
    const struct t3_sql_range range = {from, tokens->count};
    return from < tokens->count ? t3_sql_text(tokens, range) : TEARS_STR("");
}

/* ---- columns that can be added ---------------------------------------------------------------- */

/* SQLite takes only such a default for a column of a table that has rows. */
static bool is_constant(struct tears_str value)
{
    static const char *const times[] = {"current_time", "current_date", "current_timestamp"};

    for (size_t i = 0; i < T3_COUNT(times); i++)
        if (t3_str_is(value, times[i]))
            return false;
    return value.len == 0 || value.ptr[0] != '(';
}

static bool can_be_added(const struct t3_item *column)
{
    const struct tears_str value = column->parts[T3_PART_DEFAULT];
    const struct tears_str generation = column->parts[T3_PART_GENERATION];
    static const char stored[] = " STORED";
    const size_t len = sizeof stored - 1;

    if (generation.len >= len && memcmp(generation.ptr + generation.len - len, stored, len) == 0)
        return false;
    if (t3_str_is(column->parts[T3_PART_NULLABILITY], "NOT NULL") && generation.len == 0 &&
        (value.len == 0 || t3_str_is(value, "null")))
        return false;
    return is_constant(value);
}

static void add_column(struct t3_repair *repair, const struct t3_item *column)
{
    const struct tears_str value = column->parts[T3_PART_DEFAULT];
    const bool not_null = t3_str_is(column->parts[T3_PART_NULLABILITY], "NOT NULL");

    T3_REPAIR(repair, T3_REPAIR_COLUMN, NULL, "ALTER TABLE @ ADD COLUMN @ ######", column->table,
              column->name, column->parts[T3_PART_TYPE],
              column->parts[T3_PART_GENERATION].len > 0 ? TEARS_STR(" ") : TEARS_STR(""),
              column->parts[T3_PART_GENERATION], not_null ? TEARS_STR(" NOT NULL") : TEARS_STR(""),
              value.len > 0 ? TEARS_STR(" DEFAULT ") : TEARS_STR(""), value);
}

/* ---- making a table anew ---------------------------------------------------------------------- */

static bool is_made_separately(uint8_t object)
{
    return object == TEARS_DRIFT_OBJECT_INDEX || object == TEARS_DRIFT_OBJECT_TRIGGER;
}

static bool needs_new_table(const struct table *table)
{
    for (const struct t3_pair *pair = table->first; pair < table->end; pair++) {
        const struct t3_item *item = t3_pair_item(pair);
        const bool is_new_column =
            item->object == TEARS_DRIFT_OBJECT_COLUMN && pair->live == NULL && can_be_added(item);
        if (t3_pair_differs(pair) && !is_made_separately(item->object) && !is_new_column)
            return true;
    }
    return false;
}

/* What of the table would be lost; NULL: nothing. */
static const char *what_goes(const struct table *table)
{
    for (const struct t3_pair *pair = table->first; pair < table->end; pair++) {
        const struct t3_item *item = t3_pair_item(pair);
        if (is_made_separately(item->object))
            continue;
        if (pair->declared == NULL && item->object == TEARS_DRIFT_OBJECT_COLUMN)
            return "a column and what is in it go";
        if (pair->declared == NULL)
            return "only this database has a constraint of the table";
        if (pair->live != NULL && differs(pair, T3_PART_TYPE))
            return "values are converted to another type";
    }
    return NULL;
}

/* The columns whose values are copied. */
static struct tears_str common_columns(struct t3_repair *repair, const struct table *table)
{
    struct tears_str list = TEARS_STR("");

    for (const struct t3_pair *pair = table->first; pair < table->end; pair++)
        if (t3_pair_item(pair)->object == TEARS_DRIFT_OBJECT_COLUMN && pair->declared != NULL &&
            pair->live != NULL && pair->declared->parts[T3_PART_GENERATION].len == 0)
            list = T3_TEXT(repair, "##@", list, tears_str_c(list.len > 0 ? ", " : ""),
                           pair->declared->name);
    return list;
}

static bool counts(const struct t3_item *item)
{
    static const char ending[] = " autoincrement";
    const struct tears_str text = item->parts[T3_PART_DEFINITION];
    const size_t len = sizeof ending - 1;

    return text.len >= len && memcmp(text.ptr + text.len - len, ending, len) == 0;
}

/* Numbers that were given once are not given again. */
static void copy_counter(struct t3_repair *repair, const struct table *table, struct tears_str name,
                         const char *destroys)
{
    const struct tears_str new_name = T3_TEXT(repair, NEW_PREFIX "#", name);

    for (const struct t3_pair *pair = table->first; pair < table->end; pair++) {
        if (t3_pair_item(pair)->object != TEARS_DRIFT_OBJECT_PRIMARY_KEY ||
            pair->declared == NULL || pair->live == NULL || !counts(pair->declared) ||
            !counts(pair->live))
            continue;
        T3_REPAIR(repair, T3_REPAIR_TABLE, destroys, "DELETE FROM sqlite_sequence WHERE name = '#'",
                  new_name);
        T3_REPAIR(repair, T3_REPAIR_TABLE, destroys,
                  "INSERT INTO sqlite_sequence (name, seq)"
                  " SELECT '#', seq FROM sqlite_sequence WHERE name = '#'",
                  new_name, name);
    }
}

static void make_separate(struct t3_repair *repair, const struct t3_item *item,
                          const char *destroys)
{
    const bool is_index = item->object == TEARS_DRIFT_OBJECT_INDEX;
    T3_REPAIR(repair, is_index ? T3_REPAIR_INDEX : T3_REPAIR_TRIGGER, destroys, "#", item->create);
}

/* What went with the old table: as declared, and what only this database has unless that may go. */
static void make_separates(struct t3_repair *repair, const struct table *table,
                           const char *destroys)
{
    for (const struct t3_pair *pair = table->first; pair < table->end; pair++) {
        const struct t3_item *item = t3_pair_item(pair);
        if (is_made_separately(item->object) && (pair->declared != NULL || !repair->destructive))
            make_separate(repair, item, destroys);
    }
}

static void make_anew(struct t3_repair *repair, const struct table *table)
{
    const struct t3_item *declared = table->first->declared;
    const char *destroys = what_goes(table);
    const struct tears_str name = declared->table;
    const struct tears_str new_name = T3_TEXT(repair, NEW_PREFIX "#", name);
    const struct tears_str columns = common_columns(repair, table);
    struct t3_sql_tokens tokens = {0};
    size_t at = 0;

    if (repair->status == TEARS_OK)
        repair->status = t3_sql_scan(repair->arena, declared->create, T3_SQL_SQLITE, &tokens);
    while (at < tokens.count && !t3_sql_mark_is(&tokens.items[at], "("))
        at++;
    T3_REPAIR(repair, T3_REPAIR_TABLE, destroys, "CREATE TABLE @ #", new_name, all_of(&tokens, at));
    if (columns.len > 0)
        T3_REPAIR(repair, T3_REPAIR_TABLE, destroys, "INSERT INTO @ (#) SELECT # FROM @", new_name,
                  columns, columns, name);
    copy_counter(repair, table, name, destroys);
    T3_REPAIR(repair, T3_REPAIR_TABLE, destroys, "DROP TABLE @", name);
    T3_REPAIR(repair, T3_REPAIR_TABLE, destroys, "ALTER TABLE @ RENAME TO @", new_name, name);
    make_separates(repair, table, destroys);
}

/* ---- single differences ----------------------------------------------------------------------- */

static void plan_separate(struct t3_repair *repair, const struct t3_pair *pair)
{
    const bool is_index = t3_pair_item(pair)->object == TEARS_DRIFT_OBJECT_INDEX;
    const char *destroys = pair->declared == NULL ? ONLY_HERE : NULL;

    if (pair->live != NULL && is_index)
        T3_REPAIR(repair, T3_REPAIR_DROP_INDEX, destroys, "DROP INDEX @", pair->live->name);
    else if (pair->live != NULL)
        T3_REPAIR(repair, T3_REPAIR_DROP_TRIGGER, destroys, "DROP TRIGGER @", pair->live->name);
    if (pair->declared != NULL)
        make_separate(repair, pair->declared, NULL);
}

static void plan_parts(struct t3_repair *repair, const struct table *table)
{
    for (const struct t3_pair *pair = table->first; pair < table->end; pair++) {
        if (!t3_pair_differs(pair))
            continue;
        if (is_made_separately(t3_pair_item(pair)->object))
            plan_separate(repair, pair);
        else
            add_column(repair, pair->declared);
    }
}

static void make_table(struct t3_repair *repair, const struct table *table)
{
    T3_REPAIR(repair, T3_REPAIR_TABLE, NULL, "#", table->first->declared->create);
    for (const struct t3_pair *pair = table->first; pair < table->end; pair++)
        if (is_made_separately(t3_pair_item(pair)->object))
            make_separate(repair, pair->declared, NULL);
}

static bool is_virtual(const struct t3_item *table)
{
    return t3_str_starts(table->parts[T3_PART_DEFINITION], "create virtual ");
}

static void plan_table(struct t3_repair *repair, const struct table *table, bool *anew_out)
{
    const struct t3_pair *own = table->first;

    if (own->declared == NULL) {
        T3_REPAIR(repair, T3_REPAIR_DROP_TABLE, "the table and its rows go", "DROP TABLE @",
                  own->live->table);
    } else if (own->live == NULL) {
        make_table(repair, table);
    } else if (!needs_new_table(table)) {
        plan_parts(repair, table);
    } else if (is_virtual(own->declared) || is_virtual(own->live)) {
        t3_repair_put_none(repair, own->declared, "a virtual table has to be made anew by hand");
    } else {
        make_anew(repair, table);
        *anew_out = *anew_out || what_goes(table) == NULL || repair->destructive;
    }
}

static void put_setting(struct t3_repair *repair, enum t3_repair_phase phase, const char *sql)
{
    T3_REPAIR(repair, phase, NULL, "#", tears_str_c(sql));
}

void t3_repair_plan_lite(struct t3_repair *repair)
{
    bool anew = false;

    for (size_t i = 0; i < repair->comparison->count;) {
        const struct table table = table_at(repair, i);
        plan_table(repair, &table, &anew);
        i += (size_t)(table.end - table.first);
    }
    bool drops = false;
    for (size_t i = 0; i < repair->count; i++)
        drops = drops ||
                (repair->steps[i].phase == T3_REPAIR_DROP_TABLE && repair->steps[i].step.is_run);
    if (!anew && !drops)
        return;
    put_setting(repair, T3_REPAIR_BEFORE, "PRAGMA foreign_keys = OFF");
    put_setting(repair, T3_REPAIR_BEFORE, "PRAGMA legacy_alter_table = ON");
    put_setting(repair, T3_REPAIR_AFTER, "PRAGMA legacy_alter_table = OFF");
    put_setting(repair, T3_REPAIR_AFTER, "PRAGMA foreign_keys = ON");
}
