/*
 * bench_l1_floor.h -- the floor of an L1 hit: a liburcu hash table lookup and a copy of the row.
 *
 * The least that a table shared by threads can do: cds_lfht (memory barriers by membarrier, "bp"
 * flavour), nodes keyed by a 16-byte UUID whose hash is known, rows behind the key in the same
 * block, one copy into the caller's buffer.
 */
#ifndef BENCH_L1_FLOOR_H
#define BENCH_L1_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_l1_floor;

/* A table for `count` rows; NULL without memory. */
struct bench_l1_floor *bench_l1_floor_new(size_t count);

/* Adds a row under a key that is not there yet. */
bool bench_l1_floor_add(struct bench_l1_floor *floor, const uint8_t key[16], uint64_t hash,
                        const void *row, size_t row_bytes);

/* Copies the row of a key; its bytes, or 0 when it is not there.  Any thread. */
size_t bench_l1_floor_get(struct bench_l1_floor *floor, const uint8_t key[16], uint64_t hash,
                          void *copy_out);

void bench_l1_floor_free(struct bench_l1_floor *floor);

#endif
