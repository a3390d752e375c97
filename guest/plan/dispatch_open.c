/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods about opened images: open, link, info, map, load a snapshot, check.
 */
#include "guest/abi/cell.pb-c.h"
#include "guest/abi/check.pb-c.h"
#include "guest/abi/info.pb-c.h"
#include "guest/abi/map.pb-c.h"
#include "guest/abi/open.pb-c.h"
#include "guest/formats/message.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"
#include "guest/plan/dispatch.h"
#include "guest/plan/map.h"

/* A copy of a reference, for a reply that is freed on its own. */
static Abi__FileRef *copy_ref(const Abi__FileRef *ref)
{
    size_t len = abi__file_ref__get_packed_size(ref);
    uint8_t *packed = malloc(len ? len : 1);
    Abi__FileRef *copy = NULL;

    if (packed) {
        abi__file_ref__pack(ref, packed);
        copy = abi__file_ref__unpack(NULL, len, packed);
    }
    free(packed);
    return copy;
}

static enum guest_err fill_warnings(const struct node *node, Abi__OpenReply *reply,
                                    struct guest_err_detail *detail)
{
    reply->warning = arena_array(NODE_WARNINGS_MAX, sizeof(*reply->warning));
    if (!reply->warning)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < node->nr_warnings; i++) {
        Abi__Error *warning = malloc(sizeof(*warning));
        if (!warning)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        abi__error__init(warning);
        reply->warning[reply->n_warning++] = warning;
        warning->code = node->warnings[i];
        warning->number = arena_array(1, sizeof(*warning->number));
        if (!warning->number)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        warning->number[0] = node->warning_numbers[i];
        warning->n_number = 1;
    }
    return GUEST_OK;
}

/* The cipher of an image that was unlocked. */
static enum guest_err fill_cipher(const struct node *node, Abi__OpenReply *reply,
                                  struct guest_err_detail *detail)
{
    const struct crypto_spec *spec = node->cipher;
    Abi__Cipher *out;

    if (!spec)
        return GUEST_OK;
    out = malloc(sizeof(*out));
    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__cipher__init(out);
    reply->cipher = out;
    out->cipher = spec->cipher;
    out->mode = spec->mode;
    out->ivgen = spec->ivgen;
    out->ivgen_hash = spec->ivgen_hash;
    out->sector_bytes = spec->sector_bytes;
    out->by_place = node->cipher_by_place;
    out->payload = node->payload_bytes;
    out->iv_base = node->iv_base;
    return message_set_bytes(&out->key, span_of(spec->key, spec->key_len))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

static enum guest_err fill_open_reply(const struct node *node, Abi__OpenReply *reply,
                                      struct guest_err_detail *detail)
{
    reply->node = node->id;
    reply->virtual_size = node->virtual_size;
    reply->cluster_size = node->cluster_size;
    reply->encrypted = node->encrypted;
    reply->dirty = node->dirty;
    reply->untidy = node->untidy;
    reply->has_snapshots = node->has_snapshots;
    reply->inside_offset = node->inside_offset;
    reply->inside_size = node->inside_size;
    reply->ref = arena_array(node->nr_refs, sizeof(*reply->ref));
    if (!reply->ref || !message_set_text(&reply->format, node->driver->name))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < node->nr_refs; i++) {
        Abi__FileRef *ref = copy_ref(node->refs[i]);
        if (!ref)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        reply->ref[reply->n_ref++] = ref;
    }
    enum guest_err err = fill_cipher(node, reply, detail);
    return err ? err : fill_warnings(node, reply, detail);
}

static enum guest_err run_open(struct session *session, const ProtobufCMessage *message,
                               ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__OpenRequest *request = (const Abi__OpenRequest *)message;
    Abi__OpenReply *reply = (Abi__OpenReply *)out;
    struct source *source;
    struct node *node;
    enum guest_err err;

    if (!request->blob || session->nr_nodes == SESSION_NODES_MAX)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    source = session->new_source(session, request->blob->id, request->blob->size);
    if (!source)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    source->allocated_bytes = request->blob->allocated;
    source->read_only = request->blob->read_only;
    source_prime(source, span_of(request->blob->head.data, request->blob->head.len));
    if (request->header) {
        source->header = session->new_source(session, request->header->id, request->header->size);
        if (!source->header) {
            source_free(source);
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        }
    }
    err = node_open(source, request, &node, detail);
    if (err) {
        source_free(source);
        return err;
    }
    if (node->wants) {
        reply->derivation = node->wants;
        node->wants = NULL;
        node_free(node);
        return GUEST_OK;
    }
    node->id = session->nr_nodes;
    session->nodes[session->nr_nodes++] = node;
    return fill_open_reply(node, reply, detail);
}

static enum guest_err link_extent(struct node *node, uint32_t index, struct node *child,
                                  struct guest_err_detail *detail)
{
    enum guest_err err;

    if (!node->driver->link_extent)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    err = node_add_extent(node, child, detail);
    return err ? err : node->driver->link_extent(node, index, child, detail);
}

static enum guest_err link_nodes(struct session *session, const Abi__LinkRequest *request,
                                 struct guest_err_detail *detail)
{
    struct node *node = session_node(session, request->node);
    struct node *child = session_node(session, request->child);

    if (!node || !child)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (node == child)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    switch (request->role) {
    case ABI__ROLE__ROLE_BACKING:
        node->backing = child;
        return node->driver->link_backing ? node->driver->link_backing(node, child, detail)
                                          : GUEST_OK;
    case ABI__ROLE__ROLE_DATA_FILE:
        node->data_file = child;
        return GUEST_OK;
    case ABI__ROLE__ROLE_EXTENT:
        return link_extent(node, request->index, child, detail);
    default:
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
}

static enum guest_err run_link(struct session *session, const ProtobufCMessage *message,
                               ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__LinkRequest *request = (const Abi__LinkRequest *)message;
    Abi__LinkReply *reply = (Abi__LinkReply *)out;
    enum guest_err err = link_nodes(session, request, detail);

    if (!err) {
        reply->virtual_size = session_node(session, request->node)->virtual_size;
        reply->cluster_size = session_node(session, request->node)->cluster_size;
    }
    return err;
}

static enum guest_err fill_backing(const struct node *node, Abi__InfoReply *reply,
                                   struct guest_err_detail *detail)
{
    for (unsigned i = 0; i < node->nr_refs; i++) {
        const Abi__FileRef *ref = node->refs[i];

        if (ref->role != ABI__ROLE__ROLE_BACKING)
            continue;
        reply->has_backing = true;
        if (!message_set_bytes(&reply->backing_file, span_of(ref->text.data, ref->text.len)))
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

static enum guest_err run_info(struct session *session, const ProtobufCMessage *message,
                               ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__InfoRequest *request = (const Abi__InfoRequest *)message;
    Abi__InfoReply *reply = (Abi__InfoReply *)out;
    struct node *node = session_node(session, request->node);
    enum guest_err err;

    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    reply->virtual_size = node->virtual_size;
    reply->cluster_size = node->cluster_size;
    reply->encrypted = node->encrypted;
    reply->dirty = node->dirty;
    err = fill_backing(node, reply, detail);
    if (!err && node->driver->info)
        err = node->driver->info(node, reply, detail);
    return err;
}

/* Hands over what the nodes of a chain have to announce, once. */
static enum guest_err take_events(struct node *node, Abi__MapReply *reply,
                                  struct guest_err_detail *detail)
{
    for (unsigned depth = 0; node && depth < MAP_DEPTH_MAX; depth++, node = node->backing) {
        Abi__Error *event;

        if (!node->event_code)
            continue;
        event = malloc(sizeof(*event));
        if (!reply->event)
            reply->event = arena_array(MAP_DEPTH_MAX, sizeof(*reply->event));
        if (!event || !reply->event)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        abi__error__init(event);
        reply->event[reply->n_event++] = event;
        event->code = node->event_code;
        event->number = arena_array(GUEST_ERR_NUMBERS, sizeof(*event->number));
        if (!event->number)
            return err_plain(detail, GUEST_ERR_NO_MEMORY);
        event->n_number = GUEST_ERR_NUMBERS;
        memcpy(event->number, node->event.number, sizeof(node->event.number));
        node->event_code = GUEST_OK;
    }
    return GUEST_OK;
}

static enum guest_err run_map(struct session *session, const ProtobufCMessage *message,
                              ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__MapRequest *request = (const Abi__MapRequest *)message;
    Abi__MapReply *reply = (Abi__MapReply *)out;
    struct node *node = session_node(session, request->node);
    uint64_t room = session->records_bytes / sizeof(struct cell_extent);
    enum guest_err err;

    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (request->max_records)
        room = min_u64(room, request->max_records);
    err = plan_map(node, request->start, request->length, request->layers,
                   (struct cell_extent *)session->records, (uint32_t)room, &reply->nr_records,
                   &reply->next, detail);
    return err ? err : take_events(node, reply, detail);
}

static enum guest_err run_snapshot_load(struct session *session, const ProtobufCMessage *message,
                                        ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__SnapshotLoadRequest *request = (const Abi__SnapshotLoadRequest *)message;
    Abi__SnapshotLoadReply *reply = (Abi__SnapshotLoadReply *)out;
    struct node *node = session_node(session, request->node);
    enum guest_err err;

    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (!node->driver->load_snapshot)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    err = node->driver->load_snapshot(node, request, detail);
    reply->virtual_size = node->virtual_size;
    return err;
}

/* ---- check ---- */

/* Findings collect in the records area until it is full or the check is done. */
struct finding_batch {
    struct finding_sink sink;
    struct session *session;
    uint32_t nr;
    uint32_t max;
};

static void flush_findings(struct finding_batch *batch)
{
    if (batch->nr)
        batch->session->emit(batch->session, CELL_EMIT_FINDINGS, batch->nr);
    batch->nr = 0;
}

static void add_finding(struct finding_sink *sink, const struct cell_finding *finding)
{
    struct finding_batch *batch = sink->user;
    struct cell_finding *records = (struct cell_finding *)batch->session->records;

    if (batch->nr == batch->max)
        flush_findings(batch);
    records[batch->nr++] = *finding;
}

static enum guest_err run_check(struct session *session, const ProtobufCMessage *message,
                                ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__CheckRequest *request = (const Abi__CheckRequest *)message;
    struct node *node = session_node(session, request->node);
    struct finding_batch batch = {
        .sink = {.add = add_finding},
        .session = session,
        .max = (uint32_t)(session->records_bytes / sizeof(struct cell_finding)),
    };
    enum guest_err err;

    if (!node)
        return err_plain(detail, GUEST_ERR_NO_NODE);
    if (!node->driver->check)
        return err_plain(detail, GUEST_ERR_CHECKS_NOT_SUPPORTED);
    batch.sink.user = &batch;
    err = node->driver->check(node, request, &batch.sink, (Abi__CheckReply *)out, detail);
    flush_findings(&batch);
    if (node->repair) {
        if (session->plan)
            session->plan->verbs->free(session->plan);
        session->plan = node->repair;
        node->repair = NULL;
        ((Abi__CheckReply *)out)->repairs = true;
    }
    return err;
}

const struct method methods_open[] = {
    {CELL_METHOD_OPEN, &abi__open_request__descriptor, &abi__open_reply__descriptor, run_open},
    {CELL_METHOD_LINK, &abi__link_request__descriptor, &abi__link_reply__descriptor, run_link},
    {CELL_METHOD_INFO, &abi__info_request__descriptor, &abi__info_reply__descriptor, run_info},
    {CELL_METHOD_MAP, &abi__map_request__descriptor, &abi__map_reply__descriptor, run_map},
    {CELL_METHOD_SNAPSHOT_LOAD, &abi__snapshot_load_request__descriptor,
     &abi__snapshot_load_reply__descriptor, run_snapshot_load},
    {CELL_METHOD_CHECK, &abi__check_request__descriptor, &abi__check_reply__descriptor, run_check},
    {0},
};
