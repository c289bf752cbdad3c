/*
 * nats_info.c -- reads the first line a NATS server sends.
 *
 * Owns:     a socket for the length of a call.
 * Must not know: the NATS library.
 * Threads:  any.
 * Fails:    TEARS_UNAVAILABLE, TEARS_TIMEOUT.
 * Begin at: t3_nats_info_ask().
 */
#include "driver/nats_info.h"

#include "base/str.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 16384 };

static void copy_text(char *to, size_t size, const json_t *value)
{
    const char *text = json_string_value(value);
    snprintf(to, size, "%s", text != NULL ? text : "");
}

bool t3_nats_info_parse(struct tears_str line, struct t3_nats_info *info_out)
{
    if (!t3_str_starts(line, "INFO "))
        return false;
    json_t *info = json_loadb(line.ptr + 5, line.len - 5, JSON_DISABLE_EOF_CHECK, NULL);
    const bool is_good = json_is_object(info);
    if (is_good) {
        const json_int_t payload = json_integer_value(json_object_get(info, "max_payload"));
        copy_text(info_out->version, sizeof info_out->version, json_object_get(info, "version"));
        copy_text(info_out->name, sizeof info_out->name, json_object_get(info, "server_name"));
        info_out->has_jetstream = json_is_true(json_object_get(info, "jetstream"));
        info_out->payload_max = payload > 0 ? (uint64_t)payload : 0;
    }
    json_decref(info);
    return is_good;
}

/* Waits until the socket is ready for `events`. */
static tears_status wait_for(int fd, short events, struct t3_deadline deadline)
{
    struct pollfd wait = {.fd = fd, .events = events};
    for (;;) {
        const uint64_t left_ms = t3_deadline_left_ms(deadline);
        const int ready = poll(&wait, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready > 0)
            return TEARS_OK;
        if (ready == 0 && left_ms == 0)
            return TEARS_TIMEOUT;
        if (ready < 0 && errno != EINTR)
            return TEARS_UNAVAILABLE;
    }
}

static tears_status connect_to(int fd, const struct addrinfo *address, struct t3_deadline deadline)
{
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return TEARS_OK;
    if (errno != EINPROGRESS)
        return TEARS_UNAVAILABLE;
    T3_TRY(wait_for(fd, POLLOUT, deadline));
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)
        return TEARS_UNAVAILABLE;
    return TEARS_OK;
}

static tears_status read_line(int fd, char *line, size_t *len_out, struct t3_deadline deadline)
{
    size_t len = 0;
    while (len == 0 || memchr(line, '\n', len) == NULL) {
        if (len == LINE_BYTES_MAX)
            return TEARS_UNAVAILABLE;
        T3_TRY(wait_for(fd, POLLIN, deadline));
        const ssize_t got = recv(fd, line + len, LINE_BYTES_MAX - len, 0);
        if (got > 0)
            len += (size_t)got;
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return TEARS_UNAVAILABLE;
    }
    *len_out = len;
    return TEARS_OK;
}

static tears_status ask_address(const struct addrinfo *address, struct t3_deadline deadline,
                                struct t3_nats_info *info_out)
{
    char line[LINE_BYTES_MAX];
    size_t len = 0;
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return TEARS_UNAVAILABLE;
    tears_status status = connect_to(fd, address, deadline);
    if (status == TEARS_OK)
        status = read_line(fd, line, &len, deadline);
    close(fd);
    if (status == TEARS_OK && !t3_nats_info_parse(tears_str_n(line, len), info_out))
        status = TEARS_UNAVAILABLE;
    return status;
}

tears_status t3_nats_info_ask(const char *host, const char *port, struct t3_deadline deadline,
                              struct t3_nats_info *info_out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    if (getaddrinfo(host, port, &hints, &addresses) != 0)
        return TEARS_UNAVAILABLE;
    tears_status status = TEARS_UNAVAILABLE;
    for (const struct addrinfo *at = addresses; at != NULL && status != TEARS_OK; at = at->ai_next)
        status = ask_address(at, deadline, info_out);
    freeaddrinfo(addresses);
    return status;
}
