/*
 * client.c: client connections: life, timers, flow of input.
 */
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "session/request.h"
#include "wire/backend.h"
#include "wire/frontend.h"
#include "wire/msg.h"

/* How long a last message may take to leave. */
#define LINGER_US (2 * USEC_PER_SEC)

/* --- naming and logging --- */

const char *
client_name(const Client *client, char *buf, size_t size)
{
	char peer[80];
	const char *end = buf + size;
	char *at = buf;
	const char *database = client->database != NULL ? client->database->name : client->state == CLIENT_CONSOLE ? "pgbouncer" : NULL;
	const char *user = client->role != NULL ? client->role->name : NULL;

	if (client->login != NULL)
		client_login_names(client, database == NULL ? &database : NULL, user == NULL ? &user : NULL);
	at = text_put(text_put(at, end, database != NULL ? database : "(nodb)"), end, "/");
	at = text_put(text_put(at, end, user != NULL ? user : "(nouser)"), end, "@");
	(void) text_put(at, end, net_peer_name(&client->peer, peer, sizeof(peer)));
	return buf;
}

void
client_log(const Client *client, LogLevel level, const char *format, ...)
{
	char prefix[300];
	const char *end = prefix + sizeof(prefix);
	char *at = prefix;
	va_list args;

	if (!log_wants(client->worker->log, level))
		return;
	at = text_put(text_put_pointer(text_put(at, end, "C-"), end, client), end, ": ");
	(void) client_name(client, at, (size_t) (end - at) - 1);
	(void) text_put(at + strlen(at), end, " ");
	va_start(args, format);
	log_vwrite(client->worker->log, level, prefix, format, args);
	va_end(args);
}

void
client_enter_app(Client *client, const char *name)
{
	Worker *worker = client->worker;

	apps_enter(&worker->apps, &client->app, name, client->database->name, worker_now(worker));
}

bool
client_is_linked(const Client *client)
{
	return client->server != NULL;
}

void
client_send_buf(Client *client, Buf *buf)
{
	if (buf_len(buf) > 0 && net_is_open(&client->conn))
		net_send_bytes(&client->conn, buf_ptr(buf), buf_len(buf));
	buf_free(buf);
}

/* --- state --- */

static bool
in_logins(ClientState state)
{
	return state == CLIENT_STARTUP || state == CLIENT_AUTH || state == CLIENT_WELCOME;
}

void
client_set_state(Client *client, ClientState state)
{
	Worker *worker = client->worker;

	if (client->state == state)
		return;
	if (!in_logins(client->state) && state != CLIENT_CLOSED)
	{
		client->state = state;
		return;
	}
	if (in_logins(client->state) && !in_logins(state))
	{
		worker_walk_skip(worker, &client->node);
		list_remove(&worker->logins, &client->node);
		if (state != CLIENT_CLOSED)
			list_append(&worker->clients, &client->node);
	}
	else if (state == CLIENT_CLOSED)
	{
		worker_walk_skip(worker, &client->node);
		list_remove(&worker->clients, &client->node);
	}
	client->state = state;
}

/* --- the one timer of a client --- */

typedef enum ClientDue
{
	DUE_NOTHING,
	DUE_LOGIN,
	DUE_IDLE,
	DUE_DEADLINE,
	DUE_GRACE,
	DUE_QUERY,
	DUE_TRANSACTION,
	DUE_TRANSACTION_DEADLINE,
	DUE_IDLE_TRANSACTION,
	DUE_NOTIFY,
} ClientDue;

/* A user's limit (0 = inherit), else the general one. */
static usec_t
limit_of(usec_t user_us, usec_t general_us)
{
	return user_us > 0 ? user_us : general_us;
}

static void
consider(deadline_t at, ClientDue what, deadline_t *first, ClientDue *due)
{
	if (at < *first)
	{
		*first = at;
		*due = what;
	}
}

static void
consider_running(const Client *client, const Settings *settings, const UserSpec *user, deadline_t *first, ClientDue *due)
{
	const Server *server = client->server;
	bool running = server->outstanding > 0 || client->in_group;

	if (client->pool->dedicated != NULL)
		return; /* a stream lasts */
	if (running)
	{
		consider(client->deadline, DUE_DEADLINE, first, due);
		if (client->expired)
			consider(client->grace_until, DUE_GRACE, first, due);
		if (client->in_group && server->outstanding == 0 && deadline_transaction_us(client) > 0)
			consider(deadline_after(client->tx_since, deadline_transaction_us(client)), DUE_TRANSACTION_DEADLINE, first, due);
		consider(deadline_after(client->request_time, limit_of(user ? user->query_timeout_us : 0, settings->query_timeout_us)),
				 DUE_QUERY, first, due);
	}
	else if (server->tx_status != 'I')
	{
		consider(deadline_after(client->tx_since, deadline_transaction_us(client)), DUE_TRANSACTION_DEADLINE, first, due);
		consider(deadline_after(client->idle_since, limit_of(user ? user->idle_transaction_timeout_us : 0,
															 settings->idle_transaction_timeout_us)),
				 DUE_IDLE_TRANSACTION, first, due);
	}
	if (running || server->tx_status != 'I')
		consider(deadline_after(client->tx_since, limit_of(user ? user->transaction_timeout_us : 0,
														   settings->transaction_timeout_us)),
				 DUE_TRANSACTION, first, due);
	/* client_idle_timeout is for those without a server: in session mode it ends nobody who has run anything */
}

/* What happens next to this client by time alone, and when. */
static deadline_t
next_due(const Client *client, ClientDue *due)
{
	const Settings *settings = client->worker->settings;
	const UserSpec *user = client->role != NULL ? client->role->spec : NULL;
	deadline_t first = DEADLINE_NONE;

	*due = DUE_NOTHING;
	switch (client->state)
	{
		case CLIENT_STARTUP:
		case CLIENT_AUTH:
		case CLIENT_WELCOME:
			consider(deadline_after(client->connect_time, settings->client_login_timeout_us), DUE_LOGIN, &first, due);
			break;
		case CLIENT_IDLE:
			consider(deadline_after(client->idle_since, limit_of(user ? user->client_idle_timeout_us : 0,
																 settings->client_idle_timeout_us)),
					 DUE_IDLE, &first, due);
			break;
		case CLIENT_WAITING:
			consider(deadline_after(client->request_time,
									limit_of(user ? user->query_timeout_us : 0, settings->query_timeout_us)),
					 DUE_QUERY, &first, due);
			if (!client->wait_notified && settings->query_wait_notify_us > 0)
				consider(client->request_time + settings->query_wait_notify_us + USEC_PER_SEC, DUE_NOTIFY, &first, due);
			break;
		case CLIENT_SYNCING:
			consider(client->deadline, DUE_DEADLINE, &first, due);
			break;
		case CLIENT_ACTIVE:
			consider_running(client, settings, user, &first, due);
			break;
		case CLIENT_CONSOLE:
		case CLIENT_CLOSED:
			break;
	}
	return first;
}

void
client_find_timer(Client *client)
{
	ClientDue due;
	deadline_t at = next_due(client, &due);

	/* one that fires early looks again: cheaper than to move it with each statement */
	if (at == DEADLINE_NONE || (client->timer.armed && client->timer.at <= at))
		return;
	timer_arm(net_timers(client->worker->loop), &client->timer, at);
}

static void
notify_wait(Client *client)
{
	Buf out = {0};
	WireError notice = {.severity = slice_str("NOTICE"), .severity_v = slice_str("NOTICE"), .code = slice_str("00000"),
						.message = slice_str("No server connection available in postgres backend, client being queued")};

	client->wait_notified = true;
	if (wire_write_notice(&out, &notice))
		client_send_buf(client, &out);
	buf_free(&out);
	client_rearm_timer(client);
}

/* The request's deadline has passed in the queue, and the pool has not looked yet. */
static void
expire_waiting(Client *client, usec_t now)
{
	Worker *worker = client->worker;

	policy_enter(worker);
	pool_tick(&client->pool->policy, now, &worker->hall->actions);
	policy_leave(worker, client->pool);
}

static void
on_timer(Timer *timer, usec_t now)
{
	Client *client = CONTAINER_OF(timer, Client, timer);
	Worker *worker = client->worker;
	ClientDue due;

	if (next_due(client, &due) > now)
	{
		client_rearm_timer(client);
		return;
	}
	switch (due)
	{
		case DUE_NOTHING: break;
		case DUE_LOGIN:
			client_close(client, "client_login_timeout",
						 client->state == CLIENT_WELCOME ? "client_login_timeout (server down)" : "client_login_timeout");
			break;
		case DUE_IDLE: client_close(client, "client_idle_timeout", "client_idle_timeout"); break;
		case DUE_DEADLINE: deadline_expired(client, now); break;
		case DUE_GRACE: deadline_grace_passed(client, now); break;
		case DUE_QUERY:
			if (client->state == CLIENT_WAITING && client->waiter.deadline <= now)
				expire_waiting(client, now); /* the milder end goes first */
			else if (client->state == CLIENT_WAITING)
				client_close(client, "query_timeout", "query_timeout");
			else
				client_close(client, "query timeout", "query timeout");
			break;
		case DUE_TRANSACTION_DEADLINE: deadline_transaction_expired(client, now); break;
		case DUE_TRANSACTION: client_close(client, "transaction timeout", "transaction timeout"); break;
		case DUE_IDLE_TRANSACTION:
			client_close(client, "idle transaction timeout", "idle transaction timeout");
			break;
		case DUE_NOTIFY: notify_wait(client); break;
	}
	worker_run_actions(worker);
}

/* --- flow --- */

void
client_update_flow(Client *client)
{
	bool stop;

	if (client->login != NULL)
		atomic_store_explicit(&client->login_busy, client->leaving || client_login_waits(client), memory_order_relaxed);
	switch (client->state)
	{
		case CLIENT_WELCOME:
		case CLIENT_WAITING:
		case CLIENT_SYNCING:
			stop = true;
			break;
		case CLIENT_ACTIVE:
			stop = client->hold || net_backlog(&client->server->conn) > 0;
			break;
		case CLIENT_AUTH:
			stop = client_login_waits(client);
			break;
		case CLIENT_CONSOLE:
			return; /* the console pauses and resumes by itself */
		case CLIENT_CLOSED:
			return;
		default:
			stop = false;
			break;
	}
	if (stop || client->suspended || client->leaving)
		net_pause(&client->conn);
	else
		net_resume(&client->conn);
}

/* --- the console --- */

static size_t
console_input(Client *client, uint8_t *data, size_t len)
{
	Worker *worker = client->worker;
	size_t pos = 0;

	while (pos < len && client->state == CLIENT_CONSOLE && !net_is_paused(&client->conn))
	{
		WireHeader header;
		WireStatus status = wire_read_header(data + pos, len - pos, &header);
		size_t total;
		Slice sql;

		if (status == WIRE_NEED_MORE)
			break;
		total = (size_t) header.payload_len + WIRE_HEADER_SIZE;
		if (status == WIRE_BAD || total > NET_READ_SIZE / 2)
		{
			client_close(client, "bad packet header", "bad packet header");
			break;
		}
		if (total > len - pos)
			break;
		if (header.type == FE_QUERY && wire_read_query(slice_make(data + pos + WIRE_HEADER_SIZE, header.payload_len), &sql))
		{
			hall_park(worker->hall);
			worker->hall->console.query(worker->hall->console.arg, client, sql);
			hall_unpark(worker->hall);
		}
		else if (header.type == FE_TERMINATE)
			client_close(client, "client close request", NULL);
		else if (header.type == FE_PARSE || header.type == FE_BIND || header.type == FE_EXECUTE)
			client_close_error(client, "08P01", "extended query protocol not supported by admin console");
		else
		{
			char message[80];

			snprintf(message, sizeof(message), "unsupported packet type for admin console: %d", header.type);
			client_close_error(client, "08P01", message);
		}
		pos += total;
	}
	return client->state == CLIENT_CLOSED ? len : pos;
}

/* --- events --- */

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	Client *client = CONTAINER_OF(conn, Client, conn);
	Worker *worker = client->worker;
	size_t used;

	switch (client->state)
	{
		case CLIENT_STARTUP:
		case CLIENT_AUTH:
			used = client_login_input(client, data, len);
			break;
		case CLIENT_CONSOLE:
			used = console_input(client, data, len);
			break;
		case CLIENT_IDLE:
		case CLIENT_ACTIVE:
			used = request_input(client, data, len);
			break;
		case CLIENT_WELCOME:
		case CLIENT_WAITING:
		case CLIENT_SYNCING:
			net_pause(conn);
			used = 0;
			break;
		default:
			return len;
	}
	worker_run_actions(worker);
	return used;
}

void
client_unblocked(Client *client)
{
	if (client->write_blocked_since > 0)
		client_stats(client)->drain_us += (uint64_t) (worker_now(client->worker) - client->write_blocked_since);
	client->write_blocked_since = 0;
}

static void
on_drained(NetConn *conn)
{
	Client *client = CONTAINER_OF(conn, Client, conn);

	if (client->server != NULL)
	{
		client_unblocked(client);
		if (!client->worker->hall->suspended)
			net_resume(&client->server->conn);
	}
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	Client *client = CONTAINER_OF(conn, Client, conn);
	Worker *worker = client->worker;

	(void) why;
	(void) error;
	if (net_tls_error(conn)[0] != '\0')
		client_log(client, LOG_LEVEL_LOG, "TLS failed: %s", net_tls_error(conn));
	/* who connects and leaves without a word looks whether somebody listens: a balancer does so every second */
	if (client->state == CLIENT_STARTUP && !net_is_tls(conn))
		client->quiet = true;
	client_close(client, "client unexpected eof", NULL);
	worker_run_actions(worker);
}

static void
on_released(NetConn *conn)
{
	Client *client = CONTAINER_OF(conn, Client, conn);
	Worker *worker = client->worker;

	paramset_unref(worker->params, client->params);
	client_statements_free(client->statements, worker->statements);
	statement_unref(worker->statements, client->unnamed);
	client_login_free(client->login);
	free(client->startup_app);
	free(client);
}

static const NetHandler client_handler = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_end = on_end,
	.on_released = on_released,
};

/* --- life --- */

Client *
client_create(Worker *worker, int fd, const NetPeer *peer, uint64_t id)
{
	Client *client = calloc(1, sizeof(Client));

	if (client == NULL)
		return NULL;
	client->worker = worker;
	client->peer = *peer;
	client->state = CLIENT_STARTUP;
	client->id = id;
	client->connect_time = client->request_time = client->idle_since = worker_now(worker);
	client->deadline = client->grace_until = DEADLINE_NONE;
	client->session_deadline_us = -1;
	client->timer.fire = on_timer;
	client->params = paramset_ref(worker->params->empty);
	client->conn.early_hangup = true;
	if (!net_adopt(worker->loop, &client->conn, fd, &client_handler))
	{
		paramset_unref(worker->params, client->params);
		free(client);
		return NULL;
	}
	client->conn.early_hangup = true;
	list_append(&worker->logins, &client->node);
	client_enter_half_open(client);
	atomic_fetch_add(&worker->hall->client_count, 1);
	client->suspended = worker->hall->suspended;
	client_update_flow(client);
	client_rearm_timer(client);
	return client;
}

static void
leave_pool(Client *client)
{
	Worker *worker = client->worker;
	usec_t now = worker_now(worker);

	if (client->server != NULL)
		link_abandon(client);
	else if (client->pool != NULL && (client->state == CLIENT_WAITING || client->state == CLIENT_WELCOME))
	{
		/* also when it is queued no more: a grant may have been decided that is not carried out yet */
		if (client->state == CLIENT_WAITING)
		{
			client_stats(client)->gone_waiting++;
			client_stats(client)->gone_us += (uint64_t) (now - client->group_since);
			sparse_histogram_add(&client_stats(client)->gone_hist, now - client->group_since);
		}
		policy_enter(worker);
		pool_abandon(&client->pool->policy, &client->waiter, now, &worker->hall->actions);
		policy_leave(worker, client->pool);
	}
}

/* What its pool's figures say of the client that leaves. */
static void
count_life(Client *client, usec_t now)
{
	SessionStats *stats = client_stats(client);

	stats->disconnects++;
	stats->life_us += (uint64_t) (now - client->connect_time);
	sparse_histogram_add(&stats->life_hist, now - client->connect_time);
	repeats_end_run(&client->run_length, stats, client->fingerprint, now);
}

static void
leave_counts(Client *client)
{
	usec_t now = worker_now(client->worker);
	Worker *worker = client->worker;
	SessionPool *shown;

	if (client->counted)
	{
		hall_lock_tables(worker->hall);
		client->database->clients--;
		client->role->clients--;
		hall_unlock_tables(worker->hall);
	}
	if (client->pool != NULL)
	{
		shown = session_pool_shown(client->pool);
		policy_enter(worker);
		shown->policy.clients--;
		policy_leave(worker, shown);
		count_life(client, now);
	}
	apps_leave(&client->app, now);
	atomic_fetch_sub(&worker->load, 1);
	if (client->sent_away == NULL) /* else it has not counted since then */
		atomic_fetch_sub(&worker->hall->client_count, 1);
}

/* It was told that it is over; or it went in the middle of proving who it is. */
static void
count_fatal(Client *client, const char *sqlstate, const char *message)
{
	if (in_logins(client->state) && !client->quiet && (message != NULL || client->state == CLIENT_AUTH))
		client->worker->login_failures++;
	if (message != NULL && client->pool != NULL)
		stats_count_error(client_stats(client), sqlstate);
	if (message != NULL && client->app != NULL)
		client->app->errors++;
}

static void
close_with(Client *client, const char *reason, const char *sqlstate, const char *message)
{
	Worker *worker = client->worker;
	Buf out = {0};
	bool failed_login = in_logins(client->state);

	if (client->state == CLIENT_CLOSED)
		return;
	(void) client_leave_half_open(client); /* first: nobody sends it away any more */
	if (!client->quiet && (worker->settings->log_disconnections || failed_login))
		client_log(client, LOG_LEVEL_LOG, "closing because: %s (age=%ds)", reason,
				   (int) ((worker_now(worker) - client->connect_time) / USEC_PER_SEC));
	if (message != NULL && worker->settings->log_pooler_errors)
		client_log(client, LOG_LEVEL_WARNING, "pooler error: %s", message);
	if (client->state == CLIENT_CONSOLE)
	{
		hall_park(worker->hall);
		worker->hall->console.closed(worker->hall->console.arg, client);
		hall_unpark(worker->hall);
	}
	count_fatal(client, sqlstate, message);
	client_login_stop(client);
	leave_pool(client);
	leave_counts(client);
	if (client->pool != NULL && client->pool->dedicated != NULL)
		dedicated_client_left(worker, client->pool);
	if (client->has_key)
	{
		hall_lock_tables(worker->hall);
		map_remove(&worker->hall->cancel_keys, &client->cancel_node);
		hall_unlock_tables(worker->hall);
	}
	if (client->quiet)
	{
		peer_forget_client(client);
		cancel_forget_client(client);
	}
	timer_disarm(net_timers(worker->loop), &client->timer);
	client_set_state(client, CLIENT_CLOSED);
	if (message == NULL)
		net_close(&client->conn);
	else
	{
		client_login_send_last_word(client);
		if (wire_error_simple(&out, "FATAL", sqlstate, message))
			client_send_buf(client, &out);
		buf_free(&out);
		net_close_flushed(&client->conn, LINGER_US);
	}
}

void
client_close(Client *client, const char *reason, const char *fatal_message)
{
	close_with(client, reason, "08P01", fatal_message);
}

void
client_close_error(Client *client, const char *sqlstate, const char *message)
{
	close_with(client, message, sqlstate, message);
}
