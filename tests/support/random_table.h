/*
 * random_table.h -- declarations of tables by chance, for properties of whatever makes, describes and compares tables.
 */
#ifndef TEST_RANDOM_TABLE_H
#define TEST_RANDOM_TABLE_H

#include "base/arena.h"

#include <tears/schema.h>

/* The chance; the same seed gives the same tables. */
struct test_chance {
    uint64_t state;
};

uint64_t test_chance_below(struct test_chance *chance, uint64_t limit);

struct test_random_table {
    const char *name; /* of the table; names of types, indexes and constraints begin with it */
    const char
        *parent; /* a table with a column `id` of type bigint, to refer to; NULL: no foreign keys */
    bool has_vectors; /* pgvector is there */
};

/*
 * A declaration with one to four key columns, up to nine others of every type, defaults, unique constraints, indexes of every
 * kind that a declaration can say, foreign keys, a version column, a partition column.  In the arena.
 */
const struct tears_schema_def *test_random_table(struct test_chance *chance,
                                                 const struct test_random_table *wanted,
                                                 struct t3_arena *arena);

#endif
