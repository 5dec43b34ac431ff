/*
 * isolate.c: subtransactions around parsing and planning.
 */
#include "postgres.h"

#include "advisor/isolate.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "advisor/settings.h"

/* Whether an error says something of the statement at hand, rather than of this backend or its user's wish. */
static bool
may_be_caught(int code)
{
	return code != ERRCODE_QUERY_CANCELED && code != ERRCODE_OUT_OF_MEMORY && code != ERRCODE_ADMIN_SHUTDOWN &&
		code != ERRCODE_CRASH_SHUTDOWN;
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* The action in the surroundings of its author; rolling back undoes them, too. */
static void
run_as(Oid userid, const char *search_path, PgweirAction action, void *arg)
{
	char		timeout[32];
	int			nest_level = NewGUCNestLevel();
	Oid			saved_user;
	int			saved_context;

	snprintf(timeout, sizeof(timeout), "%d", pgweir_advisor_lock_timeout_ms);
	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(userid, saved_context | SECURITY_RESTRICTED_OPERATION | SECURITY_LOCAL_USERID_CHANGE);
	set_local("lock_timeout", timeout);
	if (search_path)
		set_local("search_path", search_path);
	action(arg);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(saved_user, saved_context);
}

/* In PG_CATCH of a subtransaction that began in these: end it.  Returns what went wrong. */
static ErrorData *
roll_back(MemoryContext context, ResourceOwner owner)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

ErrorData *
pgweir_isolated(Oid userid, const char *search_path, PgweirAction action, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile result = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		run_as(userid, search_path, action, arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error = roll_back(context, owner);

		if (!may_be_caught(error->sqlerrcode))
			ReThrowError(error);
		result = error;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return result;
}

void
pgweir_rolled_back(PgweirAction action, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		action(arg);
	}
	PG_CATCH();
	{
		ReThrowError(roll_back(context, owner));
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}
