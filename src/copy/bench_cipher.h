/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes of a benchmark to an encrypted disk. Sectors are encrypted as one, so that one that is
 * written in part is read, decrypted and written whole; meanwhile nobody else writes.
 */
#ifndef INSTAR_SRC_COPY_BENCH_CIPHER_H
#define INSTAR_SRC_COPY_BENCH_CIPHER_H

#include "src/copy/target.h"

/*
 * Writes bytes to a place.
 *
 * in:      cipher: NULL: as they are; lock: of all writes to the disk
 *          at, iv_offset: of the first byte, in the file and for its IV; a multiple of the cipher's
 *          unit apart
 * returns: 0 or an errno
 */
int bench_cipher_write(const struct sector_cipher *cipher, GRWLock *lock, struct endpoint *endpoint,
                       guint64 at, guint64 iv_offset, const void *buf, gsize len);

#endif
