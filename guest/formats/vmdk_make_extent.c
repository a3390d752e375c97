/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into the file of a new extent: nothing but a size, or a header and tables.
 */
#include "guest/formats/vmdk_make.h"
#include "guest/lib/checked.h"

static uint64_t file_bytes(const struct vmdk_new_extent *e, const struct vmdk_layout *layout)
{
    if (e->flat)
        return e->sectors * VMDK_SECTOR_BYTES;
    if (!layout->stream)
        return layout->overhead * VMDK_SECTOR_BYTES;
    return (layout->overhead + 1 + layout->gd_sectors + VMDK_FOOTER_SECTORS) * VMDK_SECTOR_BYTES;
}

static void yield_size(struct vmdk_new_extent *e, const struct vmdk_layout *layout,
                       struct plan_sink *sink)
{
    plan_simple(sink, CELL_OP_TRUNCATE, e->blob, file_bytes(e, layout), 0, CELL_NOTE_FILE_SIZE);
    if (e->flat)
        e->step = VMDK_EXTENT_MADE;
    else
        e->step = layout->stream || layout->tables == 0 ? VMDK_EXTENT_HEAD : VMDK_EXTENT_RGD;
}

/* Entries of the directory at `sector`, whose tables follow it. */
static void yield_directory(struct vmdk_new_extent *e, const struct vmdk_layout *layout,
                            uint64_t sector, struct plan_sink *sink)
{
    uint64_t first = sector + layout->gd_sectors;
    uint64_t nr = min_u64(layout->tables - e->entry, PLAN_CHUNK_BYTES / 4);
    uint8_t *out = plan_write(sink, e->blob, sector * VMDK_SECTOR_BYTES + e->entry * 4, nr * 4,
                              CELL_NOTE_L1_TABLE);

    for (uint64_t i = 0; i < nr; i++)
        store_le32(out + i * 4, (uint32_t)(first + (e->entry + i) * VMDK_MADE_GT_SECTORS));
    e->entry += nr;
    if (e->entry == layout->tables) {
        e->entry = 0;
        e->step++;
    }
}

/* An empty stream's end: the directory, of zeros, and the footer. */
static void yield_stream_end(const struct vmdk_new_extent *e, const struct vmdk_layout *layout,
                             struct plan_sink *sink)
{
    uint64_t marker = layout->overhead, footer = marker + 1 + layout->gd_sectors;
    uint8_t *out = plan_write(sink, e->blob, marker * VMDK_SECTOR_BYTES, VMDK_SECTOR_BYTES,
                              CELL_NOTE_L1_TABLE);

    vmdk_make_marker(layout->gd_sectors, VMDK_MARKER_GD, out);
    out = plan_write(sink, e->blob, footer * VMDK_SECTOR_BYTES,
                     VMDK_FOOTER_SECTORS * VMDK_SECTOR_BYTES, CELL_NOTE_HEADER);
    vmdk_make_marker(1, VMDK_MARKER_FOOTER, out);
    vmdk_make_header(layout, marker + 1, out + VMDK_SECTOR_BYTES);
    vmdk_make_marker(0, VMDK_MARKER_EOS, out + 2 * VMDK_SECTOR_BYTES);
}

static void yield_head(const struct vmdk_new_extent *e, const struct vmdk_layout *layout,
                       struct plan_sink *sink)
{
    vmdk_make_header(layout, layout->gd_offset,
                     plan_write(sink, e->blob, 0, VMDK_SECTOR_BYTES, CELL_NOTE_HEADER));
    if (layout->stream)
        yield_stream_end(e, layout, sink);
}

bool vmdk_make_extent(struct vmdk_new_extent *e, struct plan_sink *sink)
{
    struct vmdk_layout layout = {0};

    if (!e->flat)
        (void)vmdk_lay_out(e->sectors, e->zero_grain, e->stream, &layout);
    while (e->step != VMDK_EXTENT_MADE) {
        if (!plan_room(sink, 5, PLAN_CHUNK_BYTES))
            return false;
        switch (e->step) {
        case VMDK_EXTENT_SIZE:
            yield_size(e, &layout, sink);
            break;
        case VMDK_EXTENT_RGD:
            yield_directory(e, &layout, layout.rgd_offset, sink);
            break;
        case VMDK_EXTENT_GD:
            yield_directory(e, &layout, layout.gd_offset, sink);
            break;
        case VMDK_EXTENT_HEAD:
            yield_head(e, &layout, sink);
            e->step = VMDK_EXTENT_MADE;
            break;
        case VMDK_EXTENT_MADE:
            break;
        }
    }
    return true;
}
