/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks ahead of long writes: files hold what was written and no block more once they are closed.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "src/io/endpoint.h"

#define MIB 1048576u

static guint8 data[MIB];

static guint64 blocks(const char *path, guint64 size)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_size, ==, size);
    return (guint64)st.st_blocks * 512;
}

static struct endpoint *create(const char *path)
{
    g_autoptr(GError) error = NULL;
    struct endpoint *endpoint = endpoint_open(AT_FDCWD, path, FALSE, ENDPOINT_CREATE, NULL, &error);

    g_assert_no_error(error);
    return endpoint;
}

static void append(struct endpoint *endpoint, guint count)
{
    for (guint i = 0; i < count; i++) {
        g_assert_cmpint(endpoint_pwrite(endpoint, endpoint_size(endpoint), data, MIB), ==, 0);
    }
}

static void check_bytes(const char *path, guint64 offset)
{
    g_autofree guint8 *got = g_malloc(MIB);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(pread(fd, got, MIB, (off_t)offset), ==, MIB);
    g_assert_cmpmem(got, MIB, data, MIB);
    close(fd);
}

/* Growth takes more than it needs, never more than a quarter, and gives it back at the end. */
static void test_growth(void)
{
    g_autoptr(Endpoint) endpoint = create("grows");
    guint64 open_blocks;

    append(endpoint, 8);
    open_blocks = blocks("grows", 8 * MIB);
    g_assert_cmpuint(open_blocks, >, 8 * MIB);
    g_assert_cmpuint(open_blocks, <=, 10 * MIB + 65536);
    g_clear_pointer(&endpoint, endpoint_unref);
    g_assert_cmpuint(blocks("grows", 8 * MIB), <=, 8 * MIB + 65536);
    check_bytes("grows", 0);
    check_bytes("grows", 7 * MIB);
}

/* What was cut off has no blocks any more, and the next growth asks for them anew. */
static void test_shrink(void)
{
    g_autoptr(Endpoint) endpoint = create("shrinks");

    append(endpoint, 4);
    g_assert_cmpint(endpoint_truncate(endpoint, MIB), ==, 0);
    g_assert_cmpuint(blocks("shrinks", MIB), <=, MIB + 65536);
    append(endpoint, 3);
    g_assert_cmpuint(blocks("shrinks", 4 * MIB), >, 4 * MIB);
    g_clear_pointer(&endpoint, endpoint_unref);
    g_assert_cmpuint(blocks("shrinks", 4 * MIB), <=, 4 * MIB + 65536);
    check_bytes("shrinks", 3 * MIB);
}

/* Inside a sparse file just the range of the write gets blocks: holes stay. */
static void test_inside(void)
{
    g_autoptr(Endpoint) endpoint = create("sparse");

    g_assert_cmpint(endpoint_truncate(endpoint, 64 * MIB), ==, 0);
    g_clear_pointer(&endpoint, endpoint_unref);
    endpoint = endpoint_open(AT_FDCWD, "sparse", FALSE, ENDPOINT_WRITE, NULL, NULL);
    g_assert_cmpint(endpoint_pwrite(endpoint, 32 * MIB, data, MIB), ==, 0);
    g_assert_cmpuint(blocks("sparse", 64 * MIB), <=, MIB + 65536);
    g_clear_pointer(&endpoint, endpoint_unref);
    g_assert_cmpuint(blocks("sparse", 64 * MIB), <=, MIB + 65536);
    check_bytes("sparse", 32 * MIB);
}

/* A small file is written as it is. */
static void test_small(void)
{
    g_autoptr(Endpoint) endpoint = create("small");

    g_assert_cmpint(endpoint_pwrite(endpoint, 0, data, 200000), ==, 0);
    g_assert_cmpuint(blocks("small", 200000), <=, 200000 + 65536);
}

int main(int argc, char **argv)
{
    g_autofree char *folder = NULL;
    struct statfs fs;
    int status;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("instar-reserve-XXXXXX", NULL);
    g_assert_cmpint(chdir(folder), ==, 0);
    g_assert_cmpint(statfs(".", &fs), ==, 0);
    if (fs.f_type != EXT4_SUPER_MAGIC ||
        (guint64)fs.f_bavail < (2ull << 30) / (guint64)fs.f_bsize) {
        g_print(
            "1..0 # SKIP blocks are reserved on ext4 with room alone, which this folder is not\n");
        g_assert_cmpint(g_rmdir(folder), ==, 0);
        return 0;
    }
    for (guint i = 0; i < MIB; i++) {
        data[i] = (guint8)(i * 7 + (i >> 9));
    }
    g_test_add_func("/reserve/growth", test_growth);
    g_test_add_func("/reserve/shrink", test_shrink);
    g_test_add_func("/reserve/inside", test_inside);
    g_test_add_func("/reserve/small", test_small);
    status = g_test_run();
    for (const char *const *name =
             (const char *const[]){"grows", "shrinks", "sparse", "small", NULL};
         *name != NULL; name++) {
        g_unlink(*name);
    }
    g_assert_cmpint(g_rmdir(folder), ==, 0);
    return status;
}
