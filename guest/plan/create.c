/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/plan/create.h"

#include "guest/formats/format.h"

enum guest_err plan_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    struct span name = span_of(request->format, strlen(request->format));
    const struct format_driver *driver = format_by_name(name);
    if (!driver || !driver->create)
        return err_text(detail, GUEST_ERR_FORMAT_NOT_BUILT, name, 0);
    return driver->create(request, out, detail);
}
