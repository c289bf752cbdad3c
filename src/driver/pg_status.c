/*
 * pg_status.c -- the one table that says what an SQLSTATE means to a caller.
 *
 * Owns:     nothing.
 * Must not know: libpq, connections.
 * Threads:  any.
 * Fails:    only t3_pg_redact, with TEARS_NO_MEMORY.
 * Begin at: status_table.
 *
 * Why these choices: a status names the reaction.  UNAVAILABLE says "later, or from a cache";
 * CONFLICT "read again and retry"; INVALID "the statement or the data will never be accepted";
 * DENIED "ask an administrator"; LIMIT "something is full".  A missing database is INVALID: the URL
 * is wrong, and waiting does not help.
 */
#include "driver/pg_status.h"

#include "base/str.h"

/* The first entry whose prefix matches counts, so that exceptions stand before their class. */
static const struct {
    char prefix[6];
    tears_status status;
} status_table[] = {
    {"08P01", TEARS_INTERNAL}, /* protocol violation: a bug of one side */
    {"08", TEARS_UNAVAILABLE}, /* connection exceptions */
    {"0A", TEARS_UNSUPPORTED}, /* feature not supported */
    {"21", TEARS_INVALID},     /* cardinality violation */
    {"22", TEARS_INVALID},     /* data exceptions: range, encoding, text of a type */
    {"23505", TEARS_CONFLICT}, /* unique violation */
    {"23P01", TEARS_CONFLICT}, /* exclusion violation */
    {"23", TEARS_INVALID},     /* not null, foreign key, check, restrict */
    {"25006",
     TEARS_DENIED},        /* read-only transaction: a standby, or default_transaction_read_only */
    {"25", TEARS_INVALID}, /* invalid transaction state, such as "aborted by an earlier error" */
    {"26", TEARS_UNAVAILABLE}, /* a prepared statement vanished: retried here, so a pooler is in the
                                  way */
    {"28", TEARS_DENIED},      /* wrong password, no such role, pg_hba.conf */
    {"2B", TEARS_INVALID},     /* dependent privileges */
    {"2D", TEARS_INVALID},     /* invalid transaction termination */
    {"3D", TEARS_INVALID},     /* the database does not exist */
    {"3F", TEARS_INVALID},     /* the database schema does not exist */
    {"40", TEARS_CONFLICT},    /* serialization failure, deadlock, integrity at commit */
    {"42501", TEARS_DENIED},   /* insufficient privilege */
    {"42", TEARS_INVALID},     /* syntax, unknown table or column, wrong type */
    {"44", TEARS_INVALID},     /* WITH CHECK OPTION */
    {"53300", TEARS_UNAVAILABLE}, /* too many connections */
    {"53", TEARS_LIMIT},          /* disk full, out of memory at the server */
    {"54", TEARS_LIMIT},          /* statement too complex, too many columns */
    {"55P03", TEARS_CONFLICT},    /* lock not available */
    {"55", TEARS_INVALID},        /* object not in the required state */
    {"57014", TEARS_TIMEOUT},     /* cancelled, by us or by statement_timeout */
    {"57", TEARS_UNAVAILABLE},    /* shutting down, starting up, terminated */
    {"58", TEARS_UNAVAILABLE},    /* the server's own disk or files */
    {"P0", TEARS_INVALID},        /* RAISE in a function or trigger: the application refused */
    {"XX", TEARS_CORRUPT},        /* the server found its own data damaged, or has a bug */
    {"", TEARS_UNAVAILABLE},
};

tears_status t3_pg_status_of(const char *sqlstate)
{
    const struct tears_str state = tears_str_c(sqlstate);
    if (state.len == 0)
        return TEARS_UNAVAILABLE;
    for (size_t i = 0; i + 1 < T3_COUNT(status_table); i++)
        if (t3_str_starts(state, status_table[i].prefix))
            return status_table[i].status;
    return TEARS_INVALID; /* a class we do not know: the server answered, so it is no outage */
}

/* Detail lines that quote the row are worth their length only where the primary line names no
 * value. */
static bool detail_is_wanted(const char *sqlstate)
{
    const struct tears_str state = tears_str_c(sqlstate);
    return t3_str_starts(state, "23") || t3_str_starts(state, "40") || t3_str_starts(state, "55");
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

tears_status t3_pg_fail_report(struct tears_error *error_out, const struct t3_pg_report *report)
{
    const char *sqlstate = or_empty(report->sqlstate);
    const tears_status status = t3_pg_status_of(sqlstate);
    const char *detail = detail_is_wanted(sqlstate) ? or_empty(report->detail) : "";
    const char *what = or_empty(report->constraint);
    const char *word = "constraint";
    if (what[0] == '\0') {
        what = or_empty(report->column);
        word = "column";
    }
    const char *table = or_empty(report->table);
    const char *primary =
        or_empty(report->primary)[0] != '\0' ? report->primary : "the server gave no message";
    if (table[0] == '\0')
        return t3_fail_detail(error_out, status, T3_PG_ORIGIN, report->position, sqlstate, "%s%s%s",
                              primary, detail[0] != '\0' ? ": " : "", detail);
    return t3_fail_detail(error_out, status, T3_PG_ORIGIN, report->position, sqlstate,
                          "%s%s%s (table \"%s\"%s%s%s%s%s)", primary, detail[0] != '\0' ? ": " : "",
                          detail, table, what[0] != '\0' ? ", " : "", what[0] != '\0' ? word : "",
                          what[0] != '\0' ? " \"" : "", what, what[0] != '\0' ? "\"" : "");
}

static bool is_state_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

/* Whether "XXXXX: " stands at `at`. */
static bool is_state(const char *at)
{
    for (size_t i = 0; i < 5; i++)
        if (!is_state_char(at[i]))
            return false;
    return at[5] == ':' && at[6] == ' ';
}

bool t3_pg_find_sqlstate(const char *message, char *sqlstate_out, struct tears_str *text_out)
{
    const char *found = NULL;
    for (const char *at = message; (at = strstr(at, ":  ")) != NULL; at++)
        if (is_state(at + 3))
            found = at + 3;
    if (found == NULL)
        return false;
    memcpy(sqlstate_out, found, 5);
    sqlstate_out[5] = '\0';
    *text_out = tears_str_n(found + 7, strcspn(found + 7, "\n"));
    return true;
}

static tears_status put_hidden(struct t3_buf *out)
{
    return t3_buf_put(out, TEARS_STR("***"));
}

tears_status t3_pg_redact(struct t3_buf *out, struct tears_str message, struct tears_str secret,
                          bool quotes)
{
    bool quoted = false;
    for (size_t i = 0; i < message.len && message.ptr[i] != '\n';) {
        const struct tears_str rest = t3_str_from(message, i);
        const char c = message.ptr[i];
        if (secret.len > 0 && rest.len >= secret.len &&
            memcmp(rest.ptr, secret.ptr, secret.len) == 0) {
            if (!quoted)
                T3_TRY(put_hidden(out));
            i += secret.len;
            continue;
        }
        if (quotes && c == '"') {
            quoted = !quoted;
            T3_TRY(quoted ? t3_buf_put(out, TEARS_STR("\"***")) : t3_buf_put_char(out, '"'));
        } else if (!quoted) {
            T3_TRY(t3_buf_put_char(out, c));
        }
        i++;
    }
    return TEARS_OK;
}
