/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits merged across granularities, against a bit by bit reading; changes of the header cluster;
 * plans of bitmaps on images of stock's, judged by stock.
 */
#include <glib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/qcow2_bits.h"
#include "guest/formats/qcow2_header_edit.h"
#include "guest/plan/bitmap.h"
#include "tests/crash/bench.h"

/* ---- bits ---- */

static gboolean bit(const uint8_t *bytes, uint64_t i)
{
    return bytes[i / 8] >> i % 8 & 1;
}

/* Whether any source bit stands for a part of what bit `i` of the other stands for. */
static gboolean expected(const uint8_t *from, unsigned from_bits, unsigned to_bits, uint64_t i,
                         uint64_t disk)
{
    uint64_t start = i << to_bits, end = MIN((i + 1) << to_bits, disk);
    for (uint64_t k = start >> from_bits; k << from_bits < end; k++) {
        if (bit(from, k))
            return TRUE;
    }
    return FALSE;
}

static void merge_one(GRand *rand, unsigned from_bits, unsigned to_bits, uint64_t disk)
{
    static uint8_t scratch[QCOW2_BITS_SCRATCH];
    uint64_t from_nr = qcow2_bits_of(disk, from_bits), to_nr = qcow2_bits_of(disk, to_bits);
    g_autofree uint8_t *from = g_malloc0(from_nr / 8 + 9), *out = g_malloc0(to_nr / 8 + 9);
    struct guest_err_detail detail;
    /* Runs of ones, single bits, and garbage behind the end. */
    for (uint64_t i = 0; i < from_nr / 8 + 1; i++)
        from[i] = (uint8_t)(g_rand_boolean(rand) ? 0 : g_rand_boolean(rand) ? 0xff : 1u << i % 8);
    struct qcow2_bits bits = {.blob = source_new_buffer(1, from, from_nr / 8 + 9),
                              .granularity_bits = from_bits,
                              .nr_bits = from_nr};
    uint64_t piece = 64; /* bytes */
    for (uint64_t at = 0; at * 8 < to_nr; at += piece)
        g_assert_cmpint(qcow2_bits_merge(&bits, to_bits, to_nr, at * 8, &out[at],
                                         MIN(piece, to_nr / 8 + 1 - at), scratch, &detail),
                        ==, GUEST_OK);
    for (uint64_t i = 0; i < to_nr; i++)
        g_assert_cmpint(bit(out, i), ==, expected(from, from_bits, to_bits, i, disk));
    for (uint64_t i = to_nr; i % 8 != 0; i++)
        g_assert_false(bit(out, i));
    source_free(bits.blob);
}

static void test_merge(void)
{
    static const unsigned widths[] = {9, 10, 12, 16, 20};
    GRand *rand = g_rand_new_with_seed(3);
    for (unsigned turn = 0; turn < 4; turn++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(widths); i++) {
            for (unsigned k = 0; k < G_N_ELEMENTS(widths); k++)
                merge_one(rand, widths[i], widths[k], (turn + 1) * 1000000 - turn * 512);
        }
    }
    g_rand_free(rand);
}

/* ---- the header ---- */

static uint64_t count_type(const uint8_t *header, uint64_t size, uint32_t type)
{
    uint64_t at = load_be32(&header[100]), nr = 0;
    while (at + 8 <= size && load_be32(&header[at]) != QCOW2_EXT_END) {
        nr += load_be32(&header[at]) == type;
        at += 8 + ((load_be32(&header[at + 4]) + 7ull) & ~7ull);
    }
    return nr;
}

/* Adds, changes and takes out an extension; what lies around it stays. */
static void test_header(void)
{
    static const char *const sizes[] = {"512", "1k", "2k", "8k", "64k"};
    uint8_t data[24] = {1, 2, 3};
    struct bench b;
    if (!bench_has_stock())
        return;
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        struct header_edit edit;
        struct guest_err_detail detail;
        bench_init(&b);
        bench_shell(&b,
                    "qemu-img create -q -f raw base 1M; qemu-img create -q -f qcow2 -b base -F "
                    "raw -o cluster_size=%s image",
                    sizes[i]);
        bench_open_files(&b);
        bench_open_node(&b);
        struct qcow2 *q = qcow2_of(b.node);
        g_assert_cmpint(header_edit_init(&edit, q, &detail), ==, GUEST_OK);
        g_assert_cmpint(header_edit_compose(&edit, &detail), ==, GUEST_OK);
        g_assert_cmpuint(edit.nr_steps, ==, 0);
        g_assert_cmpint(header_edit_set(&edit, QCOW2_EXT_BITMAPS, span_of(data, 24), &detail), ==,
                        GUEST_OK);
        g_assert_cmpint(header_edit_compose(&edit, &detail), ==, GUEST_OK);
        g_assert_cmpuint(edit.nr_steps, >, 0);
        const struct header_edit_step *last = &edit.step[0];
        for (unsigned k = 0; k < edit.nr_steps; k++) {
            if (edit.step[k].from == 0)
                last = &edit.step[k];
        }
        const uint8_t *now = last->image;
        g_assert_cmpuint(count_type(now, q->cluster_size, QCOW2_EXT_BITMAPS), ==, 1);
        g_assert_cmpuint(count_type(now, q->cluster_size, QCOW2_EXT_BACKING_FORMAT), ==, 1);
        g_assert_cmpuint(count_type(now, q->cluster_size, HEADER_EDIT_DETOUR), ==, 0);
        g_assert_cmpint(memcmp(&now[load_be64(&now[8])], "base", 4), ==, 0);
        header_edit_clear(&edit);
        bench_clear(&b);
    }
}

/* ---- plans ---- */

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
}

/* What was done before an action fails is planned. */
static void test_failure(void)
{
    Abi__BitmapAction actions[3] = {ABI__BITMAP_ACTION__INIT, ABI__BITMAP_ACTION__INIT,
                                    ABI__BITMAP_ACTION__INIT};
    Abi__BitmapAction *pointers[3] = {&actions[0], &actions[1], &actions[2]};
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;
    Abi__BitmapReply *reply;
    struct bitmap_request with_blob = {.message = &request};
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    struct bench b;
    if (!bench_has_stock())
        return;
    reply = g_new0(Abi__BitmapReply, 1);
    abi__bitmap_reply__init(reply);
    bench_init(&b);
    bench_shell(&b, "qemu-img create -q -f qcow2 image 1M");
    bench_open_files(&b);
    bench_open_node(&b);
    for (unsigned i = 0; i < 3; i++)
        actions[i].name = bytes_of("b0");
    actions[1].verb = ABI__BITMAP_VERB__BITMAP_MERGE;
    actions[1].source_name = bytes_of("nosuch");
    actions[2].verb = ABI__BITMAP_VERB__BITMAP_REMOVE;
    request.action = pointers;
    request.n_action = 3;
    g_assert_cmpint(plan_bitmap(b.node, &with_blob, reply, &plan, &detail), ==, GUEST_OK);
    g_assert_cmpuint(reply->nr_done, ==, 1);
    g_assert_nonnull(reply->failure);
    g_assert_cmpuint(reply->failure->code, ==, GUEST_ERR_PLAN_BITMAP_NOT_FOUND);
    bench_apply(&b, plan, 4);
    bench_close(&b);
    bench_assert_sound(&b, FALSE, "after a failure");
    bench_shell(&b, "qemu-img info image | grep -q 'name: b0'");
    bench_clear(&b);
    abi__bitmap_reply__free_unpacked(reply, NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bits/merge", test_merge);
    g_test_add_func("/header/edit", test_header);
    g_test_add_func("/plan/bitmap/failure", test_failure);
    return g_test_run();
}
