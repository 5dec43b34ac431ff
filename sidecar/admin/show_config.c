/*
 * show_config.c: SHOW commands about the process: help, version, configuration, lists, memory, DNS.
 */
#include "admin/show.h"

#include <limits.h>

#include "config/config.h"

void
show_help(const Show *show)
{
	result_notice(show->result, "Console usage", show->help);
}

/* Tools look for PgBouncer's name and a version whose columns they know. */
void
show_version(const Show *show)
{
	result_columns(show->result, "s", "version");
	result_row(show->result);
	result_format(show->result, "PgBouncer 1.25.2 (pgweir %s)", show->version);
	result_row_end(show->result);
}

static void
state_row(Result *result, const char *key, bool value)
{
	result_row(result);
	result_text(result, key);
	result_text(result, value ? "yes" : "no");
	result_row_end(result);
}

void
show_state(const Show *show)
{
	const Worker *worker = show->worker;
	bool paused = worker->hall->paused || worker->hall->phase == WORKER_DRAIN_SERVERS;

	result_columns(show->result, "ss", "key value");
	state_row(show->result, "active", !paused && !worker->hall->suspended);
	state_row(show->result, "paused", paused);
	state_row(show->result, "suspended", worker->hall->suspended);
}

void
show_config(const Show *show)
{
	ConfigShown shown;

	result_columns(show->result, "ssss", "key value default changeable");
	for (int i = 0; config_show(show->config, i, &shown); i++)
	{
		result_row(show->result);
		result_text(show->result, shown.key);
		result_text(show->result, shown.value);
		result_text(show->result, shown.initial);
		result_text(show->result, shown.changeable ? "yes" : "no");
		result_row_end(show->result);
	}
}

/* --- counts and memory --- */

static void
count_row(Result *result, const char *list, int64_t items)
{
	result_row(result);
	result_text(result, list);
	result_number(result, items);
	result_row_end(result);
}

/* Each worker asks for itself; a name that several know counts once. */
static ResolverCounts
dns_counts(const Hall *hall)
{
	ResolverCounts sums = {0};

	for (int i = 0; i < hall->worker_count; i++)
	{
		ResolverCounts counts = resolver_counts(hall->workers[i]->resolver);

		sums.names = counts.names > sums.names ? counts.names : sums.names;
		sums.zones = counts.zones > sums.zones ? counts.zones : sums.zones;
		sums.asking += counts.asking;
		sums.queries += counts.queries;
	}
	return sums;
}

void
show_lists(const Show *show)
{
	const Worker *worker = show->worker;
	const Settings *settings = worker->settings;
	ResolverCounts dns = dns_counts(worker->hall);
	int automatic = 0;
	int peers = 0;
	int peer_pools = 0;

	for (MapNode *node = map_next(&worker->hall->databases, NULL); node != NULL; node = map_next(&worker->hall->databases, node))
	{
		const Database *database = CONTAINER_OF(node, const Database, node);

		automatic += database->spec != NULL && database->spec->from_template;
	}
	result_columns(show->result, "si", "list items");
	count_row(show->result, "databases", settings->database_count + automatic + 1);
	count_row(show->result, "users", (int64_t) settings->users.count);
	for (const PeerSpec *peer = settings->peers; peer != NULL; peer = peer->next)
	{
		peers++;
		peer_pools += peer->id != settings->peer_id;
	}
	count_row(show->result, "peers", peers);
	count_row(show->result, "pools", worker->hall->pool_list.count + 1);
	count_row(show->result, "peer_pools", peer_pools);
	count_row(show->result, "free_clients", 0); /* nothing is kept for later clients and servers */
	count_row(show->result, "used_clients", hall_count(worker->hall, WALK_CLIENTS));
	count_row(show->result, "login_clients", hall_count(worker->hall, WALK_LOGINS));
	count_row(show->result, "free_servers", 0);
	count_row(show->result, "used_servers", hall_count(worker->hall, WALK_SERVERS));
	count_row(show->result, "dns_names", dns.names);
	count_row(show->result, "dns_zones", dns.zones);
	count_row(show->result, "dns_queries", dns.queries);
	count_row(show->result, "dns_pending", dns.asking);
}

/* A row of SHOW MEM: `used` objects that take `bytes` together.  The columns are int4. */
static void
memory_row(Result *result, const char *name, size_t used, size_t bytes)
{
	size_t size = used > 0 ? bytes / used : 0;

	result_row(result);
	result_text(result, name);
	result_unsigned(result, size < INT_MAX ? size : INT_MAX);
	result_unsigned(result, used < INT_MAX ? used : INT_MAX);
	result_number(result, 0);
	result_unsigned(result, bytes < INT_MAX ? bytes : INT_MAX);
	result_row_end(result);
}

static void
add_buffer(const Buf *buf, size_t *count, size_t *bytes)
{
	*count += buf->cap > 0;
	*bytes += buf->cap;
}

/* Bytes that wait in the connections of servers; an idle connection has no buffer. */
static void
server_buffers(Hall *hall, size_t *count, size_t *bytes)
{
	HallWalk walk;
	const ListNode *node;

	hall_walk_begin(hall, &walk, WALK_SERVERS);
	while ((node = hall_walk_next(&walk)) != NULL)
	{
		const Server *server = CONTAINER_OF(node, const Server, node);

		add_buffer(&server->conn._in, count, bytes);
		add_buffer(&server->conn._out, count, bytes);
		if (server->client != NULL)
		{
			add_buffer(&server->client->conn._in, count, bytes);
			add_buffer(&server->client->conn._out, count, bytes);
		}
	}
	hall_walk_end(&walk);
}

static void
parameter_sets(const Worker *worker, size_t *count, size_t *bytes)
{
	const Map *sets = &worker->params->sets;

	for (MapNode *node = map_next(sets, NULL); node != NULL; node = map_next(sets, node))
	{
		*count += 1;
		*bytes += sizeof(ParamSet) + CONTAINER_OF(node, const ParamSet, node)->size;
	}
}

void
show_mem(const Show *show)
{
	const Worker *worker = show->worker;
	size_t clients = (size_t) (hall_count(worker->hall, WALK_CLIENTS) + hall_count(worker->hall, WALK_LOGINS));
	size_t servers = (size_t) hall_count(worker->hall, WALK_SERVERS);
	size_t buffers = 0;
	size_t buffer_bytes = 0;
	size_t sets = 0;
	size_t set_bytes = 0;
	StatementSums sums = hall_statement_sums(worker->hall);
	Result *r = show->result;

	server_buffers(worker->hall, &buffers, &buffer_bytes);
	parameter_sets(worker, &sets, &set_bytes);
	result_columns(r, "siiii", "name size used free memtotal");
	memory_row(r, "user_cache", worker->hall->roles.count, worker->hall->roles.count * sizeof(Role));
	memory_row(r, "credentials_cache", worker->settings->users.count, worker->settings->users.count * sizeof(UserSpec));
	memory_row(r, "db_cache", worker->hall->databases.count, worker->hall->databases.count * sizeof(Database));
	memory_row(r, "peer_cache", 0, 0);
	memory_row(r, "peer_pool_cache", 0, 0);
	memory_row(r, "pool_cache", (size_t) worker->hall->pool_list.count, (size_t) worker->hall->pool_list.count * sizeof(SessionPool));
	memory_row(r, "outstanding_request_cache", 0, 0);
	memory_row(r, "server_cache", servers, servers * sizeof(Server));
	memory_row(r, "client_cache", clients, clients * sizeof(Client));
	memory_row(r, "iobuf_cache", buffers, buffer_bytes);
	memory_row(r, "var_list_cache", sets, set_bytes);
	memory_row(r, "server_prepared_statement_cache", sums.count, sums.bytes);
}

/* --- DNS --- */

/* Has a resolver that was walked before told of the name? */
typedef struct DnsSeen
{
	const char *host;
	bool seen;
} DnsSeen;

static void
look_for_host(void *arg, const char *host, usec_t ttl_us, const NetAddress *addresses, int count)
{
	DnsSeen *seen = arg;

	(void) ttl_us;
	(void) addresses;
	(void) count;
	seen->seen |= strcmp(host, seen->host) == 0;
}

typedef struct DnsWalk
{
	Result *result;
	const Hall *hall;
	int worker; /* whose resolver is being walked */
} DnsWalk;

static bool
was_shown(const DnsWalk *walk, const char *host)
{
	DnsSeen seen = {.host = host};

	for (int i = 0; i < walk->worker; i++)
		resolver_walk(walk->hall->workers[i]->resolver, look_for_host, &seen);
	return seen.seen;
}

static void
dns_row(void *arg, const char *host, usec_t ttl_us, const NetAddress *addresses, int count)
{
	const DnsWalk *walk = arg;
	Result *result = walk->result;
	char list[RESOLVER_MAX_ADDRESSES * 64] = "";
	size_t len = 0;

	if (was_shown(walk, host))
		return;
	for (int i = 0; i < count && len < sizeof(list); i++)
	{
		NetPeer peer;
		char ip[64];

		net_peer_from(&addresses[i].addr, &peer);
		len += (size_t) snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? "," : "", net_peer_ip(&peer, ip, sizeof(ip)));
	}
	result_row(result);
	result_text(result, host);
	result_number(result, ttl_us / USEC_PER_SEC);
	result_text(result, list);
	result_row_end(result);
}

void
show_dns_hosts(const Show *show)
{
	result_columns(show->result, "sqs", "hostname ttl addrs");
	for (int i = 0; i < show->worker->hall->worker_count; i++)
		resolver_walk(show->worker->hall->workers[i]->resolver, dns_row,
					  &(DnsWalk){.result = show->result, .hall = show->worker->hall, .worker = i});
}

static const Resolver *
best_resolver(const Hall *hall)
{
	const Resolver *best = hall->workers[0]->resolver;

	for (int i = 1; i < hall->worker_count; i++)
		if (resolver_counts(hall->workers[i]->resolver).zones > resolver_counts(best).zones)
			best = hall->workers[i]->resolver;
	return best;
}

static void
zone_row(void *arg, const char *zone, uint32_t serial, int count)
{
	Result *result = arg;

	result_row(result);
	result_text(result, zone);
	result_unsigned(result, serial);
	result_number(result, count);
	result_row_end(result);
}

void
show_dns_zones(const Show *show)
{
	result_columns(show->result, "sqi", "zonename serial count");
	/* each worker watches the zones of the names it has asked for: the first that knows most tells */
	resolver_walk_zones(best_resolver(show->worker->hall), zone_row, show->result);
}

void
show_peers(const Show *show)
{
	const Settings *settings = show->worker->settings;

	result_columns(show->result, "isii", "peer_id host port pool_size");
	for (const PeerSpec *peer = settings->peers; peer != NULL; peer = peer->next)
	{
		result_row(show->result);
		result_number(show->result, peer->id);
		result_text(show->result, peer->host);
		result_number(show->result, peer->port);
		result_number(show->result, peer->pool_size > 0 ? peer->pool_size : settings->default_pool_size);
		result_row_end(show->result);
	}
}

void
show_peer_pools(const Show *show)
{
	const Worker *worker = show->worker;

	result_columns(show->result, "iiiii", "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login");
	for (const PeerSpec *peer = worker->settings->peers; peer != NULL; peer = peer->next)
	{
		PeerCounts counts = peer_counts(worker, peer->id);

		if (peer->id == worker->settings->peer_id)
			continue;
		result_row(show->result);
		result_number(show->result, peer->id);
		result_number(show->result, counts.active);
		result_number(show->result, counts.waiting);
		result_number(show->result, counts.active);
		result_number(show->result, 0);
		result_row_end(show->result);
	}
}
