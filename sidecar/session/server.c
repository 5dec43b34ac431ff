/*
 * server.c: server connections: opening, cleaning between clients, closing.
 *
 * The pool's policy owns the decision when; this file carries it out.  Cleaning is one loop, server_clean_next(), that
 * takes the next step that is still due: drain answers, wait for cancels, roll back, reset, check.
 */
#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "session/expect.h"
#include "session/lease.h"
#include "wire/backend.h"
#include "wire/frontend.h"

#define CHECK_LIMIT_US (10 * USEC_PER_SEC)

/* --- naming and logging --- */

void
server_log(const Server *server, LogLevel level, const char *format, ...)
{
	char prefix[256];
	va_list args;

	if (!log_wants(server->worker->log, level))
		return;
	if (server->host[0] == '/' || server->host[0] == '@')
		snprintf(prefix, sizeof(prefix), "S-%p: %s/%s@unix:%d ", (const void *) server, server->pool->database->name,
				 server->pool->role->name, server->port);
	else
		snprintf(prefix, sizeof(prefix), "S-%p: %s/%s@%s:%d ", (const void *) server, server->pool->database->name,
				 server->pool->role->name, server->host, server->port);
	va_start(args, format);
	log_vwrite(server->worker->log, level, prefix, format, args);
	va_end(args);
}

void
server_count_error(Server *server, Slice code)
{
	if (code.len == 5)
		stats_count_error(server_stats(server), (const char *) code.ptr);
	if (server->client != NULL && server->client->app != NULL)
		server->client->app->errors++;
}

void
server_set_state(Server *server, ServerState state)
{
	if (server->state == state)
		return;
	log_debug(server->worker->log, "S-%p: state %d -> %d", (void *) server, server->state, state);
	server->state = state;
}

/* --- events --- */

static size_t
on_input(NetConn *conn, uint8_t *data, size_t len)
{
	Server *server = CONTAINER_OF(conn, Server, conn);
	size_t used = len;

	switch (server->state)
	{
		case SERVER_LOGIN:
			used = server_login_input(server, data, len);
			break;
		case SERVER_IDLE:
		case SERVER_SYNCING:
		case SERVER_ACTIVE:
		case SERVER_CLEANING:
			used = relay_input(server, data, len);
			break;
		case SERVER_RESOLVING:
		case SERVER_CONNECTING:
		case SERVER_CLOSED:
			break;
	}
	worker_run_actions(server->worker);
	return used;
}

static void
on_drained(NetConn *conn)
{
	Server *server = CONTAINER_OF(conn, Server, conn);

	if (server->client != NULL)
		client_update_flow(server->client);
}

static void
on_connected(NetConn *conn)
{
	Server *server = CONTAINER_OF(conn, Server, conn);

	server_set_state(server, SERVER_LOGIN);
	server_login_start(server);
	worker_run_actions(server->worker);
}

static void
on_end(NetConn *conn, NetEnd why, int error)
{
	Server *server = CONTAINER_OF(conn, Server, conn);
	Worker *worker = server->worker;
	char reason[160];

	switch (server->state)
	{
		case SERVER_RESOLVING:
		case SERVER_CONNECTING:
			snprintf(reason, sizeof(reason), "connect failed: %s", strerror(error));
			server_log(server, LOG_LEVEL_WARNING, "%s", reason);
			server_open_failed(server, "08P01", "connect failed", false);
			break;
		case SERVER_LOGIN:
			if (net_tls_error(conn)[0] != '\0')
			{
				snprintf(reason, sizeof(reason), "TLS failed: %s", net_tls_error(conn));
				server_log(server, LOG_LEVEL_WARNING, "%s", reason);
				server_open_failed(server, "08P01", reason, true); /* trying again would not help */
				break;
			}
			server_open_failed(server, "08P01", "server closed the connection during login", false);
			break;
		default:
			if (why == NET_END_ERROR && server->state != SERVER_IDLE)
				server_log(server, LOG_LEVEL_DEBUG, "connection lost: %s", strerror(error));
			server_close(server, "server conn crashed?");
			break;
	}
	worker_run_actions(worker);
}

static void
on_released(NetConn *conn)
{
	Server *server = CONTAINER_OF(conn, Server, conn);

	paramset_unref(server->worker->params, server->params);
	free(server);
}

static const NetHandler server_handler = {
	.on_input = on_input,
	.on_drained = on_drained,
	.on_connected = on_connected,
	.on_end = on_end,
	.on_released = on_released,
};

static void
on_timer(Timer *timer, usec_t now)
{
	Server *server = CONTAINER_OF(timer, Server, timer);
	Worker *worker = server->worker;

	(void) now;
	switch (server->state)
	{
		case SERVER_RESOLVING:
		case SERVER_CONNECTING:
		case SERVER_LOGIN:
			server_open_failed(server, "08P01", "connect timeout", false);
			break;
		case SERVER_CLEANING:
			server_close(server, "the server did not come to rest in time");
			break;
		default:
			break;
	}
	worker_run_actions(worker);
}

/* --- opening --- */

/* The host of the list whose turn it is, into server->host. */
static void
choose_host(Server *server, Database *database)
{
	const DatabaseSpec *spec = database->spec;
	const char *hosts = spec->host;
	Hall *hall = server->worker->hall;
	int count = 1;
	int pick;

	if (hosts == NULL || hosts[0] == '\0')
	{
		const char *dir = server->worker->settings->unix_socket_dir;

		snprintf(server->host, sizeof(server->host), "%s", dir != NULL && dir[0] != '\0' ? dir : "/tmp");
		return;
	}
	for (const char *p = hosts; *p != '\0'; p++)
		count += *p == ',';
	hall_lock_tables(hall);
	pick = database->next_host % count;
	if (!spec->load_balance_disabled)
		database->next_host++;
	hall_unlock_tables(hall);
	while (pick-- > 0)
		hosts = strchr(hosts, ',') + 1;
	while (*hosts == ' ')
		hosts++;
	snprintf(server->host, sizeof(server->host), "%.*s", (int) strcspn(hosts, ", "), hosts);
}

static void
start_connect(Server *server)
{
	server_set_state(server, SERVER_CONNECTING);
	if (!net_connect(server->worker->loop, &server->conn, &server->address,
					 &server->worker->settings->socket_options, &server_handler))
	{
		server_log(server, LOG_LEVEL_WARNING, "connect failed: %s", strerror(errno));
		server_open_failed(server, "08P01", "connect failed", false);
	}
}

static void
on_resolved(void *arg, const NetAddress *addresses, int count, const char *error)
{
	Server *server = arg;
	Worker *worker = server->worker;

	server->dns = NULL;
	if (count == 0)
	{
		server_log(server, LOG_LEVEL_WARNING, "DNS lookup failed: %s: %s", server->host, error);
		server_open_failed(server, "08P01", "server DNS lookup failed", false);
	}
	else
	{
		server->address = addresses[server->id % (uint64_t) count];
		start_connect(server);
	}
	worker_run_actions(worker);
}

static void
find_address(Server *server)
{
	Worker *worker = server->worker;

	if (server->host[0] == '/' || server->host[0] == '@')
	{
		if (net_address_unix(server->host, server->port, &server->address))
			start_connect(server);
		else
			server_open_failed(server, "08P01", "connect failed: socket path too long", false);
	}
	else if (net_address_parse(server->host, server->port, &server->address))
		start_connect(server);
	else if ((server->dns = resolver_ask(worker->resolver, server->host, server->port, on_resolved, server)) == NULL)
		server_open_failed(server, "08P01", "server DNS lookup failed", false);
}

void
server_open(Worker *worker, SessionPool *pool)
{
	usec_t now = worker_now(worker);
	Server *server;

	if (pool->database->spec == NULL || (pool->dedicated != NULL && pool->dedicated->over) ||
		session_pool_part(pool, worker) == NULL || (server = calloc(1, sizeof(Server))) == NULL)
	{
		policy_enter(worker);
		pool_open_impossible(&pool->policy, now, &worker->hall->actions);
		policy_leave(worker, NULL);
		return;
	}
	server->worker = worker;
	server->pool = pool;
	server->conn.fd = -1;
	server->conn.loop = worker->loop;
	server->conn.handler = &server_handler;
	server->id = hall_next_id(worker->hall);
	server->params = paramset_ref(worker->params->empty);
	server->tx_status = 'I';
	server->connect_time = now;
	server->port = pool->database->spec->port;
	server->timer.fire = on_timer;
	server_statements_init(&server->statements);
	choose_host(server, pool->database);
	list_append(&worker->servers, &server->node);
	policy_enter(worker);
	pool_slot_opening(&pool->policy, &server->slot, now);
	server->slot.home = worker->index;
	policy_leave(worker, pool);
	if (server->slot.reserve)
		server_log(server, LOG_LEVEL_LOG, "taking connection from reserve_pool");
	timer_arm(net_timers(worker->loop), &server->timer,
			  deadline_after(now, worker->settings->server_connect_timeout_us));
	find_address(server);
}

/* --- closing --- */

/* Take the server out of everything and close the socket; the pool has been told. */
static void
dispose(Server *server)
{
	Worker *worker = server->worker;

	cancel_forget_server(server);
	if (server->dns != NULL)
		resolver_cancel(server->dns);
	server->dns = NULL;
	timer_disarm(net_timers(worker->loop), &server->timer);
	expect_clear(server);
	server_statements_clear(&server->statements, worker->statements);
	server_login_free(server->login);
	server->login = NULL;
	worker_walk_skip(worker, &server->node);
	list_remove(&worker->servers, &server->node);
	server_set_state(server, SERVER_CLOSED);
	net_close(&server->conn);
}

/* In the tables.  Without memory there is an error without words. */
static void
keep_error(SessionPool *pool, const char *sqlstate, const char *reason)
{
	if (pool->last_error == NULL && (pool->last_error = malloc(sizeof(LoginError))) == NULL)
		return;
	snprintf(pool->last_error->text, sizeof(pool->last_error->text), "%s", reason);
	snprintf(pool->last_error->code, sizeof(pool->last_error->code), "%s", sqlstate);
}

void
server_open_failed(Server *server, const char *sqlstate, const char *reason, bool refused)
{
	SessionPool *pool = server->pool;
	Worker *worker = server->worker;

	if (server->state == SERVER_CLOSED)
		return;
	hall_lock_tables(worker->hall);
	keep_error(pool, sqlstate, reason);
	pool->login_refused = refused;
	server_stats(server)->logins_refused += refused;
	if (pool->failing_since == 0)
		pool->failing_since = worker_now(worker);
	if (pool->database->spec != NULL && pool->database->spec->load_balance_disabled)
		pool->database->next_host++;
	hall_unlock_tables(worker->hall);
	server_log(server, LOG_LEVEL_LOG, "closing because: %s (age=%ds)", reason,
			   (int) ((worker_now(worker) - server->connect_time) / USEC_PER_SEC));
	policy_enter(worker);
	pool_slot_open_failed(&server->slot, refused, worker_now(worker), &worker->hall->actions);
	policy_leave(worker, pool);
	dispose(server);
}

void
server_close(Server *server, const char *reason)
{
	SessionPool *pool = server->pool;
	Worker *worker = server->worker;
	Client *client = server->client;
	Buf out = {0};

	if (server->state == SERVER_CLOSED)
		return;
	if (server->state == SERVER_RESOLVING || server->state == SERVER_CONNECTING || server->state == SERVER_LOGIN)
	{
		server_open_failed(server, "08P01", reason, false);
		return;
	}
	server_log(server, LOG_LEVEL_LOG, "closing because: %s (age=%ds)", reason,
			   (int) ((worker_now(worker) - server->connect_time) / USEC_PER_SEC));
	server->client = NULL;
	if (server->state == SERVER_IDLE && wire_write_terminate(&out))
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	policy_enter(worker);
	lease_withdraw(server);
	pool_slot_closed(&server->slot, worker_now(worker), &worker->hall->actions);
	policy_leave(worker, pool);
	dispose(server);
	if (client != NULL)
	{
		client_unblocked(client);
		client->server = NULL;
		client_close(client, reason, reason);
	}
}

bool
server_close_if_outdated(Server *server)
{
	const Client *client = server->client;

	if (!server->worker->settings->server_fast_close || !server->slot.close_needed || server->state != SERVER_ACTIVE ||
		server->pool->mode != POOL_MODE_SESSION || server->tx_status != 'I' || server->outstanding > 0 ||
		client->in_group || client->stream_left > 0)
		return false;
	server_close(server, "database configuration changed");
	return true;
}

/* --- ready --- */

void
server_login_done(Server *server)
{
	SessionPool *pool = server->pool;
	Worker *worker = server->worker;
	const char *query = pool->database->spec != NULL ? pool->database->spec->connect_query : NULL;

	server_login_teach(server);
	server_login_free(server->login);
	server->login = NULL;
	hall_lock_tables(worker->hall);
	if (pool->last_error != NULL)
		pool->last_error->text[0] = '\0';
	pool->login_refused = false;
	pool->failing_since = 0;
	hall_unlock_tables(worker->hall);
	if (pool->dedicated == NULL && query != NULL && query[0] != '\0' && !server->connect_query_sent)
	{
		Buf out = {0};

		server->connect_query_sent = true;
		server_set_state(server, SERVER_CLEANING);
		if (wire_write_query(&out, slice_str(query)) && expect_push(server, EXPECT_QUERY))
			net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
		buf_free(&out);
		return; /* errors are logged only; server_clean_next goes on */
	}
	timer_disarm(net_timers(worker->loop), &server->timer);
	server_set_state(server, SERVER_IDLE);
	policy_enter(worker);
	pool_slot_opened(&server->slot, worker_now(worker), &worker->hall->actions);
	policy_leave(worker, pool);
}

/* --- cleaning --- */

static void
own_query(Server *server, Slice sql)
{
	Buf out = {0};

	server->own_query = true;
	server->own_query_failed = false;
	if (wire_write_query(&out, sql) && expect_push(server, EXPECT_QUERY))
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	else
		server_close(server, "out of memory");
	buf_free(&out);
}

static Slice
check_query(const Settings *settings)
{
	return slice_is(slice_str(settings->server_check_query), "<empty>") ? slice_str("")
																		  : slice_str(settings->server_check_query);
}

void
server_clean_next(Server *server)
{
	Worker *worker = server->worker;
	const Settings *settings = worker->settings;

	if (server->state != SERVER_CLEANING || server->outstanding > 0 || server->cancels > 0 || server->stream_left > 0)
		return;
	if (server->slot.state == SLOT_OPENING)
	{
		server_login_done(server); /* connect_query has ended */
		return;
	}
	if (server->own_query && server->own_query_failed)
	{
		server_close(server, "a query of the pooler's own failed");
		return;
	}
	server->own_query = false;
	if (server->fatal_error)
		server_close(server, "server conn crashed?");
	else if (server->tx_status != 'I')
		own_query(server, slice_str("ROLLBACK"));
	else if (server->needs_reset)
	{
		server->needs_reset = false;
		own_query(server, slice_str(settings->server_reset_query));
	}
	else if (server->needs_check)
	{
		server->needs_check = false;
		own_query(server, check_query(settings));
	}
	else
	{
		timer_disarm(net_timers(worker->loop), &server->timer);
		server->stream_drop = false;
		server_set_state(server, SERVER_IDLE);
		policy_enter(worker);
		pool_slot_clean(&server->slot, worker_now(worker), &worker->hall->actions);
		policy_leave(worker, server->pool);
	}
}

void
server_start_check(Server *server)
{
	Worker *worker = server->worker;

	server_set_state(server, SERVER_CLEANING);
	server->needs_check = worker->settings->server_check_query[0] != '\0';
	timer_arm(net_timers(worker->loop), &server->timer, worker_now(worker) + CHECK_LIMIT_US);
	server_clean_next(server);
}
