/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding and erasing key slots of an unlocked image: a LUKS header of its own or inside qcow2.
 *
 * A slot that is added gets its key material first and is switched on by one write behind a
 * barrier. One that is erased is switched off first; its material is overwritten behind a barrier.
 * Only where
 * --force overwrites an active slot is there a time in which that slot unlocks nothing.
 */
#include "guest/formats/luks_amend.h"

#include "guest/formats/luks_create.h"
#include "guest/formats/qcow2.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

struct keyslot_plan {
    struct plan base;
    struct luks_header header; /* as it will be */
    uint64_t offset;           /* of the header in the blob, bytes */
    struct source *source;     /* that it is in */
    bool activate;
    bool change[LUKS_SLOTS];
    uint8_t *material; /* new, or what overwrites the old; luks_material_sectors long */
    unsigned slot;     /* next to be yielded */
};

static unsigned nr_active(const struct luks_header *header)
{
    unsigned nr = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        nr += header->slots[i].active == LUKS_SLOT_ACTIVE;
    return nr;
}

/* ---- yielding ---- */

static uint64_t material_bytes(const struct keyslot_plan *p)
{
    return luks_material_sectors(&p->header) * LUKS_SECTOR_BYTES;
}

static void yield_slot(const struct keyslot_plan *p, struct plan_sink *sink, unsigned i)
{
    uint64_t at = LUKS_SLOT_AT + (uint64_t)i * LUKS_SLOT_BYTES;

    memcpy(plan_write(sink, p->source->blob, p->offset + at, LUKS_SLOT_BYTES, CELL_NOTE_CRYPTO),
           p->header.bytes + at, LUKS_SLOT_BYTES);
    plan_barrier(sink);
}

static void yield_material(const struct keyslot_plan *p, struct plan_sink *sink, unsigned i)
{
    uint64_t at = (uint64_t)p->header.slots[i].key_material_offset * LUKS_SECTOR_BYTES;

    memcpy(plan_write(sink, p->source->blob, p->offset + at, material_bytes(p), CELL_NOTE_CRYPTO),
           p->material, material_bytes(p));
    plan_barrier(sink);
}

static enum guest_err next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                           struct guest_err_detail *detail)
{
    struct keyslot_plan *p = (struct keyslot_plan *)plan;

    (void)detail;
    for (; p->slot < LUKS_SLOTS; p->slot++) {
        if (!p->change[p->slot])
            continue;
        if (!plan_room(sink, 4, LUKS_SLOT_BYTES + material_bytes(p)))
            return GUEST_OK;
        if (!p->activate)
            yield_slot(p, sink, p->slot);
        yield_material(p, sink, p->slot);
        if (p->activate)
            yield_slot(p, sink, p->slot);
    }
    *out_done = true;
    return GUEST_OK;
}

static void keyslot_free(struct plan *plan)
{
    struct keyslot_plan *p = (struct keyslot_plan *)plan;

    crypto_wipe(&p->header, sizeof(p->header));
    free(p->material);
    free(p);
}

/* ---- deciding ---- */

/* Where the header is, and that key material lies in front of the payload. */
static enum guest_err find_header(struct node *node, struct keyslot_plan *p,
                                  struct guest_err_detail *detail)
{
    struct qcow2 *q = node->driver == &format_qcow2 ? qcow2_of(node) : NULL;

    if (!node->cipher || (q ? !q->luks : node->driver != &format_luks))
        return err_plain(detail, GUEST_ERR_NOT_SUPPORTED);
    p->source = q ? node->source : luks_header_source(node);
    p->base.file_size = p->source->size_bytes;
    p->offset = q ? q->ext.crypto_offset : 0;
    return luks_read_header(p->source, p->offset, !q && node->source->header, &p->header, detail);
}

/* Material whose end wrapped around passes the header's rules, as in stock: it is never written. */
static enum guest_err check_place(const struct keyslot_plan *p, unsigned i,
                                  struct guest_err_detail *detail)
{
    const struct luks_header *h = &p->header;
    uint64_t end = h->slots[i].key_material_offset + luks_material_sectors(h);
    uint64_t room = h->payload_offset ? h->payload_offset
                                      : p->source->size_bytes / LUKS_SECTOR_BYTES; /* detached */

    return end <= room ? GUEST_OK : luks_error_numbers(detail, LUKS_ERR_SLOT_PAYLOAD, i, 0);
}

static enum guest_err choose_new(struct keyslot_plan *p, const Abi__KeyslotRequest *request,
                                 unsigned *out, struct guest_err_detail *detail)
{
    const struct luks_header *h = &p->header;

    if (request->has_slot) {
        *out = request->slot;
        if (h->slots[*out].active == LUKS_SLOT_ACTIVE && !request->force)
            return luks_error_numbers(detail, LUKS_ERR_KEYSLOT_ACTIVE, *out, 0);
        return GUEST_OK;
    }
    for (*out = 0; *out < LUKS_SLOTS; ++*out)
        if (h->slots[*out].active != LUKS_SLOT_ACTIVE)
            return GUEST_OK;
    return luks_error(detail, LUKS_ERR_KEYSLOTS_FULL);
}

static enum guest_err activate(struct node *node, struct keyslot_plan *p,
                               const Abi__KeyslotRequest *request, struct guest_err_detail *detail)
{
    struct luks_header *h = &p->header;
    struct luks_slot *slot;
    unsigned i;
    enum guest_err err = choose_new(p, request, &i, detail);

    if (!err)
        err = check_place(p, i, detail);
    if (err)
        return err;
    if (request->iters == 0)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    slot = &h->slots[i];
    slot->active = LUKS_SLOT_ACTIVE;
    slot->iterations = request->iters;
    memcpy(slot->salt, request->random.data, LUKS_SALT_BYTES);
    p->change[i] = true;
    luks_encode_slot(h, i);
    return luks_make_material(h, node->cipher->key,
                              span_of(request->new_password.data, request->new_password.len),
                              slot->salt, slot->iterations, p->material, detail);
}

static void erase(struct keyslot_plan *p, unsigned i)
{
    struct luks_slot *slot = &p->header.slots[i];

    slot->active = LUKS_SLOT_DISABLED;
    slot->iterations = 0;
    memset(slot->salt, 0, sizeof(slot->salt));
    p->change[i] = true;
    luks_encode_slot(&p->header, i);
}

static enum guest_err try_slot(struct node *node, const struct keyslot_plan *p, unsigned i,
                               const Abi__KeyslotRequest *request, bool *out_match,
                               struct guest_err_detail *detail)
{
    uint8_t key[CRYPTO_KEY_MAX];
    enum guest_err err = luks_try_slot(
        p->source, p->offset, &p->header, i,
        span_of(request->old_password.data, request->old_password.len), key, out_match, detail);

    crypto_wipe(key, sizeof(key));
    return err;
}

static enum guest_err erase_one(struct node *node, struct keyslot_plan *p,
                                const Abi__KeyslotRequest *request, struct guest_err_detail *detail)
{
    unsigned i = request->slot;
    bool match = true;
    enum guest_err err = GUEST_OK;

    if (p->header.slots[i].active != LUKS_SLOT_ACTIVE)
        return luks_error_numbers(detail, LUKS_ERR_KEYSLOT_ERASED, i, 0);
    if (request->has_old)
        err = try_slot(node, p, i, request, &match, detail);
    if (err)
        return err;
    if (!match)
        return luks_error_numbers(detail, LUKS_ERR_OLD_MISMATCH, i, 0);
    if (!request->force && nr_active(&p->header) == 1)
        return luks_error_numbers(detail, LUKS_ERR_LAST_SLOT, i, 0);
    err = check_place(p, i, detail);
    if (!err)
        erase(p, i);
    return err;
}

static enum guest_err erase_matching(struct node *node, struct keyslot_plan *p,
                                     const Abi__KeyslotRequest *request,
                                     struct guest_err_detail *detail)
{
    bool match[LUKS_SLOTS] = {false};
    unsigned nr = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        enum guest_err err = GUEST_OK;

        if (p->header.slots[i].active == LUKS_SLOT_ACTIVE)
            err = try_slot(node, p, i, request, &match[i], detail);
        if (!err && match[i])
            err = check_place(p, i, detail);
        if (err)
            return err;
        nr += match[i];
    }
    if (nr == 0)
        return luks_error(detail, LUKS_ERR_NO_MATCH);
    if (!request->force && nr == nr_active(&p->header))
        return luks_error(detail, LUKS_ERR_LAST_MATCH);
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        if (match[i])
            erase(p, i);
    return GUEST_OK;
}

static enum guest_err decide(struct node *node, struct keyslot_plan *p,
                             const Abi__KeyslotRequest *request, struct guest_err_detail *detail)
{
    enum guest_err err = find_header(node, p, detail);

    if (err)
        return err;
    if (request->has_slot && request->slot >= LUKS_SLOTS)
        return luks_error_numbers(detail, LUKS_ERR_KEYSLOT_RANGE, request->slot, 0);
    if (request->random.len < LUKS_SALT_BYTES + material_bytes(p))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    p->material = arena_bytes(material_bytes(p));
    if (!p->material)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    memcpy(p->material, request->random.data + LUKS_SALT_BYTES, material_bytes(p));
    if (request->activate)
        return activate(node, p, request, detail);
    if (request->has_slot)
        return erase_one(node, p, request, detail);
    return request->has_old ? erase_matching(node, p, request, detail)
                            : luks_error(detail, LUKS_ERR_NOTHING_NAMED);
}

enum guest_err luks_amend_plan(struct node *node, const Abi__KeyslotRequest *request,
                               struct plan **out, struct guest_err_detail *detail)
{
    static const struct plan_verbs verbs = {next, keyslot_free};
    struct keyslot_plan *p = arena_array(1, sizeof(*p));
    enum guest_err err;

    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &verbs;
    p->activate = request->activate;
    err = decide(node, p, request, detail);
    if (err) {
        keyslot_free(&p->base);
        return err;
    }
    *out = &p->base;
    return GUEST_OK;
}
