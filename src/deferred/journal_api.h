/*
 * journal_api.h -- what the sources share that read a journal from outside: struct tears_journal.
 */
#ifndef T3_DEFERRED_JOURNAL_API_H
#define T3_DEFERRED_JOURNAL_API_H

#include "deferred/journal_impl.h"
#include "deferred/record.h"

/* What a table was when its records were written. */
struct t3_journal_table {
    struct t3_journal_table *next;
    uint64_t layout;
    tears_schema *schema;
};

struct tears_journal {
    char *path;
    char id[37];
    struct t3_lite *lite;
    struct t3_owner owner; /* never locked; for looking */
    struct t3_journal_table *tables;
    struct t3_arena arena; /* what the last call gave */
};

struct t3_deadline t3_journal_api_deadline(void);

/* The table that a layout describes; NULL: the layout is not there, or damaged.  TEARS_OK, TEARS_NO_MEMORY, TEARS_TIMEOUT, TEARS_CORRUPT. */
tears_status t3_journal_api_table(tears_journal *journal, struct t3_lite_conn *conn,
                                  uint64_t layout, const struct tears_schema **schema_out,
                                  struct tears_error *error_out);

/* A record as it stands in a row of the result: id, seq, layout, checksum, bytes are columns 0 to 4.  Its bytes are the journal's arena's. */
struct t3_journal_item {
    uint64_t id, seq, layout;
    uint64_t bytes;
    const struct tears_schema *schema; /* NULL: the record is damaged, or its layout is */
    struct t3_record record;
};
tears_status t3_journal_api_item(tears_journal *journal, struct t3_lite_conn *conn,
                                 struct t3_lite_stmt *stmt, struct t3_journal_item *item_out,
                                 struct tears_error *error_out);

/* What people see of it; texts are the arena's. */
tears_status t3_journal_api_show(tears_journal *journal, const struct t3_journal_item *item,
                                 struct tears_pending *pending_out, struct tears_error *error_out);

/* What a page of a table of the journal is made of. */
struct t3_journal_page {
    const char *
        all; /* SELECT of the columns of t3_journal_api_item, and more: those after ?1, ?2 at most */
    const char *some; /* the same of one table, named ?3 */
    size_t size;      /* of one item */
    /* Makes an item of the row that the statement is at. */
    tears_status (*read)(tears_journal *journal, struct t3_lite_conn *conn,
                         struct t3_lite_stmt *stmt, void *item_out, struct tears_error *error_out);
};

/* Which part of it is wanted. */
struct t3_journal_part {
    struct tears_str table; /* "": all */
    uint64_t after_id;
    size_t max;
};

/* Reads a part of a page into the arena, where nothing else stays.  As tears_journal_pending. */
tears_status t3_journal_api_page(tears_journal *journal, const struct t3_journal_page *page,
                                 const struct t3_journal_part *part, const void **items_out,
                                 size_t *count_out, struct tears_error *error_out);

#endif
