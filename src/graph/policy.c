/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three levels as code; see policy.h.
 */
#include "src/graph/policy.h"

#include <string.h>

#include "compat/driver.h"
#include "compat/wording.h"
#include "src/graph/paths.h"

gboolean policy_from_environment(enum policy *out, GError **error)
{
    static const char *const words[] = {"strict", "default", "qemu"};
    const char *text = g_getenv("INSTAR_POLICY");

    *out = POLICY_DEFAULT;
    if (text == NULL || *text == '\0') {
        return TRUE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (enum policy)i;
            return TRUE;
        }
    }
    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                "INSTAR_POLICY is '%s', but must be strict, default or qemu", text);
    return FALSE;
}

void policy_way_clear(struct policy_way *way)
{
    g_clear_pointer(&way->path, g_free);
    g_clear_pointer(&way->directory, g_free);
    g_clear_pointer(&way->display, g_free);
}

static const char *role_name(Abi__Role role)
{
    switch (role) {
    case ABI__ROLE__ROLE_BACKING:
        return "backing file";
    case ABI__ROLE__ROLE_DATA_FILE:
        return "data file";
    default:
        return "extent";
    }
}

static gboolean refuse(const struct wire_ref *ref, const char *rule, const char *remedy,
                       GError **error)
{
    g_autofree char *text = wording_escape_span((const uint8_t *)ref->text, strlen(ref->text));

    g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_IMAGE,
                "The image names the %s '%s', which is not followed: %s\n%s", role_name(ref->role),
                text, rule, remedy);
    return FALSE;
}

#define REMEDY_QEMU "Use INSTAR_POLICY=qemu to follow what qemu-img would follow."

#define REMEDY_NAME                                                                                \
    "Copy what it holds to a file with qemu-img convert, and rebase the image to that."

#define RULE_NETWORK "a network block device is followed only where the user names it"

#define RULE_BENEATH "data files and extents must lie in the image's directory or below it"

void policy_refuse_escape(const struct wire_ref *ref, GError **error)
{
    refuse(ref, RULE_BENEATH, REMEDY_QEMU, error);
}

static gboolean is_local(const struct wire_ref *ref)
{
    return ref->path != NULL && ref->protocol != NULL &&
           (strcmp(ref->protocol, "file") == 0 || strcmp(ref->protocol, "host_device") == 0);
}

/* Relative names are relative to the image, but not those that stock takes as they are. */
static char *resolve(const struct wire_ref *ref, const char *image_path)
{
    /* An extent's name is a path, whatever it looks like. */
    if (ref->role != ABI__ROLE__ROLE_EXTENT && (ref->json || path_has_protocol(ref->text))) {
        return g_strdup(ref->path);
    }
    return path_combine(image_path, ref->path);
}

static gboolean decide_beneath(const struct wire_ref *ref, const char *image_path,
                               struct policy_way *out, GError **error)
{
    gboolean extent = ref->role == ABI__ROLE__ROLE_EXTENT;

    if (ref->json || strcmp(ref->protocol, "file") != 0 ||
        (!extent && path_has_protocol(ref->text))) {
        return refuse(ref, "data files and extents must be plain file names", REMEDY_QEMU, error);
    }
    out->directory = path_directory(image_path);
    out->path = path_below(out->directory, ref->path);
    if (out->path == NULL) {
        policy_way_clear(out);
        return refuse(ref, RULE_BENEATH, REMEDY_QEMU, error);
    }
    out->display = resolve(ref, image_path);
    return TRUE;
}

/* The driver behind what an image calls a protocol, or NULL: "nbd+unix" is one of nbd. */
static const struct driver *driver_of_reference(const struct wire_ref *ref)
{
    g_autofree char *as_name = g_strconcat(ref->protocol, ":", NULL);

    return ref->json ? driver_find(ref->protocol) : driver_of_name(as_name, NULL);
}

gboolean policy_decide(enum policy policy, const struct wire_ref *ref, const char *image_path,
                       struct policy_way *out, GError **error)
{
    memset(out, 0, sizeof(*out));
    if (policy == POLICY_STRICT) {
        return refuse(ref, "the policy is strict",
                      "Use INSTAR_POLICY=default to follow local files.", error);
    }
    if (!is_local(ref)) {
        const struct driver *driver = ref->protocol != NULL ? driver_of_reference(ref) : NULL;

        if (ref->protocol != NULL && driver == NULL) {
            g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE, "Unknown %s '%s'",
                        ref->json ? "driver" : "protocol", ref->protocol);
            return FALSE;
        }
        if (policy == POLICY_DEFAULT) {
            return refuse(ref, "the default policy follows local files only", REMEDY_QEMU, error);
        }
        if (driver != NULL && driver->built) {
            return refuse(ref, RULE_NETWORK, REMEDY_NAME, error);
        }
        g_set_error(error, COMPAT_ERROR, COMPAT_ERROR_VALUE,
                    "The '%s' protocol is not built yet in instar",
                    ref->protocol != NULL ? ref->protocol : "unknown");
        return FALSE;
    }
    if (policy == POLICY_DEFAULT && ref->role != ABI__ROLE__ROLE_BACKING) {
        return decide_beneath(ref, image_path, out, error);
    }
    out->path = resolve(ref, image_path);
    out->display = g_strdup(out->path);
    return TRUE;
}
