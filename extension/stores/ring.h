/*
 * ring.h: records of any length in a fixed piece of memory; the newest push the oldest out.
 *
 * The caller holds a lock: exclusive to append or clear, shared to read.
 */
#ifndef PGWEIR_STORES_RING_H
#define PGWEIR_STORES_RING_H

#include "c.h"

typedef struct PgweirRing
{
	uint64		head;			/* where the next record goes; positions grow for ever, modulo size they are places */
	uint64		tail;			/* where the oldest one stands */
	uint64		size;			/* of data */
	uint64		pushed_out;		/* records, since the last clearing */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} PgweirRing;

/* Of memory for a ring in size bytes, the part that holds records. */
extern void pgweir_ring_init(PgweirRing *ring, Size size);
extern void pgweir_ring_clear(PgweirRing *ring);

/* Room for a record of len bytes, aligned, to be filled by the caller; NULL when it is larger than an eighth of the ring. */
extern void *pgweir_ring_append(PgweirRing *ring, Size len);

/* The records from the oldest on; *at begins as 0.  NULL after the last. */
extern const void *pgweir_ring_next(const PgweirRing *ring, uint64 *at, Size *len);

#endif
