/*
 * flush_class.c -- what a failure of L3 says about the rows that were being written.
 *
 * Owns:     the tables below.
 * Must not know: rows, tables, what is done about it.
 * Threads:  any.
 * Fails:    never.
 * Begin at: t3_flush_classify().
 *
 * When in doubt a failure is not the row's own: a row that waits for nothing costs a message every half minute, one that is
 * taken for bad needs a person.  So only what PostgreSQL and SQLite define as a fault of the data is PERMANENT.
 */
#include "deferred/flush_class.h"

#include "base/str.h"

/* The first entry whose prefix matches counts. */
static const struct {
    char prefix[6];
    enum t3_flush_class class;
} states[] = {
    {"23503", T3_FLUSH_FK_MISSING}, {"23", T3_FLUSH_PERMANENT}, /* not null, check, unique */
    {"22", T3_FLUSH_PERMANENT},    /* data: range, encoding, text of a type */
    {"21", T3_FLUSH_PERMANENT},    /* cardinality */
    {"40002", T3_FLUSH_PERMANENT}, /* a constraint, noticed at commit */
    {"44", T3_FLUSH_PERMANENT},    /* WITH CHECK OPTION */
    {"54", T3_FLUSH_PERMANENT},    /* too large for an index or a page */
    {"P0", T3_FLUSH_PERMANENT},    /* RAISE in a trigger: the application refuses the row */
    {"2F", T3_FLUSH_PERMANENT},    /* the same in an SQL function */
    {"38", T3_FLUSH_PERMANENT},    /* in a function of another language */
    {"39", T3_FLUSH_PERMANENT},     {"0A", T3_FLUSH_TABLE_MISSING}, /* a view, a foreign table */
    {"3F", T3_FLUSH_TABLE_MISSING},                                 /* no such database schema */
    {"42", T3_FLUSH_TABLE_MISSING}, /* no such table or column, wrong type, no privilege */
    {"55P03", T3_FLUSH_TRANSIENT},  /* lock not available */
    {"55006", T3_FLUSH_TRANSIENT},  /* in use */
    {"55", T3_FLUSH_TABLE_MISSING}, /* not in the required state */
    {"XX", T3_FLUSH_TABLE_MISSING}, /* the server found its own data damaged */
    {"", T3_FLUSH_TRANSIENT} /* 08 25 26 28 3D 40 53 57 58: connection, deadlock, full, shutdown */
};

static enum t3_flush_class of_state(struct tears_str sqlstate)
{
    size_t i = 0;
    while (!t3_str_starts(sqlstate, states[i].prefix))
        i++; /* the last one always matches */
    return states[i].class;
}

/* What SQLite, which has no SQLSTATE, and PostgreSQL behind other drivers say. */
static const struct {
    const char *text;
    enum t3_flush_class class;
} texts[] = {
    {"violates foreign key constraint", T3_FLUSH_FK_MISSING},
    {"FOREIGN KEY constraint failed", T3_FLUSH_FK_MISSING},
    {"no such table", T3_FLUSH_TABLE_MISSING},
    {"no such column", T3_FLUSH_TABLE_MISSING},
    {"has no column named", T3_FLUSH_TABLE_MISSING},
    {"constraint failed", T3_FLUSH_PERMANENT},
    {"too big", T3_FLUSH_PERMANENT},
};

static enum t3_flush_class of_status(tears_status status)
{
    switch (status) {
    case TEARS_INVALID:
        return T3_FLUSH_PERMANENT;
    case TEARS_CORRUPT:
    case TEARS_UNSUPPORTED:
    case TEARS_INTERNAL:
    case TEARS_MISUSE:
    case TEARS_NOT_FOUND:
        return T3_FLUSH_TABLE_MISSING;
    case TEARS_OK:
    case TEARS_DONE:
    case TEARS_NO_MEMORY:
    case TEARS_CONFLICT:
    case TEARS_TIMEOUT:
    case TEARS_UNAVAILABLE:
    case TEARS_LIMIT:
    case TEARS_DENIED:
    case TEARS_STATUS_FORCE_INT:
        break;
    }
    return T3_FLUSH_TRANSIENT;
}

enum t3_flush_class t3_flush_classify(tears_status status, const char *sqlstate,
                                      const char *message)
{
    if (sqlstate[0] != '\0')
        return of_state(tears_str_c(sqlstate));
    if (status == TEARS_UNAVAILABLE || status == TEARS_TIMEOUT || status == TEARS_NO_MEMORY)
        return T3_FLUSH_TRANSIENT;
    for (size_t i = 0; i < T3_COUNT(texts); i++)
        if (strstr(message, texts[i].text) != NULL)
            return texts[i].class;
    return of_status(status);
}

bool t3_flush_is_contention(tears_status status, const char *sqlstate)
{
    const struct tears_str state = tears_str_c(sqlstate);
    if (state.len == 0)
        return status == TEARS_CONFLICT;
    return t3_str_starts(state, "40") || t3_str_is(state, "55P03");
}

bool t3_flush_is_clash(tears_status status, const char *sqlstate)
{
    const struct tears_str state = tears_str_c(sqlstate);
    return t3_str_is(state, "23505") || t3_str_is(state, "23P01") ||
           (state.len == 0 && status == TEARS_CONFLICT);
}
