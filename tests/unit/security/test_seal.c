/*
 * test_seal.c -- sealed text: what opens, what must not, and rotation.
 */
#include "base/alloc.h"
#include "security/seal.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct tears_seal_secret old_secret = {
    .id = 7, .master_key = {"an old master key, long enough", 30}};
static const struct tears_seal_secret new_secret = {
    .id = 4294967295, .master_key = {"a new master key, long enough!", 30}};

static tears_keyring *keyring_of(const struct tears_seal_secret *secrets, size_t count)
{
    tears_keyring *keyring = NULL;
    assert_int_equal(tears_keyring_new(secrets, count, &keyring, NULL), TEARS_OK);
    return keyring;
}

static tears_status opens(const tears_keyring *keyring, struct tears_str token, const char *context,
                          const char *expected)
{
    struct tears_owned_text text = {0};
    struct tears_error error = {0};
    const tears_status status =
        tears_keyring_open(keyring, token, tears_str_c(context), &text, &error);
    if (status == TEARS_OK) {
        assert_true(text.secret);
        assert_string_equal(text.ptr, expected);
    } else {
        assert_null(text.ptr);
        assert_true(error.message[0] != '\0');
        assert_null(strstr(error.message, expected));
    }
    tears_owned_text_free(&text);
    return status;
}

static void test_both_versions_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "hello", "caf\xc3\xa9 \xf0\x9f\x99\x82"};
    tears_keyring *keyring = keyring_of(&old_secret, 1);
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        struct tears_owned_text one = {0};
        struct tears_owned_text two = {0};
        struct tears_owned_text again = {0};
        const struct tears_str text = tears_str_c(texts[i]);
        const struct tears_str context = TEARS_STR("users/email/42");
        assert_int_equal(tears_keyring_seal_v1(keyring, text, &one, NULL), TEARS_OK);
        assert_int_equal(tears_keyring_seal(keyring, text, context, &two, NULL), TEARS_OK);
        assert_int_equal(tears_keyring_seal(keyring, text, context, &again, NULL), TEARS_OK);
        assert_string_not_equal(two.ptr, again.ptr);
        assert_int_equal(opens(keyring, tears_owned_text_str(&one), "", texts[i]), TEARS_OK);
        assert_int_equal(opens(keyring, tears_owned_text_str(&two), "users/email/42", texts[i]),
                         TEARS_OK);
        tears_owned_text_free(&one);
        tears_owned_text_free(&two);
        tears_owned_text_free(&again);
    }
    tears_keyring_free(keyring);
}

/* Spec platform.md 8.1, from the Python package. */
static void test_what_python_sealed_opens(void **state)
{
    (void)state;
    const struct tears_seal_secret short_secret = {.master_key = TEARS_STR("k"),
                                                   .flags = TEARS_SEAL_SHORT_KEY};
    tears_keyring *keyring = keyring_of(&short_secret, 1);
    assert_int_equal(opens(keyring, TEARS_STR("AQABAgMEBQYHCAkKC-DCN4qbMp1LVUsNG99dd14="), "", ""),
                     TEARS_OK);
    tears_keyring_free(keyring);
}

/* S11: a token belongs where it was put. */
static void test_a_token_opens_in_its_context_only(void **state)
{
    (void)state;
    tears_keyring *keyring = keyring_of(&old_secret, 1);
    struct tears_owned_text token = {0};
    assert_int_equal(
        tears_keyring_seal(keyring, TEARS_STR("secret"), TEARS_STR("row/1"), &token, NULL),
        TEARS_OK);
    const struct tears_str text = tears_owned_text_str(&token);
    assert_int_equal(opens(keyring, text, "row/2", "secret"), TEARS_DENIED);
    assert_int_equal(opens(keyring, text, "", "secret"), TEARS_DENIED);
    assert_int_equal(opens(keyring, text, "row/1", "secret"), TEARS_OK);
    tears_owned_text_free(&token);
    assert_int_equal(tears_keyring_seal_v1(keyring, TEARS_STR("secret"), &token, NULL), TEARS_OK);
    assert_int_equal(opens(keyring, tears_owned_text_str(&token), "row/1", "secret"), TEARS_DENIED);
    tears_owned_text_free(&token);
    tears_keyring_free(keyring);
}

/* S11: rotation needs no trial for version 2, and version 1 stays readable. */
static void test_rotation(void **state)
{
    (void)state;
    const struct tears_seal_secret both[] = {new_secret, old_secret};
    tears_keyring *before = keyring_of(&old_secret, 1);
    tears_keyring *during = keyring_of(both, 2);
    tears_keyring *after = keyring_of(&new_secret, 1);
    struct tears_owned_text one = {0};
    struct tears_owned_text two = {0};
    struct tears_owned_text fresh = {0};
    assert_int_equal(tears_keyring_seal_v1(before, TEARS_STR("v1"), &one, NULL), TEARS_OK);
    assert_int_equal(tears_keyring_seal(before, TEARS_STR("v2"), TEARS_STR(""), &two, NULL),
                     TEARS_OK);
    assert_int_equal(tears_keyring_seal(during, TEARS_STR("new"), TEARS_STR(""), &fresh, NULL),
                     TEARS_OK);
    assert_int_equal(opens(during, tears_owned_text_str(&one), "", "v1"), TEARS_OK);
    assert_int_equal(opens(during, tears_owned_text_str(&two), "", "v2"), TEARS_OK);
    assert_int_equal(opens(after, tears_owned_text_str(&fresh), "", "new"), TEARS_OK);
    assert_int_equal(opens(after, tears_owned_text_str(&two), "", "v2"), TEARS_NOT_FOUND);
    assert_int_equal(opens(after, tears_owned_text_str(&one), "", "v1"), TEARS_DENIED);
    tears_owned_text_free(&one);
    tears_owned_text_free(&two);
    tears_owned_text_free(&fresh);
    tears_keyring_free(before);
    tears_keyring_free(during);
    tears_keyring_free(after);
}

/* Any other character anywhere, any cut, anything appended. */
static void check_damage(const tears_keyring *keyring, const struct tears_owned_text *token)
{
    struct tears_owned_text copy = {0};
    assert_int_equal(tears_owned_text_copy(tears_owned_text_str(token), &copy), TEARS_OK);
    for (size_t i = 0; i < copy.len; i++) {
        const char was = copy.ptr[i];
        for (int c = 1; c < 128; c++) {
            if (c == was || (!isalnum(c) && c != '-' && c != '_' && c != '=' && c != '\n'))
                continue;
            copy.ptr[i] = (char)c;
            assert_int_not_equal(opens(keyring, tears_owned_text_str(&copy), "c", "hello"),
                                 TEARS_OK);
        }
        copy.ptr[i] = was;
        assert_int_not_equal(opens(keyring, tears_str_n(copy.ptr, i), "c", "hello"), TEARS_OK);
    }
    assert_int_equal(opens(keyring, tears_owned_text_str(&copy), "c", "hello"), TEARS_OK);
    tears_owned_text_free(&copy);
}

static void test_damage_is_refused(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "", "not-base64-!!!",
        "AQABAgMEBQYHCAkKC7MXqC2lGNzqMg==", "AgAAAAcAAQIDBAUGBwgJCgvgwjeKmzKdS1VLDRvfXQ=="};
    tears_keyring *keyring = keyring_of(&old_secret, 1);
    struct tears_owned_text token = {0};
    assert_int_equal(tears_keyring_seal(keyring, TEARS_STR("hello"), TEARS_STR("c"), &token, NULL),
                     TEARS_OK);
    check_damage(keyring, &token);
    tears_owned_text_free(&token);
    for (size_t i = 0; i < T3_COUNT(malformed); i++)
        assert_int_equal(opens(keyring, tears_str_c(malformed[i]), "", "hello"), TEARS_CORRUPT);
    assert_int_equal(
        opens(keyring, TEARS_STR("AwABAgMEBQYHCAkKC-DCN4qbMp1LVUsNG99dd14="), "", "hello"),
        TEARS_UNSUPPORTED);
    tears_keyring_free(keyring);
}

static void test_bad_keyrings_are_refused(void **state)
{
    (void)state;
    const struct tears_seal_secret twice[] = {old_secret, old_secret};
    const struct tears_seal_secret wide = {.id = (uint64_t)1 << 32,
                                           .master_key = TEARS_STR("0123456789abcdef")};
    const struct tears_seal_secret weak = {.master_key = TEARS_STR("0123456789abcde")};
    tears_keyring *keyring = NULL;
    struct tears_error error;
    assert_int_equal(tears_keyring_new(twice, 2, &keyring, &error), TEARS_INVALID);
    assert_int_equal(tears_keyring_new(&wide, 1, &keyring, &error), TEARS_INVALID);
    assert_int_equal(tears_keyring_new(&weak, 1, &keyring, &error), TEARS_INVALID);
    assert_null(strstr(error.message, "0123"));
    assert_int_equal(tears_keyring_new(NULL, 0, &keyring, &error), TEARS_LIMIT);
    assert_null(keyring);
    tears_keyring_free(NULL);
}

static tears_status seal_and_open(void)
{
    tears_keyring *keyring = NULL;
    struct tears_owned_text token = {0};
    struct tears_owned_text text = {0};
    tears_status status = tears_keyring_new(&old_secret, 1, &keyring, NULL);
    if (status == TEARS_OK)
        status = tears_keyring_seal(keyring, TEARS_STR("hello"), TEARS_STR(""), &token, NULL);
    if (status == TEARS_OK)
        status =
            tears_keyring_open(keyring, tears_owned_text_str(&token), TEARS_STR(""), &text, NULL);
    tears_owned_text_free(&text);
    tears_owned_text_free(&token);
    tears_keyring_free(keyring);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        t3_alloc_fail_at(nth);
        const tears_status status = seal_and_open();
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
        cmocka_unit_test(test_both_versions_come_back),
        cmocka_unit_test(test_what_python_sealed_opens),
        cmocka_unit_test(test_a_token_opens_in_its_context_only),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_bad_keyrings_are_refused),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
