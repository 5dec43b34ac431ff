/*
 * client_auth.c: the dialogue in which a client proves who it is.
 *
 * A user that does not exist goes through the same dialogue as one that does.
 */
#include "session/client_login.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"

#define AUTH_MESSAGE_MAX 4096

static void
auth_failed(Client *client)
{
	const char *text = client->login->method == AUTH_TYPE_SCRAM_SHA_256 ? "SASL authentication failed"
																		: "password authentication failed";

	client_close(client, text, text);
}

static const char *
user_secret(const Client *client, const UserSpec **spec)
{
	*spec = settings_find_user(client->worker->settings, client->login->user);
	return *spec != NULL && (*spec)->secret != NULL ? (*spec)->secret : client->login->looked_up;
}

static bool
start_scram(Client *client, const char *stored)
{
	static const char *const mechanisms[] = {SCRAM_MECHANISM_PLUS, SCRAM_MECHANISM};
	ClientLogin *login = client->login;
	uint32_t iterations = (uint32_t) client->worker->settings->scram_iterations;
	Role *role = stored != NULL ? worker_role(client->worker, login->user) : NULL;
	Buf out = {0};
	bool ok;

	if (stored != NULL && strncmp(stored, "SCRAM-SHA-256$", 14) == 0)
	{
		ok = scram_verifier_parse(slice_str(stored), &login->verifier);
		login->verifier_stored = ok;
	}
	else if (stored != NULL && stored[0] != '\0' && !wire_md5_is_stored(slice_str(stored)))
		ok = role != NULL && role_plain_verifier(client->worker, role, stored, iterations, &login->verifier);
	else
	{
		login->unknown_user = true;
		ok = scram_verifier_mock(slice_str(login->user), client->worker->hall->mock_secret, iterations, &login->verifier);
	}
	login->method = AUTH_TYPE_SCRAM_SHA_256;
	login->binding_len = net_tls_binding(&client->conn, login->binding);
	ok = ok && (login->binding_len > 0 ? wire_write_auth_sasl(&out, mechanisms, 2)
									   : wire_write_auth_sasl(&out, mechanisms + 1, 1));
	login_send(client, &out, ok);
	return ok;
}

static void
start_md5(Client *client)
{
	Buf out = {0};
	bool ok = RAND_bytes(client->login->salt, 4) == 1 && wire_write_auth_md5(&out, client->login->salt);

	login_send(client, &out, ok);
}

/* The client needs no password if `fits`; it must be a known user all the same. */
static void
admit_if(Client *client, bool fits, const char *text)
{
	const UserSpec *spec;

	if (!fits || user_secret(client, &spec) == NULL)
		client_close(client, fits ? "no such user" : text, text);
	else
		login_authenticated(client);
}

static const char *
first_set(const char *a, const char *b, const char *c)
{
	return a != NULL && a[0] != '\0' ? a : b != NULL && b[0] != '\0' ? b : c;
}

/* Ask auth_query about a user who is not in the auth file; false when there is nothing to ask. */
static bool
start_lookup(Client *client)
{
	const Settings *settings = client->worker->settings;
	ClientLogin *login = client->login;
	const DatabaseSpec *spec = settings_find_database(settings, login->database);
	const DatabaseSpec none = {0};
	const char *user;
	const char *database;

	if (spec == NULL)
		spec = settings->database_template != NULL ? settings->database_template : &none;
	user = first_set(spec->auth_user, settings->auth_user, NULL);
	database = first_set(spec->auth_dbname, settings->auth_dbname,
						 login_is_console(login->database) || spec == &none ? NULL : login->database);
	if (login->lookup_done || user == NULL || database == NULL || login_is_console(database))
		return false;
	login->lookup = auth_lookup_start(client, database, user, first_set(spec->auth_query, settings->auth_query, ""),
									  login->user);
	if (login->lookup == NULL)
		client_close(client, "auth_query could not be started", "bouncer resources exhaustion");
	else
		client_update_flow(client);
	return true;
}

void
client_login_stop(Client *client)
{
	if (client->login == NULL)
		return;
	auth_lookup_abandon(client->login->lookup);
	client->login->lookup = NULL;
}

bool
client_login_waits(const Client *client)
{
	return client->login != NULL && client->login->lookup != NULL;
}

void
login_authenticate(Client *client)
{
	ClientLogin *login = client->login;
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);
	const char *map = NULL;
	Buf out = {0};
	bool ok;

	login->method = client->worker->settings->auth_type;
	if (login->method == AUTH_TYPE_HBA)
		login->method = client_rule_method(client, &(HbaQuery){.replication = login->replication == REPLICATION_PHYSICAL, .database = login->database,
																.user = login->user}, &map);
	if (login_is_console(login->database) && login_is_own_uid(client))
		login->method = AUTH_TYPE_ANY;
	client_set_state(client, CLIENT_AUTH);
	if (stored == NULL && login->method != AUTH_TYPE_ANY && login->method != AUTH_TYPE_REJECT && start_lookup(client))
		return;
	switch (login->method)
	{
		case AUTH_TYPE_ANY:
			login_authenticated(client);
			return;
		case AUTH_TYPE_TRUST:
			if (stored == NULL)
				client_close(client, "no such user", "\"trust\" authentication failed");
			else
				login_authenticated(client);
			return;
		case AUTH_TYPE_PLAIN:
			ok = wire_write_auth_cleartext(&out);
			login_send(client, &out, ok);
			return;
		case AUTH_TYPE_MD5:
			if (stored != NULL && strncmp(stored, "SCRAM-SHA-256$", 14) == 0)
				(void) start_scram(client, stored);
			else
				start_md5(client);
			return;
		case AUTH_TYPE_SCRAM_SHA_256:
			(void) start_scram(client, stored);
			return;
		case AUTH_TYPE_CERT:
			admit_if(client, client_certificate_fits(client, login->user, map), "certificate authentication failed");
			return;
		case AUTH_TYPE_PEER:
			admit_if(client, client_peer_fits(client, login->user, map), "unix socket login rejected");
			return;
		case AUTH_TYPE_HBA:
		case AUTH_TYPE_REJECT:
			client_close(client, "login rejected", "login rejected");
			return;
	}
}

void
client_login_looked_up(Client *client, bool found, char *secret)
{
	ClientLogin *login = client->login;
	Role *role = found ? worker_role(client->worker, login->user) : NULL;

	login->lookup = NULL;
	login->lookup_done = true;
	login->looked_up = found && secret == NULL ? strdup("") : secret;
	if (role != NULL && secret != NULL)
	{
		hall_lock_tables(client->worker->hall);
		if (role->looked_up != NULL)
			OPENSSL_cleanse(role->looked_up, strlen(role->looked_up));
		free(role->looked_up);
		role->looked_up = strdup(secret);
		hall_unlock_tables(client->worker->hall);
	}
	login_authenticate(client);
	client_update_flow(client);
}

void
client_login_lookup_failed(Client *client)
{
	client->login->lookup = NULL;
	client_close(client, "auth_query failed", "bouncer config error");
}

static void
take_plain(Client *client, Slice payload)
{
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);
	Slice password;

	if (wire_read_password(payload, &password) && stored != NULL && stored[0] != '\0' &&
		client_password_matches(password, stored, client->login->user))
	{
		Role *role = worker_role(client->worker, client->login->user);

		hall_lock_tables(client->worker->hall);
		if (role != NULL && role->plain == NULL)
			role->plain = strndup((const char *) password.ptr, password.len);
		hall_unlock_tables(client->worker->hall);
		login_authenticated(client);
	}
	else
		auth_failed(client);
}

static void
take_md5(Client *client, Slice payload)
{
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);
	bool known = stored != NULL && stored[0] != '\0';
	Slice response;

	if (wire_read_password(payload, &response) &&
		wire_md5_check(slice_str(known ? stored : "md500000000000000000000000000000000"), slice_str(client->login->user),
					   client->login->salt, response) &&
		known)
		login_authenticated(client);
	else
		auth_failed(client);
}

static void
take_scram_first(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	WireSaslInitial initial;
	ScramMessage reply;
	ScramStatus status = SCRAM_MALFORMED;
	Buf out = {0};
	bool ok;

	if (wire_read_sasl_initial(payload, &initial))
	{
		bool plus = slice_is(initial.mechanism, SCRAM_MECHANISM_PLUS) && login->binding_len > 0;

		if (plus || slice_is(initial.mechanism, SCRAM_MECHANISM))
			status = scram_server_first(&login->scram, initial.data, &login->verifier,
										slice_make(login->binding, login->binding_len), plus, &reply);
	}
	if (status != SCRAM_OK)
	{
		client_log(client, LOG_LEVEL_LOG, "SCRAM: %s", scram_status_text(status));
		auth_failed(client);
		return;
	}
	login->step = 1;
	ok = wire_write_auth_sasl_continue(&out, scram_message_slice(&reply));
	login_send(client, &out, ok);
}

static void
take_scram_final(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	ScramMessage reply;
	uint8_t client_key[SCRAM_KEY_SIZE];
	Buf out = {0};
	ScramStatus status = scram_server_final(&login->scram, payload, &reply, client_key);
	Role *role;
	bool ok;

	if (status != SCRAM_OK || login->unknown_user)
	{
		if (status == SCRAM_BINDING_MISMATCH)
			client_log(client, LOG_LEVEL_WARNING, "SCRAM: %s", scram_status_text(status));
		auth_failed(client);
		return;
	}
	role = login->verifier_stored ? worker_role(client->worker, login->user) : NULL;
	hall_lock_tables(client->worker->hall);
	if (role != NULL)
		scram_keys_from_login(&role->scram_keys, &login->verifier, client_key);
	hall_unlock_tables(client->worker->hall);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	ok = wire_write_auth_sasl_final(&out, scram_message_slice(&reply));
	login_send(client, &out, ok);
	if (client->state != CLIENT_CLOSED)
		login_authenticated(client);
}

/* --- input --- */

size_t
login_auth_input(Client *client, uint8_t *data, size_t len)
{
	WireHeader header;
	Slice payload;
	size_t total;

	switch (wire_read_header(data, len, &header))
	{
		case WIRE_NEED_MORE: return 0;
		case WIRE_BAD: client_close(client, "bad packet header", "bad packet header"); return len;
		case WIRE_OK: break;
	}
	total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
	if (header.type != FE_PASSWORD || total > AUTH_MESSAGE_MAX)
	{
		client_close(client, "unexpected message during authentication", "expected password response");
		return len;
	}
	if (total > len)
		return 0;
	payload = slice_make(data + WIRE_HEADER_SIZE, header.payload_len);
	switch (client->login->method)
	{
		case AUTH_TYPE_PLAIN: take_plain(client, payload); break;
		case AUTH_TYPE_MD5: take_md5(client, payload); break;
		case AUTH_TYPE_SCRAM_SHA_256:
			if (client->login->step == 0)
				take_scram_first(client, payload);
			else
				take_scram_final(client, payload);
			break;
		default: client_close(client, "unexpected message during authentication", "expected password response"); break;
	}
	OPENSSL_cleanse(data, total);
	return total;
}
