/*
 * figures.c -- collects latencies and adds up what several threads and processes measured.
 *
 * Owns:     the form in which a worker process hands its figures over.
 * Must not know: what was measured.
 * Threads:  one for each set of figures; sets are merged afterwards.
 * Fails:    cli_figures_parse only, for text that is not its own.
 * Begin at: cli_histogram_add().
 */
#include "figures.h"

#include <jansson.h>
#include <time.h>

enum { STEP_BITS = 5, STEPS = 1 << STEP_BITS };

uint64_t cli_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- histograms ---- */

static size_t step_of(uint64_t nanoseconds)
{
    if (nanoseconds < STEPS)
        return (size_t)nanoseconds;
    const unsigned power = 63u - (unsigned)__builtin_clzll(nanoseconds);
    const uint64_t within = nanoseconds >> (power - STEP_BITS) & (STEPS - 1);
    return (size_t)(power - STEP_BITS + 1) * STEPS + (size_t)within;
}

/* The middle of the step, in nanoseconds. */
static double step_middle(size_t step)
{
    if (step < STEPS)
        return (double)step;
    const size_t power = step / STEPS - 1;
    const double width = (double)((uint64_t)1 << power);
    return ((double)(STEPS + step % STEPS) + 0.5) * width;
}

void cli_histogram_add(struct cli_histogram *histogram, uint64_t nanoseconds)
{
    histogram->counts[step_of(nanoseconds)]++;
    histogram->total++;
}

void cli_histogram_merge(struct cli_histogram *into, const struct cli_histogram *from)
{
    for (size_t i = 0; i < CLI_HISTOGRAM_STEPS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
}

double cli_histogram_part(const struct cli_histogram *histogram, double part)
{
    const double wanted = part * (double)histogram->total;
    uint64_t seen = 0;

    for (size_t i = 0; i < CLI_HISTOGRAM_STEPS; i++) {
        seen += histogram->counts[i];
        if (seen > 0 && (double)seen >= wanted)
            return step_middle(i) * 1e-9;
    }
    return 0;
}

/* ---- figures ---- */

void cli_figures_merge(struct cli_figures *into, const struct cli_figures *from)
{
    for (size_t i = 0; i < CLI_COUNT(into->reads); i++)
        cli_histogram_merge(&into->reads[i], &from->reads[i]);
    cli_histogram_merge(&into->writes, &from->writes);
    into->conflicts += from->conflicts;
    into->failures += from->failures;
    into->evictions += from->evictions;
    into->l1_rows += from->l1_rows;
    into->processes += from->processes;
    if (from->l1_bytes > into->l1_bytes)
        into->l1_bytes = from->l1_bytes;
    if (from->l1_bytes_max > into->l1_bytes_max)
        into->l1_bytes_max = from->l1_bytes_max;
    if (from->seconds > into->seconds)
        into->seconds = from->seconds;
}

uint64_t cli_figures_reads(const struct cli_figures *figures)
{
    uint64_t total = 0;
    for (size_t i = 0; i < CLI_COUNT(figures->reads); i++)
        total += figures->reads[i].total;
    return total;
}

/* Steps that counted something, as [step, count, step, count, ...]. */
static void put_histogram(const struct cli_histogram *histogram, struct cli_text *out)
{
    const char *comma = "";

    cli_text_put_char(out, '[');
    for (size_t i = 0; i < CLI_HISTOGRAM_STEPS; i++) {
        if (histogram->counts[i] == 0)
            continue;
        cli_text_printf(out, "%s%zu,%llu", comma, i, (unsigned long long)histogram->counts[i]);
        comma = ",";
    }
    cli_text_put_char(out, ']');
}

void cli_figures_put_json(const struct cli_figures *figures, struct cli_text *out)
{
    cli_text_put_c(out, "{\"reads\":[");
    for (size_t i = 0; i < CLI_COUNT(figures->reads); i++) {
        cli_text_put_c(out, i > 0 ? "," : "");
        put_histogram(&figures->reads[i], out);
    }
    cli_text_put_c(out, "],\"writes\":");
    put_histogram(&figures->writes, out);
    cli_text_printf(out, ",\"conflicts\":%llu,\"failures\":%llu,\"evictions\":%llu",
                    (unsigned long long)figures->conflicts, (unsigned long long)figures->failures,
                    (unsigned long long)figures->evictions);
    cli_text_printf(out, ",\"l1_bytes\":%llu,\"l1_bytes_max\":%llu,\"l1_rows\":%llu",
                    (unsigned long long)figures->l1_bytes,
                    (unsigned long long)figures->l1_bytes_max,
                    (unsigned long long)figures->l1_rows);
    cli_text_printf(out, ",\"processes\":%llu,\"seconds\":%.6f}",
                    (unsigned long long)figures->processes, figures->seconds);
}

static bool parse_histogram(const json_t *array, struct cli_histogram *out)
{
    if (!json_is_array(array) || json_array_size(array) % 2 != 0)
        return false;
    for (size_t i = 0; i < json_array_size(array); i += 2) {
        const json_int_t step = json_integer_value(json_array_get(array, i));
        const json_int_t count = json_integer_value(json_array_get(array, i + 1));
        if (step < 0 || step >= CLI_HISTOGRAM_STEPS || count <= 0)
            return false;
        out->counts[step] += (uint64_t)count;
        out->total += (uint64_t)count;
    }
    return true;
}

static uint64_t number_of(const json_t *object, const char *name)
{
    const json_int_t number = json_integer_value(json_object_get(object, name));
    return number > 0 ? (uint64_t)number : 0;
}

bool cli_figures_parse(struct tears_str json, struct cli_figures *figures_out)
{
    json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
    const json_t *reads = json_object_get(object, "reads");
    bool good = parse_histogram(json_object_get(object, "writes"), &figures_out->writes);

    for (size_t i = 0; good && i < CLI_COUNT(figures_out->reads); i++)
        good = parse_histogram(json_array_get(reads, i), &figures_out->reads[i]);
    figures_out->conflicts = number_of(object, "conflicts");
    figures_out->failures = number_of(object, "failures");
    figures_out->evictions = number_of(object, "evictions");
    figures_out->l1_bytes = number_of(object, "l1_bytes");
    figures_out->l1_bytes_max = number_of(object, "l1_bytes_max");
    figures_out->l1_rows = number_of(object, "l1_rows");
    figures_out->processes = number_of(object, "processes");
    figures_out->seconds = json_number_value(json_object_get(object, "seconds"));
    json_decref(object);
    return good;
}
