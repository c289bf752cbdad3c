/*
 * test_sandbox.c -- policies, keys, opening below roots (by the kernel and by our walk), resolving.
 */
#include "base/alloc.h"
#include "base/macros.h"
#include "security/sandbox_beneath.h"
#include "support/temp_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <tears/sandbox.h>

static struct temp_folder folder;
static tears_sandbox *sandbox;
static struct tears_error error;

static const struct tears_str reads[] = {{"**/*.txt", 8}, {"links/**", 8}, {"*", 1}};
static const struct tears_str writes[] = {{"out/**", 6}, {"escape/**", 9}};

static struct tears_sandbox_options options_for(struct tears_sandbox_root *root)
{
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    root->name = TEARS_STR("r");
    root->path = tears_str_c(temp_folder_path(&folder, "top_link")); /* links in it are resolved */
    options.roots = root;
    options.root_count = 1;
    options.allow_read = reads;
    options.allow_read_count = T3_COUNT(reads);
    options.allow_write = writes;
    options.allow_write_count = T3_COUNT(writes);
    return options;
}

static int open_world(void)
{
    struct tears_sandbox_root root;
    temp_folder_make(&folder);
    temp_folder_dir(&folder, "top");
    temp_folder_link(&folder, "top", "top_link");
    temp_folder_dir(&folder, "top/sub");
    temp_folder_dir(&folder, "top/out");
    temp_folder_dir(&folder, "top/links");
    temp_folder_dir(&folder, "top/private");
    temp_folder_file(&folder, "top/sub/a.txt", "text");
    temp_folder_file(&folder, "top/private/key", "key");
    temp_folder_file(&folder, "secret.txt", "OUTSIDE");
    temp_folder_link(&folder, "../sub/a.txt", "top/links/good");
    temp_folder_link(&folder, "../private/key", "top/links/private");
    temp_folder_link(&folder, "../../secret.txt", "top/links/escape");
    temp_folder_link(&folder, "/etc/hostname", "top/links/absolute");
    temp_folder_link(&folder, "loop", "top/links/loop");
    temp_folder_link(&folder, "..", "top/escape");
    temp_folder_link(&folder, "new.txt", "top/out/dangling");
    assert_int_equal(mkfifo(temp_folder_path(&folder, "top/pipe.txt"), 0600), 0);
    const struct tears_sandbox_options options = options_for(&root);
    return tears_sandbox_new(&options, &sandbox, &error) == TEARS_OK ? 0 : -1;
}

static int open_by_kernel(void **state)
{
    (void)state;
    t3_beneath_use_openat2(true);
    return open_world();
}

static int open_by_walk(void **state)
{
    (void)state;
    t3_beneath_use_openat2(false);
    return open_world();
}

static int close_world(void **state)
{
    (void)state;
    t3_beneath_use_openat2(true);
    tears_sandbox_free(sandbox);
    temp_folder_remove(&folder);
    return 0;
}

/* ---- policies ---------------------------------------------------------------------------------- */

static tears_status allow(void *owner, struct tears_str action, struct tears_str target,
                          struct tears_error *why)
{
    (void)action;
    (void)target;
    (void)why;
    return *(tears_status *)owner;
}

static void anything_but_yes_is_no(void **state)
{
    (void)state;
    tears_status answer = TEARS_OK;
    struct tears_policy policy = TEARS_POLICY_INIT;
    assert_int_equal(tears_policy_enforce(&policy, TEARS_STR("a"), TEARS_STR("t"), NULL),
                     TEARS_DENIED); /* no check */
    policy.owner = &answer;
    policy.check = allow;
    assert_int_equal(tears_policy_enforce(&policy, TEARS_STR("a"), TEARS_STR("t"), &error),
                     TEARS_OK);
    answer = TEARS_UNAVAILABLE;
    assert_int_equal(tears_policy_enforce(&policy, TEARS_STR("write"), TEARS_STR("a/b"), &error),
                     TEARS_DENIED);
    assert_string_equal(error.message, "sandbox denied 'write' on 'a/b': policy denied");
    answer = TEARS_OK;
    policy.size = 0;
    assert_int_equal(tears_policy_enforce(&policy, TEARS_STR("a"), TEARS_STR("t"), NULL),
                     TEARS_DENIED);
}

static void a_sandbox_is_a_policy(void **state)
{
    (void)state;
    struct tears_policy policy = TEARS_POLICY_INIT;
    tears_sandbox_policy(sandbox, &policy);
    assert_int_equal(tears_policy_enforce(&policy, TEARS_STR("read"), TEARS_STR("sub/a.txt"), NULL),
                     TEARS_OK);
    assert_int_equal(
        tears_policy_enforce(&policy, TEARS_STR("write"), TEARS_STR("sub/a.txt"), &error),
        TEARS_DENIED);
    assert_int_equal(error.detail, TEARS_SANDBOX_NO_MATCH);
    assert_string_equal(error.message, "sandbox denied 'write' on 'sub/a.txt': "
                                       "no write-mode allow glob matched 'sub/a.txt'");
}

/* ---- keys -------------------------------------------------------------------------------------- */

static void expect_key(struct tears_str key, int32_t detail)
{
    memset(&error, 0, sizeof error);
    const tears_status status = tears_sandbox_check(sandbox, TEARS_STR("read"), key, &error);
    if ((status != TEARS_OK) != (detail != 0) || error.detail != detail)
        fail_msg("'%.*s': %s %d", (int)key.len, key.ptr, tears_status_name(status), error.detail);
}

static void keys_are_strict(void **state)
{
    (void)state;
    char long_key[513];
    memset(long_key, 'a', sizeof long_key);
    expect_key(tears_str_n(long_key, 512), 0);
    expect_key(tears_str_n(long_key, 513), TEARS_SANDBOX_TOO_LONG);
    for (size_t i = 0; i < 512; i += 2)
        memcpy(long_key + i, "\xc3\xa9", 2);
    expect_key(tears_str_n(long_key, 512), 0); /* bytes count, not characters (W S13) */
    expect_key(TEARS_STR(""), TEARS_SANDBOX_EMPTY);
    expect_key(TEARS_STR("a\tb\nc"), 0);
    expect_key(TEARS_STR("a\0b"), TEARS_SANDBOX_CONTROL_CHARACTER);
    expect_key(TEARS_STR("a\x7f"), TEARS_SANDBOX_CONTROL_CHARACTER);
    expect_key(TEARS_STR("a\xc2\x85"), TEARS_SANDBOX_CONTROL_CHARACTER);
    expect_key(TEARS_STR("a\xc2\xa0"), 0);
    expect_key(TEARS_STR("a\xff"), TEARS_SANDBOX_NOT_UTF8);
    expect_key(TEARS_STR("/a"), TEARS_SANDBOX_ABSOLUTE_PATH);
    expect_key(TEARS_STR("a/../b"), TEARS_SANDBOX_PARENT_REFERENCE);
    expect_key(TEARS_STR("..a"), 0);
    expect_key(TEARS_STR("."), TEARS_SANDBOX_ROOT_ITSELF);
    expect_key(TEARS_STR(".//./"), TEARS_SANDBOX_ROOT_ITSELF);
    expect_key(TEARS_STR("private/key"), TEARS_SANDBOX_NO_MATCH);
    assert_int_equal(tears_sandbox_check(sandbox, TEARS_STR("delete"), TEARS_STR("a"), &error),
                     TEARS_DENIED);
    assert_int_equal(error.detail, TEARS_SANDBOX_UNKNOWN_ACTION);
    assert_non_null(strstr(error.message, "action 'delete' not in allowed actions (read, write)"));
}

static void messages_are_one_printable_line(void **state)
{
    (void)state;
    char key[512];
    memset(key, 'k', sizeof key);
    assert_int_equal(
        tears_sandbox_check(sandbox, TEARS_STR("write"), tears_str_n(key, 512), &error),
        TEARS_DENIED);
    assert_non_null(strstr(error.message, "no write-mode allow glob matched 'kkk"));
    assert_non_null(strstr(error.message, "...'"));
    assert_int_equal(tears_sandbox_check_key(TEARS_STR("it's\x1b[2J\n\\\xc2\x9b\xff"), &error),
                     TEARS_DENIED);
    assert_string_equal(error.message,
                        "sandbox denied 'access' on 'it\\'s\\x1b[2J\\n\\\\\\x9b\\xff': "
                        "key is not UTF-8");
}

/* ---- opening ----------------------------------------------------------------------------------- */

static tears_status open_file(const char *key, uint64_t flags, int *fd)
{
    struct tears_sandbox_request request = TEARS_SANDBOX_REQUEST_INIT;
    request.root = TEARS_STR("r");
    request.key = tears_str_c(key);
    request.flags = flags;
    memset(&error, 0, sizeof error);
    return tears_sandbox_open(sandbox, &request, fd, &error);
}

static void expect_denied(const char *key, uint64_t flags, int32_t detail)
{
    int fd = -7;
    const tears_status status = open_file(key, flags, &fd);
    if (status != TEARS_DENIED || error.detail != detail)
        fail_msg("%s: %s %d %s", key, tears_status_name(status), error.detail, error.message);
    assert_int_equal(fd, -7);
}

static void expect_content(const char *key, uint64_t flags, const char *content)
{
    char found[64] = "";
    int fd = -1;
    assert_int_equal(open_file(key, flags, &fd), TEARS_OK);
    assert_true(read(fd, found, sizeof found - 1) >= 0);
    assert_string_equal(found, content);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(close(fd), 0);
}

static void files_are_read(void **state)
{
    (void)state;
    int fd = -1;
    expect_content("sub/a.txt", TEARS_SANDBOX_OPEN_READ, "text");
    expect_content("./sub//a.txt", TEARS_SANDBOX_OPEN_READ, "text");
    assert_int_equal(open_file("sub/none.txt", TEARS_SANDBOX_OPEN_READ, &fd), TEARS_NOT_FOUND);
    assert_int_equal(open_file("sub/a.txt/b.txt", TEARS_SANDBOX_OPEN_READ, &fd), TEARS_NOT_FOUND);
    expect_denied("private/key", TEARS_SANDBOX_OPEN_READ, TEARS_SANDBOX_NO_MATCH);
    expect_denied("sub/a.txt", TEARS_SANDBOX_OPEN_READ | TEARS_SANDBOX_OPEN_WRITE,
                  TEARS_SANDBOX_NO_MATCH);
    expect_denied("sub", TEARS_SANDBOX_OPEN_READ, TEARS_SANDBOX_NOT_REGULAR);
    expect_denied("sub/a.txt/", TEARS_SANDBOX_OPEN_READ, TEARS_SANDBOX_NOT_REGULAR);
    expect_denied("pipe.txt", TEARS_SANDBOX_OPEN_READ,
                  TEARS_SANDBOX_NOT_REGULAR); /* without waiting */
}

static void links_are_followed_when_asked_and_allowed(void **state)
{
    (void)state;
    const uint64_t follow = TEARS_SANDBOX_OPEN_READ | TEARS_SANDBOX_OPEN_FOLLOW;
    expect_denied("links/good", TEARS_SANDBOX_OPEN_READ, TEARS_SANDBOX_LINK);
    expect_content("links/good", follow, "text");
    expect_denied("links/escape", follow, TEARS_SANDBOX_ESCAPES_ROOT);
    expect_denied("links/absolute", follow, TEARS_SANDBOX_ESCAPES_ROOT);
    expect_denied("links/loop", follow, TEARS_SANDBOX_LINK);
    /* the name is allowed, what it leads to is not: the lists cannot be passed by a link inside the root */
    expect_denied("links/private", follow, TEARS_SANDBOX_NO_MATCH);
    expect_denied("escape/x", TEARS_SANDBOX_OPEN_WRITE | TEARS_SANDBOX_OPEN_CREATE,
                  TEARS_SANDBOX_LINK);
    expect_denied("escape/x",
                  TEARS_SANDBOX_OPEN_WRITE | TEARS_SANDBOX_OPEN_CREATE | TEARS_SANDBOX_OPEN_FOLLOW,
                  TEARS_SANDBOX_ESCAPES_ROOT);
}

static void put(const char *key, uint64_t flags, const char *content)
{
    int fd = -1;
    assert_int_equal(open_file(key, TEARS_SANDBOX_OPEN_WRITE | flags, &fd), TEARS_OK);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(close(fd), 0);
}

static void files_are_written(void **state)
{
    (void)state;
    int fd = -1;
    struct stat status;
    assert_int_equal(open_file("out/f", TEARS_SANDBOX_OPEN_WRITE, &fd), TEARS_NOT_FOUND);
    put("out/f", TEARS_SANDBOX_OPEN_CREATE | TEARS_SANDBOX_OPEN_EXCLUSIVE, "first");
    assert_int_equal(stat(temp_folder_path(&folder, "top/out/f"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    put("out/f", TEARS_SANDBOX_OPEN_APPEND, "+");
    assert_true(temp_folder_holds(&folder, "top/out/f", "first+"));
    put("out/f", TEARS_SANDBOX_OPEN_TRUNCATE, "2");
    assert_true(temp_folder_holds(&folder, "top/out/f", "2"));
    assert_int_equal(open_file("out/f",
                               TEARS_SANDBOX_OPEN_WRITE | TEARS_SANDBOX_OPEN_CREATE |
                                   TEARS_SANDBOX_OPEN_EXCLUSIVE,
                               &fd),
                     TEARS_CONFLICT);
    /* a dangling link makes no file, unless it is to be followed; then below the root only */
    expect_denied("out/dangling", TEARS_SANDBOX_OPEN_WRITE | TEARS_SANDBOX_OPEN_CREATE,
                  TEARS_SANDBOX_LINK);
    put("out/dangling", TEARS_SANDBOX_OPEN_CREATE | TEARS_SANDBOX_OPEN_FOLLOW, "new");
    assert_true(temp_folder_holds(&folder, "top/out/new.txt", "new"));
}

static void requests_must_make_sense(void **state)
{
    (void)state;
    int fd = -1;
    struct tears_sandbox_request request = TEARS_SANDBOX_REQUEST_INIT;
    assert_int_equal(open_file("a.txt", 0, &fd), TEARS_MISUSE);
    assert_int_equal(open_file("a.txt", 128 | TEARS_SANDBOX_OPEN_READ, &fd), TEARS_MISUSE);
    assert_int_equal(open_file("a.txt", TEARS_SANDBOX_OPEN_READ | TEARS_SANDBOX_OPEN_TRUNCATE, &fd),
                     TEARS_MISUSE);
    assert_int_equal(
        open_file("out/a", TEARS_SANDBOX_OPEN_WRITE | TEARS_SANDBOX_OPEN_EXCLUSIVE, &fd),
        TEARS_MISUSE);
    request.root = TEARS_STR("other");
    request.key = TEARS_STR("a");
    request.flags = TEARS_SANDBOX_OPEN_READ;
    assert_int_equal(tears_sandbox_open(sandbox, &request, &fd, &error), TEARS_INVALID);
    assert_int_equal(error.detail, TEARS_SANDBOX_UNKNOWN_ROOT);
    assert_int_equal(fd, -1);
}

/* ---- resolving --------------------------------------------------------------------------------- */

static void expect_resolved(const char *path, const char *expected)
{
    struct tears_owned_text found = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(
        tears_sandbox_resolve(sandbox, TEARS_STR("r"), tears_str_c(path), &found, &error),
        TEARS_OK);
    assert_string_equal(found.ptr, temp_folder_path(&folder, expected));
    tears_owned_text_free(&found);
}

static void expect_not_resolved(struct tears_str path, tears_status status, int32_t detail)
{
    struct tears_owned_text found = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_sandbox_resolve(sandbox, TEARS_STR("r"), path, &found, &error), status);
    assert_null(found.ptr);
    if (detail != 0)
        assert_int_equal(error.detail, detail);
}

static void paths_are_resolved(void **state)
{
    (void)state;
    char deep[2 * 70 + 1] = "";
    expect_resolved("", "top");
    expect_resolved(".", "top");
    expect_resolved("links/good", "top/sub/a.txt");
    expect_resolved("new/../sub/./x/y", "top/sub/x/y");
    expect_resolved("out/dangling", "top/out/new.txt");
    expect_not_resolved(TEARS_STR("links/loop"), TEARS_DENIED, TEARS_SANDBOX_LINK);
    expect_not_resolved(TEARS_STR("links/escape"), TEARS_DENIED, TEARS_SANDBOX_ESCAPES_ROOT);
    expect_not_resolved(TEARS_STR("../top"), TEARS_DENIED, TEARS_SANDBOX_ESCAPES_ROOT);
    expect_not_resolved(TEARS_STR("/etc"), TEARS_DENIED, TEARS_SANDBOX_ABSOLUTE_PATH);
    expect_not_resolved(TEARS_STR("a\0b"), TEARS_INVALID, 0);
    expect_not_resolved(TEARS_STR("sub/a.txt/x"), TEARS_NOT_FOUND, 0);
    for (size_t i = 0; i < 70; i++)
        memcpy(deep + 2 * i, "a/", 2);
    expect_not_resolved(tears_str_n(deep, 140), TEARS_INVALID, 0);
}

/* The kernel keeps the folder for us; its name may be another's by now. */
static void a_renamed_root_stays_the_root(void **state)
{
    (void)state;
    char before[128];
    snprintf(before, sizeof before, "%s", temp_folder_path(&folder, "top"));
    assert_int_equal(rename(before, temp_folder_path(&folder, "moved")), 0);
    temp_folder_dir(&folder, "top");
    temp_folder_dir(&folder, "top/sub");
    temp_folder_file(&folder, "top/sub/a.txt", "another");
    expect_content("sub/a.txt", TEARS_SANDBOX_OPEN_READ, "text");
}

/* ---- making one -------------------------------------------------------------------------------- */

static tears_status make(const struct tears_sandbox_root *roots, size_t count)
{
    tears_sandbox *made = NULL;
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    options.roots = roots;
    options.root_count = count;
    const tears_status status = tears_sandbox_new(&options, &made, &error);
    tears_sandbox_free(made);
    return status;
}

static void roots_are_checked(void **state)
{
    (void)state;
    const struct tears_sandbox_root same[] = {{TEARS_STR("a"), TEARS_STR("/tmp")},
                                              {TEARS_STR("a"), TEARS_STR("/")}};
    const struct tears_sandbox_root nameless = {TEARS_STR(""), TEARS_STR("/tmp")};
    const struct tears_sandbox_root missing = {TEARS_STR("a"), TEARS_STR("/nowhere/at/all")};
    const struct tears_sandbox_root file = {TEARS_STR("a"), TEARS_STR("/etc/passwd")};
    const struct tears_sandbox_root nul = {TEARS_STR("a"), TEARS_STR("/tmp\0x")};
    const struct tears_sandbox_root relative = {TEARS_STR("a"), TEARS_STR("..")};
    assert_int_equal(make(same, 2), TEARS_INVALID);
    assert_int_equal(make(&nameless, 1), TEARS_INVALID);
    assert_int_equal(make(&missing, 1), TEARS_NOT_FOUND);
    assert_int_equal(make(&file, 1), TEARS_NOT_FOUND);
    assert_int_equal(make(&nul, 1), TEARS_INVALID);
    assert_int_equal(make(&relative, 1), TEARS_OK);
}

static void the_top_of_the_system_can_be_a_root(void **state)
{
    (void)state;
    const struct tears_sandbox_root top = {TEARS_STR("r"), TEARS_STR("/")};
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    tears_sandbox *all = NULL;
    struct tears_owned_text found = TEARS_OWNED_TEXT_INIT;
    options.roots = &top;
    options.root_count = 1;
    assert_int_equal(tears_sandbox_new(&options, &all, &error), TEARS_OK);
    assert_int_equal(
        tears_sandbox_resolve(all, TEARS_STR("r"), TEARS_STR("etc/passwd"), &found, &error),
        TEARS_OK);
    assert_string_equal(found.ptr, "/etc/passwd");
    tears_owned_text_free(&found);
    assert_int_equal(tears_sandbox_resolve(all, TEARS_STR("r"), TEARS_STR(""), &found, &error),
                     TEARS_OK);
    assert_string_equal(found.ptr, "/");
    tears_owned_text_free(&found);
    tears_sandbox_free(all);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void every_failing_allocation_is_told(void **state)
{
    (void)state;
    struct tears_sandbox_root root;
    struct tears_sandbox_options options = options_for(&root);
    char pattern[512];
    struct tears_str many[64];
    memset(pattern, 'p', sizeof pattern);
    for (size_t i = 0; i < T3_COUNT(many); i++)
        many[i] = tears_str_n(pattern, sizeof pattern); /* more than one block of the arena */
    options.allow_read = many;
    options.allow_read_count = T3_COUNT(many);
    const unsigned before = open_descriptors();
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY; nth++) {
        tears_sandbox *made = NULL;
        struct tears_owned_text path = TEARS_OWNED_TEXT_INIT;
        t3_alloc_fail_at(nth);
        status = tears_sandbox_new(&options, &made, &error);
        if (status == TEARS_OK)
            status = tears_sandbox_resolve(made, TEARS_STR("r"), TEARS_STR("a"), &path, &error);
        t3_alloc_fail_at(0);
        if (status != TEARS_OK)
            assert_int_equal(error.status, TEARS_NO_MEMORY);
        tears_owned_text_free(&path);
        tears_sandbox_free(made);
        assert_int_equal(open_descriptors(), before);
        assert_true(nth < 50);
    }
    assert_int_equal(status, TEARS_OK);
}

#define BOTH_WAYS(test)                                            \
    {#test " (openat2)", test, open_by_kernel, close_world, NULL}, \
    {                                                              \
#test " (walk)", test, open_by_walk, close_world, NULL     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anything_but_yes_is_no),
        BOTH_WAYS(a_sandbox_is_a_policy),
        BOTH_WAYS(keys_are_strict),
        BOTH_WAYS(messages_are_one_printable_line),
        BOTH_WAYS(files_are_read),
        BOTH_WAYS(links_are_followed_when_asked_and_allowed),
        BOTH_WAYS(files_are_written),
        BOTH_WAYS(requests_must_make_sense),
        BOTH_WAYS(paths_are_resolved),
        BOTH_WAYS(a_renamed_root_stays_the_root),
        BOTH_WAYS(roots_are_checked),
        BOTH_WAYS(the_top_of_the_system_can_be_a_root),
        BOTH_WAYS(every_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
