/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vmdk_make.h"

#include "guest/lib/checked.h"

bool vmdk_lay_out(uint64_t capacity, bool zero_grain, bool stream, struct vmdk_layout *out)
{
    uint64_t end;

    *out = (struct vmdk_layout){.capacity = capacity, .zero_grain = zero_grain, .stream = stream};
    out->tables = div_round_up_u64(capacity, VMDK_MADE_SPAN_SECTORS);
    out->gd_sectors = div_round_up_u64(out->tables * 4, VMDK_SECTOR_BYTES);
    if (stream) {
        out->gd_offset = VMDK_GD_AT_END;
        out->overhead = VMDK_MADE_GRAIN_SECTORS;
        return out->tables <= VMDK_GD_ENTRIES_MAX;
    }
    out->rgd_offset = VMDK_MADE_RGD_SECTOR;
    out->gd_offset = out->rgd_offset + out->gd_sectors + out->tables * VMDK_MADE_GT_SECTORS;
    end = out->gd_offset + out->gd_sectors + out->tables * VMDK_MADE_GT_SECTORS;
    return align_up_u64(end, VMDK_MADE_GRAIN_SECTORS, &out->overhead) &&
           out->overhead <= UINT32_MAX && out->tables <= VMDK_GD_ENTRIES_MAX;
}

void vmdk_make_header(const struct vmdk_layout *layout, uint64_t gd_offset,
                      uint8_t out[VMDK_SECTOR_BYTES])
{
    static const uint8_t newlines[] = {'\n', ' ', '\r', '\n'};
    uint32_t flags = VMDK_FLAG_NEWLINES;

    flags |= layout->stream ? VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS : VMDK_FLAG_RGD;
    flags |= layout->zero_grain ? VMDK_FLAG_ZERO_GRAIN : 0;
    memset(out, 0, VMDK_SECTOR_BYTES);
    store_le32(out, VMDK4_MAGIC);
    store_le32(out + 4, layout->stream ? 3 : layout->zero_grain ? 2 : 1);
    store_le32(out + 8, flags);
    store_le64(out + 12, layout->capacity);
    store_le64(out + 20, VMDK_MADE_GRAIN_SECTORS);
    store_le64(out + 28, 1);
    store_le64(out + 36, VMDK_DESCRIPTOR_SECTORS);
    store_le32(out + 44, VMDK_MADE_GTES);
    store_le64(out + 48, layout->rgd_offset);
    store_le64(out + 56, gd_offset);
    store_le64(out + 64, layout->overhead);
    memcpy(out + 73, newlines, sizeof(newlines));
    out[77] = layout->stream ? VMDK_COMPRESSION_DEFLATE : 0;
}

void vmdk_make_marker(uint64_t sectors, enum vmdk_marker type, uint8_t out[VMDK_SECTOR_BYTES])
{
    memset(out, 0, VMDK_SECTOR_BYTES);
    store_le64(out, sectors);
    store_le32(out + 12, (uint32_t)type);
}
