/*
 * test_flight.c -- who joins whose fetch.
 */
#include "core/flight.h"

#include "support/embedded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct embedded world;
static tears_collection *items;
static tears_collection *others;
static struct t3_flights *flights;

static int open_world(void **state)
{
    (void)state;
    embedded_open(&world, "");
    embedded_sql(&world, "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)");
    embedded_sql(&world, "CREATE TABLE others (id INTEGER PRIMARY KEY, name TEXT)");
    items = embedded_collection(&world, "items");
    others = embedded_collection(&world, "others");
    assert_int_equal(t3_flights_new(&flights), TEARS_OK);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    t3_flights_free(flights);
    embedded_close(&world);
    return 0;
}

/* A key of any hash. */
static struct t3_key key_of(const struct tears_value *value, uint64_t hash)
{
    const struct t3_key key = {.hash = hash, .count = 1, .values = value};
    return key;
}

static bool leads(tears_collection *collection, const struct t3_key *key,
                  struct t3_flight **flight_out)
{
    const struct t3_flight_wish wish = {.collection = collection, .key = key};
    bool lead = false;
    assert_int_equal(t3_flight_board(flights, &wish, flight_out, &lead), TEARS_OK);
    return lead;
}

static void land(struct t3_flight *flight)
{
    static const struct t3_found nothing;
    t3_flight_finish(flights, flight, TEARS_OK, NULL, &nothing);
}

/* Trap 28: whoever joined by the hash alone would be given another row. */
static void trap_28_two_keys_of_one_hash_are_two_flights(void **state)
{
    (void)state;
    const struct tears_value values[] = {tears_int(1), tears_int(2)};
    const struct t3_key one = key_of(&values[0], 77);
    const struct t3_key two = key_of(&values[1], 77);
    struct t3_flight *first = NULL;
    struct t3_flight *second = NULL;
    struct t3_flight *joined = NULL;
    struct t3_found found;
    bool leader_timed_out = false;
    assert_true(leads(items, &one, &first));
    assert_true(leads(items, &two, &second));
    assert_false(leads(items, &two, &joined));
    assert_true(joined == second);
    land(first);
    land(second);
    assert_int_equal(t3_flight_wait(flights, joined, world.session, &found, &leader_timed_out),
                     TEARS_OK);
}

static void a_key_of_another_table_is_another_flight(void **state)
{
    (void)state;
    const struct tears_value value = tears_int(1);
    const struct t3_key key = key_of(&value, 77);
    struct t3_flight *first = NULL;
    struct t3_flight *second = NULL;
    assert_true(leads(items, &key, &first));
    assert_true(leads(others, &key, &second));
    land(first);
    land(second);
}

/* The row may have changed since the flight was opened. */
static void a_flight_whose_ticket_died_is_not_joined(void **state)
{
    (void)state;
    const struct tears_value value = tears_int(1);
    const struct t3_key key = key_of(&value, 77);
    struct t3_flight *first = NULL;
    struct t3_flight *second = NULL;
    assert_true(leads(items, &key, &first));
    t3_collection_bump(items, &key);
    assert_true(leads(items, &key, &second));
    land(first);
    land(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(trap_28_two_keys_of_one_hash_are_two_flights),
        TEST(a_key_of_another_table_is_another_flight),
        TEST(a_flight_whose_ticket_died_is_not_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
