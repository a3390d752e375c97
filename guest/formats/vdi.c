/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VDI driver: opening an image, and where its blocks are.
 *
 * The block map is read as it is needed, one window at a time: a header of 512 bytes can claim a
 * map of 2 GiB.
 */
#include "guest/formats/vdi_write.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static int vdi_probe(struct span head)
{
    struct span at;

    return span_sub(head, VDI_TEXT_BYTES, 4, &at) && load_le32(at.data) == VDI_SIGNATURE ? 100 : 0;
}

static enum guest_err vdi_open(struct node *node, const Abi__OpenRequest *request,
                               struct guest_err_detail *detail)
{
    struct vdi *vdi = arena_array(1, sizeof(*vdi));
    enum guest_err err;

    if (!vdi)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    node->state = vdi;
    vdi->source = node->source;
    err = vdi_read_header(node->source, &vdi->header, detail);
    if (err)
        return err;
    node->virtual_size = vdi->header.disk_size;
    node->cluster_size = VDI_BLOCK_BYTES;
    return GUEST_OK;
}

static void vdi_close(struct node *node)
{
    free(node->state);
    node->state = NULL;
}

static enum guest_err load_window(struct vdi *vdi, uint32_t index, struct guest_err_detail *detail)
{
    uint32_t first = index - index % VDI_WINDOW_ENTRIES;
    uint32_t nr = (uint32_t)min_u64(VDI_WINDOW_ENTRIES, vdi->header.blocks_in_image - first);
    uint64_t offset = vdi->header.offset_bmap + (uint64_t)first * VDI_ENTRY_BYTES;
    uint8_t bytes[VDI_WINDOW_ENTRIES * VDI_ENTRY_BYTES];
    struct cursor c = cur_of(span_of(bytes, (size_t)nr * VDI_ENTRY_BYTES));
    enum guest_err err;

    vdi->window_nr = 0;
    err = source_read_padded(vdi->source, offset, (uint64_t)nr * VDI_ENTRY_BYTES, bytes, detail);
    if (err)
        return err;
    for (uint32_t i = 0; i < nr; i++)
        vdi->window[i] = cur_le32(&c);
    vdi->window_first = first;
    vdi->window_nr = nr;
    return GUEST_OK;
}

enum guest_err vdi_entry(struct vdi *vdi, uint32_t index, uint32_t *out,
                         struct guest_err_detail *detail)
{
    if (index < vdi->window_first || index - vdi->window_first >= vdi->window_nr) {
        enum guest_err err = load_window(vdi, index, detail);

        if (err)
            return err;
    }
    *out = vdi->window[index - vdi->window_first];
    return GUEST_OK;
}

/* Whether entry `next` continues a run that began `distance` blocks before it with `first`. */
static bool continues(uint32_t first, uint32_t next, uint32_t distance)
{
    if (!vdi_is_allocated(first))
        return !vdi_is_allocated(next);
    return vdi_is_allocated(next) && next == (uint64_t)first + distance;
}

/* Runs are told as far as the window reaches; who asks joins them. */
static enum guest_err vdi_map(struct node *node, uint64_t start, uint64_t length,
                              struct layer_extent *out, struct guest_err_detail *detail)
{
    struct vdi *vdi = vdi_of(node);
    uint32_t index = (uint32_t)(start / VDI_BLOCK_BYTES);
    uint64_t within = start % VDI_BLOCK_BYTES;
    uint32_t blocks = (uint32_t)div_round_up_u64(within + length, VDI_BLOCK_BYTES);
    uint32_t first, run = 1;
    enum guest_err err = vdi_entry(vdi, index, &first, detail);

    if (err)
        return err;
    blocks = (uint32_t)min_u64(blocks, vdi->window_first + vdi->window_nr - index);
    while (run < blocks && continues(first, vdi->window[index - vdi->window_first + run], run))
        run++;
    *out = (struct layer_extent){
        .length = min_u64((uint64_t)run * VDI_BLOCK_BYTES - within, length),
        .source = node->source,
        .kind = CELL_EXTENT_ZERO,
    };
    if (!vdi_is_allocated(first))
        return GUEST_OK;
    out->kind = CELL_EXTENT_DATA;
    out->offset = vdi_block_offset(vdi, first) + within;
    out->flags = CELL_EXTENT_HAS_OFFSET;
    /* What was allocated when the image was made may never have been written. */
    if (vdi->header.image_type == VDI_TYPE_STATIC)
        out->flags |= CELL_EXTENT_RECURSE;
    return GUEST_OK;
}

const struct format_driver format_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .open = vdi_open,
    .map = vdi_map,
    .check = vdi_check,
    .create = vdi_create,
    .writer_open = vdi_writer_open,
    .resize = vdi_resize,
    .close = vdi_close,
};
