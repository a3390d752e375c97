/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vpc_mend.h"

#include "guest/formats/vpc_make.h"
#include "guest/lib/checked.h"

enum guest_err vpc_mend_init(struct vpc_mend *mend, struct guest_err_detail *detail)
{
    uint32_t blob = mend->vpc->source->blob;

    mend->end = max_u64(mend->vpc->free_offset, mend->vpc->file_end < VPC_FOOTER_BYTES
                                                    ? 0
                                                    : mend->vpc->file_end - VPC_FOOTER_BYTES);
    mend->list = op_list_new(blob);
    mend->copies = op_list_new(blob);
    mend->entries = op_list_new(blob);
    return mend->list && mend->copies && mend->entries ? GUEST_OK
                                                       : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

void vpc_mend_clear(struct vpc_mend *mend)
{
    op_list_free(mend->list);
    op_list_free(mend->copies);
    op_list_free(mend->entries);
    mend->list = mend->copies = mend->entries = NULL;
}

enum guest_err vpc_mend_start(struct vpc_mend *mend, struct guest_err_detail *detail)
{
    return op_list_write(mend->list, 0, mend->vpc->footer_bytes, VPC_FOOTER_BYTES, CELL_NOTE_HEADER,
                         detail);
}

void vpc_mend_end(struct vpc_mend *mend)
{
    mend->end_bad = true;
}

enum guest_err vpc_mend_checksum(struct vpc_mend *mend, struct span dynamic,
                                 struct guest_err_detail *detail)
{
    uint8_t sum[4];

    store_be32(sum, vpc_checksum(dynamic, VPC_DYNAMIC_CHECKSUM));
    return op_list_write(mend->list, mend->vpc->footer.data_offset + VPC_DYNAMIC_CHECKSUM, sum,
                         sizeof(sum), CELL_NOTE_HEADER, detail);
}

static enum guest_err put_entry(struct vpc_mend *mend, uint32_t block, uint32_t entry,
                                struct guest_err_detail *detail)
{
    uint8_t bytes[VPC_BAT_ENTRY_BYTES];

    store_be32(bytes, entry);
    return op_list_write(mend->entries,
                         mend->vpc->dynamic.table_offset + (uint64_t)block * VPC_BAT_ENTRY_BYTES,
                         bytes, sizeof(bytes), CELL_NOTE_L1_TABLE, detail);
}

enum guest_err vpc_mend_forget(struct vpc_mend *mend, uint32_t block,
                               struct guest_err_detail *detail)
{
    return put_entry(mend, block, VPC_UNALLOCATED, detail);
}

enum guest_err vpc_mend_move(struct vpc_mend *mend, uint32_t block, uint64_t offset,
                             struct guest_err_detail *detail)
{
    uint64_t span = (uint64_t)mend->vpc->bitmap_bytes + mend->vpc->dynamic.block_size;
    uint64_t to = mend->end;
    enum guest_err err;

    if (to / VPC_SECTOR_BYTES >= VPC_UNALLOCATED)
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    err = op_list_copy(mend->copies, offset, to, span, CELL_NOTE_DATA, detail);
    if (!err)
        err = put_entry(mend, block, (uint32_t)(to / VPC_SECTOR_BYTES), detail);
    mend->end += span;
    mend->moves = true;
    return err;
}

enum guest_err vpc_mend_finish(struct vpc_mend *mend, struct plan **out,
                               struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    if (mend->end_bad || mend->moves)
        err = op_list_write(mend->list, mend->end, mend->vpc->footer_bytes, VPC_FOOTER_BYTES,
                            CELL_NOTE_HEADER, detail);
    if (!err && (mend->moves || !op_list_empty(mend->entries)))
        err = op_list_simple(mend->list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err)
        err = op_list_append(mend->list, mend->copies, detail);
    if (!err && mend->moves)
        err = op_list_simple(mend->list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, detail);
    if (!err)
        err = op_list_append(mend->list, mend->entries, detail);
    if (!err && !op_list_empty(mend->list)) {
        *out = op_list_plan(mend->list);
        mend->list = NULL;
    }
    return err;
}
