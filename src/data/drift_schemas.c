/*
 * drift_schemas.c -- table definitions as what is declared: made by the same SQL that would make them for real.
 *
 * Owns:     the order in which tables that refer to each other are made.
 * Knows:    schema/ddl.h, drift_impl.h.
 * Must not know: catalogues.
 * Threads:  one at a time.
 * Fails:    as tears/drift.h says.
 * Begin at: tears_drift_of_schemas().
 */
#include "base/sized.h"
#include "base/str.h"
#include "data/drift_impl.h"
#include "schema/ddl.h"

struct definitions {
    const tears_schema *const *schemas;
    size_t count;
    bool *made;
};

static bool is_waiting_for(const struct definitions *definitions, const tears_schema *schema,
                           struct tears_str table)
{
    for (size_t i = 0; i < definitions->count; i++)
        if (!definitions->made[i] && definitions->schemas[i] != schema &&
            t3_str_equal(definitions->schemas[i]->name, table))
            return true;
    return false;
}

/* Whether a table that it refers to has yet to be made. */
static bool has_to_wait(const struct definitions *definitions, const tears_schema *schema)
{
    for (uint32_t i = 0; i < schema->column_count; i++)
        if (is_waiting_for(definitions, schema, schema->columns[i].references_table))
            return true;
    for (size_t i = 0; i < schema->foreign_key_count; i++)
        if (is_waiting_for(definitions, schema, schema->foreign_keys[i].references_table))
            return true;
    return false;
}

static tears_status make(const tears_schema *schema, struct t3_admin *scratch,
                         struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_str *statements = NULL;
    size_t count = 0;
    struct tears_error error = {0};

    if (memchr(schema->name.ptr, '.', schema->name.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_DRIFT_ORIGIN,
                       "'" T3_STR_FMT "': definitions are compared without their database schema",
                       T3_STR_ARG(schema->name));
    if (t3_ddl_statements(schema, t3_admin_facts(scratch)->dialect, &arena, &statements, &count) !=
        TEARS_OK)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    for (size_t i = 0; i < count; i++) {
        const tears_status status = t3_admin_execute(scratch, statements[i], &error);
        if (status != TEARS_OK)
            return t3_fail_detail(error_out, status, T3_DRIFT_ORIGIN, error.detail, error.sqlstate,
                                  "table '" T3_STR_FMT "': %s", T3_STR_ARG(schema->name),
                                  error.message);
    }
    return TEARS_OK;
}

/* Tables that refer to each other in a circle are tried as they come: the database says what it thinks of that. */
static tears_status declare(void *owner, struct t3_admin *scratch, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct definitions definitions = *(const struct definitions *)owner;
    size_t left = definitions.count;
    bool is_circle = false;

    definitions.made = t3_arena_array(&arena, definitions.count + 1, sizeof(bool));
    if (definitions.made == NULL)
        return t3_fail_memory(error_out, T3_DRIFT_ORIGIN);
    while (left > 0) {
        const size_t before = left;
        for (size_t i = 0; i < definitions.count; i++) {
            if (definitions.made[i] ||
                (!is_circle && has_to_wait(&definitions, definitions.schemas[i])))
                continue;
            T3_TRY(make(definitions.schemas[i], scratch, error_out));
            definitions.made[i] = true;
            left--;
        }
        is_circle = left == before;
    }
    return TEARS_OK;
}

tears_status tears_drift_of_schemas(tears_client *client, const struct tears_drift_options *options,
                                    tears_drift **drift_out, struct tears_error *error_out)
{
    struct tears_drift_options known = TEARS_DRIFT_OPTIONS_INIT;

    if (options != NULL)
        T3_TRY(t3_sized_copy(&known, sizeof known, options, T3_DRIFT_ORIGIN, error_out));
    struct definitions definitions = {.schemas = known.definitions,
                                      .count = known.definition_count};
    const struct t3_drift_source source = {.declare = declare, .owner = &definitions};
    return t3_drift_open(client, options, &source, drift_out, error_out);
}
