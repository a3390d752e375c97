/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key slots: a new header opens with its passphrase, and after any prefix of the writes of an
 * amendment at least the passphrases that are to stay open it.
 */
#include <glib.h>
#include <string.h>

#include "guest/formats/luks_amend.h"
#include "guest/formats/luks_create.h"

#define DISK_BYTES   8192u
#define RANDOM_BYTES (64u + 2 * 32 + 16 + 4000 * 64)

static uint8_t random_bytes[RANDOM_BYTES];

struct steps {
    struct cell_op ops[64];
    uint8_t *window;
    uint32_t nr;
};

static void drain(struct plan *plan, struct steps *out)
{
    struct plan_sink sink = {.ops = out->ops,
                             .max_ops = G_N_ELEMENTS(out->ops),
                             .window = out->window = g_malloc(PLAN_WINDOW_BYTES),
                             .window_size = PLAN_WINDOW_BYTES};
    gboolean done = FALSE;
    bool last = false;

    while (!done) {
        g_assert_cmpint(plan->verbs->next(plan, &sink, &last, NULL), ==, GUEST_OK);
        done = last;
    }
    out->nr = sink.nr_ops;
    plan->verbs->free(plan);
}

static void apply(GByteArray *file, const struct steps *steps, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        const struct cell_op *op = &steps->ops[i];

        if (op->kind == CELL_OP_TRUNCATE)
            g_byte_array_set_size(file, (guint)op->offset);
        else if (op->kind == CELL_OP_ZERO)
            memset(file->data + op->offset, 0, op->length);
        else if (op->kind == CELL_OP_WRITE)
            memcpy(file->data + op->offset, steps->window + op->data, op->length);
    }
}

static struct node *open_with(const GByteArray *file, const char *password)
{
    struct source *source = source_new_buffer(0, file->data, file->len);
    Abi__OpenRequest request = ABI__OPEN_REQUEST__INIT;
    Abi__Secret secret = ABI__SECRET__INIT;
    struct node *node = NULL;

    secret.known = secret.text = TRUE;
    secret.data.data = (uint8_t *)password;
    secret.data.len = strlen(password);
    request.secret = &secret;
    if (node_open(source, &request, &node, NULL) != GUEST_OK)
        source_free(source);
    return node;
}

static gboolean opens(const GByteArray *file, const char *password)
{
    struct node *node = open_with(file, password);
    gboolean ok = node != NULL && node->virtual_size == DISK_BYTES;

    node_free(node);
    return ok;
}

static GByteArray *new_image(void)
{
    Abi__CreateRequest request = ABI__CREATE_REQUEST__INIT;
    Abi__LuksCreate luks = ABI__LUKS_CREATE__INIT;
    GByteArray *file = g_byte_array_new();
    struct steps steps;
    struct plan *plan;

    luks.cipher = CRYPTO_CIPHER_AES_256;
    luks.mode = CRYPTO_MODE_XTS;
    luks.ivgen = CRYPTO_IVGEN_PLAIN64;
    luks.hash = CRYPTO_HASH_SHA256;
    luks.slot_iters = luks.digest_iters = 10;
    luks.password = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"old"};
    luks.random = (ProtobufCBinaryData){.len = RANDOM_BYTES, .data = random_bytes};
    request.luks = &luks;
    request.size = DISK_BYTES;
    g_assert_cmpint(luks_create(&request, &plan, NULL), ==, GUEST_OK);
    drain(plan, &steps);
    apply(file, &steps, steps.nr);
    g_free(steps.window);
    return file;
}

/* Plans with the passphrase `with`, and judges every prefix: `stays` opens all of them. */
static void amend(GByteArray *file, Abi__KeyslotRequest *request, const char *with,
                  const char *stays)
{
    struct node *node = open_with(file, with);
    struct steps steps;
    struct plan *plan;

    g_assert_nonnull(node);
    request->random = (ProtobufCBinaryData){.len = RANDOM_BYTES, .data = random_bytes};
    g_assert_cmpint(luks_amend_plan(node, request, &plan, NULL), ==, GUEST_OK);
    drain(plan, &steps);
    node_free(node);
    g_assert_cmpuint(steps.nr, >=, 4);
    for (uint32_t nr = 0; nr < steps.nr; nr++) {
        GByteArray *state = g_byte_array_new();

        g_byte_array_append(state, file->data, file->len);
        apply(state, &steps, nr);
        g_assert_true(opens(state, stays));
        g_byte_array_unref(state);
    }
    apply(file, &steps, steps.nr);
    g_free(steps.window);
}

static void test_slots(void)
{
    Abi__KeyslotRequest add = ABI__KEYSLOT_REQUEST__INIT, erase = ABI__KEYSLOT_REQUEST__INIT;
    GByteArray *file = new_image();
    struct node *node;
    struct plan *plan;

    g_assert_true(opens(file, "old"));
    g_assert_false(opens(file, "new"));
    add.activate = TRUE;
    add.iters = 10;
    add.new_password = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"new"};
    amend(file, &add, "old", "old");
    g_assert_true(opens(file, "old") && opens(file, "new"));

    erase.has_old = TRUE;
    erase.old_password = (ProtobufCBinaryData){.len = 3, .data = (uint8_t *)"old"};
    amend(file, &erase, "old", "new");
    g_assert_true(opens(file, "new"));
    g_assert_false(opens(file, "old"));

    node = open_with(file, "new");
    g_assert_cmpint(luks_amend_plan(node, &erase, &plan, NULL), ==, LUKS_ERR_NO_MATCH);
    erase.old_password.data = (uint8_t *)"new";
    g_assert_cmpint(luks_amend_plan(node, &erase, &plan, NULL), ==, LUKS_ERR_LAST_MATCH);
    node_free(node);
    g_byte_array_unref(file);
}

/* Material that would lie beyond the header is never written, though the header passes. */
static void test_far_material(void)
{
    Abi__KeyslotRequest add = ABI__KEYSLOT_REQUEST__INIT;
    GByteArray *file = new_image();
    struct node *node;
    struct plan *plan;

    store_be32(file->data + LUKS_SLOT_AT + LUKS_SLOT_BYTES + 40, 0xffffff00);
    node = open_with(file, "old");
    g_assert_nonnull(node);
    add.activate = TRUE;
    add.iters = 10;
    add.random = (ProtobufCBinaryData){.len = RANDOM_BYTES, .data = random_bytes};
    g_assert_cmpint(luks_amend_plan(node, &add, &plan, NULL), ==, LUKS_ERR_SLOT_PAYLOAD);
    node_free(node);
    g_byte_array_unref(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < RANDOM_BYTES; i++)
        random_bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    g_test_add_func("/luks/slots", test_slots);
    g_test_add_func("/luks/far-material", test_far_material);
    return g_test_run();
}
