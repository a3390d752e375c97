/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a Parallels image with the newer magic: header and an empty BAT, up to a whole cluster.
 */
#include "guest/formats/create_options.h"
#include "guest/formats/parallels.h"
#include "guest/lib/arena.h"
#include "guest/plan/op_list.h"

#define CLUSTER_SIZE_DEFAULT (1u << 20)
#define HEADS                16u
#define SECTORS_PER_TRACK    32u

enum guest_err parallels_create(const Abi__CreateRequest *request, struct plan **out,
                                struct guest_err_detail *detail)
{
    uint64_t cluster = create_option_number(request, "cluster_size", CLUSTER_SIZE_DEFAULT);
    uint64_t sectors = div_round_up_u64(request->size, PARALLELS_SECTOR), entries, end;
    uint8_t bytes[PARALLELS_HEADER_BYTES] = {0};
    struct op_list *list;
    enum guest_err err;

    /* What 64 bits do not hold is 0, as in stock: no disk fits clusters of that size. */
    cluster = (cluster + PARALLELS_SECTOR - 1) / PARALLELS_SECTOR * PARALLELS_SECTOR;
    if (cluster > INT32_MAX)
        return parallels_error(detail, PARALLELS_ERR_CREATE_CLUSTER, 0);
    if (request->size >> 32 >= cluster)
        return parallels_error(detail, PARALLELS_ERR_CREATE_FACTOR, 0);
    entries = div_round_up_u64(request->size, cluster);
    if (entries > PARALLELS_BAT_MAX)
        return parallels_error(detail, PARALLELS_ERR_CREATE_SIZE, 0);
    if (cluster > PARALLELS_TRACKS_MAX * PARALLELS_SECTOR) /* nobody would open it */
        return parallels_error(detail, PARALLELS_ERR_CREATE_CLUSTER, 0);
    end = div_round_up_u64(PARALLELS_HEADER_BYTES + entries * PARALLELS_ENTRY_BYTES, cluster) *
          cluster;
    memcpy(bytes, PARALLELS_MAGIC_EXT, PARALLELS_MAGIC_BYTES);
    store_le32(&bytes[16], PARALLELS_VERSION);
    store_le32(&bytes[20], HEADS);
    store_le32(&bytes[24], (uint32_t)(sectors / HEADS / SECTORS_PER_TRACK));
    store_le32(&bytes[28], (uint32_t)(cluster / PARALLELS_SECTOR));
    store_le32(&bytes[32], (uint32_t)entries);
    store_le64(&bytes[36], sectors);
    store_le32(&bytes[48], (uint32_t)(end / PARALLELS_SECTOR));
    list = op_list_new(request->blob);
    if (!list)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = op_list_simple(list, CELL_OP_TRUNCATE, end, 0, CELL_NOTE_FILE_SIZE, detail);
    if (!err)
        err = op_list_simple(list, CELL_OP_ZERO, 0, end, CELL_NOTE_L2_TABLE, detail);
    if (!err)
        err = op_list_write(list, 0, bytes, sizeof(bytes), CELL_NOTE_HEADER, detail);
    if (err) {
        op_list_free(list);
        return err;
    }
    *out = op_list_plan(list);
    (*out)->file_size = end;
    return GUEST_OK;
}
