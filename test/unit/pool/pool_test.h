/*
 * pool_test.h: one pool with servers and clients that exist only as structs, for tests that tell a story.
 *
 * Time is `now`, moved by pass(); pass() ticks exactly when pool_next_event asks for it.  Actions are carried
 * out at once, and remembered: who was granted what, who failed and why, how many opens, closes and checks
 * there were.
 */
#ifndef POOL_TEST_H
#define POOL_TEST_H

#include "pool/pool.h"

#include "tap.h"

#define MSEC USEC_PER_MSEC
#define SEC USEC_PER_SEC
#define SERVERS 64
#define CLIENTS 256

typedef struct Server
{
	PoolSlot slot;
	bool used;
	int client; /* whose it is, -1 = nobody's */
} Server;

typedef struct Client
{
	PoolWaiter waiter;
	int server; /* granted, -1 = none */
	bool failed;
	PoolFail fail;
	usec_t waited_us, expected_wait_us, expected_run_us;
	int nth; /* the how-manieth grant it got */
} Client;

static Pool pool;
static PoolGroup db_group, user_group;
static PoolActions actions;
static Server servers[SERVERS];
static Client clients[CLIENTS];
static int grants, opens, closes, evictions, checks;
static const char *last_reason;
static bool open_by_itself = true; /* an open is a login that succeeds at once */
static bool check_by_itself = true;
static usec_t now;

static PoolLimits
plain_limits(int size)
{
	return (PoolLimits){
		.size = size,
		.max_parallel_opening = 8,
		.check_delay_us = -1,
		.lifetime_us = -1,
		.login_retry_us = 15 * SEC,
		.slow_lane_percent = 100,
	};
}

static inline void carry_out(void);

static inline int
free_server(void)
{
	for (int i = 0; i < SERVERS; i++)
	{
		if (!servers[i].used)
			return i;
	}
	bail_out("the test needs more servers");
	return -1;
}

static inline void
do_action(const PoolAction *action)
{
	Server *server = action->slot != NULL ? CONTAINER_OF(action->slot, Server, slot) : NULL;
	Client *client = action->waiter != NULL ? CONTAINER_OF(action->waiter, Client, waiter) : NULL;

	switch (action->kind)
	{
		case POOL_GRANT:
			client->server = (int) (server - servers);
			client->waited_us = action->waited_us;
			client->nth = ++grants;
			server->client = (int) (client - clients);
			break;
		case POOL_OPEN:
			opens++;
			server = &servers[free_server()];
			*server = (Server){.used = true, .client = -1};
			pool_slot_opening(action->pool, &server->slot, now);
			if (open_by_itself)
				pool_slot_opened(&server->slot, now, &actions);
			break;
		case POOL_EVICT: evictions++; /* FALLTHROUGH */
		case POOL_CLOSE:
			closes++;
			last_reason = action->reason;
			server->used = false;
			pool_slot_closed(&server->slot, now, &actions);
			break;
		case POOL_CHECK:
			checks++;
			if (check_by_itself)
				pool_slot_clean(&server->slot, now, &actions);
			break;
		case POOL_FAIL:
			client->failed = true;
			client->fail = action->fail;
			client->waited_us = action->waited_us;
			client->expected_wait_us = action->expected_wait_us;
			client->expected_run_us = action->expected_run_us;
			break;
		case POOL_LOOK: break;
	}
}

static inline void
carry_out(void)
{
	PoolAction action;

	while (pool_actions_next(&actions, &action))
		do_action(&action);
}

static inline void
begin_at(const PoolLimits *limits)
{
	now = 1000 * SEC;
	memset(servers, 0, sizeof(servers));
	memset(clients, 0, sizeof(clients));
	for (int i = 0; i < CLIENTS; i++)
		clients[i].server = -1;
	grants = opens = closes = evictions = checks = 0;
	last_reason = NULL;
	open_by_itself = check_by_itself = true;
	pool_group_init(&db_group, 0);
	pool_group_init(&user_group, 0);
	if (!pool_init(&pool, limits, &db_group, &user_group, now))
		bail_out("pool_init failed");
}

/* Everybody leaves. */
static inline void
end_pools(Pool *other)
{
	pool.retiring = true;
	if (other != NULL)
		other->retiring = true;
	for (int i = 0; i < CLIENTS; i++)
		pool_abandon(clients[i].waiter.pool != NULL ? clients[i].waiter.pool : &pool, &clients[i].waiter, now,
					 &actions);
	carry_out();
	for (int i = 0; i < SERVERS; i++)
	{
		if (servers[i].used)
			pool_slot_closed(&servers[i].slot, now, &actions);
	}
	carry_out();
	pool_free(&pool);
	if (other != NULL)
		pool_free(other);
	pool_actions_free(&actions);
}

static inline void
finish(void)
{
	end_pools(NULL);
}

/* Let time pass, ticking exactly when asked to. */
static inline void
pass(usec_t duration)
{
	usec_t until = now + duration;

	for (int i = 0; i < 100000; i++)
	{
		deadline_t at = pool_next_event(&pool, now);

		if (at > until)
			break;
		now = at > now ? at : now;
		pool_tick(&pool, now, &actions);
		carry_out();
	}
	now = until;
}

static inline void
ask_of(Pool *which, int client, usec_t budget_us, uint64_t fingerprint)
{
	Client *c = &clients[client];

	c->server = -1;
	c->failed = false;
	c->waiter.deadline = deadline_after(now, budget_us);
	c->waiter.fingerprint = fingerprint;
	pool_request(which, &c->waiter, now, &actions);
	carry_out();
}

static inline void
ask(int client, usec_t budget_us)
{
	ask_of(&pool, client, budget_us, 0);
}

static inline bool
has_server(int client)
{
	return clients[client].server >= 0;
}

static inline bool
is_waiting(int client)
{
	return pool_is_waiting(&clients[client].waiter);
}

static inline bool
failed_with(int client, PoolFail fail)
{
	return clients[client].failed && clients[client].fail == fail && !is_waiting(client) &&
		   !has_server(client);
}

static inline Server *
server_of(int client)
{
	return &servers[clients[client].server];
}

/* The client is done; its server goes back. */
static inline void
done(int client)
{
	Server *server = server_of(client);

	clients[client].server = -1;
	server->client = -1;
	pool_release(&server->slot, true, now, &actions);
	carry_out();
}

/* ... after one statement that ran since the grant. */
static inline void
done_after(int client, usec_t run_us)
{
	pass(run_us);
	pool_ran(&server_of(client)->slot, run_us, true, now);
	done(client);
}

#endif
