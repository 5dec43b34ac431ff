/*
 * random_test.c: thousands of random schedules against a model that keeps its own books and decides by
 * scanning.
 *
 * Three pools (two of one database, two of one user) share groups.  Each step is an event, a jump in time, or
 * an operation; its actions are carried out at once, later, or (by clients and servers that vanish in
 * between) never.  The model is told of every event and sees every action; it knows nothing of how pool/
 * keeps its lists.
 *
 * What is held against every schedule is named at each `must`.  A failing schedule prints its seed;
 * `random_test SEED` runs that one alone.
 */
#include "pool/pool.h"

#include <stdarg.h>

#include "tap.h"

#define POOLS 3
#define MAX_SLOTS 40
#define MAX_WAITERS 220
#define CAPS 2
#define AGING (1 * USEC_PER_SEC)

typedef enum Fate
{
	UNUSED,
	QUEUED,
	GRANTED,
	FAILED,
	LEFT,
} Fate;

typedef struct TestWaiter
{
	PoolWaiter waiter;
	int pool;
	int order; /* of arrival */
	Fate fate;
} TestWaiter;

typedef enum Seen
{
	NOT_THERE,
	OPENING,
	FREE,    /* idle: may be granted */
	BUSY,    /* granted, or being cleaned */
	CHECKED, /* must prove that it lives */
	CLOSING, /* close was asked */
} Seen;

typedef struct TestSlot
{
	PoolSlot slot;
	int pool;
	Seen seen;
	TestWaiter *client; /* while granted and not released */
} TestSlot;

/* What a schedule is about. */
typedef struct Flavour
{
	bool deadlines, admission, lanes, checks, groups, operations, failures, pending, caps;
} Flavour;

static Pool pools[POOLS];
static PoolGroup groups[3]; /* database a, database b, user */
static PoolCap caps[CAPS];
static PoolActions actions;
static TestSlot slots[MAX_SLOTS];
static TestWaiter waiters[MAX_WAITERS];
static int waiter_count;
static bool plain_turn[POOLS];
static usec_t now;
static uint64_t rng, seed;
static Flavour flavour;
static bool check_order; /* where the model can follow it: not across grants taken back */
static int failures_seen;
static uint64_t grants_seen, fails_seen, evictions_seen, parked_seen, steps_run;

/* --- tools --- */

static uint64_t
next_random(void)
{
	uint64_t z = (rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int
below(int n)
{
	return (int) (next_random() % (uint64_t) n);
}

static bool
one_in(int n)
{
	return below(n) == 0;
}

/* An invariant; the first few that do not hold are told. */
static void must(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
must(bool holds, const char *format, ...)
{
	char text[300];
	va_list args;

	if (holds || failures_seen++ > 5)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	diag("seed %" PRIu64 ", at %" PRId64 " us: %s", seed, now, text);
}

static int
number_of(const Pool *pool)
{
	return (int) (pool - pools);
}

static int
count_slots(int pool, Seen seen)
{
	int n = 0;

	for (int i = 0; i < MAX_SLOTS; i++)
		n += slots[i].seen == seen && slots[i].pool == pool;
	return n;
}

static int
count_all_slots(int pool)
{
	int n = pools[pool].pending_opens;

	for (int i = 0; i < MAX_SLOTS; i++)
		n += slots[i].seen != NOT_THERE && slots[i].pool == pool;
	return n;
}

static int
count_queued(int pool)
{
	int n = 0;

	for (int i = 0; i < waiter_count; i++)
		n += waiters[i].fate == QUEUED && waiters[i].pool == pool;
	return n;
}

/* Waiters that have no place in their cap yet. */
static int
count_parked(int pool)
{
	int n = 0;

	for (int i = 0; i < waiter_count; i++)
		n += waiters[i].fate == QUEUED && waiters[i].pool == pool && waiters[i].waiter.cap != NULL &&
			 !waiters[i].waiter._has_place;
	return n;
}

/* --- the model's opinion --- */

static bool
has_deadline(const TestWaiter *w)
{
	return w->waiter.deadline != DEADLINE_NONE;
}

static const TestWaiter *
oldest_plain(int pool)
{
	for (int i = 0; i < waiter_count; i++)
	{
		if (waiters[i].fate == QUEUED && waiters[i].pool == pool && !has_deadline(&waiters[i]))
			return &waiters[i];
	}
	return NULL;
}

static deadline_t
earliest_deadline(int pool)
{
	deadline_t earliest = DEADLINE_NONE;

	for (int i = 0; i < waiter_count; i++)
	{
		if (waiters[i].fate == QUEUED && waiters[i].pool == pool)
			earliest = deadline_min(earliest, waiters[i].waiter.deadline);
	}
	return earliest;
}

/* May this queued waiter be the next?  Equal deadlines may go in any order. */
static bool
may_be_next(const TestWaiter *w)
{
	const TestWaiter *plain = oldest_plain(w->pool);
	deadline_t earliest = earliest_deadline(w->pool);
	bool plain_next;

	if (plain == NULL || earliest == DEADLINE_NONE)
		plain_next = plain != NULL;
	else if (plain->waiter.since + AGING <= now)
		plain_next = plain_turn[w->pool];
	else
		plain_next = plain->waiter.since + AGING < earliest;
	return plain_next ? w->waiter.since == plain->waiter.since && !has_deadline(w)
					  : w->waiter.deadline == earliest;
}

/* --- actions --- */

static void
saw_grant(const PoolAction *action)
{
	TestSlot *s = CONTAINER_OF(action->slot, TestSlot, slot);
	TestWaiter *w = CONTAINER_OF(action->waiter, TestWaiter, waiter);

	grants_seen++;
	must(s->seen == FREE, "a slot is granted that is not free (%d)", s->seen);
	must(s->pool == number_of(action->pool) && w->pool == s->pool,
		 "slot and waiter are of the pool that says so");
	must(w->fate == QUEUED, "a waiter is granted that does not wait (%d)", w->fate);
	must(w->waiter.deadline > now || flavour.pending, "a waiter is granted after its deadline");
	must(!pools[s->pool].paused || flavour.pending, "a slot is granted while paused");
	must(!pool_is_waiting(&w->waiter), "a granted waiter has left the queue");
	must(s->slot.state == SLOT_ACTIVE, "a granted slot is active");
	if (check_order)
		must(may_be_next(w), "waiter %d is granted out of turn", w->order);
	plain_turn[s->pool] = has_deadline(w);
	w->fate = GRANTED;
	s->seen = BUSY;
	s->client = w;
}

static void
saw_fail(const PoolAction *action)
{
	TestWaiter *w = CONTAINER_OF(action->waiter, TestWaiter, waiter);
	const PoolLimits *limits = &pools[w->pool].limits;

	fails_seen++;
	must(w->fate == QUEUED, "a waiter fails that does not wait (%d)", w->fate);
	must(!pool_is_waiting(&w->waiter), "a failed waiter has left the queue");
	switch (action->fail)
	{
		case POOL_FAIL_DEADLINE: must(w->waiter.deadline <= now, "it expires before its deadline"); break;
		case POOL_FAIL_HOPELESS:
			must(limits->admission && has_deadline(w),
				 "admission refuses although it is off, or without a deadline");
			break;
		case POOL_FAIL_QUEUE_FULL:
			must(limits->max_waiting > 0 && (count_queued(w->pool) > limits->max_waiting || flavour.pending),
				 "the queue is not full");
			break;
		case POOL_FAIL_CAP_FULL:
			must(w->waiter.cap != NULL && (w->waiter.cap->max_waiting > 0 || flavour.operations),
				 "its cap turns nobody away");
			break;
		case POOL_FAIL_WAIT_TIMEOUT:
			must(flavour.pending ||
					 (limits->wait_timeout_us > 0 && w->waiter.since + limits->wait_timeout_us <= now),
				 "it timed out too early");
			break;
		case POOL_FAIL_LOGIN:
			must(flavour.pending || (pools[w->pool].last_open_failure != 0 &&
									 count_slots(w->pool, FREE) + count_slots(w->pool, BUSY) == 0),
				 "it fails for logins although there is a server");
			break;
	}
	w->fate = FAILED;
}

static void
saw_open(Pool *pool)
{
	for (int i = 0; i < MAX_SLOTS; i++)
	{
		if (slots[i].seen == NOT_THERE && !(flavour.failures && one_in(10)))
		{
			slots[i] = (TestSlot){.pool = number_of(pool), .seen = OPENING};
			pool_slot_opening(pool, &slots[i].slot, now);
			return;
		}
	}
	pool_open_impossible(pool, now, &actions);
}

static void
slot_gone(TestSlot *s)
{
	s->seen = NOT_THERE;
	pool_slot_closed(&s->slot, now, &actions);
	must(s->slot.pool == NULL && s->slot.state == SLOT_NONE, "a closed slot is out of its pool");
}

static void
saw_close(const PoolAction *action)
{
	TestSlot *s = CONTAINER_OF(action->slot, TestSlot, slot);

	evictions_seen += action->kind == POOL_EVICT;
	must(s->seen == FREE, "a slot is closed that is not free (%d)", s->seen);
	must(s->slot.state == SLOT_CLOSING, "its state is closing");
	must(action->reason != NULL, "a reason is given");
	s->seen = CLOSING;
	if (!one_in(4))
		slot_gone(s);
}

static bool
do_next_action(void)
{
	PoolAction action;

	if (!pool_actions_next(&actions, &action))
		return false;
	switch (action.kind)
	{
		case POOL_GRANT: saw_grant(&action); break;
		case POOL_FAIL: saw_fail(&action); break;
		case POOL_OPEN: saw_open(action.pool); break;
		case POOL_CHECK:
			must(CONTAINER_OF(action.slot, TestSlot, slot)->seen == FREE, "only a free slot is checked");
			CONTAINER_OF(action.slot, TestSlot, slot)->seen = CHECKED;
			break;
		case POOL_CLOSE:
		case POOL_EVICT: saw_close(&action); break;
		case POOL_LOOK: must(flavour.caps, "a look is asked for although there are no caps"); break;
	}
	return true;
}

static void
do_actions(void)
{
	while (do_next_action())
		;
}

/* --- what must hold between events, with no action pending --- */

static bool
group_has_room(const PoolGroup *group)
{
	return group == NULL || group->limit == 0 || group->used < group->limit;
}

static void
check_pool(int p)
{
	const Pool *pool = &pools[p];
	int queued = count_queued(p);
	int parked = count_parked(p);
	int ready = queued - parked; /* those whom only a slot is missing */
	int free = count_slots(p, FREE);
	int opening = count_slots(p, OPENING) + pool->pending_opens;
	int all = count_all_slots(p);
	int most = pool->limits.size + pool->limits.reserve_size;

	must(pool->waiters.count == queued, "the pool has %d waiters, the model %d", pool->waiters.count, queued);
	must(pool_slots(pool) + pool->pending_opens == all, "the pool has %d slots, the model %d",
		 pool_slots(pool), all);
	must(pool->idle.count == free, "the pool has %d idle slots, the model %d", pool->idle.count, free);
	must(pool->limits.size == 0 || all <= most, "%d slots of at most %d", all, most);
	must(opening <= pool->limits.max_parallel_opening, "%d logins at once", opening);
	must(!pool->paused || free == 0, "a paused pool keeps %d idle slots", free);
	if (pool->paused || pool->retiring)
		return;
	if (!flavour.lanes && !flavour.checks)
		must(ready == 0 || free == 0, "%d waiters beside %d idle slots", ready, free);
	if (!flavour.lanes && flavour.checks && ready > 0 && free > 0)
		must(count_slots(p, CHECKED) >= ready, "waiters beside idle slots that nobody checks");
	if (!flavour.lanes && ready > free + opening + pool->cleaning.count && all < pool->limits.size &&
		opening < pool->limits.max_parallel_opening && pool->last_open_failure == 0)
		must(!group_has_room(pool->db_group) || !group_has_room(pool->user_group),
			 "waiters, room, and no slot is opened");
}

static void
check_group(int g)
{
	const PoolGroup *group = &groups[g];
	int all = 0;
	int closing = 0;
	int blocked = 0;
	int hungry = 0;

	for (int p = 0; p < POOLS; p++)
	{
		if (pools[p].db_group == group || pools[p].user_group == group)
		{
			all += count_all_slots(p);
			closing += count_slots(p, CLOSING);
			blocked += pools[p]._blocked != POOL_NOT_BLOCKED;
			must(pools[p]._ranked == (pools[p]._blocked != POOL_NOT_BLOCKED), "blocked pools stand in line, and nobody else");
			hungry += pools[p]._blocked == POOL_BLOCKED_WAITERS;
		}
	}
	must(group->used == all && group->closing == closing, "group %d counts %d slots, the model %d", g,
		 group->used, all);
	must(group->limit == 0 || all <= group->limit, "%d slots in a group of %d", all, group->limit);
	must(group->_blocked.count == blocked && group->_hungry == hungry, "blocked pools are counted");
}

/* Places are neither lost nor given twice, and none is free while somebody waits for one. */
static void
check_cap(const PoolCap *cap)
{
	int places = 0;
	int parked = 0;

	for (int i = 0; i < waiter_count; i++)
	{
		if (waiters[i].fate == QUEUED && waiters[i].waiter.cap == cap)
		{
			places += waiters[i].waiter._has_place;
			parked += !waiters[i].waiter._has_place;
		}
	}
	for (int i = 0; i < MAX_SLOTS; i++)
		places += slots[i].seen != NOT_THERE && slots[i].slot._cap == cap;
	must(cap->active == places, "a cap counts %d places, the model %d", cap->active, places);
	must(pool_cap_waiting(cap) == parked, "a cap counts %d parked, the model %d", pool_cap_waiting(cap), parked);
	must(cap->max_active == 0 || cap->active <= cap->max_active || flavour.operations, "%d places of at most %d",
		 cap->active, cap->max_active);
	must(parked == 0 || (cap->max_active > 0 && cap->active >= cap->max_active), "%d parked, and a place is free", parked);
	must(cap->max_waiting == 0 || parked <= cap->max_waiting || flavour.operations, "%d parked of at most %d", parked,
		 cap->max_waiting);
	parked_seen += (uint64_t) parked;
}

static void
check_all(void)
{
	for (int c = 0; c < CAPS; c++)
		check_cap(&caps[c]);
	for (int p = 0; p < POOLS; p++)
		check_pool(p);
	for (int g = 0; g < 3; g++)
		check_group(g);
	for (int i = 0; i < waiter_count; i++)
		must((waiters[i].fate == QUEUED) == pool_is_waiting(&waiters[i].waiter),
			 "waiter %d: who waits is queued", i);
}

/* --- time --- */

static deadline_t
next_event(void)
{
	deadline_t at = DEADLINE_NONE;

	for (int p = 0; p < POOLS; p++)
		at = deadline_min(at, pool_next_event(&pools[p], now));
	return at;
}

static void
tick_due(void)
{
	for (int p = 0; p < POOLS; p++)
	{
		for (int i = 0; i < 100 && pool_next_event(&pools[p], now) <= now; i++)
		{
			pool_tick(&pools[p], now, &actions);
			must(pool_next_event(&pools[p], now) > now, "after a tick nothing is due (pool %d, %" PRId64 ")",
				 p, pool_next_event(&pools[p], now) - now);
			do_actions();
		}
	}
}

/* A tick before its time does nothing: no event is missed. */
static void
advance_to(usec_t at)
{
	do_actions();
	for (;;)
	{
		deadline_t event;

		tick_due();
		event = next_event();
		if (event > at)
			break;
		if (event - 1 > now)
		{
			now = event - 1;
			for (int p = 0; p < POOLS; p++)
				pool_tick(&pools[p], now, &actions);
			must(actions.own[0].count == 0, "a tick just before the next event does nothing (%d: kind %d)",
				 actions.own[0].count, actions.own[0].count > 0 ? (int) actions.own[0].items[actions.own[0].head].kind : -1);
			do_actions();
		}
		now = event;
	}
	now = at;
}

/* --- events --- */

static void
request(void)
{
	PoolAction direct = {.kind = POOL_GRANT};
	TestWaiter *w;

	if (waiter_count == MAX_WAITERS)
		return;
	w = &waiters[waiter_count];
	*w = (TestWaiter){.pool = below(POOLS), .order = waiter_count, .fate = QUEUED};
	waiter_count++;
	w->waiter.deadline =
		flavour.deadlines && !one_in(3) ? now + (one_in(10) ? -1 : 1) * below(3000000) : DEADLINE_NONE;
	w->waiter.fingerprint = flavour.lanes || flavour.admission ? (uint64_t) below(4) : 0;
	w->waiter.cap = flavour.caps && !one_in(3) ? &caps[below(CAPS)] : NULL;
	direct.waiter = &w->waiter;
	direct.pool = &pools[w->pool];
	if (one_in(2) && (direct.slot = pool_take(direct.pool, direct.waiter, now)) != NULL)
		saw_grant(&direct);
	else
		pool_request(direct.pool, direct.waiter, now, &actions);
}

static void
abandon(void)
{
	TestWaiter *w;

	if (waiter_count == 0)
		return;
	w = &waiters[below(waiter_count)];
	if (w->fate != QUEUED)
		return;
	w->fate = LEFT;
	pool_abandon(&pools[w->pool], &w->waiter, now, &actions);
	must(!pool_is_waiting(&w->waiter), "who left does not wait");
}

static void
slot_event(void)
{
	TestSlot *s = &slots[below(MAX_SLOTS)];

	switch (s->seen)
	{
		case NOT_THERE: break;
		case OPENING:
			if (flavour.failures && one_in(4))
			{
				s->seen = NOT_THERE;
				pool_slot_open_failed(&s->slot, one_in(2), now, &actions);
			}
			else if (flavour.failures && one_in(10))
				slot_gone(s);
			else
			{
				s->seen = FREE;
				pool_slot_opened(&s->slot, now, &actions);
			}
			break;
		case FREE:
			if (flavour.failures && one_in(8))
			{
				if (s->client != NULL)
					s->client = NULL;
				slot_gone(s);
			}
			break;
		case BUSY:
			if (flavour.failures && one_in(10))
				slot_gone(s);
			else if (s->slot.state == SLOT_CLEANING)
			{
				s->seen = FREE;
				pool_slot_clean(&s->slot, now, &actions);
			}
			else
			{
				bool clean = !one_in(3);

				if (one_in(2))
					pool_starts(&s->slot, (uint64_t) below(5), now);
				if (!one_in(4))
					pool_ran(&s->slot, below(50000), !one_in(5), now);
				s->client = NULL;
				if (clean)
					s->seen = FREE;
				pool_release(&s->slot, clean, now, &actions);
			}
			break;
		case CHECKED:
			if (one_in(4))
				slot_gone(s);
			else
			{
				s->seen = FREE;
				pool_slot_clean(&s->slot, now, &actions);
			}
			break;
		case CLOSING: slot_gone(s); break;
	}
}

static void
operation(void)
{
	Pool *pool = &pools[below(POOLS)];
	PoolLimits limits = pool->limits;

	switch (below(flavour.caps ? 6 : 5))
	{
		case 0: pool_pause(pool, now, &actions); break;
		case 1: pool_resume(pool, now, &actions); break;
		case 2: pool_reconnect(pool, now, &actions); break;
		case 3:
			limits.wait_timeout_us = one_in(3) ? 0 : 1 + below(4000000);
			limits.idle_timeout_us = one_in(3) ? 0 : 1 + below(4000000);
			limits.lifetime_us = one_in(3) ? -1 : below(9000000);
			limits.round_robin = one_in(2);
			pool_set_limits(pool, &limits, now, &actions);
			break;
		case 4: pool->clients = below(3); break;
		case 5: pool_cap_change(&caps[below(CAPS)], below(4), below(4), now, &actions); break;
	}
}

static void
step(void)
{
	int what = below(20);

	steps_run++;
	if (what < 8)
		request();
	else if (what < 16)
		slot_event();
	else if (what < 17)
		abandon();
	else if (what < 18 && flavour.operations && one_in(3))
		operation();
	else
		advance_to(now + (one_in(3) ? below(2000000) : below(30000)));
	if (!flavour.pending || one_in(2))
		do_actions();
	if (actions.own[0].count == 0)
	{
		tick_due();
		check_all();
	}
}

/* --- a schedule --- */

static void
begin(uint64_t of)
{
	seed = rng = of;
	now = 1 + below(1000000);
	waiter_count = 0;
	memset(slots, 0, sizeof(slots));
	memset(plain_turn, 0, sizeof(plain_turn));
	flavour = (Flavour){
		.deadlines = !one_in(3),
		.admission = one_in(3),
		.lanes = one_in(4),
		.checks = one_in(4),
		.groups = one_in(2),
		.operations = one_in(2),
		.failures = one_in(2),
		.pending = one_in(3),
		.caps = one_in(3),
	};
	check_order = !flavour.lanes && !flavour.pending && !flavour.caps;
	for (int c = 0; c < CAPS; c++)
		pool_cap_init(&caps[c], below(4), one_in(2) ? 0 : 1 + below(4));
	for (int g = 0; g < 3; g++)
		pool_group_init(&groups[g], flavour.groups && !one_in(3) ? 1 + below(6) : 0);
	for (int p = 0; p < POOLS; p++)
	{
		PoolLimits limits = {
			.size = 1 + below(6),
			.min_size = one_in(3) ? below(4) : 0,
			.reserve_size = one_in(3) ? below(3) : 0,
			.reserve_timeout_us = 1 + below(500000),
			.wait_timeout_us = one_in(2) ? 0 : 1 + below(4000000),
			.idle_timeout_us = one_in(2) ? 0 : 1 + below(3000000),
			.lifetime_us = one_in(2) ? -1 : below(9000000),
			.check_delay_us = flavour.checks ? below(20000) : -1,
			.login_retry_us = below(3000000),
			.max_parallel_opening = 1 + below(4),
			.max_waiting = one_in(4) ? 1 + below(10) : 0,
			.round_robin = one_in(2),
			.admission = flavour.admission,
			.slow_lane_percent = flavour.lanes ? 1 + below(80) : 100,
			.slow_lane_ratio = flavour.lanes ? 2 + below(5) : 0,
		};

		if (!pool_init(&pools[p], &limits, &groups[p == 2 ? 1 : 0], p == 1 ? NULL : &groups[2], now))
			bail_out("pool_init failed");
		pools[p].clients = below(2);
	}
}

/* Everything calms down: whoever still waits gets an answer. */
static void
finish(void)
{
	int left = 1;

	do_actions();
	flavour.failures = flavour.pending = false;
	for (int p = 0; p < POOLS; p++)
		pool_resume(&pools[p], now, &actions);
	do_actions();
	for (int round = 0; round < 20000 && left > 0; round++)
	{
		slot_event();
		do_actions();
		advance_to(now + 20000);
		left = count_queued(0) + count_queued(1) + count_queued(2);
	}
	check_all();
	must(left == 0, "%d waiters never get an answer", left);
	for (int i = 0; i < waiter_count; i++)
		must(waiters[i].fate != QUEUED, "waiter %d has its answer", i);
}

static void
end(void)
{
	for (int p = 0; p < POOLS; p++)
		pools[p].retiring = true;
	for (int i = 0; i < waiter_count; i++)
		pool_abandon(&pools[waiters[i].pool], &waiters[i].waiter, now, &actions);
	for (int i = 0; i < MAX_SLOTS; i++)
	{
		if (slots[i].seen != NOT_THERE)
			slot_gone(&slots[i]);
		do_actions();
	}
	for (int i = 0; i < MAX_SLOTS; i++)
		must(slots[i].seen == NOT_THERE, "no slot is left");
	for (int p = 0; p < POOLS; p++)
		pool_free(&pools[p]);
	for (int g = 0; g < 3; g++)
		must(groups[g].used == 0 && groups[g]._idle == 0 && list_empty(&groups[g]._blocked) && groups[g]._hungry == 0,
			 "an empty group counts nothing");
	for (int c = 0; c < CAPS; c++)
		must(!pool_cap_is_used(&caps[c]), "nobody has a place any more");
	pool_actions_free(&actions);
}

static void
run_schedule(uint64_t of)
{
	int steps;

	begin(of);
	steps = 50 + below(400);
	while (steps-- > 0 && failures_seen == 0)
		step();
	if (failures_seen == 0)
		finish();
	end();
}

int
main(int argc, char **argv)
{
	int schedules = argc > 2 ? atoi(argv[2]) : 6000;
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	int run = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2)
		schedules = 1;
	while (run < schedules && failures_seen == 0)
		run_schedule(first + (uint64_t) run++);
	diag("seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " steps, %" PRIu64 " grants, %" PRIu64
		 " failures, %" PRIu64 " evictions, %" PRIu64 " parked",
		 first, first + (uint64_t) run - 1, steps_run, grants_seen, fails_seen, evictions_seen, parked_seen);
	is_int(failures_seen, 0, "%d random schedules hold every invariant", run);
	ok(argc > 1 || (grants_seen > 50000 && fails_seen > 10000 && evictions_seen > 200 && parked_seen > 10000),
	   "the schedules were not idle ones");
	return done_testing();
}
