/*
 * embedded.h -- a client on a SQLite file of its own, for tests that need no server.
 */
#ifndef TESTS_SUPPORT_EMBEDDED_H
#define TESTS_SUPPORT_EMBEDDED_H

#include <tears/tears.h>

struct embedded {
    char path[128];
    tears_client *client;
    tears_session *session;
};

/* Opens a client on a new file; `l1` as in the options ("" the default).  Fails the test when it
 * cannot. */
void embedded_open(struct embedded *world, const char *l1);

/* The same with an L2, so that other clients can stand for other processes on the same file. */
void embedded_open_shared(struct embedded *world, const char *l2_url, const char *namespace_name);

/* Ends the client and removes the file. */
void embedded_close(struct embedded *world);

/* Runs SQL that must succeed. */
void embedded_sql(struct embedded *world, const char *sql);

/* The collection of a table that must exist. */
tears_collection *embedded_collection(struct embedded *world, const char *table);

/* The text of a column that must be there. */
const char *embedded_text(const tears_entity *entity, const char *column);

/* The integer of a column that must be there. */
int64_t embedded_int(const tears_entity *entity, const char *column);

/* Shorthands. */
struct tears_field field_text(const char *name, const char *text);
struct tears_field field_int(const char *name, int64_t number);

#endif
