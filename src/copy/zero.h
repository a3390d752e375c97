/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding zeros in memory, with the widest vector unit that the machine has.
 */
#ifndef INSTAR_SRC_COPY_ZERO_H
#define INSTAR_SRC_COPY_ZERO_H

#include <glib.h>

/*
 * Whether every byte is zero.
 *
 * in:      any alignment, any length; an empty buffer is zero
 * bound:   stops within 256 bytes of the first byte that is not
 */
gboolean zero_is(const void *buf, size_t len);

/*
 * The leading run of granules that are all zero, or all not.
 *
 * in:      len > 0; granule > 0: [buf, buf + len) is cut in pieces of so many bytes, the last may
 *          be shorter
 * out:     *out_zero whether the run is of zeros
 * returns: bytes of the run, at least 1
 */
size_t zero_run(const void *buf, size_t len, size_t granule, gboolean *out_zero);

/*
 * The name of the vector unit that was chosen: "avx512", "avx2" or "sse2".
 */
const char *zero_unit(void);

/*
 * For tests: use another unit.
 *
 * returns: FALSE when the machine does not have it
 */
gboolean zero_choose(const char *unit);

#endif
