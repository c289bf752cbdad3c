/*
 * test_secret.c -- references to secrets: what is refused, what is read, and that no value gets into a
 * message or stays in memory.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "security/sandbox_beneath.h"
#include "support/temp_folder.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <tears/secret.h>

static struct temp_folder folder;
static tears_secrets *secrets;
static struct tears_error error;

static int open_world(void **state)
{
    (void)state;
    struct tears_secrets_options options = TEARS_SECRETS_OPTIONS_INIT;
    temp_folder_make(&folder);
    temp_folder_dir(&folder, "run");
    temp_folder_dir(&folder, "run/..2026");
    temp_folder_dir(&folder, "run/dir");
    temp_folder_file(&folder, "run/..2026/token", "s3cr3t\n");
    temp_folder_link(&folder, "..2026", "run/..data"); /* as Kubernetes mounts them */
    temp_folder_link(&folder, "..data/token", "run/token");
    temp_folder_file(&folder, "run/binary", "hunter2\xff");
    temp_folder_file(&folder, "outside", "OUTSIDE");
    temp_folder_link(&folder, "../outside", "run/out");
    temp_folder_link(&folder, "/etc/hostname", "run/absolute");
    temp_folder_link(&folder, "loop", "run/loop");
    temp_folder_link(&folder, "nowhere", "run/dangling");
    options.directory = tears_str_c(temp_folder_path(&folder, "run"));
    return tears_secrets_new(&options, &secrets, NULL) == TEARS_OK ? 0 : -1;
}

static int open_world_by_walk(void **state)
{
    t3_beneath_use_openat2(false);
    return open_world(state);
}

static int close_world(void **state)
{
    (void)state;
    t3_beneath_use_openat2(true);
    tears_secrets_free(secrets);
    temp_folder_remove(&folder);
    return 0;
}

static void expect_secret(const char *reference, const char *expected)
{
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    struct tears_error why; /* of this thread */
    assert_int_equal(tears_secrets_resolve(secrets, tears_str_c(reference), &value, &why),
                     TEARS_OK);
    assert_string_equal(value.ptr, expected);
    assert_int_equal(value.len, strlen(expected));
    assert_true(value.secret); /* and so wiped at its end */
    tears_owned_text_free(&value);
}

static void expect_refused(struct tears_str reference, tears_status status, int32_t detail)
{
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    memset(&error, 0, sizeof error);
    const tears_status given = tears_secrets_resolve(secrets, reference, &value, &error);
    if (given != status || error.detail != detail)
        fail_msg("'%.*s': %s %d %s", (int)reference.len, reference.ptr, tears_status_name(given),
                 error.detail, error.message);
    assert_null(value.ptr);
}

static void files_are_read_exactly_and_below_the_directory_only(void **state)
{
    (void)state;
    expect_secret("k8s://token", "s3cr3t\n");
    expect_secret("k8s://./..data//token", "s3cr3t\n");
    expect_refused(TEARS_STR("k8s://out"), TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY);
    expect_refused(TEARS_STR("k8s://absolute"), TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY);
    expect_refused(TEARS_STR("k8s:///etc/hostname"), TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY);
    expect_refused(TEARS_STR("k8s://../outside"), TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY);
    expect_refused(TEARS_STR("k8s://dir/../token"), TEARS_DENIED, TEARS_SECRET_LEAVES_DIRECTORY);
    expect_refused(TEARS_STR("k8s://none"), TEARS_NOT_FOUND, TEARS_SECRET_NO_FILE);
    expect_refused(TEARS_STR("k8s://dangling"), TEARS_NOT_FOUND, TEARS_SECRET_NO_FILE);
    expect_refused(TEARS_STR("k8s://token/x"), TEARS_NOT_FOUND, TEARS_SECRET_NO_FILE);
    expect_refused(TEARS_STR("k8s://dir"), TEARS_UNAVAILABLE, TEARS_SECRET_READ_FAILED);
    expect_refused(TEARS_STR("k8s://loop"), TEARS_UNAVAILABLE, TEARS_SECRET_READ_FAILED);
    expect_refused(TEARS_STR("k8s://a\0b"), TEARS_UNAVAILABLE, TEARS_SECRET_READ_FAILED);
    expect_refused(TEARS_STR("k8s://binary"), TEARS_CORRUPT, TEARS_SECRET_NOT_UTF8);
    assert_null(strstr(error.message, "hunter2"));
    assert_string_equal(error.message, "secret k8s://binary: its value is not UTF-8");
}

static void a_large_file_is_refused(void **state)
{
    (void)state;
    temp_folder_file(&folder, "run/large", "x");
    assert_int_equal(truncate(temp_folder_path(&folder, "run/large"), TEARS_SECRET_BYTES_MAX), 0);
    struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_secrets_resolve(secrets, TEARS_STR("k8s://large"), &value, &error),
                     TEARS_OK);
    assert_int_equal(value.len, TEARS_SECRET_BYTES_MAX);
    tears_owned_text_free(&value);
    assert_int_equal(truncate(temp_folder_path(&folder, "run/large"), TEARS_SECRET_BYTES_MAX + 1),
                     0);
    expect_refused(TEARS_STR("k8s://large"), TEARS_LIMIT, TEARS_SECRET_TOO_LARGE);
}

static void a_directory_that_is_remounted_is_found_again(void **state)
{
    (void)state;
    char before[128];
    snprintf(before, sizeof before, "%s", temp_folder_path(&folder, "run"));
    assert_int_equal(rename(before, temp_folder_path(&folder, "old")), 0);
    expect_refused(TEARS_STR("k8s://token"), TEARS_NOT_FOUND, TEARS_SECRET_NO_FILE);
    temp_folder_dir(&folder, "run");
    temp_folder_file(&folder, "run/token", "rotated");
    expect_secret("k8s://token", "rotated");
}

static void the_environment_is_read(void **state)
{
    (void)state;
    assert_int_equal(setenv("TEARS_TEST_SECRET", "  value\n", 1), 0);
    expect_secret("env://TEARS_TEST_SECRET", "  value\n");
    expect_secret("env://TEARS_TEST_SECRET\n", "  value\n"); /* one newline at the end is dropped */
    assert_int_equal(setenv("TEARS_TEST_SECRET", "", 1), 0);
    expect_secret("env://TEARS_TEST_SECRET", "");
    assert_int_equal(setenv("TEARS_TEST_SECRET", "pw\xff", 1), 0);
    expect_refused(TEARS_STR("env://TEARS_TEST_SECRET"), TEARS_CORRUPT, TEARS_SECRET_NOT_UTF8);
    assert_null(strstr(error.message, "pw"));
    assert_int_equal(unsetenv("TEARS_TEST_SECRET"), 0);
    expect_refused(TEARS_STR("env://TEARS_TEST_SECRET"), TEARS_NOT_FOUND, TEARS_SECRET_ENV_NOT_SET);
    expect_refused(TEARS_STR("env://A\0B"), TEARS_INVALID, TEARS_SECRET_BAD_ENV_NAME);
}

/* What stands where a reference belongs is often the secret itself. */
static void what_is_no_reference_is_not_repeated(void **state)
{
    (void)state;
    static const char *const given[] = {
        "hunter2",           "postgresql://app:hunter2@db/app",
        "env://hunter2!",    "Env://hunter2",
        "env://x\nhunter2",  "https://hunter2",
        "hunter2://",        "k8s:/hunter2",
        "env://\xffhunter2",
    };
    for (size_t i = 0; i < T3_COUNT(given); i++) {
        struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
        assert_int_not_equal(tears_secrets_resolve(secrets, tears_str_c(given[i]), &value, &error),
                             TEARS_OK);
        assert_true(error.message[0] != '\0');
        assert_null(strstr(error.message, "hunter2"));
    }
}

static void an_unknown_scheme_is_told_what_is_known(void **state)
{
    (void)state;
    expect_refused(TEARS_STR("nope://x"), TEARS_UNSUPPORTED, TEARS_SECRET_UNKNOWN_SCHEME);
    assert_string_equal(error.message, "secret scheme 'nope' is not known; known are "
                                       "aws-secretsmanager, env, gcp-sm, k8s, vault");
    expect_refused(TEARS_STR("vault://x"), TEARS_UNSUPPORTED, TEARS_SECRET_NOT_IMPLEMENTED);
}

/* ---- registered schemes ------------------------------------------------------------------------ */

static tears_status echo(void *owner, struct tears_str locator,
                         const struct tears_secret_sink *sink)
{
    (void)owner;
    return sink->put(sink->owner, locator);
}

static tears_status leave_half(void *owner, struct tears_str locator,
                               const struct tears_secret_sink *sink)
{
    (void)locator;
    const tears_status status = sink->put(sink->owner, TEARS_STR("half of it"));
    return status != TEARS_OK ? status : *(tears_status *)owner;
}

static tears_status give_twice(void *owner, struct tears_str locator,
                               const struct tears_secret_sink *sink)
{
    (void)owner;
    const tears_status status = sink->put(sink->owner, locator);
    return status != TEARS_OK ? status : sink->put(sink->owner, locator);
}

static tears_status give_nothing(void *owner, struct tears_str locator,
                                 const struct tears_secret_sink *sink)
{
    (void)owner;
    (void)locator;
    (void)sink;
    return TEARS_OK;
}

static void registered_schemes_are_asked(void **state)
{
    (void)state;
    tears_status answer = TEARS_TIMEOUT;
    const struct tears_str names[] = {TEARS_STR("echo"), TEARS_STR("half"), TEARS_STR("twice"),
                                      TEARS_STR("nothing")};
    assert_int_equal(tears_secrets_register(secrets, names[0], echo, NULL, NULL), TEARS_OK);
    assert_int_equal(tears_secrets_register(secrets, names[1], leave_half, &answer, NULL),
                     TEARS_OK);
    assert_int_equal(tears_secrets_register(secrets, names[2], give_twice, NULL, NULL), TEARS_OK);
    assert_int_equal(tears_secrets_register(secrets, names[3], give_nothing, NULL, NULL), TEARS_OK);
    expect_secret("echo://a/b://c", "a/b://c");
    expect_refused(TEARS_STR("half://x"), TEARS_TIMEOUT, TEARS_SECRET_RESOLVER_FAILED);
    assert_string_equal(error.message, "secret half://x: its resolver gave TIMEOUT");
    expect_refused(TEARS_STR("twice://x"), TEARS_MISUSE, TEARS_SECRET_RESOLVER_FAILED);
    expect_refused(TEARS_STR("nothing://x"), TEARS_INTERNAL, TEARS_SECRET_RESOLVER_FAILED);
}

static void schemes_cannot_be_taken_over(void **state)
{
    (void)state;
    static const char *const names[] = {"env", "k8s", "vault", "aws-secretsmanager", "gcp-sm"};
    for (size_t i = 0; i < T3_COUNT(names); i++) {
        assert_int_equal(tears_secrets_register(secrets, tears_str_c(names[i]), echo, NULL, &error),
                         TEARS_CONFLICT);
        assert_int_equal(error.detail, TEARS_SECRET_SCHEME_EXISTS);
    }
    assert_int_equal(tears_secrets_register(secrets, TEARS_STR("x"), NULL, NULL, NULL),
                     TEARS_MISUSE);
    tears_status status = TEARS_OK;
    unsigned added = 0;
    for (; status == TEARS_OK && added < 100; added++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", added);
        status = tears_secrets_register(secrets, tears_str_c(name), echo, NULL, &error);
    }
    assert_int_equal(status, TEARS_LIMIT);
    expect_secret("s3://x", "x");
}

static void *resolve_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++)
        expect_secret("k8s://token", "s3cr3t\n");
    return NULL;
}

static void threads_share_a_resolver(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, resolve_often, NULL), 0);
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(tears_secrets_register(secrets, tears_str_c(name), echo, NULL, NULL),
                         TEARS_OK);
    }
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void every_failing_allocation_is_told(void **state)
{
    (void)state;
    static const char *const references[] = {"k8s://token", "env://PATH", "own://x"};
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY && nth < 50; nth++) {
        tears_secrets *made = NULL;
        t3_alloc_fail_at(nth);
        status = tears_secrets_new(NULL, &made, &error);
        if (status == TEARS_OK)
            status = tears_secrets_register(made, TEARS_STR("own"), echo, NULL, &error);
        t3_alloc_fail_at(0);
        tears_secrets_free(made);
    }
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(tears_secrets_register(secrets, TEARS_STR("own"), echo, NULL, NULL), TEARS_OK);
    for (size_t i = 0; i < T3_COUNT(references); i++) {
        struct tears_owned_text value = TEARS_OWNED_TEXT_INIT;
        t3_alloc_fail_at(1);
        assert_int_equal(tears_secrets_resolve(secrets, tears_str_c(references[i]), &value, &error),
                         TEARS_NO_MEMORY);
        t3_alloc_fail_at(0);
        assert_null(value.ptr);
    }
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(files_are_read_exactly_and_below_the_directory_only),
        {"files_are_read_exactly_and_below_the_directory_only (walk)",
         files_are_read_exactly_and_below_the_directory_only, open_world_by_walk, close_world,
         NULL},
        WITH_WORLD(a_large_file_is_refused),
        WITH_WORLD(a_directory_that_is_remounted_is_found_again),
        WITH_WORLD(the_environment_is_read),
        WITH_WORLD(what_is_no_reference_is_not_repeated),
        WITH_WORLD(an_unknown_scheme_is_told_what_is_known),
        WITH_WORLD(registered_schemes_are_asked),
        WITH_WORLD(schemes_cannot_be_taken_over),
        WITH_WORLD(threads_share_a_resolver),
        WITH_WORLD(every_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
