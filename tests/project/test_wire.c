/*
 * test_wire.c -- the examples in docs/wire.md are what the library writes and reads.
 *
 * Owns:     nothing.
 * Threads:  one.
 * Fails:    when an example differs, or when the document has fewer of them than it had.
 * Begin at: main().  Run it in the root of the project.
 */
#include "base/arena.h"
#include "base/str.h"
#include "codec/notice.h"
#include "schema/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_BYTES_MAX = 1024, VALUES_MAX = 4, PARTS_MAX = 4 };

/* One line of an example block, cut at " | ". */
struct example {
    char line[LINE_BYTES_MAX];
    struct tears_str parts[PARTS_MAX];
    size_t part_count;
    struct tears_value values[VALUES_MAX]; /* of parts[1] */
    size_t value_count;
};

static struct tears_str cut(struct tears_str *rest, const char *separator)
{
    const size_t separator_len = strlen(separator);
    for (size_t i = 0; i + separator_len <= rest->len; i++) {
        if (memcmp(rest->ptr + i, separator, separator_len) != 0)
            continue;
        const struct tears_str part = tears_str_n(rest->ptr, i);
        *rest = t3_str_from(*rest, i + separator_len);
        return part;
    }
    const struct tears_str part = *rest;
    *rest = tears_str_n(rest->ptr + rest->len, 0);
    return part;
}

static void parse(struct example *example)
{
    struct tears_str rest = tears_str_n(example->line, strcspn(example->line, "\n"));
    example->part_count = 0;
    while (rest.len > 0 && example->part_count < PARTS_MAX)
        example->parts[example->part_count++] = cut(&rest, " | ");
    assert_true(example->part_count >= 3);
    struct tears_str values = example->parts[1];
    example->value_count = 0;
    while (values.len > 0 && example->value_count < VALUES_MAX)
        example->values[example->value_count++] = tears_text(cut(&values, " "));
}

/* Calls `check` for each line of the blocks of a kind; returns how many there were. */
static int for_examples(const char *kind, void (*check)(const struct example *example))
{
    FILE *document = fopen("docs/wire.md", "r");
    assert_non_null(document);
    struct example example;
    bool inside = false;
    int count = 0;
    while (fgets(example.line, sizeof example.line, document) != NULL) {
        if (strncmp(example.line, "```", 3) == 0) {
            inside = !inside && strncmp(example.line + 3, kind, strlen(kind)) == 0;
            continue;
        }
        if (!inside)
            continue;
        parse(&example);
        check(&example);
        count++;
    }
    fclose(document);
    return count;
}

static void assert_text(struct tears_str actual, struct tears_str expected)
{
    if (!t3_str_equal(actual, expected))
        fail_msg("'%.*s' should be '%.*s'", (int)actual.len, actual.ptr, (int)expected.len,
                 expected.ptr);
}

static void check_key(const struct example *example)
{
    T3_AUTO(t3_buf_done) struct t3_buf key = {0};
    assert_int_equal(t3_key_text(example->parts[0], example->values, example->value_count, &key),
                     TEARS_OK);
    assert_text(t3_buf_str(&key), example->parts[2]);
}

static void check_notice(const struct example *example)
{
    T3_AUTO(t3_buf_done) struct t3_buf message = {0};
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct tears_error error;
    struct t3_notice notice;
    assert_int_equal(t3_notice_encode(example->parts[0], example->values, example->value_count,
                                      example->parts[2], &message),
                     TEARS_OK);
    assert_text(t3_buf_str(&message), example->parts[3]);

    assert_int_equal(t3_notice_decode(example->parts[3], &arena, &notice, &error), TEARS_OK);
    assert_text(notice.table, example->parts[0]);
    assert_text(notice.origin, example->parts[2]);
    assert_int_equal(notice.id_count, example->value_count);
    for (size_t i = 0; i < notice.id_count; i++)
        assert_text(notice.ids[i], example->values[i].as.bytes);
}

static void documented_keys_are_what_the_library_writes(void **state)
{
    (void)state;
    assert_true(for_examples("keys", check_key) >= 4);
}

static void documented_notices_are_what_the_library_writes_and_reads(void **state)
{
    (void)state;
    assert_true(for_examples("notices", check_notice) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_keys_are_what_the_library_writes),
        cmocka_unit_test(documented_notices_are_what_the_library_writes_and_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
