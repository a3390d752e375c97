/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/lib/utf16.h"

#define HIGH_FIRST  0xd800u
#define LOW_FIRST   0xdc00u
#define LOW_LAST    0xdfffu
#define ASTRAL      0x10000u
#define UNICODE_MAX 0x10ffffu

static uint16_t load_unit(const uint8_t *p, bool big_endian)
{
    return big_endian ? load_be16(p) : load_le16(p);
}

static void store_unit(uint8_t *p, bool big_endian, uint32_t unit)
{
    if (big_endian)
        store_be16(p, (uint16_t)unit);
    else
        store_le16(p, (uint16_t)unit);
}

/* Bytes that a code point takes in UTF-8. */
static size_t width_of(uint32_t point)
{
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < ASTRAL ? 3 : 4;
}

static void encode(uint32_t point, size_t width, uint8_t *out)
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = width; i-- > 1; point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3f));
    out[0] = (uint8_t)(lead[width] | point);
}

bool utf16_to_utf8(struct span bytes, bool big_endian, uint8_t *out, size_t max, size_t *out_len)
{
    size_t used = 0;

    for (size_t i = 0; bytes.len - i >= 2; i += 2) {
        uint32_t point = load_unit(bytes.data + i, big_endian);
        size_t width;

        if (point == 0)
            break;
        if (point >= LOW_FIRST && point <= LOW_LAST)
            return false;
        if (point >= HIGH_FIRST && point < LOW_FIRST) {
            uint32_t low = bytes.len - i >= 4 ? load_unit(bytes.data + i + 2, big_endian) : 0;

            if (low < LOW_FIRST || low > LOW_LAST)
                return false;
            point = ASTRAL + ((point - HIGH_FIRST) << 10) + (low - LOW_FIRST);
            i += 2;
        }
        width = width_of(point);
        if (width > max - used)
            return false;
        encode(point, width, out + used);
        used += width;
    }
    *out_len = used;
    return true;
}

/* The code point at *i, which moves behind it; false if there is none. */
static bool decode(struct span text, size_t *i, uint32_t *out)
{
    uint8_t lead = text.data[*i];
    size_t width = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t point = width == 1 ? lead : lead & (0x7fu >> width);

    if (width == 0 || lead > 0xf4 || width > text.len - *i)
        return false;
    for (size_t k = 1; k < width; k++) {
        if ((text.data[*i + k] & 0xc0) != 0x80)
            return false;
        point = point << 6 | (text.data[*i + k] & 0x3f);
    }
    *i += width;
    *out = point;
    return width_of(point) == width && point <= UNICODE_MAX &&
           (point < HIGH_FIRST || point > LOW_LAST);
}

bool utf8_to_utf16(struct span text, bool big_endian, uint8_t *out, size_t max, size_t *out_len)
{
    size_t used = 0;

    for (size_t i = 0; i < text.len;) {
        uint32_t point;
        size_t width;

        if (!decode(text, &i, &point))
            return false;
        width = point < ASTRAL ? 2 : 4;
        if (width > max - used)
            return false;
        if (width == 2) {
            store_unit(out + used, big_endian, point);
        } else {
            store_unit(out + used, big_endian, HIGH_FIRST + ((point - ASTRAL) >> 10));
            store_unit(out + used + 2, big_endian, LOW_FIRST + ((point - ASTRAL) & 0x3ff));
        }
        used += width;
    }
    *out_len = used;
    return true;
}
