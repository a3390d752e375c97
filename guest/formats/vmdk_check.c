/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a VMDK image: that each grain can be looked up and lies inside its file. As in stock
 * the first finding of that kind ends it. What stock does not look for comes after (vmdk_audit.c);
 * with repairs see vmdk_repair.c.
 */
#include "guest/formats/vmdk_audit.h"
#include "guest/formats/vmdk_repair.h"
#include "guest/lib/checked.h"

#define EPERM_NUMBER 1u /* what stock names a table entry that means nothing */

static void found(struct finding_sink *findings, enum vmdk_finding code, uint64_t sector)
{
    struct cell_finding finding = {.code = (uint32_t)code, .number = {sector}};

    findings->add(findings, &finding);
}

static enum guest_err past_end(struct finding_sink *findings, uint64_t sector,
                               struct guest_err_detail *detail)
{
    found(findings, VMDK_FOUND_PAST_END, sector);
    return err_plain(detail, GUEST_ERR_INVALID);
}

/*
 * The grains from `sector` on that are alike.
 *
 * out:     *step: sectors looked at
 */
static enum guest_err check_run(struct vmdk *v, const struct vmdk_extent *e, uint64_t sector,
                                struct finding_sink *findings, uint64_t *step,
                                struct guest_err_detail *detail)
{
    uint64_t into = sector - e->start;
    uint64_t file_bytes, inside;
    struct vmdk_grain grain;
    enum guest_err err;

    if (!align_up_u64(e->source->size_bytes, VMDK_SECTOR_BYTES, &file_bytes))
        return err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (e->flat) {
        *step = e->sectors;
        return e->flat_offset >= file_bytes ? past_end(findings, sector, detail) : GUEST_OK;
    }
    err = vmdk_find_grain(v, e, into / e->cluster_sectors,
                          div_round_up_u64(e->sectors - into, e->cluster_sectors), &grain, detail);
    if (err == (enum guest_err)VMDK_ERR_ENTRY) {
        found(findings, VMDK_FOUND_NO_OFFSET, sector);
        return err_numbers(detail, GUEST_ERR_IO, EPERM_NUMBER, 0, 0, 0);
    }
    if (err)
        return err;
    *step = grain.same_grains * e->cluster_sectors;
    if (grain.kind != VMDK_GRAIN_DATA)
        return GUEST_OK;
    inside = grain.offset < file_bytes
                 ? div_round_up_u64(file_bytes - grain.offset, vmdk_cluster_bytes(e))
                 : 0;
    return inside < grain.same_grains
               ? past_end(findings, sector + inside * e->cluster_sectors, detail)
               : GUEST_OK;
}

static enum guest_err audit_all(struct vmdk *v, struct finding_sink *findings,
                                Abi__CheckReply *reply, struct guest_err_detail *detail)
{
    enum guest_err err = GUEST_OK;

    for (unsigned i = 0; i < v->nr_extents && !err; i++)
        if (!v->extents[i].flat && !v->extents[i].sesparse)
            err = vmdk_audit(&v->extents[i], findings, reply, detail);
    return err;
}

enum guest_err vmdk_check(struct node *node, const Abi__CheckRequest *request,
                          struct finding_sink *findings, Abi__CheckReply *reply,
                          struct guest_err_detail *detail)
{
    struct vmdk *v = vmdk_of(node);
    uint64_t sectors = node->virtual_size / VMDK_SECTOR_BYTES;
    bool repairs = request->fix_errors && vmdk_can_repair(node);
    uint64_t step;

    if (v->nr_linked != v->nr_extents)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    if (repairs) {
        enum guest_err err = vmdk_repair(node, findings, reply, detail);

        if (err || node->repair)
            return err;
    }
    if (!repairs && (request->fix_leaks || request->fix_errors))
        return err_plain(detail, GUEST_ERR_CHECKS_NOT_SUPPORTED);
    for (uint64_t sector = 0; sector < sectors; sector += step) {
        const struct vmdk_extent *e = vmdk_extent_at(v, sector);
        enum guest_err err;

        if (!e) {
            found(findings, VMDK_FOUND_NO_EXTENT, sector);
            return err_plain(detail, GUEST_ERR_INVALID);
        }
        err = check_run(v, e, sector, findings, &step, detail);
        if (err) {
            reply->corruptions++;
            return err;
        }
    }
    return repairs ? GUEST_OK : audit_all(v, findings, reply, detail);
}
