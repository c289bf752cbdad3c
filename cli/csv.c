/*
 * csv.c -- splits and writes comma-separated values.
 *
 * Owns:     the form: fields separated by commas, quoted with ", a quote inside doubled.
 * Must not know: files, tables.
 * Threads:  any.
 * Fails:    by naming the defect; a record is never half understood.
 * Begin at: cli_csv_split().
 */
#include "csv.h"

#include <stdlib.h>

/* The place behind the quote that closes the field opened before `at`; past the end when there is
 * none. */
static size_t closing_quote(struct tears_str text, size_t at)
{
    for (; at < text.len; at++) {
        if (text.ptr[at] != '"')
            continue;
        if (at + 1 >= text.len || text.ptr[at + 1] != '"')
            return at + 1;
        at++; /* doubled: a quote inside the field */
    }
    return text.len + 1;
}

enum cli_csv_state cli_csv_state(struct tears_str text)
{
    for (size_t at = 0; at < text.len; at++) { /* at a field's start, then behind its comma */
        const bool quoted = text.ptr[at] == '"';
        if (quoted)
            at = closing_quote(text, at + 1);
        if (at > text.len)
            return CLI_CSV_OPEN;
        if (quoted && at < text.len && text.ptr[at] != ',')
            return CLI_CSV_BAD;
        for (; at < text.len && text.ptr[at] != ','; at++) {
            if (text.ptr[at] == '"')
                return CLI_CSV_BAD;
        }
    }
    return CLI_CSV_WHOLE;
}

static struct cli_csv_cell *add_cell(struct cli_csv_record *record)
{
    if (record->count == record->capacity) {
        record->capacity = record->capacity > 0 ? record->capacity * 2 : 16;
        record->cells = cli_resize(record->cells, record->capacity, sizeof *record->cells);
    }
    return &record->cells[record->count++];
}

/* Reads the quoted field at text[*at], an opening quote; *at is then behind the closing one. */
static const char *quoted_cell(char *text, size_t len, size_t *at, struct cli_csv_cell *cell)
{
    size_t from = *at + 1;
    size_t to = from;

    cell->text.ptr = text + from;
    cell->quoted = true;
    for (;; from++) {
        if (from >= len)
            return "a quote is never closed";
        if (text[from] == '"') {
            if (from + 1 >= len || text[from + 1] != '"')
                break;
            from++;
        }
        text[to++] = text[from];
    }
    cell->text.len = (size_t)(text + to - cell->text.ptr);
    *at = from + 1;
    return *at < len && text[*at] != ',' ? "text follows a closing quote" : NULL;
}

static const char *plain_cell(const char *text, size_t len, size_t *at, struct cli_csv_cell *cell)
{
    const size_t start = *at;

    while (*at < len && text[*at] != ',') {
        if (text[*at] == '"')
            return "a quote stands inside a field that is not quoted";
        (*at)++;
    }
    *cell = (struct cli_csv_cell){.text = tears_str_n(text + start, *at - start)};
    return NULL;
}

const char *cli_csv_split(char *text, size_t len, struct cli_csv_record *record)
{
    size_t at = 0;

    record->count = 0;
    for (;;) {
        struct cli_csv_cell *cell = add_cell(record);
        const char *defect = at < len && text[at] == '"' ? quoted_cell(text, len, &at, cell)
                                                         : plain_cell(text, len, &at, cell);
        if (defect != NULL)
            return defect;
        if (at >= len)
            return NULL;
        at++; /* the comma; a field follows, if only an empty one */
    }
}

void cli_csv_done(struct cli_csv_record *record)
{
    free(record->cells);
    *record = (struct cli_csv_record){0};
}

void cli_csv_put(struct cli_text *out, struct tears_str text)
{
    bool plain = text.len > 0 && text.ptr[0] != ' ' && text.ptr[text.len - 1] != ' ';

    for (size_t i = 0; plain && i < text.len; i++)
        plain = strchr("\",\r\n", text.ptr[i]) == NULL;
    if (plain) {
        cli_text_put(out, text);
        return;
    }
    cli_text_put_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        cli_text_put_c(out, text.ptr[i] == '"' ? "\"" : "");
        cli_text_put_char(out, text.ptr[i]);
    }
    cli_text_put_char(out, '"');
}
