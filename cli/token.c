/*
 * token.c -- `tears token`: identity tokens minted, verified, looked into.
 *
 * Owns:     the command, and the names of claims on the command line.
 * Must not know: signatures, the form of a token (inspect is in token_inspect.c).
 * Threads:  the main thread.
 * Fails:    1 when the key set lacks the token's key, 2 for an unknown claim, 5 for a token not to be trusted.
 * Begin at: cli_token.
 */
#include <tears/token.h>

#include "commands.h"
#include "secret_input.h"
#include "token_inspect.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

enum { LIFE_SECONDS = 300 };

/* The claims that are text, as the token names them. */
static const struct {
    const char *name;
    size_t offset;
} claims[] = {
    {"iss", offsetof(struct tears_identity, issuer)},
    {"sub", offsetof(struct tears_identity, agent_id)},
    {"customer_id", offsetof(struct tears_identity, customer_id)},
    {"sid", offsetof(struct tears_identity, session_id)},
    {"pod_id", offsetof(struct tears_identity, pod_id)},
    {"user_id", offsetof(struct tears_identity, user_id)},
    {"cnf.jkt", offsetof(struct tears_identity, holder)},
    {"conversation_id", offsetof(struct tears_identity, conversation_id)},
};

static struct tears_str *claim_of(struct tears_identity *identity, size_t which)
{
    return (struct tears_str *)(void *)((char *)identity + claims[which].offset);
}

static void key_done(tears_signing_key **key)
{
    tears_signing_key_free(*key);
}

/* ---- mint ---- */

static int fail_claim(const struct cli_args *args, const char *word)
{
    const char *names[CLI_COUNT(claims) + 2] = {"iat", "exp"};
    CLI_AUTO(cli_text_done) struct cli_text name = {0};

    for (size_t i = 0; i < CLI_COUNT(claims); i++)
        names[i + 2] = claims[i].name;
    cli_text_put(&name, tears_str_n(word, strcspn(word, "=")));
    const char *near = name.len > 0 ? cli_nearest(name.ptr, names, CLI_COUNT(names)) : NULL;
    if (near != NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "no claim '%s'; did you mean '%s'?",
                        name.ptr, near);
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                    "'%s' is no claim; `tears help token` names them", word);
}

static int read_time(const struct cli_args *args, struct tears_str text, int64_t *out)
{
    uint64_t seconds = 0;

    if (!cli_number(text, (uint64_t)1 << 40, &seconds))
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "iat and exp are whole seconds since 1970, such as %lld",
                        (long long)time(NULL));
    *out = (int64_t)seconds;
    return CLI_EXIT_OK;
}

/* One word CLAIM=VALUE. */
static int read_claim(const struct cli_args *args, const char *word,
                      struct tears_identity *identity)
{
    const char *equals = strchr(word, '=');
    const struct tears_str name = tears_str_n(word, strcspn(word, "="));

    if (equals == NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is not CLAIM=VALUE", word);
    const struct tears_str value = tears_str_c(equals + 1);
    if (cli_str_is(name, "iat"))
        return read_time(args, value, &identity->issued_at);
    if (cli_str_is(name, "exp"))
        return read_time(args, value, &identity->expires_at);
    for (size_t i = 0; i < CLI_COUNT(claims); i++) {
        if (cli_str_is(name, claims[i].name)) {
            *claim_of(identity, i) = value;
            return CLI_EXIT_OK;
        }
    }
    return fail_claim(args, word);
}

static int read_identity(const struct cli_args *args, struct tears_identity *identity_out)
{
    struct tears_identity identity = {.issued_at = 0};
    uint64_t life = 0;

    for (size_t i = 1; i < args->word_count; i++)
        CLI_TRY(read_claim(args, args->words[i], &identity));
    CLI_TRY(cli_option_number(
        args, "ttl", (struct cli_range){.min = 1, .max = 31536000, .otherwise = LIFE_SECONDS},
        &life));
    if (identity.issued_at == 0)
        identity.issued_at = (int64_t)time(NULL);
    if (identity.expires_at == 0)
        identity.expires_at = identity.issued_at + (int64_t)life;
    *identity_out = identity;
    return CLI_EXIT_OK;
}

static int read_key(const struct cli_args *args, tears_signing_key **key_out)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};
    const char *source = cli_option(args, "key");

    if (source == NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "signed with which key?  --key FILE, --key - or --key env://NAME");
    CLI_TRY(cli_input_read(args, source, &text));
    const tears_status status =
        tears_signing_key_read(tears_owned_text_str(&text), key_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int print_token(const struct cli_args *args, const struct tears_owned_text *token,
                       struct tears_str kid)
{
    CLI_AUTO(cli_text_done) struct cli_text line = {0};

    if (!args->json)
        return cli_print_line(args, tears_owned_text_str(token));
    cli_text_put_c(&line, "{\"token\":");
    cli_text_put_json(&line, tears_owned_text_str(token));
    cli_text_put_c(&line, ",\"kid\":");
    cli_text_put_json(&line, kid);
    cli_text_put_char(&line, '}');
    return cli_print_line(args, cli_text_str(&line));
}

static int mint(const struct cli_args *args)
{
    CLI_AUTO(key_done) tears_signing_key *key = NULL;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
    struct tears_identity identity;
    struct tears_error error = {.status = TEARS_OK};
    uint8_t public_key[TEARS_KEY_BYTES];
    char thumbprint[TEARS_THUMBPRINT_BYTES];

    CLI_TRY(read_identity(args, &identity));
    CLI_TRY(read_key(args, &key));
    tears_signing_key_public(key, public_key);
    tears_jwk_thumbprint(public_key, thumbprint);
    const char *kid = cli_option(args, "kid") != NULL ? cli_option(args, "kid") : thumbprint;
    const tears_status status = tears_token_sign(key, tears_str_c(kid), &identity, &token, &error);
    return status == TEARS_OK ? print_token(args, &token, tears_str_c(kid))
                              : cli_fail_error(args, status, &error);
}

/* ---- verify ---- */

static int print_identity(const struct cli_args *args, struct tears_identity identity)
{
    CLI_AUTO(cli_text_done) struct cli_text out = {0};
    const char *comma = "{";

    for (size_t i = 0; i < CLI_COUNT(claims); i++) {
        const struct tears_str value = *claim_of(&identity, i);
        if (value.len == 0)
            continue;
        cli_text_printf(&out, args->json ? "%s\"%s\":" : "%s%s\t", args->json ? comma : "",
                        claims[i].name);
        cli_text_put_json(&out, value);
        cli_text_put_c(&out, args->json ? "" : "\n");
        comma = ",";
    }
    cli_text_printf(&out, args->json ? ",\"iat\":%lld,\"exp\":%lld}" : "iat\t%lld\nexp\t%lld",
                    (long long)identity.issued_at, (long long)identity.expires_at);
    return cli_print_line(args, cli_text_str(&out));
}

static void jwks_done(tears_jwks **jwks)
{
    tears_jwks_free(*jwks);
}

static int read_jwks(const struct cli_args *args, tears_jwks **jwks_out)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text document = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};
    const char *source = cli_option(args, "jwks");

    if (source == NULL)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE",
                        "verified with which keys?  --jwks FILE; `tears jwks make` writes one");
    CLI_TRY(cli_input_read(args, source, &document));
    const tears_status status =
        tears_jwks_parse(tears_owned_text_str(&document), NULL, jwks_out, &error);
    return status == TEARS_OK ? CLI_EXIT_OK : cli_fail_error(args, status, &error);
}

static int read_policy(const struct cli_args *args, struct tears_token_policy *policy_out)
{
    struct tears_token_policy policy = TEARS_TOKEN_POLICY_INIT;
    uint64_t now = 0;

    policy.issuer = tears_str_c(cli_option(args, "issuer"));
    if (policy.issuer.len == 0)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "whose token?  --issuer NAME");
    CLI_TRY(cli_option_number(args, "leeway", (struct cli_range){.min = 0, .max = 3600},
                              &policy.leeway_seconds));
    CLI_TRY(cli_option_number(args, "now", (struct cli_range){.min = 1, .max = (uint64_t)1 << 40},
                              &now));
    policy.now = (int64_t)now;
    *policy_out = policy;
    return CLI_EXIT_OK;
}

/* The token: of the file behind the action, else of standard input. */
static int read_token(const struct cli_args *args, struct tears_owned_text *token_out)
{
    if (args->word_count > 2)
        return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "one token at a time");
    return cli_input_read(args, args->word_count > 1 ? args->words[1] : "-", token_out);
}

static int verify(const struct cli_args *args)
{
    CLI_AUTO(jwks_done) tears_jwks *jwks = NULL;
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
    struct tears_token_policy policy;
    struct tears_verified_identity verified = {.text = TEARS_OWNED_TEXT_INIT};
    struct tears_error error = {.status = TEARS_OK};

    CLI_TRY(read_policy(args, &policy));
    CLI_TRY(read_jwks(args, &jwks));
    CLI_TRY(read_token(args, &token));
    const tears_status status =
        tears_token_verify(cli_trimmed(&token), jwks, &policy, &verified, &error);
    if (status != TEARS_OK)
        return cli_fail_error(args, status, &error);
    const int result = print_identity(args, verified.identity);
    tears_owned_text_free(&verified.text);
    return result;
}

/* ---- the command ---- */

static int inspect(const struct cli_args *args)
{
    CLI_AUTO(tears_owned_text_free) struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;

    CLI_TRY(read_token(args, &token));
    return cli_token_inspect(args, cli_trimmed(&token));
}

static const struct {
    const char *name;
    int (*run)(const struct cli_args *args);
} actions[] = {
    {"mint", mint},
    {"verify", verify},
    {"inspect", inspect},
};

static int run_token(const struct cli_args *args)
{
    for (size_t i = 0; i < CLI_COUNT(actions); i++) {
        if (cli_str_is(cli_word(args, 0), actions[i].name))
            return actions[i].run(args);
    }
    return cli_fail(args, CLI_EXIT_USAGE, "USAGE", "'%s' is none of mint, verify, inspect",
                    args->words[0]);
}

static const struct cli_option options[] = {
    {"key", "SOURCE", "mint: private key, a file (PEM, JWK, seed), - or a reference"},
    {"kid", "NAME", "mint: the key's name in the published set; else its thumbprint"},
    {"ttl", "SECONDS", "mint: life of the token (300)"},
    {"jwks", "FILE", "verify: the set of public keys"},
    {"issuer", "NAME", "verify: who must have issued it"},
    {"leeway", "SECONDS", "verify: how far clocks may differ (0)"},
    {"now", "SECONDS", "verify: as if it were then, in seconds since 1970"},
    {NULL, NULL, NULL},
};

const struct cli_command cli_token = {
    .name = "token",
    .synopsis = "mint CLAIM=VALUE... | verify [FILE] | inspect [FILE]",
    .summary = "sign, verify or look into an identity token",
    .details =
        "A token says who calls: iss (issuer), sub (agent), customer_id, sid (session) and pod_id; "
        "if known also\nuser_id, cnf.jkt (thumbprint of the holder's key) and conversation_id.  "
        "iat "
        "and exp are set unless given.\nTokens and keys come from files or standard input, never "
        "from the command line, which everybody on the\nmachine can read.\n"
        "\n"
        "verify ends with 5 for a token not to be trusted, and says why; with 1 when its key is "
        "not "
        "in the set,\nwhich a fresher set may cure.  inspect verifies nothing.\n"
        "\n"
        "  tears token mint --key hub.pem iss=hub sub=agent-7 customer_id=c1 sid=s1 pod_id=p1 > "
        "token\n"
        "  tears token verify token --jwks jwks.json --issuer hub --json\n"
        "  tears token inspect < token\n",
    .options = options,
    .run = run_token,
    .word_min = 1,
    .word_max = SIZE_MAX,
};
