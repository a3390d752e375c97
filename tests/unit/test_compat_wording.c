/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes, hints and the sentences of codes, byte for byte.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "compat/exit_status.h"
#include "compat/profile.h"
#include "compat/wording.h"
#include "compat/wording_common.h"
#include "guest/abi/error.h"
#include "tests/unit/compat_capture.h"

/* Codes that no format uses. */
#define CODE_PLAIN   60000
#define CODE_NUMBERS 60001
#define CODE_SPAN    60002
#define CODE_BRACES  60003
#define CODE_ERRNO   60004

static const struct wording_row rows[] = {
    {CODE_PLAIN, "L1 table is too small"},
    {CODE_NUMBERS, "{0} {1d} {2x} {3x8} 2^{0}"},
    {CODE_SPAN, "Unsupported qcow2 feature(s): {span} in {name}"},
    {CODE_BRACES, "{ {4} {0q} {} {spa} {0 %s %n"},
    {CODE_ERRNO, "Could not read: {0e}"},
};

static void expect_sentence(unsigned code, const struct wording_detail *detail, const char *want)
{
    g_autofree char *sentence = wording_cell_sentence(code, detail, "a.qcow2");

    g_assert_cmpstr(sentence, ==, want);
}

static void test_sentences(void)
{
    struct wording_detail numbers = {.number = {8, UINT64_MAX, 0x8000000000000000, 0xbeef}};
    struct wording_detail odd_errno = {.number = {UINT64_MAX}};
    struct wording_detail io = {.number = {EIO}};

    expect_sentence(CODE_PLAIN, NULL, "L1 table is too small");
    expect_sentence(CODE_NUMBERS, &numbers, "8 -1 8000000000000000 0000beef 2^8");
    expect_sentence(CODE_BRACES, &numbers, "{ {4} {0q} {} {spa} {0 %s %n");
    expect_sentence(CODE_ERRNO, &io, "Could not read: Input/output error");
    expect_sentence(CODE_ERRNO, &odd_errno, "Could not read: Invalid argument");
    expect_sentence(59999, NULL, "The image was refused (reason 59999)");
}

static void test_hostile_span(void)
{
    static const char bytes[] = "%s\n\x1b[2J\xff{0}\xc3\xa9\0x";
    struct wording_detail detail = {.span = (const uint8_t *)bytes, .span_len = sizeof(bytes) - 1};
    struct wording_detail empty = {0};

    expect_sentence(
        CODE_SPAN, &detail,
        "Unsupported qcow2 feature(s): %s\\x0a\\x1b[2J\\xff{0}\xc3\xa9\\x00x in a.qcow2");
    expect_sentence(CODE_SPAN, &empty, "Unsupported qcow2 feature(s):  in a.qcow2");
}

static void test_cut_character(void)
{
    g_autofree char *text = wording_escape_span((const uint8_t *)"a\xe2\x82", 3);

    g_assert_cmpstr(text, ==, "a\\xe2\\x82");
}

/* A character that turns the text after it around, and a line separator. */
static void test_treacherous_characters(void)
{
    static const uint8_t bytes[] = {'a',  0xe2, 0x80, 0xae, 'b',  0xe2,
                                    0x80, 0xa8, 'c',  0xc2, 0x9b, 'd'};
    g_autofree char *text = wording_escape_span(bytes, sizeof(bytes));

    g_assert_cmpstr(text, ==, "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8c\\xc2\\x9bd");
}

static void test_common_codes(void)
{
    struct wording_detail io = {.number = {EIO}};
    struct wording_detail vmdk = {.span = (const uint8_t *)"vmdk", .span_len = 4};

    wording_register_common();
    expect_sentence(GUEST_ERR_IO, &io, "Input/output error");
    expect_sentence(GUEST_ERR_UNKNOWN_FORMAT, &vmdk, "Unknown driver 'vmdk'");
    expect_sentence(GUEST_ERR_FORMAT_NOT_BUILT, &vmdk,
                    "The 'vmdk' driver is not built yet in instar");
}

static char *stderr_of_gerror(GError *error)
{
    char *out = NULL, *err = NULL;

    capture_begin();
    report_gerror(error);
    capture_end(&out, &err);
    g_assert_cmpstr(out, ==, "");
    g_free(out);
    g_error_free(error);
    return err;
}

static void test_open_names_twice(void)
{
    GError *error = NULL;
    g_autofree char *text = NULL;

    wording_set_open_errno(&error, "x", ENOENT);
    wording_prefix_open(&error, "x");
    text = stderr_of_gerror(error);
    g_assert_cmpstr(
        text, ==, "qemu-img: Could not open 'x': Could not open 'x': No such file or directory\n");
}

static void test_lock_hint(void)
{
    GError *error = NULL;
    g_autofree char *text = NULL;

    wording_set_lock(&error, TRUE, "write", "b");
    wording_prefix_backing(&error);
    wording_prefix_open(&error, "a");
    text = stderr_of_gerror(error);
    g_assert_cmpstr(text, ==,
                    "qemu-img: Could not open 'a': Could not open backing file: "
                    "Failed to get shared \"write\" lock\n"
                    "Is another process using the image [b]?\n");
}

static void test_unterminated_hint(void)
{
    GError *error = NULL;
    g_autofree char *old = NULL;
    g_autofree char *new = NULL;

    g_assert_true(profile_select("7.2", NULL));
    wording_set_backing_format_missing(&error, "raw");
    old = stderr_of_gerror(error);
    g_assert_true(profile_select("11.1", NULL));
    error = NULL;
    wording_set_backing_format_missing(&error, "raw");
    new = stderr_of_gerror(error);
    g_assert_true(profile_select(NULL, NULL));
    g_assert_cmpstr(old, ==,
                    "qemu-img: Backing file specified without backing format\n"
                    "Detected format of raw.");
    g_assert_cmpstr(new, ==,
                    "qemu-img: Backing file specified without backing format\n"
                    "Detected format of raw.\n");
}

static void test_fixed_texts(void)
{
    char *out = NULL, *err = NULL;

    capture_begin();
    wording_report_shrink();
    wording_warn_probed_raw("a.raw");
    wording_report_bad_cache(TRUE, "x");
    wording_report_bad_cache(FALSE, "x");
    wording_report_check_unsupported();
    wording_report_read_error(FALSE, 0, EIO);
    wording_report_read_error(TRUE, 512, EIO);
    wording_report_status_error(FALSE, 0, EIO);
    wording_report_status_error(TRUE, 512, EIO);
    report_try_help("info");
    report_try_help(NULL);
    capture_end(&out, &err);
    g_assert_cmpstr(
        err, ==,
        "qemu-img: Use the --shrink option to perform a shrink operation.\n"
        "qemu-img: warning: Shrinking an image will delete all data beyond the shrunken image's "
        "end. Before performing such an operation, make sure there is no important data there.\n"
        "WARNING: Image format was not specified for 'a.raw' and probing guessed raw.\n"
        "         Automatically detecting the format is dangerous for raw images, write "
        "operations on block 0 will be restricted.\n"
        "         Specify the 'raw' format explicitly to remove the restrictions.\n"
        "qemu-img: Invalid source cache option: x\n"
        "qemu-img: Invalid cache option: x\n"
        "qemu-img: This image format does not support checks\n"
        "qemu-img: error while reading at byte 0: Input/output error\n"
        "qemu-img: warning: error while reading offset 512: Input/output error\n"
        "qemu-img: error while reading block status at offset 0: Input/output error\n"
        "qemu-img: warning: error while reading block status at offset 512: Input/output error\n"
        "Try 'qemu-img info --help' for more information\n"
        "Try 'qemu-img --help' for more information\n");
    g_assert_cmpstr(out, ==, "");
    g_free(out);
    g_free(err);
}

static void test_program_name(void)
{
    report_set_program("/usr/local/bin/cloud-qemu-img");
    g_assert_cmpstr(report_program(), ==, "cloud-qemu-img");
    report_set_program("");
    g_assert_cmpstr(report_program(), ==, "cloud-qemu-img");
    report_set_program("qemu-img");
}

static void test_exit_status(void)
{
    struct check_result check = {0};
    struct compare_result compare = {.verdict = COMPARE_IDENTICAL, .sizes_differ = TRUE};

    g_assert_cmpint(exit_status_check(&check), ==, 0);
    check.leaks = 1;
    g_assert_cmpint(exit_status_check(&check), ==, 3);
    check.corruptions = 1;
    g_assert_cmpint(exit_status_check(&check), ==, 2);
    check.check_errors = 1;
    g_assert_cmpint(exit_status_check(&check), ==, 1);
    g_assert_cmpint(exit_status_compare(&compare), ==, 0);
    compare.verdict = COMPARE_STRICT_STATUS;
    g_assert_cmpint(exit_status_compare(&compare), ==, 1);
}

static void test_profile_names(void)
{
    GError *error = NULL;

    g_assert_true(profile_select("7.2.22", NULL));
    g_assert_cmpint(profile_get()->id, ==, PROFILE_7_2);
    g_assert_false(profile_select("7.20", &error));
    g_assert_cmpstr(error->message, ==,
                    "INSTAR_QEMU_PROFILE expects '7.2', '10.0' or '11.1', not '7.20'");
    g_error_free(error);
    g_assert_cmpint(profile_get()->id, ==, PROFILE_7_2);
    g_assert_true(profile_select("", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    wording_register(rows, G_N_ELEMENTS(rows));
    g_test_add_func("/compat/wording/sentences", test_sentences);
    g_test_add_func("/compat/wording/hostile-span", test_hostile_span);
    g_test_add_func("/compat/wording/cut-character", test_cut_character);
    g_test_add_func("/compat/wording/treacherous-characters", test_treacherous_characters);
    g_test_add_func("/compat/wording/common-codes", test_common_codes);
    g_test_add_func("/compat/wording/open-names-twice", test_open_names_twice);
    g_test_add_func("/compat/wording/lock-hint", test_lock_hint);
    g_test_add_func("/compat/wording/unterminated-hint", test_unterminated_hint);
    g_test_add_func("/compat/wording/fixed-texts", test_fixed_texts);
    g_test_add_func("/compat/wording/program-name", test_program_name);
    g_test_add_func("/compat/exit-status", test_exit_status);
    g_test_add_func("/compat/profile-names", test_profile_names);
    return g_test_run();
}
