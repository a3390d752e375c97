/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the refcount structures: the table, single entries, and the guess whether an image has
 * preallocated metadata.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err qcow2_read_reftable(struct qcow2 *q, uint64_t **out, uint64_t *out_entries,
                                   struct guest_err_detail *detail)
{
    uint64_t entries = q->header.refcount_table_clusters * (q->cluster_size / sizeof(uint64_t));
    uint64_t *table;
    enum guest_err err = qcow2_read_l1(q, q->header.refcount_table_offset, entries, &table, detail);

    if (err)
        return err;
    *out = table;
    *out_entries = entries;
    return GUEST_OK;
}

uint64_t qcow2_refcount_get(struct span block, uint64_t index, uint32_t order)
{
    switch (order) {
    case 0:
    case 1:
    case 2: {
        uint32_t bits = 1u << order;
        uint64_t bit = index << order;
        return block.data[bit / 8] >> bit % 8 & ((1u << bits) - 1);
    }
    case 3:
        return block.data[index];
    case 4:
        return load_be16(&block.data[index * 2]);
    case 5:
        return load_be32(&block.data[index * 4]);
    default:
        return load_be64(&block.data[index * 8]);
    }
}

/* Non-zero refcounts among the first `nr` of a block. */
static uint64_t count_used(struct span block, uint64_t nr, uint32_t order)
{
    uint64_t used = 0;

    if (order == 4) { /* by far the most frequent: one loop that vectorizes */
        const uint8_t *p = block.data;
        for (uint64_t i = 0; i < nr; i++)
            used += (p[2 * i] | p[2 * i + 1]) != 0;
        return used;
    }
    for (uint64_t i = 0; i < nr; i++)
        used += qcow2_refcount_get(block, i, order) != 0;
    return used;
}

/*
 * source: observed with stock 7.2: after preallocation=metadata, `map` looks for holes behind
 * data extents; after real writes it does not. The margin keeps a few unwritten metadata clusters
 * from counting.
 */
static bool detect_preallocated(struct node *node)
{
    struct qcow2 *q = qcow2_of(node);
    uint64_t on_disk = q->source->allocated_bytes / q->cluster_size;
    uint64_t enough = max_u64(on_disk * 10 / 9, on_disk + 2);
    uint64_t clusters = div_round_up_u64(q->source->size_bytes, q->cluster_size);
    uint64_t per_block = 1ull << q->refblock_entries_bits;
    uint64_t used = 0, entries, *table;
    uint8_t *block;

    if (clusters < enough || qcow2_read_reftable(q, &table, &entries, NULL))
        return false;
    block = arena_bytes(q->cluster_size);
    for (uint64_t i = 0; block && i * per_block < clusters && i < entries && used < enough; i++) {
        uint64_t offset = table[i] & QCOW2_REFTABLE_MASK;

        if (offset == 0)
            continue;
        if (offset % q->cluster_size != 0) {
            /* Worth a line, but reading data does not depend on it. */
            node->event_code =
                qcow2_event(q, &node->event, QCOW2_EVENT_REFBLOCK_OFFSET, offset, i, 0);
            break;
        }
        if (qcow2_read(q, offset, q->cluster_size, block, NULL))
            break;
        used += count_used(span_of(block, q->cluster_size),
                           min_u64(per_block, clusters - i * per_block), q->header.refcount_order);
    }
    free(block);
    free(table);
    return used >= enough;
}

bool qcow2_seems_preallocated(struct node *node)
{
    struct qcow2 *q = qcow2_of(node);

    if (!q->preallocation_known) {
        q->preallocated = detect_preallocated(node);
        q->preallocation_known = true;
    }
    return q->preallocated;
}
