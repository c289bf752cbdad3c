/*
 * marker.c -- a table of markers by name, each for about a second.
 *
 * Owns:     the names in the table.
 * Must not know: leases.
 * Threads:  any, under the coord's mutex; the broker is asked without it.
 * Fails:    never; what cannot be remembered is removed from the bucket at once.
 * Begin at: t3_marker_left().
 */
#include "coord/marker.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "coord/keeper.h"

enum { KEPT_US = 1000000, END_MS_MAX = 2000 };

static struct t3_marker *slot_of(struct tears_coord *coord, const char *name)
{
    return &coord->markers[t3_hash(name, strlen(name), 0) % T3_COORD_MARKERS];
}

static bool is_of(const struct t3_marker *marker, const char *name)
{
    return marker->name != NULL && strcmp(marker->name, name) == 0;
}

static void clear_locked(struct tears_coord *coord, struct t3_marker *marker)
{
    if (marker->name != NULL)
        coord->marker_count--;
    *marker = (struct t3_marker){.name = NULL};
}

static char *copy(const char *name)
{
    const size_t size = strlen(name) + 1;
    char *text = t3_alloc(size);
    if (text != NULL)
        memcpy(text, name, size);
    return text;
}

/* Puts the marker in its place, and gives back what was there and what could not be kept. */
static void keep_locked(struct tears_coord *coord, struct t3_marker *marker)
{
    struct t3_marker *slot = slot_of(coord, marker->name);
    const struct t3_marker old = *slot;
    coord->marker_count += old.name == NULL;
    *slot = *marker;
    *marker = old;
}

void t3_marker_left(struct tears_coord *coord, const char *name, uint64_t revision,
                    const struct t3_coord_epoch *epoch)
{
    struct t3_marker marker = {.name = copy(name),
                               .revision = revision,
                               .epoch = *epoch,
                               .due_us = t3_boot_us() + KEPT_US};
    if (marker.name == NULL) {
        uint64_t removed = 0;
        (void)!t3_solo_remove(coord->leases, name, revision, t3_coord_patience(coord), &removed,
                              NULL);
        return;
    }
    t3_lock(&coord->mutex);
    const bool is_new = !is_of(slot_of(coord, name), name);
    keep_locked(coord, &marker);
    t3_keeper_due_locked(coord, slot_of(coord, name)->due_us);
    t3_unlock(&coord->mutex);
    if (is_new && marker.name != NULL) /* another name's, which has to make room */
        t3_marker_remove(coord, &marker, t3_coord_patience(coord));
    else
        t3_free(marker.name);
}

uint64_t t3_marker_over(struct tears_coord *coord, const char *name,
                        const struct t3_coord_epoch *epoch)
{
    t3_lock(&coord->mutex);
    const struct t3_marker *slot = slot_of(coord, name);
    const bool is_known = is_of(slot, name) && slot->epoch.losses == epoch->losses &&
                          slot->epoch.writes == epoch->writes;
    const uint64_t revision = is_known ? slot->revision : 0;
    t3_unlock(&coord->mutex);
    return revision;
}

void t3_marker_gone(struct tears_coord *coord, const char *name)
{
    char *forgotten = NULL;
    t3_lock(&coord->mutex);
    struct t3_marker *slot = slot_of(coord, name);
    if (is_of(slot, name)) {
        forgotten = slot->name;
        clear_locked(coord, slot);
    }
    t3_unlock(&coord->mutex);
    t3_free(forgotten);
}

bool t3_marker_take_locked(struct tears_coord *coord, bool everything, uint64_t *next_us,
                           struct t3_marker *marker_out)
{
    const uint64_t now_us = t3_boot_us();
    if (coord->marker_count == 0)
        return false;
    for (size_t i = 0; i < T3_COORD_MARKERS; i++) {
        struct t3_marker *slot = &coord->markers[i];
        if (slot->name == NULL)
            continue;
        if (everything || slot->due_us <= now_us) {
            *marker_out = *slot;
            clear_locked(coord, slot);
            return true;
        }
        if (slot->due_us < *next_us)
            *next_us = slot->due_us;
    }
    return false;
}

void t3_marker_remove(struct tears_coord *coord, struct t3_marker *marker,
                      struct t3_deadline deadline)
{
    uint64_t removed = 0;
    /* In another bucket something that lives may have a lower revision. */
    if (t3_coord_is_same(coord, &marker->epoch))
        (void)!t3_solo_remove(coord->leases, marker->name, marker->revision, deadline, &removed,
                              NULL);
    t3_free(marker->name);
}

void t3_markers_end(struct tears_coord *coord)
{
    const struct t3_deadline deadline = t3_deadline_in_ms(END_MS_MAX);
    struct t3_marker marker;
    for (bool is_over = false; !is_over;) {
        uint64_t next_us = UINT64_MAX;
        t3_lock(&coord->mutex);
        is_over = !t3_marker_take_locked(coord, true, &next_us, &marker);
        t3_unlock(&coord->mutex);
        if (is_over)
            return;
        if (t3_deadline_passed(deadline))
            t3_free(marker.name);
        else
            t3_marker_remove(coord, &marker, deadline);
    }
}
