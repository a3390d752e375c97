/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops onto endpoints. Bytes that follow each other on disk leave in one vectored write; repeated
 * and ascending ones are made in a small buffer on the way.
 */
#include <errno.h>
#include <string.h>

#include "src/plan/apply.h"

#define SCRATCH_BYTES (1u << 20)
#define PATTERN_BYTES (1u << 16) /* a pattern of these is long enough for any length */
#define VECTORS_MAX   64
#define COPY_BYTES    (1u << 20)

/* A write being gathered. */
struct gather {
    struct endpoint *endpoint;
    uint64_t offset, len; /* bytes */
    struct iovec vectors[VECTORS_MAX];
    int nr_vectors;
    uint8_t *scratch; /* SCRATCH_BYTES, used up to scratch_used by the vectors above */
    size_t scratch_used;

    /* The last pattern that was made is kept: many blocks of a table have the same. */
    uint8_t *pattern;             /* in scratch */
    size_t pattern_len, unit_len; /* bytes; 0: none is kept */
    uint8_t unit[16];
};

static int gather_flush(struct gather *g)
{
    int err = 0;
    if (g->nr_vectors)
        err = endpoint_pwritev(g->endpoint, g->offset, g->vectors, g->nr_vectors);
    g->nr_vectors = 0;
    g->scratch_used = g->pattern_len ? (size_t)(g->pattern - g->scratch) + g->pattern_len : 0;
    g->len = 0;
    return err;
}

/* Adds bytes that stay where they are until the next flush. */
static int gather_add(struct gather *g, struct endpoint *endpoint, uint64_t offset,
                      const void *bytes, size_t len)
{
    if (g->nr_vectors &&
        (g->endpoint != endpoint || g->offset + g->len != offset || g->nr_vectors == VECTORS_MAX)) {
        size_t kept = g->scratch_used;
        int err = gather_flush(g);
        if (err)
            return err;
        g->scratch_used = kept;
    }
    if (!g->nr_vectors) {
        g->endpoint = endpoint;
        g->offset = offset;
        g->len = 0;
    }
    g->vectors[g->nr_vectors++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = len};
    g->len += len;
    return 0;
}

/* Room in the scratch buffer, at least `least` bytes of it. */
static int gather_scratch(struct gather *g, size_t least, uint8_t **out, size_t *out_len)
{
    if (SCRATCH_BYTES - g->scratch_used < least) {
        int err = gather_flush(g);
        if (err)
            return err;
        g->scratch_used = g->pattern_len = 0;
    }
    *out = g->scratch + g->scratch_used;
    *out_len = SCRATCH_BYTES - g->scratch_used;
    return 0;
}

static void store_be64(uint8_t *at, uint64_t value)
{
    value = GUINT64_TO_BE(value);
    memcpy(at, &value, sizeof(value));
}

static int apply_ascend(struct gather *g, struct endpoint *endpoint, const struct cell_op *op)
{
    uint64_t value = op->value[0];
    for (uint64_t done = 0; done < op->length;) {
        uint8_t *at;
        size_t room;
        int err = gather_scratch(g, op->unit_len, &at, &room);
        if (err)
            return err;
        size_t len = (size_t)MIN(op->length - done, room - room % op->unit_len);
        for (size_t i = 0; i < len; i += op->unit_len, value += op->value[1]) {
            store_be64(at + i, value);
            if (op->unit_len == 16)
                store_be64(at + i + 8, 0);
        }
        g->scratch_used += len;
        err = gather_add(g, endpoint, op->offset + done, at, len);
        if (err)
            return err;
        done += len;
    }
    return 0;
}

/* Units in a row, as many as there are bytes for, up to the whole buffer. */
static int make_pattern(struct gather *g, uint64_t length, const void *unit, size_t unit_len)
{
    uint8_t *at;
    size_t room;
    int err = gather_scratch(g, MIN(length, SCRATCH_BYTES), &at, &room);
    if (err)
        return err;
    size_t len = (size_t)MIN(length, room), made = unit_len;
    memcpy(at, unit, unit_len);
    for (; made < len; made += MIN(made, len - made))
        memcpy(at + made, at, MIN(made, len - made));
    g->scratch_used += len;
    g->pattern = at;
    g->pattern_len = len;
    memcpy(g->unit, unit, unit_len);
    g->unit_len = unit_len;
    return 0;
}

/* The pattern is made once and written as often as needed. */
static int apply_pattern(struct gather *g, struct endpoint *endpoint, uint64_t offset,
                         uint64_t length, const void *unit, size_t unit_len)
{
    int err = 0;
    if (g->unit_len != unit_len || g->pattern_len < MIN(length, PATTERN_BYTES) ||
        memcmp(g->unit, unit, unit_len) != 0)
        err = make_pattern(g, length, unit, unit_len);
    for (uint64_t done = 0; done < length && !err;) {
        size_t len = (size_t)MIN(length - done, g->pattern_len);
        err = gather_add(g, endpoint, offset + done, g->pattern, len);
        done += len;
    }
    return err;
}

static int apply_copy(struct endpoint *from, uint64_t from_offset, struct endpoint *to,
                      uint64_t offset, uint64_t length)
{
    g_autofree uint8_t *buf = g_malloc(COPY_BYTES);
    for (uint64_t done = 0; done < length;) {
        size_t len = (size_t)MIN(length - done, COPY_BYTES);
        int err = endpoint_pread(from, from_offset + done, buf, len);
        if (!err)
            err = endpoint_pwrite(to, offset + done, buf, len);
        if (err)
            return err;
        done += len;
    }
    return 0;
}

static struct endpoint *endpoint_of(uint32_t blob, const struct apply_target *targets,
                                    unsigned nr_targets)
{
    for (unsigned i = 0; i < nr_targets; i++) {
        if (targets[i].blob == blob)
            return targets[i].endpoint;
    }
    return NULL;
}

static int flush_all(const struct apply_target *targets, unsigned nr_targets)
{
    for (unsigned i = 0; i < nr_targets; i++) {
        int err = endpoint_flush(targets[i].endpoint);
        if (err)
            return err;
    }
    return 0;
}

/* A device has the size it has; /dev/null takes everything. */
static int apply_truncate(struct endpoint *endpoint, uint64_t size_bytes)
{
    if (endpoint_is_character(endpoint))
        return 0;
    if (strcmp(endpoint_protocol(endpoint), "host_device") == 0)
        return size_bytes <= endpoint_size(endpoint) ? 0 : ENOSPC;
    return endpoint_truncate(endpoint, size_bytes);
}

/* What cannot be gathered: everything before it is written first. */
static int apply_alone(const struct cell_op *op, struct endpoint *endpoint,
                       const struct apply_target *targets, unsigned nr_targets)
{
    switch (op->kind) {
    case CELL_OP_ZERO:
        return endpoint_zero(endpoint, op->offset, op->length, TRUE);
    case CELL_OP_TRUNCATE:
        return apply_truncate(endpoint, op->offset);
    case CELL_OP_ALLOCATE:
        return endpoint_allocate(endpoint, op->offset, op->length);
    case CELL_OP_DISCARD:
        /* A courtesy: where it cannot be done, nothing is lost. */
        (void)endpoint_discard(endpoint, op->offset, op->length);
        return 0;
    case CELL_OP_COPY:
        return apply_copy(endpoint_of(op->src_blob, targets, nr_targets), op->data, endpoint,
                          op->offset, op->length);
    default: /* CELL_OP_BARRIER */
        return flush_all(targets, nr_targets);
    }
}

static int apply_op(struct gather *g, const struct cell_op *op, const uint8_t *window,
                    const struct apply_target *targets, unsigned nr_targets)
{
    static const uint8_t zero[16];
    struct endpoint *endpoint = endpoint_of(op->blob, targets, nr_targets);

    switch (op->kind) {
    case CELL_OP_WRITE:
        return gather_add(g, endpoint, op->offset, window + op->data, op->length);
    case CELL_OP_PATTERN:
        return apply_pattern(g, endpoint, op->offset, op->length, op->value, op->unit_len);
    case CELL_OP_FILL:
        return apply_pattern(g, endpoint, op->offset, op->length, zero, 1);
    case CELL_OP_ASCEND:
        return apply_ascend(g, endpoint, op);
    default: {
        int err = gather_flush(g);
        return err ? err : apply_alone(op, endpoint, targets, nr_targets);
    }
    }
}

int apply_ops(const struct cell_op *ops, unsigned nr_ops, const uint8_t *window,
              const struct apply_target *targets, unsigned nr_targets, enum cell_op_note *out_note)
{
    g_autofree uint8_t *scratch = g_malloc(SCRATCH_BYTES);
    struct gather gather = {.scratch = scratch};
    int err = 0;

    for (unsigned i = 0; i < nr_ops && !err; i++) {
        if (ops[i].kind != CELL_OP_BARRIER)
            *out_note = ops[i].note < CELL_NOTE_MAX ? ops[i].note : CELL_NOTE_NONE;
        err = apply_op(&gather, &ops[i], window, targets, nr_targets);
    }
    return err ? err : gather_flush(&gather);
}
