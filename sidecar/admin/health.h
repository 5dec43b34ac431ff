/*
 * health.h: can it serve?  For a balancer, an orchestrator, a human with curl.
 *
 * Healthy is a process that can serve somebody: it is neither paused nor suspended nor shutting down, and the server of at least
 * one database can be reached.  Ready is a database that is neither disabled nor paused and whose server can be reached.  A
 * pool that is full is neither unhealthy nor unready.
 *
 * Reached: there are connections to the server, or else a probe says so; a login that the server has just refused counts as not
 * reached until the next one is due.  The answer may need a probe, and then comes later.
 */
#ifndef PGWEIR_ADMIN_HEALTH_H
#define PGWEIR_ADMIN_HEALTH_H

#include "admin/probe.h"

typedef enum Health
{
	HEALTH_OK,
	HEALTH_BAD,
	HEALTH_PENDING, /* a probe is under way */
	HEALTH_UNKNOWN, /* there is no such database */
} Health;

/* Parked.  Each puts a line a reason into text, or "ok". */
extern Health health_of_process(Worker *worker, Probes *probes, Buf *text);
/* Of every database of the configuration. */
extern Health health_of_all(Worker *worker, Probes *probes, Buf *text);
extern Health health_of_database(Worker *worker, Probes *probes, const char *name, Buf *text);

#endif
