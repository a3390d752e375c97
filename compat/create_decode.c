/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creation options as typed values, for the formats whose planner is built.
 */
#include <string.h>

#include "compat/create_private.h"
#include "compat/wording.h"

static const char *text_of(const struct create_opts *opts, const char *key)
{
    const struct keyval_slot *slot = create_opts_slot(opts, key);

    return slot != NULL ? slot->text : NULL;
}

static uint64_t number_of(const struct create_opts *opts, const char *key)
{
    const struct keyval_slot *slot = create_opts_slot(opts, key);

    return slot != NULL ? slot->number : 0;
}

gboolean prealloc_parse(const char *word, enum prealloc_mode *out)
{
    static const char *const words[] = {
        [PREALLOC_OFF] = "off",
        [PREALLOC_METADATA] = "metadata",
        [PREALLOC_FALLOC] = "falloc",
        [PREALLOC_FULL] = "full",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum prealloc_mode)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean refuse_word(const char *parameter, const char *word, GError **error)
{
    return wording_fail(error, "Parameter '%s' does not accept value '%s'", parameter, word);
}

static gboolean refuse_value(const char *word, GError **error)
{
    return wording_fail(error, "invalid parameter value: %s", word);
}

/* ---- the file ---- */

/* A key of the protocol's table that the format does not have itself: it is meant for the file. */
static const struct keyval_slot *file_slot(const struct create_opts *opts, const char *key)
{
    const struct keyval_slot *slot = create_opts_slot(opts, key);

    if (slot == NULL || opts->format == opts->protocol) {
        return slot;
    }
    for (const struct keyval_def *def = opts->format->create; def->name != NULL; def++) {
        if (slot->def == def) {
            return NULL;
        }
    }
    return slot;
}

/* What must exist already can promise nothing, and says so in its own words. */
static gboolean check_file_preallocation(const struct create_opts *opts, enum prealloc_mode mode,
                                         const char *word, GError **error)
{
    if (mode != PREALLOC_OFF && (strcmp(opts->protocol->name, "host_device") == 0 ||
                                 strcmp(opts->protocol->name, "nbd") == 0)) {
        return wording_fail(error, "Unsupported preallocation mode '%s'", word);
    }
    return mode != PREALLOC_METADATA ||
           wording_fail(error, "Unsupported preallocation mode: metadata");
}

gboolean create_opts_file(const struct create_opts *opts, struct create_file *out, GError **error)
{
    struct create_file file = {.extent_size_hint_bytes = 1 << 20};
    const struct keyval_slot *slot;
    const char *word = NULL;

    create_opts_size(opts, &file.size_bytes);
    slot = file_slot(opts, "nocow");
    file.nocow = slot != NULL && slot->number != 0;
    slot = file_slot(opts, "preallocation");
    if (slot != NULL && slot->text != NULL) {
        word = slot->text;
        if (!prealloc_parse(word, &file.preallocation)) {
            return refuse_value(word, error);
        }
    }
    slot = file_slot(opts, "extent_size_hint");
    if (slot != NULL && slot->given) {
        file.have_extent_size_hint = TRUE;
        file.extent_size_hint_bytes = slot->number;
    }
    if (file.extent_size_hint_bytes > UINT32_MAX) {
        return wording_fail(error, "Extent size hint is too large");
    }
    if (!check_file_preallocation(opts, file.preallocation, word, error)) {
        return FALSE;
    }
    *out = file;
    return TRUE;
}

/* ---- qcow2 ---- */

/* measure knows the numbers alone. */
static gboolean decode_compat(const struct create_opts *opts, unsigned *out, GError **error)
{
    const char *word = text_of(opts, "compat");
    gboolean names = !opts->measure;

    if (word == NULL || strcmp(word, "1.1") == 0 || (names && strcmp(word, "v3") == 0)) {
        *out = 3;
        return TRUE;
    }
    if (strcmp(word, "0.10") == 0 || (names && strcmp(word, "v2") == 0)) {
        *out = 2;
        return TRUE;
    }
    if (opts->measure) {
        return wording_fail(error, "Invalid compatibility level: '%s'", word);
    }
    return refuse_word("version", word, error);
}

static gboolean any_encrypt_key(const struct create_opts *opts)
{
    for (size_t i = 0; i < opts->nr; i++) {
        if (opts->slots[i].given && g_str_has_prefix(opts->slots[i].def->name, "encrypt.")) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean decode_encryption(const struct create_opts *opts, const char **out, GError **error)
{
    const char *format = text_of(opts, "encrypt.format"), *word = text_of(opts, "encryption");

    /* measure: nothing else takes room, so that stock does not look. */
    if (opts->measure && (format == NULL || strcmp(format, "luks") != 0)) {
        *out = NULL;
        return TRUE;
    }
    /* A switch elsewhere, a word here: stock knows only these two. */
    if (word != NULL && strcmp(word, "on") != 0 && strcmp(word, "off") != 0) {
        return refuse_word("format", word, error);
    }
    if (number_of(opts, "encryption") != 0) {
        format = "aes";
    }
    if (format == NULL && any_encrypt_key(opts)) {
        return wording_fail(error, "Parameter 'encrypt.format' is missing");
    }
    if (format != NULL && strcmp(format, "aes") != 0 && strcmp(format, "luks") != 0) {
        return refuse_word("format", format, error);
    }
    *out = format;
    return TRUE;
}

static gboolean decode_preallocation(const struct create_opts *opts, enum prealloc_mode *out,
                                     GError **error)
{
    const char *word = text_of(opts, "preallocation");

    if (word == NULL || prealloc_parse(word, out)) {
        return TRUE;
    }
    return opts->measure ? refuse_value(word, error) : refuse_word("preallocation", word, error);
}

/* measure never looks at the compression type, whatever it says. */
static gboolean decode_compression(const struct create_opts *opts, enum qcow2_compression *out,
                                   GError **error)
{
    const char *word = text_of(opts, "compression_type");

    if (word == NULL || strcmp(word, "zlib") == 0) {
        *out = QCOW2_ZLIB;
    } else if (strcmp(word, "zstd") == 0) {
        *out = QCOW2_ZSTD;
    } else if (!opts->measure) {
        return refuse_word("compression-type", word, error);
    }
    return TRUE;
}

/* measure looks at the cluster size first; create leaves it to the planner, which comes last. */
static gboolean check_measure_cluster(const struct create_opts *opts, GError **error)
{
    uint64_t bytes = number_of(opts, "cluster_size");

    if (opts->measure && (bytes < 512 || bytes > 2 << 20 || (bytes & (bytes - 1)) != 0)) {
        return wording_fail(error, "Cluster size must be a power of two between 512 and 2048k");
    }
    return TRUE;
}

static gboolean check_encryption_alias(const struct create_opts *opts, GError **error)
{
    const char *word = text_of(opts, "encryption");

    if (!opts->measure && word != NULL && strcmp(word, "off") != 0 &&
        text_of(opts, "encrypt.format") != NULL) {
        return wording_fail(error,
                            "'encrypt.format' and its alias 'encryption' can't be used at the "
                            "same time");
    }
    return TRUE;
}

gboolean create_opts_encryption(const struct create_opts *opts, const char **out_format,
                                GError **error)
{
    return check_encryption_alias(opts, error) && decode_encryption(opts, out_format, error);
}

gboolean create_opts_backing_known(const struct create_opts *opts, GError **error)
{
    const char *name = create_opts_backing_fmt(opts);

    if (name == NULL || opts->measure || driver_find(name) != NULL) {
        return TRUE;
    }
    if (strcmp(opts->format->name, "qcow") == 0) {
        return wording_fail(error, "unrecognized backing format '%s'", name);
    }
    return refuse_word("backing-fmt", name, error);
}

gboolean create_opts_qcow2(const struct create_opts *opts, struct create_qcow2 *out, GError **error)
{
    struct create_qcow2 qcow2 = {
        .backing_file = create_opts_backing_file(opts),
        .backing_fmt = create_opts_backing_fmt(opts),
        .cluster_size_bytes = number_of(opts, "cluster_size"),
        .lazy_refcounts = number_of(opts, "lazy_refcounts") != 0,
        .refcount_bits = number_of(opts, "refcount_bits"),
        .extended_l2 = number_of(opts, "extended_l2") != 0,
        .data_file = text_of(opts, "data_file"),
        .data_file_raw = number_of(opts, "data_file_raw") != 0,
        .keep_data_file = number_of(opts, "keep_data_file") != 0,
    };

    create_opts_size(opts, &qcow2.size_bytes);
    if (opts->measure && qcow2.backing_file == NULL) {
        qcow2.backing_fmt = NULL;
    }
    if (!check_encryption_alias(opts, error) || !check_measure_cluster(opts, error) ||
        !decode_compat(opts, &qcow2.version, error) || !create_opts_backing_known(opts, error) ||
        !decode_encryption(opts, &qcow2.encrypt_format, error) ||
        !decode_preallocation(opts, &qcow2.preallocation, error) ||
        !decode_compression(opts, &qcow2.compression, error)) {
        return FALSE;
    }
    *out = qcow2;
    return TRUE;
}
