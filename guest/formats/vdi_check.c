/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a VDI image: every block of the file is named at most once, lies among the image's
 * blocks, and the header's count is right. Output and counts follow stock qemu-img 7.2; there is no
 * repair, as there.
 */
#include "guest/formats/vdi.h"

#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

/* A map that is made up of nonsense gives up to 2^29 lines: enough is enough. */
#define FINDINGS_MAX (1u << 18)

struct vdi_checker {
    struct vdi *vdi;
    struct finding_sink *findings;
    Abi__CheckReply *reply;
    uint64_t *used; /* a bit for each block of the file */
    uint32_t allocated;
};

static void corrupt(struct vdi_checker *c, enum vdi_finding code, uint64_t n0, uint64_t n1)
{
    struct cell_finding finding = {.code = (uint32_t)code, .number = {n0, n1}};

    c->reply->corruptions++;
    c->findings->add(c->findings, &finding);
}

static void check_entry(struct vdi_checker *c, uint32_t index, uint32_t entry)
{
    uint64_t bit = 1ull << (entry % 64);

    if (!vdi_is_allocated(entry))
        return;
    if (entry >= c->vdi->header.blocks_in_image) {
        corrupt(c, VDI_FOUND_TOO_LARGE, index, entry);
        return;
    }
    c->allocated++;
    if (c->used[entry / 64] & bit)
        corrupt(c, VDI_FOUND_SHARED, entry, 0);
    c->used[entry / 64] |= bit;
}

static enum guest_err check_entries(struct vdi_checker *c, struct guest_err_detail *detail)
{
    for (uint32_t i = 0; i < c->vdi->header.blocks_in_image; i++) {
        uint32_t entry;
        enum guest_err err = vdi_entry(c->vdi, i, &entry, detail);

        if (err)
            return err;
        if (c->reply->corruptions >= FINDINGS_MAX)
            return err_plain(detail, GUEST_ERR_TOO_MUCH_WORK);
        check_entry(c, i, entry);
    }
    return GUEST_OK;
}

enum guest_err vdi_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail)
{
    struct vdi_checker c = {.vdi = vdi_of(node), .findings = findings, .reply = reply};
    enum guest_err err;

    if (request->fix_leaks || request->fix_errors)
        return err_plain(detail, GUEST_ERR_CHECKS_NOT_SUPPORTED);
    c.used = arena_array(div_round_up_u64(c.vdi->header.blocks_in_image, 64), sizeof(*c.used));
    if (!c.used)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    err = check_entries(&c, detail);
    if (!err && c.allocated != c.vdi->header.blocks_allocated)
        corrupt(&c, VDI_FOUND_ALLOCATED, c.allocated, c.vdi->header.blocks_allocated);
    free(c.used);
    return err;
}
