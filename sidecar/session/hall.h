/*
 * hall.h: what hall.c, operations.c and worker.c say to each other; nobody else includes it.
 */
#ifndef PGWEIR_SESSION_HALL_H
#define PGWEIR_SESSION_HALL_H

#include "session/session.h"

/* --- hall.c --- */
extern int hall_database_limit(const Hall *hall, const DatabaseSpec *spec);
/* The spec of an automatic database: the template under the client's name for it. */
extern void database_from_template(Database *database, const DatabaseSpec *template);
extern void session_pool_limits(const SessionPool *pool, PoolLimits *limits);
extern PoolMode session_pool_mode(const SessionPool *pool);

/* --- idle.c --- */
/* The private pool of a replication client of this one has gone. */
extern void idle_lost_dedicated(Worker *worker, SessionPool *pool);

/* --- half_open.c --- */
extern bool hall_has_too_many_half_open(Hall *hall);
/* Close those of this worker that were sent away. */
extern void worker_send_away(Worker *worker);

/* --- trim.c --- */
extern void trim_init(Hall *hall);
/* At the end of a turn of any worker: have many clients gone? */
extern void trim_look(Worker *worker);
extern void trim_stop(Hall *hall);

/* --- worker.c --- */
/* The loop stays the caller's.  NULL when out of memory or descriptors. */
extern Worker *worker_create(Hall *hall, int index, NetLoop *loop);
extern void worker_free(Worker *worker);
/* In the policy: the servers that have moved here belong to the worker's loop from now on. */
extern void worker_take_arrivals(Worker *worker);
extern ResolverOptions worker_resolver_options(Worker *worker, const Settings *settings);
/* There is something for it to do: end its sleep.  From any thread. */
extern void worker_call(Worker *worker);

#endif
