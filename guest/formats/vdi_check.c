/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a VDI image: every block of the file is named at most once, lies among the image's
 * blocks, and the header's count is right. Output and counts follow stock qemu-img 7.2; there is no
 * repair, as there.
 */
#include "guest/formats/vdi.h"

#include "guest/lib/checked.h"

struct vdi_checker {
    struct finding_sink *findings;
    Abi__CheckReply *reply;
};

static void corrupt(void *user, enum vdi_finding code, uint64_t n0, uint64_t n1)
{
    struct vdi_checker *c = user;
    struct cell_finding finding = {.code = (uint32_t)code, .number = {n0, n1}};

    c->reply->corruptions++;
    c->findings->add(c->findings, &finding);
}

enum guest_err vdi_check(struct node *node, const Abi__CheckRequest *request,
                         struct finding_sink *findings, Abi__CheckReply *reply,
                         struct guest_err_detail *detail)
{
    struct vdi_checker c = {.findings = findings, .reply = reply};
    struct vdi *vdi = vdi_of(node);
    struct vdi_usage usage;
    enum guest_err err;

    if (request->fix_leaks || request->fix_errors)
        return err_plain(detail, GUEST_ERR_CHECKS_NOT_SUPPORTED);
    err = vdi_usage_scan(vdi, 0, corrupt, &c, &usage, detail);
    if (!err && usage.allocated != vdi->header.blocks_allocated)
        corrupt(&c, VDI_FOUND_ALLOCATED, usage.allocated, vdi->header.blocks_allocated);
    vdi_usage_clear(&usage);
    return err;
}
