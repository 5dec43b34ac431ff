/*
 * churn.c: how long `select 1` takes while other sessions run statements that the server has never seen.
 *
 * Each of N sessions has a thread that sends one new statement after another.  The main thread sends `select 1` all the while, in a session of its
 * own, and notes how long each takes; only those that began while all of the others were at work count.  Statement n differs from the others in
 * the types of 20 constants, one for each bit of n, so that each is a class of its own; filler columns make it long.
 *
 * With --select-cpu and --churn-cpu the threads and their backends are bound to processors.
 *
 * Prints key=value pairs: n, p50, p99, p999, longest in microseconds; statements and seconds of the churn; backend_us, the CPU time of its backends
 * per statement.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define MAX_CHURNERS 256
#define MAX_SAMPLES 4000000
#define MAX_BYTES 16384

typedef struct Churner
{
	PGconn *pg;
	pthread_t thread;
	long from, to;
} Churner;

static struct
{
	const char *conninfo;
	int churners, bytes, select_cpu, churn_cpu;
	long from, statements;
	bool extended;
} opt = {.churners = 1, .statements = 1000, .select_cpu = -1, .churn_cpu = -1};

static atomic_int at_work;
static pthread_barrier_t barrier;

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}

static void
bind_to(pid_t pid, int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) != 0)
	{
		perror("churn: sched_setaffinity");
		exit(1);
	}
}

static PGconn *
begin(int cpu)
{
	PGconn *pg = PQconnectdb(opt.conninfo);

	if (PQstatus(pg) != CONNECTION_OK)
	{
		fprintf(stderr, "churn: %s", PQerrorMessage(pg));
		exit(1);
	}
	bind_to(PQbackendPID(pg), cpu);
	return pg;
}

static void
run(PGconn *pg, const char *sql)
{
	PGresult *result = opt.extended ? PQexecParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) : PQexec(pg, sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		fprintf(stderr, "churn: %s", PQerrorMessage(pg));
		exit(1);
	}
	PQclear(result);
}

static void
statement(char *sql, long n)
{
	int len = sprintf(sql, "select ");

	for (int i = 0; i < 20; i++)
		len += sprintf(sql + len, "%s%s", i > 0 ? ", " : "", n >> i & 1 ? "1" : "'a'");
	for (int i = 1; len + 60 < opt.bytes; i++)
		len += sprintf(sql + len, ", x as a_column_as_a_mapper_of_objects_names_it_%d", i);
	sprintf(sql + len, " from (values (1)) as t (x)");
}

static void *
churn(void *arg)
{
	Churner *churner = arg;
	char sql[MAX_BYTES + 1000];

	bind_to(0, opt.churn_cpu);
	pthread_barrier_wait(&barrier);
	for (long n = churner->from; n < churner->to; n++)
	{
		statement(sql, n);
		run(churner->pg, sql);
	}
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

static double
cpu_us(PGconn *pg)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(pg));
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	if (file != NULL)
		fclose(file);
	return (double) ns / 1000.0;
}

static int
ascending(const void *a, const void *b)
{
	const float *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static float
percentile(const float *sorted, long n, double p)
{
	long i = (long) (p * (double) n);

	return sorted[i < n ? i : n - 1];
}

static void
read_options(int argc, char **argv)
{
	static const struct option options[] = {{"conninfo", 1, NULL, 'd'}, {"churners", 1, NULL, 'c'}, {"from", 1, NULL, 'f'},
		{"statements", 1, NULL, 'n'}, {"bytes", 1, NULL, 'b'}, {"extended", 0, NULL, 'e'}, {"select-cpu", 1, NULL, 's'},
		{"churn-cpu", 1, NULL, 'u'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		switch (option)
		{
			case 'd': opt.conninfo = optarg; break;
			case 'c': opt.churners = atoi(optarg); break;
			case 'f': opt.from = atol(optarg); break;
			case 'n': opt.statements = atol(optarg); break;
			case 'b': opt.bytes = atoi(optarg); break;
			case 'e': opt.extended = true; break;
			case 's': opt.select_cpu = atoi(optarg); break;
			case 'u': opt.churn_cpu = atoi(optarg); break;
			default: exit(2);
		}
	}
	if (opt.conninfo == NULL || opt.churners < 1 || opt.churners > MAX_CHURNERS || opt.bytes > MAX_BYTES)
	{
		fprintf(stderr, "churn: --conninfo is needed, --churners 1 to %d, --bytes at most %d\n", MAX_CHURNERS, MAX_BYTES);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static Churner churner[MAX_CHURNERS];
	float *took = malloc(MAX_SAMPLES * sizeof(float));
	PGconn *pg;
	long n = 0;
	double began, ended, cpu = 0;

	read_options(argc, argv);
	if (took == NULL)
		return 1;
	atomic_store(&at_work, opt.churners);
	pthread_barrier_init(&barrier, NULL, (unsigned) opt.churners + 1);
	pg = begin(opt.select_cpu);
	for (int i = 0; i < opt.churners; i++)
	{
		churner[i] = (Churner){.pg = begin(opt.churn_cpu), .from = opt.from + opt.statements * i / opt.churners,
			.to = opt.from + opt.statements * (i + 1) / opt.churners};
		cpu -= cpu_us(churner[i].pg);
		if (pthread_create(&churner[i].thread, NULL, churn, &churner[i]) != 0)
			return 1;
	}
	bind_to(0, opt.select_cpu);
	for (int i = 0; i < 500; i++)
		run(pg, "select 1");
	pthread_barrier_wait(&barrier);
	began = now_us();
	while (atomic_load(&at_work) == opt.churners && n < MAX_SAMPLES)
	{
		double start = now_us();

		run(pg, "select 1");
		took[n++] = (float) (now_us() - start);
	}
	for (int i = 0; i < opt.churners; i++)
		pthread_join(churner[i].thread, NULL);
	ended = now_us();
	for (int i = 0; i < opt.churners; i++)
	{
		cpu += cpu_us(churner[i].pg);
		PQfinish(churner[i].pg);
	}
	PQfinish(pg);
	qsort(took, (size_t) n, sizeof(float), ascending);
	printf("n=%ld p50=%.1f p99=%.1f p999=%.1f longest=%.1f statements=%ld seconds=%.3f backend_us=%.2f\n", n, percentile(took, n, 0.5),
		percentile(took, n, 0.99), percentile(took, n, 0.999), took[n - 1], opt.statements, (ended - began) / 1e6, cpu / (double) opt.statements);
	return 0;
}
