/*
 * journal_wal.c -- the end of the write-ahead log, looked at before SQLite does.
 *
 * Owns:     nothing.
 * Must not know: what the pages hold.
 * Threads:  any.
 * Fails:    as journal_impl.h says.  Any bytes may stand in the file.
 * Begin at: t3_wal_check(), t3_wal_guard() (journal_guard.c).
 *
 * The format is SQLite's, documented in https://www.sqlite.org/fileformat2.html#the_write_ahead_log.  A header of 32 bytes (magic number, version, page size,
 * number of the cycle, two salts, two checksums) is followed by frames: 24 bytes (page, size of the database if the frame ends a commit,
 * the salts, two checksums) and a page.  Checksums go on from frame to frame.  A WAL is written over from its beginning when it has been copied
 * into the database; then its salts change, so that what is left of the cycle before is told from what is damaged.
 *
 * SQLite takes the frames up to the last commit that checks, and says nothing of those behind.  Three things may stand there: a commit that was being
 * written when the process died (nobody was told that it is durable), one whose sectors reached the disk in part when the power
 * failed (likewise), and writes that were durable and are damaged.  Only the last have a complete commit that is followed by more.
 */
#include "base/alloc.h"
#include "deferred/journal_impl.h"

enum {
    HEADER_BYTES = 32,
    FRAME_HEADER_BYTES = 24,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    VERSION = 3007000
};

#define MAGIC 0x377f0682u /* plus 1: checksums of big-endian words */

struct sums {
    uint32_t first, second;
};

struct wal {
    const struct t3_wal_source *source;
    uint8_t *frame;
    uint32_t page_bytes;
    bool is_big_endian;
    uint8_t salts[8];
    struct sums sums; /* of all that checked */
};

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little_endian(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* `len` is a multiple of 8. */
static struct sums add(const struct wal *wal, struct sums sums, const uint8_t *at, size_t len)
{
    if (wal->is_big_endian) {
        for (size_t i = 0; i < len; i += 8) {
            sums.first += big_endian(at + i) + sums.second;
            sums.second += big_endian(at + i + 4) + sums.first;
        }
        return sums;
    }
    for (size_t i = 0; i < len; i += 8) {
        sums.first += little_endian(at + i) + sums.second;
        sums.second += little_endian(at + i + 4) + sums.first;
    }
    return sums;
}

static bool sums_are(struct sums sums, const uint8_t *at)
{
    return sums.first == big_endian(at) && sums.second == big_endian(at + 4);
}

static bool read_header(struct wal *wal)
{
    uint8_t header[HEADER_BYTES];
    if (!wal->source->read(wal->source->owner, 0, header, sizeof header))
        return false;
    const uint32_t magic = big_endian(header);
    const uint32_t page_bytes = big_endian(header + 8);
    if ((magic & ~1u) != MAGIC || big_endian(header + 4) != VERSION ||
        page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)) != 0)
        return false;
    wal->is_big_endian = (magic & 1) != 0;
    wal->page_bytes = page_bytes;
    memcpy(wal->salts, header + 16, sizeof wal->salts);
    wal->sums = add(wal, (struct sums){0, 0}, header, 24);
    return sums_are(wal->sums, header + 24);
}

static uint64_t frame_bytes(const struct wal *wal)
{
    return FRAME_HEADER_BYTES + (uint64_t)wal->page_bytes;
}

static uint64_t frame_at(const struct wal *wal, uint64_t index)
{
    return HEADER_BYTES + index * frame_bytes(wal);
}

static bool is_of_cycle(const struct wal *wal, const uint8_t *header)
{
    return memcmp(header + 8, wal->salts, sizeof wal->salts) == 0;
}

static bool is_commit(const uint8_t *header)
{
    return big_endian(header + 4) != 0;
}

/* Whether frame `index` goes on from the one before; then its sums are taken over. */
static bool goes_on(struct wal *wal, uint64_t index)
{
    if (!wal->source->read(wal->source->owner, frame_at(wal, index), wal->frame,
                           (size_t)frame_bytes(wal)) ||
        !is_of_cycle(wal, wal->frame) || big_endian(wal->frame) == 0)
        return false;
    struct sums sums = add(wal, wal->sums, wal->frame, 8);
    sums = add(wal, sums, wal->frame + FRAME_HEADER_BYTES, wal->page_bytes);
    if (!sums_are(sums, wal->frame + 16))
        return false;
    wal->sums = sums;
    return true;
}

/* The first frame behind the last commit; *end_out is the first that does not check. */
static uint64_t find_end(struct wal *wal, struct t3_wal_report *report, uint64_t *end_out)
{
    uint64_t end = 0;
    uint64_t after_commit = 0;
    while (goes_on(wal, end)) {
        end++;
        if (is_commit(wal->frame)) {
            after_commit = end;
            report->commits++;
        }
    }
    *end_out = end;
    return after_commit;
}

/* What is there of this cycle behind the last commit, whether it checks or not. */
static void look_behind(const struct wal *wal, uint64_t from, uint64_t checked,
                        struct t3_wal_report *report)
{
    uint8_t header[FRAME_HEADER_BYTES];
    uint64_t end = from;
    bool is_last_commit = false;
    for (uint64_t i = from;
         wal->source->read(wal->source->owner, frame_at(wal, i), header, sizeof header); i++) {
        if (!is_of_cycle(wal, header))
            continue;
        if (is_last_commit)
            report->lost_commits++; /* it was complete: the process went on */
        is_last_commit = is_commit(header);
        end = i + 1;
    }
    if (end == from)
        return;
    const uint64_t end_at =
        frame_at(wal, end) < wal->source->size ? frame_at(wal, end) : wal->source->size;
    report->tail_at = frame_at(wal, from);
    report->tail_bytes = end_at - report->tail_at;
    report->is_unfinished = checked == end;
}

/* A new WAL whose first sector never reached the disk: nothing in it was ever durable. */
static bool is_blank(const struct t3_wal_source *source)
{
    static const uint8_t blank[HEADER_BYTES];
    uint8_t header[HEADER_BYTES];
    return source->read(source->owner, 0, header, sizeof header) &&
           memcmp(header, blank, sizeof header) == 0;
}

tears_status t3_wal_check(const struct t3_wal_source *source, struct t3_wal_report *report_out)
{
    struct wal wal = {.source = source};
    struct t3_wal_report report = {0};
    if (source->size < HEADER_BYTES + FRAME_HEADER_BYTES || is_blank(source)) {
        *report_out = report;
        return TEARS_OK;
    }
    if (!read_header(&wal)) {
        report.is_header_damaged = true;
        report.tail_bytes = source->size;
        *report_out = report;
        return TEARS_OK;
    }
    T3_AUTO(t3_free_auto) uint8_t *frame = t3_alloc((size_t)frame_bytes(&wal));
    if (frame == NULL)
        return TEARS_NO_MEMORY;
    wal.frame = frame;
    uint64_t checked;
    const uint64_t after_commit = find_end(&wal, &report, &checked);
    look_behind(&wal, after_commit, checked, &report);
    *report_out = report;
    return TEARS_OK;
}
