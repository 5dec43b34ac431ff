/*
 * lease.c: servers that stay with their worker between transactions.
 *
 * A Lease is what one worker has of one pool, made with its first spare server and freed once it has had nothing to do for a while.  All
 * of it belongs to the worker but the array of spare slots, which others may empty while they are in the policy; it is freed there,
 * too.
 *
 * A lease in use is looked at by its use: who keeps a server there tells what has run when that was not told lately.  The worker's timer, which
 * runs while there are leases, looks at those alone that have not been used for a while, and at what has been running for long: both stand first in
 * lists of the worker, so that many leases cost it no more than one.
 */
#include "session/lease.h"

#include <stdlib.h>

/* Spare servers that one worker keeps of one pool; more go the usual way. */
#define LEASE_SLOTS 64
/* Where servers are used in turn a worker takes its own so often before all of them have their turn again. */
#define TURN_SLOTS 32
/* Statement classes it serves so: room at first, and at most, which is as many as the policy knows. */
#define CLASSES_FIRST 8
#define CLASSES_MOST POOL_CLASSES_MAX
#define CLASS_WAYS 4 /* places where a class may stand */
/* How often the timer looks.  What runs for so long is shown, and a lease that was not used for twice as long gives back all it has. */
#define LOOK_US (20 * USEC_PER_MSEC)
#define UNUSED_US (2 * LOOK_US)
/* A use moves a lease to the end of the worker's list, but no more often than that. */
#define TOUCH_US (5 * USEC_PER_MSEC)
/* How often a lease in use tells what has run.  A spare server that was not used from one time to the next goes back. */
#define TELL_US (100 * USEC_PER_MSEC)
/* A pool is worth it when its servers idle no longer than this. */
#define BUSY_US (10 * USEC_PER_MSEC)
/* ... or when a transaction has so many requests. */
#define ADOPTED_GROUPS 4
/* A class that was seen within this time keeps its place. */
#define KEPT_US (100 * USEC_PER_MSEC)

typedef struct LeaseClass
{
	bool known;	 /* this place is in use */
	bool listed; /* in Lease.untold */
	struct LeaseClass *next_untold;
	PoolTally tally;
} LeaseClass;

typedef struct Spare
{
	_Atomic(PoolSlot *) slot; /* NULL: nothing is here, or others have taken it */
	bool seen;				  /* told since it was put here; the worker's */
} Spare;

/* In the order of their use: of a pool that few clients use each request and each look takes but the first lines of the cache. */
struct Lease
{
	PoolPart *part;
	ListNode node; /* Worker.leases, who has not been used for longest first */
	usec_t touched_at; /* when it was put at the end of that */
	atomic_int top; /* no place from here on is in use; written by its worker alone */
	int bottom;		/* nor is one below: above 0 only where the oldest is used first; its worker's */
	LeaseClass *classes; /* owned: only of those the policy need not be asked about */
	LeaseClass *untold;	 /* those that have something to tell; NULL = none */
	usec_t told_at;
	int running; /* its servers in Worker.lease_runs */
	atomic_llong taken_at; /* when the last request was served; written by its worker alone */
	int class_count; /* places there, a power of two */
	Spare spare[LEASE_SLOTS]; /* who has become spare last stands highest */
};

static inline Lease *
lease_of(const Server *server)
{
	return server->pool->parts[server->worker->index]->lease;
}

/* The first of its places. */
static inline int
place_of(uint64_t fingerprint, int class_count)
{
	return (int) (fingerprint & (uint64_t) (class_count / CLASS_WAYS - 1)) * CLASS_WAYS;
}

static inline LeaseClass *
class_of(const Lease *lease, uint64_t fingerprint)
{
	LeaseClass *class = lease->classes + place_of(fingerprint, lease->class_count);

	for (int i = 0; i < CLASS_WAYS; i++, class++)
		if (class->known && class->tally.fingerprint == fingerprint)
			return class;
	return NULL;
}

static inline void
list_untold(Lease *lease, LeaseClass *class)
{
	if (class->listed)
		return;
	class->listed = true;
	class->next_untold = lease->untold;
	lease->untold = class;
}

/* --- spare servers --- */

/* By its worker: the one that was used last, or NULL. */
static PoolSlot *
take_last(Lease *lease)
{
	int top = atomic_load_explicit(&lease->top, memory_order_relaxed);
	PoolSlot *slot = NULL;

	/* others may have been there, or be faster */
	while (slot == NULL && top > 0)
		if (atomic_load_explicit(&lease->spare[--top].slot, memory_order_relaxed) != NULL)
			slot = atomic_exchange(&lease->spare[top].slot, NULL);
	atomic_store_explicit(&lease->top, top, memory_order_relaxed);
	return slot;
}

/* Where servers are used in turn: the one that has been spare for longest, or NULL. */
static PoolSlot *
take_first(Lease *lease)
{
	int top = atomic_load_explicit(&lease->top, memory_order_relaxed);
	PoolSlot *slot = NULL;

	while (slot == NULL && lease->bottom < top)
		slot = atomic_exchange(&lease->spare[lease->bottom++].slot, NULL);
	return slot;
}

/* The place above all others; -1 = there is none. */
static inline int
free_place(const Lease *lease)
{
	int top = atomic_load_explicit(&lease->top, memory_order_relaxed);
	bool in_turn = lease->part->pool->policy.limits.round_robin;

	return top < (in_turn ? TURN_SLOTS : LEASE_SLOTS) ? top : -1;
}

static inline void
put_spare(Lease *lease, int place, PoolSlot *slot)
{
	lease->spare[place].seen = false;
	atomic_store_explicit(&lease->top, place + 1, memory_order_relaxed);
	atomic_store(&lease->spare[place].slot, slot);
}

/* What has just been taken. */
static void
put_back(Lease *lease, bool in_turn, PoolSlot *slot)
{
	if (in_turn)
		atomic_store(&lease->spare[--lease->bottom].slot, slot);
	else
		put_spare(lease, free_place(lease), slot);
}

/* In the policy, by its worker: close the gaps that others have left. */
static void
close_up(Lease *lease)
{
	int top = atomic_load_explicit(&lease->top, memory_order_relaxed);
	int to = 0;

	for (int i = 0; i < top; i++)
	{
		PoolSlot *slot = atomic_exchange(&lease->spare[i].slot, NULL);

		if (slot == NULL)
			continue;
		lease->spare[to].seen = lease->spare[i].seen;
		atomic_store(&lease->spare[to++].slot, slot);
	}
	atomic_store_explicit(&lease->top, to, memory_order_relaxed);
	lease->bottom = 0;
}

/*
 * In the policy: all of them are the pool's again, and in the order of their use.  Who is not its worker looks at every place: `top` may be about
 * to be changed.
 */
static void
give_back(Lease *lease, const Worker *asker, PoolActions *out)
{
	bool own = lease->part->worker == asker;
	int places = own ? atomic_load_explicit(&lease->top, memory_order_relaxed) : LEASE_SLOTS;
	usec_t now = worker_now(asker);
	PoolSlot *slot;

	for (int i = 0; i < places; i++)
		if (atomic_load(&lease->spare[i].slot) != NULL && (slot = atomic_exchange(&lease->spare[i].slot, NULL)) != NULL)
			pool_release(slot, true, now, out);
	if (own)
	{
		atomic_store_explicit(&lease->top, 0, memory_order_relaxed);
		lease->bottom = 0;
	}
}

/* ... of all workers. */
static void
give_back_all(Worker *worker, SessionPool *pool)
{
	Hall *hall = worker->hall;

	for (int i = 0; i < hall->worker_count; i++)
		if (pool->parts[i] != NULL && pool->parts[i]->lease != NULL)
			give_back(pool->parts[i]->lease, worker, &hall->actions);
}

/* --- running --- */

static inline bool
is_on_lease(const Server *server)
{
	return list_linked(&server->lease.node);
}

/* Worker.lease_runs: who has been running for longest first. */
static void
begin_run(Lease *lease, Server *server, uint64_t fingerprint, usec_t now)
{
	List *runs = &server->worker->lease_runs;

	if (is_on_lease(server))
		list_remove(runs, &server->lease.node);
	else
		lease->running++;
	list_append(runs, &server->lease.node);
	server->lease.run.fingerprint = fingerprint;
	server->lease.run.since = now;
}

static void
end_run(Lease *lease, Server *server)
{
	list_remove(&server->worker->lease_runs, &server->lease.node);
	lease->running--;
}

/* It is in use. */
static inline void
touch(Lease *lease, usec_t now)
{
	List *leases = &lease->part->worker->leases;

	if (now - lease->touched_at < TOUCH_US)
		return;
	lease->touched_at = now;
	list_remove(leases, &lease->node);
	list_append(leases, &lease->node);
}

Server *
lease_take(Client *client, usec_t now)
{
	SessionPool *pool = client->pool;
	Lease *lease = pool->parts[client->worker->index]->lease;
	bool in_turn = pool->policy.limits.round_robin;
	PoolSlot *slot;
	Server *server;

	if (lease == NULL || atomic_load_explicit(&pool->no_lease, memory_order_relaxed) ||
		client->waiter.deadline <= now || class_of(lease, client->fingerprint) == NULL ||
		(slot = in_turn ? take_first(lease) : take_last(lease)) == NULL)
		return NULL;
	if (client->waiter.cap != NULL && !pool_cap_enter(client->waiter.cap))
	{
		put_back(lease, in_turn, slot); /* the policy is asked now, and finds it */
		return NULL;
	}
	server = CONTAINER_OF(slot, Server, slot);
	server->lease.run.cap = client->waiter.cap;
	server->lease.run.held_since = now;
	server->lease.run.held_for = client->fingerprint;
	server->lease.adopted = false;
	client->waiter.since = now;
	atomic_store_explicit(&lease->taken_at, now, memory_order_relaxed);
	begin_run(lease, server, client->fingerprint, now);
	return server;
}

bool
lease_starts(Server *server, uint64_t fingerprint, usec_t now)
{
	Lease *lease;

	if (!is_on_lease(server))
		return false;
	if (server->lease.run.fingerprint == fingerprint && server->lease.run.since == now)
		return true;
	lease = lease_of(server);
	if (class_of(lease, fingerprint) == NULL)
	{
		policy_enter(server->worker);
		lease_end(server);
		policy_leave(server->worker, NULL);
		return false;
	}
	begin_run(lease, server, fingerprint, now);
	return true;
}

static void
count_run(Lease *lease, LeaseClass *class, const GroupRun *run, usec_t now)
{
	pool_tally_run(&class->tally, run->us, now);
	list_untold(lease, class);
}

static void
count_hold(Lease *lease, LeaseClass *class, usec_t hold_us, usec_t now)
{
	PoolTally *tally = &class->tally;

	tally->hold_us[tally->granted++ % POOL_TALLY_SAMPLES] = hold_us;
	tally->last = now;
	list_untold(lease, class);
}

bool
lease_ran(Server *server, const GroupRun *run, usec_t now)
{
	Lease *lease = lease_of(server);
	LeaseClass *class;

	if (!is_on_lease(server) || !run->completed || (class = class_of(lease, server->lease.run.fingerprint)) == NULL)
		return false;
	count_run(lease, class, run, now);
	server->lease.run.fingerprint = 0; /* nothing runs until the next one begins */
	return true;
}

/* Somebody is parked for the place that has just been left. */
static void
serve_cap(Worker *worker, PoolCap *cap, usec_t now)
{
	policy_enter(worker);
	pool_cap_serve(cap, now, &worker->hall->actions);
	policy_leave(worker, NULL);
}

static void tell(Lease *lease, usec_t now);

/* Somebody waits, who did not see what has just been added. */
static void
take_back(Worker *worker, SessionPool *pool, Lease *lease)
{
	policy_enter(worker);
	give_back(lease, worker, &worker->hall->actions);
	policy_leave_busy(worker, pool);
}

bool
lease_keep(Server *server, const GroupRun *run, usec_t now)
{
	SessionPool *pool = server->pool;
	Worker *worker = server->worker;
	Lease *lease = lease_of(server);
	PoolCap *cap = server->lease.run.cap;
	LeaseClass *class;
	LeaseClass *held;
	int place;

	if (!is_on_lease(server) || server->lease.adopted || !run->completed || server->slot.close_needed || now >= server->slot.lease_until ||
		atomic_load_explicit(&pool->no_lease, memory_order_relaxed) || (place = free_place(lease)) < 0 ||
		(class = class_of(lease, server->lease.run.fingerprint)) == NULL || (held = class_of(lease, server->lease.run.held_for)) == NULL)
		return false;
	count_run(lease, class, run, now);
	count_hold(lease, held, now - server->lease.run.held_since, now);
	end_run(lease, server);
	server->lease.spare_since = now;
	put_spare(lease, place, &server->slot);
	touch(lease, now);
	if (atomic_load(&pool->no_lease))
		take_back(worker, pool, lease);
	else if (now - lease->told_at >= TELL_US)
		tell(lease, now);
	if (cap != NULL && pool_cap_exit(cap))
		serve_cap(worker, cap, now);
	return true;
}

/* --- in the policy --- */

/* How many slow requests may run depends on when the last other one was seen. */
static void
tell_latest(SessionPool *pool)
{
	for (int i = 0; i < pool->hall->worker_count; i++)
		if (pool->parts[i] != NULL && pool->parts[i]->lease != NULL)
			pool_lease_served(&pool->policy, atomic_load_explicit(&pool->parts[i]->lease->taken_at, memory_order_relaxed));
}

void
lease_enter(Worker *worker, SessionPool *pool)
{
	Lease *own = pool->parts[worker->index]->lease;

	if (pool->policy.leases > 0)
		tell_latest(pool);
	if (own != NULL)
		give_back(own, worker, &worker->hall->actions);
	if (pool_has_spare(&pool->policy))
		return;
	atomic_store(&pool->no_lease, true); /* until lease_leave() */
	give_back_all(worker, pool);
}

void
lease_leave(Worker *worker, SessionPool *pool)
{
	bool no_lease = !pool_may_lease(&pool->policy);

	if (no_lease == atomic_load_explicit(&pool->no_lease, memory_order_relaxed))
		return;
	atomic_store(&pool->no_lease, no_lease);
	if (no_lease)
		give_back_all(worker, pool);
}

void
lease_end_crowded(Worker *worker)
{
	PoolGroup *group;

	while ((group = pool_actions_next_crowded(&worker->hall->actions)) != NULL)
		list_each(node, &group->leased)
		{
			SessionPool *pool = CONTAINER_OF(pool_leased(group, node), SessionPool, policy);

			atomic_store(&pool->no_lease, true); /* until lease_leave() */
			give_back_all(worker, pool);
		}
}

void
lease_end(Server *server)
{
	if (!is_on_lease(server))
		return;
	end_run(lease_of(server), server);
	pool_lease_shows(&server->slot, &server->lease.run);
}

void
lease_withdraw(Server *server)
{
	Lease *lease = lease_of(server);

	lease_end(server);
	for (int i = 0; lease != NULL && i < LEASE_SLOTS; i++)
	{
		PoolSlot *slot = &server->slot;

		/* else somebody was faster, and the pool has it already */
		if (atomic_compare_exchange_strong(&lease->spare[i].slot, &slot, NULL))
			return;
	}
}

/* --- beginning --- */

static Lease *
lease_create(PoolPart *part)
{
	Worker *worker = part->worker;
	Lease *lease = calloc(1, sizeof(Lease));

	if (lease == NULL || (lease->classes = calloc(CLASSES_FIRST, sizeof(LeaseClass))) == NULL)
	{
		free(lease);
		return NULL;
	}
	lease->class_count = CLASSES_FIRST;
	lease->told_at = lease->touched_at = worker_now(worker);
	lease->part = part;
	list_append(&worker->leases, &lease->node);
	part->lease = lease;
	pool_lease_begins(&part->pool->policy);
	if (!worker->lease_timer.armed)
		timer_arm(net_timers(worker->loop), &worker->lease_timer, worker_now(worker) + LOOK_US);
	return lease;
}

void
lease_free(PoolPart *part)
{
	if (part->lease == NULL)
		return;
	list_remove(&part->worker->leases, &part->lease->node);
	free(part->lease->classes);
	free(part->lease);
	part->lease = NULL;
	pool_lease_ends(&part->pool->policy);
}

/* The place for a new class among those where it may stand: a free one, else the one that was used last longest ago. */
static LeaseClass *
best_place(const Lease *lease, uint64_t fingerprint)
{
	LeaseClass *best = lease->classes + place_of(fingerprint, lease->class_count);
	LeaseClass *end = best + CLASS_WAYS;

	for (LeaseClass *class = best + 1; class < end && best->known; class++)
		if (!class->known || class->tally.last < best->tally.last)
			best = class;
	return best;
}

/* Twice as many places: those where a class may stand are shared among two of the former's. */
static bool
grow(Lease *lease)
{
	LeaseClass *former = lease->classes;
	int count = lease->class_count;
	LeaseClass *classes = count < CLASSES_MOST ? calloc((size_t) count * 2, sizeof(LeaseClass)) : NULL;

	if (classes == NULL)
		return false;
	lease->classes = classes;
	lease->class_count = count * 2;
	lease->untold = NULL;
	for (int i = 0; i < count; i++)
	{
		LeaseClass *to;

		if (!former[i].known)
			continue;
		to = best_place(lease, former[i].tally.fingerprint);
		to->known = true;
		to->tally = former[i].tally;
		if (former[i].listed)
			list_untold(lease, to);
	}
	free(former);
	return true;
}

/* In the policy: what has run of all classes. */
static void
tell_classes(Lease *lease, usec_t now)
{
	LeaseClass *class;

	while ((class = lease->untold) != NULL)
	{
		lease->untold = class->next_untold;
		class->listed = false;
		class->known = pool_learn_tally(&lease->part->pool->policy, &class->tally, now);
	}
	lease->told_at = now;
}

/* From now on requests of this class are served without asking, as far as it is fit for that. */
static void
admit(Lease *lease, Pool *pool, uint64_t fingerprint, usec_t now)
{
	LeaseClass *place;

	if (class_of(lease, fingerprint) != NULL || !pool_lease_knows(pool, fingerprint, now))
		return;
	place = best_place(lease, fingerprint);
	/* who takes turns must not drive each other out */
	if (place->known && now - place->tally.last < KEPT_US && grow(lease))
		place = best_place(lease, fingerprint);
	if (place->known && now - place->tally.last < KEPT_US)
		return;
	if (place->listed)
		tell_classes(lease, now);
	place->tally = pool_tally(pool, fingerprint, now);
	place->known = true;
}

/* The lease, once this class is admitted to it; NULL: there is, and can be, none now. */
static Lease *
open_lease(const Server *server, uint64_t fingerprint, usec_t now)
{
	SessionPool *pool = server->pool;
	PoolPart *part = pool->parts[server->worker->index];

	if (pool->dedicated != NULL || !pool_may_lease(&pool->policy) ||
		(part->lease == NULL && lease_create(part) == NULL))
		return NULL;
	admit(part->lease, &pool->policy, fingerprint, now);
	return part->lease;
}

void
lease_adopt(Server *server, uint64_t fingerprint, usec_t now)
{
	Lease *lease;

	/* a pool that is seldom used is not worth one */
	if (is_on_lease(server) || (server->xact_groups < ADOPTED_GROUPS && lease_of(server) == NULL) ||
		(lease = open_lease(server, fingerprint, now)) == NULL)
		return;
	server->lease.run.cap = NULL;
	server->lease.adopted = true; /* its release is the policy's, which granted it */
	begin_run(lease, server, 0, now);
}

bool
lease_begin(Server *server, uint64_t fingerprint, usec_t now)
{
	PoolPart *part = server->pool->parts[server->worker->index];
	Hall *hall = server->worker->hall;
	bool busy = server->linked_at - server->lease.spare_since < BUSY_US;
	int place;

	server->lease.spare_since = now;
	if (busy && open_lease(server, fingerprint, now) != NULL && (place = free_place(part->lease)) >= 0 &&
		pool_lease(&server->slot, now, &hall->actions))
	{
		put_spare(part->lease, place, &server->slot);
		touch(part->lease, now);
		return true;
	}
	/* this one comes after them, and must be used before them */
	if (part->lease != NULL)
		give_back(part->lease, server->worker, &hall->actions);
	return false;
}

/* --- telling and looking --- */

/* In the policy: what nobody has used since this was last done. */
static int
give_back_unused(Lease *lease, usec_t now, PoolActions *out)
{
	PoolSlot *slot;
	int unused = 0;

	close_up(lease);
	for (int i = 0; i < atomic_load_explicit(&lease->top, memory_order_relaxed); i++)
	{
		if (!lease->spare[i].seen)
			lease->spare[i].seen = true;
		else if ((slot = atomic_exchange(&lease->spare[i].slot, NULL)) != NULL)
		{
			pool_release(slot, true, now, out);
			unused++;
		}
	}
	return unused;
}

/* What was only told is no reason to ask the pool when it is due, unless it has learned that it does better with fewer servers. */
static void
leave(Worker *worker, SessionPool *pool, bool changed)
{
	policy_leave(worker, changed || !pool_may_lease(&pool->policy) ? pool : NULL);
}

static void
tell(Lease *lease, usec_t now)
{
	Worker *worker = lease->part->worker;
	int unused;

	policy_enter(worker);
	tell_classes(lease, now);
	unused = give_back_unused(lease, now, &worker->hall->actions);
	leave(worker, lease->part->pool, unused > 0);
}

/* It has not been used for a while: over, unless a long transaction is. */
static void
look(Lease *lease, usec_t now)
{
	PoolPart *part = lease->part;
	Worker *worker = part->worker;
	bool over = lease->running == 0;

	touch(lease, now);
	if (!over && lease->untold == NULL && atomic_load_explicit(&lease->top, memory_order_relaxed) == 0)
		return;
	policy_enter(worker);
	tell_classes(lease, now);
	give_back(lease, worker, &worker->hall->actions);
	if (over)
		lease_free(part);
	leave(worker, part->pool, true);
}

/* The server of the worker that has been running for longest, if that is so long, or NULL. */
static Server *
long_running(const Worker *worker, usec_t now, usec_t long_us)
{
	ListNode *node = list_first(&worker->lease_runs);
	Server *server = node != NULL ? CONTAINER_OF(node, Server, lease.node) : NULL;

	return server != NULL && now - server->lease.run.since >= long_us ? server : NULL;
}

/* What has been running for so long is as any other from now on. */
static void
show_long(Worker *worker, usec_t now, usec_t long_us)
{
	Server *server;

	while ((server = long_running(worker, now, long_us)) != NULL)
	{
		policy_enter(worker);
		lease_end(server);
		leave(worker, server->pool, false);
	}
}

void
lease_end_all(Worker *worker)
{
	show_long(worker, worker_now(worker), 0);
	list_each(node, &worker->leases)
	{
		Lease *lease = CONTAINER_OF(node, Lease, node);
		PoolPart *part = lease->part;

		policy_enter(worker);
		tell_classes(lease, worker_now(worker));
		give_back(lease, worker, &worker->hall->actions);
		lease_free(part);
		policy_leave(worker, part->pool);
	}
}

static void
on_look(Timer *timer, usec_t now)
{
	Worker *worker = CONTAINER_OF(timer, Worker, lease_timer);
	ListNode *node;

	show_long(worker, now, LOOK_US);
	while ((node = list_first(&worker->leases)) != NULL && now - CONTAINER_OF(node, Lease, node)->touched_at >= UNUSED_US)
		look(CONTAINER_OF(node, Lease, node), now);
	if (!list_empty(&worker->leases))
		timer_arm(net_timers(worker->loop), &worker->lease_timer, now + LOOK_US);
	worker_run_actions(worker);
}

void
lease_init(Worker *worker)
{
	list_init(&worker->leases);
	list_init(&worker->lease_runs);
	worker->lease_timer.fire = on_look;
}
