/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a VHDX: which of its entries are valid, and which run of them must be replayed.
 *
 * The ring is walked sector by sector. From a valid entry on, entries whose numbers follow each
 * other form a run; the run whose first number is the largest is the one that counts.
 */
#include "guest/formats/vhdx_log.h"

#include "guest/formats/vhdx.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/lib/crc32c.h"

#define ENTRY_HEADER_BYTES 64u
#define SUM_CHUNK          65536u

/* Reads from the ring: past its end comes its start. */
enum guest_err vhdx_log_read(const struct vhdx *vhdx, uint64_t at, uint64_t len, uint8_t *buf,
                             struct guest_err_detail *detail)
{
    uint64_t size = vhdx->header.log_length, first;
    enum guest_err err;

    at %= size;
    first = min_u64(len, size - at);
    err = vhdx_read(vhdx, vhdx->header.log_offset + at, first, buf, detail);
    if (!err && first < len)
        err = vhdx_read(vhdx, vhdx->header.log_offset, len - first, buf + first, detail);
    return err;
}

static bool decode_entry(const struct vhdx *vhdx, struct span bytes, struct vhdx_log_entry *out)
{
    struct cursor c = cur_of(bytes);
    bool signed_right = span_equal_text(cur_bytes(&c, 4), "loge");
    struct span guid;
    uint64_t descriptors_end;

    out->checksum = cur_le32(&c);
    out->entry_length = cur_le32(&c);
    out->tail = cur_le32(&c);
    out->sequence_number = cur_le64(&c);
    out->descriptor_count = cur_le32(&c);
    cur_skip(&c, 4);
    guid = cur_bytes(&c, VHDX_GUID_BYTES);
    out->flushed_file_offset = cur_le64(&c);
    out->last_file_offset = cur_le64(&c);
    descriptors_end =
        ENTRY_HEADER_BYTES + (uint64_t)out->descriptor_count * VHDX_LOG_DESCRIPTOR_BYTES;
    return cur_ok(&c) && signed_right && out->sequence_number != 0 &&
           out->entry_length >= VHDX_LOG_SECTOR && out->entry_length % VHDX_LOG_SECTOR == 0 &&
           out->entry_length <= vhdx->header.log_length && out->tail % VHDX_LOG_SECTOR == 0 &&
           descriptors_end <= out->entry_length &&
           span_equal(guid, span_of(vhdx->header.log_guid, VHDX_GUID_BYTES));
}

/* The checksum of an entry; `budget` bounds what a hostile log can make us sum. */
static enum guest_err sum_entry(const struct vhdx *vhdx, uint64_t at,
                                const struct vhdx_log_entry *entry, uint64_t *budget,
                                bool *out_right, struct guest_err_detail *detail)
{
    uint8_t *buf = arena_bytes(SUM_CHUNK);
    uint32_t state = CRC32C_START;
    enum guest_err err = GUEST_OK;

    if (!buf)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (entry->entry_length > *budget)
        err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    for (uint64_t done = 0; !err && done < entry->entry_length; done += SUM_CHUNK) {
        uint64_t len = min_u64(SUM_CHUNK, entry->entry_length - done);

        err = vhdx_log_read(vhdx, at + done, len, buf, detail);
        if (done == 0)
            memset(buf + VHDX_CHECKSUM_AT, 0, 4);
        if (!err)
            state = crc32c_add(state, buf, len);
    }
    if (!err)
        *budget -= entry->entry_length;
    free(buf);
    *out_right = crc32c_end(state) == entry->checksum;
    return err;
}

enum guest_err vhdx_log_entry_at(const struct vhdx *vhdx, uint64_t at, struct vhdx_log_entry *out,
                                 struct guest_err_detail *detail, bool *out_valid, uint64_t *budget)
{
    uint8_t bytes[ENTRY_HEADER_BYTES];
    enum guest_err err = vhdx_log_read(vhdx, at, sizeof(bytes), bytes, detail);

    *out_valid = false;
    if (err || !decode_entry(vhdx, span_of(bytes, sizeof(bytes)), out))
        return err;
    return sum_entry(vhdx, at, out, budget, out_valid, detail);
}

static bool has_log(const struct vhdx *vhdx)
{
    static const uint8_t none[VHDX_GUID_BYTES];

    return memcmp(vhdx->header.log_guid, none, sizeof(none)) != 0 && vhdx->header.log_length != 0;
}

static enum guest_err validate_log(const struct vhdx *vhdx, struct guest_err_detail *detail)
{
    const struct vhdx_header *header = &vhdx->header;

    if (header->log_offset < VHDX_HEADER_SECTION || header->log_offset % VHDX_MIB ||
        header->log_version != 0)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    if (has_log(vhdx) && header->log_length % VHDX_MIB)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    return GUEST_OK;
}

/* The run of entries that starts at a valid one. */
static enum guest_err follow_run(const struct vhdx *vhdx, uint64_t at,
                                 const struct vhdx_log_entry *first, struct vhdx_log_run *out,
                                 uint64_t *budget, struct guest_err_detail *detail)
{
    uint64_t size = vhdx->header.log_length, used = first->entry_length;
    uint64_t number = first->sequence_number;

    *out = (struct vhdx_log_run){.start = at, .count = 1, .first_number = number};
    while (used < size) {
        struct vhdx_log_entry entry;
        bool valid;
        enum guest_err err = vhdx_log_entry_at(vhdx, at + used, &entry, detail, &valid, budget);

        if (err)
            return err;
        if (!valid || entry.sequence_number != number + 1 || entry.entry_length > size - used)
            break;
        number = entry.sequence_number;
        used += entry.entry_length;
        out->count++;
    }
    out->length = used;
    return GUEST_OK;
}

enum guest_err vhdx_log_search(const struct vhdx *vhdx, struct vhdx_log_run *out,
                               struct guest_err_detail *detail)
{
    uint64_t size = vhdx->header.log_length, budget = 4 * size;
    uint64_t in_file = vhdx->header.log_offset < vhdx->source->size_bytes
                           ? vhdx->source->size_bytes - vhdx->header.log_offset
                           : 0;
    enum guest_err err = validate_log(vhdx, detail);

    *out = (struct vhdx_log_run){0};
    if (err || !has_log(vhdx))
        return err;
    for (uint64_t at = 0; at < min_u64(size, in_file);) {
        struct vhdx_log_entry entry;
        struct vhdx_log_run run;
        bool valid;

        err = vhdx_log_entry_at(vhdx, at, &entry, detail, &valid, &budget);
        if (err)
            return err;
        if (!valid) {
            at += VHDX_LOG_SECTOR;
            continue;
        }
        err = follow_run(vhdx, at, &entry, &run, &budget, detail);
        if (err)
            return err;
        if (out->count == 0 || run.first_number > out->first_number)
            *out = run;
        at += run.length;
    }
    return GUEST_OK;
}

enum guest_err vhdx_find_log(const struct vhdx *vhdx, bool *out_dirty,
                             struct guest_err_detail *detail)
{
    struct vhdx_log_run run;
    enum guest_err err = vhdx_log_search(vhdx, &run, detail);

    *out_dirty = run.count != 0;
    return err;
}
