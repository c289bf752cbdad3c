/*
 * facts.c -- notes with a table, and reading them again.
 *
 * Owns:     nothing.
 * Knows:    base/, jansson, the schema.
 * Must not know: databases.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT; a damaged note counts as none.
 * Begin at: t3_facts_put(), t3_facts_of_comment().
 */
#include "schema/facts.h"

#include "base/str.h"

#include <jansson.h>

#define MARK      "tears: "
#define SQL_START "/* " MARK
#define SQL_END   " */"

/* ---- what would be lost -------------------------------------------------------------------- */

/* The column that a table without a word about it would order its rows by: as schema.c chooses. */
static uint32_t version_by_convention(const struct tears_schema *schema)
{
    const uint32_t counter = t3_schema_find(schema, TEARS_STR("row_version"));
    if (counter != T3_NO_COLUMN && !schema->columns[counter].primary &&
        (schema->columns[counter].type == TEARS_TYPE_INT ||
         schema->columns[counter].type == TEARS_TYPE_BIGINT))
        return counter;
    const uint32_t stamp = t3_schema_find(schema, TEARS_STR("date_updated"));
    if (stamp != T3_NO_COLUMN && !schema->columns[stamp].primary &&
        schema->columns[stamp].type == TEARS_TYPE_TIMESTAMPTZ)
        return stamp;
    return T3_NO_COLUMN;
}

/* A tsvector is immutable in any case, and so is the partition column. */
static bool is_noted_immutable(const struct t3_column *column)
{
    return column->immutable && !column->partition && column->type != TEARS_TYPE_TSVECTOR;
}

bool t3_facts_are_needed(const struct tears_schema *schema)
{
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (is_noted_immutable(&schema->columns[i]))
            return true;
    return schema->partition_column != T3_NO_COLUMN ||
           schema->on_conflict != TEARS_ON_CONFLICT_UPDATE ||
           schema->byte_codec != TEARS_BYTES_BASE64 ||
           schema->version_column != version_by_convention(schema);
}

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *text(struct tears_str value)
{
    return json_stringn(value.ptr, value.len);
}

/* NULL: no memory. */
static json_t *facts_object(const struct tears_schema *schema)
{
    const struct tears_str version = schema->version_column == T3_NO_COLUMN
                                         ? TEARS_STR("none")
                                         : schema->columns[schema->version_column].name;
    json_t *immutable = json_array();
    json_t *object =
        json_pack("{s:o, s:o, s:i, s:i}", "version_column", text(version), "immutable", immutable,
                  "on_conflict", (int)schema->on_conflict, "byte_codec", (int)schema->byte_codec);
    int failed = object == NULL ? 1 : 0;
    for (uint32_t i = 0; i < schema->column_count && failed == 0; i++)
        if (is_noted_immutable(&schema->columns[i]))
            failed = json_array_append_new(immutable, text(schema->columns[i].name));
    if (failed == 0 && schema->partition_column != T3_NO_COLUMN)
        failed = json_object_set_new(object, "partition",
                                     text(schema->columns[schema->partition_column].name));
    if (failed == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* What jansson writes, as it writes it: its own memory is not ours to free. */
static int put_piece(const char *bytes, size_t size, void *owner)
{
    return t3_buf_put(owner, tears_str_n(bytes, size)) == TEARS_OK ? 0 : -1;
}

tears_status t3_facts_put(const struct tears_schema *schema, struct t3_buf *out)
{
    json_t *object = facts_object(schema);
    if (object == NULL)
        return TEARS_NO_MEMORY;
    tears_status status = t3_buf_put(out, TEARS_STR(MARK));
    if (status == TEARS_OK &&
        json_dump_callback(object, put_piece, out,
                           JSON_COMPACT | JSON_SORT_KEYS | JSON_ESCAPE_SLASH) != 0)
        status = TEARS_NO_MEMORY;
    json_decref(object);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

static tears_status keep(const json_t *value, struct t3_arena *arena, struct tears_str *out)
{
    if (!json_is_string(value))
        return TEARS_OK;
    return t3_arena_str(arena, tears_str_n(json_string_value(value), json_string_length(value)),
                        out);
}

static tears_status keep_immutable(const json_t *array, struct t3_arena *arena,
                                   struct t3_facts *facts)
{
    const size_t count = json_array_size(array);
    struct tears_str *names = t3_arena_array(arena, count, sizeof *names);
    if (names == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        T3_TRY(keep(json_array_get(array, i), arena, &names[i]));
    facts->immutable = names;
    facts->immutable_count = count;
    return TEARS_OK;
}

static tears_status read_object(const json_t *object, struct t3_arena *arena,
                                struct t3_facts *facts)
{
    const json_int_t policy = json_integer_value(json_object_get(object, "on_conflict"));
    const json_int_t codec = json_integer_value(json_object_get(object, "byte_codec"));
    facts->found = true;
    facts->on_conflict = policy > 0 && policy <= TEARS_ON_CONFLICT_RAISE ? (uint64_t)policy : 0;
    facts->byte_codec = codec == TEARS_BYTES_HEX ? TEARS_BYTES_HEX : TEARS_BYTES_BASE64;
    T3_TRY(keep(json_object_get(object, "version_column"), arena, &facts->version_column));
    T3_TRY(keep(json_object_get(object, "partition"), arena, &facts->partition));
    return keep_immutable(json_object_get(object, "immutable"), arena, facts);
}

tears_status t3_facts_of_comment(struct tears_str comment, struct t3_arena *arena,
                                 struct t3_facts *facts_out)
{
    memset(facts_out, 0, sizeof *facts_out);
    if (!t3_str_starts(comment, MARK))
        return TEARS_OK;
    const struct tears_str json = t3_str_from(comment, strlen(MARK));
    json_error_t why;
    json_t *object = json_loadb(json.ptr, json.len, JSON_DISABLE_EOF_CHECK, &why);
    if (object == NULL)
        return json_error_code(&why) == json_error_out_of_memory ? TEARS_NO_MEMORY : TEARS_OK;
    const tears_status status =
        json_is_object(object) ? read_object(object, arena, facts_out) : TEARS_OK;
    json_decref(object);
    return status;
}

static size_t find(struct tears_str text_in, const char *part)
{
    const size_t len = strlen(part);
    for (size_t i = 0; i + len <= text_in.len; i++)
        if (memcmp(text_in.ptr + i, part, len) == 0)
            return i;
    return SIZE_MAX;
}

tears_status t3_facts_of_sql(struct tears_str sql, struct t3_arena *arena,
                             struct t3_facts *facts_out)
{
    memset(facts_out, 0, sizeof *facts_out);
    const size_t start = find(sql, SQL_START);
    if (start == SIZE_MAX)
        return TEARS_OK;
    struct tears_str comment = t3_str_from(sql, start + strlen(SQL_START) - strlen(MARK));
    const size_t end = find(comment, SQL_END);
    if (end != SIZE_MAX)
        comment.len = end;
    return t3_facts_of_comment(comment, arena, facts_out);
}

static struct t3_catalogue_column *column_named(const struct tears_schema_def *def,
                                                struct t3_catalogue_column *columns,
                                                struct tears_str name)
{
    for (size_t i = 0; i < def->column_count; i++)
        if (t3_str_equal(columns[i].def.name, name))
            return &columns[i];
    return NULL;
}

static bool is_key(const struct tears_schema_def *def, struct tears_str name)
{
    for (size_t i = 0; i < def->primary_key_count; i++)
        if (t3_str_equal(def->primary_key[i], name))
            return true;
    return false;
}

void t3_facts_apply(const struct t3_facts *facts, struct tears_schema_def *def,
                    struct t3_catalogue_column *columns, struct tears_str *version_column)
{
    if (!facts->found)
        return;
    for (size_t i = 0; i < facts->immutable_count; i++) {
        struct t3_catalogue_column *column = column_named(def, columns, facts->immutable[i]);
        if (column != NULL)
            column->def.immutable = true;
    }
    struct t3_catalogue_column *partition = column_named(def, columns, facts->partition);
    if (partition != NULL && is_key(def, facts->partition))
        partition->def.partition = true;
    def->on_conflict = facts->on_conflict;
    def->byte_codec = facts->byte_codec;
    const bool is_there = t3_str_is(facts->version_column, "none") ||
                          column_named(def, columns, facts->version_column) != NULL;
    if (version_column->len == 0 && is_there)
        *version_column = facts->version_column;
}
