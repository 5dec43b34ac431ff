/*
 * classes.h: what each statement class costs: service times by fingerprint, decaying, in a bounded table.
 */
#ifndef PGWEIR_POOL_CLASSES_H
#define PGWEIR_POOL_CLASSES_H

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

#define POOL_CLASSES_MAX 1024 /* per pool; the least recently used gives way */

typedef struct PoolClass
{
	MapNode node;
	ListNode lru;
	uint64_t fingerprint;
	uint64_t calls, refused, expired;
	usec_t mean_us;		/* decaying mean of the run time; 0 = never seen to run */
	usec_t last_ran;
	int active;			/* slots running it now */
	int waiting;
} PoolClass;

typedef struct PoolClasses
{
	Map by_fingerprint;
	List lru; /* most recently used last */
} PoolClasses;

extern void pool_classes_init(PoolClasses *classes);
extern void pool_classes_free(PoolClasses *classes);
extern PoolClass *pool_classes_find(const PoolClasses *classes, uint64_t fingerprint);
/* Find or make; NULL when memory is short (the statement then has no class). */
extern PoolClass *pool_classes_get(PoolClasses *classes, uint64_t fingerprint, usec_t now);

#endif
