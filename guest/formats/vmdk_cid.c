/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content id of an image that is written to.
 *
 * Who made a child of the image took down its id; so it changes before the content does, once in
 * each session of writing. The digits are replaced where they stand, by as many: stock writes the
 * whole descriptor again, which is not atomic. An id that is told apart from parentCID only by its
 * place (it comes after) is left alone.
 */
#include <stdlib.h>

#include "guest/formats/vmdk.h"
#include "guest/lib/checked.h"

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The last digits of the number that `rest` begins with, as it is read. */
static void find_digits(struct span text, struct span rest, struct vmdk_cid *out)
{
    size_t at = (size_t)(rest.data - text.data), first;

    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '-'))
        at++;
    if (text.len - at > 2 && text.data[at] == '0' && (text.data[at + 1] | 0x20) == 'x')
        at += 2;
    for (first = at; at < text.len && is_hex(text.data[at]); at++)
        ;
    out->nr_digits = (unsigned)min_u64(at - first, VMDK_CID_DIGITS);
    out->offset += at - out->nr_digits;
    memcpy(out->digits, text.data + at - out->nr_digits, out->nr_digits);
}

enum guest_err vmdk_find_cid(struct node *node, struct vmdk_cid *out,
                             struct guest_err_detail *detail)
{
    static const char parent[] = "parent";
    const size_t len = sizeof(parent) - 1;
    struct vmdk *v = vmdk_of(node);
    struct span text, rest;
    enum guest_err err =
        vmdk_read_text(node->source, v->text_offset,
                       VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR_BYTES - 1, &text, detail);

    *out = (struct vmdk_cid){.offset = v->text_offset};
    if (err)
        return err;
    if (vmdk_text_after(text, "CID=", &rest)) {
        size_t before = (size_t)(rest.data - text.data) - 4;

        if (before < len || memcmp(text.data + before - len, parent, len) != 0)
            find_digits(text, rest, out);
    }
    free((void *)text.data);
    return GUEST_OK;
}

void vmdk_renew_cid(struct vmdk_cid *cid, uint64_t random)
{
    uint8_t old[VMDK_CID_DIGITS];
    bool all_ones = true;

    memcpy(old, cid->digits, sizeof(old));
    for (unsigned i = 0; i < cid->nr_digits; i++, random >>= 4) {
        cid->digits[i] = (uint8_t) "0123456789abcdef"[random & 0xf];
        all_ones &= cid->digits[i] == 'f';
    }
    if (cid->nr_digits == 0)
        return;
    if (cid->digits[0] == '0' && cid->nr_digits > 1)
        cid->digits[0] = '1';
    /* Another than before, and none that stands for no image. */
    if (all_ones || memcmp(old, cid->digits, cid->nr_digits) == 0)
        cid->digits[cid->nr_digits - 1] = old[cid->nr_digits - 1] == '7' ? '8' : '7';
}
