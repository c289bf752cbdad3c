/*
 * random_table.c -- declarations of tables by chance.
 *
 * Begin at: test_random_table().
 */
#include "support/random_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 16, INDEXES_MAX = 4, NAME_BYTES = 64 };

/* A declaration that grows; everything is the arena's. */
struct draft {
    struct test_chance *chance;
    const struct test_random_table *wanted;
    struct t3_arena *arena;
    struct tears_schema_def *def;
    struct tears_column_def *columns;
    size_t column_count;
    struct tears_str *key;
    size_t key_count;
};

static void *room(struct draft *draft, size_t count, size_t bytes)
{
    void *memory = t3_arena_array(draft->arena, count, bytes);
    if (memory == NULL)
        abort();
    return memory;
}

uint64_t test_chance_below(struct test_chance *chance, uint64_t limit)
{
    /* splitmix64 */
    uint64_t z = (chance->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

static bool one_in(struct draft *draft, uint64_t n)
{
    return test_chance_below(draft->chance, n) == 0;
}

static struct tears_str name_of(struct draft *draft, const char *what, size_t number)
{
    char *text = room(draft, 1, NAME_BYTES);
    (void)snprintf(text, NAME_BYTES, "%s%zu", what, number);
    return tears_str_c(text);
}

static struct tears_str own_name(struct draft *draft, const char *what, size_t number)
{
    char *text = room(draft, 1, NAME_BYTES);
    (void)snprintf(text, NAME_BYTES, "%s_%s%zu", draft->wanted->name, what, number);
    return tears_str_c(text);
}

/* ---- columns --------------------------------------------------------------------------------- */

static const struct tears_str labels[] = {
    {"calm", 4}, {"it's", 4}, {"two words", 9}, {"a,b", 3}, {"", 0}};

static const char *const defaults[][3] = {
    [TEARS_TYPE_UUID] = {"gen_random_uuid()", NULL, NULL},
    [TEARS_TYPE_STRING] = {"'x'", "'it''s, \"so\"'", "''"},
    [TEARS_TYPE_ENUM] = {"'calm'", NULL, NULL},
    [TEARS_TYPE_NUMERIC] = {"0", "12.50", "-1"},
    [TEARS_TYPE_TIMESTAMPTZ] = {"now()", NULL, NULL},
    [TEARS_TYPE_JSONB] = {"'{}'", "'{\"a\": [1, 2]}'", NULL},
    [TEARS_TYPE_BYTES] = {NULL, NULL, NULL},
    [TEARS_TYPE_INT] = {"0", "-7", "1 + 2"},
    [TEARS_TYPE_BIGINT] = {"0", "9007199254740993", NULL},
    [TEARS_TYPE_BOOL] = {"false", "true", NULL},
    [TEARS_TYPE_DOUBLE] = {"0.5", "-1", NULL},
    [TEARS_TYPE_VECTOR] = {NULL, NULL, NULL},
};

static void complete(struct draft *draft, struct tears_column_def *column)
{
    if (column->type == TEARS_TYPE_NUMERIC) {
        column->precision = 1 + test_chance_below(draft->chance, 30);
        column->scale = test_chance_below(draft->chance, column->precision + 1);
        column->has_scale = true;
    } else if (column->type == TEARS_TYPE_ENUM) {
        column->enum_name = own_name(draft, "mood", draft->column_count);
        column->enum_values = labels;
        column->enum_value_count = 1 + test_chance_below(draft->chance, 4);
    } else if (column->type == TEARS_TYPE_VECTOR) {
        column->vector_dim = 1 + test_chance_below(draft->chance, 64);
    } else if (column->type == TEARS_TYPE_TSVECTOR) {
        column->immutable = true;
    }
    if (column->type == TEARS_TYPE_TSVECTOR || one_in(draft, 2))
        return;
    const char *expression = defaults[column->type][test_chance_below(draft->chance, 3)];
    column->server_default = tears_str_c(expression);
}

static struct tears_column_def *add_column(struct draft *draft, uint64_t type)
{
    struct tears_column_def *column = &draft->columns[draft->column_count];
    memset(column, 0, sizeof *column);
    column->name = name_of(draft, "c", draft->column_count);
    column->type = type;
    complete(draft, column);
    draft->column_count++;
    return column;
}

static void add_keys(struct draft *draft)
{
    static const uint64_t types[] = {TEARS_TYPE_UUID, TEARS_TYPE_STRING, TEARS_TYPE_INT,
                                     TEARS_TYPE_BIGINT, TEARS_TYPE_TIMESTAMPTZ};
    const size_t count = 1 + test_chance_below(draft->chance, 4);
    for (size_t i = 0; i < count; i++) {
        const uint64_t at = test_chance_below(draft->chance, sizeof types / sizeof types[0]);
        draft->key[draft->key_count++] = add_column(draft, types[at])->name;
    }
    if (one_in(draft, 3))
        draft->columns[test_chance_below(draft->chance, count)].partition = true;
    for (size_t i = count; i > 1; i--) { /* the key's order is not the columns' */
        const size_t other = test_chance_below(draft->chance, i);
        const struct tears_str kept = draft->key[i - 1];
        draft->key[i - 1] = draft->key[other];
        draft->key[other] = kept;
    }
}

static void add_others(struct draft *draft)
{
    const size_t count = test_chance_below(draft->chance, 10);
    for (size_t i = 0; i < count; i++) {
        uint64_t type = 1 + test_chance_below(draft->chance, TEARS_TYPE_DOUBLE);
        if (type == TEARS_TYPE_VECTOR && !draft->wanted->has_vectors)
            type = TEARS_TYPE_JSONB;
        struct tears_column_def *column = add_column(draft, type);
        column->nullable = !one_in(draft, 3);
        column->immutable = column->immutable || one_in(draft, 6);
    }
}

static void add_version(struct draft *draft)
{
    static const char *const names[] = {"row_version", "rev", "date_updated"};
    const uint64_t kind = test_chance_below(draft->chance, 4);
    if (kind == 3)
        return;
    struct tears_column_def *column = &draft->columns[draft->column_count++];
    memset(column, 0, sizeof *column);
    column->name = tears_str_c(names[kind]);
    column->type = kind == 2 ? TEARS_TYPE_TIMESTAMPTZ : TEARS_TYPE_BIGINT;
    if (!one_in(draft, 4)) /* else the table has such a column, and no version */
        draft->def->version_column = column->name;
}

/* ---- indexes, constraints, foreign keys -------------------------------------------------------- */

/* One to three columns that a B-tree can have. */
static const struct tears_str *some_columns(struct draft *draft, size_t *count_out)
{
    struct tears_str *names = room(draft, 3, sizeof *names);
    const size_t start = test_chance_below(draft->chance, draft->column_count);
    *count_out = 0;
    for (size_t i = 0; i < draft->column_count && *count_out < 3; i++) {
        const struct tears_column_def *column = &draft->columns[(start + i) % draft->column_count];
        if (column->type != TEARS_TYPE_VECTOR && (*count_out == 0 || one_in(draft, 2)))
            names[(*count_out)++] = column->name;
    }
    return names;
}

static const struct tears_column_def *column_of_type(const struct draft *draft, uint64_t type)
{
    for (size_t i = 0; i < draft->column_count; i++)
        if (draft->columns[i].type == type)
            return &draft->columns[i];
    return NULL;
}

static void make_condition(struct draft *draft, struct tears_index_def *index)
{
    const struct tears_column_def *column = column_of_type(draft, TEARS_TYPE_INT);
    if (column == NULL || one_in(draft, 2))
        return;
    char *text = room(draft, 1, NAME_BYTES);
    (void)snprintf(text, NAME_BYTES, "\"%s\" > 3", column->name.ptr);
    index->where = tears_str_c(text);
}

/* An index of another kind, or with an operator class that is not the default. */
static void make_special(struct draft *draft, struct tears_index_def *index)
{
    static const struct tears_str text_pattern = {"text_pattern_ops", 16};
    static const struct tears_str path_ops = {"jsonb_path_ops", 14};
    static const struct tears_parameter_def fast = {{"fastupdate", 10}, {"off", 3}};
    const struct tears_column_def *json = column_of_type(draft, TEARS_TYPE_JSONB);
    const struct tears_column_def *text = column_of_type(draft, TEARS_TYPE_STRING);
    if (json != NULL && one_in(draft, 2)) {
        index->columns = &json->name;
        index->column_count = 1;
        index->unique = false;
        index->using_method = TEARS_STR("gin");
        index->opclasses = one_in(draft, 2) ? &path_ops : NULL;
        index->parameters = &fast;
        index->parameter_count = one_in(draft, 2) ? 1 : 0;
    } else if (text != NULL) {
        index->columns = &text->name;
        index->column_count = 1;
        index->opclasses = &text_pattern;
    }
}

static void make_index(struct draft *draft, size_t number, struct tears_index_def *index)
{
    static const struct tears_parameter_def fill = {{"fillfactor", 10}, {"70", 2}};
    memset(index, 0, sizeof *index);
    index->name = own_name(draft, "ix", number);
    index->columns = some_columns(draft, &index->column_count);
    index->unique = one_in(draft, 3);
    if (one_in(draft, 3)) {
        make_special(draft, index);
    } else if (one_in(draft, 2)) {
        index->parameters = &fill;
        index->parameter_count = 1;
    }
    if (index->using_method.len == 0 && one_in(draft, 3))
        index->include = some_columns(draft, &index->include_count);
    make_condition(draft, index);
}

static void add_indexes(struct draft *draft)
{
    const size_t count = test_chance_below(draft->chance, INDEXES_MAX + 1);
    struct tears_index_def *indexes = room(draft, INDEXES_MAX, sizeof *indexes);
    struct tears_unique_def *uniques = room(draft, 2, sizeof *uniques);
    for (size_t i = 0; i < count; i++)
        make_index(draft, i, &indexes[i]);
    const size_t unique_count = test_chance_below(draft->chance, 3);
    for (size_t i = 0; i < unique_count; i++) {
        uniques[i].name = own_name(draft, "uq", i);
        uniques[i].columns = some_columns(draft, &uniques[i].column_count);
    }
    /* SQLite makes one index of two constraints on the same columns */
    if (unique_count == 2 && uniques[0].column_count == uniques[1].column_count)
        draft->def->unique_constraint_count = 1;
    else
        draft->def->unique_constraint_count = unique_count;
    draft->def->indexes = indexes;
    draft->def->index_count = count;
    draft->def->unique_constraints = uniques;
}

static void add_foreign_key(struct draft *draft)
{
    static const struct tears_str id = {"id", 2};
    static const char *const actions[] = {"", "CASCADE", "RESTRICT", "NO ACTION", "SET NULL"};
    const struct tears_column_def *column = column_of_type(draft, TEARS_TYPE_BIGINT);
    if (draft->wanted->parent == NULL || column == NULL || one_in(draft, 2))
        return;
    struct tears_foreign_key_def *key = room(draft, 1, sizeof *key);
    key->name = own_name(draft, "fk", 0);
    key->columns = &column->name;
    key->column_count = 1;
    key->references_table = tears_str_c(draft->wanted->parent);
    key->references_columns = &id;
    key->references_column_count = 1;
    key->on_delete = tears_str_c(actions[test_chance_below(draft->chance, 5)]);
    key->on_update = tears_str_c(actions[test_chance_below(draft->chance, 4)]);
    draft->def->foreign_keys = key;
    draft->def->foreign_key_count = 1;
}

const struct tears_schema_def *test_random_table(struct test_chance *chance,
                                                 const struct test_random_table *wanted,
                                                 struct t3_arena *arena)
{
    struct draft draft = {.chance = chance, .wanted = wanted, .arena = arena};
    draft.def = room(&draft, 1, sizeof *draft.def);
    draft.columns = room(&draft, COLUMNS_MAX, sizeof *draft.columns);
    draft.key = room(&draft, COLUMNS_MAX, sizeof *draft.key);
    add_keys(&draft);
    add_others(&draft);
    add_version(&draft);
    add_indexes(&draft);
    add_foreign_key(&draft);
    draft.def->name = tears_str_c(wanted->name);
    draft.def->columns = draft.columns;
    draft.def->column_count = draft.column_count;
    draft.def->primary_key = draft.key;
    draft.def->primary_key_count = draft.key_count;
    draft.def->on_conflict = test_chance_below(chance, 3);
    draft.def->byte_codec = test_chance_below(chance, 2);
    return draft.def;
}
