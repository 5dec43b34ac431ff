/*
 * operations.c: what is done to the whole: new settings, pause, kill, shutdown.
 *
 * All other workers are parked meanwhile, so this thread acts for them: what the policy decides for an object of another worker is
 * carried out here and now.
 */
#include "session/session.h"

#include "session/hall.h"
#include "session/limits.h"

/* The thread that is not parked. */
static inline Worker *
first(const Hall *hall)
{
	return hall->workers[0];
}

void
hall_run_actions(Hall *hall)
{
	bool any = true;

	/* what one does may give another something to do */
	while (any)
	{
		any = false;
		for (int i = 0; i < hall->worker_count; i++)
		{
			hall->workers[i]->has_actions |= hall->actions.own[i].count > 0;
			any |= hall->workers[i]->has_actions && !hall->workers[i]->running_actions;
			worker_run_actions(hall->workers[i]);
		}
	}
}

void
hall_close_all(Hall *hall)
{
	for (int i = 0; i < hall->worker_count; i++)
	{
		Worker *worker = hall->workers[i];

		list_each(node, &worker->logins)
			client_close(CONTAINER_OF(node, Client, node), "server shutting down", "server shutting down");
		list_each(node, &worker->clients)
			client_close(CONTAINER_OF(node, Client, node), "server shutting down", "server shutting down");
	}
	list_each(pool, &hall->pool_list)
		CONTAINER_OF(pool, SessionPool, list_node)->policy.retiring = true;
	list_each(pool, &hall->dedicated)
		CONTAINER_OF(pool, SessionPool, list_node)->policy.retiring = true;
	for (int i = 0; i < hall->worker_count; i++)
	{
		Worker *worker = hall->workers[i];

		cancel_close_all(worker);
		peer_close_all(worker);
		while (!list_empty(&worker->servers))
			server_close(CONTAINER_OF(list_first(&worker->servers), Server, node), "server shutting down");
	}
	hall_run_actions(hall);
}

/* --- settings --- */

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Does a change between the two make existing server connections useless? */
static bool
needs_new_servers(const DatabaseSpec *a, const DatabaseSpec *b)
{
	return !same_text(a->dbname, b->dbname) || !same_text(a->host, b->host) || a->port != b->port ||
		   !same_text(a->user, b->user) || !same_text(a->connect_query, b->connect_query) ||
		   a->load_balance_disabled != b->load_balance_disabled || !same_text(a->auth_dbname, b->auth_dbname) ||
		   !same_text(a->auth_query, b->auth_query);
}

/* The database's new spec, or NULL when it is gone.  True when its servers must be replaced. */
static bool
renew_database(Hall *hall, Database *database, const Settings *settings)
{
	const DatabaseSpec *old = database->spec;
	DatabaseSpec copy = old != NULL ? *old : (DatabaseSpec){0};
	const DatabaseSpec *spec = settings_find_database(settings, database->name);

	if (spec != NULL)
		database->spec = spec;
	else if (settings->database_template != NULL && old != NULL)
		database_from_template(database, settings->database_template);
	else
		database->spec = NULL;
	database->group.limit = hall_database_limit(hall, database->spec);
	return old != NULL && database->spec != NULL && needs_new_servers(&copy, database->spec);
}

static void
close_listed(List *clients, const Database *database, const char *reason)
{
	list_each(node, clients)
	{
		Client *client = CONTAINER_OF(node, Client, node);

		if (client->database == database && client->state != CLIENT_CONSOLE)
			client_close(client, reason, reason);
	}
}

static void
close_clients_of(Hall *hall, const Database *database, const char *reason)
{
	for (int i = 0; i < hall->worker_count; i++)
	{
		close_listed(&hall->workers[i]->logins, database, reason);
		close_listed(&hall->workers[i]->clients, database, reason);
	}
}

/* A worker that has a part of the pool: the first, or that of the replication client. */
static Worker *
worker_of(const SessionPool *pool)
{
	for (int i = 0; i < pool->hall->worker_count; i++)
		if (pool->parts[i] != NULL)
			return pool->hall->workers[i];
	return first(pool->hall);
}

static void
renew_pool(SessionPool *pool)
{
	Worker *worker = worker_of(pool);
	PoolLimits limits;

	session_pool_limits(pool, &limits);
	pool->mode = session_pool_mode(pool);
	policy_enter(worker);
	pool->policy.retiring = pool->database->spec == NULL || (pool->dedicated != NULL && pool->dedicated->over);
	pool->policy.forced_user = pool->dedicated == NULL && pool->database->spec != NULL && pool->database->spec->user != NULL;
	pool_set_limits(&pool->policy, &limits, worker_now(worker), &pool->hall->actions);
	policy_leave(worker, pool);
}

static void
renew_pools_in(const List *pools, const Database *database, bool new_servers)
{
	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);
		Worker *worker = worker_of(pool);

		if (pool->database != database)
			continue;
		policy_enter(worker);
		if (new_servers)
			pool_reconnect(&pool->policy, worker_now(worker), &pool->hall->actions);
		if (database->spec == NULL)
			pool_retire(&pool->policy, worker_now(worker), &pool->hall->actions);
		policy_leave(worker, pool);
	}
}

/* Linked servers that are idle between transactions get no further event: look at them now. */
static void
close_outdated(Hall *hall)
{
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
		(void) server_close_if_outdated(CONTAINER_OF(node, Server, node));
	hall_walk_end(&walk);
	hall_run_actions(hall);
}

static void
renew_limits(Hall *hall)
{
	for (MapNode *node = map_next(&hall->roles, NULL); node != NULL; node = map_next(&hall->roles, node))
	{
		Role *role = CONTAINER_OF(node, Role, node);

		role->spec = settings_find_user(hall->settings, role->name);
		role->group.limit = role->spec != NULL && role->spec->max_user_connections > 0 ? role->spec->max_user_connections
																					   : hall->settings->max_user_connections;
	}
}

static void
rearm_clients(List *clients)
{
	list_each(node, clients)
	{
		Client *client = CONTAINER_OF(node, Client, node);

		if (client->pool != NULL && client->login == NULL)
			deadline_look_at_settings(client);
		client_find_timer(client);
	}
}

void
hall_apply_settings(Hall *hall, const Settings *settings)
{
	hall->settings = settings;
	spread_set_mode(&hall->spread, (SpreadMode) settings->worker_spread);
	for (int i = 0; i < hall->worker_count; i++)
	{
		ResolverOptions resolver = worker_resolver_options(hall->workers[i], settings);

		hall->workers[i]->settings = settings;
		resolver_set_options(hall->workers[i]->resolver, &resolver);
	}
	renew_limits(hall);
	limits_apply(hall);
	for (MapNode *node = map_next(&hall->databases, NULL); node != NULL; node = map_next(&hall->databases, node))
	{
		Database *database = CONTAINER_OF(node, Database, node);
		bool had = database->spec != NULL;
		bool new_servers = renew_database(hall, database, settings);

		if (had && database->spec == NULL)
			close_clients_of(hall, database, "database removed");
		renew_pools_in(&hall->pool_list, database, new_servers);
		renew_pools_in(&hall->dedicated, database, new_servers);
		idle_database_rearm(hall, database);
	}
	list_each(node, &hall->pool_list)
		renew_pool(CONTAINER_OF(node, SessionPool, list_node));
	list_each(node, &hall->dedicated)
		renew_pool(CONTAINER_OF(node, SessionPool, list_node));
	hall_run_actions(hall);
	close_outdated(hall);
	for (int i = 0; i < hall->worker_count; i++)
	{
		rearm_clients(&hall->workers[i]->clients);
		rearm_clients(&hall->workers[i]->logins);
	}
}

/* --- operations --- */

typedef void (*PoolOperation)(Pool *pool, usec_t now, PoolActions *out);

static void
each_pool_in(const List *pools, const Database *database, PoolOperation operation)
{
	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);
		Worker *worker = worker_of(pool);

		if (database != NULL && pool->database != database)
			continue;
		policy_enter(worker);
		operation(&pool->policy, worker_now(worker), &pool->hall->actions);
		policy_leave(worker, pool);
	}
}

static void
each_pool(Hall *hall, const Database *database, PoolOperation operation)
{
	each_pool_in(&hall->pool_list, database, operation);
	each_pool_in(&hall->dedicated, database, operation);
	hall_run_actions(hall);
}

void
hall_pause(Hall *hall, Database *database)
{
	if (database != NULL)
		database->paused = true;
	else
		hall->paused = true;
	each_pool(hall, database, pool_pause);
}

static void
resume_pools_in(const Hall *hall, const List *pools, const Database *database)
{
	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);
		Worker *worker = worker_of(pool);

		if ((database != NULL && pool->database != database) || pool->database->paused || hall->paused)
			continue;
		policy_enter(worker);
		pool_resume(&pool->policy, worker_now(worker), &pool->hall->actions);
		policy_leave(worker, pool);
	}
}

void
hall_resume(Hall *hall, Database *database)
{
	if (database != NULL)
		database->paused = false;
	else
		hall->paused = false;
	resume_pools_in(hall, &hall->pool_list, database);
	resume_pools_in(hall, &hall->dedicated, database);
	if (database != NULL)
		idle_database_rearm(hall, database);
	hall_run_actions(hall);
}

void
hall_reconnect(Hall *hall, Database *database)
{
	each_pool(hall, database, pool_reconnect);
	close_outdated(hall);
}

void
hall_kill(Hall *hall, Database *database)
{
	HallWalk walk;
	const ListNode *node;

	for (MapNode *item = map_next(&hall->databases, NULL); item != NULL; item = map_next(&hall->databases, item))
	{
		Database *one = CONTAINER_OF(item, Database, node);

		if (database != NULL && one != database)
			continue;
		one->paused = true;
		close_clients_of(hall, one, "database removed");
	}
	each_pool(hall, database, pool_pause);
	hall_walk_begin(hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		if (database == NULL || server->pool->database == database)
			server_close(server, "database removed");
	}
	hall_walk_end(&walk);
	hall_run_actions(hall);
}

static bool
has_active_in(const List *pools, const Database *database)
{
	list_each(node, pools)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		if ((database == NULL || pool->database == database) &&
			(pool->policy.active.count > 0 || pool->policy.cleaning.count > 0 || pool->policy.opening.count > 0))
			return true;
	}
	return false;
}

bool
hall_has_active_servers(const Hall *hall, const Database *database)
{
	return has_active_in(&hall->pool_list, database) || has_active_in(&hall->dedicated, database);
}

bool
hall_has_closing_servers(const Hall *hall, const Database *database)
{
	for (int i = 0; i < hall->worker_count; i++)
	{
		list_each(node, &hall->workers[i]->servers)
		{
			const Server *server = CONTAINER_OF(node, const Server, node);

			if ((database == NULL || server->pool->database == database) && server->slot.close_needed)
				return true;
		}
	}
	return false;
}

/* No server will be there for those who wait for one. */
static void
send_waiting_away(Hall *hall)
{
	static const WalkOver lists[] = {WALK_CLIENTS, WALK_LOGINS};
	HallWalk walk;
	const ListNode *node;

	for (size_t i = 0; i < 2; i++)
	{
		hall_walk_begin(hall, &walk, lists[i]);
		while ((node = hall_walk_next(&walk)) != NULL)
		{
			Client *client = CONTAINER_OF(node, Client, node);

			if (client->state == CLIENT_WAITING || client->state == CLIENT_WELCOME)
				client_close(client, "server shutting down", "server shutting down");
		}
		hall_walk_end(&walk);
	}
	hall_run_actions(hall);
}

void
hall_shutdown(Hall *hall, WorkerPhase phase)
{
	hall->phase = phase;
	if (phase != WORKER_DRAIN_SERVERS)
		return;
	each_pool(hall, NULL, pool_pause);
	send_waiting_away(hall);
}

static bool
has_users(const Hall *hall)
{
	for (int i = 0; i < hall->worker_count; i++)
	{
		list_each(node, &hall->workers[i]->clients)
		{
			if (CONTAINER_OF(node, const Client, node)->state != CLIENT_CONSOLE)
				return true;
		}
		if (hall->handed_over && !list_empty(&hall->workers[i]->logins))
			return true;
	}
	return false;
}

bool
hall_is_drained(const Hall *hall)
{
	switch (hall->phase)
	{
		case WORKER_RUNNING: return false;
		case WORKER_DRAIN_SERVERS: return !hall_has_active_servers(hall, NULL);
		case WORKER_DRAIN_CLIENTS: return !has_users(hall);
		case WORKER_STOPPED: return true;
	}
	return true;
}
