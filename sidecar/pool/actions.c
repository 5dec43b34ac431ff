/*
 * actions.c: the queues of consequences.
 *
 * Actions are few and short-lived (the caller carries them out at once), so taking one back is a walk.  With several homes each has
 * two queues: what is to be carried out there, and grants whose slot must first move to the home of their waiter.
 */
#include "pool/policy.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

static inline int
homes(const PoolActions *actions)
{
	return actions->homes > 0 ? actions->homes : 1;
}

void
pool_actions_free(PoolActions *actions)
{
	for (int i = 0; i < POOL_HOMES; i++)
	{
		free(actions->own[i].items);
		free(actions->moves[i].items);
	}
	*actions = (PoolActions){0};
}

/* --- one queue --- */

static void
take_first(PoolActionQueue *queue, PoolAction *out)
{
	*out = queue->items[queue->head++];
	if (--queue->count == 0)
		queue->head = 0;
}

static void
take(PoolActionQueue *queue, int i, PoolAction *out_action)
{
	PoolAction *item = queue->items + queue->head + i;

	*out_action = *item;
	memmove(item, item + 1, (size_t) (queue->count - i - 1) * sizeof(PoolAction));
	if (--queue->count == 0)
		queue->head = 0;
}

static bool
grow(PoolActionQueue *queue)
{
	int cap = queue->cap > 0 ? queue->cap * 2 : FIRST_CAPACITY;
	PoolAction *items;

	if (queue->head > queue->cap / 2)
	{
		memmove(queue->items, queue->items + queue->head, (size_t) queue->count * sizeof(PoolAction));
		queue->head = 0;
		return true;
	}
	items = realloc(queue->items, (size_t) cap * sizeof(PoolAction));
	if (items == NULL)
		return false;
	queue->items = items;
	queue->cap = cap;
	return true;
}

static inline bool
has_room(PoolActionQueue *queue)
{
	return queue->head + queue->count < queue->cap || grow(queue);
}

static void
push(PoolActionQueue *queue, const PoolAction *action)
{
	queue->items[queue->head + queue->count++] = *action;
}

static bool
take_waiter(PoolActionQueue *queue, const PoolWaiter *waiter, PoolAction *out_action)
{
	for (int i = 0; i < queue->count; i++)
	{
		if (queue->items[queue->head + i].waiter == waiter)
		{
			take(queue, i, out_action);
			return true;
		}
	}
	return false;
}

static bool
take_slot(PoolActionQueue *queue, const PoolSlot *slot, PoolAction *out_action)
{
	for (int i = 0; i < queue->count; i++)
	{
		if (queue->items[queue->head + i].slot == slot)
		{
			take(queue, i, out_action);
			return true;
		}
	}
	return false;
}

/* --- for the caller --- */

bool
pool_actions_next(PoolActions *actions, PoolAction *out)
{
	PoolActionQueue *queue = &actions->own[actions->here];

	if (queue->count == 0)
		return false;
	take_first(queue, out);
	return true;
}

PoolSlot *
pool_actions_next_move(const PoolActions *actions, int *to)
{
	const PoolActionQueue *queue = &actions->moves[actions->here];
	const PoolAction *action = queue->items + queue->head;

	if (queue->count == 0)
		return NULL;
	*to = action->waiter->home;
	return action->slot;
}

bool
pool_actions_move(PoolActions *actions)
{
	PoolActionQueue *queue = &actions->moves[actions->here];
	int to = queue->items[queue->head].waiter->home;
	PoolAction action;

	if (!has_room(&actions->own[to]))
		return false;
	take_first(queue, &action);
	action.slot->home = to;
	push(&actions->own[to], &action);
	actions->touched |= 1u << to;
	return true;
}

/* --- for the policy --- */

bool
actions_room(Pool *pool, PoolActions *out)
{
	int count = homes(out);
	bool room = has_room(&out->own[0]);

	for (int i = 1; i < count && room; i++)
		room = has_room(&out->own[i]) && has_room(&out->moves[i]);
	if (count > 1 && room)
		room = has_room(&out->moves[0]);
	if (!room)
		pool->_starved = true;
	return room;
}

/* Who opens a server connection, or looks at the pool: where it belongs, else where somebody has waited for longest. */
static int
opening_home(const Pool *pool, const PoolActions *out)
{
	const PoolWaiter *oldest = queue_oldest(pool);

	if (pool->home != POOL_ANY_HOME)
		return pool->home;
	return oldest != NULL ? oldest->home : out->here;
}

void
actions_add(PoolActions *out, const PoolAction *action)
{
	int home = out->here;
	bool move = false;

	switch (action->kind)
	{
		case POOL_GRANT:
			home = action->slot->home;
			move = action->waiter->home != home;
			break;
		case POOL_LOOK:
		case POOL_OPEN: home = opening_home(action->pool, out); break;
		case POOL_CLOSE:
		case POOL_CHECK:
		case POOL_EVICT: home = action->slot->home; break;
		case POOL_FAIL: home = action->waiter->home; break;
	}
	push(move ? &out->moves[home] : &out->own[home], action);
	out->touched |= 1u << home;
}

bool
actions_take_waiter(PoolActions *out, const PoolWaiter *waiter, PoolAction *out_action)
{
	if (take_waiter(&out->own[waiter->home], waiter, out_action))
		return true;
	for (int i = 0; i < homes(out); i++)
		if (take_waiter(&out->moves[i], waiter, out_action))
			return true;
	return false;
}

bool
actions_take_slot(PoolActions *out, const PoolSlot *slot, PoolAction *out_action)
{
	return take_slot(&out->own[slot->home], slot, out_action) || take_slot(&out->moves[slot->home], slot, out_action);
}
