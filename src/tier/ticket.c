/*
 * ticket.c -- stripes of generations.
 *
 * Owns:     the array of generations.
 * Must not know: rows, tables of rows, locks; the tiers bring those.
 * Threads:  any; a generation is one atomic that only grows.
 * Fails:    t3_tickets_init only, with TEARS_NO_MEMORY.
 * Begin at: t3_ticket_read() and t3_ticket_move(), in the header.
 *
 * Why stripes and not a generation per key: a notice must also count for a key that is not cached,
 * because a fill of it may be under way.  A bounded array remembers all keys at once; the price is
 * that a notice now and then discards the fill of another key, which then reads once more.
 */
#include "tier/ticket.h"

#include "base/alloc.h"

tears_status t3_tickets_init(struct t3_tickets *tickets, uint32_t bits)
{
    T3_ASSERT(bits <= 16);
    const size_t count = (size_t)1 << bits;
    _Atomic uint64_t *generations = t3_alloc(count * sizeof *generations);
    if (generations == NULL)
        return TEARS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        atomic_init(&generations[i], 1);
    tickets->generations = generations;
    tickets->mask = count - 1;
    return TEARS_OK;
}

void t3_tickets_done(struct t3_tickets *tickets)
{
    t3_free(T3_TAKE(tickets->generations));
    tickets->mask = 0;
}

uint32_t t3_ticket_bits(uint64_t bytes_max)
{
    uint32_t bits = T3_TICKET_BITS_MIN;
    while (bits < T3_TICKET_BITS_MAX && ((uint64_t)1 << bits) < bytes_max / 16384)
        bits++;
    return bits;
}

size_t t3_tickets_bytes(const struct t3_tickets *tickets)
{
    return t3_alloc_bytes((const char *)(uintptr_t)tickets->generations);
}

void t3_tickets_move_all(struct t3_tickets *tickets)
{
    for (size_t i = 0; i <= tickets->mask; i++)
        atomic_fetch_add_explicit(&tickets->generations[i], 1, memory_order_acq_rel);
}
