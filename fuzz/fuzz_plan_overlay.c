/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another backing file for a hostile qcow2 or QED image, and emptying one of qcow2 or qcow. An
 * image may be refused; what is planned comes to its end, leaves an image that opens after every
 * barrier, with the old backing file or the new one, and keeps to its promise at the end. Input:
 *
 *   u8            bit 0: empty, otherwise another backing file; bit 1: none; bits 2 and 3: format
 *   be16          bytes of the name, modulo 1100
 *   u8            bytes of the format's name, modulo 20
 *   the rest      the image
 */
#include <glib.h>
#include <string.h>

#include "fuzz/follow.h"
#include "fuzz/guarded.h"
#include "guest/formats/qcow2.h"
#include "guest/formats/qed.h"
#include "guest/lib/checked.h"
#include "guest/plan/backing.h"
#include "guest/plan/empty.h"
#include "guest/plan/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = {"qcow2", "qed", "qcow", "qcow2"};

struct trial {
    const char *format;
    GByteArray *image;
    const Abi__BackingRequest *request; /* NULL: empty */
    char *old_name;                     /* NULL: none */
    gsize old_len;
    bool sane; /* no table lies over the header: its changes are the header's alone */
};

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
    struct node *node = fuzz_open_bytes(t->format, t->image->data, t->image->len, true, false);
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

static bool has_data_file(const struct trial *t, struct node *node)
{
    return strcmp(t->format, "qcow2") == 0 && qcow2_of(node)->has_data_file;
}

static void judge_empty(const struct trial *t)
{
    struct node *node = fuzz_open_bytes(t->format, t->image->data, t->image->len, true, false);
    struct guest_err_detail detail;
    struct cell_extent extent;
    uint32_t nr = 0;
    uint64_t next = 0;

    if (t->sane && node && node->virtual_size && !has_data_file(t, node)) {
        g_assert(plan_map(node, 0, node->virtual_size, 1, &extent, 1, &nr, &next, &detail) ==
                 GUEST_OK);
        g_assert(nr == 1 && extent.kind == CELL_EXTENT_HOLE && next == node->virtual_size);
    }
    node_free(node);
}

static bool is_sane_qcow2(struct node *node)
{
    const struct qcow2 *q = qcow2_of(node);
    const struct qcow2_header *h = &q->header;
    uint64_t cluster = q->cluster_size;

    return h->l1_table_offset >= cluster && h->refcount_table_offset >= cluster &&
           (!h->nb_snapshots || h->snapshots_offset >= cluster) && !q->ext.has_bitmaps &&
           (!h->backing_file_offset || h->backing_file_offset >= h->header_length);
}

/* The L1 table of a QED image lies behind its header; one of qcow may lie anywhere. */
static bool is_sane(const struct trial *t, struct node *node)
{
    if (strcmp(t->format, "qcow2") == 0)
        return is_sane_qcow2(node);
    if (strcmp(t->format, "qed") == 0)
        return qed_of(node)->header.header_size > 0;
    return false;
}

static void judge_at_barrier(void *user)
{
    judge(user, false);
}

static void run(struct trial *t, struct node *node)
{
    const Abi__FileRef *ref = backing_of(node);
    struct fuzz_watch watch = {.barrier = judge_at_barrier, .user = t};
    struct guest_err_detail detail;
    struct plan *plan = NULL;
    enum guest_err err;

    t->sane = is_sane(t, node);
    t->old_len = ref ? ref->text.len : 0;
    t->old_name = ref ? g_memdup2(ref->text.data, ref->text.len) : NULL;
    err = t->request ? plan_backing(node, t->request, &plan, &detail)
                     : plan_empty(node, &plan, &detail);
    if (!err && fuzz_follow(t->image, plan, &watch)) {
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
    struct trial t = {.format = formats[flags >> 2 & 3], .request = flags & 1 ? NULL : &request};
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
    node = fuzz_open_bytes(t.format, guarded.data, guarded.len, true, false);
    if (node)
        run(&t, node);
    node_free(node);
    g_byte_array_unref(t.image);
    guarded_clear(&guarded);
    return 0;
}
