/*
 * queue_test.c: the waiters' orders against an array: random pushes and removals, the earliest, and the work
 * ahead.
 */
#include "pool/policy.h"

#include "tap.h"

#define WAITERS 500
#define STEPS 40000
#define SEED 31337

static Pool pool;
static PoolWaiter waiters[WAITERS];
static uint64_t rng = SEED;

static int
below(int n)
{
	uint64_t z = (rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (int) ((z ^ (z >> 31)) % (uint64_t) n);
}

static bool
is_in(const PoolWaiter *w, int lane)
{
	return pool_is_waiting(w) && w->_lane == lane;
}

static usec_t
scan_ahead(int lane, deadline_t deadline)
{
	usec_t sum = 0;

	for (int i = 0; i < WAITERS; i++)
	{
		const PoolWaiter *w = &waiters[i];

		if (is_in(w, lane) && w->deadline != DEADLINE_NONE && w->deadline <= deadline)
			sum += w->_cost_us;
	}
	return sum;
}

static deadline_t
scan_first(int lane)
{
	deadline_t first = DEADLINE_NONE;

	for (int i = 0; i < WAITERS; i++)
	{
		if (is_in(&waiters[i], lane))
			first = deadline_min(first, waiters[i].deadline);
	}
	return first;
}

static usec_t
scan_plain(int lane, usec_t *oldest)
{
	usec_t sum = 0;

	*oldest = DEADLINE_NONE;
	for (int i = 0; i < WAITERS; i++)
	{
		const PoolWaiter *w = &waiters[i];

		if (!is_in(w, lane) || w->deadline != DEADLINE_NONE)
			continue;
		sum += w->_cost_us;
		if (w->since < *oldest)
			*oldest = w->since;
	}
	return sum;
}

static bool
lane_agrees(int lane)
{
	const PoolQueue *queue = &pool._queue[lane];
	deadline_t asked = below(1000);
	usec_t oldest;
	usec_t plain = scan_plain(lane, &oldest);
	const PoolWaiter *first = queue_first_plain(queue);

	return queue_ahead_us(queue, asked) == scan_ahead(lane, asked) && queue->plain_us == plain &&
		   (queue->first != NULL ? queue->first->deadline : DEADLINE_NONE) == scan_first(lane) &&
		   (first != NULL ? first->since : DEADLINE_NONE) == oldest;
}

static void
push_or_remove(int step)
{
	PoolWaiter *w = &waiters[below(WAITERS)];

	if (!pool_is_waiting(w))
	{
		*w = (PoolWaiter){
			/* now and then one that comes back to its old place */
			.since = below(20) == 0 ? below(step + 1) : step,
			.deadline = below(3) == 0 ? DEADLINE_NONE : below(1000),
			._cost_us = below(5000),
			._lane = (uint8_t) below(POOL_LANES),
		};
		queue_push(&pool, w);
	}
	else if (below(4) == 0)
		queue_move(&pool, w, w->_lane == LANE_SLOW ? LANE_NORMAL : LANE_SLOW);
	else
		queue_remove(&pool, w);
}

/* Clocks of threads differ a little, and now and then somebody comes back from long ago: the order, in which equals stand as they came. */
static bool
keeps_arrivals(void)
{
	bool in_order = true;

	for (int i = 0; i < WAITERS; i++)
	{
		waiters[i] = (PoolWaiter){.since = below(10) == 0 ? below(i / 4 + 1) : i / 4 - below(4), .deadline = DEADLINE_NONE, .fingerprint = (uint64_t) i};
		queue_push(&pool, &waiters[i]);
	}
	for (const ListNode *node = pool.waiters.head.next; node->next != &pool.waiters.head; node = node->next)
	{
		const PoolWaiter *a = CONTAINER_OF(node, const PoolWaiter, node), *b = CONTAINER_OF(node->next, const PoolWaiter, node);

		in_order &= a->since < b->since || (a->since == b->since && a->fingerprint < b->fingerprint);
		in_order &= CONTAINER_OF(a->_plain.next, const PoolWaiter, _plain) == b;
	}
	in_order &= pool.waiters.count == WAITERS;
	for (int i = 0; i < WAITERS; i++)
		queue_remove(&pool, &waiters[i]);
	return in_order;
}

/* How deep the tree is where it is deepest. */
static int
depth(const PoolWaiter *w)
{
	int left = w != NULL ? depth(w->_left) : 0;
	int right = w != NULL ? depth(w->_right) : 0;

	return w == NULL ? 0 : 1 + (left > right ? left : right);
}

int
main(void)
{
	PoolLimits limits = {.size = 1};
	int agreed = 0;
	int last_since = -1;
	bool by_arrival = true;

	diag("seed %d", SEED);
	if (!pool_init(&pool, &limits, NULL, NULL, 0))
		bail_out("pool_init failed");
	for (int step = 0; step < STEPS; step++)
	{
		push_or_remove(step);
		agreed += lane_agrees(LANE_NORMAL) && lane_agrees(LANE_SLOW);
	}
	is_int(agreed, STEPS,
		   "after each step the earliest, the oldest and the work ahead are what a scan finds");
	list_each (node, &pool.waiters)
	{
		usec_t since = CONTAINER_OF(node, PoolWaiter, node)->since;

		by_arrival &= since >= last_since;
		last_since = (int) since;
	}
	ok(by_arrival, "the pool's list is in order of arrival");
	for (int i = 0; i < WAITERS; i++)
	{
		if (pool_is_waiting(&waiters[i]))
			queue_remove(&pool, &waiters[i]);
	}
	ok(pool._queue[0].root == NULL && pool._queue[1].root == NULL && list_empty(&pool.waiters),
	   "all can leave");
	ok(keeps_arrivals(), "who comes with an earlier clock, or back from long ago, gets its place in both lists");
	for (int i = 0; i < WAITERS; i++)
	{
		waiters[i] = (PoolWaiter){.since = i, .deadline = i, ._cost_us = 1};
		queue_push(&pool, &waiters[i]);
	}
	ok(depth(pool._queue[0].root) < 40,
	   "deadlines that come in order make no list of the tree (depth %d of %d)", depth(pool._queue[0].root),
	   WAITERS);
	for (int i = 0; i < WAITERS; i++)
		queue_remove(&pool, &waiters[i]);
	pool_free(&pool);
	return done_testing();
}
