/*
 * test_deferred_failures.c -- a database that is away while all threads go on writing, and a disk that is full.
 *
 * Whatever happens, what was acknowledged is in L3 in the end, each write once, and nothing else is; what could not be saved says why.
 * TEARS_LONG_SECONDS extends the time without a database and with a full journal, of each policy (2 otherwise).
 */
#include "support/deferring.h"
#include "support/embedded.h"
#include "support/pg_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec time = {.tv_sec = (time_t)(ms / 1000),
                                  .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

/* ---- the database is away ------------------------------------------------------------------------------ */

enum {
    WRITERS = 4,
    ROWS_MAX = 20000,
    BYTES_MAX = 16 * 1024 * 1024,
    WAIT_MS = 300, /* the deadline of a save */
    SLACK_MS = 3000,
    FULL_MS_MAX = 60000,          /* until as much is pending as may be */
    GROWTH_MAX = 48 * 1024 * 1024 /* of the process, once the journal is full: L1 has its share */
};
#define ID_STEP         INT64_C(100000000)
#define ROWS_OF_ONE_MAX ((size_t)4000000)

/* What was acknowledged of a row, and what may have been written after that. */
struct note {
    uint32_t acknowledged; /* number of the attempt; 0: none */
    uint32_t perhaps;      /* a later attempt whose outcome nobody knows; 0: none */
};

struct load {
    struct deferring here;
    bool writes_through; /* past a full journal, to L3 */
    atomic_bool stop;
};

struct writer {
    struct load *load;
    pthread_t thread;
    int64_t first_id;
    struct note *notes;
    size_t count;
    uint32_t attempts;
    uint64_t saved, refused, slowest_ms;
    tears_status status; /* of the last save that was refused */
    char message[512];
};

static void make_body(char body[40], uint32_t attempt)
{
    (void)snprintf(body, 40, "attempt %u", (unsigned)attempt);
}

/* One attempt to write a row. */
static tears_status attempt(struct writer *writer, tears_session *session, size_t n)
{
    char body[40];
    const int64_t id = writer->first_id + (int64_t)n;
    const struct tears_value key = tears_int(id);
    make_body(body, ++writer->attempts);
    const struct tears_field fields[] = {field_int("id", id), field_text("body", body)};
    tears_collection *notes = writer->load->here.notes;
    return writer->notes[n].acknowledged == 0
               ? tears_insert(session, notes, fields, 2, NULL)
               : tears_put_field(session, notes, &key, 1, TEARS_STR("body"), fields[1].value);
}

static bool is_away(tears_status status)
{
    return status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT;
}

/* A save that the journal refuses wrote nothing; one that went past it, to L3, may have. */
static bool is_unknown(const struct writer *writer, tears_status status)
{
    return writer->load->writes_through && is_away(status);
}

static void note(struct writer *writer, tears_session *session, size_t n, tears_status status)
{
    struct note *row = &writer->notes[n];
    if (status == TEARS_OK) {
        writer->saved++;
        row->acknowledged = writer->attempts;
        row->perhaps = 0;
        return;
    }
    writer->refused++;
    writer->status = status;
    (void)snprintf(writer->message, sizeof writer->message, "%s",
                   tears_session_error(session)->message);
    if (is_unknown(writer, status))
        row->perhaps = writer->attempts;
}

/* New rows, and every fourth time one of before. */
static void *write_on(void *owner)
{
    struct writer *writer = owner;
    tears_session *session = NULL;
    if (tears_session_new(writer->load->here.client, NULL, &session) != TEARS_OK)
        return NULL;
    tears_session_set_timeout(session, WAIT_MS);
    for (uint64_t i = 0; !atomic_load(&writer->load->stop); i++) {
        const size_t old = writer->count > 0 ? (size_t)(i * 7919) % writer->count : 0;
        const bool is_old = i % 4 == 3 && writer->notes[old].acknowledged != 0;
        const size_t n = is_old ? old : writer->count;
        if (n >= ROWS_OF_ONE_MAX)
            break;
        const uint64_t began = now_ms();
        const tears_status status = attempt(writer, session, n);
        const uint64_t took = now_ms() - began;
        writer->slowest_ms = took > writer->slowest_ms ? took : writer->slowest_ms;
        note(writer, session, n, status);
        /* a row whose insert may be there is not tried again: it would clash with itself */
        if (n == writer->count && (status == TEARS_OK || is_unknown(writer, status)))
            writer->count++;
        tears_session_reset(session);
    }
    tears_session_free(session);
    return owner;
}

static void start(struct load *load, struct writer *writers)
{
    atomic_store(&load->stop, false);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.load = load, .first_id = i * ID_STEP};
        writers[i].notes = calloc(ROWS_OF_ONE_MAX, sizeof *writers[i].notes);
        assert_non_null(writers[i].notes);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
}

static void stop(struct load *load, struct writer *writers)
{
    atomic_store(&load->stop, true);
    for (int i = 0; i < WRITERS; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(writers[i].thread, &result), 0);
        assert_non_null(result);
    }
}

/* ---- bounds ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu %llu", &size, &resident), 2);
    (void)fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_IS_MEASURED = 0 }; /* sanitizers keep what was freed */
#else
enum { MEMORY_IS_MEASURED = 1 };
#endif

static void check_limits(const struct load *load, uint64_t resident_max)
{
    const struct tears_client_stats stats = deferring_stats(&load->here);
    assert_in_range(stats.pending_rows, 0, ROWS_MAX);
    assert_in_range(stats.pending_bytes, 0, BYTES_MAX);
    if (MEMORY_IS_MEASURED)
        assert_in_range(resident_bytes(), 0, resident_max);
}

/* Until the journal is full, and for so long after that: no more may be pending than the limits say, and the process grows no more. */
static void watch(const struct load *load, uint64_t ms)
{
    const uint64_t late = now_ms() + FULL_MS_MAX;
    while (deferring_stats(&load->here).pending_rows < ROWS_MAX) {
        check_limits(load, UINT64_MAX);
        assert_true(now_ms() < late);
        sleep_ms(20);
    }
    const uint64_t resident_max = resident_bytes() + GROWTH_MAX;
    for (const uint64_t end = now_ms() + ms; now_ms() < end; sleep_ms(20))
        check_limits(load, resident_max);
}

/* ---- what is there in the end ---- */

static const struct note *find_note(const struct writer *writers, int64_t id)
{
    const struct writer *writer = &writers[id / ID_STEP];
    const size_t n = (size_t)(id % ID_STEP);
    assert_true(n < writer->count);
    return &writer->notes[n];
}

static bool has_body(struct tears_value value, uint32_t attempt)
{
    char body[40];
    make_body(body, attempt);
    return attempt != 0 && value.as.bytes.len == strlen(body) &&
           memcmp(value.as.bytes.ptr, body, strlen(body)) == 0;
}

static uint64_t acknowledged_rows(const struct writer *writers)
{
    uint64_t rows = 0;
    for (int i = 0; i < WRITERS; i++)
        for (size_t n = 0; n < writers[i].count; n++)
            rows += writers[i].notes[n].acknowledged != 0 ? 1 : 0;
    return rows;
}

/* Every acknowledged row is there as it was last acknowledged; what else is there is what nobody knew. */
static void check_rows(struct deferring *here, const struct writer *writers)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields = NULL;
    size_t count = 0;
    uint64_t found = 0;
    assert_int_equal(
        tears_query(here->session, TEARS_STR("SELECT id, body FROM notes"), NULL, 0, &cursor),
        TEARS_OK);
    while (tears_cursor_next(cursor, &fields, &count) == TEARS_OK) {
        const struct note *note = find_note(writers, fields[0].value.as.integer);
        if (!has_body(fields[1].value, note->acknowledged) &&
            !has_body(fields[1].value, note->perhaps))
            fail_msg("row %lld is '%.*s': acknowledged was attempt %u, perhaps made %u",
                     (long long)fields[0].value.as.integer, (int)fields[1].value.as.bytes.len,
                     fields[1].value.as.bytes.ptr, (unsigned)note->acknowledged,
                     (unsigned)note->perhaps);
        found += note->acknowledged != 0 ? 1 : 0;
    }
    tears_session_reset(here->session);
    assert_int_equal(found, acknowledged_rows(writers));
}

static void check_once(struct deferring *here)
{
    assert_int_equal(
        deferring_number_above(here,
                               "SELECT count(*) FROM (SELECT id FROM written WHERE id >= $1 GROUP "
                               "BY id, body HAVING count(*) > 1) AS twice",
                               0),
        0);
}

/* ---- the run ---- */

static const char away_sql[] =
    "CREATE TABLE notes (id BIGINT PRIMARY KEY, body TEXT NOT NULL, parent BIGINT, "
    "row_version BIGINT NOT NULL DEFAULT 1);"
    "CREATE TABLE written (id BIGINT, body TEXT);"
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written "
    "VALUES "
    "(NEW.id, NEW.body); RETURN NULL; END $$;"
    "CREATE TRIGGER note AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION note()";

static uint64_t away_ms(void)
{
    const char *given = getenv("TEARS_LONG_SECONDS");
    return given != NULL && given[0] != '\0' ? strtoull(given, NULL, 10) * 1000 : 2000;
}

static void flush_all(struct deferring *here)
{
    const uint64_t end = now_ms() + 60000;
    while (deferring_flush(here).waiting > 0)
        assert_true(now_ms() < end);
}

static void report(const char *policy, const struct writer *writers)
{
    uint64_t saved = 0;
    uint64_t refused = 0;
    for (int i = 0; i < WRITERS; i++) {
        saved += writers[i].saved;
        refused += writers[i].refused;
    }
    print_message("%s: %llu writes acknowledged, lost: 0, written twice: 0; %llu refused\n", policy,
                  (unsigned long long)saved, (unsigned long long)refused);
}

static void write_without_a_database(const char *name, uint64_t policy, struct writer *writers)
{
    struct test_pg *pg = test_pg_start();
    struct deferring_database away = {.url = ""};
    struct load load;
    const struct deferring_options options = {.strategy = TEARS_FLUSH_ON_SCHEDULE,
                                              .interval_ms = 50,
                                              .full = policy,
                                              .rows_max = ROWS_MAX,
                                              .bytes_max = BYTES_MAX};
    temp_folder_make_in_memory(&away.folder);
    (void)snprintf(away.url, sizeof away.url, "%s", test_pg_url(pg));
    test_pg_run(away.url, away_sql);
    load.writes_through = policy == TEARS_FULL_WRITE_THROUGH;
    deferring_open(&load.here, &away, &options);
    start(&load, writers);
    sleep_ms(500);
    test_pg_kill(pg);
    watch(&load, away_ms());
    test_pg_again(pg);
    sleep_ms(500);
    stop(&load, writers);
    flush_all(&load.here);
    check_rows(&load.here, writers);
    check_once(&load.here);
    assert_int_equal(deferring_stats(&load.here).dead_letters, 0);
    report(name, writers);
    deferring_close(&load.here);
    temp_folder_remove(&away.folder);
    test_pg_free(pg);
}

static void end_writers(struct writer *writers)
{
    for (int i = 0; i < WRITERS; i++)
        free(writers[i].notes);
}

static void savers_wait_until_their_deadline_while_the_database_is_away(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    write_without_a_database("block", TEARS_FULL_BLOCK, writers);
    for (int i = 0; i < WRITERS; i++) {
        assert_true(writers[i].refused > 0);
        assert_int_equal(writers[i].status, TEARS_TIMEOUT);
        assert_non_null(strstr(writers[i].message, "as much is pending as may be"));
        assert_in_range(writers[i].slowest_ms, WAIT_MS - 20, WAIT_MS + SLACK_MS);
    }
    end_writers(writers);
}

static void savers_are_refused_while_the_database_is_away(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    write_without_a_database("fail", TEARS_FULL_FAIL, writers);
    for (int i = 0; i < WRITERS; i++) {
        assert_true(writers[i].refused > 0);
        assert_int_equal(writers[i].status, TEARS_LIMIT);
    }
    end_writers(writers);
}

static void savers_that_write_through_learn_that_the_database_is_away(void **state)
{
    (void)state;
    struct writer writers[WRITERS];
    write_without_a_database("write through", TEARS_FULL_WRITE_THROUGH, writers);
    for (int i = 0; i < WRITERS; i++) {
        assert_true(writers[i].refused > 0);
        assert_true(is_away(writers[i].status));
        assert_true(writers[i].message[0] != '\0');
    }
    end_writers(writers);
}

/* ---- the disk is full -------------------------------------------------------------------------------------- */

static struct rlimit usual_limit;

static int on_sqlite(void **state)
{
    (void)state;
    deferring_on_sqlite(&deferring_case);
    temp_folder_dir(&deferring_case.folder, "small");
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (usual_limit.rlim_max != 0)
        (void)setrlimit(RLIMIT_FSIZE, &usual_limit);
    (void)umount2(temp_folder_path(&deferring_case.folder, "small"), MNT_DETACH);
    deferring_end(&deferring_case);
    return 0;
}

/* A way to be without room for the journal. */
struct disk {
    bool (*fill_up)(void); /* false: not possible here */
    void (*make_room)(void);
};

static bool mount_small(void)
{
    return mount("tmpfs", temp_folder_path(&deferring_case.folder, "small"), "tmpfs", 0,
                 "size=1m") == 0;
}

static void mount_larger(void)
{
    assert_int_equal(mount("tmpfs", temp_folder_path(&deferring_case.folder, "small"), "tmpfs",
                           MS_REMOUNT, "size=64m"),
                     0);
}

static bool limit_files(void)
{
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual_limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 1024 * 1024, .rlim_max = usual_limit.rlim_max};
    return setrlimit(RLIMIT_FSIZE, &small) == 0;
}

static void unlimit_files(void)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual_limit), 0);
}

static tears_status save(struct deferring *here, int64_t id)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("body", "acknowledged")};
    const tears_status status = tears_insert(here->session, here->notes, fields, 2, NULL);
    return status;
}

/* The number of rows that were acknowledged. */
static int64_t save_until_full(struct deferring *here)
{
    int64_t id = 1;
    tears_status status;
    while ((status = save(here, id)) == TEARS_OK) {
        tears_session_reset(here->session);
        id++;
        assert_in_range(id, 1, 100000);
    }
    assert_int_equal(status, TEARS_LIMIT);
    assert_non_null(strstr(tears_session_error(here->session)->message, "disk is full"));
    return id - 1;
}

static void stays_full(struct deferring *here, int64_t saved)
{
    for (int64_t i = 1; i <= 5; i++)
        assert_int_equal(save(here, saved + i), TEARS_LIMIT);
    assert_string_equal(deferring_body(here, saved), "acknowledged");
    assert_string_equal(deferring_body(here, saved + 1), "");
    assert_int_equal(deferring_stats(here).pending_rows, saved);
}

static void fill_the_disk(const struct disk *disk, bool reopens)
{
    const struct deferring_options options = {.journal = "small/journal", .shutdown_ms = 1};
    struct deferring here;
    if (!disk->fill_up()) {
        print_message("a small disk cannot be made here\n");
        return;
    }
    deferring_open(&here, &deferring_case, &options);
    const int64_t saved = save_until_full(&here);
    assert_in_range(saved, 100, 100000);
    stays_full(&here, saved);
    if (reopens) {
        deferring_run(&deferring_case, "ALTER TABLE notes RENAME TO elsewhere"); /* no last flush */
        deferring_close(&here);
        disk->make_room();
        deferring_run(&deferring_case, "ALTER TABLE elsewhere RENAME TO notes");
        deferring_open(&here, &deferring_case, &options);
    }
    disk->make_room();
    assert_string_equal(deferring_body(&here, saved), "acknowledged");
    assert_string_equal(deferring_body(&here, saved + 1), "");
    assert_int_equal(save(&here, saved + 1), TEARS_OK);
    assert_int_equal(deferring_flush(&here).waiting, 0);
    assert_int_equal(deferring_rows_in_l3(&here), saved + 1);
    assert_int_equal(deferring_stats(&here).dead_letters, 0);
    deferring_close(&here);
}

static const struct disk small_disk = {mount_small, mount_larger};
static const struct disk small_files = {limit_files, unlimit_files};

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    fill_the_disk(&small_disk, false);
}

static void a_full_disk_and_a_new_process_lose_nothing(void **state)
{
    (void)state;
    fill_the_disk(&small_disk, true);
}

static void a_limit_of_files_loses_nothing(void **state)
{
    (void)state;
    fill_the_disk(&small_files, false);
}

/* Without room nothing can be noted of a batch, so none is sent. */
static void a_flush_on_a_full_disk_says_so_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    const struct deferring_options options = {.journal = "small/journal", .shutdown_ms = 1};
    struct tears_flush_result result = TEARS_FLUSH_RESULT_INIT;
    struct deferring here;
    if (!mount_small())
        return;
    deferring_open(&here, &deferring_case, &options);
    const int64_t saved = save_until_full(&here);
    const tears_status status = tears_flush(here.session, NULL, 0, 2000, &result);
    if (status != TEARS_OK) {
        assert_int_equal(status, TEARS_LIMIT);
        assert_non_null(strstr(tears_session_error(here.session)->message, "disk is full"));
        assert_string_equal(deferring_body(&here, saved), "acknowledged");
    }
    mount_larger();
    assert_int_equal(deferring_flush(&here).waiting, 0);
    assert_int_equal(deferring_rows_in_l3(&here), saved);
    assert_int_equal(save(&here, saved + 1), TEARS_OK);
    deferring_close(&here);
}

#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, on_sqlite, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(savers_wait_until_their_deadline_while_the_database_is_away),
        cmocka_unit_test(savers_are_refused_while_the_database_is_away),
        cmocka_unit_test(savers_that_write_through_learn_that_the_database_is_away),
        ON_SQLITE(a_full_disk_loses_nothing),
        ON_SQLITE(a_full_disk_and_a_new_process_lose_nothing),
        ON_SQLITE(a_limit_of_files_loses_nothing),
        ON_SQLITE(a_flush_on_a_full_disk_says_so_and_goes_on_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
