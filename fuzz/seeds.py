#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes inputs for the harnesses to start from.

usage: seeds.py stock FOLDER     images and plans, made with stock qemu-img: what fuzz/corpus holds
       seeds.py hostile FOLDER   the hostile images of the test suite, with clusters of 512 bytes

Each writes FOLDER/<target>/<name>. Clusters are small, so that an input is a few KiB and a mutation
is likely to hit something that matters.
"""

import bz2
import os
import struct
import subprocess
import sys
import tempfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))

# Which call of fuzz_plan_write.c: step() counts modulo 5.
RESIZE, WRITER, LEASE, PLACE = 0, 1, 2, 3
DATA, ZERO, COMPRESSED = 0, 2, 4  # flags of PLACE


def run(*argv, folder):
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def stock_images(folder):
    """name -> bytes of small, sound images."""

    def image(name, options, size="200K", writes=("write -P 65 0 4k", "write -z 8k 4k"), more=()):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, name, size, folder=folder)
        for command in writes:
            run("qemu-io", "-f", "qcow2", "-c", command, name, folder=folder)
        for argv in more:
            run("qemu-img", *[word.replace("@", name) for word in argv], folder=folder)

    text = (b"forty-two is the answer, " * 500)[:8192]
    with open(os.path.join(folder, "raw"), "wb") as out:
        out.write(text.ljust(65536, b"\0"))
    run("qemu-img", "create", "-q", "-f", "raw", "base", "64K", folder=folder)
    small = "cluster_size=512,"
    image("plain", small + "compat=1.1")
    image("version-2", small + "compat=0.10", writes=["write -P 65 0 4k"])
    image("empty", small + "compat=1.1", writes=[])
    for bits in (1, 8, 64):
        image("refcount-%d" % bits, small + "refcount_bits=%d" % bits)
    image("cluster-4k", "cluster_size=4k")
    image("preallocated", small + "preallocation=metadata", size="20K", writes=[])
    image("lazy", small + "lazy_refcounts=on")
    image("backing", small + "backing_file=base,backing_fmt=raw", size="128K")
    image("json-backing", small + "backing_file=json:{\"driver\":\"raw\",,\"file.filename\":\"base\"},backing_fmt=raw",
          size="128K", writes=[])
    image("data-file", small + "data_file=data,data_file_raw=off")
    image("data-file-raw", small + "data_file=data-raw,data_file_raw=on", writes=["write -P 65 0 4k"])
    image("snapshots", small + "compat=1.1",
          more=[("snapshot", "-c", "one", "@"), ("resize", "-q", "@", "300K"), ("snapshot", "-c", "two", "@")])
    image("bitmaps", small + "compat=1.1",
          more=[("bitmap", "--add", "-g", "4096", "@", "b0"), ("bitmap", "--add", "--disable", "@", "b1")])
    for codec in ("zlib", "zstd"):
        run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "cluster_size=4k,compression_type=" + codec,
            "raw", "compressed-" + codec, folder=folder)
    skip = ("raw", "base", "data", "data-raw")
    return {name: read(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name not in skip}


def vhd_images():
    """Small VHDs: the images are mostly tables, the blocks are 512 bytes or absent."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (("dynamic", "subformat=dynamic"), ("fixed", "subformat=fixed,force_size=on")):
            run("qemu-img", "create", "-q", "-f", "vpc", "-o", options, name, "32K", folder=folder)
            made[name] = read(os.path.join(folder, name))
        edit = os.path.join(HERE, "..", "tests", "lib", "vhd_edit.py")
        blocks = os.path.join(folder, "blocks")
        for disk_type in (2, 3, 4):
            with open(blocks, "wb") as out:
                out.write(made["dynamic"][:2048] + bytes(8192) + made["dynamic"][:512])
            run(sys.executable, edit, blocks, "footer.disk_type=%d" % disk_type, "dynamic.block_size=4096",
                "dynamic.max_entries=40", "bat.0=4", "bat.1=13", folder=folder)
            made["blocks-%d" % disk_type] = read(blocks)
    return made


def vmdk_images(folder):
    """name -> bytes for fuzz_vmdk.c: what it is, then a small VMDK image or extent."""
    fab = os.path.join(HERE, "..", "tests", "lib", "vmdk_fab.py")
    ids = b"version=1\nCID=1\nparentCID=ffffffff\n"
    made = {}

    def fabricate(name, kind, how, *lies):
        path = os.path.join(folder, "vmdk-" + name)
        run(sys.executable, fab, kind, path, *lies, folder=folder)
        made[name] = bytes([how]) + read(path)

    made["descriptor"] = b"\0" + ids + b'createType="vmfs"\nRW 16 FLAT "a" 0\nRW 9 VMFS "b"\nRW 9 SPARSE "c"\n'
    made["parent"] = b"\0" + ids + b'createType="vmfs"\nparentFileNameHint="p.vmdk"\nRW 16 FLAT "a" 0\n'
    for name, lies in {
        "stream": ["header_grain_size=2", "footer_grain_size=2", "data_bytes=1024", "header_overhead=2",
                   "footer_overhead=2", "packed=1"],
        "stream-no-markers": ["footer_flags=1", "packed=1"],
        "stream-zero-grain": ["footer_flags=0x30005", "gte0=1", "packed=1"],
    }.items():
        fabricate(name, "stream", 0, *lies)
    fabricate("stream-extent", "stream", 1, "packed=1")
    fabricate("grains", "sparse", 0)
    for name, lies in {
        "shared": ["gte2=8", "rgte2=8"],
        "across": ["gte2=12", "rgte2=12"],
        "over-table": ["gte2=4", "rgte2=4", "gte3=1", "rgte3=1"],
        "one-table": ["gde1=6", "rgde1=4"],
        "copies": ["gte0=99999", "rgte1=7", "gde1=0", "rgte20=99999"],
    }.items():
        fabricate("grains-" + name, "sparse", 0, *lies)
    fabricate("cowd", "cowd", 1)
    fabricate("cowd-image", "cowd", 0, "ids=1")
    fabricate("sesparse", "sesparse", 2)
    path = os.path.join(folder, "sparse.vmdk")
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "64K", folder=folder)
    content = read(path)[: 28 * 512]
    made["sparse"] = b"\0" + content[:64] + struct.pack("<Q", 28) + content[72:]
    return made


def qed_images(folder):
    """name -> bytes of small QED images, sound and damaged."""
    made = {}

    def image(name, options, size="64K", writes=("write -P 65 0 4k", "write -z 8k 4k")):
        path = os.path.join(folder, "qed-" + name)
        run("qemu-img", "create", "-q", "-f", "qed", "-o", "cluster_size=4k,table_size=2" + options, path, size,
            folder=folder)
        for command in writes:
            run("qemu-io", "-f", "qed", "-c", command, path, folder=folder)
        made[name] = read(path)

    run("qemu-img", "create", "-q", "-f", "raw", "base", "64K", folder=folder)
    image("plain", "")
    image("empty", "", writes=[])
    image("backing", ",backing_file=base,backing_fmt=raw")
    image("two-tables", "", size="5M", writes=["write -P 65 0 4k", "write -P 66 4M 8k"])

    def poked(name, offset, value):
        content = bytearray(made["plain"])
        content[offset : offset + 8] = struct.pack("<Q", value)
        made[name] = bytes(content)

    poked("need-check", 16, 2)
    poked("l1-outside", 4096, 1 << 40)
    poked("l1-shares", 4096 + 8, struct.unpack_from("<Q", made["plain"], 4096)[0])
    return made


def parallels_images(folder):
    """name -> bytes of small Parallels images, sound and damaged."""
    path = os.path.join(folder, "parallels")
    run("qemu-img", "create", "-q", "-f", "parallels", "-o", "cluster_size=1k", path, "64K", folder=folder)
    made = {"empty": read(path)}
    run("qemu-io", "-f", "parallels", "-c", "write -P 65 1k 4k", path, folder=folder)
    made["plain"] = read(path)

    def poked(name, offset, value):
        content = bytearray(made["plain"])
        content[offset : offset + len(value)] = value
        made[name] = bytes(content)

    poked("old", 0, b"WithoutFreeSpace")
    poked("in-use", 44, b"Ynot")
    poked("twice", 72, made["plain"][68:72])
    poked("outside", 72, b"\xff")
    name = "00112233-4455-6677-8899-aabbccddeeff"
    for kind, words in (
        ("bitmaps", ["bitmap=%s:1:05" % name, "bitmap=1%s:2:1" % name[1:]]),
        ("bitmap-short", ["bitmap=%s:1:0" % name, "data_size=20"]),
        ("ext-unknown", ["feature=1:0:8:0011223344556677"]),
    ):
        with open(path, "wb") as f:
            f.write(made["plain"])
        run("python3", "-B", os.path.join(HERE, "../tests/lib/parallels_fab.py"), path, *words, folder=folder)
        made[kind] = read(path)
    return made


def qcow_images(folder):
    """name -> bytes of small images of qcow version 1."""
    made = {}

    def image(name, *argv):
        path = os.path.join(folder, "qcow-" + name)
        subprocess.run(["qemu-img", *argv, path], cwd=folder, check=False, stdout=subprocess.DEVNULL)
        if name in ("backing", "plain"):
            run("qemu-io", "-f", "qcow", "-c", "write -P 65 1k 4k", path, folder=folder)
        made[name] = read(path)

    with open(os.path.join(folder, "text"), "wb") as out:
        out.write(((b"forty-two is the answer, " * 700)[:16384]).ljust(65536, b"\0"))
    run("qemu-img", "create", "-q", "-f", "raw", "base", "64K", folder=folder)
    image("backing", "create", "-q", "-f", "qcow", "-b", "base", "-F", "raw")
    run("qemu-img", "create", "-q", "-f", "qcow", "qcow-plain", "64K", folder=folder)
    image("plain", "info")
    image("packed", "convert", "-c", "-f", "raw", "-O", "qcow", "text")
    image("aes", "convert", "--object", "secret,id=s,data=x", "-f", "raw", "-O", "qcow",
          "-o", "encrypt.format=aes,encrypt.key-secret=s", "text")
    return made


def packed_vhdx(image):
    """Input of fuzz_vhdx.c: the sectors of 4 KiB that hold something, and where they go."""
    image = image[: 10 << 20]
    places = [i for i in range(len(image) // 4096) if any(image[i * 4096 : i * 4096 + 4096])][:500]
    words = struct.pack("<%dH" % (len(places) + 1), 1, *places)
    return words.ljust(4096, b"\0") + b"".join(image[i * 4096 : i * 4096 + 4096] for i in places)


def vhdx_images():
    made = {}
    lib = os.path.join(HERE, "..", "tests", "lib")
    with tempfile.TemporaryDirectory() as folder:
        for name, options, how in (("dynamic", "block_size=1M", None), ("blocks", "block_size=1M", "write"),
                                   ("fixed", "block_size=1M,subformat=fixed,block_state_zero=off", None),
                                   ("log", "block_size=1M", "plain"), ("log-two", "block_size=1M", "two"),
                                   ("log-zero", "block_size=1M", "zero")):
            run("qemu-img", "create", "-q", "-f", "vhdx", "-o", options, name, "2M", folder=folder)
            if how:
                run("qemu-io", "-f", "vhdx", "-c", "write -P 1 0 4k", name, folder=folder)
            if how not in (None, "write"):
                run(sys.executable, os.path.join(lib, "vhdx_dirty.py"), name, how, folder=folder)
            made[name] = packed_vhdx(read(os.path.join(folder, name)))
    return made


def vdi_images(folder):
    """name -> bytes of VDI images, without their blocks: those read as zeros."""
    made = {}

    def image(name, options="static=off", size="5M", writes=("write -P 65 1M 1M", "write -P 66 4M 64k")):
        path = os.path.join(folder, "vdi-" + name)
        run("qemu-img", "create", "-q", "-f", "vdi", "-o", options, path, size, folder=folder)
        for command in writes:
            run("qemu-io", "-f", "vdi", "-c", command, path, folder=folder)
        made[name] = read(path)[:1024]

    image("plain")
    image("empty", writes=[])
    image("static", "static=on", size="5500K")
    image("full-map", size="128M")
    for name, at, value in (("shared", 516, 1), ("outside", 516, 99), ("count", 388, 7), ("overlap", 344, 512)):
        content = bytearray(made["plain"])
        content[at : at + 4] = struct.pack("<I", value)
        made[name] = bytes(content)
    return made


def readonly_images():
    """format, name -> bytes of Bochs, cloop and dmg images."""
    sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
    sys.dont_write_bytecode = True
    import readonly_fab  # noqa: E402

    lies = [("count", 131073), ("length", 67108865), ("offset", 1 << 63), ("sector", 7)]
    rows = [("bochs", {"version": 1}), ("bochs", {"extent": 512}), ("bochs-shared", {}), ("cloop", {"block": 512}),
            ("cloop-long", {}), ("cloop-empty", {}), ("dmg", {}), ("dmg-resources", {}), ("dmg-gaps", {})]
    rows += [("dmg-lie", {"key": key, "value": value}) for key, value in lies]
    rows += [("dmg-second", {"change": "more", "kind": kind}) for kind in range(0x80000004, 0x80000008)]
    made = {}
    for name, how in rows:
        words = [name.partition("-")[2]] + ["%x" % v if isinstance(v, int) else v for v in how.values()]
        made[name.partition("-")[0], "-".join(w for w in words if w) or "plain"] = readonly_fab.IMAGES[name](**how)
    return made


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(folder, target, name, content):
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    with open(os.path.join(folder, target, name), "wb") as out:
        out.write(content)


def steps(*rows):
    """Rows of (which, flags, cluster, clusters, size)."""
    return bytes([len(rows)]) + b"".join(struct.pack("<BBHHQ", *row) for row in rows)


def write_plans():
    return {
        "grow": steps((RESIZE, 0, 0, 0, 1 << 20)),
        "shrink": steps((RESIZE, 4, 0, 0, 20 << 10)),
        "grow-far": steps((RESIZE, 0, 0, 0, 1 << 34)),
        "grow-metadata": steps((RESIZE, 1, 0, 0, 300 << 10)),
        "copy": steps((WRITER, 0, 0, 0, 0), (PLACE, DATA, 0, 20, 0), (PLACE, ZERO, 30, 5, 0), (PLACE, DATA, 17, 9, 0),
                      (WRITER, 0, 0, 0, 0)),
        "copy-compressed": steps((WRITER, 1, 0, 0, 0), (PLACE, COMPRESSED, 3, 1, 100), (PLACE, COMPRESSED, 0, 1, 37),
                                 (WRITER, 0, 0, 0, 0)),
        "unfinished": steps((WRITER, 0, 0, 0, 0), (PLACE, DATA | 0x80, 100, 30, 0)),
    }


def snapshot(action, name):
    """Input of fuzz_plan_snapshot.c, but for the image."""
    return bytes([action, len(name)]) + name


def snapshot_plans(images):
    made = {"create-" + name: snapshot(0, b"new") + content for name, content in images.items()}
    for action, word in ((1, "apply"), (2, "delete")):
        for name in (b"one", b"two", b"2"):
            made["%s-%s" % (word, name.decode())] = snapshot(action, name) + images["snapshots"]
    return made


def with_word(image, offset, value):
    return image[:offset] + value + image[offset + len(value) :]


def repair_plans(images):
    """Inputs of fuzz_plan_repair.c: sound, with a refcount too many, and beyond repair."""
    made = {}
    for name, content in images.items():
        table = int.from_bytes(content[48:56], "big")
        block = int.from_bytes(content[table : table + 8], "big")
        l1 = int.from_bytes(content[40:48], "big")
        made["sound-" + name] = b"\1" + content
        made["leaks-" + name] = b"\0" + with_word(content, block, b"\xff\xff")
        made["rebuild-" + name] = b"\1" + with_word(content, block, bytes(8))
        made["flags-" + name] = b"\1" + with_word(content, l1, b"\0")
    return made


def resize(kind, new_size, image, preallocation=0, tail=0, packed=False):
    """Input of fuzz_plan_resize.c."""
    head = struct.pack(">BQB", kind | preallocation << 3, new_size, tail)
    if not packed:
        return head + b"\0" + image
    places = [i for i in range(len(image) // 4096) if any(image[i * 4096 : i * 4096 + 4096])][:255]
    head = struct.pack(">BQBB", kind, new_size, (len(image) + 65535) // 65536, len(places))
    return head + struct.pack(">%dH" % len(places), *places) + b"".join(image[i * 4096 : i * 4096 + 4096] for i in places)


def resize_plans(images, scratch):
    """name -> input: one that grows and one that shrinks of each format."""
    made = {}
    os.mkdir(scratch)
    for name in ("plain", "version-2", "snapshots", "bitmaps", "refcount-64", "cluster-4k", "preallocated"):
        for word, size, mode in (("grow", 500 << 10, 0), ("metadata", 300 << 10, 1), ("full", 5 << 20, 3), ("shrink", 5120, 0)):
            made["%s-%s" % (word, name)] = resize(0, size, images[name], mode)
    small = {1: ("qed", qed_images(scratch), 0), 2: ("parallels", parallels_images(scratch), 0),
             3: ("vdi", vdi_images(scratch), 96), 6: ("vpc", vhd_images(), 0)}
    for kind, (format, found, tail) in small.items():
        for name, content in found.items():
            made["grow-%s-%s" % (format, name)] = resize(kind, 9 << 20, content, tail=tail)
            made["shrink-%s-%s" % (format, name)] = resize(kind, 70 << 10, content, tail=tail)
    path = os.path.join(scratch, "for-resize")
    for kind, format, options in ((4, "vhdx", "block_size=1M"), (5, "vmdk", "adapter_type=ide")):
        run("qemu-img", "create", "-q", "-f", format, "-o", options, path, "2M", folder=scratch)
        run("qemu-io", "-f", format, "-c", "write -P 7 64k 4k", "-c", "write -P 8 1M 8k", path, folder=scratch)
        for word, size in (("grow", 40 << 20), ("shrink", 600 << 10)):
            made["%s-%s" % (word, format)] = resize(kind, size, read(path), packed=True)
        os.unlink(path)
    return made


def amend_plans(images):
    """Inputs of fuzz_plan_amend.c."""
    upgrade, downgrade, width, lazy, data_file, tidy = range(6)
    steps = [
        ("upgrade", (upgrade, 0), "version-2"),
        ("downgrade", (downgrade, 0), "plain"),
        ("downgrade", (downgrade, 0), "backing"),
        ("downgrade", (downgrade, 0), "snapshots"),
        ("width-64", (width, 6), "plain"),
        ("width-1", (width, 0), "refcount-64"),
        ("width-8", (width, 3), "preallocated"),
        ("lazy", (lazy, 8), "bitmaps"),
        ("data-file", (data_file, 0x70), "data-file-raw"),
    ]
    seeds = {"%s-%s" % (word, name): bytes(head) + images[name] for word, head, name in steps}
    stale = bytearray(images["bitmaps"])
    stale[88:96] = b"\0" * 7 + b"\x80"  # autoclear features: no bitmaps, one that nobody knows
    seeds["tidy-bitmaps"] = bytes((tidy, 0)) + bytes(stale)
    return seeds


def bitmap(*actions):
    """Input of fuzz_plan_bitmap.c, but for the image."""
    return bytes([len(actions)]) + b"".join(bytes(action) for action in actions)


def bitmap_plans(images):
    add, remove, clear, disable, merge = 0, 1, 3, 5, 6
    plans = {
        "add": bitmap((add, 0, 0, 0)),
        "merge": bitmap((add, 3, 0, 0x89), (merge, 3, 0, 0), (merge, 3, 0x10, 16)),
        "remove": bitmap((remove, 0, 0, 0), (disable, 1, 0, 0)),
        "clear": bitmap((clear, 0, 0, 0), (merge, 1, 0, 0)),
    }
    return {"%s-%s" % (name, image): plan + images[image] for name, plan in plans.items() for image in ("bitmaps", "snapshots")}


def overlay(flags, name_bytes, format_bytes):
    """Input of fuzz_plan_overlay.c, but for the image."""
    return struct.pack(">BHB", flags, name_bytes, format_bytes)


def overlay_plans(images):
    made = {}
    for name in ("plain", "backing", "json-backing", "version-2", "data-file", "snapshots", "bitmaps", "cluster-4k"):
        made["name-" + name] = overlay(0, 30, 4) + images[name]
        made["empty-" + name] = overlay(1, 0, 0) + images[name]
    for name in ("backing", "version-2"):
        made["long-" + name] = overlay(0, 300, 15) + images[name]
        made["none-" + name] = overlay(2, 0, 0) + images[name]
    return made


def create(kind, size, version=3, cluster_bits=16, refcount_order=4, flags=0, preallocation=0, required=0, name=b""):
    return struct.pack("<BQBBBBBQ", kind, size, version, cluster_bits, refcount_order, flags, preallocation, required) + name


def format_plans():
    """Input of fuzz_plan_formats.c: format, flags, size, unit, another size, then sizes."""
    def row(kind, flags, *numbers):
        return struct.pack("<BB%dQ" % len(numbers), kind, flags, *numbers)

    kib, mib = 1 << 10, 1 << 20
    return {
        "vpc": row(0, 0, 5 * mib, 0, 0, 9 * mib, 100 * mib, 3000 * kib),
        "vpc-from-nothing": row(0, 0, 0, 0, 0, 16384, mib),
        "vpc-rounded": row(0, 16, 5 * mib, 0, 0, 9 * mib, 2 * mib),
        "vpc-fixed": row(0, 1, mib, 0, 0, 2 * mib, 300 * kib),
        "vpc-child": row(0, 2, 5 * mib, 0, 0, 9 * mib, 300 * mib, mib),
        "vpc-child-to-one-sector": row(0, 2, 5 * mib, 0, 0, 512),
        "vhdx": row(1, 4, 5 * mib, mib, mib, 9 * mib, 1 << 40, mib),
        "vhdx-large-blocks": row(1, 0, 5 * mib, 8 * mib, 2 * mib, 9 * mib, 64 << 40, mib),
        "vhdx-fixed": row(1, 1, 3 * mib, mib, 0, 5 * mib, mib),
        "vhdx-child": row(1, 2, 5 * mib, mib, 0, 9 * mib, 1 << 41, 3000 * kib),
        "vdi": row(2, 0, 5 * mib, 0, 0, 900 * mib, mib, 1 << 40),
        "vdi-static": row(2, 1, 5 * mib, 0, 0, 9 * mib, mib),
        "parallels": row(3, 0, 5 * mib, 64 * kib, 0, 9 * mib, 900 * mib, mib),
        "parallels-odd": row(3, 0, 5 * mib, 63 * 512, 0, 9 * mib, 900 * mib, 1000 * kib),
        "qed": row(4, 0, 5 * mib, 4 * kib, 2, 9 * mib, 900 * mib, mib),
        "qed-child": row(4, 2, 5 * mib, 64 * kib, 4, 9 * mib, 1 << 40),
        "qcow": row(5, 0, 5 * mib, 0, 0),
        "qcow-aes": row(5, 10, 5 * mib, 0, 0),
    }


def create_plans():
    gib = 1 << 30
    return {
        "raw": create(1, gib),
        "default": create(0, gib, required=gib // 2),
        "version-2": create(0, gib, version=2),
        "largest": create(0, 1 << 62, cluster_bits=21),
        "small-clusters": create(0, 16 << 20, cluster_bits=9, preallocation=1),
        "metadata": create(0, gib, preallocation=1),
        "full": create(0, gib, preallocation=3, refcount_order=6),
        "falloc-one-bit": create(0, gib, preallocation=2, refcount_order=0),
        "extended-l2": create(0, gib, flags=2, preallocation=1),
        "backing": create(0, gib, flags=8, name=b"base.qcow2"),
        "data-file": create(0, gib, flags=0x10),
        "data-file-raw": create(0, gib, flags=0x30, preallocation=1),
        "zstd-lazy": create(0, gib, flags=5),
        "vmdk": create(2, gib, required=0),
        "vmdk-split": create(2, 5 * gib, required=10 | 0x7f00, name=b"b.vmdk"),
        "vmdk-split-flat": create(2, 5 * gib, required=15),
        "vmdk-flat": create(2, gib, required=5),
        "vmdk-stream": create(2, gib, required=20, flags=2),
        "luks": create(3, gib, required=2 | 2 << 12, name=b"x"),
        "luks-essiv": create(3, gib, required=2 | 1 << 4 | 2 << 7 | 4 << 9 | 4 << 12, name=b"passphrase"),
    }


def units():
    """Compressed streams: codec, log of the unit's size less 9, bytes."""
    text = (b"forty-two is the answer, " * 200)[:4096]
    made = {}
    for level in (1, 9):
        deflater = zlib.compressobj(level, zlib.DEFLATED, -12)
        made["deflate-%d" % level] = bytes([1, 3]) + deflater.compress(text) + deflater.flush()
    stored = zlib.compressobj(0, zlib.DEFLATED, -12)
    made["deflate-stored"] = bytes([1, 0]) + stored.compress(text[:512]) + stored.flush()
    made["zlib"] = bytes([3, 3]) + zlib.compress(text)
    sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
    sys.dont_write_bytecode = True
    import apple_codecs  # noqa: E402

    made["bz2"] = bytes([4, 3]) + bz2.compress(text)
    made["lzfse"] = bytes([5, 3]) + apple_codecs.fse_block(text) + b"bvx$"
    made["lzvn"] = bytes([5, 3]) + apple_codecs.lzvn_block(text) + b"bvx$"
    made["adc"] = bytes([6, 3]) + apple_codecs.adc(text)
    zstd = subprocess.run(["zstd", "-q", "-c"], input=text, stdout=subprocess.PIPE, check=False) if have("zstd") else None
    if zstd:
        made["zstd"] = bytes([2, 3]) + zstd.stdout
    return made


def have(tool):
    return any(os.access(os.path.join(p, tool), os.X_OK) for p in os.environ["PATH"].split(":"))


def stock(folder):
    with tempfile.TemporaryDirectory() as scratch:
        images = stock_images(scratch)
        resize_made = resize_plans(images, os.path.join(scratch, "resize"))
        for name, content in parallels_images(scratch).items():
            write(folder, "parallels", name, content)
            write(folder, "plan_repair", "parallels-" + name, b"\5" + content)
            for plan in ("copy", "grow", "shrink", "unfinished"):
                write(folder, "plan_write", "%s-parallels-%s" % (plan, name), write_plans()[plan] + content)
        for name, content in qcow_images(scratch).items():
            write(folder, "qcow", name, content)
            write(folder, "plan_overlay", "empty-qcow-" + name, overlay(9, 0, 0) + content)
            for plan in ("copy", "copy-compressed", "unfinished"):
                write(folder, "plan_write", "%s-qcow-%s" % (plan, name), write_plans()[plan] + content)
        for name, content in qed_images(scratch).items():
            write(folder, "qed", name, content)
            write(folder, "plan_repair", "qed-" + name, b"\3" + content)
            write(folder, "plan_overlay", "name-qed-" + name, overlay(4, 30, 3) + content)
            write(folder, "plan_overlay", "long-qed-" + name, overlay(4, 900, 3) + content)
            for plan in ("copy", "grow", "unfinished", "shrink"):
                write(folder, "plan_write", "%s-qed-%s" % (plan, name), write_plans()[plan] + content)
        for name, content in vdi_images(scratch).items():
            write(folder, "vdi", name, content)
            for plan in ("copy", "grow", "grow-far", "unfinished", "shrink"):
                write(folder, "plan_write", "%s-vdi-%s" % (plan, name), write_plans()[plan] + content)
        for name, content in vmdk_images(scratch).items():
            write(folder, "vmdk", name, content)
            if name.startswith("grains"):
                write(folder, "plan_repair", "vmdk-" + name, b"\7" + content[1:])
                for plan in ("copy", "grow", "shrink", "unfinished") if name == "grains" else ():
                    write(folder, "plan_write", "%s-vmdk-%s" % (plan, name), write_plans()[plan] + content[1:])
            if name in ("sparse", "stream-zero-grain", "descriptor", "cowd-image"):
                write(folder, "plan_write", "copy-vmdk-" + name, write_plans()["copy"] + content[1:])
    for (target, name), content in readonly_images().items():
        write(folder, target, name, content)
    for name, content in images.items():
        write(folder, "qcow2", name, content)
    for plan, rows in write_plans().items():
        for name in ("plain", "snapshots") if plan == "copy" else ("plain",):
            write(folder, "plan_write", "%s-%s" % (plan, name), rows + images[name])
    for name in ("version-2", "data-file", "backing", "compressed-zlib", "refcount-1"):
        write(folder, "plan_write", "copy-" + name, write_plans()["copy"] + images[name])
    for name, content in overlay_plans(images).items():
        write(folder, "plan_overlay", name, content)
    for name, content in snapshot_plans(images).items():
        write(folder, "plan_snapshot", name, content)
    for name in ("plain", "version-2", "refcount-1", "refcount-64", "snapshots", "compressed-zlib", "bitmaps"):
        for kind, content in repair_plans({name: images[name]}).items():
            write(folder, "plan_repair", kind, content)
    for name, content in resize_made.items():
        write(folder, "plan_resize", name, content)
    for name, content in amend_plans(images).items():
        write(folder, "plan_amend", name, content)
    for name, content in bitmap_plans(images).items():
        write(folder, "plan_bitmap", name, content)
    for name, content in format_plans().items():
        write(folder, "plan_formats", name, content)
    for name, content in create_plans().items():
        write(folder, "plan_create", name, content)
    for name, content in vhdx_images().items():
        write(folder, "vhdx", name, content)
    for name, content in vhd_images().items():
        write(folder, "vpc", name, content)
    for name, content in units().items():
        write(folder, "codec", name, content)


def hostile(folder):
    sys.path.insert(0, os.path.join(HERE, "..", "tests", "lib"))
    sys.dont_write_bytecode = True
    import qcow2_fab  # noqa: E402

    fields = list(qcow2_fab.Image.__init__.__defaults__)
    fields[:2] = 9, 32768  # cluster_bits, size
    qcow2_fab.Image.__init__.__defaults__ = tuple(fields)
    import hostile_images  # noqa: E402

    plan = write_plans()["copy"]
    for name, make in hostile_images.IMAGES.items():
        with tempfile.NamedTemporaryFile() as file:
            try:
                make().save(file.name)
            except Exception:  # needs clusters of another size
                continue
            content = read(file.name)
        if len(content) <= 65536:
            write(folder, "qcow2", "hostile-" + name, content)
            write(folder, "plan_write", "hostile-" + name, plan + content)
            write(folder, "plan_snapshot", "hostile-" + name, snapshot(0, b"new") + content)
            write(folder, "plan_resize", "hostile-" + name, resize(0, len(name) << 14, content))
            write(folder, "plan_overlay", "hostile-" + name, overlay(len(name) % 3, 40, 5) + content)
            write(folder, "plan_repair", "hostile-" + name, b"\1" + content)
            write(folder, "plan_amend", "hostile-" + name, b"\2\6" + content)
            if "bitmap" in name:
                write(folder, "plan_bitmap", "hostile-" + name, bitmap((0, 3, 0, 0), (6, 3, 0, 0)) + content)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("stock", "hostile"):
        sys.exit(__doc__)
    {"stock": stock, "hostile": hostile}[sys.argv[1]](sys.argv[2])
