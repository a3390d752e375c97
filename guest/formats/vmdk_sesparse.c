/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of seSparse extents.
 *
 *   OFFSET  NAME (u64 each)                      OFFSET  NAME
 *   0       magic                                80      volatile header: offset, size
 *   8       version                              96      journal header: offset, size
 *   16      capacity                             112     journal: offset, size
 *   24      grain size                           128     grain directory: offset, size
 *   32      grain table size                     144     grain tables: offset, size
 *   40      flags                                160     free bitmap: offset, size
 *   48      four reserved                        176     back map: offset, size
 *                                                192     grains: offset, size
 *   volatile header: magic, free table number, next sequence number, replay journal
 *
 * A directory entry is 0 or 0x1 in the top bits and the number of a table. A table entry's top four
 * bits say: 0 nothing, 1 unmapped, 2 zeroed, 3 a grain: its number has its low 12 bits in bits 48
 * to 59 and the others from bit 0 on.
 */
#include "guest/formats/vmdk.h"
#include "guest/lib/checked.h"

#define CONST_BYTES    208u
#define VOLATILE_BYTES 32u

static enum guest_err refuse(struct guest_err_detail *detail, enum vmdk_err code, uint64_t value)
{
    return vmdk_error(detail, code, value);
}

static enum guest_err decode_constant(struct span bytes, struct vmdk_extent *e,
                                      uint64_t *out_volatile, struct guest_err_detail *detail)
{
    uint64_t field[CONST_BYTES / 8];
    struct cursor c = cur_of(bytes);

    for (unsigned i = 0; i < CONST_BYTES / 8; i++)
        field[i] = cur_le64(&c);
    if (field[0] != SESPARSE_MAGIC)
        return refuse(detail, VMDK_ERR_SE_MAGIC, field[0]);
    if (field[1] != SESPARSE_VERSION)
        return refuse(detail, VMDK_ERR_SE_VERSION, field[1]);
    if (field[3] != SESPARSE_GRAIN_SECTORS)
        return refuse(detail, VMDK_ERR_SE_GRAIN_SIZE, field[3]);
    if (field[4] != SESPARSE_GT_SECTORS)
        return refuse(detail, VMDK_ERR_SE_GT_SIZE, field[4]);
    if (field[5] != 0)
        return refuse(detail, VMDK_ERR_SE_FLAGS, field[5]);
    if (field[6] || field[7] || field[8] || field[9])
        return err_numbers(detail, (enum guest_err)VMDK_ERR_SE_RESERVED, field[6], field[7],
                           field[8], field[9]);
    e->sectors = field[2];
    e->cluster_sectors = SESPARSE_GRAIN_SECTORS;
    e->gtes_per_gt = SESPARSE_GTES;
    e->gd_offset = field[16] * VMDK_SECTOR_BYTES;
    e->gd_entries = (uint32_t)min_u64(field[17], UINT32_MAX / 64) * (VMDK_SECTOR_BYTES / 8);
    e->se_tables = field[18];
    e->se_grains = field[24];
    *out_volatile = field[10] * VMDK_SECTOR_BYTES;
    return GUEST_OK;
}

static enum guest_err check_volatile(struct source *source, uint64_t offset,
                                     struct guest_err_detail *detail)
{
    uint8_t bytes[VOLATILE_BYTES];
    struct cursor c = cur_of(span_of(bytes, sizeof(bytes)));
    enum guest_err err = source_read_padded(source, offset, sizeof(bytes), bytes, detail);
    uint64_t magic;

    if (err)
        return err;
    magic = cur_le64(&c);
    cur_skip(&c, 16);
    if (magic != SESPARSE_VOLATILE_MAGIC)
        return refuse(detail, VMDK_ERR_SE_VOLATILE, magic);
    return cur_le64(&c) ? refuse(detail, VMDK_ERR_SE_JOURNAL, 0) : GUEST_OK;
}

enum guest_err vmdk_open_sesparse(struct vmdk_extent *e, struct guest_err_detail *detail)
{
    uint8_t bytes[CONST_BYTES];
    uint64_t volatile_offset;
    enum guest_err err;

    err = source_read_padded(e->source, 0, sizeof(bytes), bytes, detail);
    if (!err)
        err = decode_constant(span_of(bytes, sizeof(bytes)), e, &volatile_offset, detail);
    if (!err)
        err = check_volatile(e->source, volatile_offset, detail);
    return err ? err : vmdk_check_tables(e, 0, false, detail);
}
