/* SPDX-License-Identifier: Apache-2.0 */
#include "src/graph/node_names.h"

#include "compat/wording.h"

static GHashTable *taken;   /* the names of all nodes */
static GPtrArray *gathered; /* the list that was begun last; owned by whoever began it */

static void release(gpointer name)
{
    g_hash_table_remove(taken, name); /* which frees it */
}

GPtrArray *node_names_begin(void)
{
    if (taken == NULL) {
        taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    gathered = g_ptr_array_new_with_free_func(release);
    return gathered;
}

void node_names_end(void)
{
    gathered = NULL;
}

gboolean node_names_claim(const char *name, GError **error)
{
    char *copy;

    if (gathered == NULL) {
        return TRUE;
    }
    if (g_hash_table_contains(taken, name)) {
        return wording_fail(error, "Duplicate nodes with node-name='%s'", name);
    }
    copy = g_strdup(name);
    g_hash_table_add(taken, copy);
    g_ptr_array_add(gathered, copy);
    return TRUE;
}
