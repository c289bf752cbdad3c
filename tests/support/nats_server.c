/*
 * nats_server.c -- starts, signals and ends a nats-server by its process id.
 *
 * Owns:     the process and a folder under /tmp.
 * Must not know: what the tests do with it.
 * Threads:  one.
 * Fails:    by ending the test program with a message.
 */
#include "support/nats_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_MS_MAX = 10000, PAUSE_MS = 10, START_TRIES = 5 };

struct test_nats {
    pid_t pid; /* 0: not running */
    uint16_t port;
    char folder[64];
    char config[96];
    char url[64];
};

static void give_up(const char *what)
{
    fprintf(stderr, "nats-server for the tests: %s: %s\n", what, strerror(errno));
    abort();
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* A port that is free now; another program may take it, so starting is tried a few times. */
static uint16_t free_port(void)
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

/* Whether a server sends its INFO line on the port. */
static bool answers(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (is_there) {
        char start[5] = "";
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        is_there = poll(&wait, 1, 1000) == 1 && recv(fd, start, 4, 0) == 4 &&
                   memcmp(start, "INFO", 4) == 0;
    }
    if (fd >= 0)
        close(fd);
    return is_there;
}

static void write_config(struct test_nats *nats, const struct test_nats_options *options)
{
    snprintf(nats->config, sizeof nats->config, "%s/server.conf", nats->folder);
    FILE *file = fopen(nats->config, "w");
    if (file == NULL)
        give_up("cannot write the configuration");
    if (!options->no_jetstream)
        fprintf(file, "jetstream {\nstore_dir: \"%s/store\"\n%s\n}\n", nats->folder,
                options->jetstream != NULL ? options->jetstream : "");
    fprintf(file, "%s\n", options->config != NULL ? options->config : "");
    fclose(file);
}

static void run_server(const struct test_nats *nats)
{
    char port[8];
    char log[96];
    snprintf(port, sizeof port, "%u", (unsigned)nats->port);
    snprintf(log, sizeof log, "%s/server.log", nats->folder);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies takes its server along */
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-c", nats->config,
           (char *)NULL);
    execl("/usr/sbin/nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-c", nats->config,
          (char *)NULL);
    _exit(127);
}

/* False when the process ended before it answered. */
static bool start_on_port(struct test_nats *nats)
{
    nats->pid = fork();
    if (nats->pid < 0)
        give_up("fork");
    if (nats->pid == 0)
        run_server(nats);
    for (int waited = 0; waited < READY_MS_MAX; waited += PAUSE_MS) {
        if (waitpid(nats->pid, NULL, WNOHANG) == nats->pid) {
            nats->pid = 0;
            return false;
        }
        if (answers(nats->port))
            return true;
        sleep_ms(PAUSE_MS);
    }
    give_up("does not answer");
    return false;
}

struct test_nats *test_nats_start(const struct test_nats_options *options)
{
    static const struct test_nats_options none = {0};
    struct test_nats *nats = calloc(1, sizeof *nats);
    if (nats == NULL)
        give_up("memory");
    snprintf(nats->folder, sizeof nats->folder, "/tmp/tears-nats-XXXXXX");
    if (mkdtemp(nats->folder) == NULL)
        give_up("cannot make a folder");
    write_config(nats, options != NULL ? options : &none);
    for (int i = 0; i < START_TRIES && nats->pid == 0; i++) {
        nats->port = free_port();
        (void)start_on_port(nats);
    }
    if (nats->pid == 0)
        give_up("does not start (is nats-server installed?)");
    snprintf(nats->url, sizeof nats->url, "nats://127.0.0.1:%u", (unsigned)nats->port);
    return nats;
}

const char *test_nats_url(const struct test_nats *nats)
{
    return nats->url;
}

static void send_and_reap(struct test_nats *nats, int number)
{
    if (nats->pid == 0)
        return;
    kill(nats->pid, number);
    waitpid(nats->pid, NULL, 0);
    nats->pid = 0;
}

void test_nats_end(struct test_nats *nats)
{
    send_and_reap(nats, SIGTERM);
}

void test_nats_kill(struct test_nats *nats)
{
    send_and_reap(nats, SIGKILL);
}

/* Whether all of the process has stopped; the signal takes a moment. */
static bool is_stopped(const struct test_nats *nats)
{
    int status = 0;
    return waitpid(nats->pid, &status, WUNTRACED | WNOHANG) == nats->pid && WIFSTOPPED(status);
}

void test_nats_pause(struct test_nats *nats)
{
    kill(nats->pid, SIGSTOP);
    for (int waited = 0; waited < READY_MS_MAX && !is_stopped(nats); waited += PAUSE_MS)
        sleep_ms(PAUSE_MS);
}

void test_nats_resume(struct test_nats *nats)
{
    kill(nats->pid, SIGCONT);
}

void test_nats_again(struct test_nats *nats)
{
    for (int i = 0; i < START_TRIES && nats->pid == 0; i++)
        if (!start_on_port(nats))
            sleep_ms(200);
    if (nats->pid == 0)
        give_up("does not start again");
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void test_nats_free(struct test_nats *nats)
{
    if (nats == NULL)
        return;
    test_nats_kill(nats);
    nftw(nats->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(nats);
}

static struct test_nats *shared;

static void free_shared(void)
{
    test_nats_free(shared);
    shared = NULL;
}

const char *test_nats_shared_url(void)
{
    const char *url = getenv("TEARS_TEST_NATS_URL");
    if (url != NULL && url[0] != '\0')
        return url;
    if (shared == NULL) {
        shared = test_nats_start(NULL);
        atexit(free_shared);
    }
    return shared->url;
}

void test_nats_alone(void)
{
    unsetenv("TEARS_TEST_NATS_URL");
}

void test_namespace(char name[32])
{
    static unsigned count;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(name, 32, "t%x-%lx-%x", (unsigned)getpid(), (unsigned long)now.tv_nsec, count++);
}
