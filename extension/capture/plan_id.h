/*
 * plan_id.h: a number for the shape of a plan.
 */
#ifndef PGWEIR_CAPTURE_PLAN_ID_H
#define PGWEIR_CAPTURE_PLAN_ID_H

#include "nodes/plannodes.h"

/* Made of nodes, join types, tables and indexes; costs and constants are not in it.  Never 0.  Allocates nothing. */
extern int64 pgweir_plan_id(const PlannedStmt *planned);

#endif
