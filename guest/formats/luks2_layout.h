/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS2 on disk. source: LUKS2 On-Disk Format Specification 1.1.1, sections 2 and 3. Big-endian.
 *
 *   OFFSET SIZE NAME          MEANING
 *   0      6    magic         'L' 'U' 'K' 'S' 0xba 0xbe; of the second copy "SKUL" 0xba 0xbe
 *   6      2    version       2
 *   8      8    hdr_size      this and the JSON behind it, bytes: 16 KiB << 0 .. 8
 *   16     8    seqid         the copy with the higher one is the newer
 *   24     48   label         text
 *   72     32   checksum_alg  "sha256"
 *   104    64   salt          makes the two copies differ
 *   168    40   uuid          text
 *   208    48   subsystem     text
 *   256    8    hdr_offset    where this copy is, bytes
 *   264    184  padding
 *   448    64   csum          over all hdr_size bytes, these taken as zeros
 *   512    3584 padding
 *   4096        JSON, padded with NULs
 *
 *   | header | JSON | second header | JSON | key slot areas | payload ...
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS2_LAYOUT_H
#define INSTAR_GUEST_FORMATS_LUKS2_LAYOUT_H

#define LUKS2_SECOND_MAGIC  "SKUL\xba\xbe"
#define LUKS2_BINARY_BYTES  4096u
#define LUKS2_FIELDS_BYTES  512u
#define LUKS2_ALG_BYTES     32u
#define LUKS2_CSUM_AT       448u
#define LUKS2_CSUM_BYTES    64u
#define LUKS2_SIZE_MIN      (16u << 10)
#define LUKS2_SIZE_MAX      (4u << 20)
#define LUKS2_SIZES_NR      9u /* powers of two from the least to the most */
#define LUKS2_KEYSLOTS_MAX  32u
#define LUKS2_DIGESTS_MAX   32u
#define LUKS2_SEGMENTS_MAX  32u
#define LUKS2_SALT_MAX      64u
#define LUKS2_WORD_MAX      64u /* of a cipher, a hash, a type */
#define LUKS2_PRIORITY_NONE 0u  /* a slot that is only tried when it is asked for */
#define LUKS2_PRIORITY_HIGH 2u

#endif
