/*
 * l3_lite_query.c -- the durable SQLite tier: ad-hoc SQL, and what doctor asks.
 *
 * Owns:     nothing.
 * Must not know: schemas.
 * Threads:  any.
 * Fails:    as l3.h says; a statement that fails has changed nothing.
 * Begin at: t3_l3_lite_query().
 */
#include "base/fail.h"
#include "base/str.h"
#include "tier/l3_lite_impl.h"
#include "tier/result_lite.h"

#include <stdio.h>
#include <sys/statvfs.h>

/* ---- ad-hoc SQL ---- */

struct query {
    struct t3_l3_call *call;
    struct t3_adhoc adhoc;
    struct t3_result *result;
};

/* Runs it on the connection.  *readonly_out false, and nothing done, when it writes but `may_write`
 * is false. */
static tears_status run(const struct query *query, struct t3_lite_conn *conn, bool may_write,
                        bool *done_out)
{
    struct t3_l3_call *call = query->call;
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    T3_TRY(t3_adhoc_prepare(conn, &query->adhoc, call->arena, &stmt, call->error));
    *done_out = may_write || t3_lite_is_readonly(stmt);
    if (!*done_out)
        return TEARS_OK;
    const uint64_t before = t3_lite_total_changes(conn);
    T3_TRY(t3_result_collect(stmt, call->arena, query->result, call->error));
    if (query->result->column_count ==
        0) /* the count of changes stays as it was after CREATE and the like */
        query->result->affected = t3_lite_total_changes(conn) == before ? 0 : t3_lite_changes(conn);
    return TEARS_OK;
}

static tears_status run_leased(struct l3_lite *l3, const struct query *query, bool may_write,
                               bool *done_out)
{
    struct t3_l3_lite_lease lease;
    T3_TRY(t3_l3_lite_lease(l3, query->call, may_write, &lease));
    return t3_l3_lite_release(&lease, run(query, lease.conn, may_write, done_out));
}

tears_status t3_l3_lite_query(struct t3_l3 *l3, struct t3_l3_call *call, struct tears_str sql,
                              const struct tears_value *params, size_t param_count,
                              struct t3_result *result_out)
{
    struct l3_lite *lite = (struct l3_lite *)l3;
    const struct query query = {.call = call,
                                .adhoc = {.sql = sql, .params = params, .param_count = param_count},
                                .result = result_out};
    bool done = false;
    /* A transaction's connection can do both.  Otherwise a reader finds out what the statement is,
     * and runs it if it only reads. */
    if (call->tx == NULL)
        T3_TRY(run_leased(lite, &query, false, &done));
    if (done)
        return TEARS_OK;
    const tears_status status = run_leased(lite, &query, true, &done);
    if (status == TEARS_UNAVAILABLE)
        call->outcome_unknown = true;
    return status;
}

/* ---- doctor ---- */

struct examination {
    struct t3_l3_call *call;
    struct t3_findings *findings;
    struct t3_lite *lite;
    struct t3_lite_conn *conn;
};

static tears_status add(const struct examination *examination, uint64_t severity,
                        const char *subject, struct tears_str value, const char *advice)
{
    return t3_finding_add(examination->findings, "l3", severity, subject, value,
                          tears_str_c(advice));
}

/* The first cell of a one-row statement as text; "" when there is none. */
static tears_status ask(const struct examination *examination, struct tears_str sql,
                        struct tears_str *answer_out)
{
    struct t3_result result = {0};
    const struct query query = {
        .call = examination->call, .adhoc = {.sql = sql}, .result = &result};
    bool done;
    T3_TRY(run(&query, examination->conn, true, &done));
    *answer_out = TEARS_STR("");
    if (result.row_count == 0)
        return TEARS_OK;
    const struct tears_value *cell = &result.values[0];
    if (cell->kind == TEARS_KIND_TEXT) {
        *answer_out = cell->as.bytes;
        return TEARS_OK;
    }
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "%lld", (long long)cell->as.integer));
    return t3_arena_str(examination->call->arena, t3_buf_str(&text), answer_out);
}

static tears_status examine_settings(const struct examination *examination)
{
    struct tears_str mode;
    struct tears_str synchronous;
    T3_TRY(ask(examination, TEARS_STR("PRAGMA journal_mode"), &mode));
    T3_TRY(ask(examination, TEARS_STR("PRAGMA synchronous"), &synchronous));
    const bool wal = t3_str_is(mode, "wal");
    T3_TRY(
        add(examination, wal ? 0 : 1, "journal_mode", mode,
            wal ? "" : "readers and the writer wait for each other: use a file on a local disk"));
    const bool full = t3_str_is(synchronous, "2");
    T3_TRY(add(examination, full ? 0 : 1, "synchronous", full ? TEARS_STR("FULL") : synchronous,
               full ? "" : "commits may be lost when the power fails"));
    return add(examination, t3_lite_is_threadsafe() ? 0 : 2, "threads",
               t3_lite_is_threadsafe() ? TEARS_STR("safe") : TEARS_STR("SQLite built without"),
               t3_lite_is_threadsafe() ? "" : "install an SQLite that is built with threads");
}

/* The directory that the file is in: where its WAL grows too. */
static struct tears_str directory_of(struct tears_str path)
{
    size_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '/')
        len--;
    return len > 0 ? tears_str_n(path.ptr, len) : TEARS_STR(".");
}

static tears_status examine_disk(const struct examination *examination)
{
    struct statvfs disk;
    struct tears_str directory;
    T3_TRY(t3_arena_str(examination->call->arena, directory_of(t3_lite_path(examination->lite)),
                        &directory));
    if (statvfs(directory.ptr, &disk) != 0)
        return TEARS_OK; /* an in-memory database, or a directory that went away: then queries fail
                          */
    const uint64_t free_mib = (uint64_t)disk.f_bavail * disk.f_frsize >> 20;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "%llu MiB free", (unsigned long long)free_mib));
    return add(examination,
               free_mib < 64     ? 2
               : free_mib < 1024 ? 1
                                 : 0,
               "disk", t3_buf_str(&text),
               free_mib < 1024 ? "free some space: writes fail when the disk is full" : "");
}

static tears_status examine_size(const struct examination *examination)
{
    int64_t pages;
    int64_t page_bytes;
    T3_TRY(t3_lite_int(examination->conn, "PRAGMA page_count", &pages, examination->call->error));
    T3_TRY(
        t3_lite_int(examination->conn, "PRAGMA page_size", &page_bytes, examination->call->error));
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    T3_TRY(t3_buf_printf(&text, "%lld KiB", (long long)(pages * page_bytes / 1024)));
    return add(examination, 0, "size", t3_buf_str(&text), "");
}

static tears_status examine_content(const struct examination *examination)
{
    struct tears_str answer;
    const tears_status status = ask(examination, TEARS_STR("PRAGMA quick_check(1)"), &answer);
    if (status == TEARS_TIMEOUT)
        return add(examination, 0, "integrity", TEARS_STR("too large to check in time"), "");
    if (status == TEARS_NO_MEMORY)
        return status;
    if (status != TEARS_OK)
        answer = tears_str_c(tears_status_text(status));
    const bool fine = status == TEARS_OK && t3_str_is(answer, "ok");
    return add(examination, fine ? 0 : 2, "integrity", answer,
               fine ? "" : "restore a backup, or save what is left with sqlite3 FILE .recover");
}

static tears_status examine(const struct examination *examination)
{
    const bool read_only = t3_lite_is_read_only(examination->lite);
    T3_TRY(add(examination, 0, "version", tears_str_c(t3_lite_version()), ""));
    T3_TRY(add(examination, read_only ? 1 : 0, "file", t3_lite_path(examination->lite),
               read_only ? "read-only: nothing can be saved" : ""));
    const uint64_t start_us = t3_now_us();
    T3_TRY(examine_size(examination));
    const uint64_t spent_us = t3_now_us() - start_us;
    T3_AUTO(t3_buf_done) struct t3_buf latency = {0};
    T3_TRY(t3_buf_printf(&latency, "%llu us", (unsigned long long)spent_us));
    T3_TRY(add(examination, 0, "latency", t3_buf_str(&latency), ""));
    T3_TRY(examine_settings(examination));
    T3_TRY(examine_disk(examination));
    return examine_content(examination);
}

tears_status t3_l3_lite_doctor(struct t3_l3 *l3, struct t3_l3_call *call,
                               struct t3_findings *findings)
{
    struct l3_lite *lite = (struct l3_lite *)l3;
    struct t3_l3_lite_lease lease;
    struct examination examination = {.call = call, .findings = findings, .lite = lite->lite};
    tears_status status = t3_l3_lite_lease(lite, call, false, &lease);
    if (status == TEARS_OK) {
        examination.conn = lease.conn;
        status = t3_l3_lite_release(&lease, examine(&examination));
    }
    if (status == TEARS_OK || status == TEARS_NO_MEMORY)
        return status;
    const struct tears_str cause = call->error != NULL ? tears_str_c(call->error->message)
                                                       : tears_str_c(tears_status_text(status));
    return add(&examination, 2, "reachable", cause, "");
}
