/*
 * figures.c: names, and reading them from a pool.
 */
#include "admin/figures.h"

const FigureName figure_counters[PC_KINDS] = {
	[PC_XACTS] = {"xacts", "transactions", .help = "Transactions finished."},
	[PC_QUERIES] = {"queries", "requests", .help = "Requests finished: a Query, or the messages up to a Sync."},
	[PC_WAIT_US] = {"wait_us"},
	[PC_XACT_US] = {"xact_us", "transaction_seconds", .seconds = true, .help = "Time in transactions, from their server connection on."},
	[PC_QUERY_US] = {"query_us"},
	[PC_REFUSED] = {"refused", "requests_refused", .help = "Requests refused at once: they could not meet their deadline, or too many waited."},
	[PC_EXPIRED_QUEUED] = {"expired_queued", "deadlines_missed", "phase=\"queued\"",
						   .help = "Deadlines that passed in the queue, while running, or running on a server that did not stop in time (those count as running too)."},
	[PC_EXPIRED_RUNNING] = {"expired_running", "deadlines_missed", "phase=\"running\""},
	[PC_EXPIRED_GRACE] = {"expired_grace", "deadlines_missed", "phase=\"grace\""},
	[PC_GONE_WAITING] = {"gone_waiting", "clients_gone", "phase=\"waiting\"", .help = "Clients that left before their answer."},
	[PC_GONE_RUNNING] = {"gone_running", "clients_gone", "phase=\"running\""},
	[PC_WAIT_TIMEOUTS] = {"wait_timeouts", "wait_timeouts", .help = "Clients disconnected by query_wait_timeout."},
	[PC_LOGINS] = {"logins", "logins", .help = "Logins of clients."},
	[PC_DISCONNECTS] = {"disconnects", "disconnects", .help = "Ends of client connections."},
	[PC_CONNECTS] = {"connects", "server_connects", .help = "Connections made to the server."},
	[PC_CONNECT_FAILURES] = {"connect_failures", "server_connect_failures", .help = "Connections to the server that could not be made, for whatever reason."},
	[PC_THINK_US] = {"think_us"},
	[PC_THINK_N] = {"think_n"},
	[PC_DRAIN_US] = {"drain_us", "client_blocked_seconds", .seconds = true, .help = "Time servers were held up by clients that do not read."},
	[PC_UNSERVED] = {"unserved", "requests_unserved", .help = "Requests and logins failed because no connection to the server could be made."},
	[PC_LOGINS_REFUSED] = {"logins_refused", "server_logins_refused", .help = "Connections that the server itself refused."},
	[PC_REPEAT_UNITS] = {"repeat_units", "repeats",
						 .help = "Transactions, and runs on one connection, with at least 8 statements of one class."},
	[PC_REPEAT_STATEMENTS] = {"repeat_statements", "repeated_statements", .help = "Statements of those classes in them."},
	[PC_RECEIVED_BYTES] = {NULL, "received_bytes", .help = "Bytes from clients."},
	[PC_SENT_BYTES] = {NULL, "sent_bytes", .help = "Bytes from servers."},
};

const FigureName figure_gauges[PG_KINDS] = {
	[PG_SIZE] = {"size", "pool_size", .help = "Server connections the pool may have; 0 = no limit."},
	[PG_RESERVE] = {"reserve", "pool_reserve", .help = "Further ones in need."},
	[PG_SV_ACTIVE] = {"sv_active", "servers", "state=\"active\"", .help = "Server connections: given to a client, idle, idle and due for a check, being cleaned or checked, being made."},
	[PG_SV_IDLE] = {"sv_idle", "servers", "state=\"idle\""},
	[PG_SV_USED] = {"sv_used", "servers", "state=\"used\""},
	[PG_SV_TESTED] = {"sv_tested", "servers", "state=\"tested\""},
	[PG_SV_LOGIN] = {"sv_login", "servers", "state=\"login\""},
	[PG_CL_ACTIVE] = {"cl_active", "clients", "state=\"active\"", .help = "Clients: waiting for a server connection, or not."},
	[PG_CL_WAITING] = {"cl_waiting", "clients", "state=\"waiting\""},
	[PG_MAXWAIT_US] = {"maxwait_us", "longest_wait_seconds", .seconds = true, .help = "For how long the first in the queue has waited."},
	[PG_CL_BLOCKED] = {"cl_blocked", "clients_blocked", .help = "Clients that do not read their result and hold a server."},
	[PG_MAXBLOCKED_US] = {"maxblocked_us", "longest_blocked_seconds", .seconds = true, .help = "For how long the longest of them has not."},
	[PG_FAILING_US] = {"failing_us", "server_failing_seconds", .seconds = true, .help = "For how long no connection to the server could be made; 0 = the last one could."},
};

const FigureName figure_histograms[PH_KINDS] = {
	[PH_WAIT] = {"wait_hist", "wait_seconds", .seconds = true, .help = "Waits for a server connection."},
	[PH_RUN] = {"run_hist", "run_seconds", .seconds = true, .help = "Requests, from their server connection to the last byte of the answer."},
	[PH_GONE] = {"gone_hist", "gave_up_seconds", .seconds = true, .help = "How long clients that left before their answer had waited for it."},
	[PH_DEADLINE] = {"deadline_hist", "deadline_seconds", .seconds = true, .help = "Deadlines that requests had."},
	[PH_THINK] = {"think_hist", "think_seconds", .seconds = true, .help = "Time between the requests of a transaction."},
	[PH_LIFE] = {"life_hist", "connection_seconds", .seconds = true, .help = "How long client connections lasted."},
	[PH_REQUESTS] = {"requests_hist", "transaction_requests", .help = "Requests of a transaction, BEGIN and COMMIT included."},
};

static void
read_servers(const SessionPool *pool, usec_t now, uint64_t *gauges)
{
	const Settings *settings = pool->hall->settings;
	const Pool *policy = &pool->policy;

	list_each(node, &policy->idle)
	{
		const PoolSlot *slot = CONTAINER_OF(node, const PoolSlot, node);

		gauges[PG_SV_USED] += settings->server_check_query[0] != '\0' && now - slot->state_since > settings->server_check_delay_us;
	}
	gauges[PG_SV_ACTIVE] = (uint64_t) policy->active.count;
	gauges[PG_SV_IDLE] = (uint64_t) policy->idle.count - gauges[PG_SV_USED];
	gauges[PG_SV_TESTED] = (uint64_t) policy->cleaning.count;
	gauges[PG_SV_LOGIN] = (uint64_t) policy->opening.count;
}

/* Linked clients that do not read their result. */
static void
read_blocked(const Pool *policy, usec_t now, uint64_t *gauges)
{
	list_each(node, &policy->active)
	{
		const Client *client = CONTAINER_OF(CONTAINER_OF(node, const PoolSlot, node), const Server, slot)->client;
		uint64_t us = client != NULL ? figures_elapsed(client->write_blocked_since, now) : 0;

		gauges[PG_CL_BLOCKED] += us > 0;
		if (us > gauges[PG_MAXBLOCKED_US])
			gauges[PG_MAXBLOCKED_US] = us;
	}
}

static void
read_gauges(const SessionPool *pool, usec_t now, uint64_t *gauges)
{
	const Pool *policy = &pool->policy;
	const ListNode *first = list_first(&policy->waiters);
	int active = policy->clients - policy->waiters.count;

	gauges[PG_SIZE] = (uint64_t) policy->limits.size;
	gauges[PG_RESERVE] = (uint64_t) policy->limits.reserve_size;
	read_servers(pool, now, gauges);
	gauges[PG_CL_ACTIVE] = active > 0 ? (uint64_t) active : 0;
	gauges[PG_CL_WAITING] = (uint64_t) policy->waiters.count;
	if (first != NULL)
		gauges[PG_MAXWAIT_US] = figures_elapsed(CONTAINER_OF(first, PoolWaiter, node)->since, now);
	read_blocked(policy, now, gauges);
	gauges[PG_FAILING_US] = figures_elapsed(pool->failing_since, now);
}

static void
read_counters(const PoolCounters *c, const SessionStats *s, uint64_t *counters)
{
	const uint64_t values[PC_KINDS] = {
		[PC_XACTS] = s->xacts,
		[PC_QUERIES] = s->queries,
		[PC_WAIT_US] = c->waited_us,
		[PC_XACT_US] = s->xact_us,
		[PC_QUERY_US] = s->query_us,
		[PC_REFUSED] = c->refused_hopeless + c->refused_full,
		[PC_EXPIRED_QUEUED] = c->expired,
		[PC_EXPIRED_RUNNING] = s->expired_running,
		[PC_EXPIRED_GRACE] = s->expired_grace,
		[PC_GONE_WAITING] = s->gone_waiting,
		[PC_GONE_RUNNING] = s->gone_running,
		[PC_WAIT_TIMEOUTS] = c->wait_timeouts,
		[PC_LOGINS] = s->logins,
		[PC_DISCONNECTS] = s->disconnects,
		[PC_CONNECTS] = c->opened,
		[PC_CONNECT_FAILURES] = c->open_failures,
		[PC_THINK_US] = s->think_us,
		[PC_THINK_N] = s->think_count,
		[PC_DRAIN_US] = s->drain_us,
		[PC_UNSERVED] = c->login_fails,
		[PC_LOGINS_REFUSED] = s->logins_refused,
		[PC_REPEAT_UNITS] = s->repeat_units,
		[PC_REPEAT_STATEMENTS] = s->repeat_statements,
		[PC_RECEIVED_BYTES] = s->received_bytes,
		[PC_SENT_BYTES] = s->sent_bytes,
	};

	memcpy(counters, values, sizeof(values));
}

static void
read_histograms(const PoolCounters *c, const SessionStats *s, PoolFigures *out)
{
	const SparseHistogram *const histograms[PH_KINDS] = {
		[PH_WAIT] = &c->wait_hist, [PH_RUN] = &s->run_hist,	  [PH_GONE] = &s->gone_hist, [PH_DEADLINE] = &s->deadline_hist,
		[PH_THINK] = &s->think_hist, [PH_LIFE] = &s->life_hist, [PH_REQUESTS] = &s->requests_hist,
	};
	const uint64_t sums[PH_KINDS] = {
		[PH_WAIT] = c->waited_us,  [PH_RUN] = s->query_us,	[PH_GONE] = s->gone_us,		[PH_DEADLINE] = s->deadline_us,
		[PH_THINK] = s->think_us, [PH_LIFE] = s->life_us, [PH_REQUESTS] = s->queries,
	};

	for (int i = 0; i < PH_KINDS; i++)
		sparse_histogram_read(histograms[i], &out->histograms[i]);
	memcpy(out->sums, sums, sizeof(sums));
}

void
figures_of_pool(const SessionPool *pool, usec_t now, PoolFigures *out)
{
	static const char *const modes[] = {"session", "transaction", "statement"};

	SessionStats stats;

	session_pool_stats(pool, &stats);
	*out = (PoolFigures){.database = pool->database->name, .user = pool->role->name, .mode = modes[pool->mode],
						 .error = pool->failing_since > 0 ? session_pool_last_error(pool) : NULL};
	read_gauges(pool, now, out->gauges);
	read_counters(&pool->policy.counters, &stats, out->counters);
	read_histograms(&pool->policy.counters, &stats, out);
	if (stats.errors != NULL)
		memcpy(out->errors, stats.errors, sizeof(out->errors));
	if (stats.repeats != NULL)
		memcpy(out->repeats, stats.repeats, sizeof(out->repeats));
	stats_free(&stats);
}
