/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of QEMU's permissions each layer of a chain takes, and whether a file was written to while
 * nobody could know yet which it should take.
 */
#include <string.h>
#include <sys/stat.h>

#include "src/graph/layer.h"
#include "src/io/locks.h"

/* As observed of qemu-img 7.2 (strace), for each command and place in the graph. */
gboolean layer_take_locks(const struct layer *layer, const char *format, gboolean data_file,
                          GError **error)
{
    const struct image_open_options *options = layer->options;
    gboolean raw = strcmp(format, "raw") == 0;
    unsigned used = options->no_io ? 0 : PERMISSION_CONSISTENT_READ;
    unsigned unshared = 0;
    uint64_t ignored = 0;

    if (options->force_share || layer->no_lock) {
        return TRUE;
    }
    if (layer->writable) {
        used |= PERMISSION_WRITE | PERMISSION_RESIZE;
    }
    if (!raw || options->exclusive_source) {
        unshared = PERMISSION_WRITE | PERMISSION_RESIZE;
    }
    if (data_file) {
        unshared =
            options->exclusive_source ? PERMISSION_WRITE | PERMISSION_RESIZE : PERMISSION_RESIZE;
    }
    if (used == 0 && unshared == 0) {
        return TRUE;
    }
    return locks_take(endpoint_unslice(layer->endpoint, &ignored), used, unshared, error);
}

struct file_state file_state(struct endpoint *endpoint)
{
    uint64_t ignored = 0;
    int fd = endpoint_fd(endpoint_unslice(endpoint, &ignored));
    struct file_state state = {0};
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        state.modified = st.st_mtim;
        state.changed = st.st_ctim;
        state.size = st.st_size;
    }
    return state;
}

gboolean same_state(const struct file_state *a, const struct file_state *b)
{
    return a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->size == b->size;
}
