/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining a plan: each batch is copied out of the cell, checked op by op, and only then carried
 * out. A cell that was taken over can so ruin the image it plans for, and nothing else.
 */
#include "src/plan/apply.h"

#include "compat/wording.h"
#include "guest/abi/plan.pb-c.h"
#include "src/io/blkdebug.h"
#include "src/wire/decode.h"

gboolean apply_explains(void)
{
    return g_strcmp0(g_getenv("INSTAR_EXPLAIN"), "plan") == 0;
}

static const struct apply_target *find_target(uint32_t blob, const struct apply_target *targets,
                                              unsigned nr_targets)
{
    for (unsigned i = 0; i < nr_targets; i++) {
        if (targets[i].blob == blob)
            return &targets[i];
    }
    return NULL;
}

static gboolean unit_is(const struct cell_op *op, unsigned allowed)
{
    return op->unit_len != 0 && op->unit_len <= 16 && (op->unit_len & (op->unit_len - 1)) == 0 &&
           (op->unit_len & allowed) != 0 && op->length % op->unit_len == 0;
}

const char *apply_check_op(const struct cell_op *op, const struct apply_target *targets,
                           unsigned nr_targets, uint64_t window_bytes)
{
    if (op->kind == CELL_OP_BARRIER)
        return NULL;
    const struct apply_target *target = find_target(op->blob, targets, nr_targets);
    if (target == NULL)
        return "op on a blob that is no target";
    uint64_t limit = target->limit_bytes != 0 ? target->limit_bytes : (uint64_t)G_MAXINT64;
    if (op->offset > limit)
        return "op past the limit of its target";
    if (op->kind == CELL_OP_TRUNCATE)
        return NULL;
    if (op->length == 0 || op->length > limit - op->offset)
        return "op past the limit of its target";
    switch (op->kind) {
    case CELL_OP_WRITE:
        return op->data <= window_bytes && op->length <= window_bytes - op->data
                   ? NULL
                   : "bytes outside the window";
    case CELL_OP_PATTERN:
        return unit_is(op, 1 | 2 | 4 | 8 | 16) ? NULL : "bad pattern unit";
    case CELL_OP_ASCEND:
        return unit_is(op, 8 | 16) ? NULL : "bad ascending unit";
    case CELL_OP_ZERO:
    case CELL_OP_ALLOCATE:
    case CELL_OP_FILL:
    case CELL_OP_DISCARD:
        return NULL;
    case CELL_OP_COPY:
        if (find_target(op->src_blob, targets, nr_targets) == NULL)
            return "copy from a blob that is no target";
        return op->data <= G_MAXINT64 && op->length <= G_MAXINT64 - op->data
                   ? NULL
                   : "copy from an offset that cannot be";
    default:
        return "unknown op";
    }
}

/* One batch, from the cell to the files. */
static gboolean take_batch(struct cell *cell, const Abi__PlanNextReply *reply, struct cell_op *ops,
                           const struct apply_target *targets, unsigned nr_targets, GError **error)
{
    if (reply->nr_records > CELL_OPS_MAX)
        return wire_refuse(error, "number of ops");
    if (!cell_take_records(cell, ops, reply->nr_records, sizeof(*ops), error))
        return FALSE;
    for (uint32_t i = 0; i < reply->nr_records; i++) {
        const char *wrong = apply_check_op(&ops[i], targets, nr_targets, cell_window_size(cell));
        if (wrong != NULL)
            return wire_refuse(error, wrong);
    }
    return TRUE;
}

/* The next batch into ops; *out_nr of them. */
static gboolean next_batch(struct cell *cell, struct cell_op *ops,
                           const struct apply_target *targets, unsigned nr_targets,
                           uint32_t *out_nr, gboolean *out_done, GError **error)
{
    Abi__PlanNextRequest request = ABI__PLAN_NEXT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;

    if (!cell_call(cell, CELL_METHOD_PLAN_NEXT, &request.base, NULL, 0, 0,
                   &abi__plan_next_reply__descriptor, &message, error))
        return FALSE;
    Abi__PlanNextReply *reply = (Abi__PlanNextReply *)message;
    gboolean ok = wire_check_error(reply->error, NULL, error) &&
                  take_batch(cell, reply, ops, targets, nr_targets, error);
    *out_nr = reply->nr_records;
    *out_done = reply->done;
    if (ok && !*out_done && *out_nr == 0)
        ok = wire_refuse(error, "plan that makes no progress");
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}

/* What was written may be read back by the planner. */
static void tell_sizes(struct cell *cell, const struct apply_target *targets, unsigned nr_targets)
{
    for (unsigned i = 0; i < nr_targets; i++) {
        if (targets[i].endpoint != NULL)
            cell_set_blob_size(cell, targets[i].blob, endpoint_size(targets[i].endpoint));
    }
}

gboolean apply_plan(struct cell *cell, const struct apply_target *targets, unsigned nr_targets,
                    int *out_errno, enum cell_op_note *out_note, GError **error)
{
    g_autofree struct cell_op *ops = g_new(struct cell_op, CELL_OPS_MAX);
    enum cell_op_note note = CELL_NOTE_NONE;
    gboolean done = FALSE;
    unsigned stage = 0;
    int failed = 0;

    if (out_errno != NULL)
        *out_errno = 0;
    while (!done && failed == 0) {
        uint32_t nr_ops = 0;

        if (!next_batch(cell, ops, targets, nr_targets, &nr_ops, &done, error))
            return FALSE;
        if (apply_explains())
            apply_explain_ops(stderr, ops, nr_ops, &stage);
        else {
            gboolean before = blkdebug_say_tables(TRUE);

            failed = apply_ops(ops, nr_ops, cell_window(cell, 0, cell_window_size(cell)), targets,
                               nr_targets, &note);
            blkdebug_say_tables(before);
        }
        if (failed == 0)
            tell_sizes(cell, targets, nr_targets);
    }
    if (failed == 0)
        return TRUE;
    if (out_errno != NULL)
        *out_errno = failed;
    if (out_note != NULL)
        *out_note = note;
    g_set_error(error, APPLY_ERROR, failed, "Could not write %s: %s", apply_note_name(note),
                g_strerror(failed));
    return FALSE;
}

G_DEFINE_QUARK(instar - apply - error, apply_error)

int apply_errno(const GError *error)
{
    return error != NULL && error->domain == APPLY_ERROR ? error->code : 0;
}

void apply_reword(GError **error, const char *sentence)
{
    int number = error != NULL ? apply_errno(*error) : 0;

    if (number == 0)
        return;
    g_clear_error(error);
    g_set_error(error, APPLY_ERROR, number, "%s: %s", sentence, g_strerror(number));
}

gboolean apply_plan_flushed(struct cell *cell, const struct apply_target *targets,
                            unsigned nr_targets, GError **error)
{
    if (!apply_plan(cell, targets, nr_targets, NULL, NULL, error))
        return FALSE;
    for (unsigned i = 0; i < nr_targets && !apply_explains(); i++) {
        int err = endpoint_flush(targets[i].endpoint);

        if (err != 0) {
            g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_SYSTEM, "Could not flush '%s': %s",
                        endpoint_path(targets[i].endpoint), g_strerror(err));
            return FALSE;
        }
    }
    return TRUE;
}
