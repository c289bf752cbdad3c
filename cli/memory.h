/*
 * memory.h -- the rows the shell's user has read: what the next `set` is based on.
 */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "text.h"

struct cli_remembered;

/* Starts by cli_memory_init; holds the last CLI_MEMORY_ROWS rows at least. */
struct cli_memory {
    tears_client *client;
    tears_session *holder; /* keeps the copies */
    struct cli_remembered *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    size_t copies; /* in the holder, those not needed any more included */
    uint64_t last; /* number of the newest copy */
};

enum { CLI_MEMORY_ROWS = 8192 };

tears_status cli_memory_init(struct cli_memory *memory, tears_client *client);
void cli_memory_done(struct cli_memory *memory);

/* Keeps a copy of the row as the newest one read for the key; without memory it forgets the key
 * instead. */
void cli_memory_keep(struct cli_memory *memory, struct tears_str key, const tears_entity *row);

/* The row kept for the key, or NULL. */
const tears_entity *cli_memory_find(struct cli_memory *memory, struct tears_str key);

void cli_memory_forget(struct cli_memory *memory, struct tears_str key);

/* Forgets all rows kept after the copy number `after`: those of a transaction that did not happen.
 */
void cli_memory_forget_since(struct cli_memory *memory, uint64_t after);

#endif
