/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probing: each format by what it starts with, the near misses that are raw, and refusal by name
 * of what is not built.
 */
#include <glib.h>
#include <string.h>

#include "guest/abi/error_dmg.h"
#include "guest/formats/format.h"

/* Up to three pieces of text at their offsets in a head of zeros. */
struct piece {
    unsigned at;
    const char *bytes;
    unsigned len;
};

#define TEXT(at, text)                                                                             \
    {                                                                                              \
        at, text, sizeof(text) - 1                                                                 \
    }

static const struct {
    const char *format;
    struct piece pieces[4];
} heads[] = {
    {"raw", {TEXT(0, "")}},
    {"qcow2", {TEXT(0, "QFI\xfb\0\0\0\2")}},
    {"qcow2", {TEXT(0, "QFI\xfb\0\0\0\3")}},
    {"qcow2", {TEXT(0, "QFI\xfb\0\0\0\4")}}, /* and then refused with its version */
    {"qcow", {TEXT(0, "QFI\xfb\0\0\0\1")}},
    {"raw", {TEXT(0, "QFI\xfb\0\0\0\0")}},
    {"vmdk", {TEXT(0, "KDMV\1\0\0\0")}},
    {"vmdk", {TEXT(0, "COWD\1\0\0\0")}},
    {"vmdk", {TEXT(0, "# Disk DescriptorFile\n \nversion=1\nCID=1\n")}},
    {"raw", {TEXT(0, "# Disk DescriptorFile\n\nversion=1\nCID=1\n")}}, /* as in stock */
    {"vmdk", {TEXT(0, "# x\r\n \r\nversion=3\r\n")}},
    {"raw", {TEXT(0, "# Disk DescriptorFile\nversion=4\n")}},
    {"raw", {TEXT(0, "# Disk DescriptorFile\nCID=1\nversion=1\n")}},
    {"vdi", {TEXT(64, "\x7f\x10\xda\xbe")}},
    {"vpc", {TEXT(0, "conectix")}},
    {"vhdx", {TEXT(0, "vhdxfile")}},
    {"qed", {TEXT(0, "QED\0")}},
    {"luks", {TEXT(0, "LUKS\xba\xbe\0\1")}},
    {"raw", {TEXT(0, "LUKS\xba\xbe\0\2")}}, /* as in stock */
    {"parallels", {TEXT(0, "WithoutFreeSpace\2\0\0\0")}},
    {"parallels", {TEXT(0, "WithouFreSpacExt\2\0\0\0")}},
    {"raw", {TEXT(0, "WithoutFreeSpace\3\0\0\0")}},
    {"bochs",
     {TEXT(0, "Bochs Virtual HD Image"), TEXT(32, "Redolog"), TEXT(48, "Growing"),
      TEXT(64, "\0\0\2\0")}},
    {"raw", {TEXT(0, "Bochs Virtual HD Image"), TEXT(32, "Redolog"), TEXT(48, "Undoable")}},
    {"cloop",
     {TEXT(0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop "
              "$1\n")}},
};

static void test_heads(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(heads); i++) {
        uint8_t head[512] = {0};

        for (unsigned p = 0; p < 4 && heads[i].pieces[p].bytes; p++)
            memcpy(head + heads[i].pieces[p].at, heads[i].pieces[p].bytes, heads[i].pieces[p].len);
        g_assert_cmpstr(format_probe(span_of(head, sizeof(head)))->name, ==, heads[i].format);
    }
}

static enum guest_err open_as(const char *bytes, size_t len, const char *format, bool named_dmg,
                              struct guest_err_detail *detail)
{
    struct source *source = source_new_buffer(0, bytes, len);
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct node *node;
    enum guest_err err;

    request.format = (char *)format;
    request.named_dmg = named_dmg;
    err = node_open(source, &request, &node, detail);
    if (err)
        source_free(source);
    else
        node_free(node);
    return err;
}

static void test_refusals(void)
{
    struct guest_err_detail detail;

    /* What a head says is believed: it is that format, and broken, never raw. */
    g_assert_cmpint(open_as("vhdxfile", 8, "", false, &detail), !=, GUEST_OK);
    g_assert_cmpint(open_as("", 0, "vhdx", false, &detail), !=, GUEST_OK);
    g_assert_cmpint(open_as("", 0, "nosuch", false, &detail), ==, GUEST_ERR_UNKNOWN_FORMAT);
    g_assert_cmpmem(detail.text, detail.text_len, "nosuch", 6);
    g_assert_cmpint(open_as("x", 1, "", true, &detail), ==, DMG_ERR_TRAILER);
    g_assert_cmpint(open_as("", 0, "", false, &detail), ==, GUEST_OK);
    /* -f raw is binding, whatever the bytes are */
    g_assert_cmpint(open_as("vhdxfile", 8, "raw", true, &detail), ==, GUEST_OK);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/probe/heads", test_heads);
    g_test_add_func("/guest/probe/refusals", test_refusals);
    return g_test_run();
}
