/**
 * @file secret.h
 * Secrets by reference: configuration names a secret, its value is fetched when it is used.
 *
 * A reference is `scheme://locator`.  The scheme is a lower-case letter followed by lower-case
 * letters, digits, `+`, `.`, `_` and `-`; the locator is everything after the first `://`, at least one character and
 * no newline (one newline at the very end is dropped).
 *
 * - `env://NAME` is the value of an environment variable; an empty value is a value.
 * - `k8s://PATH` is the content of a file below the secrets directory, exactly as it is.  A path that leaves
 *   it is refused, and so is a symbolic link out of it; links inside it, as Kubernetes makes them, are
 *   followed.
 * - `vault`, `aws-secretsmanager` and `gcp-sm` are known but not implemented.
 * - Others can be registered.
 *
 * Values are UTF-8 text of at most 1 MiB and are wiped by tears_owned_text_free.  No value is in any
 * message; neither is text that is no reference, because people put a password where a reference
 * belongs.
 * Source: spec platform.md section 2.8.
 */
#ifndef TEARS_SECRET_H
#define TEARS_SECRET_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Resolves references.  Shared by all threads. */
typedef struct tears_secrets tears_secrets;

/** Most bytes of a secret: what Kubernetes allows. */
enum { TEARS_SECRET_BYTES_MAX = 1048576 };

/** Finer causes of a failure: in tears_error.detail.  Appended only. */
enum {
    TEARS_SECRET_BAD_REFERENCE = 1,    /**< not `scheme://locator` (INVALID) */
    TEARS_SECRET_UNKNOWN_SCHEME = 2,   /**< nobody registered the scheme (UNSUPPORTED) */
    TEARS_SECRET_NOT_IMPLEMENTED = 3,  /**< a scheme that is known, and no more (UNSUPPORTED) */
    TEARS_SECRET_BAD_ENV_NAME = 4,     /**< the locator is no variable name (INVALID) */
    TEARS_SECRET_ENV_NOT_SET = 5,      /**< (NOT_FOUND) */
    TEARS_SECRET_LEAVES_DIRECTORY = 6, /**< absolute, "..", or a link out of it (DENIED) */
    TEARS_SECRET_NO_FILE = 7,          /**< (NOT_FOUND) */
    TEARS_SECRET_READ_FAILED = 8, /**< a directory, no permission, an I/O error (UNAVAILABLE) */
    TEARS_SECRET_NOT_UTF8 = 9,    /**< the value is not UTF-8 (CORRUPT) */
    TEARS_SECRET_TOO_LARGE = 10,  /**< more than TEARS_SECRET_BYTES_MAX (LIMIT) */
    TEARS_SECRET_BAD_SCHEME_NAME = 11, /**< registering (INVALID) */
    TEARS_SECRET_SCHEME_EXISTS = 12,   /**< registering (CONFLICT) */
    TEARS_SECRET_RESOLVER_FAILED = 13  /**< a registered scheme's function failed (its status) */
};

struct tears_secrets_options {
    size_t size;
    /**
     * Where `k8s://` paths begin.  Empty: the environment's THREETEARS_DATASOURCE_SECRETS_DIR, else
     * /var/run/secrets/3tears.
     */
    struct tears_str directory;
};

#define TEARS_SECRETS_OPTIONS_INIT TEARS_SIZED(struct tears_secrets_options)

/** Where a resolver puts the value: call once; the value is copied and may be wiped at once. */
struct tears_secret_sink {
    /** @return TEARS_OK, or a status that the resolver must return at once. */
    tears_status (*put)(void *owner, struct tears_str value);
    void *owner;
};

/**
 * Fetches the value for a locator of a registered scheme.  May block; may be called from several threads at once.
 * Its status is the status of the resolution; it has no way to add text, so that no driver's
 * message can carry the value.
 */
typedef tears_status (*tears_secret_fn)(void *owner, struct tears_str locator,
                                        const struct tears_secret_sink *sink);

/**
 * Makes a resolver with the built-in schemes.  The directory need not exist yet.
 * @param options      NULL: all defaults.
 * @param secrets_out  owned by the caller; end it with tears_secrets_free.
 * @return TEARS_OK, TEARS_INVALID (a directory with a NUL in it), TEARS_UNSUPPORTED (options from a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_secrets_new(const struct tears_secrets_options *options,
                                                       tears_secrets **secrets_out,
                                                       struct tears_error *error_out);

/** Ends a resolver.  NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_secrets_free(tears_secrets *secrets);

/**
 * Adds a scheme.  It stays until tears_secrets_free.
 * @param owner  passed to the function; must live as long as the resolver.
 * @return TEARS_OK, TEARS_INVALID (not the name of a scheme), TEARS_CONFLICT (it exists, built-in
 * ones included), TEARS_LIMIT (more than 64), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_secrets_register(tears_secrets *secrets,
                                                            struct tears_str scheme,
                                                            tears_secret_fn resolve, void *owner,
                                                            struct tears_error *error_out);

/**
 * Takes a reference apart.  Whether anyone knows the scheme is not asked.
 * @param scheme_out   points into `reference`.
 * @param locator_out  points into `reference`.
 * @return TEARS_OK, TEARS_INVALID.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_secret_parse(struct tears_str reference,
                                                        struct tears_str *scheme_out,
                                                        struct tears_str *locator_out,
                                                        struct tears_error *error_out);

/**
 * Whether a reference is well formed, its scheme known, and the name of an `env` variable one.
 * Looks at neither the environment nor files: for checking configuration at the start.
 * @return TEARS_OK, TEARS_INVALID, TEARS_UNSUPPORTED (unknown scheme; one that is known but not
 * implemented passes).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_secrets_check(tears_secrets *secrets,
                                                         struct tears_str reference,
                                                         struct tears_error *error_out);

/**
 * Fetches the value of a reference.
 *
 * @param value_out  marked secret; ended, and wiped, by tears_owned_text_free.
 * @return TEARS_OK, TEARS_INVALID (no reference, a bad variable name), TEARS_UNSUPPORTED (scheme), TEARS_NOT_FOUND (no such
 * variable or file), TEARS_DENIED (the path leaves the secrets directory), TEARS_UNAVAILABLE (the
 * file cannot be read), TEARS_CORRUPT (not UTF-8), TEARS_LIMIT (too large), TEARS_NO_MEMORY, or the status of a
 * registered resolver (TEARS_INTERNAL when it gave no value).
 * @thread any; nobody may change the environment meanwhile, as with getenv  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_secrets_resolve(tears_secrets *secrets,
                                                           struct tears_str reference,
                                                           struct tears_owned_text *value_out,
                                                           struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
