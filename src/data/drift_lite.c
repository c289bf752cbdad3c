/*
 * drift_lite.c -- a SQLite database as items: its pragmas, and what only the text of CREATE says.
 *
 * Owns:     the queries.
 * Knows:    tier/l3_admin.h, drift_lite_text.h, drift_catalogue.h.
 * Must not know: what the items are compared with.
 * Threads:  one at a time.
 * Fails:    as t3_admin_run.
 * Begin at: t3_catalogue_read_lite().
 */
#include "data/drift_lite_text.h"

#include "base/str.h"

/* Neither SQLite's own nor those in which a virtual table keeps its rows. */
#define USER_OBJECT                                                  \
    "m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.tbl_name NOT IN" \
    " (SELECT s.name FROM pragma_table_list s WHERE s.schema = 'main' AND s.type = 'shadow')"

static const char tables[] = "SELECT m.name, l.strict, l.wr, l.type, m.sql FROM sqlite_schema m"
                             " JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main'"
                             " WHERE m.type = 'table' AND " USER_OBJECT;

static const char columns[] =
    "SELECT m.name, x.name, upper(x.type), x.\"notnull\", x.dflt_value, x.hidden, x.cid"
    " FROM sqlite_schema m, pragma_table_xinfo(m.name) x"
    " WHERE m.type = 'table' AND x.hidden <> 1 AND " USER_OBJECT;

/* Names as SQLite quotes them in messages: always. */
#define QUOTED(name) "'\"' || replace(" name ", '\"', '\"\"') || '\"'"

static const char primary_keys[] =
    "SELECT m.name, 'PRIMARY KEY (' || (SELECT group_concat(k.q, ', ') FROM (SELECT " QUOTED(
        "x.name") " AS q FROM pragma_table_xinfo(m.name) x WHERE x.pk > 0 ORDER BY x.pk) k) || ')'"
                  " FROM sqlite_schema m WHERE m.type = 'table' AND " USER_OBJECT
                  " AND EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name) x WHERE x.pk > 0)";

static const char uniques[] =
    "SELECT m.name, 'UNIQUE (' || (SELECT group_concat(k.q, ', ') FROM (SELECT " QUOTED(
        "x.name") " || CASE WHEN upper(x.coll) <> 'BINARY' THEN ' COLLATE ' || upper(x.coll) ELSE "
                  "'' END"
                  " || CASE WHEN x.\"desc\" THEN ' DESC' ELSE '' END AS q"
                  " FROM pragma_index_xinfo(i.name) x WHERE x.key ORDER BY x.seqno) k) || ')'"
                  " FROM sqlite_schema m, pragma_index_list(m.name) i"
                  " WHERE m.type = 'table' AND i.origin = 'u' AND " USER_OBJECT;

/* A key that names no columns refers to the other table's primary key. */
static const char foreign_keys[] =
    "SELECT m.name, f.\"table\", 'FOREIGN KEY (' || group_concat(" QUOTED(
        "f.\"from\"") ", ', ')"
                      " || ') REFERENCES ' || " QUOTED(
                          "f.\"table\"") " || ' (' || "
                                         "group_concat(" QUOTED("coalesce(f.\"to\", "
                                                                "(SELECT p.name FROM "
                                                                "pragma_table_info(f."
                                                                "\"table\") p WHERE p.pk "
                                                                "= f.seq + 1),"
                                                                " f.\"from\")") ", ', ')"
                                                                                " || ')' "
                                                                                "|| CASE "
                                                                                "WHEN "
                                                                                "f.on_"
                                                                                "delete "
                                                                                "<> 'NO "
                                                                                "ACTION' "
                                                                                "THEN ' "
                                                                                "ON "
                                                                                "DELETE "
                                                                                "' || "
                                                                                "f.on_"
                                                                                "delete "
                                                                                "ELSE '' "
                                                                                "END"
                                                                                " || "
                                                                                "CASE "
                                                                                "WHEN "
                                                                                "f.on_"
                                                                                "update "
                                                                                "<> 'NO "
                                                                                "ACTION' "
                                                                                "THEN ' "
                                                                                "ON "
                                                                                "UPDATE "
                                                                                "' || "
                                                                                "f.on_"
                                                                                "update "
                                                                                "ELSE '' "
                                                                                "END"
                                                                                " FROM "
                                                                                "(SELECT "
                                                                                "m.name "
                                                                                "AS "
                                                                                "name, "
                                                                                "f.* "
                                                                                "FROM "
                                                                                "sqlite_"
                                                                                "schema "
                                                                                "m, "
                                                                                "pragma_"
                                                                                "foreign_"
                                                                                "key_"
                                                                                "list(m."
                                                                                "name) f"
                                                                                "  WHERE "
                                                                                "m.type "
                                                                                "= "
                                                                                "'table' "
                                                                                "AND"
                                                                                " " USER_OBJECT
                                                                                " ORDER "
                                                                                "BY "
                                                                                "m.name, "
                                                                                "f.id, "
                                                                                "f.seq) "
                                                                                "AS f,"
                                                                                " ("
                                                                                "SELECT "
                                                                                "1) AS "
                                                                                "one, "
                                                                                "sqlite_"
                                                                                "schema "
                                                                                "m WHERE "
                                                                                "m.name "
                                                                                "= "
                                                                                "f.name "
                                                                                "AND "
                                                                                "m.type "
                                                                                "= "
                                                                                "'table'"
                                                                                " GROUP "
                                                                                "BY "
                                                                                "m.name, "
                                                                                "f.id";

static const char others[] =
    "SELECT m.type, m.tbl_name, m.name, m.sql FROM sqlite_schema m"
    " WHERE m.type IN ('index', 'trigger') AND m.sql IS NOT NULL AND " USER_OBJECT;

/* ---- rows to items ---------------------------------------------------------------------------- */

static tears_status add_table(struct t3_catalogue *catalogue, const struct t3_result *result,
                              size_t row)
{
    const struct tears_str name = t3_result_text(result, row, 0);
    struct t3_item item = t3_lite_item(TEARS_DRIFT_OBJECT_TABLE, name, name);
    const bool strict = t3_result_number(result, row, 1) != 0;
    const bool without_rowid = t3_result_number(result, row, 2) != 0;

    item.create = t3_result_text(result, row, 4);
    if (t3_str_is(t3_result_text(result, row, 3), "virtual"))
        T3_TRY(
            t3_lite_normalise_text(catalogue->arena, item.create, &item.parts[T3_PART_DEFINITION]));
    else if (strict || without_rowid)
        item.parts[T3_PART_DEFINITION] = tears_str_c(
            !strict ? "WITHOUT ROWID" : (without_rowid ? "STRICT, WITHOUT ROWID" : "STRICT"));
    return t3_catalogue_add(catalogue, &item);
}

static tears_status add_column(struct t3_catalogue *catalogue, const struct t3_result *result,
                               size_t row)
{
    struct t3_item item = t3_lite_item(TEARS_DRIFT_OBJECT_COLUMN, t3_result_text(result, row, 0),
                                       t3_result_text(result, row, 1));

    item.parts[T3_PART_TYPE] = t3_result_text(result, row, 2);
    item.parts[T3_PART_NULLABILITY] =
        tears_str_c(t3_result_number(result, row, 3) != 0 ? "NOT NULL" : "NULL");
    T3_TRY(t3_lite_normalise_text(catalogue->arena, t3_result_text(result, row, 4),
                                  &item.parts[T3_PART_DEFAULT]));
    item.position = t3_result_number(result, row, 6);
    return t3_catalogue_add(catalogue, &item);
}

static tears_status add_definition(struct t3_catalogue *catalogue, uint8_t object,
                                   const struct t3_result *result, size_t row)
{
    struct t3_item item = t3_lite_item(object, t3_result_text(result, row, 0), TEARS_STR(""));
    const bool has_reference = object == TEARS_DRIFT_OBJECT_FOREIGN_KEY;

    if (has_reference)
        item.reference = t3_result_text(result, row, 1);
    item.parts[T3_PART_DEFINITION] = t3_result_text(result, row, has_reference ? 2 : 1);
    return t3_catalogue_add(catalogue, &item);
}

static tears_status add_primary_key(struct t3_catalogue *catalogue, const struct t3_result *result,
                                    size_t row)
{
    return add_definition(catalogue, TEARS_DRIFT_OBJECT_PRIMARY_KEY, result, row);
}

static tears_status add_unique(struct t3_catalogue *catalogue, const struct t3_result *result,
                               size_t row)
{
    return add_definition(catalogue, TEARS_DRIFT_OBJECT_UNIQUE, result, row);
}

static tears_status add_foreign_key(struct t3_catalogue *catalogue, const struct t3_result *result,
                                    size_t row)
{
    return add_definition(catalogue, TEARS_DRIFT_OBJECT_FOREIGN_KEY, result, row);
}

/* An index without what comes before ON, but for UNIQUE; a trigger from its own name on. */
static tears_status put_other(struct t3_catalogue *catalogue, struct t3_item *item)
{
    const bool is_index = item->object == TEARS_DRIFT_OBJECT_INDEX;
    struct t3_sql_tokens tokens;
    size_t at = 0;

    T3_TRY(t3_sql_scan(catalogue->arena, item->create, T3_SQL_SQLITE, &tokens));
    while (at < tokens.count &&
           !(is_index ? t3_sql_word_is(&tokens.items[at], "ON")
                      : t3_str_equal_nocase(t3_sql_inner(&tokens.items[at]), item->name)))
        at++;
    const struct t3_sql_range range = {at, tokens.count};
    T3_TRY(t3_lite_normalise(catalogue->arena, &tokens, range, &item->parts[T3_PART_DEFINITION]));
    if (!is_index || tokens.count < 2 || !t3_sql_word_is(&tokens.items[1], "UNIQUE"))
        return TEARS_OK;
    struct tears_str unique = TEARS_STR("unique");
    T3_TRY(t3_lite_append(catalogue->arena, &unique, " ", item->parts[T3_PART_DEFINITION]));
    item->parts[T3_PART_DEFINITION] = unique;
    return TEARS_OK;
}

static tears_status add_other(struct t3_catalogue *catalogue, const struct t3_result *result,
                              size_t row)
{
    const bool is_index = t3_str_is(t3_result_text(result, row, 0), "index");
    struct t3_item item =
        t3_lite_item(is_index ? TEARS_DRIFT_OBJECT_INDEX : TEARS_DRIFT_OBJECT_TRIGGER,
                     t3_result_text(result, row, 1), t3_result_text(result, row, 2));

    item.create = t3_result_text(result, row, 3);
    T3_TRY(put_other(catalogue, &item));
    return t3_catalogue_add(catalogue, &item);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static const struct {
    const char *sql;
    tears_status (*add)(struct t3_catalogue *catalogue, const struct t3_result *result, size_t row);
} queries[] = {
    {tables, add_table},   {columns, add_column},           {primary_keys, add_primary_key},
    {uniques, add_unique}, {foreign_keys, add_foreign_key}, {others, add_other},
};

static tears_status read_texts(struct t3_catalogue *catalogue)
{
    const size_t count = catalogue->count; /* checks are added behind */

    for (size_t i = 0; i < count; i++) {
        const struct t3_item item = catalogue->items[i];
        if (item.object == TEARS_DRIFT_OBJECT_TABLE)
            T3_TRY(t3_lite_read_create(catalogue, item.table, item.create));
    }
    return TEARS_OK;
}

tears_status t3_catalogue_read_lite(struct t3_catalogue *catalogue, struct t3_admin *admin,
                                    struct tears_error *error_out)
{
    for (size_t i = 0; i < T3_COUNT(queries); i++) {
        const struct t3_admin_statement statement = {.sql = tears_str_c(queries[i].sql)};
        struct t3_result result;
        T3_TRY(t3_admin_run(admin, &statement, catalogue->arena, &result, error_out));
        for (size_t row = 0; row < result.row_count; row++)
            T3_TRY(queries[i].add(catalogue, &result, row));
    }
    return read_texts(catalogue);
}
