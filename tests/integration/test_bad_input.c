/*
 * test_bad_input.c -- what people and machines get wrong: each time a message that names the table,
 * the key or column and the cause, and nothing lost.
 *
 * Values of another table or no JSON in L2: test_weaknesses_l2.c.
 */
#include "support/embedded.h"
#include "support/pg_server.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct embedded world;
static tears_collection *notes;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL, "
                         "price NUMERIC, extra JSONB, data BLOB, score DOUBLE PRECISION, "
                         "row_version BIGINT NOT NULL)");
    notes = embedded_collection(&world, "notes");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    embedded_close(&world);
    return 0;
}

/* The last call must have failed so, and its message must have all these words. */
static void assert_error(const struct embedded *with, tears_status got, tears_status wanted,
                         const char *const *words)
{
    const struct tears_error *error = tears_session_error(with->session);
    if (got != wanted || error->status != wanted)
        fail_msg("%s instead of %s: %s", tears_status_name(got), tears_status_name(wanted),
                 error->message);
    for (; *words != NULL; words++)
        if (strstr(error->message, *words) == NULL)
            fail_msg("'%s' is not in: %s", *words, error->message);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static tears_status insert(const struct tears_field *fields, size_t count)
{
    return tears_insert(world.session, notes, fields, count, NULL);
}

static void assert_rows(int64_t wanted)
{
    tears_cursor *cursor = NULL;
    const struct tears_field *fields;
    size_t count;
    assert_int_equal(
        tears_query(world.session, TEARS_STR("SELECT count(*) FROM notes"), NULL, 0, &cursor),
        TEARS_OK);
    assert_int_equal(tears_cursor_next(cursor, &fields, &count), TEARS_OK);
    assert_int_equal(fields[0].value.as.integer, wanted);
}

/* ---- fields -------------------------------------------------------------------------------- */

struct bad_field {
    const char *column;
    struct tears_value value;
    const char *cause;
};

static void fields_that_do_not_fit(void **state)
{
    (void)state;
    const double numbers[] = {1};
    const struct bad_field fields[] = {
        {"titel", tears_text(TEARS_STR("x")), "no such column"},
        {"title", tears_int(3), "'title'"},
        {"title", tears_null(), "NULL"},
        {"title", tears_text(TEARS_STR("a\xc3")), "UTF-8"},
        {"title", tears_text(TEARS_STR("\xed\xa0\x80")), "UTF-8"}, /* half a surrogate pair */
        {"price", tears_text(TEARS_STR("12,50")), "'price'"},
        {"price", tears_bool(true), "'price'"},
        {"extra", tears_json(TEARS_STR("{\"a\":")), "'extra'"},
        {"extra", tears_json(TEARS_STR("{\"a\": NaN}")), "'extra'"},
        {"data", tears_vector(numbers, 1), "'data'"},
        {"score", tears_text(TEARS_STR("high")), "'score'"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct tears_field row[3] = {field_int("id", 1), field_text("title", "t")};
        const bool is_title = strcmp(fields[i].column, "title") == 0;
        row[is_title ? 1 : 2] = tears_field_of(tears_str_c(fields[i].column), fields[i].value);
        assert_error(&world, insert(row, is_title ? 2 : 3), TEARS_INVALID,
                     WORDS("notes", fields[i].column, fields[i].cause));
    }
    assert_rows(0);
}

static void rows_that_lack_or_repeat_columns(void **state)
{
    (void)state;
    const struct tears_field lacking[] = {field_int("id", 1)};
    assert_error(&world, insert(lacking, 1), TEARS_INVALID, WORDS("notes", "'title'"));
    const struct tears_field twice[] = {field_int("id", 1), field_text("title", "a"),
                                        field_text("title", "b")};
    assert_error(&world, insert(twice, 3), TEARS_INVALID, WORDS("notes", "'title'", "twice"));
    assert_rows(0);
}

/* A batch with one bad row writes none, and says which one it is. */
static void a_bad_row_of_a_batch_is_named(void **state)
{
    (void)state;
    const struct tears_field rows[][2] = {{field_int("id", 1), field_text("title", "a")},
                                          {field_int("id", 2), field_int("title", 7)}};
    const struct tears_row_input inputs[] = {{rows[0], 2, NULL}, {rows[1], 2, NULL}};
    assert_error(&world, tears_insert_many(world.session, notes, inputs, 2, NULL), TEARS_INVALID,
                 WORDS("row 1 of the batch", "notes", "'title'"));
    assert_rows(0);
}

/* SQLite's doubles: infinity is kept, NaN has no place there and is refused or NULL -- never a
 * number. */
static void numbers_that_are_not_finite(void **state)
{
    (void)state;
    const double doubles[] = {(double)INFINITY, -(double)INFINITY, (double)NAN};
    for (int64_t id = 0; id < 3; id++) {
        const struct tears_field fields[] = {
            field_int("id", id), field_text("title", "t"),
            tears_field_of(TEARS_STR("score"), tears_double(doubles[id]))};
        const tears_status status = insert(fields, 3);
        if (status != TEARS_OK) {
            assert_error(&world, status, TEARS_INVALID, WORDS("notes", "'score'"));
            continue;
        }
        const struct tears_value key = tears_int(id);
        struct tears_value cached;
        struct tears_value stored;
        assert_int_equal(
            tears_get_field(world.session, notes, &key, 1, TEARS_STR("score"), &cached), TEARS_OK);
        assert_int_equal(tears_evict(world.session, notes, &key, 1), TEARS_OK);
        assert_int_equal(
            tears_get_field(world.session, notes, &key, 1, TEARS_STR("score"), &stored), TEARS_OK);
        assert_true(tears_value_equal(&cached, &stored)); /* what is cached is what is stored */
    }
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void keys_that_do_not_fit(void **state)
{
    (void)state;
    tears_entity *entity = NULL;
    const struct tears_value two[] = {tears_int(1), tears_int(2)};
    const struct tears_value text = tears_text(TEARS_STR("one"));
    const struct tears_value null = tears_null();
    assert_error(&world, tears_get(world.session, notes, two, 2, &entity), TEARS_INVALID,
                 WORDS("notes", "arity"));
    assert_error(&world, tears_get(world.session, notes, two, 0, &entity), TEARS_INVALID,
                 WORDS("notes"));
    assert_error(&world, tears_get(world.session, notes, &text, 1, &entity), TEARS_INVALID,
                 WORDS("notes", "'id'"));
    assert_error(&world, tears_delete(world.session, notes, &null, 1), TEARS_INVALID,
                 WORDS("notes", "'id'"));
    assert_error(&world, tears_invalidate(world.session, notes, two, 2), TEARS_INVALID,
                 WORDS("notes"));
    assert_null(entity);
}

static void keys_that_are_too_long(void **state)
{
    (void)state;
    static char text[20000];
    embedded_sql(&world, "CREATE TABLE names (name TEXT PRIMARY KEY)");
    tears_collection *names = embedded_collection(&world, "names");
    memset(text, 'x', sizeof text);
    const struct tears_value key = tears_text(tears_str_n(text, sizeof text));
    const struct tears_field field = tears_field_of(TEARS_STR("name"), key);
    tears_entity *entity = NULL;
    assert_error(&world, tears_get(world.session, names, &key, 1, &entity), TEARS_LIMIT,
                 WORDS("names", "8192"));
    assert_error(&world, tears_insert(world.session, names, &field, 1, NULL), TEARS_LIMIT,
                 WORDS("names", "8192"));
}

static void tables_that_cannot_be_cached(void **state)
{
    (void)state;
    tears_collection *collection = NULL;
    struct tears_error error;
    embedded_sql(&world, "CREATE TABLE keyless (a TEXT)");
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("keyless"), NULL, &collection, &error),
        TEARS_INVALID);
    assert_non_null(strstr(error.message, "keyless"));
    assert_non_null(strstr(error.message, "primary key"));
    assert_int_equal(
        tears_collection_open(world.client, TEARS_STR("missing"), NULL, &collection, &error),
        TEARS_NOT_FOUND);
    assert_non_null(strstr(error.message, "missing"));
    assert_null(collection);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static void json_that_is_no_row(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"{\"id\": 1, \"title\": \"a\", \"title\": \"b\"}", "title"},
        {"{\"id\": 1, \"titel\": \"a\"}", "titel"},
        {"{\"id\": 1,}", ""},
        {"{\"id\": 1} x", ""},
        {"{\"id\": \"one\"}", "id"},
        {"{\"id\": 1e999}", "id"},
        {"{\"id\": NaN}", "byte 7"}, /* only a column of doubles may be so */
        {"{\"title\": Infinity}", "byte"},
        {"{\"extra\": {\"a\": -Infinity}}", ""},
        {"{\"title\": \"\\ud800\"}", ""},
        {"{\"title\": \"\xff\"}", ""},
        {"[1, 2]", ""},
        {"null", ""},
        {"", ""},
        {"{\"data\": \"not base64!\"}", "data"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct tears_field *fields = NULL;
        size_t count = 77;
        const tears_status status =
            tears_fields_from_json(world.session, tears_collection_schema(notes),
                                   tears_str_c(texts[i][0]), &fields, &count);
        if (status != TEARS_INVALID)
            fail_msg("%s: %s", texts[i][0], tears_status_name(status));
        assert_null(fields);
        assert_error(&world, status, TEARS_INVALID, WORDS(texts[i][1]));
        assert_int_not_equal(tears_session_error(world.session)->message[0], '\0');
    }
}

/* ---- the embedded file ----------------------------------------------------------------------- */

static tears_status open_file(const char *path, struct embedded *with, struct tears_error *error)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    char url[200];
    memset(with, 0, sizeof *with);
    snprintf(url, sizeof url, "sqlite:%s", path);
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    const tears_status status = tears_client_open(&options, &with->client, error);
    if (status == TEARS_OK)
        assert_int_equal(tears_session_new(with->client, NULL, &with->session), TEARS_OK);
    return status;
}

static void close_file(struct embedded *with)
{
    tears_session_free(with->session);
    tears_client_free(with->client);
}

/* A disk that is full: LIMIT, with the rows that are there still readable and the caches right. */
static void a_full_disk(void **state)
{
    (void)state;
    static char title[100000];
    memset(title, 'x', sizeof title);
    const struct tears_field first[] = {field_int("id", 1), field_text("title", "small")};
    assert_int_equal(insert(first, 2), TEARS_OK);
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit full = {512 * 1024, RLIM_INFINITY};
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN); /* write() shall fail, not kill */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    tears_status status = TEARS_OK;
    int64_t id = 2;
    for (; id < 100 && status == TEARS_OK; id++) {
        const struct tears_field fields[] = {
            field_int("id", id),
            tears_field_of(TEARS_STR("title"), tears_text(tears_str_n(title, sizeof title)))};
        status = insert(fields, 2);
    }
    const struct tears_error error = *tears_session_error(world.session);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    (void)signal(SIGXFSZ, before);
    if (status != TEARS_LIMIT && status != TEARS_UNAVAILABLE)
        fail_msg("%s: %s", tears_status_name(status), error.message);
    assert_int_not_equal(error.message[0], '\0');
    const int64_t last = id - 1; /* the one that failed */
    for (int64_t one = 1; one <= last; one++) {
        const struct tears_value key = tears_int(one);
        tears_entity *entity = NULL;
        assert_int_equal(tears_get(world.session, notes, &key, 1, &entity),
                         one == last ? TEARS_NOT_FOUND : TEARS_OK);
        tears_session_reset(world.session);
    }
    const struct tears_field again[] = {field_int("id", last), field_text("title", "room again")};
    assert_int_equal(insert(again, 2), TEARS_OK);
    assert_rows(last);
}

/* Root may write anywhere, so the file is opened read-only by a person who is nobody. */
static int read_only_as_nobody(const char *path)
{
    struct embedded with;
    struct tears_error error;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 77;
    if (open_file(path, &with, &error) != TEARS_OK)
        return 1;
    tears_collection *collection = NULL;
    if (tears_collection_find(with.client, TEARS_STR("notes"), &collection) != TEARS_OK)
        return 2;
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    if (tears_get(with.session, collection, &key, 1, &entity) != TEARS_OK)
        return 3;
    const struct tears_field change = field_text("title", "b");
    if (tears_update(with.session, entity, &change, 1, NULL) != TEARS_DENIED)
        return 4;
    if (tears_session_error(with.session)->message[0] == '\0')
        return 5;
    if (tears_get(with.session, collection, &key, 1, &entity) != TEARS_OK ||
        strcmp(embedded_text(entity, "title"), "small") != 0)
        return 6;
    close_file(&with);
    return 0;
}

static void a_file_that_may_not_be_written(void **state)
{
    (void)state;
    const struct tears_field first[] = {field_int("id", 1), field_text("title", "small")};
    assert_int_equal(insert(first, 2), TEARS_OK);
    tears_session_free(world.session); /* the last client leaves all in the file itself */
    tears_client_free(world.client);
    world.session = NULL;
    world.client = NULL;
    assert_int_equal(chmod(world.path, 0444), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(30);
        _exit(read_only_as_nobody(world.path));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 77)
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void write_file(const char *path, long at, const char *bytes, size_t count)
{
    FILE *file = fopen(path, at < 0 ? "wb" : "r+b");
    assert_non_null(file);
    if (at > 0)
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void a_file_that_is_no_database(void **state)
{
    (void)state;
    static char bytes[8192];
    char path[160];
    struct embedded with;
    struct tears_error error;
    memset(bytes, 'z', sizeof bytes);
    snprintf(path, sizeof path, "%s.txt", world.path);
    write_file(path, -1, bytes, sizeof bytes);
    assert_int_equal(open_file(path, &with, &error), TEARS_CORRUPT);
    assert_non_null(strstr(error.message, path));
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_size, sizeof bytes); /* and it is left alone */
    (void)unlink(path);
    assert_int_not_equal(open_file("/tmp", &with, &error), TEARS_OK);
    assert_non_null(strstr(error.message, "/tmp"));
}

/* A page of the file is overwritten: what is on it is CORRUPT, the rest is readable. */
static void a_file_with_a_damaged_page(void **state)
{
    (void)state;
    static char bytes[4096];
    struct embedded with;
    struct tears_error error;
    char path[160];
    snprintf(path, sizeof path, "%s.copy", world.path);
    embedded_sql(&world,
                 "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                 "500) INSERT INTO notes (id, title, row_version) SELECT i, printf('%.200c',"
                 " 'x'), 1 FROM n");
    char sql[240];
    snprintf(sql, sizeof sql, "VACUUM INTO '%s'", path);
    if (tears_execute(world.session, tears_str_c(sql), NULL, 0, NULL) != TEARS_OK) {
        print_message("skipped: %s\n", tears_session_error(world.session)->message);
        return;
    }
    memset(bytes, 0xa5, sizeof bytes);
    write_file(path, 8 * 4096, bytes, sizeof bytes);
    assert_int_equal(open_file(path, &with, &error), TEARS_OK);
    tears_collection *damaged = embedded_collection(&with, "notes");
    int corrupt = 0;
    int whole = 0;
    for (int64_t id = 1; id <= 500; id++) {
        const struct tears_value key = tears_int(id);
        tears_entity *entity = NULL;
        const tears_status status = tears_get(with.session, damaged, &key, 1, &entity);
        if (status == TEARS_CORRUPT)
            assert_int_not_equal(tears_session_error(with.session)->message[0], '\0');
        else
            assert_int_equal(status, TEARS_OK);
        corrupt += status == TEARS_CORRUPT;
        whole += status == TEARS_OK;
    }
    assert_true(corrupt > 0);
    assert_true(whole > 0);
    close_file(&with);
    (void)unlink(path);
}

/* What other programs put into a column of SQLite need not be of its type. */
static void a_row_that_does_not_fit_its_schema(void **state)
{
    (void)state;
    embedded_sql(&world, "INSERT INTO notes (id, title, extra, row_version) VALUES "
                         "(1, 'good', '{}', 1), (2, 'bad', 'no json', 1)");
    const struct tears_value keys[] = {tears_int(1), tears_int(2)};
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, notes, &keys[0], 1, &entity), TEARS_OK);
    assert_error(&world, tears_get(world.session, notes, &keys[1], 1, &entity), TEARS_CORRUPT,
                 WORDS("notes", "extra", "2"));
    const struct tears_field mended = tears_field_of(TEARS_STR("extra"), tears_null());
    const struct tears_field upsert[] = {field_int("id", 2), field_text("title", "mended"), mended};
    assert_int_equal(tears_upsert(world.session, notes, upsert, 3, &entity), TEARS_OK);
}

/* ---- PostgreSQL ------------------------------------------------------------------------------ */

static void assert_cannot_open(const char *url, tears_status wanted, const char *word)
{
    struct tears_client_options options = TEARS_CLIENT_OPTIONS_INIT;
    struct tears_error error;
    tears_client *client = NULL;
    options.l3_url = tears_str_c(url);
    options.l2_url = TEARS_STR("none");
    options.l3_connect_ms = 2000;
    const tears_status status = tears_client_open(&options, &client, &error);
    if (status != wanted)
        fail_msg("%s instead of %s: %s", tears_status_name(status), tears_status_name(wanted),
                 error.message);
    assert_null(client);
    if (strstr(error.message, word) == NULL)
        fail_msg("'%s' is not in: %s", word, error.message);
    if (strstr(error.message, "sesame") != NULL)
        fail_msg("the password is in: %s", error.message);
}

static void servers_that_refuse(void **state)
{
    (void)state;
    char url[256];
    char changed[320];
    test_pg_database(url, sizeof url);
    test_pg_url_of_database(url, "no_such_database", changed, sizeof changed);
    assert_cannot_open(changed, TEARS_INVALID, "no_such_database");
    if (getenv("TEARS_TEST_PG_URL") == NULL) { /* the private server has a role with a password */
        test_pg_url_with_password(url, "wrong-sesame", changed, sizeof changed);
        assert_cannot_open(changed, TEARS_DENIED, "tears_password");
    }
    assert_cannot_open("postgresql://tears:sesame@127.0.0.1:1/postgres", TEARS_UNAVAILABLE,
                       "127.0.0.1");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_that_do_not_fit),
        TEST(rows_that_lack_or_repeat_columns),
        TEST(a_bad_row_of_a_batch_is_named),
        TEST(numbers_that_are_not_finite),
        TEST(keys_that_do_not_fit),
        TEST(keys_that_are_too_long),
        TEST(tables_that_cannot_be_cached),
        TEST(json_that_is_no_row),
        TEST(a_full_disk),
        TEST(a_file_that_may_not_be_written),
        TEST(a_file_that_is_no_database),
        TEST(a_file_with_a_damaged_page),
        TEST(a_row_that_does_not_fit_its_schema),
        cmocka_unit_test(servers_that_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
