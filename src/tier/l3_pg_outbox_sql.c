/*
 * l3_pg_outbox_sql.c -- the trigger function that notes what is changed in one table.
 *
 * Owns:     nothing.
 * Must not know: how it is installed, who reads the notes.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: t3_outbox_put_body().
 *
 * The function is made for its table, so that PostgreSQL plans its statements once per connection; one function for all tables
 * would have to build and plan SQL text for each change.  It runs once per statement, whatever number of rows that
 * changes, over the transition tables; only partitioned tables have it once per row, because a statement on
 * a partition fires no statement trigger of the whole.
 *
 * The version of a note is what makes the tailer leave a correct L2 alone, so it is given only where it tells something: an
 * UPDATE that left the version as it was, or moved it back, gives a note without.  Old and new rows of an UPDATE are
 * brought together by GROUP BY and not by a join: the plan is made at the first call, often for one row, and a nested loop
 * kept from there would take hours over a large UPDATE.
 *
 * The text of keys is what the catalogue's schema reads: of columns that it casts to text the cast's (an inet's has its mask), of
 * all others what the type's output function writes (of char(n) with its blanks), in the formats set by the function's header.
 */
#include "tier/l3_pg_outbox_impl.h"

#include "base/str.h"

tears_status t3_outbox_put_name(struct t3_buf *out, struct tears_str name)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            T3_TRY(t3_buf_put_char(out, '"'));
        T3_TRY(t3_buf_put_char(out, name.ptr[i]));
    }
    return t3_buf_put_char(out, '"');
}

static tears_status put(struct t3_buf *out, const char *text)
{
    return t3_buf_put(out, tears_str_c(text));
}

static tears_status put_column(struct t3_buf *out, const char *row, const struct t3_column *column)
{
    T3_TRY(t3_buf_printf(out, "%s.", row));
    return t3_outbox_put_name(out, column->name);
}

/* ARRAY[...] of the key's texts. */
static tears_status put_ids(const struct tears_schema *schema, const char *row, struct t3_buf *out)
{
    T3_TRY(put(out, "ARRAY["));
    for (uint32_t i = 0; i < schema->key_count; i++) {
        const struct t3_column *column = &schema->columns[schema->key[i]];
        T3_TRY(put(out, i > 0 ? ", " : ""));
        T3_TRY(put(out, column->text_cast ? "" : "format('%s', "));
        T3_TRY(put_column(out, row, column));
        T3_TRY(put(out, column->text_cast ? "::text" : ")"));
    }
    return put(out, "]");
}

static tears_status put_version(const struct tears_schema *schema, const char *row,
                                struct t3_buf *out)
{
    if (schema->version_column == T3_NO_COLUMN)
        return put(out, "NULL::bigint");
    return put_column(out, row, &schema->columns[schema->version_column]);
}

static tears_status put_insert(const struct t3_outbox_function *function, struct t3_buf *out)
{
    T3_TRY(put(out, "    INSERT INTO "));
    T3_TRY(t3_buf_put(out, function->outbox->name));
    return put(out, " (table_name, op, ids, version)\n");
}

/* One note, or one for each row of a transition table, with what the row says of itself. */
static tears_status put_plain(const struct t3_outbox_function *function, const char *op,
                              const char *row, const char *from, struct t3_buf *out)
{
    T3_TRY(put_insert(function, out));
    T3_TRY(t3_buf_printf(out, "    SELECT TG_ARGV[0], '%s', ", op));
    T3_TRY(put_ids(function->schema, row, out));
    T3_TRY(put(out, ", "));
    T3_TRY(put_version(function->schema, row, out));
    return t3_buf_printf(out, "::text%s;\n", from);
}

/* -- once per statement ---------------------------------------------------------------------- */

static tears_status put_side(const struct t3_outbox_function *function, const char *table,
                             const char *is_new, struct t3_buf *out)
{
    T3_TRY(put(out, "SELECT "));
    T3_TRY(put_ids(function->schema, "r", out));
    T3_TRY(put(out, " AS ids, "));
    T3_TRY(put_version(function->schema, "r", out));
    return t3_buf_printf(out, " AS version, %s AS is_new FROM %s r", is_new, table);
}

/* A key that only old rows have was given up, one that only new rows have was taken: the key was changed. */
static tears_status put_update(const struct t3_outbox_function *function, struct t3_buf *out)
{
    T3_TRY(put_insert(function, out));
    T3_TRY(put(out,
               "    SELECT TG_ARGV[0],\n"
               "      (CASE WHEN NOT bool_or(c.is_new) THEN 'D' WHEN bool_and(c.is_new) THEN 'I'"
               " ELSE 'U' END)::\"char\",\n"
               "      c.ids,\n"
               "      CASE WHEN bool_and(c.is_new) OR NOT bool_or(c.is_new)"
               " OR max(c.version) FILTER (WHERE c.is_new)"
               " > max(c.version) FILTER (WHERE NOT c.is_new)\n"
               "        THEN max(c.version)::text END\n"
               "    FROM ("));
    T3_TRY(put_side(function, "new_rows", "true", out));
    T3_TRY(put(out, "\n      UNION ALL "));
    T3_TRY(put_side(function, "old_rows", "false", out));
    return put(out, ") c\n    GROUP BY c.ids;\n");
}

static tears_status put_by_statement(const struct t3_outbox_function *function, struct t3_buf *out)
{
    T3_TRY(put(out, "  IF TG_OP = 'UPDATE' THEN\n"));
    T3_TRY(put_update(function, out));
    T3_TRY(put(out, "  ELSIF TG_OP = 'INSERT' THEN\n"));
    T3_TRY(put_plain(function, "I", "r", " FROM new_rows r", out));
    T3_TRY(put(out, "  ELSIF TG_OP = 'DELETE' THEN\n"));
    return put_plain(function, "D", "r", " FROM old_rows r", out);
}

/* -- once per row ---------------------------------------------------------------------------- */

static tears_status put_row_update(const struct t3_outbox_function *function, struct t3_buf *out)
{
    const struct tears_schema *schema = function->schema;
    T3_TRY(put(out, "    IF "));
    T3_TRY(put_ids(schema, "OLD", out));
    T3_TRY(put(out, " <> "));
    T3_TRY(put_ids(schema, "NEW", out));
    T3_TRY(put(out, " THEN\n"));
    T3_TRY(put_plain(function, "D", "OLD", "", out));
    T3_TRY(put_plain(function, "I", "NEW", "", out));
    T3_TRY(put(out, "    ELSE\n"));
    T3_TRY(put_insert(function, out));
    T3_TRY(put(out, "    SELECT TG_ARGV[0], 'U', "));
    T3_TRY(put_ids(schema, "NEW", out));
    T3_TRY(put(out, ", CASE WHEN "));
    T3_TRY(put_version(schema, "NEW", out));
    T3_TRY(put(out, " > "));
    T3_TRY(put_version(schema, "OLD", out));
    T3_TRY(put(out, " THEN "));
    T3_TRY(put_version(schema, "NEW", out));
    return put(out, "::text END;\n    END IF;\n");
}

static tears_status put_by_row(const struct t3_outbox_function *function, struct t3_buf *out)
{
    T3_TRY(put(out, "  IF TG_OP = 'UPDATE' THEN\n"));
    T3_TRY(put_row_update(function, out));
    T3_TRY(put(out, "  ELSIF TG_OP = 'INSERT' THEN\n"));
    T3_TRY(put_plain(function, "I", "NEW", "", out));
    T3_TRY(put(out, "  ELSIF TG_OP = 'DELETE' THEN\n"));
    return put_plain(function, "D", "OLD", "", out);
}

/* -- the body -------------------------------------------------------------------------------- */

/*
 * The wake-up.  Transactions that send one commit one after the other, so only one of those under way does: the one that gets
 * the lock.  The others' notes are found by the tailer's next look, which is soon after it has found any.
 */
static tears_status put_wake(const struct t3_outbox_function *function, struct t3_buf *out)
{
    return t3_buf_printf(out,
                         "  IF FOUND AND pg_try_advisory_xact_lock(" T3_OUTBOX_LOCK_WAKER
                         ", %lld::oid::int4) THEN\n"
                         "    PERFORM pg_notify('tears_outbox', '');\n"
                         "  END IF;\n"
                         "  RETURN NULL;\n"
                         "END\n",
                         (long long)function->outbox->id);
}

tears_status t3_outbox_put_body(const struct t3_outbox_function *function, struct t3_buf *out)
{
    T3_TRY(put(out, "#variable_conflict use_column\nBEGIN\n"));
    T3_TRY(function->by_row ? put_by_row(function, out) : put_by_statement(function, out));
    T3_TRY(put(out, "  ELSE\n"));
    T3_TRY(put_insert(function, out));
    T3_TRY(put(out, "    VALUES (TG_ARGV[0], 'T', NULL, NULL);\n  END IF;\n"));
    return put_wake(function, out);
}
