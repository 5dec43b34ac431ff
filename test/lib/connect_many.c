/*
 * connect_many.c: many logins through libpq, some at a time, and how each ended.
 *
 *   connect_many AT_ONCE < conninfos          one connection string a line
 *
 * Prints for each line, in their order: "ok USER" (what current_user says), or the SQLSTATE and the text of the error; "-----" where the
 * server gave no SQLSTATE.
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_MAX 4096
#define AT_ONCE_MAX 64
#define LIMIT_S 180

typedef struct Attempt
{
	PGconn *pg;
	int line;
	int events;
	time_t until;
} Attempt;

static char *lines[LINES_MAX];
static char *results[LINES_MAX];
static int line_count, next_line;

static char *
format(const char *state, const char *text)
{
	char buf[600];

	snprintf(buf, sizeof(buf), "%s %.500s", state, text);
	for (char *p = buf; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	return strdup(buf);
}

/* "...FATAL:  28P01: text" behind whatever libpq puts in front. */
static char *
failure(const char *message)
{
	const char *at = strstr(message, "FATAL:  ");
	char state[6] = "-----";

	if (at != NULL && strlen(at) > 15 && at[13] == ':')
	{
		memcpy(state, at + 8, 5);
		message = at + 15;
	}
	return format(state, message);
}

static void
finish(Attempt *attempt, bool connected)
{
	PGresult *result = connected ? PQexec(attempt->pg, "select current_user") : NULL;

	if (connected && PQresultStatus(result) == PGRES_TUPLES_OK)
		results[attempt->line] = format("ok", PQgetvalue(result, 0, 0));
	else if (connected)
		results[attempt->line] = format(PQresultErrorField(result, PG_DIAG_SQLSTATE) ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : "-----", PQerrorMessage(attempt->pg));
	else
		results[attempt->line] = failure(PQerrorMessage(attempt->pg));
	PQclear(result);
	PQfinish(attempt->pg);
	attempt->pg = NULL;
}

static void
step(Attempt *attempt)
{
	switch (PQconnectPoll(attempt->pg))
	{
		case PGRES_POLLING_OK: finish(attempt, true); break;
		case PGRES_POLLING_FAILED: finish(attempt, false); break;
		case PGRES_POLLING_WRITING: attempt->events = POLLOUT; break;
		default: attempt->events = POLLIN; break;
	}
}

static void
begin(Attempt *attempt)
{
	attempt->line = next_line++;
	attempt->pg = PQconnectStart(lines[attempt->line]);
	PQsetErrorVerbosity(attempt->pg, PQERRORS_VERBOSE);
	attempt->events = POLLOUT;
	attempt->until = time(NULL) + LIMIT_S;
	if (PQstatus(attempt->pg) == CONNECTION_BAD)
		finish(attempt, false);
}

int
main(int argc, char **argv)
{
	static Attempt attempts[AT_ONCE_MAX];
	int at_once = argc > 1 ? atoi(argv[1]) : 8;
	char buf[2000];

	while (line_count < LINES_MAX && fgets(buf, sizeof(buf), stdin) != NULL)
		lines[line_count++] = strdup(buf);
	for (;;)
	{
		struct pollfd fds[AT_ONCE_MAX];
		int busy = 0;

		for (int i = 0; i < at_once; i++)
		{
			if (attempts[i].pg == NULL && next_line < line_count)
				begin(&attempts[i]);
			busy += attempts[i].pg != NULL;
			fds[i] = (struct pollfd){attempts[i].pg != NULL ? PQsocket(attempts[i].pg) : -1, (short) attempts[i].events, 0};
		}
		if (busy == 0 && next_line == line_count)
			break;
		poll(fds, (nfds_t) at_once, 1000);
		for (int i = 0; i < at_once; i++)
		{
			if (attempts[i].pg != NULL && fds[i].fd >= 0 && fds[i].revents != 0)
				step(&attempts[i]);
			else if (attempts[i].pg != NULL && time(NULL) > attempts[i].until)
			{
				results[attempts[i].line] = format("-----", "no end in time");
				PQfinish(attempts[i].pg);
				attempts[i].pg = NULL;
			}
		}
	}
	for (int i = 0; i < line_count; i++)
		printf("%s\n", results[i]);
	return 0;
}
