/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: the plan that makes a new image, whatever its format.
 */
#ifndef INSTAR_GUEST_PLAN_CREATE_H
#define INSTAR_GUEST_PLAN_CREATE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/plan/plan.h"

/*
 * Plans a new image in an empty blob.
 *
 * out:     *out, to be freed with its verb
 * returns: GUEST_OK; GUEST_ERR_FORMAT_NOT_BUILT with the format's name; what the format refuses
 */
enum guest_err plan_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail);

#endif
