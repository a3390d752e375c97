/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warnings are stock's, one a sector; those about a sector whose place in the image could not be
 * found come in pairs, as that is asked for once more before reading.
 */
#include "src/copy/salvage.h"

#include <string.h>

#include "compat/wording.h"

#define SECTOR 512u

static gboolean fill_one(struct reader *reader, const struct piece *piece, guint8 *buf,
                         int *out_err)
{
    struct read_fault fault;
    const void *bytes = reader_fill(reader, 0, piece, 1, &fault);

    if (bytes == NULL) {
        g_clear_error(&fault.error);
        *out_err = fault.error_number;
        return FALSE;
    }
    memcpy(buf, bytes, piece->length);
    return TRUE;
}

static void salvage_sectors(struct reader *reader, struct piece rest, gboolean quiet, guint8 *buf)
{
    guint64 first = rest.start;

    while (rest.length > 0) {
        guint64 to_sector = SECTOR - rest.start % SECTOR;
        struct piece sector = rest;
        int err = rest.error_number;

        if (rest.length > to_sector) {
            sector = piece_cut(&rest, to_sector);
        } else {
            rest.length = 0;
        }
        if (sector.kind == PIECE_BAD && !sector.located && !quiet) {
            wording_report_status_error(TRUE, sector.start, err);
        }
        if (!fill_one(reader, &sector, buf + (sector.start - first), &err)) {
            if (!quiet) {
                wording_report_read_error(TRUE, sector.start, err);
            }
            memset(buf + (sector.start - first), 0, sector.length);
        }
    }
}

void salvage_fill(struct reader *reader, const struct piece *pieces, guint nr, gboolean quiet,
                  guint8 *buf)
{
    for (guint i = 0; i < nr; i++) {
        int err;

        if (pieces[i].kind == PIECE_BAD || !fill_one(reader, &pieces[i], buf, &err)) {
            salvage_sectors(reader, pieces[i], quiet, buf);
        }
        buf += pieces[i].length;
    }
}
