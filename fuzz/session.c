/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions for the harnesses. The areas are smaller than the cell's, so that plans come in batches.
 */
#include "fuzz/session.h"

#include <glib.h>

#include "guest/abi/map.pb-c.h"

#define RECORDS_SIZE (256u << 10)
#define WINDOW_SIZE  (2u << 20)
#define REPLY_SIZE   (4u << 20)
#define MAP_CALLS    64

static _Alignas(16) uint8_t records_area[RECORDS_SIZE];
static uint8_t window_area[WINDOW_SIZE];
static uint8_t reply_area[REPLY_SIZE];
static const uint8_t zeros[FUZZ_OTHER_SIZE];

static struct source *new_source(struct session *session, uint32_t blob, uint64_t size_bytes)
{
    const struct fuzz_session *s = session->user;
    if (blob == FUZZ_IMAGE_BLOB && size_bytes == s->image.len)
        return source_new_buffer(blob, s->image.data, size_bytes);
    if (blob == FUZZ_EXTENT_BLOB && size_bytes == s->extent.len)
        return source_new_buffer(blob, s->extent.data, size_bytes);
    g_assert(size_bytes <= sizeof(zeros));
    return source_new_buffer(blob, zeros, size_bytes);
}

static void emit(struct session *session, enum cell_emit_type type, uint32_t count)
{
    g_assert(type == CELL_EMIT_FINDINGS);
    g_assert(count <= session->records_bytes / sizeof(struct cell_finding));
}

void fuzz_session_start(struct fuzz_session *s, const uint8_t *data, size_t size)
{
    *s = (struct fuzz_session){.image = guarded_copy(data, size, GUARDED_END),
                               .session = {.records = records_area,
                                           .records_bytes = sizeof(records_area),
                                           .window = window_area,
                                           .window_bytes = sizeof(window_area),
                                           .new_source = new_source,
                                           .emit = emit,
                                           .user = s}};
}

void fuzz_session_end(struct fuzz_session *s)
{
    if (s->session.plan)
        s->session.plan->verbs->free(s->session.plan);
    if (s->session.writer)
        s->session.writer->verbs->free(s->session.writer);
    for (uint32_t i = 0; i < s->session.nr_nodes; i++)
        node_free(s->session.nodes[i]);
    guarded_clear(&s->image);
    guarded_clear(&s->extent);
}

ProtobufCMessage *fuzz_call(struct fuzz_session *s, enum cell_method method,
                            const ProtobufCMessage *request, uint32_t nr_records,
                            const ProtobufCMessageDescriptor *reply_type)
{
    size_t request_len = protobuf_c_message_get_packed_size(request);
    g_autofree uint8_t *packed = g_malloc(request_len + 1);
    protobuf_c_message_pack(request, packed);
    size_t len = 0;
    s->session.nr_records = nr_records;
    if (!session_call(&s->session, method, span_of(packed, request_len), reply_area,
                      sizeof(reply_area), &len))
        return NULL;
    ProtobufCMessage *reply = protobuf_c_message_unpack(reply_type, NULL, len, reply_area);
    g_assert(reply);
    return reply;
}

void fuzz_forget(void *reply)
{
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
}

static Abi__OpenReply *open_blob(struct fuzz_session *s, uint32_t id, uint64_t size,
                                 const char *format, bool read_write, bool for_check)
{
    Abi__BlobInfo blob = ABI__BLOB_INFO__INIT;
    blob.id = id;
    blob.size = size;
    blob.allocated = size;
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    Abi__Secret secret = ABI__SECRET__INIT;
    secret.id = (char *)"s";
    secret.known = secret.text = true;
    secret.data = (ProtobufCBinaryData){.data = (uint8_t *)"x", .len = 1};
    request.blob = &blob;
    request.format = (char *)format;
    request.read_write = read_write;
    request.for_check = for_check;
    /* LUKS is unlocked by a harness of its own: deriving keys takes time. */
    if (strcmp(format, "qcow") == 0)
        request.encrypt_secret = &secret;
    return (Abi__OpenReply *)fuzz_call(s, CELL_METHOD_OPEN, &request.base, 0,
                                       &abi__open_reply__descriptor);
}

static void link_child(struct fuzz_session *s, uint32_t node, const Abi__FileRef *ref)
{
    uint32_t id = ref->role == ABI__ROLE__ROLE_BACKING ? FUZZ_BACKING_BLOB : FUZZ_DATA_BLOB;
    uint64_t size = FUZZ_OTHER_SIZE;

    if (ref->role == ABI__ROLE__ROLE_EXTENT) {
        id = s->extent.data ? FUZZ_EXTENT_BLOB : FUZZ_IMAGE_BLOB;
        size = s->extent.data ? s->extent.len : s->image.len;
    }
    Abi__OpenReply *child = open_blob(s, id, size, "raw", false, false);
    if (child && !child->error) {
        Abi__LinkRequest request = ABI__LINK_REQUEST__INIT;
        request.node = node;
        request.role = ref->role;
        request.child = child->node;
        request.index = ref->index;
        fuzz_forget(fuzz_call(s, CELL_METHOD_LINK, &request.base, 0, &abi__link_reply__descriptor));
    }
    fuzz_forget(child);
}

const struct node *fuzz_open(struct fuzz_session *s, const char *format, bool read_write,
                             bool for_check)
{
    Abi__OpenReply *reply =
        open_blob(s, FUZZ_IMAGE_BLOB, s->image.len, format, read_write, for_check);
    const struct node *node = NULL;
    g_assert(reply);
    if (!reply->error) {
        node = session_node(&s->session, reply->node);
        g_assert(node);
        for (size_t i = 0; i < reply->n_ref; i++)
            link_child(s, reply->node, reply->ref[i]);
    }
    fuzz_forget(reply);
    return node;
}

static void judge_extents(const Abi__MapRequest *request, const Abi__MapReply *reply)
{
    const struct cell_extent *extent = (const struct cell_extent *)records_area;
    uint64_t at = request->start;
    g_assert(reply->nr_records <= sizeof(records_area) / sizeof(*extent));
    for (uint32_t i = 0; i < reply->nr_records; i++, extent++) {
        g_assert(extent->start == at && extent->length > 0);
        g_assert(extent->length <= request->start + request->length - at);
        g_assert(extent->kind <= CELL_EXTENT_ENCRYPTED);
        if (extent->kind == CELL_EXTENT_COMPRESSED)
            g_assert(extent->comp_len > 0 && extent->skip < extent->unit_len &&
                     extent->length <= extent->unit_len - extent->skip);
        at += extent->length;
    }
    g_assert(at == reply->next);
}

void fuzz_map(struct fuzz_session *s, const struct node *node, uint64_t start, uint64_t length,
              uint32_t max_records, uint32_t layers)
{
    Abi__MapRequest request = ABI__MAP_REQUEST__INIT;
    request.node = node->id;
    request.start = start;
    request.length = length;
    request.max_records = max_records;
    request.layers = layers;
    for (unsigned i = 0; i < MAP_CALLS && request.length > 0; i++) {
        Abi__MapReply *reply = (Abi__MapReply *)fuzz_call(s, CELL_METHOD_MAP, &request.base, 0,
                                                          &abi__map_reply__descriptor);
        if (!reply)
            return;
        judge_extents(&request, reply);
        g_assert(reply->error || reply->next > request.start);
        request.length = reply->error ? 0 : request.start + request.length - reply->next;
        request.start = reply->next;
        fuzz_forget(reply);
    }
}

static void judge_op(const struct cell_op *op, uint64_t file_size)
{
    g_assert(op->kind >= CELL_OP_WRITE && op->kind <= CELL_OP_DISCARD);
    g_assert(op->note < CELL_NOTE_MAX);
    if (op->kind == CELL_OP_BARRIER || op->kind == CELL_OP_TRUNCATE)
        return;
    g_assert(op->length > 0 && op->length <= INT64_MAX && op->offset <= INT64_MAX - op->length);
    if (op->blob == FUZZ_IMAGE_BLOB)
        g_assert(op->offset + op->length <= file_size);
    if (op->kind == CELL_OP_WRITE)
        g_assert(op->data <= WINDOW_SIZE && op->length <= WINDOW_SIZE - op->data);
    if (op->kind == CELL_OP_PATTERN)
        g_assert(op->unit_len > 0 && op->unit_len <= 16 && !(op->unit_len & (op->unit_len - 1)));
}

bool fuzz_drain(struct fuzz_session *s, unsigned max_batches, uint64_t file_size)
{
    for (unsigned i = 0; i < max_batches; i++) {
        Abi__PlanNextRequest request = ABI__PLAN_NEXT_REQUEST__INIT;
        Abi__PlanNextReply *reply = (Abi__PlanNextReply *)fuzz_call(
            s, CELL_METHOD_PLAN_NEXT, &request.base, 0, &abi__plan_next_reply__descriptor);
        if (!reply)
            return false;
        const struct cell_op *ops = (const struct cell_op *)records_area;
        bool failed = reply->error;
        bool done = reply->done;
        g_assert(failed || reply->nr_records <= sizeof(records_area) / sizeof(*ops));
        g_assert(failed || done || reply->nr_records > 0);
        for (uint32_t j = 0; !failed && j < reply->nr_records; j++)
            judge_op(&ops[j], file_size);
        fuzz_forget(reply);
        if (failed || done)
            return done;
    }
    return false;
}
