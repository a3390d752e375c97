/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bits of a block writer whose disk has a parent.
 */
#include "guest/formats/block_writer.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* Brings the bits of a block into memory; a block of our own starts with none. */
static enum guest_err load(struct block_writer *w, uint64_t block, struct guest_err_detail *detail)
{
    if (w->bits[block])
        return GUEST_OK;
    w->bits[block] = arena_array(w->bits_bytes, 1);
    if (!w->bits[block])
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return w->linked[block] ? w->format->load_bits(w, block, w->bits[block], detail) : GUEST_OK;
}

static void set_bit(const struct block_writer *w, uint8_t *bits, uint64_t sector)
{
    bits[sector / 8] |= (uint8_t)(w->bits_from_top ? 0x80 >> sector % 8 : 1 << sector % 8);
}

static void set_bits(const struct block_writer *w, uint8_t *bits, uint64_t first, uint64_t end)
{
    while (first < end) {
        if (first % 8 == 0 && end - first >= 8) {
            bits[first / 8] = 0xff;
            first += 8;
        } else {
            set_bit(w, bits, first++);
        }
    }
}

static bool all_set(const struct block_writer *w, const uint8_t *bits)
{
    uint64_t sectors = w->block_bytes / w->base.shape.unit;

    for (uint64_t i = 0; i < sectors / 8; i++)
        if (bits[i] != 0xff)
            return false;
    return sectors % 8 == 0;
}

static void note_set(struct block_writer *w, uint64_t block)
{
    w->nr_bits_set += !w->bits_set[block];
    w->bits_set[block] = 1;
}

enum guest_err block_bits_add(struct block_writer *w, uint64_t block, uint64_t from, uint64_t to,
                              struct guest_err_detail *detail)
{
    uint64_t sector = w->base.shape.unit;
    enum guest_err err;

    if (w->whole[block])
        return GUEST_OK;
    err = load(w, block, detail);
    if (err)
        return err;
    set_bits(w, w->bits[block], from / sector, div_round_up_u64(to, sector));
    if (!all_set(w, w->bits[block])) {
        note_set(w, block);
        return w->format->need_bits ? w->format->need_bits(w, block, detail) : GUEST_OK;
    }
    w->whole[block] = 1;
    if (!w->format->need_bits) {
        note_set(w, block);
        return GUEST_OK;
    }
    /* The BAT says it, and the bits go unread. */
    w->nr_bits_set -= w->bits_set[block];
    w->bits_set[block] = 0;
    w->stale[w->format->bat_sector(w, block)] = 1;
    free(w->bits[block]);
    w->bits[block] = NULL;
    return GUEST_OK;
}

void block_bits_yield(struct block_writer *w, uint64_t block, struct plan_sink *sink)
{
    memcpy(plan_write(sink, w->blob, w->format->bits_offset(w, block), w->bits_bytes,
                      CELL_NOTE_BITMAP),
           w->bits[block], w->bits_bytes);
    w->bits_set[block] = 0;
    w->nr_bits_set--;
    if (w->whole[block]) {
        free(w->bits[block]);
        w->bits[block] = NULL;
    }
}
