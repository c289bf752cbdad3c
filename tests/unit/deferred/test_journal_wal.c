/*
 * test_journal_wal.c -- the end of the write-ahead log: what is damaged is kept aside and told, what is normal is not.
 */
#include "deferred/journal_impl.h"

#include "support/journal_content.h"
#include "support/temp_folder.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { HEADER = 32, FRAME = 24 + 4096, SAVES = 6 };

struct world {
    struct temp_folder folder;
    char path[128];
    char wal[140];
    char log[4096];
    struct t3_log hook;
    struct t3_journal *journal;
    struct tears_error error;
};

static void keep_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct world *world = owner;
    const size_t len = strlen(world->log);
    (void)origin;
    snprintf(world->log + len, sizeof world->log - len, "%d %s\n", (int)level, message);
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(10000);
}

static tears_status try_open(struct world *world)
{
    const struct t3_journal_options options = {.path = tears_str_c(world->path),
                                               .log = &world->hook};
    return t3_journal_open(&options, soon(), &world->journal, &world->error);
}

static void save(struct t3_journal *journal, uint64_t seq)
{
    struct t3_journal_put put = {.seq = seq, .layout = 1, .bytes = TEARS_STR("a pending row")};
    if (t3_journal_write(journal, &put, 1, soon(), NULL) != TEARS_OK)
        _exit(1);
}

/* A process that saves some rows and dies, so that they are in the WAL. */
static void write_and_die(struct world *world, uint64_t saves)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (try_open(world) != TEARS_OK)
            _exit(1);
        for (uint64_t i = 1; i <= saves; i++)
            save(world->journal, i);
        _exit(0); /* nothing is closed */
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){0};
    temp_folder_make(&world.folder);
    snprintf(world.path, sizeof world.path, "%s/pending.db", world.folder.path);
    snprintf(world.wal, sizeof world.wal, "%s-wal", world.path);
    world.hook = (struct t3_log){.put = keep_log, .owner = &world, .level_max = 3};
    write_and_die(&world, SAVES);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    t3_journal_free(world->journal);
    temp_folder_remove(&world->folder);
    return 0;
}

static long size_of(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (long)file.st_size : -1;
}

static void change_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int byte = getc(file);
    assert_int_not_equal(byte, EOF);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(putc(byte ^ 0x5a, file), byte ^ 0x5a);
    assert_int_equal(fclose(file), 0);
}

/* The size of the one file that was kept aside; -1: there is none. */
static long kept_aside(struct world *world)
{
    DIR *folder = opendir(world->folder.path);
    long size = -1;
    assert_non_null(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (strncmp(entry->d_name, "pending.db.damaged-", 19) == 0)
            size = size_of(temp_folder_path(&world->folder, entry->d_name));
    (void)closedir(folder);
    return size;
}

static size_t reopened(struct world *world)
{
    struct journal_content content = {0};
    if (try_open(world) != TEARS_OK)
        fail_msg("%s", world->error.message);
    assert_int_equal(journal_content_read(world->journal, &content, NULL), TEARS_OK);
    const size_t count = content.record_count;
    journal_content_done(&content);
    return count;
}

static uint64_t damaged(struct world *world)
{
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    return stats.damaged;
}

/* ---- what a file may look like ---- */

static void after_kill_nothing_is_said(void **state)
{
    struct world *world = *state;
    assert_int_equal(reopened(world), SAVES);
    assert_int_equal(kept_aside(world), -1);
    assert_int_equal(damaged(world), 0);
    assert_string_equal(world->log, "");
}

static void damage_in_the_middle_of_the_wal_is_kept_aside_and_told(void **state)
{
    struct world *world = *state;
    const long size = size_of(world->wal);
    const long frames = (size - HEADER) / FRAME;
    change_byte(world->wal, HEADER + (frames - 3) * FRAME + 24 + 4000); /* the third from the end */
    assert_int_equal(reopened(world), SAVES - 3);
    assert_int_equal(kept_aside(world), HEADER + 3 * FRAME);
    assert_int_equal(damaged(world), 1);
    assert_non_null(strstr(world->log, "at least 2 commits that were durable are missing"));
    assert_int_equal(world->log[0], '0'); /* an error */
}

static void a_frame_whose_salt_is_damaged_hides_nothing(void **state)
{
    struct world *world = *state;
    const long frames = (size_of(world->wal) - HEADER) / FRAME;
    change_byte(world->wal, HEADER + (frames - 2) * FRAME + 9);
    assert_int_equal(reopened(world), SAVES - 2);
    assert_int_equal(kept_aside(world), HEADER + 2 * FRAME);
}

static void a_torn_last_write_is_kept_aside_with_a_warning(void **state)
{
    struct world *world = *state;
    assert_int_equal(truncate(world->wal, size_of(world->wal) - 1000), 0);
    assert_int_equal(reopened(world), SAVES - 1);
    assert_int_equal(kept_aside(world), HEADER + FRAME - 1000);
    assert_int_equal(world->log[0],
                     '1'); /* a warning: nobody may have been told that it is durable */
}

static void a_damaged_header_is_told_and_the_whole_wal_kept(void **state)
{
    struct world *world = *state;
    const long size = size_of(world->wal);
    change_byte(world->wal, 17);
    assert_int_equal(try_open(world), TEARS_OK); /* with what is in the database file: nothing */
    assert_int_equal(kept_aside(world), size);
    assert_int_equal(damaged(world), 1);
    assert_non_null(strstr(world->log, "its header is damaged"));
}

static void a_wal_without_its_database_is_not_deleted(void **state)
{
    struct world *world = *state;
    const long size = size_of(world->wal);
    assert_int_equal(rename(world->path, temp_folder_path(&world->folder, "elsewhere")), 0);
    assert_int_equal(try_open(world), TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "put the file back"));
    assert_int_equal(size_of(world->wal), size);
    assert_int_equal(rename(temp_folder_path(&world->folder, "elsewhere"), world->path), 0);
    assert_int_equal(reopened(world), SAVES);
}

/* Frames of the cycle before stand behind those of this one: they are no damage. */
static void leftovers_of_an_earlier_cycle_are_no_damage(void **state)
{
    struct world *world = *state;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (try_open(world) != TEARS_OK)
            _exit(1);
        for (uint64_t i = 1; i <= 20; i++)
            save(world->journal, i);
        /* A reader in an old state would keep the WAL from being truncated; a passive checkpoint lets it stand. */
        struct t3_lite_conn *conn = NULL;
        int64_t ignored;
        if (t3_lite_take_writer(world->journal->lite, soon(), &conn, NULL) != TEARS_OK ||
            t3_lite_int(conn, "PRAGMA wal_checkpoint(RESTART)", &ignored, NULL) != TEARS_OK)
            _exit(1);
        t3_lite_give(conn);
        save(world->journal, 21);
        save(world->journal, 22);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
    assert_true(size_of(world->wal) > HEADER + 10 * FRAME);
    assert_int_equal(reopened(world), SAVES + 22);
    assert_int_equal(kept_aside(world), -1);
    assert_string_equal(world->log, "");
}

/* Every byte of a small WAL, damaged: never a crash, never a record that was not written, and either nothing is missing or it is told. */
static void no_damage_goes_untold(void **state)
{
    struct world *world = *state;
    const long size = size_of(world->wal);
    char *saved = malloc((size_t)size);
    FILE *file = fopen(world->wal, "rb");
    assert_non_null(saved);
    assert_non_null(file);
    assert_int_equal(fread(saved, 1, (size_t)size, file), (size_t)size);
    assert_int_equal(fclose(file), 0);
    char main_copy[160];
    snprintf(main_copy, sizeof main_copy, "%s", temp_folder_path(&world->folder, "main.copy"));
    char command[700];
    snprintf(command, sizeof command, "cp %s %s", world->path, main_copy);
    assert_int_equal(system(command), 0);
    for (long at = HEADER; at < size; at += 1021) {
        snprintf(command, sizeof command, "cp %s %s; rm -f %s-shm %s.damaged-*", main_copy,
                 world->path, world->path, world->path);
        assert_int_equal(system(command), 0);
        file = fopen(world->wal, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(saved, 1, (size_t)size, file), (size_t)size);
        assert_int_equal(fclose(file), 0);
        change_byte(world->wal, at);
        world->log[0] = '\0';
        bool is_told = true;
        if (try_open(world) == TEARS_OK) {
            struct journal_content content = {0};
            assert_int_equal(journal_content_read(world->journal, &content, NULL), TEARS_OK);
            is_told = content.record_count == SAVES || kept_aside(world) > 0;
            journal_content_done(&content);
            t3_journal_free(T3_TAKE(world->journal));
        }
        if (!is_told)
            fail_msg("damage at byte %ld went untold", at);
    }
    free(saved);
}

/* ---- the parser ---- */

struct memory {
    const uint8_t *bytes;
    uint64_t size;
};

static bool read_memory(void *owner, uint64_t at, void *to, size_t len)
{
    const struct memory *memory = owner;
    if (at > memory->size || len > memory->size - at)
        return false;
    memcpy(to, memory->bytes + at, len);
    return true;
}

static struct t3_wal_report check(const uint8_t *bytes, uint64_t size)
{
    struct memory memory = {bytes, size};
    const struct t3_wal_source source = {.read = read_memory, .owner = &memory, .size = size};
    struct t3_wal_report report;
    assert_int_equal(t3_wal_check(&source, &report), TEARS_OK);
    return report;
}

static void short_and_blank_files_hold_nothing(void **state)
{
    (void)state;
    static const uint8_t blank[9000];
    assert_int_equal(check(blank, 0).tail_bytes, 0);
    assert_int_equal(check(blank, 31).tail_bytes, 0);
    assert_int_equal(check(blank, sizeof blank).tail_bytes, 0);
    static const uint8_t noise[200] = {1, 2, 3};
    assert_true(check(noise, sizeof noise).is_header_damaged);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(after_kill_nothing_is_said),
        CASE(damage_in_the_middle_of_the_wal_is_kept_aside_and_told),
        CASE(a_frame_whose_salt_is_damaged_hides_nothing),
        CASE(a_torn_last_write_is_kept_aside_with_a_warning),
        CASE(a_damaged_header_is_told_and_the_whole_wal_kept),
        CASE(a_wal_without_its_database_is_not_deleted),
        CASE(leftovers_of_an_earlier_cycle_are_no_damage),
        CASE(no_damage_goes_untold),
        cmocka_unit_test(short_and_blank_files_hold_nothing),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
