/*
 * helper_text.c -- the statements of the helpers, made of names and SQL.
 *
 * Owns:     nothing.
 * Must not know: what is in the database.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT, kept in struct t3_words.
 * Begin at: t3_text_add_column().
 *
 * Texts are those of other implementations, byte by byte, wherever a name need not be quoted: "for the default options" of
 * spec data.md section 12.
 */
#include "base/str.h"
#include "data/helper_impl.h"

/* ---- pieces ---- */

void t3_words_done(struct t3_words *words)
{
    t3_buf_done(&words->sql);
}

void t3_words_clear(struct t3_words *words)
{
    t3_buf_clear(&words->sql);
}

void t3_words_put_str(struct t3_words *words, struct tears_str sql)
{
    if (words->status == TEARS_OK)
        words->status = t3_buf_put(&words->sql, sql);
}

void t3_words_put(struct t3_words *words, const char *sql)
{
    t3_words_put_str(words, tears_str_c(sql));
}

/* What is a keyword in a place where a name is expected, in one of the databases. */
static bool is_reserved(struct tears_str name)
{
    static const char words[] = " abort all alter always analyse analyze and any array as asc "
                                "asymmetric attach authorization autoincrement begin "
                                "between binary both by cascade case cast check collate collation "
                                "column commit concurrently conflict constraint "
                                "create cross current current_catalog current_date current_role "
                                "current_schema current_time current_timestamp "
                                "current_user default deferrable deferred delete desc detach "
                                "distinct do drop each else end escape except "
                                "exclude exclusive exists explain fail false fetch filter "
                                "following for foreign freeze from full glob grant group "
                                "groups having if ignore ilike immediate in index indexed "
                                "initially inner insert instead intersect into is "
                                "isnull join key lateral leading left like limit localtime "
                                "localtimestamp match natural no not nothing notnull "
                                "null nulls of offset on only or order others outer over overlaps "
                                "partition placing plan pragma preceding primary "
                                "query raise range recursive references regexp reindex release "
                                "rename replace restrict returning right rollback row "
                                "rows savepoint select session_user set similar some symmetric "
                                "table tablesample temp temporary then ties to "
                                "trailing transaction trigger true unbounded union unique update "
                                "user using vacuum values variadic verbose view "
                                "virtual when where window with without ";
    char padded[T3_HELPER_NAME_BYTES_MAX + 3] = " ";
    if (name.len > T3_HELPER_NAME_BYTES_MAX)
        return false;
    memcpy(padded + 1, name.ptr, name.len);
    padded[name.len + 1] = ' ';
    padded[name.len + 2] = '\0';
    return strstr(words, padded) != NULL;
}

static bool is_plain(struct tears_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0 && !is_reserved(name);
}

/* The text between quotes, those in it doubled. */
static void put_quoted(struct t3_words *words, struct tears_str text, char quote)
{
    const struct tears_str mark = tears_str_n(&quote, 1);
    t3_words_put_str(words, mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == quote)
            t3_words_put_str(words, mark);
        t3_words_put_str(words, tears_str_n(text.ptr + i, 1));
    }
    t3_words_put_str(words, mark);
}

void t3_words_put_name(struct t3_words *words, struct tears_str name)
{
    if (is_plain(name))
        t3_words_put_str(words, name);
    else
        put_quoted(words, name, '"');
}

void t3_words_put_table(struct t3_words *words, struct tears_str schema, struct tears_str table)
{
    if (schema.len > 0) {
        t3_words_put_name(words, schema);
        t3_words_put(words, ".");
    }
    t3_words_put_name(words, table);
}

void t3_words_put_names(struct t3_words *words, const struct tears_str *names, size_t count)
{
    t3_words_put(words, "(");
    for (size_t i = 0; i < count; i++) {
        t3_words_put(words, i > 0 ? ", " : "");
        t3_words_put_name(words, names[i]);
    }
    t3_words_put(words, ")");
}

void t3_words_put_literal(struct t3_words *words, struct tears_str text)
{
    /* Backslashes are characters like others: standard_conforming_strings is on, and SQLite knows no escapes. */
    put_quoted(words, text, '\'');
}

/* ---- columns ---- */

void t3_text_add_column(const struct tears_add_column *add, bool if_not_exists,
                        struct t3_words *out)
{
    t3_words_put(out, "ALTER TABLE ");
    t3_words_put_table(out, add->schema, add->table);
    t3_words_put(out, if_not_exists ? " ADD COLUMN IF NOT EXISTS " : " ADD COLUMN ");
    t3_words_put_name(out, add->column);
    t3_words_put(out, " ");
    t3_words_put_str(out, add->type);
    t3_words_put(out, add->not_null != 0 ? " NOT NULL" : "");
    if (add->default_value.len == 0)
        return;
    t3_words_put(out, " DEFAULT ");
    t3_words_put_str(out, add->default_value);
}

void t3_text_column_predicate(const struct tears_add_column *add, struct t3_words *out)
{
    t3_words_put_str(out, add->predicate.len > 0 ? add->predicate : TEARS_STR("TRUE"));
    if (add->no_guard != 0 || add->default_value.len == 0)
        return;
    t3_words_put(out, " AND ");
    t3_words_put_name(out, add->column);
    t3_words_put(out, " = ");
    t3_words_put_str(out, add->default_value);
}

void t3_text_column_backfill(const struct tears_add_column *add, struct t3_words *out)
{
    t3_words_put(out, "UPDATE ");
    t3_words_put_table(out, add->schema, add->table);
    t3_words_put(out, " SET ");
    t3_words_put_name(out, add->column);
    t3_words_put(out, " = ");
    t3_words_put_str(out, add->backfill);
    t3_words_put(out, " WHERE ");
    t3_text_column_predicate(add, out);
}

/* ---- indexes ---- */

static void put_index_columns(const struct tears_add_index *add, bool classes, struct t3_words *out)
{
    const struct tears_index_def *index = &add->index;
    t3_words_put(out, " (");
    for (size_t i = 0; i < index->column_count; i++) {
        t3_words_put(out, i > 0 ? ", " : "");
        if ((add->flags & TEARS_INDEX_EXPRESSIONS) != 0)
            t3_words_put_str(out, index->columns[i]);
        else
            t3_words_put_name(out, index->columns[i]);
        if (classes && index->opclasses != NULL && index->opclasses[i].len > 0) {
            t3_words_put(out, " ");
            t3_words_put_str(out, index->opclasses[i]);
        }
    }
    t3_words_put(out, ")");
}

static void put_index_details(const struct tears_index_def *index, struct t3_words *out)
{
    if (index->include_count > 0) {
        t3_words_put(out, " INCLUDE ");
        t3_words_put_names(out, index->include, index->include_count);
    }
    for (size_t i = 0; i < index->parameter_count; i++) {
        t3_words_put(out, i > 0 ? ", " : " WITH (");
        t3_words_put_name(out, index->parameters[i].name);
        t3_words_put(out, " = ");
        t3_words_put_str(out, index->parameters[i].value);
    }
    if (index->parameter_count > 0)
        t3_words_put(out, ")");
}

void t3_text_add_index(const struct tears_add_index *add, enum t3_dialect dialect,
                       struct t3_words *out)
{
    const struct tears_index_def *index = &add->index;
    const bool is_postgresql = dialect == T3_DIALECT_POSTGRESQL;
    t3_words_put(out, index->unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ");
    t3_words_put(
        out, is_postgresql && (add->flags & TEARS_INDEX_CONCURRENTLY) != 0 ? "CONCURRENTLY " : "");
    t3_words_put(out, "IF NOT EXISTS ");
    /* PostgreSQL makes an index in its table's schema; SQLite wants the schema before the index. */
    t3_words_put_table(out, is_postgresql ? TEARS_STR("") : add->schema, index->name);
    t3_words_put(out, " ON ");
    t3_words_put_table(out, is_postgresql ? add->schema : TEARS_STR(""), add->table);
    if (is_postgresql && index->using_method.len > 0) {
        t3_words_put(out, " USING ");
        t3_words_put_name(out, index->using_method);
    }
    put_index_columns(add, is_postgresql, out);
    if (is_postgresql)
        put_index_details(index, out);
    if (index->where.len == 0)
        return;
    t3_words_put(out, " WHERE ");
    t3_words_put_str(out, index->where);
}

/* ---- policies ---- */

static bool is_one_of(struct tears_str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (t3_str_equal_nocase(word, tears_str_c(words[i])))
            return true;
    return false;
}

static struct tears_str command_of(const struct tears_policy *policy)
{
    const struct tears_str command = t3_str_trim(policy->command, T3_BLANKS);
    return command.len > 0 ? command : TEARS_STR("ALL");
}

tears_status t3_text_check_policy(const struct tears_policy *policy, struct tears_error *error_out)
{
    static const char *const all[] = {"ALL", "SELECT", "INSERT", "UPDATE", "DELETE"};
    static const char *const writes_nothing[] = {"SELECT", "DELETE"};
    const struct tears_str command = command_of(policy);
    if (!is_one_of(command, all, T3_COUNT(all)))
        return t3_fail_detail(error_out, TEARS_INVALID, T3_HELPER_ORIGIN, TEARS_POLICY_COMMAND, "",
                              "a policy's command is ALL, SELECT, INSERT, UPDATE or DELETE, not "
                              "'" T3_STR_FMT "'",
                              T3_STR_ARG(command));
    if (policy->check.len > 0 && is_one_of(command, writes_nothing, T3_COUNT(writes_nothing)))
        return t3_fail_detail(error_out, TEARS_INVALID, T3_HELPER_ORIGIN, TEARS_POLICY_CHECK, "",
                              "a policy for " T3_STR_FMT " has no check: no row is written",
                              T3_STR_ARG(command));
    return TEARS_OK;
}

void t3_text_policy(const struct tears_policy *policy, struct t3_words *out)
{
    const struct tears_str command = command_of(policy);
    t3_words_put(out, "CREATE POLICY ");
    t3_words_put_name(out, policy->name);
    t3_words_put(out, " ON ");
    t3_words_put_table(out, policy->schema, policy->table);
    t3_words_put(out, policy->restrictive != 0 ? " AS RESTRICTIVE FOR " : " AS PERMISSIVE FOR ");
    for (size_t i = 0; i < command.len; i++) {
        const char upper = (char)(command.ptr[i] & ~0x20);
        t3_words_put_str(out, tears_str_n(&upper, 1));
    }
    if (policy->to_role.len > 0) {
        t3_words_put(out, " TO ");
        t3_words_put_name(out, policy->to_role);
    }
    if (policy->using_expression.len > 0) { /* a policy for INSERT has a check only */
        t3_words_put(out, " USING (");
        t3_words_put_str(out, policy->using_expression);
        t3_words_put(out, ")");
    }
    if (policy->check.len == 0)
        return;
    t3_words_put(out, " WITH CHECK (");
    t3_words_put_str(out, policy->check);
    t3_words_put(out, ")");
}

bool t3_text_is_action(struct tears_str action)
{
    static const char *const actions[] = {"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT",
                                          "NO ACTION"};
    return action.len == 0 || is_one_of(action, actions, T3_COUNT(actions));
}
