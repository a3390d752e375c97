/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VHD footer and dynamic header, and every rule they must keep.
 *
 * The order of the rules is stock's, since an image that breaks several is refused with the
 * sentence of the first.
 */
#include "guest/formats/vpc.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* No file of qemu's is longer, and none of its reads: 2^63 - 1 down to a multiple of 1 GiB, and
 * 2^31 - 1 down to a sector. */
#define FILE_BYTES_MAX 0x7fffffffc0000000ull
#define READ_BYTES_MAX 0x7ffffe00ull

/* As many entries as fit into stock's table of int-counted bytes. */
#define ENTRIES_MAX (INT32_MAX / VPC_BAT_ENTRY_BYTES)

#define SCAN_BYTES 65536u

uint32_t vpc_checksum(struct span bytes, size_t checksum_at)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes.len; i++)
        if (i < checksum_at || i >= checksum_at + 4)
            sum += bytes.data[i];
    return ~sum;
}

bool vpc_decode_footer(struct span bytes, struct vpc_footer *out)
{
    struct cursor c = cur_of(bytes);
    struct span id;

    if (!span_equal_text(cur_bytes(&c, 8), "conectix"))
        return false;
    out->features = cur_be32(&c);
    out->version = cur_be32(&c);
    out->data_offset = cur_be64(&c);
    out->time_stamp = cur_be32(&c);
    id = cur_bytes(&c, sizeof(out->creator_application));
    if (id.len)
        memcpy(out->creator_application, id.data, id.len);
    cur_skip(&c, 8); /* Creator Version, Creator Host OS */
    out->original_size = cur_be64(&c);
    out->current_size = cur_be64(&c);
    out->cylinder = cur_be16(&c);
    out->heads = cur_u8(&c);
    out->sectors = cur_u8(&c);
    out->disk_type = cur_be32(&c);
    out->checksum = cur_be32(&c);
    id = cur_bytes(&c, sizeof(out->unique_id));
    if (id.len)
        memcpy(out->unique_id, id.data, id.len);
    return cur_ok(&c);
}

/* At the start of a dynamic disk, at the end of a fixed one (which may be short of a byte). */
static enum guest_err find_footer(struct vpc *vpc, struct guest_err_detail *detail)
{
    struct span bytes = span_of(vpc->footer_bytes, VPC_FOOTER_BYTES);
    uint64_t size = vpc->source->size_bytes, end;
    enum guest_err err = source_read_padded(vpc->source, 0, bytes.len, vpc->footer_bytes, detail);

    if (err)
        return err;
    vpc->has_table = vpc_decode_footer(bytes, &vpc->footer);
    if (vpc->has_table)
        return GUEST_OK;
    if (!align_up_u64(size, VPC_SECTOR_BYTES, &end) || end < VPC_FOOTER_BYTES)
        return vpc_error(detail, VPC_ERR_TOO_SMALL);
    err = source_read_padded(vpc->source, end - VPC_FOOTER_BYTES, bytes.len, vpc->footer_bytes,
                             detail);
    if (err)
        return err;
    return vpc_decode_footer(bytes, &vpc->footer) && vpc->footer.disk_type == VPC_FIXED
               ? GUEST_OK
               : vpc_error(detail, VPC_ERR_NO_FOOTER);
}

static bool made_by(const struct vpc_footer *footer, const char *application)
{
    return memcmp(footer->creator_application, application, 4) == 0;
}

/* Whether the geometry is the disk's size: programs that rounded sizes to it say who they are. */
static bool geometry_counts(const struct vpc_footer *footer, uint32_t size_rule)
{
    switch (size_rule) {
    case ABI__VPC_SIZE__VPC_SIZE_GEOMETRY:
        return true;
    case ABI__VPC_SIZE__VPC_SIZE_CURRENT:
        return false;
    case ABI__VPC_SIZE__VPC_SIZE_KNOWN_CURRENT:
        return !made_by(footer, "win ") && !made_by(footer, "qem2") && !made_by(footer, "d2v ") &&
               !made_by(footer, "tap\0") && !made_by(footer, "CTXS");
    default:
        return made_by(footer, "vpc ") || made_by(footer, "qemu");
    }
}

static enum guest_err find_size(struct node *node, const struct vpc *vpc, uint32_t size_rule,
                                struct guest_err_detail *detail)
{
    const struct vpc_footer *footer = &vpc->footer;
    uint64_t sectors = (uint64_t)footer->cylinder * footer->heads * footer->sectors;

    if (!geometry_counts(footer, size_rule) || sectors == VPC_GEOMETRY_MAX_SECTORS)
        sectors = footer->current_size / VPC_SECTOR_BYTES;
    if (sectors > VPC_SECTORS_MAX)
        return vpc_error(detail, VPC_ERR_TOO_LARGE);
    node->virtual_size = sectors * VPC_SECTOR_BYTES;
    return GUEST_OK;
}

static enum guest_err read_dynamic(struct vpc *vpc, struct guest_err_detail *detail)
{
    uint64_t offset = vpc->footer.data_offset;
    struct vpc_dynamic *dynamic = &vpc->dynamic;
    uint8_t bytes[VPC_DYNAMIC_BYTES];
    struct cursor c = cur_of(span_of(bytes, sizeof(bytes)));
    struct span id;
    enum guest_err err;

    if (!range_inside_u64(offset, sizeof(bytes), FILE_BYTES_MAX))
        return vpc_error(detail, VPC_ERR_DYNAMIC_READ);
    err = source_read_padded(vpc->source, offset, sizeof(bytes), bytes, detail);
    if (err)
        return err;
    if (!span_equal_text(cur_bytes(&c, 8), "cxsparse"))
        return vpc_error(detail, VPC_ERR_DYNAMIC_MAGIC);
    cur_skip(&c, 8); /* Data Offset */
    dynamic->table_offset = cur_be64(&c);
    dynamic->version = cur_be32(&c);
    dynamic->max_table_entries = cur_be32(&c);
    dynamic->block_size = cur_be32(&c);
    dynamic->checksum = cur_be32(&c);
    id = cur_bytes(&c, VPC_UUID_BYTES);
    if (id.len)
        memcpy(dynamic->parent_unique_id, id.data, id.len);
    dynamic->parent_time_stamp = cur_be32(&c);
    cur_skip(&c, 4);
    id = cur_bytes(&c, VPC_PARENT_NAME_BYTES);
    if (id.len)
        memcpy(dynamic->parent_unicode_name, id.data, id.len);
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        struct vpc_locator *locator = &dynamic->locator[i];

        locator->platform_code = cur_be32(&c);
        cur_skip(&c, 4); /* Platform Data Space: in sectors, or in bytes */
        locator->length = cur_be32(&c);
        cur_skip(&c, 4);
        locator->offset = cur_be64(&c);
    }
    return GUEST_OK;
}

/* What a differencing disk has besides, no block may be put over. */
static enum guest_err skip_names(struct vpc *vpc, struct guest_err_detail *detail)
{
    uint64_t end = vpc->footer.data_offset + VPC_DYNAMIC_BYTES;

    if (vpc->bitmap_bytes == 0)
        return err_numbers(detail, (enum guest_err)VPC_ERR_BLOCK_SIZE, vpc->dynamic.block_size, 0,
                           0, 0);
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const struct vpc_locator *locator = &vpc->dynamic.locator[i];

        if (locator->platform_code == 0)
            continue;
        if (!range_inside_u64(locator->offset, locator->length, vpc->source->size_bytes))
            return vpc_error(detail, VPC_ERR_PARENT_NAME);
        end = max_u64(end, locator->offset + locator->length);
    }
    (void)align_up_u64(end, VPC_SECTOR_BYTES, &end);
    vpc->free_offset = max_u64(vpc->free_offset, end);
    return GUEST_OK;
}

static enum guest_err validate_dynamic(struct vpc *vpc, uint64_t virtual_size,
                                       struct guest_err_detail *detail)
{
    const struct vpc_dynamic *dynamic = &vpc->dynamic;

    if (!is_power_of_two_u64(dynamic->block_size) || dynamic->block_size < VPC_SECTOR_BYTES)
        return err_numbers(detail, (enum guest_err)VPC_ERR_BLOCK_SIZE, dynamic->block_size, 0, 0,
                           0);
    if ((uint64_t)dynamic->block_size * dynamic->max_table_entries < virtual_size)
        return vpc_error(detail, VPC_ERR_BAT_SMALL);
    if (dynamic->max_table_entries > ENTRIES_MAX)
        return err_numbers(detail, (enum guest_err)VPC_ERR_BAT_LARGE,
                           (uint64_t)(int64_t)(int32_t)dynamic->max_table_entries, 0, 0, 0);
    /* A block of one to seven sectors has no bitmap in stock's reading. */
    vpc->bitmap_bytes =
        (uint32_t)div_round_up_u64(dynamic->block_size / (8 * VPC_SECTOR_BYTES), VPC_SECTOR_BYTES) *
        VPC_SECTOR_BYTES;
    return GUEST_OK;
}

/* Finds the end of the last block, of those that end before `limit`. */
static enum guest_err scan_bat(struct vpc *vpc, uint64_t limit, struct guest_err_detail *detail)
{
    uint64_t at = vpc->dynamic.table_offset;
    uint64_t end = at + (uint64_t)vpc->dynamic.max_table_entries * VPC_BAT_ENTRY_BYTES;
    uint64_t span = (uint64_t)vpc->bitmap_bytes + vpc->dynamic.block_size;
    uint8_t *bytes = arena_bytes(SCAN_BYTES);
    enum guest_err err = GUEST_OK;

    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (; !err && at < end; at += SCAN_BYTES) {
        uint64_t len = min_u64(SCAN_BYTES, end - at);

        err = source_read_padded(vpc->source, at, len, bytes, detail);
        for (uint64_t i = 0; !err && i < len; i += VPC_BAT_ENTRY_BYTES) {
            uint32_t entry = load_be32(&bytes[i]);

            uint64_t block_end = (uint64_t)entry * VPC_SECTOR_BYTES + span;

            if (entry != VPC_UNALLOCATED && block_end <= limit)
                vpc->free_offset = max_u64(vpc->free_offset, block_end);
        }
    }
    free(bytes);
    return err;
}

static enum guest_err read_bat(struct vpc *vpc, bool for_check, struct guest_err_detail *detail)
{
    uint64_t bytes = (uint64_t)vpc->dynamic.max_table_entries * VPC_BAT_ENTRY_BYTES;
    uint64_t offset = vpc->dynamic.table_offset, file_end;
    enum guest_err err;

    if (bytes > READ_BYTES_MAX || !range_inside_u64(offset, bytes, FILE_BYTES_MAX))
        return vpc_error(detail, VPC_ERR_BAT_READ);
    if (!align_up_u64(offset + bytes, VPC_SECTOR_BYTES, &vpc->free_offset) ||
        !align_up_u64(vpc->source->size_bytes, VPC_SECTOR_BYTES, &file_end) ||
        vpc->free_offset > file_end)
        return vpc_error(detail, VPC_ERR_TRUNCATED);
    err = scan_bat(vpc, for_check ? file_end : UINT64_MAX, detail);
    if (err)
        return err;
    return vpc->free_offset > file_end ? vpc_error(detail, VPC_ERR_TRUNCATED) : GUEST_OK;
}

static bool footer_sound(const struct vpc *vpc)
{
    return vpc_checksum(span_of(vpc->footer_bytes, VPC_FOOTER_BYTES), VPC_FOOTER_CHECKSUM) ==
           vpc->footer.checksum;
}

/* Where the footer at the start is broken, that at the end of a dynamic disk has its place. */
static enum guest_err find_other_footer(struct vpc *vpc, struct guest_err_detail *detail)
{
    uint8_t bytes[VPC_FOOTER_BYTES];
    struct vpc_footer footer;
    enum guest_err err = GUEST_OK;

    if (vpc->file_end < 2 * VPC_FOOTER_BYTES || (vpc->has_table && footer_sound(vpc)))
        return GUEST_OK;
    err = source_read_padded(vpc->source, vpc->file_end - sizeof(bytes), sizeof(bytes), bytes,
                             detail);
    if (err || !vpc_decode_footer(span_of(bytes, sizeof(bytes)), &footer) ||
        footer.disk_type == VPC_FIXED ||
        vpc_checksum(span_of(bytes, sizeof(bytes)), VPC_FOOTER_CHECKSUM) != footer.checksum)
        return err;
    memcpy(vpc->footer_bytes, bytes, sizeof(bytes));
    vpc->footer = footer;
    vpc->has_table = vpc->start_broken = true;
    return GUEST_OK;
}

enum guest_err vpc_read_header(struct node *node, uint32_t size_rule, bool for_check,
                               struct vpc *out, struct guest_err_detail *detail)
{
    enum guest_err err;

    out->source = node->source;
    if (!align_up_u64(node->source->size_bytes, VPC_SECTOR_BYTES, &out->file_end))
        return vpc_error(detail, VPC_ERR_TOO_LARGE);
    err = find_footer(out, detail);
    if (for_check && (!err || err == (enum guest_err)VPC_ERR_NO_FOOTER)) {
        enum guest_err other = find_other_footer(out, detail);

        err = out->start_broken ? other : err;
    }
    if (err)
        return err;
    if (!footer_sound(out))
        return vpc_error(detail, VPC_ERR_FOOTER_CHECKSUM);
    err = find_size(node, out, size_rule, detail);
    out->is_fixed = out->footer.disk_type == VPC_FIXED;
    if (err || !out->has_table)
        return err;
    err = read_dynamic(out, detail);
    if (!err)
        err = validate_dynamic(out, node->virtual_size, detail);
    if (!err)
        err = read_bat(out, for_check, detail);
    out->is_differencing = out->footer.disk_type == VPC_DIFFERENCING;
    if (!err && out->is_differencing)
        err = skip_names(out, detail);
    return err;
}

enum guest_err vpc_bat_entry(struct vpc *vpc, uint32_t index, uint32_t *out,
                             struct guest_err_detail *detail)
{
    uint32_t first = index - index % VPC_WINDOW_ENTRIES;

    if (!vpc->window_valid || vpc->window_first != first) {
        uint64_t entries =
            min_u64(VPC_WINDOW_ENTRIES, (uint64_t)vpc->dynamic.max_table_entries - first);
        uint64_t offset = vpc->dynamic.table_offset + (uint64_t)first * VPC_BAT_ENTRY_BYTES;
        enum guest_err err;

        vpc->window_valid = false;
        err = source_read_padded(vpc->source, offset, entries * VPC_BAT_ENTRY_BYTES, vpc->window,
                                 detail);
        if (err)
            return err;
        for (uint64_t i = 0; i < entries; i++)
            vpc->window[i] = __builtin_bswap32(vpc->window[i]);
        vpc->window_first = first;
        vpc->window_valid = true;
    }
    *out = vpc->window[index - first];
    return GUEST_OK;
}
