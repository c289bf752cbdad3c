/*
 * main.c -- runs seeds, replays one, or searches all schedules of small scenarios.
 *
 *   sim [--seed N] [--seeds COUNT | --time SECONDS]   random schedules from seed N on
 *   sim --seed N --tell                               one schedule, with its trace
 *   ... --no-shrink                                   a violation is named, and left as long as it is
 *   sim --replay FILE                                 a schedule that was written down, with its trace
 *   sim --exhaustive [--others N]                     small scenarios, every order of messages with N detours
 *
 * Owns:     nothing that outlives a run.
 * Must not know: what is simulated.
 * Threads:  one.
 * Fails:    with status 1 when an invariant was violated; the shortest schedule found is written to a file and told.
 * Begin at: main().
 */
#include "run.h"
#include "search.h"
#include "shrink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHRINK_RUNS = 4000 };

struct arguments {
    uint64_t seed;
    uint64_t seeds;
    uint64_t seconds;
    uint64_t others;
    const char *replay;
    bool is_told;
    bool is_left; /* a failing schedule is not shortened */
    bool is_exhaustive;
};

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* -- schedules in files -------------------------------------------------------------------- */

/* The seed, then a line for each decision: the alternative taken, and how many there were. */
static void write_schedule(const char *path, const struct sim_case *schedule)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return;
    fprintf(file, "%" PRIu64 "\n", schedule->seed);
    for (size_t i = 0; i < schedule->decisions.len; i++)
        fprintf(file, "%u/%u\n", (unsigned)schedule->decisions.values[i],
                (unsigned)schedule->decisions.counts[i]);
    fclose(file);
}

static bool read_schedule(const char *path, struct sim_case *schedule)
{
    unsigned value;
    unsigned count;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool is_good = fscanf(file, "%" SCNu64, &schedule->seed) == 1;
    while (is_good && fscanf(file, "%u/%u", &value, &count) == 2)
        sim_decisions_add(&schedule->decisions, value, count);
    fclose(file);
    return is_good;
}

/* -- a violation --------------------------------------------------------------------------- */

static void tell(const struct sim_case *schedule, struct sim_outcome *outcome_out)
{
    sim_decide_begin(SIM_REPLAYED, schedule->seed, &schedule->decisions);
    sim_run_once(schedule->setup, true, outcome_out);
}

static int report(uint64_t seed, const struct sim_outcome *outcome)
{
    char path[256];
    const char *folder = getenv("TMPDIR");
    struct sim_case failing = {.seed = seed, .failure = outcome->failure};
    struct sim_outcome again;
    printf("seed %" PRIu64 " violates %s\n", seed, outcome->failure);
    sim_decisions_copy(&failing.decisions, sim_decided());
    const size_t before = failing.decisions.len;
    sim_shrink(&failing, SHRINK_RUNS);
    snprintf(path, sizeof path, "%s/sim-%" PRIu64 ".schedule", folder != NULL ? folder : "/tmp",
             seed);
    write_schedule(path, &failing);
    printf("%zu decisions, shortened to %zu, in %s:\n\n", before, failing.decisions.len, path);
    tell(&failing, &again);
    sim_decisions_done(&failing.decisions);
    return 1;
}

static int replay(const char *path)
{
    struct sim_case schedule = {.seed = 0};
    struct sim_outcome outcome;
    if (!read_schedule(path, &schedule)) {
        fprintf(stderr, "sim: cannot read %s\n", path);
        return 2;
    }
    tell(&schedule, &outcome);
    sim_decisions_done(&schedule.decisions);
    return outcome.has_failed ? 1 : 0;
}

/* -- the summary --------------------------------------------------------------------------- */

static void print_tally(double seconds)
{
    const struct sim_tally *tally = &sim_tally;
    printf("%" PRIu64 " runs in %.1f s (%.0f a second), %" PRIu64 " steps, %" PRIu64
           " preemptions, %" PRIu64 " messages\n",
           tally->runs, seconds, (double)tally->runs / seconds, tally->steps, tally->preemptions,
           tally->messages);
    printf("calls    reads %" PRIu64 ", writes %" PRIu64 ", conflicts %" PRIu64 ", failed %" PRIu64
           ", degraded %" PRIu64 "; answers judged %" PRIu64 ", excused at rest %" PRIu64 "\n",
           tally->reads, tally->writes, tally->conflicts, tally->failures, tally->degraded,
           tally->judged, tally->excused);
    printf("notices  lost %" PRIu64 ", doubled %" PRIu64 ", late %" PRIu64 "\n",
           tally->notices_dropped, tally->notices_doubled, tally->notices_late);
    printf("L2       requests lost %" PRIu64 ", acks lost %" PRIu64 ", refused %" PRIu64
           ", stale answers %" PRIu64 ", wipes %" PRIu64 ", restarts %" PRIu64 "\n",
           tally->requests_lost, tally->acks_lost, tally->refusals, tally->stale_answers,
           tally->wipes, tally->restarts);
    printf("feed     messages lost %" PRIu64 "\n", tally->feed_drops);
    printf("network  cuts %" PRIu64 ", disconnections %" PRIu64 "\n", tally->cuts,
           tally->disconnects);
    printf("process  stops %" PRIu64 ", crashes %" PRIu64 "\n", tally->stops, tally->crashes);
    printf("L3       errors %" PRIu64 ", late commits %" PRIu64 ", outages %" PRIu64 "\n",
           tally->store_errors, tally->late_commits, tally->store_outages);
}

/* -- random schedules ---------------------------------------------------------------------- */

static int run_seeds(const struct arguments *arguments)
{
    const double began = now_seconds();
    struct sim_outcome outcome = {0};
    for (uint64_t i = 0; arguments->seeds == 0 || i < arguments->seeds; i++) {
        const uint64_t seed = arguments->seed + i;
        sim_decide_begin(SIM_AT_RANDOM, seed, NULL);
        sim_run_once(NULL, arguments->is_told, &outcome);
        if (outcome.has_failed) {
            print_tally(now_seconds() - began);
            if (arguments->is_left)
                printf("seed %" PRIu64 " violates %s\n", seed, outcome.failure);
            return arguments->is_told || arguments->is_left ? 1 : report(seed, &outcome);
        }
        if (arguments->seconds != 0 && now_seconds() - began >= (double)arguments->seconds)
            break;
    }
    print_tally(now_seconds() - began);
    puts("no violation");
    return 0;
}

/* -- arguments ----------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t *number_out)
{
    char *end;
    *number_out = text != NULL ? strtoull(text, &end, 10) : 0;
    return text != NULL && *text != '\0' && *end == '\0';
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i < argc; i++) {
        const char *next = argv[i + 1]; /* NULL after the last */
        if (strcmp(argv[i], "--tell") == 0)
            arguments->is_told = true;
        else if (strcmp(argv[i], "--no-shrink") == 0)
            arguments->is_left = true;
        else if (strcmp(argv[i], "--exhaustive") == 0)
            arguments->is_exhaustive = true;
        else if (strcmp(argv[i], "--seed") == 0 && read_number(next, &arguments->seed))
            i++;
        else if (strcmp(argv[i], "--seeds") == 0 && read_number(next, &arguments->seeds))
            i++;
        else if (strcmp(argv[i], "--time") == 0 && read_number(next, &arguments->seconds))
            i++;
        else if (strcmp(argv[i], "--others") == 0 && read_number(next, &arguments->others))
            i++;
        else if (strcmp(argv[i], "--replay") == 0 && next != NULL)
            arguments->replay = argv[++i];
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.seed = 1, .others = 2};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!read_arguments(argc, argv, &arguments)) {
        fputs("usage: sim [--seed N] [--seeds COUNT | --time SECONDS] [--tell] [--no-shrink]\n"
              "       sim --replay FILE\n"
              "       sim --exhaustive [--others N]\n",
              stderr);
        return 2;
    }
    if (arguments.replay != NULL)
        return replay(arguments.replay);
    if (arguments.is_exhaustive)
        return sim_search((uint32_t)arguments.others);
    if (arguments.seeds == 0 && arguments.seconds == 0)
        arguments.seeds = 1;
    return run_seeds(&arguments);
}
