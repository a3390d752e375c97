/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTAR_GUEST_FORMATS_VMDK_AUDIT_H
#define INSTAR_GUEST_FORMATS_VMDK_AUDIT_H

#include "guest/formats/vmdk.h"

/*
 * Looks for what stock's check does not: grains and tables that lie over each other or over other
 * metadata, and markers of a stream that say something else than the tables.
 *
 * in:      e: linked
 * out:     findings; reply->corruptions
 * bound:   each table is read twice, and each marker once; findings until AUDIT_FINDINGS_MAX
 */
enum guest_err vmdk_audit(const struct vmdk_extent *e, struct finding_sink *findings,
                          Abi__CheckReply *reply, struct guest_err_detail *detail);

#endif
