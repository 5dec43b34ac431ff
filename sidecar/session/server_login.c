/*
 * server_login.c: logging in to PostgreSQL: startup packet, trust, clear-text, MD5 and SCRAM-SHA-256.
 *
 * The secret comes from the forced user's settings, the auth file, or the keys captured when the client itself logged in
 * with SCRAM (then no password is stored anywhere).
 */
#include "session/session.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/startup.h"

#define FIXED_MAX 8192

struct ServerLogin
{
	Server *server; /* borrowed */
	bool ssl_asked; /* an SSLRequest is to be answered */
	ScramClient scram;
	bool scram_started;
	bool scram_verified; /* the server has proved that it knows the secret too */
	bool authenticated;
	DeriveWaiter derive; /* keys are derived from the password, and the server waits for our proof */
	Buf kept;			 /* ... of this server-first */
	char *secret; /* owned, wiped: what we have, in clear or hashed; NULL = nothing */
	Buf fixed; /* ParameterStatus messages of the untracked parameters, as they came */
};

void
server_login_free(ServerLogin *login)
{
	if (login == NULL)
		return;
	derive_cancel(&login->derive);
	scram_client_wipe(&login->scram);
	buf_free(&login->kept);
	if (login->secret != NULL)
		OPENSSL_cleanse(login->secret, strlen(login->secret));
	free(login->secret);
	buf_free(&login->fixed);
	free(login);
}

void
server_login_teach(Server *server)
{
	SessionPool *pool = server->pool;

	hall_lock_tables(pool->hall);
	if (pool->welcome == NULL)
	{
		pool->welcome = paramset_ref(server->params);
		buf_free(&pool->welcome_fixed);
		if (server->login != NULL)
		{
			pool->welcome_fixed = server->login->fixed;
			server->login->fixed = (Buf){0};
		}
	}
	hall_unlock_tables(pool->hall);
}

static void
send_and_free(Server *server, Buf *out)
{
	if (buf_len(out) == 0)
		return;
	net_send_bytes(&server->conn, buf_ptr(out), buf_len(out));
	OPENSSL_cleanse(buf_ptr(out), buf_len(out));
	buf_free(out);
}

static const char *
server_user(const Server *server)
{
	return server->pool->role->name;
}

static int
add_param(WireParam *params, int n, const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return n;
	params[n].name = slice_str(name);
	params[n].value = slice_str(value);
	return n + 1;
}

/* PgBouncer says so of TCP alone. */
static void
log_new_connection(const Server *server)
{
	NetPeer local;
	char name[80];

	if (net_local_peer(&server->conn, &local) && local.family != AF_UNIX)
		server_log(server, LOG_LEVEL_LOG, "new connection to server (from %s)", net_peer_name(&local, name, sizeof(name)));
	else
		server_log(server, LOG_LEVEL_LOG, "new connection to server");
}

static void
send_startup(Server *server)
{
	const DatabaseSpec *spec = server->pool->database->spec;
	WireParam params[8 + PARAM_MAX];
	int n = 0;
	Buf out = {0};

	if (spec == NULL)
	{
		server_open_failed(server, "08P01", "the database was removed", false);
		return;
	}
	n = add_param(params, n, "user", server_user(server));
	n = add_param(params, n, "database", spec->dbname);
	n = add_param(params, n, "client_encoding", spec->client_encoding);
	n = add_param(params, n, "datestyle", spec->datestyle);
	n = add_param(params, n, "timezone", spec->timezone);
	n = add_param(params, n, "application_name", spec->application_name);
	if (server->pool->dedicated != NULL)
		n = dedicated_startup(server->pool, params, n, 8 + PARAM_MAX);
	log_new_connection(server);
	if (!wire_write_startup(&out, params, n))
	{
		buf_free(&out);
		server_open_failed(server, "53200", "out of memory", false);
		return;
	}
	send_and_free(server, &out);
}

/* The secret to log in with, of several the first; NULL when there is none.  With the tables locked. */
static const char *
find_secret(const Server *server)
{
	const DatabaseSpec *spec = server->pool->database->spec;
	const Role *role = server->pool->role;

	if (spec != NULL && spec->user != NULL && spec->password != NULL && spec->password[0] != '\0')
		return spec->password;
	if (role->plain != NULL)
		return role->plain;
	if (role->spec != NULL && role->spec->secret != NULL && role->spec->secret[0] != '\0')
		return role->spec->secret;
	if (role->looked_up != NULL && role->looked_up[0] != '\0')
		return role->looked_up;
	if (spec != NULL && spec->user != NULL)
		return settings_find_password(server->worker->settings, server->host, server->port, spec->dbname, role->name);
	return NULL;
}

/* A copy, since another worker may learn a new one meanwhile. */
static bool
take_secret(Server *server)
{
	Hall *hall = server->worker->hall;
	const char *found;
	bool ok;

	hall_lock_tables(hall);
	found = find_secret(server);
	ok = found == NULL || (server->login->secret = strdup(found)) != NULL;
	hall_unlock_tables(hall);
	return ok;
}

static const char *
secret(const Server *server)
{
	return server->login->secret;
}

void
server_login_start(Server *server)
{
	Buf out = {0};

	server->login = calloc(1, sizeof(ServerLogin));
	if (server->login == NULL || !take_secret(server))
	{
		server_open_failed(server, "53200", "out of memory", false);
		return;
	}
	server->login->server = server;
	if (!server_wants_tls(server->worker->settings, &server->address))
	{
		send_startup(server);
		return;
	}
	if (server->worker->settings->server_tls.direct)
	{
		if (net_start_tls(&server->conn, server->worker->settings->server_tls_context, server->host, (Slice){NULL, 0}))
			send_startup(server);
		else
			server_open_failed(server, "53200", "out of memory", false);
		return;
	}
	server->login->ssl_asked = true;
	if (wire_write_ssl_request(&out))
		send_and_free(server, &out);
	else
		server_open_failed(server, "53200", "out of memory", false);
}

/* The answer to our SSLRequest.  Bytes behind it were not encrypted: somebody in the middle may have put them there. */
static void
take_ssl_answer(Server *server, uint8_t answer, size_t len)
{
	const Settings *settings = server->worker->settings;

	server->login->ssl_asked = false;
	if (answer == 'S' && len > 1)
		server_open_failed(server, "08P01", "unencrypted data after the answer to an SSL request", false);
	else if (answer == 'S' && settings->server_tls_context == NULL)
		server_open_failed(server, "08P01", "server_tls_sslmode has changed", false);
	else if (answer == 'S' && !net_start_tls(&server->conn, settings->server_tls_context, server->host, (Slice){NULL, 0}))
		server_open_failed(server, "53200", "out of memory", false);
	else if (answer == 'N' && settings->server_tls.mode >= NET_TLS_REQUIRE)
		server_open_failed(server, "08P01", "server refused SSL", true);
	else if (answer != 'S' && answer != 'N')
		server_open_failed(server, "08P01", "unexpected answer to an SSL request", false);
	else
		send_startup(server);
}

static bool
is_md5(const char *text)
{
	return wire_md5_is_stored(slice_str(text));
}

static bool
is_scram(const char *text)
{
	return strncmp(text, "SCRAM-SHA-256$", 14) == 0;
}

static bool
no_secret(Server *server, const char *method)
{
	char reason[200];

	snprintf(reason, sizeof(reason), "no usable secret for user \"%.64s\": the server asks for %s", server_user(server),
			 method);
	server_log(server, LOG_LEVEL_WARNING, "%s", reason);
	server_open_failed(server, "28P01", "bouncer config error", true);
	return false;
}

static bool
answer_cleartext(Server *server, Buf *out)
{
	const char *text = secret(server);

	if (text == NULL || is_md5(text) || is_scram(text))
		return no_secret(server, "a clear-text password");
	return wire_write_password(out, slice_str(text));
}

static bool
answer_md5(Server *server, Buf *out, const uint8_t salt[4])
{
	const char *text = secret(server);
	char response[WIRE_MD5_SIZE];

	if (text == NULL || is_scram(text))
		return no_secret(server, "md5");
	return wire_md5_response(slice_str(text), slice_str(server_user(server)), salt, response) &&
		   wire_write_password(out, slice_str(response));
}

/* A password in clear, or {NULL, 0}. */
static Slice
clear_password(const Server *server)
{
	const char *text = secret(server);

	return text != NULL && !is_md5(text) && !is_scram(text) ? slice_str(text) : (Slice){NULL, 0};
}

static bool
offers(const WireAuth *auth, const char *mechanism)
{
	size_t pos = 0;
	Slice name;

	while (wire_auth_next_mechanism(auth, &pos, &name))
		if (slice_is(name, mechanism))
			return true;
	return false;
}

/* The keys of a login, or of a password: a copy. */
static ScramKeys
role_scram_keys(const Server *server)
{
	ScramKeys keys;

	hall_lock_tables(server->worker->hall);
	keys = server->pool->role->scram_keys;
	hall_unlock_tables(server->worker->hall);
	return keys;
}

static void
keep_scram_keys(Server *server, const ScramKeys *keys)
{
	hall_lock_tables(server->worker->hall);
	server->pool->role->scram_keys = *keys;
	hall_unlock_tables(server->worker->hall);
}

static bool
start_scram(Server *server, Buf *out, const WireAuth *auth)
{
	ServerLogin *login = server->login;
	ScramMessage first;
	uint8_t binding[NET_TLS_BINDING_MAX];
	size_t binding_len = net_tls_binding(&server->conn, binding);
	bool plus = binding_len > 0 && offers(auth, SCRAM_MECHANISM_PLUS);

	if (!plus && !offers(auth, SCRAM_MECHANISM))
		return no_secret(server, "a SASL mechanism that is not SCRAM-SHA-256");
	if (clear_password(server).ptr == NULL && role_scram_keys(server).iterations == 0)
		return no_secret(server, "scram-sha-256");
	login->scram_started = true;
	return scram_client_first(&login->scram, plus ? slice_make(binding, binding_len) : (Slice){NULL, 0},
							  binding_len > 0 && !plus, &first) == SCRAM_OK &&
		   wire_write_sasl_initial(out, plus ? SCRAM_MECHANISM_PLUS : SCRAM_MECHANISM, scram_message_slice(&first));
}

/* Our proof, with these keys. */
static bool
prove(Server *server, Buf *out, Slice data, ScramKeys *keys)
{
	ScramMessage final;
	ScramStatus status = scram_client_final(&server->login->scram, data, clear_password(server), keys, &final);

	if (status != SCRAM_OK)
		server_log(server, LOG_LEVEL_WARNING, "SCRAM: %s", scram_status_text(status));
	return status == SCRAM_OK && wire_write_sasl_response(out, scram_message_slice(&final));
}

static void
refused(Server *server)
{
	server_open_failed(server, "28P01", "server authentication failed", true);
}

static void
on_derived(DeriveWaiter *waiter, ScramStatus status, const ScramKeys *derived)
{
	ServerLogin *login = CONTAINER_OF(waiter, ServerLogin, derive);
	Server *server = login->server;
	Worker *worker = server->worker;
	ScramKeys keys = *derived;
	Buf out = {0};

	if (status == SCRAM_OK)
		keep_scram_keys(server, &keys);
	else
		server_log(server, LOG_LEVEL_WARNING, "SCRAM: %s", scram_status_text(status));
	if (status == SCRAM_OK && prove(server, &out, buf_slice(&login->kept), &keys))
		send_and_free(server, &out);
	else
		refused(server);
	scram_keys_wipe(&keys);
	buf_free(&out);
	if (server->state != SERVER_CLOSED && !worker->hall->suspended)
		net_resume(&server->conn);
	worker_run_actions(worker);
}

/* False when it cannot go on.  Where keys are to be derived first, `out` stays empty and the proof follows later. */
static bool
continue_scram(Server *server, Buf *out, Slice data)
{
	ServerLogin *login = server->login;
	ScramKeys keys = role_scram_keys(server);
	ScramKeys wanted;
	bool ok;

	if (!login->scram_started || derive_waits(&login->derive))
		return false;
	if (scram_client_wants(&login->scram, data, clear_password(server), &keys, &wanted) != SCRAM_KEYS_MISSING)
		ok = prove(server, out, data, &keys);
	else
	{
		login->derive.ready = on_derived;
		ok = buf_append(&login->kept, data.ptr, data.len) &&
			 derive_start(server->worker->jobs, &server->worker->derivations, clear_password(server), &wanted, &login->derive);
		if (ok)
			net_pause(&server->conn);
	}
	scram_keys_wipe(&keys);
	return ok;
}

/* False when the dialogue cannot go on; the server is closed then or will be. */
static bool
authentication(Server *server, Slice payload)
{
	WireAuth auth;
	Buf out = {0};
	bool ok;

	if (!wire_read_authentication(payload, &auth))
		return false;
	switch (auth.code)
	{
		case AUTH_OK:
			server->login->authenticated = !server->login->scram_started || server->login->scram_verified;
			return server->login->authenticated;
		case AUTH_CLEARTEXT: ok = answer_cleartext(server, &out); break;
		case AUTH_MD5: ok = answer_md5(server, &out, auth.salt); break;
		case AUTH_SASL: ok = start_scram(server, &out, &auth); break;
		case AUTH_SASL_CONTINUE: ok = continue_scram(server, &out, auth.data); break;
		case AUTH_SASL_FINAL:
			server->login->scram_verified =
				server->login->scram_started && scram_client_verify(&server->login->scram, auth.data) == SCRAM_OK;
			return server->login->scram_verified;
		default: ok = no_secret(server, "an unknown authentication method"); break;
	}
	if (ok)
		send_and_free(server, &out);
	else
		buf_free(&out);
	return ok;
}

static void
login_error(Server *server, Slice payload)
{
	WireError error;
	char message[256];
	char code[6] = "08P01";
	bool starting;

	if (!wire_read_error(payload, &error))
	{
		server_open_failed(server, code, "server login failed", false);
		return;
	}
	snprintf(message, sizeof(message), "%.*s", (int) (error.message.len < 250 ? error.message.len : 250),
			 (const char *) error.message.ptr);
	if (error.code.len == 5)
		memcpy(code, error.code.ptr, 5);
	starting = strcmp(code, "57P03") == 0;
	server_log(server, LOG_LEVEL_WARNING, "server login failed: FATAL %s", message);
	server_open_failed(server, code, message, !starting);
}

static void
backend_key(Server *server, Slice payload)
{
	uint32_t pid;
	Slice key;

	if (!wire_read_backend_key(payload, &pid, &key) || key.len > sizeof(server->cancel_key))
		return;
	server->backend_pid = pid;
	server->cancel_key_len = (uint8_t) key.len;
	memcpy(server->cancel_key, key.ptr, key.len);
}

/* Tracked parameters go into the set; the others are kept as they came, to be told to every client. */
static void
parameter(Server *server, const uint8_t *data, size_t total)
{
	Slice name;
	Slice value;
	int index;

	if (!wire_read_parameter_status(slice_make(data + WIRE_HEADER_SIZE, total - WIRE_HEADER_SIZE), &name, &value))
		return;
	index = params_index(server->worker->params, name);
	if (index >= 0)
		paramset_change(server->worker->params, &server->params, index, value);
	else if (buf_len(&server->login->fixed) + total < FIXED_MAX)
		(void) !buf_append(&server->login->fixed, data, total);
}

/* False ends the login. */
static bool
login_message(Server *server, uint8_t *data, size_t total)
{
	Slice payload = slice_make(data + WIRE_HEADER_SIZE, total - WIRE_HEADER_SIZE);

	switch (data[0])
	{
		case BE_AUTHENTICATION:
			if (authentication(server, payload))
				return true;
			refused(server);
			return false;
		case BE_ERROR_RESPONSE:
			login_error(server, payload);
			return false;
		case BE_PARAMETER_STATUS:
			parameter(server, data, total);
			return true;
		case BE_BACKEND_KEY_DATA:
			backend_key(server, payload);
			return true;
		case BE_READY_FOR_QUERY:
			if (!server->login->authenticated)
			{
				server_open_failed(server, "08P01", "server skipped authentication", true);
				return false;
			}
			server->tx_status = 'I';
			server_login_done(server);
			return false;
		case BE_NOTICE_RESPONSE:
		case BE_NEGOTIATE_PROTOCOL_VERSION:
			return true;
		default:
			server_open_failed(server, "08P01", "unexpected message during server login", false);
			return false;
	}
}

size_t
server_login_input(Server *server, uint8_t *data, size_t len)
{
	size_t pos = 0;

	if (server->login->ssl_asked && len > 0)
	{
		take_ssl_answer(server, data[0], len);
		return server->state == SERVER_CLOSED ? len : 1;
	}
	while (pos < len && server->state == SERVER_LOGIN)
	{
		WireHeader header;
		WireStatus status = wire_read_header(data + pos, len - pos, &header);
		size_t total = (size_t) header.payload_len + WIRE_HEADER_SIZE;

		if (status == WIRE_NEED_MORE)
			break;
		if (status == WIRE_BAD || total > NET_READ_SIZE)
		{
			server_open_failed(server, "08P01", "bad packet during server login", false);
			break;
		}
		if (total > len - pos)
			break;
		pos += total;
		if (!login_message(server, data + pos - total, total))
			break;
	}
	return server->state == SERVER_CLOSED ? len : pos;
}
