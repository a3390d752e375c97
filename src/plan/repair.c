/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks and repairs; see repair.h.
 */
#include "src/plan/repair.h"

#include "compat/wording.h"
#include "guest/abi/check.pb-c.h"
#include "src/plan/apply.h"
#include "src/wire/decode.h"
#include "src/wire/decode_check.h"

/* A repair may reach as far as a cluster's number can say, with the largest clusters. */
#define LIMIT_BYTES ((uint64_t)G_MAXINT32 << 21)

static gboolean write_repairs(const struct repair_target *t, GError **error)
{
    struct apply_target target = {
        .blob = t->blob, .endpoint = t->endpoint, .limit_bytes = LIMIT_BYTES};

    if (t->files != NULL)
        return apply_plan_flushed(t->cell, (const struct apply_target *)t->files->data,
                                  t->files->len, error);
    return apply_plan_flushed(t->cell, &target, 1, error);
}

gboolean repair_check(const struct repair_target *t, struct check_result *out, GError **error)
{
    Abi__CheckRequest request = ABI__CHECK_REQUEST__INIT;
    struct wire_findings *findings = wire_findings_new();
    ProtobufCMessage *message = NULL;
    gboolean ok;

    request.node = t->node;
    request.fix_leaks = t->fix_leaks;
    request.fix_errors = t->fix_errors;
    cell_set_emit(t->cell, wire_findings_take, findings);
    ok = cell_call(t->cell, CELL_METHOD_CHECK, &request.base, NULL, 0, 0,
                   &abi__check_reply__descriptor, &message, error);
    cell_set_emit(t->cell, NULL, NULL);
    wire_findings_free(findings);
    if (!ok)
        return FALSE;

    const Abi__CheckReply *reply = (const Abi__CheckReply *)message;
    wire_decode_check(reply, out);
    if (reply->repairs && (t->fix_leaks || t->fix_errors))
        ok = write_repairs(t, error);
    if (ok)
        ok = wire_check_error(reply->error, t->filename, error);
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}
