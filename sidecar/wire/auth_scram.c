/*
 * auth_scram.c: both ends of SCRAM-SHA-256.
 *
 * A message is a comma-separated list of attributes x=value in a fixed order; an Attrs walks one.  Both ends
 * sign the same text, the "AuthMessage": client-first without its channel header, server-first, and
 * client-final without its proof.
 */
#include "wire/auth_scram.h"
#include "wire/base64.h"
#include "wire/saslprep.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>

#define NONCE_BYTES 18
#define NONCE_CHARS BASE64_SIZE(NONCE_BYTES)
#define PASSWORD_MAX 2048
#define ROUNDS_BETWEEN 128 /* rounds of HMAC between two times of giving way: some 50 microseconds */
#define HMAC_BLOCK 64 /* of SHA-256 */
#define BINDING_NAME "tls-server-end-point"
#define SECRET_PREFIX "SCRAM-SHA-256$"

_Static_assert(SCRAM_KEY_SIZE == SHA256_DIGEST_LENGTH, "keys are SHA-256 digests");

enum
{
	STEP_OVER,    /* nothing (further) is accepted; also what a zeroed struct says */
	STEP_STARTED, /* client: client-first made */
	STEP_PROVING  /* server: server-first made; client: client-final made */
};

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

/* ---- crypto ---- */

/* For the process, made at first use and never changed.  EVP_sha256() is looked up by its name, under locks, at each use. */
static const EVP_MD *the_digest;

static void
fetch_digest(void)
{
	the_digest = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (the_digest == NULL)
		the_digest = EVP_sha256();
}

static const EVP_MD *
digest(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch_digest);
	return the_digest;
}

/* Begin a hash with the key's block. */
static bool
start_with(EVP_MD_CTX *context, const uint8_t key[HMAC_BLOCK], uint8_t pad)
{
	uint8_t block[HMAC_BLOCK];
	bool ok;

	for (int i = 0; i < HMAC_BLOCK; i++)
		block[i] = key[i] ^ pad;
	ok = context != NULL && EVP_DigestInit_ex2(context, digest(), NULL) == 1 && EVP_DigestUpdate(context, block, sizeof(block)) == 1;
	OPENSSL_cleanse(block, sizeof(block));
	return ok;
}

/* HMAC() takes several times as long, for the sake of digests it does not know. */
static bool
hmac(const uint8_t key[SCRAM_KEY_SIZE], Slice data, uint8_t out[SCRAM_KEY_SIZE])
{
	uint8_t block[HMAC_BLOCK] = {0};
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok;

	memcpy(block, key, SCRAM_KEY_SIZE);
	ok = start_with(context, block, 0x36) && EVP_DigestUpdate(context, data.ptr, data.len) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1 &&
		 start_with(context, block, 0x5c) && EVP_DigestUpdate(context, out, SCRAM_KEY_SIZE) == 1 && EVP_DigestFinal_ex(context, out, NULL) == 1;
	OPENSSL_cleanse(block, sizeof(block));
	EVP_MD_CTX_free(context);
	return ok;
}

static bool
sha256(const uint8_t in[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE])
{
	return EVP_Digest(in, SCRAM_KEY_SIZE, out, NULL, digest(), NULL) == 1;
}

static void
xor_keys(const uint8_t a[SCRAM_KEY_SIZE], const uint8_t b[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE])
{
	for (int i = 0; i < SCRAM_KEY_SIZE; i++)
		out[i] = a[i] ^ b[i];
}

/* HMAC with one key, many times: what the key's two blocks make of an empty hash is computed once.  Half the time of EVP_MAC's. */
typedef struct Rounds
{
	EVP_MD_CTX *inner, *outer, *scratch;
} Rounds;

/* rounds_free follows in any case. */
static bool
rounds_init(Rounds *rounds, Slice secret)
{
	uint8_t key[HMAC_BLOCK] = {0};
	bool ok = true;

	if (secret.len > sizeof(key))
		ok = EVP_Digest(secret.ptr, secret.len, key, NULL, digest(), NULL) == 1;
	else if (secret.len > 0)
		memcpy(key, secret.ptr, secret.len);
	*rounds = (Rounds){EVP_MD_CTX_new(), EVP_MD_CTX_new(), EVP_MD_CTX_new()};
	ok = ok && start_with(rounds->inner, key, 0x36) && start_with(rounds->outer, key, 0x5c) && rounds->scratch != NULL;
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}

/* The contexts are wiped by OpenSSL. */
static void
rounds_free(Rounds *rounds)
{
	EVP_MD_CTX_free(rounds->inner);
	EVP_MD_CTX_free(rounds->outer);
	EVP_MD_CTX_free(rounds->scratch);
}

static bool
hash_on(const Rounds *rounds, const EVP_MD_CTX *from, const uint8_t *data, size_t len, uint8_t out[SCRAM_KEY_SIZE])
{
	return EVP_MD_CTX_copy_ex(rounds->scratch, from) == 1 && EVP_DigestUpdate(rounds->scratch, data, len) == 1 &&
		   EVP_DigestFinal_ex(rounds->scratch, out, NULL) == 1;
}

/* The result may be its own input. */
static bool
hmac_again(const Rounds *rounds, const uint8_t *data, size_t len, uint8_t out[SCRAM_KEY_SIZE])
{
	return hash_on(rounds, rounds->inner, data, len, out) && hash_on(rounds, rounds->outer, out, SCRAM_KEY_SIZE, out);
}

/*
 * RFC 5802's Hi(), which is the first block of PBKDF2.  Not by OpenSSL's PBKDF2, which comes back after some milliseconds only: who
 * derives beside an event loop wants to give way now and then.
 */
static bool
salt_password(Slice secret, const ScramKeys *keys, void (*give_way)(void), uint8_t out[SCRAM_KEY_SIZE])
{
	Rounds rounds;
	uint8_t first[SCRAM_SALT_MAX + 4];
	uint8_t round[SCRAM_KEY_SIZE] = {0};
	bool ok = rounds_init(&rounds, secret);

	memcpy(first, keys->salt, keys->salt_len);
	memcpy(first + keys->salt_len, "\0\0\0\1", 4);
	ok = ok && hmac_again(&rounds, first, keys->salt_len + 4, round);
	memcpy(out, round, SCRAM_KEY_SIZE);
	for (uint32_t i = 1; ok && i < keys->iterations; i++)
	{
		ok = hmac_again(&rounds, round, sizeof(round), round);
		xor_keys(out, round, out);
		if (i % ROUNDS_BETWEEN == 0 && give_way != NULL)
			give_way();
	}
	OPENSSL_cleanse(round, sizeof(round));
	rounds_free(&rounds);
	return ok;
}

/* Fill in the two keys of a ScramKeys whose salt and iterations are set: the slow step. */
static ScramStatus
derive_keys(Slice password, void (*give_way)(void), ScramKeys *keys)
{
	char prepared[PASSWORD_MAX];
	size_t prepared_len = 0;
	uint8_t salted[SCRAM_KEY_SIZE];
	Slice secret = password;
	bool ok;

	if (password.len > PASSWORD_MAX || keys->salt_len > SCRAM_SALT_MAX)
		return SCRAM_MALFORMED;
	if (keys->iterations == 0 || keys->iterations > SCRAM_ITERATIONS_MAX)
		return SCRAM_TOO_MANY_ITERATIONS;
	if (wire_saslprep(password, prepared, sizeof(prepared), &prepared_len))
		secret = slice_make(prepared, prepared_len);
	ok = salt_password(secret, keys, give_way, salted) &&
		 hmac(salted, SLICE_LITERAL("Client Key"), keys->client_key) &&
		 hmac(salted, SLICE_LITERAL("Server Key"), keys->server_key);
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(prepared, prepared_len);
	return ok ? SCRAM_OK : SCRAM_CRYPTO_FAILED;
}

/* Sign the AuthMessage; final_bare is client-final without its proof. */
static bool
sign(const uint8_t key[SCRAM_KEY_SIZE], Slice first_bare, Slice server_first, Slice final_bare,
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
	return hmac(key, slice_make(message, len), out);
}

static bool
make_nonce(char out[NONCE_CHARS])
{
	uint8_t raw[NONCE_BYTES];

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return false;
	base64_encode(raw, sizeof(raw), out);
	return true;
}

/* ---- attributes ---- */

typedef struct Attrs
{
	Slice text;
	size_t pos;
	bool failed;
} Attrs;

static bool
attrs_end(const Attrs *attrs)
{
	return attrs->pos >= attrs->text.len;
}

/* The next attribute's letter, without taking it; 0 at the end. */
static uint8_t
attrs_peek(const Attrs *attrs)
{
	return attrs_end(attrs) ? 0 : attrs->text.ptr[attrs->pos];
}

/* Take the next attribute, whose letter must be this one (0: any letter). */
static Slice
attrs_take(Attrs *attrs, uint8_t letter)
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

static void
attrs_skip_extensions(Attrs *attrs)
{
	while (!attrs->failed && !attrs_end(attrs))
		attrs_take(attrs, 0);
}

static bool
nonce_is_valid(Slice nonce)
{
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.ptr[i] < 0x21 || nonce.ptr[i] > 0x7e)
			return false;
	return nonce.len > 0;
}

/* A decimal number from 1 to INT32_MAX. */
static bool
parse_iterations(Slice text, uint32_t *out)
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

/* ---- composing ---- */

/* Append bytes to a message; false when it is full. */
static bool
put(ScramMessage *message, const void *bytes, size_t n)
{
	if (n > sizeof(message->text) - message->len)
		return false;
	memcpy(message->text + message->len, bytes, n);
	message->len += n;
	return true;
}

static bool
put_base64(ScramMessage *message, const void *bytes, size_t n)
{
	if (BASE64_SIZE(n) > sizeof(message->text) - message->len)
		return false;
	message->len += base64_encode(bytes, n, message->text + message->len);
	return true;
}

static bool
put_str(ScramMessage *message, const char *s)
{
	return put(message, s, strlen(s));
}

/* ---- verifiers ---- */

/* The text before the first `separator`; *rest is what follows it. */
static bool
split(Slice *rest, uint8_t separator, Slice *part)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;

	if (at == NULL)
		return false;
	*part = slice_make(rest->ptr, (size_t) (at - rest->ptr));
	*rest = slice_make(at + 1, rest->len - part->len - 1);
	return true;
}

static bool
decode_key(Slice text, uint8_t out[SCRAM_KEY_SIZE])
{
	size_t len;

	return base64_decode(text, out, SCRAM_KEY_SIZE, &len) && len == SCRAM_KEY_SIZE;
}

bool
scram_verifier_parse(Slice secret, ScramVerifier *out)
{
	const size_t prefix = sizeof(SECRET_PREFIX) - 1;
	Slice rest, iterations, salt, stored;
	ScramVerifier v = {.mock = false};
	size_t salt_len;

	if (secret.len <= prefix || memcmp(secret.ptr, SECRET_PREFIX, prefix) != 0)
		return false;
	rest = slice_make(secret.ptr + prefix, secret.len - prefix);
	if (!split(&rest, ':', &iterations) || !split(&rest, '$', &salt) || !split(&rest, ':', &stored))
		return false;
	if (!parse_iterations(iterations, &v.iterations) ||
		!base64_decode(salt, v.salt, sizeof(v.salt), &salt_len) || salt_len == 0 ||
		!decode_key(stored, v.stored_key) || !decode_key(rest, v.server_key))
		return false;
	v.salt_len = (uint32_t) salt_len;
	*out = v;
	return true;
}

bool
scram_verifier_format(const ScramVerifier *verifier, char out[SCRAM_SECRET_MAX], size_t *len)
{
	int n = snprintf(out, SCRAM_SECRET_MAX, SECRET_PREFIX "%u:", verifier->iterations);
	size_t at = n > 0 ? (size_t) n : 0;

	if (n <= 0 || verifier->salt_len > SCRAM_SALT_MAX)
		return false;
	/* prefix, ten digits and the three encodings fit: see the assertion */
	_Static_assert(sizeof(SECRET_PREFIX) + 10 + 1 + BASE64_SIZE(SCRAM_SALT_MAX) + 2 +
						   2 * BASE64_SIZE(SCRAM_KEY_SIZE) <=
					   SCRAM_SECRET_MAX,
				   "a verifier's text fits");
	at += base64_encode(verifier->salt, verifier->salt_len, out + at);
	out[at++] = '$';
	at += base64_encode(verifier->stored_key, SCRAM_KEY_SIZE, out + at);
	out[at++] = ':';
	at += base64_encode(verifier->server_key, SCRAM_KEY_SIZE, out + at);
	out[at] = '\0';
	*len = at;
	return true;
}

bool
scram_verifier_from_keys(const ScramKeys *keys, ScramVerifier *out)
{
	ScramVerifier v = {.iterations = keys->iterations, .salt_len = keys->salt_len};

	memcpy(v.salt, keys->salt, sizeof(v.salt));
	memcpy(v.server_key, keys->server_key, SCRAM_KEY_SIZE);
	if (!sha256(keys->client_key, v.stored_key))
		return false;
	*out = v;
	return true;
}

ScramStatus
scram_verifier_build(Slice password, uint32_t iterations, const uint8_t *salt, size_t salt_len,
					 ScramVerifier *out)
{
	ScramKeys keys = {.iterations = iterations};
	ScramStatus status;

	if (salt_len > SCRAM_SALT_MAX)
		return SCRAM_MALFORMED;
	keys.salt_len = (uint32_t) (salt_len > 0 ? salt_len : SCRAM_SALT_DEFAULT);
	if (salt_len > 0)
		memcpy(keys.salt, salt, salt_len);
	else if (RAND_bytes(keys.salt, SCRAM_SALT_DEFAULT) != 1)
		return SCRAM_CRYPTO_FAILED;

	status = derive_keys(password, NULL, &keys);
	if (status == SCRAM_OK && !scram_verifier_from_keys(&keys, out))
		status = SCRAM_CRYPTO_FAILED;
	scram_keys_wipe(&keys);
	return status;
}

/* What stands for a user, and the salt that comes of it. */
static bool
seed_and_salt(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint8_t seed[SCRAM_KEY_SIZE], uint8_t salt[SCRAM_SALT_DEFAULT])
{
	uint8_t made[SCRAM_KEY_SIZE];

	if (!hmac(secret, user, seed) || !hmac(seed, SLICE_LITERAL("salt"), made))
		return false;
	memcpy(salt, made, SCRAM_SALT_DEFAULT);
	return true;
}

bool
scram_salt_for(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint8_t salt[SCRAM_SALT_DEFAULT])
{
	uint8_t seed[SCRAM_KEY_SIZE];
	bool ok = seed_and_salt(user, secret, seed, salt);

	OPENSSL_cleanse(seed, sizeof(seed));
	return ok;
}

/* Every login makes one, so it is no more than is seen of it: the salt.  Its keys satisfy nobody, and sign nothing. */
bool
scram_verifier_mock(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint32_t iterations, ScramVerifier *out)
{
	ScramVerifier v = {.iterations = iterations, .salt_len = SCRAM_SALT_DEFAULT, .mock = true};
	bool ok = seed_and_salt(user, secret, v.stored_key, v.salt);

	memcpy(v.server_key, v.stored_key, sizeof(v.server_key));
	if (ok)
		*out = v;
	OPENSSL_cleanse(&v, sizeof(v));
	return ok;
}

void
scram_verifier_wipe(ScramVerifier *verifier)
{
	OPENSSL_cleanse(verifier, sizeof(*verifier));
}

ScramStatus
scram_keys_derive(Slice password, ScramKeys *keys, void (*give_way)(void))
{
	ScramStatus status = derive_keys(password, give_way, keys);

	if (status == SCRAM_OK && !hmac(keys->client_key, password, keys->_password_tag))
		status = SCRAM_CRYPTO_FAILED;
	return status;
}

/* Without the question, keys of a mistaken password would outlive its correction. */
bool
scram_keys_came_from(const ScramKeys *keys, Slice password)
{
	uint8_t tag[SCRAM_KEY_SIZE];

	return hmac(keys->client_key, password, tag) && CRYPTO_memcmp(tag, keys->_password_tag, SCRAM_KEY_SIZE) == 0;
}

void
scram_keys_from_login(ScramKeys *keys, const ScramVerifier *verifier,
					  const uint8_t client_key[SCRAM_KEY_SIZE])
{
	keys->iterations = verifier->iterations;
	keys->salt_len = verifier->salt_len;
	memcpy(keys->salt, verifier->salt, sizeof(keys->salt));
	memcpy(keys->client_key, client_key, SCRAM_KEY_SIZE);
	memcpy(keys->server_key, verifier->server_key, SCRAM_KEY_SIZE);
	memset(keys->_password_tag, 0, SCRAM_KEY_SIZE);
}

void
scram_keys_wipe(ScramKeys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}

/* ---- server side ---- */

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

	if (!split(&rest, ',', &flag) || !split(&rest, ',', &identity))
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
	Attrs attrs = {.text = bare};
	Slice nonce;

	if (attrs_peek(&attrs) == 'm')
		return SCRAM_UNSUPPORTED;
	attrs_take(&attrs, 'n');
	nonce = attrs_take(&attrs, 'r');
	attrs_skip_extensions(&attrs);
	if (attrs.failed || !nonce_is_valid(nonce) || nonce.len > sizeof(server->_nonce) - NONCE_CHARS)
		return SCRAM_MALFORMED;
	memcpy(server->_nonce, nonce.ptr, nonce.len);
	server->_nonce_len = nonce.len;
	server->_client_first_bare.len = 0;
	return put(&server->_client_first_bare, bare.ptr, bare.len) ? SCRAM_OK : SCRAM_MALFORMED;
}

/* r=nonce,s=salt,i=iterations */
static bool
compose_server_first(const ScramServer *server, ScramMessage *out)
{
	char iterations[16];

	snprintf(iterations, sizeof(iterations), "%u", server->_verifier.iterations);
	out->len = 0;
	return put_str(out, "r=") && put(out, server->_nonce, server->_nonce_len) && put_str(out, ",s=") &&
		   put_base64(out, server->_verifier.salt, server->_verifier.salt_len) && put_str(out, ",i=") &&
		   put_str(out, iterations);
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
	if (!make_nonce(server->_nonce + server->_nonce_len))
		return SCRAM_CRYPTO_FAILED;
	server->_nonce_len += NONCE_CHARS;
	if (!compose_server_first(server, &server->_server_first))
		return SCRAM_MALFORMED;
	*out = server->_server_first;
	server->_step = STEP_PROVING;
	return SCRAM_OK;
}

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
	Attrs attrs = {.text = text};

	out->channel = attrs_take(&attrs, 'c');
	out->nonce = attrs_take(&attrs, 'r');
	while (!attrs.failed && attrs_peek(&attrs) != 'p')
		attrs_take(&attrs, 0);
	if (attrs.failed)
		return false;
	out->without_proof = slice_make(text.ptr, attrs.pos - 1);
	out->proof = attrs_take(&attrs, 'p');
	return !attrs.failed && attrs_end(&attrs);
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

	if (sign(server->_verifier.stored_key, scram_message_slice(&server->_client_first_bare),
			 scram_message_slice(&server->_server_first), final->without_proof, signature))
	{
		xor_keys(proof, signature, key);
		if (sha256(key, hashed))
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
		!decode_key(final.proof, proof))
		return SCRAM_MALFORMED;
	if (!channel_matches(server, final.channel))
		return SCRAM_BINDING_MISMATCH;
	if (!slice_equal(final.nonce, slice_make(server->_nonce, server->_nonce_len)))
		return SCRAM_NONCE_MISMATCH;
	status = check_proof(server, &final, proof, client_key);
	if (status != SCRAM_OK)
		return status;
	if (!sign(server->_verifier.server_key, scram_message_slice(&server->_client_first_bare),
			  scram_message_slice(&server->_server_first), final.without_proof, signature))
		return SCRAM_CRYPTO_FAILED;
	out->len = 0;
	return put_str(out, "v=") && put_base64(out, signature, SCRAM_KEY_SIZE) ? SCRAM_OK : SCRAM_MALFORMED;
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

/* ---- client side ---- */

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
	if (!make_nonce(nonce))
		return SCRAM_CRYPTO_FAILED;
	memcpy(client->_channel, header, header_len);
	if (binding.len > 0)
		memcpy(client->_channel + header_len, binding.ptr, binding.len);
	client->_channel_len = header_len + binding.len;
	client->_nonce_len = sizeof(nonce);
	bare->len = 0;
	out->len = 0;
	/* The name is left empty, as libpq does: the server takes the startup packet's. */
	if (!put_str(bare, "n=,r=") || !put(bare, nonce, sizeof(nonce)) || !put_str(out, header) ||
		!put(out, bare->text, bare->len))
		return SCRAM_MALFORMED;
	client->_step = STEP_STARTED;
	return SCRAM_OK;
}

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
	Attrs attrs = {.text = text};
	Slice salt, iterations;

	if (attrs_peek(&attrs) == 'm')
		return SCRAM_UNSUPPORTED;
	if (attrs_peek(&attrs) == 'e')
		return SCRAM_REFUSED;
	out->nonce = attrs_take(&attrs, 'r');
	salt = attrs_take(&attrs, 's');
	iterations = attrs_take(&attrs, 'i');
	attrs_skip_extensions(&attrs);
	if (attrs.failed || !nonce_is_valid(out->nonce) || out->nonce.len > SCRAM_NONCE_MAX ||
		!base64_decode(salt, out->salt, sizeof(out->salt), &out->salt_len) || out->salt_len == 0 ||
		!parse_iterations(iterations, &out->iterations))
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

ScramStatus
scram_client_wants(const ScramClient *client, Slice server_first, Slice password, const ScramKeys *keys, ScramKeys *wanted)
{
	ServerFirst first;
	ScramStatus status;

	if (client->_step != STEP_STARTED || server_first.len > SCRAM_MESSAGE_MAX)
		return SCRAM_MALFORMED;
	status = read_server_first(server_first, &first);
	if (status != SCRAM_OK)
		return status;
	if (!nonce_extends_ours(client, first.nonce))
		return SCRAM_NONCE_MISMATCH;
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

	ok = sha256(keys->client_key, stored_key) &&
		 sign(stored_key, first_bare, server_first, final_bare, signature) &&
		 sign(keys->server_key, first_bare, server_first, final_bare, client->_server_signature);
	if (ok)
		xor_keys(keys->client_key, signature, proof);
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
	if (server_first.len > SCRAM_MESSAGE_MAX)
		return SCRAM_MALFORMED;
	status = read_server_first(server_first, &first);
	if (status != SCRAM_OK)
		return status;
	if (!nonce_extends_ours(client, first.nonce))
		return SCRAM_NONCE_MISMATCH;
	status = find_keys(&first, password, keys);
	if (status != SCRAM_OK)
		return status;

	out->len = 0;
	if (!put_str(out, "c=") || !put_base64(out, client->_channel, client->_channel_len) ||
		!put_str(out, ",r=") || !put(out, first.nonce.ptr, first.nonce.len))
		return SCRAM_MALFORMED;
	if (!prove(client, server_first, keys, scram_message_slice(out), proof))
		return SCRAM_CRYPTO_FAILED;
	if (!put_str(out, ",p=") || !put_base64(out, proof, sizeof(proof)))
		return SCRAM_MALFORMED;
	client->_step = STEP_PROVING;
	return SCRAM_OK;
}

ScramStatus
scram_client_verify(ScramClient *client, Slice server_final)
{
	Attrs attrs = {.text = server_final};
	uint8_t signature[SCRAM_KEY_SIZE];
	Slice encoded;

	if (client->_step != STEP_PROVING)
		return SCRAM_MALFORMED;
	client->_step = STEP_OVER;
	if (attrs_peek(&attrs) == 'e')
		return SCRAM_REFUSED;
	encoded = attrs_take(&attrs, 'v');
	attrs_skip_extensions(&attrs);
	if (attrs.failed || !decode_key(encoded, signature))
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
