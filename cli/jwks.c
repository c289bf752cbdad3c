/*
 * jwks.c -- `tears jwks`: a set of public keys made, shown, checked.
 *
 * Owns:     the command.
 * Must not know: what a key looks like in a file.
 * Threads:  the main thread.
 * Fails:    2 for an unknown action, 4 for what is no key or no set, 6 for a file that cannot be read.
 * Begin at: cli_jwks.
 */
#include <tears/jwks.h>

#include "commands.h"
#include "secret_input.h"

#include <stdlib.h>

/* ---- make ---- */

/* Keys on their way into a document; a kid is the user's word or the key's thumbprint. */
struct made {
    struct tears_jwk *keys;
    char (*thumbprints)[TEARS_THUMBPRINT_BYTES];
    size_t count;
    uint64_t purposes;
};

static void made_done(struct made *made)
{
    free(made->keys);
    free(made->thumbprints);
}

/* A private key is as good a source of its public half, which is all that is published. */
static int read_public(const struct cli_args *args, const char *path,
                       uint8_t public_out[TEARS_KEY_BYTES])
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    tears_signing_key *key = NULL;

    CLI_TRY(cli_input_read(args, path, &text));
    if (tears_signing_key_read(tears_owned_text_str(&text), &key, NULL) == TEARS_OK) {
        tears_signing_key_public(key, public_out);
        tears_signing_key_free(key);
        return CLI_EXIT_OK;
    }
    if (tears_public_key_read(tears_owned_text_str(&text), public_out, NULL) == TEARS_OK)
        return CLI_EXIT_OK;
    return cli_fail(args, CLI_EXIT_INVALID, "INVALID",
                    "%s holds no Ed25519 key: PEM, JWK or the base64 of a 32-byte seed", path);
}

/* `KID=FILE`, or a file alone. */
static int add_key(const struct cli_args *args, const char *word, struct made *made)
{
    const char *equals = strchr(word, '=');
    struct tears_jwk *key = &made->keys[made->count];

    CLI_TRY(read_public(args, equals != NULL ? equals + 1 : word, key->public_key));
    tears_jwk_thumbprint(key->public_key, made->thumbprints[made->count]);
    key->kid = equals != NULL ? tears_str_n(word, (size_t)(equals - word))
                              : tears_str_c(made->thumbprints[made->count]);
    key->purposes = made->purposes;
    made->count++;
    return CLI_EXIT_OK;
}

static int read_purpose(const struct cli_args *args, uint64_t *purposes_out)
{
    const char *purpose = cli_option(args, "purpose");

    *purposes_out = 0;
    if (purpose == NULL)
        return CLI_EXIT_OK;
    if (strcmp(purpose, "identity") == 0)
        *purposes_out = TEARS_PURPOSE_IDENTITY;
    else if (strcmp(purpose, "assertion") == 0)
        *purposes_out = TEARS_PURPOSE_ASSERTION;
    else
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "--purpose is identity or assertion");
    return CLI_EXIT_OK;
}

static int make(const struct cli_args *args)
{
    CLI_AUTO(made_done) struct made made = {0};
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text document = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};

    if (args->word_count < 2)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "of which keys?  tears jwks make FILE...");
    CLI_TRY(read_purpose(args, &made.purposes));
    made.keys = cli_alloc(args->word_count, sizeof *made.keys);
    made.thumbprints = cli_alloc(args->word_count, sizeof *made.thumbprints);
    for (size_t i = 1; i < args->word_count; i++)
        CLI_TRY(add_key(args, args->words[i], &made));
    const tears_status status = tears_jwks_build(made.keys, made.count, &document, &error);
    if (status != TEARS_OK)
        return cli_fail_error(args, status, &error);
    return cli_print_line(args, tears_owned_text_str(&document));
}

/* ---- show and check ---- */

static const char *purpose_text(uint64_t purposes)
{
    static const char *const names[] = {"nothing", "identity", "assertion", "identity, assertion"};
    return names[purposes & TEARS_PURPOSES_ALL];
}

static int print_json_key(const struct cli_args *args, const struct tears_jwk *key,
                          const char *thumbprint)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    cli_text_put_c(&line, "{\"kid\":");
    cli_text_put_json(&line, key->kid);
    cli_text_printf(&line, ",\"thumbprint\":\"%s\",\"identity\":%s,\"assertion\":%s}", thumbprint,
                    (key->purposes & TEARS_PURPOSE_IDENTITY) != 0 ? "true" : "false",
                    (key->purposes & TEARS_PURPOSE_ASSERTION) != 0 ? "true" : "false");
    return cli_print_line(args, cli_text_str(&line));
}

static int print_keys(const struct cli_args *args, const tears_jwks *jwks)
{
    CLI_AUTO(cli_grid_done) struct cli_grid grid;

    cli_grid_init(&grid, 3);
    cli_grid_put_c(&grid, "kid");
    cli_grid_put_c(&grid, "thumbprint");
    cli_grid_put_c(&grid, "may verify");
    for (size_t i = 0; i < tears_jwks_count(jwks); i++) {
        const struct tears_jwk key = tears_jwks_at(jwks, i);
        char thumbprint[TEARS_THUMBPRINT_BYTES];
        tears_jwk_thumbprint(key.public_key, thumbprint);
        if (args->json)
            CLI_TRY(print_json_key(args, &key, thumbprint));
        cli_grid_put(&grid, key.kid);
        cli_grid_put_c(&grid, thumbprint);
        cli_grid_put_c(&grid, purpose_text(key.purposes));
    }
    return args->json ? CLI_EXIT_OK : cli_grid_print(args, &grid);
}

static int read_set(const struct cli_args *args, tears_jwks **jwks_out)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text document = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};

    if (args->word_count > 2)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "one key set at a time");
    CLI_TRY(cli_input_read(args, args->word_count > 1 ? args->words[1] : "-", &document));
    const tears_status status =
        tears_jwks_parse(tears_owned_text_str(&document), NULL, jwks_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int show(const struct cli_args *args)
{
    tears_jwks *jwks = NULL;

    CLI_TRY(read_set(args, &jwks));
    const int result = print_keys(args, jwks);
    if (tears_jwks_skipped(jwks) > 0)
        cli_note("%zu entries are no keys that this library uses", tears_jwks_skipped(jwks));
    tears_jwks_free(jwks);
    return result;
}

static int check(const struct cli_args *args)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};
    tears_jwks *jwks = NULL;

    CLI_TRY(read_set(args, &jwks));
    const size_t count = tears_jwks_count(jwks);
    const size_t skipped = tears_jwks_skipped(jwks);
    tears_jwks_free(jwks);
    if (count == 0)
        return cli_fail(args, CLI_EXIT_INVALID, "INVALID", "the set has no usable key");
    if (skipped > 0)
        return cli_fail(args, CLI_EXIT_INVALID, "INVALID",
                        "%zu keys can be used, %zu entries cannot", count, skipped);
    cli_text_printf(&line, args->json ? "{\"ok\":true,\"keys\":%zu}" : "%zu keys, all usable",
                    count);
    return cli_print_line(args, cli_text_str(&line));
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(const struct cli_args *args);
} actions[] = {
    {"make", make},
    {"show", show},
    {"check", check},
};

static int run_jwks(const struct cli_args *args)
{
    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (cli_str_is(cli_word(args, 0), actions[i].name))
            return actions[i].run(args);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of make, show, check",
                    args->words[0]);
}

static const struct cli_option options[] = {
    {"purpose", "WHAT", "make: what the keys may verify, identity or assertion; else both"},
    {NULL, NULL, NULL},
};

const struct cli_command cli_jwks = {
    .name = "jwks",
    .synopsis = "make [KID=]FILE... | show [FILE] | check [FILE]",
    .summary = "make, show or check a set of public keys",
    .details =
        "make prints the set of the keys in the files, public or private: only the public half is "
        "published.\nA key's name is its thumbprint when none is given.  show and check read a "
        "file or standard input;\ncheck ends with 4 unless every entry is a usable key.\n"
        "\n"
        "  tears jwks make hub-2026=hub.pem --purpose identity > jwks.json\n"
        "  tears jwks show jwks.json\n",
    .options = options,
    .run = run_jwks,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
