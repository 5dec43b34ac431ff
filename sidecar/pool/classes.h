/*
 * classes.h: what each statement class costs: service times by fingerprint, decaying, in a bounded table.
 *
 * A class has two costs.  Its run time is that of the statement; its hold time is how long a server
 * connection stays away when a request begins with this statement (the whole transaction, or session, and the
 * cleaning after it).  Both are smoothed means with a smoothed deviation, as TCP estimates round trips
 * (Jacobson, "Congestion Avoidance and Control", 1988; RFC 6298), with three changes.  A sample counts as at
 * most three times the mean, so that neither one statement that hung on a lock nor a moment in which the
 * whole machine stood still (every running statement is late then) condemns a class for longer than a few
 * more samples.  Samples weigh a 32nd after the first few, which are averaged: requests are let in while the
 * estimate is low, so its noise is an error to one side.  And eight samples in a row below a quarter of the
 * mean replace it, so that the end of a slow phase is seen at once.
 *
 * Memory: classes are made on demand, at most POOL_CLASSES_MAX to a table; the least recently used one that
 * nobody refers to gives way.  A slot or waiter that points at a class holds a reference.
 */
#ifndef PGWEIR_POOL_CLASSES_H
#define PGWEIR_POOL_CLASSES_H

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"

#define POOL_CLASSES_MAX 1024 /* per pool */

/* A smoothed mean with its mean deviation; zeroed = nothing seen. */
typedef struct Smoothed
{
	usec_t mean_us;
	usec_t dev_us;
	usec_t _sum_us;  /* the mean in 32nds of microseconds, lest small changes be rounded away */
	usec_t _low_us;  /* sum of the last samples in a row that were far below the mean */
	uint8_t _lows;   /* ... their number */
	uint8_t _weight; /* samples seen, up to 32 */
	bool seen;
} Smoothed;

typedef struct PoolClass
{
	MapNode node;
	ListNode lru;
	uint64_t fingerprint;
	uint64_t calls;   /* statements that have run */
	uint64_t refused; /* requests refused because of a deadline they could not meet */
	uint64_t expired; /* requests whose deadline passed in the queue */
	Smoothed run;     /* of the statement */
	Smoothed hold;    /* of the server connection */
	usec_t last_ran;  /* when a statement of the class ended, 0 = never */
	int active;       /* slots running it now */
	int waiting;      /* requests queued */
	bool slow;        /* takes the slow lane */
	List _running;    /* the slots that run it, longest running first */
	int _refs;
	double rest_us; /* the shortest run, creeping upwards; 0 = none (adaptive.c) */
	usec_t _probed_at;
} PoolClass;

typedef struct PoolClasses
{
	Map by_fingerprint;
	List lru; /* most recently used last */
} PoolClasses;

extern void pool_classes_init(PoolClasses *classes);
extern void pool_classes_free(PoolClasses *classes);
extern PoolClass *pool_classes_find(const PoolClasses *classes, uint64_t fingerprint);
/* Find or make; NULL for fingerprint 0, and when memory is short (the statement then has no class). */
extern PoolClass *pool_classes_get(PoolClasses *classes, uint64_t fingerprint);

extern void smoothed_add(Smoothed *s, usec_t sample_us);
/* The same for a mixture of classes, where a far sample is no accident and a row of low ones no news. */
extern void smoothed_add_mixed(Smoothed *s, usec_t sample_us);
/* A run of at least that long, which did not end by itself: counts when it is news. */
extern void smoothed_add_at_least(Smoothed *s, usec_t sample_us);

#endif
