/*
 * defer.c -- opens the journal, says which tables are deferred, and brings the caches up to date with what a flush has done.
 *
 * Owns:     the client's journal, flusher and herald; the session that flushes use.
 * Knows:    that what landed must be in the caches before it stops being pending.
 * Must not know: how pending rows are kept or sent.
 * Threads:  opening takes a mutex of its own, for it reads a file; the hooks are called by one flushing thread at a time.
 * Fails:    as the journal does.
 * Begin at: t3_defer_attach(), landed().
 */
#include "core/defer.h"

#include "base/fail.h"
#include "base/str.h"
#include "core/correct.h"
#include "core/herald.h"

#include <stdlib.h>

enum {
    INTERVAL_MS = 30000,
    ROWS_MAX = 10000000,
    FLUSH_ROWS = 1000000,
    SHUTDOWN_MS = 30000,
    OPEN_MS = 60000 /* a large journal takes its time to be read */
};
#define BYTES_MAX   ((uint64_t)2 * 1024 * 1024 * 1024)
#define FLUSH_BYTES ((uint64_t)256 * 1024 * 1024)

static const char origin[] = "deferred";

/* ---- which tables ------------------------------------------------------------------------------ */

/* Whether the name is in a list such as "messages, token_usage_logs". */
static bool is_listed(struct tears_str list, struct tears_str name)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        const size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;
        if (t3_str_equal(t3_str_trim(tears_str_n(list.ptr, len), " \t"), name))
            return true;
        list = t3_str_from(list, comma != NULL ? len + 1 : len);
    }
    return false;
}

static uint64_t strategy_of(const struct tears_collection *collection)
{
    const struct tears_client_options *client = &collection->client->options;
    const uint64_t own = collection->options.flush_strategy;
    if (own != TEARS_FLUSH_DEFAULT)
        return own;
    if (!is_listed(client->flush_tables, collection->schema->name))
        return TEARS_FLUSH_ALWAYS;
    return client->flush_strategy != TEARS_FLUSH_DEFAULT ? client->flush_strategy
                                                         : TEARS_FLUSH_ON_SCHEDULE;
}

static tears_status refuse(const struct tears_collection *collection, const char *why,
                           struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_INVALID, origin,
                   "table '" T3_STR_FMT "' cannot be deferred: %s",
                   T3_STR_ARG(collection->schema->name), why);
}

static tears_status check(const struct tears_collection *collection, struct tears_error *error_out)
{
    if (strategy_of(collection) > TEARS_FLUSH_ON_SHUTDOWN)
        return refuse(collection, "flush_strategy is none of TEARS_FLUSH_*", error_out);
    if (collection->options.on_stale > TEARS_ON_STALE_MERGE)
        return refuse(collection, "on_stale is none of TEARS_ON_STALE_*", error_out);
    if (strategy_of(collection) == TEARS_FLUSH_ALWAYS)
        return TEARS_OK;
    if (collection->lives_in_l2)
        return refuse(collection, "it has no L3", error_out);
    if (collection->options.strict != 0)
        return refuse(collection, "strict announces writes, and a deferred one is made later",
                      error_out);
    return TEARS_OK;
}

/* Whether rows of the table were found in the journal, which nobody has asked for so far. */
static tears_status was_recovered(struct tears_collection *collection, bool *found_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str *names = NULL;
    size_t count = 0;
    T3_TRY(t3_pending_unopened(t3_deferred_pending(collection->client->deferred), &arena, &names,
                               &count));
    *found_out = false;
    for (size_t i = 0; i < count; i++)
        *found_out |= t3_str_equal(names[i], collection->schema->name);
    return TEARS_OK;
}

static tears_status open_pending(struct tears_collection *collection, struct tears_error *error_out)
{
    struct tears_client *client = collection->client;
    /* two threads may open the collection at once, and one of the two schemas goes: the pending table keeps its own hold */
    T3_TRY(t3_pending_table_open(t3_deferred_pending(client->deferred), collection->schema,
                                 collection->options.on_stale == TEARS_ON_STALE_MERGE,
                                 t3_deadline_in_ms(OPEN_MS), &collection->pending, error_out));
    if (strategy_of(collection) == TEARS_FLUSH_ON_SCHEDULE &&
        t3_deferred_schedule(client->deferred, collection->pending) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    return TEARS_OK;
}

static tears_status start(struct tears_client *client, struct tears_error *error_out);

tears_status t3_defer_attach(struct tears_collection *collection, struct tears_error *error_out)
{
    struct tears_client *client = collection->client;
    bool has_rows = false;
    T3_TRY(check(collection, error_out));
    collection->defers = strategy_of(collection) != TEARS_FLUSH_ALWAYS;
    if (collection->defers)
        T3_TRY(start(client, error_out));
    else if (client->deferred == NULL)
        return TEARS_OK;
    if (was_recovered(collection, &has_rows) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    if (collection->defers || has_rows)
        T3_TRY(open_pending(collection, error_out));
    return has_rows ? t3_deferred_start(client->deferred, error_out)
                    : TEARS_OK; /* they can go now */
}

/* ---- what a flush has done --------------------------------------------------------------------- */

/*
 * The flusher does not open tables on its own: with which options is the program's to say.  When it wants everything flushed, tables that it did not
 * open so far are opened with none; those that cannot be keep their rows.
 */
void t3_defer_open_all(struct tears_client *client)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_str *names = NULL;
    size_t count = 0;
    if (client->deferred == NULL || t3_pending_unopened(t3_deferred_pending(client->deferred),
                                                        &arena, &names, &count) != TEARS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        struct tears_collection *collection = NULL;
        struct tears_error error;
        if (tears_collection_open(client, names[i], NULL, &collection, &error) != TEARS_OK)
            t3_log(&client->log, TEARS_LOG_WARN, origin, "pending rows wait: %s", error.message);
    }
}

/* The session that hooks use: one flush runs at a time. */
static struct tears_session *borrow_session(struct tears_client *client)
{
    if (client->flusher == NULL && tears_session_new(client, NULL, &client->flusher) != TEARS_OK)
        client->flusher = NULL;
    if (client->flusher != NULL && t3_session_enter(client->flusher) != TEARS_OK)
        return NULL;
    return client->flusher;
}

static tears_status find_table(void *owner, struct tears_str name, struct t3_flush_table *table_out,
                               struct tears_error *error_out)
{
    struct tears_client *client = owner;
    struct tears_collection *collection = t3_collection_lookup(client, name);
    if (collection == NULL || collection->pending == NULL)
        return t3_fail(error_out, TEARS_NOT_FOUND, origin,
                       "table '" T3_STR_FMT "' has not been opened by this process",
                       T3_STR_ARG(name));
    table_out->pending = collection->pending;
    table_out->l3 = collection->l3;
    table_out->merger = (struct t3_merger){.policy = collection->options.on_stale,
                                           .fn = collection->options.merge,
                                           .owner = collection->options.merge_owner};
    table_out->collection = collection;
    return TEARS_OK;
}

static uint64_t ticket_of(void *owner, const struct t3_flush_table *table, const struct t3_key *key)
{
    (void)owner;
    return t3_collection_ticket(table->collection, key);
}

static void fill_correction(struct tears_collection *collection,
                            const struct t3_flush_landed *landed, uint64_t asked_ms,
                            struct t3_correction *correction)
{
    const bool is_deletion = landed->record->kind == T3_RECORD_DELETE;
    correction->collection = collection;
    correction->kind = landed->row != NULL ? T3_CORRECT_WRITTEN
                       : is_deletion
                           ? T3_CORRECT_DELETED
                           : T3_CORRECT_STALE; /* one of so many: whoever wants it reads it */
    correction->row = landed->row;
    correction->version = landed->version;
    correction->seen = UINT64_MAX;
    correction->ticket = landed->ticket;
    correction->inserted = landed->record->kind == T3_RECORD_INSERT;
    correction->confirmed_ms = asked_ms;
}

static void invalidate_all(struct tears_session *session, struct tears_collection *collection,
                           const struct t3_record *const *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tears_value storage[16];
        struct t3_key key;
        t3_key_of_row(collection->schema, records[i]->row, storage, &key);
        t3_write_invalidate(session, collection, &key);
    }
}

/* The rows are in L3.  They are pending until this is done, so that no reader of this process finds the old ones in between. */
static void landed(void *owner, const struct t3_flush_table *table,
                   const struct t3_flush_landed *landed, size_t count, uint64_t asked_ms)
{
    struct tears_client *client = owner;
    struct tears_collection *collection = table->collection;
    struct tears_session *session = borrow_session(client);
    if (session ==
        NULL) { /* no memory for one: L1 forgets the table, and other caches learn by age */
        if (collection->l1 != NULL)
            collection->l1->ops->clear(collection->l1, collection->space);
        t3_log(&client->log, TEARS_LOG_ERROR, origin, "no memory to correct the caches");
        return;
    }
    const uint32_t parts = collection->schema->key_count;
    struct t3_correction *corrections = t3_arena_array(&session->arena, count, sizeof *corrections);
    struct tears_value *values = t3_arena_array(&session->arena, count, parts * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        if (corrections == NULL || values == NULL) {
            invalidate_all(session, collection, &landed[i].record, 1);
            continue;
        }
        fill_correction(collection, &landed[i], asked_ms, &corrections[i]);
        t3_key_of_row(collection->schema, landed[i].record->row, values + i * parts,
                      &corrections[i].key);
    }
    if (corrections != NULL && values != NULL)
        t3_correct(session, corrections, count);
    tears_session_reset(session);
}

static void refused(void *owner, const struct t3_flush_table *table,
                    const struct t3_record *const *records, size_t count)
{
    struct tears_client *client = owner;
    struct tears_session *session = borrow_session(client);
    if (session == NULL)
        return; /* L1 never had the row, and L2's copy says that it is not true yet */
    invalidate_all(session, table->collection, records, count);
    tears_session_reset(session);
}

/* ---- the journal ------------------------------------------------------------------------------- */

static uint64_t given_or(uint64_t given, uint64_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* Where the journal is when nobody says: beside an embedded database, else in the working directory. */
static tears_status put_path(struct tears_client *client, struct t3_buf *path)
{
    const struct tears_client_options *options = &client->options;
    const char *environment = getenv(T3_JOURNAL_ENV);
    if (options->journal_path.len > 0)
        return t3_buf_put(path, options->journal_path);
    if (environment != NULL && environment[0] != '\0')
        return t3_buf_put(path, tears_str_c(environment));
    return t3_journal_default_path(options->store == NULL ? options->l3_url : TEARS_STR(""), path);
}

static tears_status check_options(const struct tears_client_options *options,
                                  struct tears_error *error_out)
{
    if (options->journal_durability > TEARS_DURABLE_NONE)
        return t3_fail(error_out, TEARS_INVALID, origin,
                       "journal_durability is none of TEARS_DURABLE_*");
    if (options->journal_full > TEARS_FULL_WRITE_THROUGH)
        return t3_fail(error_out, TEARS_INVALID, origin, "journal_full is none of TEARS_FULL_*");
    if (options->flush_strategy > TEARS_FLUSH_ON_SHUTDOWN)
        return t3_fail(error_out, TEARS_INVALID, origin, "flush_strategy is none of TEARS_FLUSH_*");
    return TEARS_OK;
}

static tears_status open_journal(struct tears_client *client, struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf path = {0};
    const struct tears_client_options *given = &client->options;
    T3_TRY(check_options(given, error_out));
    if (put_path(client, &path) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    const struct t3_deferred_options options = {
        .journal = {.path = t3_buf_str(&path),
                    .durability = given->journal_durability,
                    .take_over_ms = given->journal_take_over_ms,
                    .log = &client->log},
        .limits = {.rows_max = given_or(given->journal_rows_max, ROWS_MAX),
                   .bytes_max = given_or(given->journal_bytes_max, BYTES_MAX),
                   .flush_rows = given_or(given->journal_flush_rows, FLUSH_ROWS),
                   .flush_bytes = given_or(given->journal_flush_bytes, FLUSH_BYTES),
                   .flush_age_ms = given->journal_flush_age_ms},
        .interval_ms = given_or(given->flush_interval_ms, INTERVAL_MS),
        .hooks = {.table = find_table,
                  .ticket = ticket_of,
                  .landed = landed,
                  .refused = refused,
                  .owner = client},
        .log = &client->log,
    };
    if (client->l2 != NULL && t3_herald_new(client, &client->herald) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    struct t3_deferred *opened = NULL;
    T3_TRY(t3_deferred_open(&options, t3_deadline_in_ms(OPEN_MS), &opened, error_out));
    client->deferred = opened;
    return t3_deferred_start(opened, error_out); /* its hooks look for what was just set */
}

static tears_status start(struct tears_client *client, struct tears_error *error_out)
{
    tears_status status = TEARS_OK;
    t3_lock(&client->defer_mutex);
    if (client->deferred == NULL)
        status = open_journal(client, error_out);
    t3_unlock(&client->defer_mutex);
    return status;
}

tears_status t3_defer_start(struct tears_client *client, struct tears_error *error_out)
{
    const struct tears_client_options *options = &client->options;
    const char *environment = getenv(T3_JOURNAL_ENV);
    const bool is_named =
        options->journal_path.len > 0 || (environment != NULL && environment[0] != '\0');
    return is_named || options->flush_tables.len > 0 ? start(client, error_out) : TEARS_OK;
}

void t3_defer_stop(struct tears_client *client)
{
    t3_defer_open_all(client);
    t3_deferred_stop(client->deferred,
                     t3_deadline_in_ms(given_or(client->options.flush_shutdown_ms, SHUTDOWN_MS)));
    t3_herald_free(client->herald);
    client->herald = NULL;
    tears_session_free(client->flusher);
    client->flusher = NULL;
}

void t3_defer_free(struct tears_client *client)
{
    t3_deferred_free(client->deferred);
    client->deferred = NULL;
}
