/*
 * auth_scram_server.c: the side that knows a verifier, and lets a client prove that it knows the password.
 */
#include "wire/auth_scram_inside.h"

#include <openssl/crypto.h>
#include <stdio.h>

/* --- client-first, server-first --- */

/*
 * Read the channel header (n,, or y,, or p=tls-server-end-point,,) and remember what c= must decode to.  On
 * success *bare is the rest of client-first.
 */
static ScramStatus
read_channel_header(ScramServer *server, Slice client_first, Slice binding, bool plus, Slice *bare)
{
	static const char bound_header[] = "p=" BINDING_NAME ",,";
	Slice rest = client_first;
	Slice flag, identity;
	size_t header_len;

	if (!scram_split(&rest, ',', &flag) || !scram_split(&rest, ',', &identity))
		return SCRAM_MALFORMED;
	if (slice_is(flag, "n") || slice_is(flag, "y"))
	{
		if (plus)
			return SCRAM_MALFORMED;
		if (flag.ptr[0] == 'y' && binding.len > 0)
			return SCRAM_BINDING_DOWNGRADED;
	}
	else if (flag.len > 2 && memcmp(flag.ptr, "p=", 2) == 0)
	{
		if (!plus || binding.len == 0)
			return SCRAM_BINDING_NOT_OFFERED;
		if (!slice_is(flag, "p=" BINDING_NAME))
			return SCRAM_UNSUPPORTED;
	}
	else
		return SCRAM_MALFORMED;
	if (identity.len > 0)
		return identity.len >= 2 && memcmp(identity.ptr, "a=", 2) == 0 ? SCRAM_UNSUPPORTED : SCRAM_MALFORMED;

	_Static_assert(sizeof(bound_header) - 1 + SCRAM_BINDING_MAX <= sizeof(server->_channel),
				   "channel data fits");
	header_len = client_first.len - rest.len;
	memcpy(server->_channel, client_first.ptr, header_len);
	if (plus)
		memcpy(server->_channel + header_len, binding.ptr, binding.len);
	server->_channel_len = header_len + (plus ? binding.len : 0);
	*bare = rest;
	return SCRAM_OK;
}

/* Read n=user,r=nonce[,extensions]; the name is not looked at: the startup packet's counts. */
static ScramStatus
read_client_first_bare(ScramServer *server, Slice bare)
{
	ScramAttrs attrs = {.text = bare};
	Slice nonce;

	if (scram_attrs_peek(&attrs) == 'm')
		return SCRAM_UNSUPPORTED;
	scram_attrs_take(&attrs, 'n');
	nonce = scram_attrs_take(&attrs, 'r');
	scram_attrs_skip_extensions(&attrs);
	if (attrs.failed || !scram_nonce_is_valid(nonce) || nonce.len > sizeof(server->_nonce) - NONCE_CHARS)
		return SCRAM_MALFORMED;
	memcpy(server->_nonce, nonce.ptr, nonce.len);
	server->_nonce_len = nonce.len;
	server->_client_first_bare.len = 0;
	return scram_put(&server->_client_first_bare, bare.ptr, bare.len) ? SCRAM_OK : SCRAM_MALFORMED;
}

/* r=nonce,s=salt,i=iterations */
static bool
compose_server_first(const ScramServer *server, ScramMessage *out)
{
	char iterations[16];

	snprintf(iterations, sizeof(iterations), "%u", server->_verifier.iterations);
	out->len = 0;
	return scram_put_str(out, "r=") && scram_put(out, server->_nonce, server->_nonce_len) && scram_put_str(out, ",s=") &&
		   scram_put_base64(out, server->_verifier.salt, server->_verifier.salt_len) && scram_put_str(out, ",i=") &&
		   scram_put_str(out, iterations);
}

ScramStatus
scram_server_first(ScramServer *server, Slice client_first, const ScramVerifier *verifier, Slice binding,
				   bool plus, ScramMessage *out)
{
	ScramStatus status;
	Slice bare;

	server->_step = STEP_OVER;
	server->_verifier = *verifier;
	if (binding.len > SCRAM_BINDING_MAX || client_first.len > SCRAM_MESSAGE_MAX)
		return SCRAM_MALFORMED;
	status = read_channel_header(server, client_first, binding, plus, &bare);
	if (status != SCRAM_OK)
		return status;
	status = read_client_first_bare(server, bare);
	if (status != SCRAM_OK)
		return status;
	if (!scram_make_nonce(server->_nonce + server->_nonce_len))
		return SCRAM_CRYPTO_FAILED;
	server->_nonce_len += NONCE_CHARS;
	if (!compose_server_first(server, &server->_server_first))
		return SCRAM_MALFORMED;
	*out = server->_server_first;
	server->_step = STEP_PROVING;
	return SCRAM_OK;
}

/* --- client-final, server-final --- */

typedef struct ClientFinal
{
	Slice channel;
	Slice nonce;
	Slice proof;
	Slice without_proof;
} ClientFinal;

/* c=channel,r=nonce[,extensions],p=proof */
static bool
read_client_final(Slice text, ClientFinal *out)
{
	ScramAttrs attrs = {.text = text};

	out->channel = scram_attrs_take(&attrs, 'c');
	out->nonce = scram_attrs_take(&attrs, 'r');
	while (!attrs.failed && scram_attrs_peek(&attrs) != 'p')
		scram_attrs_take(&attrs, 0);
	if (attrs.failed)
		return false;
	out->without_proof = slice_make(text.ptr, attrs.pos - 1);
	out->proof = scram_attrs_take(&attrs, 'p');
	return !attrs.failed && scram_attrs_end(&attrs);
}

/* Is c= what the channel header (and binding data) encodes to? */
static bool
channel_matches(const ScramServer *server, Slice channel)
{
	char expected[BASE64_SIZE(sizeof(server->_channel))];
	size_t len = base64_encode(server->_channel, server->_channel_len, expected);

	return slice_equal(channel, slice_make(expected, len));
}

/* Recover the ClientKey from the proof and see whether it is the one whose hash is stored. */
static ScramStatus
check_proof(const ScramServer *server, const ClientFinal *final, const uint8_t proof[SCRAM_KEY_SIZE],
			uint8_t client_key[SCRAM_KEY_SIZE])
{
	uint8_t signature[SCRAM_KEY_SIZE];
	uint8_t key[SCRAM_KEY_SIZE];
	uint8_t hashed[SCRAM_KEY_SIZE];
	ScramStatus status = SCRAM_CRYPTO_FAILED;

	if (scram_sign(server->_verifier.stored_key, scram_message_slice(&server->_client_first_bare),
			 scram_message_slice(&server->_server_first), final->without_proof, signature))
	{
		scram_xor_keys(proof, signature, key);
		if (scram_sha256(key, hashed))
			status = CRYPTO_memcmp(hashed, server->_verifier.stored_key, SCRAM_KEY_SIZE) == 0 &&
							 !server->_verifier.mock
						 ? SCRAM_OK
						 : SCRAM_WRONG_PASSWORD;
	}
	if (status == SCRAM_OK)
		memcpy(client_key, key, SCRAM_KEY_SIZE);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(signature, sizeof(signature));
	return status;
}

ScramStatus
scram_server_final(ScramServer *server, Slice client_final, ScramMessage *out,
				   uint8_t client_key[SCRAM_KEY_SIZE])
{
	ClientFinal final;
	uint8_t proof[SCRAM_KEY_SIZE];
	uint8_t signature[SCRAM_KEY_SIZE];
	ScramStatus status;

	if (server->_step != STEP_PROVING)
		return SCRAM_MALFORMED;
	server->_step = STEP_OVER;
	if (client_final.len > SCRAM_MESSAGE_MAX || !read_client_final(client_final, &final) ||
		!scram_decode_key(final.proof, proof))
		return SCRAM_MALFORMED;
	if (!channel_matches(server, final.channel))
		return SCRAM_BINDING_MISMATCH;
	if (!slice_equal(final.nonce, slice_make(server->_nonce, server->_nonce_len)))
		return SCRAM_NONCE_MISMATCH;
	status = check_proof(server, &final, proof, client_key);
	if (status != SCRAM_OK)
		return status;
	if (!scram_sign(server->_verifier.server_key, scram_message_slice(&server->_client_first_bare),
			  scram_message_slice(&server->_server_first), final.without_proof, signature))
		return SCRAM_CRYPTO_FAILED;
	out->len = 0;
	return scram_put_str(out, "v=") && scram_put_base64(out, signature, SCRAM_KEY_SIZE) ? SCRAM_OK : SCRAM_MALFORMED;
}

void
scram_server_set_keys(ScramServer *server, const ScramVerifier *verifier)
{
	memcpy(server->_verifier.stored_key, verifier->stored_key, SCRAM_KEY_SIZE);
	memcpy(server->_verifier.server_key, verifier->server_key, SCRAM_KEY_SIZE);
}

void
scram_server_wipe(ScramServer *server)
{
	OPENSSL_cleanse(server, sizeof(*server));
}
