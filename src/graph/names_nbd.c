/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network block devices: plain names become options, options become an address.
 *
 * source: the NBD project's doc/uri.md; names and complaints as stock 7.2 and 11.1 have them
 */
#include <string.h>

#include "compat/wording.h"
#include "src/graph/names_private.h"

#define DEFAULT_PORT "10809"
#define EXPORT_WORD  ":exportname="
#define UNIX_WORD    "unix:"
#define HOST_MAX     64
#define PORT_MAX     32

/* ---- plain names ---- */

/* The only parameter of a query, which must be "socket". */
static char *socket_of(const char *query)
{
    g_autoptr(GHashTable) params =
        query != NULL ? g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, NULL) : NULL;

    return params != NULL && g_hash_table_size(params) == 1
               ? g_strdup(g_hash_table_lookup(params, "socket"))
               : NULL;
}

static gboolean parse_uri(const char *text, struct blockopts *opts)
{
    g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, NULL);
    const char *host, *export;
    int port;

    if (uri == NULL) {
        return FALSE;
    }
    host = g_uri_get_host(uri);
    port = g_uri_get_port(uri);
    if (strcmp(g_uri_get_scheme(uri), "nbd+unix") == 0) {
        g_autofree char *path = socket_of(g_uri_get_query(uri));

        if (path == NULL || (host != NULL && *host != '\0') || port > 0) {
            return FALSE;
        }
        blockopts_set(opts, "server.type", "unix");
        blockopts_set(opts, "server.path", path);
    } else {
        g_autofree char *number = port > 0 ? g_strdup_printf("%d", port) : g_strdup(DEFAULT_PORT);

        if (host == NULL || *host == '\0' || g_uri_get_query(uri) != NULL) {
            return FALSE;
        }
        blockopts_set(opts, "server.type", "inet");
        blockopts_set(opts, "server.host", host);
        blockopts_set(opts, "server.port", number);
    }
    export = g_uri_get_path(uri) + strspn(g_uri_get_path(uri), "/");
    if (*export != '\0') {
        blockopts_set(opts, "export", export);
    }
    return TRUE;
}

/* "HOST:PORT", "[HOST]:PORT" or ":PORT". */
static gboolean parse_inet(const char *text, struct blockopts *opts)
{
    gboolean bracket = *text == '[';
    const char *host = text + (bracket ? 1 : 0);
    size_t len = strcspn(host, bracket ? "]" : ":");
    const char *port = host + len;
    g_autofree char *word = g_strndup(host, len);

    if (bracket) {
        port += *port == ']';
    }
    if (*port != ':' || port[1] == '\0' || strchr(port, ',') != NULL || len > HOST_MAX ||
        strlen(port + 1) > PORT_MAX || (bracket && len == 0)) {
        return FALSE;
    }
    blockopts_set(opts, "server.type", "inet");
    blockopts_set(opts, "server.host", word);
    blockopts_set(opts, "server.port", port + 1);
    return TRUE;
}

gboolean name_nbd_options(const char *text, struct blockopts *opts, GError **error)
{
    g_autofree char *address = g_strdup(text);
    char *export, *spec;

    if (strstr(text, "://") != NULL) {
        return parse_uri(text, opts) || wording_fail(error, "No valid URL specified");
    }
    export = strstr(address, EXPORT_WORD);
    if (export != NULL) {
        if (export[strlen(EXPORT_WORD)] == '\0') {
            return TRUE; /* as stock: then nothing was said */
        }
        *export = '\0';
        blockopts_set(opts, "export", export + strlen(EXPORT_WORD));
    }
    if (!g_str_has_prefix(address, "nbd:")) {
        return wording_fail(error, "File name string for NBD must start with 'nbd:'");
    }
    spec = address + strlen("nbd:");
    if (g_str_has_prefix(spec, UNIX_WORD)) {
        blockopts_set(opts, "server.type", "unix");
        blockopts_set(opts, "server.path", spec + strlen(UNIX_WORD));
        return TRUE;
    }
    return *spec == '\0' || parse_inet(spec, opts) ||
           wording_fail(error, "error parsing address '%s'", spec);
}

/* ---- options ---- */

static gboolean take_word(struct blockopts *server, const char *key, char **out, GError **error)
{
    *out = blockopts_take(server, key);
    return *out != NULL || wording_fail(error, "Parameter '%s' is missing", key);
}

static gboolean take_address(struct blockopts *server, struct nbd_address *address, GError **error)
{
    g_autofree char *type = NULL;

    if (!take_word(server, "type", &type, error)) {
        return FALSE;
    }
    if (strcmp(type, "unix") == 0) {
        address->family = NBD_UNIX;
        return take_word(server, "path", &address->path, error);
    }
    if (strcmp(type, "fd") == 0) {
        address->family = NBD_FD;
        return take_word(server, "str", &address->path, error);
    }
    if (strcmp(type, "vsock") == 0) {
        address->family = NBD_VSOCK;
        return take_word(server, "cid", &address->host, error) &&
               take_word(server, "port", &address->port, error);
    }
    if (strcmp(type, "inet") == 0) {
        address->family = NBD_INET;
        return take_word(server, "host", &address->host, error) &&
               take_word(server, "port", &address->port, error);
    }
    return wording_fail(error, "Parameter 'type' does not accept value '%s'", type);
}

static gboolean take_server(struct blockopts *server, struct nbd_address *address, GError **error)
{
    static const char *const inet_options[] = {"numeric", "to",         "ipv4", "ipv6",
                                               "mptcp",   "keep-alive", NULL};
    const char *left;

    if (!take_address(server, address, error)) {
        return FALSE;
    }
    left = blockopts_count(server) > 0 ? blockopts_key(server, 0) : NULL;
    if (left != NULL && address->family == NBD_INET && g_strv_contains(inet_options, left)) {
        return wording_fail(error, "The 'server.%s' option is not built yet in instar", left);
    }
    return left == NULL || wording_fail(error, "Parameter '%s' is unexpected", left);
}

/* The options of old, as those of today. */
static gboolean modernise(struct blockopts *opts, struct blockopts *server, GError **error)
{
    g_autofree char *path = blockopts_take(opts, "path"), *host = blockopts_take(opts, "host");
    g_autofree char *port = blockopts_take(opts, "port");

    if (path != NULL && host != NULL) {
        return wording_fail(error, "path and host may not be used at the same time");
    }
    if (path != NULL && port != NULL) {
        return wording_fail(error, "port may not be used without host");
    }
    if (blockopts_count(server) > 0) {
        return (path == NULL && host == NULL && port == NULL) ||
               wording_fail(error, "Cannot use 'server' and path/host/port at the same time");
    }
    if (path != NULL) {
        blockopts_set(server, "type", "unix");
        blockopts_set(server, "path", path);
    } else if (host != NULL) {
        blockopts_set(server, "type", "inet");
        blockopts_set(server, "host", host);
        blockopts_set(server, "port", port != NULL ? port : DEFAULT_PORT);
    }
    return blockopts_count(server) > 0 || wording_fail(error, "NBD server address missing");
}

/* What is not built is refused, where stock would do something with it. */
static gboolean refuse_others(struct blockopts *opts, GError **error)
{
    g_autofree char *credentials = blockopts_take(opts, "tls-creds");
    g_autofree char *bitmap = blockopts_take(opts, "x-dirty-bitmap");
    gint64 delay;

    g_free(blockopts_take(opts, "tls-hostname")); /* of a certificate that nobody asks for */
    if (credentials != NULL) {
        return wording_fail(error, "No TLS credentials with id '%s'", credentials);
    }
    if (bitmap != NULL) {
        return wording_fail(error, "The 'x-dirty-bitmap' option is not built yet in instar");
    }
    return name_take_number(opts, "reconnect-delay", 0, &delay, error) &&
           (delay == 0 ||
            wording_fail(error, "The 'reconnect-delay' option is not built yet in instar"));
}

gboolean name_take_nbd(struct name *name, struct blockopts *opts, GError **error)
{
    struct nbd_address *address = g_new0(struct nbd_address, 1);
    struct blockopts *server = blockopts_take_prefix(opts, "server");
    gint64 timeout = 0;
    gboolean ok;

    name->leaf = LEAF_NBD;
    name->nbd = address;
    ok = modernise(opts, server, error);
    ok = ok && take_server(server, address, error) && refuse_others(opts, error) &&
         name_take_number(opts, "open-timeout", 0, &timeout, error);
    address->open_timeout_seconds = timeout > 0 ? (uint64_t)timeout : 0;
    address->export = blockopts_take(opts, "export");
    blockopts_free(server);
    return ok;
}
