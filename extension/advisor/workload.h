/*
 * workload.h: the statements that advice is for, and what each costs with which indexes.
 *
 * A run works on one PgweirWorkload: filled from the statement store or with a single text, then prepared, which
 * parses and plans each statement once as it is and gathers candidates.  From then on pgweir_work_cost() answers
 * what a statement would cost, remembering the answer per set of candidates that matter to it.  Everything lives in
 * the workload's context; planning itself in a scratch context that is reset each time.
 */
#ifndef PGWEIR_ADVISOR_WORKLOAD_H
#define PGWEIR_ADVISOR_WORKLOAD_H

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"

#include "advisor/candidates.h"
#include "advisor/sampled.h"
#include "advisor/tables.h"

typedef struct PgweirCostEntry
{
	Bitmapset  *config;			/* of the statement's relevant candidates */
	double		cost;
	Bitmapset  *used;			/* of them, those in the plan */
} PgweirCostEntry;

typedef struct PgweirWork
{
	int64		queryid;		/* 0: a text that was handed in */
	Oid			userid;
	char	   *text;
	const char *search_path;	/* of the author; NULL: the reader's */
	double		calls;
	double		rows;			/* returned or changed, all calls together */
	double		total_us;
	List	   *queries;		/* analysed; NIL when skipped */
	List	   *variants;		/* of lists of Query: them with values for parameters, assumed and seen; costs are their average */
	int			sampled;		/* of these, executions that were seen */
	int			alike;			/* executions that agree in literals which were taken for the statement's; 0: none were */
	const char *skipped;		/* why it is left out */
	ErrorData  *error;			/* if that was an error */
	bool		has_params;
	double		cost;			/* with the indexes as they are */
	List	   *scans;			/* of PgweirScan */
	Bitmapset  *relevant;		/* candidates that may matter to it */
	List	   *costs;			/* of PgweirCostEntry */
} PgweirWork;

typedef struct PgweirWorkload
{
	MemoryContext context;
	MemoryContext scratch;
	PgweirWork *item;
	int			count;
	int			room;
	double		total_us;		/* of all classes, also those not looked at */
	double		hours;			/* that the classes were observed for; 0: unknown */
	int			others;			/* classes left out by pgweir.advisor_max_statements */
	PgweirTables tables;
	PgweirCandidates candidates;
	TimestampTz deadline;		/* of the search; DT_NOEND: none */
	uint64		plans;			/* planner calls made */
	PgweirSampled *sampled;		/* executions whose values are known; NULL: none were looked for */
} PgweirWorkload;

/* Its memory is a child of the current context. */
extern PgweirWorkload *pgweir_workload_create(void);

/* One statement as the current user would run it. */
extern void pgweir_workload_add_text(PgweirWorkload *workload, const char *text);

/* The classes of the current database in the statement store, those with the most time first. */
extern void pgweir_workload_add_observed(PgweirWorkload *workload);

/* Parses, plans and generates candidates.  Statements that cannot be are marked skipped. */
extern void pgweir_workload_prepare(PgweirWorkload *workload);

/*
 * The statement's cost if the candidates of config existed.  used (may be NULL) gets those of them in the plan.  A
 * planner error counts as no gain.
 */
extern double pgweir_work_cost(PgweirWorkload *workload, PgweirWork *work, const Bitmapset *config, Bitmapset **used);

/* Whether the time for searching is over. */
extern bool pgweir_workload_timed_out(const PgweirWorkload *workload);

#endif
