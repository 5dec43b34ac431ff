/*
 * adaptive.c: how many of a pool's server connections may be busy at once, when the pool finds that out by
 * itself.
 *
 * A gradient limit, as in Netflix's concurrency-limits and in spirit of TCP Vegas (Brakmo, O'Malley and
 * Peterson, 1994): where statements begin to take longer than they do at rest, further connections do not add
 * work but only wait inside the server.  After each window of statements
 *
 *   gradient = tolerance * time at rest / time now        (at most 1, at least 1/2)
 *   limit    = limit * gradient + sqrt(limit)             (between min_size and size)
 *
 * smoothed.  The time at rest is the shortest seen of each class (creeping upwards, so that a class that grew
 * is found out), which makes the ratio independent of the mix of classes.  The limit only grows when it was
 * what held requests back.  Slow classes have their own share (lane.c) and do not count.
 */
#include "pool/policy.h"

#include <limits.h>
#include <math.h>

/* Statements to a window, and the shortest window. */
#define WINDOW_SAMPLES 20
#define WINDOW_US (100 * USEC_PER_MSEC)
/* Statements may take so many times their time at rest. */
#define TOLERANCE 1.5
/* Part of the new limit that counts. */
#define SMOOTHING 0.3
/* The time at rest grows by this part of itself with each statement: it doubles in some 45,000. */
#define CREEP_PART 65536
/* One statement counts as at most so many times its time at rest. */
#define WORST_RATIO 10.0

static double
most(const Pool *pool)
{
	return pool->limits.size;
}

int
adaptive_limit(const Pool *pool)
{
	double least = pool->limits.min_size > 1 ? pool->limits.min_size : 1;
	double limit = pool->adaptive.limit;

	if (!pool->limits.adaptive || pool->limits.size <= 0)
		return INT_MAX;
	if (limit <= 0 || limit > most(pool))
		return pool->limits.size; /* nothing learned yet, or the pool was made smaller */
	return (int) (limit > least ? limit : least);
}

int
adaptive_room(const Pool *pool)
{
	int limit = adaptive_limit(pool);

	if (limit == INT_MAX)
		return INT_MAX;
	return limit > pool->active.count ? limit - pool->active.count : 0;
}

static void
close_window(Pool *pool, usec_t now)
{
	PoolAdaptive *a = &pool->adaptive;
	double ratio = a->ratios / a->samples;
	double gradient = TOLERANCE / ratio;
	double limit = a->limit > 0 && a->limit < most(pool) ? a->limit : most(pool);
	double next;

	gradient = gradient > 1 ? 1 : gradient < 0.5 ? 0.5 : gradient;
	next = limit * gradient + sqrt(limit);
	if (next > limit && !a->held_back)
		next = limit;
	limit += SMOOTHING * (next - limit);
	a->limit = limit > most(pool) ? most(pool) : limit < 1 ? 1 : limit;
	a->ratio = ratio;
	a->samples = 0;
	a->ratios = 0;
	a->held_back = false;
	a->since = now;
}

static inline bool
counts(const Pool *pool, const PoolClass *class)
{
	return pool->limits.adaptive && pool->limits.size > 0 && class != NULL && !class->slow;
}

/* So many statements have run; `ratios` is the sum of how many times as long as at rest each took. */
static void
learn(Pool *pool, double ratios, uint32_t samples, usec_t now)
{
	PoolAdaptive *a = &pool->adaptive;

	a->ratios += ratios;
	a->samples += (int) samples;
	a->held_back |= pool->waiters.count > 0 && adaptive_room(pool) <= 1;
	if (a->samples >= WINDOW_SAMPLES && now - a->since >= WINDOW_US)
		close_window(pool, now);
}

static void
learn_rest(PoolClass *class, usec_t least_us, uint32_t samples)
{
	double least = (double) (least_us < 1 ? 1 : least_us);

	if (class->rest_us == 0 || least < class->rest_us)
		class->rest_us = least;
	else
		class->rest_us += class->rest_us * samples / CREEP_PART;
}

void
adaptive_learn(Pool *pool, PoolClass *class, usec_t run_us, usec_t now)
{
	double ratio;

	if (!counts(pool, class))
		return;
	learn_rest(class, run_us, 1);
	ratio = (double) run_us / class->rest_us;
	learn(pool, ratio < 1 ? 1 : ratio < WORST_RATIO ? ratio : WORST_RATIO, 1, now);
}

usec_t
adaptive_worst_us(const Pool *pool, const PoolClass *class)
{
	if (!counts(pool, class))
		return 0;
	return class->rest_us > 0 ? (usec_t) (class->rest_us * WORST_RATIO) + 1 : USEC_PER_SEC;
}

void
adaptive_learn_tally(Pool *pool, PoolClass *class, const PoolTally *tally, usec_t now)
{
	double ratios;

	if (!counts(pool, class) || tally->calls == 0 || tally->total_us == 0)
		return;
	learn_rest(class, tally->least_us, tally->calls);
	ratios = (double) tally->total_us / class->rest_us;
	learn(pool, ratios < tally->calls * WORST_RATIO ? ratios : tally->calls * WORST_RATIO, tally->calls, now);
}
