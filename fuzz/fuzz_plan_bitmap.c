/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the dirty bitmaps of a hostile qcow2 image. An image may be refused; what is planned
 * must be well-formed and come to its end. Input:
 *
 *   u8            number of actions, at most ACTIONS_MAX
 *   each action   u8 verb, u8 name (of names below), u8 source, u8 log2 of the granularity
 *   the rest      the image
 */
#include <glib.h>

#include "fuzz/session.h"

#define ACTIONS_MAX 8
#define BATCHES_MAX 256
#define BITS_BYTES  (64u << 10) /* of the blob with another image's bits */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ProtobufCBinaryData name_of(uint8_t byte)
{
    static const char *const names[] = {"b0", "b1", "b2", "b3"};
    const char *name = names[byte % G_N_ELEMENTS(names)];
    return (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)name};
}

static void read_action(struct cursor *c, const struct node *node, Abi__BitmapAction *out)
{
    abi__bitmap_action__init(out);
    out->verb = cur_u8(c) % 7;
    out->name = name_of(cur_u8(c));
    uint8_t source = cur_u8(c);
    uint8_t granularity_bits = cur_u8(c);
    out->source_name = name_of(source);
    out->source = source >> 4 & 3;
    out->has_granularity = granularity_bits & 0x80;
    out->granularity = 1u << (granularity_bits & 31);
    out->source_granularity = 1u << (granularity_bits & 31);
    out->source_size = node->virtual_size;
}

static void change(struct fuzz_session *s, const struct node *node, struct span steps)
{
    Abi__BitmapAction actions[ACTIONS_MAX], *pointers[ACTIONS_MAX];
    Abi__BitmapRequest request = ABI__BITMAP_REQUEST__INIT;
    struct cursor c = cur_of(steps);
    request.node = node->id;
    request.action = pointers;
    for (; cur_left(&c); request.n_action++) {
        read_action(&c, node, &actions[request.n_action]);
        pointers[request.n_action] = &actions[request.n_action];
    }
    request.blob = FUZZ_DATA_BLOB;
    request.blob_size = BITS_BYTES;
    Abi__BitmapReply *reply = (Abi__BitmapReply *)fuzz_call(s, CELL_METHOD_BITMAP, &request.base, 0,
                                                            &abi__bitmap_reply__descriptor);
    bool planned = reply && !reply->error;
    uint64_t file_size = planned ? reply->file_size : 0;
    g_assert(!planned || reply->nr_done + (reply->failure != NULL) <= request.n_action);
    g_assert(!planned || reply->failure != NULL || reply->nr_done == request.n_action);
    fuzz_forget(reply);
    if (planned)
        fuzz_drain(s, BATCHES_MAX, file_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    unsigned nr = cur_u8(&c) % (ACTIONS_MAX + 1);
    struct span steps = cur_bytes(&c, nr * 4u);
    struct span image = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;

    struct fuzz_session s;
    fuzz_session_start(&s, image.data, image.len);
    const struct node *node = fuzz_open(&s, "qcow2", true, false);
    if (node)
        change(&s, node, steps);
    fuzz_session_end(&s);
    return 0;
}
