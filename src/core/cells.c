/*
 * cells.c -- turns a caller's fields into checked, sorted cells.
 *
 * Owns:     nothing.
 * Must not know: SQL, tiers.
 * Threads:  the session's.
 * Fails:    TEARS_INVALID with table, column and reason; TEARS_NO_MEMORY.
 * Begin at: t3_cells_of().
 */
#include "core/cells.h"

#include "base/fail.h"
#include "base/str.h"

const struct t3_cell *t3_cells_find(const struct t3_cell *cells, uint32_t count, uint32_t column)
{
    for (uint32_t i = 0; i < count && cells[i].column <= column; i++)
        if (cells[i].column == column)
            return &cells[i];
    return NULL;
}

static tears_status refuse(struct tears_session *session, const struct tears_schema *schema,
                           struct tears_str column, const char *reason)
{
    return t3_fail(&session->error, TEARS_INVALID, "schema",
                   "table '" T3_STR_FMT "', column '" T3_STR_FMT "': %s", T3_STR_ARG(schema->name),
                   T3_STR_ARG(column), reason);
}

/* Why a column may not be written for this use; NULL when it may. */
static const char *objection(const struct t3_column *column, enum t3_cells_use use)
{
    if (column->generated)
        return "the database computes this column; it cannot be written";
    if (use == T3_CELLS_INSERT)
        return NULL;
    if (column->primary)
        return "a primary-key column cannot be updated";
    if (column->version)
        return "the version column is issued by the database; it cannot be updated";
    if (column->immutable || column->partition)
        return "the column is immutable; it cannot be updated";
    return NULL;
}

static tears_status check_column(struct tears_session *session, const struct tears_schema *schema,
                                 uint32_t index, const struct tears_value *value,
                                 enum t3_cells_use use, struct t3_cell *cell_out)
{
    const struct t3_column *column = &schema->columns[index];
    const char *reason = objection(column, use);
    if (reason != NULL)
        return refuse(session, schema, column->name, reason);
    /* the version a caller gives is not what is written, so NULL does no harm */
    const bool allow_null = (column->nullable && !column->primary) || column->version;
    cell_out->column = index;
    return t3_session_status(session,
                             t3_value_coerce(schema, index, value, allow_null, &session->arena,
                                             &cell_out->value, &session->error));
}

tears_status t3_cell_check(struct tears_session *session, const struct tears_schema *schema,
                           struct tears_str column, const struct tears_value *value,
                           enum t3_cells_use use, struct t3_cell *cell_out)
{
    const uint32_t index = t3_schema_find(schema, column);
    if (index == T3_NO_COLUMN)
        return refuse(session, schema, column, "the table has no such column");
    return check_column(session, schema, index, value, use, cell_out);
}

/* The column a field names; callers usually give fields in schema order, so that is tried first. */
static uint32_t column_of(const struct tears_schema *schema, struct tears_str name, uint32_t guess)
{
    if (guess < schema->column_count && t3_str_equal(schema->columns[guess].name, name))
        return guess;
    return t3_schema_find(schema, name);
}

/* Puts a cell where it belongs; false, and the cells are of no more use, when the column is there already. */
static bool insert_sorted(struct t3_cell *cells, uint32_t count, const struct t3_cell *cell)
{
    uint32_t at = count;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the first `count` are set */
    for (; at > 0 && cells[at - 1].column >= cell->column; at--) {
        if (cells[at - 1].column == cell->column)
            return false;
        cells[at] = cells[at - 1];
    }
    cells[at] = *cell;
    return true;
}

tears_status t3_cells_of(struct tears_session *session, const struct tears_schema *schema,
                         const struct tears_field *fields, size_t field_count,
                         enum t3_cells_use use, struct t3_cell **cells_out, uint32_t *count_out)
{
    struct t3_cell *cells = t3_arena_array(&session->arena, field_count + 1, sizeof *cells);
    if (cells == NULL)
        return t3_session_no_memory(session);
    uint32_t count = 0;
    uint32_t guess = 0;
    for (size_t i = 0; i < field_count; i++) {
        const uint32_t index = column_of(schema, fields[i].name, guess);
        if (index == T3_NO_COLUMN)
            return refuse(session, schema, fields[i].name, "the table has no such column");
        guess = index + 1;
        struct t3_cell cell;
        T3_TRY(check_column(session, schema, index, &fields[i].value, use, &cell));
        if (schema->columns[index].version)
            continue; /* accepted, and left to the database */
        if (!insert_sorted(cells, count, &cell))
            return refuse(session, schema, fields[i].name, "the column is given twice");
        count++;
    }
    *cells_out = cells;
    *count_out = count;
    return TEARS_OK;
}

tears_status t3_cells_key(struct tears_session *session, const struct tears_schema *schema,
                          const struct t3_cell *cells, uint32_t count, struct t3_key *key_out)
{
    struct tears_value values[16];
    memset(key_out, 0, sizeof *key_out);
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const struct t3_cell *cell = t3_cells_find(cells, count, schema->key[i]);
        const struct t3_column *column = &schema->columns[schema->key[i]];
        if (cell == NULL && column->server_default.len == 0 && !column->generated)
            return refuse(session, schema, column->name,
                          "a primary-key column needs a value, and none was given");
        if (cell == NULL)
            return TEARS_OK; /* the database makes it */
        values[i] = cell->value;
    }
    struct tears_value *storage =
        t3_arena_alloc(&session->arena, schema->key_count * sizeof *storage);
    if (storage == NULL)
        return t3_session_no_memory(session);
    memcpy(storage, values, schema->key_count * sizeof *storage);
    return t3_session_status(session, t3_key_init(schema, storage, schema->key_count, storage,
                                                  &session->arena, key_out, &session->error));
}
