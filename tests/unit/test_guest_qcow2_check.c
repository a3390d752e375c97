/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checking: what is found in images with one thing wrong, and the counters behind it.
 */
#include <string.h>

#include "guest/formats/qcow2_counts.h"
#include "tests/unit/qcow2_image.h"

#define BITS    16
#define CLUSTER 65536u
#define DISK    (1u << 20)

/* What one check said. */
struct outcome {
    enum guest_err err;
    Abi__CheckReply reply;
    GArray *found; /* struct cell_finding */
};

static void take(struct finding_sink *sink, const struct cell_finding *finding)
{
    g_array_append_val((GArray *)sink->user, *finding);
}

static struct outcome check(struct image *image)
{
    struct outcome out = {.reply = ABI__CHECK_REPLY__INIT};
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    struct finding_sink sink = {.add = take};
    struct node *node;

    out.found = g_array_new(FALSE, FALSE, sizeof(struct cell_finding));
    sink.user = out.found;
    g_assert_cmpint(image_open(image, TRUE, &node), ==, GUEST_OK);
    out.err = node->driver->check(node, &request, &sink, &out.reply, &image->detail);
    node_free(node);
    return out;
}

/* Checks, and expects exactly these codes in this order; ends with 0. */
static struct outcome expect(struct image *image, const int *codes)
{
    struct outcome out = check(image);
    unsigned i;

    for (i = 0; codes[i]; i++) {
        g_assert_cmpuint(i, <, out.found->len);
        g_assert_cmpint((int)g_array_index(out.found, struct cell_finding, i).code, ==, codes[i]);
    }
    g_assert_cmpuint(out.found->len, ==, i);
    g_array_unref(out.found);
    return out;
}

#define EXPECT(image, ...) expect((image), (const int[]){__VA_ARGS__ 0})

static void put_data(struct image *image, unsigned index, unsigned cluster)
{
    image_put64(image, image_l2_entry(image, index), (uint64_t)cluster * CLUSTER | OFLAG_COPIED);
    image_put_refcount(image, cluster, 1);
}

static void test_sound(void)
{
    struct image *image = image_new(BITS, DISK);
    struct outcome out;

    put_data(image, 0, 5);
    put_data(image, 1, 6);
    put_data(image, 2, 9);
    out = EXPECT(image, );
    g_assert_cmpint(out.err, ==, GUEST_OK);
    g_assert_cmpuint(out.reply.total_clusters, ==, 16);
    g_assert_cmpuint(out.reply.allocated_clusters, ==, 3);
    g_assert_cmpuint(out.reply.fragmented_clusters, ==, 1);
    g_assert_cmpuint(out.reply.image_end_offset, ==, 10 * CLUSTER);
    image_free(image);
}

static void test_refcounts(void)
{
    struct image *image = image_new(BITS, DISK);
    struct outcome out;

    put_data(image, 0, 5);
    image_put_refcount(image, 5, 2); /* too many, and so COPIED is wrong */
    image_put_refcount(image, 7, 1); /* of nobody */
    image_put_refcount(image, 3, 0); /* too few */
    out = EXPECT(image, QCOW2_FOUND_MISSING, QCOW2_FOUND_LEAK, QCOW2_FOUND_LEAK,
                 QCOW2_FOUND_COPIED_DATA, );
    g_assert_cmpuint(out.reply.leaks, ==, 2);
    g_assert_cmpuint(out.reply.corruptions, ==, 2);
    image_free(image);
}

static void test_copied(void)
{
    struct image *image = image_new(BITS, DISK);

    put_data(image, 0, 5);
    image_put64(image, image_l2_entry(image, 0), 5 * CLUSTER);
    image_put64(image, image_l1_entry(image, 0), image_cluster(image, 4));
    EXPECT(image, QCOW2_FOUND_COPIED_L2, QCOW2_FOUND_COPIED_DATA, );
    image_free(image);
}

static void test_entries(void)
{
    static const struct {
        uint64_t entry;
        int code;
    } cases[] = {
        {UINT64_C(1) << 57 | 5 * CLUSTER | OFLAG_COPIED, QCOW2_FOUND_L2_RESERVED},
        {OFLAG_COPIED | OFLAG_COMPRESSED | 5 * CLUSTER, QCOW2_FOUND_COMPRESSED_COPIED},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct image *image = image_new(BITS, DISK);

        image_put64(image, image_l2_entry(image, 0), cases[i].entry);
        image_put_refcount(image, 5, 1);
        expect(image, (const int[]){cases[i].code, 0});
        image_free(image);
    }
}

static void test_past_the_end(void)
{
    struct image *image = image_new(BITS, DISK);

    image_put64(image, image_l2_entry(image, 0), UINT64_C(1) << 40 | OFLAG_COPIED);
    EXPECT(image, QCOW2_FOUND_PAST_END, QCOW2_FOUND_COPIED_DATA, );
    /* The last cluster may be cut short. */
    put_data(image, 0, 15);
    image->size -= CLUSTER - 1;
    EXPECT(image, );
    image_free(image);
}

static void test_refcount_blocks(void)
{
    struct image *image = image_new(BITS, DISK);
    struct outcome out;

    image_put64(image, image_cluster(image, 1), 2 * CLUSTER | 1);
    out = EXPECT(image, QCOW2_FOUND_REFTABLE_RESERVED, QCOW2_FOUND_LEAK, );
    g_assert_cmpuint(out.reply.corruptions, ==, 1);

    image_put64(image, image_cluster(image, 1), 2 * CLUSTER);
    image_put64(image, image_cluster(image, 1) + 8, 2 * CLUSTER);
    EXPECT(image, QCOW2_FOUND_REFBLOCK_SHARED, QCOW2_FOUND_MISSING, );

    image_put64(image, image_cluster(image, 1) + 8, 99 * CLUSTER);
    EXPECT(image, QCOW2_FOUND_REFBLOCK_OUTSIDE, );
    image_put64(image, image_cluster(image, 1) + 8, 0);

    image_put64(image, image_cluster(image, 1), 2 * CLUSTER + 512);
    out = check(image);
    g_assert_cmpuint(out.reply.check_errors, ==, IMAGE_CLUSTERS);
    g_assert_cmpuint(out.found->len, ==, 2 + IMAGE_CLUSTERS);
    g_array_unref(out.found);
    image_free(image);
}

/* Sub-byte refcounts: entry 0 is in the least significant bits. */
static void test_sub_byte(void)
{
    for (unsigned order = 0; order < 3; order++) {
        struct image *image = image_new(BITS, DISK);
        uint64_t block = image_cluster(image, 2);

        image_put32(image, AT_REFCOUNT_ORDER, order);
        for (unsigned i = 0; i < 16; i++)
            image_put8(image, block + i, 0);
        for (unsigned i = 0; i <= 4; i++) {
            unsigned bit = i << order;
            image_put8(image, block + bit / 8,
                       (uint8_t)(image->bytes[block + bit / 8] | 1 << bit % 8));
        }
        EXPECT(image, );
        image_free(image);
    }
}

/* A one-bit refcount cannot count two references. */
static void test_overflow(void)
{
    struct image *image = image_new(BITS, DISK);

    image_put32(image, AT_REFCOUNT_ORDER, 0);
    image_put16(image, image_cluster(image, 2), 0x3f00); /* clusters 0 to 5 */
    for (unsigned i = 2; i < 10; i += 2)
        image_put16(image, image_cluster(image, 2) + i, 0);
    image_put64(image, image_l2_entry(image, 0), 5 * CLUSTER | OFLAG_COPIED);
    image_put64(image, image_l2_entry(image, 1), 5 * CLUSTER | OFLAG_COPIED);
    EXPECT(image, QCOW2_FOUND_COUNT_OVERFLOW, );
    image_free(image);
}

static void test_snapshot_table(void)
{
    struct image *image = image_new(BITS, DISK);
    struct outcome out;

    image_put32(image, AT_NB_SNAPSHOTS, 70000);
    out = EXPECT(image, QCOW2_FOUND_SNAPSHOTS_LARGE, );
    g_assert_cmpint(out.err, ==, GUEST_ERR_FILE_TOO_LARGE);
    image_put32(image, AT_NB_SNAPSHOTS, 1);
    image_put64(image, AT_SNAPSHOTS_OFFSET, 100);
    out = EXPECT(image, QCOW2_FOUND_SNAPSHOTS_OFFSET, );
    g_assert_cmpint(out.err, ==, GUEST_ERR_INVALID);
    image_free(image);
}

/* Every L1 entry names the same table: a sound image has no use for that much work. */
static void test_work_is_bounded(void)
{
    const unsigned bits = 21;
    struct image *image = image_new(bits, UINT64_C(1) << 60);
    struct outcome out;

    image_put64(image, AT_SIZE, DISK);
    image_put32(image, AT_L1_SIZE, 1u << 18);
    for (unsigned i = 0; i < 1u << 18; i++)
        image_put64(image, image_l1_entry(image, i), image_cluster(image, 4));
    out = check(image);
    g_assert_cmpint(out.err, ==, GUEST_ERR_TOO_MUCH_WORK);
    g_array_unref(out.found);
    image_free(image);
}

static void test_counts(void)
{
    struct qcow2_counts c;
    const uint64_t far = UINT64_C(1) << 30;

    g_assert_true(qcow2_counts_init(&c, far + 1));
    g_assert_cmpuint(qcow2_counts_get(&c, far), ==, 0);
    g_assert_true(qcow2_counts_set(&c, 3, 255));
    g_assert_true(qcow2_counts_set(&c, 4, 256)); /* widens the page */
    g_assert_true(qcow2_counts_set(&c, far, UINT64_MAX));
    g_assert_cmpuint(qcow2_counts_get(&c, 3), ==, 255);
    g_assert_cmpuint(qcow2_counts_get(&c, 4), ==, 256);
    g_assert_cmpuint(qcow2_counts_get(&c, 5), ==, 0);
    g_assert_cmpuint(qcow2_counts_get(&c, far), ==, UINT32_MAX);
    qcow2_counts_clear(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/qcow2/check/sound", test_sound);
    g_test_add_func("/guest/qcow2/check/refcounts", test_refcounts);
    g_test_add_func("/guest/qcow2/check/copied", test_copied);
    g_test_add_func("/guest/qcow2/check/entries", test_entries);
    g_test_add_func("/guest/qcow2/check/past-the-end", test_past_the_end);
    g_test_add_func("/guest/qcow2/check/refcount-blocks", test_refcount_blocks);
    g_test_add_func("/guest/qcow2/check/sub-byte", test_sub_byte);
    g_test_add_func("/guest/qcow2/check/overflow", test_overflow);
    g_test_add_func("/guest/qcow2/check/snapshot-table", test_snapshot_table);
    g_test_add_func("/guest/qcow2/check/work-is-bounded", test_work_is_bounded);
    g_test_add_func("/guest/qcow2/check/counts", test_counts);
    return g_test_run();
}
