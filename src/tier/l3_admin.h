/*
 * l3_admin.h -- one connection of its own to the durable tier's database, for work on tables rather than rows.
 *
 * It is beside the pool: settings, locks and transactions on it meet nobody else's.  A statement at a time, any
 * statement; $1..$n in both databases.  Values come back typed by the database, as in tier/result.h.
 *
 * The database schema it works on is chosen when it is opened:
 *   PostgreSQL  search_path is that schema, then those in which extensions are installed: what is not qualified is made
 *               and found there, and another owner's table of the same name is not found
 *   SQLite      the file "PATH.SCHEMA" beside the client's is opened as `main` of this connection
 *
 * Statuses as in tier/l3.h.  One thread at a time.
 */
#ifndef T3_TIER_L3_ADMIN_H
#define T3_TIER_L3_ADMIN_H

#include "schema/dml.h"
#include "tier/l3.h"

struct t3_admin;

struct t3_admin_options {
    struct tears_str schema; /* "": the connection's own; SQLite: the client's file */
    bool create_schema;      /* made when it is missing; otherwise that is TEARS_NOT_FOUND */
    /*
     * A schema that nobody else sees and that goes with the connection.  PostgreSQL: it is made in a transaction that is
     * open when this returns (`schema` and `create_schema` as above; without transactional DDL it stays, and has to be
     * dropped); SQLite: a database in memory.
     */
    bool scratch;
    struct t3_deadline deadline; /* of opening */
};

/* What is known of the database once it is open; texts live as long as the connection. */
struct t3_admin_facts {
    enum t3_dialect dialect;
    struct tears_str
        schema; /* where unqualified names are made: current_schema(); SQLite: "main" */
    struct tears_str search_path; /* PostgreSQL: as it was set, quoted; "": the connection's own */
    struct tears_str file;        /* SQLite: the path */
    uint32_t version;             /* 150004, 3040001 */
    bool is_yugabyte;
    bool has_transactional_ddl; /* CREATE, ALTER and DROP can be rolled back */
};

/* TEARS_UNSUPPORTED: a store of the program's own has no such connection. */
tears_status t3_admin_open(struct t3_l3 *l3, const struct t3_admin_options *options,
                           struct t3_admin **admin_out, struct tears_error *error_out);

/* Rolls back what is open and gives up the lock.  Accepts NULL. */
void t3_admin_free(struct t3_admin *admin);
void t3_admin_free_auto(struct t3_admin **admin);

const struct t3_admin_facts *t3_admin_facts(const struct t3_admin *admin);

/* False: the connection is lost, and with it the transaction and the lock. */
bool t3_admin_is_alive(const struct t3_admin *admin);

/* Of the calls that follow.  When it passes, PostgreSQL's connection is given up with its transaction. */
void t3_admin_set_deadline(struct t3_admin *admin, struct t3_deadline deadline);

struct t3_admin_statement {
    struct tears_str sql;
    const struct tears_value *params;
    size_t param_count;
    bool
        only_reads; /* TEARS_INVALID when it would write.  On PostgreSQL by a transaction of its own that cannot, so inside
                        an open one it is not checked. */
};

/* Runs one statement.  Rows, names and values are in the arena; `result_out` may be NULL. */
tears_status t3_admin_run(struct t3_admin *admin, const struct t3_admin_statement *statement,
                          struct t3_arena *arena, struct t3_result *result_out,
                          struct tears_error *error_out);

/* The same without parameters and rows. */
tears_status t3_admin_execute(struct t3_admin *admin, struct tears_str sql,
                              struct tears_error *error_out);

/* The character of the statement, from 1, at which the database noticed the last failure; 0: not known. */
uint32_t t3_admin_position(const struct t3_admin *admin);

/* On SQLite the transaction has the write lock from its start. */
tears_status t3_admin_begin(struct t3_admin *admin, struct tears_error *error_out);
/* Cannot write: for reading several things as of one moment. */
tears_status t3_admin_begin_read(struct t3_admin *admin, struct tears_error *error_out);
/* Both end the transaction, whatever they return; without one they do nothing. */
tears_status t3_admin_commit(struct t3_admin *admin, struct tears_error *error_out);
void t3_admin_rollback(struct t3_admin *admin);
bool t3_admin_in_transaction(const struct t3_admin *admin);

/* Settings (search_path, timeouts, foreign_keys ...) as they were just after opening; no transaction may be open. */
tears_status t3_admin_reset(struct t3_admin *admin, struct tears_error *error_out);

/*
 * The lock of this schema: one connection of all processes has it, until t3_admin_unlock or the connection's end.  `waiting`
 * (may be NULL) is called when it is found taken, and now and then afterwards.  TEARS_TIMEOUT when the deadline passes.
 *
 * Whoever waits asks again and again, with no statement running in between: CREATE INDEX CONCURRENTLY waits for the end of all
 * older statements, those that wait for its own process's lock among them.
 */
struct t3_admin_wait {
    struct t3_deadline deadline;
    void (*waiting)(void *owner, uint64_t waited_ms);
    void *owner;
};
tears_status t3_admin_lock(struct t3_admin *admin, const struct t3_admin_wait *wait,
                           struct tears_error *error_out);
void t3_admin_unlock(struct t3_admin *admin);

/* Tests only: called before each statement of every such connection of this process; NULL ends it. */
void t3_admin_watch(void (*before)(void *owner, struct tears_str sql), void *owner);

/* The file that is the schema `schema` of the SQLite database at `path`. */
tears_status t3_admin_lite_path(struct tears_str path, struct tears_str schema, struct t3_buf *out);

#endif
