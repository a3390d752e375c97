/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What plans changes of a hostile image: the writer of a copy, and resize. The image says which
 * format it is; it may be refused; what is planned must be well-formed and come to its end. An
 * encrypted qcow is opened with a passphrase. Input:
 *
 *   u8            number of steps, at most STEPS_MAX
 *   each step     u8 which, u8 flags, u16 cluster, u16 clusters, u64 size
 *   the rest      the image
 */
#include <glib.h>

#include "fuzz/session.h"
#include "guest/abi/writer.pb-c.h"

#define STEPS_MAX   16
#define BATCHES_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
    uint8_t which;
    uint8_t flags;
    uint16_t cluster;
    uint16_t nr_clusters;
    uint64_t size;
};

/* What the copy engine knows of the target while it writes. */
struct target {
    const struct node *node;
    bool open;
    bool lease;
    uint64_t unit;
    uint64_t lease_offset; /* room that was leased */
    uint64_t lease_bytes;
};

static void writer_open(struct fuzz_session *s, struct target *t, const struct step *step)
{
    Abi__WriterOpenRequest request = ABI__WRITER_OPEN_REQUEST__INIT;
    request.node = t->node->id;
    request.compressed = step->flags & 1;
    Abi__WriterOpenReply *reply = (Abi__WriterOpenReply *)fuzz_call(
        s, CELL_METHOD_WRITER_OPEN, &request.base, 0, &abi__writer_open_reply__descriptor);
    if (reply && !reply->error) {
        t->open = true;
        t->lease = reply->lease;
        t->unit = reply->unit;
        g_assert(t->unit > 0);
    }
    fuzz_forget(reply);
}

static void writer_lease(struct fuzz_session *s, struct target *t, const struct step *step)
{
    Abi__WriterLeaseRequest request = ABI__WRITER_LEASE_REQUEST__INIT;
    request.bytes = MAX(step->size & 0xffffff, 1);
    Abi__WriterLeaseReply *reply = (Abi__WriterLeaseReply *)fuzz_call(
        s, CELL_METHOD_WRITER_LEASE, &request.base, 0, &abi__writer_lease_reply__descriptor);
    if (reply && !reply->error) {
        g_assert(reply->offset % 512 == 0 && reply->bytes % t->unit == 0 && reply->bytes > 0);
        t->lease_offset = reply->offset;
        t->lease_bytes = reply->bytes;
    }
    fuzz_forget(reply);
}

/* One run on cluster boundaries inside the disk, in the records area. */
static bool set_run(struct fuzz_session *s, const struct target *t, const struct step *step)
{
    static const uint32_t kinds[] = {CELL_PLACE_DATA, CELL_PLACE_ZERO, CELL_PLACE_COMPRESSED};
    uint64_t start = step->cluster * t->unit;
    if (start >= t->node->virtual_size)
        return false;
    uint64_t length = MIN(MAX(step->nr_clusters & 63, 1) * t->unit, t->node->virtual_size - start);
    struct cell_place *run = (struct cell_place *)s->session.records;
    *run = (struct cell_place){
        .start = start, .length = length, .kind = kinds[(step->flags >> 1) % G_N_ELEMENTS(kinds)]};
    if (run->kind == CELL_PLACE_COMPRESSED) {
        run->length = MIN(t->unit, length);
        run->comp_len = (uint32_t)(1 + step->size % t->unit);
    }
    return true;
}

static void writer_place(struct fuzz_session *s, struct target *t, const struct step *step)
{
    if (!set_run(s, t, step))
        return;
    Abi__WriterPlaceRequest request = ABI__WRITER_PLACE_REQUEST__INIT;
    request.nr_records = 1;
    Abi__WriterPlaceReply *reply = (Abi__WriterPlaceReply *)fuzz_call(
        s, CELL_METHOD_WRITER_PLACE, &request.base, 1, &abi__writer_place_reply__descriptor);
    bool placed = reply && !reply->error;
    bool pending = placed && reply->plan_pending;
    uint32_t nr = placed ? reply->nr_records : 0;
    fuzz_forget(reply);
    g_autofree struct cell_place *runs =
        g_memdup2(s->session.records, nr * sizeof(struct cell_place));
    if (pending)
        fuzz_drain(s, BATCHES_MAX, UINT64_MAX);
    if (!nr || step->flags & 0x80)
        return;
    memcpy(s->session.records, runs, nr * sizeof(*runs));
    Abi__WriterCommitRequest commit = ABI__WRITER_COMMIT_REQUEST__INIT;
    commit.nr_records = nr;
    Abi__WriterCommitReply *done = (Abi__WriterCommitReply *)fuzz_call(
        s, CELL_METHOD_WRITER_COMMIT, &commit.base, nr, &abi__writer_commit_reply__descriptor);
    pending = done && !done->error && done->plan_pending;
    fuzz_forget(done);
    if (pending)
        fuzz_drain(s, BATCHES_MAX, UINT64_MAX);
}

static void writer_finish(struct fuzz_session *s, struct target *t, const struct step *step)
{
    Abi__WriterFinishRequest request = ABI__WRITER_FINISH_REQUEST__INIT;
    (void)step;
    request.unused_offset = t->lease_offset;
    Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(s, CELL_METHOD_WRITER_FINISH, &request.base,
                                                        0, &abi__plan_reply__descriptor);
    bool planned = reply && !reply->error;
    fuzz_forget(reply);
    if (planned)
        fuzz_drain(s, BATCHES_MAX, UINT64_MAX);
    t->open = false;
}

static void resize(struct fuzz_session *s, struct target *t, const struct step *step)
{
    Abi__ResizeRequest request = ABI__RESIZE_REQUEST__INIT;
    request.node = t->node->id;
    request.size = step->size;
    request.preallocation = step->flags & 3;
    request.shrink = step->flags >> 2 & 1;
    Abi__PlanReply *reply = (Abi__PlanReply *)fuzz_call(s, CELL_METHOD_RESIZE, &request.base, 0,
                                                        &abi__plan_reply__descriptor);
    bool planned = reply && !reply->error;
    fuzz_forget(reply);
    if (planned)
        fuzz_drain(s, BATCHES_MAX, UINT64_MAX);
}

static void one_step(struct fuzz_session *s, struct target *t, const struct step *step)
{
    switch (step->which % 5) {
    case 0:
        if (!t->open)
            resize(s, t, step);
        break;
    case 1:
        if (t->open)
            writer_finish(s, t, step);
        else
            writer_open(s, t, step);
        break;
    case 2:
        if (t->open && t->lease)
            writer_lease(s, t, step);
        break;
    default:
        if (t->open && !t->lease)
            writer_place(s, t, step);
    }
}

/* The format the image is opened as: the session has a passphrase for qcow, where it is named. */
static const char *format_of(struct span image)
{
    static const uint8_t qcow1[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 1};

    return image.len >= sizeof(qcow1) && !memcmp(image.data, qcow1, sizeof(qcow1)) ? "qcow" : "";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cur_of(span_of(data, size));
    struct step steps[STEPS_MAX];
    unsigned nr_steps = cur_u8(&c) % (STEPS_MAX + 1);
    for (unsigned i = 0; i < nr_steps; i++) {
        steps[i].which = cur_u8(&c);
        steps[i].flags = cur_u8(&c);
        steps[i].cluster = cur_le16(&c);
        steps[i].nr_clusters = cur_le16(&c);
        steps[i].size = cur_le64(&c);
    }
    struct span image = cur_bytes(&c, cur_left(&c));
    if (!cur_ok(&c))
        return 0;

    struct fuzz_session s;
    fuzz_session_start(&s, image.data, image.len);
    struct target target = {.node = fuzz_open(&s, format_of(image), true, false)};
    for (unsigned i = 0; target.node && i < nr_steps && !s.session.plan; i++)
        one_step(&s, &target, &steps[i]);
    fuzz_session_end(&s);
    return 0;
}
