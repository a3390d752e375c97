/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another backing file for a QED image, or none.
 *
 * The header is one sector, and a disk writes that whole or not at all. A name that fits the rest
 * of the sector goes with it, in one write. A longer one is first written to a place in the
 * header's clusters that the old name does not use, and the header leads there afterwards. Only
 * where two long names have no room beside each other all is written at once, as stock does always.
 */
#include "guest/abi/error_plan.h"
#include "guest/formats/qed.h"
#include "guest/lib/arena.h"

struct qed_backing_plan {
    struct plan base;
    uint32_t blob;
    struct qed_header header; /* as it will be */
    size_t name_len;
    uint8_t name[];
};

static enum guest_err backing_next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                                   struct guest_err_detail *detail)
{
    struct qed_backing_plan *p = (struct qed_backing_plan *)plan;
    uint64_t name_at = p->header.backing_filename_offset;
    bool at_once = name_at == QED_HEADER_BYTES;
    uint8_t *at;

    if (!at_once) {
        at = plan_write(sink, p->blob, name_at, p->name_len, CELL_NOTE_HEADER);
        memcpy(at, p->name, p->name_len);
        plan_barrier(sink);
    }
    at = plan_write(sink, p->blob, 0, QED_HEADER_BYTES + (at_once ? p->name_len : 0),
                    CELL_NOTE_HEADER);
    qed_encode_header(&p->header, at);
    if (at_once && p->name_len)
        memcpy(&at[QED_HEADER_BYTES], p->name, p->name_len);
    *out_done = true;
    return GUEST_OK;
}

static void backing_free(struct plan *plan)
{
    free(plan);
}

static const struct plan_verbs backing_verbs = {.next = backing_next, .free = backing_free};

/* Where a name of `len` bytes goes; see above. */
static uint64_t place_name(const struct qed_header *h, uint64_t header_bytes, uint64_t len)
{
    bool has_old = h->features & QED_F_BACKING_FILE;
    uint64_t old = has_old ? h->backing_filename_offset : QED_SECTOR_BYTES;
    uint64_t old_end = has_old ? old + h->backing_filename_size : old;
    uint64_t behind = max_u64(old_end, QED_SECTOR_BYTES);

    if (QED_HEADER_BYTES + len <= QED_SECTOR_BYTES)
        return QED_HEADER_BYTES;
    if (range_inside_u64(behind, len, header_bytes))
        return behind;
    if (range_inside_u64(QED_SECTOR_BYTES, len, old))
        return QED_SECTOR_BYTES;
    return QED_HEADER_BYTES;
}

static struct qed_header changed_header(const struct qed *q, const Abi__BackingRequest *request,
                                        uint64_t header_bytes)
{
    struct qed_header h = q->header;
    uint64_t len = request->has_backing ? request->name.len : 0;
    bool raw = span_equal_text(span_of(request->format.data, request->format.len), "raw");

    h.backing_filename_offset = (uint32_t)place_name(&h, header_bytes, len);
    h.backing_filename_size = (uint32_t)len;
    h.features = len ? QED_F_BACKING_FILE | (raw ? QED_F_BACKING_NO_PROBE : 0) : 0;
    h.autoclear_features = 0;
    return h;
}

enum guest_err qed_change_backing(struct node *node, const Abi__BackingRequest *request,
                                  struct plan **out, struct guest_err_detail *detail)
{
    struct qed *q = qed_of(node);
    uint64_t header_bytes = (uint64_t)q->header.header_size * q->header.cluster_size;
    size_t len = request->has_backing ? request->name.len : 0;
    struct qed_backing_plan *p;
    enum guest_err err;

    /* A feature that nobody here knows may be about the backing file; as stock sees it. */
    if (q->header.compat_features && request->has_backing)
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    /* A longer name than can be read again is not written; stock does, and the image is lost. */
    if (len > QED_BACKING_NAME_MAX || QED_HEADER_BYTES + len > header_bytes)
        return err_plain(detail, GUEST_ERR_PLAN_BACKING_FULL);
    err = qed_check_writable(q, detail);
    if (err)
        return err;
    p = arena_array(1, sizeof(*p) + len);
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &backing_verbs;
    p->base.file_size = q->source->size_bytes;
    p->blob = q->source->blob;
    p->header = changed_header(q, request, header_bytes);
    p->name_len = len;
    if (len)
        memcpy(p->name, request->name.data, len);
    *out = &p->base;
    return GUEST_OK;
}
