/*
 * tick.c: what time does to a pool: waiters run out of it, idle slots grow old, retries fall due.
 *
 * pool_next_event and pool_tick belong together: whatever the tick does by itself has its instant in the
 * other, and each instant is past once the tick has run.
 */
#include "pool/policy.h"

/* --- idle slots --- */

/* How long the longest idle slot may go on idling: forever where it is part of the minimum, briefly where it
 * is more than the pool's size (which the reserve opened, or a smaller size left over). */
static usec_t
idle_limit(const Pool *pool)
{
	int slots = open_live(pool);
	usec_t limit = slots > open_minimum(pool) ? pool->limits.idle_timeout_us : 0;

	if (pool->limits.size > 0 && slots > pool->limits.size && list_empty(&pool->waiters) &&
		pool->limits.reserve_timeout_us > 0 && (limit <= 0 || limit > pool->limits.reserve_timeout_us))
		limit = pool->limits.reserve_timeout_us;
	return limit;
}

static deadline_t
idle_ends_at(const Pool *pool)
{
	const PoolSlot *oldest = slot_of(list_last(&pool->idle));

	return oldest != NULL ? deadline_after(oldest->state_since, idle_limit(pool)) : DEADLINE_NONE;
}

/* True when one was closed. */
static bool
close_idle_too_long(Pool *pool, usec_t now, PoolActions *out)
{
	bool closed = false;

	while (idle_ends_at(pool) <= now)
	{
		const char *reason = open_live(pool) > pool->limits.size && pool->limits.size > 0
								 ? "reserve is no longer needed"
								 : "server idle timeout";

		if (!slot_close(slot_of(list_last(&pool->idle)), POOL_CLOSE, reason, now, out))
			break;
		closed = true;
	}
	return closed;
}

static PoolSlot *
first_opened(List *slots)
{
	PoolSlot *first = NULL;

	list_each (node, slots)
	{
		if (first == NULL || slot_of(node)->opened_at < first->opened_at)
			first = slot_of(node);
	}
	return first;
}

/* Close idle slots for their age, one a gap, and find out when the next is due. */
static void
close_too_old(Pool *pool, usec_t now, PoolActions *out)
{
	while (pool->_age_at <= now)
	{
		PoolSlot *slot = first_opened(&pool->idle);
		deadline_t at = slot != NULL ? slot_too_old_at(slot) : DEADLINE_NONE;

		if (at > now)
			pool->_age_at = at;
		else if (slot_close(slot, POOL_CLOSE, "server lifetime over", now, out))
			pool->_aged_at = now;
		else
			return;
	}
}

/* --- time --- */

void
pool_tick(Pool *pool, usec_t now, PoolActions *out)
{
	if (pool->_starved)
	{
		/* those that wait for memory to be closed */
		pool->_starved = false;
		slots_close_idle(pool, now, out);
	}
	grant_expire(pool, now, out);
	close_too_old(pool, now, out);
	grant_serve(pool, now, out);
	/* a slot opened for the waiters may make an old idle one superfluous (where those that are checked do not
	 * answer) */
	do
		open_fill(pool, now, out);
	while (close_idle_too_long(pool, now, out));
}

/* When the most urgent waiter of a lane is given up on. */
static deadline_t
lane_expires_at(const Pool *pool, const PoolQueue *queue)
{
	deadline_t lost_at;

	if (queue->first == NULL)
		return DEADLINE_NONE;
	lost_at = admission_lost_at(pool, queue->first);
	/* at lost_at itself it could still make it */
	return lost_at < queue->first->deadline ? lost_at + 1 : lost_at;
}

deadline_t
pool_next_event(const Pool *pool, usec_t now)
{
	deadline_t at;

	if (pool->_starved)
		return now + MEMORY_RETRY_US;
	at = deadline_min(idle_ends_at(pool), pool->_age_at);
	if (!list_empty(&pool->waiters))
	{
		if (grant_is_due(pool, now))
			return now;
		for (int i = 0; i < POOL_QUEUES; i++)
			at = deadline_min(at, lane_expires_at(pool, &pool->_queue[i]));
		at = deadline_min(at, queue_oldest(pool)->wait_until);
		at = deadline_min(at, lane_opens_at(pool, now));
	}
	return deadline_min(at, open_next_event(pool, now));
}
