/*
 * harness.h -- measures a path and its floor, one after the other, several times, in one run.
 *
 * What counts is the ratio of the medians: the machine's speed and mood are in both.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <tears/tears.h>

/* Gives one measurement: nanoseconds per operation, or operations per second, as the case says. */
typedef double (*bench_fn)(void *context);

struct bench_case {
    const char *name;
    const char *floor_name;
    const char *unit; /* "ns", "us p50", "rows/s", ... */
    bool higher;      /* more is better: the ratio must be at least `limit`; else at most */
    double limit;
    bench_fn floor; /* NULL: the figure itself is compared with the limit */
    bench_fn ours;
    void *context;
};

/* Runs one case `repetitions` times, interleaved, and keeps the result for the report. */
void bench_run(const struct bench_case *one);

/* A figure that is only printed. */
void bench_note(const char *name, double value, const char *unit);

/* Says why a group of cases is not run. */
void bench_skip(const char *name, const char *reason);

/* Only cases whose name contains this are run, and the groups they belong to; NULL: all. */
void bench_select(const char *part);
bool bench_wants(const char *name);
void bench_repetitions(int repetitions);

/* The table for people and, with a path, JSON for machines.  Gives the number of cases that miss their limit. */
int bench_report(const char *json_path);

/* Nanoseconds of the monotonic clock. */
uint64_t bench_now_ns(void);

/* The median of `count` latencies, which are sorted on the way. */
double bench_median(double *values, size_t count);

/* Ends the program with a message when a call fails. */
void bench_check(tears_status status, const tears_session *session, const char *what);

/* A repeatable pseudo-random sequence. */
uint64_t bench_random(uint64_t *state);

/* The row that most cases use: two UUIDs, 80 and 172 characters of text, a number, a version: 300 bytes. */
enum { BENCH_NAME_BYTES = 80, BENCH_BODY_BYTES = 172 };
void bench_uuid(uint64_t number, uint8_t uuid_out[16]);
void bench_text(uint64_t number, char *out, size_t len);

void bench_l1(void);
void bench_l2(const char *nats_url);
void bench_l3_pg(const char *pg_url);
void bench_l3_lite(void);
void bench_tiers(const char *pg_url, const char *nats_url);
void bench_coherence(const char *pg_url, const char *nats_url);
void bench_security(void);
void bench_coord(const char *nats_url);
void bench_backfill(const char *pg_url);
void bench_migrate(const char *pg_url); /* NULL: on SQLite only */
void bench_journal(void);
void bench_deferred(const char *pg_url); /* NULL: without what needs PostgreSQL */

#endif
