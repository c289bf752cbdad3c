/*
 * worker.h -- other processes that take part in a measurement: this program again, in a role.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "harness.h"

#include <stdatomic.h>
#include <sys/types.h>

/* Memory that all processes of a measurement share; what the fields mean is between the case and its roles. */
struct bench_shared {
    _Atomic uint64_t ready; /* workers that are */
    _Atomic uint64_t go;
    _Atomic uint64_t stop;
    _Atomic uint64_t key;
    _Atomic uint64_t stamp_ns;
    _Atomic uint64_t count;
    _Atomic uint64_t sum;
};

/* What a worker does; returns when shared->stop is set. */
typedef void (*bench_role_fn)(struct bench_shared *shared, const char *pg_url,
                              const char *nats_url);

struct bench_role {
    const char *name;
    bench_role_fn run;
};

struct bench_crew {
    struct bench_shared *shared;
    int fd;
    pid_t pids[8];
    int count;
};

void bench_crew_open(struct bench_crew *crew);
/* Starts a worker and waits until it is ready. */
void bench_crew_start(struct bench_crew *crew, const char *role);
/* Sets `stop` and waits for all. */
void bench_crew_end(struct bench_crew *crew);

/* In the worker: runs the role named by `--worker`. */
int bench_worker_main(const char *role);

/* Sleeps in short steps until the value is at least `least`, or ends the program after some seconds. */
void bench_wait_for(_Atomic uint64_t *value, uint64_t least, const char *what);

#endif
