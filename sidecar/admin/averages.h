/*
 * averages.h: what happened per second lately: snapshots of the pools' counters, one each stats_period.
 *
 * An average covers the time since the older of two snapshots, so between one and two periods (since the start while the process
 * is younger).  At each snapshot the line of statistics goes to the log when log_stats says so.  Counters of the
 * sessions are only read.  One thread, the worker's.
 */
#ifndef PGWEIR_ADMIN_AVERAGES_H
#define PGWEIR_ADMIN_AVERAGES_H

#include "session/session.h"

typedef struct Averages Averages;

/* In the order of SHOW STATS_TOTALS. */
typedef enum StatKind
{
	STAT_ASSIGNMENTS,
	STAT_XACTS,
	STAT_QUERIES,
	STAT_RECEIVED,
	STAT_SENT,
	STAT_XACT_US,
	STAT_QUERY_US,
	STAT_WAIT_US,
	STAT_CLIENT_PARSES,
	STAT_SERVER_PARSES,
	STAT_BINDS,
	STAT_CLIENT_LOGINS,
	STAT_KINDS
} StatKind;

/* Sums of counters, differences of them, or averages. */
typedef struct StatSums
{
	uint64_t v[STAT_KINDS];
} StatSums;

/* Takes the first snapshot and starts the timer; NULL when out of memory. */
extern Averages *averages_create(Worker *worker);
extern void averages_free(Averages *averages);
/* stats_period may have changed. */
extern void averages_settings_changed(Averages *averages);

/* Add a pool's counters now to *now, and what they were at the older snapshot to *then. */
extern void averages_add_pool(const Averages *averages, const SessionPool *pool, StatSums *now, StatSums *then);
/* The console's commands are counted too, each as a query and a transaction. */
extern void averages_count_command(Averages *averages);
extern void averages_add_console(const Averages *averages, StatSums *now, StatSums *then);
/* The time between the older snapshot and now. */
extern usec_t averages_span(const Averages *averages);
/*
 * From two readings, span_us apart, to averages: counts and bytes per second, transaction and query time per transaction and
 * query, wait time per server assignment; 0 where nothing happened.
 */
extern void averages_compute(const StatSums *now, const StatSums *then, usec_t span_us, StatSums *out);
/* The log line; returns buf. */
extern const char *averages_line(const StatSums *averages, char *buf, size_t size);

#endif
