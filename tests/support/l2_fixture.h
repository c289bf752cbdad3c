/*
 * l2_fixture.h -- a table, rows of it, and L2 instances for tests of the shared tier.
 */
#ifndef TEST_L2_FIXTURE_H
#define TEST_L2_FIXTURE_H

#include "base/arena.h"
#include "schema/key.h"
#include "tier/l2.h"

#include <stdatomic.h>

/* notes(id bigint, body string, row_version bigint); without the version column when `versioned` is
 * false. */
struct tears_schema *test_notes_schema(bool versioned);

/* A row of it in the arena. */
struct t3_row *test_note(const struct tears_schema *schema, struct t3_arena *arena, int64_t id,
                         const char *body, int64_t version);

/* The key of a note; `value` must live as long. */
struct t3_key test_note_key(int64_t id, struct tears_value *value);

/* The body of a note's row. */
struct tears_str test_note_body(const struct tears_schema *schema, const struct t3_row *row);

/* What came up through the sink. */
struct test_news {
    atomic_int filled;
    atomic_int lost;
    atomic_int notices;
    atomic_int reconnected;
    _Atomic uint64_t last_revision;
    char last_notice[512];
};

/* Opens L2; `news` may be NULL.  Ends the test when it fails. */
struct t3_l2 *test_l2_open(const char *url, const char *name, const char *origin,
                           struct test_news *news);

/* Waits up to two seconds until the counter is at least `least`. */
bool test_wait_for(atomic_int *counter, int least);

#endif
