/*
 * test_core_pg.c -- the whole library on PostgreSQL: types, versions, batches, transactions, and a
 * server that dies.
 */
#include "support/embedded.h"
#include "support/pg_server.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct embedded world; /* on PostgreSQL; its path is not used */
static struct test_pg *own;   /* a server that a test may kill */

static void open_url(const char *url, struct embedded *opened)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    if (tears_client_open(&options, &opened->client, &error) != TEARS_OK)
        fail_msg("open: %s", error.message);
    assert_int_equal(tears_session_new(opened->client, NULL, &opened->session), TEARS_OK);
}

static int open_world(void **state)
{
    char url[256];
    (void)state;
    test_pg_database(url, sizeof url);
    open_url(url, &world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    tears_session_free(world.session);
    tears_client_free(world.client);
    return 0;
}

static void expect_ok(tears_status status)
{
    if (status != TEARS_OK)
        fail_msg("%s: %s", tears_status_name(status), tears_session_error(world.session)->message);
}

static tears_collection *notes_collection(void)
{
    embedded_sql(&world, "CREATE TABLE notes (id BIGINT PRIMARY KEY, title TEXT NOT NULL, "
                         "stars INT NOT NULL DEFAULT 3, row_version BIGINT NOT NULL DEFAULT 1)");
    return embedded_collection(&world, "notes");
}

static tears_entity *insert_note(tears_collection *notes, int64_t id, const char *title)
{
    const struct tears_field fields[] = {field_int("id", id), field_text("title", title)};
    tears_entity *entity = NULL;
    expect_ok(tears_insert(world.session, notes, fields, 2, &entity));
    return entity;
}

static tears_entity *get(tears_collection *collection, int64_t id)
{
    const struct tears_value key = tears_int(id);
    tears_entity *entity = NULL;
    expect_ok(tears_get(world.session, collection, &key, 1, &entity));
    return entity;
}

static void evict(tears_collection *collection, int64_t id)
{
    const struct tears_value key = tears_int(id);
    expect_ok(tears_evict(world.session, collection, &key, 1));
}

/* ---- types --------------------------------------------------------------------------------- */

static const char *const samples[][3] = {
    /* column, text that is written, text of the JSON that comes back (NULL: the same, quoted) */
    {"a_uuid", "0190b5c8-7a5e-7b2d-8c3d-0123456789ab", NULL},
    {"a_text", "Zo\xc3\xab", NULL},
    {"an_enum", "two words", NULL},
    {"a_numeric", "12345678901234567890.1200", NULL},
    {"a_jsonb", "{\"n\": 1.50, \"big\": 123456789012345678901234567890}",
     "{\"n\": 1.50, \"big\": 123456789012345678901234567890}"},
    {"an_int", "-2147483648", "-2147483648"},
    {"a_bigint", "9223372036854775807", "9223372036854775807"},
    {"a_smallint", "-32768", "-32768"},
    {"a_bool", "true", "true"},
    {"a_double", "0.1", "0.1"},
    {"a_real", "0.5", "0.5"},
    {"a_date", "2026-02-28", NULL},
    {"an_inet", "10.1.2.3/8", NULL},
    {"an_interval", "1 day 02:03:04", NULL},
    {"an_array", "{1,NULL,3}", NULL},
    {"some_texts", "{a,\"b c\"}", NULL},
    {"a_range", "[1,5)", NULL},
};

enum { SAMPLES = sizeof samples / sizeof samples[0] };

static tears_collection *types_collection(void)
{
    embedded_sql(&world, "CREATE TYPE mood AS ENUM ('one', 'two words')");
    embedded_sql(&world,
                 "CREATE TABLE kinds (id BIGINT PRIMARY KEY, a_uuid UUID, a_text TEXT, "
                 "an_enum mood, a_numeric NUMERIC(30,4), a_jsonb JSONB, an_int INT, "
                 "a_bigint BIGINT, a_smallint SMALLINT, a_bool BOOL, a_double FLOAT8, "
                 "a_real REAL, a_date DATE, an_inet INET, an_interval INTERVAL, an_array INT[], "
                 "some_texts TEXT[], a_range INT4RANGE, a_time TIMESTAMPTZ, some_bytes BYTEA, "
                 "row_version BIGINT NOT NULL DEFAULT 1)");
    return embedded_collection(&world, "kinds");
}

static size_t sample_fields(tears_collection *kinds, int64_t id, struct tears_field *fields_out)
{
    fields_out[0] = field_int("id", id);
    for (size_t i = 0; i < SAMPLES; i++) {
        fields_out[i + 1].name = tears_str_c(samples[i][0]);
        expect_ok(tears_value_parse(world.session, tears_collection_schema(kinds),
                                    tears_str_c(samples[i][0]), tears_str_c(samples[i][1]),
                                    &fields_out[i + 1].value));
    }
    fields_out[SAMPLES + 1] =
        tears_field_of(TEARS_STR("a_time"), tears_timestamp_us(INT64_C(1769860800000001)));
    fields_out[SAMPLES + 2] =
        tears_field_of(TEARS_STR("some_bytes"), tears_bytes(TEARS_STR("\x00\xff\\")));
    return SAMPLES + 3;
}

static void assert_samples(const tears_entity *entity)
{
    for (size_t i = 0; i < SAMPLES; i++) {
        struct tears_value value;
        struct tears_str json;
        char quoted[128];
        expect_ok(tears_entity_get(entity, tears_str_c(samples[i][0]), &value));
        expect_ok(tears_value_json(world.session, &value, &json));
        snprintf(quoted, sizeof quoted, "\"%s\"", samples[i][1]);
        if (strcmp(samples[i][0], "a_jsonb") == 0) { /* the database sorts the members */
            assert_non_null(strstr(json.ptr, "1.50"));
            assert_non_null(strstr(json.ptr, "123456789012345678901234567890"));
            continue;
        }
        if (strcmp(samples[i][0], "some_texts") == 0 || strcmp(samples[i][0], "a_text") == 0) {
            assert_int_equal(value.kind, TEARS_KIND_TEXT);
            assert_string_equal(value.as.bytes.ptr, samples[i][1]);
            continue;
        }
        const char *wanted = samples[i][2] != NULL ? samples[i][2] : quoted;
        if (strcmp(json.ptr, wanted) != 0)
            fail_msg("%s: %s instead of %s", samples[i][0], json.ptr, wanted);
    }
    struct tears_value value;
    expect_ok(tears_entity_get(entity, TEARS_STR("a_time"), &value));
    assert_true(value.as.integer == INT64_C(1769860800000001));
    expect_ok(tears_entity_get(entity, TEARS_STR("some_bytes"), &value));
    assert_int_equal(value.as.bytes.len, 3);
    assert_memory_equal(value.as.bytes.ptr, "\x00\xff\\", 3);
}

/* Every type there and back: insert, read from L3, read from L1, update, batch, page. */
static void types_come_back_as_they_went(void **state)
{
    (void)state;
    tears_collection *kinds = types_collection();
    struct tears_field fields[3][SAMPLES + 3];
    const size_t count = sample_fields(kinds, 1, fields[0]);
    tears_entity *entity = NULL;
    expect_ok(tears_insert(world.session, kinds, fields[0], count, &entity));
    assert_samples(entity);
    assert_samples(get(kinds, 1)); /* L1 */
    evict(kinds, 1);
    assert_samples(get(kinds, 1)); /* L3 */

    const struct tears_field id = field_int("id", 2);
    expect_ok(tears_insert(world.session, kinds, &id, 1, &entity)); /* all NULL */
    struct tears_value value;
    expect_ok(tears_entity_get(entity, TEARS_STR("an_inet"), &value));
    assert_int_equal(value.kind, TEARS_KIND_NULL);
    expect_ok(tears_update(world.session, entity, fields[0] + 1, count - 1, &entity));
    assert_samples(entity);

    (void)sample_fields(kinds, 3, fields[1]);
    (void)sample_fields(kinds, 4, fields[2]);
    const struct tears_row_input rows[] = {{fields[1], count, NULL}, {fields[2], count, NULL}};
    struct tears_outcome outcomes[2];
    expect_ok(tears_insert_many(world.session, kinds, rows, 2, outcomes));
    assert_samples(outcomes[1].entity);
    expect_ok(tears_upsert_many(world.session, kinds, rows, 2, outcomes));
    assert_samples(outcomes[0].entity);
    assert_int_equal(tears_entity_version(outcomes[0].entity), 2);

    struct tears_page page;
    expect_ok(tears_page_read(world.session, kinds, NULL, &page));
    assert_int_equal(page.count, 4);
    for (size_t i = 0; i < page.count; i++)
        assert_samples(page.entities[i]);
}

/* A page can be sorted by any type, and go on from any value of it. */
static void pages_go_on_after_values_of_every_type(void **state)
{
    (void)state;
    tears_collection *kinds = types_collection();
    struct tears_field fields[SAMPLES + 3];
    for (int64_t id = 1; id <= 3; id++) {
        const size_t count = sample_fields(kinds, id, fields);
        expect_ok(tears_insert(world.session, kinds, fields, count, NULL));
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct tears_str order = tears_str_c(samples[i][0]);
        struct tears_page_options options = TEARS_PAGE_OPTIONS_INIT;
        struct tears_page page;
        options.order_by = &order;
        options.order_by_count = 1;
        options.row_max = 1;
        for (int64_t id = 1; id <= 3; id++) {
            expect_ok(tears_page_read(world.session, kinds, &options, &page));
            assert_int_equal(page.count, 1);
            assert_int_equal(embedded_int(page.entities[0], "id"), id);
            options.cursor = page.next_cursor;
        }
        assert_int_equal(page.next_cursor.len, 0);
    }
}

/* PostgreSQL's doubles may be NaN and infinite, and stay so through a read and a page. */
static void doubles_need_not_be_finite(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE numbers (id BIGINT PRIMARY KEY, x FLOAT8, y NUMERIC)");
    tears_collection *numbers = embedded_collection(&world, "numbers");
    const double doubles[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -0.0};
    for (size_t i = 0; i < 4; i++) {
        const struct tears_field fields[] = {
            field_int("id", (int64_t)i), tears_field_of(TEARS_STR("x"), tears_double(doubles[i])),
            tears_field_of(TEARS_STR("y"), tears_decimal(TEARS_STR("NaN")))};
        expect_ok(tears_insert(world.session, numbers, fields, 3, NULL));
        evict(numbers, (int64_t)i);
        struct tears_value x;
        struct tears_value y;
        expect_ok(tears_entity_get(get(numbers, (int64_t)i), TEARS_STR("x"), &x));
        expect_ok(tears_entity_get(get(numbers, (int64_t)i), TEARS_STR("y"), &y));
        const struct tears_value wanted = tears_double(doubles[i]);
        assert_true(tears_value_equal(&x, &wanted));
        assert_string_equal(y.as.bytes.ptr, "NaN");
    }
}

/* ---- what the database makes of a row ---------------------------------------------------------- */

/* W-39: triggers and generated columns: what is cached is what was stored, not what was sent. */
static void w39_the_stored_row_is_cached(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT NOT NULL, "
                         "slug TEXT GENERATED ALWAYS AS (lower(name)) STORED, seen BIGINT "
                         "NOT NULL DEFAULT 0, row_version BIGINT NOT NULL DEFAULT 1)");
    embedded_sql(&world, "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                         "NEW.name := btrim(NEW.name); NEW.seen := NEW.seen + 1; RETURN NEW; "
                         "END $$");
    embedded_sql(&world, "CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON people FOR EACH ROW "
                         "EXECUTE FUNCTION tidy()");
    tears_collection *people = embedded_collection(&world, "people");
    const struct tears_field fields[] = {field_int("id", 1), field_text("name", "  Ada  ")};
    tears_entity *entity = NULL;
    expect_ok(tears_insert(world.session, people, fields, 2, &entity));
    assert_string_equal(embedded_text(entity, "name"), "Ada");
    assert_string_equal(embedded_text(get(people, 1), "slug"), "ada");
    const struct tears_field change = field_text("name", " Grace ");
    expect_ok(tears_update(world.session, entity, &change, 1, &entity));
    assert_string_equal(embedded_text(get(people, 1), "slug"), "grace");
    assert_int_equal(embedded_int(get(people, 1), "seen"), 2);
    const struct tears_field computed = field_text("slug", "x");
    assert_int_equal(tears_update(world.session, entity, &computed, 1, NULL), TEARS_INVALID);
    assert_non_null(strstr(tears_session_error(world.session)->message, "'slug'"));
}

/* Versions that are points in time move forward even when the clock does not. */
static void timestamps_as_versions_always_increase(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE pages (id BIGINT PRIMARY KEY, n BIGINT, date_updated "
                         "TIMESTAMPTZ NOT NULL DEFAULT now())");
    tears_collection *pages = embedded_collection(&world, "pages");
    const struct tears_field fields[] = {field_int("id", 1), field_int("n", 0)};
    tears_entity *entity = NULL;
    expect_ok(tears_begin(world.session)); /* now() stands still in a transaction */
    expect_ok(tears_insert(world.session, pages, fields, 2, &entity));
    int64_t version = tears_entity_version(entity);
    for (int64_t n = 1; n <= 5; n++) {
        const struct tears_field change = field_int("n", n);
        expect_ok(tears_update(world.session, entity, &change, 1, &entity));
        assert_true(tears_entity_version(entity) > version);
        version = tears_entity_version(entity);
    }
    expect_ok(tears_commit(world.session));
    embedded_sql(&world,
                 "UPDATE pages SET date_updated = '2100-01-01'"); /* a clock ahead of ours */
    expect_ok(tears_entity_reload(entity));
    version = tears_entity_version(entity);
    const struct tears_field change = field_int("n", 9);
    expect_ok(tears_update(world.session, entity, &change, 1, &entity));
    assert_true(tears_entity_version(entity) > version);
}

static void composite_keys_work_everywhere(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE pairs (b TEXT, a INT, n BIGINT, row_version BIGINT NOT NULL "
                         "DEFAULT 1, PRIMARY KEY (a, b))");
    tears_collection *pairs = embedded_collection(&world, "pairs");
    for (int64_t i = 0; i < 6; i++) {
        const struct tears_field fields[] = {
            field_int("a", i / 2), field_text("b", i % 2 ? "x_y" : "x"), field_int("n", i)};
        expect_ok(tears_insert(world.session, pairs, fields, 3, NULL));
    }
    const struct tears_value keys[] = {tears_int(2), tears_text(TEARS_STR("x")),
                                       tears_int(9), tears_text(TEARS_STR("x")),
                                       tears_int(0), tears_text(TEARS_STR("x_y"))};
    for (size_t i = 0; i < 3; i++)
        expect_ok(tears_evict(world.session, pairs, keys + 2 * i, 2));
    tears_entity *found[3];
    expect_ok(tears_get_many(world.session, pairs, keys, 3, found));
    assert_int_equal(embedded_int(found[0], "n"), 4);
    assert_null(found[1]);
    assert_int_equal(embedded_int(found[2], "n"), 1);
    size_t deleted = 0;
    expect_ok(tears_delete_many(world.session, pairs, keys, 3, &deleted));
    assert_int_equal(deleted, 2);
    struct tears_page page;
    expect_ok(tears_page_read(world.session, pairs, NULL, &page));
    assert_int_equal(page.count, 4);
    assert_int_equal(embedded_int(page.entities[0], "n"), 0);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void a_conflict_in_a_batch_concerns_its_row(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    insert_note(notes, 2, "there");
    struct tears_field fields[3][2];
    struct tears_row_input rows[3];
    for (int i = 0; i < 3; i++) {
        fields[i][0] = field_int("id", i + 1);
        fields[i][1] = field_text("title", "new");
        rows[i] = (struct tears_row_input){fields[i], 2, NULL};
    }
    struct tears_outcome outcomes[3];
    assert_int_equal(tears_insert_many(world.session, notes, rows, 3, outcomes), TEARS_CONFLICT);
    assert_non_null(strstr(tears_session_error(world.session)->message, "key (2)"));
    assert_int_equal(outcomes[0].status, TEARS_OK);
    assert_int_equal(outcomes[1].status, TEARS_CONFLICT);
    assert_string_equal(embedded_text(outcomes[1].entity, "title"), "there");
    assert_string_equal(embedded_text(get(notes, 3), "title"), "new");
}

/* Any other failure writes nothing, and says which table it was. */
static void a_refused_row_stops_the_batch(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    embedded_sql(&world, "ALTER TABLE notes ADD CHECK (stars < 6)");
    const struct tears_field fields[][3] = {
        {field_int("id", 1), field_text("title", "a"), field_int("stars", 1)},
        {field_int("id", 2), field_text("title", "b"), field_int("stars", 9)}};
    const struct tears_row_input rows[] = {{fields[0], 3, NULL}, {fields[1], 3, NULL}};
    assert_int_equal(tears_insert_many(world.session, notes, rows, 2, NULL), TEARS_INVALID);
    assert_string_equal(tears_session_error(world.session)->sqlstate, "23514");
    assert_non_null(strstr(tears_session_error(world.session)->message, "notes"));
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
}

/* Rows without a single value, and rows with different columns, in one batch. */
static void rows_of_defaults_in_a_batch(void **state)
{
    (void)state;
    embedded_sql(&world, "CREATE TABLE events (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                         "what TEXT NOT NULL DEFAULT 'nothing', row_version BIGINT NOT NULL "
                         "DEFAULT 1)");
    tears_collection *events = embedded_collection(&world, "events");
    const struct tears_field what = field_text("what", "something");
    const struct tears_row_input rows[] = {{NULL, 0, NULL}, {&what, 1, NULL}, {NULL, 0, NULL}};
    struct tears_outcome outcomes[3];
    expect_ok(tears_insert_many(world.session, events, rows, 3, outcomes));
    assert_string_equal(embedded_text(outcomes[0].entity, "what"), "nothing");
    assert_string_equal(embedded_text(outcomes[1].entity, "what"), "something");
    for (size_t i = 0; i < 3; i++) {
        const int64_t id = embedded_int(outcomes[i].entity, "id");
        const struct tears_value key = tears_int(id);
        assert_true(tears_exists_in_l1(world.session, events, &key, 1));
        evict(events, id);
        assert_string_equal(embedded_text(get(events, id), "what"),
                            embedded_text(outcomes[i].entity, "what"));
    }
    tears_entity *single = NULL;
    expect_ok(tears_insert(world.session, events, NULL, 0, &single));
    assert_string_equal(embedded_text(single, "what"), "nothing");
}

/* Twice the same key in one batch of upserts: the last one wins, in the caches too. */
static void upsert_twice_in_a_batch(struct embedded *with)
{
    embedded_sql(with, "CREATE TABLE notes (id BIGINT PRIMARY KEY, title TEXT NOT NULL, "
                       "stars INT NOT NULL DEFAULT 3, row_version BIGINT NOT NULL DEFAULT 1)");
    tears_collection *notes = embedded_collection(with, "notes");
    const struct tears_field fields[][2] = {{field_int("id", 1), field_text("title", "first")},
                                            {field_int("id", 2), field_text("title", "other")},
                                            {field_int("id", 1), field_text("title", "last")}};
    const struct tears_row_input rows[] = {
        {fields[0], 2, NULL}, {fields[1], 2, NULL}, {fields[2], 2, NULL}};
    struct tears_outcome outcomes[3];
    for (int round = 0; round < 2; round++) {
        if (tears_upsert_many(with->session, notes, rows, 3, outcomes) != TEARS_OK)
            fail_msg("%s", tears_session_error(with->session)->message);
        const struct tears_value key = tears_int(1);
        tears_entity *entity = NULL;
        for (int evicted = 0; evicted < 2; evicted++) {
            assert_int_equal(tears_get(with->session, notes, &key, 1, &entity), TEARS_OK);
            assert_string_equal(embedded_text(entity, "title"), "last");
            assert_int_equal(tears_evict(with->session, notes, &key, 1), TEARS_OK);
        }
        assert_string_equal(embedded_text(outcomes[2].entity, "title"), "last");
        assert_int_equal(tears_entity_version(outcomes[2].entity), tears_entity_version(entity));
    }
}

static void the_last_upsert_of_a_batch_wins(void **state)
{
    (void)state;
    upsert_twice_in_a_batch(&world);
    struct embedded file;
    embedded_open(&file, "");
    upsert_twice_in_a_batch(&file);
    embedded_close(&file);
}

/* ---- transactions -------------------------------------------------------------------------- */

static void others_see_a_transaction_after_its_commit(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    tears_entity *entity = insert_note(notes, 1, "old");
    tears_session *other = NULL;
    assert_int_equal(tears_session_new(world.client, NULL, &other), TEARS_OK);
    const struct tears_value key = tears_int(1);
    tears_entity *seen = NULL;
    const struct tears_field change = field_text("title", "new");
    for (int commits = 0; commits < 2; commits++) {
        expect_ok(tears_begin(world.session));
        expect_ok(tears_update(world.session, entity, &change, 1, NULL));
        assert_string_equal(embedded_text(get(notes, 1), "title"), "new");
        assert_int_equal(tears_get(other, notes, &key, 1, &seen), TEARS_OK);
        assert_string_equal(embedded_text(seen, "title"), "old");
        expect_ok(commits ? tears_commit(world.session) : tears_rollback(world.session));
        assert_int_equal(tears_get(other, notes, &key, 1, &seen), TEARS_OK);
        assert_string_equal(embedded_text(seen, "title"), commits ? "new" : "old");
    }
    tears_session_free(other);
}

/* Two transactions that cannot both be: one of them gets CONFLICT, and nothing of it stays. */
static void a_serialization_failure_is_a_conflict(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    insert_note(notes, 1, "a");
    insert_note(notes, 2, "b");
    struct embedded other = {.client = world.client};
    assert_int_equal(tears_session_new(world.client, NULL, &other.session), TEARS_OK);
    struct embedded *const both[] = {&world, &other};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tears_begin(both[i]->session), TEARS_OK);
        embedded_sql(both[i], "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
        embedded_sql(both[i], "SELECT sum(stars) FROM notes");
    }
    tears_status last = TEARS_OK;
    for (size_t i = 0; i < 2 && last == TEARS_OK; i++) {
        const struct tears_field fields[] = {field_int("id", (int64_t)i + 10),
                                             field_text("title", "skewed")};
        last = tears_insert(both[i]->session, notes, fields, 2, NULL);
    }
    assert_int_equal(last, TEARS_OK);
    expect_ok(tears_commit(world.session));
    assert_int_equal(tears_commit(other.session), TEARS_CONFLICT);
    assert_string_equal(tears_session_error(other.session)->sqlstate, "40001");
    const struct tears_value key = tears_int(11);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(other.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    tears_session_free(other.session);
}

/* ---- a server that dies -------------------------------------------------------------------- */

static int open_own(void **state)
{
    (void)state;
    own = test_pg_start();
    open_url(test_pg_url(own), &world);
    return 0;
}

static int close_own(void **state)
{
    (void)close_world(state);
    test_pg_free(own);
    return 0;
}

/* A write that the server's death cuts off: nobody knows whether it is done, so no cache claims to. */
static void a_dead_server_is_unavailable_and_comes_back(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    tears_entity *entity = insert_note(notes, 1, "old");
    insert_note(notes, 2, "cached");
    test_pg_kill(own);
    const struct tears_field change = field_text("title", "new");
    tears_session_set_timeout(world.session, 2000);
    const tears_status status = tears_update(world.session, entity, &change, 1, NULL);
    assert_true(status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT);
    assert_int_not_equal(tears_session_error(world.session)->message[0], '\0');
    const struct tears_value keys[] = {tears_int(1), tears_int(2)};
    assert_string_equal(embedded_text(get(notes, 2), "title"), "cached"); /* L1 still answers */
    tears_entity *unread = NULL;
    const struct tears_value absent = tears_int(77);
    const tears_status read = tears_get(world.session, notes, &absent, 1, &unread);
    assert_true(read == TEARS_UNAVAILABLE || read == TEARS_TIMEOUT);

    test_pg_again(own);
    tears_session_set_timeout(world.session, 20000);
    tears_entity *now = NULL;
    expect_ok(tears_entity_reload(entity));
    expect_ok(tears_update(world.session, entity, &change, 1, &now));
    expect_ok(tears_get(world.session, notes, keys, 1, &now));
    assert_string_equal(embedded_text(now, "title"), "new");
}

/* The connection dies while the statement runs: the row may be written, and L1 gives it up. */
static void a_write_cut_off_drops_the_row_from_l1(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    tears_entity *entity = insert_note(notes, 1, "old");
    embedded_sql(&world, "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                         "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$");
    embedded_sql(&world, "CREATE TRIGGER die AFTER UPDATE ON notes FOR EACH ROW "
                         "EXECUTE FUNCTION die()");
    const struct tears_value key = tears_int(1);
    assert_true(tears_exists_in_l1(world.session, notes, &key, 1));
    const struct tears_field change = field_text("title", "new");
    assert_int_equal(tears_update(world.session, entity, &change, 1, NULL), TEARS_UNAVAILABLE);
    assert_false(tears_exists_in_l1(world.session, notes, &key, 1));
    embedded_sql(&world, "DROP TRIGGER die ON notes");
    assert_string_equal(embedded_text(get(notes, 1), "title"), "old");
    expect_ok(tears_update(world.session, entity, &change, 1, NULL));
    assert_string_equal(embedded_text(get(notes, 1), "title"), "new");
}

/* A transaction whose server dies is over; the session can begin another. */
static void a_transaction_ends_with_its_server(void **state)
{
    (void)state;
    tears_collection *notes = notes_collection();
    insert_note(notes, 1, "old");
    expect_ok(tears_begin(world.session));
    insert_note(notes, 2, "lost");
    test_pg_kill(own);
    const tears_status status = tears_commit(world.session);
    assert_true(status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT);
    test_pg_again(own);
    const struct tears_value key = tears_int(2);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &key, 1, &entity), TEARS_NOT_FOUND);
    expect_ok(tears_begin(world.session));
    insert_note(notes, 2, "kept");
    expect_ok(tears_commit(world.session));
    assert_string_equal(embedded_text(get(notes, 2), "title"), "kept");
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)
#define OWN(test)    cmocka_unit_test_setup_teardown(test, open_own, close_own)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(types_come_back_as_they_went),
        SHARED(pages_go_on_after_values_of_every_type),
        SHARED(doubles_need_not_be_finite),
        SHARED(w39_the_stored_row_is_cached),
        SHARED(timestamps_as_versions_always_increase),
        SHARED(composite_keys_work_everywhere),
        SHARED(a_conflict_in_a_batch_concerns_its_row),
        SHARED(a_refused_row_stops_the_batch),
        SHARED(rows_of_defaults_in_a_batch),
        SHARED(the_last_upsert_of_a_batch_wins),
        SHARED(others_see_a_transaction_after_its_commit),
        SHARED(a_serialization_failure_is_a_conflict),
        OWN(a_dead_server_is_unavailable_and_comes_back),
        OWN(a_write_cut_off_drops_the_row_from_l1),
        OWN(a_transaction_ends_with_its_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
