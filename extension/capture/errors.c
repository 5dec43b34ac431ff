/*
 * errors.c: counting the errors that clients are sent.
 *
 * A new release of a service that asks for a column which is not there fails before the statement is analysed, so that
 * no class of statements can count it.  The log sees it; it is counted in the timeline, whose atomics can be added to
 * while an error is under way.  Seen are the errors that are logged, thus none with log_min_messages above error.
 */
#include "postgres.h"

#include "capture/capture.h"
#include "compat.h"
#include "storage/proc.h"
#include "stores/timeline.h"

static emit_log_hook_type previous_emit;

static void
emit(ErrorData *error)
{
	if (error->elevel >= ERROR && MyProc != NULL && MyBackendType == B_BACKEND)
		pgweir_timeline_note_error(error->sqlerrcode);
	if (previous_emit)
		previous_emit(error);
}

void
pgweir_errors_init(void)
{
	previous_emit = emit_log_hook;
	emit_log_hook = emit;
}
