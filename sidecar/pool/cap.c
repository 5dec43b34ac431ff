/*
 * cap.c: requests of one kind, held to a number of their own, over all pools.
 *
 * A request that names a cap needs one of its places before it may have, or stand in line for, a server; it keeps the place until
 * its server is clean again.  While all places are taken it is parked: on the pool's list of waiters, so that its
 * times run, and in a queue that nothing is granted from (LANE_PARKED), for its deadline.  A place that becomes free goes
 * to the parked request that is due first (its deadline, or a second after its arrival), of whichever pool.
 *
 * Requests on lease take and give places from their own threads, while others are in the policy: `active` moves by compare and swap, so that it never
 * exceeds the limit.  Who is parked looks for a free place once more after it is counted in `_waiting`, who gives one back looks
 * for the parked afterwards: one of the two sees the other.
 */
#include "pool/policy.h"

#include <string.h>

void
pool_cap_init(PoolCap *cap, int max_active, int max_waiting)
{
	memset(cap, 0, sizeof(*cap));
	cap->max_active = max_active;
	cap->max_waiting = max_waiting;
	list_init(&cap->_parked);
}

static bool
take_place(PoolCap *cap)
{
	int active = atomic_load(&cap->active);

	while (cap->max_active <= 0 || active < cap->max_active)
		if (atomic_compare_exchange_weak(&cap->active, &active, active + 1))
			return true;
	return false;
}

bool
pool_cap_enter(PoolCap *cap)
{
	return atomic_load(&cap->_waiting) == 0 && take_place(cap);
}

bool
pool_cap_exit(PoolCap *cap)
{
	atomic_fetch_sub(&cap->active, 1);
	return atomic_load(&cap->_waiting) > 0;
}

bool
cap_take(PoolWaiter *waiter)
{
	PoolCap *cap = waiter->cap;

	waiter->_has_place = false;
	if (cap == NULL)
		return true;
	waiter->_has_place = take_place(cap);
	return waiter->_has_place;
}

bool
cap_is_full(const PoolWaiter *waiter)
{
	const PoolCap *cap = waiter->cap;

	return cap != NULL && !waiter->_has_place && cap->max_waiting > 0 && cap->_parked.count >= cap->max_waiting;
}

usec_t
cap_wait_us(const PoolWaiter *waiter, usec_t own_us)
{
	const PoolCap *cap = waiter->cap;

	if (cap == NULL || waiter->_has_place || cap->max_active <= 0)
		return 0;
	return (cap->_parked_us + own_us) / cap->max_active;
}

static inline deadline_t
due(const PoolWaiter *waiter)
{
	return waiter->deadline != DEADLINE_NONE ? waiter->deadline : waiter->since + AGING_US;
}

void
cap_enter(PoolWaiter *waiter)
{
	PoolCap *cap = waiter->cap;
	ListNode *before = cap->_parked.head.prev;

	/* nearly everybody belongs near the end */
	while (before != &cap->_parked.head && due(CONTAINER_OF(before, PoolWaiter, _capped)) > due(waiter))
		before = before->prev;
	list_insert_before(&cap->_parked, before->next, &waiter->_capped);
	cap->_parked_us += waiter->_cost_us;
	cap->parked++;
	atomic_fetch_add(&cap->_waiting, 1);
}

void
cap_leave(PoolWaiter *waiter)
{
	list_remove(&waiter->cap->_parked, &waiter->_capped);
	waiter->cap->_parked_us -= waiter->_cost_us;
	atomic_fetch_sub(&waiter->cap->_waiting, 1);
}

/* The waiter has its place: now it stands in line as everybody. */
static void
unpark(PoolWaiter *waiter, const Pool *caller, usec_t now, PoolActions *out)
{
	Pool *pool = waiter->pool;
	PoolAction look = {.kind = POOL_LOOK, .pool = pool};

	queue_move(pool, waiter, lane_of(pool, waiter->_class, now));
	waiter->_has_place = true;
	if (pool == caller)
		return;
	grant_serve(pool, now, out);
	open_fill(pool, now, out);
	if (actions_room(pool, out))
		actions_add(out, &look);
}

void
cap_serve(PoolCap *cap, const Pool *caller, usec_t now, PoolActions *out)
{
	if (cap->_serving)
		return; /* the outer call goes on */
	cap->_serving = true;
	while (!list_empty(&cap->_parked) && take_place(cap))
		unpark(CONTAINER_OF(list_first(&cap->_parked), PoolWaiter, _capped), caller, now, out);
	cap->_serving = false;
}

void
cap_give_back(PoolCap *cap, const Pool *caller, usec_t now, PoolActions *out)
{
	atomic_fetch_sub(&cap->active, 1);
	cap_serve(cap, caller, now, out);
}

void
pool_cap_serve(PoolCap *cap, usec_t now, PoolActions *out)
{
	cap_serve(cap, NULL, now, out);
}

void
pool_cap_change(PoolCap *cap, int max_active, int max_waiting, usec_t now, PoolActions *out)
{
	cap->max_active = max_active;
	cap->max_waiting = max_waiting;
	cap_serve(cap, NULL, now, out);
}
