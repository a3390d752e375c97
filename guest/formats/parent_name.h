/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a parent as Windows writes it into a differencing disk, and as it is here.
 *
 *   in the image                here
 *   parent.vhd  .\parent.vhd    parent.vhd: next to the child
 *   ..\base\parent.vhd          ../base/parent.vhd
 *   C:\disks\parent.vhd         parent.vhd: there is no such drive, so next to the child
 *   \\server\share\parent.vhd   parent.vhd
 *   \disks\parent.vhd           /disks/parent.vhd: how we write an absolute name
 *
 * What comes out is always the name of a file: one that could be taken for a protocol or for a
 * json: name starts with "./".
 */
#ifndef INSTAR_GUEST_FORMATS_PARENT_NAME_H
#define INSTAR_GUEST_FORMATS_PARENT_NAME_H

#include "guest/formats/format.h"

#define PARENT_NAME_MAX 1024u /* bytes of UTF-8 */

struct parent_name {
    uint8_t text[PARENT_NAME_MAX];
    size_t len;
};

/*
 * The local name of one in UTF-16, in UTF-8, or in a file: URL with its percent signs.
 *
 * returns: false when it is empty, too long, or not well-formed
 */
bool parent_name_from_utf16(struct span bytes, bool big_endian, struct parent_name *out);
bool parent_name_from_url(struct span url, struct parent_name *out);

/*
 * The name as it goes into an image, in UTF-16.
 *
 * in:      name: as the user gave it
 * out:     *out_len bytes; *out_absolute: it starts at the root
 * returns: false when it cannot be said there: a backslash, not UTF-8, longer than PARENT_NAME_MAX
 */
bool parent_name_to_utf16(struct span name, bool big_endian, uint8_t *out, size_t max,
                          size_t *out_len, bool *out_absolute);

/* The last component of a local name. */
struct span parent_name_base(struct span name);

/* Adds the reference; the parent is of the same format. */
enum guest_err parent_name_add_ref(struct node *node, const struct parent_name *name,
                                   struct guest_err_detail *detail);

#endif
