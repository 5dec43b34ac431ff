/*
 * zones.c: a map of zones, each with the number of names that are in it; it goes when the last of them has gone and no answer is awaited.
 */
#include "net/zones.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

typedef struct Zone
{
	MapNode node;
	Zones *zones; /* borrowed */
	int names;
	bool asking;
	bool known;
	uint32_t serial;
	char name[];
} Zone;

static bool
zone_equal(const MapNode *node, const void *key)
{
	return strcmp(CONTAINER_OF(node, const Zone, node)->name, key) == 0;
}

static Zone *
find(const Zones *zones, const char *name)
{
	MapNode *node = map_find(&zones->map, hash_bytes(zones->seed, name, strlen(name)), name);

	return node != NULL ? CONTAINER_OF(node, Zone, node) : NULL;
}

/* NULL: none. */
static const char *
zone_of(const char *host)
{
	const char *dot = strchr(host, '.');

	return dot != NULL && dot[1] != '\0' ? dot + 1 : NULL;
}

static void
tidy(Zone *zone)
{
	if (zone->names > 0 || zone->asking)
		return;
	map_remove(&zone->zones->map, &zone->node);
	free(zone);
}

void
zones_join(Zones *zones, const char *host)
{
	const char *name = zone_of(host);
	Zone *zone = name != NULL ? find(zones, name) : NULL;

	if (name == NULL)
		return;
	if (zone == NULL)
	{
		size_t size = strlen(name) + 1;

		if ((zone = calloc(1, sizeof(Zone) + size)) == NULL)
			return; /* it is not checked */
		zone->zones = zones;
		memcpy(zone->name, name, size);
		map_insert(&zones->map, &zone->node, hash_bytes(zones->seed, name, size - 1));
	}
	zone->names++;
}

void
zones_leave(Zones *zones, const char *host)
{
	const char *name = zone_of(host);
	Zone *zone = name != NULL ? find(zones, name) : NULL;

	if (zone == NULL || zone->names == 0)
		return;
	zone->names--;
	tidy(zone);
}

/* --- asking --- */

static void
take_serial(Zone *zone, uint32_t serial)
{
	bool changed = zone->known && zone->serial != serial;

	zone->known = true;
	zone->serial = serial;
	if (changed)
		zone->zones->changed(zone->zones->arg, zone->name);
}

static void
on_answer(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
	Zone *zone = arg;
	struct ares_soa_reply *soa;

	(void) timeouts;
	zone->asking = false;
	if (status == ARES_SUCCESS && ares_parse_soa_reply(answer, len, &soa) == ARES_SUCCESS)
	{
		uint32_t serial = soa->serial;

		ares_free_data(soa);
		take_serial(zone, serial);
	}
	tidy(zone);
}

void
zones_ask(Zones *zones, ares_channel channel)
{
	for (MapNode *node = map_next(&zones->map, NULL), *next; node != NULL; node = next)
	{
		Zone *zone = CONTAINER_OF(node, Zone, node);

		next = map_next(&zones->map, node);
		if (zone->asking)
			continue;
		zone->asking = true;
		ares_query(channel, zone->name, ns_c_in, ns_t_soa, on_answer, zone); /* may answer before it returns */
	}
}

/* --- life, and for the console --- */

void
zones_init(Zones *zones, uint64_t seed, void (*changed)(void *arg, const char *zone), void *arg)
{
	*zones = (Zones){.seed = seed, .changed = changed, .arg = arg};
	map_init(&zones->map, zone_equal);
}

void
zones_free(Zones *zones)
{
	MapNode *node;

	while ((node = map_next(&zones->map, NULL)) != NULL)
	{
		map_remove(&zones->map, node);
		free(CONTAINER_OF(node, Zone, node));
	}
	map_free(&zones->map);
}

int
zones_count(const Zones *zones)
{
	return (int) zones->map.count;
}

void
zones_walk(const Zones *zones, void (*visit)(void *arg, const char *zone, uint32_t serial, int count), void *arg)
{
	for (MapNode *node = map_next(&zones->map, NULL); node != NULL; node = map_next(&zones->map, node))
	{
		const Zone *zone = CONTAINER_OF(node, const Zone, node);

		visit(arg, zone->name, zone->serial, zone->names);
	}
}
