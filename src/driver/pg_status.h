/*
 * pg_status.h -- what PostgreSQL says, as statuses and messages of the library.
 */
#ifndef T3_DRIVER_PG_STATUS_H
#define T3_DRIVER_PG_STATUS_H

#include "base/buf.h"
#include "base/fail.h"

#define T3_PG_ORIGIN "l3.pg"

/* The status for an SQLSTATE of five characters; "" (libpq's own failures) is TEARS_UNAVAILABLE. */
tears_status t3_pg_status_of(const char *sqlstate);

/* What an error response said; every member may be NULL. */
struct t3_pg_report {
    const char *sqlstate;
    const char *primary;
    const char *detail;
    const char *table;
    const char *column;
    const char *constraint;
    int32_t position; /* of the error in the statement, counted from 1; 0: not known */
};

/* Fills the error from a report and returns its status; the outcome of a call names the
 * `statement`'s origin. */
tears_status t3_pg_fail_report(struct tears_error *error_out, const struct t3_pg_report *report);

/*
 * Finds "XXXXX: text" in a message of a connection attempt made with verbose errors, the last one
 * if there are several.  False when there is none.  `sqlstate_out` has room for 6 bytes; `text_out`
 * points into the message.
 */
bool t3_pg_find_sqlstate(const char *message, char *sqlstate_out, struct tears_str *text_out);

/*
 * Appends `message` up to its first line's end with every occurrence of `secret` written as ***.
 * With `quotes` everything between double quotes is hidden as well: for messages about a connection
 * string that could not be parsed, where nobody knows which part of it is the password.
 */
tears_status t3_pg_redact(struct t3_buf *out, struct tears_str message, struct tears_str secret,
                          bool quotes);

#endif
