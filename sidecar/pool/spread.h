/*
 * spread.h: at how many homes clients are served, and which of them go to another one.
 *
 * A thread that has to be woken for each message costs more a message than one that finds several when it wakes.  So a load that one thread
 * can carry is left to one: the first `active` homes serve clients, which is one at the start.  When one of them is busy for longer, the next joins and takes a
 * share of the clients over; when fewer could carry all of it, with room to spare and for seconds, the last steps back and its clients
 * leave.  Clients go when they have ended a transaction, so those that do most go first, and those that rest stay where they are.
 *
 * Who is asked gets advice, which the homes follow by themselves.  Nothing here is locked.
 */
#ifndef PGWEIR_POOL_SPREAD_H
#define PGWEIR_POOL_SPREAD_H

#include <stdbool.h>

#include "base/clock.h"
#include "pool/pool.h"

/* How often a home that is awake is to say how busy it has been. */
#define SPREAD_WINDOW_US (50 * USEC_PER_MSEC)
/* SpreadAdvice.leave: as many as come to rest. */
#define SPREAD_ALL INT32_MAX

typedef enum SpreadMode
{
	SPREAD_AUTO,
	SPREAD_EVEN, /* all homes serve clients, as many each, which stay where they are */
	SPREAD_ROAM, /* ... which go on to the next after each transaction: a test of the going */
} SpreadMode;

typedef struct SpreadHome
{
	int busy;		   /* per mille of a processor, in its last window */
	int mean;		   /* of the last ones, the last counting most */
	int hot;		   /* windows in a row in which it was busy */
	usec_t heard_at;   /* end of the last window */
	usec_t settles_at; /* what left it is not to be seen before */
} SpreadHome;

typedef struct Spread
{
	SpreadMode mode;
	int homes, active;
	usec_t calm_since; /* fewer could do, since then; 0 = not so */
	SpreadHome home[POOL_HOMES];
} Spread;

/* For the next window of the home that asked. */
typedef struct SpreadAdvice
{
	int leave; /* so many clients that come to rest go */
	int to;
} SpreadAdvice;

extern void spread_init(Spread *spread, SpreadMode mode, int homes);
/* Another mode from now on. */
extern void spread_set_mode(Spread *spread, SpreadMode mode);
/* The home was busy for so much (per mille) of the window that ends now, in which so many clients have ended a transaction. */
extern SpreadAdvice spread_tell(Spread *spread, int home, int busy, int clients, usec_t now);
/* How busy it is, per mille: 0 when nothing has been heard of it for a while, since it sleeps then. */
extern int spread_busy(const Spread *spread, int home, usec_t now);
/* Where a new client goes; `load` is how many each home has, and `turn` decides among equals. */
extern int spread_choose(const Spread *spread, const int *load, int turn, usec_t now);

#endif
