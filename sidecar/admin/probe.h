/*
 * probe.h: can anything be reached where the servers should be?  Asked only while somebody wants to know the health.
 *
 * A probe opens a TCP (or Unix) connection to a host of a database entry and closes it again: PostgreSQL does not even log that.  Of
 * a list of hosts one is enough.  An answer is good for PROBE_FRESH_US; then the next question probes again.
 */
#ifndef PGWEIR_ADMIN_PROBE_H
#define PGWEIR_ADMIN_PROBE_H

#include "session/session.h"

#define PROBE_FRESH_US (2 * USEC_PER_SEC)
#define PROBE_LIMIT_US (1 * USEC_PER_SEC)

typedef struct Probes Probes;

typedef enum ProbeAnswer
{
	PROBE_PENDING, /* ask again when Probes' on_answer was called */
	PROBE_UP,
	PROBE_DOWN,
} ProbeAnswer;

/* on_answer is called whenever an answer came; NULL when out of memory. */
extern Probes *probes_create(Worker *worker, void (*on_answer)(void *arg), void *arg);
/* The loop must have turned after probes_stop(). */
extern void probes_free(Probes *probes);
extern void probes_stop(Probes *probes);
/* A host list ("a,b", a directory; NULL = the Unix socket directory of the settings).  *reason of DOWN lives until the next turn. */
extern ProbeAnswer probes_ask(Probes *probes, const char *hosts, int port, const char **reason);

#endif
