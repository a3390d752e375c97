/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new LUKS1 header with one key slot, for an image of its own or for the clusters of a qcow2.
 */
#ifndef INSTAR_GUEST_FORMATS_LUKS_CREATE_H
#define INSTAR_GUEST_FORMATS_LUKS_CREATE_H

#include "guest/abi/plan.pb-c.h"
#include "guest/formats/luks.h"
#include "guest/plan/plan.h"

struct luks_new {
    struct luks_header header;
    uint8_t *material; /* of slot 0, encrypted; luks_material_sectors long */
};

#define LUKS_NEW_OPS 2u

/* Bytes of header and key material before the payload; 0 for a cipher that does not exist. */
uint64_t luks_new_payload_bytes(const Abi__LuksCreate *request);

/*
 * Makes the header, and locks its key with the password.
 *
 * out:     *out, to be cleared; also after a failure
 * returns: LUKS_ERR_* for ciphers, modes and hashes that do not go together
 * bound:   linear in the iterations asked for
 */
enum guest_err luks_new_init(struct luks_new *out, const Abi__LuksCreate *request,
                             struct guest_err_detail *detail);
void luks_new_clear(struct luks_new *made);

/* Appends LUKS_NEW_OPS writes with luks_new_bytes bytes in all. */
uint64_t luks_new_bytes(const struct luks_new *made);
void luks_new_yield(const struct luks_new *made, struct plan_sink *sink, uint32_t blob,
                    uint64_t offset);

/* Encodes a slot into the bytes of a header. */
void luks_encode_slot(struct luks_header *header, unsigned slot);

/* The driver's verb. */
enum guest_err luks_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail);

#endif
