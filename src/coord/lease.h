/*
 * lease.h -- a lease that this process holds or held.
 *
 *     HELD --refused, gone, or time over while renewed--> LOST
 *       \--released--> RELEASED
 *
 * LOST and RELEASED are final.  Whoever asks the server about a lease has its turn (t3_lease_enter), so that the keeper and the
 * program do not renew at the same time.
 */
#ifndef T3_COORD_LEASE_H
#define T3_COORD_LEASE_H

#include "coord/coord.h"

enum t3_lease_state { T3_LEASE_IS_HELD, T3_LEASE_IS_LOST, T3_LEASE_IS_RELEASED };

struct tears_lease {
    struct tears_coord *coord;
    char name[TEARS_LEASE_NAME_BYTES_MAX + 1];
    char id[T3_COORD_ID_BYTES]; /* in every attempt to write the entry: `id.number` */
    uint64_t token;
    tears_lease_lost_fn lost;
    void *lost_owner;
    atomic_int state;
    _Atomic uint64_t valid_until_us; /* t3_boot_us */
    atomic_int fd;                   /* -1: none yet */
    bool is_renewed;                 /* by the keeper */
    /* Of whoever has its turn. */
    uint64_t writes; /* attempts made */
    uint64_t ttl_ms;
    uint64_t revision;
    int64_t acquired_us;       /* by the calendar; as first written */
    uint64_t unknown_since_us; /* t3_boot_us before the first attempt without an answer; 0: none */
    struct t3_coord_epoch epoch;
    /* The coord's mutex guards these. */
    bool is_busy;
    bool is_told;         /* the lost function was called */
    uint64_t renew_at_us; /* t3_boot_us */
    struct t3_cond idle;
    struct tears_lease *next, **link; /* in coord->renewed */
};

/* Waits until nobody else asks about the lease, and keeps others away. */
void t3_lease_enter(struct tears_lease *lease);
void t3_lease_leave(struct tears_lease *lease);

/* One write of the entry: its value and headers. */
struct t3_lease_write {
    uint64_t ttl_ms;
    uint64_t expected;
    uint64_t sent_us;  /* filled in: t3_boot_us just before */
    uint64_t revision; /* filled in, when it succeeded */
};

/* Writes it.  As t3_solo_put. */
tears_status t3_lease_write(struct tears_lease *lease, struct t3_lease_write *write,
                            struct t3_deadline deadline, struct tears_error *error_out);

/* Whether the entry was written by this handle. */
bool t3_lease_is_own(const struct tears_lease *lease, const struct t3_solo_entry *entry);

/* Renews it; the caller has its turn.  As tears_lease_refresh. */
tears_status t3_lease_renew(struct tears_lease *lease, uint64_t ttl_ms, struct t3_deadline deadline,
                            struct tears_error *error_out);

/* It is lost; wakes who waits for that. */
void t3_lease_lose(struct tears_lease *lease, const char *why);

/* The write has succeeded: until when the lease counts, and when it is due again. */
void t3_lease_held(struct tears_lease *lease, const struct t3_lease_write *write);

#endif
