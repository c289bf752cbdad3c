/*
 * result_lite.c -- ad-hoc SQL on an SQLite connection, and its rows as values.
 *
 * Owns:     nothing; results are the arena's.
 * Must not know: which tier the connection belongs to.
 * Threads:  the connection's.
 * Fails:    INVALID (the SQL text, its parameters), NO_MEMORY, LIMIT.
 * Begin at: t3_result_collect().
 */
#include "tier/result_lite.h"

#include "base/fail.h"

static const char *const origin = "sqlite";

/* Rows gathered so far. */
struct gathering {
    struct t3_arena *arena;
    struct tears_value *values;
    size_t capacity; /* in values */
    size_t row_count;
    uint32_t column_count;
};

static tears_status make_room(struct gathering *gathering)
{
    const size_t used = gathering->row_count * gathering->column_count;
    if (used + gathering->column_count <= gathering->capacity)
        return TEARS_OK;
    size_t capacity = gathering->capacity * 2;
    if (capacity < (size_t)gathering->column_count * 8)
        capacity = (size_t)gathering->column_count * 8;
    struct tears_value *values = t3_arena_array(gathering->arena, capacity, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    if (used > 0)
        memcpy(values, gathering->values, used * sizeof *values);
    gathering->values = values;
    gathering->capacity = capacity;
    return TEARS_OK;
}

static tears_status gather_row(struct gathering *gathering, struct t3_lite_stmt *stmt)
{
    T3_TRY(make_room(gathering));
    struct tears_value *row = &gathering->values[gathering->row_count * gathering->column_count];
    for (uint32_t i = 0; i < gathering->column_count; i++) {
        row[i] = t3_lite_cell_raw(stmt, i);
        if (row[i].kind == TEARS_KIND_TEXT || row[i].kind == TEARS_KIND_BYTES)
            T3_TRY(t3_arena_str(gathering->arena, row[i].as.bytes, &row[i].as.bytes));
    }
    gathering->row_count++;
    return TEARS_OK;
}

static tears_status copy_names(struct t3_lite_stmt *stmt, struct t3_arena *arena,
                               struct t3_result *result)
{
    if (result->column_count == 0) /* has run already: nothing may fail any more */
        return TEARS_OK;
    result->names = t3_arena_array(arena, result->column_count, sizeof *result->names);
    if (result->names == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < result->column_count; i++)
        T3_TRY(t3_arena_str(arena, tears_str_c(t3_lite_column_name(stmt, i)), &result->names[i]));
    return TEARS_OK;
}

/* Memory has run out.  A statement that was told to fail must not have written. */
static tears_status give_up(struct t3_lite_stmt *stmt, bool is_running,
                            struct tears_error *error_out)
{
    if (is_running && !t3_lite_is_readonly(stmt))
        t3_lite_abandon(stmt);
    return t3_fail_memory(error_out, origin);
}

tears_status t3_result_collect(struct t3_lite_stmt *stmt, struct t3_arena *arena,
                               struct t3_result *result_out, struct tears_error *error_out)
{
    bool found;
    T3_TRY(t3_lite_step(stmt, &found, error_out));
    /* Only now: the first step prepares anew when the table was altered. */
    struct t3_result result = {.column_count = t3_lite_column_count(stmt)};
    struct gathering gathering = {.arena = arena, .column_count = (uint32_t)result.column_count};
    if (copy_names(stmt, arena, &result) != TEARS_OK)
        return give_up(stmt, found, error_out);
    while (found) {
        if (gather_row(&gathering, stmt) != TEARS_OK)
            return give_up(stmt, found, error_out);
        T3_TRY(t3_lite_step(stmt, &found, error_out));
    }
    result.values = gathering.values;
    result.row_count = gathering.row_count;
    result.affected = gathering.row_count;
    *result_out = result;
    return TEARS_OK;
}

tears_status t3_adhoc_prepare(struct t3_lite_conn *conn, const struct t3_adhoc *adhoc,
                              struct t3_arena *arena, struct t3_lite_stmt **stmt_out,
                              struct tears_error *error_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(conn, adhoc->sql);
    if (stmt == NULL) {
        const struct t3_lite_sql sql = {.key = adhoc->sql, .sql = adhoc->sql, .foreign = true};
        T3_TRY(t3_lite_prepare(conn, &sql, &stmt, error_out));
    }
    T3_TRY(t3_lite_bind_numbered(stmt, adhoc->params, adhoc->param_count, arena, error_out));
    *stmt_out = T3_TAKE(stmt);
    return TEARS_OK;
}
