/*
 * drift_catalogue.h -- one database schema as a list of comparable items, read from the catalogue.
 *
 * Everything that is compared is text in the database's own words, made by the same queries for what is declared and for
 * what is there; so equal things are equal texts.
 */
#ifndef T3_DATA_DRIFT_CATALOGUE_H
#define T3_DATA_DRIFT_CATALOGUE_H

#include "tier/l3_admin.h"

#include <tears/drift.h>

/* The parts of an item, each compared by itself; part p differing is the difference TEARS_DRIFT_TYPE + p. */
enum t3_part {
    T3_PART_TYPE,
    T3_PART_NULLABILITY,
    T3_PART_DEFAULT,
    T3_PART_GENERATION,
    T3_PART_DEFINITION,
    T3_PART_STATE,
    T3_PART_COUNT
};

struct t3_item {
    uint8_t object;         /* TEARS_DRIFT_OBJECT_* */
    struct tears_str table; /* of a table its own name; "" of what belongs to no table */
    struct tears_str name;  /* "" of SQLite's constraints without one */
    struct tears_str parts[T3_PART_COUNT];
    struct tears_str
        reference; /* foreign key: the table it refers to; partition or child: its parent */
    struct tears_str create; /* SQLite: the statement that made it */
    int64_t position;        /* columns: in the order of the table */
};

struct t3_catalogue {
    enum t3_dialect dialect;
    struct t3_arena *arena;
    struct tears_str schema;
    struct t3_item *items; /* after reading: by table, object, position and name */
    size_t count;
    size_t capacity;
};

/* The default of a column that is filled from a sequence of its own, whatever that is called. */
#define T3_DEFAULT_SERIAL "nextval(sequence of this column)"

/* The state of what PostgreSQL has not checked against the rows, or could not build. */
#define T3_STATE_NOT_VALID "not valid"
#define T3_STATE_INVALID   "invalid"

/* Row-level security of a table. */
#define T3_STATE_ROW_SECURITY        "row security"
#define T3_STATE_ROW_SECURITY_FORCED "row security, forced"

/*
 * Reads the schema that the connection works on, as of one moment.  Texts are in the catalogue's arena, which the caller has
 * set; a transaction that is open stays open, its search_path as it was.  Statuses as of t3_admin_run; TEARS_LIMIT.
 */
tears_status t3_catalogue_read(struct t3_catalogue *catalogue, struct t3_admin *admin,
                               struct tears_error *error_out);

/* The two databases' ways (drift_pg.c, drift_lite.c), in any order of items. */
tears_status t3_catalogue_read_pg(struct t3_catalogue *catalogue, struct t3_admin *admin,
                                  struct tears_error *error_out);
tears_status t3_catalogue_read_lite(struct t3_catalogue *catalogue, struct t3_admin *admin,
                                    struct tears_error *error_out);

/* Adds an item unless it is the library's own; its texts must live as long as the catalogue. */
tears_status t3_catalogue_add(struct t3_catalogue *catalogue, const struct t3_item *item);

/* In the order named above; what t3_catalogue_read does at its end. */
void t3_catalogue_sort(struct t3_catalogue *catalogue);

/* Tables, and what is on them, that libtears made for itself. */
bool t3_catalogue_is_own(const struct t3_item *item);

/* A number that is the same for equal catalogues, names included. */
uint64_t t3_catalogue_fingerprint(const struct t3_catalogue *catalogue);

/* Whether the database may have made the name up itself. */
bool t3_catalogue_is_invented(const struct t3_item *item);

/* Constraints and indexes: what they say makes them, not their names. */
bool t3_object_is_anonymous(uint8_t object);

/* ---- comparing (drift_compare.c) ---- */

/* What belongs together; one of the two is NULL when the other side does not have it. */
struct t3_pair {
    const struct t3_item *declared;
    const struct t3_item *live;
    uint32_t parts; /* bit p: part p differs */
    bool has_other_name;
};

/* The caller sets the first two members; the rest is zero before. */
struct t3_comparison {
    struct t3_arena *arena;
    bool only_declared; /* tables that are not declared are passed over */
    const struct t3_catalogue *declared;
    struct t3_pair *pairs; /* equal ones too, in the order of the catalogues */
    size_t count;
    size_t capacity;
};

/* Both catalogues must outlive the comparison. */
tears_status t3_catalogue_compare(const struct t3_catalogue *declared,
                                  const struct t3_catalogue *live,
                                  struct t3_comparison *comparison);

static inline bool t3_pair_differs(const struct t3_pair *pair)
{
    return pair->declared == NULL || pair->live == NULL || pair->parts != 0 || pair->has_other_name;
}

/* Whichever of the two there is. */
static inline const struct t3_item *t3_pair_item(const struct t3_pair *pair)
{
    return pair->declared != NULL ? pair->declared : pair->live;
}

#endif
