/*
 * pressure.c: the second that has passed, for the history: states of the backends, the timeline's sums, what sidecars reported.
 *
 * Counters of pools and of the timeline are of life or of steps; what was seen of them last stands here, so that a
 * second gets its own.  The first look after the worker's start only takes note.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "sampler/sampler.h"
#include "stores/moments.h"
#include "stores/reports.h"
#include "stores/timeline.h"
#include "storage/fd.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

/* Late merges still change the last steps of the timeline. */
#define LATE_STEPS 4

/* Which sums of the timeline go into which series. */
static const struct
{
	PgweirSeries from;
	PgweirMomentSeries to;
	uint64		unit;
}			timeline_sums[] =
{
	{PGWEIR_TL_STATEMENTS, PGWEIR_HS_STATEMENTS, 1},
	{PGWEIR_TL_BUSY_NS, PGWEIR_HS_BUSY_MS, 1000000},
	{PGWEIR_TL_ERRORS, PGWEIR_HS_ERRORS, 1},
	{PGWEIR_TL_CANCELLED, PGWEIR_HS_CANCELLED, 1},
	{PGWEIR_TL_STATEMENT_TIMEOUT, PGWEIR_HS_CANCELLED, 1},
	{PGWEIR_TL_DEADLINE_MISSED, PGWEIR_HS_MISSED, 1},
	{PGWEIR_TL_CONNECTS, PGWEIR_HS_CONNECTS, 1},
	{PGWEIR_TL_THINK_NS, PGWEIR_HS_THINK_MS, 1000000},
	{PGWEIR_TL_THINKS, PGWEIR_HS_THINKS, 1},
};

/* Which counters of a pool go into which series. */
static const struct
{
	PgweirPoolCounter from;
	PgweirMomentSeries to;
	uint64		unit;
}			pool_sums[] =
{
	{PGWEIR_PC_QUERIES, PGWEIR_HS_STATEMENTS, 1},
	{PGWEIR_PC_QUERY_US, PGWEIR_HS_BUSY_MS, 1000},
	{PGWEIR_PC_EXPIRED_QUEUED, PGWEIR_HS_MISSED, 1},
	{PGWEIR_PC_EXPIRED_RUNNING, PGWEIR_HS_MISSED, 1},
	{PGWEIR_PC_EXPIRED_GRACE, PGWEIR_HS_MISSED, 1},
	{PGWEIR_PC_REFUSED, PGWEIR_HS_REFUSED, 1},
	{PGWEIR_PC_WAIT_TIMEOUTS, PGWEIR_HS_REFUSED, 1},
	{PGWEIR_PC_UNSERVED, PGWEIR_HS_REFUSED, 1},
	{PGWEIR_PC_GONE_WAITING, PGWEIR_HS_GONE, 1},
	{PGWEIR_PC_GONE_RUNNING, PGWEIR_HS_GONE, 1},
	{PGWEIR_PC_LOGINS, PGWEIR_HS_CONNECTS, 1},
	{PGWEIR_PC_CONNECT_FAILURES, PGWEIR_HS_CONNECT_FAILURES, 1},
	{PGWEIR_PC_THINK_US, PGWEIR_HS_THINK_MS, 1000},
	{PGWEIR_PC_THINK_N, PGWEIR_HS_THINKS, 1},
	{PGWEIR_PC_WAIT_US, PGWEIR_HS_WAIT_MS, 1000},
	{PGWEIR_PC_DRAIN_US, PGWEIR_HS_DRAIN_MS, 1000},
	{PGWEIR_PC_XACTS, PGWEIR_HS_XACTS, 1},
	{PGWEIR_PC_REPEAT_STATEMENTS, PGWEIR_HS_REPEATED, 1},
};

/* What was known of a pool a second ago. */
typedef struct PoolBefore
{
	char		reporter[PGWEIR_NAME_LEN];
	char		db[PGWEIR_NAME_LEN];
	char		user[PGWEIR_NAME_LEN];
	TimestampTz first_seen;
	float		demand;			/* for a connection, smoothed over some minutes */
	uint64		total[PGWEIR_PC_NCOUNTERS];
} PoolBefore;

#define DEMAND_SECONDS 300		/* over which it is smoothed */

static struct
{
	bool		ready;
	PgweirStep	steps[LATE_STEPS];
	int			n_pools;
	PoolBefore *pools;			/* owned: pgweir.max_pools of them, in TopMemoryContext */
	uint64		cpu_short_us;
}			before;

static uint32
saturated(uint64 value)
{
	return (uint32) Min(value, PG_UINT32_MAX);
}

static void
raise_to(uint32 *value, uint64 candidate)
{
	*value = Max(*value, saturated(candidate));
}

/* --- backends --- */

static uint64
ms_between(TimestampTz from, TimestampTz to)
{
	return from > 0 && to > from ? (uint64) (to - from) / 1000 : 0;
}

static void
count_backend(const PgBackendStatus *status, TimestampTz now, uint32 *value)
{
	PGPROC	   *proc;
	uint32		event;

	switch (status->st_state)
	{
		case STATE_IDLE:
			value[PGWEIR_HS_IDLE]++;
			break;
		case STATE_IDLEINTRANSACTION:
		case STATE_IDLEINTRANSACTION_ABORTED:
			value[PGWEIR_HS_IN_XACT]++;
			raise_to(&value[PGWEIR_HS_HOLDER_MS], ms_between(status->st_state_start_timestamp, now));
			break;
		case STATE_RUNNING:
		case STATE_FASTPATH:
			value[PGWEIR_HS_ACTIVE]++;
			proc = BackendPidGetProc(status->st_procpid);
			event = proc != NULL ? *(volatile uint32 *) &proc->wait_event_info : 0;
			if ((event & 0xFF000000U) == PG_WAIT_LOCK)
				value[PGWEIR_HS_LOCKED]++;
			else
				raise_to(&value[PGWEIR_HS_LONGEST_MS], ms_between(status->st_activity_start_timestamp, now));
			if (event == WAIT_EVENT_CLIENT_WRITE)
				value[PGWEIR_HS_DRAINING]++;
			break;
		default:
			value[PGWEIR_HS_OPENING]++;
	}
}

static void
count_backends(TimestampTz now, uint32 *value)
{
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= n; i++)
	{
		LocalPgBackendStatus *local = pgweir_local_beentry(i);

		if (local != NULL && local->backendStatus.st_backendType == B_BACKEND)
			count_backend(&local->backendStatus, now, value);
	}
	pgstat_clear_backend_activity_snapshot();
	value[PGWEIR_HS_SIZE] = (uint32) pgweir_server_slots();
}

/* --- the timeline --- */

static uint64
step_before(int64 epoch, PgweirSeries series)
{
	for (int i = 0; i < LATE_STEPS; i++)
	{
		if (before.steps[i].epoch == epoch)
			return before.steps[i].value[series];
	}
	return 0;
}

static void
count_timeline(uint32 *value)
{
	PgweirStep *steps = palloc(PGWEIR_STEPS * sizeof(PgweirStep));
	const PgweirStep *late = steps + pgweir_timeline_read(steps) - LATE_STEPS;

	for (int i = 0; i < (int) lengthof(timeline_sums); i++)
	{
		uint64		sum = 0;

		for (int s = 0; s < LATE_STEPS; s++)
		{
			uint64		now = late[s].value[timeline_sums[i].from];
			uint64		then = step_before(late[s].epoch, timeline_sums[i].from);

			/* Less than before: it was reset. */
			sum += now >= then ? now - then : now;
		}
		value[timeline_sums[i].to] += saturated(sum / timeline_sums[i].unit);
	}
	memcpy(before.steps, late, sizeof(before.steps));
}

/* --- the machine --- */

/*
 * How long processes of this machine waited for a processor, as the kernel counts it (pressure stall information): when it is short of
 * them, everybody is slow, and it is nobody's own fault.
 */
static void
count_cpu_shortage(uint32 *value)
{
	unsigned long long total;
	FILE	   *file = AllocateFile("/proc/pressure/cpu", "r");

	if (file == NULL)
		return;
	if (fscanf(file, "some avg10=%*f avg60=%*f avg300=%*f total=%llu", &total) == 1)
	{
		if (before.cpu_short_us > 0 && total >= before.cpu_short_us)
			value[PGWEIR_HS_CPU_SHORT_MS] = saturated((total - before.cpu_short_us) / 1000);
		before.cpu_short_us = total;
	}
	FreeFile(file);
}

/* --- pools --- */

static const PoolBefore *
pool_before(const PgweirPoolView *view)
{
	for (int i = 0; i < before.n_pools; i++)
	{
		const PoolBefore *pool = &before.pools[i];

		if (pool->first_seen == view->first_seen && strcmp(pool->reporter, view->reporter) == 0 &&
			strcmp(pool->db, view->db) == 0 && strcmp(pool->user, view->user) == 0)
			return pool;
	}
	return NULL;
}

/* Connections that a pool's clients held or waited for in a second, on the average. */
static float
demand_of(const uint32 *value)
{
	float		used = ((float) value[PGWEIR_HS_BUSY_MS] + (float) value[PGWEIR_HS_THINK_MS] + (float) value[PGWEIR_HS_WAIT_MS]) / 1000;

	return Max(used, (float) value[PGWEIR_HS_ACTIVE]) + (float) value[PGWEIR_HS_WAITING];
}

static void
count_pool(const PgweirPoolView *view, PgweirMomentEntry *entry)
{
	const PoolBefore *pool = pool_before(view);
	uint32	   *value = entry->value;

	strlcpy(entry->who.reporter, view->reporter, sizeof(entry->who.reporter));
	strlcpy(entry->who.db, view->db, sizeof(entry->who.db));
	strlcpy(entry->who.user, view->user, sizeof(entry->who.user));
	value[PGWEIR_HS_SIZE] = saturated(view->gauge[PGWEIR_PG_SIZE]);
	value[PGWEIR_HS_ACTIVE] = saturated(view->gauge[PGWEIR_PG_SV_ACTIVE]);
	value[PGWEIR_HS_IDLE] = saturated(view->gauge[PGWEIR_PG_SV_IDLE] + view->gauge[PGWEIR_PG_SV_USED] +
									  view->gauge[PGWEIR_PG_SV_TESTED]);
	value[PGWEIR_HS_WAITING] = saturated(view->gauge[PGWEIR_PG_CL_WAITING]);
	value[PGWEIR_HS_OPENING] = saturated(view->gauge[PGWEIR_PG_SV_LOGIN]);
	value[PGWEIR_HS_MAXWAIT_MS] = saturated(view->gauge[PGWEIR_PG_MAXWAIT_US] / 1000);
	value[PGWEIR_HS_DRAINING] = saturated(view->gauge[PGWEIR_PG_CL_BLOCKED]);
	value[PGWEIR_HS_FAILING_MS] = saturated(view->gauge[PGWEIR_PG_FAILING_US] / 1000);
	for (int i = 0; i < (int) lengthof(pool_sums); i++)
	{
		uint64		now = view->total[pool_sums[i].from];
		uint64		then = pool != NULL ? pool->total[pool_sums[i].from] : 0;

		value[pool_sums[i].to] += saturated((now >= then ? now - then : now) / pool_sums[i].unit);
	}
	/* What a pool that is new has counted may be of long ago. */
	entry->who.demand = pool != NULL ? pool->demand + (demand_of(value) - pool->demand) / DEMAND_SECONDS :
		(float) (value[PGWEIR_HS_ACTIVE] + value[PGWEIR_HS_WAITING]);
}

/* Adds a pool to all together: durations that are peaks are not added up. */
static void
add_pool(uint32 *sum, const uint32 *value)
{
	for (int s = 0; s < PGWEIR_HS_N; s++)
	{
		if (s == PGWEIR_HS_MAXWAIT_MS || s == PGWEIR_HS_HOLDER_MS || s == PGWEIR_HS_LONGEST_MS || s == PGWEIR_HS_RTT_US ||
			s == PGWEIR_HS_FAILING_MS)
			sum[s] = Max(sum[s], value[s]);
		else
			sum[s] = saturated((uint64) sum[s] + value[s]);
	}
}

static void
note_pools(const PgweirPoolView *views, const PgweirMomentEntry *entries, int n)
{
	if (before.pools == NULL)
		before.pools = MemoryContextAllocZero(TopMemoryContext, pgweir_max_pools * sizeof(PoolBefore));
	before.n_pools = n;
	for (int i = 0; i < n; i++)
	{
		PoolBefore *pool = &before.pools[i];

		strlcpy(pool->reporter, views[i].reporter, sizeof(pool->reporter));
		strlcpy(pool->db, views[i].db, sizeof(pool->db));
		strlcpy(pool->user, views[i].user, sizeof(pool->user));
		pool->first_seen = views[i].first_seen;
		pool->demand = entries[i].who.demand;
		memcpy(pool->total, views[i].total, sizeof(pool->total));
	}
}

/* A backend that is linked is the pool's: who of them is idle in a transaction the sidecar has said. */
static void
count_linked(PgweirMomentEntry *entries, int n, TimestampTz now)
{
	int			n_linked;
	PgweirLinkedView *linked = pgweir_reports_linked(&n_linked);

	for (int i = 0; i < n_linked; i++)
	{
		if (strncmp(linked[i].linked.state, "idle in transaction", 19) != 0)
			continue;
		for (int e = 0; e < n; e++)
		{
			if (strcmp(entries[e].who.reporter, linked[i].reporter) == 0 &&
				strcmp(entries[e].who.db, linked[i].linked.db) == 0 && strcmp(entries[e].who.user, linked[i].linked.user) == 0)
			{
				entries[e].value[PGWEIR_HS_IN_XACT]++;
				if (entries[e].value[PGWEIR_HS_ACTIVE] > 0)
					entries[e].value[PGWEIR_HS_ACTIVE]--;
			}
		}
	}
}

static void
count_network(uint32 *value)
{
	int			n;
	PgweirPeerView *peers = pgweir_reports_peers(&n);

	for (int i = 0; i < n; i++)
		raise_to(&value[PGWEIR_HS_RTT_US], peers[i].peer.rtt_us);
}

void
pgweir_sample_pressure(TimestampTz now)
{
	int			n_pools;
	PgweirPoolView *pools = pgweir_reports_pools(&n_pools);
	PgweirMomentEntry *entries = palloc0((PGWEIR_PLACE_FIRST + n_pools) * sizeof(PgweirMomentEntry));
	PgweirMomentEntry *each = &entries[PGWEIR_PLACE_FIRST];
	uint32	   *server = entries[PGWEIR_PLACE_SERVER].value;

	count_backends(now, server);
	count_timeline(server);
	count_network(server);
	count_cpu_shortage(server);
	for (int i = 0; i < n_pools; i++)
		count_pool(&pools[i], &each[i]);
	count_linked(each, n_pools, now);
	for (int i = 0; i < n_pools; i++)
		add_pool(entries[PGWEIR_PLACE_POOLS].value, each[i].value);
	note_pools(pools, each, n_pools);
	if (before.ready)
		pgweir_moments_add(now, entries, n_pools > 0 ? PGWEIR_PLACE_FIRST + n_pools : 1);
	before.ready = true;
}
