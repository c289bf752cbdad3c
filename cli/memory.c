/*
 * memory.c -- remembers the rows read, by key, in a session of its own.
 *
 * Owns:     a hash table of keys, and the session that holds the copies.
 * Must not know: verbs, words.
 * Threads:  one.
 * Fails:    softly: a row that cannot be kept is forgotten, and `set` reads it again.
 * Begin at: cli_memory_keep().
 *
 * A session frees its memory all at once only.  When it holds twice as many copies as are worth
 * keeping, those kept last move to a new session and the old one ends; each copy moves at most once
 * for each copy made.
 */
#include "memory.h"

#include <stdlib.h>

struct cli_remembered {
    char *key; /* NULL: the slot is free */
    size_t key_len;
    tears_entity *row; /* NULL: forgotten */
    uint64_t number;   /* of the copy */
};

static uint64_t hash(struct tears_str key)
{
    uint64_t sum = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++)
        sum = (sum ^ (unsigned char)key.ptr[i]) * 0x100000001b3u;
    return sum;
}

/* The slot of the key, or the free slot where it belongs. */
static struct cli_remembered *slot_of(const struct cli_memory *memory, struct tears_str key)
{
    size_t at = (size_t)hash(key) & (memory->slot_count - 1);

    for (;; at = (at + 1) & (memory->slot_count - 1)) {
        struct cli_remembered *slot = &memory->slots[at];
        if (slot->key == NULL || cli_str_equal(tears_str_n(slot->key, slot->key_len), key))
            return slot;
    }
}

/* Moves to a new table and a new session what is worth keeping. */
static tears_status renew(struct cli_memory *memory)
{
    struct cli_memory next = {.client = memory->client, .last = memory->last};
    const tears_status status = tears_session_new(memory->client, NULL, &next.holder);

    if (status != TEARS_OK)
        return status;
    next.slot_count = (size_t)CLI_MEMORY_ROWS * 4; /* at most half full before the next renewal */
    next.slots = cli_alloc(next.slot_count, sizeof *next.slots);
    for (size_t i = 0; i < memory->slot_count; i++) {
        struct cli_remembered *old = &memory->slots[i];
        const bool keep = old->row != NULL && old->number + CLI_MEMORY_ROWS > memory->last;
        tears_entity *copy = NULL;
        if (!keep || tears_entity_copy(old->row, next.holder, &copy) != TEARS_OK)
            continue;
        *slot_of(&next, tears_str_n(old->key, old->key_len)) = (struct cli_remembered){
            .key = old->key, .key_len = old->key_len, .row = copy, .number = old->number};
        old->key = NULL;
        next.used++;
        next.copies++;
    }
    cli_memory_done(memory);
    *memory = next;
    return TEARS_OK;
}

tears_status cli_memory_init(struct cli_memory *memory, tears_client *client)
{
    *memory = (struct cli_memory){.client = client};
    return renew(memory);
}

void cli_memory_done(struct cli_memory *memory)
{
    for (size_t i = 0; i < memory->slot_count; i++)
        free(memory->slots[i].key);
    free(memory->slots);
    tears_session_free(memory->holder);
    *memory = (struct cli_memory){0};
}

void cli_memory_keep(struct cli_memory *memory, struct tears_str key, const tears_entity *row)
{
    struct cli_remembered *slot = slot_of(memory, key);

    /* Only the version matters to a write, so the copy of the same version serves. */
    if (slot->row != NULL && tears_entity_version(slot->row) == tears_entity_version(row))
        return;
    if (slot->key == NULL && memory->used * 4 >= memory->slot_count * 3)
        return; /* only when renewals keep failing */
    if (slot->key == NULL) {
        slot->key = cli_copy(key);
        slot->key_len = key.len;
        memory->used++;
    }
    memory->last++;
    memory->copies++;
    slot->row = NULL;
    slot->number = memory->last;
    if (tears_entity_copy(row, memory->holder, &slot->row) != TEARS_OK)
        slot->row = NULL;
    if (memory->copies >= (size_t)CLI_MEMORY_ROWS * 2 && renew(memory) != TEARS_OK)
        cli_memory_forget_since(memory, 0);
}

const tears_entity *cli_memory_find(struct cli_memory *memory, struct tears_str key)
{
    return slot_of(memory, key)->row;
}

void cli_memory_forget(struct cli_memory *memory, struct tears_str key)
{
    slot_of(memory, key)->row = NULL;
}

void cli_memory_forget_since(struct cli_memory *memory, uint64_t after)
{
    for (size_t i = 0; i < memory->slot_count; i++) {
        if (memory->slots[i].number > after)
            memory->slots[i].row = NULL;
    }
}
