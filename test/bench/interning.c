/*
 * interning.c: what a Parse and its Close cost in the registry of statements, which all threads share: `make bench-interning`.
 *
 *   interning [SECONDS]        of each measurement (0.5)
 *
 * Each thread finds or makes a statement and lets it go, over and over, with nothing in between: the worst case.  "own" texts are 100 different ones a
 * thread, of which the others have none; "same" are 100 that all have; "one" is a single text that all have, and give up each time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "session/prepared.h"

#define TEXTS 100
#define THREADS_MAX 4

static StatementRegistry registry;
static double seconds = 0.5;
static atomic_bool stop;
static atomic_int ready;

typedef struct Task
{
	int number;
	const char *kind;
	uint64_t done;
} Task;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static void *
run(void *arg)
{
	Task *task = arg;
	char texts[TEXTS][64] = {{0}};
	StatementCache cache = {.places = {NULL}};
	int count = task->kind[0] == 'o' && task->kind[1] == 'n' ? 1 : TEXTS;

	for (int i = 0; i < count; i++)
		snprintf(texts[i], sizeof(texts[i]), "select %d from item where id = $1 and number = %d", i, task->kind[1] == 'w' ? task->number : 0);
	atomic_fetch_add(&ready, 1);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		for (int i = 0; i < count; i++)
		{
			size_t len = strlen(texts[i]);
			Statement *statement = statement_get(&registry, &cache, slice_make(texts[i], len + 1 + 2), (uint32_t) len);

			if (statement == NULL)
				abort();
			statement_unref(&registry, statement);
			task->done++;
		}
	statement_cache_clear(&registry, &cache);
	return NULL;
}

static double
millions_a_second(const char *kind, int threads)
{
	pthread_t thread[THREADS_MAX];
	Task task[THREADS_MAX];
	uint64_t done = 0;
	double since;

	atomic_store(&stop, false);
	atomic_store(&ready, 0);
	for (int i = 0; i < threads; i++)
	{
		task[i] = (Task){.number = i, .kind = kind};
		if (pthread_create(&thread[i], NULL, run, &task[i]) != 0)
			abort();
	}
	while (atomic_load(&ready) < threads)
		;
	since = now();
	while (now() - since < seconds)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++)
	{
		pthread_join(thread[i], NULL);
		done += task[i].done;
	}
	return (double) done / (now() - since) / 1e6;
}

int
main(int argc, char **argv)
{
	static const char *const kinds[] = {"own", "same", "one"};

	if (argc > 1)
		seconds = atof(argv[1]);
	statements_init(&registry, 42);
	printf("%-6s %18s %18s %18s %8s\n", "texts", "1 thread, M/s", "2 threads, M/s", "4 threads, M/s", "2 to 1");
	for (int k = 0; k < 3; k++)
	{
		double one = millions_a_second(kinds[k], 1);
		double two = millions_a_second(kinds[k], 2);

		printf("%-6s %18.2f %18.2f %18.2f %8.2f\n", kinds[k], one, two, millions_a_second(kinds[k], 4), two / one);
	}
	statements_free(&registry);
	return 0;
}
