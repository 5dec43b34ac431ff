/*
 * moments.h: the pressure of the last hour by seconds, and of the last week by minutes.
 *
 * Two rings in shared memory, fixed in size when the server starts.  A moment is a second or a minute of the server as a whole, of all
 * pools of sidecars together, or of one pool.  pgweir.history_pools pools have a place of their own: a pool that was silent for a
 * minute loses it to the next that needs one, and the least busy of them to one that has long been much busier; with the place goes
 * what was kept of the pool.
 *
 * The sampler is the only writer, once a second; one lock, held for a copy.  What is counted is summed up in a minute's moment, what is
 * so at an instant is kept as its peak, so that trouble of a second still shows after days.
 */
#ifndef PGWEIR_STORES_MOMENTS_H
#define PGWEIR_STORES_MOMENTS_H

#include "datatype/timestamp.h"
#include "stores/payload.h"
#include "stores/shared.h"

#define PGWEIR_MOMENT_SECONDS 3600
#define PGWEIR_MOMENT_MINUTES 10080

/* In the order of the columns of pgweir.pressure_moments(). */
typedef enum PgweirMomentSeries
{
	/* Peaks. */
	PGWEIR_HS_SIZE,
	PGWEIR_HS_ACTIVE,
	PGWEIR_HS_IDLE,
	PGWEIR_HS_IN_XACT,			/* idle in a transaction */
	PGWEIR_HS_WAITING,
	PGWEIR_HS_OPENING,
	PGWEIR_HS_MAXWAIT_MS,
	PGWEIR_HS_HOLDER_MS,		/* the oldest that is idle in a transaction, for how long */
	PGWEIR_HS_LONGEST_MS,		/* the oldest statement */
	PGWEIR_HS_LOCKED,			/* that wait for a lock */
	PGWEIR_HS_DRAINING,			/* that wait for a client to take their result */
	PGWEIR_HS_RTT_US,			/* of the worst address, the mean over its sockets */
	PGWEIR_HS_FAILING_MS,		/* for how long a sidecar has not reached its server */
	/* Sums. */
	PGWEIR_HS_STATEMENTS,
	PGWEIR_HS_BUSY_MS,			/* time in statements */
	PGWEIR_HS_ERRORS,
	PGWEIR_HS_CANCELLED,
	PGWEIR_HS_MISSED,			/* deadlines */
	PGWEIR_HS_REFUSED,
	PGWEIR_HS_GONE,				/* clients that went away before their answer */
	PGWEIR_HS_CONNECTS,
	PGWEIR_HS_CONNECT_FAILURES,
	PGWEIR_HS_THINK_MS,			/* time between the statements of a transaction */
	PGWEIR_HS_THINKS,
	PGWEIR_HS_WAIT_MS,			/* for a server connection */
	PGWEIR_HS_DRAIN_MS,
	PGWEIR_HS_XACTS,
	PGWEIR_HS_REPEATED,			/* statements of transactions that repeat a class many times */
	PGWEIR_HS_CPU_SHORT_MS,		/* in which some process of the machine waited for a processor */
	PGWEIR_HS_N
} PgweirMomentSeries;

#define PGWEIR_HS_FIRST_SUM PGWEIR_HS_STATEMENTS

typedef struct PgweirMoment
{
	int64		second;			/* since the PostgreSQL epoch: its beginning */
	uint32		seconds;		/* it is made of; 0 = nothing is known */
	uint32		generation;		/* of its place, when it was written */
	uint32		value[PGWEIR_HS_N];
} PgweirMoment;

/* The places that are always there; the pools follow. */
#define PGWEIR_PLACE_SERVER 0
#define PGWEIR_PLACE_POOLS 1
#define PGWEIR_PLACE_FIRST 2

/* Whom moments are about.  The names of the server and of all pools together are empty. */
typedef struct PgweirMomentPlace
{
	char		reporter[PGWEIR_NAME_LEN];
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	uint32		generation;
	float		demand;			/* how busy a pool has been of late, in connections */
	int64		seen;			/* second; 0 = the place is free */
} PgweirMomentPlace;

typedef struct PgweirMomentEntry
{
	PgweirMomentPlace who;		/* generation and seen are not for the writer to fill */
	uint32		value[PGWEIR_HS_N];
} PgweirMomentEntry;

/* A copy of a part of a ring, oldest first. */
typedef struct PgweirMomentCopy
{
	int			n;
	int		   *place;			/* of each moment */
	PgweirMoment *moment;
	int			n_places;
	PgweirMomentPlace *places;	/* their names */
} PgweirMomentCopy;

extern Size pgweir_moments_size(void);
extern int	pgweir_moments_locks(void);
extern void pgweir_moments_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Adds a second: of the server first, then, if there are pools, of all together and of each. */
extern void pgweir_moments_add(TimestampTz now, const PgweirMomentEntry *entries, int n);

/* Copies the moments of the first n places (0: of all) that begin at from or later and before to, palloc'd. */
extern PgweirMomentCopy *pgweir_moments_read(bool minutes, TimestampTz from, TimestampTz to, int n);

extern void pgweir_moments_reset(void);

#endif
