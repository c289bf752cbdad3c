/*
 * items.h -- clients and sessions on the table `items` of a hook store, as separate processes would have them.
 */
#ifndef TESTS_SUPPORT_ITEMS_H
#define TESTS_SUPPORT_ITEMS_H

#include "support/hook_store.h"

/* One "process": a client of its own, the collection, a session. */
struct items {
    tears_client *client;
    tears_collection *rows;
    tears_session *session;
};

/* Opens one.  `l2_url` NULL: without L2; options NULL: defaults (their schema is set here). */
void items_open(struct items *items, struct hook_store *hook, const tears_schema *schema,
                const struct tears_client_options *client_options,
                const struct tears_collection_options *options);
void items_close(struct items *items);

/* Another session of the client, ended by the caller. */
tears_session *items_session(const struct items *items);

/* The name of a row through a session; the text lives in a buffer of the caller's thread.  "": no such row. Fails the test when
 * the read fails. */
const char *items_name(tears_session *session, const struct items *items, int64_t id);

tears_status items_get(tears_session *session, const struct items *items, int64_t id);

/* Changes or inserts a row through a session; must succeed. */
void items_put(tears_session *session, const struct items *items, int64_t id, const char *name);
void items_delete(tears_session *session, const struct items *items, int64_t id);

bool items_in_l1(const struct items *items, int64_t id);
struct tears_client_stats items_stats(const struct items *items);

#endif
