/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the environment says about cells.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "src/sandbox/sandbox.h"

#define MIB             (1024ull * 1024ull)
#define MEMORY_DEFAULT  (256 * MIB)
#define MEMORY_MIN      (16 * MIB)
#define WINDOW_DEFAULT  (32 * MIB)
#define TIMEOUT_DEFAULT 60u
#define TIMEOUT_MAX     (24u * 60 * 60)

/* Under a tight limit on address space a cell must leave room for a second one and for workers. */
static uint64_t default_memory(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return MEMORY_DEFAULT;
    uint64_t share = limit.rlim_cur / 8 & ~(2 * MIB - 1);
    return CLAMP(share, MEMORY_MIN, MEMORY_DEFAULT);
}

/* A positive number with an optional M or G, in bytes; a plain number counts MiB. */
static gboolean parse_memory(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    guint64 n = g_ascii_strtoull(text, &end, 10);
    if (errno || end == text || *text == '-' || n == 0)
        return FALSE;
    uint64_t unit = MIB;
    if (*end == 'G' || *end == 'g')
        unit = 1024 * MIB;
    else if (*end && *end != 'M' && *end != 'm')
        return FALSE;
    if (*end && end[1])
        return FALSE;
    if (n > CELL_ARENA_MAX / unit || n * unit < MEMORY_MIN)
        return FALSE;
    *out = (n * unit + 2 * MIB - 1) & ~(2 * MIB - 1);
    return TRUE;
}

static gboolean parse_timeout(const char *text, unsigned *out)
{
    char *end;
    errno = 0;
    guint64 n = g_ascii_strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || n == 0 || n > TIMEOUT_MAX)
        return FALSE;
    *out = (unsigned)n;
    return TRUE;
}

static gboolean parse_kind(const char *text, enum cell_kind *out)
{
    static const char *const words[] = {"auto", "kvm", "process"};
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum cell_kind)i;
            return TRUE;
        }
    }
    return FALSE;
}
G_STATIC_ASSERT(CELL_AUTO == 0 && CELL_KVM == 1 && CELL_PROCESS == 2);

gboolean cell_config_from_environment(struct cell_config *out, GError **error)
{
    struct cell_config config = {.kind = CELL_AUTO,
                                 .memory_bytes = default_memory(),
                                 .window_bytes = WINDOW_DEFAULT,
                                 .timeout_seconds = TIMEOUT_DEFAULT};
    config.memory_chosen = g_getenv("INSTAR_CELL_MEMORY") != NULL;
    const char *kind = g_getenv("INSTAR_SANDBOX");
    const char *memory = g_getenv("INSTAR_CELL_MEMORY");
    const char *timeout = g_getenv("INSTAR_CELL_TIMEOUT");
    if (kind && !parse_kind(kind, &config.kind)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP,
                    "INSTAR_SANDBOX expects 'kvm', 'process' or 'auto', not '%s'", kind);
        return FALSE;
    }
    if (memory && !parse_memory(memory, &config.memory_bytes)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP,
                    "INSTAR_CELL_MEMORY expects 16M to 1792M, not '%s'", memory);
        return FALSE;
    }
    if (timeout && !parse_timeout(timeout, &config.timeout_seconds)) {
        g_set_error(error, CELL_ERROR, CELL_ERROR_SETUP,
                    "INSTAR_CELL_TIMEOUT expects seconds from 1 to %u, not '%s'", TIMEOUT_MAX,
                    timeout);
        return FALSE;
    }
    *out = config;
    return TRUE;
}
