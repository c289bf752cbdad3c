/*
 * chaos_proxy.c -- stands between clients and nats-servers, and loses, delays and repeats what servers send.
 *
 *      client 0 --port--> proxy --> server 0        one port for each pair of a client and a server, so that
 *      client 1 --port--> proxy --> server 0        one client can be cut off while the others are not
 *
 * What clients send goes through as it is.  What servers send is cut into messages; each is passed on, dropped,
 * repeated, or kept back for a while, by its kind and by chance.
 *
 * Owns:     its sockets.
 * Must not know: what the messages say, beyond their subjects.
 * Threads:  one.
 * Fails:    ends with 1 when it cannot listen; a connection that breaks is closed on both sides.
 * Begin at: main().
 *
 * usage: chaos_proxy SEED CLIENTS SERVER-PORT...
 * Prints the ports, clients one after the other, on one line.  Obeys lines on stdin, answers each with one line:
 *   noise KIND DROP DELAY REPEAT  of 100,000 messages of the kind (notice, stream, reply)
 *   storm CLIENT MS               drops all notices and a third of the stream of this client
 *   hole CLIENT MS                passes nothing in either direction, and closes nothing
 *   cut CLIENT                    resets all its connections; -1: everybody's
 *   quiet                         no faults from here on
 *   stats                         what was done so far, as JSON
 */
#include "frames.h"
#include "random.h"
#include "record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 4,
    LINKS_MAX = 512,
    LATE_MAX = 512,                     /* messages kept back on one connection */
    BUFFER_MAX = CHAOS_MESSAGE_MAX * 2, /* beyond this the proxy stops reading */
    READ_AT_ONCE = 64 * 1024,
    DELAY_MS_MAX = 400,
    SHARE = 100000
};

struct bytes {
    char *ptr;
    size_t len;
    size_t room;
};

struct late {
    uint64_t due_ns;
    char *ptr;
    size_t len;
};

struct link {
    unsigned client;
    int client_fd;
    int server_fd;
    struct bytes to_server;
    struct bytes from_server; /* not yet cut into messages */
    struct bytes to_client;
    struct late late[LATE_MAX];
    size_t late_count;
    bool is_over;
};

struct rate {
    uint32_t drop, delay, repeat;
};

static struct {
    unsigned clients;
    unsigned servers;
    uint16_t server_ports[SERVERS_MAX];
    int listeners[CHAOS_WORKERS_MAX * SERVERS_MAX];
    struct link *links[LINKS_MAX];
    size_t link_count;
    struct rate rates[CHAOS_FRAME_KINDS];
    uint64_t hole_until[CHAOS_WORKERS_MAX];
    uint64_t storm_until[CHAOS_WORKERS_MAX];
    struct chaos_random random;
    uint64_t passed[CHAOS_FRAME_KINDS];
    uint64_t dropped[CHAOS_FRAME_KINDS];
    uint64_t delayed[CHAOS_FRAME_KINDS];
    uint64_t repeated[CHAOS_FRAME_KINDS];
    uint64_t connections, cuts, holes;
} proxy;

static void give_up(const char *what)
{
    fprintf(stderr, "chaos_proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- bytes ---- */

static void put(struct bytes *bytes, const char *ptr, size_t len)
{
    if (bytes->len + len > bytes->room) {
        bytes->room = (bytes->len + len) * 2;
        bytes->ptr = realloc(bytes->ptr, bytes->room);
        if (bytes->ptr == NULL)
            give_up("memory");
    }
    memcpy(bytes->ptr + bytes->len, ptr, len);
    bytes->len += len;
}

static void take(struct bytes *bytes, size_t len)
{
    bytes->len -= len;
    if (bytes->len > 0)
        memmove(bytes->ptr, bytes->ptr + len, bytes->len);
}

/* ---- links ---- */

static bool is_held(const struct link *link, uint64_t now_ns)
{
    return proxy.hole_until[link->client] > now_ns;
}

static int connect_server(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void accept_client(size_t listener)
{
    const int one = 1;
    const int fd = accept4(proxy.listeners[listener], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    const int server = connect_server(proxy.server_ports[listener % proxy.servers]);
    struct link *link =
        server >= 0 && proxy.link_count < LINKS_MAX ? calloc(1, sizeof *link) : NULL;
    if (link == NULL) { /* the server is away: so the client finds */
        close(fd);
        if (server >= 0)
            close(server);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    link->client = (unsigned)(listener / proxy.servers);
    link->client_fd = fd;
    link->server_fd = server;
    proxy.links[proxy.link_count++] = link;
    proxy.connections++;
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void free_link(struct link *link)
{
    reset(link->client_fd);
    reset(link->server_fd);
    for (size_t i = 0; i < link->late_count; i++)
        free(link->late[i].ptr);
    free(link->to_server.ptr);
    free(link->from_server.ptr);
    free(link->to_client.ptr);
    free(link);
}

static void drop_ended_links(void)
{
    for (size_t i = 0; i < proxy.link_count;) {
        if (!proxy.links[i]->is_over) {
            i++;
            continue;
        }
        free_link(proxy.links[i]);
        proxy.links[i] = proxy.links[--proxy.link_count];
    }
}

/* Reads what is there.  The end of a connection ends the link. */
static void read_some(struct link *link, int fd, struct bytes *into)
{
    static char buffer[READ_AT_ONCE];
    const ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    if (count > 0)
        put(into, buffer, (size_t)count);
    else if (count == 0 || (errno != EAGAIN && errno != EINTR))
        link->is_over = true;
}

static void write_some(struct link *link, int fd, struct bytes *from)
{
    if (from->len == 0)
        return;
    const ssize_t count = send(fd, from->ptr, from->len, MSG_NOSIGNAL);
    if (count > 0)
        take(from, (size_t)count);
    else if (count < 0 && errno != EAGAIN && errno != EINTR)
        link->is_over = true;
}

/* ---- faults ---- */

static struct rate rate_of(const struct link *link, enum chaos_frame_kind kind, uint64_t now_ns)
{
    struct rate rate = proxy.rates[kind];
    if (proxy.storm_until[link->client] > now_ns && kind == CHAOS_FRAME_NOTICE)
        rate.drop = SHARE;
    if (proxy.storm_until[link->client] > now_ns && kind == CHAOS_FRAME_STREAM)
        rate.drop = SHARE / 3;
    return rate;
}

static bool keep_back(struct link *link, const char *ptr, size_t len, uint64_t now_ns)
{
    char *copy = link->late_count < LATE_MAX ? malloc(len) : NULL;
    if (copy == NULL)
        return false;
    memcpy(copy, ptr, len);
    const uint64_t ms = 1 + chaos_random_below(&proxy.random, DELAY_MS_MAX);
    link->late[link->late_count++] = (struct late){now_ns + ms * 1000000u, copy, len};
    return true;
}

static void pass_on(struct link *link, const char *ptr, const struct chaos_frame *frame,
                    uint64_t now_ns)
{
    const struct rate rate = rate_of(link, frame->kind, now_ns);
    const uint64_t chance = chaos_random_below(&proxy.random, SHARE);
    proxy.passed[frame->kind]++;
    if (chance < rate.drop) {
        proxy.dropped[frame->kind]++;
        return;
    }
    if (chance < rate.drop + rate.delay && keep_back(link, ptr, frame->length, now_ns)) {
        proxy.delayed[frame->kind]++;
        return;
    }
    put(&link->to_client, ptr, frame->length);
    if (chance >= SHARE - rate.repeat && chance >= rate.drop + rate.delay) {
        proxy.repeated[frame->kind]++;
        put(&link->to_client, ptr, frame->length);
    }
}

static void pass_messages(struct link *link, uint64_t now_ns)
{
    struct chaos_frame frame;
    if (link->from_server.len == 0)
        return;
    size_t done = 0;
    int found = 0;
    while ((found = chaos_frame_read(link->from_server.ptr + done, link->from_server.len - done,
                                     &frame)) == 1) {
        pass_on(link, link->from_server.ptr + done, &frame, now_ns);
        done += frame.length;
    }
    take(&link->from_server, done);
    if (found < 0)
        link->is_over = true;
}

/* Between two messages is the place for one that was kept back. */
static void pass_late(struct link *link, uint64_t now_ns)
{
    for (size_t i = 0; i < link->late_count;) {
        if (link->late[i].due_ns > now_ns) {
            i++;
            continue;
        }
        put(&link->to_client, link->late[i].ptr, link->late[i].len);
        free(link->late[i].ptr);
        memmove(&link->late[i], &link->late[i + 1],
                (link->late_count - i - 1) * sizeof link->late[0]);
        link->late_count--;
    }
}

/* ---- commands ---- */

static int kind_named(const char *name)
{
    static const char *const names[CHAOS_FRAME_KINDS] = {"control", "notice", "stream", "reply"};
    for (int kind = 0; kind < CHAOS_FRAME_KINDS; kind++)
        if (strcmp(name, names[kind]) == 0)
            return kind;
    return -1;
}

static void answer_stats(void)
{
    static const char *const names[CHAOS_FRAME_KINDS] = {"control", "notice", "stream", "reply"};
    printf("{\"connections\":%llu,\"cuts\":%llu,\"holes\":%llu",
           (unsigned long long)proxy.connections, (unsigned long long)proxy.cuts,
           (unsigned long long)proxy.holes);
    for (int kind = CHAOS_FRAME_NOTICE; kind < CHAOS_FRAME_KINDS; kind++)
        printf(",\"%s\":{\"passed\":%llu,\"dropped\":%llu,\"delayed\":%llu,\"repeated\":%llu}",
               names[kind], (unsigned long long)proxy.passed[kind],
               (unsigned long long)proxy.dropped[kind], (unsigned long long)proxy.delayed[kind],
               (unsigned long long)proxy.repeated[kind]);
    printf("}\n");
}

static void cut(int client)
{
    for (size_t i = 0; i < proxy.link_count; i++)
        if (client < 0 || proxy.links[i]->client == (unsigned)client)
            proxy.links[i]->is_over = true;
    proxy.cuts++;
}

static void obey(const char *line)
{
    char name[16] = "";
    struct rate rate = {0};
    int client = -1;
    unsigned ms = 0;
    const uint64_t now_ns = chaos_now_ns();
    if (strcmp(line, "stats") == 0) {
        answer_stats();
        return;
    }
    if (strcmp(line, "quiet") == 0) {
        memset(proxy.rates, 0, sizeof proxy.rates);
        memset(proxy.hole_until, 0, sizeof proxy.hole_until);
        memset(proxy.storm_until, 0, sizeof proxy.storm_until);
    } else if (sscanf(line, "noise %15s %u %u %u", name, &rate.drop, &rate.delay, &rate.repeat) ==
                   4 &&
               kind_named(name) >= 0) {
        proxy.rates[kind_named(name)] = rate;
    } else if (sscanf(line, "storm %d %u", &client, &ms) == 2 && client >= 0 &&
               (unsigned)client < proxy.clients) {
        proxy.storm_until[client] = now_ns + ms * 1000000ull;
    } else if (sscanf(line, "hole %d %u", &client, &ms) == 2 && client >= 0 &&
               (unsigned)client < proxy.clients) {
        proxy.hole_until[client] = now_ns + ms * 1000000ull;
        proxy.holes++;
    } else if (sscanf(line, "cut %d", &client) == 1) {
        cut(client);
    } else {
        printf("what?\n");
        return;
    }
    printf("ok\n");
}

/* Obeys what is on stdin; its end ends the proxy. */
static void read_commands(void)
{
    static char lines[4096];
    static size_t len;
    const ssize_t count = read(STDIN_FILENO, lines + len, sizeof lines - 1 - len);
    if (count <= 0)
        exit(0);
    len += (size_t)count;
    lines[len] = '\0';
    char *at = lines;
    for (char *end = strchr(at, '\n'); end != NULL; end = strchr(at, '\n')) {
        *end = '\0';
        obey(at);
        at = end + 1;
    }
    fflush(stdout);
    len = strlen(at);
    memmove(lines, at, len);
    if (len == sizeof lines - 1)
        exit(1);
}

/* ---- the loop ---- */

static short events_of(const struct bytes *in, const struct bytes *out)
{
    return (short)((in->len < BUFFER_MAX ? POLLIN : 0) | (out->len > 0 ? POLLOUT : 0));
}

static void serve(struct link *link, const struct pollfd *client, const struct pollfd *server,
                  uint64_t now_ns)
{
    if (is_held(link, now_ns))
        return;
    if (client->revents & (POLLIN | POLLHUP | POLLERR))
        read_some(link, link->client_fd, &link->to_server);
    if (server->revents & (POLLIN | POLLHUP | POLLERR))
        read_some(link, link->server_fd, &link->from_server);
    pass_late(link, now_ns);
    pass_messages(link, now_ns);
    write_some(link, link->server_fd, &link->to_server);
    write_some(link, link->client_fd, &link->to_client);
}

static void step(void)
{
    static struct pollfd polls[1 + CHAOS_WORKERS_MAX * SERVERS_MAX + 2 * LINKS_MAX];
    const size_t listener_count = (size_t)proxy.clients * proxy.servers;
    const size_t link_count = proxy.link_count;
    uint64_t now_ns = chaos_now_ns();
    size_t count = 0;
    bool has_late = false;
    polls[count++] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    for (size_t i = 0; i < listener_count; i++)
        polls[count++] = (struct pollfd){.fd = proxy.listeners[i], .events = POLLIN};
    for (size_t i = 0; i < link_count; i++) {
        const struct link *link = proxy.links[i];
        const bool held = is_held(link, now_ns);
        has_late = has_late || link->late_count > 0;
        polls[count++] = (struct pollfd){.fd = held ? -1 : link->client_fd,
                                         .events = events_of(&link->to_server, &link->to_client)};
        polls[count++] = (struct pollfd){.fd = held ? -1 : link->server_fd,
                                         .events = events_of(&link->to_client, &link->to_server)};
    }
    poll(polls, (nfds_t)count, has_late ? 2 : 50);
    now_ns = chaos_now_ns();
    for (size_t i = 0; i < link_count; i++)
        serve(proxy.links[i], &polls[1 + listener_count + 2 * i],
              &polls[2 + listener_count + 2 * i], now_ns);
    for (size_t i = 0; i < listener_count; i++)
        if (polls[1 + i].revents & POLLIN)
            accept_client(i);
    if (polls[0].revents != 0)
        read_commands();
    drop_ended_links();
}

static void listen_somewhere(size_t listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        give_up("cannot listen");
    proxy.listeners[listener] = fd;
    printf("%s%u", listener > 0 ? " " : "", (unsigned)ntohs(address.sin_port));
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc - 3 > SERVERS_MAX) {
        fprintf(stderr, "usage: chaos_proxy SEED CLIENTS SERVER-PORT...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* a Ctrl-C is for the runner, which closes stdin */
    chaos_random_init(&proxy.random, strtoull(argv[1], NULL, 10));
    proxy.clients = (unsigned)strtoul(argv[2], NULL, 10);
    if (proxy.clients == 0 || proxy.clients > CHAOS_WORKERS_MAX)
        return 2;
    proxy.servers = (unsigned)(argc - 3);
    for (unsigned i = 0; i < proxy.servers; i++)
        proxy.server_ports[i] = (uint16_t)strtoul(argv[3 + i], NULL, 10);
    for (size_t i = 0; i < (size_t)proxy.clients * proxy.servers; i++)
        listen_somewhere(i);
    printf("\n");
    fflush(stdout);
    for (;;)
        step();
}
