/**
 * @file jwks.h
 * Ed25519 keys: the private key that signs, the set of public keys (JWKS) that verifies, and a
 * provider that keeps such a set fresh.
 *
 * Source: spec platform.md sections 2.2.2, 2.2.5, 2.3 and 9.1 (S3, S5, S14, S15, S17).
 */
#ifndef TEARS_JWKS_H
#define TEARS_JWKS_H

#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TEARS_KEY_BYTES = 32,        /**< an Ed25519 seed, or a public key */
    TEARS_THUMBPRINT_BYTES = 44, /**< base64url of a SHA-256 without padding, and a NUL */
    TEARS_PURPOSES_ALL = 3       /**< every TEARS_PURPOSE_* */
};

/** What a public key may be used to verify.  Bits. */
enum {
    TEARS_PURPOSE_IDENTITY = 1, /**< identity tokens (token.h) */
    TEARS_PURPOSE_ASSERTION = 2 /**< proxy assertions (assertion.h) */
};

/**
 * Why a token, proof or assertion is not trusted: `detail` of the error that comes with
 * TEARS_DENIED or TEARS_NOT_FOUND.  Fixed numbers, appended only.
 */
enum {
    TEARS_TOKEN_MALFORMED = 1,       /**< not three strict base64url segments of JSON objects */
    TEARS_TOKEN_TOO_LARGE = 2,       /**< above 16 KiB */
    TEARS_TOKEN_WRONG_ALGORITHM = 3, /**< any `alg` but EdDSA */
    TEARS_TOKEN_WRONG_TYPE = 4,      /**< `typ` is that of another kind of token */
    TEARS_TOKEN_BAD_HEADER = 5,      /**< no `kid`, or a `crit` */
    TEARS_TOKEN_UNKNOWN_KEY = 6,     /**< no such `kid`; fresher keys may help */
    TEARS_TOKEN_WRONG_KEY = 7,       /**< the key is not for this purpose, or not the holder's */
    TEARS_TOKEN_BAD_SIGNATURE = 8,   /**< the signature is not the key's */
    TEARS_TOKEN_MISSING_CLAIM = 9,   /**< a required claim is absent or null */
    TEARS_TOKEN_BAD_CLAIM = 10,      /**< a claim of the wrong type, or empty */
    TEARS_TOKEN_NOT_YET_VALID = 11,  /**< `iat` or `nbf` lies in the future */
    TEARS_TOKEN_EXPIRED = 12,        /**< `exp` has passed, or the proof's `iat` is too old */
    TEARS_TOKEN_WRONG_ISSUER = 13,   /**< `iss` */
    TEARS_TOKEN_WRONG_AUDIENCE = 14, /**< `aud` */
    TEARS_TOKEN_OTHER_BODY = 15,     /**< `bh` is the hash of another call */
    TEARS_TOKEN_OTHER_TOKEN = 16     /**< `ath` is the hash of another token */
};

/* ---- private keys ---- */

/** An Ed25519 private key.  Immutable; wiped at its end. */
typedef struct tears_signing_key tears_signing_key;

/**
 * Makes a key of a raw seed.
 * @param seed    32 bytes; not kept, and the caller's to wipe.
 * @param key_out owned by the caller; end it with tears_signing_key_free.
 * @return TEARS_OK, TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_signing_key_new(const uint8_t seed[TEARS_KEY_BYTES],
                                                           tears_signing_key **key_out,
                                                           struct tears_error *error_out);

/**
 * Makes a key of a seed as secrets are kept: base64 in either alphabet, padded or not, with blanks
 * around it; exactly 32 bytes.  Nothing else is forgiven.
 * @return TEARS_OK, TEARS_INVALID (the message repeats nothing of the text), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_signing_key_parse(struct tears_str secret,
                                                             tears_signing_key **key_out,
                                                             struct tears_error *error_out);

/**
 * Makes a key of what a file of one holds: PEM (`BEGIN PRIVATE KEY`, as OpenSSL, Python and Go write
 * Ed25519 keys without a password), a private JWK (RFC 8037), or a seed as tears_signing_key_parse
 * reads it.
 * @return TEARS_OK, TEARS_INVALID (none of these, another kind of key, or a JWK whose `x` is not the
 * public half of its `d`; the message repeats nothing of the text), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_signing_key_read(struct tears_str text,
                                                            tears_signing_key **key_out,
                                                            struct tears_error *error_out);

/**
 * Reads a public key: PEM (`BEGIN PUBLIC KEY`) or a public JWK.
 * @return TEARS_OK, TEARS_INVALID (neither, another kind of key, or a JWK with a private `d`).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_public_key_read(struct tears_str text,
                                                           uint8_t public_out[TEARS_KEY_BYTES],
                                                           struct tears_error *error_out);

/** The public half.  @thread any  @since 0.1 */
TEARS_API void tears_signing_key_public(const tears_signing_key *key,
                                        uint8_t public_out[TEARS_KEY_BYTES]);

/** Ends a key and wipes it.  NULL is accepted.  @thread any, when nobody uses it any more  @since
 * 0.1 */
TEARS_API void tears_signing_key_free(tears_signing_key *key);

/**
 * The RFC 7638 thumbprint of an Ed25519 public key: 43 characters, NUL-terminated.
 * @thread any  @since 0.1
 */
TEARS_API void tears_jwk_thumbprint(const uint8_t public_key[TEARS_KEY_BYTES],
                                    char thumbprint_out[TEARS_THUMBPRINT_BYTES]);

/* ---- key sets ---- */

/** A parsed set of public keys.  Immutable and counted: the provider and its readers share one. */
typedef struct tears_jwks tears_jwks;

/** A key that the operator vouches for, whatever a document says about it. */
struct tears_jwks_pin {
    struct tears_str thumbprint; /**< RFC 7638, 43 characters */
    uint64_t purposes;           /**< TEARS_PURPOSE_* bits */
};

/** How to read a key set.  Start from TEARS_JWKS_OPTIONS_INIT. */
struct tears_jwks_options {
    size_t size;
    /**
     * What a key without a `purpose` member and without a pin may verify; 0: everything, as the
     * Python package has it.  TEARS_PURPOSE_IDENTITY keeps an untagged proxy key from assertions.
     */
    uint64_t untagged_purposes;
    const struct tears_jwks_pin *pins; /**< borrowed */
    size_t pin_count;
    uint64_t pinned_only; /**< 1: keys without a pin are refused, so the transport needs no trust */
};

#define TEARS_JWKS_OPTIONS_INIT TEARS_SIZED(struct tears_jwks_options)

/**
 * Reads `{"keys":[...]}`.  An entry is taken when it is an Ed25519 public key (`kty` OKP, strict
 * `x`, `use` absent or "sig", `alg` absent or "EdDSA", no private `d`) with a `kid`; all others are
 * skipped and counted, and so are both entries when two different keys have one `kid`.  A member
 * `purpose` ("identity", "assertion") restricts a key; any other purpose makes it useless here.
 *
 * @param options  NULL: the defaults.
 * @param jwks_out owned by the caller; end it with tears_jwks_free.  May be empty if `keys` was.
 * @return TEARS_OK, TEARS_INVALID (not such a document, or it has entries and none is a usable key),
 * TEARS_LIMIT (above 1 MiB, 1,024 keys, or 64 levels), TEARS_UNSUPPORTED (options of a newer
 * header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_parse(struct tears_str document,
                                                      const struct tears_jwks_options *options,
                                                      tears_jwks **jwks_out,
                                                      struct tears_error *error_out);

/** One key of a set.  Borrowed from it. */
struct tears_jwk {
    struct tears_str kid;
    uint8_t public_key[TEARS_KEY_BYTES];
    uint64_t purposes; /**< TEARS_PURPOSE_* bits */
};

/** The number of usable keys.  @thread any  @since 0.1 */
TEARS_API size_t tears_jwks_count(const tears_jwks *jwks);

/** The number of entries that were skipped.  @thread any  @since 0.1 */
TEARS_API size_t tears_jwks_skipped(const tears_jwks *jwks);

/** The key at `index`, in the document's order; `index` below tears_jwks_count.  @thread any
 * @since 0.1 */
TEARS_API struct tears_jwk tears_jwks_at(const tears_jwks *jwks, size_t index);

/** The key named `kid` (compared exactly).  @return TEARS_OK or TEARS_NOT_FOUND.  @thread any
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_find(const tears_jwks *jwks, struct tears_str kid,
                                                     struct tears_jwk *jwk_out);

/** Gives the set back; the last one who does ends it.  NULL is accepted.  @thread any  @since 0.1
 */
TEARS_API void tears_jwks_free(tears_jwks *jwks);

/**
 * Writes `{"keys":[...]}` as the Python package does.  `purposes` other than 0 and
 * TEARS_PURPOSES_ALL adds the member `purpose`, which Python ignores.
 * @return TEARS_OK, TEARS_INVALID (an empty `kid`, one that is not UTF-8, or one given twice),
 * TEARS_LIMIT, TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_build(const struct tears_jwk *keys, size_t count,
                                                      struct tears_owned_text *document_out,
                                                      struct tears_error *error_out);

/* ---- the provider ---- */

/** Keeps a key set fresh.  Reading it does no I/O. */
typedef struct tears_jwks_provider tears_jwks_provider;

/**
 * Fetches the document from wherever it is published, in bounded time; called by one thread at a
 * time.  Fills `*document_out` (tears_owned_text_copy) on TEARS_OK; any other status means that
 * the fetch failed.
 */
typedef tears_status (*tears_jwks_fetch_fn)(void *owner, struct tears_owned_text *document_out);

/** How a provider works.  Zero means the default.  Start from TEARS_JWKS_PROVIDER_OPTIONS_INIT. */
struct tears_jwks_provider_options {
    size_t size;
    tears_jwks_fetch_fn fetch; /**< required */
    void *fetch_owner;
    uint64_t refresh_ms;      /**< between refreshes once warm; 0: 300,000 */
    uint64_t retry_ms;        /**< between refreshes until warm; 0: 2,000 */
    uint64_t reactive_ms_min; /**< between two reactive refreshes; 0: 5,000 */
    uint64_t age_ms_max;      /**< keys older than this are not given out any more, so a
                                            revoked key cannot live for ever; 0: a day */
    const struct tears_jwks_options *reading; /**< NULL: the defaults; outlives the provider */
};

#define TEARS_JWKS_PROVIDER_OPTIONS_INIT TEARS_SIZED(struct tears_jwks_provider_options)

/** What a provider has seen. */
struct tears_jwks_provider_stats {
    size_t size;
    uint64_t refreshes; /**< fetches tried */
    uint64_t failures;  /**< fetches that failed, or whose document could not be used */
    uint64_t skipped;   /**< entries skipped in the set that is held */
    uint64_t keys;      /**< keys in the set that is held */
    uint64_t age_ms;    /**< since that set was fetched; 0 before the first */
    uint64_t is_warm;   /**< 1: a set with keys was fetched */
};

#define TEARS_JWKS_PROVIDER_STATS_INIT TEARS_SIZED(struct tears_jwks_provider_stats)

/**
 * Makes a provider; nothing is fetched yet.
 * @param options      its `fetch_owner` and `reading` must outlive the provider.
 * @param provider_out owned by the caller; end it with tears_jwks_provider_free.
 * @return TEARS_OK, TEARS_INVALID (no fetch function), TEARS_UNSUPPORTED (options of a newer
 * header), TEARS_NO_MEMORY.  @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_jwks_provider_new(const struct tears_jwks_provider_options *options,
                        tears_jwks_provider **provider_out, struct tears_error *error_out);

/**
 * Starts a thread that refreshes at once and then at the intervals of the options.  Without it the
 * program calls tears_jwks_provider_refresh itself.
 * @return TEARS_OK (also when it runs already), TEARS_UNAVAILABLE (no thread can be started).
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_provider_start(tears_jwks_provider *provider,
                                                               struct tears_error *error_out);

/**
 * Fetches the document now.  If that fails, or the document is unusable, the set held so far stays;
 * a document without keys changes nothing either.
 * @return TEARS_OK, TEARS_UNAVAILABLE (the fetch failed), TEARS_INVALID or TEARS_LIMIT (the
 * document is unusable), TEARS_NOT_FOUND (it has no keys), TEARS_NO_MEMORY.
 * @thread any; a caller that finds a fetch on its way waits for that one first  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_provider_refresh(tears_jwks_provider *provider,
                                                                 struct tears_error *error_out);

/**
 * What a verifier calls when it meets an unknown `kid`: refreshes unless that was done this way
 * less than `reactive_ms_min` ago.  Any number of callers at once make one fetch.
 * @return true for the one caller that fetched (whether or not that succeeded); the others need not
 * look again unless the set has changed.  @thread any  @since 0.1
 */
TEARS_API bool tears_jwks_provider_refresh_reactively(tears_jwks_provider *provider);

/**
 * The set held now.
 * @param jwks_out owned by the caller; end it with tears_jwks_free.  Stays as it is when the
 * provider gets a newer one.
 * @return TEARS_OK, TEARS_UNAVAILABLE (nothing was ever fetched, or what was is older than
 * `age_ms_max`).  @thread any; no I/O  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_jwks_provider_take(tears_jwks_provider *provider,
                                                              tears_jwks **jwks_out,
                                                              struct tears_error *error_out);

/** Reads the counters.  `stats_out->size` must be set.  @thread any  @since 0.1 */
TEARS_API void tears_jwks_provider_stats(tears_jwks_provider *provider,
                                         struct tears_jwks_provider_stats *stats_out);

/** Ends a provider; waits for a fetch on its way.  NULL is accepted.  @thread setup  @since 0.1 */
TEARS_API void tears_jwks_provider_free(tears_jwks_provider *provider);

#ifdef __cplusplus
}
#endif
#endif
