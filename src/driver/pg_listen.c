/*
 * pg_listen.c -- waits for notifications on a connection of one's own.
 *
 * Owns:     nothing; the connection is its caller's.
 * Must not know: what a notification means; it only wakes.
 * Threads:  one at a time per connection.
 * Fails:    TEARS_UNAVAILABLE: the connection broke.
 * Begin at: t3_pg_listen_wait().
 */
#include "driver/pg_impl.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

/* Forgets the notifications that libpq has read; true when there were any. */
static bool take_notifications(struct t3_pg_conn *conn)
{
    bool came = false;
    for (PGnotify *one = PQnotifies(conn->pg); one != NULL; one = PQnotifies(conn->pg)) {
        PQfreemem(one);
        came = true;
    }
    return came;
}

static tears_status broke(struct t3_pg_conn *conn)
{
    conn->broken = true;
    return TEARS_UNAVAILABLE;
}

tears_status t3_pg_listen_wait(struct t3_pg_conn *conn, struct t3_deadline deadline, int wake_fd)
{
    for (;;) {
        if (take_notifications(
                conn)) /* those that came with the last answer are not on the socket */
            return TEARS_OK;
        const uint64_t left = t3_deadline_left_ms(deadline);
        struct pollfd watched[2] = {{.fd = PQsocket(conn->pg), .events = POLLIN},
                                    {.fd = wake_fd, .events = POLLIN}};
        if (watched[0].fd < 0)
            return broke(conn);
        const int ready = poll(watched, 2, left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR)
            return broke(conn);
        if (ready > 0 && watched[0].revents != 0 && PQconsumeInput(conn->pg) == 0)
            return broke(conn);
        (void)PQisBusy(conn->pg); /* makes libpq read what came; a FATAL marks the connection */
        if (conn->broken)
            return TEARS_UNAVAILABLE;
        if (left == 0 || (ready > 0 && watched[1].revents != 0)) {
            (void)take_notifications(conn);
            return TEARS_OK;
        }
    }
}
