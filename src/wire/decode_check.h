/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cell says about the soundness of an image.
 */
#ifndef INSTAR_SRC_WIRE_DECODE_CHECK_H
#define INSTAR_SRC_WIRE_DECODE_CHECK_H

#include <glib.h>

#include "compat/result.h"
#include "guest/abi/check.pb-c.h"
#include "guest/abi/hypercall.h"

/* Prints findings to stderr, each with its sentence, as they come. */
struct wire_findings;
struct wire_findings *wire_findings_new(void);
void wire_findings_free(struct wire_findings *findings);

/*
 * A cell_emit_fn, with a struct wire_findings as its user.
 */
void wire_findings_take(void *user, uint32_t type, const void *records, uint32_t count,
                        size_t record_size);

/* Fills the counts; the names in *out are the caller's. */
void wire_decode_check(const Abi__CheckReply *reply, struct check_result *out);

#endif
