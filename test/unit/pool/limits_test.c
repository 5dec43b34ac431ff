/*
 * limits_test.c: when a server may be opened: sizes, the reserve, the minimum, groups, eviction, failed
 * logins.
 */
#include "pool_test.h"

static void
size_is_never_exceeded(void)
{
	PoolLimits limits = plain_limits(3);

	begin_at(&limits);
	for (int i = 0; i < 10; i++)
		ask(i, 0);
	is_int(opens, 3, "ten requests open three servers where three are allowed");
	is_int(pool.waiters.count, 7, "the others wait");
	pass(60 * SEC);
	is_int(opens, 3, "time does not change that");
	finish();
}

static void
logins_under_way_are_limited(void)
{
	PoolLimits limits = plain_limits(20);

	limits.max_parallel_opening = 4;
	begin_at(&limits);
	open_by_itself = false;
	for (int i = 0; i < 10; i++)
		ask(i, 0);
	is_int(opens, 4, "four logins run at once");
	pool_slot_opened(&servers[0].slot, now, &actions);
	carry_out();
	is_int(opens, 5, "the next starts when one is complete");
	ok(has_server(0), "... whose server is granted");
	finish();
}

static void
no_more_servers_than_waiters(void)
{
	PoolLimits limits = plain_limits(20);

	begin_at(&limits);
	open_by_itself = false;
	ask(0, 0);
	ask(1, 0);
	is_int(opens, 2, "two waiters need two logins");
	pool_abandon(&pool, &clients[0].waiter, now, &actions);
	carry_out();
	ask(2, 0);
	is_int(opens, 2, "a login whose waiter left is not repeated for the next");
	finish();
}

static void
server_being_cleaned_is_waited_for_briefly(void)
{
	PoolLimits limits = plain_limits(5);
	PoolSlot *slot;

	begin_at(&limits);
	ask(0, 0);
	slot = &server_of(0)->slot;
	clients[0].server = -1;
	pool_release(slot, false, now, &actions);
	ask(1, 0);
	is_int(opens, 1, "a server that is being cleaned is expected back");
	is_int(pool_next_event(&pool, now) - now, 20 * MSEC, "... for 20 ms");
	pass(20 * MSEC);
	is_int(opens, 2, "after that a new one is opened");
	ok(has_server(1), "... for the waiter");
	pool_slot_clean(slot, now, &actions);
	carry_out();
	is_int(pool.idle.count, 1, "the cleaned one is idle");
	done(1);
	finish();
}

static void
reserve_opens_for_the_patient(void)
{
	PoolLimits limits = plain_limits(1);

	limits.reserve_size = 1;
	limits.reserve_timeout_us = 5 * SEC;
	begin_at(&limits);
	ask(0, 0);
	ask(1, 0);
	pass(SEC);
	ask(2, 0);
	is_int(opens, 1, "the reserve is not used for who has just come");
	pass(4 * SEC - 1);
	is_int(opens, 1, "... nor a microsecond too early");
	pass(1);
	is_int(opens, 2, "it is when the oldest waiter has waited for reserve_pool_timeout");
	ok(has_server(1), "... who gets the server");
	ok(server_of(1)->slot.reserve, "... which is known as one of the reserve");
	pass(SEC);
	ok(is_waiting(2), "the reserve has an end, too");
	done(0);
	done(1);
	done(2);
	is_int(pool.idle.count, 2, "a server of the reserve stays for a while");
	pass(5 * SEC);
	is_int(pool.idle.count, 1, "... which is reserve_pool_timeout");
	finish();
}

static void
minimum_is_kept_while_there_are_clients(void)
{
	PoolLimits limits = plain_limits(5);

	limits.min_size = 3;
	begin_at(&limits);
	is_int(pool_next_event(&pool, now), DEADLINE_NONE, "without clients nothing is opened");
	pool.clients = 1;
	is_int(pool_next_event(&pool, now) - now, 0, "the first client makes the minimum due");
	pass(0);
	is_int(pool.idle.count, 3, "... and there it is");
	pool_slot_closed(&servers[0].slot, now, &actions);
	servers[0].used = false;
	carry_out();
	is_int(pool.idle.count, 3, "a lost server is replaced");
	pool.clients = 0;
	pool_slot_closed(&servers[1].slot, now, &actions);
	servers[1].used = false;
	carry_out();
	is_int(pool.idle.count, 2, "... but not when nobody is there");
	pool.forced_user = true;
	pass(0);
	is_int(pool.idle.count, 3, "a forced user makes the minimum hold without clients");
	finish();
}

/* --- groups --- */

static Pool other;

static void
begin_two(int db_limit, int size)
{
	PoolLimits limits = plain_limits(size);

	begin_at(&limits);
	db_group.limit = db_limit;
	if (!pool_init(&other, &limits, &db_group, NULL, now))
		bail_out("pool_init failed");
}

static void
group_limit_holds_over_pools(void)
{
	begin_two(3, 2);
	ask(0, 0);
	ask(1, 0);
	ask_of(&other, 2, 0, 0);
	ask_of(&other, 3, 0, 0);
	is_int(db_group.used, 3, "three servers where the database may have three");
	ok(has_server(2) && is_waiting(3), "the second pool gets what is left");
	done(0);
	ok(has_server(3), "a server that becomes idle in one pool gives way to a waiter of the other");
	is_int(evictions, 1, "... by eviction");
	is_str(last_reason, "evicted", "... for the log");
	is_int(db_group.used, 3, "... and the limit still holds");
	done(1);
	done(2);
	done(3);
	end_pools(&other);
}

static void
longest_idle_server_is_evicted(void)
{
	int oldest;

	begin_two(2, 2);
	ask(0, 0);
	ask(1, 0);
	oldest = clients[1].server;
	done(1);
	pass(SEC);
	done(0);
	ask_of(&other, 2, 0, 0);
	ok(has_server(2), "a full group makes room for the other pool");
	ok(!servers[oldest].used || servers[oldest].slot.pool == &other,
	   "the server that was idle for longest went");
	is_int(evictions, 1, "... and no other");
	done(2);
	end_pools(&other);
}

static void
busy_pool_gives_a_poor_one_its_share(void)
{
	begin_two(1, 1);
	ask(0, 0);
	for (int i = 1; i < 6; i++)
		ask(i, 0);
	ask_of(&other, 10, 0, 0);
	pass(400 * MSEC);
	done(0);
	ok(has_server(1), "a pool goes on using its server for its own waiters");
	pass(200 * MSEC);
	done(1);
	ok(has_server(10), "but half a second is enough: then a pool without any server gets it");
	ok(is_waiting(2), "... and who comes later waits");
	done(10);
	ok(has_server(2), "the other way round it goes at once, for the server is idle");
	for (int i = 2; i < 6; i++)
		done(i);
	end_pools(&other);
}

/* Each of many pools has somebody who waits for one of two slots that all share. */
#define MANY 100
static Pool many[MANY];

static int
client_of(int turn)
{
	return 10 + turn;
}

static void
who_waits_longest_is_served_among_many_pools(void)
{
	PoolLimits limits = plain_limits(1);
	bool in_turn = true;
	bool nobody_else = true;
	bool served = true;
	int last = 0;

	begin_at(&limits);
	db_group.limit = 2;
	for (int i = 0; i < MANY; i++)
		if (!pool_init(&many[i], &limits, &db_group, NULL, now))
			bail_out("pool_init failed");
	ask(0, 0);
	ask_of(&many[0], 1, 0, 0);
	for (int turn = 1; turn < MANY; turn++)
	{
		ask_of(&many[turn * 37 % MANY], client_of(turn), 0, 0); /* the order of the pools is another one than that of their clients */
		pass(MSEC);
	}
	is_int(db_group._blocked.count, MANY - 1, "99 pools are held back by their group");
	/* some give up; where two waited in a pool, it is the second's time that counts then */
	for (int turn = 10; turn < MANY; turn += 10)
	{
		pool_abandon(&many[turn * 37 % MANY], &clients[client_of(turn)].waiter, now, &actions);
		carry_out();
	}
	ask_of(&many[5 * 37 % MANY], 200, 0, 0);
	pool_abandon(&many[5 * 37 % MANY], &clients[client_of(5)].waiter, now, &actions);
	carry_out();
	done(0);
	for (int turn = 1; turn < MANY; turn++)
	{
		int client = client_of(turn);

		if (turn % 10 == 0 || turn == 5)
		{
			nobody_else &= !has_server(client);
			continue;
		}
		in_turn &= has_server(client) && clients[client].nth > last;
		nobody_else &= db_group.used <= 2;
		last = clients[client].nth;
		done(client);
	}
	ok(in_turn, "each slot that comes free goes to the pool whose client has waited for longest");
	ok(nobody_else, "and to none whose client has given up");
	ok(has_server(200) && clients[200].nth > last, "who came last, to a pool that stood before others, is the last");
	is_int(db_group._blocked.count, 0, "then nobody is held back");
	done(200);
	done(1);
	for (int i = 0; i < SERVERS; i++)
		if (servers[i].used && servers[i].slot.pool != &pool)
		{
			pool_slot_closed(&servers[i].slot, now, &actions);
			servers[i].used = false;
		}
	carry_out();
	for (int i = 0; i < MANY; i++)
	{
		served &= list_empty(&many[i].waiters);
		pool_free(&many[i]);
	}
	ok(served, "nobody is left");
	finish();
}

static void
minimum_does_not_evict(void)
{
	begin_two(1, 1);
	ask(0, 0);
	done(0);
	other.limits.min_size = 1;
	other.clients = 1;
	pool_tick(&other, now, &actions);
	carry_out();
	is_int(evictions, 0, "min_pool_size takes no server from another pool");
	pool_slot_closed(&servers[0].slot, now, &actions);
	servers[0].used = false;
	carry_out();
	is_int(other.idle.count, 1, "... but uses the room when it comes free");
	end_pools(&other);
}

/* --- failed logins --- */

static void
fail_open(int server, bool refused)
{
	servers[server].used = false;
	pool_slot_open_failed(&servers[server].slot, refused, now, &actions);
	carry_out();
}

static void
refused_login_fails_the_waiters(void)
{
	PoolLimits limits = plain_limits(2);

	begin_at(&limits);
	open_by_itself = false;
	ask(0, 0);
	ask(1, 10 * SEC);
	pass(3 * MSEC);
	fail_open(0, true);
	ok(is_waiting(0) && is_waiting(1), "while another login is under way there is hope");
	fail_open(1, true);
	ok(failed_with(0, POOL_FAIL_LOGIN) && failed_with(1, POOL_FAIL_LOGIN),
	   "when the server has refused the last, all are told");
	is_int(clients[0].waited_us, 3 * MSEC, "... how long they had waited");
	ask(2, 0);
	ok(failed_with(2, POOL_FAIL_LOGIN), "who comes within server_login_retry fails fast");
	is_int(clients[2].waited_us, 0, "... at once");
	is_int(opens, 2, "... without another attempt");
	pass(15 * SEC);
	ask(3, 0);
	ok(is_waiting(3), "after server_login_retry the next request");
	is_int(opens, 3, "... is an attempt");
	pool_slot_opened(&servers[0].slot, now, &actions);
	carry_out();
	ok(has_server(3), "... which succeeds");
	is_int(pool.last_open_failure, 0, "and all is forgotten");
	done(3);
	finish();
}

static void
refused_login_beside_a_working_server(void)
{
	PoolLimits limits = plain_limits(2);

	begin_at(&limits);
	ask(0, 0);
	open_by_itself = false;
	ask(1, 0);
	fail_open(1, true);
	ok(is_waiting(1), "a refused login (too many connections, say) fails nobody while the pool has a server");
	done(0);
	ok(has_server(1), "... which serves the waiter");
	done(1);
	finish();
}

static void
unreachable_server_is_tried_again_soon(void)
{
	PoolLimits limits = plain_limits(5);
	static const int delays[] = {50, 100, 200, 400, 800, 1000, 1000};
	bool exact = true;

	begin_at(&limits);
	open_by_itself = false;
	for (int i = 0; i < 5; i++)
		ask(i, 0);
	is_int(opens, 5, "five logins are under way");
	for (int i = 0; i < 5; i++)
		fail_open(i, false);
	ok(is_waiting(0) && is_waiting(4), "an unreachable server leaves the waiters waiting");
	for (int i = 0; i < 7; i++)
	{
		exact &= pool_next_event(&pool, now) - now == delays[i] * MSEC;
		pass(delays[i] * MSEC);
		exact &= opens == 6 + i;
		fail_open(0, false);
	}
	ok(exact, "one login at a time is tried, after 50 ms, doubling up to a second");
	pass(SEC);
	pool_slot_opened(&servers[0].slot, now, &actions);
	carry_out();
	ok(has_server(0), "the first success serves the first waiter");
	is_int(pool.opening.count, 4, "... and the other logins start again");
	finish();
}

static void
impossible_open_is_a_failed_login(void)
{
	PoolLimits limits = plain_limits(1);
	PoolAction action;

	begin_at(&limits);
	clients[0].waiter.deadline = DEADLINE_NONE;
	pool_request(&pool, &clients[0].waiter, now, &actions);
	ok(pool_actions_next(&actions, &action) && action.kind == POOL_OPEN, "an open is asked for");
	is_int(db_group.used, 1, "its place in the group is taken");
	pool_open_impossible(&pool, now, &actions);
	is_int(actions.own[0].count, 0, "what is impossible is not asked for again at once");
	is_int(db_group.used, 0, "its place in the group is free again");
	is_int(pool_next_event(&pool, now) - now, 50 * MSEC, "... but soon");
	finish();
}

int
main(void)
{
	size_is_never_exceeded();
	logins_under_way_are_limited();
	no_more_servers_than_waiters();
	server_being_cleaned_is_waited_for_briefly();
	reserve_opens_for_the_patient();
	minimum_is_kept_while_there_are_clients();
	group_limit_holds_over_pools();
	longest_idle_server_is_evicted();
	busy_pool_gives_a_poor_one_its_share();
	who_waits_longest_is_served_among_many_pools();
	minimum_does_not_evict();
	refused_login_fails_the_waiters();
	refused_login_beside_a_working_server();
	unreachable_server_is_tried_again_soon();
	impossible_open_is_a_failed_login();
	return done_testing();
}
