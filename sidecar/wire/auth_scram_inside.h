/*
 * auth_scram_inside.h: what the files of SCRAM say to each other; nobody else includes it.
 *
 *   auth_scram.c         the messages: attributes, composing, signing
 *   auth_scram_keys.c    passwords, keys, verifiers
 *   auth_scram_server.c  the side of the verifier
 *   auth_scram_client.c  the side of the password
 *
 * A message is a comma-separated list of attributes x=value in a fixed order; a ScramAttrs walks one.  Both ends sign the same text, the
 * "AuthMessage": client-first without its channel header, server-first, and client-final without its proof.
 */
#ifndef PGWEIR_WIRE_AUTH_SCRAM_INSIDE_H
#define PGWEIR_WIRE_AUTH_SCRAM_INSIDE_H

#include "wire/auth_scram.h"
#include "wire/base64.h"

#define NONCE_BYTES 18
#define NONCE_CHARS BASE64_SIZE(NONCE_BYTES)
#define BINDING_NAME "tls-server-end-point"

enum
{
	STEP_OVER,    /* nothing (further) is accepted; also what a zeroed struct says */
	STEP_STARTED, /* client: client-first made */
	STEP_PROVING  /* server: server-first made; client: client-final made */
};

/* --- reading a message --- */

typedef struct ScramAttrs
{
	Slice text;
	size_t pos;
	bool failed;
} ScramAttrs;

static inline bool
scram_attrs_end(const ScramAttrs *attrs)
{
	return attrs->pos >= attrs->text.len;
}
/* The next attribute's letter, without taking it; 0 at the end. */
static inline uint8_t
scram_attrs_peek(const ScramAttrs *attrs)
{
	return scram_attrs_end(attrs) ? 0 : attrs->text.ptr[attrs->pos];
}
/* Take the next attribute, whose letter must be this one (0: any letter). */
extern Slice scram_attrs_take(ScramAttrs *attrs, uint8_t letter);
extern void scram_attrs_skip_extensions(ScramAttrs *attrs);
extern bool scram_nonce_is_valid(Slice nonce) MUST_CHECK;
/* A decimal number from 1 to INT32_MAX. */
extern bool scram_parse_iterations(Slice text, uint32_t *out) MUST_CHECK;
/* The text before the first `separator`; *rest is what follows it. */
extern bool scram_split(Slice *rest, uint8_t separator, Slice *part) MUST_CHECK;
/* A key (or signature, or proof) in Base64. */
extern bool scram_decode_key(Slice text, uint8_t out[SCRAM_KEY_SIZE]) MUST_CHECK;

/* --- composing one --- */

/* Append to a message; false when it is full. */
extern bool scram_put(ScramMessage *message, const void *bytes, size_t n) MUST_CHECK;
extern bool scram_put_base64(ScramMessage *message, const void *bytes, size_t n) MUST_CHECK;
extern bool scram_put_str(ScramMessage *message, const char *s) MUST_CHECK;
extern bool scram_make_nonce(char out[NONCE_CHARS]) MUST_CHECK;
/* Sign the AuthMessage; final_bare is client-final without its proof. */
extern bool scram_sign(const uint8_t key[SCRAM_KEY_SIZE], Slice first_bare, Slice server_first, Slice final_bare,
					   uint8_t out[SCRAM_KEY_SIZE]) MUST_CHECK;

/* --- crypto: auth_scram_keys.c --- */

extern bool scram_hmac(const uint8_t key[SCRAM_KEY_SIZE], Slice data, uint8_t out[SCRAM_KEY_SIZE]) MUST_CHECK;
extern bool scram_sha256(const uint8_t in[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE]) MUST_CHECK;
static inline void
scram_xor_keys(const uint8_t a[SCRAM_KEY_SIZE], const uint8_t b[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE])
{
	for (int i = 0; i < SCRAM_KEY_SIZE; i++)
		out[i] = a[i] ^ b[i];
}

#endif
