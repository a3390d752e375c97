/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps that change nothing but the first cluster.
 */
#include "guest/formats/qcow2_amend.h"

#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_create.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define VERSION_AT      4u
#define COMPATIBLE_AT   80u
#define AUTOCLEAR_AT    88u
#define ORDER_AT        96u
#define LENGTH_AT       100u
#define ORDER_OF_V2     4u
#define DATA_FILE_BYTES 1023u

struct header_plan {
    struct plan base;
    struct qcow2 *q;
    struct header_edit edit;
    uint8_t names[QCOW2_FEATURE_NAMES_BYTES];
};

static enum guest_err header_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                  struct guest_err_detail *detail)
{
    struct header_plan *p = (struct header_plan *)plan;
    (void)detail;
    *out_done = header_edit_yield(&p->edit, sink, p->q->source->blob);
    return GUEST_OK;
}

static void header_free(struct plan *plan)
{
    struct header_plan *p = (struct header_plan *)plan;
    header_edit_clear(&p->edit);
    free(p);
}

static const struct plan_verbs header_verbs = {header_next, header_free};

static enum guest_err upgrade(struct header_plan *p, struct guest_err_detail *detail)
{
    uint8_t *fields = p->edit.fields;
    if (p->q->header.version >= 3)
        return GUEST_OK;
    store_be32(&fields[VERSION_AT], 3);
    memset(&fields[QCOW2_HEADER_V2_BYTES], 0, HEADER_EDIT_FIELDS - QCOW2_HEADER_V2_BYTES);
    store_be32(&fields[ORDER_AT], ORDER_OF_V2);
    store_be32(&fields[LENGTH_AT], HEADER_EDIT_FIELDS);
    /* In version 2 nobody keeps bitmaps: what is left of them is stale. */
    header_edit_drop(&p->edit, QCOW2_EXT_BITMAPS);
    return GUEST_OK;
}

static enum guest_err set_lazy(struct header_plan *p, bool on)
{
    uint64_t compatible = p->q->header.compatible_features & ~QCOW2_COMPAT_LAZY_REFCOUNTS;
    store_be64(&p->edit.fields[COMPATIBLE_AT], compatible | (on ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0));
    return GUEST_OK;
}

static enum guest_err set_data_file(struct header_plan *p, const Abi__AmendRequest *request,
                                    struct guest_err_detail *detail)
{
    uint64_t autoclear = load_be64(&p->edit.fields[AUTOCLEAR_AT]);
    if (request->clear_raw)
        store_be64(&p->edit.fields[AUTOCLEAR_AT], autoclear & ~QCOW2_AUTOCLEAR_DATA_FILE_RAW);
    if (!request->has_data_file)
        return GUEST_OK;
    if (request->data_file.len > DATA_FILE_BYTES)
        return err_plain(detail, GUEST_ERR_PLAN_HEADER_FULL);
    if (request->data_file.len == 0) {
        header_edit_drop(&p->edit, QCOW2_EXT_DATA_FILE);
        return GUEST_OK;
    }
    return header_edit_set(&p->edit, QCOW2_EXT_DATA_FILE,
                           span_of(request->data_file.data, request->data_file.len), detail);
}

static enum guest_err change(struct header_plan *p, const Abi__AmendRequest *request,
                             struct guest_err_detail *detail)
{
    bool v3 = p->q->header.version >= 3;
    switch (request->step) {
    case ABI__AMEND_STEP__AMEND_UPGRADE:
        return upgrade(p, detail);
    case ABI__AMEND_STEP__AMEND_LAZY_REFCOUNTS:
        return v3 ? set_lazy(p, request->on) : err_plain(detail, GUEST_ERR_BAD_REQUEST);
    case ABI__AMEND_STEP__AMEND_DATA_FILE:
        return v3 ? set_data_file(p, request, detail) : err_plain(detail, GUEST_ERR_BAD_REQUEST);
    case ABI__AMEND_STEP__AMEND_TIDY:
        return GUEST_OK;
    default:
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
}

/* Whoever writes the header of version 3 says what its bits are called. */
static enum guest_err name_features(struct header_plan *p, struct guest_err_detail *detail)
{
    if (load_be32(&p->edit.fields[VERSION_AT]) < 3 ||
        p->q->cluster_size <= QCOW2_FEATURE_NAMES_ABOVE_BYTES)
        return GUEST_OK;
    qcow2_feature_names(p->names);
    return header_edit_set(&p->edit, QCOW2_EXT_FEATURE_NAMES, span_of(p->names, sizeof(p->names)),
                           detail);
}

static enum guest_err header_plan(struct node *node, const Abi__AmendRequest *request,
                                  struct plan **out, struct guest_err_detail *detail)
{
    struct header_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &header_verbs;
    p->q = qcow2_of(node);
    p->base.file_size = max_u64(p->q->source->size_bytes, p->q->cluster_size);
    enum guest_err err = header_edit_init(&p->edit, p->q, detail);
    if (!err && p->q->ext.bitmaps_stale)
        header_edit_drop(&p->edit, QCOW2_EXT_BITMAPS);
    if (!err)
        err = change(p, request, detail);
    if (!err)
        err = name_features(p, detail);
    if (!err)
        err = header_edit_compose(&p->edit, detail);
    if (err) {
        header_free(&p->base);
        return err;
    }
    *out = &p->base;
    return GUEST_OK;
}

enum guest_err qcow2_amend_plan(struct node *node, const Abi__AmendRequest *request,
                                struct plan **out, struct guest_err_detail *detail)
{
    if (qcow2_of(node)->header.incompatible_features & QCOW2_INCOMPAT_DIRTY &&
        request->step != ABI__AMEND_STEP__AMEND_TIDY)
        return err_plain(detail, GUEST_ERR_PLAN_DIRTY);
    if (request->step == ABI__AMEND_STEP__AMEND_DOWNGRADE)
        return qcow2_downgrade_plan(node, out, detail);
    if (request->step != ABI__AMEND_STEP__AMEND_REFCOUNT_BITS)
        return header_plan(node, request, out, detail);
    if (!is_power_of_two_u64(request->refcount_bits) || request->refcount_bits > 64)
        return err_plain(detail, GUEST_ERR_PLAN_REFCOUNT_BITS);
    return qcow2_recount_plan(node, (unsigned)__builtin_ctz(request->refcount_bits), out, detail);
}
