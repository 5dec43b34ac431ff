/*
 * schedule.h: advice made in the background, so that it is there when somebody looks.
 *
 * Off by default.  With pgweir.advisor_interval set when the server starts, a launcher without a database starts a worker for one
 * database after the other that has statements in the store and the extension; each runs pgweir.advise() once and goes.
 */
#ifndef PGWEIR_ADVISOR_SCHEDULE_H
#define PGWEIR_ADVISOR_SCHEDULE_H

/* Registers the launcher; to be called from _PG_init under shared_preload_libraries only. */
extern void pgweir_schedule_init(void);

/* Ends the process, with a line in the log, when it is such a worker and the server has better things to do. */
extern void pgweir_schedule_give_way(void);

/* Whether this is such a worker. */
extern bool pgweir_schedule_is_background(void);

#endif
