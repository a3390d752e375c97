/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply: every op is checked before any is carried out, and ops do to an endpoint what they say,
 * gathered or not.
 */
#include <glib.h>
#include <string.h>

#include "src/plan/apply.h"

#define WINDOW     4096u
#define FILE_BYTES (3u << 20)

static struct endpoint *file;
static struct apply_target targets[] = {{.blob = 3}};

static struct cell_op op_of(enum cell_op_kind kind, uint64_t offset, uint64_t length)
{
    return (struct cell_op){.kind = kind, .blob = 3, .offset = offset, .length = length};
}

static void assert_refused(struct cell_op op, const char *what)
{
    g_assert_cmpstr(apply_check_op(&op, targets, 1, WINDOW), ==, what);
}

static void test_check(void)
{
    const char *limit = "op past the limit of its target";
    struct cell_op op = op_of(CELL_OP_WRITE, 0, WINDOW);
    assert_refused(op, NULL);
    op.data = 1;
    assert_refused(op, "bytes outside the window");
    op.data = UINT64_MAX;
    assert_refused(op, "bytes outside the window");
    op = op_of(CELL_OP_WRITE, 0, 0);
    assert_refused(op, limit);
    op = op_of(CELL_OP_ZERO, UINT64_MAX, 1);
    assert_refused(op, limit);
    op = op_of(CELL_OP_ZERO, 1, UINT64_MAX);
    assert_refused(op, limit);
    op = op_of(CELL_OP_FILL, G_MAXINT64, 1);
    assert_refused(op, limit);
    op = op_of(CELL_OP_TRUNCATE, 1ull << 63, 0);
    assert_refused(op, limit);
    op = op_of(CELL_OP_ZERO, 0, 1);
    op.blob = 4;
    assert_refused(op, "op on a blob that is no target");
    op = op_of(0, 0, 1);
    assert_refused(op, "unknown op");
    op = op_of(99, 0, 1);
    assert_refused(op, "unknown op");
    op = op_of(CELL_OP_BARRIER, 0, 0);
    op.blob = CELL_NO_BLOB;
    assert_refused(op, NULL);
}

static void test_check_units(void)
{
    for (unsigned len = 0; len <= 40; len++) {
        struct cell_op op = op_of(CELL_OP_PATTERN, 0, 160);
        op.unit_len = (uint16_t)len;
        gboolean ok = len == 1 || len == 2 || len == 4 || len == 8 || len == 16;
        assert_refused(op, ok ? NULL : "bad pattern unit");
        op.kind = CELL_OP_ASCEND;
        assert_refused(op, len == 8 || len == 16 ? NULL : "bad ascending unit");
    }
    struct cell_op op = op_of(CELL_OP_PATTERN, 0, 9);
    op.unit_len = 8;
    assert_refused(op, "bad pattern unit");
}

static void test_check_limit(void)
{
    struct apply_target limited[] = {{.blob = 3, .limit_bytes = 1000}};
    struct cell_op op = op_of(CELL_OP_ZERO, 900, 100);
    g_assert_null(apply_check_op(&op, limited, 1, WINDOW));
    op.length = 101;
    g_assert_nonnull(apply_check_op(&op, limited, 1, WINDOW));
    op = op_of(CELL_OP_TRUNCATE, 1001, 0);
    g_assert_nonnull(apply_check_op(&op, limited, 1, WINDOW));
}

static void test_check_copy(void)
{
    struct cell_op op = op_of(CELL_OP_COPY, 0, 10);
    op.src_blob = 3;
    assert_refused(op, NULL);
    op.src_blob = 9;
    assert_refused(op, "copy from a blob that is no target");
    op.src_blob = 3;
    op.data = UINT64_MAX - 5;
    assert_refused(op, "copy from an offset that cannot be");
}

/* What ops mean, said again and simply. */
static void model(uint8_t *disk, const struct cell_op *op, const uint8_t *window)
{
    for (uint64_t i = 0; i < op->length; i++) {
        uint8_t *at = &disk[op->offset + i];
        uint64_t value = op->value[0] + (op->unit_len ? i / op->unit_len : 0) * op->value[1];
        unsigned in = op->unit_len ? i % op->unit_len : 0;
        if (op->kind == CELL_OP_WRITE)
            *at = window[op->data + i];
        else if (op->kind == CELL_OP_PATTERN)
            *at = ((const uint8_t *)op->value)[in];
        else if (op->kind == CELL_OP_ASCEND)
            *at = in < 8 ? (uint8_t)(value >> (56 - 8 * in)) : 0;
        else if (op->kind == CELL_OP_COPY)
            *at = disk[op->data + i];
        else
            *at = 0;
    }
}

static void random_op(GRand *rand, struct cell_op *op, uint64_t *next)
{
    static const enum cell_op_kind kinds[] = {CELL_OP_WRITE,  CELL_OP_WRITE, CELL_OP_PATTERN,
                                              CELL_OP_ASCEND, CELL_OP_ZERO,  CELL_OP_FILL};
    static const unsigned units[] = {1, 2, 4, 8, 16};
    *op = op_of(kinds[g_rand_int_range(rand, 0, G_N_ELEMENTS(kinds))], 0, 0);
    op->length = 16 * (uint64_t)g_rand_int_range(rand, 1, 100);
    if (op->kind != CELL_OP_WRITE && g_rand_int_range(rand, 0, 4) == 0)
        op->length = 16 * (uint64_t)g_rand_int_range(rand, 1, 1 << 17);
    op->data = (uint64_t)g_rand_int_range(rand, 0, (gint32)(WINDOW - 1600));
    op->unit_len = (uint16_t)(op->kind == CELL_OP_PATTERN ? units[g_rand_int_range(rand, 0, 5)]
                              : g_rand_boolean(rand)      ? 8
                                                          : 16);
    op->value[0] = 0x0123456789abcdefull * (uint64_t)g_rand_int_range(rand, 1, 1000);
    op->value[1] = (uint64_t)g_rand_int_range(rand, 0, 100000);
    /* Often right behind the last, so that it is gathered. */
    if (*next + op->length > FILE_BYTES || g_rand_int_range(rand, 0, 3) == 0)
        *next = (uint64_t)g_rand_int_range(rand, 0, (gint32)(FILE_BYTES - op->length));
    op->offset = *next;
    *next += op->length;
}

static void test_ops(void)
{
    g_autofree uint8_t *disk = g_malloc0(FILE_BYTES), *got = g_malloc(FILE_BYTES);
    uint8_t window[WINDOW];
    GRand *rand = g_rand_new_with_seed(5);
    uint64_t next = 0;
    for (unsigned i = 0; i < WINDOW; i++)
        window[i] = (uint8_t)g_rand_int(rand);
    for (unsigned round = 0; round < 50; round++) {
        struct cell_op ops[200];
        enum cell_op_note note;
        for (unsigned i = 0; i < G_N_ELEMENTS(ops); i++) {
            random_op(rand, &ops[i], &next);
            g_assert_null(apply_check_op(&ops[i], targets, 1, WINDOW));
            model(disk, &ops[i], window);
        }
        g_assert_cmpint(apply_ops(ops, G_N_ELEMENTS(ops), window, targets, 1, &note), ==, 0);
        g_assert_cmpint(endpoint_pread(file, 0, got, FILE_BYTES), ==, 0);
        g_assert_cmpint(memcmp(got, disk, FILE_BYTES), ==, 0);
    }
    g_rand_free(rand);
}

static void test_copy_and_truncate(void)
{
    uint8_t window[WINDOW] = "some bytes", got[16] = {0};
    enum cell_op_note note;
    struct cell_op ops[] = {op_of(CELL_OP_WRITE, 1000, 16), op_of(CELL_OP_COPY, 5000, 16),
                            op_of(CELL_OP_BARRIER, 0, 0), op_of(CELL_OP_TRUNCATE, 5016, 0)};
    ops[1].src_blob = 3;
    ops[1].data = 1000;
    g_assert_cmpint(apply_ops(ops, 4, window, targets, 1, &note), ==, 0);
    g_assert_cmpint(endpoint_pread(file, 5000, got, 16), ==, 0);
    g_assert_cmpint(memcmp(got, window, 16), ==, 0);
    g_assert_cmpuint(endpoint_size(file), ==, 5016);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree uint8_t *zeros = g_malloc0(FILE_BYTES);
    file = endpoint_new_buffer(zeros, FILE_BYTES);
    targets[0].endpoint = file;
    g_test_add_func("/plan/apply/check", test_check);
    g_test_add_func("/plan/apply/check-units", test_check_units);
    g_test_add_func("/plan/apply/check-limit", test_check_limit);
    g_test_add_func("/plan/apply/check-copy", test_check_copy);
    g_test_add_func("/plan/apply/ops", test_ops);
    g_test_add_func("/plan/apply/copy-and-truncate", test_copy_and_truncate);
    int status = g_test_run();
    endpoint_unref(file);
    return status;
}
