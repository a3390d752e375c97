/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening a chain of nodes into extents.
 *
 * From the top: a layer that holds nothing at an offset passes the question on to its backing
 * node, for the run it is sure of. A layer shorter than the one above it is asked about its own
 * length only; what lies beyond belongs to the layer above, as zeros. Extents that continue each
 * other are joined, so that a run is as long as the image allows.
 */
#include "guest/plan/map.h"

#include "guest/lib/checked.h"
#include "guest/lib/panic.h"

/* Descents in one call, so that a call ends soon however many runs are joined. */
#define STEPS_MAX (1u << 20)

/* What one descent through the chain found. */
struct answer {
    struct layer_extent extent;
    uint16_t depth;
};

static enum guest_err descend(struct node *node, uint64_t start, uint64_t length, uint32_t layers,
                              struct answer *out, struct guest_err_detail *detail)
{
    uint8_t rejected = 0;

    for (unsigned depth = 0; depth < MAP_DEPTH_MAX; depth++) {
        const struct node *below = node->backing;
        enum guest_err err = node->driver->map(node, start, length, &out->extent, detail);

        if (err)
            return err;
        PANIC_UNLESS(out->extent.length > 0 && out->extent.length <= length);
        out->depth = (uint16_t)depth;
        out->extent.flags |= rejected;
        /* A hole is final in the last layer, and past the end of a shorter backing file. */
        if (out->extent.kind != CELL_EXTENT_HOLE || !below || depth + 1 == layers ||
            start >= below->virtual_size)
            return GUEST_OK;
        length = min_u64(out->extent.length, below->virtual_size - start);
        rejected |= node->rejects_backing ? CELL_EXTENT_REJECTED : 0;
        node = node->backing;
    }
    return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
}

static struct cell_extent record_of(const struct answer *a, uint64_t start)
{
    const struct layer_extent *e = &a->extent;

    return (struct cell_extent){
        .start = start,
        .length = e->length,
        .offset = e->offset,
        .blob = e->flags & CELL_EXTENT_HAS_OFFSET || e->kind == CELL_EXTENT_ENCRYPTED
                    ? e->source->blob
                    : CELL_NO_BLOB,
        .comp_len = e->comp_len,
        .unit_len = e->unit_len,
        .skip = e->skip,
        .depth = a->depth,
        .kind = e->kind,
        .flags = e->flags,
        .codec = e->codec,
    };
}

/* Whether b, which starts where a ends, is more of the same. */
static bool continues(const struct cell_extent *a, const struct cell_extent *b)
{
    return a->kind == b->kind && a->kind != CELL_EXTENT_COMPRESSED && a->depth == b->depth &&
           a->flags == b->flags && a->blob == b->blob &&
           ((!(a->flags & CELL_EXTENT_HAS_OFFSET) && a->kind != CELL_EXTENT_ENCRYPTED) ||
            a->offset + a->length == b->offset);
}

enum guest_err plan_map(struct node *node, uint64_t start, uint64_t length, uint32_t layers,
                        struct cell_extent *records, uint32_t max_records, uint32_t *out_nr,
                        uint64_t *out_next, struct guest_err_detail *detail)
{
    uint64_t end;

    *out_nr = 0;
    *out_next = start;
    if (!add_u64(start, length, &end) || end > node->virtual_size || max_records == 0)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    for (unsigned step = 0; step < STEPS_MAX && *out_next < end; step++) {
        struct answer answer;
        struct cell_extent record;
        enum guest_err err = descend(node, *out_next, end - *out_next, layers, &answer, detail);

        if (err)
            return err;
        record = record_of(&answer, *out_next);
        if (*out_nr && continues(&records[*out_nr - 1], &record))
            records[*out_nr - 1].length += record.length;
        else if (*out_nr == max_records)
            return GUEST_OK;
        else
            records[(*out_nr)++] = record;
        *out_next += record.length;
    }
    return GUEST_OK;
}
