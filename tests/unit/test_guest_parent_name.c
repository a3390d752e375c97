/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of parents as Windows writes them, and as they are here.
 */
#include "guest/formats/parent_name.h"

#include <glib.h>

#include "guest/lib/utf16.h"

/* The local name of one in UTF-16LE; NULL: refused. */
static char *local_of(const char *text)
{
    uint8_t bytes[4 * PARENT_NAME_MAX];
    struct parent_name name;
    size_t len;
    g_assert_true(utf8_to_utf16(span_of(text, strlen(text)), false, bytes, sizeof(bytes), &len));
    if (!parent_name_from_utf16(span_of(bytes, len), false, &name))
        return NULL;
    return g_strndup((char *)name.text, name.len);
}

static void test_local(void)
{
    static const struct {
        const char *text, *local;
    } rows[] = {
        {"p.vhd", "p.vhd"},
        {".\\p.vhd", "p.vhd"},
        {".\\.\\p.vhd", "p.vhd"},
        {"..\\a\\p.vhd", "../a/p.vhd"},
        {"C:\\a\\p.vhd", "p.vhd"},
        {"c:p.vhd", "./c:p.vhd"},
        {"\\\\?\\Volume{1}\\a\\p.vhd", "p.vhd"},
        {"\\a\\p.vhd", "/a/p.vhd"},
        {"json:{}", "./json:{}"},
        {"nbd:\\x", "./nbd:/x"},
        {"a\\nbd:x", "a/nbd:x"},
        {"\xc3\xa4\xf0\x9f\x92\xbe.vhd", "\xc3\xa4\xf0\x9f\x92\xbe.vhd"},
        {"", NULL},
        {".\\", NULL},
        {"C:\\a\\", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *local = local_of(rows[i].text);
        g_assert_cmpstr(local, ==, rows[i].local);
    }
}

static void test_long(void)
{
    g_autofree char *most = g_strnfill(PARENT_NAME_MAX, 'a');
    g_autofree char *more = g_strnfill(PARENT_NAME_MAX + 1, 'a');
    g_autofree char *odd = g_strnfill(PARENT_NAME_MAX, ':');
    g_autofree char *local = local_of(most);
    g_assert_cmpstr(local, ==, most);
    g_assert_null(local_of(more));
    g_assert_null(local_of(odd)); /* no room for "./" */
}

static void test_url(void)
{
    static const struct {
        const char *url, *local;
    } rows[] = {
        {"file://localhost/a%20b/p.vhd", "/a b/p.vhd"},
        {"file:///p.vhd", "/p.vhd"},
        {"http://x/p.vhd", NULL},
        {"file://localhost/a%2", NULL},
        {"file://localhost/a%00b", NULL},
        {"file://", NULL},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct parent_name name;
        bool ok = parent_name_from_url(span_of(rows[i].url, strlen(rows[i].url)), &name);
        g_assert_cmpint(ok, ==, rows[i].local != NULL);
        if (ok)
            g_assert_cmpmem(name.text, name.len, rows[i].local, strlen(rows[i].local));
    }
}

static void test_there_and_back(void)
{
    static const char *const names[] = {"p.vhd", "a/p.vhd", "../p.vhd", "/a/p.vhd", "./a:b"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        uint8_t bytes[2 * PARENT_NAME_MAX];
        struct parent_name name;
        bool absolute;
        size_t len;
        g_assert_true(parent_name_to_utf16(span_of(names[i], strlen(names[i])), false, bytes,
                                           sizeof(bytes), &len, &absolute));
        g_assert_cmpint(absolute, ==, names[i][0] == '/');
        g_assert_true(parent_name_from_utf16(span_of(bytes, len), false, &name));
        g_assert_cmpmem(name.text, name.len, names[i], strlen(names[i]));
    }
}

static void test_unsayable(void)
{
    static const char *const names[] = {"", "a\\b", "\xff", "\xc0\x80", "\xed\xa0\x80"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        uint8_t bytes[64];
        bool absolute;
        size_t len;
        g_assert_false(parent_name_to_utf16(span_of(names[i], strlen(names[i])), false, bytes,
                                            sizeof(bytes), &len, &absolute));
    }
}

static void test_utf16(void)
{
    static const uint8_t lone[] = {0x3d, 0xd8, 'a', 0}, low[] = {0, 0xdc},
                         pair[] = {0xd8, 0x3d, 0xdc, 0xbe};
    uint8_t out[4];
    size_t len;
    g_assert_false(utf16_to_utf8(span_of(lone, sizeof(lone)), false, out, sizeof(out), &len));
    g_assert_false(utf16_to_utf8(span_of(low, sizeof(low)), false, out, sizeof(out), &len));
    g_assert_true(utf16_to_utf8(span_of(pair, sizeof(pair)), true, out, sizeof(out), &len));
    g_assert_cmpmem(out, len, "\xf0\x9f\x92\xbe", 4);
    g_assert_false(utf16_to_utf8(span_of(pair, sizeof(pair)), true, out, 3, &len));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/parent_name/local", test_local);
    g_test_add_func("/parent_name/long", test_long);
    g_test_add_func("/parent_name/url", test_url);
    g_test_add_func("/parent_name/there_and_back", test_there_and_back);
    g_test_add_func("/parent_name/unsayable", test_unsayable);
    g_test_add_func("/parent_name/utf16", test_utf16);
    return g_test_run();
}
