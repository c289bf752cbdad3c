/*
 * test_journal.c -- the journal's file: what is written is there after reopening, landings and deaths, damage, a full disk.
 */
#include "deferred/journal_impl.h"

#include "base/alloc.h"
#include "base/str.h"
#include "support/journal_content.h"
#include "support/temp_folder.h"
#include "support/torn_vfs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct temp_folder folder;
    char path[128];
    char log[4096];
    struct t3_log hook;
    struct t3_journal *journal;
    struct tears_error error;
    uint64_t layout;
};

static void keep_log(void *owner, uint64_t level, const char *origin, const char *message)
{
    struct world *world = owner;
    const size_t len = strlen(world->log);
    (void)level;
    snprintf(world->log + len, sizeof world->log - len, "%s: %s\n", origin, message);
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(10000);
}

static tears_status try_open(struct world *world, uint64_t durability)
{
    const struct t3_journal_options options = {
        .path = tears_str_c(world->path), .durability = durability, .log = &world->hook};
    return t3_journal_open(&options, soon(), &world->journal, &world->error);
}

static void open_journal(struct world *world)
{
    const tears_status status = try_open(world, TEARS_DURABLE_FULL);
    if (status != TEARS_OK)
        print_error("%s\n", world->error.message);
    assert_int_equal(status, TEARS_OK);
    assert_int_equal(t3_journal_layout(world->journal, TEARS_STR("items"), TEARS_STR("layout one"),
                                       soon(), &world->layout, &world->error),
                     TEARS_OK);
}

static void reopen(struct world *world)
{
    t3_journal_free(T3_TAKE(world->journal));
    open_journal(world);
}

static int set_up(void **state)
{
    static struct world world;
    world = (struct world){0};
    temp_folder_make(&world.folder);
    snprintf(world.path, sizeof world.path, "%s/pending.db", world.folder.path);
    world.hook = (struct t3_log){.put = keep_log, .owner = &world, .level_max = 3};
    open_journal(&world);
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

static tears_status put_text(struct world *world, uint64_t *id, uint64_t seq, const char *text)
{
    struct t3_journal_put put = {
        .id = *id, .seq = seq, .layout = world->layout, .bytes = tears_str_c(text)};
    const tears_status status = t3_journal_write(world->journal, &put, 1, soon(), &world->error);
    *id = put.id;
    return status;
}

static uint64_t save(struct world *world, uint64_t seq, const char *text)
{
    uint64_t id = 0;
    assert_int_equal(put_text(world, &id, seq, text), TEARS_OK);
    return id;
}

static void read_content(struct world *world, struct journal_content *content)
{
    *content = (struct journal_content){0};
    const tears_status status = journal_content_read(world->journal, content, &world->error);
    if (status != TEARS_OK)
        print_error("%s\n", world->error.message);
    assert_int_equal(status, TEARS_OK);
}

static void assert_texts(struct world *world, const char *const *texts, size_t count)
{
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.record_count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(content.records[i].bytes, texts[i]);
    journal_content_done(&content);
}

#define ASSERT_TEXTS(world, ...)                              \
    assert_texts((world), (const char *const[]){__VA_ARGS__}, \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void exec(struct world *world, const char *sql)
{
    struct t3_lite_conn *conn = NULL;
    assert_int_equal(t3_lite_take_writer(world->journal->lite, soon(), &conn, NULL), TEARS_OK);
    if (t3_lite_exec(conn, sql, &world->error) != TEARS_OK)
        fail_msg("%s", world->error.message);
    t3_lite_give(conn);
}

/* ---- records ---- */

static void what_is_written_is_there_after_reopening_in_order(void **state)
{
    struct world *world = *state;
    const uint64_t first = save(world, 1, "one");
    const uint64_t second = save(world, 2, "two");
    assert_true(second > first);
    reopen(world);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.record_count, 2);
    assert_int_equal(content.records[0].id, first);
    assert_int_equal(content.records[0].seq, 1);
    assert_int_equal(content.records[0].layout, world->layout);
    assert_string_equal(content.records[1].bytes, "two");
    assert_int_equal(content.damaged, 0);
    journal_content_done(&content);
}

static void a_record_is_changed_in_place_and_removed(void **state)
{
    struct world *world = *state;
    uint64_t first = save(world, 1, "one");
    save(world, 2, "two");
    uint64_t third = save(world, 3, "three");
    assert_int_equal(put_text(world, &first, 4, "one again"), TEARS_OK);
    struct t3_journal_put remove = {.id = third, .remove = true};
    assert_int_equal(t3_journal_write(world->journal, &remove, 1, soon(), NULL), TEARS_OK);
    reopen(world);
    ASSERT_TEXTS(world, "one again", "two");
}

static void a_batch_is_written_as_one_commit(void **state)
{
    struct world *world = *state;
    struct t3_journal_put puts[100];
    for (size_t i = 0; i < 100; i++)
        puts[i] = (struct t3_journal_put){
            .seq = i + 1, .layout = world->layout, .bytes = TEARS_STR("many")};
    struct t3_journal_stats before;
    struct t3_journal_stats after;
    t3_journal_stats(world->journal, &before);
    assert_int_equal(t3_journal_write(world->journal, puts, 100, soon(), NULL), TEARS_OK);
    t3_journal_stats(world->journal, &after);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(after.writes - before.writes, 100);
    assert_true(after.file_bytes > 0);
    for (size_t i = 1; i < 100; i++)
        assert_int_equal(puts[i].id, puts[i - 1].id + 1);
}

static void changing_a_record_that_is_not_there_writes_nothing_at_all(void **state)
{
    struct world *world = *state;
    const uint64_t first = save(world, 1, "one");
    struct t3_journal_put remove = {.id = first, .remove = true};
    assert_int_equal(t3_journal_write(world->journal, &remove, 1, soon(), NULL), TEARS_OK);
    struct t3_journal_put puts[2] = {
        {.seq = 5, .layout = world->layout, .bytes = TEARS_STR("new")},
        {.id = first, .seq = 6, .layout = world->layout, .bytes = TEARS_STR("gone")}};
    assert_int_equal(t3_journal_write(world->journal, puts, 2, soon(), &world->error),
                     TEARS_CORRUPT);
    assert_int_equal(puts[0].id, 0); /* as it was */
    assert_non_null(strstr(world->error.message, "not in the journal"));
    assert_texts(world, NULL, 0);
}

static void numbers_are_never_given_twice(void **state)
{
    struct world *world = *state;
    const struct t3_journal_ref none = {0};
    uint64_t last_id = 0;
    uint64_t last_batch = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t batch = 0;
        const uint64_t id = save(world, 1, "one");
        assert_true(id > last_id);
        struct t3_journal_put remove = {.id = id, .remove = true};
        assert_int_equal(t3_journal_write(world->journal, &remove, 1, soon(), NULL), TEARS_OK);
        assert_int_equal(t3_journal_fly(world->journal, &none, 0, soon(), &batch, NULL), TEARS_OK);
        assert_true(batch > last_batch);
        const struct t3_journal_landing landing = {.batch = batch};
        assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
        last_id = id;
        last_batch = batch;
        reopen(world);
    }
}

static void the_log_keeps_its_id_and_counts_its_owners(void **state)
{
    struct world *world = *state;
    char id[37];
    memcpy(id, t3_journal_id(world->journal), sizeof id);
    assert_int_equal(strlen(id), 36);
    assert_int_equal(t3_journal_epoch(world->journal), 1);
    reopen(world);
    assert_string_equal(t3_journal_id(world->journal), id);
    assert_int_equal(t3_journal_epoch(world->journal), 2);
}

static void the_same_layout_has_the_same_number(void **state)
{
    struct world *world = *state;
    uint64_t other = 0;
    uint64_t again = 0;
    uint64_t of_other_table = 0;
    struct t3_journal *journal = world->journal;
    assert_int_equal(t3_journal_layout(journal, TEARS_STR("items"), TEARS_STR("layout two"), soon(),
                                       &other, NULL),
                     TEARS_OK);
    assert_int_equal(t3_journal_layout(journal, TEARS_STR("items"), TEARS_STR("layout one"), soon(),
                                       &again, NULL),
                     TEARS_OK);
    assert_int_equal(t3_journal_layout(journal, TEARS_STR("other"), TEARS_STR("layout one"), soon(),
                                       &of_other_table, NULL),
                     TEARS_OK);
    assert_int_equal(again, world->layout);
    assert_int_not_equal(other, world->layout);
    assert_true(of_other_table != other && of_other_table != world->layout);
    const uint64_t first = world->layout;
    reopen(world);
    assert_int_equal(world->layout, first);
}

/* ---- flights and landings ---- */

static void a_flight_is_found_after_a_crash_until_it_has_landed(void **state)
{
    struct world *world = *state;
    const struct t3_journal_ref refs[] = {{save(world, 1, "one"), 1}, {save(world, 2, "two"), 2}};
    uint64_t batch = 0;
    assert_int_equal(t3_journal_fly(world->journal, refs, 2, soon(), &batch, NULL), TEARS_OK);
    reopen(world);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.flight_count, 1);
    assert_int_equal(content.flights[0].batch, batch);
    assert_int_equal(content.flights[0].count, 2);
    assert_memory_equal(content.flights[0].refs, refs, sizeof refs);
    assert_int_equal(content.layout_count, 1);
    journal_content_done(&content);
    const struct t3_journal_landing landing = {.batch = batch, .landed = refs, .landed_count = 2};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
    reopen(world);
    read_content(world, &content);
    assert_int_equal(content.flight_count, 0);
    assert_int_equal(content.record_count, 0);
    journal_content_done(&content);
}

/* What was written while the batch was under way has another seq. */
static void trap_17_a_record_that_was_changed_since_does_not_land(void **state)
{
    struct world *world = *state;
    uint64_t id = save(world, 1, "one");
    const struct t3_journal_ref ref = {id, 1};
    uint64_t batch = 0;
    assert_int_equal(t3_journal_fly(world->journal, &ref, 1, soon(), &batch, NULL), TEARS_OK);
    assert_int_equal(put_text(world, &id, 2, "newer"), TEARS_OK);
    const struct t3_journal_landing landing = {.batch = batch, .landed = &ref, .landed_count = 1};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
    ASSERT_TEXTS(world, "newer");
}

/* Many at once, in any order; between them stand records that are no part of the batch, are gone, or were changed since. */
static void of_a_large_batch_exactly_what_is_unchanged_lands(void **state)
{
    enum { COUNT = 1000 };
    struct world *world = *state;
    struct t3_journal_put puts[COUNT];
    struct t3_journal_ref refs[COUNT];
    size_t ref_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < COUNT; i++)
        puts[i] = (struct t3_journal_put){
            .seq = i + 1, .layout = world->layout, .bytes = TEARS_STR("many")};
    assert_int_equal(t3_journal_write(world->journal, puts, COUNT, soon(), NULL), TEARS_OK);
    for (size_t i = 0; i < COUNT; i++) {
        const size_t at = i * 7919 % COUNT; /* each once */
        const bool stays_out = at % 13 == 0 || (at > 300 && at < 350);
        if (!stays_out)
            refs[ref_count++] = (struct t3_journal_ref){puts[at].id, puts[at].seq};
        puts[at].remove = at % 17 == 0 && !stays_out;
        puts[at].seq += !stays_out && !puts[at].remove && at % 11 == 0 ? COUNT : 0;
        kept += stays_out || puts[at].seq > COUNT ? 1 : 0;
    }
    assert_int_equal(t3_journal_write(world->journal, puts, COUNT, soon(), NULL), TEARS_OK);
    const struct t3_journal_landing landing = {.landed = refs, .landed_count = ref_count};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.record_count, kept);
    for (size_t i = 0; i < COUNT; i++) {
        const bool stays_out = i % 13 == 0 || (i > 300 && i < 350);
        const bool is_there = journal_content_find(&content, puts[i].id) != NULL;
        assert_int_equal(is_there, stays_out || puts[i].seq > COUNT);
    }
    journal_content_done(&content);
}

static uint64_t bury(struct world *world, const char *text)
{
    const uint64_t id = save(world, 1, text);
    const struct t3_journal_death death = {.id = id,
                                           .dependants = 3,
                                           .sqlstate = TEARS_STR("23502"),
                                           .message = TEARS_STR("null value in column n")};
    const struct t3_journal_landing landing = {.deaths = &death, .death_count = 1};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
    return id;
}

static void a_landing_is_one_step(void **state)
{
    struct world *world = *state;
    const struct t3_journal_ref landed = {save(world, 1, "lands"), 1};
    const uint64_t dies = save(world, 2, "dies");
    const struct t3_journal_death death = {
        .id = dies, .sqlstate = TEARS_STR("23514"), .message = TEARS_STR("no")};
    struct t3_journal_put put = {.seq = 3, .layout = world->layout, .bytes = TEARS_STR("follows")};
    const struct t3_journal_landing landing = {.landed = &landed,
                                               .landed_count = 1,
                                               .deaths = &death,
                                               .death_count = 1,
                                               .puts = &put,
                                               .put_count = 1};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
    reopen(world);
    ASSERT_TEXTS(world, "follows");
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    assert_int_equal(stats.dead, 1);
}

static void the_death_of_a_record_that_is_not_there_is_refused(void **state)
{
    struct world *world = *state;
    const struct t3_journal_ref landed = {save(world, 1, "stays"), 1};
    const struct t3_journal_death death = {.id = 999999};
    const struct t3_journal_landing landing = {
        .landed = &landed, .landed_count = 1, .deaths = &death, .death_count = 1};
    assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_CORRUPT);
    ASSERT_TEXTS(world, "stays");
}

/* ---- dead letters that are to be tried again ---- */

static void marked_letters_come_back_as_the_last_records(void **state)
{
    struct world *world = *state;
    const uint64_t dead = bury(world, "again");
    bury(world, "stays dead");
    const uint64_t waiting = save(world, 2, "waiting");
    struct journal_content content = {0};
    const struct t3_journal_reader reader = journal_content_reader(&content);
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 0); /* nobody has marked any */
    char sql[80];
    snprintf(sql, sizeof sql, "UPDATE dead SET marked=1 WHERE id=%llu", (unsigned long long)dead);
    exec(world, sql);
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 1);
    assert_string_equal(content.records[0].bytes, "again");
    assert_int_equal(content.records[0].seq, 9);
    assert_true(content.records[0].id > waiting);
    journal_content_done(&content);
    reopen(world);
    ASSERT_TEXTS(world, "waiting", "again");
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    assert_int_equal(stats.dead, 1);
}

static void what_the_reader_could_not_take_is_given_again(void **state)
{
    struct world *world = *state;
    bury(world, "a");
    bury(world, "b");
    bury(world, "c");
    exec(world, "UPDATE dead SET marked=1");
    struct journal_content content = {.fails_after = 1};
    const struct t3_journal_reader reader = journal_content_reader(&content);
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL),
                     TEARS_NO_MEMORY);
    content.fails_after = 0;
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 3);
    assert_string_equal(content.records[1].bytes, "b");
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 3);
    journal_content_done(&content);
}

static void a_damaged_letter_is_not_tried_again(void **state)
{
    struct world *world = *state;
    bury(world, "damaged");
    exec(world, "UPDATE dead SET marked=1, bytes=x'00'");
    struct journal_content content = {0};
    const struct t3_journal_reader reader = journal_content_reader(&content);
    assert_int_equal(t3_journal_take_marked(world->journal, &reader, 9, soon(), NULL), TEARS_OK);
    assert_int_equal(content.record_count, 0);
    assert_non_null(strstr(world->log, "is damaged and cannot be tried again"));
    journal_content_done(&content);
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    assert_int_equal(stats.dead, 1);
}

/* ---- damage ---- */

static void a_damaged_record_becomes_a_dead_letter(void **state)
{
    struct world *world = *state;
    save(world, 1, "before");
    const uint64_t damaged = save(world, 2, "damaged");
    save(world, 3, "behind");
    char sql[80];
    snprintf(sql, sizeof sql, "UPDATE record SET bytes=x'64' WHERE id=%llu",
             (unsigned long long)damaged);
    exec(world, sql);
    reopen(world);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.damaged, 1);
    assert_int_equal(content.record_count, 2);
    journal_content_done(&content);
    struct t3_journal_stats stats;
    t3_journal_stats(world->journal, &stats);
    assert_int_equal(stats.dead, 1);
    assert_int_equal(stats.damaged, 1);
    snprintf(sql, sizeof sql, "record %llu is damaged", (unsigned long long)damaged);
    assert_non_null(strstr(world->log, sql));
    ASSERT_TEXTS(world, "before", "behind");
}

/* Bytes that are right, at the wrong place: a page of another time. */
static void a_record_that_stands_in_another_s_place_is_damaged(void **state)
{
    struct world *world = *state;
    save(world, 1, "old");
    exec(world, "UPDATE record SET seq=2");
    reopen(world);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.damaged, 1);
    journal_content_done(&content);
}

static void records_of_a_damaged_layout_become_dead_letters(void **state)
{
    struct world *world = *state;
    save(world, 1, "one");
    exec(world, "UPDATE layout SET bytes=x'00'");
    t3_journal_free(T3_TAKE(world->journal));
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_OK);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.damaged, 1);
    assert_int_equal(content.layout_count, 0);
    assert_non_null(strstr(world->log, "of table 'items' is damaged"));
    journal_content_done(&content);
}

static void a_damaged_flight_fails_the_recovery_and_says_what_to_do(void **state)
{
    struct world *world = *state;
    const struct t3_journal_ref ref = {save(world, 1, "one"), 1};
    uint64_t batch = 0;
    assert_int_equal(t3_journal_fly(world->journal, &ref, 1, soon(), &batch, NULL), TEARS_OK);
    exec(world, "UPDATE flight SET records=x'00'");
    struct journal_content content = {0};
    assert_int_equal(journal_content_read(world->journal, &content, &world->error), TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "batch 1 is damaged"));
    assert_non_null(strstr(world->error.message, "Nothing was deleted"));
    journal_content_done(&content);
}

static void overwrite(const char *path, long at, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void a_damaged_file_is_left_alone_and_the_message_says_what_to_do(void **state)
{
    struct world *world = *state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint64_t i = 1; i < 200; i++)
        save(world, i, text);
    t3_journal_free(T3_TAKE(world->journal));
    static const char noise[4096 * 20] = {1, 2, 3};
    overwrite(world->path, 4096L * 10, noise, sizeof noise);
    const tears_status opened = try_open(world, TEARS_DURABLE_FULL);
    struct journal_content content = {0};
    const tears_status status =
        opened != TEARS_OK ? opened : journal_content_read(world->journal, &content, &world->error);
    assert_int_equal(status, TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "Nothing was deleted"));
    assert_non_null(strstr(world->error.message, ".recover"));
    assert_non_null(strstr(world->error.message, world->path));
    journal_content_done(&content);
}

static void files_of_something_else_are_refused_and_not_changed(void **state)
{
    struct world *world = *state;
    snprintf(world->path, sizeof world->path, "%s", temp_folder_path(&world->folder, "text"));
    temp_folder_file(&world->folder, "text", "this is no database, but it is long enough to look");
    t3_journal_free(T3_TAKE(world->journal));
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_CORRUPT);
    assert_true(temp_folder_holds(&world->folder, "text",
                                  "this is no database, but it is long enough to look"));
    snprintf(world->path, sizeof world->path, "%s", temp_folder_path(&world->folder, "other.db"));
    struct t3_lite *other = NULL;
    struct t3_lite_conn *conn = NULL;
    const struct t3_lite_options options = {.path = tears_str_c(world->path), .origin = "test"};
    assert_int_equal(t3_lite_open(&options, soon(), &other, NULL), TEARS_OK);
    assert_int_equal(t3_lite_take_writer(other, soon(), &conn, NULL), TEARS_OK);
    assert_int_equal(t3_lite_exec(conn, "CREATE TABLE theirs (a)", NULL), TEARS_OK);
    t3_lite_give(conn);
    t3_lite_free(other);
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_CORRUPT);
    assert_non_null(strstr(world->error.message, "something else"));
}

static void a_newer_format_is_refused(void **state)
{
    struct world *world = *state;
    exec(world, "PRAGMA user_version=2");
    t3_journal_free(T3_TAKE(world->journal));
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_UNSUPPORTED);
    assert_non_null(strstr(world->error.message, "format 2"));
}

/* ---- in memory ---- */

static void in_memory_there_is_no_file_and_numbers_work_the_same(void **state)
{
    struct world *world = *state;
    t3_journal_free(T3_TAKE(world->journal));
    snprintf(world->path, sizeof world->path, "%s", temp_folder_path(&world->folder, "none.db"));
    assert_int_equal(try_open(world, TEARS_DURABLE_NONE), TEARS_OK);
    assert_int_equal(t3_journal_path(world->journal).len, 0);
    assert_int_equal(t3_journal_layout(world->journal, TEARS_STR("items"), TEARS_STR("layout one"),
                                       soon(), &world->layout, NULL),
                     TEARS_OK);
    const uint64_t first = save(world, 1, "one");
    assert_int_equal(save(world, 2, "two"), first + 1);
    uint64_t batch = 0;
    const struct t3_journal_ref ref = {first, 1};
    assert_int_equal(t3_journal_fly(world->journal, &ref, 1, soon(), &batch, NULL), TEARS_OK);
    assert_int_equal(batch, 1);
    bury(world, "dies");
    assert_non_null(strstr(world->log, "was refused, and is lost"));
    assert_non_null(strstr(world->log, "null value in column n (23502)"));
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.record_count, 0);
    journal_content_done(&content);
    assert_int_not_equal(access(world->path, F_OK), 0);
    t3_journal_touch(world->journal);
    assert_false(t3_journal_is_lost(world->journal));
}

/* ---- a disk that is full, folders that cannot be written ---- */

static void a_full_disk_loses_nothing_and_later_saves_work(void **state)
{
    struct world *world = *state;
    t3_journal_free(T3_TAKE(world->journal));
    torn_begin(1, 0);
    const struct t3_journal_options options = {
        .path = tears_str_c(world->path), .log = &world->hook, .vfs = TORN_VFS};
    assert_int_equal(t3_journal_open(&options, soon(), &world->journal, &world->error), TEARS_OK);
    save(world, 1, "before");
    torn_fill_disk(true);
    uint64_t id = 0;
    assert_int_equal(put_text(world, &id, 2, "too much"), TEARS_LIMIT);
    assert_int_equal(id, 0);
    assert_true(world->error.detail != 0);
    assert_non_null(strstr(world->error.message, "full"));
    assert_int_equal(put_text(world, &id, 2, "too much"), TEARS_LIMIT);
    torn_fill_disk(false);
    save(world, 3, "behind");
    ASSERT_TEXTS(world, "before", "behind");
    t3_journal_free(T3_TAKE(world->journal));
    torn_end();
    open_journal(world);
    ASSERT_TEXTS(world, "before", "behind");
}

/* The same with the kernel's own refusal. */
static void a_file_size_limit_is_a_full_disk(void **state)
{
    struct world *world = *state;
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    assert_int_equal(sigaction(SIGXFSZ, &ignore, &before), 0);
    save(world, 1, "before");
    const struct rlimit small = {.rlim_cur = 200000, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    tears_status status = TEARS_OK;
    uint64_t saved = 1;
    while (status == TEARS_OK && saved < 1000) {
        uint64_t id = 0;
        status = put_text(world, &id, saved + 1, "more and more");
        saved += status == TEARS_OK ? 1 : 0;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, TEARS_LIMIT);
    save(world, 5000, "behind");
    assert_int_equal(sigaction(SIGXFSZ, &before, NULL), 0);
    reopen(world);
    struct journal_content content;
    read_content(world, &content);
    assert_int_equal(content.record_count, saved + 1);
    journal_content_done(&content);
}

static void a_folder_that_is_not_there_is_unavailable(void **state)
{
    struct world *world = *state;
    t3_journal_free(T3_TAKE(world->journal));
    snprintf(world->path, sizeof world->path, "%s/nowhere/pending.db", world->folder.path);
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_UNAVAILABLE);
    assert_non_null(strstr(world->error.message, "no such directory"));
    world->path[0] = '\0';
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_INVALID);
}

static void a_folder_that_cannot_be_written_is_denied(void **state)
{
    struct world *world = *state;
    if (geteuid() == 0) { /* nothing is denied to root */
        const uint64_t id = save(world, 1, "one");
        assert_true(id > 0);
        return;
    }
    t3_journal_free(T3_TAKE(world->journal));
    assert_int_equal(chmod(world->folder.path, 0500), 0);
    snprintf(world->path, sizeof world->path, "%s/new.db", world->folder.path);
    assert_int_equal(try_open(world, TEARS_DURABLE_FULL), TEARS_DENIED);
    assert_non_null(strstr(world->error.message, "permission denied"));
    assert_int_equal(chmod(world->folder.path, 0700), 0);
}

/* ---- out of memory ---- */

static tears_status work(struct world *world, uint64_t *saved)
{
    struct t3_journal_put puts[2] = {{.seq = 1, .layout = world->layout, .bytes = TEARS_STR("a")},
                                     {.seq = 2, .layout = world->layout, .bytes = TEARS_STR("b")}};
    uint64_t layout;
    uint64_t batch;
    T3_TRY(try_open(world, TEARS_DURABLE_FULL));
    T3_TRY(t3_journal_layout(world->journal, TEARS_STR("t"), TEARS_STR("l"), soon(), &layout,
                             &world->error));
    T3_TRY(t3_journal_write(world->journal, puts, 2, soon(), &world->error));
    *saved += 2;
    const struct t3_journal_ref ref = {puts[0].id, 1};
    T3_TRY(t3_journal_fly(world->journal, &ref, 1, soon(), &batch, &world->error));
    struct journal_content content = {0};
    const tears_status status = journal_content_read(world->journal, &content, &world->error);
    const bool is_whole = content.record_count == *saved;
    journal_content_done(&content);
    T3_TRY(status);
    assert_true(is_whole);
    const struct t3_journal_landing landing = {.batch = batch, .landed = &ref, .landed_count = 1};
    T3_TRY(t3_journal_land(world->journal, &landing, soon(), &world->error));
    *saved -= 1;
    return TEARS_OK;
}

static void every_failure_of_memory_is_reported_and_nothing_is_lost(void **state)
{
    struct world *world = *state;
    t3_journal_free(T3_TAKE(world->journal));
    uint64_t saved = 0;
    for (uint64_t fail_at = 1; fail_at < 1000; fail_at++) {
        t3_alloc_fail_at(fail_at);
        const tears_status status = work(world, &saved);
        const bool is_over = t3_alloc_count() < fail_at;
        t3_alloc_fail_at(0);
        assert_true(status == TEARS_OK || status == TEARS_NO_MEMORY);
        t3_journal_free(T3_TAKE(world->journal));
        open_journal(world);
        struct journal_content content;
        read_content(world, &content);
        assert_int_equal(content.record_count, saved);
        for (size_t i = 0; i < content.flight_count; i++) {
            const struct t3_journal_landing landing = {.batch = content.flights[i].batch};
            assert_int_equal(t3_journal_land(world->journal, &landing, soon(), NULL), TEARS_OK);
        }
        journal_content_done(&content);
        t3_journal_free(T3_TAKE(world->journal));
        if (is_over)
            return;
    }
    fail();
}

static void a_save_allocates_nothing(void **state)
{
    struct world *world = *state;
    uint64_t id = save(world, 1, "first");
    assert_int_equal(put_text(world, &id, 2, "first change"), TEARS_OK);
    t3_alloc_fail_at(UINT64_MAX);
    const uint64_t before = t3_alloc_count();
    save(world, 3, "second");
    assert_int_equal(put_text(world, &id, 4, "second change"), TEARS_OK);
    assert_int_equal(t3_alloc_count() - before, 0);
    t3_alloc_fail_at(0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(what_is_written_is_there_after_reopening_in_order),
        CASE(a_record_is_changed_in_place_and_removed),
        CASE(a_batch_is_written_as_one_commit),
        CASE(changing_a_record_that_is_not_there_writes_nothing_at_all),
        CASE(numbers_are_never_given_twice),
        CASE(the_log_keeps_its_id_and_counts_its_owners),
        CASE(the_same_layout_has_the_same_number),
        CASE(a_flight_is_found_after_a_crash_until_it_has_landed),
        CASE(trap_17_a_record_that_was_changed_since_does_not_land),
        CASE(of_a_large_batch_exactly_what_is_unchanged_lands),
        CASE(a_landing_is_one_step),
        CASE(the_death_of_a_record_that_is_not_there_is_refused),
        CASE(marked_letters_come_back_as_the_last_records),
        CASE(what_the_reader_could_not_take_is_given_again),
        CASE(a_damaged_letter_is_not_tried_again),
        CASE(a_damaged_record_becomes_a_dead_letter),
        CASE(a_record_that_stands_in_another_s_place_is_damaged),
        CASE(records_of_a_damaged_layout_become_dead_letters),
        CASE(a_damaged_flight_fails_the_recovery_and_says_what_to_do),
        CASE(a_damaged_file_is_left_alone_and_the_message_says_what_to_do),
        CASE(files_of_something_else_are_refused_and_not_changed),
        CASE(a_newer_format_is_refused),
        CASE(in_memory_there_is_no_file_and_numbers_work_the_same),
        CASE(a_full_disk_loses_nothing_and_later_saves_work),
        CASE(a_file_size_limit_is_a_full_disk),
        CASE(a_folder_that_is_not_there_is_unavailable),
        CASE(a_folder_that_cannot_be_written_is_denied),
        CASE(every_failure_of_memory_is_reported_and_nothing_is_lost),
        CASE(a_save_allocates_nothing),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
