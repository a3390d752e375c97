/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vdi_bmap.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err vdi_bmap_init(struct vdi_bmap *map, struct vdi *vdi, struct guest_err_detail *detail)
{
    map->vdi = vdi;
    map->nr_loaded = 0;
    map->nr_pages = (uint32_t)div_round_up_u64(vdi->header.blocks_in_image, VDI_PAGE_ENTRIES);
    map->pages = arena_array(map->nr_pages, sizeof(*map->pages));
    return map->pages ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

void vdi_bmap_clear(struct vdi_bmap *map)
{
    for (uint32_t i = 0; map->pages && i < map->nr_pages; i++)
        free(map->pages[i]);
    free(map->pages);
    map->pages = NULL;
}

/* Entries of one page: the last may have fewer. */
static uint32_t page_entries(const struct vdi_bmap *map, uint32_t number)
{
    return (uint32_t)min_u64(VDI_PAGE_ENTRIES, map->vdi->header.blocks_in_image -
                                                   (uint64_t)number * VDI_PAGE_ENTRIES);
}

static enum guest_err get_page(struct vdi_bmap *map, uint32_t index, struct vdi_page **out,
                               struct guest_err_detail *detail)
{
    uint32_t number = index / VDI_PAGE_ENTRIES, first = number * VDI_PAGE_ENTRIES;
    struct vdi_page *page;
    enum guest_err err = GUEST_OK;

    if (number >= map->nr_pages || index - first >= page_entries(map, number))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    *out = map->pages[number];
    if (*out)
        return GUEST_OK;
    page = arena_array(1, sizeof(*page));
    if (!page)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < page_entries(map, number) && !err; i++)
        err = vdi_entry(map->vdi, first + i, &page->entries[i], detail);
    if (err) {
        free(page);
        return err;
    }
    map->pages[number] = *out = page;
    map->nr_loaded++;
    return GUEST_OK;
}

enum guest_err vdi_bmap_get(struct vdi_bmap *map, uint32_t index, uint32_t *out,
                            struct guest_err_detail *detail)
{
    struct vdi_page *page;
    enum guest_err err = get_page(map, index, &page, detail);

    if (!err)
        *out = page->entries[index % VDI_PAGE_ENTRIES];
    return err;
}

enum guest_err vdi_bmap_set(struct vdi_bmap *map, uint32_t index, uint32_t entry, bool pending,
                            struct guest_err_detail *detail)
{
    uint32_t i = index % VDI_PAGE_ENTRIES;
    struct vdi_page *page;
    enum guest_err err = get_page(map, index, &page, detail);

    if (err)
        return err;
    page->entries[i] = entry;
    if (pending && !(page->pending[i / 64] & 1ull << (i % 64))) {
        page->pending[i / 64] |= 1ull << (i % 64);
        page->nr_pending++;
    }
    page->dirty = page->dirty || !pending;
    return GUEST_OK;
}

static void settle(struct vdi_page *page, uint32_t i)
{
    uint64_t bit = 1ull << (i % 64);

    if (page->pending[i / 64] & bit) {
        page->pending[i / 64] &= ~bit;
        page->nr_pending--;
        page->dirty = true;
    }
}

void vdi_bmap_settle(struct vdi_bmap *map, uint32_t index)
{
    uint32_t number = index / VDI_PAGE_ENTRIES;

    if (number < map->nr_pages && map->pages[number])
        settle(map->pages[number], index % VDI_PAGE_ENTRIES);
}

void vdi_bmap_settle_all(struct vdi_bmap *map)
{
    for (uint32_t i = 0; i < map->nr_pages; i++) {
        struct vdi_page *page = map->pages[i];

        for (uint32_t k = 0; page && page->nr_pending && k < VDI_PAGE_ENTRIES; k++)
            settle(page, k);
    }
}

uint64_t vdi_bmap_bytes(const struct vdi_bmap *map)
{
    return (uint64_t)map->nr_loaded * sizeof(struct vdi_page);
}

static void encode(const struct vdi_page *page, uint32_t nr, uint8_t *out)
{
    for (uint32_t i = 0; i < nr; i++) {
        bool pending = page->pending[i / 64] & 1ull << (i % 64);

        store_le32(out + (size_t)i * VDI_ENTRY_BYTES, pending ? VDI_UNALLOCATED : page->entries[i]);
    }
}

bool vdi_bmap_yield(struct vdi_bmap *map, uint32_t *index, uint32_t blob, struct plan_sink *sink)
{
    for (; *index < map->nr_pages; (*index)++) {
        struct vdi_page *page = map->pages[*index];
        uint64_t offset =
            map->vdi->header.offset_bmap + (uint64_t)*index * VDI_PAGE_ENTRIES * VDI_ENTRY_BYTES;
        uint64_t len = (uint64_t)page_entries(map, *index) * VDI_ENTRY_BYTES;

        if (!page || !page->dirty)
            continue;
        if (!plan_room(sink, 1, len))
            return false;
        encode(page, page_entries(map, *index),
               plan_write(sink, blob, offset, len, CELL_NOTE_BLOCK_MAP));
        page->dirty = false;
    }
    return true;
}

void vdi_bmap_drop(struct vdi_bmap *map)
{
    for (uint32_t i = 0; i < map->nr_pages; i++) {
        if (!map->pages[i] || map->pages[i]->dirty || map->pages[i]->nr_pending)
            continue;
        free(map->pages[i]);
        map->pages[i] = NULL;
        map->nr_loaded--;
    }
    vdi_forget_map(map->vdi);
}
