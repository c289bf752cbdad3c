/*
 * jws.c -- compact JWS with Ed25519: taking apart, verifying, the claims all kinds share, signing.
 *
 * Owns:     the decoded text of one token while it is looked at.
 * Must not know: what a kind of token is for.
 * Threads:  any; one at a time on one token.
 * Fails:    TEARS_DENIED with a TEARS_TOKEN_* for whatever a stranger can send.
 * Begin at: t3_jws_read().
 *
 * Nothing of the payload is looked at before the signature is verified; the header, which must be,
 * is small, flat in its effect and read by a reader without recursion.
 */
#include "security/jws.h"

#include "base/clock.h"
#include "base/fail.h"
#include "base/limits.h"
#include "base/owned_text.h"
#include "base/str.h"
#include "codec/text.h"
#include "security/jwks_impl.h"

#include <openssl/err.h>

static const char origin[] = "token";

enum { LEEWAY_SECONDS_MAX = 3600 };
#define NOW_MAX ((int64_t)1 << 48) /* seconds: millions of years, and no sum overflows */

tears_status t3_token_deny(struct tears_error *error_out, int32_t reason, const char *what)
{
    return t3_fail_detail(error_out, TEARS_DENIED, origin, reason, "", "%s", what);
}

/* ---- taking apart -------------------------------------------------------------------------------
 */

struct segments {
    struct tears_str header;
    struct tears_str payload;
    struct tears_str signature;
};

static bool split(struct tears_str token, struct segments *segments)
{
    const char *first = token.len > 0 ? memchr(token.ptr, '.', token.len) : NULL;
    if (first == NULL)
        return false;
    const size_t header_len = (size_t)(first - token.ptr);
    const struct tears_str rest = t3_str_from(token, header_len + 1);
    const char *second = rest.len > 0 ? memchr(rest.ptr, '.', rest.len) : NULL;
    if (second == NULL)
        return false;
    const size_t payload_len = (size_t)(second - rest.ptr);
    segments->header = tears_str_n(token.ptr, header_len);
    segments->payload = tears_str_n(rest.ptr, payload_len);
    segments->signature = t3_str_from(rest, payload_len + 1); /* a third dot is no digit */
    return true;
}

/* Decodes one segment behind what is decoded already; there is room. */
static bool decode(struct tears_str segment, struct t3_buf *decoded, struct tears_str *out)
{
    char *const to = decoded->ptr + decoded->len;
    const size_t len = t3_base64url_parse_to(segment, to);
    if (len == SIZE_MAX)
        return false;
    decoded->len += len;
    *out = tears_str_n(to, len);
    return true;
}

static bool decode_signature(struct tears_str segment, uint8_t signature_out[T3_SIGNATURE_BYTES])
{
    char bytes[T3_SIGNATURE_BYTES + 24];
    if (segment.len != (T3_SIGNATURE_BYTES * 8 + 5) / 6 ||
        t3_base64url_parse_to(segment, bytes) != T3_SIGNATURE_BYTES)
        return false;
    memcpy(signature_out, bytes, T3_SIGNATURE_BYTES);
    return true;
}

static tears_status check_header(struct t3_jws *jws, const char *typ, struct tears_error *error_out)
{
    struct t3_member members[] = {
        {.name = "alg"}, {.name = "typ"}, {.name = "crit"}, {.name = "kid"}, {.name = "jwk"}};
    enum { ALG, TYP, CRIT, KID, JWK };
    if (t3_members_read(jws->header, members, T3_COUNT(members)) != TEARS_OK)
        return t3_token_deny(error_out, TEARS_TOKEN_MALFORMED, "the token's header is malformed");
    if (!t3_member_is(&members[ALG], TEARS_STR("EdDSA")))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_ALGORITHM,
                             "the token's algorithm is not EdDSA");
    if (!t3_member_is(&members[TYP], tears_str_c(typ)))
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_TYPE, "the token is of another type");
    if (members[CRIT].present) /* extensions that must be understood; there is none that we do */
        return t3_token_deny(error_out, TEARS_TOKEN_BAD_HEADER,
                             "the token's header demands an extension");
    jws->kid = members[KID];
    jws->jwk = members[JWK];
    return TEARS_OK;
}

tears_status t3_jws_read(struct tears_str token, const char *typ, struct t3_jws *jws,
                         struct tears_error *error_out)
{
    struct segments segments;
    if (token.len > T3_TOKEN_BYTES_MAX)
        return t3_token_deny(error_out, TEARS_TOKEN_TOO_LARGE, "the token is too large");
    if (!split(token, &segments) || !decode_signature(segments.signature, jws->signature))
        return t3_token_deny(error_out, TEARS_TOKEN_MALFORMED, "the token is malformed");
    if (t3_buf_reserve(&jws->decoded, token.len) != TEARS_OK ||
        t3_buf_reserve(&jws->texts, token.len) != TEARS_OK)
        return t3_fail_memory(error_out, origin);
    if (!decode(segments.header, &jws->decoded, &jws->header) ||
        !decode(segments.payload, &jws->decoded, &jws->payload))
        return t3_token_deny(error_out, TEARS_TOKEN_MALFORMED, "the token is malformed");
    jws->signed_text = tears_str_n(token.ptr, segments.header.len + 1 + segments.payload.len);
    return check_header(jws, typ, error_out);
}

void t3_jws_done(struct t3_jws *jws)
{
    t3_buf_done(&jws->decoded);
    t3_buf_done(&jws->texts);
}

/* ---- verifying ----------------------------------------------------------------------------------
 */

tears_status t3_jws_verify(const struct t3_jws *jws, EVP_PKEY *key, struct tears_error *error_out)
{
    bool is_signed = false;
    ERR_set_mark(); /* what OpenSSL says about a stranger's signature is not the program's error */
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_ready =
        context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1;
    if (is_ready)
        is_signed = EVP_DigestVerify(context, jws->signature, sizeof jws->signature,
                                     (const unsigned char *)jws->signed_text.ptr,
                                     jws->signed_text.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_pop_to_mark();
    if (!is_ready)
        return t3_fail_memory(error_out, origin);
    if (!is_signed)
        return t3_token_deny(error_out, TEARS_TOKEN_BAD_SIGNATURE,
                             "the token's signature is not that of its key");
    return TEARS_OK;
}

tears_status t3_jws_verify_with(struct t3_jws *jws, const tears_jwks *jwks, uint64_t purpose,
                                struct tears_error *error_out)
{
    if (!jws->kid.present || jws->kid.value.kind != T3_JSON_STRING || jws->kid.value.text.len == 0)
        return t3_token_deny(error_out, TEARS_TOKEN_BAD_HEADER, "the token names no key");
    const struct t3_jwks_key *key = t3_jwks_lookup(jwks, t3_member_text(&jws->kid, &jws->texts));
    if (key == NULL)
        return t3_fail_detail(error_out, TEARS_NOT_FOUND, origin, TEARS_TOKEN_UNKNOWN_KEY, "",
                              "the token's key is not in the key set");
    if ((key->jwk.purposes & purpose) == 0)
        return t3_token_deny(error_out, TEARS_TOKEN_WRONG_KEY,
                             "the token's key is for another purpose");
    return t3_jws_verify(jws, key->pkey, error_out);
}

/* ---- claims -------------------------------------------------------------------------------------
 */

static tears_status deny_claim(struct tears_error *error_out, int32_t reason, const char *name,
                               const char *what)
{
    return t3_fail_detail(error_out, TEARS_DENIED, origin, reason, "", "the token's claim '%s' %s",
                          name, what);
}

tears_status t3_claims_read(const struct t3_jws *jws, struct t3_member *claims, size_t count,
                            uint32_t required, struct tears_error *error_out)
{
    if (t3_members_read(jws->payload, claims, count) != TEARS_OK)
        return t3_token_deny(error_out, TEARS_TOKEN_MALFORMED, "the token's claims are malformed");
    for (size_t i = 0; i < count; i++)
        if ((required & T3_CLAIM_BIT(i)) != 0 && !t3_member_is_set(&claims[i]))
            return deny_claim(error_out, TEARS_TOKEN_MISSING_CLAIM, claims[i].name, "is missing");
    const struct t3_member *jti = &claims[T3_CLAIM_JTI];
    if (jti->present && jti->value.kind != T3_JSON_STRING)
        return deny_claim(error_out, TEARS_TOKEN_BAD_CLAIM, jti->name, "is no text");
    return TEARS_OK;
}

tears_status t3_moment_of(int64_t now, uint64_t leeway_seconds, struct t3_moment *moment_out,
                          struct tears_error *error_out)
{
    if (leeway_seconds > LEEWAY_SECONDS_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin, "a leeway is at most %d seconds",
                       LEEWAY_SECONDS_MAX);
    if (now < 0 || now > NOW_MAX)
        return t3_fail(error_out, TEARS_INVALID, origin, "the time %lld is out of range",
                       (long long)now);
    moment_out->now = now != 0 ? now : t3_calendar_us() / 1000000;
    moment_out->leeway = (int64_t)leeway_seconds;
    return TEARS_OK;
}

/* A claim that is whole seconds, if it is there at all. */
static tears_status read_time(const struct t3_member *claim, int64_t *seconds_out,
                              struct tears_error *error_out)
{
    if (claim->present && !t3_member_integer(claim, seconds_out))
        return deny_claim(error_out, TEARS_TOKEN_BAD_CLAIM, claim->name, "is no whole number");
    return TEARS_OK;
}

tears_status t3_claims_check_times(const struct t3_member *claims, struct t3_moment moment,
                                   struct t3_claim_times *times_out, struct tears_error *error_out)
{
    struct t3_claim_times times = {.issued_at = 0, .expires_at = INT64_MAX};
    int64_t not_before = INT64_MIN;
    T3_TRY(read_time(&claims[T3_CLAIM_IAT], &times.issued_at, error_out));
    T3_TRY(read_time(&claims[T3_CLAIM_NBF], &not_before, error_out));
    T3_TRY(read_time(&claims[T3_CLAIM_EXP], &times.expires_at, error_out));
    if (times.issued_at > moment.now + moment.leeway || not_before > moment.now + moment.leeway)
        return t3_token_deny(error_out, TEARS_TOKEN_NOT_YET_VALID, "the token is not valid yet");
    if (times.expires_at <= moment.now - moment.leeway)
        return t3_token_deny(error_out, TEARS_TOKEN_EXPIRED, "the token has expired");
    *times_out = times;
    return TEARS_OK;
}

tears_status t3_claim_text(const struct t3_member *claim, struct t3_jws *jws,
                           struct tears_str *text_out, struct tears_error *error_out)
{
    if (!claim->present || claim->value.kind != T3_JSON_STRING || claim->value.text.len == 0)
        return deny_claim(error_out, TEARS_TOKEN_BAD_CLAIM, claim->name, "is empty or no text");
    *text_out = t3_member_text(claim, &jws->texts);
    return TEARS_OK;
}

tears_status t3_claim_text_if_set(const struct t3_member *claim, struct t3_jws *jws,
                                  struct tears_str *text_out, struct tears_error *error_out)
{
    *text_out = TEARS_STR("");
    return t3_member_is_set(claim) ? t3_claim_text(claim, jws, text_out, error_out) : TEARS_OK;
}

/* ---- signing ------------------------------------------------------------------------------------
 */

tears_status t3_jws_put_header(struct t3_buf *out, struct tears_str kid)
{
    T3_TRY(t3_buf_put(out, TEARS_STR("{\"alg\":\"EdDSA\",\"kid\":")));
    T3_TRY(t3_json_put_string(out, kid));
    return t3_buf_put(out, TEARS_STR(",\"typ\":\"JWT\"}"));
}

static tears_status put_name(struct t3_buf *out, const char *name)
{
    const char *comma = out->len > 0 && out->ptr[out->len - 1] != '{' ? "," : "";
    return t3_buf_printf(out, "%s\"%s\":", comma, name);
}

tears_status t3_claim_put(struct t3_buf *out, const char *name, struct tears_str text)
{
    T3_TRY(put_name(out, name));
    return t3_json_put_string(out, text);
}

tears_status t3_claim_put_integer(struct t3_buf *out, const char *name, int64_t number)
{
    char digits[T3_INT_TEXT_MAX];
    T3_TRY(put_name(out, name));
    return t3_buf_put(out, tears_str_n(digits, t3_int_text(number, digits)));
}

tears_status t3_claims_unwritable(tears_status status, struct tears_error *error_out)
{
    if (status == TEARS_INVALID)
        return t3_fail(error_out, status, origin, "a token's text must be UTF-8");
    if (status == TEARS_LIMIT)
        return t3_fail(error_out, status, origin, "a token is at most %d bytes",
                       T3_TOKEN_BYTES_MAX);
    return t3_fail_memory(error_out, origin);
}

static tears_status sign(const tears_signing_key *key, struct tears_str text,
                         uint8_t signature_out[T3_SIGNATURE_BYTES])
{
    size_t len = T3_SIGNATURE_BYTES;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_signed =
        context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
        EVP_DigestSign(context, signature_out, &len, (const unsigned char *)text.ptr, text.len) ==
            1;
    EVP_MD_CTX_free(context);
    return is_signed ? TEARS_OK : TEARS_NO_MEMORY; /* there is no other reason to fail */
}

static tears_status put_signed(const tears_signing_key *key, struct tears_str header,
                               struct tears_str payload, struct t3_buf *token)
{
    uint8_t signature[T3_SIGNATURE_BYTES];
    T3_TRY(t3_base64url_put(token, header));
    T3_TRY(t3_buf_put_char(token, '.'));
    T3_TRY(t3_base64url_put(token, payload));
    T3_TRY(sign(key, t3_buf_str(token), signature));
    T3_TRY(t3_buf_put_char(token, '.'));
    return t3_base64url_put(token, tears_str_n((const char *)signature, sizeof signature));
}

tears_status t3_jws_sign(const tears_signing_key *key, struct tears_str header,
                         struct tears_str payload, struct tears_owned_text *token_out,
                         struct tears_error *error_out)
{
    T3_AUTO(t3_buf_done) struct t3_buf token = {0};
    tears_status status = put_signed(key, header, payload, &token);
    if (status == TEARS_OK && token.len > T3_TOKEN_BYTES_MAX)
        status = TEARS_LIMIT; /* nobody would read it */
    if (status == TEARS_OK)
        status = t3_owned_text_take(&token, false, token_out);
    return status == TEARS_OK ? TEARS_OK : t3_claims_unwritable(status, error_out);
}
