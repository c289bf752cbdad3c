/**
 * @file lease.h
 * Leases: at any time at most one process holds a name, and when it dies the name is free again
 * after a while.
 *
 * What is true while tears_lease_is_held says so: nobody else who goes by these rules holds the
 * lease.  What no lease can give: a process that is stopped between that question and its next
 * write to a database writes late.  That is what the token is for: it grows with every
 * acquisition, and the database refuses a write with an old one (fence.h).
 *
 * Time.  No clock of one machine is compared with that of another.  The holder counts its ttl, less
 * a tenth (at most 2 s), from before it sent the request.  Whoever wants the lease takes it when it has seen the same entry
 * unchanged for the whole ttl by its own clock; or, without waiting, when the broker has stored
 * something so much later than the entry (by the broker's calendar) that ttl and `clock_step_ms_max` have both
 * passed.  A calendar that is set forward or back, on any of the machines, changes nothing.  Python holders write and judge by
 * calendars: a Python process whose calendar is ahead may take a lease early; the token tells.
 *
 * Source: spec platform.md sections 3.1 and 9.2 (C1, C3-C13).
 */
#ifndef TEARS_LEASE_H
#define TEARS_LEASE_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A lease that was acquired. */
typedef struct tears_lease tears_lease;

/** To wait as long as it takes. */
#define TEARS_WAIT_FOR_EVER UINT64_MAX

enum {
    TEARS_LEASE_TTL_MS_MIN = 100,
    TEARS_LEASE_TTL_MS_MAX = 604800000, /**< a week */
    TEARS_LEASE_NAME_BYTES_MAX = 512
};

/**
 * Called once when a lease is lost: somebody else has it, its entry is gone, or it could not be
 * renewed in time.  On the thread that renews all
 * leases, so it must be quick, and must not refresh, release or free one.
 */
typedef void (*tears_lease_lost_fn)(void *owner, tears_lease *lease);

/** How to acquire.  Zero means the default.  Start from TEARS_LEASE_OPTIONS_INIT. */
struct tears_lease_options {
    size_t size;
    uint64_t ttl_ms;  /**< how long it is held without renewal; 0: 30,000 */
    uint64_t wait_ms; /**< how long to wait while somebody else holds it; 0: not at all */
    uint64_t
        no_renewal; /**< 1: the program calls tears_lease_refresh itself; else renewed every ttl / 3 */
    tears_lease_lost_fn lost; /**< NULL: none; not called without renewal */
    void *lost_owner;
    uint64_t
        token_above; /**< the token will be larger: what a database has seen (tears_fence_read), when it
                               refuses the tokens given out; 0: no matter */
};

#define TEARS_LEASE_OPTIONS_INIT TEARS_SIZED(struct tears_lease_options)

/**
 * Acquires a lease.  One round trip when it is free.  Whoever waits is woken by the release, or when the holder's time is over;
 * threads of one coord that wait for one name get it in the order in which they came.
 *
 * @param name       a KV key: no blanks, wildcards, quotes, backslashes or empty parts between dots; at most
 * 512 bytes.  Shared with Python holders as it is.
 * @param options    NULL: the defaults.
 * @param lease_out  owned by the caller; end it with tears_lease_free.
 * @return TEARS_OK, TEARS_CONFLICT (held by somebody else, and `wait_ms` is 0), TEARS_TIMEOUT (still held
 * after `wait_ms`), TEARS_CORRUPT (the entry is none of a lease; tears_lease_break removes it), TEARS_INVALID (name,
 * ttl, or a ttl longer than the bucket keeps entries, or `strict_bucket`), TEARS_UNAVAILABLE (the server could not be asked, or nobody
 * knows whether it took the request; then the lease may be taken until its ttl has passed), TEARS_LIMIT (the server does not take the entry),
 * TEARS_UNSUPPORTED (options from a newer header), TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lease_acquire(tears_coord *coord, struct tears_str name,
                                                         const struct tears_lease_options *options,
                                                         tears_lease **lease_out,
                                                         struct tears_error *error_out);

/**
 * Whether the lease is held now: its time has not passed by the clock that goes on while the machine sleeps, and no loss is
 * known.  About 30 ns, no I/O.
 * @thread any  @since 0.1
 */
TEARS_API bool tears_lease_is_held(const tears_lease *lease);

/** For how many milliseconds it is held without another renewal; 0 when it is not.  @thread any  @since 0.1 */
TEARS_API uint64_t tears_lease_left_ms(const tears_lease *lease);

/**
 * The fencing token: larger than that of every earlier acquisition of the name, also after the broker was restarted and
 * after its bucket was lost and made again.  Below 2^53 for the next two centuries.  Stays the same while the lease is held.
 * @thread any  @since 0.1
 */
TEARS_API uint64_t tears_lease_token(const tears_lease *lease);

/** The lease's name; lives as long as the lease.  @thread any  @since 0.1 */
TEARS_API struct tears_str tears_lease_name(const tears_lease *lease);

/**
 * A file descriptor that becomes readable when the lease is lost, for poll and its like; made on the first call, closed by
 * tears_lease_free.  Only for leases that are renewed by the library.
 * @return the descriptor, or -1 when none could be made.  @thread any  @since 0.1
 */
TEARS_API int tears_lease_fd(tears_lease *lease);

/**
 * Renews the lease: one compare-and-swap.  When it was acquired is kept.  Without an answer the lease is held until its time passes, and the
 * next call finds out what became of the request.  Also after the time has passed, when nobody has taken the lease meanwhile and the program
 * renews by itself.
 * @param ttl_ms  the new ttl; 0: as before.
 * @return TEARS_OK, TEARS_CONFLICT (lost; acquire it anew), TEARS_MISUSE (released), TEARS_INVALID (ttl),
 * TEARS_UNAVAILABLE, TEARS_TIMEOUT, TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lease_refresh(tears_lease *lease, uint64_t ttl_ms,
                                                         struct tears_error *error_out);

/**
 * Gives the lease back: one round trip; what marks it in the bucket is removed about a second later, or by tears_coord_free.  What somebody else has meanwhile acquired is not
 * touched.  A second call does nothing.
 * @return TEARS_OK (also when it was lost before), TEARS_UNAVAILABLE or TEARS_TIMEOUT (it may be taken until its ttl has passed),
 * TEARS_NO_MEMORY.  Whatever is returned, it is not held any more.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lease_release(tears_lease *lease,
                                                         struct tears_error *error_out);

/** Releases the lease if that has not happened, and frees it.  NULL is accepted.  @thread any, when nobody uses it any more; not
 * from the lost function  @since 0.1 */
TEARS_API void tears_lease_free(tears_lease *lease);

/* ---- looking at leases ---- */

/** One entry of the bucket.  Borrowed from the list. */
struct tears_lease_entry {
    struct tears_str name;
    struct tears_str holder;
    int64_t acquired_us; /**< microseconds since 1970, by the holder's calendar */
    int64_t expires_us;  /**< the same */
    uint64_t ttl_ms;     /**< 0: that cannot be told */
    uint64_t revision;
    uint64_t
        token; /**< the fencing token of a holder that acquired with this revision, the newest that can be in use */
    uint64_t is_corrupt; /**< 1: no lease; only name and revision are known */
};

/** Entries, sorted by name. */
typedef struct tears_lease_list tears_lease_list;

/**
 * Lists the leases of the bucket, for people: what changes meanwhile may be missed.
 * @param name      "": all; else only this one.
 * @param list_out  owned by the caller; end it with tears_lease_list_free.
 * @return TEARS_OK (also when there is none), TEARS_INVALID (name, `strict_bucket`), TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lease_list_open(tears_coord *coord,
                                                           struct tears_str name,
                                                           tears_lease_list **list_out,
                                                           struct tears_error *error_out);

/** The number of entries.  @thread any  @since 0.1 */
TEARS_API size_t tears_lease_list_count(const tears_lease_list *list);

/** The entry at `index`, which is below the count.  @thread any  @since 0.1 */
TEARS_API struct tears_lease_entry tears_lease_list_at(const tears_lease_list *list, size_t index);

/** Ends the list.  NULL is accepted.  @thread any  @since 0.1 */
TEARS_API void tears_lease_list_free(tears_lease_list *list);

/**
 * Removes whatever is under the name, held or corrupt.  For people who know that its holder is gone: one that is not finds out when
 * it renews.
 * @param revision  only if the entry still has this revision; 0: whatever it has.
 * @return TEARS_OK, TEARS_NOT_FOUND (there is nothing), TEARS_CONFLICT (another revision), TEARS_INVALID, TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_lease_break(tears_coord *coord, struct tears_str name,
                                                       uint64_t revision,
                                                       struct tears_error *error_out);

#ifdef __cplusplus
}
#endif
#endif
