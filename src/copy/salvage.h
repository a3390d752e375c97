/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what can be read, sector by sector, with a warning for each that cannot.
 */
#ifndef INSTAR_SRC_COPY_SALVAGE_H
#define INSTAR_SRC_COPY_SALVAGE_H

#include "src/copy/reader.h"

/*
 * Reads pieces as reader_fill does, but with zeros where they cannot be read.
 *
 * in:      quiet: without the warnings
 * out:     buf: as many bytes as the pieces are long
 */
void salvage_fill(struct reader *reader, const struct piece *pieces, guint nr, gboolean quiet,
                  guint8 *buf);

#endif
