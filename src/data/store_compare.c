/*
 * store_compare.c -- two schemas of one table, difference by difference.
 *
 * Owns:     nothing; the differences are in the caller's arena.
 * Knows:    schemas.
 * Must not know: databases: both schemas are in one database's words already (store_shape.c).
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_store_compare().
 */
#include "data/store_impl.h"

#include "base/fail.h"
#include "base/str.h"

#include <stdlib.h>

/* ---- writing differences --------------------------------------------------------------------- */

/* Texts that may be of the schemas, which do not live as long as the differences. */
struct difference {
    const char *part;
    struct tears_str name;
    const char *aspect;
    struct tears_str declared;
    struct tears_str found;
};

static tears_status grow(struct t3_store_differences *differences)
{
    if (differences->count < differences->capacity)
        return TEARS_OK;
    const size_t larger = differences->capacity == 0 ? 8 : differences->capacity * 2;
    struct tears_table_difference *list = t3_arena_array(differences->arena, larger, sizeof *list);
    if (list == NULL)
        return TEARS_NO_MEMORY;
    if (differences->count > 0)
        memcpy(list, differences->list, differences->count * sizeof *list);
    differences->list = list;
    differences->capacity = larger;
    return TEARS_OK;
}

static tears_status add(struct t3_store_differences *differences, const struct difference *one)
{
    T3_TRY(grow(differences));
    struct tears_table_difference *to = &differences->list[differences->count];
    struct t3_arena *arena = differences->arena;
    to->part = tears_str_c(one->part);
    to->aspect = tears_str_c(one->aspect);
    T3_TRY(t3_arena_str(arena, one->name, &to->name));
    T3_TRY(t3_arena_str(arena, one->declared, &to->declared));
    T3_TRY(t3_arena_str(arena, one->found, &to->found));
    differences->count++;
    return TEARS_OK;
}

/* Adds a difference when the texts differ. */
static tears_status same_text(struct t3_store_differences *differences,
                              const struct difference *one)
{
    return t3_str_equal(one->declared, one->found) ? TEARS_OK : add(differences, one);
}

static struct tears_str yes_or_no(bool truth)
{
    return truth ? TEARS_STR("yes") : TEARS_STR("no");
}

/* "a, b" */
static tears_status put_list(struct t3_buf *out, const struct tears_str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        T3_TRY(t3_buf_put(out, i > 0 ? TEARS_STR(", ") : TEARS_STR("")));
        T3_TRY(t3_buf_put(out, names[i]));
    }
    return TEARS_OK;
}

struct names {
    const struct tears_str *list;
    size_t count;
};

static tears_status same_names(struct t3_store_differences *differences, struct difference one,
                               struct names declared, struct names found)
{
    T3_AUTO(t3_buf_done) struct t3_buf a = {0};
    T3_AUTO(t3_buf_done) struct t3_buf b = {0};
    T3_TRY(put_list(&a, declared.list, declared.count));
    T3_TRY(put_list(&b, found.list, found.count));
    one.declared = t3_buf_str(&a);
    one.found = t3_buf_str(&b);
    return same_text(differences, &one);
}

/* ---- columns --------------------------------------------------------------------------------- */

static tears_status compare_facts(const struct t3_column *declared, const struct t3_column *found,
                                  struct t3_store_differences *differences)
{
    const struct {
        const char *aspect;
        bool declared;
        bool found;
    } facts[] = {
        {"nullable", declared->nullable, found->nullable},
        {"generated", declared->generated, found->generated},
        {"partition", declared->partition, found->partition},
        {"immutable", declared->immutable && !declared->partition, /* it is in any case */
         found->immutable && !found->partition},
    };
    for (size_t i = 0; i < T3_COUNT(facts); i++) {
        const struct difference one = {"column", found->name, facts[i].aspect,
                                       yes_or_no(facts[i].declared), yes_or_no(facts[i].found)};
        T3_TRY(same_text(differences, &one));
    }
    return TEARS_OK;
}

static tears_status compare_column(const struct t3_store_comparison *comparison, uint32_t index,
                                   struct t3_store_differences *differences)
{
    const struct t3_column *shape = &comparison->shape->columns[index];
    const uint32_t at = t3_schema_find(comparison->found, shape->name);
    if (at == T3_NO_COLUMN) {
        const struct difference one = {"column", shape->name, "missing", shape->sql_type,
                                       TEARS_STR("")};
        return add(differences, &one);
    }
    const struct t3_column *found = &comparison->found->columns[at];
    const struct difference type = {"column", shape->name, "type", shape->sql_type,
                                    found->sql_type};
    T3_TRY(same_text(differences, &type));
    const struct difference value = {"column", shape->name, "default", shape->server_default,
                                     found->server_default};
    T3_TRY(same_text(differences, &value));
    T3_TRY(compare_facts(shape, found, differences));
    const uint32_t said = t3_schema_find(comparison->declared, shape->name);
    if (said == T3_NO_COLUMN || shape->type != TEARS_TYPE_ENUM)
        return TEARS_OK;
    /* the shape has the labels of the type that is there: the declaration's count */
    const struct t3_column *declared = &comparison->declared->columns[said];
    const struct difference labels = {.part = "column", .name = shape->name, .aspect = "labels"};
    return same_names(differences, labels,
                      (struct names){declared->enum_values, declared->enum_value_count},
                      (struct names){found->enum_values, found->enum_value_count});
}

static tears_status compare_columns(const struct t3_store_comparison *comparison,
                                    struct t3_store_differences *differences)
{
    for (uint32_t i = 0; i < comparison->shape->column_count; i++)
        T3_TRY(compare_column(comparison, i, differences));
    for (uint32_t i = 0; i < comparison->found->column_count; i++) {
        const struct t3_column *found = &comparison->found->columns[i];
        const struct difference one = {"column", found->name, "extra", TEARS_STR(""),
                                       found->sql_type};
        if (t3_schema_find(comparison->shape, found->name) == T3_NO_COLUMN)
            T3_TRY(add(differences, &one));
    }
    return TEARS_OK;
}

static tears_status put_key(const struct tears_schema *schema, struct t3_buf *out)
{
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(t3_buf_printf(out, "%s" T3_STR_FMT, i > 0 ? ", " : "",
                             T3_STR_ARG(schema->columns[schema->key[i]].name)));
    return TEARS_OK;
}

static tears_status compare_key(const struct t3_store_comparison *comparison,
                                struct t3_store_differences *differences)
{
    T3_AUTO(t3_buf_done) struct t3_buf declared = {0};
    T3_AUTO(t3_buf_done) struct t3_buf found = {0};
    T3_TRY(put_key(comparison->shape, &declared));
    T3_TRY(put_key(comparison->found, &found));
    const struct difference one = {"primary key", TEARS_STR(""), "columns", t3_buf_str(&declared),
                                   t3_buf_str(&found)};
    return same_text(differences, &one);
}

static struct tears_str version_of(const struct tears_schema *schema)
{
    return schema->version_column == T3_NO_COLUMN ? TEARS_STR("none")
                                                  : schema->columns[schema->version_column].name;
}

static tears_status compare_table(const struct t3_store_comparison *comparison,
                                  struct t3_store_differences *differences)
{
    static const char *const policies[] = {"update", "ignore", "raise"};
    static const char *const codecs[] = {"base64", "hex"};
    const struct tears_schema *shape = comparison->shape;
    const struct tears_schema *found = comparison->found;
    const struct difference list[] = {
        {"table", TEARS_STR(""), "version column", version_of(shape), version_of(found)},
        {"table", TEARS_STR(""), "conflict policy", tears_str_c(policies[shape->on_conflict % 3]),
         tears_str_c(policies[found->on_conflict % 3])},
        {"table", TEARS_STR(""), "bytes in L2", tears_str_c(codecs[shape->byte_codec % 2]),
         tears_str_c(codecs[found->byte_codec % 2])},
    };
    for (size_t i = 0; i < T3_COUNT(list); i++)
        T3_TRY(same_text(differences, &list[i]));
    return TEARS_OK;
}

/* ---- indexes and unique constraints ----------------------------------------------------------- */

static const struct tears_index_def *index_named(const struct tears_schema *schema,
                                                 struct tears_str name)
{
    for (size_t i = 0; i < schema->index_count; i++)
        if (t3_str_equal(schema->indexes[i].name, name))
            return &schema->indexes[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return t3_str_compare(((const struct tears_parameter_def *)a)->name,
                          ((const struct tears_parameter_def *)b)->name);
}

/* "m = 16, n = 2", sorted: their order means nothing */
static tears_status put_parameters(const struct tears_index_def *index, struct t3_arena *arena,
                                   struct t3_buf *out)
{
    const size_t count = index->parameter_count;
    struct tears_parameter_def *sorted = t3_arena_array(arena, count, sizeof *sorted);
    if (sorted == NULL)
        return TEARS_NO_MEMORY;
    if (count > 0) {
        memcpy(sorted, index->parameters, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_name);
    }
    for (size_t i = 0; i < count; i++)
        T3_TRY(t3_buf_printf(out, "%s" T3_STR_FMT " = " T3_STR_FMT, i > 0 ? ", " : "",
                             T3_STR_ARG(sorted[i].name), T3_STR_ARG(sorted[i].value)));
    return TEARS_OK;
}

static tears_status compare_parameters(const struct tears_index_def *shape,
                                       const struct tears_index_def *found,
                                       struct t3_store_differences *differences)
{
    T3_AUTO(t3_buf_done) struct t3_buf a = {0};
    T3_AUTO(t3_buf_done) struct t3_buf b = {0};
    T3_TRY(put_parameters(shape, differences->arena, &a));
    T3_TRY(put_parameters(found, differences->arena, &b));
    const struct difference one = {"index", shape->name, "parameters", t3_buf_str(&a),
                                   t3_buf_str(&b)};
    return same_text(differences, &one);
}

static struct names opclasses_of(const struct tears_index_def *index)
{
    return (struct names){index->opclasses, index->opclasses != NULL ? index->column_count : 0};
}

static tears_status compare_index(const struct tears_index_def *shape,
                                  const struct tears_index_def *found,
                                  struct t3_store_differences *differences)
{
    const struct difference list[] = {
        {"index", shape->name, "unique", yes_or_no(shape->unique), yes_or_no(found->unique)},
        {"index", shape->name, "method", shape->using_method, found->using_method},
        {"index", shape->name, "where", shape->where, found->where},
    };
    for (size_t i = 0; i < T3_COUNT(list); i++)
        T3_TRY(same_text(differences, &list[i]));
    struct difference one = {.part = "index", .name = shape->name, .aspect = "columns"};
    T3_TRY(same_names(differences, one, (struct names){shape->columns, shape->column_count},
                      (struct names){found->columns, found->column_count}));
    one.aspect = "include";
    T3_TRY(same_names(differences, one, (struct names){shape->include, shape->include_count},
                      (struct names){found->include, found->include_count}));
    one.aspect = "opclass";
    T3_TRY(same_names(differences, one, opclasses_of(shape), opclasses_of(found)));
    return compare_parameters(shape, found, differences);
}

static tears_status compare_indexes(const struct t3_store_comparison *comparison,
                                    struct t3_store_differences *differences)
{
    const struct tears_schema *shape = comparison->shape;
    const struct tears_schema *found = comparison->found;
    for (size_t i = 0; i < shape->index_count; i++) {
        const struct tears_index_def *there = index_named(found, shape->indexes[i].name);
        const struct difference missing = {
            .part = "index", .name = shape->indexes[i].name, .aspect = "missing"};
        T3_TRY(there != NULL ? compare_index(&shape->indexes[i], there, differences)
                             : add(differences, &missing));
    }
    for (size_t i = 0; i < found->index_count; i++) {
        const struct difference extra = {
            .part = "index", .name = found->indexes[i].name, .aspect = "extra"};
        if ((found->indexes[i].unique || comparison->is_strict) &&
            index_named(shape, found->indexes[i].name) == NULL)
            T3_TRY(add(differences, &extra));
    }
    return TEARS_OK;
}

static const struct tears_unique_def *unique_named(const struct tears_schema *schema,
                                                   struct tears_str name)
{
    for (size_t i = 0; i < schema->unique_constraint_count; i++)
        if (t3_str_equal(schema->unique_constraints[i].name, name))
            return &schema->unique_constraints[i];
    return NULL;
}

static tears_status compare_uniques(const struct t3_store_comparison *comparison,
                                    struct t3_store_differences *differences)
{
    const struct tears_schema *shape = comparison->shape;
    const struct tears_schema *found = comparison->found;
    for (size_t i = 0; i < shape->unique_constraint_count; i++) {
        const struct tears_unique_def *said = &shape->unique_constraints[i];
        const struct tears_unique_def *there = unique_named(found, said->name);
        struct difference one = {
            .part = "unique constraint", .name = said->name, .aspect = "columns"};
        if (there != NULL) {
            T3_TRY(same_names(differences, one, (struct names){said->columns, said->column_count},
                              (struct names){there->columns, there->column_count}));
            continue;
        }
        one.aspect = "missing";
        T3_TRY(add(differences, &one));
    }
    for (size_t i = 0; i < found->unique_constraint_count; i++) {
        const struct difference extra = {.part = "unique constraint",
                                         .name = found->unique_constraints[i].name,
                                         .aspect = "extra"};
        if (unique_named(shape, extra.name) == NULL)
            T3_TRY(add(differences, &extra));
    }
    return TEARS_OK;
}

/* ---- foreign keys ------------------------------------------------------------------------------ */

/* One text for a foreign key, equal for equal ones: `(a) -> t (b) on delete X on update Y`. */
static tears_status put_foreign_key(const struct t3_store_comparison *comparison,
                                    const struct tears_foreign_key_def *key, struct t3_buf *out)
{
    const struct tears_str own = comparison->own_schema;
    struct tears_str table = key->references_table;
    if (own.len > 0 && table.len > own.len && table.ptr[own.len] == '.' &&
        memcmp(table.ptr, own.ptr, own.len) == 0)
        table = t3_str_from(table, own.len + 1);
    T3_TRY(t3_buf_put(out, TEARS_STR("(")));
    T3_TRY(put_list(out, key->columns, key->column_count));
    T3_TRY(t3_buf_printf(out, ") references " T3_STR_FMT " (", T3_STR_ARG(table)));
    T3_TRY(put_list(out, key->references_columns, key->references_column_count));
    const struct tears_str none = TEARS_STR("NO ACTION");
    const struct tears_str on_delete = key->on_delete.len > 0 ? key->on_delete : none;
    const struct tears_str on_update = key->on_update.len > 0 ? key->on_update : none;
    return t3_buf_printf(out, ") on delete " T3_STR_FMT " on update " T3_STR_FMT,
                         T3_STR_ARG(on_delete), T3_STR_ARG(on_update));
}

/* What a schema says of foreign keys, at columns and in the list; each text once. */
struct key_texts {
    struct tears_str *texts;
    struct tears_str *names;
    size_t count;
};

static bool has_text(const struct key_texts *keys, struct tears_str text)
{
    for (size_t i = 0; i < keys->count; i++)
        if (t3_str_equal(keys->texts[i], text))
            return true;
    return false;
}

static tears_status add_key(const struct t3_store_comparison *comparison,
                            const struct tears_foreign_key_def *key, struct t3_arena *arena,
                            struct key_texts *keys)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(put_foreign_key(comparison, key, &text));
    if (has_text(keys, t3_buf_str(&text)))
        return TEARS_OK;
    keys->names[keys->count] = key->name;
    T3_TRY(t3_arena_str(arena, t3_buf_str(&text), &keys->texts[keys->count]));
    keys->count++;
    return TEARS_OK;
}

static tears_status gather_keys(const struct t3_store_comparison *comparison,
                                const struct tears_schema *schema, struct t3_arena *arena,
                                struct key_texts *keys)
{
    const size_t most = schema->foreign_key_count + schema->column_count;
    keys->texts = t3_arena_array(arena, most, sizeof *keys->texts);
    keys->names = t3_arena_array(arena, most, sizeof *keys->names);
    if (keys->texts == NULL || keys->names == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < schema->foreign_key_count; i++)
        T3_TRY(add_key(comparison, &schema->foreign_keys[i], arena, keys));
    for (uint32_t i = 0; i < schema->column_count && schema == comparison->declared; i++) {
        const struct t3_column *column = &schema->columns[i];
        const struct tears_foreign_key_def key = {.columns = &column->name,
                                                  .column_count = 1,
                                                  .references_table = column->references_table,
                                                  .references_columns = &column->references_column,
                                                  .references_column_count = 1};
        if (column->references_table.len > 0)
            T3_TRY(add_key(comparison, &key, arena, keys));
    }
    return TEARS_OK;
}

static tears_status compare_foreign_keys(const struct t3_store_comparison *comparison,
                                         struct t3_store_differences *differences)
{
    struct key_texts declared = {0};
    struct key_texts found = {0};
    T3_TRY(gather_keys(comparison, comparison->declared, differences->arena, &declared));
    T3_TRY(gather_keys(comparison, comparison->found, differences->arena, &found));
    for (size_t i = 0; i < declared.count; i++) {
        const struct difference one = {"foreign key", declared.names[i], "missing",
                                       declared.texts[i], TEARS_STR("")};
        if (!has_text(&found, declared.texts[i]))
            T3_TRY(add(differences, &one));
    }
    for (size_t i = 0; i < found.count; i++) {
        const struct difference one = {"foreign key", found.names[i], "extra", TEARS_STR(""),
                                       found.texts[i]};
        if (!has_text(&declared, found.texts[i]))
            T3_TRY(add(differences, &one));
    }
    return TEARS_OK;
}

/* ---- all of it --------------------------------------------------------------------------------- */

tears_status t3_store_compare(const struct t3_store_comparison *comparison,
                              struct t3_store_differences *differences)
{
    T3_TRY(compare_columns(comparison, differences));
    T3_TRY(compare_key(comparison, differences));
    T3_TRY(compare_table(comparison, differences));
    T3_TRY(compare_uniques(comparison, differences));
    T3_TRY(compare_indexes(comparison, differences));
    return compare_foreign_keys(comparison, differences);
}

static bool same_column(const struct t3_column *a, const struct t3_column *b)
{
    return t3_str_equal(a->name, b->name) && t3_str_equal(a->sql_type, b->sql_type) &&
           a->type == b->type && a->kind == b->kind && a->nullable == b->nullable &&
           a->immutable == b->immutable && a->partition == b->partition &&
           a->generated == b->generated &&
           (a->server_default.len > 0) == (b->server_default.len > 0);
}

bool t3_store_same_rows(const struct tears_schema *a, const struct tears_schema *b)
{
    if (a->column_count != b->column_count || a->key_count != b->key_count ||
        a->version_column != b->version_column || a->byte_codec != b->byte_codec ||
        a->on_conflict != b->on_conflict ||
        memcmp(a->key, b->key, a->key_count * sizeof a->key[0]) != 0)
        return false;
    for (uint32_t i = 0; i < a->column_count; i++)
        if (!same_column(&a->columns[i], &b->columns[i]))
            return false;
    return true;
}

static tears_status put_difference(const struct tears_table_difference *one, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, one->part));
    if (one->name.len > 0)
        T3_TRY(t3_buf_printf(out, " '" T3_STR_FMT "'", T3_STR_ARG(one->name)));
    T3_TRY(t3_buf_printf(out, ": " T3_STR_FMT, T3_STR_ARG(one->aspect)));
    if (t3_str_is(one->aspect, "missing") || t3_str_is(one->aspect, "extra"))
        return TEARS_OK;
    return t3_buf_printf(out, " is '" T3_STR_FMT "', declared '" T3_STR_FMT "'",
                         T3_STR_ARG(one->found), T3_STR_ARG(one->declared));
}

tears_status t3_store_fail_different(struct tears_str table,
                                     const struct t3_store_differences *differences,
                                     struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    for (size_t i = 0; i < differences->count; i++)
        if (t3_buf_put(&text, i > 0 ? TEARS_STR("; ") : TEARS_STR("")) != TEARS_OK ||
            put_difference(&differences->list[i], &text) != TEARS_OK)
            return t3_fail_memory(error_out, STORE_ORIGIN);
    return t3_fail(error_out, TEARS_INVALID, STORE_ORIGIN,
                   "table '" T3_STR_FMT "' is not as declared: %s", T3_STR_ARG(table),
                   text.ptr != NULL ? text.ptr : "");
}
