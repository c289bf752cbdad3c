/*
 * floors.h -- what a session has seen and written, so that it is never given anything older.
 *
 * Of each key a floor is kept: the version seen last, or that the row was gone.  What a cache holds may be given to the session when it
 * is at or above the floor; else L3 is asked, and its word becomes the new floor, whatever it is: a table whose versions
 * begin anew with each insert tells the truth too.
 *
 * Memory is bounded: past T3_FLOORS_MAX keys nothing more is noted, and every key without a floor is read from L3.
 * Tables without versions have no floors: there a session of this level reads everything from L3.
 *
 * A token is base64url of
 *
 *     1 byte   1: this format
 *     1 byte   1: keys that are not named may have been seen too
 *     4 bytes  the lower half of the XXH3 hash of all that follows
 *     18 bytes for each key: 8 of the XXH3 hash of its text in L2 ("table.body"), 8 of the version, one that is 1 when the row was gone
 *              then, one that is 0
 *
 * with the lowest byte first everywhere.  The keys are hashes so that a token says little to who finds it.
 */
#ifndef T3_CORE_FLOORS_H
#define T3_CORE_FLOORS_H

#include "core/core.h"

enum {
    T3_FLOORS_MAX = 4096 /* keys of a session: 200 KiB of memory, and a token of 96 KiB */
};

/* No version of a cached row is at this one: L3 has to be asked. */
#define T3_FLOOR_UNKNOWN INT64_MAX

/*
 * Notes what the session has written of a row: it is at `version` now, or (deleted) was last.  A `version` of T3_FLOOR_UNKNOWN: the
 * outcome of the write is not known.  Does nothing unless the session's level is SESSION and the table has versions.  Cannot fail:
 * without memory the session reads everything from L3.
 */
void t3_floors_note(struct tears_session *session, const struct tears_collection *collection,
                    const struct t3_key *key, int64_t version, bool deleted);

/* The same for what a read gives out (row NULL: no such row). */
void t3_floors_note_row(struct tears_session *session, const struct tears_collection *collection,
                        const struct t3_key *key, const struct t3_row *row);

/* Whether a cache's answer (row NULL: no such row) is not older than what the session has seen. */
bool t3_floors_allow(const struct tears_session *session, const struct tears_collection *collection,
                     const struct t3_key *key, const struct t3_row *row);

/* Appends the session's token; nothing when there is nothing to tell.  TEARS_NO_MEMORY. */
tears_status t3_floors_put_token(const struct tears_session *session, struct t3_buf *out);

/* Takes over what a token says.  TEARS_INVALID: it is none, and nothing was taken over; TEARS_NO_MEMORY. */
tears_status t3_floors_take_token(struct tears_session *session, struct tears_str token);

void t3_floors_free(struct t3_floors *floors);

#endif
