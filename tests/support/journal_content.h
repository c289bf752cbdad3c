/*
 * journal_content.h -- all that a journal holds, read into memory by a test.
 */
#ifndef TESTS_SUPPORT_JOURNAL_CONTENT_H
#define TESTS_SUPPORT_JOURNAL_CONTENT_H

#include "deferred/journal.h"

struct journal_content_record {
    uint64_t id, seq, layout;
    char *bytes;
    size_t len;
};

struct journal_content_flight {
    uint64_t batch;
    struct t3_journal_ref *refs;
    size_t count;
};

struct journal_content {
    struct journal_content_record *records;
    size_t record_count, record_room;
    struct journal_content_flight flights[16];
    size_t flight_count;
    size_t layout_count;
    uint64_t layouts[16];
    uint64_t damaged;
    uint64_t fails_after; /* so many records are taken, then the reader fails; 0: never */
};

/* A reader that appends to the content. */
struct t3_journal_reader journal_content_reader(struct journal_content *content);

/* Recovers the journal into an empty content. */
tears_status journal_content_read(struct t3_journal *journal, struct journal_content *content,
                                  struct tears_error *error_out);

/* NULL: there is no such record. */
const struct journal_content_record *journal_content_find(const struct journal_content *content,
                                                          uint64_t id);

void journal_content_done(struct journal_content *content);

#endif
