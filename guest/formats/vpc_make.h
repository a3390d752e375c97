/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The headers of a VHD that we make: footer, then dynamic header, then BAT.
 */
#ifndef INSTAR_GUEST_FORMATS_VPC_MAKE_H
#define INSTAR_GUEST_FORMATS_VPC_MAKE_H

#include "guest/formats/parent_name.h"
#include "guest/formats/vpc_geometry.h"
#include "guest/formats/vpc_layout.h"
#include "guest/lib/checked.h"

#define VPC_MADE_DYNAMIC_OFFSET 512u
#define VPC_MADE_TABLE_OFFSET   1536u

/* What a differencing disk says of its parent. */
struct vpc_parent {
    uint8_t unique_id[VPC_UUID_BYTES];
    uint32_t time_stamp;
    uint8_t unicode_name[VPC_PARENT_NAME_BYTES]; /* for display */
    uint32_t platform_code;                      /* of its one locator */
    uint64_t offset;                             /* where that is, bytes */
    uint32_t length;
    uint8_t locator[2 * PARENT_NAME_MAX];
};

/* What differs between images that we make. */
struct vpc_fields {
    uint32_t disk_type;
    uint64_t size; /* bytes, whole sectors */
    struct vpc_geometry geometry;
    uint8_t creator_application[4];
    uint8_t unique_id[VPC_UUID_BYTES];
    uint32_t time_stamp;
    uint32_t max_table_entries;
    const struct vpc_parent *parent; /* NULL: none */
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

/*
 * Fills all but the offset.
 *
 * in:      name: as the user gave it; guid: of the parent, must have VPC_UUID_BYTES
 * returns: VPC_ERR_PARENT_NAME_KIND for a name that cannot be said in a VHD; GUEST_ERR_BAD_REQUEST
 */
enum guest_err vpc_describe_parent(struct span name, struct span guid, uint64_t time_stamp,
                                   struct vpc_parent *out, struct guest_err_detail *detail);

/* Puts the parent into a dynamic header of VPC_DYNAMIC_BYTES; its checksum is wrong then. */
void vpc_put_parent(const struct vpc_parent *parent, uint8_t *dynamic);

/* Bytes that the locator takes in the file: whole sectors. */
static inline uint64_t vpc_locator_space(const struct vpc_parent *parent)
{
    return div_round_up_u64(parent->length, VPC_SECTOR_BYTES) * VPC_SECTOR_BYTES;
}

/* Sets the checksum of a footer or dynamic header whose fields were changed. */
void vpc_seal(uint8_t *bytes, uint32_t len, uint32_t checksum_at);

#endif
