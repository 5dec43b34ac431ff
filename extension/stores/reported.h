/*
 * reported.h: inside of reports.c: the lists of a reporter (addresses, applications) and of a pool (repeated classes).
 *
 * A list has a fixed number of places, found by their key.  What is new takes a free place or that of the one not heard of for
 * longest.  Memory zeroed = all free.  Whoever calls holds the lock of the reports.
 */
#ifndef PGWEIR_STORES_REPORTED_H
#define PGWEIR_STORES_REPORTED_H

#include "stores/payload.h"
#include "stores/recent.h"

#define PGWEIR_MAX_PEERS 64		/* addresses kept of a reporter */
#define PGWEIR_MAX_APPS 32		/* applications kept of a reporter */
#define PGWEIR_MAX_REPEATS 6	/* classes kept of a pool */

/* `last` as it was last reported; its counters are since then only, the sums are in `recent`, in the order of the enum. */
typedef enum PgweirPeerSum
{
	PGWEIR_PS_RETRANS,
	PGWEIR_PS_SEGMENTS,
	PGWEIR_PS_NSUMS
} PgweirPeerSum;

typedef struct PgweirPeerPlace
{
	TimestampTz seen;			/* 0 = the place is free */
	PgweirPeer	last;
	PgweirRecent recent;		/* PgweirPeerSum; most: the longest round trip in us */
} PgweirPeerPlace;

typedef struct PgweirAppPlace
{
	TimestampTz seen;
	TimestampTz first;
	PgweirApp	last;
	PgweirRecent recent;		/* PgweirAppCounter; most: clients */
	uint64		total[PGWEIR_AC_NCOUNTERS];
} PgweirAppPlace;

typedef enum PgweirRepeatSum
{
	PGWEIR_RS_UNITS,
	PGWEIR_RS_STATEMENTS,
	PGWEIR_RS_NSUMS
} PgweirRepeatSum;

typedef struct PgweirRepeatPlace
{
	TimestampTz seen;
	TimestampTz first;
	PgweirRepeat last;
	PgweirRecent recent;		/* PgweirRepeatSum; most: in one unit */
} PgweirRepeatPlace;

extern void pgweir_reported_peer(PgweirPeerPlace *places, const PgweirPeer *peer, TimestampTz now);
extern void pgweir_reported_app(PgweirAppPlace *places, const PgweirApp *app, TimestampTz now);
extern void pgweir_reported_repeat(PgweirRepeatPlace *places, const PgweirRepeat *repeat, TimestampTz now);

/* Heard of within the time that counts as recent? */
static inline bool
pgweir_reported_lately(TimestampTz seen, TimestampTz now)
{
	return seen != 0 && now - seen <= PGWEIR_RECENT_S * USECS_PER_SEC;
}

#endif
