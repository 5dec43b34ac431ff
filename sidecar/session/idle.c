/*
 * idle.c: pools and databases that nobody uses are forgotten after a while, with their statistics: pool_idle_timeout,
 * autodb_idle_timeout.
 *
 * A pool is used while it has a client or a server connection.  A database made on demand is unused when none of its pools is used;
 * it goes with them, unless an operator has paused or disabled it.  One that has left the file goes at once.
 *
 * The first worker does all of it.  The others only put what has changed on the hall's lists, and call it; before anything is forgotten
 * they are parked, and it is looked again whether it is really unused.
 */
#include "session/session.h"

#include "session/hall.h"

/* What a callback of this turn of the loop still looks at must not go in it. */
#define LINGER_US (10 * USEC_PER_MSEC)

static deadline_t
due(usec_t since, usec_t timeout_us)
{
	return timeout_us <= 0 ? DEADLINE_NONE : deadline_after(since, timeout_us > LINGER_US ? timeout_us : LINGER_US);
}

/* --- pools --- */

static inline bool
is_used(const SessionPool *pool)
{
	const Pool *policy = &pool->policy;

	return policy->clients > 0 || policy->pending_opens > 0 || policy->waiters.count > 0 || pool_slots(policy) > 0;
}

bool
idle_pool_differs(const SessionPool *pool)
{
	return is_used(pool) != pool->used && pool->dedicated == NULL;
}

/* The private pools of replication clients refer to the one they count in. */
static bool
has_dedicated(const SessionPool *pool)
{
	bool found = false;

	hall_lock_tables(pool->hall);
	list_each(node, &pool->hall->dedicated)
		found |= CONTAINER_OF(node, const SessionPool, list_node)->dedicated->shared == pool;
	hall_unlock_tables(pool->hall);
	return found;
}

/* Wait anew for the pool's time. */
static void
rearm_pool(SessionPool *pool)
{
	Worker *first = pool->hall->workers[0];
	deadline_t at = pool->used ? DEADLINE_NONE : due(pool->unused_since, first->settings->pool_idle_timeout_us);

	if (at != DEADLINE_NONE || pool->idle_timer.armed)
		timer_arm(net_timers(first->loop), &pool->idle_timer, at);
}

/* What is to be done when the pool has become used or unused. */
static void
note_use(SessionPool *pool)
{
	pool->unused_since = worker_now(pool->hall->workers[0]);
	pool->database->pools_used += pool->used ? 1 : -1;
	idle_database_rearm(pool->hall, pool->database);
}

void
idle_lost_dedicated(Worker *worker, SessionPool *pool)
{
	Hall *hall = worker->hall;

	policy_enter(worker);
	if (!list_linked(&pool->changed))
		list_append(&hall->changed_pools, &pool->changed);
	atomic_store(&hall->use_changed, true);
	policy_leave(worker, NULL);
	if (worker->index > 0)
		worker_call(hall->workers[0]);
}

static void
on_pool_timer(Timer *timer, usec_t now)
{
	SessionPool *pool = CONTAINER_OF(timer, SessionPool, idle_timer);
	Hall *hall = pool->hall;

	hall_park(hall);
	hall_run_actions(hall);
	if (idle_pool_differs(pool))
	{
		pool->used = !pool->used;
		note_use(pool);
	}
	rearm_pool(pool);
	if (!pool->used && !has_dedicated(pool) && due(pool->unused_since, hall->settings->pool_idle_timeout_us) <= now)
		session_pool_destroy(pool);
	hall_unpark(hall);
}

void
idle_pool_init(SessionPool *pool)
{
	pool->idle_timer.fire = on_pool_timer;
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
	list_each(node, &database->group.pools)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, policy.in_db.all);

		if (pool->dedicated != NULL || is_used(pool))
			return false;
	}
	return true;
}

static void
forget_database(Database *database)
{
	Hall *hall = database->hall;

	list_each(node, &database->group.pools)
		session_pool_destroy(CONTAINER_OF(node, SessionPool, policy.in_db.all));
	log_debug(hall->log, "forgetting unused database: %s", database->name);
	database_destroy(database);
}

static void
on_timer(Timer *timer, usec_t now)
{
	Database *database = CONTAINER_OF(timer, Database, timer);
	Hall *hall = database->hall;

	(void) now;
	hall_park(hall);
	hall_run_actions(hall);
	if (may_go(database) && pools_may_go(database))
		forget_database(database);
	else
		idle_database_rearm(hall, database);
	hall_unpark(hall);
}

void
idle_database_init(Database *database)
{
	database->timer.fire = on_timer;
}

void
idle_database_rearm(Hall *hall, Database *database)
{
	Worker *first = hall->workers[0];
	usec_t timeout_us;
	bool possible;

	hall_lock_tables(hall);
	timeout_us = database->spec == NULL ? LINGER_US : hall->settings->autodb_idle_timeout_us;
	possible = may_go(database);
	hall_unlock_tables(hall);
	if (possible || database->timer.armed)
		timer_arm(net_timers(first->loop), &database->timer, possible ? due(worker_now(first), timeout_us) : DEADLINE_NONE);
}

/* --- what has changed --- */

static SessionPool *
next_pool(Hall *hall, bool *differs)
{
	Worker *first = hall->workers[0];
	ListNode *node;
	SessionPool *pool = NULL;

	policy_enter(first);
	node = list_pop(&hall->changed_pools);
	if (node != NULL)
	{
		pool = CONTAINER_OF(node, SessionPool, changed);
		*differs = idle_pool_differs(pool);
		pool->used ^= *differs;
	}
	policy_leave(first, NULL);
	return pool;
}

static Database *
next_database(Hall *hall)
{
	ListNode *node;

	hall_lock_tables(hall);
	node = list_pop(&hall->changed_databases);
	hall_unlock_tables(hall);
	return node != NULL ? CONTAINER_OF(node, Database, changed) : NULL;
}

void
idle_look(Hall *hall)
{
	SessionPool *pool;
	Database *database;
	bool differs;

	if (!atomic_load_explicit(&hall->use_changed, memory_order_relaxed))
		return;
	atomic_store(&hall->use_changed, false);
	while ((pool = next_pool(hall, &differs)) != NULL)
	{
		if (differs)
			note_use(pool);
		rearm_pool(pool);
	}
	while ((database = next_database(hall)) != NULL)
		idle_database_rearm(hall, database);
}
