/*
 * cap_test.c: kinds of requests with a number of their own.
 */
#include "pool_test.h"

static PoolCap cap;

static void
ask_capped(int client, usec_t budget_us, uint64_t fingerprint)
{
	clients[client].waiter.cap = &cap;
	ask_of(&pool, client, budget_us, fingerprint);
}

static void
a_cap_holds_its_requests_to_its_number(void)
{
	PoolLimits limits = plain_limits(4);

	begin_at(&limits);
	pool_cap_init(&cap, 2, 0);
	for (int i = 0; i < 3; i++)
		ask_capped(i, 0, 0);
	ok(has_server(0) && has_server(1), "as many as it allows run");
	ok(is_waiting(2), "the next waits although a server could be opened");
	is_int(cap.active, 2, "two have a place");
	is_int(pool_cap_waiting(&cap), 1, "one is parked");
	ask(10, 0);
	ok(has_server(10), "others are not held up");
	done(0);
	ok(has_server(2), "a place that becomes free goes to the parked one");
	done(1);
	done(2);
	is_int(cap.active, 0, "all places are back");
	is_int((int) cap.parked, 1, "one was parked");
	done(10);
	finish();
}

static void
the_parked_one_that_is_due_first_goes_first(void)
{
	PoolLimits limits = plain_limits(4);

	begin_at(&limits);
	pool_cap_init(&cap, 1, 0);
	ask_capped(0, 0, 0);
	ask_capped(1, 0, 0);
	ask_capped(2, 5 * SEC, 0);
	ask_capped(3, 500 * MSEC, 0);
	done(0);
	ok(has_server(3), "half a second goes before a request without a deadline");
	done(3);
	ok(has_server(1), "which goes before one that has five seconds");
	done(1);
	ok(has_server(2), "and that is the last");
	done(2);
	finish();
}

static void
times_run_while_parked(void)
{
	PoolLimits limits = plain_limits(4);

	limits.wait_timeout_us = 3 * SEC;
	begin_at(&limits);
	pool_cap_init(&cap, 1, 0);
	ask_capped(0, 0, 0);
	ask_capped(1, 200 * MSEC, 0);
	ask_capped(2, 0, 0);
	pass(199 * MSEC);
	ok(is_waiting(1), "not before its deadline");
	pass(1 * MSEC);
	ok(failed_with(1, POOL_FAIL_DEADLINE), "its deadline passes while it is parked");
	is_int(pool.estimate.margin, 0, "which says nothing about the pool's estimates");
	pass(3 * SEC);
	ok(failed_with(2, POOL_FAIL_WAIT_TIMEOUT), "and so does the longest wait");
	is_int(cap.active, 1, "neither had a place");
	done(0);
	finish();
}

static void
too_many_parked_are_refused(void)
{
	PoolLimits limits = plain_limits(4);

	begin_at(&limits);
	pool_cap_init(&cap, 1, 2);
	for (int i = 0; i < 4; i++)
		ask_capped(i, 0, 0);
	ok(is_waiting(1) && is_waiting(2), "two may wait");
	ok(failed_with(3, POOL_FAIL_CAP_FULL), "the third is refused");
	is_int((int) cap.refused, 1, "and counted");
	pool_cap_change(&cap, 0, 0, now, &actions);
	carry_out();
	ok(has_server(1) && has_server(2), "without the limit all run");
	for (int i = 0; i < 3; i++)
		done(i);
	is_int(cap.active, 0, "all places are back");
	finish();
}

static void
admission_counts_the_wait_for_a_place(void)
{
	PoolLimits limits = plain_limits(8);

	limits.admission = true;
	begin_at(&limits);
	pool_cap_init(&cap, 1, 0);
	for (int i = 0; i < 20; i++)
	{
		ask_capped(0, 0, 7);
		done_after(0, 100 * MSEC);
	}
	ask_capped(0, 0, 7);
	ask_capped(1, 0, 7);
	ask_capped(2, 0, 7);
	ask_capped(3, 250 * MSEC, 7);
	ok(failed_with(3, POOL_FAIL_HOPELESS), "three of 100 ms before it, one at a time: 250 ms cannot do");
	ok(clients[3].expected_wait_us >= 200 * MSEC, "the expected wait says so");
	ask_capped(3, 2 * SEC, 7);
	ok(is_waiting(3), "two seconds can");
	for (int i = 0; i < 4; i++)
		done_after(i == 0 ? 0 : has_server(3) ? 3 : has_server(1) ? 1 : 2, MSEC);
	finish();
}

static void
who_leaves_gives_the_place_back(void)
{
	PoolLimits limits = plain_limits(1);

	begin_at(&limits);
	pool_cap_init(&cap, 1, 0);
	ask(10, 0);
	ask_capped(0, 0, 0); /* has the place and stands in line */
	ask_capped(1, 0, 0); /* parked */
	is_int(cap.active, 1, "one in line has the place");
	pool_abandon(&pool, &clients[0].waiter, now, &actions);
	carry_out();
	is_int(cap.active, 1, "the parked one has it now");
	is_int(pool_cap_waiting(&cap), 0, "and is parked no longer");
	done(10);
	ok(has_server(1), "and gets the server");
	server_of(1)->used = false;
	pool_slot_closed(&server_of(1)->slot, now, &actions);
	clients[1].server = -1;
	carry_out();
	is_int(cap.active, 0, "a server that dies gives the place back");
	finish();
}

static void
a_cap_spans_pools(void)
{
	PoolLimits limits = plain_limits(2);
	Pool other;

	begin_at(&limits);
	if (!pool_init(&other, &limits, &db_group, NULL, now))
		bail_out("pool_init failed");
	pool_cap_init(&cap, 1, 0);
	ask_capped(0, 0, 0);
	clients[1].waiter.cap = &cap;
	ask_of(&other, 1, 0, 0);
	ok(is_waiting(1), "the place is taken in another pool");
	done(0);
	ok(has_server(1), "when it is free there, the request here runs");
	done(1);
	end_pools(&other);
}

int
main(void)
{
	a_cap_holds_its_requests_to_its_number();
	the_parked_one_that_is_due_first_goes_first();
	times_run_while_parked();
	too_many_parked_are_refused();
	admission_counts_the_wait_for_a_place();
	who_leaves_gives_the_place_back();
	a_cap_spans_pools();
	return done_testing();
}
