/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who talks to an NBD server: a forked process under a system call filter, with one connection, a
 * few sockets to the host and a piece of shared memory. It opens nothing and writes nowhere else;
 * what the server sends is taken apart there, by libnbd. The host believes nothing it is told but
 * the bytes of a disk, and a length no longer than it asked for.
 *
 * source: doc/proto.md of the NBD project; nbd_create(3) and its kin
 */
#ifndef INSTAR_SRC_IO_NBD_PEER_H
#define INSTAR_SRC_IO_NBD_PEER_H

#include <glib.h>
#include <stdint.h>

#define NBD_LANES      16u          /* requests that can be under way at once */
#define NBD_LANE_BYTES (256u << 10) /* of data that each can carry */
#define NBD_TEXT_BYTES 256u

enum nbd_verb { NBD_READ = 1, NBD_WRITE, NBD_ZERO, NBD_TRIM, NBD_FLUSH, NBD_STATUS };

enum nbd_ask_flags {
    NBD_FUA = 1,     /* durable before it is answered */
    NBD_NO_HOLE = 2, /* of zeros: keep the blocks */
};

/* Host to peer, one packet on a lane's socket; the data is in the lane's memory. */
struct nbd_ask {
    uint32_t verb, flags;
    uint64_t offset, len; /* bytes; NBD_READ and NBD_WRITE: at most NBD_LANE_BYTES */
};

/* Peer to host, in answer. */
struct nbd_told {
    int32_t error; /* errno */
    uint32_t hole; /* NBD_STATUS: it reads as zeros */
    uint64_t len;  /* NBD_STATUS: how far that goes */
};

/* Peer to host on the first lane, once: what came of the handshake. Texts are the server's. */
struct nbd_hello {
    int32_t error;                 /* errno; ENOENT: there is no such export */
    char text[NBD_TEXT_BYTES];     /* what went wrong */
    char reported[NBD_TEXT_BYTES]; /* what the server says to it; "": nothing */
    uint64_t size_bytes;
    uint32_t block_bytes; /* requests are multiples of this, a power of two */
    uint32_t most_bytes;  /* that one request may carry */
    uint8_t read_only, can_fua, can_flush, can_zero, can_trim, can_tell_status;
};

/* What a peer is given; descriptors are its own ends. */
struct nbd_peer_setup {
    int server;
    int lanes[NBD_LANES];
    uint8_t *memory; /* NBD_LANES * NBD_LANE_BYTES, shared */
    const char *export;
};

/* The forked process: never returns. */
G_NORETURN void nbd_peer_main(const struct nbd_peer_setup *setup);

/*
 * Gives up every system call but those that talking over what is open needs (nbd_lock_in.c).
 *
 * returns: FALSE when the kernel or libseccomp would not
 */
gboolean nbd_lock_in(void);

#endif
