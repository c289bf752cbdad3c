/*
 * figures.h -- what a load measured: latencies by tier, and what became of the writes.
 */
#ifndef CLI_FIGURES_H
#define CLI_FIGURES_H

#include "output.h"

/*
 * Counts of nanoseconds in steps of about 3 %: 32 steps for each power of two.  2,048 counters
 * cover all of 64 bits, so that nothing is allocated or cut while measuring.
 */
enum { CLI_HISTOGRAM_STEPS = 2048 };

struct cli_histogram {
    uint64_t counts[CLI_HISTOGRAM_STEPS];
    uint64_t total;
};

void cli_histogram_add(struct cli_histogram *histogram, uint64_t nanoseconds);
void cli_histogram_merge(struct cli_histogram *into, const struct cli_histogram *from);

/* The latency in seconds that `part` (0.5, 0.99) of the calls did not exceed; 0 when there were
 * none. */
double cli_histogram_part(const struct cli_histogram *histogram, double part);

/* Nanoseconds of the monotonic clock. */
uint64_t cli_now_ns(void);

struct cli_figures {
    struct cli_histogram reads[TEARS_TIER_PENDING + 1]; /* by TEARS_TIER_* */
    struct cli_histogram writes;
    uint64_t conflicts;
    uint64_t failures; /* calls that ended in another status than OK, NOT_FOUND or CONFLICT */
    uint64_t evictions;
    uint64_t l1_bytes;     /* of the process that used most */
    uint64_t l1_bytes_max; /* the bound of one process */
    uint64_t l1_rows;
    uint64_t processes;
    double seconds;
};

void cli_figures_merge(struct cli_figures *into, const struct cli_figures *from);

/* One line of JSON, and back; false when it is none. */
void cli_figures_put_json(const struct cli_figures *figures, struct cli_text *out);
bool cli_figures_parse(struct tears_str json, struct cli_figures *figures_out);

uint64_t cli_figures_reads(const struct cli_figures *figures);

#endif
