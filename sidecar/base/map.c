/*
 * map.c: chained hash table over embedded nodes.
 *
 * Nodes keep their hash, so growing touches no key.  The table never shrinks.
 */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#define MAP_FIRST_SIZE 16

/* --- hash --- */

#define HASH_MIX_1 UINT64_C(0x9e3779b97f4a7c15)
#define HASH_MIX_2 UINT64_C(0xd6e8feb86659fd93)

/* The 128-bit product's halves folded together: every input bit reaches every output bit. */
static inline uint64_t
fold_multiply(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

uint64_t
hash_bytes(uint64_t seed, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t h = seed ^ HASH_MIX_2;
	uint64_t word;
	size_t left = n;

	for (; left >= sizeof(word); left -= sizeof(word), p += sizeof(word))
	{
		memcpy(&word, p, sizeof(word));
		h = fold_multiply(h ^ word, HASH_MIX_1) ^ seed;
	}
	word = 0;
	if (left > 0)
		memcpy(&word, p, left);
	/* the length tells "a" from "a\0" */
	h = fold_multiply(h ^ word, HASH_MIX_1);
	return fold_multiply(h ^ (uint64_t) n, HASH_MIX_2 ^ seed);
}

/* --- map --- */

void
map_init(Map *map, MapEqual equal)
{
	*map = (Map){.equal = equal};
}

void
map_free(Map *map)
{
	free(map->_buckets);
	*map = (Map){.equal = map->equal};
}

/* The bucket of a hash; before the first table there is one chain (and _mask is 0). */
static inline MapNode **
bucket_of(const Map *map, uint64_t hash)
{
	return map->_buckets != NULL ? &map->_buckets[hash & map->_mask] : (MapNode **) &map->_single;
}

MapNode *
map_find(const Map *map, uint64_t hash, const void *key)
{
	for (MapNode *node = *bucket_of(map, hash); node != NULL; node = node->_next)
		if (node->hash == hash && map->equal(node, key))
			return node;
	return NULL;
}

static void
push(Map *map, MapNode *node)
{
	MapNode **bucket = bucket_of(map, node->hash);
	size_t i = node->hash & map->_mask;

	node->_next = *bucket;
	*bucket = node;
	if (i < map->_first)
		map->_first = i;
}

/* Move one chain into the (new) table. */
static void
push_chain(Map *map, MapNode *chain)
{
	for (MapNode *next; chain != NULL; chain = next)
	{
		next = chain->_next;
		push(map, chain);
	}
}

/* Double the table (or make the first one); on failure it stays as it is. */
static void
grow(Map *map)
{
	size_t old_size = map->_buckets != NULL ? map->_mask + 1 : 0;
	size_t size = old_size > 0 ? old_size * 2 : MAP_FIRST_SIZE;
	MapNode **old = map->_buckets;
	MapNode **buckets = calloc(size, sizeof(MapNode *));

	if (buckets == NULL)
		return;
	map->_buckets = buckets;
	map->_mask = size - 1;
	map->_first = size;
	push_chain(map, map->_single);
	map->_single = NULL;
	for (size_t i = 0; i < old_size; i++)
		push_chain(map, old[i]);
	free(old);
}

void
map_insert(Map *map, MapNode *node, uint64_t hash)
{
	if (map->_buckets == NULL || map->count > map->_mask)
		grow(map);
	node->hash = hash;
	push(map, node);
	map->count++;
}

void
map_remove(Map *map, MapNode *node)
{
	MapNode **link = bucket_of(map, node->hash);

	while (*link != node)
	{
		assert(*link != NULL);
		link = &(*link)->_next;
	}
	*link = node->_next;
	node->_next = NULL;
	map->count--;
}

MapNode *
map_next(const Map *map, const MapNode *previous)
{
	size_t i;

	if (map->count == 0)
		return NULL;
	if (previous != NULL && previous->_next != NULL)
		return previous->_next;
	i = previous != NULL ? (previous->hash & map->_mask) + 1 : map->_first;
	for (; i <= map->_mask; i++)
	{
		MapNode *node = *bucket_of(map, i);

		if (node == NULL)
			continue;
		/* remembered, so that "take the first until empty" is linear */
		if (previous == NULL)
			((Map *) map)->_first = i;
		return node;
	}
	return NULL;
}
