/*
 * auth_test.c: MD5 and SCRAM against published vectors, against libpq's own verifiers, end against end, and
 * against forgeries.
 */
#include "wire_test.h"
#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/base64.h"

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/* RFC 7677, section 3 */
#define RFC_FIRST_BARE "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_CLIENT_FINAL "c=biws,r=" RFC_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const Slice none = {NULL, 0};

/* ---- MD5 ---- */

static void
md5_vectors(void)
{
	const uint8_t salt[4] = {1, 2, 0, 255};
	const Slice user = SLICE_LITERAL("postgres");
	char stored[WIRE_MD5_SIZE], answer[WIRE_MD5_SIZE], again[WIRE_MD5_SIZE];

	ok(wire_md5_password(user, SLICE_LITERAL("postgres"), stored), "store a password");
	is_str(stored, "md53175bce1d3201d16594cebf9d7eb3f9d", "as PostgreSQL does");
	ok(wire_md5_is_stored(slice_str(stored)), "it looks like one");
	ok(!wire_md5_is_stored(SLICE_LITERAL("md53175bce1d3201d16594cebf9d7eb3f9g")), "this does not");
	ok(!wire_md5_is_stored(SLICE_LITERAL("md53175bce1d3201d16594cebf9d7eb3f9")), "nor does this");
	ok(wire_md5_response(slice_str(stored), user, salt, answer), "answer a salt");
	is_str(answer, "md5d1f755d4c86dec53f98230151b710374", "with the right hash");
	ok(wire_md5_response(SLICE_LITERAL("postgres"), user, salt, again), "answer from the plain password");
	is_str(again, answer, "with the same");
	ok(wire_md5_check(slice_str(stored), user, salt, slice_str(answer)), "the answer is right");
	answer[34] ^= 1;
	ok(!wire_md5_check(slice_str(stored), user, salt, slice_str(answer)), "another is wrong");
	ok(!wire_md5_check(slice_str(stored), user, salt, none), "and so is none");
}

static void
md5_as_libpq(void)
{
	char *theirs = PQencryptPassword("se cret", "Jürgen");
	char ours[WIRE_MD5_SIZE];

	ok(wire_md5_password(SLICE_LITERAL("Jürgen"), SLICE_LITERAL("se cret"), ours), "store a password");
	is_str(ours, theirs, "as libpq does");
	PQfreemem(theirs);
}

/* ---- base64 ---- */

static void
base64_vectors(void)
{
	static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
										   {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zh==", "Zm9=", "Zm 8", "Zm9v\n", "Zg=A"};
	uint8_t bytes[64];
	char text[64];
	size_t n;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
	{
		text[base64_encode(pairs[i][0], strlen(pairs[i][0]), text)] = '\0';
		is_str(text, pairs[i][1], "encoded");
		ok(base64_decode(slice_str(pairs[i][1]), bytes, strlen(pairs[i][0]), &n),
		   "decoded into just enough room");
		ok(slice_equal(slice_make(bytes, n), slice_str(pairs[i][0])), "to the same bytes");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!base64_decode(slice_str(bad[i]), bytes, sizeof(bytes), &n), "what is not base64 is refused");
	ok(!base64_decode(SLICE_LITERAL("Zm9v"), bytes, 2, &n), "what does not fit is refused");
}

/* ---- verifiers ---- */

static char *
libpq_verifier(const char *password)
{
	PGconn *conn = PQconnectStart("host=/nonexistent");
	char *secret = PQencryptPasswordConn(conn, password, "user", "scram-sha-256");

	PQfinish(conn);
	return secret;
}

static void
verifier_as_libpq(const char *password)
{
	char *theirs = libpq_verifier(password);
	char ours[SCRAM_SECRET_MAX];
	ScramVerifier v, rebuilt;
	size_t len = 0;

	ok(theirs != NULL && scram_verifier_parse(slice_str(theirs), &v), "a verifier made by libpq parses");
	is_int(v.iterations, 4096, "its iterations");
	is_int(v.salt_len, 16, "its salt");
	ok(scram_verifier_format(&v, ours, &len) && len == strlen(ours), "and can be written");
	is_str(ours, theirs, "as it was");
	ok(scram_verifier_build(slice_str(password), v.iterations, v.salt, v.salt_len, &rebuilt) == SCRAM_OK,
	   "build it");
	ok(scram_verifier_format(&rebuilt, ours, &len), "and write that");
	is_str(ours, theirs, "the same");
	PQfreemem(theirs);
}

static void
verifiers_as_libpq(void)
{
	verifier_as_libpq("pencil");
	verifier_as_libpq("with space, comma = and \"quotes\"");
	verifier_as_libpq("p\xc3\xa4ssw\xc3\xb6rt");  /* beyond ASCII, unchanged by SASLprep */
	verifier_as_libpq("not utf-8: \xff\xfe");     /* taken as it is */
	verifier_as_libpq("\x07 control characters"); /* prohibited, taken as it is */
#ifdef PGWEIR_HAVE_PG_SASLPREP
	verifier_as_libpq("I\xc2\xadX");   /* soft hyphen: mapped to nothing */
	verifier_as_libpq("\xe2\x85\xa8"); /* roman numeral nine: IX */
	verifier_as_libpq("a\xcc\x88");    /* decomposed a umlaut */
#endif
}

static void
malformed_verifiers_are_refused(void)
{
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEY "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
	static const char *const bad[] = {
		"",
		"SCRAM-SHA-256",
		"SCRAM-SHA-256$",
		"SCRAM-SHA-1$4096:" SALT "$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:" SALT "$" KEY,
		"SCRAM-SHA-256$4096:" SALT "$" KEY ":",
		"SCRAM-SHA-256$0:" SALT "$" KEY ":" KEY,
		"SCRAM-SHA-256$-1:" SALT "$" KEY ":" KEY,
		"SCRAM-SHA-256$:" SALT "$" KEY ":" KEY,
		"SCRAM-SHA-256$99999999999:" SALT "$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:!!!!$" KEY ":" KEY,
		"SCRAM-SHA-256$4096:" SALT "$" SALT ":" KEY,
		"SCRAM-SHA-256$4096:" SALT "$" KEY ":" SALT,
		"SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY "x",
		"SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY ":",
		"md53175bce1d3201d16594cebf9d7eb3f9d",
	};
	ScramVerifier v;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		size_t n = strlen(bad[i]);
		uint8_t *copy = exact_copy(bad[i], n);

		ok(!scram_verifier_parse(slice_make(copy, n), &v), bad[i]);
		free(copy);
	}
	ok(scram_verifier_parse(SLICE_LITERAL("SCRAM-SHA-256$4096:" SALT "$" KEY ":" KEY), &v),
	   "the twin that is not malformed");
}

static void
mock_verifiers_look_alike(void)
{
	uint8_t secret[SCRAM_KEY_SIZE] = {1, 2, 3};
	ScramVerifier a, b, c, d;

	ok(scram_verifier_mock(SLICE_LITERAL("nobody"), secret, 4096, &a), "mock");
	ok(scram_verifier_mock(SLICE_LITERAL("nobody"), secret, 4096, &b), "mock of the same user");
	ok(scram_verifier_mock(SLICE_LITERAL("nobody2"), secret, 4096, &c), "mock of another");
	secret[0] = 2;
	ok(scram_verifier_mock(SLICE_LITERAL("nobody"), secret, 4096, &d), "mock in another process");
	ok(memcmp(&a, &b, sizeof(a)) == 0, "the same user has the same salt each time");
	ok(memcmp(a.salt, c.salt, 16) != 0, "another user another");
	ok(memcmp(a.salt, d.salt, 16) != 0, "and another process, too");
	is_int(a.salt_len, SCRAM_SALT_DEFAULT, "salts are as long as real ones");
}

/* ---- the RFC's dialogue ---- */

/* What the RFC's client and server had picked at random, put where ours keep what they picked. */
static void
set_message(ScramMessage *message, const char *text)
{
	message->len = strlen(text);
	memcpy(message->text, text, message->len);
}

static void
rfc7677_server(void)
{
	ScramServer server;
	ScramVerifier v;
	ScramMessage out;
	uint8_t salt[16], client_key[SCRAM_KEY_SIZE];
	size_t n;

	ok(base64_decode(SLICE_LITERAL("W22ZaJ0SNY7soEsUEjb6gQ=="), salt, sizeof(salt), &n) && n == 16,
	   "the RFC's salt");
	ok(scram_verifier_build(SLICE_LITERAL("pencil"), 4096, salt, 16, &v) == SCRAM_OK, "its password");
	ok(scram_server_first(&server, SLICE_LITERAL("n,," RFC_FIRST_BARE), &v, none, false, &out) == SCRAM_OK,
	   "server-first");
	ok(out.len == strlen("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") + 24,
	   "has a nonce of our own");
	set_message(&server._server_first, RFC_SERVER_FIRST);
	server._nonce_len = strlen(RFC_NONCE);
	memcpy(server._nonce, RFC_NONCE, server._nonce_len);
	ok(scram_server_final(&server, SLICE_LITERAL(RFC_CLIENT_FINAL), &out, client_key) == SCRAM_OK,
	   "the proof is right");
	ok(slice_is(scram_message_slice(&out), RFC_SERVER_FINAL), "and the server's signature, too");
	scram_server_wipe(&server);
}

static void
rfc7677_client(void)
{
	ScramClient client;
	ScramMessage out;
	ScramKeys keys = {0};

	ok(scram_client_first(&client, none, false, &out) == SCRAM_OK, "client-first");
	set_message(&client._client_first_bare, RFC_FIRST_BARE);
	client._nonce_len = strlen("rOprNGfwEbeRWgbNEkqO");
	ok(scram_client_final(&client, SLICE_LITERAL(RFC_SERVER_FIRST), SLICE_LITERAL("pencil"), &keys, &out) ==
		   SCRAM_OK,
	   "client-final");
	ok(slice_is(scram_message_slice(&out), RFC_CLIENT_FINAL), "with the RFC's proof");
	ok(scram_client_verify(&client, SLICE_LITERAL(RFC_SERVER_FINAL)) == SCRAM_OK, "the server is genuine");
	ok(scram_client_verify(&client, SLICE_LITERAL(RFC_SERVER_FINAL)) == SCRAM_MALFORMED,
	   "but asked only once");
	scram_client_wipe(&client);
}

/* ---- our client against our server ---- */

typedef struct Dialogue
{
	ScramClient client;
	ScramServer server;
	ScramMessage client_first, server_first, client_final, server_final;
	ScramVerifier verifier;
	ScramKeys keys;
	uint8_t client_key[SCRAM_KEY_SIZE];
} Dialogue;

/* Run until something is not SCRAM_OK; the result says what. */
static ScramStatus
run(Dialogue *d, Slice password, Slice client_binding, Slice server_binding, bool could_bind)
{
	bool plus = client_binding.len > 0;
	ScramStatus status = scram_client_first(&d->client, client_binding, could_bind, &d->client_first);

	if (status == SCRAM_OK)
		status = scram_server_first(&d->server, scram_message_slice(&d->client_first), &d->verifier,
									server_binding, plus, &d->server_first);
	if (status == SCRAM_OK)
		status = scram_client_final(&d->client, scram_message_slice(&d->server_first), password, &d->keys,
									&d->client_final);
	if (status == SCRAM_OK)
		status = scram_server_final(&d->server, scram_message_slice(&d->client_final), &d->server_final,
									d->client_key);
	if (status == SCRAM_OK)
		status = scram_client_verify(&d->client, scram_message_slice(&d->server_final));
	return status;
}

static void
both_ends(void)
{
	const Slice hash = SLICE_LITERAL("0123456789abcdef0123456789abcdef");
	const Slice other = SLICE_LITERAL("0123456789abcdef0123456789abcdeX");
	const Slice right = SLICE_LITERAL("right");
	Dialogue d = {.keys = {0}};
	ScramKeys mine;

	ok(scram_verifier_build(right, 4096, NULL, 0, &d.verifier) == SCRAM_OK,
	   "a verifier with a salt of its own");
	is_int(run(&d, right, none, none, false), SCRAM_OK, "the right password");
	is_int(d.keys.iterations, 4096, "leaves keys behind");
	is_int(run(&d, none, none, none, false), SCRAM_OK, "with which the password is not needed again");
	is_int(run(&d, none, none, none, true), SCRAM_OK, "a client that could bind, a server that could not");
	is_int(run(&d, none, none, hash, true), SCRAM_BINDING_DOWNGRADED, "somebody took the offer away");
	is_int(run(&d, none, none, hash, false), SCRAM_OK, "a client that cannot bind");
	is_int(run(&d, none, hash, hash, false), SCRAM_OK, "channel binding");
	is_int(run(&d, none, other, hash, false), SCRAM_BINDING_MISMATCH, "bound to another channel");
	is_int(run(&d, none, hash, none, false), SCRAM_BINDING_NOT_OFFERED, "bound though not offered");

	/* Pass-through: what the server learnt of the client's login serves for one of its own. */
	is_int(run(&d, right, none, none, false), SCRAM_OK, "a login to us");
	scram_keys_from_login(&mine, &d.verifier, d.client_key);
	scram_keys_wipe(&d.keys);
	d.keys = mine;
	is_int(run(&d, none, none, none, false), SCRAM_OK, "gives the keys to log in elsewhere");
	ok(scram_verifier_build(right, 4096, NULL, 0, &d.verifier) == SCRAM_OK, "where the salt is another");
	is_int(run(&d, none, none, none, false), SCRAM_KEYS_DO_NOT_FIT, "they do not help");
	is_int(run(&d, right, none, none, false), SCRAM_OK, "but the password does");
	ok(memcmp(d.keys.salt, d.verifier.salt, 16) == 0, "and its new keys are kept");
	memset(d.keys.client_key, 0, sizeof(d.keys.client_key));
	is_int(run(&d, none, none, none, false), SCRAM_WRONG_PASSWORD, "(which are used: spoilt, they fail)");
	is_int(run(&d, right, none, none, false), SCRAM_OK, "and derived again when they are not the password's");

	is_int(run(&d, SLICE_LITERAL("wrong"), none, none, false), SCRAM_WRONG_PASSWORD,
		   "a wrong password is not helped by keys");
	is_int(run(&d, right, none, none, false), SCRAM_OK, "nor does it spoil them for the right one");
	scram_keys_wipe(&d.keys);
	is_int(run(&d, SLICE_LITERAL(""), none, none, false), SCRAM_WRONG_PASSWORD, "an empty password");
	scram_keys_wipe(&d.keys);
	ok(scram_verifier_mock(SLICE_LITERAL("nobody"), (const uint8_t *) "0123456789abcdef0123456789abcdef",
						   4096, &d.verifier),
	   "a user that is not there");
	is_int(run(&d, right, none, none, false), SCRAM_WRONG_PASSWORD, "cannot be told from a wrong password");
}

static void
mock_refuses_even_matching_keys(void)
{
	Dialogue d = {.keys = {0}};

	ok(scram_verifier_build(SLICE_LITERAL("x"), 1, NULL, 0, &d.verifier) == SCRAM_OK, "a verifier");
	d.verifier.mock = true;
	is_int(run(&d, SLICE_LITERAL("x"), none, none, false), SCRAM_WRONG_PASSWORD,
		   "marked as mock lets nobody in");
}

/* ---- forgeries ---- */

static ScramStatus
server_says_to_first(const char *text, bool plus)
{
	ScramVerifier v = {.iterations = 1, .salt_len = 1};
	ScramServer server;
	ScramMessage out;
	size_t n = strlen(text);
	uint8_t *copy = exact_copy(text, n);
	ScramStatus status =
		scram_server_first(&server, slice_make(copy, n), &v, plus ? SLICE_LITERAL("hash") : none, plus, &out);

	free(copy);
	return status;
}

static void
client_first_grammar(void)
{
	static const struct
	{
		const char *text;
		bool plus;
		ScramStatus status;
	} cases[] = {
		{"n,,n=,r=abc", false, SCRAM_OK},
		{"n,,n=user,r=abc", false, SCRAM_OK},
		{"y,,n=,r=abc", false, SCRAM_OK},
		{"n,,n=,r=abc,x=1,y=2", false, SCRAM_OK},
		{"p=tls-server-end-point,,n=,r=abc", true, SCRAM_OK},
		{"p=tls-unique,,n=,r=abc", true, SCRAM_UNSUPPORTED},
		{"p=tls-server-end-point,,n=,r=abc", false, SCRAM_BINDING_NOT_OFFERED},
		{"n,,n=,r=abc", true, SCRAM_MALFORMED},
		{"y,,n=,r=abc", true, SCRAM_MALFORMED},
		{"n,a=other,n=,r=abc", false, SCRAM_UNSUPPORTED},
		{"n,b=other,n=,r=abc", false, SCRAM_MALFORMED},
		{"n,,m=ext,n=,r=abc", false, SCRAM_UNSUPPORTED},
		{"", false, SCRAM_MALFORMED},
		{"n", false, SCRAM_MALFORMED},
		{"n,", false, SCRAM_MALFORMED},
		{"n,,", false, SCRAM_MALFORMED},
		{"x,,n=,r=abc", false, SCRAM_MALFORMED},
		{"p=,,n=,r=abc", true, SCRAM_MALFORMED},
		{"n,,n=", false, SCRAM_MALFORMED},
		{"n,,r=abc,n=", false, SCRAM_MALFORMED},
		{"n,,n=,r=", false, SCRAM_MALFORMED},
		{"n,,n=,r", false, SCRAM_MALFORMED},
		{"n,,n=,r=abc,", false, SCRAM_MALFORMED},
		{"n,,n=,r=abc,x", false, SCRAM_MALFORMED},
		{"n,,n=,r=a b", false, SCRAM_MALFORMED},
		{"n,,n=,r=a\x7f", false, SCRAM_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(server_says_to_first(cases[i].text, cases[i].plus), cases[i].status, cases[i].text);
}

static void
nonces_are_bounded(void)
{
	char text[SCRAM_MESSAGE_MAX + 2];

	memset(text, 'r', sizeof(text));
	memcpy(text, "n,,n=,r=", 8);
	text[8 + SCRAM_NONCE_MAX - 24] = '\0';
	is_int(server_says_to_first(text, false), SCRAM_OK, "the longest nonce");
	text[8 + SCRAM_NONCE_MAX - 24] = 'r';
	text[8 + SCRAM_NONCE_MAX - 23] = '\0';
	is_int(server_says_to_first(text, false), SCRAM_MALFORMED, "one more is refused");
	text[8 + SCRAM_NONCE_MAX - 23] = 'r';
	text[SCRAM_MESSAGE_MAX + 1] = '\0';
	is_int(server_says_to_first(text, false), SCRAM_MALFORMED, "a message too long is refused");
}

/* client-final with one part replaced; format has %s for the nonce and then for the proof. */
static ScramStatus
server_says_to_final(const char *format, bool other_nonce)
{
	Dialogue d = {.keys = {0}};
	char text[SCRAM_MESSAGE_MAX];
	char nonce[SCRAM_NONCE_MAX + 1];
	uint8_t *copy;
	ScramStatus status;
	int n;

	if (scram_verifier_build(SLICE_LITERAL("x"), 1, NULL, 0, &d.verifier) != SCRAM_OK ||
		scram_client_first(&d.client, none, false, &d.client_first) != SCRAM_OK ||
		scram_server_first(&d.server, scram_message_slice(&d.client_first), &d.verifier, none, false,
						   &d.server_first) != SCRAM_OK)
		return SCRAM_CRYPTO_FAILED;
	memcpy(nonce, d.server._nonce, d.server._nonce_len);
	nonce[d.server._nonce_len] = '\0';
	nonce[d.server._nonce_len - 1] ^= other_nonce;
	n = snprintf(text, sizeof(text), format, nonce, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	copy = exact_copy(text, (size_t) n);
	status = scram_server_final(&d.server, slice_make(copy, (size_t) n), &d.server_final, d.client_key);
	free(copy);
	if (scram_server_final(&d.server, slice_make(text, (size_t) n), &d.server_final, d.client_key) !=
		SCRAM_MALFORMED)
		ok(false, "a second client-final is out of sequence");
	return status;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void
client_final_grammar(void)
{
	is_int(server_says_to_final("c=biws,r=%s,p=%s", false), SCRAM_WRONG_PASSWORD, "well-formed, wrong proof");
	is_int(server_says_to_final("c=biws,r=%s,x=y,p=%s", false), SCRAM_WRONG_PASSWORD, "with an extension");
	is_int(server_says_to_final("c=biws,r=%s,p=%s", true), SCRAM_NONCE_MISMATCH, "another nonce");
	is_int(server_says_to_final("c=biws,r=%sx,p=%s", false), SCRAM_NONCE_MISMATCH, "a longer nonce");
	is_int(server_says_to_final("c=eSws,r=%s,p=%s", false), SCRAM_BINDING_MISMATCH,
		   "another channel header (y,,)");
	is_int(server_says_to_final("c=,r=%s,p=%s", false), SCRAM_BINDING_MISMATCH, "no channel header");
	is_int(server_says_to_final("c=biws,r=%s", false), SCRAM_MALFORMED, "no proof");
	is_int(server_says_to_final("c=biws,r=%s,p=", false), SCRAM_MALFORMED, "an empty proof");
	is_int(server_says_to_final("c=biws,r=%s,p=%s,x=y", false), SCRAM_MALFORMED,
		   "something behind the proof");
	is_int(server_says_to_final("r=%s,p=%s", false), SCRAM_MALFORMED, "no channel");
	is_int(server_says_to_final("c=biws,r=%s,p=A%s", false), SCRAM_MALFORMED, "a proof of another length");
	is_int(server_says_to_final("", false), SCRAM_MALFORMED, "nothing");
}

static ScramStatus
client_says_to_first(const char *format)
{
	ScramClient client;
	ScramMessage out;
	ScramKeys keys = {0};
	char text[SCRAM_MESSAGE_MAX];
	uint8_t *copy;
	ScramStatus status;
	int n;

	if (scram_client_first(&client, none, false, &out) != SCRAM_OK)
		return SCRAM_CRYPTO_FAILED;
	out.text[out.len] = '\0';
	n = snprintf(text, sizeof(text), format, out.text + strlen("n,,n=,r="));
	copy = exact_copy(text, (size_t) n);
	status = scram_client_final(&client, slice_make(copy, (size_t) n), SLICE_LITERAL("x"), &keys, &out);
	free(copy);
	return status;
}

static void
server_first_grammar(void)
{
	is_int(client_says_to_first("r=%sX,s=AAAA,i=1"), SCRAM_OK, "well-formed");
	is_int(client_says_to_first("r=%sX,s=AAAA,i=1,x=y"), SCRAM_OK, "with an extension");
	is_int(client_says_to_first("r=%s,s=AAAA,i=1"), SCRAM_NONCE_MISMATCH, "no nonce of the server's");
	is_int(client_says_to_first("r=X%s,s=AAAA,i=1"), SCRAM_NONCE_MISMATCH, "another nonce");
	is_int(client_says_to_first("m=1,r=%sX,s=AAAA,i=1"), SCRAM_UNSUPPORTED, "a mandatory extension");
	is_int(client_says_to_first("e=other-error"), SCRAM_REFUSED, "an error");
	is_int(client_says_to_first("r=%sX,s=,i=1"), SCRAM_MALFORMED, "no salt");
	is_int(client_says_to_first("r=%sX,s=AAA,i=1"), SCRAM_MALFORMED, "a salt that is not base64");
	is_int(client_says_to_first("r=%sX,s=AAAA,i=0"), SCRAM_MALFORMED, "no iterations");
	is_int(client_says_to_first("r=%sX,s=AAAA,i=1x"), SCRAM_MALFORMED, "iterations that are no number");
	is_int(client_says_to_first("r=%sX,s=AAAA,i=2147483647"), SCRAM_TOO_MANY_ITERATIONS,
		   "iterations to keep us busy");
	is_int(client_says_to_first("r=%sX,s=AAAA"), SCRAM_MALFORMED, "cut");
	is_int(client_says_to_first("s=AAAA,r=%sX,i=1"), SCRAM_MALFORMED, "another order");
	is_int(client_says_to_first(""), SCRAM_MALFORMED, "nothing");
}

static ScramStatus
client_says_to_final(const char *text, bool flip)
{
	Dialogue d = {.keys = {0}};
	uint8_t *copy;
	ScramStatus status;
	size_t n;

	if (scram_verifier_build(SLICE_LITERAL("x"), 1, NULL, 0, &d.verifier) != SCRAM_OK ||
		scram_client_first(&d.client, none, false, &d.client_first) != SCRAM_OK ||
		scram_server_first(&d.server, scram_message_slice(&d.client_first), &d.verifier, none, false,
						   &d.server_first) != SCRAM_OK ||
		scram_client_final(&d.client, scram_message_slice(&d.server_first), SLICE_LITERAL("x"), &d.keys,
						   &d.client_final) != SCRAM_OK ||
		scram_server_final(&d.server, scram_message_slice(&d.client_final), &d.server_final, d.client_key) !=
			SCRAM_OK)
		return SCRAM_CRYPTO_FAILED;
	if (flip)
		d.server_final.text[5] = d.server_final.text[5] == 'A' ? 'B' : 'A';
	n = text != NULL ? strlen(text) : d.server_final.len;
	copy = exact_copy(text != NULL ? text : d.server_final.text, n);
	status = scram_client_verify(&d.client, slice_make(copy, n));
	free(copy);
	return status;
}

static void
server_final_grammar(void)
{
	is_int(client_says_to_final(NULL, false), SCRAM_OK, "the server's own");
	is_int(client_says_to_final(NULL, true), SCRAM_SERVER_NOT_GENUINE, "one character changed");
	is_int(client_says_to_final("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false),
		   SCRAM_SERVER_NOT_GENUINE, "invented");
	is_int(client_says_to_final("e=invalid-proof", false), SCRAM_REFUSED, "an error");
	is_int(client_says_to_final("v=", false), SCRAM_MALFORMED, "empty");
	is_int(client_says_to_final("", false), SCRAM_MALFORMED, "nothing");
}

static void
calls_out_of_sequence(void)
{
	ScramClient client = {0};
	ScramServer server = {0};
	ScramMessage out;
	ScramKeys keys = {0};
	uint8_t key[SCRAM_KEY_SIZE];

	is_int(scram_client_final(&client, SLICE_LITERAL("r=x,s=AAAA,i=1"), SLICE_LITERAL("x"), &keys, &out),
		   SCRAM_MALFORMED, "client-final first");
	is_int(scram_client_verify(&client, SLICE_LITERAL("v=")), SCRAM_MALFORMED, "server-final first");
	is_int(scram_server_final(&server, SLICE_LITERAL("c=biws,r=x,p="), &out, key), SCRAM_MALFORMED,
		   "no client-first");
}

static void
secrets_are_wiped(void)
{
	static const ScramServer zero_server;
	static const ScramClient zero_client;
	Dialogue d = {.keys = {0}};

	ok(scram_verifier_build(SLICE_LITERAL("x"), 1, NULL, 0, &d.verifier) == SCRAM_OK, "a verifier");
	is_int(run(&d, SLICE_LITERAL("x"), none, none, false), SCRAM_OK, "a login");
	scram_server_wipe(&d.server);
	scram_client_wipe(&d.client);
	ok(memcmp(&d.server, &zero_server, sizeof(zero_server)) == 0,
	   "nothing is left of it in the server's state");
	ok(memcmp(&d.client, &zero_client, sizeof(zero_client)) == 0, "nor in the client's");
}

static void
statuses_have_texts(void)
{
	for (int s = SCRAM_OK; s <= SCRAM_CRYPTO_FAILED; s++)
		ok(strcmp(scram_status_text((ScramStatus) s), "unknown") != 0, "a status has a text");
}

static int gave_way;

static void
count_giving_way(void)
{
	gave_way++;
}

/* Against OpenSSL's PBKDF2, with passwords below, at and above the size of a block of the hash; ASCII, which SASLprep leaves alone. */
static void
keys_are_those_of_pbkdf2(void)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 200};
	char password[200];
	uint8_t salted[SCRAM_KEY_SIZE], client_key[SCRAM_KEY_SIZE];
	int equal = 0;

	memset(password, 'p', sizeof(password));
	for (size_t i = 0; i < 6; i++)
	{
		ScramKeys keys = {.iterations = 1000, .salt_len = 16, .salt = "sixteen bytes, s"};

		gave_way = 0;
		equal += scram_keys_derive(slice_make(password, sizes[i]), &keys, count_giving_way) == SCRAM_OK &&
				 PKCS5_PBKDF2_HMAC(password, (int) sizes[i], keys.salt, 16, 1000, EVP_sha256(), SCRAM_KEY_SIZE, salted) == 1 &&
				 HMAC(EVP_sha256(), salted, SCRAM_KEY_SIZE, (const uint8_t *) "Client Key", 10, client_key, NULL) != NULL &&
				 memcmp(client_key, keys.client_key, SCRAM_KEY_SIZE) == 0;
	}
	is_int(equal, 6, "keys come from PBKDF2, whatever the length of the password");
	ok(gave_way >= 5, "and who derives gives way meanwhile");
}

int
main(void)
{
	md5_vectors();
	md5_as_libpq();
	base64_vectors();
	verifiers_as_libpq();
	malformed_verifiers_are_refused();
	mock_verifiers_look_alike();
	keys_are_those_of_pbkdf2();
	rfc7677_server();
	rfc7677_client();
	both_ends();
	mock_refuses_even_matching_keys();
	client_first_grammar();
	nonces_are_bounded();
	client_final_grammar();
	server_first_grammar();
	server_final_grammar();
	calls_out_of_sequence();
	secrets_are_wiped();
	statuses_have_texts();
	return done_testing();
}
