/*
 * idle.c: pools and databases that nobody uses are forgotten after a while, with their statistics: pool_idle_timeout,
 * autodb_idle_timeout.
 *
 * A pool is used while it has a client or a server connection.  A database made on demand is unused when none of its pools is used;
 * it goes with them, unless an operator has paused or disabled it.  One that has left the file goes at once.
 */
#include "session/session.h"

/* What a callback of this turn of the loop still looks at must not go in it. */
#define LINGER_US (10 * USEC_PER_MSEC)

static deadline_t
due(usec_t since, usec_t timeout_us)
{
	return timeout_us <= 0 ? DEADLINE_NONE : deadline_after(since, timeout_us > LINGER_US ? timeout_us : LINGER_US);
}

/* --- pools --- */

static bool
is_used(const SessionPool *pool)
{
	const Pool *policy = &pool->policy;

	return policy->clients > 0 || policy->pending_opens > 0 || policy->waiters.count > 0 || pool_slots(policy) > 0;
}

void
idle_pool_changed(SessionPool *pool)
{
	bool used = is_used(pool);

	if (used == pool->used || pool->dedicated != NULL)
		return;
	pool->used = used;
	pool->unused_since = worker_now(pool->worker);
	pool->database->pools_used += used ? 1 : -1;
	idle_database_rearm(pool->database);
}

/* The private pools of replication clients refer to the one they count in. */
static bool
has_dedicated(const SessionPool *pool)
{
	list_each(node, &pool->worker->dedicated)
		if (CONTAINER_OF(node, const SessionPool, list_node)->dedicated->shared == pool)
			return true;
	return false;
}

deadline_t
idle_pool_due(const SessionPool *pool)
{
	if (pool->used || pool->dedicated != NULL || has_dedicated(pool))
		return DEADLINE_NONE;
	return due(pool->unused_since, pool->worker->settings->pool_idle_timeout_us);
}

/* --- databases --- */

/* An operator's word about the database must not be forgotten with it. */
static bool
may_go(const Database *database)
{
	return database->pools_used == 0 && database->clients == 0 &&
		   (database->spec == NULL || (database->spec->from_template && !database->paused && !database->disabled));
}

static bool
pools_may_go(const Database *database)
{
	list_each(node, &database->worker->pool_list)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		if (pool->database == database && (is_used(pool) || has_dedicated(pool)))
			return false;
	}
	return true;
}

static void
on_timer(Timer *timer, usec_t now)
{
	Database *database = CONTAINER_OF(timer, Database, timer);
	Worker *worker = database->worker;

	(void) now;
	if (!may_go(database) || !pools_may_go(database))
	{
		idle_database_rearm(database);
		return;
	}
	list_each(node, &worker->pool_list)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);

		if (pool->database == database)
			session_pool_destroy(pool);
	}
	log_debug(worker->log, "forgetting unused database: %s", database->name);
	database_destroy(database);
}

void
idle_database_init(Database *database)
{
	database->timer.fire = on_timer;
}

void
idle_database_rearm(Database *database)
{
	Worker *worker = database->worker;
	bool possible = may_go(database);
	usec_t timeout_us = database->spec == NULL ? LINGER_US : worker->settings->autodb_idle_timeout_us;

	if (possible || database->timer.armed)
		timer_arm(net_timers(worker->loop), &database->timer,
				  possible ? due(worker_now(worker), timeout_us) : DEADLINE_NONE);
}
