/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VHD, opened and read in every way, and repaired. The input is the image.
 */
#include "fuzz/whole.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_session s;

    fuzz_session_start(&s, data, size);
    fuzz_read_all(&s, "vpc");
    fuzz_check(&s, "vpc");
    fuzz_repair(&s, "vpc");
    fuzz_session_end(&s);
    return 0;
}
