/*
 * line.c -- lines of threads, and observations of entries.
 *
 * Owns:     the list of lines and the table of observations.
 * Must not know: servers.
 * Threads:  any, under the coord's mutex.
 * Fails:    TEARS_NO_MEMORY.
 * Begin at: t3_line_wait().
 */
#include "coord/line.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/jitter.h"
#include "base/str.h"

struct t3_line {
    struct t3_line *next;
    struct t3_waiter *first;
    uint64_t ends;          /* times the name was released */
    uint64_t takes;         /* times it was written by others, or acquired here */
    uint64_t held_until_us; /* by what was last heard (t3_now_us); 0: nothing is known */
    bool end_is_remote;     /* of the last one */
    size_t name_len;
    char name[];
};

static struct t3_line *find_locked(struct tears_coord *coord, struct tears_str name)
{
    struct t3_line *line = coord->lines;
    while (line != NULL && !t3_str_equal(tears_str_n(line->name, line->name_len), name))
        line = line->next;
    return line;
}

static struct t3_line *add_locked(struct tears_coord *coord, struct tears_str name)
{
    struct t3_line *line = t3_alloc_zero(1, sizeof *line + name.len);
    if (line == NULL)
        return NULL;
    memcpy(line->name, name.ptr, name.len);
    line->name_len = name.len;
    line->next = coord->lines;
    coord->lines = line;
    return line;
}

static void remove_locked(struct tears_coord *coord, struct t3_line *line)
{
    struct t3_line **link = &coord->lines;
    while (*link != line)
        link = &(*link)->next;
    *link = line->next;
    t3_free(line);
}

tears_status t3_line_join(struct tears_coord *coord, struct tears_str name,
                          struct t3_waiter *waiter)
{
    t3_cond_init(&waiter->cond);
    t3_lock(&coord->mutex);
    struct t3_line *line = find_locked(coord, name);
    if (line == NULL)
        line = add_locked(coord, name);
    if (line != NULL) {
        struct t3_waiter **end = &line->first;
        while (*end != NULL)
            end = &(*end)->next;
        waiter->next = NULL;
        waiter->line = line;
        waiter->ends_seen = line->ends;
        waiter->takes_seen = line->takes;
        *end = waiter;
    }
    t3_unlock(&coord->mutex);
    if (line == NULL)
        t3_cond_done(&waiter->cond);
    return line != NULL ? TEARS_OK : TEARS_NO_MEMORY;
}

void t3_line_leave(struct tears_coord *coord, struct t3_waiter *waiter, uint64_t taken_until_us)
{
    t3_lock(&coord->mutex);
    struct t3_line *line = waiter->line;
    struct t3_waiter **link = &line->first;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    if (taken_until_us > 0) {
        line->takes++;
        line->held_until_us = taken_until_us;
        if (line->first != NULL) /* what ended before this one got it is no news to the next */
            line->first->ends_seen = waiter->ends_seen;
    }
    if (line->first == NULL)
        remove_locked(coord, line);
    else
        t3_cond_signal(&line->first->cond);
    t3_unlock(&coord->mutex);
    t3_cond_done(&waiter->cond);
}

bool t3_line_is_there(struct tears_coord *coord, struct tears_str name)
{
    t3_lock(&coord->mutex);
    const bool is_there = find_locked(coord, name) != NULL;
    t3_unlock(&coord->mutex);
    return is_there;
}

/* Whether the first of the line has heard of an end that it has not acted on. */
static bool has_ended_locked(struct t3_waiter *waiter, enum t3_line_wake *wake)
{
    struct t3_line *line = waiter->line;
    if (waiter->ends_seen == line->ends)
        return false;
    waiter->ends_seen = line->ends;
    waiter->takes_seen = line->takes;
    *wake = line->end_is_remote ? T3_LINE_HEARD : T3_LINE_LOOK;
    return true;
}

enum t3_line_wake t3_line_wait(struct tears_coord *coord, struct t3_waiter *waiter,
                               uint64_t look_us, struct t3_deadline deadline)
{
    enum t3_line_wake wake = T3_LINE_TIMED_OUT;
    bool is_over = false;
    t3_lock(&coord->mutex);
    while (!is_over) {
        struct t3_line *line = waiter->line;
        const bool is_first = line->first == waiter;
        if (is_first && has_ended_locked(waiter, &wake))
            break;
        if (is_first && look_us == 0 && line->held_until_us > 0)
            look_us = line->held_until_us;
        struct t3_deadline until = deadline;
        if (is_first && look_us < until.at_us)
            until.at_us = look_us;
        is_over = t3_deadline_passed(until) ||
                  (!t3_cond_wait(&waiter->cond, &coord->mutex, until) && t3_deadline_passed(until));
        if (is_over && line->first == waiter) {
            wake = T3_LINE_LOOK;
            waiter->takes_seen = line->takes;
            line->held_until_us = 0;
        }
    }
    t3_unlock(&coord->mutex);
    return wake;
}

bool t3_line_let_pass(struct tears_coord *coord, struct t3_waiter *waiter, uint64_t us,
                      uint64_t *until_us)
{
    const struct t3_deadline until = {t3_now_us() + t3_jitter(us)};
    t3_lock(&coord->mutex);
    const struct t3_line *line = waiter->line;
    while (waiter->takes_seen == line->takes && !t3_deadline_passed(until))
        (void)t3_cond_wait(&waiter->cond, &coord->mutex, until);
    const bool is_taken = waiter->takes_seen != line->takes;
    waiter->takes_seen = line->takes;
    *until_us = line->held_until_us;
    t3_unlock(&coord->mutex);
    return is_taken;
}

void t3_line_ended(struct tears_coord *coord, struct tears_str name, bool is_remote)
{
    t3_lock(&coord->mutex);
    struct t3_line *line = find_locked(coord, name);
    if (line != NULL) {
        line->ends++;
        line->end_is_remote = is_remote;
        line->held_until_us = 0;
        t3_cond_signal(&line->first->cond);
    }
    t3_unlock(&coord->mutex);
}

/* The ttl of what was written; the length of the next look when it makes no sense. */
static uint64_t ttl_ms_of(const struct t3_solo_news *news)
{
    T3_AUTO(t3_arena_done) struct t3_arena arena = {0};
    struct t3_envelope envelope;
    if (t3_envelope_read(news->value, &arena, &envelope) != TEARS_OK)
        return 0;
    return t3_envelope_ttl_ms(&envelope, news->ttl_ms);
}

static uint64_t observe_locked(struct tears_coord *coord, struct tears_str name, uint64_t write)
{
    const uint64_t hash = t3_hash(name.ptr, name.len, 0);
    struct t3_observation *seen = &coord->observations[hash % T3_COORD_OBSERVATIONS];
    if (seen->since_us == 0 || seen->name != hash || seen->write != write)
        *seen = (struct t3_observation){.name = hash, .write = write, .since_us = t3_boot_us()};
    return seen->since_us;
}

void t3_line_taken(struct tears_coord *coord, struct tears_str name,
                   const struct t3_solo_news *news)
{
    if (!t3_line_is_there(coord, name)) /* most of what is heard concerns nobody here */
        return;
    const uint64_t ttl_ms = ttl_ms_of(news);
    const uint64_t write = t3_write_hash(news->value, news->attempt);
    t3_lock(&coord->mutex);
    struct t3_line *line = find_locked(coord, name);
    if (line != NULL) {
        (void)observe_locked(coord, name, write);
        line->takes++;
        line->held_until_us = t3_now_us() + ttl_ms * 1000;
        t3_cond_signal(&line->first->cond);
    }
    t3_unlock(&coord->mutex);
}

void t3_lines_look(struct tears_coord *coord)
{
    t3_lock(&coord->mutex);
    for (struct t3_line *line = coord->lines; line != NULL; line = line->next) {
        line->ends++;
        line->end_is_remote = true; /* everybody else looks now, too */
        line->held_until_us = 0;
        t3_cond_signal(&line->first->cond);
    }
    t3_unlock(&coord->mutex);
}

uint64_t t3_observe(struct tears_coord *coord, struct tears_str name, uint64_t write)
{
    t3_lock(&coord->mutex);
    const uint64_t since_us = observe_locked(coord, name, write);
    t3_unlock(&coord->mutex);
    return since_us;
}

uint64_t t3_write_hash(struct tears_str value, struct tears_str attempt)
{
    return t3_hash(value.ptr, value.len, t3_hash(attempt.ptr, attempt.len, 0));
}
