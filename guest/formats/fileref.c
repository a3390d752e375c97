/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing names found in images; see fileref.h for the forms.
 */
#include "guest/formats/fileref.h"

#include "guest/formats/format.h"
#include "guest/formats/json.h"
#include "guest/formats/message.h"
#include "guest/lib/arena.h"

#define LAYERS_MAX 8u

/* ---- json: names ---- */

struct collector {
    Abi__FileRef *ref;
    bool no_memory;
};

static bool collect_option(void *user, struct span key, struct span value)
{
    struct collector *c = user;
    Abi__Option *option = malloc(sizeof(*option));

    c->no_memory = true;
    if (!option)
        return false;
    abi__option__init(option);
    c->ref->option[c->ref->n_option++] = option;
    if (!message_set_span(&option->key, key) || !message_set_bytes(&option->value, value))
        return false;
    c->no_memory = false;
    return true;
}

/* The value of the option "file.file. ... .name" with `layer` times "file."; empty if there is none
 */
static struct span option_of(const Abi__FileRef *ref, unsigned layer, const char *name)
{
    for (size_t i = 0; i < ref->n_option; i++) {
        const Abi__Option *o = ref->option[i];
        struct span key = span_of(o->key, strlen(o->key));
        unsigned depth = 0;

        while (depth < layer && span_starts_with(key, "file.") &&
               span_sub(key, 5, key.len - 5, &key))
            depth++;
        if (depth == layer && span_equal_text(key, name))
            return span_of(o->value.data, o->value.len);
    }
    return span_of(NULL, 0);
}

/* Whether some option lies below `layer` times "file.", that is: the layer exists. */
static bool has_layer(const Abi__FileRef *ref, unsigned layer)
{
    for (size_t i = 0; i < ref->n_option; i++) {
        struct span key = span_of(ref->option[i]->key, strlen(ref->option[i]->key));
        unsigned depth = 0;

        while (depth < layer && span_starts_with(key, "file.") &&
               span_sub(key, 5, key.len - 5, &key))
            depth++;
        if (depth == layer)
            return true;
    }
    return false;
}

static bool parse_decimal(struct span text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || !mul_u64(value, 10, &value) ||
            !add_u64(value, text.data[i] - '0', &value))
            return false;
    }
    *out = value;
    return true;
}

/* A raw layer's window onto what is below it. */
static bool read_slice(Abi__FileRef *ref, unsigned layer)
{
    struct span offset = option_of(ref, layer, "offset");
    struct span size = option_of(ref, layer, "size");

    if (offset.len == 0 && size.len == 0)
        return true;
    if (ref->has_slice)
        return false; /* two windows inside each other */
    ref->has_slice = true;
    ref->slice_offset = 0;
    ref->slice_size = UINT64_MAX; /* to the end */
    return (offset.len == 0 || parse_decimal(offset, &ref->slice_offset)) &&
           (size.len == 0 || parse_decimal(size, &ref->slice_size));
}

static bool is_protocol_leaf(struct span driver)
{
    return span_equal_text(driver, "file") || span_equal_text(driver, "host_device");
}

/*
 * Follows the layers from the top down to the protocol, and fills format, slice, protocol, path.
 *
 * returns: false when the layers are not of a kind that a reference can say
 */
static bool follow_layers(Abi__FileRef *ref, bool *out_memory)
{
    struct span format = span_of(NULL, 0);
    unsigned layer = 0;

    *out_memory = true;
    for (;; layer++) {
        struct span driver = option_of(ref, layer, "driver");
        struct span filename = option_of(ref, layer, "filename");

        if (layer == LAYERS_MAX || !has_layer(ref, layer))
            return false;
        if (is_protocol_leaf(driver) || (driver.len == 0 && layer > 0 && filename.len)) {
            if (filename.len == 0)
                return false;
            *out_memory =
                message_set_bytes(&ref->path, filename) &&
                message_set_span(&ref->protocol, driver.len ? driver : span_of("file", 4));
            break;
        }
        if (span_equal_text(driver, "raw")) {
            if (!read_slice(ref, layer))
                return false;
            if (format.len == 0)
                format = driver;
            continue;
        }
        if (driver.len && format_by_name(driver) == NULL) {
            /* Another protocol: the host knows its options. */
            *out_memory = message_set_span(&ref->protocol, driver);
            break;
        }
        if (driver.len == 0 && layer > 0)
            return false;
        /* A format, or at the top none: probing. Below raw or another format it cannot be said. */
        if (format.len || layer > 0)
            return false;
        format = driver;
    }
    if (layer == 0)
        format = span_of("raw", 3); /* the protocol's own bytes */
    if (*out_memory && !ref->format[0])
        *out_memory = message_set_span(&ref->format, format);
    return *out_memory;
}

static enum guest_err parse_json(Abi__FileRef *ref, struct span text,
                                 struct guest_err_detail *detail)
{
    struct collector c = {.ref = ref};
    bool memory;

    ref->json = true;
    ref->option = arena_array(JSON_OPTIONS_MAX, sizeof(*ref->option));
    if (!ref->option)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    if (!json_flatten(text, collect_option, &c))
        return c.no_memory ? err_plain(detail, GUEST_ERR_NO_MEMORY) : GUEST_OK;
    if (!follow_layers(ref, &memory) && !memory)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    return GUEST_OK;
}

/* ---- plain names ---- */

/* The length of the protocol prefix without its colon; false when the name is a plain path. */
static bool has_protocol(struct span text, size_t *out_len)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '/')
            return false;
        if (text.data[i] == ':') {
            *out_len = i;
            return true;
        }
    }
    return false;
}

static enum guest_err parse_plain(Abi__FileRef *ref, struct span text,
                                  struct guest_err_detail *detail)
{
    struct span protocol = span_of("file", 4);
    struct span path = text;
    size_t len;
    bool ok;

    if (has_protocol(text, &len)) {
        (void)span_sub(text, 0, len, &protocol);
        (void)span_sub(text, len + 1, text.len - len - 1, &path);
        if (!is_protocol_leaf(protocol))
            path.len = 0;
    }
    ok = message_set_span(&ref->protocol, protocol) && message_set_bytes(&ref->path, path);
    return ok ? GUEST_OK : err_plain(detail, GUEST_ERR_NO_MEMORY);
}

enum guest_err fileref_parse(Abi__Role role, struct span text, struct span format,
                             Abi__FileRef **out, struct guest_err_detail *detail)
{
    static const char json_prefix[] = "json:";
    Abi__FileRef *ref = malloc(sizeof(*ref));
    struct span rest;
    enum guest_err err;

    if (!ref)
        return err_plain(detail, GUEST_ERR_NO_MEMORY);
    abi__file_ref__init(ref);
    ref->role = role;
    if (!message_set_bytes(&ref->text, text) || !message_set_span(&ref->format, format))
        err = err_plain(detail, GUEST_ERR_NO_MEMORY);
    else if (span_starts_with(text, json_prefix) &&
             span_sub(text, sizeof(json_prefix) - 1, text.len - (sizeof(json_prefix) - 1), &rest))
        err = parse_json(ref, rest, detail);
    else
        err = parse_plain(ref, text, detail);
    if (err) {
        abi__file_ref__free_unpacked(ref, NULL);
        return err;
    }
    *out = ref;
    return GUEST_OK;
}
