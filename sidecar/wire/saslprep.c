/*
 * saslprep.c: passwords as SCRAM hashes them.  It includes PostgreSQL's frontend header, so nothing else is
 * in here.
 */
#ifdef PGWEIR_HAVE_PG_SASLPREP
#include "postgres_fe.h"
#include "common/saslprep.h"
#endif

#include "wire/saslprep.h"

#ifdef PGWEIR_HAVE_PG_SASLPREP

#include <openssl/crypto.h>
#include <stdlib.h>

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
	if (pg_saslprep(input, &prepared) == SASLPREP_SUCCESS)
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
