/*
 * secret.c -- `tears secret`: does a reference resolve; its value only when it is asked for.
 *
 * Owns:     the command.
 * Must not know: schemes.
 * Threads:  the main thread.
 * Fails:    1 when there is no such secret, 4 for what is no reference, 5 when its path leaves the directory.
 * Begin at: cli_secret.
 */
#include "commands.h"
#include "secret_input.h"

#include <errno.h>

static int check(const struct cli_args *args)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_secrets *secrets = NULL;
    tears_status status = cli_secrets_open(args, &secrets, &error);

    if (status == TEARS_OK)
        status = tears_secrets_check(secrets, cli_word(args, 1), &error);
    tears_secrets_free(secrets);
    if (status != TEARS_OK)
        return cli_fail_error(args, status, &error);
    return cli_print_line(args, args->json ? TEARS_STR("{\"ok\":true}")
                                           : TEARS_STR("well formed, of a known scheme"));
}

/* The value exactly as it is: a newline that is not the secret's would be taken for a part of it. */
static int show(const struct cli_args *args, const struct tears_owned_text *value)
{
    if (!args->json) {
        if (fwrite(value->ptr, 1, value->len, stdout) == value->len)
            return CLI_EXIT_OK;
        return cli_fail(args, CLI_EXIT_BROKEN, "OUTPUT", "cannot write to standard output: %s",
                        strerror(errno));
    }
    struct cli_text line = {0};
    cli_text_put_c(&line, "{\"value\":");
    cli_text_put_json(&line, tears_owned_text_str(value));
    cli_text_put_char(&line, '}');
    const int result = cli_print_line(args, cli_text_str(&line));
    explicit_bzero(line.ptr, line.len);
    cli_text_done(&line);
    return result;
}

static int tell(const struct cli_args *args, size_t len)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_printf(
        &line, args->json ? "{\"ok\":true,\"bytes\":%zu}" : "resolves, to a value of %zu bytes",
        len);
    return cli_print_line(args, cli_text_str(&line));
}

static int resolve(const struct cli_args *args)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;

    CLI_TRY(cli_reference_resolve(args, cli_word(args, 1), &value));
    return cli_flag(args, "show") ? show(args, &value) : tell(args, value.len);
}

static int run_secret(const struct cli_args *args)
{
    if (cli_str_is(cli_word(args, 0), "resolve"))
        return resolve(args);
    if (cli_str_is(cli_word(args, 0), "check"))
        return check(args);
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of resolve, check",
                    args->words[0]);
}

static const struct cli_option options[] = {
    {"show", NULL, "print the value itself, without a newline behind it"},
    {"directory", "DIR", "where k8s:// begins (THREETEARS_DATASOURCE_SECRETS_DIR)"},
    {NULL, NULL, NULL},
};

const struct cli_command cli_secret = {
    .name = "secret",
    .synopsis = "resolve|check REFERENCE",
    .summary = "see whether a secret's reference resolves",
    .details =
        "A reference names a secret where configuration would hold it: env://NAME is a variable of "
        "the\nenvironment, k8s://PATH a file below the secrets directory.  resolve fetches the "
        "value and says how long\nit is; check looks at the reference's form only.\n"
        "\n"
        "  tears secret resolve k8s://app/db-password\n"
        "  tears secret resolve env://API_KEY --show\n",
    .options = options,
    .run = run_secret,
    .word_min = 2,
    .word_max = 2,
};
