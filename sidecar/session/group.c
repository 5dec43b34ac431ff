/*
 * group.c: the beginning of a group, its deadline, and the server it gets.
 */
#include "session/group.h"

#include "session/lease.h"
#include "session/limits.h"
#include "session/request.h"

/* No group has longer than its transaction. */
static void
limit_by_transaction(Client *client)
{
	usec_t whole = client->unhurried ? 0 : deadline_transaction_us(client);
	usec_t left = client->tx_since + whole - client->group_since;

	client->by_transaction = whole > 0 && (client->budget_us == 0 || left < client->budget_us);
	if (client->by_transaction)
		client->budget_us = left > 0 ? left : 1;
}

/* What the group may cost, and for how long its answer is wanted. */
static void
begin_group(Client *client, const GroupInfo *info, usec_t now)
{
	client->group_since = client->held_since > 0 ? client->held_since : now;
	client->held_since = 0;
	client->group_begun = true;
	client->waited_us = 0;
	client->group_seen_whole = info->whole;
	client->group_extended = info->extended;
	client->limit = info->limit;
	client->budget_us = deadline_budget(client, info->tag_us);
	limit_by_transaction(client);
	client->deadline = DEADLINE_NONE;
	client->expired = false;
	client->wait_notified = false;
	client->request_time = now;
	client->fingerprint = info->fingerprint;
}

/* A group begins outside of a transaction. */
static void
note_run(Client *client, const GroupInfo *info, usec_t now)
{
	repeats_note_run(&client->run_length, client_stats(client), client->fingerprint, info->fingerprint, info->sql,
					 now - client->idle_since, now);
}

/* A group begins in a transaction, after a pause. */
static void
count_think(Client *client, usec_t now)
{
	SessionStats *stats = client_stats(client);
	usec_t think_us = now - client->idle_since;

	stats->think_us += (uint64_t) think_us;
	stats->think_count++;
	sparse_histogram_add(&stats->think_hist, think_us);
	client->app->think_us += (uint64_t) think_us;
}

bool
group_acquire_server(Client *client, uint8_t *data, size_t len)
{
	Worker *worker = client->worker;
	usec_t now = worker_now(worker);
	PoolSlot *slot;
	GroupInfo info;
	Server *spare;

	if (worker->hall->phase == WORKER_DRAIN_SERVERS)
	{
		request_broken(client, "server shutting down");
		return false;
	}
	peek_group(client, data, len, &info);
	client->tx_since = now;
	note_run(client, &info, now);
	begin_group(client, &info, now);
	client->waiter.deadline = client->budget_us > 0 ? deadline_after(now, client->budget_us) : DEADLINE_NONE;
	client->waiter.fingerprint = client->fingerprint;
	client->waiter.cap = info.limit != NULL ? &info.limit->cap : NULL;
	client->waiter.home = worker->index;
	if ((spare = lease_take(client, now)) != NULL)
	{
		link_grant(client, spare, 0);
		return client->state == CLIENT_ACTIVE;
	}
	policy_enter(worker);
	lease_enter(worker, client->pool);
	slot = pool_take(&client->pool->policy, &client->waiter, now);
	if (slot == NULL)
		pool_request(&client->pool->policy, &client->waiter, now, &worker->hall->actions);
	policy_leave_busy(worker, client->pool);
	if (slot != NULL)
		link_grant(client, CONTAINER_OF(slot, Server, slot), 0);
	else
		client_set_state(client, CLIENT_WAITING);
	worker_run_actions(worker);
	if (client->state == CLIENT_WAITING)
		client_rearm_timer(client); /* query_timeout and the notice count in the queue too */
	return client->state == CLIENT_ACTIVE;
}

bool
group_hold(Client *client, usec_t now)
{
	client->hold = true;
	if (client->held_since == 0)
		client->held_since = now;
	return false;
}

bool
group_begin_linked(Client *client, uint8_t *data, size_t len)
{
	Server *server = client->server;
	usec_t now = worker_now(client->worker);
	GroupInfo info;

	if (server->cancels > 0)
		return group_hold(client, now);
	if (server->outstanding == 0)
	{
		if (client->idle_since > 0 && server->tx_status != 'I')
			count_think(client, now);
		if (server->tx_status == 'I')
			client->tx_since = now;
	}
	peek_group(client, data, len, &info);
	client->limit = info.limit;
	if (server->outstanding > 0 && (client->budget_us > 0 || deadline_budget(client, info.tag_us) > 0 ||
									deadline_transaction_us(client) > 0))
		return group_hold(client, now);
	if (server->tx_status != 'I')
		repeats_note(&server->repeats, client_stats(client), info.fingerprint, info.sql, now);
	else if (server->outstanding == 0)
		note_run(client, &info, now);
	begin_group(client, &info, now);
	client->granted_at = now;
	if (server->outstanding == 0)
		server->query_since = now;
	if (!lease_starts(server, client->fingerprint, now) && !pool_has_started(&server->slot, client->fingerprint, now))
	{
		policy_enter(client->worker);
		pool_starts(&server->slot, client->fingerprint, now);
		policy_leave(client->worker, NULL);
	}
	return true;
}

void
group_follow(Client *client, const Message *message)
{
	GroupInfo info = {.tag_us = -1};
	usec_t before = client->budget_us;

	peek_message(client, message, &info);
	client->budget_us = deadline_budget(client, peek_tighter(info.tag_us, before));
	client->by_transaction &= client->budget_us >= before;
}

void
group_start_clock(Client *client)
{
	usec_t now = worker_now(client->worker);

	client->deadline = client->group_seen_whole ? deadline_after(client->group_since, client->budget_us)
												: deadline_after(now, client->budget_us > client->waited_us ? client->budget_us - client->waited_us : 1);
	client_stats(client)->deadline_us += (uint64_t) client->budget_us;
	sparse_histogram_add(&client_stats(client)->deadline_hist, client->budget_us);
}
