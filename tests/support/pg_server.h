/*
 * pg_server.h -- PostgreSQL for tests: one to share, or a private one that a test may kill.
 */
#ifndef TEST_PG_SERVER_H
#define TEST_PG_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct test_pg;

/*
 * Starts a server of the test's own: unix socket in its folder, loopback on a free port, no fsync.
 * The role "tears" is a superuser without a password, "tears_password" has the password
 * "open-sesame".  Aborts the test program when it does not start.
 */
struct test_pg *test_pg_start(void);

/* "postgresql://tears@127.0.0.1:PORT/postgres"; lives as long as the struct. */
const char *test_pg_url(const struct test_pg *pg);
/* The same by the unix socket. */
const char *test_pg_socket_url(const struct test_pg *pg);

/* The whole server: fast shutdown; SIGKILL to every process of it; stop and continue every process
 * of it. */
void test_pg_end(struct test_pg *pg);
void test_pg_kill(struct test_pg *pg);
void test_pg_pause(struct test_pg *pg);
void test_pg_resume(struct test_pg *pg);
/* After end or kill: starts it again on the same port, with its data. */
void test_pg_again(struct test_pg *pg);

/* Ends the server and removes its folder.  NULL is accepted. */
void test_pg_free(struct test_pg *pg);

/*
 * Makes an empty database on the server of TEARS_TEST_PG_URL, else on one started on first use and
 * ended with the program, and writes its URL.  The database is dropped when the program ends.
 */
void test_pg_database(char *url_out, size_t url_size);
/* The same URL for the role with a password; `password` NULL: none. */
void test_pg_url_with_password(const char *url, const char *password, char *url_out,
                               size_t url_size);
/* The same URL with another database. */
void test_pg_url_of_database(const char *url, const char *database, char *url_out, size_t url_size);

/* Runs SQL (several statements are fine) on a connection of its own; aborts the test program on
 * failure. */
void test_pg_run(const char *url, const char *sql);

#endif
