/**
 * @file migrate.h
 * Migrations: the versioned history of a database schema, safe when many processes start at once.
 *
 * A *package* is a numbered list of versions with a name, a scope and packages that it depends on.  A
 * *migrator* brings one database schema from whatever it is at to a version, and back.  What has been
 * applied is in the table `_schema_migrations`, which the Python package reads and writes as well;
 * what only this library knows (checksums, durations, who, how far an interrupted version came) is in a
 * second table, `_tears_migrations`.
 *
 * What holds.
 *   1. One process at a time works on a schema; the others wait, and then see the work done.
 *   2. A version and its row in the ledger are one transaction, where the database can change tables in
 *      transactions.  A version with a statement that cannot run in one (CREATE INDEX CONCURRENTLY,
 *      VACUUM ...) goes on after a crash at the statement where it was.
 *   3. A version that fails names its statement, the line of the file and the SQLSTATE.  The versions before
 *      it stay.
 *   4. A version whose text is not the one that was applied is reported and stops the next run.
 *
 * Source: spec data.md sections 11 and 22.1.
 */
#ifndef TEARS_MIGRATE_H
#define TEARS_MIGRATE_H

#include "schema.h"
#include "session.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Packages, and the one database schema that they are applied to.  One thread at a time. */
typedef struct tears_migrator tears_migrator;

/** One version while it runs: what its body is given. */
typedef struct tears_migration tears_migration;

/** What a package is for. */
enum {
    TEARS_SCOPE_PLATFORM = 1, /**< once in a deployment */
    TEARS_SCOPE_AGENT = 2     /**< once in the schema of each owner */
};

/* ---- packages ------------------------------------------------------------------------------------ */

/**
 * Carries out one version, up or down, by calls of tears_migration_*.  What it returns, when that is not
 * TEARS_OK, is the outcome of the version.  It is called for a preview, too.
 */
typedef tears_status (*tears_migration_fn)(void *owner, tears_migration *migration);

/** Bits of tears_migration_def.flags. */
enum {
    /** Each statement stands for itself, with a checkpoint behind it: for statements that no transaction may hold,
     * and for work too long for one.  SQL is looked through, so that files need not say it. */
    TEARS_MIGRATION_NO_TRANSACTION = 1
};

/** One version: functions, or SQL text; not both for one direction.  Zero means "not set". */
struct tears_migration_def {
    int64_t version; /**< from 1; gaps are allowed */
    struct tears_str description;
    tears_migration_fn up;
    tears_migration_fn down; /**< NULL (and no down_sql): cannot be undone */
    struct tears_str up_sql; /**< statements with semicolons between them */
    struct tears_str down_sql;
    /**
     * Of functions: text that is changed whenever they do something else, such as "1"; it is checked as a
     * file's checksum is.  "": not checked.  Of SQL the text itself is checked.
     */
    struct tears_str revision;
    uint64_t flags; /**< TEARS_MIGRATION_* */
};

/** A package.  Start from TEARS_PACKAGE_DEF_INIT.  The library copies everything but `owner`. */
struct tears_package_def {
    size_t size;
    struct tears_str name;              /**< 1 to 255 bytes */
    uint64_t scope;                     /**< TEARS_SCOPE_* */
    const struct tears_str *depends_on; /**< packages of the same scope */
    size_t depends_on_count;
    const struct tears_migration_def *migrations; /**< in any order */
    size_t migration_count;
    void *owner; /**< handed to the functions; must outlive the migrator */
};

#define TEARS_PACKAGE_DEF_INIT TEARS_SIZED(struct tears_package_def)

/* ---- migrator ------------------------------------------------------------------------------------ */

/** What a migrator is doing, for those who wait. */
enum {
    TEARS_MIGRATE_WAITING = 1, /**< another process works on this schema */
    TEARS_MIGRATE_STARTED = 2, /**< a version begins */
    TEARS_MIGRATE_STEP = 3,    /**< a statement of it is done, or a part of a long one */
    TEARS_MIGRATE_FINISHED = 4 /**< the version is done */
};

struct tears_migrate_event {
    size_t size;
    uint64_t kind; /**< TEARS_MIGRATE_* */
    struct tears_str package;
    int64_t version;
    struct tears_str description;
    uint64_t down;          /**< 1: it is being undone */
    uint64_t resumed;       /**< 1: of STARTED, an interrupted version goes on */
    uint64_t done;          /**< of STEP: statements, or rows of the helper `phase` */
    uint64_t total;         /**< 0: not known */
    struct tears_str phase; /**< of STEP: the part that reports, "" the version */
    uint64_t elapsed_us;    /**< of FINISHED, WAITING */
};

/** Called on the thread of the call under way; must not call the migrator. */
typedef void (*tears_migrate_progress_fn)(void *owner, const struct tears_migrate_event *event);

/** How to open a migrator.  Zero or empty means the default.  Start from TEARS_MIGRATOR_OPTIONS_INIT. */
struct tears_migrator_options {
    size_t size;
    uint64_t scope; /**< TEARS_SCOPE_*; 0: TEARS_SCOPE_PLATFORM */
    /**
     * The database schema to work on: on PostgreSQL a schema, on SQLite a file of its own beside the
     * client's ("PATH.SCHEMA").  Names that are not qualified are found and made there.  "": the
     * connection's own schema, on SQLite the client's file.
     */
    struct tears_str schema;
    uint64_t create_schema; /**< 1: it is made when it is missing; 0: TEARS_NOT_FOUND */
    uint64_t
        allow_out_of_order; /**< 1: a version below one that is applied already is applied, not refused */
    uint64_t allow_changed; /**< 1: an applied version whose text has changed stops nothing */
    uint64_t wait_ms; /**< longest wait for another process that works on the schema; 0: 600,000 */
    uint64_t statement_ms; /**< longest time of one statement; 0: no limit */
    uint64_t
        table_lock_ms; /**< longest wait of a statement for a table's lock, after which its version
                                       is begun again, a few times; PostgreSQL; 0: 5,000 */
    struct tears_str actor;             /**< who, for the history; "": user@host */
    tears_migrate_progress_fn progress; /**< NULL: nobody */
    void *progress_owner;
};

#define TEARS_MIGRATOR_OPTIONS_INIT TEARS_SIZED(struct tears_migrator_options)

/**
 * Makes a migrator for the client's database.  Nothing is asked of the database yet.
 * @param options       NULL: all defaults.
 * @param migrator_out  owned by the caller; end it with tears_migrator_free, before the client.
 * @return TEARS_OK, TEARS_INVALID (an option), TEARS_UNSUPPORTED (the client's L3 is a store of the
 * program's own; options from a newer header), TEARS_MISUSE, TEARS_NO_MEMORY.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migrator_open(tears_client *client, const struct tears_migrator_options *options,
                    tears_migrator **migrator_out, struct tears_error *error_out);

/** Ends it, and its connection.  NULL is accepted.  @thread migrator  @since 0.1 */
TEARS_API void tears_migrator_free(tears_migrator *migrator);

/**
 * Adds a package.  Packages of the other scope may be added; they are passed over.
 * @return TEARS_OK, TEARS_INVALID (a name, a scope, a version below 1, a body that is missing, SQL that has
 * an open quote; the message says which), TEARS_CONFLICT (the package, or a version of it, is there
 * already), TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrator_add(tears_migrator *migrator,
                                                        const struct tears_package_def *package);

/**
 * Adds a package from a directory: `package.json` with the members `name`, `scope` ("platform" or "agent"),
 * `depends_on` (a list of names; may be missing), and files `NNNN_description.up.sql` and, where the version can
 * be undone, `NNNN_description.down.sql`.  Other files are not looked at.  A directory without `package.json`
 * whose subdirectories have one is a directory of packages: all of them are added.
 *
 * A line `-- tears: no-transaction` in a file gives its version TEARS_MIGRATION_NO_TRANSACTION.
 * @return as tears_migrator_add; TEARS_NOT_FOUND (no such directory, no package in it), TEARS_DENIED,
 * TEARS_LIMIT (a file above 16 MiB), TEARS_UNAVAILABLE (it cannot be read).
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrator_add_directory(tears_migrator *migrator,
                                                                  struct tears_str path);

/** The error of the last call; status TEARS_OK after a success.  @thread migrator  @since 0.1 */
TEARS_API const struct tears_error *tears_migrator_error(const tears_migrator *migrator);

/** Where a version failed.  Texts are "" and numbers 0 when they are not known; they live until the next call. */
struct tears_migration_failure {
    size_t size;
    struct tears_str package;
    int64_t version;
    uint64_t down;
    uint64_t ordinal;           /**< of the statement in the version, from 1 */
    struct tears_str statement; /**< its text */
    struct tears_str file;      /**< of SQL from a directory */
    uint64_t
        line; /**< in the file, or in the version's SQL text: of the position, else of the statement */
    uint64_t position; /**< character of the statement, from 1 */
    struct tears_str sqlstate;
    uint64_t
        is_partial; /**< 1: statements before it are done and stay; the next run goes on behind them */
};

#define TEARS_MIGRATION_FAILURE_INIT TEARS_SIZED(struct tears_migration_failure)

/** What the last call failed at.  @return false when it did not fail in a version.  @thread migrator  @since 0.1 */
TEARS_API bool tears_migrator_failure(const tears_migrator *migrator,
                                      struct tears_migration_failure *failure_out);

/* ---- asking -------------------------------------------------------------------------------------- */

/** A version of a package. */
struct tears_package_version {
    struct tears_str package;
    int64_t version;
    struct tears_str description;
};

/**
 * All versions of the scope in the order in which they are applied to an empty schema.  The database is not asked.
 *
 * Packages come after those they depend on, and among those that could come next the smallest name first.
 * @param versions_out  belongs to the migrator, until its next call; so it is with all results below.
 * @return TEARS_OK, TEARS_NOT_FOUND (a dependency that is not there or of the other scope: detail 0; a cycle:
 * detail TEARS_MIGRATE_CYCLE), TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_sequence(
    tears_migrator *migrator, const struct tears_package_version **versions_out, size_t *count_out);

/** tears_error.detail of refusals of ours, beside the status. */
enum {
    TEARS_MIGRATE_CYCLE = 1,        /**< packages depend on each other in a circle */
    TEARS_MIGRATE_CHANGED = 2,      /**< an applied version's text is not what it was */
    TEARS_MIGRATE_OUT_OF_ORDER = 3, /**< a pending version is below an applied one */
    TEARS_MIGRATE_NO_DOWN = 4,      /**< a version cannot be undone */
    TEARS_MIGRATE_INTERRUPTED =
        5, /**< an interrupted version is not the one that is asked for, or not the same any more */
    TEARS_MIGRATE_DEPENDENCY = 6 /**< a package's dependency has pending versions */
};

/** What a version is in the schema. */
enum {
    TEARS_MIGRATION_PENDING = 1,
    TEARS_MIGRATION_APPLIED = 2,
    TEARS_MIGRATION_CHANGED = 3,      /**< applied, but the text is another now */
    TEARS_MIGRATION_OUT_OF_ORDER = 4, /**< pending, below an applied version of its package */
    TEARS_MIGRATION_INTERRUPTED =
        5, /**< statements of it are done, others are not: up or down goes on */
    TEARS_MIGRATION_FAILED = 6, /**< pending; the last attempt failed, nothing of it is left */
    TEARS_MIGRATION_UNKNOWN = 7 /**< applied, but no package that was added has it */
};

/** One version, with what is known of it. */
struct tears_migration_status {
    size_t size;
    struct tears_str package;
    int64_t version;
    struct tears_str description;
    uint64_t state; /**< TEARS_MIGRATION_* */
    uint64_t has_down;
    uint64_t
        no_transaction; /**< 1: it has TEARS_MIGRATION_NO_TRANSACTION, by its flags or its statements */
    int64_t date_applied_us; /**< microseconds since 1970; 0: not applied, or not known */
    struct tears_str file;
    uint64_t steps_done; /**< of INTERRUPTED */
    struct tears_str
        error;     /**< of FAILED and INTERRUPTED: what the last attempt said; "" it was killed */
    uint64_t down; /**< of INTERRUPTED: 1: it was being undone */
};

/**
 * All versions of the scope, in order of the sequence, then those that only the ledger knows.  Nothing is written;
 * a schema without a ledger is one to which nothing was applied.
 * @return TEARS_OK, TEARS_NOT_FOUND (as tears_migrate_sequence; no such schema), TEARS_UNAVAILABLE,
 * TEARS_TIMEOUT, TEARS_DENIED, TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migrate_status(tears_migrator *migrator, const struct tears_migration_status **statuses_out,
                     size_t *count_out);

/** A row of the ledger. */
struct tears_migration_record {
    size_t size;
    struct tears_str package;
    int64_t version;
    struct tears_str description;
    int64_t date_applied_us;
    int64_t sequence;          /**< order of application; 0: not applied by this library */
    struct tears_str checksum; /**< "": not known */
    uint64_t duration_us;
    struct tears_str actor;
    struct tears_str tool; /**< such as "libtears 0.1.0" */
};

/** The ledger, oldest first, of all packages.  Nothing is written.  @return as tears_migrate_status.  @thread migrator
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_history(
    tears_migrator *migrator, const struct tears_migration_record **records_out, size_t *count_out);

/** The highest applied version of each package of the scope that was added, 0 when there is none, by name.
 * @return as tears_migrate_status.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_current(
    tears_migrator *migrator, const struct tears_package_version **versions_out, size_t *count_out);

/* ---- doing --------------------------------------------------------------------------------------- */

/** How far to go.  Start from TEARS_MIGRATE_REQUEST_INIT. */
struct tears_migrate_request {
    size_t size;
    struct tears_str package; /**< only this one; its dependencies must be applied.  "": all */
    uint64_t has_target;
    int64_t target; /**< highest version, in each package's own numbers */
    const struct tears_package_version
        *targets; /**< highest versions of single packages; these count before `target` */
    size_t target_count;
    uint64_t steps; /**< of tears_migrate_down: how many versions; at least 1 */
};

#define TEARS_MIGRATE_REQUEST_INIT TEARS_SIZED(struct tears_migrate_request)

/**
 * Applies what is pending.
 * @param request      NULL: everything.
 * @param applied_out  versions applied by this call; set on failure, too; may be NULL.
 * @return TEARS_OK, TEARS_NOT_FOUND (a package, a dependency, the schema), TEARS_CONFLICT (refused: see the
 * TEARS_MIGRATE_* in the error's detail), TEARS_TIMEOUT (another process was at work for longer than wait_ms; or a
 * statement took too long), TEARS_DENIED, TEARS_UNAVAILABLE (the connection broke: whether the version was applied will
 * be seen by the next run), TEARS_INVALID and others (a version failed: tears_migrator_failure says where),
 * TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_up(tears_migrator *migrator,
                                                      const struct tears_migrate_request *request,
                                                      uint64_t *applied_out);

/**
 * Undoes the versions that were applied last, newest first.  All of them must be known and have a way down, or nothing
 * is done.
 * @param request   `steps`, and perhaps `package`.
 * @param undone_out  versions undone by this call; set on failure, too; may be NULL.
 * @return as tears_migrate_up; TEARS_INVALID also without steps.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_down(tears_migrator *migrator,
                                                        const struct tears_migrate_request *request,
                                                        uint64_t *undone_out);

/** What a statement of a preview is. */
enum {
    TEARS_STATEMENT_DDL = 1,        /**< changes tables */
    TEARS_STATEMENT_DML = 2,        /**< changes rows */
    TEARS_STATEMENT_OTHER = 3,      /**< anything else: SET, VACUUM, blocks of code */
    TEARS_STATEMENT_BOOKKEEPING = 4 /**< the library's own: the ledger */
};

struct tears_migration_statement {
    size_t size;
    struct tears_str package;
    int64_t version;
    uint64_t ordinal; /**< in its version, from 1; 0: bookkeeping */
    uint64_t kind;    /**< TEARS_STATEMENT_* */
    struct tears_str sql;
    struct tears_str params; /**< a JSON list of their texts; "": none */
    struct tears_str file;
    uint64_t line;
    uint64_t in_transaction; /**< 1: with the rest of its version */
};

/**
 * The statements that tears_migrate_up would run, in order.  Nothing is executed and nothing written: bodies run, but
 * what they execute is only noted, and what they query is read in a transaction that cannot write.
 * @return as tears_migrate_up.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migrate_preview(tears_migrator *migrator, const struct tears_migrate_request *request,
                      const struct tears_migration_statement **statements_out, size_t *count_out);

/** The same of tears_migrate_down.  @return as tears_migrate_down.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_preview_down(
    tears_migrator *migrator, const struct tears_migrate_request *request,
    const struct tears_migration_statement **statements_out, size_t *count_out);

/**
 * Enters a version into the ledger without running it; ends what is known of an interrupted attempt.  The package need not
 * have been added, but when it has, it must have the version.
 * @param description  "": "stamped".
 * @return TEARS_OK, TEARS_CONFLICT (it is there already), TEARS_NOT_FOUND (the package has no such version), TEARS_INVALID,
 * TEARS_TIMEOUT, TEARS_UNAVAILABLE, TEARS_DENIED, TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_stamp(tears_migrator *migrator,
                                                         struct tears_str package, int64_t version,
                                                         struct tears_str description);

/** Takes a version out of the ledger without undoing it.  @return as tears_migrate_stamp; TEARS_NOT_FOUND: it is not
 * there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_unstamp(tears_migrator *migrator,
                                                           struct tears_str package,
                                                           int64_t version);

/**
 * Takes the text that versions have now for the one that was applied, after people have seen to it that it makes no
 * difference.
 * @param package  "": all packages.
 * @param accepted_out  how many had changed; may be NULL.
 * @return as tears_migrate_status.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migrate_accept(tears_migrator *migrator,
                                                          struct tears_str package,
                                                          uint64_t *accepted_out);

/* ---- bodies -------------------------------------------------------------------------------------- */

/**
 * Runs one statement.  Without a transaction of the version's own it is done once: together with its checkpoint where
 * a transaction can hold it, and after a crash it is passed over when it was done.
 * @param params    for $1..$n.
 * @param rows_out  rows affected, 0 in a preview and when it was passed over; may be NULL.
 * @return TEARS_OK, TEARS_INVALID (refused; more than one statement; one that begins or ends transactions),
 * TEARS_UNSUPPORTED (it cannot run in a transaction: the version needs TEARS_MIGRATION_NO_TRANSACTION), and as
 * tears_execute.  The text is in tears_migration_error.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migration_execute(tears_migration *migration,
                                                             struct tears_str sql,
                                                             const struct tears_value *params,
                                                             size_t param_count,
                                                             uint64_t *rows_out);

/** Runs statements with semicolons between them.  @return as tears_migration_execute.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_execute_all(tears_migration *migration,
                                                                 struct tears_str sql);

/** Rows of tears_migration_query: `row_count` times `column_count` values, row by row. */
struct tears_migration_rows {
    const struct tears_str *names;
    const struct tears_value *values;
    size_t column_count;
    size_t row_count;
};

/**
 * Reads.  In a preview, and without a transaction, a statement that writes is refused.
 * @param rows_out  lives until the version ends.
 * @return as tears_migration_execute.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migration_query(tears_migration *migration,
                                                           struct tears_str sql,
                                                           const struct tears_value *params,
                                                           size_t param_count,
                                                           struct tears_migration_rows *rows_out);

/** Makes a table, with its enum types and indexes, where it is missing.  @return as tears_migration_execute.
 * @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_create_table(tears_migration *migration,
                                                                  const tears_schema *schema);

/**
 * Begins a part of a version whose statements are decided as it goes, such as a loop over batches of rows.  From here to
 * tears_migration_phase_end statements are neither counted nor passed over.  tears_migration_phase_save makes what was done
 * so far, and where it stands, one transaction (in a version that is one transaction: nothing but the note).  After a
 * crash the part is begun again with what was saved last.
 * @param name       the same each time; unique in the version.
 * @param saved_out  what was saved last; "": nothing.
 * @param done_out   the part was ended already: go on behind it, without tears_migration_phase_end.
 * @return as tears_migration_execute; TEARS_MISUSE (one is open).
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_migration_phase(tears_migration *migration,
                                                           struct tears_str name,
                                                           struct tears_str *saved_out,
                                                           bool *done_out);
TEARS_API TEARS_CHECKED tears_status tears_migration_phase_save(tears_migration *migration,
                                                                struct tears_str position);
TEARS_API TEARS_CHECKED tears_status tears_migration_phase_end(tears_migration *migration);

/** Tells the progress function how far a long part is.  `total` 0: not known.  @thread migrator  @since 0.1 */
TEARS_API void tears_migration_progress(tears_migration *migration, struct tears_str phase,
                                        uint64_t done, uint64_t total);

/** What failed last; TEARS_OK when nothing has.  @thread migrator  @since 0.1 */
TEARS_API const struct tears_error *tears_migration_error(const tears_migration *migration);

/** Fails with a text of the body's own, for a return in one line.  @return `status`.  @thread migrator  @since 0.1 */
TEARS_API tears_status tears_migration_fail(tears_migration *migration, tears_status status,
                                            struct tears_str message);

/** Memory until the version ends; NULL when there is none.  @thread migrator  @since 0.1 */
TEARS_API void *tears_migration_alloc(tears_migration *migration, size_t bytes);

/** What a body may want to know. */
struct tears_migration_info {
    size_t size;
    struct tears_str package;
    int64_t version;
    struct tears_str schema;  /**< where unqualified names are made; SQLite: "main" */
    struct tears_str dialect; /**< "postgresql" or "sqlite" */
    uint64_t server_version;  /**< such as 150004, 3040001 */
    uint64_t is_yugabyte;
    uint64_t is_preview;
    uint64_t is_down;
    uint64_t in_transaction; /**< 1: the version is one transaction */
};

#define TEARS_MIGRATION_INFO_INIT TEARS_SIZED(struct tears_migration_info)

/** @param info_out  its `size` must be set.  @thread migrator  @since 0.1 */
TEARS_API void tears_migration_info(const tears_migration *migration,
                                    struct tears_migration_info *info_out);

#ifdef __cplusplus
}
#endif
#endif
