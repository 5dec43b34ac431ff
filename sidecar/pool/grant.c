/*
 * grant.c: who is next, and who is told no.
 *
 * Among four candidates at most (two lanes, with and without a deadline) one is chosen in O(1): the queues
 * keep their order themselves.
 */
#include "pool/policy.h"

/* For whom a slot need not move, one may be passed over who came so much earlier, among so many. */
#define NEAR_US (5 * USEC_PER_MSEC)
#define NEAR_LOOKS 16

/* --- failing --- */

static void
count_failure(Pool *pool, const PoolWaiter *waiter, PoolFail fail)
{
	PoolCounters *counters = &pool->counters;

	switch (fail)
	{
		case POOL_FAIL_DEADLINE:
			counters->expired++;
			if (waiter->_class != NULL)
				waiter->_class->expired++;
			break;
		case POOL_FAIL_HOPELESS:
			counters->refused_hopeless++;
			if (waiter->_class != NULL)
				waiter->_class->refused++;
			break;
		case POOL_FAIL_QUEUE_FULL: counters->refused_full++; break;
		case POOL_FAIL_CAP_FULL:
			counters->refused_cap++;
			waiter->cap->refused++;
			break;
		case POOL_FAIL_WAIT_TIMEOUT: counters->wait_timeouts++; break;
		case POOL_FAIL_LOGIN: counters->login_fails++; break;
	}
}

void
grant_fail(Pool *pool, PoolWaiter *waiter, const PoolAction *why, usec_t now, PoolActions *out)
{
	PoolAction action = *why;

	action.kind = POOL_FAIL;
	action.pool = pool;
	action.waiter = waiter;
	action.waited_us = now - waiter->since;
	count_failure(pool, waiter, action.fail);
	sparse_histogram_add(&pool->counters.wait_hist, action.waited_us);
	if (pool_is_waiting(waiter))
	{
		if ((action.fail == POOL_FAIL_DEADLINE || action.fail == POOL_FAIL_HOPELESS) && !waiter->_probe &&
			waiter->_lane != LANE_PARKED)
			admission_learn_miss(pool, waiter->since, now);
		queue_remove(pool, waiter);
	}
	actions_add(out, &action);
	if (waiter->_has_place)
	{
		waiter->_has_place = false;
		cap_give_back(waiter->cap, pool, now, out);
	}
}

/* Give up on those at the head of a lane who are out of time. */
static void
expire_lane(Pool *pool, PoolQueue *queue, usec_t now, PoolActions *out)
{
	PoolWaiter *waiter;

	while ((waiter = queue->first) != NULL && actions_room(pool, out))
	{
		deadline_t lost_at = admission_lost_at(pool, waiter);
		PoolAction why = {.fail = POOL_FAIL_DEADLINE};

		if (waiter->deadline > now)
		{
			/* exactly what is needed is enough */
			if (lost_at >= now)
				return;
			why.fail = POOL_FAIL_HOPELESS;
			why.expected_run_us = waiter->deadline - lost_at;
		}
		grant_fail(pool, waiter, &why, now, out);
	}
}

/* Give up on the oldest waiters if they have waited for too long; true when one had. */
static bool
end_waits(Pool *pool, usec_t now, PoolActions *out)
{
	PoolWaiter *waiter;
	bool any = false;

	while ((waiter = queue_oldest(pool)) != NULL && waiter->wait_until <= now && actions_room(pool, out))
	{
		grant_fail(pool, waiter, &(PoolAction){.fail = POOL_FAIL_WAIT_TIMEOUT}, now, out);
		any = true;
	}
	return any;
}

void
grant_expire(Pool *pool, usec_t now, PoolActions *out)
{
	/* a deadline goes first: missing it ends a request, waiting for too long ends the session */
	do
	{
		for (int i = 0; i < POOL_QUEUES; i++)
			expire_lane(pool, &pool->_queue[i], now, out);
	} while (end_waits(pool, now, out));
}

/* --- choosing --- */

static PoolWaiter *
earlier_deadline(PoolWaiter *a, PoolWaiter *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	return b->deadline < a->deadline ? b : a;
}

static PoolWaiter *
earlier_arrival(PoolWaiter *a, PoolWaiter *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	return b->since < a->since ? b : a;
}

/* Between the most urgent deadline and the oldest without one. */
static PoolWaiter *
choose(const Pool *pool, PoolWaiter *urgent, PoolWaiter *plain, usec_t now)
{
	if (urgent == NULL || plain == NULL)
		return urgent != NULL ? urgent : plain;
	if (plain->since + AGING_US <= now)
		return pool->_plain_turn ? plain : urgent;
	return plain->since + AGING_US < urgent->deadline ? plain : urgent;
}

/* The first of the slow lane go back if their classes are no longer slow. */
static void
leave_slow_lane(Pool *pool, usec_t now)
{
	PoolQueue *lane = &pool->_queue[LANE_SLOW];
	PoolWaiter *waiter;

	while ((waiter = lane->first) != NULL && lane_of(pool, waiter->_class, now) == LANE_NORMAL)
		queue_move(pool, waiter, LANE_NORMAL);
	while ((waiter = queue_first_plain(lane)) != NULL && lane_of(pool, waiter->_class, now) == LANE_NORMAL)
		queue_move(pool, waiter, LANE_NORMAL);
}

/* Who may have the next slot, or NULL.  Waiters whose class has become slow meanwhile go to the slow lane. */
static PoolWaiter *
next_waiter(Pool *pool, usec_t now)
{
	leave_slow_lane(pool, now);
	for (;;)
	{
		bool slow = lane_room(pool, now) > 0;
		PoolQueue *normal = &pool->_queue[LANE_NORMAL];
		PoolQueue *lane = &pool->_queue[LANE_SLOW];
		PoolWaiter *urgent = earlier_deadline(normal->first, slow ? lane->first : NULL);
		PoolWaiter *plain = earlier_arrival(queue_first_plain(normal), slow ? queue_first_plain(lane) : NULL);
		PoolWaiter *waiter = choose(pool, urgent, plain, now);

		if (waiter == NULL || slow || lane_of(pool, waiter->_class, now) == LANE_NORMAL)
			return waiter;
		queue_move(pool, waiter, LANE_SLOW);
	}
}

/* --- granting --- */

/* The slot is idle, the waiter in no queue. */
static inline void
begin_grant(PoolSlot *slot, PoolWaiter *waiter, usec_t now)
{
	Pool *pool = slot->pool;
	usec_t waited_us = now - waiter->since;

	slot_set_state(slot, SLOT_ACTIVE, now);
	slot->_granted_at = now;
	slot->_probe = waiter->_probe;
	admission_granted(slot, waiter, now);
	slot->_cap = waiter->_has_place ? waiter->cap : NULL;
	waiter->_has_place = false;
	slot->_held_for = waiter->_class;
	if (waiter->_class != NULL)
		waiter->_class->_refs++;
	lane_starts(slot, waiter->_class, now);
	pool->_plain_turn = waiter->deadline != DEADLINE_NONE;
	pool->counters.granted++;
	pool->counters.waited_us += (uint64_t) waited_us;
	sparse_histogram_add(&pool->counters.wait_hist, waited_us);
}

/* The slot is idle and there is room for the action. */
static void
grant(PoolSlot *slot, PoolWaiter *waiter, usec_t now, PoolActions *out)
{
	PoolAction action = {
		.kind = POOL_GRANT,
		.pool = slot->pool,
		.slot = slot,
		.waiter = waiter,
		.waited_us = now - waiter->since,
	};

	if (pool_is_waiting(waiter))
		queue_remove(slot->pool, waiter);
	begin_grant(slot, waiter, now);
	actions_add(out, &action);
}

/* The idle slot to use next. */
static PoolSlot *
next_idle(const Pool *pool)
{
	PoolSlot *slot = slot_of(pool->limits.round_robin ? list_last(&pool->idle) : list_first(&pool->idle));

	/* marked ones are idle only until memory for their closing is found */
	while (slot != NULL && slot->close_needed)
	{
		ListNode *next = pool->limits.round_robin ? slot->node.prev : slot->node.next;

		slot = next != &pool->idle.head ? slot_of(next) : NULL;
	}
	return slot;
}

static inline bool
needs_check(const Pool *pool, const PoolSlot *slot, usec_t now)
{
	return pool->limits.check_delay_us >= 0 && now - slot->state_since >= pool->limits.check_delay_us;
}

/*
 * In turn, it is one of this home if there is any among the older half of all: so none is passed over for long, and with few idle ones the
 * order is that of all.
 */
static PoolSlot *
nearest_in_turn(const Pool *pool, int home, PoolSlot *oldest, usec_t now)
{
	int looks = pool->idle.count / 2 < NEAR_LOOKS ? pool->idle.count / 2 : NEAR_LOOKS;

	for (ListNode *node = &oldest->node; node != &pool->idle.head && looks > 0; node = node->prev, looks--)
	{
		PoolSlot *slot = slot_of(node);

		if (slot->home == home && !slot->close_needed && !needs_check(pool, slot, now))
			return slot;
	}
	return oldest;
}

/* ... by a waiter of this home: rather one that need not move. */
static PoolSlot *
nearest_idle(const Pool *pool, int home, PoolSlot *other, usec_t now)
{
	const List *near = &pool->_idle_at[home];
	ListNode *node;
	PoolSlot *slot;

	if (other == NULL || other->home == home)
		return other;
	if (pool->limits.round_robin)
		return pool->limits.turn_by_home ? nearest_in_turn(pool, home, other, now) : other;
	node = list_first(near);
	slot = node != NULL ? CONTAINER_OF(node, PoolSlot, _home_node) : NULL;
	return slot != NULL && !slot->close_needed && !needs_check(pool, slot, now) ? slot : other;
}

/* The idle slot that a waiter who stands in no queue may have now, or NULL. */
static inline PoolSlot *
free_slot(Pool *pool, const PoolWaiter *waiter, usec_t now)
{
	PoolSlot *slot;

	if (list_empty(&pool->idle) || pool->paused || pool->retiring || pool->_queue[waiter->_lane].count > 0 ||
		(waiter->_lane == LANE_SLOW && lane_room(pool, now) == 0) || adaptive_room(pool) == 0)
		return NULL;
	slot = nearest_idle(pool, waiter->home, next_idle(pool), now);
	return slot != NULL && !needs_check(pool, slot, now) ? slot : NULL;
}

bool
grant_at_once(Pool *pool, PoolWaiter *waiter, usec_t now, PoolActions *out)
{
	PoolSlot *slot = free_slot(pool, waiter, now);

	if (slot == NULL || !actions_room(pool, out))
		return false;
	grant(slot, waiter, now, out);
	return true;
}

PoolSlot *
grant_directly(Pool *pool, PoolWaiter *waiter, usec_t now)
{
	PoolSlot *slot = free_slot(pool, waiter, now);

	if (slot == NULL || slot->home != waiter->home)
		return NULL;
	begin_grant(slot, waiter, now);
	return slot;
}

/* Find out whether the slot still lives, for one of the waiters. */
static void
check(PoolSlot *slot, usec_t now, PoolActions *out)
{
	PoolAction action = {.kind = POOL_CHECK, .pool = slot->pool, .slot = slot};

	slot_set_state(slot, SLOT_CLEANING, now);
	slot->_checking = true;
	slot->pool->_checks++;
	actions_add(out, &action);
}

int
grant_eligible(const Pool *pool, usec_t now)
{
	int room = lane_room(pool, now);
	int slow = pool->_queue[LANE_SLOW].count;
	int wanted = pool->_queue[LANE_NORMAL].count + (slow < room ? slow : room);
	int allowed = adaptive_room(pool);

	return wanted < allowed ? wanted : allowed;
}

/*
 * Who gets the slot when it is `first`'s turn: rather somebody of the slot's home who came so little later that it makes no difference to who waits.
 * Moving costs more than serving, and in a crowd that waits at all homes every other grant would be a move.  How often one can be
 * passed over is bounded by who came in that time.
 */
static PoolWaiter *
near_waiter(const Pool *pool, const PoolSlot *slot, PoolWaiter *first)
{
	const List *line = &pool->_queue[LANE_NORMAL].plain;
	int looks = NEAR_LOOKS;

	if (first->home == slot->home || first->deadline != DEADLINE_NONE || first->_lane != LANE_NORMAL || pool->limits.round_robin)
		return first;
	for (ListNode *node = first->_plain.next; node != &line->head && looks > 0; node = node->next, looks--)
	{
		PoolWaiter *waiter = CONTAINER_OF(node, PoolWaiter, _plain);

		if (waiter->since > first->since + NEAR_US)
			break;
		if (waiter->home == slot->home && waiter->_class == first->_class)
			return waiter;
	}
	return first;
}

static void
serve(Pool *pool, usec_t now, PoolActions *out)
{
	PoolSlot *slot;
	PoolWaiter *waiter;

	for (;;)
	{
		/* who is first may be too late by now, which nobody asked while somebody else was */
		grant_expire(pool, now, out);
		slot = adaptive_room(pool) > 0 ? next_idle(pool) : NULL;
		if (slot == NULL || !actions_room(pool, out))
			return;
		if (needs_check(pool, slot, now))
		{
			if (pool->_checks >= grant_eligible(pool, now))
				return;
			check(slot, now, out);
			continue;
		}
		waiter = next_waiter(pool, now);
		if (waiter == NULL)
			return;
		slot = nearest_idle(pool, waiter->home, slot, now);
		grant(slot, near_waiter(pool, slot, waiter), now, out);
	}
}

void
grant_serve(Pool *pool, usec_t now, PoolActions *out)
{
	if (!list_empty(&pool->waiters) && !pool->paused && !pool->retiring)
		serve(pool, now, out);
	pool->_lanes_moved = false;
}

bool
grant_is_due(const Pool *pool, usec_t now)
{
	if (list_empty(&pool->idle) || pool->paused || pool->retiring || adaptive_room(pool) == 0)
		return false;
	return pool->_lanes_moved || grant_eligible(pool, now) > pool->_checks;
}

void
grant_slot(PoolSlot *slot, usec_t now, PoolActions *out)
{
	Pool *pool = slot->pool;
	PoolWaiter *waiter;

	if (list_empty(&pool->waiters) || pool->paused || pool->retiring || adaptive_room(pool) == 0 ||
		!actions_room(pool, out))
		return;
	grant_expire(pool, now, out);
	waiter = next_waiter(pool, now);
	if (waiter != NULL && actions_room(pool, out))
		grant(slot, near_waiter(pool, slot, waiter), now, out);
}
