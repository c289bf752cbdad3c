/**
 * @file migrate_helpers.h
 * Changes of tables that migrations need again and again, for the bodies of versions (migrate.h).
 *
 * Each may be run again: it looks at what is there and does what is missing.  Interrupted at any statement, the next run
 * of the version goes on there, or finds the work done.  Names are quoted where they must be and qualified when `schema` is
 * given ("": the schema that the migrator works on; another schema's table of the same name is never looked at).  Types,
 * expressions and predicates are SQL and are taken as they are.
 *
 * Steps that read a whole table (VALIDATE) are statements of their own, so that writers need not wait for them; that
 * helps in versions with TEARS_MIGRATION_NO_TRANSACTION, where each step is a transaction.  In a version that is one
 * transaction the locks are kept to its end.
 *
 * SQLite has columns, indexes, triggers and backfills; for the others it gives TEARS_UNSUPPORTED.
 *
 * All of them return TEARS_OK, TEARS_INVALID (an argument; refused by the database), TEARS_CONFLICT (something else of that
 * name is there), TEARS_NOT_FOUND (the table), TEARS_UNSUPPORTED, TEARS_MISUSE, TEARS_NO_MEMORY, and what
 * tears_migration_execute returns; the text is in tears_migration_error.
 *
 * Source: spec data.md sections 12 and 22.3.
 */
#ifndef TEARS_MIGRATE_HELPERS_H
#define TEARS_MIGRATE_HELPERS_H

#include "migrate.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A table, and a column or another thing of it where one is meant. */
struct tears_table_part {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_str name; /**< of the column, constraint, trigger */
};

#define TEARS_TABLE_PART_INIT TEARS_SIZED(struct tears_table_part)

/** tears_error.detail of refused policies. */
enum {
    TEARS_POLICY_COMMAND = 101, /**< the command is none of ALL, SELECT, INSERT, UPDATE, DELETE */
    TEARS_POLICY_CHECK = 102    /**< a check for SELECT or DELETE, which write nothing */
};

/* ---- rows ---------------------------------------------------------------------------------------- */

/**
 * A large UPDATE in batches along the key.  Each batch is a transaction together with the place where it ended: after a crash
 * no row is changed twice.  Progress is told after each batch (migrate.h, TEARS_MIGRATE_STEP).
 *
 * In a version that is one transaction the batches are parts of it.
 */
struct tears_backfill {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_str set;       /**< SQL behind SET: "total = price * amount, seen = now()" */
    struct tears_str predicate; /**< SQL; rows that need it.  "": all */
    const struct tears_str
        *key; /**< columns without NULLs to walk along, with an index; NULL: the primary key */
    size_t key_count;
    uint64_t batch_rows; /**< rows looked at in a batch; 0: 5,000 */
    uint64_t pause_ms;   /**< between batches, for others */
};

#define TEARS_BACKFILL_INIT TEARS_SIZED(struct tears_backfill)

/** @param rows_out  rows changed, those of an interrupted attempt included; may be NULL.
 * @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_backfill(tears_migration *migration,
                                                              const struct tears_backfill *backfill,
                                                              uint64_t *rows_out);

/* ---- columns ------------------------------------------------------------------------------------- */

/** A new column, and values for the rows that are there. */
struct tears_add_column {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_str column;
    struct tears_str type;          /**< SQL */
    struct tears_str default_value; /**< SQL; "": none */
    uint64_t not_null;
    struct tears_str
        backfill; /**< SQL of the value for rows that are there; "": they are left as they are */
    struct tears_str predicate; /**< of the backfill; "": all rows */
    /** 1: the backfill does not ask for `column = default`, which it does when there is a default. */
    uint64_t no_guard;
    uint64_t
        batch_rows; /**< 0: the backfill is one UPDATE; else tears_migration_backfill does it */
};

#define TEARS_ADD_COLUMN_INIT TEARS_SIZED(struct tears_add_column)

/** TEARS_CONFLICT when a column of that name and another type is there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_add_column(tears_migration *migration,
                                                                const struct tears_add_column *add);

/** A column that is part of what every query asks for: NOT NULL, backfilled, perhaps of a few values only. */
struct tears_add_partition_column {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_str column;
    struct tears_str type;
    struct tears_str default_value; /**< SQL; must be given */
    struct tears_str backfill;      /**< SQL; must be given */
    struct tears_str predicate;
    const struct tears_str *values; /**< texts allowed, by a CHECK `TABLE_COLUMN_ck`; NULL: any */
    size_t value_count;
    uint64_t batch_rows;
};

#define TEARS_ADD_PARTITION_COLUMN_INIT TEARS_SIZED(struct tears_add_partition_column)

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_add_partition_column(
    tears_migration *migration, const struct tears_add_partition_column *add);

/** Does nothing when the column, or the table, is not there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_drop_column(tears_migration *migration, const struct tears_table_part *column);

/** TEARS_CONFLICT when both names are there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_rename_column(
    tears_migration *migration, const struct tears_table_part *column, struct tears_str new_name);

/**
 * NOT NULL without reading the table under an exclusive lock: a CHECK that is not valid yet, its validation, the column's
 * NOT NULL, the CHECK's end.  TEARS_INVALID with SQLSTATE 23514 when there are NULLs.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_set_not_null(tears_migration *migration, const struct tears_table_part *column);

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_drop_not_null(tears_migration *migration, const struct tears_table_part *column);

/** @param expression  SQL; "": no default any more.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_set_default(
    tears_migration *migration, const struct tears_table_part *column, struct tears_str expression);

/** Does nothing when the column has the type.  The table is rewritten under an exclusive lock unless the database knows
 * that it need not be.
 * @param expression  SQL of the new value; "": a cast.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_change_type(tears_migration *migration, const struct tears_table_part *column,
                            struct tears_str type, struct tears_str expression);

/* ---- tables -------------------------------------------------------------------------------------- */

/** Does nothing when it is not there.  `name` is not used.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_drop_table(tears_migration *migration, const struct tears_table_part *table);

/** TEARS_CONFLICT when both names are there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_rename_table(
    tears_migration *migration, const struct tears_table_part *table, struct tears_str new_name);

/* ---- constraints --------------------------------------------------------------------------------- */

/**
 * A CHECK, added without reading the table and validated by a statement of its own; an interrupted one is validated by the
 * next run.  One of that name that is there stays as it is (see tears_migration_replace_check).
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_add_check(tears_migration *migration, const struct tears_table_part *constraint,
                          struct tears_str expression);

/**
 * A CHECK with this expression, whatever is there.  The database writes expressions in its own way; it is asked
 * what it makes of this one, and the constraint stays untouched (the same oid) when it says the same.
 * @thread migrator  @since 0.1
 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_replace_check(tears_migration *migration, const struct tears_table_part *constraint,
                              struct tears_str expression);

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_drop_constraint(
    tears_migration *migration, const struct tears_table_part *constraint);

/** A foreign key that is added without reading the table, and validated by a statement of its own. */
struct tears_add_foreign_key {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_foreign_key_def key;   /**< with a name */
    struct tears_str references_schema; /**< "": `schema` */
};

#define TEARS_ADD_FOREIGN_KEY_INIT TEARS_SIZED(struct tears_add_foreign_key)

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_add_foreign_key(
    tears_migration *migration, const struct tears_add_foreign_key *add);

/** Bits of flags. */
enum {
    TEARS_INDEX_CONCURRENTLY =
        1, /**< writers go on; needs TEARS_MIGRATION_NO_TRANSACTION; not on SQLite */
    TEARS_INDEX_EXPRESSIONS = 2 /**< the columns are SQL: "lower(name)", "created DESC" */
};

struct tears_add_index {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_index_def index;
    uint64_t flags; /**< TEARS_INDEX_* */
};

#define TEARS_ADD_INDEX_INIT TEARS_SIZED(struct tears_add_index)

/** TEARS_CONFLICT when a valid index of that name on other columns is there.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_add_index(tears_migration *migration,
                                                               const struct tears_add_index *add);

/** `name` of the index; the table is not used.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_drop_index(
    tears_migration *migration, const struct tears_table_part *index, uint64_t flags);

/** A UNIQUE constraint over an index that is made first, concurrently with that flag.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_add_unique(tears_migration *migration,
                                                                const struct tears_add_index *add);

/** A foreign key of another table that points at the key which is replaced. */
struct tears_inbound_key {
    struct tears_str schema; /**< "": of the table whose key it is */
    struct tears_str table;
    struct tears_str name;
    const struct tears_str *columns; /**< one for each of `preserve` */
    size_t column_count;
    struct tears_str on_delete; /**< CASCADE, SET NULL ...; "": NO ACTION */
};

/** Another primary key for a table, while foreign keys go on pointing at the columns that were it. */
struct tears_replace_primary_key {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    const struct tears_str *columns; /**< of the new key, in order */
    size_t column_count;
    struct tears_str name;            /**< "": TABLE_pkey */
    const struct tears_str *preserve; /**< columns that stay unique; NULL: "id" */
    size_t preserve_count;
    const struct tears_inbound_key *inbound;
    size_t inbound_count;
};

#define TEARS_REPLACE_PRIMARY_KEY_INIT TEARS_SIZED(struct tears_replace_primary_key)

/** Each end-state is looked for by itself (the key's columns, the unique constraint TABLE_COLUMN_unique, each foreign key),
 * so a run that died anywhere is completed by the next.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_replace_primary_key(
    tears_migration *migration, const struct tears_replace_primary_key *replace);

/* ---- row-level security -------------------------------------------------------------------------- */

struct tears_policy {
    size_t size;
    struct tears_str schema;
    struct tears_str table;
    struct tears_str name;
    struct tears_str using_expression; /**< SQL */
    struct tears_str check;            /**< SQL; "": none */
    struct tears_str command; /**< ALL, SELECT, INSERT, UPDATE, DELETE in any case; "": ALL */
    struct tears_str to_role; /**< "": everybody */
    uint64_t restrictive;     /**< 1: AS RESTRICTIVE */
};

#define TEARS_POLICY_INIT TEARS_SIZED(struct tears_policy)

/** One of that name that is there stays as it is.  TEARS_INVALID with a detail TEARS_POLICY_*.  @thread migrator
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_create_policy(tears_migration *migration, const struct tears_policy *policy);

/** @param force  the table's owner is held to them, too; without it nothing protects from the owner.  @thread migrator
 * @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_enable_row_security(
    tears_migration *migration, const struct tears_table_part *table, bool force);

/* ---- types, triggers, extensions ----------------------------------------------------------------- */

/** A type with these labels; those that are missing are added at the end.  @param schema  "": the migrator's.
 * @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_create_enum(tears_migration *migration,
                                                                 struct tears_str schema,
                                                                 struct tears_str name,
                                                                 const struct tears_str *labels,
                                                                 size_t label_count);

/** A trigger: `name` of `table`.
 * @param when    "BEFORE UPDATE OF total".
 * @param action  what follows the table's name: "FOR EACH ROW EXECUTE FUNCTION f()"; SQLite: "BEGIN ...; END".
 * One of that name is replaced on PostgreSQL, and stays as it is on SQLite.  @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_create_trigger(tears_migration *migration, const struct tears_table_part *trigger,
                               struct tears_str when, struct tears_str action);

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status
tears_migration_drop_trigger(tears_migration *migration, const struct tears_table_part *trigger);

/** @thread migrator  @since 0.1 */
TEARS_API TEARS_CHECKED tears_status tears_migration_create_extension(tears_migration *migration,
                                                                      struct tears_str name);

#ifdef __cplusplus
}
#endif
#endif
