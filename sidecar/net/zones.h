/*
 * zones.h: inside of the resolver: the DNS zones that the cached names are in, and their serial numbers.
 *
 * A name's zone is what follows its first dot; a name without a dot is in none.  Numeric and Unix addresses never come here.
 */
#ifndef PGWEIR_NET_ZONES_H
#define PGWEIR_NET_ZONES_H

#include <ares.h>

#include "base/map.h"

typedef struct Zones
{
	Map map; /* Zone, by name */
	uint64_t seed;
	/* A zone's number is another than before.  Called from inside c-ares. */
	void (*changed)(void *arg, const char *zone);
	void *arg;
} Zones;

extern void zones_init(Zones *zones, uint64_t seed, void (*changed)(void *arg, const char *zone), void *arg);
/* The channel that was asked has been destroyed. */
extern void zones_free(Zones *zones);
/* A name has come into the cache, or leaves it. */
extern void zones_join(Zones *zones, const char *host);
extern void zones_leave(Zones *zones, const char *host);
/* Ask for the numbers of all zones that are not being asked for. */
extern void zones_ask(Zones *zones, ares_channel channel);
extern int zones_count(const Zones *zones);
extern void zones_walk(const Zones *zones, void (*visit)(void *arg, const char *zone, uint32_t serial, int count), void *arg);

#endif
