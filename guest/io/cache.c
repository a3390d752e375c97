/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of 16 KiB in a hash table, replaced by second chance.
 *
 * A walk over tables costs one exit per batch of pages, not one per entry: missing pages of a
 * request are fetched together, and when a source is being read in order the batch grows to 1 MiB.
 * Pages are allocated as they are needed, up to an eighth of the arena.
 */
#include "guest/io/cache.h"

#include <stdlib.h>

#include "guest/lib/arena.h"

#define CACHE_SLOTS_MAX 1024u
#define BATCH_PAGES_MAX 64u
#define NO_SLOT         0xffffu

struct slot {
    struct source *src; /* NULL: free */
    uint64_t page;      /* index of the page in the source */
    uint32_t
        filled; /* bytes valid from the page's start (the last page and a primed one are short) */
    uint16_t next; /* in the hash chain */
    bool used;     /* since the hand passed */
    uint8_t *bytes;
};

static struct slot slots[CACHE_SLOTS_MAX];
static uint16_t chains[CACHE_SLOTS_MAX];
static unsigned nr_slots;
static unsigned hand;
static bool ready;

/* Where in-order reading of a source was last, and how far ahead the next batch goes. */
static struct {
    struct source *src;
    uint64_t next_page;
    unsigned ahead;
} stream;

static unsigned chain_of(const struct source *src, uint64_t page)
{
    uint64_t h = ((uint64_t)(uintptr_t)src ^ page * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return (unsigned)(h >> 54) % CACHE_SLOTS_MAX;
}

static struct slot *find(const struct source *src, uint64_t page)
{
    if (!ready)
        return NULL;
    for (unsigned i = chains[chain_of(src, page)]; i != NO_SLOT; i = slots[i].next) {
        if (slots[i].src == src && slots[i].page == page) {
            slots[i].used = true;
            return &slots[i];
        }
    }
    return NULL;
}

static void unlink_slot(struct slot *victim)
{
    uint16_t index = (uint16_t)(victim - slots);
    uint16_t *link = &chains[chain_of(victim->src, victim->page)];
    while (*link != index)
        link = &slots[*link].next;
    *link = victim->next;
    victim->src = NULL;
}

/* A slot to fill: a new one while memory allows, else the next that was not used lately. */
static struct slot *take_slot(void)
{
    if (!ready) {
        for (unsigned i = 0; i < CACHE_SLOTS_MAX; i++)
            chains[i] = NO_SLOT;
        ready = true;
    }
    if (nr_slots < CACHE_SLOTS_MAX && (nr_slots < 2 * BATCH_PAGES_MAX ||
                                       arena_left_bytes() > 8ull * nr_slots * CACHE_PAGE_BYTES)) {
        uint8_t *bytes = arena_bytes(CACHE_PAGE_BYTES);
        if (bytes) {
            slots[nr_slots].bytes = bytes;
            return &slots[nr_slots++];
        }
    }
    if (nr_slots == 0)
        return NULL;
    for (;;) {
        struct slot *s = &slots[hand];
        hand = (hand + 1) % nr_slots;
        if (!s->src)
            return s;
        if (s->used) {
            s->used = false;
            continue;
        }
        unlink_slot(s);
        return s;
    }
}

static void link_slot(struct slot *s, struct source *src, uint64_t page, uint32_t filled)
{
    unsigned chain = chain_of(src, page);
    s->src = src;
    s->page = page;
    s->filled = filled;
    s->used = true;
    s->next = chains[chain];
    chains[chain] = (uint16_t)(s - slots);
}

static uint64_t page_bytes(const struct source *src, uint64_t page)
{
    return min_u64(CACHE_PAGE_BYTES, src->size_bytes - page * CACHE_PAGE_BYTES);
}

/* Fetches pages [first, end), all missing or not, skipping those that are there. */
static enum guest_err fetch(struct source *src, uint64_t first, uint64_t end,
                            struct guest_err_detail *detail)
{
    struct source_piece pieces[BATCH_PAGES_MAX];
    struct slot *taken[BATCH_PAGES_MAX];
    unsigned n = 0;
    for (uint64_t page = first; page < end && n < BATCH_PAGES_MAX; page++) {
        if (find(src, page))
            continue;
        struct slot *s = take_slot();
        if (!s)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        /* linked at once, so that a full turn of the hand cannot hand it out again */
        link_slot(s, src, page, (uint32_t)page_bytes(src, page));
        taken[n] = s;
        pieces[n] = (struct source_piece){
            .offset = page * CACHE_PAGE_BYTES, .len = s->filled, .dst = s->bytes};
        n++;
    }
    if (n == 0)
        return GUEST_OK;
    enum guest_err err = src->read(src, pieces, n, detail);
    if (err) {
        for (unsigned i = 0; i < n; i++) {
            if (taken[i]->src == src)
                unlink_slot(taken[i]);
        }
    }
    return err;
}

/* How many pages to fetch from `page` on: what is asked for, and more when reading in order. */
static uint64_t batch_end(const struct source *src, uint64_t page, uint64_t asked_end)
{
    if (stream.src == src && page == stream.next_page)
        stream.ahead = stream.ahead < BATCH_PAGES_MAX / 2 ? stream.ahead * 2 : BATCH_PAGES_MAX;
    else
        stream.ahead = 1;
    uint64_t end = max_u64(asked_end, page + stream.ahead);
    end = min_u64(end, page + BATCH_PAGES_MAX);
    end = min_u64(end, div_round_up_u64(src->size_bytes, CACHE_PAGE_BYTES));
    stream.src = (struct source *)src;
    stream.next_page = end;
    return end;
}

/* The slot that holds [within, within + len) of a page; a primed page that is too short is given
 * up. */
static struct slot *find_filled(struct source *src, uint64_t page, uint64_t within, uint64_t len)
{
    struct slot *s = find(src, page);
    if (s && min_u64(within + len, page_bytes(src, page)) > s->filled) {
        unlink_slot(s);
        return NULL;
    }
    return s;
}

enum guest_err cache_read(struct source *src, uint64_t offset, uint64_t len, void *buf,
                          struct guest_err_detail *detail)
{
    uint8_t *out = buf;
    uint64_t end_page = div_round_up_u64(offset + len, CACHE_PAGE_BYTES);
    while (len > 0) {
        uint64_t page = offset / CACHE_PAGE_BYTES;
        uint64_t within = offset % CACHE_PAGE_BYTES;
        struct slot *s = find_filled(src, page, within, len);
        if (!s) {
            enum guest_err err = fetch(src, page, batch_end(src, page, end_page), detail);
            if (err)
                return err;
            s = find(src, page);
            if (!s)
                return err_plain(detail, GUEST_ERR_NO_MEMORY);
        }
        uint64_t n = min_u64(len, s->filled - within);
        memcpy(out, s->bytes + within, n);
        out += n;
        offset += n;
        len -= n;
    }
    return GUEST_OK;
}

void cache_prime(struct source *src, struct span head)
{
    if (head.len == 0 || head.len > page_bytes(src, 0) || find(src, 0))
        return;
    struct slot *s = take_slot();
    if (!s)
        return;
    memcpy(s->bytes, head.data, head.len);
    link_slot(s, src, 0, (uint32_t)head.len);
}

void cache_forget(struct source *src)
{
    for (unsigned i = 0; i < nr_slots; i++) {
        if (slots[i].src == src)
            unlink_slot(&slots[i]);
    }
    if (stream.src == src)
        stream.src = NULL;
}
