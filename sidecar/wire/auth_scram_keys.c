/*
 * auth_scram_keys.c: what a password becomes: salted by many rounds of HMAC, then keys, then a verifier.
 */
#include "wire/auth_scram_inside.h"
#include "wire/saslprep.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>

#define PASSWORD_MAX 2048
#define ROUNDS_BETWEEN 128 /* rounds of HMAC between two times of giving way: some 50 microseconds */
#define HMAC_BLOCK 64 /* of SHA-256 */
#define SECRET_PREFIX "SCRAM-SHA-256$"

_Static_assert(SCRAM_KEY_SIZE == SHA256_DIGEST_LENGTH, "keys are SHA-256 digests");

/* --- crypto --- */

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
bool
scram_hmac(const uint8_t key[SCRAM_KEY_SIZE], Slice data, uint8_t out[SCRAM_KEY_SIZE])
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

bool
scram_sha256(const uint8_t in[SCRAM_KEY_SIZE], uint8_t out[SCRAM_KEY_SIZE])
{
	return EVP_Digest(in, SCRAM_KEY_SIZE, out, NULL, digest(), NULL) == 1;
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
		scram_xor_keys(out, round, out);
		if (i % ROUNDS_BETWEEN == 0 && give_way != NULL)
			give_way();
	}
	OPENSSL_cleanse(round, sizeof(round));
	rounds_free(&rounds);
	return ok;
}

/* --- keys --- */

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
		 scram_hmac(salted, SLICE_LITERAL("Client Key"), keys->client_key) &&
		 scram_hmac(salted, SLICE_LITERAL("Server Key"), keys->server_key);
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(prepared, prepared_len);
	return ok ? SCRAM_OK : SCRAM_CRYPTO_FAILED;
}

ScramStatus
scram_keys_derive(Slice password, ScramKeys *keys, void (*give_way)(void))
{
	ScramStatus status = derive_keys(password, give_way, keys);

	if (status == SCRAM_OK && !scram_hmac(keys->client_key, password, keys->_password_tag))
		status = SCRAM_CRYPTO_FAILED;
	return status;
}

/* Without the question, keys of a mistaken password would outlive its correction. */
bool
scram_keys_came_from(const ScramKeys *keys, Slice password)
{
	uint8_t tag[SCRAM_KEY_SIZE];

	return scram_hmac(keys->client_key, password, tag) && CRYPTO_memcmp(tag, keys->_password_tag, SCRAM_KEY_SIZE) == 0;
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

/* --- verifiers --- */

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
	if (!scram_split(&rest, ':', &iterations) || !scram_split(&rest, '$', &salt) || !scram_split(&rest, ':', &stored))
		return false;
	if (!scram_parse_iterations(iterations, &v.iterations) ||
		!base64_decode(salt, v.salt, sizeof(v.salt), &salt_len) || salt_len == 0 ||
		!scram_decode_key(stored, v.stored_key) || !scram_decode_key(rest, v.server_key))
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
	if (!scram_sha256(keys->client_key, v.stored_key))
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

/* The second half, which nobody sees, is what the keys of a mock are made of. */
_Static_assert(2 * SCRAM_SALT_DEFAULT == SCRAM_KEY_SIZE, "a key makes a salt and as much again");

bool
scram_salt_for(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint8_t salt[SCRAM_SALT_DEFAULT])
{
	uint8_t made[SCRAM_KEY_SIZE];
	bool ok = scram_hmac(secret, user, made);

	if (ok)
		memcpy(salt, made, SCRAM_SALT_DEFAULT);
	OPENSSL_cleanse(made, sizeof(made));
	return ok;
}

/* Every login makes one, so it is no more than is seen of it: the salt.  Its keys satisfy nobody, and sign nothing. */
bool
scram_verifier_mock(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint32_t iterations, ScramVerifier *out)
{
	ScramVerifier v = {.iterations = iterations, .salt_len = SCRAM_SALT_DEFAULT, .mock = true};
	bool ok = scram_hmac(secret, user, v.stored_key);

	memcpy(v.salt, v.stored_key, SCRAM_SALT_DEFAULT);
	memcpy(v.stored_key, v.stored_key + SCRAM_SALT_DEFAULT, SCRAM_SALT_DEFAULT);
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
