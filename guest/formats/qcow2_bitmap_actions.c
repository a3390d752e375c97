/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each action does to the list of bitmaps, and when it may not be done. Nothing is read here
 * but tables.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_bitmap_plan.h"
#include "guest/lib/arena.h"

#define GRANULARITY_BYTES_MIN 512u
#define DEFAULT_BYTES_MIN     4096u
#define DEFAULT_BYTES_MAX     65536u

static struct span span_of_field(ProtobufCBinaryData field)
{
    return span_of(field.data, field.len);
}

/* One with a name, for the sentence. */
static enum guest_err refuse(struct guest_err_detail *detail, enum guest_err code, struct span name)
{
    return err_text(detail, code, name, 0);
}

static struct bitmap_state *find(const struct bitmap_plan *p, struct span name)
{
    for (uint32_t i = 0; i < p->nr_states; i++) {
        if (!p->state[i].gone && span_equal(p->state[i].name, name))
            return &p->state[i];
    }
    return NULL;
}

static bool is_in_use(const struct bitmap_state *s)
{
    return s->flags & QCOW2_BITMAP_IN_USE;
}

/* The bits come from nowhere any more: nothing is set. */
static void empty(struct bitmap_state *s)
{
    for (unsigned i = 0; i < s->nr_inputs; i++)
        qcow2_bits_clear(&s->inputs[i]);
    s->nr_inputs = 0;
    s->changed = true;
}

static enum guest_err add_input(struct bitmap_state *s, const struct qcow2_bits *bits,
                                struct guest_err_detail *detail)
{
    struct qcow2_bits *bigger = arena_array(s->nr_inputs + 1, sizeof(*bigger));
    if (!bigger)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (s->nr_inputs)
        memcpy(bigger, s->inputs, s->nr_inputs * sizeof(*bigger));
    free(s->inputs);
    s->inputs = bigger;
    s->inputs[s->nr_inputs++] = *bits;
    return GUEST_OK;
}

static enum guest_err add_stored(struct bitmap_plan *p, struct bitmap_state *s, uint32_t old,
                                 struct guest_err_detail *detail)
{
    struct qcow2_bits bits;
    enum guest_err err = qcow2_bits_open(&bits, p->q, &p->q->bitmaps[old], detail);
    if (!err)
        err = add_input(s, &bits, detail);
    if (err)
        qcow2_bits_clear(&bits);
    return err;
}

/* ---- adding and removing ---- */

static uint32_t default_granularity(const struct bitmap_plan *p)
{
    return (uint32_t)min_u64(max_u64(p->q->cluster_size, DEFAULT_BYTES_MIN), DEFAULT_BYTES_MAX);
}

/* Whether one more can be stored. */
static enum guest_err check_storable(const struct bitmap_plan *p, struct span name,
                                     unsigned granularity_bits, struct guest_err_detail *detail)
{
    uint64_t bytes = div_round_up_u64(qcow2_bits_of(p->disk_bytes, granularity_bits), 8);
    if (p->q->header.version < 3)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAP_V2);
    if (name.len > QCOW2_BITMAP_NAME_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAP_NAME_LONG);
    if (bytes > QCOW2_BITMAP_PHYSICAL_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAP_LARGE);
    if (p->nr_live >= QCOW2_BITMAPS_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAPS_MANY);
    if (p->live_bytes + qcow2_bitmap_entry_bytes(name.len) > QCOW2_BITMAP_DIRECTORY_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAPS_FULL);
    return GUEST_OK;
}

static enum guest_err append(struct bitmap_plan *p, const struct bitmap_state *s,
                             struct guest_err_detail *detail)
{
    if (!arena_grow((void **)&p->state, &p->max_states, p->nr_states + 1ull, sizeof(*p->state)))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->state[p->nr_states++] = *s;
    p->nr_live++;
    p->live_bytes += qcow2_bitmap_entry_bytes(s->name.len);
    return GUEST_OK;
}

static enum guest_err act_add(struct bitmap_plan *p, const Abi__BitmapAction *a,
                              struct guest_err_detail *detail)
{
    struct span name = span_of_field(a->name);
    uint32_t granularity = a->has_granularity ? a->granularity : default_granularity(p);

    if (name.len == 0)
        return err_plain(detail, GUEST_ERR_PLAN_BITMAP_NO_NAME);
    if (granularity < GRANULARITY_BYTES_MIN || !is_power_of_two_u64(granularity))
        return err_plain(detail, GUEST_ERR_PLAN_BITMAP_GRANULARITY);
    if (find(p, name))
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_EXISTS, name);
    struct bitmap_state s = {.name = name,
                             .granularity_bits = (unsigned)__builtin_ctz(granularity),
                             .flags = QCOW2_BITMAP_AUTO,
                             .old = BITMAP_NONE,
                             .changed = true};
    enum guest_err err = check_storable(p, name, s.granularity_bits, detail);
    if (err)
        return err;
    p->directory_changes = true;
    return append(p, &s, detail);
}

static void remove_state(struct bitmap_plan *p, struct bitmap_state *s)
{
    empty(s);
    s->gone = true;
    p->nr_live--;
    p->live_bytes -= qcow2_bitmap_entry_bytes(s->name.len);
    p->directory_changes = true;
}

static enum guest_err act_remove_all(struct bitmap_plan *p)
{
    for (uint32_t i = 0; i < p->nr_states; i++) {
        if (!p->state[i].gone)
            remove_state(p, &p->state[i]);
    }
    return GUEST_OK;
}

/* ---- merging ---- */

static enum guest_err check_source(const Abi__BitmapAction *a, const struct bitmap_state *own,
                                   struct guest_err_detail *detail)
{
    struct span name = span_of_field(a->source_name);
    if (a->source == ABI__BITMAP_SOURCE__BITMAP_SOURCE_IN_USE || (own && is_in_use(own)))
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_IN_USE, name);
    return GUEST_OK;
}

static enum guest_err merge_blob(const struct bitmap_plan *p, struct bitmap_state *s,
                                 const Abi__BitmapAction *a, struct guest_err_detail *detail)
{
    struct qcow2_bits bits = {.blob = p->bits, .blob_offset = a->source_offset};
    if (!bits.blob || !is_power_of_two_u64(a->source_granularity) ||
        a->source_granularity < GRANULARITY_BYTES_MIN)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    bits.granularity_bits = (unsigned)__builtin_ctz(a->source_granularity);
    bits.nr_bits = qcow2_bits_of(a->source_size, bits.granularity_bits);
    if (!range_inside_u64(bits.blob_offset, div_round_up_u64(bits.nr_bits, 8),
                          bits.blob->size_bytes))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (a->source_size != p->disk_bytes)
        return err_numbers(detail, GUEST_ERR_PLAN_BITMAP_SIZES, p->disk_bytes, a->source_size, 0,
                           0);
    return add_input(s, &bits, detail);
}

static enum guest_err act_merge(struct bitmap_plan *p, size_t index, struct bitmap_state *s,
                                struct guest_err_detail *detail)
{
    const Abi__BitmapAction *a = p->request->action[index];
    bool is_own = a->source == ABI__BITMAP_SOURCE__BITMAP_SOURCE_OWN;
    struct bitmap_state *own = is_own ? find(p, span_of_field(a->source_name)) : NULL;
    enum guest_err err = GUEST_OK;

    if (a->source == ABI__BITMAP_SOURCE__BITMAP_SOURCE_MISSING || (is_own && !own))
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_NOT_FOUND, span_of_field(a->source_name));
    if (is_in_use(s))
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_IN_USE, s->name);
    err = check_source(a, own, detail);
    if (err || own == s)
        return err;
    /* Bits that are being changed themselves cannot be read yet; no command asks for that. */
    if (own && own->changed)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (!s->changed)
        err = add_stored(p, s, s->old, detail);
    if (!err)
        err = own ? add_stored(p, s, own->old, detail) : merge_blob(p, s, a, detail);
    if (!err)
        s->changed = p->directory_changes = true;
    return err;
}

/* ---- */

static enum guest_err act_on(struct bitmap_plan *p, size_t index, struct bitmap_state *s,
                             struct guest_err_detail *detail)
{
    uint32_t flags = s->flags;
    if (p->request->action[index]->verb == ABI__BITMAP_VERB__BITMAP_MERGE)
        return act_merge(p, index, s, detail);
    if (is_in_use(s))
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_IN_USE, s->name);
    switch (p->request->action[index]->verb) {
    case ABI__BITMAP_VERB__BITMAP_CLEAR:
        empty(s);
        p->directory_changes = true;
        break;
    case ABI__BITMAP_VERB__BITMAP_ENABLE:
        s->flags |= QCOW2_BITMAP_AUTO;
        break;
    case ABI__BITMAP_VERB__BITMAP_DISABLE:
        s->flags &= ~QCOW2_BITMAP_AUTO;
        break;
    default:
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    }
    p->directory_changes = p->directory_changes || s->flags != flags;
    return GUEST_OK;
}

static enum guest_err act(struct bitmap_plan *p, size_t index, struct guest_err_detail *detail)
{
    const Abi__BitmapAction *a = p->request->action[index];
    struct bitmap_state *s;

    if (a->verb == ABI__BITMAP_VERB__BITMAP_ADD)
        return act_add(p, a, detail);
    if (a->verb == ABI__BITMAP_VERB__BITMAP_REMOVE_ALL)
        return act_remove_all(p);
    s = find(p, span_of_field(a->name));
    if (!s)
        return refuse(detail, GUEST_ERR_PLAN_BITMAP_NOT_FOUND, span_of_field(a->name));
    if (a->verb != ABI__BITMAP_VERB__BITMAP_REMOVE)
        return act_on(p, index, s, detail);
    remove_state(p, s);
    return GUEST_OK;
}

static bool is_fatal(enum guest_err err)
{
    return err == GUEST_ERR_NO_MEMORY || err == GUEST_ERR_IO || err == GUEST_ERR_BAD_REQUEST;
}

enum guest_err bitmap_act(struct bitmap_plan *p, uint32_t *out_done, enum guest_err *out_failure,
                          struct guest_err_detail *failed)
{
    *out_failure = GUEST_OK;
    for (*out_done = 0; *out_done < p->request->n_action; ++*out_done) {
        enum guest_err err = act(p, *out_done, failed);
        if (is_fatal(err))
            return err;
        if (err) {
            *out_failure = err;
            return GUEST_OK;
        }
    }
    return GUEST_OK;
}
