/*
 * test_pages.c -- pages through a collection: every row once, in order, from wherever one was.
 */
#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROWS = 37 };

static struct embedded world;
static tears_collection *notes;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                         "body TEXT, stars BIGINT, row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    embedded_sql(&world, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                         "37) INSERT INTO notes SELECT i * 10, 'title ' || i % 5, "
                         "CASE WHEN i % 3 > 0 THEN 'body ' || i % 4 END, "
                         "CASE WHEN i % 7 > 0 THEN i % 7 END, 1 FROM n");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

/* The ids of all pages, in the order they came. */
static size_t ids_of_all_pages(struct tears_page_options *options, int64_t *ids_out)
{
    size_t count = 0;
    options->cursor = TEARS_STR("");
    do {
        struct tears_page page;
        if (tears_page_read(world.session, notes, options, &page) != TEARS_OK)
            fail_msg("page: %s", tears_session_error(world.session)->message);
        assert_true(page.count <= options->row_max);
        assert_true(page.next_cursor.len == 0 || page.count == options->row_max);
        for (size_t i = 0; i < page.count; i++) {
            assert_true(count < ROWS);
            ids_out[count++] = embedded_int(page.entities[i], "id");
        }
        options->cursor = page.next_cursor;
    } while (options->cursor.len > 0);
    return count;
}

/* The same from one statement of SQL. */
static size_t ids_of_sql(const char *where, const char *order, int64_t *ids_out)
{
    char sql[256];
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t columns;
    size_t count = 0;
    snprintf(sql, sizeof sql, "SELECT id FROM notes WHERE %s ORDER BY %s", where, order);
    assert_int_equal(tears_query(world.session, tears_str_c(sql), NULL, 0, &cursor), TEARS_OK);
    while (tears_cursor_next(cursor, &fields, &columns) == TEARS_OK)
        ids_out[count++] = fields[0].value.as.integer;
    return count;
}

static void assert_pages(struct tears_page_options *options, const char *where, const char *order)
{
    int64_t wanted[ROWS];
    int64_t got[ROWS];
    const size_t count = ids_of_sql(where, order, wanted);
    static const uint64_t sizes[] = {1, 2, 3, 7, 36, 37, 38, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        options->row_max = sizes[i];
        assert_int_equal(ids_of_all_pages(options, got), count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(got[k], wanted[k]);
        tears_session_reset(world.session);
    }
}

static void every_row_once_in_both_directions(void **state)
{
    (void)state;
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    assert_pages(&options, "true", "id");
    options.descending = 1;
    assert_pages(&options, "true", "id DESC");
}

/* NULLs come last in both directions; rows that are equal in all named columns go by key. */
static void other_orders_and_nulls(void **state)
{
    (void)state;
    const struct tears_str columns[] = {TEARS_STR("body"), TEARS_STR("stars")};
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    options.order_by = columns;
    options.order_by_count = 2;
    assert_pages(&options, "true", "body NULLS LAST, stars NULLS LAST, id");
    options.descending = 1;
    assert_pages(&options, "true", "body DESC NULLS LAST, stars DESC NULLS LAST, id DESC");
    const struct tears_str twice[] = {TEARS_STR("title"), TEARS_STR("id"), TEARS_STR("title")};
    options.descending = 0;
    options.order_by = twice;
    options.order_by_count = 3;
    assert_pages(&options, "true", "title, id");
}

static void filters_choose_rows(void **state)
{
    (void)state;
    const struct tears_str order = TEARS_STR("stars");
    const struct tears_field filters[] = {field_text("title", "title 2"),
                                          tears_field_of(TEARS_STR("body"), tears_null())};
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    options.filters = filters;
    options.filter_count = 1;
    assert_pages(&options, "title = 'title 2'", "id");
    options.order_by = &order;
    options.order_by_count = 1;
    assert_pages(&options, "title = 'title 2'", "stars NULLS LAST, id");
    options.filter_count = 2; /* NULL equals NULL here */
    assert_pages(&options, "title = 'title 2' AND body IS NULL", "stars NULLS LAST, id");
    const struct tears_field nothing = field_text("title", "no such title");
    options.filters = &nothing;
    options.filter_count = 1;
    assert_pages(&options, "false", "id");
}

/* Rows that come and go while one is paging neither hide nor repeat those that stay. */
static void paging_while_rows_come_and_go(void **state)
{
    (void)state;
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    struct tears_page page;
    int64_t seen[ROWS * 10 + 100] = {0};
    int64_t fresh = 0;
    options.row_max = 4;
    do {
        assert_int_equal(tears_page_read(world.session, notes, &options, &page), TEARS_OK);
        for (size_t i = 0; i < page.count; i++)
            seen[embedded_int(page.entities[i], "id")]++;
        char sql[160]; /* one row before where we are, one after it; and one we have seen goes */
        snprintf(sql, sizeof sql,
                 "INSERT INTO notes (id, title, row_version) VALUES (%lld, 'n', 1), (%lld, 'n', 1)",
                 (long long)(1 + fresh), (long long)(ROWS * 10 + 1 + fresh));
        fresh++;
        embedded_sql(&world, sql);
        embedded_sql(&world, "DELETE FROM notes WHERE id = 10");
        options.cursor = page.next_cursor;
    } while (options.cursor.len > 0 && fresh < 9);
    for (int64_t id = 10; id <= 360; id += 10)
        if (seen[id] != 1)
            fail_msg("row %lld was seen %lld times", (long long)id, (long long)seen[id]);
    for (size_t id = 0; id < sizeof seen / sizeof seen[0]; id++)
        assert_true(seen[id] <= 1);
}

static void pages_fill_no_cache(void **state)
{
    (void)state;
    struct tears_page page;
    assert_int_equal(tears_page_read(world.session, notes, NULL, &page), TEARS_OK);
    assert_int_equal(page.count, ROWS);
    assert_int_equal(page.next_cursor.len, 0);
    const struct tears_value key = tears_int(10);
    assert_false(tears_exists_in_l1(world.session, notes, &key, 1));
    const struct tears_field change = field_text("title", "changed"); /* but can be changed */
    assert_int_equal(tears_update(world.session, page.entities[0], &change, 1, NULL), TEARS_OK);
}

static void assert_refused(struct tears_page_options *options, tears_status status,
                           const char *word)
{
    struct tears_page page;
    assert_int_equal(tears_page_read(world.session, notes, options, &page), status);
    if (strstr(tears_session_error(world.session)->message, word) == NULL)
        fail_msg("'%s' is not in: %s", word, tears_session_error(world.session)->message);
}

static void cursors_of_something_else_are_refused(void **state)
{
    (void)state;
    static const char *const garbage[] = {"x",
                                          "!!!!",
                                          "bnVsbA==",
                                          "e30=",
                                          "WzEsMl0=" /* [1,2] */,
                                          "WyJ4Il0=" /* ["x"] */,
                                          "W251bGxd" /* [null] */,
                                          "W3siYSI6MX1d" /* [{"a":1}] */};
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct tears_page page = {.count = 77};
        options.cursor = tears_str_c(garbage[i]);
        const tears_status status = tears_page_read(world.session, notes, &options, &page);
        if (strcmp(garbage[i], "W251bGxd") == 0)
            continue; /* a key that is NULL is nowhere in the table: an empty page will do as well */
        if (status != TEARS_INVALID)
            fail_msg("%s: %s", garbage[i], tears_status_name(status));
        assert_int_equal(page.count, 77);
    }
    /* a cursor of the order (title, id) for the order (id) */
    const struct tears_str order = TEARS_STR("title");
    struct tears_page page;
    options.cursor = TEARS_STR("");
    options.order_by = &order;
    options.order_by_count = 1;
    options.row_max = 3;
    assert_int_equal(tears_page_read(world.session, notes, &options, &page), TEARS_OK);
    options.cursor = page.next_cursor;
    options.order_by_count = 0;
    assert_refused(&options, TEARS_INVALID, "cursor");
}

static void options_that_make_no_sense(void **state)
{
    (void)state;
    struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
    const struct tears_str column = TEARS_STR("titel");
    const struct tears_field filter = field_text("titel", "x");
    const struct tears_field wrong = field_text("stars", "x");
    options.order_by = &column;
    options.order_by_count = 1;
    assert_refused(&options, TEARS_INVALID, "'titel'");
    options.order_by_count = 0;
    options.filters = &filter;
    options.filter_count = 1;
    assert_refused(&options, TEARS_INVALID, "'titel'");
    options.filters = &wrong;
    assert_refused(&options, TEARS_INVALID, "stars");
    options.filter_count = 0;
    options.row_max = UINT64_MAX;
    assert_refused(&options, TEARS_LIMIT, "limit");
    options.size = 3;
    assert_refused(&options, TEARS_MISUSE, "_INIT");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_row_once_in_both_directions),
        TEST(other_orders_and_nulls),
        TEST(filters_choose_rows),
        TEST(paging_while_rows_come_and_go),
        TEST(pages_fill_no_cache),
        TEST(cursors_of_something_else_are_refused),
        TEST(options_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
