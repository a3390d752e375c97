/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with encryption, as stock qemu-img 7.2 to 11.1 print it.
 */
#include "compat/wording_luks.h"

#include "compat/wording.h"
#include "guest/abi/error_luks.h"

static const struct wording_row rows[] = {
    {LUKS_ERR_NO_KEY, "Parameter '{span}key-secret' is required for cipher"},
    {LUKS_ERR_NO_SECRET, "No secret with id '{span}'"},
    {LUKS_ERR_SECRET_TEXT, "Data from secret {span} is not valid UTF-8"},
    {LUKS_ERR_PASSWORD, "Invalid password, cannot unlock any keyslot"},
    {LUKS_ERR_NOT_ENCRYPTED,
     "No encryption in image header, but options specified format '{span}'"},
    {LUKS_ERR_OTHER_AES, "Header reported 'aes' encryption format but options specify '{span}'"},
    {LUKS_ERR_OTHER_LUKS, "Header reported 'luks' encryption format but options specify '{span}'"},

    {LUKS_ERR_NOT_LUKS, "Volume is not in LUKS format"},
    {LUKS_ERR_VERSION, "LUKS version {0} is not supported"},
    {LUKS_ERR_CIPHER_NAME, "LUKS header cipher name is not NUL terminated"},
    {LUKS_ERR_CIPHER_MODE, "LUKS header cipher mode is not NUL terminated"},
    {LUKS_ERR_HASH_SPEC, "LUKS header hash spec is not NUL terminated"},
    {LUKS_ERR_PAYLOAD_HEADER, "LUKS payload is overlapping with the header"},
    {LUKS_ERR_ITERATIONS, "LUKS key iteration count is zero"},
    {LUKS_ERR_SLOT_STRIPES, "Keyslot {0} is corrupted (stripes {1} != 4000)"},
    {LUKS_ERR_SLOT_HEADER, "Keyslot {0} is overlapping with the LUKS header"},
    {LUKS_ERR_SLOT_STATE, "Keyslot {0} state (active/disable) is corrupted"},
    {LUKS_ERR_SLOT_ITERATIONS, "Keyslot {0} iteration count is zero"},
    {LUKS_ERR_SLOT_PAYLOAD, "Keyslot {0} is overlapping with the encrypted payload"},
    {LUKS_ERR_SLOT_OVERLAP, "Keyslots {0} and {1} are overlapping in the header"},
    {LUKS_ERR_MODE_FORM, "Unexpected cipher mode string format '{span}'"},
    {LUKS_ERR_HASH, "Hash algorithm '{span}' not supported"},
    {LUKS_ERR_MODE, "Cipher mode '{span}' not supported"},
    {LUKS_ERR_CIPHER, "Algorithm '{span}' with key size {0} bytes not supported"},
    {LUKS_ERR_IVGEN, "IV generator '{span}' not supported"},
    {LUKS_ERR_IVGEN_HASH, "Missing IV generator hash specification"},
    {LUKS_ERR_ESSIV_AES, "No AES cipher with key size {0} available"},
    {LUKS_ERR_ESSIV_SERPENT, "No Serpent cipher with key size {0} available"},
    {LUKS_ERR_ESSIV_TWOFISH, "No Twofish cipher with key size {0} available"},
    {LUKS_ERR_ESSIV_UNSUITED, "Cipher {span} not supported with essiv"},
    {LUKS_ERR_MODE_UNSUITED, "Unsupported cipher mode {span}"},
    {LUKS_ERR_PAYLOAD_BEYOND, "Could not refresh total sector count: Input/output error"},

    {LUKS2_ERR_DAMAGED, "Both copies of the LUKS2 header are damaged"},
    {LUKS2_ERR_CHECKSUM_ALG, "LUKS2 checksum algorithm '{span}' is not supported"},
    {LUKS2_ERR_METADATA, "The metadata of the LUKS2 header is not valid"},
    {LUKS2_ERR_REQUIREMENT, "LUKS2 requirement '{span}' is not supported"},
    {LUKS2_ERR_SEGMENT_TYPE, "LUKS2 segment type '{span}' is not supported"},
    {LUKS2_ERR_SEGMENTS, "LUKS2 images with {0} data segments are not supported"},
    {LUKS2_ERR_NO_DIGEST, "The LUKS2 header has no digest for its data segment"},
    {LUKS2_ERR_INTEGRITY, "LUKS2 images with integrity protection are not supported"},
    {LUKS2_ERR_SECTOR, "LUKS2 sector size {0} is not supported"},
    {LUKS2_ERR_KDF, "Key derivation '{span}' is not supported"},
    {LUKS2_ERR_SLOT, "Keyslot {0} is corrupted"},
    {LUKS2_ERR_COST, "Keyslot {0} needs {1} KiB of memory in {2} passes to unlock, which is more "
                     "than is allowed"},
    {LUKS2_ERR_ITERATIONS,
     "Keyslot {0} needs {1} iterations to unlock, which is more than is allowed"},
    {LUKS2_ERR_BEYOND, "The LUKS2 data segment ends past the end of the file"},

    {LUKS_ERR_KEYSLOT_RANGE, "Invalid keyslot {0} specified, must be between 0 and 7"},
    {LUKS_ERR_KEYSLOT_ACTIVE, "Refusing to overwrite active keyslot {0} - please erase it first"},
    {LUKS_ERR_KEYSLOTS_FULL, "Can't add a keyslot - all keyslots are in use"},
    {LUKS_ERR_LAST_MATCH,
     "All the active keyslots match the (old) password that was given and erasing them will erase "
     "all the data in the image irreversibly - refusing operation"},
    {LUKS_ERR_LAST_SLOT, "Attempt to erase the only active keyslot {0} which will erase all the "
                         "data in the image irreversibly - refusing operation"},
    {LUKS_ERR_NOTHING_NAMED, "To erase keyslot(s), either explicit keyslot index or the password "
                             "currently contained in them must be given"},
    {LUKS_ERR_OLD_MISMATCH,
     "Given keyslot {0} doesn't contain the given old password for erase operation"},
    {LUKS_ERR_NO_MATCH, "No keyslots match given (old) password for erase operation"},
    {LUKS_ERR_KEYSLOT_ERASED, "Given keyslot {0} is already erased (inactive) "},
};

void wording_register_luks(void)
{
    wording_register(rows, G_N_ELEMENTS(rows));
}
