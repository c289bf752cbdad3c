/*
 * journal_content.c -- all that a journal holds, read into memory by a test.
 */
#include "support/journal_content.h"

#include <stdlib.h>
#include <string.h>

static tears_status take_layout(void *owner, uint64_t layout, struct tears_str table,
                                struct tears_str bytes)
{
    struct journal_content *content = owner;
    (void)table;
    (void)bytes;
    if (content->layout_count == T3_COUNT(content->layouts))
        return TEARS_LIMIT;
    content->layouts[content->layout_count++] = layout;
    return TEARS_OK;
}

static tears_status take_record(void *owner, const struct t3_journal_found *found)
{
    struct journal_content *content = owner;
    if (content->fails_after > 0 && content->record_count >= content->fails_after)
        return TEARS_NO_MEMORY;
    if ((uintptr_t)found->bytes.ptr % 8 != 0)
        return TEARS_INTERNAL; /* against the contract */
    if (content->record_count == content->record_room) {
        content->record_room = content->record_room * 2 + 16;
        content->records =
            realloc(content->records, content->record_room * sizeof *content->records);
    }
    char *copy = malloc(found->bytes.len + 1);
    if (content->records == NULL || copy == NULL)
        abort();
    memcpy(copy, found->bytes.ptr, found->bytes.len);
    copy[found->bytes.len] = '\0';
    content->records[content->record_count++] =
        (struct journal_content_record){.id = found->id,
                                        .seq = found->seq,
                                        .layout = found->layout,
                                        .bytes = copy,
                                        .len = found->bytes.len};
    return TEARS_OK;
}

static tears_status take_flight(void *owner, uint64_t batch, const struct t3_journal_ref *refs,
                                size_t count)
{
    struct journal_content *content = owner;
    if (content->flight_count == T3_COUNT(content->flights))
        return TEARS_LIMIT;
    struct t3_journal_ref *copy = calloc(count + 1, sizeof *copy);
    if (copy == NULL)
        abort();
    memcpy(copy, refs, count * sizeof *copy);
    content->flights[content->flight_count++] =
        (struct journal_content_flight){.batch = batch, .refs = copy, .count = count};
    return TEARS_OK;
}

struct t3_journal_reader journal_content_reader(struct journal_content *content)
{
    const struct t3_journal_reader reader = {
        .layout = take_layout, .record = take_record, .flight = take_flight, .owner = content};
    return reader;
}

tears_status journal_content_read(struct t3_journal *journal, struct journal_content *content,
                                  struct tears_error *error_out)
{
    const struct t3_journal_reader reader = journal_content_reader(content);
    return t3_journal_recover(journal, &reader, t3_deadline_in_ms(10000), &content->damaged,
                              error_out);
}

const struct journal_content_record *journal_content_find(const struct journal_content *content,
                                                          uint64_t id)
{
    for (size_t i = 0; i < content->record_count; i++)
        if (content->records[i].id == id)
            return &content->records[i];
    return NULL;
}

void journal_content_done(struct journal_content *content)
{
    for (size_t i = 0; i < content->record_count; i++)
        free(content->records[i].bytes);
    for (size_t i = 0; i < content->flight_count; i++)
        free(content->flights[i].refs);
    free(content->records);
    *content = (struct journal_content){0};
}
