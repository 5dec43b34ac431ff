/*
 * reports.c: what the sidecars report, in shared memory.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/reported.h"
#include "stores/reports.h"
#include "utils/timestamp.h"

#define NONE (-1)

typedef struct Window
{
	int64		epoch;			/* pgweir_recent_epoch() */
	uint64		counter[PGWEIR_PC_NCOUNTERS];
	uint32		hist[PGWEIR_PH_NHISTS][PGWEIR_BUCKETS];
	uint32		sqlstate[PGWEIR_SQLSTATES];	/* of the pool's list */
	uint64		peak_waiting;
} Window;

typedef struct Pool
{
	int			reporter;		/* its place; NONE: this place is free */
	PgweirPoolView view;		/* recent figures are not kept here, but in the windows */
	Window		window[PGWEIR_WINDOWS];
	PgweirRepeatPlace repeat[PGWEIR_MAX_REPEATS];
} Pool;

typedef struct Linked
{
	int			reporter;		/* NONE: this place is free */
	PgweirLinked linked;
} Linked;

typedef enum ReporterSum
{
	SUM_LOGIN_FAILURES,
	SUM_CLIENTS_REFUSED,
	N_SUMS
} ReporterSum;

typedef struct Reporter
{
	bool		used;
	PgweirReporterView view;
	PgweirRecent recent;		/* ReporterSum */
	PgweirPeerPlace peer[PGWEIR_MAX_PEERS];
	PgweirAppPlace app[PGWEIR_MAX_APPS];
} Reporter;

typedef struct Reports
{
	int			n_linked;		/* places in use, which come first */
	Size		pools_offset;
	Size		linked_offset;
	Reporter	reporter[FLEXIBLE_ARRAY_MEMBER];
} Reports;

static Reports *reports = NULL;
static LWLock *lock = NULL;

static Size
pools_offset(void)
{
	return MAXALIGN(add_size(offsetof(Reports, reporter), mul_size(pgweir_max_reporters, sizeof(Reporter))));
}

static Size
linked_offset(void)
{
	return MAXALIGN(add_size(pools_offset(), mul_size(pgweir_max_pools, sizeof(Pool))));
}

Size
pgweir_reports_size(void)
{
	return add_size(linked_offset(), mul_size(pgweir_max_backends(), sizeof(Linked)));
}

int
pgweir_reports_locks(void)
{
	return 1;
}

static inline Pool *
pool_at(int i)
{
	return (Pool *) ((char *) reports + reports->pools_offset) + i;
}

static inline Linked *
linked_at(int i)
{
	return (Linked *) ((char *) reports + reports->linked_offset) + i;
}

static void
clear(void)
{
	reports->n_linked = 0;
	for (int i = 0; i < pgweir_max_reporters; i++)
		reports->reporter[i].used = false;
	for (int i = 0; i < pgweir_max_pools; i++)
		pool_at(i)->reporter = NONE;
}

void
pgweir_reports_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	reports = memory;
	lock = &locks[0].lock;
	if (!fresh)
		return;
	reports->pools_offset = pools_offset();
	reports->linked_offset = linked_offset();
	clear();
}

static bool
is_silent(const Reporter *reporter, TimestampTz now)
{
	return now - reporter->view.last_seen > pgweir_report_expiry_s * USECS_PER_SEC;
}

/* Everything of a reporter goes. */
static void
drop_linked(int reporter)
{
	int			kept = 0;

	for (int i = 0; i < reports->n_linked; i++)
	{
		if (linked_at(i)->reporter != reporter)
			*linked_at(kept++) = *linked_at(i);
	}
	reports->n_linked = kept;
}

static void
drop_reporter(int reporter)
{
	drop_linked(reporter);
	for (int i = 0; i < pgweir_max_pools; i++)
	{
		if (pool_at(i)->reporter == reporter)
			pool_at(i)->reporter = NONE;
	}
	reports->reporter[reporter].used = false;
}

/* The place of a reporter: its own, or a free one, or that of a silent one.  NONE if there is none. */
static int
enter_reporter(const char *name, TimestampTz now)
{
	Reporter   *reporter;
	int			place = NONE;

	for (int i = 0; i < pgweir_max_reporters; i++)
	{
		reporter = &reports->reporter[i];
		if (reporter->used && strcmp(reporter->view.name, name) == 0)
			return i;
		if (place == NONE && !reporter->used)
			place = i;
	}
	for (int i = 0; place == NONE && i < pgweir_max_reporters; i++)
	{
		if (is_silent(&reports->reporter[i], now))
		{
			drop_reporter(i);
			place = i;
		}
	}
	if (place == NONE)
		return NONE;
	reporter = &reports->reporter[place];
	memset(reporter, 0, sizeof(*reporter));
	reporter->used = true;
	reporter->view.first_seen = now;
	strlcpy(reporter->view.name, name, sizeof(reporter->view.name));
	return place;
}

/* The place of a pool: its own or a free one, or that of a pool not heard of for the expiry time.  NULL if none. */
static Pool *
enter_pool(int reporter, const PgweirPoolReport *report, TimestampTz now)
{
	Pool	   *place = NULL;

	for (int i = 0; i < pgweir_max_pools; i++)
	{
		Pool	   *pool = pool_at(i);

		if (pool->reporter == reporter && strcmp(pool->view.db, report->db) == 0 &&
			strcmp(pool->view.user, report->user) == 0)
			return pool;
		if (pool->reporter == NONE || now - pool->view.last_seen > pgweir_report_expiry_s * USECS_PER_SEC)
			place = place == NULL || pool->reporter == NONE ? pool : place;
	}
	if (place == NULL)
		return NULL;
	memset(place, 0, sizeof(*place));
	place->reporter = reporter;
	place->view.first_seen = now;
	strlcpy(place->view.db, report->db, sizeof(place->view.db));
	strlcpy(place->view.user, report->user, sizeof(place->view.user));
	return place;
}

static Window *
enter_window(Pool *pool, TimestampTz now)
{
	int64		epoch = pgweir_recent_epoch(now);
	Window	   *window = &pool->window[epoch % PGWEIR_WINDOWS];

	if (window->epoch != epoch)
	{
		memset(window, 0, sizeof(*window));
		window->epoch = epoch;
	}
	return window;
}

/* The place of an SQLSTATE in the pool's list; the last one takes all that come too late. */
static int
enter_sqlstate(PgweirPoolView *view, const char *code)
{
	for (int i = 0; i < view->n_sqlstates; i++)
	{
		if (strcmp(view->sqlstate_total[i].code, code) == 0)
			return i;
	}
	if (view->n_sqlstates == PGWEIR_SQLSTATES)
		return PGWEIR_SQLSTATES - 1;
	strlcpy(view->sqlstate_total[view->n_sqlstates].code, code, sizeof(view->sqlstate_total[0].code));
	return view->n_sqlstates++;
}

static void
store_pool(Pool *pool, const PgweirPoolReport *report, TimestampTz now)
{
	Window	   *window = enter_window(pool, now);

	pool->view.last_seen = now;
	strlcpy(pool->view.mode, report->mode, sizeof(pool->view.mode));
	strlcpy(pool->view.error, report->error, sizeof(pool->view.error));
	memcpy(pool->view.gauge, report->gauge, sizeof(report->gauge));
	window->peak_waiting = Max(window->peak_waiting, report->gauge[PGWEIR_PG_CL_WAITING]);
	for (int i = 0; i < PGWEIR_PC_NCOUNTERS; i++)
	{
		window->counter[i] += report->counter[i];
		pool->view.total[i] += report->counter[i];
	}
	for (int h = 0; h < PGWEIR_PH_NHISTS; h++)
	{
		for (int i = 0; i < PGWEIR_BUCKETS; i++)
			window->hist[h][i] += (uint32) report->hist[h][i];
	}
	for (int i = 0; i < report->n_sqlstates; i++)
	{
		int			at = enter_sqlstate(&pool->view, report->sqlstate[i].code);

		pool->view.sqlstate_total[at].count += report->sqlstate[i].count;
		window->sqlstate[at] += (uint32) report->sqlstate[i].count;
	}
	for (int i = 0; i < report->n_repeats; i++)
		pgweir_reported_repeat(pool->repeat, &report->repeat[i], now);
}

static void
store_head(Reporter *reporter, const PgweirReport *report, TimestampTz now)
{
	PgweirReporterView *view = &reporter->view;
	uint64		sums[N_SUMS] = {[SUM_LOGIN_FAILURES] = report->login_failures,
		[SUM_CLIENTS_REFUSED] = report->clients_refused};

	view->pid = report->pid;
	strlcpy(view->version, report->version, sizeof(view->version));
	strlcpy(view->listen, report->listen, sizeof(view->listen));
	view->last_seen = now;
	view->reports++;
	view->left_out = 0;
	view->uptime_us = report->uptime_us;
	view->interval_us = report->interval_us;
	view->clients = report->clients;
	view->max_clients = report->max_clients;
	pgweir_recent_add(&reporter->recent, now, sums, N_SUMS, 0);
	for (int i = 0; i < report->n_peers; i++)
		pgweir_reported_peer(reporter->peer, &report->peers[i], now);
	for (int i = 0; i < report->n_apps; i++)
		pgweir_reported_app(reporter->app, &report->apps[i], now);
}

static void
store_linked(int reporter, const PgweirReport *report)
{
	PgweirReporterView *view = &reports->reporter[reporter].view;

	drop_linked(reporter);
	for (int i = 0; i < report->n_linked; i++)
	{
		Linked	   *place;

		if (reports->n_linked == pgweir_max_backends())
		{
			view->left_out += report->n_linked - i;
			return;
		}
		place = linked_at(reports->n_linked++);
		place->reporter = reporter;
		place->linked = report->linked[i];
	}
}

void
pgweir_reports_store(const char *name, const PgweirReport *report)
{
	TimestampTz now = GetCurrentTimestamp();
	int			reporter;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	reporter = enter_reporter(name, now);
	if (reporter == NONE)
	{
		LWLockRelease(lock);
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many reporters"),
				 errhint("Raise pgweir.max_reporters (now %d) and restart the server.", pgweir_max_reporters)));
	}
	store_head(&reports->reporter[reporter], report, now);
	for (int i = 0; i < report->n_pools; i++)
	{
		Pool	   *pool = enter_pool(reporter, &report->pools[i], now);

		if (pool != NULL)
			store_pool(pool, &report->pools[i], now);
		else
			reports->reporter[reporter].view.left_out++;
	}
	store_linked(reporter, report);
	LWLockRelease(lock);
}

PgweirReporterView *
pgweir_reports_reporters(int *n)
{
	PgweirReporterView *views = palloc(pgweir_max_reporters * sizeof(PgweirReporterView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < pgweir_max_reporters; i++)
	{
		Reporter   *reporter = &reports->reporter[i];

		if (reporter->used && !is_silent(reporter, now))
		{
			PgweirRecentWindow sums = pgweir_recent_read(&reporter->recent, now);

			views[*n] = reporter->view;
			views[*n].login_failures = sums.sum[SUM_LOGIN_FAILURES];
			views[(*n)++].clients_refused = sums.sum[SUM_CLIENTS_REFUSED];
		}
	}
	LWLockRelease(lock);
	return views;
}

/* Adds the windows of the last PGWEIR_RECENT_S seconds up. */
static void
read_pool(const Pool *pool, TimestampTz now, PgweirPoolView *view)
{
	*view = pool->view;
	strlcpy(view->reporter, reports->reporter[pool->reporter].view.name, sizeof(view->reporter));
	for (int i = 0; i < view->n_sqlstates; i++)
		memcpy(view->sqlstate[i].code, view->sqlstate_total[i].code, sizeof(view->sqlstate[i].code));
	for (int w = 0; w < PGWEIR_WINDOWS; w++)
	{
		const Window *window = &pool->window[w];

		if (!pgweir_is_recent(window->epoch, now))
			continue;
		for (int i = 0; i < PGWEIR_PC_NCOUNTERS; i++)
			view->recent[i] += window->counter[i];
		for (int h = 0; h < PGWEIR_PH_NHISTS; h++)
		{
			for (int i = 0; i < PGWEIR_BUCKETS; i++)
				view->hist[h][i] += window->hist[h][i];
		}
		for (int i = 0; i < view->n_sqlstates; i++)
			view->sqlstate[i].count += window->sqlstate[i];
		view->peak_waiting = Max(view->peak_waiting, window->peak_waiting);
	}
}

PgweirPoolView *
pgweir_reports_pools(int *n)
{
	PgweirPoolView *views = palloc(pgweir_max_pools * sizeof(PgweirPoolView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < pgweir_max_pools; i++)
	{
		Pool	   *pool = pool_at(i);

		/* A pool may go while its reporter stays. */
		if (pool->reporter != NONE && now - pool->view.last_seen <= pgweir_report_expiry_s * USECS_PER_SEC)
			read_pool(pool, now, &views[(*n)++]);
	}
	LWLockRelease(lock);
	return views;
}

PgweirLinkedView *
pgweir_reports_linked(int *n)
{
	PgweirLinkedView *views = palloc(pgweir_max_backends() * sizeof(PgweirLinkedView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < reports->n_linked; i++)
	{
		Linked	   *place = linked_at(i);
		Reporter   *reporter = &reports->reporter[place->reporter];
		PgweirLinkedView *view = &views[*n];

		if (is_silent(reporter, now))
			continue;
		strlcpy(view->reporter, reporter->view.name, sizeof(view->reporter));
		view->reported = reporter->view.last_seen;
		view->linked = place->linked;
		(*n)++;
	}
	LWLockRelease(lock);
	return views;
}

PgweirPeerView *
pgweir_reports_peers(int *n)
{
	PgweirPeerView *views = palloc(pgweir_max_reporters * PGWEIR_MAX_PEERS * sizeof(PgweirPeerView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < pgweir_max_reporters * PGWEIR_MAX_PEERS; i++)
	{
		Reporter   *reporter = &reports->reporter[i / PGWEIR_MAX_PEERS];
		PgweirPeerPlace *place = &reporter->peer[i % PGWEIR_MAX_PEERS];
		PgweirPeerView *view = &views[*n];
		PgweirRecentWindow sums;

		if (!reporter->used || is_silent(reporter, now) || !pgweir_reported_lately(place->seen, now))
			continue;
		sums = pgweir_recent_read(&place->recent, now);
		strlcpy(view->reporter, reporter->view.name, sizeof(view->reporter));
		view->seen = place->seen;
		view->peer = place->last;
		view->peer.retrans = sums.sum[PGWEIR_PS_RETRANS];
		view->peer.segments = sums.sum[PGWEIR_PS_SEGMENTS];
		view->rtt_most_us = sums.most;
		(*n)++;
	}
	LWLockRelease(lock);
	return views;
}

PgweirAppView *
pgweir_reports_apps(int *n)
{
	PgweirAppView *views = palloc(pgweir_max_reporters * PGWEIR_MAX_APPS * sizeof(PgweirAppView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < pgweir_max_reporters * PGWEIR_MAX_APPS; i++)
	{
		Reporter   *reporter = &reports->reporter[i / PGWEIR_MAX_APPS];
		PgweirAppPlace *place = &reporter->app[i % PGWEIR_MAX_APPS];
		PgweirAppView *view = &views[*n];

		if (!reporter->used || is_silent(reporter, now) || !pgweir_reported_lately(place->seen, now))
			continue;
		strlcpy(view->reporter, reporter->view.name, sizeof(view->reporter));
		view->first = place->first;
		view->seen = place->seen;
		view->app = place->last;
		memcpy(view->app.counter, pgweir_recent_read(&place->recent, now).sum, sizeof(view->app.counter));
		memcpy(view->total, place->total, sizeof(view->total));
		(*n)++;
	}
	LWLockRelease(lock);
	return views;
}

static bool
read_repeat(const Pool *pool, const PgweirRepeatPlace *place, TimestampTz now, PgweirRepeatView *view)
{
	PgweirRecentWindow sums = pgweir_recent_read(&place->recent, now);

	if (place->seen == 0 || sums.sum[PGWEIR_RS_UNITS] == 0)
		return false;
	strlcpy(view->reporter, reports->reporter[pool->reporter].view.name, sizeof(view->reporter));
	strlcpy(view->db, pool->view.db, sizeof(view->db));
	strlcpy(view->user, pool->view.user, sizeof(view->user));
	view->first = place->first;
	view->seen = place->seen;
	view->repeat = place->last;
	view->repeat.units = sums.sum[PGWEIR_RS_UNITS];
	view->repeat.statements = sums.sum[PGWEIR_RS_STATEMENTS];
	view->repeat.most = sums.most;
	return true;
}

PgweirRepeatView *
pgweir_reports_repeats(int *n)
{
	PgweirRepeatView *views = palloc(pgweir_max_pools * PGWEIR_MAX_REPEATS * sizeof(PgweirRepeatView));
	TimestampTz now = GetCurrentTimestamp();

	*n = 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < pgweir_max_pools * PGWEIR_MAX_REPEATS; i++)
	{
		const Pool *pool = pool_at(i / PGWEIR_MAX_REPEATS);

		if (pool->reporter != NONE && read_repeat(pool, &pool->repeat[i % PGWEIR_MAX_REPEATS], now, &views[*n]))
			(*n)++;
	}
	LWLockRelease(lock);
	return views;
}

void
pgweir_reports_reset(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	clear();
	LWLockRelease(lock);
}
