/*
 * chain.h -- rows that override each other, grouped and ordered.
 */
#ifndef T3_KNOWLEDGE_CHAIN_H
#define T3_KNOWLEDGE_CHAIN_H

#include "base/arena.h"

#include <tears/knowledge.h>

/* What matters of a row. */
struct t3_link {
    uint8_t id[16];
    uint32_t scope;
    struct tears_optional_uuid origin;
};

struct tears_layers {
    struct t3_arena arena; /* of everything below */
    struct tears_layer *layers;
    size_t count;
    uint64_t steps; /* how often a row was touched, for tests that want it in proportion */
};

/*
 * Memory for the links of `count` rows, which the caller fills; checks what tears_layers_of_* check
 * of their arguments.  `call` is the name of the public function.
 */
tears_status t3_links_new(struct t3_arena *arena, size_t count, const char *call,
                          struct t3_link **links_out, struct tears_error *error_out);

/* The layers of the rows; TEARS_INVALID when a scope is none, TEARS_NO_MEMORY. */
tears_status t3_layers_new(const struct t3_link *links, size_t count, tears_layers **layers_out,
                           struct tears_error *error_out);

#endif
