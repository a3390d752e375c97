/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a copy goes: what size its units have, where each run of data has its room, and who has to
 * be told when it is there.
 *
 * Two kinds. A raw target (target_raw.c) has room for offset x at offset x and nothing to tell. A
 * planned target (target_writer.c) is an image whose tables a cell keeps: the cell leases room
 * ahead of use, or places run by run where clusters may exist already, is told in batches what went
 * where, and yields table writes that are applied here.
 *
 * The cell belongs to the feeder's thread. Workers spend leases and queue their reports under the
 * pool's lock, and wait for the feeder only where the lease is used up or a run must be placed.
 */
#ifndef INSTAR_SRC_COPY_TARGET_H
#define INSTAR_SRC_COPY_TARGET_H

#include "crypto/sector_cipher.h"
#include "guest/abi/hypercall.h"
#include "src/copy/pool.h"
#include "src/io/endpoint.h"
#include "src/plan/apply.h"

struct target;

/* What a copy must know to cut its work. */
struct target_shape {
    guint64 unit_bytes;    /* runs start and end on multiples of this, but for the disk's end */
    guint64 zero_bytes;    /* finest run of data: a part of a unit, or a unit */
    guint64 size_bytes;    /* of the virtual disk */
    gboolean reads_zero;   /* what is left out reads as zeros */
    gboolean compresses;   /* takes compressed units */
    gboolean stays_sorted; /* data of offset x lies at offset x: kernel copies are possible */
    gboolean asks_often;   /* room is asked for run by run, which takes a call each time */
    gboolean plain_zeros;  /* there are no zeros but those that are written */
    struct endpoint *data; /* what the bytes are written to */
    const struct sector_cipher *cipher; /* bytes are encrypted with it first; NULL: they are not */
    gboolean cipher_by_place;           /* IVs count from the place, not from the virtual offset */
};

/* Why the target failed. */
struct target_fault {
    int error_number; /* errno of a write; 0: see error */
    GError *error;    /* freed by the taker; may be NULL when error_number is set */
};

/*
 * A raw file or device.
 *
 * in:      endpoint: referenced; reads_zero: it was just made, or the user says so
 */
struct target *target_new_raw(struct endpoint *endpoint, guint64 size_bytes, gboolean reads_zero);

/*
 * A disk that lies encrypted behind a header.
 *
 * in:      payload_bytes: where it begins in the file
 */
struct target *target_new_encrypted(struct endpoint *endpoint, guint64 size_bytes,
                                    guint64 payload_bytes);

/* Encrypts what goes into a target; the target keeps the cipher. */
void target_set_cipher(struct target *target, struct sector_cipher *cipher, gboolean by_place);

/*
 * An image whose tables are in a cell, opened there as `node`.
 *
 * in:      blobs: every endpoint that its plans may write to, copied; fresh: made by us and still
 *          empty; compressed: only compressed units will come, as far as they compress;
 *          reads_zero: whoever calls knows that what is left out reads as zeros; keep_zeros: zeros
 *          are recorded even where nothing else would show; bitmaps_told: dirty bitmaps have the
 *          bits of what will be written; same_disk: what the chain shows stays the same
 * returns: NULL with *error
 */
struct target_writer_options {
    struct cell *cell;
    guint32 node;
    guint64 size_bytes;
    gboolean fresh;
    gboolean compressed;
    gboolean reads_zero;
    gboolean keep_zeros;
    gboolean bitmaps_told;
    gboolean same_disk;
    const struct apply_target *blobs;
    guint nr_blobs;
};
struct target *target_new_writer(const struct target_writer_options *options, GError **error);

void target_free(struct target *target);
const struct target_shape *target_shape(const struct target *target);

/* Worker: the file that the bytes of a place go to. */
struct endpoint *target_blob(const struct target *target, const struct cell_place *place);

/* Says which pool's lock and feeder to use. */
void target_attach(struct target *target, struct pool *pool);

/*
 * Worker: finds room for runs.
 *
 * in:      places: array of struct cell_place with start, length, kind and comp_len; in order
 * out:     the same with offset and blob; longer where a run did not fit in one piece
 */
gboolean target_room(struct target *target, GArray *places, struct target_fault *fault);

/*
 * Worker: makes runs read as zeros whose room is known (places of kind ZERO after target_room).
 */
gboolean target_zero(struct target *target, const struct cell_place *place,
                     struct target_fault *fault);

/* Worker: reports runs whose bytes were written, or that are zero now. */
void target_done(struct target *target, const struct cell_place *places, guint nr);

/*
 * Feeder: answers what workers wait for, and passes their reports on when there are many.
 *
 * in:      most_bytes: an upper bound of what may still come
 */
gboolean target_serve(struct target *target, guint64 most_bytes, struct target_fault *fault);

/*
 * Feeder: nobody will wait any more and nobody is answered any more: waiting workers fail.
 */
void target_abandon(struct target *target);

/*
 * Feeder, after all work: passes on the remaining reports, writes the tables and flushes.
 */
gboolean target_finish(struct target *target, struct target_fault *fault);

#endif
