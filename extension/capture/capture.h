/*
 * capture.h: counting statements as they are planned and executed.
 *
 * Each file of the folder owns some hooks: parse.c those of the analyser and planner, executor.c, utility.c, and errors.c that
 * of the log.  All call the hook that was there before.  Nothing reads from capture: it writes into the delta store, and the slot of
 * this backend.
 *
 * Counted is an execution, at its end; those that fail are counted in the catch blocks with their time.  Parallel
 * workers are left out (what they read and write is in the leader's figures), and EXPLAIN without ANALYZE runs nothing.
 * Errors before analysis is over (a syntax error, a missing table) belong to no statement class; errors.c counts them
 * in the timeline.  The work of COMMIT (deferred triggers and constraints) happens outside of any hook and is not seen either.
 */
#ifndef PGWEIR_CAPTURE_CAPTURE_H
#define PGWEIR_CAPTURE_CAPTURE_H

/* Installs all hooks; to be called from _PG_init under shared_preload_libraries only. */
extern void pgweir_capture_init(void);

extern void pgweir_parse_init(void);
extern void pgweir_errors_init(void);
extern void pgweir_executor_init(void);
extern void pgweir_utility_init(void);
extern void pgweir_sample_init(void);

#endif
