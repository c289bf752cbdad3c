/*
 * harness.c -- repetitions, medians, the report.
 */
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CASES_MAX = 64, REPETITIONS_MAX = 101 };

struct outcome {
    struct bench_case one;
    double floor;
    double ours;
    double ratio;
    bool met;
    bool noted; /* a figure without a limit */
    const char *skipped;
};

static struct outcome outcomes[CASES_MAX];
static int outcome_count;
static int repetitions = 7;
static const char *selected;

void bench_select(const char *part)
{
    selected = part;
}

bool bench_wants(const char *name)
{
    return selected == NULL || strstr(name, selected) != NULL || strstr(selected, name) != NULL;
}

void bench_repetitions(int count)
{
    repetitions = count < 1 ? 1 : count > REPETITIONS_MAX ? REPETITIONS_MAX : count;
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void bench_check(tears_status status, const tears_session *session, const char *what)
{
    if (status == TEARS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what,
            session != NULL ? tears_session_error(session)->message : tears_status_text(status));
    exit(2);
}

uint64_t bench_random(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void bench_uuid(uint64_t number, uint8_t uuid_out[16])
{
    uint64_t state = number * 2 + 1;
    const uint64_t high = bench_random(&state);
    const uint64_t low = bench_random(&state);
    memcpy(uuid_out, &high, 8);
    memcpy(uuid_out + 8, &low, 8);
    uuid_out[6] = (uint8_t)(0x70 | (uuid_out[6] & 0x0f));
    uuid_out[8] = (uint8_t)(0x80 | (uuid_out[8] & 0x3f));
}

void bench_text(uint64_t number, char *out, size_t len)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz 01234";
    uint64_t state = number;
    for (size_t i = 0; i < len; i++)
        out[i] = letters[bench_random(&state) % 32];
}

void bench_run(const struct bench_case *one)
{
    if (!bench_wants(one->name) || outcome_count >= CASES_MAX)
        return;
    double floors[REPETITIONS_MAX];
    double ours[REPETITIONS_MAX];
    fprintf(stderr, "  %s ...\n", one->name);
    for (int i = 0; i < repetitions; i++) {
        floors[i] = one->floor != NULL ? one->floor(one->context) : 1;
        ours[i] = one->ours(one->context);
    }
    struct outcome *outcome = &outcomes[outcome_count++];
    outcome->one = *one;
    outcome->floor = bench_median(floors, (size_t)repetitions);
    outcome->ours = bench_median(ours, (size_t)repetitions);
    outcome->ratio = outcome->ours / outcome->floor;
    outcome->met = one->higher ? outcome->ratio >= one->limit : outcome->ratio <= one->limit;
}

void bench_note(const char *name, double value, const char *unit)
{
    if (outcome_count >= CASES_MAX)
        return;
    struct outcome *outcome = &outcomes[outcome_count++];
    outcome->one.name = name;
    outcome->one.unit = unit;
    outcome->ours = value;
    outcome->met = true;
    outcome->noted = true;
}

void bench_skip(const char *name, const char *reason)
{
    if (outcome_count >= CASES_MAX)
        return;
    struct outcome *outcome = &outcomes[outcome_count++];
    outcome->one.name = name;
    outcome->skipped = reason;
    outcome->met = true;
}

static void print_outcome(const struct outcome *outcome)
{
    const struct bench_case *one = &outcome->one;
    if (outcome->skipped != NULL) {
        printf("%-42s skipped: %s\n", one->name, outcome->skipped);
        return;
    }
    if (outcome->noted) {
        printf("%-42s %14s %12.2f %-8s\n", one->name, "-", outcome->ours, one->unit);
        return;
    }
    if (one->floor == NULL) {
        printf("%-42s %14s %12.1f %-8s %8s %2s%6.2f  %s\n", one->name, "-", outcome->ours,
               one->unit, "", one->higher ? ">=" : "<=", one->limit, outcome->met ? "yes" : "NO");
        return;
    }
    if (isinf(one->limit)) {
        printf("%-42s %14.1f %12.1f %-8s %7.2fx\n", one->name, outcome->floor, outcome->ours,
               one->unit, outcome->ratio);
        return;
    }
    printf("%-42s %14.1f %12.1f %-8s %7.2fx %2s%6.2f  %s\n", one->name, outcome->floor,
           outcome->ours, one->unit, outcome->ratio, one->higher ? ">=" : "<=", one->limit,
           outcome->met ? "yes" : "NO");
}

static void write_json(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "bench: cannot write %s\n", path);
        return;
    }
    fprintf(file, "[\n");
    for (int i = 0; i < outcome_count; i++) {
        const struct outcome *outcome = &outcomes[i];
        if (outcome->skipped != NULL)
            fprintf(file, "  {\"path\": \"%s\", \"skipped\": \"%s\"}", outcome->one.name,
                    outcome->skipped);
        else if (outcome->noted)
            fprintf(file, "  {\"path\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}",
                    outcome->one.name, outcome->ours, outcome->one.unit);
        else
            fprintf(
                file,
                "  {\"path\": \"%s\", \"floor\": \"%s\", \"unit\": \"%s\", \"floor_value\": %.3f, "
                "\"value\": %.3f, \"ratio\": %.4f, \"limit\": %.2f, \"higher_is_better\": %s, "
                "\"met\": %s}",
                outcome->one.name, outcome->one.floor_name != NULL ? outcome->one.floor_name : "",
                outcome->one.unit, outcome->floor, outcome->ours, outcome->ratio,
                isinf(outcome->one.limit) ? 0 : outcome->one.limit,
                outcome->one.higher ? "true" : "false", outcome->met ? "true" : "false");
        fprintf(file, "%s\n", i + 1 < outcome_count ? "," : "");
    }
    fprintf(file, "]\n");
    fclose(file);
}

int bench_report(const char *json_path)
{
    int missed = 0;
    printf("%-42s %14s %12s %-8s %8s %8s  %s\n", "path", "floor", "measured", "unit", "ratio",
           "limit", "met");
    for (int i = 0; i < outcome_count; i++) {
        print_outcome(&outcomes[i]);
        missed += !outcomes[i].met;
    }
    printf("medians of %d interleaved repetitions; %d of %d limits missed\n", repetitions, missed,
           outcome_count);
    if (json_path != NULL)
        write_json(json_path);
    return missed;
}
