/*
 * order_test.c: who is next: arrival, deadlines, aging, taking turns; who is failed; who may leave.
 */
#include "pool_test.h"

static void
first_request_opens_a_server_and_gets_it(void)
{
	PoolLimits limits = plain_limits(2);

	begin_at(&limits);
	ask(0, 0);
	is_int(opens, 1, "an empty pool opens a server for its first request");
	ok(has_server(0), "the request is granted when the login is complete");
	is_int(clients[0].waited_us, 0, "it waited for no time");
	is_int(pool.counters.granted, 1, "the grant is counted");
	done(0);
	ask(1, 0);
	is_int(opens, 1, "the second request uses the server that is idle");
	ok(has_server(1), "... and is granted at once");
	done(1);
	finish();
}

/* One server, held by client 0; 1.. wait. */
static void
begin_busy(const PoolLimits *limits)
{
	begin_at(limits);
	ask(0, 0);
}

static void
without_deadlines_first_come_first_served(void)
{
	PoolLimits limits = plain_limits(1);
	bool in_order = true;

	begin_busy(&limits);
	for (int i = 1; i <= 50; i++)
	{
		pass(i % 3 == 0 ? 0 : 7);
		ask(i, 0);
	}
	for (int i = 0; i < 50; i++)
	{
		done(i);
		in_order &= has_server(i + 1) && clients[i + 1].nth == i + 2;
	}
	ok(in_order, "fifty waiters are served in the order they came");
	done(50);
	finish();
}

static void
earliest_deadline_first(void)
{
	PoolLimits limits = plain_limits(1);
	static const int budgets[] = {300, 100, 200, 400, 50};
	static const int order[] = {5, 2, 3, 1, 4};

	begin_busy(&limits);
	for (int i = 0; i < 5; i++)
		ask(i + 1, budgets[i] * MSEC);
	done(0);
	for (int i = 0; i < 5; i++)
	{
		ok(has_server(order[i]), "number %d is the one with %d ms", i + 1, budgets[order[i] - 1]);
		done(order[i]);
	}
	finish();
}

static void
equal_deadlines_keep_their_order(void)
{
	PoolLimits limits = plain_limits(1);
	bool in_order = true;

	begin_busy(&limits);
	for (int i = 1; i <= 40; i++)
		ask(i, 100 * MSEC);
	for (int i = 0; i < 40; i++)
	{
		done(i);
		in_order &= has_server(i + 1);
	}
	ok(in_order, "waiters with the same deadline are served in the order they came");
	done(40);
	finish();
}

static void
no_deadline_counts_as_a_second(void)
{
	PoolLimits limits = plain_limits(1);

	begin_busy(&limits);
	ask(1, 0);
	ask(2, 900 * MSEC);
	ask(3, 1100 * MSEC);
	done(0);
	ok(has_server(2), "a deadline within a second goes before one without");
	done(2);
	ok(has_server(1), "one without goes before a deadline of more than a second");
	done(1);
	ok(has_server(3), "... which comes last");
	done(3);
	finish();
}

static void
nobody_is_starved(void)
{
	PoolLimits limits = plain_limits(1);
	int plain = 0;
	int urgent = 0;
	int holder = 0;

	begin_busy(&limits);
	for (int i = 1; i <= 20; i++)
		ask(i, 0);
	pass(SEC);
	for (int i = 21; i <= 40; i++)
		ask(i, 10 * SEC);
	for (int n = 0; n < 20; n++)
	{
		done(holder);
		for (holder = 1; !has_server(holder); holder++)
			;
		if (holder <= 20)
			plain++;
		else
			urgent++;
	}
	is_int(plain, 10, "waiters without a deadline that are older than a second get every other grant");
	is_int(urgent, 10, "... and those with one the others");
	done(holder);
	finish();
}

static void
expired_waiter_is_failed_at_its_deadline(void)
{
	PoolLimits limits = plain_limits(1);

	begin_busy(&limits);
	ask(1, 100 * MSEC);
	ask(2, 50 * MSEC);
	is_int(pool_next_event(&pool, now) - now, 50 * MSEC, "the next event is the earliest deadline");
	pass(50 * MSEC - 1);
	ok(is_waiting(2), "a microsecond before it the waiter waits");
	pass(1);
	ok(failed_with(2, POOL_FAIL_DEADLINE), "at its deadline it fails");
	is_int(clients[2].waited_us, 50 * MSEC, "having waited for as long as it was willing to");
	ok(is_waiting(1), "the other one still waits");
	done(0);
	ok(has_server(1), "... and is granted");
	is_int(pool.counters.expired, 1, "the expiry is counted");
	done(1);
	finish();
}

static void
queue_wait_expires_before_grant(void)
{
	PoolLimits limits = plain_limits(1);

	begin_busy(&limits);
	ask(1, 50 * MSEC);
	now += 50 * MSEC; /* the release is seen before the timer fires */
	done(0);
	ok(failed_with(1, POOL_FAIL_DEADLINE),
	   "a server that comes free at the deadline is not granted to who has just expired");
	is_int(pool.idle.count, 1, "it is idle instead");
	ask(1, -1);
	ok(has_server(1), "a budget of nothing means no deadline");
	done(1);
	clients[2].waiter.deadline = now;
	pool_request(&pool, &clients[2].waiter, now, &actions);
	carry_out();
	ok(failed_with(2, POOL_FAIL_DEADLINE),
	   "a request that arrives at its deadline fails, an idle server or not");
	finish();
}

static void
wait_timeout_fails_the_waiter(void)
{
	PoolLimits limits = plain_limits(1);

	limits.wait_timeout_us = 2 * SEC;
	begin_busy(&limits);
	ask(1, 0);
	pass(SEC);
	ask(2, 10 * SEC);
	pass(SEC);
	ok(failed_with(1, POOL_FAIL_WAIT_TIMEOUT), "query_wait_timeout ends the wait");
	ok(is_waiting(2), "... of nobody else");
	pass(SEC);
	ok(failed_with(2, POOL_FAIL_WAIT_TIMEOUT), "it holds beside a longer deadline, too");
	is_int(pool.counters.wait_timeouts, 2, "both are counted");
	is_int(pool_next_event(&pool, now), DEADLINE_NONE, "nothing is left to happen by itself");
	done(0);
	finish();
}

static void
full_queue_refuses(void)
{
	PoolLimits limits = plain_limits(1);

	limits.max_waiting = 2;
	begin_busy(&limits);
	ask(1, 0);
	ask(2, 0);
	ask(3, 0);
	ok(failed_with(3, POOL_FAIL_QUEUE_FULL), "the third waiter is refused where two may wait");
	is_int(clients[3].waited_us, 0, "... at once");
	done(0);
	ask(3, 0);
	ok(is_waiting(3), "as soon as one is served the next may wait");
	done(1);
	done(2);
	done(3);
	finish();
}

static void
who_leaves_is_forgotten(void)
{
	PoolLimits limits = plain_limits(1);

	begin_busy(&limits);
	ask(1, 0);
	ask(2, 100 * MSEC);
	ask(3, 0);
	pool_abandon(&pool, &clients[1].waiter, now, &actions);
	pool_abandon(&pool, &clients[2].waiter, now, &actions);
	pool_abandon(&pool, &clients[2].waiter, now, &actions);
	is_int(actions.own[0].count, 0, "leaving the queue has no consequences");
	done(0);
	ok(has_server(3) && !has_server(1) && !has_server(2), "the next grant passes over those who left");
	pass(SEC);
	ok(!clients[2].failed, "a deadline that is not wanted any more does not expire");
	done(3);
	finish();
}

static void
grant_is_taken_back_when_the_client_left(void)
{
	PoolLimits limits = plain_limits(1);
	PoolSlot *slot;

	begin_busy(&limits);
	slot = &server_of(0)->slot;
	ask(1, 0);
	ask(2, 0);
	clients[0].server = -1;
	pool_release(slot, true, now, &actions);
	is_int(actions.own[0].count, 1, "a grant is under way");
	pool_abandon(&pool, &clients[1].waiter, now, &actions);
	carry_out();
	ok(!has_server(1) && has_server(2),
	   "a client that leaves before its grant is carried out leaves the server to the next");
	done(2);
	is_int(pool.counters.granted, 3, "both decisions count");
	finish();
}

static void
lost_server_returns_waiter_to_its_place(void)
{
	PoolLimits limits = plain_limits(1);
	Server *server;

	begin_busy(&limits);
	server = server_of(0);
	ask(1, 0);
	pass(5);
	ask(2, 0);
	clients[0].server = -1;
	pool_release(&server->slot, true, now, &actions);
	server->used = false;
	pool_slot_closed(&server->slot, now, &actions);
	ok(is_waiting(1), "a server that is lost before its grant is carried out puts the waiter back");
	carry_out();
	ok(has_server(1) && !has_server(2), "... before those who came later: the next server is its");
	is_int(opens, 2, "... which is opened at once");
	done(1);
	done(2);
	finish();
}

static void
idle_servers_are_reused_last_in_first_out(void)
{
	PoolLimits limits = plain_limits(3);
	int first, last;

	begin_at(&limits);
	for (int i = 0; i < 3; i++)
		ask(i, 0);
	first = clients[0].server;
	last = clients[2].server;
	for (int i = 0; i < 3; i++)
		done(i);
	ask(3, 0);
	is_int(clients[3].server, last, "the server used last is used next");
	done(3);
	limits.round_robin = true;
	pool_set_limits(&pool, &limits, now, &actions);
	ask(3, 0);
	is_int(clients[3].server, first, "with server_round_robin the one that was idle for longest is");
	done(3);
	finish();
}

int
main(void)
{
	first_request_opens_a_server_and_gets_it();
	without_deadlines_first_come_first_served();
	earliest_deadline_first();
	equal_deadlines_keep_their_order();
	no_deadline_counts_as_a_second();
	nobody_is_starved();
	expired_waiter_is_failed_at_its_deadline();
	queue_wait_expires_before_grant();
	wait_timeout_fails_the_waiter();
	full_queue_refuses();
	who_leaves_is_forgotten();
	grant_is_taken_back_when_the_client_left();
	lost_server_returns_waiter_to_its_place();
	idle_servers_are_reused_last_in_first_out();
	return done_testing();
}
