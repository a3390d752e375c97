/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapping: what each kind of L2 entry means, how far a run goes, and what is an event.
 */
#include <string.h>

#include "guest/formats/qcow2.h"
#include "tests/unit/qcow2_image.h"

#define BITS    16
#define CLUSTER 65536u
#define DISK    (1u << 20)

static struct node *open_image(struct image *image)
{
    struct node *node;

    g_assert_cmpint(image_open(image, FALSE, &node), ==, GUEST_OK);
    return node;
}

static struct layer_extent extent_at(struct image *image, struct node *node, uint64_t start,
                                     uint64_t length)
{
    struct layer_extent e;

    g_assert_cmpint(image_map(image, node, start, length, &e), ==, GUEST_OK);
    g_assert_cmpuint(e.length, >, 0);
    g_assert_cmpuint(e.length, <=, length);
    return e;
}

static void expect(struct image *image, struct node *node, uint64_t start, uint64_t length,
                   enum cell_extent_kind kind, uint64_t offset)
{
    struct layer_extent e = extent_at(image, node, start, DISK - start);

    g_assert_cmpint(e.kind, ==, kind);
    g_assert_cmpuint(e.length, ==, length);
    if (offset) {
        g_assert_true(e.flags & CELL_EXTENT_HAS_OFFSET);
        g_assert_cmphex(e.offset, ==, offset);
    } else {
        g_assert_false(e.flags & CELL_EXTENT_HAS_OFFSET);
    }
}

static int event_at(struct image *image, uint64_t start)
{
    struct node *node = open_image(image);
    struct layer_extent e;
    enum guest_err err = image_map(image, node, start, DISK - start, &e);
    struct guest_err_detail first = image->detail;

    /* The second time it is a plain read error. */
    g_assert_cmpint(image_map(image, node, start, DISK - start, &e), ==, GUEST_ERR_IO);
    image->detail = first;
    node_free(node);
    return (int)err;
}

static void test_standard(void)
{
    struct image *image = image_new(BITS, DISK);
    struct node *node;

    image_put64(image, image_l2_entry(image, 0), 5 * CLUSTER | OFLAG_COPIED);
    image_put64(image, image_l2_entry(image, 1), 6 * CLUSTER); /* continues, COPIED or not */
    image_put64(image, image_l2_entry(image, 2), 9 * CLUSTER); /* jumps */
    image_put64(image, image_l2_entry(image, 3), OFLAG_ZERO);
    image_put64(image, image_l2_entry(image, 4), OFLAG_ZERO);
    image_put64(image, image_l2_entry(image, 5), 7 * CLUSTER | OFLAG_ZERO);
    node = open_image(image);
    expect(image, node, 0, 2 * CLUSTER, CELL_EXTENT_DATA, 5 * CLUSTER);
    expect(image, node, 1000, 2 * CLUSTER - 1000, CELL_EXTENT_DATA, 5 * CLUSTER + 1000);
    expect(image, node, 2 * CLUSTER, CLUSTER, CELL_EXTENT_DATA, 9 * CLUSTER);
    expect(image, node, 3 * CLUSTER, 2 * CLUSTER, CELL_EXTENT_ZERO, 0);
    expect(image, node, 5 * CLUSTER, CLUSTER, CELL_EXTENT_ZERO, 7 * CLUSTER);
    expect(image, node, 6 * CLUSTER, 10 * CLUSTER, CELL_EXTENT_HOLE, 0);
    g_assert_cmpuint(extent_at(image, node, 100, 7).length, ==, 7);
    node_free(node);
    image_free(image);
}

/* Empty L1 entries are one hole, up to the next table or the end. */
static void test_empty_l1(void)
{
    const uint64_t per_entry = (uint64_t)CLUSTER / 8 * CLUSTER;
    struct image *image = image_new(BITS, 8 * per_entry);
    struct node *node;
    struct layer_extent e;

    image_put64(image, image_l1_entry(image, 5), image_cluster(image, 4));
    image_put64(image, image_l1_entry(image, 0), 0);
    node = open_image(image);
    e = extent_at(image, node, 12345, 8 * per_entry - 12345);
    g_assert_cmpint(e.kind, ==, CELL_EXTENT_HOLE);
    g_assert_cmpuint(e.length, ==, 5 * per_entry - 12345);
    e = extent_at(image, node, 6 * per_entry, 2 * per_entry);
    g_assert_cmpuint(e.length, ==, 2 * per_entry);
    node_free(node);
    image_free(image);
}

static void test_compressed(void)
{
    struct image *image = image_new(BITS, DISK);
    struct node *node;
    struct layer_extent e;
    unsigned x = 62 - (BITS - 8);

    /* at 5 clusters + 100, two sectors after the first */
    image_put64(image, image_l2_entry(image, 1),
                OFLAG_COMPRESSED | UINT64_C(2) << x | (5 * CLUSTER + 100));
    node = open_image(image);
    e = extent_at(image, node, CLUSTER + 10, DISK - CLUSTER - 10);
    g_assert_cmpint(e.kind, ==, CELL_EXTENT_COMPRESSED);
    g_assert_cmpint(e.codec, ==, CELL_CODEC_DEFLATE);
    g_assert_cmpuint(e.offset, ==, 5 * CLUSTER + 100);
    g_assert_cmpuint(e.comp_len, ==, 3 * 512 - 100);
    g_assert_cmpuint(e.unit_len, ==, CLUSTER);
    g_assert_cmpuint(e.skip, ==, 10);
    g_assert_cmpuint(e.length, ==, CLUSTER - 10);
    node_free(node);
    image_free(image);
}

static void test_events(void)
{
    struct image *image = image_new(BITS, DISK);

    image_put64(image, image_l2_entry(image, 0), 5 * CLUSTER + 512);
    g_assert_cmpint(event_at(image, 0), ==, QCOW2_EVENT_CLUSTER_OFFSET);
    g_assert_cmphex(image->detail.number[0], ==, 5 * CLUSTER + 512);
    g_assert_cmphex(image->detail.number[1], ==, image_cluster(image, 4));

    image_put64(image, image_l1_entry(image, 0), image_cluster(image, 4) + 512);
    g_assert_cmpint(event_at(image, 0), ==, QCOW2_EVENT_L2_OFFSET);
    image_put64(image, image_l1_entry(image, 0), image_cluster(image, 4));

    image_put32(image, AT_VERSION, 2);
    image_put64(image, AT_INCOMPATIBLE_FEATURES, 0);
    image_put64(image, image_l2_entry(image, 3), OFLAG_ZERO);
    g_assert_cmpint(event_at(image, 3 * CLUSTER), ==, QCOW2_EVENT_ZERO_V2);
    image_free(image);
}

/* An L2 table past the end of the file is empty; one cut short is padded. */
static void test_table_past_the_end(void)
{
    struct image *image = image_new(BITS, DISK);
    struct node *node;

    image_put64(image, image_l2_entry(image, 0), 5 * CLUSTER);
    image_put64(image, image_l2_entry(image, 1), 6 * CLUSTER);
    image->size = image_l2_entry(image, 1);
    node = open_image(image);
    expect(image, node, 0, CLUSTER, CELL_EXTENT_DATA, 5 * CLUSTER);
    expect(image, node, CLUSTER, 15 * CLUSTER, CELL_EXTENT_HOLE, 0);
    node_free(node);
    image_put64(image, image_l1_entry(image, 0), UINT64_C(1) << 50);
    node = open_image(image);
    expect(image, node, 0, DISK, CELL_EXTENT_HOLE, 0);
    node_free(node);
    image_free(image);
}

static struct image *new_extended(void)
{
    struct image *image = image_new(BITS, DISK);

    image_put64(image, AT_INCOMPATIBLE_FEATURES, 1 << 4);
    return image;
}

/* 16-byte entries: offset and flags, then zero bits, then allocation bits. */
static void put_extended(struct image *image, unsigned index, uint64_t entry, uint32_t zero,
                         uint32_t alloc)
{
    image_put64(image, image_l2_entry(image, index * 2), entry);
    image_put32(image, image_l2_entry(image, index * 2 + 1), zero);
    image_put32(image, image_l2_entry(image, index * 2 + 1) + 4, alloc);
}

static void test_extended(void)
{
    struct image *image = new_extended();
    const unsigned sub = CLUSTER / 32;
    struct node *node;
    struct layer_extent e;

    put_extended(image, 0, 5 * CLUSTER, 0x00000f00, 0xffff000f);
    put_extended(image, 1, 6 * CLUSTER, 0, 0x00000003);
    put_extended(image, 2, 0, 0x00000001, 0);
    put_extended(image, 3, 8 * CLUSTER, 0, 0);
    node = open_image(image);
    expect(image, node, 0, 4 * sub, CELL_EXTENT_DATA, 5 * CLUSTER);
    expect(image, node, 4 * sub, 4 * sub, CELL_EXTENT_HOLE, 5 * CLUSTER + 4 * sub);
    expect(image, node, 8 * sub + 5, 4 * sub - 5, CELL_EXTENT_ZERO, 5 * CLUSTER + 8 * sub + 5);
    /* from subcluster 16 on into the next cluster, which continues it */
    expect(image, node, 16 * sub, 18 * sub, CELL_EXTENT_DATA, 5 * CLUSTER + 16 * sub);
    expect(image, node, 2 * CLUSTER, sub, CELL_EXTENT_ZERO, 0);
    e = extent_at(image, node, 2 * CLUSTER + sub, DISK - 2 * CLUSTER - sub);
    g_assert_cmpint(e.kind, ==, CELL_EXTENT_HOLE);
    g_assert_cmpuint(e.length, ==, 31 * sub);
    expect(image, node, 3 * CLUSTER, CLUSTER, CELL_EXTENT_HOLE, 8 * CLUSTER);
    node_free(node);
    image_free(image);
}

static void test_extended_invalid(void)
{
    struct image *image = new_extended();

    put_extended(image, 0, 5 * CLUSTER, 1, 1);
    g_assert_cmpint(event_at(image, 0), ==, QCOW2_EVENT_INVALID_ENTRY);
    put_extended(image, 0, 0, 0, 1);
    g_assert_cmpint(event_at(image, 0), ==, QCOW2_EVENT_INVALID_ENTRY);
    /* A run that reaches an invalid entry fails as a whole, and names that entry. */
    put_extended(image, 0, 5 * CLUSTER, 0, UINT32_MAX);
    put_extended(image, 1, 6 * CLUSTER, 2, 3);
    g_assert_cmpint(event_at(image, 0), ==, QCOW2_EVENT_INVALID_ENTRY);
    g_assert_cmpuint(image->detail.number[1], ==, 1);
    image_free(image);
}

/* A walk in order over many tables takes few reads. */
static unsigned nr_reads;
static enum guest_err (*real_read)(struct source *, const struct source_piece *, unsigned,
                                   struct guest_err_detail *);

static enum guest_err counting_read(struct source *src, const struct source_piece *pieces,
                                    unsigned nr_pieces, struct guest_err_detail *detail)
{
    nr_reads++;
    return real_read(src, pieces, nr_pieces, detail);
}

/* A table in every `step`th L1 entry, whose first entry leads to the table itself. */
static void test_few_reads(gconstpointer step_pointer)
{
    enum { TABLES = 1024, TABLES_AT = 200 };
    const unsigned step = GPOINTER_TO_UINT(step_pointer);
    const uint64_t per_entry = 512 / 8 * 512;
    struct image *image = image_new(9, TABLES * step * per_entry);
    struct node *node;

    image->size = (TABLES_AT + TABLES) * 512;
    image->bytes = g_realloc(image->bytes, image->size);
    memset(image->bytes + IMAGE_CLUSTERS * 512, 0, image->size - IMAGE_CLUSTERS * 512);
    image_put64(image, AT_L1_TABLE_OFFSET, IMAGE_CLUSTERS * 512);
    for (uint64_t i = 0; i < TABLES; i++) {
        uint64_t table = (TABLES_AT + i) * 512;

        image_put64(image, IMAGE_CLUSTERS * 512 + i * step * 8, table);
        image_put64(image, table, OFLAG_COPIED | table);
    }
    node = open_image(image);
    real_read = node->source->read;
    node->source->read = counting_read;
    nr_reads = 0;
    for (uint64_t at = 0; at < node->virtual_size;) {
        struct layer_extent e = extent_at(image, node, at, node->virtual_size - at);

        if (at % (step * per_entry) == 0) {
            g_assert_cmpint(e.kind, ==, CELL_EXTENT_DATA);
            g_assert_cmphex(e.offset, ==, (TABLES_AT + at / (step * per_entry)) * 512);
        } else {
            g_assert_cmpint(e.kind, !=, CELL_EXTENT_DATA);
        }
        at += e.length;
    }
    g_assert_cmpuint(nr_reads, <, 60);
    node_free(node);
    image_free(image);
}

/* Back and forth: what is loaded is found again, what is not is loaded. */
static void test_any_order(void)
{
    enum { TABLES = 64, TABLES_AT = 100 };
    const uint64_t per_entry = 512 / 8 * 512;
    struct image *image = image_new(9, TABLES * per_entry);
    struct node *node;

    image->size = (TABLES_AT + TABLES) * 512;
    image->bytes = g_realloc(image->bytes, image->size);
    memset(image->bytes + IMAGE_CLUSTERS * 512, 0, image->size - IMAGE_CLUSTERS * 512);
    image_put64(image, AT_L1_TABLE_OFFSET, IMAGE_CLUSTERS * 512);
    for (uint64_t i = 0; i < TABLES; i++) {
        image_put64(image, IMAGE_CLUSTERS * 512 + i * 8, (TABLES_AT + i) * 512);
        image_put64(image, (TABLES_AT + i) * 512, OFLAG_COPIED | (TABLES_AT + i) * 512);
    }
    node = open_image(image);
    for (uint64_t i = 0; i < TABLES * 8; i++) {
        uint64_t table = i < TABLES ? i : i * 37 % TABLES;

        g_assert_cmphex(extent_at(image, node, table * per_entry, 512).offset, ==,
                        (TABLES_AT + table) * 512);
    }
    node_free(node);
    image_free(image);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/qcow2/map/standard", test_standard);
    g_test_add_func("/guest/qcow2/map/empty-l1", test_empty_l1);
    g_test_add_func("/guest/qcow2/map/compressed", test_compressed);
    g_test_add_func("/guest/qcow2/map/events", test_events);
    g_test_add_func("/guest/qcow2/map/table-past-the-end", test_table_past_the_end);
    g_test_add_func("/guest/qcow2/map/extended", test_extended);
    g_test_add_func("/guest/qcow2/map/extended-invalid", test_extended_invalid);
    g_test_add_data_func("/guest/qcow2/map/few-reads", GUINT_TO_POINTER(1), test_few_reads);
    g_test_add_data_func("/guest/qcow2/map/few-reads-over-gaps", GUINT_TO_POINTER(7),
                         test_few_reads);
    g_test_add_func("/guest/qcow2/map/any-order", test_any_order);
    return g_test_run();
}
