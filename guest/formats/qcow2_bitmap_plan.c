/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a change of bitmaps, and reading the bits of one.
 */
#include "guest/formats/qcow2_bitmap_plan.h"

#include <stdlib.h>

#include "guest/formats/message.h"
#include "guest/lib/arena.h"

/* The bitmaps as the image has them. */
static enum guest_err load_states(struct bitmap_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2 *q = p->q;
    p->max_states = q->nr_bitmaps + 1;
    p->state = arena_array(p->max_states, sizeof(*p->state));
    if (!p->state)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (uint32_t i = 0; i < q->nr_bitmaps; i++) {
        const struct qcow2_bitmap *b = &q->bitmaps[i];
        p->state[p->nr_states++] = (struct bitmap_state){
            .name = b->name, .granularity_bits = b->granularity_bits, .flags = b->flags, .old = i};
        p->live_bytes += qcow2_bitmap_entry_bytes(b->name.len);
    }
    p->nr_old = p->nr_live = q->nr_bitmaps;
    return GUEST_OK;
}

/* A message of its own, freed with the reply. */
static enum guest_err set_failure(Abi__BitmapReply *reply, enum guest_err code,
                                  const struct guest_err_detail *failed,
                                  struct guest_err_detail *detail)
{
    Abi__Error *error = malloc(sizeof(*error));
    if (!error)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__error__init(error);
    reply->failure = error;
    error->code = code;
    error->number = arena_array(GUEST_ERR_NUMBERS, sizeof(*error->number));
    if (!error->number)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    for (unsigned i = 0; i < GUEST_ERR_NUMBERS; i++)
        error->number[error->n_number++] = failed->number[i];
    return message_set_bytes(&error->text, span_of(failed->text, failed->text_len))
               ? GUEST_OK
               : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

static enum guest_err prepare(struct bitmap_plan *p, Abi__BitmapReply *reply,
                              struct guest_err_detail *detail)
{
    enum guest_err failure, err;
    struct guest_err_detail *failed = calloc(1, sizeof(*failed));
    if (!failed)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = p->q->header.incompatible_features & QCOW2_INCOMPAT_DIRTY
              ? err_plain(detail, GUEST_ERR_PLAN_DIRTY)
              : load_states(p, detail);
    if (!err)
        err = bitmap_act(p, &reply->nr_done, &failure, failed);
    if (!err && failure)
        err = set_failure(reply, failure, failed, detail);
    free(failed);
    if (err)
        return err;
    reply->lost = p->disk_bytes == 0 && p->nr_live > 0;
    if (reply->lost)
        p->directory_changes = false;
    return bitmap_place(p, detail);
}

enum guest_err qcow2_bitmap_plan(struct node *node, const struct bitmap_request *request,
                                 Abi__BitmapReply *reply, struct plan **out,
                                 struct guest_err_detail *detail)
{
    struct bitmap_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &bitmap_verbs;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->disk_bytes = qcow2_virtual_size(p->q);
    p->request = request->message;
    p->bits = request->blob;
    enum guest_err err = prepare(p, reply, detail);
    p->request = NULL;
    if (err) {
        bitmap_verbs.free(&p->base);
        return err;
    }
    p->base.file_size =
        max_u64(p->q->source->size_bytes, p->alloc.end << p->q->header.cluster_bits);
    *out = &p->base;
    return GUEST_OK;
}

enum guest_err qcow2_bitmap_read(struct node *node, const Abi__BitmapReadRequest *request,
                                 uint8_t *buf, struct guest_err_detail *detail)
{
    struct qcow2 *q = qcow2_of(node);
    struct span name = span_of(request->name.data, request->name.len);
    for (uint32_t i = 0; i < q->nr_bitmaps; i++) {
        struct qcow2_bits bits;
        bool zero;
        if (!span_equal(q->bitmaps[i].name, name))
            continue;
        enum guest_err err = qcow2_bits_open(&bits, q, &q->bitmaps[i], detail);
        if (!err)
            err = qcow2_bits_read(&bits, request->offset, request->length, buf, &zero, detail);
        if (!err && zero)
            memset(buf, 0, request->length);
        qcow2_bits_clear(&bits);
        return err;
    }
    return err_text(detail, GUEST_ERR_PLAN_BITMAP_NOT_FOUND, name, 0);
}
