/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel is told ahead of time, so that it does not do it while everybody waits.
 *
 * What will be flushed in the end is begun with while the copy goes on: the disk would be idle
 * meanwhile, and then be waited for. And pages of a source that is going to be emptied are given
 * back by the threads that have read them: cutting a file gives back all that is cached of it
 * first, which for 1 GiB takes 60 ms of one processor.
 */
#include "src/copy/copy_internal.h"

/* Pages of shorter runs are not worth a call each. */
#define SPENT_LEAST (512u << 10)

void copy_note_written(struct copy *copy, struct endpoint *endpoint, guint64 offset, guint64 bytes)
{
    struct copy_span *written = &copy->written, due = {0};

    pool_lock(copy->pool);
    if (written->endpoint != endpoint) {
        *written = (struct copy_span){.endpoint = endpoint, .from = offset};
    }
    written->from = MIN(written->from, offset);
    written->to = MAX(written->to, offset + bytes);
    written->bytes += bytes;
    if (written->bytes >= COPY_WRITE_BACK) {
        due = *written;
        written->endpoint = NULL;
    }
    pool_unlock(copy->pool);
    if (due.endpoint != NULL) {
        endpoint_write_back(due.endpoint, due.from, due.to - due.from);
    }
}

/* Lock held. Adds a piece that was read; gives the span before it if it does not go on from there.
 */
static struct copy_span spend(struct copy_span *spent, const struct piece *piece)
{
    struct copy_span due = {0};

    if (spent->endpoint == piece->endpoint && spent->to == piece->offset &&
        spent->bytes < COPY_WRITE_BACK) {
        spent->to += piece->length;
        spent->bytes += piece->length;
        return due;
    }
    due = *spent;
    *spent = (struct copy_span){.endpoint = piece->endpoint,
                                .from = piece->offset,
                                .to = piece->offset + piece->length,
                                .bytes = piece->length};
    return due;
}

void copy_note_spent(struct copy *copy, const GArray *pieces)
{
    for (guint i = 0; i < pieces->len; i++) {
        const struct piece *piece = &g_array_index(pieces, struct piece, i);
        struct copy_span due;

        if (piece->kind != PIECE_DATA && piece->kind != PIECE_ENCRYPTED) {
            continue;
        }
        pool_lock(copy->pool);
        due = spend(&copy->spent, piece);
        pool_unlock(copy->pool);
        if (due.bytes >= SPENT_LEAST) {
            endpoint_forget(due.endpoint, due.from, due.to - due.from);
        }
    }
}
