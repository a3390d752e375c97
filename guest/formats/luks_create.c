/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making LUKS1 headers. The layout is stock's: the header in 4 KiB, then the key material of each
 * slot on a multiple of 4 KiB, then the payload.
 */
#include "guest/formats/luks_create.h"

#include "guest/abi/error_plan.h"
#include "guest/lib/arena.h"
#include "guest/lib/checked.h"

#define UUID_BYTES 16u

static uint64_t align_block(uint64_t bytes)
{
    return div_round_up_u64(bytes, LUKS_ALIGN_BYTES) * LUKS_ALIGN_BYTES;
}

static uint64_t payload_bytes(uint64_t key_bytes)
{
    return LUKS_ALIGN_BYTES + LUKS_SLOTS * align_block(key_bytes * LUKS_STRIPES);
}

uint64_t luks_new_payload_bytes(const Abi__LuksCreate *request)
{
    size_t key_bytes =
        crypto_key_bytes((enum crypto_cipher)request->cipher, (enum crypto_mode)request->mode);

    return key_bytes ? payload_bytes(key_bytes) : 0;
}

/* Appends text to a field of LUKS_NAME_BYTES. */
static void add_word(uint8_t *field, const char *word)
{
    size_t used = strnlen((const char *)field, LUKS_NAME_BYTES), len = strlen(word);

    memcpy(field + used, word, min_u64(len, LUKS_NAME_BYTES - 1 - used));
}

static void encode_words(struct luks_header *h)
{
    uint8_t *mode = h->bytes + 40;

    memcpy(h->bytes, LUKS_MAGIC, LUKS_MAGIC_BYTES);
    store_be16(h->bytes + 6, 1);
    add_word(h->bytes + 8, crypto_cipher_family(h->spec.cipher));
    add_word(mode, crypto_mode_name(h->spec.mode));
    add_word(mode, "-");
    add_word(mode, crypto_ivgen_name(h->spec.ivgen));
    if (h->spec.ivgen_hash) {
        add_word(mode, ":");
        add_word(mode, crypto_hash_name(h->spec.ivgen_hash));
    }
    add_word(h->bytes + 72, crypto_hash_name(h->hash));
}

void luks_encode_slot(struct luks_header *header, unsigned slot)
{
    const struct luks_slot *s = &header->slots[slot];
    uint8_t *at = header->bytes + LUKS_SLOT_AT + slot * LUKS_SLOT_BYTES;

    store_be32(at, s->active);
    store_be32(at + 4, s->iterations);
    memcpy(at + 8, s->salt, LUKS_SALT_BYTES);
    store_be32(at + 40, s->key_material_offset);
    store_be32(at + 44, s->stripes);
}

static void encode(struct luks_header *h, const uint8_t uuid[UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *out = h->bytes + 168;

    encode_words(h);
    store_be32(h->bytes + 104, h->payload_offset);
    store_be32(h->bytes + 108, h->key_bytes);
    memcpy(h->bytes + 112, h->mk_digest, LUKS_DIGEST_BYTES);
    memcpy(h->bytes + 132, h->mk_digest_salt, LUKS_SALT_BYTES);
    store_be32(h->bytes + 164, h->mk_digest_iter);
    for (unsigned i = 0; i < UUID_BYTES; i++) {
        uint8_t byte = uuid[i];

        if (i == 6)
            byte = (byte & 0x0f) | 0x40; /* version 4: random */
        if (i == 8)
            byte = (byte & 0x3f) | 0x80;
        *out++ = (uint8_t)digits[byte >> 4];
        *out++ = (uint8_t)digits[byte & 15];
        if (i == 3 || i == 5 || i == 7 || i == 9)
            *out++ = '-';
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        luks_encode_slot(h, i);
}

static void place_slots(struct luks_header *h, bool detached)
{
    uint64_t slot_bytes = align_block(luks_material_bytes(h));

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        h->slots[i].active = LUKS_SLOT_DISABLED;
        h->slots[i].stripes = LUKS_STRIPES;
        h->slots[i].key_material_offset =
            (uint32_t)((LUKS_ALIGN_BYTES + i * slot_bytes) / LUKS_SECTOR_BYTES);
    }
    h->payload_offset = detached ? 0 : (uint32_t)(payload_bytes(h->key_bytes) / LUKS_SECTOR_BYTES);
}

/* What goes together; ESSIV without a hash takes SHA-256. */
static enum guest_err choose(struct luks_header *h, const Abi__LuksCreate *request,
                             struct guest_err_detail *detail)
{
    struct crypto_spec *spec = &h->spec;

    spec->cipher = (enum crypto_cipher)request->cipher;
    spec->mode = (enum crypto_mode)request->mode;
    spec->ivgen = (enum crypto_ivgen)request->ivgen;
    spec->ivgen_hash = (enum crypto_hash)request->ivgen_hash;
    if (spec->ivgen == CRYPTO_IVGEN_ESSIV && !spec->ivgen_hash)
        spec->ivgen_hash = CRYPTO_HASH_SHA256;
    spec->sector_bytes = LUKS_SECTOR_BYTES;
    spec->key_len = (uint32_t)crypto_key_bytes(spec->cipher, spec->mode);
    h->key_bytes = spec->key_len;
    h->hash = (enum crypto_hash)request->hash;
    h->mk_digest_iter = request->digest_iters;
    h->slots[0].iterations = request->slot_iters;
    if (!crypto_hash_name(h->hash) || !request->digest_iters || !request->slot_iters ||
        (spec->ivgen_hash && !crypto_hash_name(spec->ivgen_hash)))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    return luks_spec_error(spec, crypto_judge(spec), detail);
}

enum guest_err luks_new_init(struct luks_new *out, const Abi__LuksCreate *request,
                             struct guest_err_detail *detail)
{
    struct luks_header *h = &out->header;
    const uint8_t *key = request->random.data; /* then salts, UUID and stripes */
    const uint8_t *salts, *uuid;
    enum guest_err err;

    memset(out, 0, sizeof(*out));
    err = choose(h, request, detail);
    if (err)
        return err;
    place_slots(h, request->detached);
    if (request->random.len <
        h->key_bytes + 2 * LUKS_SALT_BYTES + UUID_BYTES + luks_material_bytes(h))
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    salts = key + h->key_bytes;
    uuid = salts + 2 * LUKS_SALT_BYTES;
    memcpy(h->mk_digest_salt, salts, LUKS_SALT_BYTES);
    memcpy(h->slots[0].salt, salts + LUKS_SALT_BYTES, LUKS_SALT_BYTES);
    out->material = arena_bytes(luks_material_sectors(h) * LUKS_SECTOR_BYTES);
    if (!out->material)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    h->slots[0].active = LUKS_SLOT_ACTIVE;
    crypto_pbkdf2(h->hash, key, h->key_bytes, h->mk_digest_salt, LUKS_SALT_BYTES, h->mk_digest_iter,
                  h->mk_digest, LUKS_DIGEST_BYTES);
    memcpy(out->material, uuid + UUID_BYTES, luks_material_bytes(h));
    encode(h, uuid);
    return luks_make_material(h, key, span_of(request->password.data, request->password.len),
                              h->slots[0].salt, h->slots[0].iterations, out->material, detail);
}

void luks_new_clear(struct luks_new *made)
{
    crypto_wipe(&made->header, sizeof(made->header));
    free(made->material);
    made->material = NULL;
}

uint64_t luks_new_bytes(const struct luks_new *made)
{
    return LUKS_HEADER_BYTES + luks_material_sectors(&made->header) * LUKS_SECTOR_BYTES;
}

void luks_new_yield(const struct luks_new *made, struct plan_sink *sink, uint32_t blob,
                    uint64_t offset)
{
    const struct luks_header *h = &made->header;
    uint64_t len = luks_material_sectors(h) * LUKS_SECTOR_BYTES;
    uint64_t at = offset + (uint64_t)h->slots[0].key_material_offset * LUKS_SECTOR_BYTES;

    memcpy(plan_write(sink, blob, at, len, CELL_NOTE_CRYPTO), made->material, len);
    memcpy(plan_write(sink, blob, offset, LUKS_HEADER_BYTES, CELL_NOTE_CRYPTO), h->bytes,
           LUKS_HEADER_BYTES);
}

/* ---- an image of its own ---- */

struct luks_plan {
    struct plan base;
    struct luks_new made;
    uint64_t header_bytes;
    uint32_t blob;
};

static enum guest_err next(struct plan *plan, struct plan_sink *sink, bool *out_done,
                           struct guest_err_detail *detail)
{
    struct luks_plan *p = (struct luks_plan *)plan;

    (void)detail;
    *out_done = plan_room(sink, LUKS_NEW_OPS + 2, luks_new_bytes(&p->made));
    if (!*out_done)
        return GUEST_OK;
    plan_simple(sink, CELL_OP_TRUNCATE, p->blob, plan->file_size, 0, CELL_NOTE_FILE_SIZE);
    plan_simple(sink, CELL_OP_ZERO, p->blob, 0, p->header_bytes, CELL_NOTE_CRYPTO);
    luks_new_yield(&p->made, sink, p->blob, 0);
    return GUEST_OK;
}

static void luks_plan_free(struct plan *plan)
{
    struct luks_plan *p = (struct luks_plan *)plan;

    luks_new_clear(&p->made);
    free(p);
}

enum guest_err luks_create(const Abi__CreateRequest *request, struct plan **out,
                           struct guest_err_detail *detail)
{
    static const struct plan_verbs verbs = {next, luks_plan_free};
    struct luks_plan *p;
    enum guest_err err;

    if (!request->luks)
        return err_plain(detail, GUEST_ERR_BAD_REQUEST);
    p = arena_array(1, sizeof(*p));
    if (!p)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    p->base.verbs = &verbs;
    p->blob = request->blob;
    err = luks_new_init(&p->made, request->luks, detail);
    p->header_bytes = luks_new_payload_bytes(request->luks);
    if (!err && (!add_u64(request->luks->detached ? 0 : request->size, p->header_bytes,
                          &p->base.file_size) ||
                 p->base.file_size > INT64_MAX))
        err = err_plain(detail, GUEST_ERR_FILE_TOO_LARGE);
    if (err) {
        luks_plan_free(&p->base);
        return err;
    }
    *out = &p->base;
    return GUEST_OK;
}
