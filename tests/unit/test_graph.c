/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opened images: chains, locks, loops, policy and extents, over small images made here.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/wording_qcow2.h"
#include "src/graph/graph.h"
#include "src/io/locks.h"

#define KIB     1024u
#define CLUSTER (64 * KIB)
#define MIB     (1024 * KIB)

static void put_be(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
}

/*
 * A qcow2 image of 1 MiB: header, refcount table, refcount block, L1, L2, data. Cluster 0 of the
 * guest holds data, cluster 1 is zero, the rest is not allocated.
 */
static void make_qcow2(const char *path, const char *backing, const char *data_file)
{
    g_autofree uint8_t *image = g_malloc0(6 * CLUSTER);
    uint8_t *extension = image + 104;

    put_be(image, 0x514649fb, 4);            /* magic */
    put_be(image + 4, 3, 4);                 /* version */
    put_be(image + 20, 16, 4);               /* cluster_bits */
    put_be(image + 24, MIB, 8);              /* size */
    put_be(image + 36, 1, 4);                /* l1_size */
    put_be(image + 40, 3 * CLUSTER, 8);      /* l1_table_offset */
    put_be(image + 48, CLUSTER, 8);          /* refcount_table_offset */
    put_be(image + 56, 1, 4);                /* refcount_table_clusters */
    put_be(image + 96, 4, 4);                /* refcount_order */
    put_be(image + 100, 104, 4);             /* header_length */
    put_be(image + CLUSTER, 2 * CLUSTER, 8); /* refcount table */
    for (unsigned i = 0; i < 6; i++) {
        put_be(image + 2 * CLUSTER + 2 * i, 1, 2); /* refcount block */
    }
    put_be(image + 3 * CLUSTER, 4 * CLUSTER | 1ull << 63, 8);
    put_be(image + 4 * CLUSTER, (data_file ? 0 : 5 * CLUSTER) | 1ull << 63, 8);
    put_be(image + 4 * CLUSTER + 8, 1, 8);
    memset(image + 5 * CLUSTER, 0xaa, CLUSTER);
    if (data_file != NULL) {
        put_be(image + 72, 4, 8);         /* incompatible: external data file */
        put_be(extension, 0x44415441, 4); /* data file name */
        put_be(extension + 4, strlen(data_file), 4);
        memcpy(extension + 8, data_file, strlen(data_file)); /* NOLINT: counted, not terminated */
    }
    if (backing != NULL) {
        put_be(image + 8, 4096, 8);                     /* backing_file_offset */
        put_be(image + 16, strlen(backing), 4);         /* backing_file_size */
        memcpy(image + 4096, backing, strlen(backing)); /* NOLINT: counted, not terminated */
    }
    g_assert_true(g_file_set_contents(path, (char *)image, 6 * CLUSTER, NULL));
}

static void make_raw(const char *path, uint64_t size, uint64_t data_at)
{
    uint8_t block[4096];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

    memset(block, 0x55, sizeof(block));
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    g_assert_cmpint(pwrite(fd, block, sizeof(block), (off_t)data_at), ==, sizeof(block));
    close(fd);
}

static struct image *open_ok(const struct image_open_options *options)
{
    GError *error = NULL;
    struct image *image = image_open(options, &error);

    g_assert_no_error(error);
    return image;
}

static void assert_refused(const struct image_open_options *options, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(image_open(options, &error));
    g_assert_cmpstr(error->message, ==, message);
}

/* ---- opening ---- */

static void test_raw(void)
{
    struct image_open_options options = {.filename = "a.raw"};
    g_autoptr(Image) probed = NULL;
    g_autoptr(Image) named = NULL;

    make_raw("a.raw", 100001, 0);
    probed = open_ok(&options);
    g_assert_cmpstr(image_format(probed), ==, "raw");
    g_assert_true(image_was_probed(probed));
    g_assert_null(image_cell(probed)); /* only probing took one */
    g_assert_cmpuint(image_virtual_size(probed), ==, 100352);
    options.format = "raw";
    named = open_ok(&options);
    g_assert_false(image_was_probed(named));
    g_assert_null(image_cell(named));
}

static void test_chain(void)
{
    struct image_open_options options = {.filename = "top"};
    g_autoptr(Image) top = NULL;
    struct image *middle;
    struct image *base;

    make_raw("base", MIB, 0);
    make_qcow2("middle", "base", NULL);
    make_qcow2("top", "middle", NULL);
    top = open_ok(&options);
    middle = image_backing(top);
    base = image_backing(middle);
    g_assert_cmpstr(image_format(middle), ==, "qcow2");
    g_assert_cmpstr(image_filename(middle), ==, "middle");
    g_assert_cmpstr(image_format(base), ==, "raw");
    g_assert_null(image_backing(base));
    g_assert_true(image_cell(top) == image_cell(base));
    g_assert_cmpuint(image_cluster_size(top), ==, CLUSTER);
    g_assert_cmpstr(image_backing_name(top), ==, "middle");
}

static void test_chain_refused(void)
{
    struct image_open_options options = {.filename = "loop-a"};
    struct image_open_options self = {.filename = "self"};
    struct image_open_options missing = {.filename = "orphan"};
    struct image_open_options shallow = {.filename = "orphan", .no_backing = TRUE};

    make_qcow2("loop-a", "loop-b", NULL);
    make_qcow2("loop-b", "./loop-a", NULL);
    assert_refused(&options, "Could not open backing file: Could not open backing file: "
                             "Backing file './loop-a' creates an infinite loop.");
    make_qcow2("self", "self", NULL);
    assert_refused(&self, "Could not open backing file: "
                          "Backing file 'self' creates an infinite loop.");
    make_qcow2("orphan", "nosuch", NULL);
    assert_refused(&missing, "Could not open backing file: "
                             "Could not open 'nosuch': No such file or directory");
    {
        g_autoptr(Image) image = open_ok(&shallow);

        g_assert_null(image_backing(image));
        g_assert_cmpstr(image_backing_name(image), ==, "nosuch");
    }
}

static void test_depth(void)
{
    struct image_open_options options = {.filename = "deep-300"};
    g_autoptr(GError) error = NULL;

    make_raw("deep-0", MIB, 0);
    for (unsigned i = 1; i <= 300; i++) {
        g_autofree char *path = g_strdup_printf("deep-%u", i);
        g_autofree char *backing = g_strdup_printf("deep-%u", i - 1);

        make_qcow2(path, backing, NULL);
    }
    g_assert_null(image_open(&options, &error));
    g_assert_true(g_str_has_suffix(error->message, "The backing chain is longer than 256 images"));
    options.filename = "deep-200";
    {
        g_autoptr(Image) image = open_ok(&options);

        g_assert_nonnull(image);
    }
}

static void test_data_file(void)
{
    struct image_open_options inside = {.filename = "d/a"};
    struct image_open_options escape = {.filename = "d/link"};
    struct image_open_options outside = {.filename = "d/out"};
    struct image_open_options info = {.filename = "d/out", .no_io = TRUE, .no_backing = TRUE};

    g_mkdir("d", 0755);
    make_raw("d/data", MIB, 0);
    make_raw("secret", MIB, 0);
    make_qcow2("d/a", NULL, "data");
    make_qcow2("d/out", NULL, "../secret");
    make_qcow2("d/link", NULL, "pointer");
    g_assert_cmpint(symlink("../secret", "d/pointer"), ==, 0);
    {
        g_autoptr(Image) image = open_ok(&inside);
        g_autoptr(Image) unopened = open_ok(&info);

        g_assert_nonnull(image);
        g_assert_nonnull(unopened);
    }
    assert_refused(&outside,
                   "The image names the data file '../secret', which is not followed: data files "
                   "and extents must lie in the image's directory or below it\n"
                   "Use INSTAR_POLICY=qemu to follow what qemu-img would follow.");
    assert_refused(&escape,
                   "The image names the data file 'pointer', which is not followed: data files "
                   "and extents must lie in the image's directory or below it\n"
                   "Use INSTAR_POLICY=qemu to follow what qemu-img would follow.");
    g_setenv("INSTAR_POLICY", "qemu", TRUE);
    {
        g_autoptr(Image) image = open_ok(&outside);

        g_assert_nonnull(image);
    }
    g_unsetenv("INSTAR_POLICY");
}

static void test_strict(void)
{
    struct image_open_options options = {.filename = "strict"};

    make_raw("strict-base", MIB, 0);
    make_qcow2("strict", "strict-base", NULL);
    g_setenv("INSTAR_POLICY", "strict", TRUE);
    assert_refused(&options, "Could not open backing file: The image names the backing file "
                             "'strict-base', which is not followed: the policy is strict\n"
                             "Use INSTAR_POLICY=default to follow local files.");
    g_unsetenv("INSTAR_POLICY");
}

static void test_locks(void)
{
    struct image_open_options reading = {.filename = "locked"};
    struct image_open_options writing = {.filename = "locked", .read_write = TRUE};
    struct image_open_options shared = {.filename = "locked", .force_share = TRUE};

    make_qcow2("locked", NULL, NULL);
    {
        g_autoptr(Image) first = open_ok(&reading);
        g_autoptr(Image) second = open_ok(&reading);

        g_assert_true(first != second);
        assert_refused(&writing, "Failed to get \"write\" lock\n"
                                 "Is another process using the image [locked]?");
    }
    {
        g_autoptr(Image) writer = open_ok(&writing);
        g_autoptr(Image) other = open_ok(&shared);

        g_assert_true(endpoint_writable(image_endpoint(writer)));
        assert_refused(&reading, "Failed to get shared \"write\" lock\n"
                                 "Is another process using the image [locked]?");
    }
    shared.read_write = TRUE;
    assert_refused(&shared, "force-share=on can only be used with read-only images");
}

/* ---- extents ---- */

struct expected {
    uint64_t start, length;
    const char *flags; /* p present, z zero, d data, o offset */
    unsigned depth;
};

static void check_extents(struct image *image, uint64_t start, uint64_t length, unsigned layers,
                          const struct expected *expected, size_t nr)
{
    g_autoptr(Extents) it = extents_new(image, start, length, layers);
    g_autoptr(GError) error = NULL;
    struct extent extent;
    size_t i = 0;
    int got;

    while ((got = extents_next(it, &extent, &error)) > 0) {
        g_autoptr(GString) flags = g_string_new(NULL);

        g_string_append(flags, extent.present ? "p" : "");
        g_string_append(flags, extent.zero ? "z" : "");
        g_string_append(flags, extent.data ? "d" : "");
        g_string_append(flags, extent.has_offset ? "o" : "");
        g_assert_cmpuint(i, <, nr);
        g_assert_cmpuint(extent.start, ==, expected[i].start);
        g_assert_cmpuint(extent.length, ==, expected[i].length);
        g_assert_cmpuint(extent.depth, ==, expected[i].depth);
        g_assert_cmpstr(flags->str, ==, expected[i].flags);
        i++;
    }
    g_assert_no_error(error);
    g_assert_cmpint(got, ==, 0);
    g_assert_cmpuint(i, ==, nr);
}

static void test_extents_raw(void)
{
    static const struct expected whole[] = {
        {0, 64 * KIB, "pzo", 0},
        {64 * KIB, 4 * KIB, "pdo", 0},
        {68 * KIB, 32 * KIB, "pzo", 0},
        {100 * KIB, 512, "pzo", 0}, /* the size is made of whole sectors */
    };
    static const struct expected part[] = {{65 * KIB, KIB, "pdo", 0}};
    struct image_open_options options = {.filename = "holes.raw", .format = "raw"};
    g_autoptr(Image) image = NULL;
    uint64_t run;
    gboolean hole;

    make_raw("holes.raw", 100 * KIB + 1, 64 * KIB);
    image = open_ok(&options);
    g_assert_cmpint(endpoint_status(image_endpoint(image), 0, MIB, &run, &hole), ==, 0);
    if (!hole) {
        g_test_skip("this file system does not tell holes");
        return;
    }
    {
        struct expected joined[G_N_ELEMENTS(whole)];

        memcpy(joined, whole, sizeof(whole));
        joined[2].length = 32 * KIB + 1; /* the hole ends with the file */
        joined[3].start++;
        joined[3].length--;
        check_extents(image, 0, UINT64_MAX, 0, joined, G_N_ELEMENTS(joined));
    }
    check_extents(image, 65 * KIB, KIB, 0, part, 1);
    check_extents(image, MIB, KIB, 0, part, 0);
}

static void test_extents_chain(void)
{
    static const struct expected whole[] = {
        {0, CLUSTER, "pdo", 0},
        {CLUSTER, CLUSTER, "pz", 0},
        {2 * CLUSTER, 4 * KIB, "pdo", 1},
        {2 * CLUSTER + 4 * KIB, MIB - 2 * CLUSTER - 4 * KIB, "pzo", 1},
    };
    static const struct expected top[] = {
        {0, CLUSTER, "pdo", 0},
        {CLUSTER, CLUSTER, "pz", 0},
        {2 * CLUSTER, MIB - 2 * CLUSTER, "z", 0},
    };
    struct image_open_options options = {.filename = "over"};
    g_autoptr(Image) image = NULL;

    make_raw("under", MIB, 2 * CLUSTER);
    make_qcow2("over", "under", NULL);
    image = open_ok(&options);
    check_extents(image, 0, UINT64_MAX, 0, whole, G_N_ELEMENTS(whole));
    check_extents(image, 0, UINT64_MAX, 1, top, G_N_ELEMENTS(top));
}

/* An error comes after the extents before it, with its place. */
static void test_extents_error(void)
{
    struct image_open_options options = {.filename = "broken"};
    g_autoptr(Image) image = NULL;
    g_autoptr(Extents) it = NULL;
    g_autoptr(GError) error = NULL;
    struct extent extent;
    uint8_t entry[8];
    int fd;

    make_qcow2("broken", NULL, NULL);
    fd = open("broken", O_WRONLY);
    put_be(entry, 5 * CLUSTER + 512, 8); /* not aligned */
    g_assert_cmpint(pwrite(fd, entry, 8, 4 * CLUSTER + 3 * 8), ==, 8);
    close(fd);
    image = open_ok(&options);
    it = extents_new(image, 0, UINT64_MAX, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(extents_next(it, &extent, &error), ==, 1);
    }
    g_assert_cmpint(extents_next(it, &extent, &error), ==, -1);
    g_assert_cmpuint(extents_position(it), ==, 3 * CLUSTER);
    g_assert_nonnull(error);
}

static void test_slice(void)
{
    static const struct expected whole[] = {{0, 4 * KIB, "pdo", 0}, {4 * KIB, 60 * KIB, "pzo", 0}};
    struct image_open_options options = {
        .filename = "driver=raw,file.filename=sliced,offset=128k,size=64k",
        .image_opts = TRUE,
    };
    g_autoptr(Image) image = NULL;
    g_autoptr(Extents) it = NULL;
    struct extent extent;

    make_raw("sliced", MIB, 128 * KIB);
    image = open_ok(&options);
    g_assert_cmpuint(image_virtual_size(image), ==, 64 * KIB);
    check_extents(image, 0, UINT64_MAX, 0, whole, G_N_ELEMENTS(whole));
    it = extents_new(image, 0, 1, 0);
    g_assert_cmpint(extents_next(it, &extent, NULL), ==, 1);
    g_assert_cmpuint(extent.offset, ==, 128 * KIB); /* in the file, not in the window */
    g_assert_cmpstr(endpoint_path(extent.endpoint), ==, "sliced");
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("instar-graph-XXXXXX", NULL);
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);
    int status;

    g_test_init(&argc, &argv, NULL);
    wording_register_qcow2();
    g_assert_cmpint(g_chdir(dir), ==, 0);
    g_test_add_func("/graph/raw", test_raw);
    g_test_add_func("/graph/chain", test_chain);
    g_test_add_func("/graph/chain-refused", test_chain_refused);
    g_test_add_func("/graph/data-file", test_data_file);
    g_test_add_func("/graph/strict", test_strict);
    g_test_add_func("/graph/locks", test_locks);
    g_test_add_func("/graph/slice", test_slice);
    g_test_add_func("/extents/raw", test_extents_raw);
    g_test_add_func("/extents/chain", test_extents_chain);
    g_test_add_func("/extents/error", test_extents_error);
    g_test_add_func("/graph/depth", test_depth);
    status = g_test_run();
    g_assert_cmpint(g_chdir("/"), ==, 0);
    (void)!system(command); /* NOLINT(cert-env33-c): rm of our own folder */
    return status;
}
