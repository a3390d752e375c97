/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another backing file for a hostile qcow2 image, and emptying it. An image may be refused; what is
 * planned comes to its end, leaves an image that opens after every barrier, with the old backing
 * file or the new one, and keeps to its promise at the end. Input:
 *
 *   u8            bit 0: empty, otherwise another backing file; bit 1: none
 *   be16          bytes of the name, modulo 1100
 *   u8            bytes of the format's name, modulo 20
 *   the rest      the image
 */
#include <glib.h>
#include <string.h>

#include "fuzz/guarded.h"
#include "guest/formats/qcow2.h"
#include "guest/lib/checked.h"
#include "guest/plan/backing.h"
#include "guest/plan/empty.h"
#include "guest/plan/map.h"

#define BATCHES_MAX 4096
#define OPS_MAX     512
#define IMAGE_MAX   (64u << 20) /* a plan that makes the file longer is not followed */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t window[PLAN_WINDOW_BYTES];
static struct cell_op ops[OPS_MAX];

struct trial {
    GByteArray *image;
    const Abi__BackingRequest *request; /* NULL: empty */
    char *old_name;                     /* NULL: none */
    gsize old_len;
    bool sane; /* no table lies over the header: its changes are the header's alone */
};

static struct node *open_image(const uint8_t *bytes, uint64_t len, bool for_check)
{
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    struct source *source = source_new_buffer(0, bytes, len);
    struct guest_err_detail detail;
    struct node *node = NULL;

    request.format = (char *)"qcow2";
    request.read_write = true;
    request.for_check = for_check;
    if (source && node_open(source, &request, &node, &detail) == GUEST_OK)
        return node;
    source_free(source);
    return NULL;
}

static const Abi__FileRef *backing_of(const struct node *node)
{
    for (unsigned i = 0; i < node->nr_refs; i++) {
        if (node->refs[i]->role == ABI__ROLE__ROLE_BACKING)
            return node->refs[i];
    }
    return NULL;
}

static bool has_name(const Abi__FileRef *ref, const void *name, gsize len)
{
    if (!ref || len == 0)
        return !ref && len == 0;
    return ref->text.len == len && memcmp(ref->text.data, name, len) == 0;
}

static bool has_new_name(const struct trial *t, const Abi__FileRef *ref)
{
    const Abi__BackingRequest *r = t->request;
    return r->has_backing ? has_name(ref, r->name.data, r->name.len) : has_name(ref, NULL, 0);
}

/* The image as it is now: it opens, and names one of the two. */
static void judge(const struct trial *t, bool at_end)
{
    struct node *node = open_image(t->image->data, t->image->len, false);
    const Abi__FileRef *ref;

    if (!t->sane)
        return node_free(node);
    g_assert(node);
    ref = backing_of(node);
    if (t->request)
        g_assert(has_new_name(t, ref) || (!at_end && has_name(ref, t->old_name, t->old_len)));
    else
        g_assert(has_name(ref, t->old_name, t->old_len));
    node_free(node);
}

static void judge_empty(const struct trial *t)
{
    struct node *node = open_image(t->image->data, t->image->len, false);
    struct guest_err_detail detail;
    struct cell_extent extent;
    uint32_t nr = 0;
    uint64_t next = 0;

    if (t->sane && node && node->virtual_size && !qcow2_of(node)->has_data_file) {
        g_assert(plan_map(node, 0, node->virtual_size, 1, &extent, 1, &nr, &next, &detail) ==
                 GUEST_OK);
        g_assert(nr == 1 && extent.kind == CELL_EXTENT_HOLE && next == node->virtual_size);
    }
    node_free(node);
}

/* ---- following ---- */

static void fill(GByteArray *image, const struct cell_op *op)
{
    uint8_t *at = image->data + op->offset;

    for (uint64_t i = 0; i < op->length; i++) {
        if (op->kind == CELL_OP_PATTERN)
            at[i] = ((const uint8_t *)op->value)[i % op->unit_len];
        else
            at[i] = op->kind == CELL_OP_WRITE ? window[op->data + i] : 0;
    }
    for (uint64_t i = 0; op->kind == CELL_OP_ASCEND && i < op->length / op->unit_len; i++)
        store_be64(&at[i * op->unit_len], op->value[0] + i * op->value[1]);
}

/* One op onto the image; false: it becomes too long to be followed. */
static bool carry_out(GByteArray *image, const struct cell_op *op)
{
    uint64_t end = op->kind == CELL_OP_TRUNCATE ? op->offset : op->offset + op->length;

    if (op->kind == CELL_OP_BARRIER || op->kind == CELL_OP_DISCARD || op->blob != 0)
        return true;
    g_assert(end >= op->offset);
    if (end > IMAGE_MAX)
        return false;
    if (end > image->len || op->kind == CELL_OP_TRUNCATE) {
        guint had = image->len;
        g_byte_array_set_size(image, (guint)end);
        if (end > had)
            memset(image->data + had, 0, end - had);
    }
    if (op->kind != CELL_OP_TRUNCATE)
        fill(image, op);
    return true;
}

/* The whole plan; false: it could not be followed. The node reads the bytes as they were. */
static bool follow(struct trial *t, struct plan *plan)
{
    bool done = false, good = true;

    for (unsigned batch = 0; !done && good; batch++) {
        struct plan_sink sink = {
            .ops = ops, .max_ops = OPS_MAX, .window = window, .window_size = sizeof(window)};
        struct guest_err_detail detail;

        g_assert(batch < BATCHES_MAX);
        good = plan->verbs->next(plan, &sink, &done, &detail) == GUEST_OK;
        g_assert(!good || done || sink.nr_ops > 0);
        for (uint32_t i = 0; i < sink.nr_ops && good; i++) {
            if (ops[i].kind == CELL_OP_BARRIER)
                judge(t, false);
            good = carry_out(t->image, &ops[i]);
        }
    }
    plan->verbs->free(plan);
    return good;
}

static bool is_sane(struct node *node)
{
    const struct qcow2 *q = qcow2_of(node);
    const struct qcow2_header *h = &q->header;
    uint64_t cluster = q->cluster_size;

    return h->l1_table_offset >= cluster && h->refcount_table_offset >= cluster &&
           (!h->nb_snapshots || h->snapshots_offset >= cluster) && !q->ext.has_bitmaps &&
           (!h->backing_file_offset || h->backing_file_offset >= h->header_length);
}

static void run(struct trial *t, struct node *node)
{
    const Abi__FileRef *ref = backing_of(node);
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    enum guest_err err;

    t->sane = is_sane(node);
    t->old_len = ref ? ref->text.len : 0;
    t->old_name = ref ? g_memdup2(ref->text.data, ref->text.len) : NULL;
    err = t->request ? plan_backing(node, t->request, &plan, &detail)
                     : plan_empty(node, &plan, &detail);
    if (!err && follow(t, plan)) {
        judge(t, true);
        if (!t->request)
            judge_empty(t);
    }
    g_free(t->old_name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    uint8_t flags = cur_u8(&c);
    uint16_t name_len = cur_be16(&c) % 1100;
    uint8_t format_len = cur_u8(&c) % 20;
    struct span image = cur_bytes(&c, cur_left(&c));
    Abi__BackingRequest request = ABI__BACKING_REQUEST__INIT;
    struct trial t = {.request = flags & 1 ? NULL : &request};
    struct guarded guarded;
    struct node *node;

    static uint8_t letters[1100];

    if (!cur_ok(&c))
        return 0;
    for (unsigned i = 0; i < sizeof(letters); i++)
        letters[i] = (uint8_t)('a' + i % 26);
    guarded = guarded_copy(image.data, image.len, GUARDED_END);
    t.image = g_byte_array_new();
    g_byte_array_append(t.image, image.data, (guint)image.len);
    request.has_backing = !(flags & 2) && name_len > 0;
    request.name = (ProtobufCBinaryData){.data = letters, .len = name_len};
    request.format = (ProtobufCBinaryData){.data = letters, .len = format_len};
    node = open_image(guarded.data, guarded.len, false);
    if (node)
        run(&t, node);
    node_free(node);
    g_byte_array_unref(t.image);
    guarded_clear(&guarded);
    return 0;
}
