/*
 * failure.c: of what kind the failure of a statement is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "capture/failure.h"
#include "guc.h"
#include "storage/proc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

static PgweirCounter
kind_of_cancel(const char *text)
{
	int64		deadline_us = pgweir_deadline_us;

	if (StatementTimeout > 0 && GetCurrentTimestamp() >= get_timeout_finish_time(STATEMENT_TIMEOUT))
		return PGWEIR_STATEMENT_TIMEOUT;
	if (deadline_us == 0 && text != NULL)
		(void) pgweir_comment_deadline(text, strlen(text), &deadline_us);
	return deadline_us > 0 ? PGWEIR_DEADLINE_MISSED : PGWEIR_CANCELLED;
}

PgweirCounter
pgweir_failure_kind(int sqlstate, const char *text)
{
	switch (sqlstate)
	{
		case ERRCODE_QUERY_CANCELED:
			return kind_of_cancel(text);
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return PGWEIR_LOCK_TIMEOUT;
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return PGWEIR_DEADLOCK;
	}
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_DATA_EXCEPTION:
			return PGWEIR_ERR_DATA;
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return PGWEIR_ERR_INTEGRITY;
		case ERRCODE_TRANSACTION_ROLLBACK:
			return PGWEIR_ERR_ROLLBACK;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			return PGWEIR_ERR_ACCESS;
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_SYSTEM_ERROR:
			return PGWEIR_ERR_RESOURCE;
	}
	return PGWEIR_ERR_OTHER;
}
