/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hook that does nothing, but in the image that tests/attack builds: there guest/attack/attack.c
 * takes its place and plays a guest that an image has taken over.
 */
#ifndef INSTAR_GUEST_ATTACK_ATTACK_H
#define INSTAR_GUEST_ATTACK_ATTACK_H

#include "guest/abi/hypercall.h"

/* Called before each call is run, with its method. */
void attack_hook(uint32_t method);

#endif
