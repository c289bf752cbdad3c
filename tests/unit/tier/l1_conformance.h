/*
 * l1_conformance.h -- what every implementation of tier/l1.h must do, as one suite.
 */
#ifndef TESTS_UNIT_TIER_L1_CONFORMANCE_H
#define TESTS_UNIT_TIER_L1_CONFORMANCE_H

#include "tier/l1.h"

typedef tears_status (*l1_constructor)(uint64_t bytes_max, struct t3_l1 **l1_out,
                                       struct tears_error *error_out);

/* Runs all tests against tiers made by `make`; the number that failed. */
int l1_conformance_run(const char *name, l1_constructor make);

/* ---- a table and rows to test with, also for the tests of one implementation */

/* Columns id bigint (key), row_version bigint, name text, body bytes; with `versioned` row_version
 * is the version column. */
struct tears_schema *l1_items_schema(const char *name, bool versioned);

/* A key and the memory it needs. */
struct l1_key {
    struct tears_value value;
    struct t3_key key;
};

/* The key of an item; its hash is the one that the library would give it. */
void l1_item_key(const struct tears_schema *schema, int64_t id, struct l1_key *key_out);

/* An item whose body is `body_bytes` long and all the byte `fill`. */
struct t3_row *l1_item_row(struct t3_arena *arena, const struct tears_schema *schema, int64_t id,
                           int64_t version, size_t body_bytes, unsigned char fill);

/* A put of a row: an hour of age, no revision, ticket as it is now; not an own write. */
struct t3_l1_put l1_fill(struct t3_l1 *l1, uint32_t space, const struct t3_key *key,
                         const struct t3_row *row, int64_t version);

#endif
