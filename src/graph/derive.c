/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Argon2 for key slots of LUKS2. The numbers come out of an image: they are bounded here, and what
 * is done with them is done in a cell, whose memory is as much as the slot asks for. That is given
 * only when an image asks and the user named a secret for it.
 */
#include "src/graph/derive.h"

#include <string.h>

#include "compat/wording.h"
#include "crypto/hash.h"
#include "guest/abi/derive.h"
#include "src/sandbox/sandbox.h"
#include "src/wire/decode.h"

#define MIB          (1024ull * 1024ull)
#define SLACK        (16 * MIB) /* what a guest uses beside the matrix */
#define WINDOW_BYTES (2 * MIB)
#define PATIENCE     5u /* time limits: a slot may take a gigabyte, on a busy machine */

static gboolean is_allowed(const Abi__Derivation *wanted, const struct derived_keys *keys)
{
    for (size_t i = 0; i < keys->nr; i++) {
        if (keys->key[i].slot == wanted->slot) {
            return FALSE;
        }
    }
    return keys->nr < DERIVED_MAX && wanted->key_len <= DERIVE_KEY_MAX &&
           wanted->salt.len <= DERIVE_SALT_MAX &&
           derive_cost_allowed(wanted->memory_kib, wanted->passes);
}

/* An arena hands out blocks in steps of a quarter. */
static uint64_t arena_for(uint64_t memory_kib)
{
    uint64_t bytes = memory_kib * 1024;
    uint64_t arena = (bytes + bytes / 4 + SLACK + 2 * MIB - 1) & ~(2 * MIB - 1);

    return MIN(arena, CELL_ARENA_MAX);
}

static struct cell *make_cell(const Abi__Derivation *wanted, GError **error)
{
    struct cell_config config;
    uint64_t need = arena_for(wanted->memory_kib);
    struct cell *cell;

    if (!cell_config_from_environment(&config, error)) {
        return NULL;
    }
    if (config.memory_chosen && need > config.memory_bytes) {
        wording_fail(error,
                     "Keyslot %u needs %u KiB of memory to unlock, more than INSTAR_CELL_MEMORY "
                     "allows",
                     wanted->slot, wanted->memory_kib);
        return NULL;
    }
    config.memory_bytes = MAX(need, SLACK);
    config.window_bytes = WINDOW_BYTES;
    config.timeout_seconds *= PATIENCE;
    cell = cell_new(&config, error);
    if (cell == NULL) {
        g_prefix_error(error, "Keyslot %u needs %u KiB of memory to unlock: ", wanted->slot,
                       wanted->memory_kib);
    }
    return cell;
}

static gboolean take_key(const Abi__DeriveReply *reply, const Abi__Derivation *wanted,
                         struct derived_keys *keys, GError **error)
{
    Abi__DerivedKey *key = &keys->key[keys->nr];

    if (!wire_check_error(reply->error, "", error)) {
        return FALSE;
    }
    if (reply->key.len != wanted->key_len) {
        return wire_refuse(error, "length of a key");
    }
    abi__derived_key__init(key);
    key->slot = wanted->slot;
    key->key.data = g_memdup2(reply->key.data, reply->key.len);
    key->key.len = reply->key.len;
    keys->list[keys->nr++] = key;
    return TRUE;
}

gboolean derive_key(const Abi__Derivation *wanted, const ProtobufCBinaryData *password,
                    struct derived_keys *keys, GError **error)
{
    Abi__DeriveRequest request = ABI__DERIVE_REQUEST__INIT;
    g_autoptr(Cell) cell = NULL;
    ProtobufCMessage *message;
    Abi__DeriveReply *reply;
    gboolean ok;

    if (!is_allowed(wanted, keys)) {
        return wire_refuse(error, "derivation of a key");
    }
    cell = make_cell(wanted, error);
    request.derivation = (Abi__Derivation *)wanted;
    request.password = *password;
    if (cell == NULL || !cell_call(cell, CELL_METHOD_DERIVE, &request.base, NULL, 0, 0,
                                   &abi__derive_reply__descriptor, &message, error)) {
        return FALSE;
    }
    reply = (Abi__DeriveReply *)message;
    ok = take_key(reply, wanted, keys, error);
    crypto_wipe(reply->key.data, reply->key.len);
    protobuf_c_message_free_unpacked(message, NULL);
    return ok;
}

void derived_keys_clear(struct derived_keys *keys)
{
    for (size_t i = 0; i < keys->nr; i++) {
        crypto_wipe(keys->key[i].key.data, keys->key[i].key.len);
        g_free(keys->key[i].key.data);
    }
    keys->nr = 0;
}
