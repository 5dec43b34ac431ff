/*
 * auth_scram_client.c: the side that proves that it knows a password, or its keys, and wants the server's proof too.
 */
#include "wire/auth_scram_inside.h"

#include <openssl/crypto.h>

ScramStatus
scram_client_first(ScramClient *client, Slice binding, bool could_bind, ScramMessage *out)
{
	const char *header = binding.len > 0 ? "p=" BINDING_NAME ",," : could_bind ? "y,," : "n,,";
	size_t header_len = strlen(header);
	char nonce[NONCE_CHARS];
	ScramMessage *bare = &client->_client_first_bare;

	client->_step = STEP_OVER;
	if (binding.len > SCRAM_BINDING_MAX)
		return SCRAM_MALFORMED;
	if (!scram_make_nonce(nonce))
		return SCRAM_CRYPTO_FAILED;
	memcpy(client->_channel, header, header_len);
	if (binding.len > 0)
		memcpy(client->_channel + header_len, binding.ptr, binding.len);
	client->_channel_len = header_len + binding.len;
	client->_nonce_len = sizeof(nonce);
	bare->len = 0;
	out->len = 0;
	/* The name is left empty, as libpq does: the server takes the startup packet's. */
	if (!scram_put_str(bare, "n=,r=") || !scram_put(bare, nonce, sizeof(nonce)) || !scram_put_str(out, header) ||
		!scram_put(out, bare->text, bare->len))
		return SCRAM_MALFORMED;
	client->_step = STEP_STARTED;
	return SCRAM_OK;
}

/* --- server-first, client-final --- */

typedef struct ServerFirst
{
	Slice nonce;
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
} ServerFirst;

/* r=nonce,s=salt,i=iterations[,extensions] */
static ScramStatus
read_server_first(Slice text, ServerFirst *out)
{
	ScramAttrs attrs = {.text = text};
	Slice salt, iterations;

	if (scram_attrs_peek(&attrs) == 'm')
		return SCRAM_UNSUPPORTED;
	if (scram_attrs_peek(&attrs) == 'e')
		return SCRAM_REFUSED;
	out->nonce = scram_attrs_take(&attrs, 'r');
	salt = scram_attrs_take(&attrs, 's');
	iterations = scram_attrs_take(&attrs, 'i');
	scram_attrs_skip_extensions(&attrs);
	if (attrs.failed || !scram_nonce_is_valid(out->nonce) || out->nonce.len > SCRAM_NONCE_MAX ||
		!base64_decode(salt, out->salt, sizeof(out->salt), &out->salt_len) || out->salt_len == 0 ||
		!scram_parse_iterations(iterations, &out->iterations))
		return SCRAM_MALFORMED;
	return SCRAM_OK;
}

static bool
nonce_extends_ours(const ScramClient *client, Slice nonce)
{
	const ScramMessage *bare = &client->_client_first_bare;

	return nonce.len > client->_nonce_len &&
		   memcmp(nonce.ptr, bare->text + bare->len - client->_nonce_len, client->_nonce_len) == 0;
}

static bool
keys_fit(const ScramKeys *keys, const ServerFirst *first)
{
	return keys->iterations == first->iterations && keys->salt_len == first->salt_len &&
		   memcmp(keys->salt, first->salt, first->salt_len) == 0;
}

/* Do the keys fit what the server asked for?  If not, *wanted is what is to be derived. */
static ScramStatus
look_at_keys(const ServerFirst *first, Slice password, const ScramKeys *keys, ScramKeys *wanted)
{
	if (keys_fit(keys, first) && (password.ptr == NULL || scram_keys_came_from(keys, password)))
		return SCRAM_OK;
	if (password.ptr == NULL)
		return SCRAM_KEYS_DO_NOT_FIT;
	*wanted = (ScramKeys){.iterations = first->iterations, .salt_len = (uint32_t) first->salt_len};
	memcpy(wanted->salt, first->salt, first->salt_len);
	return SCRAM_KEYS_MISSING;
}

/* Make keys fit, from the password when they do not. */
static ScramStatus
find_keys(const ServerFirst *first, Slice password, ScramKeys *keys)
{
	ScramKeys fresh;
	ScramStatus status = look_at_keys(first, password, keys, &fresh);

	if (status != SCRAM_KEYS_MISSING)
		return status;
	status = scram_keys_derive(password, &fresh, NULL);
	if (status == SCRAM_OK)
		*keys = fresh;
	scram_keys_wipe(&fresh);
	return status;
}

/* Read server-first, which must go on with our nonce. */
static ScramStatus
answer_to_ours(const ScramClient *client, Slice server_first, ServerFirst *out)
{
	ScramStatus status;

	if (server_first.len > SCRAM_MESSAGE_MAX)
		return SCRAM_MALFORMED;
	status = read_server_first(server_first, out);
	return status == SCRAM_OK && !nonce_extends_ours(client, out->nonce) ? SCRAM_NONCE_MISMATCH : status;
}

ScramStatus
scram_client_wants(const ScramClient *client, Slice server_first, Slice password, const ScramKeys *keys, ScramKeys *wanted)
{
	ServerFirst first;
	ScramStatus status;

	if (client->_step != STEP_STARTED)
		return SCRAM_MALFORMED;
	status = answer_to_ours(client, server_first, &first);
	if (status != SCRAM_OK)
		return status;
	if (first.iterations > SCRAM_ITERATIONS_MAX)
		return SCRAM_TOO_MANY_ITERATIONS;
	return look_at_keys(&first, password, keys, wanted);
}

/* Compute the proof and, for later, the signature to expect from the server. */
static bool
prove(ScramClient *client, Slice server_first, const ScramKeys *keys, Slice final_bare,
	  uint8_t proof[SCRAM_KEY_SIZE])
{
	Slice first_bare = scram_message_slice(&client->_client_first_bare);
	uint8_t stored_key[SCRAM_KEY_SIZE];
	uint8_t signature[SCRAM_KEY_SIZE];
	bool ok;

	ok = scram_sha256(keys->client_key, stored_key) &&
		 scram_sign(stored_key, first_bare, server_first, final_bare, signature) &&
		 scram_sign(keys->server_key, first_bare, server_first, final_bare, client->_server_signature);
	if (ok)
		scram_xor_keys(keys->client_key, signature, proof);
	OPENSSL_cleanse(signature, sizeof(signature));
	OPENSSL_cleanse(stored_key, sizeof(stored_key));
	return ok;
}

ScramStatus
scram_client_final(ScramClient *client, Slice server_first, Slice password, ScramKeys *keys,
				   ScramMessage *out)
{
	ServerFirst first;
	uint8_t proof[SCRAM_KEY_SIZE];
	ScramStatus status;

	if (client->_step != STEP_STARTED)
		return SCRAM_MALFORMED;
	client->_step = STEP_OVER;
	status = answer_to_ours(client, server_first, &first);
	if (status != SCRAM_OK)
		return status;
	status = find_keys(&first, password, keys);
	if (status != SCRAM_OK)
		return status;

	out->len = 0;
	if (!scram_put_str(out, "c=") || !scram_put_base64(out, client->_channel, client->_channel_len) ||
		!scram_put_str(out, ",r=") || !scram_put(out, first.nonce.ptr, first.nonce.len))
		return SCRAM_MALFORMED;
	if (!prove(client, server_first, keys, scram_message_slice(out), proof))
		return SCRAM_CRYPTO_FAILED;
	if (!scram_put_str(out, ",p=") || !scram_put_base64(out, proof, sizeof(proof)))
		return SCRAM_MALFORMED;
	client->_step = STEP_PROVING;
	return SCRAM_OK;
}

/* --- server-final --- */

ScramStatus
scram_client_verify(ScramClient *client, Slice server_final)
{
	ScramAttrs attrs = {.text = server_final};
	uint8_t signature[SCRAM_KEY_SIZE];
	Slice encoded;

	if (client->_step != STEP_PROVING)
		return SCRAM_MALFORMED;
	client->_step = STEP_OVER;
	if (scram_attrs_peek(&attrs) == 'e')
		return SCRAM_REFUSED;
	encoded = scram_attrs_take(&attrs, 'v');
	scram_attrs_skip_extensions(&attrs);
	if (attrs.failed || !scram_decode_key(encoded, signature))
		return SCRAM_MALFORMED;
	return CRYPTO_memcmp(signature, client->_server_signature, SCRAM_KEY_SIZE) == 0
			   ? SCRAM_OK
			   : SCRAM_SERVER_NOT_GENUINE;
}

void
scram_client_wipe(ScramClient *client)
{
	OPENSSL_cleanse(client, sizeof(*client));
}
