/*
 * csv.h -- records of comma-separated values (RFC 4180).
 */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "text.h"

/* One field of a record.  Whether it was quoted tells an empty text from no value. */
struct cli_csv_cell {
    struct tears_str text;
    bool quoted;
};

struct cli_csv_record {
    struct cli_csv_cell *cells;
    size_t count;
    size_t capacity;
};

/* What the lines read so far are. */
enum cli_csv_state {
    CLI_CSV_WHOLE, /* a record; the next line is another one */
    CLI_CSV_OPEN,  /* they end inside quotes: the record goes on in the next line */
    CLI_CSV_BAD    /* no record, whatever follows; cli_csv_split says why */
};

enum cli_csv_state cli_csv_state(struct tears_str text);

/*
 * Splits one record without its newline.  `text` is changed: doubled quotes are joined in place,
 * and the cells point into it.  NULL, or what is wrong with it.
 */
const char *cli_csv_split(char *text, size_t len, struct cli_csv_record *record);
void cli_csv_done(struct cli_csv_record *record);

/* Appends a field.  It is quoted where it has to be, and when it is empty: NULL is nothing at all.
 */
void cli_csv_put(struct cli_text *out, struct tears_str text);

#endif
