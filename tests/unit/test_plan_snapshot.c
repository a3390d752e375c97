/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of snapshots, carried out on images of stock's, judged by stock: nothing in use is written
 * over before the header, refcounts are exact afterwards, and ranges stay ranges.
 */
#include <glib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/snapshot.h"
#include "tests/crash/bench.h"

#define HEADER_BYTES 112u

static enum guest_err start(struct bench *b, Abi__SnapshotAction action, const char *name,
                            struct plan **out)
{
    Abi__SnapshotRequest request = ABI__SNAPSHOT_REQUEST__INIT;
    struct guest_err_detail detail;
    request.action = action;
    request.name.data = (uint8_t *)name;
    request.name.len = strlen(name);
    request.date_sec = 1000000000;
    return plan_snapshot(b->node, &request, out, &detail);
}

static void open_image(struct bench *b)
{
    bench_open_files(b);
    bench_open_node(b);
}

/* Creates, and gives the steps. */
static GArray *change(struct bench *b, Abi__SnapshotAction action, const char *name)
{
    struct plan *plan = NULL;
    GArray *steps = steps_new();
    open_image(b);
    g_assert_cmpint(start(b, action, name, &plan), ==, GUEST_OK);
    steps_drain(steps, plan, 16);
    steps_apply(steps, b->fds);
    bench_close(b);
    bench_assert_sound(b, FALSE, name);
    return steps;
}

static void refuse(struct bench *b, Abi__SnapshotAction action, const char *name,
                   enum guest_err expected)
{
    struct plan *plan = NULL;
    open_image(b);
    g_assert_cmpint(start(b, action, name, &plan), ==, expected);
    bench_close(b);
}

#define CREATE ABI__SNAPSHOT_ACTION__SNAPSHOT_CREATE
#define APPLY  ABI__SNAPSHOT_ACTION__SNAPSHOT_APPLY
#define DELETE ABI__SNAPSHOT_ACTION__SNAPSHOT_DELETE

/* The header is written once, in one sector, between two barriers. */
static void test_one_switch(void)
{
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o cluster_size=4k image 1M;"
                    "qemu-io -c 'write -q 0 300k' image");
    g_autoptr(GArray) steps = change(&b, CREATE, "s1");
    unsigned headers = 0, at = 0;
    for (unsigned i = 0; i < steps->len; i++) {
        const struct step *step = &g_array_index(steps, struct step, i);
        if (step->kind != STEP_BARRIER && step->offset < HEADER_BYTES &&
            step->kind != STEP_TRUNCATE) {
            headers++;
            at = i;
            g_assert_cmpuint(step->offset + step->length, <=, HEADER_BYTES);
        }
    }
    g_assert_cmpuint(headers, ==, 1);
    g_assert_cmpint(g_array_index(steps, struct step, at - 1).kind, ==, STEP_BARRIER);
    g_assert_cmpint(g_array_index(steps, struct step, at + 1).kind, ==, STEP_BARRIER);
    bench_clear(&b);
}

/* Coming and going does not make a file grow without end. */
static void test_room_is_reused(void)
{
    struct bench b;
    g_autofree char *content = NULL;
    gsize before = 0, after = 0;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o cluster_size=4k image 1M;"
                    "qemu-io -c 'write -q 0 300k' image");
    for (unsigned turn = 0; turn < 12; turn++) {
        g_array_unref(change(&b, CREATE, "s1"));
        g_array_unref(change(&b, DELETE, "s1"));
        g_clear_pointer(&content, g_free);
        g_assert_true(g_file_get_contents(b.image, &content, turn < 3 ? &before : &after, NULL));
    }
    g_assert_cmpuint(after, <=, before);
    bench_clear(&b);
}

/* 16 GiB of metadata are a few ops: whole blocks and tables are patterns and ascending ranges. */
static void test_ranges(void)
{
    struct bench b;
    struct plan *plan = NULL;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o preallocation=metadata image 16G");
    open_image(&b);
    g_assert_cmpint(start(&b, CREATE, "s1", &plan), ==, GUEST_OK);
    g_autofree struct cell_op *ops = g_new0(struct cell_op, 4096);
    g_autofree uint8_t *window = g_malloc(PLAN_WINDOW_BYTES);
    struct plan_sink sink = {
        .ops = ops, .max_ops = 4096, .window = window, .window_size = PLAN_WINDOW_BYTES};
    struct guest_err_detail detail;
    unsigned ascending = 0, patterns = 0;
    bool done = false;
    g_assert_cmpint(plan->verbs->next(plan, &sink, &done, &detail), ==, GUEST_OK);
    g_assert_true(done);
    for (unsigned i = 0; i < sink.nr_ops; i++) {
        ascending += ops[i].kind == CELL_OP_ASCEND;
        patterns += ops[i].kind == CELL_OP_PATTERN;
    }
    g_assert_cmpuint(ascending, ==, 32);
    g_assert_cmpuint(sink.window_used, <=, 1 << 20);
    g_assert_cmpuint(patterns, <=, 9);
    plan->verbs->free(plan);
    bench_close(&b);
    bench_clear(&b);
}

static void test_refusals(void)
{
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o refcount_bits=1 image 1M;"
                    "qemu-io -c 'write -q 0 300k' image");
    refuse(&b, CREATE, "s1", GUEST_ERR_PLAN_REFCOUNT_FULL);
    refuse(&b, APPLY, "s1", GUEST_ERR_SNAPSHOT_NOT_FOUND);
    refuse(&b, DELETE, "s1", GUEST_ERR_SNAPSHOT_NOT_FOUND);
    bench_shell(&b, "rm image; qemu-img create -q -f qcow2 -o data_file=data image 1M");
    refuse(&b, CREATE, "s1", GUEST_ERR_PLAN_SNAPSHOT_DATA);
    bench_shell(&b, "rm image data; qemu-img create -q -f qcow2 image 1M;"
                    "qemu-img snapshot -c s1 image; qemu-img bitmap --add image b0");
    refuse(&b, APPLY, "s1", GUEST_ERR_PLAN_SNAPSHOT_BITMAPS);
    bench_clear(&b);
}

/* A table that counts as free although it is in use: nothing is planned. */
static void test_wrong_refcounts(void)
{
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 image 1M; qemu-io -c 'write -q 0 64k' image;"
                    "printf '\\0\\0' | dd of=image bs=1 seek=$((0x20000 + 5 * 2)) conv=notrunc");
    refuse(&b, CREATE, "s1", GUEST_ERR_PLAN_CORRUPT);
    bench_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/snapshot/one-switch", test_one_switch);
    g_test_add_func("/plan/snapshot/room-is-reused", test_room_is_reused);
    g_test_add_func("/plan/snapshot/ranges", test_ranges);
    g_test_add_func("/plan/snapshot/refusals", test_refusals);
    g_test_add_func("/plan/snapshot/wrong-refcounts", test_wrong_refcounts);
    return g_test_run();
}
