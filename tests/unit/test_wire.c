/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against answers that a taken-over cell may give: each field out of its range, one at
 * a time, is refused; what is in range arrives unchanged.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "compat/result.h"
#include "compat/wording.h"
#include "guest/abi/error.h"
#include "src/sandbox/sandbox.h"
#include "src/wire/decode.h"

static void assert_refused(gboolean ok, GError *error, const char *what)
{
    g_autofree char *message =
        g_strdup_printf("The sandboxed parser gave an invalid answer (%s)", what);

    g_assert_false(ok);
    g_assert_error(error, CELL_ERROR, CELL_ERROR_PROTOCOL);
    g_assert_cmpstr(error->message, ==, message);
    g_error_free(error);
}

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* ---- errors ---- */

static void refuse_error(const Abi__Error *e, const char *what)
{
    GError *error = NULL;
    gboolean ok = wire_check_error(e, NULL, &error);

    assert_refused(ok, error, what);
}

static void test_error_codes(void)
{
    Abi__Error e = ABI__ERROR__INIT;
    uint64_t numbers[5] = {ENOSPC, 2, 3, 4, 5};
    GError *error = NULL;

    g_assert_true(wire_check_error(NULL, NULL, &error));
    e.code = 0;
    refuse_error(&e, "error code");
    e.code = GUEST_ERR_LAST + 1;
    refuse_error(&e, "error code");
    e.code = GUEST_ERR_IO;
    e.number = numbers;
    e.n_number = 5;
    refuse_error(&e, "numbers of an error");
    e.n_number = 1;
    g_assert_false(wire_check_error(&e, NULL, &error));
    g_assert_cmpuint(wire_error_code(error), ==, GUEST_ERR_IO);
    g_assert_cmpint(wire_error_errno(error), ==, ENOSPC);
    g_clear_error(&error);
    e.n_number = 0;
    e.text.len = GUEST_ERR_TEXT_MAX + 1;
    refuse_error(&e, "text of an error");
}

/* A code that this build does not know is an error of its own, its text never a format. */
static void test_unknown_code(void)
{
    Abi__Error e = ABI__ERROR__INIT;
    GError *error = NULL;

    e.code = 60000;
    e.text = bytes("%s%n\x1b[31m");
    g_assert_false(wire_check_error(&e, NULL, &error));
    g_assert_cmpuint(wire_error_code(error), ==, 60000);
    g_assert_cmpint(wire_error_errno(error), ==, EIO);
    g_assert_nonnull(strstr(error->message, "60000"));
    g_assert_null(strchr(error->message, '\x1b'));
    g_error_free(error);
    g_assert_cmpuint(wire_error_code(NULL), ==, 0);
}

static void test_words(void)
{
    static const char *const good[] = {"raw", "qcow2", "null-co", "nbd+unix"};
    static const char *const bad[] = {"",     "Raw", "a b",
                                      "a\nb", "a/b", "abcdefghijklmnopqrstuvwxyz0123456"};

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(wire_is_word(good[i]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(wire_is_word(bad[i]));
    }
}

/* ---- OPEN ---- */

/* An answer that is fine, for one field at a time to be spoilt. */
struct open_fixture {
    Abi__OpenReply reply;
    Abi__FileRef refs[2];
    Abi__FileRef *ref_list[2];
};

static void make_open(struct open_fixture *f)
{
    abi__open_reply__init(&f->reply);
    f->reply.node = 3;
    f->reply.format = "qcow2";
    f->reply.virtual_size = 1 << 20;
    f->reply.cluster_size = 65536;
    for (size_t i = 0; i < 2; i++) {
        abi__file_ref__init(&f->refs[i]);
        f->ref_list[i] = &f->refs[i];
        f->refs[i].protocol = "file";
        f->refs[i].text = bytes("b.img");
        f->refs[i].path = bytes("b.img");
    }
    f->refs[0].role = ABI__ROLE__ROLE_BACKING;
    f->refs[1].role = ABI__ROLE__ROLE_DATA_FILE;
    f->reply.ref = f->ref_list;
    f->reply.n_ref = 2;
}

static void refuse_open(struct open_fixture *f, const char *what)
{
    struct wire_open open = {.node = 77};
    GError *error = NULL;
    gboolean ok = wire_decode_open(&f->reply, "a", &open, &error);

    assert_refused(ok, error, what);
    g_assert_cmpuint(open.node, ==, 77); /* untouched */
}

static void test_open(void)
{
    struct open_fixture f;
    struct wire_open open;

    make_open(&f);
    f.refs[0].format = "qcow2";
    g_assert_true(wire_decode_open(&f.reply, "a", &open, NULL));
    g_assert_cmpuint(open.node, ==, 3);
    g_assert_cmpstr(open.format, ==, "qcow2");
    g_assert_cmpuint(open.nr_refs, ==, 2);
    g_assert_cmpstr(open.refs[0].path, ==, "b.img");
    g_assert_cmpstr(open.refs[0].format, ==, "qcow2");
    g_assert_null(open.refs[1].format);
    wire_open_clear(&open);
    g_assert_null(open.format);
}

static void test_open_refused(void)
{
    struct open_fixture f;
    g_autofree char *long_text = g_strnfill(WIRE_NAME_MAX + 1, 'x');

    make_open(&f);
    f.reply.format = "QCOW2\n";
    refuse_open(&f, "format");
    make_open(&f);
    f.reply.virtual_size = 1ull << 63;
    refuse_open(&f, "virtual size");
    make_open(&f);
    f.reply.cluster_size = WIRE_CLUSTER_MAX + 1;
    refuse_open(&f, "cluster size");
    make_open(&f);
    f.refs[1].role = ABI__ROLE__ROLE_BACKING;
    refuse_open(&f, "number of backing or data files");
    make_open(&f);
    f.refs[0].role = (Abi__Role)99;
    refuse_open(&f, "role of a reference");
    make_open(&f);
    f.refs[0].role = ABI__ROLE__ROLE_NONE;
    refuse_open(&f, "role of a reference");
    make_open(&f);
    f.refs[1].text = bytes(long_text);
    refuse_open(&f, "length of a reference");
    make_open(&f);
    f.refs[1].path = bytes(long_text);
    refuse_open(&f, "path of a reference");
    make_open(&f);
    f.refs[1].path = (ProtobufCBinaryData){.len = 5, .data = (uint8_t *)"a\0b/c"};
    refuse_open(&f, "path of a reference");
    make_open(&f);
    f.refs[1].format = long_text;
    refuse_open(&f, "format of a reference");
    make_open(&f);
    f.refs[1].protocol = long_text;
    refuse_open(&f, "protocol of a reference");
    make_open(&f);
    f.refs[0].has_slice = TRUE;
    f.refs[0].slice_offset = INT64_MAX;
    f.refs[0].slice_size = 1;
    refuse_open(&f, "slice of a reference");
    make_open(&f);
    f.refs[0].n_option = WIRE_OPTIONS_MAX + 1;
    refuse_open(&f, "options of a reference");
    make_open(&f);
    f.reply.n_ref = WIRE_REFS_MAX + 1;
    refuse_open(&f, "number of references");
}

/* ---- MAP ---- */

static void check_map(uint32_t nr, uint64_t next, const char *what)
{
    Abi__MapReply reply = ABI__MAP_REPLY__INIT;
    GError *failed = NULL;
    GError *error = NULL;
    uint64_t out_next = 0;
    uint32_t out_nr = 0;
    gboolean ok;

    reply.nr_records = nr;
    reply.next = next;
    ok = wire_decode_map(&reply, "a", 1000, 500, &out_nr, &out_next, &failed, &error);
    if (what != NULL) {
        assert_refused(ok, error, what);
    } else {
        g_assert_true(ok);
        g_assert_cmpuint(out_nr, ==, nr);
        g_assert_cmpuint(out_next, ==, next);
    }
    g_assert_no_error(failed);
}

static void test_map(void)
{
    check_map(1, 1500, NULL);
    check_map(500, 1001, NULL);
    check_map(CELL_EXTENTS_MAX + 1, 1500, "number of extents");
    check_map(1, 1501, "end of the extents");
    check_map(1, 999, "end of the extents");
    check_map(1, UINT64_MAX, "end of the extents");
    check_map(0, 1500, "extents that cover nothing");
    check_map(1, 1000, "extents that cover nothing");
    check_map(0, 1000, "no extents");
}

/* An error may come with the extents before it. */
static void test_map_error(void)
{
    Abi__MapReply reply = ABI__MAP_REPLY__INIT;
    Abi__Error e = ABI__ERROR__INIT;
    GError *failed = NULL;
    GError *error = NULL;
    uint64_t next;
    uint32_t nr;

    e.code = GUEST_ERR_DECODE;
    reply.error = &e;
    reply.next = 1000;
    g_assert_true(wire_decode_map(&reply, "a", 1000, 500, &nr, &next, &failed, &error));
    g_assert_cmpuint(wire_error_code(failed), ==, GUEST_ERR_DECODE);
    g_clear_error(&failed);
    e.code = 0;
    {
        gboolean ok = wire_decode_map(&reply, "a", 1000, 500, &nr, &next, &failed, &error);

        assert_refused(ok, error, "error code");
    }
}

static gboolean has_blob(void *user, uint32_t blob)
{
    return blob == 5;
}

static const struct cell_extent good_data = {
    .start = 0,
    .length = 4096,
    .offset = 65536,
    .blob = 5,
    .kind = CELL_EXTENT_DATA,
    .flags = CELL_EXTENT_HAS_OFFSET,
};

static const struct cell_extent good_compressed = {
    .start = 0,
    .length = 4096,
    .offset = 65536,
    .blob = 5,
    .comp_len = 100,
    .unit_len = 65536,
    .kind = CELL_EXTENT_COMPRESSED,
    .codec = CELL_CODEC_ZSTD,
};

static void check_extent(struct cell_extent extent, const char *what)
{
    GError *error = NULL;
    gboolean ok = wire_check_extents(&extent, 1, 0, 4096, 2, has_blob, NULL, &error);

    if (what != NULL) {
        assert_refused(ok, error, what);
    } else {
        g_assert_no_error(error);
        g_assert_true(ok);
    }
}

/* check_extent(with one field changed) */
#define SPOIL(base, field, value, what)                                                            \
    do {                                                                                           \
        struct cell_extent extent = base;                                                          \
        extent.field = value;                                                                      \
        check_extent(extent, what);                                                                \
    } while (0)

static void test_extents(void)
{
    check_extent(good_data, NULL);
    check_extent(good_compressed, NULL);
    SPOIL(good_data, kind, CELL_EXTENT_HOLE, NULL);
    SPOIL(good_data, depth, 1, NULL);
    SPOIL(good_compressed, skip, 65536 - 4096, NULL);

    SPOIL(good_data, kind, CELL_EXTENT_ENCRYPTED + 1, "kind of an extent");
    SPOIL(good_data, flags, 0x80, "flags of an extent");
    SPOIL(good_data, flags, 0, "data without an offset");
    SPOIL(good_data, depth, 2, "depth of an extent");
    SPOIL(good_data, depth, 0xffff, "depth of an extent");
    SPOIL(good_data, blob, 4, "blob of an extent");
    SPOIL(good_data, blob, CELL_NO_BLOB, "blob of an extent");
    SPOIL(good_data, offset, UINT64_MAX, "offset of an extent");
    SPOIL(good_data, offset, (uint64_t)INT64_MAX - 4095, "offset of an extent");
    SPOIL(good_data, start, 1, "order of extents");
    SPOIL(good_data, length, 0, "order of extents");
    SPOIL(good_data, length, 4097, "order of extents");
    SPOIL(good_data, length, 4095, "extents that end early");
    SPOIL(good_compressed, codec, CELL_CODEC_NONE, "codec of an extent");
    SPOIL(good_compressed, codec, 200, "codec of an extent");
    SPOIL(good_compressed, comp_len, 0, NULL);
    SPOIL(good_compressed, comp_len, UINT32_MAX, "length of a compressed unit");
    SPOIL(good_compressed, unit_len, UINT32_MAX, "length of a compressed unit");
    SPOIL(good_compressed, unit_len, 4095, "place in a compressed unit");
    SPOIL(good_compressed, skip, 65536 - 4095, "place in a compressed unit");
    SPOIL(good_compressed, skip, UINT32_MAX, "place in a compressed unit");
    SPOIL(good_compressed, length, UINT64_MAX, "offset of an extent");
}

/* ---- INFO ---- */

struct info_fixture {
    Abi__InfoReply reply;
    Abi__Qcow2Info qcow2;
};

static void make_info(struct info_fixture *f)
{
    abi__info_reply__init(&f->reply);
    abi__qcow2_info__init(&f->qcow2);
    f->reply.virtual_size = 1 << 20;
    f->reply.cluster_size = 65536;
    f->reply.qcow2 = &f->qcow2;
    f->qcow2.version = 3;
    f->qcow2.compression_type = "zlib";
    f->qcow2.refcount_bits = 16;
}

static void refuse_info(struct info_fixture *f, const char *what)
{
    struct image_info *info = image_info_new();
    GError *error = NULL;

    gboolean ok = wire_decode_info(&f->reply, info, &error);

    assert_refused(ok, error, what);
    image_info_free(info);
}

static void test_info_refused(void)
{
    g_autofree char *long_text = g_strnfill(WIRE_NAME_MAX + 1, 'x');
    struct info_fixture f;

    make_info(&f);
    f.reply.virtual_size = UINT64_MAX;
    refuse_info(&f, "sizes");
    make_info(&f);
    f.qcow2.version = 4;
    refuse_info(&f, "qcow2 version");
    make_info(&f);
    f.qcow2.compression_type = "lzma\x1b";
    refuse_info(&f, "compression type");
    make_info(&f);
    f.qcow2.refcount_bits = 3;
    refuse_info(&f, "refcount bits");
    make_info(&f);
    f.qcow2.refcount_bits = 0;
    refuse_info(&f, "refcount bits");
    make_info(&f);
    f.qcow2.encrypt_format = "rot13";
    refuse_info(&f, "encryption format");
    make_info(&f);
    f.reply.has_backing = TRUE;
    f.reply.backing_file = bytes(long_text);
    refuse_info(&f, "backing file name");
    make_info(&f);
    f.qcow2.has_data_file = TRUE;
    f.qcow2.data_file = bytes(long_text);
    refuse_info(&f, "data file name");
    make_info(&f);
    f.reply.n_snapshot = WIRE_SNAPSHOTS_MAX + 1;
    refuse_info(&f, "number of snapshots");
    make_info(&f);
    f.qcow2.n_bitmap = WIRE_BITMAPS_MAX + 1;
    refuse_info(&f, "number of bitmaps");
}

static void test_info(void)
{
    struct info_fixture f;
    struct image_info *info = image_info_new();
    GError *error = NULL;

    make_info(&f);
    f.reply.has_backing = TRUE;
    f.reply.backing_file = bytes("b.raw");
    f.reply.has_backing_format = TRUE;
    f.reply.backing_format = bytes("raw");
    g_assert_true(wire_decode_info(&f.reply, info, &error));
    g_assert_cmpuint(info->virtual_size_bytes, ==, 1 << 20);
    g_assert_cmpstr(info->backing_filename, ==, "b.raw");
    g_assert_cmpstr(info->backing_filename_format, ==, "raw");
    g_assert_cmpuint(info->specific.qcow2->version, ==, 3);
    g_assert_null(info->snapshots);
    g_assert_null(info->specific.qcow2->bitmaps);
    image_info_free(info);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/error-codes", test_error_codes);
    g_test_add_func("/wire/unknown-code", test_unknown_code);
    g_test_add_func("/wire/words", test_words);
    g_test_add_func("/wire/open", test_open);
    g_test_add_func("/wire/open-refused", test_open_refused);
    g_test_add_func("/wire/map", test_map);
    g_test_add_func("/wire/map-error", test_map_error);
    g_test_add_func("/wire/extents", test_extents);
    g_test_add_func("/wire/info", test_info);
    g_test_add_func("/wire/info-refused", test_info_refused);
    return g_test_run();
}
