/*
 * store.c -- what an owner has: its schema, its collections, its raw SQL.
 *
 * Owns:     struct tears_data; not its durable tier, which is the client's.
 * Must not know: definitions of tables (store_table.c).
 * Threads:  any: nothing changes after opening.
 * Fails:    as tears/data.h says.
 * Begin at: tears_data_open().
 */
#include "data/store_impl.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "schema/names.h"
#include "tier/l3_admin.h"

enum { TABLE_NAME_BYTES_MAX = 63 /* PostgreSQL cuts longer names, and two could become one */ };

/* ---- names ----------------------------------------------------------------------------------- */

static tears_status put_schema_name(const uint8_t owner[16], struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("agent_")));
    for (int i = 0; i < 16; i++)
        T3_TRY(t3_buf_printf(out, "%02x", owner[i]));
    return TEARS_OK;
}

tears_status t3_store_check_name(struct tears_str table, struct tears_error *error_out)
{
    const char *reason = NULL;
    if (table.len == 0)
        reason = "it is empty";
    else if (memchr(table.ptr, '.', table.len) != NULL)
        reason = "it has a point; the schema is the data store's";
    else if (table.len > TABLE_NAME_BYTES_MAX)
        reason = "it is longer than 63 bytes";
    else if (!t3_kv_key_is_valid(table))
        reason = "it cannot be part of an L2 key";
    if (reason == NULL)
        return TEARS_OK;
    return t3_fail(error_out, TEARS_INVALID, STORE_ORIGIN,
                   "'" T3_STR_FMT "' is no name for a table: %s", T3_STR_ARG(table), reason);
}

static tears_status qualify(const struct tears_data *data, struct tears_str table,
                            struct t3_arena *arena, struct tears_str *name_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    T3_TRY(t3_buf_put(&name, data->schema));
    T3_TRY(t3_buf_put_char(&name, '.'));
    T3_TRY(t3_buf_put(&name, table));
    return t3_arena_str(arena, t3_buf_str(&name), name_out);
}

tears_status t3_store_place(const struct tears_data *data, struct tears_str table,
                            struct t3_arena *arena, struct t3_table_place *place_out,
                            struct tears_error *error_out)
{
    struct tears_str qualified = table;
    T3_TRY(t3_store_check_name(table, error_out));
    if (data->schema.len > 0 && qualify(data, table, arena, &qualified) != TEARS_OK)
        return t3_fail_memory(error_out, STORE_ORIGIN);
    place_out->l3 = data->l3;
    place_out->name = data->peer_names ? table : qualified;
    place_out->table = data->dialect == T3_DIALECT_POSTGRESQL ? qualified : table;
    return TEARS_OK;
}

/* ---- opening --------------------------------------------------------------------------------- */

static tears_status put_quoted(struct tears_str name, struct t3_buf *out)
{
    T3_TRY(t3_buf_put_char(out, '"'));
    T3_TRY(t3_buf_put(out, name)); /* of our own making: letters, digits, an underscore */
    return t3_buf_put_char(out, '"');
}

static tears_status keep_names(struct tears_data *data, const struct t3_admin_facts *facts)
{
    T3_AUTO(t3_buf_done) struct t3_buf quoted = {0};
    if (data->schema.len == 0 || facts->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    T3_TRY(put_quoted(data->schema, &quoted));
    T3_TRY(t3_arena_str(&data->arena, t3_buf_str(&quoted), &data->path.schema));
    return t3_arena_str(&data->arena, facts->search_path, &data->path.search_path);
}

/* A connection of its own makes the schema and says what the database is; it is not kept. */
static tears_status look(struct tears_data *data, bool create, struct tears_error *error_out)
{
    struct tears_client *client = data->client;
    T3_AUTO(t3_admin_free_auto) struct t3_admin *admin = NULL;
    const struct t3_admin_options options = {.schema = data->schema,
                                             .create_schema = create,
                                             .deadline =
                                                 t3_deadline_in_ms(client->options.timeout_ms)};
    T3_TRY(t3_admin_open(client->l3, &options, &admin, error_out));
    const struct t3_admin_facts *facts = t3_admin_facts(admin);
    data->dialect = facts->dialect;
    data->l3 = client->l3;
    if (keep_names(data, facts) != TEARS_OK)
        return t3_fail_memory(error_out, STORE_ORIGIN);
    if (facts->dialect == T3_DIALECT_POSTGRESQL || data->schema.len == 0)
        return TEARS_OK;
    return t3_client_owned_l3(client, data->schema, facts->file, &data->l3, error_out);
}

static tears_status name_schema(struct tears_data *data, const uint8_t *owner,
                                struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    data->schema = TEARS_STR("");
    if (owner == NULL)
        return TEARS_OK;
    if (put_schema_name(owner, &name) == TEARS_OK &&
        t3_arena_str(&data->arena, t3_buf_str(&name), &data->schema) == TEARS_OK)
        return TEARS_OK;
    return t3_fail_memory(error_out, STORE_ORIGIN);
}

tears_status tears_data_open(tears_client *client, const struct tears_data_options *options,
                             tears_data **data_out, struct tears_error *error_out)
{
    struct tears_data_options given = TEARS_DATA_OPTIONS_INIT;
    if (error_out != NULL)
        t3_error_clear(error_out);
    if (client == NULL || data_out == NULL || t3_client_is_foreign(client))
        return t3_fail(error_out, TEARS_MISUSE, STORE_ORIGIN,
                       "no client, or one that belongs to the parent process");
    if (options != NULL)
        T3_TRY(t3_sized_copy(&given, sizeof given, options, STORE_ORIGIN, error_out));
    struct tears_data *data = t3_alloc_zero(1, sizeof *data);
    if (data == NULL)
        return t3_fail_memory(error_out, STORE_ORIGIN);
    data->client = client;
    data->peer_names = given.peer_names != 0;
    tears_status status = name_schema(data, given.owner, error_out);
    if (status == TEARS_OK)
        status = look(data, given.create_schema != 0, error_out);
    if (status != TEARS_OK) {
        tears_data_free(data);
        return status;
    }
    *data_out = data;
    return TEARS_OK;
}

void tears_data_free(tears_data *data)
{
    if (data == NULL)
        return;
    t3_arena_done(&data->arena);
    t3_free(data);
}

struct tears_str tears_data_schema(const tears_data *data)
{
    return data->schema;
}

/* ---- collections ------------------------------------------------------------------------------- */

tears_status tears_data_collection(tears_data *data, struct tears_str table,
                                   const struct tears_collection_options *options,
                                   tears_collection **collection_out, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_table_place place;
    if (t3_client_is_foreign(data->client))
        return t3_fail(error_out, TEARS_MISUSE, STORE_ORIGIN,
                       "the client belongs to the parent process");
    if (options != NULL && (options->schema != NULL || options->store != NULL))
        return t3_fail(error_out, TEARS_INVALID, STORE_ORIGIN,
                       "table '" T3_STR_FMT "': a data store has its tables in the database, and "
                       "their schemas are read there",
                       T3_STR_ARG(table));
    T3_TRY(t3_store_place(data, table, &arena, &place, error_out));
    return t3_collection_open_at(data->client, &place, options, collection_out, error_out);
}

/* ---- statements -------------------------------------------------------------------------------- */

struct t3_l3_call t3_store_call(const struct tears_data *data, struct tears_session *session)
{
    struct t3_l3_call call = t3_session_l3_call(session, NULL);
    call.tx = data->l3 == session->tx_l3 ? session->tx : NULL;
    call.path = t3_store_path(data);
    return call;
}

static tears_status check_session(struct tears_session *session, const struct tears_data *data)
{
    if (session->client == data->client)
        return TEARS_OK;
    return t3_fail(&session->error, TEARS_MISUSE, STORE_ORIGIN,
                   "the session and the data store are of two clients");
}

tears_status tears_data_query(tears_session *session, tears_data *data, struct tears_str sql,
                              const struct tears_value *params, size_t param_count,
                              tears_cursor **cursor_out)
{
    const struct t3_raw_place place = {.l3 = data->l3, .path = t3_store_path(data)};
    const struct t3_adhoc statement = {.sql = sql, .params = params, .param_count = param_count};
    T3_TRY(check_session(session, data));
    return t3_query_on(session, &place, &statement, cursor_out);
}

tears_status tears_data_execute(tears_session *session, tears_data *data, struct tears_str sql,
                                const struct tears_value *params, size_t param_count,
                                uint64_t *rows_out)
{
    const struct t3_raw_place place = {.l3 = data->l3, .path = t3_store_path(data)};
    const struct t3_adhoc statement = {.sql = sql, .params = params, .param_count = param_count};
    struct t3_result result;
    T3_TRY(t3_session_enter(session));
    T3_TRY(check_session(session, data));
    T3_TRY(t3_run_on(session, &place, &statement, &result));
    if (rows_out != NULL)
        *rows_out = result.affected;
    return TEARS_OK;
}

tears_status tears_data_begin(tears_session *session, tears_data *data)
{
    T3_TRY(check_session(session, data));
    return t3_begin_on(session, data->l3);
}

/* ---- tables there are -------------------------------------------------------------------------- */

/* Partitions are parts of their table, not tables of the owner. */
static const char tables_sql[] =
    "SELECT c.relname::text FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = $1"
    " ORDER BY c.relname COLLATE \"C\"";

static tears_status list_of_schema(struct tears_data *data, struct t3_l3_call *call,
                                   struct tears_str **names_out, size_t *count_out)
{
    struct t3_result rows;
    const struct tears_value schema = tears_text(data->schema);
    T3_TRY(data->l3->ops->query(data->l3, call, tears_str_c(tables_sql), &schema, 1, &rows));
    struct tears_str *names = t3_arena_array(call->arena, rows.row_count, sizeof *names);
    if (names == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < rows.row_count; i++)
        names[i] = t3_result_text(&rows, i, 0);
    *names_out = names;
    *count_out = rows.row_count;
    return TEARS_OK;
}

tears_status tears_data_tables(tears_session *session, tears_data *data,
                               const struct tears_str **names_out, size_t *count_out)
{
    struct tears_str *names = NULL;
    T3_TRY(t3_session_enter(session));
    T3_TRY(check_session(session, data));
    struct t3_l3_call call = t3_store_call(data, session);
    const tears_status status = t3_store_path(data) != NULL
                                    ? list_of_schema(data, &call, &names, count_out)
                                    : data->l3->ops->tables(data->l3, &call, &names, count_out);
    T3_TRY(t3_session_status(session, status));
    *names_out = names;
    return TEARS_OK;
}
