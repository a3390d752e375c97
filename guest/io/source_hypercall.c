/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image bytes from the host: batches of reads, one ring of the doorbell each.
 */
#include "guest/arch/doorbell.h"
#include "guest/io/source.h"
#include "guest/lib/arena.h"

/* The first read of a batch that failed, as an error. */
static enum guest_err batch_result(const struct cell_doorbell *page, unsigned count,
                                   struct guest_err_detail *detail)
{
    for (unsigned i = 0; i < count; i++) {
        if (page->reads[i].status == CELL_READ_IO)
            return err_numbers(detail, GUEST_ERR_IO, page->reads[i].error_number,
                               page->reads[i].offset_bytes, 0, 0);
        if (page->reads[i].status != CELL_READ_OK)
            return err_numbers(detail, GUEST_ERR_RANGE, page->reads[i].offset_bytes,
                               page->reads[i].len_bytes, 0, 0);
    }
    return GUEST_OK;
}

static enum guest_err hypercall_read(struct source *src, const struct source_piece *pieces,
                                     unsigned nr_pieces, struct guest_err_detail *detail)
{
    struct cell_doorbell *page = doorbell_page();
    while (nr_pieces > 0) {
        unsigned count = nr_pieces < CELL_READS_MAX ? nr_pieces : CELL_READS_MAX;
        for (unsigned i = 0; i < count; i++) {
            page->reads[i] = (struct cell_read){.blob = src->blob,
                                                .offset_bytes = pieces[i].offset,
                                                .len_bytes = pieces[i].len,
                                                .dst = (cell_gva)(uintptr_t)pieces[i].dst};
        }
        page->count = count;
        doorbell_ring(CELL_RING_READ);
        enum guest_err err = batch_result(page, count, detail);
        if (err)
            return err;
        pieces += count;
        nr_pieces -= count;
    }
    return GUEST_OK;
}

struct source *source_new_hypercall(uint32_t blob, uint64_t size_bytes)
{
    struct source *src = arena_array(1, sizeof(*src));
    if (!src)
        return NULL;
    *src = (struct source){.blob = blob, .size_bytes = size_bytes, .read = hypercall_read};
    return src;
}
