/*
 * lite_checkpoint.c -- copies the WAL into the database file, off the writers' path.
 *
 * Owns:     one thread per writable file, and the connection it uses.
 * Must not know: who writes what.
 * Threads:  its own; shares the pool's mutex for the three WAL numbers.
 * Fails:    quietly: what could not be copied stays in the WAL, is as durable there, and is tried
 * again. Begin at: checkpointer().
 *
 * SQLite's automatic checkpoint runs inside the commit that fills 1,000 pages, which then takes
 * tens of milliseconds.  Here a PASSIVE checkpoint, which waits for nobody and which nobody waits
 * for, runs when the WAL has grown by PAGES_EAGER pages, or IDLE_MS after the last commit.  A WAL
 * that has been copied completely is overwritten from its start by the next writer once no reader
 * needs it.
 *
 * LIMITATIONS.  Under writes without a pause a passive checkpoint may never find the end of the
 * WAL.  So past wal_pages_max (64 MiB, unless the options say less) the thread takes the writer's place for one RESTART checkpoint,
 * at most STALL_MS long.  A reader that stays in one transaction for ever still keeps the WAL
 * growing: SQLite has no remedy but the reader's end.
 */
#include "base/fail.h"
#include "driver/lite_impl.h"

#include <time.h>

enum {
    PAGES_EAGER = 1000, /* 4 MiB: as SQLite's own default */
    IDLE_MS = 500,
    STALL_MS = 500,    /* longest a RESTART checkpoint may wait for readers */
    RETRY_MS = 200,    /* after a checkpoint that readers held up */
    SLEEP_MS = 3600000 /* waiting for a first commit needs no clock */
};

bool t3_lite_checkpoint_wanted(const struct t3_lite *lite)
{
    const uint32_t waiting = lite->wal_pages - lite->wal_copied;
    /* The first commit after a rest starts the idle clock; later ones need not wake anybody. */
    return waiting >= PAGES_EAGER || (waiting > 0 && !lite->clock_runs);
}

/* Runs one checkpoint on a connection that nobody else uses meanwhile. */
static int checkpoint(struct t3_lite *lite, struct t3_lite_conn *conn, int mode)
{
    int pages = 0;
    int copied = 0;
    t3_lock(&lite->mutex);
    const uint64_t commits = lite->commits;
    t3_unlock(&lite->mutex);
    const int rc = sqlite3_wal_checkpoint_v2(conn->handle, "main", mode, &pages, &copied);
    if (rc != SQLITE_OK || pages < 0 || copied < 0)
        return rc;
    t3_lock(&lite->mutex);
    if (lite->commits == commits) /* else the last commit knows better how long the WAL is */
        lite->wal_pages = (uint32_t)pages;
    lite->wal_copied = (uint32_t)copied < lite->wal_pages ? (uint32_t)copied : lite->wal_pages;
    t3_unlock(&lite->mutex);
    return rc;
}

/* With the writer in hand nobody appends, so the end of the WAL stands still. */
static void checkpoint_all(struct t3_lite *lite, uint64_t ms)
{
    struct t3_lite_conn *writer = NULL;
    if (t3_lite_take_writer(lite, t3_deadline_in_ms(ms), &writer, NULL) != TEARS_OK)
        return;
    (void)checkpoint(lite, writer, SQLITE_CHECKPOINT_RESTART); /* BUSY: readers; tried again */
    t3_lite_give(writer);
}

static bool is_due_locked(const struct t3_lite *lite) T3_REQUIRES(lite->mutex)
{
    const uint32_t waiting = lite->wal_pages - lite->wal_copied;
    return waiting >= PAGES_EAGER ||
           (waiting > 0 && t3_now_us() / 1000 >= lite->committed_ms + IDLE_MS);
}

/* Sleeps until there is something to copy, or the pool ends. */
static void wait_for_work_locked(struct t3_lite *lite) T3_REQUIRES(lite->mutex)
{
    while (!lite->stopping && !is_due_locked(lite)) {
        lite->clock_runs = lite->wal_pages > lite->wal_copied;
        const struct t3_deadline wake = t3_deadline_in_ms(lite->clock_runs ? IDLE_MS : SLEEP_MS);
        (void)t3_cond_wait(&lite->checkpoint_due, &lite->mutex, wake);
    }
    lite->clock_runs = true;
}

static void *checkpointer(void *context)
{
    struct t3_lite *lite = context;
    t3_lock(&lite->mutex);
    while (!lite->stopping) {
        wait_for_work_locked(lite);
        if (lite->stopping)
            break;
        const bool overgrown = lite->wal_pages >= lite->wal_pages_max;
        t3_unlock(&lite->mutex);
        lite->checkpointer->deadline = t3_deadline_in_ms(STALL_MS);
        const int rc = checkpoint(lite, lite->checkpointer, SQLITE_CHECKPOINT_PASSIVE);
        if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
            t3_log(lite->log, 1, lite->origin, "%s: checkpoint: %s", lite->path,
                   sqlite3_errstr(rc));
        if (overgrown)
            checkpoint_all(lite, STALL_MS);
        t3_lock(&lite->mutex);
        if (lite->stopping || !is_due_locked(lite))
            continue;
        /* Readers hold the rest back; asking again at once would only burn time. */
        (void)t3_cond_wait(&lite->checkpoint_due, &lite->mutex, t3_deadline_in_ms(RETRY_MS));
    }
    t3_unlock(&lite->mutex);
    return NULL;
}

tears_status t3_lite_checkpoint_start(struct t3_lite *lite, struct tears_error *error_out)
{
    const struct t3_lite_conn_options options = {.lite = lite,
                                                 .origin = lite->origin,
                                                 .path = lite->path,
                                                 .uri = lite->uri,
                                                 .deadline = lite->writer->deadline};
    T3_TRY(t3_lite_conn_open(&options, &lite->checkpointer, error_out));
    const int rc = pthread_create(&lite->thread, NULL, checkpointer, lite);
    if (rc != 0)
        return t3_fail_detail(error_out, TEARS_UNAVAILABLE, lite->origin, rc, "",
                              "%s: no thread for checkpoints can be started", lite->path);
    lite->has_thread = true;
    return TEARS_OK;
}

void t3_lite_checkpoint_stop(struct t3_lite *lite)
{
    if (lite->has_thread) {
        t3_lock(&lite->mutex);
        lite->stopping = true;
        t3_cond_signal(&lite->checkpoint_due);
        t3_unlock(&lite->mutex);
        const int rc = pthread_join(lite->thread, NULL);
        T3_ASSERT(rc == 0);
        lite->has_thread = false;
    }
    t3_lite_conn_free(T3_TAKE(lite->checkpointer));
}

/* SQLite calls no busy handler while another checkpoint runs, be it of this pool's thread. */
static int checkpoint_until(struct t3_lite *lite, struct t3_lite_conn *writer)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        const int rc = checkpoint(lite, writer, SQLITE_CHECKPOINT_TRUNCATE);
        if ((rc & 0xff) != SQLITE_BUSY || t3_deadline_passed(writer->deadline))
            return rc;
        nanosleep(&pause, NULL);
    }
}

tears_status t3_lite_checkpoint(struct t3_lite *lite, struct t3_deadline deadline,
                                struct tears_error *error_out)
{
    struct t3_lite_conn *writer = NULL;
    T3_TRY(t3_lite_take_writer(lite, deadline, &writer, error_out));
    const int rc = checkpoint_until(lite, writer);
    const tears_status status =
        rc == SQLITE_OK ? TEARS_OK : t3_lite_fail(writer, rc, TEARS_STR(""), error_out);
    t3_lite_give(writer);
    return status;
}
