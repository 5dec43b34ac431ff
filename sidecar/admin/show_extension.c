/*
 * show_extension.c: a result of the extension's as the console's.
 */
#include <libpq-fe.h>

#include "admin/show.h"

/* Integers keep their types, all else is text. */
static uint32_t
shown_type(Oid type)
{
	return type == WIRE_OID_INT4 || type == WIRE_OID_INT8 ? type : WIRE_OID_TEXT;
}

void
show_answer(Result *result, const PGresult *answer)
{
	WireColumn columns[RESULT_COLUMNS_MAX];
	int n = PQnfields(answer) < RESULT_COLUMNS_MAX ? PQnfields(answer) : RESULT_COLUMNS_MAX;

	for (int i = 0; i < n; i++)
		columns[i] = (WireColumn){PQfname(answer, i), shown_type(PQftype(answer, i))};
	result_columns_as(result, columns, n);
	for (int row = 0; row < PQntuples(answer); row++)
	{
		result_row(result);
		for (int i = 0; i < n; i++)
			result_text(result, PQgetisnull(answer, row, i) ? NULL : PQgetvalue(answer, row, i));
		result_row_end(result);
	}
}
