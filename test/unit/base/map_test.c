/*
 * map_test.c: the hash map and its hash.
 */
#include "tap.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

#include <stdlib.h>

typedef struct Entry
{
	MapNode node;
	int key;
	bool inside;
} Entry;

static bool
entry_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const Entry, node)->key == *(const int *) key;
}

static uint64_t
hash_of(int key)
{
	return hash_bytes(42, &key, sizeof(key));
}

static Entry *
find(const Map *map, int key)
{
	MapNode *node = map_find(map, hash_of(key), &key);

	return node != NULL ? CONTAINER_OF(node, Entry, node) : NULL;
}

static void
empty_map(void)
{
	Map map;
	int key = 1;

	map_init(&map, entry_equal);
	ok(map_find(&map, hash_of(key), &key) == NULL, "nothing is found in an empty map");
	ok(map_next(&map, NULL) == NULL, "nor walked");
	map_free(&map);
}

#define ENTRIES 5000

static Entry entries[ENTRIES];

static int
walk(const Map *map, bool *all_inside)
{
	int count = 0;

	for (MapNode *node = map_next(map, NULL); node != NULL; node = map_next(map, node))
	{
		count++;
		*all_inside &= CONTAINER_OF(node, Entry, node)->inside;
	}
	return count;
}

static void
random_operations(void)
{
	Map map;
	size_t count = 0;
	bool right = true;
	bool all_inside = true;

	map_init(&map, entry_equal);
	srandom(3);
	for (int step = 0; step < 60000 && right; step++)
	{
		int key = (int) (random() % ENTRIES);
		Entry *entry = &entries[key];

		right &= find(&map, key) == (entry->inside ? entry : NULL);
		if (entry->inside)
			map_remove(&map, &entry->node);
		else
		{
			entry->key = key;
			map_insert(&map, &entry->node, hash_of(key));
		}
		entry->inside = !entry->inside;
		count += entry->inside ? 1 : (size_t) -1;
		right &= map.count == count;
		if (step % 5000 == 0)
			right &= walk(&map, &all_inside) == (int) count;
	}
	ok(right, "random inserts and removes: each key is found exactly while it is inside");
	ok(all_inside, "a walk meets only what is inside");
	is_int(walk(&map, &all_inside), (long long) count, "and all of it");
	while (map.count > 0)
		map_remove(&map, map_next(&map, NULL));
	ok(map_next(&map, NULL) == NULL, "taking the first until none is left empties the map");
	map_insert(&map, &entries[0].node, hash_of(entries[0].key));
	ok(map_next(&map, NULL) == &entries[0].node, "what is inserted after that is walked as well");
	map_free(&map);
}

/* Removing what the walk has passed, as callers do. */
static void
remove_while_walking(void)
{
	Map map;
	int left = 0;
	bool all_inside = true;

	map_init(&map, entry_equal);
	for (int i = 0; i < 1000; i++)
	{
		entries[i] = (Entry){.key = i, .inside = true};
		map_insert(&map, &entries[i].node, hash_of(i));
	}
	for (MapNode *node = map_next(&map, NULL), *next; node != NULL; node = next)
	{
		next = map_next(&map, node);
		if (CONTAINER_OF(node, Entry, node)->key % 2 == 0)
			map_remove(&map, node);
	}
	left = walk(&map, &all_inside);
	is_int(left, 500, "half of the entries removed in a walk leaves the other half");
	map_free(&map);
}

/* Emptying from the front must not be quadratic: 200,000 entries would take minutes. */
static void
emptying_is_linear(void)
{
	enum
	{
		MANY = 200000
	};
	Entry *many = calloc(MANY, sizeof(Entry));
	usec_t start = clock_now();
	Map map;

	map_init(&map, entry_equal);
	for (int i = 0; i < MANY; i++)
	{
		many[i].key = i;
		map_insert(&map, &many[i].node, hash_of(i));
	}
	while (map.count > 0)
		map_remove(&map, map_next(&map, NULL));
	ok(clock_now() - start < 60 * USEC_PER_SEC,
	   "filling and emptying 200,000 entries is a matter of moments");
	map_free(&map);
	free(many);
}

static void
hash_depends_on_everything(void)
{
	uint8_t bytes[40] = {0};
	bool differs = true;
	uint64_t base = hash_bytes(1, bytes, sizeof(bytes));

	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++)
	{
		bytes[bit / 8] ^= (uint8_t) (1 << (bit % 8));
		differs &= hash_bytes(1, bytes, sizeof(bytes)) != base;
		bytes[bit / 8] ^= (uint8_t) (1 << (bit % 8));
	}
	ok(differs, "each bit changes the hash");
	ok(hash_bytes(2, bytes, sizeof(bytes)) != base, "the seed changes the hash");
	ok(hash_bytes(1, bytes, 39) != base, "the length changes the hash");
	ok(hash_bytes(1, "", 0) != hash_bytes(2, "", 0), "also of nothing");
	ok(hash_bytes(1, bytes, sizeof(bytes)) == base, "the same input hashes the same");
}

/* Similar keys (p_1, p_2, ...) must spread over the low bits, which pick the bucket. */
static void
hash_spreads(void)
{
	static int buckets[1024];
	int longest = 0;

	for (int i = 0; i < 8192; i++)
	{
		char name[32];
		int n = snprintf(name, sizeof(name), "statement_%d", i);
		int *bucket = &buckets[hash_bytes(99, name, (size_t) n) % 1024];

		(*bucket)++;
		longest = *bucket > longest ? *bucket : longest;
	}
	ok(longest < 30, "8192 similar names over 1024 buckets: no chain is much above the mean of 8");
}

int
main(void)
{
	empty_map();
	random_operations();
	remove_while_walking();
	emptying_is_linear();
	hash_depends_on_everything();
	hash_spreads();
	return done_testing();
}
