/*
 * actions.c: the queue of consequences.
 *
 * Actions are few and short-lived (the caller carries them out at once), so taking one back is a walk.
 */
#include "pool/policy.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64

void
pool_actions_free(PoolActions *actions)
{
	free(actions->items);
	*actions = (PoolActions){0};
}

bool
pool_actions_next(PoolActions *actions, PoolAction *out)
{
	if (actions->count == 0)
		return false;
	*out = actions->items[actions->head++];
	if (--actions->count == 0)
		actions->head = 0;
	return true;
}

static bool
grow(PoolActions *out)
{
	int cap = out->cap > 0 ? out->cap * 2 : FIRST_CAPACITY;
	PoolAction *items;

	if (out->head > out->cap / 2)
	{
		memmove(out->items, out->items + out->head, (size_t) out->count * sizeof(PoolAction));
		out->head = 0;
		return true;
	}
	items = realloc(out->items, (size_t) cap * sizeof(PoolAction));
	if (items == NULL)
		return false;
	out->items = items;
	out->cap = cap;
	return true;
}

bool
actions_room(Pool *pool, PoolActions *out)
{
	if (out->head + out->count < out->cap || grow(out))
		return true;
	pool->_starved = true;
	return false;
}

void
actions_add(PoolActions *out, const PoolAction *action)
{
	out->items[out->head + out->count++] = *action;
}

static void
take(PoolActions *out, int i, PoolAction *out_action)
{
	PoolAction *item = out->items + out->head + i;

	*out_action = *item;
	memmove(item, item + 1, (size_t) (out->count - i - 1) * sizeof(PoolAction));
	if (--out->count == 0)
		out->head = 0;
}

bool
actions_take_waiter(PoolActions *out, const PoolWaiter *waiter, PoolAction *out_action)
{
	for (int i = 0; i < out->count; i++)
	{
		if (out->items[out->head + i].waiter == waiter)
		{
			take(out, i, out_action);
			return true;
		}
	}
	return false;
}

bool
actions_take_slot(PoolActions *out, const PoolSlot *slot, PoolAction *out_action)
{
	for (int i = 0; i < out->count; i++)
	{
		if (out->items[out->head + i].slot == slot)
		{
			take(out, i, out_action);
			return true;
		}
	}
	return false;
}
