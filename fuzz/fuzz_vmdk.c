/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMDK image, opened and read in every way: the whole map, info, check, and what check repairs.
 * The first byte of the input says what the rest is: the image itself, which may be a descriptor
 * that names itself, or the extent of a descriptor of one line.
 */
#include <glib.h>

#include "fuzz/session.h"

#define MAP_RECORDS 512
#define TAIL_BYTES  (1u << 20)
#define BATCHES_MAX 256
#define CHILDREN    "version=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"

static const char *const descriptors[] = {
    NULL,
    CHILDREN "RW 2048 SPARSE \"e\"\n",
    CHILDREN "RW 2048 SESPARSE \"e\"\nRW 2048 FLAT \"e\" 1\n",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct fuzz_session *s, bool for_check)
{
    const struct node *node = fuzz_open(s, "vmdk", false, for_check);
    Abi__InfoRequest info = ABI__INFO_REQUEST__INIT;
    Abi__CheckRequest check = ABI__CHECK_REQUEST__INIT;

    if (!node)
        return;
    uint64_t tail = MIN(node->virtual_size, TAIL_BYTES);
    fuzz_map(s, node, 0, node->virtual_size, MAP_RECORDS, 0);
    fuzz_map(s, node, node->virtual_size - tail, tail, MAP_RECORDS, 1);
    info.node = check.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_INFO, &info.base, 0, &abi__info_reply__descriptor));
    if (!for_check)
        return;
    fuzz_forget(fuzz_call(s, CELL_METHOD_CHECK, &check.base, 0, &abi__check_reply__descriptor));
    check.fix_errors = true;
    Abi__CheckReply *reply = (Abi__CheckReply *)fuzz_call(s, CELL_METHOD_CHECK, &check.base, 0,
                                                          &abi__check_reply__descriptor);
    bool repairs = reply && reply->repairs;

    fuzz_forget(reply);
    if (repairs)
        fuzz_drain(s, BATCHES_MAX, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_session s;
    const char *descriptor;

    if (size == 0)
        return 0;
    descriptor = descriptors[data[0] % G_N_ELEMENTS(descriptors)];
    if (descriptor) {
        fuzz_session_start(&s, (const uint8_t *)descriptor, strlen(descriptor));
        s.extent = guarded_copy(data + 1, size - 1, GUARDED_END);
    } else {
        fuzz_session_start(&s, data + 1, size - 1);
    }
    read_all(&s, size & 1);
    fuzz_session_end(&s);
    return 0;
}
