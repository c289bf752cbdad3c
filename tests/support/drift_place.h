/*
 * drift_place.h -- a database to compare with declarations, for the tests of drift on both databases.
 */
#ifndef TEST_DRIFT_PLACE_H
#define TEST_DRIFT_PLACE_H

#include <tears/drift.h>

struct drift_place {
    tears_client *client;
    struct tears_str schema; /* of the live tables; "": the connection's own */
};

/* A change to the live schema, and the difference that must be reported for it. */
struct drift_seed {
    const char *name;
    const char *sql;
    uint64_t difference;
    uint64_t object;
    const char *table;
    const char *subject; /* name of the finding */
};

void drift_place_open(struct drift_place *place, const char *l3_url, const char *schema);
void drift_place_close(struct drift_place *place);

/* Runs statements with semicolons between them, in the live schema, which is made when it is missing. */
void drift_place_run(const struct drift_place *place, const char *sql);

/* The number that a query gives. */
int64_t drift_place_number(const struct drift_place *place, const char *sql);

/* Compares the live schema with what the statements make in an empty one. */
tears_drift *drift_place_compare(const struct drift_place *place, const char *declared,
                                 bool destructive);

/* Fails, with the whole report, unless there is no difference. */
void drift_expect_none(const tears_drift *drift, const char *what);
/* Fails, with the whole report, unless the seed's difference is in it. */
void drift_expect(const tears_drift *drift, const struct drift_seed *seed);
/* The same with a member of the JSON report or text of the script. */
void drift_expect_sql(const tears_drift *drift, const char *part);

/* Repairs, and fails with the script when that does. */
void drift_repair(tears_drift *drift);

#endif
