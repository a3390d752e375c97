/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first MiB of a VHDX: identifier, the two headers, the region table.
 */
#include "guest/formats/vhdx.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/lib/crc32c.h"

enum guest_err vhdx_read(const struct vhdx *vhdx, uint64_t offset, uint64_t len, void *buf,
                         struct guest_err_detail *detail)
{
    if (!range_inside_u64(offset, len, VHDX_FILE_BYTES_MAX))
        return vhdx_error(detail, VHDX_ERR_IO);
    return source_read_padded(vhdx->source, offset, len, buf, detail);
}

/* ---- headers ---- */

static void take_guid(struct cursor *c, uint8_t *out)
{
    struct span guid = cur_bytes(c, VHDX_GUID_BYTES);

    if (guid.len)
        memcpy(out, guid.data, guid.len);
}

/* False unless it is whole and of a version that we know. */
static bool decode_header(struct span bytes, struct vhdx_header *out)
{
    struct cursor c = cur_of(bytes);
    bool signed_right = span_equal_text(cur_bytes(&c, 4), "head");
    uint32_t checksum = cur_le32(&c);

    out->sequence_number = cur_le64(&c);
    take_guid(&c, out->file_write_guid);
    take_guid(&c, out->data_write_guid);
    take_guid(&c, out->log_guid);
    out->log_version = cur_le16(&c);
    out->version = cur_le16(&c);
    out->log_length = cur_le32(&c);
    out->log_offset = cur_le64(&c);
    return cur_ok(&c) && signed_right && out->version == 1 &&
           crc32c_sealed(bytes.data, bytes.len, VHDX_CHECKSUM_AT) == checksum;
}

/* The valid header with the larger number; of two with the same number, if they are the same. */
static enum guest_err choose_header(struct vhdx *vhdx, uint8_t *bytes,
                                    struct guest_err_detail *detail)
{
    struct span at[2] = {span_of(bytes, VHDX_HEADER_BYTES),
                         span_of(bytes + VHDX_HEADER_BYTES, VHDX_HEADER_BYTES)};
    struct vhdx_header header[2];
    bool valid[2] = {decode_header(at[0], &header[0]), decode_header(at[1], &header[1])};

    if (!valid[0] && !valid[1])
        return vhdx_error(detail, VHDX_ERR_NO_HEADER);
    if (valid[0] && valid[1] && header[0].sequence_number == header[1].sequence_number &&
        !span_equal(at[0], at[1]))
        return vhdx_error(detail, VHDX_ERR_NO_HEADER);
    vhdx->current =
        !valid[0] || (valid[1] && header[1].sequence_number > header[0].sequence_number);
    vhdx->header = header[vhdx->current];
    vhdx->other_bad = !valid[!vhdx->current];
    return GUEST_OK;
}

static enum guest_err take(struct vhdx *vhdx, uint64_t start, uint64_t length,
                           struct guest_err_detail *detail)
{
    enum guest_err err = vhdx_check_free(vhdx, start, length, detail);

    if (!err)
        vhdx->taken[vhdx->nr_taken++] = (struct vhdx_extent){.start = start, .end = start + length};
    return err;
}

enum guest_err vhdx_read_headers(struct vhdx *vhdx, struct guest_err_detail *detail)
{
    uint8_t *bytes = arena_bytes(2ull * VHDX_HEADER_BYTES);
    uint8_t signature[8];
    enum guest_err err;

    vhdx->taken = arena_array(VHDX_ENTRIES_MAX + 1, sizeof(*vhdx->taken));
    if (!bytes || !vhdx->taken) {
        free(bytes);
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    err = vhdx_read(vhdx, 0, sizeof(signature), signature, detail);
    if (!err && !span_equal_text(span_of(signature, sizeof(signature)), "vhdxfile"))
        err = vhdx_error(detail, VHDX_ERR_INVALID);
    if (!err)
        err = vhdx_read(vhdx, VHDX_HEADER1_OFFSET, VHDX_HEADER_BYTES, bytes, detail);
    if (!err)
        err = vhdx_read(vhdx, VHDX_HEADER2_OFFSET, VHDX_HEADER_BYTES, bytes + VHDX_HEADER_BYTES,
                        detail);
    if (!err)
        err = choose_header(vhdx, bytes, detail);
    free(bytes);
    if (!err)
        err = take(vhdx, vhdx->header.log_offset, vhdx->header.log_length, detail);
    return err;
}

/* ---- regions ---- */

enum guest_err vhdx_check_free(const struct vhdx *vhdx, uint64_t start, uint64_t length,
                               struct guest_err_detail *detail)
{
    uint64_t end = start + length;

    for (uint32_t i = vhdx->nr_taken; i-- > 0;) {
        const struct vhdx_extent *other = &vhdx->taken[i];

        if (start < other->end && end > other->start)
            return err_numbers(detail, (enum guest_err)VHDX_LINE_REGION, start, end, other->start,
                               other->end);
    }
    return GUEST_OK;
}

static enum guest_err take_region(struct vhdx *vhdx, struct cursor *c, bool *has_bat,
                                  bool *has_metadata, struct guest_err_detail *detail)
{
    struct span guid = cur_bytes(c, VHDX_GUID_BYTES);
    uint64_t offset = cur_le64(c);
    uint32_t length = cur_le32(c), required = cur_le32(c);
    bool is_bat = span_equal(guid, span_of(VHDX_GUID_BAT, VHDX_GUID_BYTES));
    bool is_metadata = span_equal(guid, span_of(VHDX_GUID_METADATA, VHDX_GUID_BYTES));
    enum guest_err err = take(vhdx, offset, length, detail);

    if (err)
        return err;
    if ((is_bat && *has_bat) || (is_metadata && *has_metadata))
        return vhdx_error(detail, VHDX_ERR_INVALID);
    if (is_bat) {
        *has_bat = true;
        vhdx->bat_offset = offset;
        vhdx->bat_length = length;
    } else if (is_metadata) {
        *has_metadata = true;
        vhdx->metadata_offset = offset;
        vhdx->metadata_length = length;
    } else if (required & VHDX_REQUIRED) {
        return vhdx_error(detail, VHDX_ERR_NOT_SUPPORTED);
    }
    return GUEST_OK;
}

static enum guest_err decode_regions(struct vhdx *vhdx, struct span bytes,
                                     struct guest_err_detail *detail)
{
    struct cursor c = cur_of(bytes);
    bool signed_right = span_equal_text(cur_bytes(&c, 4), "regi");
    uint32_t checksum = cur_le32(&c), count = cur_le32(&c);
    bool has_bat = false, has_metadata = false;
    enum guest_err err = GUEST_OK;

    cur_skip(&c, 4);
    if (!signed_right || count > VHDX_ENTRIES_MAX ||
        crc32c_sealed(bytes.data, bytes.len, VHDX_CHECKSUM_AT) != checksum)
        return vhdx_error(detail, VHDX_ERR_INVALID);
    for (uint32_t i = 0; !err && i < count; i++)
        err = take_region(vhdx, &c, &has_bat, &has_metadata, detail);
    if (!err && !(has_bat && has_metadata))
        err = vhdx_error(detail, VHDX_ERR_INVALID);
    return err;
}

static enum guest_err read_table(struct vhdx *vhdx, uint64_t offset, uint8_t *bytes,
                                 struct guest_err_detail *detail)
{
    enum guest_err err = vhdx_read(vhdx, offset, VHDX_REGION_TABLE_BYTES, bytes, detail);

    vhdx->nr_taken = 1; /* the log */
    return err ? err : decode_regions(vhdx, span_of(bytes, VHDX_REGION_TABLE_BYTES), detail);
}

/* Looks at the copy as well: it must say the same, and counts where the first is broken. */
static enum guest_err compare_tables(struct vhdx *vhdx, enum guest_err first, uint8_t *bytes,
                                     struct guest_err_detail *detail)
{
    uint8_t *copy = arena_bytes(VHDX_REGION_TABLE_BYTES);
    struct guest_err_detail unused;
    enum guest_err err;

    if (!copy)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (first) {
        err = read_table(vhdx, VHDX_REGION_TABLE2_OFFSET, copy, &unused);
        vhdx->regions_bad[0] = !err;
        err = err ? first : GUEST_OK;
    } else {
        err = vhdx_read(vhdx, VHDX_REGION_TABLE2_OFFSET, VHDX_REGION_TABLE_BYTES, copy, detail);
        vhdx->regions_bad[1] = !err && memcmp(bytes, copy, VHDX_REGION_TABLE_BYTES) != 0;
    }
    free(copy);
    return err;
}

enum guest_err vhdx_read_regions(struct vhdx *vhdx, bool for_check, struct guest_err_detail *detail)
{
    uint8_t *bytes = arena_bytes(VHDX_REGION_TABLE_BYTES);
    enum guest_err err;

    if (!bytes)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = read_table(vhdx, VHDX_REGION_TABLE_OFFSET, bytes, detail);
    if (for_check)
        err = compare_tables(vhdx, err, bytes, detail);
    free(bytes);
    return err;
}
