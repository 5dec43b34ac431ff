/*
 * sampler.h: the background worker that looks at what all backends wait for.
 *
 * It is started with the server, also on a standby, needs no database, and holds nothing another process could wait for.
 * Every pgweir.sample_interval it reads each backend's wait event and the statement it executes, and adds the time since its last
 * look to the statement's class.  When that costs it more than a hundredth of a core it looks less often.
 *
 * Once a second it does what the table in seconds.c lists: that is the place for what needs doing while nobody is
 * connected.
 */
#ifndef PGWEIR_SAMPLER_SAMPLER_H
#define PGWEIR_SAMPLER_SAMPLER_H

#include "datatype/timestamp.h"

/* Registers the worker; to be called from _PG_init under shared_preload_libraries only. */
extern void pgweir_sampler_init(void);

/* One look at all backends, that stands for the ns since the one before. */
extern void pgweir_sample_backends(uint64 ns);

/* Adds the second that has passed to the moments of pressure. */
extern void pgweir_sample_pressure(TimestampTz now);

/*
 * Called once a second.  Whoever is called may use shared memory, LWLocks and the current memory context, which is
 * reset afterwards; it has no database and no transaction.  An error is logged and the rest of that second is left out.
 */
extern void pgweir_each_second(TimestampTz now);

#endif
