/*
 * workload.c -- processes with a client each, and sessions that read and write a few rows.
 *
 * Owns:     the hosts.
 * Must not know: the tiers; it is a program like any other, and uses the public headers only.
 * Threads:  each session is a fiber.
 * Fails:    what a call may return is no failure; the judge decides.
 * Begin at: run_session().
 */
#include "workload.h"

#include "fake_store.h"
#include "fiber.h"
#include "seams.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct sim_host sim_hosts[SIM_HOSTS_MAX];
static struct sim_setup setup;
static uint64_t serials; /* every write has its own */

/* A session at work. */
struct worker {
    struct sim_host *host;
    struct sim_process *process;
    tears_session *session;
    uint32_t level;
    uint64_t bound_ms;
    struct sim_floor floor;
    uint64_t told_serial; /* the trace leaves out what is hit in L1 again and again */
    uint32_t told_key;
    const char *calls; /* in a scenario */
};

void sim_workload_begin(const struct sim_setup *given)
{
    setup = *given;
    serials = 0;
    memset(sim_hosts, 0, sizeof sim_hosts);
    for (uint32_t i = 0; i < setup.hosts; i++) {
        sim_hosts[i].number = i;
        sim_hosts[i].ops_left = setup.ops * setup.sessions;
    }
    for (uint32_t table = 0; table < SIM_TABLES; table++)
        for (uint32_t key = 0; key < setup.keys; key += 2)
            sim_store_seed((enum sim_table)table, key, ++serials);
}

/* -- calls --------------------------------------------------------------------------------- */

static void begin_op(struct worker *worker, struct sim_op *op, const char *what, bool is_read)
{
    memset(op, 0, sizeof *op);
    op->what = what;
    op->process = worker->process;
    op->table = (enum sim_table)sim_pick(SIM_WORK, SIM_TABLES, 500);
    if (setup.scenario != NULL)
        op->table = setup.scenario->table;
    op->key = sim_pick(SIM_WORK, setup.keys, 600);
    op->is_read = is_read;
    op->level = worker->level;
    op->start_us = sim.now_us;
    op->stops = worker->process->stops;
    op->timeout_ms = setup.timeout_ms;
    sim_judge_begins(op);
    sim_set_op(op);
}

static struct sim_op *op_new(struct worker *worker, const char *what, bool is_read)
{
    struct sim_op *op =
        sim_alloc(sizeof *op); /* the database may still be at it when its caller is gone */
    begin_op(worker, op, what, is_read);
    return op;
}

static void end_op(struct worker *worker, struct sim_op *op, tears_status status)
{
    sim_set_op(NULL);
    op->status = status;
    op->degraded = tears_session_degraded(worker->session);
    sim_tally.degraded += op->degraded != 0;
    if (op->is_read)
        sim_tally.reads++;
    else
        sim_tally.writes++;
    if (status == TEARS_CONFLICT)
        sim_tally.conflicts++;
    else if (status != TEARS_OK && status != TEARS_NOT_FOUND)
        sim_tally.failures++;
    sim_judge_returned(op);
}

static uint64_t serial_of(const tears_entity *entity)
{
    struct tears_value name;
    uint64_t serial = 0;
    if (entity == NULL || tears_entity_get(entity, TEARS_STR("name"), &name) != TEARS_OK)
        return 0;
    for (size_t i = 1; i < name.as.bytes.len; i++)
        serial = serial * 10 + (uint64_t)(name.as.bytes.ptr[i] - '0');
    return serial;
}

static void judge_read(struct worker *worker, struct sim_op *op, tears_status status,
                       const tears_entity *entity, uint32_t tier)
{
    static const char *const levels[] = {"any", "bounded", "session", "strong"};
    const bool is_answer = status == TEARS_OK || status == TEARS_NOT_FOUND;
    uint64_t bound_ms = worker->level == TEARS_READ_BOUNDED ? worker->bound_ms : setup.bound_ms;
    if ((op->degraded & TEARS_DEGRADED_L3_READ) != 0 && setup.stale_ms > bound_ms)
        bound_ms = setup.stale_ms;
    const struct sim_answer answer = {
        .op = op,
        .serial = is_answer ? serial_of(entity) : 0,
        .bound_ms = bound_ms,
        .tier = tier,
        .floor = worker->level == TEARS_READ_SESSION ? &worker->floor : NULL,
    };
    const bool is_repeated = tier == TEARS_TIER_L1 && answer.serial == worker->told_serial &&
                             op->key == worker->told_key;
    if (!is_repeated)
        sim_tell("%s %s.%u (%s) gives %s w%" PRIu64 " from L%u%s", op->what,
                 sim_table_names[op->table], op->key, levels[worker->level],
                 tears_status_name(status), answer.serial, tier,
                 op->degraded != 0 ? ", degraded" : "");
    worker->told_serial = answer.serial;
    worker->told_key = op->key;
    if (is_answer)
        sim_judge_answer(&answer);
}

/* Reads a row; gives the entity, or NULL. */
static tears_entity *read_row(struct worker *worker, enum sim_table *table_out)
{
    struct sim_op *op = op_new(worker, "get", true);
    const struct tears_value key = tears_int((int64_t)op->key);
    tears_entity *entity = NULL;
    const tears_status status =
        tears_get(worker->session, worker->host->collections[op->table], &key, 1, &entity);
    const uint32_t tier = tears_session_tier(worker->session);
    end_op(worker, op, status);
    judge_read(worker, op, status, status == TEARS_OK ? entity : NULL, tier);
    *table_out = op->table;
    return status == TEARS_OK ? entity : NULL;
}

static void read_all(struct worker *worker)
{
    struct sim_op *op = op_new(worker, "get_many", true);
    struct tears_value keys[SIM_KEYS_MAX];
    tears_entity *entities[SIM_KEYS_MAX] = {NULL};
    for (uint32_t i = 0; i < setup.keys; i++)
        keys[i] = tears_int((int64_t)i);
    const tears_status status = tears_get_many(
        worker->session, worker->host->collections[op->table], keys, setup.keys, entities);
    end_op(worker, op, status);
    for (uint32_t i = 0; status == TEARS_OK && i < setup.keys; i++) {
        op->key = i;
        judge_read(worker, op, TEARS_OK, entities[i],
                   entities[i] != NULL ? tears_entity_tier(entities[i]) : 0);
    }
}

static void tell_write(const struct sim_op *op)
{
    sim_tell("%s %s.%u = w%" PRIu64 " gives %s%s", op->what, sim_table_names[op->table], op->key,
             op->serial, tears_status_name(op->status), op->degraded != 0 ? ", degraded" : "");
}

static void end_write(struct worker *worker, struct sim_op *op, tears_status status)
{
    end_op(worker, op, status);
    tell_write(op);
    if (worker->level == TEARS_READ_SESSION)
        sim_judge_note(&worker->floor, op);
}

static void put_row(struct worker *worker, bool is_insert)
{
    struct sim_op *op = op_new(worker, is_insert ? "insert" : "upsert", false);
    char name[24];
    op->serial = ++serials;
    snprintf(name, sizeof name, "w%" PRIu64, op->serial);
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int((int64_t)op->key)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name))),
    };
    tears_collection *collection = worker->host->collections[op->table];
    const tears_status status = is_insert
                                    ? tears_insert(worker->session, collection, fields, 2, NULL)
                                    : tears_upsert(worker->session, collection, fields, 2, NULL);
    end_write(worker, op, status);
}

static void update_row(struct worker *worker)
{
    enum sim_table table;
    tears_entity *entity = read_row(worker, &table);
    if (entity == NULL)
        return;
    struct sim_op *op = op_new(worker, "update", false);
    struct tears_value id;
    char name[24];
    op->table = table;
    if (tears_entity_get(entity, TEARS_STR("id"), &id) == TEARS_OK)
        op->key = (uint32_t)id.as.integer;
    op->serial = ++serials;
    op->base_serial = serial_of(entity);
    snprintf(name, sizeof name, "w%" PRIu64, op->serial);
    const struct tears_field field =
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name)));
    end_write(worker, op, tears_update(worker->session, entity, &field, 1, NULL));
}

static void delete_row(struct worker *worker)
{
    struct sim_op *op = op_new(worker, "delete", false);
    const struct tears_value key = tears_int((int64_t)op->key);
    const tears_status status =
        tears_delete(worker->session, worker->host->collections[op->table], &key, 1);
    end_write(worker, op, status);
}

/* -- sessions ------------------------------------------------------------------------------ */

static void choose_level(struct worker *worker)
{
    static const uint32_t levels[] = {TEARS_READ_ANY, TEARS_READ_SESSION, TEARS_READ_BOUNDED,
                                      TEARS_READ_STRONG};
    worker->level = levels[sim_pick(SIM_WORK, 4, 550)];
    worker->bound_ms = worker->level == TEARS_READ_BOUNDED ? 100 : 0;
    if (tears_session_set_consistency(worker->session, worker->level, worker->bound_ms) != TEARS_OK)
        sim_fail("workload", "a level is refused");
}

static void pause_between(void)
{
    static const uint32_t pauses_us[] = {0, 500, 3000, 20000, 120000, 500000, 1500000};
    const uint32_t which = setup.pauses > 0 ? sim_pick(SIM_WORK, setup.pauses + 1, 700) : 0;
    sim_sleep_until(sim.now_us + pauses_us[which]);
}

static void work(struct worker *worker)
{
    enum sim_table table;
    tears_session_reset(worker->session);
    switch (sim_pick(SIM_WORK, 8, 750)) {
    case 0:
    case 1:
    case 2:
        (void)read_row(worker, &table);
        break;
    case 3:
        read_all(worker);
        break;
    case 4:
    case 5:
        update_row(worker);
        break;
    case 6:
        put_row(worker, sim_happens(SIM_WORK, 400));
        break;
    default:
        delete_row(worker);
        break;
    }
}

static void make_call(struct worker *worker, char letter)
{
    enum sim_table table;
    tears_session_reset(worker->session);
    if (letter == 'u')
        update_row(worker);
    else if (letter == 'p' || letter == 'i')
        put_row(worker, letter == 'i');
    else if (letter == 'd')
        delete_row(worker);
    else
        (void)read_row(worker, &table);
}

/* What a scenario wants of the session. */
static void run_calls(void *owner)
{
    struct worker *worker = owner;
    if (tears_session_new(worker->host->client, NULL, &worker->session) != TEARS_OK)
        return;
    for (const char *letter = worker->calls; *letter != '\0' && !sim.has_failed; letter++)
        make_call(worker, *letter);
    tears_session_free(worker->session);
    worker->host->busy--;
}

static void run_session(void *owner)
{
    struct worker *worker = owner;
    struct sim_host *host = worker->host;
    if (tears_session_new(host->client, NULL, &worker->session) != TEARS_OK) {
        sim_fail("workload", "no session");
        return;
    }
    choose_level(worker);
    while (host->ops_left > 0 && !sim.has_failed) {
        host->ops_left--;
        pause_between();
        work(worker);
    }
    tears_session_free(worker->session);
    host->busy--;
}

/* -- processes ----------------------------------------------------------------------------- */

static bool open_collection(struct sim_host *host, enum sim_table table)
{
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    tears_schema *schema = sim_store_schema(table);
    options.schema = schema;
    options.strict = table == SIM_STRICT;
    options.strict_lease_ms = table == SIM_STRICT ? setup.strict_lease_ms : 0;
    options.fill_lease_ms = setup.fill_lease_ms;
    options.stale_ms_max = setup.stale_ms;
    options.early_refresh = setup.early_refresh;
    const tears_status status =
        tears_collection_open(host->client, tears_str_c(sim_table_names[table]), &options,
                              &host->collections[table], &error);
    tears_schema_free(schema);
    if (status != TEARS_OK)
        sim_fail("workload", "collection: %s", error.message);
    return status == TEARS_OK;
}

static void log_line(void *owner, uint64_t level, const char *origin, const char *message)
{
    (void)owner;
    (void)level;
    sim_tell("log %s: %s", origin, message);
}

static bool open_client(struct sim_host *host)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.store = sim_store();
    options.l2_url = TEARS_STR("nats://simulated:4222");
    options.namespace_name = TEARS_STR("sim");
    options.l1 = TEARS_STR("memory:128KiB");
    options.l1_age_ms_max = setup.age_ms;
    options.l1_negative_ms = setup.negative_ms;
    options.timeout_ms = setup.timeout_ms;
    options.l2_wait_ms = setup.l2_wait_ms;
    options.staleness_ms_max = setup.bound_ms;
    options.log = log_line;
    options.log_level = TEARS_LOG_INFO;
    const tears_status status = tears_client_open(&options, &host->client, &error);
    if (status != TEARS_OK)
        sim_fail("workload", "client: %s", error.message);
    return status == TEARS_OK;
}

static void start_session(struct sim_host *host, void (*run)(void *owner), const char *calls)
{
    struct worker *worker = sim_alloc(sizeof *worker);
    worker->host = host;
    worker->process = host->process;
    worker->calls = calls;
    host->busy++;
    (void)sim_spawn(host->process, "session", run, worker);
}

/*
 * A client that does not know yet which bucket it has may put into it what it learned before the bucket was replaced.  That is a matter of
 * milliseconds, and here of a server that is wiped before it is reached for the first time; it is not what these programs do.
 */
static void wait_for_feed(const struct sim_process *process)
{
    while (!process->knows_bucket && !sim.has_failed)
        sim_sleep_until(sim.now_us + 1000);
}

static void run_process(void *owner)
{
    struct sim_host *host = owner;
    if (!open_client(host))
        return;
    for (uint32_t table = 0; table < SIM_TABLES; table++)
        if (!open_collection(host, (enum sim_table)table))
            return;
    wait_for_feed(host->process);
    host->is_up = true;
    if (setup.scenario != NULL) {
        host->busy = 0;
        if (setup.scenario->is_warm)
            start_session(host, run_calls, "g");
        return;
    }
    host->busy = 0;
    for (uint32_t i = 0; i < setup.sessions; i++)
        start_session(host, run_session, NULL);
}

void sim_workload_start(void)
{
    for (uint32_t i = 0; i < setup.hosts; i++)
        start_session(&sim_hosts[i], run_calls, setup.scenario->calls[i]);
    if (setup.scenario->more != NULL)
        start_session(&sim_hosts[0], run_calls, setup.scenario->more);
}

void sim_host_boot(struct sim_host *host)
{
    host->client = NULL;
    host->is_up = false;
    host->busy = setup.sessions;
    host->process = sim_process_new(host->number, ++host->lives);
    if (host->process != NULL)
        (void)sim_spawn(host->process, "main", run_process, host);
    else
        host->busy = 0;
}

bool sim_workload_is_done(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < setup.hosts; i++)
        if (sim_hosts[i].process != NULL && (sim_hosts[i].busy > 0 || !sim_hosts[i].is_up))
            return false;
    return true;
}

/* -- at rest ------------------------------------------------------------------------------- */

static void look(void *owner)
{
    struct sim_host *host = owner;
    struct worker worker = {.host = host, .process = host->process, .level = TEARS_READ_ANY};
    if (tears_session_new(host->client, NULL, &worker.session) != TEARS_OK)
        return;
    for (uint32_t table = 0; table < SIM_TABLES; table++)
        for (uint32_t key = 0; key < setup.keys; key++) {
            struct sim_op *op = op_new(&worker, "get at rest", true);
            op->table = (enum sim_table)table;
            op->key = key;
            const struct tears_value value = tears_int((int64_t)key);
            tears_entity *entity = NULL;
            const tears_status status =
                tears_get(worker.session, host->collections[table], &value, 1, &entity);
            const struct sim_answer answer = {
                .op = op,
                .serial = status == TEARS_OK ? serial_of(entity) : 0,
                .tier = tears_session_tier(worker.session),
            };
            end_op(&worker, op, status);
            sim_tell("get %s.%u at rest gives %s w%" PRIu64 " from L%u", sim_table_names[table],
                     key, tears_status_name(status), answer.serial, answer.tier);
            if (status != TEARS_OK && status != TEARS_NOT_FOUND)
                sim_fail("5 progress", "%s cannot read %s.%u when all is well: %s",
                         host->process->name, sim_table_names[table], key,
                         tears_session_error(worker.session)->message);
            sim_judge_rest(&answer);
        }
    tears_session_free(worker.session);
    host->busy--;
}

static void close_client(void *owner)
{
    struct sim_host *host = owner;
    struct tears_client_stats stats = TEARS_CLIENT_STATS_INIT;
    tears_client_stats(host->client, &stats);
    if (stats.l2_repairs_waiting != 0)
        sim_fail("3 rest", "%s still has %" PRIu64 " rows to repair in L2", host->process->name,
                 stats.l2_repairs_waiting);
    tears_client_free(host->client); /* asserts that nothing is under way */
    host->client = NULL;
    host->is_up = false;
    host->busy--;
    if (sim_memory_count(host->process) != 0)
        sim_fail("5 progress", "%s has not given back %" PRIu64 " pieces of memory",
                 host->process->name, sim_memory_count(host->process));
}

static void each_host(const char *name, void (*run)(void *owner))
{
    for (uint32_t i = 0; i < setup.hosts; i++) {
        struct sim_host *host = &sim_hosts[i];
        if (host->process == NULL || host->process->is_dead || !host->is_up)
            continue;
        host->busy++;
        (void)sim_spawn(host->process, name, run, host);
    }
}

static bool is_idle(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < setup.hosts; i++)
        if (sim_hosts[i].busy > 0 && sim_hosts[i].process != NULL && !sim_hosts[i].process->is_dead)
            return false;
    return true;
}

void sim_workload_look(void)
{
    each_host("observer", look);
    sim_run(is_idle, NULL, sim.now_us + 60000000);
}

void sim_workload_close(void)
{
    each_host("closing", close_client);
    sim_run(is_idle, NULL, sim.now_us + 60000000);
    if (!sim.has_failed && !is_idle(NULL)) {
        sim_tell_fibers();
        sim_fail("5 progress", "a client does not end");
    }
}
