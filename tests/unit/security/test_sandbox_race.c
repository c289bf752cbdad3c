/*
 * test_sandbox_race.c -- another process renames folders and swaps links while files are opened: nothing
 * outside the root is ever opened, by the kernel's way and by ours.
 *
 * The file inside says INSIDE, those outside say OUTSIDE, and all have the same names.  The attacker exchanges a folder
 * with a link out, a file with a link out, and moves a folder out while a path with ".." is walked.
 * To run it for long: TEARS_RACE_SECONDS=60 build/dev/tests/test_sandbox_race
 */
#include "base/clock.h"
#include "base/macros.h"
#include "security/sandbox_beneath.h"
#include "support/temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <tears/sandbox.h>

enum { RENAME_EXCHANGE_FLAG = 2 };

static struct temp_folder folder;
static tears_sandbox *sandbox;
static pid_t attacker;
static uint64_t run_ms = 1500;

static void make_world(void)
{
    temp_folder_make(&folder);
    temp_folder_dir(&folder, "root");
    temp_folder_dir(&folder, "root/dir");
    temp_folder_dir(&folder, "root/a");
    temp_folder_dir(&folder, "root/a/b");
    temp_folder_dir(&folder, "outside");
    temp_folder_dir(&folder, "outside/x");
    temp_folder_file(&folder, "root/dir/file", "INSIDE");
    temp_folder_file(&folder, "root/file", "INSIDE");
    temp_folder_file(&folder, "root/plain", "INSIDE");
    temp_folder_file(&folder, "file", "OUTSIDE");
    temp_folder_file(&folder, "outside/file", "OUTSIDE");
    temp_folder_link(&folder, "../outside", "root/dir_link");
    temp_folder_link(&folder, "../outside/file", "root/file_link");
    temp_folder_link(&folder, "dir/file", "root/good_link");
    temp_folder_link(&folder, "a/b/../../file", "root/up_link");
}

static void exchange(int base, const char *a, const char *b)
{
    (void)syscall(SYS_renameat2, base, a, base, b, RENAME_EXCHANGE_FLAG);
}

/* Never returns. */
static void attack(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
    const int base = open(folder.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (;;) {
        exchange(base, "root/dir", "root/dir_link");
        exchange(base, "root/plain", "root/file_link");
        (void)renameat(base, "root/a/b", base, "outside/x/b");
        exchange(base, "root/dir", "root/dir_link");
        exchange(base, "root/plain", "root/file_link");
        (void)renameat(base, "outside/x/b", base, "root/a/b");
    }
}

static int start(void **state)
{
    (void)state;
    const struct tears_str all[] = {TEARS_STR("**/*")};
    struct tears_sandbox_root root = {TEARS_STR("r"), {NULL, 0}};
    struct tears_sandbox_options options = TEARS_SANDBOX_OPTIONS_INIT;
    const char *seconds = getenv("TEARS_RACE_SECONDS");
    if (seconds != NULL)
        run_ms = (uint64_t)strtoul(seconds, NULL, 10) * 1000 / 2;
    make_world();
    root.path = tears_str_c(temp_folder_path(&folder, "root"));
    options.roots = &root;
    options.root_count = 1;
    options.allow_read = all;
    options.allow_read_count = 1;
    assert_int_equal(tears_sandbox_new(&options, &sandbox, NULL), TEARS_OK);
    attacker = fork();
    if (attacker == 0)
        attack();
    return attacker > 0 ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    int status = 0;
    kill(attacker, SIGKILL);
    waitpid(attacker, &status, 0);
    tears_sandbox_free(sandbox);
    temp_folder_remove(&folder);
    return 0;
}

struct counts {
    uint64_t opened;
    uint64_t refused;
};

static void check_content(int fd, const char *path)
{
    char content[16] = "";
    assert_true(read(fd, content, sizeof content - 1) >= 0);
    assert_int_equal(close(fd), 0);
    if (strcmp(content, "INSIDE") != 0)
        fail_msg("%s gave '%s'", path, content);
}

static void open_key(const char *key, uint64_t flags, struct counts *counts)
{
    struct tears_sandbox_request request = TEARS_SANDBOX_REQUEST_INIT;
    struct tears_error error;
    int fd = -1;
    request.root = TEARS_STR("r");
    request.key = tears_str_c(key);
    request.flags = TEARS_SANDBOX_OPEN_READ | flags;
    const tears_status status = tears_sandbox_open(sandbox, &request, &fd, &error);
    if (status == TEARS_OK)
        check_content(fd, key);
    else if (status != TEARS_DENIED && status != TEARS_NOT_FOUND && error.detail != EAGAIN)
        fail_msg("%s: %s", key, error.message);
    counts->opened += status == TEARS_OK;
    counts->refused += status != TEARS_OK;
}

/* Paths with "..", which keys may not have but links do. */
static void open_path(int root, const char *path, struct counts *counts)
{
    const struct t3_beneath_how how = {.flags = O_RDONLY, .follow = true};
    int fd = -1;
    const int rc = t3_beneath_open(root, tears_str_c(path), &how, &fd);
    if (rc == 0)
        check_content(fd, path);
    counts->opened += rc == 0;
    counts->refused += rc != 0;
}

static void race(bool use_openat2)
{
    static const char *const keys[] = {"dir/file",  "dir_link/file", "plain",   "file_link",
                                       "good_link", "up_link",       "up_link", "dir/../file"};
    struct counts counts = {0};
    const int root = open(temp_folder_path(&folder, "root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct t3_deadline end = t3_deadline_in_ms(run_ms);
    t3_beneath_use_openat2(use_openat2);
    for (size_t i = 0; !t3_deadline_passed(end); i++) {
        const char *key = keys[i % T3_COUNT(keys)];
        open_path(root, key, &counts);
        open_path(root, "a/b/../../file", &counts);
        open_path(root, "a/b/../../../file", &counts);
        open_key(key, 0, &counts);
        open_key(key, TEARS_SANDBOX_OPEN_FOLLOW, &counts);
    }
    t3_beneath_use_openat2(true);
    assert_int_equal(close(root), 0);
    printf("%llu opened, %llu refused, none outside\n", (unsigned long long)counts.opened,
           (unsigned long long)counts.refused);
    assert_true(counts.opened > 100 && counts.refused > 100); /* both sides of the race were met */
}

static void the_kernels_way_does_not_escape(void **state)
{
    (void)state;
    race(true);
}

static void our_walk_does_not_escape(void **state)
{
    (void)state;
    race(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernels_way_does_not_escape),
        cmocka_unit_test(our_walk_does_not_escape),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
