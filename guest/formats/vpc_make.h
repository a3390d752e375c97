/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of a VHD that we make: footer, then dynamic header, then BAT.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_MAKE_H
#define INSTAR_GUEST_FORMATS_VPC_MAKE_H

#include "guest/formats/vpc_geometry.h"
#include "guest/formats/vpc_layout.h"
#include "guest/lib/checked.h"

#define VPC_MADE_DYNAMIC_OFFSET 512u
#define VPC_MADE_TABLE_OFFSET   1536u

/* What differs between images that we make. */
struct vpc_fields {
    uint32_t disk_type;
    uint64_t size; /* bytes, whole sectors */
    struct vpc_geometry geometry;
    uint8_t creator_application[4];
    uint8_t unique_id[VPC_UUID_BYTES];
    uint32_t time_stamp;
    uint32_t max_table_entries;
};

/* Bytes of a BAT in the file: whole sectors. */
static inline uint64_t vpc_table_bytes(uint64_t entries)
{
    return div_round_up_u64(entries * VPC_BAT_ENTRY_BYTES, VPC_SECTOR_BYTES) * VPC_SECTOR_BYTES;
}

/* Seconds since 2000 of seconds since 1970. */
uint32_t vpc_time_stamp(uint64_t time_sec);

/* A random (version 4) UUID from as many random bytes. */
void vpc_make_unique_id(const uint8_t *random, uint8_t *out);

/*
 * Fill VPC_FOOTER_BYTES and VPC_DYNAMIC_BYTES, checksums included.
 */
void vpc_make_footer(const struct vpc_fields *fields, uint8_t *out);
void vpc_make_dynamic(const struct vpc_fields *fields, uint8_t *out);

/* Sets the checksum of a footer or dynamic header whose fields were changed. */
void vpc_seal(uint8_t *bytes, uint32_t len, uint32_t checksum_at);

#endif
