/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/copy: a copy is told by its list of reads, writes and zeroes, and by what comes out.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "src/copy/copy.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* A source: pieces as a list. */
struct list {
    struct piece pieces[16];
    guint nr, next;
    gint fail_at; /* index at which next fails, -1: never */
};

static int list_next(void *user, struct piece *out, GError **error)
{
    struct list *list = user;

    if (list->fail_at >= 0 && list->next == (guint)list->fail_at) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "no status");
        return -1;
    }
    if (list->next == list->nr) {
        return 0;
    }
    *out = list->pieces[list->next++];
    return 1;
}

static void add(struct list *list, enum piece_kind kind, guint64 length, struct endpoint *from)
{
    struct piece *piece = &list->pieces[list->nr];
    guint64 start = list->nr ? piece[-1].start + piece[-1].length : 0;

    *piece = (struct piece){.start = start,
                            .length = length,
                            .offset = start,
                            .endpoint = from,
                            .run_start = start,
                            .run_end = start + length,
                            .kind = kind};
    list->nr++;
}

static struct copy_options options(void)
{
    return (struct copy_options){
        .workers = 2, .sparse_bytes = 4096, .chunk_bytes = 2 * MIB, .codec = CELL_CODEC_DEFLATE};
}

/* Bytes with a pattern; [zero_from, zero_to) is zeros. */
static struct endpoint *make_source(gsize len, gsize zero_from, gsize zero_to)
{
    g_autofree guint8 *bytes = g_malloc(len);

    for (gsize i = 0; i < len; i++) {
        bytes[i] = i >= zero_from && i < zero_to ? 0 : (guint8)(i % 253 + 1);
    }
    return endpoint_new_buffer(bytes, len);
}

static void assert_same(struct endpoint *a, struct endpoint *b, gsize len)
{
    g_autofree guint8 *x = g_malloc(len), *y = g_malloc(len);

    g_assert_cmpint(endpoint_pread(a, 0, x, len), ==, 0);
    g_assert_cmpint(endpoint_pread(b, 0, y, len), ==, 0);
    g_assert_cmpmem(x, len, y, len);
}

static gboolean run(struct list *list, struct endpoint *to, gboolean reads_zero,
                    const struct copy_options *opt, struct copy_fault *fault)
{
    struct copy_feed feed = {.next = list_next, .user = list};
    struct target *target = target_new_raw(to, endpoint_size(to), reads_zero);
    gboolean ok = copy_run(&feed, target, opt, fault);

    target_free(target);
    return ok;
}

static void test_plain(void)
{
    struct endpoint *from = make_source(5 * MIB + 512, MIB, 2 * MIB);
    struct endpoint *to = endpoint_new_buffer(NULL, 5 * MIB + 512);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;

    add(&list, PIECE_DATA, 5 * MIB + 512, from);
    g_assert_true(run(&list, to, TRUE, &opt, &fault));
    assert_same(from, to, 5 * MIB + 512);
    g_assert_cmpuint(endpoint_buffer_counts(to).writes, ==, 5); /* one of six jobs is all zeros */
    g_assert_cmpuint(endpoint_buffer_counts(to).zeroes, ==, 0);
    endpoint_unref(from);
    endpoint_unref(to);
}

/* Zeros shorter than -S are data, in pieces that lie on multiples of it. */
static void test_sparse(void)
{
    struct endpoint *from = make_source(MIB, 100 * KIB, 300 * KIB);
    struct list list;
    struct copy_options opt = options();
    struct copy_fault fault;
    static const struct {
        guint64 sparse, holes;
    } rows[] = {{4 * KIB, 200 * KIB}, {64 * KIB, 128 * KIB}, {512 * KIB, 0}, {0, 0}};

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct endpoint *to = endpoint_new_buffer(NULL, MIB);
        guint64 allocated;

        list = (struct list){.fail_at = -1};
        add(&list, PIECE_DATA, MIB, from);
        opt.sparse_bytes = rows[i].sparse;
        g_assert_true(run(&list, to, TRUE, &opt, &fault));
        assert_same(from, to, MIB);
        g_assert_true(endpoint_allocated(to, &allocated));
        g_assert_cmpuint(allocated, ==, MIB - rows[i].holes);
        endpoint_unref(to);
    }
    endpoint_unref(from);
}

/* What a source says is zero is not written into a new file, and is zeroed in an old one. */
static void test_zero_runs(void)
{
    struct endpoint *from = make_source(64 * MIB, 0, 0);
    struct endpoint *to = make_source(64 * MIB, 0, 0);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;
    guint8 byte[2];

    add(&list, PIECE_DATA, 64 * KIB, from);
    add(&list, PIECE_ZERO, 32 * MIB, NULL);
    add(&list, PIECE_ZERO, 31 * MIB, NULL);
    add(&list, PIECE_DATA, 960 * KIB, from);
    g_assert_true(run(&list, to, FALSE, &opt, &fault));
    g_assert_cmpuint(endpoint_buffer_counts(to).writes, ==, 2);
    g_assert_cmpuint(endpoint_buffer_counts(to).zeroes, ==, 1);
    endpoint_pread(to, 64 * KIB - 1, byte, 2);
    g_assert_true(byte[0] != 0 && byte[1] == 0);
    endpoint_pread(to, 63 * MIB + 64 * KIB - 1, byte, 2);
    g_assert_true(byte[0] == 0 && byte[1] != 0);
    endpoint_unref(from);
    endpoint_unref(to);
}

/* -S 0: zeros are written, so that every block is allocated. */
static void test_write_zeros(void)
{
    struct endpoint *to = endpoint_new_buffer(NULL, 3 * MIB);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;
    guint64 allocated;

    opt.sparse_bytes = 0;
    add(&list, PIECE_ZERO, 3 * MIB, NULL);
    g_assert_true(run(&list, to, TRUE, &opt, &fault));
    endpoint_allocated(to, &allocated);
    g_assert_cmpuint(allocated, ==, 3 * MIB);
    endpoint_unref(to);
}

/* What is skipped stays as it was. */
static void test_skip(void)
{
    struct endpoint *from = make_source(4 * MIB, 0, 4 * MIB);
    struct endpoint *to = make_source(4 * MIB, 0, 0);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;
    guint8 byte;

    add(&list, PIECE_SKIP, MIB, NULL);
    add(&list, PIECE_DATA, MIB, from);
    add(&list, PIECE_SKIP, 2 * MIB, NULL);
    g_assert_true(run(&list, to, FALSE, &opt, &fault));
    for (guint i = 0; i < 4; i++) {
        endpoint_pread(to, i * MIB + 5, &byte, 1);
        g_assert_true((byte == 0) == (i == 1));
    }
    endpoint_unref(from);
    endpoint_unref(to);
}

static void test_read_error(void)
{
    struct endpoint *from = make_source(16 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 16 * MIB);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;

    add(&list, PIECE_DATA, 16 * MIB, from);
    endpoint_buffer_fail(from, FALSE, 7 * MIB + 4711, EIO);
    g_assert_false(run(&list, to, TRUE, &opt, &fault));
    g_assert_cmpint(fault.stage, ==, COPY_READ);
    g_assert_cmpint(fault.error_number, ==, EIO);
    g_assert_cmpuint(fault.offset, ==, 6 * MIB); /* the request of 2 MiB that it lies in */
    endpoint_unref(from);
    endpoint_unref(to);
}

static void test_write_error(void)
{
    struct endpoint *from = make_source(16 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 16 * MIB);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;

    add(&list, PIECE_DATA, 16 * MIB, from);
    endpoint_buffer_fail(to, TRUE, 3 * MIB, ENOSPC);
    g_assert_false(run(&list, to, TRUE, &opt, &fault));
    g_assert_cmpint(fault.stage, ==, COPY_WRITE);
    g_assert_cmpint(fault.error_number, ==, ENOSPC);
    g_assert_cmpuint(fault.offset, ==, 2 * MIB);
    endpoint_unref(from);
    endpoint_unref(to);
}

static void test_status_error(void)
{
    struct endpoint *from = make_source(2 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 4 * MIB);
    struct list list = {.fail_at = 1};
    struct copy_options opt = options();
    struct copy_fault fault;

    add(&list, PIECE_DATA, 2 * MIB, from);
    g_assert_false(run(&list, to, TRUE, &opt, &fault));
    g_assert_cmpint(fault.stage, ==, COPY_STATUS);
    g_assert_cmpuint(fault.offset, ==, 2 * MIB);
    g_assert_error(fault.error, G_FILE_ERROR, G_FILE_ERROR_IO);
    g_clear_error(&fault.error);
    endpoint_unref(from);
    endpoint_unref(to);
}

/* Salvage: one bad sector becomes zeros, all else is copied. */
static void test_salvage(void)
{
    struct endpoint *from = make_source(4 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 4 * MIB);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr(
            "*: warning: error while reading offset 3145728: Input/output error\n");
    } else {
        opt.salvage = TRUE;
        add(&list, PIECE_DATA, 4 * MIB, from);
        endpoint_buffer_fail(from, FALSE, 3 * MIB + 100, EIO);
        g_assert_true(run(&list, to, TRUE, &opt, &fault));
        endpoint_buffer_fail(from, FALSE, 0, 0);
        static const guint8 zeros[512];
        endpoint_pwrite(from, 3 * MIB, zeros, sizeof(zeros));
        assert_same(from, to, 4 * MIB);
    }
    endpoint_unref(from);
    endpoint_unref(to);
}

/* Many small runs through few threads, in order and not: nothing is lost or written twice. */
static void test_many(void)
{
    struct endpoint *from = make_source(40 * MIB, 5 * MIB, 9 * MIB);

    for (guint round = 0; round < 8; round++) {
        struct endpoint *to = endpoint_new_buffer(NULL, 40 * MIB);
        struct list list = {.fail_at = -1};
        struct copy_options opt = options();
        struct copy_fault fault;

        opt.workers = 1 + round % 4;
        opt.out_of_order = round >= 4;
        for (guint i = 0; i < 10; i++) {
            add(&list, PIECE_DATA, 4 * MIB - 4096 * i, from);
        }
        add(&list, PIECE_DATA, 45 * 4096, from);
        g_assert_true(run(&list, to, TRUE, &opt, &fault));
        assert_same(from, to, 40 * MIB);
        endpoint_unref(to);
    }
    endpoint_unref(from);
}

/* Zeros in data are data when the source is to be trusted; what it says is zero is zeroed. */
static void test_trust_source(void)
{
    struct endpoint *from = make_source(4 * MIB, 0, 2 * MIB);
    struct endpoint *to = make_source(4 * MIB, 0, 0);
    struct list list = {.fail_at = -1};
    struct copy_options opt = options();
    struct copy_fault fault;

    opt.trust_source = TRUE;
    add(&list, PIECE_DATA, 3 * MIB, from);
    add(&list, PIECE_ZERO, MIB, NULL);
    g_assert_true(run(&list, to, FALSE, &opt, &fault));
    g_assert_cmpuint(endpoint_buffer_counts(to).writes, ==, 3);
    g_assert_cmpuint(endpoint_buffer_counts(to).zeroes, ==, 1);
    endpoint_unref(from);
    endpoint_unref(to);
}

/* ---- what is there already ---- */

/* A list, and the endpoint whose bytes at the same offsets the target shows without the copy. */
struct compared {
    struct list list;
    struct endpoint *other;
};

static int compared_next(void *user, struct piece *out, GError **error)
{
    return list_next(&((struct compared *)user)->list, out, error);
}

static gboolean give_other(void *user, guint64 start, guint64 length, GArray *pieces,
                           GError **error)
{
    struct piece piece = {.start = start,
                          .length = length,
                          .offset = start,
                          .endpoint = ((struct compared *)user)->other,
                          .run_start = start,
                          .run_end = start + length,
                          .kind = PIECE_DATA};

    g_array_append_val(pieces, piece);
    return TRUE;
}

static gboolean run_compared(struct compared *compared, struct endpoint *to,
                             struct copy_fault *fault)
{
    struct copy_feed feed = {.next = compared_next, .against = give_other, .user = compared};
    struct copy_options opt = options();
    struct target *target = target_new_raw(to, endpoint_size(to), FALSE);
    gboolean ok = copy_run(&feed, target, &opt, fault);

    target_free(target);
    return ok;
}

/* Only units that differ are written; zeros against data count as different, and skips do not. */
static void test_against(void)
{
    struct endpoint *from = make_source(6 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 6 * MIB);
    struct compared compared = {.list = {.fail_at = -1}, .other = make_source(6 * MIB, 0, 0)};
    static const guint8 byte = 0xff;
    struct copy_fault fault;
    guint8 got[3 * 512];

    endpoint_pwrite(compared.other, MIB + 700, &byte, 1);
    endpoint_pwrite(compared.other, 5 * MIB + 1, &byte, 1);
    add(&compared.list, PIECE_DATA, 3 * MIB, from);
    add(&compared.list, PIECE_ZERO, MIB, NULL);
    add(&compared.list, PIECE_DATA, MIB, from);
    add(&compared.list, PIECE_SKIP, MIB, NULL);
    g_assert_true(run_compared(&compared, to, &fault));
    g_assert_cmpuint(endpoint_buffer_counts(to).writes, ==, 1);
    g_assert_cmpuint(endpoint_buffer_counts(to).zeroes, ==, 1);
    endpoint_pread(to, MIB, got, sizeof(got));
    for (guint i = 0; i < sizeof(got); i++) {
        g_assert_true((got[i] != 0) == (i / 512 == 1));
    }
    endpoint_unref(compared.other);
    endpoint_unref(from);
    endpoint_unref(to);
}

static void test_against_error(void)
{
    struct endpoint *from = make_source(6 * MIB, 0, 0);
    struct endpoint *to = endpoint_new_buffer(NULL, 6 * MIB);
    struct compared compared = {.list = {.fail_at = -1}, .other = make_source(6 * MIB, 0, 0)};
    struct copy_fault fault;

    add(&compared.list, PIECE_DATA, 6 * MIB, from);
    endpoint_buffer_fail(compared.other, FALSE, 3 * MIB, EIO);
    g_assert_false(run_compared(&compared, to, &fault));
    g_assert_cmpint(fault.stage, ==, COPY_READ_AGAINST);
    g_assert_cmpint(fault.error_number, ==, EIO);
    endpoint_unref(compared.other);
    endpoint_unref(from);
    endpoint_unref(to);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/copy/plain", test_plain);
    g_test_add_func("/copy/sparse", test_sparse);
    g_test_add_func("/copy/zero-runs", test_zero_runs);
    g_test_add_func("/copy/write-zeros", test_write_zeros);
    g_test_add_func("/copy/skip", test_skip);
    g_test_add_func("/copy/read-error", test_read_error);
    g_test_add_func("/copy/write-error", test_write_error);
    g_test_add_func("/copy/status-error", test_status_error);
    g_test_add_func("/copy/salvage", test_salvage);
    g_test_add_func("/copy/many", test_many);
    g_test_add_func("/copy/trust-source", test_trust_source);
    g_test_add_func("/copy/against", test_against);
    g_test_add_func("/copy/against-error", test_against_error);
    return g_test_run();
}
