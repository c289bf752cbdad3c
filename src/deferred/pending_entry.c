/*
 * pending_entry.c -- the memory of one record.
 *
 * Owns:     slabs.
 * Must not know: what records mean, where entries are found.
 * Threads:  the leader of the queue; t3_entry_record whoever may look at the entry.
 * Fails:    NULL: no memory.
 * Begin at: t3_entry_new().
 *
 * What is saved has a block of its own.  What is read out of the file when it is opened, a million records perhaps, is put into slabs, and a slab goes
 * when the last of its entries has gone: it saves most of the time that the allocator and the kernel's page faults would take.
 */
#include "deferred/pending_impl.h"

#include <sys/mman.h>

enum {
    SLAB_BYTES_MIN = 64 * 1024,
    SLAB_BYTES_MAX = 16 * 1024 * 1024,
    LARGE_PAGE = 2 * 1024 * 1024
};

struct t3_slab {
    size_t used, capacity;
    size_t entries; /* in use; and one more as long as it is being filled */
    char bytes[];
};

/* ---- a block of its own ------------------------------------------------------------------------- */

static struct t3_entry *begin_entry(void *memory, struct t3_pending_table *table, size_t size)
{
    struct t3_entry *entry = memory;
    memset(entry, 0, sizeof *entry);
    entry->table = table;
    entry->size = (uint32_t)size;
    return entry;
}

struct t3_entry *t3_entry_new(struct t3_pending_table *table, const struct t3_record *record)
{
    const size_t size = t3_record_size(table->schema, record);
    void *memory = size <= UINT32_MAX ? t3_alloc(sizeof(struct t3_entry) + size) : NULL;
    if (memory == NULL)
        return NULL;
    struct t3_entry *entry = begin_entry(memory, table, size);
    t3_record_write(table->schema, record, entry->bytes);
    return entry;
}

/* ---- slabs -------------------------------------------------------------------------------------- */

static void leave_slab(struct t3_slab *slab)
{
    if (--slab->entries == 0)
        t3_free(slab);
}

void t3_slab_end(struct t3_pending *pending)
{
    if (pending->slab != NULL)
        leave_slab(T3_TAKE(pending->slab));
}

/* All of it will be used: large pages are filled and found faster.  Advice: it does not matter if it is not taken. */
static void ask_for_large_pages(void *memory, size_t bytes)
{
    const uintptr_t start = ((uintptr_t)memory + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t)memory + bytes) & ~(uintptr_t)(LARGE_PAGE - 1);
    if (end > start)
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
}

/* Slabs become larger and larger, so that a small log does not take much. */
static struct t3_slab *next_slab(struct t3_pending *pending, size_t needed)
{
    size_t capacity = pending->slab != NULL ? pending->slab->capacity * 2 : SLAB_BYTES_MIN;
    capacity = capacity < SLAB_BYTES_MAX ? capacity : SLAB_BYTES_MAX;
    capacity = capacity > needed ? capacity : needed;
    struct t3_slab *slab = t3_alloc(sizeof *slab + capacity);
    if (slab == NULL)
        return NULL;
    ask_for_large_pages(slab, capacity);
    t3_slab_end(pending);
    slab->used = 0;
    slab->capacity = capacity;
    slab->entries = 1;
    pending->slab = slab;
    return slab;
}

struct t3_entry *t3_entry_found(struct t3_pending_table *table, struct tears_str bytes)
{
    const size_t needed = (sizeof(struct t3_entry) + bytes.len + 7) & ~(size_t)7;
    struct t3_slab *slab = table->pending->slab;
    if (bytes.len > UINT32_MAX)
        return NULL;
    if (slab == NULL || slab->capacity - slab->used < needed)
        slab = next_slab(table->pending, needed);
    if (slab == NULL)
        return NULL;
    struct t3_entry *entry = begin_entry(slab->bytes + slab->used, table, bytes.len);
    slab->used += needed;
    slab->entries++;
    entry->slab = slab;
    if (bytes.len > 0)
        memcpy(entry->bytes, bytes.ptr, bytes.len);
    return entry;
}

void t3_entry_free(struct t3_entry *entry)
{
    if (entry != NULL && entry->slab != NULL)
        leave_slab(entry->slab);
    else
        t3_free(entry);
}

/* ---- what is in it ------------------------------------------------------------------------------ */

void t3_entry_record(const struct t3_entry *entry, struct t3_record *record_out)
{
    t3_record_view(tears_str_n(entry->bytes, entry->size), record_out);
    record_out->id = entry->id;
    record_out->seq = entry->seq;
}

void t3_entry_set_flag(struct t3_entry *entry, uint32_t flag, bool value)
{
    if (((entry->flags & flag) != 0) == value)
        return;
    entry->flags ^= flag;
    const uint64_t change = value ? 1 : UINT64_MAX; /* wraps: one more, or one less */
    if (flag == T3_ENTRY_PARKED)
        atomic_fetch_add(&entry->table->parked_rows, change);
    if (flag == T3_ENTRY_FLYING)
        atomic_fetch_add(&entry->table->in_flight, change);
}

void t3_entry_drop(struct t3_entry *entry)
{
    struct t3_pending_table *table = entry->table;
    t3_entry_set_flag(entry, T3_ENTRY_FLYING, false);
    t3_entry_set_flag(entry, T3_ENTRY_PARKED, false);
    t3_list_set(&table->list, entry->id, NULL);
    t3_pending_count(table, entry, NULL);
    t3_entry_free(entry);
}
