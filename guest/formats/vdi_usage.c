/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks of a VDI file are in use: what check reports on, and what every change starts from.
 */
#include "guest/formats/vdi.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct scan {
    struct vdi_usage *usage;
    uint32_t blocks; /* of the image */
    vdi_found_fn found;
    void *user;
    uint32_t nr_found;
};

static void report(struct scan *s, enum vdi_finding code, uint64_t n0, uint64_t n1)
{
    s->nr_found++;
    if (s->found)
        s->found(s->user, code, n0, n1);
}

static void look_at(struct scan *s, uint32_t index, uint32_t entry)
{
    uint64_t bit = 1ull << (entry % 64);

    if (!vdi_is_allocated(entry))
        return;
    if (entry >= s->blocks) {
        report(s, VDI_FOUND_TOO_LARGE, index, entry);
        return;
    }
    s->usage->allocated++;
    if (s->usage->used[entry / 64] & bit)
        report(s, VDI_FOUND_SHARED, entry, 0);
    s->usage->used[entry / 64] |= bit;
    s->usage->top = (uint32_t)max_u64(s->usage->top, entry + 1ull);
}

enum guest_err vdi_usage_scan(struct vdi *vdi, uint32_t nr_bits, vdi_found_fn found, void *user,
                              struct vdi_usage *usage, struct guest_err_detail *detail)
{
    uint32_t blocks = vdi->header.blocks_in_image;
    struct scan s = {.usage = usage, .blocks = blocks, .found = found, .user = user};

    *usage = (struct vdi_usage){.nr_bits = (uint32_t)max_u64(nr_bits, blocks)};
    usage->used = arena_array(div_round_up_u64(usage->nr_bits, 64), sizeof(*usage->used));
    if (!usage->used)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < blocks; i++) {
        uint32_t entry;
        enum guest_err err = vdi_entry(vdi, i, &entry, detail);

        if (err)
            return err;
        if (s.nr_found >= VDI_FINDINGS_MAX)
            return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        look_at(&s, i, entry);
        if (s.nr_found && !found)
            return vdi_error(detail, VDI_ERR_MAP_WRONG, 0, 0);
    }
    return GUEST_OK;
}

void vdi_usage_clear(struct vdi_usage *usage)
{
    free(usage->used);
    *usage = (struct vdi_usage){0};
}

/* Whether the header, the block map and the blocks in use lie one beside the other. */
static bool areas_apart(const struct vdi *vdi, uint32_t top)
{
    uint64_t map = vdi->header.offset_bmap, data = vdi->header.offset_data;
    uint64_t map_end = map + (uint64_t)vdi->header.blocks_in_image * VDI_ENTRY_BYTES;
    uint64_t data_end = vdi_block_offset(vdi, top);

    return map >= VDI_HEADER_BYTES && data >= VDI_HEADER_BYTES &&
           (map_end <= data || data_end <= map);
}

enum guest_err vdi_usage_sound(struct vdi *vdi, uint32_t nr_bits, struct vdi_usage *usage,
                               struct guest_err_detail *detail)
{
    enum guest_err err = vdi_usage_scan(vdi, nr_bits, NULL, NULL, usage, detail);

    if (!err && !areas_apart(vdi, usage->top))
        err = vdi_error(detail, VDI_ERR_OVERLAP, 0, 0);
    return err;
}

bool vdi_usage_take(struct vdi_usage *usage, uint32_t *cursor, uint32_t *out_block)
{
    for (uint32_t i = *cursor; i < usage->nr_bits; i++) {
        uint64_t bit = 1ull << (i % 64);

        if (usage->used[i / 64] & bit)
            continue;
        usage->used[i / 64] |= bit;
        usage->top = (uint32_t)max_u64(usage->top, i + 1ull);
        *out_block = i;
        *cursor = i + 1;
        return true;
    }
    *cursor = usage->nr_bits;
    return false;
}
