/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure: how large a file a new image needs.
 */
#ifndef INSTAR_GUEST_PLAN_MEASURE_H
#define INSTAR_GUEST_PLAN_MEASURE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/lib/err.h"

/*
 * Computes the size of an image with `required_data` bytes in it, and of one that is full.
 *
 * in:      request->required_data: bytes, whole clusters of the target
 * out:     required and fully_allocated of *reply
 * returns: GUEST_OK; what qcow2_create_check refuses; GUEST_ERR_PLAN_MEASURE_TOO_LARGE;
 *          GUEST_ERR_FORMAT_NOT_BUILT with the format's name
 */
enum guest_err plan_measure(const Abi__MeasureRequest *request, Abi__MeasureReply *reply,
                            struct guest_err_detail *detail);

#endif
