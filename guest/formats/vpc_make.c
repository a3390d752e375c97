/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/formats/vpc_make.h"

#include <string.h>

#include "guest/formats/vpc.h"
#include "guest/lib/utf16.h"

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

enum guest_err vpc_describe_parent(struct span name, struct span guid, uint64_t time_stamp,
                                   struct vpc_parent *out, struct guest_err_detail *detail)
{
    struct span base = parent_name_base(name);
    size_t len;
    bool absolute;

    *out = (struct vpc_parent){.time_stamp = (uint32_t)time_stamp};
    if (guid.len != VPC_UUID_BYTES)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    memcpy(out->unique_id, guid.data, VPC_UUID_BYTES);
    if (!parent_name_to_utf16(name, false, out->locator, sizeof(out->locator), &len, &absolute))
        return vpc_error(detail, VPC_ERR_PARENT_NAME_KIND);
    out->length = (uint32_t)len;
    out->platform_code = absolute ? VPC_LOCATOR_W2KU : VPC_LOCATOR_W2RU;
    /* What is too long to be shown is not. */
    if (!utf8_to_utf16(base, true, out->unicode_name, sizeof(out->unicode_name) - 2, &len))
        memset(out->unicode_name, 0, sizeof(out->unicode_name));
    return GUEST_OK;
}

void vpc_put_parent(const struct vpc_parent *parent, uint8_t *dynamic)
{
    uint8_t *locator = dynamic + VPC_PARENT_LOCATORS_AT;

    memcpy(dynamic + 40, parent->unique_id, VPC_UUID_BYTES);
    store_be32(dynamic + 56, parent->time_stamp);
    memcpy(dynamic + 64, parent->unicode_name, VPC_PARENT_NAME_BYTES);
    memset(locator, 0, VPC_DYNAMIC_BYTES - VPC_PARENT_LOCATORS_AT);
    store_be32(locator, parent->platform_code);
    store_be32(locator + 4, (uint32_t)vpc_locator_space(parent));
    store_be32(locator + 8, parent->length);
    store_be64(locator + 16, parent->offset);
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
    if (fields->parent)
        vpc_put_parent(fields->parent, out);
    vpc_seal(out, VPC_DYNAMIC_BYTES, VPC_DYNAMIC_CHECKSUM);
}
