/*
 * fake_store.c -- the durable store.
 *
 * Owns:     the rows; their history is the judge's.
 * Must not know: caches.
 * Threads:  a call's fiber waits; the work is one step of the server.
 * Fails:    before it has written, after it has written, or silently: then it writes when its caller is gone.
 * Begin at: carry_out().
 */
#include "fake_store.h"

#include "fiber.h"
#include "net.h"
#include "seams.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOP_US = 150 };

struct row {
    bool is_there;
    uint64_t serial;
    int64_t version;
};

enum verb { FETCH, UPSERT, REMOVE };

/* One statement on its way to the database and back. */
struct statement {
    enum verb verb;
    struct sim_process *process;
    struct sim_op *op;
    enum sim_table table;
    uint32_t key;
    uint64_t mode;
    uint64_t serial;
    bool has_base;
    int64_t base;
    bool is_silenced; /* written, and reported as a failure */
    bool has_answer;
    tears_status status;
    struct row row;
};

static struct row rows[SIM_TABLES][SIM_KEYS_MAX];
static struct sim_store_rules rules;
static bool is_down;
static int64_t versions;

/* -- the work ------------------------------------------------------------------------------ */

static bool has_versions(enum sim_table table)
{
    return table != SIM_NOTES;
}

static tears_status write_row(struct statement *statement, struct row *row)
{
    if (statement->mode == TEARS_STORE_INSERT && row->is_there)
        return TEARS_CONFLICT;
    const bool is_update = statement->mode == TEARS_STORE_UPDATE;
    if (is_update && (!row->is_there || (statement->has_base && statement->base != row->version)))
        return TEARS_CONFLICT;
    const int64_t next = row->is_there ? row->version + 1 : 1;
    row->version = rules.versions_begin_anew ? next : ++versions;
    row->is_there = true;
    row->serial = statement->serial;
    sim_judge_committed(statement->table, statement->key, row->serial, row->version, statement->op);
    statement->row = *row;
    return TEARS_OK;
}

static tears_status remove_row(struct statement *statement, struct row *row)
{
    if (!row->is_there)
        return TEARS_NOT_FOUND;
    if (statement->has_base && has_versions(statement->table) && statement->base != row->version)
        return TEARS_CONFLICT;
    row->is_there = false;
    sim_judge_committed(statement->table, statement->key, 0, row->version, statement->op);
    return TEARS_OK;
}

static void carry_out(struct statement *statement)
{
    struct row *row = &rows[statement->table][statement->key];
    if (statement->verb == FETCH) {
        statement->row = *row;
        statement->status = row->is_there ? TEARS_OK : TEARS_NOT_FOUND;
    } else if (statement->verb == UPSERT) {
        statement->status = write_row(statement, row);
    } else {
        statement->status = remove_row(statement, row);
    }
}

/* -- the way there and back ---------------------------------------------------------------- */

static void on_reply(void *owner)
{
    struct statement *statement = owner;
    if (!statement->process->is_dead && sim_fault(SIM_CRASH))
        sim_crash(statement->process);
    statement->has_answer = true;
    sim_wake(statement, 1, true);
}

static void carry_out_late(void *owner)
{
    carry_out(owner);
}

static void on_statement(void *owner)
{
    struct statement *statement = owner;
    const bool is_write = statement->verb != FETCH;
    statement->status = TEARS_UNAVAILABLE;
    if (is_down || sim_fault(SIM_STORE_ERROR)) {
        sim_tally.store_errors++;
    } else if (is_write && sim_fault(SIM_STORE_LATE)) {
        sim_tally.late_commits++;
        sim_at(sim.now_us + 50000 + sim_noise() % 800000, carry_out_late, statement);
        return;
    } else {
        carry_out(statement);
        if (is_write && statement->status == TEARS_OK && sim_fault(SIM_STORE_SILENCE))
            statement->status = TEARS_UNAVAILABLE;
    }
    if (!statement->process->is_dead && sim_fault(SIM_CRASH))
        sim_crash(statement->process);
    sim_message_at(sim.now_us + sim_latency_us(HOP_US), NULL, on_reply, statement);
}

static tears_status run(struct statement *statement, uint64_t deadline_ms,
                        struct tears_error *error)
{
    statement->process = sim_here();
    statement->op = sim_op_here();
    const uint64_t until = sim.now_us + deadline_ms * 1000;
    sim_message_at(sim.now_us + sim_latency_us(HOP_US), NULL, on_statement, statement);
    while (!statement->has_answer && sim.now_us < until)
        (void)sim_wait(statement, 1, until);
    if (!statement->has_answer) {
        snprintf(error->message, sizeof error->message, "the database did not answer");
        return TEARS_TIMEOUT;
    }
    if (statement->status == TEARS_UNAVAILABLE)
        snprintf(error->message, sizeof error->message, "the database is not there");
    return statement->status;
}

/* -- tears/store.h ------------------------------------------------------------------------- */

static struct statement *statement_new(enum verb verb, const tears_schema *schema, int64_t id)
{
    struct statement *statement = sim_alloc(sizeof *statement);
    const struct tears_str name = tears_schema_name(schema);
    statement->verb = verb;
    statement->key = (uint32_t)id;
    for (uint32_t table = 0; table < SIM_TABLES; table++)
        if (strlen(sim_table_names[table]) == name.len &&
            memcmp(sim_table_names[table], name.ptr, name.len) == 0)
            statement->table = (enum sim_table)table;
    return statement;
}

static void set_base(struct statement *statement, const struct tears_value *base)
{
    statement->has_base = base != NULL;
    statement->base = base != NULL ? base->as.integer : 0;
}

static tears_status give(const struct statement *statement, const struct tears_row_sink *sink)
{
    char name[24];
    snprintf(name, sizeof name, "w%" PRIu64, statement->row.serial);
    const struct tears_field fields[] = {
        tears_field_of(TEARS_STR("id"), tears_int(statement->key)),
        tears_field_of(TEARS_STR("name"), tears_text(tears_str_c(name))),
        tears_field_of(TEARS_STR("row_version"), tears_int(statement->row.version)),
    };
    return sink->put(sink->owner, fields, has_versions(statement->table) ? 3 : 2);
}

static tears_status store_fetch(void *owner, void *tx, const tears_schema *schema,
                                const struct tears_value *key, size_t key_count,
                                uint64_t deadline_ms, const struct tears_row_sink *sink,
                                struct tears_error *error)
{
    struct statement *statement = statement_new(FETCH, schema, key->as.integer);
    (void)owner;
    (void)tx;
    (void)key_count;
    const tears_status status = run(statement, deadline_ms, error);
    return status == TEARS_OK ? give(statement, sink) : status;
}

static tears_status store_upsert(void *owner, void *tx, const tears_schema *schema, uint64_t mode,
                                 const struct tears_field *fields, size_t field_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 const struct tears_row_sink *sink, struct tears_error *error)
{
    struct statement *statement = statement_new(UPSERT, schema, 0);
    (void)owner;
    (void)tx;
    statement->mode = mode;
    set_base(statement, base);
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].name.len == 2)
            statement->key = (uint32_t)fields[i].value.as.integer;
        else if (fields[i].name.len == 4)
            statement->serial = strtoull(fields[i].value.as.bytes.ptr + 1, NULL, 10);
    }
    const tears_status status = run(statement, deadline_ms, error);
    return status == TEARS_OK ? give(statement, sink) : status;
}

static tears_status store_remove(void *owner, void *tx, const tears_schema *schema,
                                 const struct tears_value *key, size_t key_count,
                                 const struct tears_value *base, uint64_t deadline_ms,
                                 struct tears_error *error)
{
    struct statement *statement = statement_new(REMOVE, schema, key->as.integer);
    (void)owner;
    (void)tx;
    (void)key_count;
    set_base(statement, base);
    return run(statement, deadline_ms, error);
}

static tears_status store_scan(void *owner, void *tx, const tears_schema *schema,
                               const struct tears_field *filters, size_t filter_count,
                               const struct tears_value *after_key, size_t row_max,
                               uint64_t deadline_ms, const struct tears_row_sink *sink,
                               struct tears_error *error)
{
    (void)owner;
    (void)tx;
    (void)schema;
    (void)filters;
    (void)filter_count;
    (void)after_key;
    (void)row_max;
    (void)deadline_ms;
    (void)sink;
    snprintf(error->message, sizeof error->message, "this store does not scan");
    return TEARS_UNSUPPORTED;
}

const struct tears_store *sim_store(void)
{
    static const struct tears_store store = {.size = sizeof store,
                                             .fetch = store_fetch,
                                             .upsert = store_upsert,
                                             .remove = store_remove,
                                             .scan = store_scan};
    return &store;
}

/* -- the rest ------------------------------------------------------------------------------ */

void sim_store_begin(const struct sim_store_rules *given)
{
    rules = *given;
    is_down = false;
    versions = 0;
    memset(rows, 0, sizeof rows);
}

void sim_store_set_down(bool down)
{
    sim_tell(down ? "FAULT: L3 is away" : "L3 is back");
    sim_tally.store_outages += down;
    is_down = down;
}

void sim_store_seed(enum sim_table table, uint32_t key, uint64_t serial)
{
    struct statement statement = {
        .verb = UPSERT, .table = table, .key = key, .mode = TEARS_STORE_UPSERT, .serial = serial};
    carry_out(&statement);
}

tears_schema *sim_store_schema(enum sim_table table)
{
    const struct tears_str key = TEARS_STR("id");
    const bool versioned = has_versions(table);
    struct tears_column_def columns[3];
    memset(columns, 0, sizeof columns);
    columns[0].name = TEARS_STR("id");
    columns[0].type = TEARS_TYPE_BIGINT;
    columns[1].name = TEARS_STR("name");
    columns[1].type = TEARS_TYPE_STRING;
    columns[2].name = TEARS_STR("row_version");
    columns[2].type = TEARS_TYPE_BIGINT;
    const struct tears_schema_def def = {.name = tears_str_c(sim_table_names[table]),
                                         .primary_key = &key,
                                         .primary_key_count = 1,
                                         .columns = columns,
                                         .column_count = versioned ? 3 : 2,
                                         .version_column =
                                             versioned ? TEARS_STR("row_version") : TEARS_STR("")};
    tears_schema *schema = NULL;
    struct tears_error error;
    if (tears_schema_new(&def, &schema, &error) != TEARS_OK)
        sim_fail("workload", "schema: %s", error.message);
    return schema;
}
