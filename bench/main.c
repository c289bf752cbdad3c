/*
 * main.c -- the benchmark: `tears_bench [--json FILE] [--only TEXT] [--repetitions N]`.
 *
 * Servers are found in TEARS_TEST_PG_URL and TEARS_TEST_NATS_URL; `./dev bench` starts private ones.
 */
#include "harness.h"
#include "worker.h"

#include <stdio.h>
#include <stdlib.h>

static int usage(void)
{
    fprintf(stderr, "usage: tears_bench [--json FILE] [--only TEXT] [--repetitions N]\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *json_path = NULL;
    if (argc == 3 && strcmp(argv[1], "--worker") == 0)
        return bench_worker_main(argv[2]);
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc)
            return usage();
        if (strcmp(argv[i], "--json") == 0)
            json_path = argv[i + 1];
        else if (strcmp(argv[i], "--only") == 0)
            bench_select(argv[i + 1]);
        else if (strcmp(argv[i], "--repetitions") == 0)
            bench_repetitions((int)strtol(argv[i + 1], NULL, 10));
        else
            return usage();
    }
    const char *pg_url = getenv("TEARS_TEST_PG_URL");
    const char *nats_url = getenv("TEARS_TEST_NATS_URL");
    bench_l1();
    bench_l3_lite();
    bench_security();
    if (nats_url != NULL)
        bench_l2(nats_url);
    else
        bench_skip("L2", "TEARS_TEST_NATS_URL is not set");
    bench_journal();
    bench_deferred(pg_url);
    if (pg_url != NULL)
        bench_l3_pg(pg_url);
    else
        bench_skip("L3, PostgreSQL", "TEARS_TEST_PG_URL is not set");
    if (pg_url != NULL && nats_url != NULL)
        bench_tiers(pg_url, nats_url);
    if (pg_url != NULL && nats_url != NULL)
        bench_coherence(pg_url, nats_url);
    if (nats_url != NULL)
        bench_coord(nats_url);
    if (pg_url != NULL)
        bench_backfill(pg_url);
    bench_migrate(pg_url);
    return bench_report(json_path) == 0 ? 0 : 1;
}
