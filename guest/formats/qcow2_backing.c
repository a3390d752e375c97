/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_backing.h"

#include <stdlib.h>
#include <string.h>

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define SWITCH_BYTES 512u /* what a disk writes whole or not at all */
#define STEPS_MAX    5u
#define NAME_OFFSET  8u /* header: backing_file_offset, backing_file_size */
#define CLEAR_OFFSET 88u

/* An extension that nobody knows: readers go on behind it. */
#define EXT_DETOUR 0x696e7374u

/*
 * Feature names are only in headers of larger clusters, in images that stock wrote.
 * source: observed in files that stock makes and changes.
 */
#define FEATURE_NAMES_ABOVE_BYTES 4096u

/* Bytes [from, to) of the first cluster. */
struct range {
    uint64_t from, to;
};

/* One write, and a barrier behind it. */
struct step {
    uint8_t *bytes;
    struct range range;
};

struct backing_plan {
    struct plan base;
    struct qcow2 *q;
    uint32_t blob;
    struct span name; /* the request's */
    struct span format;

    uint8_t *old;        /* the first cluster as it is */
    uint8_t *now;        /* as it is after the steps so far */
    uint8_t *last;       /* as it will be */
    uint8_t *list;       /* the new extensions, with their end */
    uint64_t list_bytes; /* of it */
    struct range old_list, old_name;

    struct step steps[STEPS_MAX];
    unsigned nr_steps, at;
};

static uint64_t cluster_bytes(const struct backing_plan *p)
{
    return p->q->cluster_size;
}

static uint64_t switch_bytes(const struct backing_plan *p)
{
    return min_u64(SWITCH_BYTES, cluster_bytes(p));
}

static uint64_t up_to_8(uint64_t value)
{
    return (value + 7) & ~7ull;
}

/* ---- the list of extensions ---- */

static bool append(struct backing_plan *p, uint32_t type, struct span data)
{
    uint64_t bytes = 8 + up_to_8(data.len);
    if (bytes > cluster_bytes(p) - p->list_bytes)
        return false;
    uint8_t *at = &p->list[p->list_bytes];
    store_be32(at, type);
    store_be32(&at[4], (uint32_t)data.len);
    if (data.len)
        memcpy(&at[8], data.data, data.len);
    p->list_bytes += bytes;
    return true;
}

static bool is_kept(const struct backing_plan *p, uint32_t type)
{
    if (type == QCOW2_EXT_FEATURE_NAMES)
        return cluster_bytes(p) > FEATURE_NAMES_ABOVE_BYTES;
    return type != QCOW2_EXT_BACKING_FORMAT && type != EXT_DETOUR;
}

/* The old extensions, but for the backing file's format; opening has checked their lengths. */
static bool append_old(struct backing_plan *p)
{
    const struct qcow2_header *h = &p->q->header;
    uint64_t limit = h->backing_file_offset ? h->backing_file_offset : cluster_bytes(p);
    uint64_t at = h->header_length;

    p->old_list = (struct range){at, at};
    while (at < limit && range_inside_u64(at, 8, cluster_bytes(p))) {
        uint32_t type = load_be32(&p->old[at]), len = load_be32(&p->old[at + 4]);
        at += 8;
        p->old_list.to = at;
        if (type == QCOW2_EXT_END || !range_inside_u64(at, len, cluster_bytes(p)))
            break;
        if (is_kept(p, type) && !append(p, type, span_of(&p->old[at], len)))
            return false;
        at += up_to_8(len);
        p->old_list.to = min_u64(at, cluster_bytes(p));
    }
    return true;
}

static bool make_list(struct backing_plan *p)
{
    struct span nothing = span_of(NULL, 0);
    bool ok = !p->format.len || append(p, QCOW2_EXT_BACKING_FORMAT, p->format);
    return ok && append_old(p) && append(p, QCOW2_EXT_END, nothing) &&
           p->q->header.header_length + p->list_bytes <= cluster_bytes(p);
}

/* ---- what the old state looks at ---- */

static bool inside(struct range range, uint64_t at)
{
    return at >= range.from && at < range.to;
}

/*
 * Whether bytes can be put at an offset before the switch: what lies in the first sector comes with
 * the switch, and what the old state looks at must be the same.
 */
static bool can_put(const struct backing_plan *p, uint64_t offset, const uint8_t *bytes,
                    uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        uint64_t at = offset + i;
        if (at >= switch_bytes(p) && p->old[at] != bytes[i] &&
            (inside(p->old_list, at) || inside(p->old_name, at)))
            return false;
    }
    return true;
}

/* Behind everything that the old state or the new list uses. */
static uint64_t behind_all(const struct backing_plan *p)
{
    uint64_t end = p->q->header.header_length + p->list_bytes;
    end = max_u64(max_u64(end, p->old_list.to), p->old_name.to);
    return up_to_8(max_u64(end, switch_bytes(p)));
}

static bool name_fits(const struct backing_plan *p, uint64_t offset)
{
    return range_inside_u64(offset, p->name.len, cluster_bytes(p));
}

/* Where the name can be put before the switch; false: nowhere. */
static bool find_name(const struct backing_plan *p, uint64_t *out)
{
    uint64_t candidates[] = {p->q->header.header_length + p->list_bytes, behind_all(p)};
    for (unsigned i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        *out = candidates[i];
        if (name_fits(p, *out) && can_put(p, *out, p->name.data, p->name.len))
            return true;
    }
    return false;
}

/* ---- states of the cluster ---- */

static void put(uint8_t *cluster, uint64_t offset, const void *bytes, uint64_t len)
{
    if (len)
        memcpy(&cluster[offset], bytes, len);
}

/* The fields; unknown autoclear features do not survive a change. */
static void put_fields(const struct backing_plan *p, uint8_t *cluster, uint64_t name_offset)
{
    const struct qcow2_header *h = &p->q->header;
    store_be64(&cluster[NAME_OFFSET], p->name.len ? name_offset : 0);
    store_be32(&cluster[NAME_OFFSET + 8], (uint32_t)p->name.len);
    if (h->version >= 3)
        store_be64(&cluster[CLEAR_OFFSET], h->autoclear_features & QCOW2_AUTOCLEAR_KNOWN);
}

/* Bytes that nothing uses any more are zeros, up to where something was. */
static void make_last(struct backing_plan *p, uint64_t name_offset, uint64_t used_to)
{
    uint64_t start = p->q->header.header_length;
    uint64_t to = max_u64(max_u64(used_to, behind_all(p)), name_offset + p->name.len);
    put(p->last, 0, p->old, cluster_bytes(p));
    memset(&p->last[start], 0, min_u64(to, cluster_bytes(p)) - start);
    put(p->last, start, p->list, p->list_bytes);
    put(p->last, name_offset, p->name.data, p->name.len);
    put_fields(p, p->last, name_offset);
}

/* A step that makes [from, to) of the cluster be as in `wanted`; none when it is already. */
static bool add_step(struct backing_plan *p, const uint8_t *wanted, uint64_t from, uint64_t to)
{
    while (from < to && p->now[from] == wanted[from])
        from++;
    while (from < to && p->now[to - 1] == wanted[to - 1])
        to--;
    if (from >= to)
        return true;
    uint8_t *bytes = arena_bytes(to - from);
    if (!bytes)
        return false;
    memcpy(bytes, &wanted[from], to - from);
    memcpy(&p->now[from], &wanted[from], to - from);
    p->steps[p->nr_steps++] = (struct step){bytes, {from, to}};
    return true;
}

/* The list's tail and the name first, then the first sector. */
static bool switch_at_once(struct backing_plan *p, uint8_t *stage, uint64_t name_offset)
{
    uint64_t start = p->q->header.header_length, cut = switch_bytes(p);
    put(stage, start, p->list, p->list_bytes);
    put(stage, name_offset, p->name.data, p->name.len);
    make_last(p, name_offset, 0);
    return add_step(p, stage, cut, cluster_bytes(p)) && add_step(p, p->last, 0, cut) &&
           add_step(p, p->last, cut, cluster_bytes(p));
}

/* By way of a copy of the list at `copy`, with the name behind it. */
static bool switch_by_detour(struct backing_plan *p, uint8_t *stage, uint64_t copy)
{
    uint64_t start = p->q->header.header_length, cut = switch_bytes(p);
    uint64_t name_offset = copy + p->list_bytes;
    make_last(p, name_offset, copy);
    put(stage, copy, p->list, p->list_bytes);
    put(stage, name_offset, p->name.data, p->name.len);
    if (!add_step(p, stage, cut, cluster_bytes(p)))
        return false;
    put_fields(p, stage, name_offset);
    store_be32(&stage[start], EXT_DETOUR);
    store_be32(&stage[start + 4], (uint32_t)(copy - start - 8));
    return add_step(p, stage, 0, cut) && add_step(p, p->last, cut, copy) &&
           add_step(p, p->last, 0, cut) && add_step(p, p->last, cut, cluster_bytes(p));
}

static enum guest_err find_steps(struct backing_plan *p, uint8_t *stage,
                                 struct guest_err_detail *detail)
{
    uint64_t start = p->q->header.header_length, name_offset = start + p->list_bytes;
    uint64_t copy = behind_all(p);
    bool ok;

    if (!name_fits(p, name_offset))
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_FULL);
    if (can_put(p, start, p->list, p->list_bytes) && find_name(p, &name_offset)) {
        ok = switch_at_once(p, stage, name_offset);
    } else if (start + 8 <= switch_bytes(p) &&
               range_inside_u64(copy, p->list_bytes + p->name.len, cluster_bytes(p))) {
        ok = switch_by_detour(p, stage, copy);
    } else {
        name_offset = start + p->list_bytes;
        make_last(p, name_offset, 0);
        ok = add_step(p, p->last, 0, cluster_bytes(p));
    }
    return ok ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

/* ---- the plan ---- */

static enum guest_err check(const struct backing_plan *p, struct guest_err_detail *detail)
{
    if (p->name.len && p->q->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW)
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_RAW);
    if (p->name.len > QCOW2_BACKING_NAME_MAX || p->format.len >= QCOW2_BACKING_FORMAT_MAX)
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_LONG);
    return GUEST_OK;
}

static enum guest_err prepare(struct backing_plan *p, struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &p->q->header;
    enum guest_err err = check(p, detail);
    if (err)
        return err;
    p->old = arena_bytes(cluster_bytes(p));
    p->now = arena_bytes(cluster_bytes(p));
    p->last = arena_bytes(cluster_bytes(p));
    p->list = arena_array(1, cluster_bytes(p));
    uint8_t *stage = arena_bytes(cluster_bytes(p));
    if (!p->old || !p->now || !p->last || !p->list || !stage)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!err)
        err = source_read_padded(p->q->source, 0, cluster_bytes(p), p->old, detail);
    if (!err) {
        uint64_t from = min_u64(h->backing_file_offset, cluster_bytes(p));
        p->old_name = (struct range){from, min_u64(from + h->backing_file_size, cluster_bytes(p))};
        memcpy(p->now, p->old, cluster_bytes(p));
        memcpy(stage, p->old, cluster_bytes(p));
        err = make_list(p) ? find_steps(p, stage, detail)
                           : err_plain(detail, GUEST_ERR_PLAN_BACKING_FULL);
    }
    free(stage);
    return err;
}

static enum guest_err backing_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                   struct guest_err_detail *detail)
{
    struct backing_plan *p = (struct backing_plan *)plan;
    (void)detail;
    for (; p->at < p->nr_steps; p->at++) {
        const struct step *step = &p->steps[p->at];
        uint64_t len = step->range.to - step->range.from;
        if (!plan_room(sink, 2, len))
            return GUEST_OK;
        memcpy(
            plan_write(sink, p->blob, step->range.from, len,
                       step->range.from < SWITCH_BYTES ? CELL_NOTE_HEADER : CELL_NOTE_BACKING_NAME),
            step->bytes, len);
        plan_barrier(sink);
    }
    *out_done = true;
    return GUEST_OK;
}

static void backing_free(struct plan *plan)
{
    struct backing_plan *p = (struct backing_plan *)plan;
    for (unsigned i = 0; i < p->nr_steps; i++)
        free(p->steps[i].bytes);
    free(p->old);
    free(p->now);
    free(p->last);
    free(p->list);
    free(p);
}

static const struct plan_verbs verbs = {backing_next, backing_free};

enum guest_err qcow2_backing_plan(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail)
{
    struct backing_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &verbs;
    p->q = qcow2_of(node);
    p->blob = p->q->source->blob;
    p->base.file_size = max_u64(p->q->source->size_bytes, p->q->cluster_size);
    if (request->has_backing) {
        p->name = span_of(request->name.data, request->name.len);
        p->format = span_of(request->format.data, request->format.len);
    }
    enum guest_err err = prepare(p, detail);
    if (err) {
        backing_free(&p->base);
        return err;
    }
    *out = &p->base;
    return GUEST_OK;
}
