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

/* A copy of a struct t3_l2_event; texts that are longer are cut. */
struct test_event {
    enum t3_l2_event_kind kind;
    uint64_t revision;
    bool has_version;
    int64_t version;
    bool is_own;
    char key[160];
    char origin[40];
    char ids[160];
};

enum { TEST_EVENTS_MAX = 1024 };

/* What came up through the sink. */
struct test_news {
    atomic_int events; /* the first TEST_EVENTS_MAX are in event[] */
    struct test_event event[TEST_EVENTS_MAX];
    atomic_int current;
    atomic_int doubts;
    atomic_int losses;
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

/* The same with a time between two proofs of the feed. */
struct t3_l2 *test_l2_open_probing(const char *url, const char *name, const char *origin,
                                   struct test_news *news, uint64_t probe_ms);

/* Waits up to two seconds for an event with this revision; NULL when none came. */
const struct test_event *test_wait_for_event(struct test_news *news, uint64_t revision);

/* Waits up to two seconds until the counter is at least `least`. */
bool test_wait_for(atomic_int *counter, int least);

/* A note read through an L2; ends the test when it fails. */
struct t3_l2_entry test_note_get(struct t3_l2 *l2, const struct tears_schema *schema,
                                 struct t3_arena *arena, int64_t id);

/* A put of a note, or of its deletion (body NULL). */
struct test_change {
    int64_t id;
    const char *body;
    int64_t version;
    uint64_t seen;
    bool authoritative;
};

/* Puts it; the result's key is gone. */
struct t3_l2_put test_note_put(struct t3_l2 *l2, const struct tears_schema *schema,
                               struct t3_arena *arena, struct test_change change);

#endif
