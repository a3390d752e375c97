/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that host and guest share, and the words they exchange through it.
 *
 * This header and the messages in guest/abi/ are the only files that both sides include. A guest
 * address is an integer (cell_gva) on both sides, so that the host cannot dereference one by
 * accident. Structures have fixed widths and asserted sizes; IN is host to guest, OUT guest to
 * host.
 *
 *   guest virtual address          what                               guest may
 *   0x00000000_00000000  4 MiB     nothing (null pointers fault)      -
 *   0x00000000_00400000  <= 8 MiB  the guest image: text              read, execute
 *                                  rodata                             read
 *                                  data, bss                          read, write
 *   0x00000000_02000000  4 KiB     struct cell_boot                   read
 *   0x00000000_02001000  8 KiB     struct cell_doorbell               read, write
 *   0x00000000_02010000  64 KiB    nothing (stack overflow faults)    -
 *   0x00000000_02020000  1 MiB     stack, grows down                  read, write
 *   0x00000000_02200000  2 MiB     request: protobuf from the host    read, write
 *   0x00000000_02400000  4 MiB     records: arrays of fixed records   read, write
 *   0x00000000_02800000  16 MiB    response: protobuf from the guest  read, write
 *   0x00000000_10000000  limit     arena heap                         read, write
 *   0x00000001_00000000  window    bulk bytes: blob data, plan data   read, write
 *
 * A ring of the doorbell is one `out` to CELL_DOORBELL_PORT in a kvm cell (the I/O permission
 * bitmap opens that port alone), one byte written to descriptor CELL_PIPE_OUT and one read from
 * CELL_PIPE_IN in a process cell.
 */
#ifndef INSTAR_GUEST_ABI_HYPERCALL_H
#define INSTAR_GUEST_ABI_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t cell_gva;

#define CELL_ABI_VERSION 1

#define CELL_IMAGE_GVA     0x00400000ull
#define CELL_IMAGE_MAX     0x00800000ull
#define CELL_BOOT_GVA      0x02000000ull
#define CELL_DOORBELL_GVA  0x02001000ull
#define CELL_DOORBELL_SIZE 0x2000ull
#define CELL_STACK_GVA     0x02020000ull
#define CELL_STACK_SIZE    0x00100000ull
#define CELL_REQUEST_GVA   0x02200000ull
#define CELL_REQUEST_SIZE  0x00200000ull
#define CELL_RECORDS_GVA   0x02400000ull
#define CELL_RECORDS_SIZE  0x00400000ull
#define CELL_RESPONSE_GVA  0x02800000ull
#define CELL_RESPONSE_SIZE 0x01000000ull
#define CELL_ARENA_GVA     0x10000000ull
#define CELL_ARENA_MAX     0x70000000ull
#define CELL_WINDOW_GVA    0x100000000ull
#define CELL_WINDOW_MAX    0x40000000ull

#define CELL_DOORBELL_PORT 0x1c
#define CELL_PIPE_IN       0
#define CELL_PIPE_OUT      1

/* Blob ids are small integers that the host gave to things it opened. */
#define CELL_BLOBS_MAX 4096u
#define CELL_NO_BLOB   0xffffffffu

enum cell_kind_word {
    CELL_KIND_KVM = 1,
    CELL_KIND_PROCESS = 2,
};

/* IN, written once before the guest starts. */
struct cell_boot {
    uint32_t abi_version;
    uint32_t kind;        /* enum cell_kind_word */
    uint64_t arena_bytes; /* usable bytes from CELL_ARENA_GVA */
    uint64_t window_bytes;
    uint64_t flags;   /* CELL_BOOT_* */
    uint8_t fs[64];   /* FS base points here; the stack canary is at fs + 0x28 */
    uint64_t seed[2]; /* random, for hash tables */
};
_Static_assert(sizeof(struct cell_boot) == 112, "cell_boot");
_Static_assert(offsetof(struct cell_boot, fs) == 32, "fs base");
#define CELL_BOOT_FS_GVA (CELL_BOOT_GVA + 32)

/* Why the guest rang. Anything else ends the cell. */
enum cell_ring {
    CELL_RING_RETURN = 1, /* the call is done (also once at start-up): response_len is valid */
    CELL_RING_READ = 2,   /* carry out reads[0..count) */
    CELL_RING_EMIT = 3,   /* take `count` records of type `arg` from the records area */
    CELL_RING_LOG = 4,    /* `count` bytes of text in the records area, for INSTAR_TRACE */
    CELL_RING_PANIC = 5,  /* our bug: `count` bytes of text in the records area; never returns */
};

enum cell_read_status {
    CELL_READ_OK = 0,
    CELL_READ_RANGE = 1, /* not inside the blob, or no such blob, or bad destination */
    CELL_READ_IO = 2,    /* the host could not read; error_number holds errno */
};

#define CELL_READS_MAX 64u

struct cell_read {
    uint32_t blob;         /* OUT */
    uint32_t status;       /* IN  enum cell_read_status */
    uint64_t offset_bytes; /* OUT [offset, offset + len) lies inside the blob */
    uint64_t len_bytes;    /* OUT */
    cell_gva dst;          /* OUT inside arena, window, image data or stack */
    uint32_t error_number; /* IN  */
    uint32_t reserved;
};
_Static_assert(sizeof(struct cell_read) == 40, "cell_read");

struct cell_doorbell {
    uint32_t ring;         /* OUT enum cell_ring */
    uint32_t count;        /* OUT */
    uint32_t arg;          /* OUT */
    uint32_t response_len; /* OUT bytes of protobuf in the response area */
    uint32_t method;       /* IN  enum cell_method */
    uint32_t request_len;  /* IN  bytes of protobuf in the request area */
    uint32_t nr_records;   /* IN  records the host put in the records area with this call */
    uint32_t reserved;
    uint64_t arena_used; /* OUT for INSTAR_TRACE only */
    uint64_t pad[3];
    struct cell_read reads[CELL_READS_MAX];
};
_Static_assert(sizeof(struct cell_doorbell) == 64 + 40 * CELL_READS_MAX, "cell_doorbell");
_Static_assert(sizeof(struct cell_doorbell) <= CELL_DOORBELL_SIZE, "doorbell area");

/* What the host may ask. Request and reply types stand beside each. */
enum cell_method {
    CELL_METHOD_OPEN = 1,          /* OpenRequest -> OpenReply */
    CELL_METHOD_LINK = 2,          /* LinkRequest -> LinkReply */
    CELL_METHOD_INFO = 3,          /* InfoRequest -> InfoReply */
    CELL_METHOD_MAP = 4,           /* MapRequest -> MapReply + records of cell_extent */
    CELL_METHOD_SNAPSHOT_LOAD = 5, /* SnapshotLoadRequest -> SnapshotLoadReply */
    CELL_METHOD_CHECK = 6,         /* CheckRequest -> CheckReply, emits cell_finding */
    CELL_METHOD_DECODE = 7,        /* DecodeRequest + records of cell_decode -> StatusReply */
    CELL_METHOD_CREATE = 8,        /* CreateRequest -> PlanReply */
    CELL_METHOD_RESIZE = 9,        /* ResizeRequest -> PlanReply */
    CELL_METHOD_PLAN_NEXT = 10,    /* PlanNextRequest -> PlanNextReply + records of cell_op */
    CELL_METHOD_MEASURE = 11,      /* MeasureRequest -> MeasureReply */
    CELL_METHOD_WRITER_OPEN = 12,  /* WriterOpenRequest -> WriterOpenReply */
    CELL_METHOD_WRITER_LEASE = 13, /* WriterLeaseRequest -> WriterLeaseReply */
    CELL_METHOD_WRITER_PLACE = 14, /* WriterPlaceRequest + records of cell_place -> WriterPlaceReply
                                      + the same records with offsets filled in */
    CELL_METHOD_WRITER_COMMIT =
        15, /* WriterCommitRequest + records of cell_place -> WriterCommitReply */
    CELL_METHOD_WRITER_FINISH = 16, /* WriterFinishRequest -> PlanReply */
    CELL_METHOD_SNAPSHOT = 17,      /* SnapshotRequest -> PlanReply */
    CELL_METHOD_BACKING = 24,       /* BackingRequest -> PlanReply */
    CELL_METHOD_EMPTY = 25,         /* EmptyRequest -> PlanReply */
    CELL_METHOD_BITMAP = 28,        /* BitmapRequest -> BitmapReply */
    CELL_METHOD_AMEND = 30,         /* AmendRequest -> PlanReply */
    CELL_METHOD_BITMAP_READ = 29,   /* BitmapReadRequest -> StatusReply, bytes in the data window */
    CELL_METHOD_KEYSLOT = 41,       /* KeyslotRequest -> PlanReply */
    CELL_METHOD_DERIVE = 42,        /* DeriveRequest -> DeriveReply */
    CELL_METHOD_CIPHER_LOAD = 40,   /* CipherLoadRequest -> StatusReply */
};

/* One run of the flattened chain: what the guest sees at [start, start + length). */
enum cell_extent_kind {
    CELL_EXTENT_HOLE = 0,       /* allocated nowhere in the chain: reads as zeros */
    CELL_EXTENT_ZERO = 1,       /* an image says explicitly that it reads as zeros */
    CELL_EXTENT_DATA = 2,       /* bytes at blob:offset */
    CELL_EXTENT_COMPRESSED = 3, /* unit of unit_len bytes, compressed at blob:offset */
    CELL_EXTENT_ENCRYPTED = 4,  /* bytes at blob:offset, encrypted as the layer's cipher says */
};

enum cell_extent_flags {
    CELL_EXTENT_HAS_OFFSET = 1, /* offset is valid (also zero clusters that keep their cluster) */
    CELL_EXTENT_RECURSE = 2,    /* the host must refine by the blob's own holes (lseek) */
    CELL_EXTENT_OPAQUE = 8,     /* the format does not tell: shown as data without a place */
    CELL_EXTENT_REJECTED = 4,   /* lies below a layer that does not accept it, or (OPAQUE) where
                                   nothing can be: reading fails */
    CELL_EXTENT_BROKEN = 16,    /* the image does not say what is there: reading fails with EIO */
};

struct cell_extent {
    uint64_t start;  /* virtual offset in bytes */
    uint64_t length; /* bytes, never 0 */
    uint64_t offset; /* in the blob, bytes */
    uint32_t blob;
    uint32_t comp_len; /* COMPRESSED: bytes at offset that hold the compressed unit (upper bound) */
    uint32_t unit_len; /* COMPRESSED: bytes of the decompressed unit */
    uint32_t skip;     /* COMPRESSED: bytes of the unit before `start` */
    uint16_t depth;    /* 0 is the opened image, 1 its backing file ... */
    uint8_t kind;      /* enum cell_extent_kind */
    uint8_t flags;     /* enum cell_extent_flags */
    uint8_t codec;     /* enum cell_codec for COMPRESSED */
    uint8_t reserved[3];
};
_Static_assert(sizeof(struct cell_extent) == 48, "cell_extent");
#define CELL_EXTENTS_MAX (CELL_RECORDS_SIZE / sizeof(struct cell_extent))

enum cell_codec {
    CELL_CODEC_NONE = 0,
    CELL_CODEC_DEFLATE = 1, /* raw deflate, no zlib header (qcow2, qcow) */
    CELL_CODEC_ZSTD = 2,    /* one zstd frame (qcow2 compression_type 1) */
    CELL_CODEC_ZLIB = 3,    /* zlib stream (vmdk, dmg, cloop) */
    CELL_CODEC_BZ2 = 4,
    CELL_CODEC_LZFSE = 5,
    CELL_CODEC_ADC = 6,
    CELL_CODEC_ZLIB_CHUNK = 8, /* as ZLIB (cloop, dmg); damage is an I/O error */
    CELL_CODEC_VMDK_GRAIN = 7, /* a grain's marker, then a zlib stream */
    CELL_CODEC_CIPHER = 64,    /* whole sectors, decrypted in place: never that of an extent */
};

#define CELL_CIPHERS_MAX 256u

/* One unit to decode, both ends in the data window. */
struct cell_decode {
    uint64_t src;       /* IN  window offset in bytes */
    uint64_t dst;       /* IN  window offset in bytes; CIPHER: the same as src */
    uint32_t src_len;   /* IN  upper bound: the stream may end earlier */
    uint32_t dst_len;   /* IN  exactly this many bytes must come out */
    uint32_t codec;     /* IN  */
    uint32_t error;     /* OUT enum guest_err */
    uint64_t iv_offset; /* IN  CIPHER: what the first sector's IV counts from, bytes */
    uint32_t cipher;    /* IN  CIPHER: number given with CIPHER_LOAD */
    uint32_t reserved;
};
_Static_assert(sizeof(struct cell_decode) == 48, "cell_decode");

/* One step of a patch plan. Ops between two BARRIERs form a stage. */
enum cell_op_kind {
    CELL_OP_WRITE = 1, /* length bytes from window offset `data` */
    CELL_OP_PATTERN =
        2, /* length bytes: the unit_len (1, 2, 4, 8 or 16) bytes in value[], repeated */
    CELL_OP_ASCEND = 3,   /* length bytes of big-endian u64: value[0], value[0] + value[1], ...;
                             unit_len 16: each followed by an 8-byte zero bitmap word value 0 */
    CELL_OP_ZERO = 4,     /* make [offset, offset + length) read as zeros (hole if it can be) */
    CELL_OP_COPY = 5,     /* length bytes from src_blob:data to blob:offset */
    CELL_OP_TRUNCATE = 6, /* file size becomes `offset` */
    CELL_OP_ALLOCATE = 7, /* fallocate [offset, offset + length), contents unspecified or kept */
    CELL_OP_FILL = 8,     /* write real zeros to [offset, offset + length) (preallocation=full) */
    CELL_OP_BARRIER = 9,  /* all ops before are durable before any after */
    CELL_OP_DISCARD = 10, /* nobody needs the bytes any more: blocks are given back if they can be,
                             what they read as is not said */
};

struct cell_op {
    uint64_t offset;   /* in the blob, bytes */
    uint64_t length;   /* bytes */
    uint64_t data;     /* WRITE: window offset; COPY: source offset */
    uint64_t value[2]; /* PATTERN: bytes in memory order; ASCEND: first, step */
    uint32_t blob;
    uint32_t src_blob;
    uint16_t kind; /* enum cell_op_kind */
    uint16_t unit_len;
    uint32_t note; /* enum cell_op_note: which structure this is, for INSTAR_EXPLAIN */
};
_Static_assert(sizeof(struct cell_op) == 56, "cell_op");
#define CELL_OPS_MAX (CELL_RECORDS_SIZE / sizeof(struct cell_op))

enum cell_op_note {
    CELL_NOTE_NONE = 0,
    CELL_NOTE_HEADER,
    CELL_NOTE_L1_TABLE,
    CELL_NOTE_L2_TABLE,
    CELL_NOTE_REFCOUNT_TABLE,
    CELL_NOTE_REFCOUNT_BLOCK,
    CELL_NOTE_DATA,
    CELL_NOTE_SNAPSHOT_TABLE,
    CELL_NOTE_BITMAP,
    CELL_NOTE_BACKING_NAME,
    CELL_NOTE_FILE_SIZE,
    CELL_NOTE_BLOCK_MAP,
    CELL_NOTE_CRYPTO,
    CELL_NOTE_MAX,
};

/* One run that the copy engine wants in, or has put into, the target. */
enum cell_place_kind {
    CELL_PLACE_DATA = 1,       /* length bytes of data, stored as they are */
    CELL_PLACE_ZERO = 2,       /* reads as zeros from now on */
    CELL_PLACE_COMPRESSED = 3, /* one cluster, comp_len bytes after compression */
};

struct cell_place {
    uint64_t start;  /* virtual offset, bytes, on a cluster boundary of the target */
    uint64_t length; /* bytes; whole clusters, but for the end of the disk */
    uint64_t offset; /* blob offset: PLACE fills it in, COMMIT takes it */
    uint32_t blob;
    uint32_t comp_len;
    uint32_t kind; /* enum cell_place_kind */
    uint32_t reserved;
};
_Static_assert(sizeof(struct cell_place) == 40, "cell_place");
#define CELL_PLACES_MAX (CELL_RECORDS_SIZE / sizeof(struct cell_place))

enum cell_finding_flags {
    CELL_FINDING_PREFIXED = 1, /* its line starts with the program's name */
    CELL_FINDING_TEXT = 2,     /* no finding: `code` bytes, at most 32, of text for the next one,
                                  in memory order in number[] */
    CELL_FINDING_REPAIRED = 4, /* it is being repaired: its line starts with "Repairing" */
};

/* One finding of a check; what it means is the format's list of codes in guest/abi/. */
struct cell_finding {
    uint32_t code;
    uint32_t flags; /* enum cell_finding_flags */
    uint64_t number[4];
};
_Static_assert(sizeof(struct cell_finding) == 40, "cell_finding");

enum cell_emit_type {
    CELL_EMIT_FINDINGS = 1, /* struct cell_finding[] */
};

#endif
