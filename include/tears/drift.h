/**
 * @file drift.h
 * Drift: where a database's tables differ from what migrations or table definitions declare, and the SQL that
 * would repair it.
 *
 * Nothing is read from SQL text.  What is declared is made for real in a schema of its own that nobody else sees (on
 * PostgreSQL in a transaction that is rolled back, on SQLite in memory), and both are read from the database's
 * catalogue by the same code: tables, columns with their types, defaults, nullability, generation and identity,
 * keys, constraints, indexes, enum labels, row-level security and its policies, triggers, functions, and
 * sequences that no column owns.  Views, rights, owners and comments are not compared.
 *
 * The order of columns, and names that the database invents for constraints and indexes, are no difference.
 * `_schema_migrations` and the tables and triggers of this library are not looked at.
 *
 * Source: spec data.md sections 13 and 22.2.
 */
#ifndef TEARS_DRIFT_H
#define TEARS_DRIFT_H

#include "migrate.h"
#include "text.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The result of one comparison.  One thread at a time. */
typedef struct tears_drift tears_drift;

/** How something differs. */
enum {
    TEARS_DRIFT_MISSING = 1,     /**< declared, but not in the database */
    TEARS_DRIFT_EXTRA = 2,       /**< in the database, but not declared */
    TEARS_DRIFT_TYPE = 3,        /**< a column's type, with its limits and collation */
    TEARS_DRIFT_NULLABILITY = 4, /**< NOT NULL or not */
    TEARS_DRIFT_DEFAULT = 5,
    TEARS_DRIFT_GENERATION = 6, /**< a generated column's expression, or an identity */
    TEARS_DRIFT_DEFINITION = 7, /**< what a constraint, index, enum, policy, trigger ... says */
    TEARS_DRIFT_STATE =
        8, /**< there, but not in force: not validated, invalid, disabled; row-level security off */
    TEARS_DRIFT_NAME = 9 /**< the same constraint or index under another name */
};

/** What differs. */
enum {
    TEARS_DRIFT_OBJECT_TABLE = 1,
    TEARS_DRIFT_OBJECT_COLUMN = 2,
    TEARS_DRIFT_OBJECT_PRIMARY_KEY = 3,
    TEARS_DRIFT_OBJECT_UNIQUE = 4,
    TEARS_DRIFT_OBJECT_CHECK = 5,
    TEARS_DRIFT_OBJECT_FOREIGN_KEY = 6,
    TEARS_DRIFT_OBJECT_EXCLUSION = 7,
    TEARS_DRIFT_OBJECT_INDEX = 8,
    TEARS_DRIFT_OBJECT_TRIGGER = 9,
    TEARS_DRIFT_OBJECT_POLICY = 10,
    TEARS_DRIFT_OBJECT_ENUM = 11,
    TEARS_DRIFT_OBJECT_FUNCTION = 12,
    TEARS_DRIFT_OBJECT_SEQUENCE = 13
};

/** One difference.  Texts live as long as the tears_drift. */
struct tears_drift_finding {
    uint64_t difference;    /**< TEARS_DRIFT_* */
    uint64_t object;        /**< TEARS_DRIFT_OBJECT_* */
    struct tears_str table; /**< "": it belongs to no table */
    struct tears_str name;
    struct tears_str expected; /**< as declared, in the database's own words; "" of what is extra */
    struct tears_str actual;   /**< as it is; "" of what is missing */
};

/** One statement of a repair, in the order in which they must run.  Texts live as long as the tears_drift. */
struct tears_drift_step {
    struct tears_str sql;    /**< "": there is no statement that does it; `reason` says why */
    struct tears_str reason; /**< of what is not run: why; else "" */
    uint64_t
        is_destructive; /**< 1: it takes away what only this database has: rows, values, protection */
    uint64_t is_run;    /**< 1: tears_drift_repair runs it */
    uint64_t outside_transaction; /**< 1: it cannot be in the transaction of the others */
};

/** What to compare with what.  Zero or empty means the default.  Start from TEARS_DRIFT_OPTIONS_INIT. */
struct tears_drift_options {
    size_t size;
    /** Of tears_drift_of_schemas: the definitions, and the schema as in struct tears_migrator_options. */
    const tears_schema *const *definitions;
    size_t definition_count;
    struct tears_str schema;
    uint64_t
        all_versions; /**< 1: pending versions count as declared; 0: what the ledger says was applied */
    uint64_t only_declared; /**< 1: tables that are not declared are not looked at */
    uint64_t destructive;   /**< 1: the repair may take away what only this database has */
    uint64_t timeout_ms; /**< of the comparison, and of each statement of the repair; 0: 600,000 */
};

#define TEARS_DRIFT_OPTIONS_INIT TEARS_SIZED(struct tears_drift_options)

/**
 * Compares the migrator's schema with what its versions declare.  The schema is only read.  The bodies of the versions run,
 * in the schema made for this; what they do to other schemas of the database is rolled back, but makes them
 * wait for this, as any transaction does.
 * @param options    NULL: all defaults; `schema` is the migrator's.
 * @param drift_out  owned by the caller; end it with tears_drift_free, before the client.
 * @return TEARS_OK, whether or not something differs: see tears_drift_count.  TEARS_NOT_FOUND (no such schema, a dependency),
 * TEARS_INVALID (a version failed in an empty schema; the message says where), TEARS_UNAVAILABLE, TEARS_TIMEOUT,
 * TEARS_DENIED (schemas cannot be made), TEARS_UNSUPPORTED, TEARS_LIMIT, TEARS_NO_MEMORY.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_drift_of_migrations(tears_migrator *migrator, const struct tears_drift_options *options,
                          tears_drift **drift_out, struct tears_error *error_out);

/**
 * Compares a schema of the client's database with the table definitions in the options.
 * @return as tears_drift_of_migrations; TEARS_INVALID: a definition was refused by the database.
 * @thread any  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_drift_of_schemas(tears_client *client, const struct tears_drift_options *options,
                       tears_drift **drift_out, struct tears_error *error_out);

/** How many differences there are; 0: none.  @thread drift  @since 0.1 */
TEARS_API size_t tears_drift_count(const tears_drift *drift);

/** The difference at `index`; by what differs, then by table and name.  @return TEARS_OK or TEARS_NOT_FOUND.
 * @thread drift  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_drift_finding(const tears_drift *drift, size_t index,
                                                         struct tears_drift_finding *finding_out);

/** How many statements the repair has, those that are not run among them.  @thread drift  @since 0.1 */
TEARS_API size_t tears_drift_step_count(const tears_drift *drift);

/** The statement at `index`.  @return TEARS_OK or TEARS_NOT_FOUND.  @thread drift  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_drift_step(const tears_drift *drift, size_t index,
                                                      struct tears_drift_step *step_out);

/** The differences as lines of text; one line when there are none.  @param text_out  owned by the caller.
 * @return TEARS_OK, TEARS_NO_MEMORY, TEARS_LIMIT.  @thread drift  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_drift_text(const tears_drift *drift,
                                                      struct tears_owned_text *text_out);

/**
 * The differences and the repair as one JSON object: the members of spec data.md 13.4 (`clean`, `missing_tables`,
 * `extra_tables`, `missing_columns`, `extra_columns`, `type_mismatches`), `schema`, `differences` (every finding) and
 * `repair` (every step).
 * @return as tears_drift_text; TEARS_INVALID (a name in the database is no UTF-8).  @thread drift  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_drift_json(const tears_drift *drift,
                                                      struct tears_owned_text *text_out);

/** The repair as a script; what would not be run stands in it as comments with the reason.  @return as tears_drift_text.
 * @thread drift  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_drift_sql(const tears_drift *drift,
                                                     struct tears_owned_text *text_out);

/**
 * Runs the repair: under the lock of the schema, in one transaction (but for what cannot be in one), and only if the schema
 * is still as it was when it was compared.
 * @param done_out  statements that were run; set on failure, too (0 when they were rolled back); may be NULL.
 * @return TEARS_OK; TEARS_CONFLICT (the schema has changed since: compare again), TEARS_INVALID (a statement failed, for
 * instance because rows do not fit; the message begins with it), TEARS_TIMEOUT, TEARS_UNAVAILABLE, TEARS_DENIED, TEARS_NO_MEMORY.
 * @thread drift  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status tears_drift_repair(tears_drift *drift, uint64_t *done_out,
                                                        struct tears_error *error_out);

/** Ends it.  NULL is accepted.  @thread drift  @since 0.1 */
TEARS_API void tears_drift_free(tears_drift *drift);

#ifdef __cplusplus
}
#endif
#endif
