/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 image, opened and read in every way: info, the whole map, each snapshot, check. The input
 * is the image; its backing file and data file are zeros.
 */
#include <glib.h>

#include "fuzz/session.h"

#define MAP_RECORDS 512
#define TAIL_BYTES  (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The start of the disk, its end, and once more in one-record steps. */
static void map_all(struct fuzz_session *s, const struct node *node)
{
    uint64_t tail = MIN(node->virtual_size, TAIL_BYTES);
    fuzz_map(s, node, 0, node->virtual_size, MAP_RECORDS, 0);
    fuzz_map(s, node, node->virtual_size - tail, tail, MAP_RECORDS, 1);
    fuzz_map(s, node, 0, tail, 1, 0);
}

static void load_snapshots(struct fuzz_session *s, const struct node *node,
                           const Abi__InfoReply *info)
{
    for (size_t i = 0; i < MIN(info->n_snapshot, 4); i++) {
        Abi__SnapshotLoadRequest request = ABI__SNAPSHOT_LOAD_REQUEST__INIT;
        request.node = node->id;
        request.by_id = true;
        request.id = info->snapshot[i]->id;
        Abi__SnapshotLoadReply *reply = (Abi__SnapshotLoadReply *)fuzz_call(
            s, CELL_METHOD_SNAPSHOT_LOAD, &request.base, 0, &abi__snapshot_load_reply__descriptor);
        if (reply && !reply->error)
            map_all(s, node);
        fuzz_forget(reply);
    }
}

static void read_all(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "qcow2", false, false);
    if (!node)
        return;
    map_all(s, node);
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;
    request.node = node->id;
    Abi__InfoReply *info = (Abi__InfoReply *)fuzz_call(s, CELL_METHOD_INFO, &request.base, 0,
                                                       &abi__info_reply__descriptor);
    if (info && !info->error)
        load_snapshots(s, node, info);
    fuzz_forget(info);
}

static void check(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "qcow2", false, true);
    if (!node)
        return;
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    request.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_CHECK, &request.base, 0, &abi__check_reply__descriptor));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_session s;
    fuzz_session_start(&s, data, size);
    read_all(&s);
    check(&s);
    fuzz_session_end(&s);
    return 0;
}
