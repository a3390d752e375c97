/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What formats with tables share: the view of a table that is read in pieces, and the set of
 * clusters.
 */
#include <glib.h>
#include <string.h>

#include "guest/formats/cluster_set.h"
#include "guest/formats/table_window.h"

#define ENTRIES (1u << 18)

static uint64_t table[ENTRIES];
static unsigned nr_reads;

static enum guest_err read_table(struct source *src, const struct source_piece *pieces,
                                 unsigned nr_pieces, struct guest_err_detail *detail)
{
    nr_reads++;
    for (unsigned i = 0; i < nr_pieces; i++)
        memcpy(pieces[i].dst, (const uint8_t *)table + pieces[i].offset, pieces[i].len);
    return GUEST_OK;
}

static struct source make_source(void)
{
    for (uint64_t i = 0; i < ENTRIES; i++)
        table[i] = i * 3;
    nr_reads = 0;
    return (struct source){.size_bytes = sizeof(table), .read = read_table};
}

static void test_walk(void)
{
    struct source src = make_source();
    struct table_window w = {0};
    uint64_t i = 0;

    while (i < ENTRIES) {
        struct span got;
        g_assert_cmpint(table_window_get(&w, &src, i * 8, (ENTRIES - i) * 8, &got, NULL), ==,
                        GUEST_OK);
        g_assert_cmpuint(got.len, >=, 8);
        g_assert_cmpuint(got.len, <=, TABLE_WINDOW_BYTES_MAX);
        g_assert_cmpmem(got.data, got.len, &table[i], got.len);
        i += got.len / 8;
    }
    g_assert_cmpuint(nr_reads, <=, 16);
    table_window_clear(&w);
    source_forget(&src);
}

static void test_lookups(void)
{
    struct source src = make_source();
    struct table_window w = {0};
    struct span got;

    for (unsigned n = 0; n < 2000; n++) {
        uint64_t i = n * 7919ull % ENTRIES;
        g_assert_cmpint(table_window_get(&w, &src, i * 8, 8, &got, NULL), ==, GUEST_OK);
        g_assert_cmpuint(got.len, ==, 8);
        g_assert_cmpuint(load_le64(got.data), ==, i * 3);
    }
    /* Entries of 4 bytes, the last one alone. */
    g_assert_cmpint(table_window_get(&w, &src, 100 * 8, 4, &got, NULL), ==, GUEST_OK);
    g_assert_cmpuint(got.len, ==, 4);
    g_assert_cmpuint(load_le32(got.data), ==, 300);
    table_window_clear(&w);
    source_forget(&src);
}

static void test_ends(void)
{
    struct source src = make_source();
    struct table_window w = {0};
    struct span got;

    /* Past the end of the file there are zeros. */
    g_assert_cmpint(table_window_get(&w, &src, sizeof(table) - 8, 16, &got, NULL), ==, GUEST_OK);
    g_assert_cmpuint(got.len, ==, 16);
    g_assert_cmpuint(load_le64(got.data), ==, (ENTRIES - 1) * 3ull);
    g_assert_cmpuint(load_le64(&got.data[8]), ==, 0);
    g_assert_cmpint(table_window_get(&w, &src, UINT64_MAX - 7, 16, &got, NULL), ==,
                    GUEST_ERR_RANGE);
    table_window_clear(&w);
    source_forget(&src);
}

static void test_set(void)
{
    struct cluster_set set;
    bool fresh;

    g_assert_true(cluster_set_init(&set, 1ull << 32));
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < 5000; i++) {
            g_assert_true(cluster_set_add(&set, i * 99991 % (1ull << 32), &fresh));
            g_assert_cmpint(fresh, ==, pass == 0);
        }
    }
    g_assert_cmpuint(set.nr_in, ==, 5000);
    g_assert_true(cluster_set_has(&set, 99991));
    g_assert_false(cluster_set_has(&set, 99990));
    g_assert_true(cluster_set_add(&set, (1ull << 32) - 1, &fresh));
    g_assert_true(cluster_set_has(&set, (1ull << 32) - 1));
    cluster_set_clear(&set);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tables/walk", test_walk);
    g_test_add_func("/tables/lookups", test_lookups);
    g_test_add_func("/tables/ends", test_ends);
    g_test_add_func("/tables/set", test_set);
    return g_test_run();
}
