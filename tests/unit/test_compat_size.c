/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and integers in both number styles, and their errors. Values of 7.2 were observed; those of
 * the newer style are from the reference.
 */
#include <glib.h>

#include "compat/profile.h"
#include "compat/size.h"

#define BAD  SIZE_MALFORMED
#define FAR  SIZE_OUT_OF_RANGE
#define GOOD SIZE_OK

static const struct {
    const char *text;
    enum size_status old_status, new_status;
    uint64_t old_value, new_value;
} sizes[] = {
    {"0", GOOD, GOOD, 0, 0},
    {"1048576", GOOD, GOOD, 1048576, 1048576},
    {"1k", GOOD, GOOD, 1024, 1024},
    {"1B", GOOD, GOOD, 1, 1},
    {"3m", GOOD, GOOD, 3 << 20, 3 << 20},
    {"2G", GOOD, GOOD, UINT64_C(2) << 30, UINT64_C(2) << 30},
    {"1T", GOOD, GOOD, UINT64_C(1) << 40, UINT64_C(1) << 40},
    {"1p", GOOD, GOOD, UINT64_C(1) << 50, UINT64_C(1) << 50},
    {"1E", GOOD, GOOD, UINT64_C(1) << 60, UINT64_C(1) << 60},
    {" \t+1k", GOOD, GOOD, 1024, 1024},
    {"010", GOOD, GOOD, 10, 10},
    {"0x10", GOOD, GOOD, 16, 16},
    {"0x10b", GOOD, GOOD, 0x10b, 0x10b},
    {"0x1e", GOOD, GOOD, 30, 30},
    {"1.5G", GOOD, GOOD, 1610612736, 1610612736},
    {"1.M", GOOD, GOOD, 1048576, 1048576},
    {"1.0", GOOD, GOOD, 1, 1},
    {"1.", GOOD, GOOD, 1, 1},
    {"0.0001k", GOOD, GOOD, 0, 0},
    {"0.1k", GOOD, GOOD, 102, 102},
    {"0.2k", GOOD, GOOD, 205, 205},
    {"1.9999k", GOOD, GOOD, 2048, 2048},
    {"7.99E", GOOD, GOOD, UINT64_C(9211842821808707584) - 256, UINT64_C(9211842821808707584) - 256},
    {"18446744073709551615", GOOD, GOOD, UINT64_MAX, UINT64_MAX},
    /* where the styles differ */
    {".5M", BAD, GOOD, 0, 524288},
    {"15.9999999999999999999k", GOOD, GOOD, 15360, 16384},
    {"15.99999999999999999E", GOOD, FAR, UINT64_C(15) << 60, 0},
    {"0x10k", GOOD, BAD, 16384, 0},
    {"-1", BAD, FAR, 0, 0},
    {" -1", BAD, FAR, 0, 0},
    /* refused by both */
    {"", BAD, BAD, 0, 0},
    {" ", BAD, BAD, 0, 0},
    {"k", BAD, BAD, 0, 0},
    {".", BAD, BAD, 0, 0},
    {".k", BAD, BAD, 0, 0},
    {"1.5", BAD, BAD, 0, 0},
    {"1.5b", BAD, BAD, 0, 0},
    {".5", BAD, BAD, 0, 0},
    {"1e3", BAD, BAD, 0, 0},
    {"1.5e3k", BAD, BAD, 0, 0},
    {"1,5G", BAD, BAD, 0, 0},
    {"1_000", BAD, BAD, 0, 0},
    {"nan", BAD, BAD, 0, 0},
    {"inf", BAD, BAD, 0, 0},
    {"0x", BAD, BAD, 0, 0},
    {"00x10", BAD, BAD, 0, 0},
    {"0x1.8M", BAD, BAD, 0, 0},
    {"1KB", BAD, BAD, 0, 0},
    {"1K ", BAD, BAD, 0, 0},
    {"1 M", BAD, BAD, 0, 0},
    {"1kk", BAD, BAD, 0, 0},
    {"++1", BAD, BAD, 0, 0},
    {"1.-5k", BAD, BAD, 0, 0},
    {"7.99E999", BAD, BAD, 0, 0},
    {"99999999999999999999k", BAD, BAD, 0, 0},
    {"16E", FAR, FAR, 0, 0},
    {"1000E", FAR, FAR, 0, 0},
    {"18446744073709551616", FAR, FAR, 0, 0},
    {"0x10000000000000000", FAR, FAR, 0, 0},
};

static void check_style(const char *profile, gboolean newer)
{
    g_assert_true(profile_select(profile, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        enum size_status want = newer ? sizes[i].new_status : sizes[i].old_status;
        uint64_t want_value = newer ? sizes[i].new_value : sizes[i].old_value, value = 4711;
        enum size_status status;

        status = size_parse(sizes[i].text, &value);
        if (status != want || value != (want == SIZE_OK ? want_value : 4711)) {
            g_test_message("'%s': status %d, value %" G_GUINT64_FORMAT, sizes[i].text, (int)status,
                           value);
            g_test_fail();
        }
    }
    g_assert_true(profile_select(NULL, NULL));
}

static void test_old_style(void)
{
    check_style("7.2", FALSE);
}

static void test_new_style(void)
{
    check_style("11.1", TRUE);
}

static void test_integers(void)
{
    uint64_t value = 0;

    g_assert_cmpint(size_parse_integer("0x10", &value), ==, SIZE_OK);
    g_assert_cmpuint(value, ==, 16);
    g_assert_cmpint(size_parse_integer(" 010", &value), ==, SIZE_OK);
    g_assert_cmpuint(value, ==, 8);
    g_assert_cmpint(size_parse_integer("-1", &value), ==, SIZE_OK);
    g_assert_cmpuint(value, ==, UINT64_MAX);
    g_assert_cmpint(size_parse_integer("08", &value), ==, SIZE_MALFORMED);
    g_assert_cmpint(size_parse_integer("1k", &value), ==, SIZE_MALFORMED);
    g_assert_cmpint(size_parse_integer("", &value), ==, SIZE_MALFORMED);
    g_assert_cmpint(size_parse_integer("1 ", &value), ==, SIZE_MALFORMED);
    g_assert_cmpint(size_parse_integer("18446744073709551616", &value), ==, SIZE_OUT_OF_RANGE);
}

static void expect_named(const char *profile, const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    uint64_t value;

    g_assert_true(profile_select(profile, NULL));
    g_assert_false(size_parse_named("image size", text, 0, SIZE_MAX_SIGNED, &value, &error));
    g_assert_cmpstr(error->message, ==, message);
    g_assert_true(profile_select(NULL, NULL));
}

static void test_named_errors(void)
{
    const char *range = "Invalid image size specified. Must be between 0 and 9223372036854775807.";

    expect_named("11.1", "foo", "Invalid image size specified: 'foo'");
    expect_named("10.0", "foo", "Invalid image size specified: 'foo'.");
    expect_named("7.2", "foo",
                 "Invalid image size specified. You may use k, M, G, T, P or E suffixes for\n"
                 "qemu-img: kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    expect_named("11.1", "8E", range);
    expect_named("7.2", "8E", range);
    expect_named("11.1", "-1", range);
}

static void test_keyed_errors(void)
{
    g_autoptr(GError) malformed = NULL;
    g_autoptr(GError) far = NULL;
    uint64_t value;

    g_assert_false(size_parse_keyed("size", "x", &value, &malformed));
    g_assert_cmpstr(malformed->message, ==,
                    "Parameter 'size' expects a non-negative number below 2^64\n"
                    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                    "and exabytes, respectively.");
    g_assert_false(size_parse_keyed("size", "16E", &value, &far));
    g_assert_cmpstr(far->message, ==, "Value '16E' is out of range for parameter 'size'");
}

static void test_human(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {512, "512 B"},
        {999, "999 B"},
        {1000, "0.977 KiB"},
        {4096, "4 KiB"},
        {200704, "196 KiB"},
        {1000448, "977 KiB"},
        {1023488, "1e+03 KiB"},
        {1024000, "0.977 MiB"},
        {10485760, "10 MiB"},
        {1610612736000, "1.46 TiB"},
        {UINT64_MAX, "16 EiB"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = size_human(cases[i].bytes);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/size/style-7.2", test_old_style);
    g_test_add_func("/compat/size/style-11.1", test_new_style);
    g_test_add_func("/compat/size/integers", test_integers);
    g_test_add_func("/compat/size/named-errors", test_named_errors);
    g_test_add_func("/compat/size/keyed-errors", test_keyed_errors);
    g_test_add_func("/compat/size/human", test_human);
    return g_test_run();
}
