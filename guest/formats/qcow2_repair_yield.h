/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repair as a plan, drained step by step.
 */
#ifndef INSTAR_GUEST_FORMATS_QCOW2_REPAIR_YIELD_H
#define INSTAR_GUEST_FORMATS_QCOW2_REPAIR_YIELD_H

#include "guest/formats/qcow2_repair.h"

extern const struct plan_verbs qcow2_repair_verbs;

#endif
