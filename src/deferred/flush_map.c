/*
 * flush_map.c -- a map from hashes to numbers: which entry of a batch has this key, or this id.
 *
 * Owns:     nothing; memory is the arena's.
 * Must not know: what is hashed: who asks compares.
 * Threads:  one at a time.
 * Fails:    only with TEARS_NO_MEMORY.
 * Begin at: t3_flush_map_next().
 */
#include "deferred/flush_impl.h"

tears_status t3_flush_map_init(struct t3_flush_map *map, size_t count_max, struct t3_arena *arena)
{
    size_t places = 16;
    while (places < count_max * 2)
        places *= 2;
    map->hashes = t3_arena_alloc(arena, places * sizeof *map->hashes);
    map->values = t3_arena_array(arena, places, sizeof *map->values);
    map->mask = places - 1;
    return map->hashes != NULL && map->values != NULL ? TEARS_OK : TEARS_NO_MEMORY;
}

static size_t mixed(uint64_t hash)
{
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(hash ^ hash >> 32);
}

void t3_flush_map_put(struct t3_flush_map *map, uint64_t hash, uint32_t value)
{
    size_t at = mixed(hash) & map->mask;
    while (map->values[at] != 0) /* at most half of the places are taken */
        at = (at + 1) & map->mask;
    map->hashes[at] = hash;
    map->values[at] = value + 1;
}

uint32_t t3_flush_map_next(const struct t3_flush_map *map, uint64_t hash, size_t *at)
{
    for (;; (*at)++) {
        const size_t place = (mixed(hash) + *at) & map->mask;
        if (map->values[place] == 0)
            return T3_FLUSH_MAP_END;
        if (map->hashes[place] == hash) {
            (*at)++;
            return map->values[place] - 1;
        }
    }
}
