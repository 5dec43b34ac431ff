/*
 * waits.h: what statements spent their time on, by wait event, as the sampler saw it.
 *
 * A set has a few places, one a wait event, and a last one for whatever found no place, so that a set's sum is always that of all
 * samples.  Time on the CPU (not waiting) is an event of its own.  A sample stands for the time since the one before.
 *
 * Only the sampler writes, and anybody may read at any time: a reader may miss the sample that is being added, no more.
 */
#ifndef PGWEIR_STORES_WAITS_H
#define PGWEIR_STORES_WAITS_H

#include "stores/shared.h"

#define PGWEIR_WAIT_CPU 0		/* PGPROC.wait_event_info of a process that does not wait */
#define PGWEIR_WAIT_OTHER PG_UINT32_MAX /* events that found no place */
#define PGWEIR_CLASS_WAITS 12	/* places of a statement class */
#define PGWEIR_SERVER_WAITS 48	/* places for what belongs to no class */

/* A place; free while samples is 0. */
typedef struct PgweirWait
{
	uint32		event;			/* as in PGPROC.wait_event_info */
	uint32		samples;
	uint64		ns;
} PgweirWait;

/* Adds a sample to a set of n places. */
extern void pgweir_waits_add(PgweirWait *set, int n, uint32 event, uint64 ns);

/* Adds what was seen at another set's place. */
extern void pgweir_waits_merge(PgweirWait *set, int n, const PgweirWait *wait);

/* The names as pg_stat_activity has them, and "CPU", "other". */
extern const char *pgweir_wait_type_name(uint32 event);
extern const char *pgweir_wait_event_name(uint32 event);

extern Size pgweir_waits_size(void);
extern void pgweir_waits_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Of active backends whose statement is of no class: still being parsed, or not tracked. */
extern void pgweir_server_waits_add(uint32 event, uint64 ns);
extern void pgweir_server_waits_read(PgweirWait *set);
extern void pgweir_server_waits_reset(void);

/* How the sampler is doing; written by it once a second. */
typedef struct PgweirSamplerState
{
	int			pid;			/* 0: it does not run */
	int			interval_ms;	/* the present one: longer than pgweir.sample_interval when that would cost too much */
	uint64		samples;		/* rounds since its start */
	uint64		cpu_us;			/* spent in its life */
	int64		started;		/* TimestampTz */
} PgweirSamplerState;

extern PgweirSamplerState *pgweir_sampler_state(void);

#endif
