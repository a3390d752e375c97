/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_bits.h"

#include <string.h>

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err qcow2_bits_open(struct qcow2_bits *out, struct qcow2 *q,
                               const struct qcow2_bitmap *b, struct guest_err_detail *detail)
{
    *out = (struct qcow2_bits){
        .q = q,
        .granularity_bits = b->granularity_bits,
        .nr_bits = qcow2_bits_of(qcow2_virtual_size(q), b->granularity_bits),
    };
    enum guest_err err = qcow2_read_bitmap_table(q, b, &out->table, detail);
    if (err)
        return err;
    out->table_size = b->table_size;
    for (uint64_t i = 0; i < out->table_size; i++) {
        if (!qcow2_bitmap_entry_ok(q, out->table[i]))
            return err_text(detail, (enum guest_err)(int)QCOW2_ERR_BITMAP_TABLE, b->name, 0);
    }
    return GUEST_OK;
}

void qcow2_bits_clear(struct qcow2_bits *bits)
{
    free(bits->table);
    *bits = (struct qcow2_bits){0};
}

/* ---- reading ---- */

/* [offset, offset + len) lies inside one cluster of bits. */
static enum guest_err read_stored(const struct qcow2_bits *b, uint64_t offset, uint64_t len,
                                  uint8_t *buf, bool *out_zero, struct guest_err_detail *detail)
{
    uint64_t index = offset / b->q->cluster_size;
    uint64_t entry = index < b->table_size ? b->table[index] : 0;
    uint64_t at = entry & QCOW2_OFFSET_MASK;

    *out_zero = entry == 0;
    if (!at) {
        if (entry)
            memset(buf, 0xff, len);
        return GUEST_OK;
    }
    return qcow2_read(b->q, at + offset % b->q->cluster_size, len, buf, detail);
}

enum guest_err qcow2_bits_read(const struct qcow2_bits *b, uint64_t offset, uint64_t len,
                               uint8_t *buf, bool *out_zero, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;
    *out_zero = false;
    if (!b->q)
        return source_read_padded(b->blob, b->blob_offset + offset, len, buf, detail);
    uint64_t cluster = b->q->cluster_size;
    if (offset / cluster == (offset + len - 1) / cluster)
        return read_stored(b, offset, len, buf, out_zero, detail);
    for (uint64_t done = 0; done < len && !err;) {
        uint64_t nr = min_u64(len - done, cluster - (offset + done) % cluster);
        bool zero;
        err = read_stored(b, offset + done, nr, &buf[done], &zero, detail);
        if (!err && zero)
            memset(&buf[done], 0, nr);
        done += nr;
    }
    return err;
}

/* ---- merging ---- */

/* Where the bits of one go to in another. */
struct target {
    uint8_t *out;
    uint64_t first_bit, nr_bits; /* that `out` has, or that mean something */
    unsigned from_bits, to_bits; /* granularities */
};

/* Sets bits [from, to) of the target bitmap, as far as they are at hand. */
static void set_range(const struct target *t, uint64_t from, uint64_t to)
{
    uint64_t end = t->first_bit + t->nr_bits;
    from = max_u64(from, t->first_bit);
    to = min_u64(to, end);
    while (from < to) {
        uint64_t at = from - t->first_bit;
        if (at % 8 == 0 && to - from >= 8) {
            uint64_t bytes = (to - from) / 8;
            memset(&t->out[at / 8], 0xff, bytes);
            from += bytes * 8;
        } else {
            t->out[at / 8] |= (uint8_t)(1u << at % 8);
            from++;
        }
    }
}

/* Bits [from, to) of the source are set. */
static void set_source_bits(const struct target *t, uint64_t from, uint64_t to)
{
    if (t->from_bits >= t->to_bits) {
        unsigned shift = t->from_bits - t->to_bits;
        set_range(t, from << shift, to << shift);
    } else {
        unsigned shift = t->to_bits - t->from_bits;
        set_range(t, from >> shift, ((to - 1) >> shift) + 1);
    }
}

/* The runs of set bits in a piece of the source that starts with bit `first`. */
static void scan(const struct target *t, const uint8_t *bytes, uint64_t len, uint64_t first,
                 uint64_t nr_bits)
{
    uint64_t run = UINT64_MAX;
    for (uint64_t i = 0; i < len; i++) {
        uint64_t at = first + i * 8;
        if ((bytes[i] == 0 && run == UINT64_MAX) || (bytes[i] == 0xff && run != UINT64_MAX))
            continue;
        for (unsigned k = 0; k < 8; k++) {
            bool set = bytes[i] >> k & 1;
            if (set && run == UINT64_MAX && at + k < nr_bits)
                run = at + k;
            if (!set && run != UINT64_MAX) {
                set_source_bits(t, run, min_u64(at + k, nr_bits));
                run = UINT64_MAX;
            }
        }
    }
    if (run != UINT64_MAX)
        set_source_bits(t, run, min_u64(first + len * 8, nr_bits));
}

enum guest_err qcow2_bits_merge(const struct qcow2_bits *b, unsigned out_granularity_bits,
                                uint64_t nr_bits, uint64_t first_bit, uint8_t *out, uint64_t len,
                                uint8_t *scratch, struct guest_err_detail *detail)
{
    struct target t = {.out = out,
                       .first_bit = first_bit,
                       .from_bits = b->granularity_bits,
                       .to_bits = out_granularity_bits};
    if (first_bit >= nr_bits)
        return GUEST_OK;
    t.nr_bits = min_u64(len * 8, nr_bits - first_bit);
    /* The source's bits for that part of the disk, in whole bytes. */
    uint64_t from, to;
    if (t.from_bits >= t.to_bits) {
        unsigned shift = t.from_bits - t.to_bits;
        from = first_bit >> shift;
        to = ((first_bit + t.nr_bits - 1) >> shift) + 1;
    } else {
        unsigned shift = t.to_bits - t.from_bits;
        from = first_bit << shift;
        to = (first_bit + t.nr_bits) << shift;
    }
    uint64_t at = from / 8, end = div_round_up_u64(min_u64(to, b->nr_bits), 8);
    while (at < end) {
        uint64_t nr = min_u64(end - at, QCOW2_BITS_SCRATCH - at % QCOW2_BITS_SCRATCH);
        bool zero;
        enum guest_err err = qcow2_bits_read(b, at, nr, scratch, &zero, detail);
        if (err)
            return err;
        if (!zero)
            scan(&t, scratch, nr, at * 8, b->nr_bits);
        at += nr;
    }
    return GUEST_OK;
}
