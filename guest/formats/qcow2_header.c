/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 header: decoding it, and every rule it must keep before a value of it is used.
 *
 * The order of the rules is stock's, since an image that breaks several is refused with the
 * sentence of the first. source: header section of the specification; order and ceilings seen by
 * giving stock qemu-img 7.2 images with pairs of faults.
 */
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* No file of qemu's is longer: 2^63 - 1, down to a multiple of its largest alignment. */
#define FILE_BYTES_MAX 0x7fffffffc0000000ull

static void decode_header(struct span bytes, struct qcow2_header *h)
{
    struct cursor c = cur_of(bytes);

    h->magic = cur_be32(&c);
    h->version = cur_be32(&c);
    h->backing_file_offset = cur_be64(&c);
    h->backing_file_size = cur_be32(&c);
    h->cluster_bits = cur_be32(&c);
    h->size = cur_be64(&c);
    h->crypt_method = cur_be32(&c);
    h->l1_size = cur_be32(&c);
    h->l1_table_offset = cur_be64(&c);
    h->refcount_table_offset = cur_be64(&c);
    h->refcount_table_clusters = cur_be32(&c);
    h->nb_snapshots = cur_be32(&c);
    h->snapshots_offset = cur_be64(&c);
    if (h->version == 2) {
        h->incompatible_features = 0;
        h->compatible_features = 0;
        h->autoclear_features = 0;
        h->refcount_order = 4;
        h->header_length = QCOW2_HEADER_V2_BYTES;
        h->compression_type = QCOW2_COMPRESSION_ZLIB;
        return;
    }
    h->incompatible_features = cur_be64(&c);
    h->compatible_features = cur_be64(&c);
    h->autoclear_features = cur_be64(&c);
    h->refcount_order = cur_be32(&c);
    h->header_length = cur_be32(&c);
    h->compression_type = cur_u8(&c);
    if (h->header_length <= QCOW2_HEADER_V3_BYTES)
        h->compression_type = QCOW2_COMPRESSION_ZLIB;
}

static enum guest_err validate_compression(const struct qcow2_header *h,
                                           struct guest_err_detail *detail)
{
    bool bit = h->incompatible_features & QCOW2_INCOMPAT_COMPRESSION;

    if (h->compression_type != QCOW2_COMPRESSION_ZLIB &&
        h->compression_type != QCOW2_COMPRESSION_ZSTD)
        return qcow2_error_numbers(detail, QCOW2_ERR_COMPRESSION_UNKNOWN, h->compression_type, 0,
                                   0);
    if (h->compression_type == QCOW2_COMPRESSION_ZLIB && bit)
        return qcow2_error(detail, QCOW2_ERR_COMPRESSION_BIT_SET);
    if (h->compression_type != QCOW2_COMPRESSION_ZLIB && !bit)
        return qcow2_error(detail, QCOW2_ERR_COMPRESSION_BIT_CLEAR);
    return GUEST_OK;
}

/* Everything up to the point where cluster_bits may be used as a shift. */
static enum guest_err validate_basics(const struct qcow2_header *h, struct guest_err_detail *detail)
{
    if (h->magic != QCOW2_MAGIC)
        return qcow2_error(detail, QCOW2_ERR_NOT_QCOW2);
    if (h->version != 2 && h->version != 3)
        return qcow2_error_numbers(detail, QCOW2_ERR_VERSION, h->version, 0, 0);
    if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN || h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return qcow2_error_numbers(detail, QCOW2_ERR_CLUSTER_BITS, h->cluster_bits, 0, 0);
    if (h->version == 3 && h->header_length < QCOW2_HEADER_V3_BYTES)
        return qcow2_error(detail, QCOW2_ERR_HEADER_SHORT);
    if (h->header_length > 1u << h->cluster_bits)
        return qcow2_error(detail, QCOW2_ERR_HEADER_LONG);
    if (h->backing_file_offset > 1u << h->cluster_bits)
        return qcow2_error(detail, QCOW2_ERR_BACKING_OFFSET);
    return validate_compression(h, detail);
}

static void derive_geometry(struct qcow2 *q)
{
    const struct qcow2_header *h = &q->header;

    q->cluster_size = 1ull << h->cluster_bits;
    q->extended_l2 = h->incompatible_features & QCOW2_INCOMPAT_EXTL2;
    q->has_data_file = h->incompatible_features & QCOW2_INCOMPAT_DATA_FILE;
    q->l2_entry_bytes = q->extended_l2 ? 16 : 8;
    q->l2_entries = (uint32_t)(q->cluster_size / q->l2_entry_bytes);
    q->l1_shift = h->cluster_bits + h->cluster_bits - (q->extended_l2 ? 4 : 3);
    q->subclusters = q->extended_l2 ? QCOW2_SUBCLUSTERS : 1;
    q->subcluster_bits = h->cluster_bits - (q->extended_l2 ? 5 : 0);
    q->compressed_x = 62 - (h->cluster_bits - 8);
    q->refcount_bits = 1u << h->refcount_order;
    q->refblock_entries_bits = h->cluster_bits + 3 - h->refcount_order;
}

enum guest_err qcow2_check_table(const struct qcow2 *q, uint64_t offset, uint64_t entries,
                                 uint64_t entry_bytes, uint64_t max_bytes, enum qcow2_err large,
                                 enum qcow2_err misplaced, struct guest_err_detail *detail)
{
    if (entries > max_bytes / entry_bytes)
        return qcow2_error(detail, large);
    if (!range_inside_u64(offset, entries * entry_bytes, INT64_MAX) ||
        offset % q->cluster_size != 0)
        return qcow2_error(detail, misplaced);
    return GUEST_OK;
}

static enum guest_err validate_tables(const struct qcow2 *q, bool for_check,
                                      struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &q->header;
    uint64_t needed;
    enum guest_err err;

    if (h->refcount_table_clusters == 0 && !for_check)
        return qcow2_error(detail, QCOW2_ERR_NO_REFTABLE);
    err = qcow2_check_table(q, h->refcount_table_offset, h->refcount_table_clusters,
                            q->cluster_size, QCOW2_REFTABLE_BYTES_MAX, QCOW2_ERR_REFTABLE_LARGE,
                            QCOW2_ERR_REFTABLE_OFFSET, detail);
    if (err)
        return err;
    if (!for_check) {
        err =
            qcow2_check_table(q, h->snapshots_offset, h->nb_snapshots, QCOW2_SNAPSHOT_HEADER_BYTES,
                              (uint64_t)QCOW2_SNAPSHOT_HEADER_BYTES * QCOW2_SNAPSHOTS_MAX,
                              QCOW2_ERR_SNAPSHOTS_LARGE, QCOW2_ERR_SNAPSHOTS_OFFSET, detail);
        if (err)
            return err;
    }
    err = qcow2_check_table(q, h->l1_table_offset, h->l1_size, sizeof(uint64_t), QCOW2_L1_BYTES_MAX,
                            QCOW2_ERR_L1_LARGE, QCOW2_ERR_L1_OFFSET, detail);
    if (err)
        return err;
    /* Wraps for the largest sizes, as in stock: they are refused at the end of opening. */
    needed = (h->size + (1ull << q->l1_shift) - 1) >> q->l1_shift;
    if (needed > INT32_MAX)
        return qcow2_error(detail, QCOW2_ERR_TOO_BIG);
    if (h->l1_size < needed)
        return qcow2_error(detail, QCOW2_ERR_L1_SMALL);
    return GUEST_OK;
}

enum guest_err qcow2_read_header(struct source *source, const Abi__OpenRequest *request,
                                 struct qcow2 *out, struct guest_err_detail *detail)
{
    uint8_t bytes[QCOW2_HEADER_MAX_READ];
    const struct qcow2_header *h = &out->header;
    enum guest_err err = source_read_padded(source, 0, sizeof(bytes), bytes, detail);
    uint64_t unknown;

    if (err)
        return err;
    out->source = source;
    decode_header(span_of(bytes, sizeof(bytes)), &out->header);
    err = validate_basics(h, detail);
    if (err)
        return err;
    unknown = h->incompatible_features & ~QCOW2_INCOMPAT_KNOWN;
    if (unknown)
        return qcow2_name_features(out, unknown, detail);
    if ((h->incompatible_features & QCOW2_INCOMPAT_CORRUPT) && request->read_write &&
        !request->for_check)
        return qcow2_error(detail, QCOW2_ERR_CORRUPT_READ_WRITE);
    if ((h->incompatible_features & QCOW2_INCOMPAT_EXTL2) &&
        (1u << h->cluster_bits) / QCOW2_SUBCLUSTERS < QCOW2_SECTOR_BYTES)
        return qcow2_error_numbers(detail, QCOW2_ERR_SUBCLUSTER_SIZE,
                                   (1u << h->cluster_bits) / QCOW2_SUBCLUSTERS, 0, 0);
    if (h->refcount_order > QCOW2_REFCOUNT_ORDER_MAX)
        return qcow2_error(detail, QCOW2_ERR_REFCOUNT_ORDER);
    derive_geometry(out);
    return validate_tables(out, request->for_check, detail);
}

enum guest_err qcow2_read(const struct qcow2 *q, uint64_t offset, uint64_t len, void *buf,
                          struct guest_err_detail *detail)
{
    if (!range_inside_u64(offset, len, FILE_BYTES_MAX))
        return err_numbers(detail, GUEST_ERR_IO, QCOW2_EIO, offset, 0, 0);
    return source_read_padded(q->source, offset, len, buf, detail);
}

enum guest_err qcow2_read_l1(const struct qcow2 *q, uint64_t offset, uint64_t entries,
                             uint64_t **out, struct guest_err_detail *detail)
{
    uint64_t *l1;
    enum guest_err err;

    if (!range_inside_u64(offset, entries * sizeof(*l1), FILE_BYTES_MAX))
        return qcow2_error(detail, QCOW2_ERR_L1_READ);
    l1 = arena_array(entries, sizeof(*l1));
    if (!l1)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = source_read_padded(q->source, offset, entries * sizeof(*l1), l1, detail);
    if (err) {
        free(l1);
        return err;
    }
    for (uint64_t i = 0; i < entries; i++)
        l1[i] = __builtin_bswap64(l1[i]);
    *out = l1;
    return GUEST_OK;
}
