/*
 * link.c: clients and servers coming together and parting.
 *
 * The pool's decisions arrive here (grant, fail).  Parting has two forms: release, when the server is between groups and the
 * client goes on living; abandon, when the client leaves at any moment and the server must first be brought to rest.
 */
#include "session/session.h"

#include <stdio.h>

#include "session/expect.h"
#include "session/lease.h"
#include "session/limits.h"
#include "session/replay.h"
#include "session/request.h"
#include "wire/backend.h"
#include "wire/frontend.h"

/* How long a server may take to come to rest after its client left. */
#define CLEANING_LIMIT_US (10 * USEC_PER_SEC)

/* --- granted --- */

static void
start_group(Client *client)
{
	Server *server = client->server;
	usec_t now = worker_now(client->worker);

	server->query_since = now;
	server->request_time = now;
	server_set_state(server, SERVER_ACTIVE);
	client_set_state(client, CLIENT_ACTIVE);
	if (!lease_starts(server, client->fingerprint, now) && !pool_has_started(&server->slot, client->fingerprint, now))
	{
		policy_enter(client->worker);
		pool_starts(&server->slot, client->fingerprint, now);
		policy_leave(client->worker, NULL);
	}
}

/* The client's parameters differ from the server's: set them first. */
static void
start_sync(Client *client, const Buf *sql)
{
	Server *server = client->server;
	Buf out = {0};

	if (!wire_write_query(&out, buf_slice(sql)) || !expect_push(server, EXPECT_QUERY))
	{
		buf_free(&out);
		client_close(client, "out of memory", "bouncer resources exhaustion");
		return;
	}
	server->own_query = true;
	server->own_query_failed = false;
	server_set_state(server, SERVER_SYNCING);
	client_set_state(client, CLIENT_SYNCING);
	net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	if (client->budget_us > 0)
		client->deadline = deadline_after(client->group_since, client->budget_us);
	client_rearm_timer(client);
	client_update_flow(client);
}

void
link_grant(Client *client, Server *server, usec_t waited_us)
{
	Worker *worker = client->worker;
	Buf sql = {0};
	int changes = 0;

	client->waited_us = waited_us;
	client->granted_at = worker_now(worker);
	client->server = server;
	server->client = client;
	server->linked_at = client->granted_at;
	server->xact_groups = 0;
	if (client->pool->dedicated != NULL)
	{
		dedicated_granted(client, server);
		return;
	}
	if (client->state == CLIENT_WELCOME)
	{
		client->server = NULL;
		server->client = NULL;
		policy_enter(worker);
		pool_release(&server->slot, true, client->granted_at, &worker->hall->actions);
		policy_leave(worker, server->pool);
		client_login_finish(client);
		return;
	}
	if (server->params != client->params)
		changes = params_sync_sql(worker->params, server->params, client->params, &sql);
	if (changes > 0)
		start_sync(client, &sql);
	else
		start_group(client);
	buf_free(&sql);
}

void
link_sync_progress(Server *server)
{
	Client *client = server->client;

	if (server->outstanding > 0)
		return;
	server->own_query = false;
	if (server->own_query_failed)
	{
		server_log(server, LOG_LEVEL_WARNING, "could not set the client's session parameters");
		client_close(client, "invalid server parameter", "invalid server parameter");
		return;
	}
	/* What the server made of the values is what counts from now on ("utf8" has become "UTF8"). */
	{
		const ParamSet *merged = paramset_overlay(client->worker->params, client->params, server->params);

		paramset_unref(client->worker->params, client->params);
		client->params = merged;
	}
	client->granted_at = worker_now(client->worker);
	start_group(client);
	client_rearm_timer(client);
	client_update_flow(client);
}

/* --- refused --- */

static void
fail_hopeless(Client *client, const PoolAction *action)
{
	char detail[200];
	char hint[120];
	double wait_ms = (double) action->expected_wait_us / 1000.0;
	double run_ms = (double) action->expected_run_us / 1000.0;

	snprintf(detail, sizeof(detail),
			 "Deadline %.0f ms: waited %.0f ms for a server connection; expected are %.0f ms more to wait and %.0f ms to run.",
			 (double) client->budget_us / 1000.0, (double) action->waited_us / 1000.0, wait_ms, run_ms);
	snprintf(hint, sizeof(hint), "Retry after %.0f ms, or allow a longer deadline.", wait_ms < 1 ? 1 : wait_ms);
	request_reject(client, &(RequestError){"53300", "query refused: it cannot meet its deadline", detail, hint});
}

/* As many as may wait for their turn under the rule do. */
static void
fail_limit(Client *client)
{
	const Limit *limit = client->limit;
	char detail[200];

	snprintf(detail, sizeof(detail), "The limit \"%.60s\" lets %d at once have a server connection and %d wait for it.",
			 limit->name, limit->cap.max_active, limit->cap.max_waiting);
	request_reject(client, &(RequestError){"53300", "query refused: too many requests wait under its limit", detail,
										   "Retry later, or raise max_active or max_waiting in [limits]."});
}

/* Who waited when the server refused the login hears the server's own words; who comes later, that it has been failing. */
static void
fail_login(Client *client, bool waited)
{
	SessionPool *pool = client->pool;
	char message[400];
	char code[6];

	hall_lock_tables(pool->hall);
	snprintf(code, sizeof(code), "%s", waited && pool->last_error != NULL && pool->last_error->code[0] != '\0' ? pool->last_error->code : "08P01");
	if (!waited)
		snprintf(message, sizeof(message), "server login has been failing, cached error: %s (server_login_retry)",
				 session_pool_last_error(pool));
	else
		snprintf(message, sizeof(message), "%s", session_pool_last_error(pool)[0] != '\0' ? session_pool_last_error(pool) : "server login failed");
	hall_unlock_tables(pool->hall);
	client_close_error(client, code, message);
}

void
link_fail(Client *client, const PoolAction *action)
{
	char detail[200];
	bool queued = client->state == CLIENT_WAITING;

	if (queued)
		client_set_state(client, CLIENT_IDLE);
	client->waited_us = action->waited_us;
	switch (action->fail)
	{
		case POOL_FAIL_DEADLINE:
			deadline_detail(client, worker_now(client->worker), detail, sizeof(detail));
			request_reject(client, &(RequestError){"57014", deadline_message(client), detail, NULL});
			break;
		case POOL_FAIL_HOPELESS:
			fail_hopeless(client, action);
			break;
		case POOL_FAIL_QUEUE_FULL:
			if (!queued)
				client_close_error(client, "53300", "too many clients are waiting for a server connection");
			else
				request_reject(client, &(RequestError){"53300",
													   "query refused: too many clients are waiting for a server connection",
													   NULL, "Retry later, or raise max_waiting_clients or the pool size."});
			break;
		case POOL_FAIL_CAP_FULL: fail_limit(client); break;
		case POOL_FAIL_WAIT_TIMEOUT:
			client_close(client, "query_wait_timeout", "query_wait_timeout");
			break;
		case POOL_FAIL_LOGIN:
			fail_login(client, action->waited_us > 0);
			break;
	}
	if (client->state != CLIENT_CLOSED && queued)
	{
		client->idle_since = worker_now(client->worker);
		client_rearm_timer(client);
		client_update_flow(client);
	}
}

/* --- parting --- */

static bool
resets(const SessionPool *pool)
{
	const Settings *settings = pool->hall->settings;

	return settings->server_reset_query[0] != '\0' &&
		   (pool->mode == POOL_MODE_SESSION || settings->server_reset_query_always);
}

static void
unlink_pair(Client *client, Server *server)
{
	client_unblocked(client);
	client->server = NULL;
	client->hold = false;
	server->client = NULL;
	server->rewrite_cancel = false;
	replay_forget(server);
	net_resume(&server->conn);
}

void
link_release(Client *client, const GroupRun *run)
{
	Server *server = client->server;
	Worker *worker = client->worker;
	usec_t now = worker_now(worker);
	PoolAction next;
	bool clean;
	bool any = false;

	unlink_pair(client, server);
	client->idle_since = now;
	client->deadline = DEADLINE_NONE;
	client_set_state(client, CLIENT_IDLE);
	server->needs_reset = resets(server->pool);
	clean = server->cancels == 0 && !server->needs_reset;
	server_set_state(server, clean ? SERVER_IDLE : SERVER_CLEANING);
	client_rearm_timer(client);
	client_has_come_to_rest(client);
	client_update_flow(client);
	if (!clean || !lease_keep(server, run, now))
	{
		policy_enter(worker);
		lease_end(server);
		pool_ran(&server->slot, run->us, run->completed, now);
		if (!clean || !lease_begin(server, client->fingerprint, now))
			pool_release(&server->slot, clean, now, &worker->hall->actions);
		any = policy_leave_with(worker, server->pool, clean ? &next : NULL);
	}
	if (!clean)
	{
		timer_arm(net_timers(worker->loop), &server->timer, now + CLEANING_LIMIT_US);
		server_clean_next(server);
	}
	if (any) /* the server has gone to who waited */
		worker_carry_out_from(worker, &next);
	else
		worker_run_actions(worker);
}

/* The statements of an open group that have run must not be committed by the Sync that ends it. */
static bool
write_rollback(Server *server, Buf *out)
{
	server->unnamed_number = 0;
	return wire_write_parse(out, slice_str(""), slice_str("ROLLBACK"), (Slice){NULL, 0}) && expect_push(server, EXPECT_PARSE_PLAIN) &&
		   wire_write_bind(out, slice_str(""), slice_str("")) && expect_push(server, EXPECT_BIND) &&
		   wire_write_execute(out, slice_str("")) && expect_push(server, EXPECT_EXECUTE);
}

/* End what the client left open, so that the server owes nothing but answers. */
static bool
finish_request(Server *server, bool group_open)
{
	Buf out = {0};
	bool fails_copy = server->copy_in && !server->copy_in_ending;
	bool ok = true;

	if (fails_copy)
	{
		ok = wire_write_copy_fail(&out, "client disconnected");
		server->copy_in_ending = true;
		group_open |= server->outstanding == 0;
	}
	if (ok && group_open && !fails_copy && !server->skipping)
		ok = write_rollback(server, &out);
	if (ok && group_open)
	{
		ok = wire_write_sync(&out) && expect_push(server, EXPECT_SYNC);
		server->skipping = false;
	}
	if (ok && buf_len(&out) > 0)
		net_send_bytes(&server->conn, buf_ptr(&out), buf_len(&out));
	buf_free(&out);
	return ok;
}

void
link_abandon(Client *client)
{
	Server *server = client->server;
	SessionStats *stats = server_stats(server);
	usec_t ran = worker_now(client->worker) - client->group_since;

	if (server->state != SERVER_SYNCING && (server->outstanding > 0 || client->in_group))
	{
		stats->gone_running++;
		stats->gone_us += (uint64_t) ran;
		sparse_histogram_add(&stats->gone_hist, ran);
	}
	link_take_away(client);
}

void
link_take_away(Client *client)
{
	Server *server = client->server;
	Worker *worker = client->worker;
	usec_t now = worker_now(worker);
	bool group_open = client->in_group;
	bool syncing = server->state == SERVER_SYNCING;

	client->in_group = false;
	repeats_end(&server->repeats, server_stats(server), now);
	unlink_pair(client, server);
	server_set_state(server, SERVER_CLEANING);
	policy_enter(worker);
	lease_end(server);
	pool_release(&server->slot, false, now, &worker->hall->actions);
	policy_leave(worker, server->pool);
	if (server->pool->dedicated != NULL)
	{
		server_close(server, "replication client disconnected");
		return;
	}
	if (server->partial_request || !finish_request(server, group_open))
	{
		server_close(server, "client disconnected in the middle of a message");
		return;
	}
	if (server->outstanding > 0 && !syncing)
	{
		if (!worker->settings->cancel_on_disconnect)
		{
			server_close(server, "client disconnect while server was not ready");
			return;
		}
		cancel_server(server, CANCEL_GONE);
	}
	server->stream_drop = true;
	server->needs_reset = resets(server->pool);
	timer_arm(net_timers(worker->loop), &server->timer, now + CLEANING_LIMIT_US);
	server_clean_next(server);
}
