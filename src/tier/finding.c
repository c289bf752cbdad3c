/*
 * finding.c -- a growing list of findings in an arena.
 *
 * Owns: nothing.  Threads: one at a time.  Fails: TEARS_NO_MEMORY.
 */
#include "tier/finding.h"

static tears_status grow(struct t3_findings *findings)
{
    const size_t capacity = findings->capacity == 0 ? 16 : findings->capacity * 2;
    struct tears_finding *items = t3_arena_array(findings->arena, capacity, sizeof *items);
    if (items == NULL)
        return TEARS_NO_MEMORY;
    if (findings->count > 0)
        memcpy(items, findings->items, findings->count * sizeof *items);
    findings->items = items;
    findings->capacity = capacity;
    return TEARS_OK;
}

tears_status t3_finding_add(struct t3_findings *findings, const char *tier, uint64_t severity,
                            const char *subject, struct tears_str value, struct tears_str advice)
{
    if (findings->count == findings->capacity)
        T3_TRY(grow(findings));
    struct tears_finding finding = {.tier = tears_str_c(tier), .severity = severity};
    finding.subject = tears_str_c(subject);
    T3_TRY(t3_arena_str(findings->arena, value, &finding.value));
    T3_TRY(t3_arena_str(findings->arena, advice, &finding.advice));
    findings->items[findings->count++] = finding;
    return TEARS_OK;
}
