/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/create.h"

#include "guest/formats/qcow2_create.h"

enum guest_err plan_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct span format = span_of(request->format, strlen(request->format));
    if (span_equal_text(format, "qcow2"))
        return qcow2_create_plan(request, out, detail);
    return err_text(detail, GUEST_ERR_FORMAT_NOT_BUILT, format, 0);
}
