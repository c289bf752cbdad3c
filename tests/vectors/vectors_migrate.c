/*
 * vectors_migrate.c -- the runner's part of migrations.jsonl: order, applying, undoing, previews, the ledger.
 *
 * Each vector runs on an empty SQLite database in memory; the ledger's rows are put there as the Python package puts
 * them.  Versions below an applied one are allowed, as they are in the Python package.
 *
 * Threads:  one.
 * Begin at: migrate_ops.
 */
#include "base/str.h"
#include "data/migrate_impl.h"
#include "vectors/vectors.h"

/* One package's functions, and what they saw. */
struct world {
    struct vector *vector;
    json_t *ran;
    const json_t *fail_at;
    tears_client *client;
    tears_session *session;
    tears_migrator *migrator;
};

static uint64_t scope_of(struct tears_str name)
{
    return t3_str_is(name, "platform") ? TEARS_SCOPE_PLATFORM : TEARS_SCOPE_AGENT;
}

static void *memory(struct vector *vector, size_t count, size_t bytes)
{
    void *made = t3_arena_array(vector->arena, count, bytes);
    if (made == NULL)
        give_up("out of memory");
    return made;
}

static bool is_pair(const json_t *pair, struct tears_str package, int64_t version)
{
    return json_array_size(pair) == 2 && t3_str_equal(text_of(json_array_get(pair, 0)), package) &&
           json_integer_value(json_array_get(pair, 1)) == version;
}

static json_t *pair_of(struct tears_str package, int64_t version)
{
    return json_pack("[o,I]", give_text(package), (json_int_t)version);
}

/* ---- bodies ---- */

static tears_status note(void *owner, tears_migration *migration)
{
    struct world *world = owner;
    struct tears_migration_info info = TEARS_MIGRATION_INFO_INIT;
    tears_migration_info(migration, &info);
    if (is_pair(world->fail_at, info.package, info.version))
        return tears_migration_fail(migration, TEARS_INTERNAL, TEARS_STR("told to fail"));
    return json_array_append_new(world->ran, pair_of(info.package, info.version)) == 0
               ? TEARS_OK
               : TEARS_NO_MEMORY;
}

static struct tears_str statements_of(struct vector *vector, const json_t *package, int64_t version)
{
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    T3_AUTO(t3_buf_done) struct t3_buf sql = {0};
    must(t3_buf_printf(&key, "%lld", (long long)version), "a key");
    const json_t *list = json_object_get(json_object_get(package, "statements"), key.ptr);
    for (size_t i = 0; i < json_array_size(list); i++)
        must(t3_buf_printf(&sql, "%s;\n", json_string_value(json_array_get(list, i))), "SQL");
    struct tears_str copy;
    must(t3_arena_str(vector->arena, t3_buf_str(&sql), &copy), "SQL");
    return copy;
}

static bool has_number(const json_t *list, int64_t number)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == number)
            return true;
    return false;
}

static struct tears_migration_def version_of(struct world *world, const json_t *package,
                                             int64_t number)
{
    struct tears_migration_def def = {.version = number, .description = TEARS_STR("a vector")};
    def.up_sql = statements_of(world->vector, package, number);
    if (def.up_sql.len == 0)
        def.up = note;
    if (has_number(json_object_get(package, "downgrades"), number))
        def.down = note;
    return def;
}

static tears_status add_package(struct world *world, const json_t *package)
{
    const json_t *versions = json_object_get(package, "versions");
    const size_t count = json_array_size(versions);
    struct tears_migration_def *defs = memory(world->vector, count, sizeof *defs);
    for (size_t i = 0; i < count; i++)
        defs[i] = version_of(world, package, json_integer_value(json_array_get(versions, i)));
    struct tears_package_def def = TEARS_PACKAGE_DEF_INIT;
    def.name = text_of(json_object_get(package, "name"));
    def.scope = scope_of(text_of(json_object_get(package, "scope")));
    def.depends_on =
        names_of(world->vector, json_object_get(package, "depends_on"), &def.depends_on_count);
    def.migrations = defs;
    def.migration_count = count;
    def.owner = world;
    return tears_migrator_add(world->migrator, &def);
}

/* ---- worlds ---- */

static void put_ledger(struct world *world, const json_t *applied)
{
    must(tears_execute(world->session, tears_str_c(t3_ledger_create_lite_sql), NULL, 0, NULL),
         "the ledger");
    for (size_t i = 0; i < json_array_size(applied); i++) {
        const json_t *pair = json_array_get(applied, i);
        const struct tears_value row[] = {tears_int(json_integer_value(json_array_get(pair, 1))),
                                          tears_text(text_of(json_array_get(pair, 0))),
                                          tears_int((json_int_t)i)};
        must(tears_execute(world->session,
                           TEARS_STR("INSERT INTO _schema_migrations (version, package,"
                                     " description, date_applied) VALUES ($1, $2, 'x',"
                                     " datetime('2026-01-01', $3 || ' minutes'))"),
                           row, T3_COUNT(row), NULL),
             "a row of the ledger");
    }
}

static void world_close(struct world *world)
{
    tears_migrator_free(world->migrator);
    tears_session_free(world->session);
    tears_client_free(world->client);
    json_decref(world->ran);
}

/* Opens a database with the vector's ledger and packages; false after a refusal. */
static bool world_open(struct world *world, struct vector *vector)
{
    struct tears_client_options client = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_migrator_options options = TEARS_MIGRATOR_OPTIONS_INIT;
    const json_t *packages = json_object_get(vector->in, "packages");
    client.l3_url = TEARS_STR("sqlite::memory:");
    client.l2_url = TEARS_STR("none");
    const struct tears_str scope = in_text(vector, "scope");
    options.scope = scope.ptr != NULL ? scope_of(scope) : TEARS_SCOPE_AGENT;
    options.allow_out_of_order = 1;
    world->vector = vector;
    world->ran = json_array();
    world->fail_at = json_object_get(vector->in, "fail_at");
    must(tears_client_open(&client, &world->client, NULL), "a client");
    must(tears_session_new(world->client, NULL, &world->session), "a session");
    must(tears_migrator_open(world->client, &options, &world->migrator, NULL), "a migrator");
    if (json_object_get(vector->in, "applied") != NULL)
        put_ledger(world, json_object_get(vector->in, "applied"));
    for (size_t i = 0; i < json_array_size(packages); i++) {
        const tears_status status = add_package(world, json_array_get(packages, i));
        if (status == TEARS_CONFLICT) {
            refuse(vector, "duplicate_version");
            return false;
        }
        must(status, tears_migrator_error(world->migrator)->message);
    }
    return true;
}

static json_t *ledger_of(struct world *world)
{
    const struct tears_migration_record *records;
    size_t count;
    json_t *ledger = json_array();
    must(tears_migrate_history(world->migrator, &records, &count), "history");
    for (size_t i = 0; i < count; i++)
        json_array_append_new(ledger, pair_of(records[i].package, records[i].version));
    return ledger;
}

static json_t *refuse_with(struct world *world, const char *kind)
{
    json_t *nothing = refuse(world->vector, kind);
    world_close(world);
    return nothing;
}

/* ---- sequence ---- */

static json_t *sequence(struct vector *vector)
{
    struct world world = {0};
    const struct tears_package_version *versions;
    size_t count;
    if (!world_open(&world, vector)) {
        world_close(&world);
        return NULL;
    }
    if (tears_migrate_sequence(world.migrator, &versions, &count) != TEARS_OK)
        return refuse_with(&world,
                           tears_migrator_error(world.migrator)->detail == TEARS_MIGRATE_CYCLE
                               ? "dependency_cycle"
                               : "missing_dependency");
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, pair_of(versions[i].package, versions[i].version));
    world_close(&world);
    return json_pack("{s:o}", "sequence", list);
}

/* ---- up and down ---- */

/* What a failed run leaves must be what the vector says beside its error. */
static json_t *refuse_checked(struct world *world, const char *kind)
{
    const json_t *line = world->vector->line;
    const json_t *failed = json_object_get(line, "failed");
    struct tears_migration_failure failure = TEARS_MIGRATION_FAILURE_INIT;
    if (failed != NULL && (!tears_migrator_failure(world->migrator, &failure) ||
                           !is_pair(failed, failure.package, failure.version)))
        return refuse_with(world, "failed somewhere else");
    json_t *ledger = ledger_of(world);
    const bool same = json_equal(ledger, json_object_get(line, "ledger")) != 0 &&
                      json_equal(world->ran, json_object_get(line, "ran")) != 0;
    json_decref(ledger);
    return refuse_with(world, same ? kind : "failed, and left something else");
}

static json_t *give_run(struct world *world, const char *member, uint64_t count, bool with_ledger)
{
    json_t *ledger = ledger_of(world);
    json_t *given = json_pack("{s:I,s:O}", member, (json_int_t)count, "ran", world->ran);
    if (with_ledger)
        json_object_set(given, "ledger", ledger);
    json_decref(ledger);
    world_close(world);
    return given;
}

static json_t *apply(struct vector *vector)
{
    struct world world = {0};
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    const json_t *target = json_object_get(vector->in, "target");
    uint64_t applied = 0;
    if (!world_open(&world, vector)) {
        world_close(&world);
        return NULL;
    }
    request.has_target = json_is_integer(target);
    request.target = json_integer_value(target);
    if (tears_migrate_up(world.migrator, &request, &applied) != TEARS_OK)
        return refuse_checked(&world, "migration_failed");
    return give_run(&world, "applied", applied, true);
}

static json_t *apply_package(struct vector *vector)
{
    struct world world = {0};
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    uint64_t applied = 0;
    if (!world_open(&world, vector)) {
        world_close(&world);
        return NULL;
    }
    request.package = in_text(vector, "package");
    const tears_status status = tears_migrate_up(world.migrator, &request, &applied);
    if (status == TEARS_NOT_FOUND)
        return refuse_with(&world, "unknown_package");
    must(status, "apply_package");
    return give_run(&world, "applied", applied, false);
}

static json_t *downgrade(struct vector *vector)
{
    struct world world = {0};
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    const json_int_t steps = json_integer_value(json_object_get(vector->in, "steps"));
    uint64_t undone = 0;
    if (!world_open(&world, vector)) {
        world_close(&world);
        return NULL;
    }
    request.steps = steps > 0 ? (uint64_t)steps : 0;
    const tears_status status = tears_migrate_down(world.migrator, &request, &undone);
    if (status == TEARS_INVALID)
        return refuse_checked(&world, "invalid_steps");
    if (status == TEARS_CONFLICT &&
        tears_migrator_error(world.migrator)->detail == TEARS_MIGRATE_NO_DOWN)
        return refuse_checked(&world, "no_downgrade");
    if (status != TEARS_OK)
        return refuse_checked(&world, "migration_failed");
    return give_run(&world, "rolled_back", undone, true);
}

static json_t *current_versions(struct vector *vector)
{
    struct world world = {0};
    const struct tears_package_version *versions;
    size_t count;
    if (!world_open(&world, vector))
        give_up("packages that are refused");
    must(tears_migrate_current(world.migrator, &versions, &count), "current versions");
    json_t *current = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_setn_new(current, versions[i].package.ptr, versions[i].package.len,
                             json_integer((json_int_t)versions[i].version));
    world_close(&world);
    return json_pack("{s:o}", "current", current);
}

/* ---- texts ---- */

static json_t *ledger_sql(struct vector *vector)
{
    (void)vector;
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "create", t3_ledger_create_sql, "select_applied",
                     t3_ledger_select_sql, "select_history", t3_ledger_history_sql, "insert",
                     t3_ledger_insert_sql, "delete", t3_ledger_delete_sql);
}

static void note_executed(void *owner, struct tears_str sql)
{
    if (!t3_str_starts(sql, "SELECT"))
        json_array_append_new(owner, give_text(sql));
}

static json_t *preview(struct vector *vector)
{
    struct world world = {0};
    struct tears_migrate_request request = TEARS_MIGRATE_REQUEST_INIT;
    const struct tears_migration_statement *statements;
    const json_t *target = json_object_get(vector->in, "target");
    size_t count;
    if (!world_open(&world, vector))
        give_up("packages that are refused");
    request.has_target = json_is_integer(target);
    request.target = json_integer_value(target);
    json_t *executed = json_array();
    t3_admin_watch(note_executed, executed);
    must(tears_migrate_preview(world.migrator, &request, &statements, &count), "preview");
    t3_admin_watch(NULL, NULL);
    json_t *ddl = json_array();
    for (size_t i = 0; i < count; i++)
        if (!t3_migrate_is_bookkeeping(statements[i].sql) &&
            statements[i].kind != TEARS_STATEMENT_BOOKKEEPING)
            json_array_append_new(ddl, give_text(statements[i].sql));
    world_close(&world);
    return json_pack("{s:o,s:o}", "ddl", ddl, "executed", executed);
}

static json_t *classify(struct vector *vector)
{
    return json_pack("{s:s}", "kind",
                     t3_migrate_is_bookkeeping(in_text(vector, "sql")) ? "BOOKKEEPING" : "DDL");
}

const struct vector_op migrate_ops[] = {{"migrations", "sequence", sequence, false},
                                        {"migrations", "apply", apply, false},
                                        {"migrations", "apply_package", apply_package, false},
                                        {"migrations", "downgrade", downgrade, false},
                                        {"migrations", "current_versions", current_versions, false},
                                        {"migrations", "ledger_sql", ledger_sql, false},
                                        {"migrations", "preview", preview, false},
                                        {"migrations", "classify", classify, false},
                                        {NULL, NULL, NULL, false}};
