/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An opened qcow image of version 1, shared by the qcow_*.c files (qcow2 has files of its own).
 *
 * Only the header stays in memory. All fields are decoded and validated.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW_H
#define INSTAR_GUEST_FORMATS_QCOW_H

#include "guest/abi/error_qcow.h"
#include "guest/formats/format.h"
#include "guest/formats/qcow_layout.h"
#include "guest/formats/table_window.h"
#include "guest/lib/checked.h"

/* The header, with the specification's names. */
struct qcow_header {
    uint32_t magic;
    uint32_t version;
    uint64_t backing_file_offset;
    uint32_t backing_file_size;
    uint64_t size;
    uint8_t cluster_bits;
    uint8_t l2_bits;
    uint32_t crypt_method;
    uint64_t l1_table_offset;
};

struct qcow {
    struct source *source;
    struct qcow_header header;
    uint64_t cluster_size; /* bytes */
    uint64_t l2_entries;
    uint64_t l1_entries;
    uint32_t l1_shift;      /* bits of a disk offset that one L1 entry covers */
    struct crypto_spec aes; /* crypt_method AES, with a key */
    struct table_window l1;
    struct table_window l2;
};

static inline struct qcow *qcow_of(struct node *node)
{
    return node->state;
}

/* Gives a code of ours back as the common type, with its number recorded. */
static inline enum guest_err qcow_error(struct guest_err_detail *detail, enum qcow_err code,
                                        uint64_t n0)
{
    return err_numbers(detail, (enum guest_err)(int)code, n0, 0, 0, 0);
}

/* Where the bytes of a compressed entry are. */
static inline void qcow_compressed_range(const struct qcow *q, uint64_t entry, uint64_t *out_offset,
                                         uint32_t *out_len)
{
    uint32_t bits = 63 - q->header.cluster_bits;

    *out_offset = entry & ((1ull << bits) - 1);
    *out_len = (uint32_t)((entry >> bits) & (q->cluster_size - 1));
}

/*
 * The number of L1 entries that a disk needs.
 *
 * returns: false when there are more than an image may have
 */
bool qcow_l1_entries(uint64_t size, uint32_t l1_shift, uint64_t *out);

/* qcow_map.c */
enum guest_err qcow_map(struct node *node, uint64_t start, uint64_t length,
                        struct layer_extent *out, struct guest_err_detail *detail);

/* Entries of the L1 table from `index` on, as bytes; see table_window_get. */
enum guest_err qcow_l1(struct qcow *q, uint64_t index, struct span *out,
                       struct guest_err_detail *detail);

/* qcow_create.c */
enum guest_err qcow_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail);

/* qcow_empty.c */
enum guest_err qcow_empty(struct node *node, struct plan **out, struct guest_err_detail *detail);

/* qcow_writer.c */
enum guest_err qcow_writer_open(struct node *node, const struct image_writer_options *options,
                                struct image_writer **out, struct guest_err_detail *detail);

#endif
