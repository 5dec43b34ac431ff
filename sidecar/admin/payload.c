/*
 * payload.c: building the JSON, pool by pool, server by server; the sockets' health is in payload_net.c.
 */
#include "admin/payload.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/figures.h"
#include "admin/payload_apps.h"
#include "admin/payload_json.h"
#include "admin/payload_net.h"

/* What the extension knows of a pool, and what it will know when the last payload is taken. */
typedef struct ReportedPool
{
	MapNode node; /* Payload.pools */
	uint64_t pool_id;
	bool live; /* found by drop_dead */
	PoolFigures taken, built;
	ListNode in_payload; /* Payload.shown: in the one built last */
} ReportedPool;

/* The worker's own counters. */
typedef struct LoginCounts
{
	uint64_t failures, refused;
} LoginCounts;

static LoginCounts
count_logins(const Hall *hall)
{
	LoginCounts sum = {0};

	for (int i = 0; i < hall->worker_count; i++)
	{
		sum.failures += hall->workers[i]->login_failures;
		sum.refused += hall->workers[i]->clients_refused;
	}
	return sum;
}

struct Payload
{
	Worker *worker;		/* borrowed */
	Map pools;			/* ReportedPool, owned */
	List shown;	/* ReportedPool */
	HallWalk servers; /* where the next payload goes on, when there are too many for one */
	NetSampler sampler;
	AppsReported apps;
	LoginCounts logins_taken, logins_built;
	usec_t taken_at, built_at;
};

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

/* What was taken of a class; nothing when it has lost its place meanwhile and begun anew. */
static const RepeatCount *
repeat_before(const RepeatCount *taken, const RepeatCount *repeat)
{
	static const RepeatCount none = {.fingerprint = 0};

	for (int i = 0; i < STATS_REPEATS; i++)
		if (taken[i].fingerprint == repeat->fingerprint && taken[i].in_xact == repeat->in_xact &&
			taken[i].units <= repeat->units && taken[i].statements <= repeat->statements)
			return &taken[i];
	return &none;
}

static json_t *
repeat_json(const RepeatCount *repeat, const RepeatCount *before, usec_t now, bool *ok)
{
	json_t *object = json_object();
	char fingerprint[20];

	snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, repeat->fingerprint);
	payload_set(object, "fingerprint", json_string(fingerprint), ok);
	payload_number(object, "in_xact", repeat->in_xact, ok);
	payload_set(object, "query", payload_text(repeat->text), ok);
	payload_number(object, "units", repeat->units - before->units, ok);
	payload_number(object, "statements", repeat->statements - before->statements, ok);
	payload_number(object, "most", repeat->most, ok);
	payload_number(object, "first_us", figures_elapsed(repeat->first_at, now), ok);
	return object;
}

/* Those that something is new of. */
static json_t *
repeats_json(const RepeatCount *now, const RepeatCount *taken, usec_t at, bool *ok)
{
	json_t *array = json_array();

	for (int i = 0; i < STATS_REPEATS; i++)
	{
		const RepeatCount *before = repeat_before(taken, &now[i]);

		if (now[i].units > before->units)
			payload_append(array, repeat_json(&now[i], before, at, ok), ok);
	}
	return array;
}

static json_t *
pool_json(Payload *payload, const SessionPool *pool, usec_t now, bool *ok)
{
	ReportedPool *reported = reported_pool(payload, pool);
	json_t *object = json_object();
	PoolFigures *built;

	if (reported == NULL)
	{
		*ok = false;
		return object;
	}
	built = &reported->built;
	figures_of_pool(pool, now, built);
	if (!list_linked(&reported->in_payload))
		list_append(&payload->shown, &reported->in_payload);
	payload_set(object, "db", payload_text(built->database), ok);
	payload_set(object, "user", payload_text(built->user), ok);
	payload_set(object, "mode", json_string(built->mode), ok);
	if (built->error != NULL)
		payload_set(object, "error", payload_text(built->error), ok);
	for (int i = 0; i < PG_KINDS; i++)
		payload_number(object, figure_gauges[i].key, built->gauges[i], ok);
	for (int i = 0; i < PC_KINDS; i++)
		if (figure_counters[i].key != NULL)
			payload_number(object, figure_counters[i].key, built->counters[i] - reported->taken.counters[i], ok);
	for (int i = 0; i < PH_KINDS; i++)
		payload_set(object, figure_histograms[i].key,
					histogram_json(&built->histograms[i], &reported->taken.histograms[i], ok), ok);
	payload_set(object, "errors", errors_json(built->errors, reported->taken.errors, ok), ok);
	payload_set(object, "repeats", repeats_json(built->repeats, reported->taken.repeats, now, ok), ok);
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
			if (list_linked(&reported->in_payload))
				list_remove(&payload->shown, &reported->in_payload);
			map_remove(&payload->pools, node);
			free(reported);
		}
		else
			reported->live = false;
	}
}

static json_t *
pools_json(Payload *payload, usec_t now, bool *ok)
{
	Hall *hall = payload->worker->hall;
	const List *pools = &hall->pool_list;
	json_t *array = json_array();
	int count = pools->count < PAYLOAD_POOLS ? pools->count : PAYLOAD_POOLS;

	drop_dead(payload);
	for (; count > 0; count--)
	{
		const ListNode *node = hall->report_next != &pools->head ? hall->report_next : pools->head.next;

		payload_append(array, pool_json(payload, CONTAINER_OF(node, const SessionPool, list_node), now, ok), ok);
		hall->report_next = node->next;
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
	const ParamRegistry *params = server->worker->params;
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
	payload_number(object, "since_us", figures_elapsed(server->linked_at, now), ok);
	payload_set(object, "deadline_left_us",
		client->deadline != DEADLINE_NONE ? json_integer(client->deadline - now) : json_null(), ok);
	return object;
}

/* The next of the walk, which begins anew after the last. */
static const Server *
next_server(Payload *payload)
{
	HallWalk *walk = &payload->servers;
	const ListNode *node = list_linked(&walk->node) ? hall_walk_next(walk) : NULL;

	if (node == NULL)
	{
		hall_walk_end(walk);
		hall_walk_begin(payload->worker->hall, walk, WALK_SERVERS);
		node = hall_walk_next(walk);
	}
	return CONTAINER_OF(node, const Server, node);
}

static json_t *
servers_json(Payload *payload, usec_t now, bool *ok)
{
	json_t *array = json_array();
	int count = hall_count(payload->worker->hall, WALK_SERVERS);

	if (count <= PAYLOAD_SERVERS)
		hall_walk_end(&payload->servers); /* all of them, from the first */
	else
		count = PAYLOAD_SERVERS;
	for (int left = PAYLOAD_LINKED; count > 0 && left > 0; count--)
	{
		const Server *server = next_server(payload);

		if (server->client == NULL)
			continue;
		payload_append(array, linked_json(server, now, ok), ok);
		left--;
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

	hall_park(worker->hall);
	while (list_pop(&payload->shown) != NULL)
		continue;
	payload->built_at = now;
	payload_number(root, "v", PAYLOAD_VERSION, &ok);
	payload_number(root, "pid", (uint64_t) getpid(), &ok);
	payload_set(root, "version", payload_text(worker->version), &ok);
	payload_set(root, "listen", payload_text(worker->settings->reporter_name), &ok);
	payload_number(root, "uptime_us", figures_elapsed(worker->hall->started_at, now), &ok);
	payload_number(root, "interval_us", figures_elapsed(payload->taken_at, now), &ok);
	payload_number(root, "clients", (uint64_t) worker->hall->client_count, &ok);
	payload_number(root, "max_clients", (uint64_t) worker->settings->max_client_conn, &ok);
	payload->logins_built = count_logins(worker->hall);
	payload_number(root, "login_failures", payload->logins_built.failures - payload->logins_taken.failures, &ok);
	payload_number(root, "clients_refused", payload->logins_built.refused - payload->logins_taken.refused, &ok);
	payload_set(root, "pools", pools_json(payload, now, &ok), &ok);
	payload_set(root, "servers", servers_json(payload, now, &ok), &ok);
	payload_set(root, "net", net_sampler_json(&payload->sampler, &ok), &ok);
	payload_set(root, "apps", apps_json(&payload->apps, worker->hall, now, &ok), &ok);
	hall_unpark(worker->hall);
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
	list_each(node, &payload->shown)
	{
		ReportedPool *reported = CONTAINER_OF(node, ReportedPool, in_payload);

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
	payload->taken_at = worker->hall->started_at;
	map_init(&payload->pools, reported_equal);
	list_init(&payload->shown);
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
	hall_walk_end(&payload->servers);
	while ((node = map_next(&payload->pools, NULL)) != NULL)
	{
		map_remove(&payload->pools, node);
		free(CONTAINER_OF(node, ReportedPool, node));
	}
	map_free(&payload->pools);
	free(payload);
}
