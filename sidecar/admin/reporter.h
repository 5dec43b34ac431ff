/*
 * reporter.h: reports to the extension: once each report_interval pgweir.report() is called in the server.
 *
 * A connection of its own, through libpq without ever blocking, driven by the worker's loop.  Nothing in the data path waits
 * for it.  While the extension is absent or the server down, it says so in the log once, and tries again with growing
 * pauses (at most 30 s); it says again when it works.  Counters are sent as differences since the last report that
 * succeeded, so nothing is lost by a failed one; see payload.h for the contents.
 *
 * Off when report_interval is 0, report_user is empty, or there is no database to report to.
 */
#ifndef PGWEIR_ADMIN_REPORTER_H
#define PGWEIR_ADMIN_REPORTER_H

#include "session/session.h"

struct pg_result;
typedef struct Reporter Reporter;

/*
 * A question to the server over the same connection, between reports: it is there also when the server has no connection left for
 * others.  Embedded in the asker's object.
 */
typedef struct ReporterQuestion ReporterQuestion;
struct ReporterQuestion
{
	ListNode node;	 /* Reporter.questions, until it is answered */
	const char *sql; /* borrowed; what it returns is read whole */
	/* Called once: a result, or NULL and why there is none (error, and hint or NULL). */
	void (*answered)(ReporterQuestion *question, const struct pg_result *result, const char *error, const char *hint);
};

/* Starts reporting if the settings say so; NULL when out of memory. */
extern Reporter *reporter_create(Worker *worker);
/* Must come before worker_free() and net_loop_free(). */
extern void reporter_free(Reporter *reporter);
/* Ask.  The answer comes at once when there is no connection to ask over, and is then a reason. */
extern void reporter_ask(Reporter *reporter, ReporterQuestion *question);
/* The answer is not wanted any more.  Harmless when it has been given. */
extern void reporter_forget(Reporter *reporter, ReporterQuestion *question);
/* The settings may have changed: database, user or interval. */
extern void reporter_settings_changed(Reporter *reporter);

#endif
