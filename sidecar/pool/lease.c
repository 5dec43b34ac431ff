/*
 * lease.c: slots that a home gives to its own waiters by itself, and tells about afterwards.
 *
 * A slot on lease is ACTIVE for the policy, whether it serves somebody or not.  That is right only while nobody has to wait for a slot, so
 * the whole of it is allowed to pools where nobody does (pool_may_lease), and a home gives back what it does not use as soon
 * as somebody might want it.  What has run on lease is learned from tallies.
 */
#include "pool/policy.h"

#include <assert.h>

/* A class must be known so well before it is served without being asked about. */
#define CALLS_TO_KNOW 8

bool
pool_may_lease(const Pool *pool)
{
	const PoolLimits *limits = &pool->limits;

	/* where a group keeps a pool from opening a slot, an idle one of another may be what it waits for */
	return list_empty(&pool->waiters) && !pool->paused && !pool->retiring && !pool->_starved && pool->home == POOL_ANY_HOME &&
		   pool->_blocked == POOL_NOT_BLOCKED && !open_has_blocked(pool->db_group) && !open_has_blocked(pool->user_group) &&
		   (!limits->round_robin || limits->turn_by_home) && pool->active.count <= adaptive_limit(pool) && limits->lifetime_us != 0 &&
		   (limits->check_delay_us < 0 || limits->check_delay_us >= USEC_PER_SEC) &&
		   (limits->size == 0 || open_live(pool) <= limits->size);
}

bool
pool_has_spare(const Pool *pool)
{
	return !list_empty(&pool->idle) && adaptive_room(pool) > 0;
}

bool
pool_lease_knows(Pool *pool, uint64_t fingerprint, usec_t now)
{
	PoolClass *class = pool_classes_find(&pool->classes, fingerprint);

	if (fingerprint == 0)
		return true;
	return class != NULL && class->calls >= CALLS_TO_KNOW && lane_of(pool, class, now) == LANE_NORMAL;
}

bool
pool_lease(PoolSlot *slot, usec_t now, PoolActions *out)
{
	deadline_t until = slot_too_old_at(slot);

	assert(slot->state == SLOT_ACTIVE);
	if (slot->close_needed || until <= now || !pool_may_lease(slot->pool))
		return false;
	slot_end_hold(slot, now, out);
	slot->lease_until = until;
	return true;
}

void
pool_lease_shows(PoolSlot *slot, const PoolLeaseRun *run)
{
	Pool *pool = slot->pool;

	assert(slot->state == SLOT_ACTIVE);
	lane_starts(slot, pool_classes_get(&pool->classes, run->fingerprint), run->since);
	if (slot->_granted_at != 0)
		return;
	/* as it would have been granted */
	slot->_granted_at = run->held_since;
	slot->_held_for = pool_classes_get(&pool->classes, run->held_for);
	if (slot->_held_for != NULL)
		slot->_held_for->_refs++;
	slot->_cap = run->cap;
	pool->counters.granted++;
	sparse_histogram_add(&pool->counters.wait_hist, 0);
}

void
pool_lease_begins(Pool *pool)
{
	if (pool->leases++ > 0)
		return;
	if (pool->db_group != NULL)
		list_append(&pool->db_group->leased, &pool->in_db.leased);
	if (pool->user_group != NULL)
		list_append(&pool->user_group->leased, &pool->in_user.leased);
}

void
pool_lease_ends(Pool *pool)
{
	assert(pool->leases > 0);
	if (--pool->leases > 0)
		return;
	if (pool->db_group != NULL)
		list_remove(&pool->db_group->leased, &pool->in_db.leased);
	if (pool->user_group != NULL)
		list_remove(&pool->user_group->leased, &pool->in_user.leased);
}

PoolGroup *
pool_actions_next_crowded(PoolActions *actions)
{
	PoolGroup *group = actions->_crowded;

	if (group == NULL)
		return NULL;
	actions->_crowded = group->_next_crowded;
	group->_is_crowded = false;
	return group;
}

Pool *
pool_leased(const PoolGroup *group, ListNode *node)
{
	return group->_of_user ? CONTAINER_OF(node, Pool, in_user.leased) : CONTAINER_OF(node, Pool, in_db.leased);
}

void
pool_lease_served(Pool *pool, usec_t at)
{
	if (at > pool->_normal_seen)
		lane_note_normal(pool, at);
}

PoolTally
pool_tally(Pool *pool, uint64_t fingerprint, usec_t now)
{
	return (PoolTally){.fingerprint = fingerprint,
					   .last = now,
					   .worst_us = adaptive_worst_us(pool, pool_classes_find(&pool->classes, fingerprint))};
}

bool
pool_learn_tally(Pool *pool, PoolTally *tally, usec_t now)
{
	PoolClass *class = pool_classes_get(&pool->classes, tally->fingerprint);
	Smoothed *run = class != NULL ? &class->run : &pool->estimate.run;

	for (uint32_t i = 0; i < POOL_TALLY_SAMPLES && i < tally->calls; i++)
		smoothed_add(run, tally->run_us[i]);
	for (uint32_t i = 0; i < POOL_TALLY_SAMPLES && i < tally->granted; i++)
		lane_learn_hold(pool, class, tally->hold_us[i], now);
	pool->counters.granted += tally->granted;
	sparse_histogram_count(&pool->counters.wait_hist, 0, tally->granted);
	if (tally->calls > 0 && tally->last > pool->estimate.ran_at)
		pool->estimate.ran_at = tally->last;
	if (tally->granted > 0 && tally->last > pool->_normal_seen)
		lane_note_normal(pool, tally->last);
	if (class != NULL)
	{
		class->calls += tally->calls;
		if (tally->calls > 0 && tally->last > class->last_ran)
			class->last_ran = tally->last;
	}
	adaptive_learn_tally(pool, class, tally, now);
	*tally = pool_tally(pool, tally->fingerprint, tally->last);
	return class == NULL || lane_of(pool, class, now) == LANE_NORMAL;
}
