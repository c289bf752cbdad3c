/*
 * test_event.c -- draft messages and enforcement records, and what peers may send.
 *
 * The tests k5_ are the weakness of the Python package that is to be beaten (spec platform.md 9.4).
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"

#include <tears/knowledge.h>
#include <tears/value.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID(digit) "00000000-0000-0000-0000-00000000000" digit

/* What peers write (spec platform.md 8.7). */
static const char command_text[] =
    "{\"kind\":\"command\",\"event\":null,\"command\":{\"draft_id\":\"" ID(
        "1") "\","
             "\"target\":\"concept\",\"op\":\"edit\",\"user_id\":\"" ID("3") "\",\"title\":\"x\","
                                                                             "\"body\":null}}";
static const char event_text[] = "{\"kind\":\"event\",\"event\":{\"draft_id\":\"" ID(
    "1") "\",\"target\":\"entry\","
         "\"customer_id\":\"" ID("2") "\",\"user_id\":\"" ID("3") "\",\"datasource_id\":\"" ID(
             "4") "\","
                  "\"title\":\"t \xc3\xa9\",\"body\":\"b\",\"related_domain\":\"\","
                  "\"conversation_id\":\"" ID("5") "\",\"message_id_source\":\"" ID(
                      "6") "\",\"turn_count\":3,"
                           "\"contradicts_entity_id\":null},\"command\":null}";
static const char rule_text[] = "{\"table\":\"t\",\"required_predicates\":[\"a\",\"b, c\"],"
                                "\"forbidden_bare_aggregate\":true,\"canonical_sql\":null,"
                                "\"note\":\"n\"}";

/* `text` with the first `old` replaced; ended by the buffer. */
static struct tears_str replaced(struct t3_buf *buf, const char *text, const char *old,
                                 const char *with)
{
    const char *at = strstr(text, old);
    assert_non_null(at);
    t3_buf_clear(buf);
    assert_int_equal(t3_buf_put(buf, tears_str_n(text, (size_t)(at - text))), TEARS_OK);
    assert_int_equal(t3_buf_put(buf, tears_str_c(with)), TEARS_OK);
    assert_int_equal(t3_buf_put(buf, tears_str_c(at + strlen(old))), TEARS_OK);
    return t3_buf_str(buf);
}

static void messages_are_written_as_peers_write_them(void **state)
{
    (void)state;
    static const char *const texts[] = {command_text, event_text};
    for (size_t i = 0; i < T3_COUNT(texts); i++) {
        tears_draft *draft = NULL;
        struct tears_owned_text again = TEARS_OWNED_TEXT_INIT;
        assert_int_equal(tears_draft_decode(tears_str_c(texts[i]), &draft, NULL), TEARS_OK);
        assert_int_equal(tears_draft_encode(tears_draft_message(draft), &again, NULL), TEARS_OK);
        assert_string_equal(again.ptr, texts[i]);
        assert_int_equal(again.len, strlen(texts[i]));
        tears_owned_text_free(&again);
        tears_draft_free(draft);
    }
}

static void an_event_is_understood(void **state)
{
    (void)state;
    tears_draft *draft = NULL;
    assert_int_equal(tears_draft_decode(tears_str_c(event_text), &draft, NULL), TEARS_OK);
    const struct tears_draft_message *message = tears_draft_message(draft);
    assert_int_equal(message->kind, TEARS_DRAFT_EVENT);
    const struct tears_draft_event *event = &message->event;
    assert_int_equal(event->draft_id[15], 1);
    assert_int_equal(event->target, TEARS_DRAFT_ENTRY);
    assert_int_equal(event->customer_id[15], 2);
    assert_int_equal(event->user_id[15], 3);
    assert_int_equal(event->datasource_id[15], 4);
    assert_string_equal(event->title.ptr, "t \xc3\xa9");
    assert_int_equal(event->conversation_id[15], 5);
    assert_int_equal(event->message_id_source[15], 6);
    assert_int_equal(event->turn_count, 3);
    assert_false(event->contradicts_entity_id.is_set);
    tears_draft_free(draft);
}

static void defaults_stand_for_what_is_absent(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    T3_AUTO(t3_buf_done) struct t3_buf shorter = {0};
    tears_draft *draft = NULL;
    replaced(&shorter, event_text, ",\"contradicts_entity_id\":null},\"command\":null", "}");
    assert_int_equal(tears_draft_decode(replaced(&buf, shorter.ptr, "\"related_domain\":\"\",", ""),
                                        &draft, NULL),
                     TEARS_OK);
    assert_int_equal(tears_draft_message(draft)->event.related_domain.len, 0);
    assert_non_null(tears_draft_message(draft)->event.related_domain.ptr);
    assert_false(tears_draft_message(draft)->event.contradicts_entity_id.is_set);
    tears_draft_free(draft);
    assert_int_equal(
        tears_draft_decode(replaced(&buf, command_text, ",\"title\":\"x\",\"body\":null", ""),
                           &draft, NULL),
        TEARS_OK);
    assert_null(tears_draft_message(draft)->command.title.ptr);
    assert_null(tears_draft_message(draft)->command.body.ptr);
    assert_int_equal(tears_draft_message(draft)->command.op, TEARS_DRAFT_EDIT);
    tears_draft_free(draft);
}

static void members_of_newer_peers_are_passed_over(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    tears_draft *draft = NULL;
    const struct tears_str text = replaced(
        &buf, event_text, "\"title\":", "\"later\":{\"title\":[1e400,null]},\"t\\u0069tle\":");
    assert_int_equal(tears_draft_decode(text, &draft, NULL), TEARS_OK);
    assert_string_equal(tears_draft_message(draft)->event.title.ptr, "t \xc3\xa9");
    tears_draft_free(draft);
}

/* A change to one of the texts above, and why the result is none. */
struct damage {
    const char *text;
    const char *old;
    const char *with;
    const char *reason;
};

static void expect_refusals(const struct damage *cases, size_t count, tears_status expected)
{
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    for (size_t i = 0; i < count; i++) {
        const struct tears_str text = replaced(&buf, cases[i].text, cases[i].old, cases[i].with);
        const bool is_rule = cases[i].text == rule_text;
        tears_draft *draft = NULL;
        tears_rule *rule = NULL;
        struct tears_error error = {TEARS_OK, 0, "", "", ""};
        const tears_status status = is_rule ? tears_rule_decode(text, &rule, &error)
                                            : tears_draft_decode(text, &draft, &error);
        if (status != expected || strstr(error.message, cases[i].reason) == NULL)
            fail_msg("\"%s\": %s: %s", cases[i].with, tears_status_name(status), error.message);
        assert_null(draft);
        assert_null(rule);
    }
}

static void anything_else_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct damage cases[] = {
        {event_text, event_text, "", "draft message: malformed JSON at byte 0"},
        {event_text, event_text, "null", "malformed JSON"},
        {event_text, event_text, "{}", "draft message: \"kind\" is missing"},
        {event_text, "\"kind\":\"event\"", "\"kind\":\"other\"", "\"kind\" is none of the words"},
        {event_text, "\"kind\":\"event\"", "\"kind\":0", "\"kind\" is not a string"},
        {event_text, "\"title\":\"t \xc3\xa9\",", "", "draft event: \"title\" is missing"},
        {event_text, "\"title\":\"t", "\"title\":5,\"x\":\"t", "\"title\" is not a string"},
        {event_text, "\"title\":\"t", "\"title\":null,\"x\":\"t", "\"title\" is not a string"},
        {event_text, "\"title\":\"t", "\"title\":\"\xff", "malformed JSON"},
        {event_text, "\"title\":\"t", "\"title\":\"\\ud800", "malformed JSON"},
        {event_text, "\"entry\"", "\"other\"", "\"target\" is none of the words"},
        {event_text, "\"turn_count\":3", "\"turn_count\":9223372036854775808", "\"turn_count\""},
        {event_text, "\"related_domain\":\"\"", "\"related_domain\":null", "\"related_domain\""},
        {event_text, "\"contradicts_entity_id\":null", "\"contradicts_entity_id\":\"\"",
         "\"contradicts_entity_id\" is not a UUID"},
        {event_text, ",\"command\":null}", ",\"command\":null} x", "malformed JSON"},
        {command_text, "\"op\":\"edit\",", "", "draft command: \"op\" is missing"},
        {command_text, "\"user_id\":\"" ID("3") "\"", "\"user_id\":null", "\"user_id\""},
        {command_text, "\"title\":\"x\"", "\"title\":[]", "\"title\" is not a string"},
        {rule_text, "\"table\":\"t\",", "", "enforcement record: \"table\" is missing"},
        {rule_text, ",\"note\":\"n\"", "", "\"note\" is missing"},
        {rule_text, "[\"a\",\"b, c\"]", "\"a\"", "\"required_predicates\" is not an array"},
        {rule_text, "[\"a\",", "[1,", "\"required_predicates\" holds something"},
        {rule_text, "true", "1", "\"forbidden_bare_aggregate\" is neither true nor false"},
        {rule_text, "\"canonical_sql\":null", "\"canonical_sql\":1", "\"canonical_sql\""},
        {rule_text, rule_text, "[]", "malformed JSON"},
    };
    expect_refusals(cases, T3_COUNT(cases), TEARS_INVALID);
}

static void k5_what_peers_let_pass_is_refused(void **state)
{
    (void)state;
    static const struct damage cases[] = {
        {event_text, event_text, "{\"kind\":\"event\"}",
         "\"kind\" is \"event\", but \"event\" is missing"},
        {event_text, "\"kind\":\"event\"", "\"kind\":\"command\"", "\"command\" is missing"},
        {event_text, "\"command\":null", "\"command\":{}", "\"command\" is given"},
        {command_text, "\"event\":null", "\"event\":{\"x\":1}", "\"event\" is given"},
        {event_text, "\"command\":null", "\"command\":[]", "\"command\" is not an object"},
        {event_text, "\"turn_count\":3", "\"turn_count\":\"3\"",
         "\"turn_count\" is not an integer"},
        {event_text, "\"turn_count\":3", "\"turn_count\":3.0", "\"turn_count\" is not an integer"},
        {event_text, ID("1"), "{" ID("1") "}", "\"draft_id\" is not a UUID"},
        {event_text, ID("1"), "00000000000000000000000000000001", "\"draft_id\" is not a UUID"},
        {event_text, "\"body\":\"b\"", "\"body\":\"b\",\"body\":\"c\"", "\"body\" is given twice"},
        {event_text, "\"kind\":\"event\"", "\"kind\":\"event\",\"version\":\"1\"",
         "\"version\" is not an integer"},
    };
    static const struct damage newer[] = {
        {event_text, "\"kind\":\"event\"", "\"kind\":\"event\",\"version\":2", "version 2"},
        {event_text, "\"kind\":\"event\"", "\"kind\":\"event\",\"version\":0", "version 0"},
    };
    expect_refusals(cases, T3_COUNT(cases), TEARS_INVALID);
    expect_refusals(newer, T3_COUNT(newer), TEARS_UNSUPPORTED);
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    tears_draft *draft = NULL;
    assert_int_equal(tears_draft_decode(replaced(&buf, event_text, "\"kind\":\"event\"",
                                                 "\"version\":1,\"kind\":\"event\""),
                                        &draft, NULL),
                     TEARS_OK);
    tears_draft_free(draft);
}

static void every_cut_message_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(event_text); len++) {
        char *exact = malloc(len + 1); /* so that a read past the end is seen */
        tears_draft *draft = NULL;
        assert_non_null(exact);
        memcpy(exact, event_text, len);
        assert_int_equal(tears_draft_decode(tears_str_n(exact, len), &draft, NULL), TEARS_INVALID);
        free(exact);
    }
}

static void deep_and_large_messages_are_refused(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf buf = {0};
    tears_draft *draft = NULL;
    tears_rule *rule = NULL;
    struct tears_error error;
    assert_int_equal(t3_buf_put(&buf, TEARS_STR("{\"x\":")), TEARS_OK);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(t3_buf_put_char(&buf, '['), TEARS_OK);
    assert_int_equal(tears_draft_decode(t3_buf_str(&buf), &draft, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "nested too deeply"));
    const struct tears_str large = {buf.ptr, (size_t)TEARS_DRAFT_BYTES_MAX + 1}; /* never read */
    assert_int_equal(tears_draft_decode(large, &draft, &error), TEARS_LIMIT);
    assert_int_equal(tears_rule_decode(large, &rule, &error), TEARS_LIMIT);
}

static void what_stands_for_nothing_is_not_written(void **state)
{
    (void)state;
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_error error;
    struct tears_draft_message message = {.kind = 2};
    assert_int_equal(tears_draft_encode(&message, &text, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "\"kind\""));
    message.kind = TEARS_DRAFT_COMMAND;
    message.command.op = 3;
    assert_int_equal(tears_draft_encode(&message, &text, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "\"op\""));
    message.command.op = TEARS_DRAFT_DISCARD;
    message.command.title = TEARS_STR("\xff");
    assert_int_equal(tears_draft_encode(&message, &text, &error), TEARS_INVALID);
    assert_non_null(strstr(error.message, "\"title\" is not UTF-8"));
    assert_int_equal(tears_draft_encode(NULL, &text, &error), TEARS_MISUSE);
    assert_int_equal(tears_draft_encode(&message, NULL, &error), TEARS_MISUSE);
    assert_int_equal(tears_draft_decode(TEARS_STR("{}"), NULL, &error), TEARS_MISUSE);
    assert_null(text.ptr);
}

static void text_that_is_too_long_is_not_written(void **state)
{
    (void)state;
    struct tears_owned_text text = TEARS_OWNED_TEXT_INIT;
    struct tears_error error;
    struct tears_draft_message message = {.kind = TEARS_DRAFT_COMMAND};
    char *long_text = calloc(1, TEARS_DRAFT_BYTES_MAX);
    assert_non_null(long_text);
    memset(long_text, 'a', TEARS_DRAFT_BYTES_MAX);
    message.command.body = tears_str_n(long_text, TEARS_DRAFT_BYTES_MAX);
    assert_int_equal(tears_draft_encode(&message, &text, &error), TEARS_LIMIT);
    assert_null(text.ptr);
    free(long_text);
}

static void records_are_written_as_peers_write_them(void **state)
{
    (void)state;
    tears_rule *rule = NULL;
    struct tears_owned_text again = TEARS_OWNED_TEXT_INIT;
    assert_int_equal(tears_rule_decode(tears_str_c(rule_text), &rule, NULL), TEARS_OK);
    const struct tears_enforcement *enforcement = tears_rule_enforcement(rule);
    assert_string_equal(enforcement->table.ptr, "t");
    assert_int_equal(enforcement->required_predicate_count, 2);
    assert_string_equal(enforcement->required_predicates[1].ptr, "b, c");
    assert_true(enforcement->forbidden_bare_aggregate);
    assert_null(enforcement->canonical_sql.ptr);
    assert_int_equal(tears_enforcement_encode(enforcement, &again, NULL), TEARS_OK);
    assert_string_equal(again.ptr, rule_text);
    tears_owned_text_free(&again);
    tears_rule_free(rule);
    const struct tears_enforcement bare = {.canonical_sql = TEARS_STR("")};
    assert_int_equal(tears_enforcement_encode(&bare, &again, NULL), TEARS_OK);
    assert_string_equal(again.ptr, "{\"table\":\"\",\"required_predicates\":[],"
                                   "\"forbidden_bare_aggregate\":false,\"canonical_sql\":\"\","
                                   "\"note\":\"\"}");
    tears_owned_text_free(&again);
    assert_int_equal(tears_enforcement_encode(NULL, &again, NULL), TEARS_MISUSE);
    assert_int_equal(tears_rule_decode(TEARS_STR("{}"), NULL, NULL), TEARS_MISUSE);
    tears_rule_free(NULL);
    tears_draft_free(NULL);
    assert_null(tears_rule_enforcement(NULL));
    assert_null(tears_draft_message(NULL));
}

static tears_status there_and_back(const char *text)
{
    struct tears_owned_text again = TEARS_OWNED_TEXT_INIT;
    tears_draft *draft = NULL;
    tears_status status = tears_draft_decode(tears_str_c(text), &draft, NULL);
    if (status == TEARS_OK)
        status = tears_draft_encode(tears_draft_message(draft), &again, NULL);
    tears_owned_text_free(&again);
    tears_draft_free(draft);
    return status;
}

static tears_status rule_there_and_back(const char *text)
{
    struct tears_owned_text again = TEARS_OWNED_TEXT_INIT;
    tears_rule *rule = NULL;
    tears_status status = tears_rule_decode(tears_str_c(text), &rule, NULL);
    if (status == TEARS_OK)
        status = tears_enforcement_encode(tears_rule_enforcement(rule), &again, NULL);
    tears_owned_text_free(&again);
    tears_rule_free(rule);
    return status;
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    T3_AUTO(t3_buf_done) struct t3_buf body = {0};
    T3_AUTO(t3_buf_done) struct t3_buf event = {0};
    T3_AUTO(t3_buf_done) struct t3_buf rule = {0};
    assert_int_equal(t3_buf_printf(&body, "\"%05000d\"", 0), TEARS_OK);
    replaced(&event, event_text, "\"b\"", body.ptr);
    replaced(&rule, rule_text, "\"a\"", body.ptr);
    for (int part = 0; part < 2; part++)
        for (uint64_t nth = 1;; nth++) {
            t3_alloc_fail_at(nth);
            const tears_status status =
                part == 0 ? there_and_back(event.ptr) : rule_there_and_back(rule.ptr);
            const bool failed = t3_alloc_count() >= nth;
            t3_alloc_fail_at(0);
            assert_int_equal(status, failed ? TEARS_NO_MEMORY : TEARS_OK);
            if (!failed)
                break;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_written_as_peers_write_them),
        cmocka_unit_test(an_event_is_understood),
        cmocka_unit_test(defaults_stand_for_what_is_absent),
        cmocka_unit_test(members_of_newer_peers_are_passed_over),
        cmocka_unit_test(anything_else_is_refused_with_a_reason),
        cmocka_unit_test(k5_what_peers_let_pass_is_refused),
        cmocka_unit_test(every_cut_message_is_refused),
        cmocka_unit_test(deep_and_large_messages_are_refused),
        cmocka_unit_test(what_stands_for_nothing_is_not_written),
        cmocka_unit_test(text_that_is_too_long_is_not_written),
        cmocka_unit_test(records_are_written_as_peers_write_them),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
