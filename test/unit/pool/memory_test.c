/*
 * memory_test.c: what happens while the queue of actions cannot grow: nothing is decided, nothing is lost.
 */
#include <stdlib.h>

static int allocations_left;

static void *
scarce_realloc(void *old, size_t size)
{
	return allocations_left-- > 0 ? realloc(old, size) : NULL;
}

/* The module under test with this memory, in place of the archive's. */
#define realloc scarce_realloc
#include "pool/actions.c"
#undef realloc

#include "pool_test.h"

static void
request_waits_for_memory(void)
{
	PoolLimits limits = plain_limits(1);

	allocations_left = 0;
	begin_at(&limits);
	ask(0, 0);
	ok(is_waiting(0) && opens == 0, "without memory a request is queued and opens nothing");
	is_int(pool.pending_opens, 0, "... and nothing is half done");
	is_int(db_group.used, 0, "... nor counted");
	is_int(pool_next_event(&pool, now) - now, 10 * MSEC, "it is tried again 10 ms later");
	pass(15 * MSEC);
	ok(is_waiting(0), "... in vain while there is none");
	allocations_left = 1;
	pass(10 * MSEC);
	ok(has_server(0), "... until there is: then it is served");
	done(0);
	finish();
}

static void
idle_server_and_waiter_wait_for_memory(void)
{
	PoolLimits limits = plain_limits(1);
	PoolSlot *slot;

	allocations_left = 1;
	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	slot = &server_of(0)->slot;
	pool_actions_free(&actions);
	allocations_left = 0;
	done(0);
	is_int(slot->state, SLOT_IDLE, "a released server is idle when its grant cannot be stored");
	ok(is_waiting(1), "... and the waiter waits");
	ask(2, 5 * MSEC);
	pass(5 * MSEC);
	ok(is_waiting(2), "an expiry cannot be told, either");
	allocations_left = 1;
	pass(10 * MSEC);
	ok(has_server(1), "with memory the grant is made");
	ok(failed_with(2, POOL_FAIL_DEADLINE), "... and the expiry told, late");
	done(1);
	finish();
}

static void
closing_waits_for_memory(void)
{
	PoolLimits limits = plain_limits(2);

	allocations_left = 1;
	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	done(1);
	pool_actions_free(&actions);
	allocations_left = 0;
	pool_reconnect(&pool, now, &actions);
	carry_out();
	done(0);
	is_int(pool.idle.count, 2, "servers that should be closed are idle");
	ask(2, 0);
	ok(is_waiting(2), "... but not used any more");
	allocations_left = 1;
	pass(10 * MSEC);
	is_int(closes, 2, "with memory they are closed");
	ok(has_server(2) && opens == 3, "... and the waiter gets a new one");
	done(2);
	finish();
}

static void
actions_keep_their_order(void)
{
	Pool dummy = {0};
	PoolActions queue = {0};
	PoolAction action;
	PoolWaiter waiters[200] = {0};
	int next = 0;
	bool in_order = true;

	allocations_left = 100;
	for (int i = 0; i < 200; i++)
	{
		if (!actions_room(&dummy, &queue))
			bail_out("there is memory");
		actions_add(&queue, &(PoolAction){.kind = POOL_FAIL, .waiter = &waiters[i]});
		if (i % 3 == 2 && pool_actions_next(&queue, &action))
			in_order &= action.waiter == &waiters[next++];
	}
	ok(actions_take_waiter(&queue, &waiters[150], &action) && action.waiter == &waiters[150],
	   "an action can be taken back");
	ok(!actions_take_waiter(&queue, &waiters[150], &action), "... once");
	while (pool_actions_next(&queue, &action))
	{
		next += next == 150;
		in_order &= action.waiter == &waiters[next++];
	}
	ok(in_order && next == 200, "the others come out in the order they went in");
	pool_actions_free(&queue);
}

int
main(void)
{
	request_waits_for_memory();
	idle_server_and_waiter_wait_for_memory();
	closing_waits_for_memory();
	actions_keep_their_order();
	return done_testing();
}
