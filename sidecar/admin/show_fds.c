/*
 * show_fds.c: SHOW FDS, and with it the way listening sockets go to a process that takes this one's place.
 *
 * The process that asks is the daemon's own user on the Unix socket: it gets a row for each listening socket, and with the row the socket.
 * Clients and servers stay where they are.  Any other administrator sees all sockets and gets none.  Secrets are never shown.
 */
#include "admin/show.h"

#define FDS_TYPES "issssiqisssssbb"
#define FDS_NAMES                                                                                                         \
	"fd task user database addr port cancel link client_encoding std_strings datestyle timezone password "                \
	"scram_client_key scram_server_key"

typedef struct FdRow
{
	int fd;
	const char *task, *user, *database;
	NetPeer peer;
	const char *host; /* in place of the peer's address, or NULL */
	int port;
	int64_t cancel;
	int link;
	const ParamSet *params; /* or NULL */
} FdRow;

static const char *
param(const Show *show, const ParamSet *params, const char *name)
{
	return params != NULL ? paramset_get(params, params_index(show->worker->params, slice_str(name))) : NULL;
}

static void
put_row(const Show *show, const FdRow *row)
{
	Result *r = show->result;
	char ip[64];

	result_row(r);
	result_number(r, row->fd);
	result_text(r, row->task);
	result_text(r, row->user);
	result_text(r, row->database);
	result_text(r, row->host != NULL ? row->host : net_peer_ip(&row->peer, ip, sizeof(ip)));
	result_number(r, row->port);
	result_number(r, row->cancel);
	result_number(r, row->link);
	result_text(r, param(show, row->params, "client_encoding"));
	result_text(r, param(show, row->params, "standard_conforming_strings"));
	result_text(r, param(show, row->params, "DateStyle"));
	result_text(r, param(show, row->params, "TimeZone"));
	for (int i = 0; i < 3; i++)
		result_text(r, NULL);
	result_row_end(r);
}

static void
listener_row(const Show *show, const NetListener *listener)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	FdRow row = {.fd = listener->fd, .task = "pooler", .port = show_listen_port(show)};

	if (getsockname(listener->fd, (struct sockaddr *) &address, &len) == 0)
	{
		address.ss_family = (sa_family_t) listener->family;
		net_peer_from(&address, &row.peer);
		if (row.peer.family != AF_UNIX)
			row.port = row.peer.port;
	}
	put_row(show, &row);
}

static void
client_row(const Show *show, const Client *client)
{
	uint64_t key = 0;

	for (int i = 0; client->has_key && i < 8; i++)
		key = key << 8 | client->cancel_key[i];
	put_row(show, &(FdRow){.fd = client->conn.fd, .task = "client", .user = client->role != NULL ? client->role->name : NULL,
						   .database = client->database != NULL ? client->database->name
									   : client->state == CLIENT_CONSOLE ? "pgbouncer"
																		  : NULL,
						   .peer = client->peer, .port = client->peer.port, .cancel = (int64_t) key,
						   .link = client->server != NULL ? client->server->conn.fd : 0, .params = client->params});
}

static void
server_row(const Show *show, const Server *server)
{
	put_row(show, &(FdRow){.fd = server->conn.fd, .task = "server", .user = server->pool->role->name,
						   .database = server->pool->database->name, .host = server->host, .port = server->port,
						   .link = server->client != NULL ? server->client->conn.fd : 0, .params = server->params});
}

static void
connection_rows(const Show *show, WalkOver over)
{
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(show->worker->hall, &walk, over);
	while ((node = hall_walk_next(&walk)) != NULL)
		if (over == WALK_CLIENTS)
			client_row(show, CONTAINER_OF(node, const Client, node));
		else
			server_row(show, CONTAINER_OF(node, const Server, node));
	hall_walk_end(&walk);
}

void
show_fds(const Show *show)
{
	result_columns(show->result, FDS_TYPES, FDS_NAMES);
	for (int i = 0; i < show->listener_count; i++)
		if (show->listeners[i].fd >= 0)
			listener_row(show, &show->listeners[i]);
	connection_rows(show, WALK_CLIENTS);
	connection_rows(show, WALK_SERVERS);
}

bool
show_fds_hand_over(const Show *show, Client *client)
{
	Result *r = show->result;
	bool ok = true;

	result_columns(r, FDS_TYPES, FDS_NAMES);
	client_send_buf(client, &r->buf);
	for (int i = 0; ok && i < show->listener_count; i++)
	{
		if (show->listeners[i].fd < 0)
			continue;
		listener_row(show, &show->listeners[i]);
		ok = !r->failed && net_send_descriptor(&client->conn, buf_ptr(&r->buf), buf_len(&r->buf), show->listeners[i].fd);
		buf_free(&r->buf);
	}
	return ok;
}
