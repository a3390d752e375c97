/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZVN, the blocks of LZFSE streams that hold little: literals and copies by byte codes.
 * source: the format as publicly described.
 *
 *   LLMMMDDD DDDDDDDD           L literals, M + 3 bytes from D back       (DDD is neither 110 nor
 * 111) 101LLMMM DDDDDDMM DDDDDDDD  the same, larger: the low bits of M in the second byte LLMMM111
 * DDDDDDDD DDDDDDDD  the same, farther: D is little-endian LLMMM110                    the same,
 * from as far back as before      (L is not 0) 1111MMMM, 11110000 MMMMMMMM no literals, M or M + 16
 * bytes from as far back as before 1110LLLL, 11100000 LLLLLLLL literals alone, L or L + 16 00000110
 * end; 00001110 and 00010110 nothing
 */
#include "guest/codec/lzfse.h"

struct code {
    size_t literals, match, distance;
    bool ends;
};

static bool is_undefined(unsigned op)
{
    return (op >= 0x70 && op <= 0x7f) || (op >= 0xd0 && op <= 0xdf) ||
           (op < 0x40 && (op & 7) == 6 && op != 0x06 && op != 0x0e && op != 0x16);
}

/* A code of the form LLMMMxxx. */
static void read_small(struct cursor *c, unsigned op, struct code *code)
{
    if (op < 0x40 && (op & 7) == 6) {
        code->ends = op == 0x06;
        return;
    }
    code->literals = op >> 6;
    code->match = (op >> 3 & 7) + 3;
    if ((op & 7) == 7)
        code->distance = cur_le16(c);
    else if ((op & 7) != 6)
        code->distance = (op & 7) << 8 | cur_u8(c);
}

static bool read_code(struct cursor *c, struct code *code)
{
    unsigned op = cur_u8(c), more;

    code->literals = code->match = 0;
    code->ends = false;
    if (!cur_ok(c) || is_undefined(op))
        return false;
    if (op >= 0xf0) {
        code->match = op & 15 ? op & 15 : cur_u8(c) + 16u;
    } else if (op >= 0xe0) {
        code->literals = op & 15 ? op & 15 : cur_u8(c) + 16u;
    } else if (op >= 0xa0 && op < 0xc0) {
        more = cur_le16(c);
        code->literals = op >> 3 & 3;
        code->match = ((op & 7) << 2 | (more & 3)) + 3;
        code->distance = more >> 2;
    } else {
        read_small(c, op, code);
    }
    return cur_ok(c);
}

bool lzvn_block(struct span in, struct lzfse_out *out, size_t nr_bytes)
{
    struct cursor c = cur_of(in);
    struct code code = {0};
    size_t end = out->at + nr_bytes;

    while (read_code(&c, &code)) {
        struct span literals = cur_bytes(&c, code.literals);

        if (code.ends)
            return out->at == end;
        if (!cur_ok(&c) || !lzfse_literals(out, literals) ||
            !lzfse_match(out, code.distance, code.match))
            return false;
    }
    return false;
}
