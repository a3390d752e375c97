/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both kinds of cell have in common: calls, upcalls, and the distrust of both.
 *
 * Everything the guest writes is copied once out of the shared memory, checked, and only the copy
 * is used: a guest that runs on (a taken-over child could) may change the original at any time.
 */
#include "src/sandbox/cell_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct blob {
    uint64_t size_bytes;
    cell_read_fn read;
    void *user;
};

/* For INSTAR_TRACE=cell. */
struct counts {
    uint64_t calls;
    uint64_t upcalls;
    uint64_t read_bytes;     /* blob bytes into the cell */
    uint64_t request_bytes;  /* requests and records into the cell */
    uint64_t response_bytes; /* responses and records out of it */
    gint64 started_usecs;
    gint64 guest_usecs;
};

struct cell {
    const struct cell_verbs *verbs;
    void *state;
    struct cell_memory memory;
    unsigned timeout_seconds;
    GArray *blobs; /* struct blob */
    cell_emit_fn emit;
    void *emit_user;
    GError *dead; /* why it cannot be called any more */
    struct counts counts;
};

static gboolean trace_on;

G_DEFINE_QUARK(instar_cell_error, cell_error)

void cell_trace_at_exit(gboolean on)
{
    trace_on = on;
}

static gboolean protocol_error(GError **error, const char *what)
{
    g_set_error(error, CELL_ERROR, CELL_ERROR_PROTOCOL,
                "The sandboxed parser gave an invalid answer (%s)", what);
    return FALSE;
}

/* Record sizes the guest may emit, by type. */
static size_t emit_record_size(uint32_t type)
{
    switch (type) {
    case CELL_EMIT_FINDINGS:
        return sizeof(struct cell_finding);
    default:
        return 0;
    }
}

/* Fills one read of a batch. The status goes back to the guest; nothing else comes of a bad one. */
static void serve_read(struct cell *cell, struct cell_read *r)
{
    r->status = CELL_READ_RANGE;
    r->error_number = 0;
    if (r->blob >= cell->blobs->len)
        return;
    const struct blob *b = &g_array_index(cell->blobs, struct blob, r->blob);
    if (r->offset_bytes > b->size_bytes || r->len_bytes > b->size_bytes - r->offset_bytes)
        return;
    void *dst = memory_writable(&cell->memory, r->dst, r->len_bytes);
    if (!dst)
        return;
    int err = b->read(b->user, r->offset_bytes, dst, r->len_bytes);
    r->status = err ? CELL_READ_IO : CELL_READ_OK;
    r->error_number = (uint32_t)err;
    cell->counts.read_bytes += r->len_bytes;
}

static gboolean serve_reads(struct cell *cell, uint32_t count, GError **error)
{
    if (count == 0 || count > CELL_READS_MAX)
        return protocol_error(error, "read count");
    struct cell_doorbell *page = memory_region(&cell->memory, REGION_DOORBELL);
    struct cell_read reads[CELL_READS_MAX];
    memcpy(reads, page->reads, count * sizeof(reads[0]));
    for (uint32_t i = 0; i < count; i++) {
        serve_read(cell, &reads[i]);
        page->reads[i].status = reads[i].status;
        page->reads[i].error_number = reads[i].error_number;
    }
    return TRUE;
}

static gboolean serve_emit(struct cell *cell, uint32_t type, uint32_t count, GError **error)
{
    size_t size = emit_record_size(type);
    if (size == 0)
        return protocol_error(error, "emit type");
    if (count > CELL_RECORDS_SIZE / size)
        return protocol_error(error, "emit count");
    g_autofree void *copy = g_malloc(MAX(count * size, 1));
    memcpy(copy, memory_region(&cell->memory, REGION_RECORDS), count * size);
    cell->counts.response_bytes += count * size;
    if (cell->emit)
        cell->emit(cell->emit_user, type, copy, count, size);
    return TRUE;
}

/* Text of the guest for people: bounded, and shown without control bytes. */
static char *take_text(struct cell *cell, uint32_t count)
{
    char *text = g_strndup(memory_region(&cell->memory, REGION_RECORDS), MIN(count, 1024));
    for (char *p = text; *p; p++) {
        if (!g_ascii_isprint(*p))
            *p = '?';
    }
    return text;
}

/* Runs the guest until it returns from the call, serving what it asks for on the way. */
static gboolean run_to_return(struct cell *cell, uint32_t *out_response_len, GError **error)
{
    struct cell_doorbell *page = memory_region(&cell->memory, REGION_DOORBELL);
    for (;;) {
        gint64 before = trace_on ? g_get_monotonic_time() : 0;
        if (!cell->verbs->run(cell->state, cell->timeout_seconds, error))
            return FALSE;
        if (trace_on)
            cell->counts.guest_usecs += g_get_monotonic_time() - before;
        struct cell_doorbell ring; /* the head alone: reads are copied by serve_reads */
        memcpy(&ring, page, offsetof(struct cell_doorbell, reads));
        switch (ring.ring) {
        case CELL_RING_RETURN:
            *out_response_len = ring.response_len;
            return TRUE;
        case CELL_RING_READ:
            cell->counts.upcalls++;
            if (!serve_reads(cell, ring.count, error))
                return FALSE;
            break;
        case CELL_RING_EMIT:
            cell->counts.upcalls++;
            if (!serve_emit(cell, ring.arg, ring.count, error))
                return FALSE;
            break;
        case CELL_RING_LOG: {
            g_autofree char *text = take_text(cell, ring.count);
            cell->counts.upcalls++;
            if (trace_on)
                fprintf(stderr, "instar: guest: %s\n", text);
            break;
        }
        case CELL_RING_PANIC: {
            g_autofree char *text = take_text(cell, ring.count);
            g_set_error(error, CELL_ERROR, CELL_ERROR_PANIC,
                        "The sandboxed parser stopped at a bug of its own: %s", text);
            return FALSE;
        }
        default:
            return protocol_error(error, "doorbell");
        }
    }
}

static struct cell *start_kind(const struct cell_verbs *verbs, const struct cell_config *config,
                               GError **error)
{
    struct cell *cell = g_new0(struct cell, 1);
    cell->verbs = verbs;
    cell->timeout_seconds = config->timeout_seconds;
    cell->counts.started_usecs = g_get_monotonic_time();
    cell->blobs = g_array_new(FALSE, TRUE, sizeof(struct blob));
    const uint8_t *image = config->image ? config->image : guest_image_start;
    size_t image_len =
        config->image ? config->image_len : (size_t)(guest_image_end - guest_image_start);
    uint32_t ignored;
    if (!memory_init(&cell->memory, image, image_len, config->memory_bytes, config->window_bytes,
                     verbs->word, verbs->shared_memory, error) ||
        !verbs->start(&cell->memory, config->codec, &cell->state, error) ||
        !run_to_return(cell, &ignored, error)) {
        cell_free(cell);
        return NULL;
    }
    return cell;
}

struct cell *cell_new(const struct cell_config *config, GError **error)
{
    if (config->kind == CELL_PROCESS)
        return start_kind(&cell_process, config, error);
    struct cell *cell = start_kind(&cell_kvm, config, config->kind == CELL_KVM ? error : NULL);
    if (!cell && config->kind == CELL_AUTO)
        cell = start_kind(&cell_process, config, error);
    return cell;
}

static void trace(const struct cell *cell)
{
    const struct counts *c = &cell->counts;
    const struct cell_doorbell *page = memory_region(&cell->memory, REGION_DOORBELL);
    fprintf(stderr,
            "instar: cell %s: %" G_GUINT64_FORMAT " calls, %" G_GUINT64_FORMAT
            " upcalls, %" G_GUINT64_FORMAT " bytes read, %" G_GUINT64_FORMAT
            " bytes in, %" G_GUINT64_FORMAT " bytes out, %" G_GUINT64_FORMAT
            " pages touched, %" G_GUINT64_FORMAT " KiB arena, guest %" G_GINT64_FORMAT
            " us, total %" G_GINT64_FORMAT " us\n",
            cell->verbs->name, c->calls, c->upcalls, c->read_bytes, c->request_bytes,
            c->response_bytes, memory_touched_pages(&cell->memory), page->arena_used >> 10,
            c->guest_usecs, g_get_monotonic_time() - c->started_usecs);
}

void cell_free(struct cell *cell)
{
    if (!cell)
        return;
    if (trace_on && cell->memory.base && cell->state)
        trace(cell);
    if (cell->state)
        cell->verbs->stop(cell->state);
    memory_clear(&cell->memory);
    g_array_free(cell->blobs, TRUE);
    g_clear_error(&cell->dead);
    g_free(cell);
}

uint32_t cell_add_blob(struct cell *cell, uint64_t size_bytes, cell_read_fn read, void *user)
{
    struct blob b = {.size_bytes = size_bytes, .read = read, .user = user};
    g_assert(cell->blobs->len < CELL_BLOBS_MAX);
    g_array_append_val(cell->blobs, b);
    return cell->blobs->len - 1;
}

void cell_set_blob_size(struct cell *cell, uint32_t blob, uint64_t size_bytes)
{
    if (blob < cell->blobs->len)
        g_array_index(cell->blobs, struct blob, blob).size_bytes = size_bytes;
}

void cell_set_emit(struct cell *cell, cell_emit_fn emit, void *user)
{
    cell->emit = emit;
    cell->emit_user = user;
}

/* Puts the request and its records in place. */
static gboolean put_request(struct cell *cell, enum cell_method method,
                            const ProtobufCMessage *request, const void *records,
                            uint32_t nr_records, size_t record_size, GError **error)
{
    size_t len = protobuf_c_message_get_packed_size(request);
    if (len > CELL_REQUEST_SIZE || (nr_records && nr_records > CELL_RECORDS_SIZE / record_size)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_PROTOCOL,
                    "The request does not fit into the sandbox");
        return FALSE;
    }
    protobuf_c_message_pack(request, memory_region(&cell->memory, REGION_REQUEST));
    if (nr_records)
        memcpy(memory_region(&cell->memory, REGION_RECORDS), records, nr_records * record_size);
    struct cell_doorbell *page = memory_region(&cell->memory, REGION_DOORBELL);
    page->method = method;
    page->request_len = (uint32_t)len;
    page->nr_records = nr_records;
    cell->counts.calls++;
    cell->counts.request_bytes += len + nr_records * record_size;
    return TRUE;
}

static gboolean take_response(struct cell *cell, uint32_t len,
                              const ProtobufCMessageDescriptor *reply_type,
                              ProtobufCMessage **out_reply, GError **error)
{
    if (len > CELL_RESPONSE_SIZE)
        return protocol_error(error, "response length");
    g_autofree uint8_t *copy = g_malloc(MAX(len, 1));
    memcpy(copy, memory_region(&cell->memory, REGION_RESPONSE), len);
    cell->counts.response_bytes += len;
    ProtobufCMessage *reply = protobuf_c_message_unpack(reply_type, NULL, len, copy);
    if (!reply)
        return protocol_error(error, "response");
    *out_reply = reply;
    return TRUE;
}

gboolean cell_call(struct cell *cell, enum cell_method method, const ProtobufCMessage *request,
                   const void *records, uint32_t nr_records, size_t record_size,
                   const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **out_reply,
                   GError **error)
{
    if (cell->dead) {
        if (error)
            *error = g_error_copy(cell->dead);
        return FALSE;
    }
    if (!put_request(cell, method, request, records, nr_records, record_size, error))
        return FALSE;
    GError *failure = NULL;
    uint32_t response_len = 0;
    if (run_to_return(cell, &response_len, &failure) &&
        take_response(cell, response_len, reply_type, out_reply, &failure))
        return TRUE;
    cell->dead = g_error_copy(failure);
    g_propagate_error(error, failure);
    return FALSE;
}

gboolean cell_take_records(struct cell *cell, void *out, uint32_t count, size_t record_size,
                           GError **error)
{
    if (count > CELL_RECORDS_SIZE / record_size)
        return protocol_error(error, "record count");
    memcpy(out, memory_region(&cell->memory, REGION_RECORDS), count * record_size);
    cell->counts.response_bytes += count * record_size;
    return TRUE;
}

void *cell_window(struct cell *cell, uint64_t offset, uint64_t len)
{
    const struct region *window = &cell->memory.region[REGION_WINDOW];
    if (offset > window->len || len > window->len - offset)
        return NULL;
    return (uint8_t *)memory_region(&cell->memory, REGION_WINDOW) + offset;
}

uint64_t cell_window_size(const struct cell *cell)
{
    return cell->memory.region[REGION_WINDOW].len;
}

enum cell_kind cell_kind_of(const struct cell *cell)
{
    return cell->verbs->kind;
}
