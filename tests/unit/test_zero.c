/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/copy/zero: every vector unit of this machine gives the same answers.
 */
#include <glib.h>
#include <string.h>

#include "src/copy/zero.h"

static guint8 buf[8192 + 64];

/* One byte at each place of buffers of awkward lengths and alignments. */
static void check_unit(const char *unit)
{
    static const gsize lengths[] = {0, 1, 7, 255, 256, 257, 511, 512, 513, 4095, 4096, 5000};

    if (!zero_choose(unit)) {
        g_test_skip("this machine has no such unit");
        return;
    }
    g_assert_cmpstr(zero_unit(), ==, unit);
    for (gsize shift = 0; shift < 3; shift++) {
        for (guint l = 0; l < G_N_ELEMENTS(lengths); l++) {
            guint8 *p = buf + shift * 13;

            memset(buf, 0xff, sizeof(buf));
            memset(p, 0, lengths[l]);
            g_assert_true(zero_is(p, lengths[l]));
            for (gsize i = 0; i < lengths[l]; i++) {
                p[i] = 0x80;
                g_assert_false(zero_is(p, lengths[l]));
                p[i] = 0;
            }
        }
    }
}

static void test_avx512(void)
{
    check_unit("avx512");
}

static void test_avx2(void)
{
    check_unit("avx2");
}

static void test_sse2(void)
{
    check_unit("sse2");
}

static void test_runs(void)
{
    gboolean zero;

    memset(buf, 0, sizeof(buf));
    buf[1024] = 1;
    buf[2047] = 1;
    g_assert_cmpuint(zero_run(buf, 4096, 512, &zero), ==, 1024);
    g_assert_true(zero);
    g_assert_cmpuint(zero_run(buf + 1024, 3072, 512, &zero), ==, 1024);
    g_assert_false(zero);
    g_assert_cmpuint(zero_run(buf + 2048, 2048, 512, &zero), ==, 2048);
    g_assert_true(zero);
    g_assert_cmpuint(zero_run(buf, 4096, 4096, &zero), ==, 4096);
    g_assert_false(zero);
    /* the last granule is cut short by the end */
    g_assert_cmpuint(zero_run(buf + 2048, 700, 512, &zero), ==, 700);
    g_assert_true(zero);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zero/avx512", test_avx512);
    g_test_add_func("/zero/avx2", test_avx2);
    g_test_add_func("/zero/sse2", test_sse2);
    g_test_add_func("/zero/runs", test_runs);
    return g_test_run();
}
