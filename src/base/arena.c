/*
 * arena.c -- blocks that double in size, freed together.
 *
 * Owns:     the blocks of each arena.
 * Must not know: what is kept in it.
 * Threads:  one at a time per arena.
 * Fails:    with NULL, and then the arena is unchanged.
 * Begin at: t3_arena_grow().
 */
#include "base/arena.h"

#include "base/alloc.h"
#include "base/limits.h"

struct t3_arena_block {
    struct t3_arena_block *older;
    size_t bytes; /* of the whole block */
    char memory[] __attribute__((aligned(16)));
};

enum { BLOCK_BYTES_MIN = 4096, BLOCK_BYTES_MAX = 1 << 20 };

void *t3_arena_grow(struct t3_arena *arena, size_t bytes)
{
    const size_t limit = arena->bytes_max != 0 ? arena->bytes_max : T3_ARENA_BYTES_MAX;
    size_t size = arena->block != NULL ? arena->block->bytes * 2 : BLOCK_BYTES_MIN;
    if (size > BLOCK_BYTES_MAX)
        size = BLOCK_BYTES_MAX;
    const size_t left = limit - (arena->bytes < limit ? arena->bytes : limit);
    const size_t need = bytes + sizeof(struct t3_arena_block);
    if (need > left) {
        arena->limited = true;
        return NULL;
    }
    if (size > left)
        size = left & ~(size_t)7; /* the last block is as small as the limit wants */
    if (size < need)
        size = need;
    struct t3_arena_block *block = t3_alloc(size);
    if (block == NULL)
        return NULL;
    block->older = arena->block;
    block->bytes = size;
    arena->block = block;
    arena->bytes += size;
    arena->at = block->memory + bytes;
    arena->end = (char *)block + size;
    return block->memory;
}

void *t3_arena_array(struct t3_arena *arena, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *memory = t3_arena_alloc(arena, total);
    if (memory != NULL)
        memset(memory, 0, total);
    return memory;
}

tears_status t3_arena_str(struct t3_arena *arena, struct tears_str text, struct tears_str *copy_out)
{
    char *copy = t3_arena_alloc(arena, text.len + 1);
    if (copy == NULL)
        return TEARS_NO_MEMORY;
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *copy_out = tears_str_n(copy, text.len);
    return TEARS_OK;
}

void t3_arena_trim(struct t3_arena *arena, void *last, size_t bytes_used)
{
    char *start = last;
    const size_t rounded = (bytes_used + 7) & ~(size_t)7;
    T3_ASSERT(start + rounded <= arena->at);
    arena->at = start + rounded;
}

static void free_older_than(struct t3_arena *arena, struct t3_arena_block *kept)
{
    struct t3_arena_block *block = kept != NULL ? kept->older : arena->block;
    while (block != NULL) {
        struct t3_arena_block *older = block->older;
        arena->bytes -= block->bytes;
        t3_free(block);
        block = older;
    }
}

void t3_arena_reset(struct t3_arena *arena)
{
    arena->limited = false;
    struct t3_arena_block *kept = arena->block;
    if (kept == NULL)
        return;
    if (kept->bytes > BLOCK_BYTES_MAX) { /* one huge result must not be kept for ever */
        t3_arena_done(arena);
        return;
    }
    free_older_than(arena, kept);
    kept->older = NULL;
    arena->at = kept->memory;
}

void t3_arena_done(struct t3_arena *arena)
{
    free_older_than(arena, NULL);
    arena->block = NULL;
    arena->at = NULL;
    arena->end = NULL;
    T3_ASSERT(arena->bytes == 0);
}
