/*
 * auth_md5.h: PostgreSQL's MD5 password scheme.
 *
 * Stored: "md5" + hex(md5(password + user)).  On the wire: "md5" + hex(md5(stored hex + salt)).  Every
 * function returns false when OpenSSL will not do MD5 (FIPS mode).  Output strings are 35 characters and a
 * NUL.
 */
#ifndef PGWEIR_WIRE_AUTH_MD5_H
#define PGWEIR_WIRE_AUTH_MD5_H

#include "base/buf.h"

#define WIRE_MD5_SIZE 36

/* Has this secret the form of a stored MD5 password? */
extern bool wire_md5_is_stored(Slice secret);
extern bool wire_md5_password(Slice user, Slice password, char out[WIRE_MD5_SIZE]) MUST_CHECK;
/* What a client answers to a salt; secret is a stored MD5 password or a plain one. */
extern bool wire_md5_response(Slice secret, Slice user, const uint8_t salt[4],
							  char out[WIRE_MD5_SIZE]) MUST_CHECK;
/* Is this the right answer?  Compares in constant time. */
extern bool wire_md5_check(Slice secret, Slice user, const uint8_t salt[4], Slice response) MUST_CHECK;

#endif
