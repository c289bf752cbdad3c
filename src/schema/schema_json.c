/*
 * schema_json.c -- schemas from JSON table definitions.
 *
 * Owns:     the parsed document, while it is read.
 * Knows:    base/, jansson, the declaration structs.
 * Must not know: databases, tiers.
 * Threads:  any.
 * Fails:    TEARS_INVALID with the place in the document ("columns[2].vector_dim"), TEARS_LIMIT,
 * TEARS_NO_MEMORY. Begin at: tears_schema_from_json().
 *
 * Source: spec data.md section 7.  The reading is strict: a member that is not known, given twice
 * or of the wrong type is refused, because a definition in which "nulable" is passed over makes
 * another table than its author meant.
 */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/fail.h"
#include "base/str.h"
#include "schema/schema_impl.h"

#include <jansson.h>
#include <stdio.h>

enum { IDENTIFIER_BYTES_MAX = 63 /* PostgreSQL cuts longer names, and two could become one */ };

/* What the readers below share.  `where` is the place in the document, for messages. */
struct definition {
    struct t3_arena *arena;
    struct tears_error *error;
    char where[96];
};

static tears_status refuse(const struct definition *definition, const char *member, const char *why)
{
    const char *dot = definition->where[0] != '\0' && member[0] != '\0' ? "." : "";
    return t3_fail(definition->error, TEARS_INVALID, "schema", "table definition: %s%s%s: %s",
                   definition->where, dot, member, why);
}

static void enter(struct definition *definition, const char *list, size_t index)
{
    snprintf(definition->where, sizeof definition->where, "%s[%zu]", list, index);
}

static void leave(struct definition *definition)
{
    definition->where[0] = '\0';
}

/* ---- members ----------------------------------------------------------------------------------
 */

static tears_status check_members(const struct definition *definition, const json_t *object,
                                  const char *const *known, size_t known_count)
{
    if (!json_is_object(object))
        return refuse(definition, "", "an object is expected");
    /* jansson's iterators take no const, although they change nothing */
    union {
        const json_t *given;
        json_t *iterated;
    } both = {.given = object};
    for (void *at = json_object_iter(both.iterated); at != NULL;
         at = json_object_iter_next(both.iterated, at)) {
        const char *name = json_object_iter_key(at);
        bool found = false;
        for (size_t i = 0; i < known_count; i++)
            found = found || strcmp(name, known[i]) == 0;
        if (!found)
            return refuse(definition, name, "unknown member");
    }
    return TEARS_OK;
}

static struct tears_str text_of(const json_t *string)
{
    return tears_str_n(json_string_value(string), json_string_length(string));
}

/* An absent member (or null) gives `otherwise`. */
static tears_status read_text(const struct definition *definition, const json_t *object,
                              const char *member, const char *otherwise, struct tears_str *out)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL || json_is_null(value)) {
        *out = tears_str_c(otherwise);
        return TEARS_OK;
    }
    if (!json_is_string(value))
        return refuse(definition, member, "a string is expected");
    *out = text_of(value);
    return TEARS_OK;
}

static tears_status read_bool(const struct definition *definition, const json_t *object,
                              const char *member, bool otherwise, bool *out)
{
    const json_t *value = json_object_get(object, member);
    if (value != NULL && !json_is_boolean(value))
        return refuse(definition, member, "true or false is expected");
    *out = value != NULL ? json_is_true(value) : otherwise;
    return TEARS_OK;
}

/* The rule of the definitions: a lower-case letter, then lower-case letters, digits and
 * underscores. */
static bool is_identifier(struct tears_str name)
{
    if (name.len == 0 || name.len > IDENTIFIER_BYTES_MAX || name.ptr[0] < 'a' || name.ptr[0] > 'z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

static tears_status read_identifier(const struct definition *definition, const json_t *object,
                                    const char *member, struct tears_str *out)
{
    T3_TRY(read_text(definition, object, member, "", out));
    if (out->len == 0)
        return refuse(definition, member, "a name is required");
    if (!is_identifier(*out))
        return refuse(definition, member,
                      "a name is a lower-case letter followed by lower-case letters, digits and "
                      "underscores, 63 bytes at most");
    return TEARS_OK;
}

static tears_status read_names(const struct definition *definition, const json_t *object,
                               const char *member, const struct tears_str **names_out,
                               size_t *count_out)
{
    const json_t *array = json_object_get(object, member);
    if (!json_is_array(array) || json_array_size(array) == 0)
        return refuse(definition, member, "an array of column names is expected");
    const size_t count = json_array_size(array);
    struct tears_str *names = t3_arena_array(definition->arena, count, sizeof *names);
    if (names == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(array, i);
        if (!json_is_string(name) || !is_identifier(text_of(name)))
            return refuse(definition, member, "a column name is not a valid identifier");
        names[i] = text_of(name);
    }
    *names_out = names;
    *count_out = count;
    return TEARS_OK;
}

/* The optional array `member` of the document; an absent one is empty. */
static tears_status find_list(const struct definition *definition, const json_t *object,
                              const char *member, const json_t **array_out)
{
    const json_t *array = json_object_get(object, member);
    if (array != NULL && !json_is_array(array))
        return refuse(definition, member, "an array is expected");
    *array_out = array;
    return TEARS_OK;
}

/* ---- columns ----------------------------------------------------------------------------------
 */

static tears_status read_type(const struct definition *definition, const json_t *object,
                              uint64_t *type_out)
{
    static const struct {
        const char *name;
        uint64_t type;
    } types[] = {
        {"text", TEARS_TYPE_STRING},       {"integer", TEARS_TYPE_INT},
        {"bigint", TEARS_TYPE_BIGINT},     {"boolean", TEARS_TYPE_BOOL},
        {"uuid", TEARS_TYPE_UUID},         {"timestamp", TEARS_TYPE_TIMESTAMPTZ},
        {"jsonb", TEARS_TYPE_JSONB},       {"decimal", TEARS_TYPE_NUMERIC},
        {"bytea", TEARS_TYPE_BYTES},       {"vector", TEARS_TYPE_VECTOR},
        {"double", TEARS_TYPE_DOUBLE},     {"enum", TEARS_TYPE_ENUM},
        {"tsvector", TEARS_TYPE_TSVECTOR},
    };
    struct tears_str name;
    T3_TRY(read_text(definition, object, "column_type", "", &name));
    for (size_t i = 0; i < T3_COUNT(types); i++) {
        if (t3_str_is(name, types[i].name)) {
            *type_out = types[i].type;
            return TEARS_OK;
        }
    }
    return refuse(definition, "column_type",
                  "one of text, integer, bigint, boolean, timestamp, uuid, jsonb, decimal, bytea, "
                  "vector, double, enum, tsvector is expected");
}

static tears_status read_dimensions(const struct definition *definition, const json_t *object,
                                    struct tears_column_def *column)
{
    const json_t *dim = json_object_get(object, "vector_dim");
    if (dim == NULL || json_is_null(dim)) {
        if (column->type == TEARS_TYPE_VECTOR)
            return refuse(definition, "vector_dim", "required for a vector column");
        return TEARS_OK;
    }
    if (column->type != TEARS_TYPE_VECTOR)
        return refuse(definition, "vector_dim", "only valid for a vector column");
    if (!json_is_integer(dim) || json_integer_value(dim) <= 0)
        return refuse(definition, "vector_dim", "a positive integer is expected");
    column->vector_dim = (uint64_t)json_integer_value(dim);
    return TEARS_OK;
}

/* An optional whole number that is not negative. */
static tears_status read_number(const struct definition *definition, const json_t *object,
                                const char *member, uint64_t *out, bool *given_out)
{
    const json_t *value = json_object_get(object, member);
    *given_out = value != NULL && !json_is_null(value);
    if (!*given_out)
        return TEARS_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return refuse(definition, member, "a whole number is expected");
    *out = (uint64_t)json_integer_value(value);
    return TEARS_OK;
}

/* Any texts, unlike names of columns. */
static tears_status read_texts(const struct definition *definition, const json_t *object,
                               const char *member, const struct tears_str **texts_out,
                               size_t *count_out)
{
    const json_t *array = json_object_get(object, member);
    if (array == NULL)
        return TEARS_OK;
    if (!json_is_array(array))
        return refuse(definition, member, "an array of strings is expected");
    const size_t count = json_array_size(array);
    struct tears_str *texts = t3_arena_array(definition->arena, count, sizeof *texts);
    if (texts == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        if (!json_is_string(json_array_get(array, i)))
            return refuse(definition, member, "an array of strings is expected");
        texts[i] = text_of(json_array_get(array, i));
    }
    *texts_out = texts;
    *count_out = count;
    return TEARS_OK;
}

/* What only our own definitions say of a column. */
static tears_status read_own_members(const struct definition *definition, const json_t *object,
                                     struct tears_column_def *column)
{
    bool given = false;
    T3_TRY(read_bool(definition, object, "immutable", column->type == TEARS_TYPE_TSVECTOR,
                     &column->immutable));
    T3_TRY(read_bool(definition, object, "partition", false, &column->partition));
    T3_TRY(read_number(definition, object, "precision", &column->precision, &given));
    T3_TRY(read_number(definition, object, "scale", &column->scale, &column->has_scale));
    T3_TRY(read_text(definition, object, "enum_name", "", &column->enum_name));
    return read_texts(definition, object, "enum_values", &column->enum_values,
                      &column->enum_value_count);
}

static tears_status read_column(const struct definition *definition, const json_t *object,
                                struct tears_column_def *column, bool *primary_out)
{
    static const char *const known[] = {"name",        "column_type", "nullable",  "default",
                                        "primary_key", "vector_dim",  "immutable", "partition",
                                        "precision",   "scale",       "enum_name", "enum_values"};
    T3_TRY(check_members(definition, object, known, T3_COUNT(known)));
    T3_TRY(read_identifier(definition, object, "name", &column->name));
    T3_TRY(read_type(definition, object, &column->type));
    T3_TRY(read_bool(definition, object, "nullable", true, &column->nullable));
    T3_TRY(read_text(definition, object, "default", "", &column->server_default));
    T3_TRY(read_bool(definition, object, "primary_key", false, primary_out));
    T3_TRY(read_own_members(definition, object, column));
    return read_dimensions(definition, object, column);
}

/* The key in an order of its own, which flags cannot say. */
static tears_status read_primary_key(const struct definition *definition, const json_t *document,
                                     struct tears_column_def *columns, struct tears_schema_def *def)
{
    if (json_object_get(document, "primary_key") == NULL)
        return TEARS_OK;
    if (def->primary_key_count > 0)
        return refuse(definition, "primary_key", "columns are flagged as the key as well");
    T3_TRY(read_names(definition, document, "primary_key", &def->primary_key,
                      &def->primary_key_count));
    for (size_t i = 0; i < def->column_count; i++)
        for (size_t k = 0; k < def->primary_key_count; k++)
            if (t3_str_equal(columns[i].name, def->primary_key[k]))
                columns[i].nullable = false;
    return TEARS_OK;
}

/* The flagged columns are the key; without a flag it is the column `id`, as the peers assume. */
static tears_status read_columns(struct definition *definition, const json_t *document,
                                 struct tears_schema_def *def)
{
    const json_t *array = NULL;
    T3_TRY(find_list(definition, document, "columns", &array));
    const size_t count = json_array_size(array);
    struct tears_column_def *columns = t3_arena_array(definition->arena, count, sizeof *columns);
    struct tears_str *key = t3_arena_array(definition->arena, count + 1, sizeof *key);
    if (columns == NULL || key == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        bool primary = false;
        enter(definition, "columns", i);
        T3_TRY(read_column(definition, json_array_get(array, i), &columns[i], &primary));
        if (primary)
            key[def->primary_key_count++] = columns[i].name;
        columns[i].nullable = columns[i].nullable && !primary;
    }
    leave(definition);
    def->columns = columns;
    def->column_count = count;
    def->primary_key = key;
    T3_TRY(read_primary_key(definition, document, columns, def));
    for (size_t i = 0; i < count && def->primary_key_count == 0; i++) {
        if (t3_str_is(columns[i].name, "id")) {
            key[def->primary_key_count++] = columns[i].name;
            columns[i].nullable = false;
        }
    }
    return TEARS_OK;
}

/* ---- indexes and foreign keys -----------------------------------------------------------------
 */

/* {"column": "operator class"} */
static tears_status read_opclasses(const struct definition *definition, const json_t *object,
                                   struct tears_index_def *index)
{
    static const char member[] = "opclass";
    const json_t *classes = json_object_get(object, member);
    if (classes == NULL)
        return TEARS_OK;
    struct tears_str *list = t3_arena_array(definition->arena, index->column_count, sizeof *list);
    if (list == NULL)
        return t3_fail_memory(definition->error, "schema");
    size_t found = 0;
    for (size_t i = 0; i < index->column_count; i++) {
        const json_t *name =
            json_object_getn(classes, index->columns[i].ptr, index->columns[i].len);
        if (name != NULL && !json_is_string(name))
            return refuse(definition, member, "an operator class is a string");
        if (name != NULL)
            list[i] = text_of(name);
        found += name != NULL ? 1 : 0;
    }
    if (!json_is_object(classes) || found != json_object_size(classes))
        return refuse(definition, member,
                      "an object from columns of the index to operator classes "
                      "is expected");
    index->opclasses = list;
    return TEARS_OK;
}

/* {"parameter": "value"} */
static tears_status read_parameters(const struct definition *definition, const json_t *object,
                                    struct tears_index_def *index)
{
    static const char member[] = "with";
    const json_t *given = json_object_get(object, member);
    if (given == NULL)
        return TEARS_OK;
    if (!json_is_object(given))
        return refuse(definition, member, "an object from parameters to texts is expected");
    struct tears_parameter_def *list =
        t3_arena_array(definition->arena, json_object_size(given), sizeof *list);
    if (list == NULL)
        return t3_fail_memory(definition->error, "schema");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        list[index->parameter_count].name = tears_str_c(name);
        if (!is_identifier(tears_str_c(name)) || !json_is_string(value))
            return refuse(definition, member, "an object from parameters to texts is expected");
        list[index->parameter_count++].value = text_of(value);
    }
    index->parameters = list;
    return TEARS_OK;
}

static tears_status read_index(const struct definition *definition, const json_t *object,
                               struct tears_index_def *index)
{
    static const char *const known[] = {"name",   "columns", "unique",  "where",
                                        "method", "opclass", "include", "with"};
    T3_TRY(check_members(definition, object, known, T3_COUNT(known)));
    T3_TRY(read_identifier(definition, object, "name", &index->name));
    T3_TRY(read_bool(definition, object, "unique", false, &index->unique));
    T3_TRY(read_names(definition, object, "columns", &index->columns, &index->column_count));
    T3_TRY(read_text(definition, object, "where", "", &index->where));
    T3_TRY(read_text(definition, object, "method", "", &index->using_method));
    if (json_object_get(object, "include") != NULL)
        T3_TRY(read_names(definition, object, "include", &index->include, &index->include_count));
    T3_TRY(read_opclasses(definition, object, index));
    return read_parameters(definition, object, index);
}

static tears_status read_indexes(struct definition *definition, const json_t *document,
                                 struct tears_schema_def *def)
{
    const json_t *array = NULL;
    T3_TRY(find_list(definition, document, "indexes", &array));
    const size_t count = json_array_size(array);
    struct tears_index_def *indexes = t3_arena_array(definition->arena, count, sizeof *indexes);
    if (indexes == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        enter(definition, "indexes", i);
        T3_TRY(read_index(definition, json_array_get(array, i), &indexes[i]));
    }
    leave(definition);
    def->indexes = indexes;
    def->index_count = count;
    return TEARS_OK;
}

static tears_status read_foreign_key(const struct definition *definition, const json_t *object,
                                     struct tears_foreign_key_def *key)
{
    static const char *const known[] = {
        "name", "columns", "references_table", "references_columns", "on_delete", "on_update"};
    T3_TRY(check_members(definition, object, known, T3_COUNT(known)));
    T3_TRY(read_identifier(definition, object, "name", &key->name));
    T3_TRY(read_names(definition, object, "columns", &key->columns, &key->column_count));
    T3_TRY(read_identifier(definition, object, "references_table", &key->references_table));
    T3_TRY(read_names(definition, object, "references_columns", &key->references_columns,
                      &key->references_column_count));
    T3_TRY(read_text(definition, object, "on_delete", "CASCADE", &key->on_delete));
    return read_text(definition, object, "on_update", "NO ACTION", &key->on_update);
}

static tears_status read_foreign_keys(struct definition *definition, const json_t *document,
                                      struct tears_schema_def *def)
{
    const json_t *array = NULL;
    T3_TRY(find_list(definition, document, "foreign_keys", &array));
    const size_t count = json_array_size(array);
    struct tears_foreign_key_def *keys = t3_arena_array(definition->arena, count, sizeof *keys);
    if (keys == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        enter(definition, "foreign_keys", i);
        T3_TRY(read_foreign_key(definition, json_array_get(array, i), &keys[i]));
    }
    leave(definition);
    def->foreign_keys = keys;
    def->foreign_key_count = count;
    return TEARS_OK;
}

static tears_status read_uniques(struct definition *definition, const json_t *document,
                                 struct tears_schema_def *def)
{
    static const char *const known[] = {"name", "columns"};
    const json_t *array = NULL;
    T3_TRY(find_list(definition, document, "unique_constraints", &array));
    const size_t count = json_array_size(array);
    struct tears_unique_def *uniques = t3_arena_array(definition->arena, count, sizeof *uniques);
    if (uniques == NULL)
        return t3_fail_memory(definition->error, "schema");
    for (size_t i = 0; i < count; i++) {
        const json_t *object = json_array_get(array, i);
        enter(definition, "unique_constraints", i);
        T3_TRY(check_members(definition, object, known, T3_COUNT(known)));
        T3_TRY(read_identifier(definition, object, "name", &uniques[i].name));
        T3_TRY(read_names(definition, object, "columns", &uniques[i].columns,
                          &uniques[i].column_count));
    }
    leave(definition);
    def->unique_constraints = uniques;
    def->unique_constraint_count = count;
    return TEARS_OK;
}

static tears_status read_on_conflict(const struct definition *definition, const json_t *document,
                                     uint64_t *policy_out)
{
    static const char *const words[] = {[TEARS_ON_CONFLICT_UPDATE] = "update",
                                        [TEARS_ON_CONFLICT_IGNORE] = "ignore",
                                        [TEARS_ON_CONFLICT_RAISE] = "raise"};
    struct tears_str word;
    T3_TRY(read_text(definition, document, "on_conflict", "update", &word));
    for (size_t i = 0; i < T3_COUNT(words); i++) {
        if (t3_str_is(word, words[i])) {
            *policy_out = i;
            return TEARS_OK;
        }
    }
    return refuse(definition, "on_conflict", "one of update, ignore, raise is expected");
}

static tears_status read_byte_codec(const struct definition *definition, const json_t *document,
                                    uint64_t *codec_out)
{
    struct tears_str word;
    T3_TRY(read_text(definition, document, "byte_codec", "hex", &word));
    if (!t3_str_is(word, "hex") && !t3_str_is(word, "base64"))
        return refuse(definition, "byte_codec", "one of hex, base64 is expected");
    *codec_out = t3_str_is(word, "hex") ? TEARS_BYTES_HEX : TEARS_BYTES_BASE64;
    return TEARS_OK;
}

/* ---- the document -----------------------------------------------------------------------------
 */

static tears_status read_document(struct definition *definition, const json_t *document,
                                  tears_schema **schema_out)
{
    static const char *const known[] = {"name",           "columns",     "indexes",
                                        "foreign_keys",   "primary_key", "unique_constraints",
                                        "version_column", "on_conflict", "byte_codec"};
    struct tears_schema_def def;
    memset(&def, 0, sizeof def);
    T3_TRY(check_members(definition, document, known, T3_COUNT(known)));
    T3_TRY(read_identifier(definition, document, "name", &def.name));
    T3_TRY(read_text(definition, document, "version_column", "", &def.version_column));
    T3_TRY(read_columns(definition, document, &def));
    T3_TRY(read_indexes(definition, document, &def));
    T3_TRY(read_foreign_keys(definition, document, &def));
    T3_TRY(read_uniques(definition, document, &def));
    T3_TRY(read_on_conflict(definition, document, &def.on_conflict));
    T3_TRY(read_byte_codec(definition, document, &def.byte_codec));
    const struct t3_declaration declaration = {.def = &def, .dynamic = true};
    return t3_schema_build(&declaration, schema_out, definition->error);
}

static void free_document(void *variable)
{
    json_decref(*(json_t **)variable);
}

static tears_status refuse_document(const json_error_t *why, struct tears_error *error_out)
{
    if (json_error_code(why) == json_error_out_of_memory)
        return t3_fail_memory(error_out, "schema");
    return t3_fail_detail(error_out, TEARS_INVALID, "schema", why->position, "",
                          "table definition: line %d, column %d: %s", why->line, why->column,
                          why->text);
}

tears_status tears_schema_from_json(struct tears_str json, tears_schema **schema_out,
                                    struct tears_error *error_out)
{
    json_error_t why;
    T3_AUTO(free_document)
    json_t *document =
        json_loadb(json.len > 0 ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, &why);
    if (document == NULL)
        return refuse_document(&why, error_out);
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct definition definition = {.arena = &arena, .error = error_out};
    return read_document(&definition, document, schema_out);
}
