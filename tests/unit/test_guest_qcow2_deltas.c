/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of refcounts as runs and arrays, against an array of numbers.
 */
#include <glib.h>

#include "guest/formats/qcow2_deltas.h"

#define FROM 192u
#define TO   (FROM + 64u * 100)

/* Runs of all lengths, also past both ends. */
static void test_random(void)
{
    for (unsigned round = 0; round < 300; round++) {
        struct qcow2_deltas d;
        int32_t model[TO + 3000] = {0};
        uint64_t longest = (uint64_t)g_test_rand_int_range(1, 2600);
        bool no_memory;
        g_assert_true(qcow2_deltas_init(&d, FROM, TO, 64));
        for (unsigned n = (unsigned)g_test_rand_int_range(1, 60); n > 0; n--) {
            uint64_t at = (uint64_t)g_test_rand_int_range(0, TO + 300);
            uint64_t nr = (uint64_t)g_test_rand_int_range(0, (int)longest + 1);
            int add = g_test_rand_int_range(0, 2) ? 1 : -1;
            g_assert_true(qcow2_deltas_add(&d, at, nr, add, &no_memory));
            for (uint64_t c = at; c < at + nr; c++)
                model[c] += add;
        }
        for (uint64_t c = FROM, end; c < TO; c = end) {
            int32_t add = qcow2_deltas_run(&d, c, &end);
            g_assert_cmpuint(end, >, c);
            g_assert_cmpuint(end, <=, TO);
            for (uint64_t k = c; k < end; k++)
                g_assert_cmpint(model[k], ==, add);
        }
        qcow2_deltas_clear(&d);
    }
}

/* Runs that go on from each other are one, and need no array. */
static void test_joined(void)
{
    struct qcow2_deltas d;
    bool no_memory;
    uint64_t end;
    g_assert_true(qcow2_deltas_init(&d, 0, 1024, 64));
    for (uint64_t c = 0; c < 1024; c++)
        g_assert_true(qcow2_deltas_add(&d, c, 1, 1, &no_memory));
    g_assert_cmpint(qcow2_deltas_run(&d, 0, &end), ==, 1);
    g_assert_cmpuint(end, ==, 1024);
    g_assert_cmpuint(d.nr_arrays, ==, 0);
    g_assert_true(qcow2_deltas_add(&d, 0, 1024, -1, &no_memory));
    g_assert_cmpuint(d.pages[0].nr_runs, ==, 0);
    qcow2_deltas_clear(&d);
}

/* Every other cluster: the window becomes smaller, and keeps what it has. */
static void test_shrinks(void)
{
    uint64_t nr = (QCOW2_DELTAS_ARRAYS_MAX + 1000ull) * QCOW2_DELTAS_PAGE, end;
    struct qcow2_deltas d;
    bool no_memory;
    g_assert_true(qcow2_deltas_init(&d, 0, nr, 2048));
    for (uint64_t c = 0; c < nr; c += 2)
        g_assert_true(qcow2_deltas_add(&d, c, 1, 3, &no_memory));
    g_assert_cmpuint(d.nr_arrays, <=, QCOW2_DELTAS_ARRAYS_MAX);
    g_assert_cmpuint(d.to, <, nr);
    g_assert_cmpuint(d.to, >=, nr / 4);
    g_assert_cmpuint(d.to % 2048, ==, 0);
    for (uint64_t c = 0; c < d.to; c++)
        g_assert_cmpint(qcow2_deltas_run(&d, c, &end), ==, c % 2 ? 0 : 3);
    qcow2_deltas_clear(&d);
}

static void test_range(void)
{
    struct qcow2_deltas d;
    bool no_memory;
    g_assert_true(qcow2_deltas_init(&d, 0, 1024, 64));
    g_assert_true(qcow2_deltas_add(&d, 5, 1, INT32_MAX, &no_memory));
    g_assert_false(qcow2_deltas_add(&d, 0, 10, 1, &no_memory));
    g_assert_false(no_memory);
    g_assert_true(qcow2_deltas_add(&d, 0, 10, -1, &no_memory));
    qcow2_deltas_clear(&d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2-deltas/random", test_random);
    g_test_add_func("/qcow2-deltas/joined", test_joined);
    g_test_add_func("/qcow2-deltas/shrinks", test_shrinks);
    g_test_add_func("/qcow2-deltas/range", test_range);
    return g_test_run();
}
