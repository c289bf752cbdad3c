/*
 * lease.c -- `tears lease`: list, show, break; run is in lease_run.c.
 *
 * Owns:     the command.
 * Must not know: how leases are kept.
 * Threads:  the main thread.
 * Fails:    1 when nobody holds the name; 3 without a broker; 6 for an entry that is no lease.
 * Begin at: run_lease().
 */
#include "lease.h"

#include "commands.h"
#include "context.h"

static const struct cli_option options[] = {
    {"ttl", "S", "run: seconds it is held without renewal (else 30)"},
    {"wait", "S", "run: seconds to wait while somebody else holds it (else not at all)"},
    {"grace", "S", "run: seconds between SIGTERM and SIGKILL when the lease is lost (else 5)"},
    {"revision", "N", "break: only if the entry still has this revision"},
    {"bucket", "NAME", "the bucket's name behind the namespace and \"-\" (else leases)"},
    {NULL, NULL, NULL},
};

int cli_lease_fail(const struct cli_args *args, tears_status status,
                   const struct tears_error *error)
{
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                    error->message[0] != '\0' ? error->message : tears_status_text(status));
}

int cli_lease_open(const struct cli_args *args, tears_coord **coord_out)
{
    struct tears_client_options client;
    struct tears_coord_options wanted = TEARS_COORD_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};

    CLI_TRY(cli_client_options(args, &client));
    wanted.url = client.l2_url;
    wanted.namespace_name = client.namespace_name;
    wanted.lease_bucket = tears_str_c(cli_option(args, "bucket"));
    wanted.wait_ms = client.timeout_ms;
    wanted.log = client.log;
    wanted.log_owner = client.log_owner;
    wanted.log_level = client.log_level;
    const tears_status status = tears_coord_open(&wanted, coord_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_lease_fail(args, status, &error);
}

static void close_coord(tears_coord **coord)
{
    tears_coord_free(*coord);
}

/* ---- list and show ---- */

static void put_json_entry(const struct tears_lease_entry *entry, struct cli_text *out)
{
    cli_text_put_c(out, "{\"name\":");
    cli_text_put_json(out, entry->name);
    if (entry->is_corrupt != 0) {
        cli_text_printf(out, ",\"corrupt\":true,\"revision\":%llu}",
                        (unsigned long long)entry->revision);
        return;
    }
    cli_text_put_c(out, ",\"corrupt\":false,\"holder\":");
    cli_text_put_json(out, entry->holder);
    cli_text_put_c(out, ",\"acquired_at\":\"");
    cli_text_put_time(out, entry->acquired_us);
    cli_text_put_c(out, "\",\"expires_at\":\"");
    cli_text_put_time(out, entry->expires_us);
    cli_text_printf(out, "\",\"ttl_ms\":%llu,\"revision\":%llu}", (unsigned long long)entry->ttl_ms,
                    (unsigned long long)entry->revision);
}

/* By this machine's calendar against the holder's: for people, and said so in the help. */
static void put_rest(const struct tears_lease_entry *entry, struct cli_text *out)
{
    const int64_t rest_us = entry->expires_us - cli_calendar_us();
    if (entry->is_corrupt != 0) {
        cli_text_put_c(out, "no lease; tears lease break removes it");
        return;
    }
    cli_text_put_c(out, rest_us >= 0 ? "for another " : "over since ");
    cli_text_put_duration(out, (double)(rest_us >= 0 ? rest_us : -rest_us) / 1e6);
}

static void put_row(const struct tears_lease_entry *entry, struct cli_grid *grid)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};

    cli_grid_put(grid, entry->name);
    cli_grid_put(grid, entry->is_corrupt != 0 ? TEARS_STR("?") : entry->holder);
    if (entry->is_corrupt == 0)
        cli_text_put_time(&text, entry->acquired_us);
    cli_grid_put(grid, cli_text_str(&text));
    cli_text_clear(&text);
    put_rest(entry, &text);
    cli_grid_put(grid, cli_text_str(&text));
}

static int print_grid(const struct cli_args *args, const tears_lease_list *list)
{
    static const char *const header[] = {"lease", "holder", "acquired", "held"};
    CLI_AUTO(cli_grid_done) struct cli_grid grid;

    cli_grid_init(&grid, CLI_COUNT(header));
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < tears_lease_list_count(list); i++) {
        const struct tears_lease_entry entry = tears_lease_list_at(list, i);
        put_row(&entry, &grid);
    }
    return cli_grid_print(args, &grid);
}

static int print_json(const struct cli_args *args, const tears_lease_list *list)
{
    for (size_t i = 0; i < tears_lease_list_count(list); i++) {
        CLI_AUTO(cli_text_done) struct cli_text line = {0};
        const struct tears_lease_entry entry = tears_lease_list_at(list, i);
        put_json_entry(&entry, &line);
        CLI_TRY(cli_print_line(args, cli_text_str(&line)));
    }
    return CLI_EXIT_OK;
}

static int print_list(const struct cli_args *args, const tears_lease_list *list)
{
    if (args->json)
        return print_json(args, list);
    return tears_lease_list_count(list) == 0 ? CLI_EXIT_OK : print_grid(args, list);
}

static int list_some(const struct cli_args *args, struct tears_str name)
{
    CLI_AUTO(close_coord) tears_coord *coord = NULL;
    struct tears_error error = {.status = TEARS_OK};
    tears_lease_list *list = NULL;

    CLI_TRY(cli_lease_open(args, &coord));
    const tears_status status = tears_lease_list_open(coord, name, &list, &error);
    if (status != TEARS_OK)
        return cli_lease_fail(args, status, &error);
    const int result =
        name.len > 0 && tears_lease_list_count(list) == 0
            ? cli_fail(args, CLI_EXIT_NO, "NOT_FOUND", "nobody holds '%s'", args->words[1])
            : print_list(args, list);
    tears_lease_list_free(list);
    return result;
}

static int run_list(const struct cli_args *args)
{
    return list_some(args, TEARS_STR(""));
}

static int run_show(const struct cli_args *args)
{
    return list_some(args, cli_word(args, 1));
}

/* ---- break ---- */

static int run_break(const struct cli_args *args)
{
    CLI_AUTO(close_coord) tears_coord *coord = NULL;
    struct tears_error error = {.status = TEARS_OK};
    uint64_t revision = 0;

    CLI_TRY(cli_option_number(args, "revision", (struct cli_range){.min = 1, .max = UINT64_MAX / 2},
                              &revision));
    CLI_TRY(cli_lease_open(args, &coord));
    const tears_status status = tears_lease_break(coord, cli_word(args, 1), revision, &error);
    if (status != TEARS_OK)
        return cli_lease_fail(args, status, &error);
    return cli_print_line(args, args->json ? TEARS_STR("{\"ok\":true}") : TEARS_STR("broken"));
}

/* ---- the command ---- */

static const struct {
    const char *name;
    size_t word_min, word_max;
    int (*run)(const struct cli_args *args);
    const char *usage;
} actions[] = {
    {"run", 3, SIZE_MAX, cli_lease_run, "tears lease run NAME -- COMMAND..."},
    {"list", 1, 1, run_list, "tears lease list"},
    {"show", 2, 2, run_show, "tears lease show NAME"},
    {"break", 2, 2, run_break, "tears lease break NAME"},
};

static int run_lease(const struct cli_args *args)
{
    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (!cli_str_is(cli_word(args, 0), actions[i].name))
            continue;
        if (args->word_count < actions[i].word_min || args->word_count > actions[i].word_max)
            return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "usage: %s", actions[i].usage);
        return actions[i].run(args);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of run, list, show, break",
                    args->words[0]);
}

const struct cli_command cli_lease = {
    .name = "lease",
    .synopsis = "run NAME -- COMMAND... | list | show NAME | break NAME",
    .summary = "do something in one process of many at a time",
    .details =
        "run acquires the lease, runs the command while it renews the lease, and gives it back.  "
        "The command finds\nthe lease's fencing token in TEARS_LEASE_TOKEN.  When the lease is "
        "lost, the command and its children get\nSIGTERM, and after the grace SIGKILL.  The exit "
        "code is the command's, 128 and the signal when a signal ended\nit; 1 when somebody else "
        "holds the lease, 3 when it still did after --wait, or the lease was lost.\n"
        "list and show compare this machine's calendar with the holder's to say for how long; "
        "nothing else does.\nbreak removes what is under the name.  A holder that lives finds out "
        "when it renews.\n"
        "\n"
        "  tears lease run nightly --ttl 60 -- ./nightly.sh\n"
        "  tears lease run import --wait 600 -- sh -c 'echo \"$TEARS_LEASE_TOKEN\"'\n"
        "  tears lease list --json\n"
        "  tears lease break nightly\n",
    .options = options,
    .run = run_lease,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
