/*
 * helper_key.c -- another primary key for a table that others point at.
 *
 * Owns:     nothing.
 * Must not know: how statements are counted.
 * Threads:  the migrator's.
 * Fails:    as migrate_helpers.h says.
 * Begin at: tears_migration_replace_primary_key().
 *
 * The end is: the primary key has these columns, the old ones are unique, each foreign key is there and valid.  Each part is
 * looked for by itself and by columns, not by names alone, so that a run that died between any two statements is completed.
 * Foreign keys must go before the old key does: they hang on its index.
 */
#include "base/str.h"
#include "data/helper_impl.h"

struct swap {
    tears_migration *migration;
    struct tears_replace_primary_key given;
    struct tears_str key_name;
    struct tears_str unique_name;
};

static void put_alter_table(const struct swap *swap, struct t3_words *words)
{
    t3_words_put(words, "ALTER TABLE ");
    t3_words_put_table(words, swap->given.schema, swap->given.table);
}

/* A primary key ("p") or unique constraint ("u") over these columns in this order. */
struct key {
    const char *type;
    const struct tears_str *columns;
    size_t count;
};

/* Its name, "" when there is none.  `any_out` (may be NULL): the name of one of the type over other columns. */
static tears_status find_key(const struct swap *swap, const struct key *key,
                             struct tears_str *name_out, struct tears_str *any_out)
{
    T3_AUTO(t3_words_done) struct t3_words wanted = {.status = TEARS_OK};
    struct tears_migration_rows rows;
    struct t3_look look = {
        .sql = TEARS_STR(
            "SELECT c.conname, (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(a.attname), "
            "',' ORDER BY k.n) FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY AS k(attnum, n) "
            "JOIN "
            "pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum) FROM "
            "pg_catalog.pg_constraint c WHERE c.conrelid = pg_catalog.to_regclass($1) AND "
            "c.contype::text = $2"),
        .params = {TEARS_STR(""), tears_str_c(key->type)},
        .param_count = 2};
    for (size_t i = 0; i < key->count; i++) {
        t3_words_put(&wanted, i > 0 ? "," : "");
        t3_words_put_literal(&wanted, key->columns[i]);
    }
    if (wanted.status != TEARS_OK)
        return t3_fail_memory(&swap->migration->error, T3_HELPER_ORIGIN);
    T3_TRY(t3_helper_table_text(swap->migration, swap->given.schema, swap->given.table,
                                &look.params[0]));
    T3_TRY(t3_helper_ask(swap->migration, &look, &rows));
    *name_out = TEARS_STR("");
    for (size_t i = 0; i < rows.row_count; i++) {
        if (t3_str_equal(t3_helper_cell(&rows, i, 1), t3_buf_str(&wanted.sql)))
            *name_out = t3_helper_cell(&rows, i, 0);
        else if (any_out != NULL)
            *any_out = t3_helper_cell(&rows, i, 0);
    }
    return TEARS_OK;
}

static struct tears_table_part inbound_part(const struct swap *swap,
                                            const struct tears_inbound_key *key)
{
    return (struct tears_table_part){.schema =
                                         key->schema.len > 0 ? key->schema : swap->given.schema,
                                     .table = key->table,
                                     .name = key->name};
}

static tears_status drop_inbound(const struct swap *swap)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    for (size_t i = 0; i < swap->given.inbound_count; i++) {
        const struct tears_table_part part = inbound_part(swap, &swap->given.inbound[i]);
        t3_words_put(&words, "ALTER TABLE ");
        t3_words_put_table(&words, part.schema, part.table);
        t3_words_put(&words, " DROP CONSTRAINT IF EXISTS ");
        t3_words_put_name(&words, part.name);
        T3_TRY(t3_helper_run(swap->migration, &words));
    }
    return TEARS_OK;
}

/* From the old key, or none, to the new one. */
static tears_status swap_key(const struct swap *swap)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    const struct tears_replace_primary_key *given = &swap->given;
    struct tears_str there = TEARS_STR("");
    struct tears_str old_key = TEARS_STR("");
    const struct key key = {"p", given->columns, given->column_count};
    T3_TRY(find_key(swap, &key, &there, &old_key));
    if (there.len > 0)
        return TEARS_OK;
    T3_TRY(drop_inbound(swap));
    if (old_key.len > 0) {
        put_alter_table(swap, &words);
        t3_words_put(&words, " DROP CONSTRAINT ");
        t3_words_put_name(&words, old_key);
        T3_TRY(t3_helper_run(swap->migration, &words));
    }
    put_alter_table(swap, &words);
    t3_words_put(&words, " ADD CONSTRAINT ");
    t3_words_put_name(&words, swap->key_name);
    t3_words_put(&words, " PRIMARY KEY ");
    t3_words_put_names(&words, given->columns, given->column_count);
    return t3_helper_run(swap->migration, &words);
}

static tears_status keep_unique(const struct swap *swap)
{
    T3_AUTO(t3_words_done) struct t3_words words = {.status = TEARS_OK};
    const struct tears_replace_primary_key *given = &swap->given;
    struct tears_str there = TEARS_STR("");
    const struct key key = {"u", given->preserve, given->preserve_count};
    T3_TRY(find_key(swap, &key, &there, NULL));
    if (there.len > 0)
        return TEARS_OK;
    put_alter_table(swap, &words);
    t3_words_put(&words, " ADD CONSTRAINT ");
    t3_words_put_name(&words, swap->unique_name);
    t3_words_put(&words, " UNIQUE ");
    t3_words_put_names(&words, given->preserve, given->preserve_count);
    return t3_helper_run(swap->migration, &words);
}

static tears_status put_inbound(const struct swap *swap, const struct tears_inbound_key *key)
{
    T3_AUTO(t3_words_done) struct t3_words definition = {.status = TEARS_OK};
    const struct tears_table_part part = inbound_part(swap, key);
    t3_words_put(&definition, "FOREIGN KEY ");
    t3_words_put_names(&definition, key->columns, key->column_count);
    t3_words_put(&definition, " REFERENCES ");
    t3_words_put_table(&definition, swap->given.schema, swap->given.table);
    t3_words_put_names(&definition, swap->given.preserve, swap->given.preserve_count);
    if (key->on_delete.len > 0) {
        t3_words_put(&definition, " ON DELETE ");
        t3_words_put_str(&definition, key->on_delete);
    }
    if (definition.status != TEARS_OK)
        return t3_fail_memory(&swap->migration->error, T3_HELPER_ORIGIN);
    return t3_helper_put_constraint(swap->migration, &part, t3_buf_str(&definition.sql));
}

/* ---- arguments ---- */

static tears_status check_inbound(const struct swap *swap, const struct tears_inbound_key *key)
{
    tears_migration *migration = swap->migration;
    const struct tears_table_part part = inbound_part(swap, key);
    T3_TRY(t3_helper_check_part(migration, &part));
    T3_TRY(t3_helper_check_names(migration, key->columns, key->column_count));
    if (key->column_count == swap->given.preserve_count && t3_text_is_action(key->on_delete))
        return TEARS_OK;
    return t3_fail(&migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                   "the foreign key '" T3_STR_FMT "' has %zu columns for %zu, or an action that is "
                   "none",
                   T3_STR_ARG(key->name), key->column_count, swap->given.preserve_count);
}

static tears_status make_names(struct swap *swap)
{
    T3_AUTO(t3_words_done) struct t3_words key = {.status = TEARS_OK};
    T3_AUTO(t3_words_done) struct t3_words unique = {.status = TEARS_OK};
    tears_migration *migration = swap->migration;
    t3_words_put_str(&key, swap->given.name.len > 0 ? swap->given.name : swap->given.table);
    t3_words_put(&key, swap->given.name.len > 0 ? "" : "_pkey");
    t3_words_put_str(&unique, swap->given.table);
    for (size_t i = 0; i < swap->given.preserve_count; i++) {
        t3_words_put(&unique, "_");
        t3_words_put_str(&unique, swap->given.preserve[i]);
    }
    t3_words_put(&unique, "_unique");
    if (key.status != TEARS_OK || unique.status != TEARS_OK ||
        t3_arena_str(&migration->arena, t3_buf_str(&key.sql), &swap->key_name) != TEARS_OK ||
        t3_arena_str(&migration->arena, t3_buf_str(&unique.sql), &swap->unique_name) != TEARS_OK)
        return t3_fail_memory(&migration->error, T3_HELPER_ORIGIN);
    T3_TRY(t3_helper_check_names(migration, &swap->key_name, 1));
    return t3_helper_check_names(migration, &swap->unique_name, 1);
}

static tears_status check_arguments(struct swap *swap)
{
    static const struct tears_str id[] = {{"id", 2}};
    struct tears_replace_primary_key *given = &swap->given;
    if (given->preserve == NULL) {
        given->preserve = id;
        given->preserve_count = 1;
    }
    if (given->column_count == 0 || given->preserve_count == 0)
        return t3_fail(&swap->migration->error, TEARS_INVALID, T3_HELPER_ORIGIN,
                       "a primary key needs columns, and so does what stays unique");
    T3_TRY(t3_helper_check_names(swap->migration, &given->table, 1));
    T3_TRY(t3_helper_check_names(swap->migration, given->columns, given->column_count));
    T3_TRY(t3_helper_check_names(swap->migration, given->preserve, given->preserve_count));
    for (size_t i = 0; i < given->inbound_count; i++)
        T3_TRY(check_inbound(swap, &given->inbound[i]));
    return make_names(swap);
}

tears_status tears_migration_replace_primary_key(tears_migration *migration,
                                                 const struct tears_replace_primary_key *replace)
{
    struct swap swap = {.migration = migration};
    bool done = false;
    T3_TRY(t3_helper_only_postgresql(migration, "replace a primary key"));
    T3_TRY(t3_helper_options(migration, &swap.given, sizeof swap.given, replace));
    T3_TRY(check_arguments(&swap));
    const struct tears_table_part part = {
        .schema = swap.given.schema, .table = swap.given.table, .name = TEARS_STR("")};
    T3_TRY(t3_helper_phase(migration, "replace primary key", &part, &done));
    if (done)
        return TEARS_OK;
    /* One transaction where the database can: the table is never without a key, or unguarded by its foreign keys. */
    T3_TRY(swap_key(&swap));
    T3_TRY(keep_unique(&swap));
    for (size_t i = 0; i < swap.given.inbound_count; i++)
        T3_TRY(put_inbound(&swap, &swap.given.inbound[i]));
    T3_TRY(t3_helper_save(migration));
    for (size_t i = 0; i < swap.given.inbound_count; i++) {
        const struct tears_table_part key = inbound_part(&swap, &swap.given.inbound[i]);
        T3_TRY(t3_helper_validate(migration, &key));
    }
    return tears_migration_phase_end(migration);
}
