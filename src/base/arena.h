/*
 * arena.h -- memory with one lifetime: allocated piece by piece, freed at once.
 */
#ifndef T3_BASE_ARENA_H
#define T3_BASE_ARENA_H

#include "base/macros.h"

struct t3_arena_block;

/* All zero is an empty arena with the default limit. */
struct t3_arena {
    struct t3_arena_block *block; /* the one being filled; older ones are linked behind it */
    char *at;
    char *end;
    size_t bytes;     /* held from the heap */
    size_t bytes_max; /* 0: T3_ARENA_BYTES_MAX */
    bool limited;     /* something was refused because of bytes_max; until the next reset */
};

void *t3_arena_grow(struct t3_arena *arena, size_t bytes);

/* `bytes` of memory aligned to 8, not cleared; NULL when memory or the limit is exhausted. */
static inline void *t3_arena_alloc(struct t3_arena *arena, size_t bytes)
{
    if (T3_UNLIKELY(bytes > ((size_t)1 << 40)))
        return NULL;
    const size_t rounded = (bytes + 7) & ~(size_t)7;
    if (T3_UNLIKELY(arena->at == NULL || (size_t)(arena->end - arena->at) < rounded))
        return t3_arena_grow(arena, rounded);
    void *memory = arena->at;
    arena->at += rounded;
    return memory;
}

/* `count` things of `bytes`, all zero; NULL also when the product is too large. */
void *t3_arena_array(struct t3_arena *arena, size_t count, size_t bytes);

/* A NUL-terminated copy of the text; a NULL ptr in *copy_out never comes with success. */
tears_status t3_arena_str(struct t3_arena *arena, struct tears_str text,
                          struct tears_str *copy_out);

/* Gives back the end of the last allocation, so that `bytes_used` of it remain. */
void t3_arena_trim(struct t3_arena *arena, void *last, size_t bytes_used);

/* Frees all but one block and starts over. */
void t3_arena_reset(struct t3_arena *arena);

/* Frees everything; the arena is empty and usable. */
void t3_arena_done(struct t3_arena *arena);

#endif
