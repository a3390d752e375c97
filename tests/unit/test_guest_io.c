/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest/io: the range check in front of every read, and the cache behind it: right bytes at every
 * boundary, few reads for a walk in order, nothing stale after source_forget.
 */
#include <glib.h>
#include <string.h>

#include "guest/io/cache.h"
#include "guest/io/source.h"

#define SIZE (5u * 1024 * 1024 + 123)

static uint8_t content[SIZE];
static unsigned nr_batches;
static uint64_t fail_from = UINT64_MAX;

static enum guest_err counting_read(struct source *src, const struct source_piece *pieces,
                                    unsigned nr_pieces, struct guest_err_detail *detail)
{
    nr_batches++;
    for (unsigned i = 0; i < nr_pieces; i++) {
        g_assert_cmpuint(pieces[i].offset + pieces[i].len, <=, src->size_bytes);
        if (pieces[i].offset + pieces[i].len > fail_from)
            return err_numbers(detail, GUEST_ERR_IO, 5, 0, 0, 0);
        memcpy(pieces[i].dst, content + pieces[i].offset, pieces[i].len);
    }
    return GUEST_OK;
}

static struct source *new_source(void)
{
    struct source *src = g_new0(struct source, 1);
    src->size_bytes = SIZE;
    src->read = counting_read;
    nr_batches = 0;
    fail_from = UINT64_MAX;
    return src;
}

static void free_source(struct source *src)
{
    source_forget(src);
    g_free(src);
}

static void test_range(void)
{
    struct source *src = new_source();
    uint8_t buf[16];
    static const uint64_t bad[][2] = {{SIZE, 1},           {SIZE - 15, 16},  {UINT64_MAX, 1},
                                      {UINT64_MAX - 7, 8}, {0, SIZE + 1ull}, {1, UINT64_MAX}};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_cmpint(source_read(src, bad[i][0], bad[i][1], buf, NULL), ==, GUEST_ERR_RANGE);
    g_assert_cmpuint(nr_batches, ==, 0);
    g_assert_cmpint(source_read(src, SIZE, 0, buf, NULL), ==, GUEST_OK);
    g_assert_cmpint(source_read(src, SIZE - 16, 16, buf, NULL), ==, GUEST_OK);
    g_assert_cmpmem(buf, 16, content + SIZE - 16, 16);
    free_source(src);
}

static void test_random_reads(void)
{
    struct source *src = new_source();
    uint8_t *buf = g_malloc(600 * 1024);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t len = (uint64_t)g_test_rand_int_range(1, i % 50 == 0 ? 600 * 1024 : 40000);
        uint64_t offset = (uint64_t)g_test_rand_int_range(0, (gint32)(SIZE - len));
        g_assert_cmpint(source_read(src, offset, len, buf, NULL), ==, GUEST_OK);
        g_assert_cmpmem(buf, len, content + offset, len);
    }
    g_free(buf);
    free_source(src);
}

static void test_walk_in_order(void)
{
    struct source *src = new_source();
    uint8_t entry[8];
    for (uint64_t offset = 0; offset + 8 <= SIZE; offset += 8) {
        g_assert_cmpint(source_read(src, offset, 8, entry, NULL), ==, GUEST_OK);
        g_assert_cmpmem(entry, 8, content + offset, 8);
    }
    /* 320 pages: batches of 1, 2, 4 ... 64, then 64 each */
    g_assert_cmpuint(nr_batches, <=, 12);
    free_source(src);
}

static void test_padded(void)
{
    struct source *src = new_source();
    uint8_t buf[64];
    memset(buf, 0xee, sizeof(buf));
    g_assert_cmpint(source_read_padded(src, SIZE - 10, 64, buf, NULL), ==, GUEST_OK);
    g_assert_cmpmem(buf, 10, content + SIZE - 10, 10);
    for (unsigned i = 10; i < 64; i++)
        g_assert_cmpuint(buf[i], ==, 0);
    memset(buf, 0xee, sizeof(buf));
    g_assert_cmpint(source_read_padded(src, UINT64_MAX - 3, 64, buf, NULL), ==, GUEST_OK);
    for (unsigned i = 0; i < 64; i++)
        g_assert_cmpuint(buf[i], ==, 0);
    free_source(src);
}

static void test_forget(void)
{
    struct source *src = new_source();
    uint8_t byte;
    g_assert_cmpint(source_read(src, 100, 1, &byte, NULL), ==, GUEST_OK);
    content[100] ^= 0xff;
    source_forget(src);
    g_assert_cmpint(source_read(src, 100, 1, &byte, NULL), ==, GUEST_OK);
    g_assert_cmpuint(byte, ==, content[100]);
    free_source(src);
}

/* Primed bytes spare a read; what lies behind them is read. */
static void test_prime(void)
{
    struct source *src = new_source();
    uint8_t buf[5000];
    source_prime(src, span_of(content, 4096));
    g_assert_cmpint(source_read(src, 0, 4096, buf, NULL), ==, GUEST_OK);
    g_assert_cmpint(source_read(src, 4095, 1, buf, NULL), ==, GUEST_OK);
    g_assert_cmpuint(nr_batches, ==, 0);
    g_assert_cmpint(source_read(src, 0, 5000, buf, NULL), ==, GUEST_OK);
    g_assert_cmpmem(buf, 5000, content, 5000);
    g_assert_cmpuint(nr_batches, ==, 1);
    g_assert_cmpint(source_read(src, 4096, 5000, buf, NULL), ==, GUEST_OK);
    g_assert_cmpmem(buf, 5000, content + 4096, 5000);
    g_assert_cmpuint(nr_batches, ==, 1);
    free_source(src);
}

/* A failed batch leaves nothing behind that a later read would take for bytes of the image. */
static void test_failed_read(void)
{
    struct source *src = new_source();
    uint8_t buf[100];
    fail_from = CACHE_PAGE_BYTES;
    struct guest_err_detail detail;
    g_assert_cmpint(source_read(src, CACHE_PAGE_BYTES - 50, 100, buf, &detail), ==, GUEST_ERR_IO);
    g_assert_cmpuint(detail.number[0], ==, 5);
    fail_from = UINT64_MAX;
    g_assert_cmpint(source_read(src, CACHE_PAGE_BYTES - 50, 100, buf, NULL), ==, GUEST_OK);
    g_assert_cmpmem(buf, 100, content + CACHE_PAGE_BYTES - 50, 100);
    free_source(src);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 2654435761u >> 13);
    g_test_add_func("/guest-io/range", test_range);
    g_test_add_func("/guest-io/random-reads", test_random_reads);
    g_test_add_func("/guest-io/walk-in-order", test_walk_in_order);
    g_test_add_func("/guest-io/padded", test_padded);
    g_test_add_func("/guest-io/forget", test_forget);
    g_test_add_func("/guest-io/prime", test_prime);
    g_test_add_func("/guest-io/failed-read", test_failed_read);
    return g_test_run();
}
