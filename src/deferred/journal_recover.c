/*
 * journal_recover.c -- what the owner before has left: layouts, flights, records; and dead letters that are to be tried again.
 *
 * Owns:     nothing.
 * Must not know: what records mean.
 * Threads:  whoever has SQLite's writer.
 * Fails:    as journal.h says.  What is damaged is kept: a record as a dead letter, anything else where it is.
 * Begin at: t3_journal_recover().
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "deferred/journal_impl.h"

#include <inttypes.h>
#include <tears/client.h>

enum { DAMAGE_IN_LOG_MAX = 10 };

/* What a recovery knows; lists are of uint64_t. */
struct recovery {
    struct t3_journal *journal;
    struct t3_lite_conn *conn;
    const struct t3_journal_reader *reader;
    struct tears_error *error_out;
    struct t3_buf bytes; /* of a record, aligned */
    struct t3_buf bad_layouts;
    struct t3_buf bad_records;
};

static void recovery_done(struct recovery *recovery)
{
    t3_buf_done(&recovery->bytes);
    t3_buf_done(&recovery->bad_layouts);
    t3_buf_done(&recovery->bad_records);
}

static tears_status remember(struct recovery *recovery, struct t3_buf *list, uint64_t number)
{
    return t3_buf_put(list, tears_str_n((const char *)&number, sizeof number)) == TEARS_OK
               ? TEARS_OK
               : t3_fail_memory(recovery->error_out, T3_JOURNAL_ORIGIN);
}

static uint64_t listed(const struct t3_buf *list, size_t index)
{
    uint64_t number;
    memcpy(&number, list->ptr + index * sizeof number, sizeof number);
    return number;
}

static bool is_listed(const struct t3_buf *list, uint64_t number)
{
    for (size_t i = 0; i < list->len / sizeof number; i++)
        if (listed(list, i) == number)
            return true;
    return false;
}

/* SQLite's bytes stand anywhere in a page, and may be no longer there at the next call. */
static tears_status align(struct recovery *recovery, struct tears_str bytes,
                          struct tears_str *aligned_out)
{
    t3_buf_clear(&recovery->bytes);
    if (t3_buf_reserve(&recovery->bytes, bytes.len + 1) != TEARS_OK ||
        t3_buf_put(&recovery->bytes, bytes) != TEARS_OK)
        return t3_fail_memory(recovery->error_out, T3_JOURNAL_ORIGIN);
    *aligned_out = t3_buf_str(&recovery->bytes);
    return TEARS_OK;
}

/* ---- the three tables ---- */

static tears_status give_layout(struct recovery *recovery, struct t3_lite_stmt *stmt)
{
    const uint64_t id = t3_journal_number(stmt, 0);
    const struct tears_str table = t3_journal_bytes(stmt, 1);
    struct tears_str bytes;
    T3_TRY(align(recovery, t3_journal_bytes(stmt, 3), &bytes));
    if (t3_journal_layout_checksum(table, bytes) == t3_journal_number(stmt, 2))
        return recovery->reader->layout(recovery->reader->owner, id, table, bytes);
    t3_log(recovery->journal->log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
           "%s: layout %" PRIu64 " of table '" T3_STR_FMT
           "' is damaged: its pending writes become dead letters",
           recovery->journal->path, id, T3_STR_ARG(table));
    return remember(recovery, &recovery->bad_layouts, id);
}

static tears_status give_flight(struct recovery *recovery, struct t3_lite_stmt *stmt)
{
    const uint64_t batch = t3_journal_number(stmt, 0);
    struct tears_str bytes;
    T3_TRY(align(recovery, t3_journal_bytes(stmt, 2), &bytes));
    if (t3_journal_checksum(batch, 0, 0, bytes) != t3_journal_number(stmt, 1) ||
        bytes.len % sizeof(struct t3_journal_ref) != 0)
        return t3_fail(recovery->error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                       "%s: the note of batch %" PRIu64
                       " is damaged, so which writes were under way is not known; without its row "
                       "in the table flight they are all sent again",
                       recovery->journal->path, batch);
    return recovery->reader->flight(recovery->reader->owner, batch,
                                    (const struct t3_journal_ref *)(const void *)bytes.ptr,
                                    bytes.len / sizeof(struct t3_journal_ref));
}

static tears_status give_record(struct recovery *recovery, struct t3_lite_stmt *stmt)
{
    struct t3_journal_found found = {.id = t3_journal_number(stmt, 0),
                                     .seq = t3_journal_number(stmt, 1),
                                     .layout = t3_journal_number(stmt, 2)};
    T3_TRY(align(recovery, t3_journal_bytes(stmt, 4), &found.bytes));
    const uint64_t checksum = t3_journal_checksum(found.id, found.seq, found.layout, found.bytes);
    if (T3_UNLIKELY(checksum != t3_journal_number(stmt, 3) ||
                    is_listed(&recovery->bad_layouts, found.layout)))
        return remember(recovery, &recovery->bad_records, found.id);
    return recovery->reader->record(recovery->reader->owner, &found);
}

static tears_status give_all(struct recovery *recovery, const struct t3_journal_sql *sql,
                             tears_status (*give)(struct recovery *, struct t3_lite_stmt *))
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    T3_TRY(t3_journal_query(recovery->conn, sql, &stmt, recovery->error_out));
    T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    while (row) {
        T3_TRY(give(recovery, stmt));
        T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    }
    return TEARS_OK;
}

static tears_status read_all(struct recovery *recovery)
{
    const struct t3_journal_sql layouts = {
        "SELECT id, name, checksum, bytes FROM layout ORDER BY id", NULL, 0};
    const struct t3_journal_sql flights = {
        "SELECT batch, checksum, records FROM flight ORDER BY batch", NULL, 0};
    const struct t3_journal_sql records = {
        "SELECT id, seq, layout, checksum, bytes FROM record ORDER BY id", NULL, 0};
    T3_TRY(give_all(recovery, &layouts, give_layout));
    T3_TRY(give_all(recovery, &flights, give_flight));
    return give_all(recovery, &records, give_record);
}

/* ---- damaged records ---- */

static tears_status bury_damaged(struct recovery *recovery, struct t3_deadline deadline)
{
    struct t3_journal *journal = recovery->journal;
    const size_t count = recovery->bad_records.len / sizeof(uint64_t);
    if (count == 0)
        return TEARS_OK;
    T3_AUTO(t3_free_auto) struct t3_journal_death *deaths = t3_alloc_zero(count, sizeof *deaths);
    if (deaths == NULL)
        return t3_fail_memory(recovery->error_out, T3_JOURNAL_ORIGIN);
    for (size_t i = 0; i < count; i++) {
        deaths[i].id = listed(&recovery->bad_records, i);
        deaths[i].sqlstate = TEARS_STR("XX001"); /* SQL's data_corrupted */
        deaths[i].message =
            TEARS_STR("the record is damaged in the journal: its checksum is wrong");
        if (i < DAMAGE_IN_LOG_MAX)
            t3_log(journal->log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
                   "%s: record %" PRIu64 " is damaged; it is kept as a dead letter", journal->path,
                   deaths[i].id);
    }
    const struct t3_journal_landing landing = {.deaths = deaths, .death_count = count};
    T3_TRY(t3_journal_land(journal, &landing, deadline, recovery->error_out));
    atomic_fetch_add(&journal->damaged, count);
    t3_log(journal->log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
           "%s: %zu damaged records have become dead letters", journal->path, count);
    return TEARS_OK;
}

static tears_status recover(struct recovery *recovery, struct t3_deadline deadline)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_take_writer(recovery->journal->lite, deadline, &conn, recovery->error_out));
    recovery->conn = conn;
    return read_all(recovery);
}

tears_status t3_journal_recover(struct t3_journal *journal, const struct t3_journal_reader *reader,
                                struct t3_deadline deadline, uint64_t *damaged_out,
                                struct tears_error *error_out)
{
    T3_AUTO(recovery_done)
    struct recovery recovery = {.journal = journal, .reader = reader, .error_out = error_out};
    *damaged_out = 0;
    if (journal->lite == NULL)
        return TEARS_OK;
    T3_TRY(t3_journal_explain(journal->path, recover(&recovery, deadline), error_out));
    T3_TRY(bury_damaged(&recovery, deadline));
    *damaged_out = recovery.bad_records.len / sizeof(uint64_t);
    return TEARS_OK;
}

/* ---- dead letters that are to be tried again ---- */

static const char count_marked[] = "SELECT count(*) FROM dead WHERE marked=1";

/* The row becomes a record `id`; a damaged one stays where it is. */
static tears_status revive_one(struct recovery *recovery, struct t3_lite_stmt *stmt, uint64_t id,
                               uint64_t seq, bool *done_out)
{
    const uint64_t was_id = t3_journal_number(stmt, 0);
    const uint64_t was_seq = t3_journal_number(stmt, 1);
    const uint64_t layout = t3_journal_number(stmt, 2);
    const struct tears_str bytes = t3_journal_bytes(stmt, 4);
    *done_out = t3_journal_checksum(was_id, was_seq, layout, bytes) == t3_journal_number(stmt, 3);
    if (!*done_out)
        return remember(recovery, &recovery->bad_records, was_id);
    const struct tears_value values[] = {
        t3_journal_value(id), t3_journal_value(seq), t3_journal_value(layout),
        t3_journal_value(t3_journal_checksum(id, seq, layout, bytes)), tears_bytes(bytes)};
    const struct t3_journal_sql insert = {
        "INSERT INTO record (id, seq, layout, checksum, bytes) VALUES (?1, ?2, ?3, ?4, ?5)", values,
        T3_COUNT(values)};
    return t3_journal_run(recovery->conn, &insert, recovery->error_out);
}

/* New ids give them the last place. */
static tears_status revive(struct recovery *recovery, const struct t3_journal_sql *marked,
                           uint64_t seq, uint64_t *count_out)
{
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    uint64_t id = recovery->journal->ids.next;
    bool row;
    T3_TRY(t3_journal_query(recovery->conn, marked, &stmt, recovery->error_out));
    T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    while (row) {
        bool done = false;
        T3_TRY(revive_one(recovery, stmt, id, seq, &done));
        id += done ? 1 : 0;
        T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    }
    *count_out = id - recovery->journal->ids.next;
    return TEARS_OK;
}

static tears_status unmark(struct recovery *recovery)
{
    const struct t3_journal_sql remove = {"DELETE FROM dead WHERE marked=1", NULL, 0};
    for (size_t i = 0; i < recovery->bad_records.len / sizeof(uint64_t); i++) {
        const uint64_t id = listed(&recovery->bad_records, i);
        const struct tears_value values[] = {t3_journal_value(id)};
        const struct t3_journal_sql keep = {"UPDATE dead SET marked=0 WHERE id=?1", values, 1};
        T3_TRY(t3_journal_run(recovery->conn, &keep, recovery->error_out));
        t3_log(recovery->journal->log, TEARS_LOG_ERROR, T3_JOURNAL_ORIGIN,
               "%s: dead letter %" PRIu64 " is damaged and cannot be tried again",
               recovery->journal->path, id);
    }
    return t3_journal_run(recovery->conn, &remove, recovery->error_out);
}

static tears_status revive_all(struct recovery *recovery, uint64_t seq, struct t3_deadline deadline)
{
    struct t3_journal *journal = recovery->journal;
    const struct t3_journal_sql letters = {
        "SELECT id, seq, layout, checksum, bytes FROM dead WHERE marked=1 ORDER BY id", NULL, 0};
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    int64_t marked = 0;
    uint64_t reserved = 0;
    uint64_t count = 0;
    T3_TRY(t3_journal_begin(journal, deadline, &conn, recovery->error_out));
    recovery->conn = conn;
    T3_TRY(t3_lite_int(conn, count_marked, &marked, recovery->error_out));
    T3_TRY(
        t3_journal_reserve(conn, &journal->ids, (uint64_t)marked, &reserved, recovery->error_out));
    T3_TRY(revive(recovery, &letters, seq, &count));
    T3_TRY(unmark(recovery));
    T3_TRY(t3_journal_commit(journal, conn, recovery->error_out));
    journal->undelivered = journal->ids.next;
    journal->ids.reserved = reserved;
    journal->ids.next += count;
    journal->undelivered_end = journal->ids.next;
    return TEARS_OK;
}

/* A reader that fails half-way is told of the rest at the next call: in the file they are records already. */
static tears_status deliver(struct recovery *recovery, struct t3_deadline deadline)
{
    struct t3_journal *journal = recovery->journal;
    const struct tears_value values[] = {t3_journal_value(journal->undelivered),
                                         t3_journal_value(journal->undelivered_end)};
    const struct t3_journal_sql records = {
        "SELECT id, seq, layout, checksum, bytes FROM record WHERE id>=?1 AND id<?2 ORDER BY id",
        values, T3_COUNT(values)};
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_take_writer(journal->lite, deadline, &conn, recovery->error_out));
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    T3_TRY(t3_journal_query(conn, &records, &stmt, recovery->error_out));
    T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    while (row) {
        T3_TRY(give_record(recovery, stmt));
        journal->undelivered = t3_journal_number(stmt, 0) + 1;
        T3_TRY(t3_lite_step(stmt, &row, recovery->error_out));
    }
    journal->undelivered = journal->undelivered_end;
    return TEARS_OK;
}

static tears_status look_for_marked(struct t3_journal *journal, struct t3_deadline deadline,
                                    bool *found_out, struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    int64_t marked = 0;
    T3_TRY(t3_lite_take_writer(journal->lite, deadline, &conn, error_out));
    T3_TRY(t3_lite_int(conn, count_marked, &marked, error_out));
    *found_out = marked > 0;
    return TEARS_OK;
}

tears_status t3_journal_take_marked(struct t3_journal *journal,
                                    const struct t3_journal_reader *reader, uint64_t seq,
                                    struct t3_deadline deadline, struct tears_error *error_out)
{
    T3_AUTO(recovery_done)
    struct recovery recovery = {.journal = journal, .reader = reader, .error_out = error_out};
    bool found = false;
    if (journal->lite == NULL)
        return TEARS_OK;
    if (journal->undelivered != journal->undelivered_end)
        T3_TRY(deliver(&recovery, deadline));
    T3_TRY(look_for_marked(journal, deadline, &found, error_out));
    if (!found)
        return TEARS_OK;
    T3_TRY(revive_all(&recovery, seq, deadline));
    return deliver(&recovery, deadline);
}
