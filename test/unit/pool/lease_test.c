/*
 * lease_test.c: slots that a home gives to its own waiters by itself: when it may, what is learned of it, what it shows.
 */
#include "pool/policy.h"
#include "tap.h"

#define MSEC USEC_PER_MSEC

static Pool pool;
static PoolActions actions;
#define SLOTS 8
static PoolSlot slots[SLOTS];
static PoolWaiter waiters[SLOTS];
static usec_t now;

static void
begin_with(const PoolLimits *limits, PoolGroup *group)
{
	memset(slots, 0, sizeof(slots));
	memset(waiters, 0, sizeof(waiters));
	now = USEC_PER_SEC;
	actions = (PoolActions){.homes = 2};
	if (!pool_init(&pool, limits, group, NULL, now))
		bail_out("no memory");
}

static PoolLimits
usual(void)
{
	return (PoolLimits){.size = 2, .max_parallel_opening = 8, .check_delay_us = -1, .lifetime_us = -1, .slow_lane_percent = 50,
						.slow_lane_ratio = 10, .homes = 2};
}

static void
begin(void)
{
	PoolLimits limits = usual();

	begin_with(&limits, NULL);
}

static void
finish(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (pool_is_waiting(&waiters[i]))
			pool_abandon(&pool, &waiters[i], now, &actions);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].pool != NULL)
			pool_slot_closed(&slots[i], now, &actions);
	pool_free(&pool);
	pool_actions_free(&actions);
}

static void
opened(int slot)
{
	pool_slot_opening(&pool, &slots[slot], now);
	pool_slot_opened(&slots[slot], now, &actions);
}

static void
ask(int waiter, uint64_t fingerprint)
{
	waiters[waiter].deadline = DEADLINE_NONE;
	waiters[waiter].fingerprint = fingerprint;
	pool_request(&pool, &waiters[waiter], now, &actions);
}

/* A request of this class that takes so long, and how its slot is given back. */
static bool
run(int slot, uint64_t fingerprint, usec_t run_us, bool lease)
{
	PoolSlot *taken;
	bool leased = false;

	waiters[slot].deadline = DEADLINE_NONE;
	waiters[slot].fingerprint = fingerprint;
	taken = pool_take(&pool, &waiters[slot], now);
	if (taken == NULL)
		bail_out("no slot");
	now += run_us;
	pool_ran(taken, run_us, true, now);
	if (!lease || !(leased = pool_lease(taken, now, &actions)))
		pool_release(taken, true, now, &actions);
	return leased;
}

static void
only_where_nobody_waits(void)
{
	PoolLimits limits = usual();
	PoolAction action;

	begin();
	opened(0);
	ok(pool_may_lease(&pool), "nobody waits: a slot may be leased");
	ok(run(0, 0, MSEC, true) && slots[0].state == SLOT_ACTIVE && pool.idle.count == 0, "it stays active");
	ask(1, 0);
	ok(!pool_may_lease(&pool), "somebody waits: none may be leased any more");
	pool_release(&slots[0], true, now, &actions);
	ok(pool_actions_next(&actions, &action) && action.kind == POOL_OPEN, "(one is opened meanwhile)");
	ok(pool_actions_next(&actions, &action) && action.kind == POOL_GRANT && action.waiter == &waiters[1] && action.slot == &slots[0],
	   "what is given back goes to who waits");
	ok(pool_may_lease(&pool), "nobody waits any more");
	pool_pause(&pool, now, &actions);
	ok(!pool_may_lease(&pool), "not in a pool that is paused");
	finish();

	limits.round_robin = true;
	begin_with(&limits, NULL);
	ok(!pool_may_lease(&pool), "not where slots take turns");
	finish();
	limits.turn_by_home = true;
	begin_with(&limits, NULL);
	ok(pool_may_lease(&pool), "... unless each home has its own");
	finish();
	limits = usual();
	limits.lifetime_us = 0;
	begin_with(&limits, NULL);
	ok(!pool_may_lease(&pool), "not where a slot is used once");
	finish();
	limits = usual();
	limits.lifetime_us = 10 * MSEC;
	begin_with(&limits, NULL);
	opened(0);
	ok(run(0, 0, MSEC, true) && slots[0].lease_until == USEC_PER_SEC + 10 * MSEC, "it is told when the slot will be too old");
	pool_release(&slots[0], true, now, &actions);
	ok(!run(0, 0, 9 * MSEC, true), "not one that is too old");
	finish();
}

static void
what_is_learned(void)
{
	PoolTally tally = {.fingerprint = 7, .calls = 9, .granted = 9, .run_us = {MSEC, MSEC, MSEC, MSEC}, .hold_us = {MSEC, MSEC, MSEC, MSEC}};
	uint64_t granted;

	begin();
	opened(0);
	ok(!pool_lease_knows(&pool, 7, now), "a class that was never seen is to be asked about");
	ok(pool_lease_knows(&pool, 0, now), "what has no class is not");
	for (int i = 0; i < 9; i++)
		run(0, 7, MSEC, false);
	ok(pool_lease_knows(&pool, 7, now), "nor is one that is known");
	granted = pool.counters.granted;
	tally.last = now;
	ok(pool_learn_tally(&pool, &tally, now) && pool_classes_find(&pool.classes, 7)->calls == 18 && pool.counters.granted == granted + 9,
	   "what ran on lease is counted");
	ok(tally.calls == 0 && tally.granted == 0 && tally.fingerprint == 7, "... once");
	pool_lease_served(&pool, now + 5);
	ok(pool._normal_seen == now + 5, "when one was served on lease can be told sooner");
	pool_lease_served(&pool, now);
	ok(pool._normal_seen == now + 5, "... in any order");
	for (int round = 0; round < 40; round++)
	{
		tally.calls = tally.granted = 4;
		for (int i = 0; i < POOL_TALLY_SAMPLES; i++)
			tally.run_us[i] = tally.hold_us[i] = 500 * MSEC;
		for (int i = 0; i < 8; i++)
			run(0, 8, MSEC, false); /* keeps the median low */
		if (!pool_learn_tally(&pool, &tally, now))
			break;
	}
	ok(!pool_lease_knows(&pool, 7, now), "a class that has become slow is to be asked about again");
	finish();
}

static void
what_runs_can_be_shown(void)
{
	PoolLeaseRun long_run = {.fingerprint = 7, .held_for = 7};
	uint64_t granted;

	begin();
	opened(0);
	for (int i = 0; i < 9; i++)
		run(0, 7, MSEC, false);
	run(0, 7, MSEC, true);
	granted = pool.counters.granted;
	long_run.since = long_run.held_since = now;
	now += 50 * MSEC;
	pool_lease_shows(&slots[0], &long_run);
	ok(pool_classes_find(&pool.classes, 7)->active == 1 && pool.counters.granted == granted + 1, "what runs for long is seen to run");
	pool_ran(&slots[0], 50 * MSEC, true, now);
	pool_release(&slots[0], true, now, &actions);
	ok(pool_classes_find(&pool.classes, 7)->active == 0 && pool_classes_find(&pool.classes, 7)->_refs == 0, "... and ends as any other");
	run(0, 7, MSEC, true);
	pool_slot_closed(&slots[0], now, &actions);
	ok(pool_slots(&pool) == 0, "a slot on lease can be lost");
	finish();
}

/* A pool of the same group has no room for its waiter but what is on lease. */
static void
groups_keep_their_limits(void)
{
	PoolLimits limits = usual();
	PoolGroup group;
	Pool poor;
	PoolWaiter waiter = {.deadline = DEADLINE_NONE};
	PoolAction action;

	pool_group_init(&group, 1);
	begin_with(&limits, &group);
	if (!pool_init(&poor, &limits, &group, NULL, now))
		bail_out("no memory");
	opened(0);
	ok(pool_may_lease(&pool), "in a group with a limit a slot may be leased");
	pool_lease_begins(&pool);
	ok(run(0, 0, MSEC, true) && group.used == 1, "... and counts in the group");
	ok(pool_actions_next_crowded(&actions) == NULL, "nobody wants it");
	pool_request(&poor, &waiter, now, &actions);
	ok(!pool_actions_next(&actions, &action), "another pool may open none");
	ok(!pool_may_lease(&pool) && pool_actions_next_crowded(&actions) == &group, "so nothing may stay on lease");
	ok(pool_leased(&group, list_first(&group.leased)) == &pool && group.leased.count == 1, "... of the pools that have any");
	ok(pool_actions_next_crowded(&actions) == NULL, "... which is said once");
	pool_release(&slots[0], true, now, &actions);
	ok(pool_actions_next(&actions, &action) && action.kind == POOL_EVICT && action.slot == &slots[0], "what is given back gives way");
	pool_slot_closed(&slots[0], now, &actions);
	ok(pool_actions_next(&actions, &action) && action.kind == POOL_OPEN && action.pool == &poor && group.used == 1, "... to who waits");
	ok(pool_may_lease(&pool), "and leases may begin anew");
	pool_lease_ends(&pool);
	ok(list_empty(&group.leased), "a pool without any is not in the list");
	pool_abandon(&poor, &waiter, now, &actions);
	pool_free(&poor);
	finish();
}

static void
caps_are_exact(void)
{
	PoolLeaseRun leased = {.cap = NULL};
	PoolCap cap;
	PoolAction action;

	begin();
	opened(0);
	run(0, 0, MSEC, true);
	pool_cap_init(&cap, 1, 0);
	ok(pool_cap_enter(&cap) && cap.active == 1, "a request on lease takes its place");
	ok(!pool_cap_enter(&cap), "... if there is one");
	opened(1);
	waiters[1].cap = &cap;
	ask(1, 0);
	ok(pool_is_waiting(&waiters[1]) && pool_cap_waiting(&cap) == 1, "who asks meanwhile is parked");
	ok(pool_cap_exit(&cap), "who leaves hears that somebody is");
	ok(!pool_cap_enter(&cap), "... and nobody overtakes that one");
	pool_cap_serve(&cap, now, &actions);
	while (pool_actions_next(&actions, &action) && action.kind != POOL_GRANT)
		;
	ok(action.kind == POOL_GRANT && action.waiter == &waiters[1] && cap.active == 1, "who is served then");
	pool_release(&slots[1], true, now, &actions);
	ok(cap.active == 0 && pool_cap_enter(&cap) && !pool_cap_exit(&cap), "with nobody parked nothing is to be served");
	ok(pool_cap_enter(&cap), "a place is taken on lease");
	leased.cap = &cap;
	leased.since = leased.held_since = now;
	pool_lease_shows(&slots[0], &leased);
	pool_slot_closed(&slots[0], now, &actions);
	ok(cap.active == 0, "... and comes back when the server is lost");
	finish();
}

/* What a tally of so many statements of class 7 teaches, of which the first took its time at rest. */
static void
teach(int calls, usec_t rest_us, usec_t run_us)
{
	PoolTally tally = pool_tally(&pool, 7, now);

	for (int i = 0; i < calls; i++)
		pool_tally_run(&tally, i == 0 ? rest_us : run_us, now);
	now += 100 * MSEC;
	(void) pool_learn_tally(&pool, &tally, now);
}

static void
adaptive_pools_learn_from_tallies(void)
{
	PoolLimits limits = usual();
	PoolAdmission admission;

	limits.size = SLOTS;
	limits.slow_lane_percent = 100;
	limits.adaptive = true;
	begin_with(&limits, NULL);
	for (int i = 0; i < SLOTS; i++)
		opened(i);
	for (int i = 0; i < 9; i++)
		run(0, 7, MSEC, false);
	ok(pool_may_lease(&pool), "slots of an adaptive pool may be leased");
	for (int i = 0; i < SLOTS - 1; i++)
	{
		waiters[i].deadline = DEADLINE_NONE;
		waiters[i].fingerprint = 7;
		if (pool_take(&pool, &waiters[i], now) == NULL)
			bail_out("no slot");
	}
	teach(100, MSEC, MSEC);
	pool_admission(&pool, &admission);
	ok(admission.active_limit == SLOTS && pool_has_spare(&pool), "statements that take no longer than at rest leave its limit alone");
	teach(100, MSEC, 5 * MSEC);
	ok(pool.adaptive.ratio > 4.9 && pool.adaptive.ratio < 5, "how many times as long they took is told (%.2f)", pool.adaptive.ratio);
	pool_admission(&pool, &admission);
	ok(admission.active_limit == SLOTS - 1 && pool_may_lease(&pool), "its limit falls (%d)", admission.active_limit);
	ok(pool.idle.count == 1 && !pool_has_spare(&pool), "at the limit an idle slot is none that could be granted");
	teach(100, MSEC, 3 * USEC_PER_SEC);
	ok(pool.adaptive.ratio > 9 && pool.adaptive.ratio <= 10.1, "no statement counts for more than ten (%.2f)", pool.adaptive.ratio);
	for (int i = 0; i < 8; i++)
		teach(100, MSEC, 5 * MSEC);
	pool_admission(&pool, &admission);
	ok(admission.active_limit < SLOTS - 1 && !pool_may_lease(&pool), "nothing is on lease where more are active than the limit (%d)",
	   admission.active_limit);
	for (int i = 0; i < SLOTS && !pool_may_lease(&pool); i++)
		if (slots[i].state == SLOT_ACTIVE)
			pool_release(&slots[i], true, now, &actions);
	ok(pool.active.count == admission.active_limit, "... until as many have ended");
	finish();
}

int
main(void)
{
	only_where_nobody_waits();
	what_is_learned();
	what_runs_can_be_shown();
	groups_keep_their_limits();
	caps_are_exact();
	adaptive_pools_learn_from_tallies();
	return done_testing();
}
