/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option strings, creation options as typed values, and secrets.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "compat/create_opts.h"
#include "compat/keyval.h"
#include "compat/profile.h"
#include "compat/secret.h"
#include "tests/unit/compat_capture.h"

/* ---- keyval ---- */

static void expect_pairs(const char *text, const char *implied, const char *want)
{
    struct keyval *kv = keyval_parse(text, implied);
    GString *got = g_string_new(NULL);

    for (guint i = 0; i < kv->pairs->len; i++) {
        const struct keyval_pair *pair = g_ptr_array_index(kv->pairs, i);

        g_string_append_printf(got, "[%s]%s[%s]", pair->key, pair->bare ? "~" : "=", pair->value);
    }
    g_assert_cmpstr(got->str, ==, want);
    g_string_free(got, TRUE);
    keyval_free(kv);
}

static void test_pairs(void)
{
    expect_pairs("", NULL, "");
    expect_pairs("a=b", NULL, "[a]=[b]");
    expect_pairs("a=b,c=d=e", NULL, "[a]=[b][c]=[d=e]");
    expect_pairs("a=b,,c,d=,e", NULL, "[a]=[b,c][d]=[][e]~[on]");
    expect_pairs("a=b,,,c=d", NULL, "[a]=[b,][c]=[d]");
    expect_pairs("nolazy,node=1,no", NULL, "[lazy]~[off][node]=[1][]~[off]");
    expect_pairs("a,,b=1", NULL, "[a]~[on][]~[on][b]=[1]");
    expect_pairs("x,a=b", "file", "[file]=[x][a]=[b]");
    expect_pairs("x,,y,a=b", "file", "[file]=[x,y][a]=[b]");
    expect_pairs("a=b,x", "file", "[a]=[b][x]~[on]");
    expect_pairs("a=b,", NULL, "[a]=[b]");
}

static void test_join(void)
{
    g_autofree char *joined = NULL;
    static const char *const bad[] = {"", ",", ",a", "a,", "a,,,"};

    g_assert_true(keyval_join(&joined, "a=b", NULL));
    g_assert_true(keyval_join(&joined, "c=d,,", NULL));
    g_assert_cmpstr(joined, ==, "a=b,c=d,,");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *message = g_strconcat("Invalid option list: ", bad[i], NULL);
        g_autoptr(GError) error = NULL;

        g_assert_false(keyval_join(&joined, bad[i], &error));
        g_assert_cmpstr(error->message, ==, message);
    }
}

static void test_help_words(void)
{
    g_assert_true(keyval_has_help("help"));
    g_assert_true(keyval_has_help("a=b,?"));
    g_assert_true(keyval_has_help("a,help,b"));
    g_assert_false(keyval_has_help("help=1"));
    g_assert_false(keyval_has_help("nohelp"));
    g_assert_false(keyval_has_help("a=help"));
    g_assert_false(keyval_has_help("helpme"));
}

static void test_escape(void)
{
    g_autofree char *text = keyval_escape("a,b,,c");

    g_assert_cmpstr(text, ==, "a,,b,,,,c");
}

/* ---- creation options ---- */

static struct create_opts *opts_of(const char *format, const char *options)
{
    struct create_request request = {.format = format,
                                     .filename = "x",
                                     .options = options,
                                     .have_size = TRUE,
                                     .size_bytes = 1 << 20};
    GError *error = NULL;
    struct create_opts *opts = create_opts_new(&request, &error);

    g_assert_no_error(error);
    return opts;
}

static void test_qcow2_defaults(void)
{
    struct create_opts *opts = opts_of("qcow2", NULL);
    struct create_qcow2 qcow2;

    g_assert_true(create_opts_qcow2(opts, &qcow2, NULL));
    g_assert_cmpuint(qcow2.size_bytes, ==, 1 << 20);
    g_assert_cmpuint(qcow2.version, ==, 3);
    g_assert_cmpuint(qcow2.cluster_size_bytes, ==, 65536);
    g_assert_cmpuint(qcow2.refcount_bits, ==, 16);
    g_assert_cmpint(qcow2.preallocation, ==, PREALLOC_OFF);
    g_assert_cmpint(qcow2.compression, ==, QCOW2_ZLIB);
    g_assert_false(qcow2.lazy_refcounts);
    g_assert_false(qcow2.extended_l2);
    g_assert_null(qcow2.backing_file);
    g_assert_null(qcow2.data_file);
    g_assert_null(qcow2.encrypt_format);
    create_opts_free(opts);
}

static void test_qcow2_all(void)
{
    struct create_opts *opts =
        opts_of("qcow2", "compat=v2,cluster_size=4k,preallocation=falloc,lazy_refcounts,"
                         "refcount_bits=0x40,compression_type=zstd,extended_l2=y,data_file=a,,b,"
                         "data_file_raw=true,keep_data_file=on,backing_file=b,backing_fmt=raw");
    struct create_qcow2 qcow2;

    g_assert_true(create_opts_qcow2(opts, &qcow2, NULL));
    g_assert_cmpuint(qcow2.version, ==, 2);
    g_assert_cmpuint(qcow2.cluster_size_bytes, ==, 4096);
    g_assert_cmpuint(qcow2.refcount_bits, ==, 64);
    g_assert_cmpint(qcow2.preallocation, ==, PREALLOC_FALLOC);
    g_assert_cmpint(qcow2.compression, ==, QCOW2_ZSTD);
    g_assert_true(qcow2.lazy_refcounts);
    g_assert_true(qcow2.extended_l2);
    g_assert_true(qcow2.data_file_raw);
    g_assert_true(qcow2.keep_data_file);
    g_assert_cmpstr(qcow2.data_file, ==, "a,b");
    g_assert_cmpstr(qcow2.backing_file, ==, "b");
    g_assert_cmpstr(qcow2.backing_fmt, ==, "raw");
    create_opts_free(opts);
}

static void expect_qcow2_error(const char *options, const char *message)
{
    struct create_opts *opts = opts_of("qcow2", options);
    struct create_qcow2 qcow2;
    g_autoptr(GError) error = NULL;

    g_assert_false(create_opts_qcow2(opts, &qcow2, &error));
    g_assert_cmpstr(error->message, ==, message);
    create_opts_free(opts);
}

static void test_qcow2_words(void)
{
    expect_qcow2_error("compat=0.9", "Parameter 'version' does not accept value '0.9'");
    expect_qcow2_error("preallocation=x", "Parameter 'preallocation' does not accept value 'x'");
    expect_qcow2_error("compression_type=x",
                       "Parameter 'compression-type' does not accept value 'x'");
    expect_qcow2_error("encrypt.format=x,preallocation=y",
                       "Parameter 'format' does not accept value 'x'");
    expect_qcow2_error("encrypt.cipher-alg=x", "Parameter 'encrypt.format' is missing");
    expect_qcow2_error("encryption=on,encrypt.format=luks,compat=0.9",
                       "'encrypt.format' and its alias 'encryption' can't be used at the same "
                       "time");
    expect_qcow2_error("preallocation=x,compat=0.9,compression_type=y",
                       "Parameter 'version' does not accept value '0.9'");
}

static void test_file(void)
{
    struct create_opts *opts = opts_of("raw", "preallocation=full,nocow=on,extent_size_hint=0");
    struct create_file file;

    g_assert_true(create_opts_file(opts, &file, NULL));
    g_assert_cmpint(file.preallocation, ==, PREALLOC_FULL);
    g_assert_true(file.nocow);
    g_assert_true(file.have_extent_size_hint);
    g_assert_cmpuint(file.extent_size_hint_bytes, ==, 0);
    create_opts_free(opts);

    opts = opts_of("qcow2", "preallocation=full"); /* qcow2's own: not for the file */
    g_assert_true(create_opts_file(opts, &file, NULL));
    g_assert_cmpint(file.preallocation, ==, PREALLOC_OFF);
    g_assert_cmpuint(file.extent_size_hint_bytes, ==, 1 << 20);
    create_opts_free(opts);

    opts = opts_of("vdi", "preallocation=full"); /* which vdi has not: for the file */
    g_assert_true(create_opts_file(opts, &file, NULL));
    g_assert_cmpint(file.preallocation, ==, PREALLOC_FULL);
    create_opts_free(opts);
}

static void expect_file_error(const char *options, const char *message)
{
    struct create_opts *opts = opts_of("raw", options);
    struct create_file file;
    g_autoptr(GError) error = NULL;

    g_assert_false(create_opts_file(opts, &file, &error));
    g_assert_cmpstr(error->message, ==, message);
    create_opts_free(opts);
}

static void test_file_words(void)
{
    expect_file_error("preallocation=metadata", "Unsupported preallocation mode: metadata");
    expect_file_error("preallocation=", "invalid parameter value: ");
    expect_file_error("extent_size_hint=4G", "Extent size hint is too large");
}

static struct create_opts *convert_opts(const struct create_request *request, const char *message)
{
    g_autoptr(GError) error = NULL;
    struct create_opts *opts = create_opts_new_convert(request, &error);

    g_assert_cmpstr(error != NULL ? error->message : NULL, ==, message);
    return opts;
}

static void test_convert(void)
{
    struct create_request request = {.format = "qcow2", .filename = "x", .nr_sources = 1};

    request.backing_file = "b";
    convert_opts(&request, "Use of backing file requires explicit backing format");
    request.nr_sources = 2;
    convert_opts(&request, "Having a backing file for the target makes no sense when "
                           "concatenating multiple input images");
    request.nr_sources = 1;
    request.backing_fmt = "raw";
    create_opts_free(convert_opts(&request, NULL));
    request.format = "raw";
    convert_opts(&request, "Backing file not supported for file format 'raw'");
    request.backing_file = NULL;
    convert_opts(&request, "Backing file format not supported for file format 'raw'");
    request.filename = "null-co://";
    convert_opts(&request, "Protocol driver 'null-co' does not support image creation");
    request.filename = "x:y";
    convert_opts(&request, "Unknown protocol 'x'");
    request.format = "nosuch";
    convert_opts(&request, "Unknown file format 'nosuch'");
}

static void expect_compress(const char *format, const char *options, const char *message)
{
    struct create_opts *opts = opts_of(format, options);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(create_opts_check_compress(opts, &error), ==, message == NULL);
    g_assert_cmpstr(error != NULL ? error->message : NULL, ==, message);
    create_opts_free(opts);
}

static void test_compress(void)
{
    expect_compress("qcow2", NULL, NULL);
    expect_compress("qcow2", "preallocation=off,encryption=off", NULL);
    expect_compress("raw", "preallocation=full", "Compression not supported for this file format");
    expect_compress("vdi", NULL, "Compression not supported for this file format");
    expect_compress("qcow2", "preallocation=bogus",
                    "Compression and preallocation not supported at the same time");
    expect_compress("qcow2", "encryption=on,preallocation=full",
                    "Compression and encryption not supported at the same time");
    expect_compress("qcow2", "encrypt.format=luks",
                    "Compression and encryption not supported at the same time");
}

static void expect_measure(const char *options, const char *message)
{
    struct create_request request = {.format = "qcow2", .options = options};
    g_autoptr(GError) error = NULL;
    struct create_opts *opts = create_opts_new_measure(&request, &error);
    struct create_qcow2 qcow2;

    if (opts != NULL) {
        create_opts_qcow2(opts, &qcow2, &error);
    }
    g_assert_cmpstr(error != NULL ? error->message : NULL, ==, message);
    create_opts_free(opts);
}

static void test_measure(void)
{
    expect_measure("nocow=on,size=4M,compression_type=bogus", NULL);
    expect_measure("bogus", "Invalid parameter 'bogus'\n"
                            "qemu-img: Invalid options for file format 'qcow2'");
    expect_measure("cluster_size=4,compat=4",
                   "Cluster size must be a power of two between 512 and 2048k");
    expect_measure("compat=4,preallocation=x", "Invalid compatibility level: '4'");
    expect_measure("preallocation=x", "invalid parameter value: x");
}

static void test_help_by_profile(void)
{
    char *out, *err;

    g_assert_true(profile_select("11.1", NULL));
    capture_begin();
    g_assert_true(create_opts_print_help("qcow2", NULL, NULL));
    capture_end(&out, &err);
    g_assert_nonnull(strstr(out, "\n  keep_data_file=<bool (on/off)> - Assume"));
    g_free(out);
    g_free(err);
    g_assert_true(profile_select("7.2", NULL));
    capture_begin();
    g_assert_true(create_opts_print_help("qcow2", NULL, NULL));
    capture_end(&out, &err);
    g_assert_null(strstr(out, "keep_data_file"));
    g_free(out);
    g_free(err);
    g_assert_true(profile_select(NULL, NULL));
}

static void test_not_built(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(driver_require_built(driver_find("qcow2"), NULL));
    g_assert_false(driver_require_built(driver_find("quorum"), &error));
    g_assert_cmpstr(error->message, ==, "The 'quorum' driver is not built yet in instar");
}

/* ---- secrets ---- */

static void test_secret_file(void)
{
    struct secret_set *set = secret_set_new();
    g_autofree char *path = NULL;
    g_autofree char *definition = NULL;
    const struct secret *secret;
    int fd = g_file_open_tmp("secret-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, "pw\n\0x", 5, NULL));
    definition = g_strdup_printf("secret,id=s,format=raw,file=%s", path);
    g_assert_true(secret_set_add(set, definition, NULL));
    secret = secret_set_find(set, "s", NULL);
    g_assert_cmpmem(g_bytes_get_data(secret->data, NULL), g_bytes_get_size(secret->data), "pw\n\0x",
                    5);
    g_unlink(path);
    secret_set_free(set);
}

#define KEY "0123456789abcdef0123456789abcdef"
#define IV  "AAAAAAAAAAAAAAAAAAAAAA=="

static void expect_refused(struct secret_set *set, const char *definition, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(secret_set_add(set, definition, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_secret_encrypted(void)
{
    struct secret_set *set = secret_set_new();
    const struct secret *secret;

    g_assert_true(secret_set_add(set, "secret,id=short,data=x", NULL));
    g_assert_true(secret_set_add(set, "secret,id=key,data=" KEY, NULL));
    g_assert_true(secret_set_add(
        set, "secret,id=s,data=pZwJZBLuy3mDACEQT4YTBw==,format=base64,keyid=key,iv=" IV, NULL));
    secret = secret_set_find(set, "s", NULL);
    g_assert_cmpstr(secret->keyid, ==, "key");
    g_assert_cmpuint(g_bytes_get_size(secret->iv), ==, 16);
    g_assert_cmpmem(g_bytes_get_data(secret->data, NULL), g_bytes_get_size(secret->data), "hello",
                    5);
    expect_refused(set, "secret,id=t,data=x,keyid=none", "No secret with id 'none'");
    expect_refused(set, "secret,id=t,data=x,keyid=short", "Key should be 32 bytes in length");
    expect_refused(set, "secret,id=t,data=x,keyid=key", "IV is required to decrypt secret");
    expect_refused(set, "secret,id=t,data=x,keyid=key,iv=AAAA",
                   "IV should be 16 bytes in length not 3");
    expect_refused(set, "secret,id=t,data=AAAA,format=base64,keyid=key,iv=" IV,
                   "Length 3 must be a multiple of block size 16");
    secret_set_free(set);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/compat/keyval/pairs", test_pairs);
    g_test_add_func("/compat/keyval/join", test_join);
    g_test_add_func("/compat/keyval/help-words", test_help_words);
    g_test_add_func("/compat/keyval/escape", test_escape);
    g_test_add_func("/compat/create-opts/qcow2-defaults", test_qcow2_defaults);
    g_test_add_func("/compat/create-opts/qcow2-all", test_qcow2_all);
    g_test_add_func("/compat/create-opts/qcow2-words", test_qcow2_words);
    g_test_add_func("/compat/create-opts/file", test_file);
    g_test_add_func("/compat/create-opts/file-words", test_file_words);
    g_test_add_func("/compat/create-opts/convert", test_convert);
    g_test_add_func("/compat/create-opts/compress", test_compress);
    g_test_add_func("/compat/create-opts/measure", test_measure);
    g_test_add_func("/compat/create-opts/help-by-profile", test_help_by_profile);
    g_test_add_func("/compat/driver/not-built", test_not_built);
    g_test_add_func("/compat/secret/file", test_secret_file);
    g_test_add_func("/compat/secret/encrypted", test_secret_encrypted);
    return g_test_run();
}
