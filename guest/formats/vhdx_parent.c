/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent of a differencing VHDX: its name, whether it is the right one, and whose a sector is.
 */
#include "guest/formats/parent_name.h"
#include "guest/formats/vhdx.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/lib/utf16.h"

#define LOCATOR_HEAD_BYTES  20u
#define LOCATOR_ENTRY_BYTES 12u
#define KEY_MAX             64u

/* ---- the locator ---- */

/* Keys of paths, the best first. */
static const char *const path_keys[] = {"relative_path", "absolute_win32_path", "volume_path"};
#define NR_PATHS (sizeof(path_keys) / sizeof(path_keys[0]))

/* What of a locator is looked for. */
struct found {
    struct span path[NR_PATHS]; /* UTF-16LE; len 0: not there */
    struct span linkage[2];
};

static bool key_is(struct span key, const char *wanted)
{
    uint8_t text[KEY_MAX];
    size_t len;

    return utf16_to_utf8(key, false, text, sizeof(text), &len) &&
           span_equal_text(span_of(text, len), wanted);
}

static enum guest_err take_pair(struct span locator, struct cursor *c, struct found *out,
                                struct guest_err_detail *detail)
{
    uint32_t key_offset = cur_le32(c), value_offset = cur_le32(c);
    uint16_t key_length = cur_le16(c), value_length = cur_le16(c);
    struct span key, value;

    if (!cur_ok(c) || !span_sub(locator, key_offset, key_length, &key) ||
        !span_sub(locator, value_offset, value_length, &value))
        return vhdx_error(detail, VHDX_ERR_INVALID);
    for (unsigned i = 0; i < NR_PATHS; i++)
        if (key_is(key, path_keys[i]))
            out->path[i] = value;
    if (key_is(key, "parent_linkage"))
        out->linkage[0] = value;
    if (key_is(key, "parent_linkage2"))
        out->linkage[1] = value;
    return GUEST_OK;
}

static enum guest_err read_pairs(struct span locator, struct found *out,
                                 struct guest_err_detail *detail)
{
    struct cursor c = cur_of(locator);
    struct span type = cur_bytes(&c, VHDX_GUID_BYTES);
    enum guest_err err = GUEST_OK;
    uint16_t count;

    cur_skip(&c, 2);
    count = cur_le16(&c);
    if (!cur_ok(&c) || !span_equal(type, span_of(VHDX_GUID_LOCATOR_TYPE, VHDX_GUID_BYTES)))
        return vhdx_error(detail, VHDX_ERR_INVALID);
    for (uint16_t i = 0; !err && i < count; i++)
        err = take_pair(locator, &c, out, detail);
    return err;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A GUID as text, {00112233-4455-...}: the first three numbers are little-endian in the file. */
static bool parse_guid(struct span value, uint8_t *out)
{
    static const uint8_t place[VHDX_GUID_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                   8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t text[64];
    size_t len, at = 0;

    if (!utf16_to_utf8(value, false, text, sizeof(text), &len))
        return false;
    for (unsigned i = 0; i < VHDX_GUID_BYTES; i++) {
        int high, low;

        while (at < len && (text[at] == '{' || text[at] == '-'))
            at++;
        high = at + 1 < len ? hex_digit(text[at]) : -1;
        low = high < 0 ? -1 : hex_digit(text[at + 1]);
        if (low < 0)
            return false;
        out[place[i]] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

static enum guest_err take_found(struct node *node, const struct found *found,
                                 struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    struct parent_name name;

    for (unsigned i = 0; i < 2; i++)
        if (parse_guid(found->linkage[i], vhdx->parent_linkage[vhdx->nr_linkages]))
            vhdx->nr_linkages++;
    if (vhdx->nr_linkages == 0)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    for (unsigned i = 0; i < NR_PATHS; i++)
        if (parent_name_from_utf16(found->path[i], false, &name))
            return parent_name_add_ref(node, &name, detail);
    return vhdx_error(detail, VHDX_ERR_INVALID);
}

enum guest_err vhdx_add_parent(struct node *node, struct guest_err_detail *detail)
{
    struct vhdx *vhdx = vhdx_of(node);
    const struct vhdx_metadata_entry *item = &vhdx->items[VHDX_ITEM_PARENT];
    struct found found = {0};
    uint64_t offset;
    uint8_t *bytes;
    enum guest_err err;

    if (item->length < LOCATOR_HEAD_BYTES || item->length > VHDX_LOCATOR_MAX ||
        !add_u64(vhdx->metadata_offset, item->offset, &offset))
        return vhdx_error(detail, VHDX_ERR_INVALID);
    bytes = arena_bytes(item->length);
    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = vhdx_read(vhdx, offset, item->length, bytes, detail);
    if (!err)
        err = read_pairs(span_of(bytes, item->length), &found, detail);
    if (!err)
        err = take_found(node, &found, detail);
    free(bytes);
    return err;
}

enum guest_err vhdx_link_backing(struct node *node, const struct node *child,
                                 struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = vhdx_of(node);

    for (unsigned i = 0; child->driver == &format_vhdx && i < vhdx->nr_linkages; i++)
        if (memcmp(vhdx->parent_linkage[i], vhdx_of(child)->header.data_write_guid,
                   VHDX_GUID_BYTES) == 0)
            return GUEST_OK;
    return vhdx_error(detail, VHDX_ERR_PARENT_OTHER);
}

/* ---- sectors ---- */

enum guest_err vhdx_find_bits(struct vhdx *vhdx, uint64_t block, uint64_t *out, bool *out_present,
                              struct guest_err_detail *detail)
{
    uint64_t entry;
    enum guest_err err = vhdx_bat_entry(vhdx, vhdx_bitmap_index(vhdx, block), &entry, detail);

    if (err)
        return err;
    *out_present = (entry & VHDX_STATE_MASK) == VHDX_BITMAP_PRESENT;
    *out = (entry & VHDX_OFFSET_MASK) + block % vhdx->chunk_ratio * vhdx_bitmap_bytes(vhdx);
    return GUEST_OK;
}

static enum guest_err load_bits(struct vhdx *vhdx, uint64_t offset, struct guest_err_detail *detail)
{
    uint32_t len = vhdx_bitmap_bytes(vhdx);
    enum guest_err err;

    if (vhdx->bitmap && vhdx->bitmap_offset == offset)
        return GUEST_OK;
    if (!vhdx->bitmap)
        vhdx->bitmap = arena_bytes(len);
    if (!vhdx->bitmap)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    vhdx->bitmap_offset = 0;
    err = vhdx_read(vhdx, offset, len, vhdx->bitmap, detail);
    if (!err)
        vhdx->bitmap_offset = offset;
    return err;
}

static bool is_own(const struct vhdx *vhdx, uint64_t sector)
{
    return vhdx->bitmap[sector / 8] >> sector % 8 & 1;
}

enum guest_err vhdx_map_partial(struct vhdx *vhdx, uint64_t block, uint64_t in_block,
                                struct layer_extent *out, struct guest_err_detail *detail)
{
    uint64_t sector = in_block / vhdx->logical_sector, end = in_block + out->length, offset;
    bool present = false, own;
    enum guest_err err = GUEST_OK;

    if (vhdx->params & VHDX_HAS_PARENT)
        err = vhdx_find_bits(vhdx, block, &offset, &present, detail);
    if (!err && !present)
        out->flags |= CELL_EXTENT_BROKEN;
    if (!err && present)
        err = load_bits(vhdx, offset, detail);
    if (err || !present)
        return err;
    own = is_own(vhdx, sector);
    do
        sector++;
    while (sector * vhdx->logical_sector < end && is_own(vhdx, sector) == own);
    out->length = min_u64(end, sector * vhdx->logical_sector) - in_block;
    out->kind = own ? CELL_EXTENT_DATA : CELL_EXTENT_HOLE;
    out->flags = own ? CELL_EXTENT_OPAQUE | CELL_EXTENT_HAS_OFFSET : 0;
    return GUEST_OK;
}
