/*
 * secret.c -- references to secrets: taken apart, checked, resolved.
 *
 * Owns:     the schemes and the name of the secrets directory.
 * Knows:    base/, secret_file.h.
 * Must not know: what secrets are for.
 * Threads:  any; the mutex guards the list of schemes and is not held while one is asked.
 * Fails:    as tears/secret.h says; the results are then untouched.
 * Begin at: tears_secrets_resolve().
 */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/fail.h"
#include "base/lock.h"
#include "base/owned_text.h"
#include "base/sized.h"
#include "base/str.h"
#include "security/secret_file.h"

#include <errno.h>
#include <stdlib.h>

#define ORIGIN            "secret"
#define DIRECTORY_ENV     "THREETEARS_DATASOURCE_SECRETS_DIR"
#define DIRECTORY_DEFAULT "/var/run/secrets/3tears"

enum { SCHEMES_MAX = 64, SCHEME_BYTES_MAX = 64, ENV_NAME_BYTES_MAX = 255 };

/* How the value is fetched. */
enum way { WAY_ENV, WAY_FILE, WAY_NONE, WAY_HOOK };

struct scheme {
    struct tears_str name;
    enum way way;
    tears_secret_fn resolve; /* of WAY_HOOK */
    void *owner;
};

struct tears_secrets {
    struct t3_mutex mutex;
    struct t3_arena arena;
    struct tears_str directory;
    struct scheme schemes[SCHEMES_MAX]; /* those that are there do not change */
    size_t scheme_count;
};

static const struct {
    const char *name;
    enum way way;
} built_in[] = {
    {"env", WAY_ENV},     {"k8s", WAY_FILE}, {"vault", WAY_NONE}, {"aws-secretsmanager", WAY_NONE},
    {"gcp-sm", WAY_NONE},
};

/* ---- the parts of a reference ------------------------------------------------------------------ */

static bool is_scheme_name(struct tears_str name)
{
    if (name.len == 0 || name.len > SCHEME_BYTES_MAX || name.ptr[0] < 'a' || name.ptr[0] > 'z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_other = c == '+' || c == '.' || c == '_' || c == '-';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || is_other))
            return false;
    }
    return true;
}

static bool is_env_name(struct tears_str name)
{
    if (name.len == 0 || name.len > ENV_NAME_BYTES_MAX ||
        (name.ptr[0] >= '0' && name.ptr[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

/* Where the first "://" is; SIZE_MAX: nowhere. */
static size_t find_separator(struct tears_str reference)
{
    for (size_t i = 0; i + 3 <= reference.len; i++)
        if (memcmp(reference.ptr + i, "://", 3) == 0)
            return i;
    return SIZE_MAX;
}

static tears_status refuse(struct tears_error *error_out, tears_status status, int32_t detail,
                           const char *reason)
{
    return t3_fail_detail(error_out, status, ORIGIN, detail, "", "%s", reason);
}

tears_status tears_secret_parse(struct tears_str reference, struct tears_str *scheme_out,
                                struct tears_str *locator_out, struct tears_error *error_out)
{
    const size_t separator = find_separator(reference);
    /* The text is not repeated: it may be the secret itself, put where its reference belongs. */
    if (separator == SIZE_MAX || !is_scheme_name(tears_str_n(reference.ptr, separator)))
        return refuse(error_out, TEARS_INVALID, TEARS_SECRET_BAD_REFERENCE,
                      "a secret reference does not have the form scheme://locator");
    struct tears_str locator = t3_str_from(reference, separator + 3);
    if (locator.len > 0 && locator.ptr[locator.len - 1] == '\n')
        locator.len--;
    if (locator.len == 0 || memchr(locator.ptr, '\n', locator.len) != NULL ||
        !t3_str_is_utf8(locator))
        return refuse(
            error_out, TEARS_INVALID, TEARS_SECRET_BAD_REFERENCE,
            "the locator of a secret reference is empty, has a line break or is not UTF-8");
    *scheme_out = tears_str_n(reference.ptr, separator);
    *locator_out = locator;
    return TEARS_OK;
}

/* ---- schemes ----------------------------------------------------------------------------------- */

static const struct scheme *find_locked(const tears_secrets *secrets, struct tears_str name)
    T3_REQUIRES(secrets->mutex)
{
    for (size_t i = 0; i < secrets->scheme_count; i++)
        if (t3_str_equal(secrets->schemes[i].name, name))
            return &secrets->schemes[i];
    return NULL;
}

/* A scheme that was found stays where it is and as it is. */
static const struct scheme *find(tears_secrets *secrets, struct tears_str name)
{
    t3_lock(&secrets->mutex);
    const struct scheme *scheme = find_locked(secrets, name);
    t3_unlock(&secrets->mutex);
    return scheme;
}

static int compare_names(const void *a, const void *b)
{
    return t3_str_compare(*(const struct tears_str *)a, *(const struct tears_str *)b);
}

static tears_status fail_unknown(tears_secrets *secrets, struct tears_str scheme,
                                 struct tears_error *error_out)
{
    struct tears_str names[SCHEMES_MAX] = {{NULL, 0}};
    T3_AUTO(t3_buf_done) struct t3_buf list = {0};
    t3_lock(&secrets->mutex);
    const size_t count = secrets->scheme_count;
    for (size_t i = 0; i < count; i++)
        names[i] = secrets->schemes[i].name;
    t3_unlock(&secrets->mutex);
    qsort(names, count, sizeof names[0], compare_names);
    tears_status status = TEARS_OK;
    for (size_t i = 0; i < count && status == TEARS_OK; i++)
        status = t3_buf_printf(&list, "%s" T3_STR_FMT, i > 0 ? ", " : "", T3_STR_ARG(names[i]));
    /* Without the locator: a connection string with its password looks like a reference, too. */
    return t3_fail_detail(error_out, TEARS_UNSUPPORTED, ORIGIN, TEARS_SECRET_UNKNOWN_SCHEME, "",
                          "secret scheme '" T3_STR_FMT "' is not known; known are " T3_STR_FMT,
                          T3_STR_ARG(scheme), T3_STR_ARG(t3_buf_str(&list)));
}

tears_status tears_secrets_register(tears_secrets *secrets, struct tears_str scheme,
                                    tears_secret_fn resolve, void *owner,
                                    struct tears_error *error_out)
{
    struct scheme added = {.way = WAY_HOOK, .resolve = resolve, .owner = owner};
    if (!is_scheme_name(scheme))
        return refuse(
            error_out, TEARS_INVALID, TEARS_SECRET_BAD_SCHEME_NAME,
            "not the name of a secret scheme: a lower-case letter, then lower-case letters, "
            "digits, '+', '.', '_' or '-'");
    if (resolve == NULL)
        return t3_fail(error_out, TEARS_MISUSE, ORIGIN,
                       "secret scheme '" T3_STR_FMT "' has no function", T3_STR_ARG(scheme));
    tears_status status = TEARS_OK;
    t3_lock(&secrets->mutex);
    if (find_locked(secrets, scheme) != NULL)
        status = TEARS_CONFLICT;
    else if (secrets->scheme_count == SCHEMES_MAX)
        status = TEARS_LIMIT;
    else
        status = t3_arena_str(&secrets->arena, scheme, &added.name);
    if (status == TEARS_OK)
        secrets->schemes[secrets->scheme_count++] = added;
    t3_unlock(&secrets->mutex);
    if (status == TEARS_CONFLICT)
        return t3_fail_detail(error_out, status, ORIGIN, TEARS_SECRET_SCHEME_EXISTS, "",
                              "secret scheme '" T3_STR_FMT "' exists already", T3_STR_ARG(scheme));
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, ORIGIN, "more than %d secret schemes", SCHEMES_MAX);
    return status == TEARS_OK ? TEARS_OK : t3_fail_memory(error_out, ORIGIN);
}

/* ---- making one -------------------------------------------------------------------------------- */

static tears_status fill(tears_secrets *secrets, struct tears_str directory,
                         struct tears_error *error_out)
{
    if (directory.len > 0 && memchr(directory.ptr, '\0', directory.len) != NULL)
        return t3_fail(error_out, TEARS_INVALID, ORIGIN,
                       "the secrets directory has a NUL in its name");
    if (directory.len == 0)
        directory = tears_str_c(getenv(DIRECTORY_ENV));
    if (directory.len == 0)
        directory = TEARS_STR(DIRECTORY_DEFAULT);
    if (t3_arena_str(&secrets->arena, directory, &secrets->directory) != TEARS_OK)
        return t3_fail_memory(error_out, ORIGIN);
    for (size_t i = 0; i < T3_COUNT(built_in); i++)
        secrets->schemes[secrets->scheme_count++] =
            (struct scheme){.name = tears_str_c(built_in[i].name), .way = built_in[i].way};
    return TEARS_OK;
}

tears_status tears_secrets_new(const struct tears_secrets_options *options,
                               tears_secrets **secrets_out, struct tears_error *error_out)
{
    struct tears_secrets_options own = {0};
    if (options != NULL)
        T3_TRY(t3_sized_copy(&own, sizeof own, options, ORIGIN, error_out));
    tears_secrets *secrets = t3_alloc_zero(1, sizeof *secrets);
    if (secrets == NULL)
        return t3_fail_memory(error_out, ORIGIN);
    t3_mutex_init(&secrets->mutex);
    const tears_status status = fill(secrets, own.directory, error_out);
    if (status != TEARS_OK)
        tears_secrets_free(secrets);
    else
        *secrets_out = secrets;
    return status;
}

void tears_secrets_free(tears_secrets *secrets)
{
    if (secrets == NULL)
        return;
    t3_mutex_done(&secrets->mutex);
    t3_arena_done(&secrets->arena);
    t3_free(secrets);
}

/* ---- resolving --------------------------------------------------------------------------------- */

/* A reference whose scheme is known, so that its text may stand in messages. */
struct reference {
    const struct scheme *scheme;
    struct tears_str locator;
    struct tears_error *error;
};

static tears_status reference_fail(const struct reference *reference, tears_status status,
                                   int32_t detail, const char *reason)
{
    return t3_fail_detail(
        reference->error, status, ORIGIN, detail, "", "secret " T3_STR_FMT "://" T3_STR_FMT ": %s",
        T3_STR_ARG(reference->scheme->name), T3_STR_ARG(reference->locator), reason);
}

static tears_status resolve_env(const struct reference *reference, struct tears_owned_text *value)
{
    char name[ENV_NAME_BYTES_MAX + 1];
    memcpy(name, reference->locator.ptr, reference->locator.len); /* its form was checked */
    name[reference->locator.len] = '\0';
    const struct tears_str found = tears_str_c(getenv(name));
    if (found.ptr == NULL)
        return reference_fail(reference, TEARS_NOT_FOUND, TEARS_SECRET_ENV_NOT_SET,
                              "the environment variable is not set");
    if (found.len > TEARS_SECRET_BYTES_MAX)
        return reference_fail(reference, TEARS_LIMIT, TEARS_SECRET_TOO_LARGE,
                              "its value is too large");
    if (t3_owned_text_copy(found, true, value) != TEARS_OK)
        return t3_fail_memory(reference->error, ORIGIN);
    return TEARS_OK;
}

static tears_status fail_file(const struct reference *reference, int rc)
{
    char text[128];
    switch (rc) {
    case EXDEV:
        return reference_fail(reference, TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY,
                              "the path leaves the secrets directory");
    case ENOENT:
    case ENOTDIR:
        return reference_fail(reference, TEARS_NOT_FOUND, TEARS_SECRET_NO_FILE,
                              "no such file in the secrets directory");
    case EFBIG:
        return reference_fail(reference, TEARS_LIMIT, TEARS_SECRET_TOO_LARGE,
                              "the file is too large");
    case ENOMEM:
        return t3_fail_memory(reference->error, ORIGIN);
    default:
        return reference_fail(reference, TEARS_UNAVAILABLE, TEARS_SECRET_READ_FAILED,
                              rc == ENOTSUP ? "not a regular file"
                                            : strerror_r(rc, text, sizeof text));
    }
}

static bool has_parent(struct tears_str path)
{
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/')
            continue;
        if (i - start == 2 && memcmp(path.ptr + start, "..", 2) == 0)
            return true;
        start = i + 1;
    }
    return false;
}

static tears_status resolve_file(const tears_secrets *secrets, const struct reference *reference,
                                 struct tears_owned_text *value)
{
    if (reference->locator.ptr[0] == '/' || has_parent(reference->locator))
        return fail_file(reference, EXDEV);
    const int rc = t3_secret_file_read(secrets->directory.ptr, reference->locator, value);
    return rc == 0 ? TEARS_OK : fail_file(reference, rc);
}

/* Where a hook's value goes. */
struct hook_value {
    struct tears_owned_text text;
    bool is_given;
};

static tears_status hook_put(void *owner, struct tears_str value)
{
    struct hook_value *given = owner;
    if (given->is_given)
        return TEARS_MISUSE;
    if (value.len > TEARS_SECRET_BYTES_MAX)
        return TEARS_LIMIT;
    T3_TRY(t3_owned_text_copy(value, true, &given->text));
    given->is_given = true;
    return TEARS_OK;
}

static tears_status resolve_hook(const struct reference *reference, struct tears_owned_text *value)
{
    const struct scheme *scheme = reference->scheme;
    struct hook_value given = {0};
    const struct tears_secret_sink sink = {hook_put, &given};
    tears_status status = scheme->resolve(scheme->owner, reference->locator, &sink);
    if (status == TEARS_OK && !given.is_given)
        status = TEARS_INTERNAL;
    if (status == TEARS_OK) {
        *value = given.text;
        return TEARS_OK;
    }
    tears_owned_text_free(&given.text);
    return t3_fail_detail(reference->error, status, ORIGIN, TEARS_SECRET_RESOLVER_FAILED, "",
                          "secret " T3_STR_FMT "://" T3_STR_FMT ": its resolver gave %s",
                          T3_STR_ARG(scheme->name), T3_STR_ARG(reference->locator),
                          tears_status_name(status));
}

/* Takes the text apart and finds the scheme: as far as one gets without looking anything up. */
static tears_status prepare(tears_secrets *secrets, struct tears_str text,
                            struct reference *reference, struct tears_error *error_out)
{
    struct tears_str name;
    reference->error = error_out;
    T3_TRY(tears_secret_parse(text, &name, &reference->locator, error_out));
    reference->scheme = find(secrets, name);
    if (reference->scheme == NULL)
        return fail_unknown(secrets, name, error_out);
    if (reference->scheme->way == WAY_ENV && !is_env_name(reference->locator))
        return refuse(error_out, TEARS_INVALID, TEARS_SECRET_BAD_ENV_NAME,
                      "an env:// reference does not name an environment variable");
    return TEARS_OK;
}

tears_status tears_secrets_check(tears_secrets *secrets, struct tears_str reference,
                                 struct tears_error *error_out)
{
    struct reference checked;
    return prepare(secrets, reference, &checked, error_out);
}

static tears_status fetch(const tears_secrets *secrets, const struct reference *reference,
                          struct tears_owned_text *value)
{
    switch (reference->scheme->way) {
    case WAY_ENV:
        return resolve_env(reference, value);
    case WAY_FILE:
        return resolve_file(secrets, reference, value);
    case WAY_HOOK:
        return resolve_hook(reference, value);
    case WAY_NONE:
        break;
    }
    return t3_fail_detail(reference->error, TEARS_UNSUPPORTED, ORIGIN, TEARS_SECRET_NOT_IMPLEMENTED,
                          "", "secret scheme '" T3_STR_FMT "' is known but not implemented",
                          T3_STR_ARG(reference->scheme->name));
}

tears_status tears_secrets_resolve(tears_secrets *secrets, struct tears_str reference,
                                   struct tears_owned_text *value_out,
                                   struct tears_error *error_out)
{
    struct reference known;
    struct tears_owned_text value = {0};
    T3_TRY(prepare(secrets, reference, &known, error_out));
    T3_TRY(fetch(secrets, &known, &value));
    if (!t3_str_is_utf8(tears_owned_text_str(&value))) {
        tears_owned_text_free(&value);
        return reference_fail(&known, TEARS_CORRUPT, TEARS_SECRET_NOT_UTF8,
                              "its value is not UTF-8");
    }
    *value_out = value;
    return TEARS_OK;
}
