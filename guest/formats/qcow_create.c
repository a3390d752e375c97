/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a qcow image: header, backing file's name, an empty L1 table in whole sectors. Geometry as
 * stock chooses it: small clusters over a backing file, so that little is copied.
 */
#include "guest/formats/create_options.h"
#include "guest/formats/qcow.h"
#include "guest/plan/op_list.h"
#include "guest/lib/arena.h"

#define NAME_PIECE 128u

static void put(uint8_t *at, const struct qcow_header *h)
{
    memset(at, 0, QCOW_HEADER_BYTES);
    store_be32(&at[0], h->magic);
    store_be32(&at[4], h->version);
    store_be64(&at[8], h->backing_file_offset);
    store_be32(&at[16], h->backing_file_size);
    store_be64(&at[24], h->size);
    at[32] = h->cluster_bits;
    at[33] = h->l2_bits;
    store_be32(&at[36], h->crypt_method);
    store_be64(&at[40], h->l1_table_offset);
}

/* The passphrase goes into no header: that there is one is seen to by who has it. */
static enum guest_err find_crypt_method(const Abi__CreateRequest *request, uint32_t *out,
                                        struct guest_err_detail *detail)
{
    struct span format = {0};
    bool has_format = create_option_text(request, "encrypt.format", &format);
    bool on = create_option_number(request, "encryption", 0) != 0;

    if (!has_format && !on)
        return GUEST_OK;
    if (has_format && !span_equal_text(format, "aes"))
        return qcow_error(detail, QCOW_ERR_CREATE_ENCRYPT_FORMAT, 0);
    *out = QCOW_CRYPT_AES;
    return GUEST_OK;
}

static enum guest_err list_ops(const struct qcow_header *h, struct span backing, uint64_t end,
                               struct op_list *list, struct guest_err_detail *detail)
{
    uint8_t bytes[QCOW_HEADER_BYTES];
    enum guest_err err;

    put(bytes, h);
    err = op_list_simple(list, CELL_OP_TRUNCATE, end, 0, CELL_NOTE_FILE_SIZE, detail);
    for (size_t at = 0; !err && at < backing.len; at += NAME_PIECE) {
        uint32_t len = (uint32_t)min_u64(NAME_PIECE, backing.len - at);
        err = op_list_write(list, QCOW_HEADER_BYTES + at, &backing.data[at], len,
                            CELL_NOTE_BACKING_NAME, detail);
    }
    if (!err)
        err = op_list_simple(list, CELL_OP_ZERO, h->l1_table_offset, end - h->l1_table_offset,
                             CELL_NOTE_L1_TABLE, detail);
    if (!err)
        err = op_list_write(list, 0, bytes, sizeof(bytes), CELL_NOTE_HEADER, detail);
    return err;
}

enum guest_err qcow_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct span backing = {0};
    bool has_backing = create_option_text(request, "backing_file", &backing) && backing.len;
    struct qcow_header header = {
        .magic = QCOW_MAGIC,
        .version = 1,
        .cluster_bits = has_backing ? 9 : 12,
        .l2_bits = has_backing ? 12 : 9,
        .backing_file_offset = has_backing ? QCOW_HEADER_BYTES : 0,
        .backing_file_size = (uint32_t)min_u64(backing.len, UINT32_MAX),
    };
    uint64_t l1_entries, l1_bytes;
    struct op_list *list;
    enum guest_err err = GUEST_OK;

    if (!align_up_u64(request->size, QCOW_SECTOR_BYTES, &header.size))
        header.size = UINT64_MAX;
    if (header.size == 0)
        return qcow_error(detail, QCOW_ERR_CREATE_EMPTY, 0);
    err = find_crypt_method(request, &header.crypt_method, detail);
    if (err)
        return err;
    if (!qcow_l1_entries(header.size, (uint32_t)header.cluster_bits + header.l2_bits, &l1_entries))
        return qcow_error(detail, QCOW_ERR_SIZE_LARGE, 0);
    if (backing.len > QCOW_BACKING_NAME_MAX)
        return qcow_error(detail, QCOW_ERR_BACKING_NAME, 0);
    header.l1_table_offset = (QCOW_HEADER_BYTES + backing.len + 7) & ~7ull;
    l1_bytes =
        div_round_up_u64(l1_entries * QCOW_ENTRY_BYTES, QCOW_SECTOR_BYTES) * QCOW_SECTOR_BYTES;
    list = op_list_new(request->blob);
    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = list_ops(&header, backing, header.l1_table_offset + l1_bytes, list, detail);
    *out = op_list_plan(list);
    (*out)->file_size = header.l1_table_offset + l1_bytes;
    if (err)
        (*out)->verbs->free(*out);
    return err;
}
