/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names found in images: what each form says, and that what cannot be said is left unsaid.
 */
#include <glib.h>
#include <string.h>

#include "guest/formats/fileref.h"
#include "guest/formats/json.h"

static Abi__FileRef *parse(const char *text, const char *format)
{
    Abi__FileRef *ref = NULL;

    g_assert_cmpint(fileref_parse(ABI__ROLE__ROLE_BACKING, span_of(text, strlen(text)),
                                  span_of(format, strlen(format)), &ref, NULL),
                    ==, GUEST_OK);
    g_assert_cmpmem(ref->text.data, ref->text.len, text, strlen(text));
    return ref;
}

static const struct {
    const char *text;
    const char *protocol; /* "": not understood */
    const char *path;     /* "": none */
    const char *format;
} names[] = {
    {"base.img", "file", "base.img", ""},
    {"dir/base.img", "file", "dir/base.img", ""},
    {"./a:b.img", "file", "./a:b.img", ""},
    {"file:base.img", "file", "base.img", ""},
    {"file:///base.img", "file", "///base.img", ""},
    {"host_device:/dev/sda", "host_device", "/dev/sda", ""},
    {"a:b.img", "a", "", ""},
    {"nbd://host/x", "nbd", "", ""},
    {":x", "", "", ""},
    {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"x\"}}", "file", "x",
     "qcow2"},
    {"json:{\"driver\":\"file\",\"filename\":\"x\"}", "file", "x", "raw"},
    {"json:{'file.filename':'file:x'}", "file", "file:x", ""},
    {"json:{\"driver\":\"qcow2\",\"file.driver\":\"host_device\",\"file.filename\":\"/dev/x\"}",
     "host_device", "/dev/x", "qcow2"},
    {"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"nbd\",\"host\":\"h\"}}", "nbd", "", "raw"},
    {"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"raw\",\"file\":{\"driver\":\"file\","
     "\"filename\":\"x\"}}}",
     "file", "x", "raw"},
    {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\","
     "\"filename\":\"x\"}}}",
     "", "", ""},
    {"json:{\"driver\":\"raw\"}", "", "", ""},
    {"json:{\"driver\":\"file\"}", "", "", ""},
    {"json:{\"filename\":\"x\"}", "", "", ""},
    {"json:{\"driver\":\"raw\"", "", "", ""},
    {"json:[]", "", "", ""},
    {"json:", "", "", ""},
    {"json:{}", "", "", ""},
    {"json:{} x", "", "", ""},
};

static void test_names(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        Abi__FileRef *ref = parse(names[i].text, "");

        g_test_message("%s", names[i].text);
        g_assert_cmpstr(ref->protocol, ==, names[i].protocol);
        g_assert_cmpmem(ref->path.data, ref->path.len, names[i].path, strlen(names[i].path));
        if (ref->protocol[0])
            g_assert_cmpstr(ref->format, ==, names[i].format);
        abi__file_ref__free_unpacked(ref, NULL);
    }
}

/* What the image demands of the child goes before what a json: name says. */
static void test_demanded_format(void)
{
    Abi__FileRef *ref = parse(
        "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"x\"}}", "raw");

    g_assert_cmpstr(ref->format, ==, "raw");
    abi__file_ref__free_unpacked(ref, NULL);
}

static void test_slice(void)
{
    Abi__FileRef *ref = parse("json:{\"driver\":\"raw\",\"offset\":512,\"size\":\"1024\","
                              "\"file\":{\"driver\":\"file\",\"filename\":\"x\"}}",
                              "");

    g_assert_true(ref->has_slice);
    g_assert_cmpuint(ref->slice_offset, ==, 512);
    g_assert_cmpuint(ref->slice_size, ==, 1024);
    abi__file_ref__free_unpacked(ref, NULL);

    ref = parse("json:{\"driver\":\"raw\",\"offset\":99999999999999999999999,"
                "\"file\":{\"driver\":\"file\",\"filename\":\"x\"}}",
                "");
    g_assert_cmpstr(ref->protocol, ==, "");
    abi__file_ref__free_unpacked(ref, NULL);
}

static bool append_option(void *user, struct span key, struct span value)
{
    g_string_append_printf((GString *)user, "%.*s=%.*s;", (int)key.len, (const char *)key.data,
                           (int)value.len, (const char *)value.data);
    return true;
}

static const struct {
    const char *json;
    const char *options; /* NULL: refused */
} texts[] = {
    {"{}", ""},
    {" { \"a\" : \"b\" } ", "a=b;"},
    {"{\"a\":{\"b\":{\"c\":1}},\"d\":true}", "a.b.c=1;d=true;"},
    {"{\"a\":[\"x\",{\"y\":null}]}", "a.0=x;a.1.y=null;"},
    {"{'a':'it\\'s'}", "a=it's;"},
    {"{\"a\":\"\\u00e4\\ud83d\\ude00\\n\"}", "a=\xc3\xa4\xf0\x9f\x98\x80\n;"},
    {"{\"a\":-1.5e3}", "a=-1.5e3;"},
    {"{\"a\":\"\\ud83d\"}", NULL},
    {"{\"a\":\"\\u0000\"}", NULL},
    {"{\"a\":\"\\q\"}", NULL},
    {"{\"a\":\"x", NULL},
    {"{\"a\"}", NULL},
    {"{\"a\":}", NULL},
    {"{\"a\":1,}", NULL},
    {"{\"a\":maybe}", NULL},
    {"{\"\":1}", NULL},
    {"\"a\"", NULL},
    {"", NULL},
};

static void test_json(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        bool ok = json_flatten(span_of(texts[i].json, strlen(texts[i].json)), append_option, out);

        g_test_message("%s", texts[i].json);
        g_assert_cmpint(ok, ==, texts[i].options != NULL);
        if (ok)
            g_assert_cmpstr(out->str, ==, texts[i].options);
    }
}

static void test_json_bounds(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) deep = g_string_new("{\"a\":");
    g_autoptr(GString) many = g_string_new("{");
    g_autofree char *key = g_strnfill(JSON_PATH_MAX + 1, 'k');
    g_autofree char *wide = g_strdup_printf("{\"%s\":1}", key);

    for (unsigned i = 0; i < 10000; i++)
        g_string_append(deep, "[");
    g_assert_false(json_flatten(span_of(deep->str, deep->len), append_option, out));
    for (unsigned i = 0; i <= JSON_OPTIONS_MAX; i++)
        g_string_append_printf(many, "%s\"k%u\":1", i ? "," : "", i);
    g_string_append(many, "}");
    g_assert_false(json_flatten(span_of(many->str, many->len), append_option, out));
    g_assert_false(json_flatten(span_of(wide, strlen(wide)), append_option, out));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/fileref/names", test_names);
    g_test_add_func("/guest/fileref/demanded-format", test_demanded_format);
    g_test_add_func("/guest/fileref/slice", test_slice);
    g_test_add_func("/guest/json/texts", test_json);
    g_test_add_func("/guest/json/bounds", test_json_bounds);
    return g_test_run();
}
