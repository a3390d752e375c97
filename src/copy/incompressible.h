/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling random bytes before a compressor spends its time on them.
 */
#ifndef INSTAR_SRC_COPY_INCOMPRESSIBLE_H
#define INSTAR_SRC_COPY_INCOMPRESSIBLE_H

#include <glib.h>

/*
 * Whether no compressor would gain anything: encrypted, compressed or random content.
 *
 * It errs to the side of FALSE: the answer is TRUE only if the bytes are spread as evenly as chance
 * would have it, so that no entropy code gains more than its own header costs, and no sampled
 * stretch of them occurs twice.
 *
 * bound:   one pass, some tens of microseconds for 64 KiB; len below 4096 is never judged
 */
gboolean incompressible(const void *buf, gsize len);

#endif
