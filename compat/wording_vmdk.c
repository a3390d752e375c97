/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMDK's sentences, as stock qemu-img 7.2 to 11.1 print them; those that stock has not are marked.
 */
#include "compat/wording_vmdk.h"

#include "compat/wording.h"
#include "guest/abi/error_vmdk.h"

static const struct wording_row rows[] = {
    {VMDK_ERR_TOO_SMALL, "File is too small, not a valid image"},
    {VMDK_ERR_DESCRIPTOR, "invalid VMDK image descriptor"},
    {VMDK_ERR_CREATE_TYPE, "Unsupported image type '{span}'"},
    {VMDK_ERR_EXTENT_LINE, "Invalid extent line: {span}"},
    {VMDK_ERR_EXTENTS_MANY, "The VMDK descriptor lists more than {0} extents"}, /* ours */
    {VMDK_ERR_IDS, "Could not open '{name}': Invalid argument"},
    {VMDK_ERR_NESTED, "The extent is a descriptor itself"}, /* ours */

    {VMDK_ERR_NOT_SPARSE, "Image not in VMDK format"},
    {VMDK_ERR_VERSION, "Unsupported VMDK version {0}"},
    {VMDK_ERR_READ_ONLY, "VMDK version 3 must be read only"},
    {VMDK_ERR_GT_LARGE, "L2 table size too big"},
    {VMDK_ERR_GT_SPAN, "L1 entry size is invalid"},
    {VMDK_ERR_TRUNCATED, "File truncated, expecting at least {0d} bytes"},
    {VMDK_ERR_GRANULARITY, "Invalid granularity, image may be corrupt"},
    {VMDK_ERR_GD_LARGE, "L1 size too big"},
    {VMDK_ERR_GD_READ, "Could not read l1 table from extent '{name}': Input/output error"},
    {VMDK_ERR_RGD_READ, "Could not read l1 backup table from extent '{name}': Input/output error"},
    {VMDK_ERR_FOOTER, "Invalid footer"},
    {VMDK_ERR_FOOTER_READ, "Failed to read footer: Input/output error"},
    {VMDK_ERR_SECTOR_COUNT, "Could not refresh total sector count: File too large"},

    {VMDK_ERR_SE_MAGIC, "Bad const header magic: 0x{0x16}"},
    {VMDK_ERR_SE_VERSION, "Unsupported version: 0x{0x16}"},
    {VMDK_ERR_SE_GRAIN_SIZE, "Unsupported grain size: {0}"},
    {VMDK_ERR_SE_GT_SIZE, "Unsupported grain table size: {0}"},
    {VMDK_ERR_SE_FLAGS, "Unsupported flags: 0x{0x16}"},
    {VMDK_ERR_SE_RESERVED, "Unsupported reserved bits: 0x{0x16} 0x{1x16} 0x{2x16} 0x{3x16}"},
    {VMDK_ERR_SE_VOLATILE, "Bad volatile header magic: 0x{0x16}"},
    {VMDK_ERR_SE_JOURNAL, "Image is dirty, Replaying journal not supported"},

    {VMDK_ERR_PARAMETER, "invalid parameter value: {span}"},
    {VMDK_ERR_COMPAT6, "compat6 cannot be enabled with hwversion set"},
    {VMDK_ERR_FLAT_BACKING, "Flat image can't have backing file"},
    {VMDK_ERR_FLAT_ZEROED, "Flat image can't enable zeroed grain"},
    {VMDK_ERR_TEXT_LONG, "The VMDK descriptor is too long"}, /* ours */

    {VMDK_ERR_STREAM_ALLOCATED, "Could not write to allocated cluster for streamOptimized"},
    {VMDK_ERR_WRITE_KIND, "instar does not write into a VMDK image of this kind"},
    {VMDK_ERR_RESIZE_KIND, "instar does not resize a VMDK image of this kind"},
    {VMDK_ERR_RESIZE_PREALLOC, "instar does not preallocate when it resizes a VMDK image"},

    {VMDK_ERR_ENTRY, "Input/output error"},

    {VMDK_FOUND_NO_EXTENT, "ERROR: could not find extent for sector {0}"},
    {VMDK_FOUND_NO_OFFSET, "ERROR: could not get cluster_offset for sector {0}"},
    {VMDK_FOUND_PAST_END, "ERROR: cluster offset for sector {0} points after EOF"},
    {VMDK_FOUND_REDUNDANT, "ERROR: redundant grain table differs for sector {0}"}, /* ours */
    {VMDK_FOUND_DIRECTORY, "ERROR: grain directory is wrong about table {0}"},     /* ours */
    {VMDK_FOUND_OVERLAP, "ERROR: the grain of sector {0} lies over another"},
    {VMDK_FOUND_OVER_METADATA, "ERROR: the grain of sector {0} lies over metadata"},
    {VMDK_FOUND_TABLE, "ERROR: grain table {0} lies over other metadata"},
    {VMDK_FOUND_MARKER, "ERROR: the marker of the grain of sector {0} is wrong"},
    {VMDK_FOUND_TABLE_MARKER, "ERROR: the marker of grain table {0} is wrong"},
};

void wording_register_vmdk(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
