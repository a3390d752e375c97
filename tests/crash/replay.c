/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/replay.h"

#include <string.h>
#include <unistd.h>

static void clear_step(gpointer data)
{
    g_free(((struct step *)data)->bytes);
}

GArray *steps_new(void)
{
    GArray *steps = g_array_new(FALSE, TRUE, sizeof(struct step));
    g_array_set_clear_func(steps, clear_step);
    return steps;
}

static uint8_t *expand_ascend(const struct cell_op *op)
{
    uint8_t *bytes = g_malloc0(op->length);
    uint64_t value = op->value[0];
    for (uint64_t at = 0; at < op->length; at += op->unit_len, value += op->value[1])
        store_be64(bytes + at, value);
    return bytes;
}

static uint8_t *expand_pattern(const struct cell_op *op)
{
    uint8_t *bytes = g_malloc0(op->length);
    for (uint64_t at = 0; at < op->length; at++)
        bytes[at] = ((const uint8_t *)op->value)[at % op->unit_len];
    return bytes;
}

static void add(GArray *steps, const struct cell_op *op, const uint8_t *window)
{
    struct step step = {
        .blob = op->blob, .offset = op->offset, .length = op->length, .note = op->note};
    switch (op->kind) {
    case CELL_OP_WRITE:
        step.kind = STEP_WRITE;
        step.bytes = g_memdup2(window + op->data, op->length);
        break;
    case CELL_OP_PATTERN:
        step.kind = STEP_WRITE;
        step.bytes = expand_pattern(op);
        break;
    case CELL_OP_ASCEND:
        step.kind = STEP_WRITE;
        step.bytes = expand_ascend(op);
        break;
    case CELL_OP_ZERO:
    case CELL_OP_FILL:
    case CELL_OP_DISCARD:
        step.kind = STEP_ZERO;
        break;
    case CELL_OP_COPY:
        g_assert_cmpint(op->blob, ==, op->src_blob);
        step.kind = STEP_COPY;
        step.source = op->data;
        break;
    case CELL_OP_TRUNCATE:
        step.kind = STEP_TRUNCATE;
        break;
    case CELL_OP_ALLOCATE:
        return;
    case CELL_OP_BARRIER:
        step.kind = STEP_BARRIER;
        break;
    default:
        g_error("unexpected op %d", op->kind);
    }
    g_array_append_val(steps, step);
}

gboolean steps_batch(GArray *steps, struct plan *plan, unsigned max_ops)
{
    g_autofree struct cell_op *ops = g_new0(struct cell_op, max_ops);
    static uint8_t window[PLAN_WINDOW_BYTES];
    struct guest_err_detail detail;
    struct plan_sink sink = {
        .ops = ops, .max_ops = max_ops, .window = window, .window_size = PLAN_WINDOW_BYTES};
    bool done = false;

    enum guest_err err = plan->verbs->next(plan, &sink, &done, &detail);
    g_assert_cmpint(err, ==, GUEST_OK);
    g_assert_true(done || sink.nr_ops > 0);
    for (unsigned i = 0; i < sink.nr_ops; i++)
        add(steps, &ops[i], window);
    /* Whoever relies on bytes of an old batch shall see it. */
    memset(window, 0x5a, sink.window_used);
    if (done)
        plan->verbs->free(plan);
    return done;
}

void steps_drain(GArray *steps, struct plan *plan, unsigned max_ops)
{
    while (!steps_batch(steps, plan, max_ops))
        continue;
}

static void zero_range(int fd, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[65536];
    while (len) {
        size_t n = len < sizeof(zeros) ? len : sizeof(zeros);
        g_assert_cmpint(pwrite(fd, zeros, n, (off_t)offset), ==, (gssize)n);
        offset += n;
        len -= n;
    }
}

static void copy_range(int fd, uint64_t from, uint64_t to, uint64_t len)
{
    g_autofree uint8_t *bytes = g_malloc0(len);
    g_assert_cmpint(pread(fd, bytes, len, (off_t)from), >=, 0);
    g_assert_cmpint(pwrite(fd, bytes, len, (off_t)to), ==, (gssize)len);
}

void step_apply(const struct step *step, const int *fds)
{
    int fd = step->kind == STEP_BARRIER ? -1 : fds[step->blob];
    switch (step->kind) {
    case STEP_WRITE:
        g_assert_cmpint(pwrite(fd, step->bytes, step->length, (off_t)step->offset), ==,
                        (gssize)step->length);
        break;
    case STEP_ZERO:
        zero_range(fd, step->offset, step->length);
        break;
    case STEP_COPY:
        copy_range(fd, step->source, step->offset, step->length);
        break;
    case STEP_TRUNCATE:
        g_assert_cmpint(ftruncate(fd, (off_t)step->offset), ==, 0);
        break;
    case STEP_BARRIER:
        break;
    }
}

void steps_apply(const GArray *steps, const int *fds)
{
    for (unsigned i = 0; i < steps->len; i++)
        step_apply(&g_array_index(steps, struct step, i), fds);
}
