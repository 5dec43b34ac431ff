/*
 * timer.c: a pairing heap of embedded nodes.
 *
 * Children of a node form a doubly linked list of siblings; the first child's _prev is the parent.  The root
 * has neither siblings nor a parent.  Nothing here recurses: heaps of a hundred thousand timers are normal.
 */
#include "base/timer.h"

#include <stddef.h>

/* Join two roots; either may be NULL.  The later one becomes the earlier one's first child. */
static Timer *
meld(Timer *a, Timer *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->at < a->at)
	{
		Timer *swap = a;

		a = b;
		b = swap;
	}
	b->_prev = a;
	b->_next = a->_child;
	if (a->_child != NULL)
		a->_child->_prev = b;
	a->_child = b;
	return a;
}

/* Cut the first one off a chain of siblings and make it a root. */
static Timer *
take_sibling(Timer **chain)
{
	Timer *timer = *chain;

	if (timer != NULL)
	{
		*chain = timer->_next;
		timer->_next = timer->_prev = NULL;
	}
	return timer;
}

/* Join a chain of siblings into one heap: in pairs from the left, then all pairs from the right. */
static Timer *
meld_siblings(Timer *chain)
{
	Timer *pairs = NULL;
	Timer *root = NULL;

	while (chain != NULL)
	{
		Timer *first = take_sibling(&chain);
		Timer *pair = meld(first, take_sibling(&chain));

		pair->_next = pairs;
		pairs = pair;
	}
	while (pairs != NULL)
		root = meld(root, take_sibling(&pairs));
	return root;
}

void
timer_disarm(TimerQueue *queue, Timer *timer)
{
	Timer *children;

	if (!timer->armed)
		return;
	children = meld_siblings(timer->_child);
	if (timer == queue->_root)
		queue->_root = children;
	else
	{
		if (timer->_prev->_child == timer)
			timer->_prev->_child = timer->_next;
		else
			timer->_prev->_next = timer->_next;
		if (timer->_next != NULL)
			timer->_next->_prev = timer->_prev;
		queue->_root = meld(queue->_root, children);
	}
	timer->_child = timer->_next = timer->_prev = NULL;
	timer->armed = false;
	queue->count--;
}

void
timer_arm(TimerQueue *queue, Timer *timer, deadline_t at)
{
	timer_disarm(queue, timer);
	if (at == DEADLINE_NONE)
		return;
	timer->at = at < queue->_floor ? queue->_floor : at;
	timer->armed = true;
	queue->_root = meld(queue->_root, timer);
	queue->count++;
}

deadline_t
timer_next(const TimerQueue *queue)
{
	return queue->_root != NULL ? queue->_root->at : DEADLINE_NONE;
}

void
timer_run(TimerQueue *queue, usec_t now)
{
	queue->_floor = now + 1;
	while (queue->_root != NULL && queue->_root->at <= now)
	{
		Timer *timer = queue->_root;

		timer_disarm(queue, timer);
		timer->fire(timer, now);
	}
	queue->_floor = 0;
}
