/* SPDX-License-Identifier: Apache-2.0 */
#include "src/copy/bench_cipher.h"

#include <string.h>

/* One sector as it is stored, decrypted. */
static int read_sector(const struct sector_cipher *cipher, struct endpoint *endpoint, guint64 at,
                       guint64 iv_offset, guint8 *out)
{
    guint32 unit = sector_cipher_unit(cipher);
    int err = endpoint_pread(endpoint, at, out, unit);

    if (err == 0) {
        sector_cipher_decrypt(cipher, iv_offset, out, unit);
    }
    return err;
}

/* Whole sectors around what is written: [at - head, at - head + whole). */
static int write_sectors(const struct sector_cipher *cipher, struct endpoint *endpoint, guint64 at,
                         guint64 iv_offset, const void *buf, gsize len)
{
    guint32 unit = sector_cipher_unit(cipher), head = iv_offset % unit;
    gsize whole = (head + len + unit - 1) / unit * unit, last = whole - unit;
    g_autofree guint8 *bytes = g_malloc(whole);
    int err = 0;

    at -= head;
    iv_offset -= head;
    if (head != 0) {
        err = read_sector(cipher, endpoint, at, iv_offset, bytes);
    }
    if (err == 0 && (head + len) % unit != 0 && (last != 0 || head == 0)) {
        err = read_sector(cipher, endpoint, at + last, iv_offset + last, &bytes[last]);
    }
    if (err != 0) {
        return err;
    }
    memcpy(&bytes[head], buf, len);
    sector_cipher_encrypt(cipher, iv_offset, bytes, whole);
    return endpoint_pwrite(endpoint, at, bytes, whole);
}

int bench_cipher_write(const struct sector_cipher *cipher, GRWLock *lock, struct endpoint *endpoint,
                       guint64 at, guint64 iv_offset, const void *buf, gsize len)
{
    gboolean in_part;
    int err;

    if (cipher == NULL) {
        return endpoint_pwrite(endpoint, at, buf, len);
    }
    in_part = (iv_offset | len) % sector_cipher_unit(cipher) != 0;
    if (in_part) {
        g_rw_lock_writer_lock(lock);
    } else {
        g_rw_lock_reader_lock(lock);
    }
    err = write_sectors(cipher, endpoint, at, iv_offset, buf, len);
    if (in_part) {
        g_rw_lock_writer_unlock(lock);
    } else {
        g_rw_lock_reader_unlock(lock);
    }
    return err;
}
