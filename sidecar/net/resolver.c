/*
 * resolver.c: the cache of names, the queries that wait for them, and c-ares on our loop.
 *
 * A Name is one host name: its last answer and the queries that wait for the next one.  A query waits either
 * on its Name or, once the answer is there, on the resolver's `answered` list, from which a timer delivers
 * it: so no callback ever runs inside resolver_ask() or inside c-ares.  c-ares tells which sockets to watch
 * (ResolverSocket) and how long to wait (`timeout`).
 */
#include "net/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "net/zones.h"

/* Answers are kept at least so long: a name with a TTL of zero would be asked at each connect. */
#define MIN_TTL_US USEC_PER_SEC
/* How old an answer may be given when DNS does not answer at all. */
#define STALE_LIMIT_US (3600 * USEC_PER_SEC)
/* Beyond so many names the expired ones are thrown away. */
#define TIDY_NAMES 256

typedef struct ResolverSocket
{
	NetWatch watch;
	Resolver *resolver; /* borrowed */
	ListNode node;      /* on the resolver's sockets */
} ResolverSocket;

typedef struct Name
{
	MapNode node;
	Resolver *resolver; /* borrowed */
	bool asking;        /* c-ares is at it: expires is meaningless */
	bool changed;       /* its addresses are others than before, and that has not been told yet */
	usec_t expires;     /* asked again after this */
	usec_t answered_at; /* of the addresses */
	int count;
	NetAddress addresses[RESOLVER_MAX_ADDRESSES]; /* port 0 */
	const char *error;                            /* static text; meaningful while count == 0 */
	List waiting;                                 /* ResolverQuery */
	char host[];
} Name;

struct ResolverQuery
{
	ListNode node;
	List *list; /* the list it is on: its name's `waiting` or the resolver's `answered` */
	Name *name; /* borrowed; NULL for a numeric address */
	NetAddress numeric;
	int port;
	ResolverDone done;
	void *arg;
};

struct Resolver
{
	NetLoop *loop; /* borrowed */
	ResolverOptions options;
	ares_channel channel;
	char *servers; /* owned; NULL: those of resolv.conf */
	bool reinit;   /* read resolv.conf again when nothing is being asked */
	bool closing;  /* resolver_free: answers are of no interest */
	int asking;    /* names being asked */
	uint64_t seed; /* for the map */
	Map names;     /* Name */
	List sockets;  /* ResolverSocket */
	List answered; /* ResolverQuery: to be delivered */
	Timer deliver; /* armed while `answered` is not empty */
	Timer timeout; /* c-ares wants to look at its own timeouts */
	Zones zones;
	Timer check;   /* the next look at the zones */
};

/* --- c-ares on the loop --- */

/* After everything that c-ares did: when does it want to be called again? */
static void
update_timeout(Resolver *resolver)
{
	struct timeval buffer;
	struct timeval *wait = ares_timeout(resolver->channel, NULL, &buffer);
	usec_t wait_us;

	if (wait == NULL)
	{
		timer_disarm(net_timers(resolver->loop), &resolver->timeout);
		return;
	}
	wait_us = (usec_t) wait->tv_sec * USEC_PER_SEC + wait->tv_usec;
	/* c-ares counts milliseconds: called a little early it would do nothing and ask for a wait of nothing */
	timer_arm(net_timers(resolver->loop), &resolver->timeout, clock_now() + wait_us + USEC_PER_MSEC);
}

static void
on_timeout(Timer *timer, usec_t now)
{
	Resolver *resolver = CONTAINER_OF(timer, Resolver, timeout);

	(void) now;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	update_timeout(resolver);
}

/* The socket may be closed, and the watch freed, by the call. */
static void
on_socket(NetWatch *watch, bool readable, bool writable)
{
	Resolver *resolver = CONTAINER_OF(watch, ResolverSocket, watch)->resolver;
	int fd = watch->fd;

	ares_process_fd(resolver->channel, readable ? fd : ARES_SOCKET_BAD, writable ? fd : ARES_SOCKET_BAD);
	update_timeout(resolver);
}

static ResolverSocket *
find_socket(const Resolver *resolver, int fd)
{
	list_each (node, &resolver->sockets)
	{
		ResolverSocket *sock = CONTAINER_OF(node, ResolverSocket, node);

		if (sock->watch.fd == fd)
			return sock;
	}
	return NULL;
}

static void
forget_socket(ResolverSocket *sock)
{
	net_unwatch(&sock->watch);
	list_remove(&sock->resolver->sockets, &sock->node);
	free(sock);
}

/* c-ares opened, closes, or wants other events of a socket.  One that cannot be watched runs into its
 * timeout. */
static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	Resolver *resolver = arg;
	ResolverSocket *sock = find_socket(resolver, fd);

	if (!readable && !writable)
	{
		if (sock != NULL)
			forget_socket(sock);
		return;
	}
	if (sock != NULL)
	{
		(void) !net_watch_change(&sock->watch, readable, writable);
		return;
	}
	if ((sock = calloc(1, sizeof(ResolverSocket))) == NULL)
		return;
	sock->resolver = resolver;
	sock->watch.on_ready = on_socket;
	list_append(&resolver->sockets, &sock->node);
	(void) !net_watch(resolver->loop, &sock->watch, fd, readable, writable);
}

/*
 * The servers of a file like resolv.conf, separated by commas, if one of them has a port: "nameserver 127.0.0.1:5353", "nameserver [::1]:5353".  c-ares reads
 * the other lines; of a port it knows nothing.
 */
static bool
servers_with_ports(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[256];
	char server[128];
	size_t len = 0;
	bool any = false;

	if (file == NULL)
		return false;
	out[0] = '\0';
	while (fgets(line, sizeof(line), file) != NULL)
	{
		if (sscanf(line, " nameserver %127s", server) != 1 || len + strlen(server) + 2 > size)
			continue;
		len += (size_t) snprintf(out + len, size - len, "%s%s", len > 0 ? "," : "", server);
		any |= strstr(server, "]:") != NULL || (strchr(server, ':') != NULL && strchr(server, ':') == strrchr(server, ':'));
	}
	fclose(file);
	return any;
}

static bool
open_channel(Resolver *resolver, ares_channel *channel)
{
	const char *file = resolver->options.resolv_conf;
	bool own_file = file != NULL && file[0] != '\0';
	char listed[512];
	struct ares_options options = {
		.sock_state_cb = on_socket_state, .sock_state_cb_data = resolver, .resolvconf_path = own_file ? (char *) file : NULL};

	if (ares_init_options(channel, &options, ARES_OPT_SOCK_STATE_CB | (own_file ? ARES_OPT_RESOLVCONF : 0)) != ARES_SUCCESS)
		return false;
	if (own_file && servers_with_ports(file, listed, sizeof(listed)))
		(void) ares_set_servers_ports_csv(*channel, listed); /* malformed: those c-ares has found */
	if (resolver->servers != NULL && ares_set_servers_ports_csv(*channel, resolver->servers) != ARES_SUCCESS)
	{
		ares_destroy(*channel);
		return false;
	}
	return true;
}

/* Read the system's settings again; those in use stay when that fails. */
static void
reopen_channel(Resolver *resolver)
{
	ares_channel fresh;

	resolver->reinit = false;
	if (!open_channel(resolver, &fresh))
		return;
	ares_destroy(resolver->channel);
	resolver->channel = fresh;
	update_timeout(resolver);
}

/* --- names --- */

static bool
name_equal(const MapNode *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, Name, node)->host, key) == 0;
}

static void
free_name(Name *name)
{
	map_remove(&name->resolver->names, &name->node);
	zones_leave(&name->resolver->zones, name->host);
	free(name);
}

/* Is anybody still to be told about this name?  Queries on `answered` point at it too. */
static bool
name_in_use(const Resolver *resolver, const Name *name)
{
	if (name->asking || name->changed || !list_empty(&name->waiting))
		return true;
	list_each (node, &resolver->answered)
		if (CONTAINER_OF(node, ResolverQuery, node)->name == name)
			return true;
	return false;
}

static void
tidy_names(Resolver *resolver)
{
	usec_t now = net_now(resolver->loop);

	for (MapNode *node = map_next(&resolver->names, NULL), *next; node != NULL; node = next)
	{
		Name *name = CONTAINER_OF(node, Name, node);

		next = map_next(&resolver->names, node);
		if (name->expires <= now && !name_in_use(resolver, name))
			free_name(name);
	}
}

static Name *
get_name(Resolver *resolver, const char *host)
{
	size_t size = strlen(host) + 1;
	uint64_t hash = hash_bytes(resolver->seed, host, size);
	MapNode *node = map_find(&resolver->names, hash, host);
	Name *name;

	if (node != NULL)
		return CONTAINER_OF(node, Name, node);
	if (resolver->names.count >= TIDY_NAMES)
		tidy_names(resolver);
	if ((name = calloc(1, sizeof(Name) + size)) == NULL)
		return NULL;
	name->resolver = resolver;
	list_init(&name->waiting);
	memcpy(name->host, host, size);
	map_insert(&resolver->names, &name->node, hash);
	zones_join(&resolver->zones, host);
	return name;
}

/* --- answers --- */

static void
put_answered(Resolver *resolver, ResolverQuery *query)
{
	query->list = &resolver->answered;
	list_append(query->list, &query->node);
	if (!resolver->deliver.armed)
		timer_arm(net_timers(resolver->loop), &resolver->deliver, net_now(resolver->loop));
}

static void
set_port(NetAddress *address, int port)
{
	/* the ports of both families lie at the same place, but that is nobody's promise */
	if (address->addr.ss_family == AF_INET)
		((struct sockaddr_in *) &address->addr)->sin_port = htons((uint16_t) port);
	else if (address->addr.ss_family == AF_INET6)
		((struct sockaddr_in6 *) &address->addr)->sin6_port = htons((uint16_t) port);
}

static void
deliver_one(ResolverQuery *query)
{
	NetAddress addresses[RESOLVER_MAX_ADDRESSES];
	const Name *name = query->name;
	const char *error = name != NULL ? name->error : NULL;
	int count = name != NULL ? name->count : 1;
	ResolverDone done = query->done;
	void *arg = query->arg;

	if (name == NULL)
		addresses[0] = query->numeric;
	for (int i = 0; name != NULL && i < count; i++)
	{
		addresses[i] = name->addresses[i];
		set_port(&addresses[i], query->port);
	}
	list_remove(query->list, &query->node);
	free(query);
	done(arg, addresses, count, count == 0 ? error : NULL);
}

/* Callbacks may ask, so the walk begins anew after each. */
static void
tell_changes(Resolver *resolver)
{
	MapNode *node = map_next(&resolver->names, NULL);

	while (node != NULL)
	{
		Name *name = CONTAINER_OF(node, Name, node);
		NetAddress addresses[RESOLVER_MAX_ADDRESSES];

		node = map_next(&resolver->names, node);
		if (!name->changed)
			continue;
		name->changed = false;
		memcpy(addresses, name->addresses, sizeof(addresses));
		if (resolver->options.changed != NULL)
			resolver->options.changed(resolver->options.arg, name->host, addresses, name->count);
		node = map_next(&resolver->names, NULL);
	}
}

/* Callbacks may ask and cancel: only those that are there now are delivered. */
static void
on_deliver(Timer *timer, usec_t now)
{
	Resolver *resolver = CONTAINER_OF(timer, Resolver, deliver);
	int left = resolver->answered.count;

	for (; left > 0 && !list_empty(&resolver->answered); left--)
		deliver_one(CONTAINER_OF(list_first(&resolver->answered), ResolverQuery, node));
	tell_changes(resolver);
	if (!list_empty(&resolver->answered))
		timer_arm(net_timers(resolver->loop), &resolver->deliver, now);
	if (resolver->reinit && resolver->asking == 0)
		reopen_channel(resolver);
}

static usec_t
clamp_ttl(const Resolver *resolver, usec_t ttl_us)
{
	if (ttl_us > resolver->options.max_ttl_us)
		ttl_us = resolver->options.max_ttl_us;
	return ttl_us < MIN_TTL_US ? MIN_TTL_US : ttl_us;
}

/* Has the name lost an address it had? */
static bool
lost_address(const Name *name, const NetAddress *before, int count)
{
	for (int i = 0; i < count; i++)
	{
		bool found = false;

		for (int j = 0; j < name->count && !found; j++)
			found = net_address_same_host(&before[i], &name->addresses[j]);
		if (!found)
			return true;
	}
	return false;
}

static void
note_change(Name *name)
{
	Resolver *resolver = name->resolver;

	name->changed = true;
	if (!resolver->deliver.armed)
		timer_arm(net_timers(resolver->loop), &resolver->deliver, net_now(resolver->loop));
}

/* Take over the addresses; the smallest TTL counts for all. */
static void
take_addresses(Name *name, const struct ares_addrinfo *found)
{
	usec_t ttl_us = name->resolver->options.max_ttl_us;
	NetAddress before[RESOLVER_MAX_ADDRESSES];
	int count_before = name->count;

	memcpy(before, name->addresses, sizeof(before));
	name->count = 0;
	for (const struct ares_addrinfo_node *node = found->nodes; node != NULL; node = node->ai_next)
	{
		NetAddress *to = &name->addresses[name->count];

		if (name->count == RESOLVER_MAX_ADDRESSES || node->ai_addrlen > sizeof(to->addr))
			continue;
		*to = (NetAddress){.len = node->ai_addrlen};
		memcpy(&to->addr, node->ai_addr, node->ai_addrlen);
		name->count++;
		if ((usec_t) node->ai_ttl * USEC_PER_SEC < ttl_us)
			ttl_us = (usec_t) node->ai_ttl * USEC_PER_SEC;
	}
	name->error = "no address found";
	name->answered_at = net_now(name->resolver->loop);
	name->expires = name->answered_at + clamp_ttl(name->resolver, ttl_us);
	if (name->count > 0 && lost_address(name, before, count_before))
		note_change(name);
}

/* Does this failure say something about the name, rather than about DNS? */
static bool
name_is_unknown(int status)
{
	return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME;
}

static void
take_failure(Name *name, int status)
{
	usec_t now = net_now(name->resolver->loop);
	bool stale = name->count > 0 && now - name->answered_at < STALE_LIMIT_US;

	if (name_is_unknown(status) || !stale)
	{
		name->count = 0;
		name->error = ares_strerror(status);
	}
	name->expires = now + (name_is_unknown(status) ? name->resolver->options.nxdomain_ttl_us : MIN_TTL_US);
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	Name *name = arg;
	Resolver *resolver = name->resolver;
	ListNode *node;

	(void) timeouts;
	name->asking = false;
	resolver->asking--;
	if (!resolver->closing)
	{
		if (status == ARES_SUCCESS)
			take_addresses(name, found);
		else
			take_failure(name, status);
		while ((node = list_pop(&name->waiting)) != NULL)
			put_answered(resolver, CONTAINER_OF(node, ResolverQuery, node));
	}
	ares_freeaddrinfo(found);
}

static void
start_asking(Name *name)
{
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	Resolver *resolver = name->resolver;

	name->asking = true;
	resolver->asking++;
	/* may answer before it returns (hosts file) */
	ares_getaddrinfo(resolver->channel, name->host, NULL, &hints, on_answer, name);
	update_timeout(resolver);
}

/* --- zones --- */

/* The serial number of a zone has changed: ask for its names. */
static void
on_zone_changed(void *arg, const char *zone)
{
	Resolver *resolver = arg;

	for (MapNode *node = map_next(&resolver->names, NULL); node != NULL; node = map_next(&resolver->names, node))
	{
		Name *name = CONTAINER_OF(node, Name, node);
		const char *dot = strchr(name->host, '.');

		if (dot != NULL && strcmp(dot + 1, zone) == 0 && !name->asking && !resolver->closing)
			start_asking(name);
	}
}

static void
on_check(Timer *timer, usec_t now)
{
	Resolver *resolver = CONTAINER_OF(timer, Resolver, check);

	zones_ask(&resolver->zones, resolver->channel);
	update_timeout(resolver);
	timer_arm(net_timers(resolver->loop), timer, deadline_after(now, resolver->options.zone_check_us));
}

static void
start_checking(Resolver *resolver)
{
	usec_t period_us = resolver->options.zone_check_us;

	if (period_us <= 0)
		timer_disarm(net_timers(resolver->loop), &resolver->check);
	else if (!resolver->check.armed)
		timer_arm(net_timers(resolver->loop), &resolver->check, net_now(resolver->loop));
}

void
resolver_walk_zones(const Resolver *resolver, ResolverZoneVisit visit, void *arg)
{
	zones_walk(&resolver->zones, visit, arg);
}

/* --- asking --- */

ResolverQuery *
resolver_ask(Resolver *resolver, const char *host, int port, ResolverDone done, void *arg)
{
	ResolverQuery *query = calloc(1, sizeof(ResolverQuery));

	if (query == NULL)
		return NULL;
	query->port = port;
	query->done = done;
	query->arg = arg;
	if (net_address_parse(host, port, &query->numeric))
	{
		put_answered(resolver, query);
		return query;
	}
	if ((query->name = get_name(resolver, host)) == NULL)
	{
		free(query);
		return NULL;
	}
	if (!query->name->asking && net_now(resolver->loop) < query->name->expires)
	{
		put_answered(resolver, query);
		return query;
	}
	query->list = &query->name->waiting;
	list_append(query->list, &query->node);
	if (!query->name->asking)
		start_asking(query->name);
	return query;
}

void
resolver_cancel(ResolverQuery *query)
{
	if (query == NULL)
		return;
	list_remove(query->list, &query->node);
	free(query);
}

/* --- life --- */

Resolver *
resolver_create(NetLoop *loop, const ResolverOptions *options)
{
	Resolver *resolver = calloc(1, sizeof(Resolver));

	if (resolver == NULL)
		return NULL;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
	{
		free(resolver);
		return NULL;
	}
	resolver->loop = loop;
	resolver->options = *options;
	resolver->seed = (uint64_t) clock_now();
	map_init(&resolver->names, name_equal);
	list_init(&resolver->sockets);
	list_init(&resolver->answered);
	resolver->deliver.fire = on_deliver;
	resolver->timeout.fire = on_timeout;
	resolver->check.fire = on_check;
	zones_init(&resolver->zones, resolver->seed, on_zone_changed, resolver);
	if (open_channel(resolver, &resolver->channel))
	{
		start_checking(resolver);
		return resolver;
	}
	ares_library_cleanup();
	free(resolver);
	return NULL;
}

static void
free_queries(List *list)
{
	ListNode *node;

	while ((node = list_pop(list)) != NULL)
		free(CONTAINER_OF(node, ResolverQuery, node));
}

void
resolver_free(Resolver *resolver)
{
	MapNode *node;

	if (resolver == NULL)
		return;
	resolver->closing = true;
	ares_destroy(resolver->channel);
	while (!list_empty(&resolver->sockets))
		forget_socket(CONTAINER_OF(list_first(&resolver->sockets), ResolverSocket, node));
	timer_disarm(net_timers(resolver->loop), &resolver->deliver);
	timer_disarm(net_timers(resolver->loop), &resolver->timeout);
	timer_disarm(net_timers(resolver->loop), &resolver->check);
	free_queries(&resolver->answered);
	while ((node = map_next(&resolver->names, NULL)) != NULL)
	{
		free_queries(&CONTAINER_OF(node, Name, node)->waiting);
		free_name(CONTAINER_OF(node, Name, node));
	}
	map_free(&resolver->names);
	zones_free(&resolver->zones);
	free(resolver->servers);
	free(resolver);
	ares_library_cleanup();
}

void
resolver_set_options(Resolver *resolver, const ResolverOptions *options)
{
	resolver->options = *options;
	start_checking(resolver);
	resolver->reinit = true;
	if (resolver->asking == 0)
		reopen_channel(resolver);
}

bool
resolver_use_servers(Resolver *resolver, const char *servers)
{
	char *copy = strdup(servers);

	if (copy == NULL || ares_set_servers_ports_csv(resolver->channel, servers) != ARES_SUCCESS)
	{
		free(copy);
		return false;
	}
	free(resolver->servers);
	resolver->servers = copy;
	return true;
}

/* --- for the console --- */

void
resolver_walk(const Resolver *resolver, ResolverVisit visit, void *arg)
{
	usec_t now = net_now(resolver->loop);

	for (MapNode *node = map_next(&resolver->names, NULL); node != NULL;
		 node = map_next(&resolver->names, node))
	{
		const Name *name = CONTAINER_OF(node, Name, node);
		usec_t left = name->asking || name->expires < now ? 0 : name->expires - now;

		visit(arg, name->host, left, name->addresses, name->count);
	}
}

ResolverCounts
resolver_counts(const Resolver *resolver)
{
	ResolverCounts counts = {.names = (int) resolver->names.count,
							 .zones = zones_count(&resolver->zones),
							 .asking = resolver->asking,
							 .queries = resolver->answered.count};

	for (MapNode *node = map_next(&resolver->names, NULL); node != NULL;
		 node = map_next(&resolver->names, node))
		counts.queries += CONTAINER_OF(node, Name, node)->waiting.count;
	return counts;
}
