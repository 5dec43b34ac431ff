/*
 * figures.h: everything that is counted of a pool, read in one place: for reports, for metrics and for the JSON of the HTTP endpoint.
 *
 * A figure has a key (in reports and JSON) and a metric's name; several of one metric differ by a label.
 */
#ifndef PGWEIR_ADMIN_FIGURES_H
#define PGWEIR_ADMIN_FIGURES_H

#include "session/session.h"

typedef enum PoolCounterKind
{
	PC_XACTS,
	PC_QUERIES,
	PC_WAIT_US,
	PC_XACT_US,
	PC_QUERY_US,
	PC_REFUSED,
	PC_EXPIRED_QUEUED,
	PC_EXPIRED_RUNNING,
	PC_EXPIRED_GRACE,
	PC_GONE_WAITING,
	PC_GONE_RUNNING,
	PC_WAIT_TIMEOUTS,
	PC_LOGINS,
	PC_DISCONNECTS,
	PC_CONNECTS,
	PC_CONNECT_FAILURES,
	PC_THINK_US,
	PC_THINK_N,
	PC_DRAIN_US,
	PC_UNSERVED,
	PC_LOGINS_REFUSED,
	PC_REPEAT_UNITS,
	PC_REPEAT_STATEMENTS,
	PC_RECEIVED_BYTES,
	PC_SENT_BYTES,
	PC_KINDS
} PoolCounterKind;

typedef enum PoolGaugeKind
{
	PG_SIZE,
	PG_RESERVE,
	PG_SV_ACTIVE,
	PG_SV_IDLE,
	PG_SV_USED,
	PG_SV_TESTED,
	PG_SV_LOGIN,
	PG_CL_ACTIVE,
	PG_CL_WAITING,
	PG_MAXWAIT_US,
	PG_CL_BLOCKED,
	PG_MAXBLOCKED_US,
	PG_FAILING_US,
	PG_KINDS
} PoolGaugeKind;

typedef enum PoolHistogramKind
{
	PH_WAIT,
	PH_RUN,
	PH_GONE,
	PH_DEADLINE,
	PH_THINK,
	PH_LIFE,
	PH_REQUESTS,
	PH_KINDS
} PoolHistogramKind;

typedef struct PoolFigures
{
	const char *database, *user, *mode; /* borrowed: as long as the pool */
	const char *error;					/* why no connection to the server can be made, or NULL */
	uint64_t counters[PC_KINDS];
	uint64_t gauges[PG_KINDS];
	Histogram histograms[PH_KINDS];
	uint64_t sums[PH_KINDS]; /* of the values in a histogram */
	ErrorCount errors[STATS_ERROR_CODES];
	RepeatCount repeats[STATS_REPEATS];
} PoolFigures;

/* What a figure is called. */
typedef struct FigureName
{
	const char *key;	/* NULL = not reported */
	const char *metric; /* without "pgweir_" and "_total"; NULL = no metric of its own; those of one metric stand together */
	const char *label;	/* name="value", or NULL */
	bool seconds;		/* is in microseconds and shown as seconds */
	const char *help;	/* of the metric: given with the first figure of it */
} FigureName;

extern const FigureName figure_counters[PC_KINDS];
extern const FigureName figure_gauges[PG_KINDS];
extern const FigureName figure_histograms[PH_KINDS];

/* Parked. */
extern void figures_of_pool(const SessionPool *pool, usec_t now, PoolFigures *out);

/* Since an instant, which may be 0 for none, or to come. */
static inline uint64_t
figures_elapsed(usec_t since, usec_t now)
{
	return since > 0 && since < now ? (uint64_t) (now - since) : 0;
}

#endif
