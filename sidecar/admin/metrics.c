/*
 * metrics.c: writing families of metrics, each with all its pools.
 *
 * Numbers are written by hand: this runs on the loop that serves clients, and fifty pools are ten thousand lines.
 */
#include "admin/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/figures.h"

#define LABELS_MAX 320

typedef struct WorkerFigures
{
	uint64_t busy_us; /* of a second */
	uint64_t clients, moved;
} WorkerFigures;

typedef struct Metrics
{
	const Worker *worker;
	MetricsFormat format;
	Buf *out;
	bool failed;
	int pools;
	PoolFigures *figures;		 /* owned; one a pool */
	AppTable apps;				 /* of all workers */
	uint64_t login_failures, clients_refused;
	int active_workers;
	WorkerFigures workers[POOL_HOMES];
	char (*labels)[LABELS_MAX]; /* owned; database="",user="" of each */
} Metrics;

/* --- text --- */

static void
put_bytes(Metrics *metrics, const char *bytes, size_t len)
{
	if (!metrics->failed && !buf_append(metrics->out, bytes, len))
		metrics->failed = true;
}

static void
put(Metrics *metrics, const char *text)
{
	put_bytes(metrics, text, strlen(text));
}

static void
put_number(Metrics *metrics, uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char) ('0' + number % 10);
	while ((number /= 10) > 0);
	put_bytes(metrics, digits + at, sizeof(digits) - at);
}

/* Microseconds as seconds. */
static void
put_seconds(Metrics *metrics, uint64_t us)
{
	char fraction[] = ".000000";
	uint64_t rest = us % 1000000;
	size_t len = sizeof(fraction) - 1;

	put_number(metrics, us / 1000000);
	if (rest == 0)
		return;
	for (size_t at = 6; at > 0; at--, rest /= 10)
		fraction[at] = (char) ('0' + rest % 10);
	while (fraction[len - 1] == '0')
		len--;
	put_bytes(metrics, fraction, len);
}

static void
put_value(Metrics *metrics, uint64_t value, bool seconds)
{
	if (seconds)
		put_seconds(metrics, value);
	else
		put_number(metrics, value);
}

/* The length of the character in UTF-8 that text begins with, 0 when it is none. */
static size_t
character(const char *text)
{
	unsigned char lead = (unsigned char) text[0];
	size_t len = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;

	for (size_t i = 1; i < len; i++)
		if (((unsigned char) text[i] & 0xC0) != 0x80)
			return 0;
	return len;
}

/* A label's value, escaped, in UTF-8 whatever it was; what does not fit is cut. */
static size_t
escape(const char *value, char *out, size_t size)
{
	size_t len = 0;
	size_t n;

	for (; *value != '\0' && len + 5 < size; value += n > 0 ? n : 1)
	{
		n = character(value);
		if (*value == '"' || *value == '\\' || *value == '\n')
			out[len++] = '\\';
		if (n <= 1)
			out[len++] = (char) (n == 0 ? '?' : *value == '\n' ? 'n' : *value);
		else
		{
			memcpy(out + len, value, n);
			len += n;
		}
	}
	out[len] = '\0';
	return len;
}

/* --- families and samples --- */

static bool
is_open(const Metrics *metrics)
{
	return metrics->format == METRICS_OPENMETRICS;
}

/* A counter's family has "_total" in its name in the older format only. */
static void
family(Metrics *metrics, const char *name, const char *type, const char *help)
{
	bool total = strcmp(type, "counter") == 0 && !is_open(metrics);
	const char *const lines[][2] = {{"# HELP pgweir_", help}, {"# TYPE pgweir_", type}};

	for (int i = 0; i < 2; i++)
	{
		put(metrics, lines[i][0]);
		put(metrics, name);
		put(metrics, total ? "_total " : " ");
		put(metrics, lines[i][1]);
		put(metrics, "\n");
	}
	if (is_open(metrics) && strlen(name) > 8 && strcmp(name + strlen(name) - 8, "_seconds") == 0)
	{
		put(metrics, "# UNIT pgweir_");
		put(metrics, name);
		put(metrics, " seconds\n");
	}
}

/* Up to and with the blank before the value; labels and more may be NULL. */
static void
sample_head(Metrics *metrics, const char *name, const char *suffix, const char *labels, const char *more)
{
	put(metrics, "pgweir_");
	put(metrics, name);
	put(metrics, suffix);
	if (labels != NULL || more != NULL)
	{
		put(metrics, "{");
		put(metrics, labels != NULL ? labels : "");
		put(metrics, labels != NULL && more != NULL ? "," : "");
		put(metrics, more != NULL ? more : "");
		put(metrics, "}");
	}
	put(metrics, " ");
}

static void
sample(Metrics *metrics, const char *name, const char *suffix, const char *labels, const char *more, uint64_t value, bool seconds)
{
	sample_head(metrics, name, suffix, labels, more);
	put_value(metrics, value, seconds);
	put(metrics, "\n");
}

/* One family of a single value. */
static void
single(Metrics *metrics, const char *name, bool counter, const char *help, uint64_t value, bool seconds)
{
	family(metrics, name, counter ? "counter" : "gauge", help);
	sample(metrics, name, counter ? "_total" : "", NULL, NULL, value, seconds);
}

/* --- pools --- */

/* Figures [from, to) are of one metric. */
static void
pool_family(Metrics *metrics, const FigureName *names, int from, int to, bool counter)
{
	family(metrics, names[from].metric, counter ? "counter" : "gauge", names[from].help);
	for (int p = 0; p < metrics->pools; p++)
	{
		const PoolFigures *figures = &metrics->figures[p];

		for (int i = from; i < to; i++)
			sample(metrics, names[i].metric, counter ? "_total" : "", metrics->labels[p], names[i].label,
				   counter ? figures->counters[i] : figures->gauges[i], names[from].seconds);
	}
}

static void
pool_families(Metrics *metrics, const FigureName *names, int count, bool counter)
{
	int to;

	for (int from = 0; from < count; from = to)
	{
		for (to = from + 1; to < count && names[from].metric != NULL && names[to].metric != NULL &&
							strcmp(names[from].metric, names[to].metric) == 0;
			 to++)
			;
		if (names[from].metric != NULL)
			pool_family(metrics, names, from, to, counter);
	}
}

/*
 * Bounds are powers of two, where buckets of ours end too: 2^first, then every `step` octaves.  Times are whole microseconds, cut off, so
 * those counted are below the bound; counts are at most the bound less one.
 */
typedef struct Bounds
{
	int first, last, step;
} Bounds;

static const Bounds bounds_of[PH_KINDS] = {
	[PH_WAIT] = {7, 27, 1},	 [PH_RUN] = {7, 27, 1},	  [PH_GONE] = {10, 27, 1},	 [PH_DEADLINE] = {10, 27, 1},
	[PH_THINK] = {7, 27, 2}, [PH_LIFE] = {14, 32, 2}, [PH_REQUESTS] = {1, 12, 1},
};

static void
bucket(Metrics *metrics, const char *name, const char *labels, int power, bool seconds, uint64_t count)
{
	put(metrics, "pgweir_");
	put(metrics, name);
	put(metrics, "_bucket{");
	put(metrics, labels);
	put(metrics, ",le=\"");
	if (power < 0)
		put(metrics, "+Inf");
	else if (seconds)
		put_seconds(metrics, UINT64_C(1) << power);
	else
		put_number(metrics, (UINT64_C(1) << power) - 1);
	/* OpenMetrics wants a float there */
	if (power >= 0 && is_open(metrics) && (!seconds || (UINT64_C(1) << power) % 1000000 == 0))
		put(metrics, ".0");
	put(metrics, "\"} ");
	put_number(metrics, count);
	put(metrics, "\n");
}

static void
pool_histogram(Metrics *metrics, int kind, int p)
{
	const FigureName *name = &figure_histograms[kind];
	const Histogram *histogram = &metrics->figures[p].histograms[kind];
	uint64_t count = 0;
	int i = 0;

	for (int power = bounds_of[kind].first; power <= bounds_of[kind].last; power += bounds_of[kind].step)
	{
		for (; i < histogram_bucket((usec_t) 1 << power); i++)
			count += histogram->count[i];
		bucket(metrics, name->metric, metrics->labels[p], power, name->seconds, count);
	}
	for (; i < HISTOGRAM_BUCKETS; i++)
		count += histogram->count[i];
	bucket(metrics, name->metric, metrics->labels[p], -1, false, count);
	sample(metrics, name->metric, "_count", metrics->labels[p], NULL, count, false);
	sample(metrics, name->metric, "_sum", metrics->labels[p], NULL, metrics->figures[p].sums[kind], name->seconds);
}

static void
pool_errors(Metrics *metrics)
{
	char label[32];

	family(metrics, "errors", "counter", "Errors that clients were sent, by SQLSTATE.");
	for (int p = 0; p < metrics->pools; p++)
		for (int i = 0; i < STATS_ERROR_CODES; i++)
		{
			const ErrorCount *error = &metrics->figures[p].errors[i];

			if (error->count == 0)
				continue;
			memcpy(label, "sqlstate=\"", 10);
			label[10 + escape(error->code, label + 10, sizeof(label) - 12)] = '"';
			label[strlen(error->code) + 11] = '\0';
			sample(metrics, "errors", "_total", metrics->labels[p], label, error->count, false);
		}
}

static bool
read_pools(Metrics *metrics)
{
	const Worker *worker = metrics->worker;
	size_t n = (size_t) worker->hall->pool_list.count;
	char database[LABELS_MAX / 2 - 20];
	char user[LABELS_MAX / 2 - 20];

	metrics->figures = calloc(n + 1, sizeof(*metrics->figures));
	metrics->labels = calloc(n + 1, sizeof(*metrics->labels));
	if (metrics->figures == NULL || metrics->labels == NULL)
		return false;
	list_each(node, &worker->hall->pool_list)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		figures_of_pool(pool, worker_now(worker), &metrics->figures[metrics->pools]);
		escape(pool->database->name, database, sizeof(database));
		escape(pool->role->name, user, sizeof(user));
		snprintf(metrics->labels[metrics->pools++], LABELS_MAX, "database=\"%s\",user=\"%s\"", database, user);
	}
	return true;
}

static void
read_workers(Metrics *metrics)
{
	Hall *hall = metrics->worker->hall;
	usec_t now = clock_now();

	pthread_mutex_lock(&hall->spread_lock);
	metrics->active_workers = hall->spread.active;
	for (int i = 0; i < hall->worker_count; i++)
	{
		metrics->workers[i].busy_us = (uint64_t) spread_busy(&hall->spread, i, now) * 1000;
		metrics->workers[i].clients = (uint64_t) hall->workers[i]->clients.count;
		metrics->workers[i].moved = hall->workers[i]->moved_out;
	}
	pthread_mutex_unlock(&hall->spread_lock);

	for (int i = 0; i < hall->worker_count; i++)
	{
		apps_add(&metrics->apps, &hall->workers[i]->apps);
		metrics->login_failures += hall->workers[i]->login_failures;
		metrics->clients_refused += hall->workers[i]->clients_refused;
	}
}

/* --- applications --- */

typedef struct AppFigure
{
	const char *name, *help;
	bool counter, seconds;
	size_t offset; /* of a uint64_t in AppCount; clients are an int */
} AppFigure;

static uint64_t
app_value(const AppCount *app, const AppFigure *figure)
{
	uint64_t value;

	if (!figure->counter)
		return (uint64_t) app->clients;
	memcpy(&value, (const char *) app + figure->offset, sizeof(value));
	return value;
}

static void
applications(Metrics *metrics)
{
	static const AppFigure figures[] = {
		{"application_requests", "Requests by application_name.", true, false, offsetof(AppCount, queries)},
		{"application_run_seconds", "Time in those.", true, true, offsetof(AppCount, query_us)},
		{"application_think_seconds", "Time between the requests of their transactions.", true, true, offsetof(AppCount, think_us)},
		{"application_errors", "Errors they were sent.", true, false, offsetof(AppCount, errors)},
		{"application_clients", "Clients by application_name.", false, false, 0},
	};
	char labels[2 * APPS_NAME * 2 + 40];
	char name[2 * APPS_NAME + 4];
	char database[2 * APPS_NAME + 4];

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
	{
		family(metrics, figures[f].name, figures[f].counter ? "counter" : "gauge", figures[f].help);
		for (int i = 0; i < APPS_MAX; i++)
		{
			const AppCount *app = &metrics->apps.items[i];

			if (app->serial == 0)
				continue;
			escape(app->name, name, sizeof(name));
			escape(app->database, database, sizeof(database));
			snprintf(labels, sizeof(labels), "application=\"%s\",database=\"%s\"", name, database);
			sample(metrics, figures[f].name, figures[f].counter ? "_total" : "", labels, NULL, app_value(app, &figures[f]), figures[f].seconds);
		}
	}
}

/* --- threads --- */

static void
workers(Metrics *metrics)
{
	static const struct
	{
		const char *name, *help;
		bool counter, seconds;
		size_t offset;
	} figures[] = {
		{"worker_busy", "Share of a core that a thread has used lately.", false, true, offsetof(WorkerFigures, busy_us)},
		{"worker_clients", "Clients by the thread that serves them.", false, false, offsetof(WorkerFigures, clients)},
		{"worker_clients_moved", "Clients that went to another thread.", true, false, offsetof(WorkerFigures, moved)},
	};
	char label[20];
	uint64_t value;

	single(metrics, "active_workers", false, "Threads that get new clients.", (uint64_t) metrics->active_workers, false);
	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
	{
		family(metrics, figures[f].name, figures[f].counter ? "counter" : "gauge", figures[f].help);
		for (int i = 0; i < metrics->worker->hall->worker_count; i++)
		{
			memcpy(&value, (const char *) &metrics->workers[i] + figures[f].offset, sizeof(value));
			snprintf(label, sizeof(label), "worker=\"%d\"", i);
			sample(metrics, figures[f].name, figures[f].counter ? "_total" : "", label, NULL, value, figures[f].seconds);
		}
	}
}

/* --- the whole --- */

static void
process(Metrics *metrics)
{
	const Worker *worker = metrics->worker;
	const char *backend = net_loop_backend(worker->loop) == NET_BACKEND_URING ? "io_uring" : "epoll";
	char version[120];

	snprintf(version, sizeof(version), "version=\"%.40s\",backend=\"%s\"", worker->version, backend);
	family(metrics, is_open(metrics) ? "build" : "build_info", is_open(metrics) ? "info" : "gauge", "The program.");
	sample(metrics, "build", "_info", version, NULL, 1, false);
	single(metrics, "uptime_seconds", false, "Since the process began.", figures_elapsed(worker->hall->started_at, worker_now(worker)), true);
	single(metrics, "paused", false, "1 while paused, suspended or shutting down.",
		   worker->hall->paused || worker->hall->suspended || worker->hall->phase != WORKER_RUNNING, false);
	single(metrics, "connected_clients", false, "Client connections, also those that log in or talk to the console.",
		   (uint64_t) worker->hall->client_count, false);
	single(metrics, "max_clients", false, "The most allowed (max_client_conn).", (uint64_t) worker->settings->max_client_conn, false);
	single(metrics, "login_failures", true, "Clients that were not let in, for whatever reason.", metrics->login_failures, false);
	single(metrics, "clients_refused", true, "... of these for max_client_conn.", metrics->clients_refused, false);
}

bool
metrics_write(const Worker *worker, MetricsFormat format, Buf *out)
{
	Metrics metrics = {.worker = worker, .format = format, .out = out};

	/* the others wait only while figures are copied, not while they are written down */
	hall_park(worker->hall);
	if (!read_pools(&metrics))
		metrics.failed = true;
	read_workers(&metrics);
	hall_unpark(worker->hall);
	process(&metrics);
	pool_families(&metrics, figure_gauges, PG_KINDS, false);
	pool_families(&metrics, figure_counters, PC_KINDS, true);
	for (int kind = 0; kind < PH_KINDS; kind++)
	{
		family(&metrics, figure_histograms[kind].metric, "histogram", figure_histograms[kind].help);
		for (int p = 0; p < metrics.pools; p++)
			pool_histogram(&metrics, kind, p);
	}
	pool_errors(&metrics);
	applications(&metrics);
	workers(&metrics);
	if (is_open(&metrics))
		put(&metrics, "# EOF\n");
	free(metrics.figures);
	free(metrics.labels);
	return !metrics.failed;
}

const char *
metrics_content_type(MetricsFormat format)
{
	return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
										 : "text/plain; version=0.0.4; charset=utf-8";
}
