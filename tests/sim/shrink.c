/*
 * shrink.c -- deletes and zeroes blocks of decisions, large ones first.
 *
 * Owns:     nothing.
 * Must not know: what decisions are about; it only knows that 0 is the dullest.
 * Threads:  one.
 * Fails:    never; at worst nothing becomes simpler.
 * Begin at: sim_shrink().
 */
#include "shrink.h"

#include <string.h>

struct shrinking {
    const struct sim_case *failing;
    uint32_t runs_left;
};

/* The name of the invariant, up to the colon. */
static size_t name_len(const char *failure)
{
    const char *colon = strchr(failure, ':');
    return colon != NULL ? (size_t)(colon - failure) : strlen(failure);
}

static bool still_fails(struct shrinking *shrinking, const struct sim_decisions *candidate)
{
    struct sim_outcome outcome;
    shrinking->runs_left--;
    sim_decide_begin(SIM_REPLAYED, shrinking->failing->seed, candidate);
    sim_run_once(shrinking->failing->setup, false, &outcome);
    const char *failure = shrinking->failing->failure;
    return outcome.has_failed && strncmp(outcome.failure, failure, name_len(failure) + 1) == 0;
}

/* Zeros at the end say nothing. */
static void trim(struct sim_decisions *decisions)
{
    while (decisions->len > 0 && decisions->values[decisions->len - 1] == 0)
        decisions->len--;
}

static void delete_block(struct sim_decisions *decisions, size_t at, size_t len)
{
    const size_t behind = decisions->len - at - len;
    memmove(decisions->values + at, decisions->values + at + len, behind * sizeof(uint16_t));
    memmove(decisions->counts + at, decisions->counts + at + len, behind * sizeof(uint16_t));
    decisions->len -= len;
}

/* False: the block is zero already. */
static bool zero_block(struct sim_decisions *decisions, size_t at, size_t len)
{
    bool is_changed = false;
    for (size_t i = at; i < at + len; i++) {
        is_changed = is_changed || decisions->values[i] != 0;
        decisions->values[i] = 0;
    }
    return is_changed;
}

static bool try_pass(struct shrinking *shrinking, struct sim_decisions *decisions, size_t len,
                     bool deletes)
{
    struct sim_decisions candidate = {0};
    bool is_simpler = false;
    for (size_t at = 0; at < decisions->len && shrinking->runs_left > 0;) {
        const size_t block = at + len <= decisions->len ? len : decisions->len - at;
        sim_decisions_copy(&candidate, decisions);
        bool is_other = true;
        if (deletes)
            delete_block(&candidate, at, block);
        else
            is_other = zero_block(&candidate, at, block);
        trim(&candidate);
        if (is_other && still_fails(shrinking, &candidate)) {
            sim_decisions_copy(decisions, &candidate);
            is_simpler = true;
            at += deletes ? 0 : block;
        } else {
            at += block;
        }
    }
    sim_decisions_done(&candidate);
    return is_simpler;
}

void sim_shrink(struct sim_case *failing, uint32_t runs_max)
{
    struct shrinking shrinking = {.failing = failing, .runs_left = runs_max};
    struct sim_decisions *decisions = &failing->decisions;
    bool is_simpler = true;
    trim(decisions);
    while (is_simpler && shrinking.runs_left > 0) {
        is_simpler = false;
        for (size_t len = decisions->len; len > 0 && shrinking.runs_left > 0; len /= 2) {
            is_simpler = try_pass(&shrinking, decisions, len, false) || is_simpler;
            is_simpler = try_pass(&shrinking, decisions, len, true) || is_simpler;
        }
    }
}
