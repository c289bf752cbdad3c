/*
 * l3_admin_pg.c -- the administrative connection on PostgreSQL, and on YugabyteDB.
 *
 * Owns:     the connection, beside the pool.
 * Must not know: libpq, what the statements are for.
 * Threads:  one at a time.
 * Fails:    as l3_admin.h says.
 * Begin at: t3_admin_pg_open().
 *
 * The lock is an advisory one of the session: it ends with the connection, and it is held for as long as the server works
 * for it, also when the process that asked is gone.  So a statement that goes on after a crash keeps the next process out.
 * YugabyteDB releases without advisory locks have a row locked instead, by a transaction on a second connection.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "tier/l3_admin_impl.h"
#include "tier/l3_pg_impl.h"

#define ORIGIN T3_PG_ORIGIN

/* Next to those of the outbox: two numbers, the second the hash of the schema's name. */
#define LOCK_KEYS "1952801141, pg_catalog.hashtext($1)"

struct admin_pg {
    struct t3_admin base;
    struct t3_l3_pg *l3;
    struct t3_pg_conn *conn;
    struct t3_pg_conn
        *keeper; /* whose transaction is the lock, where there are no advisory locks; NULL: none */
    bool no_advisory;
};

static struct admin_pg *of(struct t3_admin *admin)
{
    return (struct admin_pg *)(void *)admin; /* `base` is the first member */
}

static const struct admin_pg *of_const(const struct t3_admin *admin)
{
    return (const struct admin_pg *)(const void *)admin;
}

/* ---- statements ---- */

/* One statement on a connection. */
struct question {
    struct t3_pg_conn *conn;
    const struct t3_admin_statement *statement;
    struct t3_arena *arena;
    struct t3_result *result_out;
};

static tears_status ask(struct admin_pg *pg, const struct question *question,
                        struct tears_error *error_out)
{
    struct t3_l3_call call = {
        .arena = question->arena, .deadline = pg->base.deadline, .error = error_out};
    struct t3_pg_work work = {.l3 = pg->l3,
                              .call = &call,
                              .conn = question->conn,
                              .pg = {.deadline = pg->base.deadline, .error = error_out}};
    if (!t3_pg_conn_is_alive(question->conn))
        return t3_fail(error_out, TEARS_UNAVAILABLE, ORIGIN,
                       "the connection to the database is lost");
    const struct t3_admin_statement *statement = question->statement;
    return t3_pg_work_query(&work, statement->sql, statement->params, statement->param_count,
                            question->result_out);
}

static tears_status ask_text(struct admin_pg *pg, struct t3_pg_conn *conn, const char *sql,
                             struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_result result = {0};
    const struct t3_admin_statement statement = {.sql = tears_str_c(sql)};
    const struct question question = {
        .conn = conn, .statement = &statement, .arena = &arena, .result_out = &result};
    return ask(pg, &question, error_out);
}

static tears_status pg_run(struct t3_admin *admin, const struct t3_admin_statement *statement,
                           struct t3_arena *arena, struct t3_result *result_out,
                           struct tears_error *error_out)
{
    struct admin_pg *pg = of(admin);
    struct tears_error error = {0};
    const struct question question = {
        .conn = pg->conn, .statement = statement, .arena = arena, .result_out = result_out};
    const bool alone = statement->only_reads && !t3_pg_conn_in_transaction(pg->conn);
    if (alone)
        T3_TRY(ask_text(pg, pg->conn, "BEGIN READ ONLY", error_out));
    const tears_status status = ask(pg, &question, &error);
    if (status != TEARS_OK && error.detail > 0 && error.sqlstate[0] != '\0')
        admin->position = (uint32_t)error.detail;
    if (status != TEARS_OK && error_out != NULL)
        *error_out = error;
    if (alone)
        t3_admin_rollback(admin);
    if (status == TEARS_DENIED && strcmp(error.sqlstate, "25006") == 0)
        return t3_fail_detail(error_out, TEARS_INVALID, ORIGIN, error.detail, error.sqlstate,
                              "only statements that read are allowed here: %s", error.message);
    return status;
}

/* ---- settings ---- */

/* What a connection of the pool begins with, and our search_path. */
static tears_status settle(struct admin_pg *pg, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_str path = pg->base.facts.search_path;
    struct tears_value value = path.len > 0 ? tears_text(path) : tears_null();
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT pg_catalog.set_config('datestyle', 'ISO', false),"
                         " pg_catalog.set_config('intervalstyle', 'postgres', false),"
                         " pg_catalog.set_config('search_path',"
                         " coalesce($1, pg_catalog.current_setting('search_path')), false)"),
        .params = &value,
        .param_count = 1};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->conn, .statement = &statement, .arena = &arena, .result_out = &result};
    return ask(pg, &question, error_out);
}

static tears_status pg_reset(struct t3_admin *admin, struct tears_error *error_out)
{
    struct admin_pg *pg = of(admin);
    if (pg->keeper != NULL) /* notices when it is lost, and the lock with it */
        T3_TRY(ask_text(pg, pg->keeper, "SET LOCAL statement_timeout = 0", error_out));
    T3_TRY(ask_text(pg, pg->conn, "RESET ALL", error_out));
    return settle(pg, error_out);
}

/* ---- state ---- */

static bool pg_is_alive(const struct t3_admin *admin)
{
    const struct admin_pg *pg = of_const(admin);
    return t3_pg_conn_is_alive(pg->conn) && (pg->keeper == NULL || t3_pg_conn_is_alive(pg->keeper));
}

static void pg_set_deadline(struct t3_admin *admin, struct t3_deadline deadline)
{
    (void)admin;
    (void)deadline; /* each call takes the one in `base` */
}

static bool pg_in_transaction(const struct t3_admin *admin)
{
    return t3_pg_conn_in_transaction(of_const(admin)->conn);
}

/* ---- the lock ---- */

static tears_status try_advisory(struct admin_pg *pg, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_value name = tears_text(pg->base.facts.schema);
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT pg_catalog.pg_try_advisory_lock(" LOCK_KEYS ")"),
        .params = &name,
        .param_count = 1};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->conn, .statement = &statement, .arena = &arena, .result_out = &result};
    T3_TRY(ask(pg, &question, error_out));
    return result.row_count == 1 && t3_result_truth(&result, 0, 0) ? TEARS_OK : TEARS_CONFLICT;
}

static const char *const lock_table_sql =
    "CREATE TABLE IF NOT EXISTS _tears_migration_lock (one INTEGER PRIMARY KEY)";

/* Two processes may make the table at once; PostgreSQL then fails one of them in one of three ways. */
static bool is_race_of_creators(const struct tears_error *error)
{
    return strcmp(error->sqlstate, "23505") == 0 || strcmp(error->sqlstate, "42P07") == 0 ||
           strcmp(error->sqlstate, "42710") == 0;
}

static tears_status settle_keeper(struct admin_pg *pg, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_str path = pg->base.facts.search_path;
    struct tears_value value = path.len > 0 ? tears_text(path) : tears_null();
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR(
            "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),"
            " pg_catalog.set_config('search_path',"
            " coalesce($1, pg_catalog.current_setting('search_path')), false)"),
        .params = &value,
        .param_count = 1};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->keeper, .statement = &statement, .arena = &arena, .result_out = &result};
    return ask(pg, &question, error_out);
}

static tears_status open_keeper(struct admin_pg *pg, struct tears_error *error_out)
{
    struct tears_error error = {0};
    tears_status status = ask_text(pg, pg->conn, lock_table_sql, &error);
    if (status != TEARS_OK && !is_race_of_creators(&error)) {
        if (error_out != NULL)
            *error_out = error;
        return status;
    }
    T3_TRY(ask_text(pg, pg->conn,
                    "INSERT INTO _tears_migration_lock (one) VALUES (1) ON CONFLICT DO NOTHING",
                    error_out));
    struct t3_pg_call call = {.deadline = pg->base.deadline, .error = error_out};
    T3_TRY(t3_pg_connect(pg->l3->pool, &call, &pg->keeper));
    return settle_keeper(pg, error_out);
}

static void close_keeper(struct admin_pg *pg)
{
    t3_pg_disconnect(pg->keeper);
    pg->keeper = NULL;
}

/* Holds a row by a transaction that stays open. */
static tears_status try_row(struct admin_pg *pg, struct tears_error *error_out)
{
    if (pg->keeper == NULL) {
        const tears_status status = open_keeper(pg, error_out);
        if (status != TEARS_OK) {
            close_keeper(pg);
            return status;
        }
    }
    T3_TRY(ask_text(pg, pg->keeper, "BEGIN", error_out));
    tears_status status = ask_text(
        pg, pg->keeper, "SELECT one FROM _tears_migration_lock FOR UPDATE NOWAIT", error_out);
    /* The server keeps a statement's snapshot until the next one; building an index concurrently would wait for it. */
    if (status == TEARS_OK)
        status = ask_text(pg, pg->keeper, "SET LOCAL statement_timeout = 0", error_out);
    if (status != TEARS_OK)
        (void)ask_text(pg, pg->keeper, "ROLLBACK", NULL); /* fails only with the connection */
    return status;
}

static tears_status pg_try_lock(struct t3_admin *admin, struct tears_error *error_out)
{
    struct admin_pg *pg = of(admin);
    if (!pg->no_advisory) {
        const tears_status status = try_advisory(pg, error_out);
        if (status != TEARS_UNSUPPORTED)
            return status;
        pg->no_advisory = true;
    }
    return try_row(pg, error_out);
}

static void pg_unlock(struct t3_admin *admin)
{
    struct admin_pg *pg = of(admin);
    close_keeper(pg);
    if (pg->no_advisory || !t3_pg_conn_is_alive(pg->conn))
        return;
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_value name = tears_text(pg->base.facts.schema);
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT pg_catalog.pg_advisory_unlock(" LOCK_KEYS ")"),
        .params = &name,
        .param_count = 1};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->conn, .statement = &statement, .arena = &arena, .result_out = &result};
    if (ask(pg, &question, NULL) != TEARS_OK)
        t3_pg_conn_abandon(pg->conn); /* it ends with the connection */
}

static void pg_close(struct t3_admin *admin)
{
    struct admin_pg *pg = of(admin);
    close_keeper(pg);
    t3_pg_disconnect(pg->conn);
    t3_free(pg);
}

static const struct t3_admin_ops ops = {.close = pg_close,
                                        .is_alive = pg_is_alive,
                                        .set_deadline = pg_set_deadline,
                                        .run = pg_run,
                                        .reset = pg_reset,
                                        .in_transaction = pg_in_transaction,
                                        .try_lock = pg_try_lock,
                                        .unlock = pg_unlock,
                                        .begin = {"BEGIN", 5},
                                        .begin_read = {"BEGIN READ ONLY", 15}};

/* ---- opening ---- */

/*
 * Whether there is such a schema, and what the path is then: the schema, and behind it those in which extensions are installed,
 * so that their types are found.  `public` is in it only when an extension is.
 */
static const char *const path_sql =
    "SELECT (SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1),"
    " pg_catalog.quote_ident($1) || coalesce((SELECT pg_catalog.string_agg(DISTINCT"
    " ', ' || pg_catalog.quote_ident(n.nspname), '')"
    " FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
    " WHERE n.nspname NOT IN ('pg_catalog', $1)), '')";

static tears_status create_schema(struct admin_pg *pg, struct tears_str schema,
                                  struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    tears_status status = t3_buf_put(&sql, TEARS_STR("CREATE SCHEMA IF NOT EXISTS \""));
    for (size_t i = 0; i < schema.len && status == TEARS_OK; i++) {
        if (schema.ptr[i] == '"')
            status = t3_buf_put_char(&sql, '"');
        if (status == TEARS_OK)
            status = t3_buf_put_char(&sql, schema.ptr[i]);
    }
    if (status == TEARS_OK)
        status = t3_buf_put_char(&sql, '"');
    if (status != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    struct tears_error error = {0};
    status = ask_text(pg, pg->conn, sql.ptr, &error);
    if (status == TEARS_OK || is_race_of_creators(&error) || strcmp(error.sqlstate, "42P06") == 0)
        return TEARS_OK;
    if (error_out != NULL)
        *error_out = error;
    return status;
}

static tears_status choose_schema(struct admin_pg *pg, const struct t3_admin_options *options,
                                  struct tears_error *error_out)
{
    struct t3_admin *admin = &pg->base;
    admin->facts.search_path = TEARS_STR("");
    if (options->schema.len == 0)
        return settle(pg, error_out);
    if (options->schema.len > 63 || memchr(options->schema.ptr, '\0', options->schema.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                       "a schema's name may have 1 to 63 bytes and no NUL; '" T3_STR_FMT
                       "' has %zu",
                       T3_STR_ARG(options->schema), options->schema.len);
    struct tears_value name = tears_text(options->schema);
    const struct t3_admin_statement statement = {
        .sql = tears_str_c(path_sql), .params = &name, .param_count = 1};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->conn, .statement = &statement, .arena = &admin->arena, .result_out = &result};
    T3_TRY(ask(pg, &question, error_out));
    if (result.row_count == 1 && t3_result_number(&result, 0, 0) == 0) {
        if (!options->create_schema)
            return t3_fail(error_out, TEARS_NOT_FOUND, ORIGIN,
                           "the database has no schema '" T3_STR_FMT "'",
                           T3_STR_ARG(options->schema));
        T3_TRY(create_schema(pg, options->schema, error_out));
    }
    admin->facts.search_path = t3_result_text(&result, 0, 1);
    return settle(pg, error_out);
}

static tears_status learn_facts(struct admin_pg *pg, struct tears_error *error_out)
{
    struct t3_admin *admin = &pg->base;
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT pg_catalog.current_setting('server_version_num')::int8,"
                         " current_schema()::text, version()")};
    struct t3_result result = {0};
    const struct question question = {
        .conn = pg->conn, .statement = &statement, .arena = &admin->arena, .result_out = &result};
    T3_TRY(ask(pg, &question, error_out));
    const struct tears_str schema = t3_result_text(&result, 0, 1);
    if (schema.len == 0)
        return t3_fail(error_out, TEARS_NOT_FOUND, ORIGIN,
                       "no schema of search_path exists, so there is none to work on");
    struct t3_admin_facts *facts = &admin->facts;
    facts->dialect = T3_DIALECT_POSTGRESQL;
    facts->schema = schema;
    facts->file = TEARS_STR("");
    facts->version = (uint32_t)t3_result_number(&result, 0, 0);
    /* "PostgreSQL 11.2-YB-2.20.1.0-b97 on x86_64-pc-linux-gnu ..." */
    facts->is_yugabyte = strstr(t3_result_text(&result, 0, 2).ptr, "-YB-") != NULL;
    facts->has_transactional_ddl = !facts->is_yugabyte;
    return TEARS_OK;
}

tears_status t3_admin_pg_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                              struct t3_admin **admin_out, struct tears_error *error_out)
{
    struct admin_pg *pg = t3_alloc_zero(1, sizeof *pg);
    if (pg == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    pg->base.ops = &ops;
    pg->base.deadline = options->deadline;
    pg->l3 = (struct t3_l3_pg *)(void *)l3; /* `base` is the first member */
    struct t3_pg_call call = {.deadline = options->deadline, .error = error_out};
    tears_status status = t3_pg_connect(pg->l3->pool, &call, &pg->conn);
    if (status == TEARS_OK && options->scratch)
        status = ask_text(pg, pg->conn, "BEGIN", error_out);
    if (status == TEARS_OK)
        status = choose_schema(pg, options, error_out);
    if (status == TEARS_OK)
        status = learn_facts(pg, error_out);
    if (status != TEARS_OK) {
        t3_admin_free(&pg->base);
        return status;
    }
    *admin_out = &pg->base;
    return TEARS_OK;
}
