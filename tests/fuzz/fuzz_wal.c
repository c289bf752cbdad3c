/*
 * fuzz_wal.c -- any bytes as the write-ahead log of a journal.
 *
 * What must hold: nothing is read outside the file; a tail is a part of the file, behind the commits that check; and without it nothing is left to report.
 */
#include "deferred/journal_impl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    const uint8_t *bytes;
    uint64_t size;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool read_memory(void *owner, uint64_t at, void *to, size_t len)
{
    const struct memory *memory = owner;
    if (at > memory->size || len > memory->size - at)
        return false;
    memcpy(to, memory->bytes + at, len);
    return true;
}

static struct t3_wal_report report_on(const uint8_t *data, uint64_t size)
{
    struct memory memory = {data, size};
    const struct t3_wal_source source = {.read = read_memory, .owner = &memory, .size = size};
    struct t3_wal_report report;
    check(t3_wal_check(&source, &report) == TEARS_OK);
    return report;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct t3_wal_report report = report_on(data, size);
    check(report.tail_bytes <= size && report.tail_at <= size - report.tail_bytes);
    if (report.tail_bytes == 0) {
        check(!report.is_header_damaged && !report.is_unfinished && report.lost_commits == 0);
        return 0;
    }
    check(!report.is_header_damaged || report.commits == 0);
    const struct t3_wal_report rest = report_on(data, report.tail_at);
    check(rest.commits == report.commits && rest.tail_bytes == 0);
    return 0;
}
