/*
 * coalesce.c -- two writes of one key become one.
 *
 * Owns:     nothing; what is made is in the caller's arena.
 * Knows:    schemas, rows, records.
 * Must not know: the log, other keys, or where the base of a write comes from.
 * Threads:  any.
 * Fails:    TEARS_CONFLICT, TEARS_NOT_FOUND, TEARS_INVALID (ordinary outcomes), TEARS_NO_MEMORY, TEARS_LIMIT.
 * Begin at: the table `rules`.
 *
 * The law: a record that was made of two writes does to L3 what the two would have done one after the other.
 */
#include "deferred/coalesce.h"

/* ---- what becomes of what ----------------------------------------------------------------------- */

/* What the last record of the key says.  In flight, it only matters whether a row will be there. */
enum state { NOTHING, INSERTED, UPSERTED, UPDATED, DELETED, REPLACED, FLYING_ROW, FLYING_DELETION };

enum base {
    NO_BASE,    /* whatever L3 has */
    OWN_BASE,   /* what the write was made from */
    LAST_BASE,  /* what the last record was made from: it has not landed, so L3 still has that */
    LANDED_BASE /* what the record in flight makes, if the write was made from that */
};

enum source {
    CELLS,     /* the row is what the write gives */
    OVER_FROM, /* that over the row it was made from, as far as there is one */
    OVER_LAST, /* that over the last record's row; only what the write changes is written */
    JOIN_LAST, /* the same, and what the last record changes is written with it */
    AS_IT_WAS  /* a deletion: the row that is deleted, as far as it is known */
};

struct rule {
    uint8_t status; /* not TEARS_OK: refused */
    uint8_t kind;
    uint8_t base;
    uint8_t source;
};

#define REFUSED(why)         \
    {                        \
        TEARS_##why, 0, 0, 0 \
    }
#define MAKES(what, from, row)                \
    {                                         \
        TEARS_OK, T3_RECORD_##what, from, row \
    }

/* clang-format off */
static const struct rule rules[][T3_RECORD_DELETE + 1] = {
[NOTHING] = {
    [T3_RECORD_INSERT] = MAKES(INSERT,  NO_BASE,     CELLS),
    [T3_RECORD_UPSERT] = MAKES(UPSERT,  NO_BASE,     OVER_FROM),
    [T3_RECORD_UPDATE] = MAKES(UPDATE,  OWN_BASE,    OVER_FROM),
    [T3_RECORD_DELETE] = MAKES(DELETE,  OWN_BASE,    AS_IT_WAS)},
[INSERTED] = {
    [T3_RECORD_INSERT] = REFUSED(CONFLICT),
    [T3_RECORD_UPSERT] = MAKES(INSERT,  NO_BASE,     JOIN_LAST),
    [T3_RECORD_UPDATE] = MAKES(INSERT,  NO_BASE,     JOIN_LAST),
    [T3_RECORD_DELETE] = MAKES(DELETE,  NO_BASE,     AS_IT_WAS)}, /* of nothing, unless the insert would have failed */
[UPSERTED] = {
    [T3_RECORD_INSERT] = REFUSED(CONFLICT),
    [T3_RECORD_UPSERT] = MAKES(UPSERT,  NO_BASE,     JOIN_LAST),
    [T3_RECORD_UPDATE] = MAKES(UPSERT,  NO_BASE,     JOIN_LAST),
    [T3_RECORD_DELETE] = MAKES(DELETE,  NO_BASE,     AS_IT_WAS)},
[UPDATED] = {
    [T3_RECORD_INSERT] = REFUSED(CONFLICT),
    [T3_RECORD_UPSERT] = MAKES(UPDATE,  LAST_BASE,   JOIN_LAST),
    [T3_RECORD_UPDATE] = MAKES(UPDATE,  LAST_BASE,   JOIN_LAST),
    [T3_RECORD_DELETE] = MAKES(DELETE,  LAST_BASE,   AS_IT_WAS)},
[DELETED] = {
    [T3_RECORD_INSERT] = MAKES(REPLACE, LAST_BASE,   CELLS),
    [T3_RECORD_UPSERT] = MAKES(REPLACE, LAST_BASE,   CELLS),
    [T3_RECORD_UPDATE] = REFUSED(CONFLICT),
    [T3_RECORD_DELETE] = REFUSED(NOT_FOUND)},
[REPLACED] = {
    [T3_RECORD_INSERT] = REFUSED(CONFLICT),
    [T3_RECORD_UPSERT] = MAKES(REPLACE, LAST_BASE,   JOIN_LAST),
    [T3_RECORD_UPDATE] = MAKES(REPLACE, LAST_BASE,   JOIN_LAST),
    [T3_RECORD_DELETE] = MAKES(DELETE,  LAST_BASE,   AS_IT_WAS)},
[FLYING_ROW] = {
    [T3_RECORD_INSERT] = REFUSED(CONFLICT),
    [T3_RECORD_UPSERT] = MAKES(UPSERT,  NO_BASE,     OVER_LAST),
    [T3_RECORD_UPDATE] = MAKES(UPDATE,  LANDED_BASE, OVER_LAST),
    [T3_RECORD_DELETE] = MAKES(DELETE,  LANDED_BASE, AS_IT_WAS)},
[FLYING_DELETION] = {
    [T3_RECORD_INSERT] = MAKES(INSERT,  NO_BASE,     CELLS),
    [T3_RECORD_UPSERT] = MAKES(UPSERT,  NO_BASE,     CELLS),
    [T3_RECORD_UPDATE] = REFUSED(CONFLICT),
    [T3_RECORD_DELETE] = REFUSED(NOT_FOUND)},
};
/* clang-format on */

/*
 * Two policies make an upsert an insert: one that raises an error for a row that is there, always; one that leaves such a row alone, when the
 * row is about to be deleted, so that an update can be joined to it.
 */
static uint8_t kind_of(const struct tears_schema *schema, const struct t3_record *last,
                       const struct t3_defer *defer)
{
    if (defer->kind != T3_RECORD_UPSERT || schema->on_conflict == TEARS_ON_CONFLICT_UPDATE)
        return defer->kind;
    const bool is_absent = last != NULL && last->kind == T3_RECORD_DELETE;
    return schema->on_conflict == TEARS_ON_CONFLICT_RAISE || is_absent ? T3_RECORD_INSERT
                                                                       : T3_RECORD_UPSERT;
}

/* All there is to know while two writes become one. */
struct joining {
    const struct tears_schema *schema;
    const struct t3_record *last;
    const struct t3_defer *defer;
    const struct rule *rule;
    bool follows;
    bool keep_before;
    struct t3_arena *arena;
};

static bool is_versioned(const struct tears_schema *schema)
{
    return schema->version_column != T3_NO_COLUMN;
}

/*
 * An upsert that leaves a row alone which is there, and then an update: no single record says that, as the database
 * decides which of them counts.  So the update follows, as if the upsert were in flight.
 */
static bool cannot_join(const struct tears_schema *schema, const struct t3_record *last,
                        const struct t3_defer *defer)
{
    return last->kind == T3_RECORD_UPSERT && defer->kind == T3_RECORD_UPDATE &&
           schema->on_conflict == TEARS_ON_CONFLICT_IGNORE;
}

static enum state state_of(const struct t3_record *last, bool in_flight)
{
    static const uint8_t states[] = {[T3_RECORD_INSERT] = INSERTED,
                                     [T3_RECORD_UPSERT] = UPSERTED,
                                     [T3_RECORD_UPDATE] = UPDATED,
                                     [T3_RECORD_DELETE] = DELETED,
                                     [T3_RECORD_REPLACE] = REPLACED};
    if (last == NULL)
        return NOTHING;
    if (in_flight)
        return last->kind == T3_RECORD_DELETE ? FLYING_DELETION : FLYING_ROW;
    return (enum state)states[last->kind];
}

/* Whether the write was made from what is the latest now.  A write without any base does not care. */
static bool is_of_the_latest(const struct joining *joining)
{
    const struct t3_defer *defer = joining->defer;
    if (!is_versioned(joining->schema) ||
        (defer->kind != T3_RECORD_UPDATE && defer->kind != T3_RECORD_DELETE))
        return true;
    if (joining->last == NULL)
        return defer->has_base || defer->pending_seq == 0;
    if (defer->pending_seq != 0)
        return defer->pending_seq == joining->last->seq;
    return !defer->has_base;
}

/* ---- the parts of a record ---------------------------------------------------------------------- */

/* Whether the write sets a column that may be set by it. */
static bool may_write(const struct joining *joining, const struct t3_cell *cell)
{
    const struct t3_column *column = &joining->schema->columns[cell->column];
    const uint8_t source = joining->rule->source;
    if (column->version || column->generated)
        return false;
    if (source == CELLS || joining->defer->kind == T3_RECORD_INSERT)
        return true;
    if (joining->defer->kind == T3_RECORD_UPDATE)
        return !column->primary && !column->immutable;
    if (source == OVER_FROM)
        return true; /* an upsert of a row that may be new */
    if (column->primary)
        return true;
    return !column->immutable && joining->schema->on_conflict == TEARS_ON_CONFLICT_UPDATE;
}

/*
 * Whether the column has that value already, and it is certain that L3 has it, too: then it need not be written.  A pending row is certain only where it
 * was written: elsewhere it may lack what the database fills in.
 */
static bool is_unchanged(const struct joining *joining, const struct t3_cell *cell)
{
    const struct t3_defer *defer = joining->defer;
    const struct t3_layout *layout = &joining->schema->layout;
    if (defer->kind != T3_RECORD_UPDATE || !is_versioned(joining->schema))
        return false;
    if (joining->last == NULL)
        return defer->has_base && defer->pending_seq == 0 &&
               t3_row_cell_equal(defer->from, layout, cell->column, &cell->value);
    /* sent apart and without a base, others may write between the two */
    return defer->pending_seq != 0 && t3_record_changes(joining->last, cell->column) &&
           t3_row_cell_equal(joining->last->row, layout, cell->column, &cell->value);
}

static const struct t3_row *row_below(const struct joining *joining)
{
    switch (joining->rule->source) {
    case OVER_LAST:
    case JOIN_LAST:
        return joining->last->row;
    case OVER_FROM:
        return joining->defer->from;
    case AS_IT_WAS:
        return joining->last != NULL ? joining->last->row : joining->defer->from;
    default:
        return NULL;
    }
}

static void mark(uint64_t *changed, uint32_t column)
{
    changed[column / 64] |= UINT64_C(1) << (column % 64);
}

/* Puts the write's cells over the values, and marks what is to be written. */
static void lay_over(const struct joining *joining, struct tears_value *values, uint64_t *changed)
{
    for (uint32_t i = 0; i < joining->defer->cell_count; i++) {
        const struct t3_cell *cell = &joining->defer->cells[i];
        if (!may_write(joining, cell))
            continue;
        if (!is_unchanged(joining, cell))
            mark(changed, cell->column);
        values[cell->column] = cell->value;
    }
}

static tears_status make_row(const struct joining *joining, struct t3_record *record)
{
    const struct tears_schema *schema = joining->schema;
    const struct t3_row *below = row_below(joining);
    struct tears_value *values =
        t3_arena_array(joining->arena, schema->column_count, sizeof *values);
    uint64_t *changed = t3_arena_array(joining->arena, t3_record_words(schema), sizeof *changed);
    if (values == NULL || changed == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; below != NULL && i < schema->column_count; i++)
        values[i] = t3_row_value(below, &schema->layout, i);
    for (uint32_t i = 0; i < schema->key_count; i++)
        values[schema->key[i]] = joining->defer->key->values[i];
    if (joining->rule->source == JOIN_LAST)
        memcpy(changed, joining->last->changed, t3_record_words(schema) * sizeof *changed);
    if (record->kind != T3_RECORD_DELETE) {
        lay_over(joining, values, changed);
        for (uint32_t i = 0; record->kind != T3_RECORD_UPDATE && i < schema->key_count; i++)
            mark(changed, schema->key[i]);
    }
    struct t3_row *row;
    T3_TRY(t3_row_new(joining->arena, &schema->layout, values, &row));
    record->row = row;
    record->changed = changed;
    return TEARS_OK;
}

static void set_base(const struct joining *joining, struct t3_record *record)
{
    const struct t3_defer *defer = joining->defer;
    switch (joining->rule->base) {
    case OWN_BASE:
        record->has_base = defer->has_base && is_versioned(joining->schema);
        record->base = record->has_base ? defer->base : 0;
        break;
    case LAST_BASE:
        record->has_base = joining->last->has_base;
        record->base = joining->last->base;
        break;
    case LANDED_BASE: /* the number is not known before it has landed */
        record->has_base = defer->pending_seq != 0 && is_versioned(joining->schema);
        break;
    default:
        break;
    }
}

/* The row as it was before the oldest of the changes that an UPDATE says. */
static const struct t3_row *before_of(const struct joining *joining)
{
    if (!joining->keep_before)
        return NULL;
    if (joining->rule->source == JOIN_LAST)
        return joining->last->before;
    return row_below(joining);
}

static tears_status join(const struct joining *joining, struct t3_record *record_out)
{
    struct t3_record record = {.kind = joining->rule->kind, .follows = joining->follows};
    T3_TRY(make_row(joining, &record));
    set_base(joining, &record);
    if (record.kind == T3_RECORD_UPDATE)
        record.before = before_of(joining);
    *record_out = record;
    return TEARS_OK;
}

/* ---- joining ------------------------------------------------------------------------------------ */

tears_status t3_coalesce(const struct tears_schema *schema, const struct t3_record *last,
                         bool in_flight, const struct t3_defer *defer, bool keep_before,
                         struct t3_arena *arena, struct t3_record *record_out)
{
    T3_ASSERT(defer->kind >= T3_RECORD_INSERT && defer->kind <= T3_RECORD_DELETE);
    struct joining joining = {.schema = schema,
                              .last = last,
                              .defer = defer,
                              .follows = in_flight,
                              .keep_before = keep_before,
                              .arena = arena};
    if (last != NULL && !in_flight) {
        joining.follows = last->follows;
        if (cannot_join(schema, last, defer)) {
            /* What follows a row in flight is an update in any case: the upsert has left that row alone. */
            in_flight = true;
            joining.follows = true;
        }
    }
    joining.rule = &rules[state_of(last, in_flight)][kind_of(schema, last, defer)];
    if (joining.rule->status != TEARS_OK)
        return (tears_status)joining.rule->status;
    if (!is_of_the_latest(&joining))
        return TEARS_CONFLICT;
    if (last == NULL && defer->kind == T3_RECORD_UPDATE && defer->from == NULL)
        return TEARS_INVALID;
    return join(&joining, record_out);
}

/* ---- what follows, when the first has landed ----------------------------------------------------- */

/* The landed row with what the record changes over it. */
static tears_status lay_over_landed(const struct tears_schema *schema,
                                    const struct t3_record *record, const struct t3_row *landed,
                                    struct t3_arena *arena, const struct t3_row **row_out)
{
    struct tears_value *values = t3_arena_array(arena, schema->column_count, sizeof *values);
    if (values == NULL)
        return TEARS_NO_MEMORY;
    for (uint32_t i = 0; i < schema->column_count; i++) {
        const struct t3_row *source = t3_record_changes(record, i) ? record->row : landed;
        values[i] = t3_row_value(source, &schema->layout, i);
    }
    struct t3_row *row;
    T3_TRY(t3_row_new(arena, &schema->layout, values, &row));
    *row_out = row;
    return TEARS_OK;
}

tears_status t3_coalesce_rebase(const struct tears_schema *schema, const struct t3_record *record,
                                const struct t3_row *landed, int64_t version,
                                struct t3_arena *arena, struct t3_record *record_out)
{
    struct t3_record rebased = *record;
    rebased.follows = false;
    rebased.base = record->has_base ? version : 0;
    const bool has_row_below = record->kind == T3_RECORD_UPDATE ||
                               record->kind == T3_RECORD_UPSERT || record->kind == T3_RECORD_DELETE;
    if (landed != NULL && has_row_below) {
        T3_TRY(lay_over_landed(schema, record, landed, arena, &rebased.row));
        if (record->before != NULL)
            rebased.before = landed;
    }
    *record_out = rebased;
    return TEARS_OK;
}

/* ---- what follows, when the first has not been written ------------------------------------------- */

/* Says once more what a record said, as a write of the program. */
static tears_status say_again(const struct tears_schema *schema, const struct t3_record *record,
                              struct t3_arena *arena, struct t3_defer *defer_out)
{
    struct t3_cell *cells = t3_arena_array(arena, schema->column_count, sizeof *cells);
    struct tears_value *values = t3_arena_array(arena, schema->key_count, sizeof *values);
    struct t3_key *key = t3_arena_alloc(arena, sizeof *key);
    if (cells == NULL || values == NULL || key == NULL)
        return TEARS_NO_MEMORY;
    t3_key_of_row(schema, record->row, values, key);
    memset(defer_out, 0, sizeof *defer_out);
    defer_out->kind = record->kind;
    defer_out->key = key;
    defer_out->cells = cells;
    defer_out->cell_count =
        record->kind == T3_RECORD_DELETE ? 0 : t3_record_cells(schema, record, cells);
    return TEARS_OK;
}

/* A deletion of what `first` leaves; of nothing, when that is a deletion: what was inserted in between, and deleted, never was. */
static tears_status fold_deletion(const struct joining *folding, const struct t3_defer *deletion,
                                  struct t3_record *record_out)
{
    *record_out = *folding->last;
    if (folding->last->kind == T3_RECORD_DELETE)
        return TEARS_OK;
    return t3_coalesce(folding->schema, folding->last, false, deletion, folding->keep_before,
                       folding->arena, record_out);
}

tears_status t3_coalesce_fold(const struct tears_schema *schema, const struct t3_record *first,
                              const struct t3_record *second, bool keep_before,
                              struct t3_arena *arena, struct t3_record *record_out)
{
    const struct joining folding = {
        .schema = schema, .last = first, .keep_before = keep_before, .arena = arena};
    struct t3_record last = *first;
    struct t3_record folded;
    struct t3_defer defer;
    T3_TRY(say_again(schema, second, arena, &defer));
    if (second->kind == T3_RECORD_DELETE || second->kind == T3_RECORD_REPLACE) {
        struct t3_defer deletion = defer;
        deletion.kind = T3_RECORD_DELETE;
        deletion.cell_count = 0;
        T3_TRY(fold_deletion(&folding, &deletion, &last));
        defer.kind = T3_RECORD_INSERT;
    }
    folded = last;
    if (second->kind != T3_RECORD_DELETE)
        T3_TRY(t3_coalesce(schema, &last, false, &defer, keep_before, arena, &folded));
    if (folded.follows)
        return TEARS_CONFLICT;
    folded.seq = second->seq;
    *record_out = folded;
    return TEARS_OK;
}
