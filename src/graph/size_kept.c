/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a raw file keeps its size when it is written past the page cache. What a request must be
 * aligned to is found out by older versions of stock by reading a byte: a hole at the beginning
 * gives it, and then they take a page.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/profile.h"
#include "compat/wording.h"
#include "src/graph/image.h"

#define SECTOR_BYTES 512u
#define PAGE_BYTES   4096u

static uint32_t request_alignment(struct endpoint *file)
{
    static _Alignas(PAGE_BYTES) uint8_t probe[PAGE_BYTES];
    gboolean asks = profile_get()->id >= PROFILE_11_1;

    return !asks && pread(endpoint_fd(file), probe, 1, 0) >= 0 ? PAGE_BYTES
                                                               : endpoint_alignment(file);
}

gboolean image_check_size_kept(struct image *image, GError **error)
{
    uint64_t ignored = 0;
    struct endpoint *file = endpoint_unslice(image->endpoint, &ignored);
    struct stat st;
    uint64_t size;

    if (endpoint_fd(file) < 0 || endpoint_alignment(file) <= 1 ||
        !(image->is_bytes || strcmp(image->format, "raw") == 0) ||
        fstat(endpoint_fd(file), &st) != 0 || !S_ISREG(st.st_mode)) {
        return TRUE;
    }
    size = ((uint64_t)st.st_size + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    return size % request_alignment(file) == 0 ||
           wording_fail(error, "Cannot get 'write' permission without 'resize': Image size is not "
                               "a multiple of request alignment");
}
