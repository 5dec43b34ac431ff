/*
 * auth_md5.c: PostgreSQL's MD5 password scheme.
 */
#include "wire/auth_md5.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define MD5_BYTES 16
#define MD5_HEX 32

/* "md5" and the hex of md5(a || b). */
static bool
md5_of(Slice a, Slice b, char out[WIRE_MD5_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[EVP_MAX_MD_SIZE];
	bool ok;

	ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
		 EVP_DigestUpdate(ctx, a.ptr, a.len) == 1 && EVP_DigestUpdate(ctx, b.ptr, b.len) == 1 &&
		 EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	memcpy(out, "md5", 3);
	for (int i = 0; i < MD5_BYTES; i++)
	{
		out[3 + 2 * i] = hex[digest[i] >> 4];
		out[4 + 2 * i] = hex[digest[i] & 15];
	}
	out[3 + MD5_HEX] = '\0';
	OPENSSL_cleanse(digest, sizeof(digest));
	return true;
}

bool
wire_md5_is_stored(Slice secret)
{
	if (secret.len != 3 + MD5_HEX || memcmp(secret.ptr, "md5", 3) != 0)
		return false;
	for (size_t i = 3; i < secret.len; i++)
	{
		uint8_t c = secret.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

bool
wire_md5_password(Slice user, Slice password, char out[WIRE_MD5_SIZE])
{
	return md5_of(password, user, out);
}

bool
wire_md5_response(Slice secret, Slice user, const uint8_t salt[4], char out[WIRE_MD5_SIZE])
{
	char stored[WIRE_MD5_SIZE];
	bool ok;

	if (wire_md5_is_stored(secret))
		memcpy(stored, secret.ptr, secret.len);
	else if (!wire_md5_password(user, secret, stored))
		return false;
	ok = md5_of(slice_make(stored + 3, MD5_HEX), slice_make(salt, 4), out);
	OPENSSL_cleanse(stored, sizeof(stored));
	return ok;
}

bool
wire_md5_check(Slice secret, Slice user, const uint8_t salt[4], Slice response)
{
	char expected[WIRE_MD5_SIZE];

	if (!wire_md5_response(secret, user, salt, expected))
		return false;
	return response.len == WIRE_MD5_SIZE - 1 && CRYPTO_memcmp(response.ptr, expected, WIRE_MD5_SIZE - 1) == 0;
}
