/*
 * averages.c: two snapshots of each pool's counters, shifted each period.
 */
#include "admin/averages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A pool's counters at the two snapshots; a pool made since then has none and began at zero. */
typedef struct PoolSnapshot
{
	MapNode node; /* Averages.pools */
	uint64_t pool_id;
	bool live; /* found in the last period */
	StatSums older, newer;
} PoolSnapshot;

struct Averages
{
	Worker *worker; /* borrowed */
	Timer timer;
	usec_t period_us;
	usec_t older_at, newer_at;
	uint64_t commands, commands_older, commands_newer;
	Map pools; /* PoolSnapshot, owned */
};

static bool
snapshot_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const PoolSnapshot, node)->pool_id == *(const uint64_t *) key;
}

static uint64_t
pool_hash(const Averages *averages, const SessionPool *pool)
{
	return hash_bytes(averages->worker->hash_seed, &pool->id, sizeof(pool->id));
}

static PoolSnapshot *
find_snapshot(const Averages *averages, const SessionPool *pool)
{
	MapNode *node = map_find(&averages->pools, pool_hash(averages, pool), &pool->id);

	return node != NULL ? CONTAINER_OF(node, PoolSnapshot, node) : NULL;
}

/* NULL when out of memory: the pool then counts from zero until the next period. */
static PoolSnapshot *
get_snapshot(Averages *averages, const SessionPool *pool)
{
	PoolSnapshot *snapshot = find_snapshot(averages, pool);

	if (snapshot != NULL || (snapshot = calloc(1, sizeof(PoolSnapshot))) == NULL)
		return snapshot;
	snapshot->pool_id = pool->id;
	map_insert(&averages->pools, &snapshot->node, pool_hash(averages, pool));
	return snapshot;
}

/* Only what is shown: all that a pool counts is some kilobytes, and all pools are read in one go, while everybody waits. */
static void
add_part(StatSums *to, const SessionStats *s)
{
	to->v[STAT_XACTS] += s->xacts;
	to->v[STAT_QUERIES] += s->queries;
	to->v[STAT_RECEIVED] += s->received_bytes;
	to->v[STAT_SENT] += s->sent_bytes;
	to->v[STAT_XACT_US] += s->xact_us;
	to->v[STAT_QUERY_US] += s->query_us;
	to->v[STAT_CLIENT_PARSES] += s->client_parses;
	to->v[STAT_SERVER_PARSES] += s->server_parses;
	to->v[STAT_BINDS] += s->binds;
	to->v[STAT_CLIENT_LOGINS] += s->logins;
}

static StatSums
read_pool(const SessionPool *pool)
{
	const PoolCounters *c = &pool->policy.counters;
	StatSums sums = {.v = {[STAT_ASSIGNMENTS] = c->granted, [STAT_WAIT_US] = c->waited_us}};

	for (int i = 0; i < pool->hall->worker_count; i++)
		if (pool->parts[i] != NULL)
			add_part(&sums, &pool->parts[i]->stats);
	return sums;
}

static void
add_sums(StatSums *to, const StatSums *from)
{
	for (int i = 0; i < STAT_KINDS; i++)
		to->v[i] += from->v[i];
}

/* --- reading --- */

void
averages_add_pool(const Averages *averages, const SessionPool *pool, StatSums *now, StatSums *then)
{
	const PoolSnapshot *snapshot = find_snapshot(averages, pool);
	StatSums current = read_pool(pool);

	add_sums(now, &current);
	if (snapshot != NULL)
		add_sums(then, &snapshot->older);
}

void
averages_count_command(Averages *averages)
{
	averages->commands++;
}

void
averages_add_console(const Averages *averages, StatSums *now, StatSums *then)
{
	now->v[STAT_XACTS] += averages->commands;
	now->v[STAT_QUERIES] += averages->commands;
	then->v[STAT_XACTS] += averages->commands_older;
	then->v[STAT_QUERIES] += averages->commands_older;
}

usec_t
averages_span(const Averages *averages)
{
	return worker_now(averages->worker) - averages->older_at;
}

static uint64_t
per_second(uint64_t count, usec_t span_us)
{
	return span_us > 0 ? (uint64_t) ((double) count * USEC_PER_SEC / (double) span_us) : 0;
}

static uint64_t
per_item(uint64_t total, uint64_t items)
{
	return items > 0 ? total / items : 0;
}

void
averages_compute(const StatSums *now, const StatSums *then, usec_t span_us, StatSums *out)
{
	StatSums d;

	for (int i = 0; i < STAT_KINDS; i++)
	{
		d.v[i] = now->v[i] > then->v[i] ? now->v[i] - then->v[i] : 0;
		out->v[i] = per_second(d.v[i], span_us);
	}
	out->v[STAT_XACT_US] = per_item(d.v[STAT_XACT_US], d.v[STAT_XACTS]);
	out->v[STAT_QUERY_US] = per_item(d.v[STAT_QUERY_US], d.v[STAT_QUERIES]);
	out->v[STAT_WAIT_US] = per_item(d.v[STAT_WAIT_US], d.v[STAT_ASSIGNMENTS]);
}

const char *
averages_line(const StatSums *a, char *buf, size_t size)
{
	snprintf(buf, size,
			 "stats: %" PRIu64 " xacts/s, %" PRIu64 " queries/s, %" PRIu64 " client parses/s, %" PRIu64
			 " server parses/s, %" PRIu64 " binds/s, %" PRIu64 " client logins/s, in %" PRIu64 " B/s, out %" PRIu64
			 " B/s, xact %" PRIu64 " us, query %" PRIu64 " us, wait %" PRIu64 " us",
			 a->v[STAT_XACTS], a->v[STAT_QUERIES], a->v[STAT_CLIENT_PARSES], a->v[STAT_SERVER_PARSES], a->v[STAT_BINDS],
			 a->v[STAT_CLIENT_LOGINS], a->v[STAT_RECEIVED], a->v[STAT_SENT], a->v[STAT_XACT_US], a->v[STAT_QUERY_US],
			 a->v[STAT_WAIT_US]);
	return buf;
}

/* --- the period --- */

static void
log_line(const Averages *averages, const StatSums *now, const StatSums *then, usec_t span_us)
{
	StatSums average;
	char line[512];

	if (!averages->worker->settings->log_stats)
		return;
	averages_compute(now, then, span_us, &average);
	log_write(averages->worker->log, LOG_LEVEL_LOG, "%s", averages_line(&average, line, sizeof(line)));
}

/* Pools that are gone have none, and no sums: the averages are those of the pools there are. */
static void
drop_dead(Averages *averages)
{
	for (MapNode *node = map_next(&averages->pools, NULL), *next; node != NULL; node = next)
	{
		PoolSnapshot *snapshot = CONTAINER_OF(node, PoolSnapshot, node);

		next = map_next(&averages->pools, node);
		if (!snapshot->live)
		{
			map_remove(&averages->pools, node);
			free(snapshot);
		}
		else
			snapshot->live = false;
	}
}

static void
on_timer(Timer *timer, usec_t now)
{
	Averages *averages = CONTAINER_OF(timer, Averages, timer);
	StatSums current = {0};
	StatSums before = {0};

	hall_park(averages->worker->hall);
	averages->older_at = averages->newer_at;
	averages->newer_at = now;
	averages->commands_older = averages->commands_newer;
	averages->commands_newer = averages->commands;
	list_each(node, &averages->worker->hall->pool_list)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);
		PoolSnapshot *snapshot = get_snapshot(averages, pool);
		StatSums sums = read_pool(pool);

		if (snapshot == NULL)
			continue;
		snapshot->live = true;
		snapshot->older = snapshot->newer;
		snapshot->newer = sums;
		add_sums(&current, &sums);
		add_sums(&before, &snapshot->older);
	}
	hall_unpark(averages->worker->hall);
	drop_dead(averages);
	log_line(averages, &current, &before, averages->newer_at - averages->older_at);
	timer_arm(net_timers(averages->worker->loop), &averages->timer, deadline_after(now, averages->period_us));
}

/* --- life --- */

Averages *
averages_create(Worker *worker)
{
	Averages *averages = calloc(1, sizeof(Averages));

	if (averages == NULL)
		return NULL;
	averages->worker = worker;
	averages->timer.fire = on_timer;
	averages->older_at = averages->newer_at = worker_now(worker);
	map_init(&averages->pools, snapshot_equal);
	averages_settings_changed(averages);
	return averages;
}

void
averages_settings_changed(Averages *averages)
{
	usec_t period_us = averages->worker->settings->stats_period_us;

	if (period_us == averages->period_us)
		return;
	averages->period_us = period_us;
	timer_arm(net_timers(averages->worker->loop), &averages->timer, deadline_after(averages->newer_at, period_us));
}

void
averages_free(Averages *averages)
{
	MapNode *node;

	if (averages == NULL)
		return;
	timer_disarm(net_timers(averages->worker->loop), &averages->timer);
	while ((node = map_next(&averages->pools, NULL)) != NULL)
	{
		map_remove(&averages->pools, node);
		free(CONTAINER_OF(node, PoolSnapshot, node));
	}
	map_free(&averages->pools);
	free(averages);
}
