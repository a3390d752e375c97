/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resize: growing images of every shape. Stock finds no error in the result, reads the old content
 * and zeros behind it, and the snapshots are what they were.
 */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/resize.h"
#include "tests/crash/bench.h"

#define K  1024ull
#define M  (K * K)
#define G  (K * M)
#define T  (K * G)
#define IO "qemu-io -c"

#define FILL "qemu-io -c 'write -q -P 1 0 300k' -c 'write -q -z 128k 64k' image;"
#define SNAP "qemu-img snapshot -c s1 image; qemu-img convert -l s1 -O raw image s1.raw;"

struct scenario {
    const char *name;
    const char *options;
    const char *prepare;
    uint64_t old_size, new_size;
    Abi__Preallocation preallocation;
    uint64_t backing_size; /* bytes of a non-zero backing file; 0: none */
    enum guest_err refused;
};

#define METADATA ABI__PREALLOCATION__PREALLOC_METADATA
#define FALLOC   ABI__PREALLOCATION__PREALLOC_FALLOC
#define FULL     ABI__PREALLOCATION__PREALLOC_FULL

static void create(struct bench *b, const struct scenario *s)
{
    const char *options = s->options ? s->options : "cluster_size=64k";
    if (s->backing_size) {
        bench_shell(b, "head -c %" G_GUINT64_FORMAT " /dev/zero | tr '\\0' B > base",
                    s->backing_size);
        bench_shell(b,
                    "qemu-img create -q -f qcow2 -b base -F raw -o '%s' image %" G_GUINT64_FORMAT,
                    options, s->old_size);
    } else {
        bench_shell(b, "qemu-img create -q -f qcow2 -o '%s' image %" G_GUINT64_FORMAT, options,
                    s->old_size);
    }
    if (s->prepare)
        bench_shell(b, "%s", s->prepare);
}

/* The chain below, for what a backing file would show. */
static struct node *link_backing(struct bench *b, const struct scenario *s, int *fd)
{
    if (!s->backing_size)
        return NULL;
    g_autofree char *path = g_build_filename(b->dir, "base", NULL);
    struct node *base = bench_open_raw(path, fd);
    b->node->backing = base;
    return base;
}

static void assert_content(struct bench *b, const struct scenario *s, const uint8_t *old,
                           uint64_t old_len)
{
    if (s->new_size > 64 * M)
        return;
    uint64_t len;
    g_autofree uint8_t *now = bench_content(b, "image", &len);
    g_assert_cmpuint(len, ==, s->new_size);
    g_assert_cmpint(memcmp(now, old, MIN(old_len, s->old_size)), ==, 0);
    for (uint64_t i = s->old_size; i < len; i++) {
        if (now[i] != 0)
            g_test_message("not zero at %" G_GUINT64_FORMAT, i);
        g_assert_cmpuint(now[i], ==, 0);
    }
}

static void test_scenario(gconstpointer data)
{
    const struct scenario *s = data;
    struct bench b;
    if (!bench_has_stock())
        return;
    bench_init(&b);
    create(&b, s);
    uint64_t old_len = 0;
    g_autofree uint8_t *old = s->old_size <= 64 * M ? bench_content(&b, "image", &old_len) : NULL;
    bench_open_files(&b);
    bench_open_node(&b);
    int base_fd = -1;
    struct node *base = link_backing(&b, s, &base_fd);

    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    request.size = s->new_size;
    request.preallocation = s->preallocation;
    struct plan *plan = NULL;
    struct guest_err_detail detail;
    g_assert_cmpint(plan_resize(b.node, &request, &plan, &detail), ==, s->refused);
    if (!s->refused)
        bench_apply(&b, plan, 5);
    node_free(base);
    if (base_fd >= 0)
        close(base_fd);
    bench_close(&b);
    if (s->prepare && strstr(s->prepare, "seek=88"))
        bench_shell(&b, "test $(od -An -tx1 -j88 -N8 image | tr -d ' ') = 0000000000000000");
    bench_assert_sound(&b, FALSE, s->name);
    if (!s->refused) {
        bench_shell(
            &b,
            "qemu-img info --output=json image | grep -q '\"virtual-size\": %" G_GUINT64_FORMAT "'",
            s->new_size);
        if (old)
            assert_content(&b, s, old, old_len);
        /* and the image can be used: all of the new area takes data */
        if (s->new_size <= 64 * M)
            bench_shell(
                &b, IO " 'write -q -P 7 %" G_GUINT64_FORMAT " 512' image && qemu-img check image",
                s->new_size - 512);
    }
    if (s->prepare && strstr(s->prepare, "bitmap --add"))
        bench_shell(&b, "qemu-img info image | grep -q 'name: b0'");
    if (s->prepare && strstr(s->prepare, "snapshot -c s1"))
        bench_shell(&b, "qemu-img convert -l s1 -O raw image s1.now && cmp -n $(stat -c %%s "
                        "s1.raw) s1.now s1.raw");
    bench_clear(&b);
}

static const struct scenario scenarios[] = {
    {.name = "plain", .prepare = FILL, .old_size = M, .new_size = 3 * M},
    {.name = "same", .prepare = FILL, .old_size = M, .new_size = M},
    {.name = "sector", .prepare = FILL, .old_size = M, .new_size = M + 512},
    {.name = "from-zero", .old_size = 0, .new_size = M},
    {.name = "from-zero-metadata", .old_size = 0, .new_size = 3 * M, .preallocation = METADATA},
    {.name = "l1-in-place", .prepare = FILL, .old_size = M, .new_size = 10 * G},
    {.name = "l1-moves",
     .options = "cluster_size=512",
     .prepare = FILL,
     .old_size = M,
     .new_size = 64 * M},
    {.name = "l1-moves-far",
     .options = "cluster_size=512",
     .prepare = FILL,
     .old_size = M,
     .new_size = 10 * G},
    {.name = "reftable-moves",
     .options = "cluster_size=512",
     .prepare = FILL,
     .old_size = M,
     .new_size = 100 * G},
    {.name = "300T", .prepare = FILL, .old_size = M, .new_size = 300 * T},
    {.name = "v2",
     .options = "compat=0.10",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M,
     .preallocation = METADATA},
    {.name = "refcount1",
     .options = "refcount_bits=1,cluster_size=4k",
     .prepare = FILL,
     .old_size = M,
     .new_size = 9 * M,
     .preallocation = METADATA},
    {.name = "refcount64",
     .options = "refcount_bits=64,cluster_size=512",
     .prepare = FILL,
     .old_size = M,
     .new_size = 9 * M,
     .preallocation = METADATA},
    {.name = "metadata",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M,
     .preallocation = METADATA},
    {.name = "metadata-cut",
     .prepare = FILL,
     .old_size = 1000 * K,
     .new_size = 2 * M + 512,
     .preallocation = METADATA},
    {.name = "metadata-cut-used",
     .prepare = IO " 'write -q -P 3 960k 40k' image",
     .old_size = 1000 * K,
     .new_size = 2 * M + 512,
     .preallocation = METADATA},
    {.name = "metadata-512",
     .options = "cluster_size=512",
     .prepare = FILL,
     .old_size = M,
     .new_size = 12 * M,
     .preallocation = METADATA},
    {.name = "metadata-4k",
     .options = "cluster_size=4k",
     .prepare = FILL,
     .old_size = M,
     .new_size = 20 * M,
     .preallocation = METADATA},
    {.name = "metadata-extl2",
     .options = "extended_l2=on",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M,
     .preallocation = METADATA},
    {.name = "metadata-1T",
     .prepare = FILL,
     .old_size = M,
     .new_size = 200 * G,
     .preallocation = METADATA},
    {.name = "falloc", .prepare = FILL, .old_size = M, .new_size = 3 * M, .preallocation = FALLOC},
    {.name = "full", .prepare = FILL, .old_size = M, .new_size = 3 * M, .preallocation = FULL},
    {.name = "full-extl2",
     .options = "extended_l2=on,cluster_size=16k",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M + 512,
     .preallocation = FULL},
    {.name = "data-file",
     .options = "data_file=data",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M},
    {.name = "data-file-full",
     .options = "data_file=data",
     .prepare = FILL,
     .old_size = M,
     .new_size = 3 * M + 512,
     .preallocation = FULL},
    {.name = "data-file-raw",
     .options = "data_file=data,data_file_raw=on",
     .prepare = FILL,
     .old_size = 1000 * K,
     .new_size = 3 * M},
    {.name = "backing-longer",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-cut",
     .prepare = FILL,
     .old_size = 1000 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-cut-used",
     .prepare = IO " 'write -q -P 3 960k 40k' image",
     .old_size = 1000 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-cut-packed",
     .prepare = IO " 'write -q -c -P 3 960k 40k' image",
     .old_size = 1000 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-cut-zero",
     .prepare = IO " 'write -q -z 960k 40k' image",
     .old_size = 1000 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-cut-inside",
     .prepare = FILL,
     .old_size = 1000 * K,
     .new_size = 1010 * K,
     .backing_size = 3 * M},
    {.name = "backing-longer-extl2",
     .options = "extended_l2=on",
     .prepare = FILL,
     .old_size = 1001 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-longer-extl2-full",
     .options = "extended_l2=on",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M,
     .preallocation = FULL},
    {.name = "backing-longer-extl2-metadata",
     .options = "extended_l2=on",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M,
     .preallocation = METADATA},
    {.name = "backing-longer-metadata",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M,
     .preallocation = METADATA},
    {.name = "backing-longer-falloc",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M,
     .preallocation = FALLOC},
    {.name = "backing-longer-4k",
     .options = "cluster_size=4k",
     .prepare = FILL,
     .old_size = 1001 * K,
     .new_size = 9 * M,
     .backing_size = 8 * M},
    {.name = "backing-longer-data-file",
     .options = "data_file=data",
     .prepare = FILL,
     .old_size = 1001 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "backing-shorter",
     .prepare = FILL,
     .old_size = 2 * M,
     .new_size = 5 * M,
     .backing_size = M,
     .preallocation = METADATA},
    {.name = "snapshot",
     .prepare = FILL SNAP,
     .old_size = M,
     .new_size = 3 * M,
     .preallocation = METADATA},
    {.name = "snapshot-backing-cut",
     .prepare = IO " 'write -q -P 3 900k 100k' image;" SNAP,
     .old_size = 1000 * K,
     .new_size = 5 * M,
     .backing_size = 3 * M},
    {.name = "snapshot-l1-moves",
     .options = "cluster_size=512",
     .prepare = FILL SNAP,
     .old_size = M,
     .new_size = 64 * M},
    {.name = "autoclear",
     .prepare = "printf '\\200' | dd of=image bs=1 seek=88 conv=notrunc status=none",
     .old_size = M,
     .new_size = 3 * M},
    {.name = "bitmap",
     .prepare = "qemu-img bitmap --add image b0",
     .old_size = M,
     .new_size = 3 * M},
    {.name = "bitmap-grows",
     .options = "cluster_size=512",
     .prepare =
         FILL "qemu-img bitmap --add -g 512 image b0; qemu-img bitmap --add -g 64k image b1;" IO
              " 'write -q -P 1 0 300k' image",
     .old_size = M,
     .new_size = 30 * M},
    {.name = "bitmap-grows-reftable",
     .options = "cluster_size=512,refcount_bits=64",
     .prepare = "qemu-img bitmap --add -g 512 image b0;" IO " 'write -q -P 1 0 300k' image",
     .old_size = M,
     .new_size = 60 * M,
     .preallocation = METADATA},
    {.name = "bitmap-stray",
     .options = "cluster_size=4k",
     .prepare = "qemu-img bitmap --add -g 4k image b0;" IO " 'write -q -P 1 960k 4k' image;"
                /* all of the cluster that has bit 240 */
                "python3 -c \"d=bytearray(open('image','rb').read());"
                "b=bytes(30)+b'\\1'; i=[k for k in range(0,len(d),4096) if d[k:k+31]==b][0];"
                "d[i+31:i+4096]=b'\\377'*4065; open('image','wb').write(d)\"",
     .old_size = 964 * K,
     .new_size = 30 * M},
    {.name = "refused/bitmap",
     .prepare = "qemu-img bitmap --add -g 512 image b0",
     .old_size = M,
     .new_size = 3 * T,
     .refused = GUEST_ERR_PLAN_RESIZE_BITMAPS},
    {.name = "refused/v2-snapshot",
     .options = "compat=0.10",
     .prepare = FILL SNAP,
     .old_size = M,
     .new_size = 3 * M,
     .refused = GUEST_ERR_PLAN_V2_SNAPSHOTS},
    {.name = "refused/v2-backing",
     .options = "compat=0.10",
     .prepare = FILL,
     .old_size = M,
     .new_size = 5 * M,
     .backing_size = 3 * M,
     .refused = GUEST_ERR_PLAN_ZERO_V2},
    {.name = "refused/unaligned",
     .old_size = M,
     .new_size = 2 * M + 1,
     .refused = GUEST_ERR_PLAN_SIZE_UNALIGNED},
    {.name = "refused/l1",
     .old_size = M,
     .new_size = 3 * K * T,
     .refused = GUEST_ERR_PLAN_L1_TOO_LARGE},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        g_autofree char *path = g_strdup_printf("/plan/resize/%s", scenarios[i].name);
        g_test_add_data_func(path, &scenarios[i], test_scenario);
    }
    return g_test_run();
}
