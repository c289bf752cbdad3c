/*
 * bench_journal.c -- what a deferred save costs, with one thread and with eight, and how fast a journal is read again: through the public
 * functions, against SQLite alone.
 *
 * The floor of a save is one transaction of SQLite, of the same durability, that adds as many bytes to a table.  Both files are in one folder.
 */
#include "rows.h"

#include "deferred/deferred.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SAVES = 400,
    WARM_UP =
        4500, /* commits: by then both WALs have begun anew, and are overwritten; before, each commit makes a file longer */
    THREADS = 8,
    THREAD_SAVES = 200,
    PENDING_ROWS = 1000000,
    BATCH_ROWS = 5000,
    HOT_WRITES = 1000,
    RECORD_BYTES = 400 /* of a row of 300 bytes in the journal, measured by its file */
};

struct journal_case {
    char journal[96], floor[96];
    uint64_t durability;
    struct bench_lite lite;
    tears_client *client;
    tears_session *session;
    tears_collection *collection;
    sqlite3 *db;
    sqlite3_stmt *insert;
    struct tears_schema *schema;
    uint64_t records; /* in the journal */
    uint64_t next;
};

/* ---- files --------------------------------------------------------------------------------------- */

static void remove_file(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".owner"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", sql, sqlite3_errmsg(db));
    exit(2);
}

static void open_floor(struct journal_case *one)
{
    if (sqlite3_open(one->floor, &one->db) != SQLITE_OK)
        exit(2);
    run_sql(one->db, "PRAGMA journal_mode = WAL");
    run_sql(one->db, one->durability == TEARS_DURABLE_FULL ? "PRAGMA synchronous = FULL"
                                                           : "PRAGMA synchronous = NORMAL");
    run_sql(one->db, "CREATE TABLE record (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
    if (sqlite3_prepare_v3(one->db, "INSERT INTO record (bytes) VALUES (?1)", -1,
                           SQLITE_PREPARE_PERSISTENT, &one->insert, NULL) != SQLITE_OK)
        exit(2);
}

static void check(tears_status status, const struct tears_error *error, const char *what)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, error->message);
    exit(2);
}

static void open_client(struct journal_case *one)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_collection_options table = TEARS_COLLECTION_OPTIONS_INIT;
    struct tears_error error;
    char url[96];
    (void)snprintf(url, sizeof url, "sqlite:%s", one->lite.path);
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    options.journal_path = tears_str_c(one->journal);
    options.journal_durability = one->durability;
    options.journal_flush_rows = UINT64_MAX; /* only what is asked for is flushed */
    options.journal_flush_bytes = UINT64_MAX;
    options.flush_shutdown_ms = 1;
    options.timeout_ms = 60000;
    table.flush_strategy = TEARS_FLUSH_ON_CHECKPOINT;
    check(tears_client_open(&options, &one->client, &error), &error, "opening");
    check(tears_collection_open(one->client, TEARS_STR("bench"), &table, &one->collection, &error),
          &error, "the table");
    if (tears_session_new(one->client, NULL, &one->session) != TEARS_OK)
        exit(2);
}

static void close_client(struct journal_case *one)
{
    if (one->client != NULL)
        tears_session_free(one->session);
    tears_client_free(one->client);
    one->client = NULL;
}

static void open_case(struct journal_case *one, uint64_t durability)
{
    one->durability = durability;
    one->lite.l1 = "memory";
    one->lite.l2_url = "none";
    tears_client_free(bench_lite_client(&one->lite)); /* makes the file */
    (void)snprintf(one->journal, sizeof one->journal, "%s.journal", one->lite.path);
    (void)snprintf(one->floor, sizeof one->floor, "%s.floor", one->lite.path);
    open_floor(one);
    open_client(one);
}

static void close_case(struct journal_case *one)
{
    close_client(one);
    sqlite3_finalize(one->insert);
    sqlite3_close(one->db);
    remove_file(one->journal);
    remove_file(one->floor);
}

/* ---- one save -------------------------------------------------------------------------------------- */

static void save(tears_session *session, tears_collection *collection, uint64_t number)
{
    struct bench_row row;
    struct tears_field fields[BENCH_FIELDS];
    bench_row_of(number, &row);
    bench_fields_of(&row, fields);
    bench_check(tears_insert(session, collection, fields, BENCH_FIELDS, NULL), session, "a save");
    tears_session_reset(session);
}

static double our_save(void *context)
{
    struct journal_case *one = context;
    double times[SAVES];
    for (int i = 0; i < SAVES; i++) {
        const uint64_t start = bench_now_ns();
        save(one->session, one->collection, one->next++);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAVES);
}

static double raw_commit(void *context)
{
    struct journal_case *one = context;
    static const char bytes[RECORD_BYTES];
    double times[SAVES];
    for (int i = 0; i < SAVES; i++) {
        const uint64_t start = bench_now_ns();
        sqlite3_bind_blob(one->insert, 1, bytes, RECORD_BYTES, SQLITE_STATIC);
        if (sqlite3_step(one->insert) != SQLITE_DONE)
            exit(2);
        sqlite3_reset(one->insert);
        times[i] = (double)(bench_now_ns() - start) / 1000;
    }
    return bench_median(times, SAVES);
}

static void warm_up(struct journal_case *one)
{
    for (int i = 0; i < WARM_UP / SAVES; i++) {
        (void)our_save(one);
        (void)raw_commit(one);
    }
}

/* ---- threads ----------------------------------------------------------------------------------------- */

static void *save_many(void *context)
{
    struct journal_case *one = context;
    tears_session *session = NULL;
    if (tears_session_new(one->client, NULL, &session) != TEARS_OK)
        exit(2);
    for (int i = 0; i < THREAD_SAVES; i++)
        save(session, one->collection, __atomic_fetch_add(&one->next, 1, __ATOMIC_RELAXED));
    tears_session_free(session);
    return NULL;
}

static double one_thread(void *context)
{
    return bench_rate_of_threads(save_many, context, 1, THREAD_SAVES);
}

static double eight_threads(void *context)
{
    return bench_rate_of_threads(save_many, context, THREADS, THREAD_SAVES);
}

static void bench_saves(void)
{
    struct journal_case full = {.lite = {.rows = 1}, .next = 1000000};
    open_case(&full, TEARS_DURABLE_FULL);
    warm_up(&full);
    bench_run(&(struct bench_case){.name = "deferred save, full, 1 thread",
                                   .floor_name = "SQLite commit, synchronous=FULL",
                                   .unit = "us p50",
                                   .limit = 1.3,
                                   .floor = raw_commit,
                                   .ours = our_save,
                                   .context = &full});
    bench_run(&(struct bench_case){.name = "deferred save, full, 8 threads",
                                   .floor_name = "1 thread",
                                   .unit = "saves/s",
                                   .higher = true,
                                   .limit = 3,
                                   .floor = one_thread,
                                   .ours = eight_threads,
                                   .context = &full});
    close_case(&full);
    struct journal_case normal = {.lite = {.rows = 1}, .next = 1000000};
    open_case(&normal, TEARS_DURABLE_NORMAL);
    warm_up(&normal);
    bench_run(&(struct bench_case){.name = "deferred save, normal, 1 thread",
                                   .floor_name = "SQLite commit, synchronous=NORMAL",
                                   .unit = "us p50",
                                   .limit = 1.5,
                                   .floor = raw_commit,
                                   .ours = our_save,
                                   .context = &normal});
    close_case(&normal);
}

/* ---- reopening ----------------------------------------------------------------------------------------- */

static void fill_journal(struct journal_case *one)
{
    static struct bench_row rows[BATCH_ROWS];
    static struct tears_field fields[BATCH_ROWS][BENCH_FIELDS];
    static struct tears_row_input inputs[BATCH_ROWS];
    for (uint64_t at = 0; at < PENDING_ROWS; at += BATCH_ROWS) {
        for (uint64_t i = 0; i < BATCH_ROWS; i++) {
            bench_row_of(one->next++, &rows[i]);
            bench_fields_of(&rows[i], fields[i]);
            inputs[i] = (struct tears_row_input){.fields = fields[i], .field_count = BENCH_FIELDS};
        }
        bench_check(tears_insert_many(one->session, one->collection, inputs, BATCH_ROWS, NULL),
                    one->session, "filling the journal");
        tears_session_reset(one->session);
    }
}

/* The same file, from beginning to end, every column of every record. */
static double read_file(void *context)
{
    struct journal_case *one = context;
    sqlite3 *db = NULL;
    sqlite3_stmt *select = NULL;
    uint64_t records = 0;
    static volatile int64_t sink;
    const uint64_t start = bench_now_ns();
    if (sqlite3_open_v2(one->journal, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT * FROM record", -1, &select, NULL) != SQLITE_OK)
        exit(2);
    while (sqlite3_step(select) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(select); i++)
            sink += sqlite3_column_bytes(select, i);
        records++;
    }
    sqlite3_finalize(select);
    sqlite3_close(db);
    one->records = records; /* the end of the client may have flushed a batch */
    return (double)(bench_now_ns() - start) / 1e6;
}

/* As a client does before its tables are there to be flushed. */
static double reopen(void *context)
{
    struct journal_case *one = context;
    const struct t3_deferred_options options = {.journal = {.path = tears_str_c(one->journal)}};
    struct t3_deferred *deferred = NULL;
    struct t3_pending_table *table = NULL;
    struct t3_pending_stats stats;
    struct tears_error error;
    const struct t3_deadline deadline = t3_deadline_in_ms(60000);
    const uint64_t start = bench_now_ns();
    check(t3_deferred_open(&options, deadline, &deferred, &error), &error, "opening");
    check(t3_pending_table_open(t3_deferred_pending(deferred), one->schema, false, deadline, &table,
                                &error),
          &error, "the table");
    const double spent_ms = (double)(bench_now_ns() - start) / 1e6;
    t3_pending_stats(t3_deferred_pending(deferred), table, &stats);
    t3_deferred_free(deferred);
    if (stats.rows != one->records || stats.rows < PENDING_ROWS * 9 / 10) {
        fprintf(stderr, "bench: %llu rows are pending\n", (unsigned long long)stats.rows);
        exit(2);
    }
    return spent_ms;
}

static void bench_reopen(void)
{
    struct journal_case one = {.lite = {.rows = 1}, .next = 1000000};
    open_case(&one, TEARS_DURABLE_FULL);
    fill_journal(&one);
    one.schema =
        t3_schema_hold((struct tears_schema *)(uintptr_t)tears_collection_schema(one.collection));
    close_client(&one);
    bench_run(&(struct bench_case){.name = "reopen with 1,000,000 pending",
                                   .floor_name = "SQLite reads the file",
                                   .unit = "ms",
                                   .limit = 2,
                                   .floor = read_file,
                                   .ours = reopen,
                                   .context = &one});
    tears_schema_free(one.schema);
    close_case(&one);
}

/* ---- a hot key -------------------------------------------------------------------------------------------- */

static double flush_hot_key(void *context)
{
    struct journal_case *one = context;
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    struct bench_row row;
    struct tears_field fields[BENCH_FIELDS];
    bench_row_of(one->next++, &row);
    for (int i = 0; i < HOT_WRITES; i++) {
        row.n = i;
        bench_fields_of(&row, fields);
        bench_check(tears_upsert(one->session, one->collection, fields, BENCH_FIELDS, NULL),
                    one->session, "a save");
        tears_session_reset(one->session);
    }
    bench_check(tears_flush(one->session, NULL, 0, 60000, &result), one->session, "the flush");
    return (double)result.written;
}

static void bench_hot_key(void)
{
    struct journal_case one = {.lite = {.rows = 1}, .next = 1000000};
    open_case(&one, TEARS_DURABLE_NORMAL);
    bench_run(&(struct bench_case){.name = "1,000 writes to one hot key, then flush",
                                   .unit = "rows in L3",
                                   .limit = 1,
                                   .ours = flush_hot_key,
                                   .context = &one});
    close_case(&one);
}

void bench_journal(void)
{
    if (bench_wants("deferred save"))
        bench_saves();
    if (bench_wants("reopen with 1,000,000 pending"))
        bench_reopen();
    if (bench_wants("1,000 writes to one hot key, then flush"))
        bench_hot_key();
}
