/*
 * payload.h: a sidecar's report as C structs, taken from its JSON.
 *
 * Unknown keys are ignored and missing ones are 0, so that either half may be newer than the other: a version only adds keys
 * to the one before, and the sidecar is told which one is understood here.  A value of the wrong type or out of range is
 * an error that names the key; nothing is stored then.  Everything is parsed before the store is locked.
 *
 * Version 2 added the blocked and failing gauges, further counters and histograms of pools, error, repeats, applications,
 * login failures, and of sockets unacked, rtt_max_us and segments.
 */
#ifndef PGWEIR_STORES_PAYLOAD_H
#define PGWEIR_STORES_PAYLOAD_H

#include "stores/histogram.h"
#include "utils/jsonb.h"

#define PGWEIR_PAYLOAD_VERSION 2	/* the newest that is understood */
#define PGWEIR_NAME_LEN 64		/* names and addresses, with their NUL; longer ones are cut */
#define PGWEIR_SQLSTATES 24		/* distinct SQLSTATEs kept of a pool */
#define PGWEIR_ERROR_LEN 128
#define PGWEIR_REPEATS 8		/* repeated classes taken of a pool's report */
#define PGWEIR_REPEAT_LEN 208	/* of their text */

/* What is so now. */
typedef enum PgweirGauge
{
	PGWEIR_PG_SIZE,
	PGWEIR_PG_RESERVE,
	PGWEIR_PG_SV_ACTIVE,
	PGWEIR_PG_SV_IDLE,
	PGWEIR_PG_SV_USED,
	PGWEIR_PG_SV_TESTED,
	PGWEIR_PG_SV_LOGIN,
	PGWEIR_PG_CL_ACTIVE,
	PGWEIR_PG_CL_WAITING,
	PGWEIR_PG_MAXWAIT_US,
	PGWEIR_PG_CL_BLOCKED,		/* clients that do not read their result, and hold a server */
	PGWEIR_PG_MAXBLOCKED_US,
	PGWEIR_PG_FAILING_US,		/* for how long no connection to the server could be made */
	PGWEIR_PG_NGAUGES
} PgweirGauge;

/* What has happened since the last report. */
typedef enum PgweirPoolCounter
{
	PGWEIR_PC_XACTS,
	PGWEIR_PC_QUERIES,
	PGWEIR_PC_WAIT_US,
	PGWEIR_PC_XACT_US,
	PGWEIR_PC_QUERY_US,
	PGWEIR_PC_REFUSED,
	PGWEIR_PC_EXPIRED_QUEUED,
	PGWEIR_PC_EXPIRED_RUNNING,
	PGWEIR_PC_EXPIRED_GRACE,
	PGWEIR_PC_GONE_WAITING,
	PGWEIR_PC_GONE_RUNNING,
	PGWEIR_PC_WAIT_TIMEOUTS,
	PGWEIR_PC_LOGINS,
	PGWEIR_PC_DISCONNECTS,
	PGWEIR_PC_CONNECTS,
	PGWEIR_PC_CONNECT_FAILURES,
	PGWEIR_PC_THINK_US,
	PGWEIR_PC_THINK_N,
	PGWEIR_PC_DRAIN_US,
	PGWEIR_PC_UNSERVED,			/* requests failed because no connection to the server could be made */
	PGWEIR_PC_LOGINS_REFUSED,	/* connections that the server itself refused */
	PGWEIR_PC_REPEAT_UNITS,		/* transactions, or runs on one connection, that repeated a class many times */
	PGWEIR_PC_REPEAT_STATEMENTS,	/* ... the statements of those classes in them */
	PGWEIR_PC_NCOUNTERS
} PgweirPoolCounter;

typedef enum PgweirPoolHist
{
	PGWEIR_PH_WAIT,				/* waits for a server connection */
	PGWEIR_PH_RUN,				/* run times of queries */
	PGWEIR_PH_GONE,				/* how long clients that gave up had waited for their answer */
	PGWEIR_PH_DEADLINE,			/* deadlines that clients asked for */
	PGWEIR_PH_THINK,			/* time between the requests of a transaction */
	PGWEIR_PH_LIFE,				/* how long client connections lasted */
	PGWEIR_PH_REQUESTS,			/* requests of a transaction: counts, not times */
	PGWEIR_PH_NHISTS
} PgweirPoolHist;

typedef struct PgweirSqlstate
{
	char		code[6];
	uint64		count;
} PgweirSqlstate;

/* A class of statements that came many times in one transaction, or in a row on one connection. */
typedef struct PgweirRepeat
{
	char		fingerprint[20];
	bool		in_xact;
	char		query[PGWEIR_REPEAT_LEN];	/* without literals */
	uint64		units;			/* such transactions or runs since the last report */
	uint64		statements;		/* of the class in them */
	uint64		most;			/* in one of them, recently */
	uint64		first_us;		/* since it was first seen */
} PgweirRepeat;

typedef struct PgweirPoolReport
{
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	char		mode[16];
	char		error[PGWEIR_ERROR_LEN];	/* why no connection to the server can be made; empty: none or it can */
	uint64		gauge[PGWEIR_PG_NGAUGES];
	uint64		counter[PGWEIR_PC_NCOUNTERS];
	uint64		hist[PGWEIR_PH_NHISTS][PGWEIR_BUCKETS];
	int			n_sqlstates;
	PgweirSqlstate sqlstate[PGWEIR_SQLSTATES];
	int			n_repeats;
	PgweirRepeat repeat[PGWEIR_REPEATS];
} PgweirPoolReport;

/* What clients of one application_name did in a database since the last report. */
typedef enum PgweirAppCounter
{
	PGWEIR_AC_XACTS,
	PGWEIR_AC_QUERIES,
	PGWEIR_AC_QUERY_US,
	PGWEIR_AC_THINK_US,
	PGWEIR_AC_ERRORS,
	PGWEIR_AC_NCOUNTERS
} PgweirAppCounter;

typedef struct PgweirApp
{
	char		name[PGWEIR_NAME_LEN];
	char		db[PGWEIR_NAME_LEN];
	uint64		clients;		/* now */
	uint64		first_us;		/* since it was first seen */
	uint64		counter[PGWEIR_AC_NCOUNTERS];
} PgweirApp;

/* A server connection that is linked to a client. */
typedef struct PgweirLinked
{
	int			pid;			/* of the PostgreSQL backend */
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	char		client[PGWEIR_NAME_LEN];
	int			port;
	char		app[PGWEIR_NAME_LEN];
	char		state[32];		/* in the words of pg_stat_activity */
	uint64		wait_us;		/* that the client waited for it */
	uint64		since_us;		/* that it has had it */
	bool		has_deadline;
	int64		deadline_left_us;
} PgweirLinked;

/* The kernel's view of the sockets to one address. */
typedef struct PgweirPeer
{
	char		addr[PGWEIR_NAME_LEN];
	bool		is_server;
	uint64		n;
	uint64		rtt_us;
	uint64		rttvar_us;
	uint64		rtt_max_us;
	uint64		retrans;		/* since each socket was looked at before */
	uint64		segments;		/* sent with data, likewise */
	uint64		lost;
	uint64		unacked;
} PgweirPeer;

typedef struct PgweirReport
{
	int			pid;
	char		version[32];
	char		listen[PGWEIR_NAME_LEN];
	uint64		uptime_us;
	uint64		interval_us;
	uint64		clients;
	uint64		max_clients;
	uint64		login_failures; /* since the last report */
	uint64		clients_refused;	/* likewise: above max_clients */
	int			n_pools;
	PgweirPoolReport *pools;	/* owned: palloc'd with the report, as are the others */
	int			n_linked;
	PgweirLinked *linked;
	int			n_peers;
	PgweirPeer *peers;
	int			n_apps;
	PgweirApp  *apps;
} PgweirReport;

/* The keys of the payload, in the order of the enums above. */
extern const char *const pgweir_gauge_keys[PGWEIR_PG_NGAUGES];
extern const char *const pgweir_pool_counter_keys[PGWEIR_PC_NCOUNTERS];

/* Raises an error when the payload is not what this file describes.  Allocates in the current context. */
extern PgweirReport *pgweir_payload_parse(Jsonb *payload);

#endif
