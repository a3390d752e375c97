/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: random runs into fresh, preallocated and existing images of every shape. Afterwards
 * stock finds no error, not even a leak, and reads what was written.
 */
#include <fcntl.h>
#include <glib.h>
#include <libdeflate.h>
#include <string.h>
#include <unistd.h>

#include "guest/formats/qcow2_writer.h"
#include "guest/formats/qcow2_writer_tables.h"
#include "guest/plan/create.h"
#include "tests/crash/bench.h"

#define MAX_OPS 6

struct scenario {
    const char *name;
    const char *options;  /* of the image, as stock's -o */
    const char *prepare;  /* shell, after creation; %s is not used */
    uint64_t size;        /* bytes */
    gboolean fresh;       /* the writer may rely on it being empty */
    gboolean backing;     /* there is a backing file, of non-zero bytes */
    gboolean compress;    /* some runs come compressed */
    gboolean tiny_budget; /* tables are written every few runs */
    gboolean no_reports;  /* placed runs are not reported */
};

struct job {
    struct bench bench;
    const struct scenario *s;
    struct image_writer *writer;
    struct image_writer_shape shape;
    uint8_t *model; /* what the disk shall hold */
    uint64_t size;
    GRand *rand;
    uint64_t lease, lease_end; /* bytes */
    uint64_t packed, sharers;  /* compressed: where the last ended; in that cluster */
    struct libdeflate_compressor *deflate;
};

static void fill_random(struct job *j, uint8_t *bytes, uint64_t len, gboolean text)
{
    static const char words[] = "all work and no play makes jack a dull boy ";
    for (uint64_t i = 0; i < len; i++)
        bytes[i] = text ? (uint8_t)words[(i * 7 / 5) % (sizeof(words) - 1)]
                        : (uint8_t)g_rand_int_range(j->rand, 1, 256);
    if (text && len >= 8)
        memset(bytes, g_rand_int_range(j->rand, 1, 256), 8);
}

static void create(struct job *j)
{
    struct bench *b = &j->bench;
    if (j->s->backing) {
        bench_shell(b, "head -c %" G_GUINT64_FORMAT " /dev/zero | tr '\\0' B > base",
                    j->s->size * 3 / 4 / 512 * 512);
        bench_shell(b,
                    "qemu-img create -q -f qcow2 -b base -F raw -o '%s' image %" G_GUINT64_FORMAT,
                    j->s->options, j->s->size);
    } else {
        bench_shell(b, "qemu-img create -q -f qcow2 -o '%s' image %" G_GUINT64_FORMAT,
                    j->s->options, j->s->size);
    }
    if (j->s->prepare)
        bench_shell(b, "%s", j->s->prepare);
    j->model = bench_content(b, "image", &j->size);
}

static void drain(struct job *j, gboolean pending)
{
    if (pending)
        bench_apply(&j->bench, j->writer->verbs->plan(j->writer), MAX_OPS);
}

static void write_blob(struct job *j, uint32_t blob, uint64_t offset, const void *bytes,
                       uint64_t len)
{
    g_assert_cmpint(pwrite(j->bench.fds[blob], bytes, len, (off_t)offset), ==, (gssize)len);
}

static uint64_t take_lease(struct job *j, uint64_t bytes)
{
    struct guest_err_detail detail;
    uint64_t rounded = (bytes + j->shape.unit - 1) / j->shape.unit * j->shape.unit, given, offset;
    if (j->lease_end - j->lease < rounded) {
        g_assert_cmpint(j->writer->verbs->lease(j->writer, MAX(rounded, 20 * j->shape.unit),
                                                &offset, &given, &detail),
                        ==, GUEST_OK);
        if (offset != j->lease_end)
            j->lease = offset;
        j->lease_end = offset + given;
    }
    offset = j->lease;
    j->lease += rounded;
    return offset;
}

static void commit(struct job *j, const struct cell_place *runs, uint32_t nr)
{
    struct guest_err_detail detail;
    g_assert_cmpint(j->writer->verbs->commit(j->writer, runs, nr, &detail), ==, GUEST_OK);
    drain(j, j->writer->verbs->wants_plan(j->writer));
}

/* Data, or zeros with kind ZERO, of [start, start + len). */
static void put(struct job *j, uint64_t start, uint64_t len, enum cell_place_kind kind)
{
    struct cell_place run = {
        .start = start, .length = len, .blob = j->shape.data_blob, .kind = kind};
    struct guest_err_detail detail;

    if (kind == CELL_PLACE_ZERO)
        memset(j->model + start, 0, len);
    else
        fill_random(j, j->model + start, len, FALSE);
    if (j->shape.lease || j->shape.linear) {
        if (kind == CELL_PLACE_DATA) {
            run.offset = j->shape.linear ? start : take_lease(j, len);
            write_blob(j, run.blob, run.offset, j->model + start, len);
        }
        commit(j, &run, 1);
        return;
    }
    struct cell_place *out = g_new0(struct cell_place, 4096);
    uint32_t nr = 0;
    g_assert_cmpint(j->writer->verbs->place(j->writer, &run, 1, out, 4096, &nr, &detail), ==,
                    GUEST_OK);
    drain(j, j->writer->verbs->wants_plan(j->writer));
    uint64_t at = start;
    for (uint32_t i = 0; i < nr; i++) {
        g_assert_cmpuint(out[i].start, ==, at);
        g_assert_cmpuint(out[i].kind, ==, kind);
        if (kind == CELL_PLACE_DATA)
            write_blob(j, out[i].blob, out[i].offset, j->model + at, out[i].length);
        at += out[i].length;
    }
    g_assert_cmpuint(at, ==, start + len);
    if (!j->s->no_reports)
        commit(j, out, nr);
    g_free(out);
}

/* One compressed cluster, packed behind the last one as a host would. */
static void put_compressed(struct job *j, uint64_t start, uint64_t len)
{
    g_autofree uint8_t *whole = g_malloc0(j->shape.unit), *packed = g_malloc(j->shape.unit);
    struct guest_err_detail detail;
    struct cell_place run = {
        .start = start, .length = len, .blob = j->shape.data_blob, .kind = CELL_PLACE_COMPRESSED};
    fill_random(j, whole, len, TRUE);
    run.comp_len = (uint32_t)libdeflate_deflate_compress(j->deflate, whole, j->shape.unit, packed,
                                                         j->shape.unit);
    if (run.comp_len == 0) {
        put(j, start, len, CELL_PLACE_DATA);
        return;
    }
    memcpy(j->model + start, whole, len);
    if (j->shape.lease) {
        uint64_t left = j->packed % j->shape.unit ? j->shape.unit - j->packed % j->shape.unit : 0;
        gboolean fits = run.comp_len <= left &&
                        (j->shape.max_sharers == 0 || j->sharers < j->shape.max_sharers);
        run.offset = fits ? j->packed : take_lease(j, j->shape.unit);
        j->sharers = fits ? j->sharers + 1 : 1;
        j->packed = run.offset + run.comp_len;
        write_blob(j, run.blob, run.offset, packed, run.comp_len);
        commit(j, &run, 1);
        return;
    }
    struct cell_place out;
    uint32_t nr = 0;
    g_assert_cmpint(j->writer->verbs->place(j->writer, &run, 1, &out, 1, &nr, &detail), ==,
                    GUEST_OK);
    g_assert_cmpuint(nr, ==, 1);
    drain(j, j->writer->verbs->wants_plan(j->writer));
    write_blob(j, out.blob, out.offset, packed, out.comp_len);
    if (!j->s->no_reports)
        commit(j, &out, 1);
}

static void random_runs(struct job *j)
{
    uint64_t unit = j->shape.unit;
    for (uint64_t at = 0; at < j->size;) {
        uint64_t len = unit * (uint64_t)g_rand_int_range(j->rand, 1, 9);
        len = MIN(len, j->size - at);
        int what = g_rand_int_range(j->rand, 0, 8);
        if (what < 3) {
            put(j, at, len, CELL_PLACE_DATA);
        } else if (what < 5) {
            put(j, at, len, CELL_PLACE_ZERO);
        } else if (what < 7 && j->s->compress && !j->shape.linear) {
            len = MIN(unit, len);
            put_compressed(j, at, len);
        } else if (j->s->fresh && !j->shape.zero_by_default) {
            put(j, at, len, CELL_PLACE_ZERO); /* a copy leaves nothing out here */
        }
        at += len;
    }
}

static void start(struct job *j)
{
    struct image_writer_options options = {.fresh = j->s->fresh};
    struct guest_err_detail detail;
    bench_open_files(&j->bench);
    bench_open_node(&j->bench);
    g_assert_cmpint(qcow2_writer_open(j->bench.node, &options, &j->writer, &detail), ==, GUEST_OK);
    j->shape = j->writer->shape;
    if (j->s->tiny_budget) {
        struct qcow2_writer *w = qcow2_writer_of(j->writer);
        w->table_budget = w->block_budget = 2 * j->shape.unit;
    }
}

static void assert_content(struct job *j)
{
    uint64_t len;
    g_autofree uint8_t *got = bench_content(&j->bench, "image", &len);
    g_assert_cmpuint(len, ==, j->size);
    uint64_t at = 0;
    while (at < len && got[at] == j->model[at])
        at++;
    if (at < len)
        g_test_message("content differs at %" G_GUINT64_FORMAT, at);
    g_assert_cmpuint(at, ==, len);
}

static void one_round(const struct scenario *s, guint32 seed)
{
    struct job j = {.s = s, .rand = g_rand_new_with_seed(seed)};
    g_test_message("seed %u", seed);
    bench_init(&j.bench);
    j.deflate = libdeflate_alloc_compressor(1);
    create(&j);
    start(&j);
    random_runs(&j);
    bench_apply(&j.bench, j.writer->verbs->finish(j.writer, j.lease), MAX_OPS);
    j.writer->verbs->free(j.writer);
    bench_close(&j.bench);
    bench_assert_sound(&j.bench, FALSE, s->name);
    assert_content(&j);
    if (g_strcmp0(s->prepare, NULL) != 0 && strstr(s->prepare, "snapshot -c s1") != NULL)
        bench_shell(&j.bench, "qemu-img convert -l s1 -O raw image s1.now && cmp s1.now s1.raw");
    libdeflate_free_compressor(j.deflate);
    g_rand_free(j.rand);
    g_free(j.model);
    bench_clear(&j.bench);
}

static void test_scenario(gconstpointer data)
{
    if (!bench_has_stock())
        return;
    for (guint32 seed = 1; seed <= 2; seed++)
        one_round(data, seed);
}

#define K  1024ull
#define M  (K * K)
#define IO "qemu-io -c"
/* Data, compressed clusters and zeros in an existing image; sizes fit every scenario. */
#define FILL                                                                                       \
    IO " 'write -q -P 1 0 300k' -c 'write -q -P 2 700k 64k' -c 'write -q -z 128k 64k' image;"
#define PACK                                                                                       \
    IO " 'write -q -c -P 3 512k 64k' -c 'write -q -c -P 4 576k 64k' -c 'write -q -c -P 5 832k "    \
       "64k' image;"
#define SNAP "qemu-img snapshot -c s1 image; qemu-img convert -l s1 -O raw image s1.raw;"

static const struct scenario scenarios[] = {
    {.name = "fresh", .options = "cluster_size=64k", .size = 3 * M + 512, .fresh = TRUE},
    {.name = "fresh-v2", .options = "compat=0.10", .size = 3 * M, .fresh = TRUE},
    {.name = "fresh-512", .options = "cluster_size=512", .size = M, .fresh = TRUE},
    {.name = "fresh-512-tiny",
     .options = "cluster_size=512",
     .size = 2 * M,
     .fresh = TRUE,
     .tiny_budget = TRUE},
    {.name = "fresh-512-refcount64",
     .options = "cluster_size=512,refcount_bits=64",
     .size = 3 * M,
     .fresh = TRUE,
     .tiny_budget = TRUE},
    {.name = "fresh-4k-tiny",
     .options = "cluster_size=4k",
     .size = 6 * M,
     .fresh = TRUE,
     .tiny_budget = TRUE},
    {.name = "fresh-2M", .options = "cluster_size=2M", .size = 9 * M, .fresh = TRUE},
    {.name = "fresh-extl2",
     .options = "cluster_size=16k,extended_l2=on",
     .size = 3 * M + 1536,
     .fresh = TRUE},
    {.name = "fresh-compressed",
     .options = "cluster_size=64k",
     .size = 5 * M + 512,
     .fresh = TRUE,
     .compress = TRUE},
    {.name = "fresh-compressed-4k",
     .options = "cluster_size=4k",
     .size = 2 * M,
     .fresh = TRUE,
     .compress = TRUE,
     .tiny_budget = TRUE},
    {.name = "fresh-compressed-refcount1",
     .options = "cluster_size=4k,refcount_bits=1",
     .size = M,
     .fresh = TRUE,
     .compress = TRUE},
    {.name = "fresh-compressed-refcount2",
     .options = "cluster_size=64k,refcount_bits=2",
     .size = 3 * M,
     .fresh = TRUE,
     .compress = TRUE},
    {.name = "fresh-compressed-extl2",
     .options = "cluster_size=16k,extended_l2=on",
     .size = M,
     .fresh = TRUE,
     .compress = TRUE},
    {.name = "fresh-refcount1", .options = "refcount_bits=1", .size = 3 * M, .fresh = TRUE},
    {.name = "fresh-refcount4",
     .options = "refcount_bits=4,cluster_size=1k",
     .size = 3 * M,
     .fresh = TRUE},
    {.name = "fresh-refcount32",
     .options = "refcount_bits=32,cluster_size=2k",
     .size = 3 * M,
     .fresh = TRUE},
    {.name = "fresh-lazy", .options = "lazy_refcounts=on", .size = 3 * M, .fresh = TRUE},
    {.name = "fresh-backing",
     .options = "cluster_size=64k",
     .size = 4 * M,
     .fresh = TRUE,
     .backing = TRUE},
    {.name = "fresh-backing-v2",
     .options = "compat=0.10,cluster_size=4k",
     .size = M,
     .fresh = TRUE,
     .backing = TRUE},
    {.name = "fresh-backing-extl2",
     .options = "cluster_size=16k,extended_l2=on",
     .size = M + 512,
     .fresh = TRUE,
     .backing = TRUE},
    {.name = "fresh-backing-compressed",
     .options = "cluster_size=64k",
     .size = 4 * M,
     .fresh = TRUE,
     .backing = TRUE,
     .compress = TRUE},
    {.name = "metadata", .options = "preallocation=metadata", .size = 3 * M + 512, .fresh = TRUE},
    {.name = "metadata-extl2",
     .options = "preallocation=metadata,extended_l2=on",
     .size = 3 * M + 512,
     .fresh = TRUE},
    {.name = "falloc-512",
     .options = "preallocation=falloc,cluster_size=512",
     .size = M,
     .fresh = TRUE},
    {.name = "data-file", .options = "data_file=data", .size = 3 * M + 512, .fresh = TRUE},
    {.name = "data-file-raw",
     .options = "data_file=data,data_file_raw=on",
     .size = 3 * M,
     .fresh = TRUE},
    {.name = "data-file-extl2",
     .options = "data_file=data,extended_l2=on",
     .size = 3 * M + 512,
     .fresh = TRUE},
    {.name = "existing", .options = "cluster_size=64k", .prepare = FILL, .size = 2 * M + 512},
    {.name = "existing-unreported",
     .options = "cluster_size=64k",
     .prepare = FILL PACK,
     .size = 2 * M,
     .no_reports = TRUE},
    {.name = "existing-tiny",
     .options = "cluster_size=4k",
     .prepare = FILL,
     .size = 4 * M,
     .tiny_budget = TRUE},
    {.name = "existing-tiny-unreported",
     .options = "cluster_size=4k",
     .prepare = FILL,
     .size = 4 * M,
     .tiny_budget = TRUE,
     .no_reports = TRUE},
    {.name = "existing-packed", .options = "cluster_size=64k", .prepare = FILL PACK, .size = 2 * M},
    {.name = "existing-packed-compressed",
     .options = "cluster_size=64k",
     .prepare = FILL PACK,
     .size = 2 * M,
     .compress = TRUE},
    {.name = "existing-512",
     .options = "cluster_size=512",
     .prepare = FILL,
     .size = M,
     .compress = TRUE,
     .tiny_budget = TRUE},
    {.name = "existing-v2", .options = "compat=0.10", .prepare = FILL PACK, .size = 2 * M},
    {.name = "existing-v2-backing",
     .options = "compat=0.10,cluster_size=4k",
     .prepare = FILL,
     .size = 2 * M,
     .backing = TRUE},
    {.name = "existing-backing",
     .options = "cluster_size=64k",
     .prepare = FILL PACK,
     .size = 2 * M,
     .backing = TRUE},
    {.name = "existing-extl2",
     .options = "cluster_size=16k,extended_l2=on",
     .prepare = FILL,
     .size = 2 * M + 512},
    {.name = "existing-extl2-backing",
     .options = "cluster_size=16k,extended_l2=on",
     .prepare = FILL,
     .size = 2 * M + 512,
     .backing = TRUE},
    {.name = "existing-refcount2",
     .options = "cluster_size=4k,refcount_bits=2",
     .prepare = FILL,
     .size = 2 * M,
     .compress = TRUE},
    {.name = "existing-data-file", .options = "data_file=data", .prepare = FILL, .size = 2 * M},
    {.name = "existing-data-file-raw",
     .options = "data_file=data,data_file_raw=on",
     .prepare = FILL,
     .size = 2 * M},
    {.name = "snapshot", .options = "cluster_size=64k", .prepare = FILL PACK SNAP, .size = 2 * M},
    {.name = "snapshot-4k",
     .options = "cluster_size=4k",
     .prepare = FILL SNAP IO " 'write -q -P 9 100k 90k' image",
     .size = 2 * M,
     .compress = TRUE,
     .tiny_budget = TRUE},
    {.name = "snapshot-v2", .options = "compat=0.10", .prepare = FILL PACK SNAP, .size = 2 * M},
    {.name = "snapshot-extl2", .options = "extended_l2=on", .prepare = FILL SNAP, .size = 2 * M},
    {.name = "snapshot-gone",
     .options = "cluster_size=4k",
     .prepare = FILL FILL "qemu-img snapshot -c s0 image; qemu-img snapshot -d s0 image",
     .size = 2 * M},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        g_autofree char *path = g_strdup_printf("/plan/writer/%s", scenarios[i].name);
        g_test_add_data_func(path, &scenarios[i], test_scenario);
    }
    return g_test_run();
}
