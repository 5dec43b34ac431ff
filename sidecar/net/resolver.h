/*
 * resolver.h: host names to addresses without blocking the loop, through c-ares, with a cache.
 */
#ifndef PGWEIR_NET_RESOLVER_H
#define PGWEIR_NET_RESOLVER_H

#include "net/net.h"

typedef struct Resolver Resolver;
typedef struct ResolverQuery ResolverQuery;

#define RESOLVER_MAX_ADDRESSES 16

/* count == 0: the name could not be resolved; `error` says why.  Called once, never from inside resolver_ask. */
typedef void (*ResolverDone)(void *arg, const NetAddress *addresses, int count, const char *error);

typedef struct ResolverOptions
{
	usec_t max_ttl_us;		  /* dns_max_ttl */
	usec_t nxdomain_ttl_us;	  /* dns_nxdomain_ttl */
} ResolverOptions;

extern Resolver *resolver_create(NetLoop *loop, const ResolverOptions *options);
extern void resolver_free(Resolver *resolver);
extern void resolver_set_options(Resolver *resolver, const ResolverOptions *options);
/* Ask; numeric addresses work too.  Returns a handle for resolver_cancel, or NULL when out of memory. */
extern ResolverQuery *resolver_ask(Resolver *resolver, const char *host, int port, ResolverDone done, void *arg);
/* The callback will not come. */
extern void resolver_cancel(ResolverQuery *query);

#endif
