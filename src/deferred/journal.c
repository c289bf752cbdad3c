/*
 * journal.c -- opening a journal, becoming its owner, and letting it go.
 *
 * Owns:     the SQLite file and the owner's lock.
 * Must not know: what records mean; L3.
 * Threads:  any; SQLite's writer is lent to one at a time.
 * Fails:    as journal.h says.
 * Begin at: t3_journal_open().
 *
 * Owners follow one another by one transaction.  In it, and so one after the other, those who want the journal look once more whether the lock file
 * is what they believe (ours, or untouched since its owner was found silent), put their own in its place if they take over, and raise the epoch.  A process that
 * was taken over finds another epoch in the next transaction it begins, and writes nothing.
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/thread.h"
#include "deferred/journal_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <tears/client.h>
#include <unistd.h>

enum {
    LOCK_WAIT_MS =
        200, /* tools look whether a journal is owned, and hold the lock for that moment */
    LOCK_WAIT_MS_MAX = 2000, /* when the owner that is named has ended */
    LOCK_PAUSE_MS = 10,
    SILENCE_MS_MAX = 2500, /* owners give a sign of life every second */
    TOUCH_MS = 1000,
    STATS_WAIT_MS = 1000,
    WAL_PAGES_MAX =
        2000, /* 8 MiB: a commit over what is there takes half as long as one that makes the file longer */
    PATH_BYTES_MAX = 4000 /* room for the endings of the files beside it */
};

/* ---- path ---- */

static tears_status set_path(struct t3_journal *journal, struct tears_str path,
                             struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (path.len == 0 || path.len > PATH_BYTES_MAX || memchr(path.ptr, 0, path.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                       "the path of a journal must have 1 to %d bytes and no NUL", PATH_BYTES_MAX);
    if (t3_buf_put(&text, path) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    journal->path = t3_buf_take(&text);
    return TEARS_OK;
}

/* ---- the owner's lock ---- */

static bool has_ended(uint64_t pid)
{
    return pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static tears_status fail_owned(const struct t3_journal *journal, const struct t3_owner_seen *seen,
                               struct tears_error *error_out)
{
    const bool is_self = seen->pid == (uint64_t)getpid();
    const bool is_gone = has_ended(seen->pid);
    return t3_fail_detail(error_out, TEARS_CONFLICT, T3_JOURNAL_ORIGIN, (int32_t)seen->pid, "",
                          "%s: the journal belongs to process %" PRIu64
                          "%s, which gave a sign of life %" PRIu64 ".%" PRIu64
                          " seconds ago; each client needs a journal of its own",
                          journal->path, seen->pid,
                          is_self   ? " (this one)"
                          : is_gone ? " (it has ended; a process that it started holds the lock)"
                                    : "",
                          seen->idle_ms / 1000, seen->idle_ms % 1000 / 100);
}

/* The owner's silence is timed with our own clock, too: somebody may have set the calendar forward. */
static bool stays_silent(const struct t3_journal *journal, const struct t3_owner_seen *seen,
                         uint64_t take_over_ms, struct t3_deadline deadline)
{
    const struct t3_deadline end =
        t3_deadline_in_ms(take_over_ms < SILENCE_MS_MAX ? take_over_ms : SILENCE_MS_MAX);
    while (t3_owner_is_unchanged(&journal->owner, seen)) {
        if (t3_deadline_passed(end))
            return true;
        if (t3_deadline_passed(deadline))
            return false;
        t3_pause_us((uint64_t)LOCK_PAUSE_MS * 1000);
    }
    return false;
}

/* How a process has come by the journal: it was free, or its owner has been silent for too long. */
struct claim {
    bool takes_over;
    struct t3_owner_seen seen; /* of that owner */
};

static tears_status make_claim(struct t3_journal *journal, uint64_t take_over_ms,
                               struct t3_deadline deadline, struct claim *claim_out,
                               struct tears_error *error_out)
{
    const struct t3_deadline soon = t3_deadline_at_most_ms(deadline, LOCK_WAIT_MS);
    const struct t3_deadline late = t3_deadline_at_most_ms(deadline, LOCK_WAIT_MS_MAX);
    struct t3_owner_seen *seen = &claim_out->seen;
    claim_out->takes_over = false;
    for (;;) {
        *seen = (struct t3_owner_seen){0};
        const tears_status status = t3_owner_lock(&journal->owner, seen, error_out);
        if (status != TEARS_CONFLICT)
            return status;
        if (t3_deadline_passed(has_ended(seen->pid) ? late : soon))
            break;
        t3_pause_us((uint64_t)LOCK_PAUSE_MS * 1000);
    }
    if (take_over_ms == 0 || seen->idle_ms < take_over_ms ||
        !stays_silent(journal, seen, take_over_ms, deadline))
        return fail_owned(journal, seen, error_out);
    claim_out->takes_over = true;
    return TEARS_OK;
}

/* ---- becoming the owner ---- */

static tears_status raise_epoch(struct t3_journal *journal, struct t3_lite_conn *conn,
                                struct tears_error *error_out)
{
    uint64_t epoch = 0;
    T3_TRY(t3_journal_meta(conn, "epoch", &epoch, error_out));
    T3_TRY(t3_journal_set_meta(conn, "epoch", epoch + 1, error_out));
    T3_TRY(t3_journal_meta(conn, "next_id", &journal->ids.next, error_out));
    T3_TRY(t3_journal_meta(conn, "next_batch", &journal->batches.next, error_out));
    T3_TRY(t3_journal_read_id(conn, journal->id, error_out));
    journal->ids.reserved = journal->ids.next;
    journal->batches.reserved = journal->batches.next;
    journal->epoch = epoch + 1;
    return TEARS_OK;
}

/* In the transaction: others who want the journal are waiting for its end. */
static tears_status become_owner(struct t3_journal *journal, struct t3_lite_conn *conn,
                                 const struct t3_owner_seen *silent, struct tears_error *error_out)
{
    T3_TRY(t3_journal_prepare(conn, journal->path, true, error_out));
    const bool is_as_believed = silent != NULL ? t3_owner_is_unchanged(&journal->owner, silent)
                                               : t3_owner_is_ours(&journal->owner);
    if (!is_as_believed)
        return t3_fail(error_out, TEARS_CONFLICT, T3_JOURNAL_ORIGIN,
                       "%s: another process has become the journal's owner at this moment",
                       journal->path);
    T3_TRY(raise_epoch(journal, conn, error_out));
    return silent != NULL ? t3_owner_replace(&journal->owner, error_out) : TEARS_OK;
}

static tears_status fail_stopped(const struct t3_journal *journal,
                                 const struct t3_owner_seen *silent, struct tears_error *error_out)
{
    return t3_fail_detail(error_out, TEARS_CONFLICT, T3_JOURNAL_ORIGIN, (int32_t)silent->pid, "",
                          "%s: process %" PRIu64 ", the journal's owner, has stopped in the middle "
                          "of a write, and the file stays locked until it "
                          "goes on or is ended (kill -9 %" PRIu64 ")",
                          journal->path, silent->pid, silent->pid);
}

static tears_status own(struct t3_journal *journal, const struct t3_owner_seen *silent,
                        struct t3_deadline deadline, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_take_writer(journal->lite, deadline, &conn, error_out));
    const tears_status status = t3_lite_begin(conn, true, error_out);
    if (status == TEARS_TIMEOUT && silent != NULL)
        return fail_stopped(journal, silent, error_out);
    T3_TRY(status);
    T3_TRY(become_owner(journal, conn, silent, error_out));
    return t3_lite_commit(conn, error_out);
}

static tears_status open_lite(struct t3_journal *journal, const struct t3_journal_options *options,
                              struct t3_deadline deadline, struct tears_error *error_out)
{
    const struct t3_lite_options lite = {.path = tears_str_c(journal->path),
                                         .origin = T3_JOURNAL_ORIGIN,
                                         .reader_max = 1,
                                         .wal_pages_max = WAL_PAGES_MAX,
                                         .log = options->log,
                                         .is_relaxed = options->durability == TEARS_DURABLE_NORMAL,
                                         .application = T3_JOURNAL_APPLICATION,
                                         .vfs = options->vfs};
    T3_TRY(t3_lite_open(&lite, deadline, &journal->lite, error_out));
    if (t3_lite_is_read_only(journal->lite))
        return t3_fail(error_out, TEARS_DENIED, T3_JOURNAL_ORIGIN,
                       "%s: the journal's file is read-only", journal->path);
    return TEARS_OK;
}

static tears_status open_file(struct t3_journal *journal, const struct t3_journal_options *options,
                              struct t3_deadline deadline, struct tears_error *error_out)
{
    struct claim claim;
    bool is_damaged = false;
    T3_TRY(set_path(journal, options->path, error_out));
    T3_TRY(t3_owner_init(&journal->owner, options->path, error_out));
    T3_TRY(make_claim(journal, options->take_over_ms, deadline, &claim, error_out));
    T3_TRY(t3_wal_guard(journal->path, journal->log, &is_damaged, error_out));
    atomic_store(&journal->damaged, is_damaged ? 1 : 0);
    tears_status status = open_lite(journal, options, deadline, error_out);
    if (status == TEARS_OK)
        status = own(journal, claim.takes_over ? &claim.seen : NULL, deadline, error_out);
    if (status == TEARS_OK && claim.takes_over)
        t3_log(journal->log, TEARS_LOG_WARN, T3_JOURNAL_ORIGIN,
               "%s: taken over from process %" PRIu64 ", which gave no sign of life for %" PRIu64
               " ms",
               journal->path, claim.seen.pid, claim.seen.idle_ms);
    return t3_journal_explain(journal->path, status, error_out);
}

static tears_status open_memory(struct t3_journal *journal)
{
    uint8_t uuid[16];
    tears_uuid_new(uuid);
    tears_uuid_text(uuid, journal->id);
    journal->epoch = 1;
    journal->ids.next = 1;
    journal->batches.next = 1;
    return TEARS_OK;
}

tears_status t3_journal_open(const struct t3_journal_options *options, struct t3_deadline deadline,
                             struct t3_journal **journal_out, struct tears_error *error_out)
{
    struct t3_journal *journal = t3_alloc_zero(1, sizeof *journal);
    if (journal == NULL)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    journal->log = options->log;
    journal->owner.fd = -1;
    journal->ids.name = "next_id";
    journal->batches.name = "next_batch";
    const tears_status status = options->durability == TEARS_DURABLE_NONE
                                    ? open_memory(journal)
                                    : open_file(journal, options, deadline, error_out);
    if (status != TEARS_OK) {
        t3_journal_free(journal);
        return status;
    }
    *journal_out = journal;
    return TEARS_OK;
}

void t3_journal_free(struct t3_journal *journal)
{
    if (journal == NULL)
        return;
    t3_lite_free(journal->lite); /* before the lock: the file is closed when the next owner comes */
    t3_owner_done(&journal->owner);
    t3_free(journal->path);
    t3_free(journal);
}

/* ---- facts ---- */

const char *t3_journal_id(const struct t3_journal *journal)
{
    return journal->id;
}

uint64_t t3_journal_epoch(const struct t3_journal *journal)
{
    return journal->epoch;
}

struct tears_str t3_journal_path(const struct t3_journal *journal)
{
    return tears_str_c(journal->path != NULL ? journal->path : "");
}

bool t3_journal_is_lost(const struct t3_journal *journal)
{
    return atomic_load(&journal->is_lost);
}

/* Another lock file stands in the place of ours: whether that one's process has the epoch, the file says. */
static void look_whether_lost(struct t3_journal *journal)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    uint64_t epoch;
    if (t3_lite_take_reader(journal->lite, t3_deadline_in_ms(STATS_WAIT_MS), &conn, NULL) ==
            TEARS_OK &&
        t3_journal_meta(conn, "epoch", &epoch, NULL) == TEARS_OK && epoch != journal->epoch)
        atomic_store(&journal->is_lost, true);
}

void t3_journal_touch(struct t3_journal *journal)
{
    if (journal->lite == NULL || t3_journal_is_lost(journal))
        return;
    const uint64_t now = t3_now_coarse_ms();
    if (now < atomic_load(&journal->touched_ms) + TOUCH_MS / 2)
        return;
    atomic_store(&journal->touched_ms, now);
    t3_owner_touch(&journal->owner);
    if (!t3_owner_is_ours(&journal->owner))
        look_whether_lost(journal);
}

static uint64_t size_of(const char *path, const char *end)
{
    T3_AUTO(t3_buf_done) struct t3_buf name = {0};
    struct stat file;
    if (t3_buf_printf(&name, "%s%s", path, end) != TEARS_OK || stat(name.ptr, &file) != 0)
        return 0;
    return file.st_size > 0 ? (uint64_t)file.st_size : 0;
}

/* Tools drop dead letters; when the file cannot be asked, what was last known is better than nothing. */
static void count_dead(struct t3_journal *journal)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    int64_t dead;
    if (t3_lite_take_reader(journal->lite, t3_deadline_in_ms(STATS_WAIT_MS), &conn, NULL) ==
            TEARS_OK &&
        t3_lite_int(conn, "SELECT count(*) FROM dead", &dead, NULL) == TEARS_OK)
        atomic_store(&journal->dead, (uint64_t)dead);
}

void t3_journal_stats(struct t3_journal *journal, struct t3_journal_stats *stats_out)
{
    struct t3_journal_stats stats = {.commits = atomic_load(&journal->commits),
                                     .writes = atomic_load(&journal->writes),
                                     .damaged = atomic_load(&journal->damaged)};
    if (journal->lite != NULL) {
        count_dead(journal);
        stats.file_bytes = size_of(journal->path, "") + size_of(journal->path, "-wal");
    }
    stats.dead = atomic_load(&journal->dead);
    *stats_out = stats;
}
