/*
 * health.c: asking pools first and probes only when they do not know.
 */
#include "admin/health.h"

#include <stdio.h>

/* Lack of memory cuts the text; the status says enough. */
static void say(Buf *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(Buf *text, const char *format, ...)
{
	char line[600];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len > 0 && !buf_append(text, line, (size_t) len < sizeof(line) ? (size_t) len : sizeof(line) - 1))
		return;
	if (!buf_append(text, "\n", 1))
		return;
}

static const char *
process_trouble(const Worker *worker)
{
	if (worker->hall->phase != WORKER_RUNNING)
		return "shutting down";
	if (worker->hall->suspended)
		return "suspended";
	return worker->hall->paused ? "paused" : NULL;
}

static Database *
find_database(const Worker *worker, const char *name)
{
	MapNode *node = map_find(&worker->hall->databases, hash_bytes(worker->hash_seed, name, strlen(name)), name);

	return node != NULL ? CONTAINER_OF(node, Database, node) : NULL;
}

/* What the pools of a database know of its server. */
typedef struct PoolsKnow
{
	int connections;
	const char *refusal; /* NULL = none that still counts */
} PoolsKnow;

static PoolsKnow
ask_pools(const Worker *worker, const Database *database)
{
	PoolsKnow know = {0};
	usec_t now = worker_now(worker);

	list_each(node, &worker->hall->pool_list)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		if (pool->database != database)
			continue;
		know.connections += pool->policy.idle.count + pool->policy.active.count + pool->policy.cleaning.count;
		if (pool->login_refused && pool->failing_since > 0 &&
			now - pool->policy.last_open_failure < worker->settings->server_login_retry_us)
			know.refusal = session_pool_last_error(pool);
	}
	return know;
}

/* Can the server be reached?  If not, *reason lives until the next turn of the loop. */
static Health
server_health(const Worker *worker, Probes *probes, const Database *database, const DatabaseSpec *spec, const char **reason)
{
	PoolsKnow know = database != NULL ? ask_pools(worker, database) : (PoolsKnow){0};

	*reason = know.refusal;
	if (know.connections > 0)
		return HEALTH_OK;
	if (know.refusal != NULL)
		return HEALTH_BAD;
	switch (probes_ask(probes, spec->host, spec->port, reason))
	{
		case PROBE_PENDING: return HEALTH_PENDING;
		case PROBE_DOWN: return HEALTH_BAD;
		case PROBE_UP: break;
	}
	return HEALTH_OK;
}

static Health
database_health(const Worker *worker, Probes *probes, const char *name, const DatabaseSpec *spec, const char **reason)
{
	const Database *database = find_database(worker, name);

	if (database != NULL && (database->disabled || database->paused))
	{
		*reason = database->disabled ? "disabled" : "paused";
		return HEALTH_BAD;
	}
	return server_health(worker, probes, database, spec, reason);
}

static void
say_of_database(Buf *text, const char *name, const char *reason)
{
	say(text, "database \"%.100s\": %.400s", name, reason);
}

/* The worst of the named databases goes to *worst, the best to *best; a line of each that is not well. */
static void
look_at_databases(const Worker *worker, Probes *probes, Health *worst, Health *best, Buf *text)
{
	const Settings *settings = worker->settings;
	const char *reason;

	*worst = HEALTH_OK;
	*best = HEALTH_BAD;
	for (int i = 0; i < settings->database_count; i++)
	{
		const DatabaseSpec *spec = &settings->databases[i];
		Health health = database_health(worker, probes, spec->name, spec, &reason);

		if (health == HEALTH_BAD)
			say_of_database(text, spec->name, reason);
		if (health == HEALTH_BAD || (health == HEALTH_PENDING && *worst == HEALTH_OK))
			*worst = health;
		if (health == HEALTH_OK || (health == HEALTH_PENDING && *best == HEALTH_BAD))
			*best = health;
	}
}

/* No database has a name of its own: those that are made on demand share a server. */
static Health
template_health(const Worker *worker, Probes *probes, Buf *text)
{
	const DatabaseSpec *spec = worker->settings->database_template;
	const char *reason = "";
	Health health;

	if (spec == NULL)
	{
		say(text, "no database is configured");
		return HEALTH_BAD;
	}
	list_each(node, &worker->hall->pool_list)
	{
		const SessionPool *pool = CONTAINER_OF(node, const SessionPool, list_node);

		if (pool->policy.idle.count + pool->policy.active.count > 0)
			return HEALTH_OK;
	}
	health = server_health(worker, probes, NULL, spec, &reason);
	if (health == HEALTH_BAD)
		say_of_database(text, "*", reason);
	return health;
}

static Health
close_report(Health health, Buf *text)
{
	if (health == HEALTH_OK)
	{
		buf_clear(text);
		say(text, "ok");
	}
	return health;
}

/* Of the databases the best, or the worst (`all`). */
static Health
health_of_databases(Worker *worker, Probes *probes, bool all, Buf *text)
{
	const char *trouble = process_trouble(worker);
	Health worst;
	Health best;

	if (trouble != NULL)
	{
		say(text, "%s", trouble);
		return HEALTH_BAD;
	}
	if (worker->settings->database_count == 0)
		return close_report(template_health(worker, probes, text), text);
	look_at_databases(worker, probes, &worst, &best, text);
	if (!all && best == HEALTH_BAD && worker->settings->database_template != NULL)
		best = template_health(worker, probes, text);
	return close_report(all ? worst : best, text);
}

Health
health_of_process(Worker *worker, Probes *probes, Buf *text)
{
	return health_of_databases(worker, probes, false, text);
}

Health
health_of_all(Worker *worker, Probes *probes, Buf *text)
{
	return health_of_databases(worker, probes, true, text);
}

Health
health_of_database(Worker *worker, Probes *probes, const char *name, Buf *text)
{
	const char *trouble = process_trouble(worker);
	const DatabaseSpec *spec = settings_find_database(worker->settings, name);
	const char *reason = "";
	Health health;

	if (spec == NULL)
		spec = worker->settings->database_template;
	if (spec == NULL || strcmp(name, "pgbouncer") == 0 || strcmp(name, "pgweir") == 0)
	{
		say(text, "no such database: %.100s", name);
		return HEALTH_UNKNOWN;
	}
	if (trouble != NULL)
	{
		say(text, "%s", trouble);
		return HEALTH_BAD;
	}
	health = database_health(worker, probes, name, spec, &reason);
	if (health == HEALTH_BAD)
		say_of_database(text, name, reason);
	return close_report(health, text);
}
