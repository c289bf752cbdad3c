/*
 * helper_backfill.c -- a large UPDATE in batches along a table's key.
 *
 * Owns:     the place in the table while it walks.
 * Must not know: what is written into the rows.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: walk().
 *
 * A batch asks for the key that is batch_rows further on and updates what lies between.  Its end and the number of rows are
 * saved in the transaction of the batch itself: after a crash it has been done and noted, or neither.  That, and not the
 * value that a row has, says whether a row was done: a row that somebody sets back is not written over, and rows can be
 * given values that no predicate could tell from the old ones.
 *
 * The place is saved as SQL literals of the key.  Rows that are inserted behind it while it walks are updated as well, those before
 * it are not: whoever inserts them knows the new column.
 *
 * LIMITATIONS: a row whose key is changed by others meanwhile may be met twice or not at all.
 */
#include "base/limits.h"
#include "base/str.h"
#include "codec/text.h"
#include "data/helper_impl.h"

#include <stdio.h>
#include <time.h>

enum { BATCH_ROWS = 5000, PAUSE_MS_MAX = 60000 };

struct walk {
    tears_migration *migration;
    struct tears_backfill given;
    struct tears_str table_text; /* the table's name as SQL */
    struct tears_str keys[T3_KEY_COLUMNS_MAX];
    struct tears_str types[T3_KEY_COLUMNS_MAX]; /* PostgreSQL: for the literals */
    size_t key_count;
    struct t3_buf place; /* literals of the last key that is done; empty: none */
    struct t3_buf end;   /* of the batch under way; empty: the table's */
    struct t3_arena
        look; /* of one batch: a walk of days needs no more memory than one of seconds */
    uint64_t rows;
    uint64_t total; /* 0: not known */
};

static void walk_done(struct walk *walk)
{
    t3_buf_done(&walk->place);
    t3_buf_done(&walk->end);
    t3_arena_done(&walk->look);
}

/* ---- the key ---- */

static tears_status no_key(const struct walk *walk, const char *why)
{
    return t3_fail(&walk->migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                   "the table '" T3_STR_FMT "' cannot be walked in batches: %s",
                   T3_STR_ARG(walk->given.table), why);
}

/* Rows without a key would be passed over in silence. */
static tears_status take_given_key(struct walk *walk)
{
    const bool is_lite = t3_helper_is_lite(walk->migration);
    if (walk->given.key_count > T3_KEY_COLUMNS_MAX)
        return no_key(walk, "the key has too many columns");
    T3_TRY(t3_helper_check_names(walk->migration, walk->given.key, walk->given.key_count));
    for (size_t i = 0; i < walk->given.key_count; i++) {
        struct t3_look_column found;
        const struct tears_table_part part = {
            .schema = walk->given.schema, .table = walk->given.table, .name = walk->given.key[i]};
        T3_TRY(t3_look_at_column(walk->migration, &part, &found));
        const bool is_rowid = is_lite && walk->given.key_count == 1 &&
                              t3_str_equal_nocase(found.type, TEARS_STR("INTEGER"));
        if (!found.is_there || (!found.is_not_null && !is_rowid))
            return no_key(walk, "a column of the key is missing, or may be NULL");
        walk->keys[i] = walk->given.key[i];
        walk->types[i] = found.type;
    }
    walk->key_count = walk->given.key_count;
    return TEARS_OK;
}

static tears_status find_key(struct walk *walk)
{
    const bool is_lite = t3_helper_is_lite(walk->migration);
    struct tears_migration_rows rows;
    const struct t3_look look = {
        .sql =
            is_lite
                ? TEARS_STR(
                      "SELECT name, type, CASE WHEN \"notnull\" <> 0 OR (type = 'INTEGER' COLLATE "
                      "NOCASE AND (SELECT count(*) FROM pragma_table_info($1) WHERE pk > 0) = 1) "
                      "THEN '1' ELSE '' END FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk")
                : TEARS_STR(
                      "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), '1' FROM "
                      "pg_catalog.pg_index i, pg_catalog.unnest(i.indkey::smallint[]) WITH "
                      "ORDINALITY AS k(attnum, n), pg_catalog.pg_attribute a WHERE i.indrelid = "
                      "pg_catalog.to_regclass($1) AND i.indisprimary AND a.attrelid = i.indrelid "
                      "AND "
                      "a.attnum = k.attnum AND k.n <= i.indnkeyatts ORDER BY k.n"),
        .params = {is_lite ? walk->given.table : walk->table_text},
        .param_count = 1};
    T3_TRY(t3_helper_ask(walk->migration, &look, &rows));
    if (rows.row_count == 0 || rows.row_count > T3_KEY_COLUMNS_MAX)
        return no_key(walk, "it is missing or has no primary key; name the columns to walk along");
    for (size_t i = 0; i < rows.row_count; i++) {
        if (t3_helper_cell(&rows, i, 2).len == 0)
            return no_key(walk, "its primary key may be NULL");
        walk->keys[i] = t3_helper_cell(&rows, i, 0);
        walk->types[i] = t3_helper_cell(&rows, i, 1);
    }
    walk->key_count = rows.row_count;
    return TEARS_OK;
}

/* PostgreSQL's estimate, for the progress. */
static tears_status find_total(struct walk *walk)
{
    struct tears_migration_rows rows;
    int64_t total = 0;
    const struct t3_look look = {
        .sql = TEARS_STR("SELECT reltuples::bigint::text FROM pg_catalog.pg_class WHERE oid = "
                         "pg_catalog.to_regclass($1)"),
        .params = {walk->table_text},
        .param_count = 1};
    if (t3_helper_is_lite(walk->migration))
        return TEARS_OK;
    T3_TRY(t3_helper_ask(walk->migration, &look, &rows));
    if (rows.row_count == 1 && t3_int_parse(t3_helper_cell(&rows, 0, 0), &total) == TEARS_OK &&
        total > 0)
        walk->total = (uint64_t)total;
    return TEARS_OK;
}

/* ---- SQL ---- */

/* (a, b), or a alone. */
static void put_key(const struct walk *walk, struct t3_words *words)
{
    if (walk->key_count == 1)
        t3_words_put_name(words, walk->keys[0]);
    else
        t3_words_put_names(words, walk->keys, walk->key_count);
}

/* `(a, b) > (1, 'x')` and the like. */
static void put_comparison(const struct walk *walk, const char *operator, struct tears_str literals,
                           struct t3_words *words)
{
    put_key(walk, words);
    t3_words_put(words, operator);
    t3_words_put(words, "(");
    t3_words_put_str(words, literals);
    t3_words_put(words, ")");
}

/* `a, b` */
static void put_list(const struct walk *walk, struct t3_words *words)
{
    for (size_t i = 0; i < walk->key_count; i++) {
        t3_words_put(words, i > 0 ? ", " : "");
        t3_words_put_name(words, walk->keys[i]);
    }
}

/* Literals are made outside: of one row, not of all that are passed over. */
static void put_look_ahead(const struct walk *walk, struct t3_words *words)
{
    const bool is_lite = t3_helper_is_lite(walk->migration);
    char limit[64];
    for (size_t i = 0; i < walk->key_count; i++) {
        t3_words_put(words, i == 0 ? "SELECT " : ", ");
        t3_words_put(words, is_lite ? "quote(" : "pg_catalog.quote_literal(");
        t3_words_put_name(words, walk->keys[i]);
        t3_words_put(words, is_lite ? ")" : "::text)");
    }
    t3_words_put(words, " FROM (SELECT ");
    put_list(walk, words);
    t3_words_put(words, " FROM ");
    t3_words_put_str(words, walk->table_text);
    if (walk->place.len > 0) {
        t3_words_put(words, " WHERE ");
        put_comparison(walk, " > ", t3_buf_str(&walk->place), words);
    }
    t3_words_put(words, " ORDER BY ");
    put_list(walk, words);
    const int len = snprintf(limit, sizeof limit, " LIMIT 1 OFFSET %llu) AS batch",
                             (unsigned long long)walk->given.batch_rows - 1);
    t3_words_put_str(words, tears_str_n(limit, (size_t)len));
}

/* Finds the key that is a batch further on; none when the table ends before. */
static tears_status find_end(struct walk *walk)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    tears_migration *migration = walk->migration;
    struct t3_admin *admin = migration->migrator->admin;
    struct t3_result result = {0};
    tears_status status = TEARS_OK;
    put_look_ahead(walk, &words);
    if (words.status != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    const struct t3_admin_statement statement = {.sql = t3_buf_str(&words.sql)};
    t3_arena_reset(&walk->look);
    t3_admin_set_deadline(admin, t3_migrator_statement_deadline(migration->migrator));
    T3_TRY(t3_admin_run(admin, &statement, &walk->look, &result, &migration->error));
    t3_buf_clear(&walk->end);
    for (size_t i = 0; i < walk->key_count && result.row_count > 0 && status == TEARS_OK; i++) {
        status = t3_buf_put(&walk->end, i > 0 ? TEARS_STR(", ") : TEARS_STR(""));
        if (status == TEARS_OK)
            status = t3_buf_put(&walk->end, t3_result_text(&result, 0, (uint32_t)i));
        if (status == TEARS_OK && !t3_helper_is_lite(migration))
            status = t3_buf_printf(&walk->end, "::" T3_STR_FMT, T3_STR_ARG(walk->types[i]));
    }
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
}

/* UPDATE ... WHERE key > place AND key <= end AND (predicate) */
static void put_update(const struct walk *walk, struct t3_words *words)
{
    const char *joint = " WHERE ";
    t3_words_put(words, "UPDATE ");
    t3_words_put_str(words, walk->table_text);
    t3_words_put(words, " SET ");
    t3_words_put_str(words, walk->given.set);
    if (walk->place.len > 0) {
        t3_words_put(words, joint);
        put_comparison(walk, " > ", t3_buf_str(&walk->place), words);
        joint = " AND ";
    }
    if (walk->end.len > 0) {
        t3_words_put(words, joint);
        put_comparison(walk, " <= ", t3_buf_str(&walk->end), words);
        joint = " AND ";
    }
    if (walk->given.predicate.len == 0)
        return;
    t3_words_put(words, joint);
    t3_words_put(words, "(");
    t3_words_put_str(words, walk->given.predicate);
    t3_words_put(words, ")");
}

/* ---- walking ---- */

/* `rows|literals`, as saved by an earlier attempt. */
static tears_status read_place(struct walk *walk, struct tears_str saved)
{
    int64_t rows = 0;
    const char *bar = saved.len > 0 ? memchr(saved.ptr, '|', saved.len) : NULL;
    if (bar == NULL)
        return TEARS_OK;
    const size_t at = (size_t)(bar - saved.ptr);
    if (t3_int_parse(tears_str_n(saved.ptr, at), &rows) != TEARS_OK || rows < 0)
        return t3_fail(&walk->migration->error, TEARS_CORRUPT, T3_HELPER_ORIGIN,
                       "the place of an interrupted backfill cannot be read");
    walk->rows = (uint64_t)rows;
    return t3_buf_put(&walk->place, t3_str_from(saved, at + 1)) == TEARS_OK
               ? TEARS_OK
               : t3_fail_memory(&walk->migration->error, T3_HELPER_ORIGIN);
}

static tears_status save_place(const struct walk *walk)
{
    T3_AUTO(t3_buf_done) struct t3_buf saved = {0};
    tears_status status = t3_buf_printf(&saved, "%llu|", (unsigned long long)walk->rows);
    if (status == TEARS_OK)
        status = t3_buf_put(&saved, t3_buf_str(&walk->place));
    if (status != TEARS_OK)
        return t3_fail_memory(&walk->migration->error, T3_HELPER_ORIGIN);
    return tears_migration_phase_save(walk->migration, t3_buf_str(&saved));
}

static tears_status update(const struct walk *walk, uint64_t *rows_out)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    put_update(walk, &words);
    return t3_helper_run_rows(walk->migration, &words, rows_out);
}

/* A batch that met somebody else's lock is begun again: nothing but itself is in its transaction. */
static tears_status update_with_patience(const struct walk *walk, uint64_t *rows_out)
{
    tears_migration *migration = walk->migration;
    struct t3_admin *admin = migration->migrator->admin;
    for (unsigned attempt = 1;; attempt++) {
        const tears_status status = update(walk, rows_out);
        if (status == TEARS_OK || migration->mode != T3_MODE_CHECKPOINTS ||
            attempt == T3_MIGRATION_TRIES_MAX || !t3_migration_may_retry(&migration->error) ||
            !t3_admin_is_alive(admin))
            return status;
        t3_admin_rollback(admin);
        t3_migration_pause(attempt);
        t3_error_clear(&migration->error);
        migration->migrator->has_failure = false;
        T3_TRY(t3_admin_begin(admin, &migration->error));
    }
}

static void pause_between(const struct walk *walk)
{
    const uint64_t ms =
        walk->given.pause_ms < PAUSE_MS_MAX ? walk->given.pause_ms : (uint64_t)PAUSE_MS_MAX;
    const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
                                   .tv_nsec = (long)(ms % 1000) * 1000000};
    if (ms > 0 && walk->migration->mode == T3_MODE_CHECKPOINTS)
        (void)nanosleep(&pause, NULL); /* woken early is early only */
}

static tears_status walk_table(struct walk *walk)
{
    for (;;) {
        uint64_t rows = 0;
        T3_TRY(find_end(walk));
        T3_TRY(update_with_patience(walk, &rows));
        walk->rows += rows;
        tears_migration_progress(walk->migration, TEARS_STR("backfill"), walk->rows, walk->total);
        /* The end of the phase commits the last batch: saved before that, it would be done again. */
        if (walk->end.len == 0)
            return TEARS_OK;
        const struct t3_buf done = walk->place;
        walk->place = walk->end;
        walk->end = done;
        T3_TRY(save_place(walk));
        pause_between(walk);
    }
}

/* What is noted in a preview: the statement without its bounds. */
static tears_status preview(const struct walk *walk)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    char note[80];
    const int len = snprintf(note, sizeof note, "UPDATE /* in batches of %llu rows */ ",
                             (unsigned long long)walk->given.batch_rows);
    t3_words_put_str(&words, tears_str_n(note, (size_t)len));
    t3_words_put_str(&words, walk->table_text);
    t3_words_put(&words, " SET ");
    t3_words_put_str(&words, walk->given.set);
    if (walk->given.predicate.len > 0) {
        t3_words_put(&words, " WHERE (");
        t3_words_put_str(&words, walk->given.predicate);
        t3_words_put(&words, ")");
    }
    return t3_helper_run(walk->migration, &words);
}

static tears_status walk(struct walk *walk, struct tears_str saved)
{
    T3_TRY(walk->given.key != NULL ? take_given_key(walk) : find_key(walk));
    T3_TRY(find_total(walk));
    T3_TRY(read_place(walk, saved));
    return walk_table(walk);
}

static tears_status read_options(struct walk *walk, const struct tears_backfill *given)
{
    tears_migration *migration = walk->migration;
    T3_TRY(t3_helper_options(migration, &walk->given, sizeof walk->given, given));
    T3_TRY(t3_helper_check_names(migration, &walk->given.table, 1));
    if (walk->given.set.len == 0)
        return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "a backfill needs what to set");
    if (walk->given.batch_rows == 0)
        walk->given.batch_rows = BATCH_ROWS;
    return t3_helper_table_text(migration, walk->given.schema, walk->given.table,
                                &walk->table_text);
}

tears_status tears_migration_backfill(tears_migration *migration,
                                      const struct tears_backfill *backfill, uint64_t *rows_out)
{
    T3_AUTO(walk_done) struct walk state = {.migration = migration};
    struct tears_table_part part = {.size = 0};
    struct tears_str saved = TEARS_STR("");
    bool done = false;
    T3_TRY(read_options(&state, backfill));
    part.schema = state.given.schema;
    part.table = state.given.table;
    part.name = TEARS_STR("");
    T3_TRY(t3_helper_phase_saved(migration, "backfill", &part, &saved, &done));
    if (!done) {
        T3_TRY(t3_helper_is_preview(migration) ? preview(&state) : walk(&state, saved));
        T3_TRY(tears_migration_phase_end(migration));
    }
    if (rows_out != NULL)
        *rows_out = state.rows;
    return TEARS_OK;
}
