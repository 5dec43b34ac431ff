/*
 * facts.h: what the plan and the executor tell about a statement beyond its time.
 */
#ifndef PGWEIR_CAPTURE_FACTS_H
#define PGWEIR_CAPTURE_FACTS_H

#include "compat.h"
#include "nodes/execnodes.h"
#include "stores/deltas.h"

/* Notes the tables that a plan uses with its class.  May take a lock. */
extern void pgweir_note_relations(int entry, const PlannedStmt *planned);

/* Counts whether a top-level statement ran by a prepared statement's generic plan or by a custom one. */
extern void pgweir_plan_kind(const QueryDesc *desc, PgweirUsage *usage);

/* Adds what compiling this execution's expressions took, in its parallel workers, too. */
extern void pgweir_jit_usage(const EState *estate, PgweirUsage *usage);

#endif
