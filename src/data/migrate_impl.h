/*
 * migrate_impl.h -- what the sources of migrations share; private to src/data.
 *
 *   package, version   what was registered (migrate_package.c, migrate_directory.c)
 *   order              packages by dependency (migrate_order.c)
 *   ledger             what the database says (migrate_ledger.c)
 *   plan               what is to be done, and why it may not be (migrate_plan.c)
 *   migration          one version while it runs (migrate_run.c, migrate_steps.c, migrate_body.c)
 */
#ifndef T3_DATA_MIGRATE_IMPL_H
#define T3_DATA_MIGRATE_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fail.h"
#include "data/sql_scan.h"
#include "tier/l3_admin.h"

#include <tears/migrate.h>

#define T3_MIGRATE_ORIGIN "migrate"

enum { T3_MIGRATE_DIGEST_BYTES = 65, T3_MIGRATE_FILE_BYTES_MAX = 16 << 20 };

/* ---- what was registered ---- */

/* One direction of a version: a function or SQL. */
struct t3_migrate_body {
    tears_migration_fn run;
    struct tears_str sql;
    struct tears_str file;     /* "": not from a directory */
    bool needs_no_transaction; /* by its statements */
};

struct t3_migrate_package;

struct t3_migrate_version {
    const struct t3_migrate_package *package;
    int64_t number;
    struct tears_str description;
    struct t3_migrate_body up;
    struct t3_migrate_body down; /* neither function nor SQL: it cannot be undone */
    struct tears_str checksum;   /* 64 hexadecimal digits; "": not checked */
    uint64_t flags;
};

struct t3_migrate_package {
    struct t3_migrate_package *next;
    struct tears_str name;
    uint64_t scope;
    const struct tears_str *depends_on;
    size_t depends_on_count;
    struct t3_migrate_version *versions; /* ascending */
    size_t version_count;
    void *owner;
};

static inline bool t3_migrate_body_is_there(const struct t3_migrate_body *body)
{
    return body->run != NULL || body->sql.len > 0;
}

/* Adds a package to the migrator (migrate_package.c); `files` of its versions' bodies are NULL or as many as versions. */
struct t3_migrate_files {
    struct tears_str up;
    struct tears_str down;
};
tears_status t3_migrate_add(struct tears_migrator *migrator, const struct tears_package_def *def,
                            const struct t3_migrate_files *files);

struct t3_migrate_package *t3_migrate_find_package(const struct tears_migrator *migrator,
                                                   struct tears_str name);
struct t3_migrate_version *t3_migrate_find_version(const struct t3_migrate_package *package,
                                                   int64_t number);

/* ---- order (migrate_order.c) ---- */

/* Packages of the migrator's scope, those that others depend on first; in the arena. */
tears_status t3_migrate_order(struct tears_migrator *migrator, struct t3_arena *arena,
                              const struct t3_migrate_package ***packages_out, size_t *count_out);

/* ---- statements (migrate_text.c) ---- */

enum t3_step_class {
    T3_STEP_PLAIN,   /* a transaction can hold it */
    T3_STEP_ALONE,   /* it can run in no transaction */
    T3_STEP_SETTING, /* changes the connection: done again by whoever goes on with the version */
    T3_STEP_REFUSED  /* begins or ends transactions, attaches files, gives up locks */
};

struct t3_step_text {
    enum t3_step_class class;
    uint64_t kind;          /* TEARS_STATEMENT_* */
    bool makes;             /* CREATE, ADD: that it is there already may mean that it was done */
    bool removes;           /* DROP, RENAME: that it is not there may mean so */
    struct tears_str index; /* of CREATE INDEX CONCURRENTLY: its name as the catalogue has it; "" */
    struct tears_str table; /* and the table's, as written */
};

/* Looks at one statement.  `version` is the server's. */
tears_status t3_step_classify(struct t3_arena *arena, const struct t3_sql_tokens *tokens,
                              struct t3_sql_range range, const struct t3_admin_facts *facts,
                              struct t3_step_text *text_out);

/* Whether Python's runner takes a statement for one on the ledger. */
bool t3_migrate_is_bookkeeping(struct tears_str sql);

/* The digest of SQL: of its tokens, so that blanks and comments do not count.  64 digits and a NUL. */
tears_status t3_migrate_digest(struct tears_str sql, enum t3_sql_dialect dialect,
                               char digest_out[T3_MIGRATE_DIGEST_BYTES]);

/* ---- the ledger (migrate_ledger.c) ---- */

/* The texts on the table that is shared with the Python package. */
extern const char t3_ledger_create_sql[];
extern const char t3_ledger_select_sql[];
extern const char t3_ledger_history_sql[];
extern const char t3_ledger_insert_sql[];
extern const char t3_ledger_delete_sql[];
/* `create` for SQLite, which has no now(). */
extern const char t3_ledger_create_lite_sql[];
/* The second table. */
extern const char t3_facts_create_sql[];

enum t3_ledger_state {
    T3_LEDGER_NONE, /* the second table has no row */
    T3_LEDGER_APPLIED,
    T3_LEDGER_APPLYING, /* statements of it are done, checkpoints say which */
    T3_LEDGER_UNDOING,
    T3_LEDGER_FAILED /* nothing of it is left */
};

/* A version as the database knows it, both tables together. */
struct t3_ledger_row {
    struct tears_str package;
    int64_t version;
    bool is_applied; /* it is in the shared table, which decides */
    struct tears_str description;
    int64_t date_us; /* 0: not known */
    enum t3_ledger_state state;
    int64_t sequence; /* 0: none */
    struct tears_str checksum;
    int64_t duration_us;
    struct tears_str actor;
    struct tears_str tool;
    int64_t steps_done;
    int64_t step_running;    /* 0: none */
    struct tears_str digest; /* of the statements that are done */
    struct tears_str phase;
    struct tears_str position;
    struct tears_str error;
};

struct t3_ledger {
    bool has_ledger;
    bool has_facts;
    struct t3_ledger_row *rows; /* by package and version */
    size_t count;
    int64_t sequence_max;
};

/* Reads both tables; what is missing is empty.  Rows are in the arena. */
tears_status t3_ledger_read(struct t3_admin *admin, struct t3_arena *arena,
                            struct t3_ledger *ledger_out, struct tears_error *error_out);
struct t3_ledger_row *t3_ledger_find(const struct t3_ledger *ledger, struct tears_str package,
                                     int64_t version);
/* The applied rows, oldest first: by sequence, and those without one by date behind them. */
tears_status t3_ledger_history(const struct t3_ledger *ledger, struct t3_arena *arena,
                               const struct t3_ledger_row ***rows_out, size_t *count_out);

/* Makes the tables that are missing. */
tears_status t3_ledger_make(struct t3_admin *admin, const struct t3_ledger *ledger,
                            struct tears_error *error_out);
/* Numbers applied rows that have no sequence (the Python package wrote them), and forgets facts of versions that are
 * gone from the ledger. */
tears_status t3_ledger_adopt(struct t3_admin *admin, struct t3_arena *arena,
                             struct t3_ledger *ledger, struct tears_error *error_out);

/* Whether the version is in the shared table now. */
tears_status t3_ledger_has(struct t3_admin *admin, const struct t3_migrate_version *version,
                           bool *has_out, struct tears_error *error_out);

/* What is noted of a version; NULL members stay as they are only where said. */
struct t3_ledger_note {
    struct tears_str package;
    int64_t version;
    struct tears_str description;
    struct tears_str checksum;
    struct tears_str actor;
    int64_t started_us;
    int64_t duration_us;
};

/* A row for the version in both tables, at the next number of the sequence. */
tears_status t3_ledger_enter(struct t3_admin *admin, const struct t3_ledger_note *note,
                             struct tears_error *error_out);
/* No row in either. */
tears_status t3_ledger_remove(struct t3_admin *admin, struct tears_str package, int64_t version,
                              struct tears_error *error_out);
/* Begins checkpoints: `state` APPLYING or UNDOING, no step done. */
tears_status t3_ledger_start(struct t3_admin *admin, const struct t3_ledger_note *note,
                             enum t3_ledger_state state, struct tears_error *error_out);
/* Step `number` is about to run by itself. */
tears_status t3_ledger_intend(struct t3_admin *admin, const struct t3_migrate_version *version,
                              uint64_t number, struct tears_error *error_out);
/* Steps up to `number` are done. */
tears_status t3_ledger_checkpoint(struct t3_admin *admin, const struct t3_migrate_version *version,
                                  uint64_t number, const char *digest,
                                  struct tears_error *error_out);
/* A phase has come so far. */
tears_status t3_ledger_phase(struct t3_admin *admin, const struct t3_migrate_version *version,
                             struct tears_str phase, struct tears_str position,
                             struct tears_error *error_out);
/* The last attempt failed so.  A version without checkpoints gets the state FAILED, unless it is applied. */
tears_status t3_ledger_blame(struct t3_admin *admin, const struct t3_ledger_note *note,
                             const struct tears_error *why, struct tears_error *error_out);
/* The checksum of an applied version. */
tears_status t3_ledger_accept(struct t3_admin *admin, const struct t3_migrate_version *version,
                              struct tears_error *error_out);

/* ---- the migrator (migrate.c) ---- */

struct tears_migrator {
    struct tears_client *client;
    struct tears_migrator_options options;
    struct t3_arena arena;   /* options, packages */
    struct t3_arena results; /* of the call under way, or the last */
    struct tears_error error;
    struct t3_migrate_package *packages;
    struct t3_admin *admin; /* NULL: not connected */
    enum t3_sql_dialect dialect;
    bool has_failure;
    struct tears_migration_failure failure; /* texts are in `results` */
    uint64_t wait_started_us;
};

/* Begins a public call: forgets the last results and error.  TEARS_MISUSE in a forked child. */
tears_status t3_migrator_enter(struct tears_migrator *migrator);
/* Connects, or connects anew when the connection was lost. */
tears_status t3_migrator_connect(struct tears_migrator *migrator);
/* Connects and gets the lock; every exit goes through t3_migrator_unlock. */
tears_status t3_migrator_lock(struct tears_migrator *migrator);
void t3_migrator_unlock(struct tears_migrator *migrator);
void t3_migrator_tell(struct tears_migrator *migrator, struct tears_migrate_event *event);
struct t3_deadline t3_migrator_statement_deadline(const struct tears_migrator *migrator);
/* Of the library's own short statements. */
void t3_migrator_short_deadline(struct tears_migrator *migrator);

/* ---- plans (migrate_plan.c) ---- */

struct t3_migrate_plan {
    struct t3_ledger ledger;
    const struct t3_migrate_version **versions; /* in the order of doing */
    size_t count;
};

/* What tears_migrate_up has to do; the ledger has been read. */
tears_status t3_migrate_plan_up(struct tears_migrator *migrator,
                                const struct tears_migrate_request *request,
                                struct t3_migrate_plan *plan);
tears_status t3_migrate_plan_down(struct tears_migrator *migrator,
                                  const struct tears_migrate_request *request,
                                  struct t3_migrate_plan *plan);
/* What a registered version is, by the ledger. */
uint64_t t3_migrate_state(const struct t3_ledger *ledger, const struct t3_migrate_version *version,
                          const struct t3_ledger_row *row);

/* ---- one version while it runs ---- */

enum t3_migration_mode { T3_MODE_TRANSACTION, T3_MODE_CHECKPOINTS, T3_MODE_PREVIEW };

/* A statement that runs, and where it is from. */
struct t3_migration_step {
    struct tears_str sql;
    const struct tears_value *params;
    size_t param_count;
    struct t3_step_text text;
    uint64_t line; /* of its beginning, from 1 */
};

struct t3_preview {
    struct tears_migration_statement *items;
    size_t count;
    size_t capacity;
};

struct tears_migration {
    struct tears_migrator *migrator;
    const struct t3_migrate_version *version;
    const struct t3_migrate_body *body;
    const struct t3_ledger_row *row; /* what was known when it began; NULL: nothing */
    bool is_down;
    enum t3_migration_mode mode;
    bool preview_in_transaction; /* how it would run */
    struct t3_arena arena;       /* until the version ends */
    struct tears_error error;
    uint64_t started_us;
    uint64_t total; /* statements, when it is SQL */

    uint64_t step;                        /* counted so far */
    uint64_t steps_done;                  /* of an earlier attempt: not run again */
    char digest[T3_MIGRATE_DIGEST_BYTES]; /* of the steps so far */
    bool in_phase;
    struct tears_str phase;

    struct t3_preview *preview;
    /* In an empty schema that goes again (drift_migrations.c): runs what no transaction may hold.  NULL: it is refused. */
    tears_status (*run_in_scratch)(struct tears_migration *migration,
                                   const struct t3_migration_step *step);
};

/* Runs one version of the plan to its end, the ledger's rows included (migrate_run.c).  *done_out: it was not
 * there before. */
tears_status t3_migrate_run(struct tears_migrator *migrator, const struct t3_ledger *ledger,
                            const struct t3_migrate_version *version, bool is_down, bool *done_out);

/* Calls the body, or runs its SQL (migrate_run.c). */
tears_status t3_migration_body(struct tears_migration *migration);

/* Runs, passes over or notes one statement, as the mode says (migrate_steps.c). */
tears_status t3_migration_step(struct tears_migration *migration, struct t3_migration_step *step,
                               struct t3_result *result_out);
/* The next step is this: its number, and the digest up to it, which where the passing over ends must be the one that was noted. */
tears_status t3_migration_count(struct tears_migration *migration,
                                const struct t3_migration_step *step);
/* Splits, classifies and runs; `only_one` refuses more. */
struct t3_migration_text {
    struct tears_str sql;
    const struct tears_value *params;
    size_t param_count;
    bool only_one;
};
tears_status t3_migration_run_text(struct tears_migration *migration,
                                   const struct t3_migration_text *text,
                                   struct t3_result *result_out);
/* How long statements wait for tables, on PostgreSQL; 0: without limit. */
tears_status t3_migration_set_lock_ms(struct tears_migration *migration, uint64_t ms);
/* Whether what failed so may be begun again: it waited for a table, or met another transaction. */
enum { T3_MIGRATION_TRIES_MAX = 5 };
bool t3_migration_may_retry(const struct tears_error *error);
void t3_migration_pause(unsigned attempt);
/* A statement for the preview; `noted` is copied, its texts are not. */
tears_status t3_preview_add(struct tears_migrator *migrator, struct t3_preview *preview,
                            const struct tears_migration_statement *noted);
/* Whether the body, as text, has a statement that no transaction of this server can hold. */
tears_status t3_migration_needs_checkpoints(struct tears_migration *migration, bool *needs_out);
/* Notes in the migrator at which statement a version failed. */
void t3_migration_blame_step(struct tears_migration *migration,
                             const struct t3_migration_step *step);

#endif
