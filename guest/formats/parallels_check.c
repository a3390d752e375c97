/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a Parallels image, and what it repairs, as stock 11.1 does both: the header, entries
 * that leave the file, space at its end, clusters that two entries name.
 *
 * A cluster of two entries is copied for the second one, into the first place that no entry names,
 * or to the end of the file. As in stock, the first one goes to the end in images that were not
 * closed, or have an entry that leaves the file. A format extension lies
 * where no entry leads, so what a repair copies or cuts off may be its own: the header lets go of
 * it first.
 */
#include "guest/formats/cluster_set.h"
#include "guest/formats/parallels.h"
#include "guest/lib/arena.h"
#include "guest/plan/op_list.h"

#define EBUSY_NUMBER 16

struct check {
    struct parallels *p;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    struct guest_err_detail *detail;
    bool fix_leaks, fix_errors;
    struct op_list *list;    /* what is to be written; NULL: nothing is repaired */
    struct op_list *entries; /* of it, entries of clusters that must be copied first */
    uint64_t end;            /* of the last sound cluster, bytes */
    uint64_t previous;       /* offset of the cluster before, 0: none */
    uint64_t copy_to;        /* where copies go that find no hole, bytes */
    bool outside;            /* an entry leaves the file */
    uint64_t hole;           /* number of a place; none before it is free */
    uint64_t nr_holes;       /* places that may be one */
    uint64_t nr_places;      /* that the file has */
    struct cluster_set used; /* places, counted from data_start on, that entries reach into */
    struct cluster_set seen; /* of them, those whose first entry was looked at */
    bool last_duplicate;     /* the last entry that was looked at */
};

static void found(struct check *c, enum parallels_err code, bool fixed, uint64_t n0)
{
    struct cell_finding finding = {.code = (uint32_t)code + fixed, .number = {n0}};

    c->reply->corruptions += !fixed;
    c->reply->corruptions_fixed += fixed;
    c->findings->add(c->findings, &finding);
}

static enum guest_err put32(struct check *c, struct op_list *list, uint64_t offset, uint32_t value,
                            enum cell_op_note note)
{
    uint8_t bytes[sizeof(value)];

    store_le32(bytes, value);
    return op_list_write(list, offset, bytes, sizeof(bytes), note, c->detail);
}

static uint64_t entry_at(uint64_t index)
{
    return PARALLELS_HEADER_BYTES + index * PARALLELS_ENTRY_BYTES;
}

static enum guest_err check_header(struct check *c)
{
    enum guest_err err = GUEST_OK;

    if (c->p->header.in_use == PARALLELS_IN_USE)
        found(c, PARALLELS_FOUND_UNCLEAN, c->fix_errors, 0);
    if (c->p->data_off_ok)
        return GUEST_OK;
    found(c, PARALLELS_FOUND_DATA_OFF, c->fix_errors, 0);
    if (c->fix_errors)
        err = put32(c, c->list, PARALLELS_AT_DATA_OFF,
                    (uint32_t)(c->p->data_start / PARALLELS_SECTOR), CELL_NOTE_HEADER);
    return err;
}

/* Calls `look` for every entry that is not 0. */
static enum guest_err each_entry(struct check *c,
                                 enum guest_err (*look)(struct check *c, uint64_t index,
                                                        uint64_t offset))
{
    uint64_t nr = c->p->header.nb_bat_entries;
    struct span entries = {0};
    enum guest_err err = GUEST_OK;

    for (uint64_t i = 0; !err && i < nr; i += entries.len / PARALLELS_ENTRY_BYTES) {
        err = parallels_bat(c->p, i, &entries, c->detail);
        for (uint64_t k = 0; !err && k < entries.len / PARALLELS_ENTRY_BYTES; k++) {
            uint64_t entry = load_le32(&entries.data[k * PARALLELS_ENTRY_BYTES]);

            if (entry)
                err = look(c, i + k, entry * c->p->entry_unit);
            else
                c->previous = 0;
        }
    }
    return err;
}

static enum guest_err look_outside(struct check *c, uint64_t index, uint64_t offset)
{
    if (parallels_cluster_ok(c->p, offset)) {
        c->end = max_u64(c->end, offset + c->p->cluster_size);
        return GUEST_OK;
    }
    c->outside = true;
    found(c, PARALLELS_FOUND_OUTSIDE, c->fix_errors, index);
    return c->fix_errors ? put32(c, c->list, entry_at(index), 0, CELL_NOTE_L2_TABLE) : GUEST_OK;
}

static enum guest_err check_leak(struct check *c)
{
    uint64_t left = c->p->file_bytes - min_u64(c->end, c->p->file_bytes), nr;
    struct cell_finding finding = {
        .code = (uint32_t)(c->fix_leaks ? PARALLELS_FIXED_LEAK : PARALLELS_FOUND_LEAK),
        .number = {left}};

    if (left == 0)
        return GUEST_OK;
    nr = div_round_up_u64(left, c->p->cluster_size);
    c->findings->add(c->findings, &finding);
    c->reply->leaks += c->fix_leaks ? 0 : nr;
    c->reply->leaks_fixed += c->fix_leaks ? nr : 0;
    return GUEST_OK;
}

static uint64_t place_of(const struct check *c, uint64_t offset)
{
    return (offset - c->p->data_start) / c->p->cluster_size;
}

/* With the older magic a cluster may reach into two places. */
static enum guest_err look_used(struct check *c, uint64_t index, uint64_t offset)
{
    uint64_t last = place_of(c, offset + c->p->cluster_size - 1);
    bool fresh;

    (void)index;
    if (!parallels_cluster_ok(c->p, offset))
        return GUEST_OK;
    for (uint64_t i = place_of(c, offset); i <= last; i++) {
        if (!cluster_set_add(&c->used, i, &fresh))
            return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    }
    return GUEST_OK;
}

/* The first place that nothing is in; copies go there in order. */
static uint64_t find_room(struct check *c)
{
    uint64_t cluster = c->p->cluster_size, to = c->copy_to;

    while (c->hole < c->nr_holes && cluster_set_has(&c->used, c->hole))
        c->hole++;
    if (c->hole < c->nr_holes)
        return c->p->data_start + c->hole++ * cluster;
    c->copy_to += cluster;
    c->nr_holes = c->nr_places;
    return to;
}

static enum guest_err copy_cluster(struct check *c, uint64_t index, uint64_t offset)
{
    uint64_t to = find_room(c);
    enum guest_err err;

    if (to / c->p->entry_unit > UINT32_MAX)
        return err_plain(c->detail, GUEST_ERR_FILE_TOO_LARGE);
    err = op_list_copy(c->list, offset, to, c->p->cluster_size, CELL_NOTE_DATA, c->detail);
    return err ? err
               : put32(c, c->entries, entry_at(index), (uint32_t)(to / c->p->entry_unit),
                       CELL_NOTE_L2_TABLE);
}

static enum guest_err look_duplicate(struct check *c, uint64_t index, uint64_t offset)
{
    bool fresh;

    if (!parallels_cluster_ok(c->p, offset))
        return GUEST_OK;
    if (!cluster_set_add(&c->seen, place_of(c, offset), &fresh))
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    c->last_duplicate = !fresh;
    if (fresh)
        return GUEST_OK;
    found(c, PARALLELS_FOUND_DUPLICATE, c->fix_errors, index);
    return c->fix_errors ? copy_cluster(c, index, offset) : GUEST_OK;
}

static enum guest_err look_statistics(struct check *c, uint64_t index, uint64_t offset)
{
    if (!parallels_cluster_ok(c->p, offset)) {
        c->previous = 0;
        return GUEST_OK;
    }
    c->reply->fragmented_clusters += c->previous && c->previous + c->p->cluster_size != offset;
    c->previous = offset;
    c->reply->allocated_clusters++;
    return GUEST_OK;
}

/* The header lets go of the extension, before anything else is written. */
static enum guest_err drop_extension(struct check *c)
{
    struct op_list *list = op_list_new(c->p->source->blob);
    enum guest_err err;

    if (!list)
        return err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    err = parallels_drop_extension(c->p, list, c->detail);
    if (!err)
        err = op_list_append(list, c->list, c->detail);
    if (err) {
        op_list_free(list);
        return err;
    }
    op_list_free(c->list);
    c->list = list;
    return GUEST_OK;
}

/*
 * What the repair writes around the copies and entries: the file gets its size first, copies are
 * durable before an entry names them, and at last the image counts as closed.
 */
static enum guest_err finish_repair(struct check *c, struct node *node)
{
    uint64_t size = c->copy_to;
    bool cuts = c->fix_leaks && size < c->p->file_bytes, copies = !op_list_empty(c->entries);
    enum guest_err err = cuts || copies ? drop_extension(c) : GUEST_OK;
    struct op_list *list = c->list;

    if (!err && copies) {
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, c->detail);
        if (!err)
            err = op_list_append(list, c->entries, c->detail);
    }
    if (!err && cuts) {
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, c->detail);
        if (!err)
            err = op_list_simple(list, CELL_OP_TRUNCATE, size, 0, CELL_NOTE_FILE_SIZE, c->detail);
    }
    if (!err && c->fix_errors && c->p->header.in_use == PARALLELS_IN_USE) {
        err = op_list_simple(list, CELL_OP_BARRIER, 0, 0, CELL_NOTE_NONE, c->detail);
        if (!err)
            err = put32(c, list, PARALLELS_AT_IN_USE, 0, CELL_NOTE_HEADER);
    }
    if (!err && !op_list_empty(list)) {
        node->repair = op_list_plan(list);
        c->list = NULL;
    }
    return err;
}

static enum guest_err run(struct check *c)
{
    uint64_t clusters =
        (c->p->file_bytes - min_u64(c->p->data_start, c->p->file_bytes)) / c->p->cluster_size;
    enum guest_err err = check_header(c);

    if (!err)
        err = each_entry(c, look_outside);
    if (!err)
        err = check_leak(c);
    c->copy_to = c->fix_leaks ? c->end : max_u64(c->end, c->p->file_bytes);
    c->copy_to =
        c->p->data_start +
        div_round_up_u64(c->copy_to - c->p->data_start, c->p->cluster_size) * c->p->cluster_size;
    if (!err &&
        !(cluster_set_init(&c->used, clusters + 2) && cluster_set_init(&c->seen, clusters + 1)))
        err = err_plain(c->detail, GUEST_ERR_NO_MEMORY);
    c->nr_places = min_u64((c->copy_to - c->p->data_start) / c->p->cluster_size, clusters);
    if (!c->outside && c->p->header.in_use != PARALLELS_IN_USE)
        c->nr_holes = c->nr_places;
    if (!err && c->fix_errors)
        err = each_entry(c, look_used);
    if (!err)
        err = each_entry(c, look_duplicate);
    if (!err)
        err = each_entry(c, look_statistics);
    c->reply->total_clusters = c->p->header.nb_bat_entries;
    c->reply->has_image_end_offset = true;
    c->reply->image_end_offset = c->end;
    return err;
}

enum guest_err parallels_check(struct node *node, const Abi__CheckRequest *request,
                               struct finding_sink *findings, Abi__CheckReply *reply,
                               struct guest_err_detail *detail)
{
    struct check c = {.p = parallels_of(node),
                      .findings = findings,
                      .reply = reply,
                      .detail = detail,
                      .fix_leaks = request->fix_leaks,
                      .fix_errors = request->fix_errors};
    enum guest_err err;

    c.end = c.p->data_start;
    c.list = op_list_new(c.p->source->blob);
    c.entries = op_list_new(c.p->source->blob);
    if (!c.list || !c.entries)
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    else
        err = run(&c);
    if (!err && (c.fix_leaks || c.fix_errors))
        err = finish_repair(&c, node);
    /* As stock: whether the last entry of all is sound decides what becomes of the check. */
    if (!err && c.last_duplicate && !c.fix_errors)
        err = err_numbers(detail, GUEST_ERR_IO, EBUSY_NUMBER, 0, 0, 0);
    cluster_set_clear(&c.used);
    cluster_set_clear(&c.seen);
    op_list_free(c.list);
    op_list_free(c.entries);
    return err;
}
