/*
 * jws.h -- the compact JWS that tokens, proofs and assertions share: EdDSA (Ed25519), nothing else.
 *
 * There is no parameter for an algorithm anywhere: a token cannot choose how it is verified.
 */
#ifndef T3_SECURITY_JWS_H
#define T3_SECURITY_JWS_H

#include "security/jose.h"
#include "security/key.h"

enum { T3_SIGNATURE_BYTES = 64 };

/* Claims that every kind's table starts with; its own follow. */
enum { T3_CLAIM_IAT, T3_CLAIM_EXP, T3_CLAIM_NBF, T3_CLAIM_AUD, T3_CLAIM_JTI, T3_CLAIMS_COMMON };
#define T3_COMMON_CLAIMS                                                \
    {.name = "iat"}, {.name = "exp"}, {.name = "nbf"}, {.name = "aud"}, \
    {                                                                   \
        .name = "jti"                                                   \
    }
#define T3_CLAIM_BIT(claim) ((uint32_t)1 << (claim))

/* Zero is none; ended by t3_jws_done. */
struct t3_jws {
    struct tears_str signed_text; /* header and payload as they came */
    struct tears_str header;      /* JSON text */
    struct tears_str payload;     /* JSON text, to be looked at only after t3_jws_verify */
    struct t3_buf decoded;        /* holds header and payload */
    struct t3_buf texts;          /* has room for every string of both */
    uint8_t signature[T3_SIGNATURE_BYTES];
    struct t3_member kid;
    struct t3_member jwk;
};

/* Not to be trusted, because of `reason` (TEARS_TOKEN_*); `what` repeats nothing of the token. */
tears_status t3_token_deny(struct tears_error *error_out, int32_t reason, const char *what);

/*
 * Takes a token apart and checks its form and its header: `alg`, `typ` (exactly this one), no
 * `crit`.  TEARS_DENIED, TEARS_NO_MEMORY.
 */
tears_status t3_jws_read(struct tears_str token, const char *typ, struct t3_jws *jws,
                         struct tears_error *error_out);

/* Finds the key that the header's `kid` names, for this purpose, and verifies the signature.
 * TEARS_DENIED, TEARS_NOT_FOUND. */
tears_status t3_jws_verify_with(struct t3_jws *jws, const tears_jwks *jwks, uint64_t purpose,
                                struct tears_error *error_out);

/* Verifies the signature under one key.  TEARS_DENIED, TEARS_NO_MEMORY. */
tears_status t3_jws_verify(const struct t3_jws *jws, EVP_PKEY *key, struct tears_error *error_out);

/*
 * Reads the claims of a verified payload: the common ones and a kind's own.  `required` has the bit
 * of every claim that must be there and not null.  TEARS_DENIED.
 */
tears_status t3_claims_read(const struct t3_jws *jws, struct t3_member *claims, size_t count,
                            uint32_t required, struct tears_error *error_out);

/* When a token is looked at. */
struct t3_moment {
    int64_t now;
    int64_t leeway;
};

/* `now` 0 is the system's clock; a leeway above an hour is TEARS_INVALID. */
tears_status t3_moment_of(int64_t now, uint64_t leeway_seconds, struct t3_moment *moment_out,
                          struct tears_error *error_out);

/* The times of a token; an absent one is 0 or INT64_MAX. */
struct t3_claim_times {
    int64_t issued_at;
    int64_t expires_at;
};

/* iat and nbf not in the future, exp not passed, all of them whole seconds.  TEARS_DENIED. */
tears_status t3_claims_check_times(const struct t3_member *claims, struct t3_moment moment,
                                   struct t3_claim_times *times_out, struct tears_error *error_out);

/* A claim that must be text and not empty.  TEARS_DENIED. */
tears_status t3_claim_text(const struct t3_member *claim, struct t3_jws *jws,
                           struct tears_str *text_out, struct tears_error *error_out);

/* The same for one that may be absent or null: empty text then. */
tears_status t3_claim_text_if_set(const struct t3_member *claim, struct t3_jws *jws,
                                  struct tears_str *text_out, struct tears_error *error_out);

/* Signs: base64url(header).base64url(payload).base64url(signature).  TEARS_LIMIT, TEARS_NO_MEMORY.
 */
tears_status t3_jws_sign(const tears_signing_key *key, struct tears_str header,
                         struct tears_str payload, struct tears_owned_text *token_out,
                         struct tears_error *error_out);

/* Appends {"alg":"EdDSA","kid":...,"typ":"JWT"}.  TEARS_INVALID: not UTF-8. */
tears_status t3_jws_put_header(struct t3_buf *out, struct tears_str kid);

/* Appends a claim, and a comma before it unless it is the first.  TEARS_INVALID: not UTF-8. */
tears_status t3_claim_put(struct t3_buf *out, const char *name, struct tears_str text);
tears_status t3_claim_put_integer(struct t3_buf *out, const char *name, int64_t number);

/* Says what a failure of those means. */
tears_status t3_claims_unwritable(tears_status status, struct tears_error *error_out);

void t3_jws_done(struct t3_jws *jws);

#endif
