/*
 * announce.h -- strict mode: what is about to be written is announced in L2 before L3 is asked.
 *
 * An announcement is a marker with a lease.  While it is active, readers use what L3 says for their caller and cache it
 * nowhere; so a writer that dies between its commit and its corrections leaves no old row behind that a cache would
 * give out after the lease and the bound.  Whoever announced must therefore have ended the L3 write well before
 * the lease ends: half of the lease is for L3, the rest for a commit that is on its way when that has passed.  A
 * database that carries out a commit later than that, on its own, is what remains.
 */
#ifndef T3_CORE_ANNOUNCE_H
#define T3_CORE_ANNOUNCE_H

#include "core/correct.h"

/*
 * Announces the rows of corrections of one strict collection: `seen` is what the writes are based on, and becomes the
 * announcements' revisions.  The rows are dropped from this process's L1, whose readers are not to serve the old row
 * after the commit either.  TEARS_OK; TEARS_UNAVAILABLE, TEARS_LIMIT (a key that L2 cannot have), TEARS_NO_MEMORY: the session's
 * error says that nothing was written.
 */
tears_status t3_announce(struct tears_session *session, struct t3_correction *const *corrections,
                         size_t count);

/* How long L3 may still take to write what was announced; 0: too late. */
uint64_t t3_announce_left_ms(const struct t3_correction *correction);

/*
 * Takes an announcement back whose write certainly has not happened, so that readers may fill at once: a plain marker over
 * exactly the announcement.  Nobody waits for it; where it fails, the lease ends by itself.
 */
void t3_announce_release(const struct t3_correction *correction);

/*
 * Before a commit: announces again what has less than half of its time left, and gives by when the commit must have
 * ended.  A failure, as of t3_announce: the transaction has to be rolled back.
 */
tears_status t3_announce_commit(struct tears_session *session, struct t3_deadline *deadline);

#endif
