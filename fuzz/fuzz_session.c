/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole guest through its front door: a session of well-formed calls over hostile images.
 *
 * The host's requests are trusted, so the harness builds them; only their numbers come from the
 * input. What is not trusted, and what the input is mostly made of, is the image. Input:
 *
 *   u8            number of calls, at most CALLS_MAX
 *   each call     a slot of CALL_SIZE bytes: u8 which, then its parameters, little-endian
 *   the rest      the image
 *
 * Every reply must unpack as the type that the method promises, and every plan is drained.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/plan/dispatch.h"
#include "guest/abi/map.pb-c.h"
#include "guest/abi/plan.pb-c.h"

#define IMAGE_BLOB   1
#define CALLS_MAX    12
#define CALL_SIZE    24
#define BATCHES_MAX  64
#define RECORDS_SIZE (1u << 20)
#define WINDOW_SIZE  (4u << 20)
#define REPLY_SIZE   (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct session session;
    struct guarded image;
};

/* As large as the cell's areas would be slow to clear for every input. */
static _Alignas(16) uint8_t records_area[RECORDS_SIZE];
static uint8_t window_area[WINDOW_SIZE];
static uint8_t reply_area[REPLY_SIZE];

static struct source *new_source(struct session *s, uint32_t blob, uint64_t size_bytes)
{
    const struct run *run = s->user;
    if (blob != IMAGE_BLOB || size_bytes != run->image.len)
        return source_new_buffer(blob, "", 0);
    return source_new_buffer(blob, run->image.data, size_bytes);
}

static void emit(struct session *s, enum cell_emit_type type, uint32_t count)
{
    g_assert(type == CELL_EMIT_FINDINGS);
    g_assert(count <= s->records_bytes / sizeof(struct cell_finding));
}

/* Calls and gives the unpacked reply, or NULL if the method is not built or the reply too long. */
static ProtobufCMessage *call(struct run *run, uint32_t method, const ProtobufCMessage *request,
                              const ProtobufCMessageDescriptor *reply_type)
{
    size_t request_len = protobuf_c_message_get_packed_size(request);
    g_autofree uint8_t *packed = g_malloc(request_len + 1);
    protobuf_c_message_pack(request, packed);
    size_t len = 0;
    if (!session_call(&run->session, method, span_of(packed, request_len), reply_area, REPLY_SIZE,
                      &len))
        return NULL;
    ProtobufCMessage *reply = protobuf_c_message_unpack(reply_type, NULL, len, reply_area);
    g_assert(reply);
    return reply;
}

static void forget(ProtobufCMessage *reply)
{
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
}

static void call_open(struct run *run, struct cursor *c)
{
    static const char *const formats[] = {"",     "raw",  "qcow2", "qcow", "vdi", "vpc",
                                          "vhdx", "vmdk", "qed",   "dmg",  "luks"};
    uint8_t flags = cur_u8(c);
    Abi__BlobInfo blob = ABI__BLOB_INFO__INIT;
    blob.id = IMAGE_BLOB;
    blob.size = run->image.len;
    blob.allocated = run->image.len;
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    request.blob = &blob;
    request.format = (char *)formats[(flags & 15) % G_N_ELEMENTS(formats)];
    request.read_write = flags >> 4 & 1;
    request.for_check = flags >> 5 & 1;
    ProtobufCMessage *reply =
        call(run, CELL_METHOD_OPEN, &request.base, &abi__open_reply__descriptor);
    if (reply) {
        const Abi__OpenReply *opened = (const Abi__OpenReply *)reply;
        g_assert(opened->error || session_node(&run->session, opened->node));
    }
    forget(reply);
}

static void call_info(struct run *run, struct cursor *c)
{
    Abi__InfoRequest request = ABI__INFO_REQUEST__INIT;
    request.node = cur_u8(c);
    forget(call(run, CELL_METHOD_INFO, &request.base, &abi__info_reply__descriptor));
}

/* What success promises: records that cover [start, next) without a gap, inside the blob. */
static void judge_map(const struct run *run, const Abi__MapRequest *request,
                      const Abi__MapReply *reply)
{
    const struct cell_extent *extent = (const struct cell_extent *)run->session.records;
    uint64_t at = request->start;
    for (uint32_t i = 0; i < reply->nr_records; i++, extent++) {
        g_assert(extent->start == at && extent->length > 0);
        g_assert(extent->length <= request->start + request->length - at);
        at += extent->length;
    }
    g_assert(at == reply->next);
}

static void call_map(struct run *run, struct cursor *c)
{
    Abi__MapRequest request = ABI__MAP_REQUEST__INIT;
    request.node = cur_u8(c);
    request.start = cur_le64(c);
    request.length = cur_le64(c);
    request.max_records = cur_le16(c);
    request.layers = cur_u8(c);
    const struct node *node = session_node(&run->session, request.node);
    if (!node || request.start >= node->virtual_size)
        return;
    request.length = MIN(request.length, node->virtual_size - request.start);
    for (unsigned i = 0; i < BATCHES_MAX && request.length > 0; i++) {
        ProtobufCMessage *reply =
            call(run, CELL_METHOD_MAP, &request.base, &abi__map_reply__descriptor);
        if (!reply)
            return;
        const Abi__MapReply *map = (const Abi__MapReply *)reply;
        judge_map(run, &request, map);
        g_assert(map->error || map->next > request.start);
        request.length = map->error ? 0 : request.start + request.length - map->next;
        request.start = map->next;
        forget(reply);
    }
}

static void call_check(struct run *run, struct cursor *c)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    request.node = cur_u8(c);
    forget(call(run, CELL_METHOD_CHECK, &request.base, &abi__check_reply__descriptor));
}

static void drain_plan(struct run *run)
{
    for (unsigned i = 0; i < BATCHES_MAX; i++) {
        Abi__PlanNextRequest request = ABI__PLAN_NEXT_REQUEST__INIT;
        ProtobufCMessage *reply =
            call(run, CELL_METHOD_PLAN_NEXT, &request.base, &abi__plan_next_reply__descriptor);
        if (!reply)
            return;
        const Abi__PlanNextReply *next = (const Abi__PlanNextReply *)reply;
        g_assert(next->nr_records <= RECORDS_SIZE / sizeof(struct cell_op));
        gboolean done = next->error || next->done;
        forget(reply);
        if (done)
            return;
    }
}

static void call_resize(struct run *run, struct cursor *c)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    request.node = cur_u8(c);
    request.size = cur_le64(c) & ~UINT64_C(511);
    request.preallocation = cur_u8(c) & 3;
    request.shrink = cur_u8(c) & 1;
    ProtobufCMessage *reply =
        call(run, CELL_METHOD_RESIZE, &request.base, &abi__plan_reply__descriptor);
    gboolean planned = reply && !((const Abi__PlanReply *)reply)->error;
    forget(reply);
    if (planned)
        drain_plan(run);
}

static void call_snapshot_load(struct run *run, struct cursor *c)
{
    Abi__SnapshotLoadRequest request = ABI__SNAPSHOT_LOAD_REQUEST__INIT;
    request.node = cur_u8(c);
    uint8_t flags = cur_u8(c);
    struct span word = cur_bytes(c, 8);
    request.by_id = flags & 1;
    request.by_name = flags >> 1 & 1;
    request.id.data = request.name.data = (uint8_t *)word.data;
    request.id.len = request.name.len = word.len ? strnlen((const char *)word.data, word.len) : 0;
    forget(
        call(run, CELL_METHOD_SNAPSHOT_LOAD, &request.base, &abi__snapshot_load_reply__descriptor));
}

static void one_call(struct run *run, struct cursor *c)
{
    static void (*const calls[])(struct run *, struct cursor *) = {
        call_open, call_info, call_map, call_check, call_resize, call_snapshot_load};
    calls[cur_u8(c) % G_N_ELEMENTS(calls)](run, c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cur_of(span_of(data, size));
    unsigned nr_calls = cur_u8(&in) % (CALLS_MAX + 1);
    struct span calls[CALLS_MAX];
    for (unsigned i = 0; i < nr_calls; i++)
        calls[i] = cur_bytes(&in, CALL_SIZE);
    if (!cur_ok(&in))
        return 0;
    struct run run = {.image = guarded_copy(data + in.pos, size - in.pos, GUARDED_END)};
    run.session = (struct session){.records = records_area,
                                   .records_bytes = RECORDS_SIZE,
                                   .window = window_area,
                                   .window_bytes = WINDOW_SIZE,
                                   .new_source = new_source,
                                   .emit = emit,
                                   .user = &run};
    for (unsigned i = 0; i < nr_calls; i++) {
        struct cursor c = cur_of(calls[i]);
        one_call(&run, &c);
    }
    guarded_clear(&run.image);
    return 0;
}
