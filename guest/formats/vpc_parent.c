/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent of a differencing VHD: its name, whether it is the right one, and whose a sector is.
 *
 * source: Virtual Hard Disk Image Format Specification 1.0, "Dynamic Disk Header Format" (parent
 *         locators) and "Block Allocation Table and Data Blocks" (sector bitmap)
 */
#include "guest/formats/parent_name.h"
#include "guest/formats/vpc.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define LOCATOR_BYTES_MAX 4096u

/* ---- names ---- */

/* The first name of that kind that can be read as one. */
static enum guest_err find_name(const struct vpc *vpc, uint32_t platform_code,
                                struct parent_name *out, bool *out_found,
                                struct guest_err_detail *detail)
{
    uint8_t bytes[LOCATOR_BYTES_MAX];

    for (unsigned i = 0; i < VPC_LOCATORS && !*out_found; i++) {
        const struct vpc_locator *locator = &vpc->dynamic.locator[i];
        struct span text = span_of(bytes, locator->length);
        enum guest_err err;

        if (locator->platform_code != platform_code || locator->length > sizeof(bytes))
            continue;
        err = source_read(vpc->source, locator->offset, locator->length, bytes, detail);
        if (err)
            return err;
        *out_found = platform_code == VPC_LOCATOR_MACX ? parent_name_from_url(text, out)
                                                       : parent_name_from_utf16(text, false, out);
    }
    return GUEST_OK;
}

enum guest_err vpc_add_parent(struct node *node, struct vpc *vpc, struct guest_err_detail *detail)
{
    static const uint32_t kinds[] = {VPC_LOCATOR_W2RU, VPC_LOCATOR_W2KU, VPC_LOCATOR_MACX};
    struct parent_name name;
    bool found = false;

    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        enum guest_err err = find_name(vpc, kinds[i], &name, &found, detail);

        if (err)
            return err;
    }
    if (!found)
        found = parent_name_from_utf16(
            span_of(vpc->dynamic.parent_unicode_name, VPC_PARENT_NAME_BYTES), true, &name);
    return found ? parent_name_add_ref(node, &name, detail)
                 : vpc_error(detail, VPC_ERR_PARENT_NAME);
}

enum guest_err vpc_link_backing(struct node *node, const struct node *child,
                                struct guest_err_detail *detail)
{
    if (child->driver != &format_vpc ||
        memcmp(vpc_of(child)->footer.unique_id, vpc_of(node)->dynamic.parent_unique_id,
               VPC_UUID_BYTES) != 0)
        return vpc_error(detail, VPC_ERR_PARENT_OTHER);
    return GUEST_OK;
}

/* ---- sectors ---- */

static enum guest_err load_bitmap(struct vpc *vpc, uint64_t offset, struct guest_err_detail *detail)
{
    enum guest_err err;

    if (vpc->bitmap && vpc->bitmap_offset == offset)
        return GUEST_OK;
    if (!vpc->bitmap)
        vpc->bitmap = arena_bytes(vpc->bitmap_bytes);
    if (!vpc->bitmap)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    vpc->bitmap_offset = 0;
    err = source_read_padded(vpc->source, offset, vpc->bitmap_bytes, vpc->bitmap, detail);
    if (!err)
        vpc->bitmap_offset = offset;
    return err;
}

static bool is_own(const struct vpc *vpc, uint64_t sector)
{
    return vpc->bitmap[sector / 8] & 0x80 >> sector % 8;
}

enum guest_err vpc_map_own(struct vpc *vpc, uint32_t entry, uint64_t in_block,
                           struct layer_extent *out, struct guest_err_detail *detail)
{
    enum guest_err err = load_bitmap(vpc, (uint64_t)entry * VPC_SECTOR_BYTES, detail);
    uint64_t sector = in_block / VPC_SECTOR_BYTES, end = in_block + out->length;
    bool own;

    if (err)
        return err;
    own = is_own(vpc, sector);
    do
        sector++;
    while (sector * VPC_SECTOR_BYTES < end && is_own(vpc, sector) == own);
    out->length = min_u64(end, sector * VPC_SECTOR_BYTES) - in_block;
    if (own) {
        out->kind = CELL_EXTENT_DATA;
        out->flags = CELL_EXTENT_HAS_OFFSET;
        out->offset = vpc_data_offset(vpc, entry) + in_block;
    }
    return GUEST_OK;
}
