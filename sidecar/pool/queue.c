/*
 * queue.c: the waiters of a pool, in the orders they are needed in.
 *
 * Every waiter is on the pool's list in order of arrival (for timeouts and the reserve), and in the queue of
 * its lane: those without a deadline on a list, those with one in a treap (Seidel and Aragon, "Randomized
 * Search Trees", 1996) ordered by deadline.  Each node of the treap knows the expected cost of its subtree,
 * so that "how much work is ahead of this deadline" is one descent.  Equal deadlines keep the order of
 * arrival.  Pushing, removing and asking are O(log n) expected, the earliest waiter is O(1), and nothing is
 * allocated.
 */
#include "pool/policy.h"

void
queue_init(PoolQueue *queue)
{
	*queue = (PoolQueue){.random = UINT32_C(2463534242)};
	list_init(&queue->plain);
}

/* --- the treap --- */

/* Marsaglia's xorshift: the priorities need only be independent of the deadlines. */
static uint32_t
next_priority(PoolQueue *queue)
{
	uint32_t x = queue->random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return queue->random = x;
}

static inline usec_t
sum_of(const PoolWaiter *waiter)
{
	return waiter != NULL ? waiter->_sum_us : 0;
}

static inline void
update_sum(PoolWaiter *waiter)
{
	waiter->_sum_us = waiter->_cost_us + sum_of(waiter->_left) + sum_of(waiter->_right);
}

/* Put `child` where `old` hangs. */
static void
replace_child(PoolQueue *queue, PoolWaiter *parent, const PoolWaiter *old, PoolWaiter *child)
{
	if (parent == NULL)
		queue->root = child;
	else if (parent->_left == old)
		parent->_left = child;
	else
		parent->_right = child;
	if (child != NULL)
		child->_parent = parent;
}

/* The waiter changes places with its parent; order and the sums outside the two stay. */
static void
rotate_up(PoolQueue *queue, PoolWaiter *waiter)
{
	PoolWaiter *parent = waiter->_parent;
	PoolWaiter *moved;

	replace_child(queue, parent->_parent, parent, waiter);
	if (parent->_left == waiter)
	{
		moved = waiter->_right;
		parent->_left = moved;
		waiter->_right = parent;
	}
	else
	{
		moved = waiter->_left;
		parent->_right = moved;
		waiter->_left = parent;
	}
	if (moved != NULL)
		moved->_parent = parent;
	parent->_parent = waiter;
	update_sum(parent);
	update_sum(waiter);
}

static void
tree_insert(PoolQueue *queue, PoolWaiter *waiter)
{
	PoolWaiter **link = &queue->root;
	PoolWaiter *parent = NULL;

	waiter->_left = waiter->_right = NULL;
	waiter->_sum_us = waiter->_cost_us;
	waiter->_priority = next_priority(queue);
	while (*link != NULL)
	{
		parent = *link;
		parent->_sum_us += waiter->_cost_us;
		link = waiter->deadline < parent->deadline ? &parent->_left : &parent->_right;
	}
	waiter->_parent = parent;
	*link = waiter;
	if (queue->first == NULL || waiter->deadline < queue->first->deadline)
		queue->first = waiter;
	while (waiter->_parent != NULL && waiter->_parent->_priority < waiter->_priority)
		rotate_up(queue, waiter);
}

/* The one behind the earliest: leftmost on the right, or above. */
static PoolWaiter *
after_first(const PoolWaiter *first)
{
	PoolWaiter *next = first->_right;

	if (next == NULL)
		return first->_parent;
	while (next->_left != NULL)
		next = next->_left;
	return next;
}

static void
tree_remove(PoolQueue *queue, PoolWaiter *waiter)
{
	if (queue->first == waiter)
		queue->first = after_first(waiter);
	while (waiter->_left != NULL && waiter->_right != NULL)
		rotate_up(queue,
				  waiter->_left->_priority > waiter->_right->_priority ? waiter->_left : waiter->_right);
	replace_child(queue, waiter->_parent, waiter, waiter->_left != NULL ? waiter->_left : waiter->_right);
	for (PoolWaiter *above = waiter->_parent; above != NULL; above = above->_parent)
		above->_sum_us -= waiter->_cost_us;
	waiter->_parent = waiter->_left = waiter->_right = NULL;
}

usec_t
queue_ahead_us(const PoolQueue *queue, deadline_t deadline)
{
	usec_t sum = 0;

	for (const PoolWaiter *at = queue->root; at != NULL;)
	{
		if (deadline < at->deadline)
			at = at->_left;
		else
		{
			sum += at->_cost_us + sum_of(at->_left);
			at = at->_right;
		}
	}
	return sum;
}

/* --- lanes --- */

/*
 * Before which node one of this arrival belongs: behind everybody who came no later.  That is the end, or near it where threads whose clocks are read
 * at different times queue; who comes back belongs near the front.  So the search begins at both ends.  `offset` is from the node to the waiter.
 */
static ListNode *
place_of(List *list, usec_t since, size_t offset)
{
	ListNode *end = &list->head;
	ListNode *front = end->next;
	ListNode *back = end->prev;

#define SINCE(node) (((const PoolWaiter *) ((const char *) (node) - offset))->since)
	while (back != end && SINCE(back) > since)
	{
		if (SINCE(front) > since)
			return front;
		front = front->next;
		back = back->prev;
	}
#undef SINCE
	return back->next;
}

static void
insert_plain(List *list, PoolWaiter *waiter)
{
	list_insert_before(list, place_of(list, waiter->since, offsetof(PoolWaiter, _plain)), &waiter->_plain);
}

static void
insert_arrival(List *list, PoolWaiter *waiter)
{
	list_insert_before(list, place_of(list, waiter->since, offsetof(PoolWaiter, node)), &waiter->node);
}

static void
enter_lane(Pool *pool, PoolWaiter *waiter)
{
	PoolQueue *queue = &pool->_queue[waiter->_lane];

	queue->count++;
	if (waiter->_lane == LANE_PARKED)
		cap_enter(waiter);
	if (waiter->deadline != DEADLINE_NONE)
		tree_insert(queue, waiter);
	else
	{
		insert_plain(&queue->plain, waiter);
		queue->plain_us += waiter->_cost_us;
	}
}

static void
leave_lane(Pool *pool, PoolWaiter *waiter)
{
	PoolQueue *queue = &pool->_queue[waiter->_lane];

	queue->count--;
	if (waiter->_lane == LANE_PARKED)
		cap_leave(waiter);
	if (waiter->deadline != DEADLINE_NONE)
		tree_remove(queue, waiter);
	else
	{
		list_remove(&queue->plain, &waiter->_plain);
		queue->plain_us -= waiter->_cost_us;
	}
}

/* --- in and out --- */

void
queue_push(Pool *pool, PoolWaiter *waiter)
{
	waiter->pool = pool;
	insert_arrival(&pool->waiters, waiter);
	enter_lane(pool, waiter);
	if (waiter->_class != NULL)
	{
		waiter->_class->waiting++;
		waiter->_class->_refs++;
	}
}

void
queue_remove(Pool *pool, PoolWaiter *waiter)
{
	leave_lane(pool, waiter);
	list_remove(&pool->waiters, &waiter->node);
	waiter->pool = NULL;
	if (waiter->_class != NULL)
	{
		waiter->_class->waiting--;
		waiter->_class->_refs--;
	}
}

void
queue_move(Pool *pool, PoolWaiter *waiter, Lane lane)
{
	leave_lane(pool, waiter);
	waiter->_lane = (uint8_t) lane;
	enter_lane(pool, waiter);
}
