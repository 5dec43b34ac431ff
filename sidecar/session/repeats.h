/*
 * repeats.h: the same class of statements again and again in one unit of work: the pattern "N+1".
 *
 * A unit is a transaction, or outside of transactions a run of statements of one class on one connection with hardly a pause
 * between them.  A transaction remembers a few of its classes, so that loops of two or three statements are seen too.
 * Units with at least REPEATS_MIN statements of a class are counted in the pool's SessionStats, with the class's text.
 * Classes are those that admission decides by: without admission there are none.
 */
#ifndef PGWEIR_SESSION_REPEATS_H
#define PGWEIR_SESSION_REPEATS_H

#include "base/slice.h"
#include "session/stats.h"

#define REPEATS_MIN 8
#define REPEATS_TRACKED 6
#define REPEATS_RUN_MAX 1000				 /* a longer run counts as several */
#define REPEATS_PAUSE_US (20 * USEC_PER_MSEC) /* a longer one ends a run */

/* The classes of a server's transaction; zeroed = none. */
typedef struct RepeatTally
{
	uint64_t fingerprint[REPEATS_TRACKED];
	uint32_t count[REPEATS_TRACKED];
	bool any; /* one of them has reached REPEATS_MIN */
} RepeatTally;

/* A statement in a transaction.  Its class may be 0: unknown. */
extern void repeats_note(RepeatTally *tally, SessionStats *stats, uint64_t fingerprint, Slice sql, usec_t now);
/* The transaction is over (or about to begin). */
extern void repeats_end(RepeatTally *tally, SessionStats *stats, usec_t now);

/* A statement outside: *length is that of the client's run, `before` the class of the statement before it. */
extern void repeats_note_run(uint32_t *length, SessionStats *stats, uint64_t before, uint64_t fingerprint, Slice sql,
							 usec_t pause_us, usec_t now);
/* What went before was a run of class `before`. */
extern void repeats_end_run(uint32_t *length, SessionStats *stats, uint64_t before, usec_t now);

#endif
