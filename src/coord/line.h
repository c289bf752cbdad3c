/*
 * line.h -- who in this process waits for which lease, in order, and since when entries are as they are.
 *
 * Only the first of a line asks the server; so a thousand threads that want one lease are one contender to it.
 */
#ifndef T3_COORD_LINE_H
#define T3_COORD_LINE_H

#include "coord/coord.h"

/* One who waits; on its own stack. */
struct t3_waiter {
    struct t3_waiter *next;
    struct t3_line *line;
    struct t3_cond cond;
    uint64_t ends_seen;
    uint64_t takes_seen;
};

/* Joins the end of the line.  TEARS_NO_MEMORY. */
tears_status t3_line_join(struct tears_coord *coord, struct tears_str name,
                          struct t3_waiter *waiter);

/* Leaves it; the next one may be first now.  `taken_until_us` (t3_now_us): it has got the lease, for so long; 0: it has given up. */
void t3_line_leave(struct tears_coord *coord, struct t3_waiter *waiter, uint64_t taken_until_us);

/* Whether anybody waits for the name. */
bool t3_line_is_there(struct tears_coord *coord, struct tears_str name);

enum t3_line_wake {
    T3_LINE_LOOK,     /* first, and it is time to ask */
    T3_LINE_HEARD,    /* first, and another process has released it */
    T3_LINE_TIMED_OUT /* not first when the deadline passed */
};

/*
 * Waits until it is first in line and either the name was released, or `look_us` has come: 0 at once, unless somebody in this
 * process is known to hold it.  At the deadline at the latest.
 */
enum t3_line_wake t3_line_wait(struct tears_coord *coord, struct t3_waiter *waiter,
                               uint64_t look_us, struct t3_deadline deadline);

/* Waits for a random moment of at most `us`.  True when somebody else was faster meanwhile: *until_us is when that one's time is over. */
bool t3_line_let_pass(struct tears_coord *coord, struct t3_waiter *waiter, uint64_t us,
                      uint64_t *until_us);

/* The name was released, here or elsewhere; and: it was written elsewhere. */
void t3_line_ended(struct tears_coord *coord, struct tears_str name, bool is_remote);
void t3_line_taken(struct tears_coord *coord, struct tears_str name,
                   const struct t3_solo_news *news);

/* All who are first look again: something may not have been heard. */
void t3_lines_look(struct tears_coord *coord);

/* Since when (t3_boot_us) the entry of the name has been what it is, as far as this process has seen. */
uint64_t t3_observe(struct tears_coord *coord, struct tears_str name, uint64_t write);

/* What tells one write of an entry from all others. */
uint64_t t3_write_hash(struct tears_str value, struct tears_str attempt);

#endif
