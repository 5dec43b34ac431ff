/*
 * samples.h: single executions that were slow, slower than their class ever is, or failed by a timeout.
 *
 * They stand in a ring of pgweir.sample_memory, the newest pushing the oldest out.  One lock guards it, taken exclusively for a copy of some
 * kilobytes by a backend that has just been slow anyway.  A sample is this struct and four pieces of data behind it.
 *
 * Everything a sample holds may give data away: readers ask for pg_read_all_stats.
 */
#ifndef PGWEIR_STORES_SAMPLES_H
#define PGWEIR_STORES_SAMPLES_H

#include "stores/backends.h"

typedef enum PgweirSampleReason
{
	PGWEIR_SAMPLE_SLOW,			/* took pgweir.slow_threshold or longer */
	PGWEIR_SAMPLE_UNUSUAL,		/* took pgweir.slow_factor times the 99th percentile of its class */
	PGWEIR_SAMPLE_FAILED		/* was cancelled by one of the timeouts, or by a deadline */
} PgweirSampleReason;

typedef enum PgweirSamplePart
{
	PGWEIR_SAMPLE_TEXT,			/* the request as it was sent, constants and all */
	PGWEIR_SAMPLE_PARAMS,		/* see pgweir_sample_next_param() */
	PGWEIR_SAMPLE_PLAN,			/* as EXPLAIN prints it */
	PGWEIR_SAMPLE_PLAN_JSON,
	PGWEIR_SAMPLE_PARTS
} PgweirSamplePart;

typedef struct PgweirSample
{
	PgweirKey	key;
	int32		pid;			/* 0: a reset has voided it */
	PgweirSampleReason reason;
	PgweirCounter failure;		/* 0: it completed */
	int32		encoding;		/* of all texts */
	TimestampTz started;
	uint64		duration_ns;
	uint64		usual_ns;		/* the class's 99th percentile then; 0: not known */
	int64		deadline_us;	/* 0: none */
	int64		plan_id;		/* 0: not known */
	double		estimated_rows; /* of the plan's top; below 0: there is no plan */
	double		actual_rows;
	double		worst_estimated;	/* of the node that was estimated worst, if the execution was instrumented */
	double		worst_actual;
	char		worst_node[NAMEDATALEN];	/* "" otherwise */
	PgweirWait	waits[PGWEIR_BACKEND_WAITS];
	PgweirBlocker blocker;
	char		application[NAMEDATALEN];
	char		client[NAMEDATALEN];
	char		traceparent[NAMEDATALEN];
	int32		len[PGWEIR_SAMPLE_PARTS];
} PgweirSample;

extern Size pgweir_samples_size(void);
extern int	pgweir_samples_locks(void);
extern void pgweir_samples_attach(void *memory, LWLockPadded *locks, bool fresh);

/* Copies a sample in; part i is len[i] bytes.  One that is larger than an eighth of the ring loses its plans. */
extern void pgweir_sample_store(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS]);

/* Calls visit with a copy of each, oldest first; no lock is held meanwhile, so visit may allocate and fail. */
typedef void (*PgweirSampleVisitor) (const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS], void *arg);
extern void pgweir_samples_visit(PgweirSampleVisitor visit, void *arg);

/*
 * The parameters of a sample, $1 first: *at begins as part[PGWEIR_SAMPLE_PARAMS].  False after the last.  The value is the type's text form, not
 * ending in NUL, and NULL for null; *len is -1 when it could not be told.
 */
extern bool pgweir_sample_next_param(const PgweirSample *sample, const char *const part[PGWEIR_SAMPLE_PARTS],
									 const char **at, Oid *type, const char **value, int *len);

/* Writes a parameter at p, which has room for pgweir_sample_param_size(len); returns what follows it. */
#define pgweir_sample_param_size(len) (sizeof(Oid) + sizeof(int32) + Max(len, 0))
extern char *pgweir_sample_put_param(char *p, Oid type, const char *value, int len);
#define PGWEIR_PARAM_NULL (-1)
#define PGWEIR_PARAM_UNTOLD (-2)

/* Forgets those of a user, database and queryid; 0 is any. */
extern void pgweir_samples_reset(Oid userid, Oid dbid, int64 queryid);

#endif
