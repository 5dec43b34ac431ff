/*
 * servers_test.c: what becomes of idle servers: timeouts, lifetimes, checks; and the operations on a whole
 * pool.
 */
#include "pool_test.h"

/* So many servers, all idle. */
static void
begin_idle(const PoolLimits *limits, int count)
{
	begin_at(limits);
	for (int i = 0; i < count; i++)
		ask(i, 0);
	for (int i = 0; i < count; i++)
		done(i);
}

/* --- time --- */

static void
idle_server_is_closed(void)
{
	PoolLimits limits = plain_limits(5);

	limits.idle_timeout_us = 600 * SEC;
	begin_idle(&limits, 3);
	pass(100 * SEC);
	ask(0, 0);
	done(0);
	is_int(pool_next_event(&pool, now) - now, 500 * SEC,
		   "the next event is the idle timeout of the one idle for longest");
	pass(500 * SEC - 1);
	is_int(pool.idle.count, 3, "until then all stay");
	pass(1);
	is_int(pool.idle.count, 1, "then those unused for server_idle_timeout are closed");
	is_str(last_reason, "server idle timeout", "... for that reason");
	pass(100 * SEC);
	is_int(pool.idle.count, 0, "the third follows in its time");
	is_int(pool.counters.closed, 3, "all are counted");
	finish();
}

static void
minimum_stays_idle(void)
{
	PoolLimits limits = plain_limits(5);

	limits.idle_timeout_us = 60 * SEC;
	limits.min_size = 2;
	begin_idle(&limits, 4);
	pool.clients = 1;
	pass(1000 * SEC);
	is_int(pool.idle.count, 2, "min_pool_size servers stay, however idle");
	is_int(opens, 4, "... without being opened again and again");
	pool.clients = 0;
	pass(0);
	is_int(pool.idle.count, 0, "when the last client has left they go");
	finish();
}

static void
old_servers_are_replaced_one_by_one(void)
{
	PoolLimits limits = plain_limits(4);

	limits.lifetime_us = 3600 * SEC;
	begin_idle(&limits, 4);
	pass(3600 * SEC - 1);
	is_int(pool.idle.count, 4, "no server is closed before server_lifetime");
	pass(1);
	is_int(pool.idle.count, 3, "at server_lifetime one is");
	is_str(last_reason, "server lifetime over", "... for that reason");
	pass(899 * SEC);
	is_int(pool.idle.count, 3, "servers opened together are not closed together");
	pass(1 * SEC);
	is_int(pool.idle.count, 2, "the next follows a lifetime / pool_size later");
	finish();
}

static void
old_server_is_closed_on_release(void)
{
	PoolLimits limits = plain_limits(1);

	limits.lifetime_us = 10 * SEC;
	begin_at(&limits);
	ask(0, 0);
	pass(20 * SEC);
	is_int(closes, 0, "a server in use is not closed for its age");
	ask(1, 0);
	done(0);
	is_int(closes, 1, "it is when it is released");
	ok(has_server(1) && opens == 2, "... and the waiter gets a new one");
	done(1);
	finish();
}

static void
lifetime_of_nothing_means_use_once(void)
{
	PoolLimits limits = plain_limits(2);

	limits.lifetime_us = 0;
	limits.min_size = 1;
	begin_at(&limits);
	pool.clients = 1;
	pass(100 * SEC);
	is_int(closes, 0, "a server that nobody has used stays");
	ask(0, 0);
	done(0);
	is_int(closes, 1, "one that was used is closed");
	finish();
}

static void
stale_server_is_checked_before_use(void)
{
	PoolLimits limits = plain_limits(2);
	int server;

	limits.check_delay_us = 30 * SEC;
	begin_idle(&limits, 1);
	pass(30 * SEC - 1);
	ask(0, 0);
	ok(has_server(0) && checks == 0,
	   "a server released less than server_check_delay ago is granted unchecked");
	server = clients[0].server;
	done(0);
	pass(30 * SEC);
	check_by_itself = false;
	ask(1, 0);
	ok(is_waiting(1) && checks == 1, "after server_check_delay it must prove that it lives");
	is_int(servers[server].slot.state, SLOT_CLEANING, "meanwhile it is being cleaned");
	pool_slot_clean(&servers[server].slot, now, &actions);
	carry_out();
	is_int(clients[1].server, server, "it lives: the waiter gets it");
	done(1);
	pass(30 * SEC);
	ask(2, 0);
	servers[server].used = false;
	pool_slot_closed(&servers[server].slot, now, &actions);
	carry_out();
	ok(has_server(2) && opens == 2, "it does not: the waiter gets a new one");
	done(2);
	finish();
}

static void
hanging_check_does_not_hold_up_waiters(void)
{
	PoolLimits limits = plain_limits(2);

	limits.check_delay_us = 30 * SEC;
	begin_idle(&limits, 1);
	pass(30 * SEC);
	check_by_itself = false;
	ask(0, 0);
	pass(20 * MSEC);
	ok(has_server(0) && opens == 2, "a check that takes longer than 20 ms is not waited for");
	done(0);
	finish();
}

static void
check_delay_of_nothing_checks_always(void)
{
	PoolLimits limits = plain_limits(1);

	limits.check_delay_us = 0;
	begin_at(&limits);
	ask(0, 0);
	is_int(checks, 0, "a new server needs no check");
	ask(1, 0);
	done(0);
	ok(has_server(1) && checks == 1, "with server_check_delay = 0 each reuse is checked, once");
	done(1);
	is_int(pool_next_event(&pool, now), DEADLINE_NONE, "... and nothing goes on without waiters");
	finish();
}

/* --- operations --- */

static void
pause_stops_grants_and_closes_idle(void)
{
	PoolLimits limits = plain_limits(3);

	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	done(1);
	pool_pause(&pool, now, &actions);
	carry_out();
	is_int(pool.idle.count, 0, "PAUSE closes idle servers");
	is_str(last_reason, "pause mode", "... for that reason");
	ask(2, 0);
	ask(3, 100 * MSEC);
	ok(is_waiting(2) && opens == 2, "a request waits, and opens nothing");
	done(0);
	ok(is_waiting(2) && pool_slots(&pool) == 0, "a server that is released is closed, not granted");
	pass(SEC);
	ok(failed_with(3, POOL_FAIL_DEADLINE), "deadlines go on");
	pool_resume(&pool, now, &actions);
	carry_out();
	ok(has_server(2), "RESUME serves who waited");
	done(2);
	finish();
}

static void
pause_closes_a_login_when_it_is_complete(void)
{
	PoolLimits limits = plain_limits(1);

	begin_at(&limits);
	open_by_itself = false;
	ask(0, 0);
	pool_pause(&pool, now, &actions);
	pool_slot_opened(&servers[0].slot, now, &actions);
	carry_out();
	ok(is_waiting(0) && closes == 1, "a login that ends while paused is closed");
	finish();
}

static void
reconnect_replaces_every_server(void)
{
	PoolLimits limits = plain_limits(4);
	Server *cleaned;

	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	ask(2, 0);
	cleaned = server_of(1);
	clients[1].server = -1;
	pool_release(&cleaned->slot, false, now, &actions);
	done(2);
	open_by_itself = false;
	pool_reconnect(&pool, now, &actions);
	carry_out();
	is_int(closes, 1, "RECONNECT closes the idle one at once");
	ok(server_of(0)->slot.close_needed && cleaned->slot.close_needed, "... and marks the others");
	done(0);
	is_int(closes, 2, "one in use follows when it is released");
	pool_slot_clean(&cleaned->slot, now, &actions);
	carry_out();
	is_int(closes, 3, "one being cleaned when it is clean");
	open_by_itself = true;
	ask(3, 0);
	ok(has_server(3) && !server_of(3)->slot.close_needed, "new ones are used");
	done(3);
	is_int(closes, 3, "... and stay");
	finish();
}

static void
retired_pool_ends(void)
{
	PoolLimits limits = plain_limits(2);

	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	done(1);
	pool.clients = 1;
	pool.limits.min_size = 2;
	pool_retire(&pool, now, &actions);
	carry_out();
	is_int(pool_slots(&pool), 1, "a retired pool closes what is idle");
	ask(2, 50 * MSEC);
	ok(is_waiting(2), "... grants nothing");
	done(0);
	is_int(pool_slots(&pool), 0, "... closes what comes back");
	pass(SEC);
	is_int(opens, 2, "... and opens nothing");
	finish();
}

static void
new_limits_hold_at_once(void)
{
	PoolLimits limits = plain_limits(1);

	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	ask(2, 0);
	limits.size = 3;
	limits.wait_timeout_us = SEC;
	pool_set_limits(&pool, &limits, now, &actions);
	carry_out();
	ok(has_server(1) && has_server(2), "a larger size serves the waiters at once");
	ask(3, 0);
	done(1);
	done(2);
	limits.size = 1;
	pool_set_limits(&pool, &limits, now, &actions);
	carry_out();
	is_int(pool_slots(&pool), 2, "a smaller one closes idle servers above it");
	done(0);
	is_int(pool_slots(&pool), 1, "... and the others as they are released");
	is_str(last_reason, "pool size was reduced", "... for that reason");
	ask(4, 0);
	limits.wait_timeout_us = 2 * SEC;
	pool_set_limits(&pool, &limits, now, &actions);
	pass(2 * SEC - 1);
	ok(is_waiting(4), "a new query_wait_timeout counts from the beginning of the wait");
	pass(1);
	ok(failed_with(4, POOL_FAIL_WAIT_TIMEOUT), "... to its end");
	done(3);
	finish();
}

int
main(void)
{
	idle_server_is_closed();
	minimum_stays_idle();
	old_servers_are_replaced_one_by_one();
	old_server_is_closed_on_release();
	lifetime_of_nothing_means_use_once();
	stale_server_is_checked_before_use();
	hanging_check_does_not_hold_up_waiters();
	check_delay_of_nothing_checks_always();
	pause_stops_grants_and_closes_idle();
	pause_closes_a_login_when_it_is_complete();
	reconnect_replaces_every_server();
	retired_pool_ends();
	new_limits_hold_at_once();
	return done_testing();
}
