/*
 * fake_store.h -- the database of all processes: tables in memory behind a network, through tears/store.h.
 *
 * Tables `items` and `strict` have a version column, `notes` has none; all have `id` and `name`.
 */
#ifndef TESTS_SIM_FAKE_STORE_H
#define TESTS_SIM_FAKE_STORE_H

#include "judge.h"

struct sim_store_rules {
    bool versions_begin_anew;
};

void sim_store_begin(const struct sim_store_rules *rules);

/* Every call fails, at once. */
void sim_store_set_down(bool is_down);

/* Another program writes a row, before anybody has cached it. */
void sim_store_seed(enum sim_table table, uint32_t key, uint64_t serial);

const struct tears_store *sim_store(void);

/* The schema of a table; the process's own. */
tears_schema *sim_store_schema(enum sim_table table);

#endif
