/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names found in images, parsed so that the host has nothing to parse.
 */
#ifndef INSTAR_GUEST_FORMATS_FILEREF_H
#define INSTAR_GUEST_FORMATS_FILEREF_H

#include "guest/abi/open.pb-c.h"
#include "guest/lib/err.h"

/*
 * Parses a name into a reference.
 *
 *   name                    protocol      path
 *   dir/file, ./a:b         file          as it stands
 *   file:name               file          what follows the prefix
 *   host_device:name        host_device   what follows the prefix
 *   word:rest               word          empty: the host knows the protocol's grammar
 *   json:{...}              of the leaf   the leaf's filename; see below
 *
 * In a `json:` name the driver and its `file` children are followed down to a protocol; raw layers
 * on the way fall away, but for their offset and size, which become the slice. A name that cannot
 * be parsed, or that nests what a reference cannot say, has an empty protocol: the image can still
 * be shown, the host refuses to follow it (GUEST_ERR_BACKING_NAME).
 *
 * in:      text as stored; format: what the image demands of the child, empty for probing
 * out:     *out, freed with abi__file_ref__free_unpacked
 * returns: GUEST_ERR_NO_MEMORY
 * bound:   linear in text.len; json: see guest/formats/json.h
 * source:  forms seen with stock qemu-img 7.2, options.md
 */
enum guest_err fileref_parse(Abi__Role role, struct span text, struct span format,
                             Abi__FileRef **out, struct guest_err_detail *detail);

#endif
