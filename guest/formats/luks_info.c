/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `info` shows of a LUKS header, as a message.
 */
#include "guest/formats/luks.h"
#include "guest/formats/message.h"
#include "guest/lib/arena.h"

bool luks_fill_words(const struct crypto_spec *spec, enum crypto_hash hash, struct span uuid,
                     Abi__LuksInfo *out)
{
    bool essiv = spec->ivgen == CRYPTO_IVGEN_ESSIV;

    return message_set_text(&out->cipher_alg, crypto_cipher_name(spec->cipher)) &&
           message_set_text(&out->cipher_mode, crypto_mode_name(spec->mode)) &&
           message_set_text(&out->ivgen_alg, crypto_ivgen_name(spec->ivgen)) &&
           (!essiv || message_set_text(&out->ivgen_hash_alg, crypto_hash_name(spec->ivgen_hash))) &&
           message_set_text(&out->hash_alg, crypto_hash_name(hash)) &&
           message_set_bytes(&out->uuid, uuid);
}

static bool fill_slots(const struct luks_header *header, Abi__LuksInfo *out)
{
    out->slot = arena_array(LUKS_SLOTS, sizeof(*out->slot));
    if (!out->slot)
        return false;
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const struct luks_slot *from = &header->slots[i];
        Abi__LuksSlot *slot = malloc(sizeof(*slot));

        if (!slot)
            return false;
        abi__luks_slot__init(slot);
        out->slot[out->n_slot++] = slot;
        slot->active = from->active == LUKS_SLOT_ACTIVE;
        slot->iters = from->iterations;
        slot->stripes = from->stripes;
        slot->key_offset = (uint64_t)from->key_material_offset * LUKS_SECTOR_BYTES;
    }
    return true;
}

enum guest_err luks_fill_info(const struct luks_header *header, bool detached,
                              Abi__InfoReply *reply, struct guest_err_detail *detail)
{
    Abi__LuksInfo *out = malloc(sizeof(*out));

    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__luks_info__init(out);
    reply->luks = out;
    out->detached_header = detached;
    out->payload_offset = (uint64_t)header->payload_offset * LUKS_SECTOR_BYTES;
    out->master_key_iters = header->mk_digest_iter;
    if (!luks_fill_words(&header->spec, header->hash, header->uuid, out) ||
        !fill_slots(header, out))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}
