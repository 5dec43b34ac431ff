/*
 * classes.c: the table of statement classes, and smoothed means.
 */
#include "pool/classes.h"

#include <stdlib.h>

/* How many of the least recently used classes are looked at for one that can go. */
#define EVICT_TRIES 8
/* A sample counts as at most so many times the mean. */
#define OUTLIER_FACTOR 3
/* ... but means below this are too small to judge by. */
#define OUTLIER_FLOOR_US 1000
/* A sample weighs as one of so many. */
#define MEMORY 32
#define DEVIATION_MEMORY 16
/* So many samples in a row below this part of the mean replace it. */
#define LOWS_IN_A_ROW 8
#define LOW_PART 4

/* --- smoothed means --- */

static void
restart(Smoothed *s, usec_t mean_us)
{
	if (mean_us < 1)
		mean_us = 1;
	*s = (Smoothed){
		.mean_us = mean_us,
		.dev_us = mean_us / 4,
		._sum_us = mean_us * MEMORY,
		._weight = 1,
		.seen = true,
	};
}

/* Is the sample the last of a row that shows that the mean is of the past? */
static bool
ends_an_era(Smoothed *s, usec_t sample_us)
{
	if (sample_us > s->mean_us / LOW_PART)
	{
		s->_lows = 0;
		s->_low_us = 0;
		return false;
	}
	s->_low_us += sample_us;
	return ++s->_lows == LOWS_IN_A_ROW;
}

void
smoothed_add(Smoothed *s, usec_t sample_us)
{
	usec_t most = (s->mean_us > OUTLIER_FLOOR_US ? s->mean_us : OUTLIER_FLOOR_US) * OUTLIER_FACTOR;

	if (s->seen && ends_an_era(s, sample_us))
		restart(s, s->_low_us / LOWS_IN_A_ROW);
	else
		smoothed_add_mixed(s, s->seen && sample_us > most ? most : sample_us);
}

void
smoothed_add_mixed(Smoothed *s, usec_t sample_us)
{
	usec_t error;

	if (sample_us < 1)
		sample_us = 1;
	if (!s->seen)
	{
		restart(s, sample_us);
		return;
	}
	error = sample_us - s->mean_us;
	if (s->_weight == MEMORY)
	{
		/* the same, by shifts */
		s->_sum_us += (sample_us * MEMORY - s->_sum_us) / MEMORY;
		s->mean_us = s->_sum_us / MEMORY;
		s->dev_us += ((error < 0 ? -error : error) - s->dev_us) / DEVIATION_MEMORY;
		return;
	}
	s->_weight++;
	s->_sum_us += (sample_us * MEMORY - s->_sum_us) / s->_weight;
	s->mean_us = s->_sum_us / MEMORY;
	s->dev_us += ((error < 0 ? -error : error) - s->dev_us) / (s->_weight < DEVIATION_MEMORY ? s->_weight : DEVIATION_MEMORY);
}

void
smoothed_add_at_least(Smoothed *s, usec_t sample_us)
{
	if (!s->seen || sample_us > s->mean_us)
		smoothed_add(s, sample_us);
}

/* --- the table --- */

static bool
class_equal(const MapNode *node, const void *key)
{
	return CONTAINER_OF(node, const PoolClass, node)->fingerprint == *(const uint64_t *) key;
}

/* Fingerprints are hashes, but not seeded ones; the table is small enough for chosen collisions not to
 * matter. */
static inline uint64_t
hash_of(uint64_t fingerprint)
{
	uint64_t h = fingerprint * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ (h >> 32);
}

void
pool_classes_init(PoolClasses *classes)
{
	map_init(&classes->by_fingerprint, class_equal);
	list_init(&classes->lru);
}

static void
class_destroy(PoolClasses *classes, PoolClass *class)
{
	map_remove(&classes->by_fingerprint, &class->node);
	list_remove(&classes->lru, &class->lru);
	free(class);
}

void
pool_classes_free(PoolClasses *classes)
{
	list_each (node, &classes->lru)
		class_destroy(classes, CONTAINER_OF(node, PoolClass, lru));
	map_free(&classes->by_fingerprint);
}

PoolClass *
pool_classes_find(const PoolClasses *classes, uint64_t fingerprint)
{
	MapNode *node = map_find(&classes->by_fingerprint, hash_of(fingerprint), &fingerprint);

	return node != NULL ? CONTAINER_OF(node, PoolClass, node) : NULL;
}

static void
touch(PoolClasses *classes, PoolClass *class)
{
	if (list_last(&classes->lru) == &class->lru)
		return;
	list_remove(&classes->lru, &class->lru);
	list_append(&classes->lru, &class->lru);
}

/* Make room for one; false when those that could go are all in use. */
static bool
evict_one(PoolClasses *classes)
{
	for (int i = 0; i < EVICT_TRIES && !list_empty(&classes->lru); i++)
	{
		PoolClass *class = CONTAINER_OF(classes->lru.head.next, PoolClass, lru);

		if (class->_refs == 0)
		{
			class_destroy(classes, class);
			return true;
		}
		touch(classes, class);
	}
	return false;
}

PoolClass *
pool_classes_get(PoolClasses *classes, uint64_t fingerprint)
{
	PoolClass *class;

	if (fingerprint == 0)
		return NULL;
	class = pool_classes_find(classes, fingerprint);
	if (class != NULL)
	{
		touch(classes, class);
		return class;
	}
	if (classes->lru.count >= POOL_CLASSES_MAX && !evict_one(classes))
		return NULL;
	class = calloc(1, sizeof(PoolClass));
	if (class == NULL)
		return NULL;
	class->fingerprint = fingerprint;
	list_init(&class->_running);
	list_append(&classes->lru, &class->lru);
	map_insert(&classes->by_fingerprint, &class->node, hash_of(fingerprint));
	return class;
}
