/*
 * owner.c -- durable tiers beside the client's own, and tables that go.
 *
 * Owns:     the client's list of SQLite files of owners.
 * Must not know: owners' ids, definitions of tables.
 * Threads:  any.
 * Fails:    as L2 and L3 do.
 * Begin at: t3_client_owned_l3().
 */
#include "core/owner.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/str.h"
#include "tier/l2_sweep.h"

struct t3_owned_l3 {
    struct t3_owned_l3 *next;
    struct t3_arena arena;
    struct tears_str name;
    struct t3_l3 *l3;
};

static struct t3_owned_l3 *find_locked(struct tears_client *client, struct tears_str name)
    T3_REQUIRES(client->mutex)
{
    struct t3_owned_l3 *one = client->owned;
    while (one != NULL && !t3_str_equal(one->name, name))
        one = one->next;
    return one;
}

static struct t3_l3 *find(struct tears_client *client, struct tears_str name)
{
    t3_lock(&client->mutex);
    const struct t3_owned_l3 *one = find_locked(client, name);
    t3_unlock(&client->mutex);
    return one != NULL ? one->l3 : NULL;
}

static void owned_free(struct t3_owned_l3 *one)
{
    if (one->l3 != NULL)
        one->l3->ops->free(one->l3);
    t3_arena_done(&one->arena);
    t3_free(one);
}

static tears_status open_file(struct tears_client *client, struct tears_str path,
                              struct t3_owned_l3 *one, struct tears_error *error_out)
{
    const struct t3_l3_options options = {.url = path,
                                          .pool_max = client->options.l3_pool_max,
                                          .connect_ms = client->options.l3_connect_ms,
                                          .log = &client->log};
    return t3_l3_lite_open(&options, &one->l3, error_out);
}

/* The file is opened without the lock: when two threads do, the second one's is closed again. */
static struct t3_l3 *add(struct tears_client *client, struct t3_owned_l3 *made)
{
    t3_lock(&client->mutex);
    struct t3_owned_l3 *other = find_locked(client, made->name);
    if (other == NULL) {
        made->next = client->owned;
        client->owned = made;
    }
    t3_unlock(&client->mutex);
    if (other == NULL)
        return made->l3;
    owned_free(made);
    return other->l3;
}

tears_status t3_client_owned_l3(struct tears_client *client, struct tears_str name,
                                struct tears_str path, struct t3_l3 **l3_out,
                                struct tears_error *error_out)
{
    *l3_out = find(client, name);
    if (*l3_out != NULL)
        return TEARS_OK;
    struct t3_owned_l3 *made = t3_alloc_zero(1, sizeof *made);
    if (made == NULL)
        return t3_fail_memory(error_out, "core");
    const tears_status status = t3_arena_str(&made->arena, name, &made->name) == TEARS_OK
                                    ? open_file(client, path, made, error_out)
                                    : t3_fail_memory(error_out, "core");
    if (status != TEARS_OK) {
        owned_free(made);
        return status;
    }
    *l3_out = add(client, made);
    return TEARS_OK;
}

void t3_client_free_owned(struct tears_client *client)
{
    while (client->owned != NULL) {
        struct t3_owned_l3 *one = client->owned;
        client->owned = one->next;
        owned_free(one);
    }
}

void t3_collection_retire(struct tears_collection *collection)
{
    atomic_store_explicit(&collection->is_retired, true, memory_order_release);
    if (collection->l1 != NULL)
        collection->l1->ops->clear(collection->l1, collection->space);
    else
        t3_tickets_move_all(&collection->client->tickets);
}

tears_status t3_table_forget(struct tears_client *client, struct tears_str name,
                             struct t3_deadline deadline, struct tears_error *error_out)
{
    struct t3_l2 *l2 = client->l2;
    return l2 == NULL ? TEARS_OK : t3_l2_sweep(l2, name, deadline, error_out);
}
