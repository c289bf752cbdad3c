/*
 * store_shape.c -- a declaration in the database's own words.
 *
 * Owns:     nothing that outlives a call: a temporary table, or a database in memory.
 * Must not know: what the words are compared with.
 * Threads:  the call's.
 * Fails:    as the statements do, TEARS_NO_MEMORY.
 * Begin at: t3_store_shape().
 *
 * A declaration says `now()`, 'x' or `a > 0`, and a catalogue gives `now()`, 'x'::text and `(a > 0)`: whether two expressions
 * are the same only the database knows.  So the declaration is carried out once more, beside the real table, and described:
 * on PostgreSQL as a temporary table within the transaction, taken back at once; on SQLite in a database in memory.
 *
 * Foreign keys are left out, for a temporary table may have none; they have no expressions.
 */
#include "data/store_impl.h"

#include "base/fail.h"
#include "schema/ddl.h"

#define SCRATCH_NAME "tears_declared"

/* The parts of a declaration that DDL is made of, under another name and without foreign keys. */
static tears_status make_scratch(const struct tears_schema *declared, struct t3_arena *arena,
                                 struct tears_schema *scratch)
{
    struct t3_column *columns = t3_arena_array(arena, declared->column_count, sizeof *columns);
    if (columns == NULL)
        return TEARS_NO_MEMORY;
    memcpy(columns, declared->columns, declared->column_count * sizeof *columns);
    for (uint32_t i = 0; i < declared->column_count; i++)
        columns[i].references_table = TEARS_STR("");
    scratch->name = TEARS_STR(SCRATCH_NAME);
    scratch->sql_name = TEARS_STR("\"pg_temp\".\"" SCRATCH_NAME "\"");
    scratch->columns = columns;
    scratch->column_count = declared->column_count;
    memcpy(scratch->key, declared->key, sizeof scratch->key);
    scratch->key_count = declared->key_count;
    scratch->version_column = declared->version_column;
    scratch->partition_column = declared->partition_column;
    scratch->on_conflict = declared->on_conflict;
    scratch->byte_codec = declared->byte_codec;
    scratch->indexes = declared->indexes;
    scratch->index_count = declared->index_count;
    scratch->unique_constraints = declared->unique_constraints;
    scratch->unique_constraint_count = declared->unique_constraint_count;
    return TEARS_OK;
}

static tears_status run(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql)
{
    struct t3_result result;
    return l3->ops->query(l3, call, sql, NULL, 0, &result);
}

static tears_status run_all(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_schema *schema, enum t3_dialect dialect)
{
    const struct tears_str *statements = NULL;
    size_t count = 0;
    const tears_status status =
        t3_ddl_statements(schema, dialect, call->arena, &statements, &count);
    if (status != TEARS_OK)
        return t3_fail(call->error, status, STORE_ORIGIN, "the statements cannot be made: %s",
                       tears_status_text(status));
    for (size_t i = 0; i < count; i++)
        T3_TRY(run(l3, call, statements[i]));
    return TEARS_OK;
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static tears_status shape_in_savepoint(const struct tears_data *data, struct t3_l3_call *call,
                                       const struct tears_schema *declared,
                                       struct tears_schema **schema_out)
{
    struct tears_schema scratch;
    memset(&scratch, 0, sizeof scratch);
    if (make_scratch(declared, call->arena, &scratch) != TEARS_OK)
        return t3_fail_memory(call->error, STORE_ORIGIN);
    T3_TRY(run_all(data->l3, call, &scratch, T3_DIALECT_POSTGRESQL));
    return data->l3->ops->describe(data->l3, call, TEARS_STR(SCRATCH_NAME), TEARS_STR(""),
                                   declared->byte_codec, schema_out);
}

static tears_status shape_on_postgresql(const struct tears_data *data, struct t3_l3_call *call,
                                        const struct tears_schema *declared,
                                        struct tears_schema **schema_out)
{
    T3_TRY(run(data->l3, call, TEARS_STR("SAVEPOINT tears_shape")));
    const tears_status status = shape_in_savepoint(data, call, declared, schema_out);
    if (status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT)
        return status; /* the transaction is gone with its connection */
    struct tears_error *error = call->error;
    struct tears_error ignored;
    if (status != TEARS_OK)
        call->error = &ignored; /* what the caller is told is why the table could not be made */
    tears_status undone = run(data->l3, call, TEARS_STR("ROLLBACK TO SAVEPOINT tears_shape"));
    if (undone == TEARS_OK)
        undone = run(data->l3, call, TEARS_STR("RELEASE SAVEPOINT tears_shape"));
    call->error = error;
    if (status == TEARS_OK && undone != TEARS_OK) {
        tears_schema_free(*schema_out);
        *schema_out = NULL;
    }
    return status != TEARS_OK ? status : undone;
}

/* ---- SQLite ---------------------------------------------------------------------------------- */

static tears_status shape_on_sqlite(struct t3_l3_call *call, const struct tears_schema *declared,
                                    struct tears_schema **schema_out)
{
    const struct t3_l3_options options = {.url = TEARS_STR(":memory:")};
    struct t3_l3 *memory = NULL;
    T3_TRY(t3_l3_lite_open(&options, &memory, call->error));
    struct t3_l3_call own = {
        .arena = call->arena, .deadline = call->deadline, .error = call->error};
    tears_status status = run_all(memory, &own, declared, T3_DIALECT_SQLITE);
    if (status == TEARS_OK)
        status = memory->ops->describe(memory, &own, declared->name, TEARS_STR(""),
                                       declared->byte_codec, schema_out);
    memory->ops->free(memory);
    return status;
}

tears_status t3_store_shape(const struct tears_data *data, struct t3_l3_call *call,
                            const struct tears_schema *declared, struct tears_schema **schema_out)
{
    if (data->dialect == T3_DIALECT_POSTGRESQL)
        return shape_on_postgresql(data, call, declared, schema_out);
    return shape_on_sqlite(call, declared, schema_out);
}
