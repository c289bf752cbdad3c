/*
 * drift_repair.h -- the statements that turn the live schema into the declared one, in the order in which they must run.
 */
#ifndef T3_DATA_DRIFT_REPAIR_H
#define T3_DATA_DRIFT_REPAIR_H

#include "data/drift_catalogue.h"

/* When a statement runs: what is in the way goes first, what is leaned on comes before what leans on it. */
enum t3_repair_phase {
    T3_REPAIR_BEFORE, /* outside the transaction */
    T3_REPAIR_ENUM,
    T3_REPAIR_SEQUENCE,
    T3_REPAIR_FUNCTION,
    T3_REPAIR_DROP_TRIGGER,
    T3_REPAIR_DROP_POLICY,
    T3_REPAIR_DROP_FOREIGN_KEY,
    T3_REPAIR_DROP_CHECK,
    T3_REPAIR_DROP_INDEX,
    T3_REPAIR_DROP_KEY,
    T3_REPAIR_DROP_TABLE,
    T3_REPAIR_DROP_COLUMN,
    T3_REPAIR_RENAME,
    T3_REPAIR_REPLACE_ENUM,
    T3_REPAIR_TABLE,
    T3_REPAIR_COLUMN,
    T3_REPAIR_GENERATED, /* columns that are computed from others */
    T3_REPAIR_KEY,
    T3_REPAIR_CHECK,
    T3_REPAIR_INDEX,
    T3_REPAIR_FOREIGN_KEY,
    T3_REPAIR_POLICY,
    T3_REPAIR_TRIGGER,
    T3_REPAIR_DROP_REST,
    T3_REPAIR_AFTER /* outside the transaction */
};

struct t3_repair_step {
    struct tears_drift_step step;
    uint8_t phase;
    size_t order; /* in its phase */
};

/* The caller sets the first three members; the rest is zero before. */
struct t3_repair {
    struct t3_arena *arena;
    const struct t3_comparison *comparison;
    bool destructive; /* statements that destroy are run, too */
    struct t3_repair_step *steps;
    size_t count;
    size_t capacity;
    tears_status status; /* the first failure stays; nothing is added after it */
};

/* Plans for the database that the catalogues are of.  TEARS_NO_MEMORY, TEARS_LIMIT. */
tears_status t3_repair_plan(struct t3_repair *repair, enum t3_dialect dialect);

/* The two databases' ways (drift_repair_pg.c, drift_repair_lite.c); failures are in repair->status. */
void t3_repair_plan_pg(struct t3_repair *repair);
void t3_repair_plan_lite(struct t3_repair *repair);

/* ---- writing steps ---------------------------------------------------------------------------- */

/* When and why; `destroys` NULL: the statement takes nothing away. */
struct t3_repair_kind {
    enum t3_repair_phase phase;
    const char *destroys;
};

/*
 * Adds a statement.  In the pattern each `@` stands for the next word as a quoted name, each `#` for the next word as it is.
 */
void t3_repair_put(struct t3_repair *repair, struct t3_repair_kind kind, const char *pattern,
                   const struct tears_str *words);

#define T3_REPAIR(repair, phase, destroys, pattern, ...)                           \
    t3_repair_put((repair), (struct t3_repair_kind){(phase), (destroys)}, pattern, \
                  (const struct tears_str[]){__VA_ARGS__})

/* A difference that no statement can repair, and why. */
void t3_repair_put_none(struct t3_repair *repair, const struct t3_item *item, const char *reason);

/* Text made of a pattern, in the arena; "" after a failure. */
struct tears_str t3_repair_text(struct t3_repair *repair, const char *pattern,
                                const struct tears_str *words);

#define T3_TEXT(repair, pattern, ...) \
    t3_repair_text((repair), (pattern), (const struct tears_str[]){__VA_ARGS__})

/* The pair of a table by its name; NULL: there is none. */
const struct t3_pair *t3_repair_table(const struct t3_repair *repair, struct tears_str table);

/* ---- columns of PostgreSQL (drift_repair_column.c) ---------------------------------------------- */

/* Type, default, generation and NOT NULL, as they stand behind the name in CREATE TABLE and ADD COLUMN. */
struct tears_str t3_repair_column(struct t3_repair *repair, const struct t3_item *column);

/* ALTER TABLE for whatever of a column differs. */
void t3_repair_alter_column(struct t3_repair *repair, const struct t3_pair *pair);

/* Whether its own difference has the column dropped and added again, and why that destroys; *destroys_out NULL: it does not. */
bool t3_repair_column_anew(const struct t3_pair *pair, const char **destroys_out);

/* Why the change of type that the pair asks for may lose something; NULL: it cannot. */
const char *t3_repair_retype_destroys(const struct t3_pair *pair);

/* Whether the generation is an expression, not an identity. */
bool t3_repair_is_computed(struct tears_str generation);

/* Labels of an enum, and with them what type each column of it becomes. */
void t3_repair_enum(struct t3_repair *repair, const struct t3_pair *pair);

/* ---- what leans on what (drift_repair_lean.c) --------------------------------------------------- */

/* Whether the thing has to be dropped and made again, for itself (columns) or for what it leans on; and why that destroys. */
bool t3_repair_leans(struct t3_repair *repair, const struct t3_pair *leaning,
                     const char **destroys_out);

/* Whether anything at all could be leaned on. */
bool t3_repair_moves_something(const struct t3_repair *repair);

#endif
