# SPDX-License-Identifier: Apache-2.0
"""Encoders of LZFSE, LZVN and ADC, as simple as they can be: what they make is
right, and shows every kind of code; it is not small."""

import struct

# ---- finding matches ----


def split(data, longest, farthest):
    """Yields (literals, match length, distance): greedy, by a table of the last
    place of each three bytes."""
    seen, at, start = {}, 0, 0
    while at < len(data):
        key = data[at : at + 3]
        place = seen.get(key)
        seen[key] = at
        if len(key) < 3 or place is None or at - place > farthest:
            at += 1
            continue
        length = 3
        while at + length < len(data) and length < longest and data[place + length] == data[at + length]:
            length += 1
        yield data[start:at], length, at - place
        at += length
        start = at
    yield data[start:], 0, 0


# ---- ADC ----


def adc(data):
    out, at = b"", 0
    for literals, length, distance in split(data, 67, 65536):
        at += len(literals) + length
        if length == 3 and distance > 1024:  # there is no code for it
            literals, length = literals + data[at - 3 : at], 0
        for i in range(0, len(literals), 128):
            some = literals[i : i + 128]
            out += bytes([0x80 | len(some) - 1]) + some
        if length and length <= 18 and distance <= 1024:
            out += bytes([length - 3 << 2 | distance - 1 >> 8, distance - 1 & 0xFF])
        elif length:
            out += bytes([0x40 | length - 4]) + struct.pack(">H", distance - 1)
    return out


# ---- LZVN ----


def lzvn_codes(data):
    out, before = b"", 0
    for literals, length, distance in split(data, 400, 65535):
        while len(literals) > 3:
            some, literals = literals[:271], literals[271:]
            code = bytes([0xE0 | len(some)]) if len(some) < 16 else bytes([0xE0, len(some) - 16])
            out += code + some
        lits, first = len(literals), min(length, 10)
        if length == 0:
            out += (bytes([0xE0 | lits]) if lits else b"") + literals
            continue
        if distance == before and lits == 0:
            first = 0
        elif distance == before:
            first = min(length, 4 if lits == 3 else 10)
            first = min(first, 8 if lits == 1 else 6 if lits == 2 else 4)
            out += bytes([lits << 6 | first - 3 << 3 | 6]) + literals
        elif distance < 0x600 and length <= 10 and (lits < 3 or length <= 4) and (lits != 1 or length < 9) and (lits != 2 or length < 7):
            out += bytes([lits << 6 | first - 3 << 3 | distance >> 8, distance & 0xFF]) + literals
        elif distance < 0x4000:
            first = min(length, 34)
            more = distance << 2 | first - 3 & 3
            out += bytes([0xA0 | lits << 3 | first - 3 >> 2]) + struct.pack("<H", more) + literals
        else:
            first = min(first, {0: 10, 1: 8, 2: 6, 3: 4}[lits])
            out += bytes([lits << 6 | first - 3 << 3 | 7]) + struct.pack("<H", distance) + literals
        before, length = distance, length - first
        while length:
            some = min(length, 271)
            out += bytes([0xF0 | some]) if some < 16 else bytes([0xF0, some - 16])
            length -= some
        out += b"\x0e" if len(out) % 7 == 0 else b""
    return out + b"\x06" + bytes(7)


def lzvn_block(data):
    codes = lzvn_codes(data)
    return b"bvxn" + struct.pack("<II", len(data), len(codes)) + codes


# ---- FSE ----

L_BITS = [0] * 16 + [2, 3, 5, 8]
M_BITS = [0] * 16 + [3, 5, 8, 11]
D_BITS = [i // 4 for i in range(64)]


def bases(bits):
    out, base = [], 0
    for b in bits:
        out.append(base)
        base += 1 << b
    return out


def symbol_of(value, bits):
    base = bases(bits)
    symbol = max(i for i in range(len(bits)) if base[i] <= value)
    return symbol, value - base[symbol], bits[symbol]


def frequencies(symbols, nr_symbols, states):
    """How many states each symbol gets: all of them, at least one each."""
    counts = [0] * nr_symbols
    for s in symbols:
        counts[s] += 1
    total = max(1, len(symbols))
    made = [max(1, c * states // total) if c else 0 for c in counts]
    while sum(made) > states:
        made[max(range(nr_symbols), key=lambda i: made[i])] -= 1
    if sum(made) < states:
        made[max(range(nr_symbols), key=lambda i: made[i])] += states - sum(made)
    return made


class Coder:
    """The states of one kind of symbol, for writing backwards."""

    def __init__(self, freq, states):
        self.entry = {}  # (symbol, next state) -> (state, bits, value)
        at = 0
        for symbol, f in enumerate(freq):
            if f == 0:
                continue
            k = f.bit_length()
            k = states.bit_length() - k
            short = (2 * states >> k) - f
            for j in range(f):
                bits, delta = (k, ((f + j) << k) - states) if j < short else (k - 1, (j - short) << (k - 1))
                for value in range(1 << bits):
                    self.entry[symbol, delta + value] = (at, bits, value)
                at += 1

    def write(self, out, symbol, state):
        """The state that gives the symbol and then `state`."""
        before, bits, value = self.entry[symbol, state]
        out.append((value, bits))
        return before


def pack(fields):
    """Bits that are read from the last on: (value, bits) in order of writing."""
    number, at = 0, 0
    for value, bits in fields:
        number |= value << at
        at += bits
    return number.to_bytes((at + 7) // 8, "little"), -at % 8


def packed_frequencies(freq):
    number = at = 0
    small = {0: (0, 2), 1: (2, 2), 2: (1, 3), 3: (5, 3), 4: (3, 5), 5: (11, 5), 6: (19, 5), 7: (27, 5)}
    for f in freq:
        if f < 8:
            code, bits = small[f]
        elif f < 24:
            code, bits = 7 | (f - 8) << 4, 8
        else:
            code, bits = 15 | (f - 24) << 4, 14
        number |= code << at
        at += bits
    return number.to_bytes((at + 7) // 8, "little")


def fse_block(data):
    literals, rows, before = b"", [], 0
    for some, length, distance in split(data, 2359, 262139):
        while len(some) > 315:
            literals, some = literals + some[:315], some[315:]
            rows.append((315, 0, 1 if before == 0 else 0))
            before = before or 1
        literals += some
        rows.append((len(some), length, 0 if distance in (0, before) and before else max(distance, 1)))
        before = distance or before or 1
    used = len(literals)
    literals += b"\0" * (-used % 4)
    codes = [[symbol_of(row[i], bits) for row in rows] for i, bits in enumerate((L_BITS, M_BITS, D_BITS))]
    freqs = [frequencies([c[0] for c in col], nr, st) for col, nr, st in zip(codes, (20, 20, 64), (64, 64, 256))]
    u_freq = frequencies(literals, 256, 1024)
    coder, fields, states = Coder(u_freq, 1024), [], [0] * 4
    for i in reversed(range(len(literals))):
        states[i % 4] = coder.write(fields, literals[i], states[i % 4])
    literal_bytes, literal_unused = pack(fields)
    coders, fields, lmd = [Coder(f, s) for f, s in zip(freqs, (64, 64, 256))], [], [0] * 3
    for i in reversed(range(len(rows))):
        for kind in (2, 1, 0):
            symbol, extra, bits = codes[kind][i]
            fields.append((extra, bits))
            lmd[kind] = coders[kind].write(fields, symbol, lmd[kind])
    match_bytes, match_unused = pack(fields)
    table = packed_frequencies(freqs[0] + freqs[1] + freqs[2] + u_freq)
    words = (
        len(literals) | len(literal_bytes) << 20 | len(rows) << 40 | 7 - literal_unused << 60,
        states[0] | states[1] << 10 | states[2] << 20 | states[3] << 30 | len(match_bytes) << 40 | 7 - match_unused << 60,
        32 + len(table) | lmd[0] << 32 | lmd[1] << 42 | lmd[2] << 52,
    )
    return b"bvx2" + struct.pack("<IQQQ", len(data), *words) + table + literal_bytes + match_bytes


def raw_block(data):
    return b"bvx-" + struct.pack("<I", len(data)) + data


def lzfse(data):
    """Blocks of each kind by turns."""
    out, kinds = b"", (fse_block, lzvn_block, raw_block)
    for i in range(0, len(data), 16384):
        out += kinds[i // 16384 % 3](data[i : i + 16384])
    return out + b"bvx$"
