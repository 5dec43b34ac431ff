/*
 * auth_scram.c: the messages of SCRAM: their attributes, and the text that both ends sign.
 */
#include "wire/auth_scram_inside.h"

#include <openssl/rand.h>
#include <string.h>

const char *
scram_status_text(ScramStatus status)
{
	switch (status)
	{
		case SCRAM_OK: return "ok";
		case SCRAM_MALFORMED: return "malformed SCRAM message";
		case SCRAM_UNSUPPORTED: return "authorization identity or mandatory SCRAM extension";
		case SCRAM_BINDING_NOT_OFFERED: return "client uses channel binding, which was not offered";
		case SCRAM_BINDING_DOWNGRADED: return "client does not use the channel binding that was offered";
		case SCRAM_BINDING_MISMATCH: return "channel binding does not match this connection";
		case SCRAM_NONCE_MISMATCH: return "SCRAM nonce does not match";
		case SCRAM_WRONG_PASSWORD: return "wrong password or unknown user";
		case SCRAM_KEYS_DO_NOT_FIT: return "no password, and the SCRAM keys belong to another verifier";
		case SCRAM_KEYS_MISSING: return "keys are still to be derived";
		case SCRAM_TOO_MANY_ITERATIONS: return "SCRAM iteration count out of range";
		case SCRAM_REFUSED: return "server reports a SCRAM error";
		case SCRAM_SERVER_NOT_GENUINE: return "server does not know the password's verifier";
		case SCRAM_CRYPTO_FAILED: return "cryptographic library failed";
	}
	return "unknown";
}

/* --- reading --- */

Slice
scram_attrs_take(ScramAttrs *attrs, uint8_t letter)
{
	size_t left = attrs->text.len - attrs->pos;
	const uint8_t *at = left > 0 ? attrs->text.ptr + attrs->pos : NULL;
	const uint8_t *comma;
	size_t len;

	if (!attrs->failed && left >= 2 && at[1] == '=' &&
		(letter != 0 ? at[0] == letter : (at[0] | 32) >= 'a' && (at[0] | 32) <= 'z'))
	{
		comma = memchr(at, ',', left);
		len = comma != NULL ? (size_t) (comma - at) : left;
		/* a comma must be followed by something */
		attrs->failed = comma != NULL && len + 1 == left;
		attrs->pos += comma != NULL ? len + 1 : len;
		return slice_make(at + 2, len - 2);
	}
	attrs->failed = true;
	return (Slice){NULL, 0};
}

void
scram_attrs_skip_extensions(ScramAttrs *attrs)
{
	while (!attrs->failed && !scram_attrs_end(attrs))
		scram_attrs_take(attrs, 0);
}

bool
scram_nonce_is_valid(Slice nonce)
{
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.ptr[i] < 0x21 || nonce.ptr[i] > 0x7e)
			return false;
	return nonce.len > 0;
}

bool
scram_parse_iterations(Slice text, uint32_t *out)
{
	uint64_t n = 0;

	if (text.len == 0 || text.len > 10)
		return false;
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		n = n * 10 + (text.ptr[i] - '0');
	}
	*out = (uint32_t) n;
	return n > 0 && n <= INT32_MAX;
}

bool
scram_split(Slice *rest, uint8_t separator, Slice *part)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;

	if (at == NULL)
		return false;
	*part = slice_make(rest->ptr, (size_t) (at - rest->ptr));
	*rest = slice_make(at + 1, rest->len - part->len - 1);
	return true;
}

bool
scram_decode_key(Slice text, uint8_t out[SCRAM_KEY_SIZE])
{
	size_t len;

	return base64_decode(text, out, SCRAM_KEY_SIZE, &len) && len == SCRAM_KEY_SIZE;
}

/* --- composing --- */

bool
scram_put(ScramMessage *message, const void *bytes, size_t n)
{
	if (n > sizeof(message->text) - message->len)
		return false;
	memcpy(message->text + message->len, bytes, n);
	message->len += n;
	return true;
}

bool
scram_put_base64(ScramMessage *message, const void *bytes, size_t n)
{
	if (BASE64_SIZE(n) > sizeof(message->text) - message->len)
		return false;
	message->len += base64_encode(bytes, n, message->text + message->len);
	return true;
}

bool
scram_put_str(ScramMessage *message, const char *s)
{
	return scram_put(message, s, strlen(s));
}

bool
scram_make_nonce(char out[NONCE_CHARS])
{
	uint8_t raw[NONCE_BYTES];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return false;
	base64_encode(raw, sizeof(raw), out);
	return true;
}

bool
scram_sign(const uint8_t key[SCRAM_KEY_SIZE], Slice first_bare, Slice server_first, Slice final_bare,
	 uint8_t out[SCRAM_KEY_SIZE])
{
	uint8_t message[3 * SCRAM_MESSAGE_MAX + 2];
	size_t len = 0;

	memcpy(message, first_bare.ptr, first_bare.len);
	len += first_bare.len;
	message[len++] = ',';
	memcpy(message + len, server_first.ptr, server_first.len);
	len += server_first.len;
	message[len++] = ',';
	memcpy(message + len, final_bare.ptr, final_bare.len);
	len += final_bare.len;
	return scram_hmac(key, slice_make(message, len), out);
}
