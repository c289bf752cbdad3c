/*
 * pg_server.c -- starts, signals and ends PostgreSQL servers by their process ids; makes databases.
 *
 * Owns:     the processes, their folders under /tmp, the databases made for the program.
 * Must not know: what the tests do with them.
 * Threads:  one.
 * Fails:    by ending the test program with a message.
 *
 * A server refuses to run as root: then its programs are started as the user postgres.
 */
#include "support/pg_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_MS_MAX = 20000, PAUSE_MS = 20, START_TRIES = 5, DATABASES_MAX = 64 };

struct test_pg {
    pid_t pid; /* of the postmaster; 0: not running */
    unsigned port;
    char folder[64];
    char data[80];
    char url[160];
    char socket_url[200];
};

static void give_up(const char *what)
{
    fprintf(stderr, "PostgreSQL for the tests: %s: %s\n", what, strerror(errno));
    abort();
}

__attribute__((format(printf, 3, 4))) static void format(char *out, size_t size, const char *format,
                                                         ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(out, size, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= size)
        give_up("text is too long");
}

static void sleep_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- programs
 * ------------------------------------------------------------------------------------ */

static const char *bin_folder(void)
{
    static char folder[64];
    for (int version = 20; folder[0] == '\0' && version >= 12; version--) {
        char initdb[96];
        format(initdb, sizeof initdb, "/usr/lib/postgresql/%d/bin/initdb", version);
        if (access(initdb, X_OK) == 0)
            format(folder, sizeof folder, "/usr/lib/postgresql/%d/bin", version);
    }
    if (folder[0] == '\0')
        give_up("no server is installed in /usr/lib/postgresql");
    return folder;
}

static const struct passwd *server_user(void)
{
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL)
        give_up("there is no user postgres, and a server does not run as root");
    return user;
}

static void become_postgres(void)
{
    if (geteuid() != 0)
        return;
    const struct passwd *user = server_user();
    if (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
        _exit(126);
}

/* Starts a program with its output in the folder's log. */
static pid_t start_program(const struct test_pg *pg, char *const arguments[])
{
    char path[160];
    char log[96];
    format(path, sizeof path, "%s/%s", bin_folder(), arguments[0]);
    format(log, sizeof log, "%s/log", pg->folder);
    const pid_t pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid > 0)
        return pid;
    become_postgres();
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(126);
    execv(path, arguments);
    _exit(127);
}

static void show_log(const struct test_pg *pg)
{
    char log[96];
    char line[512];
    format(log, sizeof log, "%s/log", pg->folder);
    FILE *file = fopen(log, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        fputs(line, stderr);
    if (file != NULL)
        fclose(file);
}

static void run_program(const struct test_pg *pg, char *const arguments[])
{
    int status = 0;
    if (waitpid(start_program(pg, arguments), &status, 0) < 0 || status != 0) {
        show_log(pg);
        give_up(arguments[0]);
    }
}

/* ---- one server
 * ----------------------------------------------------------------------------------- */

/* A port that is free now; another program may take it, so starting is tried a few times. */
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

static void make_folder(struct test_pg *pg)
{
    format(pg->folder, sizeof pg->folder, "/tmp/tears-pg-XXXXXX");
    if (mkdtemp(pg->folder) == NULL)
        give_up("mkdtemp");
    if (geteuid() == 0) {
        const struct passwd *user = server_user();
        if (chown(pg->folder, user->pw_uid, user->pw_gid) != 0)
            give_up("chown");
    }
    format(pg->data, sizeof pg->data, "%s/data", pg->folder);
}

static void write_file(const struct test_pg *pg, const char *name, const char *text)
{
    char path[160];
    format(path, sizeof path, "%s/%s", pg->data, name);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        give_up(path);
}

static void init_data(struct test_pg *pg)
{
    char *arguments[] = {(char[]){"initdb"},
                         (char[]){"-D"},
                         pg->data,
                         (char[]){"-U"},
                         (char[]){"tears"},
                         (char[]){"-A"},
                         (char[]){"trust"},
                         (char[]){"-E"},
                         (char[]){"UTF8"},
                         (char[]){"--locale=C.UTF-8"},
                         (char[]){"--no-sync"},
                         (char[]){"--no-instructions"},
                         NULL};
    char settings[512];
    run_program(pg, arguments);
    format(settings, sizeof settings,
           "listen_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\nmax_connections = 60\n"
           "shared_buffers = 32MB\nfsync = off\nfull_page_writes = off\n"
           "dynamic_shared_memory_type = mmap\nautovacuum = off\n",
           pg->folder);
    write_file(pg, "postgresql.auto.conf", settings);
    write_file(pg, "pg_hba.conf",
               "local all tears_password scram-sha-256\n"
               "host all tears_password 127.0.0.1/32 scram-sha-256\n"
               "local all all trust\nhost all all 127.0.0.1/32 trust\n");
}

static bool answers(const struct test_pg *pg)
{
    return PQping(pg->url) == PQPING_OK;
}

static bool wait_until_ready(struct test_pg *pg)
{
    for (long waited = 0; waited < READY_MS_MAX; waited += PAUSE_MS) {
        if (waitpid(pg->pid, NULL, WNOHANG) == pg->pid) {
            pg->pid = 0;
            return false;
        }
        if (answers(pg))
            return true;
        sleep_ms(PAUSE_MS);
    }
    return false;
}

static bool try_start(struct test_pg *pg)
{
    char port[16];
    format(port, sizeof port, "%u", pg->port);
    format(pg->url, sizeof pg->url, "postgresql://tears@127.0.0.1:%u/postgres", pg->port);
    format(pg->socket_url, sizeof pg->socket_url, "postgresql://tears@/postgres?host=%s&port=%u",
           pg->folder, pg->port);
    char *arguments[] = {(char[]){"postgres"}, (char[]){"-D"}, pg->data,
                         (char[]){"-p"},       port,           NULL};
    pg->pid = start_program(pg, arguments);
    return wait_until_ready(pg);
}

struct test_pg *test_pg_start(void)
{
    struct test_pg *pg = calloc(1, sizeof *pg);
    if (pg == NULL)
        give_up("memory");
    make_folder(pg);
    init_data(pg);
    for (int i = 0; i < START_TRIES; i++) {
        pg->port = free_port();
        if (try_start(pg)) {
            test_pg_run(pg->url, "CREATE ROLE tears_password LOGIN PASSWORD 'open-sesame'");
            return pg;
        }
    }
    show_log(pg);
    give_up("the server does not start");
    return NULL;
}

const char *test_pg_url(const struct test_pg *pg)
{
    return pg->url;
}

const char *test_pg_socket_url(const struct test_pg *pg)
{
    return pg->socket_url;
}

/* ---- signals
 * --------------------------------------------------------------------------------------- */

/* The parent of a process, from /proc; 0 when it is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    char text[512] = "";
    format(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *end = strrchr(text, ')'); /* the name before it may contain anything */
    int parent = 0;
    char state = 0;
    if (end == NULL || sscanf(end + 1, " %c %d", &state, &parent) != 2)
        return 0;
    return parent;
}

/*
 * The postmaster and its children: a signal to the former alone leaves the backends answering for a
 * while.  It is stopped first, so that it neither replaces a child nor ceases to be their parent
 * meanwhile.
 */
static void signal_all(const struct test_pg *pg, int signal_number)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        give_up("/proc");
    const struct dirent *entry = NULL;
    kill(pg->pid, SIGSTOP);
    while ((entry = readdir(processes)) != NULL) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && parent_of(pid) == pg->pid)
            kill(pid, signal_number);
    }
    kill(pg->pid, signal_number);
    closedir(processes);
}

static void reap(struct test_pg *pg)
{
    if (pg->pid != 0)
        waitpid(pg->pid, NULL, 0);
    pg->pid = 0;
}

void test_pg_end(struct test_pg *pg)
{
    if (pg->pid != 0)
        kill(pg->pid, SIGINT);
    reap(pg);
}

void test_pg_kill(struct test_pg *pg)
{
    if (pg->pid != 0)
        signal_all(pg, SIGKILL);
    reap(pg);
}

void test_pg_pause(struct test_pg *pg)
{
    signal_all(pg, SIGSTOP);
}

void test_pg_resume(struct test_pg *pg)
{
    signal_all(pg, SIGCONT);
}

void test_pg_again(struct test_pg *pg)
{
    for (int i = 0; i < START_TRIES; i++) {
        if (try_start(pg))
            return;
        sleep_ms(200); /* after a kill, the last backends may still hold the shared memory */
    }
    show_log(pg);
    give_up("the server does not start again");
}

static int remove_entry(const char *path, const struct stat *state, int kind, struct FTW *where)
{
    (void)state;
    (void)kind;
    (void)where;
    return remove(path);
}

void test_pg_free(struct test_pg *pg)
{
    if (pg == NULL)
        return;
    if (pg->pid != 0)
        kill(pg->pid, SIGQUIT);
    reap(pg);
    nftw(pg->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(pg);
}

/* ---- databases
 * ------------------------------------------------------------------------------------- */

static struct test_pg *shared;
static char databases[DATABASES_MAX][48];
static size_t database_count;

static const char *shared_url(void)
{
    const char *url = getenv("TEARS_TEST_PG_URL");
    if (url != NULL && url[0] != '\0')
        return url;
    if (shared == NULL)
        shared = test_pg_start();
    return shared->url;
}

static void drop_all(void)
{
    for (size_t i = 0; shared == NULL && i < database_count; i++) {
        char sql[128];
        format(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", databases[i]);
        test_pg_run(shared_url(), sql);
    }
    test_pg_free(shared);
    shared = NULL;
}

void test_pg_run(const char *url, const char *sql)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, sql);
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(connection));
        give_up("SQL for the tests");
    }
    PQclear(result);
    PQfinish(connection);
}

void test_pg_database(char *url_out, size_t url_size)
{
    const char *url = shared_url();
    char sql[128];
    struct timespec now;
    if (database_count == DATABASES_MAX)
        give_up("too many databases");
    clock_gettime(CLOCK_REALTIME, &now);
    format(databases[database_count], sizeof databases[0], "test_%d_%zu_%ld", (int)getpid(),
           database_count, now.tv_nsec);
    format(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0", databases[database_count]);
    test_pg_run(url, sql);
    test_pg_url_of_database(url, databases[database_count], url_out, url_size);
    if (database_count++ == 0)
        atexit(drop_all);
}

/* The URLs here are "postgresql://USER@HOST:PORT/DATABASE". */
void test_pg_url_of_database(const char *url, const char *database, char *url_out, size_t url_size)
{
    const char *end = strrchr(url, '/');
    if (end == NULL)
        give_up("a URL without a database");
    format(url_out, url_size, "%.*s/%s", (int)(end - url), url, database);
}

void test_pg_url_with_password(const char *url, const char *password, char *url_out,
                               size_t url_size)
{
    const char *host = strchr(url, '@');
    if (host == NULL)
        give_up("a URL without a user");
    format(url_out, url_size, "postgresql://tears_password%s%s%s", password != NULL ? ":" : "",
           password != NULL ? password : "", host);
}
