/*
 * saslprep.c: passwords as SCRAM hashes them.
 */
#include "wire/saslprep.h"

#ifdef PGWEIR_HAVE_PG_SASLPREP

#include <openssl/crypto.h>
#include <stdlib.h>

/*
 * In libpgcommon of every PostgreSQL since 10 (common/saslprep.h, which cannot be included without taking all
 * of PostgreSQL's frontend headers).  0 is success, and then *output is malloc'ed.
 */
extern int pg_saslprep(const char *input, char **output);

#define PASSWORD_MAX 2048

static bool
is_ascii(Slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 0x80)
			return false;
	return true;
}

bool
wire_saslprep(Slice password, char *out, size_t out_size, size_t *out_len)
{
	char input[PASSWORD_MAX];
	char *prepared = NULL;
	bool fits = false;

	if (password.len == 0 || password.len >= sizeof(input) || is_ascii(password) ||
		memchr(password.ptr, 0, password.len) != NULL)
		return false;
	memcpy(input, password.ptr, password.len);
	input[password.len] = '\0';
	if (pg_saslprep(input, &prepared) == 0)
	{
		*out_len = strlen(prepared);
		fits = *out_len <= out_size;
		if (fits)
			memcpy(out, prepared, *out_len);
		OPENSSL_cleanse(prepared, *out_len);
		free(prepared);
	}
	OPENSSL_cleanse(input, password.len);
	return fits;
}

#else

bool
wire_saslprep(Slice password, char *out, size_t out_size, size_t *out_len)
{
	(void) password;
	(void) out;
	(void) out_size;
	(void) out_len;
	return false;
}

#endif
