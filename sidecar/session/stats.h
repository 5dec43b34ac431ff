/*
 * stats.h: what a pool counts, for SHOW STATS, metrics and the report to the extension.  Only ever grows.
 *
 * There is one for each pool and worker, of which there may be thousands: what most of them never count is made when it is needed.  When there
 * is no memory for that, it is left out there, and is in the sums.
 */
#ifndef PGWEIR_SESSION_STATS_H
#define PGWEIR_SESSION_STATS_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/histogram.h"

#define STATS_ERROR_CODES 32
#define STATS_REPEATS 8
#define STATS_REPEAT_TEXT 200

typedef struct ErrorCount
{
	char code[6];
	uint64_t count;
} ErrorCount;

/* A class of statements that comes many times in one unit: see repeats.h. */
typedef struct RepeatCount
{
	uint64_t fingerprint; /* 0 = the place is free */
	bool in_xact;		  /* the units are transactions, else runs on one connection */
	uint64_t units, statements;
	uint64_t most; /* in one unit, of about the last ten seconds */
	usec_t most_at;
	usec_t first_at, last_at;
	char text[STATS_REPEAT_TEXT]; /* without literals */
} RepeatCount;

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
	uint64_t gone_us;			/* ... how long they had waited */
	uint64_t think_us, think_count;		 /* time between statements of a transaction */
	uint64_t drain_us;			/* time servers were held up by clients that do not read */
	uint64_t deadline_us;		/* sum of the deadlines asked for */
	uint64_t life_us;			/* sum of what life_hist has */
	uint64_t logins_refused;	/* connections that the server refused itself */
	uint64_t repeat_units, repeat_statements; /* of all classes in `repeats`, those that lost their place too */
	SparseHistogram run_hist;			/* group run time, grant (or arrival) to ReadyForQuery */
	SparseHistogram gone_hist;		/* how long those that left had waited */
	SparseHistogram deadline_hist;	/* the deadlines clients ask for */
	SparseHistogram think_hist;		/* think_us, one by one */
	SparseHistogram life_hist;		/* how long connections of clients lasted */
	SparseHistogram requests_hist;	/* groups of a transaction, BEGIN and COMMIT included: counts, not times */
	ErrorCount *errors;	  /* owned, NULL or STATS_ERROR_CODES of them: by SQLSTATE; the last entry collects the rest as "other" */
	RepeatCount *repeats; /* owned, NULL or STATS_REPEATS of them */
} SessionStats;

/* What it owns; zeroed = nothing counted. */
extern void stats_free(SessionStats *stats);

/* Add what a pool that ends has counted to another. */
extern void stats_add(SessionStats *to, const SessionStats *from);
extern void stats_count_error(SessionStats *stats, const char code[5]);
/* Its classes that repeat; NULL without memory. */
extern RepeatCount *stats_repeats(SessionStats *stats);

#endif
