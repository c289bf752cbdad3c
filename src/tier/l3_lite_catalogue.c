/*
 * l3_lite_catalogue.c -- the durable SQLite tier: what tables there are, and a table's schema.
 *
 * Owns:     the table of declared types.
 * Must not know: how rows are read or written.
 * Threads:  any.
 * Fails:    NOT_FOUND (no such table), INVALID (no primary key, a view, rules of schema.h).
 * Begin at: t3_l3_lite_describe().
 *
 * LIMITATIONS.  SQLite keeps an index's expressions in no form that can be asked for, so such indexes are left out of
 * the schema; conditions and names of constraints come from the text of the CREATE statements.
 */
#include "base/fail.h"
#include "base/str.h"
#include "codec/text.h"
#include "schema/facts.h"
#include "tier/l3_lite_impl.h"
#include "tier/l3_lite_text.h"
#include "tier/result_lite.h"

/* ---- declared types ---- */

/*
 * In SQLite a declared type is any words; these are ours (schema/ddl.h) and those that people use.
 * INTEGER is 64 bits wide in SQLite, whatever it is elsewhere.
 */
static const struct {
    const char *name;
    uint8_t type;
} known_types[] = {
    {"UUID", TEARS_TYPE_UUID},
    {"TEXT_UUID", TEARS_TYPE_UUID},
    {"GUID", TEARS_TYPE_UUID},
    {"TEXT", TEARS_TYPE_STRING},
    {"", TEARS_TYPE_STRING},
    {"TEXT_ENUM", TEARS_TYPE_ENUM},
    {"ENUM", TEARS_TYPE_ENUM},
    {"TEXT_NUMERIC", TEARS_TYPE_NUMERIC},
    {"NUMERIC", TEARS_TYPE_NUMERIC},
    {"DECIMAL", TEARS_TYPE_NUMERIC},
    {"TEXT_TSVECTOR", TEARS_TYPE_TSVECTOR},
    {"TSVECTOR", TEARS_TYPE_TSVECTOR},
    {"TEXT_DATETIME", TEARS_TYPE_TIMESTAMPTZ},
    {"TEXT_TIMESTAMPTZ", TEARS_TYPE_TIMESTAMPTZ},
    {"DATETIME", TEARS_TYPE_TIMESTAMPTZ},
    {"TIMESTAMP", TEARS_TYPE_TIMESTAMPTZ},
    {"TIMESTAMPTZ", TEARS_TYPE_TIMESTAMPTZ},
    {"TIMESTAMP WITH TIME ZONE", TEARS_TYPE_TIMESTAMPTZ},
    {"TIMESTAMP WITHOUT TIME ZONE", TEARS_TYPE_TIMESTAMPTZ},
    {"TEXT_JSON", TEARS_TYPE_JSONB},
    {"TEXT_JSONB", TEARS_TYPE_JSONB},
    {"JSON", TEARS_TYPE_JSONB},
    {"JSONB", TEARS_TYPE_JSONB},
    {"BYTEA", TEARS_TYPE_BYTES},
    {"BYTES", TEARS_TYPE_BYTES},
    {"BINARY", TEARS_TYPE_BYTES},
    {"VARBINARY", TEARS_TYPE_BYTES},
    {"INT2", TEARS_TYPE_INT},
    {"INT4", TEARS_TYPE_INT},
    {"SMALLINT", TEARS_TYPE_INT},
    {"TINYINT", TEARS_TYPE_INT},
    {"MEDIUMINT", TEARS_TYPE_INT},
    {"INTEGER_BOOL", TEARS_TYPE_BOOL},
    {"BOOL", TEARS_TYPE_BOOL},
    {"BOOLEAN", TEARS_TYPE_BOOL},
    {"TEXT_VECTOR", TEARS_TYPE_VECTOR},
    {"VECTOR", TEARS_TYPE_VECTOR},
};

static bool contains_word(struct tears_str text, const char *part)
{
    const struct tears_str word = tears_str_c(part);
    for (size_t i = 0; i + word.len <= text.len; i++)
        if (t3_str_equal_nocase(tears_str_n(text.ptr + i, word.len), word))
            return true;
    return false;
}

/* SQLite's own rule for the affinity of a type it does not know. */
static uint8_t type_by_affinity(struct tears_str name)
{
    if (contains_word(name, "INT"))
        return TEARS_TYPE_BIGINT;
    if (contains_word(name, "CHAR") || contains_word(name, "CLOB") || contains_word(name, "TEXT"))
        return TEARS_TYPE_STRING;
    if (contains_word(name, "BLOB"))
        return TEARS_TYPE_BYTES;
    if (contains_word(name, "REAL") || contains_word(name, "FLOA") || contains_word(name, "DOUB"))
        return TEARS_TYPE_DOUBLE;
    return TEARS_TYPE_STRING;
}

static uint8_t type_of(struct tears_str name)
{
    for (size_t i = 0; i < T3_COUNT(known_types); i++)
        if (t3_str_equal_nocase(name, tears_str_c(known_types[i].name)))
            return known_types[i].type;
    return type_by_affinity(name);
}

static struct tears_str up_to(struct tears_str text, char end)
{
    const char *at = text.len > 0 ? memchr(text.ptr, end, text.len) : NULL;
    return at != NULL ? tears_str_n(text.ptr, (size_t)(at - text.ptr)) : text;
}

/* The `index`th number in the brackets of a type such as NUMERIC(12, 4). */
static bool type_argument(struct tears_str declared, int index, uint64_t *number_out)
{
    struct tears_str rest = t3_str_from(declared, up_to(declared, '(').len + 1);
    rest = up_to(rest, ')');
    for (int i = 0; i < index; i++)
        rest = t3_str_from(rest, up_to(rest, ',').len + 1);
    int64_t number;
    if (t3_int_parse(t3_str_trim(up_to(rest, ','), " "), &number) != TEARS_OK || number < 0)
        return false;
    *number_out = (uint64_t)number;
    return true;
}

static void set_type(struct tears_column_def *def, struct tears_str declared)
{
    def->type = type_of(t3_str_trim(up_to(declared, '('), " "));
    if (def->type == TEARS_TYPE_VECTOR) {
        (void)type_argument(declared, 0, &def->vector_dim); /* no dimension: any */
    } else if (def->type == TEARS_TYPE_NUMERIC && type_argument(declared, 0, &def->precision)) {
        def->has_scale = true;
        (void)type_argument(declared, 1, &def->scale); /* none given: 0 */
    }
}

/* ---- asking the catalogue ---- */

struct catalogue {
    struct t3_l3_call *call;
    struct t3_lite_conn *conn;
    struct tears_str table;
};

static tears_status ask(const struct catalogue *catalogue, struct tears_str sql,
                        struct t3_result *result_out)
{
    struct t3_l3_call *call = catalogue->call;
    const struct tears_value name = tears_text(catalogue->table);
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(catalogue->conn, sql);
    if (stmt == NULL) {
        const struct t3_lite_sql prepare = {.key = sql, .sql = sql};
        T3_TRY(t3_lite_prepare(catalogue->conn, &prepare, &stmt, call->error));
    }
    const size_t count = catalogue->table.len > 0 ? 1 : 0;
    T3_TRY(t3_lite_bind_numbered(stmt, &name, count, call->arena, call->error));
    return t3_result_collect(stmt, call->arena, result_out, call->error);
}

static tears_status fail_table(const struct catalogue *catalogue, tears_status status,
                               const char *cause)
{
    return t3_fail(catalogue->call->error, status, L3_LITE_ORIGIN, "table '" T3_STR_FMT "': %s",
                   T3_STR_ARG(catalogue->table), cause);
}

/* What is known of a table as a whole. */
struct table_facts {
    bool rowid_key; /* its single key column is another name of the rowid, which SQLite makes up */
    struct tears_str sql; /* of its CREATE TABLE */
};

static tears_status check_table(const struct catalogue *catalogue, struct table_facts *facts_out)
{
    struct t3_result found;
    T3_TRY(
        ask(catalogue,
            TEARS_STR("SELECT s.type, (SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main'),"
                      " (SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'),"
                      " (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0), s.sql"
                      " FROM sqlite_schema AS s WHERE s.name = ?1 AND s.type IN ('table', 'view')"),
            &found));
    if (found.row_count == 0)
        return fail_table(catalogue, TEARS_NOT_FOUND, "there is no such table");
    if (t3_str_is(t3_result_text(&found, 0, 0), "view"))
        return fail_table(catalogue, TEARS_INVALID, "a view has no primary key");
    if (t3_result_number(&found, 0, 3) == 0)
        return fail_table(catalogue, TEARS_INVALID, "the table has no primary key");
    facts_out->rowid_key =
        t3_result_number(&found, 0, 1) == 0 && t3_result_number(&found, 0, 2) == 0;
    facts_out->sql = t3_result_text(&found, 0, 4);
    return TEARS_OK;
}

/* ---- enum labels ---- */

/* One 'label' at *at, which moves past it; quotes in it are doubled in SQL.  False: there is none. */
static bool read_label(struct tears_str sql, size_t *at, char *label, size_t *len)
{
    size_t i = *at;
    if (i >= sql.len || sql.ptr[i] != '\'')
        return false;
    for (i++, *len = 0; i < sql.len; i++) {
        if (sql.ptr[i] == '\'' && (i + 1 == sql.len || sql.ptr[i + 1] != '\''))
            break;
        if (sql.ptr[i] == '\'')
            i++;
        label[(*len)++] = sql.ptr[i];
    }
    *at = i + 1;
    return i < sql.len;
}

/* The labels of `'a', 'b')`.  TEARS_OK also when it is written otherwise: then the labels are not known. */
static tears_status read_labels(struct tears_str sql, struct t3_arena *arena,
                                struct tears_column_def *def)
{
    size_t count_max = 1;
    for (size_t i = 0; i < sql.len; i++)
        count_max += sql.ptr[i] == ',' ? 1 : 0;
    struct tears_str *labels = t3_arena_array(arena, count_max, sizeof *labels);
    char *text = t3_arena_array(arena, 1, sql.len + count_max);
    if (labels == NULL || text == NULL)
        return TEARS_NO_MEMORY;
    size_t count = 0;
    size_t at = 0;
    for (size_t len; count < count_max && read_label(sql, &at, text, &len); count++) {
        labels[count] = tears_str_n(text, len);
        text += len + 1; /* the NUL is there already */
        while (at < sql.len && (sql.ptr[at] == ',' || sql.ptr[at] == ' '))
            at++;
    }
    if (at >= sql.len || sql.ptr[at] != ')')
        return TEARS_OK;
    def->enum_values = labels;
    def->enum_value_count = count;
    return TEARS_OK;
}

/* SQLite has no enums: schema/ddl writes the labels as CHECK ("column" IN ('a', 'b')), and here they are found again. */
static tears_status find_labels(struct tears_str table_sql, struct t3_arena *arena,
                                struct tears_column_def *def)
{
    T3_AUTO(t3_buf_done) struct t3_buf start = {0};
    T3_TRY(t3_buf_put(&start, TEARS_STR("CHECK (\"")));
    for (size_t i = 0; i < def->name.len; i++) {
        if (def->name.ptr[i] == '"')
            T3_TRY(t3_buf_put_char(&start, '"'));
        T3_TRY(t3_buf_put_char(&start, def->name.ptr[i]));
    }
    T3_TRY(t3_buf_put(&start, TEARS_STR("\" IN (")));
    for (size_t i = 0; i + start.len <= table_sql.len; i++)
        if (memcmp(table_sql.ptr + i, start.ptr, start.len) == 0)
            return read_labels(t3_str_from(table_sql, i + start.len), arena, def);
    return TEARS_OK;
}

/* ---- columns and key ---- */

enum { COLUMN_NAME, COLUMN_TYPE, COLUMN_NOT_NULL, COLUMN_DEFAULT, COLUMN_KEY, COLUMN_HIDDEN };

static void describe_column(const struct t3_result *info, size_t row, bool rowid_key,
                            struct t3_catalogue_column *column)
{
    const bool in_key = t3_result_number(info, row, COLUMN_KEY) > 0;
    column->def.name = t3_result_text(info, row, COLUMN_NAME);
    column->sql_type = t3_result_text(info, row, COLUMN_TYPE);
    column->def.nullable = t3_result_number(info, row, COLUMN_NOT_NULL) == 0 && !in_key;
    column->def.server_default = t3_result_text(info, row, COLUMN_DEFAULT);
    column->generated = t3_result_number(info, row, COLUMN_HIDDEN) >= 2; /* 2 virtual, 3 stored */
    set_type(&column->def, column->sql_type);
    column->def.immutable = column->def.type == TEARS_TYPE_TSVECTOR; /* the database's own */
    if (in_key && rowid_key)
        column->def.server_default = TEARS_STR("rowid");
}

static tears_status describe_columns(const struct catalogue *catalogue,
                                     const struct table_facts *facts, struct tears_schema_def *def,
                                     struct t3_catalogue_column **columns_out)
{
    struct t3_result info;
    T3_TRY(ask(catalogue,
               TEARS_STR("SELECT name, type, \"notnull\", dflt_value, pk, hidden"
                         " FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid"),
               &info));
    struct t3_arena *arena = catalogue->call->arena;
    struct t3_catalogue_column *columns = t3_arena_array(arena, info.row_count, sizeof *columns);
    struct tears_str *key = t3_arena_array(arena, info.row_count, sizeof *key);
    if (columns == NULL || key == NULL)
        return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
    for (size_t i = 0; i < info.row_count; i++) {
        describe_column(&info, i, facts->rowid_key, &columns[i]);
        if (columns[i].def.type == TEARS_TYPE_ENUM &&
            find_labels(facts->sql, arena, &columns[i].def) != TEARS_OK)
            return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
        const int64_t place = t3_result_number(&info, i, COLUMN_KEY); /* from 1, in key order */
        if (place <= 0 || (uint64_t)place > info.row_count)
            continue;
        key[place - 1] = columns[i].def.name;
        def->primary_key_count++;
    }
    def->column_count = info.row_count;
    def->primary_key = key;
    *columns_out = columns;
    return TEARS_OK;
}

/* ---- foreign keys and indexes: rows of one thing follow each other ---- */

/* How many rows from `row` on have the same value in column 0. */
static size_t run_of(const struct t3_result *result, size_t row)
{
    size_t end = row + 1;
    const struct tears_value value = t3_result_at(result, row, 0);
    while (end < result->row_count) {
        const struct tears_value other = t3_result_at(result, end, 0);
        if (!tears_value_equal(&value, &other))
            break;
        end++;
    }
    return end - row;
}

/* The texts of one column in `count` rows, "" for NULL; NULL without memory. */
static struct tears_str *texts_of(const struct t3_result *result, size_t row, size_t count,
                                  size_t column, struct t3_arena *arena)
{
    struct tears_str *texts = t3_arena_array(arena, count, sizeof *texts);
    if (texts == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        texts[i] = t3_result_text(result, row + i, column);
    return texts;
}

/* The name that a constraint was given; "" when it cannot be told. */
static tears_status name_of(const struct catalogue *catalogue, const struct table_facts *facts,
                            const struct t3_lite_constraint *constraint, struct tears_str *name_out)
{
    const tears_status status =
        t3_l3_lite_constraint_name(facts->sql, constraint, catalogue->call->arena, name_out);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
}

static tears_status describe_foreign_keys(const struct catalogue *catalogue,
                                          const struct table_facts *facts,
                                          struct tears_schema_def *def)
{
    enum { ID, TABLE, FROM, TO, ON_UPDATE, ON_DELETE };
    struct t3_result list;
    T3_TRY(ask(catalogue,
               TEARS_STR("SELECT id, \"table\", \"from\", \"to\", on_update, on_delete"
                         " FROM pragma_foreign_key_list(?1) ORDER BY id, seq"),
               &list));
    struct t3_arena *arena = catalogue->call->arena;
    struct tears_foreign_key_def *keys = t3_arena_array(arena, list.row_count, sizeof *keys);
    if (keys == NULL)
        return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
    for (size_t row = 0; row < list.row_count; row += run_of(&list, row)) {
        const size_t count = run_of(&list, row);
        struct tears_foreign_key_def *key = &keys[def->foreign_key_count++];
        key->references_table = t3_result_text(&list, row, TABLE);
        key->on_update = t3_result_text(&list, row, ON_UPDATE);
        key->on_delete = t3_result_text(&list, row, ON_DELETE);
        key->columns = texts_of(&list, row, count, FROM, arena);
        key->references_columns = texts_of(&list, row, count, TO, arena);
        if (key->columns == NULL || key->references_columns == NULL)
            return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
        key->column_count = count;
        const struct t3_lite_constraint constraint = {"FOREIGN KEY", key->columns, count};
        T3_TRY(name_of(catalogue, facts, &constraint, &key->name));
        /* No column named: the other table's primary key is meant. */
        key->references_column_count = t3_result_text(&list, row, TO).len > 0 ? count : 0;
    }
    def->foreign_keys = keys;
    return TEARS_OK;
}

enum { INDEX_NAME, INDEX_IS_UNIQUE, INDEX_ORIGIN, INDEX_COLUMN, INDEX_IS_PARTIAL, INDEX_SQL };

/* A constraint's index is called by SQLite; the constraint's own name is in the table's text. */
static tears_status describe_unique(const struct catalogue *catalogue,
                                    const struct table_facts *facts, const struct t3_result *list,
                                    size_t row, struct tears_unique_def *unique)
{
    const struct t3_lite_constraint constraint = {"UNIQUE", unique->columns, unique->column_count};
    T3_TRY(name_of(catalogue, facts, &constraint, &unique->name));
    if (unique->name.len == 0)
        unique->name = t3_result_text(list, row, INDEX_NAME);
    return TEARS_OK;
}

static tears_status describe_indexes(const struct catalogue *catalogue,
                                     const struct table_facts *facts, struct tears_schema_def *def)
{
    struct t3_result list;
    T3_TRY(
        ask(catalogue,
            TEARS_STR("SELECT l.name, l.\"unique\", l.origin, i.name, l.partial,"
                      " (SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = l.name)"
                      " FROM pragma_index_list(?1) AS l, pragma_index_info(l.name) AS i"
                      " WHERE l.origin <> 'pk'"
                      " AND NOT EXISTS (SELECT 1 FROM pragma_index_info(l.name) WHERE name IS NULL)"
                      " ORDER BY l.name, i.seqno"),
            &list));
    struct t3_arena *arena = catalogue->call->arena;
    struct tears_index_def *indexes = t3_arena_array(arena, list.row_count, sizeof *indexes);
    struct tears_unique_def *uniques = t3_arena_array(arena, list.row_count, sizeof *uniques);
    if (indexes == NULL || uniques == NULL)
        return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
    for (size_t row = 0; row < list.row_count; row += run_of(&list, row)) {
        const size_t count = run_of(&list, row);
        struct tears_str *columns = texts_of(&list, row, count, INDEX_COLUMN, arena);
        if (columns == NULL)
            return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
        if (t3_str_is(t3_result_text(&list, row, INDEX_ORIGIN), "u")) {
            struct tears_unique_def *unique = &uniques[def->unique_constraint_count++];
            *unique = (struct tears_unique_def){.columns = columns, .column_count = count};
            T3_TRY(describe_unique(catalogue, facts, &list, row, unique));
            continue;
        }
        const struct tears_index_def index = {
            .name = t3_result_text(&list, row, INDEX_NAME),
            .columns = columns,
            .column_count = count,
            .unique = t3_result_number(&list, row, INDEX_IS_UNIQUE) != 0,
            .where = t3_l3_lite_condition(t3_result_text(&list, row, INDEX_SQL))};
        if (t3_result_number(&list, row, INDEX_IS_PARTIAL) == 0 || index.where.len > 0)
            indexes[def->index_count++] = index;
    }
    def->indexes = indexes;
    def->unique_constraints = uniques;
    return TEARS_OK;
}

/* ---- the operations ---- */

static tears_status describe(const struct catalogue *catalogue, struct tears_str version_column,
                             struct tears_schema_def *def, struct tears_schema **schema_out)
{
    struct table_facts facts = {0};
    struct t3_catalogue_column *columns = NULL;
    T3_TRY(check_table(catalogue, &facts));
    T3_TRY(describe_columns(catalogue, &facts, def, &columns));
    T3_TRY(describe_foreign_keys(catalogue, &facts, def));
    T3_TRY(describe_indexes(catalogue, &facts, def));
    struct t3_facts noted;
    if (t3_facts_of_sql(facts.sql, catalogue->call->arena, &noted) != TEARS_OK)
        return t3_fail_memory(catalogue->call->error, L3_LITE_ORIGIN);
    t3_facts_apply(&noted, def, columns, &version_column);
    return t3_schema_from_catalogue(def, columns, version_column, schema_out,
                                    catalogue->call->error);
}

tears_status t3_l3_lite_describe(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str table,
                                 struct tears_str version_column, uint8_t byte_codec,
                                 struct tears_schema **schema_out)
{
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease((struct l3_lite *)l3, call, false, &lease));
    /* The one database that a file has may be named, as PostgreSQL's schemas are. */
    const struct tears_str bare = t3_str_starts(table, "main.") ? t3_str_from(table, 5) : table;
    const struct catalogue catalogue = {.call = call, .conn = lease.conn, .table = bare};
    struct tears_schema_def def = {.name = table, .byte_codec = byte_codec};
    tears_status status;
    if (bare.len == 0)
        status = fail_table(&catalogue, TEARS_NOT_FOUND, "a table's name is not empty");
    else if (memchr(bare.ptr, '.', bare.len) != NULL)
        status = fail_table(&catalogue, TEARS_NOT_FOUND, "an SQLite file has no schemas but main");
    else
        status = describe(&catalogue, version_column, &def, schema_out);
    return t3_l3_lite_release(&lease, status);
}

tears_status t3_l3_lite_tables(struct t3_l3 *l3, struct t3_l3_call *call,
                               struct tears_str **names_out, size_t *count_out)
{
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease((struct l3_lite *)l3, call, false, &lease));
    const struct catalogue catalogue = {.call = call, .conn = lease.conn};
    struct t3_result list = {0};
    tears_status status =
        ask(&catalogue,
            TEARS_STR("SELECT name FROM sqlite_schema WHERE type = 'table'"
                      " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name COLLATE BINARY"),
            &list);
    if (status == TEARS_OK) {
        *names_out = texts_of(&list, 0, list.row_count, 0, call->arena);
        *count_out = list.row_count;
        if (*names_out == NULL)
            status = t3_fail_memory(call->error, L3_LITE_ORIGIN);
    }
    return t3_l3_lite_release(&lease, status);
}
