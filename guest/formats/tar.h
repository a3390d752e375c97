/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a disk inside a tar archive: an OVA is one, of an OVF text and its disks.
 */
#ifndef INSTAR_GUEST_FORMATS_TAR_H
#define INSTAR_GUEST_FORMATS_TAR_H

#include "guest/io/source.h"

/*
 * Finds the first regular member whose name ends in .vmdk.
 *
 * out:     *out_offset, *out_size: where its bytes are, inside the source; a size of 0: there is
 *          none, or this is no tar archive
 * bound:   TAR_MEMBERS_MAX headers
 * source:  POSIX.1-2017, pax, "ustar Interchange Format"; sizes in base 256 as GNU tar writes them
 */
enum guest_err tar_find_disk(struct source *source, uint64_t *out_offset, uint64_t *out_size,
                             struct guest_err_detail *detail);

#define TAR_MEMBERS_MAX 256u

#endif
