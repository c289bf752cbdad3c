/*
 * drift_text.c -- CREATE TABLE and ALTER TABLE ... COLUMN read as text, and compared with what is there.
 *
 * Owns:     nothing; everything made is in the caller's arena.
 * Knows:    base/, drift_type.h.
 * Must not know: connections.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_text_read(), t3_text_compare().
 */
#include "data/drift_text.h"

#include "base/str.h"
#include "data/drift_type.h"

/* ---- tables ----------------------------------------------------------------------------------- */

static struct t3_text_table *find_table(const struct t3_text_tables *tables, struct tears_str name)
{
    for (size_t i = 0; i < tables->count; i++)
        if (t3_str_equal(tables->tables[i].name, name))
            return &tables->tables[i];
    return NULL;
}

static const struct t3_text_column *find_column(const struct t3_text_table *table,
                                                struct tears_str name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (t3_str_equal(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}

struct t3_text_table *t3_text_table(struct t3_text_tables *tables, struct tears_str name)
{
    struct t3_text_table *table = find_table(tables, name);

    if (table != NULL)
        return table;
    if (tables->count == tables->capacity) {
        const size_t capacity = tables->capacity > 0 ? tables->capacity * 2 : 8;
        struct t3_text_table *grown = t3_arena_array(tables->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return NULL;
        if (tables->count > 0)
            memcpy(grown, tables->tables, tables->count * sizeof *grown);
        tables->tables = grown;
        tables->capacity = capacity;
    }
    table = &tables->tables[tables->count];
    *table = (struct t3_text_table){0};
    if (t3_arena_str(tables->arena, name, &table->name) != TEARS_OK)
        return NULL;
    tables->count++;
    return table;
}

tears_status t3_text_column(struct t3_text_tables *tables, struct t3_text_table *table,
                            struct tears_str name, struct tears_str type)
{
    T3_AUTO(t3_buf_done) struct t3_buf normalised = {0};
    struct t3_text_column column = {0};

    T3_TRY(t3_drift_put_type(&normalised, type));
    T3_TRY(t3_arena_str(tables->arena, name, &column.name));
    T3_TRY(t3_arena_str(tables->arena, t3_buf_str(&normalised), &column.type));
    for (size_t i = 0; i < table->column_count; i++) {
        if (t3_str_equal(table->columns[i].name, name)) {
            table->columns[i] = column;
            return TEARS_OK;
        }
    }
    if (table->column_count == table->column_capacity) {
        const size_t capacity = table->column_capacity > 0 ? table->column_capacity * 2 : 8;
        struct t3_text_column *grown = t3_arena_array(tables->arena, capacity, sizeof *grown);
        if (grown == NULL)
            return TEARS_NO_MEMORY;
        if (table->column_count > 0)
            memcpy(grown, table->columns, table->column_count * sizeof *grown);
        table->columns = grown;
        table->column_capacity = capacity;
    }
    table->columns[table->column_count++] = column;
    return TEARS_OK;
}

static void drop_column(struct t3_text_table *table, struct tears_str name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (!t3_str_equal(table->columns[i].name, name))
            continue;
        table->column_count--;
        memmove(&table->columns[i], &table->columns[i + 1],
                (table->column_count - i) * sizeof table->columns[0]);
        return;
    }
}

/* ---- words ------------------------------------------------------------------------------------ */

struct cursor {
    struct tears_str text;
    size_t at;
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct tears_str rest(const struct cursor *cursor)
{
    return t3_str_from(cursor->text, cursor->at);
}

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->text.len && is_blank(cursor->text.ptr[cursor->at]))
        cursor->at++;
}

/* The word at the start of `text`; empty when there is none. */
static struct tears_str first_word(struct tears_str text)
{
    size_t len = 0;

    while (len < text.len && is_word_char(text.ptr[len]))
        len++;
    return tears_str_n(text.ptr, len);
}

/* Takes all of the words, or nothing. */
static bool take_words(struct cursor *cursor, const char *const *words)
{
    struct cursor ahead = *cursor;

    for (; *words != NULL; words++) {
        skip_blanks(&ahead);
        const struct tears_str word = first_word(rest(&ahead));
        if (!t3_str_equal_nocase(word, tears_str_c(*words)))
            return false;
        ahead.at += word.len;
    }
    *cursor = ahead;
    return true;
}

#define TAKE(cursor, ...) take_words((cursor), (const char *const[]){__VA_ARGS__, NULL})

static bool take_char(struct cursor *cursor, char c)
{
    skip_blanks(cursor);
    if (cursor->at == cursor->text.len || cursor->text.ptr[cursor->at] != c)
        return false;
    cursor->at++;
    return true;
}

/* An identifier, without its quotes. */
static bool take_name(struct cursor *cursor, struct tears_str *name_out)
{
    if (take_char(cursor, '"')) {
        const struct tears_str text = rest(cursor);
        size_t len = 0;
        while (len < text.len && text.ptr[len] != '"')
            len++;
        if (len == 0 || len == text.len)
            return false;
        *name_out = tears_str_n(text.ptr, len);
        cursor->at += len + 1;
        return true;
    }
    const struct tears_str word = first_word(rest(cursor));
    if (word.len == 0 || !is_letter(word.ptr[0]))
        return false;
    *name_out = word;
    cursor->at += word.len;
    return true;
}

struct reference {
    struct tears_str schema; /* ptr NULL: none */
    struct tears_str table;
};

static bool take_reference(struct cursor *cursor, struct reference *reference_out)
{
    struct reference reference = {0};

    if (!take_name(cursor, &reference.table))
        return false;
    if (take_char(cursor, '.')) {
        reference.schema = reference.table;
        if (!take_name(cursor, &reference.table))
            return false;
    }
    *reference_out = reference;
    return true;
}

/* ---- statements ------------------------------------------------------------------------------- */

/* What ends a type: a word behind a blank. */
static bool ends_type(struct tears_str word)
{
    static const char *const words[] = {"NOT",   "DEFAULT", "REFERENCES", "UNIQUE",
                                        "CHECK", "PRIMARY", "COLLATE"};

    for (size_t i = 0; i < T3_COUNT(words); i++)
        if (t3_str_equal_nocase(word, tears_str_c(words[i])))
            return true;
    return false;
}

/* The type that a column's definition begins with; all of it when a character occurs that types do not have. */
static struct tears_str type_of(struct tears_str definition)
{
    const struct tears_str text = t3_str_trim(definition, T3_BLANKS);

    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (!is_word_char(c) && !is_blank(c) && c != ',' && c != '(' && c != ')')
            return text;
        if (is_blank(c) && i + 1 < text.len && ends_type(first_word(t3_str_from(text, i + 1))))
            return t3_str_trim(tears_str_n(text.ptr, i), T3_BLANKS);
    }
    return text;
}

static bool is_table_constraint(struct tears_str clause)
{
    static const char *const words[] = {"PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT"};
    const struct tears_str word = first_word(clause);

    /* The reference looks for the word and a blank: `UNIQUE(a)` is a column to it. */
    for (size_t i = 0; i < T3_COUNT(words); i++)
        if (t3_str_equal_nocase(word, tears_str_c(words[i])))
            return word.len == clause.len || clause.ptr[word.len] == ' ';
    return false;
}

static tears_status read_clause(struct t3_text_tables *tables, struct t3_text_table *table,
                                struct tears_str clause_text)
{
    struct cursor clause = {.text = t3_str_trim(clause_text, T3_BLANKS)};
    struct tears_str name;

    if (is_table_constraint(clause.text) || !take_name(&clause, &name) ||
        clause.at == clause.text.len)
        return TEARS_OK;
    return t3_text_column(tables, table, name, type_of(rest(&clause)));
}

static tears_status read_body(struct t3_text_tables *tables, struct t3_text_table *table,
                              struct tears_str body)
{
    size_t start = 0;
    size_t depth = 0;

    for (size_t i = 0; i <= body.len; i++) {
        const char c = i < body.len ? body.ptr[i] : ',';
        if (c == '(')
            depth++;
        else if (c == ')' && depth > 0)
            depth--;
        if (i < body.len && (c != ',' || depth > 0))
            continue;
        T3_TRY(read_clause(tables, table, tears_str_n(body.ptr + start, i - start)));
        start = i + 1;
    }
    return TEARS_OK;
}

static tears_status read_create(struct t3_text_tables *tables, struct cursor *cursor)
{
    struct reference reference;

    (void)TAKE(cursor, "IF", "NOT", "EXISTS");
    if (!take_reference(cursor, &reference) || !take_char(cursor, '('))
        return TEARS_OK;
    const struct tears_str body = rest(cursor);
    if (body.len == 0 || body.ptr[body.len - 1] != ')')
        return TEARS_OK;
    struct t3_text_table *table = t3_text_table(tables, reference.table);
    if (table == NULL)
        return TEARS_NO_MEMORY;
    table->column_count = 0;
    table->schema = (struct tears_str){0};
    if (reference.schema.ptr != NULL)
        T3_TRY(t3_arena_str(tables->arena, reference.schema, &table->schema));
    return read_body(tables, table, tears_str_n(body.ptr, body.len - 1));
}

static tears_status read_add(struct t3_text_tables *tables, struct tears_str table_name,
                             struct cursor *cursor)
{
    struct tears_str column;

    (void)TAKE(cursor, "IF", "NOT", "EXISTS");
    if (!take_name(cursor, &column))
        return TEARS_OK;
    struct t3_text_table *table = t3_text_table(tables, table_name);
    if (table == NULL)
        return TEARS_NO_MEMORY;
    return t3_text_column(tables, table, column, type_of(rest(cursor)));
}

static tears_status read_alter(struct t3_text_tables *tables, struct cursor *cursor)
{
    struct reference reference;
    struct tears_str column;

    (void)TAKE(cursor, "IF", "EXISTS");
    if (!take_reference(cursor, &reference))
        return TEARS_OK;
    if (TAKE(cursor, "ADD", "COLUMN"))
        return read_add(tables, reference.table, cursor);
    if (!TAKE(cursor, "DROP", "COLUMN"))
        return TEARS_OK;
    (void)TAKE(cursor, "IF", "EXISTS");
    struct t3_text_table *table = find_table(tables, reference.table);
    if (table != NULL && take_name(cursor, &column))
        drop_column(table, column);
    return TEARS_OK;
}

tears_status t3_text_read(struct t3_text_tables *tables, struct tears_str statement)
{
    struct cursor cursor = {.text = t3_str_trim(t3_str_trim(statement, T3_BLANKS), ";")};

    cursor.text = t3_str_trim(cursor.text, T3_BLANKS);
    if (TAKE(&cursor, "CREATE", "TABLE"))
        return read_create(tables, &cursor);
    if (TAKE(&cursor, "ALTER", "TABLE"))
        return read_alter(tables, &cursor);
    return TEARS_OK;
}

/* ---- comparing -------------------------------------------------------------------------------- */

static bool is_expected(const struct t3_text_table *table, struct tears_str current_schema)
{
    return current_schema.ptr == NULL || table->schema.ptr == NULL ||
           t3_str_equal(table->schema, current_schema);
}

static tears_status compare_columns(const struct t3_text_table *expected,
                                    const struct t3_text_table *live, struct t3_drift_list *list)
{
    struct tears_drift_finding finding = {.object = TEARS_DRIFT_OBJECT_COLUMN,
                                          .table = expected->name};

    for (size_t i = 0; i < expected->column_count; i++) {
        const struct t3_text_column *found = find_column(live, expected->columns[i].name);
        finding.name = expected->columns[i].name;
        finding.expected = expected->columns[i].type;
        finding.actual = found != NULL ? found->type : TEARS_STR("");
        finding.difference = found == NULL ? TEARS_DRIFT_MISSING : TEARS_DRIFT_TYPE;
        if (found == NULL || !t3_str_equal(found->type, finding.expected))
            T3_TRY(t3_drift_add(list, &finding));
    }
    for (size_t i = 0; i < live->column_count; i++) {
        finding.name = live->columns[i].name;
        finding.expected = TEARS_STR("");
        finding.actual = live->columns[i].type;
        finding.difference = TEARS_DRIFT_EXTRA;
        if (find_column(expected, finding.name) == NULL)
            T3_TRY(t3_drift_add(list, &finding));
    }
    return TEARS_OK;
}

static tears_status add_table(struct t3_drift_list *list, const struct t3_text_table *table,
                              uint64_t difference)
{
    const struct tears_drift_finding finding = {.difference = difference,
                                                .object = TEARS_DRIFT_OBJECT_TABLE,
                                                .table = table->name,
                                                .name = table->name,
                                                .expected = TEARS_STR(""),
                                                .actual = TEARS_STR("")};
    return t3_drift_add(list, &finding);
}

tears_status t3_text_compare(const struct t3_text_tables *expected,
                             const struct t3_text_tables *live, struct tears_str current_schema,
                             struct t3_drift_list *list)
{
    for (size_t i = 0; i < expected->count; i++) {
        const struct t3_text_table *table = &expected->tables[i];
        const struct t3_text_table *found = find_table(live, table->name);
        if (!is_expected(table, current_schema))
            continue;
        T3_TRY(found != NULL ? compare_columns(table, found, list)
                             : add_table(list, table, TEARS_DRIFT_MISSING));
    }
    for (size_t i = 0; i < live->count; i++) {
        const struct t3_text_table *table = find_table(expected, live->tables[i].name);
        if (table == NULL || !is_expected(table, current_schema))
            T3_TRY(add_table(list, &live->tables[i], TEARS_DRIFT_EXTRA));
    }
    t3_drift_sort(list);
    return TEARS_OK;
}
