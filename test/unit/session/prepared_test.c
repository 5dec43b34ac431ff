/*
 * prepared_test.c: statements that all workers share: one for each text, gone with its last reference, also with several threads.
 */
#include "tap.h"
#include "session/prepared.h"

#include <pthread.h>
#include <stdio.h>

#define THREADS 4
#define TEXTS 200
#define ROUNDS 30

static StatementRegistry registry;

static Statement *
get(StatementCache *cache, int number)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "select %d from item where id = $1", number);

	memset(text + len, 0, 3); /* NUL and no parameter types */
	return statement_get(&registry, cache, slice_make(text, (size_t) len + 3), (uint32_t) len);
}

static void
one_for_each_text(void)
{
	StatementCache cache = {.places = {NULL}};
	StatementCache other = {.places = {NULL}};
	Statement *a = get(&cache, 1);
	Statement *again = get(&cache, 1);
	Statement *elsewhere = get(&other, 1);
	Statement *b = get(&other, 2);

	ok(a != NULL && a == again && a == elsewhere, "the same text is the same statement, for whoever asks");
	ok(b != NULL && b != a && b->id != a->id, "another text is another one");
	is_int(statements_sums(&registry).count, 2, "there are two");
	is_int(statements_sums(&registry).bytes, 2 * sizeof(Statement) + a->body_len + b->body_len, "with their memory");
	statement_unref(&registry, a);
	statement_unref(&registry, again);
	statement_unref(&registry, elsewhere);
	is_int(statements_sums(&registry).count, 2, "what somebody has at hand stays");
	ok(get(&cache, 1) == a, "and is found again");
	statement_unref(&registry, a);
	statement_cache_clear(&registry, &cache);
	is_int(statements_sums(&registry).count, 2, "also while another one has it at hand");
	statement_cache_clear(&registry, &other);
	is_int(statements_sums(&registry).count, 1, "and goes with the last");
	statement_unref(&registry, b);
	is_int(statements_sums(&registry).count, 0, "so does the one that was in use");
	is_int(statements_sums(&registry).bytes, 0, "with its memory");
}

static void
what_is_kept_at_hand_is_bounded(void)
{
	StatementCache cache = {.places = {NULL}};
	static char large[STATEMENT_CACHE_BODY_MAX + 1];
	Statement *statement;
	Statement *held[1000];

	for (int i = 0; i < 50000; i++)
	{
		statement = get(&cache, i);
		statement_unref(&registry, statement);
	}
	ok(statements_sums(&registry).count <= STATEMENT_CACHE_PLACES, "of 50,000 texts that nobody uses a few are kept");
	for (int i = 0; i < 1000; i++)
		held[i] = get(&cache, i);
	ok(statements_sums(&registry).count >= 1000, "who uses them keeps them");
	for (int i = 0; i < 1000; i++)
		statement_unref(&registry, held[i]);
	memset(large, 'x', sizeof(large));
	statement_cache_clear(&registry, &cache);
	statement = statement_get(&registry, &cache, slice_make(large, sizeof(large)), sizeof(large) - 3);
	is_int(statements_sums(&registry).count, 1, "a large one is there");
	statement_unref(&registry, statement);
	is_int(statements_sums(&registry).count, 0, "as long as it is used, and no longer");
}

static pthread_barrier_t barrier;
static Statement *found[THREADS][TEXTS];
static int wrong[THREADS];

/* Everybody gives up and makes statements at the same time; in between all have all, and they must be the same. */
static void *
churn(void *arg)
{
	int me = (int) (intptr_t) arg;
	StatementCache cache = {.places = {NULL}};
	uint32_t random = (uint32_t) me + 1;

	for (int round = 0; round < ROUNDS; round++)
	{
		for (int i = 0; i < 3 * TEXTS; i++)
		{
			random = random * 1664525u + 1013904223u;
			statement_unref(&registry, get(&cache, (int) (random >> 16) % TEXTS));
		}
		for (int i = 0; i < TEXTS; i++)
			found[me][i] = get(&cache, i);
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < TEXTS; i++)
			wrong[me] += found[me][i] == NULL || found[me][i] != found[(me + 1) % THREADS][i];
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < TEXTS; i++)
			statement_unref(&registry, found[me][i]);
		if (round % 3 == me % 3)
			statement_cache_clear(&registry, &cache);
	}
	statement_cache_clear(&registry, &cache);
	return NULL;
}

static void
threads_share_them(void)
{
	pthread_t threads[THREADS];
	int bad = 0;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, churn, (void *) i) != 0)
			bail_out("no thread");
	for (int i = 0; i < THREADS; i++)
	{
		pthread_join(threads[i], NULL);
		bad += wrong[i];
	}
	pthread_barrier_destroy(&barrier);
	is_int(bad, 0, "four threads that make and give up the same statements always have the same ones");
	is_int(statements_sums(&registry).count, 0, "and leave none behind");
	is_int(statements_sums(&registry).bytes, 0, "nor a byte");
}

int
main(void)
{
	statements_init(&registry, 42);
	one_for_each_text();
	what_is_kept_at_hand_is_bounded();
	threads_share_them();
	statements_free(&registry);
	return done_testing();
}
