/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressing units of the output, on the host: the bytes are data, nothing in them is parsed.
 */
#ifndef INSTAR_SRC_COPY_COMPRESS_H
#define INSTAR_SRC_COPY_COMPRESS_H

#include <glib.h>

#include "guest/abi/hypercall.h"

struct compressor;

/*
 * Makes a compressor for one thread.
 *
 * in:      codec: CELL_CODEC_DEFLATE, CELL_CODEC_ZSTD or CELL_CODEC_VMDK_GRAIN; unit_bytes: what it
 *          will be given
 * returns: NULL when out of memory
 */
struct compressor *compressor_new(enum cell_codec codec, gsize unit_bytes);
void compressor_free(struct compressor *compressor);

/* The most bytes that so many bytes in units of one size are compressed to. */
gsize compressor_bound(gsize bytes, gsize unit_bytes);

/*
 * Compresses one unit.
 *
 * in:      unit_bytes bytes at `in`; start: where in the disk they are, which only a grain's marker
 *          says
 * out:     at most unit_bytes - 1 bytes at `out`; of a grain up to compressor_bound, whole sectors
 * returns: their number; 0: the unit does not get smaller and should be stored as it is (never of a
 *          grain)
 */
gsize compress_unit(struct compressor *compressor, guint64 start, const void *in, void *out);

#endif
