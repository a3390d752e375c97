/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes are sums of whole clusters; how many the refcounts take depends on how many there are, so
 * that part is a fixed point.
 * source: stock 7.2 over a grid of sizes and options (tests/unit/test_plan_measure.c).
 */
#include "guest/plan/measure.h"

#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/formats/luks_create.h"
#include "guest/formats/qcow2_create.h"
#include "guest/formats/qcow2_layout.h"
#include "guest/lib/checked.h"

/* Clusters of the refcount table and its blocks, which count `clusters` others and themselves. */
static uint64_t refcount_clusters(uint64_t clusters, const struct qcow2_params *params)
{
    uint64_t per_block = 8ull << params->cluster_bits >> params->refcount_order;
    uint64_t per_table = (1ull << params->cluster_bits) / 8;
    uint64_t blocks = 0, table = 0, before;
    do {
        before = blocks + table;
        blocks = div_round_up_u64(clusters + blocks + table, per_block);
        table = div_round_up_u64(blocks, per_table);
    } while (blocks + table != before);
    return blocks + table;
}

static enum guest_err measure_qcow2(const Abi__MeasureRequest *request, Abi__MeasureReply *reply,
                                    struct guest_err_detail *detail)
{
    struct qcow2_params params;
    enum guest_err err = qcow2_create_check(request->qcow2, &params, detail);
    if (err)
        return err;
    uint64_t cluster = 1ull << params.cluster_bits, disk;
    if (!align_up_u64(request->size, cluster, &disk) || disk > INT64_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_MEASURE_TOO_LARGE);
    uint64_t l2_tables = qcow2_l1_entries(disk, &params);
    if (l2_tables > QCOW2_L1_BYTES_MAX / 8)
        return err_plain(detail, GUEST_ERR_PLAN_MEASURE_TOO_LARGE);

    uint64_t header = 1, l1 = div_round_up_u64(l2_tables * 8, cluster);
    uint64_t clusters = header + l1 + l2_tables;
    clusters += refcount_clusters(clusters + (disk >> params.cluster_bits), &params);
    clusters += div_round_up_u64(params.crypto_bytes, cluster); /* as stock: not counted above */
    uint64_t metadata = clusters << params.cluster_bits;

    bool full = params.preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC ||
                params.preallocation == ABI__PREALLOCATION__PREALLOC_FULL;
    reply->fully_allocated = metadata + disk;
    reply->required = metadata + (full ? disk : min_u64(request->required_data, disk));
    return GUEST_OK;
}

enum guest_err plan_measure(const Abi__MeasureRequest *request, Abi__MeasureReply *reply,
                            struct guest_err_detail *detail)
{
    struct span format = span_of(request->format, strlen(request->format));
    if (span_equal_text(format, "raw")) {
        reply->required = request->size;
        reply->fully_allocated = request->size;
        return GUEST_OK;
    }
    if (span_equal_text(format, "luks") && request->luks) {
        uint64_t header = luks_new_payload_bytes(request->luks);
        if (!header || !add_u64(request->size, header, &reply->required))
            return err_plain(detail, GUEST_ERR_BAD_REQUEST);
        reply->fully_allocated = reply->required;
        return GUEST_OK;
    }
    if (!span_equal_text(format, "qcow2"))
        return err_text(detail, GUEST_ERR_FORMAT_NOT_BUILT, format, 0);
    if (!request->qcow2)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return measure_qcow2(request, reply, detail);
}
