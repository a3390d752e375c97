/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure: the numbers of stock qemu-img, over a grid of sizes and options.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/plan/measure.h"

#define K 1024ull
#define M (K * K)
#define G (K * M)
#define T (K * G)

static const char *stock;

static const uint64_t sizes[] = {0, 1, 512, 65536, 65537, M, 10 * M + 7, G, 3 * G, T, 20 * T};
static const uint64_t clusters[] = {512, 4096, 65536, 2 * M};
static const unsigned widths[] = {1, 16, 64};

static void set(Abi__MeasureRequest *request, Abi__Qcow2CreateOptions *o, uint64_t size,
                uint64_t cluster, unsigned width, gboolean extended, Abi__Preallocation prealloc)
{
    abi__measure_request__init(request);
    abi__qcow2_create_options__init(o);
    o->version = 3;
    o->cluster_size = cluster;
    o->refcount_bits = width;
    o->extended_l2 = extended;
    o->preallocation = prealloc;
    request->format = (char *)"qcow2";
    request->size = size;
    request->qcow2 = o;
}

/* FALSE when stock refuses. */
static gboolean ask_stock(const Abi__MeasureRequest *request, uint64_t *required, uint64_t *full)
{
    static const char *const prealloc[] = {"off", "metadata", "falloc", "full"};
    const Abi__Qcow2CreateOptions *o = request->qcow2;
    g_autofree char *out = NULL;
    g_autofree char *options = g_strdup_printf(
        "cluster_size=%" G_GUINT64_FORMAT ",refcount_bits=%u,extended_l2=%s,preallocation=%s",
        o->cluster_size, o->refcount_bits, o->extended_l2 ? "on" : "off",
        prealloc[o->preallocation]);
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, request->size);
    const char *argv[] = {stock, "measure", "-O", "qcow2", "-o", options, "--size", size, NULL};
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                               G_SPAWN_LEAVE_DESCRIPTORS_OPEN | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                               NULL, &out, NULL, &status, NULL));
    if (status != 0)
        return FALSE;
    g_assert_true(g_str_has_prefix(out, "required size: "));
    *required = g_ascii_strtoull(out + strlen("required size: "), NULL, 10);
    const char *second = strstr(out, "fully allocated size: ");
    g_assert_nonnull(second);
    *full = g_ascii_strtoull(second + strlen("fully allocated size: "), NULL, 10);
    return TRUE;
}

static void compare(const Abi__MeasureRequest *request)
{
    Abi__MeasureReply reply = ABI__MEASURE_REPLY__INIT;
    struct guest_err_detail detail;
    uint64_t required, full;
    enum guest_err err = plan_measure(request, &reply, &detail);
    gboolean accepted = ask_stock(request, &required, &full);
    g_test_message("size %" G_GUINT64_FORMAT " cluster %" G_GUINT64_FORMAT " width %u extended %d "
                   "preallocation %d",
                   request->size, request->qcow2->cluster_size, request->qcow2->refcount_bits,
                   request->qcow2->extended_l2, request->qcow2->preallocation);
    g_assert_cmpint(err == GUEST_OK, ==, accepted);
    if (!accepted)
        return;
    g_assert_cmpuint(reply.required, ==, required);
    g_assert_cmpuint(reply.fully_allocated, ==, full);
}

static void test_grid(void)
{
    Abi__MeasureRequest request;
    Abi__Qcow2CreateOptions o;
    if (stock == NULL) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (unsigned c = 0; c < G_N_ELEMENTS(clusters); c++) {
            set(&request, &o, sizes[s], clusters[c], widths[(s + c) % 3], FALSE,
                (Abi__Preallocation)((s + c) % 4));
            compare(&request);
        }
        set(&request, &o, sizes[s], 16384 << s % 3, 16, TRUE, (Abi__Preallocation)(s % 4));
        compare(&request);
    }
}

static void test_required_data(void)
{
    Abi__MeasureRequest request;
    Abi__Qcow2CreateOptions o;
    Abi__MeasureReply reply = ABI__MEASURE_REPLY__INIT;
    set(&request, &o, G, 65536, 16, FALSE, ABI__PREALLOCATION__PREALLOC_OFF);
    request.required_data = 10 * 65536;
    g_assert_cmpint(plan_measure(&request, &reply, NULL), ==, GUEST_OK);
    g_assert_cmpuint(reply.required, ==, 393216 + 10 * 65536);
    g_assert_cmpuint(reply.fully_allocated, ==, 1074135040);
    request.required_data = 2 * G; /* more than there is */
    g_assert_cmpint(plan_measure(&request, &reply, NULL), ==, GUEST_OK);
    g_assert_cmpuint(reply.required, ==, 1074135040);
}

static void test_too_large(void)
{
    Abi__MeasureRequest request;
    Abi__Qcow2CreateOptions o;
    Abi__MeasureReply reply = ABI__MEASURE_REPLY__INIT;
    static const uint64_t large[] = {7 * K * K * T, INT64_MAX, 1ull << 63, UINT64_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(large); i++) {
        set(&request, &o, large[i], 65536, 16, FALSE, ABI__PREALLOCATION__PREALLOC_OFF);
        g_assert_cmpint(plan_measure(&request, &reply, NULL), ==, GUEST_ERR_PLAN_MEASURE_TOO_LARGE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *found = g_find_program_in_path("qemu-img");
    stock = found;
    g_test_add_func("/plan/measure/grid", test_grid);
    g_test_add_func("/plan/measure/required-data", test_required_data);
    g_test_add_func("/plan/measure/too-large", test_too_large);
    return g_test_run();
}
