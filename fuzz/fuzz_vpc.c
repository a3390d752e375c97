/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VHD, opened and read in every way: the whole map, info, check. The input is the image; its
 * parent, if it names one, is zeros.
 */
#include <glib.h>

#include "fuzz/session.h"

#define MAP_RECORDS 512
#define TAIL_BYTES  (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "vpc", false, false);
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;

    if (!node)
        return;
    uint64_t tail = MIN(node->virtual_size, TAIL_BYTES);
    fuzz_map(s, node, 0, node->virtual_size, MAP_RECORDS, 0);
    fuzz_map(s, node, node->virtual_size - tail, tail, MAP_RECORDS, 1);
    request.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_INFO, &request.base, 0, &abi__info_reply__descriptor));
}

static void check(struct fuzz_session *s)
{
    const struct node *node = fuzz_open(s, "vpc", false, true);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;

    if (!node)
        return;
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
