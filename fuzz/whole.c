/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/whole.h"

#include <glib.h>

#include "guest/plan/chain_read.h"

#define MAP_RECORDS   512
#define DRAIN_BATCHES 64
#define TAIL_BYTES    (1u << 20)
#define BITMAP_BYTES  4096u

static void map_all(struct fuzz_session *s, const struct node *node)
{
    uint64_t tail = MIN(node->virtual_size, TAIL_BYTES);
    fuzz_map(s, node, 0, node->virtual_size, MAP_RECORDS, 0);
    fuzz_map(s, node, node->virtual_size - tail, tail, MAP_RECORDS, 1);
    fuzz_map(s, node, 0, tail, 1, 0);
}

/* The first bits of every bitmap that INFO names. */
static void read_bitmaps(struct fuzz_session *s, const Abi__InfoReply *reply, uint32_t node)
{
    for (size_t i = 0; reply->parallels && i < reply->parallels->n_bitmap; i++) {
        Abi__BitmapReadRequest request = ABI__BITMAP_READ_REQUEST__INIT;

        request.node = node;
        request.name = reply->parallels->bitmap[i]->name;
        request.length = BITMAP_BYTES;
        fuzz_forget(fuzz_call(s, CELL_METHOD_BITMAP_READ, &request.base, 0,
                              &abi__status_reply__descriptor));
    }
}

/* The bytes of the disk's start and end, decoded where they are compressed. */
static void read_bytes(struct fuzz_session *s, const struct node *node)
{
    static uint8_t buf[TAIL_BYTES];
    struct node *own = s->session.nodes[node->id];
    uint64_t len = MIN(node->virtual_size, sizeof(buf));

    if (len == 0)
        return;
    (void)chain_read(own, 0, len, buf, NULL);
    (void)chain_read(own, node->virtual_size - len, len, buf, NULL);
}

void fuzz_read_all(struct fuzz_session *s, const char *format)
{
    const struct node *node = fuzz_open(s, format, false, false);
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;
    ProtobufCMessage *reply;

    if (!node)
        return;
    g_assert_cmpuint(node->virtual_size, <=, INT64_MAX);
    map_all(s, node);
    read_bytes(s, node);
    request.node = node->id;
    reply = fuzz_call(s, CELL_METHOD_INFO, &request.base, 0, &abi__info_reply__descriptor);
    read_bitmaps(s, (const Abi__InfoReply *)reply, node->id);
    fuzz_forget(reply);
}

void fuzz_check(struct fuzz_session *s, const char *format)
{
    const struct node *node = fuzz_open(s, format, false, true);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;

    if (!node)
        return;
    request.node = node->id;
    fuzz_forget(fuzz_call(s, CELL_METHOD_CHECK, &request.base, 0, &abi__check_reply__descriptor));
}

void fuzz_repair(struct fuzz_session *s, const char *format)
{
    const struct node *node = fuzz_open(s, format, true, true);
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;

    if (!node)
        return;
    request.node = node->id;
    request.fix_errors = request.fix_leaks = true;
    Abi__CheckReply *reply = (Abi__CheckReply *)fuzz_call(s, CELL_METHOD_CHECK, &request.base, 0,
                                                          &abi__check_reply__descriptor);
    if (reply && reply->repairs)
        fuzz_drain(s, DRAIN_BATCHES, UINT64_MAX / 2);
    fuzz_forget(reply);
}

void fuzz_whole(const uint8_t *data, size_t size, const char *format)
{
    struct fuzz_session s;

    fuzz_session_start(&s, data, size);
    fuzz_read_all(&s, format);
    fuzz_check(&s, format);
    fuzz_session_end(&s);
}
