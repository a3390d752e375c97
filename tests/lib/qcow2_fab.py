# SPDX-License-Identifier: Apache-2.0
"""Builds a qcow2 image field by field, right or wrong.

Image() starts as a small correct image; whatever a test sets by hand stays as
set, and only what was left alone is filled in when the image is saved. It does
no more than the tests need: one file, tables placed in the order of use.

    image = Image(cluster_bits=16, size=1 << 20)
    image.data(0, b"x" * 65536)             guest cluster 0
    image.lies["l1_size"] = 0x7fffffff
    image.save("a.qcow2")
"""

import struct
import zlib

# name, offset, bytes: the header of version 2, then what version 3 adds.
HEADER = (
    ("magic", 0, 4),
    ("version", 4, 4),
    ("backing_file_offset", 8, 8),
    ("backing_file_size", 16, 4),
    ("cluster_bits", 20, 4),
    ("size", 24, 8),
    ("crypt_method", 32, 4),
    ("l1_size", 36, 4),
    ("l1_table_offset", 40, 8),
    ("refcount_table_offset", 48, 8),
    ("refcount_table_clusters", 56, 4),
    ("nb_snapshots", 60, 4),
    ("snapshots_offset", 64, 8),
    ("incompatible_features", 72, 8),
    ("compatible_features", 80, 8),
    ("autoclear_features", 88, 8),
    ("refcount_order", 96, 4),
    ("header_length", 100, 4),
    ("compression_type", 104, 1),
)
V2_LENGTH = 72
V3_LENGTH = 112

# incompatible_features
DIRTY, CORRUPT, EXTERNAL_DATA_FILE, COMPRESSION_TYPE, EXTENDED_L2 = 1, 2, 4, 8, 16

# header extensions
END, BACKING_FORMAT, FEATURE_NAMES, BITMAPS, ENCRYPTION, DATA_FILE_NAME = (
    0x00000000,
    0xE2792ACA,
    0x6803F857,
    0x23852875,
    0x0537BE77,
    0x44415441,
)

# L1 and L2 entries
OFLAG_COPIED = 1 << 63
OFLAG_COMPRESSED = 1 << 62
OFLAG_ZERO = 1


def put(buffer, offset, value, length):
    """Writes one big-endian number."""
    buffer[offset : offset + length] = value.to_bytes(length, "big")


def deflate(data, window_bits=12):
    coder = zlib.compressobj(9, zlib.DEFLATED, -window_bits)
    return coder.compress(data) + coder.flush()


class Image:
    def __init__(self, cluster_bits=16, size=1 << 20, version=3, refcount_order=4, extended_l2=False):
        self.cluster_bits = cluster_bits
        self.cluster = 1 << cluster_bits
        self.version = version
        self.refcount_order = refcount_order
        self.entry_size = 16 if extended_l2 else 8
        self.per_l2 = self.cluster // self.entry_size
        self.header = {
            "magic": 0x514649FB,
            "version": version,
            "backing_file_offset": None,
            "backing_file_size": None,
            "cluster_bits": cluster_bits,
            "size": size,
            "crypt_method": 0,
            "l1_size": None,
            "l1_table_offset": None,
            "refcount_table_offset": None,
            "refcount_table_clusters": None,
            "nb_snapshots": None,
            "snapshots_offset": None,
            "incompatible_features": EXTENDED_L2 if extended_l2 else 0,
            "compatible_features": 0,
            "autoclear_features": 0,
            "refcount_order": refcount_order,
            "header_length": V3_LENGTH,
            "compression_type": 0,
        }
        self.extensions = []  # (type, bytes, length as written or None)
        self.backing = None  # bytes behind the extensions
        self.l1 = {}  # index -> entry, instead of what the L2 tables give
        self.l2 = {}  # guest cluster -> entry
        self.bitmaps = {}  # guest cluster -> the second half of an extended entry
        self.refcounts = {0: 1}  # host cluster -> count
        self.refcount_blocks = None  # their offsets, once decided
        self.holes = ()  # indexes of the refcount table that stay zero
        self.refcount_table = {}  # index -> entry, instead of the blocks' offsets
        self.snapshots = []  # bytes of whole entries, see snapshot()
        self.patches = []  # (offset, bytes), last of all
        self.length = None  # of the file, if not what is needed
        self.lies = {}  # fields of the header as written, whatever is true
        self.l2_offset = {}  # L1 index -> where its table was placed
        self.blocks = {}  # host offset -> bytes
        self.end = self.cluster  # where the next cluster goes

    # What an image is made of

    def allocate(self, clusters=1):
        offset = self.end
        self.end += clusters * self.cluster
        for index in range(clusters):
            self.refcounts.setdefault(offset // self.cluster + index, 1)
        return offset

    def place(self, content):
        """Puts bytes into new clusters; returns their offset."""
        offset = self.allocate(max(1, -(-len(content) // self.cluster)))
        self.blocks[offset] = bytes(content)
        return offset

    def data(self, guest_cluster, content):
        offset = self.place(content)
        self.l2[guest_cluster] = offset | OFLAG_COPIED
        if self.entry_size == 16:
            self.bitmaps.setdefault(guest_cluster, 0x00000000FFFFFFFF)
        return offset

    def zero(self, guest_cluster, offset=0):
        self.l2[guest_cluster] = offset | OFLAG_ZERO

    def compressed(self, guest_cluster, payload, sectors=None, offset=None):
        """A compressed cluster; "sectors" is how many it claims to touch
        beyond the first, computed from the payload if None."""
        if offset is None:
            offset = self.place(payload)
        if sectors is None:
            sectors = (offset + len(payload) - 1) // 512 - offset // 512
        shift = 62 - (self.cluster_bits - 8)
        self.l2[guest_cluster] = OFLAG_COMPRESSED | sectors << shift | offset

    def extension(self, kind, content, length=None):
        self.extensions.append((kind, bytes(content), length))

    def feature_name(self, kind, bit, name):
        """One more row of the feature name table."""
        row = bytes([kind, bit]) + name[:46].ljust(46, b"\0")
        for index, (extension, content, length) in enumerate(self.extensions):
            if extension == FEATURE_NAMES:
                self.extensions[index] = (extension, content + row, length)
                return
        self.extension(FEATURE_NAMES, row)

    def snapshot(self, l1_table_offset=None, l1_size=None, snapshot_id=b"1", name=b"s1", **lies):
        """Appends an entry to the snapshot table; "lies" replace fields."""
        extra = lies.get("extra", struct.pack(">QQ", 0, self.header["size"]))
        if l1_table_offset is None:
            l1_table_offset = self.place(bytes(8 * self._l1_entries()))
        entry = struct.pack(
            ">QIHHIIQII",
            l1_table_offset,
            self._l1_entries() if l1_size is None else l1_size,
            lies.get("id_str_size", len(snapshot_id)),
            lies.get("name_size", len(name)),
            lies.get("date_sec", 1600000000),
            lies.get("date_nsec", 0),
            lies.get("vm_clock_nsec", 0),
            lies.get("vm_state_size", 0),
            lies.get("extra_data_size", len(extra)),
        )
        entry += extra + snapshot_id + name
        self.snapshots.append(entry.ljust(-(-len(entry) // 8) * 8, b"\0"))

    # How it becomes a file

    def _l1_entries(self):
        covered = self.per_l2 * self.cluster
        return max(1, -(-self.header["size"] // covered))

    def _fill(self, name, value):
        if self.header[name] is None:
            self.header[name] = value

    def place_l2(self):
        """Places the L2 tables; returns the L1 table that names them."""
        tables = {}
        for guest_cluster, entry in self.l2.items():
            index, slot = divmod(guest_cluster, self.per_l2)
            table = tables.setdefault(index, bytearray(self.cluster))
            put(table, slot * self.entry_size, entry, 8)
            if self.entry_size == 16:
                put(table, slot * 16 + 8, self.bitmaps.get(guest_cluster, 0), 8)
        l1 = bytearray(8 * max([self._l1_entries()] + [i + 1 for i in list(tables) + list(self.l1)]))
        for index, table in sorted(tables.items()):
            self.l2_offset[index] = self.place(table)
            put(l1, 8 * index, self.l2_offset[index] | OFLAG_COPIED, 8)
        for index, entry in self.l1.items():
            put(l1, 8 * index, entry, 8)
        return bytes(l1)

    def place_l1(self):
        """Places L1 and L2 tables, unless done before."""
        if self.header["l1_table_offset"] is None:
            l1 = self.place_l2()
            self.header["l1_table_offset"] = self.place(l1)
            self._fill("l1_size", len(l1) // 8)

    def reserve_refcounts(self, more=0):
        """Decides where refcount table and blocks go, with room for so many
        more clusters; what is in them is decided last."""
        if self.refcount_blocks is not None:
            return
        per_block = self.cluster * 8 >> self.refcount_order
        self.placed_table = self.allocate()
        self._fill("refcount_table_offset", self.placed_table)
        self._fill("refcount_table_clusters", 1)
        self.refcount_blocks = []
        while len(self.refcount_blocks) * per_block < self.end // self.cluster + more:
            skipped = len(self.refcount_blocks) in self.holes
            self.refcount_blocks.append(0 if skipped else self.allocate())

    def _refcount_block(self, index):
        bits = 1 << self.refcount_order
        per_block = self.cluster * 8 // bits
        number = 0
        block = bytearray(self.cluster)
        for entry in range(per_block):
            count = self.refcounts.get(index * per_block + entry, 0) & ((1 << bits) - 1)
            if bits < 8:  # entry 0 is in the least significant bits of byte 0
                number |= count << entry * bits
            elif count:
                put(block, entry * bits // 8, count, bits // 8)
        return number.to_bytes(self.cluster, "little") if bits < 8 else bytes(block)

    def _fill_refcounts(self):
        table = bytearray(self.cluster)
        for index, offset in enumerate(self.refcount_blocks):
            put(table, 8 * index, offset, 8)
            if offset:
                self.blocks[offset] = self._refcount_block(index)
        for index, entry in self.refcount_table.items():
            put(table, 8 * index, entry, 8)
        self.blocks[self.placed_table] = bytes(table)

    def save(self, path):
        self.place_l1()
        table = b"".join(self.snapshots)
        self._fill("nb_snapshots", len(self.snapshots))
        self._fill("snapshots_offset", self.place(table) if table else 0)
        self.reserve_refcounts()
        self._fill_refcounts()

        head = bytearray(V2_LENGTH if self.version < 3 else self.header["header_length"])
        for kind, content, length in self.extensions:
            head += struct.pack(">II", kind, len(content) if length is None else length)
            head += content.ljust(-(-len(content) // 8) * 8, b"\0")
        head += struct.pack(">II", END, 0)
        if self.backing is not None:
            self._fill("backing_file_offset", len(head))
            self._fill("backing_file_size", len(self.backing))
            head += self.backing
        self._fill("backing_file_offset", 0)
        self._fill("backing_file_size", 0)
        for name, offset, length in HEADER:
            if self.version >= 3 or offset < V2_LENGTH:
                if offset + length <= len(head):
                    put(head, offset, self.lies.get(name, self.header[name]), length)

        with open(path, "wb") as out:
            out.truncate(self.end)
            for offset, content in self.blocks.items():
                out.seek(offset)
                out.write(content)
            out.seek(0)
            out.write(head)
            for offset, content in self.patches:
                out.seek(offset)
                out.write(content)
            if self.length is not None:
                out.truncate(self.length)
