/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VHD, opened and read in every way. The input is the image.
 */
#include "fuzz/whole.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_whole(data, size, "vpc");
    return 0;
}
