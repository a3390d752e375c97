/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling strings of messages. What is put in is a copy from malloc, as protobuf-c frees it; text
 * that must be UTF-8 in the message is ours, bytes from an image go into `bytes` fields only.
 */
#ifndef INSTAR_GUEST_FORMATS_MESSAGE_H
#define INSTAR_GUEST_FORMATS_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

#include "guest/lib/bytes.h"

/* False when out of memory; an empty span leaves the field empty. */
static inline bool message_set_bytes(ProtobufCBinaryData *field, struct span bytes)
{
    if (bytes.len == 0)
        return true;
    field->data = malloc(bytes.len);
    if (!field->data)
        return false;
    memcpy(field->data, bytes.data, bytes.len);
    field->len = bytes.len;
    return true;
}

static inline bool message_set_span(char **field, struct span text)
{
    char *copy;

    if (text.len == 0)
        return true;
    copy = malloc(text.len + 1);
    if (!copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    *field = copy;
    return true;
}

static inline bool message_set_text(char **field, const char *text)
{
    return message_set_span(field, span_of(text, strlen(text)));
}

#endif
