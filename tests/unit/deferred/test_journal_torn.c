/*
 * test_journal_torn.c -- loss of power at random points: what was acknowledged is there.
 *
 * A world runs random work against a model until the power fails at a chosen change of a file; the files become what a disk may hold then
 * (support/torn_vfs.h), the journal is opened again and compared.  TEARS_TORN_WORLDS is the number of worlds (300 of each kind).
 */
#include "deferred/journal_impl.h"

#include "support/journal_content.h"
#include "support/temp_folder.h"
#include "support/torn_vfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IDS_MAX = 64, STEPS = 60, STATES_MAX = STEPS + 2, TEXT_MAX = 9000 };

/* What is pending after a commit: id and seq of each record; the bytes follow from the seq. */
struct state {
    struct t3_journal_ref refs[IDS_MAX];
    size_t count;
    uint64_t flight; /* 0: none */
};

struct world {
    struct temp_folder folder;
    char path[128];
    uint64_t random;
    uint64_t durability;
    struct t3_journal *journal;
    struct t3_lite *checkpointer;
    struct state states[STATES_MAX]; /* the first is empty; the last may be unacknowledged */
    size_t acknowledged;             /* states after which the caller was told so */
    size_t tried;
    uint64_t seq;
    uint64_t layout;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random % below;
}

static struct t3_deadline soon(void)
{
    return t3_deadline_in_ms(10000);
}

/* The bytes of a record: made from its seq, so that any mixture of two is found out. */
static size_t make_text(uint64_t seq, char *text)
{
    const size_t len = seq % 7 == 0 ? TEXT_MAX - 1 : 20 + seq * 37 % 400;
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + (seq * 31 + i * (seq % 11 + 1)) % 26);
    text[len] = '\0';
    return len;
}

/* ---- steps ---- */

struct step {
    struct t3_journal_put puts[4];
    char *texts[4];
    size_t put_count;
    struct t3_journal_ref landed[IDS_MAX];
    size_t landed_count;
    uint64_t batch;
    bool flies;
};

static void add_put(struct world *world, struct step *step, uint64_t id)
{
    char *text = malloc(TEXT_MAX);
    assert_non_null(text);
    const uint64_t seq = ++world->seq;
    const size_t len = make_text(seq, text);
    step->texts[step->put_count] = text;
    step->puts[step->put_count++] = (struct t3_journal_put){
        .id = id, .seq = seq, .layout = world->layout, .bytes = tears_str_n(text, len)};
}

/* Changes up to three records, or adds them. */
static void plan_saves(struct world *world, const struct state *now, struct step *step)
{
    const uint64_t count = 1 + draw(world, 3);
    for (uint64_t i = 0; i < count; i++) {
        const bool changes = now->count > 0 && draw(world, 2) == 0;
        const uint64_t id = changes ? now->refs[draw(world, now->count)].id : 0;
        bool is_twice = now->count + count >= IDS_MAX;
        for (size_t j = 0; j < step->put_count; j++)
            is_twice = is_twice || (id != 0 && step->puts[j].id == id);
        if (!is_twice)
            add_put(world, step, id);
    }
}

static void plan(struct world *world, const struct state *now, struct step *step)
{
    *step = (struct step){0};
    const uint64_t kind = draw(world, 10);
    if (kind < 7 || now->count == 0) {
        plan_saves(world, now, step);
    } else if (now->flight == 0) {
        step->flies = true;
        for (size_t i = 0; i < now->count && i < 8; i++)
            step->landed[step->landed_count++] = now->refs[i];
    } else {
        step->batch = now->flight;
        for (size_t i = 0; i < now->count && i < 8; i++)
            step->landed[step->landed_count++] = now->refs[i];
    }
}

static tears_status run(struct world *world, struct step *step)
{
    if (step->flies)
        return t3_journal_fly(world->journal, step->landed, step->landed_count, soon(),
                              &step->batch, NULL);
    const struct t3_journal_landing landing = {.batch = step->batch,
                                               .landed = step->landed,
                                               .landed_count = step->landed_count,
                                               .puts = step->puts,
                                               .put_count = step->put_count};
    return t3_journal_land(world->journal, &landing, soon(), NULL);
}

/* What the step makes of a state.  Ids of new records are known only when it succeeded; 0 stands for them. */
static void apply(const struct step *step, struct state *state)
{
    if (step->flies) {
        state->flight = step->batch != 0 ? step->batch : UINT64_MAX;
        return;
    }
    for (size_t i = 0; i < step->landed_count; i++)
        for (size_t j = 0; j < state->count; j++)
            if (state->refs[j].id == step->landed[i].id &&
                state->refs[j].seq == step->landed[i].seq)
                state->refs[j--] = state->refs[--state->count];
    for (size_t i = 0; i < step->put_count; i++) {
        size_t at = 0;
        while (at < state->count &&
               (step->puts[i].id == 0 || state->refs[at].id != step->puts[i].id))
            at++;
        state->refs[at] = (struct t3_journal_ref){step->puts[i].id, step->puts[i].seq};
        state->count += at == state->count ? 1 : 0;
    }
    if (step->batch != 0)
        state->flight = 0;
}

/* ---- a world ---- */

static tears_status open_journal(struct world *world, const char *vfs)
{
    const struct t3_journal_options options = {
        .path = tears_str_c(world->path), .durability = world->durability, .vfs = vfs};
    return t3_journal_open(&options, soon(), &world->journal, NULL);
}

static void checkpoint(struct world *world)
{
    const struct t3_lite_options options = {.path = tears_str_c(world->path),
                                            .origin = "test",
                                            .is_relaxed = world->durability == TEARS_DURABLE_NORMAL,
                                            .vfs = TORN_VFS};
    if (world->checkpointer == NULL &&
        t3_lite_open(&options, soon(), &world->checkpointer, NULL) != TEARS_OK)
        return;
    (void)t3_lite_checkpoint(world->checkpointer, t3_deadline_in_ms(200), NULL);
}

static void work(struct world *world)
{
    if (open_journal(world, TORN_VFS) != TEARS_OK ||
        t3_journal_layout(world->journal, TEARS_STR("t"), TEARS_STR("l"), soon(), &world->layout,
                          NULL) != TEARS_OK)
        return;
    for (int i = 0; i < STEPS; i++) {
        struct step step;
        if (draw(world, 12) == 0)
            checkpoint(world);
        const struct state *now = &world->states[world->acknowledged];
        struct state *next = &world->states[world->acknowledged + 1];
        plan(world, now, &step);
        const tears_status status = run(world, &step);
        *next = *now;
        apply(&step, next);
        for (size_t j = 0; j < step.put_count; j++)
            free(step.texts[j]);
        world->tried = world->acknowledged + 1;
        if (status != TEARS_OK)
            return; /* only the power fails */
        world->acknowledged++;
    }
}

static bool holds(const struct state *state, const struct journal_content *content)
{
    if (state->count != content->record_count ||
        (state->flight != 0) != (content->flight_count > 0))
        return false;
    for (size_t i = 0; i < state->count; i++) {
        bool found = false;
        for (size_t j = 0; j < content->record_count && !found; j++) {
            const struct journal_content_record *record = &content->records[j];
            found = record->seq == state->refs[i].seq &&
                    (state->refs[i].id == 0 || record->id == state->refs[i].id);
        }
        if (!found)
            return false;
    }
    return true;
}

static void check_bytes(const struct journal_content *content)
{
    static char text[TEXT_MAX];
    for (size_t i = 0; i < content->record_count; i++) {
        const size_t len = make_text(content->records[i].seq, text);
        assert_int_equal(content->records[i].len, len);
        assert_memory_equal(content->records[i].bytes, text, len);
    }
}

/* FULL: the last acknowledged state, or the one that was being written.  NORMAL: one that there was. */
static void compare(struct world *world, uint64_t seed)
{
    struct journal_content content = {0};
    struct tears_error error = {0};
    torn_begin(seed, 0); /* the power is back */
    const tears_status status = open_journal(world, TORN_VFS);
    assert_int_equal(status, TEARS_OK);
    if (journal_content_read(world->journal, &content, &error) != TEARS_OK)
        fail_msg("world %llu: %s", (unsigned long long)seed, error.message);
    assert_int_equal(content.damaged, 0);
    check_bytes(&content);
    const size_t first = world->durability == TEARS_DURABLE_FULL ? world->acknowledged : 0;
    bool found = false;
    for (size_t i = first; i <= world->tried && !found; i++)
        found = holds(&world->states[i], &content);
    if (!found)
        fail_msg("world %llu: %zu records are in the journal; acknowledged are %zu, in step %zu",
                 (unsigned long long)seed, content.record_count,
                 world->states[world->acknowledged].count, world->acknowledged);
    journal_content_done(&content);
    t3_journal_free(T3_TAKE(world->journal));
    torn_end();
}

static size_t live(uint64_t seed, uint64_t durability, uint64_t fails_at)
{
    static struct world world;
    world = (struct world){.random = (seed + 7) * 0x9e3779b97f4a7c15u, .durability = durability};
    temp_folder_make(&world.folder);
    snprintf(world.path, sizeof world.path, "%s/pending.db", world.folder.path);
    torn_begin(seed, fails_at);
    work(&world);
    torn_fail();
    t3_lite_free(world.checkpointer);
    t3_journal_free(T3_TAKE(world.journal));
    torn_end();
    compare(&world, seed);
    temp_folder_remove(&world.folder);
    return world.acknowledged;
}

static uint64_t worlds(void)
{
    const char *text = getenv("TEARS_TORN_WORLDS");
    return text != NULL ? strtoull(text, NULL, 10) : 300;
}

static void run_worlds(uint64_t durability)
{
    size_t acknowledged = 0;
    const uint64_t count = worlds();
    for (uint64_t seed = 0; seed < count; seed++)
        acknowledged += live(seed, durability, 1 + seed * 7 % 260);
    print_message("%llu losses of power, %zu writes acknowledged before them\n",
                  (unsigned long long)count, acknowledged);
}

static void with_full_nothing_that_was_acknowledged_is_lost(void **state)
{
    (void)state;
    run_worlds(TEARS_DURABLE_FULL);
}

static void with_normal_what_is_left_is_what_there_once_was(void **state)
{
    (void)state;
    run_worlds(TEARS_DURABLE_NORMAL);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(with_full_nothing_that_was_acknowledged_is_lost),
        cmocka_unit_test(with_normal_what_is_left_is_what_there_once_was),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
