/*
 * timeline.c: sums of the last hour in steps of ten seconds.
 */
#include "postgres.h"

#include "compat.h"
#include "stores/deltas.h"
#include "stores/timeline.h"
#include "utils/timestamp.h"

#define CLEARING (-1)			/* the epoch of a step while somebody clears it */
#define WAIT_TRIES 10000

typedef struct Step
{
	pg_atomic_uint64 epoch;
	pg_atomic_uint64 value[PGWEIR_TL_N];
} Step;

static Step *steps = NULL;

static struct
{
	uint64		think_ns;
	uint64		thinks;
	uint64		connects;
}			session;

/* Which counters of a class go into which series. */
static const struct
{
	PgweirCounter from;
	PgweirSeries to;
}			sources[] =
{
	{PGWEIR_CALLS, PGWEIR_TL_STATEMENTS},
	{PGWEIR_TOTAL_NS, PGWEIR_TL_BUSY_NS},
	{PGWEIR_FAILED, PGWEIR_TL_FAILED},
	{PGWEIR_CANCELLED, PGWEIR_TL_CANCELLED},
	{PGWEIR_STATEMENT_TIMEOUT, PGWEIR_TL_STATEMENT_TIMEOUT},
	{PGWEIR_LOCK_TIMEOUT, PGWEIR_TL_LOCK_TIMEOUT},
	{PGWEIR_DEADLINE_MISSED, PGWEIR_TL_DEADLINE_MISSED},
	{PGWEIR_DEADLOCK, PGWEIR_TL_DEADLOCK},
	{PGWEIR_TERMINATED, PGWEIR_TL_TERMINATED},
};

Size
pgweir_timeline_size(void)
{
	return mul_size(PGWEIR_STEPS, sizeof(Step));
}

void
pgweir_timeline_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	steps = memory;
	if (!fresh)
		return;
	for (int i = 0; i < PGWEIR_STEPS; i++)
	{
		pg_atomic_init_u64(&steps[i].epoch, 0);
		for (int j = 0; j < PGWEIR_TL_N; j++)
			pg_atomic_init_u64(&steps[i].value[j], 0);
	}
}

static int64
epoch_of(TimestampTz t)
{
	return t / USECS_PER_SEC / PGWEIR_STEP_S;
}

/* The step of an epoch, cleared if it held an older one; NULL when it holds a newer one or will not come free. */
static Step *
enter_step(int64 epoch)
{
	Step	   *step = &steps[epoch % PGWEIR_STEPS];

	for (int i = 0; i < WAIT_TRIES; i++)
	{
		uint64		seen = pg_atomic_read_u64(&step->epoch);

		if ((int64) seen == epoch)
			return step;
		if ((int64) seen > epoch)
			return NULL;
		if ((int64) seen != CLEARING && pg_atomic_compare_exchange_u64(&step->epoch, &seen, (uint64) CLEARING))
		{
			for (int j = 0; j < PGWEIR_TL_N; j++)
				pg_atomic_write_u64(&step->value[j], 0);
			pg_write_barrier();
			pg_atomic_write_u64(&step->epoch, (uint64) epoch);
			return step;
		}
	}
	return NULL;
}

static inline void
add(Step *step, PgweirSeries series, uint64 amount)
{
	if (amount > 0)
		pg_atomic_fetch_add_u64(&step->value[series], amount);
}

void
pgweir_timeline_add_tally(const PgweirTally *tally)
{
	Step	   *step;

	if (tally->usage.counter[PGWEIR_CALLS] == 0)
		return;
	step = enter_step(epoch_of(tally->last_seen));
	if (step == NULL)
		return;
	for (int i = 0; i < (int) lengthof(sources); i++)
		add(step, sources[i].to, tally->usage.counter[sources[i].from]);
}

void
pgweir_timeline_note_think(uint64 ns)
{
	session.think_ns += ns;
	session.thinks++;
}

void
pgweir_timeline_note_connect(void)
{
	session.connects++;
}

void
pgweir_timeline_flush_session(void)
{
	Step	   *step;

	if (session.thinks == 0 && session.connects == 0)
		return;
	step = enter_step(epoch_of(GetCurrentTimestamp()));
	if (step != NULL)
	{
		add(step, PGWEIR_TL_THINK_NS, session.think_ns);
		add(step, PGWEIR_TL_THINKS, session.thinks);
		add(step, PGWEIR_TL_CONNECTS, session.connects);
	}
	memset(&session, 0, sizeof(session));
}

void
pgweir_timeline_note_error(int sqlstate)
{
	Step	   *step;
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	if (steps == NULL || category == ERRCODE_OPERATOR_INTERVENTION)
		return;
	step = enter_step(epoch_of(GetCurrentTimestamp()));
	if (step == NULL)
		return;
	add(step, PGWEIR_TL_ERRORS, 1);
	if (category == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		add(step, PGWEIR_TL_UNDEFINED, 1);
}

void
pgweir_timeline_reset(void)
{
	for (int i = 0; i < PGWEIR_STEPS; i++)
	{
		for (int j = 0; j < PGWEIR_TL_N; j++)
			pg_atomic_write_u64(&steps[i].value[j], 0);
	}
}

/* The ring unrolled: element i is epoch first + i. */
typedef struct Unrolled
{
	int64		first;
	PgweirStep *steps;
} Unrolled;

static void
add_unmerged(const PgweirKey *key, const PgweirTally *tally, void *arg)
{
	Unrolled   *out = arg;
	int64		i = epoch_of(tally->last_seen) - out->first;

	if (!key->toplevel || i < 0 || i >= PGWEIR_STEPS)
		return;
	for (int j = 0; j < (int) lengthof(sources); j++)
		out->steps[i].value[sources[j].to] += tally->usage.counter[sources[j].from];
}

int
pgweir_timeline_read(PgweirStep *out)
{
	Unrolled	unrolled = {epoch_of(GetCurrentTimestamp()) - PGWEIR_STEPS + 1, out};
	PgweirDeltaStamp *stamps = palloc(pgweir_max_backends() * sizeof(PgweirDeltaStamp));

	for (int i = 0; i < PGWEIR_STEPS; i++)
	{
		int64		epoch = unrolled.first + i;
		Step	   *step = &steps[epoch % PGWEIR_STEPS];

		memset(&out[i], 0, sizeof(out[i]));
		out[i].epoch = epoch;
		if ((int64) pg_atomic_read_u64(&step->epoch) != epoch)
			continue;
		for (int j = 0; j < PGWEIR_TL_N; j++)
			out[i].value[j] = pg_atomic_read_u64(&step->value[j]);
	}
	pgweir_deltas_visit(add_unmerged, &unrolled, stamps);
	pfree(stamps);
	return PGWEIR_STEPS;
}
