/*
 * rows.h: building the rows that the extension's set-returning functions return.
 */
#ifndef PGWEIR_VIEWS_ROWS_H
#define PGWEIR_VIEWS_ROWS_H

#include "catalog/pg_authid.h"
#include "compat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define PGWEIR_MAX_COLUMNS 128

/* A row in the making; columns are appended in order. */
typedef struct PgweirRow
{
	int			n;
	Datum		value[PGWEIR_MAX_COLUMNS];
	bool		null[PGWEIR_MAX_COLUMNS];
} PgweirRow;

/* Begin the result of a function that needs shared memory; rows go there by pgweir_row_emit(). */
extern ReturnSetInfo *pgweir_rows_start(FunctionCallInfo fcinfo);

static inline void
pgweir_row_put(PgweirRow *row, Datum value)
{
	row->null[row->n] = false;
	row->value[row->n++] = value;
}

static inline void
pgweir_row_null(PgweirRow *row)
{
	row->null[row->n] = true;
	row->value[row->n++] = (Datum) 0;
}

static inline void
pgweir_row_int8(PgweirRow *row, uint64 value)
{
	pgweir_row_put(row, Int64GetDatum((int64) value));
}

static inline void
pgweir_row_float8(PgweirRow *row, double value)
{
	pgweir_row_put(row, Float8GetDatum(value));
}

static inline void
pgweir_row_text(PgweirRow *row, const char *value)
{
	pgweir_row_put(row, CStringGetTextDatum(value));
}

static inline void
pgweir_row_time(PgweirRow *row, TimestampTz value)
{
	if (value == 0)
		pgweir_row_null(row);
	else
		pgweir_row_put(row, TimestampTzGetDatum(value));
}

/* Ends the row: hands it to the function's result. */
static inline void
pgweir_row_emit(PgweirRow *row, ReturnSetInfo *result)
{
	Assert(row->n == result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->value, row->null);
	row->n = 0;
}

/* The same, by a form that is made once for all rows: for those of many columns.  Lives in the memory context where it was created. */
typedef struct PgweirForm PgweirForm;
extern PgweirForm *pgweir_form_create(TupleDesc desc);
extern void pgweir_form_emit(PgweirForm *form, PgweirRow *row, ReturnSetInfo *result);

/* As InitMaterializedSRF(), for a result that is kept in memory up to this size even when work_mem is less. */
static inline ReturnSetInfo *
pgweir_rows_begin(FunctionCallInfo fcinfo, int kilobytes)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller;

	InitMaterializedSRF(fcinfo, 0);
	if (kilobytes <= work_mem)
		return result;
	caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	tuplestore_end(result->setResult);
	result->setResult = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, kilobytes);
	MemoryContextSwitchTo(caller);
	return result;
}

/* Whether the caller may read statements and activity of this user. */
static inline bool
pgweir_may_read(Oid userid)
{
	return userid == GetUserId() || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

#endif
