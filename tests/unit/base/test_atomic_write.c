/*
 * test_atomic_write.c -- replacing files: content, modes, links, and every way to fail.
 *
 * This program's own write, fsync and renameat stand before libc's, so that a test can make them
 * do less than they were asked to, or fail.
 */
#include "base/macros.h"
#include "support/temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <tears/file.h>

/* ---- the system, as the tests want it ---------------------------------------------------------- */

static struct {
    size_t write_max; /* a write takes no more; 0: as it is */
    int write_errno;
    int write_interrupts; /* so many writes give EINTR first */
    int sync_file_errno;
    int sync_folder_errno;
    int rename_errno;
    unsigned writes;
    unsigned file_syncs;
    unsigned folder_syncs;
    bool synced_before_rename;
} system_now;

ssize_t write(int fd, const void *bytes, size_t count)
{
    if (fd > 2) {
        system_now.writes++;
        if (system_now.write_interrupts > 0) {
            system_now.write_interrupts--;
            errno = EINTR;
            return -1;
        }
        if (system_now.write_errno != 0) {
            errno = system_now.write_errno;
            return -1;
        }
        if (system_now.write_max != 0 && count > system_now.write_max)
            count = system_now.write_max;
    }
    return syscall(SYS_write, fd, bytes, count);
}

int fsync(int fd)
{
    struct stat status;
    const bool is_folder = fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
    system_now.file_syncs += !is_folder;
    system_now.folder_syncs += is_folder;
    const int why = is_folder ? system_now.sync_folder_errno : system_now.sync_file_errno;
    if (why != 0) {
        errno = why;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    system_now.synced_before_rename = system_now.file_syncs > 0 && system_now.folder_syncs == 0;
    if (system_now.rename_errno != 0) {
        errno = system_now.rename_errno;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0u);
}

/* ---- the world --------------------------------------------------------------------------------- */

static struct temp_folder folder;
static struct tears_error error;

static int open_world(void **state)
{
    (void)state;
    temp_folder_make(&folder);
    memset(&system_now, 0, sizeof system_now);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    memset(&system_now, 0, sizeof system_now);
    temp_folder_remove(&folder);
    return 0;
}

static tears_status replace(const char *name, const char *content, uint64_t mode, uint64_t link)
{
    struct tears_file_options options = TEARS_FILE_OPTIONS_INIT;
    bool durable = false;
    options.mode = mode;
    options.link = link;
    memset(&error, 0, sizeof error);
    const tears_status status =
        tears_file_replace(tears_str_c(temp_folder_path(&folder, name)), tears_str_c(content),
                           &options, &durable, &error);
    if (status == TEARS_OK && system_now.sync_folder_errno == 0)
        assert_true(durable);
    return status;
}

static unsigned mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(temp_folder_path(&folder, name), &status), 0);
    return (unsigned)(status.st_mode & 07777);
}

/* ---- success ----------------------------------------------------------------------------------- */

static void content_is_replaced_and_synced(void **state)
{
    (void)state;
    assert_int_equal(replace("f", "one", 0, 0), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "f", "one"));
    assert_int_equal(mode_of("f"), 0600);
    assert_true(system_now.synced_before_rename);
    assert_int_equal(system_now.folder_syncs, 1);
    assert_int_equal(replace("f", "", 0, 0), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "f", ""));
    assert_int_equal(temp_folder_count(&folder, "."), 1);
}

static void short_and_interrupted_writes_go_on(void **state)
{
    (void)state;
    char content[1000];
    memset(content, 'c', sizeof content - 1);
    content[sizeof content - 1] = '\0';
    system_now.write_max = 7;
    system_now.write_interrupts = 3;
    assert_int_equal(replace("f", content, 0, 0), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "f", content));
    assert_true(system_now.writes > 999 / 7);
}

static void the_mode_is_kept_or_set_whatever_the_umask(void **state)
{
    (void)state;
    const mode_t before = umask(0077);
    assert_int_equal(replace("f", "x", 0664, 0), TEARS_OK);
    assert_int_equal(mode_of("f"), 0664);
    assert_int_equal(replace("f", "y", 0, 0), TEARS_OK);
    assert_int_equal(mode_of("f"), 0664);
    assert_int_equal(chmod(temp_folder_path(&folder, "f"), 04755), 0);
    assert_int_equal(replace("f", "z", 0, 0), TEARS_OK);
    assert_int_equal(mode_of("f"), 0755); /* new content does not inherit set-user-id */
    (void)umask(before);
}

static void the_owner_is_kept_where_that_is_allowed(void **state)
{
    (void)state;
    struct stat status;
    temp_folder_file(&folder, "f", "x");
    if (chown(temp_folder_path(&folder, "f"), 12345, 54321) != 0)
        skip(); /* only root may give files away */
    assert_int_equal(replace("f", "y", 0, 0), TEARS_OK);
    assert_int_equal(stat(temp_folder_path(&folder, "f"), &status), 0);
    assert_int_equal(status.st_uid, 12345);
    assert_int_equal(status.st_gid, 54321);
}

static void a_relative_path_and_a_long_name_work(void **state)
{
    (void)state;
    char name[256];
    char before[4096];
    memset(name, 'n', 255);
    name[255] = '\0';
    memcpy(name + 217, "\xc3\xa9", 2); /* where the temporary name is cut */
    assert_int_equal(replace(name, "x", 0, 0), TEARS_OK);
    assert_true(temp_folder_holds(&folder, name, "x"));
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder.path), 0);
    assert_int_equal(tears_file_replace(TEARS_STR("here"), TEARS_STR("y"), NULL, NULL, NULL),
                     TEARS_OK);
    assert_int_equal(chdir(before), 0);
    assert_true(temp_folder_holds(&folder, "here", "y"));
}

/* ---- links ------------------------------------------------------------------------------------- */

static void a_link_is_refused_followed_or_replaced(void **state)
{
    (void)state;
    temp_folder_dir(&folder, "real");
    temp_folder_file(&folder, "real/f", "old");
    temp_folder_link(&folder, "real/f", "second");
    temp_folder_link(&folder, "second", "link");
    assert_int_equal(replace("link", "new", 0, TEARS_FILE_LINK_REFUSE), TEARS_DENIED);
    assert_true(temp_folder_holds(&folder, "real/f", "old"));
    assert_int_equal(replace("link", "new", 0, TEARS_FILE_LINK_FOLLOW), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "real/f", "new"));
    assert_int_equal(temp_folder_count(&folder, "real"), 1);
    assert_int_equal(mode_of("link") & 0777, 0777); /* still a link */
    assert_int_equal(replace("link", "mine", 0, TEARS_FILE_LINK_REPLACE), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "link", "mine"));
    assert_int_equal(mode_of("link"), 0600);
    assert_true(temp_folder_holds(&folder, "real/f", "new"));
}

static void links_that_lead_nowhere(void **state)
{
    (void)state;
    temp_folder_link(&folder, "new", "dangling");
    temp_folder_link(&folder, "loop", "loop");
    temp_folder_link(&folder, "none/f", "astray");
    assert_int_equal(replace("dangling", "x", 0, TEARS_FILE_LINK_FOLLOW), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "new", "x"));
    assert_int_equal(replace("loop", "x", 0, TEARS_FILE_LINK_FOLLOW), TEARS_DENIED);
    assert_int_equal(replace("astray", "x", 0, TEARS_FILE_LINK_FOLLOW), TEARS_NOT_FOUND);
    assert_int_equal(temp_folder_count(&folder, "."), 4);
}

static void other_names_of_the_file_keep_the_old_content(void **state)
{
    (void)state;
    char other[128];
    temp_folder_file(&folder, "f", "old");
    snprintf(other, sizeof other, "%s/other", folder.path);
    assert_int_equal(link(temp_folder_path(&folder, "f"), other), 0);
    assert_int_equal(replace("f", "new", 0, 0), TEARS_OK);
    assert_true(temp_folder_holds(&folder, "other", "old"));
}

/* ---- failure ----------------------------------------------------------------------------------- */

static void expect_untouched(tears_status status, int32_t detail)
{
    assert_int_equal(replace("f", "new content", 0, 0), status);
    assert_int_equal(error.detail, detail);
    assert_non_null(strstr(error.message, "was not replaced"));
    assert_true(temp_folder_holds(&folder, "f", "old"));
    assert_int_equal(temp_folder_count(&folder, "."), 1);
}

static void a_failure_leaves_everything_as_it_was(void **state)
{
    (void)state;
    temp_folder_file(&folder, "f", "old");
    system_now.write_errno = ENOSPC;
    expect_untouched(TEARS_LIMIT, ENOSPC);
    system_now.write_errno = 0;
    system_now.sync_file_errno = EIO;
    expect_untouched(TEARS_UNAVAILABLE, EIO);
    system_now.sync_file_errno = 0;
    system_now.rename_errno = EACCES;
    expect_untouched(TEARS_DENIED, EACCES);
    system_now.rename_errno = 0;
    assert_int_equal(replace("f", "new", 0, 0), TEARS_OK);
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    const struct rlimit small = {4, RLIM_INFINITY};
    struct rlimit before;
    temp_folder_file(&folder, "f", "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limited = {small.rlim_cur, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
    const tears_status status = replace("f", "more than four", 0, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, TEARS_LIMIT);
    assert_true(temp_folder_holds(&folder, "f", "old"));
    assert_int_equal(temp_folder_count(&folder, "."), 1);
}

/* The file is replaced: a failure after that would be a lie (spec core.md W-44). */
static void a_folder_that_does_not_sync_is_told_apart(void **state)
{
    (void)state;
    bool durable = true;
    temp_folder_file(&folder, "f", "old");
    system_now.sync_folder_errno = EIO;
    const char *path = temp_folder_path(&folder, "f");
    assert_int_equal(
        tears_file_replace(tears_str_c(path), TEARS_STR("new"), NULL, &durable, &error), TEARS_OK);
    assert_false(durable);
    assert_true(temp_folder_holds(&folder, "f", "new"));
}

static void what_cannot_be_replaced_is_refused(void **state)
{
    (void)state;
    struct tears_file_options options = TEARS_FILE_OPTIONS_INIT;
    temp_folder_dir(&folder, "dir");
    assert_int_equal(mkfifo(temp_folder_path(&folder, "pipe"), 0600), 0);
    assert_int_equal(replace("dir", "x", 0, 0), TEARS_INVALID);
    assert_int_equal(replace("dir/", "x", 0, 0), TEARS_INVALID);
    assert_int_equal(replace("dir/..", "x", 0, 0), TEARS_INVALID);
    assert_int_equal(replace("pipe", "x", 0, 0), TEARS_INVALID);
    assert_int_equal(replace("none/f", "x", 0, 0), TEARS_NOT_FOUND);
    assert_int_equal(replace("f", "x", 01777, 0), TEARS_MISUSE);
    assert_int_equal(replace("f", "x", 0, 3), TEARS_MISUSE);
    assert_int_equal(tears_file_replace(TEARS_STR(""), TEARS_STR("x"), NULL, NULL, NULL),
                     TEARS_INVALID);
    assert_int_equal(tears_file_replace(TEARS_STR("/tmp/a\0b"), TEARS_STR("x"), NULL, NULL, NULL),
                     TEARS_INVALID);
    options.size = 3;
    assert_int_equal(tears_file_replace(TEARS_STR("/tmp/a"), TEARS_STR("x"), &options, NULL, NULL),
                     TEARS_MISUSE);
    assert_int_equal(temp_folder_count(&folder, "."), 2);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(content_is_replaced_and_synced),
        WITH_WORLD(short_and_interrupted_writes_go_on),
        WITH_WORLD(the_mode_is_kept_or_set_whatever_the_umask),
        WITH_WORLD(the_owner_is_kept_where_that_is_allowed),
        WITH_WORLD(a_relative_path_and_a_long_name_work),
        WITH_WORLD(a_link_is_refused_followed_or_replaced),
        WITH_WORLD(links_that_lead_nowhere),
        WITH_WORLD(other_names_of_the_file_keep_the_old_content),
        WITH_WORLD(a_failure_leaves_everything_as_it_was),
        WITH_WORLD(a_full_disk_is_told),
        WITH_WORLD(a_folder_that_does_not_sync_is_told_apart),
        WITH_WORLD(what_cannot_be_replaced_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
