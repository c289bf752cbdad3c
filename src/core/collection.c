/*
 * collection.c -- a table's gateway: its schema and which tiers it goes through.
 *
 * Owns:     the collections of a client; they live as long as it does.
 * Must not know: what is read or written through them.
 * Threads:  any; opening takes the client's mutex only to add to the list, never across I/O.
 * Fails:    TEARS_NOT_FOUND, TEARS_INVALID, TEARS_MISUSE, and as L3 does.
 * Begin at: tears_collection_open().
 */
#include "core/core.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/sized.h"
#include "base/str.h"
#include "core/defer.h"
#include "core/l2_truth.h"
#include "core/owner.h"
#include "core/read.h"
#include "core/soft_delete.h"
#include "schema/names.h"

enum {
    STRICT_LEASE_MS = 10000,
    STRICT_LEASE_MS_MIN = 200,
    STRICT_LEASE_MS_MAX = 600000, /* what L2 takes */
    BOUND_MS_MIN = 100
};

struct tears_collection *t3_collection_lookup(struct tears_client *client, struct tears_str table)
{
    struct tears_collection *one = atomic_load_explicit(&client->collections, memory_order_acquire);
    while (one != NULL && (!t3_str_equal(one->schema->name, table) ||
                           atomic_load_explicit(&one->is_retired, memory_order_acquire)))
        one = one->next;
    return one;
}

uint64_t t3_collection_ticket(struct tears_collection *collection, const struct t3_key *key)
{
    struct t3_l1 *l1 = collection->l1;
    if (l1 != NULL)
        return l1->ops->ticket(l1, collection->space, key);
    return t3_ticket_read(&collection->client->tickets, t3_ticket_hash(collection->space, key));
}

void t3_collection_bump(struct tears_collection *collection, const struct t3_key *key)
{
    struct t3_l1 *l1 = collection->l1;
    if (l1 != NULL)
        l1->ops->bump(l1, collection->space, key);
    else
        t3_ticket_move(&collection->client->tickets, t3_ticket_hash(collection->space, key));
}

void t3_collection_drop(struct tears_collection *collection, const struct t3_key *key)
{
    t3_collection_bump(collection, key);
    if (collection->l1 != NULL)
        collection->l1->ops->drop(collection->l1, collection->space, key);
}

const tears_schema *tears_collection_schema(const tears_collection *collection)
{
    return collection->schema;
}

void t3_collection_free(struct tears_collection *collection)
{
    if (collection == NULL)
        return;
    if (collection->combine_loads)
        t3_combine_done(&collection->loads);
    t3_gate_done(&collection->gate);
    if (collection->own_l3 && collection->l3 != NULL)
        collection->l3->ops->free(collection->l3);
    tears_schema_free(collection->schema);
    t3_arena_done(&collection->arena);
    t3_free(collection);
}

/* The schema: the caller's, or the catalogue's. */
static tears_status find_schema(struct tears_collection *collection,
                                const struct t3_table_place *place, struct tears_error *error_out)
{
    const struct tears_str table = place->table;
    struct tears_collection_options *options = &collection->options;
    if (options->schema != NULL) {
        if (!t3_str_equal(options->schema->name, table))
            return t3_fail(error_out, TEARS_INVALID, "schema",
                           "the schema given for table '" T3_STR_FMT "' is of '" T3_STR_FMT "'",
                           T3_STR_ARG(table), T3_STR_ARG(options->schema->name));
        collection->schema = t3_schema_hold((struct tears_schema *)(uintptr_t)options->schema);
        return TEARS_OK;
    }
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_l3_call call = {.arena = &arena,
                              .deadline = t3_deadline_in_ms(collection->client->options.timeout_ms),
                              .error = error_out};
    T3_TRY(collection->l3->ops->describe(collection->l3, &call, table, options->version_column,
                                         (uint8_t)options->byte_codec, &collection->schema));
    if (t3_str_equal(place->name, table))
        return TEARS_OK;
    const tears_status status = t3_schema_call(collection->schema, place->name);
    return status == TEARS_OK ? TEARS_OK
                              : t3_fail(error_out, status, "schema",
                                        "table '" T3_STR_FMT "' cannot be called so: %s",
                                        T3_STR_ARG(place->name), tears_status_text(status));
}

/* ---- options ------------------------------------------------------------------------------ */

static tears_status refuse(struct tears_str table, const char *option, const char *reason,
                           struct tears_error *error_out)
{
    return t3_fail(error_out, TEARS_INVALID, "core", "table '" T3_STR_FMT "', option %s: %s",
                   T3_STR_ARG(table), option, reason);
}

static tears_status check_strict(const struct tears_collection *collection, struct tears_str table,
                                 struct tears_error *error_out)
{
    const struct tears_collection_options *options = &collection->options;
    if (options->strict == 0)
        return options->strict_lease_ms == 0
                   ? TEARS_OK
                   : refuse(table, "strict_lease_ms", "it needs strict as well", error_out);
    if (options->no_l2 || collection->client->l2 == NULL)
        return refuse(table, "strict",
                      "writes are announced in L2, and the table is not kept there", error_out);
    if (options->strict_lease_ms != 0 && options->strict_lease_ms < STRICT_LEASE_MS_MIN)
        return refuse(table, "strict_lease_ms", "no write is sure to end within less than 200 ms",
                      error_out);
    if (options->strict_lease_ms > STRICT_LEASE_MS_MAX)
        return refuse(table, "strict_lease_ms", "an announcement lasts ten minutes at most",
                      error_out);
    return TEARS_OK;
}

static tears_status check_no_l3(const struct tears_collection *collection, struct tears_str table,
                                struct tears_error *error_out)
{
    const struct tears_collection_options *options = &collection->options;
    if (options->no_l3 == 0)
        return TEARS_OK;
    if (options->schema == NULL)
        return refuse(table, "no_l3", "it needs a schema: no database knows the table", error_out);
    if (options->no_l2 || collection->client->l2 == NULL)
        return refuse(table, "no_l3", "the rows would be nowhere: it needs L2", error_out);
    if (options->store != NULL)
        return refuse(table, "no_l3", "a store is given as well", error_out);
    if (options->strict != 0)
        return refuse(table, "strict", "a table without L3 has nothing to announce", error_out);
    if (options->fill_lease_ms != 0)
        return refuse(table, "fill_lease_ms", "a table without L3 is not filled", error_out);
    return TEARS_OK;
}

static tears_status check_options(const struct tears_collection *collection, struct tears_str table,
                                  struct tears_error *error_out)
{
    const uint64_t staleness = collection->options.staleness_ms_max;
    if (staleness != 0 && staleness < BOUND_MS_MIN)
        return refuse(table, "staleness_ms_max", "it must be at least 100", error_out);
    T3_TRY(check_strict(collection, table, error_out));
    return check_no_l3(collection, table, error_out);
}

static uint64_t given_or(uint64_t given, uint64_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* Without L2 nothing proves that a row is still right, and nothing but its age is asked. */
static uint64_t bound_of(const struct tears_collection *collection)
{
    const uint64_t otherwise =
        collection->l2 != NULL ? collection->client->options.staleness_ms_max : UINT64_MAX;
    return given_or(collection->options.staleness_ms_max, otherwise);
}

static void set_times(struct tears_collection *collection)
{
    const struct tears_collection_options *options = &collection->options;
    const struct tears_client_options *defaults = &collection->client->options;
    collection->l1_age_ms = given_or(options->l1_age_ms_max, defaults->l1_age_ms_max);
    collection->negative_ms = given_or(options->l1_negative_ms, defaults->l1_negative_ms);
    collection->bound_ms = bound_of(collection);
    t3_gate_init(&collection->gate, options->l3_loads_max);
    if (options->strict != 0)
        collection->strict_lease_ms = given_or(options->strict_lease_ms, STRICT_LEASE_MS);
}

static tears_status choose_tiers(struct tears_collection *collection,
                                 const struct t3_table_place *place, struct tears_error *error_out)
{
    struct tears_client *client = collection->client;
    const struct tears_collection_options *options = &collection->options;
    collection->l2 = options->no_l2 ? NULL : client->l2;
    collection->l1 = options->no_l1 ? NULL : client->l1;
    collection->lives_in_l2 = options->no_l3 != 0;
    collection->own_l3 = options->store != NULL || collection->lives_in_l2;
    if (collection->lives_in_l2)
        t3_l2_set_only_copy(collection->l2);
    if (collection->lives_in_l2)
        return t3_l2_truth_open(collection->l2, &collection->l3, error_out);
    if (options->store != NULL)
        return t3_l3_store_open(options->store, &collection->l3, error_out);
    collection->l3 = place->l3;
    return TEARS_OK;
}

/* With a bounded number of connections, readers that would wait for one go together instead. */
static void start_combining(struct tears_collection *collection)
{
    if (collection->l3->parallel == 0)
        return;
    t3_combine_init(&collection->loads, collection->l3->parallel, T3_BATCH_ROWS_MAX,
                    t3_read_run_loads, collection);
    collection->combine_loads = true;
}

static tears_status build(struct tears_collection *collection, const struct t3_table_place *place,
                          struct tears_error *error_out)
{
    const struct tears_str table = place->name;
    struct tears_str *version = &collection->options.version_column;
    if (t3_arena_str(&collection->arena, *version, version) != TEARS_OK)
        return t3_fail_memory(error_out, "core");
    T3_TRY(check_options(collection, table, error_out));
    T3_TRY(choose_tiers(collection, place, error_out));
    set_times(collection);
    T3_TRY(find_schema(collection, place, error_out));
    T3_TRY(t3_soft_delete_init(collection, error_out));
    if (collection->l2 != NULL && !t3_kv_key_is_valid(table))
        return t3_fail(error_out, TEARS_INVALID, "core",
                       "table '" T3_STR_FMT "' has a name that cannot be part of an L2 key; "
                       "open it with no_l2",
                       T3_STR_ARG(table));
    start_combining(collection);
    return t3_defer_attach(collection, error_out);
}

static tears_status make(struct tears_client *client, const struct t3_table_place *place,
                         const struct tears_collection_options *options,
                         struct tears_collection **collection_out, struct tears_error *error_out)
{
    struct tears_collection *collection = t3_alloc_zero(1, sizeof *collection);
    if (collection == NULL) {
        /* the status is always the same, which the analyser cannot know */
        (void)t3_fail_memory(error_out, "core");
        return TEARS_NO_MEMORY;
    }
    collection->client = client;
    collection->options = *options;
    const tears_status status = build(collection, place, error_out);
    if (status != TEARS_OK) {
        t3_collection_free(collection);
        return status;
    }
    *collection_out = collection;
    return TEARS_OK;
}

/* Adds the collection to the client's list, unless another thread was faster. */
static tears_status add_locked(struct tears_client *client, struct tears_collection *collection,
                               struct tears_error *error_out) T3_REQUIRES(client->mutex)
{
    struct tears_collection *first =
        atomic_load_explicit(&client->collections, memory_order_relaxed);
    collection->space = first != NULL ? first->space + 1 : 0;
    if (collection->l1 != NULL)
        T3_TRY(collection->l1->ops->open_space(collection->l1, collection->schema,
                                               &collection->space, error_out));
    collection->next = first;
    atomic_store_explicit(&client->collections, collection, memory_order_release);
    return TEARS_OK;
}

static tears_status add(struct tears_client *client, struct tears_str table,
                        struct tears_collection *made, struct tears_collection **collection_out,
                        struct tears_error *error_out)
{
    tears_status status = TEARS_OK;
    t3_lock(&client->mutex);
    struct tears_collection *other = t3_collection_lookup(client, table);
    if (other == NULL)
        status = add_locked(client, made, error_out);
    t3_unlock(&client->mutex);
    if (other != NULL || status != TEARS_OK)
        t3_collection_free(made);
    if (status == TEARS_OK)
        *collection_out = other != NULL ? other : made;
    return status;
}

static bool same_times(const struct tears_collection_options *a,
                       const struct tears_collection_options *b)
{
    return a->l1_age_ms_max == b->l1_age_ms_max && a->l1_negative_ms == b->l1_negative_ms &&
           a->staleness_ms_max == b->staleness_ms_max && a->strict == b->strict &&
           a->strict_lease_ms == b->strict_lease_ms && a->fill_lease_ms == b->fill_lease_ms &&
           a->stale_ms_max == b->stale_ms_max && a->early_refresh == b->early_refresh;
}

static bool same_deferral(const struct tears_collection_options *a,
                          const struct tears_collection_options *b)
{
    return a->flush_strategy == b->flush_strategy && a->on_stale == b->on_stale &&
           a->merge == b->merge && a->merge_owner == b->merge_owner;
}

static bool same_options(const struct tears_collection_options *a,
                         const struct tears_collection_options *b)
{
    return a->store == b->store && a->no_l1 == b->no_l1 && a->no_l2 == b->no_l2 &&
           a->no_l3 == b->no_l3 && a->soft_delete == b->soft_delete &&
           a->l3_loads_max == b->l3_loads_max && same_times(a, b) && same_deferral(a, b) &&
           a->byte_codec == b->byte_codec && (b->schema == NULL || a->schema == b->schema) &&
           t3_str_equal(a->version_column, b->version_column);
}

tears_status t3_collection_open_at(struct tears_client *client, const struct t3_table_place *place,
                                   const struct tears_collection_options *options,
                                   struct tears_collection **collection_out,
                                   struct tears_error *error_out)
{
    const struct tears_str table = place->name;
    struct tears_collection_options given = TEARS_COLLECTION_OPTIONS_INIT;
    if (options != NULL)
        T3_TRY(t3_sized_copy(&given, sizeof given, options, "core", error_out));
    struct tears_collection *collection = t3_collection_lookup(client, table);
    if (collection == NULL) {
        T3_TRY(make(client, place, &given, &collection, error_out));
        T3_TRY(add(client, table, collection, &collection, error_out));
    }
    if (options != NULL && !same_options(&collection->options, &given))
        return t3_fail(error_out, TEARS_MISUSE, "core",
                       "the collection of table '" T3_STR_FMT "' is open with other options",
                       T3_STR_ARG(table));
    *collection_out = collection;
    return TEARS_OK;
}

tears_status tears_collection_open(tears_client *client, struct tears_str table,
                                   const struct tears_collection_options *options,
                                   tears_collection **collection_out, struct tears_error *error_out)
{
    if (client == NULL || collection_out == NULL || t3_client_is_foreign(client))
        return t3_fail(error_out, TEARS_MISUSE, "core",
                       "no client, or one that belongs to the parent process");
    const struct t3_table_place place = {.l3 = client->l3, .table = table, .name = table};
    return t3_collection_open_at(client, &place, options, collection_out, error_out);
}

tears_status tears_collection_find(tears_client *client, struct tears_str table,
                                   tears_collection **collection_out)
{
    return tears_collection_open(client, table, NULL, collection_out, NULL);
}
