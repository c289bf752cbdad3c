/*
 * marker.h -- delete markers that this process left a moment ago.
 *
 * A release leaves a marker, because that costs the broker less than to remove the entry at once. Whoever acquires the name here within a second goes
 * over it, without asking what is there; else the keeper removes it, so that nothing piles up in the bucket.
 */
#ifndef T3_COORD_MARKER_H
#define T3_COORD_MARKER_H

#include "coord/coord.h"

/* A release has left a marker with this revision. */
void t3_marker_left(struct tears_coord *coord, const char *name, uint64_t revision,
                    const struct t3_coord_epoch *epoch);

/* The revision of the marker that is under the name, as far as is known in this bucket; 0: nothing is known. */
uint64_t t3_marker_over(struct tears_coord *coord, const char *name,
                        const struct t3_coord_epoch *epoch);

/* The name was acquired: its marker is gone. */
void t3_marker_gone(struct tears_coord *coord, const char *name);

/* Takes one that is to be removed now out of the table; false: none is.  *next_us (t3_boot_us) becomes the moment of the next one if that is sooner.
 * `everything`: all of them are due. */
bool t3_marker_take_locked(struct tears_coord *coord, bool everything, uint64_t *next_us,
                           struct t3_marker *marker_out);

/* Removes it from the bucket, if that is still the same one, and frees it.  A marker that stays does no harm. */
void t3_marker_remove(struct tears_coord *coord, struct t3_marker *marker,
                      struct t3_deadline deadline);

/* Removes all of them. */
void t3_markers_end(struct tears_coord *coord);

#endif
