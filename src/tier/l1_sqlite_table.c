/*
 * l1_sqlite_table.c -- the SQL form of L1: its tables, views and statements.
 *
 * Owns:     the SQL text.
 * Must not know: tickets, expiry, eviction.
 * Threads:  the holder of the tier's mutex.
 * Fails:    NO_MEMORY; LIMIT when the database may not grow.
 * Begin at: t3_l1_sqlite_create().
 *
 *   main.t3_rows_7 (slot INTEGER PRIMARY KEY, c0 TEXT, c1, ..., UNIQUE (c0))     what the tier uses
 *   temp view "users" AS SELECT c0 AS "id", c1 AS "seen", ... WHERE t3_live(slot)  what people see
 *
 * Columns are numbered, so that no name of a user's column can be wrong; views are in the temp
 * schema, so that no name of a user's table can meet one of ours.  Cells are typed by the schema.
 * Columns of doubles and timestamps have no affinity: it would turn -0.0 into 0.0, and an integer
 * (a time outside years 1 to 9999) into text.
 *
 * LIMITATIONS.  SQLite does not tell upper from lower case in names: of two tables that differ in
 * that only, and of tables whose names begin with "sqlite_", the rows are cached but cannot be seen
 * with SQL.
 */
#include "base/buf.h"
#include "base/fail.h"
#include "tier/l1_sqlite_impl.h"

/* ---- text ---- */

static tears_status put_identifier(struct t3_buf *out, struct tears_str name)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"') /* a quote inside a quoted name is written twice */
            T3_TRY(t3_buf_put_char(out, '"'));
        T3_TRY(t3_buf_put_char(out, name.ptr[i]));
    }
    return t3_buf_put_char(out, '"');
}

static const char *affinity_of(uint8_t kind)
{
    switch (kind) {
    case TEARS_KIND_BOOL:
    case TEARS_KIND_INT:
        return " INTEGER";
    case TEARS_KIND_BYTES:
        return " BLOB";
    case TEARS_KIND_DOUBLE:
    case TEARS_KIND_TIMESTAMP:
        return "";
    default:
        return " TEXT";
    }
}

static tears_status put_key_columns(struct t3_buf *out, const struct tears_schema *schema)
{
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(t3_buf_printf(out, "%sc%u", i == 0 ? "" : ", ", schema->key[i]));
    return TEARS_OK;
}

static tears_status put_table(struct t3_buf *out, const struct tears_schema *schema, uint32_t space)
{
    T3_TRY(t3_buf_printf(out, "CREATE TABLE main.t3_rows_%u (slot INTEGER PRIMARY KEY", space));
    for (uint32_t i = 0; i < schema->column_count; i++)
        T3_TRY(t3_buf_printf(out, ", c%u%s", i, affinity_of(schema->layout.kinds[i])));
    T3_TRY(t3_buf_put(out, TEARS_STR(", UNIQUE (")));
    T3_TRY(put_key_columns(out, schema));
    return t3_buf_put(out, TEARS_STR("))"));
}

static tears_status put_view(struct t3_buf *out, const struct tears_schema *schema, uint32_t space)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("CREATE TEMP VIEW ")));
    T3_TRY(put_identifier(out, schema->name));
    for (uint32_t i = 0; i < schema->column_count; i++) {
        T3_TRY(t3_buf_printf(out, "%s c%u AS ", i == 0 ? " AS SELECT" : ",", i));
        T3_TRY(put_identifier(out, schema->columns[i].name));
    }
    return t3_buf_printf(out, " FROM main.t3_rows_%u WHERE t3_live(slot)", space);
}

tears_status t3_l1_sqlite_create(struct l1_sqlite *l1, uint32_t space,
                                 struct tears_error *error_out)
{
    const struct tears_schema *schema = l1->spaces[space].schema;
    T3_AUTO(t3_buf_done) struct t3_buf table = {0};
    T3_AUTO(t3_buf_done) struct t3_buf view = {0};
    if (put_table(&table, schema, space) != TEARS_OK || put_view(&view, schema, space) != TEARS_OK)
        return t3_fail_memory(error_out, L1_SQLITE_ORIGIN);
    T3_TRY(t3_lite_exec(l1->conn, table.ptr, error_out));
    const tears_status status = t3_lite_exec(l1->conn, view.ptr, error_out);
    return status == TEARS_INVALID ? TEARS_OK : status; /* a name of the kind in LIMITATIONS */
}

/* ---- statements ---- */

static tears_status put_where_key(struct t3_buf *out, const struct tears_schema *schema,
                                  uint32_t space)
{
    T3_TRY(t3_buf_printf(out, " FROM main.t3_rows_%u WHERE ", space));
    for (uint32_t i = 0; i < schema->key_count; i++)
        T3_TRY(t3_buf_printf(out, "%sc%u = ?%u", i == 0 ? "" : " AND ", schema->key[i], i + 1));
    return TEARS_OK;
}

static tears_status put_store(struct t3_buf *out, const struct tears_schema *schema, uint32_t space)
{
    T3_TRY(t3_buf_printf(out, "INSERT OR REPLACE INTO main.t3_rows_%u VALUES (?1", space));
    for (uint32_t i = 0; i < schema->column_count; i++)
        T3_TRY(t3_buf_printf(out, ", ?%u", i + 2));
    return t3_buf_put_char(out, ')');
}

static tears_status put_statement(struct t3_buf *out, const struct tears_schema *schema,
                                  enum l1_action action, uint32_t space, uint32_t column)
{
    switch (action) {
    case L1_GET:
        T3_TRY(t3_buf_put(out, TEARS_STR("SELECT *"))); /* the slot comes first */
        return put_where_key(out, schema, space);
    case L1_CELL:
        T3_TRY(t3_buf_printf(out, "SELECT slot, c%u", column));
        return put_where_key(out, schema, space);
    case L1_FIND:
        T3_TRY(t3_buf_put(out, TEARS_STR("SELECT slot")));
        return put_where_key(out, schema, space);
    case L1_ROW:
        return t3_buf_printf(out, "SELECT * FROM main.t3_rows_%u WHERE slot = ?1", space);
    case L1_STORE:
        return put_store(out, schema, space);
    case L1_DELETE:
        return t3_buf_printf(out, "DELETE FROM main.t3_rows_%u WHERE slot = ?1", space);
    case L1_CLEAR:
        break;
    }
    return t3_buf_printf(out, "DELETE FROM main.t3_rows_%u", space);
}

tears_status t3_l1_sqlite_statement(struct l1_sqlite *l1, enum l1_action action, uint32_t space,
                                    uint32_t column, struct t3_lite_stmt **stmt_out)
{
    const uint32_t words[] = {0, (uint32_t)action, space, column};
    const struct tears_str key = tears_str_n((const char *)words, sizeof words);
    *stmt_out = t3_lite_find(l1->conn, key);
    if (*stmt_out != NULL)
        return TEARS_OK;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    const struct tears_schema *schema = l1->spaces[space].schema;
    T3_TRY(put_statement(&text, schema, action, space, column));
    const struct t3_lite_sql sql = {.key = key, .sql = t3_buf_str(&text), .table = schema->name};
    return t3_lite_prepare(l1->conn, &sql, stmt_out, NULL);
}

/* ---- values ---- */

static tears_status bind_exact(struct l1_sqlite *l1, struct t3_lite_stmt *stmt, uint32_t index,
                               const struct tears_value *value)
{
    const tears_status status = t3_lite_bind(stmt, index, value, &l1->scratch, NULL);
    if (status != TEARS_INVALID || value->kind != TEARS_KIND_TIMESTAMP)
        return status;
    const struct tears_value microseconds = tears_int(value->as.integer); /* has no text form */
    return t3_lite_bind(stmt, index, &microseconds, &l1->scratch, NULL);
}

tears_status t3_l1_sqlite_bind_key(struct l1_sqlite *l1, struct t3_lite_stmt *stmt, uint32_t first,
                                   const struct t3_key *key)
{
    for (uint32_t i = 0; i < key->count; i++)
        T3_TRY(bind_exact(l1, stmt, first + i, &key->values[i]));
    return TEARS_OK;
}

tears_status t3_l1_sqlite_store(struct l1_sqlite *l1, uint32_t space, uint32_t slot,
                                const struct t3_l1_put *put)
{
    const struct tears_schema *schema = l1->spaces[space].schema;
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_l1_sqlite_statement(l1, L1_STORE, space, 0, &stmt));
    const struct tears_value number = tears_int(slot);
    T3_TRY(t3_lite_bind(stmt, 1, &number, &l1->scratch, NULL));
    for (uint32_t i = 0; put->row != NULL && i < schema->column_count; i++) {
        const struct tears_value value = t3_row_value(put->row, &schema->layout, i);
        T3_TRY(bind_exact(l1, stmt, i + 2, &value));
    }
    for (uint32_t i = 0; put->row == NULL && i < schema->key_count; i++)
        T3_TRY(bind_exact(l1, stmt, schema->key[i] + 2, &put->key->values[i]));
    bool row;
    return t3_lite_step(stmt, &row, NULL);
}

/* ---- cost ---- */

enum {
    ROW_BYTES = 32, /* record header, cell pointers, rowids in the table and in the key's index */
    CELL_BYTES = 2  /* a cell's type in the record's header */
};

static uint64_t stored_bytes(const struct tears_value *value)
{
    switch (value->kind) {
    case TEARS_KIND_NULL:
    case TEARS_KIND_BOOL:
        return 0;
    case TEARS_KIND_INT:
    case TEARS_KIND_DOUBLE:
        return 8;
    case TEARS_KIND_TIMESTAMP:
        return T3_LITE_TIMESTAMP_LEN;
    case TEARS_KIND_UUID:
        return 36;
    case TEARS_KIND_VECTOR:
        return value->as.vector.len * 24; /* the longest text of a double, and a comma */
    default:
        return value->as.bytes.len;
    }
}

uint64_t t3_l1_sqlite_cost(const struct l1_sqlite *l1, uint32_t space, const struct t3_l1_put *put)
{
    const struct tears_schema *schema = l1->spaces[space].schema;
    uint64_t bytes = ROW_BYTES + (uint64_t)schema->column_count * CELL_BYTES;
    for (uint32_t i = 0; i < put->key->count;
         i++) /* in the index, and for an absent row in the table */
        bytes += stored_bytes(&put->key->values[i]) * (put->row == NULL ? 2 : 1);
    for (uint32_t i = 0; put->row != NULL && i < schema->column_count; i++) {
        const struct tears_value value = t3_row_value(put->row, &schema->layout, i);
        bytes += stored_bytes(&value);
    }
    /* B-tree pages are about three quarters full. */
    return bytes + bytes / 3 + sizeof(struct l1_slot);
}
