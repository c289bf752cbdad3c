/*
 * bundle.c -- columns that many tables share.
 *
 * Owns:     nothing.
 * Must not know: what is done with the columns; core/soft_delete.c knows two of them by name.
 * Threads:  any.
 * Fails:    never.
 * Begin at: tears_columns_uuid_key().
 *
 * Names, types and defaults are those of the Python package's mixins (spec core.md 8), so that a table made by one is
 * read by the other.  The defaults are PostgreSQL's; ddl.c says them in SQLite's words.
 */
#include "base/macros.h"

#include <string.h>
#include <tears/schema.h>

static void fill(struct tears_column_def *column, struct tears_str name, uint64_t type,
                 struct tears_str server_default)
{
    memset(column, 0, sizeof *column);
    column->name = name;
    column->type = type;
    column->server_default = server_default;
}

void tears_columns_uuid_key(struct tears_column_def columns_out[TEARS_COLUMNS_UUID_KEY])
{
    fill(&columns_out[0], TEARS_STR("id"), TEARS_TYPE_UUID, TEARS_STR("gen_random_uuid()"));
}

void tears_columns_timestamps(struct tears_column_def columns_out[TEARS_COLUMNS_TIMESTAMPS])
{
    fill(&columns_out[0], TEARS_STR("date_created"), TEARS_TYPE_TIMESTAMPTZ, TEARS_STR("now()"));
    columns_out[0].immutable = true;
    fill(&columns_out[1], TEARS_STR("date_updated"), TEARS_TYPE_TIMESTAMPTZ, TEARS_STR("now()"));
}

void tears_columns_soft_delete(struct tears_column_def columns_out[TEARS_COLUMNS_SOFT_DELETE])
{
    fill(&columns_out[0], TEARS_STR("is_deleted"), TEARS_TYPE_BOOL, TEARS_STR("false"));
    fill(&columns_out[1], TEARS_STR("date_deleted"), TEARS_TYPE_TIMESTAMPTZ, TEARS_STR(""));
    columns_out[1].nullable = true;
}
