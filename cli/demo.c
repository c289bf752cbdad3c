/*
 * demo.c -- `tears demo`: a real table, a load through the tiers, and what became of it.
 *
 * Owns:     the order of the demo's steps and its table of figures.
 * Must not know: how rows are chosen, where packages come from.
 * Threads:  the main thread.
 * Fails:    as its steps do; says what the step was.
 * Begin at: run_demo().
 */
#include "demo.h"

#include "commands.h"
#include "rows.h"

#include <stdlib.h>

/* ---- the table of figures ---- */

static void put_line(struct cli_grid *grid, const char *what, const struct cli_histogram *histogram,
                     uint64_t of)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_put_c(grid, what);
    cli_text_put_count(&text, histogram->total);
    cli_grid_put(grid, cli_text_str(&text));
    cli_text_clear(&text);
    if (of > 0)
        cli_text_printf(&text, "%.1f %%", 100.0 * (double)histogram->total / (double)of);
    cli_grid_put(grid, cli_text_str(&text));
    for (size_t i = 0; i < 2; i++) {
        cli_text_clear(&text);
        if (histogram->total > 0)
            cli_text_put_duration(&text, cli_histogram_part(histogram, i == 0 ? 0.5 : 0.99));
        else
            cli_text_put_char(&text, '-');
        cli_grid_put(grid, cli_text_str(&text));
    }
}

static int print_tiers(const struct cli_args *args, const struct cli_figures *figures)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    static const char *const header[] = {"", "calls", "share", "p50", "p99"};
    static const char *const names[] = {"", "reads from L1, the process", "reads from L2, NATS",
                                        "reads from L3, the database"};
    const uint64_t reads = cli_figures_reads(figures);

    cli_grid_init(&grid, CLI_COUNT(header));
    grid.aligned = true;
    for (size_t i = 0; i < CLI_COUNT(header); i++) {
        cli_grid_put_c(&grid, header[i]);
        grid.right[i] = i > 0;
    }
    for (uint32_t tier = TEARS_TIER_L1; tier <= TEARS_TIER_L3; tier++)
        put_line(&grid, names[tier], &figures->reads[tier], reads);
    put_line(&grid, "writes", &figures->writes, 0);
    return cli_grid_print(args, &grid);
}

static double hit_ratio(const struct cli_figures *figures)
{
    const uint64_t reads = cli_figures_reads(figures);
    return reads > 0 ? (double)figures->reads[TEARS_TIER_L1].total / (double)reads : 0;
}

static int print_facts(const struct cli_args *args, const struct cli_figures *figures)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_text_printf(&text, "\nhit ratio of L1    %.1f %%\n", 100 * hit_ratio(figures));
    cli_text_put_c(&text, "memory of L1       ");
    cli_text_put_bytes(&text, figures->l1_bytes);
    cli_text_put_c(&text, " of ");
    cli_text_put_bytes(&text, figures->l1_bytes_max);
    cli_text_put_c(&text, figures->processes > 1 ? " in each process, " : ", ");
    cli_text_put_count(&text, figures->evictions);
    cli_text_put_c(&text, " rows evicted\nconflicts          ");
    cli_text_put_count(&text, figures->conflicts);
    cli_text_put_c(&text, " (each was tried again with the row that won)\nfailed calls       ");
    cli_text_put_count(&text, figures->failures);
    cli_text_put_c(&text, "\ncalls per second   ");
    cli_text_put_count(&text,
                       (uint64_t)((double)(cli_figures_reads(figures) + figures->writes.total) /
                                  (figures->seconds > 0 ? figures->seconds : 1)));
    return cli_print_line(args, cli_text_str(&text));
}

static int print_json(const struct cli_args *args, const struct cli_figures *figures)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_text_put_char(&text, '{');
    for (uint32_t tier = TEARS_TIER_L1; tier <= TEARS_TIER_L3; tier++) {
        const struct cli_histogram *reads = &figures->reads[tier];
        cli_text_printf(&text, "\"%s_reads\":%llu,\"%s_p50_us\":%.3f,\"%s_p99_us\":%.3f,",
                        cli_tier_name(tier), (unsigned long long)reads->total, cli_tier_name(tier),
                        cli_histogram_part(reads, 0.5) * 1e6, cli_tier_name(tier),
                        cli_histogram_part(reads, 0.99) * 1e6);
    }
    cli_text_printf(&text, "\"writes\":%llu,\"write_p50_us\":%.3f,\"write_p99_us\":%.3f,",
                    (unsigned long long)figures->writes.total,
                    cli_histogram_part(&figures->writes, 0.5) * 1e6,
                    cli_histogram_part(&figures->writes, 0.99) * 1e6);
    cli_text_printf(&text, "\"hit_ratio\":%.4f,\"l1_bytes\":%llu,\"l1_bytes_max\":%llu,",
                    hit_ratio(figures), (unsigned long long)figures->l1_bytes,
                    (unsigned long long)figures->l1_bytes_max);
    cli_text_printf(&text,
                    "\"evictions\":%llu,\"conflicts\":%llu,\"failures\":%llu,\"processes\":%llu,"
                    "\"seconds\":%.3f}",
                    (unsigned long long)figures->evictions, (unsigned long long)figures->conflicts,
                    (unsigned long long)figures->failures, (unsigned long long)figures->processes,
                    figures->seconds);
    return cli_print_line(args, cli_text_str(&text));
}

/* ---- rows a person knows ---- */

static const char *const shown_columns[] = {"name",           "version", "section",
                                            "installed_size", "votes",   "summary"};

static int put_row(struct cli_context *context, const tears_entity *row, struct cli_grid *grid)
{
    for (size_t i = 0; i < CLI_COUNT(shown_columns); i++) {
        CLI_AUTO(cli_text_done) struct cli_text text = {0};
        struct tears_value value = tears_null();
        tears_status status = tears_entity_get(row, tears_str_c(shown_columns[i]), &value);
        if (status == TEARS_OK && value.kind != TEARS_KIND_NULL)
            status = cli_value_text(context->session, &value, &text);
        if (status != TEARS_OK)
            return cli_fail_session(context, status);
        cli_grid_put(grid, cli_text_str(&text));
    }
    return CLI_EXIT_OK;
}

/* Looks like a row of the table, were it not cut: the three packages nobody is without. */
static int print_known_rows(struct cli_context *context)
{
    static const char *const known[] = {"dpkg", "libc6", "bash"};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    tears_collection *table = NULL;
    tears_entity *rows[CLI_COUNT(known)] = {NULL};
    struct tears_value keys[CLI_COUNT(known)];

    CLI_TRY(cli_table(context, TEARS_STR("packages"), &table));
    for (size_t i = 0; i < CLI_COUNT(known); i++)
        keys[i] = tears_text(tears_str_c(known[i]));
    const tears_status status =
        tears_get_many(context->session, table, keys, CLI_COUNT(known), rows);
    if (status != TEARS_OK)
        return cli_fail_session(context, status);
    cli_grid_init(&grid, CLI_COUNT(shown_columns));
    grid.aligned = true;
    for (size_t i = 0; i < CLI_COUNT(shown_columns); i++) {
        cli_grid_put_c(&grid, shown_columns[i]);
        grid.right[i] = i == 3 || i == 4;
    }
    for (size_t i = 0; i < CLI_COUNT(known); i++) {
        if (rows[i] != NULL)
            CLI_TRY(put_row(context, rows[i], &grid));
    }
    CLI_TRY(cli_print_line(context->args, TEARS_STR("")));
    return cli_grid_print(context->args, &grid);
}

/* ---- the steps ---- */

struct demo {
    struct cli_args args; /* those given, with the L1 chosen here */
    struct cli_context context;
    struct cli_packages packages;
    struct cli_figures figures;
    struct cli_load load;
    uint64_t processes;
    char l1[32];
};

static void demo_done(struct demo *demo)
{
    cli_packages_done(&demo->packages);
    cli_close(&demo->context);
    free(demo->args.given);
}

/* Unless an L1 is named, it is made smaller than the data, so that rows have to compete for it. */
static void choose_l1(struct demo *demo, const struct cli_args *args)
{
    static const struct cli_option l1_option = {"l1", "KIND", ""};
    const char *named = cli_option(args, "l1");
    const size_t kib = demo->packages.bytes * 2 / 5 / 1024;

    (void)snprintf(demo->l1, sizeof demo->l1, "memory:%zuKiB", kib > 128 ? kib : 128);
    demo->args = *args;
    demo->args.given = cli_alloc(args->given_count + 1, sizeof *args->given);
    memcpy(demo->args.given, args->given, args->given_count * sizeof *args->given);
    demo->args.given[demo->args.given_count++] =
        (struct cli_given){.option = &l1_option, .value = named != NULL ? named : demo->l1};
}

static int say(const struct cli_args *args, const char *format, ...) CLI_PRINTF(2, 3);

/* A line about a step; programs only want the figures. */
static int say(const struct cli_args *args, const char *format, ...)
{
    va_list list;

    if (args->json)
        return CLI_EXIT_OK;
    va_start(list, format);
    const int printed = vprintf(format, list);
    va_end(list);
    return printed >= 0 && putchar('\n') != EOF && fflush(stdout) == 0 ? CLI_EXIT_OK
                                                                       : CLI_EXIT_BROKEN;
}

static int import(struct demo *demo)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    const double started = cli_now();

    CLI_TRY(cli_packages_import(&demo->context, &demo->packages));
    const double seconds = cli_now() - started;
    cli_text_put_count(&text, demo->packages.count);
    cli_text_put_c(&text, " packages (");
    cli_text_put_bytes(&text, demo->packages.bytes);
    cli_text_put_c(&text, ") imported in ");
    cli_text_put_duration(&text, seconds);
    return say(&demo->args, "%s", text.ptr);
}

/* The import leaves every row in L2.  A quarter is dropped, so that L3 has something to answer as
 * well. */
static int drop_some(struct demo *demo)
{
    struct tears_client_stats stats = {.size = sizeof stats};
    tears_collection *table = NULL;

    tears_client_stats(demo->context.client, &stats);
    if (stats.l2_connected == 0)
        return CLI_EXIT_OK;
    CLI_TRY(cli_table(&demo->context, TEARS_STR("packages"), &table));
    for (size_t i = 0; i < demo->packages.count; i += 4) {
        const struct tears_value key = tears_text(tears_str_c(demo->packages.packages[i].name));
        const tears_status status = tears_invalidate(demo->context.session, table, &key, 1);
        if (status != TEARS_OK)
            return cli_fail_session(&demo->context, status);
    }
    return CLI_EXIT_OK;
}

static int run_load(struct demo *demo)
{
    const char *l1 = cli_option(&demo->args, "l1");

    CLI_TRY(
        say(&demo->args, "%llu process%s of %llu threads read and write for %llu seconds, L1 %s\n",
            (unsigned long long)demo->processes, demo->processes == 1 ? "" : "es",
            (unsigned long long)demo->load.threads, (unsigned long long)demo->load.seconds, l1));
    if (demo->processes > 1)
        return cli_workers_run(&demo->args, demo->processes, l1, &demo->figures);
    demo->load.client = demo->context.client;
    demo->load.packages = &demo->packages;
    return cli_load_run(&demo->args, &demo->load, &demo->figures);
}

static int report(struct demo *demo)
{
    if (demo->args.json)
        return print_json(&demo->args, &demo->figures);
    CLI_TRY(print_tiers(&demo->args, &demo->figures));
    CLI_TRY(print_facts(&demo->args, &demo->figures));
    return print_known_rows(&demo->context);
}

static int run_demo(const struct cli_args *args)
{
    CLI_AUTO(demo_done) struct demo demo = {.args = {0}};

    CLI_TRY(cli_load_options(args, &demo.load));
    CLI_TRY(cli_option_number(args, "processes", (struct cli_range){1, CLI_WORKERS_MAX, 1},
                              &demo.processes));
    CLI_TRY(cli_packages_read(args, cli_packages_path(args), &demo.packages));
    choose_l1(&demo, args);
    CLI_TRY(cli_open(&demo.args, &demo.context));
    CLI_TRY(import(&demo));
    CLI_TRY(drop_some(&demo));
    CLI_TRY(run_load(&demo));
    return report(&demo);
}

const struct cli_command cli_demo = {
    .name = "demo",
    .synopsis = "",
    .summary = "import Debian's package list and serve it through the tiers",
    .details = "Makes a table `packages` of /var/lib/dpkg/status in the database, reads and writes "
               "it for a few\n"
               "seconds the way a service would, and prints which tier answered how fast.  The "
               "table stays.\n"
               "\n"
               "  tears demo --l3 sqlite:/tmp/demo.db\n"
               "  tears demo --l3 postgresql:///app --l2 nats://127.0.0.1:4222 --processes 2\n",
    .options = cli_demo_options,
    .run = run_demo,
    .word_min = 0,
    .word_max = 0,
    .hidden = true,
};
