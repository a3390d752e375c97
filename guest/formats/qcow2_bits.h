/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bits of dirty bitmaps as streams: where they come from, and how those of several bitmaps,
 * with granularities of their own, become the bits of one.
 *
 * A bitmap is serialized as the format stores it: bit i of byte n stands for the bytes of the disk
 * from (8 n + i) << granularity_bits on. Bits behind the end of the disk mean nothing.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_BITS_H
#define INSTAR_GUEST_FORMATS_QCOW2_BITS_H

#include "guest/formats/qcow2.h"

/* A bitmap to read from: one that an image stores, or a blob that is nothing but its bits. */
struct qcow2_bits {
    struct qcow2 *q; /* NULL: a blob */
    uint64_t *table; /* decoded; owned */
    uint64_t table_size;
    struct source *blob; /* borrowed */
    uint64_t blob_offset;
    unsigned granularity_bits;
    uint64_t nr_bits;
};

/* How many bits a disk has. */
static inline uint64_t qcow2_bits_of(uint64_t disk_bytes, unsigned granularity_bits)
{
    return (disk_bytes >> granularity_bits) +
           ((disk_bytes & ((1ull << granularity_bits) - 1)) != 0);
}

/*
 * Opens a stored bitmap of the image. One whose table has an entry that the format does not know is
 * refused.
 *
 * out:     *out, to be released with qcow2_bits_clear
 * returns: GUEST_OK; QCOW2_ERR_BITMAP_TABLE; GUEST_ERR_IO; GUEST_ERR_NO_MEMORY
 */
enum guest_err qcow2_bits_open(struct qcow2_bits *out, struct qcow2 *q,
                               const struct qcow2_bitmap *b, struct guest_err_detail *detail);
void qcow2_bits_clear(struct qcow2_bits *bits);

/*
 * Reads bytes of the serialized bitmap; zeros past its end.
 *
 * out:     *out_zero: they are all zero, and buf was not touched
 */
enum guest_err qcow2_bits_read(const struct qcow2_bits *bits, uint64_t offset, uint64_t len,
                               uint8_t *buf, bool *out_zero, struct guest_err_detail *detail);

/*
 * Sets in `out` every bit whose part of the disk has a bit set in the source: the bits from
 * first_bit on, of a bitmap of out_granularity_bits and nr_bits bits.
 *
 * in:      out: len bytes, which keep what is set; first_bit a multiple of 8
 *          scratch: QCOW2_BITS_SCRATCH bytes
 * bound:   the source's bits for the same part of the disk
 */
#define QCOW2_BITS_SCRATCH 65536u
enum guest_err qcow2_bits_merge(const struct qcow2_bits *bits, unsigned out_granularity_bits,
                                uint64_t nr_bits, uint64_t first_bit, uint8_t *out, uint64_t len,
                                uint8_t *scratch, struct guest_err_detail *detail);

#endif
