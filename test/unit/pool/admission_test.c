/*
 * admission_test.c: what is learned of statement classes, who is refused for it, and who takes the slow lane.
 */
#include "pool_test.h"

static PoolLimits
admitting(int size)
{
	PoolLimits limits = plain_limits(size);

	limits.admission = true;
	return limits;
}

/* Let a class run, n times, on an otherwise quiet pool. */
static void
teach(uint64_t class, usec_t run_us, int n)
{
	for (int i = 0; i < n; i++)
	{
		ask_of(&pool, 200, 0, class);
		done_after(200, run_us);
	}
}

static usec_t
mean_of(uint64_t class)
{
	const PoolClass *c = pool_classes_find(&pool.classes, class);

	return c != NULL ? c->run.mean_us : -1;
}

/* --- service times --- */

static void
smoothed_means_follow(void)
{
	Smoothed s = {0};

	smoothed_add(&s, 20000);
	is_int(s.mean_us, 20000, "the first sample is the mean");
	for (int i = 0; i < 100; i++)
		smoothed_add(&s, 20000);
	ok(s.dev_us < 100, "equal samples leave no deviation");
	smoothed_add(&s, 60 * SEC);
	ok(s.mean_us < 40000, "one statement that hung does not spoil the mean (%d us)", (int) s.mean_us);
	for (int i = 0; i < 100; i++)
		smoothed_add(&s, 20000);
	ok(s.mean_us < 21000, "... and is soon forgotten");
	for (int i = 0; i < 200; i++)
		smoothed_add(&s, 200000);
	ok(s.mean_us > 195000, "a lasting change is followed");
	smoothed_add_at_least(&s, 1000);
	ok(s.mean_us > 195000, "a run that was cut short says nothing when it was shorter than the mean");
	for (int i = 0; i < 200; i++)
		smoothed_add_at_least(&s, 900000);
	ok(s.mean_us > 800000, "... and counts when it was longer");
	for (int i = 0; i < 7; i++)
		smoothed_add(&s, 2000);
	ok(s.mean_us > 600000, "seven short runs in a row change little (%d us)", (int) s.mean_us);
	smoothed_add(&s, 2000);
	is_int(s.mean_us, 2000, "the eighth shows that a slow phase is over");
	for (int i = 0; i < 200; i++)
		smoothed_add(&s, i % 2 ? 1990 : 2010);
	ok(s.mean_us >= 1995 && s.mean_us <= 2005, "small differences are not rounded to one side (%d us)",
	   (int) s.mean_us);
}

static void
classes_are_bounded(void)
{
	PoolClasses classes;
	PoolClass *held;

	pool_classes_init(&classes);
	held = pool_classes_get(&classes, 1);
	held->_refs++;
	for (uint64_t i = 2; i < 5000; i++)
		(void) pool_classes_get(&classes, i);
	is_int(classes.by_fingerprint.count, POOL_CLASSES_MAX,
		   "the table of classes does not grow beyond its bound");
	ok(pool_classes_find(&classes, 1) == held, "a class in use is not thrown out");
	ok(pool_classes_find(&classes, 4999) != NULL && pool_classes_find(&classes, 2) == NULL,
	   "the least recently used ones are");
	ok(pool_classes_get(&classes, 0) == NULL, "fingerprint 0 has no class");
	for (uint64_t i = 5000; i < 5000 + POOL_CLASSES_MAX - 1; i++)
		pool_classes_get(&classes, i)->_refs++;
	ok(pool_classes_get(&classes, 77) == NULL, "when all are in use a statement has no class");
	pool_classes_free(&classes);
}

static void
run_times_are_learned(void)
{
	PoolLimits limits = admitting(2);
	PoolSlot *slot;

	begin_at(&limits);
	teach(7, 20 * MSEC, 10);
	is_int(mean_of(7), 20 * MSEC, "a class costs what it ran");
	is_int(pool_classes_find(&pool.classes, 7)->calls, 10, "its calls are counted");
	ask_of(&pool, 0, 0, 7);
	slot = &server_of(0)->slot;
	is_int(slot->running->fingerprint, 7, "a granted server runs the class of its request");
	pass(5 * MSEC);
	pool_ran(slot, 5 * MSEC, false, now);
	is_int(mean_of(7), 20 * MSEC, "a statement cancelled early teaches nothing");
	ok(slot->running == NULL, "what has ended runs no more");
	pool_starts(slot, 8, now);
	is_int(pool_classes_find(&pool.classes, 8)->active, 1, "a session may run another class next");
	pool_ran(slot, 3 * MSEC, true, now);
	is_int(mean_of(8), 3 * MSEC, "... which is learned by itself");
	done(0);
	is_int(pool_classes_find(&pool.classes, 8)->active, 0, "nobody runs it any more");
	finish();
}

/* --- admission --- */

/* Pool of two, both busy for 20 ms with class 7, which is known. */
static void
begin_busy(void)
{
	PoolLimits limits = admitting(2);

	begin_at(&limits);
	teach(7, 20 * MSEC, 20);
	ask_of(&pool, 0, 0, 7);
	ask_of(&pool, 1, 0, 7);
	pool.estimate.probed_at = now; /* no probe within this test's time */
}

static void
hopeless_request_is_refused_at_once(void)
{
	int queued = 0;

	begin_busy();
	ask_of(&pool, 2, 15 * MSEC, 7);
	ok(failed_with(2, POOL_FAIL_HOPELESS),
	   "a request whose deadline is shorter than wait and run is refused");
	is_int(clients[2].waited_us, 0, "... at once");
	is_int(clients[2].expected_wait_us, 10 * MSEC,
		   "... with the expected wait: half a run on one of two servers");
	ok(clients[2].expected_run_us >= 20 * MSEC && clients[2].expected_run_us < 22 * MSEC, "... and run time");
	is_int(pool.counters.refused_hopeless, 1, "... and is counted");
	is_int(pool_classes_find(&pool.classes, 7)->refused, 1, "... also by class");
	for (int i = 10; i < 60; i++)
	{
		ask_of(&pool, i, 100 * MSEC, 7);
		queued += is_waiting(i);
	}
	ok(queued >= 4 && queued <= 7, "of many with 100 ms, as many may wait as can make it (%d)", queued);
	ask_of(&pool, 100, SEC, 7);
	ok(is_waiting(100), "one with more time may wait");
	ask_of(&pool, 101, 0, 7);
	ok(is_waiting(101), "one without a deadline, too");
	finish();
}

static void
admission_can_be_turned_off(void)
{
	begin_busy();
	pool.limits.admission = false;
	ask_of(&pool, 2, 15 * MSEC, 7);
	ok(is_waiting(2), "without admission nobody is refused");
	pass(15 * MSEC);
	ok(failed_with(2, POOL_FAIL_DEADLINE), "... but expires");
	finish();
}

static void
unknown_class_is_admitted(void)
{
	begin_busy();
	ask_of(&pool, 2, 15 * MSEC, 99);
	ok(is_waiting(2), "a class never seen is admitted where a known one is not");
	finish();
}

static void
idle_server_is_granted_whatever_is_expected(void)
{
	PoolLimits limits = admitting(2);

	begin_at(&limits);
	teach(7, 20 * MSEC, 20);
	ask_of(&pool, 2, 5 * MSEC, 7);
	ok(has_server(2), "a request that finds an idle server is never refused");
	done(2);
	finish();
}

static void
lost_waiter_is_failed_at_the_head(void)
{
	usec_t run;

	begin_busy();
	ask_of(&pool, 2, 60 * MSEC, 7);
	ok(is_waiting(2), "a request that should make it waits");
	run = pool_classes_find(&pool.classes, 7)->run.mean_us - pool_classes_find(&pool.classes, 7)->run.dev_us;
	pass(60 * MSEC - run);
	ok(is_waiting(2), "... as long as what is left is enough to run");
	pass(1);
	ok(failed_with(2, POOL_FAIL_HOPELESS), "... and is told when it is not, before its deadline");
	finish();
}

static void
lost_waiter_behind_another_is_told_when_it_is_first(void)
{
	begin_busy();
	pool.limits.wait_timeout_us = 198 * MSEC;
	ask_of(&pool, 2, 200 * MSEC, 99); /* of unknown cost: not lost before its deadline */
	pass(1 * MSEC);
	ask_of(&pool, 3, 209 * MSEC, 7);
	pass(196 * MSEC);
	ok(is_waiting(2) && is_waiting(3),
	   "a waiter that cannot make it any more is not looked for behind others");
	now += 1 * MSEC;
	pool_tick(&pool, now, &actions);
	carry_out();
	ok(failed_with(2, POOL_FAIL_WAIT_TIMEOUT) && failed_with(3, POOL_FAIL_HOPELESS),
	   "... but told in the moment that it is first");
	is_int(pool_next_event(&pool, now), DEADLINE_NONE, "... which leaves nothing due");
	finish();
}

static void
lost_waiters_are_not_granted(void)
{
	begin_busy();
	ask_of(&pool, 2, 100 * MSEC, 99);
	ask_of(&pool, 3, 101 * MSEC, 7);
	pass(90 * MSEC);
	ok(is_waiting(2) && is_waiting(3), "two wait, the second in vain");
	pool_release(&server_of(0)->slot, true, now, &actions);
	pool_release(&server_of(1)->slot, true, now, &actions);
	carry_out();
	ok(has_server(2), "the first is granted");
	ok(failed_with(3, POOL_FAIL_HOPELESS), "... the second told");
	is_int(pool.idle.count, 1, "... with a server idle");
	finish();
}

static void
earlier_deadlines_do_not_wait_for_later_ones(void)
{
	begin_busy();
	for (int i = 10; i < 60; i++)
		ask_of(&pool, i, 10 * SEC, 7);
	ask_of(&pool, 2, 60 * MSEC, 7);
	ok(is_waiting(2),
	   "those with later deadlines are not ahead: an urgent request is admitted behind fifty of them");
	finish();
}

static void
refused_class_is_probed(void)
{
	int admitted = 0;
	usec_t begun;
	bool again = false;

	begin_busy();
	/* class 7 runs 2 s now, it seems; the pool stays busy with class 8, and there is always somebody waiting
	 */
	for (int i = 0; i < 100; i++)
	{
		pool_starts(&server_of(0)->slot, 7, now);
		pool_ran(&server_of(0)->slot, 2 * SEC, true, now);
	}
	ok(mean_of(7) > 100 * MSEC, "a class has become slow (%d ms)", (int) (mean_of(7) / MSEC));
	done(0);
	done(1);
	begun = now;
	for (int i = 0; i < 100 && !again; i++)
	{
		/* one server busy with class 8, the other serves whoever waits, 10 ms each */
		ask_of(&pool, 10, 0, 8);
		ask_of(&pool, 11, 0, 8);
		ask_of(&pool, 12, 100 * MSEC, 7);
		if (is_waiting(12))
		{
			admitted++;
			done(10);
			if (has_server(12))
				done_after(12, 10 * MSEC);
			done(11);
		}
		else
		{
			pass(10 * MSEC);
			done(10);
			done(11);
		}
		again = mean_of(7) < 50 * MSEC;
	}
	ok(again, "a class from which everybody is refused is let in now and then, and found quick again");
	ok(now - begun <= SEC, "... within a second (%d ms, after %d probes)", (int) ((now - begun) / MSEC),
	   admitted);
	finish();
}

static void
probes_are_rare(void)
{
	int admitted = 0;

	begin_busy();
	pool.estimate.probed_at = 0;
	for (int i = 0; i < 100; i++)
	{
		ask_of(&pool, 2 + i, 15 * MSEC, 7);
		admitted += is_waiting(2 + i);
		pass(10 * MSEC);
	}
	ok(admitted >= 3 && admitted <= 4, "one class is probed four times a second at most (%d)", admitted);
	finish();
}

static void
margin_is_learned_once_a_generation(void)
{
	int step;

	begin_busy();
	pool.limits.admission = false; /* lest anybody be refused */
	for (int i = 10; i < 30; i++)
		ask_of(&pool, i, 60 * MSEC, 99);
	pass(60 * MSEC);
	ok(failed_with(10, POOL_FAIL_DEADLINE) && failed_with(29, POOL_FAIL_DEADLINE),
	   "a queue full of waiters is late");
	step = pool.estimate.margin;
	ok(step > 0 && step < 65536 / 16, "that makes admission more careful, by one step for all of them (%d)",
	   step);
	ask_of(&pool, 10, 10 * MSEC, 99);
	pass(10 * MSEC);
	is_int(pool.estimate.margin, 2 * step, "who came after that and is late makes it another step");
	for (int i = 0; i < 2000; i++)
	{
		ask_of(&pool, 10, SEC, 7);
		pass(1);
		done(0);
		pool_ran(&server_of(10)->slot, 1 * MSEC, true, now);
		done(10);
		ask_of(&pool, 0, 0, 7);
	}
	is_int(pool.estimate.margin, 0, "successes take the caution away again");
	finish();
}

/* --- the slow lane --- */

static PoolLimits
with_lane(int size)
{
	PoolLimits limits = plain_limits(size);

	limits.slow_lane_percent = 50;
	limits.slow_lane_ratio = 10;
	return limits;
}

/* A pool of four in which class 1 takes 2 ms and class 2 takes 500 ms, which is known. */
static void
begin_mixed(void)
{
	PoolLimits limits = with_lane(4);

	begin_at(&limits);
	teach(1, 2 * MSEC, 20);
	teach(2, 500 * MSEC, 2);
	teach(1, 2 * MSEC, 2);
}

static void
slow_class_has_a_share(void)
{
	begin_mixed();
	for (int i = 0; i < 4; i++)
		ask_of(&pool, i, 0, 2);
	ok(has_server(0) && has_server(1), "a slow class may hold half of the servers");
	ok(is_waiting(2) && is_waiting(3), "... and no more while others are about");
	ask_of(&pool, 10, 0, 1);
	ask_of(&pool, 11, 0, 1);
	ok(has_server(10) && has_server(11), "the others have the rest");
	ask_of(&pool, 12, 0, 1);
	done(10);
	ok(has_server(12), "they do not wait behind slow ones that came before");
	done(0);
	ok(has_server(2), "a slow one takes the place of a slow one");
	ok(pool_classes_find(&pool.classes, 2)->slow && !pool_classes_find(&pool.classes, 1)->slow,
	   "SHOW can tell who is slow");
	finish();
}

static void
lanes_keep_the_order_of_arrival_between_them(void)
{
	begin_mixed();
	for (int i = 0; i < 4; i++)
		ask_of(&pool, i, 0, 1);
	ask_of(&pool, 10, 0, 1);
	pass(1);
	ask_of(&pool, 11, 0, 2);
	pass(1);
	ask_of(&pool, 12, 0, 1);
	done(0);
	ok(has_server(10),
	   "while its share is not used up, a slow request is served in its turn: not before who came first");
	done(1);
	ok(has_server(11), "... and not after who came later");
	done(2);
	ok(has_server(12), "... who is next");
	finish();
}

static void
slow_class_may_use_a_quiet_pool(void)
{
	begin_mixed();
	for (int i = 0; i < 4; i++)
		ask_of(&pool, i, 0, 2);
	/* the last of the others came 2 ms ago */
	is_int(pool_next_event(&pool, now) - now, SEC - 2 * MSEC, "the lane opens at a known time");
	pass(SEC - 2 * MSEC - 1);
	ok(is_waiting(2), "until then it is kept");
	pass(1);
	ok(has_server(2) && has_server(3),
	   "when nobody else has come for a second slow ones may take all servers");
	ask_of(&pool, 10, 0, 1);
	done(0);
	ok(has_server(10), "... until somebody comes");
	finish();
}

static void
one_server_at_least_for_the_slow(void)
{
	PoolLimits limits = with_lane(1);

	limits.slow_lane_percent = 0;
	begin_at(&limits);
	teach(1, 2 * MSEC, 20);
	teach(2, 500 * MSEC, 2);
	ask_of(&pool, 0, 0, 1);
	ask_of(&pool, 1, 0, 2);
	done(0);
	ok(has_server(1), "the slow lane has one server at least");
	done(1);
	finish();
}

static void
class_that_hangs_becomes_slow_while_it_runs(void)
{
	begin_mixed();
	ask_of(&pool, 0, 0, 3);
	pass(50 * MSEC);
	ask_of(&pool, 1, 0, 3);
	ok(pool_classes_find(&pool.classes, 3)->slow, "a new class whose first statement does not end is slow");
	ask_of(&pool, 2, 0, 3);
	ok(is_waiting(2), "... and limited");
	ask_of(&pool, 3, 0, 1);
	ok(has_server(3), "... to leave room for others");
	finish();
}

static void
class_that_recovers_leaves_the_lane(void)
{
	begin_mixed();
	for (int i = 0; i < 60; i++)
		teach(2, 3 * MSEC, 1);
	ok(!pool_classes_find(&pool.classes, 2)->slow, "a class that has become quick is slow no more");
	finish();
}

static void
lane_can_be_turned_off(void)
{
	begin_mixed();
	pool.limits.slow_lane_percent = 100;
	for (int i = 0; i < 4; i++)
		ask_of(&pool, i, 0, 2);
	ok(has_server(2) && has_server(3), "without a slow lane everybody may take everything");
	finish();
}

int
main(void)
{
	smoothed_means_follow();
	classes_are_bounded();
	run_times_are_learned();
	hopeless_request_is_refused_at_once();
	admission_can_be_turned_off();
	unknown_class_is_admitted();
	idle_server_is_granted_whatever_is_expected();
	lost_waiter_is_failed_at_the_head();
	lost_waiter_behind_another_is_told_when_it_is_first();
	lost_waiters_are_not_granted();
	earlier_deadlines_do_not_wait_for_later_ones();
	refused_class_is_probed();
	probes_are_rare();
	margin_is_learned_once_a_generation();
	slow_class_has_a_share();
	lanes_keep_the_order_of_arrival_between_them();
	slow_class_may_use_a_quiet_pool();
	one_server_at_least_for_the_slow();
	class_that_hangs_becomes_slow_while_it_runs();
	class_that_recovers_leaves_the_lane();
	lane_can_be_turned_off();
	return done_testing();
}
