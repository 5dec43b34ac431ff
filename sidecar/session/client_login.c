/*
 * client_login.c: from an accepted connection to a session: startup packet, authentication, welcome.
 *
 * Before a client has proved who it is, it costs a bounded amount: one ClientLogin, one startup packet of at most
 * WIRE_STARTUP_MAX bytes, and client_login_timeout.  A user that does not exist goes through the same dialogue as one that does.
 */
#include "session/session.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "wire/auth_md5.h"
#include "wire/auth_scram.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"
#include "wire/startup.h"

#define NAME_MAX_LEN 128
#define AUTH_MESSAGE_MAX 4096

struct ClientLogin
{
	char database[NAME_MAX_LEN];
	char user[NAME_MAX_LEN];
	AuthType method;
	ReplicationKind replication;
	char *options; /* owned; of a replication connection */
	bool unknown_user;
	bool verifier_stored; /* the auth file holds the verifier itself: its keys are good for the server too */
	AuthLookup *lookup; /* auth_query is under way */
	bool lookup_done;
	char *looked_up;	/* owned, wiped: the secret it gave */
	uint8_t salt[4];
	int step; /* SCRAM: 0 = client-first is next, 1 = client-final is next */
	ScramVerifier verifier;
	ScramServer scram;
	uint8_t binding[NET_TLS_BINDING_MAX]; /* of our certificate, where PLUS was offered */
	size_t binding_len;
	const ParamSet *wanted; /* counted: parameters of the startup packet */
	ParamRegistry *registry;
	usec_t deadline_us;
};

void
client_login_free(ClientLogin *login)
{
	if (login == NULL)
		return;
	if (login->wanted != NULL)
		paramset_unref(login->registry, login->wanted);
	if (login->looked_up != NULL)
		OPENSSL_cleanse(login->looked_up, strlen(login->looked_up));
	free(login->looked_up);
	free(login->options);
	scram_server_wipe(&login->scram);
	scram_verifier_wipe(&login->verifier);
	free(login);
}

void
client_login_names(const Client *client, const char **database, const char **user)
{
	const ClientLogin *login = client->login;

	if (database != NULL)
		*database = login->database[0] != '\0' ? login->database : NULL;
	if (user != NULL)
		*user = login->user[0] != '\0' ? login->user : NULL;
}

static void
send_or_die(Client *client, Buf *out, bool ok)
{
	if (ok)
		client_send_buf(client, out);
	else
		client_close(client, "out of memory", "bouncer resources exhaustion");
	buf_free(out);
}

/* --- startup packet --- */

static bool
copy_name(char out[NAME_MAX_LEN], Slice value)
{
	if (value.len >= NAME_MAX_LEN)
		return false;
	memcpy(out, value.ptr, value.len);
	out[value.len] = '\0';
	return true;
}

static bool
list_has(const char *list, Slice name)
{
	char text[NAME_MAX_LEN];

	return copy_name(text, name) && settings_list_has(list, text);
}

/* A tracked parameter is noted; false when it is not one. */
static bool
note_parameter(Client *client, Slice name, Slice value)
{
	Worker *worker = client->worker;
	int index = params_index(&worker->params, name);

	if (index < 0)
		return false;
	if (index == worker->params.deadline_index)
	{
		client->login->deadline_us = deadline_parse(value);
		if (client->login->deadline_us < 0)
		{
			client_close_error(client, "22023", "invalid value for parameter \"pgweir.deadline\"");
			return true;
		}
	}
	paramset_change(&worker->params, &client->login->wanted, index, value);
	return true;
}

static bool
on_option(void *arg, Slice name, Slice value)
{
	Client *client = arg;
	char message[200];

	if (note_parameter(client, name, value) ||
		list_has(client->worker->settings->ignore_startup_parameters, name) ||
		list_has(client->worker->settings->ignore_startup_parameters, slice_str("options")))
		return client->state != CLIENT_CLOSED;
	snprintf(message, sizeof(message), "unsupported startup parameter in options: %.*s",
			 name.len > 100 ? 100 : (int) name.len, (const char *) name.ptr);
	client_close(client, message, message);
	return false;
}

static void
take_options(Client *client, Slice value)
{
	char *scratch = malloc(value.len + 1);

	if (scratch == NULL)
		client_close(client, "out of memory", "bouncer resources exhaustion");
	else if (!wire_parse_options(value, scratch, value.len + 1, on_option, client) && client->state != CLIENT_CLOSED &&
			 !settings_list_has(client->worker->settings->ignore_startup_parameters, "options"))
		client_close(client, "unsupported options startup parameter",
					 "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed");
	free(scratch);
}

static void
take_startup_parameter(Client *client, Slice name, Slice value)
{
	ClientLogin *login = client->login;
	char message[200];

	if (slice_is(name, "user"))
	{
		if (!copy_name(login->user, value))
			client_close(client, "user name too long", "user name too long");
	}
	else if (slice_is(name, "database"))
	{
		if (!copy_name(login->database, value))
			client_close(client, "database name too long", "database name too long");
	}
	else if (slice_is(name, "replication"))
		return; /* taken before */
	else if (slice_is(name, "options"))
	{
		if (login->replication == REPLICATION_NONE)
			take_options(client, value);
		else if (login->options == NULL && (login->options = strndup((const char *) value.ptr, value.len)) == NULL)
			client_close(client, "out of memory", "bouncer resources exhaustion");
	}
	else if (name.len > 5 && memcmp(name.ptr, "_pq_.", 5) == 0)
		return; /* answered by NegotiateProtocolVersion */
	else if (!note_parameter(client, name, value) &&
			 !list_has(client->worker->settings->ignore_startup_parameters, name))
	{
		snprintf(message, sizeof(message), "unsupported startup parameter: %.*s",
				 name.len > 100 ? 100 : (int) name.len, (const char *) name.ptr);
		client_close(client, message, message);
	}
}

/* Comes first, since it decides what `options` means, wherever it stands. */
static void
take_replication(Client *client, const WireStartup *startup)
{
	size_t pos = 0;
	Slice name;
	Slice value;
	char message[120];

	while (wire_startup_next(startup, &pos, &name, &value))
		if (slice_is(name, "replication") && !replication_parse(value, &client->login->replication))
		{
			snprintf(message, sizeof(message), "invalid value for parameter \"replication\": \"%.*s\"",
					 value.len > 40 ? 40 : (int) value.len, (const char *) value.ptr);
			client_close_error(client, "22023", message);
			return;
		}
}

static bool
send_negotiation(Client *client, const WireStartup *startup)
{
	Slice unknown[8];
	Slice name;
	Slice value;
	size_t pos = 0;
	int n = 0;
	Buf out = {0};
	bool ok;

	while (wire_startup_next(startup, &pos, &name, &value))
		if (name.len > 5 && memcmp(name.ptr, "_pq_.", 5) == 0 && n < 8)
			unknown[n++] = name;
	if (startup->minor == 0 && n == 0)
		return true;
	ok = wire_write_negotiate_version(&out, 0, unknown, n);
	send_or_die(client, &out, ok);
	return ok;
}

/* --- cancel keys --- */

static bool
new_cancel_key(Client *client)
{
	Worker *worker = client->worker;
	uint64_t hash;

	do
	{
		if (RAND_bytes(client->cancel_key, sizeof(client->cancel_key)) != 1)
			return false;
		client->cancel_key[0] &= 0x7f; /* a positive pid reads better */
		if (worker->settings->peer_id > 0)
			peer_key_mark(client->cancel_key, worker->settings->peer_id);
		hash = hash_bytes(worker->hash_seed, client->cancel_key, 8);
	} while (map_find(&worker->cancel_keys, hash, client->cancel_key) != NULL);
	map_insert(&worker->cancel_keys, &client->cancel_node, hash);
	client->has_key = true;
	return true;
}

/* --- console --- */

static bool
is_console(const char *database)
{
	return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

/* Somebody on a Unix socket who is the daemon's own user may enter the console as `pgbouncer` without a password. */
static bool
is_own_uid(const Client *client)
{
	return client->peer.family == AF_UNIX && client->peer.uid == (uint32_t) geteuid() &&
		   (strcmp(client->login->user, "pgbouncer") == 0 || strcmp(client->login->user, "pgweir") == 0);
}

static const char *
tls_name(const Client *client, char *buf, size_t size)
{
	return net_is_tls(&client->conn) ? net_tls_describe(&client->conn, buf, size) : "no";
}

static void
console_enter(Client *client)
{
	const Settings *settings = client->worker->settings;
	const char *user = client->login->user;
	Buf out = {0};
	char version[80];
	char tls[80];
	bool any = settings->auth_type == AUTH_TYPE_ANY;
	bool ok;

	client->console_admin = is_own_uid(client) || settings_list_has(settings->admin_users, user);
	if (!client->console_admin && !any && !settings_list_has(settings->stats_users, user))
	{
		client_close(client, "not allowed", "not allowed");
		return;
	}
	snprintf(version, sizeof(version), "%s/bouncer", client->worker->version);
	ok = wire_write_auth_ok(&out) && wire_write_parameter_status(&out, slice_str("server_version"), slice_str(version)) &&
		 wire_write_parameter_status(&out, slice_str("client_encoding"), slice_str("UTF8")) &&
		 wire_write_parameter_status(&out, slice_str("server_encoding"), slice_str("UTF8")) &&
		 wire_write_parameter_status(&out, slice_str("DateStyle"), slice_str("ISO")) &&
		 wire_write_parameter_status(&out, slice_str("TimeZone"), slice_str("GMT")) &&
		 wire_write_parameter_status(&out, slice_str("standard_conforming_strings"), slice_str("on")) &&
		 wire_write_parameter_status(&out, slice_str("is_superuser"), slice_str("on")) &&
		 new_cancel_key(client) &&
		 wire_write_backend_key_data(&out, wire_load_u32(client->cancel_key), slice_make(client->cancel_key + 4, 4)) &&
		 wire_write_ready_for_query(&out, 'I');
	client_log(client, settings->log_connections ? LOG_LEVEL_LOG : LOG_LEVEL_DEBUG,
			   "login attempt: db=%s user=%s tls=%s replication=no", client->login->database, user,
			   tls_name(client, tls, sizeof(tls)));
	client->role = worker_role(client->worker, user);
	client->database = NULL;
	client_set_state(client, CLIENT_CONSOLE);
	client_login_free(client->login);
	client->login = NULL;
	client_rearm_timer(client);
	send_or_die(client, &out, ok);
}

/* --- the welcome --- */

static bool
write_parameters(const Client *client, Buf *out)
{
	const ParamRegistry *registry = &client->worker->params;

	for (int i = 0; i < registry->count; i++)
	{
		const char *value = paramset_get(client->params, i);

		if (value != NULL && !wire_write_parameter_status(out, slice_str(registry->names[i]), slice_str(value)))
			return false;
	}
	return buf_append(out, buf_ptr(&client->pool->welcome_fixed), buf_len(&client->pool->welcome_fixed));
}

/* login_notify_message */
static bool
write_login_notice(const Client *client, Buf *out)
{
	const char *text = client->worker->settings->login_notify_message;

	return text[0] == '\0' ||
		   wire_write_notice(out, &(WireError){.severity = SLICE_LITERAL("NOTICE"), .severity_v = SLICE_LITERAL("NOTICE"),
											  .code = SLICE_LITERAL("00000"), .message = slice_str(text)});
}

static void
take_application_name(Client *client)
{
	Worker *worker = client->worker;
	int index = params_index(&worker->params, slice_str("application_name"));
	const char *name = paramset_get(client->params, index);
	char peer[80];
	char full[300];

	if (!worker->settings->application_name_add_host)
		return;
	snprintf(full, sizeof(full), "%.200s - %s", name != NULL && name[0] != '\0' ? name : "app",
			 net_peer_name(&client->peer, peer, sizeof(peer)));
	paramset_change(&worker->params, &client->params, index, slice_str(full));
}

void
client_login_finish(Client *client)
{
	Worker *worker = client->worker;
	SessionPool *pool = client->pool;
	Buf out = {0};
	uint32_t pid;
	bool ok;

	paramset_unref(&worker->params, client->params);
	client->params = paramset_overlay(&worker->params, pool->welcome, client->login->wanted);
	take_application_name(client);
	if (client->login->deadline_us >= 0)
		client->session_deadline_us = client->login->deadline_us;
	else
	{
		const char *value = paramset_get(client->params, worker->params.deadline_index);

		client->session_deadline_us = value != NULL && value[0] != '\0' ? deadline_parse(slice_str(value)) : -1;
	}
	ok = new_cancel_key(client);
	pid = wire_load_u32(client->cancel_key);
	ok = ok && wire_write_auth_ok(&out) && write_parameters(client, &out) &&
		 wire_write_backend_key_data(&out, pid, slice_make(client->cancel_key + 4, 4)) && write_login_notice(client, &out) &&
		 wire_write_ready_for_query(&out, 'I');
	client_login_free(client->login);
	client->login = NULL;
	pool->stats.logins++;
	client->idle_since = worker_now(worker);
	client_set_state(client, CLIENT_IDLE);
	client_rearm_timer(client);
	client_update_flow(client);
	send_or_die(client, &out, ok);
}

static bool
check_client_limits(Client *client)
{
	const Settings *settings = client->worker->settings;
	const DatabaseSpec *spec = client->database->spec;
	const UserSpec *user = client->role->spec;
	int db_limit = spec != NULL && spec->max_db_client_connections > 0 ? spec->max_db_client_connections
																	   : settings->max_db_client_connections;
	int user_limit = user != NULL && user->max_user_client_connections > 0 ? user->max_user_client_connections
																		   : settings->max_user_client_connections;

	if (db_limit > 0 && client->database->clients >= db_limit)
		client_close(client, "client connections exceeded (max_db_client_connections)",
					 "client connections exceeded (max_db_client_connections)");
	else if (user_limit > 0 && client->role->clients >= user_limit)
		client_close(client, "client connections exceeded (max_user_client_connections)",
					 "client connections exceeded (max_user_client_connections)");
	return client->state != CLIENT_CLOSED;
}

/* A replication connection: a pool of its own in place of the shared one. */
static bool
dedicate(Client *client)
{
	ClientLogin *login = client->login;
	Dedicated *dedicated = dedicated_create(client->pool, login->replication, login->options, login->wanted);
	SessionPool *pool = dedicated != NULL ? worker_dedicated_pool(client->worker, dedicated) : NULL;

	if (pool == NULL)
		client_close(client, "out of memory", "bouncer resources exhaustion");
	else
		client->pool = pool;
	return pool != NULL;
}

/* The client is who it says: find its pool, and learn what the server's sessions look like. */
static void
login_authenticated(Client *client)
{
	Worker *worker = client->worker;
	ClientLogin *login = client->login;
	Database *database;
	Role *server_role;
	char message[200];

	if (is_console(login->database))
	{
		console_enter(client);
		return;
	}
	database = worker_database(worker, login->database);
	if (database == NULL || database->spec == NULL)
	{
		snprintf(message, sizeof(message), "no such database: %s", login->database);
		client_close(client, message, message);
		return;
	}
	client->database = database;
	if (database->disabled)
	{
		snprintf(message, sizeof(message), "database \"%s\" is disabled", login->database);
		client_close(client, message, message);
		return;
	}
	if (worker->settings->auth_type == AUTH_TYPE_ANY && database->spec->user == NULL)
	{
		client_close(client, "auth_type=any requires forced user", "bouncer config error");
		return;
	}
	client->role = worker_role(worker, login->user);
	server_role = database->spec->user != NULL ? worker_role(worker, database->spec->user) : client->role;
	if (client->role == NULL || server_role == NULL || !check_client_limits(client))
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	client->pool = worker_pool(worker, database, server_role);
	if (client->pool == NULL)
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	if (login->replication != REPLICATION_NONE && !dedicate(client))
		return;
	client->counted = true;
	database->clients++;
	client->role->clients++;
	session_pool_shown(client->pool)->policy.clients++;
	if (worker->settings->log_connections && !client->quiet)
		client_log(client, LOG_LEVEL_LOG, "login attempt: db=%s user=%s tls=%s replication=%s", database->name,
				   client->role->name, tls_name(client, message, sizeof(message)),
				   login->replication == REPLICATION_NONE	   ? "no"
				   : login->replication == REPLICATION_LOGICAL ? "database"
															   : "yes");
	if (client->pool->welcome != NULL)
	{
		session_pool_rearm(client->pool); /* min_pool_size counts from the first client on */
		client_login_finish(client);
		return;
	}
	client_set_state(client, CLIENT_WELCOME);
	client_update_flow(client);
	client->waiter.deadline = DEADLINE_NONE;
	client->waiter.fingerprint = 0;
	pool_request(&client->pool->policy, &client->waiter, worker_now(worker), &worker->actions);
	worker_run_actions(worker);
	session_pool_rearm(database->spec != NULL && client->pool != NULL ? client->pool : NULL);
}

/* --- authentication --- */

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
		ok = scram_verifier_mock(slice_str(login->user), client->worker->mock_secret, iterations, &login->verifier);
	}
	login->method = AUTH_TYPE_SCRAM_SHA_256;
	login->binding_len = net_tls_binding(&client->conn, login->binding);
	ok = ok && (login->binding_len > 0 ? wire_write_auth_sasl(&out, mechanisms, 2)
									   : wire_write_auth_sasl(&out, mechanisms + 1, 1));
	send_or_die(client, &out, ok);
	return ok;
}

static void
start_md5(Client *client)
{
	Buf out = {0};
	bool ok = RAND_bytes(client->login->salt, 4) == 1 && wire_write_auth_md5(&out, client->login->salt);

	send_or_die(client, &out, ok);
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
						 is_console(login->database) || spec == &none ? NULL : login->database);
	if (login->lookup_done || user == NULL || database == NULL || is_console(database))
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

/* The dialogue begins, for known and unknown users alike. */
static void
start_authentication(Client *client)
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
	if (is_console(login->database) && is_own_uid(client))
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
			send_or_die(client, &out, ok);
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
		if (role->looked_up != NULL)
			OPENSSL_cleanse(role->looked_up, strlen(role->looked_up));
		free(role->looked_up);
		role->looked_up = strdup(secret);
	}
	start_authentication(client);
	client_update_flow(client);
}

void
client_login_lookup_failed(Client *client)
{
	client->login->lookup = NULL;
	client_close(client, "auth_query failed", "bouncer config error");
}

void
client_login_as(Client *client, const char *database, const char *user)
{
	ClientLogin *login = calloc(1, sizeof(ClientLogin));

	client->quiet = true;
	client->login = login;
	if (login == NULL)
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	login->registry = &client->worker->params;
	login->wanted = paramset_ref(client->worker->params.empty);
	login->deadline_us = -1;
	snprintf(login->database, sizeof(login->database), "%s", database);
	snprintf(login->user, sizeof(login->user), "%s", user);
	client_set_state(client, CLIENT_AUTH);
	login_authenticated(client);
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

		if (role != NULL && role->plain == NULL)
			role->plain = strndup((const char *) password.ptr, password.len);
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
	send_or_die(client, &out, ok);
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
	if (role != NULL)
		scram_keys_from_login(&role->scram_keys, &login->verifier, client_key);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	ok = wire_write_auth_sasl_final(&out, scram_message_slice(&reply));
	send_or_die(client, &out, ok);
	if (client->state != CLIENT_CLOSED)
		login_authenticated(client);
}

/* --- input --- */

static size_t
auth_input(Client *client, uint8_t *data, size_t len)
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

/* The context for a client that would like TLS, or NULL: it gets none. */
static NetTlsContext *
tls_for(const Client *client)
{
	return client->peer.family == AF_UNIX || net_is_tls(&client->conn) ? NULL : client->worker->settings->client_tls_context;
}

static void
begin_tls(Client *client, Slice early)
{
	if (!net_start_tls(&client->conn, tls_for(client), NULL, early))
		client_close(client, "out of memory", NULL);
}

/*
 * Yes to SSL where the settings allow it; no, politely, to GSS encryption.  Whatever came behind the request was not encrypted,
 * and must not be taken for something that was.
 */
static void
answer_encryption(Client *client, const WireStartup *startup, size_t len)
{
	bool yes = startup->kind == STARTUP_SSL_REQUEST && tls_for(client) != NULL;

	if (len > startup->total_len)
	{
		client_close(client, "unencrypted data after an SSL request", NULL);
		return;
	}
	net_send_bytes(&client->conn, yes ? "S" : "N", 1);
	if (yes)
		begin_tls(client, (Slice){NULL, 0});
}

/* The client begins with TLS at once; all of `data` is its handshake. */
static size_t
direct_tls(Client *client, const uint8_t *data, size_t len)
{
	if (tls_for(client) == NULL)
		client_close(client, "direct TLS is not enabled", NULL);
	else
		begin_tls(client, slice_make(data, len));
	return len;
}

static void
take_startup(Client *client, const WireStartup *startup)
{
	Worker *worker = client->worker;
	ClientLogin *login = calloc(1, sizeof(ClientLogin));
	size_t pos = 0;
	Slice name;
	Slice value;

	client->login = login;
	if (login == NULL)
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	login->registry = &worker->params;
	login->wanted = paramset_ref(worker->params.empty);
	login->deadline_us = -1;
	take_replication(client, startup);
	while (client->state != CLIENT_CLOSED && wire_startup_next(startup, &pos, &name, &value))
		take_startup_parameter(client, name, value);
	if (client->state == CLIENT_CLOSED)
		return;
	if (worker->settings->client_tls.mode >= NET_TLS_REQUIRE && !net_is_tls(&client->conn) && client->peer.family != AF_UNIX)
	{
		client_close(client, "SSL required", "SSL required");
		return;
	}
	if (login->user[0] == '\0')
	{
		client_close(client, "no user name in the startup packet", "user required");
		return;
	}
	if (login->database[0] == '\0')
		memcpy(login->database, login->user, sizeof(login->database));
	if (worker->phase != WORKER_RUNNING && !is_console(login->database))
	{
		client_close_error(client, "57P01", "pooler is shutting down");
		return;
	}
	if (worker->client_count > worker->settings->max_client_conn && !is_console(login->database))
	{
		client_close(client, "no more connections allowed (max_client_conn)",
					 "no more connections allowed (max_client_conn)");
		return;
	}
	if (send_negotiation(client, startup))
		start_authentication(client);
}

static size_t
startup_input(Client *client, uint8_t *data, size_t len)
{
	WireStartup startup;

	switch (wire_read_startup(data, len, WIRE_STARTUP_MAX, &startup))
	{
		case WIRE_NEED_MORE: return 0;
		case WIRE_BAD: client_close(client, "bad startup packet", NULL); return len;
		case WIRE_OK: break;
	}
	switch (startup.kind)
	{
		case STARTUP_SSL_REQUEST:
		case STARTUP_GSSENC_REQUEST: answer_encryption(client, &startup, len); break;
		case STARTUP_CANCEL: cancel_requested(client, startup.pid, startup.key); return len;
		case STARTUP_MESSAGE: take_startup(client, &startup); break;
		case STARTUP_OLD_V2:
			client_close(client, "old V2 protocol not supported", "old V2 protocol not supported");
			return len;
		case STARTUP_FUTURE:
			client_close_error(client, "0A000", "unsupported frontend protocol version: only 3.0 is supported");
			return len;
		case STARTUP_TLS_DIRECT: return direct_tls(client, data, len);
	}
	return startup.total_len;
}

size_t
client_login_input(Client *client, uint8_t *data, size_t len)
{
	size_t pos = 0;

	while (pos < len && (client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH) && !client_login_waits(client))
	{
		size_t used = client->state == CLIENT_STARTUP ? startup_input(client, data + pos, len - pos)
													  : auth_input(client, data + pos, len - pos);

		if (used == 0)
			break;
		pos += used;
	}
	return client->state == CLIENT_CLOSED ? len : pos;
}
