/*
 * admission.c: who cannot make its deadline: told at once, instead of after it.
 *
 * The estimate, at enqueue:
 *
 *   wait = (expected cost of those ahead in deadline order + of what runs now) / slots that serve this lane
 *   run  = mean + deviation of the statement class
 *   refused when  wait * (1 + margin) + run + guard  exceeds the budget
 *
 * The guard is for the way of the answer to the client, whose clock counts.  The margin is learned: a miss (a
 * queued request that was given up on, or whose answer was later than its deadline less the guard) widens it
 * by a step, 64 successes without a miss narrow it by an eighth of one.  Only requests that arrived after the
 * last change count, for those who stand in a queue of two thousand were all let in by the same margin:
 * counting each would swing it from one end to the other, as TCP's window would swing if it were halved at
 * each lost packet rather than once a round trip (RFC 5681).  So it settles where about one in 500 misses,
 * and is near zero where nobody does: a burst below capacity is not refused for the sake of a caution that
 * only overload needs.
 *
 * This is the test of earliest-deadline-first admission control (Dertouzos 1974 for the order; Stankovic et
 * al., "Deadline Scheduling for Real-Time Systems", 1998, for testing at arrival), with work measured as
 * smoothed mean and deviation (classes.h).  Refusing by expected wait rather than by length of queue follows
 * CoDel (RFC 8289): what hurts is time spent waiting, and a standing queue longer than needed to keep the
 * servers busy buys nothing.
 *
 * It cannot lock a pool shut.  A request that finds a slot idle and nobody waiting is never judged, so that a
 * pool that has become quick again measures itself with its very next request; a class never seen has no run
 * time held against it; and a class (or pool) from which everybody is refused is let in once in a while
 * as a probe, whose measured time replaces the old estimate when it is shorter.  What is measured anyway is
 * not probed: a probe is a request that will be late, and takes the place of one that would not.
 *
 * At the head of the queue a waiter is given up on (`lost`) when not even mean minus deviation fits what is
 * left.
 */
#include "pool/policy.h"

#include <limits.h>

/* How often a class, and a pool, is probed at most. */
#define PROBE_CLASS_US (250 * USEC_PER_MSEC)
#define PROBE_POOL_US (100 * USEC_PER_MSEC)
/* The margin, in parts of 2^16 of the expected wait: its step at a miss, its step after so many successes,
 * and its end. */
#define MARGIN_ONE 65536
#define MARGIN_MISS (MARGIN_ONE / 32)
#define MARGIN_SUCCESS (MARGIN_MISS / 8)
#define MARGIN_SUCCESSES 64
#define MARGIN_MAX (MARGIN_ONE / 4)
/* The guard: this part of the budget, and no more than so much. */
#define GUARD_PART 16
#define GUARD_MAX_US (10 * USEC_PER_MSEC)

static inline usec_t
smaller(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

/* --- how much work is ahead --- */

usec_t
admission_cost_us(const Pool *pool, const PoolWaiter *waiter)
{
	if (waiter->_class != NULL && waiter->_class->hold.seen)
		return waiter->_class->hold.mean_us;
	return pool->estimate.hold[waiter->_lane].mean_us;
}

/* The part of the waiters without a deadline that is served before this one. */
static usec_t
plain_ahead_us(const PoolQueue *queue, deadline_t deadline, usec_t others_us, usec_t now)
{
	deadline_t from;
	deadline_t to;

	if (list_empty(&queue->plain))
		return 0;
	from = queue_first_plain(queue)->since + AGING_US;
	to = CONTAINER_OF(list_last(&queue->plain), PoolWaiter, _plain)->since + AGING_US;
	if (from <= now) /* they take turns with the others */
		return smaller(queue->plain_us, others_us);
	if (deadline < from)
		return 0;
	if (deadline >= to)
		return queue->plain_us;
	return (usec_t) ((double) queue->plain_us * (double) (deadline - from) / (double) (to - from));
}

/* Slots that can be counted on, opening ones included; at least one. */
static int
slots_of_lane(const Pool *pool, Lane lane)
{
	int slots = (int) smaller(open_live(pool), adaptive_limit(pool));
	int limit = lane_limit(pool);
	int slow = pool->_slow_active + pool->_queue[LANE_SLOW].count;

	if (lane == LANE_SLOW)
		slots = slots < limit ? slots : limit;
	else
		slots -= smaller(slow, pool->_slow_active > limit ? pool->_slow_active : limit);
	return slots > 1 ? slots : 1;
}

static usec_t
expected_wait_us(const Pool *pool, const PoolWaiter *waiter, usec_t now)
{
	Lane lane = (Lane) waiter->_lane;
	const PoolQueue *queue = &pool->_queue[lane];
	usec_t mixed = pool->estimate.hold[lane].mean_us;
	usec_t own = admission_cost_us(pool, waiter);
	usec_t running = mixed > own ? mixed : own; /* who is dear is seldom dear alone */
	usec_t ahead = queue_ahead_us(queue, waiter->deadline);
	usec_t wait;

	ahead += plain_ahead_us(queue, waiter->deadline, ahead + running, now);
	wait = (ahead + running) / slots_of_lane(pool, lane);
	if (lane == LANE_SLOW) /* the normal lane goes first where its deadlines are earlier */
		wait +=
			queue_ahead_us(&pool->_queue[LANE_NORMAL], waiter->deadline) / slots_of_lane(pool, LANE_NORMAL);
	if (pool->active.count + pool->idle.count + pool->cleaning.count == 0)
		wait += pool->estimate.login.mean_us;
	return wait;
}

/* --- the verdict --- */

/* Let this one in although it will be late, to measure? */
static bool
probe(Pool *pool, PoolWaiter *waiter, usec_t now)
{
	PoolClass *class = waiter->_class;
	usec_t measured = class != NULL ? class->last_ran : pool->estimate.ran_at;

	if (now - pool->estimate.probed_at < PROBE_POOL_US ||
		(measured != 0 && now - measured < PROBE_CLASS_US) ||
		(class != NULL && class->_probed_at != 0 && now - class->_probed_at < PROBE_CLASS_US))
		return false;
	pool->estimate.probed_at = now;
	if (class != NULL)
		class->_probed_at = now;
	waiter->_probe = true;
	return true;
}

static usec_t
guard_us(usec_t budget)
{
	return smaller(budget / GUARD_PART, GUARD_MAX_US);
}

bool
admission_refuses(Pool *pool, PoolWaiter *waiter, usec_t now, usec_t *wait_us, usec_t *run_us)
{
	usec_t budget = waiter->deadline - now;
	usec_t wait;
	usec_t run = 0;

	if (!pool->limits.admission || waiter->deadline == DEADLINE_NONE || pool->paused)
		return false;
	wait = expected_wait_us(pool, waiter, now);
	if (waiter->_class == NULL)
		run = pool->estimate.run.mean_us;
	else if (waiter->_class->run.seen)
		run = waiter->_class->run.mean_us + waiter->_class->run.dev_us;
	wait += wait * pool->estimate.margin / MARGIN_ONE + cap_wait_us(waiter, admission_cost_us(pool, waiter));
	if (wait + run + guard_us(budget) <= budget || probe(pool, waiter, now))
		return false;
	*wait_us = wait;
	*run_us = run;
	return true;
}

deadline_t
admission_lost_at(const Pool *pool, const PoolWaiter *waiter)
{
	const Smoothed *run;

	if (!pool->limits.admission || waiter->_class == NULL || waiter->_probe)
		return waiter->deadline;
	run = &waiter->_class->run;
	return run->mean_us > run->dev_us ? waiter->deadline - (run->mean_us - run->dev_us) : waiter->deadline;
}

/* --- learning --- */

static void
set_margin(Pool *pool, int margin, usec_t now)
{
	pool->estimate.margin = margin < 0 ? 0 : margin > MARGIN_MAX ? MARGIN_MAX : margin;
	pool->estimate.margin_since = now;
	pool->estimate.successes = 0;
}

void
admission_learn_miss(Pool *pool, usec_t since, usec_t now)
{
	if (since >= pool->estimate.margin_since)
		set_margin(pool, pool->estimate.margin + MARGIN_MISS, now);
}

static void
learn_success(Pool *pool, usec_t since, usec_t now)
{
	if (since >= pool->estimate.margin_since && ++pool->estimate.successes >= MARGIN_SUCCESSES)
		set_margin(pool, pool->estimate.margin - MARGIN_SUCCESS, now);
}

void
admission_granted(PoolSlot *slot, const PoolWaiter *waiter, usec_t now)
{
	slot->_goal = DEADLINE_NONE;
	slot->_asked_at = waiter->since;
	if (waiter->deadline != DEADLINE_NONE && now > waiter->since && !waiter->_probe)
		slot->_goal = waiter->deadline - guard_us(waiter->deadline - waiter->since);
}

/* The request that was granted after a wait has its answer. */
static void
learn_margin(PoolSlot *slot, usec_t now)
{
	if (slot->_goal == DEADLINE_NONE)
		return;
	if (now > slot->_goal)
		admission_learn_miss(slot->pool, slot->_asked_at, now);
	else
		learn_success(slot->pool, slot->_asked_at, now);
	slot->_goal = DEADLINE_NONE;
}

void
admission_learn_run(PoolSlot *slot, usec_t run_us, bool completed, usec_t now)
{
	Pool *pool = slot->pool;
	PoolClass *class = slot->running;
	Smoothed *run = class != NULL ? &class->run : &pool->estimate.run;

	learn_margin(slot, now);
	pool->estimate.ran_at = now;
	if (completed && slot->_probe && run->seen && run_us < run->mean_us)
		*run = (Smoothed){0};
	slot->_probe = false;
	if (completed)
		smoothed_add(run, run_us);
	else
		smoothed_add_at_least(run, run_us);
	if (completed)
		adaptive_learn(pool, class, run_us, now);
	if (class == NULL)
		return;
	class->calls++;
	class->last_ran = now;
	(void) lane_of(pool, class, now);
}

/* --- showing --- */

void
pool_admission(const Pool *pool, PoolAdmission *out)
{
	int active = adaptive_limit(pool);
	int slow = lane_limit(pool);

	*out = (PoolAdmission){
		.active_limit = active == INT_MAX ? 0 : active,
		.slow_limit = slow == INT_MAX ? 0 : slow,
		.slow_active = pool->_slow_active,
		.slow_waiting = pool->_queue[LANE_SLOW].count,
		.margin = (double) pool->estimate.margin / MARGIN_ONE,
	};
}
