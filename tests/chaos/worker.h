/*
 * worker.h -- one client process under test: what its threads share.
 */
#ifndef CHAOS_WORKER_H
#define CHAOS_WORKER_H

#include "random.h"
#include "record.h"

#include <tears/tears.h>

/* Faults of the harness's own, which the checker has to find. */
enum chaos_bug {
    CHAOS_BUG_NONE,
    CHAOS_BUG_OLD_COPY,    /* now and then gives a copy of its own, seconds old */
    CHAOS_BUG_NO_FLOOR,    /* a session gives what was there before its own write */
    CHAOS_BUG_LOST_WRITE,  /* says that it wrote, and did not */
    CHAOS_BUG_PHANTOM,     /* gives what nobody wrote */
    CHAOS_BUG_WEAK_STRONG, /* reads at ANY where STRONG was asked for */
    CHAOS_BUG_NO_BOUND,    /* opens the client with another bound than it is judged by */
    CHAOS_BUG_STUCK,       /* gives old copies when everything has come to rest */
    CHAOS_BUGS
};

struct chaos_options {
    const char *pg_url;
    const char *nats_url;
    const char *namespace_name;
    const char *folder;
    unsigned worker;
    unsigned life; /* how often this worker was started before */
    uint64_t seed;
    unsigned threads;
    unsigned keys;
    unsigned pause_us;
    unsigned replicas; /* of the bucket; more than 1: on file */
    enum chaos_bug bug;
};

/* A row as somebody saw it once. */
struct chaos_copy {
    uint64_t at_ns;
    int64_t stamp;
    int64_t version;
};

struct chaos_worker {
    struct chaos_options options;
    struct chaos_log *log;
    tears_client *client;
    tears_collection *tables[CHAOS_TABLES];
    uint32_t bound_ms[CHAOS_TABLES];
    _Atomic uint64_t next_number;
    atomic_bool is_resting; /* no further operations */
    atomic_uint running;    /* threads that are not at rest */
};

struct chaos_thread {
    struct chaos_worker *worker;
    struct chaos_random random;
    tears_session *session;
    uint64_t session_id;
    uint8_t level;
    uint32_t bound_ms; /* of a BOUNDED session */
    /* for the seeded bugs */
    struct chaos_copy copies[CHAOS_TABLES][CHAOS_KEYS_MAX];
    int64_t own_base_stamp;
    int64_t own_base_version;
    uint32_t own_table, own_key;
    bool has_own;
};

/* A number that no other write, session or token of the run has. */
uint64_t chaos_number(struct chaos_worker *worker);

/* One operation of the thread's session, by chance. */
void chaos_operate(struct chaos_thread *thread);

/* Reads every key, at rest. */
void chaos_read_all(struct chaos_thread *thread);

/* What the bug makes of a read; true: the record was falsified. */
void chaos_falsify(struct chaos_thread *thread, struct chaos_record *record);
/* Whether this write is to be said, but not done. */
bool chaos_forgets_write(struct chaos_thread *thread);
/* Remembers what an own write replaced. */
void chaos_remember_own(struct chaos_thread *thread, const struct chaos_record *record,
                        int64_t base_version);

enum chaos_bug chaos_bug_named(const char *name);

#endif
