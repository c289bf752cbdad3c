/*
 * worker.c -- starts this program again as a worker that shares memory with its parent.
 *
 * Why not fork alone: a client and the NATS library have threads, which a forked child does not get.
 */
#include "worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHARED_FD = 3, PAUSE_US = 200, WAIT_S_MAX = 60 };

extern const struct bench_role bench_roles[];

static void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(2);
}

static struct bench_shared *map(int fd)
{
    void *memory =
        mmap(NULL, sizeof(struct bench_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        give_up("no shared memory");
    return memory;
}

void bench_crew_open(struct bench_crew *crew)
{
    memset(crew, 0, sizeof *crew);
    crew->fd = memfd_create("bench", 0);
    if (crew->fd < 0 || ftruncate(crew->fd, sizeof(struct bench_shared)) != 0)
        give_up("no shared memory");
    crew->shared = map(crew->fd);
}

static void become(const char *role, int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd != SHARED_FD && dup2(fd, SHARED_FD) < 0)
        _exit(2);
    execl("/proc/self/exe", "tears_bench", "--worker", role, (char *)NULL);
    _exit(2);
}

void bench_crew_start(struct bench_crew *crew, const char *role)
{
    const uint64_t before = atomic_load(&crew->shared->ready);
    const pid_t pid = fork();
    if (pid < 0)
        give_up("no process");
    if (pid == 0)
        become(role, crew->fd);
    crew->pids[crew->count++] = pid;
    bench_wait_for(&crew->shared->ready, before + 1, role);
}

void bench_crew_end(struct bench_crew *crew)
{
    atomic_store(&crew->shared->stop, 1);
    for (int i = 0; i < crew->count; i++)
        waitpid(crew->pids[i], NULL, 0);
    munmap(crew->shared, sizeof *crew->shared);
    close(crew->fd);
}

int bench_worker_main(const char *role)
{
    const char *pg_url = getenv("TEARS_TEST_PG_URL");
    const char *nats_url = getenv("TEARS_TEST_NATS_URL");
    for (const struct bench_role *one = bench_roles; one->name != NULL; one++) {
        if (strcmp(one->name, role) != 0)
            continue;
        one->run(map(SHARED_FD), pg_url, nats_url);
        return 0;
    }
    return 2;
}

void bench_wait_for(_Atomic uint64_t *value, uint64_t least, const char *what)
{
    const uint64_t start = bench_now_ns();
    while (atomic_load(value) < least) {
        if (bench_now_ns() - start > WAIT_S_MAX * 1000000000ull)
            give_up(what);
        usleep(PAUSE_US);
    }
}
