/*
 * l3_pg_outbox.c -- puts the outbox and its triggers into a PostgreSQL database, takes them out, says what is there.
 *
 * Owns:     the table tears_outbox, triggers tears_outbox_*, functions tears_outbox_* in the table's schema.
 * Must not know: what is done about the notes (l3_pg_outbox_tail.c reads them, core acts).
 * Threads:  any.
 * Fails:    TEARS_NOT_FOUND, TEARS_INVALID, TEARS_DENIED; else as tier/l3.h says.  What failed has changed nothing.
 * Begin at: t3_l3_pg_outbox.
 *
 * The functions run with the rights of whoever installed them, so that programs that may write a table need no right to the
 * outbox.  The outbox is found along search_path, as tables are; it is made in the first schema of it.
 */
#include "tier/l3_pg_outbox_impl.h"

#include "base/str.h"
#include "schema/names.h"

#define OUTBOX_TABLE "tears_outbox"

enum { FIND_ID, FIND_NAME, FIND_SCHEMA };

/* ---- statements --------------------------------------------------------------------------------
 */

/* Vacuumed by number of notes: as a queue the table is mostly empty, and would be looked at too late. */
static const char create_sql[] =
    "CREATE TABLE tears_outbox ("
    " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " table_name text NOT NULL,"
    " op \"char\" NOT NULL," /* I, U, D; T: all rows */
    " ids text[],"
    " version text,"
    " at timestamptz NOT NULL DEFAULT clock_timestamp())"
    " WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)";

static const char comment_sql[] =
    "COMMENT ON TABLE tears_outbox IS"
    " 'Keys of changed rows, on their way to the caches (tears outbox --help)'";

/* A table, the function of its triggers and what that says, the name in its arguments, the number of triggers. */
static const char table_sql[] =
    "SELECT c.oid::regclass::text, c.relkind = 'p', coalesce(f.function, ''), coalesce(f.body, ''),"
    " coalesce(f.name, ''), coalesce(f.count, 0)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN LATERAL (SELECT min(p.oid::regproc::text) AS function, min(p.prosrc) AS body,"
    " min(convert_from(substring(t.tgargs FROM 1 FOR position('\\x00'::bytea IN t.tgargs) - 1),"
    " getdatabaseencoding())) AS name, count(*) AS count"
    " FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"
    " WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgname LIKE 'tears\\_outbox\\_%'"
    " AND t.tgnargs = 1) f ON true"
    " WHERE c.relname = $2 AND c.relkind IN ('r', 'p')"
    " AND CASE WHEN $1 = '' THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $1 END";

enum { TABLE_NAME, TABLE_PARTITIONED, TABLE_FUNCTION, TABLE_BODY, TABLE_ARGUMENT, TABLE_TRIGGERS };

/* Names of the tables whose triggers write into this outbox; each has one for TRUNCATE. */
static const char tables_sql[] =
    "SELECT DISTINCT convert_from(substring(t.tgargs FROM 1 FOR"
    " position('\\x00'::bytea IN t.tgargs) - 1), getdatabaseencoding()) COLLATE \"C\""
    " FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"
    " JOIN pg_catalog.pg_class o ON o.relnamespace = p.pronamespace"
    " WHERE o.oid = $1::int8::oid AND t.tgname = 'tears_outbox_truncate' AND NOT t.tgisinternal"
    " AND t.tgenabled <> 'D' AND t.tgnargs = 1 ORDER BY 1";

static const char tailer_sql[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory'"
    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
    " WHERE d.datname = pg_catalog.current_database())"
    " AND l.classid = " T3_OUTBOX_LOCK_TAILER "::int8::oid AND l.objid = $1::int8::oid"
    " AND l.objsubid = 2 AND l.granted)";

/* Functions of this outbox, with the tables that still use them; tables that were dropped left theirs behind. */
static const char functions_sql[] =
    "SELECT p.oid::regproc::text FROM pg_catalog.pg_proc p"
    " JOIN pg_catalog.pg_class o ON o.relnamespace = p.pronamespace"
    " WHERE o.oid = $1::int8::oid AND p.proname LIKE 'tears\\_outbox\\_%'"
    " AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype ORDER BY 1";

/* ---- asking ------------------------------------------------------------------------------------
 */

/* A question about an outbox, by its object id. */
static tears_status ask(struct t3_l3 *l3, struct t3_l3_call *call, const char *sql, int64_t id,
                        struct t3_result *result_out)
{
    const struct tears_value parameter = tears_int(id);
    return t3_l3_pg_query(l3, call, tears_str_c(sql), &parameter, 1, result_out);
}

static tears_status run(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql)
{
    struct t3_result ignored;
    return t3_l3_pg_query(l3, call, sql, NULL, 0, &ignored);
}

static tears_status find_outbox(struct t3_l3 *l3, struct t3_l3_call *call,
                                struct t3_outbox_place *place_out)
{
    struct t3_result result;
    memset(place_out, 0, sizeof *place_out);
    T3_TRY(t3_l3_pg_query(l3, call, TEARS_STR(T3_OUTBOX_FIND_SQL), NULL, 0, &result));
    if (result.row_count == 0)
        return TEARS_OK;
    place_out->id = t3_result_number(&result, 0, FIND_ID);
    place_out->name = t3_result_text(&result, 0, FIND_NAME);
    place_out->schema = t3_result_text(&result, 0, FIND_SCHEMA);
    return TEARS_OK;
}

/* The texts of a result's first column. */
static tears_status names_of(struct t3_l3_call *call, const struct t3_result *result,
                             const struct tears_str **names_out)
{
    struct tears_str *names = t3_arena_array(call->arena, result->row_count, sizeof *names);
    if (names == NULL)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    for (size_t i = 0; i < result->row_count; i++)
        names[i] = t3_result_text(result, i, 0);
    *names_out = names;
    return TEARS_OK;
}

/* ---- a table -----------------------------------------------------------------------------------
 */

/* A table as it is now: what of it is ours already. */
struct target {
    struct tears_str given; /* the name the collection has */
    struct tears_str table; /* quoted as SQL needs it */
    bool is_partitioned;
    struct tears_str function; /* "" none: its quoted name */
    struct tears_str body;
    struct tears_str argument;
    int64_t triggers;
};

static tears_status find_target(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str name,
                                struct target *target_out)
{
    const char *point = name.len > 0 ? memchr(name.ptr, '.', name.len) : NULL;
    const size_t at = point != NULL ? (size_t)(point - name.ptr) : 0;
    const struct tears_value params[] = {
        tears_text(tears_str_n(name.ptr, at)),
        tears_text(point != NULL ? t3_str_from(name, at + 1) : name),
    };
    struct t3_result result;
    T3_TRY(t3_l3_pg_query(l3, call, tears_str_c(table_sql), params, 2, &result));
    if (result.row_count == 0)
        return t3_fail(call->error, TEARS_NOT_FOUND, T3_PG_ORIGIN,
                       "there is no table '" T3_STR_FMT "' in the database", T3_STR_ARG(name));
    target_out->given = name;
    target_out->table = t3_result_text(&result, 0, TABLE_NAME);
    target_out->is_partitioned = t3_result_truth(&result, 0, TABLE_PARTITIONED);
    target_out->function = t3_result_text(&result, 0, TABLE_FUNCTION);
    target_out->body = t3_result_text(&result, 0, TABLE_BODY);
    target_out->argument = t3_result_text(&result, 0, TABLE_ARGUMENT);
    target_out->triggers = t3_result_number(&result, 0, TABLE_TRIGGERS);
    return TEARS_OK;
}

static const struct {
    const char *name;
    const char *by_statement;
    const char *by_row;
} triggers[] = {
    {"tears_outbox_insert",
     "AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT",
     "AFTER INSERT ON %s FOR EACH ROW"},
    {"tears_outbox_update",
     "AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH "
     "STATEMENT",
     "AFTER UPDATE ON %s FOR EACH ROW"},
    {"tears_outbox_delete",
     "AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT",
     "AFTER DELETE ON %s FOR EACH ROW"},
    {"tears_outbox_truncate", "AFTER TRUNCATE ON %s FOR EACH STATEMENT",
     "AFTER TRUNCATE ON %s FOR EACH STATEMENT"},
};

static tears_status drop_triggers(struct t3_l3 *l3, struct t3_l3_call *call,
                                  const struct target *target)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    for (size_t i = 0; target->triggers > 0 && i < T3_COUNT(triggers); i++) {
        t3_buf_clear(&sql);
        T3_TRY(t3_buf_printf(&sql, "DROP TRIGGER IF EXISTS %s ON ", triggers[i].name));
        T3_TRY(t3_buf_put(&sql, target->table));
        T3_TRY(run(l3, call, t3_buf_str(&sql)));
    }
    return TEARS_OK;
}

/* Puts a pattern with the table in the place of its %s. */
static tears_status put_pattern(struct t3_buf *sql, const char *pattern, struct tears_str table)
{
    const char *place = strstr(pattern, "%s");
    T3_ASSERT(place != NULL);
    T3_TRY(t3_buf_put(sql, tears_str_n(pattern, (size_t)(place - pattern))));
    T3_TRY(t3_buf_put(sql, table));
    return t3_buf_put(sql, tears_str_c(place + 2));
}

/* The table's name needs no escape: it can be part of an L2 key, so no quote is in it. */
static tears_status create_triggers(struct t3_l3 *l3, struct t3_l3_call *call,
                                    const struct target *target, struct tears_str function)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    for (size_t i = 0; i < T3_COUNT(triggers); i++) {
        t3_buf_clear(&sql);
        T3_TRY(t3_buf_printf(&sql, "CREATE TRIGGER %s ", triggers[i].name));
        T3_TRY(put_pattern(&sql,
                           target->is_partitioned ? triggers[i].by_row : triggers[i].by_statement,
                           target->table));
        T3_TRY(t3_buf_put(&sql, TEARS_STR(" EXECUTE FUNCTION ")));
        T3_TRY(t3_buf_put(&sql, function));
        T3_TRY(t3_buf_put(&sql, TEARS_STR("('")));
        T3_TRY(t3_buf_put(&sql, target->given));
        T3_TRY(t3_buf_put(&sql, TEARS_STR("')")));
        T3_TRY(run(l3, call, t3_buf_str(&sql)));
    }
    return TEARS_OK;
}

/*
 * `name` is quoted already.  The settings make texts the same whoever changes the table, and search_path keeps others from
 * putting functions of theirs in the way of one that has its maker's rights.
 */
static tears_status create_function(struct t3_l3 *l3, struct t3_l3_call *call,
                                    struct tears_str name, struct tears_str body)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    char tag[37];
    uint8_t uuid[16];
    tears_uuid_new(uuid); /* a dollar quote that is in no column's name */
    tears_uuid_text(uuid, tag);
    for (char *at = tag; *at != '\0'; at++)
        *at = *at == '-' ? '_' : *at;
    T3_TRY(t3_buf_put(&sql, TEARS_STR("CREATE OR REPLACE FUNCTION ")));
    T3_TRY(t3_buf_put(&sql, name));
    T3_TRY(t3_buf_printf(&sql,
                         "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
                         " SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO'"
                         " SET timezone = 'UTC' SET intervalstyle = 'postgres'"
                         " SET bytea_output = 'hex' SET extra_float_digits = 3"
                         " AS $t%s$",
                         tag));
    T3_TRY(t3_buf_put(&sql, body));
    T3_TRY(t3_buf_printf(&sql, "$t%s$", tag));
    T3_TRY(run(l3, call, t3_buf_str(&sql)));
    t3_buf_clear(&sql);
    T3_TRY(t3_buf_put(&sql, TEARS_STR("REVOKE ALL ON FUNCTION ")));
    T3_TRY(t3_buf_put(&sql, name));
    T3_TRY(t3_buf_put(&sql, TEARS_STR("() FROM PUBLIC")));
    return run(l3, call, t3_buf_str(&sql));
}

static tears_status drop_function(struct t3_l3 *l3, struct t3_l3_call *call,
                                  struct tears_str function)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    if (function.len == 0)
        return TEARS_OK;
    T3_TRY(t3_buf_put(&sql, TEARS_STR("DROP FUNCTION IF EXISTS ")));
    T3_TRY(t3_buf_put(&sql, function));
    T3_TRY(t3_buf_put(&sql, TEARS_STR("()")));
    return run(l3, call, t3_buf_str(&sql));
}

/* A name of its own for each function: one made from the table's could be in use by a table that was renamed. */
static tears_status put_new_name(const struct t3_outbox_place *outbox, struct t3_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t uuid[16];
    char random[17] = {0};
    tears_uuid_new(uuid);
    for (size_t i = 0; i < 8; i++) { /* the second half of it is random */
        random[2 * i] = digits[uuid[8 + i] >> 4];
        random[2 * i + 1] = digits[uuid[8 + i] & 15];
    }
    T3_TRY(t3_buf_put(out, outbox->schema));
    return t3_buf_printf(out, ".tears_outbox_%s", random);
}

static bool is_done_already(const struct target *target, struct tears_str body)
{
    return target->triggers == (int64_t)T3_COUNT(triggers) &&
           t3_str_equal(target->argument, target->given) && t3_str_equal(target->body, body);
}

static tears_status install_function(struct t3_l3 *l3, struct t3_l3_call *call,
                                     const struct t3_outbox_function *function,
                                     const struct target *target)
{
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    T3_TRY(t3_outbox_put_body(function, &body));
    if (is_done_already(target, t3_buf_str(&body)))
        return TEARS_OK;
    T3_TRY(put_new_name(function->outbox, &name));
    T3_TRY(create_function(l3, call, t3_buf_str(&name), t3_buf_str(&body)));
    T3_TRY(drop_triggers(l3, call, target));
    T3_TRY(drop_function(l3, call, target->function));
    return create_triggers(l3, call, target, t3_buf_str(&name));
}

static tears_status install_on(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct t3_outbox_place *outbox, struct tears_str name)
{
    struct target target = {0};
    if (!t3_kv_key_is_valid(name))
        return t3_fail(call->error, TEARS_INVALID, T3_PG_ORIGIN,
                       "table '" T3_STR_FMT "' has a name that cannot be part of an L2 key, so "
                       "there is nothing to correct",
                       T3_STR_ARG(name));
    struct tears_schema *schema = NULL;
    T3_TRY(t3_l3_pg_describe(l3, call, name, TEARS_STR(""), TEARS_BYTES_BASE64, &schema));
    tears_status status = find_target(l3, call, name, &target);
    if (status == TEARS_OK) {
        const struct t3_outbox_function function = {
            .outbox = outbox, .schema = schema, .by_row = target.is_partitioned};
        status = install_function(l3, call, &function, &target);
    }
    tears_schema_free(schema);
    return status == TEARS_NO_MEMORY ? t3_fail_memory(call->error, T3_PG_ORIGIN) : status;
}

/* ---- all of it, in one transaction -------------------------------------------------------------
 */

struct tables {
    const struct tears_str *names;
    size_t count;
};

static tears_status install_all(struct t3_l3 *l3, struct t3_l3_call *call,
                                const struct tables *tables)
{
    struct t3_outbox_place outbox;
    T3_TRY(run(l3, call, TEARS_STR("SELECT pg_advisory_xact_lock(" T3_OUTBOX_LOCK_INSTALLER ")")));
    T3_TRY(find_outbox(l3, call, &outbox));
    if (outbox.id == 0) {
        T3_TRY(run(l3, call, tears_str_c(create_sql)));
        T3_TRY(run(l3, call, tears_str_c(comment_sql)));
        T3_TRY(find_outbox(l3, call, &outbox));
    }
    for (size_t i = 0; i < tables->count; i++)
        T3_TRY(install_on(l3, call, &outbox, tables->names[i]));
    return TEARS_OK;
}

static tears_status remove_from(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str name)
{
    struct target target = {0};
    T3_TRY(find_target(l3, call, name, &target));
    const tears_status status = drop_triggers(l3, call, &target);
    return status == TEARS_OK ? drop_function(l3, call, target.function) : status;
}

/* The functions take their triggers with them. */
static tears_status remove_outbox(struct t3_l3 *l3, struct t3_l3_call *call,
                                  const struct t3_outbox_place *outbox)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    struct t3_result functions;
    T3_TRY(ask(l3, call, functions_sql, outbox->id, &functions));
    for (size_t i = 0; i < functions.row_count; i++) {
        t3_buf_clear(&sql);
        T3_TRY(t3_buf_put(&sql, TEARS_STR("DROP FUNCTION ")));
        T3_TRY(t3_buf_put(&sql, t3_result_text(&functions, i, 0)));
        T3_TRY(t3_buf_put(&sql, TEARS_STR("() CASCADE")));
        T3_TRY(run(l3, call, t3_buf_str(&sql)));
    }
    t3_buf_clear(&sql);
    T3_TRY(t3_buf_put(&sql, TEARS_STR("DROP TABLE ")));
    T3_TRY(t3_buf_put(&sql, outbox->name));
    return run(l3, call, t3_buf_str(&sql));
}

static tears_status remove_all(struct t3_l3 *l3, struct t3_l3_call *call,
                               const struct tables *tables)
{
    struct t3_outbox_place outbox;
    T3_TRY(run(l3, call, TEARS_STR("SELECT pg_advisory_xact_lock(" T3_OUTBOX_LOCK_INSTALLER ")")));
    for (size_t i = 0; i < tables->count; i++)
        T3_TRY(remove_from(l3, call, tables->names[i]));
    if (tables->count > 0)
        return TEARS_OK;
    T3_TRY(find_outbox(l3, call, &outbox));
    return outbox.id != 0 ? remove_outbox(l3, call, &outbox) : TEARS_OK;
}

typedef tears_status (*change_fn)(struct t3_l3 *l3, struct t3_l3_call *call,
                                  const struct tables *tables);

/* In the caller's transaction, or in one of its own. */
static tears_status change(struct t3_l3 *l3, struct t3_l3_call *call, change_fn fn,
                           const struct tables *tables)
{
    tears_status status = TEARS_OK;
    const bool own = call->tx == NULL;
    if (own)
        T3_TRY(l3->ops->begin(l3, call, &call->tx));
    status = fn(l3, call, tables);
    if (!own)
        return status;
    struct t3_l3_tx *tx = T3_TAKE(call->tx);
    if (status == TEARS_OK)
        return l3->ops->commit(l3, call, tx);
    l3->ops->rollback(l3, tx);
    return status == TEARS_NO_MEMORY ? t3_fail_memory(call->error, T3_PG_ORIGIN) : status;
}

static tears_status install(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct tears_str *names, size_t count)
{
    const struct tables tables = {names, count};
    return change(l3, call, install_all, &tables);
}

static tears_status remove_tables(struct t3_l3 *l3, struct t3_l3_call *call,
                                  const struct tears_str *names, size_t count)
{
    const struct tables tables = {names, count};
    return change(l3, call, remove_all, &tables);
}

/* ---- looking -----------------------------------------------------------------------------------
 */

static tears_status look_at(struct t3_l3 *l3, struct t3_l3_call *call,
                            const struct t3_outbox_place *outbox,
                            struct t3_l3_outbox_look *look_out)
{
    struct t3_result tables;
    struct t3_result tailer;
    T3_TRY(ask(l3, call, tables_sql, outbox->id, &tables));
    T3_TRY(ask(l3, call, tailer_sql, outbox->id, &tailer));
    T3_TRY(names_of(call, &tables, &look_out->tables));
    look_out->table_count = tables.row_count;
    look_out->has_tailer = tailer.row_count > 0 && t3_result_truth(&tailer, 0, 0);
    look_out->is_installed = true;
    return TEARS_OK;
}

static tears_status look(struct t3_l3 *l3, struct t3_l3_call *call,
                         struct t3_l3_outbox_look *look_out)
{
    struct t3_outbox_place outbox;
    memset(look_out, 0, sizeof *look_out);
    T3_TRY(find_outbox(l3, call, &outbox));
    return outbox.id != 0 ? look_at(l3, call, &outbox, look_out) : TEARS_OK;
}

static tears_status status_of(struct t3_l3 *l3, struct t3_l3_call *call,
                              struct tears_outbox_status *status_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    struct t3_outbox_place outbox;
    struct t3_l3_outbox_look seen = {0};
    struct t3_result waiting;
    T3_TRY(find_outbox(l3, call, &outbox));
    if (outbox.id == 0)
        return TEARS_OK;
    T3_TRY(look_at(l3, call, &outbox, &seen));
    if (t3_buf_printf(&sql,
                      "SELECT count(*), coalesce((extract(epoch FROM clock_timestamp() - min(at))"
                      " * 1000)::int8, 0) FROM ") != TEARS_OK ||
        t3_buf_put(&sql, outbox.name) != TEARS_OK)
        return t3_fail_memory(call->error, T3_PG_ORIGIN);
    T3_TRY(t3_l3_pg_query(l3, call, t3_buf_str(&sql), NULL, 0, &waiting));
    const int64_t oldest_ms = t3_result_number(&waiting, 0, 1);
    status_out->installed = 1;
    status_out->waiting = (uint64_t)t3_result_number(&waiting, 0, 0);
    status_out->oldest_ms = oldest_ms > 0 ? (uint64_t)oldest_ms : 0;
    status_out->has_tailer = seen.has_tailer;
    status_out->tables = seen.tables;
    status_out->table_count = seen.table_count;
    return TEARS_OK;
}

const struct t3_l3_outbox_ops t3_l3_pg_outbox = {
    .install = install,
    .remove = remove_tables,
    .status = status_of,
    .look = look,
    .tail_open = t3_l3_pg_tail_open,
    .tail_wait = t3_l3_pg_tail_wait,
    .tail_take = t3_l3_pg_tail_take,
    .tail_done = t3_l3_pg_tail_done,
    .tail_free = t3_l3_pg_tail_free,
};
