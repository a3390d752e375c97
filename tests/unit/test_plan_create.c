/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: the plan of a new qcow2 image gives the same bytes as stock qemu-img, over a grid of
 * options, and refuses what stock refuses.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/create.h"
#include "tests/crash/replay.h"

static const char *stock;

struct variant {
    const char *name;
    uint64_t size;
    Abi__Qcow2CreateOptions o; /* zero fields take the default */
};

#define OFF      ABI__PREALLOCATION__PREALLOC_OFF
#define METADATA ABI__PREALLOCATION__PREALLOC_METADATA
#define FALLOC   ABI__PREALLOCATION__PREALLOC_FALLOC
#define FULL     ABI__PREALLOCATION__PREALLOC_FULL

static Abi__CreateRequest request_of(Abi__Qcow2CreateOptions *options, uint64_t size)
{
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    if (!options->version)
        options->version = 3;
    if (!options->cluster_size)
        options->cluster_size = 65536;
    if (!options->refcount_bits)
        options->refcount_bits = 16;
    request.format = (char *)"qcow2";
    request.size = size;
    request.blob = 0;
    request.data_blob = 1;
    request.qcow2 = options;
    return request;
}

static char *stock_options(const Abi__Qcow2CreateOptions *o, const char *data_file)
{
    static const char *const prealloc[] = {"off", "metadata", "falloc", "full"};
    GString *text = g_string_new(NULL);
    g_string_append_printf(
        text, "compat=%s,cluster_size=%" G_GUINT64_FORMAT ",refcount_bits=%u,preallocation=%s",
        o->version == 2 ? "0.10" : "1.1", o->cluster_size, o->refcount_bits,
        prealloc[o->preallocation]);
    if (o->lazy_refcounts)
        g_string_append(text, ",lazy_refcounts=on");
    if (o->extended_l2)
        g_string_append(text, ",extended_l2=on");
    if (o->compression_type)
        g_string_append(text, ",compression_type=zstd");
    if (o->has_data_file)
        g_string_append_printf(text, ",data_file=%s", data_file);
    if (o->data_file_raw)
        g_string_append(text, ",data_file_raw=on");
    return g_string_free(text, FALSE);
}

static void assert_same_file(const char *ours, const char *theirs, const char *what)
{
    g_autofree char *a = NULL, *b = NULL;
    gsize a_len, b_len;
    g_assert_true(g_file_get_contents(ours, &a, &a_len, NULL));
    g_assert_true(g_file_get_contents(theirs, &b, &b_len, NULL));
    gsize at = 0;
    while (at < a_len && at < b_len && a[at] == b[at])
        at++;
    if (at < a_len || at < b_len)
        g_test_message("%s: lengths %zu and %zu, first difference at %zu", what, a_len, b_len, at);
    g_assert_cmpuint(a_len, ==, b_len);
    g_assert_cmpuint(at, ==, a_len);
}

static void run_stock(const Abi__Qcow2CreateOptions *o, uint64_t size, const char *image,
                      const char *data_file)
{
    g_autofree char *options = stock_options(o, data_file);
    g_autofree char *size_text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    g_autofree char *backing = g_strndup((char *)o->backing_file.data, o->backing_file.len);
    g_autofree char *format = g_strndup((char *)o->backing_format.data, o->backing_format.len);
    const char *argv[20];
    int n = 0, status = 0;
    argv[n++] = stock;
    argv[n++] = "create";
    argv[n++] = "-q";
    argv[n++] = "-f";
    argv[n++] = "qcow2";
    argv[n++] = "-o";
    argv[n++] = options;
    if (o->has_backing) {
        argv[n++] = "-u";
        argv[n++] = "-b";
        argv[n++] = backing;
        argv[n++] = "-F";
        argv[n++] = format;
    }
    argv[n++] = image;
    argv[n++] = size_text;
    argv[n] = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL,
                               NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void test_same_bytes(gconstpointer data)
{
    struct variant v = *(const struct variant *)data;
    if (!stock) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_autofree char *dir = g_dir_make_tmp("instar-create-XXXXXX", NULL);
    g_autofree char *ours = g_build_filename(dir, "ours", NULL);
    g_autofree char *our_data = g_build_filename(dir, "our-data", NULL);
    g_autofree char *theirs = g_build_filename(dir, "theirs", NULL);
    g_autofree char *their_data = g_build_filename(dir, "their-data", NULL);

    Abi__CreateRequest request = request_of(&v.o, v.size);
    if (v.o.has_data_file) {
        v.o.data_file.data = (uint8_t *)their_data;
        v.o.data_file.len = strlen(their_data);
    }
    struct plan *plan = NULL;
    struct guest_err_detail detail;
    g_assert_cmpint(plan_create(&request, &plan, &detail), ==, GUEST_OK);
    uint64_t file_size = plan->file_size;

    int fds[2] = {g_open(ours, O_RDWR | O_CREAT, 0600), g_open(our_data, O_RDWR | O_CREAT, 0600)};
    g_autoptr(GArray) steps = steps_new();
    steps_drain(steps, plan, 7);
    steps_apply(steps, fds);
    g_assert_cmpuint((uint64_t)lseek(fds[0], 0, SEEK_END), ==, file_size);
    close(fds[0]);
    close(fds[1]);

    run_stock(&v.o, v.size, theirs, their_data);
    assert_same_file(ours, theirs, v.name);
    if (v.o.has_data_file) {
        assert_same_file(our_data, their_data, "data file");
        g_unlink(their_data);
    }
    g_unlink(ours);
    g_unlink(our_data);
    g_unlink(theirs);
    g_rmdir(dir);
}

#define K 1024ull
#define M (K * K)
#define G (K * M)

static const struct variant same[] = {
    {"default/0", 0, {.version = 3}},
    {"default/1-byte", 1, {.version = 3}},
    {"default/1G", G, {.version = 3}},
    {"default/513", 513, {.version = 3}},
    {"default/10T", 10240 * G, {.version = 3}},
    {"v2", G, {.version = 2}},
    {"lazy", M, {.lazy_refcounts = true}},
    {"zstd", M, {.compression_type = 1}},
    {"extl2", 3 * G, {.extended_l2 = true}},
    {"refcount-1", G, {.refcount_bits = 1}},
    {"refcount-2", G, {.refcount_bits = 2, .cluster_size = 4096}},
    {"refcount-4", G, {.refcount_bits = 4, .cluster_size = 1024}},
    {"refcount-8", G, {.refcount_bits = 8}},
    {"refcount-32", G, {.refcount_bits = 32, .cluster_size = 512}},
    {"refcount-64", G, {.refcount_bits = 64, .cluster_size = 512}},
    {"cluster-512", G, {.cluster_size = 512}},
    {"cluster-512/10G", 10 * G, {.cluster_size = 512}},
    {"cluster-1k", 100 * G, {.cluster_size = 1024}},
    {"cluster-8k", G, {.cluster_size = 8192}},
    {"cluster-2M", G, {.cluster_size = 2 * M}},
    {"metadata/0", 0, {.preallocation = METADATA}},
    {"metadata/1M", M, {.preallocation = METADATA}},
    {"metadata/partial", M + 513, {.preallocation = METADATA}},
    {"metadata/1k", 2 * M, {.preallocation = METADATA, .cluster_size = 1024}},
    {"metadata/4k", 30 * M, {.preallocation = METADATA, .cluster_size = 4096}},
    {"metadata/512", 5 * M, {.preallocation = METADATA, .cluster_size = 512}},
    {"metadata/1k/refcount-64",
     5 * M,
     {.preallocation = METADATA, .cluster_size = 1024, .refcount_bits = 64}},
    {"metadata/1k/refcount-1",
     5 * M,
     {.preallocation = METADATA, .cluster_size = 1024, .refcount_bits = 1}},
    {"metadata/extl2", 100 * M + 3 * K, {.preallocation = METADATA, .extended_l2 = true}},
    {"metadata/extl2/16k",
     100 * M,
     {.preallocation = METADATA, .extended_l2 = true, .cluster_size = 16384}},
    {"metadata/v2", 100 * M, {.preallocation = METADATA, .version = 2}},
    {"metadata/2M", 100 * M, {.preallocation = METADATA, .cluster_size = 2 * M}},
    {"falloc/1M", M, {.preallocation = FALLOC}},
    {"falloc/4k", 30 * M, {.preallocation = FALLOC, .cluster_size = 4096}},
    {"falloc/512", 4 * M, {.preallocation = FALLOC, .cluster_size = 512}},
    {"falloc/1k", 2 * M, {.preallocation = FALLOC, .cluster_size = 1024}},
    {"falloc/partial", 2 * M + 512, {.preallocation = FALLOC}},
    {"falloc/extl2",
     100 * M,
     {.preallocation = FALLOC, .extended_l2 = true, .cluster_size = 16384}},
    {"full/1M", M, {.preallocation = FULL}},
    {"full/extl2", 33 * K, {.preallocation = FULL, .extended_l2 = true, .cluster_size = 16384}},
    {"data-file", 100 * K, {.has_data_file = true}},
    {"data-file/0", 0, {.has_data_file = true}},
    {"data-file/raw", 100 * K, {.has_data_file = true, .data_file_raw = true}},
    {"data-file/metadata",
     10 * K,
     {.has_data_file = true, .cluster_size = 4096, .preallocation = METADATA}},
    {"data-file/extl2",
     101 * K,
     {.has_data_file = true, .data_file_raw = true, .extended_l2 = true}},
    {"data-file/full", 101 * K, {.has_data_file = true, .preallocation = FULL}},
    {"backing",
     100 * K,
     {.has_backing = true,
      .backing_file = {5, (uint8_t *)"b.raw"},
      .backing_format = {3, (uint8_t *)"raw"}}},
    {"backing/v2",
     100 * K,
     {.version = 2,
      .has_backing = true,
      .backing_file = {5, (uint8_t *)"b.raw"},
      .backing_format = {3, (uint8_t *)"raw"}}},
    {"backing/512",
     100 * K,
     {.cluster_size = 512,
      .has_backing = true,
      .backing_file = {5, (uint8_t *)"b.raw"},
      .backing_format = {5, (uint8_t *)"qcow2"}}},
    {"backing/extl2/metadata",
     1025 * K,
     {.extended_l2 = true,
      .preallocation = METADATA,
      .has_backing = true,
      .backing_file = {5, (uint8_t *)"b.raw"},
      .backing_format = {3, (uint8_t *)"raw"}}},
};

struct refusal {
    const char *name;
    enum guest_err code;
    uint64_t size;
    Abi__Qcow2CreateOptions o;
};

static const struct refusal refusals[] = {
    {"cluster-3000", GUEST_ERR_PLAN_CLUSTER_SIZE, M, {.cluster_size = 3000}},
    {"cluster-256", GUEST_ERR_PLAN_CLUSTER_SIZE, M, {.cluster_size = 256}},
    {"cluster-4M", GUEST_ERR_PLAN_CLUSTER_SIZE, M, {.cluster_size = 4 * M}},
    {"extl2-v2",
     GUEST_ERR_PLAN_EXTL2_VERSION,
     M,
     {.cluster_size = 3000, .extended_l2 = true, .version = 2}},
    {"extl2-8k", GUEST_ERR_PLAN_EXTL2_CLUSTER, M, {.cluster_size = 8192, .extended_l2 = true}},
    {"lazy-v2",
     GUEST_ERR_PLAN_LAZY_VERSION,
     M,
     {.lazy_refcounts = true, .version = 2, .refcount_bits = 3}},
    {"refcount-3", GUEST_ERR_PLAN_REFCOUNT_BITS, M, {.refcount_bits = 3}},
    {"refcount-128", GUEST_ERR_PLAN_REFCOUNT_BITS, M, {.refcount_bits = 128}},
    {"refcount-v2", GUEST_ERR_PLAN_REFCOUNT_VERSION, M, {.refcount_bits = 8, .version = 2}},
    {"raw-alone", GUEST_ERR_PLAN_RAW_WITHOUT_DATA_FILE, M, {.data_file_raw = true}},
    {"data-file-v2", GUEST_ERR_PLAN_DATA_FILE_VERSION, M, {.has_data_file = true, .version = 2}},
    {"zstd-v2", GUEST_ERR_PLAN_COMPRESSION_VERSION, M, {.compression_type = 1, .version = 2}},
    {"keep-alone", GUEST_ERR_PLAN_KEEP_WITHOUT_FILE, M, {.keep_data_file = true}},
    {"keep-invisible",
     GUEST_ERR_PLAN_KEEP_INVISIBLE,
     M,
     {.keep_data_file = true, .has_data_file = true}},
    {"keep-full",
     GUEST_ERR_PLAN_KEEP_PREALLOC,
     M,
     {.keep_data_file = true, .has_data_file = true, .preallocation = FULL}},
    {"backing-prealloc",
     GUEST_ERR_PLAN_BACKING_PREALLOC,
     M,
     {.has_backing = true, .preallocation = METADATA, .lazy_refcounts = true, .version = 2}},
    {"format-alone",
     GUEST_ERR_PLAN_BACKING_FORMAT_ALONE,
     M,
     {.backing_format = {3, (uint8_t *)"raw"}, .refcount_bits = 3}},
    {"512-1T", GUEST_ERR_PLAN_SIZE_TOO_LARGE, 1024 * G, {.cluster_size = 512}},
    {"128G+1", GUEST_ERR_PLAN_SIZE_TOO_LARGE, 128 * G + 1, {.cluster_size = 512}},
    {"2^63", GUEST_ERR_PLAN_SIZE_TOO_LARGE, 1ull << 63, {.cluster_size = 2 * M}},
    {"2^64-1", GUEST_ERR_PLAN_SIZE_TOO_LARGE, UINT64_MAX, {.cluster_size = 2 * M}},
};

static void test_refused(gconstpointer data)
{
    struct refusal r = *(const struct refusal *)data;
    Abi__CreateRequest request = request_of(&r.o, r.size);
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    g_assert_cmpint(plan_create(&request, &plan, &detail), ==, r.code);
    g_assert_null(plan);
}

static void test_backing_name_too_long(void)
{
    uint8_t name[1100];
    memset(name, 'n', sizeof(name));
    for (unsigned len = 1000; len <= sizeof(name); len++) {
        Abi__Qcow2CreateOptions o = {.has_backing = true, .backing_file = {len, name}};
        Abi__CreateRequest request = request_of(&o, M);
        struct guest_err_detail detail;
        struct plan *plan = NULL;
        enum guest_err err = plan_create(&request, &plan, &detail);
        g_assert_cmpint(err, ==, len <= 1023 ? GUEST_OK : GUEST_ERR_PLAN_BACKING_NAME_LONG);
        if (plan)
            plan->verbs->free(plan);
    }
    Abi__Qcow2CreateOptions o = {
        .cluster_size = 512, .has_backing = true, .backing_file = {500, name}};
    Abi__CreateRequest request = request_of(&o, M);
    struct plan *plan = NULL;
    g_assert_cmpint(plan_create(&request, &plan, NULL), ==, GUEST_ERR_PLAN_BACKING_NAME_LONG);
}

/* 1 TiB of metadata is described in a few thousand ops, not written out. */
static void test_large_is_ranges(void)
{
    Abi__Qcow2CreateOptions o = {.preallocation = METADATA};
    Abi__CreateRequest request = request_of(&o, 1024 * G);
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    g_assert_cmpint(plan_create(&request, &plan, &detail), ==, GUEST_OK);
    struct cell_op *ops = g_new0(struct cell_op, 100);
    g_autofree uint8_t *window = g_malloc(PLAN_WINDOW_BYTES);
    uint64_t nr = 0, bytes = 0;
    for (bool done = false; !done;) {
        struct plan_sink sink = {
            .ops = ops, .max_ops = 100, .window = window, .window_size = PLAN_WINDOW_BYTES};
        g_assert_cmpint(plan->verbs->next(plan, &sink, &done, &detail), ==, GUEST_OK);
        nr += sink.nr_ops;
        bytes += sink.window_used;
    }
    plan->verbs->free(plan);
    g_free(ops);
    g_assert_cmpuint(nr, <, 4000);
    g_assert_cmpuint(bytes, <, 256 * K);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *found = g_find_program_in_path("qemu-img");
    stock = found;
    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++) {
        g_autofree char *path = g_strdup_printf("/plan/create/same/%s", same[i].name);
        g_test_add_data_func(path, &same[i], test_same_bytes);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *path = g_strdup_printf("/plan/create/refused/%s", refusals[i].name);
        g_test_add_data_func(path, &refusals[i], test_refused);
    }
    g_test_add_func("/plan/create/backing-name-too-long", test_backing_name_too_long);
    g_test_add_func("/plan/create/large-is-ranges", test_large_is_ranges);
    return g_test_run();
}
