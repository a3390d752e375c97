/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a VDI image. Which fields count, in which order, is stock's choice: type, flags,
 * geometry and uuids of the image itself say nothing that matters here.
 */
#include "guest/formats/vdi.h"
#include "guest/lib/checked.h"

static bool decode(struct span bytes, struct vdi_header *h)
{
    struct cursor c = cur_of(bytes);
    struct span link, parent;

    cur_skip(&c, VDI_TEXT_BYTES);
    h->signature = cur_le32(&c);
    h->version = cur_le32(&c);
    cur_skip(&c, 4); /* header_size */
    h->image_type = cur_le32(&c);
    cur_skip(&c, 4 + VDI_DESCRIPTION); /* image_flags, description */
    h->offset_bmap = cur_le32(&c);
    h->offset_data = cur_le32(&c);
    cur_skip(&c, 12); /* geometry */
    h->sector_size = cur_le32(&c);
    cur_skip(&c, 4); /* unused */
    h->disk_size = cur_le64(&c);
    h->block_size = cur_le32(&c);
    cur_skip(&c, 4); /* block_extra */
    h->blocks_in_image = cur_le32(&c);
    h->blocks_allocated = cur_le32(&c);
    cur_skip(&c, 2 * VDI_UUID_BYTES); /* image, last snapshot */
    link = cur_bytes(&c, VDI_UUID_BYTES);
    parent = cur_bytes(&c, VDI_UUID_BYTES);
    if (!cur_ok(&c))
        return false;
    memcpy(h->uuid_link, link.data, VDI_UUID_BYTES);
    memcpy(h->uuid_parent, parent.data, VDI_UUID_BYTES);
    return true;
}

static enum guest_err validate(const struct vdi_header *h, struct guest_err_detail *detail)
{
    static const uint8_t none[VDI_UUID_BYTES];
    uint64_t room = (uint64_t)h->blocks_in_image * h->block_size;

    if (h->signature != VDI_SIGNATURE)
        return vdi_error(detail, VDI_ERR_SIGNATURE, h->signature, 0);
    if (h->version != VDI_VERSION)
        return vdi_error(detail, VDI_ERR_VERSION, h->version >> 16, h->version & 0xffff);
    if (h->offset_bmap % VDI_SECTOR_BYTES)
        return vdi_error(detail, VDI_ERR_BMAP_OFFSET, h->offset_bmap, 0);
    if (h->offset_data % VDI_SECTOR_BYTES)
        return vdi_error(detail, VDI_ERR_DATA_OFFSET, h->offset_data, 0);
    if (h->sector_size != VDI_SECTOR_BYTES)
        return vdi_error(detail, VDI_ERR_SECTOR_SIZE, h->sector_size, 0);
    if (h->block_size != VDI_BLOCK_BYTES)
        return vdi_error(detail, VDI_ERR_BLOCK_SIZE, h->block_size, 0);
    if (h->disk_size > room)
        return vdi_error(detail, VDI_ERR_BMAP_SMALL, h->disk_size, room);
    if (memcmp(h->uuid_link, none, sizeof(none)) != 0)
        return vdi_error(detail, VDI_ERR_LINK_UUID, 0, 0);
    if (memcmp(h->uuid_parent, none, sizeof(none)) != 0)
        return vdi_error(detail, VDI_ERR_PARENT_UUID, 0, 0);
    if (h->blocks_in_image > VDI_BLOCKS_MAX)
        return vdi_error(detail, VDI_ERR_BLOCKS, h->blocks_in_image, VDI_BLOCKS_MAX);
    return GUEST_OK;
}

enum guest_err vdi_read_header(struct source *source, struct vdi_header *header,
                               struct guest_err_detail *detail)
{
    uint8_t bytes[VDI_HEADER_BYTES];
    enum guest_err err = source_read_padded(source, 0, sizeof(bytes), bytes, detail);

    if (err)
        return err;
    if (!decode(span_of(bytes, sizeof(bytes)), header))
        return err_plain(detail, GUEST_ERR_INVALID);
    if (header->disk_size > VDI_DISK_SIZE_MAX)
        return vdi_error(detail, VDI_ERR_DISK_SIZE, header->disk_size, VDI_DISK_SIZE_MAX);
    (void)align_up_u64(header->disk_size, VDI_SECTOR_BYTES, &header->disk_size);
    return validate(header, detail);
}
