/*
 * result.h: the answers of the console as protocol messages: result sets, tags, errors, notices.
 *
 * A Result collects one answer in a Buf.  Failure (out of memory) is sticky; the caller asks once, at the end.  Values
 * are put column by column, in the order of the columns; a row with another number of values is a mistake in this
 * program and ends it.
 */
#ifndef PGWEIR_ADMIN_RESULT_H
#define PGWEIR_ADMIN_RESULT_H

#include "base/buf.h"
#include "base/clock.h"
#include "wire/backend.h"
#include "wire/msg.h"

#define RESULT_COLUMNS_MAX 64

typedef struct Result
{
	Buf buf;
	bool failed;
	char error[160]; /* the message, when the answer is one: for the log */
	int columns;  /* of the current result set */
	int values;	  /* put so far into the current row */
	WireWriter _row;
} Result;

extern void result_free(Result *result);

/*
 * Begin a result set.  types has one letter a column: s and T text, i int4, q int8, N numeric, b bytea; names are separated by
 * blanks.
 */
extern void result_columns(Result *result, const char *types, const char *names);
/* The same with columns that somebody else chose. */
extern void result_columns_as(Result *result, const WireColumn *columns, int n);
extern void result_row(Result *result);
/* NULL is the SQL NULL. */
extern void result_text(Result *result, const char *text);
extern void result_format(Result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void result_number(Result *result, int64_t number);
extern void result_unsigned(Result *result, uint64_t number);
/* Local time "2026-01-31 12:00:00 UTC" of an instant of the monotonic clock. */
extern void result_time(Result *result, usec_t at, usec_t now);
extern void result_row_end(Result *result);

/* CommandComplete and ReadyForQuery: ends the answer. */
extern void result_done(Result *result, const char *tag);
/* ERROR 08P01 and ReadyForQuery: ends the answer, in place of result_done. */
extern void result_error(Result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with another SQLSTATE and a DETAIL (or NULL). */
extern void result_error_detail(Result *result, const char *sqlstate, const char *message, const char *detail);
extern void result_notice(Result *result, const char *message, const char *detail);

#endif
