/*
 * search.h -- every order of the messages of a small scenario.
 */
#ifndef TESTS_SIM_SEARCH_H
#define TESTS_SIM_SEARCH_H

#include "run.h"

/*
 * What two processes do with one row that exists, and that both may have in L1.  Each letter is a call:
 *   g get   s strong get   u get, then update   p upsert   i insert   d delete
 */
struct sim_scenario {
    const char *name;
    enum sim_table table;
    bool is_warm;         /* both have read the row before */
    const char *calls[2]; /* of one session in each process */
    const char *more;     /* of a second session in the first process; NULL: none */
    enum sim_fault_kind fault;
    bool has_fault;       /* once, anywhere */
    uint32_t more_others; /* detours that it needs beyond those asked for */
};

/* Searches all scenarios with up to so many detours from the dullest schedule; the program's exit status. */
int sim_search(uint32_t others_max);

#endif
