/*
 * auth_query.c: asking the server for the secret of a user who is not in the auth file.
 *
 * A lookup is a client of our own: one end of a socket pair is a Client like any other, logged in as auth_user without being asked
 * for a password, and the other end is spoken to here.  So lookups wait, are limited, cancelled and counted as every
 * client is, and use the same server connections.
 *
 * A lookup belongs to the ClientLogin that waits for it and dies with it.
 */
#include "session/session.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* No message of a lookup is longer. */
#define ANSWER_MAX 65536

struct AuthLookup
{
	NetConn conn;
	Worker *worker;
	Client *client; /* borrowed: who waits; NULL once nobody does */
	char *query;	/* owned */
	char *user;		/* owned */
	bool asked;
	bool found;
	char *secret; /* owned, wiped; NULL with found: the user has none */
};

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
on_released(NetConn *conn)
{
	AuthLookup *lookup = CONTAINER_OF(conn, AuthLookup, conn);

	free(lookup->query);
	free(lookup->user);
	wipe(lookup->secret);
	free(lookup);
}

/* Tell who waits, and end. */
static void
finish(AuthLookup *lookup, bool ok)
{
	Client *client = lookup->client;
	char *secret = lookup->secret;

	lookup->client = NULL;
	lookup->secret = NULL;
	net_close(&lookup->conn);
	if (client == NULL)
		wipe(secret);
	else if (ok)
		client_login_looked_up(client, lookup->found, secret);
	else
	{
		wipe(secret);
		client_login_lookup_failed(client);
	}
}

/* The question: the query with the user's name as its parameter. */
static bool
ask(AuthLookup *lookup)
{
	Buf out = {0};
	WireWriter w;
	bool ok = wire_write_parse(&out, slice_str(""), slice_str(lookup->query), (Slice){NULL, 0});

	wire_writer_init(&w, &out);
	wire_start(&w, FE_BIND);
	wire_put_cstr(&w, "");
	wire_put_cstr(&w, "");
	wire_put_i16(&w, 0);
	wire_put_i16(&w, 1);
	wire_put_i32(&w, (int32_t) strlen(lookup->user));
	wire_put_bytes(&w, lookup->user, strlen(lookup->user));
	wire_put_i16(&w, 0);
	ok = ok && wire_finish(&w);
	wire_start(&w, FE_EXECUTE);
	wire_put_cstr(&w, "");
	wire_put_i32(&w, 0);
	ok = ok && wire_finish(&w) && wire_write_sync(&out);
	if (ok)
		net_send_bytes(&lookup->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	lookup->asked = ok;
	return ok;
}

/* A row (user, secret); of several the last counts.  False: it is none. */
static bool
take_row(AuthLookup *lookup, Slice payload)
{
	WireReader r;
	int32_t len;
	Slice value = {NULL, 0};

	wire_reader_init(&r, payload.ptr, payload.len);
	if (wire_get_i16(&r) != 2)
		return false;
	len = wire_get_i32(&r);
	/* functions with OUT parameters give a row of NULLs when they find nobody */
	if (len == -1)
		return wire_get_i32(&r) == -1 && wire_reader_done(&r);
	if (len < 0 || !slice_is(wire_get_bytes(&r, (size_t) len), lookup->user))
		return false;
	len = wire_get_i32(&r);
	if (len > 0)
		value = wire_get_bytes(&r, (size_t) len);
	if (!wire_reader_done(&r))
		return false;
	wipe(lookup->secret);
	lookup->secret = len >= 0 ? strndup((const char *) value.ptr, value.len) : NULL;
	lookup->found = true;
	return true;
}

static void
log_error(const AuthLookup *lookup, Slice payload)
{
	WireError error;

	if (wire_read_error(payload, &error))
		log_write(lookup->worker->log, LOG_LEVEL_WARNING, "auth_query for user \"%s\" failed: %.*s", lookup->user,
				  error.message.len > 300 ? 300 : (int) error.message.len, (const char *) error.message.ptr);
}

/* False when the lookup is over. */
static bool
take_message(AuthLookup *lookup, uint8_t type, Slice payload)
{
	switch (type)
	{
		case BE_READY_FOR_QUERY:
			if (!lookup->asked && ask(lookup))
				return true;
			finish(lookup, lookup->asked);
			return false;
		case BE_ERROR_RESPONSE:
			log_error(lookup, payload);
			finish(lookup, false);
			return false;
		case BE_DATA_ROW:
			if (lookup->asked && take_row(lookup, payload))
				return true;
			log_write(lookup->worker->log, LOG_LEVEL_WARNING,
					  "auth_query must give two columns, the user's name as it was asked for and the secret");
			finish(lookup, false);
			return false;
		default: return true;
	}
}

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	AuthLookup *lookup = CONTAINER_OF(conn, AuthLookup, conn);
	Worker *worker = lookup->worker;
	WireHeader header;
	size_t pos = 0;

	while (wire_read_header(data + pos, len - pos, &header) == WIRE_OK)
	{
		size_t total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
		Slice payload = slice_make(data + pos + WIRE_HEADER_SIZE, header.payload_len);

		if (total > ANSWER_MAX)
		{
			finish(lookup, false);
			pos = len;
			break;
		}
		if (total > len - pos)
			break;
		pos += total;
		if (!take_message(lookup, header.type, payload))
		{
			pos = len;
			break;
		}
	}
	worker_run_actions(worker);
	return pos;
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	AuthLookup *lookup = CONTAINER_OF(conn, AuthLookup, conn);
	Worker *worker = lookup->worker;

	(void) why;
	(void) error;
	finish(lookup, false);
	worker_run_actions(worker);
}

static const NetHandler lookup_handler = {
	.on_input = on_input,
	.on_end = on_end,
	.on_released = on_released,
};

/* Both ends of the pair; the far one becomes a client. */
static bool
connect_ends(AuthLookup *lookup, const char *database, const char *auth_user)
{
	NetPeer self = {.family = AF_UNIX, .pid = (uint32_t) getpid(), .uid = (uint32_t) geteuid()};
	Client *inner;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return false;
	if (!net_adopt(lookup->worker->loop, &lookup->conn, fds[0], &lookup_handler))
	{
		close(fds[0]);
		close(fds[1]);
		return false;
	}
	atomic_fetch_add(&lookup->worker->load, 1);
	if ((inner = client_create(lookup->worker, fds[1], &self, hall_next_id(lookup->worker->hall))) == NULL)
	{
		atomic_fetch_sub(&lookup->worker->load, 1);
		close(fds[1]);
		return false;
	}
	client_login_as(inner, database, auth_user);
	return true;
}

AuthLookup *
auth_lookup_start(Client *client, const char *database, const char *auth_user, const char *query, const char *user)
{
	AuthLookup *lookup = calloc(1, sizeof(*lookup));

	if (lookup == NULL)
		return NULL;
	lookup->worker = client->worker;
	lookup->conn.loop = client->worker->loop;
	lookup->conn.handler = &lookup_handler;
	lookup->conn.fd = -1;
	lookup->query = strdup(query);
	lookup->user = strdup(user);
	if (lookup->query == NULL || lookup->user == NULL || !connect_ends(lookup, database, auth_user))
	{
		net_close(&lookup->conn);
		return NULL;
	}
	lookup->client = client;
	return lookup;
}

void
auth_lookup_abandon(AuthLookup *lookup)
{
	if (lookup == NULL || lookup->client == NULL)
		return;
	lookup->client = NULL;
	net_close(&lookup->conn);
}
