/*
 * vectors_secrets.c -- secrets.jsonl: references to secrets.
 *
 * Threads:  one.
 * Begin at: secrets_ops.
 */
#include "codec/text.h"
#include "vectors/vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <tears/secret.h>

static const char *kind_of(const struct tears_error *error)
{
    switch (error->detail) {
    case TEARS_SECRET_BAD_REFERENCE:
        return "invalid_reference";
    case TEARS_SECRET_UNKNOWN_SCHEME:
        return "unknown_scheme";
    case TEARS_SECRET_NOT_IMPLEMENTED:
        return "unimplemented_scheme";
    case TEARS_SECRET_BAD_ENV_NAME:
        return "invalid_env_name";
    case TEARS_SECRET_ENV_NOT_SET:
        return "env_not_set";
    case TEARS_SECRET_LEAVES_DIRECTORY:
        return "path_traversal";
    case TEARS_SECRET_NO_FILE:
        return "not_found";
    case TEARS_SECRET_READ_FAILED:
    case TEARS_SECRET_NOT_UTF8:
        return "read_failed";
    case TEARS_SECRET_BAD_SCHEME_NAME:
        return "invalid_scheme_name";
    case TEARS_SECRET_SCHEME_EXISTS:
        return "scheme_exists";
    default:
        return tears_status_name(error->status);
    }
}

static void free_secrets(tears_secrets **secrets)
{
    tears_secrets_free(*secrets);
}

static tears_secrets *secrets_in(struct tears_str directory)
{
    struct tears_secrets_options options = TEARS_SECRETS_OPTIONS_INIT;
    tears_secrets *secrets = NULL;
    options.directory = directory;
    must(tears_secrets_new(&options, &secrets, NULL), "tears_secrets_new");
    return secrets;
}

static json_t *parse(struct vector *vector)
{
    struct tears_error error;
    struct tears_str scheme;
    struct tears_str locator;
    if (tears_secret_parse(in_text(vector, "ref"), &scheme, &locator, &error) != TEARS_OK)
        return refuse(vector, kind_of(&error));
    return json_pack("{s:o, s:o}", "scheme", give_text(scheme), "locator", give_text(locator));
}

static json_t *validate(struct vector *vector)
{
    struct tears_error error;
    T3_AUTO(free_secrets) tears_secrets *secrets = secrets_in(TEARS_STR("/nowhere"));
    if (tears_secrets_check(secrets, in_text(vector, "ref"), &error) != TEARS_OK)
        return refuse(vector, kind_of(&error));
    return json_pack("{s:b}", "ok", 1);
}

static void set_environment(const json_t *variables, bool set)
{
    const char *name;
    json_t *value;
    const union {
        const json_t *given;
        json_t *iterated;
    } both = {.given = variables};
    json_object_foreach(both.iterated, name, value)
    {
        if ((set ? setenv(name, json_string_value(value), 1) : unsetenv(name)) != 0)
            give_up("setenv");
    }
}

static json_t *give_secret(const struct tears_owned_text *value)
{
    T3_AUTO(t3_buf_done) struct t3_buf encoded = {0};
    must(t3_base64_put(&encoded, tears_owned_text_str(value), false), "t3_base64_put");
    return give_member("value_b64", t3_buf_str(&encoded));
}

static json_t *resolve(struct vector *vector)
{
    struct vector_tree tree;
    struct tears_error error;
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    tree_make(&tree, vector);
    set_environment(json_object_get(vector->in, "env"), true);
    T3_AUTO(free_secrets)
    tears_secrets *secrets = secrets_in(expand_base(&tree, in_text(vector, "secrets_dir")));
    const tears_status status =
        tears_secrets_resolve(secrets, in_text(vector, "ref"), &value, &error);
    set_environment(json_object_get(vector->in, "env"), false);
    tree_remove(&tree);
    if (status != TEARS_OK)
        return refuse(vector, kind_of(&error));
    json_t *out = give_secret(&value);
    tears_owned_text_free(&value);
    return out;
}

static tears_status give_locator(void *owner, struct tears_str locator,
                                 const struct tears_secret_sink *sink)
{
    char text[256];
    (void)owner;
    const int len = snprintf(text, sizeof text, "got:%.*s", (int)locator.len, locator.ptr);
    return sink->put(sink->owner, tears_str_n(text, (size_t)len));
}

static json_t *register_scheme(struct vector *vector)
{
    char reference[256];
    struct tears_error error;
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    const struct tears_str scheme = in_text(vector, "scheme");
    T3_AUTO(free_secrets) tears_secrets *secrets = secrets_in(TEARS_STR("/nowhere"));
    if (tears_secrets_register(secrets, scheme, give_locator, NULL, &error) != TEARS_OK)
        return refuse(vector, kind_of(&error));
    const int len =
        snprintf(reference, sizeof reference, "%.*s://a/b", (int)scheme.len, scheme.ptr);
    must(tears_secrets_resolve(secrets, tears_str_n(reference, (size_t)len), &value, NULL),
         "tears_secrets_resolve");
    json_t *out = give_member("resolved", tears_owned_text_str(&value));
    tears_owned_text_free(&value);
    return out;
}

const struct vector_op secrets_ops[] = {
    {"secrets", "parse", parse, false},
    {"secrets", "validate", validate, false},
    {"secrets", "resolve", resolve, false},
    {"secrets", "register_scheme", register_scheme, false},
    {NULL, NULL, NULL, false},
};
