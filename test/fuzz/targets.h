/*
 * targets.h: what is done with arbitrary bytes, for the fuzzer and for the seeded mutations of the unit
 * tests.
 *
 * Each target reads the bytes as one kind of input and, when they are accepted, checks a property: what was
 * read writes back to the same, a renamed message differs in the name only, a comment in front changes
 * nothing.  A broken property aborts; the sanitizers see the rest.  Inputs are given in memory of exactly
 * their size.
 */
#ifndef PGWEIR_FUZZ_TARGETS_H
#define PGWEIR_FUZZ_TARGETS_H

#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/sqlscan.h"
#include "wire/startup.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition)                                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
		{                                                                                                    \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                          \
			abort();                                                                                         \
		}                                                                                                    \
	} while (0)

/* Is what buf has (behind the header) this payload?  Empties buf. */
static inline bool
wrote(Buf *buf, uint8_t type, Slice payload)
{
	WireHeader header;
	bool same =
		wire_read_header(buf_ptr(buf), buf_len(buf), &header) == WIRE_OK && header.type == type &&
		slice_equal(payload, slice_make(buf_ptr(buf) + WIRE_HEADER_SIZE, buf_len(buf) - WIRE_HEADER_SIZE)) &&
		header.payload_len == payload.len;

	buf_clear(buf);
	return same;
}

/* ---- startup ---- */

static bool
count_option(void *arg, Slice name, Slice value)
{
	MUST(name.len > 0 && memchr(name.ptr, '-', name.len) == NULL);
	(void) value;
	++*(int *) arg;
	return true;
}

static inline void
fuzz_options(Slice options)
{
	char *scratch = malloc(options.len > 0 ? options.len : 1);
	int n = 0;

	MUST(scratch != NULL);
	if (wire_parse_options(options, scratch, options.len, count_option, &n))
		MUST((size_t) n <= options.len);
	free(scratch);
}

static inline void
fuzz_startup_message(const WireStartup *startup, Slice packet)
{
	WireParam params[64];
	Slice name, value;
	Buf buf = {0};
	size_t pos = 0;
	int n = 0;

	while (n < 64 && wire_startup_next(startup, &pos, &name, &value))
		params[n++] = (WireParam){name, value};
	for (int i = 0; i < n; i++)
		fuzz_options(params[i].value);
	if (n == 64)
		return;
	MUST(wire_write_startup(&buf, params, n));
	MUST(buf_len(&buf) == packet.len);
	MUST(memcmp(buf_ptr(&buf) + 8, packet.ptr + 8, packet.len - 8) == 0);
	buf_free(&buf);
}

static inline void
fuzz_startup(const uint8_t *data, size_t n)
{
	WireStartup startup;
	Buf buf = {0};
	WireStatus status = wire_read_startup(data, n, WIRE_STARTUP_MAX, &startup);

	fuzz_options(slice_make(data, n));
	if (status != WIRE_OK)
		return;
	MUST(startup.total_len <= WIRE_STARTUP_MAX);
	switch (startup.kind)
	{
		case STARTUP_MESSAGE:
			MUST(startup.total_len <= n);
			fuzz_startup_message(&startup, slice_make(data, startup.total_len));
			break;
		case STARTUP_CANCEL:
			MUST(wire_write_cancel_request(&buf, startup.pid, startup.key));
			MUST(slice_equal(buf_slice(&buf), slice_make(data, startup.total_len)));
			break;
		case STARTUP_SSL_REQUEST:
		case STARTUP_GSSENC_REQUEST: MUST(startup.total_len == 8); break;
		case STARTUP_TLS_DIRECT: MUST(startup.total_len == 0); break;
		case STARTUP_OLD_V2:
		case STARTUP_FUTURE: break;
	}
	buf_free(&buf);
}

/* ---- what clients send ---- */

static inline void
fuzz_bind(Slice payload)
{
	static const char name[] = "renamed";
	WireBind bind, renamed;
	size_t size, n, rest;
	uint8_t *out;

	if (!wire_read_bind(payload, &bind))
		return;
	MUST(bind.rest_offset <= payload.len);
	MUST(payload.ptr + bind.statement_offset == bind.statement.ptr);
	rest = payload.len - bind.rest_offset;
	size = WIRE_RENAME_SIZE(bind.portal.len, sizeof(name) - 1) + rest;
	out = malloc(size);
	MUST(out != NULL);
	n = wire_rename_prefix_bind(&bind, (uint32_t) payload.len, name, out, size);
	MUST(n > WIRE_HEADER_SIZE && n + rest <= size);
	memcpy(out + n, payload.ptr + bind.rest_offset, rest);
	MUST(wire_load_u32(out + 1) == n - 1 + rest);
	MUST(wire_read_bind(slice_make(out + WIRE_HEADER_SIZE, n - WIRE_HEADER_SIZE + rest), &renamed));
	MUST(slice_equal(renamed.portal, bind.portal) && slice_is(renamed.statement, name));
	free(out);
}

static inline void
fuzz_frontend(const uint8_t *data, size_t n)
{
	Slice payload = slice_make(data, n);
	Slice s;
	WireParse parse;
	WireTarget target;
	WireExecute execute;
	WireSaslInitial initial;
	Buf buf = {0};

	if (wire_read_query(payload, &s))
		MUST(wire_write_query(&buf, s) && wrote(&buf, FE_QUERY, payload));
	if (wire_read_password(payload, &s))
		MUST(wire_write_password(&buf, s) && wrote(&buf, FE_PASSWORD, payload));
	if (wire_read_parse(payload, &parse))
	{
		MUST(wire_write_parse(&buf, parse.name, parse.query, parse.param_types) &&
			 wrote(&buf, FE_PARSE, payload));
		MUST(payload.ptr + parse.rest_offset == parse.query.ptr);
	}
	if (wire_read_describe(payload, &target))
		MUST(wire_write_describe(&buf, target.kind, target.name) && wrote(&buf, FE_DESCRIBE, payload));
	if (wire_read_close(payload, &target))
		MUST(wire_write_close(&buf, target.kind, target.name) && wrote(&buf, FE_CLOSE, payload));
	if (wire_read_execute(payload, &execute))
		MUST(execute.portal.len + 5 == payload.len);
	if (wire_read_sasl_initial(payload, &initial))
	{
		char mechanism[64];

		if (initial.mechanism.len < sizeof(mechanism))
		{
			memcpy(mechanism, initial.mechanism.ptr, initial.mechanism.len);
			mechanism[initial.mechanism.len] = '\0';
			MUST(wire_write_sasl_initial(&buf, mechanism, initial.data) && wrote(&buf, FE_PASSWORD, payload));
		}
	}
	fuzz_bind(payload);
	buf_free(&buf);
}

/* ---- what servers send ---- */

static inline void
fuzz_error(Slice payload)
{
	WireError error, again;
	Buf buf = {0};

	if (!wire_read_error(payload, &error))
		return;
	MUST(wire_write_error(&buf, &error));
	MUST(wire_read_error(slice_make(buf_ptr(&buf) + WIRE_HEADER_SIZE, buf_len(&buf) - WIRE_HEADER_SIZE),
						 &again));
	MUST(slice_equal(error.code, again.code) && slice_equal(error.message, again.message));
	MUST(slice_equal(error.detail, again.detail) && (error.detail.ptr == NULL) == (again.detail.ptr == NULL));
	MUST(slice_equal(error.routine, again.routine));
	buf_free(&buf);
}

static inline void
fuzz_backend(const uint8_t *data, size_t n)
{
	Slice payload = slice_make(data, n);
	Slice a, b;
	WireAuth auth;
	WireNotification notification;
	Buf buf = {0};
	uint32_t pid;
	uint16_t minor;
	char status;
	size_t pos = 0;

	if (wire_read_authentication(payload, &auth))
	{
		size_t total = 4 + 1;

		while (wire_auth_next_mechanism(&auth, &pos, &a))
			total += a.len + 1;
		MUST(auth.code != AUTH_SASL || total == payload.len);
	}
	if (wire_read_backend_key(payload, &pid, &a))
		MUST(wire_write_backend_key_data(&buf, pid, a) && wrote(&buf, BE_BACKEND_KEY_DATA, payload));
	if (wire_read_parameter_status(payload, &a, &b))
		MUST(wire_write_parameter_status(&buf, a, b) && wrote(&buf, BE_PARAMETER_STATUS, payload));
	if (wire_read_ready_for_query(payload, &status))
		MUST(wire_write_ready_for_query(&buf, status) && wrote(&buf, BE_READY_FOR_QUERY, payload));
	if (wire_read_notification(payload, &notification))
		MUST(notification.channel.len + notification.payload.len + 6 == payload.len);
	if (wire_read_command_tag(payload, &a))
		MUST(a.len + 1 == payload.len);
	if (wire_read_negotiate_version(payload, &minor))
		MUST(payload.len >= 8);
	fuzz_error(payload);
	buf_free(&buf);
}

/* ---- SASL ---- */

static inline void
fuzz_verifier(Slice secret)
{
	ScramVerifier v, again;
	char text[SCRAM_SECRET_MAX];
	size_t len;

	if (!scram_verifier_parse(secret, &v))
		return;
	MUST(scram_verifier_format(&v, text, &len) && len < sizeof(text) && text[len] == '\0');
	MUST(scram_verifier_parse(slice_make(text, len), &again));
	MUST(v.iterations == again.iterations && v.salt_len == again.salt_len);
	MUST(memcmp(v.salt, again.salt, v.salt_len) == 0 &&
		 memcmp(v.stored_key, again.stored_key, SCRAM_KEY_SIZE) == 0);
}

/* The bytes in every place of a dialogue that the other end fills; a forged proof must never be accepted. */
static inline void
fuzz_sasl(const uint8_t *data, size_t n)
{
	static const ScramVerifier verifier = {
		.iterations = 1, .salt_len = 4, .stored_key = {1}, .server_key = {2}};
	const Slice input = slice_make(data, n);
	const Slice binding = SLICE_LITERAL("hash of a certificate");
	ScramServer server;
	ScramClient client;
	ScramMessage message;
	ScramKeys keys = {.iterations = 1, .salt_len = 3};
	uint8_t key[SCRAM_KEY_SIZE];

	fuzz_verifier(input);
	for (int plus = 0; plus < 2; plus++)
		if (scram_server_first(&server, input, &verifier, plus ? binding : (Slice){NULL, 0}, plus,
							   &message) == SCRAM_OK)
			MUST(scram_server_final(&server, input, &message, key) != SCRAM_OK);
	if (scram_server_first(&server, SLICE_LITERAL("n,,n=,r=x"), &verifier, (Slice){NULL, 0}, false,
						   &message) == SCRAM_OK)
	{
		/* a nonce the input can know */
		memcpy(server._nonce, "nonce", 5);
		server._nonce_len = 5;
		MUST(scram_server_final(&server, input, &message, key) != SCRAM_OK);
	}
	MUST(scram_client_first(&client, (Slice){NULL, 0}, false, &message) == SCRAM_OK);
	client._nonce_len = 1; /* one character can be guessed */
	client._client_first_bare.text[client._client_first_bare.len - 1] = 'r';
	if (scram_client_final(&client, input, (Slice){NULL, 0}, &keys, &message) == SCRAM_OK)
		MUST(scram_client_verify(&client, input) != SCRAM_OK);
	MUST(scram_client_first(&client, (Slice){NULL, 0}, false, &message) == SCRAM_OK);
	client._nonce_len = 1;
	client._client_first_bare.text[client._client_first_bare.len - 1] = 'r';
	if (scram_client_final(&client, SLICE_LITERAL("r=rs,s=AAAA,i=1"), (Slice){NULL, 0}, &keys, &message) ==
		SCRAM_OK)
		MUST(scram_client_verify(&client, input) != SCRAM_OK);
}

/* ---- SQL ---- */

static inline void
fuzz_sqlscan(const uint8_t *data, size_t n)
{
	const Slice sql = slice_make(data, n);
	const size_t front = strlen("/*x*/ ");
	uint8_t *longer = malloc(n + front);
	Slice value;
	int64_t us;
	char decoded[64];
	size_t len;

	MUST(longer != NULL);
	memcpy(longer, "/*x*/ ", front);
	if (n > 0)
		memcpy(longer + front, data, n);
	MUST(sql_fingerprint(sql) != 0);
	MUST(sql_fingerprint(sql) == sql_fingerprint(slice_make(longer, n + front)));
	MUST(sql_verb(sql) == sql_verb(slice_make(longer, n + front)));
	MUST(sql_is_single(sql) == sql_is_single(slice_make(longer, n + front)));
	if (sql_find_tag(sql, "k", &value))
	{
		MUST(value.len <= n && value.ptr >= data && (size_t) (value.ptr - data) <= n - value.len);
		if (sql_decode_tag(value, decoded, sizeof(decoded), &len))
			MUST(len <= value.len && decoded[len] == '\0');
	}
	if (wire_parse_duration(sql, 1000000, &us))
		MUST(us >= 0);
	free(longer);
}

#endif
