/*
 * hook_store.h -- a durable store in memory whose reads can be interrupted at the worst moment.
 *
 * One table, `items`: id (key), name, row_version.  Several clients may share one store, as
 * processes share a database.  The hook runs after a row was read and before the reader gets it:
 * whatever it does has happened "meanwhile".  The other one
 * runs between a row's being stored and the writer's hearing of it.
 */
#ifndef TESTS_SUPPORT_HOOK_STORE_H
#define TESTS_SUPPORT_HOOK_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <tears/tears.h>

enum { HOOK_ROWS = 256, HOOK_NAME_BYTES = 16384 };

struct hook_row {
    bool used;
    int64_t id;
    int64_t version;
    char name[HOOK_NAME_BYTES];
};

struct hook_store {
    struct tears_store store;
    pthread_mutex_t mutex;
    struct hook_row rows[HOOK_ROWS];
    atomic_uint_fast64_t fetches;
    atomic_uint_fast64_t writes;
    atomic_bool down;                             /* every call gives UNAVAILABLE */
    void (*after_read)(void *owner, int64_t id);  /* called once, then forgotten */
    void (*after_write)(void *owner, int64_t id); /* the same, when a row was put */
    void *hook_owner;
    atomic_uint_fast64_t write_deadline_ms; /* that the last write was given */
};

void hook_store_init(struct hook_store *hook);

/* The schema of `items`; ended by the caller. */
tears_schema *hook_store_schema(void);

/* Changes a row behind the caches' back, as another program would. */
void hook_store_put(struct hook_store *hook, int64_t id, const char *name);

/* The collection `items` of a client whose L3 is the store. */
tears_collection *hook_store_collection(tears_client *client, const tears_schema *schema);

#endif
