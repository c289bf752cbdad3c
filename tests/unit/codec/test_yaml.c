/*
 * test_yaml.c -- YAML documents: what they mean, what is refused, and that being edited leaves the rest as it was.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "codec/format_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static tears_document *load(const char *text)
{
    struct tears_error error = {.status = TEARS_OK};
    tears_document *document = NULL;
    if (tears_document_load(t3_format_yaml(), tears_str_c(text), &document, &error) != TEARS_OK)
        fail_msg("%s in: %s", error.message, text);
    return document;
}

static void expect_json(const tears_document *document, const char *path, const char *expected)
{
    struct tears_owned_text json = TEARS_OWNED_TEXT_INIT;
    struct tears_error error = {.status = TEARS_OK};
    if (tears_document_get(document, tears_str_c(path), &json, &error) != TEARS_OK)
        fail_msg("%s", error.message);
    assert_string_equal(json.ptr, expected);
    tears_owned_text_free(&json);
}

static void expect_text(const tears_document *document, const char *expected)
{
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_document_dump(document, &text, NULL), TEARS_OK);
    assert_string_equal(text.ptr, expected);
    tears_owned_text_free(&text);
}

static void means(const char *text, const char *json)
{
    tears_document *document = load(text);
    expect_json(document, "", json);
    expect_text(document, text);
    tears_document_free(document);
}

static tears_status load_status(struct tears_str text, struct tears_error *error)
{
    tears_document *document = NULL;
    *error = (struct tears_error){.status = TEARS_OK};
    const tears_status status = tears_document_load(t3_format_yaml(), text, &document, error);
    tears_document_free(document);
    return status;
}

static void refused(const char *text)
{
    struct tears_error error;
    if (load_status(tears_str_c(text), &error) != TEARS_INVALID)
        fail_msg("not refused: %s", text);
    assert_true(error.message[0] != '\0');
}

/* ---- reading ---- */

static void words_mean_what_the_core_schema_says(void **state)
{
    (void)state;
    means("[~, null, Null, NULL, ]", "[null,null,null,null]");
    means("[true, True, FALSE, yes, no, on, y]", "[true,true,false,\"yes\",\"no\",\"on\",\"y\"]");
    means("[0, -7, +7, 007, -0010, 0x1F, 0o17]", "[0,-7,7,7,-10,31,15]");
    means("[9223372036854775807, -9223372036854775808]",
          "[9223372036854775807,-9223372036854775808]");
    means("[1.5, -.5, 1., 1e3, +1.5E-2, 1_000, 1e, .]",
          "[1.5,-0.5,1.0,1000.0,0.015,\"1_000\",\"1e\",\".\"]");
    means("['1', \"true\", !!str 1, !!float 2, ! null, 2026-01-31]",
          "[\"1\",\"true\",\"1\",2.0,\"null\",\"2026-01-31\"]");
    means("1: a\nnull: b\n? c\n: d\n", "{\"1\":\"a\",\"null\":\"b\",\"c\":\"d\"}");
    means("", "null");
    means("# nothing\n", "null");
    means("--- |\n  text\n  more\n...\n", "\"text\\nmore\\n\"");
    means("a: &x [1, 2]\nb: *x\n", "{\"a\":[1,2],\"b\":[1,2]}");
    means("\"\\0\\u00e9\"", "\"\\u0000\xc3\xa9\"");
}

static void what_is_not_one_plain_document_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a: 1\na: 2\n",
        "{a: 1, \"a\": 2}",
        "[.inf]",
        "[-.INF]",
        "[.nan]",
        "[1e999]",
        "[9223372036854775808]",
        "[0xffffffffffffffff]",
        "[0o7777777777777777777777777]",
        "a: !thing 1",
        "a: !!set {x}",
        "a: !!int x",
        "a: !!bool 1",
        "? [a]\n: 1",
        "? {a: 1}\n: 1",
        "&n a: 1",
        "*n : 1",
        "a: *n",
        "&a [*a]",
        "a: &a {b: *a}",
        "--- 1\n--- 2\n",
        "a: [1",
        "a: 'b",
        "\tb: 1",
        "a: b: c",
        "%YAML 3.0\n--- 1",
        "\"\\0\": 1",
        "a: \x01",
        "\xff\xfe",
        "- a\nb: c\n",
        "!!seq {a: 1}",
        "!!binary aGk=",
        "@a",
    };
    for (size_t i = 0; i < T3_COUNT(texts); i++)
        refused(texts[i]);
}

/* Nine lines that stand for nine thousand million values, and its relatives. */
static void hostile_texts_cost_little(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf text = {0};
    struct tears_error error;
    assert_int_equal(t3_buf_put(&text, TEARS_STR("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")), TEARS_OK);
    for (int i = 1; i < 10; i++)
        assert_int_equal(t3_buf_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
                                       i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1),
                         TEARS_OK);
    assert_int_equal(load_status(t3_buf_str(&text), &error), TEARS_LIMIT);

    t3_buf_clear(&text); /* one long text, many times */
    assert_int_equal(t3_buf_put(&text, TEARS_STR("a: &a ")), TEARS_OK);
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(t3_buf_put_char(&text, 'x'), TEARS_OK);
    assert_int_equal(t3_buf_put(&text, TEARS_STR("\nb: [")), TEARS_OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(t3_buf_put(&text, TEARS_STR("*a,")), TEARS_OK);
    assert_int_equal(t3_buf_put(&text, TEARS_STR("]\n")), TEARS_OK);
    assert_int_equal(load_status(t3_buf_str(&text), &error), TEARS_LIMIT);

    t3_buf_clear(&text); /* depth by aliases: each of these is one deeper than the one before */
    for (int i = 0; i <= T3_JSON_DEPTH_MAX; i++)
        assert_int_equal(i == 0 ? t3_buf_put(&text, TEARS_STR("- &a0 []\n"))
                                : t3_buf_printf(&text, "- &a%d [*a%d]\n", i, i - 1),
                         TEARS_OK);
    assert_int_equal(load_status(t3_buf_str(&text), &error), TEARS_LIMIT);

    t3_buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(t3_buf_put_char(&text, '['), TEARS_OK);
    assert_int_equal(load_status(t3_buf_str(&text), &error), TEARS_LIMIT);

    t3_buf_clear(&text);
    for (int i = 0; i <= T3_YAML_ANCHORS_MAX; i++)
        assert_int_equal(t3_buf_printf(&text, "- &a%d x\n", i), TEARS_OK);
    assert_int_equal(load_status(t3_buf_str(&text), &error), TEARS_LIMIT);
}

/* ---- editing ---- */

#define CONFIG                             \
    "# the service\n"                      \
    "server: # where it listens\n"         \
    "  # the host\n"                       \
    "  host: a.example # trailing\n"       \
    "  ports: [80, 443]   # in one line\n" \
    "\n"                                   \
    "  text: |\n"                          \
    "    block\n"                          \
    "    here\n"                           \
    "# before the list\n"                  \
    "list:\n"                              \
    "- 1 # one\n"                          \
    "# two is next\n"                      \
    "- name: 'x'\n"                        \
    "  more: ~\n"                          \
    "empty:\n"                             \
    "# the end\n"

static void edited(const char *before, const char *path, const char *json, const char *after)
{
    tears_document *document = load(before);
    struct tears_error error = {.status = TEARS_OK};
    if (tears_document_set(document, tears_str_c(path), tears_str_c(json), &error) != TEARS_OK)
        fail_msg("%s: %s", path, error.message);
    expect_text(document, after);
    expect_json(document, path, json);
    tears_document_free(document);
}

static void merged(const char *before, const char *json, const char *after)
{
    tears_document *document = load(before);
    struct tears_error error = {.status = TEARS_OK};
    if (tears_document_merge(document, tears_str_c(json), &error) != TEARS_OK)
        fail_msg("%s: %s", json, error.message);
    expect_text(document, after);
    tears_document_free(document);
}

/* The text with the one occurrence of `from` replaced; the result is static. */
static const char *with(const char *text, const char *from, const char *to)
{
    static char result[2048];
    const char *at = strstr(text, from);
    assert_non_null(at);
    const size_t head = (size_t)(at - text);
    assert_true(strlen(text) + strlen(to) < sizeof result);
    memcpy(result, text, head);
    memcpy(result + head, to, strlen(to));
    memcpy(result + head + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    return result;
}

static void a_value_is_changed_and_nothing_else(void **state)
{
    (void)state;
    edited(CONFIG, "/server/host", "\"b.example\"", with(CONFIG, "a.example", "b.example"));
    edited(CONFIG, "/server/host", "\"no\"", with(CONFIG, "a.example", "\"no\""));
    edited(CONFIG, "/server/host", "\"a: b\"", with(CONFIG, "a.example", "\"a: b\""));
    edited(CONFIG, "/server/host", "\"80\"", with(CONFIG, "a.example", "\"80\""));
    edited(CONFIG, "/server/ports/1", "8443", with(CONFIG, "443", "8443"));
    edited(CONFIG, "/server/text", "\"short\"", with(CONFIG, "|\n    block\n    here", "short"));
    edited(CONFIG, "/list/0", "[1,2]", with(CONFIG, "- 1 #", "- [1, 2] #"));
    edited(CONFIG, "/list/1/more", "true", with(CONFIG, "~", "true"));
    edited(CONFIG, "/list/1/name", "\"\\n\xc2\x85\xe2\x80\xa8\x7f\"",
           with(CONFIG, "'x'", "\"\\n\\u0085\\u2028\\u007f\""));
    edited(CONFIG, "/empty", "{\"a\":1}", with(CONFIG, "empty:", "empty: {a: 1}"));
    edited(CONFIG, "/server", "null",
           with(CONFIG,
                " # where it listens\n  # the host\n  host: a.example # trailing\n"
                "  ports: [80, 443]   # in one line\n\n  text: |\n    block\n    here",
                " null"));
}

static void members_and_elements_are_added_on_lines_of_their_own(void **state)
{
    (void)state;
    edited(CONFIG, "/server/name", "\"web\"",
           with(CONFIG, "    here\n", "    here\n  name: web\n"));
    edited(CONFIG, "/server/tls", "{\"cert\":\"c\",\"keys\":[1,{\"a\":[]}]}",
           with(CONFIG, "    here\n",
                "    here\n  tls:\n    cert: c\n    keys:\n      - 1\n      - a: []\n"));
}

static void elements_are_added(void **state)
{
    (void)state;
    tears_document *document = load(CONFIG);
    assert_int_equal(tears_document_set(document, TEARS_STR("/list/-"), TEARS_STR("3"), NULL),
                     TEARS_OK);
    expect_text(document, with(CONFIG, "  more: ~\n", "  more: ~\n- 3\n"));
    tears_document_free(document);
    edited("a: 1", "/b", "2", "a: 1\nb: 2");
    edited("a: 1\r\nc: 3\r\n", "/b", "2", "a: 1\r\nc: 3\nb: 2\r\n");
    edited("- a: 1\n  # c\n- b: 2 # d\n", "/0/z", "0", "- a: 1\n  z: 0\n  # c\n- b: 2 # d\n");
    edited("\xef\xbb\xbf\xc3\xa9: 1 # \xe2\x82\xac\nb: \xf0\x9f\x98\x80 # c\n", "/b", "2",
           "\xef\xbb\xbf\xc3\xa9: 1 # \xe2\x82\xac\nb: 2 # c\n");
    edited("# only this\n", "", "{\"a\":[1]}", "# only this\na:\n  - 1\n");
    edited("{a: 1, b: 2} # flow\n", "/a", "3", "{a: 3, b: 2} # flow\n");
    edited("{a: 1, b: 2} # flow\n", "/c", "3", "{a: 1, b: 2, c: 3} # flow\n");
    edited("{\"a\":1}\n", "/a", "2", "{\"a\": 2}\n");
}

static void merging_removes_changes_and_adds(void **state)
{
    (void)state;
    merged("a: 1 # one\nb: 2 # two\nc: 3 # three\n", "{\"b\":null}", "a: 1 # one\nc: 3 # three\n");
    merged("a: 1\nb: 2 # two\n", "{\"b\":null,\"c\":3}", "a: 1\nc: 3\n");
    merged("a: 1\n# about b\nb: 2\n", "{\"a\":null}", "# about b\nb: 2\n");
    merged("s:\n  x: 1\n  y: 2\nt: 3\n", "{\"s\":{\"y\":null},\"u\":4}",
           "s:\n  x: 1\nt: 3\nu: 4\n");
    merged("s:\n  x: 1\n  y: 2\n", "{\"s\":{\"y\":null,\"z\":3},\"u\":4}",
           "s:\n  x: 1\n  z: 3\nu: 4\n");
    merged("s:\n  x: 1\n", "{\"s\":{\"x\":null}}", "s: {}\n");
    merged("- 1\n", "{\"a\":1}", "{a: 1}\n");
    merged("a: 1 # kept\n", "{\"a\":1}", "a: 1 # kept\n");
}

/* Content goes before form: where the text cannot be edited, the document is written anew. */
static void what_others_refer_to_is_not_changed_for_them(void **state)
{
    (void)state;
    edited("a: &x {m: 1}\nb: *x\n", "/a/m", "2", "a:\n  m: 2\nb:\n  m: 1\n");
    edited("a: &x {m: 1}\nb: *x # c\n", "/b", "2", "a: &x {m: 1}\nb: 2 # c\n");
    edited("a: &x {m: 1}\nb: *x # c\n", "/b/m", "2", "a: &x {m: 1}\nb: {m: 2} # c\n");
    edited("? a\n: 1\n", "/b", "2", "? a\n: 1\nb: 2\n");
}

static void what_fails_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *json;
        tears_status status;
    } cases[] = {
        {"/server/host/x", "1", TEARS_NOT_FOUND}, {"/nothing/x", "1", TEARS_NOT_FOUND},
        {"server", "1", TEARS_INVALID},           {"/server", "{", TEARS_INVALID},
        {"/list/7", "1", TEARS_NOT_FOUND},        {"/~2", "1", TEARS_INVALID},
    };
    tears_document *document = load(CONFIG);
    for (size_t i = 0; i < T3_COUNT(cases); i++) {
        struct tears_error error = {.status = TEARS_OK};
        assert_int_equal(tears_document_set(document, tears_str_c(cases[i].path),
                                            tears_str_c(cases[i].json), &error),
                         cases[i].status);
        assert_true(error.message[0] != '\0');
    }
    char name[2200];
    memset(name, 'x', sizeof name);
    memcpy(name, "{\"", 2);
    memcpy(name + sizeof name - 5, "\":1}", 5);
    assert_int_equal(tears_document_merge(document, tears_str_c(name), NULL), TEARS_INVALID);
    expect_text(document, CONFIG);
    tears_document_free(document);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        tears_document *document = NULL;
        t3_alloc_fail_at(nth);
        tears_status status =
            tears_document_load(t3_format_yaml(), TEARS_STR(CONFIG), &document, NULL);
        if (status == TEARS_OK)
            status = tears_document_merge(
                document,
                TEARS_STR("{\"server\":{\"host\":\"b\",\"ports\":null,\"new\":{\"a\":1}}}"), NULL);
        const bool was_reached = t3_alloc_count() >= nth;
        t3_alloc_fail_at(0);
        if (status == TEARS_OK)
            expect_json(document, "/server/host", "\"b\"");
        else
            assert_int_equal(status, TEARS_NO_MEMORY);
        if (status != TEARS_OK && document != NULL)
            expect_text(document, CONFIG);
        tears_document_free(document);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_mean_what_the_core_schema_says),
        cmocka_unit_test(what_is_not_one_plain_document_is_refused),
        cmocka_unit_test(hostile_texts_cost_little),
        cmocka_unit_test(a_value_is_changed_and_nothing_else),
        cmocka_unit_test(members_and_elements_are_added_on_lines_of_their_own),
        cmocka_unit_test(elements_are_added),
        cmocka_unit_test(merging_removes_changes_and_adds),
        cmocka_unit_test(what_others_refer_to_is_not_changed_for_them),
        cmocka_unit_test(what_fails_changes_nothing),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
