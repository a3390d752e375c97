/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block tables, and the two places in which they are found.
 *
 * The property list is searched for <data> elements, as stock does it, and not parsed as XML:
 * whatever an element means, its bytes are a block table if they begin like one.
 */
#include "guest/formats/dmg.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define PIECE_BYTES 4096u

/* ---- one table ---- */

static bool is_known(uint32_t type)
{
    switch (type) {
    case DMG_CHUNK_ZERO:
    case DMG_CHUNK_RAW:
    case DMG_CHUNK_IGNORE:
    case DMG_CHUNK_ADC:
    case DMG_CHUNK_ZLIB:
    case DMG_CHUNK_BZ2:
    case DMG_CHUNK_LZFSE:
        return true;
    default: /* comments, ends and what nobody knows */
        return false;
    }
}

static bool grow(struct dmg *dmg)
{
    uint64_t max = max_u64(64, 2 * (uint64_t)dmg->max_chunks);
    struct dmg_chunk *chunks;

    if (dmg->nr_chunks < dmg->max_chunks)
        return true;
    if (max > UINT32_MAX)
        return false;
    chunks = realloc(dmg->chunks, max * sizeof(*chunks));
    if (!chunks)
        return false;
    dmg->chunks = chunks;
    dmg->max_chunks = (uint32_t)max;
    return true;
}

/* Sums wrap round, as in stock: what does not lie in the file cannot be read. */
static enum guest_err add_chunk(struct dmg_table *t, struct guest_err_detail *detail)
{
    struct dmg *dmg = t->dmg;
    struct cursor c = cur_of(span_of(t->bytes, DMG_CHUNK_BYTES));
    struct dmg_chunk chunk = {.type = cur_be32(&c)};

    if (!is_known(chunk.type)) {
        if (!dmg->has_unknown && chunk.type != DMG_CHUNK_COMMENT && chunk.type != DMG_CHUNK_END) {
            dmg->has_unknown = true;
            dmg->unknown_type = chunk.type;
        }
        return GUEST_OK;
    }
    cur_skip(&c, 4);
    chunk.sector = cur_be64(&c) + t->first_sector;
    chunk.sector_count = cur_be64(&c);
    chunk.offset = cur_be64(&c) + t->data_offset;
    chunk.length = cur_be64(&c);
    if (chunk.type != DMG_CHUNK_ZERO && chunk.type != DMG_CHUNK_IGNORE &&
        chunk.sector_count > DMG_CHUNK_SECTORS_MAX)
        return err_numbers(detail, (enum guest_err)DMG_ERR_SECTORS, chunk.sector_count,
                           dmg->nr_chunks, DMG_CHUNK_SECTORS_MAX, 0);
    if (chunk.length > DMG_CHUNK_LENGTH_MAX)
        return err_numbers(detail, (enum guest_err)DMG_ERR_LENGTH, chunk.length, dmg->nr_chunks,
                           DMG_CHUNK_LENGTH_MAX, 0);
    if (chunk.type == DMG_CHUNK_RAW &&
        div_round_up_u64(chunk.length, DMG_SECTOR_BYTES) != chunk.sector_count)
        return err_numbers(detail, (enum guest_err)DMG_ERR_RAW_LENGTH, chunk.length, dmg->nr_chunks,
                           chunk.sector_count, 0);
    if (!grow(dmg))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    dmg->chunks[dmg->nr_chunks++] = chunk;
    return GUEST_OK;
}

static void read_head(struct dmg_table *t)
{
    t->ignored = load_be32(t->bytes) != DMG_TABLE_SIGNATURE;
    t->first_sector = load_be64(&t->bytes[8]);
    t->data_offset = load_be64(&t->bytes[24]) + t->dmg->data_fork_offset;
    t->in_chunks = true;
}

enum guest_err dmg_table_add(struct dmg_table *t, struct span bytes,
                             struct guest_err_detail *detail)
{
    for (size_t i = 0; i < bytes.len && !t->ignored; i++) {
        enum guest_err err = GUEST_OK;

        t->bytes[t->nr_bytes++] = bytes.data[i];
        if (t->nr_bytes < (t->in_chunks ? DMG_CHUNK_BYTES : DMG_TABLE_BYTES))
            continue;
        if (t->in_chunks)
            err = add_chunk(t, detail);
        else
            read_head(t);
        t->nr_bytes = 0;
        if (err)
            return err;
    }
    return GUEST_OK;
}

/* ---- the property list ---- */

/* The value of a base64 digit; 64: no digit. The padding counts as zero bits. */
static unsigned digit_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26u;
    if (c >= '0' && c <= '9')
        return c - '0' + 52u;
    return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? 0 : 64;
}

/* Whatever is no digit is passed over; digits that make up no whole group are dropped. */
static enum guest_err add_base64(struct dmg *dmg, struct span text, struct guest_err_detail *detail)
{
    struct dmg_table table;
    uint32_t group = 0;
    unsigned nr = 0, padding = 0;
    enum guest_err err = GUEST_OK;

    dmg_table_start(&table, dmg);
    for (size_t i = 0; i < text.len && !err; i++) {
        unsigned digit = digit_of(text.data[i]);
        uint8_t bytes[3];

        if (digit == 64)
            continue;
        group = group << 6 | digit;
        /* Padding counts in the last two places of a group, as one byte less each. */
        if (nr >= 2 && text.data[i] == '=')
            padding++;
        if (++nr < 4)
            continue;
        bytes[0] = (uint8_t)(group >> 16);
        bytes[1] = (uint8_t)(group >> 8);
        bytes[2] = (uint8_t)group;
        err = dmg_table_add(&table, span_of(bytes, 3 - padding), detail);
        nr = padding = 0;
    }
    return err;
}

/* The first place of a text in the list; its length when there is none. */
static size_t find(struct span list, size_t from, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = from; i + len <= list.len; i++) {
        const uint8_t *next = memchr(&list.data[i], text[0], list.len - len - i + 1);

        if (!next)
            break;
        i = (size_t)(next - list.data);
        if (memcmp(next, text, len) == 0)
            return i;
    }
    return list.len;
}

static enum guest_err add_elements(struct dmg *dmg, struct span list,
                                   struct guest_err_detail *detail)
{
    static const char begin[] = "<data>", end[] = "</data>";
    size_t at = 0;

    while ((at = find(list, at, begin)) < list.len) {
        size_t first = at + sizeof(begin) - 1, last = find(list, first, end);
        enum guest_err err;

        if (last == list.len)
            return dmg_invalid(detail);
        err = add_base64(dmg, span_of(&list.data[first], last - first), detail);
        if (err)
            return err;
        at = last + 1;
    }
    return GUEST_OK;
}

enum guest_err dmg_read_list(struct dmg *dmg, uint64_t offset, uint64_t length,
                             struct guest_err_detail *detail)
{
    enum guest_err err;
    uint8_t *list;

    if (length > DMG_XML_LENGTH_MAX)
        return dmg_invalid(detail);
    list = arena_bytes(length);
    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(dmg->source, offset, length, list, detail);
    if (!err) /* the list is text: it ends with the first zero byte */
        err = add_elements(dmg, span_of(list, strnlen((const char *)list, length)), detail);
    free(list);
    return err;
}

/* ---- the resource fork ---- */

static enum guest_err read_be32(struct dmg *dmg, uint64_t offset, uint32_t *out,
                                struct guest_err_detail *detail)
{
    uint8_t bytes[4];
    enum guest_err err = source_read_padded(dmg->source, offset, sizeof(bytes), bytes, detail);

    *out = err ? 0 : load_be32(bytes);
    return err;
}

static enum guest_err read_resource(struct dmg *dmg, uint64_t offset, uint32_t length,
                                    struct guest_err_detail *detail)
{
    struct dmg_table table;
    uint8_t piece[PIECE_BYTES];
    enum guest_err err = GUEST_OK;

    dmg_table_start(&table, dmg);
    for (uint32_t at = 0; at < length && !err && !table.ignored;) {
        uint32_t len = (uint32_t)min_u64(length - at, sizeof(piece));

        err = source_read_padded(dmg->source, offset + at, len, piece, detail);
        if (!err)
            err = dmg_table_add(&table, span_of(piece, len), detail);
        at += len;
    }
    return err;
}

enum guest_err dmg_read_resources(struct dmg *dmg, uint64_t offset, uint64_t length,
                                  struct guest_err_detail *detail)
{
    uint32_t data_offset, count;
    uint64_t end;
    enum guest_err err = read_be32(dmg, offset, &data_offset, detail);

    if (!err && data_offset > length)
        err = dmg_invalid(detail);
    if (!err)
        err = read_be32(dmg, offset + 8, &count, detail);
    if (!err && (count == 0 || (uint64_t)data_offset + count > length))
        err = dmg_invalid(detail);
    if (err)
        return err;
    offset += data_offset;
    end = offset + count;
    while (offset < end) {
        err = read_be32(dmg, offset, &count, detail);
        if (!err && (count == 0 || count > end - offset))
            err = dmg_invalid(detail);
        offset += 4;
        if (!err)
            err = read_resource(dmg, offset, count, detail);
        if (err)
            return err;
        offset += count;
    }
    return GUEST_OK;
}
