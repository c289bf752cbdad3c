/*
 * ddl.c -- CREATE TABLE, CREATE INDEX and CREATE TYPE.
 *
 * Owns:     nothing.
 * Knows:    base/, schema.h.
 * Must not know: libpq, SQLite.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_ddl_create_table().
 */
#include "schema/ddl.h"

#include "base/str.h"
#include "schema/facts.h"
#include "schema/schema_impl.h"

/* What the writers below share; the first failure stays, as in the pen of dml_impl.h. */
struct writer {
    const struct tears_schema *schema;
    enum t3_dialect dialect;
    struct t3_buf *out;
    tears_status status;
};

static void put(struct writer *writer, const char *text)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_buf_put(writer->out, tears_str_c(text));
}

static void put_str(struct writer *writer, struct tears_str text)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_buf_put(writer->out, text);
}

static void put_number(struct writer *writer, uint32_t number)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_buf_printf(writer->out, "%u", number);
}

static void put_name(struct writer *writer, struct tears_str name)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_put_identifier(writer->out, name);
}

static void put_table(struct writer *writer, struct tears_str name)
{
    if (writer->status == TEARS_OK)
        writer->status = t3_put_table_name(writer->out, name);
}

static void put_literal(struct writer *writer, struct tears_str text)
{
    put(writer, "'");
    for (size_t i = 0; i < text.len; i++) {
        put_str(writer, tears_str_n(text.ptr + i, 1));
        if (text.ptr[i] == '\'')
            put(writer, "'");
    }
    put(writer, "'");
}

static void put_names(struct writer *writer, const struct tears_str *names, size_t count)
{
    put(writer, "(");
    for (size_t i = 0; i < count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_name(writer, names[i]);
    }
    put(writer, ")");
}

static void put_labels(struct writer *writer, const struct t3_column *column)
{
    put(writer, "(");
    for (uint32_t i = 0; i < column->enum_value_count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_literal(writer, column->enum_values[i]);
    }
    put(writer, ")");
}

/* ---- types ------------------------------------------------------------------------------------
 */

struct type_names {
    const char *postgresql;
    const char *sqlite;
};

static const struct type_names type_names[] = {
    [TEARS_TYPE_UUID] = {"UUID", "TEXT_UUID"},
    [TEARS_TYPE_STRING] = {"TEXT", "TEXT"},
    [TEARS_TYPE_ENUM] = {"", "TEXT_ENUM"},
    [TEARS_TYPE_NUMERIC] = {"NUMERIC", "TEXT_NUMERIC"},
    [TEARS_TYPE_TSVECTOR] = {"TSVECTOR", "TEXT_TSVECTOR"},
    [TEARS_TYPE_TIMESTAMPTZ] = {"TIMESTAMPTZ", "TEXT_DATETIME"},
    [TEARS_TYPE_JSONB] = {"JSONB", "TEXT_JSON"},
    [TEARS_TYPE_BYTES] = {"BYTEA", "BLOB"},
    [TEARS_TYPE_INT] = {"INTEGER", "INTEGER"},
    [TEARS_TYPE_BIGINT] = {"BIGINT", "BIGINT"},
    [TEARS_TYPE_BOOL] = {"BOOLEAN", "INTEGER_BOOL"},
    [TEARS_TYPE_VECTOR] = {"VECTOR", "TEXT_VECTOR"},
    [TEARS_TYPE_DOUBLE] = {"DOUBLE PRECISION", "REAL"},
};

static void put_type(struct writer *writer, const struct t3_column *column)
{
    const bool is_postgresql = writer->dialect == T3_DIALECT_POSTGRESQL;
    if (is_postgresql && column->sql_type.len > 0) {
        put_str(writer, column->sql_type); /* as the catalogue of another database has it */
        return;
    }
    if (is_postgresql && column->type == TEARS_TYPE_ENUM) {
        put_name(writer, column->enum_name);
        return;
    }
    put(writer,
        is_postgresql ? type_names[column->type].postgresql : type_names[column->type].sqlite);
    if (column->type == TEARS_TYPE_NUMERIC && column->precision > 0) {
        put(writer, "(");
        put_number(writer, column->precision);
        put(writer, ",");
        put_number(writer, column->scale);
        put(writer, ")");
    } else if (column->type == TEARS_TYPE_VECTOR && column->vector_dim > 0) {
        put(writer, "(");
        put_number(writer, column->vector_dim);
        put(writer, ")");
    }
}

/* ---- defaults ---------------------------------------------------------------------------------
 */

/* PostgreSQL's common expressions, in SQLite's words.  The time has milliseconds, in the form that
 * dml.h fixes. */
static const struct {
    const char *postgresql;
    const char *sqlite;
} expressions[] = {
    {"now()", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"},
    {"clock_timestamp()", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"},
    {"statement_timestamp()", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"},
    {"transaction_timestamp()", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"},
    {"current_timestamp", "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')"},
    {"gen_random_uuid()",
     "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || "
     "substr(hex(randomblob(2)), 2) || '-' || substr('89ab', 1 + (abs(random()) % 4), 1) || "
     "substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"},
};

/* `'text'::type` without its cast: SQLite has no such syntax, and the column's affinity does the
 * same. */
static struct tears_str without_cast(struct tears_str expression)
{
    if (expression.len == 0 || expression.ptr[0] != '\'')
        return expression;
    for (size_t i = 1; i + 2 < expression.len; i++) {
        if (expression.ptr[i] != '\'')
            continue;
        if (expression.ptr[i + 1] != '\'')
            return expression.ptr[i + 1] == ':' && expression.ptr[i + 2] == ':'
                       ? tears_str_n(expression.ptr, i + 1)
                       : expression;
        i++; /* a quote inside the text, doubled */
    }
    return expression;
}

static void put_default(struct writer *writer, const struct t3_column *column)
{
    struct tears_str expression = column->server_default;
    if (expression.len == 0)
        return;
    put(writer, " DEFAULT ");
    if (writer->dialect == T3_DIALECT_POSTGRESQL) {
        put_str(writer, expression);
        return;
    }
    expression = without_cast(expression);
    for (size_t i = 0; i < T3_COUNT(expressions); i++)
        if (t3_str_equal_nocase(expression, tears_str_c(expressions[i].postgresql)))
            expression = tears_str_c(expressions[i].sqlite);
    put(writer, "(");
    put_str(writer, expression);
    put(writer, ")");
}

/* ---- the table --------------------------------------------------------------------------------
 */

static void put_column(struct writer *writer, const struct t3_column *column)
{
    put_name(writer, column->name);
    put(writer, " ");
    put_type(writer, column);
    if (column->primary || !column->nullable)
        put(writer, " NOT NULL");
    put_default(writer, column);
    if (writer->dialect == T3_DIALECT_SQLITE && column->enum_value_count > 0) {
        put(writer, " CHECK (");
        put_name(writer, column->name);
        put(writer, " IN ");
        put_labels(writer, column);
        put(writer, ")");
    }
    if (column->references_table.len > 0) {
        put(writer, " REFERENCES ");
        put_table(writer, column->references_table);
        put(writer, " ");
        put_names(writer, &column->references_column, 1);
    }
}

static void put_primary_key(struct writer *writer)
{
    put(writer, ",\n    PRIMARY KEY (");
    for (uint32_t i = 0; i < writer->schema->key_count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_name(writer, writer->schema->columns[writer->schema->key[i]].name);
    }
    put(writer, ")");
}

static void put_constraint_name(struct writer *writer, struct tears_str name)
{
    put(writer, ",\n    ");
    if (name.len == 0)
        return;
    put(writer, "CONSTRAINT ");
    put_name(writer, name);
    put(writer, " ");
}

static void put_action(struct writer *writer, const char *event, struct tears_str action)
{
    if (action.len == 0 || t3_str_is(action, "NO ACTION"))
        return;
    put(writer, event);
    put_str(writer, action); /* one of four words: schema_check.c */
}

static void put_foreign_key(struct writer *writer, const struct tears_foreign_key_def *key)
{
    put_constraint_name(writer, key->name);
    put(writer, "FOREIGN KEY ");
    put_names(writer, key->columns, key->column_count);
    put(writer, " REFERENCES ");
    put_table(writer, key->references_table);
    put(writer, " ");
    put_names(writer, key->references_columns, key->references_column_count);
    put_action(writer, " ON DELETE ", key->on_delete);
    put_action(writer, " ON UPDATE ", key->on_update);
}

/* `comment`: facts that SQLite keeps in the text; "" none. */
static tears_status create_table(const struct tears_schema *schema, enum t3_dialect dialect,
                                 struct tears_str comment, struct t3_buf *out)
{
    struct writer writer = {schema, dialect, out, TEARS_OK};
    put(&writer, "CREATE TABLE IF NOT EXISTS ");
    put_str(&writer, schema->sql_name);
    put(&writer, comment.len > 0 ? " ( /* " : " (");
    put_str(&writer, comment);
    put(&writer, comment.len > 0 ? " */" : "");
    for (uint32_t i = 0; i < schema->column_count; i++) {
        put(&writer, i > 0 ? ",\n    " : "\n    ");
        put_column(&writer, &schema->columns[i]);
    }
    put_primary_key(&writer);
    for (size_t i = 0; i < schema->unique_constraint_count; i++) {
        put_constraint_name(&writer, schema->unique_constraints[i].name);
        put(&writer, "UNIQUE ");
        put_names(&writer, schema->unique_constraints[i].columns,
                  schema->unique_constraints[i].column_count);
    }
    for (size_t i = 0; i < schema->foreign_key_count; i++)
        put_foreign_key(&writer, &schema->foreign_keys[i]);
    put(&writer, "\n)");
    return writer.status;
}

tears_status t3_ddl_create_table(const struct tears_schema *schema, enum t3_dialect dialect,
                                 struct t3_buf *out)
{
    return create_table(schema, dialect, TEARS_STR(""), out);
}

/* The columns of an index, each with its operator class. */
static void put_index_columns(struct writer *writer, const struct tears_index_def *index)
{
    put(writer, "(");
    for (size_t i = 0; i < index->column_count; i++) {
        put(writer, i > 0 ? ", " : "");
        put_name(writer, index->columns[i]);
        if (index->opclasses == NULL || index->opclasses[i].len == 0 ||
            writer->dialect != T3_DIALECT_POSTGRESQL)
            continue;
        put(writer, " ");
        put_table(writer, index->opclasses[i]); /* it may be in another schema, as a table may */
    }
    put(writer, ")");
}

/* What only PostgreSQL has, between the columns and the condition. */
static void put_index_extras(struct writer *writer, const struct tears_index_def *index)
{
    if (index->include_count > 0) {
        put(writer, " INCLUDE ");
        put_names(writer, index->include, index->include_count);
    }
    for (size_t i = 0; i < index->parameter_count; i++) {
        put(writer, i > 0 ? ", " : " WITH (");
        put_name(writer, index->parameters[i].name);
        put(writer, " = ");
        put_literal(writer, index->parameters[i].value);
    }
    put(writer, index->parameter_count > 0 ? ")" : "");
}

tears_status t3_ddl_create_index(const struct tears_schema *schema, enum t3_dialect dialect,
                                 size_t at, struct t3_buf *out)
{
    const struct tears_index_def *index = &schema->indexes[at];
    struct writer writer = {schema, dialect, out, TEARS_OK};
    put(&writer,
        index->unique ? "CREATE UNIQUE INDEX IF NOT EXISTS " : "CREATE INDEX IF NOT EXISTS ");
    put_name(&writer, index->name);
    put(&writer, " ON ");
    put_str(&writer, schema->sql_name);
    if (dialect == T3_DIALECT_POSTGRESQL && index->using_method.len > 0) {
        put(&writer, " USING ");
        put_name(&writer, index->using_method);
    }
    put(&writer, " ");
    put_index_columns(&writer, index);
    if (dialect == T3_DIALECT_POSTGRESQL)
        put_index_extras(&writer, index);
    if (index->where.len > 0) {
        put(&writer, " WHERE ");
        put_str(&writer, index->where);
    }
    return writer.status;
}

/* ---- enum types -------------------------------------------------------------------------------
 */

static bool contains(struct tears_str text, struct tears_str part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (memcmp(text.ptr + i, part.ptr, part.len) == 0)
            return true;
    return false;
}

/* A dollar quote that does not occur in the body: a label may contain any text, `$$` among it. */
static tears_status choose_dollar_quote(struct tears_str body, struct t3_buf *quote)
{
    for (unsigned i = 0;; i++) {
        t3_buf_clear(quote);
        T3_TRY(t3_buf_printf(quote, "$tears%u$", i));
        if (!contains(body, t3_buf_str(quote)))
            return TEARS_OK;
    }
}

tears_status t3_ddl_create_enum(const struct t3_column *column, struct t3_buf *out)
{
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    T3_AUTO(t3_buf_done) struct t3_buf quote = {0};
    struct writer writer = {NULL, T3_DIALECT_POSTGRESQL, &body, TEARS_OK};
    put(&writer, " BEGIN CREATE TYPE ");
    put_name(&writer, column->enum_name);
    put(&writer, " AS ENUM ");
    put_labels(&writer, column);
    put(&writer, "; EXCEPTION WHEN duplicate_object THEN NULL; END ");
    T3_TRY(writer.status);
    T3_TRY(choose_dollar_quote(t3_buf_str(&body), &quote));
    T3_TRY(t3_buf_put(out, TEARS_STR("DO ")));
    T3_TRY(t3_buf_put(out, t3_buf_str(&quote)));
    T3_TRY(t3_buf_put(out, t3_buf_str(&body)));
    return t3_buf_put(out, t3_buf_str(&quote));
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

/* The statements as they are made; each is cut off from the buffer and kept. */
struct list {
    struct t3_arena *arena;
    struct t3_buf text;
    struct tears_str *statements;
    size_t count;
};

static tears_status keep(struct list *list)
{
    T3_TRY(t3_arena_str(list->arena, t3_buf_str(&list->text), &list->statements[list->count]));
    list->count++;
    t3_buf_clear(&list->text);
    return TEARS_OK;
}

static tears_status add_enums(const struct tears_schema *schema, struct list *list)
{
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_column *column = &schema->columns[i];
        if (column->type != TEARS_TYPE_ENUM || column->sql_type.len > 0)
            continue; /* a type of the catalogue's is there already */
        T3_TRY(t3_ddl_create_enum(column, &list->text));
        T3_TRY(keep(list));
    }
    return TEARS_OK;
}

static tears_status add_comment(const struct tears_schema *schema, struct tears_str facts,
                                struct list *list)
{
    struct writer writer = {schema, T3_DIALECT_POSTGRESQL, &list->text, TEARS_OK};
    put(&writer, "COMMENT ON TABLE ");
    put_str(&writer, schema->sql_name);
    put(&writer, " IS ");
    put_literal(&writer, facts);
    T3_TRY(writer.status);
    return keep(list);
}

static tears_status add_all(const struct tears_schema *schema, enum t3_dialect dialect,
                            struct list *list)
{
    const bool is_postgresql = dialect == T3_DIALECT_POSTGRESQL;
    T3_AUTO(t3_buf_done) struct t3_buf facts = {0};
    if (t3_facts_are_needed(schema))
        T3_TRY(t3_facts_put(schema, &facts));
    if (is_postgresql)
        T3_TRY(add_enums(schema, list));
    T3_TRY(create_table(schema, dialect, is_postgresql ? TEARS_STR("") : t3_buf_str(&facts),
                        &list->text));
    T3_TRY(keep(list));
    if (is_postgresql && facts.len > 0)
        T3_TRY(add_comment(schema, t3_buf_str(&facts), list));
    for (size_t i = 0; i < schema->index_count; i++) {
        T3_TRY(t3_ddl_create_index(schema, dialect, i, &list->text));
        T3_TRY(keep(list));
    }
    return TEARS_OK;
}

tears_status t3_ddl_statements(const struct tears_schema *schema, enum t3_dialect dialect,
                               struct t3_arena *arena, const struct tears_str **statements_out,
                               size_t *count_out)
{
    struct list list = {.arena = arena};
    const size_t most = schema->column_count + schema->index_count + 2;
    list.statements = t3_arena_array(arena, most, sizeof *list.statements);
    const tears_status status =
        list.statements != NULL ? add_all(schema, dialect, &list) : TEARS_NO_MEMORY;
    t3_buf_done(&list.text);
    if (status == TEARS_OK) {
        *statements_out = list.statements;
        *count_out = list.count;
    }
    return status;
}
