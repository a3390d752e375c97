/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vhdx_mend.h"

#include "guest/formats/vhdx_make.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

enum guest_err vhdx_mend_init(struct vhdx_mend *mend, struct guest_err_detail *detail)
{
    uint32_t blob = mend->vhdx->source->blob;

    mend->end = mend->vhdx->source->size_bytes;
    mend->list = op_list_new(blob);
    mend->copies = op_list_new(blob);
    mend->entries = op_list_new(blob);
    return mend->list && mend->copies && mend->entries ? GUEST_OK
                                                       : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

void vhdx_mend_clear(struct vhdx_mend *mend)
{
    op_list_free(mend->list);
    op_list_free(mend->copies);
    op_list_free(mend->entries);
    mend->list = mend->copies = mend->entries = NULL;
}

void vhdx_mend_header(struct vhdx_mend *mend)
{
    mend->header = true;
}

enum guest_err vhdx_mend_regions(struct vhdx_mend *mend, unsigned bad,
                                 struct guest_err_detail *detail)
{
    static const uint64_t at[] = {VHDX_REGION_TABLE_OFFSET, VHDX_REGION_TABLE2_OFFSET};

    return op_list_copy(mend->copies, at[!bad], at[bad], VHDX_REGION_TABLE_BYTES, CELL_NOTE_HEADER,
                        detail);
}

void vhdx_mend_reach(struct vhdx_mend *mend, uint64_t end)
{
    mend->end = max_u64(mend->end, end);
}

static enum guest_err put_entry(struct vhdx_mend *mend, uint64_t index, uint64_t entry,
                                struct guest_err_detail *detail)
{
    uint8_t bytes[VHDX_BAT_ENTRY_BYTES];

    store_le64(bytes, entry);
    return op_list_write(mend->entries, mend->vhdx->bat_offset + index * VHDX_BAT_ENTRY_BYTES,
                         bytes, sizeof(bytes), CELL_NOTE_L1_TABLE, detail);
}

/* In a differencing disk a block that is not there would be the parent's. */
enum guest_err vhdx_mend_forget(struct vhdx_mend *mend, uint64_t index,
                                struct guest_err_detail *detail)
{
    return put_entry(mend, index,
                     mend->vhdx->params & VHDX_HAS_PARENT ? VHDX_ZERO : VHDX_NOT_PRESENT, detail);
}

enum guest_err vhdx_mend_move(struct vhdx_mend *mend, uint64_t index,
                              struct guest_err_detail *detail)
{
    uint64_t size = mend->vhdx->block_size, entry, from, to;
    enum guest_err err = vhdx_bat_entry(mend->vhdx, index, &entry, detail);

    if (err)
        return err;
    from = entry & VHDX_OFFSET_MASK;
    if (!align_up_u64(max_u64(mend->end, from + size), VHDX_MIB, &to) || to > 2 * VHDX_SIZE_MAX)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    mend->end = to + size;
    err = op_list_copy(mend->copies, from, to, size, CELL_NOTE_DATA, detail);
    return err ? err : put_entry(mend, index, to | (entry & VHDX_STATE_MASK), detail);
}

static enum guest_err put_header(struct vhdx_mend *mend, struct guest_err_detail *detail)
{
    const struct vhdx *vhdx = mend->vhdx;
    struct vhdx_header next = vhdx->header;
    uint8_t bytes[VHDX_HEADER_BYTES];
    enum guest_err err;

    next.sequence_number++;
    vhdx_derive_guid(vhdx->header.file_write_guid, next.sequence_number, next.file_write_guid);
    vhdx_make_header(&next, bytes);
    err = op_list_write(mend->list, vhdx_other_header(vhdx), bytes, sizeof(bytes), CELL_NOTE_HEADER,
                        detail);
    return err ? err : op_list_simple(mend->list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
}

enum guest_err vhdx_mend_finish(struct vhdx_mend *mend, struct plan **out,
                                struct guest_err_detail *detail)
{
    bool grows = mend->end > mend->vhdx->source->size_bytes;
    enum guest_err err;

    if (!mend->header && !grows && op_list_empty(mend->copies) && op_list_empty(mend->entries))
        return GUEST_OK;
    err = put_header(mend, detail);
    if (!err && grows)
        err =
            op_list_simple(mend->list, CELL_OP_TRUNCATE, mend->end, 0, CELL_NOTE_FILE_SIZE, detail);
    if (!err)
        err = op_list_append(mend->list, mend->copies, detail);
    if (!err)
        err = op_list_simple(mend->list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err)
        err = op_list_append(mend->list, mend->entries, detail);
    if (!err) {
        *out = op_list_plan(mend->list);
        mend->list = NULL;
    }
    return err;
}
