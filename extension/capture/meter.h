/*
 * meter.h: measuring one run of the planner, the executor or a utility command, and counting it.
 *
 * A meter lives on the C stack of the hook that started it (or in static memory, for a run in two parts).  While it
 * runs, its delta entry is pinned and it is on the chain of running meters, through which the exit callback finds
 * the statements that a FATAL error or a terminate took away.
 *
 * pgweir_meter_fail() is for catch blocks: it takes no lock, allocates nothing and cannot fail.
 */
#ifndef PGWEIR_CAPTURE_METER_H
#define PGWEIR_CAPTURE_METER_H

#include "compat.h"
#include "nodes/params.h"
#include "stores/deltas.h"

/* The statement that is measured, as PlannedStmt, Query and the hooks know it. */
typedef struct PgweirSource
{
	int64		queryid;
	const char *text;			/* of the whole request */
	int			location;		/* of the statement in it, -1: unknown */
	int			len;			/* 0: to the end */
	bool		has_body;		/* its dollar-quoted literals are code, not data */
} PgweirSource;

typedef struct PgweirMeter
{
	PgweirKey	key;
	int			entry;			/* the class's delta; -1 when it could not be had */
	bool		with_usage;		/* buffers and WAL, not only time */
	uint64		start_ns;
	uint64		earlier_ns;		/* of the parts of this execution that were measured before */
	const char *text;			/* borrowed: lives as long as the statement */
	BufferUsage buffers;		/* at the start */
	WalUsage	wal;
	struct PgweirMeter *outer;
} PgweirMeter;

/* How deep the statement now being executed is nested; 0 = none is. */
extern int	pgweir_level;

/* Whether a statement at the present level is to be measured. */
extern bool pgweir_meter_wanted(int64 queryid);

/* Puts the text of a class into the store unless it is known there. jstate may be NULL: any constant is replaced. */
extern void pgweir_meter_note_text(int entry, const PgweirSource *source, JumbleState *jstate);

/* The class of a statement of a request's text at the present level. */
extern void pgweir_meter_key(PgweirKey *key, int64 queryid, const char *text);

/* Of the class in meter->key.  May take locks and fail; the text is put into the store here if it is missing there. */
extern void pgweir_meter_start(PgweirMeter *meter, const PgweirSource *source, bool with_usage);

/* Reads the clock, adds what was used to usage, and returns the nanoseconds since the start. */
extern uint64 pgweir_meter_read(const PgweirMeter *meter, PgweirUsage *usage);

/* Counts an execution that took ns, earlier parts included. */
extern void pgweir_meter_count(const PgweirMeter *meter, PgweirUsage *usage, uint64 ns);

/* Counts the running one as failed, with the kind taken from the error being thrown. */
extern void pgweir_meter_fail(const PgweirMeter *meter, PgweirUsage *usage, const ParamListInfo params);

/* Counts one that failed before a meter ran, with the time since its request arrived; dropped if it has no delta. */
extern void pgweir_meter_fail_early(const PgweirKey *key, const char *text);

/* Takes the meter off the chain and unpins.  At top level, now_ns (0: unknown) may lead to a flush. */
extern void pgweir_meter_end(PgweirMeter *meter, uint64 now_ns);

/* The second part of a run: the same baselines, pinned and chained again. */
extern void pgweir_meter_resume(PgweirMeter *meter);

/* Counts an execution whose meter is gone; without a lock, so it may be dropped when its delta is no longer there. */
extern void pgweir_meter_count_late(const PgweirKey *key, PgweirUsage *usage, uint64 ns);

#endif
