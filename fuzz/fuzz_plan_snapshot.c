/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the snapshots of a hostile qcow2 image. An image may be refused; what is planned must
 * be well-formed and come to its end. Input:
 *
 *   u8            action, modulo 3
 *   u8            bytes of the name
 *   the name
 *   the rest      the image
 */
#include <glib.h>

#include "fuzz/session.h"

#define BATCHES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    Abi__SnapshotRequest request = ABI__SNAPSHOT_REQUEST__INIT;
    request.action = cur_u8(&c) % 3;
    struct span name = cur_bytes(&c, cur_u8(&c));
    struct span image = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;

    struct fuzz_session s;
    fuzz_session_start(&s, image.data, image.len);
    const struct node *node = fuzz_open(&s, "qcow2", true, false);
    if (node) {
        request.node = node->id;
        request.name.data = (uint8_t *)name.data;
        request.name.len = name.len;
        request.date_sec = 1;
        Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(&s, CELL_METHOD_SNAPSHOT, &request.base,
                                                            0, &abi__plan_reply__descriptor);
        bool planned = reply && !reply->error;
        uint64_t file_size = planned ? reply->file_size : 0;
        fuzz_forget(reply);
        if (planned)
            fuzz_drain(&s, BATCHES_MAX, file_size);
    }
    fuzz_session_end(&s);
    return 0;
}
