/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of host clusters, against an array that does the same without being clever.
 */
#include <glib.h>
#include <string.h>

#include "guest/formats/qcow2_counts.h"

#define CLUSTERS (QCOW2_COUNTS_PAGE * 3 + 100)
#define TURNS    4000

static uint32_t next_of(const uint32_t *counts, uint32_t cluster, uint32_t end)
{
    while (cluster < end && counts[cluster] == 0)
        cluster++;
    return cluster;
}

static void expect_same(const struct qcow2_counts *c, const uint32_t *counts)
{
    for (uint32_t i = 0; i < CLUSTERS; i++)
        g_assert_cmpuint(qcow2_counts_get(c, i), ==, counts[i]);
    for (uint32_t i = 0; i + 8 <= CLUSTERS; i += 8) {
        uint64_t eight;
        uint8_t bytes[8];
        if (!qcow2_counts_get8(c, i, &eight))
            continue;
        memcpy(bytes, &eight, sizeof(bytes));
        for (unsigned k = 0; k < 8; k++)
            g_assert_cmpuint(bytes[k], ==, counts[i + k]);
    }
    for (uint32_t i = 0; i < CLUSTERS; i += 7)
        g_assert_cmpuint(qcow2_counts_next(c, i, CLUSTERS), ==, next_of(counts, i, CLUSTERS));
}

static void fill(struct qcow2_counts *c, uint32_t *counts, uint32_t from, uint32_t nr)
{
    uint64_t done = qcow2_counts_fill(c, from, nr);
    g_assert_cmpuint(done, <=, nr);
    for (uint32_t i = 0; i < done; i++) {
        g_assert_cmpuint(counts[from + i], ==, 0);
        counts[from + i] = 1;
    }
}

static void raise_some(struct qcow2_counts *c, uint32_t *counts, uint32_t from, uint32_t nr)
{
    uint64_t done = qcow2_counts_raise(c, from, nr, 5);
    g_assert_cmpuint(done, <=, nr);
    for (uint32_t i = 0; i < done; i++) {
        g_assert_cmpuint(counts[from + i], ==, counts[from] - (i != 0));
        g_assert_cmpuint(counts[from + i], >, 0);
        g_assert_cmpuint(counts[from + i], <, 5);
        counts[from + i]++;
    }
}

static void set(struct qcow2_counts *c, uint32_t *counts, uint32_t cluster, uint32_t value)
{
    g_assert_true(qcow2_counts_set(c, cluster, value));
    counts[cluster] = value;
}

/* `most`: the largest value that is set, so that pages of every kind come up. */
static void test_random(gconstpointer most)
{
    g_autofree uint32_t *counts = g_new0(uint32_t, CLUSTERS);
    GRand *rand = g_rand_new_with_seed(GPOINTER_TO_UINT(most));
    struct qcow2_counts c;
    g_assert_true(qcow2_counts_init(&c, CLUSTERS));
    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint32_t cluster = (uint32_t)g_rand_int_range(rand, 0, CLUSTERS);
        uint32_t wanted = 1u << g_rand_int_range(rand, 0, 12);
        uint32_t longest = (uint32_t)MIN(CLUSTERS - cluster, wanted);
        if (!g_rand_int_range(rand, 0, 6))
            raise_some(&c, counts, cluster, longest);
        else if (g_rand_int_range(rand, 0, 4))
            fill(&c, counts, cluster, longest);
        else
            set(&c, counts, cluster,
                (uint32_t)g_rand_int_range(rand, 0, GPOINTER_TO_INT(most) + 1));
        if (turn % 400 == 0)
            expect_same(&c, counts);
    }
    expect_same(&c, counts);
    qcow2_counts_clear(&c);
    g_rand_free(rand);
}

/* Tables and data in order, with a block that is counted last: no page needs an array. */
static void test_runs_need_no_array(void)
{
    struct qcow2_counts c;
    g_assert_true(qcow2_counts_init(&c, CLUSTERS));
    for (uint64_t at = 0; at < CLUSTERS; at++) {
        if (at % 256 != 255)
            g_assert_cmpuint(qcow2_counts_fill(&c, at, 1), ==, 1);
    }
    for (uint64_t at = 255; at < CLUSTERS; at += 256)
        g_assert_true(qcow2_counts_set(&c, at, 1));
    for (uint64_t i = 0; i <= CLUSTERS >> QCOW2_COUNTS_PAGE_BITS; i++)
        g_assert_true(c.pages[i].narrow == NULL && c.pages[i].wide == NULL);
    g_assert_cmpuint(c.pages[0].nr_runs, ==, 1);
    qcow2_counts_clear(&c);
}

/* A second walk, that of a snapshot, over what the first has counted: none either. */
static void test_shared_runs_need_no_array(void)
{
    struct qcow2_counts c;
    g_assert_true(qcow2_counts_init(&c, CLUSTERS));
    for (uint64_t at = 0; at < CLUSTERS; at += QCOW2_COUNTS_PAGE)
        qcow2_counts_fill(&c, at, CLUSTERS - at);
    for (uint64_t at = 3, done; at < CLUSTERS; at += done) {
        done = 1;
        if (at % 512 != 0)
            done = qcow2_counts_raise(&c, at, 512 - at % 512, 9);
        g_assert_cmpuint(done, >, 0);
    }
    g_assert_cmpuint(qcow2_counts_raise(&c, 5, 1, 2), ==, 0);
    for (uint64_t i = 0; i <= CLUSTERS >> QCOW2_COUNTS_PAGE_BITS; i++)
        g_assert_true(c.pages[i].narrow == NULL && c.pages[i].wide == NULL);
    for (uint64_t at = 0; at < CLUSTERS; at++)
        g_assert_cmpuint(qcow2_counts_get(&c, at), ==, at < 3 || at % 512 == 0 ? 1 : 2);
    qcow2_counts_clear(&c);
}

static void test_large_values_saturate(void)
{
    struct qcow2_counts c;
    g_assert_true(qcow2_counts_init(&c, CLUSTERS));
    g_assert_true(qcow2_counts_set(&c, 5, UINT64_MAX));
    g_assert_cmpuint(qcow2_counts_get(&c, 5), ==, UINT32_MAX);
    g_assert_cmpuint(qcow2_counts_fill(&c, 4, 3), ==, 0);
    qcow2_counts_clear(&c);
}

static void test_growing_keeps_counts(void)
{
    struct qcow2_counts c;
    g_assert_true(qcow2_counts_init(&c, 10));
    g_assert_true(qcow2_counts_set(&c, 9, 7));
    g_assert_true(qcow2_counts_grow(&c, CLUSTERS));
    g_assert_true(qcow2_counts_set(&c, CLUSTERS - 1, 3));
    g_assert_cmpuint(qcow2_counts_get(&c, 9), ==, 7);
    g_assert_cmpuint(qcow2_counts_next(&c, 10, CLUSTERS), ==, CLUSTERS - 1);
    qcow2_counts_clear(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/guest/qcow2_counts/random/1", GINT_TO_POINTER(1), test_random);
    g_test_add_data_func("/guest/qcow2_counts/random/2", GINT_TO_POINTER(2), test_random);
    g_test_add_data_func("/guest/qcow2_counts/random/300", GINT_TO_POINTER(300), test_random);
    g_test_add_func("/guest/qcow2_counts/runs_need_no_array", test_runs_need_no_array);
    g_test_add_func("/guest/qcow2_counts/shared-runs", test_shared_runs_need_no_array);
    g_test_add_func("/guest/qcow2_counts/large_values_saturate", test_large_values_saturate);
    g_test_add_func("/guest/qcow2_counts/growing_keeps_counts", test_growing_keeps_counts);
    return g_test_run();
}
