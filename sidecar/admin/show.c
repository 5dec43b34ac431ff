/*
 * show.c: the table of SHOW commands, and what their handlers share.
 */
#include "admin/show.h"

#include <stdlib.h>
#include <strings.h>

#include "config/config.h"

static const ShowRow rows[] = {
	{.name = "HELP", .all = show_help},
	{.name = "CONFIG", .all = show_config},
	{.name = "DATABASES", .all = show_databases},
	{.name = "POOLS", .all = show_pools},
	{.name = "CLIENTS", .piece = show_clients},
	{.name = "SERVERS", .piece = show_servers},
	{.name = "USERS", .all = show_users},
	{.name = "VERSION", .all = show_version},
	{.name = "PEERS", .all = show_peers},
	{.name = "PEER_POOLS", .all = show_peer_pools},
	{.name = "FDS", .all = show_fds, .admin_only = true},
	{.name = "SOCKETS", .piece = show_sockets},
	{.name = "ACTIVE_SOCKETS", .piece = show_active_sockets},
	{.name = "LISTS", .all = show_lists},
	{.name = "MEM", .all = show_mem},
	{.name = "STATE", .all = show_state},
	{.name = "DNS_HOSTS", .all = show_dns_hosts},
	{.name = "DNS_ZONES", .all = show_dns_zones},
	{.name = "STATS", .all = show_stats},
	{.name = "STATS_TOTALS", .all = show_stats_totals},
	{.name = "STATS_AVERAGES", .all = show_stats_averages},
	{.name = "TOTALS", .all = show_totals},
	{.name = "DEADLINES", .all = show_deadlines},
	{.name = "ADMISSION", .all = show_admission},
	{.name = "CLASSES", .all = show_classes},
	{.name = "LIMITS", .all = show_limits},
	{.name = "STATEMENTS", .all = show_statements},
	{.name = "WORKERS", .all = show_workers},
	/* statements of others are among the evidence */
	{.name = "PRESSURE", .sql = "SELECT * FROM pgweir.pool_pressure LIMIT 1000", .admin_only = true},
	{.name = "DIAGNOSIS", .sql = "SELECT * FROM pgweir.diagnosis", .admin_only = true},
	{.name = NULL},
};

const ShowRow *
show_find(const char *name)
{
	for (const ShowRow *row = rows; row->name != NULL; row++)
		if (strcasecmp(row->name, name) == 0)
			return row;
	return NULL;
}

const char *
show_fixed_value(const char *name)
{
	static const char *const fixed[][2] = {
		{"client_encoding", "UTF-8"},
		{"datestyle", "ISO"},
		{"default_transaction_isolation", "read committed"},
		{"standard_conforming_strings", "on"},
		{"timezone", "GMT"},
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcasecmp(fixed[i][0], name) == 0)
			return fixed[i][1];
	return NULL;
}

/* --- helpers --- */

static int
compare_pools(const void *a, const void *b)
{
	const SessionPool *left = *(SessionPool *const *) a;
	const SessionPool *right = *(SessionPool *const *) b;
	int by_database = strcmp(left->database->name, right->database->name);

	return by_database != 0 ? by_database : strcmp(left->role->name, right->role->name);
}

SessionPool **
show_sorted_pools(const Show *show, size_t *count)
{
	const List *list = &show->worker->hall->pool_list;
	SessionPool **pools;
	size_t n = 0;

	*count = 0;
	if (list_empty(list))
		return NULL;
	pools = calloc((size_t) list->count, sizeof(SessionPool *));
	if (pools == NULL)
	{
		show->result->failed = true;
		return NULL;
	}
	list_each(node, list)
		pools[n++] = CONTAINER_OF(node, SessionPool, list_node);
	qsort(pools, n, sizeof(SessionPool *), compare_pools);
	*count = n;
	return pools;
}

/* Everybody logged in belongs to a pool or to the console; pools also count those about to be welcomed. */
int
show_console_clients(const Worker *worker)
{
	Hall *hall = worker->hall;
	int count = hall_count(hall, WALK_CLIENTS);
	HallWalk walk;
	const ListNode *item;

	list_each(node, &worker->hall->pool_list)
		count -= CONTAINER_OF(node, const SessionPool, list_node)->policy.clients;
	hall_walk_begin(hall, &walk, WALK_LOGINS);
	while ((item = hall_walk_next(&walk)) != NULL)
		count += CONTAINER_OF(item, const Client, node)->state == CLIENT_WELCOME;
	hall_walk_end(&walk);
	return count;
}

const char *
show_pool_mode(PoolMode mode)
{
	switch (mode)
	{
		case POOL_MODE_SESSION: return "session";
		case POOL_MODE_TRANSACTION: return "transaction";
		case POOL_MODE_STATEMENT: return "statement";
		case POOL_MODE_INHERIT: return NULL;
	}
	return NULL;
}

const char *
show_load_balance(const DatabaseSpec *spec)
{
	if (spec == NULL || spec->host == NULL || strchr(spec->host, ',') == NULL)
		return NULL;
	return spec->load_balance_disabled ? "disable" : "round-robin";
}

bool
show_is_used(const Worker *worker, const PoolSlot *slot, usec_t now)
{
	const Settings *settings = worker->settings;

	return settings->server_check_query[0] != '\0' && now - slot->state_since > settings->server_check_delay_us;
}

int
show_listen_port(const Show *show)
{
	return show->config->process.listen_port;
}
