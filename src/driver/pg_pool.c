/*
 * pg_pool.c -- a bounded set of connections: lent, looked after, replaced.
 *
 * Owns:     the connections, and a keeper thread that closes idle ones and keeps the minimum open.
 * Must not know: statements, tables.
 * Threads:  any; one mutex, held for a few instructions and never during I/O.
 * Fails:    TEARS_TIMEOUT (all busy), and whatever connecting says.
 * Begin at: t3_pg_acquire().
 *
 * The connection used last is lent first: its caches are warm, and those at the bottom get old
 * enough to be closed.
 *
 * Health: after a connection broke, and after a short idleness, a connection is looked at (one
 * poll) before it is lent; after a longer one it is asked for an answer.  Nothing has been sent by
 * then, so replacing it is invisible.
 */
#include "base/alloc.h"
#include "driver/pg_impl.h"

#include <pthread.h>
#include <signal.h>

enum {
    LOOK_AFTER_MS = 100,   /* idle so long: look for a hang-up before lending */
    PING_AFTER_MS = 15000, /* idle so long: a firewall may have forgotten it without a word */
    PING_MS_MAX = 1000,
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MS_MAX = 2000,
    KEEPER_MS_MAX = 60000,
    POOL_MAX = 1024
};

struct t3_pg_pool {
    struct t3_pg_target target;
    struct t3_mutex mutex;
    struct t3_cond freed;    /* a connection came back, or room for a new one */
    struct t3_cond stirred;  /* for the keeper */
    struct t3_pg_conn *free; /* most recently used first */
    uint32_t free_count;
    uint32_t open_count; /* lent, free, and being opened */
    uint32_t waiting;
    uint32_t min;
    uint32_t max;
    uint64_t idle_ms_max;
    uint64_t connect_ms;
    const struct t3_log *log;
    atomic_uint alarm; /* counts broken connections: the others are suspect then */
    uint32_t failures; /* attempts to connect that failed in a row */
    uint64_t retry_at_us;
    struct tears_error last_failure;
    bool closing;
    bool keeper_runs;
    pthread_t keeper;
};

/* ---- connecting -------------------------------------------------------------------------------
 */

/* Between half and all of the doubled pause, so that many processes do not come back in step. */
static uint64_t backoff_us(uint32_t failures)
{
    uint64_t ms = BACKOFF_FIRST_MS;
    for (uint32_t i = 1; i < failures && ms < BACKOFF_MS_MAX; i++)
        ms *= 2;
    ms = ms < BACKOFF_MS_MAX ? ms : BACKOFF_MS_MAX;
    uint8_t random[16];
    tears_uuid_new(random);
    const uint64_t jitter = ((uint64_t)random[14] << 8 | random[15]) % (ms * 500 + 1);
    return ms * 500 + jitter;
}

static void note_attempt_locked(struct t3_pg_pool *pool, tears_status status,
                                const struct tears_error *error) T3_REQUIRES(pool->mutex)
{
    if (status == TEARS_OK) {
        pool->failures = 0;
        return;
    }
    pool->open_count--;
    if (status != TEARS_NO_MEMORY) {
        pool->failures++;
        pool->retry_at_us = t3_now_us() + backoff_us(pool->failures);
        pool->last_failure = *error;
    }
    t3_cond_signal(&pool->freed);
}

/* The caller has counted the connection in open_count. */
static tears_status open_counted(struct t3_pg_pool *pool, struct t3_pg_call *call,
                                 struct t3_pg_conn **conn_out)
{
    struct tears_error error = {.status = TEARS_OK};
    struct t3_pg_call own = {.deadline = t3_deadline_at_most_ms(call->deadline, pool->connect_ms),
                             .error = &error};
    struct t3_pg_conn *conn = NULL;
    const tears_status status = t3_pg_conn_open(&pool->target, pool->log, &own, &conn);
    t3_lock(&pool->mutex);
    note_attempt_locked(pool, status, &error);
    t3_unlock(&pool->mutex);
    if (status != TEARS_OK) {
        t3_log(pool->log, TEARS_LOG_WARN, T3_PG_ORIGIN, "%s", error.message);
        if (call->error != NULL)
            *call->error = error;
        return status;
    }
    conn->pool = pool;
    conn->alarm = atomic_load(&pool->alarm);
    *conn_out = conn;
    return TEARS_OK;
}

/* ---- lending ----------------------------------------------------------------------------------
 */

static struct t3_pg_conn *pop_locked(struct t3_pg_pool *pool) T3_REQUIRES(pool->mutex)
{
    struct t3_pg_conn *conn = pool->free;
    if (conn == NULL)
        return NULL;
    pool->free = conn->next_free;
    pool->free_count--;
    return conn;
}

static bool is_usable(struct t3_pg_pool *pool, struct t3_pg_conn *conn, struct t3_deadline deadline)
{
    const uint64_t idle_ms = t3_now_coarse_ms() - conn->released_ms;
    const uint32_t alarm = atomic_load_explicit(&pool->alarm, memory_order_relaxed);
    if (T3_LIKELY(idle_ms < LOOK_AFTER_MS && conn->alarm == alarm))
        return true;
    if (!t3_pg_conn_looks_sound(conn))
        return false;
    if (idle_ms >= PING_AFTER_MS) {
        struct t3_pg_call quiet = {.deadline = t3_deadline_at_most_ms(deadline, PING_MS_MAX)};
        if (t3_pg_conn_ping(conn, &quiet) != TEARS_OK)
            return false;
    }
    conn->alarm = alarm;
    return true;
}

static void discard(struct t3_pg_pool *pool, struct t3_pg_conn *conn)
{
    t3_pg_conn_free(conn);
    t3_lock(&pool->mutex);
    pool->open_count--;
    t3_cond_signal(&pool->freed);
    t3_unlock(&pool->mutex);
}

static tears_status backing_off_locked(struct t3_pg_pool *pool, struct t3_pg_call *call)
    T3_REQUIRES(pool->mutex)
{
    if (call->error == NULL)
        return pool->last_failure.status;
    *call->error = pool->last_failure;
    return pool->last_failure.status;
}

/* Whether a call may try to connect now; during a pause after a failure nobody does. */
static bool may_connect_locked(const struct t3_pg_pool *pool) T3_REQUIRES(pool->mutex)
{
    return pool->failures == 0 || t3_now_us() >= pool->retry_at_us;
}

/* Until the deadline, or until the pause after a failure is over and there is room to try again. */
static struct t3_deadline wait_until_locked(const struct t3_pg_pool *pool,
                                            const struct t3_pg_call *call) T3_REQUIRES(pool->mutex)
{
    struct t3_deadline until = call->deadline;
    if (pool->open_count < pool->max && pool->retry_at_us < until.at_us)
        until.at_us = pool->retry_at_us;
    return until;
}

/*
 * Takes a free connection, or counts one to be opened (*conn_out stays NULL), or waits for either.
 */
static tears_status take_locked(struct t3_pg_pool *pool, struct t3_pg_call *call,
                                struct t3_pg_conn **conn_out) T3_REQUIRES(pool->mutex)
{
    for (;;) {
        *conn_out = pop_locked(pool);
        if (T3_LIKELY(*conn_out != NULL))
            return TEARS_OK;
        if (pool->open_count < pool->max && may_connect_locked(pool)) {
            pool->open_count++;
            return TEARS_OK;
        }
        if (pool->open_count == 0)
            return backing_off_locked(pool, call);
        pool->waiting++;
        const bool woken = t3_cond_wait(&pool->freed, &pool->mutex, wait_until_locked(pool, call));
        pool->waiting--;
        if (!woken && pool->free == NULL && t3_deadline_passed(call->deadline))
            return t3_fail(call->error, TEARS_TIMEOUT, T3_PG_ORIGIN,
                           "all %u database connections were busy until the deadline", pool->max);
    }
}

tears_status t3_pg_acquire(struct t3_pg_pool *pool, struct t3_pg_call *call,
                           struct t3_pg_conn **conn_out)
{
    for (;;) {
        struct t3_pg_conn *conn = NULL;
        t3_lock(&pool->mutex);
        const tears_status status = take_locked(pool, call, &conn);
        t3_unlock(&pool->mutex);
        if (status != TEARS_OK)
            return status;
        if (conn == NULL)
            return open_counted(pool, call, conn_out);
        if (T3_LIKELY(is_usable(pool, conn, call->deadline))) {
            *conn_out = conn;
            return TEARS_OK;
        }
        t3_log(pool->log, TEARS_LOG_INFO, T3_PG_ORIGIN, "an idle connection broke; replacing it");
        atomic_fetch_add(&pool->alarm, 1);
        discard(pool, conn);
    }
}

static bool is_worth_keeping(const struct t3_pg_conn *conn)
{
    return !conn->broken && PQtransactionStatus(conn->pg) == PQTRANS_IDLE &&
           PQpipelineStatus(conn->pg) == PQ_PIPELINE_OFF;
}

void t3_pg_release(struct t3_pg_conn *conn)
{
    if (conn == NULL)
        return;
    struct t3_pg_pool *pool = conn->pool;
    if (T3_UNLIKELY(!is_worth_keeping(conn))) {
        atomic_fetch_add(&pool->alarm, 1);
        discard(pool, conn);
        return;
    }
    conn->released_ms = t3_now_coarse_ms();
    t3_lock(&pool->mutex);
    conn->next_free = pool->free;
    pool->free = conn;
    pool->free_count++;
    if (pool->waiting > 0)
        t3_cond_signal(&pool->freed);
    t3_unlock(&pool->mutex);
}

/* ---- a connection of one's own ------------------------------------------------------------------
 */

tears_status t3_pg_connect(struct t3_pg_pool *pool, struct t3_pg_call *call,
                           struct t3_pg_conn **conn_out)
{
    struct t3_pg_call own = {.deadline = t3_deadline_at_most_ms(call->deadline, pool->connect_ms),
                             .error = call->error};
    return t3_pg_conn_open(&pool->target, pool->log, &own, conn_out);
}

void t3_pg_disconnect(struct t3_pg_conn *conn)
{
    t3_pg_conn_free(conn);
}

/* ---- the keeper -------------------------------------------------------------------------------
 */

/* Unlinks one connection above the minimum that was idle too long: the oldest, which is last. */
static struct t3_pg_conn *take_expired_locked(struct t3_pg_pool *pool) T3_REQUIRES(pool->mutex)
{
    if (pool->free == NULL || pool->open_count <= pool->min)
        return NULL;
    struct t3_pg_conn **link = &pool->free;
    while ((*link)->next_free != NULL)
        link = &(*link)->next_free;
    struct t3_pg_conn *oldest = *link;
    if (t3_now_coarse_ms() - oldest->released_ms < pool->idle_ms_max)
        return NULL;
    *link = NULL;
    pool->free_count--;
    return oldest;
}

static bool lacks_minimum_locked(const struct t3_pg_pool *pool) T3_REQUIRES(pool->mutex)
{
    return !pool->closing && pool->open_count < pool->min && may_connect_locked(pool);
}

static uint64_t keeper_pause_ms(const struct t3_pg_pool *pool)
{
    const uint64_t share = pool->idle_ms_max / 4 + 1;
    return share < KEEPER_MS_MAX ? share : KEEPER_MS_MAX;
}

static void refill(struct t3_pg_pool *pool)
{
    struct t3_pg_call call = {.deadline = t3_deadline_in_ms(pool->connect_ms)};
    struct t3_pg_conn *conn = NULL;
    if (open_counted(pool, &call, &conn) == TEARS_OK)
        t3_pg_release(conn);
}

/* One round; the mutex is released while connections are closed or opened. */
static void keep_locked(struct t3_pg_pool *pool) T3_REQUIRES(pool->mutex)
{
    struct t3_pg_conn *expired = NULL;
    while (!pool->closing && (expired = take_expired_locked(pool)) != NULL) {
        t3_unlock(&pool->mutex);
        discard(pool, expired);
        t3_lock(&pool->mutex);
    }
    while (lacks_minimum_locked(pool)) {
        pool->open_count++;
        t3_unlock(&pool->mutex);
        refill(pool);
        t3_lock(&pool->mutex);
    }
}

static void *keeper_main(void *argument)
{
    struct t3_pg_pool *pool = argument;
    t3_lock(&pool->mutex);
    while (!pool->closing) {
        (void)t3_cond_wait(&pool->stirred, &pool->mutex, t3_deadline_in_ms(keeper_pause_ms(pool)));
        keep_locked(pool);
    }
    t3_unlock(&pool->mutex);
    return NULL;
}

static tears_status start_keeper(struct t3_pg_pool *pool, struct tears_error *error_out)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* cannot fail: the arguments are right */
    const int failed = pthread_create(&pool->keeper, NULL, keeper_main, pool);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return t3_fail_detail(error_out, TEARS_LIMIT, T3_PG_ORIGIN, failed, "",
                              "cannot start the pool's thread");
    pool->keeper_runs = true;
    return TEARS_OK;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static uint32_t or_default(uint64_t value, uint32_t fallback, uint32_t max)
{
    if (value == 0)
        return fallback;
    return value < max ? (uint32_t)value : max;
}

/* Opens the minimum, all of it before the first is given back. */
static tears_status open_minimum(struct t3_pg_pool *pool, struct tears_error *error_out)
{
    struct t3_pg_call call = {.deadline = t3_deadline_in_ms(pool->connect_ms), .error = error_out};
    for (uint32_t i = 0; i < pool->min; i++) {
        struct t3_pg_conn *conn = NULL;
        t3_lock(&pool->mutex);
        pool->open_count++;
        t3_unlock(&pool->mutex);
        T3_TRY(open_counted(pool, &call, &conn));
        t3_pg_release(conn);
    }
    return TEARS_OK;
}

static tears_status set_up(struct t3_pg_pool *pool, const struct t3_pg_options *options,
                           struct tears_error *error_out)
{
    pool->log = options->log;
    pool->max = or_default(options->pool_max, 8, POOL_MAX);
    pool->min = or_default(options->pool_min, 1, pool->max);
    pool->idle_ms_max = options->idle_ms_max != 0 ? options->idle_ms_max : 300000;
    pool->connect_ms = options->connect_ms != 0 ? options->connect_ms : 30000;
    T3_TRY(t3_pg_target_init(&pool->target, options->url, error_out));
    T3_TRY(open_minimum(pool, error_out));
    return start_keeper(pool, error_out);
}

tears_status t3_pg_pool_open(const struct t3_pg_options *options, struct t3_pg_pool **pool_out,
                             struct tears_error *error_out)
{
    struct t3_pg_pool *pool = t3_alloc_zero(1, sizeof *pool);
    if (pool == NULL)
        return t3_fail_memory(error_out, T3_PG_ORIGIN);
    t3_mutex_init(&pool->mutex);
    t3_cond_init(&pool->freed);
    t3_cond_init(&pool->stirred);
    const tears_status status = set_up(pool, options, error_out);
    if (status != TEARS_OK) {
        t3_pg_pool_free(pool);
        return status;
    }
    *pool_out = pool;
    return TEARS_OK;
}

void t3_pg_pool_free(struct t3_pg_pool *pool)
{
    if (pool == NULL)
        return;
    t3_lock(&pool->mutex);
    pool->closing = true;
    t3_cond_signal(&pool->stirred);
    t3_unlock(&pool->mutex);
    if (pool->keeper_runs)
        (void)pthread_join(pool->keeper, NULL); /* cannot fail: it is ours and joined once */
    for (struct t3_pg_conn *conn = pop_locked(pool); conn != NULL; conn = pop_locked(pool)) {
        t3_pg_conn_free(conn);
        pool->open_count--;
    }
    T3_ASSERT(pool->open_count == 0);
    t3_pg_target_done(&pool->target);
    t3_cond_done(&pool->stirred);
    t3_cond_done(&pool->freed);
    t3_mutex_done(&pool->mutex);
    t3_free(pool);
}

uint32_t t3_pg_pool_max(const struct t3_pg_pool *pool)
{
    return pool->max;
}

void t3_pg_pool_counts(struct t3_pg_pool *pool, uint32_t *open_out, uint32_t *free_out)
{
    t3_lock(&pool->mutex);
    *open_out = pool->open_count;
    *free_out = pool->free_count;
    t3_unlock(&pool->mutex);
}
