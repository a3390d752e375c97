/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of VMDK that need no image: descriptor texts, the layout of new extents, tar archives.
 */
#include <glib.h>

#include "guest/formats/tar.h"
#include "guest/formats/vmdk_resize.h"

static struct span text(const char *words)
{
    return span_of(words, strlen(words));
}

static void test_lines(void)
{
    static const struct {
        const char *line;
        int matches;
        int64_t sectors, offset;
        const char *type, *name;
    } rows[] = {
        {"RW 2048 FLAT \"a\" 7", 5, 2048, 7, "FLAT", "a"},
        {" RW\t2048\nSPARSE \"a b\"", 4, 2048, 0, "SPARSE", "a b"},
        {"RW 99999999999999999999 FLAT \"a\" -1", 5, INT64_MAX, -1, "FLAT", "a"},
        {"RW -5 VMFSSPARSE \"a", 4, -5, 0, "VMFSSPARSE", "a"},
        {"RW 1 FLAT \"a\" 0x10", 5, 1, 0, "FLAT", "a"},
        {"RW 1 FLAT \"\" 0", 3, 1, 0, "FLAT", ""},
        {"RW 1 FLATTTTTTTTTTTT \"a\"", 3, 1, 0, "FLATTTTTTT", ""},
        {"RW x FLAT", 1, 0, 0, "", ""},
        {"", 0, 0, 0, "", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vmdk_line line;

        vmdk_text_line(text(rows[i].line), &line);
        g_assert_cmpint(line.matches, ==, rows[i].matches);
        g_assert_cmpint(line.sectors, ==, rows[i].sectors);
        g_assert_cmpint(line.offset, ==, rows[i].offset);
        g_assert_true(span_equal_text(line.type, rows[i].type));
        g_assert_true(span_equal_text(line.name, rows[i].name));
    }
}

static void test_numbers(void)
{
    static const struct {
        const char *words;
        uint32_t number;
    } rows[] = {{"12", 0x12},
                {" 0xFf ", 0xff},
                {"-1", 0xffffffff},
                {"123456789", 0x23456789},
                {"ffffffffffffffffffff", 0xffffffff},
                {"0x", 0}};
    uint32_t number;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(vmdk_text_hex(text(rows[i].words), &number));
        g_assert_cmphex(number, ==, rows[i].number);
    }
    g_assert_false(vmdk_text_hex(text("zz"), &number));
    g_assert_false(vmdk_text_hex(text(""), &number));
}

static void test_values(void)
{
    struct span value;

    g_assert_true(vmdk_text_value(text("x createType=\"vmfs\"\n"), "createType", &value));
    g_assert_true(span_equal_text(value, "vmfs"));
    g_assert_false(vmdk_text_value(text("createType=\"vmfs\n"), "createType", &value));
    g_assert_false(vmdk_text_value(text("createType="), "createType", &value));
    g_assert_false(vmdk_text_value(text("createTyp"), "createType", &value));
}

static struct vmdk_cid cid_of(const char *digits)
{
    struct vmdk_cid cid = {.nr_digits = (unsigned)strlen(digits)};

    memcpy(cid.digits, digits, cid.nr_digits);
    return cid;
}

/* As many digits as before, another number, no zero in front, and not the id of no parent. */
static void test_ids(void)
{
    static const struct {
        const char *before, *after;
        uint64_t random;
    } rows[] = {{"12345678", "fedcba98", 0x89abcdef},
                {"12345678", "10000000", 0},
                {"fffffffe", "fffffff7", 0xffffffff},
                {"12345677", "12345678", 0x77654321},
                {"5", "a", 0xa},
                {"0", "7", 0},
                {"", "", 5}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct vmdk_cid cid = cid_of(rows[i].before);

        vmdk_renew_cid(&cid, rows[i].random);
        g_assert_cmpmem(cid.digits, cid.nr_digits, rows[i].after, strlen(rows[i].after));
    }
}

/* after: NULL: the text is refused. */
static void expect_text(const char *before, const struct vmdk_text_change *change,
                        const char *after)
{
    uint8_t *out;
    size_t len;
    bool ok = vmdk_resize_text(text(before), change, &out, &len);

    g_assert_cmpint(ok, ==, after != NULL);
    if (ok) {
        g_assert_cmpmem(out, len, after, strlen(after));
        free(out);
    }
}

static void test_resize_text(void)
{
    struct vmdk_text_change change = {
        .disk_sectors = 204800, .nr_extents = 1, .edge_sectors = 204800};

    expect_text("version=1\nRW 99 SPARSE \"a\"\nddb.geometry.cylinders = \"2\"\n"
                "ddb.geometry.heads = \"16\"\n",
                &change,
                "version=1\nRW 204800 SPARSE \"a\"\nddb.geometry.cylinders = \"203\"\n"
                "ddb.geometry.heads = \"16\"\n");
    expect_text("version=1\nRDONLY 99 SPARSE \"a\"\n", &change, NULL);
}

/* Lines behind the edge go, others come; ends of lines stay what they are. */
static void test_resize_lines(void)
{
    ProtobufCBinaryData names[] = {{5, (uint8_t *)"n-003"}, {5, (uint8_t *)"n-004"}};
    struct vmdk_text_change change = {.nr_extents = 3, .edge = 1, .edge_sectors = 7};

    expect_text("x\nRW 4 FLAT \"a\" 0\nRW 5 FLAT \"b\" 9\n#\nRW 6 FLAT \"c\" 0\ny", &change,
                "x\nRW 4 FLAT \"a\" 0\nRW 7 FLAT \"b\" 9\n#\ny");
    change = (struct vmdk_text_change){.nr_extents = 1,
                                       .edge_sectors = VMDK_SPLIT_SECTORS,
                                       .nr_new = 2,
                                       .new_sectors = VMDK_SPLIT_SECTORS + 1,
                                       .names = names};
    expect_text("RW 4 SPARSE \"a\"\r\nz", &change,
                "RW 4194304 SPARSE \"a\"\r\nRW 4194304 SPARSE \"n-003\"\r\n"
                "RW 1 SPARSE \"n-004\"\r\nz");
    change.nr_extents = 2;
    expect_text("RW 4 SPARSE \"a\"\n", &change, NULL);
}

/* Numbers as stock qemu-img 7.2 has them in images of these sizes. */
static void test_layout(void)
{
    struct vmdk_layout layout;

    g_assert_true(vmdk_lay_out(10485760, false, false, &layout));
    g_assert_cmpuint(layout.rgd_offset, ==, 21);
    g_assert_cmpuint(layout.gd_offset, ==, 0x297);
    g_assert_cmpuint(layout.overhead, ==, 0x580);
    g_assert_true(vmdk_lay_out(1ull << 32, false, false, &layout));
    g_assert_cmpuint(layout.gd_offset, ==, 0x40215);
    g_assert_cmpuint(layout.overhead, ==, 0x80480);
    g_assert_false(vmdk_lay_out(1ull << 54, false, false, &layout));
}

static void test_tar(void)
{
    uint8_t archive[4 * 512] = {0};
    uint64_t offset, size;
    struct source *source;

    memcpy(archive, "x.ovf", 5);
    memcpy(archive + 124, "00000000003", 11);
    memcpy(archive + 257, "ustar", 5);
    memcpy(archive + 1024, "d/Disk.VMDK", 11);
    memcpy(archive + 1024 + 124, "00000000700", 11);
    memcpy(archive + 1024 + 257, "ustar", 5);
    source = source_new_buffer(1, archive, sizeof(archive));
    g_assert_cmpint(tar_find_disk(source, &offset, &size, NULL), ==, GUEST_OK);
    g_assert_cmpuint(offset, ==, 1536);
    g_assert_cmpuint(size, ==, 0700);
    source_free(source);
    memcpy(archive + 1024 + 124, "77777777777", 11); /* longer than the archive */
    source = source_new_buffer(1, archive, sizeof(archive));
    g_assert_cmpint(tar_find_disk(source, &offset, &size, NULL), ==, GUEST_OK);
    g_assert_cmpuint(size, ==, 0);
    source_free(source);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/vmdk/lines", test_lines);
    g_test_add_func("/guest/vmdk/numbers", test_numbers);
    g_test_add_func("/guest/vmdk/values", test_values);
    g_test_add_func("/guest/vmdk/ids", test_ids);
    g_test_add_func("/guest/vmdk/resize-text", test_resize_text);
    g_test_add_func("/guest/vmdk/resize-lines", test_resize_lines);
    g_test_add_func("/guest/vmdk/layout", test_layout);
    g_test_add_func("/guest/vmdk/tar", test_tar);
    return g_test_run();
}
