/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of an amendment of a hostile qcow2 image. An image may be refused; what is planned must be
 * well-formed and come to its end. Input:
 *
 *   u8            step, modulo 5
 *   u8            low bits: log2 of the width of refcounts; on; a name for the data file
 *   the rest      the image
 */
#include <glib.h>

#include "fuzz/session.h"

#define BATCHES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    Abi__AmendRequest request = ABI__AMEND_REQUEST__INIT;
    request.step = cur_u8(&c) % 6;
    uint8_t flags = cur_u8(&c);
    struct span image = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;
    request.refcount_bits = 1u << flags % 7;
    request.on = flags & 8;
    request.clear_raw = flags & 16;
    request.has_data_file = flags & 32;
    request.data_file.data = (uint8_t *)"data";
    request.data_file.len = flags & 64 ? 4 : 0;

    struct fuzz_session s;
    fuzz_session_start(&s, image.data, image.len);
    const struct node *node = fuzz_open(&s, "qcow2", true, false);
    if (node) {
        request.node = node->id;
        Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(&s, CELL_METHOD_AMEND, &request.base, 0,
                                                            &abi__plan_reply__descriptor);
        bool planned = reply && !reply->error;
        uint64_t file_size = planned ? reply->file_size : 0;
        fuzz_forget(reply);
        if (planned)
            fuzz_drain(&s, BATCHES_MAX, file_size);
    }
    fuzz_session_end(&s);
    return 0;
}
