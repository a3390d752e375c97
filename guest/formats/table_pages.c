/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, changing and forgetting pieces of tables.
 */
#include "guest/formats/table_pages.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

bool table_pages_init(struct table_pages *p, const struct table_image *image)
{
    uint64_t count;

    *p = (struct table_pages){.image = *image};
    p->page_entries = min_u64(TABLE_PAGE_BYTES / image->format->entry_bytes, image->table_entries);
    p->pages_per_table = div_round_up_u64(image->table_entries, p->page_entries);
    if (!mul_u64(image->nr_tables, p->pages_per_table, &count))
        return false;
    p->pages = arena_array(count, sizeof(struct table_page *));
    return p->pages != NULL;
}

static void drop(struct table_pages *p, uint64_t index)
{
    struct table_page *page = p->pages[index];

    if (!page)
        return;
    p->used_bytes -= page->len * (page->placed ? 2ull : 1ull);
    free(page->bytes);
    free(page->placed);
    free(page);
    p->pages[index] = NULL;
}

void table_pages_clear(struct table_pages *p)
{
    for (uint64_t i = 0; p->pages && i < table_pages_count(p); i++)
        drop(p, i);
    free(p->pages);
    p->pages = NULL;
}

uint64_t table_page_offset(const struct table_pages *p, uint64_t page)
{
    uint64_t table = p->image.tables[page / p->pages_per_table];

    return table == 0
               ? 0
               : table + page % p->pages_per_table * p->page_entries * p->image.format->entry_bytes;
}

static enum guest_err load(struct table_pages *p, uint64_t index, struct guest_err_detail *detail)
{
    uint64_t first = index % p->pages_per_table * p->page_entries;
    uint64_t entries = min_u64(p->page_entries, p->image.table_entries - first);
    uint64_t offset = table_page_offset(p, index);
    struct table_page *page = arena_array(1, sizeof(*page));
    enum guest_err err = GUEST_OK;

    if (!page)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    page->len = (uint32_t)(entries * p->image.format->entry_bytes);
    page->bytes = arena_array(page->len, 1);
    if (!page->bytes)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    else if (offset)
        err = source_read_padded(p->image.source, offset, page->len, page->bytes, detail);
    if (err) {
        free(page->bytes);
        free(page);
        return err;
    }
    p->used_bytes += page->len;
    p->pages[index] = page;
    return GUEST_OK;
}

/* The page of a block, and where in it the entry is in bytes. */
static enum guest_err find(struct table_pages *p, uint64_t block, struct table_page **out,
                           uint32_t *out_at, struct guest_err_detail *detail)
{
    uint64_t table = block / p->image.table_entries, in = block % p->image.table_entries;
    uint64_t index = table * p->pages_per_table + in / p->page_entries;
    enum guest_err err = GUEST_OK;

    if (table >= p->image.nr_tables)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!p->pages[index])
        err = load(p, index, detail);
    *out = p->pages[index];
    *out_at = (uint32_t)(in % p->page_entries * p->image.format->entry_bytes);
    return err;
}

static uint64_t entry_at(const struct table_format *f, const uint8_t *at)
{
    if (f->entry_bytes == 4)
        return f->big_endian ? load_be32(at) : load_le32(at);
    return f->big_endian ? load_be64(at) : load_le64(at);
}

static void put_entry(const struct table_format *f, uint8_t *at, uint64_t entry)
{
    if (f->big_endian)
        entry = f->entry_bytes == 4 ? __builtin_bswap32((uint32_t)entry) : __builtin_bswap64(entry);
    memcpy(at, &entry, f->entry_bytes);
}

static void mark(struct table_page *page, uint32_t at, uint32_t len)
{
    bool clean = page->from == page->to;

    page->from = clean || at < page->from ? at : page->from;
    page->to = clean || at + len > page->to ? at + len : page->to;
}

enum guest_err table_pages_get(struct table_pages *p, uint64_t block, uint64_t *out_entry,
                               struct guest_err_detail *detail)
{
    struct table_page *page;
    uint32_t at;
    enum guest_err err = find(p, block, &page, &at, detail);

    if (err)
        return err;
    *out_entry = entry_at(p->image.format, &(page->placed ? page->placed : page->bytes)[at]);
    return GUEST_OK;
}

enum guest_err table_pages_set(struct table_pages *p, uint64_t block, uint64_t entry,
                               struct guest_err_detail *detail)
{
    const struct table_format *f = p->image.format;
    struct table_page *page;
    uint32_t at;
    enum guest_err err = find(p, block, &page, &at, detail);

    if (err)
        return err;
    if (page->placed)
        put_entry(f, &page->placed[at], entry);
    if (entry_at(f, &page->bytes[at]) == entry)
        return GUEST_OK;
    put_entry(f, &page->bytes[at], entry);
    mark(page, at, f->entry_bytes);
    return GUEST_OK;
}

enum guest_err table_pages_place(struct table_pages *p, uint64_t block, uint64_t entry,
                                 struct guest_err_detail *detail)
{
    struct table_page *page;
    uint32_t at;
    enum guest_err err = find(p, block, &page, &at, detail);

    if (err)
        return err;
    if (!page->placed) {
        page->placed = arena_bytes(page->len);
        if (!page->placed)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        memcpy(page->placed, page->bytes, page->len);
        p->used_bytes += page->len;
    }
    put_entry(p->image.format, &page->placed[at], entry);
    return GUEST_OK;
}

enum guest_err table_pages_confirm(struct table_pages *p, uint64_t block,
                                   struct guest_err_detail *detail)
{
    uint64_t entry;
    enum guest_err err = table_pages_get(p, block, &entry, detail);

    return err ? err : table_pages_set(p, block, entry, detail);
}

void table_pages_confirm_all(struct table_pages *p)
{
    for (uint64_t i = 0; i < table_pages_count(p); i++) {
        struct table_page *page = p->pages[i];

        if (!page || !page->placed || memcmp(page->placed, page->bytes, page->len) == 0)
            continue;
        memcpy(page->bytes, page->placed, page->len);
        mark(page, 0, page->len);
    }
}

void table_pages_written(struct table_pages *p)
{
    for (uint64_t i = 0; i < table_pages_count(p); i++) {
        struct table_page *page = p->pages[i];

        if (!page)
            continue;
        page->from = page->to = 0;
        if (!page->placed || memcmp(page->placed, page->bytes, page->len) == 0)
            drop(p, i);
    }
}
