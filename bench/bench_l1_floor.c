/*
 * bench_l1_floor.c -- the floor of an L1 hit, see the header.
 *
 * Owns: one cds_lfht and its nodes.  Threads: get from any; the rest from one.  Fails: by NULL and
 * false.
 */
#include "bench_l1_floor.h"

#include "base/alloc.h"

#include <string.h>
#include <urcu-bp.h>
#include <urcu/rculfhash.h>

struct bench_l1_floor {
    struct cds_lfht *table;
};

struct node {
    struct cds_lfht_node link;
    uint8_t key[16];
    size_t row_bytes;
    unsigned char row[];
};

static struct node *node_of(struct cds_lfht_node *link)
{
    return caa_container_of(link, struct node, link);
}

static int is_key(struct cds_lfht_node *link, const void *key)
{
    return memcmp(node_of(link)->key, key, 16) == 0;
}

struct bench_l1_floor *bench_l1_floor_new(size_t count)
{
    struct bench_l1_floor *floor = t3_alloc_zero(1, sizeof *floor);
    if (floor == NULL)
        return NULL;
    unsigned long buckets = 1;
    while (buckets < count)
        buckets *= 2;
    floor->table = cds_lfht_new_flavor(buckets, buckets, buckets, 0, &urcu_bp_flavor, NULL);
    if (floor->table == NULL) {
        t3_free(floor);
        return NULL;
    }
    return floor;
}

bool bench_l1_floor_add(struct bench_l1_floor *floor, const uint8_t key[16], uint64_t hash,
                        const void *row, size_t row_bytes)
{
    struct node *node = t3_alloc(sizeof *node + row_bytes);
    if (node == NULL)
        return false;
    cds_lfht_node_init(&node->link);
    memcpy(node->key, key, 16);
    node->row_bytes = row_bytes;
    memcpy(node->row, row, row_bytes);
    urcu_bp_read_lock();
    cds_lfht_add(floor->table, (unsigned long)hash, &node->link);
    urcu_bp_read_unlock();
    return true;
}

size_t bench_l1_floor_get(struct bench_l1_floor *floor, const uint8_t key[16], uint64_t hash,
                          void *copy_out)
{
    struct cds_lfht_iter iter;
    size_t bytes = 0;
    urcu_bp_read_lock();
    cds_lfht_lookup(floor->table, (unsigned long)hash, is_key, key, &iter);
    struct cds_lfht_node *link = cds_lfht_iter_get_node(&iter);
    if (link != NULL) {
        const struct node *node = node_of(link);
        memcpy(copy_out, node->row, node->row_bytes);
        bytes = node->row_bytes;
    }
    urcu_bp_read_unlock();
    return bytes;
}

void bench_l1_floor_free(struct bench_l1_floor *floor)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *link;
    if (floor == NULL)
        return;
    urcu_bp_read_lock();
    for (cds_lfht_first(floor->table, &iter); (link = cds_lfht_iter_get_node(&iter)) != NULL;) {
        cds_lfht_next(floor->table, &iter);
        cds_lfht_del(floor->table, link);
        t3_free(node_of(link)); /* no reader is left */
    }
    urcu_bp_read_unlock();
    (void)cds_lfht_destroy(floor->table, NULL);
    t3_free(floor);
}
