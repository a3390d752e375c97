/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_refblock.h"

#include <string.h>

#include "guest/formats/qcow2_layout.h"
#include "guest/lib/checked.h"

uint64_t qcow2_refcount_max(unsigned order)
{
    return order == 6 ? UINT64_MAX : (1ull << (1u << order)) - 1;
}

uint64_t qcow2_refblock_load(const uint8_t *block, uint64_t index, unsigned order)
{
    if (order < 3) {
        unsigned per_byte_bits = 3 - order;
        unsigned shift = (unsigned)(index & ((1u << per_byte_bits) - 1)) << order;
        return (uint64_t)(block[index >> per_byte_bits] >> shift) & qcow2_refcount_max(order);
    }
    uint64_t value = 0;
    unsigned bytes = 1u << (order - 3);
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | block[index * bytes + i];
    return value;
}

void qcow2_refblock_store(uint8_t *block, uint64_t index, unsigned order, uint64_t value)
{
    if (order < 3) {
        unsigned per_byte_bits = 3 - order;
        unsigned shift = (unsigned)(index & ((1u << per_byte_bits) - 1)) << order;
        uint8_t mask = (uint8_t)(qcow2_refcount_max(order) << shift);
        uint8_t *byte = &block[index >> per_byte_bits];
        *byte = (uint8_t)((*byte & ~mask) | ((value << shift) & mask));
        return;
    }
    unsigned bytes = 1u << (order - 3);
    for (unsigned i = bytes; i-- > 0; value >>= 8)
        block[index * bytes + i] = (uint8_t)value;
}

static uint64_t repeated(uint64_t value, unsigned order)
{
    for (unsigned bits = 1u << order; bits < 64; bits *= 2)
        value |= value << bits;
    return __builtin_bswap64(value);
}

struct qcow2_count_run qcow2_refblock_run(const uint8_t *block, uint64_t index, uint64_t nr,
                                          unsigned order)
{
    uint64_t value = qcow2_refblock_load(block, index, order), in_word = 64u >> order, word;
    uint64_t pattern = repeated(value, order), i = index + 1;
    for (; i < nr && i % in_word != 0; i++) {
        if (qcow2_refblock_load(block, i, order) != value)
            return (struct qcow2_count_run){i, value};
    }
    for (; i + in_word <= nr; i += in_word) {
        memcpy(&word, &block[i / in_word * 8], sizeof(word));
        if (word != pattern)
            break;
    }
    while (i < nr && qcow2_refblock_load(block, i, order) == value)
        i++;
    return (struct qcow2_count_run){i, value};
}

unsigned qcow2_refblock_unit(unsigned order, uint64_t value, uint8_t *unit)
{
    for (uint64_t k = 0; k < max_u64(1, 8u >> order); k++)
        qcow2_refblock_store(unit, k, order, value);
    return order < 3 ? 1 : 1u << (order - 3);
}

void qcow2_refblock_fill(uint8_t *block, uint64_t from, uint64_t to, unsigned order, uint64_t value)
{
    uint8_t unit[8];
    uint64_t in_byte = max_u64(1, 8u >> order), done = qcow2_refblock_unit(order, value, unit);
    for (; from < to && from % in_byte != 0; from++)
        qcow2_refblock_store(block, from, order, value);
    for (; from < to && to % in_byte != 0; to--)
        qcow2_refblock_store(block, to - 1, order, value);
    if (to - from < 64u) {
        for (; from < to; from++)
            qcow2_refblock_store(block, from, order, value);
        return;
    }
    uint8_t *at = &block[(from << order) / 8];
    uint64_t bytes = ((to - from) << order) / 8;
    for (memcpy(at, unit, done); done < bytes;) {
        uint64_t len = min_u64(done, bytes - done);
        memcpy(&at[done], at, len);
        done += len;
    }
}

/* First run that ends after `cluster`. */
static uint64_t find_run(const struct qcow2_run *runs, uint64_t nr, uint64_t cluster)
{
    uint64_t low = 0, high = nr;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (runs[mid].end > cluster)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

bool qcow2_refblock_yield_runs(struct plan_sink *sink, uint32_t blob, uint64_t offset,
                               unsigned cluster_bits, unsigned order, uint64_t first_cluster,
                               const struct qcow2_run *runs, uint64_t nr_runs)
{
    uint64_t bytes = 1ull << cluster_bits;
    uint64_t entries = bytes << 3 >> order;
    uint64_t end = first_cluster + entries;
    uint64_t i = find_run(runs, nr_runs, first_cluster);
    uint8_t one[8] = {0};

    if (i < nr_runs && runs[i].start <= first_cluster && runs[i].end >= end) {
        if (!plan_room(sink, 1, 0))
            return false;
        for (uint64_t k = 0; order < 3 && k < 8u >> order; k++)
            qcow2_refblock_store(one, k, order, 1);
        if (order >= 3)
            qcow2_refblock_store(one, 0, order, 1);
        plan_pattern(sink, blob, offset, bytes, one, order < 3 ? 1 : 1u << (order - 3),
                     CELL_NOTE_REFCOUNT_BLOCK);
        return true;
    }

    /* What is in use, up to a whole sector; zeros after it. */
    uint64_t last = first_cluster;
    for (uint64_t k = i; k < nr_runs && runs[k].start < end; k++)
        last = min_u64(runs[k].end, end);
    uint64_t used = div_round_up_u64((last - first_cluster) << order, 8);
    used = (used + QCOW2_SECTOR_BYTES - 1) & ~(uint64_t)(QCOW2_SECTOR_BYTES - 1);
    if (!plan_room(sink, 2, used))
        return false;
    if (used) {
        uint8_t *at = plan_write(sink, blob, offset, used, CELL_NOTE_REFCOUNT_BLOCK);
        memset(at, 0, used);
        for (; i < nr_runs && runs[i].start < end; i++) {
            uint64_t from = max_u64(runs[i].start, first_cluster);
            for (uint64_t c = from; c < min_u64(runs[i].end, end); c++)
                qcow2_refblock_store(at, c - first_cluster, order, 1);
        }
    }
    if (used < bytes)
        plan_simple(sink, CELL_OP_ZERO, blob, offset + used, bytes - used,
                    CELL_NOTE_REFCOUNT_BLOCK);
    return true;
}
