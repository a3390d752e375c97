/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/qcow2_header_edit.h"

#include <stdlib.h>
#include <string.h>

#include "guest/abi/error_plan.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define BACKING_OFFSET_AT 8u /* backing_file_offset, backing_file_size */
#define VERSION_AT        4u
#define LENGTH_AT         100u

static uint64_t cluster_bytes(const struct header_edit *e)
{
    return e->q->cluster_size;
}

static uint64_t up_to(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static struct span nothing(void)
{
    return span_of(NULL, 0);
}

/* ---- the old state ---- */

static enum guest_err append(struct header_edit *e, uint32_t type, struct span data, bool first,
                             struct guest_err_detail *detail)
{
    struct header_edit_extension *bigger = arena_array(e->nr_extensions + 1, sizeof(*bigger));
    if (!bigger)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (e->nr_extensions)
        memcpy(&bigger[first ? 1 : 0], e->extension, e->nr_extensions * sizeof(*bigger));
    free(e->extension);
    e->extension = bigger;
    bigger[first ? 0 : e->nr_extensions] = (struct header_edit_extension){type, data};
    e->nr_extensions++;
    return GUEST_OK;
}

/* How many extensions there are, so that they are stored in one array. Opening has checked them. */
static uint64_t walk_list(struct header_edit *e, struct header_edit_extension *out)
{
    const struct qcow2_header *h = &e->q->header;
    uint64_t limit = h->backing_file_offset ? h->backing_file_offset : cluster_bytes(e);
    uint64_t at = h->header_length, nr = 0;

    while (at < limit && range_inside_u64(at, 8, cluster_bytes(e))) {
        uint32_t type = load_be32(&e->old[at]), len = load_be32(&e->old[at + 4]);
        at += 8;
        if (type == QCOW2_EXT_END || !range_inside_u64(at, len, cluster_bytes(e)))
            break;
        if (out && type != HEADER_EDIT_DETOUR)
            out[nr] = (struct header_edit_extension){type, span_of(&e->old[at], len)};
        nr += type != HEADER_EDIT_DETOUR;
        at = min_u64(up_to(at + len, 8), cluster_bytes(e));
    }
    e->old_used = max_u64(e->old_used, at);
    return nr;
}

/* The fields as they would be if the header were as long as the longest. */
static void load_fields(struct header_edit *e)
{
    const struct qcow2_header *h = &e->q->header;
    memcpy(e->fields, e->old, min_u64(h->header_length, HEADER_EDIT_FIELDS));
    if (h->version < 3)
        store_be32(&e->fields[96], h->refcount_order);
    store_be32(&e->fields[LENGTH_AT],
               (uint32_t)max_u64(h->header_length, h->version < 3 ? 0 : HEADER_EDIT_FIELDS));
    if (h->version >= 3)
        store_be64(&e->fields[88], h->autoclear_features & QCOW2_AUTOCLEAR_KNOWN);
}

enum guest_err header_edit_init(struct header_edit *e, const struct qcow2 *q,
                                struct guest_err_detail *detail)
{
    const struct qcow2_header *h = &q->header;
    *e = (struct header_edit){.q = q};
    e->old = arena_array(1, q->cluster_size);
    if (!e->old)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    enum guest_err err = source_read_padded(q->source, 0, q->cluster_size, e->old, detail);
    if (err)
        return err;
    if (h->backing_file_offset && h->backing_file_size <= QCOW2_BACKING_NAME_MAX &&
        range_inside_u64(h->backing_file_offset, h->backing_file_size, q->cluster_size)) {
        e->backing_name = span_of(&e->old[h->backing_file_offset], h->backing_file_size);
        e->old_used = h->backing_file_offset + h->backing_file_size;
    }
    e->nr_extensions = walk_list(e, NULL);
    e->extension = arena_array(e->nr_extensions + 1, sizeof(*e->extension));
    if (!e->extension)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    walk_list(e, e->extension);
    load_fields(e);
    return GUEST_OK;
}

void header_edit_clear(struct header_edit *e)
{
    for (unsigned i = 0; i < e->nr_steps; i++)
        free(e->step[i].image);
    free(e->extension);
    free(e->old);
    *e = (struct header_edit){0};
}

/* ---- changing ---- */

enum guest_err header_edit_set(struct header_edit *e, uint32_t type, struct span data,
                               struct guest_err_detail *detail)
{
    for (uint64_t i = 0; i < e->nr_extensions; i++) {
        if (e->extension[i].type == type) {
            e->extension[i].data = data;
            return GUEST_OK;
        }
    }
    return append(e, type, data, type == QCOW2_EXT_BITMAPS, detail);
}

void header_edit_drop(struct header_edit *e, uint32_t type)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < e->nr_extensions; i++) {
        if (e->extension[i].type != type)
            e->extension[kept++] = e->extension[i];
    }
    e->nr_extensions = kept;
}

/* ---- composing ---- */

/* An image of the first cluster that is being put together. */
struct draft {
    uint8_t *image;
    uint64_t pos, size;
    uint64_t detour_to; /* not 0: what the first sector has no room for goes on there */
    bool full;
};

static void put_extension(struct draft *d, uint32_t type, struct span data)
{
    uint64_t bytes = 8 + up_to(data.len, 8);
    /* Room for a detour's own head stays in the first sector. */
    if (d->detour_to && d->pos < HEADER_EDIT_SECTOR &&
        (bytes > HEADER_EDIT_SECTOR - d->pos || HEADER_EDIT_SECTOR - d->pos - bytes < 8)) {
        store_be32(&d->image[d->pos], HEADER_EDIT_DETOUR);
        store_be32(&d->image[d->pos + 4], (uint32_t)(d->detour_to - d->pos - 8));
        d->pos = d->detour_to;
    }
    d->full = d->full || bytes > d->size - d->pos;
    if (d->full)
        return;
    store_be32(&d->image[d->pos], type);
    store_be32(&d->image[d->pos + 4], (uint32_t)data.len);
    if (data.len)
        memcpy(&d->image[d->pos + 8], data.data, data.len);
    d->pos += bytes;
}

/* The bytes of a header field that nobody knows are kept where the header was that long. */
static uint64_t put_fields(const struct header_edit *e, struct draft *d)
{
    uint64_t old_length = e->q->header.header_length, length = load_be32(&e->fields[LENGTH_AT]);
    if (load_be32(&e->fields[VERSION_AT]) < 3)
        length = QCOW2_HEADER_V2_BYTES;
    memcpy(d->image, e->fields, min_u64(length, HEADER_EDIT_FIELDS));
    if (length > HEADER_EDIT_FIELDS && old_length > HEADER_EDIT_FIELDS)
        memcpy(&d->image[HEADER_EDIT_FIELDS], &e->old[HEADER_EDIT_FIELDS],
               min_u64(length, old_length) - HEADER_EDIT_FIELDS);
    return length;
}

/*
 * The first cluster as it will be.
 *
 * returns: false when it does not hold everything
 */
static bool draft(const struct header_edit *e, uint8_t *image, uint64_t detour_to, bool names,
                  uint64_t *out_used)
{
    struct draft d = {.image = image, .size = cluster_bytes(e), .detour_to = detour_to};
    memset(image, 0, d.size);
    d.pos = put_fields(e, &d);
    for (uint64_t i = 0; i < e->nr_extensions; i++) {
        if (names || e->extension[i].type != QCOW2_EXT_FEATURE_NAMES)
            put_extension(&d, e->extension[i].type, e->extension[i].data);
    }
    put_extension(&d, QCOW2_EXT_END, nothing());
    if (d.full || (e->backing_name.len && e->backing_name.len > d.size - d.pos))
        return false;
    store_be64(&image[BACKING_OFFSET_AT], e->backing_name.len ? d.pos : 0);
    store_be32(&image[BACKING_OFFSET_AT + 8], (uint32_t)e->backing_name.len);
    if (e->backing_name.len)
        memcpy(&image[d.pos], e->backing_name.data, e->backing_name.len);
    *out_used = d.pos + e->backing_name.len;
    return true;
}

/* The first byte from `from` on in which two images differ, up to a whole sector; `size`: none. */
static uint64_t first_change(const uint8_t *a, const uint8_t *b, uint64_t from, uint64_t size)
{
    while (from < size && memcmp(&a[from], &b[from], HEADER_EDIT_SECTOR) == 0)
        from += HEADER_EDIT_SECTOR;
    return from;
}

static uint64_t last_change(const uint8_t *a, const uint8_t *b, uint64_t from, uint64_t size)
{
    while (size > from && memcmp(&a[size - HEADER_EDIT_SECTOR], &b[size - HEADER_EDIT_SECTOR],
                                 HEADER_EDIT_SECTOR) == 0)
        size -= HEADER_EDIT_SECTOR;
    return size;
}

static enum guest_err add_step(struct header_edit *e, const uint8_t *image, uint64_t from,
                               uint64_t to, struct guest_err_detail *detail)
{
    if (from >= to)
        return GUEST_OK;
    uint8_t *copy = arena_bytes(cluster_bytes(e));
    if (!copy)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(copy, image, cluster_bytes(e));
    e->step[e->nr_steps++] = (struct header_edit_step){copy, from, to};
    return GUEST_OK;
}

/* From one state to another: what lies behind the first sector, up to `end`, then the first. */
static enum guest_err add_switch(struct header_edit *e, const uint8_t *was, const uint8_t *will,
                                 uint64_t end, struct guest_err_detail *detail)
{
    uint64_t sector = HEADER_EDIT_SECTOR, from = first_change(was, will, sector, end);
    enum guest_err err = add_step(e, will, from, last_change(was, will, from, end), detail);
    if (!err && memcmp(was, will, sector) != 0)
        err = add_step(e, will, 0, sector, detail);
    return err;
}

/* Whether a state whose first `used` bytes count can be switched from in one go. */
static bool is_free(const uint8_t *was, const uint8_t *will, uint64_t used, uint64_t size)
{
    uint64_t from = first_change(was, will, HEADER_EDIT_SECTOR, size);
    bool one_sector =
        last_change(was, will, 0, size) <= first_change(was, will, 0, size) + HEADER_EDIT_SECTOR;
    return from >= up_to(used, HEADER_EDIT_SECTOR) || one_sector;
}

/* By way of a list behind everything; *out_done false when there is no room for it. */
static enum guest_err add_detour(struct header_edit *e, const uint8_t *will, uint64_t used,
                                 bool names, bool *out_done, struct guest_err_detail *detail)
{
    uint64_t behind = up_to(max_u64(e->old_used, used), HEADER_EDIT_SECTOR), mid_used;
    uint8_t *mid = behind < cluster_bytes(e) ? arena_bytes(cluster_bytes(e)) : NULL;
    enum guest_err err = GUEST_OK;

    *out_done = mid && draft(e, mid, behind, names, &mid_used);
    if (*out_done) {
        /* Between the first sector and the detour's end the old bytes stay for now. */
        memcpy(&mid[HEADER_EDIT_SECTOR], &e->old[HEADER_EDIT_SECTOR], behind - HEADER_EDIT_SECTOR);
        err = add_switch(e, e->old, mid, cluster_bytes(e), detail);
        if (!err)
            err = add_switch(e, mid, will, behind, detail);
        if (!err)
            err = add_step(e, will, behind, up_to(mid_used, HEADER_EDIT_SECTOR), detail);
    }
    free(mid);
    return err;
}

static enum guest_err compose(struct header_edit *e, uint8_t *will, struct guest_err_detail *detail)
{
    bool names = true, done = false;
    uint64_t used;
    enum guest_err err = GUEST_OK;

    if (!draft(e, will, 0, names, &used)) {
        names = false;
        if (!draft(e, will, 0, names, &used))
            return err_plain(detail, GUEST_ERR_PLAN_HEADER_FULL);
    }
    done = is_free(e->old, will, e->old_used, cluster_bytes(e));
    if (done)
        return add_switch(e, e->old, will, cluster_bytes(e), detail);
    err = add_detour(e, will, used, names, &done, detail);
    if (err || done)
        return err;
    if (!draft(e, will, 0, false, &used))
        return err_plain(detail, GUEST_ERR_PLAN_HEADER_FULL);
    if (!is_free(e->old, will, e->old_used, cluster_bytes(e)))
        return add_step(e, will, 0, cluster_bytes(e), detail);
    return add_switch(e, e->old, will, cluster_bytes(e), detail);
}

enum guest_err header_edit_compose(struct header_edit *e, struct guest_err_detail *detail)
{
    uint8_t *will = arena_bytes(cluster_bytes(e));
    if (!will)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    enum guest_err err = compose(e, will, detail);
    free(will);
    return err;
}

void header_edit_patch(struct header_edit *e, uint64_t offset, const uint8_t *bytes, uint64_t len)
{
    for (unsigned i = e->at; i < e->nr_steps; i++)
        memcpy(&e->step[i].image[offset], bytes, len);
}

bool header_edit_yield(struct header_edit *e, struct plan_sink *sink, uint32_t blob)
{
    for (; e->at < e->nr_steps; e->at++) {
        const struct header_edit_step *s = &e->step[e->at];
        if (!plan_room(sink, 2, s->to - s->from))
            return false;
        memcpy(plan_write(sink, blob, s->from, s->to - s->from, CELL_NOTE_HEADER),
               &s->image[s->from], s->to - s->from);
        plan_barrier(sink);
    }
    return true;
}
