/*
 * auth_scram.h: both ends of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, as PostgreSQL speaks
 * them).
 *
 * All state is the caller's: nothing is allocated, everything is bounded, and the crypto is OpenSSL's.  A
 * ScramServer or ScramClient is about 2 KiB and wanted during one login only; end it with its _wipe(), which
 * clears the secrets.
 *
 * Deriving keys from a plain password costs `iterations` rounds of HMAC (about 2 ms for 4096): scram_keys_derive(), which may run
 * on another thread.  Nothing else here is slow, if it is given ScramKeys that fit.  Whoever logs in often keeps them.
 */
#ifndef PGWEIR_WIRE_AUTH_SCRAM_H
#define PGWEIR_WIRE_AUTH_SCRAM_H

#include "base/buf.h"

#define SCRAM_MECHANISM "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"

#define SCRAM_KEY_SIZE 32
#define SCRAM_SALT_MAX 64 /* PostgreSQL's are 16 bytes */
#define SCRAM_SALT_DEFAULT 16
#define SCRAM_ITERATIONS_DEFAULT 4096
#define SCRAM_ITERATIONS_MAX 2000000 /* refuse to be kept busy longer than about a second */
#define SCRAM_NONCE_MAX 256          /* both halves; our own half is 24 characters */
#define SCRAM_MESSAGE_MAX 768        /* longest message of either side that is accepted or made */
#define SCRAM_BINDING_MAX 64         /* tls-server-end-point is a hash of the certificate */
#define SCRAM_SECRET_MAX 256         /* text form of a verifier, with its NUL */

typedef enum ScramStatus
{
	SCRAM_OK,
	SCRAM_MALFORMED,           /* not a SCRAM message, too long, or out of sequence */
	SCRAM_UNSUPPORTED,         /* authorization identity, or a mandatory extension (m=) */
	SCRAM_BINDING_NOT_OFFERED, /* client binds a channel (p=) though that was not offered or picked */
	SCRAM_BINDING_DOWNGRADED,  /* client says we do not offer channel binding (y), but we do; or picked PLUS
								  without binding */
	SCRAM_BINDING_MISMATCH,    /* client is bound to another channel: somebody is in the middle */
	SCRAM_NONCE_MISMATCH,
	SCRAM_WRONG_PASSWORD,  /* server side: the proof is wrong (or the user unknown) */
	SCRAM_KEYS_DO_NOT_FIT, /* client side: no password, and the keys belong to another salt or iteration count
							*/
	SCRAM_KEYS_MISSING,    /* client side: they can be derived from the password first */
	SCRAM_TOO_MANY_ITERATIONS,
	SCRAM_REFUSED,            /* client side: the server's last message is an error (e=) */
	SCRAM_SERVER_NOT_GENUINE, /* client side: the server did not prove that it knows the verifier */
	SCRAM_CRYPTO_FAILED       /* OpenSSL failed, e.g. no randomness */
} ScramStatus;

/* A short English text, lower case, for logs; the client is told only that authentication failed. */
extern const char *scram_status_text(ScramStatus status);

/* ---- what is stored about a password ---- */

typedef struct ScramVerifier
{
	uint32_t iterations;
	uint32_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored_key[SCRAM_KEY_SIZE];
	uint8_t server_key[SCRAM_KEY_SIZE];
	bool mock; /* no proof satisfies it */
} ScramVerifier;

/* Parse SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey; false when it is anything else. */
extern bool scram_verifier_parse(Slice secret, ScramVerifier *out) MUST_CHECK;
/* The same text from a verifier, with a NUL; its length goes to *len. */
extern bool scram_verifier_format(const ScramVerifier *verifier, char out[SCRAM_SECRET_MAX],
								  size_t *len) MUST_CHECK;
/* From a plain password; salt_len 0 = a fresh random salt of SCRAM_SALT_DEFAULT bytes. */
extern ScramStatus scram_verifier_build(Slice password, uint32_t iterations, const uint8_t *salt,
										size_t salt_len, ScramVerifier *out) MUST_CHECK;
/*
 * For a user that does not exist: salt and keys come from a secret of the process and the name, so they are
 * the same at every attempt, and cannot be told from real ones.
 */
extern bool scram_verifier_mock(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint32_t iterations,
								ScramVerifier *out) MUST_CHECK;
/* The salt of such a user (SCRAM_SALT_DEFAULT bytes); also good for one whose password is stored in clear. */
extern bool scram_salt_for(Slice user, const uint8_t secret[SCRAM_KEY_SIZE], uint8_t salt[SCRAM_SALT_DEFAULT]) MUST_CHECK;
extern void scram_verifier_wipe(ScramVerifier *verifier);

/*
 * What a client needs to prove itself without the slow step.  Filled by scram_client_final() from a password,
 * or by scram_keys_from_login() after a client has logged in to us with the same verifier that the server
 * has. iterations == 0: empty.
 */
typedef struct ScramKeys
{
	uint32_t iterations;
	uint32_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t client_key[SCRAM_KEY_SIZE];
	uint8_t server_key[SCRAM_KEY_SIZE];
	uint8_t _password_tag[SCRAM_KEY_SIZE]; /* tells whether a password is the one they came from; 0: from a
											  login */
} ScramKeys;

/*
 * Salt and iterations are set: fill in the rest from the password.  The slow step; give_way (or NULL) is called every some 50
 * microseconds meanwhile.
 */
extern ScramStatus scram_keys_derive(Slice password, ScramKeys *keys, void (*give_way)(void)) MUST_CHECK;
/* Were these keys derived from this password? */
extern bool scram_keys_came_from(const ScramKeys *keys, Slice password);
extern bool scram_verifier_from_keys(const ScramKeys *keys, ScramVerifier *out) MUST_CHECK;
extern void scram_keys_from_login(ScramKeys *keys, const ScramVerifier *verifier,
								  const uint8_t client_key[SCRAM_KEY_SIZE]);
extern void scram_keys_wipe(ScramKeys *keys);

/* A message to send, as SASL data. */
typedef struct ScramMessage
{
	char text[SCRAM_MESSAGE_MAX];
	size_t len;
} ScramMessage;

static inline Slice
scram_message_slice(const ScramMessage *message)
{
	return slice_make(message->text, message->len);
}

/* ---- server side ---- */

typedef struct ScramServer
{
	ScramVerifier _verifier;                  /* copy */
	int _step;                                /* how far the dialogue has come */
	uint8_t _channel[SCRAM_BINDING_MAX + 32]; /* what c= must decode to: gs2 header, then binding data */
	size_t _channel_len;
	ScramMessage _client_first_bare;
	ScramMessage _server_first;
	char _nonce[SCRAM_NONCE_MAX];
	size_t _nonce_len;
} ScramServer;

/*
 * Read client-first and make server-first.  binding: the tls-server-end-point hash of our certificate when
 * SCRAM-SHA-256-PLUS was offered to this client, else empty.  plus: the client picked that mechanism.
 * server may be uninitialised; the verifier is copied.
 */
extern ScramStatus scram_server_first(ScramServer *server, Slice client_first, const ScramVerifier *verifier,
									  Slice binding, bool plus, ScramMessage *out) MUST_CHECK;
/*
 * Read client-final, check channel, nonce and proof, make server-final.  SCRAM_OK: the client has proved that
 * it knows the password; client_key is what scram_keys_from_login() takes.
 */
extern ScramStatus scram_server_final(ScramServer *server, Slice client_final, ScramMessage *out,
									  uint8_t client_key[SCRAM_KEY_SIZE]) MUST_CHECK;
/* Between the two: the keys of a verifier of which scram_server_first() knew salt and iterations only. */
extern void scram_server_set_keys(ScramServer *server, const ScramVerifier *verifier);
extern void scram_server_wipe(ScramServer *server);

/* ---- client side ---- */

typedef struct ScramClient
{
	int _step; /* how far the dialogue has come */
	uint8_t _channel[SCRAM_BINDING_MAX + 32];
	size_t _channel_len;
	ScramMessage _client_first_bare;
	size_t _nonce_len; /* of our own nonce, at the end of client-first */
	uint8_t _server_signature[SCRAM_KEY_SIZE];
} ScramClient;

/*
 * Make client-first, for the mechanism SCRAM_MECHANISM_PLUS when binding (the hash of the server's
 * certificate) is not empty, else for SCRAM_MECHANISM.  could_bind: our connection has TLS but the server did
 * not offer PLUS; it is told so, and can detect that somebody removed the offer.
 */
extern ScramStatus scram_client_first(ScramClient *client, Slice binding, bool could_bind,
									  ScramMessage *out) MUST_CHECK;
/*
 * Before scram_client_final(): SCRAM_OK if the keys fit what server-first asks for, SCRAM_KEYS_MISSING if they must be derived from
 * the password first, with salt and iterations in *wanted.
 */
extern ScramStatus scram_client_wants(const ScramClient *client, Slice server_first, Slice password, const ScramKeys *keys,
									  ScramKeys *wanted) MUST_CHECK;
/*
 * Read server-first, make client-final.  keys (never NULL) are used when they fit the server's salt and
 * iterations and, if a password is given, came from that password; else they are derived from the password
 * and left there for the next login. password.ptr == NULL: there is none.
 */
extern ScramStatus scram_client_final(ScramClient *client, Slice server_first, Slice password,
									  ScramKeys *keys, ScramMessage *out) MUST_CHECK;
/* Read server-final; SCRAM_OK: the server knows the verifier.  Must be called before AuthenticationOk is
 * believed. */
extern ScramStatus scram_client_verify(ScramClient *client, Slice server_final) MUST_CHECK;
extern void scram_client_wipe(ScramClient *client);

#endif
