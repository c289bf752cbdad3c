/*
 * nats_server.h -- a private nats-server with JetStream on a loopback port of its own, for one test
 * program.
 */
#ifndef TEST_NATS_SERVER_H
#define TEST_NATS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct test_nats;

/* Options; all zero is the default. */
struct test_nats_options {
    const char *config;    /* lines added to the configuration file, such as "max_payload: 4096" */
    const char *jetstream; /* lines added to its jetstream block, such as "max_mem: 65536" */
    bool no_jetstream;
};

/* Starts a server and waits until it answers.  Aborts the test program when that fails. */
struct test_nats *test_nats_start(const struct test_nats_options *options);

/* "nats://127.0.0.1:PORT"; lives as long as the server's struct. */
const char *test_nats_url(const struct test_nats *nats);

/* By process id: SIGTERM, SIGKILL, SIGSTOP, SIGCONT.  After the first two, test_nats_again starts
 * it on the same port. */
void test_nats_end(struct test_nats *nats);
void test_nats_kill(struct test_nats *nats);
void test_nats_pause(struct test_nats *nats);
void test_nats_resume(struct test_nats *nats);
void test_nats_again(struct test_nats *nats);

/* Kills the server if it runs and removes its folder.  NULL is accepted. */
void test_nats_free(struct test_nats *nats);

/*
 * The URL of a server to share: that of TEARS_TEST_NATS_URL, else of one started on first use and
 * ended with the program.  Tests on it keep to a namespace of their own (test_namespace) and leave
 * it running.
 */
const char *test_nats_shared_url(void);

/*
 * From now on the shared server is this program's own: invalidation messages reach all namespaces of a server, so a test that
 * counts them, or expects a row to stay in L1, must not share one with other programs.
 */
void test_nats_alone(void);

/* Writes a namespace nobody else uses. */
void test_namespace(char name[32]);

#endif
