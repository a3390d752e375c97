/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LUKS on disk. source: LUKS1 On-Disk Format Specification 1.2.3, figures 1 to 3. Big-endian.
 *
 *   OFFSET SIZE NAME                 MEANING
 *   0      6    magic                'L' 'U' 'K' 'S' 0xba 0xbe
 *   6      2    version              1
 *   8      32   cipher-name          "aes"
 *   40     32   cipher-mode          "xts-plain64", "cbc-essiv:sha256"
 *   72     32   hash-spec            "sha256"
 *   104    4    payload-offset       of the encrypted disk, sectors
 *   108    4    key-bytes            of the master key
 *   112    20   mk-digest            PBKDF2 of the master key
 *   132    32   mk-digest-salt
 *   164    4    mk-digest-iter
 *   168    40   uuid                 text
 *   208    48   key slot 1           eight of them:
 *     +0   4      active             0x00ac71f3 or 0x0000dead
 *     +4   4      iterations
 *     +8   32     salt
 *     +40  4      key-material-offset  sectors
 *     +44  4      stripes            4000
 *   592
 *
 *   | header | key material 1 | ... | key material 8 | payload ...
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS_LAYOUT_H
#define INSTAR_GUEST_FORMATS_LUKS_LAYOUT_H

#define LUKS_MAGIC         "LUKS\xba\xbe"
#define LUKS_MAGIC_BYTES   6u
#define LUKS_HEADER_BYTES  592u
#define LUKS_NAME_BYTES    32u
#define LUKS_DIGEST_BYTES  20u
#define LUKS_SALT_BYTES    32u
#define LUKS_UUID_BYTES    40u
#define LUKS_SLOTS         8u
#define LUKS_SLOT_AT       208u
#define LUKS_SLOT_BYTES    48u
#define LUKS_SLOT_ACTIVE   0x00ac71f3u
#define LUKS_SLOT_DISABLED 0x0000deadu
#define LUKS_STRIPES       4000u
#define LUKS_SECTOR_BYTES  512u

/* Key material and payload start on multiples of this; the header has the first. */
#define LUKS_ALIGN_BYTES 4096u

#endif
