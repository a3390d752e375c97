/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What failed first, by offset, and how stock would say where: by the request in which it would
 * have met it.
 */
#include <errno.h>

#include "src/copy/copy_internal.h"

void copy_fail(struct copy *copy, struct copy_fault fault)
{
    /* A worker that was let go is not what went wrong. */
    gboolean let_go = fault.error_number == ECANCELED && fault.error == NULL;

    pool_lock(copy->pool);
    if (copy->failed && (let_go || fault.offset >= copy->fault.offset)) {
        g_clear_error(&fault.error);
    } else if (!let_go) {
        g_clear_error(&copy->fault.error);
        copy->fault = fault;
        copy->failed = TRUE;
    }
    pool_unlock(copy->pool);
}

gboolean copy_has_failed(struct copy *copy)
{
    gboolean failed;

    pool_lock(copy->pool);
    failed = copy->failed;
    pool_unlock(copy->pool);
    return failed;
}

gboolean copy_failed_before(struct copy *copy, guint64 offset)
{
    gboolean failed;

    pool_lock(copy->pool);
    failed = copy->failed && copy->fault.offset < offset;
    pool_unlock(copy->pool);
    return failed;
}

/* The start of the request in which stock would have met an offset. */
static guint64 chunk_of(const struct copy *copy, const struct piece *piece, guint64 offset)
{
    guint64 chunk = copy->options->chunk_bytes;

    return chunk == 0 ? offset : offset - (offset - piece->run_start) % chunk;
}

static const struct piece *piece_at(const struct job *job, guint64 offset)
{
    guint i = 0;

    while (i + 1 < job->pieces->len &&
           g_array_index(job->pieces, struct piece, i + 1).start <= offset) {
        i++;
    }
    return &g_array_index(job->pieces, struct piece, i);
}

void copy_fail_write(struct copy *copy, const struct job *job, guint64 offset,
                     struct target_fault fault)
{
    if (job->pieces != NULL) {
        offset = chunk_of(copy, piece_at(job, offset), offset);
    }
    copy_fail(copy, (struct copy_fault){.stage = fault.error_number ? COPY_WRITE : COPY_OTHER,
                                        .offset = offset,
                                        .error_number = fault.error_number,
                                        .error = fault.error});
}

/* The first sector of a piece that cannot be read. */
static guint64 first_bad_sector(const struct piece *piece)
{
    guint8 sector[COPY_SECTOR];

    if (piece->kind == PIECE_DATA) {
        for (guint64 at = 0; at < piece->length; at += COPY_SECTOR) {
            if (endpoint_pread(piece->endpoint, piece->offset + at, sector,
                               MIN(COPY_SECTOR, piece->length - at)) != 0) {
                return piece->start + at;
            }
        }
    }
    return piece->start;
}

static void fail_read(struct copy *copy, const struct piece *piece, struct read_fault fault,
                      enum copy_stage stage)
{
    copy_fail(copy, (struct copy_fault){.stage = fault.error ? COPY_OTHER : stage,
                                        .offset = chunk_of(copy, piece, first_bad_sector(piece)),
                                        .error_number = fault.error ? 0 : fault.error_number,
                                        .error = fault.error});
}

void copy_fail_read(struct copy *copy, const struct piece *piece, struct read_fault fault)
{
    fail_read(copy, piece, fault, COPY_READ);
}

void copy_fail_read_against(struct copy *copy, const struct piece *piece, struct read_fault fault)
{
    fail_read(copy, piece, fault, COPY_READ_AGAINST);
}
