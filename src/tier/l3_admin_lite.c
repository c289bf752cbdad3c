/*
 * l3_admin_lite.c -- the administrative connection on SQLite: the client's file, or a schema's file beside it.
 *
 * Owns:     the connection and the lock file's descriptor.
 * Must not know: what the statements are for.
 * Threads:  one at a time.
 * Fails:    as l3_admin.h says.
 * Begin at: t3_admin_lite_open().
 *
 * Why a file instead of ATTACH: in SQLite a name that is not qualified is made in `main`, whatever is attached.  With the
 * schema's file as `main`, SQL that does not name its schema means the right one, as with PostgreSQL's search_path.
 *
 * The lock is on a file beside the database's own, "PATH.migrate-lock".  SQLite's write lock would be lost between two
 * transactions; and a file of SQLite's may not be opened behind its back, for closing it drops SQLite's locks.  A database
 * in memory belongs to one process, where the write lock of each transaction has to do.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/file_lock.h"
#include "base/str.h"
#include "tier/l3_admin_impl.h"
#include "tier/l3_lite_impl.h"
#include "tier/result_lite.h"

#define ORIGIN L3_LITE_ORIGIN

enum { NO_LOCK = -1 };

struct admin_lite {
    struct t3_admin base;
    struct t3_lite_conn *conn;
    struct tears_str lock_path; /* "": a database in memory */
    int lock_fd;
};

static struct admin_lite *of(struct t3_admin *admin)
{
    return (struct admin_lite *)(void *)admin; /* `base` is the first member */
}

static const struct admin_lite *of_const(const struct t3_admin *admin)
{
    return (const struct admin_lite *)(const void *)admin;
}

tears_status t3_admin_lite_path(struct tears_str path, struct tears_str schema, struct t3_buf *out)
{
    T3_TRY(t3_buf_put(out, path));
    T3_TRY(t3_buf_put_char(out, '.'));
    return t3_buf_put(out, schema);
}

/* ---- statements ---- */

/* Characters before the byte, counted from 1. */
static uint32_t position_of(struct tears_str sql, int offset)
{
    if (offset < 0 || (size_t)offset > sql.len)
        return 0;
    uint32_t position = 1;
    for (int i = 0; i < offset; i++)
        if (((uint8_t)sql.ptr[i] & 0xC0) != 0x80)
            position++;
    return position;
}

static tears_status run_prepared(struct admin_lite *lite,
                                 const struct t3_admin_statement *statement, struct t3_arena *arena,
                                 struct t3_result *result_out, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = t3_lite_find(lite->conn, statement->sql);
    if (stmt == NULL) {
        const struct t3_lite_sql sql = {.key = statement->sql, .sql = statement->sql};
        T3_TRY(t3_lite_prepare(lite->conn, &sql, &stmt, error_out));
    }
    if (statement->only_reads && !t3_lite_is_readonly(stmt))
        return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                       "only statements that read are allowed here");
    T3_TRY(
        t3_lite_bind_numbered(stmt, statement->params, statement->param_count, arena, error_out));
    const uint64_t before = t3_lite_total_changes(lite->conn);
    T3_TRY(t3_result_collect(stmt, arena, result_out, error_out));
    if (result_out->column_count == 0) /* the count of changes stays as it was after CREATE */
        result_out->affected =
            t3_lite_total_changes(lite->conn) == before ? 0 : t3_lite_changes(lite->conn);
    return TEARS_OK;
}

static tears_status lite_run(struct t3_admin *admin, const struct t3_admin_statement *statement,
                             struct t3_arena *arena, struct t3_result *result_out,
                             struct tears_error *error_out)
{
    struct admin_lite *lite = of(admin);
    const tears_status status = run_prepared(lite, statement, arena, result_out, error_out);
    if (status != TEARS_OK)
        admin->position = position_of(statement->sql, t3_lite_error_offset(lite->conn));
    return status;
}

static tears_status lite_reset(struct t3_admin *admin, struct tears_error *error_out)
{
    return t3_lite_exec(of(admin)->conn,
                        "PRAGMA foreign_keys=ON; PRAGMA legacy_alter_table=OFF;"
                        "PRAGMA ignore_check_constraints=OFF; PRAGMA recursive_triggers=OFF;"
                        "PRAGMA synchronous=FULL",
                        error_out);
}

/* ---- state ---- */

static bool lite_is_alive(const struct t3_admin *admin)
{
    (void)admin;
    return true;
}

static void lite_set_deadline(struct t3_admin *admin, struct t3_deadline deadline)
{
    t3_lite_set_deadline(of(admin)->conn, deadline);
}

static bool lite_in_transaction(const struct t3_admin *admin)
{
    return t3_lite_in_transaction(of_const(admin)->conn);
}

static tears_status lite_try_lock(struct t3_admin *admin, struct tears_error *error_out)
{
    struct admin_lite *lite = of(admin);
    if (lite->lock_path.len == 0)
        return TEARS_OK;
    return t3_file_lock_try(lite->lock_path.ptr, &lite->lock_fd, error_out);
}

static void lite_unlock(struct t3_admin *admin)
{
    struct admin_lite *lite = of(admin);
    if (lite->lock_fd != NO_LOCK)
        t3_file_lock_drop(lite->lock_fd);
    lite->lock_fd = NO_LOCK;
}

static void lite_close(struct t3_admin *admin)
{
    struct admin_lite *lite = of(admin);
    if (lite->conn != NULL)
        t3_lite_rollback(lite->conn);
    t3_lite_conn_free(lite->conn);
    t3_free(lite);
}

static const struct t3_admin_ops ops = {.close = lite_close,
                                        .is_alive = lite_is_alive,
                                        .set_deadline = lite_set_deadline,
                                        .run = lite_run,
                                        .reset = lite_reset,
                                        .in_transaction = lite_in_transaction,
                                        .try_lock = lite_try_lock,
                                        .unlock = lite_unlock,
                                        .begin = {"BEGIN IMMEDIATE", 15},
                                        .begin_read = {"BEGIN", 5}};

/* ---- opening ---- */

/* "3.40.1" is 3040001, as in SQLITE_VERSION_NUMBER. */
static uint32_t version_of(const char *text)
{
    uint32_t parts[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        for (; *text >= '0' && *text <= '9'; text++)
            parts[i] = parts[i] * 10 + (uint32_t)(*text - '0');
        text += *text == '.' ? 1 : 0;
    }
    return parts[0] * 1000000 + parts[1] * 1000 + parts[2];
}

/* The schema becomes part of a file's name. */
static bool is_plain_name(struct tears_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return name.len > 0 && name.len <= 63;
}

static tears_status name_files(struct admin_lite *lite, const struct t3_lite *pool,
                               struct tears_str schema, struct tears_error *error_out)
{
    struct t3_admin *admin = &lite->base;
    T3_AUTO(t3_buf_done) struct t3_buf path = {0};
    T3_AUTO(t3_buf_done) struct t3_buf lock = {0};
    tears_status status = schema.len > 0 ? t3_admin_lite_path(t3_lite_path(pool), schema, &path)
                                         : t3_buf_put(&path, t3_lite_path(pool));
    if (status == TEARS_OK)
        status = t3_arena_str(&admin->arena, t3_buf_str(&path), &admin->facts.file);
    if (status == TEARS_OK && !t3_lite_is_in_memory(pool)) {
        status = t3_buf_printf(&lock, "%s.migrate-lock", admin->facts.file.ptr);
        if (status == TEARS_OK)
            status = t3_arena_str(&admin->arena, t3_buf_str(&lock), &lite->lock_path);
    }
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, ORIGIN);
}

static void set_facts(struct admin_lite *lite)
{
    struct t3_admin_facts *facts = &lite->base.facts;
    facts->dialect = T3_DIALECT_SQLITE;
    facts->schema = TEARS_STR("main");
    facts->search_path = TEARS_STR("");
    facts->version = version_of(t3_lite_version());
    facts->has_transactional_ddl = true;
}

static tears_status set_up_scratch(struct admin_lite *lite, struct tears_error *error_out)
{
    lite->base.facts.file = TEARS_STR("");
    lite->lock_path = TEARS_STR("");
    set_facts(lite);
    return t3_lite_conn_open_memory(ORIGIN, &lite->conn, error_out);
}

static tears_status set_up(struct admin_lite *lite, const struct t3_lite *pool,
                           const struct t3_admin_options *options, struct tears_error *error_out)
{
    const struct tears_str schema =
        t3_str_is(options->schema, "main") ? TEARS_STR("") : options->schema;
    if (schema.len > 0 && !is_plain_name(schema))
        return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                       "a schema's name may have 1 to 63 letters, digits and underscores here, and "
                       "'" T3_STR_FMT "' has others",
                       T3_STR_ARG(schema));
    if (schema.len > 0 && t3_lite_is_in_memory(pool))
        return t3_fail(error_out, TEARS_UNSUPPORTED, ORIGIN,
                       "a database in memory has no further schemas");
    T3_TRY(name_files(lite, pool, schema, error_out));
    const struct t3_lite_own own = {.path = schema.len > 0 ? lite->base.facts.file.ptr : NULL,
                                    .create = options->create_schema,
                                    .deadline = options->deadline};
    T3_TRY(t3_lite_connect(pool, &own, &lite->conn, error_out));
    set_facts(lite);
    return TEARS_OK;
}

tears_status t3_admin_lite_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                                struct t3_admin **admin_out, struct tears_error *error_out)
{
    const struct l3_lite *tier = (const struct l3_lite *)(const void *)l3;
    struct admin_lite *lite = t3_alloc_zero(1, sizeof *lite);
    if (lite == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    lite->base.ops = &ops;
    lite->base.deadline = options->deadline;
    lite->lock_fd = NO_LOCK;
    const tears_status status = options->scratch ? set_up_scratch(lite, error_out)
                                                 : set_up(lite, tier->lite, options, error_out);
    if (status != TEARS_OK) {
        t3_admin_free(&lite->base);
        return status;
    }
    *admin_out = &lite->base;
    return TEARS_OK;
}
