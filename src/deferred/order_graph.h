/*
 * order_graph.h -- which of many things must come before which.  Pure.
 */
#ifndef T3_DEFERRED_ORDER_GRAPH_H
#define T3_DEFERRED_ORDER_GRAPH_H

#include "base/arena.h"

/* "`before` comes before `after`"; both below the number of things. */
struct t3_order_edge {
    uint32_t before, after;
};

/*
 * Gives each of `count` things the number of its group: numbers grow in an order that satisfies all edges, and things that are in one circle share a number; no others do.
 * Where edges leave a choice, things come as given.  *groups_out is how many groups there are.  Linear.  TEARS_NO_MEMORY.
 */
tears_status t3_order_groups(size_t count, const struct t3_order_edge *edges, size_t edge_count,
                             struct t3_arena *arena, uint32_t *group_out, uint32_t *groups_out);

#endif
