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
#include "journal_words.h"
#include "onerow.h"

#include <stdlib.h>

static const struct cli_option options[] = {
    {"journal", "PATH", "of deferred writes (else TEARS_JOURNAL, else beside the database)"},
    {NULL, NULL, NULL},
};

/* ---- what is printed ---- */

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

/* ---- the journal ---- */

enum { JOURNAL_FINDINGS_MAX = 4, OLD_US = 5 * 60 * 1000000, SILENT_MS = 10000 };

/* What is found of a journal; the texts that findings point to are here. */
struct journal_report {
    tears_journal *journal;
    struct tears_journal_status status;
    struct tears_error error;
    struct cli_text owner, pending, dead;
    struct tears_finding findings[JOURNAL_FINDINGS_MAX];
    size_t count;
};

static void report_done(struct journal_report *report)
{
    cli_journal_close(&report->journal);
    cli_text_done(&report->owner);
    cli_text_done(&report->pending);
    cli_text_done(&report->dead);
}

static void find_out(struct journal_report *report, const char *subject, struct tears_str value,
                     const char *advice)
{
    report->findings[report->count++] = (struct tears_finding){
        .tier = TEARS_STR("journal"),
        .severity = advice[0] != '\0' ? 1 : 0,
        .subject = tears_str_c(subject),
        .value = value,
        .advice = tears_str_c(advice),
    };
}

static void report_owner(struct journal_report *report)
{
    const struct tears_journal_status *status = &report->status;
    const bool is_silent = status->is_owned != 0 && status->owner_idle_ms > SILENT_MS;

    if (status->is_owned == 0)
        cli_text_put_c(&report->owner, "nobody");
    else
        cli_text_printf(&report->owner, "process %llu", (unsigned long long)status->owner_pid);
    find_out(report, "owner", cli_text_str(&report->owner),
             is_silent ? "it gives no sign of life: see whether it is stopped" : "");
}

static void report_pending(struct journal_report *report)
{
    const struct tears_journal_status *status = &report->status;
    const bool is_old = status->oldest_us != 0 && cli_calendar_us() - status->oldest_us > OLD_US;
    const char *advice = is_old ? "they are old: `tears pending list` shows what they are" : "";

    if (status->is_owned == 0 && status->pending > 0)
        advice = "nobody writes them to the database: `tears pending flush`";
    cli_text_put_count(&report->pending, status->pending);
    find_out(report, "pending", cli_text_str(&report->pending), advice);
    cli_text_put_count(&report->dead, status->dead);
    find_out(report, "dead letters", cli_text_str(&report->dead),
             status->dead > 0 ? "the database refused them: `tears dead list`" : "");
}

/* Read beside its owner.  That there is none is no finding. */
static void examine_journal(const struct cli_args *args, struct journal_report *report)
{
    report->status = (struct tears_journal_status)TEARS_JOURNAL_STATUS_INIT;
    tears_status status = cli_journal_open(args, &report->journal, &report->error);
    if (status == TEARS_NOT_FOUND && cli_option(args, "journal") == NULL)
        return;
    if (status == TEARS_OK)
        status = tears_journal_look(report->journal, &report->status, &report->error);
    if (status != TEARS_OK) {
        find_out(report, "file", tears_str_c(report->error.message),
                 "see `tears help pending`; nothing was deleted");
        report->findings[0].severity = 2;
        return;
    }
    find_out(report, "file", report->status.path, "");
    report_owner(report);
    report_pending(report);
}

/* Those of the tiers, and then those of the journal.  Ended by free. */
static struct tears_finding *put_together(const struct tears_finding *tiers, size_t count,
                                          const struct journal_report *report)
{
    struct tears_finding *all = cli_alloc(count + report->count + 1, sizeof *all);

    for (size_t i = 0; i < count; i++)
        all[i] = tiers[i];
    for (size_t i = 0; i < report->count; i++)
        all[count + i] = report->findings[i];
    return all;
}

/* ---- the command ---- */

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

static int report_all(const struct cli_args *args, const struct tears_finding *tiers, size_t count,
                      const struct journal_report *journal)
{
    struct tears_finding *all = put_together(tiers, count, journal);
    int result = print_findings(args, all, count + journal->count);

    for (size_t i = 0; result == CLI_EXIT_OK && i < count + journal->count; i++) {
        if (all[i].severity >= 2)
            result = CLI_EXIT_UNAVAILABLE;
    }
    free(all);
    return result;
}

/* A client that cannot be opened is the finding that matters most. */
static int report_closed(const struct cli_args *args, tears_status status,
                         const struct tears_error *error, const struct journal_report *journal)
{
    const struct tears_finding finding = {
        .tier = status == TEARS_INVALID ? TEARS_STR("client") : TEARS_STR("l3"),
        .severity = 2,
        .subject = TEARS_STR("open"),
        .value =
            tears_str_c(error->message[0] != '\0' ? error->message : tears_status_text(status)),
        .advice = tears_str_c(advice_for(status)),
    };
    const int result = report_all(args, &finding, 1, journal);
    return result == CLI_EXIT_UNAVAILABLE ? cli_exit_of(status) : result;
}

static int run_doctor(const struct cli_args *args)
{
    CLI_AUTO(cli_close) struct cli_context context = {.args = args};
    CLI_AUTO(report_done) struct journal_report journal = {0};
    struct tears_client_options client;
    struct tears_error error = {.status = TEARS_OK};
    const struct tears_finding *findings = NULL;
    size_t count = 0;

    examine_journal(args, &journal); /* first: a client of a command has none */
    CLI_TRY(cli_client_options(args, &client));
    tears_status status = tears_client_open(&client, &context.client, &error);
    if (status != TEARS_OK)
        return report_closed(args, status, &error, &journal);
    status = tears_session_new(context.client, NULL, &context.session);
    if (status != TEARS_OK)
        return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                        tears_status_text(status));
    status = tears_client_doctor(context.session, &findings, &count);
    if (status != TEARS_OK)
        return cli_fail_session(&context, status);
    return report_all(args, findings, count, &journal);
}

const struct cli_command cli_doctor = {
    .name = "doctor",
    .synopsis = "",
    .summary = "examine every tier and say what to do",
    .details = "Prints what each tier is, whether it answers, and which settings should be "
               "changed; and when there is\n"
               "a journal of deferred writes, who owns it and what is in it.  Ends with 3 when a "
               "tier is broken.\n"
               "\n"
               "  tears doctor --l3 postgresql:///app --l2 nats://127.0.0.1:4222\n",
    .options = options,
    .run = run_doctor,
    .word_min = 0,
    .word_max = 0,
};
