/*
 * load.c: a product service's load on a database, for the demo: many clients, each a thread with one connection, that ask, think and ask again.
 *
 *   load CONNINFO CLIENTS STATUS_FILE
 *
 * The clients read and write products, inventory and orders with prepared statements; one of their statements lists a customer's open
 * orders and lacks an index.  Two more callers are impatient: they list open orders too, each time with a deadline in a comment.
 * A connection that is lost is opened again.
 *
 * Once a second the status file is replaced by a table of what the clients saw in the present phase, one line each:
 *   operation calls_per_s p50_ms p95_ms errors deadline_missed     (tab-separated)
 * SIGUSR1 begins the next phase and prints the ended one on stdout in that form; SIGTERM prints the last and ends.
 *
 * One mutex protects the counters; threads share nothing else.
 */
#include <libpq-fe.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PRODUCTS 100000
#define CUSTOMERS 50000
#define WAREHOUSES 3
#define IMPATIENT 2
#define DEADLINE_MS 40
#define OPEN_ORDERS_SQL \
	"SELECT order_id, product_id, total_cents, created_at FROM orders WHERE customer_id = $1 AND status = 'open' " \
	"ORDER BY created_at DESC LIMIT 20"
#define BUCKETS 512
#define BUCKETS_PER_OCTAVE 16

typedef enum OperationId
{
	PRODUCT_PAGE,
	PRODUCT_LIST,
	STOCK,
	PLACE_ORDER,
	OPEN_ORDERS,
	OPEN_ORDERS_IMPATIENT,
	OPERATIONS
} OperationId;

/* What the clients saw of one operation in this phase. */
typedef struct Seen
{
	long calls, errors, expired;
	long histogram[BUCKETS]; /* of microseconds, BUCKETS_PER_OCTAVE for each doubling */
} Seen;

typedef struct Client
{
	pthread_t thread;
	unsigned seed;
	bool impatient;
	PGconn *connection;
} Client;

static const char *const operation_names[OPERATIONS] = {
	"product page", "product list", "stock", "place order", "open orders", "open orders, at most 40 ms"};

/* The statements; the shares of operations are in thousandths. */
static const struct
{
	const char *name, *sql;
} statements[] = {
	{"product_page", "SELECT name, price_cents, description FROM products WHERE product_id = $1"},
	{"product_list", "SELECT product_id, name, price_cents FROM products WHERE category_id = $1 ORDER BY price_cents LIMIT 20"},
	{"stock", "SELECT warehouse_id, quantity FROM inventory WHERE product_id = $1"},
	{"take", "UPDATE inventory SET quantity = quantity - 1 WHERE product_id = $1 AND warehouse_id = $2"},
	{"order", "INSERT INTO orders (customer_id, product_id, status, quantity, total_cents) VALUES ($1, $2, 'open', 1, 999)"},
	{"open_orders", OPEN_ORDERS_SQL},
};
static const int shares[OPERATIONS] = {480, 150, 200, 120, 50, 0};
static const long think_us = 30000, impatient_think_us = 200000;

static const char *conninfo;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Seen seen[OPERATIONS];
static struct timespec phase_start;
static volatile bool stopping;

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) (now.tv_sec - start->tv_sec) + (double) (now.tv_nsec - start->tv_nsec) / 1e9;
}

static void
pause_us(long us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}

static int
pick(Client *client, int n)
{
	return rand_r(&client->seed) % n;
}

/* --- the connection --- */

/* An open connection with its statements prepared, or NULL after a pause. */
static PGconn *
connection_of(Client *client)
{
	if (client->connection != NULL && PQstatus(client->connection) == CONNECTION_OK)
		return client->connection;
	PQfinish(client->connection);
	client->connection = PQconnectdb(conninfo);
	for (size_t i = 0; PQstatus(client->connection) == CONNECTION_OK && i < sizeof(statements) / sizeof(statements[0]); i++)
		PQclear(PQprepare(client->connection, statements[i].name, statements[i].sql, 0, NULL));
	if (PQstatus(client->connection) == CONNECTION_OK)
		return client->connection;
	PQfinish(client->connection);
	client->connection = NULL;
	pause_us(500000);
	return NULL;
}

typedef enum Outcome
{
	WELL,
	FAILED,
	EXPIRED
} Outcome;

static Outcome
outcome_of(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	Outcome outcome = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ? WELL : FAILED;

	if (sqlstate != NULL && message != NULL && (strcmp(sqlstate, "57014") == 0 || strcmp(sqlstate, "53300") == 0)
		&& strstr(message, "deadline") != NULL)
		outcome = EXPIRED;
	PQclear(result);
	return outcome;
}

static Outcome
run(PGconn *connection, const char *sql)
{
	return outcome_of(PQexec(connection, sql));
}

/* Execute a prepared statement with up to two numbers. */
static Outcome
execute(PGconn *connection, const char *name, int n, int first, int second)
{
	char texts[2][16];
	const char *values[2] = {texts[0], texts[1]};

	snprintf(texts[0], sizeof(texts[0]), "%d", first);
	snprintf(texts[1], sizeof(texts[1]), "%d", second);
	return outcome_of(PQexecPrepared(connection, name, n, values, NULL, NULL, 0));
}

/* --- the operations --- */

static Outcome
place_order(PGconn *connection, Client *client)
{
	int product = 1 + pick(client, PRODUCTS);
	Outcome outcome = run(connection, "BEGIN");

	if (outcome == WELL)
		outcome = execute(connection, "take", 2, product, 1 + pick(client, WAREHOUSES));
	if (outcome == WELL)
		outcome = execute(connection, "order", 2, 1 + pick(client, CUSTOMERS), product);
	if (outcome == WELL)
		return run(connection, "COMMIT");
	run(connection, "ROLLBACK");
	return outcome;
}

/* The statement of open_orders with a deadline in front, sent unprepared as a caller without a driver's help would. */
static Outcome
open_orders_at_most(PGconn *connection, Client *client)
{
	char sql[400], customer[16];
	const char *values[1] = {customer};

	snprintf(sql, sizeof(sql), "/* pgweir_deadline='%dms', route='/basket' */ %s", DEADLINE_MS, OPEN_ORDERS_SQL);
	snprintf(customer, sizeof(customer), "%d", 1 + pick(client, CUSTOMERS));
	return outcome_of(PQexecParams(connection, sql, 1, NULL, values, NULL, NULL, 0));
}

static Outcome
perform(PGconn *connection, Client *client, OperationId id)
{
	switch (id)
	{
		case PRODUCT_PAGE: return execute(connection, "product_page", 1, 1 + pick(client, PRODUCTS), 0);
		case PRODUCT_LIST: return execute(connection, "product_list", 1, 1 + pick(client, 1000), 0);
		case STOCK: return execute(connection, "stock", 1, 1 + pick(client, PRODUCTS), 0);
		case PLACE_ORDER: return place_order(connection, client);
		case OPEN_ORDERS: return execute(connection, "open_orders", 1, 1 + pick(client, CUSTOMERS), 0);
		case OPEN_ORDERS_IMPATIENT: return open_orders_at_most(connection, client);
		case OPERATIONS: break;
	}
	return FAILED;
}

static OperationId
choose(Client *client)
{
	int n = pick(client, 1000);

	if (client->impatient)
		return OPEN_ORDERS_IMPATIENT;
	for (int i = 0; i < OPERATIONS; i++)
	{
		if (n < shares[i])
			return i;
		n -= shares[i];
	}
	return PRODUCT_PAGE;
}

static void
note(OperationId id, Outcome outcome, double us)
{
	int bucket = us <= 1 ? 0 : (int) (log2(us) * BUCKETS_PER_OCTAVE);

	pthread_mutex_lock(&lock);
	seen[id].calls++;
	seen[id].errors += outcome == FAILED;
	seen[id].expired += outcome == EXPIRED;
	seen[id].histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	pthread_mutex_unlock(&lock);
}

static void *
client_main(void *arg)
{
	Client *client = arg;

	while (!stopping)
	{
		PGconn *connection = connection_of(client);
		OperationId id = choose(client);
		struct timespec start;
		Outcome outcome;

		if (connection != NULL)
		{
			clock_gettime(CLOCK_MONOTONIC, &start);
			outcome = perform(connection, client, id);
			note(id, outcome, seconds_since(&start) * 1e6);
		}
		/* Exponential, so that the clients do not fall into step. */
		pause_us((long) (-log((pick(client, 10000) + 1) / 10001.0) * (double) (client->impatient ? impatient_think_us : think_us)));
	}
	PQfinish(client->connection);
	return NULL;
}

/* --- what they saw --- */

static double
percentile_ms(const Seen *s, double share)
{
	long below = 0;

	for (int i = 0; i < BUCKETS; i++)
	{
		below += s->histogram[i];
		if ((double) below >= share * (double) s->calls)
			return exp2((i + 0.5) / BUCKETS_PER_OCTAVE) / 1000;
	}
	return 0;
}

/* Print this phase; the lock is held. */
static void
print_phase(FILE *file)
{
	double seconds = seconds_since(&phase_start);

	for (int i = 0; i < OPERATIONS; i++)
	{
		const Seen *s = &seen[i];

		fprintf(file, "%s\t%.1f\t%.1f\t%.1f\t%ld\t%ld\n", operation_names[i], (double) s->calls / seconds, percentile_ms(s, 0.5),
				percentile_ms(s, 0.95), s->errors, s->expired);
	}
	fflush(file);
}

static void
write_status(const char *path)
{
	char temporary[4096];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "w");
	if (file == NULL)
		return;
	pthread_mutex_lock(&lock);
	print_phase(file);
	pthread_mutex_unlock(&lock);
	fclose(file);
	rename(temporary, path);
}

static void
end_phase(void)
{
	pthread_mutex_lock(&lock);
	print_phase(stdout);
	memset(seen, 0, sizeof(seen));
	clock_gettime(CLOCK_MONOTONIC, &phase_start);
	pthread_mutex_unlock(&lock);
}

int
main(int argc, char **argv)
{
	const struct timespec second = {1, 0};
	sigset_t signals;
	Client *clients;
	int count;

	if (argc != 4 || (count = atoi(argv[2])) < 1)
	{
		fprintf(stderr, "usage: load CONNINFO CLIENTS STATUS_FILE\n");
		return 2;
	}
	conninfo = argv[1];
	count += IMPATIENT;
	clients = calloc((size_t) count, sizeof(Client));
	if (clients == NULL)
		return 1;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	clock_gettime(CLOCK_MONOTONIC, &phase_start);
	for (int i = 0; i < count; i++)
	{
		clients[i].seed = (unsigned) i + 1;
		clients[i].impatient = i < IMPATIENT;
		if (pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) != 0)
			return 1;
	}
	while (!stopping)
		switch (sigtimedwait(&signals, NULL, &second))
		{
			case SIGUSR1: end_phase(); break;
			case SIGTERM:
			case SIGINT: stopping = true; break;
			default: write_status(argv[3]);
		}
	end_phase();
	for (int i = 0; i < count; i++)
		pthread_join(clients[i].thread, NULL);
	free(clients);
	return 0;
}
