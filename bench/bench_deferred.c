/*
 * bench_deferred.c -- deferred writes: what a save costs, and how fast a journal gets to L3.
 *
 * These cases use the parts below the client, so that each is measured by itself.
 */
#include "raw_pg.h"

#include "deferred/deferred.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLUSH_ROWS = 100000, SAVE_ROWS = 1000, WAIT_MS = 60000 };

static void check(tears_status status, const struct tears_error *error, const char *what)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, tears_status_name(status), error->message);
    exit(2);
}

/* ---- a journal, and the table `bench` ------------------------------------------------------------ */

struct flush_case {
    PGconn *conn;
    struct t3_l3 *l3;
    struct tears_schema *schema;
    struct t3_deferred *deferred;
    struct t3_pending_table *table;
    struct t3_arena arena;
    struct tears_error error;
    struct bench_row *rows;
    uint64_t next; /* number of the next row that does not exist */
    char path[64];
};

static tears_status hook_table(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                               struct tears_error *error_out)
{
    struct flush_case *one = owner;
    (void)name, (void)error_out;
    *table_out = (struct t3_flush_table){.pending = one->table, .l3 = one->l3};
    return TEARS_OK;
}

static void hook_landed(void *owner, const struct t3_flush_table *table,
                        const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms)
{
    (void)owner, (void)table, (void)landed, (void)count, (void)asked_ms;
}

static void hook_refused(void *owner, const struct t3_flush_table *table,
                         const struct t3_record *const *records, size_t count)
{
    (void)owner, (void)table, (void)records, (void)count;
}

static void open_case(struct flush_case *one, const char *pg_url)
{
    const struct t3_l3_options l3 = {.url = tears_str_c(pg_url), .pool_max = 2};
    (void)snprintf(one->path, sizeof one->path, "/tmp/tears-bench-%ld.journal", (long)getpid());
    check(t3_l3_pg_open(&l3, &one->l3, &one->error), &one->error, "opening PostgreSQL");
    struct t3_l3_call call = {
        .arena = &one->arena, .deadline = t3_deadline_in_ms(WAIT_MS), .error = &one->error};
    check(
        one->l3->ops->describe(one->l3, &call, TEARS_STR("bench"), TEARS_STR(""), 0, &one->schema),
        &one->error, "describing the table");
    const struct t3_deferred_options options = {
        .journal = {.path = tears_str_c(one->path), .durability = TEARS_DURABLE_FULL},
        .hooks = {
            .table = hook_table, .landed = hook_landed, .refused = hook_refused, .owner = one}};
    check(t3_deferred_open(&options, t3_deadline_in_ms(WAIT_MS), &one->deferred, &one->error),
          &one->error, "opening the journal");
    check(t3_pending_table_open(t3_deferred_pending(one->deferred), one->schema, false,
                                t3_deadline_in_ms(WAIT_MS), &one->table, &one->error),
          &one->error, "opening the table");
}

static void remove_file(const char *path, const char *suffix)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    (void)unlink(name);
}

static void close_case(struct flush_case *one)
{
    t3_deferred_stop(one->deferred, t3_deadline_in_ms(0));
    t3_deferred_free(one->deferred);
    tears_schema_free(one->schema);
    one->l3->ops->free(one->l3);
    t3_arena_done(&one->arena);
    remove_file(one->path, "");
    remove_file(one->path, "-wal");
    remove_file(one->path, "-shm");
    remove_file(one->path, ".owner");
    free(one->rows);
}

/* ---- the flush ------------------------------------------------------------------------------------- */

static void new_rows(struct flush_case *one)
{
    for (uint64_t i = 0; i < FLUSH_ROWS; i++)
        bench_row_of(one->next + i, &one->rows[i]);
    one->next += FLUSH_ROWS;
}

static void save_some(struct flush_case *one, const struct bench_row *rows)
{
    static struct t3_pending_outcome outcomes[SAVE_ROWS];
    struct t3_defer *defers = t3_arena_array(&one->arena, SAVE_ROWS, sizeof *defers);
    struct t3_key *keys = t3_arena_array(&one->arena, SAVE_ROWS, sizeof *keys);
    struct t3_cell *cells = t3_arena_array(&one->arena, SAVE_ROWS * BENCH_FIELDS, sizeof *cells);
    for (size_t i = 0; i < SAVE_ROWS; i++) {
        struct tears_field fields[BENCH_FIELDS];
        struct t3_cell *row = cells + i * BENCH_FIELDS;
        bench_fields_of(&rows[i], fields);
        for (uint32_t j = 0; j < BENCH_FIELDS; j++)
            row[j] = (struct t3_cell){t3_schema_find(one->schema, fields[j].name), fields[j].value};
        check(t3_key_init(one->schema, &row[0].value, 1, &row[0].value, &one->arena, &keys[i],
                          &one->error),
              &one->error, "a key");
        defers[i] = (struct t3_defer){
            .kind = T3_RECORD_INSERT, .key = &keys[i], .cells = row, .cell_count = BENCH_FIELDS};
    }
    check(t3_pending_save(one->table, defers, SAVE_ROWS, &one->arena, t3_deadline_in_ms(WAIT_MS),
                          outcomes, &one->error),
          &one->error, "saving");
    t3_arena_reset(&one->arena);
}

static double our_flush(void *context)
{
    struct flush_case *one = context;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    new_rows(one);
    for (size_t i = 0; i < FLUSH_ROWS; i += SAVE_ROWS)
        save_some(one, one->rows + i);
    const uint64_t start = bench_now_ns();
    check(
        t3_deferred_flush(one->deferred, NULL, 0, t3_deadline_in_ms(WAIT_MS), &result, &one->error),
        &one->error, "flushing");
    const double spent_ns = (double)(bench_now_ns() - start);
    if (result.written != FLUSH_ROWS) {
        fprintf(stderr, "bench: %llu rows were flushed\n", (unsigned long long)result.written);
        exit(2);
    }
    return (double)FLUSH_ROWS * 1e9 / spent_ns;
}

static double raw_unnest(void *context)
{
    struct flush_case *one = context;
    new_rows(one);
    const uint64_t start = bench_now_ns();
    raw_pg_upsert_many(one->conn, one->rows, FLUSH_ROWS, 1000);
    return (double)FLUSH_ROWS * 1e9 / (double)(bench_now_ns() - start);
}

static double raw_copy(void *context)
{
    struct flush_case *one = context;
    new_rows(one);
    const uint64_t start = bench_now_ns();
    raw_pg_copy_many(one->conn, one->rows, FLUSH_ROWS);
    return (double)FLUSH_ROWS * 1e9 / (double)(bench_now_ns() - start);
}

static void empty_table(struct flush_case *one)
{
    raw_pg_exec(one->conn, "TRUNCATE bench");
    raw_pg_exec(one->conn, "CHECKPOINT");
}

static double fresh_flush(void *context)
{
    empty_table(context);
    return our_flush(context);
}

/* Whatever is faster at this moment is the floor. */
static double fresh_raw(void *context)
{
    empty_table(context);
    const double unnest = raw_unnest(context);
    empty_table(context);
    const double copy = raw_copy(context);
    return unnest > copy ? unnest : copy;
}

static void bench_flush(const char *pg_url)
{
    struct flush_case one = {0};
    PGconn *setup = PQconnectdb(pg_url);
    raw_pg_exec(setup, "DROP TABLE IF EXISTS bench");
    raw_pg_exec(setup, BENCH_TABLE_PG);
    PQfinish(setup);
    one.rows = calloc(FLUSH_ROWS, sizeof *one.rows);
    one.conn = raw_pg_open(pg_url);
    open_case(&one, pg_url);
    bench_run(&(struct bench_case){"deferred flush of 100,000 rows to PostgreSQL",
                                   "raw unnest upsert or COPY, the faster", "rows/s", true, 0.7,
                                   fresh_raw, fresh_flush, &one});
    PQfinish(one.conn);
    close_case(&one);
}

void bench_deferred(const char *pg_url)
{
    if (pg_url == NULL)
        bench_skip("deferred flush", "TEARS_TEST_PG_URL is not set");
    else if (bench_wants("deferred flush of 100,000 rows to PostgreSQL"))
        bench_flush(pg_url);
}
