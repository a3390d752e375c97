/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON both ways: what is written for results, and what is read from the command line.
 */
#include <glib.h>
#include <string.h>

#include "compat/blockopts.h"
#include "compat/json_parse.h"
#include "compat/json_write.h"
#include "compat/profile.h"
#include "compat/value.h"
#include "tests/unit/compat_capture.h"

/* ---- writing ---- */

static void expect_order(const char *const *keys)
{
    struct value *object = value_object();
    guint nr = g_strv_length((char **)keys);

    for (guint i = nr; i-- > 0;) {
        value_set(object, keys[i], value_bool(TRUE));
    }
    for (guint i = 0; i < nr; i++) {
        g_assert_cmpstr(value_key(object, i), ==, keys[i]);
    }
    value_free(object);
}

/* source: the orders seen in qemu-img's output */
static void test_key_order(void)
{
    static const char *const image[] = {"limits",
                                        "children",
                                        "backing-filename-format",
                                        "snapshots",
                                        "virtual-size",
                                        "filename",
                                        "cluster-size",
                                        "format",
                                        "actual-size",
                                        "format-specific",
                                        "full-backing-filename",
                                        "encrypted",
                                        "backing-filename",
                                        "dirty-flag",
                                        NULL};
    static const char *const qcow2[] = {
        "compat",    "compression-type", "lazy-refcounts", "bitmaps", "refcount-bits",
        "data-file", "encrypt",          "data-file-raw",  "corrupt", "extended-l2",
        NULL};
    static const char *const luks[] = {
        "ivgen-alg", "detached-header", "hash-alg",         "cipher-alg",
        "uuid",      "ivgen-hash-alg",  "format",           "cipher-mode",
        "slots",     "payload-offset",  "master-key-iters", NULL};
    static const char *const slot[] = {"active", "iters", "key-offset", "stripes", NULL};
    static const char *const vmdk[] = {"cid", "parent-cid", "create-type", "extents", NULL};
    static const char *const extent[] = {"compressed",   "virtual-size", "filename",
                                         "cluster-size", "format",       NULL};
    static const char *const snapshot[] = {"icount",   "vm-clock-nsec", "name",
                                           "date-sec", "date-nsec",     "vm-clock-sec",
                                           "id",       "vm-state-size", NULL};
    static const char *const limits[] = {"write-zeroes-alignment",
                                         "request-alignment",
                                         "min-mem-alignment",
                                         "discard-alignment",
                                         "opt-mem-alignment",
                                         "max-iov",
                                         NULL};
    static const char *const check[] = {"image-end-offset",
                                        "compressed-clusters",
                                        "total-clusters",
                                        "corruptions",
                                        "corruptions-fixed",
                                        "check-errors",
                                        "leaks",
                                        "leaks-fixed",
                                        "allocated-clusters",
                                        "filename",
                                        "format",
                                        "fragmented-clusters",
                                        NULL};
    static const char *const measure[] = {"bitmaps", "required", "fully-allocated", NULL};

    expect_order(image);
    expect_order(qcow2);
    expect_order(luks);
    expect_order(slot);
    expect_order(vmdk);
    expect_order(extent);
    expect_order(snapshot);
    expect_order(limits);
    expect_order(check);
    expect_order(measure);
}

static void test_same_bucket(void)
{
    struct value *object = value_object();

    value_set(object, "backing-filename-format", value_uint(1));
    value_set(object, "children", value_uint(2));
    g_assert_cmpstr(value_key(object, 0), ==, "children"); /* the newest first */
    value_set(object, "backing-filename-format", value_uint(3));
    g_assert_cmpuint(value_count(object), ==, 2);
    g_assert_cmpuint(value_number(value_item(object, 1)), ==, 3);
    value_free(object);
}

/* source: `info --output=json` of files with such names, 7.2 */
static void test_strings(void)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"a\xff"
         "b",
         "a\\uFFFDb"},
        {"a\xc3", "a\\uFFFD"},
        {"\xe2\x82x", "\\uFFFDx"},
        {"\xed\xa0\x80", "\\uFFFD"},
        {"\xc0\x80z", "\\u0000z"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\\u00E9\\u20AC\\uD83D\\uDE00"},
        {"q\"\\\t\n\b\f\r\x01\x7f", "q\\\"\\\\\\t\\n\\b\\f\\r\\u0001\\u007F"},
        {"\xf4\x90\x80\x80", "\\uFFFD"},
        {"\xef\xbf\xbe", "\\uFFFD"},
        {"\xf8\x88\x80\x80\x80", "\\uFFFD"},
        {"\xe2\x28\xa1", "\\uFFFD(\\uFFFD"},
        {"\xef\xb7\x90", "\\uFFFD"},
        {"\xf0\x9f\xbf\xbe", "\\uFFFD"},
        {"\xfe\xff", "\\uFFFD\\uFFFD"},
        {"\xf0\x9f\x98", "\\uFFFD"},
        {"\xfc\x84\x80\x80\x80\x80", "\\uFFFD"},
        {"\xc1\xbf", "\\uFFFD"},
        {"/'", "/'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GString *out = g_string_new(NULL);
        g_autofree char *want = g_strconcat("\"", cases[i].json, "\"", NULL);

        json_write_string(out, cases[i].text);
        g_assert_cmpstr(out->str, ==, want);
        g_string_free(out, TRUE);
    }
}

static void test_layouts(void)
{
    struct value *object = value_object(), *list = value_list();
    GString *out = g_string_new(NULL);

    value_append(list, value_int(-1));
    value_append(list, value_object());
    value_set(object, "a", list);
    value_set(object, "b", value_bool(FALSE));
    json_write(out, object, JSON_ONE_LINE);
    g_assert_cmpstr(out->str, ==, "{\"a\": [-1, {}], \"b\": false}");
    g_string_truncate(out, 0);
    json_write(out, object, JSON_PRETTY);
    g_assert_cmpstr(out->str, ==,
                    "{\n    \"a\": [\n        -1,\n        {\n        }\n    ],\n"
                    "    \"b\": false\n}");
    g_string_free(out, TRUE);
    value_free(object);
}

/* ---- reading ---- */

/* source: `info json:...`, 7.2 */
static void test_parse_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "Expecting a JSON value"},
        {" ", "Expecting a JSON value"},
        {"{", "JSON parse error, premature EOI"},
        {"{\"", "JSON parse error, stray '\"'"},
        {"{\"a", "JSON parse error, stray '\"a'"},
        {"{\"a\"", "JSON parse error, premature EOI"},
        {"{\"a\":", "JSON parse error, premature EOI"},
        {"{\"a\":1,", "JSON parse error, premature EOI"},
        {"[1", "JSON parse error, premature EOI"},
        {"nul", "JSON parse error, invalid keyword 'nul'"},
        {"{\"a\":tru", "JSON parse error, invalid keyword 'tru'"},
        {"{}x", "Expecting at most one JSON value"},
        {"{} {}", "Expecting at most one JSON value"},
        {"{}#", "Expecting at most one JSON value"},
        {"1,", "Expecting at most one JSON value"},
        {"}", "JSON parse error, expecting value"},
        {"{]", "JSON parse error, expecting value"},
        {"{\"a\":}", "JSON parse error, expecting value"},
        {"{,}", "JSON parse error, expecting value"},
        {"{\"a\":1,}", "JSON parse error, expecting value"},
        {"{\"a\" 1}", "JSON parse error, missing : in object pair"},
        {"{\"a\":1 2}", "JSON parse error, expected separator in dict"},
        {"[1 2]", "JSON parse error, expected separator in list"},
        {"[1}", "JSON parse error, expected separator in list"},
        {"{1:2}", "JSON parse error, key is not a string in object"},
        {"{\"a\":1,\"a\":2}", "JSON parse error, duplicate key"},
        {"{a:1}", "JSON parse error, invalid keyword 'a'"},
        {"{\"a\";1}", "JSON parse error, stray ';'"},
        {"{\"a\":01}", "JSON parse error, stray '01'"},
        {"{\"a\":-01}", "JSON parse error, stray '-01'"},
        {"{\"a\":--5}", "JSON parse error, stray '--'"},
        {"{\"a\":-}", "JSON parse error, stray '-}'"},
        {"{\"a\":1.}", "JSON parse error, stray '1.}'"},
        {"{\"a\":.5}", "JSON parse error, stray '.'"},
        {"{\"a\":1e}", "JSON parse error, stray '1e}'"},
        {"{\"a\":0x1}", "JSON parse error, expected separator in dict"},
        {"{\"a\":True}", "JSON parse error, stray 'T'"},
        {"{\"a\":a_1}", "JSON parse error, stray '_'"},
        {"{\"a\":%d}", "JSON parse error, stray '%'"},
        {"{\"a\":\"x\ty\"}", "JSON parse error, stray '\"x\t'"},
        {"{\"a\":\"\\", "JSON parse error, stray '\"\\'"},
        {"{\"a\":\"\\q\"}", "JSON parse error, invalid escape sequence in string"},
        {"{\"a\":\"\\u12\"}", "JSON parse error, \\u12\" is not a valid Unicode character"},
        {"{\"a\":\"\\u12zz\"}", "JSON parse error, \\u12zz is not a valid Unicode character"},
        {"{\"a\":\"\\ud800\"}", "JSON parse error, \\ud800 is not a valid Unicode character"},
        {"{\"a\":\"\\ude00\"}", "JSON parse error, \\ude00 is not a valid Unicode character"},
        {"{\"a\":\"\\uD83Dx\"}", "JSON parse error, \\uD83D is not a valid Unicode character"},
        {"{\"a\":\"\\ufffe\"}", "JSON parse error, \\ufffe is not a valid Unicode character"},
        {"{\"a\":\"\xc3\"}", "JSON parse error, invalid UTF-8 sequence in string"},
        {"{\"a\":\"\xff\"}", "JSON parse error, stray '\"\xff'"},
    };

    g_assert_true(profile_select("7.2", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(json_parse(cases[i].text, &error));
        g_assert_cmpstr(error->message, ==, cases[i].error);
    }
    g_assert_true(profile_select(NULL, NULL));
}

static void test_parse_position(void)
{
    g_autoptr(GError) one_line = NULL;
    g_autoptr(GError) two_lines = NULL;

    g_assert_null(json_parse(
        "{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"a.raw\"}", &one_line));
    g_assert_cmpstr(one_line->message, ==, "1:60: JSON parse error, premature end of input");
    g_assert_null(json_parse("{\n \"a\" 1}", &two_lines));
    g_assert_cmpstr(two_lines->message, ==, "2:6: JSON parse error, expecting ':'");
}

static void test_parse_depth(void)
{
    g_autofree char *deep = g_strnfill(1025, '[');
    g_autoptr(GError) error = NULL;

    g_assert_null(json_parse(deep, &error));
    g_assert_cmpstr(error->message, ==, "JSON nesting depth limit exceeded");
}

static void test_parse_values(void)
{
    struct json_node *node =
        json_parse("{'a': \"x'\\u00e9\\ud83d\\ude00\\n\", \"b\": [1e3, -0, 18446744073709551615, "
                   "1.5], \"c\": null, \"d\": true, \"e\": \"\\u0000\"}",
                   NULL);
    const struct json_node *list;

    g_assert_nonnull(node);
    g_assert_cmpstr(((struct json_node *)g_ptr_array_index(node->items, 0))->text, ==,
                    "x'\xc3\xa9\xf0\x9f\x98\x80\n");
    list = g_ptr_array_index(node->items, 1);
    g_assert_cmpstr(((struct json_node *)g_ptr_array_index(list->items, 0))->text, ==, "1000");
    g_assert_cmpstr(((struct json_node *)g_ptr_array_index(list->items, 2))->text, ==,
                    "18446744073709551615");
    g_assert_cmpstr(((struct json_node *)g_ptr_array_index(list->items, 3))->text, ==, "1.5");
    g_assert_cmpint(((struct json_node *)g_ptr_array_index(node->items, 2))->kind, ==, JSON_NULL);
    g_assert_true(((struct json_node *)g_ptr_array_index(node->items, 3))->truth);
    g_assert_cmpstr(((struct json_node *)g_ptr_array_index(node->items, 4))->text, ==, "\xc0\x80");
    json_node_free(node);
}

/* ---- block options ---- */

static void test_flatten_json(void)
{
    struct blockopts *opts =
        blockopts_parse_json("json:{\"driver\":\"raw\",\"size\":512,\"file\":{\"driver\":\"file\","
                             "\"filename\":\"a.raw\"},\"x\":[true,\"y\"],\"file.locking\":\"off\"}",
                             NULL);
    struct blockopts *file;
    g_autofree char *driver = NULL;
    g_autofree char *json = blockopts_to_json(opts);

    g_assert_cmpstr(blockopts_get(opts, "file.filename"), ==, "a.raw");
    g_assert_cmpstr(blockopts_get(opts, "x.0"), ==, "on");
    g_assert_cmpstr(blockopts_get(opts, "x.1"), ==, "y");
    g_assert_cmpstr(
        json, ==,
        "json:{\"x\": {\"0\": true, \"1\": \"y\"}, \"driver\": \"raw\", \"size\": 512, "
        "\"file\": {\"locking\": \"off\", \"driver\": \"file\", \"filename\": \"a.raw\"}}");
    driver = blockopts_take(opts, "driver");
    g_assert_cmpstr(driver, ==, "raw");
    file = blockopts_take_prefix(opts, "file");
    g_assert_cmpuint(blockopts_count(file), ==, 3);
    g_assert_cmpstr(blockopts_get(file, "locking"), ==, "off");
    g_assert_null(blockopts_get(opts, "file.filename"));
    blockopts_free(file);
    blockopts_free(opts);
}

static void expect_json_error(const char *name, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(blockopts_parse_json(name, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_json_names(void)
{
    g_assert_true(blockopts_is_json("json:{}"));
    g_assert_false(blockopts_is_json("./json:{}"));
    expect_json_error("json:[]", "Invalid JSON object given");
    expect_json_error("json:", "Could not parse the JSON options: Expecting a JSON value");
}

static void test_image_opts(void)
{
    struct blockopts *opts = blockopts_parse_string(
        "driver=raw,offset=1k,size=x,read-only=yes,file.filename=a,,b", FALSE, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) left = NULL;
    gboolean truth = FALSE, have = FALSE;
    uint64_t bytes = 0;

    g_assert_cmpstr(blockopts_get(opts, "file.filename"), ==, "a,b");
    g_assert_true(blockopts_take_bool(opts, "read-only", FALSE, &truth, NULL));
    g_assert_true(truth);
    g_assert_true(blockopts_take_size(opts, "offset", &have, &bytes, NULL));
    g_assert_true(have);
    g_assert_cmpuint(bytes, ==, 1024);
    g_assert_false(blockopts_take_size(opts, "size", &have, &bytes, &error));
    g_assert_true(g_str_has_prefix(error->message, "Parameter 'size' expects"));
    g_assert_false(blockopts_finish(opts, "raw", FALSE, &left));
    g_assert_cmpstr(left->message, ==, "Block format 'raw' does not support the option 'driver'");
    blockopts_free(opts);
}

static void test_first_word_is_file(void)
{
    struct blockopts *opts = blockopts_parse_string("a.raw,driver=raw", FALSE, NULL);

    g_assert_cmpstr(blockopts_get(opts, "file"), ==, "a.raw");
    blockopts_free(opts);
    opts = blockopts_parse_string(",", FALSE, NULL);
    g_assert_cmpstr(blockopts_get(opts, "file"), ==, "");
    blockopts_free(opts);
    opts = blockopts_parse_string("", FALSE, NULL);
    g_assert_cmpuint(blockopts_count(opts), ==, 0);
    blockopts_free(opts);
}

static void test_force_share(void)
{
    g_autoptr(GError) error = NULL;
    struct blockopts *opts = blockopts_parse_string("force-share=on,driver=raw", TRUE, NULL);

    g_assert_nonnull(opts);
    blockopts_free(opts);
    g_assert_null(blockopts_parse_string("driver=raw,force-share=off", TRUE, &error));
    g_assert_cmpstr(error->message, ==, "--force-share/-U conflicts with image options");
}

static void test_short_form_warning(void)
{
    char *out, *err;

    capture_begin();
    blockopts_free(blockopts_parse_string("file.filename=a,read-only,nox,help", FALSE, NULL));
    capture_end(&out, &err);
    g_assert_cmpstr(err, ==,
                    "qemu-img: warning: short-form boolean option 'read-only' deprecated\n"
                    "Please use read-only=on instead\n"
                    "qemu-img: warning: short-form boolean option 'nox' deprecated\n"
                    "Please use x=off instead\n");
    g_free(out);
    g_free(err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/json/key-order", test_key_order);
    g_test_add_func("/compat/json/same-bucket", test_same_bucket);
    g_test_add_func("/compat/json/strings", test_strings);
    g_test_add_func("/compat/json/layouts", test_layouts);
    g_test_add_func("/compat/json/parse-errors", test_parse_errors);
    g_test_add_func("/compat/json/parse-position", test_parse_position);
    g_test_add_func("/compat/json/parse-depth", test_parse_depth);
    g_test_add_func("/compat/json/parse-values", test_parse_values);
    g_test_add_func("/compat/blockopts/flatten-json", test_flatten_json);
    g_test_add_func("/compat/blockopts/json-names", test_json_names);
    g_test_add_func("/compat/blockopts/image-opts", test_image_opts);
    g_test_add_func("/compat/blockopts/first-word-is-file", test_first_word_is_file);
    g_test_add_func("/compat/blockopts/force-share", test_force_share);
    g_test_add_func("/compat/blockopts/short-form-warning", test_short_form_warning);
    return g_test_run();
}
