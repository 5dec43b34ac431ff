/*
 * simulation.h: a pool in front of a server that exists only as numbers: a discrete event simulation around
 * pool/.
 *
 * Requests arrive, are granted, run, end; time is invented.  A statement that still runs at its deadline is
 * cancelled: the slot is then cleaned for CANCEL_US.  While the server is stalled nothing that runs ends, and
 * a cancel is not obeyed either.
 */
#ifndef SIMULATION_H
#define SIMULATION_H

#include "pool/pool.h"

#include <math.h>

#include "tap.h"

#define SIM_SLOTS 64
#define CANCEL_US 1000
#define LOGIN_US 8000

/* --- random numbers --- */

typedef struct Random
{
	uint64_t state;
} Random;

static inline uint64_t
random_next(Random *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline double
random_unit(Random *r)
{
	return ((double) (random_next(r) >> 11) + 0.5) / 9007199254740992.0;
}

static inline usec_t
random_exponential(Random *r, double mean)
{
	return (usec_t) (-mean * log(random_unit(r)));
}

/* --- events --- */

typedef enum SimKind
{
	SIM_ARRIVAL, /* of a request of load `index` */
	SIM_LOGIN,   /* slot `index` is ready */
	SIM_END,     /* the statement on slot `index` ends by itself */
	SIM_CANCEL,  /* ... is cancelled */
	SIM_CLEAN,   /* slot `index` has been cleaned */
} SimKind;

typedef struct SimEvent
{
	usec_t at;
	SimKind kind;
	int index;
	uint64_t serial; /* of the slot's grant: an event of an earlier one is void */
} SimEvent;

/* A stream of requests. */
typedef struct SimLoad
{
	double per_second;
	double mean_us;
	bool exponential; /* run times; else all the same */
	usec_t budget_us; /* 0 = no deadline */
	uint64_t fingerprint;
	uint64_t offered, good, late, refused, expired, other; /* by outcome; late: cancelled while running */
	uint64_t good_while_offered;                           /* ... before the arrivals ended */
	usec_t longest_refusal_us;                             /* longest time until a refusal was told */
} SimLoad;

typedef struct SimRequest
{
	PoolWaiter waiter;
	int load;
	usec_t run_us;
	usec_t arrived;
	struct SimRequest *next_free;
} SimRequest;

typedef struct SimSlot
{
	PoolSlot slot;
	SimRequest *request;
	uint64_t serial;
	usec_t granted_at;
	bool in_use;
} SimSlot;

typedef struct Sim
{
	Pool pool;
	PoolActions actions;
	Random random;
	usec_t now;
	SimEvent *heap;
	int heap_count, heap_cap;
	SimSlot slots[SIM_SLOTS];
	SimLoad *loads;
	int load_count;
	SimRequest *free;
	usec_t stall_from, stall_until; /* nothing ends */
	usec_t slow_from, slow_until;   /* what begins takes slow_factor times as long */
	int slow_factor, slow_load;     /* ... of this load only, -1 = of all */
	int knee; /* beyond so many statements at once each takes (n / knee) squared times as long; 0 = never */
	usec_t count_from; /* requests that arrive earlier are not counted */
	usec_t arrivals_until;
	uint64_t *good_per_10ms; /* of load counted_load; optional */
	int counted_load;
	usec_t good_span;
} Sim;

static inline void
sim_push(Sim *sim, usec_t at, SimKind kind, int index, uint64_t serial)
{
	int i = sim->heap_count++;

	if (sim->heap_count > sim->heap_cap)
	{
		sim->heap_cap = sim->heap_cap > 0 ? sim->heap_cap * 2 : 256;
		sim->heap = realloc(sim->heap, (size_t) sim->heap_cap * sizeof(SimEvent));
	}
	for (; i > 0 && sim->heap[(i - 1) / 2].at > at; i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = (SimEvent){at, kind, index, serial};
}

static inline SimEvent
sim_pop(Sim *sim)
{
	SimEvent first = sim->heap[0];
	SimEvent last = sim->heap[--sim->heap_count];
	int i = 0;

	for (;;)
	{
		int child = 2 * i + 1;

		if (child + 1 < sim->heap_count && sim->heap[child + 1].at < sim->heap[child].at)
			child++;
		if (child >= sim->heap_count || sim->heap[child].at >= last.at)
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return first;
}

/* --- the server --- */

/* When something that takes `run` ends if it begins now: a stall stops the clock. */
static inline usec_t
sim_ends_at(const Sim *sim, usec_t run)
{
	usec_t end = sim->now + run;

	if (sim->now >= sim->stall_until || end <= sim->stall_from)
		return end;
	return end + sim->stall_until - (sim->now > sim->stall_from ? sim->now : sim->stall_from);
}

static inline void
sim_granted(Sim *sim, const PoolAction *action)
{
	SimSlot *s = CONTAINER_OF(action->slot, SimSlot, slot);
	SimRequest *request = CONTAINER_OF(action->waiter, SimRequest, waiter);
	bool slow = sim->now >= sim->slow_from && sim->now < sim->slow_until &&
				(sim->slow_load < 0 || sim->slow_load == request->load);
	int active = sim->pool.active.count;
	double crowd = sim->knee > 0 && active > sim->knee ? (double) active / sim->knee : 1;
	double factor = crowd * crowd * (slow ? sim->slow_factor : 1);
	usec_t end = sim_ends_at(sim, (usec_t) ((double) request->run_us * factor));
	usec_t cancel = request->waiter.deadline;

	s->request = request;
	s->serial++;
	s->granted_at = sim->now;
	pool_starts(&s->slot, request->waiter.fingerprint, sim->now);
	if (cancel >= sim->stall_from && cancel < sim->stall_until)
		cancel = sim->stall_until;
	if (end <= request->waiter.deadline || end <= cancel)
		sim_push(sim, end, SIM_END, (int) (s - sim->slots), s->serial);
	else
		sim_push(sim, cancel, SIM_CANCEL, (int) (s - sim->slots), s->serial);
}

static inline void
sim_free_request(Sim *sim, SimRequest *request)
{
	request->next_free = sim->free;
	sim->free = request;
}

static inline void
sim_failed(Sim *sim, const PoolAction *action)
{
	SimRequest *request = CONTAINER_OF(action->waiter, SimRequest, waiter);
	SimLoad *load = &sim->loads[request->load];

	if (request->arrived >= sim->count_from)
	{
		if (action->fail == POOL_FAIL_HOPELESS)
		{
			load->refused++;
			if (action->waited_us > load->longest_refusal_us)
				load->longest_refusal_us = action->waited_us;
		}
		else if (action->fail == POOL_FAIL_DEADLINE)
			load->expired++;
		else
			load->other++;
	}
	sim_free_request(sim, request);
}

static inline void
sim_open(Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		if (!sim->slots[i].in_use)
		{
			sim->slots[i].in_use = true;
			pool_slot_opening(&sim->pool, &sim->slots[i].slot, sim->now);
			sim_push(sim, sim_ends_at(sim, LOGIN_US), SIM_LOGIN, i, sim->slots[i].serial);
			return;
		}
	}
	pool_open_impossible(&sim->pool, sim->now, &sim->actions);
}

static inline void
sim_act(Sim *sim)
{
	PoolAction action;

	while (pool_actions_next(&sim->actions, &action))
	{
		switch (action.kind)
		{
			case POOL_GRANT: sim_granted(sim, &action); break;
			case POOL_FAIL: sim_failed(sim, &action); break;
			case POOL_OPEN: sim_open(sim); break;
			case POOL_CHECK: pool_slot_clean(action.slot, sim->now, &sim->actions); break;
			case POOL_CLOSE:
			case POOL_EVICT:
				CONTAINER_OF(action.slot, SimSlot, slot)->in_use = false;
				pool_slot_closed(action.slot, sim->now, &sim->actions);
				break;
			case POOL_LOOK: break;
		}
	}
}

static inline void
sim_arrive(Sim *sim, int index)
{
	SimLoad *load = &sim->loads[index];
	SimRequest *request = sim->free;
	usec_t next = sim->now + random_exponential(&sim->random, 1e6 / load->per_second);

	if (next < sim->arrivals_until)
		sim_push(sim, next, SIM_ARRIVAL, index, 0);
	if (request != NULL)
		sim->free = request->next_free;
	else
		request = malloc(sizeof(SimRequest));
	*request = (SimRequest){.load = index, .arrived = sim->now};
	request->run_us =
		load->exponential ? random_exponential(&sim->random, load->mean_us) : (usec_t) load->mean_us;
	request->waiter.deadline = deadline_after(sim->now, load->budget_us);
	request->waiter.fingerprint = load->fingerprint;
	if (sim->now >= sim->count_from)
		load->offered++;
	pool_request(&sim->pool, &request->waiter, sim->now, &sim->actions);
}

static inline void
sim_statement_ends(Sim *sim, SimSlot *s, bool completed)
{
	SimRequest *request = s->request;
	SimLoad *load = &sim->loads[request->load];
	bool good = completed && sim->now <= request->waiter.deadline;

	pool_ran(&s->slot, sim->now - s->granted_at, completed, sim->now);
	if (request->arrived >= sim->count_from)
	{
		load->good += good;
		load->good_while_offered += good && sim->now < sim->arrivals_until;
		load->late += !good;
	}
	if (good && sim->good_per_10ms != NULL && request->load == sim->counted_load && sim->now < sim->good_span)
		sim->good_per_10ms[sim->now / 10000]++;
	sim_free_request(sim, request);
	s->request = NULL;
	pool_release(&s->slot, completed, sim->now, &sim->actions);
	if (!completed)
		sim_push(sim, sim->now + CANCEL_US, SIM_CLEAN, (int) (s - sim->slots), s->serial);
}

static inline void
sim_event(Sim *sim, const SimEvent *event)
{
	SimSlot *s = &sim->slots[event->kind == SIM_ARRIVAL ? 0 : event->index];

	switch (event->kind)
	{
		case SIM_ARRIVAL: sim_arrive(sim, event->index); break;
		case SIM_LOGIN: pool_slot_opened(&s->slot, sim->now, &sim->actions); break;
		case SIM_END: sim_statement_ends(sim, s, true); break;
		case SIM_CANCEL: sim_statement_ends(sim, s, false); break;
		case SIM_CLEAN: pool_slot_clean(&s->slot, sim->now, &sim->actions); break;
	}
	sim_act(sim);
}

/* --- a run --- */

static inline void
sim_init(Sim *sim, const PoolLimits *limits, uint64_t seed, SimLoad *loads, int load_count)
{
	*sim = (Sim){.random = {seed}, .loads = loads, .load_count = load_count, .now = 1};
	sim->stall_from = sim->stall_until = sim->slow_from = sim->slow_until = -1;
	sim->slow_load = -1;
	if (!pool_init(&sim->pool, limits, NULL, NULL, sim->now))
		bail_out("pool_init failed");
}

/* Arrivals from now until `until`, then until the last request has its answer. */
static inline void
sim_run(Sim *sim, usec_t until)
{
	sim->arrivals_until = until;
	for (int i = 0; i < sim->load_count; i++)
		sim_push(sim, sim->now + random_exponential(&sim->random, 1e6 / sim->loads[i].per_second),
				 SIM_ARRIVAL, i, 0);
	for (;;)
	{
		deadline_t tick_at = pool_next_event(&sim->pool, sim->now);
		bool busy = sim->heap_count > 0;

		if (busy && sim->heap[0].at < tick_at)
		{
			SimEvent event = sim_pop(sim);

			sim->now = event.at;
			sim_event(sim, &event);
			continue;
		}
		if (tick_at == DEADLINE_NONE || (!busy && list_empty(&sim->pool.waiters)))
			return;
		sim->now = tick_at > sim->now ? tick_at : sim->now;
		pool_tick(&sim->pool, sim->now, &sim->actions);
		sim_act(sim);
	}
}

static inline void
sim_free(Sim *sim)
{
	for (int i = 0; i < SIM_SLOTS; i++)
	{
		if (sim->slots[i].in_use)
			pool_slot_closed(&sim->slots[i].slot, sim->now, &sim->actions);
	}
	pool_free(&sim->pool);
	pool_actions_free(&sim->actions);
	while (sim->free != NULL)
	{
		SimRequest *next = sim->free->next_free;

		free(sim->free);
		sim->free = next;
	}
	free(sim->heap);
}

#endif
