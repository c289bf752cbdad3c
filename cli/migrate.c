/*
 * migrate.c -- `tears migrate`: the command, its options, its connection.
 *
 * Owns:     the client and the migrator of one run.
 * Must not know: how versions are applied.
 * Threads:  the main thread.
 * Fails:    see the command's own list of exit codes below.
 * Begin at: run_migrate().
 */
#include "migrate.h"

#include "commands.h"
#include "context.h"
#include "migrate_drift.h"
#include "migrate_lint.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"dir", "DIR", "a package, or a directory of packages (else migrations)"},
    {"package", "NAME", "only this package; new: the name for a new package"},
    {"scope", "SCOPE", "platform or agent (else platform)"},
    {"schema", "NAME", "the database schema to work on (else the connection's own)"},
    {"create-schema", NULL, "up: make the schema when it is missing"},
    {"to", "[NAME=]N", "up, preview: versions up to N, of all packages or of one; may be repeated"},
    {"steps", "N", "down, preview: undo so many versions"},
    {"out-of-order", NULL, "up, preview: also versions below one that is applied"},
    {"allow-changed", NULL, "up, preview: although the text of an applied version has changed"},
    {"wait", "S", "seconds to wait for another process that migrates (else 600)"},
    {"statement-timeout", "S", "seconds that one statement may take (else no limit)"},
    {"check", NULL, "status: exit 1 unless all is applied and unchanged"},
    {"yes", NULL, "do not ask before what takes data away"},
    CLI_MIGRATE_DRIFT_OPTIONS,
    CLI_MIGRATE_LINT_OPTIONS,
    {NULL, NULL, NULL},
};

/* ---- options ---- */

const char *cli_migrate_dir(const struct cli_args *args)
{
    const char *given = cli_option(args, "dir");
    return given != NULL ? given : CLI_MIGRATE_DIR_DEFAULT;
}

int cli_migrate_scope(const struct cli_args *args, uint64_t *scope_out)
{
    const struct tears_str scope = tears_str_c(cli_option(args, "scope"));
    if (scope.len == 0 || cli_str_is(scope, "platform"))
        *scope_out = TEARS_SCOPE_PLATFORM;
    else if (cli_str_is(scope, "agent"))
        *scope_out = TEARS_SCOPE_AGENT;
    else
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--scope is platform or agent");
    return CLI_EXIT_OK;
}

/* "3" or "users=3". */
static int take_target(const struct cli_args *args, const char *value,
                       struct cli_migrate_request *request)
{
    const char *equals = strrchr(value, '=');
    const struct tears_str number = tears_str_c(equals != NULL ? equals + 1 : value);
    uint64_t version;
    if (!cli_number(number, INT32_MAX, &version))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--to takes a version, or PACKAGE=VERSION");
    if (equals == NULL) {
        request->request.has_target = 1;
        request->request.target = (int64_t)version;
        return CLI_EXIT_OK;
    }
    struct tears_package_version *target = &request->targets[request->request.target_count++];
    target->package = tears_str_n(value, (size_t)(equals - value));
    target->version = (int64_t)version;
    return CLI_EXIT_OK;
}

int cli_migrate_request(const struct cli_args *args, struct cli_migrate_request *request_out)
{
    static const struct tears_migrate_request defaults = TEARS_MIGRATE_REQUEST_INIT;
    request_out->request = defaults;
    request_out->targets = cli_alloc(args->given_count + 1, sizeof *request_out->targets);
    request_out->request.targets = request_out->targets;
    request_out->request.package = tears_str_c(cli_option(args, "package"));
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, "to") == 0)
            CLI_TRY(take_target(args, args->given[i].value, request_out));
    return cli_option_number(args, "steps", (struct cli_range){.min = 1, .max = UINT32_MAX},
                             &request_out->request.steps);
}

void cli_migrate_request_done(struct cli_migrate_request *request)
{
    free(request->targets);
}

/* ---- asking ---- */

int cli_migrate_confirm(const struct cli_args *args, const char *what)
{
    char answer[8] = "";
    if (cli_flag(args, "yes"))
        return CLI_EXIT_OK;
    if (!cli_is_terminal(stdin) || args->json)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "%s; say --yes if that is wanted", what);
    fprintf(stderr, "tears: %s.  Type yes to go on: ", what);
    if (fgets(answer, sizeof answer, stdin) == NULL || strcmp(answer, "yes\n") != 0)
        return cli_fail(args, CLI_EXIT_NO, "REFUSED", "nothing was done");
    return CLI_EXIT_OK;
}

void cli_migrate_put_time(int64_t us, struct cli_text *out)
{
    const time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char text[40];
    if (us != 0 && gmtime_r(&seconds, &parts) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) != 0)
        cli_text_put_c(out, text);
}

/* ---- life ---- */

static int fail_open(const struct cli_args *args, tears_status status,
                     const struct tears_error *error)
{
    return cli_fail(args, cli_exit_of(status), tears_status_name(status), "%s",
                    error->message[0] != '\0' ? error->message : tears_status_text(status));
}

static int migrator_options(struct cli_migrate *migrate, struct tears_migrator_options *options_out)
{
    static const struct tears_migrator_options defaults = TEARS_MIGRATOR_OPTIONS_INIT;
    const struct cli_args *args = migrate->args;
    const struct cli_range seconds = {.min = 1, .max = 86400};
    uint64_t wait_s = 0;
    uint64_t statement_s = 0;
    *options_out = defaults;
    CLI_TRY(cli_migrate_scope(args, &options_out->scope));
    CLI_TRY(cli_option_number(args, "wait", seconds, &wait_s));
    CLI_TRY(cli_option_number(args, "statement-timeout", seconds, &statement_s));
    options_out->schema = tears_str_c(cli_option(args, "schema"));
    options_out->create_schema = cli_flag(args, "create-schema");
    options_out->allow_out_of_order = cli_flag(args, "out-of-order");
    options_out->allow_changed = cli_flag(args, "allow-changed");
    options_out->wait_ms = wait_s * 1000;
    options_out->statement_ms = statement_s * 1000;
    options_out->progress = cli_migrate_on_progress;
    options_out->progress_owner = migrate;
    return CLI_EXIT_OK;
}

int cli_migrate_open(struct cli_migrate *migrate, bool with_packages)
{
    const struct cli_args *args = migrate->args;
    struct tears_client_options client;
    struct tears_migrator_options wanted;
    struct tears_error error = {.status = TEARS_OK};
    CLI_TRY(migrator_options(migrate, &wanted));
    CLI_TRY(cli_client_options(args, &client));
    client.l2_url = TEARS_STR("none");
    client.no_outbox = 1;
    tears_status status = tears_client_open(&client, &migrate->client, &error);
    if (status == TEARS_OK)
        status = tears_migrator_open(migrate->client, &wanted, &migrate->migrator, &error);
    if (status != TEARS_OK)
        return fail_open(args, status, &error);
    if (!with_packages)
        return CLI_EXIT_OK;
    status = tears_migrator_add_directory(migrate->migrator, tears_str_c(cli_migrate_dir(args)));
    if (status == TEARS_NOT_FOUND)
        return cli_fail(args, CLI_EXIT_USAGE, "NOT_FOUND", "%s; tears migrate new begins one",
                        tears_migrator_error(migrate->migrator)->message);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_migrate_fail(migrate, status);
}

void cli_migrate_close(struct cli_migrate *migrate)
{
    tears_migrator_free(migrate->migrator);
    tears_client_free(migrate->client);
}

/* ---- failures ---- */

static void put_member(struct cli_text *out, const char *name, struct tears_str text)
{
    if (text.len == 0)
        return;
    cli_text_printf(out, ",\"%s\":", name);
    cli_text_put_json(out, text);
}

static void print_json_failure(tears_status status, const struct tears_error *error,
                               const struct tears_migration_failure *failure)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    cli_text_printf(&line, "{\"ok\":false,\"status\":\"%s\",\"error\":", tears_status_name(status));
    cli_text_put_json(&line, tears_str_c(error->message));
    put_member(&line, "package", failure->package);
    cli_text_printf(&line, ",\"version\":%lld,\"statement\":%llu", (long long)failure->version,
                    (unsigned long long)failure->ordinal);
    put_member(&line, "sql", failure->statement);
    put_member(&line, "file", failure->file);
    cli_text_printf(&line, ",\"line\":%llu,\"position\":%llu", (unsigned long long)failure->line,
                    (unsigned long long)failure->position);
    put_member(&line, "sqlstate", failure->sqlstate);
    cli_text_printf(&line, ",\"partial\":%s}\n", failure->is_partial != 0 ? "true" : "false");
    (void)fflush(stdout); /* what was printed before the failure comes before it */
    (void)fwrite(line.ptr, 1, line.len, stderr);
}

int cli_migrate_fail(const struct cli_migrate *migrate, tears_status status)
{
    const struct cli_args *args = migrate->args;
    const struct tears_error *error = tears_migrator_error(migrate->migrator);
    struct tears_migration_failure failure = TEARS_MIGRATION_FAILURE_INIT;
    const bool in_version = tears_migrator_failure(migrate->migrator, &failure);
    const bool refused = error->detail >= TEARS_MIGRATE_CYCLE &&
                         error->detail <= TEARS_MIGRATE_DEPENDENCY && !in_version;
    int exit_code = cli_exit_of(status);
    /* A version that failed is one thing for scripts, whatever its statement met; what passes by itself is another. */
    if (in_version && exit_code != CLI_EXIT_UNAVAILABLE)
        exit_code = CLI_EXIT_INVALID;
    if (in_version && args->json) {
        print_json_failure(status, error, &failure);
        return exit_code;
    }
    (void)cli_fail(args, exit_code, refused ? "REFUSED" : tears_status_name(status), "%s%s%s%s",
                   error->message, error->sqlstate[0] != '\0' ? " (SQLSTATE " : "", error->sqlstate,
                   error->sqlstate[0] != '\0' ? ")" : "");
    if (in_version && failure.statement.len > 0)
        cli_note("the statement: " CLI_STR_FMT, CLI_STR_ARG(failure.statement));
    if (in_version)
        cli_note(failure.is_partial != 0
                     ? "the statements before it are done and stay; tears migrate %s goes on "
                       "behind them"
                     : "nothing of this version is left; tears migrate %s tries it again",
                 failure.down != 0 ? "down" : "up");
    return exit_code;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    size_t word_min, word_max;
    bool with_packages;
    int (*run)(struct cli_migrate *migrate);
    const char *usage;
} actions[] = {
    {"status", 1, 1, true, cli_migrate_status, "tears migrate status"},
    {"up", 1, 1, true, cli_migrate_up, "tears migrate up"},
    {"down", 1, 1, true, cli_migrate_down, "tears migrate down --steps N"},
    {"preview", 1, 1, true, cli_migrate_preview, "tears migrate preview"},
    {"history", 1, 1, false, cli_migrate_history, "tears migrate history"},
    {"stamp", 3, 3, true, cli_migrate_stamp, "tears migrate stamp PACKAGE VERSION"},
    {"unstamp", 3, 3, true, cli_migrate_unstamp, "tears migrate unstamp PACKAGE VERSION"},
    {"accept", 1, 2, true, cli_migrate_accept, "tears migrate accept [PACKAGE]"},
    {"drift", 1, 1, true, cli_migrate_drift, "tears migrate drift"},
    {"repair", 1, 1, true, cli_migrate_repair, "tears migrate repair"},
};

static int run_migrate(const struct cli_args *args)
{
    CLI_AUTO(cli_migrate_close) struct cli_migrate migrate = {.args = args};
    const struct tears_str action = cli_word(args, 0);
    if (cli_str_is(action, "new"))
        return cli_migrate_new(args);
    if (cli_str_is(action, "lint"))
        return cli_migrate_lint(args);
    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (!cli_str_is(action, actions[i].name))
            continue;
        if (args->word_count < actions[i].word_min || args->word_count > actions[i].word_max)
            return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "usage: %s", actions[i].usage);
        CLI_TRY(cli_migrate_open(&migrate, actions[i].with_packages));
        return actions[i].run(&migrate);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                    "'%s' is none of new, status, up, down, preview, stamp, unstamp, accept, "
                    "history, drift, repair, lint",
                    args->words[0]);
}

const struct cli_command cli_migrate = {
    .name = "migrate",
    .synopsis = "new WORDS... | status | up | down | preview | stamp PACKAGE VERSION | history | "
                "drift | repair | lint",
    .summary = "bring the database's tables from version to version",
    .details =
        "A package is a directory with package.json and files NNNN_words.up.sql and .down.sql; "
        "several packages\nmay stand in one directory.  What is applied is in the table "
        "_schema_migrations.\n"
        "\n"
        "new makes the next pair of files, and package.json where it is missing.\n"
        "status shows every version; preview the statements that up (with --steps: down) would "
        "run, and runs none.\n"
        "up applies what is pending; of many processes one does, the others wait and see it "
        "done.\n"
        "down undoes the last --steps versions.\n"
        "stamp enters a version that is there without running it; unstamp takes one out; accept "
        "takes the\nchanged text of applied versions for the right one.\n"
        "drift shows where the tables differ from what the applied versions make, and with --sql "
        "the "
        "statements\nthat repair would run; what only this database has is dropped with "
        "--destructive only.\n"
        "What takes data away (down, unstamp, accept, repair, DROP and TRUNCATE in up) asks first, "
        "or "
        "needs --yes.\n"
        "\n"
        "exit codes:\n"
        "  0  done; status --check: all is applied\n"
        "  1  refused: a changed or interrupted version, one out of order, no way down; status "
        "--check: not all\n     is applied, or something is wrong; drift, repair: something "
        "differs, or still "
        "does; lint: findings\n"
        "  2  the command line is wrong, no packages there, or --yes is missing\n"
        "  3  the database cannot be reached, or another process took longer than --wait\n"
        "  4  a version failed, or its files are wrong\n"
        "  5  not permitted\n"
        "\n"
        "  tears migrate new create users --package users\n"
        "  tears migrate status --check --json\n"
        "  tears migrate preview --to 3\n"
        "  tears migrate up --to users=3\n"
        "  tears migrate down --steps 1 --yes\n",
    .options = options,
    .run = run_migrate,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
