/*
 * stats.h: what a pool counts, for SHOW STATS, metrics and the report to the extension.  Only ever grows.
 */
#ifndef PGWEIR_SESSION_STATS_H
#define PGWEIR_SESSION_STATS_H

#include "base/clock.h"
#include "base/histogram.h"

#define STATS_ERROR_CODES 32

typedef struct ErrorCount
{
	char code[6];
	uint64_t count;
} ErrorCount;

typedef struct SessionStats
{
	uint64_t xacts, queries;
	uint64_t received_bytes, sent_bytes; /* from clients, from servers */
	uint64_t xact_us, query_us;
	uint64_t client_parses, server_parses, binds;
	uint64_t logins, disconnects;
	uint64_t expired_running;	/* deadlines that passed while running */
	uint64_t expired_grace;		/* ... and the server did not stop in time */
	uint64_t gone_waiting, gone_running; /* clients that left before their answer */
	uint64_t think_us, think_count;		 /* time between statements of a transaction */
	uint64_t drain_us;			/* time servers were held up by clients that do not read */
	Histogram run_hist;			/* group run time, grant (or arrival) to ReadyForQuery */
	Histogram gone_hist;		/* how long those that left had waited */
	Histogram deadline_hist;	/* the deadlines clients ask for */
	ErrorCount errors[STATS_ERROR_CODES]; /* by SQLSTATE; the last entry collects the rest as "other" */
} SessionStats;

/* Add what a pool that ends has counted to another. */
extern void stats_add(SessionStats *to, const SessionStats *from);
extern void stats_count_error(SessionStats *stats, const char code[5]);

#endif
