/*
 * hall.c: what the workers share: the tables of databases, roles and pools, and the way into the policy.
 */
#include "session/session.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "session/hall.h"
#include "session/lease.h"
#include "session/limits.h"

_Static_assert(WORKERS_MAX <= POOL_HOMES, "each worker is a home");

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
name_hash(const Hall *hall, const char *name)
{
	return hash_bytes(hall->hash_seed, name, strlen(name));
}

static int
role_limit(const Hall *hall, const UserSpec *spec)
{
	return spec != NULL && spec->max_user_connections > 0 ? spec->max_user_connections : hall->settings->max_user_connections;
}

static Role *
find_role(Hall *hall, const char *name)
{
	uint64_t hash = name_hash(hall, name);
	MapNode *node = map_find(&hall->roles, hash, name);
	Role *role;

	if (node != NULL)
		return CONTAINER_OF(node, Role, node);
	role = calloc(1, sizeof(Role));
	if (role == NULL || (role->name = strdup(name)) == NULL)
	{
		free(role);
		return NULL;
	}
	role->spec = settings_find_user(hall->settings, name);
	pool_group_init(&role->group, role_limit(hall, role->spec));
	map_insert(&hall->roles, &role->node, hash);
	return role;
}

Role *
worker_role(Worker *worker, const char *name)
{
	Role *role;

	hall_lock_tables(worker->hall);
	role = find_role(worker->hall, name);
	hall_unlock_tables(worker->hall);
	return role;
}

/* The spec of an automatic database: the template under the client's name for it. */
void
database_from_template(Database *database, const DatabaseSpec *template)
{
	database->own_spec = *template;
	database->own_spec.name = database->name;
	if (template->dbname == NULL || strcmp(template->dbname, "*") == 0)
		database->own_spec.dbname = database->name;
	database->own_spec.from_template = true;
	database->spec = &database->own_spec;
}

int
hall_database_limit(const Hall *hall, const DatabaseSpec *spec)
{
	return spec != NULL && spec->max_db_connections > 0 ? spec->max_db_connections : hall->settings->max_db_connections;
}

static Database *
find_database(Hall *hall, const char *name)
{
	uint64_t hash = name_hash(hall, name);
	MapNode *node = map_find(&hall->databases, hash, name);
	const DatabaseSpec *spec;
	const DatabaseSpec *template = hall->settings->database_template;
	Database *database;

	if (node != NULL && CONTAINER_OF(node, Database, node)->spec != NULL)
		return CONTAINER_OF(node, Database, node);
	spec = settings_find_database(hall->settings, name);
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
		database->hall = hall;
		idle_database_init(database);
		pool_group_init(&database->group, hall_database_limit(hall, spec != NULL ? spec : template));
		map_insert(&hall->databases, &database->node, hash);
	}
	if (spec != NULL)
		database->spec = spec;
	else
	{
		database_from_template(database, template);
		log_write(hall->log, LOG_LEVEL_LOG, "registered new auto-database: %s", name);
	}
	if (!list_linked(&database->changed))
		list_append(&hall->changed_databases, &database->changed);
	atomic_store(&hall->use_changed, true);
	return database;
}

Database *
worker_database(Worker *worker, const char *name)
{
	Database *database;
	bool changed;

	hall_lock_tables(worker->hall);
	database = find_database(worker->hall, name);
	changed = !list_empty(&worker->hall->changed_databases);
	hall_unlock_tables(worker->hall);
	if (changed && worker->index > 0)
		worker_call(worker->hall->workers[0]);
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

/* One server, for as long as its client stays. */
static void
dedicate_limits(PoolLimits *limits)
{
	limits->size = 1;
	limits->min_size = limits->reserve_size = 0;
	limits->check_delay_us = limits->lifetime_us = -1;
	limits->admission = false;
}

/* Resolution order of the reference: user, database, [pgbouncer]. */
void
session_pool_limits(const SessionPool *pool, PoolLimits *limits)
{
	const Settings *s = pool->hall->settings;
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
		.turn_by_home = pool->hall->wanted_workers > 1,
		.admission = s->admission,
		.slow_lane_percent = s->slow_lane_percent,
		.slow_lane_ratio = s->slow_lane_ratio,
		.adaptive = s->adaptive_pool,
		.homes = pool->hall->wanted_workers,
	};
	if (pool->dedicated != NULL)
		dedicate_limits(limits);
}

PoolMode
session_pool_mode(const SessionPool *pool)
{
	const DatabaseSpec *d = pool->database->spec;
	const UserSpec *u = pool->role->spec;

	if (pool->dedicated != NULL)
		return POOL_MODE_SESSION;
	if (u != NULL && u->pool_mode != POOL_MODE_INHERIT)
		return u->pool_mode;
	if (d != NULL && d->pool_mode != POOL_MODE_INHERIT)
		return d->pool_mode;
	return pool->hall->settings->pool_mode;
}

/* --- into the policy --- */

void
policy_enter(Worker *worker)
{
	Hall *hall = worker->hall;

	if (hall_is_shared(hall))
		pthread_mutex_lock(&hall->policy);
	hall->actions.here = worker->index;
	if (!list_empty(&worker->arrivals))
		worker_take_arrivals(worker);
}

/*
 * In the policy: see to it that somebody asks the pool again when it is due.  Any worker may, so the one that knows arms a timer of its own;
 * another's timer that is due no later will do as well, and what it finds is not due yet makes it arm itself anew.  A timer that is armed
 * for an earlier instant is left alone: the next instant of a busy pool moves with each transaction.
 */
static void
rearm(PoolPart *part, usec_t now)
{
	SessionPool *pool = part->pool;
	Worker *worker = part->worker;
	deadline_t at;

	at = pool->dedicated != NULL && pool->dedicated->over ? now + DEDICATED_LINGER_US : pool_next_event(&pool->policy, now);
	if (at < pool->tick_at || pool->ticker == worker->index)
	{
		if (at != DEADLINE_NONE && (!part->timer.armed || part->timer.at > at))
			timer_arm(net_timers(worker->loop), &part->timer, at);
		pool->ticker = worker->index;
		pool->tick_at = part->timer.armed ? part->timer.at : DEADLINE_NONE;
	}
	/* without an idle slot the timer knows nothing of how long those may idle that will be released */
	pool->settled = pool->tick_at <= at && !list_empty(&pool->policy.idle) && pool->dedicated == NULL &&
					pool_is_settled(&pool->policy, pool->tick_at);
}

static void
on_rearm(NetDeferred *deferred, usec_t now)
{
	PoolPart *part = CONTAINER_OF(deferred, PoolPart, rearm);

	policy_enter(part->worker);
	rearm(part, now);
	policy_leave(part->worker, NULL);
}

/* It may have begun, or ceased, to be used. */
static void
note_use(Hall *hall, SessionPool *pool)
{
	if (idle_pool_differs(pool) && !list_linked(&pool->changed))
	{
		list_append(&hall->changed_pools, &pool->changed);
		atomic_store(&hall->use_changed, true);
		hall->actions.touched |= 1;
	}
}

/* Something about the pool has changed. */
static void
note_change(Worker *worker, SessionPool *pool)
{
	pool->settled = false;
	net_defer(worker->loop, &pool->parts[worker->index]->rearm);
	note_use(worker->hall, pool);
}

/* Requests and releases, of which a turn has many.  Where others need the lock it is not taken for that once more. */
static void
note_traffic(Worker *worker, SessionPool *pool)
{
	if (pool->settled && pool_is_settled(&pool->policy, pool->tick_at))
		return;
	if (!hall_is_shared(worker->hall))
	{
		note_change(worker, pool);
		return;
	}
	rearm(pool->parts[worker->index], worker_now(worker));
	note_use(worker->hall, pool);
}

/* The end of a section: tell whoever has got something to do.  With `first`, as policy_leave_with(). */
static bool
leave(Worker *worker, PoolAction *first)
{
	Hall *hall = worker->hall;
	unsigned mine = 1u << worker->index;
	unsigned touched;
	bool any;

	lease_end_crowded(worker);
	touched = hall->actions.touched;
	hall->actions.touched = 0;
	any = first != NULL && !worker->running_actions && pool_actions_next(&hall->actions, first);
	worker->has_actions = any ? pool_actions_wait(&hall->actions) : worker->has_actions || (touched & mine) != 0;
	if (!hall_is_shared(hall))
		return any;
	worker->has_moves |= hall->actions.moves[worker->index].count > 0;
	pthread_mutex_unlock(&hall->policy);
	touched &= ~mine;
	for (int i = 0; touched != 0; i++, touched >>= 1)
		if ((touched & 1) != 0)
			worker_call(hall->workers[i]);
	return any;
}

void
policy_leave(Worker *worker, SessionPool *pool)
{
	if (pool != NULL)
	{
		lease_leave(worker, pool);
		note_change(worker, pool);
	}
	(void) leave(worker, NULL);
}

void
policy_leave_busy(Worker *worker, SessionPool *pool)
{
	lease_leave(worker, pool);
	note_traffic(worker, pool);
	(void) leave(worker, NULL);
}

bool
policy_leave_with(Worker *worker, SessionPool *pool, PoolAction *first)
{
	lease_leave(worker, pool);
	note_traffic(worker, pool);
	return leave(worker, first);
}

void
session_pool_rearm(Worker *worker, SessionPool *pool)
{
	if (pool == NULL || session_pool_part(pool, worker) == NULL)
		return;
	policy_enter(worker);
	policy_leave(worker, pool);
}

/* --- pools: life --- */

/* True when the pool is gone: its replication client has left, and so have its servers. */
static bool
end_dedicated(Worker *worker, SessionPool *pool)
{
	SessionPool *shared;
	bool over;

	if (pool->dedicated == NULL || !pool->dedicated->over)
		return false;
	policy_enter(worker);
	over = pool_slots(&pool->policy) == 0 && pool->policy.pending_opens == 0;
	policy_leave(worker, NULL);
	if (!over)
		return false;
	shared = pool->dedicated->shared;
	stats_add(&shared->parts[worker->index]->stats, &pool->parts[worker->index]->stats);
	hall_lock_tables(worker->hall);
	session_pool_destroy(pool);
	hall_unlock_tables(worker->hall);
	idle_lost_dedicated(worker, shared);
	return true;
}

static void
on_pool_timer(Timer *timer, usec_t now)
{
	PoolPart *part = CONTAINER_OF(timer, PoolPart, timer);
	SessionPool *pool = part->pool;
	Worker *worker = part->worker;

	if (end_dedicated(worker, pool))
		return;
	policy_enter(worker);
	pool_tick(&pool->policy, now, &worker->hall->actions);
	/* whoever was to ask at this instant or before need not any more */
	if (pool->tick_at <= now)
	{
		pool->tick_at = DEADLINE_NONE;
		pool->ticker = worker->index;
	}
	policy_leave(worker, pool);
	worker_run_actions(worker);
}

PoolPart *
session_pool_part(SessionPool *pool, Worker *worker)
{
	PoolPart *part = pool->parts[worker->index];

	if (part != NULL || (part = calloc(1, sizeof(PoolPart))) == NULL)
		return part;
	part->pool = pool;
	part->worker = worker;
	part->timer.fire = on_pool_timer;
	part->rearm.run = on_rearm;
	policy_enter(worker); /* where others look whose leases there are */
	pool->parts[worker->index] = part;
	policy_leave(worker, NULL);
	return part;
}

void
session_pool_stats(const SessionPool *pool, SessionStats *out)
{
	*out = (SessionStats){0};
	for (int i = 0; i < pool->hall->worker_count; i++)
		if (pool->parts[i] != NULL)
			stats_add(out, &pool->parts[i]->stats);
}

StatementSums
hall_statement_sums(Hall *hall)
{
	for (int i = 0; i < hall->worker_count; i++)
		statement_cache_clear(&hall->statements, &hall->workers[i]->statement_cache);
	return statements_sums(&hall->statements);
}

static SessionPool *
pool_create(Worker *worker, Database *database, Role *role, Dedicated *dedicated)
{
	Hall *hall = worker->hall;
	SessionPool *pool = calloc(1, sizeof(SessionPool));
	PoolLimits limits;

	if (pool == NULL)
		return NULL;
	pool->hall = hall;
	pool->id = atomic_fetch_add(&hall->next_pool_id, 1) + 1;
	idle_pool_init(pool);
	pool->unused_since = worker_now(worker);
	pool->database = database;
	pool->role = role;
	pool->dedicated = dedicated;
	pool->mode = session_pool_mode(pool);
	pool->tick_at = DEADLINE_NONE;
	pool->ticker = worker->index;
	session_pool_limits(pool, &limits);
	if (session_pool_part(pool, worker) == NULL)
	{
		free(pool);
		return NULL;
	}
	policy_enter(worker);
	if (!pool_init(&pool->policy, &limits, &database->group, &role->group, worker_now(worker)))
	{
		policy_leave(worker, NULL);
		free(pool->parts[worker->index]);
		free(pool);
		return NULL;
	}
	pool->policy.forced_user = dedicated == NULL && database->spec != NULL && database->spec->user != NULL;
	if (dedicated != NULL)
		pool->policy.home = worker->index;
	if (hall->paused || database->paused)
		pool_pause(&pool->policy, worker_now(worker), &hall->actions);
	policy_leave(worker, NULL);
	return pool;
}

SessionPool *
worker_dedicated_pool(Worker *worker, Dedicated *dedicated)
{
	Hall *hall = worker->hall;
	SessionPool *pool = pool_create(worker, dedicated->shared->database, dedicated->shared->role, dedicated);

	if (pool == NULL)
	{
		dedicated_free(worker, dedicated);
		return NULL;
	}
	hall_lock_tables(hall);
	list_append(&hall->dedicated, &pool->list_node);
	hall_unlock_tables(hall);
	return pool;
}

static SessionPool *
find_pool(Worker *worker, Database *database, Role *role)
{
	Hall *hall = worker->hall;
	PoolKey key = {database, role};
	uint64_t hash = hash_bytes(hall->hash_seed, &key, sizeof(key));
	MapNode *node = map_find(&hall->pools, hash, &key);
	SessionPool *pool;

	if (node != NULL)
		return CONTAINER_OF(node, SessionPool, node);
	pool = pool_create(worker, database, role, NULL);
	if (pool == NULL)
		return NULL;
	map_insert(&hall->pools, &pool->node, hash);
	list_append(&hall->pool_list, &pool->list_node);
	return pool;
}

SessionPool *
worker_pool(Worker *worker, Database *database, Role *role)
{
	SessionPool *pool;

	hall_lock_tables(worker->hall);
	pool = find_pool(worker, database, role);
	hall_unlock_tables(worker->hall);
	return pool != NULL && session_pool_part(pool, worker) != NULL ? pool : NULL;
}

static void
free_parts(SessionPool *pool)
{
	Hall *hall = pool->hall;

	for (int i = 0; i < hall->worker_count; i++)
	{
		PoolPart *part = pool->parts[i];

		if (part == NULL)
			continue;
		timer_disarm(net_timers(hall->workers[i]->loop), &part->timer);
		net_undefer(hall->workers[i]->loop, &part->rearm);
		lease_free(part);
		stats_free(&part->stats);
		free(part);
	}
}

/* Of a dedicated pool by its worker, with the tables locked; of another while all others are parked, or have ended. */
void
session_pool_destroy(SessionPool *pool)
{
	Hall *hall = pool->hall;
	Worker *worker = hall->workers[pool->policy.home == POOL_ANY_HOME ? 0 : pool->policy.home];

	if (pool->used)
		pool->database->pools_used--;
	free_parts(pool);
	policy_enter(worker);
	pool_free(&pool->policy);
	if (list_linked(&pool->changed))
		list_remove(&hall->changed_pools, &pool->changed);
	policy_leave(worker, NULL);
	if (pool->dedicated == NULL)
		timer_disarm(net_timers(hall->workers[0]->loop), &pool->idle_timer);
	if (pool->welcome != NULL)
		paramset_unref(&hall->params, pool->welcome);
	buf_free(&pool->welcome_fixed);
	free(pool->last_error);
	if (pool->dedicated == NULL)
		map_remove(&hall->pools, &pool->node);
	if (hall->report_next == &pool->list_node)
		hall->report_next = pool->list_node.next;
	list_remove(pool->dedicated == NULL ? &hall->pool_list : &hall->dedicated, &pool->list_node);
	dedicated_free(worker, pool->dedicated);
	free(pool);
}

void
database_destroy(Database *database)
{
	Hall *hall = database->hall;

	timer_disarm(net_timers(hall->workers[0]->loop), &database->timer);
	if (list_linked(&database->changed))
		list_remove(&hall->changed_databases, &database->changed);
	map_remove(&hall->databases, &database->node);
	free(database->name);
	free(database);
}

/* --- life --- */

static void
init_locks(Hall *hall)
{
	pthread_mutex_init(&hall->tables, NULL);
	pthread_mutex_init(&hall->policy, NULL);
	pthread_mutex_init(&hall->spread_lock, NULL);
	pthread_mutex_init(&hall->park_lock, NULL);
	pthread_cond_init(&hall->all_parked, NULL);
	pthread_cond_init(&hall->go_on, NULL);
}

static void
free_locks(Hall *hall)
{
	pthread_mutex_destroy(&hall->tables);
	pthread_mutex_destroy(&hall->policy);
	pthread_mutex_destroy(&hall->spread_lock);
	pthread_mutex_destroy(&hall->park_lock);
	pthread_cond_destroy(&hall->all_parked);
	pthread_cond_destroy(&hall->go_on);
}

Hall *
hall_create(const HallOptions *options)
{
	Hall *hall = calloc(1, sizeof(Hall));

	if (hall == NULL)
		return NULL;
	hall->log = options->log;
	hall->settings = options->settings;
	hall->version = options->version;
	hall->started_at = net_now(options->loop);
	hall->worker_count = 1;
	hall->backend = options->backend;
	hall->wanted_workers = options->workers > POOL_HOMES ? POOL_HOMES : options->workers;
	init_locks(hall);
	spread_init(&hall->spread, (SpreadMode) hall->settings->worker_spread, 1);
	map_init(&hall->databases, database_equal);
	map_init(&hall->roles, role_equal);
	map_init(&hall->pools, pool_equal);
	map_init(&hall->cancel_keys, cancel_key_equal);
	list_init(&hall->pool_list);
	hall->report_next = &hall->pool_list.head;
	list_init(&hall->dedicated);
	list_init(&hall->limits);
	list_init(&hall->half_open);
	trim_init(hall);
	list_init(&hall->changed_pools);
	list_init(&hall->changed_databases);
	if (RAND_bytes((uint8_t *) &hall->hash_seed, sizeof(hall->hash_seed)) == 1 &&
		RAND_bytes(hall->mock_secret, sizeof(hall->mock_secret)) == 1 && (hall->jobs = net_jobs_create()) != NULL &&
		params_init(&hall->params, hall->settings->track_extra_parameters, hall->hash_seed))
	{
		statements_init(&hall->statements, hall->hash_seed);
		hall->workers[0] = worker_create(hall, 0, options->loop);
	}
	if (hall->workers[0] != NULL)
	{
		limits_apply(hall);
		return hall;
	}
	net_jobs_free(hall->jobs);
	params_free(&hall->params);
	free_locks(hall);
	free(hall);
	return NULL;
}

static void
role_destroy(Hall *hall, Role *role)
{
	map_remove(&hall->roles, &role->node);
	if (role->plain != NULL)
		OPENSSL_cleanse(role->plain, strlen(role->plain));
	free(role->plain);
	if (role->looked_up != NULL)
		OPENSSL_cleanse(role->looked_up, strlen(role->looked_up));
	free(role->looked_up);
	scram_keys_wipe(&role->own_keys);
	scram_keys_wipe(&role->scram_keys);
	free(role->name);
	free(role);
}

void
hall_free(Hall *hall)
{
	MapNode *node;

	if (hall == NULL)
		return;
	trim_stop(hall);
	list_each(item, &hall->dedicated)
		session_pool_destroy(CONTAINER_OF(item, SessionPool, list_node));
	list_each(item, &hall->pool_list)
		session_pool_destroy(CONTAINER_OF(item, SessionPool, list_node));
	while ((node = map_next(&hall->databases, NULL)) != NULL)
		database_destroy(CONTAINER_OF(node, Database, node));
	while ((node = map_next(&hall->roles, NULL)) != NULL)
		role_destroy(hall, CONTAINER_OF(node, Role, node));
	for (int i = 0; i < hall->worker_count; i++)
		worker_free(hall->workers[i]);
	net_jobs_free(hall->jobs);
	map_free(&hall->databases);
	map_free(&hall->roles);
	map_free(&hall->pools);
	map_free(&hall->cancel_keys);
	statements_free(&hall->statements);
	params_free(&hall->params);
	limits_free(hall);
	pool_actions_free(&hall->actions);
	OPENSSL_cleanse(hall->mock_secret, sizeof(hall->mock_secret));
	free_locks(hall);
	free(hall);
}
