/*
 * show_sockets.c: SHOW CLIENTS, SERVERS, SOCKETS and ACTIVE_SOCKETS: one row a connection, written in pieces.
 */
#include "admin/show.h"

#define CONNECTION_TYPES "ssssssisiTTiiississii"
#define CONNECTION_NAMES                                                                                                  \
	"type user database replication state addr port local_addr local_port connect_time request_time wait wait_us "        \
	"close_needed ptr link remote_pid tls application_name prepared_statements id"
#define BUFFER_TYPES "iiiiiii"
#define BUFFER_NAMES " recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail"

/* What a client and a server have in common here. */
typedef struct ConnectionRow
{
	const char *type, *user, *database, *state;
	NetPeer remote; /* family 0: not known (yet) */
	const char *host; /* shown while the address is not known */
	int port;		  /* of the server, or our own, for a Unix socket */
	const NetConn *conn;
	const SessionPool *pool; /* or NULL */
	usec_t connect_time, request_time, wait_us;
	bool close_needed;
	const void *self, *link;
	uint32_t remote_pid;
	const char *application_name;
	int prepared_statements;
	uint64_t id;
	size_t stream_left;
} ConnectionRow;

/* --- a row --- */

static void
put_end(Result *result, const NetPeer *peer, const char *host, int unix_port)
{
	char ip[64];

	if (peer->family == 0)
		result_text(result, host);
	else
		result_text(result, net_peer_ip(peer, ip, sizeof(ip)));
	result_number(result, peer->family == AF_UNIX || peer->family == 0 ? unix_port : peer->port);
}

static void
put_pointer(Result *result, const void *pointer)
{
	if (pointer != NULL)
		result_format(result, "%p", pointer);
	else
		result_text(result, "");
}

static void
put_buffers(Result *result, const ConnectionRow *row)
{
	size_t held = net_held(row->conn);

	result_unsigned(result, held);
	result_number(result, 0);
	result_unsigned(result, row->stream_left < INT32_MAX ? row->stream_left : INT32_MAX);
	result_number(result, 0);
	result_unsigned(result, net_backlog(row->conn));
	result_unsigned(result, held);
	result_number(result, 0);
}

static void
put_row(const Show *show, const ConnectionRow *row, bool buffers)
{
	Result *r = show->result;
	NetPeer local = {0};
	char tls[80];

	if (!net_local_peer(row->conn, &local))
		local.family = 0;
	result_row(r);
	result_text(r, row->type);
	result_text(r, row->user);
	result_text(r, row->database);
	result_text(r, replication_name(row->pool));
	result_text(r, row->state);
	put_end(r, &row->remote, row->host, row->port);
	put_end(r, &local, "", row->port);
	result_time(r, row->connect_time, show->now);
	result_time(r, row->request_time > 0 ? row->request_time : row->connect_time, show->now);
	result_number(r, row->wait_us / USEC_PER_SEC);
	result_number(r, row->wait_us % USEC_PER_SEC);
	result_number(r, row->close_needed);
	put_pointer(r, row->self);
	put_pointer(r, row->link);
	result_unsigned(r, row->remote_pid);
	result_text(r, net_tls_describe(row->conn, tls, sizeof(tls)));
	result_text(r, row->application_name != NULL ? row->application_name : "");
	result_number(r, row->prepared_statements);
	result_unsigned(r, row->id);
	if (buffers)
		put_buffers(r, row);
	result_row_end(r);
}

/* --- clients --- */

static const char *
client_state(const Client *client)
{
	switch (client->state)
	{
		case CLIENT_IDLE: return "idle";
		case CLIENT_WAITING: return "waiting";
		case CLIENT_SYNCING:
		case CLIENT_ACTIVE:
		case CLIENT_CONSOLE: return "active";
		case CLIENT_STARTUP:
		case CLIENT_AUTH: return "login";
		case CLIENT_WELCOME: return "waiting";
		case CLIENT_CLOSED: return "closed";
	}
	return "";
}

static const char *
client_socket_state(const Client *client)
{
	switch (client->state)
	{
		case CLIENT_WAITING: return "cl_waiting";
		case CLIENT_STARTUP:
		case CLIENT_AUTH:
		case CLIENT_WELCOME: return "cl_login";
		default: return "cl_active";
	}
}

/* Since when is a request under way?  0 = none is. */
static usec_t
request_since(const Client *client)
{
	if (client->state == CLIENT_WAITING || client->state == CLIENT_SYNCING)
		return client->group_since;
	if (client->state == CLIENT_ACTIVE && (client->in_group || client->server->outstanding > 0))
		return client->group_since;
	return 0;
}

static const char *
database_name(const Client *client)
{
	if (client->state == CLIENT_CONSOLE)
		return "pgbouncer";
	return client->database != NULL ? client->database->name : "(nodb)";
}

static const char *
application_name(const Worker *worker, const ParamSet *params)
{
	return paramset_get(params, params_index(worker->params, SLICE_LITERAL("application_name")));
}

static void
client_row(const Show *show, const Client *client, bool buffers)
{
	usec_t since = request_since(client);
	ConnectionRow row = {
		.type = "C",
		.user = client->role != NULL ? client->role->name : "(nouser)",
		.database = database_name(client),
		.state = buffers ? client_socket_state(client) : client_state(client),
		.remote = client->peer,
		.host = "",
		.port = show_listen_port(show),
		.conn = &client->conn,
		.pool = client->pool,
		.connect_time = client->connect_time,
		.request_time = client->request_time,
		.wait_us = since > 0 && since < show->now ? show->now - since : 0,
		.self = client,
		.link = client->server,
		.remote_pid = client->peer.pid,
		.application_name = application_name(show->worker, client->params),
		.prepared_statements = client->statements != NULL ? client_statements_count(client->statements) : 0,
		.id = client->id,
		.stream_left = client->stream_left,
	};

	put_row(show, &row, buffers);
}

/* --- servers --- */

static const char *
server_state(const Show *show, const Server *server)
{
	switch (server->state)
	{
		case SERVER_RESOLVING:
		case SERVER_CONNECTING:
		case SERVER_LOGIN: return "new";
		case SERVER_IDLE: return show_is_used(show->worker, &server->slot, show->now) ? "used" : "idle";
		case SERVER_SYNCING:
		case SERVER_ACTIVE: return "active";
		case SERVER_CLEANING: return server->cancels > 0 ? "being_canceled" : "tested";
		case SERVER_CLOSED: return "closed";
	}
	return "";
}

static const char *
server_socket_state(const Show *show, const Server *server)
{
	switch (server->state)
	{
		case SERVER_RESOLVING:
		case SERVER_CONNECTING:
		case SERVER_LOGIN: return "sv_login";
		case SERVER_IDLE: return show_is_used(show->worker, &server->slot, show->now) ? "sv_used" : "sv_idle";
		case SERVER_CLEANING: return "sv_tested";
		default: return "sv_active";
	}
}

static void
server_row(const Show *show, const Server *server, bool buffers)
{
	usec_t since = server->client != NULL ? request_since(server->client) : 0;
	ConnectionRow row = {
		.type = "S",
		.user = server->pool->role->name,
		.database = server->pool->database->name,
		.state = buffers ? server_socket_state(show, server) : server_state(show, server),
		.host = server->host,
		.port = server->port,
		.conn = &server->conn,
		.pool = server->pool,
		.connect_time = server->connect_time,
		.request_time = server->request_time,
		.wait_us = since > 0 && since < show->now ? show->now - since : 0,
		.close_needed = server->slot.close_needed,
		.self = server,
		.link = server->client,
		.remote_pid = server->backend_pid,
		.application_name = application_name(show->worker, server->params),
		.prepared_statements = server_statements_count(&server->statements),
		.id = server->id,
		.stream_left = server->stream_left,
	};

	if (server->address.len > 0)
		net_peer_from(&server->address.addr, &row.remote);
	put_row(show, &row, buffers);
}

/* --- walking --- */

#define WALK_END (-1)

typedef struct WalkPlan
{
	int lists[4];	  /* WalkOver, and WALK_END */
	bool buffers;	  /* with the columns of the buffers */
	bool only_active; /* only who waits or is linked, or has bytes in a buffer */
} WalkPlan;

static bool
is_active(const NetConn *conn, bool busy)
{
	return busy || net_held(conn) > 0 || net_backlog(conn) > 0;
}

static void
write_connection(const Show *show, const WalkPlan *plan, int list, const ListNode *node)
{
	if (list == (int) WALK_SERVERS)
	{
		const Server *server = CONTAINER_OF(node, const Server, node);

		if (!plan->only_active || is_active(&server->conn, server->client != NULL))
			server_row(show, server, plan->buffers);
	}
	else
	{
		const Client *client = CONTAINER_OF(node, const Client, node);

		if (!plan->only_active || is_active(&client->conn, client->server != NULL || client->state == CLIENT_WAITING))
			client_row(show, client, plan->buffers);
	}
}

/* A client that moves between two pieces would be shown twice, or not at all.  Who takes longer to read one may see that. */
#define PIECE_US USEC_PER_SEC

static bool
write_piece(const Show *show, ShowWalk *walk, const WalkPlan *plan)
{
	int left = SHOW_PIECE;

	if (!walk->started)
	{
		result_columns(show->result, plan->buffers ? CONNECTION_TYPES BUFFER_TYPES : CONNECTION_TYPES,
					   plan->buffers ? CONNECTION_NAMES BUFFER_NAMES : CONNECTION_NAMES);
		hall_walk_begin(show->worker->hall, &walk->cursor, (WalkOver) plan->lists[0]);
		walk->started = true;
	}
	/* The columns are the same in every piece; a Result is made anew for each. */
	show->result->columns = (int) strlen(CONNECTION_TYPES) + (plan->buffers ? (int) strlen(BUFFER_TYPES) : 0);
	while (left > 0)
	{
		const ListNode *node = hall_walk_next(&walk->cursor);

		if (node != NULL)
		{
			write_connection(show, plan, plan->lists[walk->list], node);
			left--;
			continue;
		}
		hall_walk_end(&walk->cursor);
		walk->list++;
		if (plan->lists[walk->list] == WALK_END)
			return true;
		hall_walk_begin(show->worker->hall, &walk->cursor, (WalkOver) plan->lists[walk->list]);
	}
	hall_hold_clients(show->worker->hall, show->now + PIECE_US);
	return false;
}

bool
show_clients(const Show *show, ShowWalk *walk)
{
	static const WalkPlan plan = {.lists = {WALK_CLIENTS, WALK_END}};

	return write_piece(show, walk, &plan);
}

bool
show_servers(const Show *show, ShowWalk *walk)
{
	static const WalkPlan plan = {.lists = {WALK_SERVERS, WALK_END}};

	return write_piece(show, walk, &plan);
}

bool
show_sockets(const Show *show, ShowWalk *walk)
{
	static const WalkPlan plan = {.lists = {WALK_CLIENTS, WALK_SERVERS, WALK_LOGINS, WALK_END}, .buffers = true};

	return write_piece(show, walk, &plan);
}

bool
show_active_sockets(const Show *show, ShowWalk *walk)
{
	static const WalkPlan plan = {
		.lists = {WALK_CLIENTS, WALK_SERVERS, WALK_LOGINS, WALK_END}, .buffers = true, .only_active = true};

	return write_piece(show, walk, &plan);
}
