/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans that name another backing file and that empty an overlay, carried out on images of stock's
 * and judged by stock: how the header switches, what is refused, and how small an image becomes.
 */
#include <glib.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/backing.h"
#include "guest/plan/empty.h"
#include "tests/crash/bench.h"

#define SECTOR 512u

static void open_image(struct bench *b)
{
    bench_open_files(b);
    bench_open_node(b);
}

/* name NULL: none. */
static enum guest_err start(struct bench *b, const char *name, const char *format,
                            struct plan **out)
{
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    struct guest_err_detail detail;
    request.has_backing = name != NULL;
    if (name) {
        request.name = (ProtobufCBinaryData){.data = (uint8_t *)name, .len = strlen(name)};
        request.format = (ProtobufCBinaryData){.data = (uint8_t *)format, .len = strlen(format)};
    }
    return plan_backing(b->node, &request, out, &detail);
}

/* Changes the name, and gives how many steps wrote to the first sector. */
static unsigned change(struct bench *b, const char *name, const char *format)
{
    struct plan *plan = NULL;
    g_autoptr(GArray) steps = steps_new();
    unsigned switches = 0;
    open_image(b);
    g_assert_cmpint(start(b, name, format, &plan), ==, GUEST_OK);
    steps_drain(steps, plan, 3);
    steps_apply(steps, b->fds);
    bench_close(b);
    for (unsigned i = 0; i < steps->len; i++) {
        const struct step *step = &g_array_index(steps, struct step, i);
        if (step->kind != STEP_WRITE || step->offset >= SECTOR)
            continue;
        switches++;
        g_assert_cmpuint(step->offset + step->length, <=, SECTOR);
        g_assert_true(i == 0 || g_array_index(steps, struct step, i - 1).kind == STEP_BARRIER);
        g_assert_cmpint(g_array_index(steps, struct step, i + 1).kind, ==, STEP_BARRIER);
    }
    /* The backing file need not be there. */
    bench_shell(b, "qemu-img check -q 'json:{\"driver\":\"qcow2\",\"backing\":null,"
                   "\"file.filename\":\"image\"}'");
    return switches;
}

/* What stock reads from the header. */
static void assert_info(struct bench *b, const char *name, const char *format)
{
    const char *const grep = "qemu-img info image | grep -q";
    if (name == NULL) {
        g_assert_cmpint(bench_status(b, "%s 'backing file'", grep), !=, 0);
        return;
    }
    bench_shell(b, "%s '^backing file: %s\\( (.*)\\)\\?$'", grep, name);
    bench_shell(b, "%s '^backing file format: %s$'", grep, format);
}

/* Whatever was there before, the first sector is written once, or twice by way of a copy. */
static void test_names(void)
{
    static const char *const shapes[] = {"cluster_size=512", "cluster_size=4k", "cluster_size=64k",
                                         "cluster_size=64k,compat=0.10"};
    struct bench b;
    if (!bench_has_stock())
        return;
    for (unsigned shape = 0; shape < G_N_ELEMENTS(shapes); shape++) {
        bench_init(&b);
        bench_shell(&b, "qemu-img create -q -f qcow2 -o %s image 1M", shapes[shape]);
        for (unsigned turn = 0; turn < 12; turn++) {
            static const unsigned lengths[] = {1, 100, 7, 240, 0, 17};
            static const char *const formats[] = {"raw", "qcow2", "host_device"};
            g_autofree char *name = g_strnfill(lengths[turn % 6], 'n');
            bool none = *name == '\0';
            g_assert_cmpuint(change(&b, none ? NULL : name, formats[turn % 3]), <=, 2);
            assert_info(&b, none ? NULL : name, formats[turn % 3]);
        }
        bench_clear(&b);
    }
}

/* Extensions that stand behind the first sector's end move by way of a copy of the list. */
static void test_detour(void)
{
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 -o backing_file=old,backing_fmt=raw -u image 1M;"
                    "qemu-img bitmap --add image b0");
    g_assert_cmpuint(change(&b, NULL, NULL), ==, 2);
    assert_info(&b, NULL, NULL);
    bench_shell(&b, "qemu-img info image | grep -q 'name: b0'");
    g_assert_cmpuint(change(&b, "again", "raw"), >=, 1);
    assert_info(&b, "again", "raw");
    bench_shell(&b, "qemu-img info image | grep -q 'name: b0'");
    bench_clear(&b);
}

static void refuse(struct bench *b, const char *name, const char *format, int expected)
{
    struct plan *plan = NULL;
    open_image(b);
    g_assert_cmpint(start(b, name, format, &plan), ==, expected);
    bench_close(b);
}

static void test_refusals(void)
{
    g_autofree char *longest = g_strnfill(1023, 'x'), *longer = g_strnfill(1024, 'x');
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 image 1M");
    refuse(&b, longer, "raw", GUEST_ERR_PLAN_BACKING_LONG);
    refuse(&b, "x", "0123456789abcdef", GUEST_ERR_PLAN_BACKING_LONG);
    change(&b, longest, "raw");
    bench_shell(&b, "rm image; qemu-img create -q -f qcow2 -o cluster_size=1k image 1M");
    refuse(&b, longest, "raw", GUEST_ERR_PLAN_BACKING_FULL);
    bench_shell(&b, "rm image; qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on "
                    "image 1M");
    refuse(&b, "x", "raw", GUEST_ERR_PLAN_BACKING_RAW);
    bench_clear(&b);
}

/* ---- emptying ---- */

static off_t size_of(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_size;
}

/* Empties the image and gives its size; stock does the same with a copy. */
static off_t empty(struct bench *b, off_t *out_stock)
{
    g_autofree char *copy = g_build_filename(b->dir, "copy", NULL);
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    bench_shell(b, "cp image copy; qemu-img commit -q copy");
    *out_stock = size_of(copy);
    open_image(b);
    g_assert_cmpint(plan_empty(b->node, &plan, &detail), ==, GUEST_OK);
    bench_apply(b, plan, 6);
    bench_close(b);
    bench_assert_sound(b, FALSE, "emptied");
    bench_shell(b, "qemu-img compare -q image copy");
    g_assert_cmpint(
        bench_status(b, "qemu-img map --output=json image | grep -q 'depth\": 0.*data\": true'"),
        !=, 0);
    return size_of(b->image);
}

static void test_small(void)
{
    static const char *const shapes[] = {
        "cluster_size=512",
        "cluster_size=64k",
        "cluster_size=512,refcount_bits=64",
        "cluster_size=2M",
        "extended_l2=on",
        "cluster_size=4k,refcount_bits=1",
        "cluster_size=64k,lazy_refcounts=on",
    };
    struct bench b;
    off_t stock;
    if (!bench_has_stock())
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
        bench_init(&b);
        bench_shell(&b,
                    "qemu-img create -q base 1M; qemu-img create -q -f qcow2 -o %s -b base -F raw "
                    "image; qemu-io -c 'write -q 0 600k' image",
                    shapes[i]);
        g_assert_cmpint(empty(&b, &stock), ==, stock);
        g_assert_cmpint(empty(&b, &stock), ==, stock);
        bench_clear(&b);
    }
}

/* Tables that have moved go back to the start of the file. */
static void test_moved(void)
{
    struct bench b;
    off_t stock;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q base 1M;"
                    "qemu-img create -q -f qcow2 -o cluster_size=512 -b base -F raw image;"
                    "qemu-io -c 'write -q 0 600k' image; qemu-img resize -q image 6M;"
                    "qemu-io -c 'write -q 1M 4M' image");
    /* Ours is not larger; which of them one refcount block can count was seen with stock. */
    g_assert_cmpint(empty(&b, &stock), <=, stock);
    bench_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/overlay/names", test_names);
    g_test_add_func("/plan/overlay/detour", test_detour);
    g_test_add_func("/plan/overlay/refusals", test_refusals);
    g_test_add_func("/plan/overlay/small", test_small);
    g_test_add_func("/plan/overlay/moved", test_moved);
    return g_test_run();
}
