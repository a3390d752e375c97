/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan that makes a new qcow2 image.
 *
 * Everything is refused or decided before the first op. The first sector of the header is written
 * last, behind a barrier: until then the file is no qcow2 image.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_CREATE_H
#define INSTAR_GUEST_FORMATS_QCOW2_CREATE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/plan/plan.h"

/*
 * Options that passed qcow2_create_check, in the units that planners compute with.
 */
struct qcow2_params {
    unsigned cluster_bits;
    unsigned refcount_order;
    unsigned l2_entry_bits; /* log2 of the bytes of an L2 entry: 3, extended 4 */
    bool has_data_file;
    uint64_t crypto_bytes;            /* of a LUKS header, 0: none */
    Abi__Preallocation preallocation; /* with data_file_raw at least METADATA */
};

/*
 * Checks the options against each other, in stock's order.
 *
 * out:     *out filled on GUEST_OK
 * returns: GUEST_OK or the GUEST_ERR_PLAN_* that stock would report first
 */
enum guest_err qcow2_create_check(const Abi__Qcow2CreateOptions *options, struct qcow2_params *out,
                                  struct guest_err_detail *detail);

/* Entries of the L1 table that a disk of `size` bytes needs. */
uint64_t qcow2_l1_entries(uint64_t size, const struct qcow2_params *params);

/*
 * Plans a new image.
 *
 * in:      request->size is rounded up to 512 bytes
 * out:     *out, to be freed with its verb
 * returns: GUEST_OK; what qcow2_create_check gives; GUEST_ERR_PLAN_SIZE_TOO_LARGE,
 *          _BACKING_NAME_LONG, _HEADER_FULL, _PREALLOC_TOO_LARGE; GUEST_ERR_NO_MEMORY
 * bound:   time and memory in proportion to the number of L2 tables and refcount blocks that
 *          preallocation asks for (16 bytes each), never to the size of the disk
 */
enum guest_err qcow2_create_plan(const Abi__CreateRequest *request, struct plan **out,
                                 struct guest_err_detail *detail);

/*
 * The data of the feature names extension, for programs that meet a bit they do not know. Only in
 * headers of clusters larger than this: small ones would leave no room for the backing file name.
 * source: observed in files that stock makes.
 *
 * out:     buf: QCOW2_FEATURE_NAMES_BYTES
 */
#define QCOW2_FEATURE_NAMES_ABOVE_BYTES 4096u
#define QCOW2_FEATURE_NAMES_BYTES       384u
void qcow2_feature_names(uint8_t *buf);

/*
 * Encodes the header cluster of a new image: header, extensions, backing file name.
 *
 * in:      buf: one cluster, zeroed
 * out:     *out_used bytes of it that are not zero padding
 * returns: GUEST_OK; GUEST_ERR_PLAN_BACKING_NAME_LONG or _HEADER_FULL, and buf is garbage then
 */
struct qcow2_new_header {
    uint64_t size;
    uint32_t l1_size;
    uint64_t l1_table_offset;
    uint64_t refcount_table_offset;
    uint32_t refcount_table_clusters;
    uint64_t crypto_offset; /* of the LUKS header, if there is one */
};
enum guest_err qcow2_encode_header(const Abi__Qcow2CreateOptions *options,
                                   const struct qcow2_params *params,
                                   const struct qcow2_new_header *header, uint8_t *buf,
                                   uint64_t *out_used, struct guest_err_detail *detail);

#endif
