/*
 * journal_api.c -- a journal for people: opening it beside its owner, and what is pending in it.
 *
 * Owns:     SQLite connections of its own, and the memory of what the last call gave.
 * Must not know: what the owner has in memory.
 * Threads:  one at a time.
 * Fails:    as tears/deferred.h says.
 * Begin at: tears_journal_open(), tears_journal_pending().
 */
#include "deferred/journal_api.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "base/sized.h"
#include "base/str.h"
#include "base/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 5000, LOCK_PAUSE_US = 5000, PATH_BYTES_MAX = 4000 };

struct t3_deadline t3_journal_api_deadline(void)
{
    return t3_deadline_in_ms(WAIT_MS);
}

/* ---- opening ---- */

static struct tears_str environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return tears_str_c(value != NULL && value[0] != '\0' ? value : otherwise);
}

static tears_status put_path(struct tears_str path, struct t3_buf *out)
{
    if (path.len == 0)
        path = environment("TEARS_JOURNAL", "");
    if (path.len > 0)
        return t3_buf_put(out, path);
    return t3_journal_default_path(environment("TEARS_L3_URL", "sqlite:tears.db"), out);
}

static tears_status set_path(tears_journal *journal, struct tears_str path,
                             struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    if (put_path(path, &text) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    if (text.len > PATH_BYTES_MAX || memchr(text.ptr, 0, text.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, T3_JOURNAL_ORIGIN,
                       "the path of a journal must have 1 to %d bytes and no NUL", PATH_BYTES_MAX);
    journal->path = t3_buf_take(&text);
    if (access(journal->path, F_OK) == 0)
        return TEARS_OK;
    return errno == ENOENT || errno == ENOTDIR
               ? t3_fail(error_out, TEARS_NOT_FOUND, T3_JOURNAL_ORIGIN, "%s: there is no such file",
                         journal->path)
               : t3_fail(error_out, TEARS_DENIED, T3_JOURNAL_ORIGIN,
                         "%s: the file cannot be looked at: permission denied", journal->path);
}

/*
 * SQLite recovers the WAL of a process that died when the first connection comes, be it ours.  So the tail is looked at first here, too; as
 * an owner for that moment, so that no owner comes meanwhile.
 */
static tears_status guard(tears_journal *journal, struct t3_deadline deadline,
                          struct tears_error *error_out)
{
    struct t3_owner_seen seen;
    bool is_damaged;
    if (access(journal->owner.path, F_OK) != 0)
        return TEARS_OK; /* nobody has ever owned it */
    while (!t3_owner_look(&journal->owner, &seen)) {
        if (t3_owner_hold(&journal->owner)) /* until SQLite has the file */
            return t3_wal_guard(journal->path, NULL, &is_damaged, error_out);
        if (access(journal->owner.path, R_OK) != 0 || t3_deadline_passed(deadline))
            break; /* not ours to lock: whoever may will look */
        t3_pause_us(LOCK_PAUSE_US);
    }
    return TEARS_OK;
}

static tears_status open_lite(tears_journal *journal, struct t3_deadline deadline,
                              struct tears_error *error_out)
{
    const struct t3_lite_options options = {.path = tears_str_c(journal->path),
                                            .origin = T3_JOURNAL_ORIGIN,
                                            .reader_max = 1,
                                            .must_exist = true,
                                            .application = T3_JOURNAL_APPLICATION};
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_TRY(t3_lite_open(&options, deadline, &journal->lite, error_out));
    T3_TRY(t3_lite_take_reader(journal->lite, deadline, &conn, error_out));
    T3_TRY(t3_journal_prepare(conn, journal->path, false, error_out));
    return t3_journal_read_id(conn, journal->id, error_out);
}

static tears_status open_journal(tears_journal *journal, struct tears_str path,
                                 struct tears_error *error_out)
{
    const struct t3_deadline deadline = t3_journal_api_deadline();
    T3_TRY(set_path(journal, path, error_out));
    T3_TRY(t3_owner_init(&journal->owner, tears_str_c(journal->path), error_out));
    T3_TRY(guard(journal, deadline, error_out));
    const tears_status status = open_lite(journal, deadline, error_out);
    t3_owner_unlock(&journal->owner);
    return status;
}

tears_status tears_journal_open(struct tears_str path, tears_journal **journal_out,
                                struct tears_error *error_out)
{
    tears_journal *journal = t3_alloc_zero(1, sizeof *journal);
    if (journal == NULL)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    journal->owner.fd = -1;
    const tears_status status = open_journal(journal, path, error_out);
    if (status != TEARS_OK) {
        tears_journal_free(journal);
        return status;
    }
    *journal_out = journal;
    return TEARS_OK;
}

void tears_journal_free(tears_journal *journal)
{
    if (journal == NULL)
        return;
    t3_lite_free(journal->lite);
    t3_owner_done(&journal->owner);
    while (journal->tables != NULL) {
        struct t3_journal_table *table = journal->tables;
        journal->tables = table->next;
        tears_schema_free(table->schema);
        t3_free(table);
    }
    t3_arena_done(&journal->arena);
    t3_free(journal->path);
    t3_free(journal);
}

/* ---- records ---- */

static tears_status read_layout(struct t3_lite_conn *conn, uint64_t layout,
                                tears_schema **schema_out, struct tears_error *error_out)
{
    const struct tears_value values[] = {t3_journal_value(layout)};
    const struct t3_journal_sql sql = {"SELECT name, checksum, bytes FROM layout WHERE id=?1",
                                       values, 1};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    *schema_out = NULL;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    if (!row)
        return TEARS_OK;
    const struct tears_str bytes = t3_journal_bytes(stmt, 2);
    if (t3_journal_layout_checksum(t3_journal_bytes(stmt, 0), bytes) != t3_journal_number(stmt, 1))
        return TEARS_OK;
    const tears_status status = t3_record_layout_read(bytes, schema_out);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    return TEARS_OK;
}

tears_status t3_journal_api_table(tears_journal *journal, struct t3_lite_conn *conn,
                                  uint64_t layout, const struct tears_schema **schema_out,
                                  struct tears_error *error_out)
{
    for (struct t3_journal_table *known = journal->tables; known != NULL; known = known->next)
        if (known->layout == layout) {
            *schema_out = known->schema;
            return TEARS_OK;
        }
    tears_schema *schema;
    T3_TRY(read_layout(conn, layout, &schema, error_out));
    *schema_out = schema;
    if (schema == NULL)
        return TEARS_OK;
    struct t3_journal_table *table = t3_alloc(sizeof *table);
    if (table == NULL) {
        tears_schema_free(schema);
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    }
    *table = (struct t3_journal_table){.next = journal->tables, .layout = layout, .schema = schema};
    journal->tables = table;
    return TEARS_OK;
}

tears_status t3_journal_api_item(tears_journal *journal, struct t3_lite_conn *conn,
                                 struct t3_lite_stmt *stmt, struct t3_journal_item *item_out,
                                 struct tears_error *error_out)
{
    struct tears_str bytes = t3_journal_bytes(stmt, 4);
    *item_out = (struct t3_journal_item){.id = t3_journal_number(stmt, 0),
                                         .seq = t3_journal_number(stmt, 1),
                                         .layout = t3_journal_number(stmt, 2),
                                         .bytes = bytes.len};
    const uint64_t checksum =
        t3_journal_checksum(item_out->id, item_out->seq, item_out->layout, bytes);
    const struct tears_schema *schema = NULL;
    if (checksum != t3_journal_number(stmt, 3))
        return TEARS_OK;
    T3_TRY(t3_journal_api_table(journal, conn, item_out->layout, &schema, error_out));
    if (schema == NULL)
        return TEARS_OK;
    if (t3_arena_str(&journal->arena, bytes, &bytes) != TEARS_OK)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    const tears_status status = t3_record_read(schema, bytes, &journal->arena, &item_out->record);
    if (status == TEARS_NO_MEMORY)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    if (status == TEARS_OK)
        item_out->schema = schema;
    return TEARS_OK;
}

static tears_status list_rows(tears_journal *journal, const struct t3_journal_page *page,
                              const struct t3_journal_sql *sql, struct t3_buf *list,
                              struct tears_error *error_out)
{
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    bool row;
    void *item = t3_arena_alloc(&journal->arena, page->size);
    if (item == NULL)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    T3_TRY(t3_lite_take_reader(journal->lite, t3_journal_api_deadline(), &conn, error_out));
    T3_TRY(t3_journal_query(conn, sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    while (row) {
        T3_TRY(page->read(journal, conn, stmt, item, error_out));
        if (t3_buf_put(list, tears_str_n(item, page->size)) != TEARS_OK)
            return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
        T3_TRY(t3_lite_step(stmt, &row, error_out));
    }
    return TEARS_OK;
}

tears_status t3_journal_api_page(tears_journal *journal, const struct t3_journal_page *page,
                                 const struct t3_journal_part *part, const void **items_out,
                                 size_t *count_out, struct tears_error *error_out)
{
    const bool is_of_all = part->table.len == 0;
    const struct tears_value values[] = {
        t3_journal_value(part->after_id),
        t3_journal_value(part->max < INT64_MAX ? part->max : INT64_MAX), tears_text(part->table)};
    const struct t3_journal_sql sql = {is_of_all ? page->all : page->some, values,
                                       is_of_all ? 2 : 3};
    T3_AUTO(t3_buf_done) struct t3_buf list = {0};
    t3_arena_reset(&journal->arena);
    T3_TRY(list_rows(journal, page, &sql, &list, error_out));
    void *items = t3_arena_alloc(&journal->arena, list.len);
    if (items == NULL)
        return t3_fail_memory(error_out, T3_JOURNAL_ORIGIN);
    if (list.len > 0)
        memcpy(items, list.ptr, list.len);
    *items_out = items;
    *count_out = list.len / page->size;
    return TEARS_OK;
}

/* ---- status ---- */

static tears_status count(struct t3_lite_conn *conn, struct tears_journal_status *status,
                          struct tears_error *error_out)
{
    int64_t number;
    T3_TRY(t3_journal_meta(conn, "epoch", &status->epoch, error_out));
    T3_TRY(t3_lite_int(conn, "SELECT count(*) FROM record", &number, error_out));
    status->pending = (uint64_t)number;
    T3_TRY(t3_lite_int(conn, "SELECT coalesce(sum(length(bytes)), 0) FROM record", &number,
                       error_out));
    status->pending_bytes = (uint64_t)number;
    T3_TRY(t3_lite_int(conn, "SELECT count(*) FROM dead", &number, error_out));
    status->dead = (uint64_t)number;
    return TEARS_OK;
}

/* Records are in the order in which their keys became pending. */
static tears_status find_oldest(tears_journal *journal, struct t3_lite_conn *conn,
                                int64_t *oldest_out, struct tears_error *error_out)
{
    const struct t3_journal_sql sql = {
        "SELECT id, seq, layout, checksum, bytes FROM record ORDER BY id LIMIT 1", NULL, 0};
    T3_AUTO(t3_lite_reset) struct t3_lite_stmt *stmt = NULL;
    struct t3_journal_item item;
    bool row;
    T3_TRY(t3_journal_query(conn, &sql, &stmt, error_out));
    T3_TRY(t3_lite_step(stmt, &row, error_out));
    if (!row)
        return TEARS_OK;
    T3_TRY(t3_journal_api_item(journal, conn, stmt, &item, error_out));
    *oldest_out = item.schema != NULL ? item.record.since_us : 0;
    return TEARS_OK;
}

tears_status tears_journal_look(tears_journal *journal, struct tears_journal_status *status_out,
                                struct tears_error *error_out)
{
    struct tears_journal_status status = {.size = sizeof status};
    struct t3_owner_seen seen;
    T3_AUTO(t3_lite_give_auto) struct t3_lite_conn *conn = NULL;
    t3_arena_reset(&journal->arena);
    if (status_out->size == 0)
        return t3_fail(error_out, TEARS_MISUSE, T3_JOURNAL_ORIGIN,
                       "set the status with TEARS_JOURNAL_STATUS_INIT");
    T3_TRY(t3_lite_take_reader(journal->lite, t3_journal_api_deadline(), &conn, error_out));
    T3_TRY(count(conn, &status, error_out));
    T3_TRY(find_oldest(journal, conn, &status.oldest_us, error_out));
    status.path = tears_str_c(journal->path);
    status.id = tears_str_c(journal->id);
    if (t3_owner_look(&journal->owner, &seen)) {
        status.is_owned = 1;
        status.owner_pid = seen.pid;
        status.owner_idle_ms = seen.idle_ms;
    }
    t3_sized_give(status_out, &status, sizeof status);
    return TEARS_OK;
}

/* ---- pending writes ---- */

static tears_status fail_damaged(const tears_journal *journal, const struct t3_journal_item *item,
                                 struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_CORRUPT, T3_JOURNAL_ORIGIN,
                   "%s: record %" PRIu64
                   " is damaged; the journal's next owner makes it a dead letter",
                   journal->path, item->id);
}

static tears_status read_pending(tears_journal *journal, struct t3_lite_conn *conn,
                                 struct t3_lite_stmt *stmt, void *item_out,
                                 struct tears_error *error_out)
{
    struct t3_journal_item item;
    T3_TRY(t3_journal_api_item(journal, conn, stmt, &item, error_out));
    if (item.schema == NULL)
        return fail_damaged(journal, &item, error_out);
    return t3_journal_api_show(journal, &item, item_out, error_out);
}

tears_status tears_journal_pending(tears_journal *journal, struct tears_str table,
                                   uint64_t after_id, size_t max,
                                   const struct tears_pending **pending_out, size_t *count_out,
                                   struct tears_error *error_out)
{
    static const struct t3_journal_page page = {
        .all =
            "SELECT id, seq, layout, checksum, bytes FROM record WHERE id>?1 ORDER BY id LIMIT ?2",
        .some = "SELECT id, seq, layout, checksum, bytes FROM record WHERE id>?1 AND layout IN"
                " (SELECT l.id FROM layout l WHERE l.name=?3) ORDER BY id LIMIT ?2",
        .size = sizeof(struct tears_pending),
        .read = read_pending};
    const struct t3_journal_part part = {.table = table, .after_id = after_id, .max = max};
    const void *items = NULL;
    T3_TRY(t3_journal_api_page(journal, &page, &part, &items, count_out, error_out));
    *pending_out = items;
    return TEARS_OK;
}
