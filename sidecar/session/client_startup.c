/*
 * client_startup.c: the startup packet of a client, and what may come before it: requests for encryption, TLS at once.
 *
 * Before a client has proved who it is, it costs a bounded amount: one ClientLogin, one startup packet of at most
 * WIRE_STARTUP_MAX bytes, and client_login_timeout.
 */
#include "session/client_login.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/backend.h"
#include "wire/msg.h"
#include "wire/startup.h"

/* --- parameters --- */

static bool
copy_name(char out[LOGIN_NAME_SIZE], Slice value)
{
	if (value.len >= LOGIN_NAME_SIZE)
		return false;
	memcpy(out, value.ptr, value.len);
	out[value.len] = '\0';
	return true;
}

static bool
list_has(const char *list, Slice name)
{
	char text[LOGIN_NAME_SIZE];

	return copy_name(text, name) && settings_list_has(list, text);
}

/* A tracked parameter is noted; false when it is not one. */
static bool
note_parameter(Client *client, Slice name, Slice value)
{
	Worker *worker = client->worker;
	int index = params_index(worker->params, name);

	if (index < 0)
		return false;
	if (index == worker->params->deadline_index)
	{
		client->login->deadline_us = deadline_parse(value);
		if (client->login->deadline_us < 0)
		{
			client_close_error(client, "22023", "invalid value for parameter \"pgweir.deadline\"");
			return true;
		}
	}
	paramset_change(worker->params, &client->login->wanted, index, value);
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
		client_log(client, LOG_LEVEL_WARNING, "unsupported startup parameter: %.*s=%.*s", name.len > 100 ? 100 : (int) name.len,
				   (const char *) name.ptr, value.len > 100 ? 100 : (int) value.len, (const char *) value.ptr);
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
	login_send(client, &out, ok);
	return ok;
}

/* --- encryption --- */

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

/* --- the packet --- */

/* Silent ones give way, as many as there are too many.  NULL, or why there is no place. */
static const char *
why_no_place(const Client *client)
{
	Worker *worker = client->worker;
	int room = worker->hall->client_room;
	bool few_files = room > 0 && room < worker->settings->max_client_conn;
	int most = few_files ? room : worker->settings->max_client_conn;
	const char *why = few_files ? "no more connections allowed (limit of open files)" : "no more connections allowed (max_client_conn)";

	while (atomic_load(&worker->hall->client_count) > most)
		if (!worker_make_room(worker, client, why))
			return why;
	return NULL;
}

/* Whoever tries, whatever comes of it. */
static void
log_attempt(const Client *client)
{
	const ClientLogin *login = client->login;
	char tls[80];

	client_log(client, client->worker->settings->log_connections ? LOG_LEVEL_LOG : LOG_LEVEL_DEBUG,
			   "login attempt: db=%s user=%s tls=%s replication=%s", login->database, login->user,
			   net_is_tls(&client->conn) ? net_tls_describe(&client->conn, tls, sizeof(tls)) : "no",
			   login->replication == REPLICATION_NONE	   ? "no"
			   : login->replication == REPLICATION_LOGICAL ? "database"
														   : "yes");
}

static void
take_startup(Client *client, const WireStartup *startup)
{
	Worker *worker = client->worker;
	ClientLogin *login;
	const char *no_place;
	size_t pos = 0;
	Slice name;
	Slice value;

	if (!login_create(client))
		return;
	login = client->login;
	take_replication(client, startup);
	while (client->state != CLIENT_CLOSED && wire_startup_next(startup, &pos, &name, &value))
		take_startup_parameter(client, name, value);
	if (client->state == CLIENT_CLOSED)
		return;
	if (worker->settings->client_tls.mode >= NET_TLS_REQUIRE && !net_is_tls(&client->conn) && client->peer.family != AF_UNIX)
	{
		client_close_error(client, "28000", "SSL required");
		return;
	}
	if (login->user[0] == '\0')
	{
		client_close(client, "no user name in the startup packet", "user required");
		return;
	}
	if (login->database[0] == '\0')
		memcpy(login->database, login->user, sizeof(login->database));
	if (worker->hall->phase != WORKER_RUNNING && !worker->hall->handed_over && !login_is_console(login->database))
	{
		client_close_error(client, "57P01", "pooler is shutting down");
		return;
	}
	/* who has said nothing yet must not keep out those who have */
	if (!login_is_console(login->database) && (no_place = why_no_place(client)) != NULL)
	{
		worker->clients_refused++;
		client_close(client, no_place, no_place);
		return;
	}
	log_attempt(client);
	if (send_negotiation(client, startup))
		login_authenticate(client);
}

/* The console's clients are all with the first worker. */
static bool
wants_console(const WireStartup *startup)
{
	char name[LOGIN_NAME_SIZE] = "";
	bool database = false;
	size_t pos = 0;
	Slice key;
	Slice value;

	while (wire_startup_next(startup, &pos, &key, &value))
	{
		bool is_database = slice_is(key, "database") && value.len > 0;

		if (is_database || (slice_is(key, "user") && !database))
			snprintf(name, sizeof(name), "%.*s", (int) (value.len < sizeof(name) ? value.len : sizeof(name)),
					 (const char *) value.ptr);
		database |= is_database;
	}
	return login_is_console(name);
}

size_t
login_startup_input(Client *client, uint8_t *data, size_t len)
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
		case STARTUP_CANCEL:
			if (peer_owns_key(client->worker->settings, startup.pid, startup.key) && !client_goes_first(client))
				return 0;
			cancel_requested(client, startup.pid, startup.key);
			return len;
		case STARTUP_MESSAGE:
			if (wants_console(&startup) && !client_goes_first(client))
				return 0;
			take_startup(client, &startup);
			break;
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
