/*
 * peer.c: cancel requests that belong to another process of the same group.
 *
 * With peer_id set, the keys given to clients name the process that gave them: bytes 1 and 2 hold its id (little endian), the two low
 * bits of byte 7 how many more times a request may be passed on.  A request with a foreign id goes to that process with one less,
 * and is dropped at none, so that a wrong [peers] section cannot make a circle.
 *
 * The client's connection is kept until the peer has closed ours: to a driver that means the request has been dealt with.  At most
 * pool_size requests are on their way to one peer, further ones wait; cancel_wait_timeout ends both.
 */
#include "session/session.h"

#include <stdlib.h>

#include "wire/startup.h"

#define TTL_MASK 3

struct PeerCancel
{
	NetConn conn;
	ListNode node; /* Worker.peer_cancels */
	Worker *worker;
	Client *client; /* borrowed; NULL once it has left */
	ResolverQuery *dns;
	Timer timer;
	int peer_id;
	uint8_t key[8];
	bool started, done;
};

/* --- keys --- */

int
peer_key_owner(const uint8_t key[8])
{
	return key[1] | key[2] << 8;
}

void
peer_key_mark(uint8_t key[8], int peer_id)
{
	key[1] = (uint8_t) peer_id;
	key[2] = (uint8_t) (peer_id >> 8);
	key[7] |= TTL_MASK;
}

bool
peer_owns_key(const Settings *settings, uint32_t pid, Slice rest)
{
	uint8_t key[8] = {0};

	wire_store_u32(key, pid);
	return settings->peer_id > 0 && rest.len == 4 && peer_key_owner(key) != settings->peer_id;
}

static const PeerSpec *
find_peer(const Settings *settings, int id)
{
	for (const PeerSpec *peer = settings->peers; peer != NULL; peer = peer->next)
		if (peer->id == id)
			return peer;
	return NULL;
}

/* --- a request on its way --- */

static void start_waiting(Worker *worker);

static void
end(PeerCancel *cancel)
{
	Worker *worker = cancel->worker;
	Client *client = cancel->client;

	if (cancel->done)
		return;
	cancel->done = true;
	cancel->client = NULL;
	if (cancel->dns != NULL)
		resolver_cancel(cancel->dns);
	cancel->dns = NULL;
	timer_disarm(net_timers(worker->loop), &cancel->timer);
	list_remove(&worker->peer_cancels, &cancel->node);
	net_close(&cancel->conn);
	if (client != NULL)
		client_close(client, "cancel request", NULL);
	start_waiting(worker);
}

static void
on_connected(NetConn *conn)
{
	PeerCancel *cancel = CONTAINER_OF(conn, PeerCancel, conn);
	Buf out = {0};

	if (wire_write_cancel_request(&out, wire_load_u32(cancel->key), slice_make(cancel->key + 4, 4)))
		net_send_bytes(&cancel->conn, buf_ptr(&out), buf_len(&out));
	else
		end(cancel);
	buf_free(&out);
}

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	(void) conn;
	(void) data;
	return len;
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	PeerCancel *cancel = CONTAINER_OF(conn, PeerCancel, conn);

	if (why == NET_END_CONNECT_FAILED)
		log_write(cancel->worker->log, LOG_LEVEL_WARNING, "could not pass a cancel request on to peer %d: %s", cancel->peer_id,
				  strerror(error));
	end(cancel);
}

static void
on_released(NetConn *conn)
{
	free(CONTAINER_OF(conn, PeerCancel, conn));
}

static const NetHandler peer_handler = {
	.on_input = on_input,
	.on_connected = on_connected,
	.on_end = on_end,
	.on_released = on_released,
};

static void
on_timer(Timer *timer, usec_t now)
{
	(void) now;
	end(CONTAINER_OF(timer, PeerCancel, timer));
}

static void
connect_to(PeerCancel *cancel, const NetAddress *address)
{
	if (!net_connect(cancel->worker->loop, &cancel->conn, address, &cancel->worker->settings->socket_options,
					 &peer_handler))
		end(cancel);
}

static void
on_resolved(void *arg, const NetAddress *addresses, int count, const char *error)
{
	PeerCancel *cancel = arg;

	cancel->dns = NULL;
	if (count > 0)
		connect_to(cancel, &addresses[0]);
	else
	{
		log_write(cancel->worker->log, LOG_LEVEL_WARNING, "could not pass a cancel request on to peer %d: %s", cancel->peer_id,
				  error);
		end(cancel);
	}
}

static void
start(PeerCancel *cancel, const PeerSpec *peer)
{
	NetAddress address;

	cancel->started = true;
	if (peer->host[0] == '/' || peer->host[0] == '@' ? net_address_unix(peer->host, peer->port, &address)
													 : net_address_parse(peer->host, peer->port, &address))
		connect_to(cancel, &address);
	else if ((cancel->dns = resolver_ask(cancel->worker->resolver, peer->host, peer->port, on_resolved, cancel)) == NULL)
		end(cancel);
}

PeerCounts
peer_counts(const Worker *worker, int peer_id)
{
	PeerCounts counts = {0};

	list_each(node, &worker->peer_cancels)
	{
		const PeerCancel *cancel = CONTAINER_OF(node, const PeerCancel, node);

		if (cancel->peer_id != peer_id)
			continue;
		counts.waiting += !cancel->started;
		counts.active += cancel->started;
	}
	return counts;
}

/* The first that waits and whose peer has room, again and again. */
static void
start_waiting(Worker *worker)
{
	bool found = true;

	while (found)
	{
		found = false;
		list_each(node, &worker->peer_cancels)
		{
			PeerCancel *cancel = CONTAINER_OF(node, PeerCancel, node);
			const PeerSpec *peer = cancel->started ? NULL : find_peer(worker->settings, cancel->peer_id);

			if (peer == NULL || peer_counts(worker, peer->id).active >= peer_pool_size(worker->settings, peer))
				continue;
			start(cancel, peer);
			found = true;
			break;
		}
	}
}

bool
peer_cancel(Client *client, uint8_t key[8])
{
	Worker *worker = client->worker;
	const Settings *settings = worker->settings;
	int owner = peer_key_owner(key);
	PeerCancel *cancel;

	if (settings->peer_id == 0 || owner == settings->peer_id)
		return false;
	if ((key[7] & TTL_MASK) == 0 || find_peer(settings, owner) == NULL)
	{
		client_log(client, LOG_LEVEL_WARNING, "cancel request for peer %d dropped: %s", owner,
				   (key[7] & TTL_MASK) == 0 ? "it has been passed on too often" : "no such peer");
		return false;
	}
	if ((cancel = calloc(1, sizeof(PeerCancel))) == NULL)
		return false;
	cancel->worker = worker;
	cancel->client = client;
	cancel->peer_id = owner;
	memcpy(cancel->key, key, sizeof(cancel->key));
	cancel->key[7]--;
	cancel->conn.fd = -1;
	cancel->conn.loop = worker->loop;
	cancel->conn.handler = &peer_handler;
	cancel->timer.fire = on_timer;
	list_append(&worker->peer_cancels, &cancel->node);
	timer_arm(net_timers(worker->loop), &cancel->timer,
			  deadline_after(worker_now(worker), settings->cancel_wait_timeout_us));
	start_waiting(worker);
	return true;
}

void
peer_forget_client(Client *client)
{
	list_each(node, &client->worker->peer_cancels)
	{
		PeerCancel *cancel = CONTAINER_OF(node, PeerCancel, node);

		if (cancel->client == client)
			cancel->client = NULL;
	}
}

void
peer_close_all(Worker *worker)
{
	ListNode *node;

	while ((node = list_first(&worker->peer_cancels)) != NULL)
	{
		PeerCancel *cancel = CONTAINER_OF(node, PeerCancel, node);

		cancel->started = true;
		list_each(other, &worker->peer_cancels)
			CONTAINER_OF(other, PeerCancel, node)->started = true;
		end(cancel);
	}
}
