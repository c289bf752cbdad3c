/*
 * test_assertion.c -- proxy assertions: one pod, one call, the registry's key; and the signer.
 */
#include "base/alloc.h"
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <tears/assertion.h>
#include <tears/token.h>

#include <cmocka.h>

#define NOW    1700000001
#define HEADER "{\"alg\":\"EdDSA\",\"kid\":\"K\",\"typ\":\"JWT\"}"
#define CLAIMS                                                                                     \
    "{\"iss\":\"registry\",\"aud\":\"pod-1\",\"sub\":\"ag\",\"customer_id\":\"cu\",\"bh\":\"BH\"," \
    "\"jti\":\"N\",\"iat\":1700000000,\"exp\":1700000030}"
#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

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

static struct tears_assertion_policy policy_at(int64_t now)
{
    struct tears_assertion_policy policy = TEARS_ASSERTION_POLICY_INIT;
    policy.pod_id = TEARS_STR("pod-1");
    policy.body_hash = TEARS_STR("BH");
    policy.now = now;
    return policy;
}

/* 0 when the assertion is believed, else the reason. */
static int32_t reason(struct tears_str text, const tears_jwks *jwks)
{
    const struct tears_assertion_policy policy = policy_at(NOW);
    struct tears_verified_assertion verified = {0};
    struct tears_error error = {0};
    const tears_status status = tears_assertion_verify(text, jwks, &policy, &verified, &error);
    tears_owned_text_free(&verified.text);
    if (status == TEARS_OK)
        return 0;
    /* S19: an unknown key is the recoverable status here as well. */
    assert_int_equal(status,
                     error.detail == TEARS_TOKEN_UNKNOWN_KEY ? TEARS_NOT_FOUND : TEARS_DENIED);
    return error.detail;
}

static int32_t reason_of(const tears_signing_key *key, const char *header, const char *claims)
{
    static char text[TOKEN_TEXT_MAX];
    tears_jwks *jwks = test_jwks(key, "K", TEARS_PURPOSE_ASSERTION);
    sign_text(key, header, claims, text);
    const int32_t why = reason(tears_str_c(text), jwks);
    tears_jwks_free(jwks);
    return why;
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *from;
        const char *to;
        int32_t reason;
    } cases[] = {
        {"pod-1", "pod-2", TEARS_TOKEN_WRONG_AUDIENCE},
        {"\"pod-1\"", "[\"pod-1\"]", TEARS_TOKEN_BAD_CLAIM},
        {"registry", "hub", TEARS_TOKEN_WRONG_ISSUER},
        {"\"BH\"", "\"BI\"", TEARS_TOKEN_OTHER_BODY},
        {"\"N\"", "\"\"", TEARS_TOKEN_BAD_CLAIM},
        {"\"ag\"", "5", TEARS_TOKEN_BAD_CLAIM},
        {"\"cu\"", "null", TEARS_TOKEN_MISSING_CLAIM},
        {",\"exp\":1700000030", "", TEARS_TOKEN_MISSING_CLAIM},
        {"1700000030", "1700000001", TEARS_TOKEN_EXPIRED},
        {"1700000000", "1700000002", TEARS_TOKEN_NOT_YET_VALID},
        {"1700000030", "1700000030,\"user_id\":\"\"", TEARS_TOKEN_BAD_CLAIM},
    };
    assert_int_equal(reason_of(*state, HEADER, CLAIMS), 0);
    for (size_t i = 0; i < T3_COUNT(cases); i++)
        assert_int_equal(reason_of(*state, HEADER, with(CLAIMS, cases[i].from, cases[i].to)),
                         cases[i].reason);
    assert_int_equal(reason_of(*state, with(HEADER, "EdDSA", "HS256"), CLAIMS),
                     TEARS_TOKEN_WRONG_ALGORITHM);
    assert_int_equal(reason_of(*state, with(HEADER, "\"K\"", "\"Z\""), CLAIMS),
                     TEARS_TOKEN_UNKNOWN_KEY);
}

/* S3: the hub's key does not speak for the registry, nor an identity token for an assertion. */
static void test_another_purpose(void **state)
{
    static char text[TOKEN_TEXT_MAX];
    tears_jwks *jwks = test_jwks(*state, "K", TEARS_PURPOSE_IDENTITY);
    sign_text(*state, HEADER, CLAIMS, text);
    assert_int_equal(reason(tears_str_c(text), jwks), TEARS_TOKEN_WRONG_KEY);
    tears_jwks_free(jwks);
}

static void test_a_signer_is_believed_by_its_own_document(void **state)
{
    (void)state;
    const struct tears_assertion assertion = {.pod_id = TEARS_STR("pod-1"),
                                              .agent_id = TEARS_STR("ag"),
                                              .customer_id = TEARS_STR("cu"),
                                              .body_hash = TEARS_STR("BH"),
                                              .nonce = TEARS_STR("N"),
                                              .issued_at = NOW,
                                              .user_id = TEARS_STR("u")};
    const struct tears_assertion_policy policy = policy_at(NOW);
    tears_assertion_signer *signer = NULL;
    struct tears_owned_text text = {0};
    struct tears_owned_text document = {0};
    struct tears_verified_assertion verified = {0};
    tears_jwks *jwks = NULL;
    assert_int_equal(tears_assertion_signer_new(TEARS_STR(SECRET), 30, &signer, NULL), TEARS_OK);
    assert_int_equal(tears_assertion_signer_mint(signer, &assertion, &text, NULL), TEARS_OK);
    assert_int_equal(tears_assertion_signer_jwks(signer, TEARS_PURPOSE_ASSERTION, &document, NULL),
                     TEARS_OK);
    assert_int_equal(tears_jwks_parse(tears_owned_text_str(&document), NULL, &jwks, NULL),
                     TEARS_OK);
    assert_string_equal(tears_jwks_at(jwks, 0).kid.ptr, tears_assertion_signer_kid(signer).ptr);
    assert_int_equal(
        tears_assertion_verify(tears_owned_text_str(&text), jwks, &policy, &verified, NULL),
        TEARS_OK);
    assert_int_equal(verified.assertion.expires_at, NOW + 30);
    assert_string_equal(verified.assertion.user_id.ptr, "u");
    assert_string_equal(verified.assertion.nonce.ptr, "N");
    tears_owned_text_free(&verified.text);
    tears_owned_text_free(&document);
    tears_owned_text_free(&text);
    tears_jwks_free(jwks);
    tears_assertion_signer_free(signer);
}

static void test_signers_that_are_refused(void **state)
{
    (void)state;
    tears_assertion_signer *signer = NULL;
    struct tears_error error;
    assert_int_equal(tears_assertion_signer_new(TEARS_STR(SECRET), 0, &signer, &error),
                     TEARS_LIMIT);
    assert_int_equal(tears_assertion_signer_new(TEARS_STR(SECRET), 3601, &signer, &error),
                     TEARS_LIMIT);
    assert_int_equal(tears_assertion_signer_new(TEARS_STR("@@" SECRET), 30, &signer, &error),
                     TEARS_INVALID);
    assert_null(strstr(error.message, "AAEC"));
    assert_null(signer);
    tears_assertion_signer_free(NULL);
}

static void test_incomplete_assertions_are_not_signed(void **state)
{
    const struct tears_assertion assertion = {.pod_id = TEARS_STR("pod-1"),
                                              .agent_id = TEARS_STR("ag"),
                                              .customer_id = TEARS_STR("cu"),
                                              .body_hash = TEARS_STR("BH")};
    struct tears_owned_text text = {0};
    assert_int_equal(tears_assertion_sign(*state, TEARS_STR("K"), &assertion, &text, NULL),
                     TEARS_INVALID);
    assert_null(text.ptr);
}

static tears_status sign_and_verify(const tears_jwks *jwks)
{
    const struct tears_assertion assertion = {.pod_id = TEARS_STR("pod-1"),
                                              .agent_id = TEARS_STR("ag"),
                                              .customer_id = TEARS_STR("cu"),
                                              .body_hash = TEARS_STR("BH"),
                                              .nonce = TEARS_STR("N"),
                                              .issued_at = NOW};
    const struct tears_assertion_policy policy = policy_at(NOW);
    tears_assertion_signer *signer = NULL;
    struct tears_owned_text text = {0};
    struct tears_verified_assertion verified = {0};
    tears_status status = tears_assertion_signer_new(TEARS_STR(SECRET), 30, &signer, NULL);
    if (status == TEARS_OK)
        status = tears_assertion_signer_mint(signer, &assertion, &text, NULL);
    if (status == TEARS_OK)
        status =
            tears_assertion_verify(tears_owned_text_str(&text), jwks, &policy, &verified, NULL);
    tears_owned_text_free(&verified.text);
    tears_owned_text_free(&text);
    tears_assertion_signer_free(signer);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    tears_jwks *jwks =
        test_jwks(*state, "1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y", TEARS_PURPOSES_ALL);
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = sign_and_verify(jwks);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        assert_int_equal(status, was_reached ? TEARS_NO_MEMORY : TEARS_OK);
        if (!was_reached)
            break;
    }
    tears_jwks_free(jwks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_another_purpose),
        cmocka_unit_test(test_a_signer_is_believed_by_its_own_document),
        cmocka_unit_test(test_signers_that_are_refused),
        cmocka_unit_test(test_incomplete_assertions_are_not_signed),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
