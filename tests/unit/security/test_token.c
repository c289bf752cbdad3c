/*
 * test_token.c -- identity tokens: who is believed, and every way not to be.
 */
#include "base/alloc.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <tears/token.h>

#include <cmocka.h>

#define NOW    1700000010
#define HEADER "{\"alg\":\"EdDSA\",\"kid\":\"kid-1\",\"typ\":\"JWT\"}"
#define CLAIMS                                                                             \
    "{\"iss\":\"hub\",\"sub\":\"a\",\"customer_id\":\"c\",\"sid\":\"s\",\"pod_id\":\"p\"," \
    "\"iat\":1700000000,\"exp\":1700000300}"

struct fixture {
    tears_signing_key *key;
    tears_jwks *jwks;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture.key = test_key(0);
    fixture.jwks = test_jwks(fixture.key, "kid-1", TEARS_PURPOSES_ALL);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    tears_signing_key_free(fixture->key);
    tears_jwks_free(fixture->jwks);
    return 0;
}

static struct tears_token_policy policy_at(int64_t now, uint64_t leeway_seconds)
{
    struct tears_token_policy policy = TEARS_TOKEN_POLICY_INIT;
    policy.issuer = TEARS_STR("hub");
    policy.now = now;
    policy.leeway_seconds = leeway_seconds;
    return policy;
}

/* 0 when the token is believed, else the reason. */
static int32_t reason_with(const struct fixture *fixture, struct tears_str token,
                           const struct tears_token_policy *policy)
{
    struct tears_verified_identity verified = {0};
    struct tears_error error = {0};
    const tears_status status = tears_token_verify(token, fixture->jwks, policy, &verified, &error);
    tears_owned_text_free(&verified.text);
    if (status == TEARS_OK)
        return 0;
    assert_true(status == TEARS_DENIED || status == TEARS_NOT_FOUND);
    assert_true((status == TEARS_NOT_FOUND) == (error.detail == TEARS_TOKEN_UNKNOWN_KEY));
    assert_true(error.detail > 0 && error.message[0] != '\0');
    assert_null(strstr(error.message, "eyJ"));
    return error.detail;
}

static int32_t reason(const struct fixture *fixture, struct tears_str token)
{
    const struct tears_token_policy policy = policy_at(NOW, 0);
    return reason_with(fixture, token, &policy);
}

static int32_t reason_of(const struct fixture *fixture, const char *header, const char *payload)
{
    static char token[TOKEN_TEXT_MAX];
    sign_text(fixture->key, header, payload, token);
    return reason(fixture, tears_str_c(token));
}

/* ---- what is believed ---------------------------------------------------------------------------
 */

static void test_what_is_signed_comes_back(void **state)
{
    const struct fixture *fixture = *state;
    const struct tears_identity identity = {.issuer = TEARS_STR("hub"),
                                            .agent_id = TEARS_STR("caf\xc3\xa9 \"x\"\n"),
                                            .customer_id = TEARS_STR("\xf0\x9f\x99\x82"),
                                            .session_id = TEARS_STR("s"),
                                            .pod_id = TEARS_STR("p"),
                                            .issued_at = NOW,
                                            .expires_at = NOW + 60,
                                            .user_id = TEARS_STR("u"),
                                            .holder = TEARS_STR("J"),
                                            .conversation_id = TEARS_STR("v")};
    const struct tears_token_policy policy = policy_at(NOW, 0);
    struct tears_owned_text token = {0};
    struct tears_verified_identity verified = {0};
    assert_int_equal(tears_token_sign(fixture->key, TEARS_STR("kid-1"), &identity, &token, NULL),
                     TEARS_OK);
    assert_int_equal(
        tears_token_verify(tears_owned_text_str(&token), fixture->jwks, &policy, &verified, NULL),
        TEARS_OK);
    tears_owned_text_free(&token);
    assert_string_equal(verified.identity.agent_id.ptr, "caf\xc3\xa9 \"x\"\n");
    assert_string_equal(verified.identity.customer_id.ptr, "\xf0\x9f\x99\x82");
    assert_string_equal(verified.identity.user_id.ptr, "u");
    assert_string_equal(verified.identity.holder.ptr, "J");
    assert_string_equal(verified.identity.conversation_id.ptr, "v");
    assert_int_equal(verified.identity.issued_at, NOW);
    assert_int_equal(verified.identity.expires_at, NOW + 60);
    tears_owned_text_free(&verified.text);
}

static void test_the_clock_of_the_system_is_the_default(void **state)
{
    const struct fixture *fixture = *state;
    static char token[TOKEN_TEXT_MAX];
    const struct tears_token_policy policy = policy_at(0, 0);
    sign_text(fixture->key, HEADER, with(CLAIMS, "1700000300", "4102444800"), token);
    assert_int_equal(reason_with(fixture, tears_str_c(token), &policy), 0);
    sign_text(fixture->key, HEADER, CLAIMS, token);
    assert_int_equal(reason_with(fixture, tears_str_c(token), &policy), TEARS_TOKEN_EXPIRED);
}

static void test_times_at_their_edges(void **state)
{
    static const struct {
        int64_t now;
        uint64_t leeway;
        int32_t reason;
    } cases[] = {
        {1700000000, 0, 0},  {1699999999, 0, TEARS_TOKEN_NOT_YET_VALID},
        {1699999970, 30, 0}, {1699999969, 30, TEARS_TOKEN_NOT_YET_VALID},
        {1700000299, 0, 0},  {1700000300, 0, TEARS_TOKEN_EXPIRED},
        {1700000329, 30, 0}, {1700000330, 30, TEARS_TOKEN_EXPIRED},
    };
    static char token[TOKEN_TEXT_MAX];
    const struct fixture *fixture = *state;
    sign_text(fixture->key, HEADER, CLAIMS, token);
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        const struct tears_token_policy policy = policy_at(cases[i].now, cases[i].leeway);
        assert_int_equal(reason_with(fixture, tears_str_c(token), &policy), cases[i].reason);
    }
}

/* ---- S6: one spelling ---------------------------------------------------------------------------
 */

static void test_one_last_character_of_sixteen(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static char token[TOKEN_TEXT_MAX];
    const struct fixture *fixture = *state;
    unsigned accepted = 0;
    sign_text(fixture->key, HEADER, CLAIMS, token);
    char *const last = token + strlen(token) - 1;
    const size_t group = (size_t)(strchr(digits, *last) - digits) / 16 * 16;
    for (size_t i = 0; i < 16; i++) { /* the same two bits of the signature, all spare bits */
        *last = digits[group + i];
        const int32_t why = reason(fixture, tears_str_c(token));
        assert_true(why == 0 || why == TEARS_TOKEN_MALFORMED);
        accepted += why == 0;
    }
    assert_int_equal(accepted, 1);
}

static void test_other_spellings_and_shapes_are_refused(void **state)
{
    static char token[TOKEN_TEXT_MAX];
    static char other[TOKEN_TEXT_MAX + 16];
    static const char *const around[][2] = {{"", "="},  {"", "=="}, {"", "."},  {"", ".a"},
                                            {"", "\n"}, {" ", ""},  {".", ""},  {"a.", ""},
                                            {"=", ""},  {"", "A"},  {"", "AA"}, {"", "AAAA"}};
    static const char *const junk[] = {"",          ".",   "..",      "...",
                                       "not-a-jwt", "a.b", "a.b.c.d", "e30.e30."};
    const struct fixture *fixture = *state;
    sign_text(fixture->key, HEADER, CLAIMS, token);
    for (size_t i = 0; i < T3_COUNT(around); i++) {
        snprintf(other, sizeof other, "%s%s%s", around[i][0], token, around[i][1]);
        assert_int_equal(reason(fixture, tears_str_c(other)), TEARS_TOKEN_MALFORMED);
    }
    for (size_t i = 0; i < T3_COUNT(junk); i++)
        assert_int_equal(reason(fixture, tears_str_c(junk[i])), TEARS_TOKEN_MALFORMED);
}

static void test_no_cut_and_no_other_character_is_believed(void **state)
{
    static char token[TOKEN_TEXT_MAX];
    const struct fixture *fixture = *state;
    sign_text(fixture->key, HEADER, CLAIMS, token);
    const size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        const char was = token[i];
        assert_int_not_equal(reason(fixture, tears_str_n(token, i)), 0);
        for (unsigned bit = 0; bit < 8; bit++) {
            token[i] = (char)((unsigned char)was ^ 1u << bit);
            assert_int_not_equal(reason(fixture, tears_str_n(token, len)), 0);
        }
        token[i] = was;
    }
    assert_int_equal(reason(fixture, tears_str_n(token, len)), 0);
}

/* ---- headers ------------------------------------------------------------------------------------
 */

static void test_headers_that_are_refused(void **state)
{
    static const struct {
        const char *header;
        int32_t reason;
    } cases[] = {
        {"{\"alg\":\"none\",\"kid\":\"kid-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_WRONG_ALGORITHM},
        {"{\"alg\":\"HS256\",\"kid\":\"kid-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_WRONG_ALGORITHM},
        {"{\"alg\":\"Ed25519\",\"kid\":\"kid-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_WRONG_ALGORITHM},
        {"{\"alg\":[\"EdDSA\"],\"kid\":\"kid-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_WRONG_ALGORITHM},
        {"{\"kid\":\"kid-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_WRONG_ALGORITHM},
        {"{\"alg\":\"EdDSA\",\"kid\":\"kid-1\",\"typ\":\"pop+jwt\"}", TEARS_TOKEN_WRONG_TYPE},
        {"{\"alg\":\"EdDSA\",\"kid\":\"kid-1\"}", TEARS_TOKEN_WRONG_TYPE},
        {"{\"alg\":\"EdDSA\",\"kid\":\"kid-1\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
         TEARS_TOKEN_BAD_HEADER},
        {"{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}", TEARS_TOKEN_BAD_HEADER},
        {"{\"alg\":\"EdDSA\",\"kid\":\"\",\"typ\":\"JWT\"}", TEARS_TOKEN_BAD_HEADER},
        {"{\"alg\":\"EdDSA\",\"kid\":5,\"typ\":\"JWT\"}", TEARS_TOKEN_BAD_HEADER},
        {"{\"alg\":\"EdDSA\",\"kid\":\"KID-1\",\"typ\":\"JWT\"}", TEARS_TOKEN_UNKNOWN_KEY},
        {"{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"kid-1\",\"typ\":\"JWT\"}",
         TEARS_TOKEN_MALFORMED},
        {"[]", TEARS_TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"kid\":\"\xff\",\"typ\":\"JWT\"}", TEARS_TOKEN_MALFORMED},
    };
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        assert_int_equal(reason_of(fixture, cases[i].header, CLAIMS), cases[i].reason);
}

/* S3: the proxy's key does not speak for the hub. */
static void test_keys_of_another_purpose_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct fixture other = {.key = fixture->key};
    other.jwks = test_jwks(fixture->key, "kid-1", TEARS_PURPOSE_ASSERTION);
    assert_int_equal(reason_of(&other, HEADER, CLAIMS), TEARS_TOKEN_WRONG_KEY);
    tears_jwks_free(other.jwks);
    other.jwks = test_jwks(fixture->key, "kid-1", TEARS_PURPOSE_IDENTITY);
    assert_int_equal(reason_of(&other, HEADER, CLAIMS), 0);
    tears_jwks_free(other.jwks);
}

static void test_another_key_under_the_same_name(void **state)
{
    const struct fixture *fixture = *state;
    tears_signing_key *stranger = test_key(1);
    static char token[TOKEN_TEXT_MAX];
    sign_text(stranger, HEADER, CLAIMS, token);
    assert_int_equal(reason(fixture, tears_str_c(token)), TEARS_TOKEN_BAD_SIGNATURE);
    tears_signing_key_free(stranger);
}

/* ---- S7: claims of any shape, one kind of answer ------------------------------------------------
 */

static void test_claims_that_are_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        int32_t reason;
    } cases[] = {
        {"\"iat\":1700000000", "\"iat\":[1]", TEARS_TOKEN_BAD_CLAIM},
        {"\"iat\":1700000000", "\"iat\":\"1700000000\"", TEARS_TOKEN_BAD_CLAIM},
        {"\"iat\":1700000000", "\"iat\":1700000000.5", TEARS_TOKEN_BAD_CLAIM},
        {"\"iat\":1700000000", "\"iat\":true", TEARS_TOKEN_BAD_CLAIM},
        {"\"iat\":1700000000", "\"iat\":9223372036854775807", TEARS_TOKEN_NOT_YET_VALID},
        {"\"exp\":1700000300", "\"exp\":Infinity", TEARS_TOKEN_MALFORMED},
        {"\"exp\":1700000300", "\"exp\":1e400", TEARS_TOKEN_BAD_CLAIM},
        {"\"exp\":1700000300", "\"exp\":9223372036854775808", TEARS_TOKEN_BAD_CLAIM},
        {"\"exp\":1700000300", "\"exp\":-9223372036854775808", TEARS_TOKEN_EXPIRED},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"exp\":1800000000", TEARS_TOKEN_MALFORMED},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"e\\u0078p\":1800000000",
         TEARS_TOKEN_MALFORMED},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"nbf\":1700000011", TEARS_TOKEN_NOT_YET_VALID},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"nbf\":null", TEARS_TOKEN_BAD_CLAIM},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"aud\":\"x\"", TEARS_TOKEN_WRONG_AUDIENCE},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"jti\":5", TEARS_TOKEN_BAD_CLAIM},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"user_id\":\"\"", TEARS_TOKEN_BAD_CLAIM},
        {"\"exp\":1700000300", "\"exp\":1700000300,\"cnf\":{\"jkt\":\"a\",\"jkt\":\"b\"}",
         TEARS_TOKEN_BAD_CLAIM},
        {"\"iss\":\"hub\"", "\"iss\":\"HUB\"", TEARS_TOKEN_WRONG_ISSUER},
        {"\"iss\":\"hub\"", "\"iss\":\"hub\\u0000\"", TEARS_TOKEN_WRONG_ISSUER},
        {"\"iss\":\"hub\"", "\"iss\":[\"hub\"]", TEARS_TOKEN_BAD_CLAIM},
        {"\"sub\":\"a\"", "\"sub\":null", TEARS_TOKEN_MISSING_CLAIM},
        {"\"sub\":\"a\",", "", TEARS_TOKEN_MISSING_CLAIM},
        {"\"sid\":\"s\"", "\"sid\":\"\"", TEARS_TOKEN_BAD_CLAIM},
        {"\"pod_id\":\"p\"", "\"pod_id\":{}", TEARS_TOKEN_BAD_CLAIM},
        {"\"customer_id\":\"c\"", "\"customer_id\":\"\\ud800\"", TEARS_TOKEN_MALFORMED},
    };
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        assert_int_equal(reason_of(fixture, HEADER, with(CLAIMS, cases[i].from, cases[i].to)),
                         cases[i].reason);
}

static void test_claims_that_do_not_matter(void **state)
{
    static const char *const added[] = {
        "\"x\":{\"y\":[1]}",        "\"user_id\":null",      "\"cnf\":\"x\"", "\"cnf\":{\"jkt\":5}",
        "\"conversation_id\":\"\"", "\"conversation_id\":7", "\"aud\":null",  "\"nbf\":1"};
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < T3_COUNT(added); i++) {
        char exp[128];
        snprintf(exp, sizeof exp, "1700000300,%s", added[i]);
        assert_int_equal(reason_of(fixture, HEADER, with(CLAIMS, "1700000300", exp)), 0);
    }
}

static void test_deep_and_large_tokens(void **state)
{
    enum { DEPTH = 9000 };
    static char deep[DEPTH + 8];
    static char large[TOKEN_TEXT_MAX];
    const struct fixture *fixture = *state;
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', DEPTH);
    assert_int_equal(reason_of(fixture, deep, CLAIMS), TEARS_TOKEN_MALFORMED);
    assert_int_equal(reason_of(fixture, HEADER, deep), TEARS_TOKEN_MALFORMED);
    memset(large, 'a', sizeof large);
    large[5] = large[50] = '.';
    assert_int_equal(reason(fixture, tears_str_n(large, sizeof large)), TEARS_TOKEN_TOO_LARGE);
}

/* ---- the caller ---------------------------------------------------------------------------------
 */

static void test_policies_that_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    struct tears_verified_identity verified = {0};
    struct tears_token_policy policy = policy_at(NOW, 3601);
    const struct tears_str token = TEARS_STR("a.b.c");
    assert_int_equal(tears_token_verify(token, fixture->jwks, &policy, &verified, NULL),
                     TEARS_INVALID);
    policy = policy_at(INT64_MAX, 0);
    assert_int_equal(tears_token_verify(token, fixture->jwks, &policy, &verified, NULL),
                     TEARS_INVALID);
    policy = policy_at(NOW, 0);
    policy.issuer = TEARS_STR("");
    assert_int_equal(tears_token_verify(token, fixture->jwks, &policy, &verified, NULL),
                     TEARS_INVALID);
}

static void test_what_cannot_be_signed(void **state)
{
    const struct fixture *fixture = *state;
    static char huge[17000];
    struct tears_identity identity = {.issuer = TEARS_STR("hub"),
                                      .agent_id = TEARS_STR("a"),
                                      .customer_id = TEARS_STR("c"),
                                      .session_id = TEARS_STR("s"),
                                      .pod_id = TEARS_STR("")};
    struct tears_owned_text token = {0};
    const struct tears_str kid = TEARS_STR("k");
    assert_int_equal(tears_token_sign(fixture->key, kid, &identity, &token, NULL), TEARS_INVALID);
    identity.pod_id = TEARS_STR("\xff");
    assert_int_equal(tears_token_sign(fixture->key, kid, &identity, &token, NULL), TEARS_INVALID);
    memset(huge, 'x', sizeof huge);
    identity.pod_id = tears_str_n(huge, sizeof huge);
    assert_int_equal(tears_token_sign(fixture->key, kid, &identity, &token, NULL), TEARS_LIMIT);
    assert_null(token.ptr);
}

static tears_status sign_and_verify(const struct fixture *fixture)
{
    const struct tears_identity identity = {.issuer = TEARS_STR("hub"),
                                            .agent_id = TEARS_STR("a"),
                                            .customer_id = TEARS_STR("c"),
                                            .session_id = TEARS_STR("s"),
                                            .pod_id = TEARS_STR("p"),
                                            .issued_at = NOW,
                                            .expires_at = NOW + 60};
    const struct tears_token_policy policy = policy_at(NOW, 0);
    struct tears_verified_identity verified = {0};
    struct tears_owned_text token = {0};
    tears_status status =
        tears_token_sign(fixture->key, TEARS_STR("kid-1"), &identity, &token, NULL);
    if (status == TEARS_OK)
        status = tears_token_verify(tears_owned_text_str(&token), fixture->jwks, &policy, &verified,
                                    NULL);
    tears_owned_text_free(&token);
    tears_owned_text_free(&verified.text);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = sign_and_verify(*state);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, was_reached ? TEARS_NO_MEMORY : TEARS_OK);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_signed_comes_back),
        cmocka_unit_test(test_the_clock_of_the_system_is_the_default),
        cmocka_unit_test(test_times_at_their_edges),
        cmocka_unit_test(test_one_last_character_of_sixteen),
        cmocka_unit_test(test_other_spellings_and_shapes_are_refused),
        cmocka_unit_test(test_no_cut_and_no_other_character_is_believed),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_keys_of_another_purpose_are_refused),
        cmocka_unit_test(test_another_key_under_the_same_name),
        cmocka_unit_test(test_claims_that_are_refused),
        cmocka_unit_test(test_claims_that_do_not_matter),
        cmocka_unit_test(test_deep_and_large_tokens),
        cmocka_unit_test(test_policies_that_are_refused),
        cmocka_unit_test(test_what_cannot_be_signed),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
