/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a repair notes while the check decides it. See qcow2_repair.h; the plan is yielded by
 * qcow2_repair_yield.c.
 */
#include "guest/formats/qcow2_repair.h"

#include <stdlib.h>
#include <string.h>

#include "guest/formats/qcow2_repair_yield.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct qcow2_repair *qcow2_repair_new(void)
{
    return arena_array(1, sizeof(struct qcow2_repair));
}

bool qcow2_repair_add_zero(struct qcow2_repair *r, uint64_t entry_offset)
{
    if (!arena_grow((void **)&r->zeros, &r->max_zeros, r->nr_zeros + 1, sizeof(*r->zeros)))
        return false;
    r->zeros[r->nr_zeros++] = entry_offset;
    return true;
}

bool qcow2_repair_touch(struct qcow2_repair *r, const struct qcow2_check *c, uint64_t cluster)
{
    uint64_t index = cluster >> c->q->refblock_entries_bits;

    if (index >= r->nr_touched) {
        uint64_t wanted = max_u64(index + 1, c->reftable_entries);
        uint8_t *more = arena_array(wanted, 1);

        if (!more)
            return false;
        if (r->nr_touched)
            memcpy(more, r->touched, r->nr_touched);
        free(r->touched);
        r->touched = more;
        r->nr_touched = wanted;
    }
    r->touched[index] = 1;
    return true;
}

void qcow2_repair_add_freed(struct qcow2_repair *r, uint64_t cluster)
{
    if (r->nr_freed && r->freed[r->nr_freed - 1].end == cluster)
        r->freed[r->nr_freed - 1].end++;
    else if (r->nr_freed < QCOW2_REPAIR_FREED_MAX)
        r->freed[r->nr_freed++] = (struct qcow2_run){cluster, cluster + 1};
}

void qcow2_repair_mark_corrupt(struct qcow2_repair *r, const struct qcow2 *q)
{
    r->marked = true;
    r->set_features = q->header.version >= 3;
    r->features = q->header.incompatible_features | QCOW2_INCOMPAT_CORRUPT;
}

static bool has_work(const struct qcow2_repair *r)
{
    return r->nr_zeros || r->rebuilt || r->grown || r->nr_touched || r->l1_from != r->l1_to ||
           r->l2_changes || r->new_snapshots || r->set_features;
}

/* The size of the file when all is done. */
static uint64_t final_size(const struct qcow2_repair *r, const struct qcow2 *q)
{
    uint64_t end = (r->highest + 1) << q->header.cluster_bits;

    return r->grown && r->settled ? max_u64(q->source->size_bytes, end) : q->source->size_bytes;
}

struct plan *qcow2_repair_finish(struct qcow2_repair *r, struct qcow2_check *c)
{
    r->block = arena_bytes(c->q->cluster_size);
    if (!has_work(r) || !r->block) {
        qcow2_repair_free(r);
        return NULL;
    }
    r->check = *c;
    r->check.findings = NULL;
    r->check.reply = NULL;
    r->check.detail = NULL;
    r->check.unflagged = NULL;
    c->counts = c->disk = (struct qcow2_counts){0};
    c->reftable = NULL;
    c->bad_blocks = NULL;
    r->base.verbs = &qcow2_repair_verbs;
    r->base.file_size = final_size(r, r->check.q);
    return &r->base;
}

void qcow2_repair_free(struct qcow2_repair *r)
{
    qcow2_counts_clear(&r->check.counts);
    qcow2_counts_clear(&r->check.disk);
    free(r->check.reftable);
    free(r->check.bad_blocks);
    free(r->zeros);
    free(r->touched);
    free(r->snapshots);
    free(r->block);
    qcow2_l2_window_clear(&r->walk);
    free(r);
}
