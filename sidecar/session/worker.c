/*
 * worker.c: the worker: its tables, the policy's actions, settings, pause and shutdown.
 */
#include "session/session.h"
#include "session/limits.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* How long the pool of a replication client that left stays, at least: nobody may refer to it any more. */
#define DEDICATED_LINGER_US (10 * USEC_PER_MSEC)

/* --- tables --- */

static bool
database_equal(const MapNode *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const Database, node)->name, key) == 0;
}

static bool
role_equal(const MapNode *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const Role, node)->name, key) == 0;
}

typedef struct PoolKey
{
	const Database *database;
	const Role *role;
} PoolKey;

static bool
pool_equal(const MapNode *node, const void *key)
{
	const SessionPool *pool = CONTAINER_OF(node, const SessionPool, node);
	const PoolKey *wanted = key;

	return pool->database == wanted->database && pool->role == wanted->role;
}

static bool
cancel_key_equal(const MapNode *node, const void *key)
{
	return CRYPTO_memcmp(CONTAINER_OF(node, const Client, cancel_node)->cancel_key, key, 8) == 0;
}

static uint64_t
name_hash(const Worker *worker, const char *name)
{
	return hash_bytes(worker->hash_seed, name, strlen(name));
}

Role *
worker_role(Worker *worker, const char *name)
{
	uint64_t hash = name_hash(worker, name);
	MapNode *node = map_find(&worker->roles, hash, name);
	Role *role;

	if (node != NULL)
		return CONTAINER_OF(node, Role, node);
	role = calloc(1, sizeof(Role));
	if (role == NULL || (role->name = strdup(name)) == NULL)
	{
		free(role);
		return NULL;
	}
	role->spec = settings_find_user(worker->settings, name);
	pool_group_init(&role->group, role->spec != NULL && role->spec->max_user_connections > 0
									  ? role->spec->max_user_connections
									  : worker->settings->max_user_connections);
	map_insert(&worker->roles, &role->node, hash);
	return role;
}

bool
role_plain_verifier(Worker *worker, Role *role, const char *password, uint32_t iterations, ScramVerifier *out)
{
	uint64_t hash = name_hash(worker, password);

	if (role->verifier.iterations != iterations || role->verifier_of != hash)
	{
		if (scram_verifier_build(slice_str(password), iterations, NULL, 0, &role->verifier) != SCRAM_OK)
			return false;
		role->verifier_of = hash;
	}
	*out = role->verifier;
	return true;
}

/* The spec of an automatic database: the template under the client's name for it. */
static void
fill_from_template(Database *database, const DatabaseSpec *template)
{
	database->own_spec = *template;
	database->own_spec.name = database->name;
	if (template->dbname == NULL || strcmp(template->dbname, "*") == 0)
		database->own_spec.dbname = database->name;
	database->own_spec.from_template = true;
	database->spec = &database->own_spec;
}

static int
db_limit(const Worker *worker, const DatabaseSpec *spec)
{
	return spec != NULL && spec->max_db_connections > 0 ? spec->max_db_connections
														: worker->settings->max_db_connections;
}

Database *
worker_database(Worker *worker, const char *name)
{
	uint64_t hash = name_hash(worker, name);
	MapNode *node = map_find(&worker->databases, hash, name);
	const DatabaseSpec *spec;
	const DatabaseSpec *template = worker->settings->database_template;
	Database *database;

	if (node != NULL && CONTAINER_OF(node, Database, node)->spec != NULL)
		return CONTAINER_OF(node, Database, node);
	spec = settings_find_database(worker->settings, name);
	if (spec == NULL && template == NULL)
		return NULL;
	if (node != NULL)
		database = CONTAINER_OF(node, Database, node);
	else
	{
		database = calloc(1, sizeof(Database));
		if (database == NULL || (database->name = strdup(name)) == NULL)
		{
			free(database);
			return NULL;
		}
		database->worker = worker;
		idle_database_init(database);
		pool_group_init(&database->group, db_limit(worker, spec != NULL ? spec : template));
		map_insert(&worker->databases, &database->node, hash);
	}
	if (spec != NULL)
		database->spec = spec;
	else
	{
		fill_from_template(database, template);
		log_write(worker->log, LOG_LEVEL_LOG, "registered new auto-database: %s", name);
	}
	idle_database_rearm(database);
	return database;
}

/* --- pools --- */

static int
first_given(int a, int b, int c)
{
	return a >= 0 ? a : b >= 0 ? b : c;
}

static usec_t
first_given_us(usec_t a, usec_t b, usec_t c)
{
	return a >= 0 ? a : b >= 0 ? b : c;
}

/* Resolution order of the reference: user, database, [pgbouncer]. */
static void dedicate_limits(PoolLimits *limits);

static void
resolve_limits(const SessionPool *pool, PoolLimits *limits)
{
	const Settings *s = pool->worker->settings;
	const DatabaseSpec *d = pool->database->spec;
	const UserSpec *u = pool->role->spec;

	*limits = (PoolLimits){
		.size = first_given(u ? u->pool_size : -1, d ? d->pool_size : -1, s->default_pool_size),
		.min_size = first_given(d ? d->min_pool_size : -1, -1, s->min_pool_size),
		.reserve_size = first_given(u ? u->reserve_pool_size : -1, d ? d->reserve_pool_size : -1, s->reserve_pool_size),
		.reserve_timeout_us = s->reserve_pool_timeout_us,
		.wait_timeout_us = first_given_us(u ? u->query_wait_timeout_us : -1, d ? d->query_wait_timeout_us : -1,
										  s->query_wait_timeout_us),
		.idle_timeout_us = s->server_idle_timeout_us,
		.lifetime_us = d && d->server_lifetime_us > 0 ? d->server_lifetime_us : s->server_lifetime_us,
		.check_delay_us = s->server_check_query[0] != '\0' ? s->server_check_delay_us : -1,
		.login_retry_us = s->server_login_retry_us,
		.max_parallel_opening = 8,
		.max_waiting = s->max_waiting_clients,
		.round_robin = s->server_round_robin,
		.admission = s->admission,
		.slow_lane_percent = s->slow_lane_percent,
		.slow_lane_ratio = s->slow_lane_ratio,
		.adaptive = s->adaptive_pool,
	};
	if (pool->dedicated != NULL)
		dedicate_limits(limits);
}

/* One server, for as long as its client stays. */
static void
dedicate_limits(PoolLimits *limits)
{
	limits->size = 1;
	limits->min_size = limits->reserve_size = 0;
	limits->check_delay_us = limits->lifetime_us = -1;
	limits->admission = false;
}

static PoolMode
resolve_mode(const SessionPool *pool)
{
	const DatabaseSpec *d = pool->database->spec;
	const UserSpec *u = pool->role->spec;

	if (pool->dedicated != NULL)
		return POOL_MODE_SESSION;
	if (u != NULL && u->pool_mode != POOL_MODE_INHERIT)
		return u->pool_mode;
	if (d != NULL && d->pool_mode != POOL_MODE_INHERIT)
		return d->pool_mode;
	return pool->worker->settings->pool_mode;
}

static void
on_pool_timer(Timer *timer, usec_t now)
{
	SessionPool *pool = CONTAINER_OF(timer, SessionPool, timer);
	Worker *worker = pool->worker;

	if (pool->dedicated != NULL && pool->dedicated->over && pool_slots(&pool->policy) == 0 &&
		pool->policy.pending_opens == 0)
	{
		SessionPool *shared = pool->dedicated->shared;

		stats_add(&shared->stats, &pool->stats);
		session_pool_destroy(pool);
		session_pool_rearm(shared);
		return;
	}
	idle_pool_changed(pool);
	if (idle_pool_due(pool) <= now)
	{
		session_pool_destroy(pool);
		return;
	}
	pool_tick(&pool->policy, now, &worker->actions);
	worker_run_actions(worker);
	session_pool_rearm(pool);
}

/* A timer that is armed for an earlier instant is left alone: the next instant of a busy pool moves with each transaction. */
static void
on_pool_rearm(NetDeferred *rearm, usec_t now)
{
	SessionPool *pool = CONTAINER_OF(rearm, SessionPool, rearm);
	deadline_t at;

	idle_pool_changed(pool);
	at = pool->dedicated != NULL && pool->dedicated->over ? now + DEDICATED_LINGER_US
														  : deadline_min(pool_next_event(&pool->policy, now), idle_pool_due(pool));
	if (at != DEADLINE_NONE && (!pool->timer.armed || pool->timer.at > at))
		timer_arm(net_timers(pool->worker->loop), &pool->timer, at);
}

void
session_pool_rearm(SessionPool *pool)
{
	if (pool != NULL)
		net_defer(pool->worker->loop, &pool->rearm);
}

static SessionPool *
pool_create(Worker *worker, Database *database, Role *role, Dedicated *dedicated)
{
	SessionPool *pool = calloc(1, sizeof(SessionPool));
	PoolLimits limits;

	if (pool == NULL)
		return NULL;
	pool->worker = worker;
	pool->id = ++worker->next_pool_id;
	pool->unused_since = worker_now(worker);
	pool->database = database;
	pool->role = role;
	pool->dedicated = dedicated;
	pool->mode = resolve_mode(pool);
	pool->timer.fire = on_pool_timer;
	pool->rearm.run = on_pool_rearm;
	resolve_limits(pool, &limits);
	if (!pool_init(&pool->policy, &limits, &database->group, &role->group, worker_now(worker)))
	{
		free(pool);
		return NULL;
	}
	pool->policy.forced_user = dedicated == NULL && database->spec != NULL && database->spec->user != NULL;
	if (worker->paused || database->paused)
		pool_pause(&pool->policy, worker_now(worker), &worker->actions);
	return pool;
}

SessionPool *
worker_dedicated_pool(Worker *worker, Dedicated *dedicated)
{
	SessionPool *pool = pool_create(worker, dedicated->shared->database, dedicated->shared->role, dedicated);

	if (pool == NULL)
		dedicated_free(worker, dedicated);
	else
		list_append(&worker->dedicated, &pool->list_node);
	return pool;
}

SessionPool *
worker_pool(Worker *worker, Database *database, Role *role)
{
	PoolKey key = {database, role};
	uint64_t hash = hash_bytes(worker->hash_seed, &key, sizeof(key));
	MapNode *node = map_find(&worker->pools, hash, &key);
	SessionPool *pool;

	if (node != NULL)
		return CONTAINER_OF(node, SessionPool, node);
	pool = pool_create(worker, database, role, NULL);
	if (pool == NULL)
		return NULL;
	map_insert(&worker->pools, &pool->node, hash);
	list_append(&worker->pool_list, &pool->list_node);
	return pool;
}

void
session_pool_destroy(SessionPool *pool)
{
	Worker *worker = pool->worker;

	if (pool->used)
		pool->database->pools_used--;
	worker_walk_skip(worker, &pool->list_node);
	timer_disarm(net_timers(worker->loop), &pool->timer);
	net_undefer(worker->loop, &pool->rearm);
	pool_free(&pool->policy);
	paramset_unref(&worker->params, pool->welcome);
	buf_free(&pool->welcome_fixed);
	if (pool->dedicated == NULL)
		map_remove(&worker->pools, &pool->node);
	list_remove(pool->dedicated == NULL ? &worker->pool_list : &worker->dedicated, &pool->list_node);
	dedicated_free(worker, pool->dedicated);
	free(pool);
}

void
database_destroy(Database *database)
{
	timer_disarm(net_timers(database->worker->loop), &database->timer);
	map_remove(&database->worker->databases, &database->node);
	free(database->name);
	free(database);
}

/* --- what the policy decided --- */

static void
run_action(const PoolAction *action)
{
	SessionPool *pool = CONTAINER_OF(action->pool, SessionPool, policy);
	Server *server = action->slot != NULL ? CONTAINER_OF(action->slot, Server, slot) : NULL;
	Client *client = action->waiter != NULL ? CONTAINER_OF(action->waiter, Client, waiter) : NULL;

	switch (action->kind)
	{
		case POOL_GRANT: link_grant(client, server, action->waited_us); break;
		case POOL_OPEN: server_open(pool); break;
		case POOL_CLOSE:
		case POOL_EVICT: server_close(server, action->reason); break;
		case POOL_LOOK: break;
		case POOL_CHECK: server_start_check(server); break;
		case POOL_FAIL: link_fail(client, action); break;
	}
	session_pool_rearm(pool);
}

void
worker_run_actions(Worker *worker)
{
	PoolAction action;

	if (worker->running_actions)
		return; /* the outer call goes on until the queue is empty */
	worker->running_actions = true;
	while (pool_actions_next(&worker->actions, &action))
		run_action(&action);
	worker->running_actions = false;
}

/* --- life --- */

static ResolverOptions
resolver_options(Worker *worker, const Settings *settings)
{
	return (ResolverOptions){.max_ttl_us = settings->dns_max_ttl_us,
							 .nxdomain_ttl_us = settings->dns_nxdomain_ttl_us,
							 .zone_check_us = settings->dns_zone_check_period_us,
							 .resolv_conf = settings->resolv_conf,
							 .changed = hosts_changed,
							 .arg = worker};
}

Worker *
worker_create(const WorkerOptions *options)
{
	Worker *worker = calloc(1, sizeof(Worker));
	ResolverOptions resolver;

	if (worker == NULL)
		return NULL;
	worker->loop = options->loop;
	worker->log = options->log;
	worker->settings = options->settings;
	worker->version = options->version;
	worker->started_at = net_now(options->loop);
	worker->console = options->console;
	resolver = resolver_options(worker, worker->settings);
	if (RAND_bytes((uint8_t *) &worker->hash_seed, sizeof(worker->hash_seed)) != 1 ||
		RAND_bytes(worker->mock_secret, sizeof(worker->mock_secret)) != 1 ||
		!params_init(&worker->params, worker->settings->track_extra_parameters, worker->hash_seed) ||
		(worker->resolver = resolver_create(worker->loop, &resolver)) == NULL)
	{
		params_free(&worker->params);
		free(worker);
		return NULL;
	}
	map_init(&worker->databases, database_equal);
	map_init(&worker->roles, role_equal);
	map_init(&worker->pools, pool_equal);
	map_init(&worker->cancel_keys, cancel_key_equal);
	list_init(&worker->pool_list);
	list_init(&worker->dedicated);
	list_init(&worker->clients);
	list_init(&worker->logins);
	list_init(&worker->servers);
	list_init(&worker->cancels);
	list_init(&worker->peer_cancels);
	list_init(&worker->walks);
	list_init(&worker->limits);
	limits_apply(worker, worker->settings);
	statements_init(&worker->statements, worker->hash_seed);
	return worker;
}

static void
role_destroy(Worker *worker, Role *role)
{
	map_remove(&worker->roles, &role->node);
	if (role->plain != NULL)
		OPENSSL_cleanse(role->plain, strlen(role->plain));
	free(role->plain);
	if (role->looked_up != NULL)
		OPENSSL_cleanse(role->looked_up, strlen(role->looked_up));
	free(role->looked_up);
	scram_verifier_wipe(&role->verifier);
	scram_keys_wipe(&role->scram_keys);
	free(role->name);
	free(role);
}

void
worker_free(Worker *worker)
{
	MapNode *node;

	if (worker == NULL)
		return;
	list_each(item, &worker->dedicated)
		session_pool_destroy(CONTAINER_OF(item, SessionPool, list_node));
	list_each(item, &worker->pool_list)
		session_pool_destroy(CONTAINER_OF(item, SessionPool, list_node));
	while ((node = map_next(&worker->databases, NULL)) != NULL)
		database_destroy(CONTAINER_OF(node, Database, node));
	while ((node = map_next(&worker->roles, NULL)) != NULL)
		role_destroy(worker, CONTAINER_OF(node, Role, node));
	map_free(&worker->databases);
	map_free(&worker->roles);
	map_free(&worker->pools);
	map_free(&worker->cancel_keys);
	limits_free(worker);
	class_texts_free(&worker->class_texts);
	statements_free(&worker->statements);
	params_free(&worker->params);
	pool_actions_free(&worker->actions);
	resolver_free(worker->resolver);
	OPENSSL_cleanse(worker->mock_secret, sizeof(worker->mock_secret));
	free(worker);
}

void
worker_accept(Worker *worker, int fd, const NetPeer *peer)
{
	if (client_create(worker, fd, peer) == NULL)
	{
		log_write(worker->log, LOG_LEVEL_WARNING, "out of memory: a client was turned away");
		close(fd);
	}
}

/* Everybody leaves now; the caller lets the loop turn once more so that memory is released. */
void
worker_close_all(Worker *worker)
{
	list_each(node, &worker->logins)
		client_close(CONTAINER_OF(node, Client, node), "server shutting down", "server shutting down");
	list_each(node, &worker->clients)
		client_close(CONTAINER_OF(node, Client, node), "server shutting down", "server shutting down");
	list_each(pool, &worker->pool_list)
		CONTAINER_OF(pool, SessionPool, list_node)->policy.retiring = true;
	list_each(pool, &worker->dedicated)
		CONTAINER_OF(pool, SessionPool, list_node)->policy.retiring = true;
	cancel_close_all(worker);
	peer_close_all(worker);
	while (!list_empty(&worker->servers))
		server_close(CONTAINER_OF(list_first(&worker->servers), Server, node), "server shutting down");
	worker_run_actions(worker);
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
renew_database(Database *database, const Settings *settings)
{
	const DatabaseSpec *old = database->spec;
	DatabaseSpec copy = old != NULL ? *old : (DatabaseSpec){0};
	const DatabaseSpec *spec = settings_find_database(settings, database->name);

	if (spec != NULL)
		database->spec = spec;
	else if (settings->database_template != NULL && old != NULL)
		fill_from_template(database, settings->database_template);
	else
		database->spec = NULL;
	database->group.limit = db_limit(database->worker, database->spec);
	return old != NULL && database->spec != NULL && needs_new_servers(&copy, database->spec);
}

static void
close_clients_of(Worker *worker, const Database *database, const char *reason)
{
	list_each(node, &worker->logins)
	{
		Client *client = CONTAINER_OF(node, Client, node);

		if (client->database == database)
			client_close(client, reason, reason);
	}
	list_each(node, &worker->clients)
	{
		Client *client = CONTAINER_OF(node, Client, node);

		if (client->database == database && client->state != CLIENT_CONSOLE)
			client_close(client, reason, reason);
	}
}

static void
renew_pool(SessionPool *pool, usec_t now)
{
	PoolLimits limits;

	resolve_limits(pool, &limits);
	pool->mode = resolve_mode(pool);
	pool->policy.retiring = pool->database->spec == NULL || (pool->dedicated != NULL && pool->dedicated->over);
	pool->policy.forced_user = pool->dedicated == NULL && pool->database->spec != NULL && pool->database->spec->user != NULL;
	pool_set_limits(&pool->policy, &limits, now, &pool->worker->actions);
	session_pool_rearm(pool);
}

static void
renew_pools_in(Worker *worker, const List *pools, const Database *database, bool new_servers, usec_t now)
{
	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);

		if (pool->database != database)
			continue;
		if (new_servers)
			pool_reconnect(&pool->policy, now, &worker->actions);
		if (database->spec == NULL)
			pool_retire(&pool->policy, now, &worker->actions);
	}
}

/* Linked servers that are idle between transactions get no further event: look at them now. */
static void
close_outdated(Worker *worker)
{
	WorkerWalk walk;
	const ListNode *node;

	worker_walk_begin(worker, &walk, &worker->servers);
	while ((node = worker_walk_next(&walk)) != NULL)
		(void) server_close_if_outdated(CONTAINER_OF(node, Server, node));
	worker_walk_end(worker, &walk);
	worker_run_actions(worker);
}

static void
renew_pools_of(Worker *worker, const Database *database, bool new_servers, usec_t now)
{
	renew_pools_in(worker, &worker->pool_list, database, new_servers, now);
	renew_pools_in(worker, &worker->dedicated, database, new_servers, now);
}

void
worker_apply_settings(Worker *worker, const Settings *settings)
{
	usec_t now = worker_now(worker);
	ResolverOptions resolver = resolver_options(worker, settings);

	worker->settings = settings;
	resolver_set_options(worker->resolver, &resolver);
	for (MapNode *node = map_next(&worker->roles, NULL); node != NULL; node = map_next(&worker->roles, node))
	{
		Role *role = CONTAINER_OF(node, Role, node);

		role->spec = settings_find_user(settings, role->name);
		role->group.limit = role->spec != NULL && role->spec->max_user_connections > 0 ? role->spec->max_user_connections
																					   : settings->max_user_connections;
	}
	for (MapNode *node = map_next(&worker->databases, NULL); node != NULL; node = map_next(&worker->databases, node))
	{
		Database *database = CONTAINER_OF(node, Database, node);
		bool had = database->spec != NULL;
		bool new_servers = renew_database(database, settings);

		if (had && database->spec == NULL)
			close_clients_of(worker, database, "database removed");
		renew_pools_of(worker, database, new_servers, now);
		idle_database_rearm(database);
	}
	list_each(node, &worker->pool_list)
		renew_pool(CONTAINER_OF(node, SessionPool, list_node), now);
	list_each(node, &worker->dedicated)
		renew_pool(CONTAINER_OF(node, SessionPool, list_node), now);
	limits_apply(worker, settings);
	worker_run_actions(worker);
	close_outdated(worker);
	list_each(node, &worker->clients)
		client_rearm_timer(CONTAINER_OF(node, Client, node));
	list_each(node, &worker->logins)
		client_rearm_timer(CONTAINER_OF(node, Client, node));
}

/* --- operations --- */

typedef void (*PoolOperation)(Pool *pool, usec_t now, PoolActions *out);

static void
each_pool_in(Worker *worker, const List *pools, const Database *database, PoolOperation operation)
{
	usec_t now = worker_now(worker);

	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);

		if (database == NULL || pool->database == database)
		{
			operation(&pool->policy, now, &worker->actions);
			session_pool_rearm(pool);
		}
	}
}

static void
each_pool(Worker *worker, const Database *database, PoolOperation operation)
{
	each_pool_in(worker, &worker->pool_list, database, operation);
	each_pool_in(worker, &worker->dedicated, database, operation);
	worker_run_actions(worker);
}

void
worker_pause(Worker *worker, Database *database)
{
	if (database != NULL)
		database->paused = true;
	else
		worker->paused = true;
	each_pool(worker, database, pool_pause);
}

static void
resume_pools_in(Worker *worker, const List *pools, const Database *database)
{
	usec_t now = worker_now(worker);

	list_each(node, pools)
	{
		SessionPool *pool = CONTAINER_OF(node, SessionPool, list_node);

		if ((database == NULL || pool->database == database) && !pool->database->paused && !worker->paused)
		{
			pool_resume(&pool->policy, now, &worker->actions);
			session_pool_rearm(pool);
		}
	}
}

void
worker_resume(Worker *worker, Database *database)
{
	if (database != NULL)
		database->paused = false;
	else
		worker->paused = false;
	resume_pools_in(worker, &worker->pool_list, database);
	resume_pools_in(worker, &worker->dedicated, database);
	if (database != NULL)
		idle_database_rearm(database);
	worker_run_actions(worker);
}

void
worker_reconnect(Worker *worker, Database *database)
{
	each_pool(worker, database, pool_reconnect);
	close_outdated(worker);
}

void
worker_kill(Worker *worker, Database *database)
{
	for (MapNode *node = map_next(&worker->databases, NULL); node != NULL; node = map_next(&worker->databases, node))
	{
		Database *one = CONTAINER_OF(node, Database, node);

		if (database != NULL && one != database)
			continue;
		one->paused = true;
		close_clients_of(worker, one, "database removed");
	}
	each_pool(worker, database, pool_pause);
	list_each(node, &worker->servers)
	{
		Server *server = CONTAINER_OF(node, Server, node);

		if (database == NULL || server->pool->database == database)
			server_close(server, "database removed");
	}
	worker_run_actions(worker);
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
worker_has_active_servers(const Worker *worker, const Database *database)
{
	return has_active_in(&worker->pool_list, database) || has_active_in(&worker->dedicated, database);
}

bool
worker_has_closing_servers(const Worker *worker, const Database *database)
{
	list_each(node, &worker->servers)
	{
		const Server *server = CONTAINER_OF(node, const Server, node);

		if ((database == NULL || server->pool->database == database) && server->slot.close_needed)
			return true;
	}
	return false;
}

void
worker_shutdown(Worker *worker, WorkerPhase phase)
{
	worker->phase = phase;
	if (phase == WORKER_DRAIN_SERVERS)
		each_pool(worker, NULL, pool_pause);
}

bool
worker_is_drained(const Worker *worker)
{
	switch (worker->phase)
	{
		case WORKER_RUNNING: return false;
		case WORKER_DRAIN_SERVERS: return !worker_has_active_servers(worker, NULL);
		case WORKER_DRAIN_CLIENTS:
			list_each(node, &worker->clients)
			{
				if (CONTAINER_OF(node, const Client, node)->state != CLIENT_CONSOLE)
					return false;
			}
			return true;
		case WORKER_STOPPED: return true;
	}
	return true;
}
