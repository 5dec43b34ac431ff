/*
 * reports.h: what the sidecars report, for as long as they go on reporting.
 *
 * A report replaces its reporter's gauges and linked connections, and adds to the counters of its pools, addresses and
 * applications: to their sums of life, and to a ring of short windows of which readers add up the recent ones.  A reporter that
 * is silent for pgweir.report_expiry is no longer shown, and its place goes to the next who needs it.
 *
 * Everything is bounded: pgweir.max_reporters, pgweir.max_pools, and as many linked connections as there can be
 * backends.  What does not fit is counted as left out.  One lock guards all; writers are the sidecars, once a
 * second each, readers are the views.  No other statement ever takes it.
 */
#ifndef PGWEIR_STORES_REPORTS_H
#define PGWEIR_STORES_REPORTS_H

#include "datatype/timestamp.h"
#include "stores/payload.h"
#include "stores/recent.h"
#include "stores/shared.h"

/* A pool as a reader gets it. */
typedef struct PgweirPoolView
{
	char		reporter[PGWEIR_NAME_LEN];
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	char		mode[16];
	char		error[PGWEIR_ERROR_LEN];
	TimestampTz first_seen;
	TimestampTz last_seen;
	uint64		gauge[PGWEIR_PG_NGAUGES];
	uint64		total[PGWEIR_PC_NCOUNTERS]; /* since first_seen */
	uint64		recent[PGWEIR_PC_NCOUNTERS];	/* in the last PGWEIR_RECENT_S seconds */
	uint64		hist[PGWEIR_PH_NHISTS][PGWEIR_BUCKETS]; /* recent */
	uint64		peak_waiting;	/* recent, by report */
	int			n_sqlstates;
	PgweirSqlstate sqlstate[PGWEIR_SQLSTATES];	/* recent */
	PgweirSqlstate sqlstate_total[PGWEIR_SQLSTATES];	/* since first_seen, in the same order */
} PgweirPoolView;

typedef struct PgweirReporterView
{
	char		name[PGWEIR_NAME_LEN];
	int			pid;
	char		version[32];
	char		listen[PGWEIR_NAME_LEN];
	TimestampTz first_seen;
	TimestampTz last_seen;
	uint64		reports;
	uint64		left_out;		/* pools and linked connections that found no place */
	uint64		uptime_us;
	uint64		interval_us;
	uint64		clients;
	uint64		max_clients;
	uint64		login_failures;	/* recent */
	uint64		clients_refused;	/* recent */
} PgweirReporterView;

typedef struct PgweirPeerView
{
	char		reporter[PGWEIR_NAME_LEN];
	TimestampTz seen;
	PgweirPeer	peer;			/* as last seen; retrans and segments are recent */
	uint64		rtt_most_us;	/* recent */
} PgweirPeerView;

typedef struct PgweirAppView
{
	char		reporter[PGWEIR_NAME_LEN];
	TimestampTz first;
	TimestampTz seen;
	PgweirApp	app;			/* as last seen; the counters are recent */
	uint64		total[PGWEIR_AC_NCOUNTERS]; /* since first */
} PgweirAppView;

typedef struct PgweirRepeatView
{
	char		reporter[PGWEIR_NAME_LEN];
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	TimestampTz first;
	TimestampTz seen;
	PgweirRepeat repeat;		/* units, statements and most are recent */
} PgweirRepeatView;

typedef struct PgweirLinkedView
{
	char		reporter[PGWEIR_NAME_LEN];
	TimestampTz reported;
	PgweirLinked linked;
} PgweirLinkedView;

extern Size pgweir_reports_size(void);
extern int	pgweir_reports_locks(void);
extern void pgweir_reports_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Takes a report in.  Raises an error when there is no place for another reporter. */
extern void pgweir_reports_store(const char *reporter, const PgweirReport *report);

/* Copies of what live reporters said, palloc'd; *n is how many. */
extern PgweirReporterView *pgweir_reports_reporters(int *n);
extern PgweirPoolView *pgweir_reports_pools(int *n);
extern PgweirLinkedView *pgweir_reports_linked(int *n);
/* Of those seen recently. */
extern PgweirPeerView *pgweir_reports_peers(int *n);
extern PgweirAppView *pgweir_reports_apps(int *n);
extern PgweirRepeatView *pgweir_reports_repeats(int *n);

/* Forgets all reports. */
extern void pgweir_reports_reset(void);

#endif
