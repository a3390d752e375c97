/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vhdx_make.h"

#include "guest/lib/crc32c.h"

#define CREATOR "instar"

/* The metadata that every disk has, in the order of stock. */
static const struct {
    const char *guid;
    uint32_t offset, length, flags;
} items[] = {
    {VHDX_GUID_PARAMS, VHDX_METADATA_ITEMS_AT, 8, VHDX_META_REQUIRED},
    {VHDX_GUID_DISK_SIZE, VHDX_METADATA_ITEMS_AT + 8, 8,
     VHDX_META_REQUIRED | VHDX_META_VIRTUAL_DISK},
    {VHDX_GUID_DISK_ID, VHDX_METADATA_ITEMS_AT + 16, 16,
     VHDX_META_REQUIRED | VHDX_META_VIRTUAL_DISK},
    {VHDX_GUID_LOGICAL, VHDX_METADATA_ITEMS_AT + 32, 4,
     VHDX_META_REQUIRED | VHDX_META_VIRTUAL_DISK},
    {VHDX_GUID_PHYSICAL, VHDX_METADATA_ITEMS_AT + 36, 4,
     VHDX_META_REQUIRED | VHDX_META_VIRTUAL_DISK},
};
#define NR_ITEMS (sizeof(items) / sizeof(items[0]))

void vhdx_make_guid(const uint8_t *random, uint8_t *out)
{
    memcpy(out, random, VHDX_GUID_BYTES);
    out[7] = (uint8_t)((out[7] & 0x0f) | 0x40); /* version */
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80); /* variant */
}

void vhdx_derive_guid(const uint8_t *guid, uint64_t number, uint8_t *out)
{
    uint8_t seed[VHDX_GUID_BYTES + sizeof(number)], mixed[VHDX_GUID_BYTES];

    memcpy(seed, guid, VHDX_GUID_BYTES);
    store_le64(seed + VHDX_GUID_BYTES, number);
    for (uint32_t i = 0; i < VHDX_GUID_BYTES; i += 4)
        store_le32(mixed + i, crc32c_add(CRC32C_START ^ (i * 0x9e3779b1u), seed, sizeof(seed)));
    vhdx_make_guid(mixed, out);
}

void vhdx_make_identifier(uint8_t *out)
{
    memset(out, 0, VHDX_IDENTIFIER_BYTES);
    memcpy(out, "vhdxfile", 8);
    for (size_t i = 0; i < sizeof(CREATOR) - 1; i++)
        out[8 + 2 * i] = (uint8_t)CREATOR[i]; /* UTF-16LE */
}

void vhdx_make_header(const struct vhdx_header *header, uint8_t *out)
{
    memset(out, 0, VHDX_HEADER_BYTES);
    memcpy(out, "head", 4);
    store_le64(out + 8, header->sequence_number);
    memcpy(out + 16, header->file_write_guid, VHDX_GUID_BYTES);
    memcpy(out + 32, header->data_write_guid, VHDX_GUID_BYTES);
    memcpy(out + 48, header->log_guid, VHDX_GUID_BYTES);
    store_le16(out + 64, header->log_version);
    store_le16(out + 66, 1);
    store_le32(out + 68, header->log_length);
    store_le64(out + 72, header->log_offset);
    store_le32(out + VHDX_CHECKSUM_AT, crc32c_sealed(out, VHDX_HEADER_BYTES, VHDX_CHECKSUM_AT));
}

void vhdx_put_next_header(struct vhdx *vhdx, bool same_disk, struct plan_sink *sink)
{
    struct vhdx_header next = vhdx->header;

    next.sequence_number++;
    vhdx_derive_guid(vhdx->header.file_write_guid, next.sequence_number, next.file_write_guid);
    if (!same_disk)
        vhdx_derive_guid(vhdx->header.data_write_guid, next.sequence_number, next.data_write_guid);
    vhdx_make_header(&next, plan_write(sink, vhdx->source->blob, vhdx_other_header(vhdx),
                                       VHDX_HEADER_BYTES, CELL_NOTE_HEADER));
    plan_barrier(sink);
    vhdx->header = next;
    vhdx->current = !vhdx->current;
}

static void make_region(const char *guid, uint64_t offset, uint64_t length, uint8_t *out)
{
    memcpy(out, guid, VHDX_GUID_BYTES);
    store_le64(out + 16, offset);
    store_le32(out + 24, (uint32_t)length);
    store_le32(out + 28, VHDX_REQUIRED);
}

void vhdx_make_regions(const struct vhdx_fields *fields, uint8_t *out)
{
    memset(out, 0, VHDX_REGION_TABLE_BYTES);
    memcpy(out, "regi", 4);
    store_le32(out + 8, 2);
    make_region(VHDX_GUID_BAT, fields->bat_offset, fields->bat_length, out + 16);
    make_region(VHDX_GUID_METADATA, fields->metadata_offset, VHDX_MIB, out + 48);
    store_le32(out + VHDX_CHECKSUM_AT,
               crc32c_sealed(out, VHDX_REGION_TABLE_BYTES, VHDX_CHECKSUM_AT));
}

static void make_row(const char *guid, uint32_t offset, uint32_t length, uint32_t flags,
                     uint8_t *row)
{
    memset(row, 0, VHDX_METADATA_ROW_BYTES);
    memcpy(row, guid, VHDX_GUID_BYTES);
    store_le32(row + 16, offset);
    store_le32(row + 20, length);
    store_le32(row + 24, flags);
}

void vhdx_make_locator_row(uint32_t offset, uint32_t length, uint8_t *out)
{
    make_row(VHDX_GUID_PARENT, offset, length, VHDX_META_REQUIRED, out);
}

void vhdx_make_metadata_head(const struct vhdx_fields *fields, uint8_t *out)
{
    memset(out, 0, VHDX_METADATA_HEAD_BYTES);
    memcpy(out, "metadata", 8);
    store_le16(out + 10, NR_ITEMS + (fields->parent != NULL));
    for (size_t i = 0; i < NR_ITEMS; i++) {
        make_row(items[i].guid, items[i].offset, items[i].length, items[i].flags,
                 out + 32 + VHDX_METADATA_ROW_BYTES * i);
    }
    if (fields->parent)
        vhdx_make_locator_row(VHDX_METADATA_LOCATOR_AT, fields->parent->length,
                              out + 32 + VHDX_METADATA_ROW_BYTES * NR_ITEMS);
}

void vhdx_make_metadata_items(const struct vhdx_fields *f, uint8_t *out)
{
    store_le32(out, f->block_size);
    store_le32(out + 4, f->params);
    store_le64(out + 8, f->disk_size);
    memcpy(out + 16, f->disk_id, VHDX_GUID_BYTES);
    store_le32(out + 32, f->logical_sector);
    store_le32(out + 36, f->logical_sector);
}
