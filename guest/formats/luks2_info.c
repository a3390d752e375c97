/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `info` shows of a LUKS2 header: what it shows of LUKS1, and what that does not have.
 */
#include "guest/formats/luks2.h"
#include "guest/formats/message.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

static uint32_t in_32_bits(uint64_t number)
{
    return (uint32_t)min_u64(number, UINT32_MAX);
}

static bool fill_slot(const struct luks2_keyslot *from, Abi__LuksSlot *slot)
{
    bool pbkdf2 = luks2_word_is(&from->kdf.type, "pbkdf2");

    slot->active = from->present;
    if (!from->present)
        return true;
    slot->iters = in_32_bits(pbkdf2 ? from->kdf.iterations : from->kdf.time);
    slot->stripes = in_32_bits(from->stripes);
    slot->key_offset = from->area_offset;
    slot->memory_kib = pbkdf2 ? 0 : from->kdf.memory;
    slot->lanes = pbkdf2 ? 0 : in_32_bits(from->kdf.cpus);
    return message_set_bytes(&slot->kdf, luks2_word_span(&from->kdf.type));
}

/* As many slots as LUKS1 shows, and more where they are in use. */
static bool fill_slots(const struct luks2 *luks, Abi__LuksInfo *out)
{
    unsigned nr = LUKS_SLOTS;

    for (unsigned i = nr; i < LUKS2_KEYSLOTS_MAX; i++)
        if (luks->keyslots[i].present)
            nr = i + 1;
    out->slot = arena_array(nr, sizeof(*out->slot));
    if (!out->slot)
        return false;
    for (unsigned i = 0; i < nr; i++) {
        Abi__LuksSlot *slot = malloc(sizeof(*slot));

        if (!slot)
            return false;
        abi__luks_slot__init(slot);
        out->slot[out->n_slot++] = slot;
        if (!fill_slot(&luks->keyslots[i], slot))
            return false;
    }
    return true;
}

enum guest_err luks2_fill_info(const struct luks2 *luks, bool detached, Abi__InfoReply *reply,
                               struct guest_err_detail *detail)
{
    struct span uuid = span_of(luks->uuid, strnlen((const char *)luks->uuid, sizeof(luks->uuid)));
    Abi__LuksInfo *out = malloc(sizeof(*out));

    if (!out)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__luks_info__init(out);
    reply->luks = out;
    out->version = 2;
    out->sector_size = (uint32_t)luks->segment->sector_size;
    out->detached_header = detached;
    out->payload_offset = luks->segment->offset;
    out->master_key_iters = luks->digest->iterations;
    if (!luks_fill_words(&luks->spec, luks->digest->hash, uuid, out) || !fill_slots(luks, out))
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}
