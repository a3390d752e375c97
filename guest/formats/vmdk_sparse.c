/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of hosted sparse and COWD extents. Which rule comes first, and that table sizes are
 * cut to 32 bits, follows stock qemu-img 7.2 to 11.1 on images with one field changed.
 */
#include "guest/formats/vmdk.h"
#include "guest/lib/checked.h"

struct sparse_header {
    uint32_t version, flags;
    uint64_t capacity, grain_size, descriptor_offset;
    uint32_t gtes_per_gt;
    uint64_t rgd_offset, gd_offset, overhead;
    uint16_t compression;
};

#define HEADER_BYTES 79u

static bool decode_header(struct span bytes, struct sparse_header *h)
{
    struct cursor c = cur_of(bytes);
    uint32_t magic = cur_le32(&c);

    h->version = cur_le32(&c);
    h->flags = cur_le32(&c);
    h->capacity = cur_le64(&c);
    h->grain_size = cur_le64(&c);
    h->descriptor_offset = cur_le64(&c);
    cur_skip(&c, 8); /* descriptorSize */
    h->gtes_per_gt = cur_le32(&c);
    h->rgd_offset = cur_le64(&c);
    h->gd_offset = cur_le64(&c);
    h->overhead = cur_le64(&c);
    cur_skip(&c, 5); /* uncleanShutdown, newlines */
    h->compression = cur_le16(&c);
    return cur_ok(&c) && magic == VMDK4_MAGIC;
}

/* The real header of a stream is near its end: marker, header, end-of-stream marker. */
static enum guest_err read_footer(struct source *source, struct sparse_header *h,
                                  struct guest_err_detail *detail)
{
    uint8_t bytes[VMDK_FOOTER_SECTORS * VMDK_SECTOR_BYTES];
    uint64_t size;
    const uint8_t *eos;
    enum guest_err err;

    if (!align_up_u64(source->size_bytes, VMDK_SECTOR_BYTES, &size) || size < sizeof(bytes))
        return vmdk_error(detail, VMDK_ERR_FOOTER_READ, 0);
    err = source_read_padded(source, size - sizeof(bytes), sizeof(bytes), bytes, detail);
    if (err)
        return err;
    eos = &bytes[2 * VMDK_SECTOR_BYTES];
    if (load_le32(&bytes[8]) != 0 || load_le32(&bytes[12]) != VMDK_MARKER_FOOTER ||
        load_le64(eos) != 0 || load_le32(&eos[8]) != 0 || load_le32(&eos[12]) != VMDK_MARKER_EOS ||
        !decode_header(span_of(bytes + VMDK_SECTOR_BYTES, VMDK_SECTOR_BYTES), h))
        return vmdk_error(detail, VMDK_ERR_FOOTER, 0);
    return GUEST_OK;
}

static enum guest_err validate_header(const struct vmdk *v, const struct vmdk_extent *e,
                                      const struct sparse_header *h,
                                      struct guest_err_detail *detail)
{
    uint64_t file_bytes;

    if (h->version > VMDK_VERSION_MAX)
        return vmdk_error(detail, VMDK_ERR_VERSION, h->version);
    if (h->version == VMDK_VERSION_MAX && v->read_write &&
        h->compression != VMDK_COMPRESSION_DEFLATE)
        return vmdk_error(detail, VMDK_ERR_READ_ONLY, 0);
    if (h->gtes_per_gt > VMDK_GTES_MAX)
        return vmdk_error(detail, VMDK_ERR_GT_LARGE, 0);
    if ((uint32_t)(h->gtes_per_gt * h->grain_size) == 0)
        return vmdk_error(detail, VMDK_ERR_GT_SPAN, 0);
    if (!align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &file_bytes) ||
        file_bytes / VMDK_SECTOR_BYTES < h->overhead)
        return vmdk_error(detail, VMDK_ERR_TRUNCATED, h->overhead * VMDK_SECTOR_BYTES);
    if (h->grain_size > VMDK_GRAIN_SECTORS_MAX)
        return vmdk_error(detail, VMDK_ERR_GRANULARITY, 0);
    return GUEST_OK;
}

static enum guest_err open_hosted(struct vmdk *v, struct vmdk_extent *e, uint64_t *out_descriptor,
                                  struct guest_err_detail *detail)
{
    uint8_t bytes[HEADER_BYTES];
    struct sparse_header h = {0};
    enum guest_err err = source_read_padded(e->source, 0, sizeof(bytes), bytes, detail);
    uint64_t span_sectors;

    if (err)
        return err;
    (void)decode_header(span_of(bytes, sizeof(bytes)), &h);
    if (h.capacity == 0 && h.descriptor_offset != 0 &&
        mul_u64(h.descriptor_offset, VMDK_SECTOR_BYTES, out_descriptor))
        return GUEST_OK;
    *out_descriptor = 0;
    e->footer = h.gd_offset == VMDK_GD_AT_END;
    if (e->footer)
        err = read_footer(e->source, &h, detail);
    if (!err)
        err = validate_header(v, e, &h, detail);
    if (err)
        return err;
    span_sectors = (uint32_t)(h.gtes_per_gt * h.grain_size);
    e->sectors = h.capacity;
    e->cluster_sectors = (uint32_t)h.grain_size;
    e->gtes_per_gt = h.gtes_per_gt;
    e->gd_entries = (uint32_t)div_round_up_u64(h.capacity, span_sectors);
    e->gd_offset = h.gd_offset * VMDK_SECTOR_BYTES;
    e->compressed = h.compression == VMDK_COMPRESSION_DEFLATE;
    e->markers = h.flags & VMDK_FLAG_MARKERS;
    e->zero_grain = h.flags & VMDK_FLAG_ZERO_GRAIN;
    e->rgd_offset = h.flags & VMDK_FLAG_RGD ? h.rgd_offset * VMDK_SECTOR_BYTES : 0;
    return vmdk_check_tables(e, e->rgd_offset, e->rgd_offset != 0, detail);
}

static enum guest_err open_cowd(struct vmdk_extent *e, struct guest_err_detail *detail)
{
    uint8_t bytes[32];
    struct cursor c = cur_of(span_of(bytes, sizeof(bytes)));
    enum guest_err err = source_read_padded(e->source, 0, sizeof(bytes), bytes, detail);

    if (err)
        return err;
    cur_skip(&c, 12); /* magic, version, flags */
    e->sectors = cur_le32(&c);
    e->cluster_sectors = cur_le32(&c);
    e->gd_offset = (uint64_t)cur_le32(&c) * VMDK_SECTOR_BYTES;
    e->gd_entries = cur_le32(&c);
    e->gtes_per_gt = COWD_GTES;
    /* Stock divides by a grain of nothing, and dies of it. */
    if (e->cluster_sectors == 0 || e->cluster_sectors > VMDK_GRAIN_SECTORS_MAX)
        return vmdk_error(detail, VMDK_ERR_GRANULARITY, 0);
    return vmdk_check_tables(e, 0, false, detail);
}

enum guest_err vmdk_check_tables(const struct vmdk_extent *e, uint64_t rgd_offset, bool has_rgd,
                                 struct guest_err_detail *detail)
{
    if (e->gd_entries > VMDK_GD_ENTRIES_MAX)
        return vmdk_error(detail, VMDK_ERR_GD_LARGE, 0);
    if (e->gd_offset > INT64_MAX)
        return vmdk_error(detail, VMDK_ERR_GD_READ, 0);
    if (has_rgd && rgd_offset > INT64_MAX)
        return vmdk_error(detail, VMDK_ERR_RGD_READ, 0);
    return GUEST_OK;
}

enum guest_err vmdk_open_sparse(struct vmdk *v, struct vmdk_extent *e, uint64_t *out_descriptor,
                                struct guest_err_detail *detail)
{
    uint8_t magic[4];
    enum guest_err err;

    *out_descriptor = 0;
    if (e->source->size_bytes == 0)
        return vmdk_error(detail, VMDK_ERR_TOO_SMALL, 0);
    err = source_read_padded(e->source, 0, sizeof(magic), magic, detail);
    if (err)
        return err;
    switch (load_le32(magic)) {
    case VMDK4_MAGIC:
        return open_hosted(v, e, out_descriptor, detail);
    case COWD_MAGIC:
        return open_cowd(e, detail);
    default:
        return vmdk_error(detail, VMDK_ERR_NOT_SPARSE, 0);
    }
}
