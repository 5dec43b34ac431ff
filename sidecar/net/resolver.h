/*
 * resolver.h: host names to addresses without blocking the loop, through c-ares, with a cache.
 *
 * Names are looked up as the system does (hosts file, then DNS with the servers of resolv.conf, search
 * domains).  An answer is kept for as long as DNS says, at least a second, at most max_ttl_us; that there is no
 * such name for nxdomain_ttl_us.  When DNS cannot be asked (no answer, server failure), the addresses of the
 * last answer are given again, for up to an hour: an outage of DNS alone must not become an outage of the
 * database.
 *
 * With zone_check_us the serial numbers of the names' zones (the name without its first label) are asked for in turn, and all names of
 * a zone as soon as its number has changed, rather than when their time is over.
 */
#ifndef PGWEIR_NET_RESOLVER_H
#define PGWEIR_NET_RESOLVER_H

#include "net/net.h"

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

#define RESOLVER_MAX_ADDRESSES 16

/*
 * The answer: `count` addresses with the port asked for, valid during the call; count == 0: the name could not
 * be resolved, and `error` says why.  Called once, never from inside resolver_ask; the query's handle is void
 * from then on.
 */
typedef void (*ResolverDone)(void *arg, const NetAddress *addresses, int count, const char *error);

typedef struct ResolverOptions
{
	usec_t max_ttl_us;		/* dns_max_ttl */
	usec_t nxdomain_ttl_us; /* dns_nxdomain_ttl */
	usec_t zone_check_us;	/* dns_zone_check_period; 0 = never */
	const char *resolv_conf; /* NULL and "" = the system's; borrowed until the next resolver_set_options */
	/* A name has got other addresses than it had (never its first ones); not called from inside resolver_ask.  May be NULL. */
	void (*changed)(void *arg, const char *host, const NetAddress *addresses, int count);
	void *arg;
} ResolverOptions;

extern Resolver *resolver_create(NetLoop *loop, const ResolverOptions *options);
/* Pending queries are forgotten without a callback. */
extern void resolver_free(Resolver *resolver);
/* For answers to come; also reads resolv.conf again, as soon as nothing is being asked. */
extern void resolver_set_options(Resolver *resolver, const ResolverOptions *options);
/* Ask these servers ("10.0.0.2:53,[::1]:5353") instead of resolv.conf's; false when malformed. */
extern bool resolver_use_servers(Resolver *resolver, const char *servers) MUST_CHECK;

/*
 * Ask; numeric addresses and Unix socket directories work too.  Returns a handle for resolver_cancel, or NULL
 * when out of memory.
 */
extern ResolverQuery *resolver_ask(Resolver *resolver, const char *host, int port, ResolverDone done, void *arg);
/* The callback will not come. */
extern void resolver_cancel(ResolverQuery *query);

/*
 * For SHOW DNS_HOSTS: every name in the cache, how long its answer is kept still (0: being asked, or to be
 * asked again) and its addresses (port 0).
 */
typedef void (*ResolverVisit)(void *arg, const char *host, usec_t ttl_us, const NetAddress *addresses, int count);
extern void resolver_walk(const Resolver *resolver, ResolverVisit visit, void *arg);

/* For SHOW DNS_ZONES: serial 0 = not known; `count` names of the cache are in it. */
typedef void (*ResolverZoneVisit)(void *arg, const char *zone, uint32_t serial, int count);
extern void resolver_walk_zones(const Resolver *resolver, ResolverZoneVisit visit, void *arg);

/* For SHOW LISTS. */
typedef struct ResolverCounts
{
	int names;	 /* in the cache */
	int zones;
	int asking;	 /* names being asked of DNS */
	int queries; /* callers waiting for an answer */
} ResolverCounts;
extern ResolverCounts resolver_counts(const Resolver *resolver);

#endif
