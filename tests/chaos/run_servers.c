/*
 * run_servers.c -- the servers of a run, and the proxy before them.
 *
 * Owns:     PostgreSQL, one nats-server or three, the proxy; all private, on loopback, ended by process id.
 * Must not know: when what is done to them.
 * Threads:  one.
 * Fails:    by ending the program when a server does not start.
 * Begin at: run_start_servers().
 */
#include "run.h"
#include "support/nats_server.h"
#include "support/pg_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAM "KV_chaos-collections"

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "chaos_run: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- nats-server ---- */

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        give_up("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

/* Clients have to stay behind the proxy, so no server tells them of the others. */
static void start_cluster(struct run *run)
{
    unsigned ports[CHAOS_NODES_MAX];
    char config[512];
    for (unsigned i = 0; i < CHAOS_NODES_MAX; i++)
        ports[i] = free_port();
    for (unsigned i = 0; i < CHAOS_NODES_MAX; i++) {
        snprintf(config, sizeof config,
                 "server_name: n%u\n"
                 "cluster {\n  name: chaos\n  listen: \"127.0.0.1:%u\"\n  no_advertise: true\n"
                 "  routes: [ \"nats-route://127.0.0.1:%u\", \"nats-route://127.0.0.1:%u\","
                 " \"nats-route://127.0.0.1:%u\" ]\n}\n",
                 i, ports[i], ports[0], ports[1], ports[2]);
        const struct test_nats_options options = {.config = config};
        run->nodes[i] = test_nats_start(&options);
    }
    run->node_count = CHAOS_NODES_MAX;
}

/* Asks the JetStream interface of some server that is up, by a connection of its own. */
static bool ask(struct run *run, const char *subject, char *answer, size_t size)
{
    for (unsigned i = 0; i < run->node_count; i++) {
        natsConnection *connection = NULL;
        natsMsg *message = NULL;
        bool is_answered = false;
        if (run->node_is_down[i])
            continue;
        if (natsConnection_ConnectTo(&connection, test_nats_url(run->nodes[i])) == NATS_OK &&
            natsConnection_RequestString(&message, connection, subject, "", 1500) == NATS_OK) {
            snprintf(answer, size, "%.*s", natsMsg_GetDataLength(message),
                     natsMsg_GetData(message));
            is_answered = true;
        }
        natsMsg_Destroy(message);
        natsConnection_Destroy(connection);
        if (is_answered)
            return true;
    }
    return false;
}

static void wait_for_cluster(struct run *run)
{
    char answer[4096];
    for (int i = 0; i < 300; i++) {
        if (ask(run, "$JS.API.INFO", answer, sizeof answer) && strstr(answer, "\"error\"") == NULL)
            return;
        run_pause_ms(100);
    }
    give_up("the cluster has no leader");
}

bool run_wipe_bucket(struct run *run, bool by_purge)
{
    char answer[4096];
    return ask(run, by_purge ? "$JS.API.STREAM.PURGE." STREAM : "$JS.API.STREAM.DELETE." STREAM,
               answer, sizeof answer) &&
           strstr(answer, "\"success\":true") != NULL;
}

unsigned run_leader(struct run *run)
{
    char answer[16384];
    static const char member[] = "\"leader\":\"n";
    if (!ask(run, "$JS.API.STREAM.INFO." STREAM, answer, sizeof answer))
        return run->node_count;
    const char *found = strstr(answer, member);
    if (found == NULL)
        return run->node_count;
    return (unsigned)strtoul(found + sizeof member - 1, NULL, 10);
}

void run_nats_down(struct run *run, unsigned node, bool gracefully)
{
    if (gracefully)
        test_nats_end(run->nodes[node]);
    else
        test_nats_kill(run->nodes[node]);
    run->node_is_down[node] = true;
}

void run_nats_again(struct run *run, unsigned node)
{
    if (run->node_is_down[node])
        test_nats_again(run->nodes[node]);
    run->node_is_down[node] = false;
}

/* ---- the proxy ---- */

/* A program that lies beside this one. */
static void path_beside(const char *name, char *path, size_t size)
{
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t kept = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    snprintf(path + kept, size - kept, "%s", name);
}

static void exec_proxy(const struct run *run, const int input[2], const int output[2])
{
    char path[512];
    char seed[24];
    char clients[8];
    char ports[CHAOS_NODES_MAX][8];
    char *words[8] = {(char[]){"chaos_proxy"}, seed, clients};
    path_beside("chaos_proxy", path, sizeof path);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)run->options.seed);
    snprintf(clients, sizeof clients, "%u", run->options.workers);
    for (unsigned i = 0; i < run->node_count; i++) {
        snprintf(ports[i], sizeof ports[i], "%s", strrchr(test_nats_url(run->nodes[i]), ':') + 1);
        words[3 + i] = ports[i];
    }
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    execv(path, words);
    _exit(127);
}

static void start_proxy(struct run *run)
{
    int input[2];
    int output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        give_up("pipes");
    run->proxy_pid = fork();
    if (run->proxy_pid < 0)
        give_up("fork");
    if (run->proxy_pid == 0)
        exec_proxy(run, input, output);
    close(input[0]);
    close(output[1]);
    run->proxy_input = input[1];
    run->proxy_output = fdopen(output[0], "r");
    for (unsigned worker = 0; worker < run->options.workers; worker++)
        for (unsigned node = 0; node < run->node_count; node++)
            if (fscanf(run->proxy_output, "%u", &run->ports[worker][node]) != 1)
                give_up("the proxy does not start");
    if (fgetc(run->proxy_output) != '\n')
        give_up("the proxy said something else");
}

/* Without the proxy there is no L2, and nothing is proven. */
static bool lose_proxy(struct run *run)
{
    if (!run->has_failed)
        fprintf(stderr, "chaos_run: the proxy does not answer\n");
    run->has_failed = true;
    return false;
}

bool run_tell_proxy(struct run *run, char *answer, size_t size, const char *format, ...)
{
    char line[128];
    char reply[1024];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof line - 1)
        return false;
    line[length] = '\n';
    if (write(run->proxy_input, line, (size_t)length + 1) != length + 1 ||
        fgets(reply, sizeof reply, run->proxy_output) == NULL)
        return lose_proxy(run);
    reply[strcspn(reply, "\n")] = '\0';
    if (answer != NULL)
        snprintf(answer, size, "%s", reply);
    return true;
}

/* ---- all of them ---- */

void run_start_servers(struct run *run)
{
    run->pg = test_pg_start();
    if (run->options.is_cluster) {
        start_cluster(run);
        wait_for_cluster(run);
    } else {
        run->nodes[0] = test_nats_start(NULL);
        run->node_count = 1;
    }
    start_proxy(run);
}

void run_stop_servers(struct run *run)
{
    if (run->proxy_pid > 0) {
        close(run->proxy_input);
        kill(run->proxy_pid, SIGKILL);
        waitpid(run->proxy_pid, NULL, 0);
        fclose(run->proxy_output);
        run->proxy_pid = 0;
    }
    for (unsigned i = 0; i < run->node_count; i++)
        test_nats_free(run->nodes[i]);
    run->node_count = 0;
    test_pg_free(run->pg);
    run->pg = NULL;
    nats_Close();
}
