/*
 * reporter.c: the connection that reports go over, as a state machine on the loop.
 *
 * libpq is used in its asynchronous form only.  Names are resolved by the resolver before libpq sees them, so that it never does.  While
 * it connects it computes (TLS, the keys of SCRAM): each PQconnectPoll is a job, which has the connection to itself until it is done.
 * Every failure ends in fail(), which closes the connection and arms the timer for the next attempt.
 */
#include "admin/reporter.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/payload.h"
#include "net/jobs.h"

#define ANSWER_LIMIT_US (10 * USEC_PER_SEC) /* for connecting, and for taking in a report */
#define RETRY_FIRST_US (1 * USEC_PER_SEC)
#define RETRY_LONGEST_US (30 * USEC_PER_SEC)

typedef enum ReporterState
{
	REPORTER_OFF,		 /* the settings do not ask for reports; no connection, no timer */
	REPORTER_RETRY,		 /* no connection; the timer is armed for the next attempt */
	REPORTER_RESOLVING,	 /* waits for DNS; the timer limits it */
	REPORTER_CONNECTING, /* PQconnectPoll goes on; the timer limits it */
	REPORTER_READY,		 /* connected; the timer is armed for the next report */
	REPORTER_SENDING,	 /* a report is on its way; the timer limits it */
	REPORTER_ASKING,	 /* the first question is; the timer limits it */
} ReporterState;

/* Where to report. */
typedef struct ReportTarget
{
	char host[256]; /* one name, address, or directory of a Unix socket */
	int port;
	char dbname[128];
	char user[128];
} ReportTarget;

/* A PQconnectPoll under way. */
typedef struct ConnectPoll
{
	NetJob job;
	Reporter *reporter; /* borrowed; not the thread's to look at */
	PGconn *conn;		/* owned until it is done */
	PostgresPollingStatusType status;
} ConnectPoll;

struct Reporter
{
	Worker *worker; /* borrowed */
	ReporterState state;
	ReportTarget target;
	Payload *payload; /* owned */
	PGconn *conn;	  /* owned; NULL without connection, and while `polling` has it */
	ConnectPoll *polling; /* CONNECTING: owned, or NULL */
	NetWatch watch;	  /* of conn's socket */
	bool watching;
	ResolverQuery *dns; /* while RESOLVING */
	Timer timer;
	usec_t sent_at;
	bool accepted;		/* SENDING: the server has said that it took the report */
	bool too_new;		/* SENDING: ... because it does not know this version of reports */
	char refused[300];	/* SENDING: its error message; else why it did not work last */
	List questions;		/* ReporterQuestion */
	bool forgotten;		/* ASKING: nobody wants the answer */
	int failures;	/* since the last success */
	int attempts;	/* picks the host of a list */
	int understood;	/* SENDING: the version that the extension says it understands; 0 = it did not say */
	int version;	/* that reports are sent as: PAYLOAD_VERSION, or 1 for an extension that refuses later ones */
	int told;		/* ... of which the log has told, when it is another than ours */
	bool complained; /* the log says that it does not work */
	bool praised;	 /* ... or that it does */
};

static void on_ready(NetWatch *watch, bool readable, bool writable);
static void take_turn(Reporter *reporter);

/* --- the target --- */

/* The host whose turn it is, of a list. */
static void
pick_host(const Settings *settings, const DatabaseSpec *spec, int turn, char *out, size_t size)
{
	const char *hosts = spec->host;
	int count = 1;

	if (hosts == NULL || hosts[0] == '\0')
	{
		const char *dir = settings->unix_socket_dir;

		snprintf(out, size, "%s", dir != NULL && dir[0] != '\0' ? dir : "/tmp");
		return;
	}
	for (const char *p = hosts; *p != '\0'; p++)
		count += *p == ',';
	for (int i = turn % count; i > 0; i--)
		hosts = strchr(hosts, ',') + 1;
	hosts += strspn(hosts, " ");
	snprintf(out, size, "%.*s", (int) strcspn(hosts, ", "), hosts);
}

/* False when the settings ask for no reports. */
static bool
find_target(const Settings *settings, int turn, ReportTarget *out)
{
	const DatabaseSpec *spec = NULL;
	const char *dbname = NULL;

	if (settings->report_interval_us <= 0 || settings->report_user == NULL || settings->report_user[0] == '\0')
		return false;
	if (settings->report_database != NULL && settings->report_database[0] != '\0')
	{
		dbname = settings->report_database;
		spec = settings_find_database(settings, dbname);
		if (spec == NULL)
			spec = settings->database_template;
	}
	else if (settings->database_count > 0)
		spec = &settings->databases[0];
	if (spec == NULL)
		return false;
	if (spec->dbname != NULL && strcmp(spec->dbname, "*") != 0)
		dbname = spec->dbname;
	*out = (ReportTarget){.port = spec->port};
	pick_host(settings, spec, turn, out->host, sizeof(out->host));
	snprintf(out->dbname, sizeof(out->dbname), "%s", dbname != NULL ? dbname : "");
	snprintf(out->user, sizeof(out->user), "%s", settings->report_user);
	return true;
}

static bool
is_directory(const char *host)
{
	return host[0] == '/' || host[0] == '@';
}

/* --- state --- */

static void
arm(Reporter *reporter, deadline_t at)
{
	timer_arm(net_timers(reporter->worker->loop), &reporter->timer, at);
}

static void
limit_answer(Reporter *reporter)
{
	arm(reporter, worker_now(reporter->worker) + ANSWER_LIMIT_US);
}

static void
unwatch(Reporter *reporter)
{
	if (reporter->watching)
		net_unwatch(&reporter->watch);
	reporter->watching = false;
}

/* Watch the connection's socket.  False: it cannot be watched. */
static bool
watch(Reporter *reporter, bool readable, bool writable)
{
	if (reporter->watching)
		return net_watch_change(&reporter->watch, readable, writable);
	reporter->watch = (NetWatch){.on_ready = on_ready, .owner = reporter};
	reporter->watching = net_watch(reporter->worker->loop, &reporter->watch, PQsocket(reporter->conn), readable, writable);
	return reporter->watching;
}

static void
disconnect(Reporter *reporter)
{
	unwatch(reporter);
	if (reporter->dns != NULL)
		resolver_cancel(reporter->dns);
	reporter->dns = NULL;
	if (reporter->polling != NULL)
		net_job_abandon(&reporter->polling->job);
	reporter->polling = NULL;
	PQfinish(reporter->conn);
	reporter->conn = NULL;
}

static usec_t
retry_pause(const Reporter *reporter)
{
	usec_t pause_us = RETRY_FIRST_US;

	for (int i = 1; i < reporter->failures && pause_us < RETRY_LONGEST_US; i++)
		pause_us *= 2;
	return pause_us < RETRY_LONGEST_US ? pause_us : RETRY_LONGEST_US;
}

/* Nobody can be asked. */
static void
refuse_questions(Reporter *reporter, const char *reason)
{
	char error[400];

	snprintf(error, sizeof(error), "the extension cannot be asked: %.*s", (int) strcspn(reason, "\n"), reason);
	while (!list_empty(&reporter->questions))
	{
		ReporterQuestion *question = CONTAINER_OF(list_first(&reporter->questions), ReporterQuestion, node);

		list_remove(&reporter->questions, &question->node);
		question->answered(question, NULL, error,
						   "It is asked over the connection that reports go over: see report_user, and the log.");
	}
}

/* It did not work: say so once, and try again later. */
static void
fail(Reporter *reporter, const char *reason)
{
	const ReportTarget *target = &reporter->target;

	reporter->failures++;
	log_write(reporter->worker->log, reporter->complained ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
			  "reporting to the extension does not work (%s:%d, database \"%s\", user \"%s\"): %.*s; it will be tried again",
			  target->host, target->port, target->dbname, target->user, (int) strcspn(reason, "\n"), reason);
	reporter->complained = true;
	reporter->praised = false;
	/* the reason may be the connection's, and go with it */
	if (reason != reporter->refused)
		snprintf(reporter->refused, sizeof(reporter->refused), "%.*s", (int) strcspn(reason, "\n"), reason);
	disconnect(reporter);
	reporter->state = REPORTER_RETRY;
	arm(reporter, worker_now(reporter->worker) + retry_pause(reporter));
	refuse_questions(reporter, reporter->refused);
}

/* Either half may be the newer one; what only one of them knows is not shown. */
static void
compare_versions(Reporter *reporter)
{
	int theirs = reporter->understood > 0 ? reporter->understood : 1;

	if (theirs == PAYLOAD_VERSION || theirs == reporter->told)
		return;
	reporter->told = theirs;
	log_write(reporter->worker->log, LOG_LEVEL_LOG,
			  "the extension understands reports of version %d, this process sends version %d: update %s to see every figure", theirs,
			  PAYLOAD_VERSION, theirs < PAYLOAD_VERSION ? "the extension" : "pgweir");
}

static void
succeed(Reporter *reporter)
{
	const ReportTarget *target = &reporter->target;

	payload_taken(reporter->payload);
	reporter->failures = 0;
	reporter->complained = false;
	if (!reporter->praised)
		log_write(reporter->worker->log, LOG_LEVEL_LOG, "reporting to the extension works (%s:%d, database \"%s\", user \"%s\")",
				  target->host, target->port, target->dbname, target->user);
	reporter->praised = true;
	compare_versions(reporter);
	reporter->refused[0] = '\0';
	take_turn(reporter);
}

/* --- connecting --- */

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

/* The password, when it is one and not a hash. */
static const char *
find_password(const Settings *settings, const char *user)
{
	const UserSpec *spec = settings_find_user(settings, user);
	const char *secret = spec != NULL ? spec->secret : NULL;

	if (secret == NULL || secret[0] == '\0' || strncmp(secret, "SCRAM-SHA-256$", 14) == 0 ||
		(strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35))
		return NULL;
	return secret;
}

static void
run_poll(NetJob *job)
{
	ConnectPoll *poll = CONTAINER_OF(job, ConnectPoll, job);

	poll->status = PQconnectPoll(poll->conn);
}

static void
discard_poll(NetJob *job)
{
	ConnectPoll *poll = CONTAINER_OF(job, ConnectPoll, job);

	PQfinish(poll->conn);
	free(poll);
}

static void
on_polled(NetJob *job)
{
	ConnectPoll *poll = CONTAINER_OF(job, ConnectPoll, job);
	Reporter *reporter = poll->reporter;
	PostgresPollingStatusType status = poll->status;

	reporter->conn = poll->conn;
	reporter->polling = NULL;
	free(poll);
	switch (status)
	{
		case PGRES_POLLING_READING:
		case PGRES_POLLING_WRITING:
			if (!watch(reporter, status == PGRES_POLLING_READING, status == PGRES_POLLING_WRITING))
				fail(reporter, "could not watch the connection");
			break;
		case PGRES_POLLING_OK:
			if (PQsetnonblocking(reporter->conn, 1) != 0)
			{
				fail(reporter, PQerrorMessage(reporter->conn));
				break;
			}
			reporter->state = REPORTER_READY;
			reporter->version = PAYLOAD_VERSION;
			arm(reporter, worker_now(reporter->worker));
			break;
		default:
			fail(reporter, PQerrorMessage(reporter->conn));
			break;
	}
}

/* libpq may change sockets between two polls, also into one with the same number. */
static void
connect_poll(Reporter *reporter)
{
	ConnectPoll *poll = calloc(1, sizeof(*poll));

	unwatch(reporter);
	if (poll == NULL)
	{
		fail(reporter, "out of memory");
		return;
	}
	*poll = (ConnectPoll){.job = {.run = run_poll, .done = on_polled, .discard = discard_poll}, .reporter = reporter, .conn = reporter->conn};
	reporter->polling = poll;
	reporter->conn = NULL;
	net_job_start(reporter->worker->jobs, NET_JOB_COMPUTES, &poll->job);
}

/* hostaddr is NULL for a Unix socket. */
static void
connect_to(Reporter *reporter, const char *hostaddr)
{
	const ReportTarget *target = &reporter->target;
	char port[16];
	const char *keys[] = {"host", "hostaddr", "port", "dbname", "user", "password", "application_name", "client_encoding", "gssencmode", NULL};
	const char *values[] = {target->host, hostaddr, port, target->dbname, target->user,
							find_password(reporter->worker->settings, target->user), "pgweir", "UTF8", "disable", NULL};

	snprintf(port, sizeof(port), "%d", target->port);
	reporter->state = REPORTER_CONNECTING;
	reporter->conn = PQconnectStartParams(keys, values, 0);
	if (reporter->conn == NULL)
		fail(reporter, "out of memory");
	else if (PQstatus(reporter->conn) == CONNECTION_BAD)
		fail(reporter, PQerrorMessage(reporter->conn));
	else
	{
		PQsetNoticeProcessor(reporter->conn, ignore_notice, NULL);
		/* as after a poll that wants to write, so the manual */
		if (!watch(reporter, false, true))
			fail(reporter, "could not watch the connection");
	}
}

static void
on_resolved(void *arg, const NetAddress *addresses, int count, const char *error)
{
	Reporter *reporter = arg;
	NetPeer peer;
	char ip[64];
	char reason[300];

	reporter->dns = NULL;
	if (count == 0)
	{
		snprintf(reason, sizeof(reason), "DNS lookup failed: %s", error);
		fail(reporter, reason);
		return;
	}
	net_peer_from(&addresses[reporter->attempts % count].addr, &peer);
	connect_to(reporter, net_peer_ip(&peer, ip, sizeof(ip)));
}

static void
connect_start(Reporter *reporter)
{
	Worker *worker = reporter->worker;
	const ReportTarget *target = &reporter->target;
	NetAddress numeric;

	if (!find_target(worker->settings, reporter->attempts++, &reporter->target))
	{
		reporter->state = REPORTER_OFF;
		return;
	}
	limit_answer(reporter);
	if (is_directory(target->host))
		connect_to(reporter, NULL);
	else if (net_address_parse(target->host, target->port, &numeric))
		connect_to(reporter, target->host);
	else
	{
		reporter->state = REPORTER_RESOLVING;
		reporter->dns = resolver_ask(worker->resolver, target->host, target->port, on_resolved, reporter);
		if (reporter->dns == NULL)
			fail(reporter, "out of memory");
	}
}

/* --- a report --- */

static void
flush_and_watch(Reporter *reporter)
{
	int left = PQflush(reporter->conn);

	if (left < 0)
		fail(reporter, PQerrorMessage(reporter->conn));
	else if (!watch(reporter, true, left > 0))
		fail(reporter, "could not watch the connection");
}

static void
send_report(Reporter *reporter)
{
	Worker *worker = reporter->worker;
	char *json = payload_build(reporter->payload);
	char version[16];
	const char *values[] = {worker->settings->reporter_name, version, json};

	snprintf(version, sizeof(version), "%d", reporter->version);
	reporter->sent_at = worker_now(worker);
	if (json == NULL)
		fail(reporter, "out of memory");
	else if (PQsendQueryParams(reporter->conn, "SELECT pgweir.report($1::text, $2::int, $3::jsonb)", 3, NULL, values, NULL,
							   NULL, 0) != 1)
		fail(reporter, PQerrorMessage(reporter->conn));
	else
	{
		reporter->state = REPORTER_SENDING;
		reporter->accepted = false;
		snprintf(reporter->refused, sizeof(reporter->refused), "no answer");
		limit_answer(reporter);
		flush_and_watch(reporter);
	}
	free(json);
}

/* --- questions --- */

/* The connection is free: ask the next question, or wait for the next report's time. */
static void
take_turn(Reporter *reporter)
{
	usec_t now = worker_now(reporter->worker);
	deadline_t next = reporter->sent_at + reporter->worker->settings->report_interval_us;

	reporter->state = REPORTER_READY;
	if (!list_empty(&reporter->questions) && next > now)
	{
		const ReporterQuestion *question = CONTAINER_OF(list_first(&reporter->questions), ReporterQuestion, node);

		reporter->state = REPORTER_ASKING;
		reporter->forgotten = false;
		limit_answer(reporter);
		if (PQsendQuery(reporter->conn, question->sql) != 1)
			fail(reporter, PQerrorMessage(reporter->conn));
		else
			flush_and_watch(reporter);
		return;
	}
	if (!watch(reporter, true, false))
		fail(reporter, "could not watch the connection");
	else
		arm(reporter, next > now ? next : now);
}

/* A result of the question asked, which is the first unless it was forgotten. */
static void
answer_question(Reporter *reporter, const PGresult *result)
{
	ReporterQuestion *question;
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	char error[400];

	if (reporter->forgotten || list_empty(&reporter->questions))
		return;
	reporter->forgotten = true; /* it may have further results: nobody wants them */
	question = CONTAINER_OF(list_first(&reporter->questions), ReporterQuestion, node);
	list_remove(&reporter->questions, &question->node);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		question->answered(question, result, NULL, NULL);
		return;
	}
	snprintf(error, sizeof(error), "the extension cannot be asked: %s",
			 code != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : PQresultErrorMessage(result));
	question->answered(question, NULL, error,
					   code != NULL && strcmp(code, "42501") == 0 ? "GRANT pg_read_all_stats to the role of report_user."
					   : code != NULL && (strcmp(code, "42P01") == 0 || strcmp(code, "3F000") == 0)
						   ? "CREATE EXTENSION pgweir in the database of report_database."
						   : PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
}

static void
take_question_answer(Reporter *reporter)
{
	while (reporter->state == REPORTER_ASKING && !PQisBusy(reporter->conn))
	{
		PGresult *result = PQgetResult(reporter->conn);

		if (result == NULL)
		{
			take_turn(reporter);
			return;
		}
		answer_question(reporter, result);
		PQclear(result);
	}
}

void
reporter_ask(Reporter *reporter, ReporterQuestion *question)
{
	list_append(&reporter->questions, &question->node);
	switch (reporter->state)
	{
		case REPORTER_OFF: refuse_questions(reporter, "nothing is reported to it"); break;
		case REPORTER_RETRY: refuse_questions(reporter, reporter->refused[0] != '\0' ? reporter->refused : "not connected yet"); break;
		case REPORTER_READY: take_turn(reporter); break;
		case REPORTER_RESOLVING:
		case REPORTER_CONNECTING:
		case REPORTER_SENDING:
		case REPORTER_ASKING: break; /* it takes its turn */
	}
}

void
reporter_forget(Reporter *reporter, ReporterQuestion *question)
{
	if (!list_linked(&question->node))
		return;
	if (reporter->state == REPORTER_ASKING && !reporter->forgotten && list_first(&reporter->questions) == &question->node)
		reporter->forgotten = true;
	list_remove(&reporter->questions, &question->node);
}

/* --- the answer to a report --- */

static bool
is_error(const PGresult *result, const char *sqlstate)
{
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return code != NULL && strcmp(code, sqlstate) == 0;
}

/* Take what has arrived of the answer; PQgetResult() would block if the rest were still to come. */
static void
take_answer(Reporter *reporter)
{
	while (!PQisBusy(reporter->conn))
	{
		PGresult *result = PQgetResult(reporter->conn);

		if (result == NULL)
		{
			if (reporter->accepted)
				succeed(reporter);
			else if (reporter->too_new && reporter->version > 1)
			{
				reporter->version = 1;
				send_report(reporter);
			}
			else
				fail(reporter, reporter->refused);
			return;
		}
		reporter->accepted = PQresultStatus(result) == PGRES_TUPLES_OK;
		if (reporter->accepted)
			reporter->understood = PQntuples(result) == 1 ? atoi(PQgetvalue(result, 0, 0)) : 0;
		reporter->too_new = is_error(result, "0A000");
		if (!reporter->accepted)
			snprintf(reporter->refused, sizeof(reporter->refused), "%s", PQresultErrorMessage(result));
		PQclear(result);
	}
}

static void
on_ready(NetWatch *item, bool readable, bool writable)
{
	Reporter *reporter = item->owner;

	if (reporter->state == REPORTER_CONNECTING)
	{
		connect_poll(reporter);
		return;
	}
	if (readable && PQconsumeInput(reporter->conn) != 1)
	{
		fail(reporter, PQerrorMessage(reporter->conn));
		return;
	}
	if (reporter->state != REPORTER_SENDING && reporter->state != REPORTER_ASKING)
		return;
	if (writable)
		flush_and_watch(reporter);
	if (reporter->state == REPORTER_SENDING)
		take_answer(reporter);
	else if (reporter->state == REPORTER_ASKING)
		take_question_answer(reporter);
}

static void
on_timer(Timer *timer, usec_t now)
{
	Reporter *reporter = CONTAINER_OF(timer, Reporter, timer);

	(void) now;
	switch (reporter->state)
	{
		case REPORTER_OFF: break;
		case REPORTER_RETRY: connect_start(reporter); break;
		case REPORTER_RESOLVING: fail(reporter, "no answer from DNS in time"); break;
		case REPORTER_CONNECTING: fail(reporter, "could not connect in time"); break;
		case REPORTER_READY: send_report(reporter); break;
		case REPORTER_SENDING:
		case REPORTER_ASKING: fail(reporter, "no answer in time"); break;
	}
}

/* --- life --- */

static bool
same_target(const ReportTarget *a, const ReportTarget *b)
{
	return strcmp(a->host, b->host) == 0 && a->port == b->port && strcmp(a->dbname, b->dbname) == 0 &&
		   strcmp(a->user, b->user) == 0;
}

void
reporter_settings_changed(Reporter *reporter)
{
	Worker *worker = reporter->worker;
	ReportTarget wanted;
	bool on = find_target(worker->settings, reporter->attempts > 0 ? reporter->attempts - 1 : 0, &wanted);

	if (on && reporter->state != REPORTER_OFF && same_target(&wanted, &reporter->target))
	{
		if (reporter->state == REPORTER_READY || reporter->state == REPORTER_RETRY)
			arm(reporter, worker_now(worker)); /* the interval or the password may be another one */
		return;
	}
	disconnect(reporter);
	timer_disarm(net_timers(worker->loop), &reporter->timer);
	refuse_questions(reporter, "the settings have changed");
	reporter->failures = 0;
	reporter->complained = reporter->praised = false;
	reporter->state = on ? REPORTER_RETRY : REPORTER_OFF;
	if (on)
		arm(reporter, worker_now(worker));
}

Reporter *
reporter_create(Worker *worker)
{
	Reporter *reporter = calloc(1, sizeof(Reporter));

	if (reporter == NULL || (reporter->payload = payload_create(worker)) == NULL)
	{
		free(reporter);
		return NULL;
	}
	reporter->worker = worker;
	reporter->timer.fire = on_timer;
	list_init(&reporter->questions);
	reporter->state = REPORTER_OFF;
	reporter_settings_changed(reporter);
	return reporter;
}

void
reporter_free(Reporter *reporter)
{
	if (reporter == NULL)
		return;
	timer_disarm(net_timers(reporter->worker->loop), &reporter->timer);
	refuse_questions(reporter, "pgweir is going down");
	disconnect(reporter);
	payload_free(reporter->payload);
	free(reporter);
}
