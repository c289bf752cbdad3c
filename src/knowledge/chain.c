/*
 * chain.c -- which rows override each other, and which of them is in force.
 *
 * Owns:     the layers, and a graph of ids while they are made.
 * Must not know: what the rows are, or what they say.
 * Threads:  any; layers are not changed once they are made.
 * Fails:    TEARS_INVALID on a scope that is none; TEARS_NO_MEMORY.  No shape of links fails.
 * Begin at: t3_layers_new().
 *
 * Every id that occurs, as a row's or as an origin, is a node; a node has at most one link, to its
 * origin.  Following links from a node one comes to an end or into a circle: that is the node's
 * root, and the rows of one root are one chain.  An origin that is not among the rows is a node
 * like any other, so rows that override the same unseen row meet there.  A circle's root is the
 * node where the first walk that ran into it closed it.
 *
 * A walk stops at the first node whose root is known and gives all nodes behind it the same root,
 * so every node is walked at most three times, however long the chains are.  Rows are ordered once,
 * all together, byte by byte (radix sort), and then dealt out to their chains in that order.  So
 * everything takes time in proportion to the number of rows; tests count the steps.
 */
#include "knowledge/chain.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/hash.h"

#include <tears/value.h>

static const char error_origin[] = "knowledge";

enum { ID_BYTES = 16 };
#define NO_NODE UINT32_MAX

struct node {
    const uint8_t *id;
    uint32_t row;    /* the last one of this id; NO_NODE: only an origin */
    uint32_t parent; /* the node of the origin; NO_NODE: none */
    uint32_t root;   /* NO_NODE: not known yet */
    uint32_t depth;  /* ancestors up to the root; its place in the walk while that is not known */
    uint32_t walk;   /* the last walk that came by */
    uint32_t findings;
    uint32_t layer; /* of a root */
};

struct graph {
    const struct t3_link *links;
    uint32_t row_count;
    struct node *nodes; /* room for two a row */
    uint32_t node_count;
    uint32_t *slots; /* hash table of nodes by id, at most half full */
    uint32_t slot_mask;
    uint64_t seed;
    uint32_t *node_of_row;
    uint64_t steps;
};

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The node of the id, which is added when there is none. */
static uint32_t find_node(struct graph *graph, const uint8_t *id)
{
    uint32_t slot = (uint32_t)t3_hash(id, ID_BYTES, graph->seed) & graph->slot_mask;
    while (graph->slots[slot] != NO_NODE) {
        const uint32_t found = graph->slots[slot];
        graph->steps++;
        if (memcmp(graph->nodes[found].id, id, ID_BYTES) == 0)
            return found;
        slot = (slot + 1) & graph->slot_mask;
    }
    T3_ASSERT(graph->node_count < 2 * graph->row_count);
    const uint32_t added = graph->node_count++;
    graph->slots[slot] = added;
    graph->nodes[added] = (struct node){
        .id = id, .row = NO_NODE, .parent = NO_NODE, .root = NO_NODE, .walk = NO_NODE};
    graph->steps++;
    return added;
}

static void add_rows(struct graph *graph)
{
    for (uint32_t row = 0; row < graph->row_count; row++) {
        const uint32_t found = find_node(graph, graph->links[row].id);
        struct node *node = &graph->nodes[found];
        if (node->row != NO_NODE)
            node->findings |= TEARS_LAYER_DUPLICATE;
        node->row = row;
        graph->node_of_row[row] = found;
    }
}

/* What a look at both ends of a link shows. */
static uint32_t findings_of_link(const struct graph *graph, const struct node *node,
                                 const struct node *parent)
{
    if (parent->row == NO_NODE)
        return TEARS_LAYER_HIDDEN_ORIGIN;
    const uint32_t origin_scope = graph->links[parent->row].scope;
    return origin_scope >= graph->links[node->row].scope ? TEARS_LAYER_DIRECTION : 0;
}

static void add_links(struct graph *graph)
{
    const uint32_t with_row = graph->node_count;
    for (uint32_t i = 0; i < with_row; i++) {
        struct node *node = &graph->nodes[i];
        const struct t3_link *link = &graph->links[node->row];
        if (!link->origin.is_set)
            continue;
        node->parent = find_node(graph, link->origin.bytes);
        node->findings |= findings_of_link(graph, node, &graph->nodes[node->parent]);
    }
}

/* ---- roots ----------------------------------------------------------------------------------- */

/* Follows the links from `start` to the first node that ends the walk; *length_out is the way. */
static uint32_t walk_up(struct graph *graph, uint32_t start, uint32_t *length_out)
{
    uint32_t at = start;
    uint32_t length = 0;
    for (;; length++) {
        struct node *node = &graph->nodes[at];
        graph->steps++;
        if (node->root != NO_NODE)
            break;
        if (node->walk == start) { /* been here: a circle */
            node->findings |= TEARS_LAYER_CYCLE;
            *length_out = node->depth;
            return at;
        }
        node->walk = start;
        node->depth = length;
        if (node->parent == NO_NODE)
            break;
        at = node->parent;
    }
    *length_out = length;
    return at;
}

static void find_root(struct graph *graph, uint32_t start)
{
    uint32_t length;
    const uint32_t end = walk_up(graph, start, &length);
    struct node *last = &graph->nodes[end];
    if (last->root == NO_NODE) {
        last->root = end;
        last->depth = 0;
    }
    for (uint32_t at = start; at != end; at = graph->nodes[at].parent, length--) {
        struct node *node = &graph->nodes[at];
        node->root = last->root;
        node->depth = last->depth + length;
        if (node->depth > TEARS_ORIGIN_DEPTH_MAX)
            node->findings |= TEARS_LAYER_DEEP;
        graph->steps++;
    }
}

/* Every node learns its root, and every root what was found out about the nodes under it. */
static void find_roots(struct graph *graph)
{
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].root == NO_NODE)
            find_root(graph, i);
    for (uint32_t i = 0; i < graph->node_count; i++)
        graph->nodes[graph->nodes[i].root].findings |= graph->nodes[i].findings;
}

/* ---- order ----------------------------------------------------------------------------------- */

/* The byte by which the pass orders: the id's from the last to the first, then the scope. */
static unsigned key_byte(const struct t3_link *link, unsigned pass)
{
    return pass < ID_BYTES ? link->id[ID_BYTES - 1 - pass] : link->scope;
}

/* One pass, larger bytes first, equal ones as they were; false: all are equal, nothing was done. */
static bool sort_pass(struct graph *graph, unsigned pass, const uint32_t *from, uint32_t *to)
{
    uint32_t starts[256] = {0};
    for (uint32_t i = 0; i < graph->row_count; i++)
        starts[key_byte(&graph->links[from[i]], pass)]++;
    graph->steps += graph->row_count;
    if (starts[key_byte(&graph->links[from[0]], pass)] == graph->row_count)
        return false;
    uint32_t start = 0;
    for (unsigned byte = 256; byte-- > 0;) {
        const uint32_t count = starts[byte];
        starts[byte] = start;
        start += count;
    }
    for (uint32_t i = 0; i < graph->row_count; i++)
        to[starts[key_byte(&graph->links[from[i]], pass)]++] = from[i];
    graph->steps += graph->row_count;
    return true;
}

/* The rows by scope and id, nearest and largest first; gives the one of the two that holds them. */
static uint32_t *sort_rows(struct graph *graph, uint32_t *order, uint32_t *spare)
{
    for (uint32_t i = 0; i < graph->row_count; i++)
        order[i] = i;
    for (unsigned pass = 0; pass <= ID_BYTES; pass++) {
        if (!sort_pass(graph, pass, order, spare))
            continue;
        uint32_t *sorted = spare;
        spare = order;
        order = sorted;
    }
    return order;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/*
 * Gives every chain its layer.  The first row of a chain in `order` is its winner, and the nearest
 * winner gets the last layer.
 */
static void number_layers(struct graph *graph, const uint32_t *order, uint32_t layer_count)
{
    uint32_t left = layer_count;
    for (uint32_t i = 0; i < graph->row_count; i++) {
        struct node *root = &graph->nodes[graph->nodes[graph->node_of_row[order[i]]].root];
        if (root->layer == NO_NODE)
            root->layer = --left;
    }
    T3_ASSERT(left == 0);
}

/* The number of chains that have a row; marks their roots as not numbered yet. */
static uint32_t count_chains(struct graph *graph)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < graph->row_count; row++) {
        struct node *root = &graph->nodes[graph->nodes[graph->node_of_row[row]].root];
        if (root->layer != NO_NODE)
            count++;
        root->layer = NO_NODE;
    }
    return count;
}

static uint32_t layer_of_row(const struct graph *graph, uint32_t row)
{
    return graph->nodes[graph->nodes[graph->node_of_row[row]].root].layer;
}

/* Deals the rows out: `members` becomes one run for each layer, the winner first. */
static void deal_rows(const struct graph *graph, const uint32_t *order, size_t *members,
                      tears_layers *layers)
{
    for (uint32_t row = 0; row < graph->row_count; row++)
        layers->layers[layer_of_row(graph, row)].shadowed_count++;
    for (size_t i = 0; i < layers->count; i++) {
        layers->layers[i].shadowed = members;
        members += layers->layers[i].shadowed_count;
        layers->layers[i].shadowed_count = 0;
    }
    members -= graph->row_count;
    for (uint32_t i = 0; i < graph->row_count; i++) {
        struct tears_layer *layer = &layers->layers[layer_of_row(graph, order[i])];
        const size_t run = (size_t)(layer->shadowed - members);
        members[run + layer->shadowed_count++] = order[i];
    }
}

/* Fills a layer whose `shadowed` is still the whole run. */
static void finish_layer(const struct graph *graph, struct tears_layer *layer)
{
    const size_t *run = layer->shadowed;
    const size_t count = layer->shadowed_count;
    const struct t3_link *winner = &graph->links[run[0]];
    size_t same_scope = 1;
    while (same_scope < count && graph->links[run[same_scope]].scope == winner->scope)
        same_scope++;
    layer->winner = run[0];
    layer->shadowed = run + 1;
    layer->shadowed_count = count - 1;
    layer->rival_count = same_scope - 1;
    layer->scope = winner->scope;
    layer->shadows_scope =
        same_scope < count ? graph->links[run[same_scope]].scope : TEARS_SCOPE_NONE;
    layer->findings = graph->nodes[graph->nodes[graph->node_of_row[run[0]]].root].findings;
    for (size_t i = 1; i < count; i++) {
        const struct t3_link *before = &graph->links[run[i - 1]];
        const struct t3_link *link = &graph->links[run[i]];
        if (before->scope == link->scope && memcmp(before->id, link->id, ID_BYTES) != 0)
            layer->findings |= TEARS_LAYER_SIBLINGS;
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static tears_status open_graph(struct graph *graph, struct t3_arena *arena)
{
    uint8_t seed[ID_BYTES];
    uint32_t slot_count = 4;
    while (slot_count < 4 * graph->row_count)
        slot_count *= 2;
    graph->nodes = t3_arena_array(arena, 2 * (size_t)graph->row_count, sizeof *graph->nodes);
    graph->slots = t3_arena_array(arena, slot_count, sizeof *graph->slots);
    graph->node_of_row = t3_arena_array(arena, graph->row_count, sizeof *graph->node_of_row);
    if (graph->nodes == NULL || graph->slots == NULL || graph->node_of_row == NULL)
        return TEARS_NO_MEMORY;
    memset(graph->slots, 0xff, slot_count * sizeof *graph->slots);
    graph->slot_mask = slot_count - 1;
    /* Ids come from outside: nobody shall be able to choose them so that they collide. */
    tears_uuid_new(seed);
    memcpy(&graph->seed, seed + 8, sizeof graph->seed);
    return TEARS_OK;
}

static tears_status fill_layers(struct graph *graph, struct t3_arena *scratch, tears_layers *layers)
{
    T3_TRY(open_graph(graph, scratch));
    uint32_t *order = t3_arena_array(scratch, graph->row_count, sizeof *order);
    uint32_t *spare = t3_arena_array(scratch, graph->row_count, sizeof *spare);
    if (order == NULL || spare == NULL)
        return TEARS_NO_MEMORY;
    add_rows(graph);
    add_links(graph);
    find_roots(graph);
    order = sort_rows(graph, order, spare);
    layers->count = count_chains(graph);
    number_layers(graph, order, (uint32_t)layers->count);
    layers->layers = t3_arena_array(&layers->arena, layers->count, sizeof *layers->layers);
    size_t *members = t3_arena_array(&layers->arena, graph->row_count, sizeof *members);
    if (layers->layers == NULL || members == NULL)
        return TEARS_NO_MEMORY;
    deal_rows(graph, order, members, layers);
    for (size_t i = 0; i < layers->count; i++)
        finish_layer(graph, &layers->layers[i]);
    layers->steps = graph->steps;
    return TEARS_OK;
}

static void free_layers_auto(tears_layers **layers)
{
    tears_layers_free(*layers);
}

tears_status t3_layers_new(const struct t3_link *links, size_t count, tears_layers **layers_out,
                           struct tears_error *error_out)
{
    T3_AUTO(t3_arena_done) struct t3_arena scratch = {0};
    T3_ASSERT(count <= TEARS_LAYER_ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (links[i].scope > TEARS_SCOPE_USER)
            return t3_fail(error_out, TEARS_INVALID, error_origin,
                           "row %zu has the scope %u, which is none", i, (unsigned)links[i].scope);
    T3_AUTO(free_layers_auto) tears_layers *layers = t3_alloc_zero(1, sizeof *layers);
    if (layers == NULL)
        return t3_fail_memory(error_out, error_origin);
    struct graph graph = {.links = links, .row_count = (uint32_t)count};
    if (count > 0 && fill_layers(&graph, &scratch, layers) != TEARS_OK)
        return t3_fail_memory(error_out, error_origin);
    *layers_out = T3_TAKE(layers);
    return TEARS_OK;
}

tears_status t3_links_new(struct t3_arena *arena, size_t count, const char *call,
                          struct t3_link **links_out, struct tears_error *error_out)
{
    if (count > TEARS_LAYER_ROWS_MAX)
        return t3_fail(error_out, TEARS_LIMIT, error_origin,
                       "%s: %zu rows; at most %d are merged at once", call, count,
                       (int)TEARS_LAYER_ROWS_MAX);
    struct t3_link *links = t3_arena_array(arena, count, sizeof *links);
    if (links == NULL)
        return t3_fail_memory(error_out, error_origin);
    *links_out = links;
    return TEARS_OK;
}

size_t tears_layers_count(const tears_layers *layers)
{
    return layers != NULL ? layers->count : 0;
}

const struct tears_layer *tears_layers_at(const tears_layers *layers, size_t index)
{
    return layers != NULL && index < layers->count ? &layers->layers[index] : NULL;
}

void tears_layers_free(tears_layers *layers)
{
    if (layers == NULL)
        return;
    t3_arena_done(&layers->arena);
    t3_free(layers);
}
