/*
 * nats_pump.c -- reads and writes a connection's socket on the thread that waits for an answer.
 *
 * Owns:     the keeper's thread; whose turn it is.  The socket is the NATS library's.
 * Must not know: what is sent, who asks.
 * Threads:  the borrower, the keeper; the library's reconnecting thread calls on_attach.
 * Fails:    with NATS_CONNECTION_DISCONNECTED; the library reconnects by itself.
 * Begin at: t3_nats_pump_turn().
 *
 * To the library this is an event loop (natsOptions_SetEventLoop): it says which socket is to be
 * watched and whether there is something to write, and leaves it to us when to do either.  It
 * closes the socket when a read, a write or natsConnection_Close says so.  The first two are only
 * made by the borrower, so that nobody ever waits on a number that has become another file's.  The
 * library's own ping timer would close it at any moment: therefore it is off, and the keeper pings.
 */
#include "driver/nats_pump.h"

#include "base/alloc.h"
#include "base/lock.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum {
    NO_SOCKET = -1,
    TICK_MS = 100,
    TICK_TURNS_MAX = 64, /* of the keeper at a time: whoever wants to borrow waits meanwhile */
    PING_US = 2000000,   /* of silence */
    PINGS_OUT_MAX = 2,
    PING_WAIT_MS = 1 /* the shortest: the pong is not waited for, the next turn hears it */
};

struct t3_nats_pump {
    natsConnection *connection;
    atomic_int socket;
    atomic_bool wants_write;
    atomic_uint pings_out;
    uint64_t quiet_since_us; /* the borrower's: something was heard, or a ping sent */
    pthread_t keeper;
    bool has_keeper;
    struct t3_mutex mutex; /* guards what follows */
    struct t3_cond returned;
    struct t3_cond ending; /* the keeper waits for it, from tick to tick */
    bool is_taken;
    bool closing;
};

/* -- what the library says, under the connection's lock of its own ---------------------------- */

static natsStatus on_attach(void **data, void *loop, natsConnection *connection, natsSock socket)
{
    struct t3_nats_pump *pump = loop;
    (void)connection;
    *data = pump;
    atomic_store(&pump->pings_out, 0);
    atomic_store(&pump->socket, socket);
    return NATS_OK;
}

static natsStatus on_read_wanted(void *data, bool wanted)
{
    struct t3_nats_pump *pump = data;
    if (!wanted)
        atomic_store(&pump->socket, NO_SOCKET); /* it is closed next */
    return NATS_OK;
}

static natsStatus on_write_wanted(void *data, bool wanted)
{
    struct t3_nats_pump *pump = data;
    atomic_store(&pump->wants_write, wanted);
    return NATS_OK;
}

static natsStatus on_detach(void *data)
{
    (void)data;
    return NATS_OK;
}

natsStatus t3_nats_pump_set(struct t3_nats_pump *pump, natsOptions *options)
{
    natsStatus status = natsOptions_SetEventLoop(options, pump, on_attach, on_read_wanted,
                                                 on_write_wanted, on_detach);
    if (status == NATS_OK)
        status = natsOptions_SetSendAsap(options, true); /* without a flusher, that is */
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, 0);
    return status;
}

/* -- turns --------------------------------------------------------------------------------- */

static void take_locked(struct t3_nats_pump *pump) T3_REQUIRES(pump->mutex)
{
    const struct t3_deadline never = {INT64_MAX};
    while (pump->is_taken)
        (void)t3_cond_wait(&pump->returned, &pump->mutex, never);
    pump->is_taken = true;
}

void t3_nats_pump_take(struct t3_nats_pump *pump)
{
    t3_lock(&pump->mutex);
    take_locked(pump);
    t3_unlock(&pump->mutex);
}

void t3_nats_pump_give(struct t3_nats_pump *pump)
{
    t3_lock(&pump->mutex);
    pump->is_taken = false;
    t3_cond_signal(&pump->returned);
    t3_unlock(&pump->mutex);
}

void t3_nats_pump_write(struct t3_nats_pump *pump)
{
    if (atomic_load(&pump->socket) != NO_SOCKET && atomic_load(&pump->wants_write))
        natsConnection_ProcessWriteEvent(pump->connection);
}

natsStatus t3_nats_pump_turn(struct t3_nats_pump *pump, uint64_t wait_ms)
{
    t3_nats_pump_write(pump);
    struct pollfd watched = {.fd = atomic_load(&pump->socket), .events = POLLIN};
    if (watched.fd == NO_SOCKET)
        return NATS_CONNECTION_DISCONNECTED;
    if (atomic_load(&pump->wants_write)) /* the socket has not taken it all */
        watched.events |= POLLOUT;
    if (poll(&watched, 1, wait_ms < INT32_MAX ? (int)wait_ms : INT32_MAX) <= 0)
        return NATS_TIMEOUT; /* a signal is no harm: the borrower looks at the clock */
    if ((watched.revents & ~POLLOUT) != 0) {
        atomic_store(&pump->pings_out, 0);
        pump->quiet_since_us = t3_now_us();
        natsConnection_ProcessReadEvent(pump->connection);
    }
    return atomic_load(&pump->socket) != NO_SOCKET ? NATS_OK : NATS_CONNECTION_DISCONNECTED;
}

/* -- the keeper ---------------------------------------------------------------------------- */

/* Ends a connection whose other end is silent: the next turn reads its end, and the library
 * reconnects. */
static void hang_up(struct t3_nats_pump *pump)
{
    const int number = atomic_load(&pump->socket);
    if (number != NO_SOCKET)
        (void)shutdown(number, SHUT_RDWR); /* fails when the other end was faster */
}

static void ping_if_silent(struct t3_nats_pump *pump)
{
    const uint64_t now_us = t3_now_us();
    if (atomic_load(&pump->socket) == NO_SOCKET || now_us - pump->quiet_since_us < PING_US)
        return;
    pump->quiet_since_us = now_us;
    if (atomic_fetch_add(&pump->pings_out, 1) >= PINGS_OUT_MAX)
        hang_up(pump);
    else
        (void)natsConnection_FlushTimeout(pump->connection, PING_WAIT_MS);
}

static void tend(struct t3_nats_pump *pump)
{
    natsStatus status = NATS_OK;
    for (int i = 0; i < TICK_TURNS_MAX && status == NATS_OK; i++)
        status = t3_nats_pump_turn(pump, 0);
    ping_if_silent(pump);
    if (atomic_load(&pump->wants_write))
        (void)t3_nats_pump_turn(pump, 0);
}

static void *keeper_main(void *argument)
{
    struct t3_nats_pump *pump = argument;
    t3_lock(&pump->mutex);
    while (!pump->closing) {
        const struct t3_deadline tick = t3_deadline_in_ms(TICK_MS);
        while (!pump->closing && t3_cond_wait(&pump->ending, &pump->mutex, tick))
            ;
        if (pump->is_taken)
            continue; /* the borrower reads and writes */
        pump->is_taken = true;
        t3_unlock(&pump->mutex);
        tend(pump);
        t3_nats_pump_give(pump);
        t3_lock(&pump->mutex);
    }
    t3_unlock(&pump->mutex);
    return NULL;
}

/* -- beginning and end --------------------------------------------------------------------- */

struct t3_nats_pump *t3_nats_pump_new(void)
{
    struct t3_nats_pump *pump = t3_alloc_zero(1, sizeof *pump);
    if (pump == NULL)
        return NULL;
    atomic_init(&pump->socket, NO_SOCKET);
    pump->quiet_since_us = t3_now_us();
    t3_mutex_init(&pump->mutex);
    t3_cond_init(&pump->returned);
    t3_cond_init(&pump->ending);
    return pump;
}

bool t3_nats_pump_start(struct t3_nats_pump *pump, natsConnection *connection)
{
    sigset_t all;
    sigset_t before;
    pump->connection = connection;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* cannot fail: the arguments are right */
    pump->has_keeper = pthread_create(&pump->keeper, NULL, keeper_main, pump) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pump->has_keeper;
}

void t3_nats_pump_stop(struct t3_nats_pump *pump)
{
    if (!pump->has_keeper)
        return;
    t3_lock(&pump->mutex);
    pump->closing = true;
    t3_cond_signal(&pump->ending);
    t3_unlock(&pump->mutex);
    pthread_join(pump->keeper, NULL);
    pump->has_keeper = false;
    (void)t3_nats_pump_turn(pump, 0);
}

void t3_nats_pump_free(struct t3_nats_pump *pump)
{
    if (pump == NULL)
        return;
    t3_cond_done(&pump->ending);
    t3_cond_done(&pump->returned);
    t3_mutex_done(&pump->mutex);
    t3_free(pump);
}
