/*
 * migrate_place.h -- a database and a migrator on it, for tests of migrations: the same tests run on SQLite and on
 * PostgreSQL.
 */
#ifndef TESTS_SUPPORT_MIGRATE_PLACE_H
#define TESTS_SUPPORT_MIGRATE_PLACE_H

#include "support/temp_folder.h"

#include <tears/migrate.h>

struct migrate_place {
    bool is_postgres;
    char url[256];
    struct temp_folder folder; /* of the SQLite file, and of packages */
    struct tears_migrator_options options;
    tears_client *client;
    tears_session *session;
    tears_migrator *migrator;
};

/* An empty database.  All of them fail the test when they cannot. */
void migrate_place_make(struct migrate_place *place, bool is_postgres);
void migrate_place_remove(struct migrate_place *place);

/* Opens and ends client, session and migrator, with place->options. */
void migrate_place_open(struct migrate_place *place);
void migrate_place_close(struct migrate_place *place);
/* A migrator without packages instead of the one that is there. */
void migrate_place_anew(struct migrate_place *place);

void migrate_place_sql(struct migrate_place *place, const char *sql);
/* The first cell of an answer as a number; -1: the statement failed. */
int64_t migrate_place_number(struct migrate_place *place, const char *sql);
/* Whether there is such a table in the client's own schema. */
bool migrate_place_has(struct migrate_place *place, const char *table);

/* A version of SQL. */
struct tears_migration_def migrate_sql(int64_t version, const char *up, const char *down);
/* Adds a package of scope platform. */
void migrate_add(struct migrate_place *place, const char *name,
                 const struct tears_migration_def *versions, size_t count);
tears_status migrate_try_add(struct migrate_place *place, const char *name,
                             const struct tears_migration_def *versions, size_t count);

/* Up by everything, which must apply so many. */
void migrate_up(struct migrate_place *place, uint64_t expected);
void migrate_down(struct migrate_place *place, uint64_t steps, uint64_t expected);

/* The catalogue of both databases as one text, to compare schemas with; ended with free. */
char *migrate_place_shape(struct migrate_place *place);

#endif
