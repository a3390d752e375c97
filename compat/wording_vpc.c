/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a VHD. The sentences of opening are stock's; stock has no check of this
 * format, so those of the findings are ours.
 */
#include "compat/wording_vpc.h"

#include "compat/wording.h"
#include "guest/abi/error_vpc.h"

static const struct wording_row rows[] = {
    {VPC_ERR_TOO_SMALL, "File too small for a VHD header"},
    {VPC_ERR_NO_FOOTER, "invalid VPC image"},
    {VPC_ERR_FOOTER_CHECKSUM, "Incorrect header checksum"},
    {VPC_ERR_TOO_LARGE, "Could not open '{name}': File too large"},
    {VPC_ERR_DYNAMIC_READ, "Error reading dynamic VHD header"},
    {VPC_ERR_DYNAMIC_MAGIC, "Invalid header magic"},
    {VPC_ERR_BLOCK_SIZE, "Invalid block size {0}"},
    {VPC_ERR_BAT_SMALL, "Page table too small"},
    {VPC_ERR_BAT_LARGE, "Max Table Entries too large ({0d})"},
    {VPC_ERR_BAT_READ, "Error reading pagetable"},
    {VPC_ERR_TRUNCATED, "block-vpc: free_data_block_offset points after the end of file. The image "
                        "has been truncated."},
    {VPC_ERR_PARENT_NAME, "The differencing disk does not name its parent"},
    {VPC_ERR_SUBFORMAT, "Parameter 'subformat' does not accept value '{span}'"},
    {VPC_ERR_SIZE_TOO_LARGE, "The image size is too large for file format 'vpc'"},
    {VPC_ERR_RESIZE_KIND, "A VHD that is called fixed and has a block table keeps its size"},
    {VPC_ERR_RESIZE_PREALLOC, "Preallocation is not supported for a VHD"},
    {VPC_ERR_WRITE_MIXED, "A VHD that is fixed and has a block table is not written to"},
    {VPC_ERR_WRITE_SHORT, "A fixed VHD whose file is too short is not written to"},
    {VPC_ERR_PARENT_OTHER, "The parent is not the disk that the differencing disk was made from"},
    {VPC_ERR_PARENT_NAME_KIND, "The name of the backing file cannot be stored in a VHD"},
    {VPC_ERR_PARENT_FIXED, "A fixed VHD has no backing file"},
    {VPC_ERR_PARENT_FORMAT, "backing_file must be a vpc image"},
    {VPC_ERR_PARENT_NONE, "A differencing VHD always has a backing file"},

    {VPC_FOUND_NO_COPY, "ERROR no footer at the end of the file"},
    {VPC_FOUND_COPY_DIFFERS, "ERROR the footers at the start and the end of the file differ"},
    {VPC_FOUND_FOOTER_FIELD, "ERROR footer field at {0}: unknown value {1#x}"},
    {VPC_FOUND_DYNAMIC_CHECKSUM, "ERROR dynamic header: incorrect checksum"},
    {VPC_FOUND_DYNAMIC_VERSION, "ERROR dynamic header: unknown version {0#x}"},
    {VPC_FOUND_BLOCK_METADATA, "ERROR block {0} at offset {1#x} lies over metadata"},
    {VPC_FOUND_BLOCK_OVERLAP, "ERROR block {0} at offset {2#x} lies over block {1}"},
    {VPC_FOUND_BLOCK_BEYOND, "Leaked block {0}: past the end of the disk"},
    {VPC_FOUND_LEAK, "Leaked space: {1} bytes at offset {0#x} belong to no block"},
    {VPC_FOUND_START, "ERROR the footer at the start of the file is broken"},
    {VPC_FOUND_BLOCK_OUTSIDE, "ERROR block {0} at offset {1#x} ends past the end of the file"},
    {VPC_FOUND_SHORT, "ERROR the file has {0} bytes, the disk needs {1}"},
};

void wording_register_vpc(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
