/*
 * slots.c: server connections: their states, and what their events mean for the pool.
 *
 * slot_set_state is the only writer of PoolSlot.state; it moves the slot between the pool's lists.  Idle
 * slots are kept most recently used first, so the last one has been idle for longest; the other lists are in
 * order of entry.
 */
#include "pool/policy.h"

#include <assert.h>

/* --- states --- */

static inline List *
list_of(Pool *pool, SlotState state)
{
	switch (state)
	{
		case SLOT_NONE: return NULL;
		case SLOT_OPENING: return &pool->opening;
		case SLOT_IDLE: return &pool->idle;
		case SLOT_ACTIVE: return &pool->active;
		case SLOT_CLEANING: return &pool->cleaning;
		case SLOT_CLOSING: return &pool->closing;
	}
	return NULL;
}

/* The slot has been put on its list (1) or taken off it (-1). */
static void
count_group(PoolGroup *group, PoolMember *member, const Pool *pool, SlotState state, int change)
{
	if (group == NULL)
		return;
	if (state == SLOT_CLOSING)
		group->closing += change;
	if (state != SLOT_IDLE)
		return;
	group->_idle += change;
	if (pool->idle.count == 0)
		list_remove(&group->_with_idle, &member->with_idle);
	else if (pool->idle.count == 1 && change > 0)
		list_append(&group->_with_idle, &member->with_idle);
}

static void
count_groups(Pool *pool, SlotState state, int change)
{
	count_group(pool->db_group, &pool->in_db, pool, state, change);
	count_group(pool->user_group, &pool->in_user, pool, state, change);
}

void
slot_set_state(PoolSlot *slot, SlotState state, usec_t now)
{
	Pool *pool = slot->pool;
	List *from = list_of(pool, slot->state);
	List *to = list_of(pool, state);

	assert(slot->state != state);
	if (slot->state == SLOT_IDLE)
		list_remove(&pool->_idle_at[slot->home], &slot->_home_node);
	if (from != NULL)
	{
		list_remove(from, &slot->node);
		count_groups(pool, slot->state, -1);
	}
	if (state == SLOT_IDLE)
	{
		list_prepend(to, &slot->node);
		list_prepend(&pool->_idle_at[slot->home], &slot->_home_node);
	}
	else if (to != NULL)
		list_append(to, &slot->node);
	slot->state = state;
	slot->state_since = now;
	if (state == SLOT_IDLE && pool->idle.count == 1)
		pool->_idle_since = now;
	count_groups(pool, state, 1);
}

/* --- closing --- */

/* At most one slot a gap is closed for its age, so that slots opened together are not all replaced together.
 */
deadline_t
slot_too_old_at(const PoolSlot *slot)
{
	const Pool *pool = slot->pool;
	usec_t lifetime = pool->limits.lifetime_us;
	deadline_t at;
	usec_t gap;

	if (lifetime <= 0)
		return DEADLINE_NONE;
	at = slot->opened_at + lifetime;
	gap = pool->limits.size > 0 ? lifetime / pool->limits.size : 0;
	return pool->_aged_at != 0 && pool->_aged_at + gap > at ? pool->_aged_at + gap : at;
}

const char *
slot_close_reason(const PoolSlot *slot, bool used, usec_t now)
{
	const Pool *pool = slot->pool;

	if (pool->retiring)
		return "database removed";
	if (slot->close_needed)
		return "obsolete connection";
	if (pool->paused)
		return "pause mode";
	if (used && (pool->limits.lifetime_us == 0 || slot_too_old_at(slot) <= now))
		return "server lifetime over";
	if (pool->limits.size > 0 &&
		open_live(pool) - pool->pending_opens > pool->limits.size + open_reserve(pool))
		return "pool size was reduced";
	return NULL;
}

bool
slot_close(PoolSlot *slot, PoolActionKind kind, const char *reason, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;
	PoolAction action = {.kind = kind, .pool = pool, .slot = slot, .reason = reason};

	if (!actions_room(pool, out))
	{
		slot->close_needed = true;
		if (slot->state != SLOT_IDLE)
			slot_set_state(slot, SLOT_IDLE, now);
		return false;
	}
	slot_set_state(slot, SLOT_CLOSING, now);
	actions_add(out, &action);
	return true;
}

void
slots_close_idle(Pool *pool, usec_t now, PoolActions *out)
{
	list_each (node, &pool->idle)
	{
		PoolSlot *slot = slot_of(node);
		const char *reason = slot_close_reason(slot, false, now);

		if (reason != NULL && !slot_close(slot, POOL_CLOSE, reason, now, out))
			return;
	}
}

/* Forget what the slot was granted for; learn from it when it is told how long it took. */
static void
end_hold(PoolSlot *slot, bool learn, usec_t now, PoolActions *out)
{
	PoolClass *class = slot->_held_for;
	PoolCap *cap = slot->_cap;

	lane_ends(slot);
	if (slot->_granted_at != 0 && learn)
		lane_learn_hold(slot->pool, class, now - slot->_granted_at, now);
	slot->_granted_at = 0;
	slot->_held_for = NULL;
	if (class != NULL)
		class->_refs--;
	slot->_cap = NULL;
	if (cap != NULL)
		cap_give_back(cap, slot->pool, now, out);
}

void
slot_end_hold(PoolSlot *slot, usec_t now, PoolActions *out)
{
	end_hold(slot, true, now, out);
}

/* The slot is out of the pool from here on; room in the groups is used by whoever needs it. */
static void
leave(PoolSlot *slot, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;

	end_hold(slot, false, now, out);
	if (slot->_checking)
		pool->_checks--;
	slot->_checking = false;
	open_count_used(pool, -1);
	slot_set_state(slot, SLOT_NONE, now);
	slot->pool = NULL;
}

/* --- ready --- */

/*
 * Will a slot that has served a request just be kept, since nobody waits for it and nothing is against it?  What settle() would find out, for
 * a look at a few numbers.
 */
static inline bool
is_kept(const Pool *pool, const PoolSlot *slot, usec_t now)
{
	usec_t lifetime = pool->limits.lifetime_us;

	return list_empty(&pool->waiters) && !pool->retiring && !pool->paused && !slot->close_needed && !slot->_checking &&
		   (lifetime < 0 || (lifetime > 0 && now < slot->opened_at + lifetime && pool->_age_at <= slot->opened_at + lifetime)) &&
		   pool->_blocked == POOL_NOT_BLOCKED && !open_has_blocked(pool->db_group) && !open_has_blocked(pool->user_group) &&
		   (pool->limits.size <= 0 || open_live(pool) - pool->pending_opens <= pool->limits.size);
}

/* The slot has nothing to do: close it, grant it, or keep it. */
static void
settle(PoolSlot *slot, bool used, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;
	const char *reason = slot_close_reason(slot, used, now);
	bool checked = slot->_checking;
	deadline_t too_old_at;

	if (checked)
		pool->_checks--;
	slot->_checking = false;
	if (reason != NULL)
	{
		if (used && pool->limits.lifetime_us > 0 && !slot->close_needed && slot_too_old_at(slot) <= now)
			pool->_aged_at = now;
		(void) slot_close(slot, POOL_CLOSE, reason, now, out);
		grant_serve(pool, now, out); /* who got the place of its request in a cap */
		open_fill(pool, now, out);
		return;
	}
	if (used && now - slot->opened_at >= OPEN_PATIENCE_US && open_must_yield(pool, now))
	{
		(void) slot_close(slot, POOL_EVICT, "evicted", now, out);
		grant_serve(pool, now, out);
		open_fill(pool, now, out);
		return;
	}
	slot_set_state(slot, SLOT_IDLE, now);
	too_old_at = slot_too_old_at(slot);
	if (too_old_at < pool->_age_at)
		pool->_age_at = too_old_at;
	if (checked || !used)
		grant_slot(slot, now, out);
	grant_serve(pool, now, out);
	if (pool->_blocked != POOL_NOT_BLOCKED)
		open_fill(pool, now, out);
	open_serve_groups(pool, now, out);
}

/* --- events --- */

void
pool_slot_opening(Pool *pool, PoolSlot *slot, usec_t now)
{
	*slot = (PoolSlot){.pool = pool, ._goal = DEADLINE_NONE};
	if (pool->pending_opens > 0)
		pool->pending_opens--;
	else
		open_count_used(pool, 1);
	slot->reserve = pool->limits.size > 0 && open_live(pool) >= pool->limits.size;
	slot_set_state(slot, SLOT_OPENING, now);
}

void
pool_slot_opened(PoolSlot *slot, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;

	assert(slot->state == SLOT_OPENING);
	smoothed_add(&pool->estimate.login, now - slot->state_since);
	slot->opened_at = now;
	pool->counters.opened++;
	pool->last_open_failure = 0;
	pool->_failures = 0;
	pool->_login_refused = false;
	settle(slot, false, now, out);
	open_fill(pool, now, out);
}

void
pool_slot_open_failed(PoolSlot *slot, bool fail_waiters, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;

	assert(slot->state == SLOT_OPENING);
	leave(slot, now, out);
	open_failed(pool, fail_waiters, now, out);
}

void
pool_open_impossible(Pool *pool, usec_t now, PoolActions *out)
{
	assert(pool->pending_opens > 0);
	pool->pending_opens--;
	open_count_used(pool, -1);
	open_failed(pool, false, now, out);
}

void
pool_release(PoolSlot *slot, bool clean, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;

	assert(slot->state == SLOT_ACTIVE);
	if (!clean)
	{
		lane_ends(slot);
		slot_set_state(slot, SLOT_CLEANING, now);
		if (pool->_blocked != POOL_NOT_BLOCKED)
			open_fill(pool, now, out);
		return;
	}
	end_hold(slot, true, now, out);
	if (!is_kept(pool, slot, now))
	{
		settle(slot, true, now, out);
		return;
	}
	slot_set_state(slot, SLOT_IDLE, now);
	pool->_lanes_moved = false;
}

void
pool_slot_clean(PoolSlot *slot, usec_t now, PoolActions *out)
{
	bool used = !slot->_checking;

	assert(slot->state == SLOT_CLEANING);
	end_hold(slot, true, now, out);
	settle(slot, used, now, out);
}

void
pool_slot_closed(PoolSlot *slot, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;
	bool opening = slot->state == SLOT_OPENING;
	PoolAction action;
	PoolWaiter *again = NULL;

	if (actions_take_slot(out, slot, &action) && action.kind == POOL_GRANT)
	{
		again = action.waiter;
		again->_has_place = slot->_cap != NULL;
		slot->_cap = NULL;
	}
	leave(slot, now, out);
	if (!opening)
		pool->counters.closed++;
	if (again != NULL)
		pool_requeue(pool, again, now);
	if (opening)
		open_failed(pool, false, now, out);
	grant_serve(pool, now, out);
	open_share(pool, now, out);
}

void
pool_starts(PoolSlot *slot, uint64_t fingerprint, usec_t now)
{
	if (slot->running != NULL && pool_has_started(slot, fingerprint, now))
		return;
	lane_starts(slot, pool_classes_get(&slot->pool->classes, fingerprint), now);
}

void
pool_ran(PoolSlot *slot, usec_t run_us, bool completed, usec_t now)
{
	admission_learn_run(slot, run_us, completed, now);
	lane_ends(slot);
}
