/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offsets and flushes of a benchmark, as they were seen in stock's system calls.
 */
#include "src/copy/bench_plan.h"

static void expect_offsets(const struct bench_options *options, const guint64 *expected, guint nr)
{
    for (guint i = 0; i < nr; i++) {
        g_assert_cmpuint(bench_offset(options, i), ==, expected[i]);
    }
}

static void offsets_wrap(void)
{
    expect_offsets(&(struct bench_options){.step_bytes = 4096, .wrap_bytes = 12288},
                   (guint64[]){0, 4096, 8192, 0, 4096}, 5);
    expect_offsets(&(struct bench_options){.step_bytes = 5000, .wrap_bytes = 12288},
                   (guint64[]){0, 5000, 10000, 2712, 7712, 424}, 6);
}

static void first_offset_does_not_wrap(void)
{
    expect_offsets(&(struct bench_options){.offset = 12288, .step_bytes = 1, .wrap_bytes = 12288},
                   (guint64[]){12288, 1, 2}, 3);
    expect_offsets(
        &(struct bench_options){.offset = G_MAXINT64, .step_bytes = 4096, .wrap_bytes = 1 << 20},
        (guint64[]){G_MAXINT64, 4095, 8191}, 3);
}

static void nothing_to_wrap_at_is_zero(void)
{
    expect_offsets(&(struct bench_options){.offset = 5, .step_bytes = 7}, (guint64[]){5, 0, 0}, 3);
}

static void large_steps_do_not_overflow(void)
{
    struct bench_options options = {.offset = (1 << 20) - 1,
                                    .step_bytes = G_MAXINT32,
                                    .wrap_bytes = (1ull << 62) + 1,
                                    .count = G_MAXINT32};

    g_assert_cmpuint(bench_offset(&options, G_MAXINT32 - 1), ==,
                     (1 << 20) - 1 + (guint64)G_MAXINT32 * (G_MAXINT32 - 1));
}

/* Which numbers of issued requests have a flush behind them. */
static void expect_flushes(guint64 count, guint64 depth, guint64 interval, const guint64 *expected,
                           guint nr)
{
    struct bench_options options = {.count = count, .depth = depth, .flush_interval = interval};

    for (guint i = 0; i < nr; i++) {
        g_assert_cmpuint(bench_flush_at(&options, i), ==, expected[i]);
        g_assert_cmpuint(bench_flushes_before(&options, expected[i] - 1), ==, i);
        g_assert_cmpuint(bench_flushes_before(&options, expected[i]), ==, i + 1);
    }
    g_assert_cmpuint(bench_flushes_before(&options, count), ==, nr);
}

static void flushes_are_counted_from_the_end(void)
{
    expect_flushes(128, 64, 64, (guint64[]){64, 128}, 2);
    expect_flushes(129, 64, 64, (guint64[]){65, 129}, 2);
    expect_flushes(21, 4, 5, (guint64[]){6, 11, 16, 21}, 4);
    expect_flushes(10, 1, 1, (guint64[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10);
}

static void no_flush_while_the_queue_fills(void)
{
    expect_flushes(100, 64, 64, (guint64[]){100}, 1);
    expect_flushes(3, 64, 64, (guint64[]){3}, 1);
}

static void no_interval_no_flush(void)
{
    struct bench_options options = {.count = 100, .depth = 4};

    g_assert_cmpuint(bench_flushes_before(&options, 100), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench_plan/offsets_wrap", offsets_wrap);
    g_test_add_func("/bench_plan/first_offset_does_not_wrap", first_offset_does_not_wrap);
    g_test_add_func("/bench_plan/nothing_to_wrap_at_is_zero", nothing_to_wrap_at_is_zero);
    g_test_add_func("/bench_plan/large_steps_do_not_overflow", large_steps_do_not_overflow);
    g_test_add_func("/bench_plan/flushes_are_counted_from_the_end",
                    flushes_are_counted_from_the_end);
    g_test_add_func("/bench_plan/no_flush_while_the_queue_fills", no_flush_while_the_queue_fills);
    g_test_add_func("/bench_plan/no_interval_no_flush", no_interval_no_flush);
    return g_test_run();
}
