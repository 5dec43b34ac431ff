/*
 * show_pools.c: SHOW DATABASES, USERS and POOLS.
 */
#include "admin/show.h"

#include <stdlib.h>

#define CONSOLE_NAME "pgbouncer"

/* --- databases --- */

/* A database of the file, one made from the template, or (both NULL) the console. */
typedef struct DatabaseRow
{
	const char *name;
	const DatabaseSpec *spec;
	const Database *database; /* NULL: nobody has used it yet */
} DatabaseRow;

static int
compare_rows(const void *a, const void *b)
{
	return strcmp(((const DatabaseRow *) a)->name, ((const DatabaseRow *) b)->name);
}

/* Database by name if somebody has used it; none is made. */
static const Database *
known_database(const Worker *worker, const char *name)
{
	MapNode *node = map_find(&worker->hall->databases, hash_bytes(worker->hash_seed, name, strlen(name)), name);

	return node != NULL ? CONTAINER_OF(node, const Database, node) : NULL;
}

static DatabaseRow *
collect_databases(const Worker *worker, size_t *count)
{
	const Settings *settings = worker->settings;
	DatabaseRow *rows = calloc((size_t) settings->database_count + worker->hall->databases.count + 1, sizeof(DatabaseRow));
	size_t n = 0;

	if (rows == NULL)
		return NULL;
	for (int i = 0; i < settings->database_count; i++)
		rows[n++] = (DatabaseRow){settings->databases[i].name, &settings->databases[i],
								  known_database(worker, settings->databases[i].name)};
	for (MapNode *node = map_next(&worker->hall->databases, NULL); node != NULL; node = map_next(&worker->hall->databases, node))
	{
		const Database *database = CONTAINER_OF(node, const Database, node);

		if (database->spec != NULL && database->spec->from_template)
			rows[n++] = (DatabaseRow){database->name, database->spec, database};
	}
	rows[n++] = (DatabaseRow){CONSOLE_NAME, NULL, NULL};
	qsort(rows, n, sizeof(DatabaseRow), compare_rows);
	*count = n;
	return rows;
}

static int
given_or(int value, int otherwise)
{
	return value >= 0 ? value : otherwise;
}

static int
positive_or(int value, int otherwise)
{
	return value > 0 ? value : otherwise;
}

static void
console_row(const Show *show)
{
	Result *r = show->result;

	result_row(r);
	result_text(r, CONSOLE_NAME);
	result_text(r, NULL);
	result_number(r, show_listen_port(show));
	result_text(r, CONSOLE_NAME);
	result_text(r, CONSOLE_NAME);
	result_number(r, 2);
	result_number(r, 0);
	result_number(r, 0);
	result_number(r, show->worker->settings->server_lifetime_us / USEC_PER_SEC);
	result_text(r, "statement");
	result_text(r, NULL);
	result_number(r, 0);
	result_number(r, 0);
	result_number(r, 0);
	result_number(r, show_console_clients(show->worker));
	result_number(r, 0);
	result_number(r, 0);
	result_row_end(r);
}

static void
database_row(const Show *show, const DatabaseRow *row)
{
	const Settings *settings = show->worker->settings;
	const DatabaseSpec *spec = row->spec;
	const Database *database = row->database;
	Result *r = show->result;

	result_row(r);
	result_text(r, row->name);
	result_text(r, spec->host);
	result_number(r, spec->port);
	result_text(r, spec->dbname);
	result_text(r, spec->user);
	result_number(r, given_or(spec->pool_size, settings->default_pool_size));
	result_number(r, given_or(spec->min_pool_size, settings->min_pool_size));
	result_number(r, given_or(spec->reserve_pool_size, settings->reserve_pool_size));
	result_number(r, (spec->server_lifetime_us > 0 ? spec->server_lifetime_us : settings->server_lifetime_us) / USEC_PER_SEC);
	result_text(r, show_pool_mode(spec->pool_mode));
	result_text(r, show_load_balance(spec));
	result_number(r, positive_or(spec->max_db_connections, settings->max_db_connections));
	result_number(r, database != NULL ? database->group.used : 0);
	result_number(r, positive_or(spec->max_db_client_connections, settings->max_db_client_connections));
	result_number(r, database != NULL ? database->clients : 0);
	result_number(r, database != NULL && database->paused);
	result_number(r, database != NULL && database->disabled);
	result_row_end(r);
}

void
show_databases(const Show *show)
{
	size_t count = 0;
	DatabaseRow *rows = collect_databases(show->worker, &count);

	result_columns(show->result, "ssissiiiissiiiiii",
				   "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime "
				   "pool_mode load_balance_hosts max_connections current_connections max_client_connections "
				   "current_client_connections paused disabled");
	if (rows == NULL)
		show->result->failed = true;
	for (size_t i = 0; i < count; i++)
		if (rows[i].spec != NULL)
			database_row(show, &rows[i]);
		else
			console_row(show);
	free(rows);
}

/* --- users --- */

/* A user of the files, somebody who logged in, or both. */
typedef struct UserRow
{
	const char *name;
	const UserSpec *spec;
	const Role *role;
} UserRow;

static int
compare_users(const void *a, const void *b)
{
	return strcmp(((const UserRow *) a)->name, ((const UserRow *) b)->name);
}

static UserRow *
collect_users(const Worker *worker, size_t *count)
{
	const Settings *settings = worker->settings;
	UserRow *rows = calloc(settings->users.count + worker->hall->roles.count + 1, sizeof(UserRow));
	size_t n = 0;

	if (rows == NULL)
		return NULL;
	for (MapNode *node = map_next(&worker->hall->roles, NULL); node != NULL; node = map_next(&worker->hall->roles, node))
	{
		const Role *role = CONTAINER_OF(node, const Role, node);

		rows[n++] = (UserRow){role->name, role->spec, role};
	}
	for (MapNode *node = map_next(&settings->users, NULL); node != NULL; node = map_next(&settings->users, node))
	{
		const UserSpec *spec = CONTAINER_OF(node, const UserSpec, node);

		if (map_find(&worker->hall->roles, hash_bytes(worker->hash_seed, spec->name, strlen(spec->name)), spec->name) == NULL)
			rows[n++] = (UserRow){spec->name, spec, NULL};
	}
	qsort(rows, n, sizeof(UserRow), compare_users);
	*count = n;
	return rows;
}

/* The sizes are text, right-aligned, and empty when not set. */
static void
text_size(Result *result, int size)
{
	if (size >= 0)
		result_format(result, "%9d", size);
	else
		result_text(result, "");
}

static void
user_row(const Show *show, const UserRow *row)
{
	const Settings *settings = show->worker->settings;
	const UserSpec *spec = row->spec;
	Result *r = show->result;

	result_row(r);
	result_text(r, row->name);
	text_size(r, spec != NULL ? spec->pool_size : -1);
	text_size(r, spec != NULL ? spec->reserve_pool_size : -1);
	result_text(r, spec != NULL ? show_pool_mode(spec->pool_mode) : NULL);
	result_number(r, positive_or(spec != NULL ? spec->max_user_connections : 0, settings->max_user_connections));
	result_number(r, row->role != NULL ? row->role->group.used : 0);
	result_number(r, positive_or(spec != NULL ? spec->max_user_client_connections : 0,
								 settings->max_user_client_connections));
	result_number(r, row->role != NULL ? row->role->clients : 0);
	result_row_end(r);
}

void
show_users(const Show *show)
{
	size_t count = 0;
	UserRow *rows = collect_users(show->worker, &count);

	result_columns(show->result, "ssssiiii",
				   "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
				   "max_user_client_connections current_client_connections");
	if (rows == NULL)
		show->result->failed = true;
	for (size_t i = 0; i < count; i++)
		user_row(show, &rows[i]);
	free(rows);
}

/* --- pools --- */

typedef struct SlotCounts
{
	int idle, used, active_cancel, being_canceled, tested;
} SlotCounts;

static SlotCounts
count_slots(const SessionPool *pool, usec_t now)
{
	SlotCounts counts = {0};

	list_each(node, &pool->policy.idle)
	{
		if (show_is_used(pool->hall->workers[0], CONTAINER_OF(node, const PoolSlot, node), now))
			counts.used++;
		else
			counts.idle++;
	}
	list_each(node, &pool->policy.active)
		counts.active_cancel += CONTAINER_OF(CONTAINER_OF(node, PoolSlot, node), const Server, slot)->cancels;
	list_each(node, &pool->policy.cleaning)
	{
		const Server *server = CONTAINER_OF(CONTAINER_OF(node, PoolSlot, node), const Server, slot);

		counts.active_cancel += server->cancels;
		if (server->cancels > 0)
			counts.being_canceled++;
		else
			counts.tested++;
	}
	return counts;
}

/* Server connections of replication clients: their pools have no rows of their own. */
static void
count_dedicated(const SessionPool *pool, int *active, int *opening)
{
	list_each(node, &pool->hall->dedicated)
	{
		const SessionPool *dedicated = CONTAINER_OF(node, const SessionPool, list_node);

		if (dedicated->dedicated->shared != pool)
			continue;
		*active += dedicated->policy.active.count;
		*opening += dedicated->policy.opening.count;
	}
}

static void
pool_row(const Show *show, const SessionPool *pool)
{
	const Pool *policy = &pool->policy;
	SlotCounts slots = count_slots(pool, show->now);
	const ListNode *first = list_first(&policy->waiters);
	usec_t maxwait = first != NULL ? show->now - CONTAINER_OF(first, const PoolWaiter, node)->since : 0;
	int cl_active = policy->clients - policy->waiters.count;
	int sv_active = policy->active.count;
	int sv_login = policy->opening.count;
	Result *r = show->result;

	count_dedicated(pool, &sv_active, &sv_login);
	result_row(r);
	result_text(r, pool->database->name);
	result_text(r, pool->role->name);
	result_number(r, cl_active > 0 ? cl_active : 0);
	result_number(r, policy->waiters.count);
	result_number(r, 0); /* who asks for a cancel is not kept waiting */
	result_number(r, 0);
	result_number(r, sv_active);
	result_number(r, slots.active_cancel);
	result_number(r, slots.being_canceled);
	result_number(r, slots.idle);
	result_number(r, slots.used);
	result_number(r, slots.tested);
	result_number(r, sv_login);
	result_number(r, maxwait / USEC_PER_SEC);
	result_number(r, maxwait % USEC_PER_SEC);
	result_text(r, show_pool_mode(pool->mode));
	result_text(r, show_load_balance(pool->database->spec));
	result_row_end(r);
}

static void
console_pool_row(const Show *show)
{
	Result *r = show->result;

	result_row(r);
	result_text(r, CONSOLE_NAME);
	result_text(r, CONSOLE_NAME);
	result_number(r, show_console_clients(show->worker));
	for (int i = 0; i < 12; i++)
		result_number(r, 0);
	result_text(r, "statement");
	result_text(r, NULL);
	result_row_end(r);
}

void
show_pools(const Show *show)
{
	size_t count;
	SessionPool **pools = show_sorted_pools(show, &count);
	size_t i = 0;

	result_columns(show->result, "ssiiiiiiiiiiiiiss",
				   "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
				   "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode "
				   "load_balance_hosts");
	for (; i < count && strcmp(pools[i]->database->name, CONSOLE_NAME) < 0; i++)
		pool_row(show, pools[i]);
	console_pool_row(show);
	for (; i < count; i++)
		pool_row(show, pools[i]);
	free(pools);
}
