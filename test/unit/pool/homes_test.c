/*
 * homes_test.c: slots and waiters that live in several places: who gets which slot, which queue its action is in, and what
 * becomes of actions whose slot or waiter leaves before it has moved.
 */
#include "pool/policy.h"
#include "tap.h"

#define MSEC USEC_PER_MSEC

static Pool pool;
static PoolActions actions;
static PoolSlot slots[4];
static PoolWaiter waiters[6];
static usec_t now;

static void
begin(int size, bool round_robin)
{
	PoolLimits limits = {.size = size, .max_parallel_opening = 8, .check_delay_us = -1, .lifetime_us = -1,
						 .slow_lane_percent = 100, .round_robin = round_robin, .homes = 3};

	memset(slots, 0, sizeof(slots));
	memset(waiters, 0, sizeof(waiters));
	now = USEC_PER_SEC;
	actions = (PoolActions){.homes = 3};
	if (!pool_init(&pool, &limits, NULL, NULL, now))
		bail_out("no memory");
}

static void
finish(void)
{
	for (int i = 0; i < 4; i++)
		if (slots[i].pool != NULL)
			pool_slot_closed(&slots[i], now, &actions);
	pool_free(&pool);
	pool_actions_free(&actions);
}

static void
ask(int waiter, int home)
{
	actions.here = waiters[waiter].home = home;
	waiters[waiter].deadline = DEADLINE_NONE;
	pool_request(&pool, &waiters[waiter], now, &actions);
	now++;
}

/* A slot that is ready at this home. */
static void
opened(int slot, int home)
{
	actions.here = home;
	pool_slot_opening(&pool, &slots[slot], now);
	slots[slot].home = home;
	pool_slot_opened(&slots[slot], now, &actions);
	now++;
}

static bool
next_is(int home, PoolActionKind kind, const PoolSlot *slot, const PoolWaiter *waiter)
{
	PoolAction action;

	actions.here = home;
	return pool_actions_next(&actions, &action) && action.kind == kind && action.slot == slot && action.waiter == waiter;
}

static bool
nothing(int home)
{
	int to;

	actions.here = home;
	return !pool_actions_wait(&actions) && pool_actions_next_move(&actions, &to) == NULL;
}

static void
near_ones_come_first(void)
{
	begin(4, false);
	opened(0, 0);
	opened(1, 1);
	opened(2, 2);
	ask(0, 0);
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[0]), "an idle slot of its own home, though others were used later");
	ask(1, 1);
	ok(next_is(1, POOL_GRANT, &slots[1], &waiters[1]), "... at each home");
	ok(nothing(0) && nothing(2), "nobody else has anything to do");
	finish();
}

static void
another_home_gives(void)
{
	int to = -1;

	begin(4, false);
	opened(0, 1);
	ask(0, 0);
	ok(nothing(0), "a slot of another home: the grant waits there");
	actions.here = 1;
	ok(pool_actions_next_move(&actions, &to) == &slots[0] && to == 0, "... and tells where the slot must go");
	actions.touched = 0;
	ok(pool_actions_move(&actions) && slots[0].home == 0 && actions.touched == 1, "it moves, and the other home hears of it");
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[0]), "then it is granted there");
	ok(nothing(1), "nothing is left behind");
	pool_starts(&slots[0], 7, now);
	ok(pool_has_started(&slots[0], 7, now + MSEC / 2), "what the grant has begun need not begin again after the way there");
	ok(!pool_has_started(&slots[0], 8, now) && !pool_has_started(&slots[0], 7, now + MSEC), "... unless it is another statement, or much later");
	pool_ran(&slots[0], 1, true, now);
	pool_release(&slots[0], true, now, &actions);
	ask(1, 0);
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[1]), "it stays where it was used");
	finish();
}

static void
who_leaves_takes_it_along(void)
{
	begin(4, false);
	opened(0, 1);
	ask(0, 0);
	actions.here = 0;
	pool_abandon(&pool, &waiters[0], now, &actions);
	ok(nothing(0) && nothing(1) && pool.idle.count == 1, "a waiter that leaves before the move: the slot is idle again");
	ask(1, 2);
	actions.here = 1;
	pool_slot_closed(&slots[0], now, &actions);
	ok(pool_is_waiting(&waiters[1]), "a slot that is lost before the move: its waiter is back in line");
	ok(next_is(2, POOL_OPEN, NULL, NULL), "... and its home is to open another");
	ok(nothing(1), "nothing names the slot any more");
	actions.here = 2;
	pool_abandon(&pool, &waiters[1], now, &actions);
	finish();
}

static void
moved_but_not_granted(void)
{
	begin(1, false);
	opened(0, 1);
	ask(0, 0);
	actions.here = 1;
	ok(pool_actions_move(&actions), "the slot has moved");
	actions.here = 0;
	pool_abandon(&pool, &waiters[0], now, &actions);
	ok(nothing(0) && nothing(1), "the waiter leaves before the grant is carried out");
	ask(1, 0);
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[1]), "the slot is at its new home");
	finish();
}

static void
order_is_of_all(void)
{
	int to;

	begin(1, true);
	opened(0, 0);
	ask(0, 0);
	(void) !next_is(0, POOL_GRANT, &slots[0], &waiters[0]);
	ask(1, 1);
	ask(2, 0);
	actions.here = 0;
	pool_release(&slots[0], true, now, &actions);
	ok(pool_actions_next_move(&actions, &to) == &slots[0] && to == 1, "who has waited for longest is next, wherever it is");
	ok(pool_is_waiting(&waiters[2]), "a nearer one that came later waits");
	pool_abandon(&pool, &waiters[2], now, &actions);
	pool_abandon(&pool, &waiters[1], now, &actions);
	finish();
}

static void
each_home_has_its_turn(void)
{
	PoolLimits limits;
	int to;

	begin(4, true);
	opened(0, 0);
	opened(1, 1);
	ask(0, 1);
	actions.here = 0;
	ok(pool_actions_next_move(&actions, &to) == &slots[0] && to == 1, "in turn the one that was idle for longest is used, wherever it is");
	pool_abandon(&pool, &waiters[0], now, &actions);
	finish();

	begin(4, true);
	limits = pool.limits;
	limits.turn_by_home = true;
	pool_set_limits(&pool, &limits, now, &actions);
	opened(0, 0);
	opened(1, 1);
	opened(2, 1);
	opened(3, 0);
	ask(0, 1);
	ok(next_is(1, POOL_GRANT, &slots[1], &waiters[0]), "where homes have their own turns it is the oldest at home");
	pool_release(&slots[1], true, now, &actions);
	ask(1, 1);
	ok(next_is(1, POOL_GRANT, &slots[2], &waiters[1]), "... each time");
	ask(2, 1);
	actions.here = 0;
	ok(pool_actions_next_move(&actions, &to) == &slots[0] && to == 1, "... unless that is one of the newer half of all");
	pool_abandon(&pool, &waiters[2], now, &actions);
	finish();
}

static void
near_ones_go_before_by_a_little(void)
{
	int to;

	begin(1, false);
	opened(0, 0);
	ask(0, 0);
	(void) !next_is(0, POOL_GRANT, &slots[0], &waiters[0]);
	ask(1, 1);
	ask(2, 1);
	ask(3, 0);
	now += 5 * MSEC;
	ask(4, 0);
	actions.here = 0;
	pool_release(&slots[0], true, now, &actions);
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[3]), "who came a little later at the slot's home goes before who has waited for longest");
	actions.here = 0;
	pool_release(&slots[0], true, now, &actions);
	ok(pool_actions_next_move(&actions, &to) == &slots[0] && to == 1, "... who came much later does not: the slot moves");
	ok(pool_actions_move(&actions) && next_is(1, POOL_GRANT, &slots[0], &waiters[1]), "... to the first");
	actions.here = 1;
	pool_release(&slots[0], true, now, &actions);
	ok(next_is(1, POOL_GRANT, &slots[0], &waiters[2]), "... and goes on there");
	pool_abandon(&pool, &waiters[4], now, &actions);
	finish();
}

static void
everybody_hears_what_concerns_him(void)
{
	begin(2, false);
	opened(0, 0);
	opened(1, 1);
	actions.here = 2;
	actions.touched = 0;
	pool_pause(&pool, now, &actions);
	ok((actions.touched & 3u) == 3u, "a pause concerns both homes");
	ok(next_is(0, POOL_CLOSE, &slots[0], NULL) && next_is(1, POOL_CLOSE, &slots[1], NULL), "each closes its own");
	finish();
}

static PoolSlot *
take(int waiter, int home)
{
	actions.here = waiters[waiter].home = home;
	waiters[waiter].deadline = DEADLINE_NONE;
	return pool_take(&pool, &waiters[waiter], now++);
}

static void
what_is_at_hand_needs_no_action(void)
{
	begin(4, false);
	opened(0, 0);
	opened(1, 1);
	ok(take(0, 0) == &slots[0] && slots[0].state == SLOT_ACTIVE, "an idle slot of its own home is taken at once");
	ok(nothing(0) && nothing(1), "... without an action");
	ok(pool.counters.granted == 1, "... and counted as a grant");
	ok(take(1, 0) == NULL && slots[1].state == SLOT_IDLE && nothing(0) && nothing(1), "one of another home is not");
	pool_release(&slots[0], true, now, &actions);
	waiters[2].deadline = now;
	waiters[2].home = 0;
	ok(pool_take(&pool, &waiters[2], now) == NULL, "nor is any for a request that is too late");
	pool_pause(&pool, now, &actions);
	(void) !next_is(0, POOL_CLOSE, &slots[0], NULL);
	(void) !next_is(1, POOL_CLOSE, &slots[1], NULL);
	ok(take(3, 0) == NULL, "nor while the pool is paused");
	finish();
}

static void
nobody_is_overtaken(void)
{
	begin(1, false);
	opened(0, 0);
	ok(take(0, 0) == &slots[0], "the only slot is taken");
	ask(1, 0);
	ok(pool_is_waiting(&waiters[1]) && take(2, 0) == NULL, "whoever comes next waits");
	pool_release(&slots[0], true, now, &actions);
	ok(next_is(0, POOL_GRANT, &slots[0], &waiters[1]), "... in line");
	finish();
}

int
main(void)
{
	near_ones_come_first();
	what_is_at_hand_needs_no_action();
	nobody_is_overtaken();
	another_home_gives();
	who_leaves_takes_it_along();
	moved_but_not_granted();
	order_is_of_all();
	each_home_has_its_turn();
	near_ones_go_before_by_a_little();
	everybody_hears_what_concerns_him();
	return done_testing();
}
