/*
 * decide.c -- makes, records, replays and enumerates decisions.
 *
 * Owns:     the run's sequence and its generators.
 * Must not know: what is decided.
 * Threads:  one.
 * Fails:    by ending the program when memory is gone.
 * Begin at: sim_pick().
 */
#include "decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum sim_manner manner;
static const struct sim_decisions *replayed;
static struct sim_decisions made;
static uint64_t chance;
static uint64_t noise;

static uint64_t next_word(uint64_t *state)
{
    uint64_t word = *state += 0x9E3779B97F4A7C15u;
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
    word = (word ^ word >> 27) * 0x94D049BB133111EBu;
    return word ^ word >> 31;
}

uint64_t sim_noise(void)
{
    return next_word(&noise);
}

void sim_decisions_done(struct sim_decisions *decisions)
{
    free(decisions->values);
    free(decisions->counts);
    memset(decisions, 0, sizeof *decisions);
}

static void make_room(struct sim_decisions *decisions, size_t len)
{
    if (len <= decisions->capacity)
        return;
    const size_t capacity = len < 1024 ? 1024 : len * 2;
    decisions->values = realloc(decisions->values, capacity * sizeof(uint16_t));
    decisions->counts = realloc(decisions->counts, capacity * sizeof(uint16_t));
    if (decisions->values == NULL || decisions->counts == NULL) {
        fputs("sim: out of memory\n", stderr);
        exit(2);
    }
    decisions->capacity = capacity;
}

void sim_decisions_copy(struct sim_decisions *to, const struct sim_decisions *from)
{
    make_room(to, from->len + 1);
    if (from->len > 0) {
        memcpy(to->values, from->values, from->len * sizeof(uint16_t));
        memcpy(to->counts, from->counts, from->len * sizeof(uint16_t));
    }
    to->len = from->len;
}

void sim_decisions_add(struct sim_decisions *decisions, uint32_t value, uint32_t count)
{
    make_room(decisions, decisions->len + 1);
    decisions->values[decisions->len] = (uint16_t)value;
    decisions->counts[decisions->len] = (uint16_t)count;
    decisions->len++;
}

void sim_decide_begin(enum sim_manner how, uint64_t seed, const struct sim_decisions *known)
{
    manner = how;
    replayed = known;
    made.len = 0;
    chance = seed * 0xD6E8FEB86659FD93u + 1;
    noise = ~chance;
}

static uint32_t at_random(uint32_t count, uint32_t other)
{
    const uint64_t word = next_word(&chance);
    if (word % 1000 >= other)
        return 0;
    return 1 + (uint32_t)((word >> 32) % (count - 1));
}

static uint32_t as_known(uint32_t count)
{
    if (replayed == NULL || made.len >= replayed->len)
        return 0;
    const uint32_t value = replayed->values[made.len];
    return value < count ? value : count - 1;
}

uint32_t sim_pick(enum sim_about about, uint32_t count, uint32_t other)
{
    if (count < 2)
        return 0;
    if (manner == SIM_SEARCHED && about != SIM_ORDER && about != SIM_FAULT)
        return 0;
    if (manner != SIM_SEARCHED && about == SIM_ORDER)
        return 0;
    const uint32_t value = manner == SIM_AT_RANDOM ? at_random(count, other) : as_known(count);
    sim_decisions_add(&made, value, count);
    return value;
}

const struct sim_decisions *sim_decided(void)
{
    return &made;
}

/* The last decision that has an alternative left is moved on; all after it fall away.  Decisions that are not 0 are
 * what a schedule has of detours, and these are counted. */
bool sim_decisions_next(struct sim_decisions *decisions, uint32_t others_max)
{
    uint32_t others = 0;
    for (size_t i = 0; i < decisions->len; i++)
        others += decisions->values[i] != 0;
    while (decisions->len > 0) {
        const size_t last = decisions->len - 1;
        const bool is_other = decisions->values[last] != 0;
        const uint32_t others_before = others - (is_other ? 1 : 0);
        if (decisions->values[last] + 1u < decisions->counts[last] && others_before < others_max) {
            decisions->values[last]++;
            return true;
        }
        others = others_before;
        decisions->len--;
    }
    return false;
}
