/*
 * shared.h: the extension's one segment of shared memory, and the check that it is there.
 *
 * It is requested when the postmaster starts and attached in every process by shmem_startup_hook, so also where
 * processes do not inherit memory.  Each store says how much it needs and initialises its part.  Locks come from one
 * tranche, "pgweir": those of the partitions of the statement table first, then that of the reports, and so on down.
 */
#ifndef PGWEIR_STORES_SHARED_H
#define PGWEIR_STORES_SHARED_H

#include "port/atomics.h"
#include "storage/lwlock.h"

/* Installs the hooks; to be called from _PG_init under shared_preload_libraries only. */
extern void pgweir_shared_init(void);

/* True when the shared memory is attached: the library was preloaded. */
extern bool pgweir_shared_ready(void);

/* Raises the one error that tells how to preload, unless pgweir_shared_ready(). */
extern void pgweir_require_preload(void);

/* Takes a lock; without wait only if it is to be had at once. */
static inline bool
pgweir_acquire(LWLock *lock, LWLockMode mode, bool wait)
{
	if (!wait)
		return LWLockConditionalAcquire(lock, mode);
	LWLockAcquire(lock, mode);
	return true;
}

#endif
