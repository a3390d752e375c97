/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new VDI image: header, block map, and with static=on the room of every block, which nobody
 * writes. The layout is stock's: the map in the second sector, the blocks behind it.
 */
#include "guest/formats/vdi_write.h"

#include <stdlib.h>

#include "guest/formats/create_options.h"
#include "guest/lib/checked.h"

#define RANDOM_BYTES    (2 * VDI_UUID_BYTES)
#define ENTRIES_AT_ONCE (PLAN_CHUNK_BYTES / VDI_ENTRY_BYTES)

enum phase { PHASE_HEADER, PHASE_MAP, PHASE_SIZE, PHASE_DONE };

struct create_plan {
    struct plan base;
    uint32_t blob;
    struct vdi_header header;
    uint8_t uuids[RANDOM_BYTES];
    bool is_static;
    enum phase phase;
    uint32_t index; /* of the next entry */
};

/* Random uuids of version 4, RFC 4122 section 4.4. */
static void make_uuids(struct create_plan *p, const Abi__CreateRequest *request)
{
    memcpy(p->uuids, request->random.data, RANDOM_BYTES);
    for (unsigned i = 0; i < RANDOM_BYTES; i += VDI_UUID_BYTES) {
        p->uuids[i + 6] = (uint8_t)((p->uuids[i + 6] & 0x0f) | 0x40);
        p->uuids[i + 8] = (uint8_t)((p->uuids[i + 8] & 0x3f) | 0x80);
    }
}

static void encode_header(const struct create_plan *p, uint8_t *out)
{
    static const char text[] = VDI_TEXT;
    const struct vdi_header *h = &p->header;

    memset(out, 0, VDI_HEADER_BYTES);
    memcpy(out, text, sizeof(text) - 1);
    store_le32(out + 64, VDI_SIGNATURE);
    store_le32(out + 68, VDI_VERSION);
    store_le32(out + 72, VDI_HEADER_SIZE);
    store_le32(out + VDI_AT_IMAGE_TYPE, h->image_type);
    store_le32(out + VDI_AT_OFFSET_BMAP, h->offset_bmap);
    store_le32(out + VDI_AT_OFFSET_DATA, h->offset_data);
    store_le32(out + 360, VDI_SECTOR_BYTES);
    store_le64(out + VDI_AT_DISK_SIZE, h->disk_size);
    store_le32(out + 376, VDI_BLOCK_BYTES);
    store_le32(out + VDI_AT_BLOCKS_IN_IMAGE, h->blocks_in_image);
    store_le32(out + VDI_AT_BLOCKS_ALLOCATED, h->blocks_allocated);
    memcpy(out + 392, p->uuids, RANDOM_BYTES);
}

static uint64_t whole_sectors(uint64_t bytes)
{
    return div_round_up_u64(bytes, VDI_SECTOR_BYTES) * VDI_SECTOR_BYTES;
}

/* The entries of a map of which nothing is allocated: one pattern, then zeros to the sector. */
static bool yield_empty_map(const struct create_plan *p, struct plan_sink *sink)
{
    static const uint8_t unallocated[] = {0xff, 0xff, 0xff, 0xff};
    uint64_t len = (uint64_t)p->header.blocks_in_image * VDI_ENTRY_BYTES;
    uint64_t at = p->header.offset_bmap, rest = p->header.offset_data - at - len;

    if (!plan_room(sink, 2, 0))
        return false;
    if (len)
        plan_pattern(sink, p->blob, at, len, unallocated, sizeof(unallocated), CELL_NOTE_BLOCK_MAP);
    if (rest)
        plan_simple(sink, CELL_OP_FILL, p->blob, at + len, rest, CELL_NOTE_BLOCK_MAP);
    return true;
}

static bool yield_full_map(struct create_plan *p, struct plan_sink *sink)
{
    while (p->index < p->header.blocks_in_image) {
        uint32_t nr = (uint32_t)min_u64(p->header.blocks_in_image - p->index, ENTRIES_AT_ONCE);
        uint64_t offset = p->header.offset_bmap + (uint64_t)p->index * VDI_ENTRY_BYTES;
        uint64_t len = whole_sectors((uint64_t)nr * VDI_ENTRY_BYTES);
        uint8_t *out;

        if (!plan_room(sink, 1, len))
            return false;
        out = plan_write(sink, p->blob, offset, len, CELL_NOTE_BLOCK_MAP);
        memset(out, 0, len);
        for (uint32_t i = 0; i < nr; i++)
            store_le32(out + (uint64_t)i * VDI_ENTRY_BYTES, p->index + i);
        p->index += nr;
    }
    return true;
}

static bool yield(struct create_plan *p, struct plan_sink *sink)
{
    switch (p->phase) {
    case PHASE_HEADER:
        if (!plan_room(sink, 1, VDI_HEADER_BYTES))
            return false;
        encode_header(p, plan_write(sink, p->blob, 0, VDI_HEADER_BYTES, CELL_NOTE_HEADER));
        return true;
    case PHASE_MAP:
        return p->is_static ? yield_full_map(p, sink) : yield_empty_map(p, sink);
    default: /* PHASE_SIZE */
        if (!plan_room(sink, 1, 0))
            return false;
        plan_simple(sink, CELL_OP_TRUNCATE, p->blob, p->base.file_size, 0, CELL_NOTE_FILE_SIZE);
        return true;
    }
}

static enum guest_err create_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct create_plan *p = (struct create_plan *)plan;

    (void)detail;
    while (p->phase != PHASE_DONE && yield(p, sink))
        p->phase++;
    *out_done = p->phase == PHASE_DONE;
    return GUEST_OK;
}

static void create_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs create_verbs = {create_next, create_free};

static void lay_out(struct create_plan *p, uint64_t disk_size)
{
    struct vdi_header *h = &p->header;

    h->disk_size = disk_size;
    h->blocks_in_image = (uint32_t)div_round_up_u64(disk_size, VDI_BLOCK_BYTES);
    h->blocks_allocated = p->is_static ? h->blocks_in_image : 0;
    h->image_type = p->is_static ? VDI_TYPE_STATIC : VDI_TYPE_DYNAMIC;
    h->offset_bmap = VDI_HEADER_BYTES;
    h->offset_data =
        (uint32_t)(h->offset_bmap + whole_sectors((uint64_t)h->blocks_in_image * VDI_ENTRY_BYTES));
    p->base.file_size = h->offset_data + (uint64_t)h->blocks_allocated * VDI_BLOCK_BYTES;
}

enum guest_err vdi_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail)
{
    struct create_plan *p;
    uint64_t disk_size = request->size;

    if (request->random.len < RANDOM_BYTES)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!align_up_u64(disk_size, VDI_SECTOR_BYTES, &disk_size) || disk_size > VDI_DISK_SIZE_MAX)
        return vdi_error(detail, VDI_ERR_DISK_SIZE, disk_size, VDI_DISK_SIZE_MAX);
    p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &create_verbs;
    p->blob = request->blob;
    p->is_static = create_option_number(request, "static", 0) != 0;
    make_uuids(p, request);
    lay_out(p, disk_size);
    *out = &p->base;
    return GUEST_OK;
}
