/*
 * payload.c: building the JSON, pool by pool, server by server; the sockets' health is in payload_net.c.
 */
#include "admin/payload.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

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
	PC_KINDS
} PoolCounterKind;

static const char *const counter_keys[PC_KINDS] = {
	"xacts",		   "queries",		"wait_us",		"xact_us",		"query_us",		 "refused",	 "expired_queued",
	"expired_running", "expired_grace", "gone_waiting", "gone_running", "wait_timeouts", "logins",	 "disconnects",
	"connects",		   "connect_failures", "think_us",	"think_n",		"drain_us"};

typedef enum PoolHistogramKind
{
	PH_WAIT,
	PH_RUN,
	PH_GONE,
	PH_DEADLINE,
	PH_KINDS
} PoolHistogramKind;

static const char *const histogram_keys[PH_KINDS] = {"wait_hist", "run_hist", "gone_hist", "deadline_hist"};

typedef struct PoolReading
{
	uint64_t counters[PC_KINDS];
	Histogram histograms[PH_KINDS];
	ErrorCount errors[STATS_ERROR_CODES];
} PoolReading;

/* What the extension knows of a pool, and what it will know when the last payload is taken. */
typedef struct ReportedPool
{
	MapNode node; /* Payload.pools */
	uint64_t pool_id;
	bool live; /* found by drop_dead */
	PoolReading taken, built;
	bool in_payload; /* in the one built last */
} ReportedPool;

struct Payload
{
	Worker *worker;		/* borrowed */
	Map pools;			/* ReportedPool, owned */
	uint64_t turn; /* id of the pool reported last, when there are too many for one payload */
	NetSampler sampler;
	usec_t started_at, taken_at, built_at;
};

/* --- helpers --- */

/* A string as JSON; what is not UTF-8 (a name in another encoding) gets its foreign bytes replaced. */
static json_t *
json_text(const char *text)
{
	json_t *value = json_string(text != NULL ? text : "");
	char copy[128];
	size_t i = 0;

	if (value != NULL || text == NULL)
		return value;
	for (; text[i] != '\0' && i < sizeof(copy) - 1; i++)
		copy[i] = (char) ((unsigned char) text[i] < 0x80 ? text[i] : '?');
	copy[i] = '\0';
	return json_string(copy);
}

/* Set a key; the value is stolen, also on failure.  *ok becomes false when memory is short. */
static void
set(json_t *object, const char *key, json_t *value, bool *ok)
{
	if (json_object_set_new_nocheck(object, key, value) != 0)
		*ok = false;
}

static void
set_number(json_t *object, const char *key, uint64_t number, bool *ok)
{
	set(object, key, json_integer((json_int_t) number), ok);
}

/* Append; the value is stolen. */
static void
append(json_t *array, json_t *value, bool *ok)
{
	if (json_array_append_new(array, value) != 0)
		*ok = false;
}

/* --- pools --- */

static bool
reported_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const ReportedPool, node)->pool_id == *(const uint64_t *) key;
}

/* NULL when out of memory. */
static ReportedPool *
reported_pool(Payload *payload, const SessionPool *pool)
{
	uint64_t hash = hash_bytes(payload->worker->hash_seed, &pool->id, sizeof(pool->id));
	MapNode *node = map_find(&payload->pools, hash, &pool->id);
	ReportedPool *reported;

	if (node != NULL)
		return CONTAINER_OF(node, ReportedPool, node);
	if ((reported = calloc(1, sizeof(ReportedPool))) == NULL)
		return NULL;
	reported->pool_id = pool->id;
	map_insert(&payload->pools, &reported->node, hash);
	return reported;
}

static void
read_pool(const SessionPool *pool, PoolReading *out)
{
	const PoolCounters *c = &pool->policy.counters;
	SessionStats stats;
	const SessionStats *s = &stats;

	session_pool_stats(pool, &stats);
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
			},
		.histograms = {[PH_WAIT] = c->wait_hist, [PH_RUN] = s->run_hist, [PH_GONE] = s->gone_hist,
					   [PH_DEADLINE] = s->deadline_hist},
	};
	memcpy(out->errors, s->errors, sizeof(out->errors));
}

static json_t *
histogram_json(const Histogram *now, const Histogram *before, bool *ok)
{
	json_t *array = json_array();

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
	{
		uint32_t count = now->count[i] - before->count[i];

		if (count > 0)
			append(array, json_pack("[i,I]", i, (json_int_t) count), ok);
	}
	return array;
}

static json_t *
errors_json(const ErrorCount *now, const ErrorCount *before, bool *ok)
{
	json_t *object = json_object();

	for (int i = 0; i < STATS_ERROR_CODES; i++)
		if (now[i].count > before[i].count)
			set_number(object, now[i].code, now[i].count - before[i].count, ok);
	return object;
}

static void
set_slots(json_t *object, const SessionPool *pool, usec_t now, bool *ok)
{
	const Settings *settings = pool->hall->settings;
	const Pool *policy = &pool->policy;
	uint64_t used = 0;

	list_each(node, &policy->idle)
	{
		const PoolSlot *slot = CONTAINER_OF(node, const PoolSlot, node);

		used += settings->server_check_query[0] != '\0' && now - slot->state_since > settings->server_check_delay_us;
	}
	set_number(object, "sv_active", (uint64_t) policy->active.count, ok);
	set_number(object, "sv_idle", (uint64_t) policy->idle.count - used, ok);
	set_number(object, "sv_used", used, ok);
	set_number(object, "sv_tested", (uint64_t) policy->cleaning.count, ok);
	set_number(object, "sv_login", (uint64_t) policy->opening.count, ok);
}

static void
set_gauges(json_t *object, const SessionPool *pool, usec_t now, bool *ok)
{
	static const char *const modes[] = {"session", "transaction", "statement"};
	const Pool *policy = &pool->policy;
	const ListNode *first = list_first(&policy->waiters);
	int active = policy->clients - policy->waiters.count;

	set(object, "db", json_text(pool->database->name), ok);
	set(object, "user", json_text(pool->role->name), ok);
	set(object, "mode", json_string(modes[pool->mode]), ok);
	set_number(object, "size", (uint64_t) policy->limits.size, ok);
	set_number(object, "reserve", (uint64_t) policy->limits.reserve_size, ok);
	set_slots(object, pool, now, ok);
	set_number(object, "cl_active", active > 0 ? (uint64_t) active : 0, ok);
	set_number(object, "cl_waiting", (uint64_t) policy->waiters.count, ok);
	set_number(object, "maxwait_us",
			   first != NULL && CONTAINER_OF(first, const PoolWaiter, node)->since < now
				   ? (uint64_t) (now - CONTAINER_OF(first, const PoolWaiter, node)->since)
				   : 0,
			   ok);
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
		set_number(object, counter_keys[i], reported->built.counters[i] - reported->taken.counters[i], ok);
	for (int i = 0; i < PH_KINDS; i++)
		set(object, histogram_keys[i],
			histogram_json(&reported->built.histograms[i], &reported->taken.histograms[i], ok), ok);
	set(object, "errors", errors_json(reported->built.errors, reported->taken.errors, ok), ok);
	return object;
}

/* Forget pools that are gone, once they may be many. */
static void
drop_dead(Payload *payload)
{
	const List *list = &payload->worker->hall->pool_list;

	if (payload->pools.count < 2 * (size_t) list->count + 64)
		return;
	list_each(node, list)
	{
		ReportedPool *reported = reported_pool(payload, CONTAINER_OF(node, const SessionPool, list_node));

		if (reported != NULL)
			reported->live = true;
	}
	for (MapNode *node = map_next(&payload->pools, NULL), *next; node != NULL; node = next)
	{
		ReportedPool *reported = CONTAINER_OF(node, ReportedPool, node);

		next = map_next(&payload->pools, node);
		if (!reported->live)
		{
			map_remove(&payload->pools, node);
			free(reported);
		}
		else
			reported->live = false;
	}
}

/* The first pool made after the one with this id; the list is in that order. */
static const ListNode *
behind(const List *pools, uint64_t id)
{
	const ListNode *node = pools->head.next;

	while (node != &pools->head && CONTAINER_OF(node, const SessionPool, list_node)->id <= id)
		node = node->next;
	return node;
}

static json_t *
pools_json(Payload *payload, usec_t now, bool *ok)
{
	const List *pools = &payload->worker->hall->pool_list;
	json_t *array = json_array();
	int count = pools->count < PAYLOAD_POOLS ? pools->count : PAYLOAD_POOLS;

	drop_dead(payload);
	for (const ListNode *node = behind(pools, payload->turn); count > 0; node = node->next)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		if (node == &pools->head)
			continue; /* from the beginning */
		append(array, pool_json(payload, pool, now, ok), ok);
		payload->turn = pool->id;
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

static uint64_t
elapsed(usec_t since, usec_t now)
{
	return since > 0 && since < now ? (uint64_t) (now - since) : 0;
}

static json_t *
linked_json(const Server *server, usec_t now, bool *ok)
{
	const Client *client = server->client;
	const ParamRegistry *params = server->worker->params;
	json_t *object = json_object();
	char ip[64];

	set_number(object, "pid", server->backend_pid, ok);
	set(object, "db", json_text(server->pool->database->name), ok);
	set(object, "user", json_text(client->role->name), ok);
	set(object, "client", json_string(net_peer_ip(&client->peer, ip, sizeof(ip))), ok);
	set_number(object, "port", client->peer.port, ok);
	set(object, "app", json_text(paramset_get(client->params, params_index(params, SLICE_LITERAL("application_name")))), ok);
	set(object, "state", json_string(server_state(server)), ok);
	set_number(object, "wait_us", client->waited_us > 0 ? (uint64_t) client->waited_us : 0, ok);
	set_number(object, "since_us", elapsed(server->linked_at, now), ok);
	set(object, "deadline_left_us",
		client->deadline != DEADLINE_NONE ? json_integer(client->deadline - now) : json_null(), ok);
	return object;
}

static json_t *
servers_json(const Worker *worker, usec_t now, bool *ok)
{
	json_t *array = json_array();
	int left = PAYLOAD_LINKED;
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(worker->hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		const Server *server = CONTAINER_OF(node, const Server, node);

		if (server->client == NULL)
			continue;
		if (left-- == 0)
			break;
		append(array, linked_json(server, now, ok), ok);
	}
	hall_walk_end(&walk);
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

	hall_park(worker->hall);
	for (MapNode *node = map_next(&payload->pools, NULL); node != NULL; node = map_next(&payload->pools, node))
		CONTAINER_OF(node, ReportedPool, node)->in_payload = false;
	payload->built_at = now;
	set_number(root, "v", PAYLOAD_VERSION, &ok);
	set_number(root, "pid", (uint64_t) getpid(), &ok);
	set(root, "version", json_text(worker->version), &ok);
	set(root, "listen", json_text(worker->settings->reporter_name), &ok);
	set_number(root, "uptime_us", elapsed(payload->started_at, now), &ok);
	set_number(root, "interval_us", elapsed(payload->taken_at, now), &ok);
	set_number(root, "clients", (uint64_t) worker->hall->client_count, &ok);
	set_number(root, "max_clients", (uint64_t) worker->settings->max_client_conn, &ok);
	set(root, "pools", pools_json(payload, now, &ok), &ok);
	set(root, "servers", servers_json(worker, now, &ok), &ok);
	set(root, "net", net_sampler_json(&payload->sampler), &ok);
	hall_unpark(worker->hall);
	text = ok ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

void
payload_taken(Payload *payload)
{
	payload->taken_at = payload->built_at;
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
	net_sampler_end(&payload->sampler);
	while ((node = map_next(&payload->pools, NULL)) != NULL)
	{
		map_remove(&payload->pools, node);
		free(CONTAINER_OF(node, ReportedPool, node));
	}
	map_free(&payload->pools);
	free(payload);
}
