/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, filling and resizing VDI images: the driver's verbs that change something.
 */
#ifndef INSTAR_GUEST_FORMATS_VDI_WRITE_H
#define INSTAR_GUEST_FORMATS_VDI_WRITE_H

#include "guest/formats/vdi.h"
#include "guest/formats/writer.h"

/*
 * Option "static": all blocks have their room from the start.
 *
 * returns: VDI_ERR_DISK_SIZE; GUEST_ERR_NO_MEMORY
 */
enum guest_err vdi_create(const Abi__CreateRequest *request, struct plan **out,
                          struct guest_err_detail *detail);

/*
 * A fresh dynamic image hands out leases at its end, a fresh static one is linear; in any other
 * blocks are placed.
 *
 * returns: VDI_ERR_MAP_WRONG, VDI_ERR_OVERLAP: what is damaged is not written to;
 *          GUEST_ERR_NO_MEMORY, GUEST_ERR_IO
 */
enum guest_err vdi_writer_open(struct node *node, const struct image_writer_options *options,
                               struct image_writer **out, struct guest_err_detail *detail);

/*
 * Larger and smaller; stock can do neither. Blocks stay side by side from the first on, so that
 * stock goes on where this ends.
 *
 * returns: as vdi_writer_open; VDI_ERR_DISK_SIZE; GUEST_ERR_PLAN_SIZE_UNALIGNED
 */
enum guest_err vdi_resize(struct node *node, const Abi__ResizeRequest *request, struct plan **out,
                          struct guest_err_detail *detail);

#endif
