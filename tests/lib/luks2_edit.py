#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes members of a LUKS2 header's metadata and puts the checksums right again.

    luks2_edit.py [--copy first|second|both] [--seqid N] [--text JSON] [--no-checksum]
                  FILE [PATH=JSON ...]

PATH names a member with dots (keyslots.0.kdf.memory); an empty value takes it
away. --text puts other text in the place of all of it.
source: LUKS2 On-Disk Format Specification 1.1.1, sections 2 and 3.
"""
import argparse
import hashlib
import json
import struct

BINARY = 4096


def set_member(metadata, path, value):
    *parents, last = path.split(".")
    for parent in parents:
        metadata = metadata.setdefault(parent, {})
    if value == "":
        del metadata[last]
    else:
        metadata[last] = json.loads(value)


def edit(header, args):
    text = header[BINARY:].split(b"\0", 1)[0]
    if args.text is not None:
        text = args.text.encode()
    elif args.changes:
        metadata = json.loads(text)
        for change in args.changes:
            set_member(metadata, *change.split("=", 1))
        text = json.dumps(metadata, separators=(",", ":")).encode()
    room = len(header) - BINARY
    assert len(text) <= room, "the JSON does not fit"
    header[BINARY:] = text.ljust(room, b"\0")
    if args.seqid is not None:
        struct.pack_into(">Q", header, 16, args.seqid)
    if args.no_checksum:
        return
    header[448:512] = bytes(64)
    name = bytes(header[72:104]).split(b"\0", 1)[0].decode()
    digest = hashlib.new(name, header).digest()
    header[448 : 448 + len(digest)] = digest


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--copy", choices=["first", "second", "both"], default="both")
    parser.add_argument("--seqid", type=int)
    parser.add_argument("--text")
    parser.add_argument("--no-checksum", action="store_true")
    parser.add_argument("file")
    parser.add_argument("changes", nargs="*")
    args = parser.parse_args()
    with open(args.file, "r+b") as image:
        (size,) = struct.unpack_from(">Q", image.read(512), 8)
        for name, offset in (("first", 0), ("second", size)):
            if args.copy not in (name, "both"):
                continue
            image.seek(offset)
            header = bytearray(image.read(size))
            edit(header, args)
            image.seek(offset)
            image.write(header)


main()
