/*
 * bench.c -- `tears bench`: how fast the rows of a table are read, tier by tier, and written.
 *
 * Owns:     the command.
 * Must not know: how a tier works; it only makes sure which one has to answer.
 * Threads:  the main thread.
 * Fails:    1 for an empty table; else by status.
 * Begin at: run_bench().
 *
 * A call counts for the tier that answered it.  The rows are read hot for L1, evicted before each
 * call for L2, and invalidated before each call for L3.  The project's own benchmark, with floors
 * to compare with, is bench/.
 */
#include "commands.h"
#include "figures.h"
#include "onerow.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"rows", "N", "rows to work with, from the start of the table (else 1000)"},
    {"seconds", "N", "for each line of the result (else 1)"},
    {"write", "COLUMN",
     "also measure writes: writes the column's own value back, which moves the version"},
    {NULL, NULL, NULL},
};

struct bench {
    const struct cli_args *args;
    struct cli_onerow onerow; /* the table; its key and fields stay unused */
    struct tears_value *keys; /* row after row; the values belong to `holder` */
    size_t row_count;
    uint64_t seconds;
    tears_session *holder; /* keeps the keys while the other session is reset */
    struct cli_figures *figures;
};

static void bench_done(struct bench *bench)
{
    free(bench->keys);
    free(bench->figures);
    tears_session_free(bench->holder);
    cli_onerow_done(&bench->onerow);
}

/* ---- the rows ---- */

static tears_status take_keys(struct bench *bench, const struct tears_page *page)
{
    const tears_schema *schema = bench->onerow.target.schema;
    const size_t width = bench->onerow.key_count;

    bench->keys = cli_alloc(page->count * width, sizeof *bench->keys);
    for (size_t i = 0; i < page->count * width; i++) {
        const tears_status status = tears_entity_at(
            page->entities[i / width], tears_schema_key_column(schema, i % width), &bench->keys[i]);
        if (status != TEARS_OK)
            return status;
    }
    bench->row_count = page->count;
    return TEARS_OK;
}

static int find_rows(struct bench *bench)
{
    struct tears_page_options page_options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page = {NULL, 0, {NULL, 0}};

    CLI_TRY(cli_option_number(bench->args, "rows", (struct cli_range){1, 100000, 1000},
                              &page_options.row_max));
    if (tears_session_new(bench->onerow.context.client, NULL, &bench->holder) != TEARS_OK)
        return cli_fail(bench->args, CLI_EXIT_BROKEN, "NO_MEMORY", "cannot start a session");
    tears_status status = tears_page_read(bench->holder, bench->onerow.table, &page_options, &page);
    if (status == TEARS_OK)
        status = take_keys(bench, &page);
    if (status != TEARS_OK) {
        const struct tears_error *error = tears_session_error(bench->holder);
        return cli_fail(bench->args, cli_exit_of(status), tears_status_name(status), "%s",
                        error->message[0] != '\0' ? error->message : tears_status_text(status));
    }
    if (bench->row_count == 0)
        return cli_fail(bench->args, CLI_EXIT_NO, "NOT_FOUND", "the table has no rows to read");
    return CLI_EXIT_OK;
}

/* ---- measuring ---- */

/* What has to happen to a row before it is read, so that a certain tier has to answer. */
typedef tears_status (*prepare_fn)(tears_session *session, tears_collection *table,
                                   const struct tears_value *key, size_t key_count);

static tears_status leave(tears_session *session, tears_collection *table,
                          const struct tears_value *key, size_t key_count)
{
    (void)session;
    (void)table;
    (void)key;
    (void)key_count;
    return TEARS_OK;
}

static int measure_reads(struct bench *bench, prepare_fn prepare)
{
    tears_session *session = bench->onerow.context.session;
    const size_t width = bench->onerow.key_count;
    const uint64_t until = cli_now_ns() + bench->seconds * 1000000000u;

    for (size_t i = 0; cli_now_ns() < until; i = (i + 1) % bench->row_count) {
        const struct tears_value *key = bench->keys + i * width;
        tears_entity *row = NULL;
        tears_status status = prepare(session, bench->onerow.table, key, width);
        const uint64_t started = cli_now_ns();
        if (status == TEARS_OK)
            status = tears_get(session, bench->onerow.table, key, width, &row);
        const uint64_t took = cli_now_ns() - started;
        const uint32_t tier = tears_session_tier(session);
        if (status != TEARS_OK && status != TEARS_NOT_FOUND) /* somebody may have deleted it */
            return cli_fail_session(&bench->onerow.context, status);
        if (status == TEARS_OK && tier < CLI_COUNT(bench->figures->reads))
            cli_histogram_add(&bench->figures->reads[tier], took);
        tears_session_reset(session);
    }
    return CLI_EXIT_OK;
}

static int measure_writes(struct bench *bench, struct tears_str column)
{
    tears_session *session = bench->onerow.context.session;
    const size_t width = bench->onerow.key_count;
    const uint64_t until = cli_now_ns() + bench->seconds * 1000000000u;

    for (size_t i = 0; cli_now_ns() < until; i = (i + 1) % bench->row_count) {
        struct tears_field field = tears_field_of(column, tears_null());
        tears_entity *row = NULL;
        tears_status status =
            tears_get(session, bench->onerow.table, bench->keys + i * width, width, &row);
        if (status == TEARS_OK)
            status = tears_entity_get(row, column, &field.value);
        const uint64_t started = cli_now_ns();
        if (status == TEARS_OK)
            status = tears_update(session, row, &field, 1, &row);
        if (status == TEARS_OK)
            cli_histogram_add(&bench->figures->writes, cli_now_ns() - started);
        else if (status != TEARS_NOT_FOUND && status != TEARS_CONFLICT)
            return cli_fail_session(&bench->onerow.context, status);
        tears_session_reset(session);
    }
    return CLI_EXIT_OK;
}

/* ---- the result ---- */

static int print_line(const struct bench *bench, const char *name, const char *what,
                      const struct cli_histogram *histogram, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    const double p50 = cli_histogram_part(histogram, 0.5);
    const double p99 = cli_histogram_part(histogram, 0.99);

    if (histogram->total == 0)
        return CLI_EXIT_OK;
    if (bench->args->json) {
        cli_text_printf(&text, "{\"path\":\"%s\",\"calls\":%llu,\"p50_us\":%.3f,\"p99_us\":%.3f}",
                        name, (unsigned long long)histogram->total, p50 * 1e6, p99 * 1e6);
        return cli_print_line(bench->args, cli_text_str(&text));
    }
    cli_grid_put_c(grid, what);
    cli_text_put_count(&text, histogram->total);
    cli_grid_put(grid, cli_text_str(&text));
    cli_text_clear(&text);
    cli_text_put_duration(&text, p50);
    cli_grid_put(grid, cli_text_str(&text));
    cli_text_clear(&text);
    cli_text_put_duration(&text, p99);
    cli_grid_put(grid, cli_text_str(&text));
    return CLI_EXIT_OK;
}

static int print_result(const struct bench *bench)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    const struct cli_figures *figures = bench->figures;
    static const char *const header[] = {"", "calls", "p50", "p99"};

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++) {
        cli_grid_put_c(&grid, header[i]);
        grid.right[i] = i > 0;
    }
    CLI_TRY(print_line(bench, "l1", "read from L1", &figures->reads[TEARS_TIER_L1], &grid));
    CLI_TRY(print_line(bench, "l2", "read from L2", &figures->reads[TEARS_TIER_L2], &grid));
    CLI_TRY(print_line(bench, "l3", "read from L3", &figures->reads[TEARS_TIER_L3], &grid));
    CLI_TRY(print_line(bench, "write", "write", &figures->writes, &grid));
    return bench->args->json ? CLI_EXIT_OK : cli_grid_print(bench->args, &grid);
}

static int run_bench(const struct cli_args *args)
{
    CLI_AUTO(bench_done) struct bench bench = {.args = args};
    const char *column = cli_option(args, "write");
    size_t index = 0;

    CLI_TRY(cli_option_number(args, "seconds", (struct cli_range){1, 600, 1}, &bench.seconds));
    CLI_TRY(cli_onerow_open(args, &bench.onerow));
    if (column != NULL && tears_schema_find_column(bench.onerow.target.schema, tears_str_c(column),
                                                   &index) != TEARS_OK)
        return cli_fail(args, CLI_EXIT_USAGE, "INVALID", "the table has no column '%s'", column);
    CLI_TRY(find_rows(&bench));
    bench.figures = cli_alloc(1, sizeof *bench.figures);
    CLI_TRY(measure_reads(&bench, leave));
    CLI_TRY(measure_reads(&bench, tears_evict));
    CLI_TRY(measure_reads(&bench, tears_invalidate));
    if (column != NULL)
        CLI_TRY(measure_writes(&bench, tears_str_c(column)));
    return print_result(&bench);
}

const struct cli_command cli_bench = {
    .name = "bench",
    .synopsis = "TABLE",
    .summary = "measure reads and writes of a table, tier by tier",
    .details = "A quick look at what this machine and these servers give: each row is read from "
               "L1, then from L2, then\n"
               "from the database.  The table is not changed unless --write is given.\n"
               "\n"
               "  tears bench packages\n"
               "  tears bench packages --write votes --rows 100 --json\n",
    .options = options,
    .run = run_bench,
    .word_min = 1,
    .word_max = 1,
};
