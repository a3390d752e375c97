/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cell answers, as host structs that can be relied on.
 *
 * The cell is assumed to be taken over by the image. protobuf-c has checked that an answer is well
 * formed; here every value is checked against what it may be: strings are bounded and of their
 * alphabet, enumerations known, sizes and offsets in range, lists short. An answer that breaks a
 * rule is a CELL_ERROR_PROTOCOL; an error that the cell reports is a COMPAT_ERROR_IMAGE with
 * qemu's sentence.
 */
#ifndef INSTAR_SRC_WIRE_DECODE_H
#define INSTAR_SRC_WIRE_DECODE_H

#include <glib.h>
#include <stdint.h>

#include "crypto/sector_cipher.h"
#include "guest/abi/cell.pb-c.h"
#include "guest/abi/hypercall.h"
#include "guest/abi/info.pb-c.h"
#include "guest/abi/map.pb-c.h"
#include "guest/abi/open.pb-c.h"

/* Bounds on what an image can make the host hold. */
#define WIRE_NAME_MAX      4096u /* bytes of a file name or of a snapshot's name */
#define WIRE_FORMAT_MAX    32u
#define WIRE_REFS_MAX      4096u
#define WIRE_WARNINGS_MAX  4u
#define WIRE_OPTIONS_MAX   256u
#define WIRE_SNAPSHOTS_MAX 65536u
#define WIRE_BITMAPS_MAX   65535u
#define WIRE_EXTENTS_MAX   2048u
#define WIRE_CLUSTER_MAX   (1ull << 32)

/*
 * Sets *out to a protocol error that says which field is wrong.
 *
 * returns: FALSE, always
 */
gboolean wire_refuse(GError **out, const char *what);

/*
 * Turns the error field of a reply into a GError.
 *
 * in:      error may be NULL, which means success; name: of the image, for the sentence, may be
 *          NULL
 * returns: TRUE when there is no error
 */
gboolean wire_check_error(const Abi__Error *error, const char *name, GError **out);

/* The code behind an error that wire_check_error set, 0 for any other error. */
uint32_t wire_error_code(const GError *error);

/* The errno by which stock would name the failure; EIO when nothing says better. */
int wire_error_errno(const GError *error);

/*
 * Checks a format or protocol name: 1 .. WIRE_FORMAT_MAX characters of a-z, 0-9, '-', '_', '+'.
 */
gboolean wire_is_word(const char *text);

/*
 * Copies bytes from the image that are to be shown: NULs and what follows are dropped.
 *
 * returns: newly allocated, NULL when longer than max
 */
char *wire_text(const ProtobufCBinaryData *bytes, size_t max);

/* A name that an image gives for another file. Strings are owned. */
struct wire_ref {
    Abi__Role role; /* never ROLE_NONE */
    char *text;     /* as stored, for display */
    char *format;   /* NULL: probe */
    char *protocol; /* NULL: the name could not be parsed */
    char *path;     /* NULL: none; never empty */
    gboolean json;
    gboolean has_slice;
    uint64_t slice_offset, slice_size;
    uint32_t index;
    /* A json: name's "key-secret" (luks), "encrypt.key-secret" and "encrypt.format"; NULL: none. */
    char *key_secret, *encrypt_secret, *encrypt_format;
};

struct wire_open {
    uint32_t node;
    char *format;
    uint64_t virtual_size, cluster_size; /* bytes */
    struct wire_ref *refs;
    size_t nr_refs;
    gboolean encrypted, dirty, untidy, has_snapshots;
    uint64_t inside_offset, inside_size; /* the disk in an archive; 0: no archive */
    struct crypto_spec *cipher;          /* of an image that was unlocked; NULL: none */
    uint64_t iv_base;                    /* bytes added to an offset before it gives an IV */
    gboolean cipher_by_place; /* IVs count from the start of the blob, not of the virtual disk */
    uint64_t payload_bytes;   /* of the blob before what is encrypted */
};

/*
 * Decodes the answer to OPEN.
 *
 * in:      name: of the image, for errors
 * out:     *out, to be cleared with wire_open_clear; untouched on failure
 */
gboolean wire_decode_open(const Abi__OpenReply *reply, const char *name, struct wire_open *out,
                          GError **error);
void wire_open_clear(struct wire_open *open);

/*
 * Decodes the answer to LINK, which may change what the node that was given a child is.
 *
 * in:      name: of the child, for errors
 * out:     sizes of *open
 */
gboolean wire_decode_link(const Abi__LinkReply *reply, const char *name, struct wire_open *open,
                          GError **error);

/*
 * Decodes the answer to MAP.
 *
 * in:      start, length: the range asked for
 * out:     *out_nr records to take, *out_next where to go on; *out_failed the error that belongs to
 *          offset *out_next, to be reported after the records, or NULL
 * returns: FALSE on an answer that is not allowed, such as one that makes no progress
 */
gboolean wire_decode_map(const Abi__MapReply *reply, const char *name, uint64_t start,
                         uint64_t length, uint32_t *out_nr, uint64_t *out_next, GError **out_failed,
                         GError **error);

/*
 * Checks records of MAP: in order, without gaps, covering [start, next), each sound in itself.
 *
 * in:      has_blob tells whether the host gave the cell a blob of that id
 */
gboolean wire_check_extents(const struct cell_extent *records, uint32_t nr, uint64_t start,
                            uint64_t next, unsigned nr_layers,
                            gboolean (*has_blob)(void *user, uint32_t blob), void *user,
                            GError **error);

struct image_info;

/*
 * Decodes the answer to INFO into the part of *info that the cell knows. The caller has set the
 * format.
 */
gboolean wire_decode_info(const Abi__InfoReply *reply, struct image_info *info, GError **error);

#endif
