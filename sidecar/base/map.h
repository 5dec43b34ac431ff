/*
 * map.h: an intrusive hash map, and the seeded hash it uses.
 *
 * Entries embed a MapNode; the key lives in the entry and is compared by the map's `equal`.  The table doubles
 * as it fills; when that allocation fails the old table stays in use (chains grow longer), so inserting cannot
 * fail. The hash is seeded per process, since peers choose many of the keys.  It is no cryptographic hash.
 */
#ifndef PGWEIR_BASE_MAP_H
#define PGWEIR_BASE_MAP_H

#include "base/slice.h"

typedef struct MapNode
{
	struct MapNode *_next;
	uint64_t hash;
} MapNode;

/* Is this entry the one with the given key? */
typedef bool (*MapEqual)(const MapNode *node, const void *key);

typedef struct Map
{
	MapNode **_buckets; /* owned; NULL until the first table could be had */
	MapNode *_single;	/* the only chain as long as there is no table */
	size_t _mask;
	size_t _first; /* no bucket before this one holds an entry */
	size_t count;
	MapEqual equal;
} Map;

extern uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t n);
static inline uint64_t
hash_slice(uint64_t seed, Slice s)
{
	return hash_bytes(seed, s.ptr, s.len);
}

extern void map_init(Map *map, MapEqual equal);
/* Frees the table, not the entries. */
extern void map_free(Map *map);
extern MapNode *map_find(const Map *map, uint64_t hash, const void *key);
/* The caller has made sure that no equal entry is there. */
extern void map_insert(Map *map, MapNode *node, uint64_t hash);
extern void map_remove(Map *map, MapNode *node);
/*
 * Walk all entries in no particular order: pass NULL first; NULL at the end.  To remove entries on the way, ask
 * for the next one before removing (do not insert meanwhile).  Taking map_next(map, NULL) and removing it until
 * the map is empty is linear too.
 */
extern MapNode *map_next(const Map *map, const MapNode *previous);

#endif
