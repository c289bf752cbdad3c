/*
 * migrate_lint.c -- `tears migrate lint`: what in the SQL of migrations cannot be run twice, locks, or goes wrong on YugabyteDB.
 *
 * Owns:     the command's part.
 * Must not know: rules.
 * Threads:  the main thread.
 * Fails:    1 when there are findings that nothing allows; 2, 5, 6 for what cannot be read.
 * Begin at: cli_migrate_lint().
 */
#include "migrate_lint.h"

#include <tears/lint.h>

#include "output.h"
#include "secret_input.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define MODE_ENV "MIGRATION_ENFORCEMENT_MODE"

enum { EXEMPT_BYTES_MAX = 1 << 20 };

/* What was found, for the last line and the exit code. */
struct tally {
    uint64_t findings; /* not allowed */
    uint64_t allowed;
    uint64_t failing;
};

static void lint_done(tears_lint **lint)
{
    tears_lint_free(*lint);
}

/* ---- the rules themselves ---- */

static const char *severity_name(uint64_t severity)
{
    static const char *const names[] = {"", "critical", "high", "medium", "low"};
    return severity < CLI_COUNT(names) ? names[severity] : "";
}

static int print_rule_json(const struct cli_args *args, const struct tears_lint_rule *rule)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_put_c(&line, "{\"rule\":");
    cli_text_put_json(&line, rule->id);
    cli_text_printf(&line, ",\"severity\":\"%s\",\"summary\":", severity_name(rule->severity));
    cli_text_put_json(&line, rule->summary);
    cli_text_put_c(&line, ",\"remedy\":");
    cli_text_put_json(&line, rule->remedy);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static int print_rules(const struct cli_args *args)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;

    cli_grid_init(&grid, 4);
    grid.whole = true;
    cli_grid_put_c(&grid, "rule");
    cli_grid_put_c(&grid, "severity");
    cli_grid_put_c(&grid, "what it finds");
    cli_grid_put_c(&grid, "instead");
    for (size_t i = 0; tears_lint_rule_at(i) != NULL; i++) {
        const struct tears_lint_rule *rule = tears_lint_rule_at(i);
        if (args->json)
            CLI_TRY(print_rule_json(args, rule));
        cli_grid_put(&grid, rule->id);
        cli_grid_put_c(&grid, severity_name(rule->severity));
        cli_grid_put(&grid, rule->summary);
        cli_grid_put(&grid, rule->remedy);
    }
    return args->json ? CLI_EXIT_OK : cli_grid_print(args, &grid);
}

/* ---- what is linted ---- */

static int open_linter(const struct cli_args *args, tears_lint **lint_out)
{
    struct tears_lint_options options = TEARS_LINT_OPTIONS_INIT;
    struct tears_error error = {.status = TEARS_OK};
    const char *database = cli_option(args, "for");

    if (database == NULL || strcmp(database, "yugabyte") == 0)
        options.groups = 0;
    else if (strcmp(database, "postgresql") == 0)
        options.groups =
            TEARS_LINT_SPEC | TEARS_LINT_LOCKS | TEARS_LINT_REPLAY | TEARS_LINT_HYGIENE;
    else if (strcmp(database, "sqlite") == 0)
        options.sqlite = 1;
    else
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "--for %s is none of yugabyte, postgresql, sqlite", database);
    const tears_status status = tears_lint_new(&options, lint_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int read_exemptions(const struct cli_args *args, const char *path, tears_lint *lint)
{
    CLI_AUTO(cli_text_done) struct cli_text text = {0};
    struct tears_error error = {.status = TEARS_OK};
    char bytes[4096];
    size_t got = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return cli_fail(args, CLI_EXIT_BROKEN, "NOT_FOUND", "cannot open '%s': %s", path,
                        strerror(errno));
    while (text.len < EXEMPT_BYTES_MAX && (got = fread(bytes, 1, sizeof bytes, file)) > 0)
        cli_text_put(&text, tears_str_n(bytes, got));
    const bool broken = ferror(file) != 0;
    (void)fclose(file); /* it was only read */
    if (broken || text.len >= EXEMPT_BYTES_MAX)
        return cli_fail(args, CLI_EXIT_BROKEN, "UNAVAILABLE", "cannot read '%s', or it is too long",
                        path);
    const tears_status status =
        tears_lint_exempt(lint, tears_str_c(path), cli_text_str(&text), &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int read_path(const struct cli_args *args, struct tears_str path, tears_lint *lint)
{
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = tears_lint_add_path(lint, path, &error);

    if (status == TEARS_NOT_FOUND) /* a path that is not there is no answer "nothing found" */
        return cli_fail(args, CLI_EXIT_USAGE, "NOT_FOUND", "%s", error.message);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int read_all(const struct cli_args *args, tears_lint *lint)
{
    struct tears_error error = {.status = TEARS_OK};

    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, "exempt") == 0)
            CLI_TRY(read_exemptions(args, args->given[i].value, lint));
    }
    if (args->word_count <= 1)
        CLI_TRY(read_path(args, TEARS_STR("migrations"), lint));
    for (size_t i = 1; i < args->word_count; i++)
        CLI_TRY(read_path(args, cli_word(args, i), lint));
    const tears_status status = tears_lint_finish(lint, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

/* ---- what was found ---- */

static int print_json(const struct cli_args *args, const struct tears_lint_finding *finding)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_put_c(&line, "{\"path\":");
    cli_text_put_json(&line, finding->path);
    cli_text_printf(&line, ",\"line\":%llu,\"statement\":%llu,\"rule\":",
                    (unsigned long long)finding->line, (unsigned long long)finding->statement);
    cli_text_put_json(&line, finding->rule->id);
    cli_text_printf(&line,
                    ",\"severity\":\"%s\",\"message\":", severity_name(finding->rule->severity));
    cli_text_put_json(&line, finding->message);
    cli_text_put_c(&line, ",\"remedy\":");
    cli_text_put_json(&line, finding->rule->remedy);
    cli_text_put_c(&line, ",\"excerpt\":");
    cli_text_put_json(&line, finding->excerpt);
    if (finding->rationale.len > 0) {
        cli_text_put_c(&line, ",\"rationale\":");
        cli_text_put_json(&line, finding->rationale);
    }
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static int print_text(const struct cli_args *args, const struct tears_lint_finding *finding)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = tears_lint_finding_text(finding, &text, &error);

    if (status != TEARS_OK)
        return cli_fail_error(args, status, &error);
    cli_text_put(&line, tears_owned_text_str(&text));
    if (finding->rationale.len > 0) {
        cli_text_put_c(&line, " (allowed: ");
        cli_text_put(&line, finding->rationale);
        cli_text_put_char(&line, ')');
    }
    return cli_print_line(args, cli_text_str(&line));
}

static int print_finding(const struct cli_args *args, const struct tears_lint_finding *finding,
                         struct tally *tally)
{
    const bool is_allowed = finding->rationale.len > 0;

    tally->allowed += is_allowed;
    tally->findings += !is_allowed;
    tally->failing +=
        !is_allowed && (finding->rule->severity < TEARS_LINT_LOW || cli_flag(args, "strict"));
    if (args->json)
        return print_json(args, finding);
    return is_allowed && !args->verbose ? CLI_EXIT_OK : print_text(args, finding);
}

static int print_tally(const struct cli_args *args, const tears_lint *lint,
                       const struct tally *tally)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    uint64_t files = 0;
    uint64_t statements = 0;

    tears_lint_looked_at(lint, &files, &statements);
    if (!args->json) {
        cli_note("findings: %llu; allowed: %llu; statements: %llu; files: %llu",
                 (unsigned long long)tally->findings, (unsigned long long)tally->allowed,
                 (unsigned long long)statements, (unsigned long long)files);
        return CLI_EXIT_OK;
    }
    cli_text_printf(&line,
                    "{\"files\":%llu,\"statements\":%llu,\"findings\":%llu,\"allowed\":%llu,"
                    "\"failing\":%llu}",
                    (unsigned long long)files, (unsigned long long)statements,
                    (unsigned long long)tally->findings, (unsigned long long)tally->allowed,
                    (unsigned long long)tally->failing);
    return cli_print_line(args, cli_text_str(&line));
}

static bool only_reports(const struct cli_args *args)
{
    const char *mode = getenv(MODE_ENV);

    return cli_flag(args, "report") || (mode != NULL && strcasecmp(mode, "report") == 0);
}

int cli_migrate_lint(const struct cli_args *args)
{
    CLI_AUTO(lint_done) tears_lint *lint = NULL;
    struct tally tally = {0};

    if (cli_flag(args, "rules"))
        return print_rules(args);
    CLI_TRY(open_linter(args, &lint));
    CLI_TRY(read_all(args, lint));
    for (size_t i = 0; i < tears_lint_finding_count(lint); i++)
        CLI_TRY(print_finding(args, tears_lint_finding_at(lint, i), &tally));
    CLI_TRY(print_tally(args, lint, &tally));
    return tally.failing > 0 && !only_reports(args) ? CLI_EXIT_NO : CLI_EXIT_OK;
}
