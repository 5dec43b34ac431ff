/*
 * compat_advisor.h: one spelling of the planner's and parser's interfaces for PostgreSQL 14 to 18.
 *
 * Offers today's names and maps older servers onto them, as compat.h does for the rest of the extension.
 */
#ifndef PGWEIR_ADVISOR_COMPAT_H
#define PGWEIR_ADVISOR_COMPAT_H

#include "executor/executor.h"
#include "nodes/pathnodes.h"
#include "parser/parse_param.h"
#include "utils/pg_locale.h"

/* 14 calls it parse_variable_parameters(). */
#if PG_VERSION_NUM < 150000
#define setup_parse_variable_parameters(pstate, types, count) parse_variable_parameters(pstate, types, count)
#endif

/* Raises the error that the statement's execution would, when its user lacks a right on a table. */
#if PG_VERSION_NUM >= 160000
#define PGWEIR_CHECK_PERMISSIONS(query) ((void) ExecCheckPermissions((query)->rtable, (query)->rteperminfos, true))
#else
#define PGWEIR_CHECK_PERMISSIONS(query) ((void) ExecCheckRTPerms((query)->rtable, true))
#endif

/* The direction of a path key: a btree strategy number before 18, a CompareType since. */
#if PG_VERSION_NUM >= 180000
#define PGWEIR_PATHKEY_DESCENDING(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define PGWEIR_PATHKEY_DESCENDING(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/* Unique indexes in which two nulls clash: a property the planner knows of since 15, the scan structs since 18. */
#if PG_VERSION_NUM >= 150000
#define PGWEIR_INDEX_NULLS_NOT_DISTINCT(form) ((form)->indnullsnotdistinct)
#define PGWEIR_STMT_NULLS_NOT_DISTINCT(stmt) ((stmt)->nulls_not_distinct)
#else
#define PGWEIR_INDEX_NULLS_NOT_DISTINCT(form) (false)
#define PGWEIR_STMT_NULLS_NOT_DISTINCT(stmt) (false)
#endif

/*
 * Whether the condition is asked above an outer join, of rows that may have been made up: no scan can be found by it.  Since 16 it
 * depends on the join, too, as each such column does.
 */
#if PG_VERSION_NUM >= 160000
#define PGWEIR_RINFO_IS_DELAYED(rinfo) (false)
#else
#define PGWEIR_RINFO_IS_DELAYED(rinfo) ((rinfo)->outerjoin_delayed)
#endif

/* The lists at equivalence classes hold the parents' members only since 18; before, children are marked. */
#define PGWEIR_EC_MEMBER_SKIP(member) ((member)->em_is_child)

/* Whether the collation orders by bytes: a question to the locale itself since 18. */
static inline bool
pgweir_collation_is_c(Oid collation)
{
	if (!OidIsValid(collation))
		return true;
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

#endif
