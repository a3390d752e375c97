/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vpc_make.h"

#include <string.h>

#include "guest/formats/vpc.h"

#define SECONDS_1970_TO_2000 946684800ull
#define FEATURE_RESERVED     2u
#define CREATOR_VERSION      0x00050003u

uint32_t vpc_time_stamp(uint64_t time_sec)
{
    return (uint32_t)(time_sec > SECONDS_1970_TO_2000 ? time_sec - SECONDS_1970_TO_2000 : 0);
}

void vpc_make_unique_id(const uint8_t *random, uint8_t *out)
{
    memcpy(out, random, VPC_UUID_BYTES);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40); /* version */
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80); /* variant */
}

void vpc_seal(uint8_t *bytes, uint32_t len, uint32_t checksum_at)
{
    store_be32(bytes + checksum_at, vpc_checksum(span_of(bytes, len), checksum_at));
}

void vpc_make_footer(const struct vpc_fields *fields, uint8_t *out)
{
    memset(out, 0, VPC_FOOTER_BYTES);
    memcpy(out, "conectix", 8);
    store_be32(out + 8, FEATURE_RESERVED);
    store_be32(out + 12, VPC_VERSION);
    store_be64(out + 16, fields->disk_type == VPC_FIXED ? VPC_NO_OFFSET : VPC_MADE_DYNAMIC_OFFSET);
    store_be32(out + 24, fields->time_stamp);
    memcpy(out + 28, fields->creator_application, 4);
    store_be32(out + 32, CREATOR_VERSION);
    memcpy(out + 36, "Wi2k", 4);
    store_be64(out + 40, fields->size);
    store_be64(out + 48, fields->size);
    store_be16(out + 56, fields->geometry.cylinder);
    out[58] = fields->geometry.heads;
    out[59] = fields->geometry.sectors;
    store_be32(out + 60, fields->disk_type);
    memcpy(out + 68, fields->unique_id, VPC_UUID_BYTES);
    vpc_seal(out, VPC_FOOTER_BYTES, VPC_FOOTER_CHECKSUM);
}

void vpc_make_dynamic(const struct vpc_fields *fields, uint8_t *out)
{
    memset(out, 0, VPC_DYNAMIC_BYTES);
    memcpy(out, "cxsparse", 8);
    store_be64(out + 8, VPC_NO_OFFSET);
    store_be64(out + 16, VPC_MADE_TABLE_OFFSET);
    store_be32(out + 24, VPC_VERSION);
    store_be32(out + 28, fields->max_table_entries);
    store_be32(out + 32, VPC_BLOCK_BYTES);
    vpc_seal(out, VPC_DYNAMIC_BYTES, VPC_DYNAMIC_CHECKSUM);
}
