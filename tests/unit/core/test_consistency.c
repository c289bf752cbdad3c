/*
 * test_consistency.c -- what each level of consistency promises, on two processes that share a store and tell each other
 * nothing: whatever one's cache holds may be old, and only the level decides whether that is noticed.
 */
#include "base/clock.h"
#include "core/floors.h"
#include "support/embedded.h"
#include "support/items.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct hook_store hook;
static tears_schema *schema;
static struct items here;
static struct items there;

static int open_world(void **state)
{
    (void)state;
    hook_store_init(&hook);
    schema = hook_store_schema();
    items_open(&here, &hook, schema, NULL, NULL);
    items_open(&there, &hook, schema, NULL, NULL);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    items_close(&here);
    items_close(&there);
    tears_schema_free(schema);
    return 0;
}

static void set_level(tears_session *session, uint32_t level, uint64_t bound_ms)
{
    assert_int_equal(tears_session_set_consistency(session, level, bound_ms), TEARS_OK);
}

static const char *name_here(int64_t id)
{
    return items_name(here.session, &here, id);
}

static const char *name_there(int64_t id)
{
    return items_name(there.session, &there, id);
}

/* ---- STRONG and BOUNDED -------------------------------------------------------------------------- */

static void strong_reads_what_l3_holds_now(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    assert_string_equal(name_here(1), "old"); /* nobody has told */
    set_level(here.session, TEARS_READ_STRONG, 0);
    assert_string_equal(name_here(1), "new");
    assert_int_equal(tears_session_tier(here.session), TEARS_TIER_L3);
    assert_int_equal(items_stats(&here).strong_reads, 1);
    set_level(here.session, TEARS_READ_ANY, 0);
    assert_string_equal(name_here(1), "new"); /* L1 was put right */
    assert_int_equal(tears_session_tier(here.session), TEARS_TIER_L1);
}

static void strong_holds_for_every_kind_of_read(void **state)
{
    (void)state;
    const struct tears_value keys[] = {tears_int(1), tears_int(2)};
    tears_entity *entities[2];
    struct tears_value value;
    size_t found = 0;
    hook_store_put(&hook, 1, "old");
    hook_store_put(&hook, 2, "old");
    assert_int_equal(tears_ensure(here.session, here.rows, keys, 2, &found), TEARS_OK);
    hook_store_put(&hook, 1, "new");
    hook_store_put(&hook, 2, "new");
    set_level(here.session, TEARS_READ_STRONG, 0);
    assert_int_equal(tears_get_field(here.session, here.rows, keys, 1, TEARS_STR("name"), &value),
                     TEARS_OK);
    assert_int_equal(value.as.bytes.len, 3);
    assert_memory_equal(value.as.bytes.ptr, "new", 3);
    assert_int_equal(tears_get_many(here.session, here.rows, keys, 2, entities), TEARS_OK);
    assert_string_equal(embedded_text(entities[1], "name"), "new");
    hook_store_put(&hook, 2, "newer");
    assert_int_equal(tears_ensure(here.session, here.rows, keys, 2, &found), TEARS_OK);
    set_level(here.session, TEARS_READ_ANY, 0);
    assert_string_equal(name_here(2), "newer"); /* ensure has read it anew */
}

/* What L3 no longer has goes from L1, too. */
static void a_strong_read_of_nothing_forgets_the_row(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "here today");
    assert_string_equal(name_here(1), "here today");
    items_delete(there.session, &there, 1);
    assert_string_equal(name_here(1), "here today");
    set_level(here.session, TEARS_READ_STRONG, 0);
    assert_string_equal(name_here(1), "");
    set_level(here.session, TEARS_READ_ANY, 0);
    assert_string_equal(name_here(1), "");
}

/* The row was deleted and inserted again, so its versions began anew: L1's higher version must not outlive that. */
static void versions_that_begin_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        hook_store_put(&hook, 1, "first life");
    assert_string_equal(name_here(1), "first life");
    items_delete(there.session, &there, 1);
    hook_store_put(&hook, 1, "second life");
    set_level(here.session, TEARS_READ_STRONG, 0);
    assert_string_equal(name_here(1), "second life");
    set_level(here.session, TEARS_READ_ANY, 0);
    assert_string_equal(name_here(1), "second life");
}

static void bounded_reads_nothing_older(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    set_level(here.session, TEARS_READ_BOUNDED, 1000);
    assert_string_equal(name_here(1), "old");
    t3_clock_shift_ms(1500);
    set_level(here.session, TEARS_READ_BOUNDED, 5000);
    assert_string_equal(name_here(1), "old");
    set_level(here.session, TEARS_READ_BOUNDED, 1000);
    assert_string_equal(name_here(1), "new");
    assert_int_equal(items_stats(&here).l1_suspects, 1);
}

static void bounded_holds_for_single_cells(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    struct tears_value value;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    t3_clock_shift_ms(1500);
    set_level(here.session, TEARS_READ_BOUNDED, 1000);
    assert_int_equal(tears_get_field(here.session, here.rows, &key, 1, TEARS_STR("name"), &value),
                     TEARS_OK);
    assert_memory_equal(value.as.bytes.ptr, "new", 3);
}

/* Trap 12: a row from the future is of a clock that went back; how old it is nobody knows. */
static void trap_12_a_clock_that_goes_back_makes_nothing_fresh(void **state)
{
    (void)state;
    t3_clock_shift_ms(600000);
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    t3_clock_shift_ms((uint64_t)-600000);
    set_level(here.session, TEARS_READ_BOUNDED, 1000);
    assert_string_equal(name_here(1), "new");
}

/* ---- flights ------------------------------------------------------------------------------------- */

static tears_session *second; /* of `here`; reads while the first one waits for L3 */

static void read_meanwhile(void *owner, int64_t id)
{
    (void)owner;
    hook_store_put(&hook, id, "new");
    assert_string_equal(items_name(second, &here, id), "new");
}

/* The first read has its row from L3 already, and it is old now: a strong read must not be given it. */
static void strong_joins_no_flight(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    second = items_session(&here);
    tears_session_set_timeout(second, 2000);
    set_level(second, TEARS_READ_STRONG, 0);
    hook.after_read = read_meanwhile;
    assert_string_equal(name_here(1), "old");
    tears_session_free(second);
}

static void read_much_later(void *owner, int64_t id)
{
    t3_clock_shift_ms(1000); /* L3 has taken its time */
    read_meanwhile(owner, id);
}

static void bounded_joins_no_old_flight(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    second = items_session(&here);
    tears_session_set_timeout(second, 2000);
    set_level(second, TEARS_READ_BOUNDED, 500);
    hook.after_read = read_much_later;
    assert_string_equal(name_here(1), "old");
    tears_session_free(second);
}

/* ---- SESSION ------------------------------------------------------------------------------------- */

static struct tears_str token_of(tears_session *session)
{
    struct tears_str token;
    assert_int_equal(tears_session_token(session, &token), TEARS_OK);
    return token;
}

static void follow(tears_session *session, struct tears_str token)
{
    if (tears_session_follow(session, token) != TEARS_OK)
        fail_msg("follow: %s", tears_session_error(session)->message);
}

static void a_token_hands_on_what_was_written(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    set_level(here.session, TEARS_READ_SESSION, 0);
    assert_int_equal(token_of(here.session).len, 0); /* nothing to tell */
    items_put(here.session, &here, 1, "new");
    assert_string_equal(name_there(1), "old");
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "new");
    assert_int_equal(tears_session_tier(there.session), TEARS_TIER_L3);
    assert_string_equal(name_there(1), "new");
    assert_int_equal(tears_session_tier(there.session),
                     TEARS_TIER_L1); /* and is at the floor now */
}

static void a_token_hands_on_what_was_seen(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    hook_store_put(&hook, 1, "new");
    set_level(here.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_here(1), "new");
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "new");
}

static void a_token_hands_on_deletions(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "there");
    assert_string_equal(name_there(1), "there");
    set_level(here.session, TEARS_READ_SESSION, 0);
    items_delete(here.session, &here, 1);
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "");
    hook_store_put(&hook, 1, "again");      /* version 1, as before */
    assert_string_equal(name_there(1), ""); /* a negative entry, no older than the deletion */
    set_level(there.session, TEARS_READ_STRONG, 0);
    assert_string_equal(name_there(1), "again");
}

static void seeing_that_a_row_is_gone_counts(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "there");
    assert_string_equal(name_there(1), "there");
    items_delete(here.session, &here, 1);
    set_level(here.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_here(1), "");
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "");
}

/* Of a row that was there, a cached "no such row" is older. */
static void a_negative_entry_is_older_than_a_row(void **state)
{
    (void)state;
    assert_string_equal(name_there(1), "");
    set_level(here.session, TEARS_READ_SESSION, 0);
    items_put(here.session, &here, 1, "made");
    assert_string_equal(name_there(1), "");
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "made");
}

/* The same where the session itself saw that there was none: what the token tells of may be later. */
static void an_absence_seen_before_outweighs_no_token(void **state)
{
    (void)state;
    set_level(there.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_there(1), "");
    set_level(here.session, TEARS_READ_SESSION, 0);
    items_put(here.session, &here, 1, "made");
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "made");
    assert_int_equal(tears_session_tier(there.session), TEARS_TIER_L3);
}

/* And the other way round: what the session saw itself may be later than the absence that the token tells of. */
static void an_absence_in_a_token_outweighs_no_row(void **state)
{
    (void)state;
    tears_session *earlier = items_session(&there);
    set_level(here.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_here(1), "");
    const struct tears_str token = token_of(here.session);
    set_level(there.session, TEARS_READ_SESSION, 0);
    items_put(there.session, &there, 1, "made");
    items_delete(here.session, &here, 1);
    const struct tears_value key = tears_int(1);
    assert_int_equal(tears_evict(earlier, there.rows, &key, 1), TEARS_OK);
    assert_string_equal(items_name(earlier, &there, 1), ""); /* a negative entry */
    hook_store_put(&hook, 1, "again");
    follow(there.session, token);
    assert_string_equal(name_there(1), "again");
    tears_session_free(earlier);
}

static void the_winner_of_a_conflict_counts_as_seen(void **state)
{
    (void)state;
    const struct tears_value key = tears_int(1);
    const struct tears_field field =
        tears_field_of(TEARS_STR("name"), tears_text(TEARS_STR("mine")));
    tears_entity *base = NULL;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_there(1), "old");
    set_level(here.session, TEARS_READ_SESSION, 0);
    assert_int_equal(tears_get(here.session, here.rows, &key, 1, &base), TEARS_OK);
    hook_store_put(&hook, 1, "winner");
    assert_int_equal(tears_update(here.session, base, &field, 1, NULL), TEARS_CONFLICT);
    follow(there.session, token_of(here.session));
    assert_string_equal(name_there(1), "winner");
}

/* Two sessions of one process: the second has caused the first's cache to be newer than itself. */
static void a_session_never_goes_back(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "one");
    assert_string_equal(name_here(1), "one");
    hook_store_put(&hook, 1, "two");
    assert_string_equal(name_there(1), "two");
    set_level(there.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_there(1), "two");
    follow(here.session, token_of(there.session));
    assert_string_equal(name_here(1), "two");
    hook_store_put(&hook, 1, "three");
    assert_string_equal(
        name_here(1),
        "two"); /* ANY's bound still counts, and this is no older than what was seen */
}

static void tokens_add_up(void **state)
{
    (void)state;
    tears_session *third = items_session(&here);
    hook_store_put(&hook, 1, "a");
    hook_store_put(&hook, 2, "a");
    assert_string_equal(name_there(1), "a");
    assert_string_equal(name_there(2), "a");
    set_level(here.session, TEARS_READ_SESSION, 0);
    set_level(third, TEARS_READ_SESSION, 0);
    items_put(here.session, &here, 1, "b");
    items_put(third, &here, 2, "b");
    follow(there.session, token_of(here.session));
    follow(there.session, token_of(third));
    follow(there.session, TEARS_STR("")); /* what a session has that has seen nothing */
    assert_string_equal(name_there(1), "b");
    assert_string_equal(name_there(2), "b");
    tears_session_free(third);
}

/* The memory of a session is bounded; then what is not remembered is read from L3. */
static void past_the_limit_l3_is_asked(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    set_level(here.session, TEARS_READ_SESSION, 0);
    for (int64_t id = 0; id < T3_FLOORS_MAX + 1; id++) {
        assert_int_equal(items_get(here.session, &here, 1000 + id), TEARS_NOT_FOUND);
        tears_session_reset(here.session);
    }
    assert_string_equal(name_here(1), "new");
    const struct tears_str token = token_of(here.session);
    assert_true(token.len <= (6 + T3_FLOORS_MAX * 18) / 3 * 4);
    set_level(there.session, TEARS_READ_SESSION, 0);
    assert_string_equal(name_there(1), "new");
    hook_store_put(&hook, 1, "newer");
    tears_session *other = items_session(&there);
    follow(other, token);
    assert_string_equal(items_name(other, &there, 1), "newer");
    tears_session_free(other);
}

static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    set_level(here.session, TEARS_READ_SESSION, 0);
    items_put(here.session, &here, 1, "one");
    items_put(here.session, &here, 2, "two");
    const struct tears_str token = token_of(here.session);
    char *copy = malloc(token.len + 4);
    assert_non_null(copy);
    for (size_t i = 0; i < token.len; i++) {
        assert_true(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                           token.ptr[i]) != NULL);
        memcpy(copy, token.ptr, token.len);
        copy[i] = copy[i] == 'x' ? 'y' : 'x';
        assert_int_equal(tears_session_follow(there.session, tears_str_n(copy, token.len)),
                         TEARS_INVALID);
        assert_int_equal(tears_session_follow(there.session, tears_str_n(token.ptr, i + 1)),
                         i + 1 == token.len ? TEARS_OK : TEARS_INVALID);
        if (i + 2 == token.len)
            break;
    }
    free(copy);
    assert_int_equal(tears_session_follow(there.session, TEARS_STR("not a token")), TEARS_INVALID);
    assert_true(strstr(tears_session_error(there.session)->message, "token") != NULL);
    hook_store_put(&hook, 1, "changed");
    assert_int_equal(items_stats(&there).strong_reads, 0); /* nothing was taken over */
}

/* ---- settings ------------------------------------------------------------------------------------ */

static void levels_are_checked(void **state)
{
    (void)state;
    struct tears_session_options options = TEARS_SESSION_OPTIONS_INIT;
    tears_session *session = NULL;
    assert_int_equal(tears_session_set_consistency(here.session, 4, 0), TEARS_INVALID);
    assert_int_equal(tears_session_set_consistency(here.session, TEARS_READ_ANY, 5), TEARS_INVALID);
    options.consistency = 9;
    assert_int_equal(tears_session_new(here.client, &options, &session), TEARS_INVALID);
    options.consistency = TEARS_READ_STRONG;
    options.bound_ms = 1;
    assert_int_equal(tears_session_new(here.client, &options, &session), TEARS_INVALID);
    options.bound_ms = 0;
    assert_int_equal(tears_session_new(here.client, &options, &session), TEARS_OK);
    hook_store_put(&hook, 1, "old");
    assert_string_equal(name_here(1), "old");
    hook_store_put(&hook, 1, "new");
    assert_string_equal(items_name(session, &here, 1), "new");
    tears_session_free(session);
}

/* Without versions nothing can be said to be newer: at level SESSION everything is read from L3. */
static void without_versions_a_session_reads_l3(void **state)
{
    (void)state;
    struct embedded world;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT)");
    embedded_sql(&world, "INSERT INTO plain VALUES (1, 'old')");
    tears_collection *plain = embedded_collection(&world, "plain");
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_get(world.session, plain, &key, 1, &entity), TEARS_OK);
    embedded_sql(&world, "UPDATE plain SET name = 'new'");
    assert_int_equal(tears_get(world.session, plain, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "old");
    set_level(world.session, TEARS_READ_SESSION, 0);
    assert_int_equal(tears_get(world.session, plain, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "new");
    embedded_close(&world);
}

/* Trap 25: what is read inside a transaction may never be committed, so no cache keeps it. */
static void trap_25_reads_in_a_transaction_fill_nothing(void **state)
{
    (void)state;
    struct embedded world;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT)");
    embedded_sql(&world, "INSERT INTO plain VALUES (1, 'committed')");
    tears_collection *plain = embedded_collection(&world, "plain");
    const struct tears_value key = tears_int(1);
    tears_entity *entity = NULL;
    assert_int_equal(tears_begin(world.session), TEARS_OK);
    assert_int_equal(
        tears_execute(world.session, TEARS_STR("UPDATE plain SET name = 'draft'"), NULL, 0, NULL),
        TEARS_OK);
    assert_int_equal(tears_get(world.session, plain, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "draft");
    assert_false(tears_exists_in_l1(world.session, plain, &key, 1));
    assert_int_equal(tears_rollback(world.session), TEARS_OK);
    assert_int_equal(tears_get(world.session, plain, &key, 1, &entity), TEARS_OK);
    assert_string_equal(embedded_text(entity, "name"), "committed");
    embedded_close(&world);
}

/* ---- when L3 fails ------------------------------------------------------------------------------- */

static void serving_stale_has_its_bound(void **state)
{
    (void)state;
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct items patient;
    options.l1_age_ms_max = 1000;
    options.stale_ms_max = 10000;
    items_open(&patient, &hook, schema, NULL, &options);
    hook_store_put(&hook, 1, "kept");
    assert_string_equal(items_name(patient.session, &patient, 1), "kept");
    t3_clock_shift_ms(5000);
    atomic_store(&hook.down, true);
    assert_string_equal(items_name(patient.session, &patient, 1), "kept");
    assert_int_equal(tears_session_degraded(patient.session), TEARS_DEGRADED_L3_READ);
    assert_int_equal(tears_session_error(patient.session)->status, TEARS_OK);
    assert_int_equal(items_stats(&patient).stale_served, 1);
    set_level(patient.session, TEARS_READ_BOUNDED, 2000);
    assert_int_equal(items_get(patient.session, &patient, 1), TEARS_UNAVAILABLE);
    set_level(patient.session, TEARS_READ_STRONG, 0);
    assert_int_equal(items_get(patient.session, &patient, 1), TEARS_UNAVAILABLE);
    set_level(patient.session, TEARS_READ_ANY, 0);
    t3_clock_shift_ms(6000);
    assert_int_equal(items_get(patient.session, &patient, 1), TEARS_UNAVAILABLE);
    atomic_store(&hook.down, false);
    assert_string_equal(items_name(patient.session, &patient, 1), "kept");
    assert_int_equal(tears_session_degraded(patient.session), 0);
    items_close(&patient);
}

static void of_many_rows_all_must_be_within_it(void **state)
{
    (void)state;
    const struct tears_value keys[] = {tears_int(1), tears_int(2)};
    tears_entity *entities[2];
    struct tears_collection_options options = TEARS_COLLECTION_OPTIONS_INIT;
    struct items patient;
    options.l1_age_ms_max = 1000;
    options.stale_ms_max = 10000;
    items_open(&patient, &hook, schema, NULL, &options);
    hook_store_put(&hook, 1, "kept");
    hook_store_put(&hook, 2, "never read");
    assert_string_equal(items_name(patient.session, &patient, 1), "kept");
    t3_clock_shift_ms(5000);
    atomic_store(&hook.down, true);
    assert_int_equal(tears_get_many(patient.session, patient.rows, keys, 2, entities),
                     TEARS_UNAVAILABLE);
    assert_int_equal(tears_get_many(patient.session, patient.rows, keys, 1, entities), TEARS_OK);
    assert_string_equal(embedded_text(entities[0], "name"), "kept");
    items_close(&patient);
}

static void nothing_stale_is_served_unless_asked_for(void **state)
{
    (void)state;
    hook_store_put(&hook, 1, "kept");
    assert_string_equal(name_here(1), "kept");
    t3_clock_shift_ms(70000);
    atomic_store(&hook.down, true);
    assert_int_equal(items_get(here.session, &here, 1), TEARS_UNAVAILABLE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(strong_reads_what_l3_holds_now),
        TEST(strong_holds_for_every_kind_of_read),
        TEST(a_strong_read_of_nothing_forgets_the_row),
        TEST(versions_that_begin_anew),
        TEST(bounded_reads_nothing_older),
        TEST(bounded_holds_for_single_cells),
        TEST(trap_12_a_clock_that_goes_back_makes_nothing_fresh),
        TEST(strong_joins_no_flight),
        TEST(bounded_joins_no_old_flight),
        TEST(a_token_hands_on_what_was_written),
        TEST(a_token_hands_on_what_was_seen),
        TEST(a_token_hands_on_deletions),
        TEST(seeing_that_a_row_is_gone_counts),
        TEST(a_negative_entry_is_older_than_a_row),
        TEST(an_absence_seen_before_outweighs_no_token),
        TEST(an_absence_in_a_token_outweighs_no_row),
        TEST(the_winner_of_a_conflict_counts_as_seen),
        TEST(a_session_never_goes_back),
        TEST(tokens_add_up),
        TEST(past_the_limit_l3_is_asked),
        TEST(what_is_no_token_is_refused),
        TEST(levels_are_checked),
        TEST(without_versions_a_session_reads_l3),
        TEST(trap_25_reads_in_a_transaction_fill_nothing),
        TEST(serving_stale_has_its_bound),
        TEST(of_many_rows_all_must_be_within_it),
        TEST(nothing_stale_is_served_unless_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
