/*
 * payload.c: building the JSON, pool by pool, server by server; the sockets' health is in payload_net.c.
 */
#include "admin/payload.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/payload_apps.h"
#include "admin/payload_json.h"
#include "admin/payload_net.h"

/* --- a pool's counters --- */

typedef enum PoolCounterKind
{
	PC_XACTS,
	PC_QUERIES,
	PC_WAIT_US,
	PC_XACT_US,
	PC_QUERY_US,
	PC_REFUSED,
	PC_EXPIRED_QUEUED,
	PC_EXPIRED_RUNNING,
	PC_EXPIRED_GRACE,
	PC_GONE_WAITING,
	PC_GONE_RUNNING,
	PC_WAIT_TIMEOUTS,
	PC_LOGINS,
	PC_DISCONNECTS,
	PC_CONNECTS,
	PC_CONNECT_FAILURES,
	PC_THINK_US,
	PC_THINK_N,
	PC_DRAIN_US,
	PC_UNSERVED,
	PC_LOGINS_REFUSED,
	PC_REPEAT_UNITS,
	PC_REPEAT_STATEMENTS,
	PC_KINDS
} PoolCounterKind;

static const char *const counter_keys[PC_KINDS] = {
	"xacts",		   "queries",		"wait_us",		"xact_us",		"query_us",		 "refused",	 "expired_queued",
	"expired_running", "expired_grace", "gone_waiting", "gone_running", "wait_timeouts", "logins",	 "disconnects",
	"connects",		   "connect_failures", "think_us",	"think_n",		"drain_us",		 "unserved", "logins_refused",
	"repeat_units",	   "repeat_statements"};

typedef enum PoolHistogramKind
{
	PH_WAIT,
	PH_RUN,
	PH_GONE,
	PH_DEADLINE,
	PH_THINK,
	PH_LIFE,
	PH_REQUESTS,
	PH_KINDS
} PoolHistogramKind;

static const char *const histogram_keys[PH_KINDS] = {"wait_hist", "run_hist",  "gone_hist",	"deadline_hist",
												   "think_hist", "life_hist", "requests_hist"};

typedef struct PoolReading
{
	uint64_t counters[PC_KINDS];
	Histogram histograms[PH_KINDS];
	ErrorCount errors[STATS_ERROR_CODES];
	RepeatCount repeats[STATS_REPEATS];
} PoolReading;

/* What the extension knows of a pool, and what it will know when the last payload is taken. */
typedef struct ReportedPool
{
	MapNode node; /* Payload.pools */
	const SessionPool *pool;
	PoolReading taken, built;
	bool in_payload; /* in the one built last */
} ReportedPool;

/* The worker's own counters. */
typedef struct LoginCounts
{
	uint64_t failures, refused;
} LoginCounts;

struct Payload
{
	Worker *worker;		/* borrowed */
	Map pools;			/* ReportedPool, owned */
	WorkerWalk turn;	/* the next pool to report, when there are too many for one payload */
	NetSampler sampler;
	AppsReported apps;
	LoginCounts logins_taken, logins_built;
	usec_t started_at, taken_at, built_at;
};

/* --- pools --- */

static bool
reported_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const ReportedPool, node)->pool == key;
}

/* NULL when out of memory. */
static ReportedPool *
reported_pool(Payload *payload, const SessionPool *pool)
{
	uint64_t hash = hash_bytes(payload->worker->hash_seed, &pool, sizeof(pool));
	MapNode *node = map_find(&payload->pools, hash, pool);
	ReportedPool *reported;

	if (node != NULL)
		return CONTAINER_OF(node, ReportedPool, node);
	if ((reported = calloc(1, sizeof(ReportedPool))) == NULL)
		return NULL;
	reported->pool = pool;
	map_insert(&payload->pools, &reported->node, hash);
	return reported;
}

static void
read_pool(const SessionPool *pool, PoolReading *out)
{
	const PoolCounters *c = &pool->policy.counters;
	const SessionStats *s = &pool->stats;

	*out = (PoolReading){
		.counters =
			{
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
			},
		.histograms = {[PH_WAIT] = c->wait_hist, [PH_RUN] = s->run_hist, [PH_GONE] = s->gone_hist,
					   [PH_DEADLINE] = s->deadline_hist, [PH_THINK] = s->think_hist, [PH_LIFE] = s->life_hist,
					   [PH_REQUESTS] = s->requests_hist},
	};
	memcpy(out->errors, s->errors, sizeof(out->errors));
	memcpy(out->repeats, s->repeats, sizeof(out->repeats));
}

static uint64_t
elapsed(usec_t since, usec_t now)
{
	return since > 0 && since < now ? (uint64_t) (now - since) : 0;
}

static json_t *
histogram_json(const Histogram *now, const Histogram *before, bool *ok)
{
	json_t *array = json_array();

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		uint64_t count = now->count[i] - before->count[i];

		if (count > 0)
			payload_append(array, json_pack("[i,I]", i, (json_int_t) count), ok);
	}
	return array;
}

static json_t *
errors_json(const ErrorCount *now, const ErrorCount *before, bool *ok)
{
	json_t *object = json_object();

	for (int i = 0; i < STATS_ERROR_CODES; i++)
		if (now[i].count > before[i].count)
			payload_number(object, now[i].code, now[i].count - before[i].count, ok);
	return object;
}

/* A class that took the place of another since then began at zero. */
static json_t *
repeat_json(const RepeatCount *repeat, const RepeatCount *before, usec_t now, bool *ok)
{
	bool same = before->fingerprint == repeat->fingerprint && before->in_xact == repeat->in_xact &&
				before->first_at == repeat->first_at;
	json_t *object = json_object();
	char fingerprint[20];

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, repeat->fingerprint);
	payload_set(object, "fingerprint", json_string(fingerprint), ok);
	payload_number(object, "in_xact", repeat->in_xact, ok);
	payload_set(object, "query", payload_text(repeat->text), ok);
	payload_number(object, "units", repeat->units - (same ? before->units : 0), ok);
	payload_number(object, "statements", repeat->statements - (same ? before->statements : 0), ok);
	payload_number(object, "most", repeat->most, ok);
	payload_number(object, "first_us", elapsed(repeat->first_at, now), ok);
	return object;
}

/* Those that something is new of. */
static json_t *
repeats_json(const RepeatCount *now, const RepeatCount *before, usec_t at, bool *ok)
{
	json_t *array = json_array();

	for (int i = 0; i < STATS_REPEATS; i++)
		if (now[i].units > 0 && (now[i].units != before[i].units || now[i].first_at != before[i].first_at))
			payload_append(array, repeat_json(&now[i], &before[i], at, ok), ok);
	return array;
}

/* Linked clients that do not read their result: how many, and the longest for how long. */
static void
set_blocked(json_t *object, const Pool *policy, usec_t now, bool *ok)
{
	uint64_t blocked = 0;
	uint64_t longest = 0;

	list_each(node, &policy->active)
	{
		const Client *client = CONTAINER_OF(CONTAINER_OF(node, const PoolSlot, node), const Server, slot)->client;
		uint64_t us = client != NULL ? elapsed(client->write_blocked_since, now) : 0;

		blocked += us > 0;
		longest = us > longest ? us : longest;
	}
	payload_number(object, "cl_blocked", blocked, ok);
	payload_number(object, "maxblocked_us", longest, ok);
}

static void
set_slots(json_t *object, const SessionPool *pool, usec_t now, bool *ok)
{
	const Settings *settings = pool->worker->settings;
	const Pool *policy = &pool->policy;
	uint64_t used = 0;

	list_each(node, &policy->idle)
	{
		const PoolSlot *slot = CONTAINER_OF(node, const PoolSlot, node);

		used += settings->server_check_query[0] != '\0' && now - slot->state_since > settings->server_check_delay_us;
	}
	payload_number(object, "sv_active", (uint64_t) policy->active.count, ok);
	payload_number(object, "sv_idle", (uint64_t) policy->idle.count - used, ok);
	payload_number(object, "sv_used", used, ok);
	payload_number(object, "sv_tested", (uint64_t) policy->cleaning.count, ok);
	payload_number(object, "sv_login", (uint64_t) policy->opening.count, ok);
}

static void
set_gauges(json_t *object, const SessionPool *pool, usec_t now, bool *ok)
{
	static const char *const modes[] = {"session", "transaction", "statement"};
	const Pool *policy = &pool->policy;
	const ListNode *first = list_first(&policy->waiters);
	int active = policy->clients - policy->waiters.count;

	payload_set(object, "db", payload_text(pool->database->name), ok);
	payload_set(object, "user", payload_text(pool->role->name), ok);
	payload_set(object, "mode", json_string(modes[pool->mode]), ok);
	payload_number(object, "size", (uint64_t) policy->limits.size, ok);
	payload_number(object, "reserve", (uint64_t) policy->limits.reserve_size, ok);
	set_slots(object, pool, now, ok);
	payload_number(object, "cl_active", active > 0 ? (uint64_t) active : 0, ok);
	payload_number(object, "cl_waiting", (uint64_t) policy->waiters.count, ok);
	payload_number(object, "maxwait_us",
			   first != NULL && CONTAINER_OF(first, const PoolWaiter, node)->since < now
				   ? (uint64_t) (now - CONTAINER_OF(first, const PoolWaiter, node)->since)
				   : 0,
			   ok);
	set_blocked(object, policy, now, ok);
	payload_number(object, "failing_us", elapsed(pool->failing_since, now), ok);
	if (pool->failing_since > 0)
		payload_set(object, "error", payload_text(pool->last_error), ok);
}

static json_t *
pool_json(Payload *payload, const SessionPool *pool, usec_t now, bool *ok)
{
	ReportedPool *reported = reported_pool(payload, pool);
	json_t *object = json_object();

	if (reported == NULL)
	{
		*ok = false;
		return object;
	}
	read_pool(pool, &reported->built);
	reported->in_payload = true;
	set_gauges(object, pool, now, ok);
	for (int i = 0; i < PC_KINDS; i++)
		payload_number(object, counter_keys[i], reported->built.counters[i] - reported->taken.counters[i], ok);
	for (int i = 0; i < PH_KINDS; i++)
		payload_set(object, histogram_keys[i],
			histogram_json(&reported->built.histograms[i], &reported->taken.histograms[i], ok), ok);
	payload_set(object, "errors", errors_json(reported->built.errors, reported->taken.errors, ok), ok);
	payload_set(object, "repeats", repeats_json(reported->built.repeats, reported->taken.repeats, now, ok), ok);
	return object;
}

static json_t *
pools_json(Payload *payload, usec_t now, bool *ok)
{
	Worker *worker = payload->worker;
	json_t *array = json_array();
	int count = worker->pool_list.count < PAYLOAD_POOLS ? worker->pool_list.count : PAYLOAD_POOLS;

	while (count > 0)
	{
		const ListNode *node = list_linked(&payload->turn.node) ? worker_walk_next(&payload->turn) : NULL;

		if (node == NULL)
		{
			worker_walk_end(worker, &payload->turn);
			worker_walk_begin(worker, &payload->turn, &worker->pool_list);
			continue;
		}
		payload_append(array, pool_json(payload, CONTAINER_OF(node, const SessionPool, list_node), now, ok), ok);
		count--;
	}
	return array;
}

/* --- linked servers --- */

/* In PostgreSQL's words. */
static const char *
server_state(const Server *server)
{
	if (server->outstanding > 0 || server->client->in_group)
		return "active";
	if (server->tx_status == 'T')
		return "idle in transaction";
	return server->tx_status == 'E' ? "idle in transaction (aborted)" : "idle";
}

static json_t *
linked_json(const Server *server, usec_t now, bool *ok)
{
	const Client *client = server->client;
	const ParamRegistry *params = &server->worker->params;
	json_t *object = json_object();
	char ip[64];

	payload_number(object, "pid", server->backend_pid, ok);
	payload_set(object, "db", payload_text(server->pool->database->name), ok);
	payload_set(object, "user", payload_text(client->role->name), ok);
	payload_set(object, "client", json_string(net_peer_ip(&client->peer, ip, sizeof(ip))), ok);
	payload_number(object, "port", client->peer.port, ok);
	payload_set(object, "app", payload_text(paramset_get(client->params, params_index(params, SLICE_LITERAL("application_name")))), ok);
	payload_set(object, "state", json_string(server_state(server)), ok);
	payload_number(object, "wait_us", client->waited_us > 0 ? (uint64_t) client->waited_us : 0, ok);
	payload_number(object, "since_us", elapsed(server->linked_at, now), ok);
	payload_set(object, "deadline_left_us",
		client->deadline != DEADLINE_NONE ? json_integer(client->deadline - now) : json_null(), ok);
	return object;
}

static json_t *
servers_json(const Worker *worker, usec_t now, bool *ok)
{
	json_t *array = json_array();
	int left = PAYLOAD_LINKED;

	list_each(node, &worker->servers)
	{
		const Server *server = CONTAINER_OF(node, const Server, node);

		if (server->client == NULL)
			continue;
		if (left-- == 0)
			break;
		payload_append(array, linked_json(server, now, ok), ok);
	}
	return array;
}

/* --- the whole --- */

char *
payload_build(Payload *payload)
{
	Worker *worker = payload->worker;
	usec_t now = worker_now(worker);
	json_t *root = json_object();
	bool ok = root != NULL;
	char *text;

	for (MapNode *node = map_next(&payload->pools, NULL); node != NULL; node = map_next(&payload->pools, node))
		CONTAINER_OF(node, ReportedPool, node)->in_payload = false;
	payload->built_at = now;
	payload_number(root, "v", PAYLOAD_VERSION, &ok);
	payload_number(root, "pid", (uint64_t) getpid(), &ok);
	payload_set(root, "version", payload_text(worker->version), &ok);
	payload_set(root, "listen", payload_text(worker->settings->reporter_name), &ok);
	payload_number(root, "uptime_us", elapsed(payload->started_at, now), &ok);
	payload_number(root, "interval_us", elapsed(payload->taken_at, now), &ok);
	payload_number(root, "clients", (uint64_t) worker->client_count, &ok);
	payload_number(root, "max_clients", (uint64_t) worker->settings->max_client_conn, &ok);
	payload->logins_built = (LoginCounts){.failures = worker->login_failures, .refused = worker->clients_refused};
	payload_number(root, "login_failures", payload->logins_built.failures - payload->logins_taken.failures, &ok);
	payload_number(root, "clients_refused", payload->logins_built.refused - payload->logins_taken.refused, &ok);
	payload_set(root, "pools", pools_json(payload, now, &ok), &ok);
	payload_set(root, "servers", servers_json(worker, now, &ok), &ok);
	payload_set(root, "net", net_sampler_json(&payload->sampler, &ok), &ok);
	payload_set(root, "apps", apps_json(&payload->apps, &worker->apps, now, &ok), &ok);
	text = ok ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

void
payload_taken(Payload *payload)
{
	payload->taken_at = payload->built_at;
	payload->logins_taken = payload->logins_built;
	apps_taken(&payload->apps);
	for (MapNode *node = map_next(&payload->pools, NULL); node != NULL; node = map_next(&payload->pools, node))
	{
		ReportedPool *reported = CONTAINER_OF(node, ReportedPool, node);

		if (reported->in_payload)
			reported->taken = reported->built;
	}
}

Payload *
payload_create(Worker *worker)
{
	Payload *payload = calloc(1, sizeof(Payload));

	if (payload == NULL)
		return NULL;
	payload->worker = worker;
	payload->started_at = payload->taken_at = worker_now(worker);
	map_init(&payload->pools, reported_equal);
	net_sampler_init(&payload->sampler, worker);
	return payload;
}

void
payload_free(Payload *payload)
{
	MapNode *node;

	if (payload == NULL)
		return;
	worker_walk_end(payload->worker, &payload->turn);
	net_sampler_end(&payload->sampler);
	while ((node = map_next(&payload->pools, NULL)) != NULL)
	{
		map_remove(&payload->pools, node);
		free(CONTAINER_OF(node, ReportedPool, node));
	}
	map_free(&payload->pools);
	free(payload);
}
