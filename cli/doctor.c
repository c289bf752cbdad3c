/*
 * doctor.c -- `tears doctor`: is each tier reachable, what is it, what should be changed.
 *
 * Owns:     the command.
 * Must not know: how a tier is examined.
 * Threads:  the main thread.
 * Fails:    3 when a tier is broken; the findings are printed all the same.
 * Begin at: cli_doctor.
 */
#include "commands.h"
#include "onerow.h"

static const char *mark(uint64_t severity)
{
    static const char *const marks[] = {"ok", "change", "BROKEN"};
    return marks[severity < CLI_COUNT(marks) ? severity : 2];
}

static void put_json_finding(const struct tears_finding *finding, struct cli_text *line)
{
    cli_text_put_c(line, "{\"tier\":");
    cli_text_put_json(line, finding->tier);
    cli_text_printf(line, ",\"severity\":%llu,\"subject\":", (unsigned long long)finding->severity);
    cli_text_put_json(line, finding->subject);
    cli_text_put_c(line, ",\"value\":");
    cli_text_put_json(line, finding->value);
    cli_text_put_c(line, ",\"advice\":");
    cli_text_put_json(line, finding->advice);
    cli_text_put_char(line, '}');
}

static int print_findings(const struct cli_args *args, const struct tears_finding *findings,
                          size_t count)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    static const char *const header[] = {"tier", "", "what", "found", "what to do"};

    cli_grid_init(&grid, CLI_COUNT(header));
    grid.whole = true; /* advice is to be read to its end */
    for (size_t i = 0; i < CLI_COUNT(header); i++)
        cli_grid_put_c(&grid, header[i]);
    for (size_t i = 0; i < count; i++) {
        if (args->json) {
            cli_text_clear(&line);
            put_json_finding(&findings[i], &line);
            CLI_TRY(cli_print_line(args, cli_text_str(&line)));
            continue;
        }
        cli_grid_put(&grid, findings[i].tier);
        cli_grid_put_c(&grid, mark(findings[i].severity));
        cli_grid_put(&grid, findings[i].subject);
        cli_grid_put(&grid, findings[i].value);
        cli_grid_put(&grid, findings[i].advice);
    }
    return args->json ? CLI_EXIT_OK : cli_grid_print(args, &grid);
}

static const char *advice_for(tears_status status)
{
    if (status == TEARS_DENIED)
        return "check user, password and rights";
    if (status == TEARS_CORRUPT)
        return "the file is no database, or damaged: restore it from a backup";
    if (status == TEARS_INVALID)
        return "correct the option; `tears help` explains them";
    return "check --l3 (or TEARS_L3_URL), and that the server runs and can be reached from here";
}

/* A client that cannot be opened is the finding that matters most. */
static int report_closed(const struct cli_args *args, tears_status status,
                         const struct tears_error *error)
{
    const struct tears_finding finding = {
        .tier = status == TEARS_INVALID ? TEARS_STR("client") : TEARS_STR("l3"),
        .severity = 2,
        .subject = TEARS_STR("open"),
        .value =
            tears_str_c(error->message[0] != '\0' ? error->message : tears_status_text(status)),
        .advice = tears_str_c(advice_for(status)),
    };
    CLI_TRY(print_findings(args, &finding, 1));
    return cli_exit_of(status);
}

static int run_doctor(const struct cli_args *args)
{
    CLI_AUTO(cli_close) struct cli_context context = {.args = args};
    struct tears_client_options options;
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_finding *findings = NULL;
    size_t count = 0;

    CLI_TRY(cli_client_options(args, &options));
    tears_status status = tears_client_open(&options, &context.client, &error);
    if (status != TEARS_OK)
        return report_closed(args, status, &error);
    status = tears_session_new(context.client, NULL, &context.session);
    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                        tears_status_text(status));
    status = tears_client_doctor(context.session, &findings, &count);
    if (status != TEARS_OK)
        return cli_fail_session(&context, status);
    CLI_TRY(print_findings(args, findings, count));
    for (size_t i = 0; i < count; i++) {
        if (findings[i].severity >= 2)
            return CLI_EXIT_UNAVAILABLE;
    }
    return CLI_EXIT_OK;
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .synopsis = "",
    .summary = "examine every tier and say what to do",
    .details = "Prints what each tier is, whether it answers, and which settings should be "
               "changed.  Ends with 3\n"
               "when a tier is broken.\n"
               "\n"
               "  tears doctor --l3 postgresql:///app --l2 nats://127.0.0.1:4222\n",
    .run = run_doctor,
    .word_min = 0,
    .word_max = 0,
};
