/*
 * cancel.c: racing cancels through a pooler, and whether one ever hits a statement it was not meant for.
 *
 * Each thread has a connection of its own; there are more of them than server connections, so that these change hands all
 * the time.  A thread runs one statement that somebody tries to end in the moment it ends by itself (by CancelRequest, by a deadline, by
 * going away), and then plain ones that nobody has a reason to cancel.  A plain statement that is cancelled, or answered with another
 * one's tag, is a wrong hit.  Sleeps and delays are drawn at random around the same few milliseconds.
 *
 *   stress-cancel CONNINFO SECONDS THREADS SEED
 *
 * Prints the counts and exits 1 when there was a wrong hit, or when a kind of cancel never happened.
 */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_US 1500

typedef enum Kind
{
	KIND_REQUEST,
	KIND_DEADLINE,
	KIND_GONE,
	KIND_PLAIN, /* only looks whether it is hit */
	KINDS,
} Kind;

typedef struct Thread
{
	pthread_t thread;
	Kind kind;
	uint64_t random;
} Thread;

static const char *conninfo;
static double end_at;
static atomic_long sent[KINDS], hit[KINDS], plain, wrong, other_errors;
static atomic_long serial;

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static uint32_t
draw(Thread *t, uint32_t below)
{
	t->random ^= t->random >> 12;
	t->random ^= t->random << 25;
	t->random ^= t->random >> 27;
	return (uint32_t) ((t->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static PGconn *
login(void)
{
	PGconn *pg = PQconnectdb(conninfo);

	if (PQstatus(pg) == CONNECTION_OK)
		return pg;
	fprintf(stderr, "stress-cancel: %s", PQerrorMessage(pg));
	exit(2);
}

/* Was this the end by a cancel?  Anything else that is an error is counted apart. */
static bool
is_canceled(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return false;
	if (state != NULL && strcmp(state, "57014") == 0)
		return true;
	if (state == NULL || strcmp(state, "53300") != 0) /* refused: a deadline that cannot be met */
	{
		atomic_fetch_add(&other_errors, 1);
		fprintf(stderr, "stress-cancel: unexpected: %s", PQresultErrorMessage(result));
	}
	return false;
}

/* A statement nobody may cancel. */
static void
run_plain(PGconn *pg, Thread *t)
{
	char tag[40];
	char sql[120];
	PGresult *result;

	snprintf(tag, sizeof(tag), "%ld", atomic_fetch_add(&serial, 1));
	snprintf(sql, sizeof(sql), "select '%s' from (select pg_sleep(%u * 1e-6)) s", tag, draw(t, MOST_US));
	result = PQexec(pg, sql);
	atomic_fetch_add(&plain, 1);
	if (is_canceled(result))
	{
		atomic_fetch_add(&wrong, 1);
		fprintf(stderr, "stress-cancel: wrong hit: %s", PQresultErrorMessage(result));
	}
	else if (PQresultStatus(result) == PGRES_TUPLES_OK && strcmp(PQgetvalue(result, 0, 0), tag) != 0)
	{
		atomic_fetch_add(&wrong, 1);
		fprintf(stderr, "stress-cancel: answer %s to statement %s\n", PQgetvalue(result, 0, 0), tag);
	}
	PQclear(result);
}

static void
drain(PGconn *pg, Kind kind)
{
	PGresult *result;

	while ((result = PQgetResult(pg)) != NULL)
	{
		if (is_canceled(result))
			atomic_fetch_add(&hit[kind], 1);
		PQclear(result);
	}
}

static void
run_requested(PGconn *pg, Thread *t)
{
	PGcancel *cancel = PQgetCancel(pg);
	char error[256];
	char sql[80];

	snprintf(sql, sizeof(sql), "select pg_sleep(%u * 1e-6)", draw(t, MOST_US));
	PQsendQuery(pg, sql);
	usleep(draw(t, 4 * MOST_US));
	if (PQcancel(cancel, error, sizeof(error)))
		atomic_fetch_add(&sent[KIND_REQUEST], 1);
	PQfreeCancel(cancel);
	drain(pg, KIND_REQUEST);
}

static void
run_with_deadline(PGconn *pg, Thread *t)
{
	char sql[120];
	uint32_t us = 1000 + draw(t, 3 * MOST_US);

	snprintf(sql, sizeof(sql), "/* pgweir_deadline='%uus' */ select pg_sleep(%u * 1e-6)", us, us - 1000 + draw(t, 3000));
	PQsendQuery(pg, sql);
	atomic_fetch_add(&sent[KIND_DEADLINE], 1);
	drain(pg, KIND_DEADLINE);
}

/* Go away in the middle; whoever gets the server connection next must not feel it. */
static PGconn *
leave_and_return(PGconn *pg, Thread *t)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "select pg_sleep(%u * 1e-6)", 2 * draw(t, MOST_US));
	PQsendQuery(pg, sql);
	usleep(draw(t, MOST_US));
	close(PQsocket(pg)); /* no Terminate: as when a process dies */
	atomic_fetch_add(&sent[KIND_GONE], 1);
	atomic_fetch_add(&hit[KIND_GONE], 1);
	return login();
}

static void *
thread_main(void *arg)
{
	Thread *t = arg;
	PGconn *pg = login();

	while (now_s() < end_at)
	{
		switch (t->kind)
		{
			case KIND_REQUEST: run_requested(pg, t); break;
			case KIND_DEADLINE: run_with_deadline(pg, t); break;
			case KIND_GONE: pg = leave_and_return(pg, t); break; /* the old object is not freed: its socket number is taken again */
			default: break;
		}
		run_plain(pg, t);
	}
	PQfinish(pg);
	return NULL;
}

int
main(int argc, char **argv)
{
	/* out of eight threads */
	static const Kind kinds[] = {KIND_REQUEST, KIND_DEADLINE, KIND_PLAIN, KIND_REQUEST, KIND_DEADLINE, KIND_GONE, KIND_PLAIN, KIND_DEADLINE};
	double seconds;
	long cancels = 0;
	int count;
	Thread *threads;

	if (argc != 5)
		return 2;
	conninfo = argv[1];
	seconds = atof(argv[2]);
	count = atoi(argv[3]);
	threads = calloc((size_t) count, sizeof(Thread));
	end_at = now_s() + seconds;
	for (int i = 0; i < count; i++)
	{
		threads[i].kind = kinds[i % 8];
		threads[i].random = strtoull(argv[4], NULL, 10) * 1000003 + (uint64_t) i * 2 + 1;
		if (pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]) != 0)
			return 2;
	}
	for (int i = 0; i < count; i++)
		pthread_join(threads[i].thread, NULL);
	for (int i = 0; i < KIND_PLAIN; i++)
		cancels += sent[i];
	printf("%.0f s, %d clients: %ld racing cancels (%.0f/s): %ld requests (%ld hit), %ld deadlines (%ld passed), %ld clients gone; %ld plain statements, %ld wrong hits, %ld other errors\n",
		   seconds, count, cancels, (double) cancels / seconds, sent[KIND_REQUEST], hit[KIND_REQUEST], sent[KIND_DEADLINE], hit[KIND_DEADLINE], sent[KIND_GONE], plain,
		   wrong, other_errors);
	return wrong > 0 || other_errors > 0 || hit[KIND_REQUEST] == 0 || hit[KIND_DEADLINE] == 0 || sent[KIND_GONE] == 0;
}
