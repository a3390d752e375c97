/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of VHD images, see guest/formats/writer.h.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_WRITER_H
#define INSTAR_GUEST_FORMATS_VPC_WRITER_H

#include "guest/formats/format.h"
#include "guest/formats/writer.h"

/*
 * Starts writing into a fixed or dynamic disk.
 *
 * returns: GUEST_OK; VPC_ERR_WRITE_* for a disk that cannot be written without making it worse
 * bound:   memory of ten bytes a block
 */
enum guest_err vpc_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail);

#endif
