/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw driver: nothing to interpret. All of the file is data, and where its holes are the host
 * knows best.
 */
#include "guest/formats/format.h"
#include "guest/lib/checked.h"

#define SECTOR_BYTES 512u

/* Raw is what remains: less sure than any other driver. */
static int raw_probe(struct span head)
{
    return 1;
}

static enum guest_err raw_open(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    /* A disk is made of sectors: a file that ends inside one reads as zeros to its end. */
    if (!align_up_u64(node->source->size_bytes, SECTOR_BYTES, &node->virtual_size))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    return GUEST_OK;
}

static enum guest_err raw_map(struct node *node, uint64_t start, uint64_t length,
                              struct layer_extent *out, struct guest_err_detail *detail)
{
    *out = (struct layer_extent){
        .length = length,
        .offset = start,
        .source = node->source,
        .kind = CELL_EXTENT_DATA,
        .flags = CELL_EXTENT_HAS_OFFSET | CELL_EXTENT_RECURSE,
    };
    return GUEST_OK;
}

const struct format_driver format_raw = {
    .name = "raw",
    .probe = raw_probe,
    .open = raw_open,
    .map = raw_map,
};
