/*
 * order_graph.c -- strongly connected components, in order.
 *
 * Owns:     nothing; all memory is the caller's arena.
 * Must not know: tables, rows.
 * Threads:  any.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_order_groups().
 *
 * Tarjan's algorithm along the edges from a thing to what must come before it: a component is complete only when all that must come before it is, so
 * components are numbered in the order that is wanted, and because things are tried as given, they come as given wherever they may.
 * The path is a stack of our own: chains of references may be a million rows long.
 */
#include "deferred/order_graph.h"

enum { UNSEEN = 0 };
#define NO_GROUP UINT32_MAX

struct walk {
    uint32_t *first;  /* of each thing: where its edges start; one more at the end */
    uint32_t *before; /* what must come before it, thing by thing */
    uint32_t *next;   /* of each thing on the path: the edge to try next */
    uint32_t *seen;   /* when it was first seen, from 1; UNSEEN */
    uint32_t *low;    /* the earliest seen that can be reached from it */
    uint32_t *path, *open;
    size_t path_len, open_len;
    uint32_t clock;
    uint32_t *group;
    uint32_t groups;
};

/* The edges, sorted by the thing that comes after. */
static void sort_edges(struct walk *walk, size_t count, const struct t3_order_edge *edges,
                       size_t edge_count)
{
    for (size_t i = 0; i < edge_count; i++)
        walk->first[edges[i].after + 1]++;
    for (size_t i = 0; i < count; i++)
        walk->first[i + 1] += walk->first[i];
    for (size_t i = 0; i < count; i++)
        walk->next[i] = walk->first[i];
    for (size_t i = 0; i < edge_count; i++)
        walk->before[walk->next[edges[i].after]++] = edges[i].before;
}

static tears_status begin_walk(struct walk *walk, size_t count, const struct t3_order_edge *edges,
                               size_t edge_count, struct t3_arena *arena)
{
    memset(walk, 0, sizeof *walk);
    walk->first = t3_arena_array(arena, count + 1, sizeof *walk->first);
    walk->before = t3_arena_array(arena, edge_count + 1, sizeof *walk->before);
    walk->next = t3_arena_array(arena, count + 1, sizeof *walk->next);
    walk->seen = t3_arena_array(arena, count + 1, sizeof *walk->seen);
    walk->low = t3_arena_array(arena, count + 1, sizeof *walk->low);
    walk->path = t3_arena_array(arena, count + 1, sizeof *walk->path);
    walk->open = t3_arena_array(arena, count + 1, sizeof *walk->open);
    if (walk->first == NULL || walk->before == NULL || walk->next == NULL || walk->seen == NULL ||
        walk->low == NULL || walk->path == NULL || walk->open == NULL)
        return TEARS_NO_MEMORY;
    sort_edges(walk, count, edges, edge_count);
    return TEARS_OK;
}

static void step_to(struct walk *walk, uint32_t thing)
{
    walk->seen[thing] = ++walk->clock;
    walk->low[thing] = walk->clock;
    walk->next[thing] = walk->first[thing];
    walk->path[walk->path_len++] = thing;
    walk->open[walk->open_len++] = thing;
}

static void reach(struct walk *walk, uint32_t from, uint32_t at)
{
    if (at < walk->low[from])
        walk->low[from] = at;
}

/* All that was opened since `thing` is in one circle with it. */
static void close_group(struct walk *walk, uint32_t thing)
{
    uint32_t member;
    do {
        member = walk->open[--walk->open_len];
        walk->group[member] = walk->groups;
    } while (member != thing);
    walk->groups++;
}

static void walk_from(struct walk *walk, uint32_t start)
{
    step_to(walk, start);
    while (walk->path_len > 0) {
        const uint32_t thing = walk->path[walk->path_len - 1];
        if (walk->next[thing] < walk->first[thing + 1]) {
            const uint32_t before = walk->before[walk->next[thing]++];
            if (walk->seen[before] == UNSEEN)
                step_to(walk, before);
            else if (walk->group[before] == NO_GROUP)
                reach(walk, thing, walk->seen[before]);
            continue;
        }
        walk->path_len--;
        if (walk->path_len > 0)
            reach(walk, walk->path[walk->path_len - 1], walk->low[thing]);
        if (walk->low[thing] == walk->seen[thing])
            close_group(walk, thing);
    }
}

tears_status t3_order_groups(size_t count, const struct t3_order_edge *edges, size_t edge_count,
                             struct t3_arena *arena, uint32_t *group_out, uint32_t *groups_out)
{
    struct walk walk;
    T3_ASSERT(count < UINT32_MAX && edge_count < UINT32_MAX);
    T3_TRY(begin_walk(&walk, count, edges, edge_count, arena));
    walk.group = group_out;
    for (size_t i = 0; i < count; i++)
        group_out[i] = NO_GROUP;
    for (uint32_t i = 0; i < count; i++)
        if (walk.seen[i] == UNSEEN)
            walk_from(&walk, i);
    *groups_out = walk.groups;
    return TEARS_OK;
}
