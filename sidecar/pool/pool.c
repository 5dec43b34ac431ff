/*
 * pool.c: the life of a pool, requests, and operations on the whole of it.
 */
#include "pool/policy.h"

#include <assert.h>
#include <stdlib.h>

/* --- life --- */

bool
pool_init(Pool *pool, const PoolLimits *limits, PoolGroup *db_group, PoolGroup *user_group, usec_t now)
{
	int homes = limits->homes > 0 ? limits->homes : 1;
	List *idle_at = malloc((size_t) homes * sizeof(List));

	(void) now;
	if (idle_at == NULL)
		return false;
	*pool =
		(Pool){.limits = *limits, .db_group = db_group, .user_group = user_group, .home = POOL_ANY_HOME,
		._age_at = DEADLINE_NONE, ._idle_at = idle_at};
	list_init(&pool->opening);
	list_init(&pool->idle);
	list_init(&pool->active);
	list_init(&pool->cleaning);
	list_init(&pool->closing);
	list_init(&pool->waiters);
	for (int i = 0; i < homes; i++)
		list_init(&pool->_idle_at[i]);
	for (int i = 0; i < POOL_QUEUES; i++)
		queue_init(&pool->_queue[i]);
	pool_classes_init(&pool->classes);
	if (db_group != NULL)
		list_append(&db_group->pools, &pool->in_db.all);
	if (user_group != NULL)
	{
		list_append(&user_group->pools, &pool->in_user.all);
		user_group->_of_user = true;
	}
	return true;
}

void
pool_free(Pool *pool)
{
	assert(pool_slots(pool) == 0 && list_empty(&pool->waiters));
	open_count_used(pool, -pool->pending_opens);
	pool->pending_opens = 0;
	open_leave_groups(pool);
	pool_classes_free(&pool->classes);
	sparse_histogram_free(&pool->counters.wait_hist);
	free(pool->_idle_at);
}

void
pool_group_init(PoolGroup *group, int limit)
{
	*group = (PoolGroup){.limit = limit};
	list_init(&group->pools);
	list_init(&group->_with_idle);
	list_init(&group->_blocked);
	list_init(&group->leased);
	open_init_group(group);
}

/* --- requests --- */

/* Why it is turned away although it could be queued; false when it is not. */
static bool
is_refused(Pool *pool, PoolWaiter *waiter, usec_t now, PoolAction *why)
{
	*why = (PoolAction){.fail = POOL_FAIL_DEADLINE};
	if (waiter->deadline <= now)
		return true;
	why->fail = POOL_FAIL_LOGIN;
	if (open_fails_fast(pool, now))
		return true;
	why->fail = POOL_FAIL_QUEUE_FULL;
	if (pool->limits.max_waiting > 0 && pool->waiters.count >= pool->limits.max_waiting)
		return true;
	why->fail = POOL_FAIL_CAP_FULL;
	if (cap_is_full(waiter))
		return true;
	why->fail = POOL_FAIL_HOPELESS;
	return admission_refuses(pool, waiter, now, &why->expected_wait_us, &why->expected_run_us);
}

/* It has just arrived. */
static inline void
begin_request(Pool *pool, PoolWaiter *waiter, usec_t now)
{
	waiter->since = now;
	waiter->_probe = false;
	waiter->_class = pool_classes_get(&pool->classes, waiter->fingerprint);
	waiter->_lane = (uint8_t) lane_of(pool, waiter->_class, now);
	if (waiter->_lane == LANE_NORMAL)
		lane_note_normal(pool, now);
}

PoolSlot *
pool_take(Pool *pool, PoolWaiter *waiter, usec_t now)
{
	if (list_empty(&pool->_idle_at[waiter->home]) || waiter->cap != NULL || waiter->deadline <= now)
		return NULL;
	waiter->_has_place = false;
	begin_request(pool, waiter, now);
	return grant_directly(pool, waiter, now);
}

void
pool_request(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out)
{
	PoolAction why;
	bool placed;

	assert(!pool_is_waiting(waiter));
	begin_request(pool, waiter, now);
	waiter->wait_until = deadline_after(now, pool->limits.wait_timeout_us);
	placed = cap_take(waiter);
	if (placed && waiter->deadline > now && grant_at_once(pool, waiter, now, out))
		return;
	if (is_refused(pool, waiter, now, &why) && actions_room(pool, out))
	{
		grant_fail(pool, waiter, &why, now, out);
		return;
	}
	waiter->_cost_us = admission_cost_us(pool, waiter);
	if (!placed)
		waiter->_lane = LANE_PARKED;
	queue_push(pool, waiter);
	if (!placed)
		cap_serve(waiter->cap, pool, now, out); /* who left on lease meanwhile did not see it parked */
	grant_serve(pool, now, out);
	open_fill(pool, now, out);
}

void
pool_requeue(Pool *pool, PoolWaiter *waiter, usec_t now)
{
	waiter->_class = pool_classes_get(&pool->classes, waiter->fingerprint);
	waiter->_lane = (uint8_t) lane_of(pool, waiter->_class, now);
	waiter->_cost_us = admission_cost_us(pool, waiter);
	pool->counters.granted--;
	queue_push(pool, waiter);
}

void
pool_abandon(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out)
{
	PoolAction action;

	if (pool_is_waiting(waiter))
	{
		queue_remove(pool, waiter);
		if (waiter->_has_place)
		{
			waiter->_has_place = false;
			cap_give_back(waiter->cap, NULL, now, out);
		}
		open_fill(pool, now, out);
	}
	else if (actions_take_waiter(out, waiter, &action) && action.kind == POOL_GRANT)
	{
		action.slot->_granted_at = 0; /* nothing to learn */
		pool_release(action.slot, true, now, out);
	}
}

/* --- operations --- */

void
pool_set_limits(Pool *pool, const PoolLimits *limits, usec_t now, PoolActions *out)
{
	pool->limits = *limits;
	pool->_age_at = 0; /* to be found anew */
	list_each (node, &pool->waiters)
	{
		PoolWaiter *waiter = CONTAINER_OF(node, PoolWaiter, node);

		waiter->wait_until = deadline_after(waiter->since, limits->wait_timeout_us);
	}
	slots_close_idle(pool, now, out);
	pool_tick(pool, now, out);
}

void
pool_pause(Pool *pool, usec_t now, PoolActions *out)
{
	pool->paused = true;
	slots_close_idle(pool, now, out);
	open_fill(pool, now, out); /* no longer wants anything: who stood back for it may go on */
}

void
pool_resume(Pool *pool, usec_t now, PoolActions *out)
{
	pool->paused = false;
	pool_tick(pool, now, out);
}

static void
mark_all(List *slots)
{
	list_each (node, slots)
		slot_of(node)->close_needed = true;
}

void
pool_reconnect(Pool *pool, usec_t now, PoolActions *out)
{
	mark_all(&pool->opening);
	mark_all(&pool->idle);
	mark_all(&pool->active);
	mark_all(&pool->cleaning);
	pool->last_open_failure = 0; /* the operator knows of a change: try at once */
	pool->_login_refused = false;
	pool->_failures = 0;
	slots_close_idle(pool, now, out);
	open_fill(pool, now, out);
}

void
pool_retire(Pool *pool, usec_t now, PoolActions *out)
{
	pool->retiring = true;
	pool_reconnect(pool, now, out);
}
