/*
 * store_table.c -- makes tables, compares them with what was declared, drops them.
 *
 * Owns:     nothing that outlives a call.
 * Must not know: SQL of rows.
 * Threads:  the session's.  Processes that make the same table take turns by a lock of the schema.
 * Fails:    as tears/data.h says.
 * Begin at: tears_data_create_table().
 *
 * Everything happens in one transaction: the lock, the look whether the table is there, its statements, the comparison.  A
 * table that has just been made is compared as well, for a type of its name may have been there before with other labels.
 *
 * The caches are told afterwards.  A table that is new has no rows, whatever they hold: its name may be that of one that
 * another program has dropped, and versions begin anew, so that old entries would outrank new rows.
 */
#include "core/defer.h"
#include "data/store_impl.h"

#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "schema/ddl.h"
#include "schema/facts.h"

enum { FORGET_MS = 5000 };

/* One call, from its arguments to its result. */
struct work {
    struct tears_session *session;
    struct tears_data *data;
    const struct tears_schema *declared; /* NULL: no declaration */
    struct tears_str table;
    struct tears_table_options options;
    struct t3_l3_call call;
    struct t3_store_differences differences;
    bool created;
    bool may_create;
};

static tears_status no_memory(const struct work *work)
{
    return t3_session_no_memory(work->session);
}

static tears_status run(struct work *work, struct tears_str sql, const struct tears_value *params,
                        size_t param_count)
{
    struct t3_result result;
    return work->data->l3->ops->query(work->data->l3, &work->call, sql, params, param_count,
                                      &result);
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* SQLite's transaction has the file to itself already. */
static tears_status lock_schema(struct work *work)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    if (work->data->dialect != T3_DIALECT_POSTGRESQL)
        return TEARS_OK;
    if (t3_buf_put(&name, TEARS_STR("tears.tables ")) != TEARS_OK ||
        t3_buf_put(&name, work->data->schema) != TEARS_OK)
        return no_memory(work);
    const struct tears_value lock = tears_text(t3_buf_str(&name));
    return run(work,
               TEARS_STR("SELECT pg_catalog.pg_advisory_xact_lock("
                         "pg_catalog.hashtextextended($1, 0)) IS NULL"),
               &lock, 1);
}

/* Runs `body` in a transaction of its own that only this call sees. */
static tears_status in_transaction(struct work *work, tears_status (*body)(struct work *work))
{
    struct t3_l3 *l3 = work->data->l3;
    struct t3_l3_tx *tx = NULL;
    const struct t3_l3_path *path = work->call.path;
    work->call.path = NULL;
    T3_TRY(l3->ops->begin(l3, &work->call, &tx));
    work->call.path = path;
    work->call.tx = tx;
    tears_status status = lock_schema(work);
    if (status == TEARS_OK)
        status = body(work);
    work->call.tx = NULL;
    if (status == TEARS_OK)
        return l3->ops->commit(l3, &work->call, tx);
    l3->ops->rollback(l3, tx);
    return status;
}

/* ---- what is there --------------------------------------------------------------------------- */

tears_status t3_store_describe(const struct tears_data *data, struct t3_l3_call *call,
                               struct tears_str table, struct tears_schema **schema_out)
{
    struct t3_table_place place;
    T3_TRY(t3_store_place(data, table, call->arena, &place, call->error));
    return data->l3->ops->describe(data->l3, call, place.table, TEARS_STR(""), TEARS_BYTES_BASE64,
                                   schema_out);
}

static tears_status compare(struct work *work, const struct tears_schema *found)
{
    struct tears_schema *shape = NULL;
    T3_TRY(t3_store_shape(work->data, &work->call, work->declared, &shape));
    const struct t3_store_comparison comparison = {.declared = work->declared,
                                                   .shape = shape,
                                                   .found = found,
                                                   .dialect = work->data->dialect,
                                                   .own_schema = work->data->schema};
    const tears_status status = t3_store_compare(&comparison, &work->differences);
    tears_schema_free(shape);
    return status == TEARS_OK ? TEARS_OK : no_memory(work);
}

static tears_status compare_with_found(struct work *work)
{
    struct tears_schema *found = NULL;
    T3_TRY(t3_store_describe(work->data, &work->call, work->table, &found));
    const tears_status status = compare(work, found);
    tears_schema_free(found);
    return status;
}

/* ---- making ---------------------------------------------------------------------------------- */

static tears_status make_table(struct work *work)
{
    const struct tears_str *statements = NULL;
    size_t count = 0;
    const tears_status status = t3_ddl_statements(work->declared, work->data->dialect,
                                                  work->call.arena, &statements, &count);
    if (status != TEARS_OK)
        return t3_session_status(work->session, status);
    for (size_t i = 0; i < count; i++)
        T3_TRY(run(work, statements[i], NULL, 0));
    work->created = true;
    return TEARS_OK;
}

/*
 * A table that somebody else made, with a migration or from Python, has no facts noted; where nothing else is in the comment's
 * place, the declaration's are.  SQLite's text cannot be added to.
 */
static tears_status note_facts(struct work *work)
{
    T3_AUTO(t3_buf_done) struct t3_buf facts = {0};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    if (work->data->dialect != T3_DIALECT_POSTGRESQL || !t3_facts_are_needed(work->declared))
        return TEARS_OK;
    if (t3_facts_put(work->declared, &facts) != TEARS_OK ||
        t3_put_identifier(&sql, work->table) != TEARS_OK)
        return no_memory(work);
    const struct tears_value params[] = {tears_text(t3_buf_str(&sql)),
                                         tears_text(t3_buf_str(&facts))};
    struct t3_result result;
    T3_TRY(work->data->l3->ops->query(
        work->data->l3, &work->call,
        TEARS_STR("SELECT format('COMMENT ON TABLE %s IS %L', $1::text, $2::text)"
                  " WHERE obj_description($1::regclass, 'pg_class') IS NULL"),
        params, T3_COUNT(params), &result));
    return result.row_count == 0 ? TEARS_OK : run(work, t3_result_text(&result, 0, 0), NULL, 0);
}

/* Whether the table is there, in so many words: NOT_FOUND leaves no error behind. */
static tears_status exists(struct work *work, bool *exists_out)
{
    struct tears_schema *found = NULL;
    const tears_status status = t3_store_describe(work->data, &work->call, work->table, &found);
    tears_schema_free(found);
    *exists_out = status == TEARS_OK;
    if (status == TEARS_NOT_FOUND)
        t3_error_clear(work->call.error);
    return status == TEARS_NOT_FOUND ? TEARS_OK : status;
}

static tears_status create(struct work *work)
{
    bool is_there = false;
    T3_TRY(exists(work, &is_there));
    if (is_there && work->options.must_create != 0)
        return t3_fail(work->call.error, TEARS_CONFLICT, STORE_ORIGIN,
                       "table '" T3_STR_FMT "' is there already", T3_STR_ARG(work->table));
    T3_TRY(is_there ? note_facts(work) : make_table(work));
    T3_TRY(compare_with_found(work));
    if (work->differences.count == 0)
        return TEARS_OK;
    return t3_store_fail_different(work->table, &work->differences, work->call.error);
}

/* ---- caches and collections ------------------------------------------------------------------- */

/* The rows of a table that has begun or ended leave every cache. */
static void forget(struct work *work, const struct t3_table_place *place)
{
    struct tears_client *client = work->data->client;
    struct tears_collection *known = t3_collection_lookup(client, place->name);
    if (known != NULL)
        t3_collection_retire(known);
    if (t3_table_forget(client, place->name, t3_deadline_in_ms(FORGET_MS), NULL) != TEARS_OK)
        work->session->degraded |= TEARS_DEGRADED_L2_WRITE;
}

/* A collection that was opened when the table was another one is not to be found any more. */
static tears_status retire_outdated(struct work *work, const struct t3_table_place *place)
{
    struct tears_collection *known = t3_collection_lookup(work->data->client, place->name);
    struct tears_schema *now = NULL;
    if (known == NULL)
        return TEARS_OK;
    struct t3_l3_call call = work->call;
    call.path = NULL; /* as the collection's schema was read */
    T3_TRY(place->l3->ops->describe(place->l3, &call, place->table, known->options.version_column,
                                    TEARS_BYTES_BASE64, &now));
    if (!t3_store_same_rows(known->schema, now))
        t3_collection_retire(known);
    tears_schema_free(now);
    return TEARS_OK;
}

static tears_status open_collection(struct work *work, const struct t3_table_place *place,
                                    struct tears_collection **collection_out)
{
    if (work->created)
        forget(work, place);
    else
        T3_TRY(retire_outdated(work, place));
    return t3_collection_open_at(work->data->client, place, work->options.collection,
                                 collection_out, work->call.error);
}

/* ---- the calls -------------------------------------------------------------------------------- */

static tears_status enter(struct tears_session *session, struct tears_data *data,
                          struct tears_str table, struct work *work)
{
    memset(work, 0, sizeof *work);
    T3_TRY(t3_session_enter(session));
    if (session->client != data->client)
        return t3_fail(&session->error, TEARS_MISUSE, STORE_ORIGIN,
                       "the session and the data store are of two clients");
    if (session->tx != NULL)
        return t3_fail(&session->error, TEARS_MISUSE, STORE_ORIGIN,
                       "tables are made and dropped in transactions of their own; one is open");
    T3_TRY(t3_store_check_name(table, &session->error));
    work->session = session;
    work->data = data;
    work->table = table;
    work->options.size = sizeof work->options;
    work->call = t3_store_call(data, session);
    work->differences.arena = &session->arena;
    return TEARS_OK;
}

static void give_result(const struct work *work, struct tears_collection *collection,
                        struct tears_table_result *result_out)
{
    const struct tears_table_result result = {.size = sizeof result,
                                              .collection = collection,
                                              .created = work->created ? 1 : 0,
                                              .differences = work->differences.list,
                                              .difference_count = work->differences.count};
    if (result_out != NULL)
        t3_sized_give(result_out, &result, sizeof result);
}

tears_status tears_data_create_table(tears_session *session, tears_data *data,
                                     const tears_schema *schema,
                                     const struct tears_table_options *options,
                                     struct tears_table_result *result_out)
{
    struct work work;
    struct t3_table_place place;
    struct tears_collection *collection = NULL;
    T3_TRY(enter(session, data, schema->name, &work));
    work.declared = schema;
    if (options != NULL)
        T3_TRY(t3_sized_copy(&work.options, sizeof work.options, options, STORE_ORIGIN,
                             &session->error));
    const struct tears_collection_options *opened = work.options.collection;
    if (opened != NULL && (opened->schema != NULL || opened->store != NULL))
        return t3_fail(&session->error, TEARS_INVALID, STORE_ORIGIN,
                       "the collection's options may have neither a schema nor a store");
    T3_TRY(t3_store_place(data, schema->name, &session->arena, &place, &session->error));
    tears_status status = t3_session_status(session, in_transaction(&work, create));
    if (status == TEARS_OK)
        status = open_collection(&work, &place, &collection);
    else
        work.created = false;
    give_result(&work, collection, result_out);
    return status;
}

tears_status tears_data_compare_table(tears_session *session, tears_data *data,
                                      const tears_schema *schema,
                                      struct tears_table_result *result_out)
{
    struct work work;
    T3_TRY(enter(session, data, schema->name, &work));
    work.declared = schema;
    T3_TRY(t3_session_status(session, in_transaction(&work, compare_with_found)));
    give_result(&work, NULL, result_out);
    return TEARS_OK;
}

static tears_status drop(struct work *work)
{
    struct t3_table_place place;
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    bool is_there = false;
    T3_TRY(exists(work, &is_there));
    if (!is_there)
        return t3_fail(work->call.error, TEARS_NOT_FOUND, STORE_ORIGIN,
                       "there is no table '" T3_STR_FMT "'", T3_STR_ARG(work->table));
    T3_TRY(t3_store_place(work->data, work->table, work->call.arena, &place, work->call.error));
    if (t3_buf_put(&sql, TEARS_STR("DROP TABLE ")) != TEARS_OK ||
        t3_put_table_name(&sql, place.table) != TEARS_OK)
        return no_memory(work);
    return run(work, t3_buf_str(&sql), NULL, 0);
}

tears_status tears_data_drop_table(tears_session *session, tears_data *data, struct tears_str table)
{
    struct work work;
    struct t3_table_place place;
    T3_TRY(enter(session, data, table, &work));
    T3_TRY(t3_store_place(data, table, &session->arena, &place, &session->error));
    T3_TRY(t3_defer_refuse(session, t3_collection_lookup(session->client, place.name)));
    T3_TRY(t3_session_status(session, in_transaction(&work, drop)));
    forget(&work, &place);
    return TEARS_OK;
}

tears_status tears_data_definition(tears_session *session, tears_data *data, struct tears_str table,
                                   struct tears_str *json_out, struct tears_str *inexact_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    T3_AUTO(t3_buf_done) struct t3_buf inexact = {0};
    struct tears_schema *schema = NULL;
    T3_TRY(t3_session_enter(session));
    struct t3_l3_call call = t3_store_call(data, session);
    T3_TRY(t3_session_status(session, t3_store_describe(data, &call, table, &schema)));
    tears_status status = t3_store_put_definition(schema, &json, &inexact, &session->error);
    tears_schema_free(schema);
    if (status == TEARS_OK)
        status = t3_arena_str(&session->arena, t3_buf_str(&json), json_out);
    if (status == TEARS_OK && inexact_out != NULL)
        status = t3_arena_str(&session->arena, t3_buf_str(&inexact), inexact_out);
    return t3_session_status(session, status);
}
