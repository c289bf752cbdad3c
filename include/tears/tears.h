/**
 * @file tears.h
 * libtears: a three-tier cache for rows.
 *
 *     L1  in the process       decoded rows
 *     L2  NATS JetStream KV    encoded rows, shared by all processes
 *     L3  PostgreSQL, one SQLite file, or a store of your own: the truth
 *
 * Three nouns.  A *client* is shared by all threads and owns connections, tiers and collections.  A
 * *session* is one unit of work on one thread: deadline, transaction, last error, and the memory of
 * all that was read through it.  What you read is an *entity*: an immutable snapshot of a row, plus
 * changes of its own until they are saved.
 *
 * Ownership, in four sentences.
 *   1. Inputs are borrowed for the duration of the call; the library copies what it keeps.
 *   2. `new` and `open` give something that must be freed; every `free` accepts NULL and never
 * fails.
 *   3. Everything obtained through a session belongs to it and lives until tears_session_reset or
 *      tears_session_free.
 *   4. To keep something longer, copy it (tears_entity_copy, or memory of your own).
 *
 * Threads, in two sentences.  `@thread any`: client and collection functions, from any thread at
 * any time.
 * `@thread session`: a session and all that was read through it, from one thread at a time.  A
 * forked child cannot use its parent's client: every call that reaches for it gives TEARS_MISUSE.
 *
 * Errors.  Every call that can fail returns a status; on failure its results are untouched.  The
 * text is in tears_session_error, or in the error argument of functions that have no session. Every
 * call obeys the session's deadline.
 *
 * A first program:
 *
 *     struct tears_error error;
 *     tears_client *client = NULL;
 *     if (tears_client_open(NULL, &client, &error) != TEARS_OK) {
 *         fprintf(stderr, "%s\n", error.message);
 *         return 1;
 *     }
 *     tears_session *session = NULL;
 *     tears_collection *users = NULL;
 *     tears_entity *ada = NULL;
 *     const struct tears_value key = tears_int(7);
 *     const struct tears_field change = tears_field_of(TEARS_STR("name"),
 * tears_text(TEARS_STR("Ada"))); if (tears_collection_find(client, TEARS_STR("users"), &users) !=
 * TEARS_OK || tears_session_new(client, NULL, &session) != TEARS_OK || tears_get(session, users,
 * &key, 1, &ada) != TEARS_OK || tears_update(session, ada, &change, 1, &ada) != TEARS_OK)
 *         fprintf(stderr, "%s\n", session ? tears_session_error(session)->message : "cannot
 * start"); tears_session_free(session); tears_client_free(client);
 */
#ifndef TEARS_TEARS_H
#define TEARS_TEARS_H

#include "base.h"
#include "client.h"
#include "coherence.h"
#include "deferred.h"
#include "entity.h"
#include "schema.h"
#include "session.h"
#include "store.h"
#include "value.h"

#endif
