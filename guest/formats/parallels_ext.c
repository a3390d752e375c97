/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format extension of a Parallels image: its checksum, and the features in it, of which dirty
 * bitmaps are the only known ones.
 *
 * As in stock, only who reads looks at it; who writes is warned, and drops it with the first
 * change. The order of the rules is stock's, as images with pairs of faults show it (7.2 to 11.1);
 * what stock takes from behind the cluster's end, or fails an assertion over, is refused.
 */
#include "crypto/hash.h"
#include "guest/formats/parallels.h"
#include "guest/lib/arena.h"
#include "guest/plan/op_list.h"

#define CLUSTER_BYTES_MAX (64u << 20) /* of an image with an extension; real ones have 1 MiB */
#define FILE_BYTES_MAX    0x7fffffffc0000000ull
#define GRANULARITY_MAX   (1ull << 31)
#define MD5_BYTES         16u
#define EXT_BYTES_BEFORE  8u /* magic, before the checksum */

/* One feature. */
struct feature {
    uint64_t magic;
    uint64_t flags;
    uint32_t data_size;
    uint64_t data_at; /* bytes from the start of the file */
    struct span data;
};

static bool fits_file(uint64_t offset, uint64_t len)
{
    return range_inside_u64(offset, len, FILE_BYTES_MAX);
}

static bool has_bitmap(const struct parallels *p, const uint8_t *id)
{
    for (uint32_t i = 0; i < p->nr_bitmaps; i++) {
        if (memcmp(p->bitmaps[i].id, id, PARALLELS_BITMAP_ID_BYTES) == 0)
            return true;
    }
    return false;
}

/* Entries that the table of a bitmap must have. */
static uint64_t table_size_of(const struct parallels *p, uint64_t granularity)
{
    uint64_t covered, disk = p->header.nb_sectors * PARALLELS_SECTOR;

    if (!mul_u64(p->cluster_size * 8, granularity, &covered))
        covered = UINT64_MAX;
    return div_round_up_u64(disk, covered);
}

/* Entries of the L1 table lead to clusters that a file can have. */
static enum guest_err check_table(const struct parallels *p, struct cursor *c, uint32_t l1_size,
                                  struct guest_err_detail *detail)
{
    for (uint32_t i = 0; i < l1_size; i++) {
        uint64_t entry = cur_le64(c);

        if (entry > FILE_BYTES_MAX / PARALLELS_SECTOR ||
            (entry > PARALLELS_BITMAP_SET && !fits_file(entry * PARALLELS_SECTOR, p->cluster_size)))
            return parallels_error(detail, PARALLELS_ERR_BITMAP_DATA, 0);
    }
    return GUEST_OK;
}

static enum guest_err take_bitmap(struct parallels *p, const struct feature *f,
                                  struct guest_err_detail *detail)
{
    struct cursor c = cur_of(f->data);
    uint64_t size = cur_le64(&c);
    struct span id = cur_bytes(&c, PARALLELS_BITMAP_ID_BYTES);
    uint64_t granularity = cur_le32(&c) * PARALLELS_SECTOR;
    uint32_t l1_size = cur_le32(&c);
    uint8_t name[PARALLELS_BITMAP_NAME_BYTES];

    if (!cur_ok(&c) || !id.data)
        return parallels_error(detail, PARALLELS_ERR_BITMAP_SHORT, f->data.len);
    if (size != p->header.nb_sectors)
        return err_numbers(detail, (enum guest_err)PARALLELS_ERR_BITMAP_SIZE, size,
                           p->header.nb_sectors, 0, 0);
    if (l1_size * (uint64_t)PARALLELS_L1_ENTRY_BYTES > cur_left(&c))
        return parallels_error(detail, PARALLELS_ERR_BITMAP_TABLE, 0);
    if (granularity > GRANULARITY_MAX || !is_power_of_two_u64(granularity))
        return parallels_error(detail, PARALLELS_ERR_BITMAP_GRANULARITY,
                               granularity / PARALLELS_SECTOR);
    if (has_bitmap(p, id.data)) {
        parallels_bitmap_name(id.data, name);
        return err_text(detail, (enum guest_err)PARALLELS_ERR_BITMAP_TWICE,
                        span_of(name, sizeof(name)), 0);
    }
    if (l1_size != table_size_of(p, granularity))
        return err_numbers(detail, (enum guest_err)PARALLELS_ERR_BITMAP_TABLE_SIZE, l1_size,
                           table_size_of(p, granularity), 0, 0);
    if (p->nr_bitmaps == PARALLELS_BITMAPS_MAX)
        return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    struct parallels_bitmap *b = &p->bitmaps[p->nr_bitmaps++];
    memcpy(b->id, id.data, sizeof(b->id));
    b->granularity = (uint32_t)granularity;
    b->l1_size = l1_size;
    b->l1_offset = f->data_at + PARALLELS_BITMAP_BYTES;
    return check_table(p, &c, l1_size, detail);
}

/* The next feature of the cluster. */
static enum guest_err next_feature(struct cursor *c, uint64_t cluster_at, struct feature *out,
                                   struct guest_err_detail *detail)
{
    if (cur_left(c) < PARALLELS_FEATURE_BYTES)
        return parallels_error(detail, PARALLELS_ERR_EXT_SHORT, cur_left(c));
    out->magic = cur_le64(c);
    out->flags = cur_le64(c);
    out->data_size = cur_le32(c);
    cur_skip(c, 4);
    if (out->flags)
        return parallels_error(detail, PARALLELS_ERR_EXT_FLAGS, 0);
    if (out->data_size > cur_left(c))
        return parallels_error(detail, PARALLELS_ERR_EXT_DATA_SIZE, 0);
    out->data_at = cluster_at + c->pos;
    out->data = cur_bytes(c, out->data_size);
    cur_skip(c, min_u64(-(uint64_t)out->data_size % 8, cur_left(c)));
    return GUEST_OK;
}

static enum guest_err take_features(struct parallels *p, struct span cluster, uint64_t cluster_at,
                                    struct guest_err_detail *detail)
{
    struct cursor c = cur_of(cluster);
    struct feature f;
    enum guest_err err;

    cur_skip(&c, PARALLELS_EXT_HEADER_BYTES);
    for (;;) {
        err = next_feature(&c, cluster_at, &f, detail);
        if (err || f.magic == PARALLELS_FEATURE_END)
            return err;
        err = f.magic == PARALLELS_FEATURE_BITMAP
                  ? take_bitmap(p, &f, detail)
                  : parallels_error(detail, PARALLELS_ERR_EXT_FEATURE, f.magic);
        if (err)
            return err;
    }
}

static enum guest_err check_sum(struct span cluster, struct guest_err_detail *detail)
{
    uint8_t sum[CRYPTO_DIGEST_MAX];

    crypto_hash_two(CRYPTO_HASH_MD5, &cluster.data[PARALLELS_EXT_HEADER_BYTES],
                    cluster.len - PARALLELS_EXT_HEADER_BYTES, NULL, 0, sum);
    return memcmp(sum, &cluster.data[EXT_BYTES_BEFORE], MD5_BYTES) == 0
               ? GUEST_OK
               : parallels_error(detail, PARALLELS_ERR_EXT_SUM, 0);
}

static enum guest_err read_cluster(struct parallels *p, uint64_t at,
                                   struct guest_err_detail *detail)
{
    uint8_t *bytes = arena_bytes(p->cluster_size);
    struct span cluster = span_of(bytes, p->cluster_size);
    enum guest_err err;

    p->bitmaps = arena_array(PARALLELS_BITMAPS_MAX, sizeof(*p->bitmaps));
    if (bytes && p->bitmaps)
        err = source_read_padded(p->source, at, cluster.len, bytes, detail);
    else
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = check_sum(cluster, detail);
    if (!err)
        err = take_features(p, cluster, at, detail);
    free(bytes);
    return err;
}

enum guest_err parallels_read_extension(struct parallels *p, struct guest_err_detail *detail)
{
    uint64_t at = p->header.ext_off * PARALLELS_SECTOR;
    uint8_t magic[sizeof(uint64_t)];
    enum guest_err err;

    if (!fits_file(at, p->cluster_size))
        return parallels_error(detail, PARALLELS_ERR_EXT_READ, 0);
    err = source_read_padded(p->source, at, sizeof(magic), magic, detail);
    if (!err && load_le64(magic) != PARALLELS_EXT_MAGIC)
        err = parallels_error(detail, PARALLELS_ERR_EXT_MAGIC, load_le64(magic));
    if (!err && p->cluster_size > CLUSTER_BYTES_MAX)
        err = err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
    return err ? err : read_cluster(p, at, detail);
}

enum guest_err parallels_drop_extension(const struct parallels *p, struct op_list *list,
                                        struct guest_err_detail *detail)
{
    static const uint8_t none[sizeof(uint64_t)];
    enum guest_err err;

    if (p->header.ext_off == 0)
        return GUEST_OK;
    err = op_list_write(list, PARALLELS_AT_EXT_OFF, none, sizeof(none), CELL_NOTE_HEADER, detail);
    return err ? err : op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
}
