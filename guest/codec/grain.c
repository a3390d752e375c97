/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A grain of a stream-optimized VMDK: its marker, then a zlib stream.
 *
 *   0      8    the grain's first sector of the disk; not looked at, as in stock
 *   8      4    bytes of the stream
 *
 * source: VMware "Virtual Disk Format 5.0", stream-optimized extents; the bounds on the length are
 * those of stock qemu-img 10.0
 */
#include "guest/codec/backends.h"
#include "guest/lib/checked.h"

#define MARKER_BYTES 12u

enum guest_err inflate_grain(struct libdeflate_decompressor **state, struct span in, uint8_t *out,
                             size_t out_len)
{
    struct span stream;
    struct cursor c = cur_of(in);
    uint64_t len;

    cur_skip(&c, 8);
    len = cur_le32(&c);
    if (!cur_ok(&c) || len == 0 || len > 2 * (uint64_t)out_len - MARKER_BYTES)
        return GUEST_ERR_DECODE;
    if (!span_sub(in, MARKER_BYTES, min_u64(len, in.len - MARKER_BYTES), &stream))
        return GUEST_ERR_DECODE;
    return inflate_zlib_exactly(state, stream, out, out_len);
}
