/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of amendments, carried out on images of stock's, judged by stock: snapshots keep what they
 * have when the zeros over it become clusters, and large refcounts stay ranges.
 */
#include <glib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/amend.h"
#include "tests/crash/bench.h"

static enum guest_err start(struct bench *b, Abi__AmendStep step, unsigned bits, struct plan **out,
                            struct guest_err_detail *detail)
{
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;
    request.step = step;
    request.refcount_bits = bits;
    return plan_amend(b->node, &request, out, detail);
}

/* Amends, and gives the steps. */
static GArray *change(struct bench *b, Abi__AmendStep step, unsigned bits)
{
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    GArray *steps = steps_new();
    bench_open_files(b);
    bench_open_node(b);
    g_assert_cmpint(start(b, step, bits, &plan, &detail), ==, GUEST_OK);
    steps_drain(steps, plan, 16);
    steps_apply(steps, b->fds);
    bench_close(b);
    bench_assert_sound(b, FALSE, "amended");
    return steps;
}

/* A cluster that reads as zeros in one table and as data in a snapshot's. */
static void test_shared_zeros(void)
{
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 image 1M;"
                    "qemu-io -c 'write -q -P 1 0 500k' image; qemu-img snapshot -c s1 image;"
                    "qemu-io -c 'write -q -z 64k 128k' image; qemu-img snapshot -c s2 image;"
                    "qemu-io -c 'write -q -P 2 100k 10k' -c 'write -q -z 256k 64k' image;"
                    "for s in s1 s2; do qemu-img convert -l $s -O raw image $s.raw; done;"
                    "qemu-img convert -O raw image now.raw");
    g_autoptr(GArray) steps = change(&b, ABI__AMEND_STEP__AMEND_DOWNGRADE, 0);
    g_assert_cmpuint(steps->len, >, 0);
    bench_shell(&b, "qemu-img info image | grep -q 'compat: 0.10';"
                    "for s in s1 s2; do qemu-img convert -l $s -O raw image new.raw &&"
                    " cmp new.raw $s.raw || exit 1; done;"
                    "qemu-img convert -O raw image new.raw && cmp new.raw now.raw");
    bench_clear(&b);
}

/* 32 GiB of preallocated clusters: blocks that count them are patterns, not bytes. */
static void test_ranges(void)
{
    struct bench b;
    uint64_t bytes = 0;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o preallocation=metadata,cluster_size=2M image "
                    "32G");
    g_autoptr(GArray) steps = change(&b, ABI__AMEND_STEP__AMEND_REFCOUNT_BITS, 64);
    for (unsigned i = 0; i < steps->len; i++)
        bytes += g_array_index(steps, struct step, i).length;
    g_assert_cmpuint(bytes, <, 32u << 20);
    bench_shell(&b, "qemu-img info image | grep -q 'refcount bits: 64'");
    g_autoptr(GArray) back = change(&b, ABI__AMEND_STEP__AMEND_REFCOUNT_BITS, 16);
    bench_shell(&b, "qemu-img info image | grep -q 'refcount bits: 16'");
    bench_clear(&b);
}

/* Counts that change from cluster to cluster, with holes: too many runs to be kept. */
static void test_scattered(void)
{
    static const unsigned widths[] = {64, 2, 8, 4, 32, 16, 2, 64, 16};
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o cluster_size=512 image 1M;"
                    "seq 0 2048 786432 | sed 's/.*/write -q -P 1 & 512/' | qemu-io image;"
                    "qemu-img snapshot -c s1 image;"
                    "seq 0 6144 786432 | sed 's/.*/write -q -P 2 & 512/' | qemu-io image;"
                    "seq 512 1536 786432 | sed 's/.*/write -q -P 3 & 1k/' | qemu-io image;"
                    "qemu-img snapshot -c s2 image; qemu-img snapshot -d s1 image;"
                    "seq 1024 2560 786432 | sed 's/.*/discard -q & 1k/' | qemu-io -d unmap image;"
                    "qemu-img convert -l s2 -O raw image s2.raw;"
                    "qemu-img convert -O raw image now.raw");
    for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
        g_autoptr(GArray) steps = change(&b, ABI__AMEND_STEP__AMEND_REFCOUNT_BITS, widths[i]);
        g_assert_cmpuint(steps->len, >, 0);
        bench_shell(&b, "qemu-img info image | grep -q 'refcount bits: %u$'", widths[i]);
    }
    bench_shell(&b, "qemu-img convert -l s2 -O raw image new.raw && cmp new.raw s2.raw &&"
                    " qemu-img convert -O raw image new.raw && cmp new.raw now.raw");
    bench_clear(&b);
}

/* Refused before anything is written. */
static void test_refused(void)
{
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 image 1M; qemu-io -c 'write -q 0 64k' image;"
                    "for i in 1 2 3 4; do qemu-img snapshot -c s$i image; done");
    bench_open_files(&b);
    bench_open_node(&b);
    g_assert_cmpint(start(&b, ABI__AMEND_STEP__AMEND_REFCOUNT_BITS, 2, &plan, &detail), ==,
                    GUEST_ERR_PLAN_AMEND_DECREASE);
    g_assert_cmpuint(detail.number[0], ==, 2);
    g_assert_cmpuint(detail.number[2], ==, 5);
    g_assert_cmpint(start(&b, ABI__AMEND_STEP__AMEND_REFCOUNT_BITS, 3, &plan, &detail), ==,
                    GUEST_ERR_PLAN_REFCOUNT_BITS);
    g_assert_null(plan);
    bench_close(&b);
    bench_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/amend/shared-zeros", test_shared_zeros);
    g_test_add_func("/plan/amend/ranges", test_ranges);
    g_test_add_func("/plan/amend/scattered", test_scattered);
    g_test_add_func("/plan/amend/refused", test_refused);
    return g_test_run();
}
