/*
 * test_corpora.c -- generated corpora, after the manner of Wycheproof: of everything near a good token, proof, assertion or
 * sealed text, nothing is believed.
 */
#include "base/buf.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <tears/assertion.h>
#include <tears/pop.h>
#include <tears/seal.h>
#include <tears/token.h>

#include <cmocka.h>

#define NOW        1700000000
#define THUMBPRINT "1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y"
#define X          "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"

static tears_signing_key *key;
static tears_jwks *jwks;
static tears_keyring *keyring;

/* ---- the kinds ---- */

static tears_status believe_token(struct tears_str text, struct tears_error *error)
{
    struct tears_token_policy policy = TEARS_TOKEN_POLICY_INIT;
    struct tears_verified_identity verified = {.text = TEARS_OWNED_TEXT_INIT};
    policy.issuer = TEARS_STR("hub");
    policy.now = NOW;
    const tears_status status = tears_token_verify(text, jwks, &policy, &verified, error);
    tears_owned_text_free(&verified.text);
    return status;
}

static tears_status believe_proof(struct tears_str text, struct tears_error *error)
{
    struct tears_pop_policy policy = TEARS_POP_POLICY_INIT;
    struct tears_owned_text nonce = TEARS_OWNED_TEXT_INIT;
    policy.thumbprint = TEARS_STR(THUMBPRINT);
    policy.access_token_hash = TEARS_STR("ATH");
    policy.body_hash = TEARS_STR("BH");
    policy.now = NOW;
    const tears_status status = tears_pop_verify(text, &policy, &nonce, error);
    tears_owned_text_free(&nonce);
    return status;
}

static tears_status believe_assertion(struct tears_str text, struct tears_error *error)
{
    struct tears_assertion_policy policy = TEARS_ASSERTION_POLICY_INIT;
    struct tears_verified_assertion verified = {.text = TEARS_OWNED_TEXT_INIT};
    policy.pod_id = TEARS_STR("pod-1");
    policy.body_hash = TEARS_STR("BH");
    policy.now = NOW;
    const tears_status status = tears_assertion_verify(text, jwks, &policy, &verified, error);
    tears_owned_text_free(&verified.text);
    return status;
}

static tears_status open_sealed(struct tears_str text, struct tears_error *error)
{
    struct tears_owned_text plain = TEARS_OWNED_TEXT_INIT;
    const tears_status status = tears_keyring_open(keyring, text, TEARS_STR("c"), &plain, error);
    tears_owned_text_free(&plain);
    return status;
}

struct kind {
    const char *name;
    const char *header;
    const char *claims;
    tears_status (*believe)(struct tears_str text, struct tears_error *error);
};

static const struct kind kinds[] = {
    {"token", "{\"alg\":\"EdDSA\",\"kid\":\"K\",\"typ\":\"JWT\"}",
     "{\"iss\":\"hub\",\"sub\":\"a\",\"customer_id\":\"c\",\"sid\":\"s\",\"pod_id\":\"p\","
     "\"iat\":1700000000,\"exp\":4102444800,\"user_id\":\"u\"}",
     believe_token},
    {"proof",
     "{\"alg\":\"EdDSA\",\"jwk\":{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" X
     "\"},\"typ\":\"pop+jwt\"}",
     "{\"ath\":\"ATH\",\"bh\":\"BH\",\"jti\":\"N\",\"iat\":1700000000}", believe_proof},
    {"assertion", "{\"alg\":\"EdDSA\",\"kid\":\"K\",\"typ\":\"JWT\"}",
     "{\"iss\":\"registry\",\"aud\":\"pod-1\",\"sub\":\"ag\",\"customer_id\":\"cu\",\"bh\":\"BH\","
     "\"jti\":\"N\",\"iat\":1700000000,\"exp\":1700000030}",
     believe_assertion},
};

static const char *good(const struct kind *kind)
{
    static char text[TOKEN_TEXT_MAX];
    struct tears_error error = {.status = TEARS_OK};
    sign_text(key, kind->header, kind->claims, text);
    assert_int_equal(kind->believe(tears_str_c(text), &error), TEARS_OK);
    return text;
}

/* Refused with a typed reason, and without a word of it in the message. */
static void refuse(const struct kind *kind, struct tears_str text)
{
    struct tears_error error = {.status = TEARS_OK};
    const tears_status status = kind->believe(text, &error);
    if (status != TEARS_DENIED && status != TEARS_NOT_FOUND)
        fail_msg("%s: %s for %.*s", kind->name, tears_status_name(status), (int)text.len, text.ptr);
    assert_true(error.detail > 0 && error.message[0] != '\0');
}

static int set_up(void **state)
{
    (void)state;
    const struct tears_seal_secret secret = {
        .id = 7, .master_key = TEARS_STR("a master key of some length")};
    key = test_key(0);
    jwks = test_jwks(key, "K", TEARS_PURPOSES_ALL);
    return tears_keyring_new(&secret, 1, &keyring, NULL) == TEARS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tears_keyring_free(keyring);
    tears_jwks_free(jwks);
    tears_signing_key_free(key);
    return 0;
}

/* ---- damage ---- */

/* Every cut, every flipped bit, every character left out, doubled, or put in. */
static void damage(const struct kind *kind, const char *text)
{
    static const char extra[] = "=.\n A-\0/+";
    char other[TOKEN_TEXT_MAX];
    const size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        refuse(kind, tears_str_n(text, i));
        memcpy(other, text, len);
        for (unsigned bit = 0; bit < 8; bit++) {
            other[i] = (char)((unsigned char)text[i] ^ 1u << bit);
            refuse(kind, tears_str_n(other, len));
        }
        memcpy(other, text, i);
        memcpy(other + i, text + i + 1, len - i - 1);
        refuse(kind, tears_str_n(other, len - 1));
        memcpy(other + i + 1, text + i, len - i);
        other[i] = extra[i % (sizeof extra - 1)];
        refuse(kind, tears_str_n(other, len + 1));
    }
}

static void nothing_near_a_signed_text_is_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < T3_COUNT(kinds); i++)
        damage(&kinds[i], good(&kinds[i]));
}

static void nothing_near_a_sealed_text_opens(void **state)
{
    (void)state;
    struct tears_owned_text token = TEARS_OWNED_TEXT_INIT;
    char other[512];
    assert_int_equal(
        tears_keyring_seal(keyring, TEARS_STR("plaintext"), TEARS_STR("c"), &token, NULL),
        TEARS_OK);
    for (size_t i = 0; i < token.len; i++) {
        struct tears_error error;
        assert_int_not_equal(open_sealed(tears_str_n(token.ptr, i), &error), TEARS_OK);
        memcpy(other, token.ptr, token.len);
        for (unsigned bit = 0; bit < 8; bit++) {
            other[i] = (char)((unsigned char)token.ptr[i] ^ 1u << bit);
            assert_int_not_equal(open_sealed(tears_str_n(other, token.len), &error), TEARS_OK);
            assert_null(strstr(error.message, "plaintext"));
        }
    }
    assert_int_equal(open_sealed(tears_owned_text_str(&token), NULL), TEARS_OK);
    tears_owned_text_free(&token);
}

/* ---- other spellings ---- */

/* The last character of each segment has bits that mean nothing: one of its spellings is right. */
static void every_segment_has_one_last_character(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < T3_COUNT(kinds); i++) {
        char other[TOKEN_TEXT_MAX];
        (void)snprintf(other, sizeof other, "%s", good(&kinds[i]));
        for (char *end = other; end != NULL; end = strchr(end + 1, '.')) {
            char *last = end == other ? other + strlen(other) - 1 : end - 1;
            const char was = *last;
            unsigned believed = 0;
            for (size_t digit = 0; digit < 64; digit++) {
                struct tears_error error;
                *last = digits[digit];
                believed += kinds[i].believe(tears_str_c(other), &error) == TEARS_OK;
            }
            *last = was;
            assert_int_equal(believed, 1);
        }
    }
}

/* S and S + L are the same signature to a careless verifier (RFC 8032, 5.1.7). */
static void a_signature_has_one_spelling(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < T3_COUNT(kinds); i++) {
        char other[TOKEN_TEXT_MAX];
        uint8_t bytes[66] = {0};
        (void)snprintf(other, sizeof other, "%s", good(&kinds[i]));
        char *text = strrchr(other, '.') + 1;
        for (size_t bit = 0; bit < 64 * 8; bit++) {
            const size_t digit = (size_t)(strchr(digits, text[bit / 6]) - digits);
            bytes[bit / 8] |= (uint8_t)((digit >> (5 - bit % 6) & 1) << (7 - bit % 8));
        }
        unsigned carry = 0;
        for (size_t k = 0; k < 32; k++) {
            carry += (unsigned)bytes[32 + k] + order[k];
            bytes[32 + k] = (uint8_t)carry;
            carry >>= 8;
        }
        for (size_t at = 0; at < 86; at++) {
            unsigned digit = 0;
            for (size_t bit = at * 6; bit < at * 6 + 6; bit++)
                digit = digit << 1 | (bytes[bit / 8] >> (7 - bit % 8) & 1);
            text[at] = digits[digit];
        }
        refuse(&kinds[i], tears_str_c(other));
    }
}

/* ---- signed, and still not to be believed ---- */

/* Puts a member that the part has in front once more, with another value. */
static void double_member(const struct kind *kind, bool in_header, const char *name)
{
    T3_AUTO(t3_buf_done) struct t3_buf doubled = {0};
    static char text[TOKEN_TEXT_MAX];
    char quoted[32];
    const char *json = in_header ? kind->header : kind->claims;
    (void)snprintf(quoted, sizeof quoted, "\"%s\":", name);
    if (strstr(json, quoted) == NULL)
        return;
    assert_int_equal(t3_buf_printf(&doubled, "{%s\"other\",%s", quoted, json + 1), TEARS_OK);
    sign_text(key, in_header ? doubled.ptr : kind->header, in_header ? kind->claims : doubled.ptr,
              text);
    refuse(kind, tears_str_c(text));
}

static void a_member_given_twice_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"alg", "kid",         "typ",    "jwk", "iss", "sub",
                                        "sid", "customer_id", "pod_id", "iat", "exp", "user_id",
                                        "ath", "bh",          "jti",    "aud"};
    for (size_t i = 0; i < T3_COUNT(kinds); i++)
        for (size_t n = 0; n < T3_COUNT(names); n++) {
            double_member(&kinds[i], true, names[n]);
            double_member(&kinds[i], false, names[n]);
        }
}

/* With a member of no meaning in front of the others. */
static void with_ballast(const struct kind *kind, bool in_header, const char *ballast)
{
    T3_AUTO(t3_buf_done) struct t3_buf json = {0};
    static char text[TOKEN_TEXT_MAX];
    const char *part = in_header ? kind->header : kind->claims;
    assert_int_equal(t3_buf_printf(&json, "{\"z\":%s,%s", ballast, part + 1), TEARS_OK);
    if (json.len > 12000)
        return; /* too large to be signed: test_token.c has that */
    sign_text(key, in_header ? json.ptr : kind->header, in_header ? kind->claims : json.ptr, text);
    refuse(kind, tears_str_c(text));
}

static void deep_json_is_refused(void **state)
{
    (void)state;
    char ballast[8001];
    for (size_t depth = 65; depth <= 4000; depth = depth * 8 - 1) {
        memset(ballast, '[', depth);
        memset(ballast + depth, ']', depth);
        ballast[2 * depth] = '\0';
        for (size_t i = 0; i < T3_COUNT(kinds); i++) {
            with_ballast(&kinds[i], true, ballast);
            with_ballast(&kinds[i], false, ballast);
        }
    }
}

static void a_huge_header_is_refused_at_once(void **state)
{
    (void)state;
    enum { HUGE_BYTES = 8 << 20 };
    char *text = malloc(HUGE_BYTES);
    assert_non_null(text);
    memset(text, 'A', HUGE_BYTES);
    for (size_t i = 0; i < T3_COUNT(kinds); i++) {
        refuse(&kinds[i], tears_str_n(text, HUGE_BYTES));
        text[HUGE_BYTES - 200] = '.';
        text[HUGE_BYTES - 100] = '.';
        refuse(&kinds[i], tears_str_n(text, HUGE_BYTES));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_near_a_signed_text_is_believed),
        cmocka_unit_test(nothing_near_a_sealed_text_opens),
        cmocka_unit_test(every_segment_has_one_last_character),
        cmocka_unit_test(a_signature_has_one_spelling),
        cmocka_unit_test(a_member_given_twice_is_refused),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(a_huge_header_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
