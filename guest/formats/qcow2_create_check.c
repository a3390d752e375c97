/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which creation options go together, in the order in which stock complains.
 * source: observed with stock 7.2, options in pairs; keep_data_file with 11.1.
 */
#include "guest/formats/qcow2_create.h"

#include "guest/abi/error_plan.h"
#include "guest/formats/luks_create.h"
#include "guest/formats/qcow2_layout.h"
#include "guest/lib/checked.h"

#define EXTL2_CLUSTER_MIN 16384u /* a subcluster is at least a sector */

static unsigned log2_of(uint64_t power)
{
    return (unsigned)__builtin_ctzll(power);
}

static enum guest_err check_cluster_size(const Abi__Qcow2CreateOptions *o,
                                         struct guest_err_detail *detail)
{
    if (o->extended_l2 && o->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_EXTL2_VERSION);
    if (!is_power_of_two_u64(o->cluster_size) || o->cluster_size < 1ull << QCOW2_CLUSTER_BITS_MIN ||
        o->cluster_size > 1ull << QCOW2_CLUSTER_BITS_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_CLUSTER_SIZE);
    if (o->extended_l2 && o->cluster_size < EXTL2_CLUSTER_MIN)
        return err_numbers(detail, GUEST_ERR_PLAN_EXTL2_CLUSTER, EXTL2_CLUSTER_MIN, 0, 0, 0);
    return GUEST_OK;
}

static enum guest_err check_keep_data_file(const Abi__Qcow2CreateOptions *o,
                                           struct guest_err_detail *detail)
{
    if (!o->keep_data_file)
        return GUEST_OK;
    if (!o->has_data_file)
        return err_plain(detail, GUEST_ERR_PLAN_KEEP_WITHOUT_FILE);
    if (o->preallocation == ABI__PREALLOCATION__PREALLOC_FALLOC ||
        o->preallocation == ABI__PREALLOCATION__PREALLOC_FULL)
        return err_plain(detail, GUEST_ERR_PLAN_KEEP_PREALLOC);
    if (o->preallocation == ABI__PREALLOCATION__PREALLOC_OFF && !o->data_file_raw)
        return err_plain(detail, GUEST_ERR_PLAN_KEEP_INVISIBLE);
    return GUEST_OK;
}

enum guest_err qcow2_create_check(const Abi__Qcow2CreateOptions *o, struct qcow2_params *out,
                                  struct guest_err_detail *detail)
{
    bool preallocates = o->preallocation != ABI__PREALLOCATION__PREALLOC_OFF;

    if (o->version < 2 || o->version > 3 || o->compression_type > QCOW2_COMPRESSION_ZSTD ||
        (unsigned)o->preallocation > ABI__PREALLOCATION__PREALLOC_FULL)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    enum guest_err err = check_cluster_size(o, detail);
    if (err)
        return err;
    if (preallocates && o->has_backing && !o->extended_l2)
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_PREALLOC);
    if (o->backing_format.len && !o->has_backing)
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_FORMAT_ALONE);
    if (o->lazy_refcounts && o->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_LAZY_VERSION);
    if (!is_power_of_two_u64(o->refcount_bits) || o->refcount_bits > 64)
        return err_plain(detail, GUEST_ERR_PLAN_REFCOUNT_BITS);
    if (o->refcount_bits != 16 && o->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_REFCOUNT_VERSION);
    if (o->data_file_raw && !o->has_data_file)
        return err_plain(detail, GUEST_ERR_PLAN_RAW_WITHOUT_DATA_FILE);
    if (o->data_file_raw && o->has_backing)
        return err_plain(detail, GUEST_ERR_PLAN_RAW_WITH_BACKING);
    err = check_keep_data_file(o, detail);
    if (err)
        return err;
    if (o->has_data_file && o->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_DATA_FILE_VERSION);
    if (o->compression_type != QCOW2_COMPRESSION_ZLIB && o->version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_COMPRESSION_VERSION);

    *out = (struct qcow2_params){
        .cluster_bits = log2_of(o->cluster_size),
        .refcount_order = log2_of(o->refcount_bits),
        .l2_entry_bits = o->extended_l2 ? 4 : 3,
        .has_data_file = o->has_data_file,
        .crypto_bytes = o->luks ? luks_new_payload_bytes(o->luks) : 0,
        .preallocation = o->preallocation,
    };
    /* A raw data file must be found at the same offsets by a reader that ignores the tables. */
    if (o->data_file_raw && !preallocates)
        out->preallocation = ABI__PREALLOCATION__PREALLOC_METADATA;
    return GUEST_OK;
}

uint64_t qcow2_l1_entries(uint64_t size, const struct qcow2_params *params)
{
    unsigned shift = 2 * params->cluster_bits - params->l2_entry_bits;
    return (size >> shift) + ((size & ((1ull << shift) - 1)) != 0);
}
