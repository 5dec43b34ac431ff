/*
 * lane.c: which statement classes are slow, and how many slots they may hold.
 *
 * A class is slow when its mean cost (run or hold time, whichever is larger) is slow_lane_ratio times the
 * pool's median hold time, or when statements of it have been running for so long right now.  Slow requests
 * queue apart.  While requests of the normal lane are about (seen within LANE_MEMORY_US: they need not be
 * waiting, or one burst of slow ones in a quiet millisecond would take every slot for seconds) the slow ones
 * may hold slow_lane_percent of the slots, and at least one.
 *
 * The median is a frugal one (Ma, Muthukrishnan and Sandler, "Frugal Streaming for Estimating Quantiles",
 * 2013): one number that takes a step towards each sample, here of a sixteenth of itself.
 */
#include "pool/policy.h"

#include <limits.h>

/* For how long a request of the normal lane keeps slots free for the next one. */
#define LANE_MEMORY_US USEC_PER_SEC
/* Nothing that costs less is slow, however quick the others are. */
#define LANE_LEAST_US (10 * USEC_PER_MSEC)
/* Requests to have seen before the median means anything. */
#define LANE_SAMPLES 8
/* A class that was slow stays so until its cost is below this part of the limit. */
#define LANE_RETURN_PART 2

static inline usec_t
longer(usec_t a, usec_t b)
{
	return a > b ? a : b;
}

/* --- the share --- */

/* The slots this pool can have at most; 0 = nobody can tell. */
static int
capacity(const Pool *pool)
{
	int slots = pool->limits.size > 0 ? pool->limits.size : 0;
	const PoolGroup *groups[] = {pool->db_group, pool->user_group};

	for (int i = 0; i < 2; i++)
	{
		if (groups[i] != NULL && groups[i]->limit > 0 && (slots == 0 || groups[i]->limit < slots))
			slots = groups[i]->limit;
	}
	return slots;
}

static inline bool
lane_on(const Pool *pool)
{
	return pool->limits.slow_lane_percent < 100 && pool->limits.slow_lane_ratio > 0;
}

int
lane_limit(const Pool *pool)
{
	int slots;
	int limit;

	if (!lane_on(pool) || (slots = capacity(pool)) == 0)
		return INT_MAX;
	limit = (int) ((int64_t) slots * pool->limits.slow_lane_percent / 100);
	return limit > 1 ? limit : 1;
}

int
lane_room(const Pool *pool, usec_t now)
{
	int limit = lane_limit(pool);

	if (limit == INT_MAX || pool->_normal_seen == 0)
		return INT_MAX;
	if (pool->_queue[LANE_NORMAL].count == 0 && now - pool->_normal_seen >= LANE_MEMORY_US)
		return INT_MAX;
	return pool->_slow_active < limit ? limit - pool->_slow_active : 0;
}

deadline_t
lane_opens_at(const Pool *pool, usec_t now)
{
	if (pool->_queue[LANE_NORMAL].count > 0 || pool->_queue[LANE_SLOW].count <= lane_room(pool, now))
		return DEADLINE_NONE;
	return pool->_normal_seen + LANE_MEMORY_US;
}

void
lane_note_normal(Pool *pool, usec_t now)
{
	pool->_normal_seen = now;
}

/* --- who is slow --- */

/* From which cost on a class is slow; DEADLINE_NONE when nothing is. */
static usec_t
slow_from(const Pool *pool)
{
	if (!lane_on(pool) || pool->estimate.samples < LANE_SAMPLES)
		return DEADLINE_NONE;
	return longer(pool->estimate.median_us * pool->limits.slow_lane_ratio, LANE_LEAST_US);
}

/* Are statements of it running that long already?  One alone may be an accident, unless the class is new. */
static bool
runs_long(const PoolClass *class, usec_t limit, usec_t now)
{
	const PoolSlot *oldest;

	if (class->active < (class->run.seen ? 2 : 1))
		return false;
	oldest = CONTAINER_OF(list_first(&class->_running), const PoolSlot, _run_node);
	if (class->run.seen)
		oldest = CONTAINER_OF(oldest->_run_node.next, const PoolSlot, _run_node);
	return now - oldest->_running_since >= limit;
}

Lane
lane_of(Pool *pool, PoolClass *class, usec_t now)
{
	usec_t limit;
	usec_t cost;
	bool slow;

	if (class == NULL)
		return LANE_NORMAL;
	limit = slow_from(pool);
	cost = longer(class->run.mean_us, class->hold.mean_us);
	slow = cost >= (class->slow && limit != DEADLINE_NONE ? limit / LANE_RETURN_PART : limit) ||
		   runs_long(class, limit, now);
	if (slow != class->slow)
	{
		class->slow = slow;
		pool->_slow_active += slow ? class->active : -class->active;
		pool->_lanes_moved = true;
	}
	return slow ? LANE_SLOW : LANE_NORMAL;
}

void
lane_starts(PoolSlot *slot, PoolClass *class, usec_t now)
{
	lane_ends(slot);
	slot->_running_since = now;
	if (class == NULL)
		return;
	slot->running = class;
	class->active++;
	class->_refs++;
	list_append(&class->_running, &slot->_run_node);
	if (class->slow)
		slot->pool->_slow_active++;
}

void
lane_ends(PoolSlot *slot)
{
	PoolClass *class = slot->running;

	if (class == NULL)
		return;
	slot->running = NULL;
	class->active--;
	class->_refs--;
	list_remove(&class->_running, &slot->_run_node);
	if (class->slow)
	{
		slot->pool->_slow_active--;
		slot->pool->_lanes_moved = true;
	}
}

/* --- learning --- */

static void
move_median(PoolEstimate *estimate, usec_t sample_us)
{
	usec_t step = estimate->median_us / 16 + 1;

	if (estimate->samples == 0)
		estimate->median_us = sample_us;
	else if (sample_us > estimate->median_us)
		estimate->median_us += step;
	else if (sample_us < estimate->median_us)
		estimate->median_us -= step;
	if (estimate->samples < LANE_SAMPLES)
		estimate->samples++;
}

void
lane_learn_hold(Pool *pool, PoolClass *class, usec_t hold_us, usec_t now)
{
	Lane lane;

	move_median(&pool->estimate, hold_us);
	if (class != NULL)
		smoothed_add(&class->hold, hold_us);
	lane = lane_of(pool, class, now);
	smoothed_add_mixed(&pool->estimate.hold[lane], hold_us);
}
