/*
 * moments.c: the rings of seconds and of minutes.
 */
#include "postgres.h"

#include "compat.h"
#include "guc.h"
#include "stores/moments.h"
#include "utils/timestamp.h"

#define SILENT_S 60				/* a pool not heard of for so long loses its place */
#define MUCH_BUSIER 2			/* times as busy: enough to take another's place */
#define LEAST_DEMAND 0.01F

typedef struct History
{
	int64		last;			/* the second added last */
	PgweirMomentPlace place[FLEXIBLE_ARRAY_MEMBER];
} History;

static History *history = NULL;
static PgweirMoment *rings[2] = {NULL, NULL};	/* seconds, minutes: for each place, a moment of each step */
static LWLock *lock = NULL;

static const int steps[2] = {PGWEIR_MOMENT_SECONDS, PGWEIR_MOMENT_MINUTES};
static const int step_s[2] = {1, 60};

static int
n_places(void)
{
	return PGWEIR_PLACE_FIRST + pgweir_history_pools;
}

static Size
head_size(void)
{
	return MAXALIGN(add_size(offsetof(History, place), mul_size(n_places(), sizeof(PgweirMomentPlace))));
}

static Size
ring_size(int ring)
{
	return mul_size(mul_size(steps[ring], n_places()), sizeof(PgweirMoment));
}

Size
pgweir_moments_size(void)
{
	return add_size(head_size(), add_size(ring_size(0), ring_size(1)));
}

int
pgweir_moments_locks(void)
{
	return 1;
}

void
pgweir_moments_attach(void *memory, LWLockPadded *locks, bool fresh)
{
	history = memory;
	rings[0] = (PgweirMoment *) ((char *) memory + head_size());
	rings[1] = (PgweirMoment *) ((char *) rings[0] + ring_size(0));
	lock = &locks[0].lock;
	if (fresh)
		memset(memory, 0, pgweir_moments_size());
}

/* The moment of a place in the step that a second falls into.  Those of a place stand together: the server's are read most. */
static PgweirMoment *
moment_at(int ring, int64 second, int place)
{
	return &rings[ring][place * steps[ring] + (second / step_s[ring]) % steps[ring]];
}

static bool
is_named(const PgweirMomentPlace *place, const PgweirMomentPlace *who)
{
	return strcmp(place->reporter, who->reporter) == 0 && strcmp(place->db, who->db) == 0 &&
		strcmp(place->user, who->user) == 0;
}

/* Whether a place is easier to take than another: the longer silent one, among those that are not the less busy one. */
static bool
is_easier(const PgweirMomentPlace *place, const PgweirMomentPlace *other, int64 second)
{
	bool		silent = place->seen < second - SILENT_S;

	if (silent != (other->seen < second - SILENT_S))
		return silent;
	return silent ? place->seen < other->seen : place->demand < other->demand;
}

/* The place of a pool: its own, a free one, that of a silent one or of one much less busy; -1 if there is none. */
static int
enter_place(const PgweirMomentPlace *who, int64 second)
{
	int			found = -1;
	uint32		generation;

	for (int i = PGWEIR_PLACE_FIRST; i < n_places(); i++)
	{
		PgweirMomentPlace *place = &history->place[i];

		if (place->seen != 0 && is_named(place, who))
			return i;
		if (found < 0 || is_easier(place, &history->place[found], second))
			found = i;
	}
	if (found < 0 || (history->place[found].seen >= second - SILENT_S &&
					  who->demand <= MUCH_BUSIER * Max(history->place[found].demand, LEAST_DEMAND)))
		return -1;
	generation = history->place[found].generation;
	history->place[found] = *who;
	history->place[found].generation = generation + 1;
	return found;
}

static void
put(int ring, int64 second, int place, const uint32 *value)
{
	int64		begin = second - second % step_s[ring];
	PgweirMoment *moment = moment_at(ring, second, place);

	if (moment->second != begin || moment->generation != history->place[place].generation)
		*moment = (PgweirMoment) {.second = begin, .generation = history->place[place].generation};
	moment->seconds++;
	for (int i = 0; i < PGWEIR_HS_N; i++)
	{
		if (i < PGWEIR_HS_FIRST_SUM)
			moment->value[i] = Max(moment->value[i], value[i]);
		else
			moment->value[i] = (uint32) Min((uint64) moment->value[i] + value[i], PG_UINT32_MAX);
	}
}

void
pgweir_moments_add(TimestampTz now, const PgweirMomentEntry *entries, int n)
{
	int64		second = now / USECS_PER_SEC;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	/* A second that comes twice, as after a step of the clock, is added once. */
	for (int i = 0; i < n && second != history->last; i++)
	{
		int			place = i < PGWEIR_PLACE_FIRST ? i : enter_place(&entries[i].who, second);

		if (place < 0)
			continue;
		history->place[place].seen = second;
		history->place[place].demand = entries[i].who.demand;
		put(0, second, place, entries[i].value);
		put(1, second, place, entries[i].value);
	}
	history->last = second;
	LWLockRelease(lock);
}

static void
copy_step(PgweirMomentCopy *copy, int ring, int64 second)
{
	for (int place = 0; place < copy->n_places; place++)
	{
		const PgweirMoment *moment = moment_at(ring, second, place);

		if (moment->seconds == 0 || moment->second != second || moment->generation != history->place[place].generation)
			continue;
		copy->place[copy->n] = place;
		copy->moment[copy->n++] = *moment;
	}
}

PgweirMomentCopy *
pgweir_moments_read(bool minutes, TimestampTz from, TimestampTz to, int n_first)
{
	int			ring = minutes ? 1 : 0;
	PgweirMomentCopy *copy = palloc0(sizeof(PgweirMomentCopy));
	int64		last = (Min(to, GetCurrentTimestamp() + USECS_PER_SEC) + USECS_PER_SEC - 1) / USECS_PER_SEC - 1;
	int64		first = Max((from + USECS_PER_SEC - 1) / USECS_PER_SEC, last - (int64) steps[ring] * step_s[ring] + 1);
	int64		n;

	/* To the beginning of the first step that begins in the range. */
	first = (first + step_s[ring] - 1) / step_s[ring] * step_s[ring];
	n = first > last ? 0 : (last - first) / step_s[ring] + 1;
	copy->n_places = n_first > 0 ? n_first : n_places();
	copy->places = palloc(copy->n_places * sizeof(PgweirMomentPlace));
	copy->place = MemoryContextAllocHuge(CurrentMemoryContext, (n * copy->n_places + 1) * sizeof(int));
	copy->moment = MemoryContextAllocHuge(CurrentMemoryContext, (n * copy->n_places + 1) * sizeof(PgweirMoment));

	LWLockAcquire(lock, LW_SHARED);
	memcpy(copy->places, history->place, copy->n_places * sizeof(PgweirMomentPlace));
	for (int64 i = 0; i < n; i++)
		copy_step(copy, ring, first + i * step_s[ring]);
	LWLockRelease(lock);
	return copy;
}

void
pgweir_moments_reset(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	memset(history, 0, pgweir_moments_size());
	LWLockRelease(lock);
}
