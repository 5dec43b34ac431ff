/*
 * openloop.c: an open-loop load generator over libpq: requests arrive when their time has come, whether or not earlier
 * ones have been answered, and latency counts from that time (no coordinated omission).
 *
 * Arrivals are Poisson with a seeded generator.  A request takes an idle connection of a large set; when none is left
 * it counts as failed at once.  A statement is `fast` or, with probability --slow-share, `slow`.  An answer counts as good
 * when it is no error and came within the deadline.  With --comment the deadline is also sent, as a comment in the statement, to
 * a pooler that understands it.
 *
 * Prints one line of key=value pairs for each class, and with --series one line for each 100 ms: how many requests arrived then,
 * and how many of these were answered well, whenever that was.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 4000000

typedef struct Class
{
	const char *name;
	char *sql;
	long offered, good, late, refused, expired, errors, no_connection;
	float *good_ms, *refused_ms, *over_ms; /* samples: answers in time, refusals, expiry beyond the deadline */
	long good_n, refused_n, over_n;
} Class;

typedef struct Connection
{
	PGconn *pg;
	Class *class; /* NULL while idle */
	double arrived;
	bool writable_wanted;
	bool broken;
	bool errored;
	char sqlstate[6];
	int next_idle;
} Connection;

typedef struct Load
{
	const char *conninfo;
	double rate, seconds, deadline_ms, slow_share;
	int connections;
	bool comment, series, prepared;
	Connection *conns;
	int idle_head;
	int epoll;
	Class fast, slow;
	uint64_t random;
	double start;
	long *good_at, *offered_at; /* per 100 ms of arrival */
	int slots;
	long busy;
} Load;

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec * 1000.0 + (double) ts.tv_nsec / 1e6;
}

/* xorshift64*: good enough for arrival times, and the same everywhere. */
static double
uniform(Load *load)
{
	load->random ^= load->random >> 12;
	load->random ^= load->random << 25;
	load->random ^= load->random >> 27;
	return ((double) ((load->random * UINT64_C(2685821657736338717)) >> 11) + 0.5) / 9007199254740992.0;
}

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "openloop: %s: %s\n", what, detail);
	exit(1);
}

static void
sample(float **samples, long *n, double value)
{
	if (*samples == NULL)
		*samples = malloc(sizeof(float) * MAX_SAMPLES);
	if (*samples != NULL && *n < MAX_SAMPLES)
		(*samples)[(*n)++] = (float) value;
}

static int
by_value(const void *a, const void *b)
{
	float x = *(const float *) a;
	float y = *(const float *) b;

	return x < y ? -1 : x > y;
}

static double
quantile(float *samples, long n, double p)
{
	if (n == 0)
		return 0;
	return samples[(long) (p * (double) (n - 1))];
}

static void
connect_all(Load *load)
{
	load->conns = calloc((size_t) load->connections, sizeof(Connection));
	load->idle_head = -1;
	for (int i = 0; i < load->connections; i++)
	{
		Connection *c = &load->conns[i];
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t) i};

		c->pg = PQconnectdb(load->conninfo);
		if (PQstatus(c->pg) != CONNECTION_OK)
			die("connect", PQerrorMessage(c->pg));
		PQsetnonblocking(c->pg, 1);
		if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, PQsocket(c->pg), &event) != 0)
			die("epoll_ctl", strerror(errno));
		c->next_idle = load->idle_head;
		load->idle_head = i;
	}
}

static void
finish(Load *load, Connection *c, double at)
{
	Class *class = c->class;
	double took = at - c->arrived;

	if (c->errored && strcmp(c->sqlstate, "53300") == 0)
	{
		class->refused++;
		sample(&class->refused_ms, &class->refused_n, took);
	}
	else if (c->errored && strcmp(c->sqlstate, "57014") == 0)
	{
		class->expired++;
		sample(&class->over_ms, &class->over_n, took - load->deadline_ms);
	}
	else if (c->errored)
		class->errors++;
	else if (class == &load->fast && took > load->deadline_ms)
		class->late++;
	else
	{
		long slot = (long) ((c->arrived - load->start) / 100.0);

		class->good++;
		sample(&class->good_ms, &class->good_n, took);
		if (slot >= 0 && slot < load->slots)
			load->good_at[slot]++;
	}
	c->class = NULL;
	c->errored = false;
	load->busy--;
	if (!c->broken)
	{
		c->next_idle = load->idle_head;
		load->idle_head = (int) (c - load->conns);
	}
}

static void
want_write(Load *load, Connection *c, bool wanted)
{
	struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.u32 = (uint32_t) (c - load->conns)};

	if (c->writable_wanted == wanted)
		return;
	c->writable_wanted = wanted;
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, PQsocket(c->pg), &event);
}

/* A lost connection is replaced, so that a pooler that drops clients can go on. */
static void
replace(Load *load, Connection *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t) (c - load->conns)};

	epoll_ctl(load->epoll, EPOLL_CTL_DEL, PQsocket(c->pg), NULL);
	PQfinish(c->pg);
	c->pg = PQconnectdb(load->conninfo);
	c->writable_wanted = false;
	c->broken = PQstatus(c->pg) != CONNECTION_OK;
	if (c->broken)
		return;
	PQsetnonblocking(c->pg, 1);
	epoll_ctl(load->epoll, EPOLL_CTL_ADD, PQsocket(c->pg), &event);
}

static void
on_ready(Load *load, Connection *c, uint32_t events)
{
	PGresult *result;

	if (events & EPOLLOUT)
		want_write(load, c, PQflush(c->pg) == 1);
	if (!PQconsumeInput(c->pg))
	{
		double at = now_ms();
		bool was_busy = c->class != NULL;

		replace(load, c);
		if (was_busy)
		{
			c->errored = true;
			if (c->sqlstate[0] == '\0')
				memcpy(c->sqlstate, "08006", 6);
			finish(load, c, at);
		}
		return;
	}
	while (c->class != NULL && !PQisBusy(c->pg))
	{
		result = PQgetResult(c->pg);
		if (result == NULL)
		{
			finish(load, c, now_ms());
			return;
		}
		if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

			c->errored = true;
			snprintf(c->sqlstate, sizeof(c->sqlstate), "%s", state != NULL ? state : "08006");
		}
		PQclear(result);
	}
}

static void
launch(Load *load, double arrived)
{
	Class *class = uniform(load) < load->slow_share ? &load->slow : &load->fast;
	Connection *c;

	class->offered++;
	load->offered_at[(long) ((arrived - load->start) / 100.0)]++;
	if (load->idle_head < 0)
	{
		class->no_connection++;
		return;
	}
	c = &load->conns[load->idle_head];
	load->idle_head = c->next_idle;
	c->class = class;
	c->arrived = arrived;
	c->sqlstate[0] = '\0';
	load->busy++;
	if (!PQsendQuery(c->pg, class->sql))
	{
		c->errored = true;
		replace(load, c);
		finish(load, c, now_ms());
		return;
	}
	if (PQflush(c->pg) == 1)
		want_write(load, c, true);
}

static void
run(Load *load)
{
	struct epoll_event events[256];
	double next;
	double end;

	load->start = now_ms();
	next = load->start;
	end = load->start + load->seconds * 1000.0;
	for (;;)
	{
		double now = now_ms();
		int n;
		int timeout;

		while (next <= now && next < end)
		{
			launch(load, next);
			next += -log(uniform(load)) * 1000.0 / load->rate;
		}
		if (now >= end && (load->busy == 0 || now > end + 20000))
			return;
		timeout = next < end ? (int) (next - now) : 50;
		n = epoll_wait(load->epoll, events, 256, timeout < 0 ? 0 : timeout);
		for (int i = 0; i < n; i++)
			on_ready(load, &load->conns[events[i].data.u32], events[i].events);
	}
}

static void
report(Load *load, Class *class)
{
	if (class->offered == 0)
		return;
	qsort(class->good_ms, (size_t) class->good_n, sizeof(float), by_value);
	qsort(class->refused_ms, (size_t) class->refused_n, sizeof(float), by_value);
	qsort(class->over_ms, (size_t) class->over_n, sizeof(float), by_value);
	printf("class=%s seconds=%.1f offered=%ld good=%ld late=%ld refused=%ld expired=%ld errors=%ld no_connection=%ld "
		   "good_per_s=%.1f good_p50_ms=%.2f good_p99_ms=%.2f refused_p50_ms=%.2f refused_p99_ms=%.2f over_p50_ms=%.2f over_p99_ms=%.2f\n",
		   class->name, load->seconds, class->offered, class->good, class->late, class->refused, class->expired,
		   class->errors, class->no_connection, (double) class->good / load->seconds,
		   quantile(class->good_ms, class->good_n, 0.5), quantile(class->good_ms, class->good_n, 0.99),
		   quantile(class->refused_ms, class->refused_n, 0.5), quantile(class->refused_ms, class->refused_n, 0.99),
		   quantile(class->over_ms, class->over_n, 0.5), quantile(class->over_ms, class->over_n, 0.99));
}

static char *
with_comment(const Load *load, const char *sql)
{
	char *text = NULL;

	if (asprintf(&text, "/* pgweir_deadline='%.0fus' */ %s", load->deadline_ms * 1000.0, sql) < 0)
		die("asprintf", "out of memory");
	return text;
}

int
main(int argc, char **argv)
{
	static const struct option names[] = {
		{"conninfo", 1, NULL, 'c'}, {"rate", 1, NULL, 'r'},	  {"seconds", 1, NULL, 's'}, {"deadline-ms", 1, NULL, 'd'},
		{"connections", 1, NULL, 'n'}, {"fast", 1, NULL, 'f'}, {"slow", 1, NULL, 'S'}, {"slow-share", 1, NULL, 'x'},
		{"comment", 0, NULL, 'C'}, {"seed", 1, NULL, 'e'}, {"series", 0, NULL, 'i'}, {NULL, 0, NULL, 0}};
	Load load = {.rate = 100, .seconds = 10, .deadline_ms = 100, .connections = 500, .random = 42, .epoll = epoll_create1(0)};
	const char *fast = "select pg_sleep(0.02)";
	const char *slow = "select pg_sleep(2)";
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c)
		{
			case 'c': load.conninfo = optarg; break;
			case 'r': load.rate = atof(optarg); break;
			case 's': load.seconds = atof(optarg); break;
			case 'd': load.deadline_ms = atof(optarg); break;
			case 'n': load.connections = atoi(optarg); break;
			case 'f': fast = optarg; break;
			case 'S': slow = optarg; break;
			case 'x': load.slow_share = atof(optarg); break;
			case 'C': load.comment = true; break;
			case 'e': load.random = strtoull(optarg, NULL, 10) * 2 + 1; break;
			case 'i': load.series = true; break;
			default: return 1;
		}
	if (load.conninfo == NULL || load.rate <= 0)
		die("usage", "--conninfo=... --rate=N [--seconds= --deadline-ms= --connections= --fast=SQL --slow=SQL --slow-share=0..1 --comment --series --seed=]");
	load.fast.name = "fast";
	load.slow.name = "slow";
	load.fast.sql = load.comment ? with_comment(&load, fast) : strdup(fast);
	load.slow.sql = strdup(slow);
	load.slots = (int) (load.seconds * 10) + 300;
	load.good_at = calloc((size_t) load.slots, sizeof(long));
	load.offered_at = calloc((size_t) load.slots, sizeof(long));
	connect_all(&load);
	if (load.series)
	{
		printf("started\n"); /* so that a script can act at a known time of the series */
		fflush(stdout);
	}
	run(&load);
	report(&load, &load.fast);
	report(&load, &load.slow);
	if (load.series)
		for (int i = 0; i < (int) (load.seconds * 10); i++)
			printf("t_ms=%d offered=%ld good=%ld\n", i * 100, load.offered_at[i], load.good_at[i]);
	return 0;
}
