/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/copy/lease: room is never handed out twice, and compressed units are packed.
 */
#include <glib.h>

#include "src/copy/lease.h"

#define UNIT 65536u

static void test_data(void)
{
    struct lease lease = {.unit = UNIT, .align = 1};
    guint64 at;

    g_assert_cmpuint(lease_take(&lease, UNIT, &at), ==, 0);
    lease_add(&lease, 10 * UNIT, 4 * UNIT);
    g_assert_cmpuint(lease_take(&lease, 3 * UNIT, &at), ==, 3 * UNIT);
    g_assert_cmpuint(at, ==, 10 * UNIT);
    /* as much as there is; then room that continues it */
    g_assert_cmpuint(lease_take(&lease, 2 * UNIT, &at), ==, UNIT);
    g_assert_cmpuint(at, ==, 13 * UNIT);
    lease_add(&lease, 14 * UNIT, UNIT);
    /* the disk's end: half a unit takes a whole one */
    g_assert_cmpuint(lease_take(&lease, UNIT / 2, &at), ==, UNIT / 2);
    g_assert_cmpuint(at, ==, 14 * UNIT);
    g_assert_cmpuint(lease_left(&lease), ==, 0);
}

/* Room that comes before all is used up, and elsewhere: what was left is used first. */
static void test_runs(void)
{
    struct lease lease = {.unit = UNIT, .align = 1};
    guint64 at;

    g_assert_cmpuint(lease_unused(&lease), ==, 0);
    lease_add(&lease, 10 * UNIT, 4 * UNIT);
    g_assert_cmpuint(lease_take(&lease, UNIT, &at), ==, UNIT);
    lease_add(&lease, 20 * UNIT, 4 * UNIT);
    g_assert_cmpuint(lease_left(&lease), ==, 7 * UNIT);
    g_assert_cmpuint(lease_unused(&lease), ==, 11 * UNIT);
    g_assert_cmpuint(lease_take(&lease, 7 * UNIT, &at), ==, 3 * UNIT);
    g_assert_cmpuint(at, ==, 11 * UNIT);
    g_assert_cmpuint(lease_unused(&lease), ==, 20 * UNIT);
    g_assert_cmpuint(lease_take(&lease, 4 * UNIT, &at), ==, 4 * UNIT);
    g_assert_cmpuint(at, ==, 20 * UNIT);
    g_assert_cmpuint(lease_unused(&lease), ==, 24 * UNIT);

    /* compressed bytes go on in the next run; what is left of the last unit is kept */
    lease_add(&lease, 30 * UNIT, UNIT);
    lease_add(&lease, 40 * UNIT, UNIT);
    g_assert_true(lease_take_compressed(&lease, 40000, &at));
    g_assert_cmpuint(at, ==, 30 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 40000, &at));
    g_assert_cmpuint(at, ==, 40 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 25000, &at));
    g_assert_cmpuint(at % UNIT, ==, 40000);
    g_assert_cmpuint(lease_left(&lease), ==, 0);
}

/* However many runs there are, none is handed out twice and the newest is never lost. */
static void test_many_runs(void)
{
    struct lease lease = {.unit = UNIT, .align = 1};
    guint64 at, last = 0, taken = 0;

    for (guint i = 0; i < 3 * LEASE_RUNS; i++) {
        lease_add(&lease, (guint64)i * 10 * UNIT, UNIT);
    }
    g_assert_cmpuint(lease_left(&lease), ==, LEASE_RUNS * UNIT);
    while (lease_take(&lease, UNIT, &at) > 0) {
        g_assert_cmpuint(at, >, last);
        last = at;
        taken += UNIT;
    }
    g_assert_cmpuint(taken, ==, LEASE_RUNS * UNIT);
    g_assert_cmpuint(last, ==, (3 * LEASE_RUNS - 1) * 10ull * UNIT);
}

static void test_packing(void)
{
    struct lease lease = {.unit = UNIT, .align = 1};
    guint64 at;

    lease_add(&lease, 0, 4 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 40000, &at));
    g_assert_cmpuint(at, ==, 0);
    g_assert_true(lease_take_compressed(&lease, 40000, &at)); /* runs on into the next unit */
    g_assert_cmpuint(at, ==, 40000);
    g_assert_cmpuint(lease_take(&lease, UNIT, &at), ==, UNIT); /* stored data in between */
    g_assert_cmpuint(at, ==, 2 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 60000, &at)); /* does not fit behind 80000 */
    g_assert_cmpuint(at, ==, 3 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 50000, &at)); /* does */
    g_assert_cmpuint(at, ==, 80000);
    g_assert_true(lease_take_compressed(&lease, 5000, &at)); /* best fit, not first */
    g_assert_cmpuint(at, ==, 3 * UNIT + 60000);
    g_assert_false(lease_take_compressed(&lease, 5000, &at));
}

static void test_sharers(void)
{
    struct lease lease = {.unit = UNIT, .align = 1, .max_sharers = 1};
    guint64 at;

    lease_add(&lease, 0, 2 * UNIT);
    g_assert_true(lease_take_compressed(&lease, 100, &at));
    g_assert_cmpuint(at, ==, 0);
    g_assert_true(lease_take_compressed(&lease, 100, &at));
    g_assert_cmpuint(at, ==, UNIT);
    g_assert_false(lease_take_compressed(&lease, 100, &at));
}

/* Random sizes: every byte has one owner, and no unit more sharers than it may. */
static void test_random(void)
{
    enum { UNITS = 400 };
    struct lease lease = {.unit = UNIT, .align = 8, .max_sharers = 7};
    g_autofree guint8 *owned = g_malloc0(UNITS * UNIT);
    guint sharers[UNITS] = {0};
    GRand *rand = g_rand_new_with_seed(3);
    guint64 next = 0, at;

    while (next < UNITS || lease_left(&lease) > 0) {
        guint32 bytes = (guint32)g_rand_int_range(rand, 1, g_rand_boolean(rand) ? UNIT : 9000);
        gboolean stored = g_rand_int_range(rand, 0, 4) == 0;

        if (stored) {
            bytes = UNIT;
        }
        if (stored ? lease_take(&lease, UNIT, &at) == 0
                   : !lease_take_compressed(&lease, bytes, &at)) {
            if (next == UNITS) {
                break;
            }
            lease_add(&lease, next * UNIT, 8 * UNIT);
            next += 8;
            continue;
        }
        for (guint32 i = 0; i < bytes; i++) {
            g_assert_cmpuint(owned[at + i], ==, 0);
            owned[at + i] = 1;
        }
        g_assert_cmpuint(at % 8, ==, 0);
        for (guint64 u = at / UNIT; u <= (at + bytes - 1) / UNIT; u++) {
            g_assert_cmpuint(++sharers[u], <=, 7);
        }
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lease/data", test_data);
    g_test_add_func("/lease/runs", test_runs);
    g_test_add_func("/lease/many-runs", test_many_runs);
    g_test_add_func("/lease/packing", test_packing);
    g_test_add_func("/lease/sharers", test_sharers);
    g_test_add_func("/lease/random", test_random);
    return g_test_run();
}
