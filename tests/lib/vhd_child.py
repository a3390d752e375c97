#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes how a differencing VHD names its parent.

usage: vhd_child.py FILE FORM TEXT

FORM    W2ru, W2ku, MacX: a parent locator, the only one; name: the display
        name, no locator. The locator's bytes take the place of those there.
"""

import struct
import sys

import vhd_edit

LOCATORS, NAME = 576, 64


def main(path, form, text):
    with open(path, "r+b") as file:
        image = bytearray(file.read())
        header = struct.unpack_from(">Q", image, 16)[0]
        offset = struct.unpack_from(">Q", image, header + LOCATORS + 16)[0]
        image[header + NAME : header + LOCATORS + 192] = bytes(LOCATORS + 192 - NAME)
        if form == "name":
            data = text.encode("utf-16-be")
            image[header + NAME : header + NAME + len(data)] = data
        else:
            data = text.encode("utf-8" if form == "MacX" else "utf-16-le")
            image[offset : offset + len(data)] = data
            struct.pack_into(
                ">4sIIIQ", image, header + LOCATORS, form.encode(), 512, len(data), 0, offset
            )
        vhd_edit.seal(image, header, 1024, 36)
        file.seek(0)
        file.write(image)


main(*sys.argv[1:])
