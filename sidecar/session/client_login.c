/*
 * client_login.c: from an accepted connection to a session: the state of a login, and what follows when the client has proved who it
 * is: console or pool, limits, the welcome.
 */
#include "session/client_login.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "session/lease.h"
#include "wire/backend.h"
#include "wire/msg.h"

bool
login_create(Client *client)
{
	ClientLogin *login = calloc(1, sizeof(ClientLogin));

	client->login = login;
	if (login == NULL)
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return false;
	}
	login->client = client;
	login->registry = client->worker->params;
	login->wanted = paramset_ref(client->worker->params->empty);
	login->deadline_us = -1;
	return true;
}

void
login_drop_kept(ClientLogin *login)
{
	if (login->kept != NULL)
		OPENSSL_cleanse(login->kept, login->kept_len);
	free(login->kept);
	login->kept = NULL;
	login->kept_len = 0;
}

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
	buf_free(&login->last_word);
	login_drop_kept(login);
	derive_cancel(&login->derive);
	if (login->verifier.iterations > 0) /* else neither was used */
	{
		scram_server_wipe(&login->scram);
		scram_verifier_wipe(&login->verifier);
	}
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

void
login_send(Client *client, Buf *out, bool ok)
{
	if (ok)
		client_send_buf(client, out);
	else
		client_close(client, "out of memory", "bouncer resources exhaustion");
	buf_free(out);
}

void
client_login_send_last_word(Client *client)
{
	if (client->login != NULL)
		client_send_buf(client, &client->login->last_word);
}

/* What begins the welcome. */
static Buf
take_last_word(Client *client)
{
	Buf word = client->login->last_word;

	client->login->last_word = (Buf){0};
	return word;
}

/* --- cancel keys --- */

static bool
take_random(Worker *worker, uint8_t *to, size_t len)
{
	if (worker->random_left < len)
	{
		if (RAND_bytes(worker->random, sizeof(worker->random)) != 1)
			return false;
		worker->random_left = sizeof(worker->random);
	}
	worker->random_left -= len;
	memcpy(to, worker->random + worker->random_left, len);
	OPENSSL_cleanse(worker->random + worker->random_left, len);
	return true;
}

static bool
new_cancel_key(Client *client)
{
	Hall *hall = client->worker->hall;
	uint64_t hash;

	while (!client->has_key)
	{
		if (!take_random(client->worker, client->cancel_key, sizeof(client->cancel_key)))
			return false;
		client->cancel_key[0] &= 0x7f; /* a positive pid reads better */
		if (hall->settings->peer_id > 0)
			peer_key_mark(client->cancel_key, hall->settings->peer_id);
		hash = hash_bytes(hall->hash_seed, client->cancel_key, 8);
		hall_lock_tables(hall);
		client->has_key = map_find(&hall->cancel_keys, hash, client->cancel_key) == NULL;
		if (client->has_key)
			map_insert(&hall->cancel_keys, &client->cancel_node, hash);
		hall_unlock_tables(hall);
	}
	return true;
}

/* --- console --- */

bool
login_is_console(const char *database)
{
	return strcmp(database, "pgbouncer") == 0 || strcmp(database, "pgweir") == 0;
}

bool
login_is_own_uid(const Client *client)
{
	return client->peer.family == AF_UNIX && client->peer.uid == (uint32_t) geteuid() &&
		   (strcmp(client->login->user, "pgbouncer") == 0 || strcmp(client->login->user, "pgweir") == 0);
}

static void
console_enter(Client *client)
{
	const Settings *settings = client->worker->settings;
	const char *user = client->login->user;
	Buf out;
	char version[80];
	bool any = settings->auth_type == AUTH_TYPE_ANY;
	bool ok;

	client->console_admin = login_is_own_uid(client) || settings_list_has(settings->admin_users, user);
	if (!client->console_admin && !any && !settings_list_has(settings->stats_users, user))
	{
		client_close(client, "not allowed", "not allowed");
		return;
	}
	snprintf(version, sizeof(version), "%s/bouncer", client->worker->version);
	out = take_last_word(client);
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
	client->role = worker_role(client->worker, user);
	client->database = NULL;
	client_set_state(client, CLIENT_CONSOLE);
	client_login_free(client->login);
	client->login = NULL;
	client_rearm_timer(client);
	login_send(client, &out, ok);
}

/* --- the welcome --- */

static bool
write_parameters(const Client *client, Buf *out)
{
	const ParamRegistry *registry = client->worker->params;

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
	int index = worker->params->app_index;
	const char *name = paramset_get(client->params, index);
	char peer[80];
	char full[300];

	client_enter_app(client, name); /* the name alone: with its host each client would be an application */
	if (!worker->settings->application_name_add_host)
		return;
	snprintf(full, sizeof(full), "%.200s - %s", name != NULL && name[0] != '\0' ? name : "app",
			 net_peer_name(&client->peer, peer, sizeof(peer)));
	paramset_change(worker->params, &client->params, index, slice_str(full));
}

void
client_login_finish(Client *client)
{
	Worker *worker = client->worker;
	SessionPool *pool = client->pool;
	Buf out = take_last_word(client);
	uint32_t pid;
	bool ok;

	paramset_unref(worker->params, client->params);
	client->params = paramset_overlay(worker->params, pool->welcome, client->login->wanted);
	take_application_name(client);
	if (client->login->deadline_us >= 0)
		client->session_deadline_us = client->login->deadline_us;
	else
	{
		const char *value = paramset_get(client->params, worker->params->deadline_index);

		client->session_deadline_us = value != NULL && value[0] != '\0' ? deadline_parse(slice_str(value)) : -1;
	}
	deadline_look_at_settings(client);
	ok = new_cancel_key(client);
	pid = wire_load_u32(client->cancel_key);
	ok = ok && wire_write_auth_ok(&out) && write_parameters(client, &out) &&
		 wire_write_backend_key_data(&out, pid, slice_make(client->cancel_key + 4, 4)) && write_login_notice(client, &out) &&
		 wire_write_ready_for_query(&out, 'I');
	client_login_free(client->login);
	client->login = NULL;
	client_stats(client)->logins++;
	client->idle_since = worker_now(worker);
	client_set_state(client, CLIENT_IDLE);
	client_rearm_timer(client);
	client_update_flow(client);
	login_send(client, &out, ok);
	if (client->state == CLIENT_IDLE)
		client_settles(client);
}

/* Count the client in at its database and user, if the limits allow; else why not. */
static const char *
count_in(Client *client)
{
	Hall *hall = client->worker->hall;
	const DatabaseSpec *spec = client->database->spec;
	const UserSpec *user = client->role->spec;
	int db_limit = spec != NULL && spec->max_db_client_connections > 0 ? spec->max_db_client_connections
																	   : hall->settings->max_db_client_connections;
	int user_limit = user != NULL && user->max_user_client_connections > 0 ? user->max_user_client_connections
																		   : hall->settings->max_user_client_connections;
	const char *why = NULL;

	hall_lock_tables(hall);
	if (db_limit > 0 && client->database->clients >= db_limit)
		why = "client connections exceeded (max_db_client_connections)";
	else if (user_limit > 0 && client->role->clients >= user_limit)
		why = "client connections exceeded (max_user_client_connections)";
	else
	{
		client->database->clients++;
		client->role->clients++;
		client->counted = true;
	}
	hall_unlock_tables(hall);
	return why;
}

static bool
enter_pool(Client *client, Role *server_role)
{
	Worker *worker = client->worker;

	client->pool = worker_pool(worker, client->database, server_role);
	if (client->pool == NULL)
		return false;
	policy_enter(worker);
	client->pool->policy.clients++;
	policy_leave(worker, client->pool); /* min_pool_size counts from the first client on */
	return true;
}

/* Has the pool learned what the server's sessions look like? */
static bool
has_welcome(SessionPool *pool)
{
	bool has;

	hall_lock_tables(pool->hall);
	has = pool->welcome != NULL;
	hall_unlock_tables(pool->hall);
	return has;
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

void
login_authenticated(Client *client)
{
	Worker *worker = client->worker;
	ClientLogin *login = client->login;
	Database *database;
	Role *server_role;
	const char *refused;
	char message[200];

	if ((refused = client_leave_half_open(client)) != NULL)
	{
		client_close_error(client, "53300", refused);
		return;
	}
	if (login_is_console(login->database))
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
	if (client->role != NULL && server_role != NULL && (refused = count_in(client)) != NULL)
	{
		client_close(client, refused, refused);
		return;
	}
	if (client->role == NULL || server_role == NULL || !enter_pool(client, server_role))
	{
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	if (login->replication != REPLICATION_NONE && !dedicate(client))
		return;
	if (has_welcome(client->pool))
	{
		client_login_finish(client);
		return;
	}
	client_set_state(client, CLIENT_WELCOME);
	client_update_flow(client);
	client->waiter.deadline = DEADLINE_NONE;
	client->waiter.fingerprint = 0;
	client->waiter.home = worker->index;
	policy_enter(worker);
	lease_enter(worker, client->pool);
	pool_request(&client->pool->policy, &client->waiter, worker_now(worker), &worker->hall->actions);
	policy_leave(worker, client->pool);
	worker_run_actions(worker);
}

void
client_login_as(Client *client, const char *database, const char *user)
{
	client->quiet = true;
	if (!login_create(client))
		return;
	snprintf(client->login->database, sizeof(client->login->database), "%s", database);
	snprintf(client->login->user, sizeof(client->login->user), "%s", user);
	client_set_state(client, CLIENT_AUTH);
	login_authenticated(client);
}

/* --- input --- */

size_t
client_login_input(Client *client, uint8_t *data, size_t len)
{
	size_t pos = 0;

	while (pos < len && (client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH) && !client_login_waits(client))
	{
		size_t used = client->state == CLIENT_STARTUP ? login_startup_input(client, data + pos, len - pos)
													  : login_auth_input(client, data + pos, len - pos);

		if (used == 0)
			break;
		pos += used;
	}
	return client->state == CLIENT_CLOSED ? len : pos;
}
