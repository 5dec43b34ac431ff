/*
 * candidates.h: the indexes worth asking the planner about.
 *
 * All candidates of a run stand in one set, each once, known by its number.  A scan's conditions are combined by the
 * rules of a B-tree: columns fixed to a value first, then one range or the wanted order, then what is needed to answer
 * from the index alone.  Every beginning of a candidate is one, too, so that selection can start narrow and widen.
 */
#ifndef PGWEIR_ADVISOR_CANDIDATES_H
#define PGWEIR_ADVISOR_CANDIDATES_H

#include "nodes/bitmapset.h"

#include "advisor/index.h"
#include "advisor/predicates.h"
#include "advisor/tables.h"

typedef struct PgweirCandidate
{
	PgweirIndex *index;
	PgweirTable *table;
	double		bytes;			/* -1: not computed yet */
	double		replaced;		/* bytes of existing indexes that it makes superfluous; -1: not computed yet */
} PgweirCandidate;

typedef struct PgweirCandidates
{
	PgweirCandidate *item;
	int			count;
	int			room;
	PgweirTables *tables;
	MemoryContext context;
} PgweirCandidates;

extern void pgweir_candidates_init(PgweirCandidates *set, PgweirTables *tables, MemoryContext context);

/* Adds what the scan could use.  Nothing on excluded tables, nothing that an existing index serves. */
extern void pgweir_candidates_generate(PgweirCandidates *set, const PgweirScan *scan);

/* The candidates whose first column (in GIN: any) the scan has a use for, whichever statement they came from. */
extern Bitmapset *pgweir_candidates_relevant(const PgweirCandidates *set, const PgweirScan *scan);

/* Size in bytes, computed when first asked for. */
extern double pgweir_candidate_bytes(PgweirCandidates *set, int id);

/* What it takes beyond the existing indexes that can be dropped for it. */
extern double pgweir_candidate_net_bytes(PgweirCandidates *set, int id);

#endif
