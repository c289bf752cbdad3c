/*
 * test_format.c -- the registry of formats, and JSON documents edited by path.
 */
#include "base/alloc.h"
#include "base/macros.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <tears/format.h>

static tears_formats *formats;
static tears_document *document;
static struct tears_error error;

static int start(void **state)
{
    (void)state;
    return tears_formats_new(&formats, NULL) == TEARS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    tears_document_free(document);
    document = NULL;
    tears_formats_free(formats);
    return 0;
}

static const struct tears_format *json(void)
{
    const struct tears_format *format = NULL;
    assert_int_equal(tears_formats_find(formats, TEARS_STR("x.json"), &format, NULL), TEARS_OK);
    return format;
}

static tears_status load(const char *text)
{
    tears_document_free(document);
    document = NULL;
    return tears_document_load(json(), tears_str_c(text), &document, &error);
}

static void expect_document(const char *expected)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_document_get(document, TEARS_STR(""), &text, &error), TEARS_OK);
    assert_string_equal(text.ptr, expected);
    tears_owned_text_free(&text);
}

static void expect_at(const char *path, const char *expected)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    const tears_status status = tears_document_get(document, tears_str_c(path), &text, &error);
    if (expected == NULL) {
        assert_int_equal(status, TEARS_NOT_FOUND);
        assert_null(text.ptr);
        return;
    }
    assert_int_equal(status, TEARS_OK);
    assert_string_equal(text.ptr, expected);
    tears_owned_text_free(&text);
}

static tears_status set(const char *path, const char *value)
{
    return tears_document_set(document, tears_str_c(path), tears_str_c(value), &error);
}

/* ---- the registry ------------------------------------------------------------------------------ */

static tears_status add(const char *name, const char *extension)
{
    struct tears_format format = *json();
    const struct tears_str extensions[] = {tears_str_c(extension)};
    format.name = tears_str_c(name);
    format.extensions = extensions;
    format.extension_count = 1;
    return tears_formats_register(formats, &format, &error);
}

static void expect_format(const char *path, const char *name)
{
    const struct tears_format *format = NULL;
    const tears_status status = tears_formats_find(formats, tears_str_c(path), &format, &error);
    if ((status == TEARS_OK) != (name != NULL))
        fail_msg("%s: %s", path, tears_status_name(status));
    if (name != NULL)
        assert_string_equal(format->name.ptr, name);
}

static void the_last_extension_decides(void **state)
{
    (void)state;
    assert_int_equal(add("conf", ".conf"), TEARS_OK);
    expect_format("a.json", "json");
    expect_format("a.JSON", "json");
    expect_format("dir.conf/a.tar.json", "json");
    expect_format("a.conf/", "conf");
    expect_format("a.conf/./", "conf");
    expect_format("a.", NULL);
    expect_format(".conf", NULL);
    expect_format("..conf", NULL);
    expect_format("dir.conf/a", NULL);
    expect_format("", NULL);
    expect_format("/", NULL);
    expect_format("a.toml", NULL);
    assert_non_null(strstr(error.message, "\"toml\""));
}

static void the_newest_wins_and_the_older_stays_usable(void **state)
{
    (void)state;
    const struct tears_format *before = json();
    assert_int_equal(add("other", "...JSON"), TEARS_OK);
    expect_format("a.json", "other");
    assert_string_equal(before->name.ptr, "json");
    assert_int_equal(tears_document_load(before, TEARS_STR("1"), &document, &error), TEARS_OK);
}

static void incomplete_formats_are_refused(void **state)
{
    (void)state;
    struct tears_format format = *json();
    assert_int_equal(add("", ".x"), TEARS_INVALID);
    assert_int_equal(add("x", ""), TEARS_INVALID);
    assert_int_equal(add("x", "."), TEARS_INVALID);
    format.merge = NULL;
    assert_int_equal(tears_formats_register(formats, &format, &error), TEARS_MISUSE);
    format.size = 0;
    assert_int_equal(tears_formats_register(formats, &format, &error), TEARS_MISUSE);
}

static void *find_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        const struct tears_format *format = NULL;
        if (tears_formats_find(formats, TEARS_STR("a.json"), &format, NULL) != TEARS_OK ||
            format->name.len == 0)
            return formats;
    }
    return NULL;
}

static void threads_share_a_registry(void **state)
{
    (void)state;
    pthread_t threads[3];
    void *failed = NULL;
    for (size_t i = 0; i < T3_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_often, NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(add("json", ".json"), TEARS_OK);
    for (size_t i = 0; i < T3_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void documents_come_back_as_they_were(void **state)
{
    (void)state;
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    static const char pretty[] = "{\n"
                                 "  \"z\": 0.1,\n"
                                 "  \"a\": [\n"
                                 "    1,\n"
                                 "    -0.0,\n"
                                 "    1e+100\n"
                                 "  ],\n"
                                 "  \"e\": {},\n"
                                 "  \"l\": [],\n"
                                 "  \"t\": \"\xc3\xa9\\n\\u0000\",\n"
                                 "  \"n\": null,\n"
                                 "  \"b\": true,\n"
                                 "  \"i\": -9223372036854775808\n"
                                 "}\n";
    assert_int_equal(load(pretty), TEARS_OK);
    assert_int_equal(tears_document_dump(document, &text, &error), TEARS_OK);
    assert_string_equal(text.ptr, pretty);
    tears_owned_text_free(&text);
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "{",         "[1,]",  "{\"a\":1,\"a\":2}",  "01", "1 2", "NaN", "'a'", "\"\xff\"",
        "{a:1}", "\"\\u12\"", "1e999", "9223372036854775808"};
    char deep[200];
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        if (load(bad[i]) != TEARS_INVALID || error.message[0] == '\0')
            fail_msg("%s: %s", bad[i], error.message);
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = '\0';
    assert_int_equal(load(deep), TEARS_LIMIT);
    assert_null(document);
}

/* RFC 6901, section 5. */
static void the_pointers_of_the_rfc_work(void **state)
{
    (void)state;
    assert_int_equal(load("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                          "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}"),
                     TEARS_OK);
    expect_at("/foo", "[\"bar\",\"baz\"]");
    expect_at("/foo/0", "\"bar\"");
    expect_at("/", "0");
    expect_at("/a~1b", "1");
    expect_at("/c%d", "2");
    expect_at("/e^f", "3");
    expect_at("/g|h", "4");
    expect_at("/i\\j", "5");
    expect_at("/k\"l", "6");
    expect_at("/ ", "7");
    expect_at("/m~0n", "8");
    expect_at("/foo/2", NULL);
    expect_at("/foo/-", NULL);
    expect_at("/foo/00", NULL);
    expect_at("/foo/99999999999999999999", NULL);
    expect_at("/foo/0/x", NULL);
    expect_at("/none/x", NULL);
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    static const char *const bad[] = {"foo", "/m~n", "/m~", "/none/~2"};
    for (size_t i = 0; i < T3_COUNT(bad); i++)
        assert_int_equal(tears_document_get(document, tears_str_c(bad[i]), &text, &error),
                         TEARS_INVALID);
}

static void values_are_put(void **state)
{
    (void)state;
    assert_int_equal(load("{\"a\":[1,2],\"o\":{}}"), TEARS_OK);
    assert_int_equal(set("/a/1", "{\"x\":null}"), TEARS_OK);
    assert_int_equal(set("/a/2", "3"), TEARS_OK);
    assert_int_equal(set("/a/-", "4"), TEARS_OK);
    assert_int_equal(set("/o/n~1m", "\"new\""), TEARS_OK);
    expect_document("{\"a\":[1,{\"x\":null},3,4],\"o\":{\"n/m\":\"new\"}}");
    assert_int_equal(set("/a/9", "5"), TEARS_NOT_FOUND);
    assert_int_equal(set("/a/01", "5"), TEARS_NOT_FOUND);
    assert_int_equal(set("/none/x", "5"), TEARS_NOT_FOUND);
    assert_int_equal(set("/a/0/x", "5"), TEARS_NOT_FOUND);
    assert_int_equal(set("/o/x", "{"), TEARS_INVALID);
    assert_int_equal(set("o", "5"), TEARS_INVALID);
    assert_int_equal(set("/o/\xff", "5"), TEARS_INVALID);
    assert_int_equal(tears_document_set(document, TEARS_STR("/o/a\0b"), TEARS_STR("5"), &error),
                     TEARS_INVALID);
    expect_document("{\"a\":[1,{\"x\":null},3,4],\"o\":{\"n/m\":\"new\"}}");
    assert_int_equal(set("", "7"), TEARS_OK);
    expect_document("7");
}

static void depth_stays_bounded(void **state)
{
    (void)state;
    char deep[129];
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    deep[128] = '\0';
    assert_int_equal(load("{\"a\":{}}"), TEARS_OK);
    assert_int_equal(set("/a", deep), TEARS_LIMIT);
    expect_document("{\"a\":{}}");
    assert_int_equal(set("", deep), TEARS_OK);
}

/* RFC 7396, appendix A. */
static void the_merges_of_the_rfc_work(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        assert_int_equal(load(cases[i][0]), TEARS_OK);
        assert_int_equal(tears_document_merge(document, tears_str_c(cases[i][1]), &error),
                         TEARS_OK);
        expect_document(cases[i][2]);
    }
    assert_int_equal(tears_document_merge(document, TEARS_STR("{"), &error), TEARS_INVALID);
    expect_document(cases[T3_COUNT(cases) - 1][2]);
}

/* ---- a format of one's own --------------------------------------------------------------------- */

static tears_status load_badly(void *owner, struct tears_str text, void **tree_out,
                               struct tears_error *why)
{
    (void)owner;
    (void)text;
    (void)tree_out;
    memset(why->message, 'x', sizeof why->message); /* without a NUL at its end */
    return TEARS_INVALID;
}

static void a_careless_format_does_no_harm(void **state)
{
    (void)state;
    struct tears_format format = *json();
    format.load = load_badly;
    assert_int_equal(tears_document_load(&format, TEARS_STR("1"), &document, &error),
                     TEARS_INVALID);
    assert_memory_equal(error.message, "xxx", 3);
    assert_null(document);
}

static void every_failing_allocation_is_told(void **state)
{
    (void)state;
    assert_int_equal(load("{\"a\":[1]}"), TEARS_OK);
    tears_status status = TEARS_NO_MEMORY;
    for (uint64_t nth = 1; status == TEARS_NO_MEMORY && nth < 100; nth++) {
        struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
        tears_document *other = NULL;
        tears_formats *made = NULL;
        t3_alloc_fail_at(nth);
        status = tears_formats_new(&made, &error);
        if (status == TEARS_OK)
            status = tears_document_load(json(), TEARS_STR("[1]"), &other, &error);
        if (status == TEARS_OK)
            status = tears_document_dump(document, &text, &error);
        if (status == TEARS_OK)
            status = set("/a/0", "2");
        t3_alloc_fail_at(0);
        tears_owned_text_free(&text);
        tears_document_free(other);
        tears_formats_free(made);
    }
    assert_int_equal(status, TEARS_OK);
    expect_document("{\"a\":[2]}");
}

#define WITH_FORMATS(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FORMATS(the_last_extension_decides),
        WITH_FORMATS(the_newest_wins_and_the_older_stays_usable),
        WITH_FORMATS(incomplete_formats_are_refused),
        WITH_FORMATS(threads_share_a_registry),
        WITH_FORMATS(documents_come_back_as_they_were),
        WITH_FORMATS(what_is_not_json_is_refused),
        WITH_FORMATS(the_pointers_of_the_rfc_work),
        WITH_FORMATS(values_are_put),
        WITH_FORMATS(depth_stays_bounded),
        WITH_FORMATS(the_merges_of_the_rfc_work),
        WITH_FORMATS(a_careless_format_does_no_harm),
        WITH_FORMATS(every_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
