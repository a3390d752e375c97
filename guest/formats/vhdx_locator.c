/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parent locator that we write: the key of the parent's content, and one path.
 */
#include "guest/formats/vhdx_make.h"
#include "guest/lib/utf16.h"

#define HEAD_BYTES    20u
#define ENTRY_BYTES   12u
#define NR_PAIRS      2u
#define STRINGS_AT    (HEAD_BYTES + NR_PAIRS * ENTRY_BYTES)
#define GUID_TEXT_LEN 38u

/* {00112233-4455-6677-8899-aabbccddeeff} of bytes in the order of the file. */
static void format_guid(const uint8_t *guid, uint8_t *out)
{
    static const uint8_t order[VHDX_GUID_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                   8, 9, 10, 11, 12, 13, 14, 15};
    static const char digits[] = "0123456789abcdef";

    *out++ = '{';
    for (unsigned i = 0; i < VHDX_GUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = (uint8_t)digits[guid[order[i]] >> 4];
        *out++ = (uint8_t)digits[guid[order[i]] & 15];
    }
    *out = '}';
}

/* Appends a text in UTF-16 and says in the pair's entry where it is: offset at +0, length at +8. */
static bool put_text(struct vhdx_locator *out, uint8_t *offset_at, uint8_t *length_at,
                     struct span text)
{
    size_t len;

    if (!utf8_to_utf16(text, false, out->bytes + out->length, sizeof(out->bytes) - out->length,
                       &len))
        return false;
    store_le32(offset_at, out->length);
    store_le16(length_at, (uint16_t)len);
    out->length += (uint32_t)len;
    return true;
}

enum guest_err vhdx_make_locator(struct span name, struct span guid, struct vhdx_locator *out,
                                 struct guest_err_detail *detail)
{
    uint8_t text[GUID_TEXT_LEN], *linkage = out->bytes + HEAD_BYTES, *path = linkage + ENTRY_BYTES;
    const char *key;
    size_t len;
    bool absolute;

    if (guid.len != VHDX_GUID_BYTES)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    memset(out, 0, sizeof(*out));
    memcpy(out->bytes, VHDX_GUID_LOCATOR_TYPE, VHDX_GUID_BYTES);
    store_le16(out->bytes + 18, NR_PAIRS);
    out->length = STRINGS_AT;
    format_guid(guid.data, text);
    (void)put_text(out, linkage, linkage + 8, span_of("parent_linkage", 14));
    (void)put_text(out, linkage + 4, linkage + 10, span_of(text, sizeof(text)));
    absolute = span_starts_with(name, "/");
    key = absolute ? "absolute_win32_path" : "relative_path";
    (void)put_text(out, path, path + 8, span_of(key, strlen(key)));
    if (!parent_name_to_utf16(name, false, out->bytes + out->length,
                              sizeof(out->bytes) - out->length, &len, &absolute))
        return vhdx_error(detail, VHDX_ERR_PARENT_NAME_KIND);
    store_le32(path + 4, out->length);
    store_le16(path + 10, (uint16_t)len);
    out->length += (uint32_t)len;
    return GUEST_OK;
}
