/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DERIVE: a key for a key slot, by Argon2. The cell that does this was made for it, with as much
 * memory as the slot asks for, and has seen no image.
 */
#include "crypto/argon2.h"
#include "crypto/hash.h"
#include "guest/abi/derive.h"
#include "guest/abi/open.pb-c.h"
#include "guest/lib/arena.h"
#include "guest/plan/dispatch.h"

static enum guest_err run_derive(struct session *session, const ProtobufCMessage *message,
                                 ProtobufCMessage *out, struct guest_err_detail *detail)
{
    const Abi__DeriveRequest *request = (const Abi__DeriveRequest *)message;
    const Abi__Derivation *d = request->derivation;
    Abi__DeriveReply *reply = (Abi__DeriveReply *)out;
    struct argon2_input input;
    void *memory;
    (void)session;

    if (!d || !derive_cost_allowed(d->memory_kib, d->passes) || d->key_len < 4 ||
        d->key_len > DERIVE_KEY_MAX || d->salt.len > DERIVE_SALT_MAX)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    input = (struct argon2_input){
        .type = (enum argon2_type)d->type,
        .passes = d->passes,
        .memory_kib = d->memory_kib,
        .lanes = d->lanes,
        .password = request->password.data,
        .password_len = request->password.len,
        .salt = d->salt.data,
        .salt_len = d->salt.len,
    };
    if (argon2_memory_bytes(&input) == 0)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    memory = arena_bytes(argon2_memory_bytes(&input));
    reply->key.data = arena_bytes(d->key_len);
    if (!memory || !reply->key.data) {
        free(memory);
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    }
    reply->key.len = d->key_len;
    argon2_derive(&input, memory, reply->key.data, d->key_len);
    free(memory);
    return GUEST_OK;
}

const struct method methods_derive[] = {
    {CELL_METHOD_DERIVE, &abi__derive_request__descriptor, &abi__derive_reply__descriptor,
     run_derive},
    {0},
};
