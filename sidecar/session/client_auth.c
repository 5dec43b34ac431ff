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

/* --- slow work --- */

static void
on_derived(DeriveWaiter *waiter, ScramStatus status, const ScramKeys *keys)
{
	ClientLogin *login = CONTAINER_OF(waiter, ClientLogin, derive);
	Client *client = login->client;
	Worker *worker = client->worker;

	login->paid = true;
	client_update_flow(client); /* before: the console goes its own ways */
	login->derived(client, status, keys);
	client_update_flow(client);
	worker_run_actions(worker);
}

/* Nothing more is read from the client until derived() has been called. */
static void
derive(Client *client, List *shared, Slice password, const ScramKeys *wanted,
	   void (*derived)(Client *client, ScramStatus status, const ScramKeys *keys))
{
	ClientLogin *login = client->login;

	login->derive.ready = on_derived;
	login->derived = derived;
	if (derive_start(client->worker->jobs, shared, password, wanted, &login->derive))
		client_update_flow(client);
	else
		client_close(client, "out of memory", "bouncer resources exhaustion");
}

static bool
keep_message(ClientLogin *login, Slice message)
{
	login_drop_kept(login);
	login->kept = malloc(message.len + 1);
	if (login->kept == NULL)
		return false;
	memcpy(login->kept, message.ptr, message.len);
	login->kept_len = message.len;
	return true;
}

/* --- refusing --- */

static void
auth_failed(Client *client)
{
	client_close_error(client, "28P01",
					   client->login->method == AUTH_TYPE_SCRAM_SHA_256 ? "SASL authentication failed"
																		: "password authentication failed");
}

static void
refuse_now(Client *client, ScramStatus status, const ScramKeys *keys)
{
	(void) status;
	(void) keys;
	auth_failed(client);
}

static uint32_t
mock_iterations(const Settings *settings)
{
	return settings->mock_iterations > 0 ? settings->mock_iterations : (uint32_t) settings->scram_iterations;
}

/*
 * The password is wrong, or there is no such user.  Whatever it is, and whether the user's secret is kept as text, md5 or SCRAM: a
 * refusal takes the time of one derivation, so that the time does not tell.
 */
static void
refuse(Client *client)
{
	static const uint8_t nothing[1];
	ScramKeys wanted = {.iterations = mock_iterations(client->worker->settings), .salt_len = SCRAM_SALT_DEFAULT};

	if (client->login->paid)
		auth_failed(client);
	else
		derive(client, NULL, slice_make(nothing, 0), &wanted, refuse_now);
}

/* --- methods --- */

static const char *
user_secret(const Client *client, const UserSpec **spec)
{
	*spec = settings_find_user(client->worker->settings, client->login->user);
	return *spec != NULL && (*spec)->secret != NULL ? (*spec)->secret : client->login->looked_up;
}

static bool
is_scram(const char *stored)
{
	return strncmp(stored, "SCRAM-SHA-256$", 14) == 0;
}

/*
 * The verifier of a password that is kept in clear: its salt is always the same for the user, and its keys are derived once, when
 * a client wants to prove something.
 */
static bool
plain_verifier(Client *client, const char *password)
{
	ClientLogin *login = client->login;
	Worker *worker = client->worker;
	uint32_t iterations = (uint32_t) worker->settings->scram_iterations;
	const Role *role = worker_role(worker, login->user);
	ScramKeys keys;

	if (role == NULL)
		return false;
	hall_lock_tables(worker->hall);
	keys = role->own_keys;
	hall_unlock_tables(worker->hall);
	login->cold = keys.iterations != iterations || !scram_keys_came_from(&keys, slice_str(password)) ||
				  !scram_verifier_from_keys(&keys, &login->verifier);
	scram_keys_wipe(&keys);
	if (!login->cold)
		return true;
	login->verifier = (ScramVerifier){.iterations = iterations, .salt_len = SCRAM_SALT_DEFAULT};
	return scram_salt_for(slice_str(login->user), worker->hall->mock_secret, login->verifier.salt);
}

static bool
start_scram(Client *client, const char *stored)
{
	static const char *const mechanisms[] = {SCRAM_MECHANISM_PLUS, SCRAM_MECHANISM};
	ClientLogin *login = client->login;
	Buf out = {0};
	bool ok;

	/* The verifier of nobody is made for everybody: that it was needed must not be told by the time that it takes. */
	ok = scram_verifier_mock(slice_str(login->user), client->worker->hall->mock_secret, mock_iterations(client->worker->settings),
							 &login->verifier);
	if (!ok)
		;
	else if (stored != NULL && is_scram(stored) && scram_verifier_parse(slice_str(stored), &login->verifier))
		login->verifier_stored = true;
	else if (stored != NULL && stored[0] != '\0' && !is_scram(stored) && !wire_md5_is_stored(slice_str(stored)))
		ok = plain_verifier(client, stored);
	else
		login->unknown_user = true;
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
	bool known = user_secret(client, &spec) != NULL;

	if (fits && !known)
		client_log(client, LOG_LEVEL_LOG, "no such user: %s", client->login->user);
	if (fits && known)
		login_authenticated(client);
	else
		client_close_error(client, "28000", text);
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
	external_abandon(client->login->external);
	client->login->external = NULL;
	derive_cancel(&client->login->derive);
}

bool
client_login_waits(const Client *client)
{
	return client->login != NULL && (client->login->lookup != NULL || client->login->external != NULL || derive_waits(&client->login->derive));
}

static AuthType
method_of(const Client *client, const HbaRule **rule)
{
	const ClientLogin *login = client->login;
	HbaQuery query = {.replication = login->replication == REPLICATION_PHYSICAL, .database = login->database, .user = login->user};

	return client->worker->settings->auth_type == AUTH_TYPE_HBA ? client_rule_method(client, &query, rule)
																: client->worker->settings->auth_type;
}

/*
 * Does it matter whether we know the user?  PAM and directories have users of their own.  Who shows the certificate of somebody else, or is
 * somebody else on this machine, is refused without a question: how long that takes must not tell whether the user exists.
 */
static bool
needs_secret(const Client *client, AuthType method, const char *map)
{
	switch (method)
	{
		case AUTH_TYPE_CERT: return client_certificate_fits(client, client->login->user, map);
		case AUTH_TYPE_PEER: return client_peer_fits(client, client->login->user, map);
		default: return method != AUTH_TYPE_ANY && method != AUTH_TYPE_REJECT && method != AUTH_TYPE_PAM && method != AUTH_TYPE_LDAP;
	}
}

void
login_authenticate(Client *client)
{
	ClientLogin *login = client->login;
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);
	const HbaRule *rule = NULL;
	const char *map;
	Buf out = {0};
	bool ok;

	login->method = method_of(client, &rule);
	map = rule != NULL ? rule->map : NULL;
	if (login_is_console(login->database) && login_is_own_uid(client))
		login->method = AUTH_TYPE_ANY;
	client_set_state(client, CLIENT_AUTH);
	if (stored == NULL && needs_secret(client, login->method, map))
	{
		if (start_lookup(client))
			return;
		client_log(client, client->worker->settings->log_connections ? LOG_LEVEL_LOG : LOG_LEVEL_DEBUG, "no such user: %s", login->user);
	}
	switch (login->method)
	{
		case AUTH_TYPE_ANY:
			login_authenticated(client);
			return;
		case AUTH_TYPE_TRUST:
			admit_if(client, true, "\"trust\" authentication failed");
			return;
		case AUTH_TYPE_PLAIN:
		case AUTH_TYPE_PAM:
		case AUTH_TYPE_LDAP:
			ok = wire_write_auth_cleartext(&out);
			login_send(client, &out, ok);
			return;
		case AUTH_TYPE_MD5:
			/* nobody is told by the kind of the challenge that there is no such user */
			if (stored != NULL && stored[0] != '\0' ? is_scram(stored) : client->worker->settings->mock_scram)
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
			client_close_error(client, "28000", "login rejected");
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
	client_update_flow(client);
	login_authenticate(client);
	client_update_flow(client);
}

void
client_login_lookup_failed(Client *client)
{
	client->login->lookup = NULL;
	client_close(client, "auth_query failed", "bouncer config error");
}

/* The server may want it too. */
static void
capture_password(const Client *client, Slice password)
{
	Role *role = worker_role(client->worker, client->login->user);

	if (role == NULL)
		return;
	hall_lock_tables(client->worker->hall);
	if (role->plain == NULL || !slice_is(password, role->plain))
	{
		if (role->plain != NULL)
			OPENSSL_cleanse(role->plain, strlen(role->plain));
		free(role->plain);
		role->plain = strndup((const char *) password.ptr, password.len);
	}
	hall_unlock_tables(client->worker->hall);
}

/* The keys of the password that was given: are they those of the verifier? */
static void
plain_derived(Client *client, ScramStatus status, const ScramKeys *keys)
{
	ClientLogin *login = client->login;
	ScramVerifier made;

	if (status == SCRAM_OK && scram_verifier_from_keys(keys, &made) &&
		CRYPTO_memcmp(made.stored_key, login->verifier.stored_key, sizeof(made.stored_key)) == 0)
	{
		capture_password(client, slice_make(login->kept, login->kept_len));
		login_authenticated(client);
	}
	else
		auth_failed(client);
}

static void
take_plain(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);
	Slice password;

	if (!wire_read_password(payload, &password))
		auth_failed(client);
	else if (stored != NULL && scram_verifier_parse(slice_str(stored), &login->verifier))
	{
		ScramKeys wanted = {.iterations = login->verifier.iterations, .salt_len = login->verifier.salt_len};

		memcpy(wanted.salt, login->verifier.salt, sizeof(wanted.salt));
		if (keep_message(login, password))
			derive(client, NULL, password, &wanted, plain_derived);
		else
			client_close(client, "out of memory", "bouncer resources exhaustion");
	}
	else if (stored != NULL && stored[0] != '\0' && client_password_matches(password, stored, login->user))
	{
		capture_password(client, password);
		login_authenticated(client);
	}
	else
		refuse(client);
}

static void
external_failed(Client *client)
{
	client_close_error(client, "28000", client->login->method == AUTH_TYPE_PAM ? "PAM authentication failed" : "LDAP authentication failed");
}

static void
on_external(void *arg, bool right, const char *why)
{
	Client *client = arg;
	Worker *worker = client->worker;
	ClientLogin *login = client->login;

	login->external = NULL;
	client_update_flow(client);
	if (right)
	{
		capture_password(client, slice_make(login->kept, login->kept_len));
		login_authenticated(client);
	}
	else
	{
		client_log(client, LOG_LEVEL_WARNING, "%s: user \"%s\": %s", login->method == AUTH_TYPE_PAM ? "PAM" : "LDAP", login->user, why);
		external_failed(client);
	}
	client_update_flow(client);
	worker_run_actions(worker);
}

/* The rule is looked up again: it may have gone since the client was asked for its password. */
static void
take_external(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	const Settings *settings = client->worker->settings;
	const HbaRule *rule = NULL;
	char host[80];
	ExternalAsk ask = {.user = login->user, .host = net_peer_ip(&client->peer, host, sizeof(host)),
					   .pam_service = settings->auth_pam_service,
					   .timeout_s = settings->client_login_timeout_us > 0 ? (int) (settings->client_login_timeout_us / USEC_PER_SEC) + 1 : 60};
	bool same = method_of(client, &rule) == login->method;

	if (login->method == AUTH_TYPE_LDAP)
		ask.ldap = rule != NULL ? rule->ldap : settings->ldap;
	if (rule != NULL && rule->pam_service != NULL)
		ask.pam_service = rule->pam_service;
	/* a directory takes an empty password for a wish to be nobody, and grants it */
	if (!same || (login->method == AUTH_TYPE_LDAP && ask.ldap == NULL) || !wire_read_password(payload, &ask.password) || ask.password.len == 0)
	{
		external_failed(client);
		return;
	}
	if (keep_message(login, ask.password))
		login->external = external_start(client->worker->jobs, &ask, on_external, client);
	if (login->external == NULL)
		client_close(client, "out of memory", "bouncer resources exhaustion");
	else
		client_update_flow(client);
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
		refuse(client);
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

/* The proof, and whether it holds. */
static void
check_scram_final(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	ScramMessage reply;
	uint8_t client_key[SCRAM_KEY_SIZE];
	ScramStatus status = scram_server_final(&login->scram, payload, &reply, client_key);
	Role *role;

	if (status == SCRAM_BINDING_MISMATCH)
		client_log(client, LOG_LEVEL_WARNING, "SCRAM: %s", scram_status_text(status));
	if (status == SCRAM_WRONG_PASSWORD || (status == SCRAM_OK && login->unknown_user))
		refuse(client);
	else if (status != SCRAM_OK)
		auth_failed(client);
	if (status != SCRAM_OK || login->unknown_user)
		return;
	role = login->verifier_stored ? worker_role(client->worker, login->user) : NULL;
	hall_lock_tables(client->worker->hall);
	if (role != NULL)
		scram_keys_from_login(&role->scram_keys, &login->verifier, client_key);
	hall_unlock_tables(client->worker->hall);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	if (!wire_write_auth_sasl_final(&login->last_word, scram_message_slice(&reply)))
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	login_authenticated(client);
	client_login_send_last_word(client);
}

/* The keys of the password in the auth file are there: the proof can be checked. */
static void
own_keys_derived(Client *client, ScramStatus status, const ScramKeys *keys)
{
	ClientLogin *login = client->login;
	Role *role = worker_role(client->worker, login->user);

	if (status != SCRAM_OK || role == NULL || !scram_verifier_from_keys(keys, &login->verifier))
	{
		client_log(client, LOG_LEVEL_WARNING, "SCRAM: %s", scram_status_text(status));
		auth_failed(client);
		return;
	}
	hall_lock_tables(client->worker->hall);
	role->own_keys = *keys;
	hall_unlock_tables(client->worker->hall);
	scram_server_set_keys(&login->scram, &login->verifier);
	check_scram_final(client, slice_make(login->kept, login->kept_len));
}

/* Is all of the message right but for the proof, which cannot be known yet? */
static bool
is_good_but_for_the_proof(const ClientLogin *login, Slice payload)
{
	ScramServer trial = login->scram;
	ScramMessage reply;
	uint8_t client_key[SCRAM_KEY_SIZE];
	ScramStatus status = scram_server_final(&trial, payload, &reply, client_key);

	scram_server_wipe(&trial);
	return status == SCRAM_WRONG_PASSWORD;
}

static void
take_scram_final(Client *client, Slice payload)
{
	ClientLogin *login = client->login;
	ScramKeys wanted = {.iterations = login->verifier.iterations, .salt_len = login->verifier.salt_len};
	const UserSpec *spec;
	const char *stored = user_secret(client, &spec);

	/* a malformed message must not cost a derivation, which it would not for a user that does not exist */
	if (!login->cold || stored == NULL || !is_good_but_for_the_proof(login, payload))
	{
		check_scram_final(client, payload);
		return;
	}
	memcpy(wanted.salt, login->verifier.salt, sizeof(wanted.salt));
	if (keep_message(login, payload))
		derive(client, &client->worker->derivations, slice_str(stored), &wanted, own_keys_derived);
	else
		client_close(client, "out of memory", "bouncer resources exhaustion");
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
		case AUTH_TYPE_PAM:
		case AUTH_TYPE_LDAP: take_external(client, payload); break;
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
