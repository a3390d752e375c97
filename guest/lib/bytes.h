/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Borrowed bytes with their bounds, and a cursor that decodes fields in order.
 *
 * Format code reads structures only through these: no casts, no pointer arithmetic. A cursor that
 * ran out gives zeros and stays failed; cur_ok is asked once, after a header's last field.
 */
#ifndef INSTAR_GUEST_LIB_BYTES_H
#define INSTAR_GUEST_LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes, never freed by the reader. */
struct span {
    const uint8_t *data;
    size_t len;
};

/* A position in a span, and whether it ever ran out. */
struct cursor {
    struct span bytes;
    size_t pos;
    bool failed;
};

static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){.data = data, .len = len};
}

/* False, and *out untouched, unless [offset, offset + len) lies inside s. */
static inline bool span_sub(struct span s, uint64_t offset, uint64_t len, struct span *out)
{
    if (offset > s.len || len > s.len - offset)
        return false;
    *out = (struct span){.data = s.data + offset, .len = (size_t)len};
    return true;
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_equal_text(struct span a, const char *text)
{
    return span_equal(a, span_of(text, strlen(text)));
}

static inline bool span_starts_with(struct span a, const char *text)
{
    size_t len = strlen(text);
    return a.len >= len && memcmp(a.data, text, len) == 0;
}

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

static inline void store_le16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline struct cursor cur_of(struct span bytes)
{
    return (struct cursor){.bytes = bytes};
}

/* The next n bytes, or NULL once the cursor has run out. */
static inline const uint8_t *cur_take(struct cursor *c, size_t n)
{
    if (c->failed || n > c->bytes.len - c->pos) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->bytes.data + c->pos;
    c->pos += n;
    return p;
}

static inline uint8_t cur_u8(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 1);
    return p ? *p : 0;
}

static inline uint16_t cur_be16(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 2);
    return p ? load_be16(p) : 0;
}

static inline uint32_t cur_be32(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    return p ? load_be32(p) : 0;
}

static inline uint64_t cur_be64(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 8);
    return p ? load_be64(p) : 0;
}

static inline uint16_t cur_le16(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 2);
    return p ? load_le16(p) : 0;
}

static inline uint32_t cur_le32(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    return p ? load_le32(p) : 0;
}

static inline uint64_t cur_le64(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 8);
    return p ? load_le64(p) : 0;
}

/* A sub-span of n bytes; empty once the cursor has run out. */
static inline struct span cur_bytes(struct cursor *c, size_t n)
{
    const uint8_t *p = cur_take(c, n);
    return p ? span_of(p, n) : span_of(NULL, 0);
}

static inline void cur_skip(struct cursor *c, size_t n)
{
    (void)cur_take(c, n);
}

static inline size_t cur_left(const struct cursor *c)
{
    return c->bytes.len - c->pos;
}

static inline bool cur_ok(const struct cursor *c)
{
    return !c->failed;
}

#endif
