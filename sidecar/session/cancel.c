/*
 * cancel.c: cancel requests, without the race.
 *
 * PostgreSQL's CancelRequest names a backend, not a statement: whatever that backend runs when the signal arrives is cancelled.  So:
 * - a cancel is sent only while the group it is meant for still runs (checked again when the cancel connection is up);
 * - until the cancel connection has been closed by the server (which signals before it closes), the server connection gets no
 *   other statement: the next group of the same client is held back, and the pool gets the connection only afterwards;
 * - when it cannot be known whether a sent request was processed, the server connection is closed instead of reused.
 *
 * The number of cancel connections at once is bounded; the others wait in line.
 *
 * The same holds towards clients: whoever sees the connection of his request closed may rely on that it hits nothing that he sends from then on.  So
 * that of a request for a client of another worker is kept until that one has dealt with it.
 */
#include "session/session.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "session/expect.h"
#include "session/hall.h"
#include "session/request.h"
#include "wire/msg.h"
#include "wire/startup.h"

#define CANCEL_PARALLEL 32

typedef struct CancelJob
{
	NetConn conn;
	ListNode node; /* Worker.cancels */
	Worker *worker;
	Server *server;		  /* borrowed; NULL once it is gone */
	uint64_t group_serial; /* what it is meant for */
	Timer timer;
	bool started, asked_tls, sent, done;
} CancelJob;

static void job_start(CancelJob *job);

static void
start_waiting(Worker *worker)
{
	list_each(node, &worker->cancels)
	{
		CancelJob *job = CONTAINER_OF(node, CancelJob, node);

		if (worker->cancel_jobs >= CANCEL_PARALLEL)
			return;
		if (!job->started && !job->done)
			job_start(job);
	}
}

/* The job is over.  `certain`: no signal of it can come any more. */
static void
job_end(CancelJob *job, bool certain)
{
	Worker *worker = job->worker;
	Server *server = job->server;

	if (job->done)
		return;
	job->done = true;
	if (job->started)
		worker->cancel_jobs--;
	timer_disarm(net_timers(worker->loop), &job->timer);
	list_remove(&worker->cancels, &job->node);
	job->server = NULL;
	net_close(&job->conn);
	if (server != NULL)
	{
		server->cancels--;
		if (!certain)
			server_close(server, "a cancel request's outcome is unknown");
		else if (server->state == SERVER_CLEANING)
			server_clean_next(server);
		else if (server->client != NULL && server->cancels == 0 && server->client->hold && server->outstanding == 0)
		{
			server->client->hold = false;
			client_update_flow(server->client);
		}
	}
	start_waiting(worker);
}

/* The connection is ready for the request. */
static void
send_request(CancelJob *job)
{
	Server *server = job->server;
	Buf out = {0};

	if (server == NULL || server->group_serial != job->group_serial || expect_head(server) == 0)
		job_end(job, true); /* its target is over: nothing is sent */
	else if (wire_write_cancel_request(&out, server->backend_pid, slice_make(server->cancel_key, server->cancel_key_len)))
	{
		job->sent = true;
		net_send_bytes(&job->conn, buf_ptr(&out), buf_len(&out));
	}
	else
		job_end(job, true);
	buf_free(&out);
}

/* The key in a cancel request deserves what the session had. */
static void
on_connected(NetConn *conn)
{
	CancelJob *job = CONTAINER_OF(conn, CancelJob, conn);
	const Settings *settings = job->worker->settings;
	Buf out = {0};
	bool tls = job->server != NULL && net_is_tls(&job->server->conn) && server_wants_tls(settings, &job->server->address);

	job->asked_tls = tls && !settings->server_tls.direct && wire_write_ssl_request(&out);
	if (job->asked_tls)
		net_send_bytes(conn, buf_ptr(&out), buf_len(&out));
	else if (!tls || (settings->server_tls.direct && net_start_tls(conn, settings->server_tls_context, job->server->host, (Slice){NULL, 0})))
		send_request(job);
	else
		job_end(job, true);
	buf_free(&out);
	worker_run_actions(job->worker);
}

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	CancelJob *job = CONTAINER_OF(conn, CancelJob, conn);
	NetTlsContext *context = job->worker->settings->server_tls_context;

	if (!job->asked_tls)
		return len;
	job->asked_tls = false;
	if (len == 1 && data[0] == 'S' && job->server != NULL && context != NULL &&
		net_start_tls(conn, context, job->server->host, (Slice){NULL, 0}))
		send_request(job);
	else
		job_end(job, true);
	worker_run_actions(job->worker);
	return len;
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	CancelJob *job = CONTAINER_OF(conn, CancelJob, conn);
	Worker *worker = job->worker;

	(void) error;
	/* A reset after the request was sent is how some servers close; the request has been read then. */
	job_end(job, !job->sent || why != NET_END_CONNECT_FAILED);
	worker_run_actions(worker);
}

static void
on_released(NetConn *conn)
{
	free(CONTAINER_OF(conn, CancelJob, conn));
}

static const NetHandler cancel_handler = {
	.on_input = on_input,
	.on_connected = on_connected,
	.on_end = on_end,
	.on_released = on_released,
};

static void
on_timer(Timer *timer, usec_t now)
{
	CancelJob *job = CONTAINER_OF(timer, CancelJob, timer);
	Worker *worker = job->worker;

	(void) now;
	job_end(job, !job->sent);
	worker_run_actions(worker);
}

static void
job_start(CancelJob *job)
{
	Worker *worker = job->worker;

	job->started = true;
	worker->cancel_jobs++;
	timer_arm(net_timers(worker->loop), &job->timer,
			  deadline_after(worker_now(worker), worker->settings->cancel_wait_timeout_us));
	if (job->server == NULL ||
		!net_connect(worker->loop, &job->conn, &job->server->address, &worker->settings->socket_options,
					 &cancel_handler))
		job_end(job, true);
}

void
cancel_server(Server *server, CancelWhy why)
{
	Worker *worker = server->worker;
	CancelJob *job;

	server_log(server, LOG_LEVEL_DEBUG, "canceling (%s)",
			   why == CANCEL_DEADLINE ? "query deadline" : why == CANCEL_GONE ? "client gone" : "client request");
	if (expect_head(server) == 0)
		return;
	if ((job = calloc(1, sizeof(CancelJob))) == NULL)
		return; /* the grace or the client's own patience ends it */
	job->worker = worker;
	job->server = server;
	job->group_serial = server->group_serial;
	job->timer.fire = on_timer;
	job->conn.fd = -1;
	job->conn.loop = worker->loop;
	job->conn.handler = &cancel_handler;
	server->cancels++;
	list_append(&worker->cancels, &job->node);
	start_waiting(worker);
}

static void
cancel_waiting(Client *client)
{
	Worker *worker = client->worker;

	policy_enter(worker);
	pool_abandon(&client->pool->policy, &client->waiter, worker_now(worker), &worker->hall->actions);
	policy_leave(worker, client->pool);
	client_set_state(client, CLIENT_IDLE);
	request_reject(client, &(RequestError){"57014", "canceling statement due to user request", NULL, NULL});
	client->idle_since = worker_now(worker);
	client_rearm_timer(client);
	client_update_flow(client);
}

/* Whose key it is; of another worker's client only that is told: it may be gone at any time. */
static Client *
find_client(Worker *worker, const uint8_t key[8], Worker **owner)
{
	Hall *hall = worker->hall;
	MapNode *node;
	Client *client;

	hall_lock_tables(hall);
	node = map_find(&hall->cancel_keys, hash_bytes(hall->hash_seed, key, 8), key);
	client = node != NULL ? CONTAINER_OF(node, Client, cancel_node) : NULL;
	*owner = client != NULL ? client->worker : NULL;
	hall_unlock_tables(hall);
	return *owner == worker ? client : NULL;
}

static void
cancel_console(Client *client)
{
	Hall *hall = client->worker->hall;

	hall_park(hall);
	hall->console.cancel(hall->console.arg, client);
	hall_unpark(hall);
}

/* NULL: it has been dealt with; else whose client it is for. */
static Worker *
cancel_by_key(Worker *worker, const uint8_t key[8])
{
	Worker *owner;
	Client *client = find_client(worker, key, &owner);

	if (owner != NULL && client == NULL)
		return owner;
	if (owner == NULL)
		log_debug(worker->log, "cancel request with an unknown key");
	else if (client->state == CLIENT_CONSOLE)
		cancel_console(client);
	else if (client->state == CLIENT_WAITING)
		cancel_waiting(client);
	else if (client->state == CLIENT_ACTIVE) /* it may run in a group whose Sync has not come */
		cancel_server(client->server, CANCEL_CLIENT);
	worker_run_actions(worker);
	return NULL;
}

static bool
send_elsewhere(Client *client, Worker *to, const uint8_t key[8])
{
	Worker *worker = client->worker;
	WorkerPost *item = calloc(1, sizeof(WorkerPost));

	if (item == NULL)
		return false;
	item->kind = POST_CANCEL;
	item->from = worker;
	item->client = client;
	memcpy(item->key, key, sizeof(item->key));
	list_append(&worker->cancels_elsewhere, &item->waiting);
	worker_post(to, item);
	return true;
}

void
cancel_take(Worker *worker, WorkerPost *item)
{
	Worker *to = cancel_by_key(worker, item->key);

	if (to == NULL)
	{
		item->kind = POST_CANCELED;
		to = item->from;
	}
	worker_post(to, item);
}

void
cancel_taken(Worker *worker, WorkerPost *item)
{
	list_remove(&worker->cancels_elsewhere, &item->waiting);
	if (item->client != NULL)
		client_close(item->client, "cancel request", NULL);
}

void
cancel_forget_client(const Client *client)
{
	list_each(node, &client->worker->cancels_elsewhere)
	{
		WorkerPost *item = CONTAINER_OF(node, WorkerPost, waiting);

		if (item->client == client)
			item->client = NULL;
	}
}

void
cancel_requested(Client *client, uint32_t pid, Slice rest)
{
	Worker *worker = client->worker;
	Worker *owner;
	uint8_t key[8];

	client->quiet = true;
	wire_store_u32(key, pid);
	if (rest.len == 4)
	{
		memcpy(key + 4, rest.ptr, 4);
		if (peer_cancel(client, key))
			return; /* closed when the peer has dealt with it */
		if (worker->settings->peer_id > 0 && peer_key_owner(key) == worker->settings->peer_id)
			peer_key_mark(key, worker->settings->peer_id);
		if ((owner = cancel_by_key(worker, key)) != NULL && send_elsewhere(client, owner, key))
			return; /* closed when that worker has dealt with it */
	}
	client_close(client, "cancel request", NULL);
}

void
cancel_forget_server(Server *server)
{
	if (server->cancels == 0)
		return;
	list_each(node, &server->worker->cancels)
	{
		CancelJob *job = CONTAINER_OF(node, CancelJob, node);

		if (job->server == server)
		{
			job->server = NULL;
			server->cancels--;
		}
	}
}

void
cancel_close_all(Worker *worker)
{
	ListNode *node;

	while ((node = list_first(&worker->cancels)) != NULL)
	{
		CancelJob *job = CONTAINER_OF(node, CancelJob, node);

		if (job->server != NULL)
			job->server->cancels--;
		job->server = NULL;
		job_end(job, true);
	}
}
