/*
 * journal_write.c -- what changes a journal: records, layouts, flights, landings; each call one commit.
 *
 * Owns:     nothing; the numbers it gives out are the journal's.
 * Must not know: what records mean.
 * Threads:  whoever has SQLite's writer; in memory one at a time.
 * Fails:    as journal.h says; then the file and the numbers are as they were.
 * Begin at: t3_journal_land().
 */
#include "base/fail.h"
#include "base/hash.h"
#include "base/str.h"
#include "deferred/journal_impl.h"

#include <inttypes.h>
#include <tears/client.h>

enum { NUMBERS_RESERVED = 1 << 20, TOUCH_MS = 1000 };

_Static_assert(sizeof(struct t3_journal_ref) == 16, "stored as it is in memory");

/* ---- transactions ---- */

static tears_status fail_lost(struct t3_journal *journal, uint64_t epoch,
                              struct tears_error *error_out)
{
    atomic_store(&journal->is_lost, true);
    return t3_fail(error_out, TEARS_DENIED, T3_JOURNAL_ORIGIN,
                   "%s: another process has taken the journal over (owner %" PRIu64
                   "; this process was owner %" PRIu64 "); nothing was written",
                   journal->path, epoch, journal->epoch);
}

tears_status t3_journal_begin(struct t3_journal *journal, struct t3_deadline deadline,
                              struct t3_lite_conn **conn_out, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    uint64_t epoch = 0;
    T3_TRY(t3_lite_take_writer(journal->lite, deadline, &conn, error_out));
    T3_TRY(t3_lite_begin(conn, true, error_out));
    T3_TRY(t3_journal_meta(conn, "epoch", &epoch, error_out));
    if (epoch != journal->epoch)
        return fail_lost(journal, epoch, error_out);
    *conn_out = T3_TAKE(conn);
    return TEARS_OK;
}

tears_status t3_journal_commit(struct t3_journal *journal, struct t3_lite_conn *conn,
                               struct tears_error *error_out)
{
    T3_TRY(t3_lite_commit(conn, error_out));
    atomic_fetch_add_explicit(&journal->commits, 1, memory_order_relaxed);
    t3_journal_touch(journal); /* who writes is alive, whatever its thread waits for */
    return TEARS_OK;
}

tears_status t3_journal_reserve(struct t3_lite_conn *conn, const struct t3_journal_numbers *numbers,
                                uint64_t count, uint64_t *reserved_out,
                                struct tears_error *error_out)
{
    *reserved_out = numbers->reserved;
    if (numbers->reserved - numbers->next >= count)
        return TEARS_OK;
    *reserved_out = numbers->next + count + NUMBERS_RESERVED;
    return t3_journal_set_meta(conn, numbers->name, *reserved_out, error_out);
}

/* ---- records ---- */

static tears_status fail_missing(uint64_t id, struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                   "record %" PRIu64
                   " is not in the journal any more: something else has changed the file",
                   id);
}

static tears_status put_record(struct t3_lite_conn *conn, const struct t3_journal_put *put,
                               bool is_new, struct tears_error *error_out)
{
    const uint64_t checksum = t3_journal_checksum(put->id, put->seq, put->layout, put->bytes);
    const struct tears_value values[] = {t3_journal_value(put->id), t3_journal_value(put->seq),
                                         t3_journal_value(put->layout), t3_journal_value(checksum),
                                         tears_bytes(put->bytes)};
    const struct t3_journal_sql sql = {
        is_new ? "INSERT INTO record (id, seq, layout, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"
               : "UPDATE record SET seq=?2, layout=?3, checksum=?4, bytes=?5 WHERE id=?1",
        values, T3_COUNT(values)};
    T3_TRY(t3_journal_run(conn, &sql, error_out));
    return t3_lite_changes(conn) == 1 ? TEARS_OK : fail_missing(put->id, error_out);
}

static tears_status remove_record(struct t3_lite_conn *conn, uint64_t id,
                                  struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(id)};
    const struct t3_journal_sql sql = {"DELETE FROM record WHERE id=?1", values, 1};
    return t3_journal_run(conn, &sql, error_out);
}

/* Gives new records the next numbers; they count when the commit has succeeded. */
static uint64_t number_puts(const struct t3_journal *journal, struct t3_journal_put *puts,
                            size_t count)
{
    uint64_t next = journal->ids.next;
    for (size_t i = 0; i < count; i++)
        if (puts[i].id == 0 && !puts[i].remove)
            puts[i].id = next++;
    return next - journal->ids.next;
}

static void unnumber_puts(const struct t3_journal *journal, struct t3_journal_put *puts,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (puts[i].id >= journal->ids.next)
            puts[i].id = 0;
}

static tears_status write_puts(struct t3_journal *journal, struct t3_lite_conn *conn,
                               const struct t3_journal_put *puts, size_t count,
                               struct tears_error *error_out)
{
    for (size_t i = 0; i < count; i++) {
        const bool is_new = puts[i].id >= journal->ids.next;
        T3_TRY(puts[i].remove ? remove_record(conn, puts[i].id, error_out)
                              : put_record(conn, &puts[i], is_new, error_out));
    }
    return TEARS_OK;
}

tears_status t3_journal_write(struct t3_journal *journal, struct t3_journal_put *puts, size_t count,
                              struct t3_deadline deadline, struct tears_error *error_out)
{
    const struct t3_journal_landing landing = {.puts = puts, .put_count = count};
    return t3_journal_land(journal, &landing, deadline, error_out);
}

/* ---- landings ---- */

/* One by one: ranges of ids were measured, and are no faster, for what costs is the pages. */
static tears_status end_records(struct t3_lite_conn *conn, const struct t3_journal_ref *refs,
                                size_t count, struct tears_error *error_out)
{
    for (size_t i = 0; i < count; i++) {
        const struct tears_value values[] = {t3_journal_value(refs[i].id),
                                             t3_journal_value(refs[i].seq)};
        const struct t3_journal_sql sql = {"DELETE FROM record WHERE id=?1 AND seq=?2", values, 2};
        T3_TRY(t3_journal_run(conn, &sql, error_out));
    }
    return TEARS_OK;
}

static tears_status bury(struct t3_lite_conn *conn, const struct t3_journal_death *death,
                         struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(death->id), tears_text(death->sqlstate),
                                         tears_text(death->message), tears_int(t3_calendar_us()),
                                         t3_journal_value(death->dependants)};
    const struct t3_journal_sql sql = {
        "INSERT INTO dead (id, seq, layout, checksum, sqlstate, message, died_us, dependants, "
        "marked, bytes)"
        " SELECT id, seq, layout, checksum, ?2, ?3, ?4, ?5, 0, bytes FROM record WHERE id=?1",
        values, T3_COUNT(values)};
    T3_TRY(t3_journal_run(conn, &sql, error_out));
    if (t3_lite_changes(conn) != 1)
        return fail_missing(death->id, error_out);
    return remove_record(conn, death->id, error_out);
}

static tears_status end_flight(struct t3_lite_conn *conn, uint64_t batch,
                               struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(batch)};
    const struct t3_journal_sql sql = {"DELETE FROM flight WHERE batch=?1", values, 1};
    return batch != 0 ? t3_journal_run(conn, &sql, error_out) : TEARS_OK;
}

static tears_status land(struct t3_journal *journal, const struct t3_journal_landing *landing,
                         uint64_t new_count, struct t3_deadline deadline,
                         struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    uint64_t reserved = 0;
    T3_TRY(t3_journal_begin(journal, deadline, &conn, error_out));
    T3_TRY(t3_journal_reserve(conn, &journal->ids, new_count, &reserved, error_out));
    T3_TRY(end_records(conn, landing->landed, landing->landed_count, error_out));
    T3_TRY(write_puts(journal, conn, landing->puts, landing->put_count, error_out));
    for (size_t i = 0; i < landing->death_count; i++)
        T3_TRY(bury(conn, &landing->deaths[i], error_out));
    T3_TRY(end_flight(conn, landing->batch, error_out));
    T3_TRY(t3_journal_commit(journal, conn, error_out));
    journal->ids.reserved = reserved;
    journal->ids.next += new_count;
    return TEARS_OK;
}

/* In memory nobody can look at dead letters: the log is where they are seen. */
static void land_in_memory(struct t3_journal *journal, const struct t3_journal_landing *landing,
                           uint64_t new_count)
{
    for (size_t i = 0; i < landing->death_count; i++) {
        const struct t3_journal_death *death = &landing->deaths[i];
        t3_log(journal->log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
               "pending write %" PRIu64
               " was refused, and is lost, for the journal is in memory: " T3_STR_FMT
               " (" T3_STR_FMT ")",
               death->id, T3_STR_ARG(death->message), T3_STR_ARG(death->sqlstate));
    }
    journal->ids.next += new_count;
    atomic_fetch_add_explicit(&journal->commits, 1, memory_order_relaxed);
}

tears_status t3_journal_land(struct t3_journal *journal, const struct t3_journal_landing *landing,
                             struct t3_deadline deadline, struct tears_error *error_out)
{
    const uint64_t new_count = number_puts(journal, landing->puts, landing->put_count);
    tears_status status = TEARS_OK;
    if (journal->lite == NULL)
        land_in_memory(journal, landing, new_count);
    else
        status = land(journal, landing, new_count, deadline, error_out);
    if (status != TEARS_OK) {
        unnumber_puts(journal, landing->puts, landing->put_count);
        return status;
    }
    atomic_fetch_add_explicit(&journal->writes, landing->put_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&journal->dead, landing->death_count, memory_order_relaxed);
    return TEARS_OK;
}

/* ---- flights ---- */

tears_status t3_journal_fly(struct t3_journal *journal, const struct t3_journal_ref *refs,
                            size_t count, struct t3_deadline deadline, uint64_t *batch_out,
                            struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    uint64_t reserved = 0;
    if (journal->lite == NULL) {
        *batch_out = journal->batches.next++;
        return TEARS_OK;
    }
    T3_TRY(t3_journal_begin(journal, deadline, &conn, error_out));
    T3_TRY(t3_journal_reserve(conn, &journal->batches, 1, &reserved, error_out));
    const uint64_t batch = journal->batches.next;
    const struct tears_str bytes = tears_str_n((const char *)refs, count * sizeof *refs);
    const struct tears_value values[] = {t3_journal_value(batch),
                                         t3_journal_value(t3_journal_checksum(batch, 0, 0, bytes)),
                                         tears_bytes(bytes)};
    const struct t3_journal_sql sql = {
        "INSERT INTO flight (batch, checksum, records) VALUES (?1, ?2, ?3)", values, 3};
    T3_TRY(t3_journal_run(conn, &sql, error_out));
    T3_TRY(t3_journal_commit(journal, conn, error_out));
    journal->batches.reserved = reserved;
    journal->batches.next = batch + 1;
    *batch_out = batch;
    return TEARS_OK;
}

/* ---- layouts ---- */

static tears_status find_layout(struct t3_lite_conn *conn, struct tears_str table,
                                struct tears_str bytes, uint64_t *layout_out,
                                struct tears_error *error_out)
{
    const struct tears_value values[] = {tears_text(table)};
    const struct t3_journal_sql sql = {"SELECT id, bytes FROM layout WHERE name=?1", values, 1};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    *layout_out = 0;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    while (row && *layout_out == 0) {
        if (t3_str_equal(t3_journal_bytes(stmt, 1), bytes))
            *layout_out = t3_journal_number(stmt, 0);
        else
            T3_TRY(t3_lite_step(stmt, &row, error_out));
    }
    return TEARS_OK;
}

static tears_status add_layout(struct t3_lite_conn *conn, struct tears_str table,
                               struct tears_str bytes, uint64_t *layout_out,
                               struct tears_error *error_out)
{
    const struct tears_value values[] = {tears_text(table),
                                         t3_journal_value(t3_journal_layout_checksum(table, bytes)),
                                         tears_bytes(bytes)};
    const struct t3_journal_sql sql = {
        "INSERT INTO layout (name, checksum, bytes) VALUES (?1, ?2, ?3)", values, 3};
    int64_t id = 0;
    T3_TRY(t3_journal_run(conn, &sql, error_out));
    T3_TRY(t3_lite_int(conn, "SELECT last_insert_rowid()", &id, error_out));
    *layout_out = (uint64_t)id;
    return TEARS_OK;
}

tears_status t3_journal_layout(struct t3_journal *journal, struct tears_str table,
                               struct tears_str bytes, struct t3_deadline deadline,
                               uint64_t *layout_out, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    uint64_t layout = 0;
    if (journal->lite == NULL) { /* a number that needs no table */
        *layout_out = (t3_journal_layout_checksum(table, bytes) >> 1) | 1;
        return TEARS_OK;
    }
    T3_TRY(t3_journal_begin(journal, deadline, &conn, error_out));
    T3_TRY(find_layout(conn, table, bytes, &layout, error_out));
    if (layout == 0) {
        T3_TRY(add_layout(conn, table, bytes, &layout, error_out));
        T3_TRY(t3_journal_commit(journal, conn, error_out));
    }
    *layout_out = layout;
    return TEARS_OK;
}
