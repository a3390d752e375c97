/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening qcow2: each rule of the header, its extensions, snapshots and bitmaps, broken alone.
 */
#include <string.h>

#include "guest/abi/error_luks.h"
#include "tests/unit/qcow2_image.h"

#define BITS 16

/* One 32- or 64-bit field set to a value, and the code that refuses it. */
static const struct {
    const char *name;
    enum header_field field;
    unsigned width;
    uint64_t value;
    int code;
} rules[] = {
    {"magic", AT_MAGIC, 4, 0x514649fa, QCOW2_ERR_NOT_QCOW2},
    {"version 1", AT_VERSION, 4, 1, QCOW2_ERR_VERSION},
    {"version 4", AT_VERSION, 4, 4, QCOW2_ERR_VERSION},
    {"cluster_bits 8", AT_CLUSTER_BITS, 4, 8, QCOW2_ERR_CLUSTER_BITS},
    {"cluster_bits 22", AT_CLUSTER_BITS, 4, 22, QCOW2_ERR_CLUSTER_BITS},
    {"cluster_bits 2^32-1", AT_CLUSTER_BITS, 4, UINT32_MAX, QCOW2_ERR_CLUSTER_BITS},
    {"header_length 103", AT_HEADER_LENGTH, 4, 103, QCOW2_ERR_HEADER_SHORT},
    {"header_length over a cluster", AT_HEADER_LENGTH, 4, 65544, QCOW2_ERR_HEADER_LONG},
    {"backing_file_offset", AT_BACKING_FILE_OFFSET, 8, 65537, QCOW2_ERR_BACKING_OFFSET},
    {"unknown feature", AT_INCOMPATIBLE_FEATURES, 8, 32, QCOW2_ERR_FEATURES_UNNAMED},
    {"extended L2", AT_INCOMPATIBLE_FEATURES, 8, 16, GUEST_OK},
    {"compression bit without type", AT_INCOMPATIBLE_FEATURES, 8, 8, QCOW2_ERR_COMPRESSION_BIT_SET},
    {"data file bit without name", AT_INCOMPATIBLE_FEATURES, 8, 4, GUEST_OK},
    {"raw data file without the bit", AT_AUTOCLEAR_FEATURES, 8, 2, QCOW2_ERR_RAW_WITHOUT_DATA_FILE},
    {"refcount_order 7", AT_REFCOUNT_ORDER, 4, 7, QCOW2_ERR_REFCOUNT_ORDER},
    {"refcount_order 2^32-1", AT_REFCOUNT_ORDER, 4, UINT32_MAX, QCOW2_ERR_REFCOUNT_ORDER},
    {"crypt_method 3", AT_CRYPT_METHOD, 4, 3, QCOW2_ERR_CRYPT_METHOD},
    {"crypt_method 1, no key", AT_CRYPT_METHOD, 4, 1, LUKS_ERR_NO_KEY},
    {"crypt_method 2, no header", AT_CRYPT_METHOD, 4, 2, QCOW2_ERR_CRYPTO_MISSING},
    {"no refcount table", AT_REFCOUNT_TABLE_CLUSTERS, 4, 0, QCOW2_ERR_NO_REFTABLE},
    {"refcount table of 8 MiB", AT_REFCOUNT_TABLE_CLUSTERS, 4, 128, GUEST_OK},
    {"refcount table larger", AT_REFCOUNT_TABLE_CLUSTERS, 4, 129, QCOW2_ERR_REFTABLE_LARGE},
    {"refcount table unaligned", AT_REFCOUNT_TABLE_OFFSET, 8, 512, QCOW2_ERR_REFTABLE_OFFSET},
    {"refcount table past 2^63", AT_REFCOUNT_TABLE_OFFSET, 8, UINT64_MAX - 65535,
     QCOW2_ERR_REFTABLE_OFFSET},
    {"65537 snapshots", AT_NB_SNAPSHOTS, 4, 65537, QCOW2_ERR_SNAPSHOTS_LARGE},
    {"snapshot table unaligned", AT_SNAPSHOTS_OFFSET, 8, 1, QCOW2_ERR_SNAPSHOTS_OFFSET},
    {"L1 table over 32 MiB", AT_L1_SIZE, 4, 4194305, QCOW2_ERR_L1_LARGE},
    {"L1 table unaligned", AT_L1_TABLE_OFFSET, 8, 1, QCOW2_ERR_L1_OFFSET},
    {"L1 table past 2^63", AT_L1_TABLE_OFFSET, 8, UINT64_C(1) << 63, QCOW2_ERR_L1_OFFSET},
    {"L1 table where no file reaches", AT_L1_TABLE_OFFSET, 8, 0x7fffffffffff0000,
     QCOW2_ERR_L1_READ},
    {"no L1 table", AT_L1_SIZE, 4, 0, QCOW2_ERR_L1_SMALL},
    {"size beyond the L1 table", AT_SIZE, 8, UINT64_C(1) << 40, QCOW2_ERR_L1_SMALL},
    {"size beyond any L1 table", AT_SIZE, 8, UINT64_C(1) << 62, QCOW2_ERR_TOO_BIG},
    {"size 2^64-1", AT_SIZE, 8, UINT64_MAX, QCOW2_ERR_SECTOR_COUNT},
};

static void test_rules(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++) {
        struct image *image = image_new(BITS, 1 << 20);

        g_test_message("%s", rules[i].name);
        if (rules[i].width == 4)
            image_put32(image, rules[i].field, (uint32_t)rules[i].value);
        else
            image_put64(image, rules[i].field, rules[i].value);
        g_assert_cmpint(image_refusal(image), ==, rules[i].code);
        image_free(image);
    }
}

static void test_sound(void)
{
    for (unsigned bits = 9; bits <= 21; bits++) {
        struct image *image = image_new(bits, 100000);
        struct node *node;

        g_assert_cmpint(image_open(image, FALSE, &node), ==, GUEST_OK);
        g_assert_cmpuint(node->virtual_size, ==, 100000 / 512 * 512);
        g_assert_cmpuint(node->cluster_size, ==, 1u << bits);
        node_free(node);
        image_free(image);
    }
}

/* Version 2 has none of the fields past byte 72, whatever stands there. */
static void test_version_2(void)
{
    struct image *image = image_new(BITS, 1 << 20);

    image_put32(image, AT_VERSION, 2);
    image_put64(image, AT_INCOMPATIBLE_FEATURES, 0); /* type and length of an end extension */
    image_put32(image, AT_REFCOUNT_ORDER, 99);
    image_put32(image, AT_HEADER_LENGTH, 0);
    g_assert_cmpint(image_refusal(image), ==, GUEST_OK);
    image_free(image);
}

static void test_cut_short(void)
{
    struct image *image = image_new(BITS, 1 << 20);

    image->size = 50;
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_HEADER_SHORT);
    image->size = 0;
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_NOT_QCOW2);
    /* A file that ends before its L1 table has an empty one. */
    image->size = 65536;
    g_assert_cmpint(image_refusal(image), ==, GUEST_OK);
    image_free(image);
}

static void test_feature_names(void)
{
    struct image *image = image_new(BITS, 1 << 20);
    uint8_t table[2 * 48] = {0};

    table[0] = 0; /* incompatible */
    table[1] = 5; /* bit */
    memcpy(table + 2, "fifth", 5);
    table[48] = 1; /* compatible: not looked at */
    table[49] = 6;
    memcpy(table + 50, "sixth", 5);
    image_put_extension(image, AT_EXTENSIONS, 0x6803f857, table, sizeof(table));
    image_put64(image, AT_INCOMPATIBLE_FEATURES, 1 << 5);
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_FEATURES_NAMED);
    g_assert_cmpmem(image->detail.text, image->detail.text_len, "fifth", 5);
    image_put64(image, AT_INCOMPATIBLE_FEATURES, 1 << 5 | 1 << 6);
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_FEATURES_BOTH);
    g_assert_cmphex(image->detail.number[0], ==, 1 << 6);
    image_free(image);
}

static void test_extension_lengths(void)
{
    static const struct {
        uint32_t type, length;
        int code;
    } cases[] = {
        {0x12345678, 65536 - 120, GUEST_OK},
        {0x12345678, 65536 - 119, QCOW2_ERR_EXT_LARGE},
        {0x12345678, UINT32_MAX, QCOW2_ERR_EXT_LARGE},
        {0xe2792aca, 15, GUEST_OK},
        {0xe2792aca, 16, QCOW2_ERR_EXT_BACKING_FORMAT},
        {0x0537be77, 16, QCOW2_ERR_EXT_CRYPTO_UNEXPECTED},
        {0x23852875, 16, QCOW2_ERR_EXT_BITMAPS_LENGTH},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct image *image = image_new(BITS, 1 << 20);

        image_put32(image, AT_EXTENSIONS, cases[i].type);
        image_put32(image, AT_EXTENSIONS + 4, cases[i].length);
        g_assert_cmpint(image_refusal(image), ==, cases[i].code);
        image_free(image);
    }
}

static void test_backing_name(void)
{
    struct image *image = image_new(BITS, 1 << 20);
    struct node *node;

    image_put_text(image, 0x200, "file:base.img");
    image_put64(image, AT_BACKING_FILE_OFFSET, 0x200);
    image_put32(image, AT_BACKING_FILE_SIZE, 13);
    g_assert_cmpint(image_open(image, FALSE, &node), ==, GUEST_OK);
    g_assert_cmpuint(node->nr_refs, ==, 1);
    g_assert_cmpstr(node->refs[0]->protocol, ==, "file");
    g_assert_cmpmem(node->refs[0]->path.data, node->refs[0]->path.len, "base.img", 8);
    node_free(node);

    image_put32(image, AT_BACKING_FILE_SIZE, 1024);
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_BACKING_NAME_LONG);
    image_put64(image, AT_BACKING_FILE_OFFSET, 65536 - 100);
    image_put32(image, AT_BACKING_FILE_SIZE, 101);
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_BACKING_NAME_LONG);
    image_free(image);
}

static void test_snapshots(void)
{
    struct image *image = image_new(BITS, 1 << 20);
    uint64_t table = image_cluster(image, 5);
    Abi__InfoReply *reply = calloc(1, sizeof(*reply));
    struct node *node;

    abi__info_reply__init(reply);
    image_put32(image, AT_NB_SNAPSHOTS, 1);
    image_put64(image, AT_SNAPSHOTS_OFFSET, table);
    image_put64(image, table, image_cluster(image, 3)); /* l1_table_offset */
    image_put32(image, table + 8, 1);                   /* l1_size */
    image_put16(image, table + 12, 1);                  /* id_str_size */
    image_put16(image, table + 14, 4);                  /* name_size */
    image_put32(image, table + 16, 1000);               /* date_sec */
    image_put32(image, table + 32, 7);                  /* vm_state_size, overridden below */
    image_put32(image, table + 36, 24);                 /* extra_data_size */
    image_put64(image, table + 40, UINT64_C(1) << 33);  /* vm_state_size_large */
    image_put64(image, table + 48, 4096);               /* disk_size */
    image_put64(image, table + 56, UINT64_MAX);         /* icount: none */
    image_put_text(image, table + 64, "1snap");
    g_assert_cmpint(image_open(image, FALSE, &node), ==, GUEST_OK);
    g_assert_cmpint(node->driver->info(node, reply, &image->detail), ==, GUEST_OK);
    g_assert_cmpuint(reply->n_snapshot, ==, 1);
    g_assert_cmpuint(reply->snapshot[0]->vm_state_size, ==, UINT64_C(1) << 33);
    g_assert_cmpuint(reply->snapshot[0]->disk_size, ==, 4096);
    g_assert_false(reply->snapshot[0]->has_icount);
    g_assert_cmpmem(reply->snapshot[0]->name.data, reply->snapshot[0]->name.len, "snap", 4);
    abi__info_reply__free_unpacked(reply, NULL);
    node_free(node);

    image_put32(image, table + 36, 1025);
    g_assert_cmpint(image_refusal(image), ==, QCOW2_ERR_SNAPSHOT_EXTRA);
    image_free(image);
}

static void test_bitmaps(void)
{
    static const struct {
        const char *name;
        unsigned offset, width;
        uint64_t value;
        int code;
    } cases[] = {
        {"sound", 0, 8, 6 * 65536, GUEST_OK},
        {"table unaligned", 0, 8, 512, QCOW2_ERR_BITMAP_ENTRY},
        {"no table", 0, 8, 0, QCOW2_ERR_BITMAP_ENTRY},
        {"empty table", 8, 4, 0, QCOW2_ERR_BITMAP_ENTRY},
        {"table too large", 8, 4, UINT32_MAX, QCOW2_ERR_BITMAP_ENTRY},
        {"table of another size", 8, 4, 2, QCOW2_ERR_BITMAP_DATA},
        {"in use, any size", 8, 8, UINT64_C(2) << 32 | 1, GUEST_OK},
        {"unknown flag", 12, 4, 4, QCOW2_ERR_BITMAP_ENTRY},
        {"unknown type", 16, 1, 2, QCOW2_ERR_BITMAP_ENTRY},
        {"granularity 2^8", 17, 1, 8, QCOW2_ERR_BITMAP_ENTRY},
        {"granularity 2^32", 17, 1, 32, QCOW2_ERR_BITMAP_ENTRY},
        {"name past the directory", 18, 2, 9, QCOW2_ERR_BITMAP_BROKEN},
        {"extra data", 20, 4, 1, QCOW2_ERR_BITMAP_EXTRA},
        {"extra data of 4 GiB", 20, 4, UINT32_MAX, QCOW2_ERR_BITMAP_EXTRA},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct image *image = image_new(BITS, 1 << 20);
        uint64_t directory = image_cluster(image, 5);
        uint8_t extension[24] = {0};

        g_test_message("%s", cases[i].name);
        store_be32(extension, 1);              /* nb_bitmaps */
        store_be64(extension + 8, 32);         /* bitmap_directory_size */
        store_be64(extension + 16, 5 * 65536); /* bitmap_directory_offset */
        image_put64(image, AT_AUTOCLEAR_FEATURES, 1);
        image_put_extension(image, AT_EXTENSIONS, 0x23852875, extension, sizeof(extension));
        image_put64(image, directory, 6 * 65536); /* bitmap_table_offset */
        image_put32(image, directory + 8, 1);     /* bitmap_table_size */
        image_put8(image, directory + 16, 1);     /* type */
        image_put8(image, directory + 17, 16);    /* granularity_bits */
        image_put16(image, directory + 18, 7);    /* name_size */
        image_put_text(image, directory + 24, "bitmap0");
        if (cases[i].width == 1)
            image_put8(image, directory + cases[i].offset, (uint8_t)cases[i].value);
        else if (cases[i].width == 2)
            image_put16(image, directory + cases[i].offset, (uint16_t)cases[i].value);
        else if (cases[i].width == 4)
            image_put32(image, directory + cases[i].offset, (uint32_t)cases[i].value);
        else
            image_put64(image, directory + cases[i].offset, cases[i].value);
        g_assert_cmpint(image_refusal(image), ==, cases[i].code);
        image_free(image);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/qcow2/open/rules", test_rules);
    g_test_add_func("/guest/qcow2/open/sound", test_sound);
    g_test_add_func("/guest/qcow2/open/version-2", test_version_2);
    g_test_add_func("/guest/qcow2/open/cut-short", test_cut_short);
    g_test_add_func("/guest/qcow2/open/feature-names", test_feature_names);
    g_test_add_func("/guest/qcow2/open/extension-lengths", test_extension_lengths);
    g_test_add_func("/guest/qcow2/open/backing-name", test_backing_name);
    g_test_add_func("/guest/qcow2/open/snapshots", test_snapshots);
    g_test_add_func("/guest/qcow2/open/bitmaps", test_bitmaps);
    return g_test_run();
}
