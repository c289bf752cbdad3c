/*
 * seal.c -- `tears seal` and `tears open`: standard input to standard output under an operator's key.
 *
 * Owns:     the commands.
 * Must not know: ciphers, the form of a token.
 * Threads:  the main thread.
 * Fails:    2 without a key, 4 for a bad one, 5 when a token does not open, 6 when it is damaged.
 * Begin at: cli_seal, cli_open_sealed.
 */
#include <tears/seal.h>

#include "commands.h"
#include "secret_input.h"

#include <ctype.h>
#include <errno.h>

enum { KEYS_MAX = 64 };

/* The master keys of the command line. */
struct keys {
    struct tears_owned_text texts[KEYS_MAX];
    struct tears_seal_secret secrets[KEYS_MAX];
    size_t count;
};

static void keys_done(struct keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        tears_owned_text_free(&keys->texts[i]);
}

/* `ID=SOURCE`, or a source alone, whose key is number 0. */
static int split_key(const struct cli_args *args, const char *value, const char **source_out,
                     uint64_t *id_out)
{
    size_t digits = 0;

    while (isdigit((unsigned char)value[digits]))
        digits++;
    *source_out = value;
    *id_out = 0;
    if (digits == 0 || value[digits] != '=')
        return CLI_EXIT_OK;
    *source_out = value + digits + 1;
    if (cli_number(tears_str_n(value, digits), UINT32_MAX, id_out))
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "a key's number is at most 4294967295");
}

static int read_key(const struct cli_args *args, const char *value, struct keys *keys)
{
    const size_t at = keys->count;
    const char *source = NULL;
    uint64_t id = 0;

    if (at == KEYS_MAX)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "at most %d keys", (int)KEYS_MAX);
    CLI_TRY(split_key(args, value, &source, &id));
    if (strcmp(source, "-") == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "standard input has the text; give the key as a file or a reference");
    CLI_TRY(cli_input_read(args, source, &keys->texts[at]));
    keys->count++;
    /* A file's last newline is the editor's; what a reference gives is the secret as it is. */
    keys->secrets[at].master_key = strstr(source, "://") != NULL
                                       ? tears_owned_text_str(&keys->texts[at])
                                       : cli_without_newline(&keys->texts[at]);
    keys->secrets[at].id = id;
    keys->secrets[at].flags = cli_flag(args, "short-key") ? TEARS_SEAL_SHORT_KEY : 0;
    return CLI_EXIT_OK;
}

static int open_keyring(const struct cli_args *args, tears_keyring **keyring_out)
{
    CLI_AUTO(keys_done) struct keys keys = {.count = 0};
    struct tears_error error = {.status = TEARS_OK};

    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, "key") == 0)
            CLI_TRY(read_key(args, args->given[i].value, &keys));
    }
    if (keys.count == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "under which key?  --key FILE, --key env://NAME or --key k8s://PATH");
    const tears_status status = tears_keyring_new(keys.secrets, keys.count, keyring_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static void keyring_done(tears_keyring **keyring)
{
    tears_keyring_free(*keyring);
}

static struct tears_str context_of(const struct cli_args *args)
{
    return tears_str_c(cli_option(args, "context"));
}

/* ---- seal ---- */

static int print_token(const struct cli_args *args, const struct tears_owned_text *token)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (!args->json)
        return cli_print_line(args, tears_owned_text_str(token));
    cli_text_put_c(&line, "{\"token\":");
    cli_text_put_json(&line, tears_owned_text_str(token));
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static int run_seal(const struct cli_args *args)
{
    CLI_AUTO(keyring_done) tears_keyring *keyring = NULL;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};

    if (cli_flag(args, "v1") && cli_flag(args, "context"))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "a version 1 token has no context");
    CLI_TRY(open_keyring(args, &keyring));
    CLI_TRY(cli_input_read(args, "-", &text));
    const struct tears_str plaintext = tears_owned_text_str(&text);
    const tears_status status =
        cli_flag(args, "v1")
            ? tears_keyring_seal_v1(keyring, plaintext, &token, &error)
            : tears_keyring_seal(keyring, plaintext, context_of(args), &token, &error);
    return status == TEARS_OK ? print_token(args, &token) : cli_fail_error(args, status, &error);
}

static const struct cli_option seal_options[] = {
    {"key", "[ID=]SOURCE", "master key: a file (its last newline is dropped) or a reference"},
    {"context", "TEXT", "what the token belongs to, such as users/email/42; needed to open it"},
    {"v1", NULL, "a version 1 token, as the Python package writes them"},
    {"short-key", NULL, "accept a master key below 16 bytes"},
    {NULL, NULL, NULL},
};

const struct cli_command cli_seal = {
    .name = "seal",
    .synopsis = "--key SOURCE [--context TEXT] < TEXT > TOKEN",
    .summary = "encrypt standard input under a master key",
    .details =
        "Reads the text from standard input exactly as it is and prints a token that may be "
        "stored.  With an ID\n(0 to 4294967295; else 0) the token says which key it needs, so that "
        "keys can be rotated.\n"
        "\n"
        "  printf %s 's3cret' | tears seal --key 1=master.key --context users/email/42\n"
        "  tears seal --key env://MASTER_KEY < config.yaml > config.sealed\n",
    .options = seal_options,
    .run = run_seal,
    .word_min = 0,
    .word_max = 0,
};

/* ---- open ---- */

static int print_text(const struct cli_args *args, const struct tears_owned_text *text)
{
    if (fwrite(tears_owned_text_str(text).ptr, 1, text->len, stdout) == text->len)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_BROKEN, "OUTPUT", "cannot write to standard output: %s",
                    strerror(errno));
}

static int run_open(const struct cli_args *args)
{
    CLI_AUTO(keyring_done) tears_keyring *keyring = NULL;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};

    CLI_TRY(open_keyring(args, &keyring));
    CLI_TRY(cli_input_read(args, "-", &token));
    const tears_status status =
        tears_keyring_open(keyring, cli_trimmed(&token), context_of(args), &text, &error);
    if (status == TEARS_NOT_FOUND) /* not "no such row": the token cannot be opened with these */
        return cli_fail(args, CLI_EXIT_DENIED, tears_status_name(status), "%s", error.message);
    return status == TEARS_OK ? print_text(args, &text) : cli_fail_error(args, status, &error);
}

static const struct cli_option open_options[] = {
    {"key", "[ID=]SOURCE", "master key as for seal; may be given again for older keys"},
    {"context", "TEXT", "what the token was sealed for"},
    {"short-key", NULL, "accept a master key below 16 bytes"},
    {NULL, NULL, NULL},
};

const struct cli_command cli_open_sealed = {
    .name = "open",
    .synopsis = "--key SOURCE [--context TEXT] < TOKEN > TEXT",
    .summary = "decrypt what `tears seal` printed",
    .details =
        "Prints the text exactly as it was sealed, also with --json.  A wrong key, another context "
        "and a changed\ntoken end with 5 and print nothing; what is no token ends with 6.\n"
        "\n"
        "  tears open --key 2=new.key --key 1=old.key --context users/email/42 < token\n",
    .options = open_options,
    .run = run_open,
    .word_min = 0,
    .word_max = 0,
};
