/*
 * migrate_ledger.c -- what the database knows of its versions: the table shared with the Python package, and our facts.
 *
 * Owns:     the SQL of both tables.
 * Must not know: packages that are registered, bodies.
 * Threads:  the migrator's.
 * Fails:    as tier/l3_admin.h says.
 * Begin at: t3_ledger_read().
 *
 *   _schema_migrations   version, package, description, date_applied: a row is there when the version is applied.  Whatever
 *                        this table says is so.
 *   _tears_migrations    what only this library knows.  A row without one in the first table is an interrupted attempt
 *                        (`applying`), a failed one, or a version that another program has undone.
 *
 * Both are found in the schema that the connection works on and nowhere else, although search_path may go on behind it:
 * whether they are there is asked of the catalogue by the schema's name.
 */
#include "data/migrate_impl.h"

#include "base/str.h"
#include "codec/text.h"

#include <stdlib.h>

#define ORIGIN T3_MIGRATE_ORIGIN

const char t3_ledger_create_sql[] =
    "CREATE TABLE IF NOT EXISTS _schema_migrations (version INTEGER NOT NULL,"
    " package VARCHAR(255) NOT NULL, description TEXT,"
    " date_applied TIMESTAMP NOT NULL DEFAULT now(), PRIMARY KEY (version, package))";
const char t3_ledger_create_lite_sql[] =
    "CREATE TABLE IF NOT EXISTS _schema_migrations (version INTEGER NOT NULL,"
    " package VARCHAR(255) NOT NULL, description TEXT,"
    " date_applied TIMESTAMP NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),"
    " PRIMARY KEY (version, package))";
const char t3_ledger_select_sql[] = "SELECT version, package FROM _schema_migrations"
                                    " ORDER BY version";
const char t3_ledger_history_sql[] =
    "SELECT version, package, description, date_applied FROM _schema_migrations"
    " ORDER BY date_applied, version, package";
const char t3_ledger_insert_sql[] =
    "INSERT INTO _schema_migrations (version, package, description) VALUES ($1, $2, $3)";
const char t3_ledger_delete_sql[] =
    "DELETE FROM _schema_migrations WHERE version = $1 AND package = $2";

/* Times are microseconds since 1970, so that both databases have one form of them. */
#define FACTS_COLUMNS                                                                \
    " version INTEGER NOT NULL, package VARCHAR(255) NOT NULL, state TEXT NOT NULL," \
    " sequence BIGINT, checksum TEXT, started_us BIGINT, finished_us BIGINT,"        \
    " duration_us BIGINT, actor TEXT, tool TEXT,"                                    \
    " steps_done BIGINT NOT NULL DEFAULT 0, step_running BIGINT, digest TEXT,"       \
    " phase TEXT, phase_position TEXT, error TEXT, error_sqlstate TEXT,"             \
    " PRIMARY KEY (version, package)"

const char t3_facts_create_sql[] =
    "CREATE TABLE IF NOT EXISTS _tears_migrations (" FACTS_COLUMNS ")";

static const char *const state_names[] = {[T3_LEDGER_NONE] = "",
                                          [T3_LEDGER_APPLIED] = "applied",
                                          [T3_LEDGER_APPLYING] = "applying",
                                          [T3_LEDGER_UNDOING] = "undoing",
                                          [T3_LEDGER_FAILED] = "failed"};

/* ---- asking and telling ---- */

static bool is_sqlite(const struct t3_admin *admin)
{
    return t3_admin_facts(admin)->dialect == T3_DIALECT_SQLITE;
}

static tears_status tell(struct t3_admin *admin, const char *sql, const struct tears_value *params,
                         size_t count, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct t3_admin_statement statement = {
        .sql = tears_str_c(sql), .params = params, .param_count = count};
    return t3_admin_run(admin, &statement, &arena, NULL, error_out);
}

/* A statement that must change exactly one row: what it is about is there, since we have the lock. */
static tears_status tell_one(struct t3_admin *admin, const struct t3_admin_statement *statement,
                             struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_result result = {0};
    T3_TRY(t3_admin_run(admin, statement, &arena, &result, error_out));
    if (result.affected == 1)
        return TEARS_OK;
    return t3_fail_detail(error_out, TEARS_CONFLICT, ORIGIN, TEARS_MIGRATE_INTERRUPTED, "",
                          "the row of the version in _tears_migrations is gone: somebody else has "
                          "changed the table");
}

/* ---- reading ---- */

static tears_status look(struct t3_admin *admin, struct t3_arena *arena, struct t3_ledger *ledger,
                         struct tears_error *error_out)
{
    struct tears_value schema = tears_text(t3_admin_facts(admin)->schema);
    struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT c.relname::text FROM pg_catalog.pg_class c"
                         " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                         " WHERE n.nspname = $1"
                         " AND c.relname IN ('_schema_migrations', '_tears_migrations')"),
        .params = &schema,
        .param_count = 1};
    if (is_sqlite(admin))
        statement = (struct t3_admin_statement){
            .sql = TEARS_STR("SELECT name FROM sqlite_schema WHERE type = 'table'"
                             " AND name IN ('_schema_migrations', '_tears_migrations')")};
    struct t3_result result = {0};
    T3_TRY(t3_admin_run(admin, &statement, arena, &result, error_out));
    for (size_t i = 0; i < result.row_count; i++) {
        if (t3_str_is(t3_result_text(&result, i, 0), "_schema_migrations"))
            ledger->has_ledger = true;
        else
            ledger->has_facts = true;
    }
    return TEARS_OK;
}

/* The naive time of the ledger is the session's: PostgreSQL knows its zone; SQLite has written UTC. */
#define HISTORY_PG                                                                        \
    "SELECT h.version::int8, h.package::text, h.description, h.date_applied::timestamptz" \
    " FROM ("
#define HISTORY_LITE "SELECT h.version, h.package, h.description, h.date_applied FROM ("

static tears_status put_history_sql(const struct t3_admin *admin, struct t3_buf *sql)
{
    return t3_buf_printf(sql, "%s%s) AS h", is_sqlite(admin) ? HISTORY_LITE : HISTORY_PG,
                         t3_ledger_history_sql);
}

static enum t3_ledger_state state_of(struct tears_str name)
{
    for (size_t i = T3_LEDGER_APPLIED; i < T3_COUNT(state_names); i++)
        if (t3_str_is(name, state_names[i]))
            return (enum t3_ledger_state)i;
    return T3_LEDGER_NONE;
}

static int compare_rows(const void *a, const void *b)
{
    const struct t3_ledger_row *left = a;
    const struct t3_ledger_row *right = b;
    const int order = t3_str_compare(left->package, right->package);
    if (order != 0)
        return order;
    return (left->version > right->version) - (left->version < right->version);
}

static struct t3_ledger_row *find(struct t3_ledger_row *rows, size_t count,
                                  struct tears_str package, int64_t version)
{
    const struct t3_ledger_row key = {.package = package, .version = version};
    return count > 0 ? bsearch(&key, rows, count, sizeof *rows, compare_rows) : NULL;
}

struct t3_ledger_row *t3_ledger_find(const struct t3_ledger *ledger, struct tears_str package,
                                     int64_t version)
{
    return find(ledger->rows, ledger->count, package, version);
}

static void take_facts(struct t3_ledger_row *row, const struct t3_result *facts, size_t i)
{
    row->state = state_of(t3_result_text(facts, i, 2));
    row->sequence = t3_result_number(facts, i, 3);
    row->checksum = t3_result_text(facts, i, 4);
    if (t3_result_number(facts, i, 5) != 0)
        row->date_us = t3_result_number(facts, i, 5);
    row->duration_us = t3_result_number(facts, i, 6);
    row->actor = t3_result_text(facts, i, 7);
    row->tool = t3_result_text(facts, i, 8);
    row->steps_done = t3_result_number(facts, i, 9);
    row->step_running = t3_result_number(facts, i, 10);
    row->digest = t3_result_text(facts, i, 11);
    row->phase = t3_result_text(facts, i, 12);
    row->position = t3_result_text(facts, i, 13);
    row->error = t3_result_text(facts, i, 14);
}

/* PostgreSQL gives a time, SQLite text; 0 when it is neither. */
static int64_t moment(struct tears_value value)
{
    int64_t us = 0;
    if (value.kind == TEARS_KIND_TIMESTAMP)
        return value.as.integer;
    if (value.kind != TEARS_KIND_TEXT || t3_timestamp_parse(value.as.bytes, &us) != TEARS_OK)
        return 0;
    return us;
}

/* The rows of the shared table, then those that only the second has. */
static tears_status join(struct t3_ledger *ledger, const struct t3_result *history,
                         const struct t3_result *facts, struct t3_arena *arena)
{
    const size_t most = history->row_count + facts->row_count;
    struct t3_ledger_row *rows = t3_arena_array(arena, most, sizeof *rows);
    if (rows == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < history->row_count; i++)
        rows[i] = (struct t3_ledger_row){.version = t3_result_number(history, i, 0),
                                         .package = t3_result_text(history, i, 1),
                                         .is_applied = true,
                                         .description = t3_result_text(history, i, 2),
                                         .date_us = moment(t3_result_at(history, i, 3))};
    size_t count = history->row_count;
    if (count > 0)
        qsort(rows, count, sizeof *rows, compare_rows);
    for (size_t i = 0; i < facts->row_count; i++) {
        const int64_t version = t3_result_number(facts, i, 0);
        const struct tears_str package = t3_result_text(facts, i, 1);
        struct t3_ledger_row *row = find(rows, history->row_count, package, version);
        if (row == NULL) {
            row = &rows[count++];
            row->version = version;
            row->package = package;
            row->description = TEARS_STR("");
        }
        take_facts(row, facts, i);
        if (row->sequence > ledger->sequence_max)
            ledger->sequence_max = row->sequence;
    }
    if (count > 0)
        qsort(rows, count, sizeof *rows, compare_rows);
    ledger->rows = rows;
    ledger->count = count;
    return TEARS_OK;
}

tears_status t3_ledger_read(struct t3_admin *admin, struct t3_arena *arena,
                            struct t3_ledger *ledger_out, struct tears_error *error_out)
{
    struct t3_ledger ledger = {0};
    struct t3_result history = {0};
    struct t3_result facts = {0};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    T3_TRY(look(admin, arena, &ledger, error_out));
    if (put_history_sql(admin, &sql) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    const struct t3_admin_statement ask_history = {.sql = t3_buf_str(&sql)};
    static const struct t3_admin_statement ask_facts = {
        .sql = {
            "SELECT version, package, state, sequence, checksum, finished_us, duration_us,"
            " actor, tool, steps_done, step_running, digest, phase, phase_position, error"
            " FROM _tears_migrations",
            sizeof "SELECT version, package, state, sequence, checksum, finished_us, duration_us,"
                   " actor, tool, steps_done, step_running, digest, phase, phase_position, error"
                   " FROM _tears_migrations" -
                1}};
    if (ledger.has_ledger)
        T3_TRY(t3_admin_run(admin, &ask_history, arena, &history, error_out));
    if (ledger.has_facts)
        T3_TRY(t3_admin_run(admin, &ask_facts, arena, &facts, error_out));
    if (join(&ledger, &history, &facts, arena) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    *ledger_out = ledger;
    return TEARS_OK;
}

/* ---- history ---- */

static int compare_age(const void *a, const void *b)
{
    const struct t3_ledger_row *left = *(const struct t3_ledger_row *const *)a;
    const struct t3_ledger_row *right = *(const struct t3_ledger_row *const *)b;
    if ((left->sequence == 0) != (right->sequence == 0))
        return left->sequence == 0 ? 1 : -1;
    if (left->sequence != right->sequence)
        return left->sequence < right->sequence ? -1 : 1;
    if (left->date_us != right->date_us)
        return left->date_us < right->date_us ? -1 : 1;
    if (left->version != right->version)
        return left->version < right->version ? -1 : 1;
    return t3_str_compare(left->package, right->package);
}

tears_status t3_ledger_history(const struct t3_ledger *ledger, struct t3_arena *arena,
                               const struct t3_ledger_row ***rows_out, size_t *count_out)
{
    const struct t3_ledger_row **rows = t3_arena_array(arena, ledger->count, sizeof(void *));
    if (rows == NULL)
        return TEARS_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->rows[i].is_applied)
            rows[count++] = &ledger->rows[i];
    if (count > 0)
        qsort((void *)(uintptr_t)rows, count, sizeof(void *), compare_age);
    *rows_out = rows;
    *count_out = count;
    return TEARS_OK;
}

/* ---- making ---- */

tears_status t3_ledger_make(struct t3_admin *admin, const struct t3_ledger *ledger,
                            struct tears_error *error_out)
{
    if (!ledger->has_ledger)
        T3_TRY(t3_admin_execute(
            admin, tears_str_c(is_sqlite(admin) ? t3_ledger_create_lite_sql : t3_ledger_create_sql),
            error_out));
    if (!ledger->has_facts)
        T3_TRY(t3_admin_execute(admin, tears_str_c(t3_facts_create_sql), error_out));
    return TEARS_OK;
}

static tears_status adopt_row(struct t3_admin *admin, struct t3_ledger *ledger,
                              struct t3_ledger_row *row, struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(row->version), tears_text(row->package),
                                         tears_int(++ledger->sequence_max)};
    T3_TRY(tell(admin,
                "INSERT INTO _tears_migrations (version, package, state, sequence)"
                " VALUES ($1, $2, 'applied', $3) ON CONFLICT (version, package)"
                " DO UPDATE SET state = 'applied', sequence = excluded.sequence, steps_done = 0,"
                " step_running = NULL, phase = NULL, error = NULL",
                params, T3_COUNT(params), error_out));
    row->sequence = ledger->sequence_max;
    row->state = T3_LEDGER_APPLIED;
    return TEARS_OK;
}

static tears_status adopt_all(struct t3_admin *admin, struct t3_arena *arena,
                              struct t3_ledger *ledger, struct tears_error *error_out)
{
    const struct t3_ledger_row **history;
    size_t count;
    if (t3_ledger_history(ledger, arena, &history, &count) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    for (size_t i = 0; i < count; i++) {
        struct t3_ledger_row *row =
            t3_ledger_find(ledger, history[i]->package, history[i]->version);
        if (row->sequence == 0)
            T3_TRY(adopt_row(admin, ledger, row, error_out));
    }
    for (size_t i = 0; i < ledger->count; i++) {
        struct t3_ledger_row *row = &ledger->rows[i];
        if (row->is_applied || (row->state != T3_LEDGER_APPLIED && row->state != T3_LEDGER_UNDOING))
            continue; /* another program has undone it */
        const struct tears_value params[] = {tears_int(row->version), tears_text(row->package)};
        T3_TRY(tell(admin, "DELETE FROM _tears_migrations WHERE version = $1 AND package = $2",
                    params, T3_COUNT(params), error_out));
        row->state = T3_LEDGER_NONE;
    }
    return TEARS_OK;
}

static bool needs_adoption(const struct t3_ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++) {
        const struct t3_ledger_row *row = &ledger->rows[i];
        const bool says_applied =
            row->state == T3_LEDGER_APPLIED || row->state == T3_LEDGER_UNDOING;
        if (row->is_applied ? row->sequence == 0 : says_applied)
            return true;
    }
    return false;
}

tears_status t3_ledger_adopt(struct t3_admin *admin, struct t3_arena *arena,
                             struct t3_ledger *ledger, struct tears_error *error_out)
{
    if (!needs_adoption(ledger))
        return TEARS_OK;
    T3_TRY(t3_admin_begin(admin, error_out));
    const tears_status status = adopt_all(admin, arena, ledger, error_out);
    if (status != TEARS_OK) {
        t3_admin_rollback(admin);
        return status;
    }
    return t3_admin_commit(admin, error_out);
}

/* ---- one version ---- */

tears_status t3_ledger_has(struct t3_admin *admin, const struct t3_migrate_version *version,
                           bool *has_out, struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    const struct tears_value params[] = {tears_int(version->number),
                                         tears_text(version->package->name)};
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("SELECT 1 FROM _schema_migrations WHERE version = $1 AND package = $2"),
        .params = params,
        .param_count = T3_COUNT(params)};
    struct t3_result result = {0};
    T3_TRY(t3_admin_run(admin, &statement, &arena, &result, error_out));
    *has_out = result.row_count > 0;
    return TEARS_OK;
}

static struct tears_value text_or_null(struct tears_str text)
{
    return text.len > 0 ? tears_text(text) : tears_null();
}

tears_status t3_ledger_enter(struct t3_admin *admin, const struct t3_ledger_note *note,
                             struct tears_error *error_out)
{
    const struct tears_value row[] = {tears_int(note->version), tears_text(note->package),
                                      tears_text(note->description)};
    T3_TRY(tell(admin, t3_ledger_insert_sql, row, T3_COUNT(row), error_out));
    const struct tears_value facts[] = {
        tears_int(note->version),     tears_text(note->package),
        text_or_null(note->checksum), tears_int(note->started_us),
        tears_int(t3_calendar_us()),  tears_int(note->duration_us),
        tears_text(note->actor),      tears_text(TEARS_STR("libtears " TEARS_VERSION))};
    return tell(admin,
                "INSERT INTO _tears_migrations (version, package, state, sequence, checksum,"
                " started_us, finished_us, duration_us, actor, tool)"
                " SELECT $1, $2, 'applied', coalesce(max(sequence), 0) + 1, $3, $4, $5, $6, $7, $8"
                " FROM _tears_migrations WHERE true ON CONFLICT (version, package) DO UPDATE SET"
                " state = excluded.state, sequence = excluded.sequence,"
                " checksum = excluded.checksum, started_us = excluded.started_us,"
                " finished_us = excluded.finished_us, duration_us = excluded.duration_us,"
                " actor = excluded.actor, tool = excluded.tool, steps_done = 0,"
                " step_running = NULL, digest = NULL, phase = NULL, phase_position = NULL,"
                " error = NULL, error_sqlstate = NULL",
                facts, T3_COUNT(facts), error_out);
}

tears_status t3_ledger_remove(struct t3_admin *admin, struct tears_str package, int64_t version,
                              struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(version), tears_text(package)};
    T3_TRY(tell(admin, t3_ledger_delete_sql, params, T3_COUNT(params), error_out));
    return tell(admin, "DELETE FROM _tears_migrations WHERE version = $1 AND package = $2", params,
                T3_COUNT(params), error_out);
}

/* ---- checkpoints ---- */

tears_status t3_ledger_start(struct t3_admin *admin, const struct t3_ledger_note *note,
                             enum t3_ledger_state state, struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(note->version),
                                         tears_text(note->package),
                                         tears_text(tears_str_c(state_names[state])),
                                         tears_int(note->started_us),
                                         tears_text(note->actor),
                                         tears_text(TEARS_STR("libtears " TEARS_VERSION))};
    return tell(admin,
                "INSERT INTO _tears_migrations (version, package, state, started_us, actor, tool)"
                " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (version, package) DO UPDATE SET"
                " state = excluded.state, started_us = excluded.started_us,"
                " actor = excluded.actor, tool = excluded.tool, steps_done = 0,"
                " step_running = NULL, digest = NULL, phase = NULL, phase_position = NULL,"
                " error = NULL, error_sqlstate = NULL",
                params, T3_COUNT(params), error_out);
}

tears_status t3_ledger_intend(struct t3_admin *admin, const struct t3_migrate_version *version,
                              uint64_t number, struct tears_error *error_out)
{
    const struct tears_value params[] = {
        tears_int(version->number), tears_text(version->package->name), tears_int((int64_t)number)};
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("UPDATE _tears_migrations SET step_running = $3, error = NULL,"
                         " error_sqlstate = NULL WHERE version = $1 AND package = $2"),
        .params = params,
        .param_count = T3_COUNT(params)};
    return tell_one(admin, &statement, error_out);
}

tears_status t3_ledger_checkpoint(struct t3_admin *admin, const struct t3_migrate_version *version,
                                  uint64_t number, const char *digest,
                                  struct tears_error *error_out)
{
    const struct tears_value params[] = {
        tears_int(version->number), tears_text(version->package->name), tears_int((int64_t)number),
        tears_text(tears_str_c(digest))};
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("UPDATE _tears_migrations SET steps_done = $3, digest = $4,"
                         " step_running = NULL, phase = NULL, phase_position = NULL, error = NULL,"
                         " error_sqlstate = NULL WHERE version = $1 AND package = $2"),
        .params = params,
        .param_count = T3_COUNT(params)};
    return tell_one(admin, &statement, error_out);
}

tears_status t3_ledger_phase(struct t3_admin *admin, const struct t3_migrate_version *version,
                             struct tears_str phase, struct tears_str position,
                             struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(version->number),
                                         tears_text(version->package->name), tears_text(phase),
                                         tears_text(position)};
    const struct t3_admin_statement statement = {
        .sql = TEARS_STR("UPDATE _tears_migrations SET phase = $3, phase_position = $4"
                         " WHERE version = $1 AND package = $2"),
        .params = params,
        .param_count = T3_COUNT(params)};
    return tell_one(admin, &statement, error_out);
}

tears_status t3_ledger_blame(struct t3_admin *admin, const struct t3_ledger_note *note,
                             const struct tears_error *why, struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(note->version),
                                         tears_text(note->package),
                                         tears_text(tears_str_c(why->message)),
                                         tears_text(tears_str_c(why->sqlstate)),
                                         tears_int(note->started_us),
                                         tears_text(note->actor)};
    return tell(admin,
                "INSERT INTO _tears_migrations (version, package, state, error, error_sqlstate,"
                " started_us, actor) VALUES ($1, $2, 'failed', $3, $4, $5, $6)"
                " ON CONFLICT (version, package) DO UPDATE SET error = excluded.error,"
                " error_sqlstate = excluded.error_sqlstate",
                params, T3_COUNT(params), error_out);
}

tears_status t3_ledger_accept(struct t3_admin *admin, const struct t3_migrate_version *version,
                              struct tears_error *error_out)
{
    const struct tears_value params[] = {tears_int(version->number),
                                         tears_text(version->package->name),
                                         text_or_null(version->checksum)};
    return tell(admin,
                "UPDATE _tears_migrations SET checksum = $3 WHERE version = $1 AND package = $2",
                params, T3_COUNT(params), error_out);
}
