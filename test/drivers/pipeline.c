/*
 * pipeline.c: libpq's pipeline mode with named prepared statements, through a pooler in transaction mode.  Prints TAP; the connection comes from the
 * environment.  Run by pipeline.t, which keeps other sessions busy so that the statements meet different servers.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *conn;
static int tests, failures;

static void
ok(int good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	failures += !good;
	if (!good)
		fprintf(stderr, "# %s: %s\n", name, PQerrorMessage(conn));
}

static void
die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static void
prepare(const char *name, const char *sql)
{
	if (!PQsendPrepare(conn, name, sql, 0, NULL))
		die("PQsendPrepare");
}

static void
run(const char *name, const char *value)
{
	const char *values[] = {value};

	if (!PQsendQueryPrepared(conn, name, 1, values, NULL, NULL, 0))
		die("PQsendQueryPrepared");
}

static void
sync_point(void)
{
	if (!PQpipelineSync(conn))
		die("PQpipelineSync");
}

/* The next result of the pipeline as text: the value, "prepared", "sync", "aborted", or an SQLSTATE. */
static const char *
next(void)
{
	static char text[200];
	PGresult *result = PQgetResult(conn);
	PGresult *end;

	if (result == NULL)
		die("no result");
	switch (PQresultStatus(result))
	{
		case PGRES_TUPLES_OK:
			snprintf(text, sizeof(text), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "(none)");
			break;
		case PGRES_COMMAND_OK: strcpy(text, "prepared"); break;
		case PGRES_PIPELINE_SYNC: strcpy(text, "sync"); PQclear(result); return text;
		case PGRES_PIPELINE_ABORTED: strcpy(text, "aborted"); break;
		default: snprintf(text, sizeof(text), "%s", PQresultErrorField(result, PG_DIAG_SQLSTATE) ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : "lost");
	}
	PQclear(result);
	while ((end = PQgetResult(conn)) != NULL) /* NULL ends each but a sync */
		PQclear(end);
	return text;
}

/* All results of a pipeline in one line. */
static const char *
results(int count)
{
	static char line[2000];
	size_t len = 0;

	line[0] = '\0';
	for (int i = 0; i < count && len < sizeof(line) - 210; i++)
		len += (size_t) snprintf(line + len, sizeof(line) - len, "%s%s", i > 0 ? " " : "", next());
	return line;
}

static void
is(const char *got, const char *expected, const char *name)
{
	ok(strcmp(got, expected) == 0, name);
	if (strcmp(got, expected) != 0)
		fprintf(stderr, "#   got: %s\n#   expected: %s\n", got, expected);
}

static void
many_statements(int count)
{
	char name[20];
	char sql[80];
	char value[20];
	int right = 0;

	for (int i = 0; i < count; i++)
	{
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(sql, sizeof(sql), "select %d + $1::int", i);
		prepare(name, sql);
		if (i % 10 == 9)
			sync_point();
	}
	for (int i = 0; i < count; i++)
		right += strcmp(next(), "prepared") == 0 && (i % 10 != 9 || strcmp(next(), "sync") == 0);
	ok(right == count, "so many statements are prepared, in groups of ten");
	for (int round = right = 0; round < 3; round++)
	{
		for (int i = 0; i < count; i++)
		{
			snprintf(name, sizeof(name), "s%d", (i * 7) % count);
			run(name, "1000");
			if (i % 5 == 4)
				sync_point();
		}
		for (int i = 0; i < count; i++)
		{
			snprintf(value, sizeof(value), "%d", (i * 7) % count + 1000);
			right += strcmp(next(), value) == 0 && (i % 5 != 4 || strcmp(next(), "sync") == 0);
		}
	}
	ok(right == 3 * count, "and run in another order, in groups of five, on whatever server: more than a server may keep");
}

int
main(void)
{
	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK || !PQenterPipelineMode(conn))
		die("connect");

	prepare("a", "select $1::int + 1");
	run("a", "1");
	run("a", "2");
	sync_point();
	is(results(4), "prepared 2 3 sync", "prepare and run in one group");
	for (int i = 0; i < 3; i++)
	{
		run("a", "3");
		sync_point();
	}
	is(results(6), "4 sync 4 sync 4 sync", "several groups in flight");

	run("nobody", "1");
	run("a", "4");
	sync_point();
	run("a", "5");
	sync_point();
	is(results(5), "26000 aborted sync 6 sync", "an unknown name: 26000, the rest of its group is skipped, the next group runs");
	prepare("a", "select 'other'");
	run("a", "6");
	sync_point();
	run("a", "7");
	sync_point();
	is(results(5), "42P05 aborted sync 8 sync", "a name in use: 42P05, and the statement stays as it was");
	prepare("bad", "selec");
	run("bad", "1");
	sync_point();
	prepare("bad", "select 10 / $1::int");
	run("bad", "0");
	run("bad", "1");
	sync_point();
	run("bad", "2");
	sync_point();
	is(results(9), "42601 aborted sync prepared 22012 aborted sync 5 sync", "a statement that cannot be parsed leaves its name free; one that fails stays prepared");
	prepare("", "select $1::int * 2");
	run("", "8");
	run("a", "8");
	sync_point();
	is(results(4), "prepared 16 9 sync", "the unnamed statement beside named ones");
	if (!PQsendQueryParams(conn, "deallocate all", 0, NULL, NULL, NULL, NULL, 0))
		die("deallocate");
	sync_point();
	is(results(2), "prepared sync", "DEALLOCATE ALL");
	run("a", "1");
	sync_point();
	prepare("a", "select 'again ' || $1");
	run("a", "1");
	sync_point();
	is(results(5), "26000 sync prepared again 1 sync", "forgets them, and the names are free");
	many_statements(100);

	/* a table changes under a prepared statement */
	prepare("t", "select * from pipe where id > $1");
	run("t", "0");
	sync_point();
	is(results(3), "prepared 1 sync", "a statement on a table");
	if (!PQsendQueryParams(conn, "alter table pipe add more int", 0, NULL, NULL, NULL, NULL, 0))
		die("alter");
	sync_point();
	is(results(2), "prepared sync", "the table changes");
	run("t", "0");
	sync_point();
	is(results(2), "1 sync", "the statement is prepared anew, unseen");
	if (!PQsendQueryParams(conn, "alter table pipe drop more", 0, NULL, NULL, NULL, NULL, 0))
		die("alter");
	sync_point();
	is(results(2), "prepared sync", "the table changes again");
	for (int i = 0; i < 4; i++)
	{
		run("t", "0");
		sync_point();
	}
	is(results(8), "1 sync 1 sync 1 sync 1 sync", "several groups in flight are run again, unseen");

#ifdef LIBPQ_HAS_CLOSE_PREPARED
	run("nobody", "1");
	if (!PQsendClosePrepared(conn, "t"))
		die("close");
	sync_point();
	run("t", "0");
	sync_point();
	is(results(5), "26000 aborted sync 1 sync", "a Close that an error skips leaves the name");
#else
	ok(1, "a Close that an error skips leaves the name # SKIP this libpq cannot close");
#endif

	ok(PQexitPipelineMode(conn), "nothing is left in the pipeline");
	PQfinish(conn);
	printf("1..%d\n", tests);
	return failures > 0;
}
