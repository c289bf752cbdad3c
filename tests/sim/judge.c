/*
 * judge.c -- keeps the history of every row, and holds what clients say against it.
 *
 * Owns:     the history.
 * Must not know: how the library comes to its answers.
 * Threads:  one.
 * Fails:    with a violation, which ends the run.
 * Begin at: sim_judge_answer().
 */
#include "judge.h"

#include "fiber.h"
#include "net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_table_names[SIM_TABLES] = {"items", "notes", "strict"};

enum { CLOCK_SLACK_US = 5000, CALL_SLACK_US = 100000, L2_CORRECTIONS = 4 };

struct history {
    struct sim_commit commits[SIM_COMMITS_MAX];
    uint32_t count;
    uint32_t told; /* commits that L2 has heard of */
};

static struct history histories[SIM_TABLES][SIM_KEYS_MAX];
static struct sim_floor acknowledged[SIM_PROCESSES_MAX];
static struct sim_judge_rules rules;
static uint64_t wipes;

void sim_judge_begin(const struct sim_judge_rules *given)
{
    rules = *given;
    wipes = 0;
    memset(acknowledged, 0, sizeof acknowledged);
    for (uint32_t table = 0; table < SIM_TABLES; table++)
        for (uint32_t key = 0; key < SIM_KEYS_MAX; key++) {
            struct history *history = &histories[table][key];
            memset(&history->commits[0], 0, sizeof history->commits[0]);
            history->count = 1; /* in the beginning there is no row, and everybody knows */
            history->told = 1;
        }
}

static bool has_versions(enum sim_table table)
{
    return table != SIM_NOTES;
}

static uint32_t index_of(const struct sim_process *process)
{
    for (uint32_t i = 0; i < sim.process_count; i++)
        if (sim.processes[i] == process)
            return i;
    return 0;
}

const struct sim_commit *sim_judge_last(enum sim_table table, uint32_t key)
{
    const struct history *history = &histories[table][key];
    return &history->commits[history->count - 1];
}

/* -- what happens in L3 -------------------------------------------------------------------- */

void sim_judge_committed(enum sim_table table, uint32_t key, uint64_t serial, int64_t version,
                         struct sim_op *op)
{
    struct history *history = &histories[table][key];
    T3_ASSERT(history->count < SIM_COMMITS_MAX);
    history->commits[history->count] = (struct sim_commit){
        .at_us = sim.now_us, .told_us = SIM_NEVER, .serial = serial, .version = version, .op = op};
    if (op == NULL) {
        history->commits[history->count].told_us = sim.now_us;
        history->told = history->count + 1;
    } else {
        op->is_committed = true;
        op->commit = history->count;
    }
    const bool is_over_unseen = op != NULL && op->base_serial != 0 && !rules.versions_begin_anew &&
                                has_versions(table) &&
                                history->commits[history->count - 1].serial != op->base_serial;
    history->count++;
    sim_tell("L3: %s.%u is now %s%" PRIu64 ", version %" PRId64, sim_table_names[table], key,
             serial != 0 ? "w" : "gone ", serial, version);
    if (is_over_unseen)
        sim_fail("6 durable", "%s.%u: an update based on w%" PRIu64 " was made over w%" PRIu64,
                 sim_table_names[table], key, op->base_serial,
                 history->commits[history->count - 2].serial);
}

/* -- what happens in L2 -------------------------------------------------------------------- */

/* The row a key is about; false: none of ours. */
static bool row_of(const char *key, enum sim_table *table_out, uint32_t *key_out)
{
    for (uint32_t table = 0; table < SIM_TABLES; table++) {
        const size_t len = strlen(sim_table_names[table]);
        if (strncmp(key, sim_table_names[table], len) != 0 || key[len] != '.')
            continue;
        *table_out = (enum sim_table)table;
        *key_out = (uint32_t)strtoul(key + len + 1, NULL, 10);
        return *key_out < SIM_KEYS_MAX;
    }
    return false;
}

static uint64_t serial_of(const struct sim_message *message)
{
    const char *name = message->is_marker ? NULL : strstr(message->value, "\"w");
    return name != NULL ? strtoull(name + 2, NULL, 10) : 0;
}

/* The latest commit with this content. */
static uint32_t find_commit(const struct history *history, uint64_t serial)
{
    for (uint32_t i = history->count; i > 0; i--)
        if (history->commits[i - 1].serial == serial)
            return i - 1;
    return 0;
}

static bool is_believable(const struct sim_message *message)
{
    return message->epoch[0] == '\0' || strcmp(message->epoch, sim_server_identity()) == 0;
}

static void tell_message(const struct sim_message *message)
{
    char text[64] = "";
    if (message->is_marker)
        snprintf(text, sizeof text, "a marker%s", message->lease_ms != 0 ? " (leased)" : "");
    else
        snprintf(text, sizeof text, "w%" PRIu64, serial_of(message));
    sim_tell("L2: %s is now %s%s, version %" PRId64 ", revision %" PRIu64 ", by %.8s", message->key,
             text, message->is_fill ? " (fill)" : "", message->has_version ? message->version : 0,
             message->revision, message->origin);
}

/* Whether the writer has returned without knowing that L2 was told: it will put a marker, and that counts. */
static bool has_given_up(const struct sim_commit *commit)
{
    return commit->op != NULL && commit->op->has_returned && commit->op->degraded != 0;
}

/* How many commits a marker tells of: those up to its version; all, when it has none. */
static uint32_t told_by_marker(const struct history *history, const struct sim_message *message)
{
    uint32_t told = history->count;
    while (message->has_version && message->version != 0 && told > 1 &&
           history->commits[told - 1].version > message->version)
        told--;
    return told;
}

void sim_judge_stored(const struct sim_message *message)
{
    enum sim_table table;
    uint32_t key;
    if (!row_of(message->key, &table, &key))
        return;
    tell_message(message);
    struct history *history = &histories[table][key];
    uint32_t told = told_by_marker(history, message);
    if (!message->is_marker) {
        told = find_commit(history, serial_of(message)) + 1;
        if (told < history->told && is_believable(message) && !rules.versions_begin_anew)
            sim_fail("7 L2", "%s goes back to w%" PRIu64 ", %u commits behind what it was told",
                     message->key, serial_of(message), history->told - told);
    }
    /* a fill is no news to those who have no versions to compare */
    if (message->is_fill && (message->is_marker || !has_versions(table)))
        return;
    for (; history->told < told; history->told++) {
        if (!message->is_marker && has_given_up(&history->commits[history->told]))
            return;
        history->commits[history->told].told_us = sim.now_us;
    }
}

void sim_judge_wiped(void)
{
    wipes++;
}

/* Whether L2 was behind L3 at some moment since: then a read may have seen that, and put it right. */
static bool was_behind_since(const struct history *history, uint64_t since_us)
{
    return history->told < history->count ||
           history->commits[history->told - 1].told_us >= since_us;
}

void sim_judge_notice(struct tears_str payload)
{
    static const char table_at[] = "{\"table\":\"";
    static const char ids_at[] = "\",\"ids\":[\"";
    const struct sim_op *op = sim_op_here();
    char key[64];
    enum sim_table table;
    uint32_t number;
    if (op == NULL || !op->is_read || rules.answers_may_be_old)
        return;
    const char *name = payload.ptr + sizeof table_at - 1;
    const char *ids = strstr(name, ids_at);
    if (ids == NULL)
        return;
    snprintf(key, sizeof key, "%.*s.%c", (int)(ids - name), name, ids[sizeof ids_at - 1]);
    if (row_of(key, &table, &number) && !was_behind_since(&histories[table][number], op->start_us))
        sim_fail("4 fills", "a notice of %s is published by a read", key);
}

/* -- reads --------------------------------------------------------------------------------- */

/* Whether relaxed mode has an excuse for not having told L2 of a commit. */
static bool is_excused(enum sim_table table, const struct sim_commit *commit)
{
    const struct sim_op *op = commit->op;
    if (table == SIM_STRICT && wipes == 0)
        return false;
    if (!op->has_returned || op->status != TEARS_OK)
        return true;
    return op->degraded != 0 && op->process->is_dead;
}

/* Until when others could not know that the commit had been superseded. */
static uint64_t right_until(enum sim_table table, const struct history *history, uint32_t index,
                            uint32_t level)
{
    if (index + 1 == history->count)
        return SIM_NEVER;
    const struct sim_commit *next = &history->commits[index + 1];
    if (level == TEARS_READ_STRONG)
        return next->at_us;
    if (table == SIM_STRICT && wipes == 0 && next->told_us > next->at_us + rules.lease_ms * 1000)
        return next->at_us + rules.lease_ms * 1000;
    return next->told_us;
}

static void tell_history(const struct history *history)
{
    for (uint32_t i = history->count > 6 ? history->count - 6 : 0; i < history->count; i++) {
        const struct sim_commit *commit = &history->commits[i];
        const uint64_t told = commit->told_us != SIM_NEVER && commit->told_us > SIM_DAWN_US
                                  ? commit->told_us - SIM_DAWN_US
                                  : 0;
        sim_tell("  commit %u: w%" PRIu64 " at %.3f ms, L2 told at %.3f ms", i, commit->serial,
                 (double)(commit->at_us > SIM_DAWN_US ? commit->at_us - SIM_DAWN_US : 0) / 1000,
                 (double)told / 1000);
    }
}

static uint32_t floor_of(const struct sim_answer *answer)
{
    const struct sim_op *op = answer->op;
    uint32_t floor = 0;
    if (rules.versions_begin_anew)
        return 0;
    if (!rules.answers_may_be_old)
        floor = op->acknowledged.at[op->table][op->key];
    if (answer->floor != NULL && answer->floor->at[op->table][op->key] > floor)
        floor = answer->floor->at[op->table][op->key];
    return floor;
}

static void blame(const struct sim_answer *answer, uint32_t floor, bool is_too_old)
{
    static const char *const levels[] = {"any", "bounded", "session", "strong"};
    const struct sim_op *op = answer->op;
    tell_history(&histories[op->table][op->key]);
    sim_fail(is_too_old ? "2 bound" : "1 session",
             "%s: %s %s.%u (%s, begun at %.3f ms, from L%u) gave w%" PRIu64 "; %s",
             op->process->name, op->what, sim_table_names[op->table], op->key, levels[op->level],
             (double)(op->start_us - SIM_DAWN_US) / 1000, answer->tier, answer->serial,
             is_too_old ? "that was right too long ago, or never" : "it had seen or written newer");
    (void)floor;
}

/* Rows of tables whose versions begin anew may outlive a later row of a lower version (docs/adr/0016); and the bound
 * counts from what L2 says. */
static bool has_no_bound(const struct sim_op *op)
{
    return op->level != TEARS_READ_STRONG &&
           (rules.answers_may_be_old || rules.versions_begin_anew);
}

/*
 * A client that has not noticed yet that the bucket is another one puts what it knew into the new one, in the name of the old one.  It
 * believes that itself until its next look at the identity; nobody else does.
 */
static bool is_its_own_mistake(const struct sim_answer *answer)
{
    const struct sim_op *op = answer->op;
    char key[SIM_KEY_BYTES];
    snprintf(key, sizeof key, "%s.%u", sim_table_names[op->table], op->key);
    const struct sim_message *message = sim_server_find(key);
    return message != NULL && !message->is_marker && !is_believable(message) &&
           message->from == op->process && serial_of(message) == answer->serial;
}

void sim_judge_answer(const struct sim_answer *answer)
{
    const struct sim_op *op = answer->op;
    const struct history *history = &histories[op->table][op->key];
    const uint32_t floor = floor_of(answer);
    const uint64_t reach_us =
        op->level == TEARS_READ_STRONG ? 0 : answer->bound_ms * 1000 + CLOCK_SLACK_US;
    bool was_right = false;
    sim_tally.judged++;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_commit *commit = &history->commits[i];
        if (commit->serial != answer->serial)
            continue;
        const uint64_t until = right_until(op->table, history, i, op->level);
        if (until != SIM_NEVER && until + reach_us < op->start_us && !has_no_bound(op))
            continue;
        was_right = true;
        if (i < floor)
            continue;
        if (answer->floor != NULL)
            answer->floor->at[op->table][op->key] = i;
        return;
    }
    if (is_its_own_mistake(answer))
        sim_tally.excused++;
    else
        blame(answer, floor, !was_right);
}

/* -- writes -------------------------------------------------------------------------------- */

void sim_judge_note(struct sim_floor *floor, const struct sim_op *op)
{
    if (op->is_committed && op->status == TEARS_OK && op->commit > floor->at[op->table][op->key])
        floor->at[op->table][op->key] = op->commit;
}

/* Whether L2 gives out the row as it was before. */
static bool l2_is_behind(enum sim_table table, uint32_t key, uint32_t commit)
{
    char text[SIM_KEY_BYTES];
    snprintf(text, sizeof text, "%s.%u", sim_table_names[table], key);
    const struct sim_message *message = sim_server_find(text);
    if (message == NULL || message->is_marker || !is_believable(message))
        return false;
    return find_commit(&histories[table][key], serial_of(message)) < commit;
}

static void judge_write(const struct sim_op *op)
{
    struct history *history = &histories[op->table][op->key];
    if (op->status != TEARS_OK)
        return;
    if (!op->is_committed) {
        sim_fail("6 durable", "%s: %s %s.%u was acknowledged, and never reached L3",
                 op->process->name, op->what, sim_table_names[op->table], op->key);
        return;
    }
    if (op->degraded != 0 || rules.versions_begin_anew)
        return;
    if (l2_is_behind(op->table, op->key, op->commit)) {
        tell_history(history);
        sim_fail("7 L2", "%s: %s %s.%u (w%" PRIu64 ") was acknowledged, and L2 was not corrected",
                 op->process->name, op->what, sim_table_names[op->table], op->key, op->serial);
    }
    /* an acknowledged write counts, also when a marker that was there says enough */
    for (; history->told <= op->commit; history->told++)
        history->commits[history->told].told_us = sim.now_us;
    sim_judge_note(&acknowledged[index_of(op->process)], op);
}

void sim_judge_begins(struct sim_op *op)
{
    op->acknowledged = acknowledged[index_of(op->process)];
}

void sim_judge_returned(struct sim_op *op)
{
    op->has_returned = true;
    /* corrections of L2 have a time of their own, also those of a read that finds L2 contradicted by L3 */
    const uint64_t limit_ms = op->timeout_ms + rules.l2_wait_ms * L2_CORRECTIONS;
    const uint64_t until = op->start_us + limit_ms * 1000 + CALL_SLACK_US;
    if (sim.now_us > until && op->process->stops == op->stops)
        sim_fail("5 progress", "%s: %s %s.%u took %.3f ms, its deadline was %" PRIu64 " ms",
                 op->process->name, op->what, sim_table_names[op->table], op->key,
                 (double)(sim.now_us - op->start_us) / 1000, op->timeout_ms);
    if (!op->is_read)
        judge_write(op);
}

/* -- at rest ------------------------------------------------------------------------------- */

/* Whether the caches of a row may differ from L3 for ever: the last commits were never told, and there is an excuse. */
static bool may_differ(enum sim_table table, const struct history *history)
{
    for (uint32_t i = history->told; i < history->count; i++)
        if (is_excused(table, &history->commits[i])) {
            sim_tally.excused++;
            return true;
        }
    return false;
}

void sim_judge_rest(const struct sim_answer *answer)
{
    const struct sim_op *op = answer->op;
    const struct history *history = &histories[op->table][op->key];
    const struct sim_commit *last = sim_judge_last(op->table, op->key);
    if (answer->serial == last->serial || rules.versions_begin_anew ||
        may_differ(op->table, history))
        return;
    tell_history(history);
    sim_fail("3 rest", "%s still gets w%" PRIu64 " of %s.%u (from L%u), L3 has w%" PRIu64,
             op->process->name, answer->serial, sim_table_names[op->table], op->key, answer->tier,
             last->serial);
}

void sim_judge_rest_of_l2(void)
{
    for (uint32_t i = 0; i < sim_stream.count; i++) {
        const struct sim_message *message = &sim_stream.entries[i].now;
        enum sim_table table;
        uint32_t key;
        if (!row_of(message->key, &table, &key) || message->is_marker || !is_believable(message))
            continue;
        const struct history *history = &histories[table][key];
        const uint64_t serial = serial_of(message);
        if (serial == sim_judge_last(table, key)->serial || rules.versions_begin_anew ||
            may_differ(table, history))
            continue;
        tell_history(history);
        sim_fail("3 rest", "L2 still has w%" PRIu64 " of %s, L3 has w%" PRIu64, serial,
                 message->key, sim_judge_last(table, key)->serial);
    }
}
