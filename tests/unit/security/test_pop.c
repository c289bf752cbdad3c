/*
 * test_pop.c -- proofs of possession: the right key, token, call and moment.
 */
#include "base/alloc.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <tears/pop.h>
#include <tears/token.h>

#include <cmocka.h>

#define IAT 1700000000
#define JWK \
    "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg\"}"
#define HEADER "{\"alg\":\"EdDSA\",\"jwk\":" JWK ",\"typ\":\"pop+jwt\"}"
#define CLAIMS "{\"ath\":\"ATH\",\"bh\":\"BH\",\"jti\":\"N\",\"iat\":1700000000}"

static int set_up(void **state)
{
    *state = test_key(0);
    return 0;
}

static int tear_down(void **state)
{
    tears_signing_key_free(*state);
    return 0;
}

static struct tears_pop_policy policy_at(int64_t now)
{
    struct tears_pop_policy policy = TEARS_POP_POLICY_INIT;
    policy.thumbprint = TEARS_STR("1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y");
    policy.access_token_hash = TEARS_STR("ATH");
    policy.body_hash = TEARS_STR("BH");
    policy.now = now;
    return policy;
}

/* 0 when the proof is believed, else the reason. */
static int32_t reason(struct tears_str proof, const struct tears_pop_policy *policy)
{
    struct tears_owned_text nonce = {0};
    struct tears_error error = {0};
    const tears_status status = tears_pop_verify(proof, policy, &nonce, &error);
    tears_owned_text_free(&nonce);
    if (status == TEARS_OK)
        return 0;
    assert_int_equal(status, TEARS_DENIED);
    assert_true(error.detail > 0);
    return error.detail;
}

static int32_t reason_of(const tears_signing_key *key, const char *header, const char *claims)
{
    static char proof[TOKEN_TEXT_MAX];
    const struct tears_pop_policy policy = policy_at(IAT);
    sign_text(key, header, claims, proof);
    return reason(tears_str_c(proof), &policy);
}

static void test_a_proof_gives_its_nonce(void **state)
{
    const struct tears_pop pop = {.access_token_hash = TEARS_STR("ATH"),
                                  .body_hash = TEARS_STR("BH"),
                                  .nonce = TEARS_STR("caf\xc3\xa9"),
                                  .issued_at = IAT};
    const struct tears_pop_policy policy = policy_at(IAT);
    struct tears_owned_text proof = {0};
    struct tears_owned_text nonce = {0};
    assert_int_equal(tears_pop_make(*state, &pop, &proof, NULL), TEARS_OK);
    assert_int_equal(tears_pop_verify(tears_owned_text_str(&proof), &policy, &nonce, NULL),
                     TEARS_OK);
    assert_string_equal(nonce.ptr, "caf\xc3\xa9");
    tears_owned_text_free(&proof);
    tears_owned_text_free(&nonce);
}

/* S8: a holder whose clock is ahead is as good as one whose clock is behind. */
static void test_the_window_has_two_sides(void **state)
{
    static const struct {
        int64_t now;
        int32_t reason;
    } cases[] = {{IAT - 60, 0},
                 {IAT - 61, TEARS_TOKEN_NOT_YET_VALID},
                 {IAT + 60, 0},
                 {IAT + 61, TEARS_TOKEN_EXPIRED}};
    static char proof[TOKEN_TEXT_MAX];
    sign_text(*state, HEADER, CLAIMS, proof);
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        struct tears_pop_policy policy = policy_at(cases[i].now);
        assert_int_equal(reason(tears_str_c(proof), &policy), cases[i].reason);
        policy.leeway_seconds = 1;
        assert_int_not_equal(reason(tears_str_c(proof), &policy), 0);
    }
}

/* S14: the type is checked, so nothing signed for another use is a proof. */
static void test_headers_that_are_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        int32_t reason;
    } cases[] = {
        {"pop+jwt", "JWT", TEARS_TOKEN_WRONG_TYPE},
        {"pop+jwt", "dpop+jwt", TEARS_TOKEN_WRONG_TYPE},
        {"pop+jwt", "POP+JWT", TEARS_TOKEN_WRONG_TYPE},
        {",\"typ\":\"pop+jwt\"", "", TEARS_TOKEN_WRONG_TYPE},
        {"EdDSA", "ES256", TEARS_TOKEN_WRONG_ALGORITHM},
        {"\"jwk\":" JWK, "\"jwk\":null", TEARS_TOKEN_WRONG_KEY},
        {"\"jwk\":" JWK, "\"jwk\":\"x\"", TEARS_TOKEN_WRONG_KEY},
        {"\"kty\":\"OKP\"", "\"kty\":\"OKP\",\"d\":\"x\"", TEARS_TOKEN_WRONG_KEY},
        {"\"kty\":\"OKP\"", "\"kty\":\"OKP\",\"use\":\"enc\"", TEARS_TOKEN_WRONG_KEY},
        {"Ed25519", "X25519", TEARS_TOKEN_WRONG_KEY},
        {"JVMbg", "JVMbh", TEARS_TOKEN_WRONG_KEY},
        {"A6EHv", "B6EHv", TEARS_TOKEN_WRONG_KEY},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        assert_int_equal(reason_of(*state, with(HEADER, cases[i].from, cases[i].to), CLAIMS),
                         cases[i].reason);
}

static void test_claims_that_are_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        int32_t reason;
    } cases[] = {
        {"ATH", "ATI", TEARS_TOKEN_OTHER_TOKEN},
        {"ATH", "AT", TEARS_TOKEN_OTHER_TOKEN},
        {"\"ATH\"", "5", TEARS_TOKEN_OTHER_TOKEN},
        {"BH", "BI", TEARS_TOKEN_OTHER_BODY},
        {"\"BH\"", "null", TEARS_TOKEN_MISSING_CLAIM},
        {"\"N\"", "\"\"", TEARS_TOKEN_BAD_CLAIM},
        {"\"N\"", "7", TEARS_TOKEN_BAD_CLAIM},
        {"1700000000", "1700000000.0", TEARS_TOKEN_BAD_CLAIM},
        {"1700000000", "true", TEARS_TOKEN_BAD_CLAIM},
        {"1700000000", "1700000000,\"exp\":1699999000", TEARS_TOKEN_EXPIRED},
        {"1700000000", "1700000000,\"aud\":\"x\"", TEARS_TOKEN_WRONG_AUDIENCE},
        {"1700000000", "-9223372036854775808", TEARS_TOKEN_EXPIRED},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        assert_int_equal(reason_of(*state, HEADER, with(CLAIMS, cases[i].from, cases[i].to)),
                         cases[i].reason);
}

static void test_another_holder(void **state)
{
    static char proof[TOKEN_TEXT_MAX];
    tears_signing_key *stranger = test_key(1);
    const struct tears_pop_policy policy = policy_at(IAT);
    const struct tears_pop pop = {.access_token_hash = TEARS_STR("ATH"),
                                  .body_hash = TEARS_STR("BH"),
                                  .nonce = TEARS_STR("N"),
                                  .issued_at = IAT};
    struct tears_owned_text own = {0};
    assert_int_equal(tears_pop_make(stranger, &pop, &own, NULL), TEARS_OK);
    assert_int_equal(reason(tears_owned_text_str(&own), &policy), TEARS_TOKEN_WRONG_KEY);
    tears_owned_text_free(&own);
    sign_text(stranger, HEADER, CLAIMS, proof); /* claims the holder's key */
    assert_int_equal(reason(tears_str_c(proof), &policy), TEARS_TOKEN_BAD_SIGNATURE);
    sign_text(*state, HEADER, CLAIMS, proof);
    assert_int_equal(reason(tears_str_c(proof), &policy), 0);
    tears_signing_key_free(stranger);
}

static void test_policies_that_are_refused(void **state)
{
    (void)state;
    struct tears_owned_text nonce = {0};
    struct tears_pop_policy policy = policy_at(IAT);
    policy.thumbprint = TEARS_STR("");
    assert_int_equal(tears_pop_verify(TEARS_STR("a.b.c"), &policy, &nonce, NULL), TEARS_INVALID);
    policy = policy_at(IAT);
    policy.access_token_hash = TEARS_STR("");
    assert_int_equal(tears_pop_verify(TEARS_STR("a.b.c"), &policy, &nonce, NULL), TEARS_INVALID);
    policy = policy_at(-1);
    assert_int_equal(tears_pop_verify(TEARS_STR("a.b.c"), &policy, &nonce, NULL), TEARS_INVALID);
}

static tears_status make_and_verify(const tears_signing_key *key)
{
    const struct tears_pop pop = {.access_token_hash = TEARS_STR("ATH"),
                                  .body_hash = TEARS_STR("BH"),
                                  .nonce = TEARS_STR("N"),
                                  .issued_at = IAT};
    const struct tears_pop_policy policy = policy_at(IAT);
    struct tears_owned_text proof = {0};
    struct tears_owned_text nonce = {0};
    tears_status status = tears_pop_make(key, &pop, &proof, NULL);
    if (status == TEARS_OK)
        status = tears_pop_verify(tears_owned_text_str(&proof), &policy, &nonce, NULL);
    tears_owned_text_free(&proof);
    tears_owned_text_free(&nonce);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = make_and_verify(*state);
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
        cmocka_unit_test(test_a_proof_gives_its_nonce),
        cmocka_unit_test(test_the_window_has_two_sides),
        cmocka_unit_test(test_headers_that_are_refused),
        cmocka_unit_test(test_claims_that_are_refused),
        cmocka_unit_test(test_another_holder),
        cmocka_unit_test(test_policies_that_are_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
